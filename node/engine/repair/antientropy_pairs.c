/*
 * The pairs: which there are, by the topology, and what is known of some of them.
 *
 * A pair is made when there is something to remember of it: its roots differed or were compared
 * while it has rows, or it was asked for. Of all others no more is known than when the last round
 * with their peer went over them; nothing is kept for them, and nothing is done for them when a
 * topology is taken up.
 */
#include "node/engine/repair/antientropy_private.h"

#include <string.h>

enum
{
    CHAINS_MIN = 64,     /* a power of two */
    SWEPT_AT_ONCE = 4096 /* chains */
};

/* ---- the table ---- */

static uint32_t
chain_of(const PairTable *table, uint32_t member, TreeId id)
{
    uint64_t mixed = ((uint64_t)id.bucket_id << 32 | (id.partition << 8 ^ member)) *
                     UINT64_C(0x9e3779b97f4a7c15);

    return (uint32_t)(mixed >> 32) & (table->chain_count - 1);
}

static void
insert(PairTable *table, Pair *pair)
{
    TreeId id = {pair->status.bucket_id, pair->status.partition};
    Pair **chain = &table->chains[chain_of(table, pair->member, id)];

    pair->chain = *chain;
    *chain = pair;
}

static void
set_chains(PairTable *table, uint32_t count)
{
    PairTable old = *table;

    table->chain_count = count;
    table->chains = memory_resize(&MEMORY_HEAP, NULL, count * sizeof(Pair *));
    memset(table->chains, 0, count * sizeof(Pair *));
    for (uint32_t i = 0; i < old.chain_count; i++)
    {
        for (Pair *pair = old.chains[i], *next; pair != NULL; pair = next)
        {
            next = pair->chain;
            insert(table, pair);
        }
    }
    memory_resize(&MEMORY_HEAP, old.chains, 0);
}

Pair *
antientropy_find_pair(const Antientropy *antientropy, uint32_t member, TreeId id)
{
    const PairTable *table = &antientropy->pairs;
    Pair *pair = table->count > 0 ? table->chains[chain_of(table, member, id)] : NULL;

    while (pair != NULL && (pair->member != member || pair->status.bucket_id != id.bucket_id ||
                            pair->status.partition != id.partition))
        pair = pair->chain;
    return pair;
}

Pair *
antientropy_make_pair(Antientropy *antientropy, uint32_t member, TreeId id)
{
    PairTable *table = &antientropy->pairs;
    Pair *pair = antientropy_find_pair(antientropy, member, id);

    if (pair != NULL)
        return pair;
    if (table->count >= table->chain_count)
        set_chains(table, table->chain_count > 0 ? 2 * table->chain_count : CHAINS_MIN);
    pair = memory_resize(&MEMORY_HEAP, NULL, sizeof(Pair));
    *pair = (Pair){
        .status = {.peer = antientropy->peers[member].id,
                   .bucket_id = id.bucket_id,
                   .partition = id.partition},
        .member = member,
        .mend = POSITION_RANGE_NONE,
        .mended = POSITION_RANGE_NONE
    };
    insert(table, pair);
    table->count++;
    return pair;
}

Pair *
antientropy_pair_with_rows(Antientropy *antientropy, const View *view, uint32_t member, TreeId id)
{
    Pair *pair = antientropy_find_pair(antientropy, member, id);
    TreeSum sum;

    if (pair != NULL || !trees_sum(view->trees, id, (TreePart){0}, &sum) || sum.rows == 0)
        return pair;
    return antientropy_is_pair(antientropy, view, member, id)
               ? antientropy_make_pair(antientropy, member, id)
               : NULL;
}

void
antientropy_queue_failed(Antientropy *antientropy, uint32_t member)
{
    const PairTable *table = &antientropy->pairs;

    for (uint32_t i = 0; i < table->chain_count && antientropy->peers[member].failed > 0; i++)
    {
        for (Pair *pair = table->chains[i]; pair != NULL; pair = pair->chain)
        {
            if (pair->member == member && pair->status.failure != STATUS_OK)
                antientropy_queue(antientropy, pair);
        }
    }
}

/* Nothing is to be remembered of a pair that is none any more; one that is queued or at work is
 * left to a later sweep. */
static bool
is_over(const View *view, const Pair *pair)
{
    return !pair->queued && !pair->working &&
           topology_bucket_by_id(view->topology, pair->status.bucket_id) == NULL;
}

