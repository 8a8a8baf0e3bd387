/*
 * client: someone who reads and writes keys, through shared/ask/request.h and over links of his
 * own.
 *
 * A client makes the bucket when it is not there, remembers for each key the context of what he
 * read last, and tells the checker what he asks and what he is told. The auditor (test/sim/audit.c)
 * is a client who does no more than the final reads.
 */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include "shared/base/bytes.h"
#include "test/lib/event_queue.h"

typedef struct World World;
typedef struct Client Client;

Client *client_new(World *world, uint32_t index);
void client_free(Client *client);

/* Starts to work, as far as the world has operations left to do. */
void client_start(Client *client);

/* At rest: no request under way. */
bool client_is_idle(const Client *client);

/* Has seen a topology with the bucket. */
bool client_is_ready(const Client *client);

/* Closes all links; not while a request is under way. */
void client_hang_up(Client *client);

/* By the client's topology; it must be ready. */
uint32_t client_owner(const Client *client, Slice key, uint32_t place);
bool client_is_entering(const Client *client, Slice key, uint32_t host);
uint32_t client_bucket_id(const Client *client);

/* Makes one coordinated read of all r = n owners of each key at each of its owners, and nothing
 * else any more. */
void client_begin_audit(Client *client);
bool client_audit_is_done(const Client *client);

/* Since it was done. */
uint64_t client_audit_age_us(const Client *client);

/* What the network brings. */
void client_link_up(World *world, uint32_t client, uint32_t host);
void client_link_lost(World *world, uint32_t client, uint32_t host);
void client_frame(World *world, uint32_t client, uint32_t host, Slice frame);
void client_wake(World *world, const Event *event);

#endif
