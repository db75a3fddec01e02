#include "host/space_file.h"

#include "base/file.h"
#include "base/json.h"
#include "base/safetensors.h"

#include <dirent.h>
#include <nashost/kit/names.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PRESETS 256

static bool ends_in_json(const char *name) {
    size_t n = strlen(name);
    return n > 5 && strcmp(name + n - 5, ".json") == 0;
}

/* Names of presets in a folder, without ".json". */
typedef struct presets {
    size_t n;
    char *names[MAX_PRESETS];
} presets;

static void list_presets(const char *folder, presets *list) {
    char *path = nas_path_join(folder, "spaces");
    DIR *dir = path ? opendir(path) : NULL;
    struct dirent *entry;
    while (dir && list->n < MAX_PRESETS && (entry = readdir(dir)) != NULL) {
        const char *name = entry->d_name;
        if (ends_in_json(name)) list->names[list->n++] = strndup(name, strlen(name) - 5);
    }
    if (dir) closedir(dir);
    free(path);
}

static int unknown_preset(const char *name, const nas_place *place, const nas_registry *registry,
                          nas_error *err) {
    presets list = {0};
    const char *folder;
    for (size_t i = 0; (folder = nas_registry_folder(registry, i)) != NULL; i++)
        list_presets(folder, &list);
    const char *near = nas_nearest(name, (const char *const *)list.names, list.n);
    int rc = near ? nas_fail_at(place, "space", err,
                                "unknown preset \"%.60s\"; did you mean \"%s\"?", name, near)
                  : nas_fail_at(place, "space", err,
                                "unknown preset \"%.60s\"; expected the name of a file in the "
                                "folder spaces beside plugins.json, a path, or an object",
                                name);
    for (size_t i = 0; i < list.n; i++) free(list.names[i]);
    return rc;
}

/* The file of a preset, or NULL, in *found, which the caller frees. False: no memory. */
static bool find_preset(const char *name, const nas_registry *registry, char **found) {
    const char *folder;
    char *file = NULL;
    bool memory = asprintf(&file, "spaces/%s.json", name) >= 0;
    *found = NULL;
    if (!memory) return false;
    for (size_t i = 0; memory && (folder = nas_registry_folder(registry, i)) != NULL; i++) {
        *found = nas_path_join(folder, file);
        memory = *found != NULL;
        if (memory && nas_file_exists(*found)) break;
        free(*found);
        *found = NULL;
    }
    free(file);
    return memory;
}

static int read_file(const char *path, const nas_place *place, json_t **space, nas_error *err) {
    nas_error why;
    int rc = nas_json_load(path, space, &why);
    if (!rc) return NAS_OK;
    if (rc == NAS_ERR_MEMORY) return nas_fail(err, rc, "%s: %.900s", place->file, why.message);
    return nas_fail_at(place, "space", err, "%s", why.message);
}

int nas_space_find(const json_t *value, const nas_place *place, const nas_registry *registry,
                   json_t **space, char *source, size_t source_size, nas_error *err) {
    char found[100];
    *space = NULL;
    if (json_is_object(value)) {
        snprintf(source, source_size, "%s: space", place->file);
        *space = nas_json_copy(value);
        return *space ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", place->file);
    }
    const char *name = json_string_value(value);
    if (!name)
        return nas_fail_at(place, "space", err,
                           "expected the name of a preset, a path, or an object, found %s",
                           nas_found(value, found, sizeof found));
    bool is_path = strchr(name, '/') || ends_in_json(name);
    char *path = is_path ? nas_path_join(place->folder, name) : NULL;
    if (is_path ? !path : !find_preset(name, registry, &path))
        return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", place->file);
    if (!path) return unknown_preset(name, place, registry, err);
    snprintf(source, source_size, "%s", path);
    int rc = read_file(path, place, space, err);
    free(path);
    return rc;
}

int nas_space_of_weights(const char *path, json_t **space, char *source, size_t source_size,
                         nas_error *err) {
    nas_tensor_file file;
    *space = NULL;
    int rc = nas_tensors_load(path, &file, err);
    if (rc) return rc;
    snprintf(source, source_size, "%s: its space", path);
    json_t *metadata = NULL;
    if (file.metadata)
        rc = nas_json_parse(file.metadata, strlen(file.metadata), 0, path, &metadata, err);
    const char *text = json_string_value(json_object_get(metadata, "space_json"));
    if (text) rc = nas_json_parse(text, strlen(text), 0, source, space, err);
    json_decref(metadata);
    nas_tensors_free(&file);
    if (rc || json_is_object(*space)) return rc;
    json_decref(*space);
    *space = NULL;
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: its metadata tells no space; expected a file as `nashost import` writes "
                    "it. Import it, or give the pipeline a \"space\"",
                    path);
}
