/*
 * The PostgreSQL protocol as bytes. Which message may come in which state is a table: whatever has
 * no row is refused, and the length word is held against the row's limit before the rest of the
 * message is waited for. So a stranger can make a node keep at most one startup packet.
 *
 * Fields are read through a sticky Reader, checked once at the end: a parser reads like the
 * message's description in the manual.
 */
#include "node/server/pgwire.h"

#include <stdlib.h>
#include <string.h>

#define SSL_REQUEST_CODE ((1234u << 16) | 5679u)
#define GSS_REQUEST_CODE ((1234u << 16) | 5680u)
#define CANCEL_REQUEST_CODE ((1234u << 16) | 5678u)

/* A row admits one message type in one state; whatever has no row is refused. */
typedef struct PgwireRule
{
    PgwireState state;
    char type;
    PgwireAction action;
    uint32_t max; /* of the length word; 0 is the caller's limit for frames */
} PgwireRule;

static const PgwireRule rules[] = {
    {PGWIRE_AWAIT_SASL_INITIAL,  'p', PGWIRE_SASL_INITIAL,  PGWIRE_SASL_MAX       },
    {PGWIRE_AWAIT_SASL_INITIAL,  'X', PGWIRE_TERMINATE,     4                     },
    {PGWIRE_AWAIT_SASL_RESPONSE, 'p', PGWIRE_SASL_RESPONSE, PGWIRE_SASL_MAX       },
    {PGWIRE_AWAIT_SASL_RESPONSE, 'X', PGWIRE_TERMINATE,     4                     },

    {PGWIRE_READY,               'Q', PGWIRE_QUERY,         PGWIRE_QUERY_MAX      },
    {PGWIRE_READY,               'P', PGWIRE_PARSE,         PGWIRE_QUERY_MAX + 512},
    {PGWIRE_READY,               'B', PGWIRE_BIND,          PGWIRE_SMALL_MAX      },
    {PGWIRE_READY,               'D', PGWIRE_DESCRIBE,      PGWIRE_SMALL_MAX      },
    {PGWIRE_READY,               'E', PGWIRE_EXECUTE,       PGWIRE_SMALL_MAX      },
    {PGWIRE_READY,               'C', PGWIRE_CLOSE,         PGWIRE_SMALL_MAX      },
    {PGWIRE_READY,               'H', PGWIRE_FLUSH,         4                     },
    {PGWIRE_READY,               'S', PGWIRE_SYNC,          4                     },
    {PGWIRE_READY,               'F', PGWIRE_FUNCTION_CALL, PGWIRE_SMALL_MAX      },
    {PGWIRE_READY,               'X', PGWIRE_TERMINATE,     4                     },
 /* What a client sent of a copy before it learned that the copy is over. */
    {PGWIRE_READY,               'd', PGWIRE_IGNORE,        0                     },
    {PGWIRE_READY,               'c', PGWIRE_IGNORE,        4                     },
    {PGWIRE_READY,               'f', PGWIRE_IGNORE,        PGWIRE_SMALL_MAX      },

    {PGWIRE_SKIP_TO_SYNC,        'Q', PGWIRE_IGNORE,        PGWIRE_QUERY_MAX      },
    {PGWIRE_SKIP_TO_SYNC,        'P', PGWIRE_IGNORE,        PGWIRE_QUERY_MAX + 512},
    {PGWIRE_SKIP_TO_SYNC,        'B', PGWIRE_IGNORE,        PGWIRE_SMALL_MAX      },
    {PGWIRE_SKIP_TO_SYNC,        'D', PGWIRE_IGNORE,        PGWIRE_SMALL_MAX      },
    {PGWIRE_SKIP_TO_SYNC,        'E', PGWIRE_IGNORE,        PGWIRE_SMALL_MAX      },
    {PGWIRE_SKIP_TO_SYNC,        'C', PGWIRE_IGNORE,        PGWIRE_SMALL_MAX      },
    {PGWIRE_SKIP_TO_SYNC,        'H', PGWIRE_IGNORE,        4                     },
    {PGWIRE_SKIP_TO_SYNC,        'F', PGWIRE_IGNORE,        PGWIRE_SMALL_MAX      },
    {PGWIRE_SKIP_TO_SYNC,        'd', PGWIRE_IGNORE,        0                     },
    {PGWIRE_SKIP_TO_SYNC,        'c', PGWIRE_IGNORE,        4                     },
    {PGWIRE_SKIP_TO_SYNC,        'f', PGWIRE_IGNORE,        PGWIRE_SMALL_MAX      },
    {PGWIRE_SKIP_TO_SYNC,        'S', PGWIRE_SYNC,          4                     },
    {PGWIRE_SKIP_TO_SYNC,        'X', PGWIRE_TERMINATE,     4                     },

    {PGWIRE_STREAM,              'd', PGWIRE_FRAME,         0                     },
    {PGWIRE_STREAM,              'c', PGWIRE_STREAM_DONE,   4                     },
    {PGWIRE_STREAM,              'f', PGWIRE_STREAM_FAIL,   PGWIRE_SMALL_MAX      },
    {PGWIRE_STREAM,              'H', PGWIRE_FLUSH,         4                     },
    {PGWIRE_STREAM,              'S', PGWIRE_IGNORE,        4                     },
    {PGWIRE_STREAM,              'X', PGWIRE_TERMINATE,     4                     },
};

