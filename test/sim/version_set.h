/*
 * version_set: explicit sets of the versions of one key, the checker's own notion of cause and
 * effect.
 *
 * The product orders versions by dots and vectors; the checker by these sets and nothing else.
 */
#ifndef SIM_VERSION_SET_H
#define SIM_VERSION_SET_H

#include <stdbool.h>
#include <stdint.h>

enum
{
    VERSION_SET_WORDS = 16,
    VERSION_SET_MAX = VERSION_SET_WORDS * 64 /* versions of one key */
};

typedef struct VersionSet
{
    uint64_t words[VERSION_SET_WORDS];
} VersionSet;

static inline void
version_set_add(VersionSet *set, uint32_t version)
{
    set->words[version / 64] |= UINT64_C(1) << (version % 64);
}

static inline void
version_set_remove(VersionSet *set, uint32_t version)
{
    set->words[version / 64] &= ~(UINT64_C(1) << (version % 64));
}

static inline void
version_set_keep(VersionSet *set, const VersionSet *other)
{
    for (uint32_t i = 0; i < VERSION_SET_WORDS; i++)
        set->words[i] &= other->words[i];
}

static inline bool
version_set_has(const VersionSet *set, uint32_t version)
{
    return (set->words[version / 64] >> (version % 64)) & 1;
}

static inline void
version_set_merge(VersionSet *into, const VersionSet *other)
{
    for (uint32_t i = 0; i < VERSION_SET_WORDS; i++)
        into->words[i] |= other->words[i];
}

/* The least version that is in set and not in other; VERSION_SET_MAX when there is none. */
static inline uint32_t
version_set_first_outside(const VersionSet *set, const VersionSet *other)
{
    for (uint32_t i = 0; i < VERSION_SET_WORDS; i++)
    {
        uint64_t rest = set->words[i] & ~other->words[i];

        if (rest != 0)
            return i * 64 + (uint32_t)__builtin_ctzll(rest);
    }
    return VERSION_SET_MAX;
}

#endif
