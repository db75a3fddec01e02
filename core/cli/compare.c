#include "stages/compare.h"

#include "cli/cli.h"

static const char help[] =
    "usage: nashost compare DIR... [--json]\n"
    "\n"
    "Tables finished runs side by side: what each was made with, the subnet of each platform, and\n"
    "every key in which their pipelines differ. A column that differs is marked with *.\n"
    "\n"
    "  --json   print the comparison as JSON\n";

int nas_cli_compare(int argc, char **argv) {
    nas_args args;
    nas_error err;
    bool json = nas_args_want_json(argc, argv);
    if (nas_args_parse("compare", argc, argv, 0, "DIR...", &args, &err))
        return nas_cli_fail(&err, json);
    int status = NAS_EXIT_OK;
    if (args.help)
        fputs(help, stdout);
    else if (nas_compare(args.operands, args.n_operands, args.json, &err))
        status = nas_cli_fail(&err, json);
    nas_args_free(&args);
    return status;
}
