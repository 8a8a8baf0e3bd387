-- Which conditions are key lookups, and what EXPLAIN says of them. Planning contacts no node: the server has no address
-- that answers.
CREATE SERVER nowhere FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (host '127.0.0.1', port '1');
CREATE USER MAPPING FOR CURRENT_USER SERVER nowhere OPTIONS (user 'u', password 'p');
CREATE FOREIGN TABLE big (k bigint OPTIONS (key 'true'), v text[]) SERVER nowhere OPTIONS (bucket 'big');
CREATE FOREIGN TABLE small (k smallint OPTIONS (key 'true'), v text[]) SERVER nowhere OPTIONS (bucket 'small');
CREATE FOREIGN TABLE word (k varchar(20) OPTIONS (key 'true'), v text[]) SERVER nowhere OPTIONS (bucket 'word');
CREATE FOREIGN TABLE stamp (d date OPTIONS (key 'true'), t timestamptz OPTIONS (key 'true'), v text[]) SERVER nowhere OPTIONS (bucket 'stamp');
CREATE FOREIGN TABLE flag (f boolean OPTIONS (key 'true'), v text[]) SERVER nowhere OPTIONS (bucket 'flag');
CREATE TABLE local (id int, s smallint, w text, b bigint[]);
INSERT INTO local SELECT g, g, g, ARRAY[g] FROM generate_series(1, 3) g;
ANALYZE local;

-- Constants of every integer type, either side, IN and = ANY.
EXPLAIN (COSTS OFF) SELECT * FROM big WHERE k = 7;
EXPLAIN (COSTS OFF) SELECT * FROM big WHERE 7::smallint = k AND v[1] = 'x';
EXPLAIN (COSTS OFF) SELECT * FROM small WHERE k = 70000;
EXPLAIN (COSTS OFF) SELECT * FROM big WHERE k IN (1, 2, 3);
EXPLAIN (COSTS OFF) SELECT * FROM big WHERE k = ANY (ARRAY[1, 2]::smallint[]);
EXPLAIN (COSTS OFF) SELECT * FROM word WHERE k = 'x' OR k = 'y';
EXPLAIN (COSTS OFF) SELECT * FROM word WHERE k IN ('x', 'y') AND k = 'x';
EXPLAIN (COSTS OFF) SELECT * FROM big WHERE k = 1 OR k = 2 OR (k = 3 AND v IS NULL);

-- Not lookups: other operators, other collations, volatile values, parts of a key, ALL.
CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
EXPLAIN (COSTS OFF) SELECT * FROM word WHERE k = 'x' COLLATE loose;
EXPLAIN (COSTS OFF) SELECT * FROM word WHERE k > 'x';
EXPLAIN (COSTS OFF) SELECT * FROM big WHERE k = random()::int;
EXPLAIN (COSTS OFF) SELECT * FROM big WHERE k = 7.0;
EXPLAIN (COSTS OFF) SELECT * FROM big WHERE k = ALL (ARRAY[1, 2]);
EXPLAIN (COSTS OFF) SELECT * FROM big WHERE k = length(v[1]);
EXPLAIN (COSTS OFF) SELECT * FROM stamp WHERE d = '2026-01-01';

-- Keys of several columns; dates and times.
EXPLAIN (COSTS OFF) SELECT * FROM stamp WHERE d = '2026-01-01'::timestamp AND t = '2026-01-01'::date;
EXPLAIN (COSTS OFF) SELECT * FROM stamp WHERE d IN ('2026-01-01', '2026-01-02') AND t = '2026-01-01';
EXPLAIN (COSTS OFF) SELECT * FROM stamp WHERE d = now() AND t = now();
EXPLAIN (COSTS OFF) SELECT * FROM flag WHERE f;
EXPLAIN (COSTS OFF) SELECT * FROM flag WHERE f = false;

-- Parameters: the generic plan is a lookup too.
SET plan_cache_mode = force_generic_plan;
PREPARE one(int) AS SELECT * FROM big WHERE k = $1;
PREPARE many(bigint[]) AS SELECT * FROM big WHERE k = ANY ($1);
EXPLAIN (COSTS OFF) EXECUTE one(1);
EXPLAIN (COSTS OFF) EXECUTE many('{1,2}');
DEALLOCATE ALL;
RESET plan_cache_mode;

-- Sub-selects; what one gave has another name in later versions.
CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query
    LOOP
        line := replace(line, ' (returns $0)', '');
        RETURN NEXT replace(line, '(InitPlan 1).col1', '$0');
    END LOOP;
END $$;
SELECT plan_of('SELECT * FROM big WHERE k = (SELECT max(id) FROM local)');
SELECT plan_of('SELECT * FROM big WHERE k = ANY (ARRAY(SELECT id FROM local))');
DROP FUNCTION plan_of;
EXPLAIN (COSTS OFF) SELECT (SELECT v FROM big WHERE k = local.id) FROM local;

-- Joins, one key at a time.
SET dynamo_fdw.enable_batch_join = off;
EXPLAIN (COSTS OFF) SELECT * FROM local JOIN big ON k = id;
EXPLAIN (COSTS OFF) SELECT * FROM local LEFT JOIN big ON k = s;
EXPLAIN (COSTS OFF) SELECT * FROM local JOIN word ON k = w;
EXPLAIN (COSTS OFF) SELECT * FROM local JOIN big ON k = ANY (b);
EXPLAIN (COSTS OFF) SELECT * FROM local, LATERAL (SELECT * FROM big WHERE k = local.id LIMIT 1) x;
EXPLAIN (COSTS OFF) SELECT * FROM big WHERE k IN (SELECT id FROM local);
EXPLAIN (COSTS OFF) SELECT * FROM local JOIN stamp ON d = DATE '2026-01-01' + id AND t = now();
RESET dynamo_fdw.enable_batch_join;

-- The whole bucket, with what the planner believes of it.
EXPLAIN SELECT * FROM big;
ALTER FOREIGN TABLE big OPTIONS (ADD rows '50');
EXPLAIN SELECT * FROM big;

-- The planner knows that keys are unique: a join finds at most one row for each outer row.
CREATE FUNCTION join_rows(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
    RETURN plan->0->'Plan'->>'Plan Rows';
END $$;
SELECT join_rows('SELECT * FROM local JOIN big ON k = id');
SELECT join_rows('SELECT * FROM local JOIN stamp ON d = now()::date AND t = now()');
DROP FUNCTION join_rows;

-- VERBOSE and other formats.
EXPLAIN (VERBOSE, COSTS OFF) SELECT v FROM big WHERE k = 7;
EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) SELECT v FROM big WHERE k = 7;

DROP SERVER nowhere CASCADE;
DROP TABLE local;
DROP COLLATION loose;
