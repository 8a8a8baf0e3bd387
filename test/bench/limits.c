/*
 * limits.c: what the machine itself can do, so that the other figures can be read.
 *
 *   bench_limits echo serve -p PORT         an echo server for `bench_wire echo ping`, until killed
 *   bench_limits rocksdb put -c 16 -d DIR   synced puts into a fresh RocksDB, one thread a client
 *   bench_limits disk sync -c 3 -d DIR      4 KiB pwrite and fdatasync, one thread and one file a
 * client
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "test/bench/workload.h"

typedef struct Worker
{
    pthread_t thread;
    int number;
    uint64_t deadline_ns;
    rocksdb_t *db;
    Workload workload; /* a copy: each worker has its own random numbers */
    Latencies latencies;
} Worker;

static void
echo_accept(int epoll, int listener)
{
    int on = 1;
    int fd = accept(listener, NULL, NULL);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void
echo_once(int fd)
{
    char buffer[4096];
    ssize_t got = recv(fd, buffer, sizeof buffer, 0);

    if (got <= 0 || send(fd, buffer, (size_t)got, MSG_NOSIGNAL) != got)
        close(fd);
}

static void
echo_serve(const Workload *workload)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)workload->ports[0]),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event events[WORKLOAD_MAX_CLIENTS];
    int on = 1;
    int epoll = epoll_create1(0);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};

    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, WORKLOAD_MAX_CLIENTS) != 0)
        workload_die("echo", "cannot listen");
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;)
    {
        int ready = epoll_wait(epoll, events, WORKLOAD_MAX_CLIENTS, -1);

        for (int i = 0; i < ready; i++)
        {
            if (events[i].data.fd == listener)
                echo_accept(epoll, listener);
            else
                echo_once(events[i].data.fd);
        }
    }
}

static void *
rocksdb_work(void *argument)
{
    Worker *worker = argument;
    rocksdb_writeoptions_t *options = rocksdb_writeoptions_create();
    char value[WORKLOAD_VALUE_BYTES];
    char key[32];
    char *error = NULL;

    rocksdb_writeoptions_set_sync(options, 1);
    for (uint64_t now = workload_now_ns(); now < worker->deadline_ns;)
    {
        uint64_t sent = now;
        int length = sprintf(key, "key%09ld", workload_next_key(&worker->workload));

        workload_fill_value(&worker->workload, value);
        rocksdb_put(worker->db, options, key, (size_t)length, value, sizeof value, &error);
        if (error != NULL)
            workload_die("rocksdb", error);
        now = workload_now_ns();
        latencies_add(&worker->latencies, now - sent);
    }
    rocksdb_writeoptions_destroy(options);
    return NULL;
}

static void *
sync_work(void *argument)
{
    Worker *worker = argument;
    static const char page[4096];
    char path[1024];
    int fd;

    snprintf(path, sizeof path, "%s/sync.%d", worker->workload.directory, worker->number);
    fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    if (fd < 0)
        workload_die("cannot create", path);
    /* The same page again and again, as pg_test_fsync does: the file does not grow while it is
     * measured. */
    for (uint64_t now = workload_now_ns(); now < worker->deadline_ns;)
    {
        uint64_t sent = now;

        if (pwrite(fd, page, sizeof page, 0) != sizeof page || fdatasync(fd) != 0)
            workload_die("cannot write", path);
        now = workload_now_ns();
        latencies_add(&worker->latencies, now - sent);
    }
    close(fd);
    unlink(path);
    return NULL;
}

static void
run(const Workload *workload, void *(*work)(void *), rocksdb_t *db)
{
    Worker *workers = calloc((size_t)workload->clients, sizeof *workers);
    static Latencies all;
    uint64_t started = workload_now_ns();

    for (int i = 0; i < workload->clients; i++)
    {
        workers[i].number = i;
        workers[i].db = db;
        workers[i].deadline_ns = started + (uint64_t)(workload->seconds * 1e9);
        workers[i].workload = *workload;
        workers[i].workload.random += (uint64_t)i * 0x9E3779B97F4A7C15;
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
    for (int i = 0; i < workload->clients; i++)
    {
        pthread_join(workers[i].thread, NULL);
        latencies_merge(&all, &workers[i].latencies);
    }
    workload_report(&all, workload_now_ns() - started);
    free(workers);
}

static void
rocksdb_run(const Workload *workload)
{
    rocksdb_options_t *options = rocksdb_options_create();
    char *error = NULL;
    rocksdb_t *db;

    rocksdb_options_set_create_if_missing(options, 1);
    db = rocksdb_open(options, workload->directory, &error);
    if (error != NULL)
        workload_die("rocksdb", error);
    run(workload, rocksdb_work, db);
    rocksdb_close(db);
    rocksdb_options_destroy(options);
}

int
main(int argc, char **argv)
{
    Workload workload = workload_parse(argc, argv);

    if (strcmp(workload.system, "echo") == 0 && workload.port_count == 1)
        echo_serve(&workload);
    else if (strcmp(workload.system, "rocksdb") == 0)
        rocksdb_run(&workload);
    else if (strcmp(workload.system, "disk") == 0)
        run(&workload, sync_work, NULL);
    else
        workload_die("usage", "echo serve -p PORT | rocksdb put -d DIR | disk sync -d DIR");
    return 0;
}
