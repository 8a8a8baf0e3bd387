/*
 * Changes of members: JOIN, LEAVE, REPLACE, REMOVE and SET stage one, SHOW PLAN tells what is
 * staged and what it would do, COMMIT PLAN and CLEAR PLAN end it, SHOW TRANSFERS tells how far it
 * is. Each change is a frame that the node sends itself; SHOW answers at once, from the topology
 * and what this node knows of the others.
 */
#include "node/console/console_commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/console/console_ask.h"
#include "node/host/node.h"
#include "shared/ring/plan.h"

#define CHANGES_SIZE 256
#define NOTE_SIZE 1024

const Column console_plan_columns[] = {
    {"node",           COLUMN_TEXT},
    {"change",         COLUMN_TEXT},
    {"replicas",       COLUMN_INT8},
    {"replicas_after", COLUMN_INT8},
    {"to_copy",        COLUMN_INT8},
    {"bytes_to_copy",  COLUMN_INT8},
    {"note",           COLUMN_TEXT}
};

const Column console_transfers_columns[] = {
    {"partition", COLUMN_INT8},
    {"step",      COLUMN_TEXT},
    {"node",      COLUMN_TEXT},
    {"role",      COLUMN_TEXT},
    {"is_done",   COLUMN_BOOL}
};

/* ---- changing the plan ---- */

/* The change is made when a topology that has it is in force; that topology is the answer. */
static bool
answer_change(Console *console, Session *session, const ConsoleCommand *command, const Frame *frame)
{
    if (frame->type != FRAME_TOPOLOGY)
        return false;
    session_complete(session, command->tag);
    return true;
}

static void
send_change(Console *console, Session *session, const ConsoleCommand *command, PlanFrame *plan)
{
    Buffer frame;

    if (console_topology_or_error(console, session) == NULL)
        return;
    plan->node = plan->node != NULL ? plan->node : "";
    plan->with = plan->with != NULL ? plan->with : "";
    log_info(console_host(console)->log, "%s %.100s was asked for by user \"%s\" from %s",
             command->tag, plan->node, session_user(session), session_peer_address(session));
    buffer_init(&frame, &MEMORY_HEAP);
    plan_frame_encode(&frame, 0, plan);
    console_ask(console, session, command, buffer_slice(&frame), answer_change);
    buffer_free(&frame);
}

static void
stage(Console *console, Session *session, const ConsoleCommand *command, StagedKind kind,
      const char *node)
{
    PlanFrame plan = {.deed = PLAN_STAGE, .change = {.kind = kind}, .node = node};

    send_change(console, session, command, &plan);
}

void
console_run_join(Console *console, Session *session, const ConsoleCommand *command,
                 const ConsoleWords *words)
{
    stage(console, session, command, STAGED_JOIN, words->text[1]);
}

void
console_run_leave(Console *console, Session *session, const ConsoleCommand *command,
                  const ConsoleWords *words)
{
    stage(console, session, command, STAGED_LEAVE, words->text[1]);
}

void
console_run_remove(Console *console, Session *session, const ConsoleCommand *command,
                   const ConsoleWords *words)
{
    stage(console, session, command, STAGED_REMOVE, words->text[1]);
}

void
console_run_replace(Console *console, Session *session, const ConsoleCommand *command,
                    const ConsoleWords *words)
{
    PlanFrame plan = {.deed = PLAN_STAGE,
                      .change = {.kind = STAGED_REPLACE},
                      .node = words->text[1],
                      .with = words->text[3]};

    if (console_is_keyword(words, 2, "WITH"))
        send_change(console, session, command, &plan);
    else
        session_error(session, "42601", "the new node of REPLACE stands behind WITH", NULL,
                      "Write REPLACE old WITH new.");
}

void
console_run_set_weight(Console *console, Session *session, const ConsoleCommand *command,
                       const ConsoleWords *words)
{
    PlanFrame plan = {
        .deed = PLAN_STAGE, .change = {.kind = STAGED_WEIGHT}, .node = words->text[2]};
    const char *text = words->text[3];
    bool is_number = *text != '\0' && text[strspn(text, "0123456789")] == '\0';
    unsigned long long weight = is_number ? strtoull(text, NULL, 10) : 0;

    if (weight == 0 || weight > UINT32_MAX)
    {
        session_error(session, "22023", "the weight is not a number from 1 to 4294967295", NULL,
                      "A node of weight 2 gets twice the partitions of one of weight 1.");
        return;
    }
    plan.change.weight = (uint32_t)weight;
    send_change(console, session, command, &plan);
}

void
console_run_set_zone(Console *console, Session *session, const ConsoleCommand *command,
                     const ConsoleWords *words)
{
    PlanFrame plan = {
        .deed = PLAN_STAGE,
        .change = {.kind = STAGED_ZONE, .zone = words->text[3]},
        .node = words->text[2]
    };

    send_change(console, session, command, &plan);
}

