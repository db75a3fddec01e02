#include "base/json.h"
#include "cli/cli.h"

#include <getopt.h>
#include <nashost/kit/names.h>
#include <stdlib.h>
#include <string.h>

#define ALWAYS (1u << 31) /* the flag of what every subcommand takes */

/* What an option's value is, and where in nas_args it goes. */
typedef enum form {
    SWITCH, /* none: a bool becomes true */
    WORD,   /* const char * */
    NUMBER, /* int, min to max */
    LIST,   /* const char *[], with its length in read_option */
} form;

#define AT(field) .offset = offsetof(nas_args, field)

static const struct known {
    const char *name;
    unsigned flag;
    form form;
    size_t offset;
    int min, max;
} known[] = {
    {"set", NAS_FLAG_SET, LIST, AT(overrides)},
    {"plugins", NAS_FLAG_PLUGINS, LIST, AT(manifests)},
    {"genome", NAS_FLAG_GENOME, LIST, AT(genomes)},
    {"out", NAS_FLAG_OUT, WORD, AT(out)},
    {"id", NAS_FLAG_ID, WORD, AT(id)},
    {"kind", NAS_FLAG_KIND, WORD, AT(kind)},
    {"options", NAS_FLAG_OPTIONS, WORD, AT(options)},
    {"until", NAS_FLAG_UNTIL, WORD, AT(until)},
    {"hardware", NAS_FLAG_HARDWARE, WORD, AT(hardware)},
    {"platform", NAS_FLAG_PLATFORM, WORD, AT(platform)},
    {"format", NAS_FLAG_FORMAT, WORD, AT(format)},
    {"input", NAS_FLAG_INPUT, WORD, AT(input)},
    {"logits", NAS_FLAG_LOGITS, WORD, AT(logits)},
    {"score", NAS_FLAG_SCORE, WORD, AT(score)},
    {"space-out", NAS_FLAG_SPACE_OUT, WORD, AT(space_out)},
    {"weights", NAS_FLAG_WEIGHTS, WORD, AT(weights)},
    {"table", NAS_FLAG_TABLE, WORD, AT(table)},
    {"dataset", NAS_FLAG_DATASET, WORD, AT(dataset)},
    {"cluster", NAS_FLAG_CLUSTER, WORD, AT(cluster)},
    {"threads", NAS_FLAG_THREADS, NUMBER, AT(threads), 1, 1024},
    {"limit", NAS_FLAG_LIMIT, NUMBER, AT(limit), 1, 1000000},
    {"networks", NAS_FLAG_NETWORKS, NUMBER, AT(networks), 0, 10000},
    {"rounds", NAS_FLAG_ROUNDS, NUMBER, AT(rounds), 1, 1000},
    {"seconds", NAS_FLAG_SECONDS, NUMBER, AT(seconds), 1, 100000},
    {"random", NAS_FLAG_RANDOM, NUMBER, AT(random), 1, 100000},
    {"weight-bits", NAS_FLAG_WEIGHT_BITS, NUMBER, AT(weight_bits), 7, 8},
    {"dry-run", NAS_FLAG_DRY_RUN, SWITCH, AT(dry_run)},
    {"check-images", NAS_FLAG_CHECK_IMAGES, SWITCH, AT(check_images)},
    {"quiet", NAS_FLAG_QUIET, SWITCH, AT(quiet)},
    {"allow-commands", NAS_FLAG_ALLOW_COMMANDS, SWITCH, AT(allow_commands)},
    {"int8", NAS_FLAG_INT8, SWITCH, AT(int8)},
    {"json", ALWAYS, SWITCH, AT(json)},
    {"help", ALWAYS, SWITCH, AT(help)}, /* the last: -h, too */
};

enum { KNOWN = sizeof known / sizeof *known };

bool nas_args_want_json(int argc, char **argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0) return true;
    return false;
}

