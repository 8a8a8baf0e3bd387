/*
 * The life of one link, from the first attempt to connect to the answer that shows that it still
 * works. The states and what leads from one to the next are in links_node.h.
 */
#include "fdw/cluster/links_node.h"

#include "storage/fd.h"
#include "utils/memutils.h"

#include "fdw/base/memory.h"
#include "fdw/cluster/foreign_text.h"
#include "fdw/cluster/links.h"

enum
{
    PAUSE_MIN_MS = 500,
    PAUSE_MAX_MS = 10000,
    REDIAL_MS = 800 /* sooner than TCP's own second try, and than the later ones by far */
};

/* ---- what it is called ---- */

static void
relabel(LinksNode *node)
{
    const char *form = strchr(node->address, ':') != NULL ? "[%s]:%u" : "%s:%u";

    node->endpoint = psprintf(form, node->address, (unsigned)node->port);
    if (node->name != NULL)
        foreign_text_clean(node->name);
    node->label =
        node->name != NULL ? psprintf("%s (%s)", node->name, node->endpoint) : node->endpoint;
}

LinksNode *
links_node_new(MemoryContext context, const LinksOptions *options, const LinksNodeEvents *events,
               void *owner, const char *name, const char *host, const char *address, uint16 port)
{
    MemoryContext own = AllocSetContextCreate(context, "dynamo_fdw node", ALLOCSET_SMALL_SIZES);
    MemoryContext before = MemoryContextSwitchTo(own);
    LinksNode *node = palloc0(sizeof(LinksNode));

    node->context = own;
    node->memory = memory_in_context(own);
    node->options = options;
    node->events = events;
    node->owner = owner;
    node->name = name != NULL ? pstrdup(name) : NULL;
    node->host = pstrdup(host != NULL ? host : address);
    node->address = pstrdup(address);
    node->port = port;
    node->event.socket = node->spare_event.socket = PGINVALID_SOCKET;
    relabel(node);
    MemoryContextSwitchTo(before);
    return node;
}

void
links_node_rename(LinksNode *node, const char *name)
{
    MemoryContext before;

    if (node->name != NULL && strcmp(node->name, name) == 0)
        return;
    before = MemoryContextSwitchTo(node->context);
    node->name = pstrdup(name);
    relabel(node);
    MemoryContextSwitchTo(before);
}

/* ---- suspicion ---- */

/* A node that refuses us has work with each try: the pause grows, however often a statement asks
 * meanwhile. */
void
links_node_suspect(LinksNode *node, uint64 now_ms)
{
    if (!node->suspect || node->sqlstate[0] == '\0')
        node->pause_ms = PAUSE_MIN_MS;
    else if (now_ms >= node->prove_at_ms)
        node->pause_ms = Min(node->pause_ms * 2, PAUSE_MAX_MS);
    node->suspect = true;
    node->prove_at_ms = now_ms + node->pause_ms;
}

/* ---- opening, closing, breaking ---- */

void
links_node_drop_queued(LinksNode *node, const Operation *operation)
{
    int kept = 0;

    for (int i = 0; i < node->queued; i++)
    {
        if (operation != NULL && node->queue[i].operation != operation)
            node->queue[kept++] = node->queue[i];
        else
            pfree((void *)node->queue[i].bytes.data);
    }
    node->queued = kept;
}

static void
close_link(LinksNode *node, Link **link, LinksEvent *event)
{
    if (*link == NULL)
        return;
    link_close(*link);
    ReleaseExternalFD();
    *link = NULL;
    event->socket = PGINVALID_SOCKET;
    node->socket_moved = true;
}

static void
close_spare(LinksNode *node)
{
    close_link(node, &node->spare, &node->spare_event);
}

static void
links_node_close(LinksNode *node)
{
    close_spare(node);
    if (node->link == NULL)
        return;
    links_node_drop_queued(node, NULL);
    close_link(node, &node->link, &node->event);
    node->streaming = false;
    node->flush_wanted = false;
}

void
links_node_free(LinksNode *node)
{
    links_node_close(node);
    MemoryContextDelete(node->context);
}

static void
trust(LinksNode *node)
{
    node->suspect = false;
    node->error[0] = '\0';
    node->sqlstate[0] = '\0';
    close_spare(node);
}

static void
set_error(LinksNode *node, const char *error, const char *sqlstate)
{
    strlcpy(node->error, error, sizeof(node->error));
    foreign_text_clean(node->error);
    strlcpy(node->sqlstate, sqlstate, sizeof(node->sqlstate));
}

static void
break_link(LinksNode *node, const char *error, const char *sqlstate)
{
    uint64 now_ms = links_now_ms();
    bool reached = node->streaming;

    set_error(node, error, sqlstate);
    links_node_close(node);
    if (!node->looked_at)
        links_node_suspect(node, now_ms);
    node->events->lost(node->owner, node, reached, now_ms);
}

