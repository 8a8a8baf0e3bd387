-- A table in mode error refuses rows of several siblings, but for what puts an end to them.
SET client_min_messages = warning;
CREATE FOREIGN TABLE e (id int OPTIONS (key 'true'), v text, w int)
    SERVER dynamo OPTIONS (bucket 'error_mode', on_conflict 'error');
CREATE FOREIGN TABLE s (id int OPTIONS (key 'true'), v text[], w int[])
    SERVER dynamo OPTIONS (bucket 'error_mode');
CREATE TABLE ids (id int);
INSERT INTO ids SELECT generate_series(1, 9);
CREATE PROCEDURE error_mode_fill() LANGUAGE sql AS $$
    DELETE FROM s;
    INSERT INTO s SELECT g, ARRAY['a', 'b'], ARRAY[1, 2] FROM generate_series(1, 3) g;
    INSERT INTO s VALUES (4, '{one}', '{4}');
$$;
CALL error_mode_fill();
SELECT * FROM e WHERE id = 1;
\set VERBOSITY terse
SELECT count(*) FROM e;
DELETE FROM e WHERE id = 1;
DELETE FROM e USING ids WHERE e.id = ids.id AND ids.id = 2;
SELECT id, v FROM s ORDER BY id;
DELETE FROM e;
SELECT count(*) FROM s;

-- An UPDATE that sets every column looks at none.
CALL error_mode_fill();
UPDATE e SET v = 'new', w = id WHERE id = 1;
UPDATE e SET v = 'joined', w = -ids.id FROM ids WHERE e.id = ids.id AND e.id < 3 RETURNING e.*;
UPDATE e SET v = 'all', w = 0;
SELECT * FROM e ORDER BY id;

-- Whatever looks at what the siblings hold is refused as ever.
CALL error_mode_fill();
UPDATE e SET v = 'new' WHERE id = 1;
UPDATE e SET v = v || '!', w = 1 WHERE id = 1;
UPDATE e SET v = e::text, w = 1 WHERE id = 1;
UPDATE e SET v = 'new', w = 1 FROM ids WHERE e.id = ids.id AND e IS NOT NULL;
DELETE FROM e WHERE v = 'a';
DELETE FROM e WHERE id = 1 RETURNING *;
DELETE FROM e USING ids WHERE e.id = ids.id AND e.w = ids.id;
CREATE FUNCTION error_mode_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER looks BEFORE UPDATE OR DELETE ON e FOR EACH ROW EXECUTE FUNCTION error_mode_trigger();
UPDATE e SET v = 'new', w = 1 WHERE id = 1;
DELETE FROM e WHERE id = 1;
DROP TRIGGER looks ON e;
SELECT id, v, w FROM s ORDER BY id;

-- So it is with partitions, with what is generated, and with a function that fails.
CREATE TABLE parted (w int, v text, id int) PARTITION BY LIST (id);
CREATE FOREIGN TABLE parted_1 (v text, id int OPTIONS (key 'true'), w int)
    SERVER dynamo OPTIONS (bucket 'error_mode_parted', on_conflict 'error');
ALTER TABLE parted ATTACH PARTITION parted_1 FOR VALUES IN (1, 2);
INSERT INTO parted_1 VALUES ('a', 1, 1), ('b', 1, 2);
UPDATE parted SET v = 'half';
UPDATE parted SET v = 'whole', w = 3;
SELECT * FROM parted;
CREATE FUNCTION error_mode_fail(s[]) RETURNS s LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE FOREIGN TABLE g (id int OPTIONS (key 'true'), v text, w int, x int GENERATED ALWAYS AS (w * 2) STORED)
    SERVER dynamo OPTIONS (bucket 'error_mode', on_conflict 'error');
UPDATE g SET v = 'generated', w = 21 WHERE id = 1;
SELECT * FROM g WHERE id = 1;
CREATE FOREIGN TABLE f (id int OPTIONS (key 'true'), v text, w int)
    SERVER dynamo OPTIONS (bucket 'error_mode');
CREATE FUNCTION error_mode_fail(f[]) RETURNS f LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
ALTER FOREIGN TABLE f OPTIONS (ADD on_conflict 'public.error_mode_fail');
SELECT * FROM f WHERE id = 2;
DELETE FROM f;
SELECT count(*) FROM f;

DROP TABLE parted, ids;
DROP FUNCTION error_mode_fail(s[]), error_mode_fail(f[]);
DROP FOREIGN TABLE e, s, g, f;
DROP FUNCTION error_mode_trigger;
DROP PROCEDURE error_mode_fill;
