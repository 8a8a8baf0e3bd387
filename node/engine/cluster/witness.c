/*
 * A table of what is known of every member's data, what of it is noted beside the own data, and
 * what that says of the own data.
 */
#include "node/engine/cluster/witness.h"

#include <stdio.h>
#include <string.h>

enum
{
    EXTENT_BYTES = 20
};

/* One member, this one among them. */
typedef struct Entry
{
    MemberId id;
    DataMark mark;   /* remembered of its data; of this member: what its data must hold */
    VoteMark votes;  /* the highest that is remembered of its votes */
    DataState state; /* as it last said */
    bool heard;      /* since the start: it has said what it remembers of our data */
} Entry;

struct Witness
{
    const HostConfig *config;
    const Paxos *paxos;
    const Storage *storage; /* NULL: not open yet */
    Entry *entries;         /* the first is this member */
    uint32_t entry_count;
    StorageExtent *withheld;
    uint32_t withheld_count;
    RunId *lost_runs;
    uint32_t lost_count;
    bool lost;
    bool filled;   /* in this run: what was lost before it, whoever tells of it, is here again */
    bool set_back; /* what was noted beside the data may be older than it was, as the data are */
    bool news;     /* to be noted at once */
    bool changed;
    uint64_t noted_ms;
};

static bool
same_id(const MemberId *a, const MemberId *b)
{
    return memcmp(a, b, sizeof(MemberId)) == 0;
}

static bool
same_run(const RunId *a, const RunId *b)
{
    return memcmp(a, b, sizeof(RunId)) == 0;
}

static Entry *
find_entry(const Witness *witness, const MemberId *id)
{
    for (uint32_t i = 0; i < witness->entry_count; i++)
    {
        if (same_id(&witness->entries[i].id, id))
            return &witness->entries[i];
    }
    return NULL;
}

static Entry *
make_entry(Witness *witness, const MemberId *id)
{
    Entry *entry = find_entry(witness, id);

    if (entry != NULL)
        return entry;
    witness->entries =
        memory_resize(&MEMORY_HEAP, witness->entries, (witness->entry_count + 1) * sizeof(Entry));
    entry = &witness->entries[witness->entry_count++];
    *entry = (Entry){.id = *id};
    return entry;
}

Witness *
witness_new(const HostConfig *config, const Paxos *paxos)
{
    Witness *witness = memory_resize(&MEMORY_HEAP, NULL, sizeof(Witness));

    *witness = (Witness){.config = config, .paxos = paxos};
    (void)make_entry(witness, &config->id);
    return witness;
}

void
witness_free(Witness *witness)
{
    memory_resize(&MEMORY_HEAP, witness->entries, 0);
    memory_resize(&MEMORY_HEAP, witness->lost_runs, 0);
    memory_resize(&MEMORY_HEAP, witness->withheld, 0);
    memory_resize(&MEMORY_HEAP, witness, 0);
}

/* ---- notes ---- */

static void
read_withheld(Witness *witness, Reader *reader)
{
    uint32_t count = reader_left(reader) > 0 ? reader_count(reader, EXTENT_BYTES) : 0;

    witness->withheld =
        memory_resize(&MEMORY_HEAP, witness->withheld, count * sizeof(StorageExtent));
    for (uint32_t i = 0; i < count; i++)
    {
        witness->withheld[i].bucket_id = reader_u32(reader);
        witness->withheld[i].first = reader_u64(reader);
        witness->withheld[i].last = reader_u64(reader);
    }
    witness->withheld_count = count;
}

/* False when they are damaged, and then none of them is taken. */
static bool
read_notes(Witness *witness, Slice notes)
{
    Reader reader = reader_begin(notes);

    read_withheld(witness, &reader);
    witness->set_back = reader_left(&reader) > 0 && reader_bool(&reader);
    while (reader_left(&reader) > 0 && !reader.failed)
    {
        MemberId id;
        Entry *entry;

        reader_copy(&reader, id.bytes, sizeof(id.bytes));
        entry = make_entry(witness, &id);
        entry->mark = data_mark_decode(&reader);
        entry->votes = vote_mark_decode(&reader);
    }
    if (reader_finish(&reader))
        return true;
    witness->withheld_count = 0;
    witness->entry_count = 1;
    witness->entries[0].mark = (DataMark){0};
    witness->entries[0].votes = (VoteMark){0};
    return false;
}

static DataMark
own_mark(const Witness *witness)
{
    return lineage_mark(witness->storage->lineage, witness->storage->commits);
}

static void
write_notes(const Witness *witness, Actions *actions)
{
    Buffer *notes = actions_frame(actions);

    buffer_put_varint(notes, witness->withheld_count);
    for (uint32_t i = 0; i < witness->withheld_count; i++)
    {
        buffer_put_u32(notes, witness->withheld[i].bucket_id);
        buffer_put_u64(notes, witness->withheld[i].first);
        buffer_put_u64(notes, witness->withheld[i].last);
    }
    buffer_put_u8(notes, witness->set_back);
    for (uint32_t i = 0; i < witness->entry_count; i++)
    {
        const Entry *entry = &witness->entries[i];

        buffer_put(notes, entry->id.bytes, sizeof(entry->id.bytes));
        data_mark_encode(notes, &entry->mark);
        vote_mark_encode(notes, &entry->votes);
    }
    actions_note(actions);
}

