#include "stages/export.h"

#include "cli/cli.h"
#include "stages/rundir.h"

static const char help[] =
    "usage: nashost export DIR --format NAME --out FILE [--genome FILE | --platform NAME] "
    "[options]\n"
    "\n"
    "Writes one subnet of a finished training for deployment, its batch norm calibrated and "
    "folded\n"
    "into the weights. DIR is the run directory. `nashost plugins list --kind export` tells the\n"
    "formats.\n"
    "\n"
    "  --format NAME     the export plugin\n"
    "  --out FILE        the file to write\n"
    "  --genome FILE     a JSON file with a genome or a {\"genome\": ...}\n"
    "  --platform NAME   the subnet that was found for this platform of the pipeline; if neither\n"
    "                    is given, the largest subnet\n"
    "  --options JSON    the plugin's options; if not given, their defaults\n"
    "  --threads N       threads; if not given, OMP_NUM_THREADS or every processor\n"
    "  --plugins FILE    a further manifest of plugins; may be given again\n"
    "  --json            print the result as JSON\n"
    "\n"
    "`nashost infer` computes the logits that the result should give.\n";

static int check(const nas_args *args, nas_error *err) {
    const char *missing = !args->format ? "format" : !args->out ? "out" : NULL;
    if (missing)
        return nas_fail(err, NAS_ERR_INPUT, "export: --%s is missing; see `nashost export --help`",
                        missing);
    return nas_args_one_genome("export", args, err);
}

static int export(const nas_args *args, nas_error *err) {
    nas_run_dir run = {0};
    json_t *options = NULL;
    int rc = check(args, err);
    if (!rc) rc = nas_args_options(args, &options, err);
    if (!rc) rc = nas_rundir_trained(args->positional, err);
    if (!rc) rc = nas_run_dir_open(args, &run, err);
    const nas_export_request what = {
        .genome = args->n_genomes ? args->genomes[0] : NULL,
        .platform = args->platform,
        .format = args->format,
        .options = options,
        .out = args->out,
    };
    if (!rc) rc = nas_export(&run.request, &what, err);
    nas_run_dir_close(&run);
    json_decref(options);
    return rc;
}

int nas_cli_export(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "export",
        .operands = "DIR",
        .flags = NAS_FLAG_FORMAT | NAS_FLAG_OUT | NAS_FLAG_GENOME | NAS_FLAG_PLATFORM |
                 NAS_FLAG_OPTIONS | NAS_FLAG_THREADS | NAS_FLAG_PLUGINS,
        .help = help,
        .run = export,
    };
    return nas_cli_subcommand(&command, argc, argv);
}
