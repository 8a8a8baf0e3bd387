/*
 * Keeps key and context of the rows that a scan has given to UPDATE or DELETE, numbered by the ctid
 * that travels through the plan in their place.
 */
#include "fdw/run/target.h"

#include "utils/memutils.h"

#include "fdw/base/settings.h"

enum
{
    TARGET_ROWS_FIRST = 64,
    TARGET_OFFSET_BITS = 15, /* of a row's number, in the handle's offset: it may not be 0 */
    TARGET_OFFSET_MASK = (1 << TARGET_OFFSET_BITS) - 1
};

struct Target
{
    MemoryContext context;
    TargetRow *rows;
    uint64 count;
    uint64 capacity;
    uint64 bytes; /* of rows and what they hold */
};

Target *
target_new(void)
{
    Target *target = palloc0(sizeof(Target));

    target->context = AllocSetContextCreate(CurrentMemoryContext, "dynamo_fdw rows to write",
                                            ALLOCSET_DEFAULT_SIZES);
    return target;
}

static void
target_grow(Target *target)
{
    if (target->count < target->capacity)
        return;
    if (target->capacity == 0)
    {
        target->capacity = TARGET_ROWS_FIRST;
        target->rows =
            MemoryContextAlloc(target->context, sizeof(TargetRow) * (Size)target->capacity);
        return;
    }
    target->capacity *= 2;
    target->rows = repalloc_huge(target->rows, sizeof(TargetRow) * (Size)target->capacity);
}

static Slice
target_copy(char **place, Slice slice)
{
    char *copy = *place;

    if (slice.length == 0)
        return SLICE_EMPTY;
    memcpy(copy, slice.data, slice.length);
    *place += slice.length;
    return slice_make(copy, slice.length);
}

static void
target_check_bound(const Target *target)
{
    if (target->bytes > (uint64)settings.max_pending_kb * 1024)
        ereport(ERROR,
                (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                 errmsg("the rows to write of this statement take more than dynamo_fdw.max_pending "
                        "(%d kB)",
                        settings.max_pending_kb),
                 errhint("Raise dynamo_fdw.max_pending, or write in several statements.")));
}

void
target_add(Target *target, const TargetRow *row, ItemPointer handle)
{
    size_t length = row->key.length + row->context.length + row->undeclared.length;
    char *place;

    target->bytes += sizeof(TargetRow) + length;
    target_check_bound(target);
    target_grow(target);
    place = MemoryContextAlloc(target->context, length);
    target->rows[target->count] = (TargetRow){.key = target_copy(&place, row->key),
                                              .context = target_copy(&place, row->context),
                                              .undeclared = target_copy(&place, row->undeclared)};
    ItemPointerSet(handle, (BlockNumber)(target->count >> TARGET_OFFSET_BITS),
                   (OffsetNumber)((target->count & TARGET_OFFSET_MASK) + 1));
    target->count++;
}

const TargetRow *
target_row(const Target *target, const ItemPointerData *handle)
{
    uint64 number = (uint64)ItemPointerGetBlockNumber(handle) << TARGET_OFFSET_BITS;

    number += ItemPointerGetOffsetNumber(handle) - 1;
    if (number >= target->count)
        elog(ERROR, "row " UINT64_FORMAT " of " UINT64_FORMAT " is to be written", number,
             target->count);
    return &target->rows[number];
}
