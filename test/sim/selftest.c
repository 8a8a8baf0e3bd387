#include "test/sim/selftest.h"

#include <stdio.h>
#include <string.h>

#include "test/sim/checker.h"

enum
{
    BUCKET = 1,
    OWNERS = 3,
    VERSIONS_MAX = 8,
    DOTS_MAX = 4
};

/* One version inside a hand-made object, by put, with its dots as counters of one actor. */
typedef struct Piece
{
    uint32_t put;
    uint32_t dots[DOTS_MAX]; /* 0 ends */
} Piece;

/* A checker, one key "k" (number 0) and one key "other" (number 1), and what three owners have on
 * disk. */
typedef struct History
{
    Checker *checker;
    Arena arena;
    ContextKeys context_keys;
    Slice disks[OWNERS];
    bool reachable;
    Seen seen;
    VClock clock;
} History;

static uint32_t
disk_owner(void *context, uint32_t key, uint32_t place)
{
    (void)context;
    (void)key;
    return place;
}

static Slice
disk_object(void *context, uint32_t host, uint32_t key)
{
    const History *history = context;

    return key == 0 ? history->disks[host] : SLICE_EMPTY;
}

static bool
disk_in_reach(void *context, uint32_t host, uint32_t other, uint64_t since_us)
{
    const History *history = context;

    (void)host;
    (void)other;
    (void)since_us;
    return history->reachable;
}

static void
history_begin(History *history)
{
    static const uint8_t CLUSTER_KEY[1][32] = {{7}};
    CheckerHooks hooks = {.owner = disk_owner,
                          .durable_object = disk_object,
                          .in_reach = disk_in_reach,
                          .context = history};

    *history = (History){.context_keys = context_keys(CLUSTER_KEY, 1)};
    arena_init(&history->arena, &MEMORY_HEAP);
    history->checker = checker_new(1, &history->context_keys, &hooks);
    (void)checker_add_key(history->checker, BUCKET, slice_from_string("k"), OWNERS);
    (void)checker_add_key(history->checker, BUCKET, slice_from_string("other"), OWNERS);
}

static void
history_end(History *history)
{
    checker_free(history->checker);
    arena_free(&history->arena);
}

static Dot
dot(uint32_t counter)
{
    return (Dot){.actor = {.id = {1}}, .epoch = 1, .counter = counter};
}

static VClock
clock_of(History *history, uint32_t counter)
{
    VClock clock = {0};
    Dot highest = dot(counter);

    return counter > 0 ? vclock_add(&history->arena, &clock, &highest) : clock;
}

/* The object of these pieces (a piece of put UINT32_MAX ends) under a context up to counter. */
static Slice
object_of(History *history, uint32_t counter, const Piece *pieces, uint32_t count)
{
    Object object = {.context = clock_of(history, counter)};
    Buffer bytes;
    Slice copy;

    object.siblings = arena_alloc_zero(&history->arena, sizeof(Sibling) * VERSIONS_MAX);
    for (uint32_t i = 0; i < count; i++)
    {
        Sibling *sibling = &object.siblings[object.sibling_count++];
        PutValue value = checker_put_value(history->checker, pieces[i].put, 0, &history->arena);

        *sibling =
            (Sibling){.request = value.request, .tombstone = value.tombstone, .value = value.value};
        sibling->dots = ARENA_ARRAY(&history->arena, Dot, DOTS_MAX);
        while (sibling->dot_count < DOTS_MAX && pieces[i].dots[sibling->dot_count] != 0)
        {
            sibling->dots[sibling->dot_count] = dot(pieces[i].dots[sibling->dot_count]);
            sibling->dot_count++;
        }
    }
    object_sort(&object);
    buffer_init(&bytes, &MEMORY_HEAP);
    object_encode(&bytes, &object);
    copy = slice_copy(&history->arena, buffer_slice(&bytes));
    buffer_free(&bytes);
    return copy;
}

static uint32_t
write_blind(History *history, uint32_t key)
{
    return checker_write_begin(history->checker, key, NULL, NULL, 1, 0);
}

/* Under what the last read gave. */
static uint32_t
write_seen(History *history)
{
    return checker_write_begin(history->checker, 0, &history->seen.past, &history->clock, 1, 0);
}

static void
retry(History *history, uint32_t put)
{
    PutValue value = checker_put_value(history->checker, put, 0, &history->arena);

    checker_write_sent(history->checker, &value.request);
    checker_write_sent(history->checker, &value.request);
}

