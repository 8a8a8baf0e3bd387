/*
 * The jobs of dynamo_node besides running: init, user add, key, salvage.
 *
 * Each of them changes files of the folder only by replacing them whole and synced, so a job that
 * is interrupted leaves the old state. A running node may read the same files at any time; salvage
 * alone takes the folder's lock, since it changes the data.
 */
#include "node/setup.h"

#include <dirent.h>
#include <errno.h>
#include <libpq-fe.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "node/config/config.h"
#include "node/config/identity.h"
#include "node/config/identity_state.h"
#include "node/engine/cluster/paxos.h"
#include "node/host/node.h"
#include "node/rocks/rocks.h"

#define PATH_SIZE 4096
#define SECRET_SIZE 1024
#define SALVAGE_BYTES (64 * 1024 * 1024) /* of blocks, and of records in memory */

/* A folder with files in it may be a node's or anything else; init writes into nobody's files. */
static Outcome
make_dir(const char *dir)
{
    struct dirent *entry;
    DIR *list;
    bool is_empty = true;

    if (mkdir(dir, 0700) == 0)
        return outcome_ok();
    if (errno != EEXIST)
        return outcome_error("could not create folder \"%.200s\": %s", dir, strerror(errno));
    list = opendir(dir);
    if (list == NULL)
        return outcome_error("could not open folder \"%.200s\": %s", dir, strerror(errno));
    while ((entry = readdir(list)) != NULL)
        is_empty =
            is_empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
    closedir(list);
    if (!is_empty)
        return outcome_error("folder \"%.200s\" exists and is not empty", dir);
    if (chmod(dir, 0700) != 0)
        return outcome_error("could not change mode of \"%.200s\": %s", dir, strerror(errno));
    return outcome_ok();
}

/* identity_write comes last, because its VERSION makes the folder a node's: an init that was
 * interrupted leaves none that could start. */
static Outcome
write_files(const char *dir, const Identity *identity, const Config *config)
{
    char path[PATH_SIZE];
    char users[USERS_SECRET_TEXT_SIZE];
    char *text;
    Outcome outcome;

    users_file_begin(users);
    if (mkdir(identity_path(dir, "data", path, sizeof(path)), 0700) != 0)
        return outcome_error("could not create folder \"%.200s\": %s", path, strerror(errno));
    text = config_file_text(config);
    outcome = identity_create_file(identity_path(dir, "dynamo.conf", path, sizeof(path)), text);
    free(text);
    if (!outcome.failed)
        outcome = identity_create_file(identity_path(dir, "users", path, sizeof(path)), users);
    sodium_memzero(users, sizeof(users));
    if (!outcome.failed)
        outcome = identity_write(dir, identity);
    return outcome.failed ? outcome : identity_sync_dir(dir);
}

/* The options are checked as the node will check them; what follows from other options, such as the
 * name of the node, is not written to the file. */
static Outcome
read_settings(const SetupInit *init, Config *config)
{
    Config finished;
    Outcome outcome = outcome_ok();

    config_init(&finished);
    for (size_t i = 0; i < init->setting_count && !outcome.failed; i++)
    {
        outcome = config_set_argument(config, init->settings[i]);
        if (!outcome.failed)
            outcome = config_set_argument(&finished, init->settings[i]);
    }
    /* Checked as the node will, but what follows from other options is not written to the file. */
    if (!outcome.failed)
        outcome = config_finish(&finished);
    config_free(&finished);
    return outcome;
}

Outcome
setup_init(const SetupInit *init)
{
    Identity identity;
    Config config;
    Outcome outcome;

    config_init(&config);
    identity_draw(&identity);
    outcome = read_settings(init, &config);
    if (!outcome.failed && init->cluster_key_file != NULL)
        outcome = identity_read_keys(init->cluster_key_file, &identity.keys);
    if (!outcome.failed)
        outcome = make_dir(init->dir);
    if (!outcome.failed)
        outcome = write_files(init->dir, &identity, &config);
    sodium_memzero(&identity, sizeof(identity));
    config_free(&config);
    return outcome;
}

