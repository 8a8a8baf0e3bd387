#include "fdw/memory.h"

#include "utils/memutils.h"

/*
 * Shared code counts on malloc's alignment, and a MemoryContext gives less. So what is handed out
 * lies up to MEMORY_ALIGNMENT behind the chunk's start, and the word before it says how far.
 */
enum
{
    MEMORY_ALIGNMENT = 16
};

static char *
chunk_of(const void *ptr)
{
    return (char *)ptr - ((const uint64 *)ptr)[-1];
}

static void *
place_in_chunk(char *chunk)
{
    char *place = (char *)TYPEALIGN(MEMORY_ALIGNMENT, chunk + sizeof(uint64));

    ((uint64 *)place)[-1] = (uint64)(place - chunk);
    return place;
}

static void *
context_grow(void *ptr, size_t size)
{
    size_t offset = (size_t)((char *)ptr - chunk_of(ptr));
    char *chunk = repalloc_huge(chunk_of(ptr), size + MEMORY_ALIGNMENT);
    char *place = (char *)TYPEALIGN(MEMORY_ALIGNMENT, chunk + sizeof(uint64));

    /* The new chunk may lie otherwise against the alignment. */
    if (place != chunk + offset)
        memmove(place, chunk + offset, size);
    return place_in_chunk(chunk);
}

static void *
context_resize(void *context, void *ptr, size_t size)
{
    if (size > 0 && ptr != NULL)
        return context_grow(ptr, size);
    if (size > 0)
        return place_in_chunk(MemoryContextAllocHuge(context, size + MEMORY_ALIGNMENT));
    if (ptr != NULL)
        pfree(chunk_of(ptr));
    return NULL;
}

Memory
memory_in_context(MemoryContext context)
{
    return (Memory){.resize = context_resize, .context = context};
}

const Memory *
memory_of_context(MemoryContext context)
{
    Memory *memory = MemoryContextAlloc(context, sizeof(Memory));

    *memory = memory_in_context(context);
    return memory;
}
