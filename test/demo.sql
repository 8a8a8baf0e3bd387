-- The demo's shop: customers, products and orders in PostgreSQL, carts in the cluster. Everything is
-- computed from :seed, so two runs load the same rows. Names are meant to be odd.
\set ON_ERROR_STOP on
SET client_min_messages = warning;

-- A number from 0 to n - 1, the same for the same arguments.
CREATE FUNCTION pick(i bigint, salt int, n int) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (((hashint8extended(i, salt) % n) + n) % n)::int;

CREATE TABLE customer (id bigint PRIMARY KEY, name text, city text NOT NULL);
CREATE TABLE product (sku text PRIMARY KEY, title text NOT NULL, price numeric(8, 2) NOT NULL);
CREATE TABLE orders (
    id          bigint PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customer,
    sku         text NOT NULL REFERENCES product,
    quantity    int NOT NULL,
    placed      date NOT NULL
);

INSERT INTO customer
SELECT i, (ARRAY['Zoë', 'Łukasz', 'Nguyễn Thị Ánh', 'O''Brien', 'Ægir', '李小龙', 'Мария', '🦊 Fox',
                 '"quoted"', '', NULL, E'back\\slash', E'tab\there', 'محمد', E'e\u0301 (two code points)',
                 'Robert''); DROP TABLE cart;--'])[1 + pick(i, :seed, 16)],
       (ARRAY['Zürich', 'São Paulo', 'Kraków', '東京', 'L''Aquila', '', 'Reykjavík'])[1 + pick(i, :seed + 1, 7)]
FROM generate_series(1, 5000) i;

INSERT INTO product
SELECT 'SKU-' || lpad(i::text, 5, '0'),
       (ARRAY['teapot', 'lamp', 'Käsereibe', '筆', 'left-handed "thing"', 'crème brûlée set', ''])[1 + pick(i, :seed + 2, 7)]
           || ' no. ' || i,
       (1 + pick(i, :seed + 3, 20000)) / 100.0
FROM generate_series(1, 2000) i;

INSERT INTO orders
SELECT i, 1 + pick(i, :seed + 4, 5000), 'SKU-' || lpad((1 + pick(i, :seed + 5, 2000))::text, 5, '0'),
       1 + pick(i, :seed + 6, 5), date '2026-01-01' + pick(i, :seed + 7, 300)
FROM generate_series(1, 20000) i;
ANALYZE customer, product, orders;

CREATE FOREIGN TABLE cart (
    customer_id bigint   OPTIONS (key 'true'),
    items       jsonb[],
    note        text[],
    context     bytea    OPTIONS (context 'true')
) SERVER dynamo OPTIONS (bucket 'cart', n '3', r '2', w '2');

-- One cart for each of the first 3000 customers: one sibling with one to four products, sku: quantity.
INSERT INTO cart (customer_id, items, note)
SELECT c.id,
       ARRAY[(SELECT jsonb_object_agg('SKU-' || lpad((1 + pick(c.id * 4 + line, :seed + 8, 2000))::text, 5, '0'),
                                      1 + pick(c.id * 4 + line, :seed + 9, 3))
              FROM generate_series(0, pick(c.id, :seed + 10, 4)) line)],
       ARRAY[(ARRAY['gift', '', NULL, 'please ring ''twice''', 'früh am Morgen 🐓'])[1 + pick(c.id, :seed + 11, 5)]]
FROM customer c
WHERE c.id <= 3000;
