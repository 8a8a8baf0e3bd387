/*
 * Makes a ClientCluster of a server's and a mapping's options, fetches its first topology from the
 * hosts that they name, and takes up newer ones as answers bring word of them.
 */
#include "fdw/cluster/cluster.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "fdw/base/memory.h"
#include "fdw/base/options.h"
#include "fdw/base/settings.h"
#include "fdw/cluster/ask.h"
#include "fdw/cluster/report.h"
#include "fdw/cluster/resolve.h"

enum
{
    CLUSTER_DEFAULT_PORT = 7101,
    CLUSTER_CONNECT_TIMEOUT_MS = 3000, /* of one link, without option connect_timeout */
    REFRESH_PATIENT_MS = 200
};

/* ---- what the server and the user mapping say ---- */

/* The next element of a comma separated list, trimmed; NULL at the end. */
static char *
next_element(const char **list)
{
    const char *from = *list;
    size_t length;

    if (from == NULL)
        return NULL;
    length = strcspn(from, ",");
    *list = from[length] == ',' ? from + length + 1 : NULL;
    while (length > 0 && *from == ' ')
        from++, length--;
    while (length > 0 && from[length - 1] == ' ')
        length--;
    return pnstrdup(from, length);
}

static int
count_elements(const char *list)
{
    int count = 1;

    for (; *list != '\0'; list++)
        count += *list == ',';
    return count;
}

static void
cluster_read_seeds(ClientCluster *cluster, List *options)
{
    const char *hosts = options_find(options, "host");
    const char *ports = options_find(options, "port");
    const char *port = NULL;
    int port_count = ports != NULL ? count_elements(ports) : 0;
    char *host;

    if (hosts == NULL)
        hosts = "127.0.0.1";
    if (port_count > 1 && port_count != count_elements(hosts))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("server \"%s\" has %d hosts and %d ports", cluster->server_name,
                               count_elements(hosts), port_count),
                        errhint("Give one port for each host, or one port for all hosts.")));
    cluster->seeds = palloc0(sizeof(ClusterSeed) * count_elements(hosts));
    while ((host = next_element(&hosts)) != NULL)
    {
        ClusterSeed *seed = &cluster->seeds[cluster->seed_count++];

        if (host[0] == '/' || host[0] == '\0' || host[0] == '@')
            ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                            errmsg("host \"%s\" of server \"%s\" is not a host name or an address",
                                   host, cluster->server_name)));
        if (ports != NULL)
            port = next_element(&ports);
        seed->host = host;
        seed->port = port != NULL ? (uint16)atoi(port) : CLUSTER_DEFAULT_PORT;
    }
}

/* True when the options are libpq's to interpret and not ours. */
static bool
is_passed_on(const char *name)
{
    return options_is_connection(name) && strcmp(name, "host") != 0 && strcmp(name, "port") != 0 &&
           strcmp(name, "connect_timeout") != 0;
}

static int
pass_on(List *options, LinksOptions *links, int count)
{
    ListCell *cell;

    foreach (cell, options)
    {
        DefElem *option = lfirst_node(DefElem, cell);

        if (!is_passed_on(option->defname))
            continue;
        links->keywords[count] = option->defname;
        links->values[count++] = options_find(options, option->defname);
    }
    return count;
}

/* An ordinary user's login must not come from what the server's own account happens to know. */
static void
cluster_check_password(const ClientCluster *cluster, List *mapping)
{
    const char *password = options_find(mapping, "password");

    if (superuser_arg(cluster->user_id) || !options_bool(mapping, "password_required", true))
        return;
    if (password == NULL || password[0] == '\0')
        ereport(ERROR,
                (errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
                 errmsg("password is required"),
                 errdetail("The user mapping of an ordinary user for server \"%s\" must have a "
                           "password.",
                           cluster->server_name)));
}

/* What links always give; the application's name may be overridden. */
static const char *const FIXED_OPTIONS[][2] = {
    {"dbname",                    "dynamo"    },
    {"gssencmode",                "disable"   },
    {"fallback_application_name", "dynamo_fdw"}
};

