/*
 * Answering: roots and levels at once, from the trees; keys by a scan and versions by reads, each
 * of which is an Answer in the making. Whoever asks when there are too many of those asks again.
 */
#include "node/engine/repair/antientropy_private.h"

enum
{
    LEVEL_DIGESTS_MAX = 65536, /* in one answer */
    ROWS_PER_LIST = 4          /* bytes of rows that are read for a byte of keys, at most */
};

struct Answer
{
    bool live;
    uint32_t ticket;
    Origin origin;
    uint32_t open; /* reads */
    TreeKeysFrame keys;
    VersionsFrame versions;
    VersionsReply reply;
    size_t bytes; /* of the objects in it */
    Arena arena;
};

Answer *
antientropy_answers_new(void)
{
    Answer *answers = memory_resize(&MEMORY_HEAP, NULL, ANTIENTROPY_ANSWERS * sizeof(Answer));

    for (uint32_t i = 0; i < ANTIENTROPY_ANSWERS; i++)
    {
        answers[i] = (Answer){0};
        arena_init(&answers[i].arena, &MEMORY_HEAP);
    }
    return answers;
}

void
antientropy_answers_free(Answer *answers)
{
    for (uint32_t i = 0; i < ANTIENTROPY_ANSWERS; i++)
        arena_free(&answers[i].arena);
    memory_resize(&MEMORY_HEAP, answers, 0);
}

static Answer *
begin_answer(Antientropy *antientropy, Origin origin)
{
    for (uint32_t i = 0; i < ANTIENTROPY_ANSWERS; i++)
    {
        Answer *answer = &antientropy->answers[i];

        if (answer->live)
            continue;
        answer->live = true;
        answer->ticket = tickets_draw(&antientropy->answer_tickets, i);
        answer->origin = origin;
        answer->open = 0;
        answer->bytes = 0;
        return answer;
    }
    return NULL;
}

static void
end_answer(Antientropy *antientropy, Answer *answer)
{
    tickets_end(&antientropy->answer_tickets, answer->ticket);
    answer->live = false;
    arena_reset(&answer->arena);
}

static uint64_t
ref_of(const Answer *answer, uint32_t item)
{
    return ticket_ref(REF_TREE_ANSWERS, answer->ticket, item);
}

static Answer *
answer_of(const Antientropy *antientropy, uint64_t ref)
{
    uint32_t number = tickets_find(&antientropy->answer_tickets, ticket_ref_number(ref));

    return number != TICKET_NO_SLOT ? &antientropy->answers[number] : NULL;
}

/* Sends the frame in the making. */
static void
reply(Antientropy *antientropy, Origin origin, Actions *actions)
{
    size_t bytes = actions->frames.length - actions->frame_start;

    antientropy->counters.bytes_sent += bytes;
    antientropy_pay(antientropy, bytes);
    actions_reply(actions, origin.session);
}

static void
refuse_answer(Antientropy *antientropy, Answer *answer, StatusCode status, Actions *actions)
{
    actions_error(actions, answer->origin, status, "");
    end_answer(antientropy, answer);
}

/* ---- roots and levels ---- */

/* Where nothing differs it is known here too. */
static bool
compare_root(Antientropy *antientropy, const View *view, uint64_t epoch, uint32_t asker,
             const TreeRoot *root, TreeDifference *difference)
{
    TreeId id = {.bucket_id = root->bucket_id, .partition = root->partition};
    TreeSum sum;
    Pair *pair;

    if (root->partition < view->topology->partitions &&
        topology_has_moved(view->topology,
                           ring_partition_start(root->partition, view->topology->partitions),
                           epoch))
    {
        difference->status = STATUS_MOVED;
        return false;
    }
    if (!antientropy_is_pair(antientropy, view, asker, id))
    {
        difference->status = topology_bucket_by_id(view->topology, root->bucket_id) == NULL
                                 ? STATUS_BEHIND
                                 : STATUS_NOT_OWNER;
        return false;
    }
    difference->depth = trees_depth(view->trees, id);
    if (!trees_sum(view->trees, id, (TreePart){0}, &sum) ||
        !digest_equal(&sum.digest, &root->digest))
        return false;
    pair = antientropy_pair_with_rows(antientropy, view, asker, id);
    if (pair != NULL)
        antientropy_found_equal(pair, view);
    return true;
}

