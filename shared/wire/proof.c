/* Looks at the messages of a server during a login, one by one, before libpq does. Authentication
 * requests are checked, each in its turn, and ReadyForQuery ends the login once the proof is given;
 * whatever else a server says passes. */
#include "shared/wire/proof.h"

#include <string.h>

enum
{
    HEAD_BYTES = 5, /* type and length */
    CODE_BYTES = 4,
    AUTHENTICATION_OK = 0,
    AUTHENTICATION_SASL = 10,
    AUTHENTICATION_SASL_CONTINUE = 11,
    AUTHENTICATION_SASL_FINAL = 12
};

static void
fail_proof(Proof *proof, const char *error)
{
    proof->error = error;
}

/* The bytes up to the next comma, which is taken too; or to the end. */
static Slice
next_attribute(Reader *reader)
{
    size_t left = reader_left(reader);
    const uint8_t *comma = left > 0 ? memchr(reader->at, ',', left) : NULL;
    Slice attribute = reader_take(reader, comma == NULL ? left : (size_t)(comma - reader->at));

    if (comma != NULL)
        reader_u8(reader);
    return attribute;
}

static bool
is_attribute(Slice attribute, char name)
{
    return attribute.length > 2 && attribute.data[0] == (uint8_t)name && attribute.data[1] == '=';
}

/* Digits and nothing else, where libpq would take blanks and signs. */
static bool
iterations_are_fit(Slice attribute)
{
    uint32_t count = 0;

    if (attribute.length > sizeof("i=999999") - 1)
        return false;
    for (size_t i = 2; i < attribute.length; i++)
    {
        if (attribute.data[i] < '0' || attribute.data[i] > '9')
            return false;
        count = count * 10 + (uint32_t)(attribute.data[i] - '0');
    }
    return count >= PROOF_ITERATIONS_MIN && count <= PROOF_ITERATIONS_MAX;
}

/* server-first-message of RFC 5802 section 7: "r=nonce,s=salt,i=iterations". */
static void
look_at_first(Proof *proof, Slice message)
{
    Reader reader = reader_begin(message);
    Slice nonce = next_attribute(&reader);
    Slice salt = next_attribute(&reader);
    Slice iterations = next_attribute(&reader);

    if (message.length > PROOF_FIRST_MAX || memchr(message.data, '\0', message.length) != NULL ||
        !is_attribute(nonce, 'r') || !is_attribute(salt, 's') || !is_attribute(iterations, 'i') ||
        !reader_finish(&reader))
        fail_proof(proof, "the server sent a malformed SCRAM message");
    else if (!iterations_are_fit(iterations))
        fail_proof(proof,
                   "the server asks for a number of SCRAM iterations outside of 4096 to 100000");
    else
    {
        memcpy(proof->first, message.data, message.length);
        proof->first_length = message.length;
    }
}

/* The list of mechanisms: each ends with a NUL, as does the list. */
static void
look_at_mechanisms(Proof *proof, Slice list)
{
    static const char *const known[] = {"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"};

    while (list.length > 1)
    {
        const uint8_t *end = memchr(list.data, '\0', list.length);
        size_t length = end == NULL ? list.length : (size_t)(end - list.data);
        Slice name = slice_make(list.data, length);

        if (!slice_equal(name, slice_from_string(known[0])) &&
            !slice_equal(name, slice_from_string(known[1])))
        {
            fail_proof(proof, "the server offers another mechanism than SCRAM-SHA-256");
            return;
        }
        length = length == list.length ? length : length + 1;
        list = slice_make(list.data + length, list.length - length);
    }
}

/* Each request moves the stage on by one, so that each may come once: a second SASLContinue could
 * ask for another computation, for ever. */
static void
look_at_authentication(Proof *proof, Slice body)
{
    static const uint32_t awaited[] = {
        [PROOF_AWAIT_SASL] = AUTHENTICATION_SASL,
        [PROOF_AWAIT_CONTINUE] = AUTHENTICATION_SASL_CONTINUE,
        [PROOF_AWAIT_FINAL] = AUTHENTICATION_SASL_FINAL,
        [PROOF_AWAIT_OK] = AUTHENTICATION_OK,
    };
    Reader reader = reader_begin(body);
    uint32_t code = reader_u32(&reader);
    Slice rest = slice_make(reader.at, reader_left(&reader));

    if (reader.failed || proof->stage >= PROOF_GIVEN)
        fail_proof(proof, "the server sent an authentication request that has no place");
    else if (code == AUTHENTICATION_OK && proof->stage != PROOF_AWAIT_OK)
        fail_proof(proof, "the server lets us in without a proof that it knows the password");
    else if (code != awaited[proof->stage])
        fail_proof(proof, proof->stage == PROOF_AWAIT_SASL
                              ? "the server asks for another login than SCRAM-SHA-256"
                              : "the server left the order of a SCRAM login");
    else if (code == AUTHENTICATION_SASL)
        look_at_mechanisms(proof, rest);
    else if (code == AUTHENTICATION_SASL_CONTINUE)
        look_at_first(proof, rest);
    proof->stage++;
}

/* The length of the message at the start of bytes, with its type; 0 when that is not known yet. */
static size_t
message_length(Proof *proof, Slice bytes)
{
    Reader reader = reader_begin(bytes);
    uint8_t type;
    uint32_t length;

    if (bytes.length < HEAD_BYTES)
        return 0;
    type = reader_u8(&reader);
    length = reader_u32(&reader);
    if (length < CODE_BYTES ||
        length > (type == 'R' ? PROOF_AUTHENTICATION_MAX : PROOF_MESSAGE_MAX))
        fail_proof(proof, "the server does not speak the PostgreSQL protocol");
    return (size_t)length + 1;
}

/* Whole messages alone are let through: libpq would wait for the rest of one and could not be shown
 * it later. */
size_t
proof_take(Proof *proof, Slice bytes)
{
    size_t taken = 0;

    while (proof->stage != PROOF_READY && proof->error == NULL)
    {
        Slice left = slice_make(bytes.data + taken, bytes.length - taken);
        size_t length = message_length(proof, left);

        if (length == 0 || length > left.length || proof->error != NULL)
            break;
        if (left.data[0] == 'R')
            look_at_authentication(proof, slice_make(left.data + HEAD_BYTES, length - HEAD_BYTES));
        else if (left.data[0] == 'Z' && proof->stage == PROOF_GIVEN)
            proof->stage = PROOF_READY;
        taken += length;
    }
    return taken;
}
