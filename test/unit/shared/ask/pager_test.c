/* Scans against scripted owners: pages whose digests agree, rows that differ, owners that are lost,
 * slow, overloaded or ill, and the order and the bounds of what is under way. */
#include "node/engine/store/storage.h"
#include "shared/ask/pager.h"
#include "test/unit/stages/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum
{
    START_MS = 1000,
    HEDGE_MS = 50,
    TIMEOUT_MS = 500,
    ROWS_MAX = 200,
    PAGE_BYTES = 1000,
    ANSWER_ROWS = 16, /* at most in one answer, whatever is asked */
    QUEUE_MAX = 512
};

/* A row as one owner holds it, by place in the partition's order. */
typedef struct Row
{
    uint64_t position;
    Slice key;
    Slice object;
} Row;

/* A member that answers scans and coordinated reads from rows in memory, as a node would. */
typedef struct Holder
{
    Row rows[ROWS_MAX];
    uint32_t row_count;
    uint64_t leaf_width; /* where its pages end, as far as they can; 0: at rows */
    bool counts_wrong;   /* its digests are not those of its rows */
    bool silent;
    bool lost;
    StatusCode refuses; /* STATUS_OK: it does not */
    uint32_t frames;
} Holder;

typedef struct Question
{
    uint32_t member;
    Frame frame;
} Question;

typedef struct Fixture
{
    Stage stage;
    RequestAsker asker;
    RequestOptions options;
    Holder holders[STAGE_MEMBERS_MAX];
    Pager *pager;
    Question queue[QUEUE_MAX];
    uint32_t queue_count;
    uint32_t window;
    uint32_t rows_seen;
    uint64_t now_ms;
} Fixture;

static Fixture fixture;

static int
set_up(void **state)
{
    fixture = (Fixture){
        .options = {.quorum = 2, .timeout_ms = TIMEOUT_MS, .hedge_after_ms = HEDGE_MS},
        .window = 4,
        .now_ms = START_MS
    };
    stage_init(&fixture.stage, 3, 3);
    return 0;
}

