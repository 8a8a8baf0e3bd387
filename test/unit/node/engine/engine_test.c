#include "node/engine/cluster/paxos.h"
#include "test/lib/next_topology.h"
#include "node/engine/engine.h"
#include "test/lib/memory_store.h"
#include "test/unit/stages/seeds.h"
#include "test/unit/stages/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum
{
    PORT = 7100,
    CLIENT = 5, /* a session of a client */
    MEMBER = 6, /* a session of another node */
    TAG = 9,
    HOLD_MS = 1000,
    PEER_TIMEOUT_MS = 1000,
    OUT_MAX = 4096
};

typedef enum OutKind
{
    OUT_SEND,
    OUT_REPLY,
    OUT_PERSIST
} OutKind;

/* What came out of the engine, in order. */
typedef struct Out
{
    OutKind kind;
    uint64_t to; /* peer or session */
    Frame frame;
} Out;

typedef struct Fixture
{
    Stage stage;
    EngineConfig config;
    MemoryStore *store;
    Engine *engine; /* member 0; peers 1 and 2 are played by the test */
    Out outs[OUT_MAX];
    uint32_t out_count;
    uint64_t now_ms;
    uint64_t random;
} Fixture;

static Fixture fixture;

static void
note(OutKind kind, uint64_t to, Slice frame)
{
    Out *out = &fixture.outs[fixture.out_count++];

    assert_true(fixture.out_count < OUT_MAX);
    *out = (Out){.kind = kind, .to = to};
    if (kind != OUT_PERSIST)
        out->frame = stage_decode(&fixture.stage, frame);
}

static void
output_send(void *context, uint32_t peer, Slice frame)
{
    (void)context;
    note(OUT_SEND, peer, frame);
}

static void
output_reply(void *context, uint64_t session, Slice frame)
{
    (void)context;
    note(OUT_REPLY, session, frame);
}

static bool
output_persist(void *context, Slice state)
{
    (void)context;
    note(OUT_PERSIST, 0, state);
    return true;
}

static uint32_t
output_peer(void *context, const char *address, uint16_t port)
{
    (void)context;
    (void)address;
    return port - PORT;
}

static void
output_log(void *context, const char *event)
{
    (void)context;
    (void)event;
}

static uint64_t
output_random(void *context)
{
    (void)context;
    return fixture.random++;
}

/* What a node persists that is in the stage's cluster. */
static Slice
formed_state(void)
{
    Paxos *paxos = paxos_new(&fixture.config.host.id);
    Slice state;

    topology_encode(stage_buffer(&fixture.stage), &fixture.stage.topology);
    assert_true(
        paxos_take_chosen(paxos, buffer_slice(&fixture.stage.frame), &fixture.stage.actions));
    paxos_encode(paxos, stage_buffer(&fixture.stage));
    state = slice_copy(&fixture.stage.arena, buffer_slice(&fixture.stage.frame));
    paxos_free(paxos);
    return state;
}

/* What a node has noted that last ran with the store's first run. */
static Slice
own_notes(void)
{
    Buffer *notes = stage_buffer(&fixture.stage);
    DataMark mark = {.run = {{1}}};

    buffer_put_varint(notes, 0); /* places that are withheld */
    buffer_put_u8(notes, false); /* set back */
    buffer_put(notes, fixture.config.host.id.bytes, sizeof(MemberId));
    data_mark_encode(notes, &mark);
    vote_mark_encode(notes, &(VoteMark){0});
    return slice_copy(&fixture.stage.arena, buffer_slice(notes));
}

static void
start(Slice state)
{
    HostCalls output = {
        .send = output_send,
        .reply = output_reply,
        .persist = output_persist,
        .log = output_log,
        .questions = {.peer = output_peer, .random = output_random}
    };
    StorageEvents events;

    fixture.engine = engine_new(&fixture.config, &output, state);
    assert_non_null(fixture.engine);
    fixture.store = memory_store_new();
    events = engine_storage_events(fixture.engine);
    engine_set_storage(fixture.engine, memory_store_open(fixture.store, &events), own_notes());
    engine_time(fixture.engine, fixture.now_ms, 1700000000000);
}

static int
set_up_members(uint32_t members, const char *seeds)
{
    fixture = (Fixture){.now_ms = 1000};
    stage_init(&fixture.stage, members, members);
    fixture.config = (EngineConfig){.host.id = stage_member_id(0),
                                    .host.name = "n0",
                                    .host.address = "127.0.0.1",
                                    .host.port = PORT,
                                    .host.zone = "",
                                    .host.weight = 1,
                                    .host.seeds = seeds,
                                    .host.partitions = STAGE_PARTITIONS,
                                    .request_timeout_ms = 5000,
                                    .host.peer_timeout_ms = PEER_TIMEOUT_MS,
                                    .max_key_bytes = 100,
                                    .max_value_bytes = 1000000,
                                    .keys = {.count = 1}};
    return 0;
}

/* One of three in a cluster. */
static int
set_up(void **state)
{
    set_up_members(3, "127.0.0.1:7100,127.0.0.1:7101,127.0.0.1:7102");
    start(formed_state());
    return 0;
}

/* The same, from which somebody was removed by the epoch in force. */
static int
set_up_fenced(void **state)
{
    set_up_members(3, "127.0.0.1:7100,127.0.0.1:7101,127.0.0.1:7102");
    fixture.stage.topology.fence = fixture.stage.topology.epoch;
    start(formed_state());
    return 0;
}

/* A cluster of its own. */
static int
set_up_alone(void **state)
{
    set_up_members(1, "127.0.0.1:7100");
    start(formed_state());
    return 0;
}

/* In no cluster. */
static int
set_up_new(void **state)
{
    set_up_members(3, "127.0.0.1:7100,127.0.0.1:7101,127.0.0.1:7102");
    start(SLICE_EMPTY);
    return 0;
}

