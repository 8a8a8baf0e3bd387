/*
 * Reads options from text, writes them as text, and takes over those that SIGHUP may change. What
 * an option is, its default, range and description, is a row of config_options.c: every function
 * here walks that table or looks one row up.
 */
#include "node/config/config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_FILE_MAX (1024 * 1024)

/* The table stores where an option stands in Config, so that one function serves all options of a
 * type. */
static void *
option_field(const Config *config, const ConfigOption *option)
{
    return (char *)config + option->offset;
}

static char *
copy_text(const char *text)
{
    char *copy = strdup(text);

    if (copy == NULL)
        abort();
    return copy;
}

/* The copy is made first: value may be the old string itself. */
static void
set_string(char **target, const char *value)
{
    char *copy = copy_text(value);

    free(*target);
    *target = copy;
}

static const ConfigOption *
find_option(const char *name)
{
    for (size_t i = 0; i < config_option_count; i++)
    {
        if (strcmp(config_options[i].name, name) == 0)
            return &config_options[i];
    }
    return NULL;
}

static Outcome
parse_bool(const ConfigOption *option, const char *value, bool *result)
{
    static const char *const on[] = {"on", "true", "yes", "1"};
    static const char *const off[] = {"off", "false", "no", "0"};

    for (size_t i = 0; i < sizeof(on) / sizeof(on[0]); i++)
    {
        if (strcasecmp(value, on[i]) == 0 || strcasecmp(value, off[i]) == 0)
        {
            *result = strcasecmp(value, on[i]) == 0;
            return outcome_ok();
        }
    }
    return outcome_error("option \"%s\" must be on or off, not \"%.64s\"", option->name, value);
}

static Outcome
parse_int(const ConfigOption *option, const char *value, int64_t *result)
{
    char *end;
    long long number;

    errno = 0;
    number = strtoll(value, &end, 10);
    if (end == value || *end != '\0' || errno != 0)
        return outcome_error("option \"%s\" must be a whole number%s%s, not \"%.64s\"",
                             option->name, *option->unit != '\0' ? " of " : "", option->unit,
                             value);
    if (number < option->min || number > option->max)
        return outcome_error("option \"%s\" must be between %" PRId64 " and %" PRId64 ", not %lld",
                             option->name, option->min, option->max, number);
    *result = number;
    return outcome_ok();
}

static Outcome
parse_choice(const ConfigOption *option, const char *value, int64_t *result)
{
    char range[128];

    for (int64_t i = 0; option->choices[i] != NULL; i++)
    {
        if (strcasecmp(option->choices[i], value) == 0)
        {
            *result = i;
            return outcome_ok();
        }
    }
    return outcome_error("option \"%s\" must be one of %s, not \"%.64s\"", option->name,
                         config_range(option, range, sizeof(range)), value);
}

static Outcome
set_option(Config *config, const ConfigOption *option, const char *value)
{
    Outcome outcome = option->check != NULL ? option->check(value) : outcome_ok();

    if (outcome.failed)
        return outcome_error("option \"%s\": %.250s", option->name, outcome.message);
    switch (option->type)
    {
    case CONFIG_BOOL:
        return parse_bool(option, value, option_field(config, option));
    case CONFIG_INT:
        return parse_int(option, value, option_field(config, option));
    case CONFIG_CHOICE:
        return parse_choice(option, value, option_field(config, option));
    case CONFIG_STRING:
        set_string(option_field(config, option), value);
        return outcome_ok();
    }
    return outcome_error("option \"%s\" has no type", option->name);
}

/* A default goes through the same parser and checks as a value that a person writes, so a wrong row
 * of the table ends the first test that starts. */
void
config_init(Config *config)
{
    memset(config, 0, sizeof(*config));
    for (size_t i = 0; i < config_option_count; i++)
    {
        Outcome outcome = set_option(config, &config_options[i], config_options[i].fallback);

        if (outcome.failed)
        {
            fprintf(stderr, "default is invalid: %s\n", outcome.message);
            abort();
        }
    }
}

void
config_free(Config *config)
{
    for (size_t i = 0; i < config_option_count; i++)
    {
        if (config_options[i].type == CONFIG_STRING)
            free(*(char **)option_field(config, &config_options[i]));
    }
    memset(config, 0, sizeof(*config));
}

Outcome
config_set(Config *config, const char *name, const char *value)
{
    const ConfigOption *option = find_option(name);

    if (option == NULL)
        return outcome_error("unknown option \"%.64s\" (see the comments in dynamo.conf)", name);
    return set_option(config, option, value);
}

/* Removes white space at both ends, in place. */
static char *
trim_line(char *text)
{
    size_t length;

    while (isspace((unsigned char)*text))
        text++;
    length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        text[--length] = '\0';
    return text;
}

