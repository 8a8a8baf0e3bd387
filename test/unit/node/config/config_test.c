#include "node/config/config.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static Outcome
parse(Config *config, const char *text)
{
    return config_parse(config, text, strlen(text), "dynamo.conf");
}

static void
defaults_are_those_of_the_table(void **state)
{
    Config config;

    config_init(&config);
    assert_int_equal(config.port, 7101);
    assert_string_equal(config.listen_address, "127.0.0.1");
    assert_false(config.trust_loopback);
    assert_int_equal(config.partitions, 256);
    config_free(&config);
}

static void
what_depends_on_other_options_is_filled_in(void **state)
{
    Config config;

    config_init(&config);
    assert_false(config_set_argument(&config, "port = 7105").failed);
    assert_false(config_set_argument(&config, "listen_address=10.0.0.1").failed);
    assert_false(config_finish(&config).failed);
    assert_string_equal(config.node_name, "node_7105");
    assert_string_equal(config.advertise_address, "10.0.0.1");
    assert_int_equal(config.ssl, CONFIG_SSL_ON);
    assert_false(config_set(&config, "ssl_cert_file", "x").failed);
    assert_true(config_finish(&config).failed);
    config_free(&config);
}

static void
lines_are_read_with_comments_and_quotes(void **state)
{
    Config config;

    config_init(&config);
    assert_false(parse(&config, "# a comment\n\n  port=7102   # another\n"
                                "log_file = 'it''s # here'  # and another\n"
                                "seeds = a:1, b:2\r\ntrust_loopback = ON\nlog_level=warning")
                     .failed);
    assert_int_equal(config.port, 7102);
    assert_string_equal(config.log_file, "it's # here");
    assert_string_equal(config.seeds, "a:1, b:2");
    assert_true(config.trust_loopback);
    assert_int_equal(config.log_level, 2);
    config_free(&config);
}

static void
a_bad_line_is_named(void **state)
{
    static const char *const bad[][2] = {
        {"nonsense",                    "name = value"  },
        {"colour = red",                "unknown option"},
        {"port = 0",                    "between"       },
        {"port = 65536",                "between"       },
        {"port = 71o1",                 "whole number"  },
        {"port = 99999999999999999999", "whole number"  },
        {"port =",                      "whole number"  },
        {"auth_timeout_ms = 1s",        "of ms"         },
        {"trust_loopback = maybe",      "on or off"     },
        {"ssl = maybe",                 "off, on"       },
        {"log_level = loud",            "debug, info"   },
        {"seeds = host",                "host:port"     },
        {"seeds = a:1,,b:2",            "host:port"     },
        {"seeds = a:0",                 "host:port"     },
        {"seeds = :7101",               "host:port"     },
        {"partitions = 100",            "power of two"  },
        {"zone = a b",                  "letters"       },
        {"log_file = 'x",               "no end"        },
        {"log_file = 'x' y",            "unexpected"    },
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    {
        Config config;
        char text[128];
        Outcome outcome;

        config_init(&config);
        snprintf(text, sizeof(text), "# first\n%s\n", bad[i][0]);
        outcome = parse(&config, text);
        assert_true(outcome.failed);
        assert_non_null(strstr(outcome.message, "\"dynamo.conf\" line 2"));
        if (strstr(outcome.message, bad[i][1]) == NULL)
            fail_msg("\"%s\" is not in: %s", bad[i][1], outcome.message);
        config_free(&config);
    }
}

static void
bytes_that_are_no_text_are_refused(void **state)
{
    Config config;

    config_init(&config);
    assert_true(config_parse(&config, "port = 1\0", 9, "dynamo.conf").failed);
    config_free(&config);
}

static void
the_written_file_reads_back(void **state)
{
    Config config;
    Config again;
    char *text;

    config_init(&config);
    config_init(&again);
    assert_false(config_set(&config, "log_file", "it's 'quoted' #").failed);
    assert_false(config_set(&config, "ssl_cert_file", "x").failed);
    assert_false(config_set(&config, "max_value_bytes", "2000").failed);
    text = config_file_text(&config);
    assert_false(parse(&again, text).failed);
    for (size_t i = 0; i < config_option_count; i++)
    {
        char a[256];
        char b[256];

        assert_non_null(strstr(text, config_options[i].name));
        assert_string_equal(config_value(&config, &config_options[i], a, sizeof(a)),
                            config_value(&again, &config_options[i], b, sizeof(b)));
    }
    free(text);
    config_free(&config);
    config_free(&again);
}

static void
note_change(void *context, const ConfigOption *option, bool needs_restart)
{
    int *counts = context;

    counts[needs_restart]++;
}

static void
a_reload_takes_only_what_it_may(void **state)
{
    Config config;
    Config fresh;
    int counts[2] = {0, 0};

    config_init(&config);
    config_init(&fresh);
    assert_false(parse(&fresh, "port = 9999\nlog_level = debug\nauth_timeout_ms = 500\n"
                               "log_file = x\nzone = z")
                     .failed);
    config_reload(&config, &fresh, note_change, counts);
    assert_int_equal(counts[false], 3);
    assert_int_equal(counts[true], 2);
    assert_int_equal(config.port, 7101);
    assert_int_equal(config.auth_timeout_ms, 500);
    assert_string_equal(config.log_file, "x");
    assert_string_equal(config.zone, "");
    config_free(&config);
    config_free(&fresh);
}

static void
seeds_are_split(void **state)
{
    Config config;
    char host[64];
    int port;

    config_init(&config);
    assert_false(config_seed(&config, 0, host, sizeof(host), &port));
    assert_false(
        config_set(&config, "seeds", " 127.0.0.1:7101 ,[::1]:7102, shop.example:80 ").failed);
    assert_true(config_seed(&config, 0, host, sizeof(host), &port));
    assert_string_equal(host, "127.0.0.1");
    assert_int_equal(port, 7101);
    assert_true(config_seed(&config, 1, host, sizeof(host), &port));
    assert_string_equal(host, "::1");
    assert_true(config_seed(&config, 2, host, sizeof(host), &port));
    assert_string_equal(host, "shop.example");
    assert_int_equal(port, 80);
    assert_false(config_seed(&config, 3, host, sizeof(host), &port));
    config_free(&config);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_table),
        cmocka_unit_test(what_depends_on_other_options_is_filled_in),
        cmocka_unit_test(lines_are_read_with_comments_and_quotes),
        cmocka_unit_test(a_bad_line_is_named),
        cmocka_unit_test(bytes_that_are_no_text_are_refused),
        cmocka_unit_test(the_written_file_reads_back),
        cmocka_unit_test(a_reload_takes_only_what_it_may),
        cmocka_unit_test(seeds_are_split),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
