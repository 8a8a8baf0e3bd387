/* Finding the keys that differ: roots, levels, and the keys of leaves. */
#include "node/engine/repair/antientropy_private.h"

#include <string.h>

/* ---- roots ---- */

static TreeId
tree_of(const Pair *pair)
{
    return (TreeId){.bucket_id = pair->status.bucket_id, .partition = pair->status.partition};
}

void
antientropy_send_roots(Antientropy *antientropy, Lane *lane, const View *view)
{
    TreeRootsFrame frame = {.epoch = view->topology->epoch,
                            .asker = view->topology->members[view->self].id,
                            .roots = ARENA_ARRAY(&view->actions->arena, TreeRoot, lane->root_count),
                            .root_count = lane->root_count};

    for (uint32_t i = 0; i < lane->root_count; i++)
    {
        TreeId id = lane->roots[i];
        TreeSum sum;

        (void)trees_sum(view->trees, id, (TreePart){0}, &sum);
        frame.roots[i] =
            (TreeRoot){.bucket_id = id.bucket_id, .partition = id.partition, .digest = sum.digest};
    }
    antientropy_ask(antientropy, lane);
    tree_roots_encode(actions_frame(view->actions), antientropy_tag(lane), &frame);
    antientropy_send(antientropy, lane, view, LANE_ROOTS);
}

/* Nothing is remembered of a partition that the peer does not know of yet. */
static void
take_difference(Antientropy *antientropy, const Lane *lane, TreeId id, const View *view,
                const TreeDifference *difference)
{
    StatusCode failure = difference->status;
    Pair *pair = failure == STATUS_OK && antientropy_is_pair(antientropy, view, lane->peer, id)
                     ? antientropy_make_pair(antientropy, lane->peer, id)
                     : antientropy_find_pair(antientropy, lane->peer, id);

    if (pair == NULL)
        return;
    pair->differs = failure == STATUS_OK;
    pair->peer_depth = difference->depth;
    if (pair->differs)
    {
        /* Whether what failed before goes well now is seen only when it is mended. */
        pair->status.compared_ms = view->wall_ms;
        failure = pair->status.failure;
    }
    antientropy_end_pair(antientropy, pair, failure);
}

static void
take_equal(Antientropy *antientropy, const Lane *lane, TreeId id, const View *view)
{
    Pair *pair = antientropy_pair_with_rows(antientropy, view, lane->peer, id);

    if (pair == NULL)
        return;
    antientropy_found_equal(pair, view);
    if (pair->working)
        antientropy_end_pair(antientropy, pair, STATUS_OK);
}

void
antientropy_take_roots(Antientropy *antientropy, Lane *lane, const View *view, const Frame *frame)
{
    TreeRootsReply reply;
    uint32_t next = 0;

    if (!tree_roots_reply_decode(frame, &view->actions->arena, &reply) ||
        (reply.item_count > 0 && reply.items[reply.item_count - 1].index >= lane->root_count))
    {
        antientropy_fail(antientropy, lane, view, STATUS_BAD_FRAME);
        return;
    }
    antientropy_pass_round(antientropy, lane);
    antientropy->counters.compares += lane->root_count;
    for (uint32_t i = 0; i < lane->root_count; i++)
    {
        if (next < reply.item_count && reply.items[next].index == i)
            take_difference(antientropy, lane, lane->roots[i], view, &reply.items[next++]);
        else
            take_equal(antientropy, lane, lane->roots[i], view);
    }
    antientropy_finish(antientropy, lane, view);
}

/* ---- levels ---- */

static void
push_part(Lane *lane, TreePart part)
{
    if (lane->part_count == lane->part_capacity)
    {
        lane->part_capacity = lane->part_capacity > 0 ? 2 * lane->part_capacity : 64;
        lane->parts =
            memory_resize(&MEMORY_HEAP, lane->parts, lane->part_capacity * sizeof(TreePart));
    }
    lane->parts[lane->part_count++] = part;
}

