/*
 * The console: the table of commands, the role that each needs, and commands that concern no
 * cluster.
 *
 * A statement is cut into words and looked up in the table; the first row whose words and number of
 * arguments fit is run. Everything about a command but its function stands in its row, so HELP,
 * Describe of the extended protocol and the check of roles cannot fall behind.
 */
#include "node/console/console.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/console/console_commands.h"
#include "node/console/console_value.h"

#define VERSION_TEXT "1.0"
#define HINT "SHOW HELP lists the commands."
#define ARGUMENTS_ANY SIZE_MAX

struct Console
{
    ConsoleHost host;
    ConsoleWait *waits;
    Column setting; /* the one column of SHOW name, until the next statement */
    char setting_name[64];
};

/* ---- rows ---- */

void
console_row_text(ConsoleRow *row, const char *text)
{
    row->values[row->count++] = text;
}

void
console_row_int(ConsoleRow *row, int64_t number)
{
    snprintf(row->own[row->count], sizeof(row->own[0]), "%" PRId64, number);
    console_row_text(row, row->own[row->count]);
}

void
console_row_bool(ConsoleRow *row, bool value)
{
    console_row_text(row, value ? "t" : "f");
}

void
console_row_time(ConsoleRow *row, uint64_t wall_ms)
{
    Buffer text;

    if (wall_ms == 0)
    {
        console_row_text(row, NULL);
        return;
    }
    buffer_init(&text, &MEMORY_HEAP);
    console_value_time(&text, wall_ms);
    snprintf(row->own[row->count], sizeof(row->own[0]), "%.*s", (int)text.length,
             (const char *)text.data);
    buffer_free(&text);
    console_row_text(row, row->own[row->count]);
}

void
console_row_hex(ConsoleRow *row, const uint8_t *bytes, size_t length)
{
    sodium_bin2hex(row->own[row->count], sizeof(row->own[0]), bytes, length);
    console_row_text(row, row->own[row->count]);
}

void
console_row_send(ConsoleRow *row, Session *session)
{
    session_row(session, row->values);
    row->count = 0;
}

/* ---- commands ---- */

// clang-format off
static const Column help_columns[] = {
    {"command", COLUMN_TEXT}, {"role", COLUMN_TEXT}, {"description", COLUMN_TEXT}};
static const Column config_columns[] = {
    {"name", COLUMN_TEXT},    {"value", COLUMN_TEXT}, {"unit", COLUMN_TEXT},
    {"default", COLUMN_TEXT}, {"range", COLUMN_TEXT}, {"needs_restart", COLUMN_BOOL},
    {"description", COLUMN_TEXT}};
static const Column version_columns[] = {
    {"version", COLUMN_TEXT}, {"server_version", COLUMN_TEXT}, {"frame_protocol", COLUMN_INT8}};
static const Column keys_columns[] = {{"key", COLUMN_TEXT}, {"in_use", COLUMN_BOOL}};
static const Column one_columns[] = {{"?column?", COLUMN_INT4}};
static const Column version_function_columns[] = {{"version", COLUMN_TEXT}};
// clang-format on

static void run_help(Console *console, Session *session, const ConsoleCommand *command,
                     const ConsoleWords *words);
static void run_config(Console *console, Session *session, const ConsoleCommand *command,
                       const ConsoleWords *words);
static void run_version(Console *console, Session *session, const ConsoleCommand *command,
                        const ConsoleWords *words);
static void run_keys(Console *console, Session *session, const ConsoleCommand *command,
                     const ConsoleWords *words);
static void run_shutdown(Console *console, Session *session, const ConsoleCommand *command,
                         const ConsoleWords *words);
static void run_setting(Console *console, Session *session, const ConsoleCommand *command,
                        const ConsoleWords *words);
static void run_select(Console *console, Session *session, const ConsoleCommand *command,
                       const ConsoleWords *words);
static void run_chatter(Console *console, Session *session, const ConsoleCommand *command,
                        const ConsoleWords *words);
