/* train, search and report: one stage of a run alone. */
#include "base/threads.h"
#include "cli/cli.h"
#include "stages/rundir.h"

#define COMMON                                                                                     \
    "  --threads N          threads; if not given, OMP_NUM_THREADS or every processor\n"           \
    "  --plugins FILE       a further manifest of plugins; may be given again\n"                   \
    "  --json               print the result as JSON\n"                                            \
    "  --quiet              no progress\n"

typedef struct stage {
    const char *name, *help;
    nas_from from;
    nas_until until;
    unsigned flags;
} stage;

static const stage train = {
    "train",
    "usage: nashost train DIR [options]\n"
    "\n"
    "Finishes the training of a run directory, from its checkpoint if it was stopped, by the\n"
    "pipeline.json that stands there. Makes metrics.jsonl and supernet.safetensors.\n"
    "\n"
    "  --set KEY=VALUE ...  change train.log_every or train.checkpoint_every first; any other key\n"
    "                       of the training needs another directory, once there are "
    "weights\n" COMMON,
    NAS_FROM_TRAIN, NAS_UNTIL_TRAIN, NAS_FLAG_SET};

static const stage search = {
    "search",
    "usage: nashost search DIR [options]\n"
    "\n"
    "Searches a subnet for each platform of a run directory whose training has ended. Makes\n"
    "search/PLATFORM.jsonl; a platform that has it already is not searched again.\n"
    "\n"
    "  --set KEY=VALUE ...  change a key of search, platforms or export first, such as\n"
    "                       platforms.0.constraints.latency_ms=2; what it touches is searched "
    "again\n" COMMON,
    NAS_FROM_SEARCH, NAS_UNTIL_SEARCH, NAS_FLAG_SET};

static const stage report = {
    "report",
    "usage: nashost report DIR [options]\n"
    "\n"
    "Tests, exports and tables what the searches of a run directory have chosen. Makes "
    "family.json\n"
    "and family/ anew.\n"
    "\n" COMMON,
    NAS_FROM_REPORT, NAS_UNTIL_REPORT, 0};

static int run_pipeline(const stage *s, const nas_args *args, nas_session *session,
                        nas_error *err) {
    char path[NAS_RUNDIR_PATH];
    nas_pipeline pipeline;
    int rc = nas_rundir_path(args->positional, "pipeline.json", path, sizeof path, err);
    if (!rc) rc = nas_session_pipeline(session, path, args, &pipeline, err);
    if (rc) return rc;
    const nas_run_request request = {
        .pipeline = &pipeline,
        .registry = session->registry,
        .out = args->positional,
        .threads = args->threads ? args->threads : nas_threads_default(),
        .from = s->from,
        .until = s->until,
        .json = args->json,
        .quiet = args->quiet,
        .log = &session->log,
        .stop = nas_cli_catch_signals(),
    };
    rc = nas_run(&request, err);
    nas_pipeline_free(&pipeline);
    return rc;
}

static int run(const stage *s, const nas_args *args, nas_error *err) {
    nas_session session = {0};
    int rc = nas_rundir_needs(args->positional, "pipeline.json", "run", err);
    if (!rc) rc = nas_session_open(args, true, &session, err);
    if (!rc) rc = run_pipeline(s, args, &session, err);
    nas_session_close(&session);
    return rc;
}

static int command(const stage *s, int argc, char **argv) {
    const unsigned flags = s->flags | NAS_FLAG_THREADS | NAS_FLAG_PLUGINS | NAS_FLAG_QUIET;
    nas_args args;
    nas_error err;
    bool json = nas_args_want_json(argc, argv);
    if (nas_args_parse(s->name, argc, argv, flags, "DIR", &args, &err))
        return nas_cli_fail(&err, json);
    int status = NAS_EXIT_OK;
    if (args.help)
        fputs(s->help, stdout);
    else if (run(s, &args, &err))
        status = nas_cli_fail(&err, json);
    nas_args_free(&args);
    return status;
}

int nas_cli_train(int argc, char **argv) {
    return command(&train, argc, argv);
}

int nas_cli_search(int argc, char **argv) {
    return command(&search, argc, argv);
}

int nas_cli_report(int argc, char **argv) {
    return command(&report, argc, argv);
}
