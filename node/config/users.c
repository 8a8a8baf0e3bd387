/*
 * The list of users, parsed from DIR/users, and the users that stand for other nodes.
 *
 * Everything that a stranger can reach before he has logged in takes the same time whether a name
 * exists or not: the list is searched to its end, and the mock verifier is made for everybody.
 */
#include "node/config/users.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/config/identity.h"

#define FILE_MAX (16 * 1024 * 1024)
#define LINE_FORMAT "%s %s %s\n"

struct Users
{
    User *list;
    size_t count;
    User peers[CLUSTER_KEYS_MAX]; /* one for each cluster key */
    size_t peer_count;
    uint8_t mock_secret[SCRAM_KEY_BYTES];
    bool has_secret; /* it is the file's */
};

static const char *const role_names[] = {
    [USER_ROLE_STATS] = "stats",
    [USER_ROLE_DATA] = "data",
    [USER_ROLE_ADMIN] = "admin",
    [USER_ROLE_PEER] = "peer",
};

const char *
users_role_name(UserRole role)
{
    return role_names[role];
}

Outcome
users_role_parse(const char *name, UserRole *role)
{
    for (UserRole i = USER_ROLE_STATS; i <= USER_ROLE_ADMIN; i++)
    {
        if (strcmp(role_names[i], name) == 0)
        {
            *role = i;
            return outcome_ok();
        }
    }
    return outcome_error("unknown role \"%.64s\" (roles are data, stats and admin)", name);
}

Outcome
users_name_check(const char *name)
{
    size_t length = strlen(name);

    if (length == 0 || length > USERS_NAME_MAX)
        return outcome_error("a user name must have 1 to %d bytes", USERS_NAME_MAX);
    if (*name == '_')
        return outcome_error("user names that start with '_' are reserved");
    if (*name == '#' || *name == *USERS_SECRET_PREFIX)
        return outcome_error("a user name must not start with '%c'", *name);
    for (const unsigned char *at = (const unsigned char *)name; *at != '\0'; at++)
    {
        if (*at <= ' ' || *at == 0x7f)
            return outcome_error("a user name must not have spaces or control characters");
    }
    return outcome_ok();
}

/* Each purpose has a secret of its own: whoever learns the password of peers learns nothing about
 * salts of names that do not exist, and the cluster key itself is never sent or compared. */
static void
derive_secret(uint8_t out[SCRAM_KEY_BYTES], const uint8_t cluster_key[CLUSTER_KEY_BYTES],
              const char *purpose)
{
    crypto_generichash(out, SCRAM_KEY_BYTES, (const uint8_t *)purpose, strlen(purpose), cluster_key,
                       CLUSTER_KEY_BYTES);
}

void
users_peer_login(const uint8_t cluster_key[CLUSTER_KEY_BYTES], UsersPeerLogin *login)
{
    uint8_t secret[SCRAM_KEY_BYTES];
    char id[KEYRING_ID_SIZE];

    keyring_id(cluster_key, id);
    snprintf(login->name, sizeof(login->name), USERS_PEER_PREFIX "%s", id);
    derive_secret(secret, cluster_key, "dynamo peer password");
    sodium_bin2hex(login->password, sizeof(login->password), secret, sizeof(secret));
    sodium_memzero(secret, sizeof(secret));
}

/* The salt comes from the key too, so that all nodes make the same verifier and a client may take
 * any of them for the other. */
static User
make_peer(const uint8_t cluster_key[CLUSTER_KEY_BYTES])
{
    User peer = {.role = USER_ROLE_PEER};
    uint8_t salt[SCRAM_KEY_BYTES];
    UsersPeerLogin login;

    derive_secret(salt, cluster_key, "dynamo peer salt");
    users_peer_login(cluster_key, &login);
    strcpy(peer.name, login.name);
    scram_verifier_make(&peer.verifier, login.password, salt);
    sodium_memzero(&login, sizeof(login));
    return peer;
}

/* The secret for names that do not exist comes from the cluster key only as long as the users file
 * has none of its own: with the file it stays the same when keys are replaced. */
void
users_set_keys(Users *users, const ClusterKeys *keys)
{
    if (!users->has_secret)
        derive_secret(users->mock_secret, keys->keys[0], "dynamo mock login");
    sodium_memzero(users->peers, sizeof(users->peers));
    users->peer_count = keys->count;
    for (uint32_t i = 0; i < keys->count; i++)
        users->peers[i] = make_peer(keys->keys[i]);
}

Users *
users_new(const ClusterKeys *keys)
{
    Users *users = calloc(1, sizeof(Users));

    if (users == NULL)
        abort();
    users_set_keys(users, keys);
    return users;
}

