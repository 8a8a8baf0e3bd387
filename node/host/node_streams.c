/*
 * Sessions that carry frames, and questions of the node's own, as the engine sees them: numbers.
 *
 * A number is a slot and the slot's generation. An answer may come long after its session has gone
 * and the slot has another: it has an older generation and is dropped.
 */
#include "node/host/node_private.h"

/* Session numbers: slot in the low half, generation above it, and this bit for questions of the
 * node's own. */
#define QUESTION_BIT (UINT64_C(1) << 63)

/* ---- answers ---- */

/* The question is taken off its slot before the answer is called, since the answer may ask again.
 */
static void
answer_question(Node *node, uint64_t number, Slice bytes)
{
    uint32_t slot = (uint32_t)number;
    Frame frame;

    if (slot >= node->question_count)
        return;

    NodeQuestion *question = &node->questions[slot];
    NodeAnswer answer = question->answer;

    if (answer == NULL || ((uint64_t)question->generation << 32 | QUESTION_BIT | slot) != number)
        return;
    question->answer = NULL;
    if (frame_decode(bytes, &frame))
        answer(question->ctx, &frame);
}

void
node_streams_reply(void *context, uint64_t number, Slice frame)
{
    Node *node = context;
    uint32_t slot = (uint32_t)number;

    if ((number & QUESTION_BIT) != 0)
    {
        answer_question(node, number, frame);
        return;
    }
    if (slot >= node->stream_count)
        return;

    const NodeStream *stream = &node->streams[slot];

    if (stream->session != NULL && stream->generation == number >> 32)
        session_send_frame(stream->session, frame);
}

const char *
node_streams_user(void *context, uint64_t number)
{
    const Node *node = context;
    uint32_t slot = (uint32_t)number;

    if ((number & QUESTION_BIT) != 0 || slot >= node->stream_count ||
        node->streams[slot].session == NULL || node->streams[slot].generation != number >> 32)
        return NULL;
    return session_user(node->streams[slot].session);
}

/* ---- sessions and questions ---- */

static uint64_t
stream_number(const Node *node, const NodeStream *stream)
{
    return (uint64_t)stream->generation << 32 | (uint64_t)(stream - node->streams);
}

/* Slots are few, and looked through only when a stream begins. */
static NodeStream *
free_stream(Node *node)
{
    for (uint32_t i = 0; i < node->stream_count; i++)
    {
        if (node->streams[i].session == NULL)
            return &node->streams[i];
    }
    node->streams =
        memory_resize(&MEMORY_HEAP, node->streams, (node->stream_count + 1) * sizeof(NodeStream));
    node->streams[node->stream_count] = (NodeStream){0};
    return &node->streams[node->stream_count++];
}

/* The slot's number plus one is kept with the session; streams may move. */
static NodeStream *
stream_of(const Node *node, const Session *session)
{
    uintptr_t slot = (uintptr_t)session_data(session);

    return slot == 0 ? NULL : &node->streams[slot - 1];
}

void
node_stream_started(Node *node, Session *session)
{
    NodeStream *stream = free_stream(node);

    stream->session = session;
    stream->generation = (stream->generation + 1) & 0x7fffffff;
    session_set_data(session, (void *)(uintptr_t)(stream - node->streams + 1));
    if (session_role(session) == USER_ROLE_PEER)
        session_hold(session, node->peers_held);
}

/* A client with one unanswered frame waits for it. A client with many is doing bulk work, and its
 * frames come behind (engine/admission.h). */
static EngineAsker
asker_of(const Session *session)
{
    UserRole role = session_role(session);

    if (role == USER_ROLE_PEER)
        return ENGINE_PEER;
    if (role == USER_ROLE_ADMIN)
        return ENGINE_ADMIN;
    return session_unanswered(session) > 1 ? ENGINE_CLIENT : ENGINE_CLIENT_ALONE;
}

/* The time that the frame has spent in the socket while the loop was busy. Admission counts it as
 * waiting. */
static uint64_t
loop_lag_ms(const Node *node)
{
    uint64_t told_ms = uv_now(node->start.loop);

    return node->now_ms > told_ms ? node->now_ms - told_ms : 0;
}

void
node_stream_frame(Node *node, Session *session, Slice frame)
{
    const NodeStream *stream = stream_of(node, session);

    if (stream == NULL || node->closing)
        return;

    Engine *engine = node_enter(node);

    engine_session_frame(engine, stream_number(node, stream), asker_of(session), loop_lag_ms(node),
                         frame);
}

void
node_session_closed(Node *node, Session *session)
{
    NodeStream *stream = stream_of(node, session);

    if (stream != NULL)
        stream->session = NULL;
}

uint64_t
node_ask(Node *node, Slice frame, NodeAnswer answer, void *ctx)
{
    uint32_t slot = 0;

    while (slot < node->question_count && node->questions[slot].answer != NULL)
        slot++;
    if (slot == node->question_count)
    {
        node->questions = memory_resize(&MEMORY_HEAP, node->questions,
                                        (node->question_count + 1) * sizeof(NodeQuestion));
        node->questions[node->question_count++] = (NodeQuestion){0};
    }

    NodeQuestion *question = &node->questions[slot];
    uint32_t generation = (question->generation + 1) & 0x7fffffff;
    uint64_t number = (uint64_t)generation << 32 | QUESTION_BIT | slot;

    *question = (NodeQuestion){.answer = answer, .ctx = ctx, .generation = generation};
    engine_session_frame(node_enter(node), number, ENGINE_ADMIN, 0, frame);
    return number;
}

void
node_forget(Node *node, uint64_t number)
{
    uint32_t slot = (uint32_t)number;

    if (slot < node->question_count &&
        node->questions[slot].generation == ((number & ~QUESTION_BIT) >> 32))
        node->questions[slot].answer = NULL;
}

/* Frames of other nodes are never shed, so their sessions are not read from while too much of
 * theirs is under way. */
void
node_streams_hold_peers(Node *node)
{
    bool held = !engine_takes_peer_frames(node->engine);

    if (node->peers_held == held)
        return;
    node->peers_held = held;
    for (uint32_t i = 0; i < node->stream_count; i++)
    {
        Session *session = node->streams[i].session;

        if (session != NULL && session_role(session) == USER_ROLE_PEER)
            session_hold(session, held);
    }
}
