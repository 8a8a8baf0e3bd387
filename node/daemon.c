/*
 * A node's process, from start to stop: folder, options, log, loop, node, server and console, and
 * the signals.
 *
 * Start: the folder is locked before anything in it is written; storage opens before the port does,
 * so nobody is let in who could not be answered. Stop: the server drains (sessions end as their
 * requests are answered, at most request_timeout_ms), then sessions close, then storage completes
 * what it has begun, then the loop is empty and ends.
 *
 * A store that must be opened anew (a disk that was full when written to) goes through the same
 * stop and start within the process.
 */
#include "node/daemon.h"

#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "node/config/config.h"
#include "node/config/identity.h"
#include "node/config/log.h"
#include "node/config/users.h"
#include "node/console/console.h"
#include "node/host/node.h"
#include "node/server/server.h"

#define PATH_SIZE 4096
#define SIGNAL_COUNT 3

typedef struct Daemon
{
    const DaemonStart *start;
    Config config;
    Identity *identity;
    Log *log;
    Users *users;
    uv_loop_t loop;
    uv_signal_t signals[SIGNAL_COUNT];
    Node *node;
    Server *server;
    Console *console;
    bool is_stopping;
    bool is_restarting; /* it is stopping, to serve anew */
} Daemon;

/* Settings of the command line come behind the file, so they count more, also after SIGHUP. */
static Outcome
load_config(const Daemon *daemon, Config *config)
{
    char path[PATH_SIZE];
    const DaemonStart *start = daemon->start;
    Outcome outcome;

    outcome = config_load(config, identity_path(start->dir, "dynamo.conf", path, sizeof(path)));
    for (size_t i = 0; i < start->setting_count && !outcome.failed; i++)
        outcome = config_set_argument(config, start->settings[i]);
    return outcome.failed ? outcome : config_finish(config);
}

static Outcome
load_users(Daemon *daemon)
{
    char path[PATH_SIZE];

    return users_load(daemon->users,
                      identity_path(daemon->start->dir, "users", path, sizeof(path)));
}

/* ---- stopping and reloading ---- */

/* The signals are the last handles of the loop, which ends without them. */
static void
on_node_closed(void *ctx)
{
    Daemon *daemon = ctx;

    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        uv_close((uv_handle_t *)&daemon->signals[i], NULL);
}

/* Sessions are gone, so nobody waits for an answer: storage completes what it has begun. */
static void
on_server_closed(void *ctx)
{
    Daemon *daemon = ctx;

    node_close(daemon->node, on_node_closed, daemon);
}

static void
on_drained(void *ctx)
{
    Daemon *daemon = ctx;

    server_close(daemon->server, on_server_closed, daemon);
}

static void
stop_daemon(void *ctx)
{
    Daemon *daemon = ctx;

    if (daemon->is_stopping)
        return;
    daemon->is_stopping = true;
    log_info(daemon->log, "stopping");
    server_drain(daemon->server, (uint64_t)daemon->config.request_timeout_ms, on_drained, daemon);
}

static void
restart_daemon(void *ctx)
{
    Daemon *daemon = ctx;

    if (daemon->is_stopping)
        return;
    daemon->is_restarting = true;
    stop_daemon(daemon);
}

static void
on_option_changed(void *context, const ConfigOption *option, bool needs_restart)
{
    Daemon *daemon = context;
    char value[256];

    if (needs_restart)
        log_warning(
            daemon->log,
            "option %s was changed in dynamo.conf; restart the node to put the change into effect",
            option->name);
    else
        log_info(daemon->log, "option %s is now \"%s\"", option->name,
                 config_value(&daemon->config, option, value, sizeof(value)));
}

static void
log_reload_failure(Daemon *daemon, const char *what, Outcome outcome)
{
    if (outcome.failed)
        log_error(daemon->log, "%s: %s; what was in force before stays in force", what,
                  outcome.message);
}

