#include "base/json.h"
#include "cli/cli.h"
#include "host/instance.h"

#include <stdlib.h>
#include <string.h>

/* The first option without which the plugin cannot be created, or NULL. */
static const char *required_option(const nas_plugin *plugin) {
    for (size_t i = 0; plugin->options; i++) {
        const nas_option *o = nas_option_at(plugin->options, plugin->option_size, i);
        if (!o->name) break;
        if (!o->fallback) return o->name;
    }
    return NULL;
}

/* Makes an instance. Whatever code the plugin fails with, here it is the plugin that fails. */
static int try_create(const nas_args *args, const nas_session *session, const nas_plugin *plugin,
                      nas_error *err) {
    json_t *options = NULL;
    nas_instance instance;
    char *folder = realpath(".", NULL);
    const nas_place place = {"--options", "", folder ? folder : "."};
    int rc = nas_args_options(args, &options, err);
    if (!rc)
        rc = nas_instance_start(&session->services, plugin, args->positional, options, &place,
                                &instance, err);
    if (rc && rc != NAS_ERR_INPUT && rc != NAS_ERR_MEMORY) rc = err->code = NAS_ERR_PLUGIN;
    if (!rc) nas_instance_destroy(&instance);
    json_decref(options);
    free(folder);
    return rc;
}

/* missing: the required option for want of which no instance was made, or NULL. */
static int report(const nas_args *args, const nas_plugin *plugin, const char *missing) {
    const char *kind = nas_kind_name((nas_kind)plugin->kind);
    if (args->json)
        return nas_cli_print_json(json_pack("{s:o, s:b, s:s, s:s, s:s, s:b, s:s*}", "file",
                                            nas_text_json(args->positional), "ok", 1, "kind", kind,
                                            "id", plugin->id, "version", plugin->version, "created",
                                            !missing, "missing_option", missing));
    printf("%s: ok: %s plugin \"%s\" %s, ABI %u.%u\n", args->positional, kind, plugin->id,
           plugin->version, plugin->abi_major, plugin->abi_minor);
    if (missing)
        printf("no instance was created: the option \"%s\" is required; give --options\n", missing);
    return NAS_EXIT_OK;
}

static int read_kind(const nas_args *args, nas_kind *kind, nas_error *err) {
    *kind = nas_kind_from_name(args->kind);
    if (*kind || !args->kind) return NAS_OK;
    return nas_fail(
        err, NAS_ERR_INPUT,
        "--kind: expected dataset, ssl, search, hardware, score, export or import, found "
        "\"%.60s\"",
        args->kind);
}

static int check(const nas_args *args, nas_error *err) {
    nas_session session = {0};
    const nas_plugin *plugin = NULL;
    const char *missing = NULL;
    nas_kind kind;
    int rc = read_kind(args, &kind, err);
    if (!rc) rc = nas_session_open(args, false, &session, err);
    if (!rc)
        rc =
            nas_plugin_check_file(session.registry, args->positional, kind, args->id, &plugin, err);
    if (!rc && !args->options) missing = required_option(plugin);
    if (!rc && !missing) rc = try_create(args, &session, plugin, err);
    if (!rc && report(args, plugin, missing)) rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    nas_session_close(&session);
    return rc;
}

int nas_cli_plugins_check(int argc, char **argv) {
    static const nas_subcommand command = {.name = "plugins check",
                                           .operands = "FILE",
                                           .flags = NAS_FLAG_PLUGINS | NAS_FLAG_ID | NAS_FLAG_KIND |
                                                    NAS_FLAG_OPTIONS,
                                           .run = check};
    return nas_cli_subcommand(&command, argc, argv);
}
