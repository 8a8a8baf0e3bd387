/* A few owners with their trees, and the mail between them, which a test delivers, holds back or
 * drops. */
#include "test/unit/stages/orchard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum
{
    TURNS_MAX = 1000000,
    HOUR_MS = 3600000
};

/* What the test itself asks of a store. */
#define REF_TEST (UINT64_C(0x7f) << 56)

static void run_actions(OrchardNode *node);

/* ---- a node's storage ---- */

static void
on_merged(void *context, uint64_t ref, StatusCode status, Slice object)
{
    OrchardNode *node = context;

    if (ref >> 56 == REF_REPLICA)
        replica_merged(node->replica, ref, status);
    else if (ref >> 56 == REF_UNREADABLE)
        unreadable_merged(node->unreadable, ref, status, object);
    else
        antientropy_merged(node->antientropy, ref, status);
}

static void
on_durable(void *context, uint64_t ref, StatusCode status)
{
    OrchardNode *node = context;

    if (ref >> 56 == REF_REPLICA)
        replica_durable(node->replica, ref, status);
    else if (ref >> 56 == REF_UNREADABLE)
        unreadable_durable(node->unreadable, ref, status);
    else
        antientropy_durable(node->antientropy, ref, status);
}

static void
on_read(void *context, uint64_t ref, StatusCode status, Slice object)
{
    OrchardNode *node = context;

    if (ref == REF_TEST)
        node->read = slice_copy(&node->orchard->stage.arena, object);
    else
        antientropy_fetched(node->antientropy, &node->view, ref, status, object);
}

static void
on_scanned(void *context, uint64_t ref, StatusCode status, const StoragePage *page)
{
    OrchardNode *node = context;

    if (ref >> 56 == REF_UNREADABLE)
    {
        unreadable_scanned(node->unreadable, &node->view, ref, status, page);
        return;
    }
    if (ref != REF_TEST)
    {
        for (uint32_t i = 0; i < page->row_count && node->damaged.length > 0; i++)
        {
            if (slice_equal(page->rows[i].key, node->damaged))
                status = STATUS_CORRUPT;
        }
        antientropy_scanned(node->antientropy, &node->view, ref, status, page);
        return;
    }
    node->sum = (Digest){{0}};
    for (uint32_t i = 0; i < page->row_count; i++)
    {
        Digest digest = message_row_digest(page->rows[i].key, page->rows[i].object);

        digest_mix(&node->sum, &digest);
    }
}

static void
on_unreadable(void *context, uint32_t bucket_id, uint64_t first, uint64_t last)
{
    OrchardNode *node = context;

    antientropy_mend(node->antientropy, &node->view, bucket_id, first, last);
    unreadable_report(node->unreadable, &node->view, bucket_id, first, last);
}

static void
init_node(Orchard *orchard, uint32_t index, uint64_t interval_ms)
{
    OrchardNode *node = &orchard->nodes[index];
    StorageEvents events = {.merged = on_merged,
                            .durable = on_durable,
                            .read_done = on_read,
                            .scan_done = on_scanned,
                            .unreadable = on_unreadable,
                            .context = node};

    *node = (OrchardNode){.orchard = orchard, .index = index};
    pacer_init(&node->pacer, ORCHARD_BYTES_A_SECOND, orchard->now_ms);
    node->antientropy = antientropy_new(&node->pacer, interval_ms);
    node->unreadable = unreadable_new(node->antientropy);
    node->replica = replica_new();
    node->store = memory_store_new();
    node->storage = memory_store_open(node->store, &events);
    node->storage->set_partitions(node->storage, STAGE_PARTITIONS);
    actions_init(&node->actions);
    memset(node->up, true, sizeof(node->up));
    node->view = orchard->stage.view;
    node->view.actions = &node->actions;
    node->view.self = index;
    node->view.up = node->up;
    node->view.hints = &node->hints;
    node->view.trees = node->storage->trees;
    node->view.rounds = &node->storage->rounds;
}

