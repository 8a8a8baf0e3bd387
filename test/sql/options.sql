-- The validator: what each kind of object takes, and how the rest is refused. Nothing here contacts a node.
\set VERBOSITY default

-- Names: the hint lists what is valid there.
CREATE SERVER options_server FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (bucket 'x');
CREATE SERVER options_server FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (user 'x');
CREATE SERVER options_server FOREIGN DATA WRAPPER dynamo_fdw
    OPTIONS (host '127.0.0.1,127.0.0.1', port '7101,7102', n '3', r '2', w '2', sslmode 'require');
ALTER FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (ADD host 'x');
CREATE USER MAPPING FOR CURRENT_USER SERVER options_server OPTIONS (host 'x');
CREATE FOREIGN TABLE options_table (k int OPTIONS (key 'true')) SERVER options_server OPTIONS (table_name 'x');
CREATE FOREIGN TABLE options_table (k int OPTIONS (primary_key 'true')) SERVER options_server;

-- Values.
ALTER SERVER options_server OPTIONS (SET port '7101,');
ALTER SERVER options_server OPTIONS (SET port '7101,70000');
ALTER SERVER options_server OPTIONS (SET sslmode 'prefer');
ALTER SERVER options_server OPTIONS (SET n '0');
ALTER SERVER options_server OPTIONS (SET n '17');
ALTER SERVER options_server OPTIONS (SET n '3x');
ALTER SERVER options_server OPTIONS (SET n '1');
ALTER SERVER options_server OPTIONS (ADD fdw_startup_cost '-1');
ALTER SERVER options_server OPTIONS (ADD fdw_tuple_cost 'nan');
CREATE FOREIGN TABLE options_table (k int OPTIONS (key 'maybe')) SERVER options_server;
CREATE FOREIGN TABLE options_table (k int OPTIONS (key 'true', context 'true')) SERVER options_server;
CREATE FOREIGN TABLE options_table (k int OPTIONS (key 'true')) SERVER options_server OPTIONS (bucket '');
CREATE FOREIGN TABLE options_table (k int OPTIONS (key 'true')) SERVER options_server OPTIONS (n '3', w '4');
CREATE FOREIGN TABLE options_table (k int OPTIONS (key 'true')) SERVER options_server OPTIONS (on_conflict 'newest');
CREATE FOREIGN TABLE options_table (k int OPTIONS (key 'true')) SERVER options_server OPTIONS (on_conflict 'a.b.c');
CREATE FOREIGN TABLE options_table (k int OPTIONS (key 'true')) SERVER options_server OPTIONS (on_conflict 'a."b');
CREATE FOREIGN TABLE options_table (k int OPTIONS (key 'true')) SERVER options_server OPTIONS (on_conflict '');
CREATE FOREIGN TABLE options_table (k int OPTIONS (key 'true'), v int OPTIONS (on_conflict 'max')) SERVER options_server;
CREATE FOREIGN TABLE options_table (k int OPTIONS (key 'true'), v int OPTIONS (on_conflict 'latest')) SERVER options_server;
CREATE FOREIGN TABLE options_table (k int OPTIONS (key 'true', on_conflict 'pg_catalog.max')) SERVER options_server;
CREATE FOREIGN TABLE options_table (k int OPTIONS (key 'true'), c bytea OPTIONS (on_conflict 'pg_catalog.max', context 'true')) SERVER options_server;

ALTER SERVER options_server OPTIONS (ADD pr '-1');
ALTER SERVER options_server OPTIONS (ADD pw '17');
ALTER SERVER options_server OPTIONS (ADD pr '4');
CREATE FOREIGN TABLE options_table (k int OPTIONS (key 'true')) SERVER options_server OPTIONS (n '2', node_confirms '3');
ALTER SERVER options_server OPTIONS (ADD hedge_after '0');
ALTER SERVER options_server OPTIONS (ADD hedge_after 'soon');
ALTER SERVER options_server OPTIONS (ADD hedge_after '2min');
ALTER SERVER options_server OPTIONS (ADD read_repair 'never');

