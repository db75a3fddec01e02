#include "base/threads.h"
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

/* The run's pipeline with the arguments' score in the place of its own. */
static int load_pipeline(nas_args *args, nas_session *session, nas_pipeline *pipeline,
                         nas_error *err) {
    char path[NAS_RUNDIR_PATH], plugin[64], *options = NULL;
    int rc = nas_rundir_path(args->positional, "pipeline.json", path, sizeof path, err);
    if (rc) return rc;
    if (args->score) {
        snprintf(plugin, sizeof plugin, "search.score.plugin=%.40s", args->score);
        if (asprintf(&options, "search.score.options=%s", args->options ? args->options : "{}") < 0)
            return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
        args->overrides[args->n_overrides++] = plugin;
        args->overrides[args->n_overrides++] = options;
    }
    rc = nas_session_pipeline(session, path, args, pipeline, err);
    args->n_overrides = 0;
    free(options);
    return rc;
}

static int score_pipeline(nas_args *args, nas_session *session, nas_error *err) {
    nas_pipeline pipeline;
    int rc = load_pipeline(args, session, &pipeline, err);
    if (rc) return rc;
    const nas_run_request request = {
        .pipeline = &pipeline,
        .registry = session->registry,
        .out = args->positional,
        .threads = args->threads ? args->threads : nas_threads_default(),
        .json = args->json,
        .quiet = args->quiet,
        .log = &session->log,
    };
    const nas_scores_request what = {args->genomes, args->n_genomes, (size_t)args->random};
    rc = nas_scores(&request, &what, err);
    nas_pipeline_free(&pipeline);
    return rc;
}

static int score(nas_args *args, nas_error *err) {
    nas_session session = {0};
    int rc = NAS_OK;
    if (args->options && !args->score)
        rc = nas_fail(err, NAS_ERR_INPUT, "score: --options needs --score, whose they are");
    if (!rc) rc = nas_rundir_trained(args->positional, err);
    if (!rc) rc = nas_session_open(args, true, &session, err);
    if (!rc) rc = score_pipeline(args, &session, err);
    nas_session_close(&session);
    return rc;
}

int nas_cli_score(int argc, char **argv) {
    const unsigned flags = NAS_FLAG_SCORE | NAS_FLAG_OPTIONS | NAS_FLAG_GENOME | NAS_FLAG_RANDOM |
                           NAS_FLAG_THREADS | NAS_FLAG_QUIET | NAS_FLAG_PLUGINS;
    nas_args args;
    nas_error err;
    bool json = nas_args_want_json(argc, argv);
    if (nas_args_parse("score", argc, argv, flags, "DIR", &args, &err))
        return nas_cli_fail(&err, json);
    int status = NAS_EXIT_OK;
    if (args.help)
        fputs(help, stdout);
    else if (score(&args, &err))
        status = nas_cli_fail(&err, json);
    nas_args_free(&args);
    return status;
}
