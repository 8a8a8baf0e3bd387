#include "node/engine/cluster/paxos.h"
#include "test/unit/stages/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum
{
    NODES = 3,
    NODE_NONE = 99,
    MAIL_MAX = 256,
    STEPS_MAX = 64,
    LINKS_MAX = NODES * (NODES - 1) * 2 + 1, /* for questions and answers, and one to spare */
    VISITED_SLOTS = 1 << 18,
    RETRY_MS = 10000 /* longer than any ballot waits */
};

/* A frame under way: a question to a node, or the answer to one. */
typedef struct Mail
{
    uint32_t from;
    uint32_t to;
    bool is_answer;
    bool gone; /* delivered or lost */
    Slice bytes;
} Mail;

/* Nodes that vote, and the mail between them. */
typedef struct Council
{
    Stage stage;
    Paxos *nodes[NODES];
    Slice states[NODES];  /* as each wanted it durable last */
    uint32_t kept[NODES]; /* how often it did */
    uint32_t node_count;
    uint32_t quorum;
    Mail mail[MAIL_MAX];
    uint32_t mail_count;
    uint64_t now_ms;
} Council;

/* A document of that epoch; name tells documents of one epoch apart. */
static Slice
document(Council *council, uint64_t epoch, const char *name)
{
    Topology topology = council->stage.topology;
    Bucket bucket = *council->stage.bucket;

    topology.epoch = epoch;
    topology.buckets = &bucket;
    bucket.name = name;
    topology_encode(stage_buffer(&council->stage), &topology);
    return slice_copy(&council->stage.arena, buffer_slice(&council->stage.frame));
}

static void
set_voters(Council *council, uint32_t node)
{
    uint32_t others[NODES];
    uint32_t count = 0;

    for (uint32_t i = 0; i < council->node_count; i++)
    {
        if (i != node)
            others[count++] = i;
    }
    paxos_set_voters(council->nodes[node], others, count, true, council->quorum);
}

/* Makes durable what the node wants durable. */
static void
keep_state(Council *council, uint32_t node)
{
    Actions *actions = &council->stage.actions;

    if (!actions->has_state)
        return;
    council->states[node] = slice_copy(&council->stage.arena, buffer_slice(&actions->state));
    council->kept[node]++;
}

/* node_count nodes in an epoch (0: in none). */
static void
council_init(Council *council, uint32_t node_count, uint32_t quorum, uint64_t epoch)
{
    *council = (Council){.node_count = node_count, .quorum = quorum, .now_ms = 1000};
    stage_init(&council->stage, NODES, NODES);
    for (uint32_t i = 0; i < node_count; i++)
    {
        MemberId id = stage_member_id(i);

        council->nodes[i] = paxos_new(&id);
        if (epoch > 0)
            assert_true(paxos_take_chosen(council->nodes[i], document(council, epoch, "before"),
                                          &council->stage.actions));
        keep_state(council, i);
        stage_clear(&council->stage);
        set_voters(council, i);
    }
}

static void
council_free(Council *council)
{
    for (uint32_t i = 0; i < council->node_count; i++)
        paxos_free(council->nodes[i]);
    stage_free(&council->stage);
}

/* Puts what the node wants sent into the mail. */
static void
post(Council *council, uint32_t node)
{
    Actions *actions = &council->stage.actions;

    keep_state(council, node);
    for (size_t i = 0; i < actions->count; i++)
    {
        const Action *action = &actions->list[i];
        bool is_answer = action->kind == ACTION_REPLY;
        Slice bytes = slice_make(actions->frames.data + action->frame_offset, action->frame_length);

        assert_true(council->mail_count < MAIL_MAX);
        council->mail[council->mail_count++] =
            (Mail){.from = node,
                   .to = is_answer ? (uint32_t)action->session : action->member,
                   .is_answer = is_answer,
                   .bytes = slice_copy(&council->stage.arena, bytes)};
    }
    stage_clear(&council->stage);
}

static void
propose(Council *council, uint32_t node, Slice proposal)
{
    paxos_propose(council->nodes[node], proposal, council->now_ms, node, &council->stage.actions);
    post(council, node);
}

static void
tick(Council *council, uint32_t node)
{
    council->now_ms += RETRY_MS;
    paxos_tick(council->nodes[node], council->now_ms, node, &council->stage.actions);
    post(council, node);
}

