/*
 * dynamo_node: arguments and which of its jobs is asked for.
 */
#include <getopt.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/daemon.h"
#include "node/setup.h"

#define PROGRAM "dynamo_node"
#define VERSION_LINE PROGRAM " (dynamo_fdw) 1.0"
#define SETTINGS_MAX 256

typedef struct Arguments
{
    const char *dir;
    const char *cluster_key_file;
    const char *role;
    bool generate;
    const char *settings[SETTINGS_MAX];
    size_t setting_count;
    const char *words[3]; /* what is not an option: init, user add NAME, key use ID */
    size_t word_count;
} Arguments;

static const char help_text[] = PROGRAM
    " is a node of a Dynamo cluster for dynamo_fdw.\n"
    "\n"
    "Usage:\n"
    "  " PROGRAM " init -D DIR [--cluster-key FILE] [-c NAME=VALUE]...\n"
    "      make the folder of a new node. The first node of a cluster makes the cluster key,\n"
    "      DIR/cluster.key; give that file to all others with --cluster-key\n"
    "  " PROGRAM " user add NAME [--role data|stats|admin] -D DIR\n"
    "      add a user, whose password is read from standard input\n"
    "  " PROGRAM " key list -D DIR\n"
    "      show the ids of the node's cluster keys, and which of them is in use\n"
    "  " PROGRAM " key install [--generate] -D DIR\n"
    "      add a cluster key, read from standard input or made here\n"
    "  " PROGRAM " key use|remove ID -D DIR\n"
    "      put a cluster key in use, or remove one. Install, use and remove are three rounds:\n"
    "      finish each on every node, with SIGHUP where a node runs, before you begin the next\n"
    "  " PROGRAM " salvage -D DIR\n"
    "      repair a folder with which a node refuses to start: keep what can be read of damaged\n"
    "      data, topology or member id. The node gets the rest from the other nodes before it\n"
    "      answers reads\n"
    "  " PROGRAM " -D DIR [-c NAME=VALUE]...\n"
    "      run the node in the foreground\n"
    "\n"
    "Options:\n"
    "  -D, --dir DIR           the node's folder\n"
    "  -c NAME=VALUE           set an option of DIR/dynamo.conf, which describes them all\n"
    "      --cluster-key FILE  the file DIR/cluster.key of another node\n"
    "      --generate          make the cluster key that is installed\n"
    "      --role ROLE         data: read and write (default); stats: SHOW; admin: everything\n"
    "  -h, --help              show this and exit\n"
    "  -V, --version           show the version and exit\n"
    "\n"
    "SIGTERM finishes the requests under way and stops the node. SIGHUP reads DIR/dynamo.conf,\n"
    "DIR/users, DIR/cluster.key and the certificate again. Nodes speak the PostgreSQL protocol;\n"
    "this lists what they understand:\n"
    "  psql -h 127.0.0.1 -p 7101 -U NAME dynamo -c 'SHOW HELP'\n";

static int
fail_with(const char *message)
{
    fprintf(stderr, PROGRAM ": %s\n", message);
    return EXIT_FAILURE;
}

static int
refuse_usage(const char *message)
{
    fprintf(stderr, PROGRAM ": %s\nTry \"" PROGRAM " --help\" for more information.\n", message);
    return EXIT_FAILURE;
}

static int
finish_with(Outcome outcome)
{
    return outcome.failed ? fail_with(outcome.message) : EXIT_SUCCESS;
}

static int
run_init(const Arguments *arguments)
{
    SetupInit setup = {arguments->dir, arguments->cluster_key_file, arguments->settings,
                       arguments->setting_count};

    if (arguments->word_count != 1)
        return refuse_usage("init takes no further arguments");
    if (arguments->role != NULL)
        return refuse_usage("--role belongs to user add");
    return finish_with(setup_init(&setup));
}

static int
run_user_add(const Arguments *arguments)
{
    UserRole role = USER_ROLE_DATA;
    Outcome outcome = outcome_ok();

    if (arguments->word_count != 3 || strcmp(arguments->words[1], "add") != 0)
        return refuse_usage("expected: user add NAME");
    if (arguments->cluster_key_file != NULL || arguments->setting_count > 0)
        return refuse_usage("user add takes only --role and -D");
    if (arguments->role != NULL)
        outcome = users_role_parse(arguments->role, &role);
    if (outcome.failed)
        return fail_with(outcome.message);
    return finish_with(setup_user_add(arguments->dir, arguments->words[2], role));
}

