/* The runner's inside, shared by its own files only.
 *
 * Each thread runs one image at a time, its tensors in a block of its own. In 8 bits a tensor holds
 * q - zero, a whole number; products of them are exact in nas_real as long as a sum has at most
 * EXACT terms, and longer sums are added up in 32 bits. */
#ifndef NAS_SUPERNET_RUNNER_IMPL_H
#define NAS_SUPERNET_RUNNER_IMPL_H

#include "nn/kernels.h"
#include "supernet/runner.h"

#include <nashost/kit/int8.h>

#define EXACT 512 /* 512 * 255 * 127 < 2^24 */

/* One thread's work memory. */
typedef struct lane {
    nas_real *tensors;
    nas_real *columns; /* a convolution's patches [pixels][k * k * in] */
    nas_real *sums;    /* a layer's op(input) */
    nas_real *scratch; /* of depthwise kernels */
    int32_t *whole;    /* [as sums] in 8 bits */
} lane;

struct nas_runner {
    const nas_network *network;
    const nas_kernels *kernels;
    nas_pool *pool;
    int threads;
    bool int8;
    nas_int8_layer *layers;  /* [n_layers]; NULL: single precision */
    const nas_real **weight; /* [n_layers]: as layers have them, in nas_real */
    size_t *place;          /* [n_layers + 1] of a layer's result in tensors; the last: the image */
    nas_real *memory;       /* of all that follows */
    nas_real *ones, *zeros; /* [widest] */
    nas_real *pixel;        /* [image.c][256]: what a pixel becomes */
    nas_real *work;         /* of all lanes */
    lane *lanes;            /* [threads] */
    /* The call under way. */
    const uint8_t *pixels;
    uint64_t n;
    float *logits;     /* NULL: measure */
    nas_range *ranges; /* [n][2 * n_layers]: sums, then results; NULL: none */
};

/* A product that needs no patches. */
static inline bool nas_runner_direct(const nas_layer *layer) {
    return layer->kernel == 1 && layer->stride == 1;
}

static inline nas_depthwise nas_runner_shape(const nas_layer *l) {
    return (nas_depthwise){l->in.h, l->in.w, l->out.h, l->out.w, l->in.c, l->kernel, l->stride};
}

/* runner_ops.c: runs layer i of the image in lane l; ranges [2 * n_layers] may be NULL. The last
 * layer also writes the logits. */
void nas_runner_layer(const nas_runner *r, uint32_t i, const lane *l, nas_range *ranges,
                      float *logits);

#endif
