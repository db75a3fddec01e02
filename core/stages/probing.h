/* The images on which score plugins run subnets. */
#ifndef NAS_STAGES_PROBING_H
#define NAS_STAGES_PROBING_H

#include "run/context.h"
#include "supernet/probe.h"

/* Checks a plugin's probe and runs it on the network, which nas_lower made from a genome of the
 * context's space, with the context's weights. The context must have its split. [main] */
int nas_probing_run(const nas_context *context, const nas_network *network, const nas_probe *probe,
                    nas_pool *pool, nas_error *err);

/* The order in which the probe's draw takes training images: *order [*n], which the caller frees.
 * Nothing where it asks for no training images. [any] */
int nas_probing_order(const nas_context *context, const nas_probe *probe, uint64_t **order,
                      uint64_t *n, nas_error *err);

#endif
