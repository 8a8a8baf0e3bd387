-- What tables over one bucket make of its siblings: on_conflict.
CREATE SCHEMA conflict_test;
SET search_path = conflict_test;
CREATE FOREIGN TABLE cart (
    id      int           OPTIONS (key 'true'),
    items   jsonb[],
    amount  numeric(6, 2)[],
    note    text[],
    context bytea         OPTIONS (context 'true')
) SERVER dynamo OPTIONS (bucket 'conflict_cart');
CREATE VIEW sorted AS
    SELECT id, s.* FROM cart, unnest(items, amount, note) AS s(items, amount, note) ORDER BY id, s.amount, s.note;
CREATE FOREIGN TABLE strict (
    id      int           OPTIONS (key 'true'),
    items   jsonb,
    amount  numeric(6, 2),
    note    text,
    context bytea         OPTIONS (context 'true')
) SERVER dynamo OPTIONS (bucket 'conflict_cart', on_conflict 'error');
CREATE FOREIGN TABLE latest (id int OPTIONS (key 'true'), items jsonb, amount numeric(6, 2), note text)
    SERVER dynamo OPTIONS (bucket 'conflict_cart', on_conflict 'latest');
CREATE FOREIGN TABLE merged (
    id      int           OPTIONS (key 'true'),
    items   jsonb,
    amount  numeric(6, 2),
    note    text,
    context bytea         OPTIONS (context 'true')
) SERVER dynamo OPTIONS (bucket 'conflict_cart', on_conflict 'conflict_test.merge');
-- The union of all items, the greatest amount, all notes.
CREATE FUNCTION merge(carts merged[]) RETURNS merged LANGUAGE sql AS $$
    SELECT ROW((SELECT min(id) FROM unnest(carts)),
               (SELECT jsonb_object_agg(item.key, item.value ORDER BY item.value) FROM unnest(carts) c, jsonb_each(c.items) item),
               (SELECT max(amount) FROM unnest(carts)),
               (SELECT string_agg(note, ', ' ORDER BY note) FROM unnest(carts)),
               NULL)::conflict_test.merged
$$;
-- 'latest' goes by the nodes' clocks, in milliseconds.
CREATE PROCEDURE next_tick() LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.005); END $$;
CREATE FUNCTION joined_step(text, text) RETURNS text IMMUTABLE LANGUAGE sql
    AS $$ SELECT CASE WHEN $1 IS NULL THEN $2 WHEN $2 IS NULL THEN $1 WHEN $1 < $2 THEN $1 || '+' || $2 ELSE $2 || '+' || $1 END $$;
CREATE AGGREGATE joined(text) (SFUNC = joined_step, STYPE = text);
CREATE AGGREGATE "Union"(jsonb) (SFUNC = jsonb_concat, STYPE = jsonb, INITCOND = '{}');
CREATE FOREIGN TABLE totals (
    id      int           OPTIONS (key 'true'),
    items   jsonb         OPTIONS (on_conflict 'conflict_test."Union"'),
    amount  numeric(6, 2) OPTIONS (on_conflict 'pg_catalog.sum'),
    note    varchar       OPTIONS (on_conflict 'conflict_test.joined'),
    context bytea         OPTIONS (context 'true')
) SERVER dynamo OPTIONS (bucket 'conflict_cart');

-- What one writes, all read; a row of a plain table is one sibling, and its columns are what they are.
INSERT INTO cart VALUES (1, '{"{\"tea\": 1}"}', '{10}', '{a}');
INSERT INTO strict VALUES (2, '{"milk": 2}', 20, 'b');
INSERT INTO latest VALUES (3, '{"soap": 3}', 30, NULL);
INSERT INTO merged (id, items) VALUES (4, '{"salt": 4}');
INSERT INTO totals SELECT 5, NULL, 50, 'e';
SELECT * FROM sorted;
SELECT id, items, amount, note FROM strict ORDER BY id;
SELECT * FROM latest ORDER BY id;
SELECT id, items, amount, note FROM merged ORDER BY id;
SELECT id, items, amount, note FROM totals ORDER BY id;

