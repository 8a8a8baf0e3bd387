/* Every frame comes back as it was, in one form alone. Each one is a seed of the fuzz target of
 * messages too. */
#include "shared/wire/message.h"
#include "test/lib/reply_frames.h"
#include "test/unit/stages/hostile.h"
#include "test/unit/stages/seeds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum
{
    TAG = 0x01020304
};

typedef struct Fixture
{
    Arena arena;
    Buffer buffer;
    Frame frame; /* of the buffer, after take() */
} Fixture;

static int
set_up(void **state)
{
    static Fixture fixture;

    arena_init(&fixture.arena, &MEMORY_HEAP);
    buffer_init(&fixture.buffer, &MEMORY_HEAP);
    *state = &fixture;
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;

    arena_free(&fixture->arena);
    buffer_free(&fixture->buffer);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const MemberId MEMBER = {
    {1, 2, 3, 4}
};
static const MemberId OTHER = {
    {5, 6, 7, 8}
};

/* The frame that was just encoded, after its bytes were tried in every wrong form. */
static const Frame *
take(Fixture *fixture, FrameType type)
{
    seeds_keep("message", frame_type_name(type), buffer_slice(&fixture->buffer));
    assert_hostile_bytes_are_refused(buffer_slice(&fixture->buffer), round_trip_message);
    assert_true(frame_decode(buffer_slice(&fixture->buffer), &fixture->frame));
    assert_int_equal(fixture->frame.type, type);
    assert_int_equal(fixture->frame.tag, TAG);
    return &fixture->frame;
}

static Slice
text(const char *words)
{
    return slice_from_string(words);
}

static void
assert_text(Slice slice, const char *words)
{
    assert_true(slice_equal(slice, slice_from_string(words)));
}

static void
a_frame_of_unknown_type_or_without_a_tag_is_refused(void **state)
{
    Frame frame;

    assert_false(frame_decode(slice_make("\0\1\2\3\4", 5), &frame));
    assert_false(frame_decode(slice_make("\xFF\1\2\3\4", 5), &frame));
    assert_false(frame_decode(slice_make("\3\1\2\3", 4), &frame));
    assert_false(frame_decode(SLICE_EMPTY, &frame));
    for (int type = 1; type < FRAME_TYPE_END; type++)
    {
        uint8_t bytes[5] = {(uint8_t)type, 1, 2, 3, 4};

        assert_true(frame_decode(slice_make(bytes, 5), &frame));
        assert_non_null(frame_type_name(frame.type));
    }
}

static void
clients_may_ask_but_neither_answer_nor_speak_for_nodes(void **state)
{
    static const FrameType for_clients[] = {
        FRAME_TOPOLOGY_FETCH, FRAME_READ,        FRAME_WRITE,  FRAME_SCAN,
        FRAME_BUCKET_CREATE,  FRAME_NODE_STATUS, FRAME_REPAIR, FRAME_REPAIR_STATUS,
        FRAME_BUCKET_DROP,    FRAME_PLAN};

    for (int type = 1; type < FRAME_TYPE_END; type++)
    {
        bool expected = false;

        for (size_t i = 0; i < sizeof(for_clients) / sizeof(for_clients[0]); i++)
            expected |= for_clients[i] == (FrameType)type;
        assert_int_equal(frame_is_for_clients((FrameType)type), expected);
        assert_int_equal(frame_is_for_admins((FrameType)type),
                         type == FRAME_REPAIR || type == FRAME_BUCKET_DROP || type == FRAME_PLAN);
    }
}

static void
a_change_of_the_plan_comes_back(void **state)
{
    Fixture *fixture = *state;
    PlanFrame plan = {
        .deed = PLAN_STAGE,
        .change = {.kind = STAGED_ADDRESS, .zone = "", .address = "::1", .port = 7101},
        .node = "n1",
        .with = ""
    };
    PlanFrame decoded;

    plan_frame_encode(&fixture->buffer, TAG, &plan);
    assert_true(plan_frame_decode(take(fixture, FRAME_PLAN), &fixture->arena, &decoded));
    assert_int_equal(decoded.deed, PLAN_STAGE);
    assert_string_equal(decoded.node, "n1");
    assert_true(topology_staged_equals(&decoded.change, &plan.change));
}

static void
an_error_comes_back(void **state)
{
    Fixture *fixture = *state;
    ErrorFrame error;

    error_encode(&fixture->buffer, TAG, STATUS_BAD_KEY, "not that key");
    assert_true(error_decode(take(fixture, FRAME_ERROR), &error));
    assert_int_equal(error.status, STATUS_BAD_KEY);
    assert_text(error.message, "not that key");
}

static void
an_unknown_status_reads_as_a_bad_frame(void **state)
{
    Fixture *fixture = *state;
    ErrorFrame error;

    error_encode(&fixture->buffer, TAG, (StatusCode)200, "from a newer node");
    assert_true(error_decode(take(fixture, FRAME_ERROR), &error));
    assert_int_equal(error.status, STATUS_BAD_FRAME);
}

static void
a_topology_fetch_and_its_answer_come_back(void **state)
{
    Fixture *fixture = *state;
    TopologyFetch fetch = {.have_epoch = UINT64_MAX};
    TopologyFrame topology = {.epoch = 9, .document = text("document")};

    topology_fetch_encode(&fixture->buffer, TAG, &fetch);
    fetch.have_epoch = 0;
    assert_true(topology_fetch_decode(take(fixture, FRAME_TOPOLOGY_FETCH), &fetch));
    assert_true(fetch.have_epoch == UINT64_MAX);
    buffer_reset(&fixture->buffer);
    topology_frame_encode(&fixture->buffer, TAG, &topology);
    topology = (TopologyFrame){0};
    assert_true(topology_frame_decode(take(fixture, FRAME_TOPOLOGY), &topology));
    assert_int_equal(topology.epoch, 9);
    assert_text(topology.document, "document");
}

static void
a_read_comes_back(void **state)
{
    Fixture *fixture = *state;
    Slice keys[] = {text("a"), text("bc"), SLICE_EMPTY};
    ReadFrame read = {.epoch = 300,
                      .bucket_id = 7,
                      .mode = READ_COORDINATED,
                      .r = 2,
                      .timeout_ms = 5000,
                      .seal = true,
                      .keys = keys,
                      .key_count = 3};

    read_encode(&fixture->buffer, TAG, &read);
    read = (ReadFrame){0};
    assert_true(read_decode(take(fixture, FRAME_READ), &fixture->arena, &read));
    assert_int_equal(read.epoch, 300);
    assert_int_equal(read.bucket_id, 7);
    assert_int_equal(read.mode, READ_COORDINATED);
    assert_int_equal(read.r, 2);
    assert_int_equal(read.timeout_ms, 5000);
    assert_true(read.seal);
    assert_int_equal(read.key_count, 3);
    assert_text(read.keys[1], "bc");
    assert_int_equal(read.keys[2].length, 0);
}

static void
a_full_read_reply_comes_back_with_the_digests_of_its_objects(void **state)
{
    Fixture *fixture = *state;
    ReadItem items[] = {
        {.status = STATUS_OK,
         .object = text("object"),
         .context = text("sealed"),
         .round = 300,
         .floor = 200},
        {.status = STATUS_OK},
        {.status = STATUS_UNAVAILABLE             }
    };
    ReadReply reply = {.mode = READ_FULL, .items = items, .item_count = 3};
    Digest expected = digest_of(text("object"));

    read_reply_encode(&fixture->buffer, TAG, &reply);
    assert_true(read_reply_decode(take(fixture, FRAME_READ_REPLY), &fixture->arena, &reply));
    assert_int_equal(reply.item_count, 3);
    assert_text(reply.items[0].object, "object");
    assert_text(reply.items[0].context, "sealed");
    assert_int_equal(reply.items[0].round, 300);
    assert_int_equal(reply.items[0].floor, 200);
    assert_true(digest_equal(&reply.items[0].digest, &expected));
    assert_true(digest_equal(&reply.items[1].digest, &DIGEST_ABSENT));
    assert_int_equal(reply.items[2].status, STATUS_UNAVAILABLE);
}

static void
a_digest_reply_carries_digests_alone(void **state)
{
    Fixture *fixture = *state;
    ReadItem items[] = {
        {.status = STATUS_OK, .object = text("object"), .digest = {{1, 2}}},
        {.status = STATUS_CORRUPT}
    };
    ReadReply reply = {.mode = READ_DIGEST, .items = items, .item_count = 2};

    read_reply_encode(&fixture->buffer, TAG, &reply);
    assert_true(read_reply_decode(take(fixture, FRAME_READ_REPLY), &fixture->arena, &reply));
    assert_int_equal(reply.mode, READ_DIGEST);
    assert_int_equal(reply.items[0].object.length, 0);
    assert_memory_equal(reply.items[0].digest.bytes, items[0].digest.bytes, sizeof(Digest));
    assert_int_equal(reply.items[1].status, STATUS_CORRUPT);
}

static void
a_part_comes_back(void **state)
{
    Fixture *fixture = *state;
    ChunkFrame chunk = {.last = true, .piece = text("piece")};

    chunk_encode(&fixture->buffer, TAG, &chunk);
    chunk = (ChunkFrame){0};
    assert_true(chunk_decode(take(fixture, FRAME_CHUNK), &chunk));
    assert_true(chunk.last);
    assert_text(chunk.piece, "piece");
}

static void
a_write_and_its_reply_come_back(void **state)
{
    Fixture *fixture = *state;
    PutValue values[] = {
        {.request = {{1}}, .value = text("v")},
        {.request = {{2}}, .tombstone = true }
    };
    WriteItem first = {.key = text("k"), .context = text("c"), .values = values, .value_count = 2};
    WriteItem second = {.key = text("l"), .values = values, .value_count = 1};
    WriteItem items[] = {first, second};
    WriteFrame write = {.epoch = 1,
                        .bucket_id = 2,
                        .w = 2,
                        .timeout_ms = 100,
                        .retry = true,
                        .items = items,
                        .item_count = 2};
    WriteResult results[] = {
        {STATUS_OK,      7, 26},
        {STATUS_UNKNOWN, 0, 0 }
    };
    WriteReply reply = {.items = results, .item_count = 2};

    write_encode(&fixture->buffer, TAG, &write);
    write = (WriteFrame){0};
    assert_true(write_decode(take(fixture, FRAME_WRITE), &fixture->arena, &write));
    assert_true(write.retry);
    assert_int_equal(write.item_count, 2);
    assert_text(write.items[0].context, "c");
    assert_int_equal(write.items[0].value_count, 2);
    assert_true(write.items[0].values[1].tombstone);
    assert_text(write.items[1].values[0].value, "v");
    buffer_reset(&fixture->buffer);
    write_reply_encode(&fixture->buffer, TAG, &reply);
    reply = (WriteReply){0};
    assert_true(write_reply_decode(take(fixture, FRAME_WRITE_REPLY), &fixture->arena, &reply));
    assert_int_equal(reply.items[0].acked, 7);
    assert_int_equal(reply.items[0].siblings, 26);
    assert_int_equal(reply.items[1].status, STATUS_UNKNOWN);
}

static bool
write_is_taken(Fixture *fixture, PutValue *values, uint32_t value_count)
{
    WriteItem item = {.key = text("k"), .values = values, .value_count = value_count};
    WriteFrame write = {.items = &item, .item_count = 1};

    buffer_reset(&fixture->buffer);
    write_encode(&fixture->buffer, TAG, &write);
    assert_true(frame_decode(buffer_slice(&fixture->buffer), &fixture->frame));
    return write_decode(&fixture->frame, &fixture->arena, &write);
}

static void
a_write_that_could_not_be_stamped_is_refused(void **state)
{
    Fixture *fixture = *state;
    PutValue twice[] = {{.request = {{1}}}, {.request = {{1}}}};
    PutValue tombstone = {.request = {{1}}, .tombstone = true, .value = text("v")};

    assert_true(write_is_taken(fixture, twice, 1));
    assert_false(write_is_taken(fixture, twice, 2));
    assert_false(write_is_taken(fixture, twice, 0));
    assert_false(write_is_taken(fixture, &tombstone, 1));
}

static void
a_scan_comes_back(void **state)
{
    Fixture *fixture = *state;
    ScanFrame scan = {.epoch = 1,
                      .bucket_id = 2,
                      .partition = 255,
                      .digest_only = true,
                      .after = text("after"),
                      .through = text("through"),
                      .max_bytes = 65536};

    scan_encode(&fixture->buffer, TAG, &scan);
    scan = (ScanFrame){0};
    assert_true(scan_decode(take(fixture, FRAME_SCAN), &scan));
    assert_int_equal(scan.partition, 255);
    assert_true(scan.digest_only);
    assert_false(scan.seal);
    assert_text(scan.after, "after");
    assert_text(scan.through, "through");
    assert_int_equal(scan.max_bytes, 65536);
}

static void
scan_replies_come_back_with_and_without_rows(void **state)
{
    Fixture *fixture = *state;
    ScanRow rows[] = {
        {.key = text("k"), .object = text("o"), .context = text("c")},
        {.key = text("l"),                .object = text("p")                   }
    };
    ScanReply reply = {.status = STATUS_OK,
                       .done = true,
                       .last = text("l"),
                       .digest = {{7}},
                       .row_count = 2,
                       .rows = rows};

    scan_reply_encode(&fixture->buffer, TAG, &reply);
    reply = (ScanReply){0};
    assert_true(scan_reply_decode(take(fixture, FRAME_SCAN_REPLY), &fixture->arena, &reply));
    assert_int_equal(reply.row_count, 2);
    assert_true(reply.done);
    assert_text(reply.rows[0].context, "c");
    assert_text(reply.rows[1].object, "p");
    reply.rows = NULL;
    reply.row_count = 1000000;
    buffer_reset(&fixture->buffer);
    scan_reply_encode(&fixture->buffer, TAG, &reply);
    assert_true(scan_reply_decode(take(fixture, FRAME_SCAN_REPLY), &fixture->arena, &reply));
    assert_int_equal(reply.row_count, 1000000);
    assert_null(reply.rows);
    assert_int_equal(reply.digest.bytes[0], 7);
}

static void
equal_objects_under_two_keys_do_not_cancel_out(void **state)
{
    Digest a = message_row_digest(text("a"), text("object"));
    Digest b = message_row_digest(text("b"), text("object"));

    digest_mix(&a, &b);
    assert_false(digest_equal(&a, &DIGEST_ABSENT));
}

static void
a_bucket_comes_back(void **state)
{
    Fixture *fixture = *state;
    BucketColumn columns[] = {
        {"items", "jsonb"},
        {"note",  "text" }
    };
    Bucket bucket = {
        .id = 3,
        .name = "cart",
        .n = 3,
        .key_types = {KEY_UUID, KEY_DATE},
        .key_names = {"id",     "day"   },
        .key_count = 2,
        .columns = columns,
        .column_count = 2
    };

    bucket_create_encode(&fixture->buffer, TAG, &bucket);
    bucket = (Bucket){0};
    assert_true(bucket_create_decode(take(fixture, FRAME_BUCKET_CREATE), &fixture->arena, &bucket));
    assert_int_equal(bucket.id, 3);
    assert_string_equal(bucket.name, "cart");
    assert_int_equal(bucket.key_types[1], KEY_DATE);
    assert_string_equal(bucket.key_names[1], "day");
    assert_string_equal(bucket.columns[1].type, "text");
}

static void
a_nodes_status_comes_back(void **state)
{
    Fixture *fixture = *state;
    MemberId reachable[] = {MEMBER, OTHER};
    NodeStatus status = {.id = MEMBER,
                         .name = text("n1"),
                         .epoch = 4,
                         .uptime_ms = 1000,
                         .rss_bytes = 1 << 30,
                         .disk_bytes = 77,
                         .keys_estimate = 88,
                         .disk = DISK_FULL,
                         .disk_why = text("no room"),
                         .reachable = reachable,
                         .reachable_count = 2};

    node_status_fetch_encode(&fixture->buffer, TAG);
    take(fixture, FRAME_NODE_STATUS);
    buffer_reset(&fixture->buffer);
    node_status_encode(&fixture->buffer, TAG, &status);
    status = (NodeStatus){0};
    assert_true(
        node_status_decode(take(fixture, FRAME_NODE_STATUS_REPLY), &fixture->arena, &status));
    assert_text(status.name, "n1");
    assert_int_equal(status.rss_bytes, 1 << 30);
    assert_int_equal(status.keys_estimate, 88);
    assert_int_equal(status.disk, DISK_FULL);
    assert_text(status.disk_why, "no room");
    assert_int_equal(status.reachable_count, 2);
    assert_memory_equal(&status.reachable[1], &OTHER, sizeof(OTHER));
}

static void
a_repair_and_its_answer_come_back(void **state)
{
    Fixture *fixture = *state;
    RepairFrame repair = {.epoch = 6, .bucket_id = 3, .is_of_member = true, .member = OTHER};
    RepairReply reply = {.queued = 300};

    repair_encode(&fixture->buffer, TAG, &repair);
    repair = (RepairFrame){0};
    assert_true(repair_decode(take(fixture, FRAME_REPAIR), &repair));
    assert_int_equal(repair.epoch, 6);
    assert_int_equal(repair.bucket_id, 3);
    assert_true(repair.is_of_member);
    assert_memory_equal(&repair.member, &OTHER, sizeof(OTHER));
    buffer_reset(&fixture->buffer);
    repair_encode(&fixture->buffer, TAG, &(RepairFrame){.epoch = 6});
    assert_true(repair_decode(take(fixture, FRAME_REPAIR), &repair));
    assert_false(repair.is_of_member);
    buffer_reset(&fixture->buffer);
    repair_reply_encode(&fixture->buffer, TAG, &reply);
    reply = (RepairReply){0};
    assert_true(repair_reply_decode(take(fixture, FRAME_REPAIR_REPLY), &reply));
    assert_int_equal(reply.queued, 300);
}

static void
the_status_of_repairs_comes_back(void **state)
{
    Fixture *fixture = *state;
    RepairStatus rows[] = {
        {.peer = OTHER,
         .bucket_id = 3,
         .partition = 255,
         .state = REPAIR_MENDING,
         .compared_ms = 1,
         .equal_ms = 2,
         .differences = 3,
         .mended_here = 4,
         .mended_there = 5,
         .bytes_sent = 6,
         .bytes_received = UINT64_MAX,
         .parts_done = 7,
         .parts_total = 8,
         .time_left_ms = 9,
         .failure = STATUS_UNAVAILABLE},
        {.peer = MEMBER}
    };
    RepairStatusFetch fetch = {.first = 1024};
    RepairStatusReply reply = {.total = 1026, .rows = rows, .row_count = 2};

    repair_status_fetch_encode(&fixture->buffer, TAG, &fetch);
    fetch = (RepairStatusFetch){0};
    assert_true(repair_status_fetch_decode(take(fixture, FRAME_REPAIR_STATUS), &fetch));
    assert_int_equal(fetch.first, 1024);
    buffer_reset(&fixture->buffer);
    repair_status_encode(&fixture->buffer, TAG, &reply);
    reply = (RepairStatusReply){0};
    assert_true(
        repair_status_decode(take(fixture, FRAME_REPAIR_STATUS_REPLY), &fixture->arena, &reply));
    assert_int_equal(reply.total, 1026);
    assert_int_equal(reply.row_count, 2);
    assert_memory_equal(&reply.rows[0].peer, &OTHER, sizeof(OTHER));
    assert_int_equal(reply.rows[0].partition, 255);
    assert_int_equal(reply.rows[0].state, REPAIR_MENDING);
    assert_int_equal(reply.rows[0].mended_there, 5);
    assert_true(reply.rows[0].bytes_received == UINT64_MAX);
    assert_int_equal(reply.rows[0].parts_total, 8);
    assert_int_equal(reply.rows[0].failure, STATUS_UNAVAILABLE);
    assert_memory_equal(&reply.rows[1].peer, &MEMBER, sizeof(MEMBER));
    assert_int_equal(reply.rows[1].state, REPAIR_IDLE);
}

static void
a_page_of_repairs_with_more_rows_than_there_are_is_refused(void **state)
{
    Fixture *fixture = *state;
    RepairStatus row = {.peer = OTHER};
    RepairStatusReply reply = {.total = 0, .rows = &row, .row_count = 1};
    Frame frame;

    repair_status_encode(&fixture->buffer, TAG, &reply);
    assert_true(frame_decode(buffer_slice(&fixture->buffer), &frame));
    assert_false(repair_status_decode(&frame, &fixture->arena, &reply));
}

static void
replicas_and_their_results_come_back(void **state)
{
    Fixture *fixture = *state;
    ReplicateItem items[] = {
        {.ref = 1,          .placed = 4,    .bucket_id = 2, .key = text("k"), .object = text("o")},
        {.ref = UINT64_MAX, .bucket_id = 3, .round = 400,   .key = text("l"), .object = text("p")}
    };
    ReplicateFrame replicate = {.epoch = 5, .items = items, .item_count = 2};
    ReplicateResult results[] = {
        {1,          STATUS_OK,          0  },
        {UINT64_MAX, STATUS_STORAGE,     0  },
        {3,          STATUS_STALE_ROUND, 500}
    };
    ReplicateReply reply = {.items = results, .item_count = 3};

    replicate_encode(&fixture->buffer, TAG, &replicate);
    assert_true(replicate_decode(take(fixture, FRAME_REPLICATE), &fixture->arena, &replicate));
    assert_int_equal(replicate.epoch, 5);
    assert_int_equal(replicate.items[0].placed, 4);
    assert_true(replicate.items[1].ref == UINT64_MAX);
    assert_text(replicate.items[1].object, "p");
    assert_int_equal(replicate.items[1].round, 400);
    buffer_reset(&fixture->buffer);
    replicate_reply_encode(&fixture->buffer, TAG, &reply);
    assert_true(
        replicate_reply_decode(take(fixture, FRAME_REPLICATE_REPLY), &fixture->arena, &reply));
    assert_int_equal(reply.items[1].status, STATUS_STORAGE);
    assert_int_equal(reply.items[2].status, STATUS_STALE_ROUND);
    assert_int_equal(reply.items[2].round, 500);
}

/* The coordinator gathers items one by one; the frame must be the one of the struct. */
static void
gathered_items_make_the_same_replicate_frame(void **state)
{
    Fixture *fixture = *state;
    ReplicateItem items[] = {
        {.ref = 1, .bucket_id = 2, .key = text("k"), .object = text("o")},
        {.ref = 2, .bucket_id = 2, .key = text("l"), .object = text("p")}
    };
    ReplicateFrame replicate = {.epoch = 5, .items = items, .item_count = 2};
    Buffer gathered;
    Buffer frame;

    buffer_init(&gathered, &MEMORY_HEAP);
    buffer_init(&frame, &MEMORY_HEAP);
    replicate_encode(&fixture->buffer, TAG, &replicate);
    for (int i = 0; i < 2; i++)
        replicate_item_encode(&gathered, &items[i]);
    replicate_encode_items(&frame, TAG, 5, 2, buffer_slice(&gathered));
    assert_true(slice_equal(buffer_slice(&frame), buffer_slice(&fixture->buffer)));
    buffer_free(&gathered);
    buffer_free(&frame);
}

static void
gathered_results_make_the_same_reply_frame(void **state)
{
    Fixture *fixture = *state;
    ReplicateResult results[] = {
        {1, STATUS_OK,          0},
        {2, STATUS_STALE_ROUND, 8}
    };
    ReplicateReply reply = {.items = results, .item_count = 2};
    Buffer gathered;
    Buffer frame;

    buffer_init(&gathered, &MEMORY_HEAP);
    buffer_init(&frame, &MEMORY_HEAP);
    replicate_reply_encode(&fixture->buffer, TAG, &reply);
    for (int i = 0; i < 2; i++)
        replicate_result_encode(&gathered, &results[i]);
    replicate_reply_encode_items(&frame, TAG, 2, buffer_slice(&gathered));
    assert_true(slice_equal(buffer_slice(&frame), buffer_slice(&fixture->buffer)));
    buffer_free(&gathered);
    buffer_free(&frame);
}

static void
hellos_come_back(void **state)
{
    static const FrameType types[] = {FRAME_HELLO, FRAME_HELLO_REPLY};
    Fixture *fixture = *state;
    HelloFrame hello = {
        .id = MEMBER,
        .name = text("n1"),
        .address = text("127.0.0.1"),
        .port = 7101,
        .zone = text("east"),
        .weight = 2,
        .partitions = 256,
        .epoch = 3,
        .cluster = {5,        6         },
        .seeds = text("127.0.0.1:7101"),
        .data = {{{1, 2}}, 77        },
        .data_state = DATA_REFILLING,
        .remembered = {{{3}},    UINT64_MAX},
        .disk = DISK_FAILED,
        .disk_why = text("it is gone"),
        .ready = true,
        .done = text("\x81\x02")
    };

    for (int i = 0; i < 2; i++)
    {
        HelloFrame decoded;

        buffer_reset(&fixture->buffer);
        hello_encode(&fixture->buffer, types[i], TAG, &hello);
        assert_true(hello_decode(take(fixture, types[i]), &decoded));
        assert_memory_equal(&decoded.id, &MEMBER, sizeof(MEMBER));
        assert_text(decoded.address, "127.0.0.1");
        assert_int_equal(decoded.port, 7101);
        assert_text(decoded.zone, "east");
        assert_int_equal(decoded.weight, 2);
        assert_int_equal(decoded.partitions, 256);
        assert_int_equal(decoded.epoch, 3);
        assert_memory_equal(decoded.cluster, hello.cluster, sizeof(hello.cluster));
        assert_text(decoded.seeds, "127.0.0.1:7101");
        assert_memory_equal(&decoded.data.run, &hello.data.run, sizeof(RunId));
        assert_int_equal(decoded.data.commits, 77);
        assert_int_equal(decoded.data_state, DATA_REFILLING);
        assert_memory_equal(&decoded.remembered.run, &hello.remembered.run, sizeof(RunId));
        assert_true(decoded.remembered.commits == UINT64_MAX);
        assert_int_equal(decoded.disk, DISK_FAILED);
        assert_text(decoded.disk_why, "it is gone");
        assert_true(decoded.ready);
        assert_text(decoded.done, "\x81\x02");
    }
}

/* A bit for each partition that there can be, and no more. */
static void
a_hello_speaks_of_no_more_partitions_than_there_can_be(void **state)
{
    static const uint8_t bits[RING_PARTITIONS_MAX / 8 + 1];
    Fixture *fixture = *state;

    for (size_t over = 0; over < 2; over++)
    {
        HelloFrame hello = {.id = MEMBER, .done = slice_make(bits, sizeof(bits) - 1 + over)};
        HelloFrame decoded;
        Frame frame;

        buffer_reset(&fixture->buffer);
        hello_encode(&fixture->buffer, FRAME_HELLO, TAG, &hello);
        assert_true(frame_decode(buffer_slice(&fixture->buffer), &frame));
        assert_true(hello_decode(&frame, &decoded) == (over == 0));
    }
}

static void
paxos_frames_come_back(void **state)
{
    static const FrameType types[] = {FRAME_PREPARE, FRAME_PROMISE, FRAME_ACCEPT, FRAME_ACCEPTED,
                                      FRAME_CHOSEN};
    Fixture *fixture = *state;
    PaxosFrame paxos = {
        .epoch = 1,
        .ballot = {.round = 2, .proposer = MEMBER},
        .ok = true,
        .promised = {.round = 3, .proposer = OTHER },
        .accepted = {.round = 1, .proposer = OTHER },
        .document = text("document")
    };

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
    {
        PaxosFrame decoded;

        buffer_reset(&fixture->buffer);
        paxos_frame_encode(&fixture->buffer, types[i], TAG, &paxos);
        assert_true(paxos_frame_decode(take(fixture, types[i]), &decoded));
        assert_int_equal(ballot_compare(&decoded.ballot, &paxos.ballot), 0);
        assert_int_equal(ballot_compare(&decoded.promised, &paxos.promised), 0);
        assert_int_equal(ballot_compare(&decoded.accepted, &paxos.accepted), 0);
        assert_true(decoded.ok);
        assert_text(decoded.document, "document");
    }
}

static void
ballots_order_by_round_then_proposer(void **state)
{
    Ballot low = {.round = 1, .proposer = OTHER};
    Ballot middle = {.round = 2, .proposer = MEMBER};
    Ballot high = {.round = 2, .proposer = OTHER};

    assert_true(ballot_compare(&low, &middle) < 0);
    assert_true(ballot_compare(&middle, &high) < 0);
    assert_true(ballot_compare(&high, &low) > 0);
    assert_int_equal(ballot_compare(&high, &high), 0);
}

static const Digest DIGEST = {
    {9, 8, 7}
};

static void
tree_roots_and_which_of_them_differ_come_back(void **state)
{
    Fixture *fixture = *state;
    TreeRoot items[] = {
        {.bucket_id = 1, .partition = 2,   .digest = DIGEST       },
        {.bucket_id = 3, .partition = 255, .digest = DIGEST_ABSENT}
    };
    TreeRootsFrame roots = {.epoch = 5, .asker = MEMBER, .roots = items, .root_count = 2};
    TreeDifference differences[] = {
        {.index = 0, .depth = 8, .status = STATUS_OK       },
        {.index = 1, .depth = 0, .status = STATUS_NOT_OWNER}
    };
    TreeRootsReply reply = {.items = differences, .item_count = 2};

    tree_roots_encode(&fixture->buffer, TAG, &roots);
    assert_true(tree_roots_decode(take(fixture, FRAME_TREE_ROOTS), &fixture->arena, &roots));
    assert_int_equal(roots.epoch, 5);
    assert_memory_equal(&roots.asker, &MEMBER, sizeof(MEMBER));
    assert_int_equal(roots.roots[1].bucket_id, 3);
    assert_int_equal(roots.roots[1].partition, 255);
    assert_true(digest_equal(&roots.roots[0].digest, &DIGEST));
    buffer_reset(&fixture->buffer);
    tree_roots_reply_encode(&fixture->buffer, TAG, &reply);
    assert_true(
        tree_roots_reply_decode(take(fixture, FRAME_TREE_ROOTS_REPLY), &fixture->arena, &reply));
    assert_int_equal(reply.items[0].depth, 8);
    assert_int_equal(reply.items[1].index, 1);
    assert_int_equal(reply.items[1].status, STATUS_NOT_OWNER);
}

static void
roots_are_answered_in_their_order(void **state)
{
    Fixture *fixture = *state;
    TreeDifference twice[] = {{.index = 4}, {.index = 4}};
    TreeRootsReply reply = {.items = twice, .item_count = 2};

    tree_roots_reply_encode(&fixture->buffer, TAG, &reply);
    assert_true(frame_decode(buffer_slice(&fixture->buffer), &fixture->frame));
    assert_false(tree_roots_reply_decode(&fixture->frame, &fixture->arena, &reply));
}

static void
levels_of_trees_come_back(void **state)
{
    Fixture *fixture = *state;
    uint32_t prefixes[] = {0, 300};
    TreeLevelFrame level = {.epoch = 5,
                            .bucket_id = 1,
                            .partition = 7,
                            .depth = 9,
                            .child_bits = 1,
                            .prefixes = prefixes,
                            .prefix_count = 2};
    Digest digests[] = {DIGEST, DIGEST_ABSENT, DIGEST, DIGEST};
    TreeLevelReply reply = {.digests = digests, .digest_count = 4};

    tree_level_encode(&fixture->buffer, TAG, &level);
    assert_true(tree_level_decode(take(fixture, FRAME_TREE_LEVEL), &fixture->arena, &level));
    assert_int_equal(level.partition, 7);
    assert_int_equal(level.depth, 9);
    assert_int_equal(level.prefixes[1], 300);
    level.child_bits = 0;
    buffer_reset(&fixture->buffer);
    tree_level_encode(&fixture->buffer, TAG, &level);
    assert_true(frame_decode(buffer_slice(&fixture->buffer), &fixture->frame));
    assert_false(tree_level_decode(&fixture->frame, &fixture->arena, &level));
    buffer_reset(&fixture->buffer);
    tree_level_reply_encode(&fixture->buffer, TAG, &reply);
    assert_true(
        tree_level_reply_decode(take(fixture, FRAME_TREE_LEVEL_REPLY), &fixture->arena, &reply));
    assert_int_equal(reply.digest_count, 4);
    assert_true(digest_equal(&reply.digests[1], &DIGEST_ABSENT));
}

static void
keys_of_a_leaf_come_back(void **state)
{
    Fixture *fixture = *state;
    TreeKeysFrame keys = {.epoch = 5,
                          .bucket_id = 1,
                          .first_position = 16,
                          .last_position = UINT64_MAX,
                          .after = text("after"),
                          .max_bytes = 1000};
    TreeKey items[] = {
        {.key = text("k"), .digest = DIGEST       },
        {.key = text("l"), .digest = DIGEST_ABSENT}
    };
    TreeKeysReply reply = {.last = text("last"), .keys = items, .key_count = 2};

    tree_keys_encode(&fixture->buffer, TAG, &keys);
    assert_true(tree_keys_decode(take(fixture, FRAME_TREE_KEYS), &keys));
    assert_int_equal(keys.first_position, 16);
    assert_true(keys.last_position == UINT64_MAX);
    assert_text(keys.after, "after");
    assert_int_equal(keys.max_bytes, 1000);
    buffer_reset(&fixture->buffer);
    tree_keys_reply_encode(&fixture->buffer, TAG, &reply);
    assert_true(
        tree_keys_reply_decode(take(fixture, FRAME_TREE_KEYS_REPLY), &fixture->arena, &reply));
    assert_false(reply.done);
    assert_text(reply.last, "last");
    assert_text(reply.keys[1].key, "l");
    assert_true(digest_equal(&reply.keys[0].digest, &DIGEST));
}

static void
versions_and_the_verdicts_on_them_come_back(void **state)
{
    Fixture *fixture = *state;
    Dot entries[] = {
        {.actor = {{1}}, .epoch = 1, .counter = 3},
        {.actor = {{2}}, .epoch = 1, .counter = 9}
    };
    VersionItem items[] = {
        {.key = text("k"), .digest = DIGEST       },
        {.key = text("l"), .digest = DIGEST_ABSENT}
    };
    VersionsFrame versions = {.epoch = 5, .bucket_id = 1, .items = items, .item_count = 2};
    VersionAnswer answers[] = {
        {.verdict = VERSION_EQUAL},
        {.verdict = VERSION_TAKE,  .object = text("object")},
        {.verdict = VERSION_GIVE                       },
        {.verdict = VERSION_BOTH, .object = text("other")},
        {.verdict = VERSION_LATER},
        {.verdict = VERSION_FAILED}
    };
    VersionsReply reply = {.items = answers, .item_count = 6};

    items[0].version = (Version){
        .context = {.entries = entries, .count = 2},
          .dots = &entries[1], .dot_count = 1
    };
    versions_encode(&fixture->buffer, TAG, &versions);
    assert_true(versions_decode(take(fixture, FRAME_VERSIONS), &fixture->arena, &versions));
    assert_text(versions.items[0].key, "k");
    assert_int_equal(versions.items[0].version.context.count, 2);
    assert_int_equal(dot_compare(&versions.items[0].version.dots[0], &entries[1]), 0);
    assert_int_equal(versions.items[1].version.context.count, 0);
    buffer_reset(&fixture->buffer);
    versions_reply_encode(&fixture->buffer, TAG, &reply);
    assert_true(
        versions_reply_decode(take(fixture, FRAME_VERSIONS_REPLY), &fixture->arena, &reply));
    assert_int_equal(reply.item_count, 6);
    assert_text(reply.items[1].object, "object");
    assert_int_equal(reply.items[2].object.length, 0);
    assert_int_equal(reply.items[5].verdict, VERSION_FAILED);
}

static void
frames_of_reaping_come_back(void **state)
{
    Fixture *fixture = *state;
    ReapPrepareFrame prepare = {.epoch = 4, .bucket_id = 2, .partition = 200, .round = 300};
    ReapPrepareReply reply = {
        .verdict = REAP_HINTS, .cleared = 9, .root = {{1, 2}}, .actor = {{3, 4}}};
    ReapRaiseFrame raise = {.epoch = 5, .bucket_id = 2, .partition = 7, .round = 300};
    Actor live[] = {{{5}}, {{6}}};
    ReapRow row = {.key = text("k"), .digest = {{7}}, .dead = true};
    ReapRowsFrame rows = {.epoch = 6,
                          .bucket_id = 2,
                          .partition = 7,
                          .round = 8,
                          .live = live,
                          .live_count = 2,
                          .rows = &row,
                          .row_count = 1};
    ReapDone done = {.ok = true, .changed = 3};

    reap_prepare_encode(&fixture->buffer, TAG, &prepare);
    assert_true(reap_prepare_decode(take(fixture, FRAME_REAP_PREPARE), &prepare));
    assert_int_equal(prepare.partition, 200);
    assert_int_equal(prepare.round, 300);
    buffer_reset(&fixture->buffer);
    reap_prepare_reply_encode(&fixture->buffer, TAG, &reply);
    assert_true(reap_prepare_reply_decode(take(fixture, FRAME_REAP_PREPARE_REPLY), &reply));
    assert_int_equal(reply.verdict, REAP_HINTS);
    assert_int_equal(reply.cleared, 9);
    assert_int_equal(reply.actor.id[1], 4);
    buffer_reset(&fixture->buffer);
    reap_raise_encode(&fixture->buffer, TAG, &raise);
    assert_true(reap_raise_decode(take(fixture, FRAME_REAP_RAISE), &raise));
    assert_int_equal(raise.round, 300);
    assert_int_equal(raise.epoch, 5);
    buffer_reset(&fixture->buffer);
    reap_rows_encode(&fixture->buffer, TAG, &rows);
    assert_true(reap_rows_decode(take(fixture, FRAME_REAP_ROWS), &fixture->arena, &rows));
    assert_int_equal(rows.live_count, 2);
    assert_int_equal(rows.epoch, 6);
    assert_int_equal(rows.live[1].id[0], 6);
    assert_text(rows.rows[0].key, "k");
    assert_int_equal(rows.rows[0].digest.bytes[0], 7);
    assert_true(rows.rows[0].dead);
    buffer_reset(&fixture->buffer);
    reap_done_encode(&fixture->buffer, TAG, &done);
    assert_true(reap_done_decode(take(fixture, FRAME_REAP_DONE), &done));
    assert_true(done.ok);
    assert_int_equal(done.changed, 3);
}

static void
how_far_reaping_has_come_comes_back(void **state)
{
    Fixture *fixture = *state;
    ReapRoundsFrame asked = {.epoch = 4, .bucket_id = 2};
    ReapRound items[] = {
        {1,   2,   3  },
        {300, 400, 500}
    };
    ReapRoundsReply reply = {.whole = true, .items = items, .item_count = 2};
    ReapNotice notice = {.bucket_id = 2, .position = UINT64_MAX, .round = 300};

    reap_notice_encode(&fixture->buffer, TAG, &notice);
    assert_true(reap_notice_decode(take(fixture, FRAME_REAP_NOTICE), &notice));
    assert_true(notice.position == UINT64_MAX);
    assert_int_equal(notice.round, 300);
    buffer_reset(&fixture->buffer);
    reap_rounds_encode(&fixture->buffer, TAG, &asked);
    assert_true(reap_rounds_decode(take(fixture, FRAME_REAP_ROUNDS), &asked));
    assert_int_equal(asked.bucket_id, 2);
    buffer_reset(&fixture->buffer);
    reap_rounds_reply_encode(&fixture->buffer, TAG, &reply);
    assert_true(
        reap_rounds_reply_decode(take(fixture, FRAME_REAP_ROUNDS_REPLY), &fixture->arena, &reply));
    assert_true(reply.whole);
    assert_int_equal(reply.item_count, 2);
    assert_int_equal(reply.items[1].partition, 300);
    assert_int_equal(reply.items[1].round, 400);
    assert_int_equal(reply.items[1].cleared, 500);
}

static void
a_verdict_that_is_none_is_refused(void **state)
{
    Fixture *fixture = *state;
    ReapPrepareReply reply = {.verdict = REAP_VERDICTS};
    Frame frame;

    reap_prepare_reply_encode(&fixture->buffer, TAG, &reply);
    assert_true(frame_decode(buffer_slice(&fixture->buffer), &frame));
    assert_false(reap_prepare_reply_decode(&frame, &reply));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_frame_of_unknown_type_or_without_a_tag_is_refused),
        TEST(clients_may_ask_but_neither_answer_nor_speak_for_nodes),
        TEST(a_change_of_the_plan_comes_back),
        TEST(an_error_comes_back),
        TEST(an_unknown_status_reads_as_a_bad_frame),
        TEST(a_topology_fetch_and_its_answer_come_back),
        TEST(a_read_comes_back),
        TEST(a_full_read_reply_comes_back_with_the_digests_of_its_objects),
        TEST(a_digest_reply_carries_digests_alone),
        TEST(a_part_comes_back),
        TEST(a_write_and_its_reply_come_back),
        TEST(a_write_that_could_not_be_stamped_is_refused),
        TEST(a_scan_comes_back),
        TEST(scan_replies_come_back_with_and_without_rows),
        TEST(equal_objects_under_two_keys_do_not_cancel_out),
        TEST(a_bucket_comes_back),
        TEST(a_nodes_status_comes_back),
        TEST(a_repair_and_its_answer_come_back),
        TEST(the_status_of_repairs_comes_back),
        TEST(a_page_of_repairs_with_more_rows_than_there_are_is_refused),
        TEST(replicas_and_their_results_come_back),
        TEST(frames_of_reaping_come_back),
        TEST(how_far_reaping_has_come_comes_back),
        TEST(a_verdict_that_is_none_is_refused),
        TEST(gathered_items_make_the_same_replicate_frame),
        TEST(gathered_results_make_the_same_reply_frame),
        TEST(hellos_come_back),
        TEST(a_hello_speaks_of_no_more_partitions_than_there_can_be),
        TEST(paxos_frames_come_back),
        TEST(ballots_order_by_round_then_proposer),
        TEST(tree_roots_and_which_of_them_differ_come_back),
        TEST(roots_are_answered_in_their_order),
        TEST(levels_of_trees_come_back),
        TEST(keys_of_a_leaf_come_back),
        TEST(versions_and_the_verdicts_on_them_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
