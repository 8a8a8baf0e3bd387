-- Writes wait for the commit; ROLLBACK and ROLLBACK TO send nothing.
CREATE SCHEMA transactions_test;
SET search_path = transactions_test;
CREATE FOREIGN TABLE a (id int OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'transactions_a');
CREATE FOREIGN TABLE b (id text OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'transactions_b');

-- Two buckets, committed together.
BEGIN;
INSERT INTO a VALUES (1, '{a}');
INSERT INTO b VALUES ('1', '{b}');
COMMIT;
SELECT a.v, b.v FROM a, b WHERE a.id = 1 AND b.id = '1';

BEGIN;
INSERT INTO a VALUES (2, '{never}');
ROLLBACK;
SELECT count(*) FROM a WHERE id = 2;

-- An error in the transaction.
BEGIN;
INSERT INTO a VALUES (2, '{never}');
SELECT 1 / 0;
COMMIT;
SELECT count(*) FROM a WHERE id = 2;

-- Savepoints: back to one, released, nested, back to an outer one after an inner was released.
BEGIN;
INSERT INTO a VALUES (10, '{stays}');
SAVEPOINT s;
INSERT INTO a VALUES (11, '{goes}');
INSERT INTO b VALUES ('11', '{goes}');
ROLLBACK TO s;
INSERT INTO a VALUES (12, '{stays}');
SAVEPOINT t;
INSERT INTO a VALUES (13, '{stays}');
RELEASE t;
COMMIT;
BEGIN;
SAVEPOINT outermost;
INSERT INTO a VALUES (14, '{goes}');
SAVEPOINT inner_one;
INSERT INTO a VALUES (15, '{goes}');
RELEASE inner_one;
INSERT INTO a VALUES (16, '{goes}');
ROLLBACK TO outermost;
INSERT INTO a VALUES (17, '{stays}');
ROLLBACK TO outermost;
INSERT INTO a VALUES (18, '{stays}');
COMMIT;
SELECT id, v FROM a WHERE id BETWEEN 10 AND 19 ORDER BY id;
SELECT count(*) FROM b WHERE id = '11';

-- More than a block of the log is cut off, and the log goes on.
BEGIN;
INSERT INTO a SELECT g, ARRAY[repeat('x', 500)] FROM generate_series(1001, 1100) g;
SAVEPOINT s;
INSERT INTO a SELECT g, ARRAY[repeat('y', 5000)] FROM generate_series(1101, 1600) g;
ROLLBACK TO s;
INSERT INTO a SELECT g, ARRAY[repeat('z', 500)] FROM generate_series(1601, 1700) g;
COMMIT;
SELECT left(v[1], 1) AS letter, length(v[1]), count(*), min(id), max(id) FROM a WHERE id > 1000 GROUP BY 1, 2 ORDER BY 1;

-- PL/pgSQL's exception blocks are subtransactions; procedures commit by themselves.
DO $$
BEGIN
    INSERT INTO a VALUES (20, '{stays}');
    BEGIN
        INSERT INTO a VALUES (21, '{goes}');
        RAISE EXCEPTION 'back';
    EXCEPTION WHEN raise_exception THEN
        INSERT INTO a VALUES (22, '{stays}');
    END;
END $$;
CREATE PROCEDURE load() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 23 .. 26 LOOP
        INSERT INTO a VALUES (i, '{by procedure}');
        IF i % 2 = 0 THEN
            ROLLBACK;
        ELSE
            COMMIT;
        END IF;
    END LOOP;
END $$;
CALL load();
SELECT id, v FROM a WHERE id BETWEEN 20 AND 29 ORDER BY id;

-- The transaction itself reads what it has not sent yet, but for what was rolled back (more: the test "overlay").
BEGIN;
SELECT count(*) FROM a WHERE id = 30;
SAVEPOINT s;
INSERT INTO a VALUES (30, '{x}');
SELECT count(*) FROM b WHERE id = '1';
SELECT * FROM a WHERE id = 30;
ROLLBACK TO s;
SELECT count(*) FROM a WHERE id = 30;
INSERT INTO a VALUES (30, '{y}');
SELECT v FROM a WHERE id BETWEEN 30 AND 39;
ROLLBACK;
SELECT count(*) FROM a WHERE id = 30;

-- A cursor that was opened before goes on.
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM a WHERE id IN (10, 12, 13);
FETCH 1 FROM c;
INSERT INTO a VALUES (31, '{while a cursor is open}');
FETCH ALL FROM c;
COMMIT;
SELECT v FROM a WHERE id = 31;
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT id FROM a WHERE id = ANY ('{10,12,13}') ORDER BY id;
COMMIT;
FETCH ALL FROM held;
CLOSE held;

-- Deferred triggers run first; when one fails nothing is sent.
CREATE TABLE guard (id int);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'refused at commit';
END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON guard DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION refuse();
BEGIN;
INSERT INTO a VALUES (40, '{never}');
INSERT INTO guard VALUES (1);
COMMIT;
SELECT count(*) FROM a WHERE id = 40;

-- Two-phase commit is refused once there are writes.
BEGIN;
INSERT INTO a VALUES (41, '{never}');
PREPARE TRANSACTION 'dynamo';
SELECT count(*) FROM a WHERE id = 41;

-- The buffer has its bound.
SET dynamo_fdw.max_pending = '64kB';
BEGIN;
INSERT INTO a SELECT g, ARRAY[repeat('x', 1000)] FROM generate_series(50, 60) g;
INSERT INTO a SELECT g, ARRAY[repeat('x', 1000)] FROM generate_series(100, 200) g;
COMMIT;
SELECT count(*) FROM a WHERE id BETWEEN 50 AND 200;
RESET dynamo_fdw.max_pending;

-- AND CHAIN, and statements of a DO block after a commit.
BEGIN;
INSERT INTO a VALUES (70, '{first}');
COMMIT AND CHAIN;
INSERT INTO a VALUES (71, '{second}');
ROLLBACK AND CHAIN;
INSERT INTO a VALUES (72, '{third}');
COMMIT;
SELECT id FROM a WHERE id BETWEEN 70 AND 79 ORDER BY id;

-- Settings at the time of each INSERT count.
BEGIN;
SET LOCAL dynamo_fdw.w = 1;
INSERT INTO a VALUES (80, '{w1}');
SET LOCAL dynamo_fdw.w = 3;
INSERT INTO a VALUES (81, '{w3}');
COMMIT;
SELECT count(*) FROM a WHERE id IN (80, 81);

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA transactions_test CASCADE;