-- Siblings, by blind puts of two writers.
CALL next_tick();
INSERT INTO cart VALUES (1, '{"{\"milk\": 2}"}', '{5.25}', '{z}');
INSERT INTO strict VALUES (5, '{"eggs": 6}', 7, NULL);
SELECT * FROM sorted WHERE id IN (1, 5);
SELECT id, items, amount, note FROM strict WHERE id = 2;
SELECT id, items, amount, note FROM strict WHERE id = 1;
-- Keys 1 and 5 both have siblings, and a scan of the whole bucket may meet either of them first.
\set VERBOSITY terse
SELECT count(*) FROM strict;
\set VERBOSITY default
SELECT * FROM latest WHERE id IN (1, 5) ORDER BY id;
SELECT id, items, amount, note FROM merged ORDER BY id;
SELECT id, items, amount, note FROM totals ORDER BY id;
-- Only what is read is aggregated; count(*) needs none.
SELECT note FROM totals WHERE id = 1;
SELECT count(*), (SELECT count(*) FROM latest), (SELECT count(*) FROM merged) FROM totals;

-- What a name means does not depend on the search_path.
CREATE FUNCTION unnest(merged[]) RETURNS SETOF merged LANGUAGE sql AS $$ SELECT NULL::conflict_test.merged $$;
CREATE FUNCTION unnest(totals[]) RETURNS SETOF totals LANGUAGE sql AS $$ SELECT NULL::conflict_test.totals $$;
SET search_path = conflict_test, pg_catalog;
SELECT items, amount, note FROM totals WHERE id = 1;
SET search_path = '';
SELECT items, amount, note FROM conflict_test.merged WHERE id = 1;
SELECT items, amount, note FROM conflict_test.totals WHERE id = 1;
SET search_path = conflict_test;
DROP FUNCTION unnest(merged[]), unnest(totals[]);

-- The context covers all siblings: whoever hands it back resolves them.
INSERT INTO cart SELECT id, ARRAY[items], ARRAY[amount], ARRAY['resolved'], context FROM merged WHERE id = 1;
SELECT * FROM sorted WHERE id = 1;
INSERT INTO merged SELECT id, items, 8, 'again', context FROM strict WHERE id = 1;
SELECT id, items, amount, note FROM strict WHERE id = 1;
-- And whoever does not makes one more.
INSERT INTO merged SELECT id, items, 9, 'blind' FROM strict WHERE id = 1;
SELECT * FROM sorted WHERE id = 1;

-- UPDATE writes what the row has become, with and without a context column.
UPDATE merged SET amount = amount + 1 WHERE id = 1;
SELECT * FROM sorted WHERE id = 1;
UPDATE totals SET items = items || '{"more": 1}' WHERE id = 5 RETURNING id, items, amount, note;
SELECT * FROM sorted WHERE id = 5;
CALL next_tick();
INSERT INTO latest VALUES (1, '{"later": 1}', 11, 'later');
SELECT * FROM latest WHERE id = 1;
UPDATE latest SET note = upper(note) WHERE id = 1;
SELECT * FROM sorted WHERE id = 1;
INSERT INTO latest VALUES (1, '{"later": 2}', 12, 'twice');
UPDATE strict SET note = 'never' WHERE id = 1;
UPDATE merged SET note = 'blind', context = NULL WHERE id = 1;
SELECT * FROM sorted WHERE id = 1;
DELETE FROM strict WHERE id = 1 AND note = 'blind';
DELETE FROM merged WHERE id = 1 RETURNING id, items, amount, note;
SELECT count(*) FROM cart WHERE id = 1;
SELECT count(*) FROM strict WHERE id = 1;

