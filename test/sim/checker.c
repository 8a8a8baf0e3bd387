/* The record: who wrote what, in which context, and what was said about it. */
#include "test/sim/checker_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/lib/random.h"

enum
{
    VALUE_FILL_MAX = 120,
    REQUEST_HASH_BYTES = 12
};

static void *
grow(void *array, uint32_t count, uint32_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    *capacity = *capacity ? *capacity * 2 : 64;
    return memory_resize(&MEMORY_HEAP, array, *capacity * size);
}

Checker *
checker_new(uint64_t seed, const ContextKeys *keys, const CheckerHooks *hooks)
{
    Checker *checker = memory_resize(&MEMORY_HEAP, NULL, sizeof(Checker));

    *checker = (Checker){.seed = seed, .context_keys = *keys, .restored = CHECKER_NONE};
    if (hooks != NULL)
        checker->hooks = *hooks;
    arena_init(&checker->arena, &MEMORY_HEAP);
    arena_init(&checker->scratch, &MEMORY_HEAP);
    return checker;
}

void
checker_free(Checker *checker)
{
    for (uint32_t i = 0; i < checker->key_count; i++)
        free(checker->keys[i]);
    free(checker->keys);
    free(checker->puts);
    free(checker->versions);
    free(checker->dots);
    free(checker->dot_table);
    free(checker->epochs);
    free(checker->verdict);
    arena_free(&checker->arena);
    arena_free(&checker->scratch);
    free(checker);
}

void
checker_allow_amnesia(Checker *checker)
{
    checker->amnesia = true;
}

void
checker_crashed(Checker *checker)
{
    checker->crashes++;
}

void
checker_allow_restore(Checker *checker, uint32_t host)
{
    checker->restored = host;
}

uint32_t
checker_add_key(Checker *checker, uint32_t bucket_id, Slice key, uint32_t n)
{
    KeyRecord *record = memory_resize(&MEMORY_HEAP, NULL, sizeof(KeyRecord));

    memset(record, 0, sizeof(*record));
    record->bucket_id = bucket_id;
    record->key = slice_copy(&checker->arena, key);
    record->n = n;
    checker->keys =
        memory_resize(&MEMORY_HEAP, checker->keys, (checker->key_count + 1) * sizeof(KeyRecord *));
    checker->keys[checker->key_count] = record;
    return checker->key_count++;
}

uint32_t
checker_find_key(const Checker *checker, uint32_t bucket_id, Slice key)
{
    for (uint32_t i = 0; i < checker->key_count; i++)
    {
        if (checker->keys[i]->bucket_id == bucket_id && slice_equal(checker->keys[i]->key, key))
            return i;
    }
    return CHECKER_NONE;
}

Slice
checker_key(const Checker *checker, uint32_t key)
{
    return checker->keys[key]->key;
}

uint32_t
checker_key_count(const Checker *checker)
{
    return checker->key_count;
}

/* Looks random, so that the order of siblings is not the order of writing, and ends in the
 * version's number. */
static RequestId
make_request_id(const Checker *checker, uint32_t version)
{
    RequestId request;
    Random random;

    random_seed(&random, checker->seed ^ random_hash(version));
    random_fill(&random, request.bytes, REQUEST_HASH_BYTES);
    for (unsigned i = 0; i < 4; i++)
        request.bytes[REQUEST_HASH_BYTES + i] = (uint8_t)(version >> (24 - 8 * i));
    return request;
}

uint32_t
checker_version(const Checker *checker, const RequestId *request)
{
    uint32_t version = 0;

    for (unsigned i = 0; i < 4; i++)
        version = version << 8 | request->bytes[REQUEST_HASH_BYTES + i];
    if (version >= checker->version_count ||
        memcmp(&checker->versions[version].request, request, sizeof(RequestId)) != 0)
        return CHECKER_NONE;
    return version;
}

/* Bound to key and writer: a reader can tell from the bytes alone where they belong. */
Slice
checker_value(const Checker *checker, uint32_t version, Arena *arena)
{
    const Version *row = &checker->versions[version];
    uint8_t *bytes = arena_alloc(arena, 64 + VALUE_FILL_MAX);
    Random random;
    int length;

    if (row->tombstone)
        return SLICE_EMPTY;
    length =
        snprintf((char *)bytes, 64, "key %u version %u put %u ", row->key, row->ordinal, row->put);
    random_seed(&random, checker->seed + version);

    size_t fill = random_below(&random, VALUE_FILL_MAX);

    random_fill(&random, bytes + length, fill);
    return slice_make(bytes, (size_t)length + fill);
}

