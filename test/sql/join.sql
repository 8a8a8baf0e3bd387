-- The batched join gives what a nested loop gives, with one request for many outer rows.
CREATE FOREIGN TABLE price (sku text OPTIONS (key 'true'), cents int[], context bytea OPTIONS (context 'true'))
    SERVER dynamo OPTIONS (bucket 'join_price');
CREATE FOREIGN TABLE stock (place int OPTIONS (key 'true'), sku text OPTIONS (key 'true'), pieces int[])
    SERVER dynamo OPTIONS (bucket 'join_stock');
CREATE TABLE line (id int PRIMARY KEY, sku varchar(20), place smallint, note text);
INSERT INTO line SELECT g, CASE WHEN g % 10 = 0 THEN NULL ELSE 'sku ' || g % 700 END, g % 3, 'note ' || g FROM generate_series(1, 3000) g;
ANALYZE line;

-- Before the buckets exist.
SELECT count(*), count(price.sku) FROM line LEFT JOIN price USING (sku);

INSERT INTO price SELECT 'sku ' || g, ARRAY[g] FROM generate_series(0, 599) g;
INSERT INTO stock SELECT p, 'sku ' || g, ARRAY[p * g] FROM generate_series(0, 1) p, generate_series(0, 599) g;

-- Each kind of join, batched and not.
CREATE FUNCTION both_ways(query text) RETURNS TABLE (batched text, nested text) LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL dynamo_fdw.enable_batch_join = on;
    EXECUTE query INTO batched;
    SET LOCAL dynamo_fdw.enable_batch_join = off;
    EXECUTE query INTO nested;
    RETURN NEXT;
END $$;
SELECT * FROM both_ways('SELECT (count(*), count(p.sku), sum(cents[1]), sum(length(note))) FROM line l JOIN price p ON p.sku = l.sku');
SELECT * FROM both_ways('SELECT (count(*), count(p.sku), sum(cents[1]), sum(length(note))) FROM line l LEFT JOIN price p ON p.sku = l.sku');
SELECT * FROM both_ways('SELECT (count(*), sum(l.id)) FROM line l WHERE EXISTS (SELECT FROM price p WHERE p.sku = l.sku)');
SELECT * FROM both_ways('SELECT (count(*), sum(l.id)) FROM line l WHERE NOT EXISTS (SELECT FROM price p WHERE p.sku = l.sku)');
SELECT * FROM both_ways('SELECT (count(*), sum(cents[1])) FROM price WHERE sku IN (SELECT sku FROM line)');
SELECT * FROM both_ways('SELECT (count(*), sum(cents[1])) FROM line l RIGHT JOIN price p ON p.sku = l.sku');
SELECT * FROM both_ways('SELECT (count(*), sum(cents[1])) FROM line l FULL JOIN price p ON p.sku = l.sku');

-- Further conditions: in the join, on the table, on the result.
SELECT * FROM both_ways('SELECT (count(*), count(p.sku)) FROM line l LEFT JOIN price p ON p.sku = l.sku AND cents[1] > l.id');
SELECT * FROM both_ways('SELECT (count(*), count(p.sku)) FROM line l LEFT JOIN (SELECT * FROM price WHERE cents[1] > 300) p ON p.sku = l.sku');
SELECT * FROM both_ways('SELECT (count(*), count(p.sku)) FROM line l LEFT JOIN price p ON p.sku = l.sku WHERE coalesce(cents[1], 1000) > 590');
SELECT * FROM both_ways('SELECT (count(*), count(l.id)) FROM line l JOIN price p ON p.sku = l.sku AND cents[1] > l.id');
SELECT * FROM both_ways('SELECT (count(*), sum(l.id)) FROM line l WHERE NOT EXISTS (SELECT FROM price p WHERE p.sku = l.sku AND cents[1] > l.id)');

-- Keys of several columns: from the outer row, and from a constant.
SELECT * FROM both_ways('SELECT (count(*), sum(pieces[1])) FROM line l JOIN stock s ON s.sku = l.sku AND s.place = l.place');
SELECT * FROM both_ways('SELECT (count(*), sum(pieces[1])) FROM line l JOIN stock s ON s.sku = l.sku AND s.place = 1');
SELECT * FROM both_ways('SELECT (count(*), sum(pieces[1])) FROM line l JOIN stock s ON s.sku = l.sku');

