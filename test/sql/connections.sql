-- The connections of a session: made when needed, kept, thrown away when their options change; who may use them.
CREATE SCHEMA connections_test;
SET search_path = connections_test, public;
\set VERBOSITY terse

-- Fetches the options of the server and mapping that the tests run on.
SELECT option_value AS hosts FROM pg_foreign_server, pg_options_to_table(srvoptions)
    WHERE srvname = 'dynamo' AND option_name = 'host' \gset
SELECT option_value AS ports FROM pg_foreign_server, pg_options_to_table(srvoptions)
    WHERE srvname = 'dynamo' AND option_name = 'port' \gset
SELECT option_value AS node_user FROM pg_user_mappings, pg_options_to_table(umoptions)
    WHERE srvname = 'dynamo' AND option_name = 'user' \gset
SELECT option_value AS node_password FROM pg_user_mappings, pg_options_to_table(umoptions)
    WHERE srvname = 'dynamo' AND option_name = 'password' \gset
CREATE SERVER own FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (host :'hosts', port :'ports');
CREATE USER MAPPING FOR CURRENT_USER SERVER own OPTIONS (user :'node_user', password :'node_password');
CREATE FOREIGN TABLE t (id int OPTIONS (key 'true'), v text[]) SERVER own OPTIONS (bucket 'connections_t');

-- Nothing is connected before it is needed, and not for EXPLAIN.
EXPLAIN (COSTS OFF) SELECT * FROM t WHERE id = 1;
SELECT count(*) FROM dynamo_connections() WHERE server = 'own';
INSERT INTO t VALUES (1, '{one}');
SELECT v FROM t WHERE id = 1;
SELECT server, user_name = current_user AS mine, state, used_in_transaction, valid, error
    FROM dynamo_connections() WHERE server = 'own' AND state = 'up' LIMIT 1;

-- What the nodes say of themselves.
SELECT count(*) AS nodes, count(DISTINCT member) AS members, count(DISTINCT epoch) AS epochs,
       bool_and(status = 'up' AND error IS NULL AND port > 0 AND rss_bytes > 0 AND uptime > '0'
                AND length(member) = 32 AND keys_estimate >= 0 AND disk_bytes >= 0) AS sound
    FROM dynamo_nodes('own');
SELECT sum(owned_partitions) FROM dynamo_nodes('own');
SELECT * FROM dynamo_nodes('nosuch');
CREATE FOREIGN DATA WRAPPER other;
CREATE SERVER other_server FOREIGN DATA WRAPPER other;
SELECT * FROM dynamo_nodes('other_server');

-- Disconnecting: not in the middle of a transaction that uses them.
BEGIN;
SELECT v FROM t WHERE id = 1;
SELECT dynamo_disconnect('own');
COMMIT;
SELECT dynamo_disconnect('own');
SELECT dynamo_disconnect('own');
SELECT v FROM t WHERE id = 1;
SELECT dynamo_disconnect_all();
SELECT count(*) FROM dynamo_connections();
SELECT v FROM t WHERE id = 1;

-- ALTER SERVER and ALTER USER MAPPING count from the next transaction on.
ALTER SERVER own OPTIONS (SET port '1');
SELECT v FROM t WHERE id = 1;
\echo :LAST_ERROR_SQLSTATE
ALTER SERVER own OPTIONS (SET port :'ports');
SELECT v FROM t WHERE id = 1;
ALTER USER MAPPING FOR CURRENT_USER SERVER own OPTIONS (SET password 'wrong');
SELECT v FROM t WHERE id = 1;
\echo :LAST_ERROR_SQLSTATE
ALTER USER MAPPING FOR CURRENT_USER SERVER own OPTIONS (SET password :'node_password');
SELECT v FROM t WHERE id = 1;
ALTER USER MAPPING FOR CURRENT_USER SERVER own OPTIONS (SET user 'nobody');
SELECT v FROM t WHERE id = 1;
\echo :LAST_ERROR_SQLSTATE
ALTER USER MAPPING FOR CURRENT_USER SERVER own OPTIONS (SET user :'node_user');
BEGIN;
SELECT v FROM t WHERE id = 1;
ALTER SERVER own OPTIONS (SET port '1');
SELECT v FROM t WHERE id = 1;
ROLLBACK;
SELECT v FROM t WHERE id = 1;

