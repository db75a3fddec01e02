/* Every function of a plugin, once or twice, on a problem of its kind that takes milliseconds: for
 * `nashost plugins check`. What else a run needs of plugins stands in for them here. */
#ifndef NAS_STAGES_REHEARSAL_H
#define NAS_STAGES_REHEARSAL_H

#include "host/instance.h"

/* Calls the instance's functions as a run does, by the same code, and so with the same checks. May
 * write files into the folder. The instance is used up: it is destroyed in any case. [main] */
int nas_rehearse(nas_instance *instance, const char *folder, nas_error *err);

#endif
