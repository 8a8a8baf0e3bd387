-- A transaction reads its own writes, on every path, before they leave.
CREATE SCHEMA overlay_test;
SET search_path = overlay_test;
CREATE FOREIGN TABLE cart (
    id      int    OPTIONS (key 'true'),
    item    text[],
    pieces  int[],
    context bytea  OPTIONS (context 'true')
) SERVER dynamo OPTIONS (bucket 'overlay_cart');
-- The same bucket without its context column.
CREATE FOREIGN TABLE bare (id int OPTIONS (key 'true'), item text[], pieces int[])
    SERVER dynamo OPTIONS (bucket 'overlay_cart');
-- What is stored, and how many siblings each has, in a fixed order.
CREATE VIEW sorted AS
    SELECT id, cardinality(item) AS siblings, (SELECT array_agg(i ORDER BY i) FROM unnest(item) i) AS item FROM cart ORDER BY id;

-- The first write of a bucket creates it; the read behind it finds what no node has.
BEGIN;
SELECT count(*) FROM cart;
INSERT INTO cart (id, item) VALUES (1, '{tea}'), (2, '{milk}');
SELECT id, item FROM cart WHERE id = 1;
SELECT id, item FROM cart ORDER BY id;
SELECT id, item FROM bare WHERE id IN (0, 1, 2, 3) ORDER BY id;
COMMIT;
SELECT * FROM sorted;

-- INSERT then UPDATE, and two UPDATEs, of a key are one sibling; so are UPDATE, DELETE and INSERT after another.
BEGIN;
INSERT INTO bare VALUES (10, '{a}', '{1}');
UPDATE bare SET pieces = ARRAY[pieces[1] + 1] WHERE id = 10;
UPDATE cart SET item = item || ARRAY['b'], pieces = pieces || ARRAY[7] WHERE id = 10;
SELECT id, item, pieces FROM bare WHERE id = 10;
UPDATE cart SET item = '{c}', pieces = '{3}' WHERE id = 10;
SELECT id, item, pieces FROM bare WHERE id = 10;
UPDATE cart SET item = '{first}' WHERE id = 1;
UPDATE bare SET item = '{second}' WHERE id = 1;
UPDATE bare SET item = '{gone}' WHERE id = 2;
DELETE FROM cart WHERE id = 2;
SELECT id, item FROM cart ORDER BY id;
INSERT INTO bare VALUES (2, '{again}');
SELECT id, item, pieces FROM cart ORDER BY id;
COMMIT;
SELECT id, item, pieces FROM cart ORDER BY id;

-- INSERTs that have not seen each other are siblings: of what is stored, in the order in which they were put.
BEGIN;
INSERT INTO cart (id, item) VALUES (11, '{one}'), (11, '{two,three}');
INSERT INTO bare VALUES (11, '{four}'), (1, '{blind}');
SELECT id, item FROM cart WHERE id IN (1, 11) ORDER BY id;
COMMIT;
SELECT id, item FROM cart WHERE id = 11;
SELECT * FROM sorted WHERE id IN (1, 11);
-- One that hands back the context of a row that it read replaces them, those not sent yet included.
BEGIN;
INSERT INTO cart (id, item) VALUES (11, '{five}');
INSERT INTO cart SELECT id, ARRAY['all'], NULL, context FROM cart WHERE id = 11;
SELECT id, item FROM cart WHERE id = 11;
INSERT INTO bare VALUES (11, '{more}');
SELECT id, item FROM cart WHERE id = 11;
COMMIT;
SELECT id, item FROM cart WHERE id = 11;

-- DELETE of what was only inserted, and of what is stored; UPDATE and DELETE find nothing then.
BEGIN;
INSERT INTO bare VALUES (12, '{short-lived}');
DELETE FROM bare WHERE id = 12;
DELETE FROM bare WHERE id = 10 RETURNING item;
SELECT count(*) FROM bare WHERE id IN (10, 12);
UPDATE bare SET item = '{none}' WHERE id IN (10, 12) RETURNING id;
DELETE FROM bare WHERE id IN (10, 12) RETURNING id;
SELECT id FROM bare WHERE id >= 10 ORDER BY id;
COMMIT;
SELECT id FROM bare WHERE id >= 10 ORDER BY id;

