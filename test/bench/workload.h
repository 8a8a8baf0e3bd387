/*
 * workload.h: what the load generators share.
 *
 * A closed loop: every client has one request under way, and sends the next when the answer is in.
 * Options, keys, values, the clock and the latencies are here; how a request looks and how an
 * answer is recognised is each generator's own. The result is one line on stdout: operations a
 * second, p50 and p99 in microseconds.
 *
 * Everything is static so that each generator stays one source file.
 */
#ifndef TEST_BENCH_WORKLOAD_H
#define TEST_BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum
{
    WORKLOAD_VALUE_BYTES = 200,
    WORKLOAD_PUT_KEYS = 1000000000,
    WORKLOAD_MAX_PORTS = 16,
    WORKLOAD_MAX_CLIENTS = 256,
    LATENCY_STEPS = 64, /* steps in each power of two: 1.6 % exact */
    LATENCY_BUCKETS = 64 * LATENCY_STEPS
};

/* Nanoseconds in logarithmic buckets. */
typedef struct Latencies
{
    uint64_t buckets[LATENCY_BUCKETS];
    uint64_t count;
} Latencies;

typedef struct Workload
{
    const char *system;
    const char *operation;
    const char *host;
    const char *directory;
    const char *user;
    int ports[WORKLOAD_MAX_PORTS];
    int port_count;
    int clients;
    long keys;
    double seconds;
    bool load; /* each key once, in order, instead of random keys for `seconds` */
    long loaded;
    uint64_t random;
} Workload;

static inline uint64_t
workload_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static inline void
workload_die(const char *what, const char *detail)
{
    fprintf(stderr, "bench: %s: %s\n", what, detail);
    exit(1);
}

static inline void
workload_parse_ports(Workload *workload, char *list)
{
    for (char *port = strtok(list, ","); port != NULL; port = strtok(NULL, ","))
    {
        if (workload->port_count == WORKLOAD_MAX_PORTS)
            workload_die("too many ports", port);
        workload->ports[workload->port_count++] = atoi(port);
    }
}

/* Reads SYSTEM OPERATION [-h host] [-p port,...] [-c clients] [-n keys] [-s seconds]
 * [-d directory] [-u user]. */
static inline Workload
workload_parse(int argc, char **argv)
{
    Workload workload = {.host = "127.0.0.1",
                         .directory = ".",
                         .user = "dynamo",
                         .clients = 1,
                         .keys = 20000,
                         .seconds = 3,
                         .random = workload_now_ns() | 1};
    int option;

    if (argc < 3)
        workload_die("usage", "SYSTEM OPERATION [-p port,...] [-c clients] [-n keys] [-s seconds]");
    workload.system = argv[1];
    workload.operation = argv[2];
    workload.load = strcmp(argv[2], "load") == 0;
    optind = 3;
    while ((option = getopt(argc, argv, "h:p:c:n:s:d:u:")) != -1)
    {
        switch (option)
        {
        case 'h':
            workload.host = optarg;
            break;
        case 'p':
            workload_parse_ports(&workload, optarg);
            break;
        case 'c':
            workload.clients = atoi(optarg);
            break;
        case 'n':
            workload.keys = atol(optarg);
            break;
        case 's':
            workload.seconds = atof(optarg);
            break;
        case 'd':
            workload.directory = optarg;
            break;
        case 'u':
            workload.user = optarg;
            break;
        default:
            exit(1);
        }
    }
    if (workload.clients < 1 || workload.clients > WORKLOAD_MAX_CLIENTS || workload.keys < 1)
        workload_die("out of range", "clients or keys");
    return workload;
}

/* xorshift64*: good enough to spread keys, and cheaper than what it measures. */
static inline uint64_t
workload_random(Workload *workload)
{
    workload->random ^= workload->random >> 12;
    workload->random ^= workload->random << 25;
    workload->random ^= workload->random >> 27;
    return workload->random * 0x2545F4914F6CDD1D;
}

/*
 * The number of the next key, or -1 when a load has named them all. A put takes one of a thousand
 * million, in practice a new one: a put without a context on a key that is there makes a sibling in
 * a dynamo cluster and would grow the object, while the other systems overwrite.
 */
static inline long
workload_next_key(Workload *workload)
{
    if (strcmp(workload->operation, "put") == 0)
        return (long)(workload_random(workload) % WORKLOAD_PUT_KEYS);
    if (!workload->load)
        return (long)(workload_random(workload) % (uint64_t)workload->keys);
    return workload->loaded < workload->keys ? workload->loaded++ : -1;
}

/* Random letters, so that no store gains by compression or dislikes a byte. */
static inline void
workload_fill_value(Workload *workload, char value[WORKLOAD_VALUE_BYTES])
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    for (int i = 0; i < WORKLOAD_VALUE_BYTES;)
    {
        uint64_t bits = workload_random(workload);

        for (int j = 0; j < 10 && i < WORKLOAD_VALUE_BYTES; j++, bits >>= 6)
            value[i++] = letters[bits & 63];
    }
}

static inline void
latencies_add(Latencies *latencies, uint64_t ns)
{
    int shift = ns < LATENCY_STEPS ? 0 : 57 - __builtin_clzll(ns);

    latencies->buckets[shift * LATENCY_STEPS + (int)(ns >> shift)]++;
    latencies->count++;
}

static inline void
latencies_merge(Latencies *into, const Latencies *from)
{
    for (int i = 0; i < LATENCY_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
    into->count += from->count;
}

/* Microseconds below which `fraction` of the requests were answered. */
static inline double
latencies_quantile(const Latencies *latencies, double fraction)
{
    uint64_t rank = (uint64_t)((double)latencies->count * fraction);
    uint64_t seen = 0;

    for (int i = 0; i < LATENCY_BUCKETS; i++)
    {
        int shift = i < 2 * LATENCY_STEPS ? 0 : i / LATENCY_STEPS - 1;

        seen += latencies->buckets[i];
        if (seen > rank)
            return (double)((uint64_t)(i - shift * LATENCY_STEPS) << shift) / 1000;
    }
    return 0;
}

static inline void
workload_report(const Latencies *latencies, uint64_t elapsed_ns)
{
    if (latencies->count == 0)
        workload_die("no request", "was answered");
    printf("%.0f %.0f %.0f\n", (double)latencies->count * 1e9 / (double)elapsed_ns,
           latencies_quantile(latencies, 0.5), latencies_quantile(latencies, 0.99));
}

#endif
