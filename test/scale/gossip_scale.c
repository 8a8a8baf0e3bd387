/*
 * How gossip behaves as the cluster grows: node/engine/cluster/gossip.h by the hundred, in virtual
 * time.
 *
 *     gossip_scale [--seed N] [--minutes N] [--svg FILE] [NODES...]
 *
 * For each number of nodes, once on a good network (0.2 to 1 ms) and once on a bad one (a tenth of
 * all datagrams lost, up to 100 ms late, each on its own): in how many intervals of gossip 99% of
 * the nodes know of a change, how long until all know of a death, what each node sends while
 * nothing happens, and who was falsely held for silent or dead meanwhile. One seed gives one
 * table.
 */
#include "node/engine/cluster/gossip_private.h"
#include "test/lib/gossip_field.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum
{
    SIZES_MAX = 16,
    CHANGES = 30,
    DEATHS = 10,
    PATIENCE_MS = 60000
};

typedef struct Network
{
    const char *name;
    uint32_t loss_percent;
    uint32_t jitter_us;
} Network;

static const Network NETWORKS[2] = {
    {"good", 0,  800   },
    {"bad",  10, 100000}
};

typedef struct Spread
{
    double sum;
    double most;
    uint32_t count;
} Spread;

typedef struct Result
{
    Spread rounds;  /* until 99% know of a change */
    Spread death_s; /* until all know of a death */
    double bytes_s; /* sent by a node */
    double datagrams_s;
    double node_hours; /* in which nothing failed */
    uint64_t suspicions;
    uint64_t deaths;
} Result;

typedef struct Options
{
    uint64_t seed;
    uint32_t minutes;
    const char *svg;
    uint32_t sizes[SIZES_MAX];
    uint32_t size_count;
} Options;

/* ---- measuring ---- */

static void
spread_add(Spread *spread, double value)
{
    spread->sum += value;
    spread->count++;
    if (value > spread->most)
        spread->most = value;
}

static double
spread_mean(const Spread *spread)
{
    return spread->count > 0 ? spread->sum / spread->count : 0;
}

static uint32_t
informed(const GossipField *field, uint32_t member, uint64_t incarnation)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < field->count; i++)
        count += i != member && gossip_incarnation(field->nodes[i].gossip, member) >= incarnation;
    return count;
}

/* A member is told that it is suspected, and everybody is to hear its refutation. */
static void
measure_change(GossipField *field, uint32_t member, Result *result)
{
    Gossip *gossip = field->nodes[member].gossip;
    uint64_t since_us = field->now_us;
    uint64_t incarnation = gossip_incarnation(gossip, member);
    GossipUpdate lie = {.id = field->topology.members[member].id,
                        .state = GOSSIP_SUSPECT,
                        .incarnation = incarnation};

    gossip_take_update(gossip, &lie, &field->actions);
    gossip_field_act(field, member);
    while (informed(field, member, incarnation + 1) * 100 < (field->count - 1) * 99 &&
           field->now_us < since_us + PATIENCE_MS * 1000)
        gossip_field_run(field, 10);
    spread_add(&result->rounds,
               (double)(field->now_us - since_us) / 1000 / field->config.news_interval_ms);
    gossip_field_run(field, 1000 + random_below(&field->random, 500));
}

static void
measure_death(GossipField *field, uint32_t member, Result *result)
{
    uint64_t since_us = field->now_us;

    gossip_field_kill(field, member);
    while (gossip_field_count(field, member, GOSSIP_DEAD) < field->count - 1 &&
           field->now_us < since_us + PATIENCE_MS * 1000)
        gossip_field_run(field, 10);
    spread_add(&result->death_s, (double)(field->now_us - since_us) / 1e6);
    gossip_field_start(field, member);
    while (gossip_field_count(field, member, GOSSIP_ALIVE) < field->count - 1)
        gossip_field_run(field, 100);
    gossip_field_run(field, 1000 + random_below(&field->random, 500));
}

static void
count_false(GossipField *field, uint32_t observer, const GossipAction *change)
{
    Result *result = field->context;

    result->deaths += change->state == GOSSIP_DEAD;
}

