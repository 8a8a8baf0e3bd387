\echo Use "CREATE EXTENSION dynamo_fdw" to load this file. \quit

CREATE FUNCTION dynamo_fdw_handler() RETURNS fdw_handler
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

CREATE FUNCTION dynamo_fdw_validator(text[], oid) RETURNS void
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

CREATE FOREIGN DATA WRAPPER dynamo_fdw
    HANDLER dynamo_fdw_handler
    VALIDATOR dynamo_fdw_validator;

-- Stored names outlive those of PostgreSQL: ALWAYS, since a session of logical replication renames too.
CREATE FUNCTION dynamo_fdw_keep_names() RETURNS event_trigger
    AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE EVENT TRIGGER dynamo_fdw_keep_names ON ddl_command_end
    WHEN TAG IN ('CREATE FOREIGN TABLE', 'ALTER FOREIGN TABLE', 'ALTER TABLE')
    EXECUTE FUNCTION dynamo_fdw_keep_names();
ALTER EVENT TRIGGER dynamo_fdw_keep_names ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER dynamo_fdw_keep_names IS
    'writes the stored names of foreign tables into their options, so that they keep their data when names change';

CREATE FUNCTION dynamo_fdw_options(
    OUT object text,
    OUT option text,
    OUT superuser_only boolean,
    OUT meaning text)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION dynamo_fdw_options() IS
    'the options that servers, user mappings, foreign tables and their columns take';

CREATE FUNCTION dynamo_nodes(
    server text,
    OUT name text,
    OUT address text,
    OUT port integer,
    OUT member text,
    OUT status text,
    OUT epoch bigint,
    OUT uptime interval,
    OUT rss_bytes bigint,
    OUT disk_bytes bigint,
    OUT keys_estimate bigint,
    OUT owned_partitions integer,
    OUT error text)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION dynamo_nodes(text) IS
    'the nodes of a cluster as they answer now; status is up, suspect (silent), down, or full or failed (of its disk: error says why)';
REVOKE ALL ON FUNCTION dynamo_nodes(text) FROM PUBLIC;

CREATE FUNCTION dynamo_buckets(
    server text,
    OUT bucket text,
    OUT id bigint,
    OUT n integer,
    OUT key text,
    OUT value text,
    OUT made_by text)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION dynamo_buckets(text) IS
    'the buckets of a cluster, as a majority of its nodes has them: columns of the key and of the value, and the nodes'' user who had each made';

CREATE FUNCTION dynamo_drop_bucket(server text, bucket text) RETURNS void
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION dynamo_drop_bucket(text, text) IS
    'drops a bucket with all its rows, on every node, at once: no ROLLBACK brings it back';
REVOKE ALL ON FUNCTION dynamo_drop_bucket(text, text) FROM PUBLIC;

CREATE FUNCTION dynamo_repair(
    server text,
    bucket text DEFAULT NULL,
    node text DEFAULT NULL,
    OUT name text,
    OUT queued bigint,
    OUT error text)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION dynamo_repair(text, text, text) IS
    'has replicas compared and mended now, of one bucket or all, those of one node or all; gives how many compares each node has queued';
REVOKE ALL ON FUNCTION dynamo_repair(text, text, text) FROM PUBLIC;

CREATE FUNCTION dynamo_repair_status(
    server text,
    OUT node text,
    OUT peer text,
    OUT bucket text,
    OUT partition integer,
    OUT state text,
    OUT compared_at timestamptz,
    OUT equal_at timestamptz,
    OUT differences bigint,
    OUT mended_here bigint,
    OUT mended_there bigint,
    OUT bytes_sent bigint,
    OUT bytes_received bigint,
    OUT progress_percent integer,
    OUT time_left interval,
    OUT error text)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION dynamo_repair_status(text) IS
    'for each node, peer, bucket and partition: when they were last compared and known equal, what differed since the node started, how far it is';
REVOKE ALL ON FUNCTION dynamo_repair_status(text) FROM PUBLIC;

CREATE FUNCTION dynamo_connections(
    OUT server text,
    OUT user_name text,
    OUT node text,
    OUT address text,
    OUT port integer,
    OUT state text,
    OUT used_in_transaction boolean,
    OUT valid boolean,
    OUT error text)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION dynamo_connections() IS
    'the connections of this session to nodes; state is up, connecting, suspect or closed';

CREATE FUNCTION dynamo_disconnect(server text) RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION dynamo_disconnect(text) IS
    'closes the connections of this session to the nodes of a server; true when there were some';

CREATE FUNCTION dynamo_disconnect_all() RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION dynamo_disconnect_all() IS
    'closes the connections of this session to all nodes; true when there were some';

CREATE FUNCTION dynamo_context_info(
    context bytea,
    OUT piece integer,
    OUT kind text,
    OUT bucket_id bigint,
    OUT key_hash text,
    OUT cluster_key text,
    OUT actor uuid,
    OUT epoch bigint,
    OUT counter bigint,
    OUT transaction uuid,
    OUT writes bigint)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION dynamo_context_info(bytea) IS
    'what a context says, unverified: for each piece a row an entry of its version vector, or the place in a transaction';

CREATE FUNCTION dynamo_descends(a bytea, b bytea) RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION dynamo_descends(bytea, bytea) IS
    'true when context a has seen all that context b of the same key has';

CREATE FUNCTION dynamo_concurrent(a bytea, b bytea) RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION dynamo_concurrent(bytea, bytea) IS
    'true when each of two contexts of one key has seen something that the other has not';