static void
log_keys(Daemon *daemon)
{
    const ClusterKeys *keys = &daemon->identity->keys;
    char id[KEYRING_ID_SIZE];

    keyring_id(keys->keys[0], id);
    log_info(daemon->log, "the cluster keys were read again: key %s is in use, %u are installed",
             id, keys->count);
}

/* Keys that have not changed are left alone: to take them would make all links anew. */
static Outcome
reload_keys(Daemon *daemon)
{
    char path[PATH_SIZE];
    ClusterKeys fresh;
    Outcome outcome = identity_read_keys(
        identity_path(daemon->start->dir, "cluster.key", path, sizeof(path)), &fresh);

    if (!outcome.failed && sodium_memcmp(&fresh, &daemon->identity->keys, sizeof(fresh)) != 0)
    {
        daemon->identity->keys = fresh;
        users_set_keys(daemon->users, &daemon->identity->keys);
        node_keys_changed(daemon->node);
        server_keys_changed(daemon->server);
        log_keys(daemon);
    }
    sodium_memzero(&fresh, sizeof(fresh));
    return outcome;
}

/* Each part is read by itself: a mistake in one file keeps none of the others from taking effect. A
 * part that cannot be read stays as it was. */
static void
reload_daemon(Daemon *daemon)
{
    Config fresh;
    Outcome outcome;

    log_info(daemon->log, "reloading");
    config_init(&fresh);
    outcome = load_config(daemon, &fresh);
    if (outcome.failed)
        log_reload_failure(daemon, "could not reload the options", outcome);
    else
    {
        config_reload(&daemon->config, &fresh, on_option_changed, daemon);
        node_reload(daemon->node);
    }
    config_free(&fresh);
    log_reload_failure(daemon, "could not reload the users", load_users(daemon));
    log_reload_failure(daemon, "could not reload the cluster keys", reload_keys(daemon));
    log_reload_failure(daemon, "could not reload the certificate", server_reload(daemon->server));
    log_reload_failure(
        daemon, "could not reopen the log",
        log_reopen(daemon->log, (LogLevel)daemon->config.log_level, daemon->config.log_file));
}

static void
on_signal(uv_signal_t *handle, int signal_number)
{
    Daemon *daemon = handle->data;

    if (signal_number != SIGHUP)
        stop_daemon(daemon);
    else if (!daemon->is_stopping)
        reload_daemon(daemon);
}

/* ---- starting ---- */

static void
on_query(void *ctx, Session *session, const char *sql)
{
    Daemon *daemon = ctx;

    console_query(daemon->console, session, sql);
}

static bool
on_describe(void *ctx, Session *session, const char *sql, const Column **columns, size_t *count)
{
    Daemon *daemon = ctx;

    return console_describe(daemon->console, session, sql, columns, count);
}

static void
on_stream_started(void *ctx, Session *session)
{
    Daemon *daemon = ctx;

    node_stream_started(daemon->node, session);
}

static void
on_stream_frame(void *ctx, Session *session, Slice frame)
{
    Daemon *daemon = ctx;

    node_stream_frame(daemon->node, session, frame);
}

static void
on_session_closed(void *ctx, Session *session)
{
    Daemon *daemon = ctx;

    console_session_closed(daemon->console, session);
    node_session_closed(daemon->node, session);
}

static void
on_cancel(void *ctx, Session *session)
{
    Daemon *daemon = ctx;

    console_cancel(daemon->console, session);
}

static void
on_server_turn_end(void *ctx)
{
    Daemon *daemon = ctx;

    node_turn_end(daemon->node);
}

/* No core file, since keys are in memory; all descriptors that the system allows, since sessions
 * and table files need them. */
