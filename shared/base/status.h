/*
 * status: how a request, or one key of it, ended. One table gives each its name and SQLSTATE.
 *
 * The three classes that a writer must tell apart: STATUS_OK; refused (nothing was written
 * anywhere); STATUS_UNKNOWN (some replica may keep it).
 */
#ifndef SHARED_BASE_STATUS_H
#define SHARED_BASE_STATUS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum StatusCode
{
    STATUS_OK,
    STATUS_UNKNOWN,     /* written somewhere, quorum not confirmed */
    STATUS_UNAVAILABLE, /* fewer owners reachable than asked for; nothing was written */
    STATUS_NOT_OWNER,   /* the node asked does not own the key */
    STATUS_BEHIND,      /* the node asked does not know this epoch or bucket yet */
    STATUS_NOT_FORMED,  /* the node is in no cluster yet */
    STATUS_BAD_FRAME,   /* the frame could not be read */
    STATUS_BAD_KEY,     /* the key is not one of the bucket's key types */
    STATUS_CONTEXT_MALFORMED,
    STATUS_CONTEXT_OTHER_BUCKET,
    STATUS_CONTEXT_OTHER_KEY,
    STATUS_CONTEXT_OTHER_CLUSTER, /* or sealed under a cluster key that was removed */
    STATUS_CONTEXT_EDITED,
    STATUS_CONTEXT_PENDING, /* names unsent writes of a transaction, which no node knows */
    STATUS_TOO_LARGE,       /* key or value over the node's limit */
    STATUS_BUCKET_CONFLICT, /* exists with other key types or n */
    STATUS_BAD_BUCKET,      /* a bucket that cannot be: n over the nodes, bad name */
    STATUS_BUCKET_LIMIT,    /* it would be more than there may be, in all or of one user */
    STATUS_NO_BUCKET,       /* a bucket to be dropped that is not there; or one that was dropped */
    STATUS_CORRUPT,         /* what is stored for the key cannot be read */
    STATUS_STORAGE,         /* the disk is full or failed: the node does not write */
    STATUS_FORBIDDEN,       /* the role may not send this frame */
    STATUS_SHUTTING_DOWN,
    STATUS_REFILLING, /* the node's disk is new or an older copy: it answers no read until it is
                         filled */
    STATUS_TOO_MANY_SIBLINGS, /* the write would leave more than the node's siblings_max */
    STATUS_ANSWER_TOO_LARGE,  /* the answer is more than a frame may be: ask for fewer keys */
    STATUS_HINTS_FULL,        /* the node keeps all the hints it may: it stands in for no owner */
    STATUS_OVERLOADED,        /* the node has more to do than it can; worth another try, later */
    STATUS_STALE_ROUND,       /* the object is older than what was reaped since
                                 (node/engine/store/rounds.h) */
    STATUS_MOVED,    /* the key's owners were changed since the epoch that the asker knows: nothing
                        was done, and is to be asked anew by a newer topology */
    STATUS_TOO_LATE, /* the write was sent too long ago to be stamped: nothing was written */
    STATUS_PLAN_REFUSED, /* a change of members that cannot be, or not as things are */
    STATUS_NO_MOVES,     /* a change of members that would move partitions */
    STATUS_COUNT
} StatusCode;

const char *status_name(StatusCode code);

/* Five characters. */
const char *status_sqlstate(StatusCode code);

/* A sentence for people, lower case, without a full stop. */
const char *status_text(StatusCode code);

/* True for a refusal of the request itself: another node would refuse it as well. */
bool status_is_about_request(StatusCode code);

/* A byte off the wire; what is not known reads as STATUS_BAD_FRAME. */
StatusCode status_from_byte(uint8_t byte);

#endif