static int
run_key(const Arguments *arguments)
{
    const char *verb = arguments->word_count > 1 ? arguments->words[1] : "";
    bool takes_id = strcmp(verb, "use") == 0 || strcmp(verb, "remove") == 0;

    if (arguments->word_count != (takes_id ? 3u : 2u))
        return refuse_usage("expected: key list, key install, key use ID or key remove ID");
    if (arguments->cluster_key_file != NULL || arguments->role != NULL ||
        arguments->setting_count > 0)
        return refuse_usage("key takes only --generate and -D");
    if (arguments->generate && strcmp(verb, "install") != 0)
        return refuse_usage("--generate belongs to key install");
    if (strcmp(verb, "list") == 0)
        return finish_with(setup_key_list(arguments->dir));
    if (strcmp(verb, "install") == 0)
        return finish_with(setup_key_install(arguments->dir, arguments->generate));
    if (strcmp(verb, "use") == 0)
        return finish_with(setup_key_use(arguments->dir, arguments->words[2]));
    if (strcmp(verb, "remove") == 0)
        return finish_with(setup_key_remove(arguments->dir, arguments->words[2]));
    return refuse_usage("unknown command after key (commands are list, install, use and remove)");
}

static int
refuse_root(void)
{
    return fail_with("root must not run a node\n"
                     "Start it as an unprivileged user that owns its folder, so that a flaw in it "
                     "cannot take\nthe whole machine.");
}

static int
run_salvage(const Arguments *arguments)
{
    if (arguments->word_count != 1)
        return refuse_usage("salvage takes no further arguments");
    if (arguments->cluster_key_file != NULL || arguments->role != NULL ||
        arguments->setting_count > 0)
        return refuse_usage("salvage takes only -D");
    if (geteuid() == 0)
        return refuse_root(); /* what it writes would be root's */
    return finish_with(setup_salvage(arguments->dir));
}

static int
run_node(const Arguments *arguments)
{
    DaemonStart start = {arguments->dir, arguments->settings, arguments->setting_count};

    if (arguments->cluster_key_file != NULL || arguments->role != NULL || arguments->generate)
        return refuse_usage("--cluster-key belongs to init, --role to user add, --generate to key");
    if (geteuid() == 0)
        return refuse_root();
    return finish_with(daemon_run(&start));
}

static int
dispatch_command(const Arguments *arguments)
{
    if (arguments->dir == NULL)
        return refuse_usage("no folder given (use -D DIR)");
    if (arguments->word_count == 0)
        return run_node(arguments);
    if (arguments->generate && strcmp(arguments->words[0], "key") != 0)
        return refuse_usage("--generate belongs to key install");
    if (strcmp(arguments->words[0], "init") == 0)
        return run_init(arguments);
    if (strcmp(arguments->words[0], "user") == 0)
        return run_user_add(arguments);
    if (strcmp(arguments->words[0], "key") == 0)
        return run_key(arguments);
    if (strcmp(arguments->words[0], "salvage") == 0)
        return run_salvage(arguments);
    return refuse_usage("unknown command (commands are init, user, key and salvage)");
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"dir",         required_argument, NULL, 'D'},
        {"cluster-key", required_argument, NULL, 'k'},
        {"role",        required_argument, NULL, 'r'},
        {"generate",    no_argument,       NULL, 'g'},
        {"help",        no_argument,       NULL, 'h'},
        {"version",     no_argument,       NULL, 'V'},
        {NULL,          0,                 NULL, 0  },
    };
    Arguments arguments = {.dir = NULL};
    int option;

    while ((option = getopt_long(argc, argv, "D:c:hV", options, NULL)) != -1)
    {
        switch (option)
        {
        case 'D':
            arguments.dir = optarg;
            break;
        case 'k':
            arguments.cluster_key_file = optarg;
            break;
        case 'r':
            arguments.role = optarg;
            break;
        case 'g':
            arguments.generate = true;
            break;
        case 'c':
            if (arguments.setting_count == SETTINGS_MAX)
                return refuse_usage("too many -c options");
            arguments.settings[arguments.setting_count++] = optarg;
            break;
        case 'h':
            fputs(help_text, stdout);
            return EXIT_SUCCESS;
        case 'V':
            puts(VERSION_LINE);
            return EXIT_SUCCESS;
        default:
            return refuse_usage("unknown option, or one without its value");
        }
    }
    for (; optind < argc; optind++)
    {
        if (arguments.word_count == 3)
            return refuse_usage("too many arguments");
        arguments.words[arguments.word_count++] = argv[optind];
    }
    umask(077);
    if (sodium_init() < 0)
        return fail_with("the library libsodium could not be initialized");
    return dispatch_command(&arguments);
}
