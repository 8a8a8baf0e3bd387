/* The look at objects: what must hold of each at any time, of what a read gives, and of what is
 * left in the end. */
#include "test/sim/checker_private.h"

#include <string.h>

static uint32_t
dot_hash(uint32_t key, const Dot *dot)
{
    uint64_t words[2];
    uint64_t hash;

    memcpy(words, dot->actor.id, sizeof(words));
    hash = (words[0] ^ dot->epoch * 0x9e3779b97f4a7c15u ^ key) + dot->counter;
    return (uint32_t)((hash * 0xff51afd7ed558ccdu) >> 32);
}

static void
table_put(Checker *checker, uint32_t row)
{
    const DotRow *dot = &checker->dots[row];
    uint32_t slot = dot_hash(dot->key, &dot->dot) & (checker->dot_table_size - 1);

    while (checker->dot_table[slot] != 0)
        slot = (slot + 1) & (checker->dot_table_size - 1);
    checker->dot_table[slot] = row + 1;
}

static void
table_grow(Checker *checker)
{
    if (checker->dot_count * 2 < checker->dot_table_size)
        return;
    checker->dot_table_size = checker->dot_table_size ? checker->dot_table_size * 2 : 1024;
    checker->dot_table =
        memory_resize(&MEMORY_HEAP, checker->dot_table, checker->dot_table_size * sizeof(uint32_t));
    memset(checker->dot_table, 0, checker->dot_table_size * sizeof(uint32_t));
    for (uint32_t row = 0; row < checker->dot_count; row++)
        table_put(checker, row);
}

/* The row of the dot under that key, or NULL. */
static const DotRow *
table_find(const Checker *checker, uint32_t key, const Dot *dot)
{
    uint32_t slot = dot_hash(key, dot) & (checker->dot_table_size - 1);

    while (checker->dot_table[slot] != 0)
    {
        const DotRow *row = &checker->dots[checker->dot_table[slot] - 1];

        if (row->key == key && dot_compare(&row->dot, dot) == 0)
            return row;
        slot = (slot + 1) & (checker->dot_table_size - 1);
    }
    return NULL;
}

static void
add_dot(Checker *checker, uint32_t key, const Dot *dot, uint32_t version)
{
    if (checker->dot_count == checker->dot_capacity)
    {
        checker->dot_capacity = checker->dot_capacity ? checker->dot_capacity * 2 : 256;
        checker->dots =
            memory_resize(&MEMORY_HEAP, checker->dots, checker->dot_capacity * sizeof(DotRow));
    }
    checker->dots[checker->dot_count] = (DotRow){
        .key = key, .version = version, .dot = *dot, .next_of_key = checker->keys[key]->first_dot};
    table_put(checker, checker->dot_count++);
    checker->keys[key]->first_dot = checker->dot_count;
    checker->versions[version].dots++;
}

bool
checker_note_dot(Checker *checker, const Dot *dot, uint32_t version)
{
    uint32_t key = checker->versions[version].key;

    table_grow(checker);

    const DotRow *row = table_find(checker, key, dot);

    if (row == NULL)
        add_dot(checker, key, dot, version);
    else if (row->version != version)
    {
        checker_violation(
            checker, "S5",
            "one dot (actor %02x%02x, epoch %llu, counter %llu) names k%u.v%u and k%u.v%u",
            dot->actor.id[0], dot->actor.id[1], (unsigned long long)dot->epoch,
            (unsigned long long)dot->counter, key, checker->versions[row->version].ordinal, key,
            checker->versions[version].ordinal);
        return false;
    }
    return true;
}

/* One sibling by itself: written by a client to this key, byte for byte, and not refused. */
static bool
look_at_sibling(Checker *checker, uint32_t key, const Sibling *sibling, Seen *seen)
{
    uint32_t number = checker_version(checker, &sibling->request);

    if (number == CHECKER_NONE || checker->versions[number].key != key)
    {
        checker_violation(checker, "S4", "k%u holds a version that was not written to it", key);
        return false;
    }

    const Version *version = &checker->versions[number];

    if (sibling->tombstone != version->tombstone ||
        !slice_equal(sibling->value, checker_value(checker, number, &checker->scratch)))
        checker_violation(checker, "S4", "k%u.v%u has other bytes than were written", key,
                          version->ordinal);
    else if (version_set_has(&seen->siblings, version->ordinal))
        checker_violation(checker, "S4", "k%u.v%u stands twice in one object", key,
                          version->ordinal);
    else if (checker->puts[version->put].state == PUT_REFUSED)
        checker_violation(checker, "S9", "k%u.v%u is there although it was refused", key,
                          version->ordinal);
    if (checker->verdict != NULL)
        return false;
    version_set_add(&seen->siblings, version->ordinal);
    version_set_add(&seen->past, version->ordinal);
    version_set_merge(&seen->past, &checker->puts[version->put].past);
    for (uint32_t i = 0; i < sibling->dot_count; i++)
    {
        if (!checker_note_dot(checker, &sibling->dots[i], number))
            return false;
    }
    return true;
}