static void run_begin(Console *console, Session *session, const ConsoleCommand *command,
                      const ConsoleWords *words);
static void run_end(Console *console, Session *session, const ConsoleCommand *command,
                    const ConsoleWords *words);

// clang-format off
/* The first row that fits counts, so SHOW name stands behind the other SHOWs. */
static const ConsoleCommand commands[] = {
    {{"SHOW", "NODES"}, 0, 0, CONSOLE_ANYONE, CONSOLE_COLUMNS(console_nodes_columns),
     console_run_nodes, "SHOW", "", "The nodes of the cluster, as this node sees them."},
    {{"SHOW", "RING"}, 0, 0, CONSOLE_ANYONE, CONSOLE_COLUMNS(console_ring_columns),
     console_run_ring, "SHOW", "",
     "Each partition and the nodes that keep it; the first n of them own a bucket of n replicas."},
    {{"SHOW", "BUCKETS"}, 0, 0, CONSOLE_DATA, CONSOLE_COLUMNS(console_buckets_columns),
     console_run_buckets, "SHOW", "", "The buckets of the cluster, and how many keys of each this "
                                      "node keeps."},
    {{"SHOW", "HINTS"}, 0, 0, CONSOLE_ANYONE, CONSOLE_COLUMNS(console_hints_columns),
     console_run_hints, "SHOW", "",
     "Writes that this node keeps for nodes that were down, by node."},
    {{"SHOW", "REPAIR"}, 0, 0, CONSOLE_ANYONE, CONSOLE_COLUMNS(console_repairs_columns),
     console_run_repairs, "SHOW", "",
     "Whether this node's replicas are known to equal those of each other node, by bucket."},
    {{"SHOW", "REPAIR"}, 1, 2, CONSOLE_ANYONE, CONSOLE_COLUMNS(console_repair_bucket_columns),
     console_run_repair_bucket, "SHOW", "bucket [node]",
     "Whether this node's replicas of one bucket equal those of the others, by partition."},
    {{"SHOW", "REAPING"}, 0, 0, CONSOLE_ANYONE, CONSOLE_COLUMNS(console_reapings_columns),
     console_run_reapings, "SHOW", "",
     "Tombstones that this node would remove, by bucket, and the node that it waits for."},
    {{"SHOW", "REAPING"}, 1, 1, CONSOLE_ANYONE, CONSOLE_COLUMNS(console_reaping_bucket_columns),
     console_run_reaping_bucket, "SHOW", "bucket",
     "Tombstones of one bucket that this node would remove, by partition."},
    {{"SHOW", "ORPHANS"}, 0, 0, CONSOLE_DATA, CONSOLE_COLUMNS(console_orphans_columns),
     console_run_orphans, "SHOW", "",
     "Keys of an older disk that no other owner has. They may be deleted since and are not "
     "served."},
    {{"SHOW", "STATS"}, 0, 0, CONSOLE_ANYONE, CONSOLE_COLUMNS(console_stats_columns),
     console_run_stats, "SHOW", "", "The counters of this node since its start."},
    {{"SHOW", "CONFIG"}, 0, 0, CONSOLE_ANYONE, CONSOLE_COLUMNS(config_columns), run_config, "SHOW",
     "", "The options of this node, as they are in force."},
    {{"SHOW", "VERSION"}, 0, 0, CONSOLE_ANYONE, CONSOLE_COLUMNS(version_columns), run_version,
     "SHOW", "", "The version of this node and of the protocols it speaks."},
    {{"SHOW", "KEYS"}, 0, 0, CONSOLE_ADMIN, CONSOLE_COLUMNS(keys_columns), run_keys, "SHOW", "",
     "The ids of this node's cluster keys; the command dynamo_node key changes them."},
    {{"SHOW", "HELP"}, 0, 0, CONSOLE_ANYONE, CONSOLE_COLUMNS(help_columns), run_help, "SHOW", "",
     "This list."},
    {{"SHOW", "SCRUB"}, 0, 0, CONSOLE_ANYONE, CONSOLE_COLUMNS(console_scrub_columns),
     console_run_show_scrub, "SHOW", "",
     "How far the last scrub has come, and what it found."},
    {{"SCRUB"}, 0, 0, CONSOLE_ADMIN, NULL, 0, console_run_scrub, "SCRUB", "",
     "Read everything that this node keeps, and check files, rows and trees."},
    {{"SCRUB", "STOP"}, 0, 0, CONSOLE_ADMIN, NULL, 0, console_run_scrub_stop, "SCRUB", "",
     "Stop the scrub that is under way."},
    {{"GET"}, 2, 9, CONSOLE_DATA, CONSOLE_COLUMNS(console_get_columns), console_run_get, "GET",
     "bucket key [LOCAL]",
     "The siblings of a key, read from a quorum, or with LOCAL from this node alone."},
    {{"REPAIR"}, 0, 2, CONSOLE_ADMIN, CONSOLE_COLUMNS(console_repair_columns),
     console_run_repair, "REPAIR", "[bucket] [node]",
     "Compare replicas with the other nodes, or with one, now, and repair what differs."},
    {{"REAP"}, 0, 0, CONSOLE_ADMIN, NULL, 0, console_run_reap, "REAP", "",
     "Search now for tombstones that may be removed."},
    {{"ADOPT", "ORPHANS"}, 0, 1, CONSOLE_ADMIN, NULL, 0, console_run_adopt_orphans,
     "ADOPT ORPHANS", "[bucket]", "Write the rows that SHOW ORPHANS shows to all their owners."},
    {{"DROP", "ORPHANS"}, 0, 1, CONSOLE_ADMIN, NULL, 0, console_run_drop_orphans,
     "DROP ORPHANS", "[bucket]", "Remove the rows that SHOW ORPHANS shows."},
    {{"DROP", "BUCKET"}, 1, 1, CONSOLE_ADMIN, NULL, 0, console_run_drop_bucket, "DROP BUCKET",
     "bucket", "Drop a bucket with all its rows, on every node."},
    {{"SHOW", "PLAN"}, 0, 0, CONSOLE_ANYONE, CONSOLE_COLUMNS(console_plan_columns),
     console_run_plan, "SHOW", "", "The changes of nodes that are staged, and what they would do."},
    {{"SHOW", "TRANSFERS"}, 0, 0, CONSOLE_ANYONE, CONSOLE_COLUMNS(console_transfers_columns),
     console_run_transfers, "SHOW", "",
     "Each partition that moves, and the nodes that enter and leave it."},
    {{"JOIN"}, 1, 1, CONSOLE_ADMIN, NULL, 0, console_run_join, "JOIN", "node",
     "Stage that a new node, as SHOW NODES lists it, gets its share of the partitions."},
    {{"LEAVE"}, 1, 1, CONSOLE_ADMIN, NULL, 0, console_run_leave, "LEAVE", "node",
     "Stage that a node hands over what it has, and leaves."},
    {{"REPLACE"}, 3, 3, CONSOLE_ADMIN, NULL, 0, console_run_replace, "REPLACE", "node WITH new",
     "Stage that a new node takes all that another one has, which may be dead."},
    {{"REMOVE"}, 1, 1, CONSOLE_ADMIN, NULL, 0, console_run_remove, "REMOVE", "node",
     "Stage that a dead node is given up, with what it alone has."},
    {{"SET", "WEIGHT"}, 2, 2, CONSOLE_ADMIN, NULL, 0, console_run_set_weight, "SET WEIGHT",
     "node weight", "Stage another weight: the share of partitions, relative to other nodes."},
    {{"SET", "ZONE"}, 2, 2, CONSOLE_ADMIN, NULL, 0, console_run_set_zone, "SET ZONE",
     "node zone", "Stage another zone for a node; '' for none."},
    {{"SET", "ADDRESS"}, 2, 2, CONSOLE_ADMIN, NULL, 0, console_run_set_address, "SET ADDRESS",
     "node address:port", "Stage another address for a node."},
    {{"COMMIT", "PLAN"}, 0, 1, CONSOLE_ADMIN, NULL, 0, console_run_commit_plan, "COMMIT PLAN",
     "[plan]", "Carry out what is staged; with a number, if SHOW PLAN still has that number."},
    {{"CLEAR", "PLAN"}, 0, 0, CONSOLE_ADMIN, NULL, 0, console_run_clear_plan, "CLEAR PLAN", "",
     "Forget what is staged, or take back a plan of which no new owner counts yet."},
    {{"SHUTDOWN"}, 0, 0, CONSOLE_ADMIN, NULL, 0, run_shutdown, "SHUTDOWN", "",
     "Finish the requests under way, then stop this node."},

    {{"SHOW", "ALL"}, 0, 0, CONSOLE_ANYONE, CONSOLE_COLUMNS(config_columns), run_config, "SHOW",
     NULL, NULL},
    {{"SHOW"}, 1, 3, CONSOLE_ANYONE, NULL, 1, run_setting, "SHOW", NULL, NULL},
    {{"SELECT", "1"}, 0, 0, CONSOLE_ANYONE, CONSOLE_COLUMNS(one_columns), run_select, "SELECT 1",
     NULL, NULL},
    {{"SELECT", "VERSION()"}, 0, 0, CONSOLE_ANYONE, CONSOLE_COLUMNS(version_function_columns),
     run_select, "SELECT 1", NULL, NULL},
    {{"SET"}, 1, ARGUMENTS_ANY, CONSOLE_ANYONE, NULL, 0, run_chatter, "SET", NULL, NULL},
    {{"RESET"}, 1, ARGUMENTS_ANY, CONSOLE_ANYONE, NULL, 0, run_chatter, "RESET", NULL, NULL},
    {{"DISCARD"}, 1, 1, CONSOLE_ANYONE, NULL, 0, run_chatter, "DISCARD ALL", NULL, NULL},
    {{"BEGIN"}, 0, ARGUMENTS_ANY, CONSOLE_ANYONE, NULL, 0, run_begin, "BEGIN", NULL, NULL},
    {{"START", "TRANSACTION"}, 0, ARGUMENTS_ANY, CONSOLE_ANYONE, NULL, 0, run_begin,
     "START TRANSACTION", NULL, NULL},
    {{"COMMIT"}, 0, 1, CONSOLE_ANYONE, NULL, 0, run_end, "COMMIT", NULL, NULL},
    {{"END"}, 0, 1, CONSOLE_ANYONE, NULL, 0, run_end, "COMMIT", NULL, NULL},
    {{"ROLLBACK"}, 0, 1, CONSOLE_ANYONE, NULL, 0, run_end, "ROLLBACK", NULL, NULL},
    {{"ABORT"}, 0, 1, CONSOLE_ANYONE, NULL, 0, run_end, "ROLLBACK", NULL, NULL},
};
// clang-format on

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static const char *const access_names[] = {
    [CONSOLE_ANYONE] = "any", [CONSOLE_DATA] = "data", [CONSOLE_ADMIN] = "admin"};

