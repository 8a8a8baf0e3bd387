/*
 * Questions that commands about the cluster ask of their own node, as a client would: the answer
 * has passed the same admission, quorum and limits as anybody's.
 *
 * Happy path: console_ask sends the frame, the command's function makes an answer of the reply
 * frame. Failure modes: an error frame becomes an error of the statement; a session that closes, or
 * cancels, drops the question, and the reply finds nobody. node_ask may answer before it returns,
 * so a question is freed by whichever of the two comes last.
 */
#include "node/console/console_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/host/node.h"

/* ---- the topology ---- */

/* A node that has not joined a cluster has an empty topology, of epoch 0. */
static const Topology *
find_topology(const Console *console, char *why, size_t size)
{
    const Node *node = console_host(console)->node;
    const Topology *topology = node == NULL ? NULL : engine_topology(node_engine(node));

    if (topology != NULL && topology->epoch > 0)
        return topology;
    snprintf(why, size, "this node has not joined a cluster yet: %s",
             node == NULL ? "it has no storage" : engine_waiting_for(node_engine(node)));
    return NULL;
}

const Topology *
console_topology_or_notice(Console *console, Session *session)
{
    char why[600];
    const Topology *topology = find_topology(console, why, sizeof(why));

    if (topology == NULL)
        session_notice(session, why);
    return topology;
}

const Topology *
console_topology_or_error(Console *console, Session *session)
{
    char why[600];
    const Topology *topology = find_topology(console, why, sizeof(why));

    if (topology == NULL)
        session_error(session, status_sqlstate(STATUS_NOT_FORMED), why, NULL, NULL);
    return topology;
}

const Bucket *
console_bucket_or_error(const Topology *topology, Session *session, const char *name)
{
    const Bucket *bucket = topology_bucket_by_name(topology, name);
    char message[320];

    if (bucket != NULL)
        return bucket;
    snprintf(message, sizeof(message), "bucket \"%.200s\" does not exist", name);
    session_error(session, "42704", message, NULL,
                  "SHOW BUCKETS lists the buckets; the first write to a bucket creates it.");
    return NULL;
}

const char *
console_member_name(const Topology *topology, const MemberId *id)
{
    uint32_t member = topology_member(topology, id);

    return member != TOPOLOGY_NO_MEMBER ? topology->members[member].name : NULL;
}

/* ---- questions ---- */

typedef struct ConsoleQuestion
{
    ConsoleWait wait; /* first, so that one is the other */
    Node *node;
    Session *session;
    const ConsoleCommand *command;
    ConsoleAnswer answer;
    uint64_t number;
    bool is_asking; /* node_ask has not returned yet */
    bool is_over;
} ConsoleQuestion;

/* Names the members that are not reached: where a quorum is missing, they are what an operator
 * looks for. Returns false when all are reached. */
static bool
name_unreached(const Console *console, char *detail, size_t size)
{
    const Engine *engine = node_engine(console_host(console)->node);
    const Topology *topology = engine_topology(engine);
    const char *before = "This node does not reach ";
    size_t length = 0;

    for (uint32_t i = 0; i < topology->member_count && length < size; i++)
    {
        if (i == engine_self(engine) || engine_member_is_up(engine, i))
            continue;
        length += (size_t)snprintf(detail + length, size - length, "%s%s", before,
                                   topology->members[i].name);
        before = ", ";
    }
    if (length > 0 && length < size)
        snprintf(detail + length, size - length, ".");
    return length > 0;
}

/* Ends the line and returns the next one, or NULL. */
static char *
next_line(char *text)
{
    char *end = strchr(text, '\n');

    if (end == NULL)
        return NULL;
    *end = '\0';
    return end + 1;
}

void
console_fail(Console *console, Session *session, StatusCode status, Slice message)
{
    char text[1100];
    char unreached[512];
    char *hint;
    char *detail = NULL;
    bool is_quorum = status == STATUS_UNAVAILABLE || status == STATUS_UNKNOWN;

    if (message.length > 0)
        snprintf(text, sizeof(text), "%.*s", (int)message.length, (const char *)message.data);
    else
        snprintf(text, sizeof(text), "%s", status_text(status));
    hint = next_line(text);
    if (hint != NULL)
        detail = next_line(hint);
    else if (status == STATUS_NOT_OWNER)
        hint = "SHOW RING lists the owners of each partition; ask one of them.";
    if (is_quorum && message.length == 0 && name_unreached(console, unreached, sizeof(unreached)))
        detail = unreached;
    session_error(session, status_sqlstate(status), text, detail, hint);
}

/* Called when the question is answered, or when nobody wants the answer any more. */
static void
end_question(ConsoleQuestion *question)
{
    console_wait_end(&question->wait);
    question->is_over = true;
    if (!question->is_asking)
        free(question);
}

static void
on_answer(void *ctx, const Frame *frame)
{
    ConsoleQuestion *question = ctx;
    ErrorFrame error;

    if (frame->type == FRAME_ERROR && error_decode(frame, &error))
        console_fail(question->wait.console, question->session, error.status, error.message);
    else if (frame->type == FRAME_ERROR ||
             !question->answer(question->wait.console, question->session, question->command, frame))
        console_fail(question->wait.console, question->session, STATUS_BAD_FRAME, SLICE_EMPTY);
    end_question(question);
}

static void
drop_question(ConsoleWait *wait)
{
    ConsoleQuestion *question = (ConsoleQuestion *)wait;

    node_forget(question->node, question->number);
    end_question(question);
}

void
console_ask(Console *console, Session *session, const ConsoleCommand *command, Slice frame,
            ConsoleAnswer answer)
{
    ConsoleQuestion *question = calloc(1, sizeof(ConsoleQuestion));

    if (question == NULL)
        abort();
    question->node = console_host(console)->node;
    question->session = session;
    question->command = command;
    question->answer = answer;
    question->is_asking = true;
    console_wait_begin(console, session, &question->wait, drop_question);
    question->number = node_ask(question->node, frame, on_answer, question);
    question->is_asking = false;
    if (question->is_over)
        free(question);
}