static void
deliver(Council *council, uint32_t index)
{
    Mail *mail = &council->mail[index];
    Paxos *to = council->nodes[mail->to];
    Frame frame = stage_decode(&council->stage, mail->bytes);
    uint32_t node = mail->to;

    mail->gone = true;
    if (mail->is_answer)
        paxos_peer_frame(to, mail->from, &frame, council->now_ms, node, &council->stage.actions);
    else
        paxos_session_frame(to, (Origin){.session = mail->from}, &frame, &council->stage.actions);
    post(council, node);
}

/* Delivers everything, but loses what goes to or comes from the node that is cut off. */
static void
deliver_all(Council *council, uint32_t cut_off)
{
    for (uint32_t i = 0; i < council->mail_count; i++)
    {
        Mail *mail = &council->mail[i];

        if (mail->gone)
            continue;
        if (mail->from == cut_off || mail->to == cut_off)
            mail->gone = true;
        else
            deliver(council, i);
    }
}

/* The node starts again from what it had made durable. */
static void
restart(Council *council, uint32_t node)
{
    MemberId id = stage_member_id(node);

    paxos_free(council->nodes[node]);
    council->nodes[node] = paxos_new(&id);
    assert_true(paxos_load(council->nodes[node], council->states[node]));
    set_voters(council, node);
}

static void
assert_chosen(const Council *council, uint32_t node, uint64_t epoch, Slice chosen)
{
    assert_int_equal(paxos_epoch(council->nodes[node]), epoch);
    assert_true(slice_equal(paxos_document(council->nodes[node]), chosen));
}

/* A frame as another node's question; gives the one answer. */
static PaxosFrame
ask(Council *council, uint32_t node, FrameType type, const PaxosFrame *question)
{
    PaxosFrame answer;
    Frame frame;

    paxos_frame_encode(stage_buffer(&council->stage), type, 7, question);
    frame = stage_frame(&council->stage);
    stage_clear(&council->stage);
    paxos_session_frame(council->nodes[node], (Origin){.session = 1, .tag = 7}, &frame,
                        &council->stage.actions);
    frame = stage_answer(&council->stage);
    assert_int_equal(frame.tag, 7);
    assert_true(paxos_frame_decode(&frame, &answer));
    keep_state(council, node);
    stage_clear(&council->stage);
    return answer;
}

static Ballot
ballot(uint64_t round, uint32_t node)
{
    return (Ballot){.round = round, .proposer = stage_member_id(node)};
}

/* ---- one proposer ---- */

static void
a_quorum_of_one_chooses_at_once(void **state)
{
    Council council;

    council_init(&council, 1, 1, 0);

    Slice first = document(&council, 1, "first");

    propose(&council, 0, first);
    assert_chosen(&council, 0, 1, first);
    assert_false(paxos_is_proposing(council.nodes[0]));
    assert_true(council.kept[0] > 0);
    council_free(&council);
}

static void
a_document_is_chosen_by_a_majority_and_told_to_every_voter(void **state)
{
    Council council;

    council_init(&council, 3, 2, 1);

    Slice next = document(&council, 2, "next");

    propose(&council, 0, next);
    assert_true(paxos_is_proposing(council.nodes[0]));
    deliver_all(&council, NODE_NONE);
    for (uint32_t i = 0; i < 3; i++)
        assert_chosen(&council, i, 2, next);
    council_free(&council);
}

static void
a_majority_suffices_with_one_voter_cut_off(void **state)
{
    Council council;

    council_init(&council, 3, 2, 1);

    Slice next = document(&council, 2, "next");

    propose(&council, 0, next);
    deliver_all(&council, 2);
    assert_chosen(&council, 0, 2, next);
    assert_chosen(&council, 1, 2, next);
    assert_int_equal(paxos_epoch(council.nodes[2]), 1);
    council_free(&council);
}

static void
the_first_epoch_needs_every_voter(void **state)
{
    Council council;

    council_init(&council, 3, 3, 0);

    Slice first = document(&council, 1, "first");

    propose(&council, 0, first);
    deliver_all(&council, 2);
    tick(&council, 0);
    deliver_all(&council, 2);
    assert_int_equal(paxos_epoch(council.nodes[0]), 0);
    assert_int_equal(paxos_epoch(council.nodes[1]), 0);
    tick(&council, 0);
    deliver_all(&council, NODE_NONE);
    for (uint32_t i = 0; i < 3; i++)
        assert_chosen(&council, i, 1, first);
    council_free(&council);
}

