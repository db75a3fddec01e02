#include "stages/import.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/pth.h"
#include "cli/render.h"

#include <stdlib.h>
#include <unistd.h>

static const char help[] =
    "usage: nashost import WEIGHTS --out CLOUD.safetensors [options]\n"
    "\n"
    "Makes a pretrained network the start of a training. Its largest subnet computes what the\n"
    "network does; a pipeline names the file as \"init\": {\"weights\": \"CLOUD.safetensors\"}.\n"
    "`nashost plugins list --kind import` tells the families of networks that are known.\n"
    "\n"
    "  WEIGHTS           a safetensors file with the tensors' names in the framework, or what\n"
    "                    PyTorch saves (.pth, .pt), which a Python script converts without\n"
    "                    running anything in it\n"
    "  --out FILE        the file to write\n"
    "  --space-out FILE  write the search space as JSON as well, to narrow or widen it by hand\n"
    "  --format NAME     the import plugin; if not given, the one that recognises the file\n"
    "  --plugins FILE    a further manifest of plugins; may be given again\n"
    "  --json            print the result as JSON\n";

int nas_import_print(const json_t *result, nas_error *err) {
    (void)err;
    const json_t *genome = json_object_get(result, "genome");
    printf("%s: %s of %lld classes by %s, %lld parameters, %lld MACs\nits largest subnet: %s\n",
           json_string_value(json_object_get(result, "out")),
           json_string_value(json_object_get(result, "space")),
           (long long)json_integer_value(json_object_get(result, "classes")),
           json_string_value(json_object_get(result, "format")),
           (long long)json_integer_value(json_object_get(result, "params")),
           (long long)json_integer_value(json_object_get(result, "macs")),
           nas_show_cell(genome, NAS_SHOW_GENOME).text);
    return NAS_OK;
}

static int import_file(const nas_args *args, nas_session *session, const char *weights,
                       nas_error *err) {
    const nas_import_request request = {.registry = session->registry,
                                        .weights = weights,
                                        .name = args->positional,
                                        .format = args->format,
                                        .out = args->out,
                                        .space_out = args->space_out,
                                        .log = &session->log};
    json_t *result;
    int rc = nas_import(&request, &result, err);
    return rc ? rc : nas_cli_result(args, result, nas_import_print, err);
}

/* What PyTorch saved is first made a safetensors file beside the one to write. */
static int import_pth(const nas_args *args, nas_session *session, nas_error *err) {
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.%ld.tensors", args->out, (long)getpid()) < 0)
        return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    int rc = nas_pth_convert(session->registry, args->positional, temporary, err);
    if (!rc) rc = import_file(args, session, temporary, err);
    unlink(temporary);
    free(temporary);
    return rc;
}

static int run_import(const nas_args *args, nas_error *err) {
    nas_session session = {0};
    bool pth = false;
    if (!args->out)
        return nas_fail(err, NAS_ERR_INPUT,
                        "import: --out is missing; see `nashost import --help`");
    int rc = nas_session_open(args, true, &session, err);
    if (!rc) rc = nas_pth_recognise(args->positional, &pth, err);
    if (!rc)
        rc = pth ? import_pth(args, &session, err)
                 : import_file(args, &session, args->positional, err);
    nas_session_close(&session);
    return rc;
}

int nas_cli_import(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "import",
        .operands = "WEIGHTS",
        .flags = NAS_FLAG_FORMAT | NAS_FLAG_OUT | NAS_FLAG_SPACE_OUT | NAS_FLAG_PLUGINS,
        .help = help,
        .run = run_import,
    };
    return nas_cli_subcommand(&command, argc, argv);
}
