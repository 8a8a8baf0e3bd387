-- Tables with children, and partitions: each is a bucket of its own.
SET client_min_messages = warning;
CREATE FOREIGN TABLE parent (k int OPTIONS (key 'true'), v text)
    SERVER dynamo OPTIONS (bucket 'inheritance_parent', on_conflict 'error');
CREATE FOREIGN TABLE child () INHERITS (parent)
    SERVER dynamo OPTIONS (bucket 'inheritance_child', on_conflict 'error');
ALTER FOREIGN TABLE child ALTER COLUMN k OPTIONS (ADD key 'true');
CREATE TABLE numbers (a int);
INSERT INTO numbers SELECT generate_series(1, 4);
INSERT INTO parent VALUES (1, 'of the parent'), (2, 'of the parent');
INSERT INTO child VALUES (2, 'of the child'), (3, 'of the child');

-- The parent stands for its children too: no batched join, and no crash.
SELECT a, v, parent.tableoid::regclass FROM numbers JOIN parent ON a = k ORDER BY 1, 2;
SELECT a, v FROM numbers LEFT JOIN parent ON a = k ORDER BY 1, 2;
SELECT a FROM numbers WHERE EXISTS (SELECT FROM parent WHERE k = a) ORDER BY 1;
SELECT a FROM numbers WHERE NOT EXISTS (SELECT FROM parent WHERE k = a) ORDER BY 1;
UPDATE parent SET v = v || '!' FROM numbers WHERE a = k AND a > 1;
SELECT * FROM parent ORDER BY 1, 2;
DELETE FROM parent USING numbers WHERE a = k AND a < 3;
SELECT * FROM ONLY parent;
SELECT * FROM child;

-- A table that its constraints prove empty is not looked at, on either side of a join.
CREATE FOREIGN TABLE positive (k int OPTIONS (key 'true') CHECK (k > 0), v text)
    SERVER dynamo OPTIONS (bucket 'inheritance_positive', on_conflict 'error');
SET constraint_exclusion = on;
SELECT a, v FROM numbers LEFT JOIN (SELECT * FROM positive WHERE k < 0) s ON a = k ORDER BY 1;
SELECT a FROM numbers WHERE NOT EXISTS (SELECT FROM positive WHERE k = a AND k < 0) ORDER BY 1;
RESET constraint_exclusion;

DROP FOREIGN TABLE parent, child, positive;
DROP TABLE numbers;
