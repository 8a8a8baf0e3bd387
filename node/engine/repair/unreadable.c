/*
 * From a report of the storage to the removal: list what cannot be read, compare with every other
 * owner, remove what is still the same record. Any failure on the way leaves the record where it
 * is, withheld, and the next report or start begins anew.
 */
#include "node/engine/repair/unreadable.h"

enum
{
    PLACES = 64,           /* apart from each other; then those of a partition become one */
    PAGE_BYTES = 64 * 1024 /* of records that cannot be read, of a place at a time */
};

typedef enum PlaceState
{
    PLACE_FREE,
    PLACE_REPORTED,
    PLACE_LISTING,  /* the storage says what it cannot read there */
    PLACE_AWAITING, /* the other owners are compared with */
    PLACE_REMOVING,
    PLACE_REMOVED /* to be told */
} PlaceState;

typedef struct LostRecord
{
    Slice key;
    uint64_t position;
    Update update;
    Digest digest; /* of the record as it was listed */
} LostRecord;

/* Positions of one partition, where something cannot be read. */
typedef struct Place
{
    uint32_t number;
    PlaceState state;
    uint32_t ticket; /* of what storage is asked */
    uint32_t bucket_id;
    uint64_t first;
    uint64_t last;
    uint64_t epoch;                  /* of the owners */
    uint16_t owners[TOPOLOGY_N_MAX]; /* the others: those that are yet to be compared with */
    uint32_t owner_count;
    uint64_t since;      /* as antientropy_pairs_taken() says, when comparing was asked for */
    bool replaced;       /* something took the place of what could not be read */
    bool again;          /* from the beginning, as soon as what is under way is over */
    Arena arena;         /* the records */
    LostRecord *records; /* listed */
    uint32_t record_count;
    uint32_t open; /* that are being removed */
    uint64_t removed;
} Place;

struct Unreadable
{
    Antientropy *antientropy;
    Tickets tickets;
    Place **places;
    uint32_t place_count;
    uint32_t in_use;
    uint64_t changes; /* of which places there are */
    uint64_t total;
};

Unreadable *
unreadable_new(Antientropy *antientropy)
{
    Unreadable *unreadable = memory_resize(&MEMORY_HEAP, NULL, sizeof(Unreadable));

    *unreadable = (Unreadable){.antientropy = antientropy};
    return unreadable;
}

void
unreadable_free(Unreadable *unreadable)
{
    for (uint32_t i = 0; i < unreadable->place_count; i++)
    {
        arena_free(&unreadable->places[i]->arena);
        memory_resize(&MEMORY_HEAP, unreadable->places[i], 0);
    }
    memory_resize(&MEMORY_HEAP, unreadable->places, 0);
    tickets_free(&unreadable->tickets);
    memory_resize(&MEMORY_HEAP, unreadable, 0);
}

/* From the beginning: the other owners are compared with anew. */
static void
begin(Unreadable *unreadable, Place *place)
{
    tickets_end(&unreadable->tickets, place->ticket);
    arena_reset(&place->arena);
    place->record_count = 0;
    place->since = antientropy_pairs_taken(unreadable->antientropy);
    place->again = false;
    place->state = PLACE_REPORTED;
    unreadable->changes++;
}

static void
release(Unreadable *unreadable, Place *place)
{
    if (place->again)
    {
        begin(unreadable, place);
        return;
    }
    unreadable->in_use--;
    unreadable->changes++;
    place->state = PLACE_FREE;
    tickets_end(&unreadable->tickets, place->ticket);
    arena_reset(&place->arena);
}

static void
ask(Unreadable *unreadable, Place *place)
{
    tickets_end(&unreadable->tickets, place->ticket);
    place->ticket = tickets_draw(&unreadable->tickets, place->number);
}

static uint64_t
ref_of(const Place *place, uint32_t record)
{
    return ticket_ref(REF_UNREADABLE, place->ticket, record);
}

/* NULL when the answer is one that nobody waits for any more. */
static Place *
place_of(Unreadable *unreadable, uint64_t ref, PlaceState state)
{
    uint32_t number = tickets_find(&unreadable->tickets, ticket_ref_number(ref));
    Place *place = number != TICKET_NO_SLOT ? unreadable->places[number] : NULL;

    return place != NULL && place->state == state ? place : NULL;
}

/* ---- reports ---- */

