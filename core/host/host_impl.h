/* An instance of a plugin, and what stands behind the nas_host that it is given; the latter is for
 * core/host alone. */
#ifndef NAS_HOST_HOST_IMPL_H
#define NAS_HOST_HOST_IMPL_H

#include "host/process.h"
#include "host/registry.h"

typedef struct nas_host_impl {
    nas_host host;
    const nas_services *services;
    nas_registry *registry; /* NULL: the plugin was loaded by its file alone */
    char id[32];
    uint32_t hash[2];    /* of id */
    bool commands;       /* the instance starts programs (NAS_EXT_COMMANDS) */
    nas_process process; /* as it was before create, and should be after each call */
} nas_host_impl;

/* An instance: a plugin, its configuration and its self. Zeroed, it is empty. It may be moved. */
typedef struct nas_instance {
    const nas_plugin *plugin;
    void *config;
    json_t *resolved;           /* its options with defaults */
    struct nas_host_impl *host; /* what the plugin was given */
    void *self;
} nas_instance;

#endif
