/* The pairs and what is known of them, and the way that events take to the lane they are for. */
#include "node/antientropy_private.h"

#include <stdlib.h>
#include <string.h>

enum
{
    ANSWER_MS = 30000 /* large objects take their time; a peer that is down is told of sooner */
};

Antientropy *
antientropy_new(Pacer *pacer, uint64_t interval_ms)
{
    Antientropy *antientropy = memory_resize(&MEMORY_HEAP, NULL, sizeof(Antientropy));

    *antientropy = (Antientropy){
        .pacer = pacer, .interval_ms = interval_ms, .answers = antientropy_answers_new()};
    for (uint32_t i = 0; i < ANTIENTROPY_LANES; i++)
    {
        Lane *lane = &antientropy->lanes[i];

        lane->pairs = memory_resize(&MEMORY_HEAP, NULL, ANTIENTROPY_ROOTS_MAX * sizeof(uint32_t));
        lane->batch =
            memory_resize(&MEMORY_HEAP, NULL, ANTIENTROPY_VERSIONS_MAX * sizeof(uint32_t));
        buffer_init(&lane->after, &MEMORY_HEAP);
        buffer_init(&lane->own_after, &MEMORY_HEAP);
        arena_init(&lane->list_arena, &MEMORY_HEAP);
        arena_init(&lane->key_arena, &MEMORY_HEAP);
        arena_init(&lane->batch_arena, &MEMORY_HEAP);
        outbox_init(&lane->outbox);
    }
    return antientropy;
}

void
antientropy_free(Antientropy *antientropy)
{
    for (uint32_t i = 0; i < ANTIENTROPY_LANES; i++)
    {
        Lane *lane = &antientropy->lanes[i];

        memory_resize(&MEMORY_HEAP, lane->pairs, 0);
        memory_resize(&MEMORY_HEAP, lane->batch, 0);
        memory_resize(&MEMORY_HEAP, lane->parts, 0);
        memory_resize(&MEMORY_HEAP, lane->keys, 0);
        buffer_free(&lane->after);
        buffer_free(&lane->own_after);
        arena_free(&lane->list_arena);
        arena_free(&lane->key_arena);
        arena_free(&lane->batch_arena);
        outbox_free(&lane->outbox);
    }
    antientropy_answers_free(antientropy->answers);
    tickets_free(&antientropy->answer_tickets);
    tickets_free(&antientropy->tickets);
    memory_resize(&MEMORY_HEAP, antientropy->pairs, 0);
    memory_resize(&MEMORY_HEAP, antientropy->peers, 0);
    memory_resize(&MEMORY_HEAP, antientropy, 0);
}

void
antientropy_set_interval(Antientropy *antientropy, uint64_t interval_ms)
{
    if (antientropy->interval_ms == interval_ms)
        return;
    antientropy->interval_ms = interval_ms;
    for (uint32_t i = 0; i < antientropy->peer_count; i++)
        antientropy->peers[i].due_ms = 0;
}

/* ---- ranges ---- */

bool
position_range_is_none(PositionRange range)
{
    return range.first > range.last;
}

PositionRange
position_range_union(PositionRange a, PositionRange b)
{
    return (PositionRange){a.first < b.first ? a.first : b.first,
                           a.last > b.last ? a.last : b.last};
}

/* ---- pairs ---- */

static int
order_pairs(const void *a, const void *b)
{
    const RepairStatus *left = &((const Pair *)a)->status;
    const RepairStatus *right = &((const Pair *)b)->status;
    int order = memcmp(&left->peer, &right->peer, sizeof(MemberId));

    if (order != 0)
        return order;
    if (left->bucket_id != right->bucket_id)
        return left->bucket_id < right->bucket_id ? -1 : 1;
    return (left->partition > right->partition) - (left->partition < right->partition);
}

static Pair *
find_pair(const Pair *pairs, uint32_t count, const Pair *like)
{
    return count > 0 ? bsearch(like, pairs, count, sizeof(Pair), order_pairs) : NULL;
}

Pair *
antientropy_pair(const Antientropy *antientropy, uint32_t member, uint32_t bucket_id,
                 uint32_t partition)
{
    Pair like = {
        .status = {.bucket_id = bucket_id, .partition = partition}
    };

    if (member >= antientropy->peer_count)
        return NULL;
    like.status.peer = antientropy->peers[member].id;
    return find_pair(antientropy->pairs, antientropy->pair_count, &like);
}

Pair *
antientropy_pair_of(const Antientropy *antientropy, const Lane *lane)
{
    return &antientropy->pairs[lane->pairs[0]];
}