static void
remember_votes(Witness *witness, Entry *entry, const VoteMark *votes)
{
    if (vote_mark_compare(votes, &entry->votes) <= 0)
        return;
    entry->votes = *votes;
    witness->changed = true;
}

void
witness_note(Witness *witness, uint64_t now_ms, bool now, Actions *actions)
{
    Entry *own = &witness->entries[0];
    VoteMark votes = paxos_mark(witness->paxos);

    if (witness->storage == NULL)
        return;
    if (!now && !witness->news && now_ms < witness->noted_ms + WITNESS_NOTE_MS)
        return;
    if (!witness->lost && own->mark.commits != witness->storage->commits)
        witness->changed = true;
    if (!witness->lost)
        own->mark = own_mark(witness);
    remember_votes(witness, own, &votes);
    if (witness->news || witness->changed)
        write_notes(witness, actions);
    witness->news = witness->changed = false;
    witness->noted_ms = now_ms;
}

/* ---- the own data ---- */

static void
add_lost_run(Witness *witness, const RunId *run)
{
    for (uint32_t i = 0; i < witness->lost_count; i++)
    {
        if (same_run(&witness->lost_runs[i], run))
            return;
    }
    witness->lost_runs =
        memory_resize(&MEMORY_HEAP, witness->lost_runs, (witness->lost_count + 1) * sizeof(RunId));
    witness->lost_runs[witness->lost_count++] = *run;
}

/* Somebody remembers a mark that the data do not hold. It is noted, so that a restart that cannot
 * ask them knows of it too. */
static void
lose(Witness *witness, const DataMark *mark, const char *who, Actions *actions)
{
    if (!data_mark_is_none(mark))
        add_lost_run(witness, &mark->run);
    if (witness->lost)
        return;
    witness->lost = true;
    witness->entries[0].mark = *mark;
    witness->news = true;
    actions_warn(
        actions,
        "the data directory is not the one this node last ran with, or is an older copy of it "
        "(%s): this node fills it from the other owners, and answers no reads before that is done",
        who);
}

static bool
holds(const Witness *witness, const DataMark *mark)
{
    return data_mark_is_none(mark) ||
           lineage_holds(witness->storage->lineage, witness->storage->commits, mark);
}

void
witness_open(Witness *witness, const Storage *storage, Slice notes, bool in_cluster,
             Actions *actions)
{
    DataMark own;

    witness->storage = storage;
    if (!read_notes(witness, notes))
        actions_warn(actions,
                     "this node's notes about data directories (the file seen) are damaged");
    own = witness->entries[0].mark;
    witness->news = true;
    if (!holds(witness, &own))
        lose(witness, &own, "this node's notes know of later writes", actions);
    else if (data_mark_is_none(&own) && (in_cluster || lineage_has_past(storage->lineage)))
    {
        witness->set_back = true;
        lose(witness, &own, "this node has no notes about it", actions);
    }
    witness_note(witness, 0, true, actions);
}

void
witness_withhold(Witness *witness, const StorageExtent *extents, uint32_t count)
{
    witness->withheld =
        memory_resize(&MEMORY_HEAP, witness->withheld, count * sizeof(StorageExtent));
    if (count > 0)
        memcpy(witness->withheld, extents, count * sizeof(StorageExtent));
    witness->withheld_count = count;
    witness->news = true;
}

const StorageExtent *
witness_withheld(const Witness *witness, uint32_t *count)
{
    *count = witness->withheld_count;
    return witness->withheld;
}

bool
witness_is_lost(const Witness *witness)
{
    return witness->lost;
}

const RunId *
witness_lost_runs(const Witness *witness, uint32_t *count)
{
    *count = witness->lost_count;
    return witness->lost_runs;
}

void
witness_filled(Witness *witness)
{
    witness->lost = false;
    witness->filled = true;
    witness->lost_count = 0;
    witness->news = true;
}

/* Somebody who may know more has not been heard, and had not the time to be. */
static bool
is_in_doubt(const Witness *witness, const Topology *topology, uint64_t joined_ms)
{
    uint32_t timeout_ms = witness->config->peer_timeout_ms;
    uint32_t doubt_ms = timeout_ms < WITNESS_DOUBT_MS ? timeout_ms : WITNESS_DOUBT_MS;

    if (joined_ms >= doubt_ms)
        return false;
    for (uint32_t i = 0; i < topology->member_count; i++)
    {
        const MemberId *id = &topology->members[i].id;
        const Entry *entry = find_entry(witness, id);

        if (topology_is_present(topology, i) && !same_id(id, &witness->config->id) &&
            (entry == NULL || !entry->heard))
            return true;
    }
    return false;
}

