/*
 * Arena: memory released all at once.
 *
 * A function that takes an Arena * allocates there and owns nothing else. Allocations are aligned
 * to 16 bytes.
 */
#ifndef SHARED_BASE_ARENA_H
#define SHARED_BASE_ARENA_H

#include "shared/base/memory.h"

typedef struct ArenaBlock ArenaBlock;

typedef struct Arena
{
    const Memory *memory; /* borrowed; outlives the arena */
    ArenaBlock *blocks;   /* newest first */
    size_t used;          /* bytes used of the newest block */
} Arena;

void arena_init(Arena *arena, const Memory *memory);
void arena_free(Arena *arena);

/* Forgets every allocation; keeps one block, so that a loop that resets costs no allocation. */
void arena_reset(Arena *arena);

/* Never NULL. The bytes are not cleared. size 0 gives a valid pointer. */
void *arena_alloc(Arena *arena, size_t size);
void *arena_alloc_zero(Arena *arena, size_t size);

/* Room for count elements of size bytes. A product that overflows is a fault of the program:
 * decoders bound their counts by the length of the input. */
void *arena_alloc_array(Arena *arena, size_t count, size_t size);
void *arena_copy(Arena *arena, const void *data, size_t size);

/* A NUL-terminated copy of length bytes. */
char *arena_copy_string(Arena *arena, const char *text, size_t length);

#define ARENA_NEW(arena, type) ((type *)arena_alloc_zero((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_alloc_array((arena), (count), sizeof(type)))

#endif
