\echo Use "CREATE EXTENSION dynamo_fdw" to load this file. \quit

CREATE FUNCTION dynamo_fdw_handler() RETURNS fdw_handler
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

CREATE FUNCTION dynamo_fdw_validator(text[], oid) RETURNS void
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

CREATE FOREIGN DATA WRAPPER dynamo_fdw
    HANDLER dynamo_fdw_handler
    VALIDATOR dynamo_fdw_validator;

CREATE FUNCTION dynamo_fdw_options(
    OUT object text,
    OUT option text,
    OUT superuser_only boolean,
    OUT meaning text)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION dynamo_fdw_options() IS
    'the options that servers, user mappings, foreign tables and their columns take';
