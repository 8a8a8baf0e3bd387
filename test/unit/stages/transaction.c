/* Random transactions on one key and the model beside them, which applies one write after another.
 */
#include "test/unit/stages/transaction.h"

#include "test/unit/causality/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum
{
    BUCKET = 7,
    VALUES_MAX = 3,
    EVERY_COMMAND = UINT32_MAX
};

void
transaction_init(Transaction *transaction)
{
    static const uint8_t cluster_key[1][32] = {
        {1, 2, 3}
    };

    *transaction = (Transaction){.context_keys = context_keys(cluster_key, 1)};
    arena_init(&transaction->arena, &MEMORY_HEAP);
}

void
transaction_free(Transaction *transaction)
{
    arena_free(&transaction->arena);
}

void
transaction_begin(Transaction *transaction, uint64_t seed)
{
    Arena arena = transaction->arena;
    ContextKeys keys = transaction->context_keys;

    arena_reset(&arena);
    *transaction =
        (Transaction){.random = seed, .arena = arena, .context_keys = keys, .command = 1};
    transaction->key = (OverlayKey){.bucket_id = BUCKET, .key = slice_from_string("key")};
    history_random_fill(&transaction->random, transaction->key.transaction,
                        sizeof(transaction->key.transaction));
    history_random_fill(&transaction->random, &transaction->run.actor, sizeof(Actor));
}

static uint64_t
draw(Transaction *transaction, uint64_t bound)
{
    return history_random_below(&transaction->random, bound);
}

static Slice
copy_and_free(Transaction *transaction, Buffer *buffer)
{
    Slice copy = slice_copy(&transaction->arena, buffer_slice(buffer));

    buffer_free(buffer);
    return copy;
}

static PutValue
make_value(Transaction *transaction, const char *value)
{
    PutValue made = {.tombstone = value == NULL,
                     .value = value != NULL ? slice_from_string(value) : SLICE_EMPTY};

    history_random_fill(&transaction->random, &made.request, sizeof(made.request));
    return made;
}

/* ---- the store ---- */

static Object
decode(Transaction *transaction, Slice bytes)
{
    Object object = {0};

    if (bytes.length > 0)
        assert_true(object_decode(bytes, &transaction->arena, &object));
    return object;
}

static Slice
object_in(Slice record)
{
    Slice object = SLICE_EMPTY;

    assert_true(update_record_object(record, &object));
    return object;
}

Slice
transaction_stored(Transaction *transaction)
{
    return object_in(transaction->record);
}

Slice
transaction_seal(Transaction *transaction, Slice key, const VClock *clock)
{
    Buffer sealed;

    buffer_init(&sealed, &MEMORY_HEAP);
    context_seal(&sealed, &transaction->context_keys, BUCKET, key, &(Object){.context = *clock});
    return copy_and_free(transaction, &sealed);
}

static Slice
seal_object(Transaction *transaction, Slice bytes, Slice key)
{
    Object object = decode(transaction, bytes);

    return bytes.length > 0 ? transaction_seal(transaction, key, &object.context) : SLICE_EMPTY;
}

Slice
transaction_sealed_for(Transaction *transaction, Slice key)
{
    return seal_object(transaction, transaction_stored(transaction), key);
}

Slice
transaction_sealed(Transaction *transaction)
{
    return transaction_sealed_for(transaction, transaction->key.key);
}

/* Every put is later than the one before. */
static void
apply(Transaction *transaction, Put *put)
{
    Update update = {.put = put};
    Buffer record;
    Slice object;

    put->now_ms = ++transaction->stored_count;
    buffer_init(&record, &MEMORY_HEAP);
    assert_int_equal(update_apply(&transaction->run, transaction->record, &update, NULL,
                                  &transaction->arena, &record, &object),
                     UPDATE_CHANGED);
    transaction->record = copy_and_free(transaction, &record);
}

void
transaction_store(Transaction *transaction, const char *value, bool has_seen)
{
    PutValue made = make_value(transaction, value);
    Put put = {.values = &made, .value_count = 1};

    if (has_seen)
    {
        put.past.context = decode(transaction, transaction_stored(transaction)).context;
        transaction->overwritten |= transaction->stored;
    }
    transaction->stored |= UINT64_C(1) << transaction->stored_count;
    apply(transaction, &put);
}

/* ---- the transaction ---- */

Slice
transaction_join(Transaction *transaction, Slice a, Slice b)
{
    Buffer joined;

    buffer_init(&joined, &MEMORY_HEAP);
    buffer_put(&joined, a.data, a.length);
    buffer_put(&joined, b.data, b.length);
    return copy_and_free(transaction, &joined);
}

