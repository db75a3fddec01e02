/* Tables of functions whose self is a nas_instance: each calls the plugin's as host/call.h says.
 * For code that takes a plugin's table and self, and knows no instances. */
#ifndef NAS_HOST_GUARDED_H
#define NAS_HOST_GUARDED_H

#include "data/source.h"
#include "host/instance.h"

#include <nashost/dataset.h>
#include <nashost/hardware.h>

#define NAS_NO_FINGERPRINT UINT64_MAX /* of a plugin that tells none */

extern const nas_dataset_api nas_guarded_dataset;
extern const nas_hardware_api nas_guarded_hardware;

/* What these take as self. */
void *nas_guarded(const nas_instance *instance);

/* How a data set's images are read; memory and threads are still to be said. [any] */
nas_source_request nas_guarded_source(const nas_instance *instance);

#endif
