#include "stages/infer.h"

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
    "  --int8            answer as exports with the option \"dtype\": \"int8\" do\n"
    "  --genome FILE     a JSON file with a genome or a {\"genome\": ...}\n"
    "  --platform NAME   the subnet that was found for this platform of the pipeline; if neither\n"
    "                    is given, the largest subnet\n"
    "  --threads N       threads; if not given, OMP_NUM_THREADS or every processor\n"
    "  --plugins FILE    a further manifest of plugins; may be given again\n"
    "  --json            print the result as JSON\n";

static int check(const nas_args *args, nas_error *err) {
    const char *missing = !args->input ? "input" : !args->logits ? "logits" : NULL;
    if (missing)
        return nas_fail(err, NAS_ERR_INPUT, "infer: --%s is missing; see `nashost infer --help`",
                        missing);
    return nas_args_one_genome("infer", args, err);
}

static int infer(const nas_args *args, nas_error *err) {
    const nas_infer_request what = {
        .genome = args->n_genomes ? args->genomes[0] : NULL,
        .platform = args->platform,
        .input = args->input,
        .int8 = args->int8,
        .logits = args->logits,
    };
    nas_run_dir run = {0};
    int rc = check(args, err);
    if (!rc) rc = nas_rundir_trained(args->positional, err);
    if (!rc) rc = nas_run_dir_open(args, &run, err);
    if (!rc) rc = nas_infer(&run.request, &what, err);
    nas_run_dir_close(&run);
    return rc;
}

int nas_cli_infer(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "infer",
        .operands = "DIR",
        .flags = NAS_FLAG_INPUT | NAS_FLAG_LOGITS | NAS_FLAG_GENOME | NAS_FLAG_PLATFORM |
                 NAS_FLAG_INT8 | NAS_FLAG_THREADS | NAS_FLAG_PLUGINS,
        .help = help,
        .run = infer,
    };
    return nas_cli_subcommand(&command, argc, argv);
}