static int
tear_down(void **state)
{
    engine_free(fixture.engine);
    memory_store_free(fixture.store);
    stage_free(&fixture.stage);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_ALONE(name) cmocka_unit_test_setup_teardown(name, set_up_alone, tear_down)
#define TEST_FENCED(name) cmocka_unit_test_setup_teardown(name, set_up_fenced, tear_down)
#define TEST_NEW(name) cmocka_unit_test_setup_teardown(name, set_up_new, tear_down)

#define TEST_JOINING(name) cmocka_unit_test_setup_teardown(name, set_up_joining, tear_down)

/* ---- what goes in ---- */

static void
pass(uint64_t ms)
{
    fixture.now_ms += ms;
    engine_time(fixture.engine, fixture.now_ms, 1700000000000 + fixture.now_ms);
    engine_tick(fixture.engine);
    engine_turn_end(fixture.engine);
}

/* Adds what stage_buffer() holds to a seed, as test/fuzz/frames_fuzz.c reads it. */
static void
add_to_seed(Buffer *seed, uint64_t session)
{
    buffer_put_u8(seed, session == MEMBER);
    buffer_put_slice(seed, buffer_slice(&fixture.stage.frame));
}

/* What stage_buffer() holds, from a session. */
static void
give(uint64_t session)
{
    Slice bytes = slice_copy(&fixture.stage.arena, buffer_slice(&fixture.stage.frame));

    engine_session_frame(fixture.engine, session, session == MEMBER ? ENGINE_PEER : ENGINE_CLIENT,
                         0, bytes);
    engine_turn_end(fixture.engine);
}

/* What stage_buffer() holds, from a peer that was asked. */
static void
answer(uint32_t peer)
{
    Slice bytes = slice_copy(&fixture.stage.arena, buffer_slice(&fixture.stage.frame));

    engine_peer_frame(fixture.engine, peer, bytes);
    engine_turn_end(fixture.engine);
}

static void
answer_hello_remembering(uint32_t peer, uint64_t epoch, DataMark remembered)
{
    HelloFrame hello = {.id = stage_member_id(peer),
                        .name = slice_from_string("peer"),
                        .address = slice_from_string("127.0.0.1"),
                        .port = (uint16_t)(PORT + peer),
                        .weight = 1,
                        .partitions = STAGE_PARTITIONS,
                        .epoch = epoch,
                        .remembered = remembered};

    hello_encode(stage_buffer(&fixture.stage), FRAME_HELLO_REPLY, 0, &hello);
    answer(peer);
}

static void
answer_hello(uint32_t peer, uint64_t epoch)
{
    answer_hello_remembering(peer, epoch, (DataMark){0});
}

/* Links to both peers, who answer. */
static void
peers_up(void)
{
    for (uint32_t peer = 1; peer < fixture.stage.topology.member_count; peer++)
    {
        engine_peer_up(fixture.engine, peer);
        answer_hello(peer, fixture.stage.topology.epoch);
        assert_true(engine_member_is_up(fixture.engine, peer));
    }
    fixture.out_count = 0;
}

static void
give_write(Slice key, const char *value, uint32_t w, bool retry, uint64_t epoch)
{
    WriteItem item = stage_write(&fixture.stage, key, stage_request(1, 1), value);
    WriteFrame write = {.epoch = epoch,
                        .bucket_id = STAGE_BUCKET,
                        .w = w,
                        .retry = retry,
                        .clock_ms = fixture.now_ms,
                        .alone_ms = 60000,
                        .items = &item,
                        .item_count = 1};

    write_encode(stage_buffer(&fixture.stage), TAG, &write);
    give(CLIENT);
}

static void
give_read(Slice key, ReadMode mode, uint64_t epoch, uint32_t bucket_id)
{
    ReadFrame read = {
        .epoch = epoch, .bucket_id = bucket_id, .mode = mode, .r = 1, .keys = &key, .key_count = 1};

    read_encode(stage_buffer(&fixture.stage), TAG, &read);
    give(CLIENT);
}

/* The stage's topology one epoch later, with a second bucket; as a peer answers it. */
static void
answer_next_topology(uint32_t peer)
{
    Bucket bucket = *fixture.stage.bucket;
    Topology next;
    const char *why;
    Buffer document;
    TopologyFrame frame;

    bucket.name = "orders";
    assert_true(next_topology_with_bucket(&fixture.stage.topology, &bucket, &fixture.stage.arena,
                                          &next, &why));
    buffer_init(&document, &MEMORY_HEAP);
    topology_encode(&document, &next);
    frame = (TopologyFrame){.epoch = next.epoch, .document = buffer_slice(&document)};
    topology_frame_encode(stage_buffer(&fixture.stage), 0, &frame);
    buffer_free(&document);
    answer(peer);
}

/* The stage's topology one epoch later, without its bucket. */
static void
answer_topology_without_bucket(uint32_t peer)
{
    uint32_t dropped = STAGE_BUCKET;
    TopologyChange change = {.dropped = &dropped, .dropped_count = 1};
    TopologyFrame frame = {.epoch = fixture.stage.topology.epoch + 1};
    Buffer document;

    buffer_init(&document, &MEMORY_HEAP);
    topology_encode_change(&document, &fixture.stage.topology, &change);
    frame.document = buffer_slice(&document);
    topology_frame_encode(stage_buffer(&fixture.stage), 0, &frame);
    buffer_free(&document);
    answer(peer);
}

/* ---- what came out ---- */

static uint32_t
count_outs(OutKind kind, uint64_t to)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < fixture.out_count; i++)
        count += fixture.outs[i].kind == kind && fixture.outs[i].to == to;
    return count;
}

static uint32_t
count_sent(uint32_t peer, FrameType type)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < fixture.out_count; i++)
        count += fixture.outs[i].kind == OUT_SEND && fixture.outs[i].to == peer &&
                 fixture.outs[i].frame.type == type;
    return count;
}

/* The one answer to the session; it is forgotten with all that came out. */
static Frame
reply_to(uint64_t session)
{
    Frame frame = {0};

    assert_int_equal(count_outs(OUT_REPLY, session), 1);
    for (uint32_t i = 0; i < fixture.out_count; i++)
    {
        if (fixture.outs[i].kind == OUT_REPLY && fixture.outs[i].to == session)
            frame = fixture.outs[i].frame;
    }
    fixture.out_count = 0;
    return frame;
}

static void
assert_refused(uint64_t session, StatusCode status)
{
    Frame frame = reply_to(session);

    assert_int_equal(stage_error_status(&frame), status);
    assert_int_equal(frame.tag, TAG);
}

static StatusCode
written_status(void)
{
    Frame frame = reply_to(CLIENT);
    WriteReply reply;

    assert_int_equal(frame.type, FRAME_WRITE_REPLY);
    assert_true(write_reply_decode(&frame, &fixture.stage.arena, &reply));
    return reply.items[0].status;
}

static ReadItem
read_item(void)
{
    Frame frame = reply_to(CLIENT);
    ReadReply reply;

    assert_int_equal(frame.type, FRAME_READ_REPLY);
    assert_true(read_reply_decode(&frame, &fixture.stage.arena, &reply));
    return reply.items[0];
}

/* ---- who may send what ---- */

static bool
is_asked_by_nodes(uint32_t type)
{
    static const FrameType TYPES[] = {
        FRAME_REPLICATE,  FRAME_HELLO,      FRAME_PREPARE,     FRAME_ACCEPT,     FRAME_CHOSEN,
        FRAME_TREE_ROOTS, FRAME_TREE_LEVEL, FRAME_TREE_KEYS,   FRAME_VERSIONS,   FRAME_REAP_PREPARE,
        FRAME_REAP_RAISE, FRAME_REAP_ROWS,  FRAME_REAP_ROUNDS, FRAME_REAP_NOTICE};

    for (uint32_t i = 0; i < sizeof(TYPES) / sizeof(TYPES[0]); i++)
    {
        if (TYPES[i] == type)
            return true;
    }
    return false;
}

