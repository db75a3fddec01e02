/* Manifests (plugins.json) and the loading of plugins. */
#ifndef NAS_HOST_REGISTRY_H
#define NAS_HOST_REGISTRY_H

#include "host/descriptor.h"

#include <jansson.h>

/* A line of a manifest: {"plugins": [{"id": ID, "kind": "dataset", "path": "build/..."}]}, the path
 * relative to the manifest's folder. With "optional": true the line counts only if the file is
 * there. */
typedef struct nas_manifest_entry {
    char id[32];
    nas_kind kind;
    char *path;     /* absolute */
    char *manifest; /* the file that names it */
} nas_manifest_entry;

typedef struct nas_registry nas_registry;

/* Where plugins' log lines go, where their random numbers come from, and what more they are
 * offered; borrowed, must outlive the registry. */
typedef struct nas_services {
    uint64_t seed;
    void (*log)(void *context, nas_level level, const char *message); /* [any] */
    void *context;
    const void *(*extension)(const char *id); /* nas_host's further services [any]; NULL: none */
    bool allow_commands; /* cost models may start the programs that their options name, and exports
                            be verified */
    /* A plugin's function is called now; function NULL: it has returned. [main] NULL: not told. */
    void (*calling)(void *context, const char *id, const char *function);
} nas_services;

/* Reads manifests in order; one that is listed twice is read once. An id that is named twice is an
 * error that names both manifests. Nothing is loaded yet. [main] */
int nas_registry_open(const char *const *manifests, size_t n, const nas_services *services,
                      nas_registry **registry, nas_error *err);

/* Frees the registry; NULL is allowed. Plugins stay mapped. [main] */
void nas_registry_close(nas_registry *registry);

size_t nas_registry_count(const nas_registry *registry);
const nas_manifest_entry *nas_registry_entry(const nas_registry *registry, size_t i);

/* The absolute folder of manifest i (data that comes with plugins lies beside it), or NULL. */
const char *nas_registry_folder(const nas_registry *registry, size_t i);

/* The path of a file that lies beside a manifest, as "scripts/name"; the caller frees. NULL: beside
 * none, or out of memory. */
char *nas_registry_file(const nas_registry *registry, const char *name);

/* What was given to open. */
const nas_services *nas_registry_services(const nas_registry *registry);

/* Loads a plugin and compares its descriptor with the manifest, in this order: a regular file, not
 * already loaded under another id, a whole ELF shared object, dlopen(RTLD_NOW | RTLD_LOCAL), entry
 * symbol, that loading left the floating-point mode, the locale and the signal handlers as they
 * were, magic, size, ABI, kind, id, option table, vtable. Messages name the file, the field,
 * expected and got; such a failure is NAS_ERR_PLUGIN. An id that no manifest has, or that has
 * another kind, is NAS_ERR_INPUT and gets the nearest known one of that kind. [main] */
int nas_registry_load(nas_registry *registry, nas_kind kind, const char *id,
                      const nas_plugin **plugin, nas_error *err);

/* Loads a file and makes every check (`nashost plugins check`). kind and id are what it should be;
 * 0 and NULL: what a manifest says of this file, or anything if none names it. [main] */
int nas_plugin_check_file(nas_registry *registry, const char *path, nas_kind kind, const char *id,
                          const nas_plugin **plugin, nas_error *err);

#endif