static void
an_unanswered_ballot_is_begun_again_with_a_higher_number(void **state)
{
    Council council;

    council_init(&council, 3, 2, 1);
    propose(&council, 0, document(&council, 2, "next"));
    deliver_all(&council, 0);
    council.mail_count = 0;
    tick(&council, 0);
    assert_int_equal(council.mail_count, 2);

    Frame frame = stage_decode(&council.stage, council.mail[0].bytes);
    PaxosFrame prepare;

    assert_int_equal(frame.type, FRAME_PREPARE);
    assert_true(paxos_frame_decode(&frame, &prepare));
    assert_int_equal(prepare.ballot.round, 2);
    deliver_all(&council, NODE_NONE);
    assert_int_equal(paxos_epoch(council.nodes[2]), 2);
    council_free(&council);
}

static void
one_proposal_at_a_time_is_under_way(void **state)
{
    Council council;

    council_init(&council, 3, 2, 1);

    Slice next = document(&council, 2, "next");

    propose(&council, 0, next);
    propose(&council, 0, document(&council, 2, "other"));
    assert_int_equal(council.mail_count, 2);
    deliver_all(&council, NODE_NONE);
    assert_chosen(&council, 0, 2, next);
    council_free(&council);
}

static void
a_voter_counts_once_however_often_it_answers(void **state)
{
    Council council;

    council_init(&council, 3, 3, 1);
    propose(&council, 0, document(&council, 2, "next"));
    council.mail[1].gone = true;
    deliver(&council, 0);
    deliver(&council, 2);
    council.mail[2].gone = false;
    deliver(&council, 2);
    assert_int_equal(council.mail_count, 3);
    council_free(&council);
}

static void
an_answer_of_nobody_who_votes_does_not_count(void **state)
{
    Council council;

    council_init(&council, 3, 2, 1);
    propose(&council, 0, document(&council, 2, "next"));
    deliver(&council, 0);
    council.mail[2].from = 7;
    deliver(&council, 2);
    assert_int_equal(council.mail_count, 3);
    council_free(&council);
}

/* ---- what a voter promises ---- */

static void
a_promise_keeps_lower_ballots_out(void **state)
{
    Council council;
    PaxosFrame answer;

    council_init(&council, 3, 2, 1);

    PaxosFrame lower = {
        .epoch = 2, .ballot = ballot(1, 2), .document = document(&council, 2, "low")};

    assert_true(
        ask(&council, 0, FRAME_PREPARE, &(PaxosFrame){.epoch = 2, .ballot = ballot(2, 1)}).ok);
    answer = ask(&council, 0, FRAME_PREPARE, &(PaxosFrame){.epoch = 2, .ballot = ballot(1, 2)});
    assert_false(answer.ok);
    assert_int_equal(answer.promised.round, 2);
    assert_false(ask(&council, 0, FRAME_ACCEPT, &lower).ok);
    council_free(&council);
}

static void
a_promise_is_kept_across_a_restart(void **state)
{
    Council council;

    council_init(&council, 3, 2, 1);
    assert_true(
        ask(&council, 0, FRAME_PREPARE, &(PaxosFrame){.epoch = 2, .ballot = ballot(2, 1)}).ok);
    assert_int_equal(council.kept[0], 2);
    restart(&council, 0);

    PaxosFrame lower = {
        .epoch = 2, .ballot = ballot(1, 2), .document = document(&council, 2, "low")};

    assert_false(ask(&council, 0, FRAME_PREPARE, &lower).ok);
    assert_false(ask(&council, 0, FRAME_ACCEPT, &lower).ok);
    council_free(&council);
}

static void
a_node_that_may_have_forgotten_a_promise_keeps_it_all_the_same(void **state)
{
    Council council;
    VoteMark forgotten = {.epoch = 1, .promised = ballot(5, 1)};
    VoteMark of_another_epoch = {.epoch = 2, .promised = ballot(9, 1)};

    council_init(&council, 3, 2, 1);
    paxos_pass(council.nodes[0], &forgotten, &council.stage.actions);
    paxos_pass(council.nodes[0], &of_another_epoch, &council.stage.actions);
    keep_state(&council, 0);
    stage_clear(&council.stage);
    restart(&council, 0);
    assert_false(
        ask(&council, 0, FRAME_PREPARE, &(PaxosFrame){.epoch = 2, .ballot = ballot(5, 2)}).ok);
    assert_true(
        ask(&council, 0, FRAME_PREPARE, &(PaxosFrame){.epoch = 2, .ballot = ballot(6, 1)}).ok);
    council_free(&council);
}

