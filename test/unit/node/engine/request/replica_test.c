#include "node/engine/repair/orphans.h"
#include "node/engine/request/replica.h"
#include "test/unit/stages/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum
{
    SESSION = 77,
    TAG = 5
};

static const Origin CLIENT = {.session = SESSION, .tag = TAG};

typedef struct Fixture
{
    Stage stage;
    Replica *replica;
    Slice keys[3];
} Fixture;

static Fixture fixture;

static int
set_up(void **state)
{
    fixture = (Fixture){.replica = replica_new()};
    stage_init(&fixture.stage, 3, 3);
    for (uint32_t i = 0; i < 3; i++)
        fixture.keys[i] = stage_key_of(&fixture.stage, 0, i);
    return 0;
}

static int
tear_down(void **state)
{
    replica_free(fixture.replica);
    stage_free(&fixture.stage);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* ---- what happens to the replica ---- */

static void
read_keys(ReadMode mode, uint32_t count)
{
    ReadFrame read = {.bucket_id = STAGE_BUCKET,
                      .mode = mode,
                      .seal = mode == READ_FULL,
                      .keys = fixture.keys,
                      .key_count = count};
    Frame frame;

    read_encode(stage_buffer(&fixture.stage), TAG, &read);
    frame = stage_frame(&fixture.stage);
    replica_read(fixture.replica, &fixture.stage.view, CLIENT, &frame);
}

static uint64_t
ref_of(ActionKind kind, uint32_t nth)
{
    return stage_action(&fixture.stage, kind, nth)->ref;
}

static void
fetched(uint64_t ref, StatusCode status, Slice object)
{
    replica_fetched(fixture.replica, &fixture.stage.view, ref, status, object);
}

static void
scan(const ScanFrame *scan)
{
    Frame frame;

    scan_encode(stage_buffer(&fixture.stage), TAG, scan);
    frame = stage_frame(&fixture.stage);
    replica_scan(fixture.replica, &fixture.stage.view, CLIENT, &frame);
}

static void
scanned(StatusCode status, const StoragePage *page)
{
    uint64_t ref = ref_of(ACTION_SCAN, 0);

    stage_clear(&fixture.stage);
    replica_scanned(fixture.replica, &fixture.stage.view, ref, status, page);
}

static void
replicate(uint64_t session, const ReplicateItem *items, uint32_t count)
{
    ReplicateFrame replicate = {.items =
                                    arena_copy(&fixture.stage.arena, items, sizeof(*items) * count),
                                .item_count = count};
    Origin origin = {.session = session};
    Frame frame;

    replicate_encode(stage_buffer(&fixture.stage), 0, &replicate);
    frame = stage_frame(&fixture.stage);
    replica_replicate(fixture.replica, &fixture.stage.view, origin, &frame);
}

static ReplicateItem
replicate_item(uint64_t ref, uint32_t key)
{
    return (ReplicateItem){.ref = ref,
                           .bucket_id = STAGE_BUCKET,
                           .key = fixture.keys[key],
                           .object = stage_object(&fixture.stage, 1, 1, "apple")};
}

/* ---- what comes out ---- */

static ReadReply
read_answer(void)
{
    Frame frame = stage_answer(&fixture.stage);
    ReadReply reply;

    assert_int_equal(frame.type, FRAME_READ_REPLY);
    assert_int_equal(frame.tag, TAG);
    assert_true(read_reply_decode(&frame, &fixture.stage.arena, &reply));
    return reply;
}

static ScanReply
scan_answer(void)
{
    Frame frame = stage_answer(&fixture.stage);
    ScanReply reply;

    assert_int_equal(frame.type, FRAME_SCAN_REPLY);
    assert_int_equal(frame.tag, TAG);
    assert_true(scan_reply_decode(&frame, &fixture.stage.arena, &reply));
    return reply;
}

/* The one batch of acknowledgements that leaves now. */
static ReplicateReply
acknowledgements(void)
{
    ReplicateReply reply;
    Frame frame;

    stage_clear(&fixture.stage);
    replica_flush(fixture.replica, &fixture.stage.actions);
    frame = stage_answer(&fixture.stage);
    assert_int_equal(frame.type, FRAME_REPLICATE_REPLY);
    assert_true(replicate_reply_decode(&frame, &fixture.stage.arena, &reply));
    return reply;
}

static void
assert_no_acknowledgement(void)
{
    stage_clear(&fixture.stage);
    replica_flush(fixture.replica, &fixture.stage.actions);
    assert_int_equal(stage_count(&fixture.stage, ACTION_REPLY), 0);
}

static void
assert_refused(StatusCode status)
{
    Frame frame = stage_answer(&fixture.stage);

    assert_int_equal(stage_error_status(&frame), status);
    assert_int_equal(frame.tag, TAG);
}

/* ---- reads ---- */

static void
a_read_is_answered_when_storage_has_given_every_key(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    ReadReply reply;

    read_keys(READ_FULL, 2);
    assert_int_equal(stage_count(&fixture.stage, ACTION_READ), 2);
    fetched(ref_of(ACTION_READ, 1), STATUS_OK, SLICE_EMPTY);
    assert_int_equal(stage_count(&fixture.stage, ACTION_REPLY), 0);
    fetched(ref_of(ACTION_READ, 0), STATUS_OK, object);
    reply = read_answer();
    assert_int_equal(reply.mode, READ_FULL);
    assert_int_equal(reply.item_count, 2);
    assert_true(slice_equal(reply.items[0].object, object));
    assert_int_equal(reply.items[1].object.length, 0);
    assert_int_equal(reply.items[1].context.length, 0);
    assert_int_equal(replica_counters(fixture.replica).reads, 2);
}

static void
a_sealed_context_opens_for_its_key_only(void **state)
{
    Object past;
    ReadReply reply;

    read_keys(READ_FULL, 1);
    fetched(ref_of(ACTION_READ, 0), STATUS_OK, stage_object(&fixture.stage, 1, 1, "apple"));
    reply = read_answer();
    assert_int_equal(context_open(reply.items[0].context, &fixture.stage.context_keys, STAGE_BUCKET,
                                  fixture.keys[0], &fixture.stage.arena, &past),
                     CONTEXT_OK);
    assert_int_equal(past.context.count, 1);
    assert_int_equal(past.replaced[0].count, 1);
    assert_int_equal(context_open(reply.items[0].context, &fixture.stage.context_keys, STAGE_BUCKET,
                                  fixture.keys[1], &fixture.stage.arena, &past),
                     CONTEXT_OTHER_KEY);
}

static void
an_answer_that_would_be_too_large_is_refused_for_all_its_keys(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");

    fixture.stage.view.answer_bytes_max = 2 * object.length - 1;
    read_keys(READ_FULL, 2);
    fetched(ref_of(ACTION_READ, 0), STATUS_OK, object);
    assert_int_equal(stage_count(&fixture.stage, ACTION_REPLY), 0);
    fetched(ref_of(ACTION_READ, 1), STATUS_OK, object);
    assert_refused(STATUS_ANSWER_TOO_LARGE);
    stage_clear(&fixture.stage);
    read_keys(READ_DIGEST, 2);
    fetched(ref_of(ACTION_READ, 0), STATUS_OK, object);
    fetched(ref_of(ACTION_READ, 1), STATUS_OK, object);
    assert_int_equal(read_answer().item_count, 2);
}

static void
a_digest_is_of_the_object_and_absent_has_one_too(void **state)
{
    Slice object = stage_object(&fixture.stage, 1, 1, "apple");
    Digest digest = object_digest(object);
    ReadReply reply;

    read_keys(READ_DIGEST, 2);
    fetched(ref_of(ACTION_READ, 0), STATUS_OK, object);
    fetched(ref_of(ACTION_READ, 1), STATUS_OK, SLICE_EMPTY);
    reply = read_answer();
    assert_int_equal(reply.mode, READ_DIGEST);
    assert_true(digest_equal(&reply.items[0].digest, &digest));
    assert_true(digest_equal(&reply.items[1].digest, &DIGEST_ABSENT));
    assert_int_equal(reply.items[0].object.length, 0);
}

static void
what_storage_cannot_read_is_told_of_that_key_alone(void **state)
{
    ReadReply reply;

    read_keys(READ_FULL, 2);
    fetched(ref_of(ACTION_READ, 0), STATUS_CORRUPT, SLICE_EMPTY);
    fetched(ref_of(ACTION_READ, 1), STATUS_OK, SLICE_EMPTY);
    reply = read_answer();
    assert_int_equal(reply.items[0].status, STATUS_CORRUPT);
    assert_int_equal(reply.items[1].status, STATUS_OK);
}

static void
a_key_of_another_type_is_refused_alone(void **state)
{
    ReadReply reply;

    fixture.keys[1] = slice_from_string("\1\2");
    read_keys(READ_FULL, 2);
    assert_int_equal(stage_count(&fixture.stage, ACTION_READ), 1);
    fetched(ref_of(ACTION_READ, 0), STATUS_OK, SLICE_EMPTY);
    reply = read_answer();
    assert_int_equal(reply.items[0].status, STATUS_OK);
    assert_int_equal(reply.items[1].status, STATUS_BAD_KEY);
}

static void
reads_without_any_key_to_fetch_are_answered_at_once(void **state)
{
    read_keys(READ_FULL, 0);
    assert_int_equal(read_answer().item_count, 0);
    stage_clear(&fixture.stage);
    fixture.keys[0] = slice_from_string("\1\2");
    read_keys(READ_FULL, 1);
    assert_int_equal(read_answer().items[0].status, STATUS_BAD_KEY);
}

static void
a_late_answer_of_storage_does_not_reach_the_next_read(void **state)
{
    uint64_t old;

    read_keys(READ_FULL, 1);
    old = ref_of(ACTION_READ, 0);
    fetched(old, STATUS_OK, SLICE_EMPTY);
    stage_clear(&fixture.stage);
    read_keys(READ_FULL, 1);
    assert_true(ref_of(ACTION_READ, 0) != old);
    fetched(old, STATUS_OK, SLICE_EMPTY);
    assert_int_equal(stage_count(&fixture.stage, ACTION_REPLY), 0);
}

static void
a_bucket_that_is_not_known_yet_means_behind(void **state)
{
    ReadFrame read = {.bucket_id = 9, .mode = READ_FULL, .keys = fixture.keys, .key_count = 1};
    ReplicateItem item = replicate_item(1, 0);
    ReplicateReply reply;
    Frame frame;

    read_encode(stage_buffer(&fixture.stage), TAG, &read);
    frame = stage_frame(&fixture.stage);
    replica_read(fixture.replica, &fixture.stage.view, CLIENT, &frame);
    assert_refused(STATUS_BEHIND);
    stage_clear(&fixture.stage);
    scan(&(ScanFrame){.bucket_id = 9});
    assert_refused(STATUS_BEHIND);
    stage_clear(&fixture.stage);
    item.bucket_id = 9;
    replicate(SESSION, &item, 1);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
    reply = acknowledgements();
    assert_int_equal(reply.items[0].status, STATUS_BEHIND);
}

/* Refuses what was asked by an older topology, and takes what was by the one in which the partition
 * was changed. */
static void
nothing_is_done_for_who_does_not_know_the_owners_of_today(void **state)
{
    ReplicateItem items[2] = {replicate_item(1, 0), replicate_item(2, 0)};
    ReplicateReply reply;
    uint64_t position;
    uint32_t partition;

    assert_true(topology_position(fixture.stage.bucket, fixture.keys[0], &position));
    partition = ring_partition(position, STAGE_PARTITIONS);
    fixture.stage.topology.changed[partition] = 2;
    items[0].placed = 1;
    items[1].placed = 2;
    replicate(SESSION, items, 2);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 1);
    reply = acknowledgements();
    assert_int_equal(reply.item_count, 1);
    assert_int_equal(reply.items[0].status, STATUS_MOVED);
    stage_clear(&fixture.stage);
    read_keys(READ_DIGEST, 1);
    assert_int_equal(read_answer().items[0].status, STATUS_MOVED);
    stage_clear(&fixture.stage);
    scan(&(ScanFrame){.epoch = 1, .bucket_id = STAGE_BUCKET, .partition = partition});
    assert_refused(STATUS_MOVED);
    stage_clear(&fixture.stage);
    scan(&(ScanFrame){.epoch = 2, .bucket_id = STAGE_BUCKET, .partition = partition});
    assert_int_equal(stage_count(&fixture.stage, ACTION_SCAN), 1);
}

