#include "stages/lut.h"

#include "cli/cli.h"

#include <string.h>

static const char help[] =
    "usage: nashost lut build PIPELINE --hardware ID --out FILE [options]\n"
    "\n"
    "Times every layer that a subnet of the pipeline's space can have, if the device can time\n"
    "single layers, and some whole subnets, and writes a latency table. A build that was\n"
    "interrupted goes on where it stopped; a second one adds another space's layers to the same\n"
    "file.\n"
    "\n"
    "  --hardware ID        a hardware plugin that measures\n"
    "  --options JSON       its options, such as {\"threads\": 1}\n"
    "  --out FILE           the table\n"
    "  --limit N            N layers drawn at random rather than all, as samples\n"
    "  --networks N         subnets to time as a whole, which correct the sums of layers (20)\n"
    "  --rounds N           times each so often, and keeps the lowest time (5)\n"
    "  --set KEY=VALUE ...  change a key of the pipeline first\n"
    "  --plugins FILE       a further manifest of plugins; may be given again\n"
    "  --json               print the result as JSON\n"
    "  --quiet              no progress\n";

static int report(const nas_args *args, const nas_lut_result *result) {
    if (args->json)
        return nas_cli_print_json(
            json_pack("{s:s, s:I, s:I, s:I, s:I}", "file", args->out, "layers",
                      (json_int_t)result->layers, "kept", (json_int_t)result->kept, "measured",
                      (json_int_t)result->measured, "networks", (json_int_t)result->networks));
    if (result->layers)
        printf("%s: %zu layers in the space; %zu measured now, %zu before; %zu networks measured\n",
               args->out, result->layers, result->measured, result->kept, result->networks);
    else
        printf("%s: %zu networks measured; single layers cannot be timed there\n", args->out,
               result->networks);
    return NAS_EXIT_OK;
}

static int build_table(const nas_args *args, nas_session *session, const nas_pipeline *pipeline,
                       nas_error *err) {
    nas_space space;
    nas_instance hardware = {0};
    nas_lut_result result;
    int rc = nas_session_space(session, pipeline, &space, err);
    if (!rc) rc = nas_session_hardware(session, args, &hardware, err);
    if (rc) return rc;
    const nas_lut_request request = {.space = &space,
                                     .hardware = &hardware,
                                     .out = args->out,
                                     .seed = (uint64_t)pipeline->seed,
                                     .limit = (size_t)args->limit,
                                     .networks = args->networks < 0 ? 20 : (size_t)args->networks,
                                     .rounds = args->rounds ? (uint32_t)args->rounds : 5,
                                     .log = &session->log,
                                     .quiet = args->quiet};
    rc = nas_lut_build(&request, &result, err);
    nas_instance_destroy(&hardware);
    if (!rc && report(args, &result)) rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    return rc;
}

static int build(const nas_args *args, nas_error *err) {
    nas_session session = {0};
    nas_pipeline pipeline = {0};
    int rc = NAS_OK;
    if (!args->hardware || !args->out)
        rc = nas_fail(err, NAS_ERR_INPUT, "lut build: --%s is missing; see `nashost lut --help`",
                      args->hardware ? "out" : "hardware");
    if (!rc) rc = nas_session_open(args, true, &session, err);
    if (!rc) rc = nas_session_pipeline(&session, args->positional, args, &pipeline, err);
    if (!rc) rc = build_table(args, &session, &pipeline, err);
    nas_pipeline_free(&pipeline);
    nas_session_close(&session);
    return rc;
}

static int build_command(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "lut build",
        .operands = "PIPELINE",
        .flags = NAS_FLAG_HARDWARE | NAS_FLAG_OPTIONS | NAS_FLAG_OUT | NAS_FLAG_LIMIT |
                 NAS_FLAG_NETWORKS | NAS_FLAG_ROUNDS | NAS_FLAG_SET | NAS_FLAG_PLUGINS |
                 NAS_FLAG_QUIET,
        .help = help,
        .run = build,
    };
    return nas_cli_subcommand(&command, argc, argv);
}

int nas_cli_lut(int argc, char **argv) {
    static const char *const names[] = {"build"};
    nas_error err;
    if (argc < 2 || argv[1][0] == '-') {
        bool asked = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
        fputs(help, asked ? stdout : stderr);
        return asked ? NAS_EXIT_OK : NAS_EXIT_USAGE;
    }
    if (nas_args_command(argv[1], names, 1, "nashost lut", &err) < 0)
        return nas_cli_fail(&err, nas_args_want_json(argc, argv));
    return build_command(argc - 1, argv + 1);
}
