#include "shared/status.h"

typedef struct StatusRow
{
    const char *name;
    const char *sqlstate;
    const char *text;
} StatusRow;

/* clang-format off */
static const StatusRow STATUS_ROWS[STATUS_COUNT] = {
    [STATUS_OK] = {"ok", "00000", "done"},
    [STATUS_UNKNOWN] = {"unknown", "08007", "the write quorum was not confirmed in time"},
    [STATUS_UNAVAILABLE] = {"unavailable", "57P03", "too few owners of the key can be reached"},
    [STATUS_NOT_OWNER] = {"not_owner", "HV000", "the node does not own the key"},
    [STATUS_BEHIND] = {"behind", "57P03", "the node does not know this topology or bucket yet"},
    [STATUS_NOT_FORMED] = {"not_formed", "57P03", "the node has not joined a cluster yet"},
    [STATUS_BAD_FRAME] = {"bad_frame", "08P01", "the frame could not be read"},
    [STATUS_BAD_KEY] = {"bad_key", "22023", "the key does not have the bucket's key types"},
    [STATUS_BAD_CONTEXT] = {"bad_context", "22023", "the context is not one of this key"},
    [STATUS_TOO_LARGE] = {"too_large", "54000", "the key or value is larger than the node takes"},
    [STATUS_BUCKET_CONFLICT] = {"bucket_conflict", "42804", "the bucket exists with another shape"},
    [STATUS_BAD_BUCKET] = {"bad_bucket", "42P17", "the bucket cannot be created"},
    [STATUS_CORRUPT] = {"corrupt", "XX001", "the stored object cannot be read"},
    [STATUS_STORAGE] = {"storage", "58030", "the node's storage failed"},
    [STATUS_FORBIDDEN] = {"forbidden", "42501", "the role may not do this"},
    [STATUS_REFILLING] = {"refilling", "57P03", "the node's disk is new and being filled"},
    [STATUS_SHUTTING_DOWN] = {"shutting_down", "57P01", "the node is shutting down"},
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

StatusCode
status_from_byte(uint8_t byte)
{
    return byte < STATUS_COUNT ? (StatusCode)byte : STATUS_BAD_FRAME;
}