static void
frames_that_cannot_be_read_are_refused(void **state)
{
    Frame frame = {.type = FRAME_READ, .tag = TAG, .body = slice_from_string("nonsense")};

    replica_read(fixture.replica, &fixture.stage.view, CLIENT, &frame);
    assert_refused(STATUS_BAD_FRAME);
    stage_clear(&fixture.stage);
    replica_scan(fixture.replica, &fixture.stage.view, CLIENT, &frame);
    assert_refused(STATUS_BAD_FRAME);
    stage_clear(&fixture.stage);
    replica_replicate(fixture.replica, &fixture.stage.view, CLIENT, &frame);
    assert_refused(STATUS_BAD_FRAME);
}

/* ---- scans ---- */

static StoragePage
two_rows(void)
{
    StorageRow *rows = ARENA_ARRAY(&fixture.stage.arena, StorageRow, 2);

    for (uint32_t i = 0; i < 2; i++)
    {
        rows[i] = (StorageRow){.key = fixture.keys[i],
                               .object = stage_object(&fixture.stage, 1, (uint8_t)(i + 1), "x")};
        assert_true(topology_position(fixture.stage.bucket, fixture.keys[i], &rows[i].position));
    }
    return (StoragePage){.rows = rows, .row_count = 2, .through = slice_from_string("through")};
}

