/* An instance's life: its options are parsed into the plugin's configuration, it gets a nas_host of
 * its own (log lines with its id, random numbers keyed by it, the services of the session), and
 * create is called, around which what belongs to the process is compared. */
#include "host/instance.h"

#include "base/rng.h"
#include "host/process.h"

#include <stdlib.h>
#include <string.h>

/* What one instance's nas_host stands for. */
typedef struct nas_host_impl {
    nas_host host;
    const nas_services *services;
    nas_registry *registry; /* NULL: the plugin was loaded by its file alone */
    char id[32];
    uint32_t hash[2]; /* of id */
} nas_host_impl;

static void host_log(const nas_host *host, nas_level level, const char *message) {
    const nas_host_impl *impl = host->impl;
    char line[1200];
    if (!impl->services->log) return;
    snprintf(line, sizeof line, "%s: %s", impl->id, message ? message : "");
    impl->services->log(impl->services->context, level, line);
}

/* The plugin's id and the stream choose a key, the counter a block under that key. */
static uint64_t host_random(const nas_host *host, uint64_t stream, uint64_t counter) {
    const nas_host_impl *impl = host->impl;
    const uint64_t seed = impl->services->seed;
    const uint32_t seed_key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const uint32_t name[4] = {impl->hash[0], impl->hash[1], (uint32_t)stream,
                              (uint32_t)(stream >> 32)};
    uint32_t key[4], out[4];
    nas_philox(name, seed_key, key);
    const uint32_t place[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), NAS_RNG_PLUGIN,
                               key[2]};
    nas_philox(place, key, out);
    return (uint64_t)out[0] << 32 | out[1];
}

static const void *host_extension(const nas_host *host, const char *id) {
    const nas_host_impl *impl = host->impl;
    bool offered = impl->registry && impl->services->extension;
    return offered ? impl->services->extension(id) : NULL;
}

nas_registry *nas_host_registry(const nas_host *host) {
    return ((const nas_host_impl *)host->impl)->registry;
}

/* FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/). */
static void hash_id(const char *id, uint32_t hash[2]) {
    uint64_t h = 0xcbf29ce484222325u;
    for (; *id; id++) h = (h ^ (unsigned char)*id) * 0x100000001b3u;
    hash[0] = (uint32_t)h;
    hash[1] = (uint32_t)(h >> 32);
}

static nas_host_impl *make_host(const nas_services *services, const char *id) {
    nas_host_impl *impl = calloc(1, sizeof *impl);
    if (!impl) return NULL;
    impl->host = (nas_host){.size = sizeof impl->host,
                            .impl = impl,
                            .log = host_log,
                            .random = host_random,
                            .extension = host_extension};
    impl->services = services;
    snprintf(impl->id, sizeof impl->id, "%s", id);
    hash_id(id, impl->hash);
    return impl;
}

/* A plugin's code must be one that says what went wrong. */
static int clean_code(int code) {
    return code >= NAS_ERR_INPUT && code <= NAS_ERR_NUMERIC ? code : NAS_ERR_PLUGIN;
}

static int call_create(nas_instance *instance, const char *path, nas_error *err) {
    const nas_plugin *plugin = instance->plugin;
    nas_error why = {0}, changed = {0};
    nas_process process;
    nas_process_save(&process);
    int rc = plugin->create(&instance->host->host, instance->config, &instance->self, &why);
    int broke = nas_process_restore(&process, "create", &changed);
    why.message[sizeof why.message - 1] = 0;
    if (rc) {
        instance->self = NULL; /* by contract nothing is left to destroy */
        return nas_fail(err, clean_code(rc), "%s: plugin \"%s\": create failed: %s", path,
                        plugin->id, why.message[0] ? why.message : "it gave no reason");
    }
    if (!broke) return NAS_OK;
    return nas_fail(err, broke, "%s: plugin \"%s\": %s", path, plugin->id, changed.message);
}

static int start(const nas_services *services, nas_registry *registry, const nas_plugin *plugin,
                 const char *path, const json_t *options, const nas_place *place,
                 nas_instance *instance, nas_error *err) {
    *instance = (nas_instance){.plugin = plugin,
                               .config = calloc(1, plugin->config_size + 1),
                               .host = make_host(services, plugin->id)};
    int rc = NAS_OK;
    if (!instance->config || !instance->host)
        rc = nas_fail(err, NAS_ERR_MEMORY, "%s: plugin \"%s\": out of memory", path, plugin->id);
    else
        instance->host->registry = registry;
    if (!rc)
        rc = nas_options_parse(plugin->options, plugin->option_size, options, NULL, place,
                               instance->config, &instance->resolved, err);
    if (!rc) rc = call_create(instance, path, err);
    if (rc) nas_instance_destroy(instance);
    return rc;
}

int nas_instance_start(const nas_services *services, const nas_plugin *plugin, const char *path,
                       const json_t *options, const nas_place *place, nas_instance *instance,
                       nas_error *err) {
    return start(services, NULL, plugin, path, options, place, instance, err);
}

static const char *path_of(const nas_registry *registry, const char *id) {
    for (size_t i = 0; i < nas_registry_count(registry); i++) {
        const nas_manifest_entry *entry = nas_registry_entry(registry, i);
        if (strcmp(entry->id, id) == 0) return entry->path;
    }
    return id;
}

int nas_instance_create(nas_registry *registry, nas_kind kind, const char *id,
                        const json_t *options, const nas_place *place, nas_instance *instance,
                        nas_error *err) {
    *instance = (nas_instance){0};
    const nas_plugin *plugin;
    int rc = nas_registry_load(registry, kind, id, &plugin, err);
    if (rc) return rc;
    return start(nas_registry_services(registry), registry, plugin, path_of(registry, id), options,
                 place, instance, err);
}

int nas_instance_validate(nas_registry *registry, nas_kind kind, const char *id,
                          const json_t *options, const nas_place *place, json_t **resolved,
                          nas_error *err) {
    *resolved = NULL;
    const nas_plugin *plugin;
    int rc = nas_registry_load(registry, kind, id, &plugin, err);
    if (rc) return rc;
    void *config = calloc(1, plugin->config_size + 1);
    if (!config)
        return nas_fail(err, NAS_ERR_MEMORY, "%s: plugin \"%s\": out of memory",
                        path_of(registry, id), id);
    rc = nas_options_parse(plugin->options, plugin->option_size, options, NULL, place, config,
                           resolved, err);
    if (!rc) nas_options_free(plugin->options, plugin->option_size, config);
    free(config);
    return rc;
}

void nas_instance_destroy(nas_instance *instance) {
    if (!instance) return;
    const nas_plugin *plugin = instance->plugin;
    if (plugin && instance->self) plugin->destroy(instance->self);
    if (plugin && instance->resolved)
        nas_options_free(plugin->options, plugin->option_size, instance->config);
    json_decref(instance->resolved);
    free(instance->config);
    free(instance->host);
    *instance = (nas_instance){0};
}

const void *nas_instance_extension(const nas_instance *instance, const char *id) {
    const nas_plugin *plugin = instance->plugin;
    if (!plugin || !plugin->extension) return NULL;
    return plugin->extension(instance->self, id);
}
