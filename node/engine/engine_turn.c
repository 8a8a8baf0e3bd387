/*
 * What one event makes the engine do: the view that steps decide on, the actions that they ask for,
 * and what the storage answers to these.
 */
#include "node/engine/cluster/witness.h"
#include "node/engine/engine_private.h"
#include "shared/wire/chunk.h"

/* ---- the view ---- */

static uint64_t
joined_for_ms(const Engine *engine)
{
    return engine->joined_ms > 0 ? engine->now_ms - engine->joined_ms : 0;
}

bool
engine_is_withheld(const Engine *engine)
{
    return witness_withholds(membership_witness(engine->membership),
                             membership_topology(engine->membership), joined_for_ms(engine));
}

bool
engine_votes(const Engine *engine)
{
    return witness_votes(membership_witness(engine->membership),
                         membership_topology(engine->membership), joined_for_ms(engine));
}

/* NULL as long as they do not know the ring. */
static const Trees *
own_trees(const Engine *engine)
{
    const Trees *trees = engine->storage != NULL ? engine->storage->trees : NULL;

    return trees != NULL && trees_partitions(trees) > 0 ? trees : NULL;
}

View
engine_look(const Engine *engine)
{
    return (View){.topology = membership_topology(engine->membership),
                  .self = membership_self(engine->membership),
                  .up = membership_up(engine->membership),
                  .context_keys = &engine->context_keys,
                  .now_ms = engine->now_ms,
                  .wall_ms = engine->wall_ms,
                  .request_timeout_ms = engine->config.request_timeout_ms,
                  .max_key_bytes = engine->config.max_key_bytes,
                  .max_value_bytes = engine->config.max_value_bytes,
                  .siblings_warn = engine->config.siblings_warn,
                  .siblings_max = engine->config.siblings_max,
                  .hints = engine->storage != NULL ? &engine->storage->hints : NULL,
                  .hints_max_bytes = engine->config.hints_max_bytes,
                  .run = engine->storage != NULL ? engine->storage->run : NULL,
                  .recall = engine->storage != NULL ? engine->storage->recall : NULL,
                  .rounds = engine->storage != NULL ? &engine->storage->rounds : NULL,
                  .trees = own_trees(engine),
                  .orphans = engine->orphans,
                  .unreadable = engine->unreadable,
                  .answer_bytes_max = CHUNK_FRAME_MAX,
                  .cannot_write = engine->storage != NULL && engine->storage->disk != DISK_WELL,
                  .refilling = engine_is_withheld(engine)};
}

View
engine_view(Engine *engine)
{
    View view = engine_look(engine);

    view.actions = &engine->actions;
    return view;
}

/* ---- what is asked of the storage ---- */

/* Before anything is asked of it that the trees must hear of. */
void
engine_tell_partitions(Engine *engine)
{
    const Topology *topology = membership_topology(engine->membership);
    Storage *storage = engine->storage;

    if (topology->epoch > 0 && storage != NULL && storage->trees != NULL)
        storage->set_partitions(storage, topology->partitions);
}

/* What answers a client, or another coordinator, must not come from a place that may lack what was
 * acknowledged: not now, nor when the answer comes (replica.c, coordinator.c). Comparing may look
 * there: it is what ends that. */
static bool
is_for_clients(uint64_t ref)
{
    RefOwner owner = ticket_ref_owner(ref);

    return owner == REF_REPLICA || owner == REF_COORDINATOR_READ || owner == REF_COORDINATOR_WRITE;
}

/* These remove rows, wherever they are. */
static bool
may_change_dropped(uint64_t ref)
{
    return ticket_ref_owner(ref) == REF_PURGE || ticket_ref_owner(ref) == REF_ORPHANS;
}

/* Of a bucket that was dropped nothing is kept any more, whoever still wants it. */
static void
apply_storage(Engine *engine, const Action *action)
{
    const Topology *topology = engine_topology(engine);
    const StorageEvents *answers = &engine->answers;
    Reader reader = reader_begin(action->storage_key);

    if (topology->last_bucket_id != topology->bucket_count && !may_change_dropped(action->ref) &&
        topology_was_dropped(topology, reader_u32(&reader)))
        answers->merged(answers->context, action->ref, STATUS_NO_BUCKET, SLICE_EMPTY);
    else
        engine->storage->apply(engine->storage, action->storage_key, action->update, action->ref);
}