static void
a_client_may_send_what_is_for_clients_and_nothing_else(void **state)
{
    for (uint32_t type = 0; type <= 255; type++)
    {
        StatusCode status = STATUS_BAD_FRAME;
        uint64_t refused = engine_counters(fixture.engine).frames_refused;

        if (type > 0 && type < FRAME_TYPE_END && frame_is_for_clients((FrameType)type))
            continue;
        if (is_asked_by_nodes(type))
            status = STATUS_FORBIDDEN;
        frame_encode_header(stage_buffer(&fixture.stage), (FrameType)type, TAG);
        give(CLIENT);
        assert_refused(CLIENT, status);
        assert_int_equal(engine_counters(fixture.engine).frames_refused, refused + 1);
    }
}

static void
a_node_may_send_what_clients_may_not(void **state)
{
    static const FrameType TYPES[] = {FRAME_REPLICATE, FRAME_PREPARE, FRAME_ACCEPT, FRAME_HELLO};
    HelloFrame hello = {.id = stage_member_id(1)};

    peers_up();
    for (uint32_t i = 0; i < sizeof(TYPES) / sizeof(TYPES[0]); i++)
    {
        frame_encode_header(stage_buffer(&fixture.stage), TYPES[i], TAG);
        give(MEMBER);
        assert_refused(MEMBER, STATUS_BAD_FRAME);
    }
    hello_encode(stage_buffer(&fixture.stage), FRAME_HELLO, TAG, &hello);
    give(MEMBER);
    assert_int_equal(reply_to(MEMBER).type, FRAME_HELLO_REPLY);
}

static void
a_frame_too_short_for_its_header_is_refused(void **state)
{
    for (size_t length = 0; length < MESSAGE_HEADER_BYTES; length++)
    {
        Frame frame;

        engine_session_frame(fixture.engine, CLIENT, ENGINE_CLIENT, 0,
                             slice_make("\4\0\0\0\0", length));
        engine_turn_end(fixture.engine);
        frame = reply_to(CLIENT);
        assert_int_equal(stage_error_status(&frame), STATUS_BAD_FRAME);
    }
}

static void
an_answer_of_a_peer_that_is_garbage_is_ignored(void **state)
{
    peers_up();
    for (uint32_t type = 0; type <= FRAME_TYPE_END; type++)
    {
        frame_encode_header(stage_buffer(&fixture.stage), (FrameType)type, TAG);
        answer(1);
        answer(77);
    }
    assert_true(engine_member_is_up(fixture.engine, 1));
    assert_int_equal(count_outs(OUT_PERSIST, 0), 0);
}

/* ---- in no cluster ---- */

static void
a_node_in_no_cluster_says_so(void **state)
{
    ScanFrame scan = {.bucket_id = STAGE_BUCKET};
    ReplicateItem item = {.bucket_id = STAGE_BUCKET};
    ReplicateFrame replicate = {.items = &item, .item_count = 1};
    Slice key = stage_key(&fixture.stage, "key");

    give_read(key, READ_FULL, 0, STAGE_BUCKET);
    assert_refused(CLIENT, STATUS_NOT_FORMED);
    give_write(key, "apple", 1, false, 0);
    assert_refused(CLIENT, STATUS_NOT_FORMED);
    scan_encode(stage_buffer(&fixture.stage), TAG, &scan);
    give(CLIENT);
    assert_refused(CLIENT, STATUS_NOT_FORMED);
    replicate_encode(stage_buffer(&fixture.stage), TAG, &replicate);
    give(MEMBER);
    assert_refused(MEMBER, STATUS_NOT_FORMED);
    assert_int_equal(engine_self(fixture.engine), TOPOLOGY_NO_MEMBER);
    assert_true(engine_waiting_for(fixture.engine)[0] != '\0');
}

static void
a_node_in_no_cluster_tells_its_status(void **state)
{
    NodeStatus status;
    Frame frame;

    pass(100);
    fixture.out_count = 0;
    node_status_fetch_encode(stage_buffer(&fixture.stage), TAG);
    give(CLIENT);
    frame = reply_to(CLIENT);
    assert_true(node_status_decode(&frame, &fixture.stage.arena, &status));
    assert_int_equal(status.epoch, 0);
    assert_int_equal(status.uptime_ms, 100);
}

static void
a_damaged_state_makes_no_engine(void **state)
{
    HostCalls output = {.questions.peer = output_peer, .log = output_log};

    assert_null(engine_new(&fixture.config, &output, slice_from_string("damaged")));
}

/* ---- alone in a cluster ---- */

static void
what_was_written_can_be_read_and_scanned(void **state)
{
    Slice key = stage_key(&fixture.stage, "key");
    ScanReply reply;
    uint32_t rows = 0;
    Buffer seed;

    buffer_init(&seed, &MEMORY_HEAP);
    give_write(key, "apple", 1, false, 2);
    assert_int_equal(written_status(), STATUS_OK);
    add_to_seed(&seed, CLIENT);
    give_read(key, READ_FULL, 2, STAGE_BUCKET);
    add_to_seed(&seed, CLIENT);
    assert_int_equal(stage_siblings(&fixture.stage, read_item().object), 1);
    give_read(key, READ_COORDINATED, 2, STAGE_BUCKET);
    add_to_seed(&seed, CLIENT);
    assert_int_equal(stage_siblings(&fixture.stage, read_item().object), 1);
    for (uint32_t partition = 0; partition < STAGE_PARTITIONS; partition++)
    {
        ScanFrame scan = {.epoch = 2, .bucket_id = STAGE_BUCKET, .partition = partition};
        Frame frame;

        scan_encode(stage_buffer(&fixture.stage), TAG, &scan);
        add_to_seed(&seed, CLIENT);
        give(CLIENT);
        frame = reply_to(CLIENT);
        assert_true(scan_reply_decode(&frame, &fixture.stage.arena, &reply));
        rows += reply.row_count;
    }
    assert_int_equal(rows, 1);
    assert_int_equal(engine_counters(fixture.engine).writes, 1);
    assert_int_equal(engine_counters(fixture.engine).reads_coordinated, 1);
    seeds_keep("frames", "write_read_scan", buffer_slice(&seed));
    buffer_free(&seed);
}

static void
a_write_is_answered_when_it_is_durable(void **state)
{
    memory_store_hold(fixture.store);
    give_write(stage_key(&fixture.stage, "key"), "apple", 1, false, 2);
    assert_int_equal(count_outs(OUT_REPLY, CLIENT), 0);
    memory_store_sync(fixture.store);
    engine_turn_end(fixture.engine);
    assert_int_equal(written_status(), STATUS_OK);
}

