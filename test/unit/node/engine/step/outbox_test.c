#include "node/engine/step/outbox.h"
#include "test/unit/stages/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

enum
{
    MEMBER = 2
};

typedef struct Fixture
{
    Stage stage;
    Outbox outbox;
    uint64_t puts;
} Fixture;

static Fixture fixture;

static int
set_up(void **state)
{
    fixture = (Fixture){0};
    stage_init(&fixture.stage, 3, 3);
    outbox_init(&fixture.outbox);
    return 0;
}

static int
tear_down(void **state)
{
    outbox_free(&fixture.outbox);
    stage_free(&fixture.stage);
    return 0;
}

/* An item whose ref is its number; what is sent is not looked into. */
static void
put_bytes(size_t length)
{
    uint8_t *object = arena_alloc_zero(&fixture.stage.arena, length);
    ReplicateItem item = {.ref = fixture.puts++,
                          .bucket_id = STAGE_BUCKET,
                          .key = slice_from_string("key"),
                          .object = slice_make(object, length)};

    outbox_put(&fixture.outbox, &item);
}

/* The items of the nth frame sent, which must be the next ones. */
static uint32_t
items_of(uint32_t nth, uint64_t *next)
{
    const Action *action = stage_action(&fixture.stage, ACTION_SEND, nth);
    Frame frame = stage_action_frame(&fixture.stage, action);
    ReplicateFrame replicate;

    assert_int_equal(action->member, MEMBER);
    assert_true(replicate_decode(&frame, &fixture.stage.arena, &replicate));
    assert_int_equal(replicate.epoch, 7);
    for (uint32_t i = 0; i < replicate.item_count; i++)
        assert_int_equal(replicate.items[i].ref, (*next)++);
    return replicate.item_count;
}

static void
send_all(void)
{
    stage_clear(&fixture.stage);
    outbox_send(&fixture.outbox, 7, MEMBER, &fixture.stage.actions);
}

static void
what_is_small_leaves_in_one_frame(void **state)
{
    uint64_t next = 0;

    for (int i = 0; i < 100; i++)
        put_bytes(1000);
    send_all();
    assert_int_equal(stage_count(&fixture.stage, ACTION_SEND), 1);
    assert_int_equal(items_of(0, &next), 100);
    send_all();
    assert_int_equal(stage_count(&fixture.stage, ACTION_SEND), 0);
}

static void
a_frame_takes_no_more_once_it_is_large(void **state)
{
    uint64_t next = 0;

    put_bytes(1000);
    put_bytes(OUTBOX_FRAME_BYTES);
    put_bytes(1000);
    put_bytes(OUTBOX_FRAME_BYTES / 2);
    put_bytes(OUTBOX_FRAME_BYTES / 2);
    put_bytes(3 * OUTBOX_FRAME_BYTES);
    send_all();
    assert_int_equal(stage_count(&fixture.stage, ACTION_SEND), 3);
    assert_int_equal(items_of(0, &next), 2);
    assert_int_equal(items_of(1, &next), 3);
    assert_int_equal(items_of(2, &next), 1);
    assert_int_equal(next, fixture.puts);
}

static void
what_was_large_keeps_no_memory(void **state)
{
    put_bytes(3 * OUTBOX_FRAME_BYTES);
    send_all();
    assert_true(fixture.outbox.items.capacity <= OUTBOX_FRAME_BYTES);
}

static void
what_was_forgotten_does_not_leave(void **state)
{
    uint64_t next = 1;

    put_bytes(1000);
    outbox_clear(&fixture.outbox);
    put_bytes(1000);
    send_all();
    assert_int_equal(stage_count(&fixture.stage, ACTION_SEND), 1);
    assert_int_equal(items_of(0, &next), 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_small_leaves_in_one_frame),
        TEST(a_frame_takes_no_more_once_it_is_large),
        TEST(what_was_large_keeps_no_memory),
        TEST(what_was_forgotten_does_not_leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