static void
answer_roots(Antientropy *antientropy, const View *view, Origin origin, const Frame *frame)
{
    TreeRootsFrame roots;
    TreeRootsReply answer = {0};
    uint32_t asker;

    if (!tree_roots_decode(frame, &view->actions->arena, &roots))
    {
        actions_error(view->actions, origin, STATUS_BAD_FRAME, "");
        return;
    }
    asker = topology_member(view->topology, &roots.asker);
    answer.items = ARENA_ARRAY(&view->actions->arena, TreeDifference, roots.root_count);
    for (uint32_t i = 0; i < roots.root_count; i++)
    {
        TreeDifference difference = {.index = i};

        if (!compare_root(antientropy, view, roots.epoch, asker, &roots.roots[i], &difference))
            answer.items[answer.item_count++] = difference;
    }
    tree_roots_reply_encode(actions_frame(view->actions), origin.tag, &answer);
    reply(antientropy, origin, view->actions);
}

static StatusCode
check_owner(const View *view, uint64_t epoch, uint32_t bucket_id, uint32_t partition)
{
    const Bucket *bucket = topology_bucket_by_id(view->topology, bucket_id);
    uint64_t start;

    if (bucket == NULL)
        return STATUS_BEHIND;
    if (partition >= view->topology->partitions)
        return STATUS_BAD_FRAME;
    start = ring_partition_start(partition, view->topology->partitions);
    if (topology_has_moved(view->topology, start, epoch))
        return STATUS_MOVED;
    return topology_owns(view->topology, bucket_id, start, view->self) ? STATUS_OK
                                                                       : STATUS_NOT_OWNER;
}

/* None at all, when one of them is deeper than the tree. */
static void
list_children(const View *view, const TreeLevelFrame *level, TreeLevelReply *answer)
{
    TreeId id = {.bucket_id = level->bucket_id, .partition = level->partition};
    uint32_t width = 1u << level->child_bits;

    for (uint32_t i = 0; i < level->prefix_count * width; i++)
    {
        TreePart child = {.depth = (uint8_t)(level->depth + level->child_bits),
                          .prefix = level->prefixes[i / width] << level->child_bits | i % width};
        TreeSum sum;

        if (!trees_sum(view->trees, id, child, &sum))
        {
            answer->digest_count = 0;
            return;
        }
        answer->digests[answer->digest_count++] = sum.digest;
    }
}

static bool
level_is_of_a_tree(const TreeLevelFrame *level)
{
    for (uint32_t i = 0; i < level->prefix_count; i++)
    {
        if (level->depth < 32 && level->prefixes[i] >> level->depth != 0)
            return false;
    }
    return level->depth + level->child_bits <= TREE_BITS_MAX &&
           (uint64_t)level->prefix_count << level->child_bits <= LEVEL_DIGESTS_MAX;
}

static void
answer_level(Antientropy *antientropy, const View *view, Origin origin, const Frame *frame)
{
    TreeLevelFrame level;
    TreeLevelReply answer = {0};
    StatusCode status = STATUS_BAD_FRAME;

    if (tree_level_decode(frame, &view->actions->arena, &level) && level_is_of_a_tree(&level))
        status = check_owner(view, level.epoch, level.bucket_id, level.partition);
    if (status != STATUS_OK)
    {
        actions_error(view->actions, origin, status, "");
        return;
    }
    answer.digests =
        ARENA_ARRAY(&view->actions->arena, Digest, level.prefix_count << level.child_bits);
    list_children(view, &level, &answer);
    tree_level_reply_encode(actions_frame(view->actions), origin.tag, &answer);
    reply(antientropy, origin, view->actions);
}

/* ---- keys ---- */

static StatusCode
check_keys(const View *view, const TreeKeysFrame *keys)
{
    uint32_t partitions = view->topology->partitions;
    uint32_t partition = ring_partition(keys->first_position, partitions);

    if (keys->first_position > keys->last_position ||
        ring_partition(keys->last_position, partitions) != partition)
        return STATUS_BAD_FRAME;
    return check_owner(view, keys->epoch, keys->bucket_id, partition);
}

