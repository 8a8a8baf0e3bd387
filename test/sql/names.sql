-- A table keeps its data when its names change, as a heap table does.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE FOREIGN TABLE stock (id int OPTIONS (key 'true'), qty int, note text)
    SERVER dynamo OPTIONS (bucket 'names_stock', on_conflict 'error');
INSERT INTO stock VALUES (1, 5, 'old');
ALTER FOREIGN TABLE stock RENAME COLUMN qty TO quantity;
ALTER TABLE stock RENAME COLUMN id TO number;
ALTER FOREIGN TABLE stock RENAME TO store;
CREATE SCHEMA names_elsewhere;
ALTER FOREIGN TABLE store SET SCHEMA names_elsewhere;
ALTER SCHEMA names_elsewhere RENAME TO names_there;
SELECT * FROM names_there.store;
ALTER FOREIGN TABLE names_there.store SET SCHEMA public;
ALTER FOREIGN TABLE store RENAME TO stock;
-- Two columns that change places.
ALTER FOREIGN TABLE stock RENAME COLUMN quantity TO spare;
ALTER FOREIGN TABLE stock RENAME COLUMN note TO quantity;
ALTER FOREIGN TABLE stock RENAME COLUMN spare TO note;
SELECT * FROM stock;
UPDATE stock SET note = 6;
SELECT * FROM stock;
SELECT attname, attfdwoptions FROM pg_attribute WHERE attrelid = 'stock'::regclass AND attnum > 0 ORDER BY attnum;

-- A column that is dropped and added again has nothing of the old one's.
CREATE TABLE heap (id int, qty int, note text);
INSERT INTO heap VALUES (1, 5, 'old');
CREATE FOREIGN TABLE again (id int OPTIONS (key 'true'), qty int, note text)
    SERVER dynamo OPTIONS (bucket 'names_again', on_conflict 'error');
INSERT INTO again SELECT * FROM heap;
ALTER TABLE heap DROP COLUMN qty, ADD COLUMN qty text;
ALTER FOREIGN TABLE again DROP COLUMN qty, ADD COLUMN qty text;
ALTER TABLE heap DROP COLUMN note;
ALTER FOREIGN TABLE again DROP COLUMN note;
ALTER TABLE heap RENAME COLUMN qty TO note;
ALTER FOREIGN TABLE again RENAME COLUMN qty TO note;
ALTER TABLE heap ADD COLUMN qty int;
ALTER FOREIGN TABLE again ADD COLUMN qty int;
SELECT * FROM heap;
SELECT * FROM again;
ALTER FOREIGN TABLE again ADD COLUMN IF NOT EXISTS qty int DEFAULT 3;
INSERT INTO again VALUES (2, 'new', 8);
SELECT * FROM again ORDER BY id;
-- Who wants what is stored under a name says so.
ALTER FOREIGN TABLE again ADD COLUMN first_qty int OPTIONS (column_name 'qty');
SELECT * FROM again ORDER BY id;

-- Rows from before an added column have its default, rows after it what they are given.
ALTER TABLE heap ADD COLUMN a int DEFAULT 7, ADD COLUMN b timestamptz DEFAULT '2026-01-02 03:04:05+00', ADD COLUMN c text;
ALTER FOREIGN TABLE again ADD COLUMN a int DEFAULT 7, ADD COLUMN b timestamptz DEFAULT '2026-01-02 03:04:05+00', ADD COLUMN c text;
INSERT INTO again (id) VALUES (3);
INSERT INTO again (id, a, b) VALUES (4, NULL, NULL);
ALTER TABLE heap ALTER COLUMN a SET DEFAULT 8;
ALTER FOREIGN TABLE again ALTER COLUMN a SET DEFAULT 8;
INSERT INTO again (id) VALUES (5);
SET datestyle = 'German';
SELECT a, b, c FROM heap;
SELECT id, a, b, c FROM again ORDER BY id;
RESET datestyle;
SELECT id, a FROM again WHERE a = 7 ORDER BY id;
UPDATE again SET c = 'touched' WHERE id = 1;
ALTER FOREIGN TABLE again ALTER COLUMN a DROP DEFAULT;
SELECT id, a, c FROM again ORDER BY id;
-- A default that no text can be kept of is refused.
ALTER FOREIGN TABLE again ADD COLUMN d double precision DEFAULT random();
ALTER FOREIGN TABLE again ADD COLUMN d int GENERATED ALWAYS AS (a * 2) STORED;
ALTER FOREIGN TABLE again ADD COLUMN d serial;
ALTER FOREIGN TABLE again ADD COLUMN d timestamptz DEFAULT now();
SELECT count(*) FROM again WHERE d <= now();
-- Each sibling has it.
CREATE FOREIGN TABLE sided (id int OPTIONS (key 'true'), v text[])
    SERVER dynamo OPTIONS (bucket 'names_sided');
INSERT INTO sided VALUES (1, '{a,b}');
ALTER FOREIGN TABLE sided ADD COLUMN w int[] DEFAULT '{4}';
ALTER FOREIGN TABLE sided ADD COLUMN x int[] DEFAULT '{5,6}';
INSERT INTO sided (id, v, w) VALUES (2, '{c}', '{NULL}');
SELECT * FROM sided ORDER BY id;
ALTER FOREIGN TABLE sided ALTER COLUMN v TYPE text, ALTER COLUMN w DROP DEFAULT;
ALTER FOREIGN TABLE sided ALTER COLUMN w TYPE int, OPTIONS (ADD on_conflict 'latest');
SELECT * FROM sided ORDER BY id;

-- A parent's columns are its children's.
CREATE TABLE parent (id int, v text);
CREATE FOREIGN TABLE child (extra int) INHERITS (parent)
    SERVER dynamo OPTIONS (bucket 'names_child', on_conflict 'error');
ALTER FOREIGN TABLE child ALTER COLUMN id OPTIONS (ADD key 'true');
INSERT INTO child VALUES (1, 'v', 2);
ALTER TABLE parent RENAME COLUMN v TO w;
ALTER TABLE parent ADD COLUMN extra int;
ALTER TABLE parent ADD COLUMN more int DEFAULT 9;
ALTER TABLE parent DROP COLUMN w;
ALTER TABLE parent ADD COLUMN v text;
SELECT * FROM child;
SELECT * FROM parent;

-- A table without a bucket gets one that no other has, and is told.
SET client_min_messages = notice;
\set VERBOSITY sqlstate
CREATE FOREIGN TABLE nameless (id int OPTIONS (key 'true'), v text) SERVER dynamo OPTIONS (on_conflict 'error');
CREATE FOREIGN TABLE names_there.nameless (id int OPTIONS (key 'true'), v text) SERVER dynamo OPTIONS (on_conflict 'error');
\set VERBOSITY default
SET client_min_messages = warning;
INSERT INTO nameless VALUES (1, 'public');
INSERT INTO names_there.nameless VALUES (1, 'there');
ALTER FOREIGN TABLE nameless RENAME TO named;
SELECT * FROM named;
SELECT * FROM names_there.nameless;
SELECT ftrelid::regclass, regexp_replace(array_to_string(ftoptions, ','), '[0-9a-f]{16}$', 'chance') FROM pg_foreign_table
    WHERE ftrelid IN ('named'::regclass, 'names_there.nameless'::regclass) ORDER BY 1;
ALTER FOREIGN TABLE named OPTIONS (DROP bucket);
SELECT * FROM named;

DROP TABLE heap, parent CASCADE;
DROP FOREIGN TABLE stock, again, sided, named, names_there.nameless;
DROP SCHEMA names_there;
