/* The table of statuses. A row is all there is to a status: its name for logs and counters, its
 * SQLSTATE, its sentence, and whether another node would say the same. */
#include "shared/base/status.h"

typedef struct StatusRow
{
    const char *name;
    const char *sqlstate;
    const char *text;
    bool is_about_request;
} StatusRow;

/* clang-format off */
static const StatusRow STATUS_ROWS[STATUS_COUNT] = {
    [STATUS_OK] = {"ok", "00000", "done"},
    [STATUS_UNKNOWN] = {"unknown", "08007", "the write quorum was not confirmed in time"},
    [STATUS_UNAVAILABLE] = {"unavailable", "57P03", "too few owners of the key can be reached"},
    [STATUS_NOT_OWNER] = {"not_owner", "HV000", "the node does not own the key"},
    [STATUS_BEHIND] = {"behind", "57P03", "the node does not know this topology or bucket yet"},
    [STATUS_NOT_FORMED] = {"not_formed", "57P03", "the node has not joined a cluster yet"},
    [STATUS_BAD_FRAME] = {"bad_frame", "08P01", "the frame could not be read", true},
    [STATUS_BAD_KEY] = {"bad_key", "22023",
        "the key does not have the bucket's key types", true},
    [STATUS_CONTEXT_MALFORMED] = {"context_malformed", "22023",
        "the context is truncated, or no context at all", true},
    [STATUS_CONTEXT_OTHER_BUCKET] = {"context_other_bucket", "22023",
        "the context belongs to another bucket", true},
    [STATUS_CONTEXT_OTHER_KEY] = {"context_other_key", "22023",
        "the context belongs to another key", true},
    [STATUS_CONTEXT_OTHER_CLUSTER] = {"context_other_cluster", "22023",
        "the context was sealed by another cluster, or under a cluster key that was removed", true},
    [STATUS_CONTEXT_EDITED] = {"context_edited", "22023",
        "the context was edited after it was read", true},
    [STATUS_CONTEXT_PENDING] = {"context_pending", "22023",
        "the context belongs to another transaction, which had written the key and not committed",
        true},
    [STATUS_TOO_LARGE] = {"too_large", "54000",
        "the key or value is larger than the node takes", true},
    [STATUS_BUCKET_CONFLICT] = {"bucket_conflict", "42804", "the bucket exists with another shape"},
    [STATUS_BAD_BUCKET] = {"bad_bucket", "42P17", "the bucket cannot be created"},
    [STATUS_BUCKET_LIMIT] = {"bucket_limit", "53000", "there may be no more buckets"},
    [STATUS_NO_BUCKET] = {"no_bucket", "42704", "the bucket is not there, or was dropped", true},
    [STATUS_CORRUPT] = {"corrupt", "XX001", "the stored object cannot be read"},
    [STATUS_STORAGE] = {"storage", "58030", "the node's disk is full or failed"},
    [STATUS_FORBIDDEN] = {"forbidden", "42501", "the role may not do this", true},
    [STATUS_REFILLING] = {"refilling", "57P03",
        "the node's disk is new or an older copy, and being filled"},
    [STATUS_TOO_MANY_SIBLINGS] = {"too_many_siblings", "54000",
        "the key has too many siblings", true},
    [STATUS_ANSWER_TOO_LARGE] = {"answer_too_large", "54000",
        "what was asked for is more than one answer may be", true},
    [STATUS_SHUTTING_DOWN] = {"shutting_down", "57P01", "the node is shutting down"},
    [STATUS_HINTS_FULL] = {"hints_full", "57P03", "the node keeps all the hints it may"},
    [STATUS_OVERLOADED] = {"overloaded", "53000", "the node has more to do than it can"},
    [STATUS_MOVED] = {"moved", "57P03",
        "the owners of the key have changed since the topology by which it was asked for", true},
    [STATUS_TOO_LATE] = {"too_late", "57P03",
        "the write came so late that it may have been replaced by now"},
    [STATUS_STALE_ROUND] = {"stale_round", "57P03",
        "the object was read before a round of reaping that has passed since"},
    [STATUS_PLAN_REFUSED] = {"plan_refused", "55000", "the change of members cannot be made"},
    [STATUS_NO_MOVES] = {"no_moves", "0A000", "the change would move partitions between nodes"},
};
/* clang-format on */

const char *
status_name(StatusCode code)
{
    return STATUS_ROWS[code].name;
}

const char *
status_sqlstate(StatusCode code)
{
    return STATUS_ROWS[code].sqlstate;
}

const char *
status_text(StatusCode code)
{
    return STATUS_ROWS[code].text;
}

bool
status_is_about_request(StatusCode code)
{
    return STATUS_ROWS[code].is_about_request;
}

StatusCode
status_from_byte(uint8_t byte)
{
    return byte < STATUS_COUNT ? (StatusCode)byte : STATUS_BAD_FRAME;
}
