/* Hi() and HMAC of SCRAM, from libsodium's pieces: libsodium has no PBKDF2 of its own. */
#include "shared/base/salted_password.h"

#include <sodium.h>
#include <string.h>

void
salted_password(uint8_t salted[SALTED_PASSWORD_BYTES], const char *password, Slice salt,
                uint32_t iterations)
{
    static const uint8_t first_block[4] = {0, 0, 0, 1};
    crypto_auth_hmacsha256_state keyed;
    crypto_auth_hmacsha256_state state;
    uint8_t chained[SALTED_PASSWORD_BYTES];

    /* The key is hashed in once and the state copied: half the work of each iteration is saved. */
    crypto_auth_hmacsha256_init(&keyed, (const uint8_t *)password, strlen(password));
    state = keyed;
    crypto_auth_hmacsha256_update(&state, salt.data, salt.length);
    crypto_auth_hmacsha256_update(&state, first_block, sizeof(first_block));
    crypto_auth_hmacsha256_final(&state, chained);
    memcpy(salted, chained, sizeof(chained));
    for (uint32_t i = 1; i < iterations; i++)
    {
        state = keyed;
        crypto_auth_hmacsha256_update(&state, chained, sizeof(chained));
        crypto_auth_hmacsha256_final(&state, chained);
        for (size_t j = 0; j < sizeof(chained); j++)
            salted[j] ^= chained[j];
    }
    sodium_memzero(&keyed, sizeof(keyed));
    sodium_memzero(chained, sizeof(chained));
}

void
salted_password_key(uint8_t key[SALTED_PASSWORD_BYTES], const uint8_t salted[SALTED_PASSWORD_BYTES],
                    const char *name)
{
    crypto_auth_hmacsha256_state state;

    crypto_auth_hmacsha256_init(&state, salted, SALTED_PASSWORD_BYTES);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)name, strlen(name));
    crypto_auth_hmacsha256_final(&state, key);
}