static int
tear_down(void **state)
{
    if (fixture.pager != NULL)
        pager_free(fixture.pager);
    stage_free(&fixture.stage);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* ---- what the members hold ---- */

static int
compare_rows(const void *a, const void *b)
{
    const Row *left = a;
    const Row *right = b;

    if (left->position != right->position)
        return left->position < right->position ? -1 : 1;
    return slice_compare(left->key, right->key);
}

static void
hold(uint32_t member, Slice key, Slice object)
{
    Holder *holder = &fixture.holders[member];
    Row *row = &holder->rows[holder->row_count++];

    assert_true(holder->row_count <= ROWS_MAX);
    *row = (Row){.key = key, .object = object};
    assert_true(topology_position(fixture.stage.bucket, key, &row->position));
    qsort(holder->rows, holder->row_count, sizeof(Row), compare_rows);
}

static Slice
row_key(uint32_t row)
{
    char text[16];

    snprintf(text, sizeof(text), "row %u", row);
    return stage_key(&fixture.stage, text);
}

/* Every member holds the rows first to last alike. */
static void
hold_everywhere(uint32_t first, uint32_t last)
{
    for (uint32_t row = first; row <= last; row++)
    {
        for (uint32_t member = 0; member < 3; member++)
            hold(member, row_key(row), stage_object(&fixture.stage, 1, 1, "value"));
    }
}

/* A key of the partition, the nth found. */
static Slice
key_in(uint32_t partition, uint32_t nth)
{
    for (uint32_t row = 0;; row++)
    {
        Slice key = row_key(row);
        uint64_t position;

        assert_true(topology_position(fixture.stage.bucket, key, &position));
        if (ring_partition(position, STAGE_PARTITIONS) == partition && nth-- == 0)
            return key;
    }
}

/* ---- how they answer ---- */

static bool
row_is_asked(const ScanFrame *scan, const Row *row)
{
    Buffer place;
    bool asked;

    buffer_init(&place, &MEMORY_HEAP);
    storage_cursor(&place, row->position, row->key);
    asked = ring_partition(row->position, STAGE_PARTITIONS) == scan->partition &&
            (scan->after.length == 0 || slice_compare(buffer_slice(&place), scan->after) > 0) &&
            (scan->through.length == 0 || slice_compare(buffer_slice(&place), scan->through) <= 0);
    buffer_free(&place);
    return asked;
}

/* The rows that are asked for, as far as they fit. */
static StoragePage
page_of(const Holder *holder, const ScanFrame *scan)
{
    StoragePage page = {.done = true};
    size_t bytes = 0;

    page.rows = ARENA_ARRAY(&fixture.stage.arena, StorageRow, ANSWER_ROWS);
    for (uint32_t i = 0; i < holder->row_count; i++)
    {
        const Row *row = &holder->rows[i];

        if (!row_is_asked(scan, row))
            continue;
        if (page.row_count == ANSWER_ROWS || (scan->max_bytes > 0 && bytes >= scan->max_bytes))
        {
            page.done = false;
            storage_page_end(&page, row->position, holder->leaf_width, &fixture.stage.arena);
            break;
        }
        page.rows[page.row_count++] =
            (StorageRow){.position = row->position, .key = row->key, .object = row->object};
        bytes += row->key.length + row->object.length;
    }
    return page;
}

static Frame
answer_scan(const Holder *holder, const Frame *frame)
{
    ScanRow rows[ANSWER_ROWS];
    ScanReply reply;
    StoragePage page;
    ScanFrame scan;

    assert_true(scan_decode(frame, &scan));
    page = page_of(holder, &scan);
    reply = (ScanReply){.done = page.done, .last = page.through, .row_count = page.row_count};
    for (uint32_t i = 0; i < page.row_count; i++)
    {
        Digest digest = message_row_digest(page.rows[i].key, page.rows[i].object);

        digest_mix(&reply.digest, &digest);
        rows[i] = (ScanRow){.key = page.rows[i].key, .object = page.rows[i].object};
    }
    reply.digest.bytes[0] ^= holder->counts_wrong && scan.digest_only;
    reply.rows = scan.digest_only ? NULL : rows;
    scan_reply_encode(stage_buffer(&fixture.stage), frame->tag, &reply);
    return stage_frame(&fixture.stage);
}

static Slice
merge_of_all(Slice key)
{
    Slice merged = SLICE_EMPTY;

    for (uint32_t member = 0; member < STAGE_MEMBERS_MAX; member++)
    {
        const Holder *holder = &fixture.holders[member];

        for (uint32_t i = 0; i < holder->row_count; i++)
        {
            if (slice_equal(holder->rows[i].key, key))
                merged = merged.length == 0
                             ? holder->rows[i].object
                             : stage_merged(&fixture.stage, merged, holder->rows[i].object);
        }
    }
    return merged;
}

/* Reads of any mode see the merge: the tests of the request look at the modes. */
static Frame
answer_read(const Frame *frame)
{
    ReadFrame read;
    Slice *objects;

    assert_true(read_decode(frame, &fixture.stage.arena, &read));
    objects = ARENA_ARRAY(&fixture.stage.arena, Slice, read.key_count);
    for (uint32_t i = 0; i < read.key_count; i++)
        objects[i] = merge_of_all(read.keys[i]);
    return stage_read_reply(&fixture.stage, frame->tag, read.mode, objects, read.key_count);
}

static void
answer(const Question *question)
{
    Holder *holder = &fixture.holders[question->member];
    Frame frame;

    if (holder->silent)
        return;
    if (holder->lost)
    {
        pager_lost(fixture.pager, question->member, fixture.now_ms);
        return;
    }
    if (holder->refuses != STATUS_OK)
        frame = stage_error(&fixture.stage, question->frame.tag, holder->refuses);
    else if (question->frame.type == FRAME_SCAN)
        frame = answer_scan(holder, &question->frame);
    else
        frame = answer_read(&question->frame);
    /* Not taken when the page is at its merge already: which owner is too late, the claim says. */
    (void)pager_answer(fixture.pager, question->member, &frame, fixture.now_ms);
}

/* ---- how a scan runs ---- */

static void
begin_scan(void)
{
    fixture.asker = (RequestAsker){0};
    fixture.pager =
        pager_new(&MEMORY_HEAP, &fixture.asker, &fixture.stage.topology, fixture.stage.bucket,
                  &fixture.options, PAGE_BYTES, fixture.window, fixture.now_ms);
}

/* Queues what the pager wants sent; returns how many questions wait now. */
static uint32_t
pump(void)
{
    uint32_t member;
    Slice bytes;

    while (pager_next_send(fixture.pager, &member, &bytes))
    {
        assert_true(fixture.queue_count < QUEUE_MAX);
        fixture.queue[fixture.queue_count++] =
            (Question){.member = member, .frame = stage_decode(&fixture.stage, bytes)};
        fixture.holders[member].frames++;
    }
    return fixture.queue_count;
}

static void
answer_first(void)
{
    Question question = fixture.queue[0];

    fixture.queue_count--;
    memmove(fixture.queue, fixture.queue + 1, sizeof(Question) * fixture.queue_count);
    answer(&question);
}

static void
note_rows(void (*row)(const PagerRow *row))
{
    uint32_t count;
    const PagerRow *rows = pager_next_page(fixture.pager, &count);

    for (uint32_t i = 0; i < count; i++)
    {
        fixture.rows_seen++;
        if (row != NULL)
            row(&rows[i]);
    }
}

/* Answers, takes pages and lets time pass until the scan ends; row is called for each row. */
static PagerState
run(void (*row)(const PagerRow *row))
{
    if (fixture.pager == NULL)
        begin_scan();
    for (uint32_t step = 0; step < 10000; step++)
    {
        PagerState now = pager_state(fixture.pager);

        if (now == PAGER_ROWS)
            note_rows(row);
        else if (now != PAGER_WAITING)
            return now;
        else if (pump() > 0)
            answer_first();
        else
        {
            fixture.now_ms = pager_wake_ms(fixture.pager);
            assert_true(fixture.now_ms != UINT64_MAX);
            pager_tick(fixture.pager, fixture.now_ms);
        }
    }
    fail_msg("the scan does not end");
    return PAGER_FAILED;
}

static void
check_merged(const PagerRow *row)
{
    assert_true(slice_equal(row->object, merge_of_all(row->key)));
}

static StatusCode
failure(void)
{
    uint32_t partition;

    return pager_failure(fixture.pager, &partition);
}

/* ---- tests ---- */

static void
an_empty_bucket_ends_without_rows(void **state)
{
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 0);
    assert_int_equal(pager_counters(fixture.pager).pages, STAGE_PARTITIONS);
    assert_int_equal(pager_counters(fixture.pager).frames, 2 * STAGE_PARTITIONS);
}

