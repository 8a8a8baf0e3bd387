/*
 * Happy path: PQconnectPoll until it is done, behind a gate that lets only a mutual login through,
 * "STREAM 1", CopyBothResponse, then frames as CopyData in both directions. Failure: whatever libpq
 * or the server says ends in break_link(), which keeps the first line; nothing is tried again.
 * Frames that came before the connection was lost are still handed out.
 */
#include "shared/wire/link.h"

#include "shared/wire/gate.h"
#include "shared/wire/seal.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum
{
    CHUNKS_AT_ONCE = 4,  /* handed to libpq at once: the owner has other work */
    PARAMETERS_MAX = 64, /* of a connection */
    STEPS_MAX = 32       /* without a frame, before it is looked at how much has come */
};

typedef enum LinkPhase
{
    PHASE_CONNECT, /* PQconnectPoll says what is awaited */
    PHASE_ASK,     /* the answer to STREAM */
    PHASE_STREAM,
    PHASE_DRAIN, /* the connection is lost, frames that came before are not yet received */
    PHASE_BROKEN
} LinkPhase;

struct Link
{
    const Memory *memory;
    PGconn *connection; /* NULL when libpq had no memory */
    Gate gate;          /* while it logs in; and its socket */
    LinkPhase phase;
    int wants;
    bool unsent;
    bool full; /* the kernel did not take all that libpq has */
    bool sends_chunks;
    bool heard_chunk;
    bool sealed; /* in clear: frames have tags */
    Seal to_node;
    Seal from_node;
    Buffer tagged;     /* the frame that is being sent */
    ChunkQueue large;  /* frames that leave in chunks */
    Buffer chunk;      /* to be sent next */
    Buffer queue;      /* small frames, each behind its length, that came while full */
    size_t queue_done; /* bytes of it that libpq has */
    ChunkJoin join;    /* frames that come in chunks */
    char *frame;       /* handed out by link_receive, libpq's */
    char *drained;     /* in PHASE_DRAIN: the next frame to hand out */
    int drained_bytes; /* of drained */
    int steps;         /* since the last frame came */
    uint64_t came;     /* bytes in all, when steps was STEPS_MAX */
    char error[512];
    char sqlstate[6];
};

/* Keeps the first line without blanks and full stop at its end; the first error is the one that
 * counts. */
static void
keep_first_error(Link *link, const char *text)
{
    size_t length = strcspn(text, "\r\n");

    if (link->error[0] != '\0')
        return;
    while (length > 0 && strchr(" \t.", text[length - 1]) != NULL)
        length--;
    snprintf(link->error, sizeof(link->error), "%.*s", (int)length, text);
    if (length == 0)
        snprintf(link->error, sizeof(link->error), "the connection was lost");
}

/* The first error counts: what follows from a broken link says less. */
static void
break_link(Link *link, const char *text)
{
    keep_first_error(link, text);
    link->phase = PHASE_BROKEN;
    link->wants = 0;
}

static void
break_by_memory(Link *link)
{
    snprintf(link->sqlstate, sizeof(link->sqlstate), "53200");
    break_link(link, "out of memory");
}

static void
break_by_libpq(Link *link)
{
    break_link(link, PQerrorMessage(link->connection));
}

/*
 * While connecting, libpq gives the server's SQLSTATE only in the text of verbose messages, as in
 * "... failed: FATAL:  28P01: password authentication failed". Takes it out of there.
 */