static void
sweep_chain(Antientropy *antientropy, const View *view, Pair **place)
{
    while (*place != NULL)
    {
        Pair *pair = *place;

        if (!is_over(view, pair))
        {
            place = &pair->chain;
            continue;
        }
        *place = pair->chain;
        antientropy->peers[pair->member].failed -= pair->status.failure != STATUS_OK;
        antientropy->pairs.count--;
        memory_resize(&MEMORY_HEAP, pair, 0);
    }
}

void
antientropy_sweep_pairs(Antientropy *antientropy, const View *view)
{
    PairTable *table = &antientropy->pairs;

    for (uint32_t i = 0; i < SWEPT_AT_ONCE && table->sweep > 0; i++)
    {
        if (--table->sweep < table->chain_count)
            sweep_chain(antientropy, view, &table->chains[table->sweep]);
    }
}

void
antientropy_free_pairs(Antientropy *antientropy)
{
    PairTable *table = &antientropy->pairs;

    for (uint32_t i = 0; i < table->chain_count; i++)
    {
        for (Pair *pair = table->chains[i], *next; pair != NULL; pair = next)
        {
            next = pair->chain;
            memory_resize(&MEMORY_HEAP, pair, 0);
        }
    }
    memory_resize(&MEMORY_HEAP, table->chains, 0);
    *table = (PairTable){.chains = NULL};
    for (uint32_t i = 0; i < antientropy->peer_count; i++)
        memory_resize(&MEMORY_HEAP, antientropy->peers[i].ranks, 0);
    memory_resize(&MEMORY_HEAP, antientropy->peers, 0);
    memory_resize(&MEMORY_HEAP, antientropy->claim, 0);
}

/* ---- which pairs there are ---- */

bool
antientropy_shares(const Antientropy *antientropy, uint32_t member, const Bucket *bucket,
                   uint32_t partition)
{
    const Peer *peer = &antientropy->peers[member];

    return peer->ranks[partition] < bucket->n;
}

static uint32_t
antientropy_shared(const Antientropy *antientropy, uint32_t member, const Bucket *bucket)
{
    return antientropy->peers[member].shared[bucket->n];
}

bool
antientropy_is_pair(const Antientropy *antientropy, const View *view, uint32_t member, TreeId id)
{
    const Bucket *bucket = topology_bucket_by_id(view->topology, id.bucket_id);

    return bucket != NULL && member < antientropy->peer_count &&
           id.partition < view->topology->partitions &&
           antientropy_shares(antientropy, member, bucket, id.partition);
}

/* Places of this node and the peer in a preference list: the later of both. */
static uint8_t
rank_of(const View *view, uint32_t member, uint32_t partition)
{
    uint64_t start = ring_partition_start(partition, view->topology->partitions);
    uint16_t list[TOPOLOGY_N_MAX];
    uint32_t count = topology_preference(view->topology, start, list, TOPOLOGY_N_MAX);
    uint8_t rank = ANTIENTROPY_NO_RANK;
    uint32_t found = 0;

    for (uint8_t i = 0; i < count; i++)
    {
        if (list[i] != view->self && list[i] != member)
            continue;
        rank = i;
        found++;
    }
    return found == 2 ? rank : ANTIENTROPY_NO_RANK;
}

static void
rank_partitions(const View *view, uint32_t member, Peer *peer)
{
    uint32_t partitions = view->topology->partitions;

    peer->ranks = memory_resize(&MEMORY_HEAP, peer->ranks, partitions);
    memset(peer->shared, 0, sizeof(peer->shared));
    for (uint32_t partition = 0; partition < partitions; partition++)
    {
        uint8_t rank =
            member == view->self ? ANTIENTROPY_NO_RANK : rank_of(view, member, partition);

        peer->ranks[partition] = rank;
        for (uint32_t n = (uint32_t)rank + 1; n <= TOPOLOGY_N_MAX; n++)
            peer->shared[n]++;
    }
}

/* What was known of a peer before stays known. */
static Peer
take_peer(Antientropy *antientropy, const MemberId *id)
{
    for (uint32_t i = 0; i < antientropy->peer_count; i++)
    {
        Peer known = antientropy->peers[i];

        if (memcmp(&known.id, id, sizeof(MemberId)) != 0)
            continue;
        antientropy->peers[i].ranks = NULL;
        known.unknown = known.differing = (PairQueue){NULL, NULL};
        known.comparing_roots = false;
        known.failed = 0;
        return known;
    }
    return (Peer){.id = *id};
}

/* ---- a topology is taken up ---- */

static bool
owners_changed(const Antientropy *antientropy, const View *view)
{
    const Topology *topology = view->topology;

    if (antientropy->peer_count != topology->member_count || antientropy->self != view->self ||
        antientropy->claim_count != topology->partitions ||
        memcmp(antientropy->claim, topology->claim, sizeof(uint16_t) * topology->partitions) != 0)
        return true;
    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        if (memcmp(&antientropy->peers[i].id, &topology->members[i].id, sizeof(MemberId)) != 0)
            return true;
    }
    return false;
}

