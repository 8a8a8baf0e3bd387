/*
 * options: the options of servers, user mappings, tables and columns, in one table.
 *
 * The names are libpq's and postgres_fdw's wherever those have one. What the table allows for an
 * object is all that the validator lets in, so readers need not check the form of a value again.
 */
#ifndef FDW_BASE_OPTIONS_H
#define FDW_BASE_OPTIONS_H

#include "fdw/base/pg.h"

#include "nodes/pg_list.h"

enum
{
    OPTIONS_DEFAULT_N = 3,
    OPTIONS_DEFAULT_R = 2,
    OPTIONS_DEFAULT_W = 2,
    /* A store of unknown size is taken for a large one: a plan that fetches it whole is the last
       choice. */
    OPTIONS_DEFAULT_ROWS = 100000,
    OPTIONS_DEFAULT_STARTUP_COST = 100,
    OPTIONS_HEDGE_MAX_MS = 60000
};

#define OPTIONS_DEFAULT_TUPLE_COST 0.05

/* The value of an option in a list of DefElem, or NULL. */
const char *options_find(List *options, const char *name);

/* True for the options of a server or a user mapping that libpq takes under the same name (user and
 * password too). */
bool options_is_connection(const char *name);

/* An option that the validator holds to be a boolean or a number; fallback when it is not given. */
bool options_bool(List *options, const char *name, bool fallback);
double options_number(List *options, const char *name, double fallback);

/* Milliseconds of option "hedge_after"; 0: adaptive. */
uint32 options_hedge_ms(const char *value);

#endif