static void
extract_sqlstate(Link *link)
{
    char *mark = strstr(link->error, ":  ");

    if (mark == NULL || strspn(mark + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 5 ||
        strncmp(mark + 8, ": ", 2) != 0)
        return;
    memcpy(link->sqlstate, mark + 3, 5);
    memmove(mark + 3, mark + 10, strlen(mark + 10) + 1);
}

/* What the server itself says counts for more than that the connection was lost. */
static void
break_by_result(Link *link, const PGresult *result)
{
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    if (sqlstate != NULL)
        snprintf(link->sqlstate, sizeof(link->sqlstate), "%s", sqlstate);
    if (text != NULL)
        link->error[0] = '\0';
    break_link(link, text != NULL ? text : "the server did not begin a stream of frames");
}

/* libpq would print notices on standard error, which a backend and a daemon have other uses for. */
static void
drop_notice(void *argument, const PGresult *result)
{
}

/* ---- parameters ---- */

/* The value that libpq would take, the last one; or NULL. */
static const char *
find_parameter(const char *const *keywords, const char *const *values, const char *keyword)
{
    const char *value = NULL;

    for (int i = 0; keywords[i] != NULL; i++)
        if (strcmp(keywords[i], keyword) == 0)
            value = values[i];
    return value;
}

/* "prefer" and "allow" go on in clear when whoever answers says so, and promise nothing. */
static bool
is_decided(const char *sslmode)
{
    static const char *const modes[] = {"disable", "require", "verify-ca", "verify-full"};

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (strcmp(modes[i], sslmode) == 0)
            return true;
    return false;
}

/*
 * What a link wants unless its owner says otherwise: those come first, and the last one counts. Who
 * asks for no certificate must get along without any that lies in the home folder of the process.
 */
static void
start_connection(Link *link, const char *const *keywords, const char *const *values,
                 const char *sslmode)
{
    bool verifies = strncmp(sslmode, "verify", strlen("verify")) == 0;
    const char *nowhere = verifies ? "" : "/dev/null/none";
    bool clear = strcmp(sslmode, "disable") == 0;
    const char *all_keywords[PARAMETERS_MAX] = {"sslmode", "channel_binding", "sslrootcert",
                                                "sslcert", "sslcrl"};
    const char *all_values[PARAMETERS_MAX] = {LINK_SSLMODE, clear ? "disable" : "require", nowhere,
                                              nowhere, nowhere};
    int count = 5;

    for (int i = 0; keywords[i] != NULL && count < PARAMETERS_MAX - 2; i++)
    {
        all_keywords[count] = keywords[i];
        all_values[count++] = values[i];
    }
    if (PQlibVersion() >= 160000)
    {
        all_keywords[count] = "require_auth";
        all_values[count++] = "scram-sha-256";
    }
    link->connection = PQconnectStartParams(all_keywords, all_values, 0);
}

/* A connection that promises nothing is not begun. */
static bool
begin_connection(Link *link, const char *const *keywords, const char *const *values)
{
    const char *given = find_parameter(keywords, values, "sslmode");
    const char *sslmode = given != NULL ? given : LINK_SSLMODE;

    if (is_decided(sslmode))
        start_connection(link, keywords, values, sslmode);
    gate_init(&link->gate, link->memory, link->connection, strcmp(sslmode, "disable") == 0);
    if (!is_decided(sslmode))
        break_link(link, "sslmode must be disable, require, verify-ca or verify-full");
    else if (link->connection == NULL)
        break_by_memory(link);
    return link->connection != NULL;
}

/* A link that cannot be begun is broken from its beginning and says why, so that callers have one
 * place for errors. */
Link *
link_open(const Memory *memory, const char *const *keywords, const char *const *values)
{
    Link *link = memory_try_resize(memory, NULL, sizeof(Link));

    if (link == NULL)
        return NULL;
    *link = (Link){.memory = memory, .phase = PHASE_CONNECT, .wants = LINK_WRITE};
    chunk_queue_init(&link->large, memory);
    buffer_init(&link->chunk, memory);
    buffer_init(&link->queue, memory);
    buffer_init(&link->tagged, memory);
    chunk_join_init(&link->join, memory, CHUNK_CLIENT_MAX);
    if (!begin_connection(link, keywords, values))
        return link;
    PQsetNoticeReceiver(link->connection, drop_notice, NULL);
    PQsetErrorVerbosity(link->connection, PQERRORS_VERBOSE);
    if (PQstatus(link->connection) == CONNECTION_BAD)
        break_by_libpq(link);
    return link;
}

void
link_close(Link *link)
{
    if (link == NULL)
        return;
    PQfreemem(link->frame);
    PQfreemem(link->drained);
    chunk_queue_free(&link->large);
    buffer_free(&link->chunk);
    buffer_free(&link->queue);
    buffer_free(&link->tagged);
    sodium_memzero(&link->to_node, sizeof(link->to_node));
    sodium_memzero(&link->from_node, sizeof(link->from_node));
    chunk_join_free(&link->join);
    PQfinish(link->connection);
    gate_free(&link->gate);
    memory_resize(link->memory, link, 0);
}

/* ---- connecting ---- */

/* PQconnectPoll may only be called when the socket is ready; the owner may have been woken for
 * nothing. */
static bool
socket_is_ready(const Link *link)
{
    short events =
        (short)((link->wants & LINK_READ ? POLLIN : 0) | (link->wants & LINK_WRITE ? POLLOUT : 0));
    struct pollfd entry = {.fd = link->gate.socket, .events = events};

    return poll(&entry, 1, 0) == 1;
}

/* The server ended the stream: its reason is the next result. */
static void
break_by_server(Link *link)
{
    PGresult *result = PQisBusy(link->connection) ? NULL : PQgetResult(link->connection);

    if (PQresultStatus(result) == PGRES_FATAL_ERROR)
        break_by_result(link, result);
    else
        break_link(link, "the server ended the stream of frames");
    PQclear(result);
}

/* Takes the tag off a frame. False: it is not what the node sent next, and so is nothing later. */
static bool
open_frame(Link *link, char *frame, int *length)
{
    if (!link->sealed)
        return true;
    if (!seal_open(&link->from_node, (uint8_t *)frame, (size_t)*length))
    {
        break_link(link, LINK_ALTERED);
        return false;
    }
    *length -= SEAL_TAG_BYTES;
    return true;
}

/* The next whole frame that libpq holds, or NULL. */
static char *
next_frame(Link *link, int *length)
{
    char *frame = NULL;

    *length = PQgetCopyData(link->connection, &frame, 1);
    if (*length > 0)
        link->steps = 0;
    if (*length == -1)
        break_by_server(link);
    else if (*length == -2)
        break_by_libpq(link);
    else if (*length > 0 && !open_frame(link, frame, length))
    {
        PQfreemem(frame);
        *length = 0;
    }
    return *length > 0 ? frame : NULL;
}

/* False: libpq does not take it, since the connection is lost; or there is no memory. */
static bool
give_frame(Link *link, Slice frame)
{
    if (link->sealed)
    {
        static const uint8_t room[SEAL_TAG_BYTES];

        buffer_reset(&link->tagged);
        if (!buffer_try_put(&link->tagged, frame.data, frame.length) ||
            !buffer_try_put(&link->tagged, room, sizeof(room)))
        {
            break_by_memory(link);
            return false;
        }
        link->tagged.length -= sizeof(room);
        seal_put(&link->to_node, &link->tagged, 0);
        frame = buffer_slice(&link->tagged);
    }
    bool taken = PQputCopyData(link->connection, (const char *)frame.data, (int)frame.length) == 1;

    buffer_trim(&link->tagged, CHUNK_BYTES);
    return taken;
}

/* The connection is lost: goes on with the frames that came before, or breaks the link when there
 * is none left. */
static void
begin_drain(Link *link)
{
    if (link->phase == PHASE_BROKEN)
        return;
    keep_first_error(link, PQerrorMessage(link->connection));
    link->phase = PHASE_DRAIN;
    link->wants = 0;
    link->drained = next_frame(link, &link->drained_bytes);
    if (link->drained == NULL && link->phase == PHASE_DRAIN)
        link->phase = PHASE_BROKEN;
}

/* A chunk goes only when all before it has left, so that what is sent meanwhile waits for no more
 * than one. */
static bool
put_next_chunk(Link *link)
{
    buffer_reset(&link->chunk);
    return chunk_queue_next(&link->large, &link->chunk) &&
           give_frame(link, buffer_slice(&link->chunk));
}

/* libpq keeps what it is given in a buffer that it never makes smaller and whose filling nobody can
 * see. So it gets no more than it can send. */
static bool
put_queued(Link *link)
{
    size_t most = link->queue_done + CHUNK_BYTES;

    while (link->queue_done < link->queue.length && link->queue_done < most)
    {
        uint32_t length;

        memcpy(&length, link->queue.data + link->queue_done, sizeof(length));
        link->queue_done += sizeof(length);
        if (!give_frame(link, slice_make(link->queue.data + link->queue_done, length)))
            return false;
        link->queue_done += length;
    }
    /* What is moved is never more than what was taken. */
    if (link->queue_done >= link->queue.length - link->queue_done)
    {
        buffer_consume(&link->queue, link->queue_done);
        link->queue_done = 0;
    }
    if (link->queue.length == 0)
        buffer_trim(&link->queue, CHUNK_BYTES);
    return true;
}

/* Small frames that have waited, and a chunk. */
static bool
put_more(Link *link)
{
    return put_queued(link) && (link->large.bytes == 0 || put_next_chunk(link));
}

/* Does something wait that libpq was not given yet? */
static bool
has_more(const Link *link)
{
    return link->large.bytes > 0 || link->queue.length > 0;
}

/* A few chunks in each turn: a frame of a gigabyte must not keep its owner from its other links. */
static void
send_waiting(Link *link)
{
    int left = PQflush(link->connection);

    for (int i = 0; i < CHUNKS_AT_ONCE && left == 0 && has_more(link); i++)
        left = put_more(link) ? PQflush(link->connection) : -1;
    if (left < 0)
    {
        begin_drain(link);
        return;
    }
    link->full = left > 0;
    link->unsent = left > 0 || has_more(link);
    link->wants = LINK_READ | (link->unsent ? LINK_WRITE : 0);
}

/* Frames in clear are sealed under a key from the login. */
static void
seal_from_now_on(Link *link)
{
    const Proof *proof = &link->gate.proof;

    if (!link->gate.clear)
        return;
    link->sealed = true;
    seal_begin_by_password(&link->to_node, &link->from_node, PQpass(link->connection),
                           slice_make(proof->first, proof->first_length));
}

static void
ask_for_stream(Link *link)
{
    char command[32];

    snprintf(command, sizeof(command), "STREAM %d", MESSAGE_PROTOCOL);
    if (PQsetnonblocking(link->connection, 1) != 0 || !PQsendQuery(link->connection, command))
    {
        break_by_libpq(link);
        return;
    }
    link->phase = PHASE_ASK;
    seal_from_now_on(link);
    gate_fetch_ahead(link->connection);
    send_waiting(link);
}

/* All that has come, as libpq takes one record a time. False: the connection is lost. */
static bool
consume_records(Link *link)
{
    bool more;

    do
    {
        if (!PQconsumeInput(link->connection))
            return false;
        more = gate_has_fetched(link->connection);
    } while (more);
    return true;
}

/* One step of libpq's. What it asks for next is in wants, unless the link goes on or is broken. */
static void
poll_connection(Link *link)
{
    PostgresPollingStatusType status = PQconnectPoll(link->connection);

    if (status == PGRES_POLLING_FAILED)
    {
        break_by_libpq(link);
        extract_sqlstate(link);
    }
    else if (!gate_polled(&link->gate, link->connection, status == PGRES_POLLING_OK))
        break_link(link, strerror(errno));
    else if (status == PGRES_POLLING_OK)
        ask_for_stream(link);
    else
        link->wants = status == PGRES_POLLING_READING ? LINK_READ : LINK_WRITE;
}

/* Who cannot prove what he is fails as a login does. */
static void
break_by_gate(Link *link)
{
    if (link->gate.no_memory)
        snprintf(link->sqlstate, sizeof(link->sqlstate), "53200");
    else if (link->gate.proof.stage < PROOF_GIVEN)
        snprintf(link->sqlstate, sizeof(link->sqlstate), "28000");
    break_link(link, link->gate.proof.error);
}

/* In clear libpq may have several messages to read in one step; its own socket would not wake us
 * for them. */
static void
step_connect(Link *link)
{
    GateAnswer answer;

    if (!socket_is_ready(link))
        return;
    answer = gate_admit(&link->gate, link->connection);
    if (answer == GATE_REFUSED)
        break_by_gate(link);
    else if (answer == GATE_PASS)
    {
        do
            poll_connection(link);
        while (link->phase == PHASE_CONNECT && gate_has_more(&link->gate, link->connection));
    }
    if (link->phase == PHASE_CONNECT && link->gate.answering)
        link->wants = LINK_READ | (gate_has_unsent(&link->gate) ? LINK_WRITE : 0);
}

/* An error may come together with the end of the connection: the result says more than the end
 * does. */
static void
step_ask(Link *link)
{
    bool lost = !consume_records(link);

    if (!lost)
        send_waiting(link);
    if (link->phase == PHASE_BROKEN || (PQisBusy(link->connection) && !lost))
        return;

    PGresult *result = PQisBusy(link->connection) ? NULL : PQgetResult(link->connection);

    if (PQresultStatus(result) == PGRES_COPY_BOTH)
        link->phase = PHASE_STREAM;
    else if (result != NULL)
        break_by_result(link, result);
    else
        break_by_libpq(link);
    PQclear(result);
}

/* Bytes that the other end has sent since the connection began. */
static uint64_t
count_received(const Link *link)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof(info);

    if (getsockopt(PQsocket(link->connection), IPPROTO_TCP, TCP_INFO, &info, &length) != 0)
        return 0;
    return info.tcpi_bytes_received;
}

