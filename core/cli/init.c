#include "base/embedded.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/cli.h"
#include "host/schema.h"
#include "stages/start.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: nashost init [FOLDER] [options]\n"
    "\n"
    "Looks at a data set's folder (this one, if none is given), and writes a pipeline to start\n"
    "from, and beside it the JSON Schema by which editors explain, complete and check it. "
    "Overwrites\n"
    "nothing.\n"
    "\n"
    "  --out FILE       the pipeline (pipeline.json)\n"
    "  --dataset ID     the data set plugin, where several would read the folder\n"
    "  --plugins FILE   a further manifest of plugins; may be given again\n"
    "  --json           print what was written as JSON\n"
    "  --quiet          print nothing\n";

/* What init is about. */
typedef struct job {
    const nas_args *args;
    nas_registry *registry;
    char *folder;       /* of the data, absolute */
    char *out, *schema; /* the files that are written */
    char *out_folder;   /* absolute */
    char id[32];        /* of the data set plugin */
    nas_recognised *found;
    nas_dataset_info info;
} job;

static int no_memory(nas_error *err) {
    return nas_fail(err, NAS_ERR_MEMORY, "init: out of memory");
}

/* ---- Which plugin ---- */

/* Asks one plugin; found->yes tells. A plugin that cannot be used or does not look is passed over.
 */
static int ask(const job *j, const nas_manifest_entry *entry, nas_recognised *found,
               nas_error *err) {
    const nas_plugin *plugin;
    nas_error ignored;
    *found = (nas_recognised){.size = sizeof *found};
    if (nas_registry_load(j->registry, entry->kind, entry->id, &plugin, &ignored)) return NAS_OK;
    const nas_recognise_api *api =
        plugin->extension ? plugin->extension(NULL, NAS_EXT_RECOGNISE) : NULL;
    if (!api) return NAS_OK;
    int rc = api->look(j->folder, found, err);
    found->options[sizeof found->options - 1] = 0;
    found->note[sizeof found->note - 1] = 0;
    return rc;
}

static int choose(job *j, nas_error *err) {
    const char *wanted = j->args->dataset;
    nas_recognised *found = malloc(sizeof *found);
    char names[200] = "";
    size_t n = 0;
    int rc = found ? NAS_OK : no_memory(err);
    for (size_t i = 0; i < nas_registry_count(j->registry) && !rc; i++) {
        const nas_manifest_entry *entry = nas_registry_entry(j->registry, i);
        bool asked = entry->kind == NAS_KIND_DATASET && (!wanted || !strcmp(wanted, entry->id));
        if (asked) rc = ask(j, entry, found, err);
        if (rc || !asked || !found->yes) continue;
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", n++ ? ", " : "", entry->id);
        snprintf(j->id, sizeof j->id, "%s", entry->id);
        memcpy(j->found, found, sizeof *found);
    }
    free(found);
    if (rc || n == 1) return rc;
    if (n)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: several plugins would read it: %s; choose one with --dataset",
                        j->folder, names);
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: %s%s does not recognise it; expected the folder of a data set as in "
                    "docs/datasets.md",
                    j->folder, wanted ? "data set plugin " : "any data set plugin",
                    wanted ? wanted : "");
}

/* ---- What is written ---- */

static int set_paths(job *j, nas_error *err) {
    const nas_args *args = j->args;
    const char *folder = args->positional ? args->positional : ".";
    j->out = strdup(args->out ? args->out : "pipeline.json");
    if (!j->out) return no_memory(err);
    size_t n = strlen(j->out);
    if (n > 5 && strcmp(j->out + n - 5, ".json") == 0) n -= 5;
    char *schema = NULL;
    j->schema = asprintf(&schema, "%.*s.schema.json", (int)n, j->out) < 0 ? NULL : schema;
    char *out_folder = nas_path_folder(j->out);
    j->out_folder = out_folder ? realpath(out_folder, NULL) : NULL;
    free(out_folder);
    j->folder = realpath(folder, NULL);
    if (!j->schema) return no_memory(err);
    if (!j->folder) return nas_fail(err, NAS_ERR_INPUT, "%s: there is no such folder", folder);
    if (!j->out_folder)
        return nas_fail(err, NAS_ERR_INPUT, "--out %s: there is no such folder", j->out);
    const char *files[] = {j->out, j->schema};
    for (size_t i = 0; i < 2; i++)
        if (nas_file_exists(files[i]))
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s is there already; name another pipeline with --out", files[i]);
    return NAS_OK;
}

