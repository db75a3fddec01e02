/* One look under way, for the probe's own files only. */
#ifndef NAS_SUPERNET_PROBE_PASS_H
#define NAS_SUPERNET_PROBE_PASS_H

#include "base/threads.h"
#include "supernet/probe_batch.h"
#include "supernet/supernet.h"

#include <nashost/probe.h>

/* A layer with its values. before = sum * scale + shift, output = activation(before). */
typedef struct nas_probed {
    const nas_layer *layer;
    size_t values;                      /* out.h * out.w * out.c */
    uint32_t last_read;                 /* the last layer that reads its output */
    bool norm;                          /* batch norm, with the batch's statistics */
    double *weight;                     /* [layer->weights] */
    double *scale, *shift, *mean, *var; /* [out.c]; first gamma and beta or bias */
    double *sum, *output;               /* [n][values]; the same where nothing is between them */
    double *grad; /* backward: [n][values] gradient of output, turned into that of sum; NULL: 0 */
} nas_probed;

typedef struct nas_probe_pass {
    const nas_supernet *supernet;
    const nas_network *network;
    const nas_probe *probe;
    const nas_probe_batch *batch;
    nas_pool *pool;
    uint64_t seed;
    nas_probed *layers;  /* [network->n_layers] */
    double *memory;      /* of weight, scale, ... of all layers */
    size_t widest;       /* most channels of a layer */
    size_t most_weights; /* of a layer */
    double *before;      /* [n][most values of a layer] */
    double *patches;     /* [NAS_CHUNKS][2][most values of the patches of one image] */
    size_t patch_room;   /* 0: every product is direct */
    double *sums;        /* [NAS_CHUNKS][2 * widest] */
    double *partial;     /* [NAS_CHUNKS][most_weights] weight gradients */
    double *weight_grad; /* [most_weights] */
    double *image_grad;  /* [n][image], NULL: nobody asks */
} nas_probe_pass;

/* Images first .. end - 1, handled by one chunk. */
typedef struct nas_probe_chunk {
    uint32_t first, end;
    int chunk, thread;
} nas_probe_chunk;

#endif