static const PgwireRule frame_rule = {PGWIRE_STREAM, 'd', PGWIRE_FRAME, 0};

static const PgwireRule *
find_rule(PgwireState state, uint8_t type)
{
    /* Frames are the hot path: millions a second against a few of all others. */
    if (state == PGWIRE_STREAM && type == 'd')
        return &frame_rule;
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
    {
        if (rules[i].state == state && (uint8_t)rules[i].type == type)
            return &rules[i];
    }
    return NULL;
}

static uint32_t
load_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
           (uint32_t)bytes[3];
}

static PgwireResult
invalid_message(const char **error, const char *why)
{
    *error = why;
    return PGWIRE_INVALID;
}

/* A startup packet has no type byte, and its length is all that tells where it ends. */
static PgwireResult
next_startup(Slice input, PgwireMessage *message, const char **error)
{
    if (input.length < 4)
        return PGWIRE_INCOMPLETE;

    uint32_t length = load_u32(input.data);

    if (length < 8 || length > PGWIRE_STARTUP_MAX)
        return invalid_message(error, "invalid length of startup packet");
    message->action = PGWIRE_STARTUP;
    message->size = length;
    if (input.length < length)
        return PGWIRE_INCOMPLETE;
    message->payload = slice_make(input.data + 4, length - 4);
    return PGWIRE_COMPLETE;
}

/* The size of a message is known before the message is whole: whoever reads can then make room for
 * the rest at once. */
PgwireResult
pgwire_next(PgwireState state, Slice input, uint32_t frame_max, PgwireMessage *message,
            const char **error)
{
    *message = (PgwireMessage){.action = PGWIRE_REFUSE};
    if (state == PGWIRE_AWAIT_STARTUP)
        return next_startup(input, message, error);
    if (input.length == 0)
        return PGWIRE_INCOMPLETE;

    const PgwireRule *rule = find_rule(state, input.data[0]);

    message->type = input.data[0];
    if (rule == NULL)
        return invalid_message(error, "unexpected message type");
    if (input.length < 5)
        return PGWIRE_INCOMPLETE;

    uint32_t length = load_u32(input.data + 1);
    uint32_t max = rule->max != 0 ? rule->max : frame_max;

    if (length < 4)
        return invalid_message(error, "invalid message length");
    if (rule->max != 0 ? length > max : length - 4 > max)
        return invalid_message(error,
                               rule->max != 0 ? "invalid message length" : "frame is too large");
    message->action = rule->action;
    message->size = (size_t)length + 1;
    if (input.length - 1 < length)
        return PGWIRE_INCOMPLETE;
    message->payload = slice_make(input.data + 5, length - 4);
    return PGWIRE_COMPLETE;
}

