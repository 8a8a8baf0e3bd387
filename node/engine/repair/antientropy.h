/*
 * Antientropy: makes the owners of a partition equal in the background (Dynamo 4.7), as a step
 * module.
 *
 * A pair is one partition of one bucket and one other owner of it. Both compare the roots of their
 * trees (node/engine/store/trees.h), those of all pairs with one peer in one frame; where they
 * differ, level by level, what stands below, down to leaves; then the keys of a leaf. A key that
 * differs is looked at again after a pause: a write that was in flight has landed by then. What
 * still differs is mended: the newer object travels, both do where neither is newer, and
 * object_merge brings them together, so nothing is lost and nothing comes back, whatever is stopped
 * when.
 *
 * Who asks drives; who answers is stateless, but for the page at hand (antientropy_answer.c). The
 * rate is the background pool's (node/engine/step/pacer.h).
 *
 * When (antientropy_schedule.c): every pair once an interval, by either side; sooner with a peer
 * that was down or has missed a write for which no hint could be kept, as soon as it is up and what
 * is owed to it was handed off; at once when asked for, also after a refill. What fails is tried
 * again. A node that is refilling, or whose storage has failed, neither asks nor answers; but what
 * it holds of keys that another cannot read it tells while it is refilling too, lest that one wait
 * for it and it for that one.
 */
#ifndef NODE_ENGINE_REPAIR_ANTIENTROPY_H
#define NODE_ENGINE_REPAIR_ANTIENTROPY_H

#include "node/engine/step/pacer.h"
#include "node/engine/step/step.h"

typedef struct Antientropy Antientropy;

/* Since the process began, of compares that this node drove. */
typedef struct AntientropyCounters
{
    uint64_t compares;    /* of a pair */
    uint64_t differences; /* keys that two successive compares found different */
    uint64_t mended_here;
    uint64_t mended_there;
    uint64_t bytes_sent; /* of all frames, answers to others' included */
    uint64_t bytes_received;
} AntientropyCounters;

/* pacer is borrowed. interval_ms: in which every pair is compared once; 0: only what is asked for.
 */
Antientropy *antientropy_new(Pacer *pacer, uint64_t interval_ms);
void antientropy_free(Antientropy *antientropy);
void antientropy_set_interval(Antientropy *antientropy, uint64_t interval_ms);

/* Begins what is due and goes on with what is under way, as far as tokens allow. */
void antientropy_step(Antientropy *antientropy, const View *view);

/* When antientropy_step is wanted next, at the latest; UINT64_MAX: an event will come before. */
uint64_t antientropy_wake_ms(const Antientropy *antientropy, const View *view);

/* ---- what people and other modules ask for ---- */

/* Queues compares of a bucket (0: of all) with a member (TOPOLOGY_NO_MEMBER: with all others) for
 * now; how many pairs that is. */
uint32_t antientropy_request(Antientropy *antientropy, const View *view, uint32_t bucket_id,
                             uint32_t member);

/* Rows from first to last of this node cannot be read, or may be missing: compares the keys of that
 * range with every other owner, whatever the trees say, unreadable ones counting as missing. How
 * many owners that are, those counted that were compared with a short while ago; 0: nobody else
 * owns them.
 */
uint32_t antientropy_mend(Antientropy *antientropy, const View *view, uint32_t bucket_id,
                          uint64_t first_position, uint64_t last_position);

/* What antientropy_mend() would not ask of the member again: it was compared with lately. The range
 * is within one partition. */
bool antientropy_was_mended(const Antientropy *antientropy, const View *view, uint32_t member,
                            TreeId id, uint64_t first_position, uint64_t last_position);

/* The same, of whatever was compared before too: a number for antientropy_has_mended(), which tells
 * whether such a compare with that owner has begun since then, and is done. The range is within one
 * partition. */
uint64_t antientropy_mend_anew(Antientropy *antientropy, const View *view, uint32_t bucket_id,
                               uint64_t first_position, uint64_t last_position);
bool antientropy_has_mended(const Antientropy *antientropy, uint32_t member, TreeId id,
                            uint64_t first_position, uint64_t last_position, uint64_t since);

/* That number as it is now. */
uint64_t antientropy_pairs_taken(const Antientropy *antientropy);

/* A range that was compared so with one of them, and what it brought. */
typedef struct MendResult
{
    MemberId peer;
    uint32_t bucket_id;
    uint64_t first_position;
    uint64_t last_position;
    uint64_t objects;
} MendResult;

/* Takes the oldest that was not taken; false: there is none. Of many the oldest are forgotten. */
bool antientropy_take_result(Antientropy *antientropy, MendResult *result);

/* The member has missed a write that nobody keeps a hint of. */
void antientropy_missed(Antientropy *antientropy, const View *view, uint32_t member);

/* How all pairs stand, one row for each, in the order of member, bucket and partition; numbers
 * change with the topology. */
typedef struct RepairCursor
{
    uint32_t member;
    uint32_t bucket; /* index */
    uint32_t partition;
} RepairCursor;

uint32_t antientropy_status_count(const Antientropy *antientropy, const View *view);

/* The cursor of the row of that number; takes the row there, and goes on. False: there is none. */
RepairCursor antientropy_seek(const Antientropy *antientropy, const View *view, uint32_t index);
bool antientropy_next_status(const Antientropy *antientropy, const View *view, RepairCursor *cursor,
                             RepairStatus *status);
AntientropyCounters antientropy_counters(const Antientropy *antientropy);

/* ---- events ---- */

/* A question of another node: FRAME_TREE_ROOTS, _LEVEL, _KEYS or FRAME_VERSIONS. */
void antientropy_session_frame(Antientropy *antientropy, const View *view, Origin origin,
                               const Frame *frame);

/* An answer of a member to one of those under a ticket of REF_ANTIENTROPY, or FRAME_ERROR. */
void antientropy_member_frame(Antientropy *antientropy, const View *view, uint32_t member,
                              const Frame *frame);

/* A FRAME_REPLICATE_REPLY, which may acknowledge what others have sent too. */
void antientropy_acknowledged(Antientropy *antientropy, const View *view, uint32_t member,
                              const Frame *frame);
void antientropy_member_down(Antientropy *antientropy, const View *view, uint32_t member);

/* Storage's answers to refs of REF_ANTIENTROPY and REF_TREE_ANSWERS. */
void antientropy_scanned(Antientropy *antientropy, const View *view, uint64_t ref,
                         StatusCode status, const StoragePage *page);
void antientropy_fetched(Antientropy *antientropy, const View *view, uint64_t ref,
                         StatusCode status, Slice object);
void antientropy_merged(Antientropy *antientropy, uint64_t ref, StatusCode status);
void antientropy_durable(Antientropy *antientropy, uint64_t ref, StatusCode status);

#endif