-- A tombstone is no sibling.
CREATE TEMP TABLE seen AS SELECT context FROM strict WHERE id = 3;
INSERT INTO latest VALUES (3, '{"soap": 4}', 31, 'concurrent');
UPDATE cart SET items = NULL, amount = '{3}', note = '{by hand}', context = (SELECT context FROM seen) WHERE id = 3;
SELECT * FROM sorted WHERE id = 3;
DELETE FROM strict WHERE id = 2;
INSERT INTO strict VALUES (2, '{"milk": 3}', 21, 'after the delete');
SELECT id, items, amount, note FROM strict WHERE id = 2;

-- Columns that a table does not declare go along with the sibling that the row is.
CREATE FOREIGN TABLE narrow (id int OPTIONS (key 'true'), note text) SERVER dynamo
    OPTIONS (bucket 'conflict_cart', on_conflict 'latest');
INSERT INTO latest VALUES (6, '{"old": 1}', 60, 'old');
CALL next_tick();
INSERT INTO latest VALUES (6, '{"new": 1}', 61, 'new');
UPDATE narrow SET note = note || '!' WHERE id = 6;
SELECT * FROM sorted WHERE id = 6;

-- Joins, lists of keys, COPY both ways.
INSERT INTO cart VALUES (7, '{"{\"a\": 1}","{\"b\": 2}"}', '{1,2}', '{x,y}'), (8, '{"{\"a\": 1}"}', '{3}', '{w}');
CREATE TABLE orders (id int, customer text);
INSERT INTO orders VALUES (7, 'ann'), (8, 'bob'), (9, 'cid');
ANALYZE orders;
EXPLAIN (COSTS OFF) SELECT customer, items, amount FROM orders JOIN merged USING (id);
SELECT customer, items, amount, note FROM orders LEFT JOIN merged USING (id) ORDER BY id;
SELECT customer, amount FROM orders JOIN totals USING (id) ORDER BY id;
SELECT customer, amount FROM orders JOIN strict USING (id) ORDER BY id;
SELECT id, items, amount FROM merged WHERE id = ANY (ARRAY[7, 8]) ORDER BY id;
COPY (SELECT id, items, amount, note FROM merged WHERE id IN (7, 8) ORDER BY id) TO STDOUT;
COPY strict (id, items, amount, note) FROM STDIN;
10	{"copied": 1}	1.50	by copy
11	\N	\N	\N
\.
SELECT * FROM sorted WHERE id >= 10;
SELECT id, items, amount, note FROM strict WHERE id = 11;
-- Several rows of one UPDATE, resolved or not.
UPDATE totals SET note = note || '.' FROM orders WHERE orders.id = totals.id;
SELECT * FROM sorted WHERE id IN (7, 8);

-- EXPLAIN says how siblings become a row.
EXPLAIN (COSTS OFF) SELECT * FROM cart;
EXPLAIN (COSTS OFF) SELECT * FROM strict WHERE id = 1;
EXPLAIN (COSTS OFF) UPDATE latest SET note = 'x' WHERE id = 1;
EXPLAIN (COSTS OFF, VERBOSE) SELECT id FROM merged WHERE id = 1;
EXPLAIN (COSTS OFF) SELECT count(*) FROM totals;

-- A function that fails, gives NULL, changes the key; results that the columns cannot hold.
INSERT INTO cart VALUES (20, NULL, '{9000,9000}', '{p,q}');
CREATE FOREIGN TABLE tried (id int OPTIONS (key 'true'), amount numeric(6, 2), note varchar(3), context bytea OPTIONS (context 'true'))
    SERVER dynamo OPTIONS (bucket 'conflict_cart', on_conflict 'conflict_test.try');