static void
cluster_make_links(ClientCluster *cluster, List *server, List *mapping)
{
    int most = list_length(server) + list_length(mapping) + (int)lengthof(FIXED_OPTIONS) + 1;
    double connect_s = options_number(server, "connect_timeout", 0);
    LinksOptions options = {.keywords = palloc0(sizeof(char *) * most),
                            .values = palloc0(sizeof(char *) * most),
                            .connect_timeout_ms = CLUSTER_CONNECT_TIMEOUT_MS};
    int count = pass_on(server, &options, 0);

    cluster_check_password(cluster, mapping);
    count = pass_on(mapping, &options, count);
    for (int i = 0; i < lengthof(FIXED_OPTIONS); i++)
    {
        options.keywords[count] = FIXED_OPTIONS[i][0];
        options.values[count++] = FIXED_OPTIONS[i][1];
    }
    if (connect_s > 0)
        options.connect_timeout_ms = (uint64)Min(connect_s * 1000, INT_MAX);
    cluster->links = links_new(cluster->context, &options);
}

ClientCluster *
cluster_new(MemoryContext context, const ForeignServer *server, const UserMapping *mapping,
            Oid user_id)
{
    MemoryContext own =
        AllocSetContextCreate(CurrentMemoryContext, "dynamo_fdw cluster", ALLOCSET_SMALL_SIZES);
    MemoryContext before = MemoryContextSwitchTo(own);
    ClientCluster *cluster = palloc0(sizeof(ClientCluster));

    cluster->context = own;
    cluster->server_id = server->serverid;
    cluster->user_id = user_id;
    cluster->server_name = pstrdup(server->servername);
    cluster->asker.seed = (uint64)MyProcPid << 32 ^ (uint64)GetCurrentTimestamp();
    cluster->asker.clock = links_now_ms;
    cluster_read_seeds(cluster, server->options);
    cluster_make_links(cluster, server->options, mapping->options);
    MemoryContextSwitchTo(before);
    MemoryContextSetParent(own, context);
    return cluster;
}

void
cluster_free(ClientCluster *cluster)
{
    links_free(cluster->links);
    MemoryContextDelete(cluster->context);
}

/* ---- the topology ---- */

uint32
cluster_timeout_ms(void)
{
    return (uint32)settings.request_timeout_ms;
}

uint32
cluster_member(const ClusterTopology *topology, const LinksNode *node)
{
    for (uint32 i = 0; i < topology->topology.member_count; i++)
        if (topology->nodes[i] == node)
            return i;
    return TOPOLOGY_NO_MEMBER;
}

static LinksNode *
cluster_link_member(ClientCluster *cluster, const Member *member)
{
    LinksNode *node = links_find(cluster->links, member->address, member->port);

    if (node == NULL)
        return links_add(cluster->links, member->name, NULL, member->address, member->port);
    links_node_rename(node, member->name);
    return node;
}

/* NULL: the document cannot be read. */
static ClusterTopology *
cluster_decode(ClientCluster *cluster, Slice document)
{
    MemoryContext own =
        AllocSetContextCreate(cluster->context, "dynamo_fdw topology", ALLOCSET_SMALL_SIZES);
    ClusterTopology *topology = MemoryContextAllocZero(own, sizeof(ClusterTopology));
    Arena arena;

    topology->context = own;
    arena_init(&arena, memory_of_context(own));
    if (!topology_decode(slice_copy(&arena, document), &arena, &topology->topology))
    {
        MemoryContextDelete(own);
        return NULL;
    }
    return topology;
}

static bool
cluster_is_news(const ClientCluster *cluster, const Topology *topology)
{
    const Topology *present;

    if (cluster->topology == NULL)
        return true;
    present = &cluster->topology->topology;
    return memcmp(present->cluster, topology->cluster, sizeof(topology->cluster)) != 0 ||
           present->epoch < topology->epoch;
}

static void
cluster_list_nodes(ClientCluster *cluster, ClusterTopology *topology)
{
    MemoryContext context = topology->context;
    uint32 count = topology->topology.member_count;

    topology->nodes = MemoryContextAllocZero(context, sizeof(LinksNode *) * count);
    topology->avoid = MemoryContextAllocZero(context, sizeof(bool) * count);
    topology->present = MemoryContextAllocZero(context, sizeof(LinksNode *) * count);
    topology->slots = MemoryContextAllocZero(context, sizeof(uint32) * count);
    for (uint32 i = 0; i < count; i++)
    {
        if (!topology_is_present(&topology->topology, i))
            continue;
        topology->nodes[i] = cluster_link_member(cluster, &topology->topology.members[i]);
        topology->slots[topology->present_count] = i;
        topology->present[topology->present_count++] = topology->nodes[i];
    }
}

