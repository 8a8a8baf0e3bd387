/*
 * Sets the client's encoding to UTF-8 around the calls of send and receive functions, and gives it
 * back whatever happens: the only PG_TRY on the way of a row (F5).
 */
#include "fdw/row/encoding.h"

#include "mb/pg_wchar.h"

static void
encoding_use(int encoding)
{
    if (PrepareClientEncoding(encoding) < 0 || SetClientEncoding(encoding) < 0)
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("text of encoding %s cannot be stored as UTF8",
                               GetDatabaseEncodingName())));
}

/* The one PG_TRY on the way of a row: whoever reports the error must find the client's encoding as
 * it was. */
static void
encoding_run_switched(void (*body)(void *argument), void *argument)
{
    int client = pg_get_client_encoding();

    encoding_use(PG_UTF8);
    PG_TRY();
    {
        body(argument);
    }
    PG_FINALLY();
    {
        (void)SetClientEncoding(client);
    }
    PG_END_TRY();
}

void
encoding_run(void (*body)(void *argument), void *argument)
{
    if (pg_get_client_encoding() == PG_UTF8)
        body(argument);
    else
        encoding_run_switched(body, argument);
}

Slice
encoding_to_stored(Slice text)
{
    const char *bytes = (const char *)text.data;
    char *converted;

    if (GetDatabaseEncoding() == PG_UTF8)
        return text;
    converted = pg_server_to_any(bytes, (int)text.length, PG_UTF8);
    return converted == bytes ? text : slice_from_string(converted);
}

Slice
encoding_from_stored(Slice text)
{
    const char *bytes = (const char *)text.data;
    char *converted = pg_any_to_server(bytes, (int)text.length, PG_UTF8);

    return converted == bytes ? text : slice_from_string(converted);
}
