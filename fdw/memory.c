#include "fdw/memory.h"

#include "utils/memutils.h"

static void *
context_resize(void *context, void *ptr, size_t size)
{
    if (size == 0)
    {
        if (ptr != NULL)
            pfree(ptr);
        return NULL;
    }
    if (ptr == NULL)
        return MemoryContextAllocHuge(context, size);
    return repalloc_huge(ptr, size);
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
