/* nashost plugin SDK: deployment formats (NAS_KIND_EXPORT). */
#ifndef NASHOST_EXPORT_H
#define NASHOST_EXPORT_H

#include <nashost/network.h>
#include <nashost/plugin.h>

typedef struct nas_export_api {
    uint32_t size;
    const char *extension; /* of the file, without the dot: "bin" */
    /* Writes a subnet with folded weights to path. The host gives a temporary path and renames it
     * once write() has succeeded. [main] */
    int (*write)(void *self, const nas_network *network, const char *path, nas_error *err);
} nas_export_api;

#endif
