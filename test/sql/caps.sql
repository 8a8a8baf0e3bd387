-- How many siblings a key may have: a warning over siblings_warn (25), a refusal over siblings_max (100).
CREATE FOREIGN TABLE crowd (
    id      int    OPTIONS (key 'true'),
    item    text[],
    context bytea  OPTIONS (context 'true')
) SERVER dynamo OPTIONS (bucket 'caps_crowd');
CREATE FUNCTION items(count int) RETURNS text[] LANGUAGE sql
    RETURN (SELECT array_agg('item ' || g) FROM generate_series(1, count) g);

-- One warning for a transaction, for the worst of its keys.
INSERT INTO crowd VALUES (1, items(25));
INSERT INTO crowd VALUES (1, '{one more}');
INSERT INTO crowd VALUES (2, items(30)), (3, items(40)), (4, items(28));

-- At the cap; beyond it, in one put or by one more.
INSERT INTO crowd VALUES (5, items(101));
\echo :LAST_ERROR_SQLSTATE
INSERT INTO crowd VALUES (6, items(100));
INSERT INTO crowd VALUES (6, '{one more}');
SELECT id, cardinality(item) FROM crowd WHERE id IN (5, 6);

-- What makes them no fewer is refused too; what makes them fewer is not.
INSERT INTO crowd SELECT id, items(101), context FROM crowd WHERE id = 6;
INSERT INTO crowd SELECT id, items(99), context FROM crowd WHERE id = 6;
INSERT INTO crowd SELECT id, '{resolved}', context FROM crowd WHERE id = 6;
SELECT id, item FROM crowd WHERE id = 6;

-- A tombstone is one of the siblings until a write has seen it.
INSERT INTO crowd VALUES (7, items(100));
DELETE FROM crowd WHERE id = 7;
INSERT INTO crowd VALUES (7, items(100));
INSERT INTO crowd VALUES (7, items(99));
SELECT id, cardinality(item) FROM crowd WHERE id = 7;

-- Of a transaction with one such write the others may be applied: the counts say so.
\set VERBOSITY terse
INSERT INTO crowd VALUES (7, '{one more}'), (8, '{other}');
\set VERBOSITY default

DELETE FROM crowd;
DROP FUNCTION items;
DROP FOREIGN TABLE crowd;