void
orchard_init(Orchard *orchard, uint32_t nodes, uint64_t interval_ms)
{
    *orchard = (Orchard){.count = nodes, .now_ms = 1000};
    stage_init(&orchard->stage, nodes, nodes);
    for (uint32_t i = 0; i < nodes; i++)
        init_node(orchard, i, interval_ms);
}

void
orchard_free(Orchard *orchard)
{
    for (uint32_t i = 0; i < orchard->count; i++)
    {
        unreadable_free(orchard->nodes[i].unreadable);
        antientropy_free(orchard->nodes[i].antientropy);
        replica_free(orchard->nodes[i].replica);
        memory_store_free(orchard->nodes[i].store);
        actions_free(&orchard->nodes[i].actions);
    }
    memory_resize(&MEMORY_HEAP, orchard->mail, 0);
    stage_free(&orchard->stage);
}

/* ---- mail ---- */

static void
post(OrchardNode *node, const Action *action)
{
    Orchard *orchard = node->orchard;
    bool is_answer = action->kind == ACTION_REPLY;
    Slice frame =
        slice_make(node->actions.frames.data + action->frame_offset, action->frame_length);

    if (orchard->mail_count == orchard->mail_capacity)
    {
        orchard->mail_capacity = orchard->mail_capacity > 0 ? 2 * orchard->mail_capacity : 64;
        orchard->mail = memory_resize(&MEMORY_HEAP, orchard->mail,
                                      orchard->mail_capacity * sizeof(OrchardMail));
    }
    orchard->frames[frame.data[0]]++;
    orchard->bytes[frame.data[0]] += frame.length;
    orchard->all_bytes += frame.length;
    orchard->mail[orchard->mail_count++] =
        (OrchardMail){.from = node->index,
                      .to = is_answer ? (uint32_t)action->session : action->member,
                      .is_answer = is_answer,
                      .bytes = slice_copy(&orchard->stage.arena, frame)};
}

static void
run_action(OrchardNode *node, const Action *action)
{
    Storage *storage = node->storage;
    Slice key = slice_make(action->storage_key.data + 12, action->storage_key.length - 12);

    if (action->kind == ACTION_SEND || action->kind == ACTION_REPLY)
        post(node, action);
    else if (action->kind == ACTION_SCAN)
        storage->scan(storage, &action->range, action->ref);
    else if (action->kind == ACTION_READ && slice_equal(key, node->damaged))
        on_read(node, action->ref, STATUS_CORRUPT, SLICE_EMPTY);
    else if (action->kind == ACTION_READ)
        storage->read(storage, action->storage_key, action->ref);
    else if (action->kind == ACTION_APPLY)
    {
        if (slice_equal(key, node->damaged))
            node->damaged = SLICE_EMPTY;
        storage->apply(storage, action->storage_key, action->update, action->ref);
    }
}

static void
run_actions(OrchardNode *node)
{
    Actions *actions = &node->actions;

    while (actions->done < actions->count)
    {
        Action action = actions->list[actions->done++];

        run_action(node, &action);
    }
    actions_reset(actions);
}

static void
give(Orchard *orchard, const OrchardMail *mail)
{
    OrchardNode *node = &orchard->nodes[mail->to];
    Frame frame = stage_decode(&orchard->stage, mail->bytes);
    Origin origin = {.session = mail->from, .tag = frame.tag};

    if (orchard->before != NULL)
        orchard->before(orchard, mail);
    if (orchard->cut[mail->from] || orchard->cut[mail->to])
        return;
    orchard->delivered++;
    if (mail->is_answer && frame.type == FRAME_REPLICATE_REPLY)
        antientropy_acknowledged(node->antientropy, &node->view, mail->from, &frame);
    else if (mail->is_answer)
        antientropy_member_frame(node->antientropy, &node->view, mail->from, &frame);
    else if (frame.type == FRAME_REPLICATE)
        replica_replicate(node->replica, &node->view, origin, &frame);
    else
        antientropy_session_frame(node->antientropy, &node->view, origin, &frame);
    run_actions(node);
}

/* ---- time ---- */

