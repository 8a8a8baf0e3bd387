-- Reading a whole bucket.
CREATE FOREIGN TABLE thing (id int OPTIONS (key 'true'), v text[], w int[], context bytea OPTIONS (context 'true'))
    SERVER dynamo OPTIONS (bucket 'scan_thing');
SELECT count(*) FROM thing;
INSERT INTO thing SELECT g, ARRAY[repeat('x', g % 300)], ARRAY[g] FROM generate_series(1, 5000) g;
SELECT count(*), count(DISTINCT id), min(id), max(id), sum(w[1]), sum(length(v[1])) FROM thing;
SELECT count(context), count(DISTINCT context) FROM thing;
SELECT id, w FROM thing WHERE w[1] IN (17, 4711) ORDER BY id;
SELECT count(*) FROM thing WHERE id > 4000;
SELECT id, w FROM thing WHERE id = 42 OR w[1] = 43 ORDER BY id;

-- Whole rows, no columns, system columns, LIMIT.
SELECT (t.thing).id, (t.thing).w FROM (SELECT thing FROM thing) t ORDER BY 1 LIMIT 2;
SELECT count(*) FROM (SELECT FROM thing) t;
SELECT DISTINCT tableoid::regclass FROM thing;
SELECT count(*) FROM (SELECT * FROM thing LIMIT 10) t;

-- Twice in one statement, and again for each outer row.
SELECT count(*) FROM thing a JOIN thing b ON a.id = b.w[1] WHERE a.id <= 100;
SELECT n, (SELECT count(*) FROM thing WHERE w[1] <= n) FROM generate_series(0, 2) n;
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM thing;
MOVE 4990 FROM c;
SELECT count(*) FROM thing WHERE id = 1;
MOVE ALL FROM c;
COMMIT;

-- A large value takes a page of its own.
INSERT INTO thing SELECT 6000 + g, ARRAY[repeat('y', 300000)], ARRAY[g] FROM generate_series(1, 20) g;
SELECT count(*), sum(length(v[1])) FROM thing WHERE id > 6000;

-- Buckets are apart, however their names look.
CREATE FOREIGN TABLE odd_name (id int OPTIONS (key 'true'), "Wert ""ä"" '" text[]) SERVER dynamo OPTIONS (bucket 'it''s a "bücket" 🦊');
INSERT INTO odd_name VALUES (1, '{z}');
SELECT * FROM odd_name;
EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM odd_name;

-- Inheritance: a foreign table as a partition.
CREATE TABLE mixed (id int NOT NULL, v text[]) PARTITION BY RANGE (id);
CREATE TABLE mixed_near PARTITION OF mixed FOR VALUES FROM (0) TO (10);
CREATE FOREIGN TABLE mixed_far PARTITION OF mixed FOR VALUES FROM (10) TO (20)
    SERVER dynamo OPTIONS (bucket 'scan_mixed');
SELECT * FROM mixed;
ALTER FOREIGN TABLE mixed_far ALTER COLUMN id OPTIONS (ADD key 'true');
INSERT INTO mixed VALUES (1, '{near}'), (11, '{far}');
SELECT tableoid::regclass, * FROM mixed ORDER BY id;
SELECT * FROM mixed WHERE id = 11;
EXPLAIN (COSTS OFF) SELECT * FROM mixed WHERE id = 11;

DROP TABLE mixed;
DROP FOREIGN TABLE thing, odd_name;
