/*
 * dynamo.c: closed-loop load on a dynamo cluster, by the same quorum logic and the same links as
 * the extension's.
 *
 *   bench_dynamo dynamo put -p 7101 -c 16 -s 3 -u dynamo
 *
 * One process, one epoll. A client is what a backend is to the cluster: a link to every node and
 * one request under way, at N=3 R=2 W=2. The bucket "bench" is made when it is not there. Any key
 * that does not end as STATUS_OK ends the run.
 */
#include <poll.h>
#include <sys/epoll.h>

#include "shared/link.h"
#include "shared/request.h"
#include "shared/value.h"
#include "test/bench/workload.h"

enum
{
    REPLICAS = 3,
    QUORUM = 2,
    MEMBERS_MAX = 16,
    TIMEOUT_MS = 5000,
    HEDGE_AFTER_MS = 100,
    TYPE_OID_TEXT = 25
};

typedef struct Client Client;

typedef struct Connection
{
    Client *client;
    uint32_t member;
    Link *link;
    uint32_t watched; /* epoll events asked for */
} Connection;

struct Client
{
    Connection connections[MEMBERS_MAX];
    RequestAsker asker;
    Arena arena; /* of the request under way */
    Buffer key_bytes;
    Buffer value_bytes;
    Slice key;
    WriteItem item;
    PutValue value;
    Request *request;
    uint64_t sent_ns;
};

typedef struct Bench
{
    Workload *workload;
    Arena arena; /* of the topology */
    Topology topology;
    const Bucket *bucket;
    int epoll;
    Latencies latencies;
    int busy;
} Bench;

static uint64_t
now_ms(void)
{
    return workload_now_ns() / 1000000;
}