static uint64_t
suspicions_raised(const GossipField *field)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < field->count; i++)
        count += gossip_counters(field->nodes[i].gossip).suspicions;
    return count;
}

static void
measure_peace(GossipField *field, uint32_t minutes, Result *result)
{
    uint64_t bytes = field->bytes;
    uint64_t datagrams = field->datagrams;
    uint64_t suspicions = suspicions_raised(field);
    double node_seconds = (double)field->count * minutes * 60;

    field->watcher = count_false;
    field->context = result;
    gossip_field_run(field, (uint64_t)minutes * 60000);
    field->watcher = NULL;
    result->bytes_s = (double)(field->bytes - bytes) / node_seconds;
    result->datagrams_s = (double)(field->datagrams - datagrams) / node_seconds;
    result->node_hours = node_seconds / 3600;
    result->suspicions = suspicions_raised(field) - suspicions;
}

static Result
measure(uint32_t nodes, const Network *network, const Options *options)
{
    GossipField *field = gossip_field_new(nodes, options->seed);
    Result result = {0};

    if (!gossip_field_settle(field))
    {
        fprintf(stderr, "gossip_scale: %u nodes did not find each other\n", nodes);
        exit(1);
    }
    field->loss_percent = network->loss_percent;
    field->jitter_us = network->jitter_us;
    gossip_field_run(field, 10000);
    measure_peace(field, options->minutes, &result);
    for (uint32_t i = 0; i < DEATHS; i++)
        measure_death(field, (uint32_t)random_below(&field->random, nodes), &result);
    for (uint32_t i = 0; i < CHANGES; i++)
        measure_change(field, (uint32_t)random_below(&field->random, nodes), &result);
    gossip_field_free(field);
    return result;
}

/* ---- telling ---- */

static void
print_result(uint32_t nodes, const Network *network, const Result *result)
{
    printf("| %5u | %4.1f | %-4s | %4.1f | %4.1f | %4.1f | %4.1f | %5.0f | %4.1f | %6.1f | %5llu | "
           "%llu |\n",
           nodes, log2(nodes), network->name, spread_mean(&result->rounds), result->rounds.most,
           spread_mean(&result->death_s), result->death_s.most, result->bytes_s,
           result->datagrams_s, result->node_hours, (unsigned long long)result->suspicions,
           (unsigned long long)result->deaths);
    fflush(stdout);
}

/* One of the two plots, over log2 of the number of nodes. */
typedef struct Plot
{
    double left;
    const char *title;
    double top_value;
    double (*value)(const Result *result);
} Plot;

static double
rounds_of(const Result *result)
{
    return spread_mean(&result->rounds);
}

static double
death_of(const Result *result)
{
    return spread_mean(&result->death_s);
}

static double
kilobytes_of(const Result *result)
{
    return result->bytes_s / 1000;
}

static const Plot PLOTS[3] = {
    {50,  "intervals of gossip until 99% know", 16, rounds_of   },
    {350, "seconds until all know of a death",  8,  death_of    },
    {650, "kB/s sent by each node",             8,  kilobytes_of}
};

enum
{
    PLOT_WIDTH = 240,
    PLOT_HEIGHT = 200,
    PLOT_TOP = 50,
    BITS_MAX = 11
};

static double
plot_x(const Plot *plot, double nodes)
{
    return plot->left + log2(nodes) / BITS_MAX * PLOT_WIDTH;
}

static double
plot_y(const Plot *plot, double value)
{
    return PLOT_TOP + PLOT_HEIGHT * (1 - value / plot->top_value);
}

static void
draw_axes(FILE *file, const Plot *plot)
{
    fprintf(file, "<text x='%.0f' y='30' font-weight='bold'>%s</text>\n", plot->left, plot->title);
    for (uint32_t i = 0; i <= 4; i++)
    {
        double value = plot->top_value * i / 4;

        fprintf(file,
                "<path d='M%.0f %.1fh%d' stroke='#ddd'/>"
                "<text x='%.0f' y='%.1f' text-anchor='end'>%g</text>\n",
                plot->left, plot_y(plot, value), PLOT_WIDTH, plot->left - 6,
                plot_y(plot, value) + 4, value);
    }
    for (uint32_t nodes = 2; nodes <= 2048; nodes *= 8)
        fprintf(file, "<text x='%.1f' y='%d' text-anchor='middle'>%u</text>\n", plot_x(plot, nodes),
                PLOT_TOP + PLOT_HEIGHT + 18, nodes);
    fprintf(file, "<text x='%.0f' y='%d' text-anchor='middle'>nodes (logarithmic)</text>\n",
            plot->left + PLOT_WIDTH / 2.0, PLOT_TOP + PLOT_HEIGHT + 36);
}

