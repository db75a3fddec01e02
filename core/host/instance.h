/* Instances of plugins: a plugin with the options that a pipeline gives it. */
#ifndef NAS_HOST_INSTANCE_H
#define NAS_HOST_INSTANCE_H

#include "host/host_impl.h"
#include "host/options.h"

/* Loads, parses options (NULL: none given) and creates. place tells where the options stand in the
 * pipeline. A create that fails, or that changes the process, is reported with the plugin's file
 * and id. On failure *instance is empty. [main] */
int nas_instance_create(nas_registry *registry, nas_kind kind, const char *id,
                        const json_t *options, const nas_place *place, nas_instance *instance,
                        nas_error *err);

/* The same for a plugin that is loaded already from the file `path`; it is offered no services that
 * need other plugins. [main] */
int nas_instance_start(const nas_services *services, const nas_plugin *plugin, const char *path,
                       const json_t *options, const nas_place *place, nas_instance *instance,
                       nas_error *err);

/* The same up to, but without, create: for `nashost validate`. The caller releases *resolved.
 * [main] */
int nas_instance_validate(nas_registry *registry, nas_kind kind, const char *id,
                          const json_t *options, const nas_place *place, json_t **resolved,
                          nas_error *err);

/* Destroys the plugin's self and frees the rest; NULL-safe, empty is fine. [main] */
void nas_instance_destroy(nas_instance *instance);

/* The instance's extension table of that id, or NULL. */
const void *nas_instance_extension(const nas_instance *instance, const char *id);

/* Whether the instance starts programs, and the services do not allow it. [any] */
bool nas_instance_barred(const nas_instance *instance);

/* The registry of the instance that was given this host, or NULL: for services that use other
 * plugins. [any] */
nas_registry *nas_host_registry(const nas_host *host);

#endif