/* Members keep their slots, so what is known of one stays known, unless this is another cluster. */
static void
cluster_use(ClientCluster *cluster, ClusterTopology *topology)
{
    const ClusterTopology *present = cluster->topology;

    cluster_list_nodes(cluster, topology);
    if (present == NULL || memcmp(present->topology.cluster, topology->topology.cluster,
                                  sizeof(topology->topology.cluster)) != 0)
        memset(cluster->asker.members, 0, sizeof(cluster->asker.members));
    topology->older = cluster->topology;
    cluster->topology = topology;
}

/* Makes a chosen document, as FRAME_TOPOLOGY carries it, the present topology if it is newer.
 * False: it cannot be read. */
static bool
cluster_adopt(ClientCluster *cluster, const Frame *frame)
{
    TopologyFrame news;
    ClusterTopology *topology;

    if (frame->type != FRAME_TOPOLOGY || !topology_frame_decode(frame, &news))
        return false;
    if (news.document.length == 0)
        return cluster->topology != NULL;
    topology = cluster_decode(cluster, news.document);
    if (topology == NULL)
        return false;
    if (cluster_is_news(cluster, &topology->topology))
        cluster_use(cluster, topology);
    else
        MemoryContextDelete(topology->context);
    return true;
}

static bool
cluster_take_topology(Ask *ask, int index, const Frame *frame)
{
    if (cluster_adopt(ask->argument, frame))
        return true;
    if (frame->type == FRAME_TOPOLOGY)
        ask->replies[index].status = STATUS_NOT_FORMED;
    return false;
}

static bool
cluster_fetch(ClientCluster *cluster, Ask *ask)
{
    TopologyFetch fetch = {.have_epoch = 0};

    ask->tag = ++cluster->asker.last_tag;
    ask->take = cluster_take_topology;
    ask->argument = cluster;
    ask->timeout_ms = cluster_timeout_ms();
    buffer_init(&ask->frame, memory_of_context(CurrentMemoryContext));
    topology_fetch_encode(&ask->frame, ask->tag, &fetch);
    return ask_run(cluster->links, ask);
}

bool
cluster_fetch_from(ClientCluster *cluster, LinksNode **node)
{
    Ask ask = {.nodes = node, .count = 1, .want = 1, .enough = 1, .patient_ms = REFRESH_PATIENT_MS};

    return cluster_fetch(cluster, &ask);
}

/* ---- the first topology ---- */

/* One node an address of each seed, and a line about each name that has none. */
static int
cluster_seed_nodes(ClientCluster *cluster, LinksNode ***nodes, StringInfo unresolved)
{
    List *found = NIL;
    int count = 0;
    ListCell *cell;

    for (int i = 0; i < cluster->seed_count; i++)
    {
        const ClusterSeed *seed = &cluster->seeds[i];
        const char *error = NULL;
        List *addresses = resolve_host(seed->host, cluster_timeout_ms(), &error);

        if (addresses == NIL)
            appendStringInfo(unresolved, "%s%s: %s", unresolved->len > 0 ? "; " : "", seed->host,
                             error);
        foreach (cell, addresses)
        {
            LinksNode *node = links_find(cluster->links, lfirst(cell), seed->port);

            if (node == NULL)
                node = links_add(cluster->links, NULL, seed->host, lfirst(cell), seed->port);
            found = list_append_unique_ptr(found, node);
        }
    }
    *nodes = palloc(sizeof(LinksNode *) * Max(list_length(found), 1));
    foreach (cell, found)
        (*nodes)[count++] = lfirst(cell);
    return count;
}

/* ---- who is down, as the nodes know ---- */

static bool
cluster_is_among(const MemberId *id, const MemberId *ids, uint32 count)
{
    for (uint32 i = 0; i < count; i++)
        if (memcmp(id, &ids[i], sizeof(MemberId)) == 0)
            return true;
    return false;
}

