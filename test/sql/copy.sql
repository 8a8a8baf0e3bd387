-- COPY FROM: the rows wait like those of INSERT and leave together at commit.
CREATE SCHEMA copy_test;
SET search_path = copy_test;
CREATE FOREIGN TABLE line (
    id   int OPTIONS (key 'true'),
    text text[],
    tags text[]
) SERVER dynamo OPTIONS (bucket 'copy_line');

COPY line FROM stdin;
1	{one}	{a}
2	{two,zwei}	{b,NULL}
3	\N	\N
\.
COPY line (id, text) FROM stdin WITH (FORMAT csv, HEADER);
id,text
4,"{""with, comma""}"
5,{naïve}
\.
COPY line (id, text) FROM stdin WHERE id % 2 = 0;
6	{even}
7	{odd}
8	{even}
\.
SELECT * FROM line ORDER BY id;
COPY (SELECT id, text FROM line ORDER BY id) TO stdout;

-- COPY TO a foreign table's rows directly is refused by core.
COPY line TO stdout;

-- An error in any line sends nothing at all.
COPY line (id, text) FROM stdin;
20	{good}
bad	{key}
\.
COPY line (id, text) FROM stdin;
21	{good}
22	{}
\.
COPY line (id, text) FROM stdin;
23	{good}
\N	{no key}
\.
SELECT count(*) FROM line WHERE id >= 20;

-- Rolled back, and with a savepoint.
BEGIN;
COPY line (id, text) FROM stdin;
30	{gone}
\.
ROLLBACK;
BEGIN;
COPY line (id, text) FROM stdin;
31	{stays}
\.
SAVEPOINT before_second;
COPY line (id, text) FROM stdin;
32	{gone}
\.
ROLLBACK TO before_second;
COMMIT;
SELECT id, text FROM line WHERE id BETWEEN 30 AND 39;

-- Through a partitioned table, with a trigger on the foreign partition.
CREATE TABLE parted (id int, v text[]) PARTITION BY LIST ((id % 2));
CREATE TABLE parted_here PARTITION OF parted FOR VALUES IN (0);
CREATE FOREIGN TABLE parted_there (id int OPTIONS (key 'true'), v text[])
    SERVER dynamo OPTIONS (bucket 'copy_parted');
ALTER TABLE parted ATTACH PARTITION parted_there FOR VALUES IN (1);
CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.v := ARRAY[new.v[1] || ', marked'];
    RETURN new;
END $$;
CREATE TRIGGER mark BEFORE INSERT ON parted_there FOR EACH ROW EXECUTE FUNCTION mark();
COPY parted FROM stdin;
1	{odd}
2	{even}
3	{odd}
\.
SELECT tableoid::regclass, id, v FROM parted ORDER BY id;

-- Many rows, in several batches on the way. The file is one that the server's own user writes and reads.
SELECT current_setting('data_directory') || '/copy_test.txt' AS file \gset
COPY (SELECT g, ARRAY['row ' || g] FROM generate_series(1001, 21000) g) TO :'file';
COPY line (id, text) FROM :'file';
SELECT count(*), min(id), max(id), bool_and(text = ARRAY['row ' || id]) FROM line WHERE id > 1000;

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA copy_test CASCADE;
