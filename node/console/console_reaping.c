/*
 * SHOW REAPING, REAP, and the commands about orphans. A bucket has hundreds of partitions, most of
 * which stand alike, so SHOW REAPING folds partitions with the same state and cause into one row.
 */
#include "node/console/console_commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/console/console_ask.h"
#include "node/host/node.h"

const Column console_reapings_columns[] = {
    {"bucket",     COLUMN_TEXT},
    {"state",      COLUMN_TEXT},
    {"waits_for",  COLUMN_TEXT},
    {"which",      COLUMN_TEXT},
    {"partitions", COLUMN_INT8},
    {"candidates", COLUMN_INT8},
    {"reaped",     COLUMN_INT8},
    {"retired",    COLUMN_INT8},
    {"passed",     COLUMN_TEXT},
    {"member_id",  COLUMN_TEXT}
};
const Column console_reaping_bucket_columns[] = {
    {"bucket",     COLUMN_TEXT},
    {"partition",  COLUMN_INT8},
    {"state",      COLUMN_TEXT},
    {"waits_for",  COLUMN_TEXT},
    {"which",      COLUMN_TEXT},
    {"candidates", COLUMN_INT8},
    {"reaped",     COLUMN_INT8},
    {"retired",    COLUMN_INT8},
    {"round",      COLUMN_INT8},
    {"passed",     COLUMN_TEXT},
    {"member_id",  COLUMN_TEXT}
};
const Column console_orphans_columns[] = {
    {"bucket",   COLUMN_TEXT},
    {"key",      COLUMN_TEXT},
    {"siblings", COLUMN_INT8}
};

/* ---- values of both SHOW REAPINGs ---- */

/* True when the cause in the status is the one for which this node waits now. A partition at rest
 * keeps the cause of its last look, but another owner may coordinate it by now. */
static bool
names_a_cause(const ReapStatus *status)
{
    return status->state != REAP_RESTING && status->why > REAP_CLEAN;
}

static void
put_bucket(ConsoleRow *row, const Topology *topology, uint32_t bucket_id)
{
    const Bucket *bucket = topology_bucket_by_id(topology, bucket_id);

    console_row_text(row, bucket != NULL ? bucket->name : NULL);
}

/* The state, the member for which it waits, and why. */
static void
put_state(ConsoleRow *row, const Topology *topology, const ReapStatus *status)
{
    bool waits = names_a_cause(status);

    console_row_text(row, reaping_state_name(status->state));
    console_row_text(row, waits ? console_member_name(topology, &status->whose) : NULL);
    console_row_text(row, waits ? reap_verdict_text(status->why) : NULL);
}

static void
put_reaping_counts(ConsoleRow *row, const ReapStatus *status)
{
    console_row_int(row, status->state != REAP_RESTING ? (int64_t)status->candidates : 0);
    console_row_int(row, (int64_t)status->reaped);
    console_row_int(row, (int64_t)status->retired);
}

static void
put_member(ConsoleRow *row, const ReapStatus *status)
{
    if (names_a_cause(status))
        console_row_hex(row, status->whose.bytes, sizeof(MemberId));
    else
        console_row_text(row, NULL);
}

/* ---- SHOW REAPING ---- */

/* Orders by bucket, then by what SHOW REAPING folds into one row: state, cause and member. */
static int
compare_standing(const ReapStatus *a, const ReapStatus *b)
{
    if (a->id.bucket_id != b->id.bucket_id)
        return a->id.bucket_id < b->id.bucket_id ? -1 : 1;
    if (a->state != b->state)
        return a->state < b->state ? -1 : 1;
    if (names_a_cause(a) != names_a_cause(b))
        return names_a_cause(a) ? 1 : -1;
    if (!names_a_cause(a))
        return 0;
    if (a->why != b->why)
        return a->why < b->why ? -1 : 1;
    return memcmp(&a->whose, &b->whose, sizeof(MemberId));
}

