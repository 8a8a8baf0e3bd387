/*
 * Bytes out: replies gather in the session's output; session_flush, at the end of the turn, tries
 * to write them at once and leaves the rest to one uv_write at a time.
 */
#include "node/session.h"

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
    if (buffer->capacity > KEEP_BUFFER_BYTES)
        buffer_free(buffer);
    else
        buffer_reset(buffer);
}

void
session_touch(Session *session)
{
    if (session->is_dirty || session->phase == SESSION_CLOSED)
        return;
    session->is_dirty = true;
    TAILQ_INSERT_TAIL(&session->server->dirty, session, dirty);
}

static void
on_written(uv_write_t *request, int status)
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
    session->server->stats.sent_bytes += session->in_flight.length - session->in_flight_sent;
    session_empty_buffer(&session->in_flight);
    session->in_flight_sent = 0;
    session_touch(session);
}

/* Hands over to libuv what the socket did not take. */
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
    result = uv_write(&session->write, (uv_stream_t *)&session->tcp, &rest, 1, on_written);
    if (result != 0)
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
encrypt(Session *session)
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

void
session_flush(Session *session)
{
    Buffer *ready = session->tls != NULL ? &session->wire : &session->output;

    session_untouch(session);
    if (session->phase >= SESSION_LINGERING)
        return;
    if (session->tls != NULL && !encrypt(session))
        session_abort(session);
    else if (session_unsent_bytes(session) > SERVER_OUTPUT_MAX_BYTES)
    {
        log_warning(session->server->log, "session %llu of %s is cut: %zu bytes wait to be read",
                    (unsigned long long)session->id, session->peer_address,
                    session_unsent_bytes(session));
        session_abort(session);
    }
    else if (!session->writing && ready->length > 0)
        write_now(session, ready);
    if (session->phase == SESSION_ENDING && !session->writing)
        session_linger(session);
    else if (session->input.length > 0 && session_may_go_on(session))
        session_mark_resumable(session);
    session_adjust_reading(session);
}

Buffer *
session_frame_begin(Session *session)
{
    session->frame_mark = pgwire_begin(&session->output, 'd');
    return &session->output;
}

void
session_frame_end(Session *session)
{
    if (session_is_over(session) || session->state != PGWIRE_STREAM)
    {
        session->output.length = session->frame_mark - 1; /* nobody is there to read it */
        return;
    }
    pgwire_end(&session->output, session->frame_mark);
    session->server->stats.sent_frames++;
    if (session->unanswered_frames > 0)
        session->unanswered_frames--;
    session_touch(session);
}

void
session_send_frame(Session *session, Slice frame)
{
    Buffer *output = session_frame_begin(session);

    buffer_put(output, frame.data, frame.length);
    session_frame_end(session);
}