static void
what_was_accepted_is_told_to_a_higher_ballot_across_a_restart(void **state)
{
    Council council;
    PaxosFrame answer;

    council_init(&council, 3, 2, 1);

    PaxosFrame accept = {
        .epoch = 2, .ballot = ballot(2, 1), .document = document(&council, 2, "kept")};

    assert_true(ask(&council, 0, FRAME_ACCEPT, &accept).ok);
    assert_int_equal(council.kept[0], 2);
    restart(&council, 0);
    answer = ask(&council, 0, FRAME_PREPARE, &(PaxosFrame){.epoch = 2, .ballot = ballot(3, 2)});
    assert_true(answer.ok);
    assert_true(slice_equal(answer.document, accept.document));
    assert_int_equal(answer.accepted.round, 2);
    council_free(&council);
}

static void
a_proposer_that_restarts_never_uses_a_ballot_twice(void **state)
{
    Council council;
    PaxosFrame first;
    PaxosFrame second;

    council_init(&council, 3, 2, 1);
    propose(&council, 0, document(&council, 2, "first"));
    restart(&council, 0);
    propose(&council, 0, document(&council, 2, "second"));

    Frame frames[2] = {stage_decode(&council.stage, council.mail[0].bytes),
                       stage_decode(&council.stage, council.mail[2].bytes)};

    assert_true(paxos_frame_decode(&frames[0], &first));
    assert_true(paxos_frame_decode(&frames[1], &second));
    assert_true(ballot_compare(&second.ballot, &first.ballot) > 0);
    council_free(&council);
}

static void
a_document_of_another_epoch_or_garbage_is_not_accepted(void **state)
{
    Council council;

    council_init(&council, 3, 2, 1);

    PaxosFrame accept = {
        .epoch = 2, .ballot = ballot(1, 1), .document = document(&council, 3, "later")};

    assert_false(ask(&council, 0, FRAME_ACCEPT, &accept).ok);
    accept.document = slice_from_string("garbage");
    assert_false(ask(&council, 0, FRAME_ACCEPT, &accept).ok);
    accept.document = SLICE_EMPTY;
    assert_false(ask(&council, 0, FRAME_ACCEPT, &accept).ok);
    council_free(&council);
}

static void
a_proposer_that_is_behind_is_told_what_was_chosen(void **state)
{
    Council council;

    council_init(&council, 3, 2, 1);

    Slice next = document(&council, 2, "next");

    propose(&council, 1, next);
    deliver_all(&council, 0);
    propose(&council, 0, document(&council, 2, "late"));
    deliver_all(&council, NODE_NONE);
    assert_chosen(&council, 0, 2, next);
    assert_false(paxos_is_proposing(council.nodes[0]));
    council_free(&council);
}

static void
a_proposer_that_is_ahead_is_not_answered(void **state)
{
    Council council;
    Frame frame;
    PaxosFrame prepare = {.epoch = 5, .ballot = ballot(1, 1)};

    council_init(&council, 3, 2, 1);
    paxos_frame_encode(stage_buffer(&council.stage), FRAME_PREPARE, 0, &prepare);
    frame = stage_frame(&council.stage);
    paxos_session_frame(council.nodes[0], (Origin){0}, &frame, &council.stage.actions);
    assert_int_equal(council.stage.actions.count, 0);
    council_free(&council);
}

static void
an_older_document_or_garbage_is_not_taken_for_chosen(void **state)
{
    Council council;

    council_init(&council, 1, 1, 3);
    assert_false(paxos_take_chosen(council.nodes[0], document(&council, 2, "older"),
                                   &council.stage.actions));
    assert_false(
        paxos_take_chosen(council.nodes[0], document(&council, 3, "same"), &council.stage.actions));
    assert_false(
        paxos_take_chosen(council.nodes[0], slice_from_string("garbage"), &council.stage.actions));
    assert_chosen(&council, 0, 3, document(&council, 3, "before"));
    council_free(&council);
}

