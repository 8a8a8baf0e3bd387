/*
 * Acceptor and proposer of the next epoch. The acceptor's state is what must be durable; the
 * proposer's may be lost at any time, since whoever proposes next completes what was accepted.
 */
#include "node/engine/cluster/paxos.h"

#include <string.h>

enum
{
    STATE_FORMAT = 1,
    CLUSTER_BYTES = sizeof(((Topology *)0)->cluster),
    BALLOT_MS = 300,        /* to be answered by a quorum */
    BALLOT_JITTER_MS = 200, /* so that two proposers do not meet for ever */
    ORPHAN_MS = 600,        /* after which an accepted document is completed by its acceptor */
    ORPHAN_JITTER_MS = 300
};

typedef enum Phase
{
    PHASE_IDLE,
    PHASE_PREPARING, /* promises of a quorum are awaited */
    PHASE_ACCEPTING  /* acceptances of a quorum are awaited */
} Phase;

typedef struct DocumentHead
{
    uint64_t epoch; /* 0: the document cannot be decoded */
    uint8_t cluster[CLUSTER_BYTES];
} DocumentHead;

struct Paxos
{
    MemberId self;

    /* State: durable before it is shown. */
    Buffer document;
    uint64_t epoch; /* as is the cluster: of document */
    uint8_t cluster[CLUSTER_BYTES];
    Ballot promised; /* for epoch + 1, as are the two below */
    Ballot accepted;
    Buffer accepted_document;
    DocumentHead accepted_head;

    uint32_t *voters;
    uint32_t voter_count;
    bool self_votes;
    uint32_t quorum;
    bool mute;

    /* Proposer. */
    Phase phase;
    Ballot ballot;
    uint64_t highest_round;
    Buffer own;   /* the document proposed here */
    Buffer value; /* the one this ballot is for: own, or one accepted before */
    Ballot value_ballot;
    bool *granted; /* by voter */
    uint32_t granted_count;
    uint64_t retry_ms;
    Ballot orphan;      /* the ballot that orphan_ms was set for */
    uint64_t orphan_ms; /* 0: nothing is accepted that waits to be chosen */
};

static void
buffer_assign(Buffer *buffer, Slice bytes)
{
    buffer_reset(buffer);
    buffer_put(buffer, bytes.data, bytes.length);
}

Paxos *
paxos_new(const MemberId *self)
{
    Paxos *paxos = memory_resize(&MEMORY_HEAP, NULL, sizeof(Paxos));

    *paxos = (Paxos){.self = *self};
    buffer_init(&paxos->document, &MEMORY_HEAP);
    buffer_init(&paxos->accepted_document, &MEMORY_HEAP);
    buffer_init(&paxos->own, &MEMORY_HEAP);
    buffer_init(&paxos->value, &MEMORY_HEAP);
    return paxos;
}

void
paxos_free(Paxos *paxos)
{
    buffer_free(&paxos->document);
    buffer_free(&paxos->accepted_document);
    buffer_free(&paxos->own);
    buffer_free(&paxos->value);
    memory_resize(&MEMORY_HEAP, paxos->voters, 0);
    memory_resize(&MEMORY_HEAP, paxos->granted, 0);
    memory_resize(&MEMORY_HEAP, paxos, 0);
}

static DocumentHead
document_head(Slice document)
{
    Arena arena;
    Topology topology;
    DocumentHead head = {0};

    arena_init(&arena, &MEMORY_HEAP);
    if (topology_decode(document, &arena, &topology))
    {
        head.epoch = topology.epoch;
        memcpy(head.cluster, topology.cluster, CLUSTER_BYTES);
    }
    arena_free(&arena);
    return head;
}

/* What was accepted, and is chosen now, has been decoded before. */
static DocumentHead
head_of(const Paxos *paxos, Slice document)
{
    if (paxos->accepted_head.epoch != 0 &&
        slice_equal(document, buffer_slice(&paxos->accepted_document)))
        return paxos->accepted_head;
    return document_head(document);
}

/* A document of another cluster must never follow ours, whatever its epoch. */
static bool
follows_ours(const Paxos *paxos, const DocumentHead *head)
{
    return head->epoch > paxos->epoch &&
           (paxos->epoch == 0 || memcmp(head->cluster, paxos->cluster, CLUSTER_BYTES) == 0);
}

static void
set_document(Paxos *paxos, Slice document, const DocumentHead *head)
{
    buffer_assign(&paxos->document, document);
    paxos->epoch = head->epoch;
    memcpy(paxos->cluster, head->cluster, CLUSTER_BYTES);
}