-- No statement reads what it writes itself: it ends.
INSERT INTO bare SELECT g, ARRAY['g' || g], ARRAY[g] FROM generate_series(100, 109) g;
BEGIN;
INSERT INTO bare VALUES (110, '{g110}');
INSERT INTO bare SELECT id + 100, item FROM bare WHERE id >= 100;
INSERT INTO bare SELECT id + 200, item FROM bare WHERE id >= 100;
INSERT INTO bare SELECT id, item FROM bare WHERE id IN (100, 110, 410);
SELECT count(*), min(id), max(id), count(*) FILTER (WHERE cardinality(item) = 2) FROM bare WHERE id >= 100;
UPDATE bare SET pieces = ARRAY[id] WHERE id >= 100 AND cardinality(item) = 1;
DELETE FROM bare WHERE pieces[1] = id AND id >= 200;
SELECT id, item, pieces FROM bare WHERE id >= 100 AND (id > 108 OR cardinality(item) > 1) ORDER BY id;
COMMIT;
SELECT count(*), min(id), max(id) FROM bare WHERE id >= 100;
SELECT * FROM sorted WHERE id IN (100, 110);
WITH new AS (INSERT INTO bare VALUES (120, '{new}') RETURNING id),
     old AS (UPDATE bare SET item = '{changed}' WHERE id = 109 RETURNING item)
    SELECT (SELECT id FROM new), (SELECT item FROM old), (SELECT count(*) FROM bare WHERE id = 120) AS of_new,
           (SELECT item FROM bare WHERE id = 109) AS still;
SELECT id, item FROM bare WHERE id IN (109, 120) ORDER BY id;

-- Every kind of join, by lookups, by batches, of the whole bucket; subqueries.
CREATE TABLE local (id int, note text);
INSERT INTO local VALUES (101, 'stored'), (102, 'updated'), (103, 'deleted'), (130, 'inserted'), (999, 'nowhere'), (NULL, 'null');
ANALYZE local;
BEGIN;
UPDATE bare SET item = '{updated}' WHERE id = 102;
DELETE FROM bare WHERE id = 103;
INSERT INTO bare VALUES (130, '{inserted}', '{130}');
EXPLAIN (COSTS OFF) SELECT note, item FROM local LEFT JOIN bare USING (id);
SELECT note, item FROM local LEFT JOIN bare USING (id) ORDER BY note;
SELECT note, item FROM local JOIN bare USING (id) ORDER BY note;
SELECT note FROM local WHERE id IN (SELECT id FROM bare) ORDER BY note;
SELECT note FROM local WHERE NOT EXISTS (SELECT FROM bare WHERE bare.id = local.id) ORDER BY note;
SET LOCAL dynamo_fdw.enable_batch_join = off;
SELECT note, item FROM local LEFT JOIN bare USING (id) ORDER BY note;
SELECT note, (SELECT item FROM bare WHERE bare.id = local.id) FROM local ORDER BY note;
SET LOCAL enable_nestloop = off;
SELECT note, item FROM local LEFT JOIN bare USING (id) ORDER BY note;
SELECT note, item FROM local FULL JOIN bare USING (id) WHERE id > 108 OR note IS NOT NULL ORDER BY id, note;
SET LOCAL enable_nestloop = on;
-- The inner side of a nested loop is scanned again and again.
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL enable_material = off;
SELECT note, item FROM local, bare WHERE bare.id + 0 = local.id ORDER BY note;
SELECT g, count(*) FROM generate_series(1, 3) g, LATERAL (SELECT FROM bare WHERE pieces[1] >= 105 + g) b GROUP BY g ORDER BY g;
RESET dynamo_fdw.enable_batch_join;
UPDATE bare SET item = ARRAY[note || '!'] FROM local WHERE local.id = bare.id RETURNING bare.id, item;
DELETE FROM bare USING local WHERE local.id = bare.id AND note IN ('inserted', 'stored') RETURNING bare.id, item;
SELECT id, item FROM bare WHERE id BETWEEN 101 AND 103 OR id = 130 ORDER BY id;
ROLLBACK;
SELECT id, item FROM bare WHERE id BETWEEN 101 AND 103 OR id = 130 ORDER BY id;

