#include "run/photos.h"

#include "base/memory.h"

#include <nashost/kit/dataset_files.h>

#include <stdlib.h>
#include <sys/stat.h>

/* ---- Who reads them ---- */

static const nas_photo_api *api_of(const nas_plugin *plugin) {
    return plugin->extension ? plugin->extension(NULL, NAS_EXT_PHOTO) : NULL;
}

const nas_photo_api *nas_photo_of(const nas_instance *dataset) {
    return api_of(dataset->plugin);
}

static int find_reader(nas_registry *registry, const nas_instance *dataset,
                       const nas_photo_api **api, nas_error *err) {
    *api = nas_photo_of(dataset);
    for (size_t i = 0; i < nas_registry_count(registry) && !*api; i++) {
        const nas_manifest_entry *entry = nas_registry_entry(registry, i);
        const nas_plugin *plugin;
        nas_error ignored;
        if (entry->kind != NAS_KIND_DATASET) continue;
        if (nas_registry_load(registry, entry->kind, entry->id, &plugin, &ignored)) continue;
        *api = api_of(plugin);
    }
    if (*api) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "no data set plugin of the manifests reads image files; give the images as a "
                    ".npy file");
}

/* ---- Which they are ---- */

typedef struct listing {
    const nas_photo_api *api;
    nas_photos *photos;
} listing;

static int add(nas_photos *photos, const char *path, nas_error *err) {
    char **paths = realloc(photos->paths, (photos->n + 1) * sizeof *paths);
    if (paths) photos->paths = paths;
    char *copy = paths ? strdup(path) : NULL;
    if (!copy) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for the names of images");
    photos->paths[photos->n++] = copy;
    return NAS_OK;
}

static int list_entry(void *context, const char *name, const char *path, nas_error *err) {
    const listing *l = context;
    struct stat status;
    if (stat(path, &status)) return NAS_OK;
    if (S_ISDIR(status.st_mode)) return nas_each_entry(path, list_entry, context, err);
    return l->api->named(name) ? add(l->photos, path, err) : NAS_OK;
}

static int list(const nas_photo_api *api, const char *input, nas_photos *photos, nas_error *err) {
    listing l = {api, photos};
    struct stat status;
    if (stat(input, &status) || !S_ISDIR(status.st_mode)) return add(photos, input, err);
    int rc = nas_each_entry(input, list_entry, &l, err);
    if (rc || photos->n) return rc;
    return nas_fail(err, NAS_ERR_INPUT, "%s: expected image files in the folder, found none",
                    input);
}

/* ---- Reading ---- */

int nas_photos_read(nas_registry *registry, const nas_instance *dataset, const char *input,
                    uint32_t side, uint32_t channels, nas_photos *photos, nas_error *err) {
    const nas_photo_api *api;
    size_t area = (size_t)side * side * channels;
    *photos = (nas_photos){0};
    int rc = find_reader(registry, dataset, &api, err);
    if (!rc) rc = list(api, input, photos, err);
    if (!rc && !(photos->pixels = nas_alloc(photos->n, area)))
        rc = nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory for %zu images", input, photos->n);
    for (size_t i = 0; i < photos->n && !rc; i++)
        rc = api->read(photos->paths[i], side, channels, photos->pixels + i * area, err);
    if (rc) nas_photos_free(photos);
    return rc;
}

void nas_photos_free(nas_photos *photos) {
    for (size_t i = 0; i < photos->n; i++) free(photos->paths[i]);
    free(photos->paths);
    free(photos->pixels);
    *photos = (nas_photos){0};
}
