/*
 * client: what a backend asks of a cluster: topology, buckets, batches of reads and writes, scans.
 *
 * Nothing connects before it is needed. Every wait is interruptible (cancel, statement_timeout,
 * connecting included) and bounded by a deadline. Several scans may be open at once and share the
 * links: each frame goes to the request that its tag names, and an answer that nobody waits for any
 * more is dropped, so an ERROR in the middle of anything leaves the links usable. A cluster comes
 * from transaction_cluster().
 *
 * Failures are raised through fdw/cluster/report.h, so a function that returns has succeeded.
 */
#ifndef FDW_CLUSTER_CLIENT_H
#define FDW_CLUSTER_CLIENT_H

#include "fdw/base/pg.h"

#include "fdw/cluster/counters.h"

typedef struct ClientCluster ClientCluster;
typedef struct ClientScan ClientScan;

typedef struct ClientReadOptions
{
    uint32_t r;
    uint32_t pr;         /* how many of the r must be owners */
    uint32_t hedge_ms;   /* after which another owner is asked as well; 0: as answers have been */
    uint32_t timeout_ms; /* of a multiget as a whole, and of each page of a scan */
    bool repair_later;   /* where owners differ, answer before they are mended */
    bool seal;           /* give sealed contexts */
} ClientReadOptions;

/* What a write has to reach; none is more than TOPOLOGY_N_MAX. */
typedef struct ClientQuorum
{
    uint8_t w;
    uint8_t pw;       /* how many of the w must be owners */
    uint8_t confirms; /* from how many zones they must be */
} ClientQuorum;

/*
 * The bucket of that name, or NULL when the cluster has none. Valid until the end of the
 * transaction. Connects when the topology is not known yet; a name that the known topology lacks is
 * looked for anew once in each statement.
 */
const Bucket *client_bucket(ClientCluster *cluster, const char *name);

/* Raises 42804, naming both sides, when found is not what a table declares: key types or n. */
void client_check_bucket(const Bucket *found, const Bucket *wanted);

/*
 * The bucket of wanted's name, proposed to the cluster when it is absent (wanted->id is ignored)
 * and checked as client_check_bucket does. Valid until the end of the transaction.
 */
const Bucket *client_ensure_bucket(ClientCluster *cluster, const Bucket *wanted);

/*
 * Reads a batch of keys of the bucket (each once, at least one). One result a key, in their order,
 * every status STATUS_OK; the results and their bytes live in the current memory context. counters
 * may be NULL.
 */
const RequestReadResult *client_multiget(ClientCluster *cluster, const Bucket *bucket,
                                         const Slice *keys, uint32_t key_count,
                                         const ClientReadOptions *options, Counters *counters);

/*
 * A scan of the whole bucket, in no order across partitions. It lives in a child of the current
 * memory context and ends by itself when that is reset or deleted. counters may be NULL; else it
 * must live as long as the scan.
 */
ClientScan *client_scan_begin(ClientCluster *cluster, const Bucket *bucket,
                              const ClientReadOptions *options, Counters *counters);

/* The next page, or NULL at the end. Valid until the next call for this scan. Objects of tombstones
 * alone are among them. */
const PagerRow *client_scan_page(ClientScan *scan, uint32_t *row_count);
void client_scan_end(ClientScan *scan);

/* True for a refusal that a newer topology, at the node or here, will do away with. */
bool client_is_behind(StatusCode status);

/* After a refusal: when the bucket was dropped, the next statement is to know that. */
void client_note_dropped(ClientCluster *cluster, StatusCode status);

/* Gives the nodes a moment, then fetches the topology, before such a request is made again. */
void client_catch_up(ClientCluster *cluster);

#endif