CREATE FUNCTION try(tries tried[]) RETURNS tried LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'cannot merge' USING ERRCODE = 'MY001'; END $$;
SELECT * FROM tried WHERE id = 20;
CREATE OR REPLACE FUNCTION try(tries tried[]) RETURNS tried LANGUAGE sql AS 'SELECT NULL::conflict_test.tried';
SELECT * FROM tried WHERE id = 20;
CREATE OR REPLACE FUNCTION try(tries tried[]) RETURNS tried LANGUAGE sql AS $$ SELECT 21, 1.0, 'x'::varchar, NULL::bytea $$;
SELECT * FROM tried WHERE id = 20;
CREATE OR REPLACE FUNCTION try(tries tried[]) RETURNS tried LANGUAGE sql AS $$ SELECT NULL::int, 1.0, 'x'::varchar, NULL::bytea $$;
SELECT * FROM tried WHERE id = 20;
CREATE OR REPLACE FUNCTION try(tries tried[]) RETURNS tried LANGUAGE sql AS $$ SELECT 20, 1.0, 'long'::varchar, NULL::bytea $$;
SELECT * FROM tried WHERE id = 20;
SELECT amount FROM totals WHERE id = 20;
SELECT note FROM totals WHERE id = 20;

-- It gets whole rows, whatever the query reads of them.
CREATE OR REPLACE FUNCTION try(tries tried[]) RETURNS tried LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '% rows, keys %, amounts %, contexts %', cardinality(tries), (SELECT array_agg(id) FROM unnest(tries)),
        (SELECT array_agg(amount) FROM unnest(tries)), (SELECT count(DISTINCT context) FROM unnest(tries));
    RETURN tries[1];
END $$;
SELECT count(*) FROM tried WHERE id = 20;
SELECT amount, context = (SELECT context FROM cart WHERE id = 20) AS same_context FROM tried WHERE id = 20;
SELECT amount FROM tried WHERE id = 8;

-- It may read the same table, in the middle of a scan, and catch what that raises; also its own key, but not without end.
CREATE FOREIGN TABLE many (id int OPTIONS (key 'true'), n int, seen int) SERVER dynamo
    OPTIONS (bucket 'conflict_many', on_conflict 'conflict_test.read_others');
CREATE FOREIGN TABLE many_strict (id int OPTIONS (key 'true'), n int) SERVER dynamo OPTIONS (bucket 'conflict_many', on_conflict 'error');
CREATE FUNCTION read_others(rows many[]) RETURNS many LANGUAGE plpgsql AS $$
DECLARE
    result many := rows[1];
BEGIN
    SELECT sum(n) INTO result.n FROM unnest(rows);
    SELECT sum(n) INTO result.seen FROM many WHERE id BETWEEN 1 AND 3000 AND id IN (1, 2, 3);
    BEGIN
        PERFORM * FROM many_strict WHERE id = result.id;
    EXCEPTION WHEN cardinality_violation THEN
        result.seen := result.seen + 1000;
    END;
    RETURN result;
END $$;
INSERT INTO many SELECT g, g FROM generate_series(1, 3000) g;
INSERT INTO many SELECT g, g FROM generate_series(100, 3000, 100) g;
SELECT id, n, seen FROM many WHERE id % 1000 = 0 ORDER BY id;
SELECT count(*), sum(n), sum(seen) FROM many;
SELECT count(*), sum(n), sum(seen) FROM many WHERE id = ANY (ARRAY(SELECT generate_series(1, 3000)));
SELECT count(*), sum(n), sum(seen) FROM generate_series(1, 3000) id JOIN many USING (id);
CREATE OR REPLACE FUNCTION try(tries tried[]) RETURNS tried LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT t FROM tried t WHERE id = tries[1].id); END $$;
\set VERBOSITY terse
SET max_stack_depth = '200kB';
SELECT * FROM tried WHERE id = 20;
RESET max_stack_depth;
\set VERBOSITY default

