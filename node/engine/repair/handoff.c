/*
 * One lane a target: read a page of what is owed, replicate it, drop the hints of what was
 * acknowledged. A page that fails is read again later; the hints are what remembers it.
 */
#include "node/engine/repair/handoff.h"

#include <string.h>

enum
{
    LANES = 4, /* targets served at once */
    PAGE_BYTES = 512 * 1024,
    ANSWER_MS = 5000,
    REST_MS = 200, /* after a pass that has left something */
    REST_MOST_MS = 5000,
    RATE_MS = 1000 /* that bytes_per_second is taken over, at least */
};

typedef enum LaneState
{
    LANE_FREE,
    LANE_WAITING, /* for tokens */
    LANE_READING,
    LANE_SENDING
} LaneState;

/* An object on its way to the target. */
typedef struct Row
{
    uint32_t bucket_id;
    uint64_t position;
    Slice key;
    Digest digest;
    size_t bytes;
    bool unowned;
    bool answered;
} Row;

/* One target being served. */
typedef struct Lane
{
    LaneState state;
    uint32_t target; /* of Handoff.targets */
    uint32_t ticket; /* of the page at hand */
    bool last;       /* nothing lies behind the page at hand */
    bool failed;     /* something of the page stays owed */
    uint64_t rounds; /* how often labels had changed when the page was asked for */
    Row *rows;
    uint32_t row_count;
    uint32_t rows_open;
    uint64_t deadline_ms;
    Buffer after; /* storage key of the last row of the page */
    Arena arena;  /* of the page */
} Lane;

/* Kept once it was owed something. */
typedef struct Target
{
    MemberId id;
    bool served;
    uint64_t rest_until_ms;
    uint64_t rest_ms; /* doubled by each failure */
    uint64_t rate_since_ms;
    uint64_t rate_bytes; /* since then */
    HandoffStatus status;
} Target;

struct Handoff
{
    Pacer *pacer;
    Tickets tickets;
    Lane lanes[LANES];
    Target *targets;
    uint32_t target_count;
    uint64_t handed;
};

Handoff *
handoff_new(Pacer *pacer)
{
    Handoff *handoff = memory_resize(&MEMORY_HEAP, NULL, sizeof(Handoff));

    *handoff = (Handoff){.pacer = pacer};
    for (uint32_t i = 0; i < LANES; i++)
    {
        buffer_init(&handoff->lanes[i].after, &MEMORY_HEAP);
        arena_init(&handoff->lanes[i].arena, &MEMORY_HEAP);
    }
    return handoff;
}

void
handoff_free(Handoff *handoff)
{
    for (uint32_t i = 0; i < LANES; i++)
    {
        buffer_free(&handoff->lanes[i].after);
        arena_free(&handoff->lanes[i].arena);
    }
    tickets_free(&handoff->tickets);
    memory_resize(&MEMORY_HEAP, handoff->targets, 0);
    memory_resize(&MEMORY_HEAP, handoff, 0);
}

/* ---- targets ---- */

static uint32_t
find_target(const Handoff *handoff, const MemberId *id)
{
    uint32_t index = 0;

    while (index < handoff->target_count &&
           memcmp(&handoff->targets[index].id, id, sizeof(MemberId)) != 0)
        index++;
    return index;
}

static Target *
target_of(Handoff *handoff, const MemberId *id)
{
    uint32_t index = find_target(handoff, id);

    if (index == handoff->target_count)
    {
        handoff->targets =
            memory_resize(&MEMORY_HEAP, handoff->targets, (index + 1) * sizeof(Target));
        handoff->targets[handoff->target_count++] = (Target){.id = *id, .rest_ms = REST_MS};
    }
    return &handoff->targets[index];
}

/* The target is up; or a member no more, and what it was owed is owed to others. */
static bool
can_serve(const View *view, const MemberId *id)
{
    uint32_t member = topology_member(view->topology, id);

    return member == TOPOLOGY_NO_MEMBER || view->up[member];
}

static void
count_bytes(Target *target, uint64_t now_ms, uint64_t bytes)
{
    uint64_t since = now_ms - target->rate_since_ms;

    if (since >= RATE_MS)
    {
        target->status.bytes_per_second = target->rate_bytes * 1000 / since;
        target->rate_since_ms = now_ms;
        target->rate_bytes = 0;
    }
    target->rate_bytes += bytes;
}

/* ---- lanes ---- */