static int unknown_option(const char *command, const char *word, unsigned flags, nas_error *err) {
    const char *names[KNOWN] = {NULL};
    char name[64];
    snprintf(name, sizeof name, "%.63s", word + strspn(word, "-"));
    name[strcspn(name, "=")] = 0;
    for (size_t i = 0; i < KNOWN; i++)
        if (flags & known[i].flag) names[i] = known[i].name;
    const char *near = nas_nearest(name, names, KNOWN);
    if (near)
        return nas_fail(err, NAS_ERR_INPUT, "%s: unknown option \"%.60s\"; did you mean \"--%s\"?",
                        command, word, near);
    return nas_fail(err, NAS_ERR_INPUT, "%s: unknown option \"%.60s\"; see `nashost %s --help`",
                    command, word, command);
}

static int read_number(const char *name, const char *text, int min, int max, int *value,
                       nas_error *err) {
    char *end;
    long n = strtol(text, &end, 10);
    if (end == text || *end || n < min || n > max)
        return nas_fail(err, NAS_ERR_INPUT,
                        "--%s: expected an integer from %d to %d, found \"%.60s\"", name, min, max,
                        text);
    *value = (int)n;
    return NAS_OK;
}

static bool is_override(const char *word) {
    return word && word[0] != '-' && strchr(word, '=');
}

/* --set takes every KEY=VALUE that follows it. */
static void read_overrides(int argc, char **argv, nas_args *args) {
    args->overrides[args->n_overrides++] = optarg;
    while (optind < argc && is_override(argv[optind]))
        args->overrides[args->n_overrides++] = argv[optind++];
}

static int read_option(const struct known *option, int argc, char **argv, nas_args *args,
                       nas_error *err) {
    void *field = (char *)args + option->offset;
    switch (option->form) {
    case SWITCH:
        *(bool *)field = true;
        return NAS_OK;
    case WORD:
        *(const char **)field = optarg;
        return NAS_OK;
    case NUMBER:
        return read_number(option->name, optarg, option->min, option->max, field, err);
    case LIST:
        break;
    }
    if (option->flag == NAS_FLAG_SET)
        read_overrides(argc, argv, args);
    else if (option->flag == NAS_FLAG_PLUGINS)
        args->manifests[args->n_manifests++] = optarg;
    else
        args->genomes[args->n_genomes++] = optarg;
    return NAS_OK;
}

/* The options in flags as getopt_long wants them: val is the index into known. */
static void fill_table(unsigned flags, struct option table[KNOWN + 1]) {
    size_t n = 0;
    for (int i = 0; i < KNOWN; i++)
        if (flags & known[i].flag)
            table[n++] = (struct option){known[i].name, known[i].form != SWITCH, NULL, i + 1};
    table[n] = (struct option){0};
}

static int read_options(const char *command, int argc, char **argv, unsigned flags, nas_args *args,
                        nas_error *err) {
    struct option table[KNOWN + 1];
    fill_table(flags, table);
    optind = 0; /* getopt_long starts anew */
    opterr = 0;
    int rc = NAS_OK, found;
    while (!rc && (found = getopt_long(argc, argv, ":h", table, NULL)) != -1) {
        if (found == ':')
            rc = nas_fail(err, NAS_ERR_INPUT,
                          "%s: option \"%s\" needs a value; see `nashost %s --help`", command,
                          argv[optind - 1], command);
        else if (found == '?')
            rc = unknown_option(command, argv[optind - 1], flags, err);
        else
            rc = read_option(&known[found == 'h' ? KNOWN - 1 : found - 1], argc, argv, args, err);
    }
    return rc;
}

/* What the operands' pattern, such as "KIND NAME" or "[FOLDER]", asks for. */
typedef struct pattern {
    size_t least, most;
    char missing[32]; /* the first word that is asked for and not there */
} pattern;

static pattern read_pattern(const char *operands, size_t given) {
    pattern p = {0, 0, ""};
    while (operands && *operands) {
        size_t n = strcspn(operands, " ");
        bool many = n > 3 && strncmp(operands + n - 3, "...", 3) == 0;
        if (operands[0] != '[' && p.least++ == given)
            snprintf(p.missing, sizeof p.missing, "%.*s", (int)(many ? n - 3 : n), operands);
        p.most = many ? SIZE_MAX : p.most + 1;
        operands += n + strspn(operands + n, " ");
    }
    return p;
}

