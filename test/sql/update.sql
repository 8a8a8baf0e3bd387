-- UPDATE puts the new row under the context that its scan read.
CREATE SCHEMA update_test;
SET search_path = update_test;
CREATE FOREIGN TABLE cart (
    id      int    OPTIONS (key 'true'),
    item    text[],
    pieces  int[],
    context bytea  OPTIONS (context 'true')
) SERVER dynamo OPTIONS (bucket 'update_cart');
-- The same bucket without its context column, and without pieces.
CREATE FOREIGN TABLE bare (id int OPTIONS (key 'true'), item text[], pieces int[])
    SERVER dynamo OPTIONS (bucket 'update_cart');
CREATE FOREIGN TABLE narrow (id int OPTIONS (key 'true'), item text[])
    SERVER dynamo OPTIONS (bucket 'update_cart');
CREATE VIEW sorted AS
    SELECT id, s.item, s.pieces FROM cart, unnest(item, pieces) AS s(item, pieces) ORDER BY id, s.item, s.pieces;

-- Of an absent bucket, then of one row, with and without a context column: no sibling is left.
UPDATE cart SET item = '{none}';
INSERT INTO cart (id, item, pieces) SELECT g, ARRAY['i' || g], ARRAY[g] FROM generate_series(1, 20) g;
UPDATE cart SET item = '{tea}' WHERE id = 1;
UPDATE bare SET item = '{milk}' WHERE id = 2;
UPDATE cart SET item = '{none}' WHERE id = 1000;
SELECT * FROM sorted WHERE id <= 2;

-- Several rows, by a list of keys, by a condition that is checked here, all of them; expressions of the old row.
UPDATE cart SET pieces = ARRAY[pieces[1] + 100] WHERE id IN (3, 4, 1000);
UPDATE bare SET pieces = ARRAY[pieces[1] + 1000] WHERE pieces[1] BETWEEN 5 AND 7;
SELECT * FROM sorted WHERE id BETWEEN 3 AND 8;
UPDATE bare SET item = ARRAY[upper(item[1])];
SELECT count(*), count(*) FILTER (WHERE item[1] = upper(item[1])), max(cardinality(item)) FROM cart;
UPDATE cart SET item = NULL, pieces = DEFAULT WHERE id = 8;
SELECT id, item, pieces FROM cart WHERE id = 8;

-- Siblings are resolved; or each changed, as many as there were; or more are made of them.
INSERT INTO cart (id, item, pieces) VALUES (30, '{a}', '{1}'), (30, '{b}', '{2}');
UPDATE cart SET item = ARRAY(SELECT upper(i) FROM unnest(item) i) WHERE id = 30;
SELECT * FROM sorted WHERE id = 30;
UPDATE bare SET item = ARRAY['a and b'], pieces = ARRAY[(SELECT sum(p) FROM unnest(pieces) p)] WHERE id = 30;
SELECT * FROM sorted WHERE id = 30;
UPDATE cart SET item = '{x,y,z}', pieces = '{7,8,9}' WHERE id = 30;
SELECT id, item, pieces FROM cart WHERE id = 30;
UPDATE cart SET item = '{one}' WHERE id = 30;
UPDATE cart SET item = '{}', pieces = NULL WHERE id = 30;

-- A column that the table does not declare is carried through where there is one sibling.
UPDATE narrow SET item = '{carried}' WHERE id = 1;
SELECT id, item, pieces FROM cart WHERE id = 1;
UPDATE narrow SET item = '{p,q}' WHERE id = 1;
SELECT id, item, pieces FROM cart WHERE id = 1;
UPDATE narrow SET item = '{one}' WHERE id = 1;
SELECT id, item, pieces FROM cart WHERE id = 1;

-- What was written since the row was read stays: here the context is handed back explicitly.
CREATE TEMP TABLE seen AS SELECT context FROM cart WHERE id = 9;
INSERT INTO cart (id, item) VALUES (9, '{since}');
UPDATE cart SET item = '{by hand}', pieces = '{0}', context = (SELECT context FROM seen) WHERE id = 9;
SELECT * FROM sorted WHERE id = 9;
UPDATE cart SET item = '{saw it all}', pieces = '{1}' WHERE id = 9;
SELECT * FROM sorted WHERE id = 9;
UPDATE cart SET context = NULL WHERE id = 9;
SELECT * FROM sorted WHERE id = 9;
UPDATE cart SET context = (SELECT context FROM cart WHERE id = 10) WHERE id = 11;

