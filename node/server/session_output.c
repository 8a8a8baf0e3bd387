/*
 * Bytes out. Replies gather in the session's output; session_flush, at the end of the turn, tries
 * to write them at once and leaves the rest to one uv_write at a time.
 *
 * Failure modes: a client that does not read is noticed in three ways, by its own unsent bytes, by
 * output_timeout_ms without a byte read, and by the bytes of all sessions together
 * (bound_output in server.c); each closes the session.
 */
#include "node/server/session.h"

#define KEEP_BUFFER_BYTES (1024 * 1024) /* larger ones are given back when they are empty */

size_t
session_unsent_bytes(const Session *session)
{
    return session->output.length + session->wire.length + session->in_flight.length -
           session->in_flight_sent;
}

void
session_empty_buffer(Buffer *buffer)
{
    buffer_trim(buffer, KEEP_BUFFER_BYTES);
}

/* A session with something to send is put on one list, so that the end of a turn costs by what was
 * written and not by the sessions there are. */
void
session_touch(Session *session)
{
    if (session->is_dirty || session->phase == SESSION_CLOSED)
        return;
    session->is_dirty = true;
    TAILQ_INSERT_TAIL(&session->server->dirty, session, dirty);
}

static void
on_output_written(uv_write_t *request, int status)
{
    Session *session = request->handle->data;

    session->writing = false;
    if (session->phase == SESSION_CLOSED)
        return;
    if (status < 0)
    {
        session_abort(session);
        return;
    }
    if (session->phase == SESSION_OPEN)
        session->deadline_ms = 0;
    session->server->stats.sent_bytes += session->in_flight.length - session->in_flight_sent;
    session_empty_buffer(&session->in_flight);
    session->in_flight_sent = 0;
    session_touch(session);
}

/* The deadline compares libuv's queue at two moments: a slow client that reads something is left
 * alone. */
static void
watch_for_stall(Session *session)
{
    if (session->phase != SESSION_OPEN)
        return;
    session->stuck_bytes = uv_stream_get_write_queue_size((uv_stream_t *)&session->tcp);
    session->deadline_ms =
        uv_now(session->server->loop) + (uint64_t)session->server->config->output_timeout_ms;
    server_watch_deadlines(session->server);
}

void
session_meet_stall(Session *session)
{
    size_t left = uv_stream_get_write_queue_size((uv_stream_t *)&session->tcp);

    if (left < session->stuck_bytes)
        watch_for_stall(session);
    else
        server_cut_slow(session, "its client has read nothing for output_timeout_ms");
}

/* Hands over to libuv what the socket did not take. The two buffers change places, because libuv
 * keeps pointers into the one it writes. */
static void
write_later(Session *session, Buffer *ready, size_t sent)
{
    Buffer spare = session->in_flight;
    uv_buf_t rest;
    int result;

    session->in_flight = *ready;
    session->in_flight_sent = sent;
    *ready = spare;
    rest = uv_buf_init((char *)session->in_flight.data + sent,
                       (unsigned)(session->in_flight.length - sent));
    session->writing = true;
    result = uv_write(&session->write, (uv_stream_t *)&session->tcp, &rest, 1, on_output_written);
    if (result == 0)
        watch_for_stall(session);
    else
    {
        session->writing = false;
        session_abort(session);
    }
}

static void
write_now(Session *session, Buffer *ready)
{
    uv_buf_t all = uv_buf_init((char *)ready->data, (unsigned)ready->length);
    int sent = uv_try_write((uv_stream_t *)&session->tcp, &all, 1);

    if (sent < 0 && sent != UV_EAGAIN)
    {
        session_abort(session);
        return;
    }
    if (sent > 0)
        session->server->stats.sent_bytes += (uint64_t)sent;
    if (sent == (int)ready->length)
        session_empty_buffer(ready);
    else
        write_later(session, ready, sent > 0 ? (size_t)sent : 0);
}

static bool
encrypt_output(Session *session)
{
    bool is_alive =
        session->output.length == 0 || tls_send(session->tls, buffer_slice(&session->output));

    session_empty_buffer(&session->output);
    if (session->phase == SESSION_ENDING)
        tls_end(session->tls);
    tls_take_output(session->tls, &session->wire);
    return is_alive;
}