void
console_run_set_address(Console *console, Session *session, const ConsoleCommand *command,
                        const ConsoleWords *words)
{
    PlanFrame plan = {
        .deed = PLAN_STAGE, .change = {.kind = STAGED_ADDRESS}, .node = words->text[2]};
    const char *colon = strrchr(words->text[3], ':');
    unsigned long port = colon != NULL ? strtoul(colon + 1, NULL, 10) : 0;
    char address[NODE_ADDRESS_SIZE];

    if (port == 0 || port > UINT16_MAX || colon - words->text[3] >= NODE_ADDRESS_SIZE)
    {
        session_error(session, "22023", "the address is not of the form address:port", NULL,
                      "The address is numeric, as SHOW NODES has it.");
        return;
    }
    snprintf(address, sizeof(address), "%.*s", (int)(colon - words->text[3]), words->text[3]);
    plan.change.address = address;
    plan.change.port = (uint16_t)port;
    send_change(console, session, command, &plan);
}

void
console_run_commit_plan(Console *console, Session *session, const ConsoleCommand *command,
                        const ConsoleWords *words)
{
    PlanFrame plan = {.deed = PLAN_COMMIT};
    char *end = "";

    if (words->count > 2)
        plan.plan = strtoull(words->text[2], &end, 10);
    if (*end == '\0' && (words->count == 2 || plan.plan > 0))
        send_change(console, session, command, &plan);
    else
        session_error(session, "22023", "the plan is not a number", NULL,
                      "SHOW PLAN has the number; COMMIT PLAN alone commits whatever is staged.");
}

void
console_run_clear_plan(Console *console, Session *session, const ConsoleCommand *command,
                       const ConsoleWords *words)
{
    send_change(console, session, command, &(PlanFrame){.deed = PLAN_CLEAR});
}

/* ---- SHOW PLAN ---- */

static void
put_change(const Topology *topology, const StagedChange *change, uint32_t slot, char *text,
           size_t size)
{
    switch (change->kind)
    {
    case STAGED_JOIN:
        snprintf(text, size, "joins");
        break;
    case STAGED_LEAVE:
        snprintf(text, size, "leaves");
        break;
    case STAGED_REPLACE:
        snprintf(text, size, slot == change->slot ? "is replaced by %s" : "takes over from %s",
                 topology->members[slot == change->slot ? change->with : change->slot].name);
        break;
    case STAGED_REMOVE:
        snprintf(text, size, "is given up");
        break;
    case STAGED_WEIGHT:
        snprintf(text, size, "weight %u", change->weight);
        break;
    case STAGED_ZONE:
        snprintf(text, size, change->zone[0] != '\0' ? "zone %s" : "no zone", change->zone);
        break;
    case STAGED_ADDRESS:
        snprintf(text, size, "address %s:%u", change->address, change->port);
        break;
    case STAGED_END:
        text[0] = '\0';
        break;
    }
}

/* All that is staged for a member, separated by commas. */
static void
put_changes(const Topology *topology, uint32_t slot, char changes[CHANGES_SIZE])
{
    size_t length = 0;

    changes[0] = '\0';
    for (uint32_t i = 0; i < topology->staged_count && length < CHANGES_SIZE; i++)
    {
        const StagedChange *change = &topology->staged[i];
        char text[CHANGES_SIZE];

        if (change->slot != slot && (change->kind != STAGED_REPLACE || change->with != slot))
            continue;
        put_change(topology, change, slot, text, sizeof(text));
        length += (size_t)snprintf(changes + length, CHANGES_SIZE - length, "%s%s",
                                   length > 0 ? ", " : "", text);
    }
}

static void
send_member(Session *session, const Topology *topology, const Plan *plan, uint32_t slot)
{
    char changes[CHANGES_SIZE];
    ConsoleRow row = {.count = 0};

    put_changes(topology, slot, changes);
    console_row_text(&row, topology->members[slot].name);
    console_row_text(&row, changes[0] != '\0' ? changes : NULL);
    if (plan->refusal == NULL)
    {
        console_row_int(&row, plan->before[slot]);
        console_row_int(&row, plan->after[slot]);
        console_row_int(&row, plan->gained[slot]);
        console_row_int(&row, (int64_t)plan->bytes[slot]);
    }
    while (row.count < sizeof(console_plan_columns) / sizeof(console_plan_columns[0]))
        console_row_text(&row, NULL);
    console_row_send(&row, session);
}

/* A row that is about the whole: totals, when the plan has any, and a note. */
static void
send_whole(Session *session, const char *change, const Plan *plan, const char *note)
{
    ConsoleRow row = {.count = 0};

    console_row_text(&row, NULL);
    console_row_text(&row, change);
    console_row_text(&row, NULL);
    console_row_text(&row, NULL);
    if (plan != NULL)
    {
        console_row_int(&row, plan->gained_in_all);
        console_row_int(&row, (int64_t)plan->bytes_in_all);
    }
    else
    {
        console_row_text(&row, NULL);
        console_row_text(&row, NULL);
    }
    console_row_text(&row, note);
    console_row_send(&row, session);
}