static bool
may_run(UserRole role, ConsoleAccess access)
{
    switch (access)
    {
    case CONSOLE_ANYONE:
        return true;
    case CONSOLE_DATA:
        return role == USER_ROLE_DATA || role == USER_ROLE_ADMIN;
    case CONSOLE_ADMIN:
        break;
    }
    return role == USER_ROLE_ADMIN;
}

static void
run_help(Console *console, Session *session, const ConsoleCommand *command,
         const ConsoleWords *words)
{
    ConsoleRow row = {.count = 0};
    char text[128];

    session_columns(session, command->columns, command->column_count);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
    {
        const ConsoleCommand *each = &commands[i];
        size_t length = 0;

        if (each->help == NULL)
            continue;
        for (size_t w = 0; each->words[w] != NULL; w++)
            length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s",
                                       w > 0 ? " " : "", each->words[w]);
        snprintf(text + length, sizeof(text) - length, "%s%s", *each->syntax != '\0' ? " " : "",
                 each->syntax);
        console_row_text(&row, text);
        console_row_text(&row, access_names[each->access]);
        console_row_text(&row, each->help);
        console_row_send(&row, session);
    }
    console_row_text(&row, "STREAM 1");
    console_row_text(&row, access_names[CONSOLE_DATA]);
    console_row_text(&row, "Turn this session into a stream of frames, as the extension and the "
                           "nodes use it.");
    console_row_send(&row, session);
    session_complete(session, command->tag);
}