Outcome
config_set_argument(Config *config, const char *argument)
{
    char *copy = copy_text(argument);
    char *equals = strchr(copy, '=');
    Outcome outcome;

    if (equals == NULL)
        outcome = outcome_error("expected name=value, not \"%.128s\"", argument);
    else
    {
        *equals = '\0';
        outcome = config_set(config, trim_line(copy), trim_line(equals + 1));
    }
    free(copy);
    return outcome;
}

/* Reads 'quoted' text in place; the text after it must be empty or a comment. */
static Outcome
unquote_value(char *text, char **value)
{
    char *from = text + 1;
    char *to = text;

    *value = text;
    for (; *from != '\0'; from++)
    {
        if (*from == '\'' && from[1] != '\'')
            break;
        if (*from == '\'')
            from++;
        *to++ = *from;
    }
    if (*from != '\'')
        return outcome_error("a quoted value has no end");
    from = trim_line(from + 1);
    if (*from != '\0' && *from != '#')
        return outcome_error("unexpected text after a quoted value");
    *to = '\0';
    return outcome_ok();
}

static Outcome
parse_option_line(Config *config, char *line)
{
    char *name = trim_line(line);
    char *equals = strchr(name, '=');
    char *value;
    Outcome outcome;

    if (*name == '\0' || *name == '#')
        return outcome_ok();
    if (equals == NULL)
        return outcome_error("expected name = value");
    *equals = '\0';
    value = trim_line(equals + 1);
    if (*value == '\'')
    {
        outcome = unquote_value(value, &value);
        if (outcome.failed)
            return outcome;
    }
    else
    {
        value[strcspn(value, "#")] = '\0';
        value = trim_line(value);
    }
    return config_set(config, trim_line(name), value);
}

/* Parses a copy of each line, because the parser cuts values out in place and the text belongs to
 * the caller. */
Outcome
config_parse(Config *config, const char *text, size_t length, const char *file_name)
{
    size_t at = 0;

    if (length > 0 && memchr(text, '\0', length) != NULL)
        return outcome_error("\"%.128s\" is not a text file", file_name);
    for (int line_number = 1; at < length; line_number++)
    {
        const char *newline = memchr(text + at, '\n', length - at);
        size_t line_length = newline == NULL ? length - at : (size_t)(newline - text) - at;
        char *line = strndup(text + at, line_length);
        Outcome outcome;

        if (line == NULL)
            abort();
        outcome = parse_option_line(config, line);
        free(line);
        if (outcome.failed)
            return outcome_error("\"%.128s\" line %d: %.180s", file_name, line_number,
                                 outcome.message);
        at += line_length + 1;
    }
    return outcome_ok();
}

/* Reads the whole of a small file and puts a NUL behind it. One byte more than the limit is asked
 * for, so that a file that is too large is told from one that just fits. The caller frees *text. */
static Outcome
read_file(const char *file_name, char **text, size_t *length)
{
    FILE *file = fopen(file_name, "re");

    *text = NULL;
    *length = 0;
    if (file == NULL)
        return outcome_error("could not open \"%.200s\": %s", file_name, strerror(errno));
    *text = malloc(CONFIG_FILE_MAX + 1);
    if (*text == NULL)
        abort();
    *length = fread(*text, 1, CONFIG_FILE_MAX + 1, file);
    if (ferror(file) || *length > CONFIG_FILE_MAX)
    {
        Outcome outcome = outcome_error("could not read \"%.200s\": %s", file_name,
                                        ferror(file) ? strerror(errno) : "it is too large");

        fclose(file);
        return outcome;
    }
    fclose(file);
    (*text)[*length] = '\0';
    return outcome_ok();
}

Outcome
config_load(Config *config, const char *file_name)
{
    char *text;
    size_t length;
    Outcome outcome = read_file(file_name, &text, &length);

    if (!outcome.failed)
        outcome = config_parse(config, text, length, file_name);
    free(text);
    return outcome;
}

/* These name all addresses of the machine: a node can listen on them, but nobody can connect to
 * them. */
static bool
is_any_address(const char *address)
{
    return strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0 ||
           strcmp(address, "*") == 0;
}

/* Options that depend on each other are checked here, after all of them are set: their order in the
 * file and on the command line does not matter. */
Outcome
config_finish(Config *config)
{
    if (*config->node_name == '\0')
    {
        char name[32];

        snprintf(name, sizeof(name), "node_%" PRId64, config->port);
        set_string(&config->node_name, name);
    }
    if (*config->listen_address == '\0')
        return outcome_error("option \"listen_address\" must not be empty");
    if (is_any_address(config->advertise_address))
        return outcome_error("option \"advertise_address\" must be one address, not \"%.64s\"",
                             config->advertise_address);
    if (*config->advertise_address == '\0' && is_any_address(config->listen_address))
        return outcome_error("listen_address = %.64s needs advertise_address: which of this "
                             "machine's addresses the other nodes and clients connect to",
                             config->listen_address);
    if (*config->advertise_address == '\0')
        set_string(&config->advertise_address, config->listen_address);
    if ((*config->ssl_cert_file == '\0') != (*config->ssl_key_file == '\0'))
        return outcome_error("ssl_cert_file and ssl_key_file go together: give both or none");
    return outcome_ok();
}

