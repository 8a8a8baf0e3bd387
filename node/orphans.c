#include "node/orphans.h"

#include "shared/version.h"

#include <assert.h>
#include <string.h>

enum
{
    PAGE_BYTES = 128 * 1024,
    ASK_AGAIN_MS = 500,
    RETRY_MS = 500,
    TAG = 0x4000,
    TAG_SLOT = 0xffff /* of an operation that there is none of: see node/refill.c */
};

typedef enum Phase
{
    PHASE_RESTING,
    PHASE_ASKING,  /* which rounds the others have raised, for one bucket */
    PHASE_READING, /* a page of rows: of a partition to be moved, or of the orphans */
    PHASE_WRITING, /* what is to be done with the rows of the page */
    PHASE_NOTING   /* the round of a partition whose rows are moved */
} Phase;

/* What is done with orphans, one pass over all of them for each. */
typedef enum Walk
{
    WALK_NONE,
    WALK_TIDY, /* drop what the present object has seen; and count the others */
    WALK_ADOPT,
    WALK_DROP
} Walk;

typedef struct Row
{
    uint32_t bucket_id; /* of the record that the row came from */
    uint64_t position;
    Slice key;
    Slice object;
    bool stored; /* where it is to be kept; now it is to go from where it was */
} Row;

struct Orphans
{
    bool aside;           /* the data are as new as rounds say, or nobody has said otherwise */
    uint32_t last_bucket; /* asked for and moved; numbered in the order they are made */
    Phase phase;
    Walk walk;
    Walk wanted; /* next */
    uint32_t wanted_bucket;
    uint32_t walk_bucket;
    uint64_t due_ms; /* asking again, or trying again */
    bool failed;     /* something of the page */
    bool missed;     /* a row was changed while it was moved: all are looked at once more */
    bool clearing;   /* the page is of what cannot be read, and is not moved but removed */
    uint32_t bucket_id;
    bool *awaited; /* by member: has yet to say its rounds */
    uint32_t awaited_count;
    uint64_t *highest; /* by partition, of the bucket */
    uint32_t partition;
    uint32_t partitions;
    uint16_t question;
    Buffer after;
    bool last;
    Arena arena; /* of the page */
    Row *rows;
    uint32_t row_count;
    uint32_t rows_open;
    Arena shown_arena;
    Orphan *shown;
    uint32_t shown_count;
    uint64_t count;
    Arena counted_arena; /* of the walk under way */
    Orphan *counted;
    uint32_t counted_shown;
    uint64_t counted_count;
};

Orphans *
orphans_new(void)
{
    Orphans *orphans = memory_resize(&MEMORY_HEAP, NULL, sizeof(Orphans));

    *orphans = (Orphans){.aside = true, .wanted = WALK_TIDY};
    buffer_init(&orphans->after, &MEMORY_HEAP);
    arena_init(&orphans->arena, &MEMORY_HEAP);
    arena_init(&orphans->shown_arena, &MEMORY_HEAP);
    arena_init(&orphans->counted_arena, &MEMORY_HEAP);
    return orphans;
}

void
orphans_free(Orphans *orphans)
{
    buffer_free(&orphans->after);
    arena_free(&orphans->arena);
    arena_free(&orphans->shown_arena);
    arena_free(&orphans->counted_arena);
    memory_resize(&MEMORY_HEAP, orphans->awaited, 0);
    memory_resize(&MEMORY_HEAP, orphans->highest, 0);
    memory_resize(&MEMORY_HEAP, orphans, 0);
}

/* ---- what is wished ---- */

static void
rest(Orphans *orphans)
{
    orphans->phase = PHASE_RESTING;
    orphans->walk = WALK_NONE;
    orphans->clearing = false;
    orphans->question++;
}

void
orphans_begin(Orphans *orphans)
{
    if (!orphans->aside)
        return;
    orphans->aside = false;
    orphans->last_bucket = 0;
    orphans->due_ms = 0;
    rest(orphans);
}

static const Bucket *
next_bucket(const Orphans *orphans, const View *view)
{
    for (uint32_t i = 0; i < view->topology->bucket_count; i++)
    {
        if (view->topology->buckets[i].id > orphans->last_bucket)
            return &view->topology->buckets[i];
    }
    return NULL;
}