static void
turn(OrchardNode *node)
{
    node->view.now_ms = node->orchard->now_ms;
    node->view.wall_ms = 1700000000000 + node->view.now_ms;
    node->view.cannot_write = node->storage->disk != DISK_WELL;
    antientropy_step(node->antientropy, &node->view);
    unreadable_step(node->unreadable, &node->view);
    run_actions(node);
    replica_flush(node->replica, &node->actions);
    run_actions(node);
}

static uint64_t
wake_ms(const Orchard *orchard)
{
    uint64_t wake = UINT64_MAX;

    for (uint32_t i = 0; i < orchard->count; i++)
    {
        const OrchardNode *node = &orchard->nodes[i];
        uint64_t other = antientropy_wake_ms(node->antientropy, &node->view);

        wake = other < wake ? other : wake;
        other = unreadable_wake_ms(node->unreadable, &node->view);
        wake = other < wake ? other : wake;
    }
    return wake;
}

/* One turn of each node and the mail of it; then time goes on, when nothing else does. */
static void
go_on(Orchard *orchard, uint64_t end_ms)
{
    uint64_t wake;

    for (uint32_t i = 0; i < orchard->count; i++)
        turn(&orchard->nodes[i]);
    for (uint32_t i = 0; i < orchard->mail_count; i++)
    {
        OrchardMail mail = orchard->mail[i];

        give(orchard, &mail);
    }
    if (orchard->mail_count > 0)
    {
        orchard->mail_count = 0;
        return;
    }
    wake = wake_ms(orchard);
    if (wake > orchard->now_ms)
        orchard->now_ms = wake < end_ms ? wake : end_ms;
}

void
orchard_pass(Orchard *orchard, uint64_t ms)
{
    uint64_t end_ms = orchard->now_ms + ms;

    for (uint32_t turns = 0; orchard->now_ms < end_ms; turns++)
    {
        assert_true(turns < TURNS_MAX);
        go_on(orchard, end_ms);
    }
}

static bool
is_idle(Orchard *orchard)
{
    for (uint32_t i = 0; i < orchard->count; i++)
    {
        if (orchard_status(orchard, i).state != REPAIR_IDLE)
            return false;
    }
    return orchard->mail_count == 0;
}

void
orchard_settle(Orchard *orchard)
{
    uint64_t end_ms = orchard->now_ms + HOUR_MS;

    for (uint32_t turns = 0; !is_idle(orchard); turns++)
    {
        assert_true(turns < TURNS_MAX);
        assert_true(orchard->now_ms < end_ms);
        go_on(orchard, end_ms);
    }
}

void
orchard_request(Orchard *orchard, uint32_t node)
{
    OrchardNode *asked = &orchard->nodes[node];

    assert_int_equal(antientropy_request(asked->antientropy, &asked->view, 0, TOPOLOGY_NO_MEMBER),
                     STAGE_PARTITIONS * (orchard->count - 1));
}

void
orchard_cut(Orchard *orchard, uint32_t node)
{
    orchard->cut[node] = true;
    for (uint32_t i = 0; i < orchard->count; i++)
    {
        OrchardNode *other = &orchard->nodes[i];
        uint32_t lost = i == node ? (node + 1) % orchard->count : node;

        other->up[lost] = false;
        antientropy_member_down(other->antientropy, &other->view, lost);
    }
}

void
orchard_join(Orchard *orchard, uint32_t node)
{
    orchard->cut[node] = false;
    for (uint32_t i = 0; i < orchard->count; i++)
        memset(orchard->nodes[i].up, true, sizeof(orchard->nodes[i].up));
}

void
orchard_forget_bytes(Orchard *orchard)
{
    memset(orchard->frames, 0, sizeof(orchard->frames));
    memset(orchard->bytes, 0, sizeof(orchard->bytes));
    orchard->all_bytes = 0;
}

/* ---- data ---- */

Slice
orchard_key(Orchard *orchard, uint32_t number)
{
    char text[32];

    snprintf(text, sizeof(text), "key%07u", number);
    return stage_key(&orchard->stage, text);
}

