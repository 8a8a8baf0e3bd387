/*
 * One WaitEventSet holds the latch and every link's socket. It lives from statement to statement
 * and is made anew when a socket has moved, which a link may do at any step while it connects.
 *
 * Happy path of a wait: the operation's frames are queued on their links and flushed, the set is
 * waited for, each link that is ready hands out its frames. Failure: the node whose link breaks
 * tells every operation that it is lost.
 */
#include "fdw/cluster/links.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include <time.h>

#include "fdw/base/compat.h"

enum
{
    FIXED_EVENTS = 2, /* the latch and the postmaster's death */
    NODE_EVENTS = 2,  /* its link and the spare one */
    LOOK_AFTER_MS = 100,
    WAIT_MAX_MS = 60000
};

struct Links
{
    MemoryContext context;
    LinksOptions options;
    dlist_head nodes;
    int node_count;
    dlist_head attached;
    Operation *running; /* outside of links_run it may be gone: compare it, never follow it */
    WaitEventSet *set;  /* NULL: to be made */
    int set_capacity;
    WaitEvent *events;
    uint64 left_ms; /* when the last links_run ended */
};

uint64
links_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64)now.tv_sec * 1000 + (uint64)now.tv_nsec / 1000000;
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

static const LinksNodeEvents node_events;

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
        links->options.values[i] = pstrdup(options->values[i]);
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
    links_copy_options(links, options);
    MemoryContextSwitchTo(before);
    return links;
}

