#include "cli/cli.h"

static const char help[] = "usage: nashost version [--json]\n"
                           "\n"
                           "Prints the version, and that of the plugin ABI.\n";

static int version(const nas_args *args, nas_error *err) {
    if (!args->json) {
        printf("nashost %s (plugin ABI %d.%d)\n", NASHOST_VERSION, NAS_ABI_MAJOR, NAS_ABI_MINOR);
        return NAS_OK;
    }
    json_t *json = json_pack("{s:s, s:[i, i]}", "version", NASHOST_VERSION, "abi", NAS_ABI_MAJOR,
                             NAS_ABI_MINOR);
    return nas_cli_print_json(json) ? nas_fail(err, NAS_ERR_MEMORY, "out of memory") : NAS_OK;
}

int nas_cli_version(int argc, char **argv) {
    static const nas_subcommand command = {.name = "version", .help = help, .run = version};
    return nas_cli_subcommand(&command, argc, argv);
}