static Slice
place_of(Orchard *orchard, Slice key)
{
    uint64_t position;

    assert_true(topology_position(orchard->stage.bucket, key, &position));
    storage_key(stage_buffer(&orchard->stage), STAGE_BUCKET, position, key);
    return slice_copy(&orchard->stage.arena, buffer_slice(&orchard->stage.frame));
}

void
orchard_put(Orchard *orchard, uint32_t node, Slice key, Slice object)
{
    Storage *storage = orchard->nodes[node].storage;
    Object decoded;
    Update update = {.merge = &decoded};

    assert_true(object_decode(object, &orchard->stage.arena, &decoded));
    storage->apply(storage, place_of(orchard, key), &update, REF_NOBODY);
}

void
orchard_fill(Orchard *orchard, uint32_t keys)
{
    for (uint32_t node = 0; node < orchard->count; node++)
    {
        memory_store_hold(orchard->nodes[node].store);
        for (uint32_t i = 0; i < keys; i++)
            orchard_put(orchard, node, orchard_key(orchard, i),
                        stage_object(&orchard->stage, 1, 1, "a value of some bytes"));
        memory_store_release(orchard->nodes[node].store);
    }
}

void
orchard_damage(Orchard *orchard, uint32_t node, Slice key)
{
    memory_store_damage(orchard->nodes[node].store, place_of(orchard, key));
}

Slice
orchard_get(Orchard *orchard, uint32_t node, Slice key)
{
    Storage *storage = orchard->nodes[node].storage;

    storage->read(storage, place_of(orchard, key), REF_TEST);
    return orchard->nodes[node].read;
}

static Digest
sum_of(OrchardNode *node, bool unreadable)
{
    StorageRange range = {.bucket_id = STAGE_BUCKET,
                          .last_position = UINT64_MAX,
                          .max_bytes = UINT32_MAX,
                          .unreadable = unreadable};

    node->storage->scan(node->storage, &range, REF_TEST);
    return node->sum;
}

bool
orchard_has_unreadable(Orchard *orchard, uint32_t node)
{
    const Digest none = {{0}};
    Digest sum = sum_of(&orchard->nodes[node], true);

    return !digest_equal(&sum, &none);
}

bool
orchard_is_equal(Orchard *orchard)
{
    Digest first = sum_of(&orchard->nodes[0], false);

    for (uint32_t i = 1; i < orchard->count; i++)
    {
        Digest other = sum_of(&orchard->nodes[i], false);

        if (!digest_equal(&first, &other))
            return false;
    }
    return true;
}

void
orchard_assert_equal(Orchard *orchard)
{
    assert_true(orchard_is_equal(orchard));
}

RepairStatus
orchard_nth_status(const OrchardNode *node, uint32_t index)
{
    RepairCursor cursor = antientropy_seek(node->antientropy, &node->view, index);
    RepairStatus status;

    assert_true(antientropy_next_status(node->antientropy, &node->view, &cursor, &status));
    return status;
}

RepairStatus
orchard_status(Orchard *orchard, uint32_t node)
{
    OrchardNode *asked = &orchard->nodes[node];
    RepairCursor cursor = antientropy_seek(asked->antientropy, &asked->view, 0);
    RepairStatus sum = {.compared_ms = UINT64_MAX, .equal_ms = UINT64_MAX};
    RepairStatus status;

    while (antientropy_next_status(asked->antientropy, &asked->view, &cursor, &status))
    {
        sum.differences += status.differences;
        sum.mended_here += status.mended_here;
        sum.mended_there += status.mended_there;
        sum.bytes_sent += status.bytes_sent;
        sum.bytes_received += status.bytes_received;
        if (status.state != REPAIR_IDLE)
            sum.state = status.state;
        if (status.failure != STATUS_OK)
            sum.failure = status.failure;
        if (status.compared_ms < sum.compared_ms)
            sum.compared_ms = status.compared_ms;
        if (status.equal_ms < sum.equal_ms)
            sum.equal_ms = status.equal_ms;
    }
    return sum;
}
