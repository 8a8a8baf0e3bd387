/*
 * What the tests of damaged stores have in common: rows that fill many blocks of one table file,
 * and bytes of files turned over.
 */
#ifndef TEST_UNIT_NODE_ROCKS_ROCKS_DAMAGE_FIXTURE_H
#define TEST_UNIT_NODE_ROCKS_ROCKS_DAMAGE_FIXTURE_H

#include "test/unit/node/rocks/rocks_fixture.h"

#include <sys/types.h>

enum
{
    DAMAGE_ROWS = 2000,
    DAMAGE_BUCKET = 7,
    DAMAGE_AT = 100000 /* bytes into the table file of the rows: in its blocks of data */
};

/* Positions lie apart, as hashes do. */
#define DAMAGE_STEP (UINT64_MAX / (DAMAGE_ROWS + 1))

Slice damage_row_key(Store *store, unsigned row);

/* Of rows behind them all. */
Slice damage_late_key(Store *store, unsigned row);

/* Puts all rows; durable, in a table file of their own. */
void damage_put_rows(Store *store);
void damage_assert_row(Store *store, unsigned row);

/* Has RocksDB read all table files and write them anew, whatever comes of it. */
void damage_rewrite_tables(Store *store);

/* Turns over a byte; offset below 0: from the end. */
void damage_file(const char *path, off_t offset);

/* Puts a row that is owed to target, durably. */
void damage_put_hinted(Store *store, Slice key, const MemberId *target);

/* The object that another owner has of a row. */
Object damage_foreign_object(Store *store, const char *value);

#endif