static void
answer_keys(Antientropy *antientropy, const View *view, Answer *answer, const Frame *frame)
{
    TreeKeysFrame *keys = &answer->keys;
    StatusCode status = STATUS_BAD_FRAME;
    StorageRange range;

    if (tree_keys_decode(frame, keys))
        status = check_keys(view, keys);
    if (status != STATUS_OK)
    {
        refuse_answer(antientropy, answer, status, view->actions);
        return;
    }
    if (keys->max_bytes == 0 || keys->max_bytes > ANTIENTROPY_LIST_BYTES)
        keys->max_bytes = ANTIENTROPY_LIST_BYTES;
    range = (StorageRange){.bucket_id = keys->bucket_id,
                           .first_position = keys->first_position,
                           .last_position = keys->last_position,
                           .after = keys->after,
                           .max_bytes = keys->max_bytes * ROWS_PER_LIST};
    actions_scan(view->actions, &range, ref_of(answer, 0));
}

/* Rows of the page for which there is room; *last: the place of the last of them. */
static void
list_keys(Antientropy *antientropy, Answer *answer, const StoragePage *page, TreeKeysReply *list,
          Buffer *last)
{
    size_t bytes = 0;

    list->keys = ARENA_ARRAY(&answer->arena, TreeKey, page->row_count);
    while (list->key_count < page->row_count && bytes < answer->keys.max_bytes)
    {
        const StorageRow *row = &page->rows[list->key_count];

        list->keys[list->key_count++] =
            (TreeKey){.key = row->key, .digest = object_digest(row->object)};
        bytes += row->key.length + sizeof(Digest);
        antientropy_pay(antientropy, row->object.length);
        buffer_reset(last);
        storage_cursor(last, row->position, row->key);
    }
}

void
antientropy_answer_scanned(Antientropy *antientropy, uint64_t ref, StatusCode status,
                           const StoragePage *page, Actions *actions)
{
    Answer *answer = answer_of(antientropy, ref);
    TreeKeysReply list = {0};
    Buffer last;

    if (answer == NULL)
        return;
    if (status != STATUS_OK)
    {
        refuse_answer(antientropy, answer, status, actions);
        return;
    }
    buffer_init(&last, &MEMORY_HEAP);
    list_keys(antientropy, answer, page, &list, &last);
    if (list.key_count < page->row_count)
        list.last = buffer_slice(&last);
    else if (page->done)
        list.done = true;
    else
        list.last = page->through;
    tree_keys_reply_encode(actions_frame(actions), answer->origin.tag, &list);
    reply(antientropy, answer->origin, actions);
    buffer_free(&last);
    end_answer(antientropy, answer);
}

/* ---- versions ---- */

static void
send_verdicts(Antientropy *antientropy, Answer *answer, Actions *actions)
{
    versions_reply_encode(actions_frame(actions), answer->origin.tag, &answer->reply);
    reply(antientropy, answer->origin, actions);
    end_answer(antientropy, answer);
}

static bool
versions_have_moved(const View *view, const Bucket *bucket, const VersionsFrame *versions)
{
    uint64_t position;

    for (uint32_t i = 0; i < versions->item_count; i++)
    {
        if (topology_position(bucket, versions->items[i].key, &position) &&
            topology_has_moved(view->topology, position, versions->epoch))
            return true;
    }
    return false;
}

static void
answer_versions(Antientropy *antientropy, const View *view, Answer *answer, const Frame *frame)
{
    Frame kept = frame_copy(&answer->arena, frame);
    VersionsFrame *versions = &answer->versions;
    const Bucket *bucket = NULL;

    if (!versions_decode(&kept, &answer->arena, versions) || versions->item_count >= TICKET_ITEMS ||
        (bucket = topology_bucket_by_id(view->topology, versions->bucket_id)) == NULL)
    {
        refuse_answer(antientropy, answer, STATUS_BAD_FRAME, view->actions);
        return;
    }
    if (versions_have_moved(view, bucket, versions))
    {
        refuse_answer(antientropy, answer, STATUS_MOVED, view->actions);
        return;
    }
    answer->reply.item_count = versions->item_count;
    answer->reply.items =
        arena_alloc_zero(&answer->arena, sizeof(VersionAnswer) * versions->item_count);
    for (uint32_t i = 0; i < versions->item_count; i++)
    {
        uint64_t position;

        answer->reply.items[i].verdict = VERSION_FAILED;
        if (!topology_position(bucket, versions->items[i].key, &position))
            continue;
        answer->open++;
        answer->reply.items[i].round =
            rounds_label(view->rounds, view->topology, bucket->id, position);
        actions_read(view->actions, bucket->id, position, versions->items[i].key,
                     ref_of(answer, i));
    }
    if (answer->open == 0)
        send_verdicts(antientropy, answer, view->actions);
}

