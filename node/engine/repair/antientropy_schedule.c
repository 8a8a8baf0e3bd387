/*
 * Who is compared when.
 *
 * Pairs wait in two queues of their peer: those whose roots are to be compared, many in one frame,
 * and those that differ, one for each free lane. Peers take turns.
 */
#include "node/engine/repair/antientropy_private.h"

#include <string.h>

enum
{
    FIRST_MS = 300000,      /* within which the first compare comes, where the interval is longer */
    BACK_MS = 1000,         /* after a peer is up again: others may have hints for it too */
    BACK_MOST_MS = 600000,  /* that hints for it are waited for */
    ROUND_LEAST_MS = 10000, /* between two rounds with a peer that misses writes again and again */
    PAUSE_MS = 300,
    REST_MS = 1000, /* after a failure */
    REST_MOST_MS = 30000
};

/* ---- queues ---- */

static void
push(Antientropy *antientropy, PairQueue *queue, Pair *pair)
{
    pair->next = NULL;
    if (queue->first == NULL)
        queue->first = pair;
    else
        queue->last->next = pair;
    queue->last = pair;
    antientropy->queued++;
}

static Pair *
pop(Antientropy *antientropy, PairQueue *queue)
{
    Pair *pair = queue->first;

    queue->first = pair->next;
    antientropy->queued--;
    pair->queued = false;
    pair->working = true;
    pair->again = false;
    pair->status.state = REPAIR_COMPARING;
    return pair;
}

/* NULL: its bucket was dropped since it was queued. */
static Pair *
pop_present(Antientropy *antientropy, const View *view, PairQueue *queue)
{
    Pair *pair = pop(antientropy, queue);

    if (topology_bucket_by_id(view->topology, pair->status.bucket_id) != NULL)
        return pair;
    pair->working = false;
    return NULL;
}

void
antientropy_queue(Antientropy *antientropy, Pair *pair)
{
    Peer *peer = &antientropy->peers[pair->member];
    bool known = pair->differs || !position_range_is_none(pair->mend);

    if (pair->working)
        pair->again = true;
    else if (!pair->queued)
    {
        pair->queued = true;
        pair->status.state = REPAIR_WAITING;
        push(antientropy, known ? &peer->differing : &peer->unknown, pair);
    }
}

uint64_t
antientropy_phase(const View *view, const Peer *peer, uint64_t span)
{
    MemberId both[2] = {view->topology->members[view->self].id, peer->id};

    return hash_table(slice_make(both, sizeof(both))) % span;
}

/* ---- ends ---- */

void
antientropy_found_equal(Pair *pair, const View *view)
{
    pair->status.compared_ms = pair->status.equal_ms = view->wall_ms;
    pair->equal_at_ms = view->now_ms;
}

void
antientropy_end_pair(Antientropy *antientropy, Pair *pair, StatusCode failure)
{
    Peer *peer = &antientropy->peers[pair->member];

    peer->failed += (failure != STATUS_OK) - (pair->status.failure != STATUS_OK);
    pair->status.failure = failure;
    pair->status.state = failure != STATUS_OK ? REPAIR_WAITING : REPAIR_IDLE;
    pair->working = false;
    if (peer->failed == 0 && peer->round_failure == STATUS_OK)
        peer->rest_ms = 0;
    if (pair->again || pair->differs ||
        (failure == STATUS_OK && !position_range_is_none(pair->mend)))
        antientropy_queue(antientropy, pair);
}

static void
release(Antientropy *antientropy, Lane *lane)
{
    if (lane->state == LANE_ROOTS)
        antientropy->peers[lane->peer].comparing_roots = false;
    antientropy_free_lane(antientropy, lane);
}

/* It is not the pair at hand that has failed, but whatever else would be asked of the peer too. */
static bool
is_of_peer(StatusCode status)
{
    return status == STATUS_UNKNOWN || status == STATUS_UNAVAILABLE || status == STATUS_REFILLING ||
           status == STATUS_STORAGE || status == STATUS_OVERLOADED || status == STATUS_NOT_FORMED ||
           status == STATUS_SHUTTING_DOWN;
}

/* What ends several lanes at once is one failure. A round would meet it again at once. */
static void
rest(Peer *peer, const View *view, StatusCode status)
{
    if (view->now_ms >= peer->retry_ms)
    {
        peer->rest_ms = peer->rest_ms == 0 ? REST_MS : 2 * peer->rest_ms;
        if (peer->rest_ms > REST_MOST_MS)
            peer->rest_ms = REST_MOST_MS;
        peer->retry_ms = view->now_ms + peer->rest_ms;
    }
    if (is_of_peer(status) || peer->round_failure != STATUS_OK)
        peer->rest_until_ms = peer->retry_ms;
}