/* Acknowledged by owners, who have it. */
static void
acknowledge(History *history, uint32_t put, uint32_t owners, Slice object)
{
    for (uint32_t i = 0; i < OWNERS; i++)
    {
        if ((owners >> i & 1) != 0)
            history->disks[i] = object;
    }
    checker_write_end(history->checker, put, 1, STATUS_OK, owners);
}

/* A read by r owners whose context, up to counter, is sealed as it should be. */
static void
read_sealed(History *history, ReadMark mark, Slice object, uint32_t counter)
{
    Object past = {.context = clock_of(history, counter)};
    Buffer sealed;
    ReadShown shown;

    buffer_init(&sealed, &MEMORY_HEAP);
    if (object.length > 0)
        context_seal(&sealed, &history->context_keys, BUCKET, checker_key(history->checker, 0),
                     &past);
    shown = (ReadShown){.object = object,
                        .context = slice_copy(&history->arena, buffer_slice(&sealed)),
                        .answered = (1u << mark.r) - 1};
    checker_read_end(history->checker, &mark, &shown, &history->arena, &history->seen,
                     &history->clock);
    buffer_free(&sealed);
}

static void
read_now(History *history, uint32_t r, Slice object, uint32_t counter)
{
    read_sealed(history, checker_read_begin(history->checker, 0, r), object, counter);
}

static void
final(History *history, Slice object)
{
    checker_final(history->checker, 0, object);
}

/* ---- histories that are right ---- */

static void
an_overwrite_replaces_what_it_saw(History *history)
{
    uint32_t first = write_blind(history, 0);
    Slice one = object_of(history, 1, &(Piece){first, {1}}, 1);

    acknowledge(history, first, 7, one);
    read_now(history, 2, one, 1);

    uint32_t second = write_seen(history);
    Slice two = object_of(history, 2, &(Piece){second, {2}}, 1);

    acknowledge(history, second, 7, two);
    read_now(history, 2, two, 2);
    final(history, two);
}

static void
concurrent_writes_stay_both(History *history)
{
    uint32_t first = write_blind(history, 0);
    uint32_t second = write_blind(history, 0);
    Slice both = object_of(history, 2,
                           (Piece[]){
                               {first,  {1}},
                               {second, {2}}
    },
                           2);

    acknowledge(history, first, 3, both);
    acknowledge(history, second, 3, both);
    final(history, both);
}

static void
an_unknown_write_may_be_there(History *history)
{
    uint32_t put = write_blind(history, 0);

    checker_write_end(history->checker, put, 2, STATUS_UNKNOWN, 0);
    final(history, object_of(history, 1, &(Piece){put, {1}}, 1));
}

static void
an_unknown_write_may_be_gone(History *history)
{
    checker_write_end(history->checker, write_blind(history, 0), 2, STATUS_UNKNOWN, 0);
    final(history, SLICE_EMPTY);
}

static void
a_weak_read_may_miss_a_write(History *history)
{
    uint32_t put = write_blind(history, 0);

    acknowledge(history, put, 3, object_of(history, 1, &(Piece){put, {1}}, 1));
    read_now(history, 1, SLICE_EMPTY, 0);
}

static void
a_read_may_miss_a_write_that_was_acknowledged_meanwhile(History *history)
{
    ReadMark mark = checker_read_begin(history->checker, 0, 2);
    uint32_t put = write_blind(history, 0);

    acknowledge(history, put, 3, object_of(history, 1, &(Piece){put, {1}}, 1));
    read_sealed(history, mark, SLICE_EMPTY, 0);
}

/* The first write stamped twice (1 and 3), the second one having seen 1 only. */
static Slice
twice_stamped(History *history, bool retried, uint32_t seen)
{
    uint32_t first = write_blind(history, 0);
    Slice one = object_of(history, seen, &(Piece){first, {1}}, 1);

    if (retried)
        retry(history, first);
    read_now(history, 2, one, seen);

    uint32_t second = write_seen(history);

    checker_write_end(history->checker, first, 1, STATUS_UNKNOWN, 0);
    checker_write_end(history->checker, second, 1, STATUS_UNKNOWN, 0);
    return object_of(history, 4,
                     (Piece[]){
                         {first,  {3}},
                         {second, {4}}
    },
                     2);
}

static void
a_disk_that_forgot_may_leave_an_extra_sibling(History *history)
{
    checker_allow_amnesia(history->checker);
    final(history, twice_stamped(history, true, 1));
    if (checker_counters(history->checker).forgotten_extras != 1)
        checker_violation(history->checker, "selftest", "the extra sibling was not counted");
}

