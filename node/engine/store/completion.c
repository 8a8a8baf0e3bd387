/*
 * A list of completions whose bytes are copied into an arena, since what a storage hands over is
 * its own only until its event returns.
 */
#include "node/engine/store/completion.h"

void
completions_init(Completions *completions)
{
    *completions = (Completions){0};
    arena_init(&completions->arena, &MEMORY_HEAP);
}

void
completions_free(Completions *completions)
{
    arena_free(&completions->arena);
    memory_resize(&MEMORY_HEAP, completions->list, 0);
}

static Completion *
put(Completions *completions, CompletionKind kind, uint64_t ref, StatusCode status)
{
    Completion *completion;

    if (completions->count == completions->capacity)
    {
        completions->capacity = completions->capacity > 0 ? completions->capacity * 2 : 64;
        completions->list = memory_resize(&MEMORY_HEAP, completions->list,
                                          completions->capacity * sizeof(Completion));
    }
    completion = &completions->list[completions->count++];
    completion->kind = kind;
    completion->ref = ref;
    completion->status = status;
    return completion;
}

static void
put_merged(void *context, uint64_t ref, StatusCode status, Slice object)
{
    Completions *completions = context;

    put(completions, COMPLETION_MERGED, ref, status)->object =
        slice_copy(&completions->arena, object);
}

static void
put_durable(void *context, uint64_t ref, StatusCode status)
{
    (void)put(context, COMPLETION_DURABLE, ref, status);
}

static void
put_read(void *context, uint64_t ref, StatusCode status, Slice object)
{
    Completions *completions = context;

    put(completions, COMPLETION_READ, ref, status)->object =
        slice_copy(&completions->arena, object);
}

static void
put_scanned(void *context, uint64_t ref, StatusCode status, const StoragePage *page)
{
    Completions *completions = context;
    Arena *arena = &completions->arena;
    StoragePage *copy = &put(completions, COMPLETION_SCANNED, ref, status)->page;

    *copy = *page;
    copy->through = slice_copy(arena, page->through);
    copy->rows = page->row_count > 0 ? ARENA_ARRAY(arena, StorageRow, page->row_count) : NULL;
    for (uint32_t i = 0; i < page->row_count; i++)
    {
        copy->rows[i] = page->rows[i];
        copy->rows[i].key = slice_copy(arena, page->rows[i].key);
        copy->rows[i].object = slice_copy(arena, page->rows[i].object);
    }
}

static void
put_checked(void *context, uint64_t ref, StatusCode status, const StorageCheck *check)
{
    put(context, COMPLETION_CHECKED, ref, status)->check = *check;
}

static void
put_unreadable(void *context, uint32_t bucket_id, uint64_t first, uint64_t last)
{
    put(context, COMPLETION_UNREADABLE, 0, STATUS_OK)->extent =
        (StorageExtent){.bucket_id = bucket_id, .first = first, .last = last};
}

static void
put_replaced(void *context, uint32_t bucket_id, uint64_t position)
{
    put(context, COMPLETION_REPLACED, 0, STATUS_OK)->extent =
        (StorageExtent){.bucket_id = bucket_id, .first = position, .last = position};
}

static void
put_disk_changed(void *context)
{
    (void)put(context, COMPLETION_DISK_CHANGED, 0, STATUS_OK);
}

StorageEvents
completions_events(Completions *completions)
{
    return (StorageEvents){.merged = put_merged,
                           .durable = put_durable,
                           .read_done = put_read,
                           .scan_done = put_scanned,
                           .checked = put_checked,
                           .unreadable = put_unreadable,
                           .replaced = put_replaced,
                           .disk_changed = put_disk_changed,
                           .context = completions};
}

bool
completions_wait(const Completions *completions)
{
    return completions->taken < completions->count;
}

bool
completions_take(Completions *completions, Completion *completion)
{
    if (completions->taken < completions->count)
    {
        *completion = completions->list[completions->taken++];
        return true;
    }
    completions->taken = completions->count = 0;
    arena_reset(&completions->arena);
    return false;
}
