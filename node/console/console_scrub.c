#include "node/console/console_scrub.h"

#include "node/console/console_ask.h"
#include "node/host/node.h"

const Column console_scrub_columns[] = {
    {"state",            COLUMN_TEXT},
    {"files",            COLUMN_INT8},
    {"files_total",      COLUMN_INT8},
    {"blocks_damaged",   COLUMN_INT8},
    {"files_damaged",    COLUMN_INT8},
    {"partitions",       COLUMN_INT8},
    {"partitions_total", COLUMN_INT8},
    {"rows",             COLUMN_INT8},
    {"bytes",            COLUMN_INT8},
    {"unreadable",       COLUMN_INT8},
    {"trees_wrong",      COLUMN_INT8},
    {"started",          COLUMN_TEXT},
    {"ended",            COLUMN_TEXT}
};

void
console_run_show_scrub(Console *console, Session *session, const ConsoleCommand *command,
                       const ConsoleWords *words)
{
    const Node *node = console_host(console)->node;
    ConsoleRow row = {.count = 0};

    session_columns(session, command->columns, command->column_count);
    if (console_topology_or_notice(console, session) != NULL)
    {
        ScrubStatus status = engine_scrub_status(node_engine(node));

        console_row_text(&row, scrub_state_name(status.state));
        console_row_int(&row, (int64_t)status.files);
        console_row_int(&row, (int64_t)status.files_total);
        console_row_int(&row, (int64_t)status.blocks_damaged);
        console_row_int(&row, (int64_t)node_storage_counters(node).damaged_files);
        console_row_int(&row, (int64_t)status.partitions);
        console_row_int(&row, (int64_t)status.partitions_total);
        console_row_int(&row, (int64_t)status.rows);
        console_row_int(&row, (int64_t)status.bytes);
        console_row_int(&row, (int64_t)status.places_unreadable);
        console_row_int(&row, (int64_t)status.trees_wrong);
        console_row_time(&row, status.started_ms);
        console_row_time(&row, status.ended_ms);
        console_row_send(&row, session);
    }
    session_complete(session, command->tag);
}

static bool
is_under_way(const Node *node)
{
    ScrubState state = engine_scrub_status(node_engine(node)).state;

    return state == SCRUB_FILES || state == SCRUB_ROWS;
}

void
console_run_scrub(Console *console, Session *session, const ConsoleCommand *command,
                  const ConsoleWords *words)
{
    Node *node = console_host(console)->node;

    if (console_topology_or_error(console, session) == NULL)
        return;
    if (is_under_way(node))
    {
        session_error(session, "55000", "a scrub is under way", NULL,
                      "SHOW SCRUB shows how far it is, SCRUB STOP ends it.");
        return;
    }
    node_scrub(node, true);
    session_complete(session, command->tag);
}

void
console_run_scrub_stop(Console *console, Session *session, const ConsoleCommand *command,
                       const ConsoleWords *words)
{
    Node *node = console_host(console)->node;

    if (console_topology_or_error(console, session) == NULL)
        return;
    if (!is_under_way(node))
    {
        session_error(session, "55000", "no scrub is under way", NULL, NULL);
        return;
    }
    node_scrub(node, false);
    session_complete(session, command->tag);
}
