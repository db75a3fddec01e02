#include "stages/compare.h"

#include "cli/cli.h"

static const char help[] =
    "usage: nashost compare DIR... [--json]\n"
    "\n"
    "Tables finished runs side by side: what each was made with, the subnet of each platform, and\n"
    "every key in which their pipelines differ. A column that differs is marked with *.\n"
    "\n"
    "  --json   print the comparison as JSON\n";

static int compare(const nas_args *args, nas_error *err) {
    return nas_compare(args->operands, args->n_operands, args->json, err);
}

int nas_cli_compare(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "compare", .operands = "DIR...", .help = help, .run = compare};
    return nas_cli_subcommand(&command, argc, argv);
}