-- EXPLAIN ANALYZE tells how many keys were overlaid, and nothing where none was.
BEGIN;
INSERT INTO bare VALUES (1000, '{x}'), (101, '{x}');
CREATE FUNCTION own_writes(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
        IF line LIKE '%Requests:%' THEN
            RETURN NEXT coalesce(substring(line FROM 'Own Writes: \d+'), 'none');
        END IF;
    END LOOP;
END $$;
SELECT own_writes('SELECT * FROM bare WHERE id = 102');
SELECT own_writes('SELECT * FROM bare WHERE id IN (101, 102, 1000)');
SELECT own_writes('SELECT * FROM bare');
SELECT own_writes('SELECT * FROM local JOIN bare USING (id)');
SELECT own_writes('INSERT INTO bare SELECT id, item FROM bare WHERE id = 101');
SELECT own_writes('SELECT * FROM bare WHERE id = 101');
ROLLBACK;

-- Savepoints: back, released, nested. What was overwritten in one comes back with it.
BEGIN;
INSERT INTO bare VALUES (140, '{outer}');
SAVEPOINT a;
UPDATE bare SET item = '{in a}' WHERE id IN (101, 140);
SAVEPOINT b;
DELETE FROM bare WHERE id IN (101, 140);
INSERT INTO bare VALUES (141, '{in b}');
SELECT id, item FROM bare WHERE id IN (101, 140, 141) OR id > 1000 ORDER BY id;
ROLLBACK TO b;
SELECT id, item FROM bare WHERE id IN (101, 140, 141) OR id > 1000 ORDER BY id;
UPDATE bare SET item = item || ARRAY['in b again'], pieces = NULL WHERE id = 140;
RELEASE b;
SELECT id, item FROM bare WHERE id IN (101, 140, 141) OR id > 1000 ORDER BY id;
ROLLBACK TO a;
SELECT id, item FROM bare WHERE id IN (101, 140, 141) OR id > 1000 ORDER BY id;
UPDATE bare SET item = '{after a}' WHERE id = 140;
COMMIT;
SELECT * FROM sorted WHERE id IN (101, 140, 141);
-- A context that was read over writes which were rolled back covers those that are left, and none that came later.
BEGIN;
INSERT INTO cart (id, item) VALUES (142, '{left}');
SAVEPOINT s;
INSERT INTO cart (id, item) VALUES (142, '{rolled back}');
SELECT context AS seen FROM cart WHERE id = 142 \gset
ROLLBACK TO s;
INSERT INTO cart (id, item) VALUES (142, '{later}');
INSERT INTO cart VALUES (142, '{resolved}', NULL, :'seen');
SELECT id, item FROM cart WHERE id = 142;
COMMIT;
SELECT * FROM sorted WHERE id = 142;

-- PL/pgSQL: loops that read what they wrote, exception blocks, functions that write within a SELECT.
DO $$
DECLARE
    seen text[];
BEGIN
    INSERT INTO bare VALUES (150, '{0}', '{0}');
    FOR i IN 1 .. 1000 LOOP
        UPDATE bare SET item = ARRAY[(item[1]::int + 1)::text], pieces = ARRAY[i] WHERE id = 150;
        BEGIN
            IF i % 10 = 0 THEN
                UPDATE bare SET item = '{lost}' WHERE id = 150;
                RAISE EXCEPTION 'back';
            END IF;
        EXCEPTION WHEN raise_exception THEN
            SELECT item INTO seen FROM bare WHERE id = 150;
            IF seen <> ARRAY[i::text] THEN
                RAISE EXCEPTION 'read % in loop %', seen, i;
            END IF;
        END;
    END LOOP;
END $$;
SELECT id, item, pieces FROM bare WHERE id = 150;
CREATE FUNCTION add(key int, value text) RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO bare VALUES (key, ARRAY[value]);
    RETURN (SELECT item FROM bare WHERE id = key);
END $$;
BEGIN;
SELECT g, add(151, 'v' || g) AS within, (SELECT item FROM bare WHERE id = 151) AS outside FROM generate_series(1, 3) g;
SELECT item FROM bare WHERE id = 151;
COMMIT;
SELECT * FROM sorted WHERE id = 151;
-- A volatile function reads what the statement around it has done so far; the statement puts under what it read itself.
CREATE FUNCTION stored(key int) RETURNS text[] LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT item FROM bare WHERE id = key); END $$;
BEGIN;
INSERT INTO bare VALUES (152, '{a}'), (153, '{b}');
UPDATE bare SET item = ARRAY[item[1] || array_to_string(stored(152), '+')] WHERE id IN (152, 153);
SELECT id, item FROM bare WHERE id IN (152, 153) ORDER BY id;
COMMIT;
SELECT id, item FROM bare WHERE id IN (152, 153) ORDER BY id;

