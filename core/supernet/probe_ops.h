/* A probe's layers, forward and backward, for the images of a chunk. */
#ifndef NAS_SUPERNET_PROBE_OPS_H
#define NAS_SUPERNET_PROBE_OPS_H

#include "supernet/probe_pass.h"

/* True if the layer is a product of its weights and its input's rows as they lie. [any] */
static inline bool nas_probe_is_direct(const nas_layer *layer) {
    return layer->op == NAS_OP_LINEAR || (layer->kernel == 1 && layer->stride == 1);
}

/* The layer's sum from its inputs' outputs. [worker] */
void nas_probe_op(const nas_probe_pass *p, uint32_t index, nas_probe_chunk at);

/* From the layer's grad, now of sum: adds to the inputs' grads, and sets the chunk's partial.
 * [worker] */
void nas_probe_op_grad(const nas_probe_pass *p, uint32_t index, nas_probe_chunk at);

#endif
