#include "base/json.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/render.h"
#include "run/context.h"
#include "run/rundir.h"
#include "stages/figures.h"

#include <stdlib.h>

static const char help[] =
    "usage: nashost eval DIR [--genome FILE]... [options]\n"
    "\n"
    "Calibrates subnets of a finished training, and prints what they cost and their top-1 on the\n"
    "test images and, where there are any, the validation images. DIR is the run directory.\n"
    "\n"
    "  --genome FILE   a JSON file with a genome, a {\"name\": ..., \"genome\": ...}, or an array "
    "of\n"
    "                  these; may be given again; if not given, the largest and the smallest\n"
    "                  subnet\n"
    "  --threads N     threads; if not given, OMP_NUM_THREADS or every processor\n"
    "  --plugins FILE  a further manifest of plugins; may be given again\n"
    "  --json          print the result as JSON\n"
    "\n"
    "A choice that is made by test images makes their figures worthless: choose by validation.\n";

/* ---- The work ---- */

static int choose(const nas_space *space, const char *const *files, size_t n, nas_subnets *subnets,
                  nas_error *err) {
    int rc = n ? NAS_OK : nas_subnets_ends(space, subnets, err);
    for (size_t i = 0; i < n && !rc; i++) rc = nas_subnets_read(space, files[i], subnets, err);
    return rc;
}

/* Appends what becomes of each subnet to *list. */
static int judge(const nas_context *context, const nas_subnets *subnets, json_t **list,
                 nas_error *err) {
    nas_evaluator evaluator;
    nas_images test = {0};
    int rc = nas_evaluator_open(context, &evaluator, err);
    if (rc) return rc;
    rc = nas_source_read(&context->source, NAS_SPLIT_TEST, &test, err);
    for (size_t i = 0; i < subnets->n && !rc; i++) {
        const nas_named *subnet = &subnets->items[i];
        nas_figures figures;
        rc = nas_figures_measure(&evaluator, &subnet->genome, &test, &figures, err);
        if (rc) break;
        json_t *json = json_object();
        nas_json_put(&json, "name", nas_text_json(subnet->name));
        nas_json_merge(&json, nas_figures_json(&context->space, &subnet->genome, &figures));
        nas_json_add(list, json);
    }
    nas_images_free(&test);
    nas_evaluator_close(&evaluator);
    return rc;
}

static json_t *eval_json(const nas_context *context, json_t *subnets) {
    const nas_pipeline *pipeline = context->pipeline;
    json_t *json = json_object();
    nas_json_put(&json, "seed", json_integer(pipeline->seed));
    nas_json_put(&json, "dataset", nas_text_json(pipeline->dataset.id));
    nas_json_put(&json, "space", nas_text_json(context->space.name));
    nas_json_put(&json, "labelled", nas_count_json(context->split.n_labelled));
    nas_json_put(&json, "skipped_images", nas_count_json(context->source.info.skipped));
    nas_json_put(&json, "subnets", subnets);
    return json;
}

int nas_eval(const nas_run_request *request, const char *const *files, size_t n, json_t **result,
             nas_error *err) {
    nas_context *context;
    nas_subnets subnets = {0};
    json_t *list = json_array();
    *result = NULL;
    int rc = nas_context_create(request, &context, err);
    if (!rc) rc = choose(&context->space, files, n, &subnets, err);
    if (!rc) rc = nas_context_load(context, err);
    if (!rc) rc = judge(context, &subnets, &list, err);
    if (rc)
        json_decref(list);
    else if (!(*result = eval_json(context, list)))
        rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory for %zu subnets", subnets.n);
    nas_subnets_free(&subnets);
    nas_context_destroy(context);
    return rc;
}

/* ---- The subcommand ---- */

int nas_eval_print(const json_t *result, nas_error *err) {
    static const nas_column columns[] = {
        {"subnet", "name", NAS_SHOW_TEXT},
        {"MACs", "macs", NAS_SHOW_COUNT},
        {"params", "params", NAS_SHOW_COUNT},
        {"validation top-1", "validation_top1", NAS_SHOW_PERCENT},
        {"test top-1", "test_top1", NAS_SHOW_PERCENT},
        {"genome", "genome", NAS_SHOW_GENOME},
    };
    return nas_render_table(json_object_get(result, "subnets"), columns,
                            sizeof columns / sizeof *columns, err);
}

static int eval(const nas_args *args, nas_error *err) {
    nas_run_dir run = {0};
    json_t *result;
    int rc = nas_rundir_trained(args->positional, err);
    if (!rc) rc = nas_run_dir_open(args, &run, err);
    if (!rc) rc = nas_eval(&run.request, args->genomes, args->n_genomes, &result, err);
    if (!rc) rc = nas_cli_result(args, result, nas_eval_print, err);
    nas_run_dir_close(&run);
    return rc;
}

int nas_cli_eval(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "eval",
        .operands = "DIR",
        .flags = NAS_FLAG_GENOME | NAS_FLAG_THREADS | NAS_FLAG_PLUGINS,
        .help = help,
        .alone = true,
        .run = eval,
    };
    return nas_cli_subcommand(&command, argc, argv);
}