static int
compare_rows(const void *left, const void *right)
{
    const ReapStatus *a = left;
    const ReapStatus *b = right;
    int order = compare_standing(a, b);

    return order != 0 ? order
                      : (a->id.partition > b->id.partition) - (a->id.partition < b->id.partition);
}

/* Sorted, with all partitions; the caller frees them. */
static ReapStatus *
collect_rows(const Engine *engine, uint32_t *count)
{
    ReapStatus *rows;

    *count = reaping_status_count(engine_reaping(engine));
    rows = memory_resize(&MEMORY_HEAP, NULL, (*count + 1) * sizeof(ReapStatus));
    for (uint32_t i = 0; i < *count; i++)
        rows[i] = engine_reaping_status(engine, i);
    qsort(rows, *count, sizeof(ReapStatus), compare_rows);
    return rows;
}

/* Sends count rows that stand alike as one. The time is that of the partition which has waited
 * longest, since it is the one to look at. */
static void
send_alike(Session *session, const Topology *topology, const ReapStatus *rows, uint32_t count)
{
    ReapStatus sum = rows[0];
    ConsoleRow row = {.count = 0};

    for (uint32_t i = 1; i < count; i++)
    {
        sum.candidates += rows[i].candidates;
        sum.reaped += rows[i].reaped;
        sum.retired += rows[i].retired;
        if (rows[i].passed_ms < sum.passed_ms)
            sum.passed_ms = rows[i].passed_ms;
    }
    put_bucket(&row, topology, sum.id.bucket_id);
    put_state(&row, topology, &sum);
    console_row_int(&row, count);
    put_reaping_counts(&row, &sum);
    console_row_time(&row, sum.passed_ms);
    put_member(&row, &sum);
    console_row_send(&row, session);
}

static void
send_reapings(Session *session, const Engine *engine)
{
    uint32_t count;
    ReapStatus *rows = collect_rows(engine, &count);
    uint32_t first = 0;

    for (uint32_t i = 1; i <= count; i++)
    {
        if (i < count && compare_standing(&rows[first], &rows[i]) == 0)
            continue;
        send_alike(session, engine_topology(engine), rows + first, i - first);
        first = i;
    }
    memory_resize(&MEMORY_HEAP, rows, 0);
}

void
console_run_reapings(Console *console, Session *session, const ConsoleCommand *command,
                     const ConsoleWords *words)
{
    session_columns(session, command->columns, command->column_count);
    if (console_topology_or_notice(console, session) != NULL)
        send_reapings(session, node_engine(console_host(console)->node));
    session_complete(session, command->tag);
}

/* ---- SHOW REAPING bucket ---- */

static void
send_reaping_partition(Session *session, const Topology *topology, const ReapStatus *status)
{
    ConsoleRow row = {.count = 0};

    put_bucket(&row, topology, status->id.bucket_id);
    console_row_int(&row, status->id.partition);
    put_state(&row, topology, status);
    put_reaping_counts(&row, status);
    console_row_int(&row, (int64_t)status->round);
    console_row_time(&row, status->passed_ms);
    put_member(&row, status);
    console_row_send(&row, session);
}

void
console_run_reaping_bucket(Console *console, Session *session, const ConsoleCommand *command,
                           const ConsoleWords *words)
{
    const Topology *topology = console_topology_or_error(console, session);
    const Bucket *bucket = NULL;
    const Engine *engine;

    if (topology != NULL)
        bucket = console_bucket_or_error(topology, session, words->text[2]);
    if (bucket == NULL)
        return;
    engine = node_engine(console_host(console)->node);
    session_columns(session, command->columns, command->column_count);
    for (uint32_t i = 0; i < reaping_status_count(engine_reaping(engine)); i++)
    {
        ReapStatus status = engine_reaping_status(engine, i);

        if (status.id.bucket_id == bucket->id)
            send_reaping_partition(session, topology, &status);
    }
    session_complete(session, command->tag);
}

/* ---- what changes something ---- */

/* Sets *bucket_id to the bucket that the word at index names, or to 0 for all when there is no such
 * word. False after an error. */