static int write_files(const job *j, json_t *pipeline, nas_error *err) {
    json_t *schema = NULL;
    nas_pipeline checked;
    const char *slash = strrchr(j->schema, '/');
    const char *reference = slash ? slash + 1 : j->schema;
    if (json_object_set_new(pipeline, "$schema", json_sprintf("./%s", reference)))
        return no_memory(err);
    int rc = nas_schema(j->registry, &schema, err);
    if (!rc) rc = nas_json_save(j->schema, schema, err);
    if (!rc) rc = nas_json_save(j->out, pipeline, err);
    if (!rc) rc = nas_pipeline_load(j->out, NULL, 0, j->registry, &checked, err);
    if (!rc) nas_pipeline_free(&checked);
    json_decref(schema);
    if (!rc) return NAS_OK;
    unlink(j->out);
    unlink(j->schema);
    return rc;
}

static int make_pipeline(job *j, nas_error *err) {
    json_t *pipeline = json_loads(nas_embedded_text("templates/pipeline.json"), 0, NULL);
    json_error_t why;
    json_t *options = json_loads(j->found->options, JSON_REJECT_DUPLICATES, &why);
    const nas_start start = {j->registry, j->out, j->out_folder, j->id, options};
    int rc = pipeline ? NAS_OK : no_memory(err);
    if (!rc && !options)
        rc = nas_fail(err, NAS_ERR_PLUGIN, "plugin \"%s\" gives options that are no JSON: %.200s",
                      j->id, why.text);
    if (!rc) rc = nas_start_fill(&start, pipeline, &j->info, err);
    if (!rc) rc = write_files(j, pipeline, err);
    json_decref(options);
    json_decref(pipeline);
    return rc;
}

static int tell(const job *j) {
    const nas_dataset_info *info = &j->info;
    unsigned long long n = info->count[NAS_SPLIT_TRAIN];
    if (j->args->quiet) return NAS_EXIT_OK;
    if (j->args->json)
        return nas_cli_print_json(json_pack("{s:s, s:s, s:s, s:s, s:I}", "pipeline", j->out,
                                            "schema", j->schema, "dataset", j->id, "note",
                                            j->found->note, "train_images", (json_int_t)n));
    printf("%s: data set %s, %llu training images %ux%ux%u, %u classes\n", j->out, j->id, n,
           info->height, info->width, info->channels, info->classes);
    if (*j->found->note) printf("%s\n", j->found->note);
    printf("%s explains every key to your editor; then: nashost run %s --dry-run\n", j->schema,
           j->out);
    return NAS_EXIT_OK;
}

static int init(const nas_args *args, nas_error *err) {
    nas_session session = {0};
    job j = {.args = args, .found = calloc(1, sizeof *j.found)};
    int rc = j.found ? set_paths(&j, err) : no_memory(err);
    if (!rc) rc = nas_session_open(args, true, &session, err);
    j.registry = session.registry;
    if (!rc) rc = choose(&j, err);
    if (!rc) rc = make_pipeline(&j, err);
    if (!rc && tell(&j)) rc = no_memory(err);
    nas_session_close(&session);
    free(j.folder);
    free(j.out);
    free(j.schema);
    free(j.out_folder);
    free(j.found);
    return rc;
}

int nas_cli_init(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "init",
        .operands = "[FOLDER]",
        .flags = NAS_FLAG_OUT | NAS_FLAG_DATASET | NAS_FLAG_PLUGINS | NAS_FLAG_QUIET,
        .help = help,
        .run = init,
    };
    return nas_cli_subcommand(&command, argc, argv);
}