static void
run_config(Console *console, Session *session, const ConsoleCommand *command,
           const ConsoleWords *words)
{
    ConsoleRow row = {.count = 0};
    char value[1024];
    char range[128];

    session_columns(session, command->columns, command->column_count);
    for (size_t i = 0; i < config_option_count; i++)
    {
        const ConfigOption *option = &config_options[i];

        console_row_text(&row, option->name);
        console_row_text(&row, config_value(console->host.config, option, value, sizeof(value)));
        console_row_text(&row, option->unit);
        console_row_text(&row, option->fallback);
        console_row_text(&row, config_range(option, range, sizeof(range)));
        console_row_bool(&row, !option->reloadable);
        console_row_text(&row, option->description);
        console_row_send(&row, session);
    }
    session_complete(session, command->tag);
}

static void
run_version(Console *console, Session *session, const ConsoleCommand *command,
            const ConsoleWords *words)
{
    ConsoleRow row = {.count = 0};

    session_columns(session, command->columns, command->column_count);
    console_row_text(&row, VERSION_TEXT);
    console_row_text(&row, SERVER_VERSION_TEXT);
    console_row_int(&row, SERVER_STREAM_VERSION);
    console_row_send(&row, session);
    session_complete(session, command->tag);
}

/* The keys themselves are shown nowhere. */
static void
run_keys(Console *console, Session *session, const ConsoleCommand *command,
         const ConsoleWords *words)
{
    const ClusterKeys *keys = console->host.keys;
    ConsoleRow row = {.count = 0};
    char id[KEYRING_ID_SIZE];

    session_columns(session, command->columns, command->column_count);
    for (uint32_t i = 0; keys != NULL && i < keys->count; i++)
    {
        keyring_id(keys->keys[i], id);
        console_row_text(&row, id);
        console_row_bool(&row, i == 0);
        console_row_send(&row, session);
    }
    session_complete(session, command->tag);
}

