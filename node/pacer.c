#include "node/pacer.h"

enum
{
    JUDGE_MS = 250,
    SAMPLES_LEAST = 8, /* fewer say nothing about the foreground */
    BURST_MS = 100,    /* tokens that may gather */
    USUAL_SHARE = 16   /* of what is usual, what one quiet window changes */
};

void
pacer_init(Pacer *pacer, uint64_t most, uint64_t now_ms)
{
    if (most < PACER_LEAST)
        most = PACER_LEAST;
    *pacer = (Pacer){.most = most, .rate = most, .filled_ms = now_ms, .judged_ms = now_ms};
}

void
pacer_note(Pacer *pacer, uint64_t count, uint64_t sum_us)
{
    pacer->window_sum_us += sum_us;
    pacer->window_count += count;
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

/* What is usual follows quiet windows at once when they are quicker, slowly when they are slower: a
 * foreground that is slow for good is not held against the background for ever. */
static void
learn(Pacer *pacer, uint64_t mean_us)
{
    if (pacer->usual_us == 0 || mean_us < pacer->usual_us)
        pacer->usual_us = mean_us;
    else
        pacer->usual_us += (mean_us - pacer->usual_us) / USUAL_SHARE;
}

static void
judge(Pacer *pacer, uint64_t now_ms)
{
    bool busy = pacer->window_count >= SAMPLES_LEAST;
    uint64_t mean_us = busy ? pacer->window_sum_us / pacer->window_count : 0;

    if (busy && pacer->usual_us > 0 && mean_us >= 2 * pacer->usual_us)
        slow_down(pacer);
    else
        speed_up(pacer);
    if (busy)
        learn(pacer, mean_us);
    pacer->window_sum_us = pacer->window_count = 0;
    pacer->judged_ms = now_ms;
}

bool
pacer_may_begin(Pacer *pacer, uint64_t now_ms)
{
    int64_t burst = (int64_t)(pacer->rate * BURST_MS / 1000);

    if (now_ms >= pacer->judged_ms + JUDGE_MS)
        judge(pacer, now_ms);
    pacer->tokens += (int64_t)(pacer->rate * (now_ms - pacer->filled_ms) / 1000);
    pacer->filled_ms = now_ms;
    if (pacer->tokens > burst)
        pacer->tokens = burst;
    return pacer->tokens >= 0;
}

void
pacer_take(Pacer *pacer, uint64_t bytes)
{
    pacer->tokens -= (int64_t)bytes;
}

uint64_t
pacer_ready_ms(const Pacer *pacer, uint64_t now_ms)
{
    if (pacer->tokens >= 0)
        return now_ms;
    return now_ms + (uint64_t)-pacer->tokens * 1000 / pacer->rate + 1;
}