-- Files and passwordless mappings are for superusers.
CREATE ROLE options_user;
GRANT USAGE ON FOREIGN DATA WRAPPER dynamo_fdw TO options_user;
GRANT USAGE ON FOREIGN SERVER options_server TO options_user;
SET ROLE options_user;
CREATE SERVER options_other FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (sslrootcert '/etc/passwd');
CREATE USER MAPPING FOR options_user SERVER options_server OPTIONS (password_required 'false');
CREATE USER MAPPING FOR options_user SERVER options_server OPTIONS (user 'a', password 'b');
DROP USER MAPPING FOR options_user SERVER options_server;
RESET ROLE;
REVOKE USAGE ON FOREIGN DATA WRAPPER dynamo_fdw FROM options_user;
REVOKE USAGE ON FOREIGN SERVER options_server FROM options_user;
DROP ROLE options_user;

-- A table's options beat the server's; the setting beats both. EXPLAIN shows what holds.
CREATE FOREIGN TABLE options_table (k int OPTIONS (key 'true')) SERVER options_server OPTIONS (bucket 'options_table');
EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM options_table WHERE k = 1;
ALTER FOREIGN TABLE options_table OPTIONS (SET bucket 'b', ADD n '5', ADD r '3', ADD w '4');
EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM options_table WHERE k = 1;
SET dynamo_fdw.r = 1;
SET dynamo_fdw.w = 5;
EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM options_table WHERE k = 1;
SET dynamo_fdw.w = 6;
EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM options_table WHERE k = 1;
SET dynamo_fdw.w = 17;
SET dynamo_fdw.nonsense = 1;
RESET dynamo_fdw.r;
RESET dynamo_fdw.w;
ALTER FOREIGN TABLE options_table OPTIONS (DROP r, DROP w, SET n '1');
EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM options_table WHERE k = 1;
ALTER SERVER options_server OPTIONS (DROP r, DROP w);
EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM options_table WHERE k = 1;


-- Owners, zones, hedges and repairs: in the same order.
ALTER SERVER options_server OPTIONS (ADD pr '1', ADD pw '1', ADD node_confirms '1', ADD hedge_after '20', ADD read_repair 'wait');
EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM options_table WHERE k = 1;
ALTER FOREIGN TABLE options_table OPTIONS (SET n '3', ADD pr '0', ADD pw '2', ADD node_confirms '3', ADD hedge_after '', ADD read_repair 'background');
EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM options_table WHERE k = 1;
SET dynamo_fdw.pr = 2;
SET dynamo_fdw.pw = 0;
SET dynamo_fdw.node_confirms = 2;
EXPLAIN (VERBOSE, COSTS OFF, FORMAT YAML) SELECT * FROM options_table WHERE k = 1;
SET dynamo_fdw.pr = 4;
EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM options_table WHERE k = 1;
SET dynamo_fdw.pr = -1;
EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM options_table WHERE k = 1;
RESET dynamo_fdw.pr;
RESET dynamo_fdw.pw;
RESET dynamo_fdw.node_confirms;
SET dynamo_fdw.hedge_after = '10ms';
\set VERBOSITY sqlstate
SET dynamo_fdw.hedge_after = '2min';
\set VERBOSITY default
SET dynamo_fdw.read_repair = 'background';
SET dynamo_fdw.read_repair = 'never';
RESET dynamo_fdw.hedge_after;
RESET dynamo_fdw.read_repair;

-- What on_conflict names is looked for when the table is used.
ALTER FOREIGN TABLE options_table OPTIONS (ADD on_conflict 'siblings');
ALTER FOREIGN TABLE options_table OPTIONS (SET on_conflict 'error');
ALTER FOREIGN TABLE options_table OPTIONS (SET on_conflict 'latest');
ALTER FOREIGN TABLE options_table OPTIONS (SET on_conflict '"No schema" . "No function"');
EXPLAIN (COSTS OFF) SELECT * FROM options_table;

-- One table holds them all.
SELECT object, count(*) FROM dynamo_fdw_options() GROUP BY object ORDER BY object;
SELECT option, superuser_only FROM dynamo_fdw_options() WHERE object IN ('foreign table', 'column');

DROP FOREIGN TABLE options_table;
DROP SERVER options_server CASCADE;
