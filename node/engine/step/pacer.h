/*
 * Pacer: the one pool of tokens that background work (handoff, anti-entropy, transfer) draws from,
 * pure.
 *
 * A token is a byte. The rate is governed by the foreground's latency: while clients' writes take
 * twice what they take without background work and some milliseconds, or longer, it is halved step
 * by step, else it grows back. It never falls to nothing: background work that waits for the
 * foreground to be idle would never be done.
 */
#ifndef NODE_ENGINE_STEP_PACER_H
#define NODE_ENGINE_STEP_PACER_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Pacer
{
    uint64_t most; /* bytes a second */
    uint64_t rate;
    int64_t tokens; /* below 0 while a debt is paid off */
    uint64_t filled_ms;
    uint64_t judged_ms;
    uint64_t window_sum_us; /* of the foreground's latencies since it was judged */
    uint64_t window_count;
    bool window_shared; /* background work was under way in it */
    uint64_t usual_us;  /* what the foreground takes without */
} Pacer;

/* most: bytes a second, at least PACER_LEAST counts. */
void pacer_init(Pacer *pacer, uint64_t most, uint64_t now_ms);

enum
{
    PACER_LEAST = 1024 * 1024 /* bytes a second that background work always has */
};

/* So many of clients' writes, none perhaps, took so long together. To be called also when there is
 * no background work, whose latencies are what is usual. */
void pacer_note(Pacer *pacer, uint64_t now_ms, uint64_t count, uint64_t sum_us);

/* True when something may be begun now. What it takes is told by pacer_take(), also afterwards. */
bool pacer_may_begin(Pacer *pacer, uint64_t now_ms);
void pacer_take(Pacer *pacer, uint64_t bytes);

/* When pacer_may_begin() will be true, if nobody takes more. */
uint64_t pacer_ready_ms(const Pacer *pacer, uint64_t now_ms);

#endif
