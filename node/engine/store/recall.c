/*
 * A ring of entries in the order of their age, with chains through it by key and by request id.
 */
#include "node/engine/store/recall.h"

#include <string.h>

/* Entries are numbered from 1 in the order in which they were noted, and lie in a ring by number.
 */
typedef struct RecallEntry
{
    uint64_t hash; /* of the storage key: what two keys share by chance harms neither */
    RequestId request;
    uint64_t noted_ms;
    uint64_t weight;
    uint64_t
        before_by_key;     /* numbers of the entries noted before it in its buckets, which may be */
    uint64_t before_by_id; /* forgotten */
} RecallEntry;

struct Recall
{
    uint64_t *by_key; /* buckets: the number of the latest entry, which may be forgotten */
    uint64_t *by_id;
    uint32_t bucket_count;
    RecallEntry *ring;
    uint32_t capacity; /* a power of two, or 0 */
    uint64_t first;    /* number of the oldest that is remembered */
    uint64_t next;
    uint64_t now_ms;
};

static uint64_t *
new_buckets(uint32_t count)
{
    uint64_t *buckets = memory_resize(&MEMORY_HEAP, NULL, count * sizeof(uint64_t));

    memset(buckets, 0, count * sizeof(uint64_t));
    return buckets;
}

Recall *
recall_new(uint32_t buckets)
{
    Recall *recall = memory_resize(&MEMORY_HEAP, NULL, sizeof(Recall));

    *recall = (Recall){.by_key = new_buckets(buckets),
                       .by_id = new_buckets(buckets),
                       .bucket_count = buckets,
                       .first = 1,
                       .next = 1};
    return recall;
}

void
recall_free(Recall *recall)
{
    memory_resize(&MEMORY_HEAP, recall->by_key, 0);
    memory_resize(&MEMORY_HEAP, recall->by_id, 0);
    memory_resize(&MEMORY_HEAP, recall->ring, 0);
    memory_resize(&MEMORY_HEAP, recall, 0);
}

static RecallEntry *
entry_of(const Recall *recall, uint64_t number)
{
    return &recall->ring[number & (recall->capacity - 1)];
}

void
recall_clear(Recall *recall)
{
    recall->first = recall->next;
}

void
recall_time(Recall *recall, uint64_t now_ms)
{
    recall->now_ms = now_ms;
    while (recall->first < recall->next &&
           entry_of(recall, recall->first)->noted_ms + RECALL_MS < now_ms)
        recall->first++;
}

static void
grow(Recall *recall)
{
    uint32_t capacity = recall->capacity > 0 ? recall->capacity * 2 : 64;
    RecallEntry *ring = memory_resize(&MEMORY_HEAP, NULL, capacity * sizeof(RecallEntry));

    for (uint64_t number = recall->first; number < recall->next; number++)
        ring[number & (capacity - 1)] = *entry_of(recall, number);
    memory_resize(&MEMORY_HEAP, recall->ring, 0);
    recall->ring = ring;
    recall->capacity = capacity;
}

static uint64_t *
bucket_of_id(const Recall *recall, const RequestId *request)
{
    uint64_t hash = hash_table(slice_make(request, sizeof(RequestId)));

    return &recall->by_id[hash & (recall->bucket_count - 1)];
}

bool
recall_has(const Recall *recall, const RequestId *request)
{
    uint64_t number;

    if (recall->first == recall->next)
        return false;
    number = *bucket_of_id(recall, request);
    while (number >= recall->first)
    {
        const RecallEntry *entry = entry_of(recall, number);

        if (memcmp(&entry->request, request, sizeof(RequestId)) == 0 && entry->weight != UINT64_MAX)
            return true;
        number = entry->before_by_id;
    }
    return false;
}

static void
note(Recall *recall, uint64_t hash, const RequestId *request, uint64_t weight)
{
    uint64_t *by_key = &recall->by_key[hash & (recall->bucket_count - 1)];
    uint64_t *by_id = bucket_of_id(recall, request);

    if (recall->next - recall->first == RECALL_IDS_MAX)
        recall->first++;
    else if (recall->next - recall->first == recall->capacity)
        grow(recall);
    *entry_of(recall, recall->next) = (RecallEntry){.hash = hash,
                                                    .request = *request,
                                                    .noted_ms = recall->now_ms,
                                                    .weight = weight,
                                                    .before_by_key = *by_key,
                                                    .before_by_id = *by_id};
    *by_key = *by_id = recall->next++;
}

void
recall_note(Recall *recall, Slice storage_key, const RequestIds *ids, uint64_t weight)
{
    uint64_t hash = hash_table(storage_key);

    for (uint32_t i = 0; i < ids->count; i++)
    {
        if (!recall_has(recall, &ids->ids[i]))
            note(recall, hash, &ids->ids[i], weight);
    }
}

RequestIds
recall_find(const Recall *recall, Slice storage_key, uint64_t weight, Arena *arena)
{
    RequestId *ids = NULL;
    uint32_t count = 0;
    uint64_t hash;
    uint64_t number;

    if (recall->first == recall->next)
        return (RequestIds){0};
    hash = hash_table(storage_key);
    number = recall->by_key[hash & (recall->bucket_count - 1)];
    for (; number >= recall->first && count < RECALL_KEY_MAX;
         number = entry_of(recall, number)->before_by_key)
    {
        const RecallEntry *entry = entry_of(recall, number);

        if (entry->hash != hash || entry->weight > weight)
            continue;
        if (ids == NULL)
            ids = ARENA_ARRAY(arena, RequestId, RECALL_KEY_MAX);
        ids[count++] = entry->request;
    }
    return (RequestIds){.ids = ids, .count = count};
}

void
recall_revalue(Recall *recall, Slice storage_key, uint64_t weight)
{
    uint64_t hash = hash_table(storage_key);
    uint64_t number = recall->by_key[hash & (recall->bucket_count - 1)];

    for (; number >= recall->first && recall->first < recall->next;
         number = entry_of(recall, number)->before_by_key)
    {
        if (entry_of(recall, number)->hash == hash)
            entry_of(recall, number)->weight = weight;
    }
}

uint64_t
recall_now_ms(const Recall *recall)
{
    return recall->now_ms;
}

uint32_t
recall_count(const Recall *recall)
{
    return (uint32_t)(recall->next - recall->first);
}