-- One join over another, whole rows, expressions over NULLs, aggregates, LIMIT, rescans.
SELECT * FROM both_ways('SELECT (count(*), sum(cents[1]), sum(pieces[1])) FROM line l LEFT JOIN price p ON p.sku = l.sku LEFT JOIN stock s ON s.sku = p.sku AND s.place = l.place');
SELECT * FROM both_ways('SELECT array_agg(p ORDER BY l.id) FROM line l LEFT JOIN (SELECT sku, cents FROM price) p ON p.sku = l.sku WHERE l.id < 4');
SELECT * FROM both_ways('SELECT array_agg((p).cents[1] ORDER BY l.id) FROM (SELECT * FROM line WHERE id BETWEEN 598 AND 602) l LEFT JOIN price p ON p.sku = l.sku');
SELECT * FROM both_ways('SELECT array_agg(coalesce(flag, false) ORDER BY l.id) FROM line l LEFT JOIN (SELECT sku, true AS flag FROM price) p ON p.sku = l.sku WHERE l.id BETWEEN 598 AND 602');
SELECT * FROM both_ways('SELECT (SELECT count(*) FROM (SELECT FROM line l JOIN price p ON p.sku = l.sku LIMIT 7) x)');
SELECT * FROM both_ways('SELECT array_agg(x.n ORDER BY place) FROM (VALUES (0), (1), (5)) v(place), LATERAL (SELECT count(*) AS n FROM line l JOIN price p ON p.sku = l.sku WHERE l.place = v.place OFFSET 0) x');
SELECT * FROM both_ways('SELECT count(context) FROM line l JOIN price p ON p.sku = l.sku WHERE l.id < 100');

-- Sub-selects in conditions, joins within recursion, system columns.
SELECT * FROM both_ways('SELECT (count(*), sum(cents[1])) FROM line l JOIN price p ON p.sku = l.sku AND cents[1] > (SELECT avg(id) / 10 FROM line x WHERE x.place = l.place AND x.id < 300) WHERE l.id < 500');
SELECT * FROM both_ways('SELECT (count(*), count(p.sku)) FROM line l LEFT JOIN price p ON p.sku = l.sku AND EXISTS (SELECT FROM line x WHERE x.id = p.cents[1] + l.place AND x.id > 10) WHERE l.id < 500');
SELECT * FROM both_ways('WITH RECURSIVE r(n, sku) AS (SELECT 0, ''sku 0'' UNION ALL SELECT n + 1, ''sku '' || cents[1] + 100 FROM r JOIN price p ON p.sku = r.sku) SELECT (count(*), max(n)) FROM r');
SELECT * FROM both_ways('SELECT count(*) FROM line l JOIN price p ON p.sku = l.sku WHERE p.tableoid = ''price''::regclass');
SELECT * FROM both_ways('SELECT count(*) FROM line l LEFT JOIN price p ON p.sku = l.sku AND p.tableoid::int > l.id');
SELECT * FROM both_ways('SELECT count(p.tableoid) FROM line l LEFT JOIN price p ON p.sku = l.sku');

-- Keys and columns that an outer join below has made NULL.
SELECT * FROM both_ways('SELECT array_agg((l.id, s.k, p.cents[1]) ORDER BY l.id) FROM (SELECT * FROM line WHERE id < 5) l LEFT JOIN (SELECT id, coalesce(sku, ''none'') AS k FROM line WHERE id < 3) s ON s.id = l.id LEFT JOIN price p ON p.sku = s.k');
SELECT * FROM both_ways('SELECT array_agg((l.id, p.cents[1]) ORDER BY l.id) FROM (SELECT * FROM line WHERE id < 5) l LEFT JOIN (SELECT id, coalesce(sku, ''none'') AS k FROM line WHERE id < 3) s ON s.id = l.id LEFT JOIN price p ON p.sku = coalesce(s.k, ''sku 9'')');
SELECT * FROM both_ways('SELECT array_agg((l.id, s.missing) ORDER BY l.id) FROM (SELECT * FROM line WHERE id < 5) l LEFT JOIN (SELECT id, cents IS NULL AS missing FROM line LEFT JOIN price p ON p.sku = line.sku WHERE id < 3) s ON s.id = l.id');

-- Outer order is kept.
EXPLAIN (COSTS OFF) SELECT l.id, cents FROM line l LEFT JOIN price p ON p.sku = l.sku ORDER BY l.id DESC LIMIT 3;
SELECT l.id, cents FROM line l LEFT JOIN price p ON p.sku = l.sku ORDER BY l.id DESC LIMIT 3;

