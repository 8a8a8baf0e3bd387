/*
 * checker: knows what clients did and were told, and finds what a sibling store must never do.
 *
 * It shares no code with the product's merge: order between versions is an explicit set for each
 * write, of the versions that its context had been shown together with what those had been shown.
 * Objects are only decoded with the product's codec.
 *
 * A violation names the property that it breaks, S1 to T1: test/sim/properties.md lists them.
 * Versions are numbered by key, from 0. The first violation is kept, later ones are ignored.
 */
#ifndef SIM_CHECKER_H
#define SIM_CHECKER_H

#include "shared/base/status.h"
#include "shared/data/context.h"
#include "shared/data/object.h"
#include "shared/data/update.h"
#include "test/sim/version_set.h"

typedef struct Checker Checker;

enum
{
    CHECKER_PUT_VALUES_MAX = 4,
    CHECKER_HOSTS_MAX = 8,
    CHECKER_LOOK_US = 100000, /* a retry need not look for its id longer than that */
    CHECKER_NONE = UINT32_MAX
};

/* What the checker asks of the world it watches. Hosts are numbered from 0. */
typedef struct CheckerHooks
{
    /* The place-th owner of the key, or CHECKER_NONE when that cannot be told. */
    uint32_t (*owner)(void *context, uint32_t key, uint32_t place);

    /* What host has on disk for the key; borrowed, empty when it has nothing. */
    Slice (*durable_object)(void *context, uint32_t host, uint32_t key);

    /* True when nothing has hindered host since since_us to learn from the other one what it has.
     */
    bool (*in_reach)(void *context, uint32_t host, uint32_t other, uint64_t since_us);
    void *context;
} CheckerHooks;

/* What a reader was shown of one key. */
typedef struct Seen
{
    bool absent;
    VersionSet siblings;
    VersionSet past; /* siblings, and all that they replaced */
} Seen;

/* What a read has to show, settled when it begins. */
typedef struct ReadMark
{
    uint32_t key;
    uint32_t r;
    VersionSet required;
    VersionSet acked; /* by anyone */
    uint32_t losses;  /* of a disk, until it began */
    VersionSet gone;  /* reaped before it began: none of them may be shown as a value */
} ReadMark;

/* What a read gave. */
typedef struct ReadShown
{
    Slice object;
    Slice context;     /* sealed; may be empty when none was asked for */
    uint32_t answered; /* as RequestReadResult */
    bool anywhere;     /* so many owners, but not those */
} ReadShown;

typedef struct CheckerCounters
{
    uint32_t writes_ok; /* keys, not frames */
    uint32_t writes_unknown;
    uint32_t writes_refused;
    uint32_t reads;
    uint32_t siblings_most;
    uint32_t sloppy_reads; /* that a fallback's answer counted in */
    uint32_t stale_reads;  /* that missed an acknowledged version, as reads of too few owners may */
    uint32_t reaped;       /* objects, by owners */
    uint32_t forgotten_extras; /* versions that stood beside one that saw them, since they were
                                  stamped twice and it was forgotten that they were replaced */
} CheckerCounters;

/* Without hooks it sees only what clients see. */
Checker *checker_new(uint64_t seed, const ContextKeys *keys, const CheckerHooks *hooks);
void checker_free(Checker *checker);

/* Disks may forget what they had: only what two owners acknowledged is held to have survived. */
void checker_allow_amnesia(Checker *checker);

/* A host's process has ended, and what it had in memory with it. */
void checker_crashed(Checker *checker);

/* That host's disk may lose what it had, or be set back to what it was before; and it just did:
 * what it alone had acknowledged may be gone. All else must be read at all times, also what it has
 * acknowledged since. */
void checker_allow_restore(Checker *checker, uint32_t host);
void checker_disk_lost(Checker *checker);

/* The key is copied. Returns its number. */
uint32_t checker_add_key(Checker *checker, uint32_t bucket_id, Slice key, uint32_t n);
uint32_t checker_find_key(const Checker *checker, uint32_t bucket_id, Slice key);
Slice checker_key(const Checker *checker, uint32_t key);
uint32_t checker_key_count(const Checker *checker);

/*
 * A write of count versions of a key begins; context is what its sealed context opens to, past what
 * its reader had been shown (both may be NULL). Returns the number of the put, or CHECKER_NONE when
 * the key can take no more versions.
 */
uint32_t checker_write_begin(Checker *checker, uint32_t key, const VersionSet *past,
                             const VClock *context, uint32_t count, uint32_t tombstones);

/* The value of the put to send; bytes in the arena. */
PutValue checker_put_value(const Checker *checker, uint32_t put, uint32_t place, Arena *arena);

/* Sent to a node, once more or for the first time. */
void checker_write_sent(Checker *checker, const RequestId *request);

/* acked: as WriteResult. STATUS_UNKNOWN also for a client that went away. */
void checker_write_end(Checker *checker, uint32_t put, uint32_t w, StatusCode status,
                       uint32_t acked);

ReadMark checker_read_begin(const Checker *checker, uint32_t key, uint32_t r);

/* *clock is what the sealed context opens to, in the arena. */
void checker_read_end(Checker *checker, const ReadMark *mark, const ReadShown *shown, Arena *arena,
                      Seen *seen, VClock *clock);

/* A node reached the retry of a write; and a node stamped a put, giving this object. */
void checker_retry_arrived(Checker *checker, const RequestId *request, uint32_t host,
                           uint64_t now_us);
void checker_stamped(Checker *checker, uint32_t host, uint32_t key, Slice object, uint64_t now_us);
void checker_durable(Checker *checker, uint32_t host, uint32_t key, Slice object, uint64_t now_us);

/* An owner has reaped that object: what it had seen is nowhere any more, and stays away. */
void checker_reaped(Checker *checker, uint32_t key, Slice object);

/* A node uses this document for this epoch. */
void checker_topology(Checker *checker, uint64_t epoch, const Digest *document);

/* The settled object of a key, the same at every owner. */
void checker_final(Checker *checker, uint32_t key, Slice object);

void checker_violation(Checker *checker, const char *property, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* One line, or NULL while all is well. */
const char *checker_verdict(const Checker *checker);
CheckerCounters checker_counters(const Checker *checker);

/* The version of a request id ("k3.v17"), for people; into text of size bytes. */
void checker_name(const Checker *checker, const RequestId *request, char *text, size_t size);

#endif