void
paxos_encode(const Paxos *paxos, Buffer *buffer)
{
    buffer_put_u8(buffer, STATE_FORMAT);
    buffer_put_slice(buffer, buffer_slice(&paxos->document));
    ballot_encode(buffer, &paxos->promised);
    ballot_encode(buffer, &paxos->accepted);
    buffer_put_slice(buffer, buffer_slice(&paxos->accepted_document));
}

bool
paxos_load(Paxos *paxos, Slice state)
{
    Reader reader = reader_begin(state);

    if (state.length == 0)
        return true;
    if (reader_u8(&reader) != STATE_FORMAT)
        return false;

    Slice document = reader_slice(&reader);

    paxos->promised = ballot_decode(&reader);
    paxos->accepted = ballot_decode(&reader);
    buffer_assign(&paxos->accepted_document, reader_slice(&reader));
    if (document.length > 0)
    {
        DocumentHead head = document_head(document);

        set_document(paxos, document, &head);
    }
    paxos->highest_round = paxos->promised.round;
    return reader_finish(&reader) && (document.length == 0 || paxos->epoch > 0);
}

/* The state has changed. */
static void
keep_state(const Paxos *paxos, Actions *actions)
{
    paxos_encode(paxos, actions_persist(actions));
}

Slice
paxos_document(const Paxos *paxos)
{
    return buffer_slice(&paxos->document);
}

uint64_t
paxos_epoch(const Paxos *paxos)
{
    return paxos->epoch;
}

void
paxos_set_voters(Paxos *paxos, const uint32_t *peers, uint32_t peer_count, bool self_votes,
                 uint32_t quorum)
{
    size_t bytes = (peer_count + 1) * sizeof(uint32_t);

    paxos->voters = memory_resize(&MEMORY_HEAP, paxos->voters, bytes);
    paxos->granted = memory_resize(&MEMORY_HEAP, paxos->granted, peer_count + 1);
    if (peer_count > 0)
        memcpy(paxos->voters, peers, peer_count * sizeof(uint32_t));
    paxos->voter_count = peer_count;
    paxos->self_votes = self_votes;
    paxos->quorum = quorum;
    paxos->phase = PHASE_IDLE;
}

VoteMark
paxos_mark(const Paxos *paxos)
{
    return (VoteMark){
        .epoch = paxos->epoch, .promised = paxos->promised, .accepted = paxos->accepted};
}

void
paxos_pass(Paxos *paxos, const VoteMark *mark, Actions *actions)
{
    if (mark->epoch != paxos->epoch || mark->promised.round < paxos->promised.round)
        return;
    paxos->promised = (Ballot){.round = mark->promised.round + 1};
    paxos->highest_round = paxos->promised.round;
    keep_state(paxos, actions);
}

void
paxos_set_mute(Paxos *paxos, bool mute)
{
    paxos->mute = mute;
}

bool
paxos_take_chosen(Paxos *paxos, Slice document, Actions *actions)
{
    DocumentHead head = head_of(paxos, document);

    if (!follows_ours(paxos, &head))
        return false;
    set_document(paxos, document, &head);
    paxos->promised = paxos->accepted = (Ballot){0};
    buffer_reset(&paxos->accepted_document);
    paxos->phase = PHASE_IDLE;
    paxos->highest_round = 0;
    keep_state(paxos, actions);
    return true;
}

/* The acceptor's answer to a PREPARE of the next epoch. */
static PaxosFrame
promise(Paxos *paxos, const Ballot *ballot, Actions *actions)
{
    PaxosFrame answer = {.epoch = paxos->epoch + 1, .ballot = *ballot};

    if (!paxos->mute && ballot_compare(ballot, &paxos->promised) > 0)
    {
        paxos->promised = *ballot;
        keep_state(paxos, actions);
    }
    answer.ok = !paxos->mute && ballot_compare(ballot, &paxos->promised) == 0;
    answer.promised = paxos->promised;
    answer.accepted = paxos->accepted;
    answer.document = buffer_slice(&paxos->accepted_document);
    return answer;
}

