#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: nashost plugins [list] [--kind KIND] [--plugins FILE] [--json]\n"
    "       nashost plugins describe ID [--plugins FILE] [--json]\n"
    "       nashost plugins check FILE [--id ID] [--kind KIND] [--options JSON]\n"
    "                             [--seconds N] [--json]\n"
    "       nashost plugins new KIND NAME [--out DIR] [--json]\n"
    "\n"
    "  list      every plugin that the manifests name; each is loaded, and one that cannot be "
    "used\n"
    "            is shown with the reason\n"
    "  describe  what a plugin is, and its options\n"
    "  check     load one shared object, create an instance, and call each of its functions on a\n"
    "            tiny problem, in a child process: what crashes, hangs or exits is told\n"
    "  new       write a plugin that works, with a test, a Makefile and a pipeline, into a new\n"
    "            folder; KIND is dataset, ssl, search, hardware, score, export,\n"
    "            import or cluster\n"
    "\n"
    "  --plugins FILE   a further manifest of plugins; may be given again\n"
    "  --id, --kind     what check expects; if not given, what a manifest says of the file;\n"
    "                   list shows the plugins of this kind alone\n"
    "  --options JSON   the options that check creates the instance with\n"
    "  --seconds N      what one call may take in check (30)\n"
    "  --out DIR        the folder that new makes (NAME)\n";

static const char *const names[] = {"list", "describe", "check", "new"};
static const nas_command_fn commands[] = {nas_cli_plugins_list, nas_cli_plugins_describe,
                                          nas_cli_plugins_check, nas_cli_plugins_new};

int nas_cli_plugins(int argc, char **argv) {
    nas_error err;
    bool has_command = argc > 1 && argv[1][0] != '-';
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            return NAS_EXIT_OK;
        }
    if (!has_command) return nas_cli_plugins_list(argc, argv);
    int i = nas_args_command(argv[1], names, sizeof names / sizeof *names, "nashost plugins", &err);
    if (i < 0) return nas_cli_fail(&err, nas_args_want_json(argc, argv));
    return commands[i](argc - 1, argv + 1);
}

/* What became of loading one entry. */
typedef struct row {
    const nas_manifest_entry *entry;
    const nas_plugin *plugin; /* NULL: err tells why */
    nas_error err;
} row;

static json_t *row_json(const row *r) {
    const char *kind = nas_kind_name(r->entry->kind);
    if (!r->plugin)
        return json_pack("{s:s, s:s, s:b, s:s, s:s, s:s}", "id", r->entry->id, "kind", kind, "ok",
                         0, "path", r->entry->path, "manifest", r->entry->manifest, "error",
                         r->err.message);
    return json_pack("{s:s, s:s, s:b, s:s, s:s, s:s, s:s}", "id", r->entry->id, "kind", kind, "ok",
                     1, "path", r->entry->path, "manifest", r->entry->manifest, "version",
                     r->plugin->version, "summary", r->plugin->summary);
}

static int print_json(const row *rows, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++) {
        if (json_array_append_new(list, row_json(&rows[i]))) {
            json_decref(list);
            list = NULL;
        }
    }
    return nas_cli_print_json(list ? json_pack("{s:o}", "plugins", list) : NULL);
}

static void print_table(const row *rows, size_t n) {
    printf("%-9s %-16s %-8s %s\n", "KIND", "ID", "VERSION", "SUMMARY");
    for (size_t i = 0; i < n; i++) {
        const row *r = &rows[i];
        const char *kind = nas_kind_name(r->entry->kind);
        if (r->plugin)
            printf("%-9s %-16s %-8s %s\n", kind, r->entry->id, r->plugin->version,
                   r->plugin->summary);
        else
            printf("%-9s %-16s %-8s %s\n", kind, r->entry->id, "BROKEN", r->err.message);
    }
}

static int list(const nas_args *args, nas_registry *registry, nas_error *err) {
    size_t known = nas_registry_count(registry), n = 0, broken = 0;
    nas_kind kind = nas_kind_from_name(args->kind);
    int rc = NAS_OK;
    row *rows = calloc(known + 1, sizeof *rows);
    if (!rows) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < known; i++) {
        row *r = &rows[n];
        r->entry = nas_registry_entry(registry, i);
        if (kind && r->entry->kind != kind) continue;
        n++;
        if (nas_registry_load(registry, r->entry->kind, r->entry->id, &r->plugin, &r->err))
            broken++;
    }
    if (!args->json)
        print_table(rows, n);
    else if (print_json(rows, n))
        rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    free(rows);
    if (!rc && broken)
        rc = nas_fail(err, NAS_ERR_PLUGIN, "%zu of %zu plugins cannot be used", broken, n);
    return rc;
}

int nas_cli_plugins_list(int argc, char **argv) {
    nas_args args;
    nas_error err;
    nas_session session = {0};
    bool json = nas_args_want_json(argc, argv);
    if (nas_args_parse("plugins list", argc, argv, NAS_FLAG_PLUGINS | NAS_FLAG_KIND, NULL, &args,
                       &err))
        return nas_cli_fail(&err, json);
    int status = NAS_EXIT_OK;
    nas_kind kind;
    if (nas_args_kind(&args, &kind, &err) || nas_session_open(&args, true, &session, &err))
        status = nas_cli_fail(&err, json);
    else if (list(&args, session.registry, &err))
        status = nas_cli_fail(&err, false); /* with --json, the list has said it */
    nas_session_close(&session);
    nas_args_free(&args);
    return status;
}
