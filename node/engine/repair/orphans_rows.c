/* The rows of a page: each is moved aside, adopted or dropped, by what the page was read for. */
#include "node/engine/repair/orphans_private.h"

#include "shared/base/hash.h"
#include "shared/data/version.h"

#include <assert.h>
#include <string.h>

enum
{
    RETRY_MS = 500
};

static_assert(sizeof(RequestId) == sizeof(Digest), "a digest makes a request id");

static bool
has_any(const View *view)
{
    bool found = false;

    for (uint32_t partition = 0; !found && partition < view->topology->partitions; partition++)
        found =
            orphans_has_rows(view, (TreeId){.bucket_id = ORPHANS_BUCKET, .partition = partition});
    return found;
}

void
orphans_begin_walk(Orphans *orphans, const View *view)
{
    if (!has_any(view))
    {
        orphans->wanted = ORPHAN_WALK_NONE;
        orphans->count = orphans->shown_count = 0;
        return;
    }
    orphans->walk = orphans->wanted;
    orphans->walk_bucket = orphans->wanted_bucket;
    orphans->wanted = ORPHAN_WALK_NONE;
    buffer_reset(&orphans->after);
    arena_reset(&orphans->counted_arena);
    orphans->counted = ARENA_ARRAY(&orphans->counted_arena, Orphan, ORPHANS_SHOWN_MAX);
    orphans->counted_shown = 0;
    orphans->counted_count = 0;
    orphans_read_page(orphans, view);
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
    if (orphans->walk != ORPHAN_WALK_TIDY && orphans->wanted == ORPHAN_WALK_NONE)
        orphans_want(orphans, ORPHAN_WALK_TIDY, 0); /* which counts what is left */
    orphans_rest(orphans);
}

static void
finish_page(Orphans *orphans, const View *view)
{
    if (orphans->failed)
    {
        orphans->due_ms = view->now_ms + RETRY_MS;
        orphans->phase = ORPHAN_PHASE_WRITING;
        return;
    }
    if (!orphans->last || orphans->clearing)
    {
        orphans->clearing = false;
        orphans_read_page(orphans, view);
    }
    else if (orphans->walk != ORPHAN_WALK_NONE)
        finish_walk(orphans);
    else if (orphans->missed)
    {
        orphans->missed = false;
        buffer_reset(&orphans->after);
        orphans_read_page(orphans, view);
    }
    else
        orphans_note_round(orphans, view);
}

static void
end_row(Orphans *orphans, const View *view)
{
    if (--orphans->rows_open == 0)
        finish_page(orphans, view);
}