static void
rows_that_all_have_alike_come_once_each(void **state)
{
    hold_everywhere(0, 49);
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 50);
    assert_int_equal(pager_counters(fixture.pager).mismatches, 0);
}

static void
one_replica_is_scanned_with_one_frame_a_page(void **state)
{
    fixture.options.quorum = 1;
    hold_everywhere(0, 9);
    assert_int_equal(run(NULL), PAGER_END);
    assert_int_equal(fixture.rows_seen, 10);
    assert_int_equal(pager_counters(fixture.pager).frames, pager_counters(fixture.pager).pages);
}

static void
a_partition_goes_on_page_by_page_until_its_end(void **state)
{
    for (uint32_t i = 0; i < 60; i++)
    {
        for (uint32_t member = 0; member < 3; member++)
            hold(member, key_in(3, i), stage_object(&fixture.stage, 1, 1, "value"));
    }
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 60);
    assert_true(pager_counters(fixture.pager).pages > STAGE_PARTITIONS + 2);
}

static void
pages_that_differ_are_merged_by_coordinated_reads(void **state)
{
    Slice key = key_in(2, 0);

    hold_everywhere(100, 119);
    hold(0, key, stage_object(&fixture.stage, 1, 1, "apple"));
    hold(1, key, stage_object(&fixture.stage, 2, 1, "pear"));
    hold(2, key, stage_object(&fixture.stage, 2, 1, "pear"));
    fixture.options.quorum = 3;
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 21);
    assert_int_equal(pager_counters(fixture.pager).mismatches, 1);
}

