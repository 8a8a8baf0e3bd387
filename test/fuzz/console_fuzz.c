/*
 * Cuts any text into the words of a console statement: every word must lie inside of the text, end
 * there, and none may overlap the next.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "node/console/console_words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    const char *end;
    ConsoleWords words;
    const char *error;

    if (text == NULL)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    end = text;
    error = console_words_split(text, &words);
    for (size_t i = 0; i < words.count && i < CONSOLE_WORDS_MAX && error == NULL; i++)
    {
        assert(words.text[i] >= end && words.text[i] <= text + size);
        end = words.text[i] + strlen(words.text[i]);
        assert(end <= text + size);
        assert(words.is_quoted[i] || end > words.text[i]);
        assert(!(console_is_keyword(&words, i, "SHOW") && words.is_quoted[i]));
    }
    free(text);
    return 0;
}
