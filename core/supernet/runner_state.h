/* A runner, for its own files only.
 *
 * Each thread runs one image at a time, its tensors in a block of its own. In 8 bits a tensor holds
 * q - zero, a whole number. */
#ifndef NAS_SUPERNET_RUNNER_STATE_H
#define NAS_SUPERNET_RUNNER_STATE_H

#include "base/threads.h"
#include "nn/kernels.h"

#include <nashost/kit/int8.h>

/* One thread's work memory. */
typedef struct nas_runner_lane {
    nas_real *tensors;
    nas_real *columns; /* a convolution's patches [pixels][k * k * in] */
    nas_real *sums;    /* a layer's op(input) */
    nas_real *scratch; /* of depthwise kernels */
    int32_t *whole;    /* [as sums] in 8 bits */
} nas_runner_lane;

typedef struct nas_runner {
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
    nas_runner_lane *lanes; /* [threads] */
    /* The call under way. */
    const uint8_t *pixels;
    uint64_t n;
    float *logits;     /* NULL: measure */
    nas_range *ranges; /* [n][2 * n_layers]: sums, then results; NULL: none */
} nas_runner;

#endif