static void
a_write_whose_sync_fails_is_unknown_and_the_next_is_refused(void **state)
{
    Slice key = stage_key(&fixture.stage, "key");

    memory_store_hold(fixture.store);
    give_write(key, "apple", 1, false, 2);
    memory_store_fail(fixture.store);
    memory_store_sync(fixture.store);
    engine_turn_end(fixture.engine);
    assert_int_equal(written_status(), STATUS_UNKNOWN);
    give_write(key, "apple", 1, false, 2);
    assert_int_equal(written_status(), STATUS_STORAGE);
}

/* ---- repairs ---- */

/* What stage_buffer() holds, once more or from another asker. */
static void
give_again(uint64_t session, EngineAsker asker, uint64_t waited_ms)
{
    engine_session_frame(fixture.engine, session, asker, waited_ms,
                         buffer_slice(&fixture.stage.frame));
}

static void
give_repair(uint64_t session, EngineAsker asker, uint32_t bucket_id, const MemberId *member)
{
    RepairFrame repair = {.epoch = 1, .bucket_id = bucket_id, .is_of_member = member != NULL};

    if (member != NULL)
        repair.member = *member;
    repair_encode(stage_buffer(&fixture.stage), TAG, &repair);
    give_again(session, asker, 0);
    engine_turn_end(fixture.engine);
}

static uint32_t
repairs_queued(uint32_t bucket_id, const MemberId *member)
{
    RepairReply reply;
    Frame frame;

    give_repair(CLIENT, ENGINE_ADMIN, bucket_id, member);
    frame = reply_to(CLIENT);
    assert_true(repair_reply_decode(&frame, &reply));
    return reply.queued;
}

static void
only_an_admin_may_ask_for_repairs(void **state)
{
    peers_up();
    give_repair(CLIENT, ENGINE_CLIENT, 0, NULL);
    assert_refused(CLIENT, STATUS_FORBIDDEN);
    give_repair(MEMBER, ENGINE_PEER, 0, NULL);
    assert_refused(MEMBER, STATUS_FORBIDDEN);
    give_repair(CLIENT, ENGINE_ADMIN, 0, NULL);
    assert_int_equal(reply_to(CLIENT).type, FRAME_REPAIR_REPLY);
}

/* Each member of the three owns every partition. */
static void
a_repair_is_of_what_was_named(void **state)
{
    MemberId self = stage_member_id(0);
    MemberId other = stage_member_id(1);
    MemberId stranger = stage_member_id(4);

    peers_up();
    assert_int_equal(repairs_queued(0, NULL), 2 * STAGE_PARTITIONS);
    assert_int_equal(repairs_queued(STAGE_BUCKET, NULL), 2 * STAGE_PARTITIONS);
    assert_int_equal(repairs_queued(STAGE_BUCKET, &other), STAGE_PARTITIONS);
    assert_int_equal(repairs_queued(0, &self), 2 * STAGE_PARTITIONS);
    give_repair(CLIENT, ENGINE_ADMIN, 77, NULL);
    assert_refused(CLIENT, STATUS_BEHIND);
    give_repair(CLIENT, ENGINE_ADMIN, 0, &stranger);
    assert_refused(CLIENT, STATUS_BEHIND);
}

static RepairStatusReply
repair_page(uint32_t first)
{
    RepairStatusReply reply;
    Frame frame;

    repair_status_fetch_encode(stage_buffer(&fixture.stage), TAG, &(RepairStatusFetch){first});
    give(CLIENT);
    frame = reply_to(CLIENT);
    assert_true(repair_status_decode(&frame, &fixture.stage.arena, &reply));
    return reply;
}

static void
the_status_of_repairs_is_told_from_the_row_asked_for_on(void **state)
{
    RepairStatusReply all;
    RepairStatusReply last;
    MemberId last_peer = stage_member_id(2);

    peers_up();
    all = repair_page(0);
    assert_int_equal(all.total, 2 * STAGE_PARTITIONS);
    assert_int_equal(all.row_count, all.total);
    for (uint32_t i = 0; i < all.total; i++)
    {
        assert_int_equal(all.rows[i].bucket_id, STAGE_BUCKET);
        assert_int_equal(all.rows[i].partition, i % STAGE_PARTITIONS);
    }
    last = repair_page(all.total - 1);
    assert_int_equal(last.total, all.total);
    assert_int_equal(last.row_count, 1);
    assert_memory_equal(&last.rows[0].peer, &last_peer, sizeof(MemberId));
    assert_int_equal(repair_page(all.total).row_count, 0);
    assert_int_equal(repair_page(UINT32_MAX).row_count, 0);
}

/* ---- more than it can do ---- */

static void
set_admission(AdmissionLimits limits)
{
    fixture.config.admission = limits;
    engine_set_limits(fixture.engine, &fixture.config);
}

/* Storage is so far behind with its writes, and that for long. */
static void
fall_behind(uint64_t ms)
{
    memory_store_set_waits(fixture.store, (StorageWaits){.writes_ms = ms});
    for (uint64_t passed = 0; passed < 10 * ms; passed += 10)
        pass(10);
}

static void
what_would_wait_too_long_is_refused_and_not_written(void **state)
{
    Slice key = stage_key(&fixture.stage, "key");

    set_admission((AdmissionLimits){.target_ms = 100});
    fall_behind(200);
    give_write(key, "apple", 1, false, 2);
    assert_refused(CLIENT, STATUS_OVERLOADED);
    assert_int_equal(engine_counters(fixture.engine).frames_shed[ADMISSION_BEHIND], 1);
    assert_int_equal(engine_counters(fixture.engine).writes, 0);
    give_again(CLIENT, ENGINE_ADMIN, 0);
    assert_int_equal(written_status(), STATUS_OK);
    memory_store_set_waits(fixture.store, (StorageWaits){0});
    pass(10);
    give_again(CLIENT, ENGINE_CLIENT, 0);
    assert_int_equal(written_status(), STATUS_OK);
}

static void
what_waited_until_nobody_waits_for_it_is_not_written(void **state)
{
    give_write(stage_key(&fixture.stage, "key"), "apple", 1, false, 2);
    assert_int_equal(written_status(), STATUS_OK);
    give_again(CLIENT, ENGINE_CLIENT, 5000);
    assert_refused(CLIENT, STATUS_OVERLOADED);
    assert_int_equal(engine_counters(fixture.engine).frames_shed[ADMISSION_LATE], 1);
    assert_int_equal(engine_counters(fixture.engine).writes, 1);
}

static void
a_request_that_was_answered_leaves_its_place(void **state)
{
    set_admission((AdmissionLimits){.frames_max = 1});
    memory_store_hold(fixture.store);
    give_write(stage_key(&fixture.stage, "key"), "apple", 1, false, 2);
    assert_int_equal(engine_load(fixture.engine).frames, 1);
    assert_true(engine_load(fixture.engine).bytes > 0);
    give_again(CLIENT + 10, ENGINE_CLIENT, 0);
    assert_refused(CLIENT + 10, STATUS_OVERLOADED);
    memory_store_sync(fixture.store);
    engine_turn_end(fixture.engine);
    assert_int_equal(engine_load(fixture.engine).frames, 0);
    assert_int_equal(engine_load(fixture.engine).bytes, 0);
    assert_int_equal(written_status(), STATUS_OK);
}