/* A NUL-terminated string; fails the reader when the NUL is missing. */
static const char *
take_string(Reader *reader)
{
    size_t left = reader_left(reader);
    const uint8_t *end = left > 0 ? memchr(reader->at, '\0', left) : NULL;

    if (end == NULL)
    {
        reader_fail(reader);
        return "";
    }
    return (const char *)reader_take(reader, (size_t)(end - reader->at) + 1).data;
}

/* libpq never sends an option twice. A second user name must not be able to change who logs in. */
static bool
set_once(const char **field, const char *value, const char **error)
{
    if (*field != NULL)
    {
        *error = "a startup option is given twice";
        return false;
    }
    *field = value;
    return true;
}

static bool
take_option(PgwireStartup *startup, const char *name, const char *value, const char **error)
{
    if (strcmp(name, "user") == 0)
        return set_once(&startup->user, value, error);
    if (strcmp(name, "database") == 0)
        return set_once(&startup->database, value, error);
    if (strcmp(name, "application_name") == 0)
        return set_once(&startup->application_name, value, error);
    if (strcmp(name, "replication") == 0)
        return set_once(&startup->replication, value, error);
    if (strncmp(name, "_pq_.", 5) == 0)
    {
        if (startup->pq_option_count == PGWIRE_PQ_OPTIONS_MAX)
        {
            *error = "too many protocol options in startup packet";
            return false;
        }
        startup->pq_options[startup->pq_option_count++] = name;
    }
    /* Settings such as extra_float_digits, which drivers send to any server, mean nothing here. */
    return true;
}

/* Name and value alternate, and an empty name ends the list. */
static bool
parse_options(Reader *reader, PgwireStartup *startup, const char **error)
{
    for (size_t count = 0;; count++)
    {
        const char *name = take_string(reader);

        if (reader->failed || *name == '\0')
            break;
        if (count == PGWIRE_OPTIONS_MAX)
        {
            *error = "too many options in startup packet";
            return false;
        }

        const char *value = take_string(reader);

        if (reader->failed)
            break;
        if (!take_option(startup, name, value, error))
            return false;
    }
    if (!reader_finish(reader))
    {
        *error = "invalid startup packet layout: expected terminator as last byte";
        return false;
    }
    return true;
}

static bool
parse_login(Reader *reader, PgwireStartup *startup, const char **error)
{
    if (!parse_options(reader, startup, error))
        return false;
    if (startup->user == NULL || *startup->user == '\0')
    {
        *error = "no user name specified in startup packet";
        return false;
    }
    if (startup->database == NULL || *startup->database == '\0')
        startup->database = startup->user;
    if (startup->application_name == NULL)
        startup->application_name = "";
    return true;
}

bool
pgwire_parse_startup(Slice payload, PgwireStartup *startup, const char **error)
{
    Reader reader = reader_begin(payload);
    uint32_t code = reader_u32(&reader);

    *startup = (PgwireStartup){.major = (uint16_t)(code >> 16), .minor = (uint16_t)code};
    *error = "invalid startup packet";
    switch (code)
    {
    case SSL_REQUEST_CODE:
        startup->kind = PGWIRE_STARTUP_SSL;
        return reader_finish(&reader);
    case GSS_REQUEST_CODE:
        startup->kind = PGWIRE_STARTUP_GSS;
        return reader_finish(&reader);
    case CANCEL_REQUEST_CODE:
        startup->kind = PGWIRE_STARTUP_CANCEL;
        startup->cancel_id = reader_u32(&reader);
        startup->cancel_key = reader_u32(&reader);
        return reader_finish(&reader);
    default:
        startup->kind = PGWIRE_STARTUP_LOGIN;
        return startup->major != 3 || parse_login(&reader, startup, error);
    }
}

