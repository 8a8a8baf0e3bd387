#include "node/config/users.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/* Two keys each, one in common. */
static const ClusterKeys keys = {
    .keys = {"a cluster key of thirty-two byte", "another key of thirty-two bytes!"},
      .count = 2
};
static const ClusterKeys later_keys = {
    .keys = {"another key of thirty-two bytes!", "the key after of thirty-two byte"},
      .count = 2
};

static const char *
verifier_text(const char *password)
{
    static char text[SCRAM_VERIFIER_TEXT_SIZE];
    uint8_t salt[SCRAM_SALT_BYTES] = "sixteen of salt";
    ScramVerifier verifier;

    scram_verifier_make(&verifier, password, salt);
    scram_verifier_format(&verifier, text);
    return text;
}

static Outcome
parse(Users *users, const char *text)
{
    return users_parse(users, text, strlen(text), "users");
}

static void
users_are_found_with_their_roles(void **state)
{
    Users *users = users_new(&keys);
    char text[1024];

    snprintf(text, sizeof(text), "# people\nshop data %s\n\n  root admin\t%s\r\nüser stats %s",
             verifier_text("a"), verifier_text("a"), verifier_text("a"));
    assert_false(parse(users, text).failed);
    assert_int_equal(users_find(users, "shop")->role, USER_ROLE_DATA);
    assert_int_equal(users_find(users, "root")->role, USER_ROLE_ADMIN);
    assert_int_equal(users_find(users, "üser")->role, USER_ROLE_STATS);
    assert_null(users_find(users, "nobody"));
    assert_null(users_find(users, ""));
    users_free(users);
}

static void
a_bad_file_changes_nothing(void **state)
{
    static const char *const bad[] = {
        "%2$s x\nshop data %1$s",        /* a line that is none */
        "shop data",                     /* no verifier */
        "shop data %1$s more",           /* too much */
        "shop owner %1$s",               /* no such role */
        "shop peer %1$s",                /* a role that people cannot have */
        "_peer admin %1$s",              /* a reserved name */
        "shop data md5abc",              /* another kind of verifier */
        "shop data %1$s\nshop data %1$s" /* twice */
    };
    Users *users = users_new(&keys);
    char text[1024];

    snprintf(text, sizeof(text), "old data %s\n", verifier_text("a"));
    assert_false(parse(users, text).failed);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    {
        Outcome outcome;

        snprintf(text, sizeof(text), bad[i], verifier_text("a"), "y");
        outcome = parse(users, text);
        assert_true(outcome.failed);
        assert_non_null(strstr(outcome.message, "line"));
        assert_non_null(users_find(users, "old"));
        assert_null(users_find(users, "shop"));
    }
    users_free(users);
}

/* True when a node with this key in use would be let in. */
static bool
peer_fits(const Users *users, const uint8_t key[CLUSTER_KEY_BYTES])
{
    UsersPeerLogin login;
    const User *peer;
    ScramVerifier made;

    users_peer_login(key, &login);
    assert_int_equal(strlen(login.password), sizeof(login.password) - 1);
    peer = users_find(users, login.name);
    if (peer == NULL)
        return false;
    assert_int_equal(peer->role, USER_ROLE_PEER);
    scram_verifier_make(&made, login.password, peer->verifier.salt);
    return memcmp(made.stored_key, peer->verifier.stored_key, SCRAM_KEY_BYTES) == 0;
}

static void
a_node_with_any_key_of_the_ring_is_a_peer(void **state)
{
    Users *users = users_new(&keys);

    assert_true(peer_fits(users, keys.keys[0]));
    assert_true(peer_fits(users, keys.keys[1]));
    assert_false(peer_fits(users, later_keys.keys[1]));
    users_set_keys(users, &later_keys);
    assert_false(peer_fits(users, keys.keys[0]));
    assert_true(peer_fits(users, keys.keys[1]));
    assert_true(peer_fits(users, later_keys.keys[1]));
    users_free(users);
}

static void
one_key_does_not_fit_the_name_of_another(void **state)
{
    Users *users = users_new(&keys);
    UsersPeerLogin first;
    UsersPeerLogin second;
    ScramVerifier made;
    const User *peer;

    users_peer_login(keys.keys[0], &first);
    users_peer_login(keys.keys[1], &second);
    assert_string_not_equal(first.name, second.name);
    peer = users_find(users, first.name);
    scram_verifier_make(&made, second.password, peer->verifier.salt);
    assert_memory_not_equal(made.stored_key, peer->verifier.stored_key, SCRAM_KEY_BYTES);
    users_free(users);
}