/* More puts have seen the version than a record keeps what they replaced of, and a process has
 * ended since the first of them, which may have been the only one to remember it. */
static bool
is_out_of_mind(const Checker *checker, const Version *version)
{
    uint32_t puts = 0;
    uint32_t first_crashes = 0;

    for (uint32_t i = 0; i < checker->put_count; i++)
    {
        const PutRecord *put = &checker->puts[i];

        if (put->key != version->key || !version_set_has(&put->past, version->ordinal))
            continue;
        if (puts++ == 0)
            first_crashes = put->crashes;
    }
    return puts > OBJECT_REPLACED_KEPT && checker->crashes > first_crashes;
}

/* A write that was stamped twice, where the later one saw the one stamp, and a disk or a process
 * has forgotten what was replaced. Counted once for each version. */
static bool
is_forgotten(Checker *checker, const Sibling *older, const PutRecord *newer)
{
    Version *version = &checker->versions[checker_version(checker, &older->request)];

    if ((!checker->amnesia && !is_out_of_mind(checker, version)) ||
        checker->puts[version->put].sends < 2 || version->dots < 2)
        return false;
    for (uint32_t i = 0; i < older->dot_count; i++)
    {
        if (vclock_covers(&newer->context, &older->dots[i]))
            return false;
    }
    checker->counters.forgotten_extras += !version->extra_counted;
    version->extra_counted = true;
    return true;
}

static bool
look_at_pair(Checker *checker, const Sibling *a, const Sibling *b)
{
    const Version *older = &checker->versions[checker_version(checker, &a->request)];
    const Version *newer = &checker->versions[checker_version(checker, &b->request)];
    const PutRecord *put = &checker->puts[newer->put];

    if (!version_set_has(&put->past, older->ordinal) || is_forgotten(checker, a, put))
        return true;
    checker_violation(checker, "S3", "k%u.v%u stands beside v%u, whose context had seen it",
                      older->key, older->ordinal, newer->ordinal);
    return false;
}

bool
checker_look(Checker *checker, uint32_t key, Slice bytes, Arena *arena, Object *object, Seen *seen)
{
    *seen = (Seen){.absent = bytes.length == 0};
    *object = (Object){0};
    if (seen->absent)
        return true;
    if (!object_decode(bytes, arena, object) || object->sibling_count == 0)
    {
        checker_violation(checker, "S4", "k%u holds an object that cannot be", key);
        return false;
    }
    for (uint32_t i = 0; i < object->sibling_count; i++)
    {
        if (!look_at_sibling(checker, key, &object->siblings[i], seen))
            return false;
    }
    for (uint32_t i = 0; i < object->sibling_count; i++)
    {
        for (uint32_t j = 0; j < object->sibling_count; j++)
        {
            if (i != j && !look_at_pair(checker, &object->siblings[i], &object->siblings[j]))
                return false;
        }
    }
    if (object->sibling_count > checker->counters.siblings_most)
        checker->counters.siblings_most = object->sibling_count;
    return true;
}

bool
checker_claims(Checker *checker, uint32_t key, const VClock *clock, const Seen *seen)
{
    for (uint32_t row = checker->keys[key]->first_dot; row != 0;
         row = checker->dots[row - 1].next_of_key)
    {
        const DotRow *dot = &checker->dots[row - 1];
        uint32_t ordinal = checker->versions[dot->version].ordinal;

        if (version_set_has(&seen->past, ordinal) || !vclock_covers(clock, &dot->dot))
            continue;
        checker_violation(checker, "S1", "a context of k%u covers v%u, which came not with it", key,
                          ordinal);
        return false;
    }
    return true;
}

/* The sealed context that came with an object stands for just what was shown. */
static void
check_sealed(Checker *checker, uint32_t key, const Object *object, Slice sealed, Arena *arena,
             const Seen *seen, VClock *clock)
{
    const KeyRecord *record = checker->keys[key];
    Object opened = {0};
    ContextResult result = context_open(sealed, &checker->context_keys, record->bucket_id,
                                        record->key, arena, &opened);

    if (result != CONTEXT_OK)
    {
        checker_violation(checker, "S2", "the context of k%u does not open: %s", key,
                          status_text(context_status(result)));
        return;
    }
    *clock = opened.context;
    for (uint32_t i = 0; i < object->sibling_count; i++)
    {
        const Sibling *sibling = &object->siblings[i];

        for (uint32_t d = 0; d < sibling->dot_count; d++)
        {
            if (!vclock_covers(clock, &sibling->dots[d]))
                checker_violation(
                    checker, "S2", "the context of k%u does not cover v%u, which came with it", key,
                    checker->versions[checker_version(checker, &sibling->request)].ordinal);
        }
    }
    (void)checker_claims(checker, key, clock, seen);
}

