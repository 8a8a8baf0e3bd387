/*
 * SaltedPassword: what SCRAM makes of a password (RFC 5802 section 3), for the end that checks a
 * login and for the one that needs a key of it.
 */
#ifndef SHARED_BASE_SALTED_PASSWORD_H
#define SHARED_BASE_SALTED_PASSWORD_H

#include "shared/base/bytes.h"

enum
{
    SALTED_PASSWORD_BYTES = 32
};

/* Hi() with HMAC-SHA-256, one block; the password's bytes as they are, which for ASCII is what
 * SASLprep makes of them. 4,096 iterations cost milliseconds. */
void salted_password(uint8_t salted[SALTED_PASSWORD_BYTES], const char *password, Slice salt,
                     uint32_t iterations);

/* The key of that name, as "Client Key" and "Server Key". */
void salted_password_key(uint8_t key[SALTED_PASSWORD_BYTES],
                         const uint8_t salted[SALTED_PASSWORD_BYTES], const char *name);

#endif
