#include "host/registry.h"

#include "base/file.h"
#include "base/json.h"
#include "host/options.h"
#include "host/plugin_file.h"

#include <nashost/kit/names.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A manifest that was read, for finding one that is listed twice. */
typedef struct manifest {
    char *folder;
    dev_t device;
    ino_t inode;
} manifest;

/* What became of an entry. */
typedef struct slot {
    const nas_plugin *plugin; /* NULL: not loaded */
    dev_t device;
    ino_t inode;
} slot;

struct nas_registry {
    const nas_services *services;
    size_t n, n_manifests;
    nas_manifest_entry *entries; /* [n] */
    slot *slots;                 /* [n] */
    manifest *manifests;         /* [n_manifests] */
};

static const char *const kind_names[] = {"dataset", "ssl",    "search",  "hardware", "score",
                                         "export",  "import", "cluster", NULL};

/* A manifest's line as the option table reads it. */
typedef struct line {
    const char *id, *path;
    int kind;
    bool optional;
} line;

static const nas_option line_options[] = {
    NAS_STRING("id", line, id, NULL,
               "id that the plugin's own description gives, by which pipelines name it"),
    NAS_ENUM("kind", line, kind, NULL, kind_names,
             "kind of the plugin, which its own description must give as well"),
    NAS_PATH("path", line, path, NULL,
             "path of the plugin's shared object, relative to the manifest's folder"),
    NAS_BOOL("optional", line, optional, "false",
             "the plugin counts as not listed where its shared object is not there"),
    {0},
};

static int no_memory(nas_error *err, const char *file) {
    return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", file);
}

static const nas_manifest_entry *find(const nas_registry *registry, const char *id) {
    for (size_t i = 0; i < registry->n; i++)
        if (strcmp(registry->entries[i].id, id) == 0) return &registry->entries[i];
    return NULL;
}

static int add_line(nas_registry *registry, const nas_place *place, const line *read,
                    nas_error *err) {
    if (!nas_id_valid(read->id))
        return nas_fail_at(place, "id", err,
                           "expected [a-z][a-z0-9_-]* of at most 31 characters, found \"%.60s\"",
                           read->id);
    const nas_manifest_entry *other = find(registry, read->id);
    if (other)
        return nas_fail_at(place, "id", err, "\"%s\" is named by %s already; give one another id",
                           read->id, other->manifest);
    size_t bytes = (registry->n + 1) * sizeof *registry->entries;
    nas_manifest_entry *entries = realloc(registry->entries, bytes);
    if (!entries) return no_memory(err, place->file);
    registry->entries = entries;
    nas_manifest_entry *entry = &entries[registry->n];
    *entry = (nas_manifest_entry){.kind = nas_kind_from_name(kind_names[read->kind]),
                                  .path = strdup(read->path),
                                  .manifest = strdup(place->file)};
    snprintf(entry->id, sizeof entry->id, "%s", read->id);
    registry->n++; /* so that close frees it whatever comes */
    return entry->path && entry->manifest ? NAS_OK : no_memory(err, place->file);
}

static int read_line(nas_registry *registry, const nas_place *place, const json_t *json,
                     nas_error *err) {
    line read;
    json_t *resolved;
    int rc = nas_options_parse(line_options, sizeof *line_options, json, NULL, place, &read,
                               &resolved, err);
    if (!rc && !(read.optional && !nas_file_exists(read.path)))
        rc = add_line(registry, place, &read, err);
    json_decref(resolved);
    return rc;
}

static int read_lines(nas_registry *registry, const nas_place *root, const json_t *json,
                      nas_error *err) {
    static const char *const keys[] = {"plugins", "$schema"};
    char found[100];
    if (!json_is_object(json))
        return nas_fail_at(root, NULL, err, "expected an object, found %s",
                           nas_found(json, found, sizeof found));
    int rc = nas_check_keys(root, json, keys, 2, err);
    if (rc) return rc;
    const json_t *lines = json_object_get(json, "plugins");
    if (!json_is_array(lines))
        return nas_fail_at(root, "plugins", err, "expected an array, found %s",
                           nas_found(lines, found, sizeof found));
    for (size_t i = 0; i < json_array_size(lines) && !rc; i++) {
        char path[40];
        snprintf(path, sizeof path, "plugins[%zu]", i);
        nas_place place = {root->file, path, root->folder};
        rc = read_line(registry, &place, json_array_get(lines, i), err);
    }
    return rc;
}

