-- Siblings as parallel arrays, and the context that resolves them.
CREATE FOREIGN TABLE cart (
    id      int    OPTIONS (key 'true'),
    items   text[],
    note    text[],
    context bytea  OPTIONS (context 'true')
) SERVER dynamo OPTIONS (bucket 'siblings_cart');

-- Siblings in a fixed order, for reading.
CREATE VIEW sorted AS
    SELECT id, s.item, s.note FROM cart, unnest(items, note) AS s(item, note) ORDER BY id, s.item, s.note;

-- Blind puts of one key stand beside each other.
INSERT INTO cart (id, items, note) VALUES (1, '{apple}', '{phone}');
INSERT INTO cart (id, items) VALUES (1, '{pear}');
SELECT cardinality(items), cardinality(note), context IS NOT NULL AS has_context FROM cart WHERE id = 1;
SELECT * FROM sorted;

-- A put with the context that a read gave replaces what the read saw.
INSERT INTO cart SELECT id, ARRAY['apple, pear'], ARRAY['merged'], context FROM cart WHERE id = 1;
SELECT id, items, note FROM cart WHERE id = 1;

-- What the context has not seen stays.
CREATE TEMP TABLE seen AS SELECT context FROM cart WHERE id = 1;
INSERT INTO cart VALUES (1, '{plum}', '{new}');
INSERT INTO cart SELECT 1, '{fig}', '{resolved}', context FROM seen;
SELECT * FROM sorted;

-- A row of k elements is k siblings; a NULL or left out array stands for k NULLs.
INSERT INTO cart (id, items, note) VALUES (2, '{a,b,NULL}', '{x,NULL,z}');
INSERT INTO cart (id, items) VALUES (3, '{a,b}');
INSERT INTO cart (id) VALUES (4);
INSERT INTO cart VALUES (5, NULL, '{y}');
INSERT INTO cart VALUES (6, '[7:8]={p,q}', NULL);
SELECT * FROM sorted WHERE id > 1;
SELECT id, items, note FROM cart WHERE id = 4;

-- Two tables over one bucket: what the other does not declare reads NULL here.
CREATE FOREIGN TABLE cart_color (id int OPTIONS (key 'true'), color text[]) SERVER dynamo OPTIONS (bucket 'siblings_cart');
INSERT INTO cart_color VALUES (5, '{red}');
SELECT * FROM sorted WHERE id = 5;
SELECT array_agg(c ORDER BY c) FROM cart_color, unnest(color) c WHERE id = 5;

-- Refused: lengths that differ, empty arrays, more dimensions, no key, a context of another key or none at all.
INSERT INTO cart VALUES (7, '{a,b}', '{x}');
INSERT INTO cart VALUES (7, '{}', '{x}');
INSERT INTO cart VALUES (7, '{{a,b},{c,d}}', NULL);
INSERT INTO cart VALUES (NULL, '{a}', NULL);
-- The details name nodes and ports.
\set VERBOSITY terse
INSERT INTO cart SELECT 8, '{a}', '{b}', context FROM seen;
INSERT INTO cart VALUES (1, '{a}', '{b}', '\x0102');
\set VERBOSITY default
SELECT count(*) FROM cart WHERE id IN (7, 8);

-- The SQLSTATEs.
DO $$
DECLARE
    statement text;
BEGIN
    FOREACH statement IN ARRAY ARRAY[
        'INSERT INTO cart VALUES (7, ''{a,b}'', ''{x}'')',
        'INSERT INTO cart VALUES (7, ''{}'', ''{x}'')',
        'INSERT INTO cart VALUES (7, ''{{a,b},{c,d}}'', NULL)',
        'INSERT INTO cart VALUES (NULL, ''{a}'', NULL)']
    LOOP
        BEGIN
            EXECUTE statement;
        EXCEPTION WHEN OTHERS THEN
            RAISE NOTICE '% %', SQLSTATE, SQLERRM;
        END;
    END LOOP;
END $$;

DROP VIEW sorted;
DROP FOREIGN TABLE cart, cart_color;
DROP TABLE seen;
