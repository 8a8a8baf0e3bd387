#include "test/sim/mix.h"

/* low to high, more often near low. */
static uint32_t
skewed(Random *random, uint32_t low, uint32_t high)
{
    uint32_t top = (uint32_t)random_between(random, low, high);

    return (uint32_t)random_between(random, low, top);
}

/* low to high, each doubling as likely as any other. */
static uint32_t
scaled(Random *random, uint32_t low, uint32_t high)
{
    uint32_t doublings = 0;

    while (low << (doublings + 1) <= high)
        doublings++;
    low <<= random_below(random, doublings + 1);
    return (uint32_t)random_between(random, low, low * 2 < high ? low * 2 : high);
}

/* 0 in most runs, else up to high. */
static uint32_t
sometimes(Random *random, uint32_t percent, uint32_t high)
{
    return random_percent(random, percent) ? skewed(random, 1, high) : 0;
}

static void
draw_network(Mix *mix, Random *random)
{
    mix->spike_ppm = sometimes(random, 50, 50000);
    mix->spike_max_us = skewed(random, 5000, 800000);
    mix->loss_ppm = sometimes(random, 60, 20000);
    mix->duplicate_ppm = sometimes(random, 40, 100000);
    mix->reorder_ppm = sometimes(random, 40, 100000);
}

static void
draw_strikes(Mix *mix, Random *random)
{
    mix->crash_ppm = sometimes(random, 40, 3000);
    mix->persist_crash_percent = sometimes(random, 30, 20);
    mix->crash_weight = sometimes(random, 60, 10);
    mix->blackout_weight = sometimes(random, 20, 3);
    mix->pause_weight = sometimes(random, 40, 6);
    mix->partition_weight = sometimes(random, 60, 10);
    mix->slow_disk_weight = sometimes(random, 40, 5);
    mix->failed_sync_weight = sometimes(random, 25, 4);
    mix->full_disk_weight = sometimes(random, 25, 6);
    mix->clock_weight = sometimes(random, 30, 4);
    mix->amnesia_weight = sometimes(random, 12, 10);
    mix->tree_row_weight = sometimes(random, 25, 6);
    mix->fault_gap_us = scaled(random, 30000, 3000000);
    mix->fault_length_us = scaled(random, 5000, 2000000);
    mix->one_way = random_percent(random, 30);
    mix->faults_while_forming = random_percent(random, 40);
}

/* Where the node's own notes are as old as its disk, only the others know: they are in reach. */
static void
draw_restores(Mix *mix, Random *random)
{
    if (!random_percent(random, 15))
        return;
    mix->restore_weight = skewed(random, 5, 20);
    mix->fault_gap_us = scaled(random, 30000, 400000);
    mix->weak_quorums = random_percent(random, 80);
    mix->whole_restores = random_percent(random, 50);
    if (!mix->whole_restores)
        return;
    mix->operations *= 3;
    mix->crash_ppm = mix->persist_crash_percent = mix->loss_ppm = mix->spike_ppm = 0;
    mix->crash_weight = mix->blackout_weight = mix->pause_weight = mix->partition_weight = 0;
    mix->failed_sync_weight = mix->full_disk_weight = mix->amnesia_weight = 0;
}

/* Nodes that have too much to do with little: the writes that they shed are written nowhere. */
static void
draw_overload(Mix *mix, Random *random)
{
    if (!random_percent(random, 25))
        return;
    mix->requests_max = sometimes(random, 60, 6);
    mix->delay_max_ms = sometimes(random, 60, 40);
}

/* Partitions have a row or two: leaves for four of them would never come to more than one. */
static void
draw_trees(Mix *mix, Random *random)
{
    mix->tree_shape =
        (TreeShape){TREE_LEAF_ROWS_MAX, TREE_LEAF_ROWS_MIN, TREE_JOB_LEAVES, TREE_JOURNAL_STEP};
    if (random_percent(random, 30))
        return;
    mix->tree_shape.leaf_rows_max = random_percent(random, 50) ? 4 : 1;
    mix->tree_shape.leaf_rows_min = mix->tree_shape.leaf_rows_max / 4;
    mix->tree_shape.job_leaves = (uint32_t)random_between(random, 1, 4);
    mix->tree_shape.journal_step = (uint32_t)random_between(random, 4, 16);
}

static void
draw_disks(Mix *mix, Random *random)
{
    mix->merged_later_percent = sometimes(random, 60, 100);
    mix->read_later_percent = sometimes(random, 60, 100);
    mix->work_max_us = skewed(random, 50, 20000);
    mix->sync_min_us = skewed(random, 50, 3000);
    mix->sync_max_us = mix->sync_min_us + skewed(random, 50, 30000);
    draw_trees(mix, random);
}

static void
draw_clients(Mix *mix, Random *random)
{
    mix->think_max_us = skewed(random, 100, 60000);
    mix->request_timeout_ms = (uint32_t)random_between(random, 300, 2000);
    mix->hedge_after_ms = skewed(random, 3, 200);
    mix->cancel_percent = sometimes(random, 30, 20);
    mix->batch_max = skewed(random, 1, 4);
    mix->write_percent = (uint32_t)random_between(random, 30, 80);
    mix->blind_percent = (uint32_t)random_between(random, 5, 60);
    mix->delete_percent = (uint32_t)random_between(random, 0, 30);
    mix->bucket_percent = sometimes(random, 40, 6);
    mix->scan_percent = sometimes(random, 50, 15);
    mix->avoids_silent = random_percent(random, 70);
    mix->weak_quorums = random_percent(random, 40);
    mix->clocks_off = random_percent(random, 60);
}

