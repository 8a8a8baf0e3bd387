\echo Use "CREATE EXTENSION dynamo_fdw" to load this file. \quit

CREATE FUNCTION dynamo_fdw_handler() RETURNS fdw_handler
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
COMMENT ON FUNCTION dynamo_fdw_handler() IS
    'handler of the foreign-data wrapper dynamo_fdw; PostgreSQL calls it';

CREATE FUNCTION dynamo_fdw_validator(text[], oid) RETURNS void
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
COMMENT ON FUNCTION dynamo_fdw_validator(text[], oid) IS
    'checks the options of servers, user mappings, foreign tables and columns; PostgreSQL calls it';

CREATE FOREIGN DATA WRAPPER dynamo_fdw
    HANDLER dynamo_fdw_handler
    VALIDATOR dynamo_fdw_validator;

-- Stored names outlive those of PostgreSQL: ALWAYS, since a session of logical replication renames too.
CREATE FUNCTION dynamo_fdw_keep_names() RETURNS event_trigger
    AS 'MODULE_PATHNAME' LANGUAGE C;
COMMENT ON FUNCTION dynamo_fdw_keep_names() IS
    'writes the stored names of foreign tables and columns into their options; the event trigger of this name calls it';
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
    'lists the options of servers, user mappings, foreign tables and their columns';

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
    'lists the nodes of a cluster, asking each one now; status is up, suspect (no answer yet), down, full (no disk space) or failed (disk error), and error gives the reason';
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
    'lists the buckets of a cluster that a majority of its nodes agrees on, with the columns of key and value and the user of the nodes who created each bucket';

CREATE FUNCTION dynamo_drop_bucket(server text, bucket text) RETURNS void
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION dynamo_drop_bucket(text, text) IS
    'drops a bucket with all its rows on every node; it takes effect immediately and cannot be rolled back';
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
    'starts comparing and repairing replicas now; NULL for bucket or node means all of them; returns how many comparisons each node has queued';
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
    'shows, for each node, peer, bucket and partition, when the replicas were last compared and last equal, how many keys differed since the node started, and how far a running comparison is';
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
    'lists the connections of this session to nodes; state is up, connecting, suspect or closed';

CREATE FUNCTION dynamo_disconnect(server text) RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION dynamo_disconnect(text) IS
    'closes the connections of this session to the nodes of a server; returns true if there were any';

CREATE FUNCTION dynamo_disconnect_all() RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION dynamo_disconnect_all() IS
    'closes the connections of this session to the nodes of all servers; returns true if there were any';

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
    'decodes a context without verifying it; each row is one entry of the version vector of a piece, or one place in a transaction';

CREATE FUNCTION dynamo_descends(a bytea, b bytea) RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION dynamo_descends(bytea, bytea) IS
    'returns true if context a includes every write that context b of the same key includes';

CREATE FUNCTION dynamo_concurrent(a bytea, b bytea) RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION dynamo_concurrent(bytea, bytea) IS
    'returns true if each of two contexts of the same key includes a write that the other does not';