static void
a_scan_asks_storage_for_the_range_of_its_partition(void **state)
{
    const uint64_t width = UINT64_MAX / STAGE_PARTITIONS + 1;
    const Action *action;

    scan(&(ScanFrame){.bucket_id = STAGE_BUCKET,
                      .partition = STAGE_PARTITIONS - 1,
                      .after = slice_from_string("after"),
                      .through = slice_from_string("through"),
                      .max_bytes = 1000});
    action = stage_action(&fixture.stage, ACTION_SCAN, 0);
    assert_true(action->range.first_position == (STAGE_PARTITIONS - 1) * width);
    assert_true(action->range.last_position == UINT64_MAX);
    assert_true(slice_equal(action->range.after, slice_from_string("after")));
    assert_true(slice_equal(action->range.through, slice_from_string("through")));
    assert_int_equal(action->range.max_bytes, 1000);
}

static void
a_scan_of_a_partition_that_is_none_is_refused(void **state)
{
    scan(&(ScanFrame){.bucket_id = STAGE_BUCKET, .partition = STAGE_PARTITIONS});
    assert_refused(STATUS_BAD_FRAME);
}

static void
a_page_is_bounded_whatever_is_asked(void **state)
{
    scan(&(ScanFrame){.bucket_id = STAGE_BUCKET, .max_bytes = UINT32_MAX});
    assert_in_range(stage_action(&fixture.stage, ACTION_SCAN, 0)->range.max_bytes, 1, 1 << 24);
    stage_clear(&fixture.stage);
    scan(&(ScanFrame){.bucket_id = STAGE_BUCKET, .max_bytes = 0});
    assert_in_range(stage_action(&fixture.stage, ACTION_SCAN, 0)->range.max_bytes, 1, 1 << 24);
}

