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

DROP FOREIGN TABLE cart, basket;
DROP TABLE seen, seen_basket, pending;
