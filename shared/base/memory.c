/* The heap as a Memory, for nodes and tests; fdw/base/memory.c is the other one, of a backend. */
#include "shared/base/memory.h"

#include <stdio.h>
#include <stdlib.h>

static void *
heap_try_resize(void *context, void *ptr, size_t size)
{
    (void)context;
    return realloc(ptr, size);
}

/* A node that has no memory left ends here: it can neither answer nor remember, and its data are on
 * disk. A crash is a case that the whole design allows for at any moment. */
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
    __builtin_unreachable(); /* fail does not return, which its type cannot say */
}
