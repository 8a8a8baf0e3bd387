/*
 * client_private: what client.c (links, topology, the course of things), client_request.c (reads
 * and writes of keys) and audit.c share.
 */
#ifndef SIM_CLIENT_PRIVATE_H
#define SIM_CLIENT_PRIVATE_H

#include "shared/ask/pager.h"
#include "test/sim/checker.h"
#include "test/sim/client.h"
#include "test/sim/network.h"

enum
{
    CLIENT_BATCH_MAX = 4,
    CLIENT_KEYS_MAX = 48,
    CLIENT_WAITING_MAX = 64,
    CLIENT_PATIENCE_MS = 5000 /* of requests that must succeed */
};

typedef enum ClientState
{
    CLIENT_FETCHES, /* the topology */
    CLIENT_CREATES, /* a bucket */
    CLIENT_IDLE,    /* thinks, or has nothing to do */
    CLIENT_ASKS,    /* a request is under way */
    CLIENT_SCANS,
    CLIENT_AUDITS,
    CLIENT_PLAYS /* asks what a scenario tells him to */
} ClientState;

typedef void (*ClientTaker)(void *context, uint32_t host, const Frame *frame);

/* What the client read last of a key. */
typedef struct ClientKey
{
    bool has_context;
    Buffer sealed;
    VersionSet past;
    Arena arena; /* of clock */
    VClock clock;
} ClientKey;

/* One key of the request under way. */
typedef struct ClientItem
{
    uint32_t key;
    uint32_t put;
    bool foreign; /* its context is another key's: must be refused */
    ReadMark mark;
} ClientItem;

struct Client
{
    World *world;
    uint32_t index;
    uint32_t endpoint;
    ClientState state;
    bool must_succeed;
    uint32_t tag; /* of the frame awaited, outside of requests */
    uint64_t deadline_us;
    uint64_t cancel_us;
    uint64_t wake_token;
    uint64_t wake_us;
    Arena topology_arena;
    Topology topology;
    const Bucket *bucket;
    bool silent[NETWORK_HOSTS_MAX]; /* by member: gave no answer in time */
    bool avoid[NETWORK_HOSTS_MAX];
    ClientKey keys[CLIENT_KEYS_MAX];

    Arena arena; /* of the request */
    RequestAsker asker;
    Request *request;
    RequestOptions options;
    bool is_write;
    ClientItem items[CLIENT_BATCH_MAX];
    uint32_t item_count;
    uint64_t begun_us;
    Pager *pager;
    bool scanned[CLIENT_KEYS_MAX];
    ReadMark scan_marks[CLIENT_KEYS_MAX];

    /* Frames for hosts whose link is not up yet. */
    Packet *waiting[NETWORK_HOSTS_MAX][CLIENT_WAITING_MAX];
    uint32_t waiting_count[NETWORK_HOSTS_MAX];

    /* A scenario's. */
    ClientTaker taker;
    void *taker_context;

    /* The audit. */
    uint32_t audit_key;
    uint32_t audit_place;
    uint32_t audit_tries;
    uint32_t audit_host;
    ReadMark audit_mark;
    bool audit_done;
    uint64_t audit_done_us;
};

uint64_t client_now_ms(const Client *client);
void client_send(Client *client, uint32_t host, Slice frame);
uint32_t client_host_of(const Client *client, uint32_t member);

/* Sets the one time at which the client is woken. */
void client_wake_at(Client *client, uint64_t at_us);

/* Thinks a while, then does the next thing. */
void client_rest(Client *client);

/* Asks for the topology again before the next thing. */
void client_refetch(Client *client);

/* A FRAME_TOPOLOGY: the client asks by it from now on, if it is newer. */
void client_learn(Client *client, const Frame *frame);

/* Starts a read or write; goes on with it after something has changed; ends it as told or
 * cancelled. */
void client_request_begin(Client *client);
void client_request_pump(Client *client);
void client_request_cancel(Client *client);

void client_scan_begin(Client *client);
void client_scan_pump(Client *client);

/* From now on the client does nothing by himself, and frames that come are taken by taker. */
void client_begin_script(Client *client, ClientTaker taker, void *context);
void client_end_script(Client *client);

void audit_next(Client *client);
void audit_frame(Client *client, uint32_t host, const Frame *frame);
void audit_again(Client *client);

#endif
