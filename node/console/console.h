/*
 * Console: the commands that a person or a script sends over psql.
 *
 * A command is a row of the table in console.c: its words, what follows them, who may run it, its
 * columns, its function and its help. Columns are only ever appended; counters are int8; units are
 * in the names. Session chatter of drivers (SET, BEGIN, SELECT 1) is accepted and changes nothing.
 */
#ifndef NODE_CONSOLE_CONSOLE_H
#define NODE_CONSOLE_CONSOLE_H

#include "node/config/keyring.h"
#include "node/console/console_words.h"
#include "node/server/server.h"

#define CONSOLE_ROW_MAX 32

typedef struct Console Console;

typedef struct ConsoleHost
{
    const Config *config;
    Log *log;
    struct Node *node;           /* NULL: the commands about the cluster say that there is none */
    const ClusterKeys *keys;     /* of the cluster; NULL: there are none to show */
    void (*shutdown)(void *ctx); /* carries SHUTDOWN out, and returns at once */
    void *ctx;
} ConsoleHost;

Console *console_new(const ConsoleHost *host);
void console_free(Console *console);
const ConsoleHost *console_host(const Console *console);

/* Parts of ServerHandler. */
void console_query(Console *console, Session *session, const char *sql);
bool console_describe(Console *console, Session *session, const char *sql, const Column **columns,
                      size_t *count);

void console_cancel(Console *console, Session *session);
void console_session_closed(Console *console, Session *session);

/* ---- for the functions of commands ---- */

typedef struct ConsoleCommand ConsoleCommand;

/* Answers the session, now or later. words are valid during the call. */
typedef void (*ConsoleRun)(Console *console, Session *session, const ConsoleCommand *command,
                           const ConsoleWords *words);

typedef enum ConsoleAccess
{
    CONSOLE_ANYONE,
    CONSOLE_DATA, /* who may read and write data */
    CONSOLE_ADMIN
} ConsoleAccess;

struct ConsoleCommand
{
    const char *words[4]; /* in capitals, NULL-terminated */
    size_t arguments_min; /* words that follow */
    size_t arguments_max;
    ConsoleAccess access;
    const Column *columns;
    size_t column_count;
    ConsoleRun run;
    const char *tag;    /* of CommandComplete */
    const char *syntax; /* of the arguments, for SHOW HELP */
    const char *help;   /* NULL: not listed */
};

#define CONSOLE_COLUMNS(array) (array), sizeof(array) / sizeof((array)[0])

/*
 * A command that answers later. drop is called when the session was closed, or when its client
 * cancels the command; the console then answers the client. drop must call console_wait_end, and so
 * must the command when it answers. The ConsoleWait belongs to the command.
 */
typedef struct ConsoleWait ConsoleWait;

struct ConsoleWait
{
    ConsoleWait *next;
    Console *console;
    Session *session;
    void (*drop)(ConsoleWait *wait);
};

void console_wait_begin(Console *console, Session *session, ConsoleWait *wait,
                        void (*drop)(ConsoleWait *wait));
void console_wait_end(ConsoleWait *wait);

/* A row being put together, one value after the other. */
typedef struct ConsoleRow
{
    size_t count;
    const char *values[CONSOLE_ROW_MAX];
    char own[CONSOLE_ROW_MAX][40]; /* values that are made here */
} ConsoleRow;

void console_row_text(ConsoleRow *row, const char *text); /* borrowed until the row is sent */
void console_row_int(ConsoleRow *row, int64_t number);
void console_row_bool(ConsoleRow *row, bool value);
void console_row_time(ConsoleRow *row, uint64_t wall_ms);                   /* 0: NULL */
void console_row_hex(ConsoleRow *row, const uint8_t *bytes, size_t length); /* at most 16 */

/* Sends the row and begins the next one. */
void console_row_send(ConsoleRow *row, Session *session);

#endif
