#include "cli/cli.h"
#include "host/pipeline.h"

static const char help[] =
    "usage: nashost validate PIPELINE [--set KEY=VALUE ...] [--plugins FILE] [--json]\n"
    "\n"
    "Checks a pipeline and the options of every plugin that it names, and runs nothing.\n"
    "\n"
    "  --set KEY=VALUE ...  change a key first, such as train.steps=100 or\n"
    "                       platforms.0.constraints.latency_ms=2\n"
    "  --plugins FILE       a further manifest of plugins; may be given again\n"
    "  --json               print the pipeline with every default\n";

static int validate(const nas_args *args, nas_error *err) {
    nas_session session;
    nas_pipeline pipeline;
    int rc = nas_session_open(args, true, &session, err);
    if (!rc) {
        rc = nas_pipeline_load(args->positional, args->overrides, args->n_overrides,
                               session.registry, &pipeline, err);
        if (!rc && args->json && nas_cli_print_json(json_incref(pipeline.resolved)))
            rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory");
        if (!rc && !args->json) printf("%s: valid\n", args->positional);
        if (!rc) nas_pipeline_free(&pipeline);
    }
    nas_session_close(&session);
    return rc;
}

int nas_cli_validate(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "validate",
        .operands = "PIPELINE",
        .flags = NAS_FLAG_SET | NAS_FLAG_PLUGINS,
        .help = help,
        .run = validate,
    };
    return nas_cli_subcommand(&command, argc, argv);
}