static void
a_page_holds_rows_their_digest_and_its_last_place(void **state)
{
    StoragePage page = two_rows();
    Digest digest = {{0}};
    ScanReply reply;

    for (uint32_t i = 0; i < 2; i++)
    {
        Digest row = message_row_digest(page.rows[i].key, page.rows[i].object);

        digest_mix(&digest, &row);
    }
    scan(&(ScanFrame){.bucket_id = STAGE_BUCKET, .seal = true});
    scanned(STATUS_OK, &page);
    reply = scan_answer();
    assert_false(reply.done);
    assert_int_equal(reply.row_count, 2);
    assert_true(slice_equal(reply.rows[1].object, page.rows[1].object));
    assert_true(reply.rows[0].context.length > 0);
    assert_true(digest_equal(&reply.digest, &digest));
    assert_true(slice_equal(reply.last, page.through));
}

static void
a_digest_page_has_the_same_digest_and_no_rows(void **state)
{
    StoragePage page = two_rows();
    ScanReply full;
    ScanReply digest;

    scan(&(ScanFrame){.bucket_id = STAGE_BUCKET});
    scanned(STATUS_OK, &page);
    full = scan_answer();
    stage_clear(&fixture.stage);
    scan(&(ScanFrame){.bucket_id = STAGE_BUCKET, .digest_only = true});
    scanned(STATUS_OK, &page);
    digest = scan_answer();
    assert_null(digest.rows);
    assert_int_equal(digest.row_count, 2);
    assert_true(digest_equal(&full.digest, &digest.digest));
    assert_true(slice_equal(full.last, digest.last));
}