-- The key of a row stays what it is, whoever changes it.
UPDATE cart SET id = 500 WHERE id = 1;
UPDATE cart SET id = id, item = '{same key}' WHERE id = 1;
UPDATE cart SET id = id + 1 WHERE id = 2;
UPDATE cart SET id = NULL WHERE id = 1;
CREATE FUNCTION change_key() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.id := new.id + 500; RETURN new; END $$;
CREATE TRIGGER change_key BEFORE UPDATE ON bare FOR EACH ROW EXECUTE FUNCTION change_key();
UPDATE bare SET item = '{x}' WHERE id = 1;
DROP TRIGGER change_key ON bare;
SELECT id, item FROM cart WHERE id = 1 OR id > 40;

-- RETURNING.
UPDATE cart SET item = '{returned}' WHERE id = 10 RETURNING id, item, pieces, tableoid::regclass;
UPDATE narrow SET item = '{again}' WHERE id = 10 RETURNING *;
WITH u AS (UPDATE cart SET pieces = ARRAY[0] WHERE id IN (10, 11, 12) RETURNING id) SELECT count(*), sum(id) FROM u;

-- FROM: local tables, by lookups, by a hash join, by a join of the whole bucket; other foreign tables; the bucket itself.
CREATE TABLE local (id int, note text);
INSERT INTO local SELECT g, 'note ' || g FROM generate_series(13, 15) g;
ANALYZE local;
UPDATE cart SET item = ARRAY[l.note] FROM local l WHERE cart.id = l.id;
UPDATE bare SET pieces = ARRAY[l.id * 2] FROM local l WHERE bare.id = l.id RETURNING bare.id, l.note;
UPDATE bare SET item = ARRAY['in'] WHERE id IN (SELECT id FROM local WHERE id < 15);
SET enable_nestloop = off;
SET dynamo_fdw.enable_batch_join = off;
UPDATE bare SET pieces = ARRAY[pieces[1] + 1] FROM local l WHERE 'note ' || bare.id = l.note;
SET enable_hashjoin = off;
UPDATE bare SET pieces = ARRAY[pieces[1] + 1] FROM local l WHERE 'note ' || bare.id = l.note;
RESET enable_nestloop;
RESET enable_hashjoin;
UPDATE bare SET pieces = ARRAY[pieces[1] + 1] FROM local l WHERE bare.id = l.id;
RESET dynamo_fdw.enable_batch_join;
EXPLAIN (COSTS OFF) UPDATE bare SET pieces = ARRAY[pieces[1] + 1] FROM local l WHERE bare.id = l.id AND pieces[1] > 30;
UPDATE bare SET pieces = ARRAY[pieces[1] + 1] FROM local l WHERE bare.id = l.id AND pieces[1] > 30 RETURNING *;
UPDATE cart SET item = ARRAY[cart.item[1] || ' after ' || other.item[1]] FROM bare other WHERE other.id = cart.id - 1 AND cart.id = 15;
SELECT * FROM sorted WHERE id BETWEEN 13 AND 15;

-- Sub-selects of every kind, over the bucket too.
UPDATE bare SET (item, pieces) = (SELECT ARRAY[note], ARRAY[l.id] FROM local l WHERE l.id = bare.id) WHERE id IN (13, 14);
UPDATE cart SET item = (SELECT array_agg(b.item[1] ORDER BY b.id) FROM bare b WHERE b.id IN (13, 14)), pieces = NULL WHERE id = 15;
UPDATE cart SET item = item[1:1], pieces = NULL WHERE id = 15 AND EXISTS (SELECT FROM bare b WHERE b.id = cart.id - 1);
SELECT * FROM sorted WHERE id BETWEEN 13 AND 15;