static void
a_row_that_one_owner_alone_has_is_found(void **state)
{
    for (uint32_t member = 0; member < 3; member++)
        hold(member, key_in(member, 0), stage_object(&fixture.stage, 1, 1, "apple"));
    fixture.options.quorum = 3;
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 3);
}

static void
a_wiped_owner_hides_no_row_of_one_that_has_more_than_an_answer_holds(void **state)
{
    uint32_t wiped;

    for (wiped = 0; wiped < 3; wiped++)
    {
        tear_down(state);
        set_up(state);
        for (uint32_t i = 0; i < 5 * ANSWER_ROWS; i++)
        {
            for (uint32_t member = 0; member < 3; member++)
            {
                if (member != wiped)
                    hold(member, key_in(1, i), stage_object(&fixture.stage, 1, 1, "value"));
            }
        }
        assert_int_equal(run(check_merged), PAGER_END);
        assert_int_equal(fixture.rows_seen, 5 * ANSWER_ROWS);
    }
}

/* Leaves of a partition are equal slices of it. */
static uint64_t
leaf_width(uint32_t leaves)
{
    return (UINT64_MAX / STAGE_PARTITIONS + 1) / leaves;
}

static void
pages_end_where_leaves_do_and_lose_no_row(void **state)
{
    for (uint32_t leaves = 1; leaves <= 4096; leaves *= 4)
    {
        tear_down(state);
        set_up(state);
        for (uint32_t i = 0; i < 6 * ANSWER_ROWS; i++)
        {
            for (uint32_t member = 0; member < 3; member++)
                hold(member, key_in(1, i), stage_object(&fixture.stage, 1, 1, "value"));
        }
        for (uint32_t member = 0; member < 3; member++)
            fixture.holders[member].leaf_width = leaf_width(leaves);
        assert_int_equal(run(check_merged), PAGER_END);
        assert_int_equal(fixture.rows_seen, 6 * ANSWER_ROWS);
        assert_int_equal(pager_counters(fixture.pager).mismatches, 0);
    }
}

static void
owners_whose_leaves_are_not_the_same_lose_no_row(void **state)
{
    for (uint32_t i = 0; i < 90; i++)
        hold(i % 3, key_in(5, i), stage_object(&fixture.stage, 1, 1, "value"));
    for (uint32_t member = 0; member < 3; member++)
        fixture.holders[member].leaf_width = leaf_width(4 << 2 * member);
    fixture.options.quorum = 3;
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 90);
}

static void
an_owner_whose_digests_are_wrong_costs_a_compare_of_rows_and_nothing_else(void **state)
{
    hold_everywhere(0, 99);
    fixture.holders[1].counts_wrong = true;
    fixture.holders[1].leaf_width = leaf_width(16);
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 100);
    assert_true(pager_counters(fixture.pager).mismatches > 0);
}

static void
owners_with_different_rows_of_one_partition_lose_none(void **state)
{
    for (uint32_t i = 0; i < 90; i++)
        hold(i % 3, key_in(5, i), stage_object(&fixture.stage, 1, 1, "value"));
    fixture.options.quorum = 3;
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 90);
}

static void
an_owner_lost_in_the_middle_is_replaced(void **state)
{
    hold_everywhere(0, 99);
    begin_scan();
    for (uint32_t i = 0; i < 6 && pump() > 0; i++)
        answer_first();
    fixture.holders[1].lost = true;
    pager_lost(fixture.pager, 1, fixture.now_ms);
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 100);
}

static void
drop_questions_to(uint32_t member)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < fixture.queue_count; i++)
    {
        if (fixture.queue[i].member != member)
            fixture.queue[kept++] = fixture.queue[i];
    }
    fixture.queue_count = kept;
}

/* All nodes were restarted since the links were made. */
static void
a_scan_goes_on_over_new_links_when_all_broke(void **state)
{
    hold_everywhere(0, 99);
    begin_scan();
    for (uint32_t i = 0; i < 6 && pump() > 0; i++)
        answer_first();
    for (uint32_t member = 0; member < 3; member++)
    {
        drop_questions_to(member);
        pager_lost(fixture.pager, member, fixture.now_ms);
        pump();
    }
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 100);
    assert_int_equal(fixture.now_ms, START_MS);
}