void
users_free(Users *users)
{
    if (users == NULL)
        return;
    free(users->list);
    sodium_memzero(users, sizeof(*users));
    free(users);
}

static const User *
find_in(const User *list, size_t count, const char *name)
{
    const User *found = NULL;

    /* To the end in any case: the time must not tell whether the name exists. */
    for (size_t i = 0; i < count; i++)
    {
        if (strcmp(list[i].name, name) == 0)
            found = &list[i];
    }
    return found;
}

static Outcome
parse_user_line(char *line, const User *list, size_t count, User *user)
{
    char *rest = NULL;
    char *name = strtok_r(line, " \t\r", &rest);
    char *role = name == NULL ? NULL : strtok_r(NULL, " \t\r", &rest);
    char *verifier = role == NULL ? NULL : strtok_r(NULL, " \t\r", &rest);
    Outcome outcome;

    memset(user, 0, sizeof(*user));
    if (verifier == NULL || strtok_r(NULL, " \t\r", &rest) != NULL)
        return outcome_error("expected: name role verifier");
    outcome = users_name_check(name);
    if (outcome.failed)
        return outcome;
    strcpy(user->name, name);
    outcome = users_role_parse(role, &user->role);
    if (outcome.failed)
        return outcome;
    if (!scram_verifier_parse(&user->verifier, verifier))
        return outcome_error("the verifier of user \"%s\" is not %s with %d iterations", name,
                             SCRAM_MECHANISM, SCRAM_ITERATIONS);
    if (find_in(list, count, name) != NULL)
        return outcome_error("user \"%s\" is listed twice", name);
    return outcome_ok();
}

/* "!mock" and the secret in hex digits. */
static Outcome
parse_secret(const char *line, uint8_t secret[SCRAM_KEY_BYTES])
{
    const char *digits = line + strlen(USERS_SECRET_PREFIX);
    size_t length = strcspn(digits, " \t\r");
    size_t got = 0;

    if (strncmp(line, USERS_SECRET_PREFIX, strlen(USERS_SECRET_PREFIX)) != 0 ||
        digits[length + strspn(digits + length, " \t\r")] != '\0' ||
        length != 2 * SCRAM_KEY_BYTES ||
        sodium_hex2bin(secret, SCRAM_KEY_BYTES, digits, length, NULL, &got, NULL) != 0 ||
        got != SCRAM_KEY_BYTES)
        return outcome_error("expected: " USERS_SECRET_PREFIX "and %d hex digits",
                             2 * SCRAM_KEY_BYTES);
    return outcome_ok();
}

/* The contents of a users file. */
typedef struct UsersListing
{
    User *list;
    size_t count;
    size_t room;
    uint8_t secret[SCRAM_KEY_BYTES];
    bool has_secret;
} UsersListing;

static Outcome
take_line(UsersListing *listing, char *line)
{
    Outcome outcome;

    if (line[strspn(line, " \t\r")] == '\0' || *line == '#')
        return outcome_ok();
    if (*line == *USERS_SECRET_PREFIX)
    {
        listing->has_secret = true;
        return parse_secret(line, listing->secret);
    }
    if (listing->count == listing->room)
    {
        listing->room = listing->room == 0 ? 16 : listing->room * 2;
        listing->list = realloc(listing->list, listing->room * sizeof(User));
        if (listing->list == NULL)
            abort();
    }
    outcome = parse_user_line(line, listing->list, listing->count, listing->list + listing->count);
    listing->count += !outcome.failed;
    return outcome;
}

static Outcome
parse_lines(char *text, const char *file_name, UsersListing *listing)
{
    char *line;

    for (int line_number = 1; (line = strsep(&text, "\n")) != NULL; line_number++)
    {
        Outcome outcome = take_line(listing, line);

        if (outcome.failed)
            return outcome_error("\"%.100s\" line %d: %.180s", file_name, line_number,
                                 outcome.message);
    }
    return outcome_ok();
}

Outcome
users_parse(Users *users, const char *text, size_t length, const char *file_name)
{
    char *copy = malloc(length + 1);
    UsersListing listing = {.list = NULL};
    Outcome outcome;

    if (copy == NULL)
        abort();
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (strlen(copy) != length)
    {
        free(copy);
        return outcome_error("\"%.100s\" is not a text file", file_name);
    }
    outcome = parse_lines(copy, file_name, &listing);
    free(copy);
    if (outcome.failed)
    {
        free(listing.list);
        return outcome;
    }
    free(users->list);
    users->list = listing.list;
    users->count = listing.count;
    users->has_secret = listing.has_secret;
    if (listing.has_secret)
        memcpy(users->mock_secret, listing.secret, sizeof(users->mock_secret));
    sodium_memzero(&listing, sizeof(listing));
    return outcome;
}