static Place *
free_place(Unreadable *unreadable)
{
    Place *place;

    for (uint32_t i = 0; i < unreadable->place_count; i++)
    {
        if (unreadable->places[i]->state == PLACE_FREE)
            return unreadable->places[i];
    }
    place = memory_resize(&MEMORY_HEAP, NULL, sizeof(Place));
    *place = (Place){.number = unreadable->place_count};
    arena_init(&place->arena, &MEMORY_HEAP);
    unreadable->places = memory_resize(&MEMORY_HEAP, unreadable->places,
                                       (unreadable->place_count + 1) * sizeof(Place *));
    unreadable->places[unreadable->place_count++] = place;
    return place;
}

/* One that has all of it; or, when there are many, that is of the same partition. */
static Place *
find_place(const Unreadable *unreadable, const View *view, uint32_t bucket_id, uint64_t first,
           uint64_t last)
{
    uint32_t partitions = view->topology->partitions;
    Place *near = NULL;

    for (uint32_t i = 0; i < unreadable->place_count; i++)
    {
        Place *place = unreadable->places[i];

        if (place->state == PLACE_FREE || place->bucket_id != bucket_id)
            continue;
        if (place->first <= first && last <= place->last)
            return place;
        if (unreadable->in_use >= PLACES && place->state != PLACE_REMOVED &&
            ring_partition(place->first, partitions) == ring_partition(first, partitions))
            near = place;
    }
    return near;
}

/* Within one partition. */
static void
report(Unreadable *unreadable, const View *view, uint32_t bucket_id, uint64_t first, uint64_t last,
       bool replaced)
{
    Place *place = find_place(unreadable, view, bucket_id, first, last);

    if (place == NULL)
    {
        place = free_place(unreadable);
        place->bucket_id = bucket_id;
        place->first = first;
        place->last = last;
        place->replaced = replaced;
        unreadable->in_use++;
        begin(unreadable, place);
        return;
    }
    if (!replaced && place->first <= first && last <= place->last)
        return;
    place->first = first < place->first ? first : place->first;
    place->last = last > place->last ? last : place->last;
    place->replaced = place->replaced || replaced;

    /* Of records that are being removed the updates are not applied yet. */
    if (place->state == PLACE_REMOVING || place->state == PLACE_REMOVED)
        place->again = true;
    else
        begin(unreadable, place);
}

static void
report_parts(Unreadable *unreadable, const View *view, uint32_t bucket_id, uint64_t first,
             uint64_t last, bool replaced)
{
    uint32_t partitions = view->topology->partitions;

    while (partitions > 0)
    {
        uint32_t partition = ring_partition(first, partitions);
        uint64_t end = ring_partition_start(partition, partitions) + UINT64_MAX / partitions;

        report(unreadable, view, bucket_id, first, last < end ? last : end, replaced);
        if (last <= end)
            return;
        first = end + 1;
    }
}

void
unreadable_report(Unreadable *unreadable, const View *view, uint32_t bucket_id,
                  uint64_t first_position, uint64_t last_position)
{
    report_parts(unreadable, view, bucket_id, first_position, last_position, false);
}

void
unreadable_replaced(Unreadable *unreadable, const View *view, uint32_t bucket_id,
                    uint64_t first_position, uint64_t last_position)
{
    report_parts(unreadable, view, bucket_id, first_position, last_position, true);
}

uint64_t
unreadable_changes(const Unreadable *unreadable)
{
    return unreadable->changes;
}

uint32_t
unreadable_ranges(const Unreadable *unreadable, Arena *arena, StorageExtent **ranges)
{
    uint32_t count = 0;

    *ranges = ARENA_ARRAY(arena, StorageExtent, unreadable->in_use);
    for (uint32_t i = 0; i < unreadable->place_count; i++)
    {
        const Place *place = unreadable->places[i];

        if (place->state != PLACE_FREE)
            (*ranges)[count++] = (StorageExtent){place->bucket_id, place->first, place->last};
    }
    return count;
}

/* ---- listing ---- */

/* False when this node does not own the place, or nobody else does. */
static bool
find_owners(Place *place, const View *view)
{
    const Topology *topology = view->topology;
    const Bucket *bucket = topology_bucket_by_id(topology, place->bucket_id);
    uint16_t owners[TOPOLOGY_N_MAX];
    uint32_t count;
    bool owned = false;

    place->epoch = topology->epoch;
    place->owner_count = 0;
    if (bucket == NULL || ring_partition(place->first, topology->partitions) !=
                              ring_partition(place->last, topology->partitions))
        return false;
    count = topology_preference(topology, place->first, owners, bucket->n);
    for (uint32_t i = 0; i < count; i++)
    {
        if (owners[i] == view->self)
            owned = true;
        else
            place->owners[place->owner_count++] = owners[i];
    }
    return owned && place->owner_count > 0;
}

