/*
 * The bridge between the allocator that shared/ expects and PostgreSQL's memory contexts. An
 * allocation that fails raises an ERROR, so nothing of shared/ may hold what only its own return
 * would release.
 */
#include "fdw/base/memory.h"

#include "utils/memutils.h"

/*
 * Shared code counts on malloc's alignment, and a MemoryContext gives less. So what is handed out
 * lies a little behind the chunk's start, and the words before it say how far.
 */
typedef struct MemoryHead
{
    uint64 offset; /* of what is handed out in its chunk */
    uint64 size;   /* of what is handed out */
} MemoryHead;

enum
{
    MEMORY_ALIGNMENT = 16,
    MEMORY_ROOM = sizeof(MemoryHead) + MEMORY_ALIGNMENT /* what a chunk has beyond its size */
};

static MemoryHead *
head_of(void *ptr)
{
    return (MemoryHead *)ptr - 1;
}

static char *
chunk_of(void *ptr)
{
    return (char *)ptr - head_of(ptr)->offset;
}

static char *
start_in_chunk(char *chunk)
{
    return (char *)TYPEALIGN(MEMORY_ALIGNMENT, chunk + sizeof(MemoryHead));
}

static void *
hand_out(char *chunk, size_t size)
{
    char *start = start_in_chunk(chunk);

    *head_of(start) = (MemoryHead){(uint64)(start - chunk), size};
    return start;
}

static void *
context_grow(void *ptr, size_t size)
{
    MemoryHead head = *head_of(ptr);
    char *chunk = repalloc_huge(chunk_of(ptr), size + MEMORY_ROOM);

    /* The new chunk may lie otherwise against the alignment. */
    if (start_in_chunk(chunk) != chunk + head.offset)
        memmove(start_in_chunk(chunk), chunk + head.offset, Min(head.size, size));
    return hand_out(chunk, size);
}

/* MemoryContextAllocHuge and repalloc_huge take it for a mistake, not for exhaustion. */
static bool
is_beyond_all(size_t size)
{
    return size > MaxAllocHugeSize - MEMORY_ROOM;
}

static void *
context_resize(void *context, void *ptr, size_t size)
{
    if (is_beyond_all(size))
        ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
                        errdetail("Failed on request of size %zu.", size)));
    if (size > 0 && ptr != NULL)
        return context_grow(ptr, size);
    if (size > 0)
        return hand_out(MemoryContextAllocHuge(context, size + MEMORY_ROOM), size);
    if (ptr != NULL)
        pfree(chunk_of(ptr));
    return NULL;
}

/* Before 16 there is no repalloc that returns when there is no memory. */
static void *
context_try_resize(void *context, void *ptr, size_t size)
{
    char *chunk = NULL;
    void *start;

    if (!is_beyond_all(size))
        chunk = MemoryContextAllocExtended(context, size + MEMORY_ROOM,
                                           MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
    if (chunk == NULL)
        return NULL;
    start = hand_out(chunk, size);
    if (ptr == NULL)
        return start;
    memcpy(start, ptr, Min(head_of(ptr)->size, size));
    pfree(chunk_of(ptr));
    return start;
}

static void
context_fail(void *context, const char *what)
{
    ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg_internal("%s", what)));
}

Memory
memory_in_context(MemoryContext context)
{
    return (Memory){.resize = context_resize,
                    .try_resize = context_try_resize,
                    .fail = context_fail,
                    .context = context};
}

const Memory *
memory_of_context(MemoryContext context)
{
    Memory *memory = MemoryContextAlloc(context, sizeof(Memory));

    *memory = memory_in_context(context);
    return memory;
}
