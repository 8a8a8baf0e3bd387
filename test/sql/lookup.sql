-- Key lookups give what a filter over the whole bucket would.
CREATE FOREIGN TABLE item (id bigint OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'lookup_item');

-- A bucket that is not there yet has no rows.
SELECT * FROM item WHERE id = 1;
SELECT count(*) FROM item;

INSERT INTO item SELECT g, ARRAY['v' || g] FROM generate_series(1, 3000) g;

-- One, several, none; doubled and NULL elements; types that differ; out of range.
SELECT * FROM item WHERE id = 7;
SELECT * FROM item WHERE id = 0;
SELECT * FROM item WHERE id IN (3, 1, 2, 3, 99999) ORDER BY id;
SELECT * FROM item WHERE id = ANY (ARRAY[5, NULL, 5, 6]) ORDER BY id;
SELECT * FROM item WHERE id = ANY (NULL::int[]);
SELECT * FROM item WHERE id = ANY ('{}'::int[]);
SELECT * FROM item WHERE id = NULL;
SELECT * FROM item WHERE id = 7::smallint;
SELECT * FROM item WHERE id = 7 AND v[1] = 'v8';
SELECT * FROM item WHERE id = 7 AND id = 8;
SELECT * FROM item WHERE id IN (7, 8) AND id = 8;
SELECT * FROM item WHERE id = 7 OR id = 8 ORDER BY id;

-- More keys than one request holds.
SELECT count(*), sum(id) FROM item WHERE id = ANY (ARRAY(SELECT generate_series(-500, 3500)));
SELECT count(*), sum(id) FROM item WHERE id = ANY (ARRAY(SELECT generate_series(1, 1024)));
SELECT count(*), sum(id) FROM item WHERE id = ANY (ARRAY(SELECT generate_series(1, 1025)));
SELECT count(*) FROM (SELECT FROM item WHERE id = ANY (ARRAY(SELECT generate_series(1, 3000))) LIMIT 1500) x;
SELECT n, (SELECT sum(id) FROM item WHERE id = ANY (ARRAY(SELECT generate_series(n, n + 2500)))) FROM generate_series(1, 3) n;
SELECT count(*), sum(id) FROM item;

-- Lists for several key columns combine; too many are not made.
CREATE FOREIGN TABLE pair (a int OPTIONS (key 'true'), b int OPTIONS (key 'true'), v int[]) SERVER dynamo OPTIONS (bucket 'lookup_pair');
INSERT INTO pair SELECT a, b, ARRAY[a * b] FROM generate_series(1, 30) a, generate_series(1, 30) b;
SELECT count(*), sum(v[1]) FROM pair WHERE a IN (1, 2, 99) AND b = ANY (ARRAY(SELECT generate_series(1, 50)));
PREPARE pairs(int[], int[]) AS SELECT count(*) FROM pair WHERE a = ANY ($1) AND b = ANY ($2);
SELECT array_agg(g) AS numbers FROM generate_series(1, 1001) g \gset
EXECUTE pairs('{1,2}', '{3}');
EXECUTE pairs(:'numbers', :'numbers');
SET plan_cache_mode = force_generic_plan;
EXECUTE pairs(:'numbers', :'numbers');
EXECUTE pairs(:'numbers', '{}');
RESET plan_cache_mode;
DROP FOREIGN TABLE pair;

-- Prepared: custom and generic plans, and a NULL.
PREPARE one(int) AS SELECT * FROM item WHERE id = $1;
EXECUTE one(1);
EXECUTE one(2);
EXECUTE one(3);
EXECUTE one(4);
EXECUTE one(5);
EXECUTE one(6);
EXPLAIN (COSTS OFF) EXECUTE one(7);
EXECUTE one(7);
EXECUTE one(NULL);
PREPARE many(bigint[]) AS SELECT * FROM item WHERE id = ANY ($1) ORDER BY id;
SET plan_cache_mode = force_generic_plan;
EXECUTE many('{10,11}');
EXECUTE many('{}');
EXECUTE many(NULL);
RESET plan_cache_mode;
DEALLOCATE ALL;

-- Once for each outer row: sub-selects, LATERAL, functions, cursors.
CREATE TABLE want (n int, id int);
INSERT INTO want VALUES (1, 10), (2, 20), (3, NULL), (4, 99999), (5, 10);
ANALYZE want;
SELECT n, (SELECT v FROM item WHERE item.id = want.id) FROM want ORDER BY n;
SELECT n, x.v FROM want LEFT JOIN LATERAL (SELECT v FROM item WHERE item.id = want.id LIMIT 1) x ON true ORDER BY n;
SELECT n, (SELECT count(*) FROM item WHERE item.id IN (want.id, want.n)) FROM want ORDER BY n;
CREATE FUNCTION item_v(bigint) RETURNS text[] LANGUAGE sql STABLE AS 'SELECT v FROM item WHERE id = $1';
SELECT item_v(id) FROM want ORDER BY n;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM item WHERE id IN (1, 2, 3) ORDER BY id;
FETCH 2 FROM c;
FETCH 2 FROM c;
COMMIT;

-- Values known only when it runs.
SELECT * FROM item WHERE id = (SELECT max(id) FROM want WHERE n < 3);
SELECT * FROM item WHERE id = ANY (ARRAY(SELECT id FROM want)) ORDER BY id;
SELECT * FROM item WHERE id = (SELECT id FROM want WHERE n = 3);

-- What was asked: one request for all keys. How many frames that makes depends on who owns them.
CREATE FUNCTION what_was_asked(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query
    LOOP
        CONTINUE WHEN line LIKE '%Nodes Asked:%';
        -- What a subquery gave has another name in later versions.
        line := replace(line, ' (returns $0)', '');
        line := replace(line, '(InitPlan 1).col1', '$0');
        RETURN NEXT regexp_replace(line, '  Frames: .*', '');
    END LOOP;
END $$;
SELECT what_was_asked('SELECT * FROM item WHERE id = 7');
SELECT what_was_asked('SELECT * FROM item WHERE id IN (7, 8, 9, 8)');
SELECT what_was_asked('SELECT * FROM item WHERE id = ANY (ARRAY(SELECT generate_series(1, 2000)))');
SELECT what_was_asked('SELECT * FROM item WHERE id = (SELECT NULL::int)');
DROP FUNCTION what_was_asked;

DROP FUNCTION item_v;
DROP TABLE want;
DROP FOREIGN TABLE item;
