/*
 * Console words: a statement of the console, cut into words.
 *
 * A word is plain, or 'quoted' or "quoted" with the quote doubled inside; comments and the
 * final semicolon are dropped.
 */
#ifndef NODE_CONSOLE_CONSOLE_WORDS_H
#define NODE_CONSOLE_CONSOLE_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#define CONSOLE_WORDS_MAX 12

/* A statement, cut into words; comments and the final semicolon are gone. */
typedef struct ConsoleWords
{
    size_t count; /* may exceed CONSOLE_WORDS_MAX; words beyond are not kept */
    const char *text[CONSOLE_WORDS_MAX];
    bool is_quoted[CONSOLE_WORDS_MAX]; /* was 'so' or "so": not a keyword */
} ConsoleWords;

/* Cuts text in place; words point into it. Returns NULL, or what is wrong with the statement. */
const char *console_words_split(char *text, ConsoleWords *words);

/* True if the word is this keyword, in capitals or not. */
bool console_is_keyword(const ConsoleWords *words, size_t index, const char *keyword);

#endif