static void
leave(Handoff *handoff, Lane *lane, const View *view, bool failed)
{
    Target *target = &handoff->targets[lane->target];

    if (failed && target->rest_ms < REST_MOST_MS)
        target->rest_ms *= 2;
    else if (!failed)
        target->rest_ms = REST_MS;
    target->rest_until_ms = view->now_ms + target->rest_ms;
    target->served = false;
    lane->state = LANE_FREE;
    tickets_end(&handoff->tickets, lane->ticket);
}

static void
fail(Handoff *handoff, Lane *lane, const View *view, StatusCode status)
{
    handoff->targets[lane->target].status.failure = status;
    leave(handoff, lane, view, true);
}

/* A free lane begins with the next target that is up and has rested. */
static void
take_target(Handoff *handoff, Lane *lane, const View *view)
{
    for (uint32_t i = 0; i < view->hints->target_count; i++)
    {
        const MemberId *id = &view->hints->targets[i].target;
        Target *target = target_of(handoff, id);

        if (target->served || view->now_ms < target->rest_until_ms || !can_serve(view, id))
            continue;
        target->served = true;
        target->rate_since_ms = view->now_ms;
        target->rate_bytes = 0;
        lane->target = (uint32_t)(target - handoff->targets);
        lane->state = LANE_WAITING;
        buffer_reset(&lane->after);
        return;
    }
}

static uint64_t
ref_of(const Lane *lane, uint32_t row)
{
    return ticket_ref(REF_HANDOFF, lane->ticket, row);
}

/* The lane whose present question the ref answers, or NULL. */
static Lane *
lane_of(Handoff *handoff, uint64_t ref, LaneState state)
{
    uint32_t index = ticket_ref_owner(ref) == REF_HANDOFF
                         ? tickets_find(&handoff->tickets, ticket_ref_number(ref))
                         : TICKET_NO_SLOT;
    Lane *lane = index != TICKET_NO_SLOT ? &handoff->lanes[index] : NULL;

    return lane != NULL && lane->state == state ? lane : NULL;
}

static void
read_page(Handoff *handoff, Lane *lane, const View *view)
{
    StorageOwed owed = {.target = handoff->targets[lane->target].id,
                        .after = buffer_slice(&lane->after),
                        .max_bytes = PAGE_BYTES};

    tickets_end(&handoff->tickets, lane->ticket);
    lane->ticket = tickets_draw(&handoff->tickets, (uint32_t)(lane - handoff->lanes));
    lane->rounds = rounds_changes(view->rounds);
    lane->state = LANE_READING;
    actions_owed(view->actions, &owed, ref_of(lane, 0));
}

void
handoff_step(Handoff *handoff, const View *view)
{
    for (uint32_t i = 0; i < LANES; i++)
    {
        Lane *lane = &handoff->lanes[i];

        if (lane->state == LANE_SENDING && view->now_ms >= lane->deadline_ms)
            fail(handoff, lane, view, STATUS_UNKNOWN);
        if (lane->state == LANE_FREE && view->hints->target_count > 0)
            take_target(handoff, lane, view);
        if (lane->state == LANE_WAITING && pacer_may_begin(handoff->pacer, view->now_ms))
            read_page(handoff, lane, view);
    }
}

static uint64_t
lane_wake_ms(const Handoff *handoff, const Lane *lane, const View *view)
{
    if (lane->state == LANE_WAITING)
        return pacer_ready_ms(handoff->pacer, view->now_ms);
    return lane->state == LANE_SENDING ? lane->deadline_ms : UINT64_MAX;
}

/* When a target that nobody serves may be; those that are down are waited for by others. */
static uint64_t
target_wake_ms(const Handoff *handoff, const View *view, const MemberId *id)
{
    uint32_t index = find_target(handoff, id);

    if (!can_serve(view, id))
        return UINT64_MAX;
    if (index == handoff->target_count)
        return view->now_ms;
    return handoff->targets[index].served ? UINT64_MAX : handoff->targets[index].rest_until_ms;
}

uint64_t
handoff_wake_ms(const Handoff *handoff, const View *view)
{
    uint64_t wake = UINT64_MAX;

    for (uint32_t i = 0; i < LANES; i++)
    {
        uint64_t other = lane_wake_ms(handoff, &handoff->lanes[i], view);

        wake = other < wake ? other : wake;
    }
    for (uint32_t i = 0; i < view->hints->target_count; i++)
    {
        uint64_t other = target_wake_ms(handoff, view, &view->hints->targets[i].target);

        wake = other < wake ? other : wake;
    }
    return wake;
}

