-- INSERT in all its forms: each row is one put, sent when the transaction commits.
CREATE SCHEMA insert_test;
SET search_path = insert_test;
CREATE FOREIGN TABLE thing (
    id      int    OPTIONS (key 'true'),
    name    text[],
    price   numeric[],
    context bytea  OPTIONS (context 'true')
) SERVER dynamo OPTIONS (bucket 'insert_thing');

-- One row, several, from a query, with defaults.
INSERT INTO thing (id, name, price) VALUES (1, '{hat}', '{9.50}');
INSERT INTO thing (id, name) VALUES (2, '{coat}'), (3, '{scarf}');
INSERT INTO thing SELECT g, ARRAY['thing ' || g], ARRAY[g] FROM generate_series(4, 6) g;
ALTER FOREIGN TABLE thing ALTER price SET DEFAULT '{1}';
INSERT INTO thing (id, name) VALUES (7, '{sock}');
INSERT INTO thing (id) VALUES (8);
SELECT id, name, price, context IS NOT NULL AS has_context FROM thing ORDER BY id;

-- Prepared, by custom and by generic plans.
PREPARE put(int, text) AS INSERT INTO thing (id, name) VALUES ($1, ARRAY[$2]);
EXECUTE put(20, 'custom');
SET plan_cache_mode = force_generic_plan;
EXECUTE put(21, 'generic');
RESET plan_cache_mode;
DEALLOCATE put;
SELECT id, name FROM thing WHERE id IN (20, 21) ORDER BY id;

-- Two blind puts of a key are siblings, also within one transaction and one statement.
INSERT INTO thing (id, name) VALUES (30, '{first}'), (30, '{second}');
SELECT cardinality(name) AS siblings FROM thing WHERE id = 30;

-- The elements of one row keep their order.
INSERT INTO thing (id, name, price) SELECT 31, array_agg('n' || g ORDER BY g), NULL FROM generate_series(1, 20) g;
SELECT name = (SELECT array_agg('n' || g ORDER BY g) FROM generate_series(1, 20) g) AS in_order FROM thing WHERE id = 31;

-- RETURNING shows what was put; the context is known only after the commit.
INSERT INTO thing (id, name) VALUES (40, '{returned}') RETURNING id, name, price, context, tableoid::regclass;
WITH put AS (INSERT INTO thing (id, name) VALUES (41, '{a}'), (42, '{b}') RETURNING id)
    SELECT count(*), sum(id) FROM put;

-- Generated columns, triggers.
CREATE FOREIGN TABLE derived (
    id int OPTIONS (key 'true'), a int[], b int[] GENERATED ALWAYS AS (ARRAY[a[1] * 10]) STORED
) SERVER dynamo OPTIONS (bucket 'insert_derived');
INSERT INTO derived (id, a) VALUES (1, '{1}');
INSERT INTO derived (id, a, b) VALUES (2, '{1}', '{2}');
SELECT * FROM derived ORDER BY id;

CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '% % %: %', tg_when, tg_op, tg_level, new.id;
    IF tg_when = 'BEFORE' AND new.id = 51 THEN
        RETURN NULL;
    END IF;
    new.name := ARRAY['by trigger'];
    RETURN new;
END $$;
CREATE TRIGGER before_row BEFORE INSERT ON thing FOR EACH ROW EXECUTE FUNCTION loud();
CREATE TRIGGER after_row AFTER INSERT ON thing FOR EACH ROW EXECUTE FUNCTION loud();
INSERT INTO thing (id, name) VALUES (50, '{by user}'), (51, '{not at all}');
DROP TRIGGER before_row ON thing;
DROP TRIGGER after_row ON thing;
SELECT id, name FROM thing WHERE id IN (50, 51);

-- Views with a CHECK OPTION.
CREATE VIEW cheap AS SELECT * FROM thing WHERE price[1] < 10 WITH CHECK OPTION;
INSERT INTO cheap (id, name, price) VALUES (60, '{pin}', '{1}');
INSERT INTO cheap (id, name, price) VALUES (61, '{ring}', '{100}');
SELECT id FROM thing WHERE id IN (60, 61);

-- Rows that a partitioned table routes to foreign partitions.
CREATE TABLE parted (id int, v text[]) PARTITION BY RANGE (id);
CREATE TABLE parted_here PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE FOREIGN TABLE parted_there (id int OPTIONS (key 'true'), v text[])
    SERVER dynamo OPTIONS (bucket 'insert_parted');
ALTER TABLE parted ATTACH PARTITION parted_there FOR VALUES FROM (10) TO (20);
INSERT INTO parted SELECT g, ARRAY['p' || g] FROM generate_series(8, 12) g;
SELECT tableoid::regclass, * FROM parted ORDER BY id;
INSERT INTO parted VALUES (25, '{nowhere}');
UPDATE parted_here SET v = '{here}' WHERE id = 8;
UPDATE parted SET id = 14 WHERE id = 9;
SELECT tableoid::regclass, * FROM parted WHERE id IN (8, 9, 14) ORDER BY id;
INSERT INTO parted VALUES (13, '{x}') ON CONFLICT DO NOTHING;