/* ---- among others ---- */

static void
replicates_leave_at_the_end_of_the_turn(void **state)
{
    Slice key = stage_key(&fixture.stage, "key");
    WriteItem item = stage_write(&fixture.stage, key, stage_request(1, 1), "apple");
    WriteFrame write = {.epoch = 2,
                        .bucket_id = STAGE_BUCKET,
                        .w = 2,
                        .clock_ms = fixture.now_ms,
                        .alone_ms = 60000,
                        .items = &item,
                        .item_count = 1};

    peers_up();
    write_encode(stage_buffer(&fixture.stage), TAG, &write);
    for (uint32_t i = 0; i < 2; i++)
        engine_session_frame(fixture.engine, CLIENT + 10 + i, ENGINE_CLIENT, 0,
                             buffer_slice(&fixture.stage.frame));
    assert_int_equal(fixture.out_count, 0);
    engine_turn_end(fixture.engine);
    assert_int_equal(count_sent(1, FRAME_REPLICATE), 1);
    assert_int_equal(count_sent(2, FRAME_REPLICATE), 1);
}

static void
acknowledgements_leave_at_the_end_of_the_turn(void **state)
{
    ReplicateItem item = {.bucket_id = STAGE_BUCKET,
                          .key = stage_key(&fixture.stage, "key"),
                          .object = stage_object(&fixture.stage, 1, 1, "apple")};
    ReplicateFrame replicate = {.epoch = 2, .items = &item, .item_count = 1};
    Frame frame;
    ReplicateReply reply;
    Buffer seed;

    peers_up();
    replicate_encode(stage_buffer(&fixture.stage), 0, &replicate);
    buffer_init(&seed, &MEMORY_HEAP);
    add_to_seed(&seed, MEMBER);
    seeds_keep("frames", "replicate", buffer_slice(&seed));
    buffer_free(&seed);
    for (uint32_t i = 0; i < 2; i++)
        engine_session_frame(fixture.engine, MEMBER, ENGINE_PEER, 0,
                             buffer_slice(&fixture.stage.frame));
    assert_int_equal(fixture.out_count, 0);
    engine_turn_end(fixture.engine);
    frame = reply_to(MEMBER);
    assert_true(replicate_reply_decode(&frame, &fixture.stage.arena, &reply));
    assert_int_equal(reply.item_count, 2);
}

static void
a_member_that_goes_down_ends_the_writes_that_waited_for_it(void **state)
{
    peers_up();
    give_write(stage_key(&fixture.stage, "key"), "apple", 3, false, 2);
    assert_int_equal(count_outs(OUT_REPLY, CLIENT), 0);
    engine_peer_down(fixture.engine, 2);
    engine_turn_end(fixture.engine);
    assert_int_equal(written_status(), STATUS_UNKNOWN);
    give_write(stage_key(&fixture.stage, "key"), "apple", 3, false, 2);
    assert_int_equal(written_status(), STATUS_UNAVAILABLE);
}

/*
 * A retry has heard of one owner that it does not know the write, and waits for the other. Both go
 * down in one event: the first lets it stamp, the second takes its quorum away.
 */
static void
what_is_to_be_stored_outlives_an_operation_that_ends_in_the_same_event(void **state)
{
    static char value[300000];
    Slice key = stage_key(&fixture.stage, "key");
    Object stored;

    memset(value, 'x', sizeof(value) - 1);
    peers_up();
    give_write(key, value, 3, true, 2);
    assert_int_equal(fixture.outs[1].to, 2);
    assert_int_equal(fixture.outs[1].frame.type, FRAME_READ);
    (void)stage_read_reply(&fixture.stage, fixture.outs[1].frame.tag, READ_FULL, &SLICE_EMPTY, 1);
    answer(2);
    fixture.out_count = 0;
    for (uint32_t i = 0; i < 20 && count_outs(OUT_REPLY, CLIENT) == 0; i++)
        pass(100);
    assert_int_equal(written_status(), STATUS_UNKNOWN);
    assert_false(engine_member_is_up(fixture.engine, 1));
    give_read(key, READ_FULL, 2, STAGE_BUCKET);
    assert_true(object_decode(read_item().object, &fixture.stage.arena, &stored));
    assert_int_equal(stored.siblings[0].value.length, sizeof(value) - 1);
    assert_memory_equal(stored.siblings[0].value.data, value, sizeof(value) - 1);
}

static void
give_prepare(void)
{
    PaxosFrame prepare = {
        .epoch = 3, .ballot = {.round = 4, .proposer = stage_member_id(1)}
    };

    paxos_frame_encode(stage_buffer(&fixture.stage), FRAME_PREPARE, TAG, &prepare);
    give(MEMBER);
}

static void
promises_are_persisted_before_they_are_answered(void **state)
{
    peers_up();
    give_prepare();
    assert_int_equal(fixture.out_count, 2);
    assert_int_equal(fixture.outs[0].kind, OUT_PERSIST);
    assert_int_equal(fixture.outs[1].kind, OUT_REPLY);
    assert_int_equal(fixture.outs[1].frame.type, FRAME_PROMISE);
}

static void
a_node_tells_whom_it_reaches(void **state)
{
    NodeStatus status;
    Frame frame;

    peers_up();
    engine_peer_down(fixture.engine, 1);
    node_status_fetch_encode(stage_buffer(&fixture.stage), TAG);
    give(CLIENT);
    frame = reply_to(CLIENT);
    assert_true(node_status_decode(&frame, &fixture.stage.arena, &status));
    assert_int_equal(status.reachable_count, 1);
    assert_int_equal(status.reachable[0].bytes[0], stage_member_id(2).bytes[0]);
    assert_int_equal(status.epoch, 2);
}

static void
a_node_wakes_up_in_time_for_its_work(void **state)
{
    pass(100);
    assert_true(engine_wake_ms(fixture.engine) <= fixture.now_ms + 100);
    peers_up();
    give_write(stage_key(&fixture.stage, "key"), "apple", 3, false, 2);
    assert_true(engine_wake_ms(fixture.engine) <= fixture.now_ms + 10);
}

/* ---- frames of a later epoch ---- */

static void
a_frame_of_a_later_epoch_waits_for_the_topology_that_it_makes_the_node_fetch(void **state)
{
    Slice key = stage_key(&fixture.stage, "key");

    peers_up();
    give_read(key, READ_FULL, 3, 2);
    assert_int_equal(count_outs(OUT_REPLY, CLIENT), 0);
    assert_int_equal(count_sent(1, FRAME_TOPOLOGY_FETCH), 1);
    answer_next_topology(1);
    assert_int_equal(engine_topology(fixture.engine)->epoch, 3);
    assert_int_equal(read_item().status, STATUS_OK);
}

