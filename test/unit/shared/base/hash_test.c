/* Hashes: ring positions that may never change stand here as numbers (U3). */
#include "shared/base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A changed position would move every key of every cluster: these numbers may never change. */
static void
ring_positions_are_the_same_in_every_version(void **state)
{
    uint8_t longer[300];

    memset(longer, 'x', sizeof(longer));
    assert_true(hash_ring(1, slice_from_string("customer")) == 0x86882243C309157C);
    assert_true(hash_ring(1, SLICE_EMPTY) == 0x7A3738648CDFA83E);
    assert_true(hash_ring(1, slice_make(longer, sizeof(longer))) == 0x134BE723D9B11FE8);
}

static void
a_ring_position_depends_on_bucket_and_column(void **state)
{
    uint64_t position = hash_ring(1, slice_from_string("a"));

    assert_true(position != hash_ring(2, slice_from_string("a")));
    assert_true(position != hash_ring(1, slice_from_string("b")));
    assert_true(position == hash_ring(1, slice_from_string("a")));
}

static void
columns_that_differ_anywhere_differ_in_position_whatever_their_length(void **state)
{
    uint8_t column[400];

    for (size_t length = 240; length < sizeof(column); length++)
    {
        memset(column, 'x', sizeof(column));

        uint64_t position = hash_ring(1, slice_make(column, length));

        assert_true(position != hash_ring(1, slice_make(column, length - 1)));
        column[length - 1] = 'y';
        assert_true(position != hash_ring(1, slice_make(column, length)));
    }
}

static void
ring_positions_are_spread_evenly(void **state)
{
    enum
    {
        KEYS = 160000,
        SLOTS = 16
    };
    uint32_t counts[SLOTS] = {0};

    for (uint32_t i = 0; i < KEYS; i++)
        counts[hash_ring(3, slice_make(&i, sizeof(i))) >> 60]++;
    for (uint32_t i = 0; i < SLOTS; i++)
        assert_in_range(counts[i], KEYS / SLOTS * 95 / 100, KEYS / SLOTS * 105 / 100);
}

static void
nothing_has_the_digest_of_absence(void **state)
{
    Digest digest = digest_of(SLICE_EMPTY);
    Digest other = digest_of(slice_make("", 1));

    assert_true(digest_equal(&digest, &DIGEST_ABSENT));
    assert_false(digest_equal(&other, &DIGEST_ABSENT));
}

static void
mixed_digests_do_not_depend_on_order(void **state)
{
    Digest a = digest_of(slice_from_string("a"));
    Digest b = digest_of(slice_from_string("b"));
    Digest ab = a;
    Digest ba = b;

    digest_mix(&ab, &b);
    digest_mix(&ba, &a);
    assert_true(digest_equal(&ab, &ba));
    digest_mix(&ab, &b);
    assert_true(digest_equal(&ab, &a));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_positions_are_the_same_in_every_version),
        cmocka_unit_test(a_ring_position_depends_on_bucket_and_column),
        cmocka_unit_test(columns_that_differ_anywhere_differ_in_position_whatever_their_length),
        cmocka_unit_test(ring_positions_are_spread_evenly),
        cmocka_unit_test(nothing_has_the_digest_of_absence),
        cmocka_unit_test(mixed_digests_do_not_depend_on_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
