/* A few nodes that form a cluster: their memberships, with the mail between them. */
#include "test/unit/stages/town.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static uint32_t
answer_peer(void *context, const char *address, uint16_t port)
{
    (void)context;
    assert_string_equal(address, "127.0.0.1");
    return port - TOWN_PORT;
}

static uint64_t
answer_random(void *context)
{
    Town *town = ((TownNode *)context)->town;

    town->random = town->random * 6364136223846793005u + 1442695040888963407u;
    return town->random >> 20;
}

void
town_add_node(Town *town, uint32_t index, const char *seeds)
{
    TownNode *node = &town->nodes[index];

    *node = (TownNode){.town = town, .index = index};
    node->config = (HostConfig){.id = stage_member_id(index),
                                .name = town->stage.topology.members[index].name,
                                .address = "127.0.0.1",
                                .port = (uint16_t)(TOWN_PORT + index),
                                .zone = "",
                                .weight = 1,
                                .seeds = seeds,
                                .partitions = STAGE_PARTITIONS,
                                .peer_timeout_ms = TOWN_PEER_TIMEOUT_MS};
    node->questions =
        (HostQuestions){.peer = answer_peer, .random = answer_random, .context = node};
}

void
town_start(Town *town, uint32_t index, Slice state)
{
    TownNode *node = &town->nodes[index];

    node->membership = membership_new(&node->config, &node->questions, state, &town->stage.actions);
    assert_non_null(node->membership);
    town_post(town, index);
}

void
town_stop(Town *town, uint32_t index)
{
    if (town->nodes[index].membership != NULL)
        membership_free(town->nodes[index].membership);
    town->nodes[index].membership = NULL;
}

static void
note_answer(Town *town, const Action *action)
{
    assert_true(town->answer_count < TOWN_ANSWERS_MAX);
    town->answers[town->answer_count++] =
        (TownAnswer){.session = action->session, .frame = stage_action_frame(&town->stage, action)};
}

void
town_post(Town *town, uint32_t node)
{
    Actions *actions = &town->stage.actions;

    for (size_t i = 0; i < actions->count; i++)
    {
        const Action *action = &actions->list[i];
        bool is_answer = action->kind == ACTION_REPLY;
        uint32_t to = is_answer ? (uint32_t)action->session : action->member;

        if (action->kind == ACTION_LOG || action->kind == ACTION_WARN || action->kind == ACTION_END)
        {
            snprintf(town->nodes[node].last_log, sizeof(town->nodes[node].last_log), "%s",
                     action->text);
            continue;
        }
        if (to >= TOWN_CLIENT)
        {
            note_answer(town, action);
            continue;
        }
        if (town->cut[node] || town->cut[to])
            continue;
        assert_true(town->mail_count < TOWN_MAIL_MAX);
        town->mail[town->mail_count++] =
            (TownMail){.from = node,
                       .to = to,
                       .is_answer = is_answer,
                       .bytes = slice_copy(&town->stage.arena,
                                           slice_make(actions->frames.data + action->frame_offset,
                                                      action->frame_length))};
    }
    stage_clear(&town->stage);
}

static void
give(Town *town, const TownMail *mail)
{
    Membership *membership = town->nodes[mail->to].membership;
    Frame frame = stage_decode(&town->stage, mail->bytes);
    Origin origin = {.session = mail->from, .tag = frame.tag};

    if (membership == NULL || town->cut[mail->to])
        return;
    if (!mail->is_answer)
        membership_session_frame(membership, origin, &frame, town->now_ms, &town->stage.actions);
    else if (frame.type != FRAME_ERROR)
        membership_peer_frame(membership, mail->from, &frame, town->now_ms, &town->stage.actions);
    town_post(town, mail->to);
}

void
town_deliver_all(Town *town)
{
    for (uint32_t i = 0; i < town->mail_count; i++)
        give(town, &town->mail[i]);
    town->mail_count = 0;
}

void
town_link_up(Town *town, uint32_t from, uint32_t to)
{
    membership_peer_up(town->nodes[from].membership, to, town->now_ms, &town->stage.actions);
    town_post(town, from);
}

void
town_link_all(Town *town)
{
    for (uint32_t from = 0; from < town->node_count; from++)
    {
        for (uint32_t to = 0; to < town->node_count; to++)
        {
            if (from != to && town->nodes[from].membership != NULL &&
                town->nodes[to].membership != NULL)
                town_link_up(town, from, to);
        }
    }
    town_deliver_all(town);
}

void
town_tick(Town *town, uint32_t node)
{
    membership_tick(town->nodes[node].membership, town->now_ms, &town->stage.actions);
    town_post(town, node);
}