bool
witness_withholds(const Witness *witness, const Topology *topology, uint64_t joined_ms)
{
    return witness->lost || is_in_doubt(witness, topology, joined_ms);
}

/* ---- votes ---- */

bool
witness_has_forgotten(const Witness *witness)
{
    VoteMark own = paxos_mark(witness->paxos);

    return witness->set_back || vote_mark_compare(&own, &witness->entries[0].votes) < 0;
}

static bool
has_heard_majority(const Witness *witness, const Topology *topology)
{
    uint32_t heard = 0;

    for (uint32_t i = 0; i < witness->entry_count; i++)
    {
        const Entry *entry = &witness->entries[i];

        heard +=
            (i == 0 || entry->heard) && topology_member(topology, &entry->id) != TOPOLOGY_NO_MEMBER;
    }
    return heard > topology->present / 2;
}

bool
witness_votes(const Witness *witness, const Topology *topology, uint64_t joined_ms)
{
    return !is_in_doubt(witness, topology, joined_ms) && has_heard_majority(witness, topology) &&
           !witness_has_forgotten(witness);
}

VoteMark
witness_own_votes(const Witness *witness)
{
    return witness->entries[0].votes;
}

void
witness_may_vote(Witness *witness)
{
    witness->set_back = false;
    witness->entries[0].votes = paxos_mark(witness->paxos);
    witness->news = true;
}

void
witness_take_vote(Witness *witness, const MemberId *id, const VoteMark *mark)
{
    remember_votes(witness, make_entry(witness, id), mark);
    witness->news = true;
}

/* ---- hellos ---- */

void
witness_fill_hello(const Witness *witness, const MemberId *to, HelloFrame *hello)
{
    const Entry *entry = to != NULL ? find_entry(witness, to) : NULL;

    if (witness->storage == NULL)
        return;
    hello->data = own_mark(witness);
    hello->disk = witness->storage->disk;
    hello->disk_why = slice_from_string(storage_disk_why(witness->storage));
    if (witness->lost)
        hello->data_state = DATA_REFILLING;
    else
        hello->data_state = entry != NULL && entry->heard ? DATA_WHOLE : DATA_UNPROVEN;
    hello->votes = paxos_mark(witness->paxos);
    if (entry == NULL)
        return;
    hello->remembered = entry->mark;
    hello->votes_remembered = entry->votes;
}

/* A member speaks for itself only from the address where the topology has it: a copy of its whole
 * folder that runs elsewhere is nobody. */
static bool
is_member(const Topology *topology, const HelloFrame *hello)
{
    uint32_t index = topology_member(topology, &hello->id);
    const Member *member = index == TOPOLOGY_NO_MEMBER ? NULL : &topology->members[index];

    return member != NULL && member->port == hello->port &&
           slice_equal(slice_from_string(member->address), hello->address);
}

static void
remember(Witness *witness, Entry *entry, const DataMark *mark)
{
    if (!same_run(&entry->mark.run, &mark->run))
        witness->news = true;
    else if (mark->commits <= entry->mark.commits)
        return;
    entry->mark = *mark;
    witness->changed = true;
}

/* Notes of the own data that knew of this mark's run would not be behind it by more than the time
 * between two of them. */
static bool
is_beyond_notes(const Witness *witness, const DataMark *mark)
{
    const DataMark *noted = &witness->entries[0].mark;

    return !same_run(&noted->run, &mark->run) && mark->commits > noted->commits;
}

/* What a peer remembers of this node is in its data, or they are lost. */
static void
check_own(Witness *witness, const HelloFrame *hello, Actions *actions)
{
    char who[128];

    if (holds(witness, &hello->remembered))
        return;
    if (witness->filled)
    {
        add_lost_run(witness, &hello->remembered.run);
        return;
    }
    if (!witness->lost || is_beyond_notes(witness, &hello->remembered))
        witness->set_back = witness->news = true;
    snprintf(who, sizeof(who), "node %.*s knows of later writes", (int)hello->name.length,
             (const char *)hello->name.data);
    lose(witness, &hello->remembered, who, actions);
}

bool
witness_take_hello(Witness *witness, const Topology *topology, const HelloFrame *hello,
                   Actions *actions)
{
    Entry *entry;
    bool first;

    if (witness->storage == NULL || hello->epoch == 0 ||
        same_id(&hello->id, &witness->config->id) || !is_member(topology, hello))
        return false;
    entry = make_entry(witness, &hello->id);
    first = !entry->heard;
    entry->heard = true;
    entry->state = hello->data_state;
    check_own(witness, hello, actions);
    remember_votes(witness, &witness->entries[0], &hello->votes_remembered);
    remember_votes(witness, entry, &hello->votes);
    if (hello->data_state == DATA_WHOLE && !data_mark_is_none(&hello->data))
        remember(witness, entry, &hello->data);
    return first && !witness->lost;
}

bool
witness_is_refilling(const Witness *witness, const MemberId *id)
{
    const Entry *entry = find_entry(witness, id);

    return entry != NULL && entry->state == DATA_REFILLING;
}