static void
a_held_frame_is_answered_when_its_time_is_up(void **state)
{
    peers_up();
    give_read(stage_key(&fixture.stage, "key"), READ_FULL, 3, 2);
    fixture.out_count = 0;
    pass(HOLD_MS - 100);
    assert_int_equal(count_outs(OUT_REPLY, CLIENT), 0);
    pass(200);
    assert_refused(CLIENT, STATUS_BEHIND);
}

static void
a_held_frame_of_a_bucket_that_is_known_is_carried_out_when_its_time_is_up(void **state)
{
    peers_up();
    give_read(stage_key(&fixture.stage, "key"), READ_FULL, 3, STAGE_BUCKET);
    fixture.out_count = 0;
    pass(HOLD_MS + 100);
    assert_int_equal(read_item().status, STATUS_OK);
}

static void
a_frame_of_an_older_epoch_is_not_held(void **state)
{
    peers_up();
    give_read(stage_key(&fixture.stage, "key"), READ_FULL, 1, STAGE_BUCKET);
    assert_int_equal(read_item().status, STATUS_OK);
}

static void
no_frame_is_dropped_without_an_answer_when_too_many_are_held(void **state)
{
    const uint32_t frames = 1200;
    Slice key = stage_key(&fixture.stage, "key");

    peers_up();
    for (uint32_t i = 0; i < frames; i++)
        give_read(key, READ_FULL, 3, 2);
    pass(HOLD_MS + 100);
    assert_int_equal(count_outs(OUT_REPLY, CLIENT), frames);
}

/* An object that another node sends may be larger than all that is held otherwise. */
static void
a_frame_of_another_node_is_held_whatever_its_size(void **state)
{
    enum
    {
        LARGE = 40 * 1024 * 1024
    };
    char *value = arena_alloc(&fixture.stage.arena, LARGE + 1);
    ReplicateItem item = {
        .ref = 5, .bucket_id = STAGE_BUCKET, .key = stage_key(&fixture.stage, "key")};
    ReplicateFrame replicate = {.epoch = 3, .items = &item, .item_count = 1};

    memset(value, 'x', LARGE);
    value[LARGE] = '\0';
    item.object = stage_object(&fixture.stage, 9, 1, value);
    peers_up();
    fixture.out_count = 0;
    replicate_encode(stage_buffer(&fixture.stage), 0, &replicate);
    give(MEMBER);
    assert_int_equal(count_outs(OUT_REPLY, MEMBER), 0);
    pass(HOLD_MS + 100);
    assert_int_equal(reply_to(MEMBER).type, FRAME_REPLICATE_REPLY);
}

static void
large_frames_are_held_up_to_a_bound(void **state)
{
    static char value[900000];
    const uint32_t frames = 100;

    memset(value, 'x', sizeof(value) - 1);
    peers_up();
    for (uint32_t i = 0; i < frames; i++)
        give_write(stage_key(&fixture.stage, "key"), value, 9, false, 4);
    assert_true(count_sent(1, FRAME_REPLICATE) > 0);
    assert_true(count_sent(1, FRAME_REPLICATE) < frames);
}

/* ---- data that may lack something ---- */

static StatusCode
scanned_status(Slice key)
{
    ScanFrame scan = {.epoch = 2, .bucket_id = STAGE_BUCKET};
    ScanReply reply;
    uint64_t position;
    Frame frame;

    assert_true(topology_position(fixture.stage.bucket, key, &position));
    scan.partition = ring_partition(position, STAGE_PARTITIONS);
    scan_encode(stage_buffer(&fixture.stage), TAG, &scan);
    give(CLIENT);
    frame = reply_to(CLIENT);
    assert_true(scan_reply_decode(&frame, &fixture.stage.arena, &reply));
    return reply.status;
}

/* What took the place of an unreadable record is perhaps older than what was acknowledged. */
static void
a_place_that_could_not_be_read_is_answered_from_after_the_others_were_asked(void **state)
{
    StorageEvents events = engine_storage_events(fixture.engine);
    Slice key = stage_key(&fixture.stage, "key");
    uint64_t position;

    (void)state;
    peers_up();
    give_write(key, "apple", 1, false, 2);
    assert_int_equal(written_status(), STATUS_OK);
    give_read(key, READ_FULL, 2, STAGE_BUCKET);
    assert_int_equal(read_item().status, STATUS_OK);
    assert_int_equal(scanned_status(key), STATUS_OK);
    assert_true(topology_position(fixture.stage.bucket, key, &position));
    events.unreadable(events.context, STAGE_BUCKET, position, position);
    give_read(key, READ_FULL, 2, STAGE_BUCKET);
    assert_int_equal(read_item().status, STATUS_CORRUPT);
    assert_int_equal(scanned_status(key), STATUS_CORRUPT);
}

/* ---- data that may be older than they were ---- */

static void
give_any_read(void)
{
    give_read(stage_key(&fixture.stage, "key"), READ_FULL, 2, STAGE_BUCKET);
}

static void
a_read_waits_until_all_have_told_what_they_remember_of_the_data(void **state)
{
    engine_peer_up(fixture.engine, 1);
    engine_peer_up(fixture.engine, 2);
    give_any_read();
    answer_hello(1, 2);
    assert_int_equal(count_outs(OUT_REPLY, CLIENT), 0);
    answer_hello(2, 2);
    assert_int_equal(read_item().status, STATUS_OK);
}

static void
a_read_waits_for_no_silent_member_for_long(void **state)
{
    give_any_read();
    pass(HOLD_MS - 100);
    assert_int_equal(count_outs(OUT_REPLY, CLIENT), 0);
    pass(100);
    assert_int_equal(read_item().status, STATUS_OK);
}

static void
a_read_that_waits_is_refused_when_the_data_turn_out_to_be_older(void **state)
{
    give_any_read();
    engine_peer_up(fixture.engine, 1);
    answer_hello_remembering(1, 2, (DataMark){.run = {{9}}, .commits = 1});
    assert_refused(CLIENT, STATUS_REFILLING);
}

/* As one whose whole machine was set back to before it was in the cluster. */
static void
a_node_that_finds_itself_a_member_waits_for_what_others_remember_of_it(void **state)
{
    pass(3 * PEER_TIMEOUT_MS);
    engine_peer_up(fixture.engine, 1);
    engine_peer_up(fixture.engine, 2);
    answer_hello(1, 3);
    answer_next_topology(1);
    fixture.out_count = 0;
    give_read(stage_key(&fixture.stage, "key"), READ_FULL, 3, STAGE_BUCKET);
    assert_int_equal(count_outs(OUT_REPLY, CLIENT), 0);
    answer_hello_remembering(1, 3, (DataMark){.run = {{9}}, .commits = 1});
    assert_refused(CLIENT, STATUS_REFILLING);
}

