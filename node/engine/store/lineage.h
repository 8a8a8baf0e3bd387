/*
 * Lineage: the runs that a data directory has been through, kept in the directory itself.
 *
 * Each opening begins a run under an identifier drawn at random, and notes at which commit number
 * the run before it ended. A mark (run and commit number) that somebody remembers of the directory
 * is therefore either in its past, or was left by another directory, or by a life of this one that
 * an older copy knows nothing of. Numbers alone would not tell: a copy that goes on writing passes
 * the number that was lost. (PostgreSQL's timeline history files serve the same end.)
 */
#ifndef NODE_ENGINE_STORE_LINEAGE_H
#define NODE_ENGINE_STORE_LINEAGE_H

#include "shared/wire/message.h"

enum
{
    LINEAGE_RUNS_MAX = 1024 /* who remembers an older one has the disk filled, needlessly */
};

/* The end of a lost run of which nothing is missed any more. */
#define LINEAGE_SETTLED UINT64_MAX

typedef struct LineageRun
{
    RunId id;
    uint64_t end; /* its last commit number; of no account in the last one, which goes on */
} LineageRun;

typedef struct Lineage
{
    LineageRun runs[LINEAGE_RUNS_MAX]; /* the last is the present one */
    uint32_t count;
} Lineage;

/* The data were opened at that commit number. When the runs speak of later ones the data are older
 * than their own list: what came later is struck off. */
void lineage_begin(Lineage *lineage, const RunId *run, uint64_t commits);

/* Do the data, now at that commit number, hold everything up to the mark? */
bool lineage_holds(const Lineage *lineage, uint64_t commits, const DataMark *mark);

/* What the lost run had written was got from elsewhere. */
void lineage_settle(Lineage *lineage, const RunId *lost);

/* Has the directory been in use before this run? */
bool lineage_has_past(const Lineage *lineage);

/* The present run at that commit number. */
DataMark lineage_mark(const Lineage *lineage, uint64_t commits);

#endif