/* The acceptor's answer to an ACCEPT of the next epoch. */
static PaxosFrame
accept(Paxos *paxos, const Ballot *ballot, Slice document, Actions *actions)
{
    PaxosFrame answer = {.epoch = paxos->epoch + 1, .ballot = *ballot};

    DocumentHead head = head_of(paxos, document);

    if (!paxos->mute && ballot_compare(ballot, &paxos->promised) >= 0 &&
        head.epoch == paxos->epoch + 1 && follows_ours(paxos, &head))
    {
        paxos->promised = paxos->accepted = *ballot;
        buffer_assign(&paxos->accepted_document, document);
        paxos->accepted_head = head;
        keep_state(paxos, actions);
        answer.ok = true;
    }
    answer.promised = paxos->promised;
    return answer;
}

static void
send_voters(Paxos *paxos, FrameType type, const PaxosFrame *frame, Actions *actions)
{
    for (uint32_t i = 0; i < paxos->voter_count; i++)
    {
        paxos_frame_encode(actions_frame(actions), type, 0, frame);
        actions_send_peer(actions, paxos->voters[i]);
    }
}

/* Everyone who votes learns of the choice at once; others by their next hello. */
static void
choose(Paxos *paxos, Actions *actions)
{
    Arena arena;
    PaxosFrame chosen = {.epoch = paxos->epoch + 1};

    arena_init(&arena, &MEMORY_HEAP);
    chosen.document = slice_copy(&arena, buffer_slice(&paxos->value));
    send_voters(paxos, FRAME_CHOSEN, &chosen, actions);

    (void)paxos_take_chosen(paxos, chosen.document, actions);
    arena_free(&arena);
}

static void
note_rounds(Paxos *paxos, const Ballot *promised)
{
    if (promised->round > paxos->highest_round)
        paxos->highest_round = promised->round;
}

static void take_accepted(Paxos *paxos, const PaxosFrame *answer, Actions *actions);

static void
ask_to_accept(Paxos *paxos)
{
    paxos->phase = PHASE_ACCEPTING;
    paxos->granted_count = 0;
    memset(paxos->granted, 0, paxos->voter_count + 1);
}

/* A quorum has promised: the highest document accepted before, or else our own, is put to the vote.
 */
static void
begin_accepting(Paxos *paxos, Actions *actions)
{
    PaxosFrame frame = {.epoch = paxos->epoch + 1, .ballot = paxos->ballot};

    ask_to_accept(paxos);
    frame.document = buffer_slice(&paxos->value);
    send_voters(paxos, FRAME_ACCEPT, &frame, actions);
    if (paxos->self_votes)
    {
        PaxosFrame answer = accept(paxos, &paxos->ballot, buffer_slice(&paxos->value), actions);

        take_accepted(paxos, &answer, actions);
    }
}

static void
take_promise(Paxos *paxos, const PaxosFrame *answer, Actions *actions)
{
    note_rounds(paxos, &answer->promised);
    if (!answer->ok)
        return;
    if (answer->document.length > 0 && ballot_compare(&answer->accepted, &paxos->value_ballot) > 0)
    {
        paxos->value_ballot = answer->accepted;
        buffer_assign(&paxos->value, answer->document);
    }
    if (++paxos->granted_count == paxos->quorum)
        begin_accepting(paxos, actions);
}

static void
take_accepted(Paxos *paxos, const PaxosFrame *answer, Actions *actions)
{
    note_rounds(paxos, &answer->promised);
    if (answer->ok && ++paxos->granted_count == paxos->quorum)
        choose(paxos, actions);
}

static void
begin_ballot(Paxos *paxos, uint64_t now_ms, uint64_t random, Actions *actions)
{
    PaxosFrame frame = {.epoch = paxos->epoch + 1};

    paxos->ballot = (Ballot){.round = paxos->highest_round + 1, .proposer = paxos->self};
    paxos->highest_round++;
    paxos->phase = PHASE_PREPARING;
    paxos->granted_count = 0;
    memset(paxos->granted, 0, paxos->voter_count + 1);
    paxos->value_ballot = (Ballot){0};
    buffer_assign(&paxos->value, buffer_slice(&paxos->own));
    paxos->retry_ms = now_ms + BALLOT_MS + random % BALLOT_JITTER_MS;
    frame.ballot = paxos->ballot;
    send_voters(paxos, FRAME_PREPARE, &frame, actions);
    if (paxos->self_votes)
    {
        PaxosFrame answer = promise(paxos, &paxos->ballot, actions);

        take_promise(paxos, &answer, actions);
    }
}

void
paxos_propose(Paxos *paxos, Slice document, uint64_t now_ms, uint64_t random, Actions *actions)
{
    if (paxos->phase != PHASE_IDLE)
        return;
    buffer_assign(&paxos->own, document);
    begin_ballot(paxos, now_ms, random, actions);
}