static uint32_t
owners_of(const View *view, const Bucket *bucket, uint32_t partition, uint16_t *owners)
{
    uint64_t start = ring_partition_start(partition, view->topology->partitions);
    uint32_t count = topology_preference(view->topology, start, owners, bucket->n);

    for (uint32_t i = 0; i < count; i++)
    {
        if (owners[i] == view->self)
            return count;
    }
    return 0;
}

/* Counts the pairs of a bucket; puts them into pairs unless that is NULL. */
static uint32_t
list_bucket(const View *view, const Bucket *bucket, Pair *pairs)
{
    uint16_t owners[TOPOLOGY_N_MAX];
    uint32_t count = 0;

    for (uint32_t partition = 0; partition < view->topology->partitions; partition++)
    {
        uint32_t owner_count = owners_of(view, bucket, partition, owners);

        for (uint32_t i = 0; i < owner_count; i++)
        {
            if (owners[i] == view->self)
                continue;
            if (pairs != NULL)
                pairs[count] = (Pair){
                    .status = {.peer = view->topology->members[owners[i]].id,
                               .bucket_id = bucket->id,
                               .partition = partition},
                    .mend = POSITION_RANGE_NONE,
                    .mended = POSITION_RANGE_NONE
                };
            count++;
        }
    }
    return count;
}

static uint32_t
list_pairs(const View *view, Pair *pairs)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < view->topology->bucket_count; i++)
        count +=
            list_bucket(view, &view->topology->buckets[i], pairs != NULL ? pairs + count : NULL);
    return count;
}

/* What was known of a peer before stays known. */
static Peer
peer_of(const Antientropy *antientropy, const MemberId *id)
{
    for (uint32_t i = 0; i < antientropy->peer_count; i++)
    {
        if (memcmp(&antientropy->peers[i].id, id, sizeof(MemberId)) == 0)
            return antientropy->peers[i];
    }
    return (Peer){.id = *id};
}

static void
renew_peers(Antientropy *antientropy, const Topology *topology)
{
    uint32_t pair = 0;
    Peer *peers = memory_resize(&MEMORY_HEAP, NULL, (topology->member_count + 1) * sizeof(Peer));

    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        Peer *peer = &peers[i];

        *peer = peer_of(antientropy, &topology->members[i].id);
        peer->unknown = peer->differing =
            (PairQueue){.first = ANTIENTROPY_NO_PAIR, .last = ANTIENTROPY_NO_PAIR};
        peer->comparing_roots = false;
        peer->failed = 0;
        peer->first_pair = pair;
        while (pair < antientropy->pair_count &&
               memcmp(&antientropy->pairs[pair].status.peer, &peer->id, sizeof(MemberId)) == 0)
            peer->failed += antientropy->pairs[pair++].status.failure != STATUS_OK;
        peer->pair_count = pair - peer->first_pair;
    }
    memory_resize(&MEMORY_HEAP, antientropy->peers, 0);
    antientropy->peers = peers;
    antientropy->peer_count = topology->member_count;
}

/* Compares of roots begin anew; a lane whose pair is still one goes on with it. */
static void
renew_lane(Antientropy *antientropy, Lane *lane, Pair *old, const Pair *pairs, uint32_t pair_count,
           uint32_t member)
{
    const Pair *found = NULL;

    if (lane->state == LANE_FREE)
        return;
    if (lane->state != LANE_ROOTS && member != TOPOLOGY_NO_MEMBER)
        found = find_pair(pairs, pair_count, &old[lane->pairs[0]]);
    if (found != NULL)
    {
        lane->pairs[0] = (uint32_t)(found - pairs);
        lane->peer = member;
        return;
    }
    for (uint32_t i = 0; i < lane->pair_count; i++)
    {
        old[lane->pairs[i]].working = false;
        old[lane->pairs[i]].queued = true;
    }
    antientropy_free_lane(antientropy, lane);
}