/* A write seen by so many that the last records that have it no more; and a crash, or none. */
static void
seen_by_many(History *history, uint32_t puts, bool crash)
{
    uint32_t first = write_blind(history, 0);
    uint32_t second = 0;
    Slice one = object_of(history, 1, &(Piece){first, {1}}, 1);

    retry(history, first);
    read_now(history, 2, one, 1);
    for (uint32_t i = 0; i < puts; i++)
    {
        second = write_seen(history);
        checker_write_end(history->checker, second, 1, STATUS_UNKNOWN, 0);
        if (crash && i == 0)
            checker_crashed(history->checker);
    }
    checker_write_end(history->checker, first, 1, STATUS_UNKNOWN, 0);
    (void)object_of(history, 3, &(Piece){first, {3}}, 1);
    final(history, object_of(history, 4,
                             (Piece[]){
                                 {first,  {3}},
                                 {second, {4}}
    },
                             2));
}

static void
what_more_puts_replaced_than_records_keep_may_be_forgotten_in_a_crash(History *history)
{
    seen_by_many(history, OBJECT_REPLACED_KEPT + 1, true);
}

static void
what_many_puts_replaced_comes_back_without_a_crash(History *history)
{
    seen_by_many(history, OBJECT_REPLACED_KEPT + 1, false);
}

static void
what_few_puts_replaced_comes_back_after_a_crash(History *history)
{
    seen_by_many(history, OBJECT_REPLACED_KEPT, true);
}

static void
a_disk_may_forget_what_only_it_acknowledged(History *history)
{
    uint32_t put = write_blind(history, 0);

    checker_allow_amnesia(history->checker);
    acknowledge(history, put, 1, object_of(history, 1, &(Piece){put, {1}}, 1));
    final(history, SLICE_EMPTY);
}

static void
a_restored_disk_may_lack_what_only_it_acknowledged(History *history)
{
    uint32_t put = write_blind(history, 0);

    checker_allow_restore(history->checker, 0);
    acknowledge(history, put, 1, object_of(history, 1, &(Piece){put, {1}}, 1));
    checker_disk_lost(history->checker);
    read_now(history, 3, SLICE_EMPTY, 0);
    final(history, SLICE_EMPTY);
}

static void
what_a_disk_acknowledged_after_its_loss_is_lost(History *history)
{
    uint32_t put;

    checker_allow_restore(history->checker, 0);
    checker_disk_lost(history->checker);
    put = write_blind(history, 0);
    acknowledge(history, put, 1, object_of(history, 1, &(Piece){put, {1}}, 1));
    final(history, SLICE_EMPTY);
}

static void
a_read_misses_what_a_disk_acknowledged_after_its_loss(History *history)
{
    uint32_t put;

    checker_allow_restore(history->checker, 0);
    checker_disk_lost(history->checker);
    put = write_blind(history, 0);
    acknowledge(history, put, 1, object_of(history, 1, &(Piece){put, {1}}, 1));
    read_now(history, 3, SLICE_EMPTY, 0);
}

/* A version that everybody had, its delete, and that reaped; the version's object. */
static Slice
deleted_and_reaped(History *history)
{
    uint32_t put = write_blind(history, 0);
    Slice one = object_of(history, 1, &(Piece){put, {1}}, 1);
    uint32_t tombstone;
    Slice two;

    acknowledge(history, put, 7, one);
    read_now(history, 2, one, 1);
    tombstone =
        checker_write_begin(history->checker, 0, &history->seen.past, &history->clock, 1, 1);
    two = object_of(history, 2, &(Piece){tombstone, {2}}, 1);
    acknowledge(history, tombstone, 7, two);
    checker_reaped(history->checker, 0, two);
    return one;
}

static void
what_was_reaped_may_be_nowhere(History *history)
{
    (void)deleted_and_reaped(history);
    read_now(history, 2, SLICE_EMPTY, 0);
    final(history, SLICE_EMPTY);
}

/* ---- histories that are not ---- */

static void
what_a_reaped_tombstone_had_seen_is_read(History *history)
{
    read_now(history, 2, deleted_and_reaped(history), 1);
}

static void
what_a_reaped_tombstone_had_seen_comes_back(History *history)
{
    final(history, deleted_and_reaped(history));
}

