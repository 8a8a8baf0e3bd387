/*
 * Rounds: all pairs with one peer, one after the other, and nothing kept for any of them but where
 * the round is.
 *
 * Two nodes that mend the same peer at the same time begin at different places, and the second to
 * come to one finds it mended.
 */
#include "node/engine/repair/antientropy_private.h"

enum
{
    LOOKED_AT_ONCE = 65536 /* partitions, most of which may be the peer's alone */
};

static TreeId
starting_place(const View *view, const Peer *peer)
{
    const Topology *topology = view->topology;
    uint64_t places = (uint64_t)topology->bucket_count * topology->partitions;
    uint64_t place = antientropy_phase(view, peer, places);

    return (TreeId){topology->buckets[place / topology->partitions].id,
                    (uint32_t)(place % topology->partitions)};
}

void
antientropy_begin_round(Antientropy *antientropy, const View *view, uint32_t member,
                        uint64_t since_ms)
{
    const Topology *topology = view->topology;
    Peer *peer = &antientropy->peers[member];
    PairRound *round = &peer->round;

    peer->round_ms = view->now_ms;
    if (topology->bucket_count == 0 || peer->shared[TOPOLOGY_N_MAX] == 0)
        return;
    if (!round->active)
        *round = (PairRound){.number = round->number, .at = starting_place(view, peer)};
    round->active = true;
    round->number++;
    round->since_ms = since_ms > round->since_ms ? since_ms : round->since_ms;
    round->began_ms = view->wall_ms;
    round->last_bucket = topology->buckets[topology->bucket_count - 1].id;
    round->start = round->at;
    round->wrapped = false;
}

bool
antientropy_round_has(const PairRound *round, TreeId id)
{
    if (!round->active)
        return false;
    if (round->wrapped)
        return tree_id_compare(id, round->at) >= 0 && tree_id_compare(id, round->start) < 0;
    return tree_id_compare(id, round->at) >= 0 || tree_id_compare(id, round->start) < 0;
}

/* The pair is compared by somebody already, or was. */
static bool
is_passed_over(const PairRound *round, Pair *pair)
{
    if (pair == NULL)
        return false;
    if (pair->working)
        pair->again = true;
    return pair->working || pair->queued ||
           (pair->equal_at_ms != 0 && pair->equal_at_ms >= round->since_ms);
}

static void
take(Antientropy *antientropy, Lane *lane, const PairRound *round, TreeId id)
{
    Pair *pair = antientropy_find_pair(antientropy, lane->peer, id);

    if (is_passed_over(round, pair))
        return;
    lane->roots[lane->root_count++] = id;
    if (pair == NULL)
        return;
    pair->working = true;
    pair->again = false;
    pair->status.state = REPAIR_COMPARING;
}

/* Goes on to the first place of the bucket of that index, or of the first one. */
static void
go_to(PairRound *round, const Topology *topology, uint32_t index)
{
    if (index < topology->bucket_count)
        round->at = (TreeId){topology->buckets[index].id, 0};
    else if (round->wrapped || topology->bucket_count == 0)
        round->active = false;
    else
    {
        round->wrapped = true;
        round->at = (TreeId){topology->buckets[0].id, 0};
    }
}

/* Looks at one place, or at none where a bucket is gone. */
static void
look(Antientropy *antientropy, Lane *lane, const View *view, PairRound *round)
{
    const Topology *topology = view->topology;
    uint32_t index = topology_bucket_index(topology, round->at.bucket_id);

    if (round->wrapped && tree_id_compare(round->at, round->start) >= 0)
        round->active = false;
    else if (index == topology->bucket_count || topology->buckets[index].id != round->at.bucket_id)
        go_to(round, topology, index);
    else
    {
        const Bucket *bucket = &topology->buckets[index];

        if (antientropy_shares(antientropy, lane->peer, bucket, round->at.partition))
            take(antientropy, lane, round, round->at);
        if (++round->at.partition == topology->partitions)
            go_to(round, topology, index + 1);
    }
}

void
antientropy_take_round(Antientropy *antientropy, Lane *lane, const View *view)
{
    Peer *peer = &antientropy->peers[lane->peer];
    PairRound *round = &peer->round;

    peer->round_before = *round;
    for (uint32_t looked = 0;
         looked < LOOKED_AT_ONCE && round->active && lane->root_count < ANTIENTROPY_ROOTS_MAX;
         looked++)
        look(antientropy, lane, view, round);
    lane->ends_round = peer->round_before.active && !round->active;
}

void
antientropy_pass_round(Antientropy *antientropy, const Lane *lane)
{
    Peer *peer = &antientropy->peers[lane->peer];
    const PairRound *round = &peer->round_before;

    peer->round_failure = STATUS_OK;
    if (!lane->ends_round || peer->round.number != round->number)
        return;
    peer->covered_ms = round->began_ms;
    peer->covered_bucket = round->last_bucket;
}

/* A round that was begun anew meanwhile comes to these by itself. */
void
antientropy_rewind_round(Antientropy *antientropy, const Lane *lane, StatusCode failure)
{
    Peer *peer = &antientropy->peers[lane->peer];

    if (!peer->round_before.active)
        return;
    peer->round_failure = failure;
    if (peer->round.number == peer->round_before.number)
        peer->round = peer->round_before;
}