/* Pairs of a lane's roots wait again: theirs, or what lies behind, may be others. */
static void
leave_roots(Antientropy *antientropy, Lane *lane)
{
    for (uint32_t i = 0; i < lane->root_count; i++)
    {
        Pair *pair = antientropy_find_pair(antientropy, lane->peer, lane->roots[i]);

        if (pair == NULL || !pair->working)
            continue;
        pair->working = false;
        pair->queued = true;
    }
    antientropy_rewind_round(antientropy, lane, STATUS_OK);
    antientropy_free_lane(antientropy, lane);
}

/* By number, of the members before: what they are now. */
static void
renumber_lanes(Antientropy *antientropy, const Topology *topology)
{
    for (uint32_t i = 0; i < ANTIENTROPY_LANES; i++)
    {
        Lane *lane = &antientropy->lanes[i];

        if (lane->state == LANE_FREE)
            continue;
        if (lane->state == LANE_ROOTS)
            leave_roots(antientropy, lane);
        else
            lane->peer = topology_member(topology, &antientropy->peers[lane->peer].id);
    }
}

static void
free_lane_of(Antientropy *antientropy, const Pair *pair)
{
    for (uint32_t i = 0; i < ANTIENTROPY_LANES; i++)
    {
        Lane *lane = &antientropy->lanes[i];

        if (lane->state != LANE_FREE && lane->state != LANE_ROOTS && lane->pair == pair)
            antientropy_free_lane(antientropy, lane);
    }
}

/* Puts all pairs that are still such into a new table, under the numbers that members have now. */
static void
renew_pairs(Antientropy *antientropy, const View *view)
{
    PairTable old = antientropy->pairs;

    antientropy->pairs = (PairTable){.chains = NULL};
    antientropy->queued = 0;
    if (old.count > 0)
        set_chains(&antientropy->pairs, old.chain_count);
    for (uint32_t i = 0; i < old.chain_count; i++)
    {
        for (Pair *pair = old.chains[i], *next; pair != NULL; pair = next)
        {
            TreeId id = {pair->status.bucket_id, pair->status.partition};
            bool queued = pair->queued;

            next = pair->chain;
            pair->member = topology_member(view->topology, &pair->status.peer);
            pair->queued = false;
            if (!antientropy_is_pair(antientropy, view, pair->member, id))
            {
                free_lane_of(antientropy, pair);
                memory_resize(&MEMORY_HEAP, pair, 0);
                continue;
            }
            insert(&antientropy->pairs, pair);
            antientropy->pairs.count++;
            antientropy->peers[pair->member].failed += pair->status.failure != STATUS_OK;
            if (queued)
                antientropy_queue(antientropy, pair);
        }
    }
    memory_resize(&MEMORY_HEAP, old.chains, 0);
}

static void
renew_peers(Antientropy *antientropy, const View *view)
{
    const Topology *topology = view->topology;
    size_t claim_bytes = sizeof(uint16_t) * topology->partitions;
    Peer *peers = memory_resize(&MEMORY_HEAP, NULL, (topology->member_count + 1) * sizeof(Peer));

    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        peers[i] = take_peer(antientropy, &topology->members[i].id);
        rank_partitions(view, i, &peers[i]);
    }
    for (uint32_t i = 0; i < antientropy->peer_count; i++)
        memory_resize(&MEMORY_HEAP, antientropy->peers[i].ranks, 0);
    memory_resize(&MEMORY_HEAP, antientropy->peers, 0);
    antientropy->peers = peers;
    antientropy->peer_count = topology->member_count;
    antientropy->self = view->self;
    antientropy->claim = memory_resize(&MEMORY_HEAP, antientropy->claim, claim_bytes);
    antientropy->claim_count = topology->partitions;
    memcpy(antientropy->claim, topology->claim, claim_bytes);
}

/* A lane whose bucket is gone has nothing left to do. */
static void
drop_lanes(Antientropy *antientropy, const View *view)
{
    for (uint32_t i = 0; i < ANTIENTROPY_LANES; i++)
    {
        Lane *lane = &antientropy->lanes[i];

        if (lane->state == LANE_FREE || lane->state == LANE_ROOTS ||
            topology_bucket_by_id(view->topology, lane->pair->status.bucket_id) != NULL)
            continue;
        lane->pair->working = false;
        antientropy_free_lane(antientropy, lane);
    }
}