void
town_pass(Town *town, uint64_t ms)
{
    for (uint64_t end = town->now_ms + ms; town->now_ms < end;)
    {
        town->now_ms += TOWN_TICK_MS;
        for (uint32_t i = 0; i < town->node_count; i++)
        {
            if (town->nodes[i].membership != NULL && !town->nodes[i].asleep)
                town_tick(town, i);
        }
        town_deliver_all(town);
    }
}

void
town_begin(Town *town)
{
    for (uint32_t i = 0; i < town->node_count; i++)
        town_start(town, i, SLICE_EMPTY);
    town_link_all(town);
}

void
town_form(Town *town)
{
    town_begin(town);
    town_pass(town, 500);
    for (uint32_t i = 0; i < town->node_count; i++)
        assert_int_equal(membership_topology(town->nodes[i].membership)->epoch, 1);
}

uint64_t
town_epoch_of(Town *town, uint32_t node)
{
    return membership_topology(town->nodes[node].membership)->epoch;
}

bool
town_is_up(Town *town, uint32_t node, uint32_t other)
{
    return membership_up(town->nodes[node].membership)[other];
}

void
town_assert_waiting(Town *town, uint32_t node, const char *text)
{
    const char *said = membership_waiting_for(town->nodes[node].membership);

    if (strstr(said, text) == NULL)
        fail_msg("waits for \"%s\", not \"%s\"", said, text);
}

void
town_create(Town *town, uint32_t node, uint64_t session, const Bucket *bucket)
{
    Origin origin = {.session = session, .tag = 9};
    Frame frame;

    bucket_create_encode(stage_buffer(&town->stage), 9, bucket);
    frame = stage_frame(&town->stage);
    membership_session_frame(town->nodes[node].membership, origin, &frame, town->now_ms,
                             &town->stage.actions);
    town_post(town, node);
}

void
town_drop(Town *town, uint32_t node, uint64_t session, uint32_t bucket_id)
{
    Origin origin = {.session = session, .tag = 9};
    Frame frame;

    bucket_drop_encode(stage_buffer(&town->stage), 9, &(BucketDrop){bucket_id});
    frame = stage_frame(&town->stage);
    membership_session_frame(town->nodes[node].membership, origin, &frame, town->now_ms,
                             &town->stage.actions);
    town_post(town, node);
}

void
town_plan(Town *town, uint32_t node, uint64_t session, const PlanFrame *plan)
{
    Origin origin = {.session = session, .tag = 9};
    Frame frame;

    plan_frame_encode(stage_buffer(&town->stage), 9, plan);
    frame = stage_frame(&town->stage);
    membership_session_frame(town->nodes[node].membership, origin, &frame, town->now_ms,
                             &town->stage.actions);
    town_post(town, node);
}

Bucket
town_named(Town *town, const char *name)
{
    Bucket bucket = *town->stage.bucket;

    bucket.name = name;
    return bucket;
}

/* What whoever made a bucket would fetch. */
static Slice
document_of_epoch(Town *town, uint64_t epoch)
{
    uint32_t node = 0;

    while (node + 1 < town->node_count && town_epoch_of(town, node) < epoch)
        node++;
    return town_document_of(town, node);
}

Topology
town_answered_topology(Town *town, uint32_t index)
{
    TopologyFrame answer;
    Topology topology;

    assert_true(index < town->answer_count);
    assert_int_equal(town->answers[index].frame.type, FRAME_TOPOLOGY);
    assert_int_equal(town->answers[index].frame.tag, 9);
    assert_true(topology_frame_decode(&town->answers[index].frame, &answer));
    if (answer.document.length == 0)
        answer.document = document_of_epoch(town, answer.epoch);
    assert_true(topology_decode(answer.document, &town->stage.arena, &topology));
    return topology;
}

StatusCode
town_answered_error(Town *town, uint32_t index)
{
    assert_true(index < town->answer_count);
    return stage_error_status(&town->answers[index].frame);
}

Slice
town_document_of(Town *town, uint32_t node)
{
    return paxos_document(membership_paxos(town->nodes[node].membership));
}

Slice
town_state_of(Town *town, uint32_t node)
{
    paxos_encode(membership_paxos(town->nodes[node].membership), stage_buffer(&town->stage));
    return slice_copy(&town->stage.arena, buffer_slice(&town->stage.frame));
}

void
town_init(Town *town)
{
    *town = (Town){.node_count = TOWN_NODES, .now_ms = 1000, .random = 1};
    stage_init(&town->stage, TOWN_NODES, TOWN_NODES);
    for (uint32_t i = 0; i < TOWN_NODES; i++)
        town_add_node(town, i, TOWN_SEEDS);
}

void
town_free(Town *town)
{
    for (uint32_t i = 0; i < TOWN_NODES; i++)
        town_stop(town, i);
    stage_free(&town->stage);
}
