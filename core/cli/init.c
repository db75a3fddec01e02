#include "base/embedded.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/cli.h"
#include "data/source.h"
#include "host/call.h"
#include "host/guarded.h"
#include "host/schema.h"
#include "host/space_file.h"
#include "run/candidate.h"

#include <math.h>
#include <nashost/dataset.h>
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

/* ---- A first pipeline ---- */

/* Everything is borrowed. */
typedef struct first_draft {
    nas_registry *registry;
    const char *file;      /* the pipeline that is to be, for messages */
    const char *folder;    /* its absolute folder; a path in it is written relative to it */
    const char *id;        /* of the data set plugin */
    const json_t *options; /* its options, with absolute paths */
} first_draft;

static int no_room(const first_draft *draft, nas_error *err) {
    return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", draft->file);
}

static uint64_t smaller(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* ---- Paths ---- */

/* Puts the first manifest's folder for "@HOME@" at the start of every string below json. */
static int fill_home(const first_draft *draft, json_t *json, nas_error *err) {
    static const char mark[] = "@HOME@/";
    const char *home = nas_registry_folder(draft->registry, 0), *key;
    const char *text = json_string_value(json);
    json_t *inner;
    size_t i;
    int rc = NAS_OK;
    if (text && home && strncmp(text, mark, sizeof mark - 1) == 0) {
        char *path = nas_path_join(home, text + sizeof mark - 1);
        rc = path && json_string_set(json, path) == 0 ? NAS_OK : no_room(draft, err);
        free(path);
        return rc;
    }
    if (json_is_object(json))
        json_object_foreach(json, key, inner) if (!rc) rc = fill_home(draft, inner, err);
    json_array_foreach(json, i, inner) if (!rc) rc = fill_home(draft, inner, err);
    return rc;
}

/* Makes the paths among the plugin's options relative, where they lie in the pipeline's folder. */
static int shorten(const first_draft *draft, const nas_plugin *plugin, json_t *options,
                   nas_error *err) {
    size_t n = strlen(draft->folder);
    for (size_t i = 0; plugin->options; i++) {
        const nas_option *option = nas_option_at(plugin->options, plugin->option_size, i);
        if (!option->name) break;
        json_t *value = json_object_get(options, option->name);
        const char *path = json_string_value(value);
        if (option->type != NAS_TYPE_PATH || !path || strncmp(path, draft->folder, n) != 0)
            continue;
        if (path[n] && path[n] != '/') continue;
        json_t *rest = json_string(path[n] ? path + n + 1 : ".");
        if (json_object_set_new(options, option->name, rest)) return no_room(draft, err);
    }
    return NAS_OK;
}

/* ---- The data ---- */

static int fill_dataset(const first_draft *draft, json_t *pipeline, nas_dataset_info *info,
                        nas_error *err) {
    const nas_place place = {draft->file, "dataset.options", draft->folder};
    nas_instance dataset;
    int rc = nas_instance_create(draft->registry, NAS_KIND_DATASET, draft->id, draft->options,
                                 &place, &dataset, err);
    if (rc) return rc;
    *info = (nas_dataset_info){.size = sizeof *info};
    rc = nas_guarded_dataset.info(nas_guarded(&dataset), info, err);
    if (!rc) rc = nas_source_check(info, err);
    info->class_names = NULL;
    json_t *options = nas_json_copy(draft->options);
    if (!rc) rc = options ? shorten(draft, dataset.plugin, options, err) : no_room(draft, err);
    json_t *use = json_pack("{s:s, s:O}", "plugin", draft->id, "options", options);
    if (!rc && json_object_set(pipeline, "dataset", use)) rc = no_room(draft, err);
    json_decref(use);
    json_decref(options);
    nas_instance_destroy(&dataset);
    return rc;
}

static int put_count(const first_draft *draft, json_t *pipeline, const char *section,
                     const char *key, uint64_t count, nas_error *err) {
    json_t *object = json_object_get(pipeline, section);
    json_t *value = json_integer((json_int_t)(count ? count : 1));
    return json_object_set_new(object, key, value) ? no_room(draft, err) : NAS_OK;
}

/* Which images are held out: what a search scores subnets by, so that few of them mislead it. */
typedef struct first_split {
    uint64_t heldout, labelled;
    bool of_unlabelled;
} first_split;

/* From the unlabelled images at least 1,000, or half of them, unless a tenth of the training images
 * is far more. */
static first_split split_of(const nas_dataset_info *info) {
    uint64_t n = info->count[NAS_SPLIT_TRAIN], extra = info->count[NAS_SPLIT_EXTRA];
    uint64_t train = smaller(2000, n / 10 ? n / 10 : 1), tenth = smaller(2000, extra / 10);
    uint64_t unlabelled = extra < 1000 ? extra / 2 : tenth < 1000 ? 1000 : tenth;
    if (unlabelled && 2 * unlabelled >= train) return (first_split){unlabelled, n, true};
    return (first_split){train, n - train, false};
}

static int fill_split(const first_draft *draft, json_t *pipeline, const nas_dataset_info *info,
                      nas_error *err) {
    first_split split = split_of(info);
    json_t *object = json_object_get(pipeline, "split");
    if (json_object_set_new(object, "labelled", json_string("all"))) return no_room(draft, err);
    int rc = put_count(draft, pipeline, "split", "heldout", split.heldout, err);
    if (!rc)
        rc = put_count(draft, pipeline, "search", "calibration_images",
                       smaller(1024, split.labelled / 2), err);
    return rc;
}

/* ---- The space ---- */

static bool has_resolution(const json_t *space, uint32_t side) {
    const json_t *list = json_object_get(space, "resolution");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_integer_value(json_array_get(list, i)) == (json_int_t)side) return true;
    return json_integer_value(list) == (json_int_t)side;
}

