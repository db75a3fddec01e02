/* An instance's life: its options are parsed into the plugin's configuration, it gets a nas_host of
 * its own (log lines with its id, random numbers keyed by it, the services of the session), and
 * create is called, around which what belongs to the process is compared. */
#include "host/instance.h"

#include "base/rng.h"
#include "host/call.h"
#include "host/host_impl.h"

#include <nashost/export.h>
#include <nashost/hardware.h>
#include <nashost/ssl.h>
#include <stdlib.h>
#include <string.h>

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
    impl->process.directory = -1;
    hash_id(id, impl->hash);
    return impl;
}

/* A table that an instance may offer: how long it must be, and how many functions it must have. */
static const struct known_extension {
    const char *id;
    size_t size, functions; /* these come first, after the size */
} known_extensions[] = {{NAS_EXT_STATE, sizeof(nas_state_api), 3},
                        {NAS_EXT_MIX, sizeof(nas_mix_api), 1},
                        {NAS_EXT_COMMANDS, sizeof(nas_commands_api), 0},
                        {NAS_EXT_INT8, offsetof(nas_int8_api, own_arithmetic), 0},
                        {NAS_EXT_MEASURE, sizeof(nas_measure_api), 1},
                        {NAS_EXT_CALIBRATE, sizeof(nas_calibrate_api), 1},
                        {NAS_EXT_EXECUTE, sizeof(nas_execute_api), 1},
                        {NAS_EXT_VALIDATION, sizeof(nas_validation_api), 1}};

static int check_extension(const nas_instance *instance, const struct known_extension *known,
                           nas_error *err) {
    const char *table = nas_instance_extension(instance, known->id), *id = instance->plugin->id;
    uint32_t size;
    if (!table) return NAS_OK;
    memcpy(&size, table, sizeof size);
    if (size < known->size)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "plugin \"%s\": extension %s: size: expected at least %zu, got %u", id,
                        known->id, known->size, size);
    for (size_t i = 0; i < known->functions; i++) {
        void *function;
        memcpy(&function, table + sizeof(void *) * (1 + i), sizeof function);
        if (!function)
            return nas_fail(err, NAS_ERR_PLUGIN,
                            "plugin \"%s\": extension %s: function %zu: expected one, got NULL", id,
                            known->id, i);
    }
    return NAS_OK;
}

static int check_extensions(const nas_instance *instance, nas_error *err) {
    int rc = NAS_OK;
    for (size_t i = 0; i < sizeof known_extensions / sizeof *known_extensions && !rc; i++)
        rc = check_extension(instance, &known_extensions[i], err);
    return rc;
}

static int call_create(nas_instance *instance, const char *path, nas_error *err) {
    const nas_plugin *plugin = instance->plugin;
    nas_error why = {0};
    nas_call call;
    nas_process_save(&instance->host->process);
    nas_call_begin(&call, instance, "create");
    int status =
        plugin->create(&instance->host->host, instance->config, &instance->self, &call.err);
    bool silent = !call.err.message[0];
    int rc = nas_call_end(&call, status, &why);
    if (!rc) rc = check_extensions(instance, &why);
    if (!rc) {
        instance->host->commands = nas_instance_extension(instance, NAS_EXT_COMMANDS) != NULL;
        return NAS_OK;
    }
    if (!status) return nas_fail(err, rc, "%s: %.900s", path, why.message);
    instance->self = NULL; /* by contract nothing is left to destroy */
    return nas_fail(err, rc, "%s: plugin \"%s\": create failed: %.900s", path, plugin->id,
                    silent ? "it gave no reason" : why.message);
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
    if (plugin && instance->self) {
        nas_call call;
        nas_call_begin(&call, instance, "destroy");
        plugin->destroy(instance->self);
        nas_call_done(&call, NULL); /* what it changed is put back */
    }
    if (plugin && instance->resolved)
        nas_options_free(plugin->options, plugin->option_size, instance->config);
    json_decref(instance->resolved);
    free(instance->config);
    if (instance->host) nas_process_free(&instance->host->process);
    free(instance->host);
    *instance = (nas_instance){0};
}

const void *nas_instance_extension(const nas_instance *instance, const char *id) {
    const nas_plugin *plugin = instance->plugin;
    if (!plugin || !plugin->extension) return NULL;
    nas_call call;
    nas_call_begin(&call, instance, "extension");
    const void *table = plugin->extension(instance->self, id);
    return nas_call_done(&call, NULL) ? NULL : table;
}

bool nas_instance_barred(const nas_instance *instance) {
    const nas_host_impl *impl = instance->host;
    return impl && impl->commands && !impl->services->allow_commands;
}
