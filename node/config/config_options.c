/*
 * The table of options: one row has everything that is known about an option, and config.c does the
 * rest. Behind it stand the checks of single values, and the list of seeds.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "node/config/config.h"

#define MB_MAX (1024 * 1024)
#define FIELD(name) #name, offsetof(Config, name)

static const char *const log_levels[] = {"debug", "info", "warning", "error", NULL};
static const char *const ssl_modes[] = {"off", "on", "required", NULL};

static Outcome check_seeds(const char *value);
static Outcome check_word(const char *value);
static Outcome check_partitions(const char *value);

// clang-format off
/* name and field, type, unit, default, min, max, choices, reloadable, check, description */
const ConfigOption config_options[] = {
    {FIELD(node_name), CONFIG_STRING, "", "", 0, 0, NULL, false, check_word,
     "Name of this node in log lines and in the console. When it is empty, the name is node_ "
     "followed by the port."},
    {FIELD(listen_address), CONFIG_STRING, "", "127.0.0.1", 0, 0, NULL, false, NULL,
     "Address that this node listens on. With 0.0.0.0 or :: it listens on all addresses, and "
     "advertise_address must be set."},
    {FIELD(port), CONFIG_INT, "", "7101", 1, 65535, NULL, false, NULL,
     "Port of this node: TCP for clients, psql and the other nodes, UDP for gossip between "
     "nodes."},
    {FIELD(advertise_address), CONFIG_STRING, "", "", 0, 0, NULL, false, NULL,
     "Address under which clients and the other nodes reach this node. When it is empty, it is "
     "listen_address. A host name is looked up once, when the node starts."},
    {FIELD(seeds), CONFIG_STRING, "", "", 0, 0, NULL, false, check_seeds,
     "All nodes that form the cluster when it starts for the first time, this one included, as "
     "host:port, separated by commas. Every one of them must have the same list."},
    {FIELD(partitions), CONFIG_INT, "", "256", 8, 8192, NULL, false, check_partitions,
     "Number of equal slices of the ring: a power of two, which does not change once the "
     "cluster has formed."},
    {FIELD(zone), CONFIG_STRING, "", "", 0, 0, NULL, false, check_word,
     "Failure domain of this node, such as a rack. Replicas of a key are kept in different "
     "zones as far as there are enough zones."},
    {FIELD(trust_loopback), CONFIG_BOOL, "", "off", 0, 0, NULL, true, NULL,
     "Whether users that connect from this machine may log in without a password."},
    {FIELD(ssl), CONFIG_CHOICE, "", "on", 0, 0, ssl_modes, false, NULL,
     "TLS on connections to this node. off: none. on: for clients that ask for it. required: "
     "logins without TLS are refused, and links between nodes use it."},
    {FIELD(ssl_cert_file), CONFIG_STRING, "", "", 0, 0, NULL, true, NULL,
     "File with the certificate chain, in PEM form; SIGHUP reads it again. When it is empty, "
     "the node makes a key and a certificate at each start, which is enough unless clients "
     "verify certificates."},
    {FIELD(ssl_key_file), CONFIG_STRING, "", "", 0, 0, NULL, true, NULL,
     "File with the private key, in PEM form, which only its owner may read; SIGHUP reads it "
     "again."},
    {FIELD(disk_reserve_mb), CONFIG_INT, "MB", "256", 0, MB_MAX, NULL, false, NULL,
     "Space on the disk that must stay free: the node takes no writes while less is free. On a "
     "disk of less than ten times as much it is a tenth of the disk."},
    {FIELD(block_cache_mb), CONFIG_INT, "MB", "64", 1, MB_MAX, NULL, false, NULL,
     "Memory for blocks of table files that were read."},
    {FIELD(write_buffer_mb), CONFIG_INT, "MB", "32", 1, MB_MAX, NULL, false, NULL,
     "Memory for the newest writes, which are in the log and not yet in table files. While "
     "files are written it may be three times as much."},
    {FIELD(record_cache_mb), CONFIG_INT, "MB", "64", 0, MB_MAX, NULL, false, NULL,
     "Memory for single records that were written or read lately. 0 keeps none."},
    {FIELD(max_connections), CONFIG_INT, "", "500", 1, 100000, NULL, true, NULL,
     "Most sessions of users with the role data, which the extension uses. Every role has a "
     "limit of its own."},
    {FIELD(max_connections_per_user), CONFIG_INT, "", "0", 0, 100000, NULL, true, NULL,
     "Most sessions of one user, whatever the role. With 0 only the limit of the role counts."},
    {FIELD(max_stats_connections), CONFIG_INT, "", "50", 1, 100000, NULL, true, NULL,
     "Most sessions of users with the role stats."},
    {FIELD(max_admin_connections), CONFIG_INT, "", "20", 1, 100000, NULL, true, NULL,
     "Most sessions of users with the role admin."},
    {FIELD(max_peer_connections), CONFIG_INT, "", "1000", 10, 100000, NULL, true, NULL,
     "Most sessions of other nodes. Each node has one, and a second one for moments, while it "
     "replaces a link."},
    {FIELD(max_unauthenticated), CONFIG_INT, "", "64", 4, 10000, NULL, true, NULL,
     "Most connections that have not logged in yet. When there are more, the oldest of them are "
     "closed."},
    {FIELD(max_unauthenticated_per_address), CONFIG_INT, "", "16", 1, 10000, NULL, true, NULL,
     "Most connections from one address that have not logged in yet. When there are more, the "
     "oldest of that address are closed."},
    {FIELD(max_output_mb), CONFIG_INT, "MB", "512", 1, MB_MAX, NULL, true, NULL,
     "Most memory for answers that clients have not read yet. When more is needed, the session "
     "that holds most of it is closed."},
    {FIELD(output_timeout_ms), CONFIG_INT, "ms", "30000", 100, 600000, NULL, true, NULL,
     "Time after which a session is closed when answers wait for its client and the client "
     "reads nothing."},
    {FIELD(auth_timeout_ms), CONFIG_INT, "ms", "10000", 100, 600000, NULL, true, NULL,
     "Time within which a new connection must have logged in."},
    {FIELD(request_timeout_ms), CONFIG_INT, "ms", "5000", 10, 600000, NULL, true, NULL,
     "Time after which a request is answered as failed, or a write as unknown, unless the "
     "request names a time itself."},
    {FIELD(connect_timeout_ms), CONFIG_INT, "ms", "1000", 10, 60000, NULL, true, NULL,
     "Time within which a connection to another node must be made."},
    {FIELD(log_level), CONFIG_CHOICE, "", "info", 0, 0, log_levels, true, NULL,
     "Lowest level of the events that are logged."},
    {FIELD(log_file), CONFIG_STRING, "", "", 0, 0, NULL, true, NULL,
     "File that events are logged to; SIGHUP opens it again. When it is empty, they go to "
     "standard error."},
    {FIELD(max_value_bytes), CONFIG_INT, "bytes", "1048576", 1024, 33554432, NULL, true, NULL,
     "Size of the largest value that a client may write."},
    {FIELD(max_key_bytes), CONFIG_INT, "bytes", "4096", 64, 65536, NULL, true, NULL,
     "Size of the largest key that a client may write."},
    {FIELD(siblings_warn), CONFIG_INT, "", "25", 1, 1000000, NULL, true, NULL,
     "A write that leaves more siblings than this under its key is logged as a warning."},
    {FIELD(siblings_max), CONFIG_INT, "", "100", 1, 1000000, NULL, true, NULL,
     "A write that would leave more siblings than this under its key is refused, unless it "
     "leaves fewer than there were."},
    {FIELD(hints_max_mb), CONFIG_INT, "MB", "1024", 0, 1048576, NULL, true, NULL,
     "Most data that this node keeps for nodes that are down. It keeps no further writes for "
     "them beyond that; repair brings those later. 0 keeps none."},
    {FIELD(background_mb), CONFIG_INT, "MB", "128", 1, 10240, NULL, false, NULL,
     "Most data that background work, such as handing over hints and repair, moves in a second."},
    {FIELD(repair_interval_s), CONFIG_INT, "s", "3600", 0, 31536000, NULL, true, NULL,
     "Time within which every replica is compared with the others, and repaired where they "
     "differ. With 0 that happens only when REPAIR asks for it."},
    {FIELD(reap_interval_s), CONFIG_INT, "s", "3600", 0, 31536000, NULL, true, NULL,
     "Time within which every partition is searched for tombstones that may be removed. With 0 "
     "that happens only when REAP asks for it."},
    {FIELD(max_delay_ms), CONFIG_INT, "ms", "100", 0, 60000, NULL, true, NULL,
     "Time that requests may wait in this node: while it would be longer, requests of clients "
     "are refused (53000). 0 sets no limit."},
    {FIELD(max_buckets_per_user), CONFIG_INT, "", "10000", 0, 10000, NULL, true, NULL,
     "Most buckets that one user may create through this node. 0 sets no limit."},
    {FIELD(max_requests), CONFIG_INT, "", "8192", 0, 60000, NULL, true, NULL,
     "Most requests that are under way at a time. When there are more, requests of clients are "
     "refused (53000). 0 sets no limit."},
    {FIELD(max_requests_mb), CONFIG_INT, "MB", "256", 0, MB_MAX, NULL, true, NULL,
     "Most memory of requests under way. When more is needed, requests of clients are refused "
     "(53000). 0 sets no limit."},
};
// clang-format on

