/* What of an object may be forgotten: the decision alone. Who proves that all owners hold it alike
 * is node/engine/repair/reaping. */
#include "shared/data/reap.h"

#include <stdlib.h>
#include <string.h>

bool
reap_is_dead(const Object *object)
{
    return object->sibling_count > 0 && object_live_count(object) == 0;
}

/* Entries and dots are compared without their counters: an entry stands for all dots of its run and
 * epoch. */
static int
compare_run(const void *a, const void *b)
{
    const Dot *left = a;
    const Dot *right = b;
    int order = memcmp(&left->actor, &right->actor, sizeof(Actor));

    if (order == 0 && left->epoch != right->epoch)
        order = left->epoch < right->epoch ? -1 : 1;
    return order;
}

static bool
is_live_actor(const Actor *actor, const Reap *reap)
{
    for (uint32_t i = 0; i < reap->live_count; i++)
    {
        if (memcmp(actor, &reap->live[i], sizeof(Actor)) == 0)
            return true;
    }
    return false;
}

/* By entry of the context: is it to stay? */
static bool *
mark_kept(const Object *object, const Reap *reap, Arena *arena)
{
    const VClock *context = &object->context;
    bool *kept = ARENA_ARRAY(arena, bool, context->count);

    for (uint32_t i = 0; i < context->count; i++)
        kept[i] = is_live_actor(&context->entries[i].actor, reap);
    for (uint32_t i = 0; i < object->sibling_count; i++)
    {
        const Sibling *sibling = &object->siblings[i];

        for (uint32_t d = 0; d < sibling->dot_count; d++)
        {
            const Dot *entry = bsearch(&sibling->dots[d], context->entries, context->count,
                                       sizeof(Dot), compare_run);

            if (entry != NULL)
                kept[entry - context->entries] = true;
        }
    }
    return kept;
}

uint32_t
reap_entries(const Object *object, const Reap *reap, Arena *arena)
{
    return object->context.count - reap_context(object, reap, arena).count;
}

VClock
reap_context(const Object *object, const Reap *reap, Arena *arena)
{
    const bool *kept = mark_kept(object, reap, arena);
    VClock left = {.entries = ARENA_ARRAY(arena, Dot, object->context.count)};

    for (uint32_t i = 0; i < object->context.count; i++)
    {
        if (kept[i])
            left.entries[left.count++] = object->context.entries[i];
    }
    return left;
}
