/*
 * glibc's getaddrinfo_a looks names up in a thread of its own, which blocks every signal. What it
 * writes to is on the heap and is given up, not freed, when the wait ends before the lookup does
 * and the lookup cannot be cancelled.
 */
#include "fdw/cluster/resolve.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"

#include <netdb.h>
#include <sys/socket.h>

#include "fdw/cluster/links.h"

enum
{
    RESOLVE_POLL_MS = 5
};

typedef struct Lookup
{
    struct gaicb request;
    struct addrinfo hints;
    char *host;
} Lookup;

static List *
resolve_print(struct addrinfo *found)
{
    List *addresses = NIL;

    for (struct addrinfo *at = found; at != NULL; at = at->ai_next)
    {
        char text[NI_MAXHOST];

        if (getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST) ==
            0)
            addresses = lappend(addresses, pstrdup(text));
    }
    return addresses;
}

static List *
resolve_numeric(const char *host)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    List *addresses;

    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return NIL;
    addresses = resolve_print(found);
    freeaddrinfo(found);
    return addresses;
}

static void
lookup_free(Lookup *lookup)
{
    if (lookup->request.ar_result != NULL)
        freeaddrinfo(lookup->request.ar_result);
    free(lookup->host);
    free(lookup);
}

static Lookup *
lookup_begin(const char *host)
{
    Lookup *lookup = calloc(1, sizeof(Lookup));
    struct gaicb *list[1];

    if (lookup == NULL || (lookup->host = strdup(host)) == NULL)
        ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
    lookup->hints.ai_socktype = SOCK_STREAM;
    lookup->request.ar_name = lookup->host;
    lookup->request.ar_request = &lookup->hints;
    list[0] = &lookup->request;
    if (getaddrinfo_a(GAI_NOWAIT, list, 1, NULL) != 0)
    {
        lookup_free(lookup);
        return NULL;
    }
    return lookup;
}

static void
lookup_give_up(Lookup *lookup)
{
    int state = gai_cancel(&lookup->request);

    if (state == EAI_CANCELED || state == EAI_ALLDONE)
        lookup_free(lookup);
}

/* Waits until the lookup has ended; false when the time is over. */
static bool
lookup_wait(Lookup *lookup, uint64 timeout_ms)
{
    uint64 deadline_ms = links_now_ms() + timeout_ms;

    while (gai_error(&lookup->request) == EAI_INPROGRESS)
    {
        if (links_now_ms() >= deadline_ms)
            return false;
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, RESOLVE_POLL_MS,
                        PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        if (INTERRUPTS_PENDING_CONDITION())
        {
            lookup_give_up(lookup);
            CHECK_FOR_INTERRUPTS();
            return false;
        }
    }
    return true;
}

List *
resolve_host(const char *host, uint64 timeout_ms, const char **error)
{
    List *addresses = resolve_numeric(host);
    Lookup *lookup;

    if (addresses != NIL)
        return addresses;
    *error = "the name lookup could not be started";
    lookup = lookup_begin(host);
    if (lookup == NULL)
        return NIL;
    if (!lookup_wait(lookup, timeout_ms))
    {
        *error = "the name was not found in time";
        lookup_give_up(lookup);
        return NIL;
    }
    *error = gai_strerror(gai_error(&lookup->request));
    addresses = resolve_print(lookup->request.ar_result);
    lookup_free(lookup);
    return addresses;
}
