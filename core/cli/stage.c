/* train, search and report: one stage of a run alone. */
#include "cli/cli.h"
#include "run/rundir.h"

#define COMMON                                                                                     \
    "  --allow-commands     a cost model may start the program that the directory's pipeline "     \
    "names,\n"                                                                                     \
    "                       and \"verify\" an engine\n"                                            \
    "  --threads N          threads; if not given, OMP_NUM_THREADS or every processor\n"           \
    "  --cluster ID         run on all ranks of this cluster plugin; if not given, on those "      \
    "that\n"                                                                                       \
    "                       mpirun or srun started\n"                                              \
    "  --plugins FILE       a further manifest of plugins; may be given again\n"                   \
    "  --json               print the result as JSON\n"                                            \
    "  --quiet              no progress\n"

static const char train_help[] =
    "usage: nashost train DIR [options]\n"
    "\n"
    "Finishes the training of a run directory, from its checkpoint if it was stopped, by the\n"
    "pipeline.json that stands there. Makes metrics.jsonl and supernet.safetensors.\n"
    "\n"
    "  --set KEY=VALUE ...  change train.log_every or train.checkpoint_* first; any other key\n"
    "                       of the training needs another directory, once there are "
    "weights\n" COMMON;

static const char search_help[] =
    "usage: nashost search DIR [options]\n"
    "\n"
    "Searches a subnet for each platform of a run directory whose training has ended. Makes\n"
    "search/PLATFORM.jsonl; a platform that has it already is not searched again.\n"
    "\n"
    "  --set KEY=VALUE ...  change a key of search, platforms or export first, such as\n"
    "                       platforms.0.constraints.latency_ms=2; what it touches is searched "
    "again\n" COMMON;

static const char report_help[] =
    "usage: nashost report DIR [options]\n"
    "\n"
    "Tests, exports and tables what the searches of a run directory have chosen. Makes "
    "family.json,\n"
    "family/ and report.html, which shows all of it in a browser, anew.\n"
    "\n" COMMON;

static int run(const nas_args *args, nas_from from, nas_until until, nas_error *err) {
    nas_run_dir run = {0};
    const volatile sig_atomic_t *stop = nas_cli_catch_signals();
    int rc = nas_session_open(args, true, &run.session, err);
    if (!rc) rc = nas_session_join(&run.session, args, stop, err);
    if (!rc) rc = nas_rundir_needs(args->positional, "pipeline.json", "run", err);
    if (!rc) rc = nas_run_dir_read(args, &run, err);
    rc = nas_cluster_agree(run.session.cluster, rc, err);
    run.request.from = from;
    run.request.until = until;
    run.request.stop = stop;
    if (!rc) rc = nas_cli_run_request(args, &run.request, err);
    rc = nas_session_leave(&run.session, args, rc, err);
    nas_run_dir_close(&run);
    return rc;
}

static int train(const nas_args *args, nas_error *err) {
    return run(args, NAS_FROM_TRAIN, NAS_UNTIL_TRAIN, err);
}

int nas_cli_train(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "train",
        .operands = "DIR",
        .flags = NAS_FLAG_SET | NAS_FLAG_ALLOW_COMMANDS | NAS_FLAG_THREADS | NAS_FLAG_PLUGINS |
                 NAS_FLAG_QUIET | NAS_FLAG_CLUSTER,
        .help = train_help,
        .run = train,
    };
    return nas_cli_subcommand(&command, argc, argv);
}

static int search(const nas_args *args, nas_error *err) {
    return run(args, NAS_FROM_SEARCH, NAS_UNTIL_SEARCH, err);
}

int nas_cli_search(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "search",
        .operands = "DIR",
        .flags = NAS_FLAG_SET | NAS_FLAG_ALLOW_COMMANDS | NAS_FLAG_THREADS | NAS_FLAG_PLUGINS |
                 NAS_FLAG_QUIET | NAS_FLAG_CLUSTER,
        .help = search_help,
        .run = search,
    };
    return nas_cli_subcommand(&command, argc, argv);
}

static int report(const nas_args *args, nas_error *err) {
    return run(args, NAS_FROM_REPORT, NAS_UNTIL_REPORT, err);
}

int nas_cli_report(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "report",
        .operands = "DIR",
        .flags = NAS_FLAG_ALLOW_COMMANDS | NAS_FLAG_THREADS | NAS_FLAG_PLUGINS | NAS_FLAG_QUIET |
                 NAS_FLAG_CLUSTER,
        .help = report_help,
        .run = report,
    };
    return nas_cli_subcommand(&command, argc, argv);
}