-- Some hosts of the list may be wrong; the first that answers will do.
SELECT '127.0.0.1,' || :'hosts' AS more_hosts, '1,' || :'ports' AS more_ports \gset
ALTER SERVER own OPTIONS (SET host :'more_hosts', SET port :'more_ports');
SELECT v FROM t WHERE id = 1;
ALTER SERVER own OPTIONS (SET host 'localhost', SET port :'ports');
SELECT v FROM t WHERE id = 1;
SELECT repeat('localhost,', cardinality(string_to_array(:'ports', ',')) - 1) || 'localhost' AS names \gset
ALTER SERVER own OPTIONS (SET host :'names');
SELECT v FROM t WHERE id = 1;
ALTER SERVER own OPTIONS (SET host 'no.such.host.invalid', SET port '7101');
SELECT v FROM t WHERE id = 1;
\echo :LAST_ERROR_SQLSTATE
ALTER SERVER own OPTIONS (SET host '/tmp');
SELECT v FROM t WHERE id = 1;
ALTER SERVER own OPTIONS (SET host :'hosts', SET port :'ports');
SELECT v FROM t WHERE id = 1;

-- A user without a mapping; one with a mapping that lacks the password; one with a right one; one that a superuser let off.
CREATE ROLE plain LOGIN;
GRANT USAGE ON SCHEMA connections_test TO plain;
GRANT SELECT, INSERT ON t TO plain;
GRANT USAGE ON FOREIGN SERVER own TO plain;
SET ROLE plain;
\set VERBOSITY sqlstate
SELECT v FROM t WHERE id = 1;
\set VERBOSITY terse
CREATE USER MAPPING FOR plain SERVER own OPTIONS (user :'node_user');
SELECT v FROM t WHERE id = 1;
\echo :LAST_ERROR_SQLSTATE
ALTER USER MAPPING FOR plain SERVER own OPTIONS (ADD password_required 'false');
ALTER USER MAPPING FOR plain SERVER own OPTIONS (ADD password :'node_password');
SELECT v FROM t WHERE id = 1;
INSERT INTO t VALUES (2, '{two}');
SELECT v FROM t WHERE id = 2;
SELECT count(*) FROM dynamo_nodes('own');
RESET ROLE;
GRANT EXECUTE ON FUNCTION dynamo_nodes(text) TO plain;
SET ROLE plain;
SELECT count(*) > 0 AS granted FROM dynamo_nodes('own');
SELECT count(*) > 0 AS granted FROM dynamo_nodes('dynamo');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION dynamo_nodes(text) FROM plain;
ALTER USER MAPPING FOR plain SERVER own OPTIONS (ADD password_required 'false', SET password 'wrong');
SET ROLE plain;
SELECT v FROM t WHERE id = 1;
RESET ROLE;

-- The rights of a view's owner count behind the view.
CREATE VIEW through AS SELECT * FROM t;
GRANT SELECT, INSERT ON through TO plain;
SET ROLE plain;
SELECT v FROM through WHERE id = 1;
INSERT INTO through VALUES (3, '{three}');
RESET ROLE;
SELECT v FROM t WHERE id = 3;
-- Likewise for a partition, which the query does not name.
CREATE TABLE whole (id int, v text[]) PARTITION BY LIST (id);
CREATE FOREIGN TABLE whole_rest PARTITION OF whole DEFAULT SERVER own OPTIONS (bucket 'connections_t');
ALTER FOREIGN TABLE whole_rest ALTER COLUMN id OPTIONS (ADD key 'true');
CREATE VIEW through_whole AS SELECT * FROM whole;
GRANT SELECT, UPDATE ON through_whole TO plain;
SET ROLE plain;
UPDATE through_whole SET v = v || '{four}' WHERE id = 3 RETURNING v;
SELECT v FROM through_whole ORDER BY v;
RESET ROLE;

-- Others do not see the passwords.
SET ROLE plain;
SELECT count(*) FROM pg_user_mappings WHERE srvname = 'dynamo' AND umoptions IS NOT NULL;
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA connections_test CASCADE;
DROP SERVER own CASCADE;
DROP FOREIGN DATA WRAPPER other CASCADE;
DROP ROLE plain;
