/*
 * Config: the node's options, from DIR/dynamo.conf and from -c name=value.
 *
 * One table (config_options) drives everything: defaults, parsing, ranges, the commented file that
 * init writes, SHOW CONFIG and what SIGHUP may change. To add an option, add a field below and a
 * row in config_options.c. No option holds a secret; secrets live in files of their own.
 */
#ifndef NODE_CONFIG_CONFIG_H
#define NODE_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/config/outcome.h"

/* Nodes of neighbouring values work together, so that a cluster goes from one to the next by
 * restarting one node after another. */
typedef enum ConfigSsl
{
    CONFIG_SSL_OFF,
    CONFIG_SSL_ON, /* for clients that ask for it, and on links to nodes that require it */
    CONFIG_SSL_REQUIRED
} ConfigSsl;

/* Strings are owned by the Config, never NULL. Units are in the names. */
typedef struct Config
{
    char *node_name;      /* after config_finish never empty */
    char *listen_address; /* numeric, or a name for the system to resolve */
    int64_t port;
    char *advertise_address; /* what other nodes and clients connect to; never empty after finish */
    char *seeds;             /* "host:port, host:port", see config_seed */
    int64_t partitions;
    char *zone;
    bool trust_loopback;
    int64_t ssl; /* a ConfigSsl */
    char *ssl_cert_file;
    char *ssl_key_file;
    int64_t disk_reserve_mb;
    int64_t block_cache_mb;
    int64_t write_buffer_mb;
    int64_t record_cache_mb;
    int64_t max_connections_per_user; /* 0: no limit */
    int64_t max_connections;
    int64_t max_stats_connections;
    int64_t max_admin_connections;
    int64_t max_peer_connections;
    int64_t max_unauthenticated;
    int64_t max_unauthenticated_per_address;
    int64_t max_output_mb;
    int64_t output_timeout_ms;
    int64_t auth_timeout_ms;
    int64_t request_timeout_ms;
    int64_t connect_timeout_ms;
    int64_t log_level; /* a LogLevel */
    char *log_file;    /* "" is stderr */
    int64_t max_value_bytes;
    int64_t max_key_bytes;
    int64_t siblings_warn;
    int64_t siblings_max;
    int64_t hints_max_mb;
    int64_t background_mb;
    int64_t repair_interval_s;
    int64_t reap_interval_s;
    int64_t max_delay_ms;
    int64_t max_buckets_per_user;
    int64_t max_requests;
    int64_t max_requests_mb;
} Config;

typedef enum ConfigType
{
    CONFIG_BOOL,
    CONFIG_INT,
    CONFIG_STRING,
    CONFIG_CHOICE
} ConfigType;

typedef struct ConfigOption
{
    const char *name;
    size_t offset; /* of the field in Config */
    ConfigType type;
    const char *unit;     /* "s", "ms", "MB", "bytes" or "" */
    const char *fallback; /* the default, as it would be written in the file */
    int64_t min;          /* of CONFIG_INT */
    int64_t max;
    const char *const *choices; /* of CONFIG_CHOICE, NULL-terminated; the value is the index */
    bool reloadable;            /* SIGHUP applies it; otherwise it needs a restart */
    Outcome (*check)(const char *value); /* beyond the type's own check, or NULL */
    const char *description;
} ConfigOption;

extern const ConfigOption config_options[];
extern const size_t config_option_count;

/* Sets every option to its default. Pair with config_free. */
void config_init(Config *config);
void config_free(Config *config);

/* Sets one option from text. Fails on an unknown name or a bad value, and then changes nothing. */
Outcome config_set(Config *config, const char *name, const char *value) MUST_CHECK;

/* Sets one option from "name=value", the argument of -c. */
Outcome config_set_argument(Config *config, const char *argument) MUST_CHECK;

/* Reads "name = value" lines; '#' starts a comment, values may be 'quoted' with '' for a quote.
 * Messages name file_name and the line. */
Outcome config_parse(Config *config, const char *text, size_t length,
                     const char *file_name) MUST_CHECK;

/* Reads the file into config. */
Outcome config_load(Config *config, const char *file_name) MUST_CHECK;

/* Fills what defaults depend on (node_name, advertise_address) and checks options against each
 * other. Call it once after all values are set, before the Config is used. */
Outcome config_finish(Config *config) MUST_CHECK;

/*
 * Takes the reloadable options of fresh (which was loaded and finished) into config.
 * changed(context, option, false) is called for each option taken, (.., true) for each that differs
 * but needs a restart.
 */
void config_reload(Config *config, const Config *fresh,
                   void (*changed)(void *context, const ConfigOption *option, bool needs_restart),
                   void *context);

/* The option's value as text, as SHOW CONFIG prints it, cut to size. Returns text. */
const char *config_value(const Config *config, const ConfigOption *option, char *text, size_t size);

/* The option's range as text ("1 .. 65535", "on, off", ""), cut to size. Returns text. */
const char *config_range(const ConfigOption *option, char *text, size_t size);

/*
 * The text of a new dynamo.conf: every option with unit, default and range as a comment, those
 * whose value in config differs from the default set to it. The caller frees it.
 */
char *config_file_text(const Config *config);

/*
 * Seed number index (from 0) of the list: copies its host (cut to size; [v6] without brackets) and
 * port. Returns false past the end.
 */
bool config_seed(const Config *config, size_t index, char *host, size_t size, int *port);

#endif