void
antientropy_follow(Antientropy *antientropy, const View *view)
{
    if (antientropy->epoch == view->topology->epoch)
        return;
    antientropy->epoch = view->topology->epoch;
    if (owners_changed(antientropy, view))
    {
        renumber_lanes(antientropy, view->topology);
        renew_peers(antientropy, view);
        renew_pairs(antientropy, view);
    }
    drop_lanes(antientropy, view);
    antientropy->pairs.sweep = antientropy->pairs.chain_count;
}

/* ---- status ---- */

uint32_t
antientropy_pair_count(const Antientropy *antientropy, const View *view, uint32_t member)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < view->topology->bucket_count && member < antientropy->peer_count; i++)
        count += antientropy_shared(antientropy, member, &view->topology->buckets[i]);
    return count;
}

uint32_t
antientropy_status_count(const Antientropy *antientropy, const View *view)
{
    uint32_t count = 0;

    for (uint32_t member = 0; member < antientropy->peer_count; member++)
        count += antientropy_pair_count(antientropy, view, member);
    return count;
}

static const Lane *
lane_at(const Antientropy *antientropy, const Pair *pair)
{
    for (uint32_t i = 0; i < ANTIENTROPY_LANES; i++)
    {
        const Lane *lane = &antientropy->lanes[i];

        if (lane->state != LANE_FREE && lane->state != LANE_ROOTS && lane->pair == pair)
            return lane;
    }
    return NULL;
}

/* What the round with the peer has to say of a pair that nothing else is done about. */
static void
add_round(const Peer *peer, TreeId id, RepairStatus *status)
{
    if (status->state != REPAIR_IDLE)
        return;
    if (antientropy_round_has(&peer->round, id))
        status->state = REPAIR_WAITING;
    else if (peer->comparing_roots && antientropy_round_has(&peer->round_before, id))
        status->state = REPAIR_COMPARING;
    if (status->state != REPAIR_IDLE && status->failure == STATUS_OK)
        status->failure = peer->round_failure;
}

static RepairStatus
status_of(const Antientropy *antientropy, const View *view, uint32_t member, TreeId id)
{
    const Peer *peer = &antientropy->peers[member];
    const Pair *pair = antientropy_find_pair(antientropy, member, id);
    RepairStatus status = {.peer = peer->id, .bucket_id = id.bucket_id, .partition = id.partition};
    const Lane *lane;

    if (pair != NULL)
        status = pair->status;
    else if (id.bucket_id <= peer->covered_bucket)
        status.compared_ms = status.equal_ms = peer->covered_ms;
    add_round(peer, id, &status);
    lane = pair != NULL ? lane_at(antientropy, pair) : NULL;
    if (lane == NULL)
        return status;
    status.parts_done = lane->parts_done;
    status.parts_total = lane->parts_total;
    if (lane->parts_done > 0)
        status.time_left_ms = (view->now_ms - lane->began_ms) *
                              (lane->parts_total - lane->parts_done) / lane->parts_done;
    return status;
}

RepairCursor
antientropy_seek(const Antientropy *antientropy, const View *view, uint32_t index)
{
    RepairCursor cursor = {0};

    while (cursor.member < antientropy->peer_count)
    {
        uint32_t count = cursor.bucket < view->topology->bucket_count
                             ? antientropy_shared(antientropy, cursor.member,
                                                  &view->topology->buckets[cursor.bucket])
                             : 0;

        if (cursor.bucket >= view->topology->bucket_count)
            cursor = (RepairCursor){.member = cursor.member + 1};
        else if (index < count)
            break;
        else
        {
            index -= count;
            cursor.bucket++;
        }
    }
    for (RepairStatus passed; index > 0; index--)
        (void)antientropy_next_status(antientropy, view, &cursor, &passed);
    return cursor;
}

bool
antientropy_next_status(const Antientropy *antientropy, const View *view, RepairCursor *cursor,
                        RepairStatus *status)
{
    const Topology *topology = view->topology;

    while (cursor->member < antientropy->peer_count)
    {
        const Bucket *bucket =
            cursor->bucket < topology->bucket_count ? &topology->buckets[cursor->bucket] : NULL;
        uint32_t partition = cursor->partition++;

        if (bucket == NULL)
            *cursor = (RepairCursor){.member = cursor->member + 1};
        else if (partition >= topology->partitions)
            *cursor = (RepairCursor){.member = cursor->member, .bucket = cursor->bucket + 1};
        else if (antientropy_shares(antientropy, cursor->member, bucket, partition))
        {
            *status = status_of(antientropy, view, cursor->member, (TreeId){bucket->id, partition});
            return true;
        }
    }
    return false;
}