/* Buckets made at every turn while nodes come and go: proposals meet, and are cut short. */
static void
draw_storm(Mix *mix, Random *random)
{
    mix->bucket_percent = 80;
    mix->hosts = 3;
    mix->n = 3;
    mix->clients = 5;
    mix->crash_ppm = scaled(random, 1000, 10000);
    mix->latency_min_us = 1000;
    mix->latency_max_us = skewed(random, 2000, 20000);
    mix->think_max_us = skewed(random, 100, 20000);
    mix->loss_ppm = skewed(random, 1000, 60000);
    mix->crash_weight = skewed(random, 4, 10);
    mix->partition_weight = skewed(random, 4, 10);
    mix->fault_gap_us = scaled(random, 30000, 400000);
    mix->fault_length_us = scaled(random, 5000, 800000);
}

/* Nothing but compares of what owners have makes them equal: hints are refused, clients hardly
 * read, nodes are away for long, disks are set back, or lose what they had. */
static void
draw_healing(Mix *mix, Random *random)
{
    if (!random_percent(random, 12))
        return;
    mix->repair_interval_ms = scaled(random, 500, 8000);
    mix->hints_max_bytes = random_percent(random, 70) ? 0 : skewed(random, 100, 3000);
    mix->keys = skewed(random, 2, 40);
    mix->write_percent = 95;
    mix->scan_percent = 0;
    mix->delay_max_ms = mix->requests_max = 0;
    mix->crash_weight = skewed(random, 1, 5);
    mix->pause_weight = sometimes(random, 50, 5);
    mix->partition_weight = sometimes(random, 50, 5);
    mix->damage_weight = mix->n > 1 ? sometimes(random, 40, 5) : 0;
    mix->fault_gap_us = scaled(random, 200000, 2000000);
    mix->fault_length_us = scaled(random, 500000, 8000000);
}

/* Records cannot be read any more while clients read and scan, and others are away who have more
 * than what takes their place. */
static void
draw_damages(Mix *mix, Random *random)
{
    if (mix->n < 2 || mix->whole_restores || !random_percent(random, 10))
        return;
    mix->damage_weight = skewed(random, 3, 15);
    mix->amnesia_weight = 0;
    mix->scan_percent = (uint32_t)random_between(random, 10, 50);
    mix->write_percent = (uint32_t)random_between(random, 30, 60);
    mix->hints_max_bytes = random_percent(random, 50) ? 0 : 1024 * 1024;
    mix->crash_weight = skewed(random, 2, 10);
    mix->partition_weight = sometimes(random, 60, 10);
    mix->delay_max_ms = mix->requests_max = 0;
    mix->fault_gap_us = scaled(random, 30000, 800000);
    mix->fault_length_us = scaled(random, 50000, 2000000);
}

static void
draw_repairs(Mix *mix, Random *random)
{
    mix->hints_max_bytes = 1024 * 1024;
    if (random_percent(random, 50))
        mix->repair_interval_ms = scaled(random, 300, 20000);
}

/* What is so with and without faults. */
static void
draw_speeds(Mix *mix, Random *random)
{
    mix->partitions = 8u << random_below(random, 3);
    mix->operations = (uint32_t)random_between(random, 40, 160);
    mix->latency_min_us = skewed(random, 50, 2000);
    mix->latency_max_us = mix->latency_min_us + skewed(random, 50, 10000);
    mix->turn_max_us = skewed(random, 1, 2000);
    mix->peer_timeout_ms = (uint32_t)random_between(random, 200, 1500);
    mix->node_timeout_ms = 1000 + mix->peer_timeout_ms * (uint32_t)random_between(random, 2, 4);
    draw_disks(mix, random);
    draw_repairs(mix, random);
}

Mix
mix_draw_quiet(Random *random, uint32_t hosts, uint32_t n)
{
    Mix mix = {.hosts = hosts, .clients = 1, .keys = 1, .n = n};

    draw_speeds(&mix, random);
    draw_clients(&mix, random);
    mix.operations = 0;
    mix.bucket_percent = 0;
    mix.repair_interval_ms = 0;
    mix.clocks_off = false;
    return mix;
}

/* Rounds of reaping, as often as there can be, or now and then. */
static void
draw_reaping(Mix *mix, Random *random)
{
    mix->reap_interval_ms = random_percent(random, 70) ? scaled(random, 50, 2000) : 0;
    if (mix->reap_interval_ms > 0 && random_percent(random, 50))
        mix->delete_percent = (uint32_t)random_between(random, 20, 70);
}

Mix
mix_draw(Random *random)
{
    Mix mix = {0};

    mix.hosts = (uint32_t)random_between(random, 3, 5);
    mix.clients = (uint32_t)random_between(random, 2, 5);
    mix.keys = skewed(random, 1, 8);
    mix.n = random_percent(random, 75) ? 3 : (uint32_t)random_between(random, 1, mix.hosts);
    draw_speeds(&mix, random);
    draw_clients(&mix, random);
    draw_reaping(&mix, random);
    mix.owner_quorums = random_percent(random, 30);
    if (random_percent(random, 6))
        return mix;
    draw_network(&mix, random);
    draw_strikes(&mix, random);
    if (random_percent(random, 8))
        draw_storm(&mix, random);
    mix.siblings_max = sometimes(random, 25, 6);
    draw_restores(&mix, random);
    draw_overload(&mix, random);
    draw_damages(&mix, random);
    draw_healing(&mix, random);
    return mix;
}

bool
mix_heals(const Mix *mix)
{
    return mix->repair_interval_ms > 0;
}

bool
mix_is_calm(const Mix *mix)
{
    return mix->fault_gap_us == 0;
}
