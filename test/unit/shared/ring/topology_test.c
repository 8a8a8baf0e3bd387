/* The topology document: what is added to it and what is refused, preference lists, and its one
 * form. */
#include "shared/ring/topology.h"
#include "test/lib/next_topology.h"
#include "test/unit/stages/hostile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum
{
    MEMBERS = 4,
    PARTITIONS = 16
};

typedef struct Fixture
{
    Arena arena;
    Member members[MEMBERS];
    BucketColumn columns[2];
    Bucket buckets[2];
    Topology topology; /* whole and right; each test of a fault breaks one thing */
} Fixture;

static Bucket
make_bucket(uint32_t id, const char *name)
{
    return (Bucket){
        .id = id,
        .name = name,
        .n = 3,
        .key_types = {KEY_TEXT,   KEY_INTEGER},
        .key_names = {"customer", "day"      },
        .key_count = 2
    };
}

static int
set_up(void **state)
{
    static Fixture fixture;
    static const char *const names[MEMBERS] = {"n1", "n2", "n3", "n4"};

    arena_init(&fixture.arena, &MEMORY_HEAP);
    for (uint32_t i = 0; i < MEMBERS; i++)
        fixture.members[i] = (Member){.id = {{(uint8_t)(9 - i)}}, /* not yet sorted */
                                      .name = names[i],
                                      .address = "127.0.0.1",
                                      .port = (uint16_t)(7101 + i),
                                      .zone = i < 2 ? "east" : "",
                                      .weight = 1};
    fixture.columns[0] = (BucketColumn){"items", "jsonb"};
    fixture.columns[1] = (BucketColumn){"note", "character varying(20)"};
    fixture.buckets[0] = make_bucket(1, "cart");
    fixture.buckets[0].columns = fixture.columns;
    fixture.buckets[0].column_count = 2;
    fixture.buckets[1] = make_bucket(5, "caf\xC3\xA9 \"quoted\"");
    fixture.topology = (Topology){
        .epoch = 3,
        .cluster = {1, 2, 3},
        .partitions = PARTITIONS,
        .members = fixture.members,
        .member_count = MEMBERS,
        .buckets = fixture.buckets,
        .bucket_count = 2,
        .last_bucket_id = 5
    };
    topology_claim(&fixture.topology, &fixture.arena);
    assert_true(topology_index_names(&fixture.topology, &fixture.arena));
    *state = &fixture;
    return 0;
}

