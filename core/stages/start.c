#include "stages/start.h"

#include "base/file.h"
#include "host/space_file.h"
#include "stages/candidate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(const nas_start *start, nas_error *err) {
    return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", start->file);
}

static uint64_t smaller(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* ---- Paths ---- */

/* Puts the first manifest's folder for "@HOME@" at the start of every string below json. */
static int fill_home(const nas_start *start, json_t *json, nas_error *err) {
    static const char mark[] = "@HOME@/";
    const char *home = nas_registry_folder(start->registry, 0), *key;
    const char *text = json_string_value(json);
    json_t *inner;
    size_t i;
    int rc = NAS_OK;
    if (text && home && strncmp(text, mark, sizeof mark - 1) == 0) {
        char *path = nas_path_join(home, text + sizeof mark - 1);
        rc = path && json_string_set(json, path) == 0 ? NAS_OK : no_memory(start, err);
        free(path);
        return rc;
    }
    if (json_is_object(json))
        json_object_foreach(json, key, inner) if (!rc) rc = fill_home(start, inner, err);
    json_array_foreach(json, i, inner) if (!rc) rc = fill_home(start, inner, err);
    return rc;
}

/* Makes the paths among the plugin's options relative, where they lie in the pipeline's folder. */
static int shorten(const nas_start *start, const nas_plugin *plugin, json_t *options,
                   nas_error *err) {
    size_t n = strlen(start->folder);
    for (size_t i = 0; plugin->options; i++) {
        const nas_option *option = nas_option_at(plugin->options, plugin->option_size, i);
        if (!option->name) break;
        json_t *value = json_object_get(options, option->name);
        const char *path = json_string_value(value);
        if (option->type != NAS_TYPE_PATH || !path || strncmp(path, start->folder, n) != 0)
            continue;
        if (path[n] && path[n] != '/') continue;
        json_t *rest = json_string(path[n] ? path + n + 1 : ".");
        if (json_object_set_new(options, option->name, rest)) return no_memory(start, err);
    }
    return NAS_OK;
}

/* ---- The data ---- */

static int fill_dataset(const nas_start *start, json_t *pipeline, nas_dataset_info *info,
                        nas_error *err) {
    const nas_place place = {start->file, "dataset.options", start->folder};
    nas_instance dataset;
    int rc = nas_instance_create(start->registry, NAS_KIND_DATASET, start->id, start->options,
                                 &place, &dataset, err);
    if (rc) return rc;
    const nas_dataset_api *api = dataset.plugin->vtable;
    *info = (nas_dataset_info){.size = sizeof *info};
    rc = api->info(dataset.self, info, err);
    info->class_names = NULL;
    json_t *options = json_deep_copy(start->options);
    if (!rc) rc = options ? shorten(start, dataset.plugin, options, err) : no_memory(start, err);
    json_t *use = json_pack("{s:s, s:O}", "plugin", start->id, "options", options);
    if (!rc && json_object_set(pipeline, "dataset", use)) rc = no_memory(start, err);
    json_decref(use);
    json_decref(options);
    nas_instance_destroy(&dataset);
    return rc;
}

static int put_count(const nas_start *start, json_t *pipeline, const char *section, const char *key,
                     uint64_t count, nas_error *err) {
    json_t *object = json_object_get(pipeline, section);
    json_t *value = json_integer((json_int_t)(count ? count : 1));
    return json_object_set_new(object, key, value) ? no_memory(start, err) : NAS_OK;
}

static int fill_split(const nas_start *start, json_t *pipeline, const nas_dataset_info *info,
                      nas_error *err) {
    uint64_t n = info->count[NAS_SPLIT_TRAIN], classes = info->classes;
    uint64_t each = smaller(25, n / 4 / classes);
    int rc = put_count(start, pipeline, "split", "labelled", (each ? each : 1) * classes, err);
    if (!rc) rc = put_count(start, pipeline, "split", "heldout", smaller(2000, n / 10), err);
    if (!rc)
        rc = put_count(start, pipeline, "search", "calibration_images", smaller(1024, n / 2), err);
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
static int resize_space(const nas_start *start, json_t *space, uint32_t side, nas_error *err) {
    bool large = side >= 48;
    json_t *sizes = large ? json_pack("[I, I]", (json_int_t)(side / 16 * 12), (json_int_t)side)
                          : json_pack("[I]", (json_int_t)side);
    int failed = json_object_set_new(space, "resolution", sizes);
    failed |= json_object_set_new(space, "name", json_sprintf("start-%u", side));
    json_t *stem = json_object_get(space, "stem");
    if (large) failed |= json_object_set_new(stem, "stride", json_integer(2));
    return failed ? no_memory(start, err) : NAS_OK;
}

static int fill_space(const nas_start *start, json_t *pipeline, const nas_dataset_info *info,
                      nas_space *parsed, nas_error *err) {
    const nas_place place = {start->file, "", start->folder};
    char source[1024];
    json_t *space;
    uint32_t side = info->height < info->width ? info->height : info->width;
    int rc = nas_space_find(json_object_get(pipeline, "space"), &place, start->registry, &space,
                            source, sizeof source, err);
    if (rc) return rc;
    side = side < 8 ? 8 : side > 128 ? 128 : side / 4 * 4;
    bool kept = has_resolution(space, side);
    if (!kept) rc = resize_space(start, space, side, err);
    if (!rc) rc = nas_space_parse(space, source, info->channels, info->classes, parsed, err);
    if (!rc && !kept && json_object_set(pipeline, "space", space)) rc = no_memory(start, err);
    json_decref(space);
    return rc;
}

/* ---- The platforms ---- */

static int fill_platform(const nas_start *start, const nas_space *space, json_t *platform,
                         nas_error *err) {
    const nas_constraints none = {.latency_ms = NAN, .energy_mj = NAN};
    const nas_place place = {start->file, "platforms.hardware.options", start->folder};
    const json_t *use = json_object_get(platform, "hardware");
    const char *id = json_string_value(json_object_get(use, "plugin"));
    const nas_genome genomes[2] = {nas_genome_smallest(space), nas_genome_largest(space)};
    nas_candidate found[2];
    nas_instance hardware;
    int rc = nas_instance_create(start->registry, NAS_KIND_HARDWARE, id ? id : "",
                                 json_object_get(use, "options"), &place, &hardware, err);
    if (rc) return rc;
    for (int i = 0; i < 2 && !rc; i++) {
        rc = nas_candidate_cost(space, &genomes[i], hardware.plugin->vtable, hardware.self, &none,
                                &found[i], err);
        if (rc == NAS_ERR_INFEASIBLE) rc = NAS_OK; /* its cost is told all the same */
    }
    nas_instance_destroy(&hardware);
    double limit = rc ? NAN : sqrt(found[0].cost.latency_ms * found[1].cost.latency_ms);
    if (rc || !(limit > 0) || !isfinite(limit)) return rc;
    char text[32];
    snprintf(text, sizeof text, "%.2g", limit); /* two digits */
    json_t *constraints = json_pack("{s:f}", "latency_ms", strtod(text, NULL));
    return json_object_set_new(platform, "constraints", constraints) ? no_memory(start, err)
                                                                     : NAS_OK;
}

int nas_start_fill(const nas_start *start, json_t *pipeline, nas_dataset_info *info,
                   nas_error *err) {
    json_t *platforms = json_object_get(pipeline, "platforms");
    nas_space space;
    int rc = fill_home(start, pipeline, err);
    if (!rc) rc = fill_dataset(start, pipeline, info, err);
    if (!rc) rc = fill_split(start, pipeline, info, err);
    if (!rc) rc = fill_space(start, pipeline, info, &space, err);
    for (size_t i = 0; i < json_array_size(platforms) && !rc; i++)
        rc = fill_platform(start, &space, json_array_get(platforms, i), err);
    return rc;
}