StatusCode
transaction_put(Transaction *transaction, uint32_t command, Slice context,
                const char *const *values, uint32_t value_count)
{
    OverlayPut *put = &transaction->puts[transaction->put_count].put;
    StatusCode status;

    assert_true(transaction->put_count < TRANSACTION_WRITES_MAX);
    status = overlay_take_context(&transaction->arena, &transaction->key, context, put);
    if (status != STATUS_OK)
        return status;
    put->older = transaction->newest;
    put->number = transaction->through + 1;
    put->command = command;
    put->values = ARENA_ARRAY(&transaction->arena, PutValue, value_count);
    put->value_count = value_count;
    for (uint32_t i = 0; i < value_count; i++)
    {
        put->values[i] = make_value(transaction, values[i]);
        put->values[i].request = put->values[0].request;
        put->values[i].request.bytes[15] = (uint8_t)i;
    }
    transaction->through += value_count;
    transaction->newest = put;
    transaction->put_count++;
    return STATUS_OK;
}

void
transaction_roll_back(Transaction *transaction, uint32_t kept)
{
    uint32_t count = 0;

    for (const OverlayPut *put = transaction->newest; put != NULL; put = put->older)
        count++;
    for (; count > kept; count--)
    {
        const TransactionPut *cut = (const TransactionPut *)transaction->newest;

        transaction->rolled_back |= UINT64_C(1) << (cut - transaction->puts);
        transaction->newest = cut->put.older;
    }
}

static TransactionRead
read_over(Transaction *transaction, uint32_t before_command, Slice stored)
{
    OverlayRead read = {.key = transaction->key,
                        .through = transaction->through,
                        .newest = transaction->newest,
                        .before_command = before_command,
                        .object = stored,
                        .context = seal_object(transaction, stored, transaction->key.key)};
    Buffer object;
    Buffer context;

    if (!overlay_is_seen(read.newest, before_command))
        return (TransactionRead){read.object, read.context};
    buffer_init(&object, &MEMORY_HEAP);
    buffer_init(&context, &MEMORY_HEAP);
    assert_true(overlay_read(&transaction->arena, &read, &object, &context));
    return (TransactionRead){copy_and_free(transaction, &object),
                             copy_and_free(transaction, &context)};
}

TransactionRead
transaction_read(Transaction *transaction, uint32_t before_command)
{
    return read_over(transaction, before_command, transaction_stored(transaction));
}

void
transaction_leave(Transaction *transaction)
{
    OverlayOutcome outcome =
        overlay_leave(&transaction->arena, &transaction->key, transaction->newest, NULL);
    Put put = {.values = outcome.values, .value_count = outcome.value_count};

    assert_int_equal(context_open(outcome.context, &transaction->context_keys, BUCKET,
                                  transaction->key.key, &transaction->arena, &put.past),
                     CONTEXT_OK);
    if (outcome.value_count > 0)
        apply(transaction, &put);
}

const char *
transaction_values(Transaction *transaction, Slice object)
{
    Object decoded = decode(transaction, object);
    Buffer text;

    buffer_init(&text, &MEMORY_HEAP);
    for (uint32_t i = 0; i < decoded.sibling_count; i++)
    {
        if (decoded.siblings[i].tombstone)
            continue;
        if (text.length > 0)
            buffer_put_u8(&text, ' ');
        buffer_put(&text, decoded.siblings[i].value.data, decoded.siblings[i].value.length);
    }
    buffer_put_u8(&text, '\0');
    return (const char *)copy_and_free(transaction, &text).data;
}

/* ---- the model ---- */

typedef struct Model
{
    TransactionSeen alive;
    TransactionSeen seen; /* by the puts that are applied, and these */
} Model;

/* One put after another that a reader sees, applied to what the store has alive. */
static Model
model_of(const Transaction *transaction, uint32_t before_command, uint64_t stored)
{
    Model model = {.alive = {.stored = stored}};

    for (uint32_t i = 0; i < transaction->put_count; i++)
    {
        const TransactionPut *put = &transaction->puts[i];
        uint64_t bit = UINT64_C(1) << i;

        if ((transaction->rolled_back & bit) != 0 || put->put.command >= before_command)
            continue;
        model.alive.stored &= ~put->covers.stored;
        model.alive.puts &= ~put->covers.puts;
        model.alive.puts |= bit;
        model.seen.stored |= put->covers.stored;
        model.seen.puts |= bit;
    }
    return model;
}