LinksNode *
links_add(Links *links, const char *name, const char *host, const char *address, uint16 port)
{
    LinksNode *node = links_node_new(links->context, &links->options, &node_events, links, name,
                                     host, address, port);

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

static bool
links_is_among(const LinksNode *node, LinksNode *const *nodes, int count)
{
    for (int i = 0; i < count; i++)
        if (nodes[i] == node)
            return true;
    return false;
}

static void
links_drop_set(Links *links)
{
    if (links->set != NULL)
        FreeWaitEventSet(links->set);
    links->set = NULL;
}

void
links_keep(Links *links, LinksNode *const *nodes, int count)
{
    dlist_mutable_iter iter;

    dlist_foreach_modify(iter, &links->nodes)
    {
        LinksNode *node = dlist_container(LinksNode, listed, iter.cur);

        if (links_is_among(node, nodes, count))
            continue;
        dlist_delete(&node->listed);
        links->node_count--;
        links_node_free(node);
        links_drop_set(links);
    }
}

void
links_free(Links *links)
{
    links_keep(links, NULL, 0);
    links_drop_set(links);
    MemoryContextDelete(links->context);
}

bool
links_are_open(const Links *links)
{
    dlist_iter iter;

    dlist_foreach (iter, (dlist_head *)&links->nodes)
        if (dlist_container(LinksNode, listed, iter.cur)->link != NULL)
            return true;
    return false;
}

void
links_each(const Links *links, void (*visit)(const LinksNode *node, void *argument), void *argument)
{
    dlist_iter iter;

    dlist_foreach (iter, (dlist_head *)&links->nodes)
        visit(dlist_container(LinksNode, listed, iter.cur), argument);
}

static uint32
links_lesser(uint32 a, uint32 b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

LinksLimits
links_limits(const Links *links)
{
    LinksLimits least = {0};
    dlist_iter iter;

    dlist_foreach (iter, (dlist_head *)&links->nodes)
    {
        const LinksNode *node = dlist_container(LinksNode, listed, iter.cur);

        least.key = links_lesser(least.key, node->limits.key);
        least.value = links_lesser(least.value, node->limits.value);
    }
    return least;
}

/* ---- what operations send and receive ---- */

static void
links_pump(Operation *operation)
{
    LinksNode *node;
    Slice frame;

    while (operation->methods->next_send(operation, &node, &frame))
        links_node_send(node, operation, frame);
}

static void
links_on_lost(void *owner, LinksNode *node, bool reached, uint64 now_ms)
{
    Links *links = owner;
    Operation *running = links->running;
    dlist_iter iter;

    if (running != NULL)
        running->methods->lost(running, node, reached, operation_clock(links, running, now_ms));
    dlist_foreach (iter, &links->attached)
    {
        Operation *operation = dlist_container(Operation, attached, iter.cur);

        if (operation != running)
            operation->methods->lost(operation, node, reached,
                                     operation_clock(links, operation, now_ms));
    }
}

/* True when operation took the frame. */
static bool
links_offer(Links *links, Operation *operation, LinksNode *node, const Frame *frame, uint64 now_ms)
{
    uint64 clock_ms = operation_clock(links, operation, now_ms);

    if (!operation->methods->answer(operation, node, frame, clock_ms))
        return false;
    links_pump(operation);
    return true;
}

static void
links_on_frame(void *owner, LinksNode *node, const Frame *frame, uint64 now_ms)
{
    Links *links = owner;
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
links_tell_heard(Links *links, Operation *operation, LinksNode *node, uint64 now_ms)
{
    if (operation->methods->heard != NULL)
        operation->methods->heard(operation, node, operation_clock(links, operation, now_ms));
}

static void
links_on_heard(void *owner, LinksNode *node, uint64 now_ms)
{
    Links *links = owner;
    dlist_iter iter;

    if (links->running != NULL)
        links_tell_heard(links, links->running, node, now_ms);
    dlist_foreach (iter, &links->attached)
    {
        Operation *operation = dlist_container(Operation, attached, iter.cur);

        if (operation != links->running)
            links_tell_heard(links, operation, node, now_ms);
    }
}

static const LinksNodeEvents node_events = {
    .lost = links_on_lost, .heard = links_on_heard, .frame = links_on_frame};

/* ---- the set ---- */

static uint32
link_event_mask(const Link *link)
{
    int wants = link_wants(link);
    uint32 mask = (wants & LINK_WRITE) ? WL_SOCKET_WRITEABLE : 0;

    if ((wants & LINK_READ) || mask == 0)
        mask |= WL_SOCKET_READABLE;
    return mask;
}

static void
links_add_event(Links *links, LinksNode *node, const Link *link, LinksEvent *event)
{
    event->socket = link != NULL ? link_socket(link) : PGINVALID_SOCKET;
    if (event->socket == PGINVALID_SOCKET)
        return;
    event->mask = link_event_mask(link);
    event->position = AddWaitEventToSet(links->set, event->mask, event->socket, NULL, node);
}

static void
links_add_events(Links *links, LinksNode *node)
{
    node->socket_moved = false;
    links_add_event(links, node, node->link, &node->event);
    links_add_event(links, node, node->spare, &node->spare_event);
}

static void
links_make_set(Links *links)
{
    int wanted = links->node_count * NODE_EVENTS + FIXED_EVENTS;
    dlist_iter iter;

    links_drop_set(links);
    if (links->set_capacity < wanted)
    {
        links->events = MemoryContextAlloc(links->context, sizeof(WaitEvent) * wanted);
        links->set_capacity = wanted;
    }
    links->set = compat_create_wait_event_set(links->context, links->set_capacity);
    AddWaitEventToSet(links->set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
    AddWaitEventToSet(links->set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
    dlist_foreach (iter, &links->nodes)
        links_add_events(links, dlist_container(LinksNode, listed, iter.cur));
}

static void
links_update_event(Links *links, const Link *link, LinksEvent *event)
{
    uint32 mask;

    if (event->socket == PGINVALID_SOCKET)
        return;
    mask = link_event_mask(link);
    if (mask != event->mask)
        ModifyWaitEvent(links->set, event->position, mask, NULL);
    event->mask = mask;
}

static void
links_update_set(Links *links)
{
    bool moved = links->set == NULL;
    dlist_iter iter;

    dlist_foreach (iter, &links->nodes)
        moved = moved || dlist_container(LinksNode, listed, iter.cur)->socket_moved;
    if (moved)
    {
        links_make_set(links);
        return;
    }
    dlist_foreach (iter, &links->nodes)
    {
        LinksNode *node = dlist_container(LinksNode, listed, iter.cur);

        links_update_event(links, node->link, &node->event);
        links_update_event(links, node->spare, &node->spare_event);
    }
}

/* ---- waiting ---- */

static void
links_flush(Links *links)
{
    dlist_iter iter;

    dlist_foreach (iter, &links->nodes)
        links_node_flush(dlist_container(LinksNode, listed, iter.cur));
}

static long
links_wait_ms(const Links *links, uint64 wake_ms)
{
    uint64 now_ms = links_now_ms();
    dlist_iter iter;

    dlist_foreach (iter, (dlist_head *)&links->nodes)
    {
        uint64 node_wake_ms = links_node_wake_ms(dlist_container(LinksNode, listed, iter.cur));

        wake_ms = Min(wake_ms, node_wake_ms);
    }
    return wake_ms > now_ms ? (long)Min(wake_ms - now_ms, WAIT_MAX_MS) : 0;
}

static void
links_handle(const WaitEvent *event)
{
    LinksNode *node = event->user_data;

    if (event->events & WL_LATCH_SET)
    {
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
    }
    else if (node != NULL && node->link != NULL && node->event.socket == event->fd)
        links_node_step(node);
    else if (node != NULL && node->spare != NULL && node->spare_event.socket == event->fd)
        links_node_step_spare(node);
}

static void
links_wait(Links *links, uint64 wake_ms)
{
    int count;

    links_flush(links);
    links_update_set(links);
    count = WaitEventSetWait(links->set, links_wait_ms(links, wake_ms), links->events,
                             links->set_capacity, PG_WAIT_EXTENSION);
    for (int i = 0; i < count; i++)
        links_handle(&links->events[i]);
}

static void
links_check_time(Links *links, uint64 now_ms)
{
    dlist_iter iter;

    dlist_foreach (iter, &links->nodes)
        links_node_check_time(dlist_container(LinksNode, listed, iter.cur), now_ms);
}

static void
links_find_silent(Links *links, Operation *operation, uint64 now_ms)
{
    dlist_iter iter;

    dlist_foreach (iter, &links->nodes)
    {
        LinksNode *node = dlist_container(LinksNode, listed, iter.cur);

        if (!node->suspect && operation->methods->was_silent(operation, node))
            links_node_suspect(node, now_ms);
    }
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
            links_node_drop_queued(node, operation);
    }
}

/* Compares pointers, since the operation may be gone. */
static bool
links_has_attached(const Links *links, const Operation *operation)
{
    dlist_iter iter;

    dlist_foreach (iter, (dlist_head *)&links->attached)
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
    links->left_ms = links_now_ms();
    if (links_has_attached(links, operation))
        operation->paused_at_ms = links->left_ms;
    else
        links_forget_queued(links, operation);
}

static void
links_skip_time(Links *links, uint64 now_ms)
{
    dlist_iter iter;

    dlist_foreach (iter, &links->nodes)
        links_node_skip_time(dlist_container(LinksNode, listed, iter.cur), now_ms - links->left_ms);
}

/* Nodes may have been restarted meanwhile: their links are dead, and they are well. */
static void
links_look(Links *links, uint64 now_ms)
{
    dlist_iter iter;

    if (now_ms < links->left_ms + LOOK_AFTER_MS)
        return;
    dlist_foreach (iter, &links->nodes)
        links_node_look(dlist_container(LinksNode, listed, iter.cur));
}

/* One wait, and what follows from it and from the time. */
static void
links_turn(Links *links, Operation *operation)
{
    uint64 wake_ms = operation->methods->wake_ms(operation);
    uint64 now_ms;

    if (wake_ms < PG_UINT64_MAX - operation->idle_ms)
        wake_ms += operation->idle_ms;
    links_wait(links, wake_ms);
    now_ms = links_now_ms();
    operation->methods->tick(operation, operation_clock(links, operation, now_ms));
    links_find_silent(links, operation, now_ms);
    links_check_time(links, now_ms);
    links_pump(operation);
}

void
links_run(Links *links, Operation *operation)
{
    uint64 start_ms = links_now_ms();

    CHECK_FOR_INTERRUPTS();
    links_leave(links);
    links_skip_time(links, start_ms);
    operation_resume(operation, start_ms);
    links_look(links, start_ms);
    links->running = operation;
    links_check_time(links, start_ms);
    links_pump(operation);
    while (!operation->methods->done(operation))
        links_turn(links, operation);
    links_flush(links);
    links_leave(links);
}

void
links_pause(Links *links, uint64 pause_ms)
{
    uint64 end_ms = links_now_ms() + pause_ms;

    links_leave(links);
    while (links_now_ms() < end_ms)
        links_wait(links, end_ms);
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
    links->running = NULL;
    while (!dlist_is_empty(&links->attached))
        links_detach(links, dlist_head_element(Operation, attached, &links->attached));
    links_forget_queued(links, NULL);
}