static bool
read_bucket(Console *console, Session *session, const ConsoleWords *words, size_t index,
            uint32_t *bucket_id)
{
    const Topology *topology = console_topology_or_error(console, session);
    const Bucket *bucket;

    *bucket_id = 0;
    if (topology == NULL || words->count <= index)
        return topology != NULL;
    bucket = console_bucket_or_error(topology, session, words->text[index]);
    if (bucket != NULL)
        *bucket_id = bucket->id;
    return bucket != NULL;
}

static void
log_asked(Console *console, Session *session, const ConsoleCommand *command)
{
    log_info(console_host(console)->log, "%s was asked for by user \"%s\" from %s", command->tag,
             session_user(session), session_peer_address(session));
}

void
console_run_reap(Console *console, Session *session, const ConsoleCommand *command,
                 const ConsoleWords *words)
{
    if (console_topology_or_error(console, session) == NULL)
        return;
    log_asked(console, session, command);
    reaping_request(engine_reaping(node_engine(console_host(console)->node)));
    session_complete(session, command->tag);
}

void
console_run_adopt_orphans(Console *console, Session *session, const ConsoleCommand *command,
                          const ConsoleWords *words)
{
    uint32_t bucket_id;

    if (!read_bucket(console, session, words, 2, &bucket_id))
        return;
    log_asked(console, session, command);
    orphans_adopt(engine_orphans(node_engine(console_host(console)->node)), bucket_id);
    session_complete(session, command->tag);
}

void
console_run_drop_orphans(Console *console, Session *session, const ConsoleCommand *command,
                         const ConsoleWords *words)
{
    uint32_t bucket_id;

    if (!read_bucket(console, session, words, 2, &bucket_id))
        return;
    log_asked(console, session, command);
    orphans_drop(engine_orphans(node_engine(console_host(console)->node)), bucket_id);
    session_complete(session, command->tag);
}

/* ---- SHOW ORPHANS ---- */

/* The columns of a key, as GET takes them. */
static void
put_orphan_key(Buffer *text, const Bucket *bucket, Slice key)
{
    Reader reader = reader_begin(key);
    Arena arena;

    arena_init(&arena, &MEMORY_HEAP);
    for (uint32_t i = 0; i < bucket->key_count; i++)
    {
        KeyValue value = keycodec_next(&reader, bucket->key_types[i], &arena);

        if (reader.failed)
            break;
        buffer_put(text, " ", i > 0);
        keycodec_print(text, &value);
    }
    arena_free(&arena);
}

static void
send_orphan(Session *session, const Topology *topology, const Orphan *orphan)
{
    const Bucket *bucket = topology_bucket_by_id(topology, orphan->bucket_id);
    ConsoleRow row = {.count = 0};
    Buffer key;

    buffer_init(&key, &MEMORY_HEAP);
    if (bucket != NULL)
        put_orphan_key(&key, bucket, orphan->key);
    buffer_put_u8(&key, '\0');
    put_bucket(&row, topology, orphan->bucket_id);
    console_row_text(&row, (const char *)key.data);
    console_row_int(&row, orphan->siblings);
    console_row_send(&row, session);
    buffer_free(&key);
}

static void
send_orphans(Session *session, const Engine *engine)
{
    uint64_t count = orphans_count(engine_orphans(engine));
    char more[128];

    for (uint32_t i = 0; i < count && i < ORPHANS_SHOWN_MAX; i++)
    {
        Orphan orphan = orphans_show(engine_orphans(engine), i);

        send_orphan(session, engine_topology(engine), &orphan);
    }
    if (count > ORPHANS_SHOWN_MAX)
    {
        snprintf(more, sizeof(more), "there are %" PRIu64 " orphans; the first %d are shown", count,
                 ORPHANS_SHOWN_MAX);
        session_notice(session, more);
    }
}

void
console_run_orphans(Console *console, Session *session, const ConsoleCommand *command,
                    const ConsoleWords *words)
{
    session_columns(session, command->columns, command->column_count);
    if (console_topology_or_notice(console, session) != NULL)
        send_orphans(session, node_engine(console_host(console)->node));
    session_complete(session, command->tag);
}
