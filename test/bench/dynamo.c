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
#include <sys/epoll.h>

#include "shared/ask/request.h"
#include "test/bench/nodes.h"

enum
{
    QUORUM = 2,
    TIMEOUT_MS = 5000,
    HEDGE_AFTER_MS = 100
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
    Connection connections[NODES_MAX];
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
    Nodes nodes;
    int epoll;
    Latencies latencies;
    int busy;
} Bench;

static void
client_connect(Bench *bench, Client *client)
{
    arena_init(&client->arena, &MEMORY_HEAP);
    buffer_init(&client->key_bytes, &MEMORY_HEAP);
    buffer_init(&client->value_bytes, &MEMORY_HEAP);
    for (uint32_t i = 0; i < bench->nodes.topology.member_count; i++)
    {
        const Member *member = &bench->nodes.topology.members[i];
        Connection *connection = &client->connections[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};

        connection->client = client;
        connection->member = i;
        connection->watched = EPOLLIN;
        connection->link = nodes_connect(bench->workload, member->address, member->port);
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
    nodes_make_key(&client->key_bytes, key);
    client->key = buffer_slice(&client->key_bytes);
    if (strcmp(bench->workload->operation, "get") == 0)
        client->request =
            request_read(&client->arena, &client->asker, &bench->nodes.topology,
                         bench->nodes.bucket, &options, &client->key, 1, nodes_now_ms());
    else
    {
        client->value = nodes_make_value(&client->value_bytes, bench->workload);
        client->item = (WriteItem){.key = client->key, .values = &client->value, .value_count = 1};
        client->request =
            request_write(&client->arena, &client->asker, &bench->nodes.topology,
                          bench->nodes.bucket, &options, &client->item, 1, nodes_now_ms());
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
            request_answer(client->request, connection->member, &frame, nodes_now_ms()))
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
    uint64_t ticked = nodes_now_ms();

    bench->busy = workload->clients;
    for (int i = 0; i < workload->clients; i++)
        client_begin(bench, &clients[i]);
    while (bench->busy > 0 && workload_now_ns() < deadline)
    {
        int ready = epoll_wait(bench->epoll, events, WORKLOAD_MAX_CLIENTS, 10);

        for (int i = 0; i < ready; i++)
            connection_ready(bench, events[i].data.ptr);
        if (nodes_now_ms() != ticked)
        {
            ticked = nodes_now_ms();
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
    arena_init(&bench.nodes.arena, &MEMORY_HEAP);
    nodes_prepare(&bench.nodes, &workload);
    for (int i = 0; i < workload.clients; i++)
    {
        clients[i].asker.seed = (uint64_t)i;
        client_connect(&bench, &clients[i]);
    }
    run(&bench, clients);
    return 0;
}