void
session_untouch(Session *session)
{
    if (session->is_dirty)
        TAILQ_REMOVE(&session->server->dirty, session, dirty);
    session->is_dirty = false;
}

/* The payload of a frame is written between begin_frame and end_frame, which seals it in place. */
static size_t
begin_frame(Session *session)
{
    return pgwire_begin(&session->output, 'd');
}

static void
end_frame(Session *session, size_t mark)
{
    if (session->is_sealed)
        seal_put(&session->to_client, &session->output, mark + sizeof(uint32_t));
    pgwire_end(&session->output, mark);
}

/* The next chunk of a large frame, when there is one. */
static void
put_next_chunk(Session *session)
{
    size_t mark;

    if (session->large.bytes == 0)
        return;
    mark = begin_frame(session);
    (void)chunk_queue_next(&session->large, &session->output);
    end_frame(session, mark);
}

/* The gathered output, with a chunk of a large frame behind it, as it goes over the wire. NULL when
 * TLS has failed. */
static Buffer *
gather_output(Session *session)
{
    put_next_chunk(session);
    if (session->tls == NULL)
        return &session->output;
    return encrypt_output(session) ? &session->wire : NULL;
}

/* One chunk is tried at once. Another is left to libuv, which calls back in the loop's next turn:
 * who fetches fast must not keep the others waiting. */
static void
write_gathered(Session *session)
{
    Buffer *ready = gather_output(session);

    if (ready != NULL && ready->length > 0)
        write_now(session, ready);
    if (ready != NULL && !session->writing && session->large.bytes > 0 &&
        session->phase != SESSION_CLOSED)
    {
        ready = gather_output(session);
        if (ready != NULL)
            write_later(session, ready, 0);
    }
    if (ready == NULL)
        session_abort(session);
}

void
session_flush(Session *session)
{
    session_untouch(session);
    if (session->phase >= SESSION_LINGERING)
        return;
    if (session_unsent_bytes(session) > SERVER_OUTPUT_MAX_BYTES)
        server_cut_slow(session, "its client does not read its answers");
    else if (!session->writing)
        write_gathered(session);
    server_count_output(session);
    if (session->phase == SESSION_ENDING && !session->writing)
        session_linger(session);
    else if (session->input.length > 0 && session_may_go_on(session))
        session_mark_resumable(session);
    session_adjust_reading(session);
}

static void
put_frame(Session *session, Slice frame)
{
    size_t mark = begin_frame(session);

    buffer_put(&session->output, frame.data, frame.length);
    end_frame(session, mark);
}

/* The most bytes of frames that leave in chunks, which are not counted in unsent output: another
 * node fetches objects for repair, a client only answers to its own requests. */
static size_t
large_bytes_max(const Session *session)
{
    return session->role == USER_ROLE_PEER ? CHUNK_FRAME_MAX : CHUNK_CLIENT_MAX;
}

/* A client asks again for fewer keys, or after a pause. */
static void
put_refusal(Session *session, Slice refused)
{
    size_t mark = begin_frame(session);
    Frame frame;

    (void)frame_decode(refused, &frame);
    if (refused.length > large_bytes_max(session))
        error_encode(&session->output, frame.tag, STATUS_ANSWER_TOO_LARGE, "");
    else
        error_encode(&session->output, frame.tag, STATUS_OVERLOADED,
                     "the client has too many unread answers on this session");
    end_frame(session, mark);
}

void
session_send_frame(Session *session, Slice frame)
{
    if (session_is_over(session) || session->state != PGWIRE_STREAM)
        return; /* nobody is there to read it */
    if (!chunk_is_needed(frame))
        put_frame(session, frame);
    else if (session->large.bytes > large_bytes_max(session) ||
             frame.length > large_bytes_max(session) - session->large.bytes ||
             !chunk_queue_add(&session->large, frame))
        put_refusal(session, frame);
    session->server->stats.sent_frames++;
    if (session->unanswered_frames > 0)
        session->unanswered_frames--;
    session_touch(session);
}