static void
a_document_of_another_cluster_is_neither_accepted_nor_taken_for_chosen(void **state)
{
    Council council;

    council_init(&council, 3, 2, 1);

    Slice mine = document(&council, 1, "before");

    council.stage.topology.cluster[0]++;

    PaxosFrame accept = {
        .epoch = 2, .ballot = ballot(1, 1), .document = document(&council, 2, "foreign")};

    assert_false(ask(&council, 0, FRAME_ACCEPT, &accept).ok);
    assert_false(paxos_take_chosen(council.nodes[0], accept.document, &council.stage.actions));
    restart(&council, 0);
    assert_false(paxos_take_chosen(council.nodes[0], accept.document, &council.stage.actions));
    assert_chosen(&council, 0, 1, mine);
    council_free(&council);
}

static void
a_state_that_is_damaged_is_not_loaded(void **state)
{
    Council council;
    MemberId id = stage_member_id(0);

    council_init(&council, 3, 2, 1);
    (void)ask(&council, 0, FRAME_PREPARE, &(PaxosFrame){.epoch = 2, .ballot = ballot(2, 1)});
    paxos_encode(council.nodes[0], stage_buffer(&council.stage));

    Slice bytes = slice_copy(&council.stage.arena, buffer_slice(&council.stage.frame));

    for (size_t length = 1; length < bytes.length; length++)
    {
        Paxos *paxos = paxos_new(&id);

        assert_false(paxos_load(paxos, slice_make(bytes.data, length)));
        paxos_free(paxos);
    }
    council_free(&council);
}

static void
a_frame_that_cannot_be_read_is_refused(void **state)
{
    Council council;
    Frame frame = {.type = FRAME_PREPARE, .body = slice_from_string("garbage")};

    council_init(&council, 3, 2, 1);
    paxos_session_frame(council.nodes[0], (Origin){.session = 1}, &frame, &council.stage.actions);
    frame = stage_answer(&council.stage);
    assert_int_equal(stage_error_status(&frame), STATUS_BAD_FRAME);
    council_free(&council);
}

/* ---- two proposers ---- */

static void
a_proposer_completes_what_another_got_accepted(void **state)
{
    Council council;

    council_init(&council, 3, 2, 1);

    Slice first = document(&council, 2, "first");

    propose(&council, 0, first);
    deliver(&council, 0);
    deliver(&council, 2);

    uint32_t accept_of_1 = 3;

    assert_int_equal(council.mail[accept_of_1].to, 1);
    deliver(&council, accept_of_1);
    for (uint32_t i = 0; i < council.mail_count; i++)
        council.mail[i].gone = true;
    propose(&council, 2, document(&council, 2, "second"));
    deliver_all(&council, 0);
    assert_chosen(&council, 2, 2, first);
    assert_chosen(&council, 1, 2, first);
    council_free(&council);
}

static void
what_was_accepted_is_completed_when_its_proposer_is_gone(void **state)
{
    Council council;

    council_init(&council, 3, 2, 1);

    Slice first = document(&council, 2, "first");

    propose(&council, 0, first);
    deliver(&council, 0);
    deliver(&council, 2);
    deliver(&council, 3);
    for (uint32_t i = 0; i < council.mail_count; i++)
        council.mail[i].gone = true;
    tick(&council, 1);
    assert_false(paxos_is_proposing(council.nodes[1]));
    tick(&council, 1);
    deliver_all(&council, 0);
    assert_chosen(&council, 1, 2, first);
    assert_chosen(&council, 2, 2, first);
    council_free(&council);
}

static void
nobody_proposes_by_itself_what_it_only_promised(void **state)
{
    Council council;

    council_init(&council, 3, 2, 1);
    propose(&council, 0, document(&council, 2, "first"));
    deliver(&council, 0);
    tick(&council, 1);
    tick(&council, 1);
    assert_false(paxos_is_proposing(council.nodes[1]));
    council_free(&council);
}

/* One way through the duel of two proposers: which of the open mails is delivered at each step. */
typedef struct Duel
{
    uint32_t nodes;
    uint32_t quorum;
    uint64_t epoch;
    uint32_t steps[STEPS_MAX];
    uint32_t step_count;
    uint64_t *visited; /* by what each node has been given, in order: that is all its state */
    uint32_t visited_count;
    uint32_t chosen_count;
} Duel;

static void
duel_begin(const Duel *duel, Council *council)
{
    council_init(council, duel->nodes, duel->quorum, duel->epoch);
    propose(council, 0, document(council, duel->epoch + 1, "of node 0"));
    propose(council, 1, document(council, duel->epoch + 1, "of node 1"));
    for (uint32_t i = 0; i < duel->step_count; i++)
        deliver(council, duel->steps[i]);
}

