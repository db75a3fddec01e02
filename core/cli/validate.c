#include "cli/cli.h"
#include "host/pipeline.h"

static const char help[] =
    "usage: nashost validate PIPELINE [--set KEY=VALUE ...] [--plugins FILE] [--json]\n"
    "\n"
    "Checks a pipeline and the options of every plugin that it names, and runs nothing. Files "
    "that\n"
    "options name, such as a device's profile, are read, but for the data set's.\n"
    "\n"
    "  --set KEY=VALUE ...  change a key first, such as train.steps=100 or\n"
    "                       platforms.0.constraints.latency_ms=2\n"
    "  --plugins FILE       a further manifest of plugins; may be given again\n"
    "  --json               print the pipeline with every default\n";

/* Makes the plugin and takes it away again. */
static int try_plugin(const nas_session *session, const nas_pipeline *pipeline, nas_kind kind,
                      const nas_use *use, nas_error *err) {
    char path[sizeof use->path + 16];
    snprintf(path, sizeof path, "%s.options", use->path);
    const nas_place place = {pipeline->file, path, pipeline->folder};
    nas_instance instance;
    int rc =
        nas_instance_create(session->registry, kind, use->id, use->options, &place, &instance, err);
    if (!rc) nas_instance_destroy(&instance);
    return rc;
}

static int try_plugins(const nas_session *session, const nas_pipeline *pipeline, nas_error *err) {
    int rc = try_plugin(session, pipeline, NAS_KIND_SSL, &pipeline->ssl, err);
    if (!rc) rc = try_plugin(session, pipeline, NAS_KIND_SEARCH, &pipeline->search, err);
    if (!rc) rc = try_plugin(session, pipeline, NAS_KIND_SCORE, &pipeline->score, err);
    for (size_t i = 0; i < pipeline->n_platforms && !rc; i++)
        rc =
            try_plugin(session, pipeline, NAS_KIND_HARDWARE, &pipeline->platforms[i].hardware, err);
    for (size_t i = 0; i < pipeline->n_exports && !rc; i++)
        rc = try_plugin(session, pipeline, NAS_KIND_EXPORT, &pipeline->exports[i].use, err);
    return rc;
}

static int validate(const nas_args *args, nas_error *err) {
    nas_session session;
    nas_pipeline pipeline;
    int rc = nas_session_open(args, true, &session, err);
    if (!rc) {
        rc = nas_pipeline_load(args->positional, args->overrides, args->n_overrides,
                               session.registry, &pipeline, err);
        bool loaded = !rc;
        if (loaded) rc = try_plugins(&session, &pipeline, err);
        if (!rc && args->json && nas_cli_print_json(json_incref(pipeline.resolved)))
            rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory");
        if (!rc && !args->json) printf("%s: valid\n", args->positional);
        if (loaded) nas_pipeline_free(&pipeline);
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