static void
a_scan_whose_links_break_again_and_again_fails(void **state)
{
    hold_everywhere(0, 9);
    for (uint32_t member = 0; member < 3; member++)
        fixture.holders[member].lost = true;
    assert_int_equal(run(check_merged), PAGER_FAILED);
    assert_int_equal(failure(), STATUS_UNAVAILABLE);
}

static void
a_scan_of_owners_that_cannot_write_says_so(void **state)
{
    hold_everywhere(0, 29);
    fixture.holders[0].refuses = fixture.holders[1].refuses = STATUS_STORAGE;
    assert_int_equal(run(check_merged), PAGER_FAILED);
    assert_int_equal(failure(), STATUS_STORAGE);
}

static void
a_failed_scan_tells_what_each_owner_refused_with(void **state)
{
    hold_everywhere(0, 29);
    fixture.holders[0].refuses = STATUS_STORAGE;
    fixture.holders[1].refuses = STATUS_REFILLING;
    assert_int_equal(run(check_merged), PAGER_FAILED);
    assert_int_equal(pager_refusal(fixture.pager, 0), STATUS_STORAGE);
    assert_int_equal(pager_refusal(fixture.pager, 1), STATUS_REFILLING);
    assert_int_equal(pager_refusal(fixture.pager, 2), STATUS_OK);
}

static void
an_owner_that_refuses_is_replaced(void **state)
{
    hold_everywhere(0, 29);
    fixture.holders[0].refuses = STATUS_SHUTTING_DOWN;
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 30);
    assert_true(pager_counters(fixture.pager).failovers > 0);
}

static void
a_silent_owner_is_replaced_and_avoided_from_then_on(void **state)
{
    uint32_t frames;

    hold_everywhere(0, 29);
    fixture.window = 1;
    fixture.holders[0].silent = true;
    assert_int_equal(run(check_merged), PAGER_END);
    frames = fixture.holders[0].frames;
    assert_int_equal(fixture.rows_seen, 30);
    assert_int_equal(frames, 1);
    assert_int_equal(fixture.now_ms, START_MS + HEDGE_MS);
    assert_true(pager_was_silent(fixture.pager, 0));
}

static void
an_overloaded_owner_is_replaced_while_there_are_others(void **state)
{
    hold_everywhere(0, 29);
    fixture.holders[0].refuses = STATUS_OVERLOADED;
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 30);
    assert_int_equal(fixture.now_ms, START_MS);
}

static void
owners_that_stay_overloaded_fail_the_scan_at_its_deadline(void **state)
{
    hold_everywhere(0, 29);
    fixture.options.quorum = 3;
    fixture.window = 1;
    fixture.holders[1].refuses = STATUS_OVERLOADED;
    assert_int_equal(run(NULL), PAGER_FAILED);
    assert_int_equal(failure(), STATUS_OVERLOADED);
    assert_true(fixture.now_ms >= START_MS + TIMEOUT_MS);
    assert_true(fixture.holders[1].frames > 2);
    assert_true(fixture.holders[1].frames < TIMEOUT_MS / 10);
}

/* Until then it is asked again, after pauses. */
static void
an_overloaded_owner_is_asked_again_when_it_is_needed(void **state)
{
    uint32_t asked = 0;

    hold_everywhere(0, 29);
    fixture.options.quorum = 3;
    fixture.window = 1;
    begin_scan();
    fixture.holders[0].refuses = STATUS_OVERLOADED;
    while (fixture.holders[0].frames < 3)
    {
        if (pump() > 0)
            answer_first();
        else
            pager_tick(fixture.pager, fixture.now_ms = pager_wake_ms(fixture.pager));
        assert_true(asked++ < 1000);
    }
    assert_true(fixture.now_ms >= START_MS + 10);
    assert_true(fixture.now_ms < START_MS + TIMEOUT_MS);
    fixture.holders[0].refuses = STATUS_OK;
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 30);
}

