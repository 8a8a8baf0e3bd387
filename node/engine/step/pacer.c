/*
 * Tokens by time, and a rate that follows the latency of the foreground.
 */
#include "node/engine/step/pacer.h"

enum
{
    JUDGE_MS = 250,
    JUDGE_MOST_MS = 1000, /* where there are too few samples sooner */
    SAMPLES_LEAST = 8,    /* fewer say nothing about the foreground */
    SLACK_US = 2000,      /* of twice what is usual: that no foreground is hurt by */
    BURST_MS = 100,       /* tokens that may gather */
    USUAL_SHARE = 4,      /* of what is usual, what one window without background work changes */
    SHARED_SHARE = 16     /* and one with it */
};

void
pacer_init(Pacer *pacer, uint64_t most, uint64_t now_ms)
{
    if (most < PACER_LEAST)
        most = PACER_LEAST;
    *pacer = (Pacer){.most = most, .rate = most, .filled_ms = now_ms, .judged_ms = now_ms};
}

static void
slow_down(Pacer *pacer)
{
    pacer->rate = pacer->rate / 2 > PACER_LEAST ? pacer->rate / 2 : PACER_LEAST;
}

static void
speed_up(Pacer *pacer)
{
    pacer->rate += pacer->rate / 4;
    if (pacer->rate > pacer->most)
        pacer->rate = pacer->most;
}

/* What is usual follows windows without background work. One that is quicker in spite of it counts
 * at once, one that is slower counts little, but counts: a foreground that is slow for good is not
 * held against the background for ever. */
static void
learn(Pacer *pacer, uint64_t mean_us)
{
    uint64_t share = pacer->window_shared ? SHARED_SHARE : USUAL_SHARE;

    if (pacer->usual_us == 0 || (pacer->window_shared && mean_us < pacer->usual_us))
        pacer->usual_us = mean_us;
    else
        pacer->usual_us = (pacer->usual_us * (share - 1) + mean_us) / share;
}

static bool
is_hurt(const Pacer *pacer, uint64_t mean_us)
{
    return pacer->window_shared && pacer->usual_us > 0 && mean_us >= 2 * pacer->usual_us + SLACK_US;
}

static void
fill(Pacer *pacer, uint64_t now_ms)
{
    int64_t burst = (int64_t)(pacer->rate * BURST_MS / 1000);

    pacer->tokens += (int64_t)(pacer->rate * (now_ms - pacer->filled_ms) / 1000);
    pacer->filled_ms = now_ms;
    if (pacer->tokens > burst)
        pacer->tokens = burst;
}

/* Some samples, but too few, are waited for a while: where they come slowly it may be the
 * background that holds them up. */
static bool
is_judged_at(const Pacer *pacer, uint64_t now_ms)
{
    uint64_t wait_ms =
        pacer->window_count == 0 || pacer->window_count >= SAMPLES_LEAST ? JUDGE_MS : JUDGE_MOST_MS;

    return now_ms >= pacer->judged_ms + wait_ms;
}

static void
judge(Pacer *pacer, uint64_t now_ms)
{
    bool busy = pacer->window_count >= SAMPLES_LEAST;
    uint64_t mean_us = busy ? pacer->window_sum_us / pacer->window_count : 0;

    fill(pacer, now_ms);
    if (busy && is_hurt(pacer, mean_us))
        slow_down(pacer);
    else
        speed_up(pacer);
    if (busy)
        learn(pacer, mean_us);
    pacer->window_sum_us = pacer->window_count = 0;
    pacer->window_shared = pacer->tokens < 0;
    pacer->judged_ms = now_ms;
}

void
pacer_note(Pacer *pacer, uint64_t now_ms, uint64_t count, uint64_t sum_us)
{
    pacer->window_sum_us += sum_us;
    pacer->window_count += count;
    if (is_judged_at(pacer, now_ms))
        judge(pacer, now_ms);
}

bool
pacer_may_begin(Pacer *pacer, uint64_t now_ms)
{
    if (is_judged_at(pacer, now_ms))
        judge(pacer, now_ms);
    fill(pacer, now_ms);
    return pacer->tokens >= 0;
}

void
pacer_take(Pacer *pacer, uint64_t bytes)
{
    pacer->tokens -= (int64_t)bytes;
    pacer->window_shared = true;
}

uint64_t
pacer_ready_ms(const Pacer *pacer, uint64_t now_ms)
{
    if (pacer->tokens >= 0)
        return now_ms;
    return now_ms + (uint64_t)-pacer->tokens * 1000 / pacer->rate + 1;
}
