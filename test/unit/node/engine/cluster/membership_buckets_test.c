#include "test/unit/stages/town.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static Town town;

static int
set_up(void **state)
{
    town_init(&town);
    return 0;
}

static int
tear_down(void **state)
{
    town_free(&town);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void
a_bucket_is_created_on_every_node_and_answered_with_the_topology(void **state)
{
    Bucket bucket = town_named(&town, "cart");
    Topology topology;

    town_form(&town);
    town_create(&town, 1, TOWN_CLIENT, &bucket);
    town_deliver_all(&town);
    topology = town_answered_topology(&town, 0);
    assert_int_equal(topology.epoch, 2);
    assert_int_equal(topology.bucket_count, 1);
    assert_int_equal(topology.buckets[0].id, 1);
    for (uint32_t i = 0; i < TOWN_NODES; i++)
        assert_non_null(
            topology_bucket_by_name(membership_topology(town.nodes[i].membership), "cart"));
}

static void
a_bucket_that_exists_alike_is_answered_without_a_new_epoch(void **state)
{
    Bucket bucket = town_named(&town, "cart");

    town_form(&town);
    town_create(&town, 0, TOWN_CLIENT, &bucket);
    town_deliver_all(&town);
    town_create(&town, 1, TOWN_CLIENT, &bucket);
    town_deliver_all(&town);
    assert_int_equal(town_answered_topology(&town, 1).epoch, 2);
}

static void
two_nodes_that_create_one_bucket_at_once_make_one(void **state)
{
    Bucket bucket = town_named(&town, "cart");

    town_form(&town);
    town_create(&town, 0, TOWN_CLIENT, &bucket);
    town_create(&town, 1, TOWN_CLIENT + 1, &bucket);
    town_deliver_all(&town);
    town_pass(&town, 3000);
    assert_int_equal(town.answer_count, 2);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(town_answered_topology(&town, i).bucket_count, 1);
    for (uint32_t i = 0; i < TOWN_NODES; i++)
        assert_true(slice_equal(town_document_of(&town, i), town_document_of(&town, 0)));
}

static void
two_nodes_that_create_two_buckets_at_once_make_both(void **state)
{
    Bucket cart = town_named(&town, "cart");
    Bucket orders = town_named(&town, "orders");

    town_form(&town);
    town_create(&town, 0, TOWN_CLIENT, &cart);
    town_create(&town, 2, TOWN_CLIENT + 1, &orders);
    town_deliver_all(&town);
    town_pass(&town, 3000);
    assert_int_equal(town.answer_count, 2);
    for (uint32_t i = 0; i < TOWN_NODES; i++)
    {
        const Topology *topology = membership_topology(town.nodes[i].membership);

        assert_int_equal(topology->bucket_count, 2);
        assert_true(topology->buckets[0].id != topology->buckets[1].id);
    }
}

static void
buckets_that_one_node_is_asked_for_together_are_all_created(void **state)
{
    Bucket buckets[3] = {town_named(&town, "a"), town_named(&town, "b"), town_named(&town, "c")};

    town_form(&town);
    for (uint32_t i = 0; i < 3; i++)
        town_create(&town, 0, TOWN_CLIENT + i, &buckets[i]);
    town_deliver_all(&town);
    assert_int_equal(town.answer_count, 3);
    assert_int_equal(membership_topology(town.nodes[1].membership)->bucket_count, 3);
}

static void
a_bucket_of_the_same_name_with_another_n_or_key_is_a_conflict(void **state)
{
    Bucket bucket = town_named(&town, "cart");

    town_form(&town);
    town_create(&town, 0, TOWN_CLIENT, &bucket);
    town_deliver_all(&town);
    bucket.n = 2;
    town_create(&town, 0, TOWN_CLIENT, &bucket);
    bucket = town_named(&town, "cart");
    bucket.key_types[0] = KEY_INTEGER;
    town_create(&town, 1, TOWN_CLIENT, &bucket);
    town_deliver_all(&town);
    assert_int_equal(town_answered_error(&town, 1), STATUS_BUCKET_CONFLICT);
    assert_int_equal(town_answered_error(&town, 2), STATUS_BUCKET_CONFLICT);
}

static void
two_nodes_that_create_one_bucket_differently_at_once_make_one_and_a_conflict(void **state)
{
    Bucket one = town_named(&town, "cart");
    Bucket other = town_named(&town, "cart");
    uint32_t errors = 0;

    town_form(&town);
    other.n = 2;
    town_create(&town, 0, TOWN_CLIENT, &one);
    town_create(&town, 1, TOWN_CLIENT + 1, &other);
    town_deliver_all(&town);
    town_pass(&town, 3000);
    assert_int_equal(town.answer_count, 2);
    for (uint32_t i = 0; i < 2; i++)
        errors += town.answers[i].frame.type == FRAME_ERROR;
    assert_int_equal(errors, 1);
    assert_int_equal(town_answered_error(&town, town.answers[0].frame.type == FRAME_ERROR ? 0 : 1),
                     STATUS_BUCKET_CONFLICT);
}

static void
a_bucket_with_more_replicas_than_members_or_without_a_name_is_refused(void **state)
{
    Bucket bucket = town_named(&town, "cart");

    town_form(&town);
    bucket.n = TOWN_NODES + 1;
    town_create(&town, 0, TOWN_CLIENT, &bucket);
    bucket = town_named(&town, "");
    town_create(&town, 0, TOWN_CLIENT, &bucket);
    assert_int_equal(town_answered_error(&town, 0), STATUS_BAD_BUCKET);
    assert_int_equal(town_answered_error(&town, 1), STATUS_BAD_BUCKET);
    assert_int_equal(town_epoch_of(&town, 0), 1);
}

static void
a_creation_that_cannot_be_read_is_refused(void **state)
{
    Frame frame = {.type = FRAME_BUCKET_CREATE, .tag = 9, .body = slice_from_string("garbage")};

    town_form(&town);
    membership_session_frame(town.nodes[0].membership, (Origin){.session = TOWN_CLIENT, .tag = 9},
                             &frame, town.now_ms, &town.stage.actions);
    town_post(&town, 0);
    assert_int_equal(town_answered_error(&town, 0), STATUS_BAD_FRAME);
}

static void
a_bucket_is_unavailable_when_no_majority_answers_in_time(void **state)
{
    Bucket bucket = town_named(&town, "cart");
    ErrorFrame error;

    town_form(&town);
    town.cut[1] = town.cut[2] = true;
    town_create(&town, 0, TOWN_CLIENT, &bucket);
    town_pass(&town, TOWN_BUCKET_WAIT_MS - 500);
    assert_int_equal(town.answer_count, 0);
    town_pass(&town, 1000);
    assert_int_equal(town_answered_error(&town, 0), STATUS_UNAVAILABLE);
    assert_true(error_decode(&town.answers[0].frame, &error));
    assert_true(slice_equal(error.message,
                            slice_from_string("too few members answered to create the bucket: not "
                                              "reached are n1, n2")));
    assert_int_equal(town_epoch_of(&town, 0), 1);
}

/* The node, whose own proposal was lost, is free to propose again only when the time is up: what it
 * refuses then is not proposed. */
static void
a_bucket_that_is_refused_for_lateness_is_not_created_afterwards(void **state)
{
    Bucket cart = town_named(&town, "cart");
    Bucket orders = town_named(&town, "orders");

    town_form(&town);
    town.cut[0] = true;
    town_create(&town, 0, TOWN_CLIENT, &cart);
    town.nodes[0].asleep = true;
    town_pass(&town, TOWN_BUCKET_WAIT_MS + 500);
    town.cut[0] = false;
    town_create(&town, 1, TOWN_CLIENT + 1, &orders);
    town_deliver_all(&town);
    town.nodes[0].asleep = false;
    town_pass(&town, 3000);
    assert_int_equal(town.answer_count, 2);
    for (uint32_t i = 0; i < TOWN_NODES; i++)
    {
        const Topology *topology = membership_topology(town.nodes[i].membership);

        assert_int_equal(topology->bucket_count, 1);
        assert_string_equal(topology->buckets[0].name, "orders");
    }
}

static void
a_bucket_is_created_with_one_member_down(void **state)
{
    Bucket bucket = town_named(&town, "cart");

    town_form(&town);
    town.cut[0] = true;
    town_create(&town, 1, TOWN_CLIENT, &bucket);
    town_deliver_all(&town);
    assert_int_equal(town_answered_topology(&town, 0).bucket_count, 1);
}

/* Names of their own, each of the town's shape. */
static Bucket *
many(uint32_t count, const char *prefix)
{
    Bucket *buckets = ARENA_ARRAY(&town.stage.arena, Bucket, count);

    for (uint32_t i = 0; i < count; i++)
    {
        char name[32];
        int length = snprintf(name, sizeof(name), "%s%u", prefix, i);

        buckets[i] = town_named(&town, arena_copy_string(&town.stage.arena, name, (size_t)length));
    }
    return buckets;
}

static void
a_thousand_buckets_asked_for_at_once_are_a_few_epochs(void **state)
{
    Bucket *buckets = many(1000, "b");

    town_form(&town);
    for (uint32_t i = 0; i < 1000; i++)
        town_create(&town, 0, TOWN_CLIENT + i, &buckets[i]);
    town_deliver_all(&town);
    assert_int_equal(town.answer_count, 1000);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(town.answers[i].frame.type, FRAME_TOPOLOGY);
    assert_int_equal(membership_topology(town.nodes[1].membership)->bucket_count, 1000);
    assert_in_range(town_epoch_of(&town, 1), 2, 6);
}

static void
no_more_than_so_many_may_wait(void **state)
{
    Bucket *buckets = many(2100, "b");
    uint32_t refused = 0;

    town_form(&town);
    town.cut[1] = town.cut[2] = true;
    for (uint32_t i = 0; i < 2100; i++)
        town_create(&town, 0, TOWN_CLIENT + i, &buckets[i]);
    for (uint32_t i = 0; i < town.answer_count; i++)
        refused += town_answered_error(&town, i) == STATUS_OVERLOADED;
    assert_int_equal(refused, town.answer_count);
    assert_int_equal(refused, 2100 - 2048);
}

static const char *user_name;

static const char *
user_of(void *context, uint64_t session)
{
    return user_name;
}

static void
a_user_may_have_so_many_made(void **state)
{
    Bucket *buckets = many(4, "b");

    for (uint32_t i = 0; i < TOWN_NODES; i++)
    {
        town.nodes[i].questions.user = user_of;
        town.nodes[i].config.buckets_per_user_max = 2;
    }
    town_form(&town);
    user_name = "ann";
    for (uint32_t i = 0; i < 3; i++)
        town_create(&town, i, TOWN_CLIENT + i, &buckets[i]);
    town_deliver_all(&town);
    town_pass(&town, 3000);
    assert_int_equal(membership_topology(town.nodes[0].membership)->bucket_count, 2);
    assert_string_equal(membership_topology(town.nodes[0].membership)->buckets[0].creator, "ann");
    user_name = "bob";
    town_create(&town, 0, TOWN_CLIENT, &buckets[3]);
    town_deliver_all(&town);
    assert_int_equal(membership_topology(town.nodes[0].membership)->bucket_count, 3);
}

/* They wait while the first is proposed; each refusal ends its wish before the next is looked at.
 */
static void
buckets_over_the_bound_of_a_user_are_refused_together(void **state)
{
    Bucket *buckets = many(5, "b");

    town.nodes[0].questions.user = user_of;
    town.nodes[0].config.buckets_per_user_max = 2;
    town_form(&town);
    for (uint32_t i = 0; i < 5; i++)
    {
        user_name = i == 2 ? "bob" : "ann";
        town_create(&town, 0, TOWN_CLIENT + i, &buckets[i]);
        if (i == 1)
            town_deliver_all(&town);
    }
    town_deliver_all(&town);
    assert_int_equal(town.answer_count, 5);
    assert_int_equal(membership_topology(town.nodes[0].membership)->bucket_count, 3);
}

static void
a_dropped_bucket_goes_from_every_node_and_its_name_may_come_again(void **state)
{
    Bucket bucket = town_named(&town, "cart");

    town_form(&town);
    town_create(&town, 0, TOWN_CLIENT, &bucket);
    town_deliver_all(&town);
    town_drop(&town, 1, TOWN_CLIENT, 1);
    town_deliver_all(&town);
    assert_int_equal(town_answered_topology(&town, 1).bucket_count, 0);
    town_drop(&town, 2, TOWN_CLIENT, 1);
    town_deliver_all(&town);
    assert_int_equal(town.answers[2].frame.type, FRAME_TOPOLOGY);
    town_create(&town, 0, TOWN_CLIENT, &bucket);
    town_deliver_all(&town);
    assert_int_equal(town_answered_topology(&town, 3).buckets[0].id, 2);
    for (uint32_t i = 0; i < TOWN_NODES; i++)
        assert_true(topology_was_dropped(membership_topology(town.nodes[i].membership), 1));
}

static void
a_bucket_that_never_was_cannot_be_dropped(void **state)
{
    town_form(&town);
    town_drop(&town, 0, TOWN_CLIENT, 7);
    assert_int_equal(town_answered_error(&town, 0), STATUS_NO_BUCKET);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_bucket_is_created_on_every_node_and_answered_with_the_topology),
        TEST(a_bucket_that_exists_alike_is_answered_without_a_new_epoch),
        TEST(two_nodes_that_create_one_bucket_at_once_make_one),
        TEST(two_nodes_that_create_two_buckets_at_once_make_both),
        TEST(buckets_that_one_node_is_asked_for_together_are_all_created),
        TEST(a_bucket_of_the_same_name_with_another_n_or_key_is_a_conflict),
        TEST(two_nodes_that_create_one_bucket_differently_at_once_make_one_and_a_conflict),
        TEST(a_bucket_with_more_replicas_than_members_or_without_a_name_is_refused),
        TEST(a_creation_that_cannot_be_read_is_refused),
        TEST(a_bucket_is_unavailable_when_no_majority_answers_in_time),
        TEST(a_bucket_that_is_refused_for_lateness_is_not_created_afterwards),
        TEST(a_bucket_is_created_with_one_member_down),
        TEST(a_thousand_buckets_asked_for_at_once_are_a_few_epochs),
        TEST(no_more_than_so_many_may_wait),
        TEST(a_user_may_have_so_many_made),
        TEST(buckets_over_the_bound_of_a_user_are_refused_together),
        TEST(a_dropped_bucket_goes_from_every_node_and_its_name_may_come_again),
        TEST(a_bucket_that_never_was_cannot_be_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