static void
a_scan_fails_when_too_few_owners_are_left(void **state)
{
    hold_everywhere(0, 29);
    fixture.holders[0].lost = fixture.holders[1].lost = true;
    assert_int_equal(run(NULL), PAGER_FAILED);
    assert_int_equal(failure(), STATUS_UNAVAILABLE);
}

static void
a_scan_fails_at_its_deadline_when_too_many_owners_are_silent(void **state)
{
    hold_everywhere(0, 29);
    fixture.holders[0].silent = fixture.holders[1].silent = true;
    assert_int_equal(run(NULL), PAGER_FAILED);
    assert_int_equal(failure(), STATUS_UNAVAILABLE);
    assert_in_range(fixture.now_ms, START_MS + TIMEOUT_MS, START_MS + TIMEOUT_MS + HEDGE_MS);
}

static void
a_member_that_answers_another_scan_is_not_silent(void **state)
{
    uint32_t asked;

    hold_everywhere(0, 29);
    begin_scan();
    asked = pump();
    fixture.asker.members[fixture.queue[0].member].heard_ms = START_MS + HEDGE_MS - 1;
    pager_tick(fixture.pager, START_MS + HEDGE_MS);
    assert_false(pager_was_silent(fixture.pager, fixture.queue[0].member));
    assert_true(asked > 0);
}

static void
avoided_members_are_asked_only_when_they_must_be(void **state)
{
    bool avoid[STAGE_MEMBERS_MAX] = {[2] = true};

    hold_everywhere(0, 29);
    fixture.options.avoid = avoid;
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 30);
    assert_int_equal(fixture.holders[2].frames, 0);
}

static void
answers_that_are_none_of_this_scan_are_not_taken(void **state)
{
    Frame frame;

    begin_scan();
    pump();
    frame = stage_error(&fixture.stage, 4711, STATUS_BEHIND);
    assert_false(pager_answer(fixture.pager, fixture.queue[0].member, &frame, START_MS));
    frame = answer_scan(&fixture.holders[0], &fixture.queue[0].frame);
    assert_false(pager_answer(fixture.pager, (fixture.queue[0].member + 1) % 3, &frame, START_MS));
}

static void
refuse_after_some_rows(const PagerRow *row)
{
    (void)row;
    for (uint32_t member = 0; member < 3 && fixture.rows_seen == 20; member++)
        fixture.holders[member].refuses = STATUS_MOVED;
}

/* Of a partition with many pages, so that it is left in the middle. */
static void
a_scan_whose_owners_were_changed_goes_on_from_where_it_was(void **state)
{
    Topology next = fixture.stage.topology;
    Bucket bucket = *fixture.stage.bucket;

    for (uint32_t i = 0; i < 60; i++)
    {
        for (uint32_t member = 0; member < 3; member++)
            hold(member, key_in(3, i), stage_object(&fixture.stage, 1, 1, "value"));
    }
    hold_everywhere(0, 19);
    assert_int_equal(run(refuse_after_some_rows), PAGER_FAILED);
    assert_int_equal(failure(), STATUS_MOVED);
    assert_in_range(fixture.rows_seen, 20, 79);
    for (uint32_t member = 0; member < 3; member++)
        fixture.holders[member].refuses = STATUS_OK;
    next.epoch++;
    fixture.queue_count = 0;
    pager_follow(fixture.pager, &next, &bucket, NULL, fixture.now_ms);
    (void)pump();
    for (uint32_t i = 0; i < fixture.queue_count; i++)
    {
        ScanFrame scan;

        assert_true(scan_decode(&fixture.queue[i].frame, &scan));
        assert_int_equal(scan.epoch, next.epoch);
    }
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 80);
}

static void
an_answer_that_comes_twice_counts_once(void **state)
{
    Question first;
    Frame frame;

    hold_everywhere(0, 9);
    begin_scan();
    pump();
    first = fixture.queue[0];
    answer_first();
    frame = answer_scan(&fixture.holders[first.member], &first.frame);
    (void)pager_answer(fixture.pager, first.member, &frame, START_MS);
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 10);
}