static void
begin_leaf(Lane *lane, PositionRange range)
{
    lane->leaf = range;
    lane->in_leaf = true;
    buffer_reset(&lane->after);
}

void
antientropy_descend(Antientropy *antientropy, Lane *lane, const Pair *pair, const View *view)
{
    uint8_t depth = trees_depth(view->trees, tree_of(pair));

    lane->depth = depth < pair->peer_depth ? depth : pair->peer_depth;
    lane->began_ms = view->now_ms;
    lane->mended_before = pair->status.mended_here;
    lane->failure = STATUS_OK;
    lane->mending = false;
    lane->in_leaf = lane->list.open = false;
    lane->key_count = lane->keys_done = lane->gives = 0;
    lane->part_count = lane->parts_done = 0;
    lane->parts_total = 1;
    arena_reset(&lane->key_arena);
    if (position_range_is_none(lane->mend))
        push_part(lane, (TreePart){0});
    else
    {
        antientropy->counters.compares++;
        begin_leaf(lane, lane->mend);
    }
}

/* What stands so many steps behind the last, of those asked for together. */
static TreePart
nth_asked(const Lane *lane, uint32_t nth)
{
    return lane->parts[lane->part_count - 1 - nth];
}

static void
ask_level(Antientropy *antientropy, Lane *lane, const View *view)
{
    const Pair *pair = lane->pair;
    TreePart top = nth_asked(lane, 0);
    uint32_t prefixes[ANTIENTROPY_LEVEL_PARTS];
    TreeLevelFrame frame = {.epoch = view->topology->epoch,
                            .bucket_id = pair->status.bucket_id,
                            .partition = pair->status.partition,
                            .depth = top.depth,
                            .prefixes = prefixes};

    frame.child_bits = lane->depth - top.depth < ANTIENTROPY_LEVEL_BITS ? lane->depth - top.depth
                                                                        : ANTIENTROPY_LEVEL_BITS;
    while (frame.prefix_count < ANTIENTROPY_LEVEL_PARTS && frame.prefix_count < lane->part_count &&
           nth_asked(lane, frame.prefix_count).depth == top.depth)
    {
        prefixes[frame.prefix_count] = nth_asked(lane, frame.prefix_count).prefix;
        frame.prefix_count++;
    }
    lane->asked = frame.prefix_count;
    lane->asked_bits = frame.child_bits;
    antientropy_ask(antientropy, lane);
    tree_level_encode(actions_frame(view->actions), antientropy_tag(lane), &frame);
    antientropy_send(antientropy, lane, view, LANE_LEVEL);
}

/* The children that differ, of the last part first; false when the own tree is not that deep. */
static bool
list_children(const Lane *lane, const Pair *pair, const View *view, const TreeLevelReply *reply,
              TreePart *children, uint32_t *count)
{
    uint32_t width = 1u << lane->asked_bits;

    *count = 0;
    for (uint32_t i = reply->digest_count; i > 0; i--)
    {
        TreePart parent = nth_asked(lane, (i - 1) / width);
        TreePart child = {.depth = (uint8_t)(parent.depth + lane->asked_bits),
                          .prefix = parent.prefix << lane->asked_bits | (i - 1) % width};
        TreeSum sum;

        if (!trees_sum(view->trees, tree_of(pair), child, &sum))
            return false;
        if (!digest_equal(&sum.digest, &reply->digests[i - 1]))
            children[(*count)++] = child;
    }
    return true;
}