/* libpq's words without what the node's label says already. */
static const char *
bare_error(const char *error)
{
    static const char failed[] = " failed: ";
    static const char fatal[] = "FATAL:  ";
    const char *at = strstr(error, failed);

    if (strncmp(error, "connection to server at", strlen("connection to server at")) == 0 &&
        at != NULL)
        error = at + strlen(failed);
    if (strncmp(error, fatal, strlen(fatal)) == 0)
        error += strlen(fatal);
    return error;
}

static void
break_by_link(LinksNode *node)
{
    char error[sizeof(node->error)];
    char sqlstate[sizeof(node->sqlstate)];

    strlcpy(error, bare_error(link_error(node->link)), sizeof(error));
    strlcpy(sqlstate, link_sqlstate(node->link), sizeof(sqlstate));
    break_link(node, error[0] != '\0' ? error : "the connection was lost", sqlstate);
}

static Link *
open_link(const LinksNode *node)
{
    const LinksOptions *options = node->options;
    const char *keywords[64];
    const char *values[64];
    char port[8];
    int count = 0;

    snprintf(port, sizeof(port), "%u", (unsigned)node->port);
    keywords[count] = "host";
    values[count++] = node->host;
    keywords[count] = "hostaddr";
    values[count++] = node->address;
    keywords[count] = "port";
    values[count++] = port;
    for (int i = 0; options->keywords[i] != NULL && count < lengthof(keywords) - 1; i++)
    {
        keywords[count] = options->keywords[i];
        values[count++] = options->values[i];
    }
    keywords[count] = NULL;
    values[count] = NULL;
    return link_open(&node->memory, keywords, values);
}

static void
links_node_open(LinksNode *node, uint64 now_ms)
{
    if (!AcquireExternalFD())
    {
        break_link(node, "this server process has too many files open", "53000");
        return;
    }
    node->link = open_link(node);
    if (node->link == NULL)
    {
        ReleaseExternalFD();
        break_link(node, "out of memory", "53200");
        return;
    }
    node->connect_by_ms = now_ms + node->options->connect_timeout_ms;
    node->redial_at_ms = now_ms + REDIAL_MS;
    node->socket_moved = true;
    if (link_state(node->link) == LINK_BROKEN)
        break_by_link(node);
}

/* ---- the spare link ---- */

/* A node that refuses it may yet answer over the link that it has; one that cannot be reached, or
 * has no such process any more, will not. */
static void
break_spare(LinksNode *node)
{
    char error[sizeof(node->error)];
    bool refused = link_sqlstate(node->spare)[0] != '\0';

    strlcpy(error, bare_error(link_error(node->spare)), sizeof(error));
    close_spare(node);
    if (!refused)
        break_link(node, error, "");
    else
        node->prove_at_ms = links_now_ms() + PAUSE_MAX_MS;
}

static void
open_spare(LinksNode *node, uint64 now_ms)
{
    node->prove_at_ms = now_ms + PAUSE_MIN_MS;
    if (!AcquireExternalFD())
        return;
    node->spare = open_link(node);
    if (node->spare == NULL)
    {
        ReleaseExternalFD();
        return;
    }
    node->connect_by_ms = now_ms + node->options->connect_timeout_ms;
    node->redial_at_ms = now_ms + REDIAL_MS;
    node->socket_moved = true;
    if (link_state(node->spare) == LINK_BROKEN)
        break_spare(node);
}

/* What the old link owes is asked for again over the new one. */
static void
use_spare(LinksNode *node)
{
    Link *spare = node->spare;

    node->spare = NULL;
    node->spare_event.socket = PGINVALID_SOCKET;
    links_node_close(node);
    node->link = spare;
    node->socket_moved = true;
    node->streaming = true;
    trust(node);
    node->events->lost(node->owner, node, true, links_now_ms());
}

void
links_node_step_spare(LinksNode *node)
{
    LinkState state = link_step(node->spare);

    if (state == LINK_CONNECTING)
        node->socket_moved = true;
    else if (state == LINK_STREAMING)
        use_spare(node);
    else
        break_spare(node);
}

/* ---- sending ---- */

/* The operation may encode its next frame over this one, so it is copied. */
static void
queue_frame(LinksNode *node, const Operation *operation, Slice frame)
{
    uint8_t *copy = MemoryContextAllocHuge(node->context, frame.length);

    memcpy(copy, frame.data, frame.length);
    if (node->queued == node->queue_capacity)
    {
        int capacity = node->queue_capacity > 0 ? node->queue_capacity * 2 : 8;

        node->queue = node->queue == NULL
                          ? MemoryContextAlloc(node->context, sizeof(LinksNodeFrame) * capacity)
                          : repalloc(node->queue, sizeof(LinksNodeFrame) * capacity);
        node->queue_capacity = capacity;
    }
    node->queue[node->queued++] = (LinksNodeFrame){operation, slice_make(copy, frame.length)};
}