/* What every node has been given, in order: equal for ways that lead to the same. */
typedef struct Given
{
    uint64_t nodes[NODES];
} Given;

static Given
given_also(const Given *given, const Mail *mail)
{
    Given after = *given;
    uint64_t all[4] = {given->nodes[mail->to], mail->from, mail->is_answer,
                       hash_table(mail->bytes)};

    after.nodes[mail->to] = hash_table(slice_make(all, sizeof(all)));
    return after;
}

/* True for what was not met before. */
static bool
duel_visit(Duel *duel, const Given *given)
{
    uint64_t hash = hash_table(slice_make(given, sizeof(*given)));
    uint32_t slot = (uint32_t)hash % VISITED_SLOTS;

    while (duel->visited[slot] != 0 && duel->visited[slot] != hash)
        slot = (slot + 1) % VISITED_SLOTS;
    if (duel->visited[slot] == hash)
        return false;
    duel->visited[slot] = hash;
    assert_true(++duel->visited_count < VISITED_SLOTS / 2);
    return true;
}

/* What any node holds for chosen is the same everywhere; empty when nobody does. */
static Slice
chosen_by_any(const Council *council, uint64_t epoch)
{
    Slice chosen = SLICE_EMPTY;

    for (uint32_t i = 0; i < council->node_count; i++)
    {
        Slice held = paxos_document(council->nodes[i]);

        if (paxos_epoch(council->nodes[i]) != epoch)
            continue;
        assert_true(chosen.length == 0 || slice_equal(chosen, held));
        chosen = held;
    }
    return chosen;
}

/* All mail is lost and every node restarts: a proposer with a document of its own must find what
 * was chosen. */
static void
check_that_it_lasts(Council *council, Slice chosen, uint64_t epoch)
{
    Slice kept = slice_copy(&council->stage.arena, chosen);
    uint32_t last = council->node_count - 1;

    for (uint32_t i = 0; i < council->mail_count; i++)
        council->mail[i].gone = true;
    for (uint32_t i = 0; i < council->node_count; i++)
        restart(council, i);
    if (paxos_epoch(council->nodes[last]) == epoch)
        return;
    propose(council, last, document(council, epoch, "of the last"));
    for (uint32_t i = 0; i < 4 && paxos_epoch(council->nodes[last]) < epoch; i++)
    {
        deliver_all(council, NODE_NONE);
        if (paxos_is_proposing(council->nodes[last]))
            tick(council, last);
    }
    assert_chosen(council, last, epoch, kept);
}

/*
 * A link keeps the order of its frames. What was chosen is never told, so that every node has to
 * find out by itself.
 */
static bool
may_be_next(const Council *council, uint32_t index)
{
    const Mail *mail = &council->mail[index];

    if (mail->gone || mail->bytes.data[0] == FRAME_CHOSEN)
        return false;
    for (uint32_t i = 0; i < index; i++)
    {
        const Mail *before = &council->mail[i];

        if (!before->gone && before->from == mail->from && before->to == mail->to &&
            before->is_answer == mail->is_answer)
            return false;
    }
    return true;
}

/* One more mail delivered, and what that makes. */
typedef struct DuelStep
{
    uint32_t mail;
    Given given;
} DuelStep;

/* The next steps that lead to something new. */
static uint32_t
duel_next(Duel *duel, const Council *council, const Given *given, DuelStep *steps, bool *is_end)
{
    uint32_t count = 0;

    *is_end = true;
    for (uint32_t i = 0; i < council->mail_count; i++)
    {
        DuelStep *step = &steps[count];

        if (!may_be_next(council, i))
            continue;
        *is_end = false;
        *step = (DuelStep){.mail = i, .given = given_also(given, &council->mail[i])};
        count += duel_visit(duel, &step->given);
        assert_true(count < LINKS_MAX);
    }
    return count;
}

