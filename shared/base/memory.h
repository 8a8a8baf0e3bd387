/*
 * Memory: where shared code gets its bytes from.
 *
 * The daemon backs it by the heap, a backend by a MemoryContext, so that the same code may be
 * longjmp'ed across: whatever it allocated belongs to the caller's Memory. resize() never returns
 * NULL: the provider aborts, or raises, on exhaustion. Code that must not be left half-way asks
 * with try_resize() first.
 */
#ifndef SHARED_BASE_MEMORY_H
#define SHARED_BASE_MEMORY_H

#include <stddef.h>

typedef struct Memory
{
    /* As realloc: ptr may be NULL; size 0 releases ptr and returns NULL. */
    void *(*resize)(void *context, void *ptr, size_t size);
    /* The same, but NULL when there is no more, and then ptr is as it was; size is not 0. */
    void *(*try_resize)(void *context, void *ptr, size_t size);
    /* The program is wrong: aborts or raises. It does not return. */
    void (*fail)(void *context, const char *what);
    void *context;
} Memory;

/* The heap; aborts the process when it is exhausted. */
extern const Memory MEMORY_HEAP;

void *memory_resize(const Memory *memory, void *ptr, size_t size);
void *memory_try_resize(const Memory *memory, void *ptr, size_t size);

/* Reports a fault of the program itself. Shared code never aborts on its own: the end of a backend
 * would be that of all other sessions too. */
_Noreturn void memory_fail(const Memory *memory, const char *what);

#endif