static bool read_before(const nas_registry *registry, const struct stat *status) {
    for (size_t i = 0; i < registry->n_manifests; i++)
        if (registry->manifests[i].device == status->st_dev &&
            registry->manifests[i].inode == status->st_ino)
            return true;
    return false;
}

/* The absolute folder of a file; NULL: no memory, or no such folder. */
static char *absolute_folder(const char *file) {
    char *folder = nas_path_folder(file);
    char *absolute = folder ? realpath(folder, NULL) : NULL;
    free(folder);
    return absolute;
}

static int read_manifest(nas_registry *registry, const char *file, nas_error *err) {
    struct stat status = {0};
    json_t *json;
    int rc = nas_json_load(file, &json, err);
    if (rc == NAS_ERR_IO) /* a name that the user mistyped, most likely */
        return err ? err->code = NAS_ERR_INPUT : NAS_ERR_INPUT;
    if (rc) return rc;
    if (stat(file, &status) == 0 && read_before(registry, &status)) {
        json_decref(json);
        return NAS_OK;
    }
    manifest *m = &registry->manifests[registry->n_manifests++];
    *m = (manifest){absolute_folder(file), status.st_dev, status.st_ino};
    nas_place root = {file, "", m->folder};
    rc = m->folder ? read_lines(registry, &root, json, err) : no_memory(err, file);
    json_decref(json);
    return rc;
}

int nas_registry_open(const char *const *manifests, size_t n, const nas_services *services,
                      nas_registry **registry, nas_error *err) {
    *registry = NULL;
    nas_registry *made = calloc(1, sizeof *made);
    manifest *read = calloc(n + 1, sizeof *read);
    if (!made || !read) {
        free(made);
        free(read);
        return no_memory(err, "plugin manifests");
    }
    *made = (nas_registry){.services = services, .manifests = read};
    int rc = NAS_OK;
    for (size_t i = 0; i < n && !rc; i++) rc = read_manifest(made, manifests[i], err);
    if (!rc) {
        made->slots = calloc(made->n + 1, sizeof *made->slots);
        if (!made->slots) rc = no_memory(err, "plugin manifests");
    }
    if (rc)
        nas_registry_close(made);
    else
        *registry = made;
    return rc;
}

void nas_registry_close(nas_registry *registry) {
    if (!registry) return;
    for (size_t i = 0; i < registry->n; i++) {
        free(registry->entries[i].path);
        free(registry->entries[i].manifest);
    }
    for (size_t i = 0; i < registry->n_manifests; i++) free(registry->manifests[i].folder);
    free(registry->entries);
    free(registry->slots);
    free(registry->manifests);
    free(registry);
}

size_t nas_registry_count(const nas_registry *registry) {
    return registry->n;
}

const nas_manifest_entry *nas_registry_entry(const nas_registry *registry, size_t i) {
    return i < registry->n ? &registry->entries[i] : NULL;
}

const char *nas_registry_folder(const nas_registry *registry, size_t i) {
    return i < registry->n_manifests ? registry->manifests[i].folder : NULL;
}

char *nas_registry_file(const nas_registry *registry, const char *name) {
    for (size_t i = 0; i < registry->n_manifests; i++) {
        char *path = nas_path_join(registry->manifests[i].folder, name);
        if (path && nas_file_exists(path)) return path;
        free(path);
    }
    return NULL;
}

const nas_services *nas_registry_services(const nas_registry *registry) {
    return registry->services;
}