static void
an_empty_page_has_no_last_place(void **state)
{
    StoragePage page = {.done = true};
    ScanReply reply;

    scan(&(ScanFrame){.bucket_id = STAGE_BUCKET});
    scanned(STATUS_OK, &page);
    reply = scan_answer();
    assert_true(reply.done);
    assert_int_equal(reply.row_count, 0);
    assert_int_equal(reply.last.length, 0);
}

static void
a_scan_that_storage_fails_says_so(void **state)
{
    StoragePage page = {0};

    scan(&(ScanFrame){.bucket_id = STAGE_BUCKET});
    scanned(STATUS_CORRUPT, &page);
    assert_int_equal(scan_answer().status, STATUS_CORRUPT);
}

/* ---- replicates ---- */

static void
a_replicate_is_acknowledged_when_durable_not_when_merged(void **state)
{
    ReplicateItem item = replicate_item(42, 0);
    ReplicateReply reply;
    uint64_t ref;

    replicate(SESSION, &item, 1);
    ref = ref_of(ACTION_APPLY, 0);
    assert_int_equal(stage_action(&fixture.stage, ACTION_APPLY, 0)->update->merge->sibling_count,
                     1);
    assert_null(stage_action(&fixture.stage, ACTION_APPLY, 0)->update->put);
    replica_merged(fixture.replica, ref, STATUS_OK);
    assert_no_acknowledgement();
    replica_durable(fixture.replica, ref, STATUS_OK);
    reply = acknowledgements();
    assert_int_equal(reply.item_count, 1);
    assert_int_equal(reply.items[0].ref, 42);
    assert_int_equal(reply.items[0].status, STATUS_OK);
    assert_no_acknowledgement();
}

static void
a_replicate_that_storage_refuses_is_told(void **state)
{
    ReplicateItem items[2] = {replicate_item(1, 0), replicate_item(2, 1)};
    ReplicateReply reply;
    uint64_t refs[2];

    replicate(SESSION, items, 2);
    refs[0] = ref_of(ACTION_APPLY, 0);
    refs[1] = ref_of(ACTION_APPLY, 1);
    replica_merged(fixture.replica, refs[0], STATUS_CORRUPT);
    replica_merged(fixture.replica, refs[1], STATUS_OK);
    replica_durable(fixture.replica, refs[1], STATUS_STORAGE);
    reply = acknowledgements();
    assert_int_equal(reply.item_count, 2);
    assert_int_equal(reply.items[0].status, STATUS_CORRUPT);
    assert_int_equal(reply.items[1].status, STATUS_STORAGE);
}

static void
bad_items_of_a_replicate_are_refused_and_the_others_merged(void **state)
{
    ReplicateItem items[3] = {replicate_item(1, 0), replicate_item(2, 1), replicate_item(3, 2)};
    ReplicateReply reply;
    uint64_t ref;

    items[0].key = slice_from_string("\1\2");
    items[2].object = slice_from_string("no object");
    replicate(SESSION, items, 3);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 1);
    ref = ref_of(ACTION_APPLY, 0);
    reply = acknowledgements();
    assert_int_equal(reply.item_count, 2);
    assert_int_equal(reply.items[0].status, STATUS_BAD_KEY);
    assert_int_equal(reply.items[1].ref, 3);
    assert_int_equal(reply.items[1].status, STATUS_BAD_FRAME);
    replica_durable(fixture.replica, ref, STATUS_OK);
    assert_int_equal(acknowledgements().items[0].ref, 2);
}

/* Before it is known which rows are older than what was reaped. */
static void
nothing_is_taken_that_may_be_set_aside(void **state)
{
    ReplicateItem item = replicate_item(1, 0);
    Orphans *orphans = orphans_new();

    orphans_begin(orphans);
    fixture.stage.view.refilling = true;
    fixture.stage.view.orphans = orphans;
    replicate(SESSION, &item, 1);
    assert_int_equal(stage_count(&fixture.stage, ACTION_APPLY), 0);
    assert_int_equal(acknowledgements().items[0].status, STATUS_REFILLING);
    orphans_free(orphans);
}

