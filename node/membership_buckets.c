#include "node/membership_private.h"

#include <string.h>

enum
{
    BUCKET_WAIT_MS = 4000
};

static void
refuse_creation(const Creation *creation, StatusCode status, const char *why, Actions *actions)
{
    actions_error(actions, creation->origin, status, why);
}

/* Answers a creation that needs no proposal (any more); false when it must be proposed, with the
 * document in next. */
static bool
settle_creation(Membership *membership, const Creation *creation, Arena *arena, Topology *next,
                Actions *actions)
{
    const Topology *topology = &membership->topology;
    const Bucket *existing = topology_bucket_by_name(topology, creation->bucket.name);
    const char *why = "";

    if (existing != NULL && topology_bucket_agrees(existing, &creation->bucket))
        membership_answer_topology(membership, creation->origin, 0, actions);
    else if (existing != NULL)
        refuse_creation(creation, STATUS_BUCKET_CONFLICT,
                        "the bucket exists with other key types or another n", actions);
    else if (!topology_add_bucket(topology, &creation->bucket, arena, next, &why))
        refuse_creation(creation, STATUS_BAD_BUCKET, why, actions);
    else
        return false;
    return true;
}

static void
drop_creation(Membership *membership, uint32_t index)
{
    arena_free(&membership->creations[index].arena);
    membership->creation_count--;
    memmove(&membership->creations[index], &membership->creations[index + 1],
            (membership->creation_count - index) * sizeof(Creation));
}

/* Settles what can be settled and proposes the first that must be. */
void
membership_pump_buckets(Membership *membership, uint64_t now_ms, Actions *actions)
{
    const EngineOutput *output = membership->output;
    uint32_t i = 0;

    while (i < membership->creation_count)
    {
        Creation *creation = &membership->creations[i];
        Arena arena;
        Topology next;

        arena_init(&arena, &MEMORY_HEAP);

        bool settled = settle_creation(membership, creation, &arena, &next, actions);

        if (!settled && now_ms >= creation->deadline_ms)
        {
            refuse_creation(creation, STATUS_UNAVAILABLE,
                            "too few members answered to create the bucket", actions);
            settled = true;
        }
        if (!settled && !paxos_is_proposing(membership->paxos))
        {
            Buffer document;

            buffer_init(&document, &MEMORY_HEAP);
            topology_encode(&document, &next);
            paxos_propose(membership->paxos, buffer_slice(&document), now_ms,
                          output->random(output->context), actions);
            buffer_free(&document);
        }
        arena_free(&arena);
        if (settled)
            drop_creation(membership, i);
        else
            i++;
    }
}

void
membership_create_bucket(Membership *membership, Origin origin, const Frame *frame, uint64_t now_ms,
                         Actions *actions)
{
    Creation creation = {.origin = origin, .deadline_ms = now_ms + BUCKET_WAIT_MS};

    if (membership->self == TOPOLOGY_NO_MEMBER)
    {
        actions_error(actions, origin, STATUS_NOT_FORMED, membership_waiting_for(membership));
        return;
    }
    arena_init(&creation.arena, &MEMORY_HEAP);

    Frame kept = frame_copy(&creation.arena, frame);

    if (!bucket_create_decode(&kept, &creation.arena, &creation.bucket))
    {
        actions_error(actions, origin, STATUS_BAD_FRAME, "");
        arena_free(&creation.arena);
        return;
    }
    membership->creations = memory_resize(&MEMORY_HEAP, membership->creations,
                                          (membership->creation_count + 1) * sizeof(Creation));
    membership->creations[membership->creation_count++] = creation;
    membership_pump_buckets(membership, now_ms, actions);
}
