-- Types that change under what is stored read as in a table of the server.
CREATE SCHEMA type_changes;
SET search_path = type_changes, public;
CREATE TYPE addr AS (street text, zip int);
CREATE TYPE color AS ENUM ('red', 'green');
CREATE TYPE place AS (name text, at addr, paint color);
CREATE DOMAIN tags AS text[];
CREATE FOREIGN TABLE tc (k int OPTIONS (key 'true'), a addr, c color, p place, t tags, n int) SERVER dynamo
    OPTIONS (bucket 'type_changes', on_conflict 'error');
CREATE TABLE heap (k int, a addr, c color, p place, t tags, n int);
INSERT INTO tc VALUES (1, ROW('High St', 8000), 'red', ROW('home', ROW('Low St', 1), 'green'), '{x,y}', 1),
    (2, ROW(NULL, 2), NULL, ROW('none', NULL, NULL), NULL, 2);
INSERT INTO heap SELECT * FROM tc;
SELECT * FROM tc ORDER BY k;

-- Attributes that are added, renamed and dropped; labels and types that are renamed; schemas.
ALTER TYPE addr ADD ATTRIBUTE city text;
ALTER TYPE addr RENAME ATTRIBUTE street TO road;
ALTER TYPE color RENAME VALUE 'red' TO 'crimson';
ALTER TYPE color RENAME TO colour;
ALTER TYPE addr RENAME TO address;
ALTER DOMAIN tags RENAME TO labels;
CREATE SCHEMA type_changes_2;
ALTER TYPE place SET SCHEMA type_changes_2;
SELECT * FROM tc ORDER BY k;
SELECT * FROM tc EXCEPT SELECT * FROM heap;
SELECT k, (a).road, (a).city, (p).at FROM tc ORDER BY k;
ALTER TYPE address DROP ATTRIBUTE zip;
SELECT * FROM tc EXCEPT SELECT * FROM heap;
UPDATE tc SET n = n + 10, a = ROW('New Rd', 'Bern') WHERE k = 2;
SELECT * FROM tc ORDER BY k;

-- What has come in its place is another attribute.
ALTER TYPE address ADD ATTRIBUTE zip text;
\set VERBOSITY terse
SELECT a FROM tc WHERE k = 1;
UPDATE tc SET a = NULL WHERE k = 1;
SELECT a FROM tc WHERE k = 1;

-- A label that is of another enum.
CREATE TYPE shade AS ENUM ('dark');
CREATE FOREIGN TABLE other (k int OPTIONS (key 'true'), c shade) SERVER dynamo
    OPTIONS (bucket 'type_changes', on_conflict 'error');
SELECT c FROM other WHERE k = 1;
DROP TABLE heap;
SET client_min_messages = warning;
DROP SCHEMA type_changes, type_changes_2 CASCADE;
