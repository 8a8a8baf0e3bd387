/*
 * wire.c: closed-loop load on a peer that speaks over plain TCP: Redis, etcd, an echo server.
 *
 *   bench_wire redis put -p 6379 -c 16 -s 3
 *
 * One process, one epoll, one connection a client, in turn over the ports given. Any answer other
 * than the one expected ends the run with an error: a fast failure must not count as work done.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "test/bench/workload.h"

enum
{
    MESSAGE_MAX = 4096
};

typedef struct Client
{
    int fd;
    uint64_t sent_ns;
    size_t received;
    char answer[MESSAGE_MAX + 1];
} Client;

/* How one operation looks on the wire. */
typedef struct Protocol
{
    const char *system;
    const char *operation;
    /* Writes the request for `key` to `out` (MESSAGE_MAX bytes) and returns its length. */
    size_t (*request)(Workload *workload, long key, char *out);
    /* Length of the whole answer, 0 while it is incomplete, -1 if it is not the one wanted. `in`
     * ends with a NUL. */
    ssize_t (*answer)(const char *in, size_t length);
} Protocol;

static size_t
echo_request(Workload *workload, long key, char *out)
{
    (void)key;
    workload_fill_value(workload, out);
    return WORKLOAD_VALUE_BYTES;
}

static ssize_t
echo_answer(const char *in, size_t length)
{
    (void)in;
    return length >= WORKLOAD_VALUE_BYTES ? WORKLOAD_VALUE_BYTES : 0;
}

/* SET, and WAIT until one replica has processed it (or a second has passed), in one write. */
static size_t
redis_put(Workload *workload, long key, char *out)
{
    int length = sprintf(out, "*3\r\n$3\r\nSET\r\n$12\r\nkey%09ld\r\n$200\r\n", key);

    workload_fill_value(workload, out + length);
    length += WORKLOAD_VALUE_BYTES;
    length += sprintf(out + length, "\r\n*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$4\r\n1000\r\n");
    return (size_t)length;
}

static ssize_t
redis_put_answer(const char *in, size_t length)
{
    const size_t whole = strlen("+OK\r\n:1\r\n");

    if (length < whole)
        return 0;
    return strncmp(in, "+OK\r\n:", 6) == 0 && in[6] > '0' ? (ssize_t)whole : -1;
}

static size_t
redis_get(Workload *workload, long key, char *out)
{
    (void)workload;
    return (size_t)sprintf(out, "*2\r\n$3\r\nGET\r\n$12\r\nkey%09ld\r\n", key);
}

static ssize_t
redis_get_answer(const char *in, size_t length)
{
    const size_t whole = strlen("$200\r\n") + WORKLOAD_VALUE_BYTES + 2;

    if (length < 6)
        return 0;
    if (strncmp(in, "$200\r\n", 6) != 0)
        return -1;
    return length >= whole ? (ssize_t)whole : 0;
}

/* Base64 of `length` bytes, a multiple of three or padded; returns the end of `out`. */
static char *
base64_encode(const char *in, size_t length, char *out)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < length; i += 3)
    {
        uint32_t bits = (uint32_t)(uint8_t)in[i] << 16;

        if (i + 1 < length)
            bits |= (uint32_t)(uint8_t)in[i + 1] << 8;
        if (i + 2 < length)
            bits |= (uint8_t)in[i + 2];
        *out++ = letters[bits >> 18];
        *out++ = letters[bits >> 12 & 63];
        *out++ = i + 1 < length ? letters[bits >> 6 & 63] : '=';
        *out++ = i + 2 < length ? letters[bits & 63] : '=';
    }
    return out;
}

static size_t
etcd_request(const char *method, const char *body, char *out)
{
    return (size_t)sprintf(out,
                           "POST /v3/kv/%s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                           "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                           method, strlen(body), body);
}

static char *
etcd_key(long key, char *out)
{
    char name[16];

    sprintf(name, "key%09ld", key);
    out += sprintf(out, "{\"key\":\"");
    return base64_encode(name, 12, out);
}

static size_t
etcd_put(Workload *workload, long key, char *out)
{
    char value[WORKLOAD_VALUE_BYTES];
    char body[MESSAGE_MAX / 2];
    char *end = etcd_key(key, body);

    workload_fill_value(workload, value);
    end += sprintf(end, "\",\"value\":\"");
    end = base64_encode(value, sizeof value, end);
    strcpy(end, "\"}");
    return etcd_request("put", body, out);
}

/* A range request is linearizable unless it says otherwise. */
static size_t
etcd_get(Workload *workload, long key, char *out)
{
    char body[MESSAGE_MAX / 2];

    (void)workload;
    strcpy(etcd_key(key, body), "\"}");
    return etcd_request("range", body, out);
}

