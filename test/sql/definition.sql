-- Tables that cannot be buckets, and buckets that are not what a table declares.

-- No key, key types that are not supported, data columns that are no arrays.
CREATE FOREIGN TABLE bad (k int, v text[]) SERVER dynamo OPTIONS (bucket 'bad');
SELECT * FROM bad;
ALTER FOREIGN TABLE bad ALTER COLUMN v OPTIONS (key 'true');
SELECT * FROM bad;
DROP FOREIGN TABLE bad;
CREATE FOREIGN TABLE bad (v text[]) SERVER dynamo OPTIONS (bucket 'bad');
SELECT * FROM bad;
INSERT INTO bad VALUES ('{x}');
DROP FOREIGN TABLE bad;
CREATE FOREIGN TABLE bad (k numeric OPTIONS (key 'true')) SERVER dynamo OPTIONS (bucket 'bad');
SELECT * FROM bad;
DROP FOREIGN TABLE bad;
CREATE FOREIGN TABLE bad (k char(4) OPTIONS (key 'true')) SERVER dynamo OPTIONS (bucket 'bad');
SELECT * FROM bad;
DROP FOREIGN TABLE bad;
CREATE FOREIGN TABLE bad (k int[] OPTIONS (key 'true')) SERVER dynamo OPTIONS (bucket 'bad');
SELECT * FROM bad;
DROP FOREIGN TABLE bad;
CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE FOREIGN TABLE bad (k text OPTIONS (key 'true') COLLATE loose) SERVER dynamo OPTIONS (bucket 'bad');
SELECT * FROM bad;
DROP FOREIGN TABLE bad;
DROP COLLATION loose;
CREATE DOMAIN words AS text[];
CREATE FOREIGN TABLE bad (k int OPTIONS (key 'true'), v words) SERVER dynamo OPTIONS (bucket 'bad');
SELECT * FROM bad;
DROP FOREIGN TABLE bad;
DROP DOMAIN words;
CREATE FOREIGN TABLE bad (k int OPTIONS (key 'true'), v int2vector) SERVER dynamo OPTIONS (bucket 'bad');
SELECT * FROM bad;
DROP FOREIGN TABLE bad;
CREATE FOREIGN TABLE bad (k int OPTIONS (key 'true'), v aclitem[]) SERVER dynamo OPTIONS (bucket 'bad');
SELECT * FROM bad;
DROP FOREIGN TABLE bad;
CREATE FOREIGN TABLE bad (k int OPTIONS (key 'true'), c text OPTIONS (context 'true')) SERVER dynamo OPTIONS (bucket 'bad');
SELECT * FROM bad;
DROP FOREIGN TABLE bad;
CREATE FOREIGN TABLE bad (k int OPTIONS (key 'true'), c bytea OPTIONS (context 'true'), d bytea OPTIONS (context 'true')) SERVER dynamo OPTIONS (bucket 'bad');
SELECT * FROM bad;
DROP FOREIGN TABLE bad;
CREATE FOREIGN TABLE bad (a int OPTIONS (key 'true'), b int OPTIONS (key 'true'), c int OPTIONS (key 'true'), d int OPTIONS (key 'true'),
    e int OPTIONS (key 'true'), f int OPTIONS (key 'true'), g int OPTIONS (key 'true'), h int OPTIONS (key 'true'), i int OPTIONS (key 'true'))
    SERVER dynamo OPTIONS (bucket 'bad');
SELECT * FROM bad;
DROP FOREIGN TABLE bad;
CREATE FOREIGN TABLE bad (a int OPTIONS (key 'true'), b text[] OPTIONS (column_name 'a')) SERVER dynamo OPTIONS (bucket 'bad');
SELECT * FROM bad;
DROP FOREIGN TABLE bad;

-- A bucket with other key types, or another n; both sides are named.
CREATE FOREIGN TABLE good (a int OPTIONS (key 'true'), b date OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'definition_good');
INSERT INTO good VALUES (1, '2026-01-01', '{x}');
CREATE FOREIGN TABLE bad (a int OPTIONS (key 'true'), b text OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'definition_good');
SELECT * FROM bad;
SELECT * FROM bad WHERE a = 1 AND b = 'x';
INSERT INTO bad VALUES (1, 'x', '{x}');
DROP FOREIGN TABLE bad;
CREATE FOREIGN TABLE bad (b date OPTIONS (key 'true'), a int OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'definition_good');
SELECT * FROM bad;
DROP FOREIGN TABLE bad;
CREATE FOREIGN TABLE bad (a int OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'definition_good');
SELECT * FROM bad;
DROP FOREIGN TABLE bad;
CREATE FOREIGN TABLE bad (a int OPTIONS (key 'true'), b date OPTIONS (key 'true'), v text[]) SERVER dynamo
    OPTIONS (bucket 'definition_good', n '2');
SELECT * FROM bad;
INSERT INTO bad VALUES (1, '2026-01-01', '{x}');
DROP FOREIGN TABLE bad;

-- Names of columns, their order among data columns, and integer sizes may differ.
CREATE FOREIGN TABLE other (x text[] OPTIONS (column_name 'v'), a bigint OPTIONS (key 'true'), day date OPTIONS (key 'true'))
    SERVER dynamo OPTIONS (bucket 'definition_good', r '1', w '3');
SELECT * FROM other;

-- More replicas than the cluster has nodes: reading an absent bucket is no error, making it is.
CREATE FOREIGN TABLE large (k int OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'definition_large', n '9');
SELECT * FROM large;
INSERT INTO large VALUES (1, '{x}');
\set VERBOSITY terse

DROP FOREIGN TABLE good, other, large;
