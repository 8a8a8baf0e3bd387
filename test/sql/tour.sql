-- A shop's carts, from the first sibling to the last: what the README's page on siblings shows.
CREATE SCHEMA shop;
SET search_path = shop, public;
CREATE TABLE customer (id bigint PRIMARY KEY, name text NOT NULL);
INSERT INTO customer VALUES (7, 'Ann'), (8, 'Bob'), (9, 'Cid'), (10, 'Dora');
CREATE FOREIGN TABLE cart (
    customer_id bigint  OPTIONS (key 'true'),
    items       jsonb[],
    note        text[],
    context     bytea   OPTIONS (context 'true')
) SERVER dynamo OPTIONS (bucket 'cart', n '3', r '2', w '2');
-- Siblings come oldest first by the nodes' clocks, which count milliseconds. So that this output is always the same,
-- each statement lets one go by.
CREATE FUNCTION next_tick() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.002); RETURN NULL; END $$;
CREATE TRIGGER next_tick BEFORE INSERT OR UPDATE OR DELETE ON cart EXECUTE FUNCTION next_tick();

-- Two phones put into one cart, and neither has read what the other wrote.
INSERT INTO cart VALUES (7, ARRAY['{"tea": 1}'::jsonb], ARRAY['phone']);
INSERT INTO cart VALUES (7, ARRAY['{"milk": 2}'::jsonb], ARRAY['tablet']);
SELECT customer_id, items, note FROM cart WHERE customer_id = 7;
SELECT customer_id, s.* FROM cart, unnest(items, note) AS s(item, note) WHERE customer_id = 7;

-- What the shop makes of them: every product, the larger quantity of each.
CREATE FUNCTION union_of(carts jsonb[]) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_object_agg(product, quantity)
    FROM (SELECT product, max(quantity::int) FROM unnest(carts) c, jsonb_each(c) e(product, quantity)
          GROUP BY product) AS l(product, quantity)
$$;
UPDATE cart SET items = ARRAY[union_of(items)], note = ARRAY['both'] WHERE customer_id = 7;
SELECT customer_id, items, note FROM cart WHERE customer_id = 7;

-- The same as a put that hands back the context it read; a plain put would have become one more sibling.
INSERT INTO cart VALUES (7, ARRAY['{"soap": 1}'::jsonb], ARRAY['phone']);
INSERT INTO cart SELECT customer_id, ARRAY[union_of(items)], ARRAY['all three'], context FROM cart WHERE customer_id = 7;
SELECT customer_id, items, note FROM cart WHERE customer_id = 7;

-- Two sessions read the same version of a cart, and both write what they make of it.
INSERT INTO cart VALUES (8, ARRAY['{"tea": 1}'::jsonb], ARRAY['phone']);
SELECT context AS phone FROM cart WHERE customer_id = 8 \gset
SELECT context AS tablet FROM cart WHERE customer_id = 8 \gset
INSERT INTO cart VALUES (8, ARRAY['{"tea": 2}'::jsonb], ARRAY['phone'], :'phone');
INSERT INTO cart VALUES (8, ARRAY['{"tea": 1, "jam": 1}'::jsonb], ARRAY['tablet'], :'tablet');
SELECT customer_id, items, note FROM cart WHERE customer_id = 8;
-- Who has read both has seen all that the phone had, and not the other way round.
SELECT dynamo_descends(context, :'phone') AS has_seen_it, dynamo_descends(:'phone', context) AS was_seen,
       dynamo_concurrent(context, :'phone') AS neither FROM cart WHERE customer_id = 8;
-- The context of one key is nothing to another.
INSERT INTO cart VALUES (9, ARRAY['{"tea": 9}'::jsonb], ARRAY['phone'], :'phone');

-- What a context says, for people: it has seen the three writes of this key.
SELECT i.piece, i.kind, sum(i.counter) AS stamped FROM cart, dynamo_context_info(context) i WHERE customer_id = 8 GROUP BY 1, 2;

-- DELETE takes away what it has seen. What was written by somebody who had not seen the DELETE is there after it.
SELECT context AS phone FROM cart WHERE customer_id = 8 \gset
DELETE FROM cart WHERE customer_id = 8;
INSERT INTO cart VALUES (8, ARRAY['{"tea": 3, "jam": 1}'::jsonb], ARRAY['phone'], :'phone');
SELECT customer_id, items, note FROM cart WHERE customer_id = 8;
-- Who reads that has seen both, and a DELETE by them is the last word.
DELETE FROM cart WHERE customer_id = 8;
SELECT customer_id, items, note FROM cart WHERE customer_id = 8;

-- A table over the same bucket that shows one row a key, as a function makes it. Nothing is stored otherwise.
INSERT INTO cart VALUES (9, ARRAY['{"tea": 1}'::jsonb], ARRAY['phone']);
INSERT INTO cart VALUES (9, ARRAY['{"tea": 5, "rice": 1}'::jsonb], ARRAY['tablet']);
CREATE FOREIGN TABLE one_cart (customer_id bigint OPTIONS (key 'true'), items jsonb, note text)
    SERVER dynamo OPTIONS (bucket 'cart', on_conflict 'shop.resolve');
