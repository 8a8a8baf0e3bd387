/*
 * Whom to ask for a key. A quorum of owners is asked of owners; fallbacks come in when too few
 * owners are well, but never for the owners that pr asks for.
 */
#include "shared/ask/request_private.h"

/* The owners' places come first in the list, whatever the order to ask in is. */
static uint16_t
owner_mask(const RequestKey *state)
{
    return (uint16_t)((1u << state->owner_count) - 1);
}

/* How many places a mask has. */
static uint32_t
count_members(uint16_t mask)
{
    return (uint32_t)__builtin_popcount(mask);
}

static bool
is_avoided(const Request *request, uint16_t member)
{
    return request->options.avoid != NULL && request->options.avoid[member];
}

/* Owners, then fallbacks; of those that are well, then of those to avoid. */
static void
order_members(const Request *request, RequestKey *state)
{
    uint8_t placed = 0;

    for (int avoided = 0; avoided <= 1; avoided++)
    {
        for (uint8_t i = 0; i < state->member_count; i++)
        {
            if (is_avoided(request, state->members[i]) == (avoided == 1))
                state->order[placed++] = i;
        }
        if (avoided == 0)
            state->well_count = placed;
    }
}

/* A list that is shorter than n is all members there are: each of them is an owner. */
bool
request_place_key(Request *request, uint32_t key)
{
    RequestKey *state = &request->states[key];
    uint32_t n = request->bucket->n;

    if (!request->is_write)
        state->read.full_place = NO_PLACE;
    if (!topology_position(request->bucket, request_key_bytes(request, key), &state->position))
        return false;
    state->member_count = (uint8_t)topology_preference(request->topology, state->position,
                                                       state->members, TOPOLOGY_N_MAX);
    state->owner_count = state->member_count < n ? state->member_count : (uint8_t)n;
    order_members(request, state);
    return true;
}

static uint32_t
at_least_0(uint32_t wanted, uint32_t have)
{
    return wanted > have ? wanted - have : 0;
}

/* A write has one coordinator, which sees to the owners itself. */
static uint32_t
owners_wanted(const Request *request)
{
    return request->is_write ? 0 : request->options.owners;
}

static uint32_t
answers_wanted(const Request *request)
{
    uint32_t quorum = request->is_write ? 1 : request->options.quorum;

    return quorum > owners_wanted(request) ? quorum : owners_wanted(request);
}

/* Owners that have answered and count, and those that are being waited for, are not missing. */
static uint32_t
owners_missing(const Request *request, const RequestKey *state)
{
    return at_least_0(owners_wanted(request),
                      count_members((state->counted | state->live) & owner_mask(state)));
}

/* The larger of the two wishes: an owner's answer counts for the quorum too. */
uint32_t
request_place_missing(const Request *request, const RequestKey *state)
{
    uint32_t missing =
        at_least_0(answers_wanted(request), count_members(state->counted | state->live));
    uint32_t owners = owners_missing(request, state);

    return missing > owners ? missing : owners;
}

/* Only answers that have come count here; request_place_missing() counts those under way as well.
 */
bool
request_place_is_quorum(const Request *request, const RequestKey *state)
{
    return count_members(state->counted) >= answers_wanted(request) &&
           count_members(state->counted & owner_mask(state)) >= owners_wanted(request);
}

/* The first place of the order that is not in mask; of the owners only, or of all. */
static uint8_t
first_outside(const RequestKey *state, uint16_t mask, bool owners_only)
{
    for (uint8_t i = 0; i < state->member_count; i++)
    {
        uint8_t place = state->order[i];

        if ((mask & request_place_bit(place)) == 0 && (place < state->owner_count || !owners_only))
            return place;
    }
    return NO_PLACE;
}

/* Whom it may be: when all that is missing must be owners, owners alone. Members whose link broke
 * come last. */
uint8_t
request_place_next(const Request *request, const RequestKey *state)
{
    uint32_t owners = owners_missing(request, state);
    bool owner_needed = owners > 0 && owners == request_place_missing(request, state);
    uint8_t place = first_outside(state, state->asked | state->again, owner_needed);

    return place != NO_PLACE ? place : first_outside(state, state->asked, owner_needed);
}

/* Who coordinates a read best: an owner that has answered, then any owner that is well, then a
 * fallback that is well. A silent owner may be reached yet, but the fallback is the better bet. */
static int
coordinator_rank(const Request *request, uint32_t key, uint8_t place)
{
    const RequestKey *state = &request->states[key];
    uint16_t member = state->members[place];
    bool answered = (request->reads[key].answered & request_place_bit(place)) != 0;

    if ((state->again & request_place_bit(place)) != 0)
        return 0;
    if (place >= state->owner_count)
        return request->members[member].silent || is_avoided(request, member) ? 0 : 2;
    if (answered && !request->members[member].silent)
        return 4;
    return request->members[member].silent || is_avoided(request, member) ? 1 : 3;
}

uint8_t
request_place_coordinator(const Request *request, uint32_t key)
{
    const RequestKey *state = &request->states[key];
    int best = -1;
    uint8_t chosen = NO_PLACE;

    for (uint8_t i = 0; i < state->member_count; i++)
    {
        uint8_t place = state->order[i];

        if ((state->read.coordinated & request_place_bit(place)) == 0 &&
            coordinator_rank(request, key, place) > best)
        {
            best = coordinator_rank(request, key, place);
            chosen = place;
        }
    }
    return chosen;
}

/* The next owner in the order, or the same member when there is none: fallbacks stand in for
 * members that are down, not for busy ones. */
uint8_t
request_place_after_pause(const RequestKey *state, uint8_t place)
{
    uint8_t at = 0;

    while (state->order[at] != place)
        at++;
    for (uint8_t i = 1; i < state->member_count; i++)
    {
        uint8_t next = (uint8_t)((at + i) % state->member_count);

        if (next < state->well_count && state->order[next] < state->owner_count &&
            (state->asked & request_place_bit(state->order[next])) == 0)
            return state->order[next];
    }
    return place;
}

bool
request_place_has_owner_left(const RequestKey *state)
{
    for (uint8_t i = 0; i < state->well_count && state->order[i] < state->owner_count; i++)
    {
        if (((state->asked | state->again) & request_place_bit(state->order[i])) == 0)
            return true;
    }
    return false;
}

uint8_t
request_place_of(const RequestKey *state, uint32_t member)
{
    uint8_t place = 0;

    while (state->members[place] != member)
        place++;
    return place;
}