static ssize_t
etcd_put_answer(const char *in, size_t length)
{
    const char *body = strstr(in, "\r\n\r\n");
    const char *size = strstr(in, "Content-Length: ");
    size_t whole;

    if (body == NULL)
        return 0;
    if (strncmp(in, "HTTP/1.1 200", 12) != 0 || size == NULL || size > body)
        return -1;
    whole = (size_t)(body + 4 - in) + strtoul(size + 16, NULL, 10);
    return length >= whole ? (ssize_t)whole : 0;
}

static ssize_t
etcd_get_answer(const char *in, size_t length)
{
    ssize_t whole = etcd_put_answer(in, length);

    return whole > 0 && strstr(in, "\"value\"") == NULL ? -1 : whole;
}

static const Protocol protocols[] = {
    {"echo",  "ping", echo_request, echo_answer     },
    {"redis", "load", redis_put,    redis_put_answer},
    {"redis", "put",  redis_put,    redis_put_answer},
    {"redis", "get",  redis_get,    redis_get_answer},
    {"etcd",  "load", etcd_put,     etcd_put_answer },
    {"etcd",  "put",  etcd_put,     etcd_put_answer },
    {"etcd",  "get",  etcd_get,     etcd_get_answer },
};

static const Protocol *
protocol_find(const Workload *workload)
{
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
    {
        if (strcmp(protocols[i].system, workload->system) == 0 &&
            strcmp(protocols[i].operation, workload->operation) == 0)
            return &protocols[i];
    }
    workload_die("no such operation", workload->operation);
    return NULL;
}

static void
client_connect(Client *client, const Workload *workload, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1;

    inet_pton(AF_INET, workload->host, &address.sin_addr);
    client->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(client->fd, (struct sockaddr *)&address, sizeof address) != 0)
    {
        perror("bench: connect");
        exit(1);
    }
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* False when there is no key left to load. */
static bool
client_send(Client *client, Workload *workload, const Protocol *protocol)
{
    char request[MESSAGE_MAX];
    long key = workload_next_key(workload);
    size_t length;

    if (key < 0)
        return false;
    length = protocol->request(workload, key, request);
    client->received = 0;
    client->sent_ns = workload_now_ns();
    if (send(client->fd, request, length, MSG_NOSIGNAL) != (ssize_t)length)
        workload_die(protocol->system, "a request could not be sent");
    return true;
}

/* True once the whole answer is in. */
static bool
client_receive(Client *client, const Protocol *protocol)
{
    ssize_t whole;
    ssize_t got = recv(client->fd, client->answer + client->received,
                       MESSAGE_MAX - client->received, MSG_DONTWAIT);

    if (got <= 0)
        workload_die(protocol->system, "the server closed the connection or sent too much");
    client->received += (size_t)got;
    client->answer[client->received] = '\0';
    whole = protocol->answer(client->answer, client->received);
    if (whole < 0)
        workload_die("unexpected answer", client->answer);
    return whole > 0;
}

static void
run(Workload *workload, const Protocol *protocol, Client *clients)
{
    static Latencies latencies;
    struct epoll_event events[WORKLOAD_MAX_CLIENTS];
    int epoll = epoll_create1(0);
    uint64_t started;
    uint64_t deadline;
    int busy = 0;

    for (int i = 0; i < workload->clients; i++)
    {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};

        client_connect(&clients[i], workload, workload->ports[i % workload->port_count]);
        epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].fd, &event);
    }
    started = workload_now_ns();
    deadline = workload->load ? UINT64_MAX : started + (uint64_t)(workload->seconds * 1e9);
    for (int i = 0; i < workload->clients; i++)
        busy += client_send(&clients[i], workload, protocol);
    while (busy > 0 && workload_now_ns() < deadline)
    {
        int ready = epoll_wait(epoll, events, WORKLOAD_MAX_CLIENTS, 10000);

        if (ready <= 0)
            workload_die(protocol->system, "no answer within 10 s");
        for (int i = 0; i < ready; i++)
        {
            Client *client = events[i].data.ptr;

            if (!client_receive(client, protocol))
                continue;
            latencies_add(&latencies, workload_now_ns() - client->sent_ns);
            if (!client_send(client, workload, protocol))
                busy--;
        }
    }
    workload_report(&latencies, workload_now_ns() - started);
}

int
main(int argc, char **argv)
{
    static Client clients[WORKLOAD_MAX_CLIENTS];
    Workload workload = workload_parse(argc, argv);

    if (workload.port_count == 0)
        workload_die("usage", "-p port is needed");
    run(&workload, protocol_find(&workload), clients);
    return 0;
}