void
antientropy_take_level(Antientropy *antientropy, Lane *lane, const View *view, const Frame *frame)
{
    const Pair *pair = lane->pair;
    TreeLevelReply reply;
    TreePart *children;
    uint32_t count;

    if (!tree_level_reply_decode(frame, &view->actions->arena, &reply) ||
        (reply.digest_count > 0 && reply.digest_count != lane->asked << lane->asked_bits))
    {
        antientropy_fail(antientropy, lane, view, STATUS_BAD_FRAME);
        return;
    }
    lane->state = LANE_READY;
    children = ARENA_ARRAY(&view->actions->arena, TreePart, reply.digest_count);
    if (reply.digest_count == 0 || !list_children(lane, pair, view, &reply, children, &count))
    {
        /* A tree has become less deep meanwhile: what was asked about is compared as leaves. */
        lane->depth = nth_asked(lane, 0).depth;
        return;
    }
    lane->part_count -= lane->asked;
    lane->parts_done += lane->asked;
    lane->parts_total += count;
    for (uint32_t i = 0; i < count; i++)
        push_part(lane, children[i]);
}

/* ---- leaves ---- */

static void
ask_list(Antientropy *antientropy, Lane *lane, const View *view)
{
    TreeKeysFrame frame = {.epoch = view->topology->epoch,
                           .bucket_id = lane->pair->status.bucket_id,
                           .first_position = lane->leaf.first,
                           .last_position = lane->leaf.last,
                           .after = buffer_slice(&lane->after),
                           .max_bytes = ANTIENTROPY_LIST_BYTES};

    antientropy_ask(antientropy, lane);
    tree_keys_encode(actions_frame(view->actions), antientropy_tag(lane), &frame);
    antientropy_send(antientropy, lane, view, LANE_LIST);
}

static void
scan_own(Antientropy *antientropy, Lane *lane, Actions *actions)
{
    const TreeKeysReply *reply = &lane->list.reply;
    StorageRange range = {.bucket_id = lane->pair->status.bucket_id,
                          .first_position = lane->leaf.first,
                          .last_position = lane->leaf.last,
                          .after = buffer_slice(&lane->own_after),
                          .through = reply->done ? SLICE_EMPTY : reply->last,
                          .max_bytes = ANTIENTROPY_PAGE_BYTES};

    antientropy_ask(antientropy, lane);
    lane->state = LANE_SCANNING;
    actions_scan(actions, &range, antientropy_ref(lane, 0));
}

bool
antientropy_compare_on(Antientropy *antientropy, Lane *lane, const View *view)
{
    PositionRange range;
    TreePart top;

    lane->pair->status.state = REPAIR_COMPARING;
    if (lane->list.open)
        scan_own(antientropy, lane, view->actions);
    else if (lane->in_leaf)
        ask_list(antientropy, lane, view);
    else if (lane->part_count == 0)
        return false;
    else if (nth_asked(lane, 0).depth < lane->depth)
        ask_level(antientropy, lane, view);
    else
    {
        top = nth_asked(lane, 0);
        lane->part_count--;
        trees_part_range(view->trees, lane->pair->status.partition, top, &range.first, &range.last);
        begin_leaf(lane, range);
        ask_list(antientropy, lane, view);
    }
    return true;
}

static int
compare_cursors(uint64_t position, Slice key, uint64_t other_position, Slice other_key)
{
    if (position != other_position)
        return position < other_position ? -1 : 1;
    return slice_compare(key, other_key);
}

/* Keys of the leaf, behind the last list, each behind the one before; and not in vain. */
static bool
check_list(const Lane *lane, const Bucket *bucket, KeyList *list)
{
    uint64_t position = lane->leaf.first;
    uint64_t end_position;
    Slice key = SLICE_EMPTY;
    Slice end_key;

    if (lane->after.length > 0)
        (void)storage_cursor_split(buffer_slice(&lane->after), &position, &key);
    for (uint32_t i = 0; i < list->reply.key_count; i++)
    {
        Slice next = list->reply.keys[i].key;

        if (!topology_position(bucket, next, &list->positions[i]) ||
            list->positions[i] > lane->leaf.last ||
            compare_cursors(position, key, list->positions[i], next) >= 0)
            return false;
        position = list->positions[i];
        key = next;
    }
    if (list->reply.done)
        return true;
    return storage_cursor_split(list->reply.last, &end_position, &end_key) &&
           slice_compare(list->reply.last, buffer_slice(&lane->after)) > 0 &&
           compare_cursors(position, key, end_position, end_key) <= 0;
}