static void
list(Unreadable *unreadable, Place *place, const View *view)
{
    StorageRange range = {.bucket_id = place->bucket_id,
                          .first_position = place->first,
                          .last_position = place->last,
                          .max_bytes = PAGE_BYTES,
                          .unreadable = true};

    if (!find_owners(place, view))
    {
        release(unreadable, place);
        return;
    }
    place->state = PLACE_LISTING;
    ask(unreadable, place);
    actions_scan(view->actions, &range, ref_of(place, 0));
}

static void
keep_records(Place *place, const StoragePage *page)
{
    place->records = ARENA_ARRAY(&place->arena, LostRecord, page->row_count);
    place->record_count = page->row_count;
    for (uint32_t i = 0; i < page->row_count; i++)
    {
        LostRecord *record = &place->records[i];

        *record = (LostRecord){.key = slice_copy(&place->arena, page->rows[i].key),
                               .position = page->rows[i].position,
                               .digest = digest_of(page->rows[i].object)};
        record->update.unreadable = &record->digest;
    }
}

/* Records that are to go have it done anew, on purpose; where none could be listed, because others
 * have taken their place or their block is damaged, what the report has led to will do. */
static bool
is_compared(const Unreadable *unreadable, const Place *place, const View *view, uint32_t member,
            TreeId id)
{
    return antientropy_has_mended(unreadable->antientropy, member, id, place->first, place->last,
                                  place->since) ||
           (place->record_count == 0 && !place->replaced &&
            antientropy_was_mended(unreadable->antientropy, view, member, id, place->first,
                                   place->last));
}

/* The owners that are left are yet to be compared with. */
static void
drop_compared(const Unreadable *unreadable, Place *place, const View *view)
{
    TreeId id = {place->bucket_id, ring_partition(place->first, view->topology->partitions)};

    for (uint32_t i = place->owner_count; i-- > 0;)
    {
        if (is_compared(unreadable, place, view, place->owners[i], id))
            place->owners[i] = place->owners[--place->owner_count];
    }
}

void
unreadable_scanned(Unreadable *unreadable, const View *view, uint64_t ref, StatusCode status,
                   const StoragePage *page)
{
    Place *place = place_of(unreadable, ref, PLACE_LISTING);

    if (place == NULL)
        return;
    place->state = PLACE_AWAITING;
    place->record_count = 0;
    if ((status != STATUS_OK || page->row_count == 0) && !place->replaced)
    {
        /* Another place may have been compared since, and only the last one is remembered. */
        drop_compared(unreadable, place, view);
        (void)antientropy_mend(unreadable->antientropy, view, place->bucket_id, place->first,
                               place->last);
        return;
    }
    if (status == STATUS_OK)
        keep_records(place, page);
    place->since = antientropy_mend_anew(unreadable->antientropy, view, place->bucket_id,
                                         place->first, place->last);
}

/* ---- removing ---- */

static void
remove_records(Unreadable *unreadable, Place *place, Actions *actions)
{
    place->state = PLACE_REMOVING;
    ask(unreadable, place);
    place->open = place->record_count;
    place->removed = 0;
    for (uint32_t i = 0; i < place->record_count; i++)
    {
        const LostRecord *record = &place->records[i];

        actions_apply(actions, place->bucket_id, record->position, record->key, &record->update,
                      ref_of(place, i));
    }
}

static void
await_owners(Unreadable *unreadable, Place *place, const View *view)
{
    if (place->epoch != view->topology->epoch)
    {
        /* The owners may be others; what was listed is listed once more. */
        arena_reset(&place->arena);
        place->state = PLACE_REPORTED;
        return;
    }
    drop_compared(unreadable, place, view);
    if (place->owner_count == 0 && place->record_count > 0)
        remove_records(unreadable, place, view->actions);
    else if (place->owner_count == 0)
        release(unreadable, place);
}

static void
end_record(Unreadable *unreadable, Place *place)
{
    if (--place->open > 0)
        return;
    unreadable->total += place->removed;
    if (place->removed > 0)
        place->state = PLACE_REMOVED;
    else
        release(unreadable, place);
}

