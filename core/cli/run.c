#include "base/file.h"
#include "cli/cli.h"
#include "run/leftovers.h"

#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: nashost run PIPELINE [options]\n"
    "\n"
    "Trains the supernet, finds a subnet for each platform, exports and reports. The same command\n"
    "goes on where an interrupted run stopped.\n"
    "\n"
    "  --out DIR            the run directory; runs/NAME if not given, NAME being the pipeline's\n"
    "  --set KEY=VALUE ...  change a key first, such as train.steps=100 or\n"
    "                       platforms.0.constraints.latency_ms=2; another plugin loses the\n"
    "                       options beside it\n"
    "  --threads N          threads; if not given, OMP_NUM_THREADS or every processor\n"
    "  --plugins FILE       a further manifest of plugins; may be given again\n"
    "  --until STAGE        stop after train or search; without it, the same command goes on\n"
    "                       from there\n"
    "  --dry-run            open everything, print the plan, and stop; starts no program\n"
    "  --check-images       read every image first, the test's too, and name all that are bad\n"
    "  --allow-commands     a cost model may start the program that the pipeline names, and\n"
    "                       \"verify\" an engine, though this is a dry run (costs alone), or the\n"
    "                       pipeline lies in a run directory\n"
    "  --cluster ID         run on all ranks of this cluster plugin; if not given, on those that\n"
    "                       mpirun or srun started\n"
    "  --json               print the result as JSON\n"
    "  --quiet              no progress\n"
    "\n"
    "Ctrl-C (or SIGTERM, or a terminal that is closed) saves and stops; a second one stops at "
    "once.\n";

/* runs/NAME for FOLDER/NAME.json; the caller frees. NULL: out of memory. */
static char *default_out(const char *pipeline) {
    const char *slash = strrchr(pipeline, '/');
    const char *name = slash ? slash + 1 : pipeline;
    size_t n = strlen(name);
    if (n > 5 && strcmp(name + n - 5, ".json") == 0) n -= 5;
    char *out = NULL;
    return asprintf(&out, "runs/%.*s", (int)n, name) < 0 ? NULL : out;
}

static int read_until(const char *text, nas_until *until, nas_error *err) {
    *until = NAS_UNTIL_REPORT;
    if (!text) return NAS_OK;
    if (strcmp(text, "train") == 0)
        *until = NAS_UNTIL_TRAIN;
    else if (strcmp(text, "search") == 0)
        *until = NAS_UNTIL_SEARCH;
    else
        return nas_fail(err, NAS_ERR_INPUT, "--until: expected train or search, found \"%.60s\"",
                        text);
    return NAS_OK;
}

static bool in_run_directory(const nas_pipeline *pipeline) {
    char *mark = nas_path_join(pipeline->folder, NAS_RUN_MARK);
    bool found = !mark || nas_file_exists(mark);
    free(mark);
    return found;
}

static int run_pipeline(const nas_args *args, nas_session *session, const char *out,
                        const volatile sig_atomic_t *stop, nas_error *err) {
    nas_pipeline pipeline;
    nas_until until;
    int rc = read_until(args->until, &until, err);
    if (!rc) rc = nas_session_pipeline(session, args->positional, args, &pipeline, err);
    bool loaded = !rc;
    rc = nas_cluster_agree(session->cluster, rc, err);
    if (!loaded) return rc;
    if (rc) {
        nas_pipeline_free(&pipeline);
        return rc;
    }
    /* A pipeline that is run is trusted, but for one that came in a run directory. */
    if (!args->dry_run && !in_run_directory(&pipeline)) session->services.allow_commands = true;
    nas_run_request request = nas_session_request(session, args, &pipeline, out);
    request.until = until;
    request.dry_run = args->dry_run;
    request.check_images = args->check_images;
    request.stop = stop;
    if (args->dry_run) request.cluster = NULL; /* it writes and waits for nothing */
    if (request.cluster == session->cluster || !nas_cluster_rank(session->cluster))
        rc = nas_cli_run_request(args, &request, err);
    nas_pipeline_free(&pipeline);
    return rc;
}

static int run(const nas_args *args, nas_error *err) {
    nas_session session = {0};
    char *out = args->out ? strdup(args->out) : default_out(args->positional);
    int rc = NAS_OK;
    if (!out)
        rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    else if (!*out)
        rc = nas_fail(err, NAS_ERR_INPUT, "--out: expected the name of a folder, found \"\"");
    if (!rc) rc = nas_session_open(args, true, &session, err);
    const volatile sig_atomic_t *stop = nas_cli_catch_signals();
    if (!rc) rc = nas_session_join(&session, args, stop, err);
    if (!rc) rc = run_pipeline(args, &session, out, stop, err);
    rc = nas_session_leave(&session, args, rc, err);
    nas_session_close(&session);
    free(out);
    return rc;
}

int nas_cli_run(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "run",
        .operands = "PIPELINE",
        .flags = NAS_FLAG_SET | NAS_FLAG_PLUGINS | NAS_FLAG_OUT | NAS_FLAG_THREADS |
                 NAS_FLAG_UNTIL | NAS_FLAG_DRY_RUN | NAS_FLAG_CHECK_IMAGES | NAS_FLAG_QUIET |
                 NAS_FLAG_ALLOW_COMMANDS | NAS_FLAG_CLUSTER,
        .help = help,
        .run = run,
    };
    return nas_cli_subcommand(&command, argc, argv);
}
