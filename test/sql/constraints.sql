-- What a table demands of its rows: the nodes know nothing of it, and the planner takes it for true.
SET client_min_messages = warning;
CREATE FOREIGN TABLE stock (id int OPTIONS (key 'true'), n int NOT NULL CHECK (n > 0), note text)
    SERVER dynamo OPTIONS (bucket 'constraints_stock', on_conflict 'error');
INSERT INTO stock VALUES (1, -5);
INSERT INTO stock VALUES (2, NULL);
INSERT INTO stock SELECT g, 3 - g FROM generate_series(1, 4) g;
INSERT INTO stock (id) VALUES (3);
INSERT INTO stock VALUES (NULL, 1);
COPY stock FROM stdin WITH (FORMAT csv);
10,1,fits
11,0,does not
\.
SELECT * FROM stock;
INSERT INTO stock VALUES (1, 5), (2, 6);
UPDATE stock SET n = n - 6 WHERE id = 1;
UPDATE stock SET n = NULL WHERE id = 2;
UPDATE stock s SET n = 0 FROM generate_series(1, 2) g WHERE s.id = g;
SELECT * FROM stock ORDER BY id;
ALTER FOREIGN TABLE stock ADD CONSTRAINT noted CHECK (note IS NOT NULL OR n < 100) NOT VALID;
UPDATE stock SET n = 100 WHERE id = 1;
-- A trigger's row is looked at, and so is what is generated of it.
CREATE FUNCTION constraints_less() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.n := NEW.n - 10; RETURN NEW; END $$;
CREATE TRIGGER less BEFORE INSERT OR UPDATE ON stock FOR EACH ROW EXECUTE FUNCTION constraints_less();
INSERT INTO stock VALUES (3, 5);
UPDATE stock SET note = 'x' WHERE id = 2;
CREATE FOREIGN TABLE derived (id int OPTIONS (key 'true'), a int, b int GENERATED ALWAYS AS (a * 2) STORED CHECK (b < 10))
    SERVER dynamo OPTIONS (bucket 'constraints_derived', on_conflict 'error');
INSERT INTO derived VALUES (1, 5);
-- What the planner concludes from a constraint is so.
SET constraint_exclusion = on;
SELECT count(*) FROM stock WHERE n <= 0;
RESET constraint_exclusion;

-- Partitions keep to their bounds, however a row comes to them.
CREATE TABLE parted (k int, a int) PARTITION BY LIST (a);
CREATE FOREIGN TABLE parted_1 PARTITION OF parted FOR VALUES IN (1)
    SERVER dynamo OPTIONS (bucket 'constraints_parted_1', on_conflict 'error');
ALTER FOREIGN TABLE parted_1 ALTER k OPTIONS (ADD key 'true');
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
INSERT INTO parted VALUES (1, 1), (2, 2);
UPDATE parted SET a = 2 WHERE k = 1;
UPDATE parted_1 SET a = 2 WHERE k = 1;
INSERT INTO parted_1 VALUES (3, 2);
COPY parted_1 FROM stdin;
4	3
\.
UPDATE parted SET a = 1 WHERE k = 2;
SELECT tableoid::regclass, * FROM parted ORDER BY k;
CREATE FUNCTION constraints_move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.a := 2; RETURN NEW; END $$;
CREATE TRIGGER move BEFORE INSERT ON parted_1 FOR EACH ROW EXECUTE FUNCTION constraints_move();
INSERT INTO parted VALUES (5, 1);
SELECT count(*) FROM parted_1 WHERE a = 2;

-- A row that a trigger of the command has written is not written over.
CREATE FOREIGN TABLE own (id int OPTIONS (key 'true'), v text)
    SERVER dynamo OPTIONS (bucket 'constraints_own', on_conflict 'error');
CREATE TABLE heap (id int PRIMARY KEY, v text);
INSERT INTO own VALUES (1, 'a'), (2, 'b');
INSERT INTO heap VALUES (1, 'a'), (2, 'b');
CREATE FUNCTION constraints_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() = 1 THEN
        EXECUTE format(TG_ARGV[0], TG_TABLE_NAME) USING coalesce(NEW.id, OLD.id);
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER own BEFORE UPDATE OR DELETE ON own FOR EACH ROW
    EXECUTE FUNCTION constraints_write('UPDATE %I SET v = ''inner'' WHERE id = $1');
CREATE TRIGGER own BEFORE UPDATE OR DELETE ON heap FOR EACH ROW
    EXECUTE FUNCTION constraints_write('UPDATE %I SET v = ''inner'' WHERE id = $1');
UPDATE heap SET v = 'outer' WHERE id = 1;
UPDATE own SET v = 'outer' WHERE id = 1;
DELETE FROM heap WHERE id = 2;
DELETE FROM own WHERE id = 2;
SELECT * FROM own ORDER BY id;
DROP TRIGGER own ON own;
CREATE TRIGGER own BEFORE UPDATE OR DELETE ON own FOR EACH ROW
    EXECUTE FUNCTION constraints_write('DELETE FROM %I WHERE id = $1');
UPDATE own SET v = 'outer' WHERE id = 1;
DROP TRIGGER own ON own;
-- An AFTER trigger may, and so may a BEFORE INSERT that makes room.
CREATE TRIGGER own AFTER UPDATE ON own FOR EACH ROW
    EXECUTE FUNCTION constraints_write('UPDATE %I SET v = v || '', then after'' WHERE id = $1');
UPDATE own SET v = 'outer' WHERE id = 1;
CREATE TRIGGER room BEFORE INSERT ON own FOR EACH ROW
    EXECUTE FUNCTION constraints_write('DELETE FROM %I WHERE id = $1');
INSERT INTO own VALUES (2, 'in its place');
COPY own FROM stdin;
3	copied
\.
SELECT * FROM own ORDER BY id;
DROP TRIGGER room ON own;
CREATE TRIGGER twice BEFORE INSERT ON own FOR EACH ROW
    EXECUTE FUNCTION constraints_write('INSERT INTO %I VALUES ($1, ''inner'')');
INSERT INTO own VALUES (4, 'outer');
COPY own FROM stdin;
4	copied
\.
SELECT * FROM own ORDER BY id;
-- A function that the command runs counts as a trigger does.
CREATE FUNCTION constraints_touch(i int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN UPDATE own SET v = 'touched' WHERE id = i; RETURN 'by the command'; END $$;
DROP TRIGGER own ON own;
UPDATE own SET v = constraints_touch(id) WHERE id = 1;
SELECT * FROM own ORDER BY id;

DROP TABLE parted, heap;
DROP FOREIGN TABLE stock, derived, own;
DROP FUNCTION constraints_less, constraints_move, constraints_write, constraints_touch(int);
