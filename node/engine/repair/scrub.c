/*
 * One pass over the files, then one over rows and trees, piece by piece as the pacer allows, and
 * the account that SHOW SCRUB shows.
 */
#include "node/engine/repair/scrub.h"

#include "node/engine/repair/scan_range.h"
#include "shared/ring/ring.h"

#include <string.h>

enum
{
    PIECE_BYTES = 1024 * 1024, /* of files, read at once */
    PAGE_BYTES = 256 * 1024,   /* of rows */
    PAGE_BYTES_LEAST = 1,      /* a row */
    PAGE_NARROWER = 8,         /* where something cannot be read; PAGE_BYTES is a power of it */
    LOOKS_MAX = 3              /* at leaves that change while they are looked at */
};

/* Rows of whole leaves that are being compared with their tree. */
typedef struct Stretch
{
    uint64_t first;
    Digest digest; /* of the rows so far */
    uint32_t looks;
    TreeSum before; /* what the tree said when the last look was over */
    uint64_t last;  /* of the last look: where this one ends too */
} Stretch;

struct Scrub
{
    Pacer *pacer;
    ScrubStatus status;
    Tickets tickets;
    uint32_t ticket; /* of what is asked of storage: other answers are old */
    bool asked;
    bool begun; /* files: the first piece was asked for */
    uint32_t bucket_id;
    uint32_t partition;
    Buffer after; /* the place in the partition */
    uint32_t page_bytes;
    Stretch stretch;
};

static const char *const state_names[] = {[SCRUB_NEVER] = "never run",
                                          [SCRUB_FILES] = "files",
                                          [SCRUB_ROWS] = "rows",
                                          [SCRUB_STOPPED] = "stopped",
                                          [SCRUB_DONE] = "done"};

const char *
scrub_state_name(ScrubState state)
{
    return state_names[state];
}

Scrub *
scrub_new(Pacer *pacer)
{
    Scrub *scrub = memory_resize(&MEMORY_HEAP, NULL, sizeof(Scrub));

    *scrub = (Scrub){.pacer = pacer};
    buffer_init(&scrub->after, &MEMORY_HEAP);
    return scrub;
}

void
scrub_free(Scrub *scrub)
{
    buffer_free(&scrub->after);
    tickets_free(&scrub->tickets);
    memory_resize(&MEMORY_HEAP, scrub, 0);
}

bool
scrub_is_under_way(const Scrub *scrub)
{
    return scrub->status.state == SCRUB_FILES || scrub->status.state == SCRUB_ROWS;
}

ScrubStatus
scrub_status(const Scrub *scrub)
{
    return scrub->status;
}

/* ---- where it is ---- */

/* The bucket of the lowest number from number on; NULL: no more. */
static const Bucket *
next_bucket(const View *view, uint32_t number)
{
    uint32_t index = topology_bucket_index(view->topology, number);

    return index < view->topology->bucket_count ? &view->topology->buckets[index] : NULL;
}

/* What is to be read next of the partition. */
static StorageRange
range_left(const Scrub *scrub, const View *view)
{
    ScanFrame frame = {.bucket_id = scrub->bucket_id,
                       .partition = scrub->partition,
                       .after = buffer_slice(&scrub->after),
                       .max_bytes = scrub->page_bytes};
    StorageRange range = scan_range(view, &frame);

    if (scrub->stretch.looks > 0)
        range.last_position = scrub->stretch.last;
    return range;
}

static void
begin_stretch(Scrub *scrub, uint64_t first)
{
    scrub->stretch = (Stretch){.first = first, .digest = DIGEST_ABSENT};
    buffer_reset(&scrub->after);
    storage_cursor(&scrub->after, first, SLICE_EMPTY);
}

static void
end(Scrub *scrub, const View *view, ScrubState state)
{
    scrub->status.state = state;
    scrub->status.ended_ms = view->wall_ms;
    scrub->asked = false;
}

static void
begin_bucket(Scrub *scrub, const View *view, uint32_t number)
{
    const Bucket *bucket = next_bucket(view, number);

    if (bucket == NULL)
    {
        end(scrub, view, SCRUB_DONE);
        return;
    }
    scrub->bucket_id = bucket->id;
    scrub->partition = 0;
    begin_stretch(scrub, 0);
}

static void
end_partition(Scrub *scrub, const View *view)
{
    scrub->status.partitions++;
    if (++scrub->partition < view->topology->partitions)
        begin_stretch(scrub, ring_partition_start(scrub->partition, view->topology->partitions));
    else
        begin_bucket(scrub, view, scrub->bucket_id + 1);
}

static void
begin_rows(Scrub *scrub, const View *view)
{
    scrub->status.state = SCRUB_ROWS;
    scrub->page_bytes = PAGE_BYTES;
    begin_bucket(scrub, view, 0);
}

/* Goes on behind that position. */
static void
go_behind(Scrub *scrub, const View *view, uint64_t position)
{
    scrub->stretch.looks = 0;
    if (position >= range_left(scrub, view).last_position)
        end_partition(scrub, view);
    else
        begin_stretch(scrub, position + 1);
}

void
scrub_begin(Scrub *scrub, const View *view)
{
    tickets_end(&scrub->tickets, scrub->ticket);
    scrub->asked = scrub->begun = false;
    scrub->status = (ScrubStatus){.state = SCRUB_FILES, .started_ms = view->wall_ms};
}

void
scrub_stop(Scrub *scrub, const View *view)
{
    tickets_end(&scrub->tickets, scrub->ticket);
    if (scrub_is_under_way(scrub))
        end(scrub, view, SCRUB_STOPPED);
}

/* ---- asking ---- */