static bool
cluster_take_status(Ask *ask, int index, const Frame *frame)
{
    ClientCluster *cluster = ask->argument;
    const ClusterTopology *topology = cluster->topology;
    NodeStatus status;
    Arena arena;

    arena_init(&arena, memory_of_context(CurrentMemoryContext));
    if (frame->type != FRAME_NODE_STATUS_REPLY || !node_status_decode(frame, &arena, &status))
        return false;
    for (int i = 0; i < topology->present_count; i++)
    {
        const MemberId *id = &topology->topology.members[topology->slots[i]].id;

        if (cluster_is_among(id, &status.id, 1) ||
            cluster_is_among(id, status.reachable, status.reachable_count))
            continue;
        links_node_suspect(topology->present[i], links_now_ms());
    }
    return true;
}

/*
 * A new session has met no node that is down, but its first node may have: what that one cannot
 * reach is a suspect from the start, and costs no statement a wait. Nothing is raised, and who does
 * not answer soon is not waited for.
 */
static void
cluster_learn_suspects(ClientCluster *cluster, LinksNode *node)
{
    Ask ask = {.nodes = &node,
               .count = 1,
               .tag = ++cluster->asker.last_tag,
               .take = cluster_take_status,
               .argument = cluster,
               .want = 1,
               .enough = 1,
               .patient_ms = REFRESH_PATIENT_MS,
               .timeout_ms = Min(REFRESH_PATIENT_MS, cluster_timeout_ms())};

    buffer_init(&ask.frame, memory_of_context(CurrentMemoryContext));
    node_status_fetch_encode(&ask.frame, ask.tag);
    ask_run(cluster->links, &ask);
}

static LinksNode *
cluster_first_good(const Ask *ask)
{
    int index = 0;

    while (ask->replies[index].state != ASK_GOOD)
        index++;
    return ask->nodes[index];
}

static void
cluster_bootstrap(ClientCluster *cluster)
{
    StringInfoData unresolved;
    Ask ask = {.want = 1, .enough = 1};

    initStringInfo(&unresolved);
    ask.count = cluster_seed_nodes(cluster, &ask.nodes, &unresolved);
    ask.patient_ms = cluster_timeout_ms();
    if (!cluster_fetch(cluster, &ask))
        report_no_topology(cluster, &ask, unresolved.data);
    cluster_learn_suspects(cluster, cluster_first_good(&ask));
    links_keep(cluster->links, cluster->topology->present, cluster->topology->present_count);
}

ClusterTopology *
cluster_topology(ClientCluster *cluster)
{
    ClusterTopology *topology;

    if (cluster->topology == NULL)
        cluster_bootstrap(cluster);
    topology = cluster->topology;
    for (int i = 0; i < topology->present_count; i++)
        topology->avoid[topology->slots[i]] = links_node_is_suspect(topology->present[i]);
    return topology;
}

void
cluster_refresh(ClientCluster *cluster, bool by_majority)
{
    ClusterTopology *topology = cluster_topology(cluster);
    int members = topology->present_count;
    Ask ask = {.enough = by_majority ? members / 2 + 1 : 1, .patient_ms = REFRESH_PATIENT_MS};

    ask.nodes = palloc(sizeof(LinksNode *) * members);
    for (int suspects = 0; suspects <= 1; suspects++)
    {
        for (int i = 0; i < members; i++)
            if (topology->avoid[topology->slots[i]] == (suspects == 1))
                ask.nodes[ask.count++] = topology->present[i];
        if (suspects == 0)
            ask.want = Max(ask.count, ask.enough);
    }
    if (cluster_fetch(cluster, &ask) || !by_majority)
        return;
    if (ask.good == 0)
        report_no_topology(cluster, &ask, "");
    report_no_majority(cluster, &ask);
}

void
cluster_end_transaction(ClientCluster *cluster)
{
    ClusterTopology *topology = cluster->topology;

    links_detach_all(cluster->links);
    if (topology == NULL || topology->older == NULL)
        return;
    while (topology->older != NULL)
    {
        ClusterTopology *older = topology->older;

        topology->older = older->older;
        MemoryContextDelete(older->context);
    }
    links_keep(cluster->links, topology->present, topology->present_count);
}