static int read_operands(const char *command, int argc, char **argv, const char *operands,
                         nas_args *args, nas_error *err) {
    args->operands = (const char *const *)argv + optind;
    args->n_operands = (size_t)(argc - optind);
    pattern p = read_pattern(operands, args->n_operands);
    if (args->n_operands > p.most)
        return nas_fail(err, NAS_ERR_INPUT, "%s: unexpected \"%.60s\"; see `nashost %s --help`",
                        command, args->operands[p.most], command);
    if (args->n_operands < p.least && !args->help)
        return nas_fail(err, NAS_ERR_INPUT, "%s: %s is missing; see `nashost %s --help`", command,
                        p.missing, command);
    args->positional = args->n_operands ? args->operands[0] : NULL;
    return NAS_OK;
}

int nas_args_parse(const char *command, int argc, char **argv, unsigned flags, const char *operands,
                   nas_args *args, nas_error *err) {
    size_t n = (size_t)argc + 1;
    *args = (nas_args){.overrides = calloc(n, sizeof(char *)),
                       .manifests = calloc(n, sizeof(char *)),
                       .genomes = calloc(n, sizeof(char *)),
                       .networks = -1};
    int rc = NAS_OK;
    if (!args->overrides || !args->manifests || !args->genomes)
        rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    if (!rc) rc = read_options(command, argc, argv, flags | ALWAYS, args, err);
    if (!rc) rc = read_operands(command, argc, argv, operands, args, err);
    if (rc) nas_args_free(args);
    return rc;
}

void nas_args_free(nas_args *args) {
    free(args->overrides);
    free(args->manifests);
    free(args->genomes);
    *args = (nas_args){0};
}

int nas_args_options(const nas_args *args, json_t **options, nas_error *err) {
    *options = NULL;
    if (!args->options) return NAS_OK;
    return nas_json_parse(args->options, strlen(args->options), 0, "--options", options, err);
}

int nas_args_kind(const nas_args *args, nas_kind *kind, nas_error *err) {
    *kind = nas_kind_from_name(args->kind);
    if (*kind || !args->kind) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "--kind: expected dataset, ssl, search, hardware, score, export, import or "
                    "cluster, found \"%.60s\"",
                    args->kind);
}

int nas_args_one_genome(const char *command, const nas_args *args, nas_error *err) {
    if (args->n_genomes + (args->platform != NULL) <= 1) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: expected one subnet, found several: give one --genome, or one --platform",
                    command);
}

int nas_args_command(const char *command, const char *const *names, size_t n, const char *prefix,
                     nas_error *err) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(command, names[i]) == 0) return (int)i;
    const char *near = nas_nearest(command, names, n);
    if (near)
        nas_fail(err, NAS_ERR_INPUT, "unknown command \"%.60s\"; did you mean \"%s %s\"?", command,
                 prefix, near);
    else
        nas_fail(err, NAS_ERR_INPUT, "unknown command \"%.60s\"; see `%s --help`", command, prefix);
    return -1;
}

/* A run directory lies on rank 0's machine, and is told of once. */
static bool is_for_me(const nas_subcommand *command) {
    const nas_log log = {stderr, NAS_WARNING};
    bool several;
    uint32_t rank = nas_cluster_launched(&several);
    if (command->alone && several && !rank)
        nas_log_line(&log, NAS_WARNING,
                     "%s works in one process: rank 0 does it, and the others do nothing",
                     command->name);
    return !command->alone || !rank;
}

int nas_cli_subcommand(const nas_subcommand *command, int argc, char **argv) {
    nas_args args;
    nas_error err;
    bool json = nas_args_want_json(argc, argv);
    if (nas_args_parse(command->name, argc, argv, command->flags, command->operands, &args, &err))
        return nas_cli_fail(&err, json);
    int status = NAS_EXIT_OK;
    if (args.help && command->help)
        fputs(command->help, stdout);
    else if (is_for_me(command) && command->run(&args, &err))
        status = nas_cli_fail(&err, json);
    nas_args_free(&args);
    return status;
}