static void
reads_of_a_dropped_bucket_are_refused_as_such(void **state)
{
    peers_up();
    answer_hello(1, 3);
    answer_topology_without_bucket(1);
    fixture.out_count = 0;
    give_read(stage_key(&fixture.stage, "key"), READ_FULL, 3, STAGE_BUCKET);
    assert_refused(CLIENT, STATUS_NO_BUCKET);
    give_read(stage_key(&fixture.stage, "key"), READ_FULL, 3, STAGE_BUCKET + 1);
    assert_refused(CLIENT, STATUS_BEHIND);
}

/* The stage's topology, in which this node is a member of that state, and the others own all. */
static void
let_others_own(MemberState state)
{
    Topology *topology = &fixture.stage.topology;

    topology->epoch++;
    topology->members[0].state = state;
    topology->buckets[0].n = 2;
    for (uint32_t i = 0; i < topology->partitions; i++)
        topology->claim[i] = (uint16_t)(1 + i % 2);
    topology->fence = state == MEMBER_LEFT ? topology->epoch : topology->fence;
}

static void
a_node_that_has_left_answers_no_client_and_goes_on_hearing(void **state)
{
    TopologyFrame frame = {.document = SLICE_EMPTY};
    Buffer document;

    peers_up();
    pass(1000);
    let_others_own(MEMBER_LEFT);
    buffer_init(&document, &MEMORY_HEAP);
    topology_encode(&document, &fixture.stage.topology);
    frame.epoch = fixture.stage.topology.epoch;
    frame.document = buffer_slice(&document);
    answer_hello(1, frame.epoch);
    topology_frame_encode(stage_buffer(&fixture.stage), 0, &frame);
    answer(1);
    buffer_free(&document);
    assert_int_equal(engine_topology(fixture.engine)->epoch, frame.epoch);
    assert_string_equal(engine_waiting_for(fixture.engine), "this node has left the cluster");
    fixture.out_count = 0;
    give_any_read();
    assert_refused(CLIENT, STATUS_NOT_FORMED);
    for (uint32_t i = 0; i < 100; i++)
        pass(100);
    assert_int_equal(engine_self(fixture.engine), TOPOLOGY_NO_MEMBER);
}

/* Whether the last greeting says that this node is ready. */
static bool
says_that_it_is_ready(void)
{
    HelloFrame hello = {.ready = false};

    for (uint32_t i = 0; i < fixture.out_count; i++)
    {
        if (fixture.outs[i].kind == OUT_SEND && fixture.outs[i].frame.type == FRAME_HELLO)
            assert_true(hello_decode(&fixture.outs[i].frame, &hello));
    }
    return hello.ready;
}

static int
set_up_joining(void **state)
{
    set_up_members(3, "127.0.0.1:7100,127.0.0.1:7101,127.0.0.1:7102");
    let_others_own(MEMBER_JOINING);
    start(formed_state());
    return 0;
}

static void
a_node_that_joins_is_ready_when_it_knows_how_far_reaping_has_come(void **state)
{
    ReapRound item = {.partition = 2, .round = 5, .cleared = 6};
    ReapRoundsReply reply = {.whole = true, .items = &item, .item_count = 1};
    ReapRoundsFrame asked = {.epoch = fixture.stage.topology.epoch, .bucket_id = STAGE_BUCKET};
    static Out outs[OUT_MAX];
    uint32_t count;
    Frame told;

    for (uint32_t peer = 1; peer < 3; peer++)
    {
        engine_peer_up(fixture.engine, peer);
        answer_hello(peer, asked.epoch);
    }
    assert_false(says_that_it_is_ready());
    count = fixture.out_count;
    memcpy(outs, fixture.outs, count * sizeof(Out));
    for (uint32_t i = 0; i < count; i++)
    {
        if (outs[i].kind != OUT_SEND || outs[i].frame.type != FRAME_REAP_ROUNDS)
            continue;
        reap_rounds_reply_encode(stage_buffer(&fixture.stage), outs[i].frame.tag, &reply);
        answer((uint32_t)outs[i].to);
    }
    fixture.out_count = 0;
    memory_store_sync(fixture.store);
    for (uint32_t i = 0; i < 3; i++)
        pass(100);
    assert_true(says_that_it_is_ready());
    assert_true(engine_member_is_ready(fixture.engine, 0));
    assert_false(engine_member_is_ready(fixture.engine, 1));
    reap_rounds_encode(stage_buffer(&fixture.stage), TAG, &asked);
    give(MEMBER);
    told = reply_to(MEMBER);
    assert_true(reap_rounds_reply_decode(&told, &fixture.stage.arena, &reply));
    assert_false(reply.whole);
    assert_int_equal(reply.item_count, 1);
    assert_int_equal(reply.items[0].round, 0);
    assert_int_equal(reply.items[0].cleared, 6);
}

/* Whatever it was asked to scan is empty, and was never reaped. */
static bool
answer_scans(void)
{
    ReapRoundsReply rounds = {.item_count = 0};
    Out outs[OUT_MAX];
    uint32_t count = fixture.out_count;
    ScanRow none = {0};
    ScanReply reply = {.done = true};
    ScanFrame scan;
    bool any = false;

    memcpy(outs, fixture.outs, count * sizeof(Out));
    fixture.out_count = 0;
    for (uint32_t i = 0; i < count; i++)
    {
        if (outs[i].kind == OUT_SEND && outs[i].frame.type == FRAME_REAP_ROUNDS)
        {
            any = true;
            reap_rounds_reply_encode(stage_buffer(&fixture.stage), outs[i].frame.tag, &rounds);
            answer((uint32_t)outs[i].to);
        }
        if (outs[i].kind != OUT_SEND || outs[i].frame.type != FRAME_SCAN)
            continue;
        any = true;
        assert_true(scan_decode(&outs[i].frame, &scan));
        reply.rows = scan.digest_only ? NULL : &none;
        scan_reply_encode(stage_buffer(&fixture.stage), outs[i].frame.tag, &reply);
        answer((uint32_t)outs[i].to);
    }
    return any;
}

static void
older_data_that_are_found_out_late_are_filled_before_the_next_read(void **state)
{
    DataMark lost = {.run = {{9}}, .commits = 1};
    HelloFrame hello;

    peers_up();
    give_any_read();
    assert_int_equal(read_item().status, STATUS_OK);
    answer_hello_remembering(1, 2, lost);
    assert_true(engine_is_refilling(fixture.engine));
    give_any_read();
    assert_int_equal(count_outs(OUT_REPLY, CLIENT), 1);
    while (answer_scans())
        ;
    assert_false(engine_is_refilling(fixture.engine));
    give_any_read();
    assert_int_equal(read_item().status, STATUS_OK);
    answer_hello_remembering(1, 2, lost);
    assert_false(engine_is_refilling(fixture.engine));
    fixture.out_count = 0;
    pass(1000);
    assert_true(hello_decode(&fixture.outs[0].frame, &hello));
    assert_int_equal(hello.data_state, DATA_WHOLE);
}

