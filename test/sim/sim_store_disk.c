/* What befalls a disk from outside, and what a look at it shows. */
#include <stdlib.h>
#include <string.h>

#include "test/sim/sim_store_private.h"
#include "test/sim/world.h"

uint32_t
sim_store_wipe(SimStore *store)
{
    store->lineage.count = 0;
    store->storage.commits = 0;
    sim_store_trees_forget(store);
    return sim_store_forget(store, true);
}

void
sim_store_copy(SimStore *store, const SimStore *source)
{
    sim_store_copy_records(store, source);
    store->lineage = source->lineage;
    store->storage.commits = source->storage.commits;
}

void
sim_store_copy_records(SimStore *store, const SimStore *source)
{
    bool runs = store->trees.now != NULL;

    sim_store_trees_stop(store);
    (void)sim_store_forget(store, true);
    sim_store_trees_copy(store, source);
    for (uint32_t i = 0; i < source->key_count; i++)
    {
        StoreKey *key = sim_store_make_key(store, source->keys[i]->key);

        sim_store_copy_record(&key->current, &source->keys[i]->durable);
        sim_store_copy_record(&key->durable, &source->keys[i]->durable);
        key->vanished = source->keys[i]->vanished;
    }
    if (runs)
        sim_store_trees_boot(store);
    sim_store_count_hints(store);
}

uint32_t
sim_store_damage(SimStore *store, uint32_t percent)
{
    uint32_t damaged = 0;

    for (uint32_t i = 0; i < store->key_count; i++)
    {
        StoreKey *key = store->keys[i];
        uint32_t number = sim_store_checked_key(store, key);

        if (key->unsynced > 0 || key->durable.length == 0 || number == CHECKER_NONE ||
            !world_owns(store->world, store->host, number) ||
            !random_percent(&store->world->random, percent))
            continue;
        key->durable.data[0] = 0xff;

        /* Not as it was before: what is left of a record tells one damage from another. */
        key->durable.data[key->durable.length - 1] ^=
            (uint8_t)random_between(&store->world->random, 1, 255);
        sim_store_copy_record(&key->current, &key->durable);
        damaged++;
    }
    sim_store_count_hints(store);
    return damaged;
}

bool
sim_store_scrub(SimStore *store)
{
    bool readable = true;

    for (uint32_t i = 0; i < store->key_count; i++)
    {
        StoreKey *key = store->keys[i];
        Slice object;

        if (sim_store_checked_key(store, key) == CHECKER_NONE ||
            update_record_object(buffer_slice(&key->durable), &object))
            continue;
        sim_store_met_unreadable(store, key);
        readable = false;
    }
    return readable;
}

uint32_t
sim_store_forget(SimStore *store, bool everything)
{
    bool vanishes = !everything || store->trees.now != NULL;
    uint32_t forgotten = 0;

    for (uint32_t i = 0; i < store->key_count; i++)
    {
        StoreKey *key = store->keys[i];

        key->vanished = key->vanished && vanishes;
        if (key->unsynced > 0 || key->durable.length == 0 ||
            (!everything && (sim_store_checked_key(store, key) == CHECKER_NONE ||
                             random_percent(&store->world->random, 40))))
            continue;
        hints_changed(&store->storage.hints, buffer_slice(&key->current), SLICE_EMPTY, NULL, NULL);
        if (store->trees.now != NULL)
            sim_store_trees_doubt(store, key);
        key->vanished = vanishes;
        buffer_reset(&key->current);
        buffer_reset(&key->durable);
        forgotten++;
    }
    if (forgotten > 0 && store->trees.now != NULL)
    {
        sim_store_log_append(store, NULL, true, 0);
        sim_store_trees_build(store);
    }
    return forgotten;
}

bool
sim_store_holds(const SimStore *store, const DataMark *mark)
{
    return data_mark_is_none(mark) || lineage_holds(&store->lineage, store->storage.commits, mark);
}

bool
sim_store_same_run(const SimStore *a, const SimStore *b)
{
    const Lineage *one = &a->lineage;
    const Lineage *other = &b->lineage;

    return one->count > 0 && other->count > 0 &&
           memcmp(&one->runs[one->count - 1].id, &other->runs[other->count - 1].id,
                  sizeof(RunId)) == 0;
}

bool
sim_store_failed(const SimStore *store)
{
    return store->storage.disk == DISK_FAILED;
}

Slice
sim_store_durable(const SimStore *store, uint32_t bucket_id, Slice key)
{
    for (uint32_t i = 0; i < store->key_count; i++)
    {
        Reader reader = reader_begin(store->keys[i]->key);
        Slice object;

        if (reader_u32(&reader) != bucket_id)
            continue;
        (void)reader_u64(&reader);
        if (slice_equal(reader_take(&reader, reader_left(&reader)), key))
            return update_record_object(buffer_slice(&store->keys[i]->durable), &object)
                       ? object_identity(object)
                       : SLICE_EMPTY;
    }
    return SLICE_EMPTY;
}

Digest
sim_store_digest(const SimStore *store)
{
    Digest digest = {0};

    for (uint32_t i = 0; i < store->key_count; i++)
    {
        Digest row =
            message_row_digest(store->keys[i]->key, buffer_slice(&store->keys[i]->durable));

        digest_mix(&digest, &row);
    }
    for (uint32_t i = 0; i < store->trees.row_count; i++)
    {
        Digest row = message_row_digest(buffer_slice(&store->trees.rows[i].key),
                                        buffer_slice(&store->trees.rows[i].value));

        digest_mix(&digest, &row);
    }
    return digest;
}
