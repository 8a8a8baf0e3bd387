/*
 * Town: a few nodes' memberships, and the mail between them; member i of the stage is node i.
 *
 * Mail waits until town_deliver_all(); what comes to or from a node that is cut off is lost. The
 * assertions fail the test.
 */
#ifndef TEST_UNIT_STAGES_TOWN_H
#define TEST_UNIT_STAGES_TOWN_H

#include "node/engine/cluster/membership.h"
#include "test/unit/stages/stage.h"

#define TOWN_SEEDS "127.0.0.1:7100,127.0.0.1:7101,127.0.0.1:7102"

enum
{
    TOWN_NODES = 3,
    TOWN_PORT = 7100,
    TOWN_TICK_MS = 100,
    TOWN_PEER_TIMEOUT_MS = 1000,
    TOWN_BUCKET_WAIT_MS = 4000,
    TOWN_CLIENT = 100, /* sessions from here on are clients' */
    TOWN_MAIL_MAX = 512,
    TOWN_ANSWERS_MAX = 4096
};

typedef struct Town Town;

typedef struct TownNode
{
    Town *town;
    uint32_t index;
    HostConfig config;
    HostQuestions questions;
    Membership *membership;
    bool asleep; /* has no ticks, but answers what comes in */
    char last_log[256];
} TownNode;

typedef struct TownMail
{
    uint32_t from;
    uint32_t to;
    bool is_answer;
    Slice bytes;
} TownMail;

typedef struct TownAnswer
{
    uint64_t session;
    Frame frame;
} TownAnswer;

/* Nodes that greet each other; member i of the stage is node i. */
struct Town
{
    Stage stage;
    TownNode nodes[TOWN_NODES];
    uint32_t node_count;
    bool cut[TOWN_NODES]; /* nothing comes or goes */
    TownMail mail[TOWN_MAIL_MAX];
    uint32_t mail_count;
    TownAnswer answers[TOWN_ANSWERS_MAX];
    uint32_t answer_count;
    uint64_t now_ms;
    uint64_t random;
};

/* Three nodes that are each other's seeds, none of them started. */
void town_init(Town *town);
void town_free(Town *town);
void town_add_node(Town *town, uint32_t index, const char *seeds);
void town_start(Town *town, uint32_t index, Slice state);
void town_stop(Town *town, uint32_t index);

/* Takes what the node wants sent and answered. */
void town_post(Town *town, uint32_t node);
void town_deliver_all(Town *town);
void town_link_up(Town *town, uint32_t from, uint32_t to);
void town_link_all(Town *town);
void town_tick(Town *town, uint32_t node);

/* Time passes tick by tick, and all mail arrives. */
void town_pass(Town *town, uint64_t ms);

/* All nodes started and linked, not yet in a cluster. */
void town_begin(Town *town);

/* The same, and in epoch 1 together. */
void town_form(Town *town);
uint64_t town_epoch_of(Town *town, uint32_t node);
bool town_is_up(Town *town, uint32_t node, uint32_t other);
void town_assert_waiting(Town *town, uint32_t node, const char *text);
void town_create(Town *town, uint32_t node, uint64_t session, const Bucket *bucket);

/* The stage's bucket under that name. */
void town_drop(Town *town, uint32_t node, uint64_t session, uint32_t bucket_id);
/* A change of the plan, asked of a node by a client. */
void town_plan(Town *town, uint32_t node, uint64_t session, const PlanFrame *plan);
Bucket town_named(Town *town, const char *name);

/* The topology a client was answered with. */
Topology town_answered_topology(Town *town, uint32_t index);
StatusCode town_answered_error(Town *town, uint32_t index);
Slice town_document_of(Town *town, uint32_t node);

/* What the node would persist. */
Slice town_state_of(Town *town, uint32_t node);

#endif