/* ---- a page ---- */

/* 0: the bucket is not known here. */
static uint32_t
owners_of(const View *view, const StorageRow *row, uint16_t owners[TOPOLOGY_N_MAX])
{
    const Bucket *bucket = topology_bucket_by_id(view->topology, row->bucket_id);

    return bucket != NULL ? topology_preference(view->topology, row->position, owners, bucket->n)
                          : 0;
}

static bool
is_unowned(const View *view, const StorageRow *row)
{
    return topology_bucket_by_id(view->topology, row->bucket_id) != NULL &&
           !topology_keeps(view->topology, row->bucket_id, row->position, view->self);
}

/*
 * The target owns the key no more: its owners of today are owed the object instead, all but this
 * node. False: the target is still an owner.
 */
static bool
owe_to_others(const MemberId *target, const View *view, const StorageRow *row)
{
    HintChange hints[TOPOLOGY_N_MAX + 1];
    Update update = {.hints = hints};
    uint16_t owners[TOPOLOGY_N_MAX];
    uint32_t member = topology_member(view->topology, target);
    uint32_t count = owners_of(view, row, owners);

    if (count == 0)
        return false;
    for (uint32_t i = 0; i < count; i++)
    {
        if (owners[i] == member)
            return false;
        if (owners[i] != view->self)
            hints[update.hint_count++] = (HintChange){
                .target = view->topology->members[owners[i]].id, .now_ms = view->wall_ms};
    }
    hints[update.hint_count++] =
        (HintChange){.target = *target, .drop = true, .acknowledged = object_digest(row->object)};
    actions_apply(view->actions, row->bucket_id, row->position, row->key,
                  update_copy(&view->actions->arena, &update), REF_NOBODY);
    return true;
}

/* Keeps what is to be sent of a page, and lets the page be just that. */
static void
keep_rows(Lane *lane, const MemberId *target, const View *view, StoragePage *page)
{
    const StorageRow *last = &page->rows[page->row_count - 1];
    uint32_t count = 0;

    buffer_reset(&lane->after);
    storage_key(&lane->after, last->bucket_id, last->position, last->key);
    for (uint32_t i = 0; i < page->row_count; i++)
    {
        if (!owe_to_others(target, view, &page->rows[i]))
            page->rows[count++] = page->rows[i];
    }
    page->row_count = count;
    arena_reset(&lane->arena);
    lane->rows = arena_alloc_zero(&lane->arena, sizeof(Row) * page->row_count);
    lane->row_count = lane->rows_open = page->row_count;
    lane->last = page->done;
    lane->failed = false;
    for (uint32_t i = 0; i < page->row_count; i++)
    {
        const StorageRow *row = &page->rows[i];

        lane->rows[i] = (Row){.bucket_id = row->bucket_id,
                              .position = row->position,
                              .key = slice_copy(&lane->arena, row->key),
                              .digest = object_digest(row->object),
                              .bytes = row->object.length,
                              .unowned = is_unowned(view, row)};
    }
}

static void
send_rows(Handoff *handoff, Lane *lane, const View *view, uint32_t member, const StoragePage *page)
{
    ReplicateFrame frame = {.epoch = view->topology->epoch,
                            .items =
                                ARENA_ARRAY(&view->actions->arena, ReplicateItem, page->row_count),
                            .item_count = page->row_count};
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < page->row_count; i++)
    {
        frame.items[i] = (ReplicateItem){
            .ref = ref_of(lane, i),
            .placed = frame.epoch,
            .bucket_id = page->rows[i].bucket_id,
            .round = rounds_label(view->rounds, view->topology, page->rows[i].bucket_id,
                                  page->rows[i].position),
            .key = page->rows[i].key,
            .object = step_tell(view, page->rows[i].bucket_id, page->rows[i].position,
                                page->rows[i].key, page->rows[i].object, &view->actions->arena)};
        bytes += page->rows[i].object.length;
    }
    replicate_encode(actions_frame(view->actions), 0, &frame);
    actions_send(view->actions, member);
    pacer_take(handoff->pacer, bytes);
    lane->state = LANE_SENDING;
    lane->deadline_ms = view->now_ms + ANSWER_MS;
}

static void
finish_page(Handoff *handoff, Lane *lane, const View *view)
{
    if (lane->failed)
        leave(handoff, lane, view, true);
    else if (lane->last)
        leave(handoff, lane, view, false);
    else
        lane->state = LANE_WAITING;
}