static void
an_acknowledged_write_is_lost(History *history)
{
    uint32_t put = write_blind(history, 0);

    acknowledge(history, put, 3, object_of(history, 1, &(Piece){put, {1}}, 1));
    final(history, SLICE_EMPTY);
}

static void
a_write_is_lost_to_one_that_did_not_see_it(History *history)
{
    uint32_t first = write_blind(history, 0);
    uint32_t second = write_blind(history, 0);

    acknowledge(history, first, 3, object_of(history, 1, &(Piece){first, {1}}, 1));
    acknowledge(history, second, 4, object_of(history, 2, &(Piece){second, {2}}, 1));
    final(history, object_of(history, 2, &(Piece){second, {2}}, 1));
}

static void
a_write_that_was_read_is_lost(History *history)
{
    uint32_t put = write_blind(history, 0);

    read_now(history, 1, object_of(history, 1, &(Piece){put, {1}}, 1), 1);
    checker_write_end(history->checker, put, 2, STATUS_UNKNOWN, 0);
    final(history, SLICE_EMPTY);
}

static void
two_owners_forget_what_they_acknowledged(History *history)
{
    uint32_t put = write_blind(history, 0);

    checker_allow_amnesia(history->checker);
    acknowledge(history, put, 3, object_of(history, 1, &(Piece){put, {1}}, 1));
    final(history, SLICE_EMPTY);
}

static void
a_context_claims_what_was_not_shown(History *history)
{
    uint32_t first = write_blind(history, 0);
    uint32_t second = write_blind(history, 0);

    checker_stamped(history->checker, 0, 0, object_of(history, 1, &(Piece){first, {1}}, 1), 0);
    read_now(history, 1, object_of(history, 2, &(Piece){second, {2}}, 1), 2);
}

static void
a_context_does_not_cover_a_sibling(History *history)
{
    uint32_t put = write_blind(history, 0);

    read_now(history, 1, object_of(history, 2, &(Piece){put, {2}}, 1), 1);
}

static void
a_replaced_write_stands_beside_its_successor(History *history)
{
    uint32_t first = write_blind(history, 0);

    read_now(history, 1, object_of(history, 1, &(Piece){first, {1}}, 1), 1);

    uint32_t second = write_seen(history);

    read_now(history, 1,
             object_of(history, 2,
                       (Piece[]){
                           {first,  {1}},
                           {second, {2}}
    },
                       2),
             2);
}

static void
an_extra_sibling_of_a_retry(History *history)
{
    final(history, twice_stamped(history, true, 1));
}

static void
an_extra_sibling_without_a_retry(History *history)
{
    checker_allow_amnesia(history->checker);
    final(history, twice_stamped(history, false, 1));
}

static void
an_extra_sibling_whose_second_stamp_was_seen(History *history)
{
    checker_allow_amnesia(history->checker);
    final(history, twice_stamped(history, true, 3));
}

static void
a_value_nobody_wrote(History *history)
{
    Object object = {.context = clock_of(history, 1)};
    Dot one = dot(1);
    Sibling sibling = {.value = slice_from_string("boo"), .dots = &one, .dot_count = 1};
    Buffer bytes;

    object.siblings = &sibling;
    object.sibling_count = 1;
    buffer_init(&bytes, &MEMORY_HEAP);
    object_encode(&bytes, &object);
    read_now(history, 1, buffer_slice(&bytes), 1);
    buffer_free(&bytes);
}

static void
a_value_of_another_key(History *history)
{
    uint32_t put = write_blind(history, 1);

    read_now(history, 1, object_of(history, 1, &(Piece){put, {1}}, 1), 1);
}

static void
a_value_with_a_changed_byte(History *history)
{
    uint32_t put = write_blind(history, 0);
    Slice object = object_of(history, 1, &(Piece){put, {1}}, 1);
    uint8_t *bytes = arena_copy(&history->arena, object.data, object.length);

    bytes[object.length - 1] ^= 1;
    read_now(history, 1, slice_make(bytes, object.length), 1);
}

static void
one_dot_names_two_versions(History *history)
{
    uint32_t first = write_blind(history, 0);
    uint32_t second = write_blind(history, 0);

    checker_stamped(history->checker, 0, 0, object_of(history, 1, &(Piece){first, {1}}, 1), 0);
    checker_stamped(history->checker, 1, 0, object_of(history, 1, &(Piece){second, {1}}, 1), 0);
}

