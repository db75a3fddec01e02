/* What stands behind the nas_host that an instance is given; for core/host alone. */
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
    nas_process process; /* as it was before create, and should be after each call */
} nas_host_impl;

#endif
