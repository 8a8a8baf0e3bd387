#include "test/unit/stages/orchard.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum
{
    KEYS = 50,
    LOST = KEYS, /* a key that only one node has, and that node cannot read it */
    MINUTE_MS = 60000
};

static Orchard orchard;

static int
set_up(void **state)
{
    (void)state;
    orchard_init(&orchard, 3, 0);
    orchard_fill(&orchard, KEYS);
    return 0;
}

static int
set_up_alone(void **state)
{
    (void)state;
    orchard_init(&orchard, 1, 0);
    orchard_fill(&orchard, KEYS);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    orchard_free(&orchard);
    return 0;
}

/* Node 0 finds out that it cannot read the key. */
static void
damage(uint32_t number)
{
    Slice key = orchard_key(&orchard, number);

    orchard_damage(&orchard, 0, key);
    (void)orchard_get(&orchard, 0, key);
}

static uint64_t
forgotten(void)
{
    return unreadable_total(orchard.nodes[0].unreadable);
}

static TreeId
tree_of(Slice key)
{
    uint64_t position;

    assert_true(topology_position(orchard.stage.bucket, key, &position));
    return (TreeId){STAGE_BUCKET, ring_partition(position, STAGE_PARTITIONS)};
}

static bool
has_unreadable(void)
{
    return orchard_has_unreadable(&orchard, 0);
}

static void
what_no_other_owner_has_is_forgotten(void **state)
{
    TreeId id = tree_of(orchard_key(&orchard, LOST));
    UnreadableResult result;
    TreeSum sum;

    (void)state;
    damage(LOST);
    assert_true(has_unreadable());
    orchard_pass(&orchard, MINUTE_MS);
    assert_int_equal(forgotten(), 1);
    assert_false(has_unreadable());
    orchard_assert_equal(&orchard);
    assert_true(trees_sum(orchard.nodes[0].view.trees, id, (TreePart){0}, &sum));
    assert_true(sum.settled);
    assert_true(unreadable_take_result(orchard.nodes[0].unreadable, &result));
    assert_int_equal(result.bucket_id, STAGE_BUCKET);
    assert_int_equal(result.records, 1);
    assert_false(unreadable_take_result(orchard.nodes[0].unreadable, &result));
    assert_false(unreadable_is_busy(orchard.nodes[0].unreadable, &orchard.nodes[0].view, id));
}

static void
what_another_owner_has_is_mended(void **state)
{
    (void)state;
    orchard_put(&orchard, 2, orchard_key(&orchard, LOST), stage_object(&orchard.stage, 1, 1, "v"));
    damage(LOST);
    orchard_pass(&orchard, MINUTE_MS);
    assert_int_equal(forgotten(), 0);
    assert_false(has_unreadable());
    assert_true(orchard_get(&orchard, 0, orchard_key(&orchard, LOST)).length > 0);
}

static void
every_owner_is_waited_for(void **state)
{
    TreeId id = tree_of(orchard_key(&orchard, LOST));

    (void)state;
    orchard_cut(&orchard, 2);
    damage(LOST);
    orchard_pass(&orchard, MINUTE_MS);
    assert_int_equal(forgotten(), 0);
    assert_true(has_unreadable());
    assert_true(unreadable_is_busy(orchard.nodes[0].unreadable, &orchard.nodes[0].view, id));
    orchard_join(&orchard, 2);
    orchard_pass(&orchard, MINUTE_MS);
    assert_int_equal(forgotten(), 1);
}

static void
an_owner_that_refills_is_not_waited_for(void **state)
{
    (void)state;
    orchard.nodes[2].view.refilling = true;
    damage(LOST);
    orchard_pass(&orchard, MINUTE_MS);
    assert_int_equal(forgotten(), 1);
}

/* An older object that has taken the place of the record is not answered as if it were all. */
static void
a_place_is_withheld_until_every_owner_was_compared_with(void **state)
{
    Slice key = orchard_key(&orchard, LOST);
    uint64_t position;

    (void)state;
    assert_true(topology_position(orchard.stage.bucket, key, &position));
    orchard_cut(&orchard, 2);
    damage(LOST);
    assert_true(
        unreadable_withholds(orchard.nodes[0].unreadable, STAGE_BUCKET, position, position));
    orchard_put(&orchard, 0, key, stage_object(&orchard.stage, 1, 1, "old"));
    orchard_pass(&orchard, MINUTE_MS);
    assert_false(has_unreadable());
    assert_true(
        unreadable_withholds(orchard.nodes[0].unreadable, STAGE_BUCKET, position, position));
    assert_false(
        unreadable_withholds(orchard.nodes[0].unreadable, STAGE_BUCKET, position + 1, UINT64_MAX));
    orchard_join(&orchard, 2);
    orchard_pass(&orchard, MINUTE_MS);
    assert_false(
        unreadable_withholds(orchard.nodes[0].unreadable, STAGE_BUCKET, position, position));
}

