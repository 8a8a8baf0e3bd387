/*
 * Replaces what could break a line, a terminal or the server encoding: the words come from another
 * machine.
 */
#include "fdw/cluster/foreign_text.h"

#include "mb/pg_wchar.h"

void
foreign_text_clean(char *text)
{
    bool valid = GetDatabaseEncoding() == PG_UTF8 && pg_verifymbstr(text, (int)strlen(text), true);

    for (unsigned char *at = (unsigned char *)text; *at != '\0'; at++)
        if (*at < ' ' || *at == 0x7f || (*at > 0x7f && !valid))
            *at = '?';
}