-- The routines are found anew by every statement.
CREATE OR REPLACE FUNCTION try(tries tried[]) RETURNS tried LANGUAGE sql AS $$ SELECT 20, 1.0, 'one'::varchar, NULL::bytea $$;
PREPARE get AS SELECT id, amount, note FROM tried WHERE id = 20;
EXECUTE get;
CREATE OR REPLACE FUNCTION try(tries tried[]) RETURNS tried LANGUAGE sql AS $$ SELECT 20, 2.0, 'two'::varchar, NULL::bytea $$;
EXECUTE get;
DROP FUNCTION try;
EXECUTE get;
ALTER FOREIGN TABLE tried OPTIONS (SET on_conflict 'latest');
UPDATE cart SET items = NULL, note = '{abc}', amount = '{3}' WHERE id = 20;
EXECUTE get;
CREATE FUNCTION try(anyarray, extra int DEFAULT 1) RETURNS anyelement LANGUAGE sql AS $$ SELECT $1[1] $$;
ALTER FOREIGN TABLE tried OPTIONS (SET on_conflict 'conflict_test.try');
INSERT INTO tried SELECT * FROM tried WHERE id = 20;
INSERT INTO tried (id, amount, note) SELECT id, amount, note FROM tried WHERE id = 20;
EXECUTE get;
-- One is gone in the middle of a statement.
CREATE OR REPLACE FUNCTION drop_try() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DROP FUNCTION conflict_test.try(anyarray, int); RETURN 20; END $$;
SELECT * FROM tried WHERE id = (SELECT drop_try());
DROP FUNCTION drop_try;

-- A table of keys alone; a partition, whose function takes the partition's rows.
CREATE FOREIGN TABLE keys (k int OPTIONS (key 'true')) SERVER dynamo OPTIONS (bucket 'conflict_keys', on_conflict 'conflict_test.first');
CREATE FUNCTION first(keys[]) RETURNS keys LANGUAGE sql AS 'SELECT $1[1]';
INSERT INTO keys VALUES (1), (2);
INSERT INTO keys VALUES (1);
SELECT * FROM keys ORDER BY k;
ALTER FOREIGN TABLE keys OPTIONS (SET on_conflict 'latest');
SELECT * FROM keys ORDER BY k;
ALTER FOREIGN TABLE keys OPTIONS (SET on_conflict 'error');
SELECT * FROM keys ORDER BY k;
CREATE TABLE parts (a int, b text, v int) PARTITION BY RANGE (a);
CREATE FOREIGN TABLE part (v int, b text OPTIONS (key 'true'), a int OPTIONS (key 'true')) SERVER dynamo
    OPTIONS (bucket 'conflict_part', on_conflict 'conflict_test.add_parts');
ALTER TABLE parts ATTACH PARTITION part FOR VALUES FROM (0) TO (100);
CREATE FUNCTION add_parts(part[]) RETURNS part LANGUAGE sql AS 'SELECT sum(v)::int, min(b), min(a) FROM pg_catalog.unnest($1)';
INSERT INTO parts VALUES (1, 'x', 1), (2, 'y', 5);
INSERT INTO parts VALUES (1, 'x', 2);
SELECT * FROM parts ORDER BY a;
UPDATE parts SET v = v + 1 WHERE a = 1 RETURNING *;
-- A cursor that outlives its transaction, one that dies with its savepoint, a loop whose body fails.
INSERT INTO parts VALUES (1, 'x', 2);
BEGIN;
SAVEPOINT a;
DECLARE c CURSOR FOR SELECT * FROM parts WHERE b = 'x';
FETCH ALL FROM c;
ROLLBACK TO a;
DECLARE c CURSOR WITH HOLD FOR SELECT * FROM parts WHERE b = 'x';
COMMIT;
FETCH ALL FROM c;
DO $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT * FROM parts ORDER BY a LOOP
        BEGIN
            PERFORM r.v / 0;
        EXCEPTION WHEN division_by_zero THEN
            RAISE NOTICE '%', r;
        END;
    END LOOP;
END $$;

-- Dropped and oddly named columns; values that are arrays; text, whatever the client's encoding is.
CREATE DOMAIN words AS text[];
CREATE FOREIGN TABLE arrays (k text OPTIONS (key 'true'), gone int[], "The Words" words[] OPTIONS (column_name 'words'), n int[]) SERVER dynamo
    OPTIONS (bucket 'conflict_arrays');
