/* Tags of frames: whatever is altered, repeated, left out or moved is noticed. */
#include "shared/wire/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FIRST "r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"

static const uint8_t server_key[SALTED_PASSWORD_BYTES] = "a server key of thirty-two bytes";

static void
what_is_sealed_opens_in_its_order_alone(void **state)
{
    Seal to_node;
    Seal from_node;
    Seal reader;
    Seal ignored;
    Buffer wire[3];

    seal_begin(&to_node, &from_node, server_key, slice_from_string(FIRST));
    seal_begin(&reader, &ignored, server_key, slice_from_string(FIRST));
    for (int i = 0; i < 3; i++)
    {
        buffer_init(&wire[i], &MEMORY_HEAP);
        buffer_put(&wire[i], "head", 4);
        buffer_put(&wire[i], "same frame", (size_t)(i == 2 ? 0 : 10));
        seal_put(&to_node, &wire[i], 4);
    }
    assert_true(seal_open(&reader, wire[0].data + 4, wire[0].length - 4));
    assert_memory_equal(wire[0].data, "headsame frame", 14);
    assert_false(seal_open(&reader, wire[2].data + 4, wire[2].length - 4));
    reader.frames = 1;
    assert_true(seal_open(&reader, wire[1].data + 4, wire[1].length - 4));
    for (int i = 0; i < 3; i++)
        buffer_free(&wire[i]);
}

static void
the_two_directions_have_keys_of_their_own(void **state)
{
    Seal to_node;
    Seal from_node;
    Buffer wire;

    buffer_init(&wire, &MEMORY_HEAP);
    seal_begin(&to_node, &from_node, server_key, slice_from_string(FIRST));
    buffer_put(&wire, "frame", 5);
    seal_put(&to_node, &wire, 0);
    assert_false(seal_open(&from_node, wire.data, wire.length));
    assert_false(seal_open(&from_node, wire.data, SEAL_TAG_BYTES - 1));
    buffer_free(&wire);
}

/* ServerKey of RFC 7677's example: a number that may not change, since both ends make it. */
static void
who_has_the_password_comes_to_the_same_keys(void **state)
{
    uint8_t salted[SALTED_PASSWORD_BYTES];
    uint8_t key[SALTED_PASSWORD_BYTES];
    static const uint8_t salt[] = {0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e,
                                   0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81};
    static const uint8_t expected[] = {0xc1, 0xf3, 0xcb, 0xc1};
    Seal seals[4];

    salted_password(salted, "pencil", slice_make(salt, sizeof(salt)), 4096);
    salted_password_key(key, salted, "Server Key");
    assert_memory_equal(key, expected, sizeof(expected));
    seal_begin(&seals[0], &seals[1], key, slice_from_string(FIRST));
    seal_begin_by_password(&seals[2], &seals[3], "pencil", slice_from_string(FIRST));
    assert_memory_equal(seals, seals + 2, sizeof(Seal) * 2);
    seal_begin_by_password(&seals[2], &seals[3], "pencil", slice_from_string("r=other," FIRST));
    assert_memory_not_equal(seals, seals + 2, sizeof(Seal) * 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_opens_in_its_order_alone),
        cmocka_unit_test(the_two_directions_have_keys_of_their_own),
        cmocka_unit_test(who_has_the_password_comes_to_the_same_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
