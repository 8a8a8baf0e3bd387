/*
 * mix: the shape of one simulated run, drawn from its seed.
 *
 * Each run has only some kinds of faults, each with its own rate ("swarm testing"): a run with
 * every fault at once hides the bugs that need a calm moment, and a run with fixed rates never
 * leaves the middle of the road.
 */
#ifndef SIM_MIX_H
#define SIM_MIX_H

#include "node/engine/store/trees.h"
#include "test/lib/random.h"

typedef struct Mix
{
    uint32_t hosts;   /* 3 to 5 */
    uint32_t clients; /* without the auditor */
    uint32_t keys;
    uint32_t n;
    uint32_t partitions;
    uint32_t operations; /* of all clients, before the network heals */

    /* Network. */
    uint32_t latency_min_us;
    uint32_t latency_max_us;
    uint32_t spike_ppm; /* frames held up, and all behind them */
    uint32_t spike_max_us;
    uint32_t loss_ppm;      /* frames lost, and their connection with them */
    uint32_t duplicate_ppm; /* frames that come twice */
    uint32_t reorder_ppm;   /* frames between nodes that overtake others */

    /* What strikes from time to time, as weights; all 0: nothing does. */
    uint32_t crash_ppm;             /* frames whose sender, a node, crashes soon after */
    uint32_t persist_crash_percent; /* of the times a node persists its state */
    uint32_t crash_weight;
    uint32_t blackout_weight; /* every node at once */
    uint32_t pause_weight;
    uint32_t partition_weight;
    uint32_t slow_disk_weight;
    uint32_t failed_sync_weight;
    uint32_t full_disk_weight;
    uint32_t clock_weight;
    uint32_t amnesia_weight;  /* one node's disk forgets some keys */
    uint32_t restore_weight;  /* one node's disk is set back to a backup */
    uint32_t damage_weight;   /* records that cannot be read any more */
    uint32_t tree_row_weight; /* a row of a tree cannot be read any more */
    bool whole_restores;      /* with all that lies beside it: nothing else strikes then */
    uint32_t fault_gap_us;    /* on average */
    uint32_t fault_length_us;
    bool one_way; /* partitions may cut one direction only */
    bool faults_while_forming;

    /* Disks. */
    uint32_t merged_later_percent;
    uint32_t read_later_percent;
    uint32_t work_max_us;
    uint32_t sync_min_us;
    uint32_t sync_max_us;
    TreeShape tree_shape; /* that few rows make many leaves */

    /* Nodes and clients. */
    uint32_t turn_max_us;
    uint32_t request_timeout_ms; /* of clients */
    uint32_t peer_timeout_ms;
    uint32_t node_timeout_ms; /* of a node's operations: more than it takes to notice that a peer is
                                 down */
    uint32_t reap_interval_ms; /* 0: nothing is reaped */
    uint32_t hedge_after_ms;
    uint32_t think_max_us;
    uint32_t cancel_percent; /* requests whose client goes away */
    uint32_t batch_max;      /* keys of one request */
    uint32_t write_percent;
    uint32_t blind_percent;      /* of writes: without a context */
    uint32_t delete_percent;     /* of versions */
    uint32_t scan_percent;       /* operations that scan the bucket */
    uint32_t bucket_percent;     /* operations that make a bucket */
    uint32_t siblings_max;       /* of the nodes; 0: none */
    uint32_t repair_interval_ms; /* in which owners compare what they have; 0: only when told to */
    uint64_t hints_max_bytes;
    uint32_t requests_max; /* clients' frames that a node takes on at a time; 0: all */
    uint32_t delay_max_ms; /* that clients' frames may wait in a node; 0: for ever */
    bool avoids_silent;    /* clients ask silent members last */
    bool weak_quorums;     /* r and w of each request are drawn; else both are a majority */
    bool owner_quorums;    /* requests ask for owners (pr, pw) and for members apart (confirms) */
    bool clocks_off;       /* wall clocks differ by years */
} Mix;

Mix mix_draw(Random *random);

/* One key of n owners, one client with nothing to do, and no faults: a stage for scenarios. */
Mix mix_draw_quiet(Random *random, uint32_t hosts, uint32_t n);

/* Owners become equal by themselves, without any reads. */
bool mix_heals(const Mix *mix);

/* No fault at all: what still fails is the product's own doing. */
bool mix_is_calm(const Mix *mix);

#endif
