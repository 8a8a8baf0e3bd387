/*
 * Buckets are made and dropped by one proposal for all the wishes that wait: the topology that it
 * leads to fulfils them, or another one that was chosen meanwhile, on top of which it is tried
 * again.
 */
#include "node/engine/cluster/membership_private.h"

#include <stdio.h>
#include <string.h>

enum
{
    BUCKET_WAIT_MS = 4000,
    WISHES_MAX = 2048, /* that wait at a time, and their bytes */
    WISHES_BYTES_MAX = 8 * 1024 * 1024,
    BATCH_MAX = 512 /* buckets in one proposal */
};

/* What one proposal is to change. */
typedef struct Batch
{
    Bucket added[BATCH_MAX];
    uint32_t dropped[BATCH_MAX];
    TopologyChange change;
    size_t bytes;        /* that the document has, about */
    const char *creator; /* who was counted last, */
    uint32_t made;       /* and how many buckets are his; creator NULL: nobody was */
} Batch;

void
membership_free_wishes(Membership *membership)
{
    while (membership->wishes != NULL)
    {
        BucketWish *wish = membership->wishes;

        membership->wishes = wish->next;
        arena_free(&wish->arena);
        memory_resize(&MEMORY_HEAP, wish, 0);
    }
}

static void
refuse(const BucketWish *wish, StatusCode status, const char *why, Actions *actions)
{
    actions_error(actions, wish->origin, status, why);
}

/* Whoever had it made knows it by the topology of that epoch, and fetches that. */
static void
fulfil(const Membership *membership, const BucketWish *wish, Actions *actions)
{
    TopologyFrame answer = {.epoch = membership->topology.epoch};

    topology_frame_encode(actions_frame(actions), wish->origin.tag, &answer);
    actions_reply(actions, wish->origin.session);
}

static uint32_t
made_by(const Topology *topology, Batch *batch, const char *creator)
{
    if (batch->creator != NULL && strcmp(batch->creator, creator) == 0)
        return batch->made;
    batch->creator = creator;
    batch->made = 0;
    for (uint32_t i = 0; i < topology->bucket_count; i++)
        batch->made += strcmp(topology->buckets[i].creator, creator) == 0;
    for (uint32_t i = 0; i < batch->change.added_count; i++)
        batch->made += strcmp(batch->added[i].creator, creator) == 0;
    return batch->made;
}

/* Refuses a bucket that would be one too many; false when it is not. */
static bool
refuse_excess(const Membership *membership, Batch *batch, const BucketWish *wish, Actions *actions)
{
    uint32_t most = membership->config->buckets_per_user_max;
    char why[160];

    if (membership->topology.bucket_count + batch->change.added_count >= TOPOLOGY_BUCKETS_MAX)
    {
        refuse(wish, STATUS_BUCKET_LIMIT, "the cluster has 10,000 buckets, as many as it can have",
               actions);
        return true;
    }
    if (batch->bytes + wish->bytes > TOPOLOGY_BYTES)
    {
        refuse(wish, STATUS_BUCKET_LIMIT,
               "the definitions of all buckets would take more than the 16 MB they may", actions);
        return true;
    }
    if (most == 0 || wish->bucket.creator[0] == '\0' ||
        made_by(&membership->topology, batch, wish->bucket.creator) < most)
        return false;
    snprintf(why, sizeof(why),
             "user \"%.63s\" has had %u buckets made, as many as max_buckets_per_user allows",
             wish->bucket.creator, most);
    refuse(wish, STATUS_BUCKET_LIMIT, why, actions);
    batch->creator = NULL; /* the name goes with the wish */
    return true;
}

static bool
is_in_batch(const Batch *batch, const char *name)
{
    for (uint32_t i = 0; i < batch->change.added_count; i++)
    {
        if (strcmp(batch->added[i].name, name) == 0)
            return true;
    }
    return false;
}

/* Answers a wish for a bucket that needs no proposal (any more), or adds it to the batch, if there
 * is one. True: it is answered. */