void
antientropy_follow(Antientropy *antientropy, const View *view)
{
    const Topology *topology = view->topology;
    Pair *old = antientropy->pairs;
    uint32_t count;
    Pair *pairs;

    if (antientropy->epoch == topology->epoch)
        return;
    antientropy->epoch = topology->epoch;
    count = list_pairs(view, NULL);
    pairs = memory_resize(&MEMORY_HEAP, NULL, (count + (size_t)1) * sizeof(Pair));
    (void)list_pairs(view, pairs);
    qsort(pairs, count, sizeof(Pair), order_pairs);
    for (uint32_t i = 0; i < ANTIENTROPY_LANES; i++)
    {
        Lane *lane = &antientropy->lanes[i];
        uint32_t member = lane->state != LANE_FREE
                              ? topology_member(topology, &antientropy->peers[lane->peer].id)
                              : TOPOLOGY_NO_MEMBER;

        renew_lane(antientropy, lane, old, pairs, count, member);
    }
    for (uint32_t i = 0; i < count; i++)
    {
        const Pair *known = find_pair(old, antientropy->pair_count, &pairs[i]);

        if (known != NULL)
            pairs[i] = *known;
    }
    antientropy->pairs = pairs;
    antientropy->pair_count = count;
    renew_peers(antientropy, topology);
    antientropy->queued = 0;
    memory_resize(&MEMORY_HEAP, old, 0);
    for (uint32_t i = 0; i < count; i++)
    {
        bool queued = pairs[i].queued;

        pairs[i].queued = false;
        if (queued)
            antientropy_queue(antientropy, topology_member(topology, &pairs[i].status.peer),
                              &pairs[i]);
    }
}

/* ---- status ---- */

uint32_t
antientropy_status_count(const Antientropy *antientropy)
{
    return antientropy->pair_count;
}

static const Lane *
lane_at(const Antientropy *antientropy, uint32_t pair)
{
    for (uint32_t i = 0; i < ANTIENTROPY_LANES; i++)
    {
        const Lane *lane = &antientropy->lanes[i];

        if (lane->state != LANE_FREE && lane->state != LANE_ROOTS && lane->pairs[0] == pair)
            return lane;
    }
    return NULL;
}

RepairStatus
antientropy_status(const Antientropy *antientropy, const View *view, uint32_t index)
{
    RepairStatus status = antientropy->pairs[index].status;
    const Lane *lane = lane_at(antientropy, index);

    if (lane == NULL)
        return status;
    status.parts_done = lane->parts_done;
    status.parts_total = lane->parts_total;
    if (lane->parts_done > 0)
        status.time_left_ms = (view->now_ms - lane->began_ms) *
                              (lane->parts_total - lane->parts_done) / lane->parts_done;
    return status;
}

AntientropyCounters
antientropy_counters(const Antientropy *antientropy)
{
    return antientropy->counters;
}

/* ---- questions and their answers ---- */

uint64_t
antientropy_ref(const Lane *lane, uint32_t item)
{
    return ticket_ref(REF_ANTIENTROPY, lane->ticket, item);
}

uint32_t
antientropy_tag(const Lane *lane)
{
    return ticket_tag(REF_ANTIENTROPY, lane->ticket);
}

void
antientropy_ask(Antientropy *antientropy, Lane *lane)
{
    tickets_end(&antientropy->tickets, lane->ticket);
    lane->ticket = tickets_draw(&antientropy->tickets, (uint32_t)(lane - antientropy->lanes));
}

void
antientropy_free_lane(Antientropy *antientropy, Lane *lane)
{
    tickets_end(&antientropy->tickets, lane->ticket);
    lane->state = LANE_FREE;
}

void
antientropy_await(Lane *lane, const View *view, LaneState state)
{
    lane->state = state;
    lane->deadline_ms = view->now_ms + ANSWER_MS;
}

void
antientropy_pay(Antientropy *antientropy, size_t bytes)
{
    pacer_take(antientropy->pacer, bytes);
}

/* The bytes of a frame of many roots are shared out evenly. */
static void
count_bytes(Antientropy *antientropy, const Lane *lane, uint64_t sent, uint64_t received)
{
    for (uint32_t i = 0; i < lane->pair_count; i++)
    {
        RepairStatus *status = &antientropy->pairs[lane->pairs[i]].status;

        status->bytes_sent += sent / lane->pair_count;
        status->bytes_received += received / lane->pair_count;
    }
    antientropy->counters.bytes_sent += sent;
    antientropy->counters.bytes_received += received;
    antientropy_pay(antientropy, sent + received);
}

void
antientropy_count_sent(Antientropy *antientropy, const Lane *lane, size_t bytes)
{
    count_bytes(antientropy, lane, bytes, 0);
}

void
antientropy_send(Antientropy *antientropy, Lane *lane, const View *view, LaneState state,
                 Actions *actions)
{
    antientropy_count_sent(antientropy, lane, actions->frames.length - actions->frame_start);
    actions_send(actions, lane->peer);
    antientropy_await(lane, view, state);
}