static void
draw_line(FILE *file, const Plot *plot, const Options *options, const Result (*results)[2],
          uint32_t network)
{
    const char *color = network == 0 ? "#1f77b4" : "#d62728";

    fprintf(file, "<path fill='none' stroke-width='2' stroke='%s' d='", color);
    for (uint32_t i = 0; i < options->size_count; i++)
        fprintf(file, "%c%.1f %.1f", i == 0 ? 'M' : 'L', plot_x(plot, options->sizes[i]),
                plot_y(plot, plot->value(&results[i][network])));
    fprintf(file, "'/>\n");
    for (uint32_t i = 0; i < options->size_count; i++)
        fprintf(file, "<circle r='3' fill='%s' cx='%.1f' cy='%.1f'/>\n", color,
                plot_x(plot, options->sizes[i]), plot_y(plot, plot->value(&results[i][network])));
}

static void
draw(const Options *options, const Result (*results)[2])
{
    FILE *file = fopen(options->svg, "w");

    if (file == NULL)
    {
        perror(options->svg);
        exit(1);
    }
    fprintf(file, "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 910 320' "
                  "font-family='sans-serif' font-size='12'>\n"
                  "<rect width='910' height='320' fill='#fff'/>\n");
    for (uint32_t i = 0; i < 3; i++)
    {
        draw_axes(file, &PLOTS[i]);
        draw_line(file, &PLOTS[i], options, results, 0);
        draw_line(file, &PLOTS[i], options, results, 1);
    }
    fprintf(file, "<text x='50' y='310' fill='#1f77b4'>good network: 0.2 to 1 ms</text>\n"
                  "<text x='250' y='310' fill='#d62728'>bad network: 10%% lost, up to 100 ms "
                  "late</text>\n</svg>\n");
    fclose(file);
}

static Options
read_options(int argc, char **argv)
{
    static const uint32_t SIZES[] = {3, 5, 10, 32, 100, 316, 1000};
    Options options = {.seed = 1, .minutes = 10};

    for (int i = 1; i < argc; i++)
    {
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            options.seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--minutes") == 0 && i + 1 < argc)
            options.minutes = (uint32_t)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--svg") == 0 && i + 1 < argc)
            options.svg = argv[++i];
        else if (strtoul(argv[i], NULL, 10) >= 2 && options.size_count < SIZES_MAX)
            options.sizes[options.size_count++] = (uint32_t)strtoul(argv[i], NULL, 10);
        else
        {
            fprintf(stderr,
                    "usage: gossip_scale [--seed N] [--minutes N] [--svg FILE] [NODES...]\n");
            exit(2);
        }
    }
    if (options.size_count == 0)
    {
        memcpy(options.sizes, SIZES, sizeof(SIZES));
        options.size_count = sizeof(SIZES) / sizeof(SIZES[0]);
    }
    return options;
}

int
main(int argc, char **argv)
{
    Options options = read_options(argc, argv);
    Result results[SIZES_MAX][2];

    printf("| nodes | log2 | net | rounds to 99%%: mean | most | death known, s: mean | most | B/s "
           "| datagrams/s | node hours | falsely suspected | falsely dead |\n"
           "|---|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (uint32_t i = 0; i < options.size_count; i++)
    {
        for (uint32_t network = 0; network < 2; network++)
        {
            results[i][network] = measure(options.sizes[i], &NETWORKS[network], &options);
            print_result(options.sizes[i], &NETWORKS[network], &results[i][network]);
        }
    }
    if (options.svg != NULL)
        draw(&options, (const Result(*)[2])results);
    return 0;
}