/* The record that the row came from goes, if it still is what was read. */
static void
remove_row(Orphans *orphans, uint32_t index, Actions *actions)
{
    OrphanRow *row = &orphans->rows[index];
    Reap *reap = ARENA_NEW(&orphans->arena, Reap);
    Update *update = ARENA_NEW(&orphans->arena, Update);

    row->stored = true;
    *reap = (Reap){.digest = object_digest(row->object), .whole = true};
    *update = (Update){.reap = reap};
    actions_apply(actions, row->bucket_id, row->position, row->key, update,
                  orphans_ref_of(orphans, index));
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

/*
 * Who adopts a row says that it is to stand again, so it is a new write: the owners may still know
 * that its old one was replaced, and would drop that. The new request ids are made of the old ones,
 * so that two nodes which adopt the same row make the same write of it.
 */
static void
make_new_write(Object *object)
{
    for (uint32_t i = 0; i < object->sibling_count; i++)
    {
        RequestId *request = &object->siblings[i].request;
        Digest digest = digest_of(slice_make(request, sizeof(RequestId)));

        memcpy(request, &digest, sizeof(RequestId));
    }
    object->replaced_count = 0;
    object_sort(object);
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
    if (bucket_id != ORPHANS_BUCKET)
        make_new_write(object);
    update->merge = object;
    actions_apply(actions, bucket_id, orphans->rows[index].position, key, update,
                  orphans_ref_of(orphans, index));
}

/* Nobody can tell what the record was; the filling brings what the other owners have of it. */
static void
forget_row(Orphans *orphans, uint32_t index, Actions *actions)
{
    OrphanRow *row = &orphans->rows[index];
    Digest *digest = ARENA_NEW(&orphans->arena, Digest);
    Update *update = ARENA_NEW(&orphans->arena, Update);

    row->stored = true;
    *digest = digest_of(row->object);
    *update = (Update){.unreadable = digest};
    actions_apply(actions, row->bucket_id, row->position, row->key, update,
                  orphans_ref_of(orphans, index));
}

/* Aside: a record of the same place. */
static void
move_row(Orphans *orphans, uint32_t index, Actions *actions)
{
    const OrphanRow *row = &orphans->rows[index];
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
adopt_row(Orphans *orphans, const View *view, uint32_t index, uint32_t bucket_id, Slice key)
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
    store_row(orphans, index, bucket_id, key, update, view->actions);
}

static void
count_orphan(Orphans *orphans, const OrphanRow *row)
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

/* It was written through this node since its start, before it was known how old the data are: who
 * wrote it was told that it is kept. */
static bool
is_of_this_run(Orphans *orphans, const View *view, const OrphanRow *row)
{
    Object object;
    bool found = false;

    if (view->run == NULL || !object_decode(row->object, &orphans->arena, &object))
        return false;
    for (uint32_t i = 0; i < object.sibling_count; i++)
    {
        for (uint32_t d = 0; d < object.siblings[i].dot_count; d++)
            found = found || memcmp(&object.siblings[i].dots[d].actor, &view->run->actor,
                                    sizeof(Actor)) == 0;
    }
    return found;
}

static void
treat_row(Orphans *orphans, const View *view, uint32_t index)
{
    const OrphanRow *row = &orphans->rows[index];
    uint32_t bucket_id;
    Slice key;

    if (orphans->clearing)
    {
        forget_row(orphans, index, view->actions);
        return;
    }
    if (orphans->walk == ORPHAN_WALK_NONE)
    {
        if (is_of_this_run(orphans, view, row))
            orphans->rows_open--;
        else
            move_row(orphans, index, view->actions);
        return;
    }
    if (split_orphan(row->key, &bucket_id, &key) && topology_was_dropped(view->topology, bucket_id))
        remove_row(orphans, index, view->actions);
    else if (!split_orphan(row->key, &bucket_id, &key) ||
             topology_bucket_by_id(view->topology, bucket_id) == NULL ||
             (orphans->walk != ORPHAN_WALK_TIDY && orphans->walk_bucket != 0 &&
              orphans->walk_bucket != bucket_id))
        orphans->rows_open--;
    else if (orphans->walk == ORPHAN_WALK_DROP)
        remove_row(orphans, index, view->actions);
    else if (orphans->walk == ORPHAN_WALK_ADOPT)
        adopt_row(orphans, view, index, bucket_id, key);
    else
        actions_read(view->actions, bucket_id, row->position, key, orphans_ref_of(orphans, index));
}

static void
keep_page(Orphans *orphans, const StoragePage *page)
{
    arena_reset(&orphans->arena);
    orphans->rows = ARENA_ARRAY(&orphans->arena, OrphanRow, page->row_count);
    orphans->row_count = page->row_count;
    orphans->last = page->done;
    for (uint32_t i = 0; i < page->row_count; i++)
    {
        const StorageRow *row = &page->rows[i];

        orphans->rows[i] = (OrphanRow){.bucket_id = row->bucket_id,
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

void
orphans_treat_page(Orphans *orphans, const View *view)
{
    orphans->phase = ORPHAN_PHASE_WRITING;
    orphans_renew(orphans);
    orphans->failed = false;
    orphans->due_ms = 0;
    orphans->rows_open = orphans->row_count + 1; /* ends once, at the end */
    for (uint32_t i = 0; i < orphans->row_count; i++)
    {
        orphans->rows[i].stored = false;
        treat_row(orphans, view, i);
    }
    end_row(orphans, view);
}

void
orphans_scanned(Orphans *orphans, const View *view, uint64_t ref, StatusCode status,
                const StoragePage *page)
{
    if (!orphans_is_present(orphans, ref, ORPHAN_PHASE_READING))
        return;
    if (status == STATUS_CORRUPT && orphans->walk == ORPHAN_WALK_NONE && !orphans->clearing)
    {
        orphans->clearing = true;
        orphans_read_page(orphans, view);
        return;
    }
    if (status != STATUS_OK || (orphans->clearing && page->row_count == 0))
    {
        orphans->clearing = false;
        orphans->row_count = 0;
        orphans->last = false;
        orphans->failed = true;
        finish_page(orphans, view);
        return;
    }
    keep_page(orphans, page);
    orphans_treat_page(orphans, view);
}

void
orphans_fetched(Orphans *orphans, const View *view, uint64_t ref, StatusCode status, Slice object)
{
    const OrphanRow *row;
    Object present = {0};
    Object orphan = {0};
    Version newer;
    Version older;

    if (!orphans_is_present(orphans, ref, ORPHAN_PHASE_WRITING))
        return;
    row = &orphans->rows[ticket_ref_item(ref)];
    if (status != STATUS_OK || !object_decode(row->object, &orphans->arena, &orphan) ||
        (object.length > 0 && !object_decode(object, &orphans->arena, &present)))
    {
        count_orphan(orphans, row);
        end_row(orphans, view);
        return;
    }
    newer = version_of(&orphans->arena, &present);
    older = version_of(&orphans->arena, &orphan);
    if (version_is_within(&older, &newer))
    {
        remove_row(orphans, ticket_ref_item(ref), view->actions);
        return;
    }
    count_orphan(orphans, row);
    end_row(orphans, view);
}

void
orphans_merged(Orphans *orphans, const View *view, uint64_t ref, StatusCode status, Slice object)
{
    if (!orphans_is_present(orphans, ref, ORPHAN_PHASE_WRITING))
        return;
    if (status == STATUS_OK)
    {
        orphans->missed |= orphans->rows[ticket_ref_item(ref)].stored && object.length > 0;
        return;
    }
    orphans->failed = true;
    end_row(orphans, view);
}

void
orphans_durable(Orphans *orphans, const View *view, uint64_t ref, StatusCode status)
{
    if (orphans_is_present(orphans, ref, ORPHAN_PHASE_NOTING))
    {
        orphans_noted(orphans, ticket_ref_item(ref), status == STATUS_OK);
        return;
    }
    if (!orphans_is_present(orphans, ref, ORPHAN_PHASE_WRITING))
        return;
    if (status == STATUS_OK && !orphans->rows[ticket_ref_item(ref)].stored)
    {
        remove_row(orphans, ticket_ref_item(ref), view->actions);
        return;
    }
    orphans->failed = orphans->failed || status != STATUS_OK;
    end_row(orphans, view);
}