/* Reads a line of standard input; at a terminal without showing it. A secret is never an argument:
 * arguments are shown by ps and kept by shells. */
static Outcome
read_secret(const char *prompt, const char *what, char secret[SECRET_SIZE])
{
    struct termios saved;
    bool is_terminal = tcgetattr(STDIN_FILENO, &saved) == 0;
    char *line;

    if (is_terminal)
    {
        struct termios quiet = saved;

        quiet.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
        fprintf(stderr, "%s: ", prompt);
    }
    line = fgets(secret, SECRET_SIZE, stdin);
    if (is_terminal)
    {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
        fputc('\n', stderr);
    }
    if (line == NULL)
        return outcome_error("no %s on standard input", what);
    if (strlen(line) == SECRET_SIZE - 1)
        return outcome_error("the %s is too long", what);
    line[strcspn(line, "\r\n")] = '\0';
    return *line != '\0' ? outcome_ok() : outcome_error("the %s must not be empty", what);
}

/*
 * The verifier comes from libpq, so that it prepares the password (SASLprep) in the same way as
 * the clients that will log in with it. libpq wants a connection to report errors to; it need not
 * lead anywhere.
 */
static Outcome
make_verifier(const char *name, const char *password, char text[SCRAM_VERIFIER_TEXT_SIZE])
{
    static const char *const keywords[] = {"host", "port", NULL};
    static const char *const values[] = {"/nonexistent", "1", NULL};
    PGconn *nowhere = PQconnectdbParams(keywords, values, 0);
    char *made = PQencryptPasswordConn(nowhere, password, name, "scram-sha-256");
    ScramVerifier verifier;
    Outcome outcome = outcome_ok();

    if (made == NULL)
        outcome = outcome_error("could not make a SCRAM verifier of the password: %.200s",
                                PQerrorMessage(nowhere));
    else if (!scram_verifier_parse(&verifier, made))
        outcome = outcome_error("libpq made a verifier that is not %s with %d iterations",
                                SCRAM_MECHANISM, SCRAM_ITERATIONS);
    else
        scram_verifier_format(&verifier, text);
    PQfreemem(made);
    PQfinish(nowhere);
    return outcome;
}

Outcome
setup_user_add(const char *dir, const char *name, UserRole role)
{
    char path[PATH_SIZE];
    char password[SECRET_SIZE];
    char verifier[SCRAM_VERIFIER_TEXT_SIZE];
    Outcome outcome = users_name_check(name);

    identity_path(dir, "users", path, sizeof(path));
    if (!outcome.failed && access(path, F_OK) != 0)
        outcome =
            outcome_error("\"%.200s\" is not a node's folder (use dynamo_node init -D DIR)", dir);
    if (!outcome.failed)
        outcome = read_secret("Password", "password", password);
    if (!outcome.failed)
        outcome = make_verifier(name, password, verifier);
    sodium_memzero(password, sizeof(password));
    if (!outcome.failed)
        outcome = users_file_add(path, name, role, verifier);
    return outcome;
}

/* ---- cluster keys ---- */

static Outcome
read_key_files(const char *dir, char path[PATH_SIZE], ClusterKeys *keys)
{
    identity_path(dir, "cluster.key", path, PATH_SIZE);
    if (access(path, F_OK) != 0)
        return outcome_error("\"%.200s\" is not a node's folder (use dynamo_node init -D DIR)",
                             dir);
    return identity_read_keys(path, keys);
}

Outcome
setup_key_list(const char *dir)
{
    char path[PATH_SIZE];
    char id[KEYRING_ID_SIZE];
    ClusterKeys keys;
    Outcome outcome = read_key_files(dir, path, &keys);

    for (uint32_t i = 0; !outcome.failed && i < keys.count; i++)
    {
        keyring_id(keys.keys[i], id);
        printf("%s %s\n", id, i == 0 ? "in use" : "installed");
    }
    sodium_memzero(&keys, sizeof(keys));
    return outcome;
}