-- Triggers of local tables read and write the bucket.
CREATE TABLE orders (id int);
CREATE FUNCTION into_cart() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before text[] := (SELECT item FROM bare WHERE bare.id = new.id);
BEGIN
    IF before IS NULL THEN
        INSERT INTO bare VALUES (new.id, ARRAY['1']);
    ELSE
        UPDATE bare SET item = ARRAY[(before[1]::int + 1)::text] WHERE bare.id = new.id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER into_cart AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION into_cart();
BEGIN;
INSERT INTO orders VALUES (160), (161), (160), (160);
SELECT id, item FROM bare WHERE id IN (160, 161) ORDER BY id;
COMMIT;
DROP TRIGGER into_cart ON orders;
CREATE CONSTRAINT TRIGGER into_cart AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION into_cart();
BEGIN;
INSERT INTO orders VALUES (160), (162), (162);
SELECT id, item FROM bare WHERE id BETWEEN 160 AND 169 ORDER BY id;
COMMIT;
SELECT * FROM sorted WHERE id BETWEEN 160 AND 169;

-- A cursor does not move: neither what came after it nor what that covers counts.
BEGIN;
INSERT INTO bare VALUES (170, '{before}'), (171, '{before}');
DECLARE points CURSOR FOR SELECT id, item FROM bare WHERE id IN (170, 171, 172);
DECLARE pages CURSOR FOR SELECT id, item FROM bare WHERE id::text LIKE '17_' ORDER BY id;
DECLARE slow CURSOR FOR SELECT id, item FROM bare WHERE id::text LIKE '17_';
DECLARE again SCROLL CURSOR FOR SELECT id, item FROM bare WHERE id = 170;
FETCH 1 FROM points;
FETCH 1 FROM again;
UPDATE bare SET item = '{after}' WHERE id = 170;
DELETE FROM bare WHERE id = 171;
INSERT INTO bare VALUES (172, '{after}');
FETCH ALL FROM points;
FETCH ALL FROM pages;
FETCH FIRST FROM again;
SAVEPOINT s;
DELETE FROM bare WHERE id = 170;
FETCH 1 FROM slow;
ROLLBACK TO s;
FETCH 1 FROM slow;
FETCH 1 FROM slow;
SELECT id, item FROM bare WHERE id::text LIKE '17_' ORDER BY id;
DECLARE held CURSOR WITH HOLD FOR SELECT id, item FROM bare WHERE id::text LIKE '17_' ORDER BY id;
COMMIT;
FETCH ALL FROM held;
CLOSE held;
SELECT * FROM sorted WHERE id BETWEEN 170 AND 179;
-- What a cursor read covers nothing that was written after it was opened.
BEGIN;
DECLARE old CURSOR FOR SELECT context FROM cart WHERE id = 170;
INSERT INTO bare VALUES (170, '{beside}');
FETCH old \gset old_
INSERT INTO cart VALUES (170, '{over the old one}', NULL, :'old_context');
SELECT item FROM cart WHERE id = 170;
COMMIT;
SELECT * FROM sorted WHERE id = 170;

