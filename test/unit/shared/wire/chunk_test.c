/* Large frames in chunks: they come out as they went in, small ones pass between, and bounds hold
 * against any sender. */
#include "shared/wire/chunk.h"
#include "test/unit/stages/seeds.h"
#include "test/unit/causality/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

typedef struct Fixture
{
    ChunkQueue queue;
    ChunkJoin join;
    Buffer chunk; /* the last that the queue gave */
    Buffer seed;  /* all that a stranger gave, as test/fuzz/chunk_fuzz.c reads it */
    bool is_taken;
    Slice whole; /* the last frame that was joined */
    Arena arena;
} Fixture;

static int
set_up(void **state)
{
    static Fixture fixture;

    fixture = (Fixture){0};
    chunk_queue_init(&fixture.queue, &MEMORY_HEAP);
    chunk_join_init(&fixture.join, &MEMORY_HEAP, CHUNK_FRAME_MAX);
    buffer_init(&fixture.chunk, &MEMORY_HEAP);
    buffer_init(&fixture.seed, &MEMORY_HEAP);
    arena_init(&fixture.arena, &MEMORY_HEAP);
    *state = &fixture;
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;

    if (fixture->is_taken)
        seeds_keep("chunk", "parts", buffer_slice(&fixture->seed));
    chunk_queue_free(&fixture->queue);
    chunk_join_free(&fixture->join);
    buffer_free(&fixture->chunk);
    buffer_free(&fixture->seed);
    arena_free(&fixture->arena);
    return 0;
}

/* A frame of that many bytes in all, of random content. */
static Slice
frame_of(Fixture *fixture, size_t length, uint64_t seed)
{
    uint8_t *bytes = arena_alloc(&fixture->arena, length);

    memset(bytes, (int)seed, length);
    for (size_t i = MESSAGE_HEADER_BYTES; i < length; i += 509)
        history_random_fill(&seed, &bytes[i], 1);
    bytes[0] = FRAME_REPLICATE;
    return slice_make(bytes, length);
}

static bool
next_chunk(Fixture *fixture)
{
    buffer_reset(&fixture->chunk);
    return chunk_queue_next(&fixture->queue, &fixture->chunk);
}

static ChunkResult
pass_chunk(Fixture *fixture)
{
    assert_true(next_chunk(fixture));
    assert_true(fixture->chunk.length <= CHUNK_BYTES + MESSAGE_HEADER_BYTES + 1);
    assert_true(chunk_is_one(buffer_slice(&fixture->chunk)));
    return chunk_join_add(&fixture->join, buffer_slice(&fixture->chunk), &fixture->whole);
}

/* A chunk as a stranger may make it. */
static ChunkResult
give(Fixture *fixture, uint32_t number, uint8_t last, const char *piece)
{
    buffer_reset(&fixture->chunk);
    frame_encode_header(&fixture->chunk, FRAME_CHUNK, number);
    buffer_put_u8(&fixture->chunk, last);
    buffer_put(&fixture->chunk, piece, strlen(piece));
    buffer_put_slice(&fixture->seed, buffer_slice(&fixture->chunk));

    ChunkResult result =
        chunk_join_add(&fixture->join, buffer_slice(&fixture->chunk), &fixture->whole);

    fixture->is_taken = fixture->is_taken || result != CHUNK_BAD;
    return result;
}

static void
a_frame_comes_out_as_it_went_in(void **state)
{
    static const size_t lengths[] = {CHUNK_BYTES + 1, 2 * CHUNK_BYTES - 1, 2 * CHUNK_BYTES,
                                     2 * CHUNK_BYTES + 1, 5 * CHUNK_BYTES + 77};
    Fixture *fixture = *state;

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
    {
        Slice frame = frame_of(fixture, lengths[i], i);
        size_t chunks = (lengths[i] + CHUNK_BYTES - 1) / CHUNK_BYTES;

        assert_true(chunk_queue_add(&fixture->queue, frame));
        assert_int_equal(fixture->queue.bytes, lengths[i]);
        for (size_t chunk = 1; chunk < chunks; chunk++)
            assert_int_equal(pass_chunk(fixture), CHUNK_MORE);
        assert_int_equal(pass_chunk(fixture), CHUNK_WHOLE);
        assert_true(slice_equal(fixture->whole, frame));
        assert_int_equal(fixture->queue.bytes, 0);
        assert_false(next_chunk(fixture));
    }
}

static void
a_frame_of_one_chunk_goes_whole(void **state)
{
    Fixture *fixture = *state;

    assert_false(chunk_is_needed(frame_of(fixture, CHUNK_BYTES, 1)));
    assert_true(chunk_is_needed(frame_of(fixture, CHUNK_BYTES + 1, 1)));
    assert_false(chunk_is_one(frame_of(fixture, 10, 1)));
    assert_false(chunk_is_one(SLICE_EMPTY));
}

