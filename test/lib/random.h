/*
 * random: the one source of chance of a simulated run, a xoshiro256** generator. Equal seeds give
 * equal runs.
 */
#ifndef TEST_LIB_RANDOM_H
#define TEST_LIB_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Random
{
    uint64_t state[4];
} Random;

void random_seed(Random *random, uint64_t seed);
uint64_t random_next(Random *random);

/* A number from 0 to bound - 1; bound is at least 1. */
uint64_t random_below(Random *random, uint64_t bound);

/* A number from low to high, both included. */
uint64_t random_between(Random *random, uint64_t low, uint64_t high);
bool random_percent(Random *random, uint32_t percent);
bool random_per_million(Random *random, uint32_t per_million);

/* Mixes a number into 64 bits that look random: the same number always gives the same bits. */
uint64_t random_hash(uint64_t number);
void random_fill(Random *random, uint8_t *bytes, size_t count);

#endif