/* libpq makes room for a message of any length that the other end names, up to 2 GB. A node's are
 * short, so that looking now and then is enough. */
static bool
has_come_too_much(Link *link)
{
    if (link->steps < STEPS_MAX)
    {
        link->steps++;
        return false;
    }
    if (link->steps == STEPS_MAX)
    {
        link->steps++;
        link->came = count_received(link);
    }
    return count_received(link) > link->came + LINK_MESSAGE_MAX;
}

static void
step_stream(Link *link)
{
    if (has_come_too_much(link))
        break_link(link, "the node sends a message longer than there may be");
    else if (!consume_records(link))
        begin_drain(link);
    else
        send_waiting(link);
}

/* A login that ends in this step goes on to the answer to STREAM at once, since its bytes may have
 * come already. */
LinkState
link_step(Link *link)
{
    if (link->phase == PHASE_CONNECT)
        step_connect(link);
    if (link->phase == PHASE_ASK)
        step_ask(link);
    else if (link->phase == PHASE_STREAM)
        step_stream(link);
    return link_state(link);
}

LinkState
link_state(const Link *link)
{
    switch (link->phase)
    {
    case PHASE_CONNECT:
    case PHASE_ASK:
        return LINK_CONNECTING;
    case PHASE_STREAM:
    case PHASE_DRAIN:
        return LINK_STREAMING;
    case PHASE_BROKEN:
        break;
    }
    return LINK_BROKEN;
}

