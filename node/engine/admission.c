/*
 * Measures how long frames waited in each queue, and turns that, with what is under way, into a
 * verdict on the next one.
 */
#include "node/engine/admission.h"

enum
{
    INTERVAL_TARGETS = 2, /* so many targets long is the interval */
    SCAN_PATIENCE = 10,   /* a page is megabytes, and its asker takes many at a time */
    LATELY_INTERVALS = 20,
    ALONE_PATIENCE = 4
};

void
admission_init(Admission *admission, const AdmissionLimits *limits)
{
    *admission = (Admission){.limits = *limits};
}

void
admission_set_limits(Admission *admission, const AdmissionLimits *limits)
{
    admission->limits = *limits;
}

static uint64_t
target_of(const Admission *admission, AdmissionQueue queue)
{
    return (uint64_t)admission->limits.target_ms * (queue == ADMISSION_SCANS ? SCAN_PATIENCE : 1);
}

static uint64_t
interval_of(const Admission *admission, AdmissionQueue queue)
{
    return INTERVAL_TARGETS * target_of(admission, queue);
}

/* How long it must be above the target before it stands. */
static uint64_t
patience(const Admission *admission, AdmissionQueue queue, uint64_t now_ms)
{
    const AdmissionWait *wait = &admission->waits[queue];
    uint64_t interval_ms = interval_of(admission, queue);
    bool stood_lately =
        wait->stood_ms > 0 && now_ms - wait->stood_ms <= LATELY_INTERVALS * interval_ms;

    return stood_lately ? 0 : interval_ms;
}

void
admission_note(Admission *admission, AdmissionQueue queue, uint64_t now_ms, uint64_t wait_ms)
{
    AdmissionWait *wait = &admission->waits[queue];
    bool above = admission->limits.target_ms > 0 && wait_ms > target_of(admission, queue);
    bool went_on = wait->above && now_ms - wait->noted_ms <= interval_of(admission, queue);

    wait->noted_ms = now_ms;
    wait->wait_ms = wait_ms;
    if (!above || !went_on)
        wait->since_ms = now_ms;
    wait->above = above;
    wait->stands = above && now_ms - wait->since_ms >= patience(admission, queue, now_ms);
    if (wait->stands)
        wait->stood_ms = now_ms;
}

/* What was noted long ago says nothing: there were no turns, so there was nothing to do. */
static bool
is_fresh(const Admission *admission, AdmissionQueue queue, uint64_t now_ms)
{
    return now_ms - admission->waits[queue].noted_ms <= interval_of(admission, queue);
}

static bool
stands(const Admission *admission, AdmissionQueue queue, uint64_t now_ms, bool is_alone)
{
    const AdmissionWait *wait = &admission->waits[queue];
    uint64_t patience = is_alone ? ALONE_PATIENCE * target_of(admission, queue) : 0;

    return wait->stands && wait->wait_ms > patience && is_fresh(admission, queue, now_ms);
}

static bool
is_full(const AdmissionLimits *limits, const AdmissionLoad *load, bool is_alone)
{
    uint32_t frames_max = limits->frames_max + (is_alone ? limits->frames_max / 4 : 0);

    return (limits->frames_max > 0 && load->frames >= frames_max) ||
           (limits->bytes_max > 0 && load->bytes >= limits->bytes_max);
}

static AdmissionVerdict
judge(const Admission *admission, uint64_t now_ms, const AdmissionFrame *frame,
      const AdmissionLoad *load)
{
    uint64_t interval_ms = interval_of(admission, ADMISSION_FRAMES);
    bool is_alone = frame->is_alone;

    if (frame->waited_ms > 0 && frame->waited_ms >= frame->timeout_ms)
        return ADMISSION_LATE;
    if (is_full(&admission->limits, load, is_alone))
        return ADMISSION_FULL;
    if (stands(admission, ADMISSION_FRAMES, now_ms, is_alone) ||
        stands(admission, frame->joins, now_ms, is_alone))
        return ADMISSION_BEHIND;
    /* A turn that takes so long is an interval by itself. */
    if (interval_ms > 0 && !frame->was_held && !is_alone && frame->waited_ms > interval_ms)
        return ADMISSION_BEHIND;
    return ADMISSION_TAKEN;
}

AdmissionVerdict
admission_ask(Admission *admission, uint64_t now_ms, const AdmissionFrame *frame,
              const AdmissionLoad *load)
{
    AdmissionVerdict verdict = judge(admission, now_ms, frame, load);

    admission->shed[verdict] += verdict != ADMISSION_TAKEN;
    return verdict;
}

uint64_t
admission_wait_ms(const Admission *admission, AdmissionQueue queue, uint64_t now_ms)
{
    return is_fresh(admission, queue, now_ms) ? admission->waits[queue].wait_ms : 0;
}

const char *
admission_text(AdmissionVerdict verdict)
{
    static const char *const texts[ADMISSION_VERDICTS] = {
        [ADMISSION_TAKEN] = "",
        [ADMISSION_BEHIND] = "the node is overloaded: requests wait in it for too long",
        [ADMISSION_FULL] = "the node is overloaded: too many requests are under way",
        [ADMISSION_LATE] = "the time given to the request had passed before the node came to it",
    };

    return texts[verdict];
}