static uint64_t
ref_of(const Scrub *scrub)
{
    return ticket_ref(REF_SCRUB, scrub->ticket, 0);
}

void
scrub_step(Scrub *scrub, const View *view)
{
    if (!scrub_is_under_way(scrub) || scrub->asked || !pacer_may_begin(scrub->pacer, view->now_ms))
        return;
    scrub->status.partitions_total =
        (uint64_t)view->topology->bucket_count * view->topology->partitions;
    tickets_end(&scrub->tickets, scrub->ticket);
    scrub->ticket = tickets_draw(&scrub->tickets, 0);
    scrub->asked = true;
    if (scrub->status.state == SCRUB_FILES)
        actions_check(view->actions, !scrub->begun, PIECE_BYTES, ref_of(scrub));
    else
    {
        StorageRange range = range_left(scrub, view);

        actions_scan(view->actions, &range, ref_of(scrub));
    }
    scrub->begun = true;
}

uint64_t
scrub_wake_ms(const Scrub *scrub, const View *view)
{
    return scrub_is_under_way(scrub) && !scrub->asked ? pacer_ready_ms(scrub->pacer, view->now_ms)
                                                      : UINT64_MAX;
}

static bool
is_awaited(const Scrub *scrub, uint64_t ref)
{
    return scrub->asked && tickets_find(&scrub->tickets, ticket_ref_number(ref)) == 0;
}

/* ---- files ---- */

void
scrub_checked(Scrub *scrub, const View *view, uint64_t ref, StatusCode status,
              const StorageCheck *check)
{
    if (!is_awaited(scrub, ref))
        return;
    scrub->asked = false;
    if (status == STATUS_OVERLOADED)
    {
        scrub->begun = false; /* a piece of the pass before is still being read */
        pacer_take(scrub->pacer, PIECE_BYTES);
        return;
    }
    if (status != STATUS_OK)
    {
        end(scrub, view, SCRUB_STOPPED);
        return;
    }
    pacer_take(scrub->pacer, check->bytes);
    scrub->status.bytes += check->bytes;
    scrub->status.files = check->files_done;
    scrub->status.files_total = check->files_total;
    scrub->status.blocks_damaged += check->blocks_damaged;
    if (check->done)
        begin_rows(scrub, view);
}

/* ---- rows ---- */

/* What cannot be read is come near to by smaller pages, counted, and left out. */
static void
pass_over(Scrub *scrub, const View *view)
{
    uint64_t position;
    Slice key;

    if (scrub->page_bytes > PAGE_BYTES_LEAST)
    {
        scrub->page_bytes /= PAGE_NARROWER;
        return;
    }
    scrub->status.places_unreadable++;
    (void)storage_cursor_split(buffer_slice(&scrub->after), &position, &key);
    if (scan_range_has_trees(view))
        position = trees_leaf_end(view->trees, scrub->bucket_id, position);
    go_behind(scrub, view, position);
}

static void
look_again(Scrub *scrub, const TreeSum *sum, uint64_t last)
{
    Stretch *stretch = &scrub->stretch;
    uint32_t looks = stretch->looks + 1;

    begin_stretch(scrub, stretch->first);
    stretch->looks = looks;
    stretch->before = *sum;
    stretch->last = last;
}

/* The rows from the stretch's first position to last were read. */
static void
compare(Scrub *scrub, const View *view, uint64_t last)
{
    const Stretch *stretch = &scrub->stretch;
    bool stood_still;
    TreeSum sum;

    if (!scan_range_has_trees(view) ||
        !trees_range_sum(view->trees, scrub->bucket_id, stretch->first, last, &sum) ||
        digest_equal(&sum.digest, &stretch->digest))
    {
        go_behind(scrub, view, last);
        return;
    }
    stood_still = stretch->looks > 0 && stretch->before.settled && sum.settled &&
                  digest_equal(&stretch->before.digest, &sum.digest);
    if (!stood_still && stretch->looks < LOOKS_MAX)
    {
        look_again(scrub, &sum, last);
        return;
    }
    if (stood_still)
    {
        scrub->status.trees_wrong++;
        actions_rebuild_tree(view->actions, (TreeId){scrub->bucket_id, scrub->partition});
    }
    go_behind(scrub, view, last);
}

static void
take_row(Scrub *scrub, const StorageRow *row)
{
    Digest digest = message_row_digest(row->key, row->object);
    uint64_t bytes = row->key.length + row->object.length;

    digest_mix(&scrub->stretch.digest, &digest);
    scrub->status.rows += scrub->stretch.looks == 0;
    scrub->status.bytes += bytes;
    pacer_take(scrub->pacer, bytes);
}

void
scrub_scanned(Scrub *scrub, const View *view, uint64_t ref, StatusCode status,
              const StoragePage *page)
{
    uint64_t position;
    Slice key;

    if (!is_awaited(scrub, ref))
        return;
    scrub->asked = false;
    if (status == STATUS_CORRUPT)
    {
        pass_over(scrub, view);
        return;
    }
    if (status != STATUS_OK)
    {
        end(scrub, view, SCRUB_STOPPED);
        return;
    }
    for (uint32_t i = 0; i < page->row_count; i++)
        take_row(scrub, &page->rows[i]);
    if (scrub->page_bytes < PAGE_BYTES)
        scrub->page_bytes *= PAGE_NARROWER;
    if (page->done)
    {
        compare(scrub, view, range_left(scrub, view).last_position);
        return;
    }
    (void)storage_cursor_split(page->through, &position, &key);
    if (key.length == 0)
    {
        compare(scrub, view, position - 1);
        return;
    }
    buffer_reset(&scrub->after);
    buffer_put(&scrub->after, page->through.data, page->through.length);
}