-- Plans.
EXPLAIN (COSTS OFF) SELECT * FROM line l JOIN stock s ON s.sku = l.sku AND s.place = 1 WHERE pieces[1] > l.id AND pieces[1] <> 5;
EXPLAIN (COSTS OFF) SELECT * FROM line l LEFT JOIN price p ON p.sku = l.sku AND cents[1] > l.id WHERE cents IS NULL;
EXPLAIN (COSTS OFF) SELECT * FROM line l WHERE NOT EXISTS (SELECT FROM price p WHERE p.sku = l.sku);
EXPLAIN (VERBOSE, COSTS OFF) SELECT l.id, cents FROM line l LEFT JOIN price p ON p.sku = l.sku;


-- What was asked: the first batches are small. How many frames that makes depends on who owns the keys.
CREATE FUNCTION what_was_asked(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query
    LOOP
        CONTINUE WHEN line LIKE '%Nodes Asked:%';
        RETURN NEXT regexp_replace(line, '  Frames: .*', '');
    END LOOP;
END $$;
SELECT what_was_asked('SELECT * FROM line l JOIN price p ON p.sku = l.sku');
SELECT what_was_asked('SELECT * FROM (SELECT * FROM line WHERE place > 5) l JOIN price p ON p.sku = l.sku');
SELECT what_was_asked('SELECT * FROM line l JOIN price p ON p.sku = l.sku LIMIT 3');
DROP FUNCTION what_was_asked;

-- Local rows that are locked or changed.
EXPLAIN (COSTS OFF) SELECT * FROM line l JOIN price p ON p.sku = l.sku WHERE l.id < 30 FOR UPDATE OF l;
SELECT count(*) FROM (SELECT * FROM line l JOIN price p ON p.sku = l.sku WHERE l.id < 30 FOR UPDATE OF l) x;
EXPLAIN (COSTS OFF) UPDATE line SET note = cents[1]::text FROM price p WHERE p.sku = line.sku;
BEGIN;
UPDATE line SET note = cents[1]::text FROM price p WHERE p.sku = line.sku;
SELECT count(*) FROM line WHERE note NOT LIKE 'note%';
SELECT id, note FROM line WHERE id < 3 OR id BETWEEN 598 AND 602 ORDER BY id;
DELETE FROM line USING price p WHERE p.sku = line.sku AND cents[1] > 100;
SELECT count(*) FROM line;
ROLLBACK;
BEGIN;
MERGE INTO line USING price p ON p.sku = line.sku WHEN MATCHED THEN UPDATE SET note = cents[1]::text;
SELECT count(*) FROM line WHERE note NOT LIKE 'note%';
ROLLBACK;

-- Small batches, and the smallest.
SET dynamo_fdw.join_batch_size = 1;
SELECT count(*), sum(cents[1]) FROM (SELECT * FROM line WHERE id <= 100) l JOIN price p ON p.sku = l.sku;
SET dynamo_fdw.join_batch_size = 0;
RESET dynamo_fdw.join_batch_size;

DROP FUNCTION both_ways;
DROP TABLE line;
DROP FOREIGN TABLE price, stock;

-- Whole rows, of the table that is written too.
CREATE FOREIGN TABLE whole (id int OPTIONS (key 'true'), v text)
    SERVER dynamo OPTIONS (bucket 'join_whole', on_conflict 'error');
CREATE TABLE wanted (id int);
INSERT INTO wanted VALUES (1), (2);
INSERT INTO whole VALUES (1, 'a'), (2, 'b');
EXPLAIN (COSTS OFF) UPDATE whole SET v = to_jsonb(whole)::text FROM wanted WHERE wanted.id = whole.id RETURNING whole.*;
UPDATE whole SET v = to_jsonb(whole)::text FROM wanted WHERE wanted.id = whole.id RETURNING whole.*;
UPDATE whole SET v = 'x' FROM wanted WHERE wanted.id = whole.id AND whole IS NOT NULL RETURNING whole, wanted;
UPDATE whole w SET v = other::text FROM wanted JOIN whole other USING (id) WHERE wanted.id = w.id RETURNING w, other;
SELECT whole, whole.*, wanted FROM wanted LEFT JOIN whole USING (id) ORDER BY id;
DELETE FROM whole USING wanted WHERE wanted.id = whole.id RETURNING whole, to_jsonb(whole.*);
DROP FOREIGN TABLE whole;
DROP TABLE wanted;
