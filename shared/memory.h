/*
 * Memory: where shared code gets its bytes from.
 *
 * The daemon backs it by the heap, a backend by a MemoryContext, so that the same code may be
 * longjmp'ed across: whatever it allocated belongs to the caller's Memory. resize() never returns
 * NULL: the provider aborts, or raises, on exhaustion.
 */
#ifndef SHARED_MEMORY_H
#define SHARED_MEMORY_H

#include <stddef.h>

typedef struct Memory
{
    /* As realloc: ptr may be NULL; size 0 releases ptr and returns NULL. */
    void *(*resize)(void *context, void *ptr, size_t size);
    void *context;
} Memory;

/* The heap; aborts the process when it is exhausted. */
extern const Memory MEMORY_HEAP;

void *memory_resize(const Memory *memory, void *ptr, size_t size);

#endif
