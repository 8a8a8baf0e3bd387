-- DELETE writes a tombstone under the context that its scan read.
CREATE SCHEMA delete_test;
SET search_path = delete_test;
CREATE FOREIGN TABLE cart (
    id      int    OPTIONS (key 'true'),
    item    text[],
    context bytea  OPTIONS (context 'true')
) SERVER dynamo OPTIONS (bucket 'delete_cart');
CREATE FOREIGN TABLE bare (id int OPTIONS (key 'true'), item text[])
    SERVER dynamo OPTIONS (bucket 'delete_cart');

DELETE FROM cart;
INSERT INTO cart (id, item) SELECT g, ARRAY['i' || g] FROM generate_series(1, 20) g;
DELETE FROM cart WHERE id = 1;
DELETE FROM bare WHERE id IN (2, 3, 1000);
DELETE FROM bare WHERE item[1] = 'i4';
SELECT id, item FROM cart WHERE id <= 5 ORDER BY id;
SELECT count(*), min(id) FROM cart;

-- A deleted row is gone for every path; it can be written again, and deleted again.
DELETE FROM cart WHERE id = 1;
UPDATE cart SET item = '{x}' WHERE id = 1;
INSERT INTO cart (id, item) VALUES (1, '{again}');
SELECT id, item FROM cart WHERE id = 1;
DELETE FROM bare WHERE id = 1;
SELECT id, item FROM cart WHERE id = 1;

-- All siblings of the row go; what was written since they were read stays.
INSERT INTO cart (id, item) VALUES (30, '{a}'), (30, '{b}'), (30, '{c}');
DELETE FROM cart WHERE id = 30;
SELECT count(*) FROM cart WHERE id = 30;
CREATE TEMP TABLE seen AS SELECT context FROM cart WHERE id = 6;
DELETE FROM cart WHERE id = 6;
INSERT INTO cart SELECT 6, '{concurrent}', context FROM seen;
SELECT id, item FROM cart WHERE id = 6;
DELETE FROM cart WHERE id = 6;
SELECT count(*) FROM cart WHERE id = 6;

-- Beside a tombstone a value is the row, and its context covers both.
INSERT INTO cart SELECT 6, '{concurrent with both deletes}', context FROM seen;
UPDATE cart SET item = ARRAY[item[1] || ', resolved'] WHERE id = 6;
SELECT id, item FROM cart WHERE id = 6;

-- RETURNING the old row; in a query; with triggers.
DELETE FROM cart WHERE id = 7 RETURNING id, item, context IS NOT NULL AS has_context, tableoid::regclass;
DELETE FROM bare WHERE id IN (8, 9) RETURNING *;
WITH d AS (DELETE FROM bare WHERE id IN (10, 11) RETURNING id) SELECT count(*), sum(id) FROM d;
CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '% %: % %', tg_when, tg_op, old.id, old.item;
    IF old.id = 13 THEN
        RETURN NULL;
    END IF;
    RETURN old;
END $$;
CREATE TRIGGER before_row BEFORE DELETE ON bare FOR EACH ROW EXECUTE FUNCTION loud();
CREATE TRIGGER after_row AFTER DELETE ON bare FOR EACH ROW EXECUTE FUNCTION loud();
DELETE FROM bare WHERE id = 12 RETURNING item;
DELETE FROM bare WHERE id = 13;
DROP TRIGGER before_row ON bare;
DROP TRIGGER after_row ON bare;
SELECT id FROM cart WHERE id BETWEEN 7 AND 14 ORDER BY id;

-- USING: a second match is skipped.
CREATE TABLE local (id int, note text);
INSERT INTO local VALUES (13, 'a'), (13, 'b'), (14, 'c');
DELETE FROM cart USING local l WHERE cart.id = l.id RETURNING cart.id, item;
DELETE FROM bare WHERE EXISTS (SELECT FROM local l WHERE 'i' || l.id + 2 = bare.item[1]);
DELETE FROM local USING cart WHERE cart.id = local.id;
WITH a AS (DELETE FROM cart WHERE id = 17 RETURNING id), b AS (UPDATE bare SET item = '{b}' WHERE id = 17 RETURNING id)
    SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM b) AS once;
WITH moved AS (DELETE FROM cart WHERE id = 18 RETURNING id, item) INSERT INTO bare SELECT id + 100, item FROM moved;
SELECT id, item FROM cart WHERE id > 12 AND id <> 17 ORDER BY id;

-- Prepared; in a transaction; rolled back.
PREPARE gone(int) AS DELETE FROM cart WHERE id = $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE gone(19);
RESET plan_cache_mode;
BEGIN;
DELETE FROM cart;
ROLLBACK;
BEGIN;
DELETE FROM cart WHERE id = 20;
SAVEPOINT s;
DELETE FROM cart WHERE id = 118;
ROLLBACK TO s;
INSERT INTO cart (id, item) VALUES (20, '{after the delete}');
COMMIT;
SELECT id, item FROM cart WHERE id > 18 ORDER BY id;

-- Partitions; what is refused.
CREATE TABLE parted (id int, v text[]) PARTITION BY RANGE (id);
CREATE TABLE parted_here PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE FOREIGN TABLE parted_there (v text[], id int OPTIONS (key 'true'))
    SERVER dynamo OPTIONS (bucket 'delete_parted');
ALTER TABLE parted ATTACH PARTITION parted_there FOR VALUES FROM (10) TO (20);
INSERT INTO parted SELECT g, ARRAY['p' || g] FROM generate_series(8, 12) g;
DELETE FROM parted WHERE id IN (9, 10) RETURNING tableoid::regclass, *;
DELETE FROM parted WHERE v[1] = 'p12';
SELECT tableoid::regclass, * FROM parted ORDER BY id;
TRUNCATE cart;

EXPLAIN (VERBOSE, COSTS OFF) DELETE FROM cart WHERE id = 1;
EXPLAIN (VERBOSE, COSTS OFF) DELETE FROM bare WHERE id = 1 RETURNING item;

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA delete_test CASCADE;