bool
link_is_answered(const Link *link)
{
    ConnStatusType status = PQstatus(link->connection);

    return status != CONNECTION_STARTED && status != CONNECTION_NEEDED;
}

int
link_socket(const Link *link)
{
    /* libpq closes what is lost; its number may be another's soon. */
    return PQsocket(link->connection) < 0 ? -1 : link->gate.socket;
}

int
link_wants(const Link *link)
{
    return link->wants;
}

/* Nodes alone take frames of any size from each other; a client's memory is not ours to fill. */
void
link_send_in_chunks(Link *link)
{
    link->sends_chunks = true;
    link->join.bytes_max = CHUNK_FRAME_MAX;
}

/* All frames that wait together are bounded as one frame is. */
static bool
send_in_chunks(Link *link, Slice frame)
{
    if (frame.length > CHUNK_FRAME_MAX)
        return false;
    if (frame.length > CHUNK_FRAME_MAX - link->large.bytes)
    {
        break_link(link, "too much waits to be fetched already");
        return false;
    }
    if (!chunk_queue_add(&link->large, frame))
    {
        break_by_memory(link);
        return false;
    }
    link->unsent = true;
    return true;
}

/* The socket is full: the frame waits, behind its length. */
static bool
queue_behind_length(Link *link, Slice frame)
{
    uint32_t length = (uint32_t)frame.length;

    if (link->queue.length + sizeof(length) + length > LINK_QUEUE_MAX)
        break_link(link, "too much waits to be sent already");
    else if (!buffer_try_put(&link->queue, &length, sizeof(length)) ||
             !buffer_try_put(&link->queue, frame.data, frame.length))
        break_by_memory(link);
    else
        return true;
    return false;
}