void
checker_reaped(Checker *checker, uint32_t key, Slice bytes)
{
    Object object;
    Seen seen;

    arena_reset(&checker->scratch);
    if (!checker_look(checker, key, bytes, &checker->scratch, &object, &seen))
        return;
    checker->counters.reaped++;
    version_set_merge(&checker->keys[key]->reaped, &seen.past);
}

/* Nothing that had been reaped is a value again. */
static bool
check_gone(Checker *checker, uint32_t key, const Seen *seen, const VersionSet *gone)
{
    const KeyRecord *record = checker->keys[key];

    for (uint32_t ordinal = 0; ordinal < record->version_count && !checker->amnesia; ordinal++)
    {
        const Version *version = &checker->versions[record->versions[ordinal]];

        if (version->tombstone || !version_set_has(&seen->siblings, ordinal) ||
            !version_set_has(gone, ordinal))
            continue;
        checker_violation(checker, "S17", "k%u.v%u is back, which a reaped tombstone had seen", key,
                          ordinal);
        return false;
    }
    return true;
}

/* What must be in past, unless it was reaped. */
static uint32_t
first_missed(const VersionSet *required, const VersionSet *past, const VersionSet *reaped)
{
    VersionSet known = *past;

    version_set_merge(&known, reaped);
    return version_set_first_outside(required, &known);
}

/* Of what was required when the read began, and has not gone with a disk since. */
static uint32_t
first_required_missed(const Checker *checker, const ReadMark *mark, const Seen *seen)
{
    const KeyRecord *record = checker->keys[mark->key];
    VersionSet required = mark->required;

    if (mark->losses != checker->losses)
        version_set_keep(&required, &record->sure);
    return first_missed(&required, &seen->past, &record->reaped);
}

/* Who has shown something keeps it. */
static void
note_holders(Checker *checker, const ReadMark *mark, const ReadShown *shown, const Seen *seen)
{
    KeyRecord *record = checker->keys[mark->key];
    uint32_t holders = checker_holders(checker, record, shown->answered, mark->losses);
    bool kept = shown->anywhere ? mark->losses == checker->losses : holders != 0;

    for (uint32_t ordinal = 0; ordinal < record->version_count && kept; ordinal++)
    {
        Version *version = &checker->versions[record->versions[ordinal]];

        if (!version_set_has(&seen->past, ordinal))
            continue;
        if (!shown->anywhere)
            version->holders |= holders;
        else if (checker_owners_among(record, shown->answered) >= 2)
            version->holders |= CHECKER_SOMEBODY;
        version_set_add(&record->sure, ordinal);
    }
}

void
checker_read_end(Checker *checker, const ReadMark *mark, const ReadShown *shown, Arena *arena,
                 Seen *seen, VClock *clock)
{
    KeyRecord *record = checker->keys[mark->key];
    Slice object = shown->object;
    Slice sealed = shown->context;
    bool sloppy = (shown->answered >> record->n) != 0;
    Object decoded;

    *clock = (VClock){0};
    arena_reset(&checker->scratch);
    if (!checker_look(checker, mark->key, object, arena, &decoded, seen) ||
        !checker_claims(checker, mark->key, &decoded.context, seen) ||
        !check_gone(checker, mark->key, seen, &mark->gone))
        return;
    if (sealed.length > 0)
        check_sealed(checker, mark->key, &decoded, sealed, arena, seen, clock);
    checker->counters.reads++;

    if (first_missed(&mark->acked, &seen->past, &record->reaped) != VERSION_SET_MAX)
        checker->counters.stale_reads++;

    uint32_t missed = first_required_missed(checker, mark, seen);

    checker->counters.sloppy_reads += sloppy;
    if (sloppy && seen->absent)
        checker_violation(checker, "S15", "a fallback counts in a read of k%u that found nothing",
                          mark->key);
    if (missed != VERSION_SET_MAX && !checker->amnesia && !sloppy)
        checker_violation(checker, "S7",
                          "a read of k%u from %u owners missed v%u, which was %s before it began",
                          mark->key, mark->r, missed,
                          version_set_has(&record->acked_by[record->n - mark->r + 1], missed)
                              ? "acknowledged by enough of them"
                              : "read from enough of them");

    /* One hop: r owners were equal. A coordinated read: it waited for n-r+1 of them, or for all
     * that were up. */
    uint32_t owners = mark->r < record->n - mark->r + 1 ? mark->r : record->n - mark->r + 1;

    if (checker_owners_among(record, shown->answered) < owners)
        owners = checker_owners_among(record, shown->answered);
    if (mark->losses != checker->losses && owners > 0)
        owners--;
    note_holders(checker, mark, shown, seen);

    for (uint32_t c = 1; c <= owners; c++)
        version_set_merge(&record->shown_by[c], &seen->past);
    version_set_merge(&record->applied, &seen->siblings);
}