CREATE FUNCTION resolve(siblings one_cart[]) RETURNS one_cart LANGUAGE sql AS $$
    SELECT min(customer_id), shop.union_of(array_agg(items)), string_agg(note, ' and ' ORDER BY note)
    FROM unnest(siblings)
$$;
SELECT * FROM one_cart WHERE customer_id = 9;
SELECT cardinality(items) AS siblings FROM cart WHERE customer_id = 9;
-- One whose columns are resolved by aggregates, one that takes the later, one that will have none.
CREATE AGGREGATE any_product(jsonb) (SFUNC = jsonb_concat, STYPE = jsonb, INITCOND = '{}');
CREATE FOREIGN TABLE total_cart (
    customer_id bigint OPTIONS (key 'true'),
    items       jsonb  OPTIONS (on_conflict 'shop.any_product'),
    note        text   OPTIONS (on_conflict 'pg_catalog.min')
) SERVER dynamo OPTIONS (bucket 'cart');
CREATE FOREIGN TABLE late_cart (customer_id bigint OPTIONS (key 'true'), items jsonb, note text)
    SERVER dynamo OPTIONS (bucket 'cart', on_conflict 'latest');
CREATE FOREIGN TABLE sole_cart (customer_id bigint OPTIONS (key 'true'), items jsonb, note text)
    SERVER dynamo OPTIONS (bucket 'cart', on_conflict 'error');
SELECT * FROM total_cart WHERE customer_id = 9;
SELECT * FROM late_cart WHERE customer_id = 9;
SELECT * FROM sole_cart WHERE customer_id = 9;
-- UPDATE of the resolved row is the resolution: it has seen both siblings.
UPDATE one_cart SET items = items || '{"bread": 1}' WHERE customer_id = 9;
SELECT customer_id, items, note FROM cart WHERE customer_id = 9;
SELECT * FROM sole_cart WHERE customer_id = 9;

-- All conflicts of the shop, beside the tables that were always there, and resolved by one statement.
INSERT INTO cart VALUES (8, ARRAY['{"ham": 1}'::jsonb, '{"ham": 2}'::jsonb], ARRAY['phone', 'tablet']);
INSERT INTO cart VALUES (10, ARRAY['{"egg": 6}'::jsonb], ARRAY['phone']);
INSERT INTO cart VALUES (10, ARRAY['{"oil": 1}'::jsonb], ARRAY['tablet']);
CREATE VIEW conflict AS
    SELECT customer_id, name, cardinality(items) AS siblings, union_of(items) AS proposal
    FROM cart JOIN customer ON id = customer_id WHERE cardinality(items) > 1;
SELECT * FROM conflict ORDER BY name;
UPDATE cart SET items = ARRAY[union_of(items)], note = ARRAY['merged for ' || name]
FROM customer WHERE id = customer_id AND cardinality(items) > 1;
SELECT name, items, note FROM customer JOIN cart ON id = customer_id ORDER BY name;
SELECT count(*) FROM conflict;

-- A transaction reads what it wrote; nothing leaves before COMMIT, and a key leaves as one put.
BEGIN;
UPDATE one_cart SET items = items || '{"salt": 1}' WHERE customer_id = 10;
UPDATE one_cart SET items = items || '{"pepper": 1}', note = 'twice' WHERE customer_id = 10;
SAVEPOINT before_delete;
DELETE FROM cart;
ROLLBACK TO before_delete;
SELECT customer_id, items, note FROM cart WHERE customer_id = 10;
COMMIT;
SELECT customer_id, items, note FROM cart WHERE customer_id = 10;
-- ROLLBACK sends nothing. Until then a context says that it has seen writes which are not sent yet.
BEGIN;
DELETE FROM cart;
SELECT count(*) FROM cart;
INSERT INTO cart VALUES (9, ARRAY['{"tea": 1}'::jsonb], ARRAY['never']), (11, ARRAY['{"tea": 1}'::jsonb], ARRAY['never']);
SELECT customer_id, note FROM cart ORDER BY 1;
SELECT i.kind FROM cart, dynamo_context_info(context) i WHERE customer_id = 9 ORDER BY 1;
ROLLBACK;
SELECT customer_id, note FROM cart ORDER BY 1;

-- Each of the three nodes has a copy of every cart. They compare them once an hour, or now if somebody wants it.
SELECT count(*) AS nodes, bool_and(queued > 0) AS queued FROM dynamo_repair('dynamo_admin', 'cart');
DO $$
BEGIN
    FOR try IN 1 .. 1000 LOOP
        EXIT WHEN (SELECT bool_and(state = 'idle' AND equal_at IS NOT NULL) FROM dynamo_repair_status('dynamo') WHERE bucket = 'cart');
        PERFORM pg_sleep(0.02);
    END LOOP;
END
$$;
SELECT bucket, count(*) AS compares, min(equal_at) > now() - interval '1 hour' AS equal, sum(differences) AS differences, max(time_left) AS time_left
FROM dynamo_repair_status('dynamo') WHERE bucket = 'cart' GROUP BY bucket;

SET client_min_messages = warning;
DELETE FROM cart;
DROP SCHEMA shop CASCADE;