static void
add_version(Checker *checker, uint32_t key, uint32_t put, bool tombstone)
{
    KeyRecord *record = checker->keys[key];

    checker->versions = grow(checker->versions, checker->version_count, &checker->version_capacity,
                             sizeof(Version));

    Version *version = &checker->versions[checker->version_count];

    *version = (Version){.request = make_request_id(checker, checker->version_count),
                         .put = put,
                         .key = key,
                         .ordinal = record->version_count,
                         .tombstone = tombstone};
    for (uint32_t i = 0; i < CHECKER_HOSTS_MAX; i++)
        version->durable_us[i] = version->retry_us[i] = CHECKER_NEVER;
    record->versions[record->version_count++] = checker->version_count++;
}

uint32_t
checker_write_begin(Checker *checker, uint32_t key, const VersionSet *past, const VClock *context,
                    uint32_t count, uint32_t tombstones)
{
    KeyRecord *record = checker->keys[key];

    if (record->version_count + count > VERSION_SET_MAX)
        return CHECKER_NONE;
    checker->puts =
        grow(checker->puts, checker->put_count, &checker->put_capacity, sizeof(PutRecord));

    PutRecord *put = &checker->puts[checker->put_count];

    *put = (PutRecord){.key = key,
                       .first = checker->version_count,
                       .count = count,
                       .losses = checker->losses,
                       .crashes = checker->crashes};
    if (past != NULL)
        put->past = *past;
    if (context != NULL && context->count > 0)
    {
        put->context.count = context->count;
        put->context.entries =
            arena_copy(&checker->arena, context->entries, sizeof(Dot) * context->count);
    }
    for (uint32_t i = 0; i < count; i++)
        add_version(checker, key, checker->put_count, (tombstones >> i) & 1);
    return checker->put_count++;
}

PutValue
checker_put_value(const Checker *checker, uint32_t put, uint32_t place, Arena *arena)
{
    uint32_t version = checker->puts[put].first + place;

    return (PutValue){.request = checker->versions[version].request,
                      .tombstone = checker->versions[version].tombstone,
                      .value = checker_value(checker, version, arena)};
}

void
checker_write_sent(Checker *checker, const RequestId *request)
{
    uint32_t version = checker_version(checker, request);

    if (version != CHECKER_NONE)
        checker->puts[checker->versions[version].put].sends++;
}

uint32_t
checker_owners_among(const KeyRecord *record, uint32_t places)
{
    return (uint32_t)__builtin_popcount(places & ((1u << record->n) - 1));
}

/* Every owner that is said to have it must have it on disk, or have what replaced it. */
static void
check_durable(Checker *checker, const PutRecord *put, uint32_t acked)
{
    const CheckerHooks *hooks = &checker->hooks;
    KeyRecord *record = checker->keys[put->key];

    if (hooks->owner == NULL || checker->amnesia)
        return;
    for (uint32_t place = 0; place < record->n; place++)
    {
        uint32_t host = ((acked >> place) & 1) != 0 ? hooks->owner(hooks->context, put->key, place)
                                                    : CHECKER_NONE;
        Object object;
        Seen seen;

        if (host == CHECKER_NONE || (host == checker->restored && put->losses != checker->losses))
            continue;
        arena_reset(&checker->scratch);
        if (!checker_look(checker, put->key, hooks->durable_object(hooks->context, host, put->key),
                          &checker->scratch, &object, &seen))
            return;
        for (uint32_t i = 0; i < put->count; i++)
        {
            uint32_t ordinal = checker->versions[put->first + i].ordinal;

            if (!version_set_has(&seen.past, ordinal) && !version_set_has(&record->reaped, ordinal))
                checker_violation(
                    checker, "S8",
                    "k%u.v%u was acknowledged for n%u, which does not have it on disk", put->key,
                    ordinal, host);
        }
    }
}

uint32_t
checker_holders(const Checker *checker, const KeyRecord *record, uint32_t places, uint32_t losses)
{
    uint32_t hosts = 0;

    for (uint32_t place = 0; place < record->n; place++)
    {
        const CheckerHooks *hooks = &checker->hooks;
        uint32_t host = place;

        if ((places >> place & 1) == 0)
            continue;
        if (hooks->owner != NULL)
            host = hooks->owner(hooks->context,
                                checker_find_key(checker, record->bucket_id, record->key), place);
        if (host != CHECKER_NONE && (host != checker->restored || losses == checker->losses))
            hosts |= 1u << host;
    }
    return hosts;
}

void
checker_disk_lost(Checker *checker)
{
    if (checker->restored == CHECKER_NONE)
        return;
    checker->losses++;
    for (uint32_t number = 0; number < checker->version_count; number++)
    {
        Version *version = &checker->versions[number];
        KeyRecord *record = checker->keys[version->key];

        if ((version->holders & ~(1u << checker->restored)) != 0)
            continue;
        version->holders = 0;
        if (!version->twice)
            version_set_remove(&record->sure, version->ordinal);
        for (uint32_t c = 0; c <= CHECKER_HOSTS_MAX; c++)
        {
            version_set_remove(&record->acked_by[c], version->ordinal);
            version_set_remove(&record->shown_by[c], version->ordinal);
        }
    }
}