/* Every order in which the mail under way can be delivered. */
static void
duel_explore(Duel *duel, const Given *given, bool was_chosen)
{
    Council council;
    DuelStep steps[LINKS_MAX];
    bool is_end;

    duel_begin(duel, &council);

    Slice chosen = chosen_by_any(&council, duel->epoch + 1);
    bool is_chosen = chosen.length > 0;
    uint32_t count = duel_next(duel, &council, given, steps, &is_end);

    duel->chosen_count += is_chosen;
    if (is_chosen && (!was_chosen || is_end))
        check_that_it_lasts(&council, chosen, duel->epoch + 1);
    council_free(&council);
    assert_true(duel->step_count < STEPS_MAX);
    for (uint32_t i = 0; i < count; i++)
    {
        duel->steps[duel->step_count++] = steps[i].mail;
        duel_explore(duel, &steps[i].given, is_chosen);
        duel->step_count--;
    }
}

static void
run_duel(uint32_t nodes, uint32_t quorum, uint64_t epoch)
{
    Duel duel = {.nodes = nodes, .quorum = quorum, .epoch = epoch};

    duel.visited = calloc(VISITED_SLOTS, sizeof(uint64_t));
    assert_non_null(duel.visited);
    duel_explore(&duel,
                 &(Given){
                     {1, 2, 3}
    },
                 false);
    free(duel.visited);
    print_message("%u states, a document chosen in %u\n", duel.visited_count, duel.chosen_count);
    assert_true(duel.chosen_count > 0);
}

static void
two_proposers_of_the_first_epoch_agree_under_every_order_of_delivery(void **state)
{
    run_duel(2, 2, 0);
}

static void
two_proposers_before_a_majority_agree_under_every_order_of_delivery(void **state)
{
    run_duel(3, 2, 1);
}

static void
two_proposers_that_keep_meeting_come_to_an_end(void **state)
{
    Council council;

    council_init(&council, 3, 2, 1);
    propose(&council, 0, document(&council, 2, "of node 0"));
    propose(&council, 1, document(&council, 2, "of node 1"));
    for (uint32_t i = 0; i < 10 && paxos_epoch(council.nodes[2]) == 1; i++)
    {
        deliver_all(&council, NODE_NONE);
        tick(&council, i % 2);
    }
    deliver_all(&council, NODE_NONE);
    for (uint32_t i = 0; i < 3; i++)
        assert_chosen(&council, i, 2, paxos_document(council.nodes[0]));
    council_free(&council);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quorum_of_one_chooses_at_once),
        cmocka_unit_test(a_document_is_chosen_by_a_majority_and_told_to_every_voter),
        cmocka_unit_test(a_majority_suffices_with_one_voter_cut_off),
        cmocka_unit_test(the_first_epoch_needs_every_voter),
        cmocka_unit_test(an_unanswered_ballot_is_begun_again_with_a_higher_number),
        cmocka_unit_test(one_proposal_at_a_time_is_under_way),
        cmocka_unit_test(a_voter_counts_once_however_often_it_answers),
        cmocka_unit_test(an_answer_of_nobody_who_votes_does_not_count),
        cmocka_unit_test(a_promise_keeps_lower_ballots_out),
        cmocka_unit_test(a_promise_is_kept_across_a_restart),
        cmocka_unit_test(a_node_that_may_have_forgotten_a_promise_keeps_it_all_the_same),
        cmocka_unit_test(what_was_accepted_is_told_to_a_higher_ballot_across_a_restart),
        cmocka_unit_test(a_proposer_that_restarts_never_uses_a_ballot_twice),
        cmocka_unit_test(a_document_of_another_epoch_or_garbage_is_not_accepted),
        cmocka_unit_test(a_proposer_that_is_behind_is_told_what_was_chosen),
        cmocka_unit_test(a_proposer_that_is_ahead_is_not_answered),
        cmocka_unit_test(an_older_document_or_garbage_is_not_taken_for_chosen),
        cmocka_unit_test(a_document_of_another_cluster_is_neither_accepted_nor_taken_for_chosen),
        cmocka_unit_test(a_state_that_is_damaged_is_not_loaded),
        cmocka_unit_test(a_frame_that_cannot_be_read_is_refused),
        cmocka_unit_test(a_proposer_completes_what_another_got_accepted),
        cmocka_unit_test(what_was_accepted_is_completed_when_its_proposer_is_gone),
        cmocka_unit_test(nobody_proposes_by_itself_what_it_only_promised),
        cmocka_unit_test(two_proposers_of_the_first_epoch_agree_under_every_order_of_delivery),
        cmocka_unit_test(two_proposers_before_a_majority_agree_under_every_order_of_delivery),
        cmocka_unit_test(two_proposers_that_keep_meeting_come_to_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