static void
send_losses(Session *session, const Plan *plan)
{
    char note[NOTE_SIZE];

    for (uint32_t i = 0; i < plan->loss_count; i++)
    {
        snprintf(note, sizeof(note),
                 "bucket \"%.200s\" loses %u partitions: only nodes that are given up had them",
                 plan->losses[i].bucket->name, plan->losses[i].partitions);
        send_whole(session, "loses data", NULL, note);
    }
}

static void
send_plan(Session *session, const Topology *topology, const Plan *plan)
{
    char change[64];
    char note[NOTE_SIZE];

    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        if (topology_is_present(topology, i))
            send_member(session, topology, plan, i);
    }
    snprintf(change, sizeof(change), "plan %" PRIu64, topology->staged_epoch);
    if (plan->refusal != NULL)
    {
        snprintf(note, sizeof(note), "cannot be committed: %s. %s", plan->refusal, plan->hint);
        send_whole(session, change, NULL, note);
        return;
    }
    snprintf(note, sizeof(note),
             "lists of %u: balance %.3f, then %.3f; short of a zone %u, then %u of %u", plan->n,
             plan->balance_before, plan->balance_after, plan->zone_faults_before,
             plan->zone_faults_after, topology->partitions);
    send_whole(session, change, plan, note);
    send_losses(session, plan);
}

static void
send_progress(Session *session, const Topology *topology)
{
    uint32_t counts[TOPOLOGY_MOVED + 1] = {0};
    char change[64];
    char note[NOTE_SIZE];

    for (uint32_t i = 0; i < topology->partitions; i++)
        counts[topology->steps[i]]++;
    snprintf(change, sizeof(change), "plan %" PRIu64, topology->committed_epoch);
    snprintf(note, sizeof(note),
             "under way: %u partitions are filled, %u handed over, %u have moved, of %u",
             counts[TOPOLOGY_FILLING], counts[TOPOLOGY_HANDING], counts[TOPOLOGY_MOVED],
             topology->partitions - counts[TOPOLOGY_STILL]);
    send_whole(session, change, NULL, note);
}

/* What a replica of a partition has, by what this node has of its own. */
static void
estimate_bytes(const Node *node, const Topology *topology, PlanFacts *facts, Arena *arena)
{
    const Engine *engine = node_engine(node);
    uint64_t *bytes = ARENA_ARRAY(arena, uint64_t, topology->partitions);
    uint32_t n = topology->preference_length < 3 ? topology->preference_length : 3;
    uint32_t owned = 0;
    uint64_t replica;

    for (uint32_t i = 0; i < topology->partitions; i++)
    {
        uint16_t owners[TOPOLOGY_N_MAX];
        uint32_t count =
            topology_preference(topology, ring_partition_start(i, topology->partitions), owners, n);

        for (uint32_t j = 0; j < count; j++)
            owned += owners[j] == engine_self(engine);
    }
    replica = owned > 0 ? node_storage_counters(node).disk_bytes / owned : 0;
    for (uint32_t i = 0; i < topology->partitions; i++)
        bytes[i] = replica;
    facts->partition_bytes = bytes;
}

void
console_run_plan(Console *console, Session *session, const ConsoleCommand *command,
                 const ConsoleWords *words)
{
    const Topology *topology;
    Arena arena;

    session_columns(session, command->columns, command->column_count);
    topology = console_topology_or_notice(console, session);
    arena_init(&arena, &MEMORY_HEAP);
    if (topology != NULL && topology->target != NULL)
        send_progress(session, topology);
    else if (topology != NULL && topology->staged_count > 0)
    {
        const Node *node = console_host(console)->node;
        PlanFacts facts = engine_plan_facts(node_engine(node), &arena);
        Plan plan;

        estimate_bytes(node, topology, &facts, &arena);
        plan = plan_make(topology, &facts, &arena);
        send_plan(session, topology, &plan);
    }
    arena_free(&arena);
    session_complete(session, command->tag);
}

/* ---- SHOW TRANSFERS ---- */

static const char *const step_names[] = {[TOPOLOGY_STILL] = "still",
                                         [TOPOLOGY_FILLING] = "filling",
                                         [TOPOLOGY_HANDING] = "handing over",
                                         [TOPOLOGY_MOVED] = "moved"};

void
console_run_transfers(Console *console, Session *session, const ConsoleCommand *command,
                      const ConsoleWords *words)
{
    PlanTransfer transfer = {.next = 0};
    const Topology *topology;

    session_columns(session, command->columns, command->column_count);
    topology = console_topology_or_notice(console, session);
    while (topology != NULL && plan_next_transfer(topology, &transfer))
    {
        const Engine *engine = node_engine(console_host(console)->node);
        ConsoleRow row = {.count = 0};

        console_row_int(&row, transfer.partition);
        console_row_text(&row, step_names[topology->steps[transfer.partition]]);
        console_row_text(&row, topology->members[transfer.slot].name);
        console_row_text(&row, transfer.enters ? "enters" : "leaves");
        console_row_bool(&row, engine_member_has_done(engine, transfer.slot, transfer.partition));
        console_row_send(&row, session);
    }
    session_complete(session, command->tag);
}
