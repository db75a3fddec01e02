#include "base/json.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/render.h"
#include "run/context.h"
#include "run/progress.h"
#include "run/rundir.h"
#include "space/lower.h"
#include "stages/scorer.h"

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

/* ---- The work ---- */

static int choose(const nas_context *context, const nas_scores_request *what, nas_subnets *subnets,
                  nas_error *err) {
    const nas_space *space = &context->space;
    int rc = NAS_OK;
    if (!what->n_files && !what->random) rc = nas_subnets_ends(space, subnets, err);
    for (size_t i = 0; i < what->n_files && !rc; i++)
        rc = nas_subnets_read(space, what->files[i], subnets, err);
    if (!rc && what->random)
        rc = nas_subnets_random(space, context->seed, what->random, subnets, err);
    return rc;
}

/* Appends a subnet's score to *list. */
static int score(nas_scorer *scorer, const nas_named *subnet, json_t **list, nas_error *err) {
    const nas_space *space = &scorer->evaluator->context->space;
    nas_candidate candidate = {.genome = subnet->genome,
                               .hash = nas_genome_hash(space, &subnet->genome)};
    nas_lowered *lowered;
    int rc = nas_lower(space, &candidate.genome, &lowered, err);
    if (rc) return rc;
    json_t *json = json_object();
    nas_json_put(&json, "name", nas_text_json(subnet->name));
    nas_json_put(&json, "genome", nas_genome_to_json(space, &candidate.genome));
    nas_json_put(&json, "macs", nas_count_json(lowered->network.macs));
    nas_json_put(&json, "params", nas_count_json(lowered->network.params));
    nas_lowered_free(lowered);
    double began = nas_seconds();
    rc = nas_scorer_score(scorer, &candidate, err);
    nas_json_put(&json, "score", nas_number_json(candidate.score));
    nas_json_put(&json, "seconds", nas_number_json(nas_seconds() - began));
    nas_json_add(list, json);
    return rc;
}

static int score_all(const nas_context *context, const nas_subnets *subnets, json_t **list,
                     nas_error *err) {
    const nas_run_request *request = context->request;
    nas_evaluator evaluator;
    int rc = nas_evaluator_open(context, &evaluator, err);
    if (rc) return rc;
    nas_scorer scorer = nas_scorer_open(&evaluator);
    nas_progress progress = nas_progress_open(request->log, "score", 0, subnets->n, request->quiet);
    rc = nas_scorer_start(&scorer, err);
    for (size_t i = 0; i < subnets->n && !rc; i++) {
        if (nas_progress_due(&progress, i)) nas_progress_show(&progress, i, subnets->items[i].name);
        rc = score(&scorer, &subnets->items[i], list, err);
    }
    nas_progress_clear(&progress);
    nas_scorer_close(&scorer);
    nas_evaluator_close(&evaluator);
    return rc;
}

static json_t *scores_json(const nas_context *context, json_t *subnets) {
    const nas_pipeline *pipeline = context->pipeline;
    json_t *json = json_object();
    nas_json_put(&json, "score", nas_text_json(pipeline->score.id));
    nas_json_put(&json, "options", json_incref(context->score.resolved));
    nas_json_put(&json, "seed", json_integer(pipeline->seed));
    nas_json_put(&json, "space", nas_text_json(context->space.name));
    nas_json_put(&json, "subnets", subnets);
    return json;
}

int nas_scores(const nas_run_request *request, const nas_scores_request *what, json_t **result,
               nas_error *err) {
    nas_context *context;
    nas_subnets subnets = {0};
    json_t *list = json_array();
    *result = NULL;
    int rc = nas_context_create(request, &context, err);
    if (!rc) rc = choose(context, what, &subnets, err);
    if (!rc) rc = nas_context_load(context, err);
    if (!rc) rc = score_all(context, &subnets, &list, err);
    if (rc)
        json_decref(list);
    else if (!(*result = scores_json(context, list)))
        rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory for %zu subnets", subnets.n);
    nas_subnets_free(&subnets);
    nas_context_destroy(context);
    return rc;
}

/* ---- The subcommand ---- */

int nas_scores_print(const json_t *result, nas_error *err) {
    const nas_column columns[] = {
        {"subnet", "name", NAS_SHOW_TEXT},
        {json_string_value(json_object_get(result, "score")), "score", NAS_SHOW_NUMBER},
        {"time", "seconds", NAS_SHOW_SECONDS},
        {"MACs", "macs", NAS_SHOW_COUNT},
        {"params", "params", NAS_SHOW_COUNT},
        {"genome", "genome", NAS_SHOW_GENOME},
    };
    return nas_render_table(json_object_get(result, "subnets"), columns,
                            sizeof columns / sizeof *columns, err);
}

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

static int run_score(const nas_args *args, nas_error *err) {
    const nas_scores_request what = {args->genomes, args->n_genomes, (size_t)args->random};
    nas_run_dir run = {0};
    json_t *result;
    int rc = NAS_OK;
    if (args->options && !args->score)
        rc = nas_fail(err, NAS_ERR_INPUT, "score: --options needs --score, whose they are");
    if (!rc) rc = nas_rundir_trained(args->positional, err);
    if (!rc) rc = open_run(args, &run, err);
    if (!rc) rc = nas_scores(&run.request, &what, &result, err);
    if (!rc) rc = nas_cli_result(args, result, nas_scores_print, err);
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
        .alone = true,
        .run = run_score,
    };
    return nas_cli_subcommand(&command, argc, argv);
}