/* Of the asker's object, and the one that is here: of two that say the same and are not equal both
 * travel. */
static VersionVerdict
judge(const VersionItem *asked, Slice object, Arena *arena)
{
    Digest digest = object_digest(object);
    Version own = {0};
    Object decoded;
    bool gives;
    bool wants;

    if (digest_equal(&digest, &asked->digest))
        return VERSION_EQUAL;
    if (object.length > 0 && object_decode(object, arena, &decoded))
        own = version_of(arena, &decoded);
    gives = version_is_within(&asked->version, &own);
    wants = version_is_within(&own, &asked->version);
    if (gives == wants)
        return own.context.count > 0 ? VERSION_BOTH : VERSION_EQUAL;
    return gives ? VERSION_TAKE : VERSION_GIVE;
}

/* With all that is remembered of the key. */
static Slice
told(const View *view, Answer *answer, uint32_t item, Slice object)
{
    const Bucket *bucket = topology_bucket_by_id(view->topology, answer->versions.bucket_id);
    Slice key = answer->versions.items[item].key;
    uint64_t position;

    if (bucket == NULL || !topology_position(bucket, key, &position))
        return object;
    return step_tell(view, bucket->id, position, key, object, &answer->arena);
}

/* An object that cannot be read counts as absent: the asker's is to take its place. */
void
antientropy_answer_fetched(Antientropy *antientropy, const View *view, uint64_t ref,
                           StatusCode status, Slice object)
{
    Answer *answer = answer_of(antientropy, ref);
    uint32_t item = ticket_ref_item(ref);
    VersionAnswer *verdict;

    if (answer == NULL)
        return;
    verdict = &answer->reply.items[item];
    antientropy_pay(antientropy, object.length);
    if (status == STATUS_OK || status == STATUS_CORRUPT)
        verdict->verdict = judge(&answer->versions.items[item], object, &answer->arena);
    if (verdict->verdict == VERSION_TAKE || verdict->verdict == VERSION_BOTH)
    {
        if (answer->bytes > 0 && answer->bytes + object.length > ANTIENTROPY_PAGE_BYTES)
            verdict->verdict = VERSION_LATER;
        else
        {
            answer->bytes += object.length;
            verdict->object = slice_copy(&answer->arena, told(view, answer, item, object));
        }
    }
    if (--answer->open == 0)
        send_verdicts(antientropy, answer, view->actions);
}

/* ---- questions ---- */

/* While this node refills its trees say nothing; only who mends what cannot be read asks for keys
 * without having compared them. */
static StatusCode
why_not(const View *view, FrameType type)
{
    if (view->refilling && type != FRAME_TREE_KEYS && type != FRAME_VERSIONS)
        return STATUS_REFILLING;
    return view->cannot_write || view->trees == NULL ? STATUS_STORAGE : STATUS_OK;
}

void
antientropy_session_frame(Antientropy *antientropy, const View *view, Origin origin,
                          const Frame *frame)
{
    StatusCode status = why_not(view, frame->type);
    Answer *answer;

    antientropy_follow(antientropy, view);
    antientropy->counters.bytes_received += MESSAGE_HEADER_BYTES + frame->body.length;
    antientropy_pay(antientropy, frame->body.length);
    if (status != STATUS_OK)
        actions_error(view->actions, origin, status, "");
    else if (frame->type == FRAME_TREE_ROOTS)
        answer_roots(antientropy, view, origin, frame);
    else if (frame->type == FRAME_TREE_LEVEL)
        answer_level(antientropy, view, origin, frame);
    else if ((answer = begin_answer(antientropy, origin)) == NULL)
        actions_error(view->actions, origin, STATUS_OVERLOADED, "too many compares are under way");
    else if (frame->type == FRAME_TREE_KEYS)
        answer_keys(antientropy, view, answer, frame);
    else
        answer_versions(antientropy, view, answer, frame);
}