static Link *
connect_to(const Bench *bench, const char *address, int port)
{
    char port_text[8];
    const char *keywords[] = {"hostaddr", "port", "user", "dbname", "sslmode", "gssencmode", NULL};
    const char *values[] = {address,   port_text, bench->workload->user, "dynamo", "disable",
                            "disable", NULL};
    Link *link;

    snprintf(port_text, sizeof port_text, "%d", port);
    link = link_open(keywords, values);
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
static Frame
ask(Link *link, const Buffer *question)
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

static void
ask_for_topology(Bench *bench, Link *link, const Buffer *question)
{
    Frame frame = ask(link, question);
    TopologyFrame topology;
    ErrorFrame error;

    if (frame.type == FRAME_ERROR && error_decode(&frame, &error))
        workload_die("dynamo refused", status_text(error.status));
    if (frame.type != FRAME_TOPOLOGY || !topology_frame_decode(&frame, &topology) ||
        !topology_decode(slice_copy(&bench->arena, topology.document), &bench->arena,
                         &bench->topology))
        workload_die("dynamo", "no topology in the answer");
    if (bench->topology.member_count > MEMBERS_MAX)
        workload_die("dynamo", "too many nodes for this program");
    bench->bucket = topology_bucket_by_name(&bench->topology, "bench");
}

static void
prepare_bucket(Bench *bench)
{
    BucketColumn column = {.name = "v", .type = "text"};
    Bucket bucket = {.name = "bench",
                     .n = REPLICAS,
                     .key_types = {KEY_INTEGER},
                     .key_names = {"id"},
                     .key_count = 1,
                     .columns = &column,
                     .column_count = 1};
    Link *link = connect_to(bench, bench->workload->host, bench->workload->ports[0]);
    Buffer question;

    buffer_init(&question, &MEMORY_HEAP);
    topology_fetch_encode(&question, 1, &(TopologyFetch){0});
    ask_for_topology(bench, link, &question);
    if (bench->bucket == NULL)
    {
        buffer_reset(&question);
        bucket_create_encode(&question, 2, &bucket);
        ask_for_topology(bench, link, &question);
    }
    if (bench->bucket == NULL)
        workload_die("dynamo", "the bucket was not made");
    buffer_free(&question);
    link_close(link);
}

static void
client_connect(Bench *bench, Client *client)
{
    arena_init(&client->arena, &MEMORY_HEAP);
    buffer_init(&client->key_bytes, &MEMORY_HEAP);
    buffer_init(&client->value_bytes, &MEMORY_HEAP);
    for (uint32_t i = 0; i < bench->topology.member_count; i++)
    {
        const Member *member = &bench->topology.members[i];
        Connection *connection = &client->connections[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};

        connection->client = client;
        connection->member = i;
        connection->watched = EPOLLIN;
        connection->link = connect_to(bench, member->address, member->port);
        epoll_ctl(bench->epoll, EPOLL_CTL_ADD, link_socket(connection->link), &event);
    }
}

static void
connection_watch(const Bench *bench, Connection *connection)
{
    uint32_t events =
        EPOLLIN | (link_wants(connection->link) & LINK_WRITE ? (uint32_t)EPOLLOUT : 0);
    struct epoll_event event = {.events = events, .data.ptr = connection};

    if (events == connection->watched)
        return;
    connection->watched = events;
    epoll_ctl(bench->epoll, EPOLL_CTL_MOD, link_socket(connection->link), &event);
}

/* Sends whatever the request wants sent now. */
static void
client_pump(const Bench *bench, Client *client)
{
    uint32_t member;
    Slice frame;

    while (request_next_send(client->request, &member, &frame))
    {
        Connection *connection = &client->connections[member];

        if (!link_send(connection->link, frame) || link_flush(connection->link) == LINK_BROKEN)
            workload_die("dynamo", link_error(connection->link));
        connection_watch(bench, connection);
    }
}

static void
client_make_key(Client *client, long key)
{
    buffer_reset(&client->key_bytes);
    keycodec_put(&client->key_bytes, &(KeyValue){.type = KEY_INTEGER, .number = key});
    client->key = buffer_slice(&client->key_bytes);
}

static void
client_make_item(Client *client, Workload *workload)
{
    char text[WORKLOAD_VALUE_BYTES];
    ValueColumn column = {.name = slice_from_string("v"),
                          .type_oid = TYPE_OID_TEXT,
                          .data = slice_make(text, sizeof text)};
    uint64_t id[2] = {workload_random(workload), workload_random(workload)};

    workload_fill_value(workload, text);
    buffer_reset(&client->value_bytes);
    value_encode(&client->value_bytes, &column, 1);
    client->value = (PutValue){.value = buffer_slice(&client->value_bytes)};
    memcpy(&client->value.request, id, sizeof client->value.request);
    client->item = (WriteItem){.key = client->key, .values = &client->value, .value_count = 1};
}

/* Begins the next request, or leaves the client idle when a load has named every key. */
static void
client_begin(Bench *bench, Client *client)
{
    RequestOptions options = {
        .quorum = QUORUM, .timeout_ms = TIMEOUT_MS, .hedge_after_ms = HEDGE_AFTER_MS};
    long key = workload_next_key(bench->workload);

    client->request = NULL;
    if (key < 0)
    {
        bench->busy--;
        return;
    }
    client->sent_ns = workload_now_ns();
    arena_reset(&client->arena);
    client_make_key(client, key);
    if (strcmp(bench->workload->operation, "get") == 0)
        client->request = request_read(&client->arena, &client->asker, &bench->topology,
                                       bench->bucket, &options, &client->key, 1, now_ms());
    else
    {
        client_make_item(client, bench->workload);
        client->request = request_write(&client->arena, &client->asker, &bench->topology,
                                        bench->bucket, &options, &client->item, 1, now_ms());
    }
    client_pump(bench, client);
}

static void
client_check(const Bench *bench, const Client *client)
{
    if (strcmp(bench->workload->operation, "get") != 0)
    {
        const RequestWriteResult *result = request_write_results(client->request);

        if (result->status != STATUS_OK)
            workload_die("dynamo put", status_text(result->status));
        return;
    }

    const RequestReadResult *result = request_read_results(client->request);

    if (result->status != STATUS_OK)
        workload_die("dynamo get", status_text(result->status));
    if (result->object.length < WORKLOAD_VALUE_BYTES)
        workload_die("dynamo get", "the key was not found");
}

/* Goes on as far as the request can, and with the next one when it is done. */
static void
client_advance(Bench *bench, Client *client)
{
    client_pump(bench, client);
    if (!request_done(client->request))
        return;
    client_check(bench, client);
    latencies_add(&bench->latencies, workload_now_ns() - client->sent_ns);
    request_end(client->request);
    client_begin(bench, client);
}

static void
connection_ready(Bench *bench, Connection *connection)
{
    Client *client = connection->client;
    Slice bytes;
    Frame frame;

    if (link_step(connection->link) == LINK_BROKEN)
        workload_die("dynamo", link_error(connection->link));
    while (link_receive(connection->link, &bytes))
    {
        if (!frame_decode(bytes, &frame))
            workload_die("dynamo", "a frame that cannot be read");
        /* An answer that comes after its request has ended is of no request. */
        if (client->request != NULL &&
            request_answer(client->request, connection->member, &frame, now_ms()))
            client_advance(bench, client);
    }
    connection_watch(bench, connection);
}

static void
tick(Bench *bench, Client *clients, uint64_t now)
{
    for (int i = 0; i < bench->workload->clients; i++)
    {
        if (clients[i].request != NULL && request_wake_ms(clients[i].request) <= now)
        {
            request_tick(clients[i].request, now);
            client_advance(bench, &clients[i]);
        }
    }
}

static void
run(Bench *bench, Client *clients)
{
    Workload *workload = bench->workload;
    struct epoll_event events[WORKLOAD_MAX_CLIENTS];
    uint64_t started = workload_now_ns();
    uint64_t deadline = workload->load ? UINT64_MAX : started + (uint64_t)(workload->seconds * 1e9);
    uint64_t ticked = now_ms();

    bench->busy = workload->clients;
    for (int i = 0; i < workload->clients; i++)
        client_begin(bench, &clients[i]);
    while (bench->busy > 0 && workload_now_ns() < deadline)
    {
        int ready = epoll_wait(bench->epoll, events, WORKLOAD_MAX_CLIENTS, 10);

        for (int i = 0; i < ready; i++)
            connection_ready(bench, events[i].data.ptr);
        if (now_ms() != ticked)
        {
            ticked = now_ms();
            tick(bench, clients, ticked);
        }
    }
    workload_report(&bench->latencies, workload_now_ns() - started);
}

int
main(int argc, char **argv)
{
    static Client clients[WORKLOAD_MAX_CLIENTS];
    static Bench bench;
    Workload workload = workload_parse(argc, argv);

    if (workload.port_count == 0)
        workload_die("usage", "-p port is needed");
    bench.workload = &workload;
    bench.epoll = epoll_create1(0);
    arena_init(&bench.arena, &MEMORY_HEAP);
    prepare_bucket(&bench);
    for (int i = 0; i < workload.clients; i++)
    {
        clients[i].asker.seed = (uint64_t)i;
        client_connect(&bench, &clients[i]);
    }
    run(&bench, clients);
    return 0;
}
