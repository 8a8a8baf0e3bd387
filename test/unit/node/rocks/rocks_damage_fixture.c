#include "test/unit/node/rocks/rocks_damage_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

enum
{
    VALUE_BYTES = 200,
    FORCE = 2, /* BottommostLevelCompaction::kForce */
    WAITS_MAX = 10000
};

static Slice
key_at(Store *store, uint64_t position, unsigned row)
{
    char key[16];

    snprintf(key, sizeof(key), "%u", row);
    return store_key_in(store, DAMAGE_BUCKET, position, key);
}

Slice
damage_row_key(Store *store, unsigned row)
{
    return key_at(store, row * DAMAGE_STEP, row);
}

Slice
damage_late_key(Store *store, unsigned row)
{
    return key_at(store, UINT64_MAX - row, row);
}

/* No two blocks alike, and none that gets small. */
static void
fill_value(unsigned row, char value[VALUE_BYTES])
{
    uint64_t seed = row + 1;

    for (size_t i = 0; i < VALUE_BYTES - 1; i++)
    {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        value[i] = (char)('!' + (seed >> 33) % 90);
    }
    value[VALUE_BYTES - 1] = '\0';
}

static size_t
count_tables(const Store *store)
{
    char pattern[160];
    glob_t files;
    size_t count;

    snprintf(pattern, sizeof(pattern), "%s/rocksdb/*.sst", store->directory);
    count = glob(pattern, 0, NULL, &files) == 0 ? files.gl_pathc : 0;
    globfree(&files);
    return count;
}

void
damage_rewrite_tables(Store *store)
{
    rocksdb_compactoptions_t *options = rocksdb_compactoptions_create();

    rocksdb_compactoptions_set_bottommost_level_compaction(options, FORCE);
    rocksdb_compact_range_opt(rocks_of(store->storage)->db, options, NULL, 0, NULL, 0);
    rocksdb_compactoptions_destroy(options);
}

/* Into one file, for which RocksDB finds no reason to write it anew: as long as trees are built
 * there are snapshots, and files keep what they would not have to. */
static void
settle_tables(Store *store)
{
    while (trees_counters(store->storage->trees).doubted > 0)
        uv_run(&store->loop, UV_RUN_ONCE);
    store_flush(store);
    damage_rewrite_tables(store);
    for (unsigned wait = 0; count_tables(store) > 1 && wait < WAITS_MAX; wait++)
        uv_sleep(1); /* it removes the old ones in the background */
}

void
damage_put_rows(Store *store)
{
    uint64_t ref = 0;

    for (unsigned row = 0; row < DAMAGE_ROWS; row++)
    {
        char value[VALUE_BYTES];

        fill_value(row, value);
        ref = store_put(store, damage_row_key(store, row), value, NULL);
    }
    store_await_durable(store, ref);
    settle_tables(store);
}

void
damage_assert_row(Store *store, unsigned row)
{
    char value[VALUE_BYTES];

    fill_value(row, value);
    store_assert_holds(store, damage_row_key(store, row), value);
}

void
damage_file(const char *path, off_t offset)
{
    struct stat status;
    uint8_t byte;
    int fd = open(path, O_RDWR);

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    if (offset < 0)
        offset += status.st_size;
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 0x55;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    close(fd);
}

void
damage_put_hinted(Store *store, Slice key, const MemberId *target)
{
    HintChange hints[] = {
        {.target = *target, .now_ms = 1}
    };
    Object object = damage_foreign_object(store, "v");
    Update update = {.merge = &object, .hints = hints, .hint_count = 1};
    uint64_t ref = store_ref(store);

    store->storage->apply(store->storage, key, &update, ref);
    store_await_durable(store, ref);
}

Object
damage_foreign_object(Store *store, const char *value)
{
    Dot *dot = ARENA_NEW(&store->arena, Dot);
    Sibling *sibling = ARENA_NEW(&store->arena, Sibling);

    *dot = (Dot){.actor = {{9}}, .epoch = 1, .counter = 1};
    *sibling = (Sibling){.request = {{9}},
                         .value = slice_copy(&store->arena, slice_from_string(value)),
                         .dots = dot,
                         .dot_count = 1};
    return (Object){
        .context = {.entries = dot, .count = 1},
          .siblings = sibling, .sibling_count = 1
    };
}