static void
run_shutdown(Console *console, Session *session, const ConsoleCommand *command,
             const ConsoleWords *words)
{
    log_info(console->host.log, "SHUTDOWN was asked for by user \"%s\" from %s",
             session_user(session), session_peer_address(session));
    session_complete(session, command->tag);
    if (console->host.shutdown != NULL)
        console->host.shutdown(console->host.ctx);
}

static void
run_select(Console *console, Session *session, const ConsoleCommand *command,
           const ConsoleWords *words)
{
    const char *value = command->columns == one_columns ? "1" : "PostgreSQL " SERVER_VERSION_TEXT;

    session_columns(session, command->columns, command->column_count);
    session_row(session, &value);
    session_complete(session, command->tag);
}

/* Statements that drivers send by themselves are taken and change nothing. */
static void
run_chatter(Console *console, Session *session, const ConsoleCommand *command,
            const ConsoleWords *words)
{
    session_complete(session, command->tag);
}

static void
run_begin(Console *console, Session *session, const ConsoleCommand *command,
          const ConsoleWords *words)
{
    session_set_transaction_status(session, 'T');
    session_complete(session, command->tag);
}

static void
run_end(Console *console, Session *session, const ConsoleCommand *command,
        const ConsoleWords *words)
{
    session_set_transaction_status(session, 'I');
    session_complete(session, command->tag);
}

