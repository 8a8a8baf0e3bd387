/*
 * script: the hand that plays a scenario (test/sim/scenarios.c): one client who asks the node he is
 * told to, and what befalls nodes and disks, step by step.
 *
 * Every step goes on in virtual time until it is done; each that fails is a violation, after which
 * the steps that follow do nothing. What is asked and answered goes to the checker as in any other
 * run; hosts go by their place in the one key's preference list: 0, 1 and 2 own it, 3 is the first
 * fallback.
 */
#ifndef SIM_SCRIPT_H
#define SIM_SCRIPT_H

#include "shared/ring/topology.h"
#include "test/sim/checker.h"

typedef struct World World;
typedef struct Script Script;
typedef struct SimStore SimStore;

/* What a read showed: valid until the scenario ends. */
typedef struct Shown
{
    Seen seen;
    Slice sealed; /* empty: nothing was there */
    VClock clock;
} Shown;

typedef struct Scenario
{
    const char *name;
    void (*play)(Script *script);
    uint32_t hosts;
    bool amnesia; /* disks forget what was acknowledged: see checker_allow_amnesia */
    uint32_t n;   /* owners of the key */
} Scenario;

/* Plays it, from inside the world's loop. */
void script_play(World *world, const Scenario *scenario);

/* ---- what the client does ---- */

/* Writes a version at host and gives its number; w must be met. context NULL: none. */
uint32_t script_put(Script *script, uint32_t host, uint32_t w, const Shown *context);
uint32_t script_delete(Script *script, uint32_t host, uint32_t w, const Shown *context);

/* Sends a write and does not wait for what becomes of it; begin: nor until it is there. */
uint32_t script_begin_put(Script *script, uint32_t host, uint32_t w, const Shown *context);
uint32_t script_send_put(Script *script, uint32_t host, uint32_t w, const Shown *context);

/* The same write again, marked as a retry, at another host: must it succeed, or how did it end. */
void script_retry(Script *script, uint32_t host, uint32_t w, uint32_t put, const Shown *context);
StatusCode script_try_retry(Script *script, uint32_t host, uint32_t w, uint32_t put,
                            const Shown *context);

/* The same without a context, by a frame that has been on its way for age_ms. */
StatusCode script_try_old_retry(Script *script, uint32_t host, uint32_t w, uint32_t put,
                                uint32_t age_ms);

/* A write that may end in any way: how it did. *put is its number. */
StatusCode script_try_put(Script *script, uint32_t host, uint32_t w, const Shown *context,
                          uint32_t *put);

/* A coordinated read at host, which must succeed. */
const Shown *script_read(Script *script, uint32_t host, uint32_t r);

/* What host alone answers; and how a coordinated read at host ends. */
StatusCode script_try_read(Script *script, uint32_t host);
StatusCode script_try_quorum(Script *script, uint32_t host, uint32_t r);

/* The read shows just these versions, each given by the number of its put. */
void script_expect(Script *script, const Shown *shown, uint32_t count, const uint32_t *puts);
void script_fail(Script *script, const char *what);

/* The first host has one sibling on its disk, and that was stamped once. */
void script_expect_one_dot(Script *script);

/* ---- partitions that move ---- */

/* Every node uses a next topology, by which all partitions are at that step of a move: the host
 * that leaves and the one that enters are exchanged. */
void script_move(Script *script, uint32_t leaves, uint32_t enters, TopologyStep step);

/* The client, and who reads in the end, learn the topology that host uses. */
void script_learn(Script *script, uint32_t host);

/* The host's disk has something of the key; until it has. */
bool script_holds(const Script *script, uint32_t host);
void script_await_held(Script *script, uint32_t host);

/* ---- what befalls the cluster ---- */

void script_wait_ms(Script *script, uint32_t ms);

/* Until no disk, or none but one, has anything left to write; and until all of them hold the same.
 */
void script_settle(Script *script);
void script_settle_others(Script *script, uint32_t host);
void script_await_same(Script *script);

/* Ends the process, at once: what is not durable may be lost; the others know of it afterwards. */
void script_crash(Script *script, uint32_t host);

/* The process starts, and every node that runs knows of every other one afterwards; with boot,
 * that is all of them. */
void script_boot(Script *script, uint32_t host);
void script_boot_alone(Script *script, uint32_t host);
void script_boot_unawaited(Script *script, uint32_t host);
void script_restart_all(Script *script);

/* The process takes no turn until it goes on; frames wait for it. */
void script_pause(Script *script, uint32_t host);
void script_resume(Script *script, uint32_t host);

/* The disk has no room for writes; or has again, which all others hear of. */
void script_fill_disk(Script *script, uint32_t host, bool full);

/* Nothing that is on its way to host's disk arrives there until it crashes. */
void script_stop_disk(Script *script, uint32_t host);

/* The record is gone under the running process. */
void script_forget(Script *script, uint32_t host);

/* The disk is wiped while the process is down; and it holds again what the others do. */
void script_wipe(Script *script, uint32_t host);
void script_await_filled(Script *script, uint32_t host);

/* What a fallback held is where it belongs, and it has dropped it. */
void script_await_handed_off(Script *script, uint32_t host);

/* A copy of the host's disk; and a host's disk becomes that copy. */
SimStore *script_copy_disk(Script *script, uint32_t host);
void script_put_disk(Script *script, uint32_t host, const SimStore *copy);

/* A backup of the host's disk and of what it noted beside it; and both set back to that. */
void script_back_up(Script *script, uint32_t host);
void script_restore(Script *script, uint32_t host);

/* The record cannot be read any more, though others do not hold the same. */
void script_damage(Script *script, uint32_t host);

/* How host answers a scan of the key's partition, by its rows or by their digest alone. */
StatusCode script_try_scan(Script *script, uint32_t host, bool digest_only);

/* A row of a tree is lost. */
void script_lose_tree(Script *script, uint32_t host);

/* Host compares with the other now; begin: does not wait for host's word that it will. */
void script_compare(Script *script, uint32_t host, uint32_t other);
void script_begin_compare(Script *script, uint32_t host, uint32_t other);

/* From now on nodes keep no hints; and all compare what they have once an hour, not just when told
 * to. */
void script_refuse_hints(Script *script);
void script_compare_hourly(Script *script);

/* Hosts 0 and 1 have the same on their disks, in the end; or have not. */
void script_await_two_same(Script *script);
void script_expect_two_differ(Script *script);

/* Keys that compares have found different twice, of all processes that run. */
uint64_t script_differences(const Script *script);

/* From now on nodes look for what they may reap all the time. */
void script_reap_often(Script *script);

/* They begin no more, and what they had begun has ended. */
void script_reap_no_more(Script *script);

/* Until no owner has anything of the key; or host must still have something. */
void script_await_reaped(Script *script);
void script_expect_kept(Script *script, uint32_t host);

/* Host is asked to have a bucket made: how it ends, or it must succeed. */
StatusCode script_try_bucket(Script *script, uint32_t host, const char *name, uint32_t n);
void script_make_bucket(Script *script, uint32_t host, const char *name, uint32_t n);

/* The host, which runs, knows that its disk lacks something. */
bool script_is_filling(const Script *script, uint32_t host);

/* The two do not hear each other any more; or do again. */
void script_part(Script *script, uint32_t a, uint32_t b, bool parted);

/* The object that host has now; and a frame with it that was late comes from one host to another.
 */
Slice script_object(Script *script, uint32_t host);
void script_late_frame(Script *script, Slice object, uint32_t from, uint32_t to);

#endif