static void
a_garbled_answer_drops_its_owner_from_the_page(void **state)
{
    Frame frame;

    hold_everywhere(0, 9);
    begin_scan();
    pump();
    frame = answer_scan(&fixture.holders[0], &fixture.queue[0].frame);
    frame.body.length--;
    assert_true(pager_answer(fixture.pager, fixture.queue[0].member, &frame, START_MS));
    fixture.queue_count--;
    memmove(fixture.queue, fixture.queue + 1, sizeof(Question) * fixture.queue_count);
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 10);
    assert_int_equal(pager_counters(fixture.pager).failovers, 1);
}

/* Answers the first question that this page holds nothing and goes on behind last. */
static void
answer_first_with_nothing(Slice last)
{
    ScanRow none[1];
    ScanReply reply = {.rows = none, .last = last};
    Frame frame;

    pump();
    scan_reply_encode(stage_buffer(&fixture.stage), fixture.queue[0].frame.tag, &reply);
    frame = stage_frame(&fixture.stage);
    assert_true(pager_answer(fixture.pager, fixture.queue[0].member, &frame, fixture.now_ms));
    fixture.queue_count--;
    memmove(fixture.queue, fixture.queue + 1, sizeof(Question) * fixture.queue_count);
}

static void
a_page_that_is_not_the_last_and_does_not_go_on_is_an_answer_of_nobody(void **state)
{
    hold_everywhere(0, 9);
    begin_scan();
    answer_first_with_nothing(SLICE_EMPTY);
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 10);
    assert_int_equal(pager_counters(fixture.pager).failovers, 1);
}

static void
a_page_of_empty_leaves_hides_no_row_that_another_owner_has_there(void **state)
{
    Buffer place;

    hold_everywhere(0, 49);
    begin_scan();
    buffer_init(&place, &MEMORY_HEAP);
    storage_cursor(&place, leaf_width(2), SLICE_EMPTY);
    answer_first_with_nothing(buffer_slice(&place));
    buffer_free(&place);
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 50);
    assert_int_equal(pager_counters(fixture.pager).failovers, 0);
    assert_int_equal(pager_counters(fixture.pager).mismatches, 1);
}

/* Answers scans until the page of partition 0 is at its coordinated read. */
static void
run_until_merge(void)
{
    begin_scan();
    while (pump() > 0 && fixture.queue[0].frame.type == FRAME_SCAN)
        answer_first();
    assert_int_equal(fixture.queue[0].frame.type, FRAME_READ);
}

static void
a_merge_whose_owner_is_silent_goes_on_with_another(void **state)
{
    Slice key = key_in(0, 0);
    uint32_t silent;

    hold(0, key, stage_object(&fixture.stage, 1, 1, "apple"));
    hold(1, key, stage_object(&fixture.stage, 2, 1, "pear"));
    hold(2, key, stage_object(&fixture.stage, 3, 1, "plum"));
    run_until_merge();
    silent = fixture.queue[0].member;
    fixture.holders[silent].silent = true;
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 1);
    assert_in_range(fixture.now_ms, START_MS + HEDGE_MS, START_MS + 3 * HEDGE_MS);
}

static void
owners_that_have_become_equal_meanwhile_need_no_merge(void **state)
{
    Slice key = key_in(0, 0);
    uint32_t reads = 0;

    for (uint32_t member = 0; member < 3; member++)
        hold(member, key, stage_object(&fixture.stage, 1, 1, "apple"));
    hold(0, key_in(0, 1), stage_object(&fixture.stage, 1, 1, "apple"));
    begin_scan();
    while (pump() > 0 && pager_counters(fixture.pager).mismatches == 0 && ++reads < 100)
        answer_first();
    for (uint32_t member = 1; member < 3; member++)
        hold(member, key_in(0, 1), stage_object(&fixture.stage, 1, 1, "apple"));
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 2);
}

static void
a_merge_that_cannot_reach_its_quorum_fails_the_scan(void **state)
{
    Slice key = key_in(0, 0);

    hold(0, key, stage_object(&fixture.stage, 1, 1, "apple"));
    hold(1, key, stage_object(&fixture.stage, 2, 1, "pear"));
    hold(2, key, stage_object(&fixture.stage, 3, 1, "plum"));
    begin_scan();
    while (pump() > 0 && fixture.queue[0].frame.type == FRAME_SCAN)
        answer_first();
    for (uint32_t member = 0; member < 3; member++)
        fixture.holders[member].lost = true;
    assert_int_equal(run(NULL), PAGER_FAILED);
    assert_int_equal(failure(), STATUS_UNAVAILABLE);
}