static Outcome
read_new_key(bool generate, uint8_t key[CLUSTER_KEY_BYTES])
{
    char text[SECRET_SIZE];
    Outcome outcome = outcome_ok();

    if (generate)
        randombytes_buf(key, CLUSTER_KEY_BYTES);
    else
    {
        outcome = read_secret("Cluster key", "cluster key", text);
        if (!outcome.failed)
            outcome = keyring_parse_key(key, text);
        sodium_memzero(text, sizeof(text));
    }
    return outcome;
}

Outcome
setup_key_install(const char *dir, bool generate)
{
    char path[PATH_SIZE];
    char id[KEYRING_ID_SIZE];
    uint8_t key[CLUSTER_KEY_BYTES];
    ClusterKeys keys;
    Outcome outcome = read_key_files(dir, path, &keys);

    if (!outcome.failed)
        outcome = read_new_key(generate, key);
    if (!outcome.failed)
        outcome = keyring_install(&keys, key);
    if (!outcome.failed)
        outcome = identity_write_keys(path, &keys);
    if (!outcome.failed)
    {
        keyring_id(key, id);
        puts(id);
    }
    sodium_memzero(key, sizeof(key));
    sodium_memzero(&keys, sizeof(keys));
    return outcome;
}

static Outcome
change_keys(const char *dir, Outcome (*change)(ClusterKeys *keys, const char *id), const char *id)
{
    char path[PATH_SIZE];
    ClusterKeys keys;
    Outcome outcome = read_key_files(dir, path, &keys);

    if (!outcome.failed)
        outcome = change(&keys, id);
    if (!outcome.failed)
        outcome = identity_write_keys(path, &keys);
    sodium_memzero(&keys, sizeof(keys));
    return outcome;
}

Outcome
setup_key_use(const char *dir, const char *id)
{
    return change_keys(dir, keyring_use, id);
}

Outcome
setup_key_remove(const char *dir, const char *id)
{
    return change_keys(dir, keyring_remove, id);
}

static void
print_line(void *context, const char *text)
{
    printf("%s\n", text);
}

static Outcome
read_config(const char *dir, Config *config)
{
    char path[PATH_SIZE];
    Outcome outcome;

    config_init(config);
    outcome = config_load(config, identity_path(dir, "dynamo.conf", path, sizeof(path)));
    return outcome.failed ? outcome : config_finish(config);
}

static bool
find_in_document(Slice document, const char *address, int64_t port, MemberId *id)
{
    Topology topology = {0};
    bool found = false;
    Arena arena;

    arena_init(&arena, &MEMORY_HEAP);
    if (topology_decode(document, &arena, &topology))
    {
        for (uint32_t i = 0; i < topology.member_count && !found; i++)
        {
            found = topology_is_present(&topology, i) && topology.members[i].port == port &&
                    strcmp(topology.members[i].address, address) == 0;
            *id = topology.members[i].id;
        }
    }
    arena_free(&arena);
    return found;
}

/* Reads the topology that this node has chosen last, without joining in. False: it cannot be read.
 */
static bool
read_topology(const char *dir, Buffer *document)
{
    static const MemberId nobody;
    char path[PATH_SIZE];
    Paxos *paxos = paxos_new(&nobody);
    bool damaged;
    Buffer state;
    Outcome outcome;

    buffer_init(&state, &MEMORY_HEAP);
    outcome =
        identity_state_read(identity_path(dir, "topology", path, sizeof(path)), &state, &damaged);
    damaged = outcome.failed || damaged || !paxos_load(paxos, buffer_slice(&state));
    if (!damaged)
        buffer_put(document, paxos_document(paxos).data, paxos_document(paxos).length);
    buffer_free(&state);
    paxos_free(paxos);
    return !damaged;
}

