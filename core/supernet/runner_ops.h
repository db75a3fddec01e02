/* The runner's layers. */
#ifndef NAS_SUPERNET_RUNNER_OPS_H
#define NAS_SUPERNET_RUNNER_OPS_H

#include "supernet/runner_state.h"

/* A product that needs no patches. [any] */
static inline bool nas_runner_direct(const nas_layer *layer) {
    return layer->kernel == 1 && layer->stride == 1;
}

static inline nas_depthwise nas_runner_shape(const nas_layer *l) {
    return (nas_depthwise){l->in.h, l->in.w,   l->out.h,  l->out.w,
                           l->in.c, l->kernel, l->stride, l->pad_before};
}

/* Runs layer i of the image in nas_runner_lane l; ranges [2 * n_layers] may be NULL. The last layer
 * also writes the logits. [worker] */
void nas_runner_layer(const nas_runner *r, uint32_t i, const nas_runner_lane *l, nas_range *ranges,
                      float *logits);

#endif