bool
orphans_are_aside(const Orphans *orphans, const View *view)
{
    return orphans->aside ||
           (orphans->phase == PHASE_RESTING && next_bucket(orphans, view) == NULL);
}

static void
want(Orphans *orphans, Walk walk, uint32_t bucket_id)
{
    orphans->wanted = walk;
    orphans->wanted_bucket = bucket_id;
}

void
orphans_end(Orphans *orphans)
{
    orphans->aside = true;
    want(orphans, WALK_TIDY, 0);
}

void
orphans_adopt(Orphans *orphans, uint32_t bucket_id)
{
    want(orphans, WALK_ADOPT, bucket_id);
}

void
orphans_drop(Orphans *orphans, uint32_t bucket_id)
{
    want(orphans, WALK_DROP, bucket_id);
}

/* ---- asking ---- */

static uint64_t
start_of(const View *view, uint32_t partition)
{
    return ring_partition_start(partition, view->topology->partitions);
}

static bool
has_rows(const View *view, TreeId id)
{
    TreeSum sum;

    return view->trees == NULL || !trees_sum(view->trees, id, (TreePart){0}, &sum) ||
           sum.rows > 0 || !sum.settled;
}

/* The other owners of what this node owns, or has rows of. */
static void
choose_asked(Orphans *orphans, const View *view, const Bucket *bucket)
{
    uint16_t owners[TOPOLOGY_N_MAX];

    memset(orphans->awaited, 0, view->topology->member_count * sizeof(bool));
    orphans->awaited_count = 0;
    for (uint32_t partition = 0; partition < orphans->partitions; partition++)
    {
        TreeId id = {.bucket_id = bucket->id, .partition = partition};
        uint64_t start = start_of(view, partition);
        uint32_t count = topology_preference(view->topology, start, owners, bucket->n);

        if (!topology_owns(view->topology, bucket->id, start, view->self) && !has_rows(view, id))
            continue;
        for (uint32_t i = 0; i < count; i++)
        {
            if (owners[i] == view->self || orphans->awaited[owners[i]])
                continue;
            orphans->awaited[owners[i]] = true;
            orphans->awaited_count++;
        }
    }
}

static void
ask(Orphans *orphans, const View *view, Actions *actions)
{
    ReapRoundsFrame frame = {.epoch = view->topology->epoch, .bucket_id = orphans->bucket_id};

    orphans->due_ms = view->now_ms + ASK_AGAIN_MS;
    for (uint32_t member = 0; member < view->topology->member_count; member++)
    {
        if (!orphans->awaited[member] || !view->up[member])
            continue;
        reap_rounds_encode(actions_frame(actions),
                           (uint32_t)TAG_SLOT << 16 | TAG | (orphans->bucket_id & 0x3fff), &frame);
        actions_send(actions, member);
    }
}

static void
begin_bucket(Orphans *orphans, const View *view, const Bucket *bucket, Actions *actions)
{
    uint32_t partitions = view->topology->partitions;

    orphans->phase = PHASE_ASKING;
    orphans->bucket_id = bucket->id;
    orphans->partitions = partitions;
    orphans->partition = 0;
    orphans->highest = memory_resize(&MEMORY_HEAP, orphans->highest, partitions * sizeof(uint64_t));
    memset(orphans->highest, 0, partitions * sizeof(uint64_t));
    orphans->awaited =
        memory_resize(&MEMORY_HEAP, orphans->awaited, view->topology->member_count * sizeof(bool));
    choose_asked(orphans, view, bucket);
    ask(orphans, view, actions);
}

void
orphans_session_frame(const View *view, Origin origin, const Frame *frame, Actions *actions)
{
    const Rounds *rounds = view->rounds;
    ReapRoundsFrame asked;
    ReapRoundsReply reply = {.item_count = 0};

    if (rounds == NULL || !reap_rounds_decode(frame, &asked))
    {
        actions_error(actions, origin, STATUS_BAD_FRAME, "");
        return;
    }
    reply.items = ARENA_ARRAY(&actions->arena, ReapRound, rounds->count);
    for (uint32_t i = 0; i < rounds->count; i++)
    {
        const Round *round = &rounds->entries[i];

        if (round->id.bucket_id == asked.bucket_id && round->round > 0)
            reply.items[reply.item_count++] =
                (ReapRound){.partition = round->id.partition, .round = round->round};
    }
    reap_rounds_reply_encode(actions_frame(actions), origin.tag, &reply);
    actions_reply(actions, origin.session);
}