static void
write_ok(Checker *checker, PutRecord *put, uint32_t w, uint32_t acked)
{
    KeyRecord *record = checker->keys[put->key];
    uint32_t owners = checker_owners_among(record, acked);
    uint32_t hosts = (uint32_t)__builtin_popcount(acked);
    uint32_t holders = checker_holders(checker, record, acked, put->losses);
    bool kept = holders != 0 || acked >> record->n != 0;

    /* Where another owner has it, the one whose disk was lost has it again before it answers. */
    if (holders == 0)
        owners = 0;

    put->state = PUT_OK;
    checker->counters.writes_ok++;
    if (hosts < w)
        checker_violation(checker, "S8", "k%u.v%u was acknowledged by %u hosts where w is %u",
                          put->key, checker->versions[put->first].ordinal, hosts, w);
    else
        check_durable(checker, put, acked);
    for (uint32_t i = 0; i < put->count; i++)
    {
        Version *version = &checker->versions[put->first + i];
        uint32_t ordinal = version->ordinal;

        version_set_add(&record->applied, ordinal);
        if (!kept)
            continue;
        version->holders |= holders;
        version->twice |= hosts >= 2 && record->n >= 2;
        version_set_add(&record->sure, ordinal);
        for (uint32_t c = 1; c <= owners && c <= CHECKER_HOSTS_MAX; c++)
            version_set_add(&record->acked_by[c], ordinal);
        /* The hint of a fallback ends up with an owner: of one owner alone there is one copy. */
        if (hosts >= 2 && record->n >= 2)
            version_set_add(&record->acked_twice, ordinal);
    }
}

static void
write_refused(Checker *checker, PutRecord *put, StatusCode status)
{
    put->state = PUT_REFUSED;
    checker->counters.writes_refused++;
    for (uint32_t i = 0; i < put->count; i++)
    {
        const Version *version = &checker->versions[put->first + i];

        if (version->dots > 0)
            checker_violation(checker, "S9", "k%u.v%u was refused (%s) although a node stamped it",
                              put->key, version->ordinal, status_name(status));
    }
}

void
checker_write_end(Checker *checker, uint32_t put, uint32_t w, StatusCode status, uint32_t acked)
{
    PutRecord *record = &checker->puts[put];

    if (status == STATUS_OK)
        write_ok(checker, record, w, acked);
    else if (status == STATUS_UNKNOWN)
    {
        record->state = PUT_UNKNOWN;
        checker->counters.writes_unknown++;
    }
    else
        write_refused(checker, record, status);
}

ReadMark
checker_read_begin(const Checker *checker, uint32_t key, uint32_t r)
{
    const KeyRecord *record = checker->keys[key];
    ReadMark mark = {.key = key,
                     .r = r,
                     .acked = record->acked_by[1],
                     .gone = record->reaped,
                     .losses = checker->losses};

    if (r >= 1 && r <= record->n)
    {
        uint32_t owners = record->n - r + 1;

        mark.required = record->acked_by[owners];
        version_set_merge(&mark.required, &record->shown_by[owners]);
    }
    return mark;
}

void
checker_retry_arrived(Checker *checker, const RequestId *request, uint32_t host, uint64_t now_us)
{
    uint32_t version = checker_version(checker, request);

    if (version != CHECKER_NONE && checker->versions[version].retry_us[host] == CHECKER_NEVER)
        checker->versions[version].retry_us[host] = now_us;
}

void
checker_topology(Checker *checker, uint64_t epoch, const Digest *document)
{
    for (uint32_t i = 0; i < checker->epoch_count; i++)
    {
        if (checker->epochs[i].epoch != epoch)
            continue;
        if (!digest_equal(&checker->epochs[i].document, document))
            checker_violation(checker, "T1", "two topologies for epoch %llu",
                              (unsigned long long)epoch);
        return;
    }
    checker->epochs =
        memory_resize(&MEMORY_HEAP, checker->epochs, (checker->epoch_count + 1) * sizeof(EpochRow));
    checker->epochs[checker->epoch_count++] = (EpochRow){epoch, *document};
}

void
checker_violation(Checker *checker, const char *property, const char *format, ...)
{
    char text[512];
    va_list arguments;

    if (checker->verdict != NULL)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (asprintf(&checker->verdict, "%s: %s", property, text) < 0)
        abort();
}

const char *
checker_verdict(const Checker *checker)
{
    return checker->verdict;
}

CheckerCounters
checker_counters(const Checker *checker)
{
    return checker->counters;
}

void
checker_name(const Checker *checker, const RequestId *request, char *text, size_t size)
{
    uint32_t version = checker_version(checker, request);

    if (version == CHECKER_NONE)
        snprintf(text, size, "unknown version");
    else
        snprintf(text, size, "k%u.v%u", checker->versions[version].key,
                 checker->versions[version].ordinal);
}