/* Fits a space to images of a side. */
static int resize_space(const first_draft *draft, json_t *space, uint32_t side, nas_error *err) {
    bool large = side >= 48;
    json_t *sizes = large ? json_pack("[I, I]", (json_int_t)(side / 16 * 12), (json_int_t)side)
                          : json_pack("[I]", (json_int_t)side);
    int failed = json_object_set_new(space, "resolution", sizes);
    failed |= json_object_set_new(space, "name", json_sprintf("start-%u", side));
    json_t *stem = json_object_get(space, "stem");
    if (large) failed |= json_object_set_new(stem, "stride", json_integer(2));
    return failed ? no_room(draft, err) : NAS_OK;
}

static int fill_space(const first_draft *draft, json_t *pipeline, const nas_dataset_info *info,
                      nas_space *parsed, nas_error *err) {
    const nas_place place = {draft->file, "", draft->folder};
    char source[1024];
    json_t *space;
    uint32_t side = info->height < info->width ? info->height : info->width;
    int rc = nas_space_find(json_object_get(pipeline, "space"), &place, draft->registry, &space,
                            source, sizeof source, err);
    if (rc) return rc;
    side = side < 8 ? 8 : side > 128 ? 128 : side / 4 * 4;
    bool kept = has_resolution(space, side);
    if (!kept) rc = resize_space(draft, space, side, err);
    if (!rc) rc = nas_space_parse(space, source, info->channels, info->classes, parsed, err);
    if (!rc && !kept && json_object_set(pipeline, "space", space)) rc = no_room(draft, err);
    json_decref(space);
    return rc;
}

/* ---- The platforms ---- */

static int fill_platform(const first_draft *draft, const nas_space *space, json_t *platform,
                         nas_error *err) {
    const nas_constraints none = {.latency_ms = NAN, .energy_mj = NAN};
    const nas_place place = {draft->file, "platforms.hardware.options", draft->folder};
    const json_t *use = json_object_get(platform, "hardware");
    const char *id = json_string_value(json_object_get(use, "plugin"));
    const nas_genome genomes[2] = {nas_genome_smallest(space), nas_genome_largest(space)};
    nas_candidate found[2];
    nas_instance hardware;
    int rc = nas_instance_create(draft->registry, NAS_KIND_HARDWARE, id ? id : "",
                                 json_object_get(use, "options"), &place, &hardware, err);
    if (rc) return rc;
    for (int i = 0; i < 2 && !rc; i++) {
        rc = nas_candidate_cost(space, &genomes[i], &nas_guarded_hardware, nas_guarded(&hardware),
                                &none, &found[i], err);
        if (rc == NAS_ERR_INFEASIBLE) rc = NAS_OK; /* its cost is told all the same */
    }
    nas_instance_destroy(&hardware);
    double limit = rc ? NAN : sqrt(found[0].cost.latency_ms * found[1].cost.latency_ms);
    if (rc || !(limit > 0) || !isfinite(limit)) return rc;
    char text[32];
    snprintf(text, sizeof text, "%.2g", limit); /* two digits */
    json_t *constraints = json_pack("{s:f}", "latency_ms", strtod(text, NULL));
    return json_object_set_new(platform, "constraints", constraints) ? no_room(draft, err) : NAS_OK;
}