void
handoff_scanned(Handoff *handoff, const View *view, uint64_t ref, StatusCode status,
                const StoragePage *page)
{
    Lane *lane = lane_of(handoff, ref, LANE_READING);
    uint32_t member;

    if (lane == NULL)
        return;
    member = topology_member(view->topology, &handoff->targets[lane->target].id);
    if (status != STATUS_OK || !can_serve(view, &handoff->targets[lane->target].id))
        fail(handoff, lane, view, status != STATUS_OK ? status : STATUS_UNAVAILABLE);
    else if (page->row_count == 0)
        leave(handoff, lane, view, false);
    else if (rounds_changes(view->rounds) != lane->rounds)
        lane->state = LANE_WAITING; /* what was read must not be sent under a newer label */
    else
    {
        StoragePage mine = *page;

        keep_rows(lane, &handoff->targets[lane->target].id, view, &mine);
        if (mine.row_count > 0)
            send_rows(handoff, lane, view, member, &mine);
        else
            finish_page(handoff, lane, view);
    }
}

static void
drop_hint(const Target *target, const Row *row, Actions *actions)
{
    HintChange hint = {.target = target->id, .drop = true, .acknowledged = row->digest};
    Update update = {.hints = &hint, .hint_count = 1, .unowned = row->unowned};

    actions_apply(actions, row->bucket_id, row->position, row->key,
                  update_copy(&actions->arena, &update), REF_NOBODY);
}

static void
take_result(Handoff *handoff, Lane *lane, const View *view, const ReplicateResult *result)
{
    uint32_t index = ticket_ref_item(result->ref);
    Target *target = &handoff->targets[lane->target];
    Row *row = index < lane->row_count ? &lane->rows[index] : NULL;

    if (row == NULL || row->answered)
        return;
    row->answered = true;
    if (result->status == STATUS_OK)
    {
        target->status.failure = STATUS_OK;
        target->status.handed++;
        target->status.handed_bytes += row->bytes;
        handoff->handed++;
        count_bytes(target, view->now_ms, row->bytes);
        drop_hint(target, row, view->actions);
    }
    else
    {
        target->status.failure = result->status;
        lane->failed = true;
        if (result->status == STATUS_STALE_ROUND)
            step_learn_round(view, row->bucket_id, row->position, result->round);
    }
    if (--lane->rows_open == 0)
        finish_page(handoff, lane, view);
}

/* The lane has sent something to the member. */
static bool
is_awaited(const Handoff *handoff, const Lane *lane, const View *view, uint32_t member)
{
    const MemberId *id = &view->topology->members[member].id;

    return lane->state == LANE_SENDING &&
           memcmp(&handoff->targets[lane->target].id, id, sizeof(MemberId)) == 0;
}

static bool
is_any_awaited(const Handoff *handoff, const View *view, uint32_t member)
{
    for (uint32_t i = 0; i < LANES; i++)
    {
        if (is_awaited(handoff, &handoff->lanes[i], view, member))
            return true;
    }
    return false;
}

void
handoff_member_frame(Handoff *handoff, const View *view, uint32_t member, const Frame *frame)
{
    ReplicateReply reply;

    if (!is_any_awaited(handoff, view, member) ||
        !replicate_reply_decode(frame, &view->actions->arena, &reply))
        return;
    for (uint32_t i = 0; i < reply.item_count; i++)
    {
        Lane *lane = lane_of(handoff, reply.items[i].ref, LANE_SENDING);

        if (lane != NULL && is_awaited(handoff, lane, view, member))
            take_result(handoff, lane, view, &reply.items[i]);
    }
}

void
handoff_member_down(Handoff *handoff, const View *view, uint32_t member)
{
    const MemberId *id = &view->topology->members[member].id;

    for (uint32_t i = 0; i < LANES; i++)
    {
        Lane *lane = &handoff->lanes[i];

        if ((lane->state == LANE_SENDING || lane->state == LANE_WAITING) &&
            memcmp(&handoff->targets[lane->target].id, id, sizeof(MemberId)) == 0)
            fail(handoff, lane, view, STATUS_UNAVAILABLE);
    }
}

HandoffStatus
handoff_status(const Handoff *handoff, const MemberId *target)
{
    uint32_t index = find_target(handoff, target);

    return index < handoff->target_count ? handoff->targets[index].status : (HandoffStatus){0};
}

uint64_t
handoff_total(const Handoff *handoff)
{
    return handoff->handed;
}