-- COPY; prepared statements; a rollback of all; procedures that commit.
BEGIN;
COPY bare (id, item) FROM stdin;
180	{copied}
181	{copied}
180	{copied too}
\.
PREPARE find(int) AS SELECT item FROM bare WHERE id = $1;
SET LOCAL plan_cache_mode = force_generic_plan;
EXECUTE find(180);
UPDATE bare SET item = '{updated}' WHERE id = 181;
EXECUTE find(181);
ROLLBACK;
EXECUTE find(180);
CREATE PROCEDURE count_up() LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO bare VALUES (182, '{0}');
    FOR i IN 1 .. 6 LOOP
        UPDATE bare SET item = ARRAY[(item[1]::int + 1)::text] WHERE id = 182;
        IF i % 3 = 0 THEN
            ROLLBACK;
        ELSIF i % 2 = 0 THEN
            COMMIT;
        END IF;
    END LOOP;
END $$;
CALL count_up();
SELECT * FROM sorted WHERE id = 182;

-- The context of such a read is good for its key in its transaction only; elsewhere it is refused, at once.
BEGIN;
INSERT INTO cart (id, item) VALUES (190, '{mine}'), (191, '{other}');
SELECT context AS pending FROM cart WHERE id = 190 \gset
SAVEPOINT s;
INSERT INTO cart VALUES (191, '{x}', NULL, :'pending');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO s;
INSERT INTO cart VALUES (190, '{good}', NULL, :'pending');
COMMIT;
INSERT INTO cart VALUES (190, '{x}', NULL, :'pending');
\echo :LAST_ERROR_SQLSTATE
BEGIN;
INSERT INTO cart (id, item) VALUES (190, '{other transaction}');
UPDATE cart SET item = '{x}', pieces = NULL, context = :'pending' WHERE id = 190;
ROLLBACK;
CREATE FOREIGN TABLE basket (id int OPTIONS (key 'true'), item text[], context bytea OPTIONS (context 'true'))
    SERVER dynamo OPTIONS (bucket 'overlay_basket');
BEGIN;
INSERT INTO cart (id, item) VALUES (190, '{mine}');
INSERT INTO basket SELECT id, item, context FROM cart WHERE id = 190;
ROLLBACK;
SELECT * FROM sorted WHERE id IN (190, 191);
-- Siblings of one transaction are siblings to every table; the latest is the one that was put last.
CREATE FOREIGN TABLE strict (id int OPTIONS (key 'true'), item text)
    SERVER dynamo OPTIONS (bucket 'overlay_cart', on_conflict 'error');
CREATE FOREIGN TABLE latest (id int OPTIONS (key 'true'), item text, pieces int)
    SERVER dynamo OPTIONS (bucket 'overlay_cart', on_conflict 'latest');
BEGIN ISOLATION LEVEL SERIALIZABLE;
INSERT INTO latest VALUES (192, 'one', 1), (193, 'one', 1);
INSERT INTO strict VALUES (192, 'two');
SELECT * FROM latest WHERE id IN (192, 193) ORDER BY id;
SELECT * FROM strict WHERE id = 193;
SAVEPOINT s;
SELECT * FROM strict WHERE id = 192;
ROLLBACK TO s;
UPDATE latest SET item = item || ' and one', pieces = 2 WHERE id = 192;
SELECT * FROM strict WHERE id = 192;
INSERT INTO strict VALUES (193, 'two'), (193, 'three');
COMMIT;
SELECT * FROM latest WHERE id IN (192, 193) ORDER BY id;
SELECT * FROM sorted WHERE id IN (192, 193);

