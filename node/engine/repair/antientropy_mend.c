/*
 * Looking again at keys that differed, and mending those that still do.
 *
 * Batch by batch: the own versions are read and sent; the peer says of each key whose object is
 * newer, and gives its own where it has something to give. That is merged here; then what the peer
 * wants is read, as it is by then, and given.
 */
#include "node/engine/repair/antientropy_private.h"

/* ---- versions ---- */

static bool
next_batch(Lane *lane)
{
    while (lane->keys_done < lane->key_count && lane->keys[lane->keys_done].phase == KEY_DONE)
        lane->keys_done++;
    lane->batch_count = 0;
    for (uint32_t i = lane->keys_done;
         i < lane->key_count && lane->batch_count < ANTIENTROPY_VERSIONS_MAX; i++)
    {
        if (lane->keys[i].phase == KEY_FOUND)
            lane->batch[lane->batch_count++] = i;
    }
    return lane->batch_count > 0;
}

static DifferentKey *
key_of(const Lane *lane, uint32_t item)
{
    return &lane->keys[lane->batch[item]];
}

static void
read_key(const Antientropy *antientropy, const Lane *lane, uint32_t item, Actions *actions)
{
    const DifferentKey *key = key_of(lane, item);

    actions_read(actions, lane->pair->status.bucket_id, key->position, key->key,
                 antientropy_ref(lane, item));
}

static void
read_versions(Antientropy *antientropy, Lane *lane, Actions *actions)
{
    arena_reset(&lane->batch_arena);
    lane->versions = arena_alloc_zero(&lane->batch_arena, sizeof(VersionItem) * lane->batch_count);
    lane->open = lane->batch_count;
    lane->state = LANE_READING;
    antientropy_ask(antientropy, lane);
    for (uint32_t i = 0; i < lane->batch_count; i++)
        read_key(antientropy, lane, i, actions);
}

static void
send_versions(Antientropy *antientropy, Lane *lane, const View *view)
{
    VersionsFrame frame = {.epoch = view->topology->epoch,
                           .bucket_id = lane->pair->status.bucket_id,
                           .items = lane->versions,
                           .item_count = lane->batch_count};

    antientropy_ask(antientropy, lane);
    versions_encode(actions_frame(view->actions), antientropy_tag(lane), &frame);
    antientropy_send(antientropy, lane, view, LANE_VERSIONS);
}

/* An object that cannot be read counts as absent: the peer's is to take its place. */
static void
take_own_version(Lane *lane, uint32_t item, Slice object)
{
    VersionItem *version = &lane->versions[item];
    Object decoded;

    version->key = key_of(lane, item)->key;
    version->digest = DIGEST_ABSENT;
    if (object.length == 0 || !object_decode(object, &lane->batch_arena, &decoded))
        return;
    version->version = version_of(&lane->batch_arena, &decoded);
    version->digest = object_digest(object);
    key_of(lane, item)->bytes = object.length;
}

/* ---- what the peer gives ---- */

static bool
store(Antientropy *antientropy, Lane *lane, const View *view, uint32_t item,
      const VersionAnswer *answer)
{
    const DifferentKey *key = key_of(lane, item);
    uint32_t bucket_id = lane->pair->status.bucket_id;
    Object *object = ARENA_NEW(&view->actions->arena, Object);
    Update *update = ARENA_NEW(&view->actions->arena, Update);
    Slice kept = slice_copy(&view->actions->arena, answer->object);

    if (answer->round <
        rounds_floor(view->rounds, view->topology, view->self, bucket_id, key->position))
    {
        lane->failure = STATUS_STALE_ROUND;
        return true;
    }
    if (!object_decode(kept, &view->actions->arena, object))
        return false;
    update->merge = object;
    lane->open++;
    actions_apply(view->actions, bucket_id, key->position, key->key, update,
                  antientropy_ref(lane, item));
    return true;
}

static void
count_difference(Antientropy *antientropy, const Lane *lane)
{
    lane->pair->status.differences++;
    antientropy->counters.differences++;
}

static bool
take_verdict(Antientropy *antientropy, Lane *lane, const View *view, uint32_t item,
             const VersionAnswer *answer)
{
    DifferentKey *key = key_of(lane, item);
    bool gives = answer->verdict == VERSION_TAKE || answer->verdict == VERSION_BOTH;

    key->phase = KEY_DONE;
    if (answer->verdict == VERSION_LATER)
        key->phase = KEY_FOUND;
    else if (answer->verdict == VERSION_FAILED)
        lane->failure = STATUS_CORRUPT;
    else if (answer->verdict != VERSION_EQUAL)
        count_difference(antientropy, lane);
    if (answer->verdict == VERSION_GIVE || answer->verdict == VERSION_BOTH)
    {
        key->phase = KEY_GIVE;
        key->bytes += answer->object.length;
        lane->gives++;
    }
    return !gives || store(antientropy, lane, view, item, answer);
}

static bool
says_something(const VersionsReply *reply)
{
    for (uint32_t i = 0; i < reply->item_count; i++)
    {
        if (reply->items[i].verdict != VERSION_LATER)
            return true;
    }
    return false;
}