bool
pgwire_parse_sasl_initial(Slice payload, const char **mechanism, Slice *response)
{
    Reader reader = reader_begin(payload);

    *mechanism = take_string(&reader);
    /* A length of -1 (no response) is larger than what is left and fails like any other. */
    *response = reader_take(&reader, reader_u32(&reader));
    return reader_finish(&reader);
}

const char *
pgwire_parse_string(Slice payload)
{
    Reader reader = reader_begin(payload);
    const char *text = take_string(&reader);

    return reader_finish(&reader) ? text : NULL;
}

bool
pgwire_parse_parse(Slice payload, PgwireParse *parse)
{
    Reader reader = reader_begin(payload);

    parse->statement = take_string(&reader);
    parse->sql = take_string(&reader);
    parse->parameter_count = reader_u16(&reader);
    reader_take(&reader, (size_t)parse->parameter_count * 4);
    return reader_finish(&reader);
}

/* Parameters are skipped, since statements of the console take none; their count is what the caller
 * refuses. */
bool
pgwire_parse_bind(Slice payload, PgwireBind *bind)
{
    Reader reader = reader_begin(payload);

    bind->portal = take_string(&reader);
    bind->statement = take_string(&reader);
    reader_take(&reader, (size_t)reader_u16(&reader) * 2);
    bind->parameter_count = reader_u16(&reader);
    for (size_t i = 0; i < bind->parameter_count && !reader.failed; i++)
    {
        uint32_t length = reader_u32(&reader);

        reader_take(&reader, length == UINT32_MAX ? 0 : length);
    }
    bind->format_count = reader_u16(&reader);
    bind->formats = reader_take(&reader, (size_t)bind->format_count * 2);
    for (size_t i = 0; i + 1 < bind->formats.length; i += 2)
    {
        if (bind->formats.data[i] != 0 || bind->formats.data[i + 1] > 1)
            reader_fail(&reader);
    }
    return reader_finish(&reader);
}

uint16_t
pgwire_bind_format(const PgwireBind *bind, size_t column)
{
    if (bind->format_count == 0)
        return 0;
    if (bind->format_count == 1)
        column = 0;
    return column < bind->format_count ? bind->formats.data[2 * column + 1] : 0;
}

bool
pgwire_parse_target(Slice payload, char *kind, const char **name)
{
    Reader reader = reader_begin(payload);

    *kind = (char)reader_u8(&reader);
    *name = take_string(&reader);
    return reader_finish(&reader) && (*kind == 'S' || *kind == 'P');
}

bool
pgwire_parse_execute(Slice payload, const char **portal)
{
    Reader reader = reader_begin(payload);

    *portal = take_string(&reader);
    reader_u32(&reader); /* the row limit: results here are small and come whole */
    return reader_finish(&reader);
}

size_t
pgwire_begin(Buffer *out, char type)
{
    size_t mark;

    buffer_put_u8(out, (uint8_t)type);
    mark = out->length;
    buffer_put_u32(out, 0);
    return mark;
}

void
pgwire_end(Buffer *out, size_t mark)
{
    buffer_set_u32(out, mark, (uint32_t)(out->length - mark));
}

/* The message body's NUL-terminated string. */
static void
pgwire_put_string(Buffer *out, const char *text)
{
    buffer_put(out, text, strlen(text) + 1);
}

void
pgwire_put_bare(Buffer *out, char type)
{
    pgwire_end(out, pgwire_begin(out, type));
}

void
pgwire_put_authentication(Buffer *out, uint32_t code, Slice data)
{
    size_t mark = pgwire_begin(out, 'R');

    buffer_put_u32(out, code);
    buffer_put(out, data.data, data.length);
    pgwire_end(out, mark);
}

