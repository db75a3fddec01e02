#include "cli/cli.h"

static const char help[] = "usage: nashost version [--json]\n"
                           "\n"
                           "Prints the version, and that of the plugin ABI.\n";

int nas_cli_version(int argc, char **argv) {
    nas_args args;
    nas_error err;
    if (nas_args_parse("version", argc, argv, 0, NULL, &args, &err))
        return nas_cli_fail(&err, nas_args_want_json(argc, argv));
    int status = NAS_EXIT_OK;
    if (args.help)
        fputs(help, stdout);
    else if (args.json)
        status = nas_cli_print_json(json_pack("{s:s, s:[i, i]}", "version", NASHOST_VERSION, "abi",
                                              NAS_ABI_MAJOR, NAS_ABI_MINOR));
    else
        printf("nashost %s (plugin ABI %d.%d)\n", NASHOST_VERSION, NAS_ABI_MAJOR, NAS_ABI_MINOR);
    nas_args_free(&args);
    return status;
}