/* The topology names the member at the address of this node: that is who it was. */
static Outcome
find_member(const char *dir, const Config *config, MemberId *id)
{
    char address[NODE_ADDRESS_SIZE];
    char *seeds;
    Buffer document;
    Outcome outcome = node_resolve(config, address, &seeds);

    memory_resize(&MEMORY_HEAP, seeds, 0);
    buffer_init(&document, &MEMORY_HEAP);
    if (!outcome.failed && (!read_topology(dir, &document) ||
                            !find_in_document(buffer_slice(&document), address, config->port, id)))
        outcome = outcome_error("the member id is lost, and the topology does not have this node's "
                                "address either: put back a copy of the file member");
    buffer_free(&document);
    return outcome;
}

/* The node key is drawn anew; the member id is what the others know the node by. */
static Outcome
salvage_member(const char *dir, const Config *config)
{
    Identity identity;
    MemberId id = {0};
    Outcome outcome = find_member(dir, config, &id);

    if (outcome.failed)
        return outcome;
    identity_draw(&identity);
    memcpy(identity.member_id, id.bytes, sizeof(id.bytes));
    outcome = identity_write_member(dir, &identity);
    sodium_memzero(&identity, sizeof(identity));
    if (!outcome.failed)
        printf("the member id was taken from the topology\n");
    return outcome;
}

static bool
topology_is_damaged(const char *dir)
{
    char path[PATH_SIZE];
    bool damaged;
    Buffer state;
    Outcome outcome;

    buffer_init(&state, &MEMORY_HEAP);
    outcome =
        identity_state_read(identity_path(dir, "topology", path, sizeof(path)), &state, &damaged);
    buffer_free(&state);
    return !outcome.failed && damaged;
}

/* The topology must come from another node: a node that finds none and is the only seed would form
 * a new cluster, without the buckets of the old one. */
static Outcome
check_others(const Config *config)
{
    char host[256];
    int port;

    if (config_seed(config, 1, host, sizeof(host), &port))
        return outcome_ok();
    return outcome_error(
        "the file topology is damaged, and there are no other seeds to get it from: "
        "put back a copy of it");
}

static Outcome
set_topology_aside(const char *dir)
{
    char path[PATH_SIZE];
    char kept[PATH_SIZE + 16];
    Outcome outcome = identity_state_set_aside(identity_path(dir, "topology", path, sizeof(path)),
                                               kept, sizeof(kept));

    if (!outcome.failed)
        printf("the damaged topology is kept as \"%s\"; the node gets a new one from the other "
               "nodes\n",
               kept);
    return outcome;
}

/*
 * The data count as lost before the topology is put aside: with it went what this node had promised
 * as to the next one, so it has no vote until it has been filled.
 */
static Outcome
salvage_folder(const char *dir, const Config *config)
{
    char path[PATH_SIZE];
    RocksOptions options = {.directory = identity_path(dir, "data", path, sizeof(path)),
                            .block_cache_bytes = SALVAGE_BYTES,
                            .write_buffer_bytes = SALVAGE_BYTES,
                            .warn = print_line};
    bool without_topology = topology_is_damaged(dir);
    Outcome outcome = without_topology ? check_others(config) : outcome_ok();

    if (!outcome.failed && identity_member_is_damaged(dir))
        outcome = salvage_member(dir, config);
    if (!outcome.failed)
        outcome = rocks_salvage(&options);
    if (!outcome.failed && without_topology)
        outcome = set_topology_aside(dir);
    return outcome;
}

Outcome
setup_salvage(const char *dir)
{
    Config config;
    Outcome outcome = identity_check_version(dir);

    if (!outcome.failed)
        outcome = identity_lock(dir);
    if (outcome.failed)
        return outcome;
    outcome = read_config(dir, &config);
    if (!outcome.failed)
        outcome = salvage_folder(dir, &config);
    config_free(&config);
    return outcome;
}
