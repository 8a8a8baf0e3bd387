/*
 * pg: postgres.h for files that also use shared/. Every file of fdw/ includes it in place of
 * postgres.h, first.
 *
 * PostgreSQL and shared/base/bytes.h both name a type Buffer. A type's name is no part of an
 * interface between binaries, so PostgreSQL's is read here under another one, by including all of
 * its headers that mention it and that the extension may meet. A header that is missing here shows
 * as "conflicting types for Buffer".
 */
#ifndef FDW_BASE_PG_H
#define FDW_BASE_PG_H

#include "postgres.h"

#define Buffer PostgresBuffer
#include "access/genam.h"
#include "access/tableam.h"
#include "access/xlogreader.h"
#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "storage/bufmgr.h"
#undef Buffer

/* A macro of c.h for functions that the extension does not call; shared/base/status.h has a
 * constant of that name. */
#undef STATUS_OK

#endif
