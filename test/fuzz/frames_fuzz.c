/*
 * Frames of any bytes, from clients and from nodes, into a whole engine: a formed cluster of one
 * node on a storage in memory, with one bucket. Every frame of a client is answered once, in time.
 *
 * Input: for each frame a byte of flags and the frame as a slice.
 */
#include "node/engine/engine.h"
#include "test/fuzz/fuzz.h"
#include "test/lib/memory_store.h"

enum
{
    FLAG_PEER = 1,      /* from another node */
    FLAG_TIME = 2,      /* time passes before it */
    FLAG_TURN_GOES = 4, /* the turn does not end after it */
    FRAMES_MAX = 64,
    PEERS = 64,
    SETUP_SESSION = FRAMES_MAX,
    LONG_MS = 6000 /* longer than any frame waits */
};

typedef struct Answers
{
    uint32_t count[FRAMES_MAX + 1]; /* by session: one for each frame, one for setting up */
} Answers;

static void
output_send(void *context, uint32_t peer, Slice frame)
{
    (void)context;
    (void)peer;
    (void)frame;
}

static void
output_reply(void *context, uint64_t session, Slice bytes)
{
    Answers *answers = context;
    Frame frame;

    fuzz_require(frame_decode(bytes, &frame));
    fuzz_require(session <= SETUP_SESSION);
    answers->count[session]++;
    if (session != SETUP_SESSION && frame.type != FRAME_ERROR)
        fuzz_is_taken = true;
}

static bool
output_persist(void *context, Slice state)
{
    (void)context;
    (void)state;
    return true;
}

static uint32_t
output_peer(void *context, const char *address, uint16_t port)
{
    (void)context;
    (void)address;
    return port % PEERS;
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
    return 4; /* as good as any, and every run is the same */
}

static const EngineConfig CONFIG = {.host.id = {{1}},
                                    .host.name = "n0",
                                    .host.address = "127.0.0.1",
                                    .host.port = 7100,
                                    .host.zone = "",
                                    .host.weight = 1,
                                    .host.seeds = "127.0.0.1:7100",
                                    .host.partitions = RING_PARTITIONS_MIN,
                                    .request_timeout_ms = 500,
                                    .host.peer_timeout_ms = 1000,
                                    .max_key_bytes = 100,
                                    .max_value_bytes = 1000,
                                    .keys = {.count = 1}};

static void
create_bucket(Engine *engine)
{
    Bucket bucket = {
        .name = "cart", .n = 1, .key_types = {KEY_TEXT}, .key_names = {"customer"}, .key_count = 1};
    Buffer frame;

    buffer_init(&frame, &MEMORY_HEAP);
    bucket_create_encode(&frame, 1, &bucket);
    engine_session_frame(engine, SETUP_SESSION, ENGINE_CLIENT, 0, buffer_slice(&frame));
    buffer_free(&frame);
}

static void
pass_time(Engine *engine, uint64_t *now_ms, uint64_t ms)
{
    *now_ms += ms;
    engine_time(engine, *now_ms, 1700000000000 + *now_ms);
    engine_tick(engine);
    engine_turn_end(engine);
}

static void
feed(Engine *engine, Slice input, uint64_t *now_ms, Answers *answers)
{
    bool from_client[FRAMES_MAX] = {false};
    Reader reader = reader_begin(input);

    for (uint32_t i = 0; i < FRAMES_MAX && reader_left(&reader) > 0; i++)
    {
        uint8_t flags = reader_u8(&reader);
        Slice frame = reader_slice(&reader);

        if (reader.failed)
            break;
        if ((flags & FLAG_TIME) != 0)
            pass_time(engine, now_ms, 300);
        from_client[i] = (flags & FLAG_PEER) == 0;
        engine_session_frame(engine, i, from_client[i] ? ENGINE_CLIENT : ENGINE_PEER, 0, frame);
        if ((flags & FLAG_TURN_GOES) == 0)
            engine_turn_end(engine);
    }
    pass_time(engine, now_ms, LONG_MS);
    for (uint32_t i = 0; i < FRAMES_MAX; i++)
        fuzz_require(!from_client[i] || answers->count[i] == 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Answers answers = {{0}};
    HostCalls output = {
        .send = output_send,
        .reply = output_reply,
        .persist = output_persist,
        .log = output_log,
        .questions = {.peer = output_peer, .random = output_random},
        .context = &answers
    };
    Engine *engine = engine_new(&CONFIG, &output, SLICE_EMPTY);
    StorageEvents events = engine_storage_events(engine);
    MemoryStore *store = memory_store_new();
    uint64_t now_ms = 1000;

    engine_set_storage(engine, memory_store_open(store, &events), SLICE_EMPTY);
    pass_time(engine, &now_ms, 200);
    create_bucket(engine);
    fuzz_require(engine_topology(engine)->epoch == 2 && answers.count[SETUP_SESSION] == 1);
    feed(engine, slice_make(data, size), &now_ms, &answers);
    engine_free(engine);
    memory_store_free(store);
    return 0;
}
