/* What the host offers to plugins beyond nas_host's own functions. */
#ifndef NAS_HOST_SERVICES_H
#define NAS_HOST_SERVICES_H

/* nas_services' extension: NAS_EXT_FILES, and what nas_exporter_service offers; NULL: unknown.
 * [any] */
const void *nas_service(const char *id);

#endif