static void
set_limits(void)
{
    struct rlimit limit = {0, 0};

    setrlimit(RLIMIT_CORE, &limit);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
    {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static Outcome
open_folder(Daemon *daemon)
{
    const char *dir = daemon->start->dir;
    Outcome outcome = identity_load(dir, &daemon->identity);

    if (!outcome.failed)
        outcome = identity_lock(dir);
    if (!outcome.failed)
        outcome = load_config(daemon, &daemon->config);
    if (outcome.failed)
        return outcome;
    daemon->users = users_new(&daemon->identity->keys);
    outcome = load_users(daemon);
    if (outcome.failed)
        return outcome;
    return log_new(daemon->config.node_name, (LogLevel)daemon->config.log_level,
                   daemon->config.log_file, &daemon->log);
}

/* A write to a closed socket must be an error of that session, so SIGPIPE is ignored. */
static void
catch_signals(Daemon *daemon)
{
    static const int numbers[SIGNAL_COUNT] = {SIGTERM, SIGINT, SIGHUP};

    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
    {
        uv_signal_init(&daemon->loop, &daemon->signals[i]);
        daemon->signals[i].data = daemon;
        uv_signal_start(&daemon->signals[i], on_signal, numbers[i]);
    }
}

/* Clients find TCP and other nodes find UDP at one address. */
static Outcome
listen_here(Daemon *daemon)
{
    Outcome outcome = server_listen(daemon->server);
    struct sockaddr_storage address;

    if (outcome.failed)
        return outcome;
    address = server_address(daemon->server);
    return node_listen(daemon->node, (const struct sockaddr *)&address);
}

static Outcome
open_server(Daemon *daemon)
{
    ServerHandler handler = {.query = on_query,
                             .describe = on_describe,
                             .stream_started = on_stream_started,
                             .stream_frame = on_stream_frame,
                             .session_closed = on_session_closed,
                             .cancel = on_cancel,
                             .turn_end = on_server_turn_end};
    ConsoleHost host = {.config = &daemon->config,
                        .log = daemon->log,
                        .node = daemon->node,
                        .keys = &daemon->identity->keys,
                        .shutdown = stop_daemon,
                        .ctx = daemon};

    daemon->console = console_new(&host);
    daemon->server =
        server_new(&daemon->loop, &daemon->config, daemon->users, daemon->log, &handler, daemon);
    return listen_here(daemon);
}

static Outcome
open_node(Daemon *daemon)
{
    NodeStart start = {.loop = &daemon->loop,
                       .dir = daemon->start->dir,
                       .config = &daemon->config,
                       .identity = daemon->identity,
                       .log = daemon->log,
                       .restart = restart_daemon,
                       .ctx = daemon};

    return node_open(&start, &daemon->node);
}

static void
close_all(Daemon *daemon)
{
    log_free(daemon->log);
    users_free(daemon->users);
    identity_free(daemon->identity);
    config_free(&daemon->config);
}

static Outcome
serve_until_stopped(Daemon *daemon)
{
    Outcome outcome;

    daemon->is_stopping = daemon->is_restarting = false;
    uv_loop_init(&daemon->loop);
    (void)uv_loop_configure(&daemon->loop, UV_METRICS_IDLE_TIME);
    catch_signals(daemon);
    outcome = open_node(daemon);
    if (outcome.failed)
    {
        daemon->is_stopping = true;
        on_node_closed(daemon);
        uv_run(&daemon->loop, UV_RUN_DEFAULT);
        uv_loop_close(&daemon->loop);
        return outcome;
    }
    outcome = open_server(daemon);
    if (outcome.failed)
    {
        daemon->is_stopping = true;
        server_close(daemon->server, on_server_closed, daemon);
    }
    else
        log_info(daemon->log, "listening on %s port %d", daemon->config.listen_address,
                 server_port(daemon->server));
    uv_run(&daemon->loop, UV_RUN_DEFAULT);
    uv_loop_close(&daemon->loop);
    console_free(daemon->console);
    if (!outcome.failed)
        log_info(daemon->log, "stopped");
    return outcome;
}

Outcome
daemon_run(const DaemonStart *start)
{
    Daemon daemon = {.start = start};
    Outcome outcome;

    set_limits();
    config_init(&daemon.config);
    outcome = open_folder(&daemon);
    if (!outcome.failed)
    {
        do
            outcome = serve_until_stopped(&daemon);
        while (!outcome.failed && daemon.is_restarting);
    }
    close_all(&daemon);
    return outcome;
}
