/*
 * One WaitEventSet holds the latch and every link's socket. It lives from statement to statement and is made anew when the set of
 * sockets changes, which a link may do at any step while it connects.
 *
 * Happy path of a wait: the operation's frames are queued on their links and flushed, the set is waited for, each link
 * that is ready hands out its frames. Failure: a link that breaks is closed at once, every operation is told that the node
 * is lost, and the node becomes a suspect.
 */
#include "fdw/links.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include <time.h>

#include "shared/link.h"

enum
{
    LINKS_PAUSE_MIN_MS = 1000,
    LINKS_PAUSE_MAX_MS = 10000,
    LINKS_FIXED_EVENTS = 2 /* the latch and the postmaster's death */
};

/* A frame that waits for its link. */
typedef struct QueuedFrame
{
    Operation *operation;
    Slice frame;
} QueuedFrame;

struct LinksNode
{
    dlist_node listed;
    Links *links;
    MemoryContext context;
    char *name;
    char *host;
    char *address;
    uint16 port;
    char *label;

    Link *link; /* NULL: none */
    bool streaming;
    bool flush_wanted;
    uint64 connect_by_ms;
    QueuedFrame *queue;
    int queued;
    int queue_capacity;

    int event; /* its place in the set */
    pgsocket event_socket;
    uint32 event_mask;

    bool suspect;
    uint64 pause_ms;
    uint64 prove_at_ms; /* a suspect's next try */
    char sqlstate[6];
    char error[512];
};

struct Links
{
    MemoryContext context;
    LinksOptions options;
    dlist_head nodes;
    int node_count;
    dlist_head attached;
    Operation *running; /* may point to what is gone already: compare it, never follow it, unless inside links_run */
    WaitEventSet *set;
    int set_capacity;
    bool set_is_old;
    WaitEvent *events;
};

uint64
links_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64) now.tv_sec * 1000 + (uint64) now.tv_nsec / 1000000;
}

/* ---- the operations' clocks ---- */

static uint64
operation_clock(const Links *links, const Operation *operation, uint64 now_ms)
{
    uint64 at = operation == links->running || operation->paused_at_ms == 0
                    ? now_ms
                    : operation->paused_at_ms;

    return at - operation->idle_ms;
}

static void
operation_resume(Operation *operation, uint64 now_ms)
{
    if (operation->paused_at_ms != 0)
        operation->idle_ms += now_ms - operation->paused_at_ms;
}

/* ---- nodes ---- */

static char *
copy_list_entry(const char *text)
{
    return text != NULL ? pstrdup(text) : NULL;
}

static void
links_copy_options(Links *links, const LinksOptions *options)
{
    int count = 0;

    while (options->keywords[count] != NULL)
        count++;
    links->options = *options;
    links->options.keywords = palloc0(sizeof(char *) * (count + 1));
    links->options.values = palloc0(sizeof(char *) * (count + 1));
    for (int i = 0; i < count; i++)
    {
        links->options.keywords[i] = pstrdup(options->keywords[i]);
        links->options.values[i] = copy_list_entry(options->values[i]);
    }
}

Links *
links_new(MemoryContext context, const LinksOptions *options)
{
    MemoryContext own = AllocSetContextCreate(context, "dynamo_fdw links", ALLOCSET_SMALL_SIZES);
    MemoryContext before = MemoryContextSwitchTo(own);
    Links *links = palloc0(sizeof(Links));

    links->context = own;
    dlist_init(&links->nodes);
    dlist_init(&links->attached);
    links->set_is_old = true;
    links_copy_options(links, options);
    MemoryContextSwitchTo(before);
    return links;
}

static void
links_relabel(LinksNode *node)
{
    const char *form = strchr(node->address, ':') != NULL ? "[%s]:%u" : "%s:%u";
    char *place = psprintf(form, node->address, (unsigned) node->port);

    node->label = node->name != NULL ? psprintf("%s (%s)", node->name, place) : place;
}

LinksNode *
links_add(Links *links, const char *name, const char *host, const char *address, uint16 port)
{
    MemoryContext own =
        AllocSetContextCreate(links->context, "dynamo_fdw node", ALLOCSET_SMALL_SIZES);
    MemoryContext before = MemoryContextSwitchTo(own);
    LinksNode *node = palloc0(sizeof(LinksNode));

    node->links = links;
    node->context = own;
    node->name = copy_list_entry(name);
    node->host = pstrdup(host != NULL ? host : address);
    node->address = pstrdup(address);
    node->port = port;
    node->event_socket = PGINVALID_SOCKET;
    links_relabel(node);
    MemoryContextSwitchTo(before);
    dlist_push_tail(&links->nodes, &node->listed);
    links->node_count++;
    return node;
}

