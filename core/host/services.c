#include "host/services.h"

#include "host/exporter.h"

#include <nashost/files.h>
#include <string.h>

static const char *folder(const nas_host *host, uint32_t i) {
    const nas_registry *registry = nas_host_registry(host);
    return registry ? nas_registry_folder(registry, i) : NULL;
}

const void *nas_service(const char *id) {
    static const nas_files_service files = {sizeof files, folder};
    return strcmp(id, NAS_EXT_FILES) == 0 ? &files : nas_exporter_service(id);
}