/* Fills a pipeline, of which a template tells all that does not depend on the data:
 *  - dataset, with the options that are given;
 *  - split: every label; held-out images of the unlabelled ones, or a tenth of the training images,
 * at most 2000;
 *  - space: the template's, at the images' size if it does not have that; a stem of stride 2 from
 * 48 pixels on;
 *  - search.calibration_images: at most half of the images;
 *  - for each platform latency_ms, the geometric mean of the smallest and the largest subnet's,
 * where the hardware plugin tells both;
 *  - "@HOME@" in strings: the folder of the first manifest.
 * Opens the data set; *info gets what it says (class_names NULL). */
static int fill_draft(const first_draft *draft, json_t *pipeline, nas_dataset_info *info,
                      nas_error *err) {
    json_t *platforms = json_object_get(pipeline, "platforms");
    nas_space space;
    int rc = fill_home(draft, pipeline, err);
    if (!rc) rc = fill_dataset(draft, pipeline, info, err);
    if (!rc) rc = fill_split(draft, pipeline, info, err);
    if (!rc) rc = fill_space(draft, pipeline, info, &space, err);
    for (size_t i = 0; i < json_array_size(platforms) && !rc; i++)
        rc = fill_platform(draft, &space, json_array_get(platforms, i), err);
    return rc;
}

/* ---- The files ---- */

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
    const nas_instance no_self = {.plugin = plugin};
    const nas_recognise_api *api = nas_instance_extension(&no_self, NAS_EXT_RECOGNISE);
    if (!api) return NAS_OK;
    nas_call call;
    nas_call_begin(&call, &no_self, "look");
    int rc = nas_call_end(&call, api->look(j->folder, found, &call.err), err);
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
    const char *paths[] = {j->folder, j->out_folder, j->out}, *files[] = {j->out, j->schema};
    char shown[300];
    for (size_t i = 0; i < 3; i++)
        if (!nas_text_valid(paths[i]))
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s is not UTF-8 (each other byte as \\xHH); rename it",
                            nas_text_escaped(paths[i], shown, sizeof shown));
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
    const char *template = nas_embedded_text("templates/pipeline.json"), *text = j->found->options;
    json_t *pipeline, *options = NULL;
    nas_error why = {0};
    int rc = nas_json_parse(template, strlen(template), 0, "the template", &pipeline, err);
    int bad = rc ? NAS_OK : nas_json_parse(text, strlen(text), 0, "them", &options, &why);
    const first_draft draft = {j->registry, j->out, j->out_folder, j->id, options};
    if (bad)
        rc = nas_fail(err, bad == NAS_ERR_MEMORY ? bad : NAS_ERR_PLUGIN,
                      "plugin \"%s\" gives options that are no JSON: %.200s", j->id, why.message);
    if (!rc) rc = fill_draft(&draft, pipeline, &j->info, err);
    if (!rc) rc = write_files(j, pipeline, err);
    json_decref(options);
    json_decref(pipeline);
    return rc;
}

static void tell_split(const nas_dataset_info *info, const first_split *split) {
    unsigned long long labelled = split->labelled, heldout = split->heldout;
    unsigned long long extra = info->count[NAS_SPLIT_EXTRA];
    if (split->of_unlabelled)
        printf("it trains on all %llu labels; of the %llu unlabelled images %llu are held out, to "
               "score subnets by\n",
               labelled, extra, heldout);
    else
        printf("it trains on %llu labels; %llu more images are held out, to score subnets by%s\n",
               labelled, heldout, extra ? "" : ", as there are no unlabelled ones");
}

static int tell(const job *j) {
    const nas_dataset_info *info = &j->info;
    unsigned long long n = info->count[NAS_SPLIT_TRAIN];
    if (j->args->quiet) return NAS_EXIT_OK;
    first_split split = split_of(info);
    const char *source = split.of_unlabelled ? "unlabelled" : "train";
    if (j->args->json)
        return nas_cli_print_json(json_pack(
            "{s:o, s:o, s:s, s:o, s:I, s:I, s:I, s:s}", "pipeline", nas_text_json(j->out), "schema",
            nas_text_json(j->schema), "dataset", j->id, "note", nas_text_json(j->found->note),
            "train_images", (json_int_t)n, "labelled", (json_int_t)split.labelled, "heldout",
            (json_int_t)split.heldout, "heldout_from", source));
    printf("%s: data set %s, %llu training images %ux%ux%u, %u classes\n", j->out, j->id, n,
           info->height, info->width, info->channels, info->classes);
    if (*j->found->note) printf("%s\n", j->found->note);
    tell_split(info, &split);
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
