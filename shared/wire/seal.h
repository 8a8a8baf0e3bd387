/*
 * Seal: frames on a connection in clear carry a tag each, so that nobody can alter, repeat, leave
 * out or reorder them unseen, or add some. It hides nothing: who wants that uses TLS, where frames
 * have no tags.
 *
 * The keys, one a direction, come from the SCRAM login that began the connection: from ServerKey,
 * which only the node and who knows the password have, and from server-first-message, which has
 * random numbers of both and was signed by both. A tag is SipHash-2-4 of 128 bits over the frame
 * and its number on the connection.
 */
#ifndef SHARED_WIRE_SEAL_H
#define SHARED_WIRE_SEAL_H

#include "shared/base/salted_password.h"

enum
{
    SEAL_KEY_BYTES = 16,
    SEAL_TAG_BYTES = 16
};

/* One direction. */
typedef struct Seal
{
    uint8_t key[SEAL_KEY_BYTES];
    uint64_t frames; /* that have passed */
} Seal;

void seal_begin(Seal *to_node, Seal *from_node, const uint8_t server_key[SALTED_PASSWORD_BYTES],
                Slice server_first);

/* The same for who has the password; server_first was checked (shared/wire/proof.h). */
void seal_begin_by_password(Seal *to_node, Seal *from_node, const char *password,
                            Slice server_first);

/* Appends the tag of the frame that stands in the buffer behind its first bytes. */
void seal_put(Seal *seal, Buffer *buffer, size_t first);

/* Checks the tag at the end of bytes, and overwrites it; the frame is what stands before it. False:
 * these bytes are not what was sent next. */
bool seal_open(Seal *seal, uint8_t *bytes, size_t length);

#endif
