#include "node/membership.h"
#include "test/unit/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum
{
    NODES = 3,
    PORT = 7100,
    TICK_MS = 100,
    PEER_TIMEOUT_MS = 1000,
    BUCKET_WAIT_MS = 4000,
    CLIENT = 100, /* sessions from here on are clients' */
    MAIL_MAX = 512,
    ANSWERS_MAX = 8
};

typedef struct Town Town;

typedef struct Node
{
    Town *town;
    uint32_t index;
    EngineConfig config;
    EngineOutput output;
    Membership *membership;
    bool asleep; /* has no ticks, but answers what comes in */
    char last_log[256];
} Node;

typedef struct Mail
{
    uint32_t from;
    uint32_t to;
    bool is_answer;
    Slice bytes;
} Mail;

typedef struct ClientAnswer
{
    uint64_t session;
    Frame frame;
} ClientAnswer;

/* Nodes that greet each other; member i of the stage is node i. */
struct Town
{
    Stage stage;
    Node nodes[NODES];
    uint32_t node_count;
    bool cut[NODES]; /* nothing comes or goes */
    Mail mail[MAIL_MAX];
    uint32_t mail_count;
    ClientAnswer answers[ANSWERS_MAX];
    uint32_t answer_count;
    uint64_t now_ms;
    uint64_t random;
};

static Town town;

static uint32_t
output_peer(void *context, const char *address, uint16_t port)
{
    (void)context;
    assert_string_equal(address, "127.0.0.1");
    return port - PORT;
}

static void
output_log(void *context, const char *event)
{
    Node *node = context;

    snprintf(node->last_log, sizeof(node->last_log), "%s", event);
}

static uint64_t
output_random(void *context)
{
    (void)context;
    town.random = town.random * 6364136223846793005u + 1442695040888963407u;
    return town.random >> 20;
}

static void
add_node(uint32_t index, const char *seeds)
{
    Node *node = &town.nodes[index];

    *node = (Node){.town = &town, .index = index};
    node->config = (EngineConfig){.id = stage_member_id(index),
                                  .name = town.stage.topology.members[index].name,
                                  .address = "127.0.0.1",
                                  .port = (uint16_t)(PORT + index),
                                  .zone = "",
                                  .weight = 1,
                                  .seeds = seeds,
                                  .partitions = STAGE_PARTITIONS,
                                  .peer_timeout_ms = PEER_TIMEOUT_MS};
    node->output = (EngineOutput){
        .peer = output_peer, .log = output_log, .random = output_random, .context = node};
}

static void
start(uint32_t index, Slice state)
{
    Node *node = &town.nodes[index];

    node->membership = membership_new(&node->config, &node->output, state);
    assert_non_null(node->membership);
}

static void
stop(uint32_t index)
{
    if (town.nodes[index].membership != NULL)
        membership_free(town.nodes[index].membership);
    town.nodes[index].membership = NULL;
}

static const char ALL_SEEDS[] = "127.0.0.1:7100,127.0.0.1:7101,127.0.0.1:7102";

static int
set_up(void **state)
{
    town = (Town){.node_count = NODES, .now_ms = 1000, .random = 1};
    stage_init(&town.stage, NODES, NODES);
    for (uint32_t i = 0; i < NODES; i++)
        add_node(i, ALL_SEEDS);
    return 0;
}

