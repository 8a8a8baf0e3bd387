/*
 * Encodes packets up to what a datagram holds, and decodes what anybody may have sent: whatever is
 * not exactly a packet is refused as a whole.
 */
#include "node/engine/cluster/gossip_packet.h"

#include <string.h>

enum
{
    LOAD_REFUSES_WRITES = 1,
    LOAD_REFUSES_READS = 2
};

static void
encode_load(Buffer *buffer, const GossipLoad *load)
{
    buffer_put_varint(buffer, load->operations);
    buffer_put_varint(buffer, load->hints);
    buffer_put_u8(buffer, (uint8_t)((load->refuses_writes ? LOAD_REFUSES_WRITES : 0) |
                                    (load->refuses_reads ? LOAD_REFUSES_READS : 0)));
}

static GossipLoad
decode_load(Reader *reader)
{
    GossipLoad load = {.operations = reader_varint32(reader), .hints = reader_varint32(reader)};
    uint8_t flags = reader_u8(reader);

    if (flags > (LOAD_REFUSES_WRITES | LOAD_REFUSES_READS))
        reader_fail(reader);
    load.refuses_writes = (flags & LOAD_REFUSES_WRITES) != 0;
    load.refuses_reads = (flags & LOAD_REFUSES_READS) != 0;
    return load;
}

static void
encode_header(Buffer *buffer, const GossipPacket *packet)
{
    buffer_put(buffer, packet->cluster, sizeof(packet->cluster));
    buffer_put(buffer, &packet->sender, sizeof(MemberId));
    buffer_put(buffer, &packet->target, sizeof(MemberId));
    buffer_put_u64(buffer, packet->run);
    buffer_put_varint(buffer, packet->counter);
    buffer_put_varint(buffer, packet->incarnation);
    buffer_put_varint(buffer, packet->epoch);
    encode_load(buffer, &packet->load);
}

static void
decode_header(Reader *reader, GossipPacket *packet)
{
    reader_copy(reader, packet->cluster, sizeof(packet->cluster));
    reader_copy(reader, &packet->sender, sizeof(MemberId));
    reader_copy(reader, &packet->target, sizeof(MemberId));
    packet->run = reader_u64(reader);
    packet->counter = reader_varint(reader);
    packet->incarnation = reader_varint(reader);
    packet->epoch = reader_varint(reader);
    packet->load = decode_load(reader);
}

static bool
has_number(GossipKind kind)
{
    return kind == GOSSIP_PING || kind == GOSSIP_PING_REQUEST || kind == GOSSIP_ACK;
}

static bool
has_echo(GossipKind kind)
{
    return kind == GOSSIP_ACK || kind == GOSSIP_NACK;
}

static void
encode_message(Buffer *buffer, const GossipPacket *packet)
{
    buffer_put_u8(buffer, (uint8_t)packet->kind);
    if (has_number(packet->kind))
        buffer_put_u64(buffer, packet->number);
    if (has_echo(packet->kind))
        buffer_put_u64(buffer, packet->echo);
    if (packet->kind == GOSSIP_PING_REQUEST)
        buffer_put(buffer, &packet->subject, sizeof(MemberId));
}

static void
decode_message(Reader *reader, GossipPacket *packet)
{
    uint8_t kind = reader_u8(reader);

    if (kind == 0 || kind >= GOSSIP_KIND_END)
        reader_fail(reader);
    packet->kind = (GossipKind)kind;
    packet->number = has_number(packet->kind) ? reader_u64(reader) : 0;
    packet->echo = has_echo(packet->kind) ? reader_u64(reader) : 0;
    packet->subject = (MemberId){0};
    if (packet->kind == GOSSIP_PING_REQUEST)
        reader_copy(reader, &packet->subject, sizeof(MemberId));
}

static void
encode_update(Buffer *buffer, const GossipUpdate *update)
{
    buffer_put(buffer, &update->id, sizeof(MemberId));
    buffer_put_u8(buffer, (uint8_t)update->state);
    buffer_put_varint(buffer, update->incarnation);
    if (update->state != GOSSIP_SUSPECT)
        return;
    buffer_put_u8(buffer, (uint8_t)update->accuser_count);
    buffer_put(buffer, update->accusers, update->accuser_count * sizeof(MemberId));
}

static void
decode_update(Reader *reader, GossipUpdate *update)
{
    uint8_t state;

    reader_copy(reader, &update->id, sizeof(MemberId));
    state = reader_u8(reader);
    if (state == GOSSIP_UNKNOWN || state >= GOSSIP_LEFT)
        reader_fail(reader);
    update->state = (GossipState)state;
    update->incarnation = reader_varint(reader);
    update->accuser_count = 0;
    if (update->state != GOSSIP_SUSPECT)
        return;
    update->accuser_count = reader_u8(reader);
    if (update->accuser_count > GOSSIP_ACCUSERS_MAX)
        reader_fail(reader);
    else
        reader_copy(reader, update->accusers, update->accuser_count * sizeof(MemberId));
}

uint32_t
gossip_packet_encode(Buffer *buffer, const GossipPacket *packet)
{
    size_t start = buffer->length;
    size_t count_at;
    uint32_t count = 0;

    encode_header(buffer, packet);
    encode_message(buffer, packet);
    count_at = buffer->length;
    buffer_put_u8(buffer, 0);
    while (count < packet->update_count)
    {
        size_t before = buffer->length;

        encode_update(buffer, &packet->updates[count]);
        if (buffer->length - start > GOSSIP_PACKET_MAX)
        {
            buffer->length = before;
            break;
        }
        count++;
    }
    buffer->data[count_at] = (uint8_t)count;
    return count;
}

bool
gossip_packet_decode(Slice bytes, GossipPacket *packet)
{
    Reader reader = reader_begin(bytes);

    decode_header(&reader, packet);
    decode_message(&reader, packet);
    packet->update_count = reader_u8(&reader);
    if (packet->update_count > GOSSIP_UPDATES_MAX || bytes.length > GOSSIP_PACKET_MAX)
        reader_fail(&reader);
    for (uint32_t i = 0; i < packet->update_count && !reader.failed; i++)
        decode_update(&reader, &packet->updates[i]);
    return reader_finish(&reader);
}