static void
an_unknown_name_gets_the_same_mock_on_every_node(void **state)
{
    Users *one = users_new(&keys);
    Users *two = users_new(&keys);
    ScramVerifier a = users_login_verifier(one, "nobody");
    ScramVerifier b = users_login_verifier(two, "nobody");

    assert_true(a.never_matches);
    assert_memory_equal(&a, &b, sizeof(a));
    assert_true(users_login_verifier(one, USERS_PEER_PREFIX "00000000").never_matches);
    users_free(one);
    users_free(two);
}

static void
names_that_break_lines_are_refused(void **state)
{
    char longest[USERS_NAME_MAX + 2];

    memset(longest, 'x', sizeof(longest));
    longest[USERS_NAME_MAX] = '\0';
    assert_false(users_name_check(longest).failed);
    longest[USERS_NAME_MAX] = 'x';
    longest[USERS_NAME_MAX + 1] = '\0';
    assert_true(users_name_check(longest).failed);
    assert_true(users_name_check("").failed);
    assert_true(users_name_check("a b").failed);
    assert_true(users_name_check("a\nb").failed);
    assert_true(users_name_check("_x").failed);
    assert_true(users_name_check("#x").failed);
    assert_false(users_name_check("Jürgen.O'Neil").failed);
}

static void
users_are_added_to_the_file(void **state)
{
    char file_name[] = "/tmp/users_test_XXXXXX";
    int fd = mkstemp(file_name);
    Users *users = users_new(&keys);
    struct stat info;

    assert_true(fd >= 0);
    close(fd);
    unlink(file_name);
    assert_true(users_load(users, file_name).failed);
    assert_false(users_file_add(file_name, "shop", USER_ROLE_DATA, verifier_text("a")).failed);
    assert_false(users_file_add(file_name, "root", USER_ROLE_ADMIN, verifier_text("b")).failed);
    assert_true(users_file_add(file_name, "shop", USER_ROLE_ADMIN, verifier_text("c")).failed);
    assert_true(users_file_add(file_name, "new", USER_ROLE_DATA, "nonsense").failed);
    assert_false(users_load(users, file_name).failed);
    assert_int_equal(users_find(users, "shop")->role, USER_ROLE_DATA);
    assert_int_equal(stat(file_name, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    chmod(file_name, 0640);
    assert_true(users_load(users, file_name).failed);
    unlink(file_name);
    users_free(users);
}

static void
mock_salts_stay_with_the_file_whatever_the_cluster_key(void **state)
{
    char text[USERS_SECRET_TEXT_SIZE];
    Users *users = users_new(&keys);
    Users *copy = users_new(&later_keys);
    ScramVerifier before;
    ScramVerifier after;

    users_file_begin(text);
    assert_false(parse(users, text).failed);
    assert_false(parse(copy, text).failed);
    before = users_login_verifier(users, "nobody");
    users_set_keys(users, &later_keys);
    after = users_login_verifier(users, "nobody");
    assert_memory_equal(&before, &after, sizeof(before));
    after = users_login_verifier(copy, "nobody");
    assert_memory_equal(&before, &after, sizeof(before));
    users_file_begin(text);
    assert_false(parse(copy, text).failed);
    after = users_login_verifier(copy, "nobody");
    assert_memory_not_equal(before.salt, after.salt, sizeof(before.salt));
    assert_true(parse(copy, "!mock 12\n").failed);
    assert_true(parse(copy, "!salt\n").failed);
    assert_true(users_name_check("!mock").failed);
    users_free(users);
    users_free(copy);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_are_found_with_their_roles),
        cmocka_unit_test(mock_salts_stay_with_the_file_whatever_the_cluster_key),
        cmocka_unit_test(a_bad_file_changes_nothing),
        cmocka_unit_test(a_node_with_any_key_of_the_ring_is_a_peer),
        cmocka_unit_test(one_key_does_not_fit_the_name_of_another),
        cmocka_unit_test(an_unknown_name_gets_the_same_mock_on_every_node),
        cmocka_unit_test(names_that_break_lines_are_refused),
        cmocka_unit_test(users_are_added_to_the_file),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