/* Ids of one kind; the nearest to id, or NULL. */
static const char *nearest_id(const nas_registry *registry, nas_kind kind, const char *id) {
    const char **names = calloc(registry->n + 1, sizeof *names);
    if (!names) return NULL;
    for (size_t i = 0; i < registry->n; i++)
        if (registry->entries[i].kind == kind) names[i] = registry->entries[i].id;
    const char *near = nas_nearest(id, names, registry->n);
    free(names);
    return near;
}

static int unknown_id(const nas_registry *registry, nas_kind kind, const char *id,
                      const nas_manifest_entry *other, nas_error *err) {
    const char *name = nas_kind_name(kind);
    if (other)
        return nas_fail(err, NAS_ERR_INPUT, "\"%s\" is a %s plugin; expected a %s plugin", id,
                        nas_kind_name(other->kind), name);
    const char *near = nearest_id(registry, kind, id);
    if (near)
        return nas_fail(err, NAS_ERR_INPUT, "unknown %s plugin \"%.60s\"; did you mean \"%s\"?",
                        name, id, near);
    return nas_fail(err, NAS_ERR_INPUT,
                    "unknown %s plugin \"%.60s\"; `nashost plugins list` shows those that the "
                    "manifests name",
                    name, id);
}

/* One file under two ids would share state that its author believes to be of one plugin. */
static int check_same_file(const nas_registry *registry, const nas_manifest_entry *entry,
                           const struct stat *status, nas_error *err) {
    for (size_t i = 0; i < registry->n; i++) {
        const slot *other = &registry->slots[i];
        if (!other->plugin || other->device != status->st_dev || other->inode != status->st_ino)
            continue;
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "%s: plugin \"%s\": this file is loaded already as plugin \"%s\" (%s); one "
                        "file is one plugin",
                        entry->path, entry->id, registry->entries[i].id,
                        registry->entries[i].manifest);
    }
    return NAS_OK;
}

static int load(nas_registry *registry, const nas_manifest_entry *entry, nas_error *err) {
    slot *mine = &registry->slots[entry - registry->entries];
    struct stat status = {0};
    char *real = realpath(entry->path, NULL);
    int rc = NAS_OK;
    if (real && stat(real, &status) == 0) rc = check_same_file(registry, entry, &status, err);
    const nas_expected expected = {entry->kind, entry->id, entry->manifest};
    const nas_services *services = registry->services;
    bool told = services && services->calling;
    if (told) services->calling(services->context, entry->id, "nas_plugin_entry");
    if (!rc) rc = nas_plugin_open(real ? real : entry->path, &expected, &mine->plugin, err);
    if (told) services->calling(services->context, entry->id, NULL);
    if (!rc) {
        mine->device = status.st_dev;
        mine->inode = status.st_ino;
    }
    free(real);
    return rc;
}

int nas_registry_load(nas_registry *registry, nas_kind kind, const char *id,
                      const nas_plugin **plugin, nas_error *err) {
    *plugin = NULL;
    const nas_manifest_entry *entry = find(registry, id);
    if (!entry || entry->kind != kind) return unknown_id(registry, kind, id, entry, err);
    const slot *mine = &registry->slots[entry - registry->entries];
    int rc = mine->plugin ? NAS_OK : load(registry, entry, err);
    if (!rc) *plugin = mine->plugin;
    return rc;
}

int nas_plugin_check_file(nas_registry *registry, const char *path, nas_kind kind, const char *id,
                          const nas_plugin **plugin, nas_error *err) {
    *plugin = NULL;
    nas_expected expected = {kind, id, "the command line"};
    char *real = realpath(path, NULL);
    for (size_t i = 0; real && !kind && !id && i < registry->n; i++) {
        const nas_manifest_entry *entry = &registry->entries[i];
        char *named = realpath(entry->path, NULL);
        if (named && strcmp(named, real) == 0)
            expected = (nas_expected){entry->kind, entry->id, entry->manifest};
        free(named);
    }
    int rc = nas_plugin_open(real ? real : path, &expected, plugin, err);
    free(real);
    return rc;
}