void
antientropy_take_versions(Antientropy *antientropy, Lane *lane, const View *view,
                          const Frame *frame)
{
    VersionsReply reply;
    bool good = versions_reply_decode(frame, &view->actions->arena, &reply) &&
                reply.item_count == lane->batch_count && says_something(&reply);

    antientropy_ask(antientropy, lane);
    lane->open = 0;
    for (uint32_t i = 0; good && i < reply.item_count; i++)
        good = take_verdict(antientropy, lane, view, i, &reply.items[i]);
    lane->pair->status.state = REPAIR_MENDING;
    if (!good)
        antientropy_fail(antientropy, lane, view, STATUS_BAD_FRAME);
    else
        lane->state = lane->open > 0 ? LANE_STORING : LANE_READY;
}

void
antientropy_take_stored(Antientropy *antientropy, Lane *lane, StatusCode status)
{
    if (status != STATUS_OK)
        lane->failure = status;
    else
    {
        lane->pair->status.mended_here++;
        antientropy->counters.mended_here++;
    }
    if (--lane->open == 0)
        lane->state = LANE_READY;
}

/* ---- what the peer wants ---- */

static void
fetch_gives(Antientropy *antientropy, Lane *lane, const View *view)
{
    size_t bytes = 0;

    lane->open = lane->given = 0;
    lane->state = LANE_FETCHING;
    antientropy_ask(antientropy, lane);
    for (uint32_t i = 0; i < lane->batch_count && bytes < ANTIENTROPY_PAGE_BYTES; i++)
    {
        DifferentKey *key = key_of(lane, i);

        if (key->phase != KEY_GIVE)
            continue;
        key->phase = KEY_GIVEN;
        key->round =
            rounds_label(view->rounds, view->topology, lane->pair->status.bucket_id, key->position);
        bytes += key->bytes;
        lane->gives--;
        lane->open++;
        read_key(antientropy, lane, i, view->actions);
    }
}

static void
take_own_object(const Antientropy *antientropy, Lane *lane, const View *view, uint32_t item,
                StatusCode status, Slice object)
{
    ReplicateItem give = {.ref = antientropy_ref(lane, item),
                          .placed = antientropy->epoch,
                          .bucket_id = lane->pair->status.bucket_id,
                          .round = key_of(lane, item)->round,
                          .key = key_of(lane, item)->key,
                          .object = object};

    give.object = step_tell(view, give.bucket_id, key_of(lane, item)->position, give.key, object,
                            &lane->batch_arena);
    if (status != STATUS_OK)
        lane->failure = status;
    if (status != STATUS_OK || object.length == 0)
    {
        key_of(lane, item)->phase = KEY_DONE;
        return;
    }
    outbox_put(&lane->outbox, &give);
    lane->given++;
}

static void
send_gives(Antientropy *antientropy, Lane *lane, const View *view)
{
    lane->state = LANE_READY;
    if (lane->given == 0)
        return;
    antientropy_count_sent(antientropy, lane, lane->outbox.items.length);
    outbox_send(&lane->outbox, view->topology->epoch, lane->peer, view->actions);
    lane->open = lane->given;
    antientropy_await(lane, view, LANE_GIVING);
}

void
antientropy_take_own(Antientropy *antientropy, Lane *lane, const View *view, uint32_t item,
                     StatusCode status, Slice object)
{
    bool fetching = lane->state == LANE_FETCHING;

    if (status != STATUS_OK && status != STATUS_CORRUPT)
    {
        antientropy_fail(antientropy, lane, view, status);
        return;
    }
    antientropy_pay(antientropy, object.length);
    if (fetching)
        take_own_object(antientropy, lane, view, item, status, object);
    else
        take_own_version(lane, item, status == STATUS_OK ? object : SLICE_EMPTY);
    if (--lane->open > 0)
        return;
    if (fetching)
        send_gives(antientropy, lane, view);
    else
        send_versions(antientropy, lane, view);
}

void
antientropy_take_given(Antientropy *antientropy, Lane *lane, const View *view,
                       const ReplicateResult *result)
{
    uint32_t item = ticket_ref_item(result->ref);
    DifferentKey *key = item < lane->batch_count ? key_of(lane, item) : NULL;

    if (key == NULL || key->phase != KEY_GIVEN)
        return;
    key->phase = KEY_DONE;
    if (result->status == STATUS_STALE_ROUND)
        step_learn_round(view, lane->pair->status.bucket_id, key->position, result->round);
    if (result->status != STATUS_OK)
        lane->failure = result->status;
    else
    {
        lane->pair->status.mended_there++;
        antientropy->counters.mended_there++;
    }
    if (--lane->open == 0)
        lane->state = LANE_READY;
}

void
antientropy_mend_on(Antientropy *antientropy, Lane *lane, const View *view)
{
    if (lane->gives > 0)
        fetch_gives(antientropy, lane, view);
    else if (next_batch(lane))
    {
        lane->pair->status.state = REPAIR_CONFIRMING;
        read_versions(antientropy, lane, view->actions);
    }
    else
    {
        lane->mending = false;
        lane->key_count = lane->keys_done = 0;
        arena_reset(&lane->key_arena);
    }
}