static int
tear_down(void **state)
{
    for (uint32_t i = 0; i < NODES; i++)
        stop(i);
    stage_free(&town.stage);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* ---- mail ---- */

static void
note_answer(const Action *action)
{
    assert_true(town.answer_count < ANSWERS_MAX);
    town.answers[town.answer_count++] = (ClientAnswer){
        .session = action->session, .frame = stage_action_frame(&town.stage, action)};
}

/* Takes what the node wants sent and answered. */
static void
post(uint32_t node)
{
    Actions *actions = &town.stage.actions;

    for (size_t i = 0; i < actions->count; i++)
    {
        const Action *action = &actions->list[i];
        bool is_answer = action->kind == ACTION_REPLY;
        uint32_t to = is_answer ? (uint32_t)action->session : action->member;

        if (to >= CLIENT)
        {
            note_answer(action);
            continue;
        }
        if (town.cut[node] || town.cut[to])
            continue;
        assert_true(town.mail_count < MAIL_MAX);
        town.mail[town.mail_count++] =
            (Mail){.from = node,
                   .to = to,
                   .is_answer = is_answer,
                   .bytes = slice_copy(&town.stage.arena,
                                       slice_make(actions->frames.data + action->frame_offset,
                                                  action->frame_length))};
    }
    stage_clear(&town.stage);
}

static void
give(const Mail *mail)
{
    Membership *membership = town.nodes[mail->to].membership;
    Frame frame = stage_decode(&town.stage, mail->bytes);
    Origin origin = {.session = mail->from, .tag = frame.tag};

    if (membership == NULL || town.cut[mail->to])
        return;
    if (!mail->is_answer)
        membership_session_frame(membership, origin, &frame, town.now_ms, &town.stage.actions);
    else if (frame.type != FRAME_ERROR)
        membership_peer_frame(membership, mail->from, &frame, town.now_ms, &town.stage.actions);
    post(mail->to);
}

static void
deliver_all(void)
{
    for (uint32_t i = 0; i < town.mail_count; i++)
        give(&town.mail[i]);
    town.mail_count = 0;
}

static void
link_up(uint32_t from, uint32_t to)
{
    membership_peer_up(town.nodes[from].membership, to, town.now_ms, &town.stage.actions);
    post(from);
}

static void
link_all(void)
{
    for (uint32_t from = 0; from < town.node_count; from++)
    {
        for (uint32_t to = 0; to < town.node_count; to++)
        {
            if (from != to && town.nodes[from].membership != NULL &&
                town.nodes[to].membership != NULL)
                link_up(from, to);
        }
    }
    deliver_all();
}

static void
tick(uint32_t node)
{
    membership_tick(town.nodes[node].membership, town.now_ms, &town.stage.actions);
    post(node);
}

static void
pass(uint64_t ms)
{
    for (uint64_t end = town.now_ms + ms; town.now_ms < end;)
    {
        town.now_ms += TICK_MS;
        for (uint32_t i = 0; i < town.node_count; i++)
        {
            if (town.nodes[i].membership != NULL && !town.nodes[i].asleep)
                tick(i);
        }
        deliver_all();
    }
}

/* All nodes started and linked, not yet in a cluster. */
static void
begin(void)
{
    for (uint32_t i = 0; i < town.node_count; i++)
        start(i, SLICE_EMPTY);
    link_all();
}

static void
form(void)
{
    begin();
    pass(500);
    for (uint32_t i = 0; i < town.node_count; i++)
        assert_int_equal(membership_topology(town.nodes[i].membership)->epoch, 1);
}

/* ---- what is looked at ---- */

static uint64_t
epoch_of(uint32_t node)
{
    return membership_topology(town.nodes[node].membership)->epoch;
}

static bool
is_up(uint32_t node, uint32_t other)
{
    return membership_up(town.nodes[node].membership)[other];
}

static void
assert_waiting(uint32_t node, const char *text)
{
    const char *said = membership_waiting_for(town.nodes[node].membership);

    if (strstr(said, text) == NULL)
        fail_msg("waits for \"%s\", not \"%s\"", said, text);
}

static void
create(uint32_t node, uint64_t session, const Bucket *bucket)
{
    Origin origin = {.session = session, .tag = 9};
    Frame frame;

    bucket_create_encode(stage_buffer(&town.stage), 9, bucket);
    frame = stage_frame(&town.stage);
    membership_session_frame(town.nodes[node].membership, origin, &frame, town.now_ms,
                             &town.stage.actions);
    post(node);
}

static Bucket
named(const char *name)
{
    Bucket bucket = *town.stage.bucket;

    bucket.name = name;
    return bucket;
}

/* The topology a client was answered with. */
static Topology
answered_topology(uint32_t index)
{
    TopologyFrame answer;
    Topology topology;

    assert_true(index < town.answer_count);
    assert_int_equal(town.answers[index].frame.type, FRAME_TOPOLOGY);
    assert_int_equal(town.answers[index].frame.tag, 9);
    assert_true(topology_frame_decode(&town.answers[index].frame, &answer));
    assert_true(topology_decode(answer.document, &town.stage.arena, &topology));
    return topology;
}

static StatusCode
answered_error(uint32_t index)
{
    assert_true(index < town.answer_count);
    return stage_error_status(&town.answers[index].frame);
}

static Slice
document_of(uint32_t node)
{
    return paxos_document(membership_paxos(town.nodes[node].membership));
}

static Slice
state_of(uint32_t node)
{
    paxos_encode(membership_paxos(town.nodes[node].membership), stage_buffer(&town.stage));
    return slice_copy(&town.stage.arena, buffer_slice(&town.stage.frame));
}

/* ---- formation ---- */

static void
three_seeds_form_one_cluster(void **state)
{
    form();
    for (uint32_t i = 0; i < NODES; i++)
    {
        const Topology *topology = membership_topology(town.nodes[i].membership);

        assert_true(slice_equal(document_of(i), document_of(0)));
        assert_int_equal(topology->member_count, NODES);
        assert_int_equal(membership_self(town.nodes[i].membership), i);
        assert_string_equal(membership_waiting_for(town.nodes[i].membership), "");
        assert_true(membership_epoch_changed(town.nodes[i].membership));
        assert_false(membership_epoch_changed(town.nodes[i].membership));
        for (uint32_t other = 0; other < NODES; other++)
            assert_true(is_up(i, other));
    }
}

static void
a_seed_alone_forms_a_cluster_by_itself(void **state)
{
    town.node_count = 1;
    add_node(0, "127.0.0.1:7100");
    start(0, SLICE_EMPTY);
    pass(200);
    assert_int_equal(epoch_of(0), 1);
    assert_int_equal(membership_topology(town.nodes[0].membership)->member_count, 1);
}

static void
no_cluster_forms_before_every_seed_has_answered(void **state)
{
    town.cut[2] = true;
    begin();
    pass(10000);
    assert_int_equal(epoch_of(0), 0);
    assert_int_equal(epoch_of(1), 0);
    assert_waiting(0, "1 of 2 other seeds");
    town.cut[2] = false;
    pass(500);
    for (uint32_t i = 0; i < NODES; i++)
        assert_int_equal(epoch_of(i), 1);
}

static void
seeds_that_differ_do_not_form_a_cluster(void **state)
{
    add_node(2, "127.0.0.1:7101,127.0.0.1:7102");
    begin();
    pass(10000);
    for (uint32_t i = 0; i < NODES; i++)
        assert_int_equal(epoch_of(i), 0);
    assert_waiting(0, "seed n2 has other seeds: 127.0.0.1:7101,127.0.0.1:7102");
}

static void
partitions_that_differ_do_not_form_a_cluster(void **state)
{
    town.nodes[1].config.partitions = 16;
    begin();
    pass(10000);
    assert_int_equal(epoch_of(0), 0);
    assert_int_equal(epoch_of(1), 0);
    assert_waiting(0, "seed n1 has partitions = 16");
}

static void
the_next_seed_proposes_when_the_lowest_does_not(void **state)
{
    town.nodes[0].asleep = true;
    begin();
    pass(2000);
    assert_int_equal(epoch_of(1), 0);
    pass(2500);
    for (uint32_t i = 0; i < NODES; i++)
        assert_int_equal(epoch_of(i), 1);
    assert_true(slice_equal(document_of(1), document_of(0)));
}

static void
a_node_that_is_no_seed_waits_to_be_joined(void **state)
{
    town.node_count = 2;
    add_node(0, "127.0.0.1:7100");
    add_node(1, "127.0.0.1:7100");
    begin();
    pass(1000);
    assert_int_equal(epoch_of(0), 1);
    assert_int_equal(membership_topology(town.nodes[0].membership)->member_count, 1);
    assert_int_equal(membership_self(town.nodes[1].membership), TOPOLOGY_NO_MEMBER);
    assert_waiting(1, "waits to be joined");
}

static void
a_seed_that_meets_a_cluster_forms_none_of_its_own(void **state)
{
    form();
    stop(2);
    town.nodes[2].config.id = stage_member_id(9);
    start(2, SLICE_EMPTY);
    link_all();
    pass(5000);
    assert_int_equal(epoch_of(2), 1);
    assert_true(slice_equal(document_of(2), document_of(0)));
    assert_int_equal(membership_self(town.nodes[2].membership), TOPOLOGY_NO_MEMBER);
    assert_waiting(2, "not a member");
    assert_false(is_up(0, 2));
}

static void
a_node_with_our_member_id_is_ignored_and_told_of(void **state)
{
    town.nodes[1].config.id = stage_member_id(0);
    begin();
    pass(5000);
    assert_int_equal(epoch_of(0), 0);
    assert_non_null(strstr(town.nodes[0].last_log, "this node's member id"));
}

static void
two_seeds_with_one_member_id_are_told_of(void **state)
{
    town.nodes[2].config.id = stage_member_id(1);
    begin();
    pass(5000);
    assert_int_equal(epoch_of(0), 0);
    assert_waiting(0, "seeds n1 and n2 have the same member id");
}

/* ---- liveness ---- */

static void
a_silent_member_is_down_until_it_answers_again(void **state)
{
    form();
    town.cut[2] = true;
    pass(PEER_TIMEOUT_MS - 500);
    assert_true(is_up(0, 2));
    pass(1000);
    assert_false(is_up(0, 2));
    assert_true(is_up(0, 1));
    town.cut[2] = false;
    pass(500);
    assert_true(is_up(0, 2));
}

static void
a_member_whose_link_breaks_is_down_at_once(void **state)
{
    form();
    membership_peer_down(town.nodes[0].membership, 1);
    assert_false(is_up(0, 1));
    link_up(0, 1);
    assert_false(is_up(0, 1));
    deliver_all();
    assert_true(is_up(0, 1));
}

static void
a_node_that_was_paused_itself_holds_no_silence_against_others(void **state)
{
    form();
    pass(250);
    town.now_ms += 60000;
    tick(0);
    assert_true(is_up(0, 1));
    assert_true(is_up(0, 2));
    deliver_all();
    pass(PEER_TIMEOUT_MS + 500);
    assert_true(is_up(0, 1));
}

static void
a_pause_only_puts_off_what_silence_means(void **state)
{
    form();
    town.cut[1] = true;
    pass(300);
    town.now_ms += 60000;
    tick(0);
    assert_true(is_up(0, 1));
    pass(PEER_TIMEOUT_MS + 500);
    assert_false(is_up(0, 1));
}

static void
a_stranger_at_a_members_address_is_not_up(void **state)
{
    form();
    stop(1);
    town.nodes[1].config.id = stage_member_id(9);
    start(1, SLICE_EMPTY);
    membership_peer_down(town.nodes[0].membership, 1);
    link_up(0, 1);
    deliver_all();
    pass(500);
    assert_false(is_up(0, 1));
}

static void
a_restarted_member_is_in_its_cluster_at_once_and_knows_nobody_up(void **state)
{
    Slice persisted;

    form();
    persisted = state_of(1);
    stop(1);
    start(1, persisted);
    assert_int_equal(epoch_of(1), 1);
    assert_int_equal(membership_self(town.nodes[1].membership), 1);
    assert_true(is_up(1, 1));
    assert_false(is_up(1, 0));
    link_up(1, 0);
    deliver_all();
    assert_true(is_up(1, 0));
}

static void
a_damaged_state_starts_no_node(void **state)
{
    assert_null(
        membership_new(&town.nodes[0].config, &town.nodes[0].output, slice_from_string("damaged")));
}

static void
peers_and_members_are_found_from_each_other(void **state)
{
    form();
    for (uint32_t i = 1; i < NODES; i++)
    {
        assert_int_equal(membership_peer_of(town.nodes[0].membership, i), i);
        assert_int_equal(membership_member_of(town.nodes[0].membership, i), i);
    }
    assert_int_equal(membership_peer_of(town.nodes[0].membership, 0), TOPOLOGY_NO_MEMBER);
    assert_int_equal(membership_member_of(town.nodes[0].membership, 99), TOPOLOGY_NO_MEMBER);
}

/* ---- the topology ---- */

static void
fetch(uint32_t node, uint64_t have_epoch)
{
    TopologyFetch wanted = {.have_epoch = have_epoch};
    Frame frame;

    topology_fetch_encode(stage_buffer(&town.stage), 9, &wanted);
    frame = stage_frame(&town.stage);
    membership_session_frame(town.nodes[node].membership, (Origin){.session = CLIENT, .tag = 9},
                             &frame, town.now_ms, &town.stage.actions);
    post(node);
}

static void
a_topology_is_given_to_who_lacks_it(void **state)
{
    TopologyFrame answer;

    form();
    fetch(0, 0);
    assert_int_equal(answered_topology(0).epoch, 1);
    fetch(0, 1);
    assert_true(topology_frame_decode(&town.answers[1].frame, &answer));
    assert_int_equal(answer.epoch, 1);
    assert_int_equal(answer.document.length, 0);
}

static void
a_node_in_no_cluster_has_no_topology_to_give(void **state)
{
    Bucket bucket = named("cart");

    start(0, SLICE_EMPTY);
    fetch(0, 0);
    create(0, CLIENT, &bucket);
    assert_int_equal(answered_error(0), STATUS_NOT_FORMED);
    assert_int_equal(answered_error(1), STATUS_NOT_FORMED);
}

static void
a_topology_of_another_cluster_is_refused(void **state)
{
    TopologyFrame offered = {.epoch = 9};
    Topology foreign;
    Frame frame;
    Buffer document;

    form();
    foreign = *membership_topology(town.nodes[0].membership);
    foreign.epoch = 9;
    foreign.cluster[0]++;
    buffer_init(&document, &MEMORY_HEAP);
    topology_encode(&document, &foreign);
    offered.document = buffer_slice(&document);
    topology_frame_encode(stage_buffer(&town.stage), 0, &offered);
    frame = stage_frame(&town.stage);
    membership_peer_frame(town.nodes[0].membership, 1, &frame, town.now_ms, &town.stage.actions);
    assert_int_equal(epoch_of(0), 1);
    assert_non_null(strstr(town.nodes[0].last_log, "another cluster"));
    buffer_free(&document);
}

static void
a_member_that_missed_an_epoch_fetches_it_by_the_next_hello(void **state)
{
    Bucket bucket = named("cart");

    form();
    town.cut[2] = true;
    create(0, CLIENT, &bucket);
    deliver_all();
    assert_int_equal(epoch_of(0), 2);
    assert_int_equal(epoch_of(2), 1);
    town.cut[2] = false;
    pass(500);
    assert_int_equal(epoch_of(2), 2);
}

/* ---- buckets ---- */

static void
a_bucket_is_created_on_every_node_and_answered_with_the_topology(void **state)
{
    Bucket bucket = named("cart");
    Topology topology;

    form();
    create(1, CLIENT, &bucket);
    deliver_all();
    topology = answered_topology(0);
    assert_int_equal(topology.epoch, 2);
    assert_int_equal(topology.bucket_count, 1);
    assert_int_equal(topology.buckets[0].id, 1);
    for (uint32_t i = 0; i < NODES; i++)
        assert_non_null(
            topology_bucket_by_name(membership_topology(town.nodes[i].membership), "cart"));
}

static void
a_bucket_that_exists_alike_is_answered_without_a_new_epoch(void **state)
{
    Bucket bucket = named("cart");

    form();
    create(0, CLIENT, &bucket);
    deliver_all();
    create(1, CLIENT, &bucket);
    deliver_all();
    assert_int_equal(answered_topology(1).epoch, 2);
}

static void
two_nodes_that_create_one_bucket_at_once_make_one(void **state)
{
    Bucket bucket = named("cart");

    form();
    create(0, CLIENT, &bucket);
    create(1, CLIENT + 1, &bucket);
    deliver_all();
    pass(3000);
    assert_int_equal(town.answer_count, 2);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(answered_topology(i).bucket_count, 1);
    for (uint32_t i = 0; i < NODES; i++)
        assert_true(slice_equal(document_of(i), document_of(0)));
}

static void
two_nodes_that_create_two_buckets_at_once_make_both(void **state)
{
    Bucket cart = named("cart");
    Bucket orders = named("orders");

    form();
    create(0, CLIENT, &cart);
    create(2, CLIENT + 1, &orders);
    deliver_all();
    pass(3000);
    assert_int_equal(town.answer_count, 2);
    for (uint32_t i = 0; i < NODES; i++)
    {
        const Topology *topology = membership_topology(town.nodes[i].membership);

        assert_int_equal(topology->bucket_count, 2);
        assert_true(topology->buckets[0].id != topology->buckets[1].id);
    }
}

static void
buckets_that_one_node_is_asked_for_together_are_all_created(void **state)
{
    Bucket buckets[3] = {named("a"), named("b"), named("c")};

    form();
    for (uint32_t i = 0; i < 3; i++)
        create(0, CLIENT + i, &buckets[i]);
    deliver_all();
    assert_int_equal(town.answer_count, 3);
    assert_int_equal(membership_topology(town.nodes[1].membership)->bucket_count, 3);
}

static void
a_bucket_of_the_same_name_with_another_n_or_key_is_a_conflict(void **state)
{
    Bucket bucket = named("cart");

    form();
    create(0, CLIENT, &bucket);
    deliver_all();
    bucket.n = 2;
    create(0, CLIENT, &bucket);
    bucket = named("cart");
    bucket.key_types[0] = KEY_INTEGER;
    create(1, CLIENT, &bucket);
    deliver_all();
    assert_int_equal(answered_error(1), STATUS_BUCKET_CONFLICT);
    assert_int_equal(answered_error(2), STATUS_BUCKET_CONFLICT);
}

static void
two_nodes_that_create_one_bucket_differently_at_once_make_one_and_a_conflict(void **state)
{
    Bucket one = named("cart");
    Bucket other = named("cart");
    uint32_t errors = 0;

    form();
    other.n = 2;
    create(0, CLIENT, &one);
    create(1, CLIENT + 1, &other);
    deliver_all();
    pass(3000);
    assert_int_equal(town.answer_count, 2);
    for (uint32_t i = 0; i < 2; i++)
        errors += town.answers[i].frame.type == FRAME_ERROR;
    assert_int_equal(errors, 1);
    assert_int_equal(answered_error(town.answers[0].frame.type == FRAME_ERROR ? 0 : 1),
                     STATUS_BUCKET_CONFLICT);
}

static void
a_bucket_with_more_replicas_than_members_or_without_a_name_is_refused(void **state)
{
    Bucket bucket = named("cart");

    form();
    bucket.n = NODES + 1;
    create(0, CLIENT, &bucket);
    bucket = named("");
    create(0, CLIENT, &bucket);
    assert_int_equal(answered_error(0), STATUS_BAD_BUCKET);
    assert_int_equal(answered_error(1), STATUS_BAD_BUCKET);
    assert_int_equal(epoch_of(0), 1);
}

static void
a_creation_that_cannot_be_read_is_refused(void **state)
{
    Frame frame = {.type = FRAME_BUCKET_CREATE, .tag = 9, .body = slice_from_string("garbage")};

    form();
    membership_session_frame(town.nodes[0].membership, (Origin){.session = CLIENT, .tag = 9},
                             &frame, town.now_ms, &town.stage.actions);
    post(0);
    assert_int_equal(answered_error(0), STATUS_BAD_FRAME);
}

static void
a_bucket_is_unavailable_when_no_majority_answers_in_time(void **state)
{
    Bucket bucket = named("cart");

    form();
    town.cut[1] = town.cut[2] = true;
    create(0, CLIENT, &bucket);
    pass(BUCKET_WAIT_MS - 500);
    assert_int_equal(town.answer_count, 0);
    pass(1000);
    assert_int_equal(answered_error(0), STATUS_UNAVAILABLE);
    assert_int_equal(epoch_of(0), 1);
}

static void
a_bucket_is_created_with_one_member_down(void **state)
{
    Bucket bucket = named("cart");

    form();
    town.cut[0] = true;
    create(1, CLIENT, &bucket);
    deliver_all();
    assert_int_equal(answered_topology(0).bucket_count, 1);
}

static void
a_node_wakes_up_for_its_next_tick(void **state)
{
    form();
    assert_in_range(membership_wake_ms(town.nodes[0].membership), town.now_ms,
                    town.now_ms + TICK_MS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(three_seeds_form_one_cluster),
        TEST(a_seed_alone_forms_a_cluster_by_itself),
        TEST(no_cluster_forms_before_every_seed_has_answered),
        TEST(seeds_that_differ_do_not_form_a_cluster),
        TEST(partitions_that_differ_do_not_form_a_cluster),
        TEST(the_next_seed_proposes_when_the_lowest_does_not),
        TEST(a_node_that_is_no_seed_waits_to_be_joined),
        TEST(a_seed_that_meets_a_cluster_forms_none_of_its_own),
        TEST(a_node_with_our_member_id_is_ignored_and_told_of),
        TEST(two_seeds_with_one_member_id_are_told_of),
        TEST(a_silent_member_is_down_until_it_answers_again),
        TEST(a_member_whose_link_breaks_is_down_at_once),
        TEST(a_node_that_was_paused_itself_holds_no_silence_against_others),
        TEST(a_pause_only_puts_off_what_silence_means),
        TEST(a_stranger_at_a_members_address_is_not_up),
        TEST(a_restarted_member_is_in_its_cluster_at_once_and_knows_nobody_up),
        TEST(a_damaged_state_starts_no_node),
        TEST(peers_and_members_are_found_from_each_other),
        TEST(a_topology_is_given_to_who_lacks_it),
        TEST(a_node_in_no_cluster_has_no_topology_to_give),
        TEST(a_topology_of_another_cluster_is_refused),
        TEST(a_member_that_missed_an_epoch_fetches_it_by_the_next_hello),
        TEST(a_bucket_is_created_on_every_node_and_answered_with_the_topology),
        TEST(a_bucket_that_exists_alike_is_answered_without_a_new_epoch),
        TEST(two_nodes_that_create_one_bucket_at_once_make_one),
        TEST(two_nodes_that_create_two_buckets_at_once_make_both),
        TEST(buckets_that_one_node_is_asked_for_together_are_all_created),
        TEST(a_bucket_of_the_same_name_with_another_n_or_key_is_a_conflict),
        TEST(two_nodes_that_create_one_bucket_differently_at_once_make_one_and_a_conflict),
        TEST(a_bucket_with_more_replicas_than_members_or_without_a_name_is_refused),
        TEST(a_creation_that_cannot_be_read_is_refused),
        TEST(a_bucket_is_unavailable_when_no_majority_answers_in_time),
        TEST(a_bucket_is_created_with_one_member_down),
        TEST(a_node_wakes_up_for_its_next_tick),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