static bool
withholds_key(const Engine *engine, Slice storage_key)
{
    Reader reader = reader_begin(storage_key);
    uint32_t bucket_id = reader_u32(&reader);
    uint64_t position = reader_u64(&reader);

    return unreadable_withholds(engine->unreadable, bucket_id, position, position);
}

static void
read_storage(Engine *engine, const Action *action)
{
    const StorageEvents *answers = &engine->answers;

    if (!unreadable_is_idle(engine->unreadable) && is_for_clients(action->ref) &&
        withholds_key(engine, action->storage_key))
        answers->read_done(answers->context, action->ref, STATUS_CORRUPT, SLICE_EMPTY);
    else
        engine->storage->read(engine->storage, action->storage_key, action->ref);
}

static void
scan_storage(Engine *engine, const Action *action)
{
    const StorageEvents *answers = &engine->answers;
    const StorageRange *range = &action->range;
    StoragePage none = {.rows = NULL};

    if (is_for_clients(action->ref) && unreadable_withholds_range(engine->unreadable, range))
        answers->scan_done(answers->context, action->ref, STATUS_CORRUPT, &none);
    else
        engine->storage->scan(engine->storage, range, action->ref);
}

static void
check_storage(Engine *engine, const Action *action)
{
    const StorageCheck nothing = {.done = true};

    if (engine->storage->check != NULL)
        engine->storage->check(engine->storage, action->anew, action->max_bytes, action->ref);
    else
        engine->answers.checked(engine->answers.context, action->ref, STATUS_OK, &nothing);
}

/* ---- actions ---- */

/* What Paxos promised or accepted must be on disk before an answer that says so leaves. */
static void
persist_if_needed(Engine *engine)
{
    Actions *actions = &engine->actions;

    if (!actions->has_state)
        return;
    actions->has_state = false;
    (void)engine->host.persist(engine->host.context, buffer_slice(&actions->state));
}

static uint32_t
peer_of(const Engine *engine, uint32_t member)
{
    return membership_peer_of(engine->membership, member);
}

static void
run_action(Engine *engine, const Action *action)
{
    const HostCalls *host = &engine->host;
    Slice frame =
        slice_make(engine->actions.frames.data + action->frame_offset, action->frame_length);
    uint32_t peer;

    switch (action->kind)
    {
    case ACTION_REPLY:
        host->reply(host->context, action->session, frame);
        break;
    case ACTION_SEND:
        peer = peer_of(engine, action->member);
        if (peer != TOPOLOGY_NO_MEMBER)
            host->send(host->context, peer, frame);
        break;
    case ACTION_SEND_PEER:
        host->send(host->context, action->member, frame);
        break;
    case ACTION_DATAGRAM:
        if (host->datagram != NULL)
            host->datagram(host->context, peer_of(engine, action->member), frame);
        break;
    case ACTION_NOTE:
        if (host->note != NULL)
            host->note(host->context, frame);
        break;
    case ACTION_LOG:
        host->log(host->context, action->text);
        break;
    case ACTION_WARN:
        (host->warn != NULL ? host->warn : host->log)(host->context, action->text);
        break;
    case ACTION_END:
        (host->end != NULL ? host->end : host->log)(host->context, action->text);
        break;
    case ACTION_APPLY:
        apply_storage(engine, action);
        break;
    case ACTION_READ:
        read_storage(engine, action);
        break;
    case ACTION_SCAN:
        scan_storage(engine, action);
        break;
    case ACTION_OWED:
        engine->storage->owed(engine->storage, &action->owed, action->ref);
        break;
    case ACTION_SET_ROUND:
        engine->storage->set_round(engine->storage, &action->round, action->ref);
        break;
    case ACTION_CHECK:
        check_storage(engine, action);
        break;
    case ACTION_REBUILD_TREE:
        (void)trees_rebuild(engine->storage->trees, action->tree);
        break;
    }
}

/* The steps are told what the storage has answered so far, and ask for more. */
static void
take_answers(Engine *engine)
{
    Completion answer;

    while (completions_take(&engine->completions, &answer))
        engine_take_answer(engine, &answer);
}

void
engine_run_actions(Engine *engine)
{
    Actions *actions = &engine->actions;

    engine_tell_partitions(engine);
    take_answers(engine);
    persist_if_needed(engine);
    while (actions->done < actions->count)
    {
        run_action(engine, &actions->list[actions->done++]);
        take_answers(engine);
        persist_if_needed(engine);
    }
    actions_reset(actions);
}