static void
fail_pair(Antientropy *antientropy, Pair *pair, StatusCode status)
{
    pair->differs = false;
    antientropy_end_pair(antientropy, pair, status);
}

static void
fail_roots(Antientropy *antientropy, const Lane *lane, StatusCode status)
{
    antientropy_rewind_round(antientropy, lane, status);
    for (uint32_t i = 0; i < lane->root_count; i++)
    {
        Pair *pair = antientropy_find_pair(antientropy, lane->peer, lane->roots[i]);

        if (pair != NULL && pair->working)
            fail_pair(antientropy, pair, status);
    }
}

void
antientropy_fail(Antientropy *antientropy, Lane *lane, const View *view, StatusCode status)
{
    if (lane->state == LANE_ROOTS)
        fail_roots(antientropy, lane, status);
    else
    {
        lane->pair->mend = position_range_union(lane->pair->mend, lane->mend);
        fail_pair(antientropy, lane->pair, status);
    }
    release(antientropy, lane);
    rest(&antientropy->peers[lane->peer], view, status);
}

static void
note_result(Antientropy *antientropy, const Lane *lane, const Pair *pair)
{
    if (antientropy->result_count == ANTIENTROPY_RESULTS)
    {
        MendResult oldest;

        (void)antientropy_take_result(antientropy, &oldest);
    }
    antientropy->results[antientropy->result_count++] =
        (MendResult){.peer = antientropy->peers[lane->peer].id,
                     .bucket_id = pair->status.bucket_id,
                     .first_position = lane->mend.first,
                     .last_position = lane->mend.last,
                     .objects = pair->status.mended_here - lane->mended_before};
}

void
antientropy_finish(Antientropy *antientropy, Lane *lane, const View *view)
{
    Pair *pair = lane->pair;

    if (lane->state != LANE_ROOTS)
    {
        if (position_range_is_none(lane->mend))
        {
            pair->differs = false;
            antientropy_found_equal(pair, view);
        }
        else
        {
            pair->mended = lane->mend;
            pair->mended_at_ms = view->now_ms;
            pair->mended_number = lane->number;
            note_result(antientropy, lane, pair);
        }
        antientropy_end_pair(antientropy, pair, STATUS_OK);
    }
    release(antientropy, lane);
}

/* ---- what is due ---- */

static void
look_at_clock(Antientropy *antientropy, const View *view, uint32_t number)
{
    Peer *peer = &antientropy->peers[number];
    uint64_t interval_ms = antientropy->interval_ms;

    if (peer->due_ms == 0)
        peer->due_ms =
            view->now_ms + 1 +
            antientropy_phase(view, peer, interval_ms < FIRST_MS ? interval_ms : FIRST_MS);
    if (view->now_ms < peer->due_ms)
        return;
    peer->due_ms = view->now_ms + interval_ms;
    antientropy_begin_round(antientropy, view, number,
                            view->now_ms > interval_ms / 2 ? view->now_ms - interval_ms / 2 : 0);
}

/* When a peer that was away, and is up again, is compared with. */
static uint64_t
back_due_ms(const View *view, const Peer *peer)
{
    uint64_t due_ms =
        peer->back_ms + (hints_of(view->hints, &peer->id) != NULL ? BACK_MOST_MS : BACK_MS);
    uint64_t next_ms = peer->round_ms > 0 ? peer->round_ms + ROUND_LEAST_MS : 0;

    return due_ms > next_ms ? due_ms : next_ms;
}

static void
look_whether_back(Antientropy *antientropy, const View *view, uint32_t number)
{
    Peer *peer = &antientropy->peers[number];

    if (!peer->away || !view->up[number])
        return;
    if (peer->back_ms == 0)
        peer->back_ms = view->now_ms;
    if (view->now_ms < back_due_ms(view, peer))
        return;
    peer->away = false;
    peer->back_ms = 0;
    antientropy_begin_round(antientropy, view, number, UINT64_MAX);
}

static bool
shares_anything(const View *view, const Peer *peer)
{
    return view->topology->bucket_count > 0 && peer->shared[TOPOLOGY_N_MAX] > 0;
}

static void
look_at_peer(Antientropy *antientropy, const View *view, uint32_t number)
{
    Peer *peer = &antientropy->peers[number];

    if (!shares_anything(view, peer))
        return;
    if (antientropy->interval_ms > 0)
    {
        look_at_clock(antientropy, view, number);
        look_whether_back(antientropy, view, number);
    }
    if (peer->retry_ms > 0 && view->now_ms >= peer->retry_ms)
    {
        peer->retry_ms = 0;
        antientropy_queue_failed(antientropy, number);
    }
}