/* ---- moving ---- */

static uint64_t
ref_of(const Orphans *orphans, uint32_t row)
{
    return (uint64_t)REF_ORPHANS << 56 | (uint64_t)orphans->question << 32 | row;
}

static bool
is_present(const Orphans *orphans, uint64_t ref, Phase phase)
{
    return orphans->phase == phase && orphans->question == (uint16_t)(ref >> 32);
}

static void
read_page(Orphans *orphans, const View *view, Actions *actions)
{
    StorageRange range = {.bucket_id = ORPHANS_BUCKET,
                          .last_position = UINT64_MAX,
                          .after = buffer_slice(&orphans->after),
                          .max_bytes = PAGE_BYTES};

    if (orphans->walk == WALK_NONE)
    {
        range.bucket_id = orphans->bucket_id;
        range.first_position = start_of(view, orphans->partition);
        range.last_position = range.first_position + UINT64_MAX / orphans->partitions;
        range.unreadable = orphans->clearing;
    }
    orphans->phase = PHASE_READING;
    orphans->question++;
    actions_scan(actions, &range, ref_of(orphans, 0));
}

static bool
owns(const Orphans *orphans, const View *view)
{
    return topology_owns(view->topology, orphans->bucket_id, start_of(view, orphans->partition),
                         view->self);
}

/* What is older than the others' round is gone: from now on this node sends under it. */
static void
note_round(Orphans *orphans, const View *view, Actions *actions)
{
    TreeId id = {.bucket_id = orphans->bucket_id, .partition = orphans->partition};
    uint64_t highest = orphans->highest[orphans->partition];
    Round round;

    rounds_raise(view->rounds, id, owns(orphans, view) ? highest : 0, highest);
    round = rounds_note(view->rounds, id, highest);
    orphans->phase = PHASE_NOTING;
    orphans->question++;
    actions_set_round(actions, &round, ref_of(orphans, 0));
}

/* The next partition of the bucket that is behind; when there is none, the bucket is done. */
static void
next_partition(Orphans *orphans, const View *view, Actions *actions)
{
    for (; orphans->partition < orphans->partitions; orphans->partition++)
    {
        TreeId id = {.bucket_id = orphans->bucket_id, .partition = orphans->partition};
        Round own = rounds_of(view->rounds, id);
        uint64_t highest = orphans->highest[orphans->partition];

        if (highest <= (owns(orphans, view) ? own.round : own.cleared))
            continue;
        rounds_hold(view->rounds, id, highest);
        buffer_reset(&orphans->after);
        orphans->missed = false;
        if (has_rows(view, id))
            read_page(orphans, view, actions);
        else
            note_round(orphans, view, actions);
        return;
    }
    orphans->last_bucket = orphans->bucket_id;
    rest(orphans);
}

void
orphans_member_frame(Orphans *orphans, const View *view, uint32_t member, const Frame *frame,
                     Actions *actions)
{
    ReapRoundsReply reply;

    if (orphans->phase != PHASE_ASKING || member >= view->topology->member_count ||
        (frame->tag & 0x3fff) != (orphans->bucket_id & 0x3fff) || !orphans->awaited[member] ||
        !reap_rounds_reply_decode(frame, &actions->arena, &reply))
        return;
    for (uint32_t i = 0; i < reply.item_count; i++)
    {
        const ReapRound *item = &reply.items[i];

        if (item->partition < orphans->partitions &&
            item->round > orphans->highest[item->partition])
            orphans->highest[item->partition] = item->round;
    }
    orphans->awaited[member] = false;
    if (--orphans->awaited_count == 0)
        next_partition(orphans, view, actions);
}

/* ---- rows ---- */

static bool
has_any(const View *view)
{
    bool found = false;

    for (uint32_t partition = 0; !found && partition < view->topology->partitions; partition++)
        found = has_rows(view, (TreeId){.bucket_id = ORPHANS_BUCKET, .partition = partition});
    return found;
}

