/*
 * FarEnd: a scripted server on a loopback socket at the other end of a link, so that each step of
 * the wire can be made to fail; in clear or under TLS. The user is "u", the password "secret".
 */
#ifndef TEST_UNIT_NODE_SERVER_FAR_END_H
#define TEST_UNIT_NODE_SERVER_FAR_END_H

#include "node/config/scram.h"
#include "node/server/tls.h"
#include "shared/wire/link.h"
#include "shared/wire/seal.h"

#define FAR_END_DEADLINE_MS 5000

typedef struct FarEnd
{
    int listener;
    int client; /* -1: none yet */
    char port[16];
    TlsContext *tls_context; /* NULL: in clear */
    Tls *tls;
    Buffer in;            /* what the client sent and the test has not looked at */
    const Memory *memory; /* the link's */
    Link *link;
    ScramExchange scram;
    Seal to_node; /* in clear, of frames: they are sealed and opened on the way */
    Seal from_node;
} FarEnd;

uint64_t far_end_now_ms(void);

void far_end_start(FarEnd *end, bool over_tls);
void far_end_stop(FarEnd *end);
void far_end_hang_up(FarEnd *end);

/* Opens the link; in clear with nothing said of it, as links are by default. */
void far_end_open_link(FarEnd *end);

/* Waits until one of the two ends has something to do, and lets it. */
void far_end_turn(FarEnd *end);

void far_end_await_bytes(FarEnd *end, size_t count);
LinkState far_end_await_state(FarEnd *end, LinkState state);

/* Takes the startup packet; over TLS the handshake before it. */
void far_end_await_startup(FarEnd *end);

/* Takes one message of the given type and gives its body. */
void far_end_await_message(FarEnd *end, char type, Buffer *body);

void far_end_say(FarEnd *end, char type, const void *body, size_t length);

/* A message as it is, though it be a frame. */
void far_end_say_bare(FarEnd *end, char type, const void *body, size_t length);

/* An authentication request. */
void far_end_request(FarEnd *end, uint32_t code, const void *body, size_t length);

/* As an honest server: to server-first, then to server-final, whose text is in final. */
void far_end_begin_scram(FarEnd *end);
void far_end_prove(FarEnd *end, Buffer *final);

void far_end_log_in(FarEnd *end);
void far_end_begin_stream(FarEnd *end);

#endif