void
pgwire_put_negotiate(Buffer *out, const PgwireStartup *startup)
{
    size_t mark = pgwire_begin(out, 'v');

    buffer_put_u32(out, 3u << 16); /* the newest we speak: 3.0 */
    buffer_put_u32(out, (uint32_t)startup->pq_option_count);
    for (size_t i = 0; i < startup->pq_option_count; i++)
        pgwire_put_string(out, startup->pq_options[i]);
    pgwire_end(out, mark);
}

void
pgwire_put_parameter_status(Buffer *out, const char *name, const char *value)
{
    size_t mark = pgwire_begin(out, 'S');

    pgwire_put_string(out, name);
    pgwire_put_string(out, value);
    pgwire_end(out, mark);
}

void
pgwire_put_backend_key(Buffer *out, uint32_t id, uint32_t key)
{
    size_t mark = pgwire_begin(out, 'K');

    buffer_put_u32(out, id);
    buffer_put_u32(out, key);
    pgwire_end(out, mark);
}

void
pgwire_put_ready(Buffer *out, char transaction_status)
{
    size_t mark = pgwire_begin(out, 'Z');

    buffer_put_u8(out, (uint8_t)transaction_status);
    pgwire_end(out, mark);
}

void
pgwire_put_command_complete(Buffer *out, const char *tag)
{
    size_t mark = pgwire_begin(out, 'C');

    pgwire_put_string(out, tag);
    pgwire_end(out, mark);
}

void
pgwire_put_copy_both(Buffer *out)
{
    size_t mark = pgwire_begin(out, 'W');

    buffer_put_u8(out, 1);  /* binary, as a whole ... */
    buffer_put_u16(out, 0); /* ... and without columns */
    pgwire_end(out, mark);
}

/* The length of the valid UTF-8 sequence at the start of text, 0 if there is none. */
static size_t
utf8_sequence(const uint8_t *text)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = text[0] < 0x80             ? 1
                    : (text[0] & 0xe0) == 0xc0 ? 2
                    : (text[0] & 0xf0) == 0xe0 ? 3
                    : (text[0] & 0xf8) == 0xf0 ? 4
                                               : 0;
    uint32_t point = length > 1 ? text[0] & (0x7fu >> length) : text[0];

    for (size_t i = 1; i < length; i++)
    {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (text[i] & 0x3f);
    }
    if (length > 1 && (point < smallest[length] || point > 0x10ffff || point >> 11 == 0x1b))
        return 0;
    return length;
}

static void
put_clean_string(Buffer *out, const char *text)
{
    const uint8_t *at = (const uint8_t *)text;

    while (*at != '\0')
    {
        size_t length = utf8_sequence(at);

        if (length == 0)
            buffer_put_u8(out, '?');
        else
            buffer_put(out, at, length);
        at += length == 0 ? 1 : length;
    }
    buffer_put_u8(out, '\0');
}

static void
put_error_field(Buffer *out, char field, const char *text)
{
    if (text == NULL)
        return;
    buffer_put_u8(out, (uint8_t)field);
    put_clean_string(out, text);
}

void
pgwire_put_error(Buffer *out, const PgwireError *error)
{
    size_t mark = pgwire_begin(out, strcmp(error->severity, "NOTICE") == 0 ? 'N' : 'E');

    put_error_field(out, 'S', error->severity);
    put_error_field(out, 'V', error->severity);
    put_error_field(out, 'C', error->sqlstate);
    put_error_field(out, 'M', error->message);
    put_error_field(out, 'D', error->detail);
    put_error_field(out, 'H', error->hint);
    buffer_put_u8(out, '\0');
    pgwire_end(out, mark);
}

void
pgwire_put_field(Buffer *out, const char *name, uint32_t type_oid, int16_t type_size,
                 uint16_t format)
{
    pgwire_put_string(out, name);
    buffer_put_u32(out, 0); /* no table */
    buffer_put_u16(out, 0); /* no column of it */
    buffer_put_u32(out, type_oid);
    buffer_put_u16(out, (uint16_t)type_size);
    buffer_put_u32(out, UINT32_MAX); /* no type modifier */
    buffer_put_u16(out, format);
}