static void
begin_walk(Orphans *orphans, const View *view, Actions *actions)
{
    if (!has_any(view))
    {
        orphans->wanted = WALK_NONE;
        orphans->count = orphans->shown_count = 0;
        return;
    }
    orphans->walk = orphans->wanted;
    orphans->walk_bucket = orphans->wanted_bucket;
    orphans->wanted = WALK_NONE;
    buffer_reset(&orphans->after);
    arena_reset(&orphans->counted_arena);
    orphans->counted = ARENA_ARRAY(&orphans->counted_arena, Orphan, ORPHANS_SHOWN_MAX);
    orphans->counted_shown = 0;
    orphans->counted_count = 0;
    read_page(orphans, view, actions);
}

static void
finish_walk(Orphans *orphans)
{
    Arena spare = orphans->shown_arena;

    orphans->shown_arena = orphans->counted_arena;
    orphans->counted_arena = spare;
    orphans->shown = orphans->counted;
    orphans->shown_count = orphans->counted_shown;
    orphans->count = orphans->counted_count;
    if (orphans->walk != WALK_TIDY && orphans->wanted == WALK_NONE)
        want(orphans, WALK_TIDY, 0); /* which counts what is left */
    rest(orphans);
}

static void
finish_page(Orphans *orphans, const View *view, Actions *actions)
{
    if (orphans->failed)
    {
        orphans->due_ms = view->now_ms + RETRY_MS;
        orphans->phase = PHASE_WRITING;
        return;
    }
    if (!orphans->last || orphans->clearing)
    {
        orphans->clearing = false;
        read_page(orphans, view, actions);
    }
    else if (orphans->walk != WALK_NONE)
        finish_walk(orphans);
    else if (orphans->missed)
    {
        orphans->missed = false;
        buffer_reset(&orphans->after);
        read_page(orphans, view, actions);
    }
    else
        note_round(orphans, view, actions);
}

static void
end_row(Orphans *orphans, const View *view, Actions *actions)
{
    if (--orphans->rows_open == 0)
        finish_page(orphans, view, actions);
}

/* The record that the row came from goes, if it still is what was read. */
static void
remove_row(Orphans *orphans, uint32_t index, Actions *actions)
{
    Row *row = &orphans->rows[index];
    Reap *reap = ARENA_NEW(&orphans->arena, Reap);
    Update *update = ARENA_NEW(&orphans->arena, Update);

    row->stored = true;
    *reap = (Reap){.digest = digest_of(row->object), .whole = true};
    *update = (Update){.reap = reap};
    actions_apply(actions, row->bucket_id, row->position, row->key, update, ref_of(orphans, index));
}

/* Bucket and key of an orphan; false on a key that no orphan has. */
static bool
split_orphan(Slice stored, uint32_t *bucket_id, Slice *key)
{
    Reader reader = reader_begin(stored);

    *bucket_id = reader_u32(&reader);
    *key = reader_take(&reader, reader_left(&reader));
    return !reader.failed;
}

static void
store_row(Orphans *orphans, uint32_t index, uint32_t bucket_id, Slice key, Update *update,
          Actions *actions)
{
    Object *object = ARENA_NEW(&orphans->arena, Object);

    if (!object_decode(orphans->rows[index].object, &orphans->arena, object))
    {
        orphans->rows_open--;
        return;
    }
    update->merge = object;
    actions_apply(actions, bucket_id, orphans->rows[index].position, key, update,
                  ref_of(orphans, index));
}

/* Nobody can tell what the record was; the filling brings what the other owners have of it. */
static void
forget_row(Orphans *orphans, uint32_t index, Actions *actions)
{
    Row *row = &orphans->rows[index];
    Digest *digest = ARENA_NEW(&orphans->arena, Digest);
    Update *update = ARENA_NEW(&orphans->arena, Update);

    row->stored = true;
    *digest = digest_of(row->object);
    *update = (Update){.forget = digest};
    actions_apply(actions, row->bucket_id, row->position, row->key, update, ref_of(orphans, index));
}

/* Aside: a record of the same place. */
static void
move_row(Orphans *orphans, uint32_t index, Actions *actions)
{
    const Row *row = &orphans->rows[index];
    Buffer key;

    buffer_init(&key, &MEMORY_HEAP);
    buffer_put_u32(&key, row->bucket_id);
    buffer_put(&key, row->key.data, row->key.length);
    store_row(orphans, index, ORPHANS_BUCKET, slice_copy(&orphans->arena, buffer_slice(&key)),
              ARENA_NEW(&orphans->arena, Update), actions);
    buffer_free(&key);
}