/* As transaction_values says it. */
static void
assert_values_are(Transaction *transaction, const Model *model, Slice object)
{
    char expected[4096] = "";
    size_t length = 0;

    for (uint32_t i = 0; i < TRANSACTION_WRITES_MAX; i++)
    {
        if ((model->alive.stored >> i & 1) != 0)
            length += (size_t)snprintf(expected + length, sizeof(expected) - length, "%ss%u",
                                       length > 0 ? " " : "", i);
    }
    for (uint32_t i = 0; i < transaction->put_count; i++)
    {
        const OverlayPut *put = &transaction->puts[i].put;

        for (uint32_t v = 0; (model->alive.puts >> i & 1) != 0 && v < put->value_count; v++)
            if (!put->values[v].tombstone)
                length += (size_t)snprintf(expected + length, sizeof(expected) - length, "%sp%u.%u",
                                           length > 0 ? " " : "", i, v);
    }
    assert_string_equal(transaction_values(transaction, object), expected);
}

/* ---- by chance ---- */

static const char *
name_value(Transaction *transaction, const char *format, uint32_t a, uint32_t b)
{
    char name[32];

    snprintf(name, sizeof(name), format, a, b);
    return arena_copy_string(&transaction->arena, name, strlen(name));
}

static void
somebody_writes(Transaction *transaction)
{
    transaction_store(transaction, name_value(transaction, "s%u", transaction->stored_count, 0),
                      draw(transaction, 3) == 0);
}

static void
keep_context(Transaction *transaction, Slice bytes, TransactionSeen seen)
{
    uint32_t index = transaction->context_count < TRANSACTION_CONTEXTS_MAX
                         ? transaction->context_count++
                         : (uint32_t)draw(transaction, TRANSACTION_CONTEXTS_MAX);

    transaction->contexts[index] = (TransactionContext){bytes, seen};
}

/* Sometimes a cursor's, of an earlier command. */
static void
read_something(Transaction *transaction)
{
    uint32_t command = draw(transaction, 4) == 0
                           ? 1 + (uint32_t)draw(transaction, transaction->command)
                           : transaction->command;
    Model model = model_of(transaction, command, transaction->stored & ~transaction->overwritten);
    TransactionRead read = transaction_read(transaction, command);

    assert_int_equal(model.seen.puts != 0, overlay_is_seen(transaction->newest, command));
    assert_values_are(transaction, &model, read.object);
    model.seen.stored |= transaction->stored;
    keep_context(transaction, read.context, model.seen);
}

/* None, one that was read, or two of them. */
static Slice
choose_context(Transaction *transaction, TransactionSeen *seen)
{
    Slice chosen = SLICE_EMPTY;

    *seen = (TransactionSeen){0};
    for (uint64_t left = draw(transaction, 3); left > 0 && transaction->context_count > 0; left--)
    {
        const TransactionContext *context =
            &transaction->contexts[draw(transaction, transaction->context_count)];

        chosen = transaction_join(transaction, chosen, context->bytes);
        seen->stored |= context->seen.stored;
        seen->puts |= context->seen.puts;
    }
    return chosen;
}

/* Sometimes of a command that a later one runs inside of. */
static void
write_something(Transaction *transaction)
{
    TransactionPut *put = &transaction->puts[transaction->put_count];
    uint32_t command = transaction->command - (uint32_t)draw(transaction, 2);
    uint32_t count = 1 + (uint32_t)draw(transaction, VALUES_MAX);
    bool tombstone = draw(transaction, 4) == 0;
    const char *values[VALUES_MAX] = {NULL};
    Slice context = choose_context(transaction, &put->covers);

    for (uint32_t i = 0; i < count && !tombstone; i++)
        values[i] = name_value(transaction, "p%u.%u", transaction->put_count, i);
    assert_int_equal(transaction_put(transaction, command, context, values, tombstone ? 1 : count),
                     STATUS_OK);
}

void
transaction_step(Transaction *transaction)
{
    switch (draw(transaction, 8))
    {
    case 0:
        somebody_writes(transaction);
        break;
    case 1:
    case 2:
        read_something(transaction);
        break;
    case 3:
    case 4:
    case 5:
        write_something(transaction);
        break;
    case 6:
        transaction->command++;
        break;
    default:
        if (draw(transaction, 4) == 0)
            transaction_roll_back(transaction,
                                  (uint32_t)draw(transaction, transaction->put_count + 1));
    }
}

void
transaction_end(Transaction *transaction)
{
    Model model =
        model_of(transaction, EVERY_COMMAND, transaction->stored & ~transaction->overwritten);

    if (transaction->newest != NULL)
        transaction_leave(transaction);
    assert_values_are(transaction, &model, transaction_stored(transaction));
}
