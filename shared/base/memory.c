#include "shared/base/memory.h"

#include <stdio.h>
#include <stdlib.h>

static void *
heap_try_resize(void *context, void *ptr, size_t size)
{
    (void)context;
    return realloc(ptr, size);
}

static void *
heap_resize(void *context, void *ptr, size_t size)
{
    if (size == 0)
    {
        free(ptr);
        return NULL;
    }

    void *result = heap_try_resize(context, ptr, size);

    if (result == NULL)
        abort();
    return result;
}

static void
heap_fail(void *context, const char *what)
{
    (void)context;
    fprintf(stderr, "%s\n", what);
    abort();
}

const Memory MEMORY_HEAP = {
    .resize = heap_resize, .try_resize = heap_try_resize, .fail = heap_fail};

void *
memory_resize(const Memory *memory, void *ptr, size_t size)
{
    return memory->resize(memory->context, ptr, size);
}

void *
memory_try_resize(const Memory *memory, void *ptr, size_t size)
{
    return memory->try_resize(memory->context, ptr, size);
}

void
memory_fail(const Memory *memory, const char *what)
{
    memory->fail(memory->context, what);
    __builtin_unreachable();
}