/* Back among what is stored, and owed to the other owners, to whom it is new. */
static void
adopt_row(Orphans *orphans, const View *view, uint32_t index, uint32_t bucket_id, Slice key,
          Actions *actions)
{
    const Bucket *bucket = topology_bucket_by_id(view->topology, bucket_id);
    HintChange *hints = ARENA_ARRAY(&orphans->arena, HintChange, TOPOLOGY_N_MAX);
    Update *update = ARENA_NEW(&orphans->arena, Update);
    uint16_t owners[TOPOLOGY_N_MAX];
    uint32_t count =
        topology_preference(view->topology, orphans->rows[index].position, owners, bucket->n);

    *update = (Update){.hints = hints, .unowned = true};
    for (uint32_t i = 0; i < count; i++)
    {
        if (owners[i] == view->self)
            update->unowned = false;
        else
            hints[update->hint_count++] = (HintChange){
                .target = view->topology->members[owners[i]].id, .now_ms = view->wall_ms};
    }
    store_row(orphans, index, bucket_id, key, update, actions);
}

static void
count_orphan(Orphans *orphans, const Row *row)
{
    Orphan orphan;
    Object object;
    Slice key;

    orphans->counted_count++;
    if (orphans->counted_shown == ORPHANS_SHOWN_MAX ||
        !split_orphan(row->key, &orphan.bucket_id, &key) ||
        !object_decode(row->object, &orphans->arena, &object))
        return;
    orphan.key = slice_copy(&orphans->counted_arena, key);
    orphan.siblings = object_live_count(&object);
    orphans->counted[orphans->counted_shown++] = orphan;
}

static void
treat_row(Orphans *orphans, const View *view, uint32_t index, Actions *actions)
{
    const Row *row = &orphans->rows[index];
    uint32_t bucket_id;
    Slice key;

    if (orphans->clearing)
    {
        forget_row(orphans, index, actions);
        return;
    }
    if (orphans->walk == WALK_NONE)
    {
        move_row(orphans, index, actions);
        return;
    }
    if (!split_orphan(row->key, &bucket_id, &key) ||
        topology_bucket_by_id(view->topology, bucket_id) == NULL ||
        (orphans->walk != WALK_TIDY && orphans->walk_bucket != 0 &&
         orphans->walk_bucket != bucket_id))
        orphans->rows_open--;
    else if (orphans->walk == WALK_DROP)
        remove_row(orphans, index, actions);
    else if (orphans->walk == WALK_ADOPT)
        adopt_row(orphans, view, index, bucket_id, key, actions);
    else
        actions_read(actions, bucket_id, row->position, key, ref_of(orphans, index));
}

static void
keep_page(Orphans *orphans, const StoragePage *page)
{
    arena_reset(&orphans->arena);
    orphans->rows = ARENA_ARRAY(&orphans->arena, Row, page->row_count);
    orphans->row_count = page->row_count;
    orphans->last = page->done;
    for (uint32_t i = 0; i < page->row_count; i++)
    {
        const StorageRow *row = &page->rows[i];

        orphans->rows[i] = (Row){.bucket_id = row->bucket_id,
                                 .position = row->position,
                                 .key = slice_copy(&orphans->arena, row->key),
                                 .object = slice_copy(&orphans->arena, row->object)};
    }
    if (orphans->clearing)
        return; /* the rows that can be read are gone on with */
    buffer_reset(&orphans->after);
    if (page->through.length > 0)
        buffer_put(&orphans->after, page->through.data, page->through.length);
}

static void
treat_page(Orphans *orphans, const View *view, Actions *actions)
{
    orphans->phase = PHASE_WRITING;
    orphans->question++;
    orphans->failed = false;
    orphans->due_ms = 0;
    orphans->rows_open = orphans->row_count + 1; /* ends once, at the end */
    for (uint32_t i = 0; i < orphans->row_count; i++)
    {
        orphans->rows[i].stored = false;
        treat_row(orphans, view, i, actions);
    }
    end_row(orphans, view, actions);
}

