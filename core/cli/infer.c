#include "stages/infer.h"

#include "base/threads.h"
#include "cli/cli.h"
#include "stages/rundir.h"

static const char help[] =
    "usage: nashost infer DIR --input X.npy --logits Y.npy [--genome FILE | --platform NAME]\n"
    "                     [options]\n"
    "\n"
    "Runs images through one subnet of a finished training, its batch norm calibrated: what the\n"
    "subnet's exports should answer. DIR is the run directory.\n"
    "\n"
    "  --input X.npy     images as a NumPy array of type uint8, [n][height][width][channels], at\n"
    "                    the data set's size or at the subnet's resolution\n"
    "  --logits Y.npy    the array to write: float32, [n][classes]\n"
    "  --genome FILE     a JSON file with a genome or a {\"genome\": ...}\n"
    "  --platform NAME   the subnet that was found for this platform of the pipeline; if neither\n"
    "                    is given, the largest subnet\n"
    "  --threads N       threads; if not given, OMP_NUM_THREADS or every processor\n"
    "  --plugins FILE    a further manifest of plugins; may be given again\n"
    "  --json            print the result as JSON\n";

static int infer_pipeline(const nas_args *args, nas_session *session, nas_error *err) {
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
    const nas_infer_request what = {
        .genome = args->n_genomes ? args->genomes[0] : NULL,
        .platform = args->platform,
        .input = args->input,
        .logits = args->logits,
    };
    rc = nas_infer(&request, &what, err);
    nas_pipeline_free(&pipeline);
    return rc;
}

static int check(const nas_args *args, nas_error *err) {
    const char *missing = !args->input ? "input" : !args->logits ? "logits" : NULL;
    if (missing)
        return nas_fail(err, NAS_ERR_INPUT, "infer: --%s is missing; see `nashost infer --help`",
                        missing);
    return nas_args_one_genome("infer", args, err);
}

static int infer(const nas_args *args, nas_error *err) {
    nas_session session = {0};
    int rc = check(args, err);
    if (!rc) rc = nas_rundir_trained(args->positional, err);
    if (!rc) rc = nas_session_open(args, true, &session, err);
    if (!rc) rc = infer_pipeline(args, &session, err);
    nas_session_close(&session);
    return rc;
}

int nas_cli_infer(int argc, char **argv) {
    const unsigned flags = NAS_FLAG_INPUT | NAS_FLAG_LOGITS | NAS_FLAG_GENOME | NAS_FLAG_PLATFORM |
                           NAS_FLAG_THREADS | NAS_FLAG_PLUGINS;
    nas_args args;
    nas_error err;
    bool json = nas_args_want_json(argc, argv);
    if (nas_args_parse("infer", argc, argv, flags, "DIR", &args, &err))
        return nas_cli_fail(&err, json);
    int status = NAS_EXIT_OK;
    if (args.help)
        fputs(help, stdout);
    else if (infer(&args, &err))
        status = nas_cli_fail(&err, json);
    nas_args_free(&args);
    return status;
}
