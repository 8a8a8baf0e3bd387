/* Codecs of what nodes tell each other of themselves: hellos, with the marks of their data, and the
 * frames of Paxos, which have one shape. */
#include "shared/wire/message.h"

#include <string.h>

static void
put_id(Buffer *buffer, const MemberId *id)
{
    buffer_put(buffer, id->bytes, sizeof(id->bytes));
}

static MemberId
reader_id(Reader *reader)
{
    MemberId id;

    reader_copy(reader, id.bytes, sizeof(id.bytes));
    return id;
}

void
data_mark_encode(Buffer *buffer, const DataMark *mark)
{
    buffer_put(buffer, mark->run.bytes, sizeof(mark->run.bytes));
    buffer_put_varint(buffer, mark->commits);
}

DataMark
data_mark_decode(Reader *reader)
{
    DataMark mark;

    reader_copy(reader, mark.run.bytes, sizeof(mark.run.bytes));
    mark.commits = reader_varint(reader);
    return mark;
}

bool
data_mark_is_none(const DataMark *mark)
{
    static const RunId NONE;

    return memcmp(&mark->run, &NONE, sizeof(RunId)) == 0;
}

const char *
disk_state_name(DiskState state)
{
    static const char *const NAMES[] = {
        [DISK_WELL] = "well", [DISK_FULL] = "full", [DISK_FAILED] = "failed"};

    return NAMES[state];
}

int
ballot_compare(const Ballot *a, const Ballot *b)
{
    if (a->round != b->round)
        return a->round < b->round ? -1 : 1;
    return memcmp(&a->proposer, &b->proposer, sizeof(MemberId));
}

void
ballot_encode(Buffer *buffer, const Ballot *ballot)
{
    buffer_put_varint(buffer, ballot->round);
    put_id(buffer, &ballot->proposer);
}

Ballot
ballot_decode(Reader *reader)
{
    Ballot ballot = {.round = reader_varint(reader)};

    ballot.proposer = reader_id(reader);
    return ballot;
}

int
vote_mark_compare(const VoteMark *a, const VoteMark *b)
{
    int order;

    if (a->epoch != b->epoch)
        return a->epoch < b->epoch ? -1 : 1;
    order = ballot_compare(&a->promised, &b->promised);
    return order != 0 ? order : ballot_compare(&a->accepted, &b->accepted);
}

void
vote_mark_encode(Buffer *buffer, const VoteMark *mark)
{
    buffer_put_varint(buffer, mark->epoch);
    ballot_encode(buffer, &mark->promised);
    ballot_encode(buffer, &mark->accepted);
}

VoteMark
vote_mark_decode(Reader *reader)
{
    VoteMark mark = {.epoch = reader_varint(reader)};

    mark.promised = ballot_decode(reader);
    mark.accepted = ballot_decode(reader);
    return mark;
}

void
hello_encode(Buffer *buffer, FrameType type, uint32_t tag, const HelloFrame *hello)
{
    frame_encode_header(buffer, type, tag);
    put_id(buffer, &hello->id);
    buffer_put_slice(buffer, hello->name);
    buffer_put_slice(buffer, hello->address);
    buffer_put_u16(buffer, hello->port);
    buffer_put_slice(buffer, hello->zone);
    buffer_put_varint(buffer, hello->weight);
    buffer_put_varint(buffer, hello->partitions);
    buffer_put_varint(buffer, hello->epoch);
    buffer_put(buffer, hello->cluster, sizeof(hello->cluster));
    buffer_put_slice(buffer, hello->seeds);
    data_mark_encode(buffer, &hello->data);
    buffer_put_u8(buffer, (uint8_t)hello->data_state);
    data_mark_encode(buffer, &hello->remembered);
    vote_mark_encode(buffer, &hello->votes);
    vote_mark_encode(buffer, &hello->votes_remembered);
    buffer_put_u8(buffer, (uint8_t)hello->disk);
    buffer_put_slice(buffer, hello->disk_why);
    buffer_put_u8(buffer, hello->ready);
    buffer_put_slice(buffer, hello->done);
}

bool
hello_decode(const Frame *frame, HelloFrame *hello)
{
    Reader reader = reader_begin(frame->body);
    uint8_t state;
    uint8_t disk;

    hello->id = reader_id(&reader);
    hello->name = reader_slice(&reader);
    hello->address = reader_slice(&reader);
    hello->port = reader_u16(&reader);
    hello->zone = reader_slice(&reader);
    hello->weight = reader_varint32(&reader);
    hello->partitions = reader_varint32(&reader);
    hello->epoch = reader_varint(&reader);
    reader_copy(&reader, hello->cluster, sizeof(hello->cluster));
    hello->seeds = reader_slice(&reader);
    hello->data = data_mark_decode(&reader);
    state = reader_u8(&reader);
    hello->data_state = (DataState)state;
    hello->remembered = data_mark_decode(&reader);
    hello->votes = vote_mark_decode(&reader);
    hello->votes_remembered = vote_mark_decode(&reader);
    disk = reader_u8(&reader);
    hello->disk = (DiskState)disk;
    hello->disk_why = reader_slice(&reader);
    hello->ready = reader_bool(&reader);
    hello->done = reader_slice(&reader);
    return reader_finish(&reader) && state <= DATA_REFILLING && disk <= DISK_FAILED &&
           hello->done.length <= RING_PARTITIONS_MAX / 8;
}

void
paxos_frame_encode(Buffer *buffer, FrameType type, uint32_t tag, const PaxosFrame *paxos)
{
    frame_encode_header(buffer, type, tag);
    buffer_put_varint(buffer, paxos->epoch);
    ballot_encode(buffer, &paxos->ballot);
    buffer_put_u8(buffer, paxos->ok);
    ballot_encode(buffer, &paxos->promised);
    ballot_encode(buffer, &paxos->accepted);
    buffer_put_slice(buffer, paxos->document);
}

bool
paxos_frame_decode(const Frame *frame, PaxosFrame *paxos)
{
    Reader reader = reader_begin(frame->body);

    paxos->epoch = reader_varint(&reader);
    paxos->ballot = ballot_decode(&reader);
    paxos->ok = reader_bool(&reader);
    paxos->promised = ballot_decode(&reader);
    paxos->accepted = ballot_decode(&reader);
    paxos->document = reader_slice(&reader);
    return reader_finish(&reader);
}
