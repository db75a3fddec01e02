#include "cli/cli.h"
#include "stages/rundir.h"
#include "stages/scores.h"

#include <stdlib.h>

static const char help[] =
    "usage: nashost score DIR [--score ID] [--genome FILE]... [options]\n"
    "\n"
    "Scores subnets of a finished training without training or testing them. DIR is the run\n"
    "directory.\n"
    "\n"
    "  --score ID      a score plugin; if not given, the one of the run's pipeline\n"
    "  --options JSON  its options, such as {\"images\": 32}\n"
    "  --genome FILE   a JSON file with a genome, a {\"name\": ..., \"genome\": ...}, or an array "
    "of\n"
    "                  these; may be given again\n"
    "  --random N      N random subnets, drawn by the run's seed; with neither of the two, the\n"
    "                  largest and the smallest subnet\n"
    "  --threads N     threads; if not given, OMP_NUM_THREADS or every processor\n"
    "  --quiet         no progress\n"
    "  --plugins FILE  a further manifest of plugins; may be given again\n"
    "  --json          print the result as JSON\n";

/* Opens the run with the arguments' score in the place of its own. */
static int open_run(const nas_args *args, nas_run_dir *run, nas_error *err) {
    char plugin[64], *options = NULL;
    const char *overrides[2] = {plugin};
    nas_args changed = *args;
    if (!args->score) return nas_run_dir_open(args, run, err);
    snprintf(plugin, sizeof plugin, "search.score.plugin=%.40s", args->score);
    if (asprintf(&options, "search.score.options=%s", args->options ? args->options : "{}") < 0)
        return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    overrides[1] = options;
    changed.overrides = overrides;
    changed.n_overrides = 2;
    int rc = nas_run_dir_open(&changed, run, err);
    free(options);
    return rc;
}

static int score(const nas_args *args, nas_error *err) {
    const nas_scores_request what = {args->genomes, args->n_genomes, (size_t)args->random};
    nas_run_dir run = {0};
    int rc = NAS_OK;
    if (args->options && !args->score)
        rc = nas_fail(err, NAS_ERR_INPUT, "score: --options needs --score, whose they are");
    if (!rc) rc = nas_rundir_trained(args->positional, err);
    if (!rc) rc = open_run(args, &run, err);
    if (!rc) rc = nas_scores(&run.request, &what, err);
    nas_run_dir_close(&run);
    return rc;
}

int nas_cli_score(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "score",
        .operands = "DIR",
        .flags = NAS_FLAG_SCORE | NAS_FLAG_OPTIONS | NAS_FLAG_GENOME | NAS_FLAG_RANDOM |
                 NAS_FLAG_THREADS | NAS_FLAG_QUIET | NAS_FLAG_PLUGINS,
        .help = help,
        .run = score,
    };
    return nas_cli_subcommand(&command, argc, argv);
}
