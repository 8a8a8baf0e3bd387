/*
 * The table of options, the checks of their values, and the list of seeds.
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
     "Name of this node in logs and in the console; empty: node_ and the port."},
    {FIELD(listen_address), CONFIG_STRING, "", "127.0.0.1", 0, 0, NULL, false, NULL,
     "Address to listen on; 0.0.0.0 or :: for all, with advertise_address."},
    {FIELD(port), CONFIG_INT, "", "7101", 1, 65535, NULL, false, NULL,
     "TCP port for clients, for other nodes and for psql."},
    {FIELD(advertise_address), CONFIG_STRING, "", "", 0, 0, NULL, false, NULL,
     "Address under which other nodes and clients reach this one; empty: listen_address. Names are "
     "looked up at the start, as those of seeds are."},
    {FIELD(seeds), CONFIG_STRING, "", "", 0, 0, NULL, false, check_seeds,
     "Nodes that form the cluster at first start, as host:port, separated by commas, this one "
     "included; the same list on each of them."},
    {FIELD(partitions), CONFIG_INT, "", "256", 8, 8192, NULL, false, check_partitions,
     "Number of equal slices of the ring, a power of two; fixed when the cluster forms."},
    {FIELD(zone), CONFIG_STRING, "", "", 0, 0, NULL, false, check_word,
     "Failure domain of this node; replicas of a key go to different zones where they can."},
    {FIELD(trust_loopback), CONFIG_BOOL, "", "off", 0, 0, NULL, true, NULL,
     "Users that connect from this machine need no password."},
    {FIELD(ssl), CONFIG_CHOICE, "", "on", 0, 0, ssl_modes, false, NULL,
     "TLS. on: for whoever asks for it; required: logins without it are refused, and nodes link "
     "with it alone; off: none."},
    {FIELD(ssl_cert_file), CONFIG_STRING, "", "", 0, 0, NULL, true, NULL,
     "Certificate chain in PEM form; SIGHUP reads it again. Empty: the node makes a key and a "
     "certificate at each start, which suffice unless clients verify certificates."},
    {FIELD(ssl_key_file), CONFIG_STRING, "", "", 0, 0, NULL, true, NULL,
     "Private key in PEM form, readable by its owner alone; SIGHUP reads it again."},
    {FIELD(disk_reserve_mb), CONFIG_INT, "MB", "256", 0, MB_MAX, NULL, false, NULL,
     "Room on the disk, or a tenth of it if that is less, below which no write is taken."},
    {FIELD(block_cache_mb), CONFIG_INT, "MB", "64", 1, MB_MAX, NULL, false, NULL,
     "Memory for cached blocks of the store."},
    {FIELD(write_buffer_mb), CONFIG_INT, "MB", "32", 1, MB_MAX, NULL, false, NULL,
     "Memory for writes that are logged and not yet in sorted files."},
    {FIELD(record_cache_mb), CONFIG_INT, "MB", "64", 0, MB_MAX, NULL, false, NULL,
     "Memory for single records that were written or read lately; 0: none."},
    {FIELD(max_connections), CONFIG_INT, "", "500", 1, 100000, NULL, true, NULL,
     "Sessions of users of the role data, which the extension uses; every role has its own."},
    {FIELD(max_connections_per_user), CONFIG_INT, "", "0", 0, 100000, NULL, true, NULL,
     "Sessions of one user, whatever the role; 0: as many as the role may have."},
    {FIELD(max_stats_connections), CONFIG_INT, "", "50", 1, 100000, NULL, true, NULL,
     "Sessions of users of the role stats."},
    {FIELD(max_admin_connections), CONFIG_INT, "", "20", 1, 100000, NULL, true, NULL,
     "Sessions of users of the role admin."},
    {FIELD(max_peer_connections), CONFIG_INT, "", "1000", 10, 100000, NULL, true, NULL,
     "Sessions of other nodes; each of them has one, and for moments another."},
    {FIELD(max_unauthenticated), CONFIG_INT, "", "64", 4, 10000, NULL, true, NULL,
     "Connections that have not logged in yet; beyond that the oldest of them is cut."},
    {FIELD(max_unauthenticated_per_address), CONFIG_INT, "", "16", 1, 10000, NULL, true, NULL,
     "Of them, those of one address; beyond that its oldest is cut."},
    {FIELD(max_output_mb), CONFIG_INT, "MB", "512", 1, MB_MAX, NULL, true, NULL,
     "Answers that wait to be read; beyond that the session with most of them is cut."},
    {FIELD(output_timeout_ms), CONFIG_INT, "ms", "30000", 100, 600000, NULL, true, NULL,
     "A session is cut whose client has not read anything of what waits for so long."},
    {FIELD(auth_timeout_ms), CONFIG_INT, "ms", "10000", 100, 600000, NULL, true, NULL,
     "Time in which a client must have logged in."},
    {FIELD(request_timeout_ms), CONFIG_INT, "ms", "5000", 10, 600000, NULL, true, NULL,
     "Time after which a request that names no time itself is answered as failed or unknown."},
    {FIELD(connect_timeout_ms), CONFIG_INT, "ms", "1000", 10, 60000, NULL, true, NULL,
     "Time to connect to another node."},
    {FIELD(log_level), CONFIG_CHOICE, "", "info", 0, 0, log_levels, true, NULL,
     "Least level of events that are logged."},
    {FIELD(log_file), CONFIG_STRING, "", "", 0, 0, NULL, true, NULL,
     "File to log to, opened again at SIGHUP; empty: standard error."},
    {FIELD(max_value_bytes), CONFIG_INT, "bytes", "1048576", 1024, 33554432, NULL, true, NULL,
     "Largest value that a client may write."},
    {FIELD(max_key_bytes), CONFIG_INT, "bytes", "4096", 64, 65536, NULL, true, NULL,
     "Largest key that a client may write."},
    {FIELD(siblings_warn), CONFIG_INT, "", "25", 1, 1000000, NULL, true, NULL,
     "A write that leaves more siblings than this is warned of."},
    {FIELD(siblings_max), CONFIG_INT, "", "100", 1, 1000000, NULL, true, NULL,
     "A write that would leave more siblings than this is refused, unless it makes them fewer."},
    {FIELD(hints_max_mb), CONFIG_INT, "MB", "1024", 0, 1048576, NULL, true, NULL,
     "A node that owes other nodes more than this keeps no further hints; what that leaves out "
     "repair finds. 0: none at all."},
    {FIELD(background_mb), CONFIG_INT, "MB", "128", 1, 10240, NULL, false, NULL,
     "What handoff and other background work may take a second, at most."},
    {FIELD(repair_interval_s), CONFIG_INT, "s", "3600", 0, 31536000, NULL, true, NULL,
     "Time in which all replicas are compared with each other, and mended where they differ; 0: "
     "only when REPAIR asks for it."},
    {FIELD(reap_interval_s), CONFIG_INT, "s", "3600", 0, 31536000, NULL, true, NULL,
     "Time in which each partition is looked at for tombstones that may be forgotten; 0: never by "
     "itself."},
    {FIELD(max_delay_ms), CONFIG_INT, "ms", "100", 0, 60000, NULL, true, NULL,
     "Clients' requests are refused (53000) while they would wait for longer than this; 0: never."},
    {FIELD(max_buckets_per_user), CONFIG_INT, "", "10000", 0, 10000, NULL, true, NULL,
     "Buckets that one user of the nodes may have made by way of this node; 0: any number."},
    {FIELD(max_requests), CONFIG_INT, "", "8192", 0, 60000, NULL, true, NULL,
     "Clients' requests under way at a time; beyond that they are refused; 0: no limit."},
    {FIELD(max_requests_mb), CONFIG_INT, "MB", "256", 0, MB_MAX, NULL, true, NULL,
     "Memory of requests under way; beyond that clients' are refused; 0: no limit."},
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

static Outcome
check_partitions(const char *value)
{
    unsigned long number = strtoul(value, NULL, 10);

    if ((number & (number - 1)) != 0)
        return outcome_error("%.32s is not a power of two", value);
    return outcome_ok();
}