static uint64_t
least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t
peer_wake_ms(const Antientropy *antientropy, const View *view, uint32_t number)
{
    const Peer *peer = &antientropy->peers[number];
    uint64_t wake = UINT64_MAX;

    if (!shares_anything(view, peer))
        return wake;
    if (antientropy->interval_ms > 0)
        wake = peer->due_ms;
    if (antientropy->interval_ms > 0 && peer->away && view->up[number])
        wake = least(wake, peer->back_ms == 0 ? view->now_ms : back_due_ms(view, peer));
    return peer->retry_ms > 0 ? least(wake, peer->retry_ms) : wake;
}

/* ---- lanes ---- */

static bool
has_roots_to_compare(const Peer *peer)
{
    return (peer->unknown.first != NULL || peer->round.active) && !peer->comparing_roots;
}

/* The peer is up and something waits for a lane. */
static bool
can_serve(const Antientropy *antientropy, const View *view, uint32_t number)
{
    const Peer *peer = &antientropy->peers[number];

    return view->up[number] && (has_roots_to_compare(peer) || peer->differing.first != NULL);
}

static bool
has_work(const Antientropy *antientropy)
{
    bool found = antientropy->queued > 0;

    for (uint32_t i = 0; i < antientropy->peer_count && !found; i++)
        found = has_roots_to_compare(&antientropy->peers[i]);
    return found;
}

static void
take_roots(Antientropy *antientropy, Lane *lane, const View *view)
{
    Peer *peer = &antientropy->peers[lane->peer];

    lane->pair = NULL;
    lane->root_count = 0;
    while (lane->root_count < ANTIENTROPY_ROOTS_MAX && peer->unknown.first != NULL)
    {
        const Pair *pair = pop_present(antientropy, view, &peer->unknown);

        if (pair != NULL)
            lane->roots[lane->root_count++] =
                (TreeId){pair->status.bucket_id, pair->status.partition};
    }
    antientropy_take_round(antientropy, lane, view);
    if (lane->root_count == 0)
    {
        antientropy_pass_round(antientropy, lane);
        return;
    }
    peer->comparing_roots = true;
    antientropy_send_roots(antientropy, lane, view);
}

static void
take_pair(Antientropy *antientropy, Lane *lane, const View *view)
{
    Pair *pair;

    pair = pop_present(antientropy, view, &antientropy->peers[lane->peer].differing);
    if (pair == NULL)
        return;
    lane->pair = pair;
    lane->mend = pair->mend;
    lane->number = ++antientropy->pairs_taken;
    pair->mend = POSITION_RANGE_NONE;
    lane->state = LANE_READY;
    antientropy_descend(antientropy, lane, pair, view);
}

static void
take_work(Antientropy *antientropy, Lane *lane, const View *view)
{
    for (uint32_t i = 0; i < antientropy->peer_count; i++)
    {
        uint32_t number = (antientropy->turn + i) % antientropy->peer_count;
        const Peer *peer = &antientropy->peers[number];

        if (!can_serve(antientropy, view, number) || view->now_ms < peer->rest_until_ms)
            continue;
        antientropy->turn = number + 1;
        lane->peer = number;
        if (has_roots_to_compare(peer))
            take_roots(antientropy, lane, view);
        else
            take_pair(antientropy, lane, view);
        return;
    }
}

static void
pause_lane(Antientropy *antientropy, Lane *lane, const View *view)
{
    lane->state = LANE_PAUSING;
    lane->deadline_ms = view->now_ms + PAUSE_MS;
    lane->pair->status.state = REPAIR_CONFIRMING;
}

/* Keys are looked for until there are many, or no more are to be found; then they are mended. */
static void
go_on(Antientropy *antientropy, Lane *lane, const View *view)
{
    if (lane->mending)
        antientropy_mend_on(antientropy, lane, view);
    else if (lane->key_count < ANTIENTROPY_KEYS_MAX &&
             antientropy_compare_on(antientropy, lane, view))
        return;
    else if (lane->key_count > 0)
        pause_lane(antientropy, lane, view);
    else if (lane->failure != STATUS_OK)
        antientropy_fail(antientropy, lane, view, lane->failure);
    else
        antientropy_finish(antientropy, lane, view);
}

static bool
awaits_peer(const Lane *lane)
{
    return lane->state == LANE_ROOTS || lane->state == LANE_LEVEL || lane->state == LANE_LIST ||
           lane->state == LANE_VERSIONS || lane->state == LANE_GIVING;
}

static void
step_lane(Antientropy *antientropy, Lane *lane, const View *view)
{
    if (awaits_peer(lane) && view->now_ms >= lane->deadline_ms)
        antientropy_fail(antientropy, lane, view, STATUS_UNKNOWN);
    if (lane->state == LANE_PAUSING && view->now_ms >= lane->deadline_ms)
    {
        lane->state = LANE_READY;
        lane->mending = true;
    }
    if (lane->state == LANE_FREE && has_work(antientropy) &&
        pacer_may_begin(antientropy->pacer, view->now_ms))
        take_work(antientropy, lane, view);
    while (lane->state == LANE_READY && pacer_may_begin(antientropy->pacer, view->now_ms))
        go_on(antientropy, lane, view);
}