/* Host itself, or an owner that it could have asked, has had the version on disk since before the
 * retry came. */
static bool
is_held_in_reach(Checker *checker, const Version *version, uint32_t host)
{
    const CheckerHooks *hooks = &checker->hooks;
    uint64_t since = version->retry_us[host];

    if (hooks->owner == NULL)
        return false;

    for (uint32_t place = 0; place < checker->keys[version->key]->n; place++)
    {
        uint32_t owner = hooks->owner(hooks->context, version->key, place);
        Object object;

        if (owner == CHECKER_NONE || version->durable_us[owner] >= since ||
            (owner != host && !hooks->in_reach(hooks->context, host, owner, since)))
            continue;

        Slice bytes = hooks->durable_object(hooks->context, owner, version->key);

        if (bytes.length > 0 && object_decode(bytes, &checker->scratch, &object) &&
            object_find(&object, &version->request) != NULL)
            return true;
    }
    return false;
}

void
checker_stamped(Checker *checker, uint32_t host, uint32_t key, Slice bytes, uint64_t now_us)
{
    Object object;

    arena_reset(&checker->scratch);
    if (!object_decode(bytes, &checker->scratch, &object))
        return;
    for (uint32_t i = 0; i < object.sibling_count; i++)
    {
        const Sibling *sibling = &object.siblings[i];
        uint32_t number = checker_version(checker, &sibling->request);
        uint32_t before = number != CHECKER_NONE ? checker->versions[number].dots : 0;

        for (uint32_t d = 0; number != CHECKER_NONE && d < sibling->dot_count; d++)
        {
            if (!checker_note_dot(checker, &sibling->dots[d], number))
                return;
        }
        if (before == 0 || checker->versions[number].dots == before)
            continue;
        if (checker->versions[number].retry_us[host] != CHECKER_NEVER && !checker->amnesia &&
            checker->restored == CHECKER_NONE &&
            now_us < checker->versions[number].retry_us[host] + CHECKER_LOOK_US &&
            is_held_in_reach(checker, &checker->versions[number], host))
            checker_violation(checker, "S14",
                              "n%u stamped k%u.v%u anew although an owner in reach had it", host,
                              key, checker->versions[number].ordinal);
    }
}

void
checker_durable(Checker *checker, uint32_t host, uint32_t key, Slice bytes, uint64_t now_us)
{
    KeyRecord *record = checker->keys[key];
    VersionSet siblings = {0};
    Object object;

    arena_reset(&checker->scratch);
    if (bytes.length == 0 || !object_decode(bytes, &checker->scratch, &object))
        return;
    for (uint32_t i = 0; i < object.sibling_count; i++)
    {
        uint32_t number = checker_version(checker, &object.siblings[i].request);

        if (number == CHECKER_NONE || checker->versions[number].key != key)
            continue;

        Version *version = &checker->versions[number];

        version_set_add(&record->applied, version->ordinal);
        version_set_add(&siblings, version->ordinal);
        if (!version_set_has(&record->on_disk[host], version->ordinal))
            version->durable_us[host] = now_us;
    }
    record->on_disk[host] = siblings;
}

void
checker_final(Checker *checker, uint32_t key, Slice bytes)
{
    KeyRecord *record = checker->keys[key];
    const VersionSet *kept = &record->applied;
    Object object;
    Seen seen;

    if (checker->amnesia)
        kept = &record->acked_twice;
    else if (checker->losses > 0)
        kept = &record->sure;
    arena_reset(&checker->scratch);
    if (!checker_look(checker, key, bytes, &checker->scratch, &object, &seen) ||
        !checker_claims(checker, key, &object.context, &seen) ||
        !check_gone(checker, key, &seen, &record->reaped))
        return;

    uint32_t lost = first_missed(kept, &seen.past, &record->reaped);

    if (lost == VERSION_SET_MAX)
        return;

    const Version *version = &checker->versions[record->versions[lost]];

    checker_violation(checker, "S1", "k%u.v%u is lost: %s, and no final sibling saw it", key, lost,
                      checker->puts[version->put].state == PUT_OK ? "it was acknowledged"
                                                                  : "it was durable or read");
}