static void
what_was_merged_before_the_data_turned_out_to_be_older_is_not_acknowledged(void **state)
{
    ReplicateItem item = replicate_item(1, 0);
    uint64_t ref;

    replicate(SESSION, &item, 1);
    ref = ref_of(ACTION_APPLY, 0);
    replica_data_lost(fixture.replica);
    replica_durable(fixture.replica, ref, STATUS_OK);
    assert_int_equal(acknowledgements().items[0].status, STATUS_REFILLING);
}

static void
acknowledgements_of_one_turn_are_gathered_by_session(void **state)
{
    ReplicateItem items[2] = {replicate_item(1, 0), replicate_item(2, 1)};
    uint64_t refs[3];

    replicate(1, items, 2);
    replicate(2, items, 1);
    for (uint32_t i = 0; i < 3; i++)
        refs[i] = ref_of(ACTION_APPLY, i);
    for (uint32_t i = 0; i < 3; i++)
        replica_durable(fixture.replica, refs[i], STATUS_OK);
    stage_clear(&fixture.stage);
    replica_flush(fixture.replica, &fixture.stage.actions);
    assert_int_equal(stage_count(&fixture.stage, ACTION_REPLY), 2);
    for (uint32_t i = 0; i < 2; i++)
    {
        const Action *action = stage_action(&fixture.stage, ACTION_REPLY, i);
        Frame frame = stage_action_frame(&fixture.stage, action);
        ReplicateReply reply;

        assert_true(replicate_reply_decode(&frame, &fixture.stage.arena, &reply));
        assert_int_equal(reply.item_count, action->session == 1 ? 2 : 1);
    }
}

static void
a_replicate_of_nothing_is_refused(void **state)
{
    replicate(SESSION, NULL, 0);
    assert_int_equal(stage_count(&fixture.stage, ACTION_REPLY), 1);
    assert_no_acknowledgement();
}

static void
an_acknowledgement_that_comes_twice_is_sent_once(void **state)
{
    ReplicateItem item = replicate_item(1, 0);
    uint64_t ref;

    replicate(SESSION, &item, 1);
    ref = ref_of(ACTION_APPLY, 0);
    replica_durable(fixture.replica, ref, STATUS_OK);
    replica_durable(fixture.replica, ref, STATUS_OK);
    assert_int_equal(acknowledgements().item_count, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_read_is_answered_when_storage_has_given_every_key),
        TEST(a_sealed_context_opens_for_its_key_only),
        TEST(an_answer_that_would_be_too_large_is_refused_for_all_its_keys),
        TEST(a_digest_is_of_the_object_and_absent_has_one_too),
        TEST(what_storage_cannot_read_is_told_of_that_key_alone),
        TEST(a_key_of_another_type_is_refused_alone),
        TEST(reads_without_any_key_to_fetch_are_answered_at_once),
        TEST(a_late_answer_of_storage_does_not_reach_the_next_read),
        TEST(a_bucket_that_is_not_known_yet_means_behind),
        TEST(nothing_is_done_for_who_does_not_know_the_owners_of_today),
        TEST(frames_that_cannot_be_read_are_refused),
        TEST(a_scan_asks_storage_for_the_range_of_its_partition),
        TEST(a_scan_of_a_partition_that_is_none_is_refused),
        TEST(a_page_is_bounded_whatever_is_asked),
        TEST(a_page_holds_rows_their_digest_and_its_last_place),
        TEST(a_digest_page_has_the_same_digest_and_no_rows),
        TEST(an_empty_page_has_no_last_place),
        TEST(a_scan_that_storage_fails_says_so),
        TEST(a_replicate_is_acknowledged_when_durable_not_when_merged),
        TEST(a_replicate_that_storage_refuses_is_told),
        TEST(bad_items_of_a_replicate_are_refused_and_the_others_merged),
        TEST(nothing_is_taken_that_may_be_set_aside),
        TEST(what_was_merged_before_the_data_turned_out_to_be_older_is_not_acknowledged),
        TEST(acknowledgements_of_one_turn_are_gathered_by_session),
        TEST(a_replicate_of_nothing_is_refused),
        TEST(an_acknowledgement_that_comes_twice_is_sent_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