-- A statement that reads what it writes to sees the bucket as it was.
INSERT INTO thing (id, name) SELECT id + 100, name FROM thing WHERE id IN (1, 2, 3);
SELECT id, name FROM thing WHERE id BETWEEN 101 AND 103 ORDER BY id;

-- Contexts: of the row itself, of another key, made up, and one already used.
INSERT INTO thing SELECT 30, '{resolved}', NULL, context FROM thing WHERE id = 30;
SELECT name FROM thing WHERE id = 30;
INSERT INTO thing SELECT 30, '{wrong}', NULL, context FROM thing WHERE id = 1;
INSERT INTO thing VALUES (30, '{wrong}', NULL, '\x0102030405');
INSERT INTO thing SELECT g, '{mixed}', NULL, CASE g WHEN 35 THEN '\x00'::bytea END FROM generate_series(34, 36) g;
SELECT id FROM thing WHERE id BETWEEN 34 AND 36 ORDER BY id;
SELECT name FROM thing WHERE id = 30;

-- What is refused, and that nothing of it is written.
INSERT INTO thing (id, name) VALUES (NULL, '{x}');
INSERT INTO thing (id, name, price) VALUES (70, '{a,b}', '{1}');
INSERT INTO thing (id, name) VALUES (71, '{}');
INSERT INTO thing (id, name) VALUES (72, '{x}'), (NULL, '{y}');
INSERT INTO thing (id, name) VALUES (73, '{x}') ON CONFLICT DO NOTHING;
INSERT INTO thing (id, name) VALUES (73, '{x}') ON CONFLICT (id) DO UPDATE SET name = '{y}';
TRUNCATE thing;
SELECT count(*) FROM thing WHERE id BETWEEN 70 AND 79;

-- Too large for the nodes. The sizes are the nodes' to say.
CREATE FOREIGN TABLE wide (id text OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'insert_wide');
INSERT INTO wide VALUES ('fits', ARRAY[repeat('x', 1000000)]);
INSERT INTO wide VALUES ('value', ARRAY[repeat('x', 2000000)]);
\set VERBOSITY terse
\echo :LAST_ERROR_SQLSTATE
INSERT INTO wide VALUES (repeat('k', 5000), '{x}');
\echo :LAST_ERROR_SQLSTATE
SELECT id, length(v[1]) FROM wide;
-- It is the statement that is refused, before anything of the transaction has left.
BEGIN;
INSERT INTO wide VALUES ('before', '{x}');
SAVEPOINT here;
INSERT INTO wide VALUES ('too large', ARRAY[repeat('x', 2000000)]);
ROLLBACK TO here;
INSERT INTO wide VALUES ('after', '{x}');
COMMIT;
UPDATE wide SET v = ARRAY[repeat('y', 2000000)] WHERE id = 'before';
\set VERBOSITY default
INSERT INTO wide VALUES ('value', ARRAY['x', repeat('x', 2000000)]);
SELECT id, length(v[1]) FROM wide ORDER BY id;

-- A bucket of another shape; more replicas than nodes; a quorum that cannot be.
\set VERBOSITY default
CREATE FOREIGN TABLE wide_int (id int OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'insert_wide');
INSERT INTO wide_int VALUES (1, '{x}');
SELECT * FROM wide_int WHERE id = 1;
CREATE FOREIGN TABLE wide_n (id text OPTIONS (key 'true'), v text[]) SERVER dynamo
    OPTIONS (bucket 'insert_wide', n '2', r '1', w '1');
INSERT INTO wide_n VALUES ('x', '{x}');
CREATE FOREIGN TABLE many (id int OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'insert_many', n '9');
\set VERBOSITY terse
INSERT INTO many VALUES (1, '{x}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM many;
\set VERBOSITY default
SET dynamo_fdw.w = 4;
INSERT INTO wide VALUES ('w', '{x}');
SET dynamo_fdw.w = 3;
INSERT INTO wide VALUES ('w', '{x}');
RESET dynamo_fdw.w;

-- EXPLAIN sends nothing and connects to nothing.
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO thing (id, name) VALUES (80, '{explained}');
SELECT count(*) FROM thing WHERE id = 80;
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) INSERT INTO thing (id, name) VALUES (80, '{analyzed}');
SELECT name FROM thing WHERE id = 80;

-- Whoever reads the catalogs sees that rows can be inserted.
SELECT is_insertable_into FROM information_schema.tables WHERE table_schema = 'insert_test' AND table_name = 'thing';

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA insert_test CASCADE;
