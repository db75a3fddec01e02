#include "stages/eval.h"

#include "cli/cli.h"
#include "stages/rundir.h"

static const char help[] =
    "usage: nashost eval DIR [--genome FILE]... [options]\n"
    "\n"
    "Calibrates subnets of a finished training, and prints what they cost and their top-1 on the\n"
    "test images and, where there are any, the validation images. DIR is the run directory.\n"
    "\n"
    "  --genome FILE   a JSON file with a genome, a {\"name\": ..., \"genome\": ...}, or an array "
    "of\n"
    "                  these; may be given again; if not given, the largest and the smallest\n"
    "                  subnet\n"
    "  --threads N     threads; if not given, OMP_NUM_THREADS or every processor\n"
    "  --plugins FILE  a further manifest of plugins; may be given again\n"
    "  --json          print the result as JSON\n"
    "\n"
    "A choice that is made by test images makes their figures worthless: choose by validation.\n";

static int eval(const nas_args *args, nas_error *err) {
    nas_run_dir run = {0};
    int rc = nas_rundir_trained(args->positional, err);
    if (!rc) rc = nas_run_dir_open(args, &run, err);
    if (!rc) rc = nas_eval(&run.request, args->genomes, args->n_genomes, err);
    nas_run_dir_close(&run);
    return rc;
}

int nas_cli_eval(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "eval",
        .operands = "DIR",
        .flags = NAS_FLAG_GENOME | NAS_FLAG_THREADS | NAS_FLAG_PLUGINS,
        .help = help,
        .run = eval,
    };
    return nas_cli_subcommand(&command, argc, argv);
}