static void
a_read_misses_an_acknowledged_write(History *history)
{
    uint32_t put = write_blind(history, 0);

    acknowledge(history, put, 3, object_of(history, 1, &(Piece){put, {1}}, 1));
    read_now(history, 2, SLICE_EMPTY, 0);
}

static void
a_read_of_a_restored_disk_misses_what_two_acknowledged(History *history)
{
    checker_allow_restore(history->checker, 0);
    a_read_misses_an_acknowledged_write(history);
}

static void
what_a_restored_disk_and_another_acknowledged_is_lost(History *history)
{
    checker_allow_restore(history->checker, 0);
    an_acknowledged_write_is_lost(history);
}

static void
a_fallback_counts_with_nothing(History *history)
{
    ReadMark mark = checker_read_begin(history->checker, 0, 2);
    ReadShown shown = {.answered = 1u | 1u << OWNERS};

    checker_read_end(history->checker, &mark, &shown, &history->arena, &history->seen,
                     &history->clock);
}

static void
a_read_goes_back_behind_another(History *history)
{
    uint32_t put = write_blind(history, 0);

    read_now(history, 2, object_of(history, 1, &(Piece){put, {1}}, 1), 1);
    read_now(history, 2, SLICE_EMPTY, 0);
}

static void
too_few_owners_acknowledged(History *history)
{
    uint32_t put = write_blind(history, 0);

    checker_write_end(history->checker, put, 2, STATUS_OK, 1);
}

static void
an_owner_acknowledged_what_it_has_not(History *history)
{
    uint32_t put = write_blind(history, 0);

    history->disks[0] = object_of(history, 1, &(Piece){put, {1}}, 1);
    checker_write_end(history->checker, put, 2, STATUS_OK, 3);
}

static void
a_refused_write_appears(History *history)
{
    uint32_t put = write_blind(history, 0);

    checker_write_end(history->checker, put, 2, STATUS_UNAVAILABLE, 0);
    read_now(history, 1, object_of(history, 1, &(Piece){put, {1}}, 1), 1);
}

static void
a_stamped_write_is_refused(History *history)
{
    uint32_t put = write_blind(history, 0);

    checker_stamped(history->checker, 0, 0, object_of(history, 1, &(Piece){put, {1}}, 1), 0);
    checker_write_end(history->checker, put, 2, STATUS_UNAVAILABLE, 0);
}

static void
stamp_a_retry_anew(History *history)
{
    uint32_t put = write_blind(history, 0);
    PutValue value = checker_put_value(history->checker, put, 0, &history->arena);

    history->disks[0] = object_of(history, 1, &(Piece){put, {1}}, 1);
    checker_stamped(history->checker, 0, 0, history->disks[0], 0);
    checker_durable(history->checker, 0, 0, history->disks[0], 10);
    retry(history, put);
    checker_retry_arrived(history->checker, &value.request, 1, 20);
    checker_stamped(history->checker, 1, 0, object_of(history, 2, &(Piece){put, {2}}, 1), 0);
}

static void
a_retry_is_stamped_anew_beside_a_holder_in_reach(History *history)
{
    history->reachable = true;
    stamp_a_retry_anew(history);
}

static void
a_retry_is_stamped_anew_while_its_holder_is_away(History *history)
{
    stamp_a_retry_anew(history);
}

/* The node that stamps it had it itself. */
static void
a_retry_is_stamped_anew_where_it_is_held(History *history)
{
    uint32_t put = write_blind(history, 0);
    PutValue value = checker_put_value(history->checker, put, 0, &history->arena);

    history->disks[1] = object_of(history, 1, &(Piece){put, {1}}, 1);
    checker_stamped(history->checker, 1, 0, history->disks[1], 0);
    checker_durable(history->checker, 1, 0, history->disks[1], 10);
    retry(history, put);
    checker_retry_arrived(history->checker, &value.request, 1, 20);
    checker_stamped(history->checker, 1, 0, object_of(history, 2, &(Piece){put, {2}}, 1), 0);
}

static void
one_epoch_has_two_topologies(History *history)
{
    Digest one = digest_of(slice_from_string("one"));
    Digest two = digest_of(slice_from_string("two"));

    checker_topology(history->checker, 3, &one);
    checker_topology(history->checker, 4, &two);
    checker_topology(history->checker, 3, &one);
    checker_topology(history->checker, 3, &two);
}

/* ---- the lot ---- */

typedef struct Case
{
    const char *name;
    void (*run)(History *history);
    const char *verdict; /* the property that must be found broken, or NULL */
} Case;

