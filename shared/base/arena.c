/* An arena is a list of blocks that double in size; an allocation moves a mark in the newest one,
 * and only a whole arena is ever released. */
#include "shared/base/arena.h"

#include <stdint.h>
#include <string.h>

enum
{
    ARENA_ALIGNMENT = 16,
    ARENA_BLOCK_BYTES = 8192
};

struct ArenaBlock
{
    ArenaBlock *older;
    size_t size; /* payload bytes */
    _Alignas(16) uint8_t data[];
};

void
arena_init(Arena *arena, const Memory *memory)
{
    *arena = (Arena){.memory = memory};
}

static void
free_blocks(const Arena *arena, ArenaBlock *block)
{
    while (block != NULL)
    {
        ArenaBlock *older = block->older;

        memory_resize(arena->memory, block, 0);
        block = older;
    }
}

void
arena_free(Arena *arena)
{
    free_blocks(arena, arena->blocks);
    arena->blocks = NULL;
    arena->used = 0;
}

/* The block that is kept is the newest, hence the largest: a loop soon needs no other. One that a
 * single huge value has made is given back, or it would be kept for the life of a connection. */
void
arena_reset(Arena *arena)
{
    if (arena->blocks != NULL)
    {
        free_blocks(arena, arena->blocks->older);
        arena->blocks->older = NULL;
    }
    arena->used = 0;
    if (arena->blocks != NULL && arena->blocks->size > 16 * ARENA_BLOCK_BYTES)
        arena_free(arena);
}

/* Doubling keeps the number of blocks small; the bound keeps an arena that grows slowly from taking
 * twice what it needs. What is left of the block before is not used any more. */
static void
add_block(Arena *arena, size_t size)
{
    size_t grown = arena->blocks ? arena->blocks->size * 2 : ARENA_BLOCK_BYTES;
    size_t payload = grown > 64 * ARENA_BLOCK_BYTES ? 64 * ARENA_BLOCK_BYTES : grown;

    if (payload < size)
        payload = size;

    ArenaBlock *block = memory_resize(arena->memory, NULL, sizeof(ArenaBlock) + payload);

    block->older = arena->blocks;
    block->size = payload;
    arena->blocks = block;
    arena->used = 0;
}

void *
arena_alloc(Arena *arena, size_t size)
{
    /* Rounding up could overflow beyond this, and nobody has so much memory. */
    if (size > SIZE_MAX / 2)
        memory_fail(arena->memory, "an arena is asked for more than there can be");
    size = (size + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
    if (arena->blocks == NULL || arena->blocks->size - arena->used < size)
        add_block(arena, size);

    void *result = arena->blocks->data + arena->used;

    arena->used += size;
    return result;
}

void *
arena_alloc_zero(Arena *arena, size_t size)
{
    return memset(arena_alloc(arena, size), 0, size);
}

void *
arena_alloc_array(Arena *arena, size_t count, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(count, size, &total))
        memory_fail(arena->memory, "an arena is asked for more elements than there can be");
    return arena_alloc(arena, total);
}

void *
arena_copy(Arena *arena, const void *data, size_t size)
{
    void *result = arena_alloc(arena, size);

    if (size > 0)
        memcpy(result, data, size);
    return result;
}

char *
arena_copy_string(Arena *arena, const char *text, size_t length)
{
    char *result = arena_alloc(arena, length + 1);

    if (length > 0)
        memcpy(result, text, length);
    result[length] = '\0';
    return result;
}
