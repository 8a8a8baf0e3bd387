#include "test/sim/trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "shared/wire/message.h"
#include "test/sim/world.h"

bool
trace_is_on(const World *world)
{
    return world->tracing != NULL;
}

void
trace_line(World *world, const char *format, ...)
{
    va_list arguments;

    fprintf(world->tracing, "%10.3f ms  ", (double)world->now_us / 1000);
    va_start(arguments, format);
    vfprintf(world->tracing, format, arguments);
    va_end(arguments);
    fputc('\n', world->tracing);
}

/* A text that lives in the world and is used again after a few more. */
static TraceText *
new_text(World *world)
{
    TraceText *text = &world->texts[world->text_next];

    world->text_next = (world->text_next + 1) % TRACE_TEXTS;
    text->length = 0;
    text->bytes[0] = '\0';
    return text;
}

static void add(TraceText *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
add(TraceText *text, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(text->bytes + text->length, sizeof(text->bytes) - text->length, format,
                       arguments);
    va_end(arguments);
    if (length > 0)
        text->length += (size_t)length;
    if (text->length >= sizeof(text->bytes))
        text->length = sizeof(text->bytes) - 1;
}

static void
add_version(World *world, TraceText *text, const RequestId *request)
{
    char name[32];

    checker_name(world->checker, request, name, sizeof(name));
    add(text, "%s", name);
}

static void
add_key(World *world, TraceText *text, uint32_t bucket_id, Slice key)
{
    uint32_t number = checker_find_key(world->checker, bucket_id, key);

    if (number == CHECKER_NONE)
        add(text, " k?");
    else
        add(text, " k%u", number);
}

static void
add_object(World *world, TraceText *text, Slice bytes)
{
    Arena arena;
    Object object;

    arena_init(&arena, &MEMORY_HEAP);
    if (bytes.length == 0)
        add(text, "nothing");
    else if (!object_decode(bytes, &arena, &object))
        add(text, "an unreadable object");
    else
    {
        add(text, "{");
        for (uint32_t i = 0; i < object.sibling_count; i++)
        {
            const Sibling *sibling = &object.siblings[i];

            add(text, i > 0 ? ", " : "");
            add_version(world, text, &sibling->request);
            add(text, "%s", sibling->tombstone ? " (deleted)" : "");
            if (sibling->dot_count > 1)
                add(text, " (%u dots)", sibling->dot_count);
        }
        add(text, "}");
    }
    arena_free(&arena);
}

static void
add_endpoint(TraceText *text, uint32_t endpoint)
{
    if (endpoint < NETWORK_HOSTS_MAX)
        add(text, "n%u", endpoint);
    else
        add(text, "c%u", endpoint - NETWORK_HOSTS_MAX);
}

const char *
trace_endpoint(World *world, uint32_t endpoint)
{
    TraceText *text = new_text(world);

    add_endpoint(text, endpoint);
    return text->bytes;
}

const char *
trace_endpoints(World *world, uint32_t endpoints)
{
    TraceText *text = new_text(world);

    for (uint32_t i = 0; i < NETWORK_ENDPOINTS_MAX; i++)
    {
        bool exists = i < NETWORK_HOSTS_MAX ? i < world->mix.hosts
                                            : i - NETWORK_HOSTS_MAX < world->mix.clients;

        if (!exists || (endpoints >> i & 1) == 0)
            continue;
        add(text, text->length > 0 ? " " : "");
        add_endpoint(text, i);
    }
    return text->bytes;
}

const char *
trace_version(World *world, const RequestId *request)
{
    TraceText *text = new_text(world);

    if (world->tracing)
        add_version(world, text, request);
    return text->bytes;
}

const char *
trace_object(World *world, Slice object)
{
    TraceText *text = new_text(world);

    if (world->tracing)
        add_object(world, text, object);
    return text->bytes;
}

/* ---- frames in words ---- */

static void
tell_read(World *world, TraceText *text, const Frame *frame, Arena *arena)
{
    static const char *MODES[] = {"", "", " digests of", " coordinated"};
    ReadFrame read;

    if (!read_decode(frame, arena, &read))
        return;
    add(text, "%s", MODES[read.mode]);
    for (uint32_t i = 0; i < read.key_count; i++)
        add_key(world, text, read.bucket_id, read.keys[i]);
    add(text, ", r %u", read.r);
}

static void
tell_read_reply(World *world, TraceText *text, const Frame *frame, Arena *arena)
{
    ReadReply reply;

    if (!read_reply_decode(frame, arena, &reply))
        return;
    for (uint32_t i = 0; i < reply.item_count; i++)
    {
        const ReadItem *item = &reply.items[i];

        add(text, " ");
        if (item->status != STATUS_OK)
            add(text, "%s", status_name(item->status));
        else if (reply.mode == READ_DIGEST)
            add(text, "digest %02x%02x", item->digest.bytes[0], item->digest.bytes[1]);
        else
            add_object(world, text, item->object);
    }
}

static void
tell_write(World *world, TraceText *text, const Frame *frame, Arena *arena)
{
    WriteFrame write;

    if (!write_decode(frame, arena, &write))
        return;
    for (uint32_t i = 0; i < write.item_count; i++)
    {
        for (uint32_t v = 0; v < write.items[i].value_count; v++)
        {
            add(text, " ");
            add_version(world, text, &write.items[i].values[v].request);
        }
    }
    add(text, ", w %u%s", write.w, write.retry ? ", again" : "");
}

static void
tell_write_reply(World *world, TraceText *text, const Frame *frame, Arena *arena)
{
    WriteReply reply;

    (void)world;
    if (!write_reply_decode(frame, arena, &reply))
        return;
    for (uint32_t i = 0; i < reply.item_count; i++)
        add(text, " %s (acked %x)", status_name(reply.items[i].status), reply.items[i].acked);
}

static void
tell_scan(World *world, TraceText *text, const Frame *frame, Arena *arena)
{
    ScanFrame scan;

    (void)world;
    (void)arena;
    if (scan_decode(frame, &scan))
        add(text, "%s of partition %u%s%s", scan.digest_only ? " digest" : " rows", scan.partition,
            scan.after.length > 0 ? ", on from a row" : "",
            scan.through.length > 0 ? ", up to a row" : "");
}

static void
tell_scan_reply(World *world, TraceText *text, const Frame *frame, Arena *arena)
{
    ScanReply reply;

    (void)world;
    if (scan_reply_decode(frame, arena, &reply))
        add(text, " %s, %u rows%s, digest %02x%02x", status_name(reply.status), reply.row_count,
            reply.done ? ", the last" : "", reply.digest.bytes[0], reply.digest.bytes[1]);
}

static void
tell_replicate(World *world, TraceText *text, const Frame *frame, Arena *arena)
{
    ReplicateFrame replicate;

    if (!replicate_decode(frame, arena, &replicate))
        return;
    for (uint32_t i = 0; i < replicate.item_count; i++)
    {
        add_key(world, text, replicate.items[i].bucket_id, replicate.items[i].key);
        add(text, " ");
        add_object(world, text, replicate.items[i].object);
    }
}

static void
tell_replicate_reply(World *world, TraceText *text, const Frame *frame, Arena *arena)
{
    ReplicateReply reply;

    (void)world;
    if (!replicate_reply_decode(frame, arena, &reply))
        return;
    for (uint32_t i = 0; i < reply.item_count; i++)
        add(text, " %s", status_name(reply.items[i].status));
}

static void
tell_paxos(World *world, TraceText *text, const Frame *frame, Arena *arena)
{
    PaxosFrame paxos;

    (void)world;
    (void)arena;
    if (paxos_frame_decode(frame, &paxos))
        add(text, " of epoch %llu, round %llu%s%s", (unsigned long long)paxos.epoch,
            (unsigned long long)paxos.ballot.round, paxos.ok ? ", granted" : "",
            paxos.document.length > 0 ? ", with a document" : "");
}

static void
tell_error(World *world, TraceText *text, const Frame *frame, Arena *arena)
{
    ErrorFrame error;

    (void)world;
    (void)arena;
    if (error_decode(frame, &error))
        add(text, " %s %.*s", status_name(error.status), (int)error.message.length,
            (const char *)error.message.data);
}

const char *
trace_frame(World *world, Slice bytes)
{
    static void (*const TELLERS[FRAME_TYPE_END])(World *, TraceText *, const Frame *, Arena *) = {
        [FRAME_ERROR] = tell_error,
        [FRAME_READ] = tell_read,
        [FRAME_READ_REPLY] = tell_read_reply,
        [FRAME_WRITE] = tell_write,
        [FRAME_WRITE_REPLY] = tell_write_reply,
        [FRAME_SCAN] = tell_scan,
        [FRAME_SCAN_REPLY] = tell_scan_reply,
        [FRAME_REPLICATE] = tell_replicate,
        [FRAME_REPLICATE_REPLY] = tell_replicate_reply,
        [FRAME_PREPARE] = tell_paxos,
        [FRAME_PROMISE] = tell_paxos,
        [FRAME_ACCEPT] = tell_paxos,
        [FRAME_ACCEPTED] = tell_paxos,
        [FRAME_CHOSEN] = tell_paxos,
    };
    TraceText *text = new_text(world);
    Arena arena;
    Frame frame;

    if (!world->tracing)
        return text->bytes;
    if (!frame_decode(bytes, &frame))
        return "an unreadable frame";
    arena_init(&arena, &MEMORY_HEAP);
    add(text, "%s", frame_type_name(frame.type));
    if (TELLERS[frame.type] != NULL)
        TELLERS[frame.type](world, text, &frame, &arena);
    arena_free(&arena);
    return text->bytes;
}
