/* From a shared object's file to its descriptor. */
#ifndef NAS_HOST_PLUGIN_FILE_H
#define NAS_HOST_PLUGIN_FILE_H

#include "host/descriptor.h"

/* First does all that follows in a child process, where a constructor or an entry that crashes,
 * hangs or exits does no harm. Maps the file at an absolute path with dlopen(RTLD_NOW |
 * RTLD_LOCAL), calls its entry and makes every check on what it returns. A plugin that passes stays
 * mapped until the process ends: its threads or exit handlers may outlive its instances. One that
 * fails is unmapped. Messages start with the path and, where known, the id. Fails with
 * NAS_ERR_PLUGIN. [main] */
int nas_plugin_open(const char *path, const nas_expected *expected, const nas_plugin **plugin,
                    nas_error *err);

#endif