-- A second match of a key is skipped, as it is for a table's row.
UPDATE cart SET item = ARRAY['from ' || g] FROM generate_series(7, 9) g WHERE cart.id = 16;
UPDATE bare SET pieces = ARRAY[pieces[1] + 1] FROM (VALUES (17), (17), (18)) v(id) WHERE bare.id = v.id;
WITH a AS (UPDATE cart SET item = '{a}' WHERE id = 19), b AS (UPDATE bare SET item = '{b}' WHERE id = 19) SELECT;
SELECT id, cardinality(item), item[1] LIKE 'from %' AS by_from, pieces FROM cart WHERE id BETWEEN 16 AND 19 ORDER BY id;

-- Prepared, by custom and by generic plans.
PREPARE change(int, text) AS UPDATE cart SET item = ARRAY[$2] WHERE id = $1;
EXECUTE change(16, 'custom');
SET plan_cache_mode = force_generic_plan;
EXECUTE change(17, 'generic');
EXECUTE change(18, 'generic');
RESET plan_cache_mode;
DEALLOCATE change;
SELECT * FROM sorted WHERE id BETWEEN 16 AND 18;

-- Triggers, generated columns, views with a CHECK OPTION.
CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '% %: % % to % %', tg_when, tg_op, old.id, old.item, new.id, new.item;
    IF new.id = 18 THEN
        RETURN NULL;
    END IF;
    new.item := ARRAY['by trigger'];
    RETURN new;
END $$;
CREATE TRIGGER before_row BEFORE UPDATE ON bare FOR EACH ROW EXECUTE FUNCTION loud();
CREATE TRIGGER after_row AFTER UPDATE ON bare FOR EACH ROW EXECUTE FUNCTION loud();
UPDATE bare SET item = '{by user}' WHERE id = 17;
UPDATE bare SET item = '{by user}' WHERE id = 18;
DROP TRIGGER before_row ON bare;
DROP TRIGGER after_row ON bare;
CREATE FOREIGN TABLE derived (
    id int OPTIONS (key 'true'), pieces int[], twice int[] GENERATED ALWAYS AS (ARRAY[pieces[1] * 2]) STORED
) SERVER dynamo OPTIONS (bucket 'update_cart');
UPDATE derived SET pieces = '{21}' WHERE id = 17;
SELECT d.*, c.item FROM derived d JOIN cart c ON c.id = d.id WHERE d.id = 17;
CREATE VIEW few AS SELECT * FROM bare WHERE pieces[1] < 100 WITH CHECK OPTION;
UPDATE few SET pieces = '{5}' WHERE id = 17;
UPDATE few SET pieces = '{500}' WHERE id = 17;
SELECT id, pieces FROM bare WHERE id = 17;

-- Partitions: rows stay where they are; a local row may move here, and meets what is here as a sibling.
CREATE TABLE parted (id int, v text[]) PARTITION BY RANGE (id);
CREATE TABLE parted_here PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE FOREIGN TABLE parted_there (v text[], id int OPTIONS (key 'true'))
    SERVER dynamo OPTIONS (bucket 'update_parted');
ALTER TABLE parted ATTACH PARTITION parted_there FOR VALUES FROM (10) TO (20);
INSERT INTO parted SELECT g, ARRAY['p' || g] FROM generate_series(8, 12) g;
UPDATE parted SET v = v || ARRAY['x'] WHERE id IN (9, 10) RETURNING tableoid::regclass, *;
UPDATE parted SET v = ARRAY['all'] WHERE id <> 10;
UPDATE parted SET id = id + 5 WHERE id = 9 OR v[1] = 'no such row';
UPDATE parted SET id = id - 5 WHERE id = 12;
SELECT tableoid::regclass, * FROM parted ORDER BY id;

