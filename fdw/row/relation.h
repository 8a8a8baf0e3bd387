/*
 * relation: the definition of a foreign table: the names of table and bucket, the key, data and
 * context columns, n, the quorums of reads and writes, and the treatment of siblings.
 *
 * A RelationInfo is made from the catalogs whenever a statement plans or starts, in the current
 * memory context, and never changes. Making it contacts no node. A table that cannot be a bucket is
 * refused here, with the column named.
 */
#ifndef FDW_ROW_RELATION_H
#define FDW_ROW_RELATION_H

#include "fdw/base/pg.h"

#include "access/attnum.h"
#include "utils/relcache.h"

#include "fdw/base/conflict.h"
#include "fdw/cluster/client.h"

typedef struct KeyColumn
{
    AttrNumber attnum;
    const char *name; /* in the store: option column_name, else the column's */
    KeyType type;
    Oid base_type; /* the column's type, domains removed */
} KeyColumn;

typedef struct DataColumn
{
    AttrNumber attnum;
    const char *name; /* in the store */
    bool is_array;    /* one element for each sibling; else the value of the one that is shown */
    Oid element_type; /* of one sibling's value; may be a domain */
    int32 typmod;
    uint32 stored_oid;         /* of the base type when that is built in, else 0 */
    const char *stored_type;   /* the base type's qualified name when it is not; else "" */
    const char *type_name;     /* as format_type prints it, schema-qualified unless built in */
    const char *missing;       /* its value where a row has not got it, as text; NULL: NULL */
    const char *on_conflict;   /* its option, or NULL */
    ConflictRoutine aggregate; /* where the mode is CONFLICT_AGGREGATES */
} DataColumn;

/* What requests have to reach; the options and settings of these names. */
typedef enum RelationQuorum
{
    RELATION_R,
    RELATION_W,
    RELATION_PR,
    RELATION_PW,
    RELATION_NODE_CONFIRMS,
    RELATION_QUORUMS
} RelationQuorum;

typedef struct RelationInfo
{
    Oid relid;
    Oid serverid;
    const char *table_name;
    const char *bucket; /* option bucket */
    uint32 n;
    uint32 quorums[RELATION_QUORUMS]; /* table option, else server option, else default;
                                         relation_quorum counts the setting in */
    uint32 hedge_ms;                  /* likewise, by relation_read_options; 0: adaptive */
    bool repair_later;
    double rows;       /* what the planner shall believe */
    Cost startup_cost; /* of one round trip */
    Cost tuple_cost;   /* of one row fetched */

    KeyColumn keys[KEY_COLUMNS_MAX];
    int key_count;
    DataColumn *data;
    int data_count;
    AttrNumber context_attnum; /* InvalidAttrNumber: the table has none */

    ConflictMode conflict;
    ConflictRoutine resolver; /* where the mode is CONFLICT_FUNCTION */
    Oid row_type;
} RelationInfo;

/* Errors: 42P16, 42701, 42804, 0A000 for what a bucket cannot be; 22023 for r, w and
 * their like greater than n; those of conflict_find_routine. */
RelationInfo *relation_info(Relation rel);

/* 42501 if the current user may not call the routines that resolve the table's siblings. */
void relation_check_conflict_rights(const RelationInfo *info);

/* The quorum in force: the setting of its name where it is given. 22023 when it is greater than n.
 */
uint32 relation_quorum(const RelationInfo *info, RelationQuorum quorum);

/* What is in force of a read, but for seal; and of a write. */
ClientReadOptions relation_read_options(const RelationInfo *info);
ClientQuorum relation_write_quorum(const RelationInfo *info);

/* The bucket that the first write creates, and that a present one is compared with; id is 0.
 * Palloc'd, borrows from info. */
Bucket *relation_as_bucket(const RelationInfo *info);

#endif