void
orphans_scanned(Orphans *orphans, const View *view, uint64_t ref, StatusCode status,
                const StoragePage *page, Actions *actions)
{
    if (!is_present(orphans, ref, PHASE_READING))
        return;
#ifndef BUG_UNREADABLE_STANDS_IN_THE_WAY
    if (status == STATUS_CORRUPT && orphans->walk == WALK_NONE && !orphans->clearing)
    {
        orphans->clearing = true;
        read_page(orphans, view, actions);
        return;
    }
#endif
    if (status != STATUS_OK || (orphans->clearing && page->row_count == 0))
    {
        orphans->clearing = false;
        orphans->row_count = 0;
        orphans->last = false;
        orphans->failed = true;
        finish_page(orphans, view, actions);
        return;
    }
    keep_page(orphans, page);
    treat_page(orphans, view, actions);
}

void
orphans_fetched(Orphans *orphans, const View *view, uint64_t ref, StatusCode status, Slice object,
                Actions *actions)
{
    const Row *row;
    Object present = {0};
    Object orphan = {0};
    Version newer;
    Version older;

    if (!is_present(orphans, ref, PHASE_WRITING))
        return;
    row = &orphans->rows[(uint32_t)ref];
    if (status != STATUS_OK || !object_decode(row->object, &orphans->arena, &orphan) ||
        (object.length > 0 && !object_decode(object, &orphans->arena, &present)))
    {
        count_orphan(orphans, row);
        end_row(orphans, view, actions);
        return;
    }
    newer = version_of(&orphans->arena, &present);
    older = version_of(&orphans->arena, &orphan);
    if (version_is_within(&older, &newer))
    {
        remove_row(orphans, (uint32_t)ref, actions);
        return;
    }
    count_orphan(orphans, row);
    end_row(orphans, view, actions);
}

void
orphans_merged(Orphans *orphans, const View *view, uint64_t ref, StatusCode status, Slice object,
               Actions *actions)
{
    if (!is_present(orphans, ref, PHASE_WRITING))
        return;
    if (status == STATUS_OK)
    {
        orphans->missed |= orphans->rows[(uint32_t)ref].stored && object.length > 0;
        return;
    }
    orphans->failed = true;
    end_row(orphans, view, actions);
}

void
orphans_durable(Orphans *orphans, const View *view, uint64_t ref, StatusCode status,
                Actions *actions)
{
    if (is_present(orphans, ref, PHASE_NOTING))
    {
        if (status == STATUS_OK)
        {
            orphans->partition++;
            next_partition(orphans, view, actions);
        }
        return;
    }
    if (!is_present(orphans, ref, PHASE_WRITING))
        return;
    if (status == STATUS_OK && !orphans->rows[(uint32_t)ref].stored)
    {
        remove_row(orphans, (uint32_t)ref, actions);
        return;
    }
    orphans->failed = orphans->failed || status != STATUS_OK;
    end_row(orphans, view, actions);
}

void
orphans_step(Orphans *orphans, const View *view, Actions *actions)
{
    const Bucket *bucket;

    if (view->storage_failed || view->rounds == NULL)
        return;
    if (orphans->phase == PHASE_ASKING && view->now_ms >= orphans->due_ms)
        ask(orphans, view, actions);
    if (orphans->phase == PHASE_WRITING && orphans->due_ms > 0 && view->now_ms >= orphans->due_ms)
        treat_page(orphans, view, actions);
    if (orphans->phase != PHASE_RESTING)
        return;
    bucket = orphans->aside ? NULL : next_bucket(orphans, view);
    if (bucket != NULL)
        begin_bucket(orphans, view, bucket, actions);
    else if (orphans->aside && orphans->wanted != WALK_NONE)
        begin_walk(orphans, view, actions);
    if (orphans->phase == PHASE_ASKING && orphans->awaited_count == 0)
        next_partition(orphans, view, actions);
}

uint64_t
orphans_wake_ms(const Orphans *orphans, const View *view)
{
    if (orphans->phase == PHASE_ASKING)
        return orphans->due_ms;
    if (orphans->phase == PHASE_WRITING && orphans->due_ms > 0)
        return orphans->due_ms;
    return orphans->phase == PHASE_RESTING &&
                   ((orphans->aside && orphans->wanted != WALK_NONE) ||
                    (!orphans->aside && next_bucket(orphans, view) != NULL))
               ? view->now_ms
               : UINT64_MAX;
}

uint64_t
orphans_count(const Orphans *orphans)
{
    return orphans->count;
}

Orphan
orphans_show(const Orphans *orphans, uint32_t index)
{
    return orphans->shown[index];
}