-- In a transaction, the second time over what it has written itself.
BEGIN;
UPDATE cart SET item = '{zeroth}' WHERE id = 1;
UPDATE cart SET item = '{first}' WHERE id = 1;
SAVEPOINT s;
UPDATE cart SET item = '{second}' WHERE id IN (1, 2);
ROLLBACK TO s;
UPDATE parted_there SET v = '{other bucket}';
ROLLBACK TO s;
INSERT INTO cart (id, item) VALUES (600, '{x}');
COMMIT;
SELECT id, item FROM cart WHERE id IN (1, 2, 600) ORDER BY id;
BEGIN;
UPDATE bare SET item = '{never}', pieces = '{0}';
ROLLBACK;
SELECT count(*) FROM cart WHERE 'never' = ANY (item);
-- A stable function sees what the statement sees; a volatile one sees what it has done so far.
CREATE FUNCTION stored(key int) RETURNS text STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT item[1] FROM bare WHERE bare.id = key); END $$;
UPDATE cart SET item = ARRAY[item[1] || '/' || stored(3)] WHERE id IN (3, 4);
SELECT id, item FROM cart WHERE id IN (3, 4) ORDER BY id;
ALTER FUNCTION stored VOLATILE;
UPDATE cart SET item = ARRAY[item[1] || '/' || stored(3)] WHERE id IN (3, 4);
SELECT id, item FROM cart WHERE id IN (3, 4) ORDER BY id;

-- Rows that wait for their write have a bound, and rows that do not match do not count.
SET dynamo_fdw.max_pending = '64kB';
CREATE FOREIGN TABLE big (id int OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'update_big');
INSERT INTO big SELECT g, '{small}' FROM generate_series(1, 150) g;
INSERT INTO big SELECT g, '{small}' FROM generate_series(151, 300) g;
INSERT INTO big SELECT g, '{small}' FROM generate_series(301, 450) g;
INSERT INTO big SELECT g, '{small}' FROM generate_series(451, 600) g;
INSERT INTO big SELECT g, '{small}' FROM generate_series(601, 750) g;
UPDATE big SET v = '{filtered}' WHERE v[1] = 'small' AND id % 75 = 0;
UPDATE big SET v = ARRAY[repeat('x', 1000)];
SET enable_nestloop = off;
UPDATE big SET v = '{joined}' FROM local l WHERE 'note ' || big.id = l.note;
RESET enable_nestloop;
RESET dynamo_fdw.max_pending;
UPDATE big SET v = '{joined}' FROM local l WHERE 'note ' || big.id = l.note;
SELECT v, count(*) FROM big GROUP BY v ORDER BY v;

-- Many rows: more than one block of handles, more than one batch of a join.
CREATE FOREIGN TABLE huge (id int OPTIONS (key 'true'), v int[]) SERVER dynamo OPTIONS (bucket 'update_huge');
INSERT INTO huge SELECT g, ARRAY[g] FROM generate_series(1, 40000) g;
SET enable_nestloop = off;
SET dynamo_fdw.enable_batch_join = off;
UPDATE huge SET v = ARRAY[v[1] + id] FROM generate_series(1, 40000) g WHERE huge.id + 0 = g;
RESET dynamo_fdw.enable_batch_join;
RESET enable_nestloop;
SELECT count(*), sum(v[1]), max(cardinality(v)) FROM huge WHERE v[1] = 2 * id;
UPDATE huge SET v = ARRAY[-v[1]] FROM generate_series(1, 3000) g WHERE huge.id = g;
SELECT count(*), min(v[1]), max(cardinality(v)) FROM huge WHERE v[1] < 0;

-- Cursors have no place in a bucket.
BEGIN;
DECLARE c CURSOR FOR SELECT id, item FROM cart WHERE id = 1;
FETCH c;
UPDATE cart SET item = '{x}' WHERE CURRENT OF c;
ROLLBACK;

-- FOR UPDATE locks nothing and disturbs nothing.
SELECT id, item FROM cart WHERE id = 1 FOR UPDATE;
SELECT l.id, c.item FROM local l JOIN cart c ON c.id = l.id ORDER BY l.id FOR UPDATE;

-- MERGE is PostgreSQL's to refuse.
MERGE INTO cart USING local l ON l.id = cart.id WHEN MATCHED THEN DELETE;

-- EXPLAIN says what is sent.
EXPLAIN (VERBOSE, COSTS OFF) UPDATE cart SET item = '{x}' WHERE id = 1;
EXPLAIN (VERBOSE, COSTS OFF) UPDATE bare SET item = '{x}' WHERE pieces[1] > 5;
SELECT is_updatable, is_insertable_into FROM information_schema.views WHERE table_schema = 'update_test' AND table_name = 'few';
SELECT pg_relation_is_updatable('cart'::regclass, false) AS updatable;

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA update_test CASCADE;