bool
link_send(Link *link, Slice frame)
{
    if (link->phase != PHASE_STREAM)
        return false;
    if (link->sends_chunks && chunk_is_needed(frame))
        return send_in_chunks(link, frame);
    if (frame.length > MESSAGE_FRAME_MAX)
        return false;
    link->unsent = true;
    if (link->full || link->queue.length > 0)
        return queue_behind_length(link, frame);
    if (!give_frame(link, frame))
    {
        begin_drain(link);
        return false;
    }
    return true;
}

LinkState
link_flush(Link *link)
{
    if (link->phase == PHASE_STREAM)
        send_waiting(link);
    return link_state(link);
}

size_t
link_queued_bytes(const Link *link)
{
    return link->queue.length - link->queue_done + link->large.bytes;
}

/* What the other end sent next, perhaps a chunk of a frame. */
static bool
receive_frame(Link *link, Slice *frame)
{
    int length = link->drained_bytes;

    PQfreemem(link->frame);
    link->frame = link->drained;
    link->drained = NULL;
    if (link->phase == PHASE_STREAM)
        link->frame = next_frame(link, &length);
    else if (link->phase == PHASE_DRAIN)
        begin_drain(link);
    *frame = slice_make(link->frame, link->frame != NULL ? (size_t)length : 0);
    return link->frame != NULL;
}

/* Chunks make no frame until the last of them: the loop takes all that has come. */
bool
link_receive(Link *link, Slice *frame)
{
    ChunkResult result = CHUNK_MORE;

    chunk_join_release(&link->join);
    while (result == CHUNK_MORE)
    {
        if (!receive_frame(link, frame))
            return false;
        if (!chunk_is_one(*frame))
            return true;
        link->heard_chunk = true;
        result = chunk_join_add(&link->join, *frame, frame);
    }
    if (result == CHUNK_BAD)
        break_link(link, "the node sent the part of a frame that fits no other");
    else if (result == CHUNK_NO_MEMORY)
        break_by_memory(link);
    return result == CHUNK_WHOLE;
}

bool
link_heard_chunk(Link *link)
{
    bool heard = link->heard_chunk;

    link->heard_chunk = false;
    return heard;
}

const char *
link_error(const Link *link)
{
    return link->error;
}

const char *
link_sqlstate(const Link *link)
{
    return link->sqlstate;
}

const char *
link_parameter(const Link *link, const char *name)
{
    return PQparameterStatus(link->connection, name);
}
