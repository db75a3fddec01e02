#include "stages/costs.h"

#include "cli/cli.h"

static const char help[] =
    "usage: nashost cost PIPELINE [--hardware ID] [--genome FILE]... [options]\n"
    "\n"
    "Prints what subnets of the pipeline's space cost on each of its platforms, or on another\n"
    "device. Nothing needs to be trained: where weights matter, random ones are used.\n"
    "\n"
    "  --genome FILE        a JSON file with a genome, a {\"name\": ..., \"genome\": ...}, or an\n"
    "                       array of these; may be given again\n"
    "  --random N           N random subnets, drawn by the pipeline's seed; with neither of the\n"
    "                       two, the largest and the smallest subnet\n"
    "  --hardware ID        a hardware plugin instead of the pipeline's platforms\n"
    "  --options JSON       its options, such as {\"threads\": 1}\n"
    "  --set KEY=VALUE ...  change a key of the pipeline first\n"
    "  --plugins FILE       a further manifest of plugins; may be given again\n"
    "  --json               print the result as JSON\n";

typedef struct devices {
    size_t n;
    nas_device list[NAS_MAX_PLATFORMS];
    nas_instance hardware[NAS_MAX_PLATFORMS];
} devices;

static int open_devices(const nas_args *args, nas_session *session, const nas_pipeline *pipeline,
                        devices *d, nas_error *err) {
    int rc = NAS_OK;
    if (args->hardware) {
        rc = nas_session_hardware(session, args, &d->hardware[0], err);
        if (!rc) d->list[d->n++] = (nas_device){args->hardware, &d->hardware[0]};
        return rc;
    }
    for (size_t i = 0; i < pipeline->n_platforms && !rc; i++) {
        const nas_platform *platform = &pipeline->platforms[i];
        char path[96];
        snprintf(path, sizeof path, "%s.options", platform->hardware.path);
        const nas_place place = {pipeline->file, path, pipeline->folder};
        rc = nas_instance_create(session->registry, NAS_KIND_HARDWARE, platform->hardware.id,
                                 platform->hardware.options, &place, &d->hardware[i], err);
        if (!rc) d->list[d->n++] = (nas_device){platform->name, &d->hardware[i]};
    }
    return rc;
}

static int choose(const nas_args *args, const nas_pipeline *pipeline, const nas_space *space,
                  nas_subnets *subnets, nas_error *err) {
    if (!args->n_genomes && !args->random) return nas_subnets_ends(space, subnets, err);
    int rc = NAS_OK;
    for (size_t i = 0; i < args->n_genomes && !rc; i++)
        rc = nas_subnets_read(space, args->genomes[i], subnets, err);
    if (rc || !args->random) return rc;
    return nas_subnets_random(space, (uint64_t)pipeline->seed, (size_t)args->random, subnets, err);
}

static int cost_pipeline(const nas_args *args, nas_session *session, const nas_pipeline *pipeline,
                         nas_error *err) {
    nas_space space;
    nas_subnets subnets = {0};
    devices d = {0};
    int rc = nas_session_space(session, pipeline, &space, err);
    if (!rc) rc = choose(args, pipeline, &space, &subnets, err);
    if (!rc) rc = open_devices(args, session, pipeline, &d, err);
    if (!rc) rc = nas_costs(&space, &subnets, d.list, d.n, args->json, &session->log, err);
    for (size_t i = 0; i < d.n; i++) nas_instance_destroy(&d.hardware[i]);
    nas_subnets_free(&subnets);
    return rc;
}

static int cost(const nas_args *args, nas_error *err) {
    nas_session session = {0};
    nas_pipeline pipeline = {0};
    int rc = NAS_OK;
    if (args->options && !args->hardware)
        rc = nas_fail(err, NAS_ERR_INPUT, "cost: --options needs --hardware, whose they are");
    if (!rc) rc = nas_session_open(args, true, &session, err);
    if (!rc) rc = nas_session_pipeline(&session, args->positional, args, &pipeline, err);
    if (!rc) rc = cost_pipeline(args, &session, &pipeline, err);
    nas_pipeline_free(&pipeline);
    nas_session_close(&session);
    return rc;
}

int nas_cli_cost(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "cost",
        .operands = "PIPELINE",
        .flags = NAS_FLAG_GENOME | NAS_FLAG_RANDOM | NAS_FLAG_HARDWARE | NAS_FLAG_OPTIONS |
                 NAS_FLAG_SET | NAS_FLAG_PLUGINS,
        .help = help,
        .run = cost,
    };
    return nas_cli_subcommand(&command, argc, argv);
}
