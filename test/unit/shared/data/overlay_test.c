/* A transaction's reads of what it has put, and the put that leaves at its commit; random
 * transactions run beside a naive model. */
#include "shared/data/overlay.h"
#include "test/unit/stages/transaction.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum
{
    TRANSACTIONS = 20000,
    STEPS = 40
};

static Transaction transaction;

static int
set_up(void **state)
{
    transaction_init(&transaction);
    transaction_begin(&transaction, 1);
    return 0;
}

static int
tear_down(void **state)
{
    transaction_free(&transaction);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#define NOTHING_SEEN SLICE_EMPTY

/* ---- scripts ---- */

/* The values that a reader of that command has, in order, as one string. */
static void
assert_reads(uint32_t before_command, const char *expected)
{
    TransactionRead read = transaction_read(&transaction, before_command);

    assert_string_equal(transaction_values(&transaction, read.object), expected);
}

static Slice
context_read(uint32_t before_command)
{
    return transaction_read(&transaction, before_command).context;
}

static void
put(uint32_t command, Slice context, const char *value)
{
    assert_int_equal(transaction_put(&transaction, command, context, &value, 1), STATUS_OK);
}

/* What the store has after the commit. */
static void
assert_commits(const char *expected)
{
    transaction_leave(&transaction);
    assert_string_equal(transaction_values(&transaction, transaction_stored(&transaction)),
                        expected);
}

static uint32_t
count_pieces(Slice context, ContextPieceKind kind)
{
    Reader reader = reader_begin(context);
    uint32_t count = 0;

    while (reader_left(&reader) > 0 && !reader.failed)
        count += context_next(&reader, &transaction.arena).kind == kind && !reader.failed;
    return count;
}

/* ---- reading ---- */

static void
a_put_is_read_by_later_commands_only(void **state)
{
    put(3, NOTHING_SEEN, "mine");
    assert_false(overlay_is_seen(transaction.newest, 3));
    assert_true(overlay_is_seen(transaction.newest, 4));
    assert_reads(4, "mine");
}

static void
a_blind_put_stands_beside_what_is_stored_and_comes_last(void **state)
{
    transaction_store(&transaction, "stored", false);
    put(1, NOTHING_SEEN, "mine");
    put(2, NOTHING_SEEN, "mine too");
    assert_reads(3, "stored mine mine too");
    assert_reads(2, "stored mine");
}

static void
a_put_under_what_was_read_replaces_it(void **state)
{
    transaction_store(&transaction, "stored", false);
    put(1, NOTHING_SEEN, "first");
    put(2, context_read(2), "second");
    assert_reads(3, "second");
    assert_reads(2, "stored first");
}

static void
what_others_write_after_the_read_stays(void **state)
{
    Slice seen;

    put(1, NOTHING_SEEN, "first");
    seen = context_read(2);
    transaction_store(&transaction, "theirs", false);
    put(2, seen, "second");
    assert_reads(3, "theirs second");
    put(3, context_read(3), "third");
    assert_reads(4, "third");
}

static void
a_later_put_of_the_same_command_is_not_covered(void **state)
{
    Slice seen;

    put(1, NOTHING_SEEN, "before");
    seen = context_read(2);
    put(1, NOTHING_SEEN, "after");
    put(2, seen, "mine");
    assert_reads(3, "after mine");
}

static void
what_a_cursor_read_covers_nothing_of_later_commands(void **state)
{
    Slice seen;

    put(1, NOTHING_SEEN, "one");
    put(2, NOTHING_SEEN, "two");
    seen = context_read(2);
    put(5, seen, "five");
    assert_reads(6, "two five");
    assert_reads(2, "one");
}

static void
a_cover_that_the_reader_does_not_see_does_not_count(void **state)
{
    put(1, NOTHING_SEEN, "one");
    put(7, context_read(2), "seven");
    assert_reads(7, "one");
    assert_reads(8, "seven");
}

static void
what_was_covered_comes_back_by_a_rollback(void **state)
{
    Slice seen;

    put(1, NOTHING_SEEN, "one");
    put(2, context_read(2), "two");
    seen = context_read(3);
    transaction_roll_back(&transaction, 1);
    assert_reads(3, "one");
    put(3, NOTHING_SEEN, "three");
    put(4, seen, "four");
    assert_reads(5, "three four");
}

static void
a_tombstone_is_no_row_where_it_is_alone(void **state)
{
    transaction_store(&transaction, "stored", false);
    put(1, context_read(1), NULL);
    assert_reads(2, "");
    transaction_store(&transaction, "theirs", false);
    assert_reads(2, "theirs");
}

static void
an_object_that_cannot_be_read_is_refused(void **state)
{
    OverlayRead read = {.before_command = 2, .object = slice_from_string("no object")};
    Buffer object;
    Buffer context;

    put(1, NOTHING_SEEN, "mine");
    read.newest = transaction.newest;
    buffer_init(&object, &MEMORY_HEAP);
    buffer_init(&context, &MEMORY_HEAP);
    assert_false(overlay_read(&transaction.arena, &read, &object, &context));
    buffer_free(&object);
    buffer_free(&context);
}

static void
many_updates_of_one_key_stay_one_value_and_one_context(void **state)
{
    size_t length;

    transaction_store(&transaction, "stored", false);
    put(1, context_read(1), "first");
    length = context_read(2).length;
    for (uint32_t command = 2; command < 60; command++)
        put(command, context_read(command), "last");
    assert_reads(60, "last");
    assert_int_equal(context_read(60).length, length);
    assert_commits("last");
}

/* ---- contexts ---- */

static void
a_context_has_no_piece_that_another_one_covers(void **state)
{
    Slice early;
    Slice late;
    Slice read;

    transaction_store(&transaction, "a", false);
    early = transaction_sealed(&transaction);
    transaction_store(&transaction, "b", false);
    late = transaction_sealed(&transaction);
    put(1, early, "one");
    put(2, late, "two");
    read = context_read(3);
    assert_int_equal(count_pieces(read, CONTEXT_PIECE_SEALED), 1);
    assert_int_equal(count_pieces(read, CONTEXT_PIECE_PENDING), 1);
    assert_int_equal(read.length, late.length + 41);
}

/* Sealed, of a clock that has one event of each of the actors. */
static Slice
seal(const char *actors)
{
    VClock clock = {0};

    for (; *actors != '\0'; actors++)
    {
        Dot dot = {.actor = {{(uint8_t)*actors}}, .epoch = 1, .counter = 1};

        clock = vclock_add(&transaction.arena, &clock, &dot);
    }
    return transaction_seal(&transaction, transaction.key.key, &clock);
}

static void
what_was_seen_apart_is_seen_together(void **state)
{
    OverlayOutcome outcome;
    Object past;

    put(1, seal("a"), "one");
    put(2, seal("b"), "two");
    outcome = overlay_leave(&transaction.arena, &transaction.key, transaction.newest, NULL);
    assert_int_equal(count_pieces(outcome.context, CONTEXT_PIECE_SEALED), 2);
    assert_int_equal(context_open(outcome.context, &transaction.context_keys,
                                  transaction.key.bucket_id, transaction.key.key,
                                  &transaction.arena, &past),
                     CONTEXT_OK);
    assert_int_equal(past.context.count, 2);
    put(3, seal("ab"), "three");
    outcome = overlay_leave(&transaction.arena, &transaction.key, transaction.newest, NULL);
    assert_int_equal(count_pieces(outcome.context, CONTEXT_PIECE_SEALED), 1);
}

static void
contexts_may_be_joined(void **state)
{
    Slice early;
    Slice late;

    put(1, NOTHING_SEEN, "one");
    early = context_read(2);
    put(2, NOTHING_SEEN, "two");
    late = context_read(3);
    put(3, NOTHING_SEEN, "three");
    put(4, transaction_join(&transaction, late, early), "four");
    assert_int_equal(transaction.newest->cover_count, 1);
    assert_reads(5, "three four");
}

static void
bytes_that_are_no_context_are_passed_on_and_hide_nothing(void **state)
{
    Slice nonsense = slice_from_string("nonsense");
    Slice read;

    transaction_store(&transaction, "stored", false);
    put(1, nonsense, "one");
    assert_reads(2, "stored one");
    read = context_read(2);
    assert_int_equal(count_pieces(read, CONTEXT_PIECE_SEALED), 1);
    assert_int_equal(count_pieces(read, CONTEXT_PIECE_PENDING), 1);
    assert_memory_equal(read.data + read.length - nonsense.length, nonsense.data, nonsense.length);
    put(2, read, "two");
    assert_reads(3, "two");
    assert_memory_equal(transaction.newest->context.data + transaction.newest->context.length -
                            nonsense.length,
                        nonsense.data, nonsense.length);
}

static void
a_piece_of_another_key_covers_nothing_and_is_passed_on(void **state)
{
    Slice other;
    Slice read;

    transaction_store(&transaction, "stored", false);
    other = transaction_sealed_for(&transaction, slice_from_string("other key"));
    put(1, other, "one");
    assert_reads(2, "stored one");
    read = context_read(2);
    assert_int_equal(count_pieces(read, CONTEXT_PIECE_SEALED), 2);
}

static StatusCode
take(OverlayKey key, Slice context)
{
    OverlayPut taken;

    return overlay_take_context(&transaction.arena, &key, context, &taken);
}

static void
a_pending_piece_is_good_for_its_own_key_and_transaction_only(void **state)
{
    OverlayKey other = transaction.key;
    Slice read;

    put(1, NOTHING_SEEN, "one");
    read = context_read(2);
    assert_int_equal(take(transaction.key, read), STATUS_OK);
    other.transaction[3] ^= 1;
    assert_int_equal(take(other, read), STATUS_CONTEXT_PENDING);
    other = transaction.key;
    other.bucket_id++;
    assert_int_equal(take(other, read), STATUS_CONTEXT_OTHER_BUCKET);
    other = transaction.key;
    other.key = slice_from_string("other key");
    assert_int_equal(take(other, read), STATUS_CONTEXT_OTHER_KEY);
}

/* ---- leaving ---- */

static void
blind_puts_leave_as_siblings_in_the_order_of_their_puts(void **state)
{
    OverlayOutcome outcome;

    transaction_store(&transaction, "stored", false);
    for (uint32_t command = 1; command < 8; command++)
        put(command, NOTHING_SEEN,
            (const char *[]){"a", "b", "c", "d", "e", "f", "g"}[command - 1]);
    outcome = overlay_leave(&transaction.arena, &transaction.key, transaction.newest, NULL);
    assert_int_equal(outcome.value_count, 7);
    assert_int_equal(outcome.context.length, 0);
    assert_commits("stored a b c d e f g");
}

static void
an_insert_and_its_update_leave_as_one_value(void **state)
{
    put(1, NOTHING_SEEN, "inserted");
    put(2, context_read(2), "updated");
    assert_commits("updated");
}

static void
a_delete_leaves_a_tombstone_where_something_was_stored(void **state)
{
    OverlayOutcome outcome;

    transaction_store(&transaction, "stored", false);
    put(1, NOTHING_SEEN, "inserted");
    put(2, context_read(2), NULL);
    outcome = overlay_leave(&transaction.arena, &transaction.key, transaction.newest, NULL);
    assert_int_equal(outcome.value_count, 1);
    assert_true(outcome.values[0].tombstone);
    assert_commits("");
}

static void
a_delete_of_what_was_only_inserted_leaves_nothing(void **state)
{
    put(1, NOTHING_SEEN, "inserted");
    put(2, context_read(2), NULL);
    assert_int_equal(
        overlay_leave(&transaction.arena, &transaction.key, transaction.newest, NULL).value_count,
        0);
    assert_commits("");
}

static void
a_value_leaves_without_the_tombstone_before_it(void **state)
{
    OverlayOutcome outcome;

    transaction_store(&transaction, "stored", false);
    put(1, context_read(1), NULL);
    put(2, NOTHING_SEEN, "again");
    outcome = overlay_leave(&transaction.arena, &transaction.key, transaction.newest, NULL);
    assert_int_equal(outcome.value_count, 1);
    assert_false(outcome.values[0].tombstone);
    assert_commits("again");
}

static void
values_leave_by_whoever_put_them_under_all_that_was_seen(void **state)
{
    OverlayOutcome mine;
    OverlayOutcome theirs;
    int them;

    put(1, seal("a"), "mine");
    put(2, seal("b"), "theirs");
    transaction.puts[1].put.sender = &them;
    mine = overlay_leave(&transaction.arena, &transaction.key, transaction.newest, NULL);
    theirs = overlay_leave(&transaction.arena, &transaction.key, transaction.newest, &them);
    assert_int_equal(mine.value_count, 1);
    assert_int_equal(theirs.value_count, 1);
    assert_memory_equal(mine.values[0].value.data, "mine", 4);
    assert_memory_equal(theirs.values[0].value.data, "theirs", 6);
    assert_int_equal(count_pieces(mine.context, CONTEXT_PIECE_SEALED), 2);
    assert_int_equal(count_pieces(theirs.context, CONTEXT_PIECE_SEALED), 2);
    put(3, context_read(3), "mine again");
    theirs = overlay_leave(&transaction.arena, &transaction.key, transaction.newest, &them);
    assert_int_equal(theirs.value_count, 0);
}

/* ---- against the model ---- */

static void
reads_and_commits_are_those_of_the_naive_model(void **state)
{
    for (uint64_t seed = 1; seed <= TRANSACTIONS; seed++)
    {
        transaction_begin(&transaction, seed);
        for (int step = 0; step < STEPS; step++)
            transaction_step(&transaction);
        transaction_end(&transaction);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_put_is_read_by_later_commands_only),
        TEST(a_blind_put_stands_beside_what_is_stored_and_comes_last),
        TEST(a_put_under_what_was_read_replaces_it),
        TEST(what_others_write_after_the_read_stays),
        TEST(a_later_put_of_the_same_command_is_not_covered),
        TEST(what_a_cursor_read_covers_nothing_of_later_commands),
        TEST(a_cover_that_the_reader_does_not_see_does_not_count),
        TEST(what_was_covered_comes_back_by_a_rollback),
        TEST(a_tombstone_is_no_row_where_it_is_alone),
        TEST(an_object_that_cannot_be_read_is_refused),
        TEST(many_updates_of_one_key_stay_one_value_and_one_context),
        TEST(a_context_has_no_piece_that_another_one_covers),
        TEST(what_was_seen_apart_is_seen_together),
        TEST(contexts_may_be_joined),
        TEST(bytes_that_are_no_context_are_passed_on_and_hide_nothing),
        TEST(a_piece_of_another_key_covers_nothing_and_is_passed_on),
        TEST(a_pending_piece_is_good_for_its_own_key_and_transaction_only),
        TEST(blind_puts_leave_as_siblings_in_the_order_of_their_puts),
        TEST(an_insert_and_its_update_leave_as_one_value),
        TEST(a_delete_leaves_a_tombstone_where_something_was_stored),
        TEST(a_delete_of_what_was_only_inserted_leaves_nothing),
        TEST(a_value_leaves_without_the_tombstone_before_it),
        TEST(values_leave_by_whoever_put_them_under_all_that_was_seen),
        TEST(reads_and_commits_are_those_of_the_naive_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
