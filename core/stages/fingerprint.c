#include "stages/fingerprint.h"

#include "base/file.h"
#include "base/json.h"
#include "base/version.h"
#include "nn/kernels.h"
#include "run/data_file.h"

#include <inttypes.h>
#include <nashost/kit/dataset_files.h>
#include <stdlib.h>
#include <string.h>

/* ---- Making it ---- */

/* {"version", "file": a hash of it} of a program or plugin. */
static int file_json(const char *version, const char *path, json_t **json, nas_error *err) {
    char *data = NULL, hash[24];
    size_t bytes = 0;
    int rc = nas_file_read(path, SIZE_MAX - 1, &data, &bytes, err);
    if (rc) return rc;
    snprintf(hash, sizeof hash, "%016" PRIx64, nas_hash(NAS_HASH_START, data, bytes));
    free(data);
    *json = json_pack("{s:s, s:s}", "version", version, "file", hash);
    return *json ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory for a fingerprint");
}

static int program_json(json_t **json, nas_error *err) {
    char *path = realpath("/proc/self/exe", NULL);
    int rc = path ? file_json(NASHOST_VERSION, path, json, err)
                  : nas_fail(err, NAS_ERR_IO, "this program's file cannot be found");
    free(path);
    return rc;
}

static int add_plugin(const nas_context *context, const nas_instance *instance, json_t **plugins,
                      nas_error *err) {
    const nas_registry *registry = context->request->registry;
    const nas_plugin *plugin = instance->plugin;
    if (!plugin || json_object_get(*plugins, plugin->id)) return NAS_OK;
    int rc = NAS_OK;
    for (size_t i = 0; i < nas_registry_count(registry) && !rc; i++) {
        const nas_manifest_entry *entry = nas_registry_entry(registry, i);
        json_t *json = NULL;
        if (strcmp(entry->id, plugin->id) != 0) continue;
        rc = file_json(plugin->version, entry->path, &json, err);
        if (!rc) nas_json_put(plugins, plugin->id, json);
    }
    return rc;
}

static int add_plugins(const nas_context *context, const nas_instance *instances, size_t n,
                       json_t **plugins, nas_error *err) {
    int rc = NAS_OK;
    for (size_t i = 0; i < n && !rc; i++) rc = add_plugin(context, &instances[i], plugins, err);
    return rc;
}

static int plugins_json(const nas_context *context, json_t **json, nas_error *err) {
    size_t platforms = context->pipeline->n_platforms;
    *json = json_object();
    int rc = add_plugins(context, &context->dataset, 1, json, err);
    if (!rc) rc = add_plugins(context, &context->ssl, 1, json, err);
    if (!rc) rc = add_plugins(context, &context->score, 1, json, err);
    if (!rc) rc = add_plugins(context, context->hardware, platforms, json, err);
    if (!rc) rc = add_plugins(context, context->search, platforms, json, err);
    if (!rc) rc = add_plugins(context, context->exports, context->pipeline->n_exports, json, err);
    return rc;
}

int nas_fingerprint_text(const nas_context *context, char **text, nas_error *err) {
    json_t *program = NULL, *plugins = NULL, *json = json_object();
    *text = NULL;
    int rc = program_json(&program, err);
    if (!rc) rc = plugins_json(context, &plugins, err);
    nas_json_put(&json, "program", program);
    nas_json_put(&json, "instructions", json_string(nas_kernels_pick()->isa));
    nas_json_put(&json, "plugins", plugins);
    nas_json_put(&json, "pipeline", nas_json_copy(context->pipeline->resolved));
    nas_json_put(&json, "data", nas_data_file_json(&context->source));
    if (!rc) *text = nas_json_text(json, JSON_COMPACT, NULL);
    json_decref(json);
    return rc || *text ? rc : nas_fail(err, NAS_ERR_MEMORY, "out of memory for a fingerprint");
}

/* ---- Comparing ---- */

/* The first place where two values differ, and the values there; NULL: it is missing. */
typedef struct difference {
    char path[300];
    const json_t *mine, *first;
} difference;

static void enter(difference *d, const char *key, const json_t *mine, const json_t *first) {
    size_t used = strlen(d->path);
    snprintf(d->path + used, sizeof d->path - used, "%s%s", used ? "." : "", key);
    d->mine = mine;
    d->first = first;
}

static bool enter_list(difference *d) {
    size_t n = json_array_size(d->mine), m = json_array_size(d->first);
    for (size_t i = 0; i < n || i < m; i++) {
        const json_t *a = json_array_get(d->mine, i), *b = json_array_get(d->first, i);
        char key[24];
        if (json_equal(a, b)) continue;
        snprintf(key, sizeof key, "%zu", i);
        enter(d, key, a, b);
        return true;
    }
    return false;
}

/* A key of the one that has another value in the other. */
static bool enter_object(difference *d, const json_t *keys) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)keys, key, value) {
        const json_t *a = json_object_get(d->mine, key), *b = json_object_get(d->first, key);
        if (json_equal(a, b)) continue;
        enter(d, key, a, b);
        return true;
    }
    return false;
}

static bool descend(difference *d) {
    if (json_is_array(d->mine) && json_is_array(d->first)) return enter_list(d);
    if (!json_is_object(d->mine) || !json_is_object(d->first)) return false;
    return enter_object(d, d->mine) || enter_object(d, d->first);
}

static void show(const json_t *value, char *text, size_t size) {
    char *whole = value ? nas_json_text(value, JSON_COMPACT | JSON_ENCODE_ANY, NULL) : NULL;
    snprintf(text, size, "%.*s", (int)size - 1, whole ? whole : "nothing");
    free(whole);
}

int nas_fingerprint_compare(const char *mine, const char *first, nas_error *err) {
    if (strcmp(mine, first) == 0) return NAS_OK;
    json_t *a = NULL, *b = NULL;
    char here[160], there[160];
    int rc = nas_json_parse(mine, strlen(mine), 0, "fingerprint", &a, err);
    if (!rc) rc = nas_json_parse(first, strlen(first), 0, "rank 0's fingerprint", &b, err);
    if (!rc) {
        difference d = {.mine = a, .first = b};
        while (descend(&d)) continue;
        show(d.mine, here, sizeof here);
        show(d.first, there, sizeof there);
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "%s is %s here, but %s on rank 0; let every rank run the same program, "
                      "plugins and pipeline on the same files and processors",
                      d.path, here, there);
    }
    json_decref(a);
    json_decref(b);
    return rc;
}
