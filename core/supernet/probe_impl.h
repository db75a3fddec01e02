/* The probe's inside, shared by its own files only. */
#ifndef NAS_SUPERNET_PROBE_IMPL_H
#define NAS_SUPERNET_PROBE_IMPL_H

#include "supernet/probe.h"

/* A layer with its values. before = sum * scale + shift, output = activation(before). */
typedef struct probed {
    const nas_layer *layer;
    size_t values;                      /* out.h * out.w * out.c */
    uint32_t last_read;                 /* the last layer that reads its output */
    bool norm;                          /* batch norm, with the batch's statistics */
    double *weight;                     /* [layer->weights] */
    double *scale, *shift, *mean, *var; /* [out.c]; first gamma and beta or bias */
    double *sum, *output;               /* [n][values]; the same where nothing is between them */
    double *grad; /* backward: [n][values] gradient of output, turned into that of sum; NULL: 0 */
} probed;

typedef struct probing {
    const nas_supernet *supernet;
    const nas_network *network;
    const nas_probe *probe;
    const nas_probe_batch *batch;
    nas_pool *pool;
    uint64_t seed;
    probed *layers;      /* [network->n_layers] */
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
} probing;

/* True if the layer is a product of its weights and its input's rows as they lie. */
static inline bool nas_probing_direct(const nas_layer *layer) {
    return layer->op == NAS_OP_LINEAR || (layer->kernel == 1 && layer->stride == 1);
}

/* Images first .. end - 1, handled by one chunk. */
typedef struct span {
    uint32_t first, end;
    int chunk, thread;
} span;

/* probe_weights.c: counts the memory that weights take, then fills them as the probe asks. */
int nas_probing_weights(probing *p, nas_error *err);

/* probe_ops.c: sum from the inputs' outputs. */
void nas_probing_op(const probing *p, uint32_t index, span at);
/* From grad, now of sum: adds to the inputs' grads, and sets the chunk's partial. */
void nas_probing_op_grad(const probing *p, uint32_t index, span at);

#endif