CREATE FOREIGN TABLE plain_arrays (k text OPTIONS (key 'true'), gone int OPTIONS (on_conflict 'pg_catalog.max'),
    "The Words" text[] OPTIONS (column_name 'words', on_conflict 'pg_catalog.max'), n int OPTIONS (on_conflict 'pg_catalog.bit_or')) SERVER dynamo
    OPTIONS (bucket 'conflict_arrays');
CREATE FOREIGN TABLE chosen_arrays (k text OPTIONS (key 'true'), gone int, n int, words text[]) SERVER dynamo
    OPTIONS (bucket 'conflict_arrays', on_conflict 'conflict_test.choose');
ALTER FOREIGN TABLE plain_arrays DROP COLUMN gone;
ALTER FOREIGN TABLE chosen_arrays DROP COLUMN gone;
CREATE FUNCTION choose(chosen_arrays[]) RETURNS chosen_arrays LANGUAGE sql AS
    $$ SELECT k, bit_or(n), (SELECT array_agg(DISTINCT w ORDER BY w) FROM pg_catalog.unnest($1) r, pg_catalog.unnest(r.words) w) FROM pg_catalog.unnest($1) GROUP BY k $$;
SET client_encoding = 'LATIN1';
INSERT INTO arrays (k, "The Words", n) VALUES (U&'\00e9', ARRAY['{a,b}', U&'{b,c\00e9}']::words[], '{1,2}');
INSERT INTO plain_arrays VALUES (U&'\00e9', '{x}', 4);
SELECT k = U&'\00e9' AS same_key, "The Words", n FROM plain_arrays;
SELECT k = U&'\00e9' AS same_key, words = ARRAY['a', 'b', U&'c\00e9', 'x'] AS words, n FROM chosen_arrays;
RESET client_encoding;
SELECT cardinality(n), (SELECT max(w) FROM unnest("The Words") w) FROM arrays;

-- Domains hold.
CREATE DOMAIN small AS int CHECK (VALUE < 10);
CREATE FOREIGN TABLE smalls (k text OPTIONS (key 'true'), n small OPTIONS (on_conflict 'conflict_test.add')) SERVER dynamo
    OPTIONS (bucket 'conflict_smalls');