LinksNode *
links_find(Links *links, const char *address, uint16 port)
{
    dlist_iter iter;

    dlist_foreach (iter, &links->nodes)
    {
        LinksNode *node = dlist_container(LinksNode, listed, iter.cur);

        if (node->port == port && strcmp(node->address, address) == 0)
            return node;
    }
    return NULL;
}

void
links_rename(LinksNode *node, const char *name)
{
    MemoryContext before;

    if (node->name != NULL && strcmp(node->name, name) == 0)
        return;
    before = MemoryContextSwitchTo(node->context);
    node->name = pstrdup(name);
    links_relabel(node);
    MemoryContextSwitchTo(before);
}

const char *
links_label(const LinksNode *node)
{
    return node->label;
}

const char *
links_error(const LinksNode *node)
{
    return node->error;
}

const char *
links_sqlstate(const LinksNode *node)
{
    return node->sqlstate;
}

bool
links_is_suspect(const LinksNode *node)
{
    return node->suspect;
}

bool
links_is_up(const LinksNode *node)
{
    return node->streaming && !node->suspect;
}

void
links_each(const Links *links, void (*visit)(const LinksView *view, void *argument), void *argument)
{
    dlist_iter iter;

    dlist_foreach (iter, (dlist_head *) &links->nodes)
    {
        const LinksNode *node = dlist_container(LinksNode, listed, iter.cur);
        LinksView view = {.name = node->name,
                          .address = node->address,
                          .port = node->port,
                          .connecting = node->link != NULL && !node->streaming,
                          .up = node->streaming,
                          .suspect = node->suspect,
                          .error = node->error};

        visit(&view, argument);
    }
}

/* ---- suspects ---- */

/* A link that is still there may yet bring an answer, so it is given the longest time before it is made anew. */
static void
node_suspect(LinksNode *node, uint64 now_ms)
{
    node->pause_ms = node->suspect ? Min(node->pause_ms * 2, LINKS_PAUSE_MAX_MS)
                                   : LINKS_PAUSE_MIN_MS;
    node->suspect = true;
    node->prove_at_ms = now_ms + (node->streaming ? LINKS_PAUSE_MAX_MS : node->pause_ms);
}

static void
node_trust(LinksNode *node)
{
    node->suspect = false;
    node->error[0] = '\0';
    node->sqlstate[0] = '\0';
}

/* ---- opening, closing, breaking ---- */

/* Drops the queued frames of one operation, or of all. */
static void
node_drop_queued(LinksNode *node, const Operation *operation)
{
    int kept = 0;

    for (int i = 0; i < node->queued; i++)
    {
        if (operation != NULL && node->queue[i].operation != operation)
            node->queue[kept++] = node->queue[i];
        else
            pfree((void *) node->queue[i].frame.data);
    }
    node->queued = kept;
}

static void
node_close(LinksNode *node)
{
    if (node->link == NULL)
        return;
    node_drop_queued(node, NULL);
    link_close(node->link);
    ReleaseExternalFD();
    node->link = NULL;
    node->streaming = false;
    node->flush_wanted = false;
    node->event_socket = PGINVALID_SOCKET;
    node->links->set_is_old = true;
}

static void
node_set_error(LinksNode *node, const char *error, const char *sqlstate)
{
    strlcpy(node->error, error, sizeof(node->error));
    strlcpy(node->sqlstate, sqlstate, sizeof(node->sqlstate));
}

static void
links_tell_lost(Links *links, LinksNode *node, uint64 now_ms)
{
    dlist_iter iter;

    if (links->running != NULL)
        links->running->methods->lost(links->running, node,
                                      operation_clock(links, links->running, now_ms));
    dlist_foreach (iter, &links->attached)
    {
        Operation *operation = dlist_container(Operation, attached, iter.cur);

        if (operation != links->running)
            operation->methods->lost(operation, node, operation_clock(links, operation, now_ms));
    }
}

