#include "base/names.h"
#include "cli/cli.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define JSON (1u << 31)
#define HELP (1u << 30)

static const struct known {
    const char *name;
    int has_arg;
    unsigned flag;
} known[] = {
    {"set", required_argument, NAS_FLAG_SET},
    {"plugins", required_argument, NAS_FLAG_PLUGINS},
    {"out", required_argument, NAS_FLAG_OUT},
    {"threads", required_argument, NAS_FLAG_THREADS},
    {"dry-run", no_argument, NAS_FLAG_DRY_RUN},
    {"check-images", no_argument, NAS_FLAG_CHECK_IMAGES},
    {"quiet", no_argument, NAS_FLAG_QUIET},
    {"id", required_argument, NAS_FLAG_ID},
    {"kind", required_argument, NAS_FLAG_KIND},
    {"options", required_argument, NAS_FLAG_OPTIONS},
    {"genome", required_argument, NAS_FLAG_GENOME},
    {"until", required_argument, NAS_FLAG_UNTIL},
    {"hardware", required_argument, NAS_FLAG_HARDWARE},
    {"limit", required_argument, NAS_FLAG_LIMIT},
    {"networks", required_argument, NAS_FLAG_NETWORKS},
    {"platform", required_argument, NAS_FLAG_PLATFORM},
    {"format", required_argument, NAS_FLAG_FORMAT},
    {"input", required_argument, NAS_FLAG_INPUT},
    {"logits", required_argument, NAS_FLAG_LOGITS},
    {"rounds", required_argument, NAS_FLAG_ROUNDS},
    {"seconds", required_argument, NAS_FLAG_SECONDS},
    {"allow-commands", no_argument, NAS_FLAG_ALLOW_COMMANDS},
    {"random", required_argument, NAS_FLAG_RANDOM},
    {"score", required_argument, NAS_FLAG_SCORE},
    {"space-out", required_argument, NAS_FLAG_SPACE_OUT},
    {"weights", required_argument, NAS_FLAG_WEIGHTS},
    {"int8", no_argument, NAS_FLAG_INT8},
    {"weight-bits", required_argument, NAS_FLAG_WEIGHT_BITS},
    {"table", required_argument, NAS_FLAG_TABLE},
    {"dataset", required_argument, NAS_FLAG_DATASET},
    {"json", no_argument, JSON},
    {"help", no_argument, HELP},
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

static int read_option(unsigned flag, int argc, char **argv, nas_args *args, nas_error *err) {
    switch (flag) {
    case NAS_FLAG_SET:
        read_overrides(argc, argv, args);
        break;
    case NAS_FLAG_PLUGINS:
        args->manifests[args->n_manifests++] = optarg;
        break;
    case NAS_FLAG_OUT:
        args->out = optarg;
        break;
    case NAS_FLAG_THREADS:
        return read_number("threads", optarg, 1, 1024, &args->threads, err);
    case NAS_FLAG_LIMIT:
        return read_number("limit", optarg, 1, 1000000, &args->limit, err);
    case NAS_FLAG_NETWORKS:
        return read_number("networks", optarg, 0, 10000, &args->networks, err);
    case NAS_FLAG_ALLOW_COMMANDS:
        args->allow_commands = true;
        return NAS_OK;
    case NAS_FLAG_SECONDS:
        return read_number("seconds", optarg, 1, 100000, &args->seconds, err);
    case NAS_FLAG_ROUNDS:
        return read_number("rounds", optarg, 1, 1000, &args->rounds, err);
    case NAS_FLAG_RANDOM:
        return read_number("random", optarg, 1, 100000, &args->random, err);
    case NAS_FLAG_TABLE:
        args->table = optarg;
        break;
    case NAS_FLAG_HARDWARE:
        args->hardware = optarg;
        break;
    case NAS_FLAG_SCORE:
        args->score = optarg;
        break;
    case NAS_FLAG_DATASET:
        args->dataset = optarg;
        break;
    case NAS_FLAG_DRY_RUN:
        args->dry_run = true;
        break;
    case NAS_FLAG_CHECK_IMAGES:
        args->check_images = true;
        break;
    case NAS_FLAG_QUIET:
        args->quiet = true;
        break;
    case NAS_FLAG_INT8:
        args->int8 = true;
        break;
    case NAS_FLAG_WEIGHT_BITS:
        return read_number("weight-bits", optarg, 7, 8, &args->weight_bits, err);
    case NAS_FLAG_ID:
        args->id = optarg;
        break;
    case NAS_FLAG_KIND:
        args->kind = optarg;
        break;
    case NAS_FLAG_OPTIONS:
        args->options = optarg;
        break;
    case NAS_FLAG_GENOME:
        args->genomes[args->n_genomes++] = optarg;
        break;
    case NAS_FLAG_UNTIL:
        args->until = optarg;
        break;
    case NAS_FLAG_PLATFORM:
        args->platform = optarg;
        break;
    case NAS_FLAG_FORMAT:
        args->format = optarg;
        break;
    case NAS_FLAG_INPUT:
        args->input = optarg;
        break;
    case NAS_FLAG_LOGITS:
        args->logits = optarg;
        break;
    case NAS_FLAG_SPACE_OUT:
        args->space_out = optarg;
        break;
    case NAS_FLAG_WEIGHTS:
        args->weights = optarg;
        break;
    case JSON:
        args->json = true;
        break;
    default:
        args->help = true;
        break;
    }
    return NAS_OK;
}

/* The options in flags as getopt_long wants them: val is the index into known. */
static void fill_table(unsigned flags, struct option table[KNOWN + 1]) {
    size_t n = 0;
    for (int i = 0; i < KNOWN; i++)
        if (flags & known[i].flag)
            table[n++] = (struct option){known[i].name, known[i].has_arg, NULL, i + 1};
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
            rc = read_option(found == 'h' ? HELP : known[found - 1].flag, argc, argv, args, err);
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
    if (!rc) rc = read_options(command, argc, argv, flags | JSON | HELP, args, err);
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
    json_error_t why;
    *options = args->options ? json_loads(args->options, JSON_REJECT_DUPLICATES, &why) : NULL;
    if (*options || !args->options) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT, "--options: not valid JSON: %.200s", why.text);
}

int nas_args_kind(const nas_args *args, nas_kind *kind, nas_error *err) {
    *kind = nas_kind_from_name(args->kind);
    if (*kind || !args->kind) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "--kind: expected dataset, ssl, search, hardware, score or export, found "
                    "\"%.60s\"",
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

int nas_cli_subcommand(const nas_subcommand *command, int argc, char **argv) {
    nas_args args;
    nas_error err;
    bool json = nas_args_want_json(argc, argv);
    if (nas_args_parse(command->name, argc, argv, command->flags, command->operands, &args, &err))
        return nas_cli_fail(&err, json);
    int status = NAS_EXIT_OK;
    if (args.help && command->help)
        fputs(command->help, stdout);
    else if (command->run(&args, &err))
        status = nas_cli_fail(&err, json);
    nas_args_free(&args);
    return status;
}
