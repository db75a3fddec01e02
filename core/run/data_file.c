#include "run/data_file.h"

#include "base/file.h"
#include "base/json.h"
#include "host/guarded.h"

#include <inttypes.h>
#include <nashost/kit/dataset_files.h>
#include <string.h>

static const char *const names[NAS_SPLITS] = {"train", "test", "unlabelled"};

static json_t *hash_json(uint64_t hash) {
    char text[24];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    return json_string(text);
}

/* The same on every machine: labels are taken as 4 bytes, the lowest first. */
static uint64_t hash_labels(const nas_images *images) {
    uint64_t hash = NAS_HASH_START;
    for (uint64_t i = 0; i < images->n; i++) {
        uint32_t label = (uint32_t)images->labels[i];
        const uint8_t bytes[4] = {(uint8_t)label, (uint8_t)(label >> 8), (uint8_t)(label >> 16),
                                  (uint8_t)(label >> 24)};
        hash = nas_hash(hash, bytes, sizeof bytes);
    }
    return hash;
}

static json_t *split_json(const nas_source *source, nas_split split) {
    const nas_dataset_api *api = source->api;
    json_t *json = json_object();
    bool told = NAS_HAS(api, fingerprint) && api->fingerprint;
    uint64_t list = told ? api->fingerprint(source->self, split) : NAS_NO_FINGERPRINT;
    nas_json_put(&json, "images", nas_count_json(source->info.count[split]));
    nas_json_put(&json, "list", list == NAS_NO_FINGERPRINT ? json_null() : hash_json(list));
    return json;
}

static json_t *classes_json(const nas_dataset_info *info) {
    if (!info->class_names) return json_null();
    json_t *list = json_array();
    for (uint32_t c = 0; c < info->classes; c++)
        nas_json_add(&list, json_string(info->class_names[c]));
    return list;
}

json_t *nas_data_file_json(const nas_source *source) {
    json_t *json = json_object();
    nas_json_put(&json, "classes", classes_json(&source->info));
    nas_json_put(&json, "labels", hash_json(hash_labels(&source->train)));
    for (int s = 0; s < NAS_SPLITS; s++)
        nas_json_put(&json, names[s], split_json(source, (nas_split)s));
    return json;
}

int nas_data_file_save(const char *path, const nas_source *source, nas_error *err) {
    json_t *json = nas_data_file_json(source);
    int rc = json ? nas_json_save(path, json, err)
                  : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", path);
    json_decref(json);
    return rc;
}

/* ---- Comparing ---- */

#define ADVICE "; put the data back as they were, or train into another directory"

static int compare_classes(const char *path, const json_t *then, const json_t *now,
                           nas_error *err) {
    size_t n = json_array_size(then), m = json_array_size(now);
    if (json_equal(then, now) || !json_is_array(then) || !json_is_array(now)) return NAS_OK;
    for (size_t c = 0; c < n && c < m; c++) {
        const json_t *a = json_array_get(then, c), *b = json_array_get(now, c);
        if (json_equal(a, b)) continue;
        return nas_fail(
            err, NAS_ERR_INPUT,
            "%s: classes: class %zu was \"%.100s\" when the run began, and is \"%.100s\" "
            "in the data set now" ADVICE,
            path, c, json_string_value(a), json_string_value(b));
    }
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: classes: there were %zu when the run began, and the data set has %zu "
                    "now" ADVICE,
                    path, n, m);
}

static int compare_split(const char *path, const json_t *then, const json_t *now, const char *name,
                         nas_error *err) {
    const json_t *a = json_object_get(json_object_get(then, name), "images");
    const json_t *b = json_object_get(json_object_get(now, name), "images");
    if (!json_equal(a, b))
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: %s: there were %lld images when the run began, and the data set has "
                        "%lld now" ADVICE,
                        path, name, (long long)json_integer_value(a),
                        (long long)json_integer_value(b));
    a = json_object_get(json_object_get(then, name), "list");
    b = json_object_get(json_object_get(now, name), "list");
    if (!json_is_string(a) || !json_is_string(b) || json_equal(a, b)) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: %s: the images are not those that the run began with: names, order or "
                    "classes differ" ADVICE,
                    path, name);
}

static int compare(const char *path, const json_t *then, const json_t *now, nas_error *err) {
    int rc = compare_classes(path, json_object_get(then, "classes"),
                             json_object_get(now, "classes"), err);
    for (int s = 0; s < NAS_SPLITS && !rc; s++) rc = compare_split(path, then, now, names[s], err);
    const json_t *a = json_object_get(then, "labels"), *b = json_object_get(now, "labels");
    if (rc || json_equal(a, b)) return rc;
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: labels: the training images have other labels, or another order, than "
                    "when the run began" ADVICE,
                    path);
}

int nas_data_file_check(const char *path, const nas_source *source, nas_error *err) {
    json_t *then = NULL;
    if (!nas_file_exists(path)) return NAS_OK;
    int rc = nas_json_load(path, &then, err);
    if (rc) return rc;
    json_t *now = nas_data_file_json(source);
    rc = now ? compare(path, then, now, err)
             : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", path);
    json_decref(then);
    json_decref(now);
    return rc;
}