static void
frames_take_turns_and_the_shorter_one_overtakes(void **state)
{
    Fixture *fixture = *state;
    Slice longer = frame_of(fixture, 4 * CHUNK_BYTES, 1);
    Slice shorter = frame_of(fixture, 2 * CHUNK_BYTES, 2);

    assert_true(chunk_queue_add(&fixture->queue, longer));
    assert_true(chunk_queue_add(&fixture->queue, shorter));
    for (int i = 0; i < 3; i++)
        assert_int_equal(pass_chunk(fixture), CHUNK_MORE);
    assert_int_equal(pass_chunk(fixture), CHUNK_WHOLE);
    assert_true(slice_equal(fixture->whole, shorter));
    assert_int_equal(pass_chunk(fixture), CHUNK_MORE);
    assert_int_equal(pass_chunk(fixture), CHUNK_WHOLE);
    assert_true(slice_equal(fixture->whole, longer));
}

static void
no_more_frames_are_begun_than_a_receiver_takes(void **state)
{
    Fixture *fixture = *state;
    uint32_t whole = 0;

    for (uint64_t i = 0; i < CHUNK_FRAMES_MAX + 3; i++)
        assert_true(
            chunk_queue_add(&fixture->queue, frame_of(fixture, CHUNK_BYTES + 1 + i % 5, i)));
    while (fixture->queue.bytes > 0)
    {
        ChunkResult result = pass_chunk(fixture);

        assert_int_not_equal(result, CHUNK_BAD);
        assert_true(fixture->join.begun_count <= CHUNK_FRAMES_MAX);
        whole += result == CHUNK_WHOLE;
    }
    assert_int_equal(whole, CHUNK_FRAMES_MAX + 3);
    assert_int_equal(fixture->join.begun_bytes, 0);
}

static void
one_frame_too_many_is_refused(void **state)
{
    Fixture *fixture = *state;

    for (uint32_t number = 1; number <= CHUNK_FRAMES_MAX; number++)
        assert_int_equal(give(fixture, number, 0, "piece"), CHUNK_MORE);
    assert_int_equal(give(fixture, 1, 1, "piece"), CHUNK_WHOLE);
    assert_int_equal(fixture->whole.length, 10);
    assert_int_equal(give(fixture, 99, 0, "piece"), CHUNK_MORE);
    assert_int_equal(give(fixture, 100, 0, "piece"), CHUNK_BAD);
}

static void
parts_that_no_node_makes_are_refused(void **state)
{
    Fixture *fixture = *state;
    const char chunk[] = {FRAME_CHUNK, 0, 0, 0, 0};

    assert_int_equal(give(fixture, 1, 0, ""), CHUNK_BAD);
    assert_int_equal(give(fixture, 1, 2, "piece"), CHUNK_BAD);
    for (size_t length = 0; length <= sizeof(chunk); length++)
        assert_int_equal(chunk_join_add(&fixture->join, slice_make(chunk, length), &fixture->whole),
                         CHUNK_BAD);
    assert_int_equal(fixture->join.begun_count, 0);
}

static void
a_part_inside_of_parts_is_refused(void **state)
{
    const char nested[] = {FRAME_CHUNK, 0};
    Fixture *fixture = *state;

    assert_int_equal(give(fixture, 1, 1, nested), CHUNK_BAD);
}

/* The bound is on what has come, whatever is said to follow. */
static void
more_bytes_than_a_frame_may_have_are_refused(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(give(fixture, 1, 0, "piece"), CHUNK_MORE);
    fixture->join.begun_bytes = CHUNK_FRAME_MAX - 5;
    assert_int_equal(give(fixture, 2, 0, "sixsix"), CHUNK_BAD);
    assert_int_equal(give(fixture, 2, 0, "piece"), CHUNK_MORE);
    assert_int_equal(give(fixture, 2, 0, "p"), CHUNK_BAD);
}

/* A frame waits when those begun and it are more bytes than a receiver takes. */
static void
a_frame_that_would_be_too_much_beside_the_others_waits(void **state)
{
    Fixture *fixture = *state;
    Slice frame = frame_of(fixture, 2 * CHUNK_BYTES, 1);

    fixture->queue.begun_bytes = CHUNK_FRAME_MAX - frame.length + 1;
    assert_true(chunk_queue_add(&fixture->queue, frame));
    assert_false(next_chunk(fixture));
    fixture->queue.begun_bytes--;
    assert_int_equal(pass_chunk(fixture), CHUNK_MORE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_frame_comes_out_as_it_went_in),
        TEST(a_frame_of_one_chunk_goes_whole),
        TEST(frames_take_turns_and_the_shorter_one_overtakes),
        TEST(no_more_frames_are_begun_than_a_receiver_takes),
        TEST(one_frame_too_many_is_refused),
        TEST(parts_that_no_node_makes_are_refused),
        TEST(a_part_inside_of_parts_is_refused),
        TEST(more_bytes_than_a_frame_may_have_are_refused),
        TEST(a_frame_that_would_be_too_much_beside_the_others_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