static Outcome
read_private_file(const char *file_name, char **text, size_t *length)
{
    int fd = open(file_name, O_RDONLY | O_CLOEXEC);
    struct stat info;
    Outcome outcome = outcome_ok();
    ssize_t got = 0;

    *text = NULL;
    *length = 0;
    if (fd < 0 || fstat(fd, &info) != 0)
        outcome = outcome_error("could not open \"%.200s\": %s", file_name, strerror(errno));
    else if ((info.st_mode & 077) != 0)
        outcome = outcome_error(
            "\"%.200s\" can be read by others than its owner; set its mode to 0600 (chmod 600)",
            file_name);
    else if (info.st_size > FILE_MAX)
        outcome = outcome_error("\"%.200s\" is too large", file_name);
    else
    {
        *text = malloc((size_t)info.st_size + 1);
        if (*text == NULL)
            abort();
        got = read(fd, *text, (size_t)info.st_size);
        if (got < 0)
            outcome = outcome_error("could not read \"%.200s\": %s", file_name, strerror(errno));
        *length = got < 0 ? 0 : (size_t)got;
    }
    if (fd >= 0)
        close(fd);
    return outcome;
}

Outcome
users_load(Users *users, const char *file_name)
{
    char *text;
    size_t length;
    Outcome outcome = read_private_file(file_name, &text, &length);

    if (!outcome.failed)
        outcome = users_parse(users, text, length, file_name);
    free(text);
    return outcome;
}

const User *
users_find(const Users *users, const char *name)
{
    const User *peer = find_in(users->peers, users->peer_count, name);
    const User *user = find_in(users->list, users->count, name);

    return peer != NULL ? peer : user;
}

ScramVerifier
users_login_verifier(const Users *users, const char *name)
{
    ScramVerifier verifier;
    const User *user = users_find(users, name);

    /* The mock is made for every login, so that the time does not tell the two apart. */
    scram_verifier_mock(&verifier, users->mock_secret, sizeof(users->mock_secret), name);
    return user == NULL ? verifier : user->verifier;
}

/* The whole new text is parsed before it replaces the file: a command may not leave a file behind
 * that the node refuses at its next start. */
static Outcome
append_user(const char *file_name, const char *old, size_t old_length, const char *line)
{
    size_t room = old_length + strlen(line) + 2;
    char *text = malloc(room);
    Users scratch = {.list = NULL};
    Outcome outcome;
    int length;

    if (text == NULL)
        abort();
    length = snprintf(text, room, "%.*s%s%s", (int)old_length, old,
                      old_length > 0 && old[old_length - 1] != '\n' ? "\n" : "", line);
    outcome = users_parse(&scratch, text, (size_t)length, file_name);
    if (!outcome.failed)
        outcome = identity_replace_file(file_name, slice_from_string(text));
    free(scratch.list);
    free(text);
    return outcome;
}

Outcome
users_file_add(const char *file_name, const char *name, UserRole role, const char *verifier)
{
    char line[USERS_NAME_MAX + SCRAM_VERIFIER_TEXT_SIZE + 32];
    char *old = NULL;
    size_t old_length = 0;
    Outcome outcome = users_name_check(name);

    if (outcome.failed)
        return outcome;
    if (access(file_name, F_OK) == 0)
        outcome = read_private_file(file_name, &old, &old_length);
    if (!outcome.failed)
    {
        Users scratch = {.list = NULL};

        outcome = users_parse(&scratch, old != NULL ? old : "", old_length, file_name);
        if (!outcome.failed && users_find(&scratch, name) != NULL)
            outcome = outcome_error("user \"%s\" exists already", name);
        free(scratch.list);
    }
    if (!outcome.failed)
    {
        snprintf(line, sizeof(line), LINE_FORMAT, name, users_role_name(role), verifier);
        outcome = append_user(file_name, old != NULL ? old : "", old_length, line);
    }
    free(old);
    return outcome;
}

void
users_file_begin(char text[USERS_SECRET_TEXT_SIZE])
{
    uint8_t secret[SCRAM_KEY_BYTES];
    size_t length = strlen(USERS_SECRET_PREFIX);

    randombytes_buf(secret, sizeof(secret));
    memcpy(text, USERS_SECRET_PREFIX, length);
    sodium_bin2hex(text + length, USERS_SECRET_TEXT_SIZE - length, secret, sizeof(secret));
    strcat(text, "\n");
    sodium_memzero(secret, sizeof(secret));
}