/* ---- SHOW name ---- */

/* Settings of a PostgreSQL that drivers ask for, beside our own options. */
static const char *const settings[][2] = {
    {"client_encoding",               "UTF8"             },
    {"datestyle",                     "ISO, MDY"         },
    {"default_transaction_read_only", "off"              },
    {"in_hot_standby",                "off"              },
    {"server_encoding",               "UTF8"             },
    {"server_version",                SERVER_VERSION_TEXT},
    {"server_version_num",            "150000"           },
    {"standard_conforming_strings",   "on"               },
    {"timezone",                      "UTC"              },
    {"transaction_isolation",         "read committed"   },
    {"transaction_read_only",         "off"              },
};

/* The value of a setting, copied to value; false if there is none of that name. */
static bool
find_setting(const Console *console, const char *name, char *value, size_t size)
{
    for (size_t i = 0; i < config_option_count; i++)
    {
        if (strcasecmp(config_options[i].name, name) == 0)
        {
            config_value(console->host.config, &config_options[i], value, size);
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
    {
        if (strcasecmp(settings[i][0], name) == 0)
        {
            snprintf(value, size, "%s", settings[i][1]);
            return true;
        }
    }
    return false;
}

/* SHOW TRANSACTION ISOLATION LEVEL is the one setting of several words. psql and drivers send it by
 * themselves. */
static const char *
setting_name(const ConsoleWords *words)
{
    if (words->count == 4 && console_is_keyword(words, 1, "transaction") &&
        console_is_keyword(words, 2, "isolation") && console_is_keyword(words, 3, "level"))
        return "transaction_isolation";
    return words->count == 2 ? words->text[1] : "";
}

static void
unknown_command(Session *session, const ConsoleWords *words)
{
    char message[160];

    snprintf(message, sizeof(message), "unknown command \"%.60s%s%.60s\"", words->text[0],
             words->count > 1 ? " " : "", words->count > 1 ? words->text[1] : "");
    session_error(session, "42601", message, NULL, HINT);
}

static void
run_setting(Console *console, Session *session, const ConsoleCommand *command,
            const ConsoleWords *words)
{
    char text[1024];
    const char *value = text;

    if (!find_setting(console, setting_name(words), text, sizeof(text)))
    {
        unknown_command(session, words);
        return;
    }
    session_columns(session, &console->setting, 1);
    session_row(session, &value);
    session_complete(session, command->tag);
}

/* ---- the dispatcher ---- */

static bool
command_fits(const ConsoleCommand *command, const ConsoleWords *words, size_t *word_count)
{
    size_t count = 0;

    while (command->words[count] != NULL)
    {
        if (!console_is_keyword(words, count, command->words[count]))
            return false;
        count++;
    }
    *word_count = count;
    return true;
}

/* Once a command has its words but not its arguments, none of fewer words is meant: SET WEIGHT node
 * is no SET of a driver. */
static const ConsoleCommand *
find_command(const ConsoleWords *words, bool *has_wrong_arguments)
{
    size_t least = 0;

    *has_wrong_arguments = false;
    for (size_t i = 0; i < COMMAND_COUNT; i++)
    {
        size_t count;

        if (!command_fits(&commands[i], words, &count) || count < least)
            continue;
        if (words->count - count >= commands[i].arguments_min &&
            words->count - count <= commands[i].arguments_max)
            return &commands[i];
        *has_wrong_arguments = true;
        least = count;
    }
    return NULL;
}

/* Finds the command and checks the role, in this one place for all. Returns NULL after
 * session_error. */
static const ConsoleCommand *
prepare_command(Console *console, Session *session, char *text, ConsoleWords *words)
{
    const char *error = console_words_split(text, words);
    const ConsoleCommand *command;
    bool has_wrong_arguments;
    char message[128];

    if (error != NULL)
    {
        session_error(session, "42601", error, NULL, HINT);
        return NULL;
    }
    command = find_command(words, &has_wrong_arguments);
    if (command == NULL && has_wrong_arguments)
        session_error(session, "42601", "wrong number of arguments", NULL, HINT);
    else if (command == NULL)
        unknown_command(session, words);
    else if (!may_run(session_role(session), command->access))
    {
        snprintf(message, sizeof(message), "permission denied for %s", command->words[0]);
        session_error(session, "42501", message, NULL, NULL);
        return NULL;
    }
    return command;
}

static char *
copy_sql(const char *sql)
{
    char *copy = strdup(sql);

    if (copy == NULL)
        abort();
    return copy;
}

static bool
is_empty(const char *sql)
{
    char *copy = copy_sql(sql);
    ConsoleWords words;
    bool empty = console_words_split(copy, &words) == NULL && words.count == 0;

    free(copy);
    return empty;
}

/* The column of SHOW name is called like the setting, as PostgreSQL does; it lives in the console
 * until the next statement. */
static void
name_setting(Console *console, const ConsoleWords *words)
{
    snprintf(console->setting_name, sizeof(console->setting_name), "%s", setting_name(words));
    console->setting = (Column){console->setting_name, COLUMN_TEXT};
}

void
console_query(Console *console, Session *session, const char *sql)
{
    char *copy;
    ConsoleWords words;
    const ConsoleCommand *command;

    if (is_empty(sql))
    {
        session_empty(session);
        return;
    }
    copy = copy_sql(sql);
    command = prepare_command(console, session, copy, &words);
    if (command != NULL)
    {
        name_setting(console, &words);
        command->run(console, session, command, &words);
    }
    free(copy);
}

bool
console_describe(Console *console, Session *session, const char *sql, const Column **columns,
                 size_t *count)
{
    char *copy;
    ConsoleWords words;
    const ConsoleCommand *command;

    *columns = NULL;
    *count = 0;
    if (is_empty(sql))
        return true;
    copy = copy_sql(sql);
    command = prepare_command(console, session, copy, &words);
    if (command != NULL)
    {
        name_setting(console, &words);
        *columns = command->columns != NULL ? command->columns : &console->setting;
        *count = command->column_count;
    }
    free(copy);
    return command != NULL;
}

/* ---- commands that answer later ---- */

/* The console keeps the waits of all sessions, because it hears of a session that closes or cancels
 * and must find its command. */
void
console_wait_begin(Console *console, Session *session, ConsoleWait *wait,
                   void (*drop)(ConsoleWait *wait))
{
    wait->console = console;
    wait->session = session;
    wait->drop = drop;
    wait->next = console->waits;
    console->waits = wait;
}

void
console_wait_end(ConsoleWait *wait)
{
    ConsoleWait **at = &wait->console->waits;

    while (*at != wait)
        at = &(*at)->next;
    *at = wait->next;
}

/* A session has at most one query under way, so the first wait of that session is the one. */
static bool
drop_wait(Console *console, const Session *session)
{
    for (ConsoleWait *wait = console->waits; wait != NULL; wait = wait->next)
    {
        if (wait->session == session)
        {
            wait->drop(wait);
            return true;
        }
    }
    return false;
}

void
console_cancel(Console *console, Session *session)
{
    if (drop_wait(console, session))
        session_error(session, "57014", "canceling statement due to user request", NULL, NULL);
}

void
console_session_closed(Console *console, Session *session)
{
    drop_wait(console, session);
}

Console *
console_new(const ConsoleHost *host)
{
    Console *console = calloc(1, sizeof(Console));

    if (console == NULL)
        abort();
    console->host = *host;
    return console;
}

void
console_free(Console *console)
{
    free(console);
}

const ConsoleHost *
console_host(const Console *console)
{
    return &console->host;
}
