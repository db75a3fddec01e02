#include "stages/eval.h"

#include "base/threads.h"
#include "cli/cli.h"
#include "stages/rundir.h"

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

static int eval_pipeline(const nas_args *args, nas_session *session, nas_error *err) {
    nas_pipeline pipeline;
    char path[NAS_RUNDIR_PATH];
    int rc = nas_rundir_path(args->positional, "pipeline.json", path, sizeof path, err);
    if (!rc) rc = nas_session_pipeline(session, path, args, &pipeline, err);
    if (rc) return rc;
    const nas_run_request request = {
        .pipeline = &pipeline,
        .registry = session->registry,
        .out = args->positional,
        .threads = args->threads ? args->threads : nas_threads_default(),
        .json = args->json,
        .log = &session->log,
    };
    rc = nas_eval(&request, args->genomes, args->n_genomes, err);
    nas_pipeline_free(&pipeline);
    return rc;
}

static int eval(const nas_args *args, nas_error *err) {
    nas_session session = {0};
    int rc = nas_rundir_trained(args->positional, err);
    if (!rc) rc = nas_session_open(args, true, &session, err);
    if (!rc) rc = eval_pipeline(args, &session, err);
    nas_session_close(&session);
    return rc;
}

int nas_cli_eval(int argc, char **argv) {
    const unsigned flags = NAS_FLAG_GENOME | NAS_FLAG_THREADS | NAS_FLAG_PLUGINS;
    nas_args args;
    nas_error err;
    bool json = nas_args_want_json(argc, argv);
    if (nas_args_parse("eval", argc, argv, flags, "DIR", &args, &err))
        return nas_cli_fail(&err, json);
    int status = NAS_EXIT_OK;
    if (args.help)
        fputs(help, stdout);
    else if (eval(&args, &err))
        status = nas_cli_fail(&err, json);
    nas_args_free(&args);
    return status;
}
