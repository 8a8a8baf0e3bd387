/*
 * checker_private: what checker.c (the record of what clients did) and checker_object.c (the look
 * at what came of it) share.
 */
#ifndef SIM_CHECKER_PRIVATE_H
#define SIM_CHECKER_PRIVATE_H

#include "test/sim/checker.h"

#define CHECKER_NEVER UINT64_MAX

/* Of several owners, which are not known, one at least that loses no disk. */
#define CHECKER_SOMEBODY (1u << CHECKER_HOSTS_MAX)

typedef enum PutState
{
    PUT_UNDER_WAY,
    PUT_OK,
    PUT_UNKNOWN,
    PUT_REFUSED
} PutState;

typedef struct PutRecord
{
    uint32_t key;
    uint32_t first; /* global number of its first version */
    uint32_t count;
    PutState state;
    uint32_t sends;
    uint32_t losses;  /* of a disk, until it was begun */
    uint32_t crashes; /* of any host, before it began */
    VersionSet past;
    VClock context;
} PutRecord;

typedef struct Version
{
    RequestId request;
    uint32_t put;
    uint32_t key;
    uint32_t ordinal; /* within its key */
    bool tombstone;
    uint32_t holders; /* hosts, owners, that have acknowledged or shown it, or what replaced it */
    bool twice;       /* two hosts have, fallbacks among them; never where n is 1 */
    uint32_t dots;
    uint64_t durable_us[CHECKER_HOSTS_MAX]; /* since when on that host's disk */
    uint64_t retry_us[CHECKER_HOSTS_MAX];   /* when the first retry of it came to that host */
    bool extra_counted;
} Version;

typedef struct DotRow
{
    uint32_t key;
    uint32_t version; /* global number */
    Dot dot;
    uint32_t next_of_key; /* row + 1; 0 ends */
} DotRow;

typedef struct KeyRecord
{
    uint32_t bucket_id;
    Slice key;
    uint32_t n;
    uint32_t version_count;
    uint32_t versions[VERSION_SET_MAX]; /* global numbers */
    uint32_t first_dot;                 /* row + 1 */
    VersionSet applied;                 /* acknowledged, or durable somewhere at some time */
    VersionSet acked_by[CHECKER_HOSTS_MAX + 1]; /* by at least so many owners */
    VersionSet reaped;      /* all that a reaped object had seen, its tombstones among them */
    VersionSet acked_twice; /* by two hosts, fallbacks among them; none where n is 1 */
    VersionSet sure;        /* acknowledged or shown, and not by a disk alone that was lost since */
    VersionSet on_disk[CHECKER_HOSTS_MAX];      /* siblings there now */
    VersionSet shown_by[CHECKER_HOSTS_MAX + 1]; /* by reads of at least so many owners */
} KeyRecord;

typedef struct EpochRow
{
    uint64_t epoch;
    Digest document;
} EpochRow;

struct Checker
{
    uint64_t seed;
    ContextKeys context_keys;
    CheckerHooks hooks;
    bool amnesia;
    uint32_t restored; /* the host whose disk may be lost or set back, or CHECKER_NONE */
    uint32_t losses;   /* how often it was */
    uint32_t crashes;
    Arena arena;
    Arena scratch; /* of one call */
    KeyRecord **keys;
    uint32_t key_count;
    PutRecord *puts;
    uint32_t put_count;
    uint32_t put_capacity;
    Version *versions;
    uint32_t version_count;
    uint32_t version_capacity;
    DotRow *dots;
    uint32_t dot_count;
    uint32_t dot_capacity;
    uint32_t *dot_table; /* row + 1 by hash, open addressing; a power of two */
    uint32_t dot_table_size;
    EpochRow *epochs;
    uint32_t epoch_count;
    CheckerCounters counters;
    char *verdict;
};

/* Global number of the version, or CHECKER_NONE. */
uint32_t checker_version(const Checker *checker, const RequestId *request);

/* The hosts of those places that are owners'; without the one whose disk was lost since there had
 * been so many losses. */
uint32_t checker_holders(const Checker *checker, const KeyRecord *record, uint32_t places,
                         uint32_t losses);

/* Appends the bytes that version must have. */
Slice checker_value(const Checker *checker, uint32_t version, Arena *arena);

/* Says that dot names version; false when it names another one. */
bool checker_note_dot(Checker *checker, const Dot *dot, uint32_t version);

/* All that must hold of any object of the key, at any time. False after a violation. */
bool checker_look(Checker *checker, uint32_t key, Slice bytes, Arena *arena, Object *object,
                  Seen *seen);

/* A clock claims only what its reader was shown. */
bool checker_claims(Checker *checker, uint32_t key, const VClock *clock, const Seen *seen);

/* How many of the places, of the preference list, are owners'. */
uint32_t checker_owners_among(const KeyRecord *record, uint32_t places);

#endif
