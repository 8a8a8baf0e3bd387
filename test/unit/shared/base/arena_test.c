/* Arenas: alignment, growth, what a reset keeps, and sizes that overflow. */
#include "shared/base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Counts what is taken and not given back. */
static void *
counting_resize(void *context, void *ptr, size_t size)
{
    int *blocks = context;

    if (ptr == NULL && size > 0)
        (*blocks)++;
    if (ptr != NULL && size == 0)
        (*blocks)--;
    return memory_resize(&MEMORY_HEAP, ptr, size);
}

static void
every_allocation_is_aligned_and_apart_from_the_others(void **state)
{
    enum
    {
        COUNT = 2000
    };
    uint8_t *pieces[COUNT];
    Arena arena;

    arena_init(&arena, &MEMORY_HEAP);
    for (int i = 0; i < COUNT; i++)
    {
        pieces[i] = arena_alloc(&arena, (size_t)i % 100);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], i, (size_t)i % 100);
    }
    for (int i = 0; i < COUNT; i++)
    {
        for (int at = 0; at < i % 100; at++)
            assert_int_equal(pieces[i][at], (uint8_t)i);
    }
    arena_free(&arena);
}

static void
freeing_gives_everything_back(void **state)
{
    int blocks = 0;
    Memory memory = {.resize = counting_resize, .context = &blocks};
    Arena arena;

    arena_init(&arena, &memory);
    for (int i = 0; i < 1000; i++)
        arena_alloc(&arena, 1000);
    assert_true(blocks > 1);
    arena_free(&arena);
    assert_int_equal(blocks, 0);
}

static void
a_reset_arena_keeps_one_block_for_the_next_round(void **state)
{
    int blocks = 0;
    Memory memory = {.resize = counting_resize, .context = &blocks};
    Arena arena;

    arena_init(&arena, &memory);
    for (int i = 0; i < 20; i++)
        arena_alloc(&arena, 1000);
    arena_reset(&arena);
    assert_int_equal(blocks, 1);
    arena_alloc(&arena, 1000);
    assert_int_equal(blocks, 1);
    arena_free(&arena);
}

static void
a_reset_arena_does_not_hold_on_to_a_large_block(void **state)
{
    int blocks = 0;
    Memory memory = {.resize = counting_resize, .context = &blocks};
    Arena arena;

    arena_init(&arena, &memory);
    arena_alloc(&arena, 10 * 1024 * 1024);
    arena_reset(&arena);
    assert_int_equal(blocks, 0);
    assert_non_null(arena_alloc(&arena, 1));
    arena_free(&arena);
}

static void
nothing_has_an_address_of_its_own(void **state)
{
    Arena arena;

    arena_init(&arena, &MEMORY_HEAP);
    assert_non_null(arena_alloc(&arena, 0));
    assert_non_null(arena_copy(&arena, NULL, 0));
    arena_free(&arena);
    arena_free(&arena);
}

static void
zeroed_memory_is_zero_after_a_reset_too(void **state)
{
    Arena arena;

    arena_init(&arena, &MEMORY_HEAP);
    memset(arena_alloc(&arena, 64), 0xFF, 64);
    arena_reset(&arena);

    uint8_t *again = arena_alloc_zero(&arena, 64);

    for (int i = 0; i < 64; i++)
        assert_int_equal(again[i], 0);
    arena_free(&arena);
}

static void
a_copied_string_ends_with_a_nul_byte(void **state)
{
    Arena arena;

    arena_init(&arena, &MEMORY_HEAP);
    assert_string_equal(arena_copy_string(&arena, "words and more", 5), "words");
    assert_string_equal(arena_copy_string(&arena, NULL, 0), "");
    arena_free(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_is_aligned_and_apart_from_the_others),
        cmocka_unit_test(freeing_gives_everything_back),
        cmocka_unit_test(a_reset_arena_keeps_one_block_for_the_next_round),
        cmocka_unit_test(a_reset_arena_does_not_hold_on_to_a_large_block),
        cmocka_unit_test(nothing_has_an_address_of_its_own),
        cmocka_unit_test(zeroed_memory_is_zero_after_a_reset_too),
        cmocka_unit_test(a_copied_string_ends_with_a_nul_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