void
unreadable_merged(Unreadable *unreadable, uint64_t ref, StatusCode status, Slice object)
{
    Place *place = place_of(unreadable, ref, PLACE_REMOVING);

    if (place == NULL)
        return;
    if (status != STATUS_OK)
        end_record(unreadable, place);
    else
        place->removed += object.length == 0;
}

void
unreadable_durable(Unreadable *unreadable, uint64_t ref, StatusCode status)
{
    Place *place = place_of(unreadable, ref, PLACE_REMOVING);

    if (place == NULL)
        return;
    if (status != STATUS_OK)
        place->removed = 0;
    end_record(unreadable, place);
}

/* ---- steps ---- */

void
unreadable_step(Unreadable *unreadable, const View *view)
{
    if (unreadable_is_idle(unreadable) || view->cannot_write)
        return;
    for (uint32_t i = 0; i < unreadable->place_count; i++)
    {
        Place *place = unreadable->places[i];

        if (place->state == PLACE_AWAITING)
            await_owners(unreadable, place, view);
        if (place->state == PLACE_REPORTED)
            list(unreadable, place, view);
    }
}

uint64_t
unreadable_wake_ms(const Unreadable *unreadable, const View *view)
{
    for (uint32_t i = 0;
         i < unreadable->place_count && unreadable->in_use > 0 && !view->cannot_write; i++)
    {
        const Place *place = unreadable->places[i];

        if (place->state == PLACE_REPORTED ||
            (place->state == PLACE_AWAITING && place->owner_count == 0))
            return view->now_ms;
    }
    return UINT64_MAX;
}

bool
unreadable_is_idle(const Unreadable *unreadable)
{
    return unreadable->in_use == 0;
}

bool
unreadable_withholds(const Unreadable *unreadable, uint32_t bucket_id, uint64_t first,
                     uint64_t last)
{
    for (uint32_t i = 0; i < unreadable->place_count && unreadable->in_use > 0; i++)
    {
        const Place *place = unreadable->places[i];

        if (place->state != PLACE_FREE && place->bucket_id == bucket_id && place->first <= last &&
            place->last >= first)
            return true;
    }
    return false;
}

bool
unreadable_withholds_key(const Unreadable *unreadable, const View *view, uint32_t bucket_id,
                         Slice key)
{
    const Bucket *bucket;
    uint64_t position;

    if (unreadable == NULL || unreadable_is_idle(unreadable))
        return false;
    bucket = topology_bucket_by_id(view->topology, bucket_id);
    return bucket != NULL && topology_position(bucket, key, &position) &&
           unreadable_withholds(unreadable, bucket_id, position, position);
}

StorageExtent
unreadable_extent(const StorageRange *range)
{
    StorageExtent extent = {range->bucket_id, range->first_position, range->last_position};
    uint64_t position;
    Slice key;

    if (range->after.length > 0 && storage_cursor_split(range->after, &position, &key) &&
        position > extent.first)
        extent.first = position;
    if (range->through.length > 0 && storage_cursor_split(range->through, &position, &key) &&
        position < extent.last)
        extent.last = position;
    return extent;
}

bool
unreadable_withholds_range(const Unreadable *unreadable, const StorageRange *range)
{
    StorageExtent extent = unreadable_extent(range);

    return unreadable_withholds(unreadable, extent.bucket_id, extent.first, extent.last);
}

bool
unreadable_is_busy(const Unreadable *unreadable, const View *view, TreeId id)
{
    for (uint32_t i = 0; i < unreadable->place_count; i++)
    {
        const Place *place = unreadable->places[i];

        if (place->state != PLACE_FREE && place->bucket_id == id.bucket_id &&
            ring_partition(place->first, view->topology->partitions) <= id.partition &&
            ring_partition(place->last, view->topology->partitions) >= id.partition)
            return true;
    }
    return false;
}

bool
unreadable_take_result(Unreadable *unreadable, UnreadableResult *result)
{
    for (uint32_t i = 0; i < unreadable->place_count && unreadable->in_use > 0; i++)
    {
        Place *place = unreadable->places[i];

        if (place->state != PLACE_REMOVED)
            continue;
        *result = (UnreadableResult){place->bucket_id, place->removed};
        release(unreadable, place);
        return true;
    }
    return false;
}

uint32_t
unreadable_count(const Unreadable *unreadable)
{
    return unreadable->in_use;
}

uint64_t
unreadable_total(const Unreadable *unreadable)
{
    return unreadable->total;
}
