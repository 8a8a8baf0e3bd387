/*
 * claim: which member has which partition, when members come, go or change (Dynamo 6.2, strategy 3:
 * Q equal partitions).
 *
 * A claim is an array with a slot for each partition. claim_plan() goes from the claim in force to
 * one for the members as they are to be. The rules, the more important first:
 *
 *  C1   Every member has its weight's share of the partitions, rounded down or up, but one at least
 *       where there are enough, and at most one in CLAIM_REPLICAS where there are more members than
 *       that: a list has a member only once. A member that leaves, or is not named, has none.
 *  C2   What moves is what members are short of, and a tenth of that at most for C3. Moves are
 *       counted in replicas, over preference lists of CLAIM_REPLICAS.
 *  C3   No member comes twice among CLAIM_REPLICAS neighbours: then these are the owners of a
 *       partition, and a member's load follows from its partitions alone. Where that cannot be had,
 *       the loads are kept even all the same. And as few lists as possible stand in fewer zones
 *       than they could.
 *  C4   No member and no zone comes twice among CLAIM_SPACING neighbours, as far as that moves
 *       nothing and leaves a choice of members for a place: a place that suits one member alone
 *       is lost when that one goes.
 *
 * The ring has no end: C3 and C4 hold for the last partition and the first as well. A zone with
 * more than a third of all partitions cannot be kept out of lists that have it already; balance
 * comes first. Owners are distinct whatever a claim says: ring_walk() skips a member that it has
 * met.
 *
 * Equal input gives equal output on every machine, in whatever order the members are passed: the
 * arithmetic is in integers, and chance is a hash of slots.
 */
#ifndef SHARED_RING_CLAIM_H
#define SHARED_RING_CLAIM_H

#include "shared/base/arena.h"

#include <stdbool.h>
#include <stdint.h>

enum
{
    CLAIM_REPLICAS = 3, /* the length of the lists that loads, moves and zones are judged by */
    CLAIM_SPACING = 5,
    CLAIM_NOBODY = UINT16_MAX /* in place of a slot: the partition is nobody's */
};

typedef struct ClaimMember
{
    uint16_t slot;   /* below CLAIM_NOBODY; each member has its own */
    uint16_t zone;   /* members of one zone are kept apart; 0: it is in a zone by itself */
    uint32_t weight; /* share of partitions relative to the others; at least 1 */
    bool leaves;     /* it is to have nothing */
} ClaimMember;

/*
 * Fills target from the claim in force, whose entries are slots or CLAIM_NOBODY (all of them,
 * before a cluster's first claim). partitions is a power of two. zone_moves partitions may move
 * besides those of C2 to mend zones: for a plan that changes zones. With nothing to change, target
 * is the claim in force. False when no member stays; target is then not written.
 */
bool claim_plan(const uint16_t *claim, uint32_t partitions, const ClaimMember *members,
                uint32_t member_count, uint32_t zone_moves, Arena *arena, uint16_t *target);

/* What one slot has becomes another's, which has nothing: the least that can move. */
void claim_replace(uint16_t *claim, uint32_t partitions, uint16_t old_slot, uint16_t new_slot);

/*
 * The replicas that each member should have over lists of n, in units of 1 / CLAIM_LOAD_UNIT: its
 * weight's share, but not more than one in each list; the others share what is then left. 0 for
 * members that leave.
 */
enum
{
    CLAIM_LOAD_UNIT = 1024
};

uint64_t *claim_fair_loads(const ClaimMember *members, uint32_t member_count, uint32_t partitions,
                           uint32_t n, Arena *arena);

typedef struct ClaimMeasure
{
    uint32_t *replicas;   /* by member, as passed: lists of n that it is in */
    double balance;       /* the least fair load / load: mean / max where weights are equal */
    uint32_t zone_faults; /* lists that stand in fewer zones than they could */
} ClaimMeasure;

/* A claim that gives partitions to these members alone, with n = 1 for the partitions themselves.
 */
ClaimMeasure claim_measure(const uint16_t *claim, uint32_t partitions, const ClaimMember *members,
                           uint32_t member_count, uint32_t n, Arena *arena);

/*
 * The replicas that move from one claim to the other: how many members are in lists of n, at most
 * 16, in which they were not. gained, unless it is NULL, has a counter for each slot, added to.
 */
uint32_t claim_moves(const uint16_t *from, const uint16_t *to, uint32_t partitions, uint32_t n,
                     uint32_t *gained);

#endif
