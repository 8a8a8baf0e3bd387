#include "shared/memory.h"

#include <stdlib.h>

static void *
heap_resize(void *context, void *ptr, size_t size)
{
    (void)context;
    if (size == 0)
    {
        free(ptr);
        return NULL;
    }

    void *result = realloc(ptr, size);

    if (result == NULL)
        abort();
    return result;
}

const Memory MEMORY_HEAP = {.resize = heap_resize};

void *
memory_resize(const Memory *memory, void *ptr, size_t size)
{
    return memory->resize(memory->context, ptr, size);
}
