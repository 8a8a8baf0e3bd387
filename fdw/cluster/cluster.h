/*
 * cluster: what a backend knows of one cluster, behind fdw/cluster/client.h: how to reach it, its
 * topology, its links.
 *
 * The first topology comes from whichever of the server's hosts answers first; from then on the
 * members are linked to by the addresses that the topology gives. A newer topology takes the older
 * one's place, which stays in memory until the end of the transaction: buckets and members that
 * were handed out stay valid.
 */
#ifndef FDW_CLUSTER_CLUSTER_H
#define FDW_CLUSTER_CLUSTER_H

#include "fdw/base/pg.h"

#include "datatype/timestamp.h"
#include "foreign/foreign.h"

#include "fdw/cluster/links.h"

typedef struct ClusterTopology ClusterTopology;

struct ClusterTopology
{
    MemoryContext context;
    Topology topology;
    LinksNode **nodes;   /* by slot; NULL: that member has left */
    bool *avoid;         /* by slot: suspects, as of cluster_topology's last call */
    LinksNode **present; /* of the members that have not left */
    uint32 *slots;       /* theirs, in the same order */
    int present_count;
    ClusterTopology *older;
};

typedef struct ClusterSeed
{
    const char *host; /* as the server's options say: a name or an address */
    uint16 port;
} ClusterSeed;

struct ClientCluster
{
    MemoryContext context;
    Oid server_id;
    Oid user_id;
    const char *server_name;
    ClusterSeed *seeds;
    int seed_count;
    Links *links;
    RequestAsker asker;
    ClusterTopology *topology;  /* NULL: not known yet */
    TimestampTz looked_anew_at; /* the statement for which the topology was last fetched anew */
    struct PendingLogs *logs;   /* fdw/transaction/pending; of the pool */
    struct Flush *flush; /* fdw/transaction/flush; of the transaction; NULL: it has sent nothing */
};

/* In a child of context. Connects to nothing. Errors: 2F003 for a mapping without the password it
 * needs, 22023. */
ClientCluster *cluster_new(MemoryContext context, const ForeignServer *server,
                           const UserMapping *mapping, Oid user_id);

/* Closes the links and frees everything. */
void cluster_free(ClientCluster *cluster);

/* The transaction is over: what it used may go. */
void cluster_end_transaction(ClientCluster *cluster);

/* The topology, got from the cluster when there is none yet; its avoid is brought up to date. */
ClusterTopology *cluster_topology(ClientCluster *cluster);

/*
 * Asks the members for a newer topology, all that are well, since one may not have heard. By
 * majority: a majority must answer, so that what it does not name is known to be absent; 08001 and
 * its like, or 57P03, when too few do. Otherwise nothing is raised when none does.
 */
void cluster_refresh(ClientCluster *cluster, bool by_majority);

/* Asks one node for its topology, which it says is newer; false: it does not answer. */
bool cluster_fetch_from(ClientCluster *cluster, LinksNode **node);

/* The member index of node, or TOPOLOGY_NO_MEMBER. */
uint32 cluster_member(const ClusterTopology *topology, const LinksNode *node);

/* Milliseconds that a request may take, by the setting. */
uint32 cluster_timeout_ms(void);

#endif
