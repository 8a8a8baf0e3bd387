/* xoshiro256** by Blackman and Vigna, seeded by splitmix64. */
#include "test/lib/random.h"

uint64_t
random_hash(uint64_t number)
{
    number += 0x9e3779b97f4a7c15u;
    number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9u;
    number = (number ^ (number >> 27)) * 0x94d049bb133111ebu;
    return number ^ (number >> 31);
}

void
random_seed(Random *random, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++)
        random->state[i] = random_hash(seed * 4 + i);
}

static uint64_t
rotate(uint64_t word, unsigned bits)
{
    return (word << bits) | (word >> (64 - bits));
}

uint64_t
random_next(Random *random)
{
    uint64_t *state = random->state;
    uint64_t result = rotate(state[1] * 5, 7) * 9;
    uint64_t shifted = state[1] << 17;

    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate(state[3], 45);
    return result;
}

uint64_t
random_below(Random *random, uint64_t bound)
{
    return random_next(random) % bound;
}

uint64_t
random_between(Random *random, uint64_t low, uint64_t high)
{
    return low + random_below(random, high - low + 1);
}

bool
random_percent(Random *random, uint32_t percent)
{
    return random_below(random, 100) < percent;
}

bool
random_per_million(Random *random, uint32_t per_million)
{
    return per_million > 0 && random_below(random, 1000000) < per_million;
}

void
random_fill(Random *random, uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(random_next(random) >> 32);
}
