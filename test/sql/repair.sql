-- Replicas that are compared and mended on demand, and how that stands: from SQL, who may, what is refused.
CREATE SCHEMA repair_test;
SET search_path = repair_test, public;
\set VERBOSITY terse

-- A table's bucket, with what the nodes know of it.
CREATE FOREIGN TABLE t (id int OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'repair_t');
INSERT INTO t SELECT i, ARRAY['v' || i] FROM generate_series(1, 100) i;
CREATE VIEW known AS SELECT * FROM dynamo_repair_status('dynamo') WHERE bucket = 'repair_t';
SELECT count(DISTINCT node) AS nodes, count(DISTINCT (node, peer)) AS pairs, count(DISTINCT partition) AS partitions, count(*)
    FROM known;
SELECT count(*) FROM known WHERE node = peer OR error IS NOT NULL;
-- A bucket of one replica is compared with nobody.
CREATE FOREIGN TABLE one (id int OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'repair_one', n '1', r '1', w '1');
INSERT INTO one VALUES (1, '{alone}');
SELECT count(*) FROM dynamo_repair_status('dynamo') WHERE bucket = 'repair_one';
SELECT sum(queued) FROM dynamo_repair('dynamo_admin', 'repair_one');

-- What is asked for is done at once. Waits until all that was asked for after a moment has been found equal.
CREATE PROCEDURE await_equal(since timestamptz) LANGUAGE plpgsql AS $$
DECLARE
    late int;
BEGIN
    FOR try IN 1 .. 1000 LOOP
        SELECT count(*) INTO late FROM repair_test.known WHERE equal_at IS NULL OR equal_at < since OR state <> 'idle';
        EXIT WHEN late = 0;
        PERFORM pg_sleep(0.02);
    END LOOP;
    RAISE INFO 'not known to be equal: %', late;
END
$$;
SELECT date_trunc('milliseconds', clock_timestamp()) AS asked \gset
SELECT name = ANY (SELECT node FROM known) AS known, queued, error FROM dynamo_repair('dynamo_admin', 'repair_t');
CALL await_equal(:'asked');
SELECT state, bool_and(compared_at >= :'asked') AS compared, bool_and(equal_at >= :'asked') AS equal,
       bool_and(progress_percent IS NULL AND time_left IS NULL) AS at_rest
    FROM known GROUP BY state;

-- Of one node: with it from the others, and with all others from itself.
SELECT min(node) AS node FROM known \gset
SELECT name = :'node' AS itself, queued, error FROM dynamo_repair('dynamo_admin', 'repair_t', :'node') ORDER BY 1;
SELECT count(*) FROM dynamo_repair('dynamo_admin', node => :'node') WHERE queued >= 256;
SELECT count(*) FROM dynamo_repair('dynamo_admin') WHERE queued >= 512;

-- More rows than one page of a node's answer has.
DO $$
BEGIN
    FOR i IN 1 .. 2 LOOP
        EXECUTE format('CREATE FOREIGN TABLE t%s (id int OPTIONS (key ''true''), v text[]) SERVER dynamo OPTIONS (bucket ''repair_t%s'')', i, i);
        EXECUTE format('INSERT INTO t%s VALUES (1, ''{one}'')', i);
    END LOOP;
END
$$;
SELECT min(rows) > 1024 AS more, bool_and(rows = different) AS each_once
    FROM (SELECT count(*) AS rows, count(DISTINCT (peer, bucket, partition)) AS different
          FROM dynamo_repair_status('dynamo') GROUP BY node) AS n;
SELECT count(*) FROM dynamo_repair_status('dynamo') WHERE bucket LIKE 'repair\_t%';

-- What cannot be.
SELECT * FROM dynamo_repair('dynamo_admin', 'repair_nosuch');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM dynamo_repair('dynamo_admin', 'repair_t', 'nosuch');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM dynamo_repair('nosuch');
SELECT * FROM dynamo_repair_status('nosuch');
SELECT count(*) FROM dynamo_repair(NULL);
SELECT count(*) FROM dynamo_repair_status(NULL);

-- Who may: on the nodes an admin, here who was granted it.
SELECT * FROM dynamo_repair('dynamo');
\echo :LAST_ERROR_SQLSTATE
CREATE ROLE plain;
SET ROLE plain;
SELECT * FROM dynamo_repair('dynamo_admin');
SELECT * FROM dynamo_repair_status('dynamo');
RESET ROLE;
DROP ROLE plain;
\set VERBOSITY default
-- In full words, but for what differs from run to run.
DO $$
DECLARE
    message text;
    detail  text;
    hint    text;
    bucket  text;
    server  text;
BEGIN
    FOR server, bucket IN VALUES ('dynamo_admin', 'repair_nosuch'), ('dynamo', 'repair_t') LOOP
        BEGIN
            PERFORM dynamo_repair(server, bucket);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
            RAISE INFO E'%\n%\n%', message, regexp_replace(detail, 'Node .*\)', 'Node ...'), hint;
        END;
    END LOOP;
END
$$;

SET client_min_messages = warning;
DROP SCHEMA repair_test CASCADE;
