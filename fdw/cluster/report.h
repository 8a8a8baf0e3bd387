/*
 * report: the one place where failures of the cluster become errors of the statement.
 *
 * Each names what was asked, of whom, and what was reached; a write's says whether it was refused
 * (nothing is written anywhere) or unknown (some replica may keep it). Nothing that reports a
 * failure returns.
 */
#ifndef FDW_CLUSTER_REPORT_H
#define FDW_CLUSTER_REPORT_H

#include "fdw/cluster/ask.h"
#include "fdw/cluster/cluster.h"

/* No node gave a topology. unresolved: lines about host names without an address. */
void report_no_topology(const ClientCluster *cluster, const Ask *ask, const char *unresolved)
    __attribute__((noreturn));

/* Some gave one, but fewer than had to. */
void report_no_majority(const ClientCluster *cluster, const Ask *ask) __attribute__((noreturn));

/* Why a node did not give what it was asked for: its own words, or the link's. */
const char *report_reason(const LinksNode *node, const AskReply *reply);

/* Key types or n differ. */
void report_bucket_conflict(const Bucket *found, const Bucket *wanted) __attribute__((noreturn));

/* No node created the bucket. reply: the last one's. */
void report_bucket_not_created(const ClientCluster *cluster, const Bucket *wanted,
                               const LinksNode *node, const AskReply *reply)
    __attribute__((noreturn));

/* The members of a key's preference list, as bits by place. */
typedef struct ReportMembers
{
    uint32 answered; /* or acknowledged */
    uint32 asked;
    uint32 lacking;        /* fallbacks that do not hold the key */
    const uint8 *refusals; /* by place, as in a request's results; NULL: none is known of */
} ReportMembers;

/* A read that failed at keys[failed]. */
typedef struct ReportRead
{
    const ClusterTopology *topology;
    const Bucket *bucket;
    const ClientReadOptions *options;
    const Slice *keys;
    const RequestReadResult *results;
    uint32 key_count;
    uint32 failed;
} ReportRead;

void report_read(const ClientCluster *cluster, const ReportRead *read) __attribute__((noreturn));

/* A scan that failed in a partition. */
typedef struct ReportScan
{
    const ClusterTopology *topology;
    const Bucket *bucket;
    const ClientReadOptions *options;
    const Pager *pager;
} ReportScan;

void report_scan(const ReportScan *scan) __attribute__((noreturn));

/* What became of the keys of a transaction's writes. */
typedef enum ReportFate
{
    REPORT_APPLIED,
    REPORT_REFUSED,
    REPORT_UNKNOWN,
    REPORT_NOT_SENT,
    REPORT_FATES
} ReportFate;

enum
{
    REPORT_FIRST_KEYS = 3 /* named for each fate */
};

typedef struct ReportWrite
{
    uint64 counts[REPORT_FATES];
    char *first_keys[REPORT_FATES][REPORT_FIRST_KEYS];
    /* Of the first write that failed: */
    const char *bucket_name;
    const char *key;
    const char *nodes; /* what is to be said of its members, by report_members; NULL: nothing */
    const char *about; /* what is to be said of its context or size; NULL: nothing */
    ClientQuorum quorum;
    uint32 owners_acked;
    uint32 acked;
    uint32 n;
    StatusCode status; /* STATUS_OK: none failed, but the time was over */
    bool canceled;     /* at the user's request */
} ReportWrite;

void report_write(const ClientCluster *cluster, const ReportWrite *write) __attribute__((noreturn));

/* What a transaction had written that is rolled back for a reason of its own: a WARNING, to the
 * server's log alone when the session ends; returns. */
void report_rolled_back(const ClientCluster *cluster, const ReportWrite *write);

/* The key that a transaction's writes left with the most siblings, of those that a node warns of.
 */
typedef struct ReportSiblingWarning
{
    uint32 siblings; /* 0: there is none */
    const char *bucket_name;
    const char *key;
} ReportSiblingWarning;

/* A WARNING; this one returns. */
void report_sibling_warning(const ReportSiblingWarning *warning);

/* What can be said of the owners of key, and of the fallbacks that were asked: who answered, why
 * the others did not. */
char *report_members(const ClusterTopology *topology, const Bucket *bucket, Slice key,
                     const ReportMembers *members);

/* Where a context came from that a write was refused for, a sentence; NULL when nothing is to be
 * said. */
char *report_context(const Topology *topology, const Bucket *bucket, Slice context,
                     StatusCode status);

/* How large a write is that is larger than the nodes take, a sentence. */
char *report_size(const WriteItem *item);

/* A write that is refused for its context before anything is sent. */
void report_context_refused(const Bucket *bucket, Slice key, StatusCode status)
    __attribute__((noreturn));

/* A key as people read it: (7, "a"). */
char *report_key(const Bucket *bucket, Slice key);

#endif