CREATE AGGREGATE add(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
INSERT INTO smalls VALUES ('a', 4);
INSERT INTO smalls VALUES ('a', 5);
SELECT * FROM smalls;
INSERT INTO smalls VALUES ('a', 6);
SELECT * FROM smalls;

-- Wrong options, found when the table is used: also by INSERT.
CREATE PROCEDURE show_error(statement text) LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    hint text;
BEGIN
    EXECUTE statement;
    RAISE NOTICE 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RAISE NOTICE E'% %\n  DETAIL: %\n  HINT: %', SQLSTATE, SQLERRM, detail, hint;
END $$;
CREATE FOREIGN TABLE bad (k int OPTIONS (key 'true'), v int, w int OPTIONS (column_name 'x')) SERVER dynamo OPTIONS (bucket 'conflict_bad', on_conflict 'nowhere.f');
CALL show_error('SELECT * FROM bad');
CALL show_error('INSERT INTO bad VALUES (1, 2)');
CALL show_error('EXPLAIN DELETE FROM bad');
ALTER FOREIGN TABLE bad OPTIONS (SET on_conflict 'conflict_test."No f"');
CALL show_error('SELECT * FROM bad');
CREATE FUNCTION f(int[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
ALTER FOREIGN TABLE bad OPTIONS (SET on_conflict 'conflict_test.f');
CALL show_error('SELECT * FROM bad');
CREATE FUNCTION f(bad[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
CALL show_error('SELECT * FROM bad');
DROP FUNCTION f(bad[]);
CREATE FUNCTION f(bad[]) RETURNS SETOF bad LANGUAGE sql AS 'SELECT * FROM unnest($1)';
CALL show_error('SELECT * FROM bad');
DROP FUNCTION f(bad[]);
CREATE PROCEDURE f(bad[]) LANGUAGE sql AS '';
CALL show_error('SELECT * FROM bad');
DROP PROCEDURE f(bad[]);
CREATE FUNCTION f(bad[], int DEFAULT 1) RETURNS bad LANGUAGE sql AS 'SELECT $1[1]';
CREATE FUNCTION f(bad[], text DEFAULT 'x') RETURNS bad LANGUAGE sql AS 'SELECT $1[1]';
CALL show_error('SELECT * FROM bad');
DROP FUNCTION f(bad[], int);
CALL show_error('SELECT * FROM bad');
DROP FUNCTION f(int[]), f(bad[], text);
ALTER FOREIGN TABLE bad OPTIONS (SET on_conflict 'pg_catalog.array_agg');
CALL show_error('SELECT * FROM bad');
ALTER FOREIGN TABLE bad ALTER COLUMN v OPTIONS (ADD on_conflict 'pg_catalog.max');
CALL show_error('SELECT * FROM bad');
ALTER FOREIGN TABLE bad OPTIONS (DROP on_conflict);
CALL show_error('SELECT * FROM bad');
ALTER FOREIGN TABLE bad ALTER COLUMN w OPTIONS (ADD on_conflict 'pg_catalog.sum');
CALL show_error('SELECT * FROM bad');
ALTER FOREIGN TABLE bad ALTER COLUMN w OPTIONS (SET on_conflict 'pg_catalog.mode');
CALL show_error('SELECT * FROM bad');
ALTER FOREIGN TABLE bad ALTER COLUMN w OPTIONS (SET on_conflict 'pg_catalog.abs');
CALL show_error('SELECT * FROM bad');
ALTER FOREIGN TABLE bad ALTER COLUMN w OPTIONS (SET on_conflict 'pg_catalog.nothing');
CALL show_error('SELECT * FROM bad');
ALTER FOREIGN TABLE bad ALTER COLUMN w OPTIONS (SET on_conflict 'pg_catalog.max');
CALL show_error('SELECT * FROM bad');
ALTER FOREIGN TABLE bad ALTER COLUMN w TYPE jsonb;
CALL show_error('SELECT * FROM bad');
-- A column that is still an array where rows are plain.
CREATE FOREIGN TABLE still (id int OPTIONS (key 'true'), note text[]) SERVER dynamo OPTIONS (bucket 'conflict_cart', on_conflict 'latest');
CALL show_error('SELECT * FROM still WHERE id = 8');

-- Rights: who reads resolves, so who reads must be allowed to call; who only writes need not.
CREATE ROLE conflict_user;
GRANT USAGE ON SCHEMA conflict_test TO conflict_user;
GRANT ALL ON merged, smalls TO conflict_user;
REVOKE ALL ON FUNCTION merge, add FROM PUBLIC;
SET ROLE conflict_user;
SELECT * FROM merged WHERE id = 8;
SELECT * FROM smalls;
INSERT INTO merged (id, note) VALUES (30, 'by user');
RESET ROLE;
GRANT EXECUTE ON FUNCTION merge TO conflict_user;
INSERT INTO merged (id, note) VALUES (30, 'by owner');
SET ROLE conflict_user;
SELECT id, note FROM merged WHERE id = 30;
RESET ROLE;
-- The function runs as who reads.
CREATE OR REPLACE FUNCTION merge(carts merged[]) RETURNS merged LANGUAGE plpgsql AS $$
BEGIN
    carts[1].note := current_user;
    RETURN carts[1];
END $$;
SET ROLE conflict_user;
SELECT id, note FROM merged WHERE id = 30;
RESET ROLE;

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA conflict_test CASCADE;
DROP ROLE conflict_user;
