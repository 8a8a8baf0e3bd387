-- Every key type and many data types, there and back.

-- Key types. Each row comes back by its key and in a scan.
CREATE FOREIGN TABLE key_smallint (k smallint OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'key_smallint');
INSERT INTO key_smallint VALUES (-32768, '{a}'), (0, '{b}'), (32767, '{c}');
SELECT * FROM key_smallint ORDER BY k;
SELECT v FROM key_smallint WHERE k = -32768;

CREATE FOREIGN TABLE key_bigint (k bigint OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'key_bigint');
INSERT INTO key_bigint VALUES (-9223372036854775808, '{a}'), (-1, '{b}'), (9223372036854775807, '{c}');
SELECT * FROM key_bigint ORDER BY k;
SELECT v FROM key_bigint WHERE k = (-1)::smallint;

CREATE FOREIGN TABLE key_text (k text OPTIONS (key 'true'), v int[]) SERVER dynamo OPTIONS (bucket 'key_text');
INSERT INTO key_text VALUES ('', '{1}'), ('plain', '{2}'), ('it''s "quoted"\', '{3}'), ('Zoë 🦊', '{4}'),
    (E'e\u0301', '{5}'), ('é', '{6}'), (repeat('long ', 100), '{7}');
SELECT left(k, 12), v FROM key_text ORDER BY v;
SELECT v FROM key_text WHERE k = '';
SELECT v FROM key_text WHERE k IN ('é', E'e\u0301', 'absent') ORDER BY v;

CREATE FOREIGN TABLE key_varchar (k varchar(5) OPTIONS (key 'true'), v int[]) SERVER dynamo OPTIONS (bucket 'key_varchar');
INSERT INTO key_varchar VALUES ('abcde', '{1}');
INSERT INTO key_varchar VALUES ('abcdef', '{1}');
SELECT * FROM key_varchar WHERE k = 'abcde'::text;

CREATE FOREIGN TABLE key_bytea (k bytea OPTIONS (key 'true'), v int[]) SERVER dynamo OPTIONS (bucket 'key_bytea');
INSERT INTO key_bytea VALUES ('\x', '{1}'), ('\x00', '{2}'), ('\x0000ff01', '{3}'), ('\xff', '{4}');
SELECT * FROM key_bytea ORDER BY k;
SELECT v FROM key_bytea WHERE k = '\x00';

CREATE FOREIGN TABLE key_uuid (k uuid OPTIONS (key 'true'), v int[]) SERVER dynamo OPTIONS (bucket 'key_uuid');
INSERT INTO key_uuid VALUES ('00000000-0000-0000-0000-000000000000', '{1}'), ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{2}');
SELECT * FROM key_uuid ORDER BY k;
SELECT v FROM key_uuid WHERE k = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11';

SET datestyle = iso;
SET timezone = 'Europe/Zurich';
CREATE FOREIGN TABLE key_date (k date OPTIONS (key 'true'), v int[]) SERVER dynamo OPTIONS (bucket 'key_date');
INSERT INTO key_date VALUES ('4713-01-01 BC', '{1}'), ('1999-12-31', '{2}'), ('2026-07-01', '{3}'), ('infinity', '{4}'), ('-infinity', '{5}');
SELECT * FROM key_date ORDER BY k;
SELECT v FROM key_date WHERE k = '2026-07-01 00:00'::timestamp;
SELECT v FROM key_date WHERE k = '2026-07-01 00:01'::timestamp;
SELECT v FROM key_date WHERE k = 'infinity'::timestamp;

CREATE FOREIGN TABLE key_timestamp (k timestamp OPTIONS (key 'true'), v int[]) SERVER dynamo OPTIONS (bucket 'key_timestamp');
INSERT INTO key_timestamp VALUES ('1969-07-20 20:17:40.123456', '{1}'), ('2026-07-01', '{2}'), ('infinity', '{3}');
SELECT * FROM key_timestamp ORDER BY k;
SELECT v FROM key_timestamp WHERE k = '2026-07-01'::date;
SELECT v FROM key_timestamp WHERE k = '300000-01-01'::date;

CREATE FOREIGN TABLE key_timestamptz (k timestamptz OPTIONS (key 'true'), v int[]) SERVER dynamo OPTIONS (bucket 'key_timestamptz');
INSERT INTO key_timestamptz VALUES ('2026-07-01 00:00+02', '{1}'), ('2026-07-01 12:00Z', '{2}');
SELECT * FROM key_timestamptz ORDER BY k;
SELECT v FROM key_timestamptz WHERE k = '2026-07-01'::date;
SELECT v FROM key_timestamptz WHERE k = '2026-07-01 14:00'::timestamp;

CREATE FOREIGN TABLE key_boolean (k boolean OPTIONS (key 'true'), v int[]) SERVER dynamo OPTIONS (bucket 'key_boolean');
INSERT INTO key_boolean VALUES (true, '{1}'), (false, '{2}');
SELECT v FROM key_boolean WHERE k;
SELECT v FROM key_boolean WHERE NOT k;
SELECT v FROM key_boolean ORDER BY k;

CREATE DOMAIN customer_number AS integer CHECK (value > 0);
CREATE FOREIGN TABLE key_several (a text OPTIONS (key 'true'), b customer_number OPTIONS (key 'true'), c date OPTIONS (key 'true'), v int[])
    SERVER dynamo OPTIONS (bucket 'key_several');
INSERT INTO key_several VALUES ('x', 1, '2026-01-01', '{1}'), ('x', 1, '2026-01-02', '{2}'), ('x', 2, '2026-01-01', '{3}'), ('', 1, '2026-01-01', '{4}');
SELECT * FROM key_several WHERE a = 'x' AND b = 1 AND c = '2026-01-02';
SELECT * FROM key_several WHERE a IN ('x', '') AND b = ANY ('{1,2}') AND c IN ('2026-01-01', '2026-01-03') ORDER BY v;
SELECT * FROM key_several WHERE a = 'x' AND b = 1 ORDER BY v;

-- Data types: two rows hold them all, one sibling each.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE place AS (city text, mood mood, at point);
CREATE DOMAIN tags AS text[];
CREATE DOMAIN price AS numeric(8, 2) CHECK (value >= 0);
CREATE FOREIGN TABLE data_types (
    k int OPTIONS (key 'true'),
    c_bool bool[], c_int2 int2[], c_int4 int4[], c_int8 int8[], c_float4 float4[], c_float8 float8[], c_numeric numeric[],
    c_text text[], c_varchar varchar(10)[], c_char char(4)[], c_name name[], c_bytea bytea[], c_json json[], c_jsonb jsonb[],
    c_date date[], c_time time[], c_timetz timetz[], c_timestamp timestamp[], c_timestamptz timestamptz[], c_interval interval[],
    c_uuid uuid[], c_inet inet[], c_point point[], c_bit bit varying[], c_range int4range[], c_tsvector tsvector[], c_xid xid[],
    c_mood mood[], c_place place[], c_tags tags[], c_price price[]
) SERVER dynamo OPTIONS (bucket 'data_types');
INSERT INTO data_types VALUES
    (1, '{t}', '{-1}', '{-1}', '{-1}', '{1.5}', '{1e300}', '{12345678901234567890.123456789}',
     '{""}', '{abc}', '{a}', '{n}', '{"\\x00ff"}', '{"{\"a\": 1}"}', '{"[1, null]"}',
     '{2026-01-01}', '{12:00}', '{12:00+02}', '{2026-01-01 12:00}', '{2026-01-01 12:00+00}', '{1 mon -2 days}',
     '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', '{10.0.0.0/8}', '{"(1,2)"}', '{101}', '{"[1,5)"}', '{"a b"}', '{7}',
     '{happy}', ARRAY[ROW('Zürich', 'ok', '(1,2)')::place], ARRAY['{a,b}'::tags], '{9.99}'),
    (2, '{NULL}', '{32767}', '{2147483647}', '{9223372036854775807}', '{nan}', '{-infinity}', '{nan}',
     '{NULL}', '{"ü"}', NULL, NULL, '{"\\x"}', '{null}', '{"null"}',
     '{infinity}', NULL, NULL, '{-infinity}', NULL, NULL, NULL, '{::1}', NULL, '{""}', '{empty}', '{""}', NULL,
     '{sad}', ARRAY[ROW(NULL, NULL, NULL)::place], ARRAY['{}'::tags], NULL);
\x on
SELECT * FROM data_types WHERE k = 1;
SELECT * FROM data_types WHERE k = 2;
\x off
SELECT (c_place[1]).city, c_tags[1], c_price[1] + 1 AS dearer FROM data_types WHERE k = 1;

-- Another table over the bucket: fewer columns, other order, names of its own, wider types.
CREATE FOREIGN TABLE data_view (
    fine price[] OPTIONS (column_name 'c_price'),
    whole bigint[] OPTIONS (column_name 'c_int4'),
    exact numeric[] OPTIONS (column_name 'c_int2'),
    words text[] OPTIONS (column_name 'c_varchar'),
    short varchar(2)[] OPTIONS (column_name 'c_text'),
    plain numeric[] OPTIONS (column_name 'c_price'),
    missing text[],
    number bigint OPTIONS (key 'true', column_name 'k')
) SERVER dynamo OPTIONS (bucket 'data_types');
SELECT * FROM data_view;
ALTER FOREIGN TABLE data_view DROP COLUMN plain;
SELECT * FROM data_view ORDER BY number;

-- A column that is added reads NULL for what was stored before, an element for each sibling.
ALTER FOREIGN TABLE data_view ADD COLUMN added int[];
SELECT added, missing FROM data_view WHERE number = 1;

-- What a column cannot take names both types.
ALTER FOREIGN TABLE data_view ALTER COLUMN missing OPTIONS (column_name 'c_mood');
SELECT missing FROM data_view WHERE number = 1;
SELECT count(*) FROM data_view;
ALTER FOREIGN TABLE data_view ALTER COLUMN added TYPE smallint[], ALTER COLUMN added OPTIONS (SET column_name 'c_int8');
SELECT added FROM data_view WHERE number = 1;
ALTER FOREIGN TABLE data_view ALTER COLUMN added TYPE mood[], ALTER COLUMN added OPTIONS (SET column_name 'c_jsonb');
SELECT added FROM data_view WHERE number = 1;

-- A type that is gone here, and a domain that refuses what is stored.
CREATE TYPE passing AS ENUM ('one');
CREATE FOREIGN TABLE data_passing (k int OPTIONS (key 'true'), v passing[], w int[]) SERVER dynamo OPTIONS (bucket 'data_passing');
INSERT INTO data_passing VALUES (1, '{one}', '{-5}');
ALTER FOREIGN TABLE data_passing ALTER COLUMN v TYPE text[];
DROP TYPE passing;
SELECT v FROM data_passing;
ALTER FOREIGN TABLE data_passing ALTER COLUMN w TYPE customer_number[];
SELECT w FROM data_passing;

-- A key of a wider integer than the table's.
CREATE FOREIGN TABLE key_wide (k bigint OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'key_wide');
CREATE FOREIGN TABLE key_narrow (k smallint OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'key_wide');
INSERT INTO key_wide VALUES (-1, '{b}'), (70000, '{wide}');
SELECT v FROM key_narrow WHERE k = -1;
SELECT v FROM key_narrow WHERE k = 70000;
SELECT v FROM key_narrow;

-- What is stored does not depend on the client's encoding; nor do errors.
CREATE FOREIGN TABLE encoded (k text OPTIONS (key 'true'), v text[], p place[], j jsonb[], n int[]) SERVER dynamo OPTIONS (bucket 'encoded');
INSERT INTO encoded VALUES ('é1', '{é}', '{"(é,ok,)"}', '{"{\"é\": 1}"}', '{1}');
SET client_encoding = latin1;
INSERT INTO encoded VALUES (chr(233) || '2', ARRAY[chr(233)], ARRAY[ROW(chr(233), 'ok', NULL)::place],
    ARRAY[jsonb_build_object(chr(233), 1)], '{2}');
SELECT n, v[1] = chr(233) AS v, (p[1]).city = chr(233) AS p, j[1] ? chr(233) AS j, k = chr(233) || n[1] AS k FROM encoded ORDER BY n;
SELECT n FROM encoded WHERE k = chr(233) || '1';
ALTER FOREIGN TABLE encoded ALTER COLUMN v TYPE int[];
\set SHOW_CONTEXT never
SELECT v FROM encoded WHERE k = chr(233) || '1';
\set SHOW_CONTEXT errors
SHOW client_encoding;
RESET client_encoding;
ALTER FOREIGN TABLE encoded ALTER COLUMN v TYPE text[];
SELECT k, v, p, j FROM encoded ORDER BY n;

-- A table that is all key.
CREATE FOREIGN TABLE bare (k int OPTIONS (key 'true')) SERVER dynamo OPTIONS (bucket 'bare');
INSERT INTO bare VALUES (1), (2);
SELECT * FROM bare ORDER BY k;
SELECT * FROM bare WHERE k = 2;

DROP FOREIGN TABLE encoded, bare, key_smallint, key_bigint, key_text, key_varchar, key_bytea, key_uuid, key_date, key_timestamp, key_timestamptz,
    key_boolean, key_several, data_types, data_view, data_passing, key_wide, key_narrow;
DROP TYPE place, mood;
DROP DOMAIN tags, price, customer_number;
