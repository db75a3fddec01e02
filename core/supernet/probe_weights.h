/* The weights with which a probe runs. */
#ifndef NAS_SUPERNET_PROBE_WEIGHTS_H
#define NAS_SUPERNET_PROBE_WEIGHTS_H

#include "supernet/probe_pass.h"

/* Allocates p->memory for all layers and fills weight, scale and shift as the probe asks. [main]
 */
int nas_probe_fill_weights(nas_probe_pass *p, nas_error *err);

#endif
