/*
 * claim_private: a claim on its way from the one in force to the one for the members as they are to
 * be. claim.c says how many partitions each member is to have; claim_stand.c which, so that members
 * stand apart; claim_level.c evens out the loads where they cannot.
 */
#ifndef SHARED_RING_CLAIM_PRIVATE_H
#define SHARED_RING_CLAIM_PRIVATE_H

#include "shared/ring/claim.h"

enum
{
    CLAIM_NEAR_COST = 1000, /* what each fault costs: a member twice among CLAIM_REPLICAS */
    CLAIM_ZONE_COST = 100   /* each zone that a list of CLAIM_REPLICAS could have and has not */
};

/* Members are numbered in the order of their slots; those that leave have no number. */
typedef struct Draft
{
    uint32_t partitions;
    const uint16_t *claim; /* in force, as slots */
    const uint16_t *was;   /* the same as numbers; CLAIM_NOBODY: of one that does not stay */
    uint16_t *now;         /* as it is to be; CLAIM_NOBODY: not yet given */
    const ClaimMember *members;
    uint32_t member_count;
    uint32_t *held;         /* by member: partitions that it has in force */
    uint32_t *quotas;       /* by member: partitions that it is to have */
    uint8_t *windows;       /* by member: it should not come twice within so many neighbours */
    uint32_t *zones;        /* by member: equal for members of one zone */
    uint8_t *zone_windows;  /* by member: its zone should not come twice within so many */
    uint32_t zones_in_list; /* that a list of CLAIM_REPLICAS could have */
    uint32_t extra_moves;   /* partitions that may yet move besides those that must */
    uint32_t *costs;        /* by partition, of the member that stands there */
} Draft;

/* Takes from each member what it has over its quota. */
void claim_stand_vacate(Draft *draft, Arena *arena);

/* Gives the partitions that nobody has to the members that are short of their quotas. */
void claim_stand_fill(Draft *draft, Arena *arena);

/*
 * Exchanges partitions, until nothing gains any more, to mend those that cost least_cost and more.
 * What moves nothing is done for every gain, and what moves something when pays says so.
 */
void claim_stand_mend(Draft *draft, uint32_t least_cost, bool pays);

/* Fills draft->costs. */
void claim_stand_cost(Draft *draft);

/* What the member of a partition costs there: faults with its neighbours. */
uint32_t claim_stand_cost_of(const Draft *draft, uint32_t partition);

void claim_stand_swap(Draft *draft, uint32_t a, uint32_t b);

/* A number that looks like chance and is the same everywhere. */
uint64_t claim_stand_chance(uint64_t a, uint64_t b);

/*
 * Exchanges partitions, when members could not all be kept from standing beside themselves, until
 * none is in more lists than it should. As many replicas move at most as C2 allows where must_move
 * partitions must move.
 */
void claim_level(Draft *draft, uint32_t must_move, Arena *arena);

/* By slot: the number of the member, its place in members; CLAIM_NOBODY for other slots. */
uint16_t *claim_numbers(const ClaimMember *members, uint32_t member_count, Arena *arena);

#endif
