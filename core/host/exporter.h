/* Export plugins: writing files by them, and their use by other plugins (NAS_EXT_EXPORT). */
#ifndef NAS_HOST_EXPORTER_H
#define NAS_HOST_EXPORTER_H

#include "host/instance.h"

#include <nashost/export.h>

/* An export plugin with its default options, but for dtype. */
typedef struct nas_exporter nas_exporter;

/* dtype: the plugin's option of that name; NULL: its default. An id that no manifest has, or that
 * needs other options, is NAS_ERR_INPUT. [main] */
int nas_exporter_open(nas_registry *registry, const char *id, const char *dtype,
                      nas_exporter **exporter, nas_error *err);
void nas_exporter_close(nas_exporter *exporter); /* NULL-safe [main] */

const char *nas_exporter_extension(const nas_exporter *exporter);

/* As nas_export_service's write. The network itself is not changed. [worker] */
int nas_exporter_write(nas_exporter *exporter, const nas_network *network, const char *path,
                       nas_error *err);

/* Writes a network by an instance of an export plugin: path and, where the format has two files,
 * the one that nas_export_second names; each whole or not at all. [main] */
int nas_export_file(const nas_instance *plugin, const nas_network *network, const char *path,
                    nas_error *err);

/* The name of the second file of a format with two, given the first one's: "net.bin" for
 * "net.param". The caller frees; NULL: there is none, or out of memory. [any] */
char *nas_export_second(const nas_instance *plugin, const char *path);

/* If an instance's options ask for 8 bits (NAS_EXT_INT8), the bits of its weights, 7 or 8; else 0.
 * [any] */
uint32_t nas_export_int8(const nas_instance *plugin);

/* Whether its engine computes in 8 bits otherwise than the host (NAS_EXT_INT8). [any] */
bool nas_export_own_arithmetic(const nas_instance *plugin);

/* The name that a platform's file has in family/: PLATFORM.EXT in float32, and with the type
 * before the extension in others, PLATFORM.int8.EXT, PLATFORM.int8w7.EXT, PLATFORM.float16.EXT; as
 * the option "dtype" has it. [any] */
void nas_export_name(const nas_instance *plugin, const char *platform, char *name, size_t size);

/* What nas_services' extension offers: NAS_EXT_EXPORT, to plugins that write networks themselves.
 * [any] */
const void *nas_exporter_service(const char *id);

#endif