static bool
treat_creation(const Membership *membership, const BucketWish *wish, Batch *batch, Actions *actions)
{
    const Topology *topology = &membership->topology;
    const Bucket *existing = topology_bucket_by_name(topology, wish->bucket.name);
    const char *why = NULL;

    if (existing != NULL && topology_bucket_agrees(existing, &wish->bucket))
        fulfil(membership, wish, actions);
    else if (existing != NULL)
        refuse(wish, STATUS_BUCKET_CONFLICT, "the bucket exists with other key types or another n",
               actions);
    else if ((why = topology_bucket_fault(topology, &wish->bucket)) != NULL)
        refuse(wish, STATUS_BAD_BUCKET, why, actions);
    else if (batch == NULL || batch->change.added_count == BATCH_MAX ||
             is_in_batch(batch, wish->bucket.name))
        return false;
    else if (!refuse_excess(membership, batch, wish, actions))
    {
        batch->added[batch->change.added_count++] = wish->bucket;
        batch->bytes += wish->bytes;
        batch->made++;
        return false;
    }
    return true;
}

/* The same of a bucket that is to go. */
static bool
treat_drop(const Membership *membership, const BucketWish *wish, Batch *batch, Actions *actions)
{
    const Topology *topology = &membership->topology;
    TopologyChange *change;

    if (topology_bucket_by_id(topology, wish->drop_id) == NULL)
    {
        if (topology_was_dropped(topology, wish->drop_id))
            fulfil(membership, wish, actions);
        else
            refuse(wish, STATUS_NO_BUCKET, "", actions);
        return true;
    }
    if (batch == NULL)
        return false;
    change = &batch->change;
    for (uint32_t i = 0; i < change->dropped_count; i++)
    {
        if (batch->dropped[i] == wish->drop_id)
            return false;
    }
    if (change->dropped_count < BATCH_MAX)
        batch->dropped[change->dropped_count++] = wish->drop_id;
    return false;
}

/* Names those that are not up, since they are what an operator looks for: most of the members must
 * answer. */
static void
refuse_unanswered(const Membership *membership, const BucketWish *wish, Actions *actions)
{
    const Topology *topology = &membership->topology;
    char text[512];
    size_t length =
        (size_t)snprintf(text, sizeof(text), "too few members answered to %s the bucket",
                         wish->drop_id != 0 ? "drop" : "create");
    const char *before = ": not reached are ";

    for (uint32_t i = 0; i < topology->member_count && length < sizeof(text); i++)
    {
        if (membership->up[i] || !topology_is_present(topology, i))
            continue;
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s", before,
                                   topology->members[i].name);
        before = ", ";
    }
    refuse(wish, STATUS_UNAVAILABLE, text, actions);
}

static bool
treat_wish(const Membership *membership, const BucketWish *wish, uint64_t now_ms, Batch *batch,
           Actions *actions)
{
    bool is_late = now_ms >= wish->deadline_ms;
    bool answered;

    /* What is about to be refused goes into no batch: it would be proposed all the same, and the
     * wish that the batch borrows from is gone by then. */
    if (is_late)
        batch = NULL;
    answered = wish->drop_id != 0 ? treat_drop(membership, wish, batch, actions)
                                  : treat_creation(membership, wish, batch, actions);
    if (answered || !is_late)
        return answered;
    refuse_unanswered(membership, wish, actions);
    return true;
}

static void
end_wish(Membership *membership, BucketWish **place)
{
    BucketWish *wish = *place;

    *place = wish->next;
    if (wish->next == NULL)
        membership->wishes_end = place;
    membership->wish_count--;
    membership->wish_bytes -= wish->bytes;
    arena_free(&wish->arena);
    memory_resize(&MEMORY_HEAP, wish, 0);
}

