/* Manifests (plugins.json) and the loading of plugins. */
#ifndef NAS_HOST_REGISTRY_H
#define NAS_HOST_REGISTRY_H

#include <jansson.h>
#include <nashost/plugin.h>

/* A line of a manifest: {"plugins": [{"id": "idx", "kind": "dataset", "path":
 * "build/.../idx.so"}]}, the path relative to the manifest's folder. */
typedef struct nas_manifest_entry {
    char id[32];
    nas_kind kind;
    char *path;     /* absolute */
    char *manifest; /* the file that names it */
} nas_manifest_entry;

typedef struct nas_registry nas_registry;

/* Where log lines and random numbers of plugins go; borrowed, must outlive the registry. */
typedef struct nas_services {
    uint64_t seed;
    void (*log)(void *context, nas_level level, const char *message); /* [any] */
    void *context;
} nas_services;

/* Reads manifests in order. An id that two manifests name is an error that names both. Nothing is
 * loaded yet. [main] */
int nas_registry_open(const char *const *manifests, size_t n, const nas_services *services,
                      nas_registry **registry, nas_error *err);
void nas_registry_close(nas_registry *registry); /* NULL-safe; instances must be destroyed before */

size_t nas_registry_count(const nas_registry *registry);
const nas_manifest_entry *nas_registry_entry(const nas_registry *registry, size_t i);

/* Loads a plugin and compares its descriptor with the manifest, in this order: a regular file, not
 * already loaded under another id, dlopen(RTLD_NOW | RTLD_LOCAL), entry symbol, magic, size, ABI,
 * kind, id, option table, vtable size; and that loading left the floating-point mode, the locale
 * and the signal handlers as they were. Messages name the file, the field, expected and got. An
 * unknown id gets the nearest known one of that kind. [main] */
int nas_registry_load(nas_registry *registry, nas_kind kind, const char *id,
                      const nas_plugin **plugin, nas_error *err);

/* Loads a file without a manifest, making every check but those against the manifest
 * (`nashost plugins check`). [main] */
int nas_plugin_check_file(nas_registry *registry, const char *path, const nas_plugin **plugin,
                          nas_error *err);

/* The vtable sizes, names ... of a kind: "dataset", "ssl", "search", "hardware", "score", "export";
 * 0 / NULL if unknown. */
const char *nas_kind_name(nas_kind kind);
nas_kind nas_kind_from_name(const char *name);

/* An instance: a plugin, its configuration and its self. */
typedef struct nas_instance {
    const nas_plugin *plugin;
    void *config;
    json_t *resolved; /* its options with defaults */
    nas_host host;
    void *host_impl;
    void *self;
} nas_instance;

/* Parses options and creates. place tells where they stand in the pipeline. [main] */
struct nas_place;
int nas_instance_create(nas_registry *registry, nas_kind kind, const char *id,
                        const json_t *options, const struct nas_place *place,
                        nas_instance *instance, nas_error *err);

/* The same up to, but without, create: for `nashost validate`. */
int nas_instance_validate(nas_registry *registry, nas_kind kind, const char *id,
                          const json_t *options, const struct nas_place *place, json_t **resolved,
                          nas_error *err);
void nas_instance_destroy(nas_instance *instance); /* NULL-safe, zeroed is fine */

/* The instance's extension table of that id, or NULL. */
const void *nas_instance_extension(const nas_instance *instance, const char *id);

#endif