/* Its topology may have been set back with its data, to before a bucket was made. */
static void
a_node_that_was_set_back_is_not_filled_before_it_knows_every_bucket(void **state)
{
    peers_up();
    answer_hello_remembering(1, 3, (DataMark){.run = {{9}}, .commits = 1});
    while (answer_scans())
        ;
    assert_true(engine_is_refilling(fixture.engine));
    answer_next_topology(1);
    assert_true(engine_is_refilling(fixture.engine));
    while (answer_scans())
        ;
    assert_false(engine_is_refilling(fixture.engine));
}

/* So that nobody stores a write of its together with it and does not know of the run. */
static void
a_node_that_was_filled_tells_the_others_at_once(void **state)
{
    HelloFrame hello = {0};

    peers_up();
    answer_hello_remembering(1, 2, (DataMark){.run = {{9}}, .commits = 1});
    while (engine_is_refilling(fixture.engine))
        assert_true(answer_scans());
    assert_int_equal(count_sent(1, FRAME_HELLO), 1);
    assert_int_equal(count_sent(2, FRAME_HELLO), 1);
    for (uint32_t i = 0; i < fixture.out_count; i++)
    {
        if (fixture.outs[i].frame.type == FRAME_HELLO)
            assert_true(hello_decode(&fixture.outs[i].frame, &hello));
    }
    assert_int_equal(hello.data_state, DATA_WHOLE);
}

static bool
grants_promise(void)
{
    PaxosFrame promise;
    Frame frame;

    give_prepare();
    frame = reply_to(MEMBER);
    assert_int_equal(frame.type, FRAME_PROMISE);
    assert_true(paxos_frame_decode(&frame, &promise));
    return promise.ok;
}

static void
a_node_whose_data_are_older_has_no_vote_until_some_time_after(void **state)
{
    assert_false(grants_promise());
    peers_up();
    answer_hello_remembering(1, 2, (DataMark){.run = {{9}}, .commits = 1});
    fixture.out_count = 0;
    pass(100);
    assert_false(grants_promise());
    engine_peer_down(fixture.engine, 1); /* who owe answers to scans, forgotten here */
    engine_peer_down(fixture.engine, 2);
    peers_up();
    pass(1000);
    while (answer_scans())
        ;
    assert_false(engine_is_refilling(fixture.engine));
    fixture.out_count = 0;
    assert_false(grants_promise());
    pass(10000);
    fixture.out_count = 0;
    assert_true(grants_promise());
}

/* It may be the member that was removed, with what was reaped since. */
static void
data_of_a_node_that_knows_of_no_removal_are_refused(void **state)
{
    Slice key = stage_key(&fixture.stage, "key");
    ReplicateItem item = {.bucket_id = STAGE_BUCKET,
                          .key = key,
                          .object = stage_object(&fixture.stage, 1, 1, "apple")};
    ReplicateFrame replicate = {
        .epoch = fixture.stage.topology.epoch - 1, .items = &item, .item_count = 1};
    ReadItem read;

    peers_up();
    replicate_encode(stage_buffer(&fixture.stage), TAG, &replicate);
    give(MEMBER);
    assert_refused(MEMBER, STATUS_BEHIND);
    give_read(key, READ_FULL, replicate.epoch, STAGE_BUCKET);
    read = read_item();
    assert_int_equal(read.status, STATUS_OK);
    assert_int_equal(read.object.length, 0);
    replicate.epoch++;
    replicate_encode(stage_buffer(&fixture.stage), TAG, &replicate);
    give(MEMBER);
    assert_int_equal(reply_to(MEMBER).type, FRAME_REPLICATE_REPLY);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_client_may_send_what_is_for_clients_and_nothing_else),
        TEST(a_node_may_send_what_clients_may_not),
        TEST_FENCED(data_of_a_node_that_knows_of_no_removal_are_refused),
        TEST(a_frame_too_short_for_its_header_is_refused),
        TEST(an_answer_of_a_peer_that_is_garbage_is_ignored),
        TEST_NEW(a_node_in_no_cluster_says_so),
        TEST_NEW(a_node_in_no_cluster_tells_its_status),
        TEST_NEW(a_damaged_state_makes_no_engine),
        TEST_ALONE(what_was_written_can_be_read_and_scanned),
        TEST_ALONE(a_write_is_answered_when_it_is_durable),
        TEST(only_an_admin_may_ask_for_repairs),
        TEST(a_repair_is_of_what_was_named),
        TEST(the_status_of_repairs_is_told_from_the_row_asked_for_on),
        TEST_ALONE(a_write_whose_sync_fails_is_unknown_and_the_next_is_refused),
        TEST_ALONE(what_would_wait_too_long_is_refused_and_not_written),
        TEST_ALONE(what_waited_until_nobody_waits_for_it_is_not_written),
        TEST_ALONE(a_request_that_was_answered_leaves_its_place),
        TEST(replicates_leave_at_the_end_of_the_turn),
        TEST(acknowledgements_leave_at_the_end_of_the_turn),
        TEST(a_member_that_goes_down_ends_the_writes_that_waited_for_it),
        TEST(what_is_to_be_stored_outlives_an_operation_that_ends_in_the_same_event),
        TEST(promises_are_persisted_before_they_are_answered),
        TEST(a_node_tells_whom_it_reaches),
        TEST(a_node_wakes_up_in_time_for_its_work),
        TEST(a_frame_of_a_later_epoch_waits_for_the_topology_that_it_makes_the_node_fetch),
        TEST(a_held_frame_is_answered_when_its_time_is_up),
        TEST(a_held_frame_of_a_bucket_that_is_known_is_carried_out_when_its_time_is_up),
        TEST(a_frame_of_an_older_epoch_is_not_held),
        TEST(no_frame_is_dropped_without_an_answer_when_too_many_are_held),
        TEST(a_frame_of_another_node_is_held_whatever_its_size),
        TEST(large_frames_are_held_up_to_a_bound),
        TEST(a_place_that_could_not_be_read_is_answered_from_after_the_others_were_asked),
        TEST(a_read_waits_until_all_have_told_what_they_remember_of_the_data),
        TEST(a_read_waits_for_no_silent_member_for_long),
        TEST(a_read_that_waits_is_refused_when_the_data_turn_out_to_be_older),
        TEST_NEW(a_node_that_finds_itself_a_member_waits_for_what_others_remember_of_it),
        TEST(a_node_that_has_left_answers_no_client_and_goes_on_hearing),
        TEST_JOINING(a_node_that_joins_is_ready_when_it_knows_how_far_reaping_has_come),
        TEST(older_data_that_are_found_out_late_are_filled_before_the_next_read),
        TEST(reads_of_a_dropped_bucket_are_refused_as_such),
        TEST(a_node_that_was_filled_tells_the_others_at_once),
        TEST(a_node_that_was_set_back_is_not_filled_before_it_knows_every_bucket),
        TEST(a_node_whose_data_are_older_has_no_vote_until_some_time_after),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