#define CASE(name, verdict)                                                                        \
    {                                                                                              \
#name, name, verdict                                                                       \
    }

static const Case CASES[] = {
    CASE(an_overwrite_replaces_what_it_saw, NULL),
    CASE(concurrent_writes_stay_both, NULL),
    CASE(an_unknown_write_may_be_there, NULL),
    CASE(an_unknown_write_may_be_gone, NULL),
    CASE(a_weak_read_may_miss_a_write, NULL),
    CASE(a_read_may_miss_a_write_that_was_acknowledged_meanwhile, NULL),
    CASE(a_disk_that_forgot_may_leave_an_extra_sibling, NULL),
    CASE(what_more_puts_replaced_than_records_keep_may_be_forgotten_in_a_crash, NULL),
    CASE(a_retry_is_stamped_anew_while_its_holder_is_away, NULL),
    CASE(a_disk_may_forget_what_only_it_acknowledged, NULL),
    CASE(a_restored_disk_may_lack_what_only_it_acknowledged, NULL),
    CASE(what_was_reaped_may_be_nowhere, NULL),
    CASE(an_acknowledged_write_is_lost, "S1"),
    CASE(a_write_is_lost_to_one_that_did_not_see_it, "S1"),
    CASE(a_write_that_was_read_is_lost, "S1"),
    CASE(two_owners_forget_what_they_acknowledged, "S1"),
    CASE(a_context_claims_what_was_not_shown, "S1"),
    CASE(a_context_does_not_cover_a_sibling, "S2"),
    CASE(a_replaced_write_stands_beside_its_successor, "S3"),
    CASE(an_extra_sibling_of_a_retry, "S3"),
    CASE(what_many_puts_replaced_comes_back_without_a_crash, "S3"),
    CASE(what_few_puts_replaced_comes_back_after_a_crash, "S3"),
    CASE(an_extra_sibling_without_a_retry, "S3"),
    CASE(an_extra_sibling_whose_second_stamp_was_seen, "S3"),
    CASE(a_value_nobody_wrote, "S4"),
    CASE(a_value_of_another_key, "S4"),
    CASE(a_value_with_a_changed_byte, "S4"),
    CASE(one_dot_names_two_versions, "S5"),
    CASE(a_read_misses_an_acknowledged_write, "S7"),
    CASE(a_read_of_a_restored_disk_misses_what_two_acknowledged, "S7"),
    CASE(what_a_restored_disk_and_another_acknowledged_is_lost, "S1"),
    CASE(what_a_disk_acknowledged_after_its_loss_is_lost, "S1"),
    CASE(a_read_misses_what_a_disk_acknowledged_after_its_loss, "S7"),
    CASE(a_read_goes_back_behind_another, "S7"),
    CASE(a_fallback_counts_with_nothing, "S15"),
    CASE(too_few_owners_acknowledged, "S8"),
    CASE(an_owner_acknowledged_what_it_has_not, "S8"),
    CASE(a_refused_write_appears, "S9"),
    CASE(a_stamped_write_is_refused, "S9"),
    CASE(a_retry_is_stamped_anew_beside_a_holder_in_reach, "S14"),
    CASE(a_retry_is_stamped_anew_where_it_is_held, "S14"),
    CASE(what_a_reaped_tombstone_had_seen_is_read, "S17"),
    CASE(what_a_reaped_tombstone_had_seen_comes_back, "S17"),
    CASE(one_epoch_has_two_topologies, "T1"),
};

static bool
run_case(const Case *one)
{
    History history;
    const char *verdict;
    bool right;

    history_begin(&history);
    one->run(&history);
    verdict = checker_verdict(history.checker);
    right = one->verdict == NULL
                ? verdict == NULL
                : verdict != NULL && strncmp(verdict, one->verdict, strlen(one->verdict)) == 0 &&
                      verdict[strlen(one->verdict)] == ':';
    printf("%-4s %s%s%s\n", right ? "ok" : "FAIL", one->name, verdict != NULL ? ": " : "",
           verdict != NULL ? verdict : "");
    history_end(&history);
    return right;
}

int
selftest_run(void)
{
    uint32_t count = sizeof(CASES) / sizeof(CASES[0]);
    uint32_t failed = 0;

    for (uint32_t i = 0; i < count; i++)
        failed += !run_case(&CASES[i]);
    printf("selftest: %u passed, %u failed\n", count - failed, failed);
    return failed > 0 ? 1 : 0;
}