static int
tear_down(void **state)
{
    arena_free(&((Fixture *)*state)->arena);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static Slice
encoded(Fixture *fixture)
{
    Buffer buffer;

    buffer_init(&buffer, &MEMORY_HEAP);
    topology_encode(&buffer, &fixture->topology);

    Slice bytes = slice_copy(&fixture->arena, buffer_slice(&buffer));

    buffer_free(&buffer);
    return bytes;
}

static bool
decodes(Fixture *fixture)
{
    Topology decoded;

    return topology_decode(encoded(fixture), &fixture->arena, &decoded);
}

static void
a_document_comes_back(void **state)
{
    Fixture *fixture = *state;
    Topology decoded;

    assert_true(topology_decode(encoded(fixture), &fixture->arena, &decoded));
    assert_int_equal(decoded.epoch, 3);
    assert_memory_equal(decoded.cluster, fixture->topology.cluster, 16);
    assert_int_equal(decoded.member_count, MEMBERS);
    assert_string_equal(decoded.members[0].name, "n4");
    assert_string_equal(decoded.members[3].zone, "east");
    assert_int_equal(decoded.members[3].port, 7101);
    assert_memory_equal(decoded.claim, fixture->topology.claim, sizeof(uint16_t) * PARTITIONS);
    assert_int_equal(decoded.bucket_count, 2);
    assert_string_equal(decoded.buckets[0].name, "cart");
    assert_int_equal(decoded.buckets[0].key_types[1], KEY_INTEGER);
    assert_string_equal(decoded.buckets[0].key_names[1], "day");
    assert_string_equal(decoded.buckets[0].columns[1].type, "character varying(20)");
    assert_int_equal(decoded.buckets[1].id, 5);
}

static void
claiming_sorts_the_members_by_id(void **state)
{
    Fixture *fixture = *state;

    for (uint32_t i = 0; i < MEMBERS; i++)
    {
        assert_int_equal(topology_member(&fixture->topology, &fixture->members[i].id), i);
        if (i > 0)
            assert_true(memcmp(&fixture->members[i - 1].id, &fixture->members[i].id, 16) < 0);
    }
    assert_int_equal(topology_member(&fixture->topology, &(MemberId){{1}}), TOPOLOGY_NO_MEMBER);
    assert_int_equal(topology_member(&fixture->topology, &(MemberId){{255}}), TOPOLOGY_NO_MEMBER);
    assert_int_equal(topology_member_by_name(&fixture->topology, fixture->members[1].name), 1);
    assert_int_equal(topology_member_by_name(&fixture->topology, "nobody"), TOPOLOGY_NO_MEMBER);
}

static void
preference_is_the_walk_from_every_partition(void **state)
{
    Fixture *fixture = *state;
    Topology decoded;

    assert_true(topology_decode(encoded(fixture), &fixture->arena, &decoded));
    for (uint32_t partition = 0; partition < PARTITIONS; partition++)
    {
        uint64_t position = ring_partition_start(partition, PARTITIONS) + 12345;
        uint16_t walked[MEMBERS];
        uint16_t preferred[MEMBERS];

        ring_walk(decoded.claim, PARTITIONS, partition, walked, MEMBERS);
        assert_int_equal(topology_preference(&decoded, position, preferred, 99), MEMBERS);
        assert_memory_equal(walked, preferred, sizeof(walked));
        assert_int_equal(topology_preference(&fixture->topology, position, preferred, 2), 2);
        assert_memory_equal(walked, preferred, 2 * sizeof(uint16_t));
    }
}

static void
preference_is_the_walk_over_a_skewed_claim_too(void **state)
{
    static const uint16_t skewed[PARTITIONS] = {3, 3, 0, 3, 3, 3, 1, 1, 3, 2, 3, 3, 3, 3, 3, 3};
    Fixture *fixture = *state;
    Topology decoded;

    memcpy(fixture->topology.claim, skewed, sizeof(skewed));
    assert_true(topology_decode(encoded(fixture), &fixture->arena, &decoded));
    for (uint32_t partition = 0; partition < PARTITIONS; partition++)
    {
        uint16_t walked[MEMBERS];
        uint16_t preferred[MEMBERS];

        ring_walk(skewed, PARTITIONS, partition, walked, MEMBERS);
        topology_preference(&decoded, ring_partition_start(partition, PARTITIONS), preferred,
                            MEMBERS);
        assert_memory_equal(walked, preferred, sizeof(walked));
    }
}

static void
a_member_without_partitions_is_in_no_preference_list(void **state)
{
    Fixture *fixture = *state;
    Topology decoded;

    for (uint32_t i = 0; i < PARTITIONS; i++)
        fixture->topology.claim[i] = (uint16_t)(i % 3);
    assert_true(topology_decode(encoded(fixture), &fixture->arena, &decoded));
    assert_int_equal(decoded.preference_length, 3);
}

static void
buckets_are_found_by_id_and_by_name(void **state)
{
    Fixture *fixture = *state;

    assert_ptr_equal(topology_bucket_by_id(&fixture->topology, 5), &fixture->buckets[1]);
    assert_ptr_equal(topology_bucket_by_name(&fixture->topology, "cart"), &fixture->buckets[0]);
    assert_null(topology_bucket_by_id(&fixture->topology, 2));
    assert_null(topology_bucket_by_id(&fixture->topology, 0));
    assert_null(topology_bucket_by_name(&fixture->topology, "Cart"));
}

static void
an_added_bucket_has_a_new_id_in_a_new_epoch(void **state)
{
    Fixture *fixture = *state;
    Bucket bucket = make_bucket(0, "orders");
    Topology next;
    const char *why;

    assert_true(
        next_topology_with_bucket(&fixture->topology, &bucket, &fixture->arena, &next, &why));
    assert_int_equal(next.epoch, 4);
    assert_int_equal(next.bucket_count, 3);
    assert_int_equal(next.buckets[2].id, 6);
    assert_string_equal(next.buckets[2].name, "orders");
    assert_int_equal(fixture->topology.bucket_count, 2);
    assert_int_equal(next.preference_length, MEMBERS);
}

static void
an_added_bucket_borrows_from_nobody(void **state)
{
    Fixture *fixture = *state;
    char name[] = "orders";
    Bucket bucket = make_bucket(0, name);
    Topology next;
    const char *why;

    assert_true(
        next_topology_with_bucket(&fixture->topology, &bucket, &fixture->arena, &next, &why));
    memset(name, 'x', sizeof(name) - 1);
    fixture->buckets[0].name = "gone";
    fixture->members[0].name = "gone";
    assert_string_equal(next.buckets[2].name, "orders");
    assert_string_equal(next.buckets[0].name, "cart");
    assert_string_equal(next.members[0].name, "n4");
}

static void
check_not_added(Fixture *fixture, Bucket bucket)
{
    Topology next;
    const char *why = NULL;

    assert_false(
        next_topology_with_bucket(&fixture->topology, &bucket, &fixture->arena, &next, &why));
    assert_non_null(why);
}

static void
buckets_that_cannot_be_are_not_added(void **state)
{
    Fixture *fixture = *state;
    char long_name[300];
    Bucket bucket = make_bucket(0, "orders");

    check_not_added(fixture, make_bucket(0, "cart"));
    check_not_added(fixture, make_bucket(0, ""));
    check_not_added(fixture, make_bucket(0, "line\nbreak"));
    memset(long_name, 'x', sizeof(long_name));
    long_name[TOPOLOGY_NAME_MAX + 1] = '\0';
    check_not_added(fixture, make_bucket(0, long_name));
    bucket.n = MEMBERS + 1;
    check_not_added(fixture, bucket);
    bucket.n = 0;
    check_not_added(fixture, bucket);
    bucket.n = 3;
    bucket.key_count = 0;
    check_not_added(fixture, bucket);
    bucket.key_count = KEY_COLUMNS_MAX + 1;
    check_not_added(fixture, bucket);
    bucket.key_count = 1;
    bucket.key_types[0] = (KeyType)99;
    check_not_added(fixture, bucket);
}

static void
the_number_of_buckets_is_bounded(void **state)
{
    Fixture *fixture = *state;
    Bucket *buckets = ARENA_ARRAY(&fixture->arena, Bucket, TOPOLOGY_BUCKETS_MAX);

    for (uint32_t i = 0; i < TOPOLOGY_BUCKETS_MAX; i++)
    {
        char name[16];
        int length = snprintf(name, sizeof(name), "b%u", i);

        buckets[i] = make_bucket(i + 1, arena_copy_string(&fixture->arena, name, (size_t)length));
    }
    fixture->topology.buckets = buckets;
    fixture->topology.bucket_count = fixture->topology.last_bucket_id = TOPOLOGY_BUCKETS_MAX;
    assert_true(decodes(fixture));
    check_not_added(fixture, make_bucket(0, "one more"));
}

static void
a_definition_is_bounded(void **state)
{
    Fixture *fixture = *state;
    char *type = arena_alloc(&fixture->arena, TOPOLOGY_BUCKET_BYTES + 1);
    BucketColumn column = {"items", type};
    Bucket bucket = make_bucket(0, "orders");

    memset(type, 'x', TOPOLOGY_BUCKET_BYTES);
    type[TOPOLOGY_BUCKET_BYTES] = '\0';
    bucket.columns = &column;
    bucket.column_count = 1;
    check_not_added(fixture, bucket);
    type[TOPOLOGY_BUCKET_BYTES - 100] = '\0';
    assert_null(topology_bucket_fault(&fixture->topology, &bucket));
}

static Topology
changed(Fixture *fixture, const Topology *topology, const TopologyChange *change)
{
    Buffer document;
    Topology next;

    buffer_init(&document, &MEMORY_HEAP);
    topology_encode_change(&document, topology, change);
    assert_true(topology_decode(slice_copy(&fixture->arena, buffer_slice(&document)),
                                &fixture->arena, &next));
    buffer_free(&document);
    return next;
}

static void
ids_of_dropped_buckets_are_not_given_again(void **state)
{
    Fixture *fixture = *state;
    uint32_t last = 5;
    Bucket added[2] = {make_bucket(0, "orders"), make_bucket(0, fixture->buckets[1].name)};
    Topology less = changed(fixture, &fixture->topology,
                            &(TopologyChange){.dropped = &last, .dropped_count = 1});
    Topology more = changed(fixture, &less, &(TopologyChange){.added = added, .added_count = 2});

    assert_int_equal(less.epoch, 4);
    assert_int_equal(less.bucket_count, 1);
    assert_null(topology_bucket_by_name(&less, fixture->buckets[1].name));
    assert_true(topology_was_dropped(&less, 5));
    assert_false(topology_was_dropped(&less, 1));
    assert_false(topology_was_dropped(&less, 6));
    assert_int_equal(more.bucket_count, 3);
    assert_int_equal(more.buckets[1].id, 6);
    assert_int_equal(topology_bucket_by_name(&more, fixture->buckets[1].name)->id, 7);
}

static void
documents_that_cannot_be_are_refused(void **state)
{
    Fixture *fixture = *state;
    Topology good = fixture->topology;

    assert_true(decodes(fixture));
    fixture->topology.epoch = 0;
    assert_false(decodes(fixture));
    fixture->topology = good;
    fixture->topology.partitions = 12;
    assert_false(decodes(fixture));
    fixture->topology.partitions = 4;
    assert_false(decodes(fixture));
    fixture->topology = good;
    fixture->topology.member_count = 0;
    assert_false(decodes(fixture));
    fixture->topology = good;
    fixture->topology.last_bucket_id = 4;
    assert_false(decodes(fixture));
    fixture->topology = good;
    fixture->topology.claim[3] = MEMBERS;
    assert_false(decodes(fixture));
}

static void
check_member_refused(Fixture *fixture, Member bad)
{
    Member good = fixture->members[1];

    bad.id = good.id;
    fixture->members[1] = bad;
    assert_false(decodes(fixture));
    fixture->members[1] = good;
    assert_true(decodes(fixture));
}

static void
members_that_cannot_be_are_refused(void **state)
{
    Fixture *fixture = *state;
    Member bad = fixture->members[1];
    char long_name[80];

    memset(long_name, 'x', sizeof(long_name));
    long_name[64] = '\0';
#define CHECK(field, value)                                                                        \
    bad = fixture->members[1];                                                                     \
    bad.field = (value);                                                                           \
    check_member_refused(fixture, bad)

    CHECK(name, "");
    CHECK(name, "a b");
    CHECK(name, "a\n");
    CHECK(name, long_name);
    CHECK(address, "");
    CHECK(address, "127.0.0.1 host=evil");
    CHECK(address, "h,i");
    CHECK(zone, "a b");
    CHECK(port, 0);
    CHECK(weight, 0);
    CHECK(state, MEMBER_LEFT + 1);
#undef CHECK
    fixture->members[1].id = fixture->members[0].id;
    assert_false(decodes(fixture));
}

static void
claims_that_cannot_be_are_refused(void **state)
{
    Fixture *fixture = *state;
    Topology *topology = &fixture->topology;
    uint16_t target[PARTITIONS];
    uint8_t steps[PARTITIONS] = {TOPOLOGY_FILLING};

    memcpy(target, topology->claim, sizeof(target));
    topology->target = target;
    topology->steps = steps;
    assert_true(decodes(fixture));
    steps[3] = TOPOLOGY_MOVED + 1;
    assert_false(decodes(fixture));
    steps[3] = TOPOLOGY_STILL;
    target[5] = MEMBERS;
    assert_false(decodes(fixture));
    target[5] = 0;
    topology->changed[2] = topology->epoch + 1;
    assert_false(decodes(fixture));
    topology->changed[2] = topology->epoch;
    topology->fence = topology->epoch + 1;
    assert_false(decodes(fixture));
    topology->fence = topology->epoch;
    assert_true(decodes(fixture));
    fixture->members[target[0]].state = MEMBER_LEFT;
    assert_false(decodes(fixture));
}

static void
a_member_that_left_keeps_its_slot(void **state)
{
    Fixture *fixture = *state;
    MemberId left = fixture->members[1].id;
    Topology decoded;

    for (uint32_t i = 0; i < PARTITIONS; i++)
        fixture->topology.claim[i] = (uint16_t[]){0, 2, 3}[i % 3];
    fixture->members[1].state = MEMBER_LEFT;
    assert_true(topology_decode(encoded(fixture), &fixture->arena, &decoded));
    assert_int_equal(decoded.member_count, MEMBERS);
    assert_int_equal(decoded.present, MEMBERS - 1);
    assert_int_equal(topology_member(&decoded, &left), TOPOLOGY_NO_MEMBER);
    assert_true(topology_has_left(&decoded, &left));
    assert_false(topology_has_left(&decoded, &fixture->members[2].id));
    assert_int_equal(topology_member(&decoded, &fixture->members[2].id), 2);
    assert_int_equal(topology_member_by_name(&decoded, fixture->members[1].name),
                     TOPOLOGY_NO_MEMBER);
    assert_string_equal(decoded.members[1].address, "");
}

/* The lists of old and new owners, and which of the two counts at each step. */
static void
the_step_of_a_partition_says_which_list_counts(void **state)
{
    Fixture *fixture = *state;
    Topology *topology = &fixture->topology;
    uint16_t target[PARTITIONS];
    uint8_t steps[PARTITIONS];
    Topology decoded;

    for (uint32_t i = 0; i < PARTITIONS; i++)
    {
        topology->claim[i] = (uint16_t)(i % 3);
        target[i] = (uint16_t)(1 + i % 3);
        steps[i] = (uint8_t)(i % 4);
    }
    topology->target = target;
    topology->steps = steps;
    topology->changed[4] = 3;
    assert_true(topology_decode(encoded(fixture), &fixture->arena, &decoded));
    assert_int_equal(decoded.changed[4], 3);
    assert_int_equal(decoded.changed[5], 1);
    for (uint32_t i = 0; i < PARTITIONS; i++)
    {
        uint64_t position = ring_partition_start(i, PARTITIONS) + 7;
        uint16_t list[3];
        uint16_t walked[3];
        uint16_t entering[TOPOLOGY_N_MAX];

        ring_walk(topology->claim, PARTITIONS, i, walked, 3);
        assert_int_equal(topology_old_preference(&decoded, position, list, 3), 3);
        assert_memory_equal(list, walked, sizeof(list));
        ring_walk(target, PARTITIONS, i, walked, 3);
        assert_int_equal(topology_new_preference(&decoded, position, list, 3), 3);
        assert_memory_equal(list, walked, sizeof(list));
        assert_int_equal(topology_step(&decoded, position), i % 4);
        /* The walk goes over three slots that stand side by side, and all claims differ in one. */
        if (steps[i] == TOPOLOGY_FILLING)
        {
            assert_int_equal(topology_entering(&decoded, position, 3, entering), 1);
            assert_int_equal(entering[0], 3);
        }
        else
            assert_int_equal(topology_entering(&decoded, position, 3, entering), 0);
        assert_true(topology_keeps(&decoded, 1, position, 3) == (steps[i] != TOPOLOGY_STILL));
        assert_true(topology_keeps(&decoded, 1, position, 0) == (steps[i] != TOPOLOGY_MOVED));
        assert_true(topology_enters(&decoded, i, 3, 3) == (steps[i] != TOPOLOGY_STILL));
        assert_true(topology_enters(&decoded, i, 0, 3) == (steps[i] != TOPOLOGY_STILL));
        assert_true(topology_leaves(&decoded, i, 0, 0) == (steps[i] != TOPOLOGY_STILL));
        assert_false(topology_enters(&decoded, i, 0, 1) || topology_leaves(&decoded, i, 0, 2));
        assert_true(topology_has_moved(&decoded, position, 2) == (i == 4));
        assert_false(topology_has_moved(&decoded, position, 3));
        ring_walk(i % 4 < TOPOLOGY_HANDING ? topology->claim : target, PARTITIONS, i, walked, 3);
        assert_int_equal(topology_preference(&decoded, position, list, 3), 3);
        assert_memory_equal(list, walked, sizeof(list));
    }
}

/* One who goes from the third place to the first enters for one replica, and for three it stays. */
static void
who_enters_depends_on_the_number_of_replicas(void **state)
{
    Fixture *fixture = *state;
    Topology *topology = &fixture->topology;
    uint16_t target[PARTITIONS];
    uint8_t steps[PARTITIONS];
    Topology decoded;

    for (uint32_t i = 0; i < PARTITIONS; i++)
    {
        topology->claim[i] = (uint16_t)(i % MEMBERS);
        target[i] = (uint16_t)((i + 2) % MEMBERS);
        steps[i] = TOPOLOGY_FILLING;
    }
    topology->target = target;
    topology->steps = steps;
    topology->buckets[0].n = topology->buckets[1].n = 2;
    assert_true(topology_decode(encoded(fixture), &fixture->arena, &decoded));
    for (uint32_t n = 1; n <= 3; n++)
    {
        assert_true(topology_enters(&decoded, 0, n, 2) == (n < 3));
        assert_true(topology_enters(&decoded, 0, n, 3) == (n > 1));
        assert_true(topology_leaves(&decoded, 0, n, 0) == (n < 3));
        assert_true(topology_leaves(&decoded, 0, n, 1) == (n > 1));
    }
    assert_true(topology_enters(&decoded, 0, 0, 3));
    decoded.ns = 1 << 1;
    assert_false(topology_enters(&decoded, 0, 0, 3));
    assert_true(topology_enters(&decoded, 0, 0, 2));
}

static void
buckets_that_cannot_be_are_refused(void **state)
{
    Fixture *fixture = *state;
    Bucket good = fixture->buckets[1];

    fixture->buckets[1].id = 1;
    assert_false(decodes(fixture));
    fixture->buckets[1] = good;
    fixture->buckets[0].id = 0;
    assert_false(decodes(fixture));
    fixture->buckets[0].id = 1;
    fixture->buckets[1].name = "cart";
    assert_false(decodes(fixture));
    fixture->buckets[1] = good;
    fixture->buckets[1].n = MEMBERS + 1;
    assert_false(decodes(fixture));
    fixture->buckets[1] = good;
    fixture->buckets[1].key_types[0] = (KeyType)99;
    assert_false(decodes(fixture));
    fixture->buckets[1] = good;
    assert_true(decodes(fixture));
}

static void
hostile_bytes_are_refused(void **state)
{
    Fixture *fixture = *state;

    assert_hostile_bytes_are_refused(encoded(fixture), round_trip_topology);
}

static void
buckets_agree_by_n_and_key_types_alone(void **state)
{
    Bucket a = make_bucket(1, "a");
    Bucket b = make_bucket(2, "b");

    b.key_names[0] = "other";
    assert_true(topology_bucket_agrees(&a, &b));
    b.n = 2;
    assert_false(topology_bucket_agrees(&a, &b));
    b = make_bucket(2, "b");
    b.key_types[1] = KEY_TEXT;
    assert_false(topology_bucket_agrees(&a, &b));
    b = make_bucket(2, "b");
    b.key_count = 1;
    assert_false(topology_bucket_agrees(&a, &b));
}

static void
keys_with_one_first_column_are_in_one_place(void **state)
{
    Fixture *fixture = *state;
    uint64_t positions[3];

    for (int i = 0; i < 3; i++)
    {
        KeyValue text = {.type = KEY_TEXT, .bytes = slice_from_string(i < 2 ? "ann" : "bob")};
        KeyValue number = {.type = KEY_INTEGER, .number = i};
        Buffer key;

        buffer_init(&key, &MEMORY_HEAP);
        keycodec_put(&key, &text);
        keycodec_put(&key, &number);
        assert_true(topology_position(&fixture->buckets[0], buffer_slice(&key), &positions[i]));
        key.length--;
        assert_false(topology_position(&fixture->buckets[0], buffer_slice(&key), &(uint64_t){0}));
        buffer_free(&key);
    }
    assert_true(positions[0] == positions[1]);
    assert_true(positions[0] != positions[2]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_document_comes_back),
        TEST(claiming_sorts_the_members_by_id),
        TEST(preference_is_the_walk_from_every_partition),
        TEST(preference_is_the_walk_over_a_skewed_claim_too),
        TEST(a_member_without_partitions_is_in_no_preference_list),
        TEST(buckets_are_found_by_id_and_by_name),
        TEST(an_added_bucket_has_a_new_id_in_a_new_epoch),
        TEST(an_added_bucket_borrows_from_nobody),
        TEST(buckets_that_cannot_be_are_not_added),
        TEST(the_number_of_buckets_is_bounded),
        TEST(a_definition_is_bounded),
        TEST(ids_of_dropped_buckets_are_not_given_again),
        TEST(documents_that_cannot_be_are_refused),
        TEST(members_that_cannot_be_are_refused),
        TEST(claims_that_cannot_be_are_refused),
        TEST(a_member_that_left_keeps_its_slot),
        TEST(the_step_of_a_partition_says_which_list_counts),
        TEST(who_enters_depends_on_the_number_of_replicas),
        TEST(buckets_that_cannot_be_are_refused),
        TEST(hostile_bytes_are_refused),
        TEST(buckets_agree_by_n_and_key_types_alone),
        TEST(keys_with_one_first_column_are_in_one_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
