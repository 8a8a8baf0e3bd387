/*
 * flood.c: more load than a node can take, and a client that wants to be served beside it.
 *
 *   bench_flood flood put -p 7101 -c 64 -s 10     connections that send without waiting
 *   bench_flood probe put -p 7101 -s 60           one request at a time, every few milliseconds
 *   bench_flood mute get -p 7101 -s 5             asks for much and reads nothing
 *
 * The flood keeps WINDOW frames under way on each connection, and counts how they end. The probe
 * writes a key or reads it, and when it is refused for overload waits a while with jitter and tries
 * again, as the extension does; its latency ends with the answer. It prints a line each second:
 *
 *     SECOND p50_us p99_us done refused
 *
 * Both ask node after node of -p for what every node can do alone (w=1, or a full read of its own),
 * so that what is seen is that node's doing. Any end but success and overload ends the program.
 */
#include <errno.h>
#include <libpq-fe.h>
#include <openssl/ssl.h>

#include "test/bench/nodes.h"

enum
{
    WINDOW = 512,
    PROBE_EVERY_MS = 5,
    TIMEOUT_MS = 5000,
    BACKOFF_FIRST_MS = 10,
    BACKOFF_MOST_MS = 200,
    MUTE_KEYS = 500
};

typedef struct Flooder
{
    Link *link;
    int under_way;
} Flooder;

typedef struct Flood
{
    Workload *workload;
    Nodes nodes;
    Buffer frame;
    Buffer key;
    Buffer value;
    uint32_t tag;
    uint64_t sent;
    uint64_t done;
    uint64_t refused;
} Flood;

static bool
is_put(const Flood *flood)
{
    return strcmp(flood->workload->operation, "put") == 0;
}

/* A frame for one key, in flood->frame; keys: how often a read names it. */
static Slice
make_frame(Flood *flood, uint32_t keys)
{
    static Slice names[MUTE_KEYS];

    buffer_reset(&flood->frame);
    nodes_make_key(&flood->key, workload_next_key(flood->workload));
    for (uint32_t i = 0; i < keys; i++)
        names[i] = buffer_slice(&flood->key);
    if (is_put(flood))
    {
        PutValue value = nodes_make_value(&flood->value, flood->workload);
        WriteItem item = {.key = names[0], .values = &value, .value_count = 1};
        WriteFrame write = {.epoch = flood->nodes.topology.epoch,
                            .bucket_id = flood->nodes.bucket->id,
                            .w = 1,
                            .timeout_ms = TIMEOUT_MS,
                            .clock_ms = nodes_now_ms(), /* of one machine */
                            .alone_ms = TIMEOUT_MS,
                            .items = &item,
                            .item_count = 1};

        write_encode(&flood->frame, ++flood->tag, &write);
    }
    else
    {
        ReadFrame read = {.epoch = flood->nodes.topology.epoch,
                          .bucket_id = flood->nodes.bucket->id,
                          .mode = READ_FULL,
                          .timeout_ms = TIMEOUT_MS,
                          .keys = names,
                          .key_count = keys};

        read_encode(&flood->frame, ++flood->tag, &read);
    }
    return buffer_slice(&flood->frame);
}

/* True when the request was carried out, false when it was refused for overload. */
static bool
is_done(Slice bytes)
{
    Frame frame;
    ErrorFrame error;

    if (!frame_decode(bytes, &frame))
        workload_die("flood", "a frame that cannot be read");
    if (frame.type == FRAME_WRITE_REPLY || frame.type == FRAME_READ_REPLY)
        return true;
    if (frame.type != FRAME_ERROR || !error_decode(&frame, &error))
        workload_die("flood", frame_type_name(frame.type));
    if (error.status != STATUS_OVERLOADED)
        workload_die("flood", status_text(error.status));
    return false;
}

/* ---- flood ---- */

static void
turn_flooder(Flood *flood, Flooder *flooder)
{
    Slice bytes;

    (void)link_step(flooder->link);
    while (link_receive(flooder->link, &bytes))
    {
        bool done = is_done(bytes);

        flooder->under_way--;
        flood->done += done;
        flood->refused += !done;
    }
    while (flooder->under_way < WINDOW && link_queued_bytes(flooder->link) == 0)
    {
        for (int i = 0; i < WINDOW / 8 && flooder->under_way < WINDOW; i++)
        {
            (void)link_send(flooder->link, make_frame(flood, 1));
            flooder->under_way++;
            flood->sent++;
        }
        (void)link_flush(flooder->link);
    }
    if (link_state(flooder->link) == LINK_BROKEN)
        workload_die("flood", link_error(flooder->link));
}

static void
run_flood(Flood *flood)
{
    static Flooder flooders[WORKLOAD_MAX_CLIENTS];
    static struct pollfd polls[WORKLOAD_MAX_CLIENTS];
    Workload *workload = flood->workload;
    uint64_t end_ms;

    for (int i = 0; i < workload->clients; i++)
        flooders[i].link =
            nodes_connect(workload, workload->host, workload->ports[i % workload->port_count]);
    end_ms = nodes_now_ms() + (uint64_t)(workload->seconds * 1000);
    while (nodes_now_ms() < end_ms)
    {
        for (int i = 0; i < workload->clients; i++)
        {
            turn_flooder(flood, &flooders[i]);
            polls[i].fd = link_socket(flooders[i].link);
            polls[i].events =
                (short)(POLLIN | (link_wants(flooders[i].link) & LINK_WRITE ? POLLOUT : 0));
        }
        poll(polls, (nfds_t)workload->clients, 100);
    }
    printf("sent %llu done %llu refused %llu\n", (unsigned long long)flood->sent,
           (unsigned long long)flood->done, (unsigned long long)flood->refused);
}