bool
paxos_is_proposing(const Paxos *paxos)
{
    return paxos->phase != PHASE_IDLE;
}

static void
answer_session(Paxos *paxos, FrameType type, Origin origin, const PaxosFrame *answer,
               Actions *actions)
{
    paxos_frame_encode(actions_frame(actions), type, origin.tag, answer);
    actions_reply(actions, origin.session);
}

void
paxos_session_frame(Paxos *paxos, Origin origin, const Frame *frame, Actions *actions)
{
    PaxosFrame asked;
    PaxosFrame answer;

    if (!paxos_frame_decode(frame, &asked))
    {
        actions_error(actions, origin, STATUS_BAD_FRAME, "");
        return;
    }
    if (frame->type == FRAME_CHOSEN)
    {
        (void)paxos_take_chosen(paxos, asked.document, actions);
        return;
    }
    if (asked.epoch != paxos->epoch + 1)
    {
        /* The proposer is behind and learns what was chosen; or we are, and its next hello tells
         * us. */
        if (asked.epoch <= paxos->epoch)
        {
            answer = (PaxosFrame){.epoch = paxos->epoch, .document = paxos_document(paxos)};
            answer_session(paxos, FRAME_CHOSEN, origin, &answer, actions);
        }
        return;
    }
    if (frame->type == FRAME_PREPARE)
    {
        answer = promise(paxos, &asked.ballot, actions);
        answer_session(paxos, FRAME_PROMISE, origin, &answer, actions);
    }
    else
    {
        answer = accept(paxos, &asked.ballot, asked.document, actions);
        answer_session(paxos, FRAME_ACCEPTED, origin, &answer, actions);
    }
}

static int
voter_index(const Paxos *paxos, uint32_t peer)
{
    for (uint32_t i = 0; i < paxos->voter_count; i++)
    {
        if (paxos->voters[i] == peer)
            return (int)i;
    }
    return -1;
}

void
paxos_peer_frame(Paxos *paxos, uint32_t peer, const Frame *frame, uint64_t now_ms, uint64_t random,
                 Actions *actions)
{
    PaxosFrame answer;
    int voter = voter_index(paxos, peer);
    Phase phase = frame->type == FRAME_PROMISE ? PHASE_PREPARING : PHASE_ACCEPTING;

    if (!paxos_frame_decode(frame, &answer))
        return;
    if (frame->type == FRAME_CHOSEN)
    {
        (void)paxos_take_chosen(paxos, answer.document, actions);
        return;
    }
    if (voter < 0 || paxos->phase != phase || answer.epoch != paxos->epoch + 1 ||
        ballot_compare(&answer.ballot, &paxos->ballot) != 0 || paxos->granted[voter])
        return;
    paxos->granted[voter] = answer.ok;
    if (!answer.ok)
    {
        /* Somebody has a higher ballot: leave it a random while before the next try. */
        note_rounds(paxos, &answer.promised);
        paxos->retry_ms = now_ms + random % BALLOT_JITTER_MS;
        return;
    }
    if (phase == PHASE_PREPARING)
        take_promise(paxos, &answer, actions);
    else
        take_accepted(paxos, &answer, actions);
}

/*
 * A document accepted a while ago and not known to be chosen: its proposer may be gone, and may
 * have told others that it was chosen. Whoever accepted it completes it.
 */
static bool
is_orphaned(Paxos *paxos, uint64_t now_ms, uint64_t random)
{
    if (paxos->phase != PHASE_IDLE || paxos->accepted.round == 0)
    {
        paxos->orphan_ms = 0;
        return false;
    }
    if (paxos->orphan_ms == 0 || ballot_compare(&paxos->orphan, &paxos->accepted) != 0)
    {
        paxos->orphan = paxos->accepted;
        paxos->orphan_ms = now_ms + ORPHAN_MS + random % ORPHAN_JITTER_MS;
    }
    return now_ms >= paxos->orphan_ms;
}

void
paxos_tick(Paxos *paxos, uint64_t now_ms, uint64_t random, Actions *actions)
{
    if (is_orphaned(paxos, now_ms, random))
    {
        paxos->orphan_ms = 0;
        note_rounds(paxos, &paxos->promised);
        paxos_propose(paxos, buffer_slice(&paxos->accepted_document), now_ms, random, actions);
    }
    else if (paxos->phase != PHASE_IDLE && now_ms >= paxos->retry_ms)
        begin_ballot(paxos, now_ms, random, actions);
}