static bool
takes_part(const View *view)
{
    return view->trees != NULL && !view->refilling && !view->cannot_write;
}

void
antientropy_step(Antientropy *antientropy, const View *view)
{
    antientropy_follow(antientropy, view);
    antientropy_sweep_pairs(antientropy, view);
    if (!takes_part(view))
        return;
    for (uint32_t i = 0; i < antientropy->peer_count; i++)
        look_at_peer(antientropy, view, i);
    for (uint32_t i = 0; i < ANTIENTROPY_LANES; i++)
        step_lane(antientropy, &antientropy->lanes[i], view);
}

static uint64_t
lane_wake_ms(const Antientropy *antientropy, const Lane *lane, const View *view)
{
    if (lane->state == LANE_READY)
        return pacer_ready_ms(antientropy->pacer, view->now_ms);
    return awaits_peer(lane) || lane->state == LANE_PAUSING ? lane->deadline_ms : UINT64_MAX;
}

/* When a free lane finds something to do. */
static uint64_t
work_wake_ms(const Antientropy *antientropy, const View *view)
{
    uint64_t ready_ms = pacer_ready_ms(antientropy->pacer, view->now_ms);
    uint64_t wake = UINT64_MAX;

    for (uint32_t i = 0; i < antientropy->peer_count; i++)
    {
        uint64_t rested_ms = antientropy->peers[i].rest_until_ms;

        if (can_serve(antientropy, view, i))
            wake = least(wake, rested_ms > ready_ms ? rested_ms : ready_ms);
    }
    return wake;
}

uint64_t
antientropy_wake_ms(const Antientropy *antientropy, const View *view)
{
    uint64_t wake = UINT64_MAX;
    bool free_lane = false;

    if (!takes_part(view))
        return wake;
    if (antientropy->epoch != view->topology->epoch)
        return view->now_ms;
    for (uint32_t i = 0; i < antientropy->peer_count; i++)
        wake = least(wake, peer_wake_ms(antientropy, view, i));
    for (uint32_t i = 0; i < ANTIENTROPY_LANES; i++)
    {
        wake = least(wake, lane_wake_ms(antientropy, &antientropy->lanes[i], view));
        free_lane = free_lane || antientropy->lanes[i].state == LANE_FREE;
    }
    return free_lane ? least(wake, work_wake_ms(antientropy, view)) : wake;
}

/* ---- what is asked for ---- */

static uint32_t
queue_bucket(Antientropy *antientropy, const View *view, const Bucket *bucket, uint32_t number)
{
    uint32_t partitions = view->topology->partitions;
    uint32_t first = (uint32_t)antientropy_phase(view, &antientropy->peers[number], partitions);
    uint32_t count = 0;

    for (uint32_t i = 0; i < partitions; i++)
    {
        TreeId id = {bucket->id, (first + i) % partitions};

        if (!antientropy_shares(antientropy, number, bucket, id.partition))
            continue;
        antientropy_queue(antientropy, antientropy_make_pair(antientropy, number, id));
        count++;
    }
    return count;
}

uint32_t
antientropy_request(Antientropy *antientropy, const View *view, uint32_t bucket_id, uint32_t member)
{
    const Bucket *bucket = topology_bucket_by_id(view->topology, bucket_id);
    uint32_t count = 0;

    antientropy_follow(antientropy, view);
    for (uint32_t number = 0; number < antientropy->peer_count; number++)
    {
        if (member != TOPOLOGY_NO_MEMBER && number != member)
            continue;
        antientropy->peers[number].rest_until_ms = 0;
        if (bucket != NULL)
            count += queue_bucket(antientropy, view, bucket, number);
        if (bucket_id == 0)
        {
            antientropy_begin_round(antientropy, view, number, UINT64_MAX);
            count += antientropy_pair_count(antientropy, view, number);
        }
    }
    return count;
}

void
antientropy_missed(Antientropy *antientropy, const View *view, uint32_t member)
{
    antientropy_follow(antientropy, view);
    antientropy->peers[member].away = true;
}

void
antientropy_member_down(Antientropy *antientropy, const View *view, uint32_t member)
{
    antientropy_follow(antientropy, view);
    if (member >= antientropy->peer_count)
        return;
    antientropy->peers[member].away = true;
    antientropy->peers[member].back_ms = 0;
    for (uint32_t i = 0; i < ANTIENTROPY_LANES; i++)
    {
        Lane *lane = &antientropy->lanes[i];

        if (lane->state != LANE_FREE && lane->peer == member)
            antientropy_fail(antientropy, lane, view, STATUS_UNAVAILABLE);
    }
}