/* A damaged block has rows of many partitions. */
static void
a_range_of_many_partitions_is_withheld_in_all_of_them(void **state)
{
    const Unreadable *unreadable = orchard.nodes[0].unreadable;

    (void)state;
    orchard_cut(&orchard, 1);
    orchard_cut(&orchard, 2);
    unreadable_report(orchard.nodes[0].unreadable, &orchard.nodes[0].view, STAGE_BUCKET, 5,
                      UINT64_MAX);
    orchard_pass(&orchard, MINUTE_MS);
    for (uint32_t partition = 0; partition < STAGE_PARTITIONS; partition++)
    {
        uint64_t start = ring_partition_start(partition, STAGE_PARTITIONS);

        assert_true(unreadable_withholds(unreadable, STAGE_BUCKET, start + 5, start + 5));
    }
    assert_false(unreadable_withholds(unreadable, STAGE_BUCKET, 0, 4));
    assert_false(unreadable_withholds(unreadable, STAGE_BUCKET + 1, 0, UINT64_MAX));
    orchard_join(&orchard, 1);
    orchard_join(&orchard, 2);
    orchard_pass(&orchard, MINUTE_MS);
    assert_true(unreadable_is_idle(unreadable));
}

static void
there_are_never_too_many_places(void **state)
{
    const Unreadable *unreadable = orchard.nodes[0].unreadable;
    StorageExtent *extents;

    (void)state;
    orchard_cut(&orchard, 2);
    for (uint64_t i = 0; i < 1000; i++)
        unreadable_report(orchard.nodes[0].unreadable, &orchard.nodes[0].view, STAGE_BUCKET, 3 * i,
                          3 * i);
    orchard_pass(&orchard, MINUTE_MS);
    for (uint64_t i = 0; i < 1000; i++)
        assert_true(unreadable_withholds(unreadable, STAGE_BUCKET, 3 * i, 3 * i));
    assert_true(unreadable_ranges(unreadable, &orchard.stage.arena, &extents) <= 64);
    orchard_join(&orchard, 2);
    orchard_pass(&orchard, MINUTE_MS);
    assert_true(unreadable_is_idle(unreadable));
}

/* The block was met before, and what was in it was compared then; not so what is replaced now. */
static void
what_is_replaced_is_compared_anew(void **state)
{
    Slice key = orchard_key(&orchard, 3);
    const Unreadable *unreadable = orchard.nodes[0].unreadable;
    uint64_t position;

    (void)state;
    assert_true(topology_position(orchard.stage.bucket, key, &position));
    unreadable_report(orchard.nodes[0].unreadable, &orchard.nodes[0].view, STAGE_BUCKET, position,
                      position);
    orchard_pass(&orchard, MINUTE_MS);
    assert_true(unreadable_is_idle(unreadable));
    orchard_cut(&orchard, 2);
    unreadable_report(orchard.nodes[0].unreadable, &orchard.nodes[0].view, STAGE_BUCKET, position,
                      position);
    orchard_pass(&orchard, MINUTE_MS);
    assert_true(unreadable_is_idle(unreadable));
    unreadable_replaced(orchard.nodes[0].unreadable, &orchard.nodes[0].view, STAGE_BUCKET, position,
                        position);
    orchard_pass(&orchard, MINUTE_MS);
    assert_true(unreadable_withholds(unreadable, STAGE_BUCKET, position, position));
    orchard_join(&orchard, 2);
    orchard_pass(&orchard, MINUTE_MS);
    assert_true(unreadable_is_idle(unreadable));
}

static void
a_compare_of_before_does_not_count(void **state)
{
    (void)state;
    damage(3);
    orchard_pass(&orchard, MINUTE_MS);
    assert_int_equal(forgotten(), 0);
    damage(3);
    orchard_pass(&orchard, MINUTE_MS);
    assert_int_equal(forgotten(), 0);
    assert_false(has_unreadable());
    orchard_assert_equal(&orchard);
}

static void
what_becomes_unreadable_meanwhile_is_not_forgotten(void **state)
{
    TreeId id = tree_of(orchard_key(&orchard, LOST));
    uint64_t first = ring_partition_start(id.partition, STAGE_PARTITIONS);
    uint32_t other = 0;

    (void)state;
    while (tree_of(orchard_key(&orchard, other)).partition != id.partition)
        other++;
    orchard_damage(&orchard, 0, orchard_key(&orchard, LOST));
    orchard_cut(&orchard, 2);
    unreadable_report(orchard.nodes[0].unreadable, &orchard.nodes[0].view, STAGE_BUCKET, first,
                      first + UINT64_MAX / STAGE_PARTITIONS);
    orchard_pass(&orchard, MINUTE_MS);
    orchard_damage(&orchard, 0, orchard_key(&orchard, other));
    orchard_join(&orchard, 2);
    orchard_pass(&orchard, MINUTE_MS);
    assert_int_equal(forgotten(), 1);
    assert_false(orchard_get(&orchard, 1, orchard_key(&orchard, other)).length == 0);
}

static void
what_nobody_else_owns_stays(void **state)
{
    (void)state;
    damage(LOST);
    orchard_pass(&orchard, MINUTE_MS);
    assert_int_equal(forgotten(), 0);
    assert_true(has_unreadable());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_no_other_owner_has_is_forgotten),
        TEST(what_another_owner_has_is_mended),
        TEST(every_owner_is_waited_for),
        TEST(an_owner_that_refills_is_not_waited_for),
        TEST(a_place_is_withheld_until_every_owner_was_compared_with),
        TEST(a_range_of_many_partitions_is_withheld_in_all_of_them),
        TEST(there_are_never_too_many_places),
        TEST(what_is_replaced_is_compared_anew),
        TEST(a_compare_of_before_does_not_count),
        TEST(what_becomes_unreadable_meanwhile_is_not_forgotten),
        cmocka_unit_test_setup_teardown(what_nobody_else_owns_stays, set_up_alone, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
