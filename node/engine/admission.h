/*
 * Admission: which of the clients' frames a node takes on, so that it sheds before it drowns. Pure.
 *
 * Measured is how long work waits in each of the node's queues, not how much of it there is
 * (Nichols and Jacobson, "Controlling Queue Delay", 2012): a queue that empties now and then does
 * its work, however long it grows in between; one whose wait was above the target for a whole
 * interval, at every look, stands, and what joins it only waits; one that stood lately stands as
 * soon as it is above the target again. While a queue stands, frames that would join it are
 * refused. So are frames that waited too long already, and every frame while there is more under
 * way than the caps allow.
 *
 * Who sends one request at a time must not starve beside those that send hundreds: a frame whose
 * session has no other under way is taken until waits are four times the target, and a quarter
 * beyond the cap on frames.
 *
 * A frame is refused before anything was done for it: a refused write was written nowhere. Frames
 * of other nodes, and of admins, are not asked about here.
 */
#ifndef NODE_ENGINE_ADMISSION_H
#define NODE_ENGINE_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

typedef enum AdmissionQueue
{
    ADMISSION_FRAMES, /* received, not yet looked at: the loop is behind */
    ADMISSION_WRITES, /* merged, not yet durable */
    ADMISSION_READS,  /* records that must come from the disk */
    ADMISSION_SCANS,
    ADMISSION_QUEUES
} AdmissionQueue;

/* 0: without that limit. */
typedef struct AdmissionLimits
{
    uint32_t target_ms; /* that work may wait in a queue for long; for scans, ten times that */
    uint32_t frames_max;
    uint64_t bytes_max;
} AdmissionLimits;

typedef struct AdmissionWait
{
    bool above; /* at the last look, and since_ms says since which one */
    bool stands;
    uint64_t since_ms;
    uint64_t stood_ms; /* when it stood last; 0: never */
    uint64_t noted_ms;
    uint64_t wait_ms; /* at the last look */
} AdmissionWait;

/* Why a frame is refused. */
typedef enum AdmissionVerdict
{
    ADMISSION_TAKEN,
    ADMISSION_BEHIND, /* a queue that it would join stands, or it stood in one itself */
    ADMISSION_FULL,   /* the caps are reached */
    ADMISSION_LATE,   /* the time that its sender gave it has passed */
    ADMISSION_VERDICTS
} AdmissionVerdict;

typedef struct Admission
{
    AdmissionLimits limits;
    AdmissionWait waits[ADMISSION_QUEUES];
    uint64_t shed[ADMISSION_VERDICTS]; /* frames refused, by reason */
} Admission;

/* One frame of a client. */
typedef struct AdmissionFrame
{
    AdmissionQueue joins; /* beside ADMISSION_FRAMES, where it comes from */
    uint64_t waited_ms;   /* since it was received */
    uint32_t timeout_ms;  /* that its sender waits for an answer */
    bool was_held;        /* it waited for something else than its turn */
    bool is_alone;        /* its session has no other under way */
} AdmissionFrame;

/* What is under way for whomever. */
typedef struct AdmissionLoad
{
    uint32_t frames; /* not yet answered */
    uint64_t bytes;
} AdmissionLoad;

void admission_init(Admission *admission, const AdmissionLimits *limits);
void admission_set_limits(Admission *admission, const AdmissionLimits *limits);

/* How long what is next in the queue has waited; 0 when it is empty. To be told once a turn, as
 * long as there are turns. */
void admission_note(Admission *admission, AdmissionQueue queue, uint64_t now_ms, uint64_t wait_ms);

AdmissionVerdict admission_ask(Admission *admission, uint64_t now_ms, const AdmissionFrame *frame,
                               const AdmissionLoad *load);

/* The wait as last told; 0 when that is long ago. */
uint64_t admission_wait_ms(const Admission *admission, AdmissionQueue queue, uint64_t now_ms);

/* A sentence for the error, lower case, without a full stop. */
const char *admission_text(AdmissionVerdict verdict);

#endif
