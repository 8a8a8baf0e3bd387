/*
 * nodes.h: what load generators ask a dynamo cluster before the clock starts, and what they write.
 *
 * The bucket "bench" is made when it is not there, at N=3: integer keys, one text column. Whatever
 * goes wrong ends the program. The password is PGPASSWORD; PGSSLMODE may be disable. Everything is
 * static, as in workload.h.
 */
#ifndef TEST_BENCH_NODES_H
#define TEST_BENCH_NODES_H

#include <poll.h>

#include "shared/data/keycodec.h"
#include "shared/data/value.h"
#include "shared/wire/link.h"
#include "shared/wire/message.h"
#include "test/bench/workload.h"

enum
{
    NODES_REPLICAS = 3,
    NODES_MAX = 16,
    NODES_TYPE_TEXT = 25
};

typedef struct Nodes
{
    Arena arena; /* of the topology */
    Topology topology;
    const Bucket *bucket;
} Nodes;

static inline uint64_t
nodes_now_ms(void)
{
    return workload_now_ns() / 1000000;
}

static inline Link *
nodes_connect(const Workload *workload, const char *address, int port)
{
    char port_text[8];
    const char *sslmode = getenv("PGSSLMODE");
    const char *keywords[] = {"hostaddr", "port", "user", "dbname", "gssencmode", "sslmode", NULL};
    const char *values[] = {address,  port_text, workload->user,
                            "dynamo", "disable", sslmode != NULL ? sslmode : LINK_SSLMODE,
                            NULL};
    Link *link;

    snprintf(port_text, sizeof port_text, "%d", port);
    link = link_open(&MEMORY_HEAP, keywords, values);
    while (link_step(link) == LINK_CONNECTING)
    {
        int wants = link_wants(link);
        struct pollfd wait = {.fd = link_socket(link),
                              .events = (short)((wants & LINK_READ ? POLLIN : 0) |
                                                (wants & LINK_WRITE ? POLLOUT : 0))};

        if (poll(&wait, 1, 10000) <= 0)
            workload_die("dynamo", "connecting took more than 10 s");
    }
    if (link_state(link) != LINK_STREAMING)
        workload_die("dynamo", link_error(link));
    return link;
}

/* Sends one frame and waits for one: for what is done once, before the clock starts. */
static inline Frame
nodes_ask(Link *link, const Buffer *question)
{
    Slice bytes;
    Frame frame;

    link_send(link, buffer_slice(question));
    while (!link_receive(link, &bytes))
    {
        struct pollfd wait = {.fd = link_socket(link), .events = POLLIN};

        if (link_flush(link) == LINK_BROKEN || poll(&wait, 1, 10000) <= 0 ||
            link_step(link) == LINK_BROKEN)
            workload_die("dynamo, no answer", link_error(link));
    }
    if (!frame_decode(bytes, &frame))
        workload_die("dynamo", "a frame that cannot be read");
    return frame;
}

static inline void
nodes_take_topology(Nodes *nodes, Link *link, const Buffer *question)
{
    Frame frame = nodes_ask(link, question);
    TopologyFrame topology;
    ErrorFrame error;

    if (frame.type == FRAME_ERROR && error_decode(&frame, &error))
        workload_die("dynamo refused", status_text(error.status));
    if (frame.type != FRAME_TOPOLOGY || !topology_frame_decode(&frame, &topology) ||
        !topology_decode(slice_copy(&nodes->arena, topology.document), &nodes->arena,
                         &nodes->topology))
        workload_die("dynamo", "no topology in the answer");
    if (nodes->topology.member_count > NODES_MAX)
        workload_die("dynamo", "too many nodes for this program");
    nodes->bucket = topology_bucket_by_name(&nodes->topology, "bench");
}

static inline void
nodes_make_bucket(Nodes *nodes, Link *link, const Bucket *bucket)
{
    Buffer question;
    ErrorFrame error;
    Frame frame;

    buffer_init(&question, &MEMORY_HEAP);
    bucket_create_encode(&question, 2, bucket);
    frame = nodes_ask(link, &question);
    if (frame.type == FRAME_ERROR && error_decode(&frame, &error))
        workload_die("dynamo refused", status_text(error.status));
    buffer_free(&question);
}

static inline void
nodes_prepare(Nodes *nodes, const Workload *workload)
{
    BucketColumn column = {.name = "v", .type = "text"};
    Bucket bucket = {.name = "bench",
                     .n = NODES_REPLICAS,
                     .key_types = {KEY_INTEGER},
                     .key_names = {"id"},
                     .key_count = 1,
                     .columns = &column,
                     .column_count = 1};
    Link *link = nodes_connect(workload, workload->host, workload->ports[0]);
    Buffer question;

    buffer_init(&question, &MEMORY_HEAP);
    topology_fetch_encode(&question, 1, &(TopologyFetch){0});
    nodes_take_topology(nodes, link, &question);
    if (nodes->bucket == NULL)
    {
        nodes_make_bucket(nodes, link, &bucket);
        nodes_take_topology(nodes, link, &question);
    }
    if (nodes->bucket == NULL)
        workload_die("dynamo", "the bucket was not made");
    buffer_free(&question);
    link_close(link);
}

static inline void
nodes_make_key(Buffer *bytes, long key)
{
    buffer_reset(bytes);
    keycodec_put(bytes, &(KeyValue){.type = KEY_INTEGER, .number = key});
}

/* A random value under a random request id; its bytes lie in the buffer. */
static inline PutValue
nodes_make_value(Buffer *bytes, Workload *workload)
{
    char text[WORKLOAD_VALUE_BYTES];
    ValueColumn column = {.name = slice_from_string("v"),
                          .type_oid = NODES_TYPE_TEXT,
                          .data = slice_make(text, sizeof text)};
    uint64_t id[2] = {workload_random(workload), workload_random(workload)};
    PutValue value = {0};

    workload_fill_value(workload, text);
    buffer_reset(bytes);
    value_encode(bytes, &column, 1);
    value.value = buffer_slice(bytes);
    memcpy(&value.request, id, sizeof value.request);
    return value;
}

#endif
