/*
 * faults: what strikes a run from time to time, and its end.
 */
#ifndef SIM_FAULTS_H
#define SIM_FAULTS_H

#include "test/sim/network.h"

enum
{
    FAULTS_AT_ONCE = 8
};

typedef enum FaultKind
{
    FAULT_CRASH,
    FAULT_BLACKOUT,
    FAULT_PAUSE,
    FAULT_PARTITION,
    FAULT_SLOW_DISK,
    FAULT_FAILED_SYNC,
    FAULT_FULL_DISK,
    FAULT_CLOCK,
    FAULT_AMNESIA,
    FAULT_RESTORE,
    FAULT_TREE_ROW,
    FAULT_DAMAGE,
    FAULT_KINDS
} FaultKind;

typedef struct Strike
{
    bool live;
    FaultKind kind;
    uint32_t host;
    uint32_t cut[NETWORK_ENDPOINTS_MAX]; /* by endpoint: to whom it may not send, as bits */
} Strike;

typedef struct Faults
{
    bool active;
    uint64_t generation; /* counts begin and heal: what was scheduled before is void */
    Strike strikes[FAULTS_AT_ONCE];
    uint32_t amnesiac; /* the one host whose disk forgets, or is set back */
} Faults;

/* From now on faults of the mix strike; until faults_heal, which ends all there are. */
void faults_begin(World *world);
void faults_heal(World *world);

/* One host out of reach for good: killed, stopped or cut off; until faults_heal. */
/* What may befall a disk while all must succeed. */
void faults_in_calm(World *world);
void faults_take_down(World *world, uint32_t host);

/* The host crashes soon or now, and comes back. */
void faults_crash_now(World *world, uint32_t host);
void faults_crash_soon(World *world, uint32_t host);

/* What the queue brings. */
void faults_strike(World *world, const Event *event);
void faults_end_strike(World *world, const Event *event);

#endif