void
antientropy_take_list(Antientropy *antientropy, Lane *lane, const View *view, const Frame *frame)
{
    const Bucket *bucket = topology_bucket_by_id(view->topology, lane->pair->status.bucket_id);
    KeyList *list = &lane->list;
    Frame kept;

    arena_reset(&lane->list_arena);
    kept = frame_copy(&lane->list_arena, frame);
    *list = (KeyList){.open = true};
    if (!tree_keys_reply_decode(&kept, &lane->list_arena, &list->reply))
    {
        antientropy_fail(antientropy, lane, view, STATUS_BAD_FRAME);
        return;
    }
    list->positions = ARENA_ARRAY(&lane->list_arena, uint64_t, list->reply.key_count);
    if (!check_list(lane, bucket, list))
    {
        antientropy_fail(antientropy, lane, view, STATUS_BAD_FRAME);
        return;
    }
    buffer_reset(&lane->own_after);
    buffer_put(&lane->own_after, lane->after.data, lane->after.length);
    lane->state = LANE_READY;
}

static void
note_key(Lane *lane, uint64_t position, Slice key)
{
    if (lane->key_count == lane->key_capacity)
    {
        lane->key_capacity = lane->key_capacity > 0 ? 2 * lane->key_capacity : ANTIENTROPY_KEYS_MAX;
        lane->keys =
            memory_resize(&MEMORY_HEAP, lane->keys, lane->key_capacity * sizeof(DifferentKey));
    }
    lane->keys[lane->key_count++] =
        (DifferentKey){.key = slice_copy(&lane->key_arena, key), .position = position};
}

static void
note_listed(Lane *lane)
{
    KeyList *list = &lane->list;

    note_key(lane, list->positions[list->next], list->reply.keys[list->next].key);
    list->next++;
}

/* The peer's keys before an own row are missing here; of the same key the objects are compared. */
static void
walk_row(Lane *lane, const StorageRow *row)
{
    KeyList *list = &lane->list;
    int order = 1;

    while (list->next < list->reply.key_count)
    {
        order = compare_cursors(list->positions[list->next], list->reply.keys[list->next].key,
                                row->position, row->key);
        if (order >= 0)
            break;
        note_listed(lane);
    }
    if (list->next == list->reply.key_count || order > 0)
    {
        note_key(lane, row->position, row->key);
        return;
    }

    Digest digest = object_digest(row->object);

    if (digest_equal(&digest, &list->reply.keys[list->next].digest))
        list->next++;
    else
        note_listed(lane);
}

static void
close_list(Lane *lane)
{
    KeyList *list = &lane->list;

    while (list->next < list->reply.key_count)
        note_listed(lane);
    list->open = false;
    buffer_reset(&lane->after);
    buffer_put(&lane->after, list->reply.last.data, list->reply.last.length);
    if (!list->reply.done)
        return;
    lane->in_leaf = false;
    lane->parts_done++;
}

void
antientropy_take_rows(Antientropy *antientropy, Lane *lane, const View *view, StatusCode status,
                      const StoragePage *page)
{
    size_t bytes = 0;

    if (status != STATUS_OK && status != STATUS_CORRUPT)
    {
        antientropy_fail(antientropy, lane, view, status);
        return;
    }
    lane->state = LANE_READY;
    if (status == STATUS_CORRUPT)
    {
        /* Which of the own rows can be read is found out one by one. */
        close_list(lane);
        return;
    }
    for (uint32_t i = 0; i < page->row_count; i++)
    {
        walk_row(lane, &page->rows[i]);
        bytes += page->rows[i].key.length + page->rows[i].object.length;
    }
    antientropy_pay(antientropy, bytes);
    if (page->done)
    {
        close_list(lane);
        return;
    }
    buffer_reset(&lane->own_after);
    buffer_put(&lane->own_after, page->through.data, page->through.length);
}