-- Keys that only the transaction has come behind the pages, each once, also of many.
BEGIN;
INSERT INTO bare SELECT g, ARRAY['big'] FROM generate_series(10001, 13000) g;
DELETE FROM bare WHERE id > 12500;
UPDATE bare SET item = '{bigger}' WHERE id BETWEEN 10001 AND 10500 OR id % 7 = 0 AND id > 10000;
SELECT item[1], count(*), min(id), max(id) FROM bare WHERE id > 10000 GROUP BY 1 ORDER BY 1;
SELECT count(*), count(DISTINCT b.id) FROM generate_series(10001, 13000) g LEFT JOIN bare b ON b.id = g;
COMMIT;
SELECT item[1], count(*), min(id), max(id), max(cardinality(item)) FROM bare WHERE id > 10000 GROUP BY 1 ORDER BY 1;

-- One cluster by two servers and two users has one log; what leaves does so by the connection that it was put through.
SELECT option_value AS hosts FROM pg_foreign_server, pg_options_to_table(srvoptions)
    WHERE srvname = 'dynamo' AND option_name = 'host' \gset
SELECT option_value AS ports FROM pg_foreign_server, pg_options_to_table(srvoptions)
    WHERE srvname = 'dynamo' AND option_name = 'port' \gset
SELECT option_value AS node_user FROM pg_user_mappings, pg_options_to_table(umoptions)
    WHERE srvname = 'dynamo' AND option_name = 'user' \gset
SELECT option_value AS node_password FROM pg_user_mappings, pg_options_to_table(umoptions)
    WHERE srvname = 'dynamo' AND option_name = 'password' \gset
CREATE SERVER overlay_other FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (host :'hosts', port :'ports');
CREATE USER MAPPING FOR CURRENT_USER SERVER overlay_other OPTIONS (user :'node_user', password :'node_password');
CREATE ROLE overlay_plain;
CREATE USER MAPPING FOR overlay_plain SERVER dynamo OPTIONS (user :'node_user', password :'node_password');
GRANT ALL ON bare TO overlay_plain;
CREATE FOREIGN TABLE other (id int OPTIONS (key 'true'), item text[]) SERVER overlay_other OPTIONS (bucket 'overlay_cart');
CREATE VIEW theirs AS SELECT id, item FROM bare;
ALTER VIEW theirs OWNER TO overlay_plain;
GRANT USAGE ON SCHEMA overlay_test TO overlay_plain;
BEGIN;
INSERT INTO bare VALUES (200000, '{a}'), (200001, '{b}');
UPDATE other SET item = item || ARRAY['other'] WHERE id = 200000;
SELECT id, item FROM theirs WHERE id >= 200000 ORDER BY id;
SAVEPOINT s;
UPDATE theirs SET item = '{theirs}' WHERE id = 200001;
INSERT INTO theirs VALUES (200000, '{blind}');
DELETE FROM other WHERE id = 200001;
SELECT id, item FROM bare WHERE id IN (200000, 200001) ORDER BY id;
ROLLBACK TO s;
INSERT INTO theirs VALUES (200001, '{blind}');
INSERT INTO other VALUES (200002, '{c}');
DELETE FROM bare WHERE id = 200002;
SELECT id, item FROM other WHERE id >= 200000 ORDER BY id;
COMMIT;
SELECT * FROM sorted WHERE id >= 200000;
BEGIN;
INSERT INTO other VALUES (200003, '{c}');
PREPARE TRANSACTION 'overlay';
SELECT count(*) FROM other WHERE id = 200003;

\set VERBOSITY terse
-- Bytes that are no context are the nodes' to refuse, and disturb no read before that.
BEGIN;
INSERT INTO cart VALUES (190, '{x}', NULL, 'nonsense');
SELECT item FROM cart WHERE id = 190;
UPDATE cart SET item = '{y}', pieces = NULL WHERE id = 190;
SELECT item FROM cart WHERE id = 190;
COMMIT;
SELECT * FROM sorted WHERE id = 190;

SET client_min_messages = warning;
DROP SCHEMA overlay_test CASCADE;
DROP SERVER overlay_other CASCADE;
DROP OWNED BY overlay_plain;
DROP ROLE overlay_plain;
