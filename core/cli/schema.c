#include "host/schema.h"

#include "base/json.h"
#include "cli/cli.h"

static const char help[] =
    "usage: nashost schema [--out FILE] [--plugins FILE] [--json]\n"
    "\n"
    "Prints the JSON Schema (draft 2020-12) of pipelines with the options of every installed\n"
    "plugin, by which editors complete and check them. A pipeline names it in its first line:\n"
    "{\"$schema\": \"./pipeline.schema.json\", ...}.\n"
    "\n"
    "  --out FILE       write it to a file\n"
    "  --plugins FILE   a further manifest of plugins; may be given again\n"
    "  --json           errors as JSON too\n";

static int schema(const nas_args *args, nas_error *err) {
    nas_session session;
    json_t *json = NULL;
    int rc = nas_session_open(args, true, &session, err);
    if (!rc) rc = nas_schema(session.registry, &json, err);
    if (!rc && args->out) rc = nas_json_save(args->out, json, err);
    if (!rc && !args->out && nas_cli_print_json(json_incref(json)))
        rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    json_decref(json);
    nas_session_close(&session);
    return rc;
}

int nas_cli_schema(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "schema",
        .flags = NAS_FLAG_OUT | NAS_FLAG_PLUGINS,
        .help = help,
        .run = schema,
    };
    return nas_cli_subcommand(&command, argc, argv);
}