static void
no_more_pages_are_held_than_the_window_while_nobody_takes_them(void **state)
{
    uint32_t first = 0;

    for (uint32_t partition = 0; partition < 2; partition++)
    {
        for (uint32_t i = 0; i < 5 * ANSWER_ROWS; i++)
        {
            for (uint32_t member = 0; member < 3; member++)
                hold(member, key_in(partition, i), stage_object(&fixture.stage, 1, 1, "value"));
        }
    }
    fixture.window = 2;
    begin_scan();
    while (pump() > 0)
    {
        assert_true(++first < 100);
        answer_first();
    }
    assert_in_range(first, 2 * fixture.window, 2 * fixture.window + 2);
    assert_int_equal(pager_state(fixture.pager), PAGER_ROWS);
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 10 * ANSWER_ROWS);
}

static void
a_window_of_one_page_ends_too(void **state)
{
    hold_everywhere(0, 149);
    fixture.window = 1;
    assert_int_equal(run(check_merged), PAGER_END);
    assert_int_equal(fixture.rows_seen, 150);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_bucket_ends_without_rows),
        TEST(rows_that_all_have_alike_come_once_each),
        TEST(one_replica_is_scanned_with_one_frame_a_page),
        TEST(a_partition_goes_on_page_by_page_until_its_end),
        TEST(pages_that_differ_are_merged_by_coordinated_reads),
        TEST(a_row_that_one_owner_alone_has_is_found),
        TEST(a_wiped_owner_hides_no_row_of_one_that_has_more_than_an_answer_holds),
        TEST(pages_end_where_leaves_do_and_lose_no_row),
        TEST(owners_whose_leaves_are_not_the_same_lose_no_row),
        TEST(an_owner_whose_digests_are_wrong_costs_a_compare_of_rows_and_nothing_else),
        TEST(owners_with_different_rows_of_one_partition_lose_none),
        TEST(an_owner_lost_in_the_middle_is_replaced),
        TEST(a_scan_goes_on_over_new_links_when_all_broke),
        TEST(a_scan_whose_links_break_again_and_again_fails),
        TEST(a_scan_of_owners_that_cannot_write_says_so),
        TEST(a_failed_scan_tells_what_each_owner_refused_with),
        TEST(an_owner_that_refuses_is_replaced),
        TEST(a_silent_owner_is_replaced_and_avoided_from_then_on),
        TEST(an_overloaded_owner_is_replaced_while_there_are_others),
        TEST(owners_that_stay_overloaded_fail_the_scan_at_its_deadline),
        TEST(an_overloaded_owner_is_asked_again_when_it_is_needed),
        TEST(a_scan_fails_when_too_few_owners_are_left),
        TEST(a_scan_fails_at_its_deadline_when_too_many_owners_are_silent),
        TEST(a_member_that_answers_another_scan_is_not_silent),
        TEST(avoided_members_are_asked_only_when_they_must_be),
        TEST(answers_that_are_none_of_this_scan_are_not_taken),
        TEST(a_scan_whose_owners_were_changed_goes_on_from_where_it_was),
        TEST(an_answer_that_comes_twice_counts_once),
        TEST(a_garbled_answer_drops_its_owner_from_the_page),
        TEST(a_page_that_is_not_the_last_and_does_not_go_on_is_an_answer_of_nobody),
        TEST(a_page_of_empty_leaves_hides_no_row_that_another_owner_has_there),
        TEST(a_merge_whose_owner_is_silent_goes_on_with_another),
        TEST(owners_that_have_become_equal_meanwhile_need_no_merge),
        TEST(a_merge_that_cannot_reach_its_quorum_fails_the_scan),
        TEST(no_more_pages_are_held_than_the_window_while_nobody_takes_them),
        TEST(a_window_of_one_page_ends_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
