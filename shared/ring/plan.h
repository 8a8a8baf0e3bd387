/*
 * plan: what the staged changes of a topology would do, and the document that does it.
 *
 * Pure: every node that makes a plan from one document and the same facts gets the same plan. The
 * figures count replicas over preference lists of n, the largest n of any bucket (CLAIM_REPLICAS
 * where there is none, and no more than there are members).
 */
#ifndef SHARED_RING_PLAN_H
#define SHARED_RING_PLAN_H

#include "shared/ring/topology.h"

/* What a topology does not know. Each may be NULL: then all are up, all are ready, no sizes. */
typedef struct PlanFacts
{
    const bool *up;                  /* by slot */
    const bool *ready;               /* by slot: a joining member that may become an owner */
    const uint64_t *partition_bytes; /* by partition: of one replica, over all buckets */
} PlanFacts;

/* A bucket of which members that are given up had the only replicas. */
typedef struct PlanLoss
{
    const Bucket *bucket;
    uint32_t partitions;
} PlanLoss;

typedef struct Plan
{
    /* Sentences as an error has them: why it cannot be committed, or NULL; and what would work. */
    const char *refusal;
    const char *hint;

    /* The rest is there when nothing is refused. */
    Member *members;  /* by slot, as they are to be */
    uint16_t *target; /* by partition */
    bool moves;       /* target is not the claim in force */
    uint32_t n;
    uint32_t *before; /* by slot: replicas */
    uint32_t *after;
    uint32_t *gained; /* by slot: replicas to be copied to it */
    uint64_t *bytes;  /* by slot: what those have; all 0 without sizes */
    uint32_t gained_in_all;
    uint64_t bytes_in_all;
    double balance_before; /* as ClaimMeasure has it */
    double balance_after;
    uint32_t zone_faults_before;
    uint32_t zone_faults_after;
    PlanLoss *losses;
    uint32_t loss_count;
} Plan;

/* The plan borrows from the topology and lives in the arena. */
Plan plan_make(const Topology *topology, const PlanFacts *facts, Arena *arena);

/*
 * Why a change cannot be added to the plan, or NULL; *hint is set with it. A change takes the place
 * of an earlier one of its kind and member, and is then not refused for that.
 */
const char *plan_staging_fault(const Topology *topology, const StagedChange *change,
                               const PlanFacts *facts, const char **hint, Arena *arena);

/*
 * Appends the document of epoch + 1 with the change staged. newcomer, unless it is NULL, is taken
 * in with it, as a joining member: it is the one that joins or takes over, and has the next slot.
 */
void plan_encode_staged(Buffer *document, const Topology *topology, const StagedChange *change,
                        const Member *newcomer, Arena *arena);

/* Appends the document of epoch + 1 that carries out a plan which is not refused. */
void plan_encode_commit(Buffer *document, const Topology *topology, const Plan *plan, Arena *arena);

/*
 * CLEAR PLAN: appends the document of epoch + 1 in which nothing is staged, and nothing moves.
 * NULL, or why that cannot be: a partition's new owners count already, or a member was declared
 * gone.
 */
const char *plan_encode_clear(Buffer *document, const Topology *topology, const char **hint,
                              Arena *arena);

/* How far the members are with a plan under way, in the epoch in force; by slot. */
typedef struct PlanProgress
{
    /* A bit a partition, p & 7 of byte p >> 3: the member has done what the partition's step asks
     * of it. Who enters is filled (TOPOLOGY_FILLING), or ready to answer (TOPOLOGY_HANDING); who
     * leaves has dropped what it had (TOPOLOGY_MOVED). NULL: nothing that is known of. */
    const uint8_t *const *done;
    const bool *ready; /* of one that leaves: it keeps nothing for others */
} PlanProgress;

/* Of a plan under way: a member that enters or leaves a partition. */
typedef struct PlanTransfer
{
    uint32_t partition;
    uint32_t slot;
    bool enters;
    uint64_t next; /* where the search goes on; 0 at first */
} PlanTransfer;

/* Finds the next one, by partition, those that leave before those that enter; false: there is none.
 */
bool plan_next_transfer(const Topology *topology, PlanTransfer *transfer);

/* Something can be put into the next document. Nobody waits for a member that was given up. */
bool plan_goes_on(const Topology *topology, const PlanProgress *progress);

/*
 * Appends the document of epoch + 1 of a plan that goes on. Each partition that can takes its next
 * step. When all are there the target becomes the claim, and who goes out has left; so it does when
 * it had no partition to begin with, and nothing moved.
 */
void plan_encode_next(Buffer *document, const Topology *topology, const PlanProgress *progress,
                      Arena *arena);

#endif
