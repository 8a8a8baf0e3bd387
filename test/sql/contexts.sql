-- What contexts are good for, what they are not, and how they are shown.
CREATE FOREIGN TABLE cart (
    id      int    OPTIONS (key 'true'),
    items   text[],
    context bytea  OPTIONS (context 'true')
) SERVER dynamo OPTIONS (bucket 'contexts_cart');
CREATE FOREIGN TABLE basket (
    id      int    OPTIONS (key 'true'),
    items   text[],
    context bytea  OPTIONS (context 'true')
) SERVER dynamo OPTIONS (bucket 'contexts_basket');

INSERT INTO cart VALUES (1, '{tea}'), (2, '{milk}');
INSERT INTO basket VALUES (1, '{rice}');
CREATE TEMP TABLE seen AS SELECT id, context FROM cart;
CREATE TEMP TABLE seen_basket AS SELECT id, context FROM basket;

-- Refused, each fault with its own words: of another key, of another bucket,
INSERT INTO cart SELECT 2, '{x}', context FROM seen WHERE id = 1;
INSERT INTO cart SELECT 3, '{x}', context FROM seen WHERE id = 1;
INSERT INTO cart SELECT 1, '{x}', context FROM seen_basket WHERE id = 1;
\echo :LAST_ERROR_SQLSTATE
-- truncated, and no context at all,
INSERT INTO cart SELECT 1, '{x}', substring(context FROM 1 FOR length(context) - 1) FROM seen WHERE id = 1;
INSERT INTO cart VALUES (1, '{x}', 'nonsense');
\echo :LAST_ERROR_SQLSTATE
-- with one bit edited: in the MAC, in the counter before it,
INSERT INTO cart SELECT 1, '{x}', set_bit(context, 8 * length(context) - 1, 1 - get_bit(context, 8 * length(context) - 1))
    FROM seen WHERE id = 1;
INSERT INTO cart SELECT 1, '{x}', set_byte(context, length(context) - 17, 9) FROM seen WHERE id = 1;
\echo :LAST_ERROR_SQLSTATE
-- sealed under a key that this cluster does not have (the four bytes that name it),
INSERT INTO cart SELECT 1, '{x}', overlay(context PLACING '\xdeadbeef' FROM 14 FOR 4) FROM seen WHERE id = 1;
\echo :LAST_ERROR_SQLSTATE
-- naming writes of a transaction that the nodes do not know.
CREATE TEMP TABLE pending AS
    SELECT id, '\x02'::bytea || substring(context FROM 2 FOR 12) || decode(repeat('00', 28), 'hex') AS context FROM seen;
INSERT INTO cart SELECT 1, '{x}', context FROM pending WHERE id = 1;
\echo :LAST_ERROR_SQLSTATE
-- A fault of one row refuses only that; the error says what became of the others.
INSERT INTO cart SELECT v.id, ARRAY[v.item], s.context FROM (VALUES (2, 'butter'), (1, 'x')) v(id, item), seen s WHERE s.id = 2;
SELECT id, items FROM cart ORDER BY id;

-- An empty context has seen nothing, as NULL has: what is written stands beside what is there.
INSERT INTO cart VALUES (1, '{coffee}', '');
SELECT item FROM cart, unnest(items) item WHERE id = 1 ORDER BY item;
-- The rows read before are good for what they have seen, also all together.
INSERT INTO cart SELECT 1, '{both}', s.context || c.context FROM seen s, cart c WHERE s.id = 1 AND c.id = 1;
SELECT id, items FROM cart ORDER BY id;

-- Shown to people: a row for each entry of a version vector.
SELECT c.id, i.piece, i.kind, i.bucket_id > 0 AS bucket, length(i.key_hash) AS hash, length(i.cluster_key) AS cluster_key,
       i.actor IS NOT NULL AS actor, i.epoch > 0 AS epoch, i.counter, i.transaction, i.writes
    FROM cart c, dynamo_context_info(context) i WHERE c.id = 2;
SELECT sum(i.counter) AS stamps FROM cart c, dynamo_context_info(context) i WHERE c.id = 1;
SELECT count(DISTINCT cluster_key) FROM cart c, dynamo_context_info(context) i;
SELECT piece, kind, cluster_key, actor, counter, transaction, writes FROM pending, dynamo_context_info(context) WHERE id = 1;
SELECT s.id, i.piece, i.kind FROM seen s JOIN pending p USING (id), dynamo_context_info(s.context || p.context) i ORDER BY 1, 2;
SELECT count(*) FROM dynamo_context_info(NULL);
SELECT count(*) FROM dynamo_context_info('');
SELECT dynamo_context_info('nonsense');
SELECT dynamo_context_info(substring(context FROM 1 FOR 30)) FROM seen;
\echo :LAST_ERROR_SQLSTATE

-- Compared: what was read later has seen more.
CREATE TEMP TABLE history (n int, context bytea);
INSERT INTO cart VALUES (9, '{a}');
INSERT INTO history SELECT 1, context FROM cart WHERE id = 9;
INSERT INTO cart VALUES (9, '{b}');
INSERT INTO history SELECT 2, context FROM cart WHERE id = 9;
SELECT a.n AS a, b.n AS b, dynamo_descends(a.context, b.context), dynamo_concurrent(a.context, b.context)
    FROM history a, history b ORDER BY 1, 2;
SELECT dynamo_descends('', ''), dynamo_descends(context, ''), dynamo_descends('', context), dynamo_concurrent('', context)
    FROM history WHERE n = 1;
SELECT dynamo_descends(NULL, context) IS NULL AS d, dynamo_concurrent(context, NULL) IS NULL AS c FROM history WHERE n = 1;
-- Made by hand, since nothing is verified here: the same entry of another actor.
CREATE TEMP VIEW made AS
    SELECT context AS a, set_byte(context, 21, 255 - get_byte(context, 21)) AS b FROM history WHERE n = 1;
SELECT dynamo_descends(a, b), dynamo_descends(b, a), dynamo_concurrent(a, b), dynamo_descends(a || b, b),
       dynamo_descends(b, a || b), dynamo_concurrent(a || b, b) FROM made;
-- A place in a transaction has seen the places before it, and neither covers nor is covered by what was committed.
CREATE TEMP VIEW places AS
    SELECT id, context AS early, set_byte(context, 36, 5) AS late, set_byte(context, 13, 1) AS other FROM pending;
SELECT dynamo_descends(late, early), dynamo_descends(early, late), dynamo_concurrent(early, other) FROM places WHERE id = 1;
SELECT dynamo_descends(s.context || early, s.context), dynamo_descends(s.context, s.context || early), dynamo_concurrent(s.context, early)
    FROM places JOIN seen s USING (id) WHERE id = 1;
-- Not of one key.
\set VERBOSITY terse
SELECT dynamo_descends(a.context, b.context) FROM seen a, seen b WHERE a.id = 1 AND b.id = 2;
\echo :LAST_ERROR_SQLSTATE
SELECT dynamo_concurrent(a.context, b.context) FROM seen a, seen_basket b WHERE a.id = 1;
SELECT dynamo_descends(a.context || b.context, a.context) FROM seen a, seen b WHERE a.id = 1 AND b.id = 2;
SELECT dynamo_descends(context, 'nonsense') FROM seen WHERE id = 1;
\set VERBOSITY default

DROP VIEW made, places;
DROP FOREIGN TABLE cart, basket;
DROP TABLE seen, seen_basket, pending, history;
