/*
 * Finds, installs, orders and removes cluster keys, and reads and writes their text.
 *
 * The order of the keys is their meaning: the first one is in use. So putting a key in use moves it
 * to the front and shifts those before it back by one.
 */
#include "node/config/keyring.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* The id is the one that contexts and logins carry, so that an error at either place names the key
 * that a person can look up. */
void
keyring_id(const uint8_t key[CLUSTER_KEY_BYTES], char id[KEYRING_ID_SIZE])
{
    ContextKeys derived = context_keys((const uint8_t(*)[CLUSTER_KEY_BYTES])key, 1);

    sodium_bin2hex(id, KEYRING_ID_SIZE, derived.keys[0].id, CONTEXT_KEY_ID_BYTES);
    sodium_memzero(&derived, sizeof(derived));
}

/* The index of the key with this id, count when there is none. */
static uint32_t
find_cluster_key(const ClusterKeys *ring, const char *id)
{
    char each[KEYRING_ID_SIZE];
    uint32_t i = 0;

    for (; i < ring->count; i++)
    {
        keyring_id(ring->keys[i], each);
        if (strcmp(each, id) == 0)
            break;
    }
    return i;
}

/* ---- text ---- */

static bool
is_blank(char letter)
{
    return letter == ' ' || letter == '\t' || letter == '\r';
}

static Slice
trim_key_line(const char *text, size_t length)
{
    while (length > 0 && is_blank(text[length - 1]))
        length--;
    for (; length > 0 && is_blank(*text); length--)
        text++;
    return slice_make(text, length);
}

static Outcome
parse_digits(uint8_t key[CLUSTER_KEY_BYTES], Slice digits)
{
    size_t got;

    if (digits.length != 2 * CLUSTER_KEY_BYTES ||
        sodium_hex2bin(key, CLUSTER_KEY_BYTES, (const char *)digits.data, digits.length, NULL, &got,
                       NULL) != 0 ||
        got != CLUSTER_KEY_BYTES)
        return outcome_error("not a cluster key: expected %d hex digits", 2 * CLUSTER_KEY_BYTES);
    return outcome_ok();
}

Outcome
keyring_parse_key(uint8_t key[CLUSTER_KEY_BYTES], const char *text)
{
    return parse_digits(key, trim_key_line(text, strcspn(text, "\n")));
}

static Outcome
parse_key_line(ClusterKeys *ring, Slice line)
{
    uint8_t key[CLUSTER_KEY_BYTES];
    Outcome outcome = outcome_ok();

    if (line.length == 0)
        return outcome;
    outcome = parse_digits(key, line);
    if (!outcome.failed)
        outcome = keyring_install(ring, key);
    sodium_memzero(key, sizeof(key));
    return outcome;
}

Outcome
keyring_parse(ClusterKeys *ring, const char *text, size_t length, const char *file_name)
{
    Outcome outcome = outcome_ok();
    int line_number = 0;

    memset(ring, 0, sizeof(*ring));
    if (memchr(text, '\0', length) != NULL)
        return outcome_error("\"%.200s\" is not a text file", file_name);
    while (length > 0 && !outcome.failed)
    {
        const char *end = memchr(text, '\n', length);
        size_t line = end == NULL ? length : (size_t)(end - text);
        size_t taken = end == NULL ? line : line + 1;

        line_number++;
        outcome = parse_key_line(ring, trim_key_line(text, line));
        text += taken;
        length -= taken;
    }
    if (outcome.failed)
        outcome =
            outcome_error("\"%.200s\" line %d: %.128s", file_name, line_number, outcome.message);
    else if (ring->count == 0)
        outcome = outcome_error("\"%.200s\" has no cluster key: expected %d hex digits a line",
                                file_name, 2 * CLUSTER_KEY_BYTES);
    if (outcome.failed)
        sodium_memzero(ring, sizeof(*ring));
    return outcome;
}

void
keyring_format(const ClusterKeys *ring, char text[KEYRING_TEXT_SIZE])
{
    *text = '\0';
    for (uint32_t i = 0; i < ring->count; i++)
    {
        sodium_bin2hex(text, 2 * CLUSTER_KEY_BYTES + 1, ring->keys[i], CLUSTER_KEY_BYTES);
        text += 2 * CLUSTER_KEY_BYTES;
        strcpy(text++, "\n");
    }
}

/* ---- changes ---- */

Outcome
keyring_install(ClusterKeys *ring, const uint8_t key[CLUSTER_KEY_BYTES])
{
    char id[KEYRING_ID_SIZE];
    uint32_t found;

    keyring_id(key, id);
    found = find_cluster_key(ring, id);
    if (found < ring->count)
        return sodium_memcmp(ring->keys[found], key, CLUSTER_KEY_BYTES) == 0
                   ? outcome_error("cluster key %s is installed already", id)
                   : outcome_error("another cluster key has the id %s; generate a new one", id);
    if (ring->count == CLUSTER_KEYS_MAX)
        return outcome_error(
            "a node can have %d cluster keys and has them all; remove one that is not in use",
            CLUSTER_KEYS_MAX);
    memcpy(ring->keys[ring->count++], key, CLUSTER_KEY_BYTES);
    return outcome_ok();
}

static Outcome
find_or_fail(const ClusterKeys *ring, const char *id, uint32_t *index)
{
    *index = find_cluster_key(ring, id);
    if (*index == ring->count)
        return outcome_error("there is no cluster key %.64s here (dynamo_node key list -D DIR)",
                             id);
    return outcome_ok();
}

Outcome
keyring_use(ClusterKeys *ring, const char *id)
{
    uint8_t key[CLUSTER_KEY_BYTES];
    uint32_t index;
    Outcome outcome = find_or_fail(ring, id, &index);

    if (outcome.failed)
        return outcome;
    memcpy(key, ring->keys[index], sizeof(key));
    memmove(ring->keys[1], ring->keys[0], index * sizeof(key));
    memcpy(ring->keys[0], key, sizeof(key));
    sodium_memzero(key, sizeof(key));
    return outcome;
}

Outcome
keyring_remove(ClusterKeys *ring, const char *id)
{
    uint32_t index;
    Outcome outcome = find_or_fail(ring, id, &index);

    if (outcome.failed)
        return outcome;
    if (index == 0)
        return outcome_error(
            "cluster key %.64s is in use; put another one in use first, on every node", id);
    ring->count--;
    memmove(ring->keys[index], ring->keys[index + 1],
            (ring->count - index) * sizeof(ring->keys[0]));
    sodium_memzero(ring->keys[ring->count], sizeof(ring->keys[0]));
    return outcome;
}