void
links_node_send(LinksNode *node, const Operation *operation, Slice frame)
{
    if (node->link == NULL)
        links_node_open(node, links_now_ms());
    if (node->link == NULL)
        return;
    if (node->suspect && node->streaming && node->spare == NULL)
        open_spare(node, links_now_ms());
    if (node->link == NULL)
        return;
    if (!node->streaming)
        queue_frame(node, operation, frame);
    else if (link_send(node->link, frame))
        node->flush_wanted = true;
    else
        break_by_link(node);
}

static void
send_queued(LinksNode *node)
{
    for (int i = 0; i < node->queued; i++)
    {
        if (!link_send(node->link, node->queue[i].bytes))
        {
            break_by_link(node);
            return;
        }
    }
    node->flush_wanted = true;
    links_node_drop_queued(node, NULL);
}

void
links_node_flush(LinksNode *node)
{
    if (!node->flush_wanted)
        return;
    node->flush_wanted = false;
    if (link_flush(node->link) == LINK_BROKEN)
        break_by_link(node);
}

/* ---- receiving ---- */

static void
receive(LinksNode *node)
{
    uint64 now_ms = links_now_ms();
    Slice bytes;
    Frame frame;

    while (node->link != NULL && link_receive(node->link, &bytes))
    {
        if (!frame_decode(bytes, &frame))
        {
            break_link(node, "it sent bytes that are no frame", "08P01");
            return;
        }
        trust(node);
        node->events->frame(node->owner, node, &frame, now_ms);
    }
    if (node->link != NULL && link_heard_chunk(node->link))
    {
        trust(node);
        node->events->heard(node->owner, node, now_ms);
    }
    if (node->link != NULL && link_state(node->link) == LINK_BROKEN)
        break_by_link(node);
}

static uint32
take_limit(const LinksNode *node, const char *name)
{
    const char *text = link_parameter(node->link, name);

    return text != NULL ? (uint32)strtoul(text, NULL, 10) : 0;
}

static void
connected(LinksNode *node)
{
    node->streaming = true;
    node->limits = (LinksLimits){.key = take_limit(node, "dynamo.max_key_bytes"),
                                 .value = take_limit(node, "dynamo.max_value_bytes")};
    trust(node);
    send_queued(node);
}

void
links_node_step(LinksNode *node)
{
    LinkState state = link_step(node->link);

    if (!node->streaming && state == LINK_CONNECTING)
        node->socket_moved = true;
    else if (!node->streaming && state == LINK_STREAMING)
        connected(node);
    if (node->streaming)
        receive(node);
    else if (state == LINK_BROKEN && node->link != NULL)
        break_by_link(node);
}

void
links_node_look(LinksNode *node)
{
    if (!node->streaming)
        return;
    node->looked_at = true;
    links_node_step(node);
    node->looked_at = false;
}

/* ---- time ---- */

/* The link that is being made, or NULL. */
static Link **
connecting_link(LinksNode *node)
{
    if (node->spare != NULL)
        return &node->spare;
    return node->link != NULL && !node->streaming ? &node->link : NULL;
}

static void
end_connecting(LinksNode *node, uint64 now_ms)
{
    if (node->spare == NULL)
    {
        break_link(node, "it did not answer in time while connecting", "");
        return;
    }
    close_spare(node);
    node->prove_at_ms = now_ms + PAUSE_MIN_MS;
}

/* Its packets may have been dropped where others would pass now. */
static void
redial(LinksNode *node, Link **link, uint64 now_ms)
{
    Link *anew = open_link(node);

    node->redial_at_ms = now_ms + REDIAL_MS;
    if (anew == NULL)
        return;
    link_close(*link);
    *link = anew;
    node->socket_moved = true;
    if (link_state(*link) != LINK_BROKEN)
        return;
    if (link == &node->spare)
        break_spare(node);
    else
        break_by_link(node);
}

void
links_node_check_time(LinksNode *node, uint64 now_ms)
{
    Link **link = connecting_link(node);

    if (link != NULL && now_ms >= node->connect_by_ms)
        end_connecting(node, now_ms);
    else if (link != NULL && now_ms >= node->redial_at_ms && !link_is_answered(*link))
        redial(node, link, now_ms);
    else if (link == NULL && node->suspect && now_ms >= node->prove_at_ms)
        (node->streaming ? open_spare : links_node_open)(node, now_ms);
}

void
links_node_skip_time(LinksNode *node, uint64 idle_ms)
{
    node->connect_by_ms += idle_ms;
    node->redial_at_ms += idle_ms;
}

uint64
links_node_wake_ms(const LinksNode *node)
{
    const Link *link = node->spare != NULL ? node->spare : node->streaming ? NULL : node->link;

    if (link != NULL)
        return link_is_answered(link) ? node->connect_by_ms
                                      : Min(node->connect_by_ms, node->redial_at_ms);
    return node->suspect ? node->prove_at_ms : PG_UINT64_MAX;
}