/* ---- probe ---- */

static bool
probe_once(Flood *flood, Link *link)
{
    Slice bytes;

    (void)link_send(link, make_frame(flood, 1));
    while (!link_receive(link, &bytes))
    {
        struct pollfd wait = {.fd = link_socket(link), .events = POLLIN};

        if (link_flush(link) == LINK_BROKEN || poll(&wait, 1, 2 * TIMEOUT_MS) <= 0 ||
            link_step(link) == LINK_BROKEN)
            workload_die("probe, no answer", link_error(link));
    }
    return is_done(bytes);
}

static void
probe(Flood *flood, Link *link, Latencies *latencies)
{
    uint64_t start_ns = workload_now_ns();
    int backoff_ms = BACKOFF_FIRST_MS;

    while (!probe_once(flood, link))
    {
        flood->refused++;
        poll(NULL, 0,
             backoff_ms / 2 + (int)(workload_random(flood->workload) % (uint64_t)backoff_ms));
        backoff_ms = backoff_ms * 2 > BACKOFF_MOST_MS ? BACKOFF_MOST_MS : backoff_ms * 2;
    }
    flood->done++;
    latencies_add(latencies, workload_now_ns() - start_ns);
}

static void
run_probe(Flood *flood)
{
    static Latencies latencies;
    Workload *workload = flood->workload;
    Link *link = nodes_connect(workload, workload->host, workload->ports[0]);
    uint64_t start_ms = nodes_now_ms();

    for (uint64_t second = 0; second < (uint64_t)workload->seconds; second++)
    {
        memset(&latencies, 0, sizeof latencies);
        flood->done = flood->refused = 0;
        while (nodes_now_ms() < start_ms + (second + 1) * 1000)
        {
            probe(flood, link, &latencies);
            poll(NULL, 0, PROBE_EVERY_MS);
        }
        printf("%llu %.0f %.0f %llu %llu\n", (unsigned long long)second,
               latencies_quantile(&latencies, 0.5), latencies_quantile(&latencies, 0.99),
               (unsigned long long)flood->done, (unsigned long long)flood->refused);
        fflush(stdout);
    }
}

/* ---- mute ---- */

/* A stream over TLS, where frames have no tags. */
static PGconn *
connect_mute(const Workload *workload)
{
    char port[8];
    const char *keywords[] = {"hostaddr", "port", "user", "dbname", "sslmode", "gssencmode", NULL};
    const char *values[] = {workload->host, port, workload->user, "dynamo", "require",
                            "disable",      NULL};
    PGconn *connection;
    PGresult *result;

    snprintf(port, sizeof port, "%d", workload->ports[0]);
    connection = PQconnectdbParams(keywords, values, 0);
    result = PQexec(connection, "STREAM 1");
    if (PQresultStatus(result) != PGRES_COPY_BOTH)
        workload_die("dynamo", PQerrorMessage(connection));
    PQclear(result);
    return connection;
}

/* Sends past libpq, which would read what it can while it cannot send. Ends when it is cut: libpq
 * goes on pretending to write. */
static void
run_mute(Flood *flood)
{
    Workload *workload = flood->workload;
    PGconn *connection = connect_mute(workload);
    SSL *ssl = PQsslStruct(connection, "OpenSSL");
    struct pollfd lost = {.fd = PQsocket(connection), .events = 0};
    uint64_t end_ms = nodes_now_ms() + (uint64_t)(workload->seconds * 1000);
    Slice frame = make_frame(flood, MUTE_KEYS);
    Buffer message;
    size_t sent = 0;

    buffer_init(&message, &MEMORY_HEAP);
    buffer_put_u8(&message, 'd');
    buffer_put_u32(&message, (uint32_t)frame.length + 4);
    buffer_put(&message, frame.data, frame.length);
    while (nodes_now_ms() < end_ms)
    {
        size_t at = sent % message.length;
        int count = SSL_write(ssl, message.data + at, (int)(message.length - at));

        if (poll(&lost, 1, 0) == 1 ||
            (count <= 0 && SSL_get_error(ssl, count) != SSL_ERROR_WANT_WRITE))
        {
            printf("cut after %zu bytes\n", sent);
            return;
        }
        sent += count > 0 ? (size_t)count : 0;
        if (count <= 0)
            poll(NULL, 0, 10);
    }
    printf("not cut\n");
}

int
main(int argc, char **argv)
{
    static Flood flood;
    Workload workload = workload_parse(argc, argv);

    if (workload.port_count == 0)
        workload_die("usage", "-p port is needed");
    flood.workload = &workload;
    arena_init(&flood.nodes.arena, &MEMORY_HEAP);
    buffer_init(&flood.frame, &MEMORY_HEAP);
    buffer_init(&flood.key, &MEMORY_HEAP);
    buffer_init(&flood.value, &MEMORY_HEAP);
    nodes_prepare(&flood.nodes, &workload);
    if (strcmp(workload.system, "flood") == 0)
        run_flood(&flood);
    else if (strcmp(workload.system, "probe") == 0)
        run_probe(&flood);
    else if (strcmp(workload.system, "mute") == 0)
        run_mute(&flood);
    else
        workload_die("not a mode of this program", workload.system);
    return 0;
}