static void
node_break(LinksNode *node, const char *error, const char *sqlstate)
{
    uint64 now_ms = links_now_ms();

    node_set_error(node, error, sqlstate);
    node_close(node);
    node_suspect(node, now_ms);
    links_tell_lost(node->links, node, now_ms);
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
node_break_by_link(LinksNode *node)
{
    char error[sizeof(node->error)];
    char sqlstate[sizeof(node->sqlstate)];

    strlcpy(error, bare_error(link_error(node->link)), sizeof(error));
    strlcpy(sqlstate, link_sqlstate(node->link), sizeof(sqlstate));
    node_break(node, error[0] != '\0' ? error : "the connection was lost", sqlstate);
}

static void
node_open(LinksNode *node, uint64 now_ms)
{
    const LinksOptions *options = &node->links->options;
    const char *keywords[64];
    const char *values[64];
    char port[8];
    int count = 0;

    if (!AcquireExternalFD())
    {
        node_set_error(node, "this server process has too many files open", "53000");
        node_suspect(node, now_ms);
        return;
    }
    snprintf(port, sizeof(port), "%u", (unsigned) node->port);
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
    node->link = link_open(keywords, values);
    node->connect_by_ms = now_ms + options->connect_timeout_ms;
    node->links->set_is_old = true;
}

static bool
links_is_among(const LinksNode *node, LinksNode *const *nodes, int count)
{
    for (int i = 0; i < count; i++)
        if (nodes[i] == node)
            return true;
    return false;
}

void
links_keep(Links *links, LinksNode *const *nodes, int count)
{
    dlist_mutable_iter iter;

    dlist_foreach_modify (iter, &links->nodes)
    {
        LinksNode *node = dlist_container(LinksNode, listed, iter.cur);

        if (links_is_among(node, nodes, count))
            continue;
        node_close(node);
        dlist_delete(&node->listed);
        links->node_count--;
        MemoryContextDelete(node->context);
    }
}

void
links_close(Links *links)
{
    dlist_iter iter;

    dlist_foreach (iter, &links->nodes)
        node_close(dlist_container(LinksNode, listed, iter.cur));
    if (links->set != NULL)
        FreeWaitEventSet(links->set);
    links->set = NULL;
    links->set_is_old = true;
}

void
links_free(Links *links)
{
    links_close(links);
    MemoryContextDelete(links->context);
}

bool
links_are_open(const Links *links)
{
    dlist_iter iter;

    dlist_foreach (iter, (dlist_head *) &links->nodes)
        if (dlist_container(LinksNode, listed, iter.cur)->link != NULL)
            return true;
    return false;
}

/* ---- sending ---- */

/* The operation may encode its next frame over this one, so it is copied. */
static void
node_queue(LinksNode *node, Operation *operation, Slice frame)
{
    uint8_t *copy = MemoryContextAllocHuge(node->context, frame.length);

    memcpy(copy, frame.data, frame.length);
    if (node->queued == node->queue_capacity)
    {
        int capacity = node->queue_capacity > 0 ? node->queue_capacity * 2 : 8;

        node->queue = node->queue == NULL
                          ? MemoryContextAlloc(node->context, sizeof(QueuedFrame) * capacity)
                          : repalloc(node->queue, sizeof(QueuedFrame) * capacity);
        node->queue_capacity = capacity;
    }
    node->queue[node->queued++] = (QueuedFrame){operation, slice_make(copy, frame.length)};
}

/* The frame leaves, or waits for its link; else the operations hear that node is lost. */
static void
node_send(LinksNode *node, Operation *operation, Slice frame)
{
    if (node->link == NULL)
        node_open(node, links_now_ms());
    if (node->link == NULL)
        links_tell_lost(node->links, node, links_now_ms());
    else if (!node->streaming)
        node_queue(node, operation, frame);
    else if (link_send(node->link, frame))
        node->flush_wanted = true;
    else
        node_break_by_link(node);
}

static void
node_send_queued(LinksNode *node)
{
    for (int i = 0; i < node->queued; i++)
    {
        if (!link_send(node->link, node->queue[i].frame))
        {
            node_break_by_link(node);
            return;
        }
    }
    node->flush_wanted = true;
    node_drop_queued(node, NULL);
}

static void
links_pump(Links *links, Operation *operation)
{
    LinksNode *node;
    Slice frame;

    while (operation->methods->next_send(operation, &node, &frame))
        node_send(node, operation, frame);
}

static void
links_flush(Links *links)
{
    dlist_iter iter;

    dlist_foreach (iter, &links->nodes)
    {
        LinksNode *node = dlist_container(LinksNode, listed, iter.cur);

        if (!node->flush_wanted)
            continue;
        node->flush_wanted = false;
        if (link_flush(node->link) == LINK_BROKEN)
            node_break_by_link(node);
    }
}

/* ---- receiving ---- */

/* True when operation took the frame. */
static bool
links_offer(Links *links, Operation *operation, LinksNode *node, const Frame *frame, uint64 now_ms)
{
    if (!operation->methods->answer(operation, node, frame,
                                    operation_clock(links, operation, now_ms)))
        return false;
    links_pump(links, operation);
    return true;
}

static void
links_dispatch(Links *links, LinksNode *node, const Frame *frame, uint64 now_ms)
{
    dlist_iter iter;

    if (links->running != NULL && links_offer(links, links->running, node, frame, now_ms))
        return;
    dlist_foreach (iter, &links->attached)
    {
        Operation *operation = dlist_container(Operation, attached, iter.cur);

        if (operation != links->running && links_offer(links, operation, node, frame, now_ms))
            return;
    }
}

static void
node_receive(LinksNode *node)
{
    uint64 now_ms = links_now_ms();
    Slice bytes;
    Frame frame;

    while (node->link != NULL && link_receive(node->link, &bytes))
    {
        if (!frame_decode(bytes, &frame))
        {
            node_break(node, "it sent bytes that are no frame", "08P01");
            return;
        }
        node_trust(node);
        links_dispatch(node->links, node, &frame, now_ms);
    }
    if (node->link != NULL && link_state(node->link) == LINK_BROKEN)
        node_break_by_link(node);
}

static void
node_connected(LinksNode *node)
{
    if (node->links->options.password_needed && !link_used_password(node->link))
    {
        node_break(node, "it did not ask for the password of the user mapping", "2F003");
        return;
    }
    node->streaming = true;
    node_trust(node);
    node_send_queued(node);
}

static void
node_step(LinksNode *node)
{
    LinkState state = link_step(node->link);

    if (!node->streaming && state == LINK_CONNECTING)
        node->links->set_is_old = true;
    else if (!node->streaming && state == LINK_STREAMING)
        node_connected(node);
    if (node->streaming)
        node_receive(node);
    else if (state == LINK_BROKEN && node->link != NULL)
        node_break_by_link(node);
}

/* ---- waiting ---- */

static uint32
node_event_mask(const LinksNode *node)
{
    int wants = link_wants(node->link);
    uint32 mask = (wants & LINK_WRITE) ? WL_SOCKET_WRITEABLE : 0;

    if ((wants & LINK_READ) || mask == 0)
        mask |= WL_SOCKET_READABLE;
    return mask;
}

static void
links_make_set(Links *links)
{
    dlist_iter iter;

    if (links->set != NULL)
        FreeWaitEventSet(links->set);
    links->set = NULL;
    if (links->set_capacity < links->node_count + LINKS_FIXED_EVENTS)
    {
        links->set_capacity = links->node_count + LINKS_FIXED_EVENTS + 4;
        links->events = MemoryContextAlloc(links->context, sizeof(WaitEvent) * links->set_capacity);
    }
    links->set = CreateWaitEventSet(links->context, links->set_capacity);
    AddWaitEventToSet(links->set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
    AddWaitEventToSet(links->set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
    dlist_foreach (iter, &links->nodes)
    {
        LinksNode *node = dlist_container(LinksNode, listed, iter.cur);

        node->event_socket = node->link != NULL ? link_socket(node->link) : PGINVALID_SOCKET;
        if (node->event_socket == PGINVALID_SOCKET)
            continue;
        node->event_mask = node_event_mask(node);
        node->event =
            AddWaitEventToSet(links->set, node->event_mask, node->event_socket, NULL, node);
    }
    links->set_is_old = false;
}

static void
links_update_set(Links *links)
{
    dlist_iter iter;

    dlist_foreach (iter, &links->nodes)
    {
        LinksNode *node = dlist_container(LinksNode, listed, iter.cur);
        uint32 mask;

        if (links->set_is_old || node->event_socket == PGINVALID_SOCKET)
            continue;
        mask = node_event_mask(node);
        if (mask != node->event_mask)
            ModifyWaitEvent(links->set, node->event, mask, NULL);
        node->event_mask = mask;
    }
    if (links->set_is_old)
        links_make_set(links);
}

/* The links that are being made have their deadlines, the suspects their next tries. */
static uint64
links_wake_ms(const Links *links, uint64 wake_ms)
{
    dlist_iter iter;

    dlist_foreach (iter, (dlist_head *) &links->nodes)
    {
        LinksNode *node = dlist_container(LinksNode, listed, iter.cur);

        if (node->link != NULL && !node->streaming)
            wake_ms = Min(wake_ms, node->connect_by_ms);
        else if (node->suspect)
            wake_ms = Min(wake_ms, node->prove_at_ms);
    }
    return wake_ms;
}

static void
links_check_nodes(Links *links, uint64 now_ms)
{
    dlist_iter iter;

    dlist_foreach (iter, &links->nodes)
    {
        LinksNode *node = dlist_container(LinksNode, listed, iter.cur);

        if (node->link != NULL && !node->streaming)
        {
            if (now_ms >= node->connect_by_ms)
                node_break(node, "it did not answer in time while connecting", "");
        }
        else if (node->suspect && now_ms >= node->prove_at_ms)
        {
            if (node->link != NULL)
                node_break(node, "it did not answer in time", "");
            node_open(node, now_ms);
        }
    }
}

static void
links_handle(WaitEvent *event)
{
    LinksNode *node = event->user_data;

    if (event->events & WL_LATCH_SET)
    {
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
    }
    else if (node != NULL && node->link != NULL && link_socket(node->link) == event->fd)
        node_step(node);
}

static void
links_wait(Links *links, uint64 wake_ms)
{
    uint64 now_ms = links_now_ms();
    long timeout_ms;
    int count;

    links_flush(links);
    links_update_set(links);
    wake_ms = links_wake_ms(links, wake_ms);
    timeout_ms = wake_ms > now_ms ? (long) Min(wake_ms - now_ms, 60000) : 0;
    count = WaitEventSetWait(links->set, timeout_ms, links->events, links->set_capacity,
                             PG_WAIT_EXTENSION);
    for (int i = 0; i < count; i++)
        links_handle(&links->events[i]);
}

/* ---- running ---- */

static void
links_forget_queued(Links *links, const Operation *operation)
{
    dlist_iter iter;

    dlist_foreach (iter, &links->nodes)
    {
        LinksNode *node = dlist_container(LinksNode, listed, iter.cur);

        if (node->queued > 0)
            node_drop_queued(node, operation);
    }
}

/* Compares pointers, since the operation may be gone. */
static bool
links_has_attached(const Links *links, const Operation *operation)
{
    dlist_iter iter;

    dlist_foreach (iter, (dlist_head *) &links->attached)
        if (dlist_container(Operation, attached, iter.cur) == operation)
            return true;
    return false;
}

/* An operation that an ERROR left behind, or that is done: only an attached one is still there. */
static void
links_leave(Links *links)
{
    Operation *operation = links->running;

    links->running = NULL;
    if (operation == NULL)
        return;
    if (links_has_attached(links, operation))
        operation->paused_at_ms = links_now_ms();
    else
        links_forget_queued(links, operation);
}

static void
links_find_silent(Links *links, Operation *operation, uint64 now_ms)
{
    dlist_iter iter;

    dlist_foreach (iter, &links->nodes)
    {
        LinksNode *node = dlist_container(LinksNode, listed, iter.cur);

        if (!node->suspect && operation->methods->was_silent(operation, node))
            node_suspect(node, now_ms);
    }
}

void
links_run(Links *links, Operation *operation)
{
    uint64 start_ms = links_now_ms();

    CHECK_FOR_INTERRUPTS();
    links_leave(links);
    operation_resume(operation, start_ms);
    links->running = operation;
    links_check_nodes(links, start_ms);
    links_pump(links, operation);
    while (!operation->methods->done(operation))
    {
        uint64 wake_ms = operation->methods->wake_ms(operation);
        uint64 now_ms;

        links_wait(links, wake_ms > UINT64_MAX - operation->idle_ms ? UINT64_MAX
                                                                    : wake_ms + operation->idle_ms);
        now_ms = links_now_ms();
        operation->methods->tick(operation, operation_clock(links, operation, now_ms));
        links_find_silent(links, operation, now_ms);
        links_check_nodes(links, now_ms);
        links_pump(links, operation);
    }
    links_flush(links);
    links_leave(links);
}

void
links_attach(Links *links, Operation *operation)
{
    dlist_push_tail(&links->attached, &operation->attached);
    operation->paused_at_ms = links_now_ms();
}

void
links_detach(Links *links, Operation *operation)
{
    dlist_delete(&operation->attached);
    operation->attached = (dlist_node){NULL, NULL};
    if (links->running == operation)
        links->running = NULL;
    links_forget_queued(links, operation);
}

void
links_detach_all(Links *links)
{
    dlist_iter iter;

    links->running = NULL;
    while (!dlist_is_empty(&links->attached))
        links_detach(links, dlist_head_element(Operation, attached, &links->attached));
    dlist_foreach (iter, &links->nodes)
        node_drop_queued(dlist_container(LinksNode, listed, iter.cur), NULL);
}