/* Compares values, not texts: "on" and "true" are no change. */
static bool
is_equal(const Config *a, const Config *b, const ConfigOption *option)
{
    switch (option->type)
    {
    case CONFIG_BOOL:
        return *(bool *)option_field(a, option) == *(bool *)option_field(b, option);
    case CONFIG_STRING:
        return strcmp(*(char **)option_field(a, option), *(char **)option_field(b, option)) == 0;
    case CONFIG_INT:
    case CONFIG_CHOICE:
        break;
    }
    return *(int64_t *)option_field(a, option) == *(int64_t *)option_field(b, option);
}

static void
take_option_value(Config *config, const Config *fresh, const ConfigOption *option)
{
    switch (option->type)
    {
    case CONFIG_BOOL:
        *(bool *)option_field(config, option) = *(bool *)option_field(fresh, option);
        break;
    case CONFIG_STRING:
        set_string(option_field(config, option), *(char **)option_field(fresh, option));
        break;
    case CONFIG_INT:
    case CONFIG_CHOICE:
        *(int64_t *)option_field(config, option) = *(int64_t *)option_field(fresh, option);
        break;
    }
}

/* An option that needs a restart keeps its old value in config, so that SHOW CONFIG shows what is
 * in force and not what the file says. */
void
config_reload(Config *config, const Config *fresh,
              void (*changed)(void *context, const ConfigOption *option, bool needs_restart),
              void *context)
{
    for (size_t i = 0; i < config_option_count; i++)
    {
        const ConfigOption *option = &config_options[i];

        if (is_equal(config, fresh, option))
            continue;
        if (option->reloadable)
            take_option_value(config, fresh, option);
        changed(context, option, !option->reloadable);
    }
}

const char *
config_value(const Config *config, const ConfigOption *option, char *text, size_t size)
{
    const void *value = option_field(config, option);

    switch (option->type)
    {
    case CONFIG_BOOL:
        snprintf(text, size, "%s", *(const bool *)value ? "on" : "off");
        break;
    case CONFIG_INT:
        snprintf(text, size, "%" PRId64, *(const int64_t *)value);
        break;
    case CONFIG_CHOICE:
        snprintf(text, size, "%s", option->choices[*(const int64_t *)value]);
        break;
    case CONFIG_STRING:
        snprintf(text, size, "%s", *(char *const *)value);
        break;
    }
    return text;
}

const char *
config_range(const ConfigOption *option, char *text, size_t size)
{
    size_t length = 0;

    *text = '\0';
    if (option->type == CONFIG_BOOL)
        snprintf(text, size, "on, off");
    if (option->type == CONFIG_INT)
        snprintf(text, size, "%" PRId64 " .. %" PRId64, option->min, option->max);
    for (size_t i = 0; option->choices != NULL && option->choices[i] != NULL; i++)
    {
        int written =
            snprintf(text + length, size - length, "%s%s", i > 0 ? ", " : "", option->choices[i]);

        if (written < 0 || (size_t)written >= size - length)
            break;
        length += (size_t)written;
    }
    return text;
}

/* Strings are always quoted, since a value may hold "#" or begin with a blank. */
static void
put_quoted(FILE *file, const char *value)
{
    putc('\'', file);
    for (; *value != '\0'; value++)
    {
        if (*value == '\'')
            putc('\'', file);
        putc(*value, file);
    }
    putc('\'', file);
}

/* An option with its default stays a comment, so that a later version can bring another default. */
static void
put_option(FILE *file, const Config *config, const Config *defaults, const ConfigOption *option)
{
    char range[128];
    char value[1024];

    config_range(option, range, sizeof(range));
    fprintf(file, "\n# %s\n#", option->description);
    if (*option->unit != '\0')
        fprintf(file, " Unit: %s.", option->unit);
    if (*range != '\0')
        fprintf(file, " Range: %s.", range);
    fprintf(file, " Default: %s.%s\n", *option->fallback != '\0' ? option->fallback : "empty",
            option->reloadable ? "" : " A change takes effect when the node is restarted.");
    fprintf(file, "%s%s = ", is_equal(config, defaults, option) ? "#" : "", option->name);
    config_value(config, option, value, sizeof(value));
    if (option->type == CONFIG_STRING)
        put_quoted(file, value);
    else
        fputs(value, file);
    putc('\n', file);
}

char *
config_file_text(const Config *config)
{
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    Config defaults;

    if (file == NULL)
        abort();
    config_init(&defaults);
    fputs("# Configuration of a dynamo_node, which reads it when it starts and at SIGHUP.\n# Every "
          "option is listed with its default. To change one, remove the # and edit the value.\n",
          file);
    for (size_t i = 0; i < config_option_count; i++)
        put_option(file, config, &defaults, &config_options[i]);
    fclose(file);
    config_free(&defaults);
    return text;
}