/* The lane whose present question is answered, or NULL. */
static Lane *
lane_of(Antientropy *antientropy, RefOwner owner, uint32_t ticket)
{
    uint32_t number =
        owner == REF_ANTIENTROPY ? tickets_find(&antientropy->tickets, ticket) : TICKET_NO_PLACE;

    return number != TICKET_NO_PLACE ? &antientropy->lanes[number] : NULL;
}

static Lane *
lane_of_ref(Antientropy *antientropy, uint64_t ref)
{
    return lane_of(antientropy, ticket_ref_owner(ref), ticket_ref_number(ref));
}

static void
take_frame(Antientropy *antientropy, Lane *lane, const View *view, const Frame *frame,
           Actions *actions)
{
    ErrorFrame error;

    count_bytes(antientropy, lane, 0, MESSAGE_HEADER_BYTES + frame->body.length);
    if (frame->type == FRAME_TREE_ROOTS_REPLY && lane->state == LANE_ROOTS)
        antientropy_take_roots(antientropy, lane, view, frame, actions);
    else if (frame->type == FRAME_TREE_LEVEL_REPLY && lane->state == LANE_LEVEL)
        antientropy_take_level(antientropy, lane, view, frame, actions);
    else if (frame->type == FRAME_TREE_KEYS_REPLY && lane->state == LANE_LIST)
        antientropy_take_list(antientropy, lane, view, frame, actions);
    else if (frame->type == FRAME_VERSIONS_REPLY && lane->state == LANE_VERSIONS)
        antientropy_take_versions(antientropy, lane, view, frame, actions);
    else if (frame->type == FRAME_ERROR && error_decode(frame, &error))
        antientropy_fail(antientropy, lane, view, error.status);
    else
        antientropy_fail(antientropy, lane, view, STATUS_BAD_FRAME);
}

static bool
awaits_peer(const Lane *lane)
{
    return lane->state == LANE_ROOTS || lane->state == LANE_LEVEL || lane->state == LANE_LIST ||
           lane->state == LANE_VERSIONS;
}

void
antientropy_acknowledged(Antientropy *antientropy, const View *view, uint32_t member,
                         const Frame *frame, Actions *actions)
{
    ReplicateReply reply;

    if (!replicate_reply_decode(frame, &actions->arena, &reply))
        return;
    for (uint32_t i = 0; i < reply.item_count; i++)
    {
        Lane *lane = lane_of_ref(antientropy, reply.items[i].ref);

        if (lane != NULL && lane->state == LANE_GIVING && lane->peer == member)
            antientropy_take_given(antientropy, lane, view, &reply.items[i]);
    }
}

void
antientropy_member_frame(Antientropy *antientropy, const View *view, uint32_t member,
                         const Frame *frame, Actions *actions)
{
    Lane *lane;

    antientropy_follow(antientropy, view);
    lane = lane_of(antientropy, ticket_tag_owner(frame->tag), ticket_tag_number(frame->tag));
    if (lane != NULL && awaits_peer(lane) && lane->peer == member)
        take_frame(antientropy, lane, view, frame, actions);
}

void
antientropy_scanned(Antientropy *antientropy, const View *view, uint64_t ref, StatusCode status,
                    const StoragePage *page, Actions *actions)
{
    Lane *lane = lane_of_ref(antientropy, ref);

    if (ref >> 56 == REF_TREE_ANSWERS)
        antientropy_answer_scanned(antientropy, ref, status, page, actions);
    else if (lane != NULL && lane->state == LANE_SCANNING)
        antientropy_take_rows(antientropy, lane, view, status, page);
}

void
antientropy_fetched(Antientropy *antientropy, const View *view, uint64_t ref, StatusCode status,
                    Slice object, Actions *actions)
{
    Lane *lane = lane_of_ref(antientropy, ref);

    if (ref >> 56 == REF_TREE_ANSWERS)
        antientropy_answer_fetched(antientropy, ref, status, object, actions);
    else if (lane != NULL && (lane->state == LANE_READING || lane->state == LANE_FETCHING))
        antientropy_take_own(antientropy, lane, view, ticket_ref_item(ref), status, object,
                             actions);
}

void
antientropy_merged(Antientropy *antientropy, uint64_t ref, StatusCode status)
{
    if (status != STATUS_OK)
        antientropy_durable(antientropy, ref, status);
}

void
antientropy_durable(Antientropy *antientropy, uint64_t ref, StatusCode status)
{
    Lane *lane = lane_of_ref(antientropy, ref);

    if (lane != NULL && lane->state == LANE_STORING)
        antientropy_take_stored(antientropy, lane, status);
}
