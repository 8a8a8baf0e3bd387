/*
 * Cuts a statement into words, in place. Words of the console are keywords, names and values; there
 * is no grammar beyond that, so a statement needs no parser.
 */
#include "node/console/console_words.h"

#include <string.h>

/* Skips white space and comments; returns false at a comment without an end. */
static bool
skip_space(char **at)
{
    for (;;)
    {
        *at += strspn(*at, " \t\r\n\f");
        if (strncmp(*at, "--", 2) == 0)
            *at += strcspn(*at, "\n");
        else if (strncmp(*at, "/*", 2) == 0)
        {
            char *end = strstr(*at + 2, "*/");

            if (end == NULL)
                return false;
            *at = end + 2;
        }
        else
            return true;
    }
}

/* Reads a quoted word in place, doubled quotes standing for one. */
static bool
take_quoted(char **at, const char **word)
{
    char quote = **at;
    char *from = *at + 1;
    char *to = from;

    *word = from;
    for (; *from != '\0'; from++)
    {
        if (*from == quote && from[1] != quote)
            break;
        if (*from == quote)
            from++;
        *to++ = *from;
    }
    if (*from == '\0')
        return false;
    *to = '\0';
    *at = from + 1;
    return true;
}

/* Passes over a word that is not quoted; quotes inside of it keep what they hold together. */
static void
skip_plain(char **at)
{
    while ((*at)[strcspn(*at, " \t\r\n\f;'\"")] != '\0')
    {
        char *end;

        *at += strcspn(*at, " \t\r\n\f;'\"");
        if (**at != '\'' && **at != '"')
            return;
        end = strchr(*at + 1, **at);
        if (end == NULL)
            break;
        *at = end + 1;
    }
    *at += strlen(*at);
}

/* Takes one word, whose first character is not white space. */
static bool
take_word(char **at, ConsoleWords *words, char **end)
{
    const char *word = *at;
    bool is_quoted = **at == '\'' || **at == '"';

    *end = NULL;
    if (is_quoted && !take_quoted(at, &word))
        return false;
    if (!is_quoted)
    {
        skip_plain(at);
        *end = *at;
    }
    if (words->count < CONSOLE_WORDS_MAX)
    {
        words->text[words->count] = word;
        words->is_quoted[words->count] = is_quoted;
    }
    words->count++;
    return true;
}

/* A plain word ends where white space or a semicolon begins, and its NUL would be written over that
 * character: it is written only after the character was looked at. */
const char *
console_words_split(char *text, ConsoleWords *words)
{
    char *at = text;
    char *end = NULL;

    words->count = 0;
    for (;;)
    {
        bool is_spaced = skip_space(&at);
        char next = *at;

        if (end != NULL)
            *end = '\0';
        if (!is_spaced)
            return "a comment has no end";
        if (next == '\0')
            return NULL;
        if (next == ';')
        {
            at++;
            at += strspn(at, "; \t\r\n");
            return skip_space(&at) && *at == '\0' ? NULL
                                                  : "only one statement can be sent at a time";
        }
        if (!take_word(&at, words, &end))
            return "a quoted word has no end";
    }
}

bool
console_is_keyword(const ConsoleWords *words, size_t index, const char *keyword)
{
    return index < words->count && index < CONSOLE_WORDS_MAX && !words->is_quoted[index] &&
           strcasecmp(words->text[index], keyword) == 0;
}