static void
propose(Membership *membership, const Batch *batch, uint64_t now_ms, Actions *actions)
{
    const HostQuestions *host = membership->host;
    Buffer document;

    if (batch->change.added_count + batch->change.dropped_count == 0)
        return;
    buffer_init(&document, &MEMORY_HEAP);
    topology_encode_change(&document, &membership->topology, &batch->change);
    paxos_propose(membership->paxos, buffer_slice(&document), now_ms, host->random(host->context),
                  actions);
    buffer_free(&document);
}

static Batch *
begin_batch(const Membership *membership)
{
    Batch *batch = memory_resize(&MEMORY_HEAP, NULL, sizeof(Batch));

    batch->change = (TopologyChange){.added = batch->added, .dropped = batch->dropped};
    batch->bytes = paxos_document(membership->paxos).length;
    batch->creator = NULL;
    return batch;
}

/* While a proposal is under way no other can be made; it may fulfil what waits. */
void
membership_pump_buckets(Membership *membership, uint64_t now_ms, Actions *actions)
{
    BucketWish **place = &membership->wishes;
    Batch *batch = NULL;

    if (membership->wishes != NULL && !paxos_is_proposing(membership->paxos))
        batch = begin_batch(membership);
    while (*place != NULL)
    {
        if (treat_wish(membership, *place, now_ms, batch, actions))
            end_wish(membership, place);
        else
            place = &(*place)->next;
    }
    if (batch != NULL)
        propose(membership, batch, now_ms, actions);
    memory_resize(&MEMORY_HEAP, batch, 0);
}

static bool
read_wish(const Membership *membership, const Frame *frame, BucketWish *wish)
{
    const HostQuestions *host = membership->host;
    const char *user = host->user != NULL ? host->user(host->context, wish->origin.session) : NULL;
    Frame kept = frame_copy(&wish->arena, frame);
    BucketDrop drop;

    wish->bytes = frame->body.length;
    if (frame->type == FRAME_BUCKET_DROP)
    {
        wish->drop_id = bucket_drop_decode(&kept, &drop) ? drop.bucket_id : 0;
        return wish->drop_id != 0;
    }
    if (!bucket_create_decode(&kept, &wish->arena, &wish->bucket))
        return false;
    if (user == NULL)
        user = "";
    wish->bucket.creator = arena_copy_string(&wish->arena, user, strlen(user));
    return true;
}

static BucketWish **
add_wish(Membership *membership, BucketWish *wish)
{
    BucketWish **place = membership->wishes == NULL ? &membership->wishes : membership->wishes_end;

    *place = wish;
    membership->wishes_end = &wish->next;
    membership->wish_count++;
    membership->wish_bytes += wish->bytes;
    return place;
}

void
membership_change_buckets(Membership *membership, Origin origin, const Frame *frame,
                          uint64_t now_ms, Actions *actions)
{
    BucketWish **place;
    BucketWish *wish;

    if (membership->self == TOPOLOGY_NO_MEMBER)
    {
        actions_error(actions, origin, STATUS_NOT_FORMED, membership_waiting_for(membership));
        return;
    }
    if (membership->wish_count >= WISHES_MAX ||
        membership->wish_bytes + frame->body.length > WISHES_BYTES_MAX)
    {
        actions_error(actions, origin, STATUS_OVERLOADED, "too many buckets wait to be made");
        return;
    }
    wish = memory_resize(&MEMORY_HEAP, NULL, sizeof(BucketWish));
    *wish = (BucketWish){.origin = origin, .deadline_ms = now_ms + BUCKET_WAIT_MS};
    arena_init(&wish->arena, &MEMORY_HEAP);
    if (!read_wish(membership, frame, wish))
    {
        actions_error(actions, origin, STATUS_BAD_FRAME, "");
        arena_free(&wish->arena);
        memory_resize(&MEMORY_HEAP, wish, 0);
        return;
    }
    place = add_wish(membership, wish);
    if (!paxos_is_proposing(membership->paxos))
        membership_pump_buckets(membership, now_ms, actions);
    else if (treat_wish(membership, wish, now_ms, NULL, actions))
        end_wish(membership, place);
}