const size_t config_option_count = sizeof(config_options) / sizeof(config_options[0]);

/* Cuts the first host:port off a list; *list then stands behind its comma. */
static bool
split_seed(const char **list, char *host, size_t size, int *port)
{
    const char *item = *list + strspn(*list, " \t");
    size_t length = strcspn(item, ",");
    const char *rest = item + length + (item[length] == ',');
    const char *colon;
    size_t host_length;
    char *end;
    long number;

    while (length > 0 && isspace((unsigned char)item[length - 1]))
        length--;
    colon = memrchr(item, ':', length);
    if (colon == NULL || colon == item)
        return false;
    number = strtol(colon + 1, &end, 10);
    if (end != item + length || end == colon + 1 || number < 1 || number > 65535)
        return false;
    host_length = (size_t)(colon - item);
    if (*item == '[' && host_length > 2 && colon[-1] == ']')
    {
        item++;
        host_length -= 2;
    }
    if (host_length >= size || strcspn(item, " \t[]") < host_length)
        return false;
    memcpy(host, item, host_length);
    host[host_length] = '\0';
    *port = (int)number;
    *list = rest;
    return true;
}

bool
config_seed(const Config *config, size_t index, char *host, size_t size, int *port)
{
    const char *list = config->seeds;

    for (size_t i = 0; *list != '\0'; i++)
    {
        if (!split_seed(&list, host, size, port))
            return false;
        if (i == index)
            return true;
    }
    return false;
}

static Outcome
check_seeds(const char *value)
{
    const char *list = value + strspn(value, " \t");
    char host[256];
    int port;

    while (*list != '\0')
    {
        if (!split_seed(&list, host, sizeof(host), &port))
            return outcome_error("expected host:port, host:port, ..., not \"%.128s\"", value);
    }
    return outcome_ok();
}

/* Names stand in log lines and in console columns: one word of plain characters. */
static Outcome
check_word(const char *value)
{
    if (strlen(value) > 63)
        return outcome_error("the name is longer than 63 bytes");
    for (const char *at = value; *at != '\0'; at++)
    {
        if (!isalnum((unsigned char)*at) && strchr("_-.", *at) == NULL)
            return outcome_error("\"%.64s\" may only have letters, digits, '_', '-' and '.'",
                                 value);
    }
    return outcome_ok();
}

/* Places on the ring are found by the leading bits of a hash, so the number must be a power of two.
 */
static Outcome
check_partitions(const char *value)
{
    unsigned long number = strtoul(value, NULL, 10);

    if ((number & (number - 1)) != 0)
        return outcome_error("%.32s is not a power of two", value);
    return outcome_ok();
}
