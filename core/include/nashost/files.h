/* nashost plugin SDK: data that comes with plugins, such as device profiles. */
#ifndef NASHOST_FILES_H
#define NASHOST_FILES_H

#include <nashost/plugin.h>

#include <stdint.h>

/* An extension of the host (nas_host's), "nas.files/1". */
#define NAS_EXT_FILES "nas.files/1"
typedef struct nas_files_service {
    uint32_t size;
    /* The absolute folder of manifest i, 0 first, beside which plugins' data lie as they do in the
     * source tree; NULL: there is none of that number. The host's, until destroy. [any] */
    const char *(*folder)(const nas_host *host, uint32_t i);
} nas_files_service;

#endif
