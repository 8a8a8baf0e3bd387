/*
 * host: a machine with a clock, a disk and, while it runs, one engine.
 *
 * Everything that reaches the engine waits in the inbox for the host's next turn; a paused host has
 * no turns, a host that is down has no engine. The disk, the persisted state and the member id
 * outlive the process.
 */
#ifndef SIM_HOST_H
#define SIM_HOST_H

#include "node/engine/engine.h"
#include "test/sim/sim_store.h"

typedef struct World World;

enum
{
    HOST_PEERS_MAX = 8
};

typedef enum InboxKind
{
    INBOX_SESSION_FRAME,
    INBOX_PEER_UP,
    INBOX_PEER_DOWN,
    INBOX_PEER_FRAME,
    INBOX_DATAGRAM,
    INBOX_STORE,
    INBOX_TICK
} InboxKind;

typedef struct InboxItem
{
    InboxKind kind;
    bool is_peer;
    uint32_t peer;
    uint64_t session;
    void *payload;       /* Packet or StoreWork; owned */
    uint64_t arrived_us; /* set by host_inbox() */
} InboxItem;

typedef struct Host
{
    World *world;
    uint32_t index;
    char name[8];
    char address[16];
    char zone[8];
    EngineConfig config;
    Engine *engine; /* NULL while down */
    SimStore *store;
    Storage *storage;
    Buffer state;     /* what the engine persisted */
    Buffer notes;     /* what it noted */
    SimStore *backup; /* of the disk; NULL: none */
    DataMark told;    /* the last mark of the disk that another host was to remember */
    Buffer backup_notes;
    Buffer backup_state;
    uint64_t incarnation;
    bool paused;
    bool doomed;  /* dies at the end of this turn, and is silent until then */
    bool booting; /* a boot is due */
    int64_t wall_offset_ms;
    uint64_t troubled_us; /* the last time something was wrong with it */
    InboxItem *inbox;
    uint32_t inbox_count;
    uint32_t inbox_capacity;
    bool turn_due;
    uint64_t wake_at_us;
    uint64_t epoch_seen;
    bool knows[HOST_PEERS_MAX];           /* peers that the engine asked a link to, by host */
    uint64_t up_since_us[HOST_PEERS_MAX]; /* since when the engine holds that host for up; 0: it
                                             does not */
} Host;

void host_init(World *world, uint32_t index);
void host_free(World *world, uint32_t index);
void host_boot(World *world, uint32_t index);
void host_note_mended(World *world, uint32_t index); /* before the process ends */
void host_crash(World *world, uint32_t index);

/* A backup of all that the host keeps, in place of the one before; and back to it while the host is
 * down, as a whole or the disk alone. */
void host_back_up(World *world, uint32_t index);
void host_restore(World *world, uint32_t index, bool whole);

/* Nothing is left on the disk, while the host is down. */
void host_wipe(World *world, uint32_t index);
void host_pause(World *world, uint32_t index);
void host_resume(World *world, uint32_t index);

/* From now on the node sheds nothing. */
void host_admit_all(World *world, uint32_t index);

/* No round begins any more: one that meets a repair leaves owners different until the next one. */
void host_reap_no_more(World *world, uint32_t index);

/* Up and not paused. */
bool host_runs(const Host *host);

/* Gives the item to the engine in the host's next turn; releases it when there is no engine. */
void host_inbox(World *world, uint32_t index, InboxItem item);
void host_turn(World *world, uint32_t index);
void host_wake(World *world, uint32_t index);

#endif
