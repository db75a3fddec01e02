#include "cli/cli.h"
#include "host/options.h"

#include <math.h>
#include <nashost/kit/names.h>
#include <stdlib.h>
#include <string.h>

static const nas_manifest_entry *find(const nas_registry *registry, const char *id,
                                      nas_error *err) {
    size_t n = nas_registry_count(registry);
    const char **ids = calloc(n + 1, sizeof *ids);
    for (size_t i = 0; i < n; i++) {
        const nas_manifest_entry *entry = nas_registry_entry(registry, i);
        if (strcmp(entry->id, id) == 0) {
            free(ids);
            return entry;
        }
        if (ids) ids[i] = entry->id;
    }
    const char *near = ids ? nas_nearest(id, ids, n) : NULL;
    nas_fail(err, NAS_ERR_INPUT, "unknown plugin \"%.60s\"; %s%s%s", id,
             near ? "did you mean \"" : "`nashost plugins list` shows those that there are",
             near ? near : "", near ? "\"?" : "");
    free(ids);
    return NULL;
}

static void print_option(const nas_option *o) {
    char expected[500];
    nas_option_expected(o, expected, sizeof expected);
    if (!o->fallback)
        printf("  %s (%s, required)\n", o->name, nas_type_name(o->type));
    else if (strcmp(o->fallback, "null") == 0)
        printf("  %s (%s, may be left out)\n", o->name, nas_type_name(o->type));
    else
        printf("  %s (%s, default %s)\n", o->name, nas_type_name(o->type), o->fallback);
    printf("      %s\n      expects %s\n", o->help, expected);
}

static void print_text(const nas_plugin *plugin, const char *path) {
    printf("%s %s: %s\n\n", plugin->id, plugin->version, plugin->summary);
    printf("  kind     %s\n  license  %s\n  source   %s\n  file     %s\n  ABI      %u.%u\n",
           nas_kind_name((nas_kind)plugin->kind), plugin->license, plugin->source, path,
           plugin->abi_major, plugin->abi_minor);
    puts("\noptions:");
    size_t n = 0;
    for (; plugin->options; n++) {
        const nas_option *o = nas_option_at(plugin->options, plugin->option_size, n);
        if (!o->name) break;
        print_option(o);
    }
    if (!n) puts("  none");
}

/* Adds the range of a number; JSON has no infinity, so an open end is left out. */
static int add_range(json_t *json, const nas_option *o) {
    int failed = 0;
    if ((o->type != NAS_TYPE_INT && o->type != NAS_TYPE_FLOAT) || (o->min == 0 && o->max == 0))
        return 0;
    if (isfinite(o->min)) failed |= json_object_set_new(json, "min", json_real(o->min));
    if (isfinite(o->max)) failed |= json_object_set_new(json, "max", json_real(o->max));
    return failed;
}

static int add_choices(json_t *json, const nas_option *o) {
    if (o->type != NAS_TYPE_ENUM && (o->type != NAS_TYPE_INT || !o->choices)) return 0;
    json_t *choices = json_array();
    int failed = json_object_set_new(json, "choices", choices);
    for (size_t i = 0; !failed && o->choices[i]; i++)
        failed = json_array_append_new(choices, json_string(o->choices[i]));
    return failed;
}

static json_t *option_json(const nas_option *o) {
    json_t *fallback = nas_option_default(o);
    json_t *json = json_pack("{s:s, s:s, s:b, s:o*, s:s*, s:s}", "name", o->name, "type",
                             nas_type_name(o->type), "required", !o->fallback, "default", fallback,
                             "unit", o->unit, "help", o->help);
    if (o->fallback && !fallback) { /* no memory: it was parsed when the plugin was loaded */
        json_decref(json);
        return NULL;
    }
    if (json && (add_range(json, o) || add_choices(json, o))) {
        json_decref(json);
        json = NULL;
    }
    return json;
}

static json_t *options_json(const nas_plugin *plugin) {
    json_t *list = json_array();
    for (size_t i = 0; list && plugin->options; i++) {
        const nas_option *o = nas_option_at(plugin->options, plugin->option_size, i);
        if (!o->name) break;
        if (json_array_append_new(list, option_json(o))) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *plugin_json(const nas_plugin *plugin, const char *path) {
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:[i, i], s:o}", "id", plugin->id, "kind",
                     nas_kind_name((nas_kind)plugin->kind), "version", plugin->version, "summary",
                     plugin->summary, "license", plugin->license, "source", plugin->source, "path",
                     path, "abi", plugin->abi_major, plugin->abi_minor, "options",
                     options_json(plugin));
}

static int describe(const nas_args *args, nas_error *err) {
    nas_session session;
    const nas_plugin *plugin = NULL;
    const nas_manifest_entry *entry = NULL;
    int rc = nas_session_open(args, true, &session, err);
    if (!rc) {
        entry = find(session.registry, args->positional, err);
        rc = entry ? nas_registry_load(session.registry, entry->kind, entry->id, &plugin, err)
                   : NAS_ERR_INPUT;
    }
    if (!rc && args->json && nas_cli_print_json(plugin_json(plugin, entry->path)))
        rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    if (!rc && !args->json) print_text(plugin, entry->path);
    nas_session_close(&session);
    return rc;
}

int nas_cli_plugins_describe(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "plugins describe", .operands = "ID", .flags = NAS_FLAG_PLUGINS, .run = describe};
    return nas_cli_subcommand(&command, argc, argv);
}
