#include "supernet/fold.h"

#include "base/memory.h"
#include "supernet/kernel_chain.h"

#include <math.h>
#include <stdlib.h>

typedef struct folding {
    const nas_supernet *supernet;
    const nas_real *weights;
    const nas_bn_stats *stats;
    size_t bn;   /* channels of batch norms so far: the next one's place in stats */
    float *free; /* memory not yet handed out */
    nas_error *err;
} folding;

static const nas_parameter *find(const folding *f, const nas_layer *layer, const char *part) {
    return nas_slice_parameter(f->supernet, layer, part, f->err);
}

static float *take(folding *f, size_t n) {
    float *values = f->free;
    f->free += n;
    return values;
}

/* The kernel's slice, times scale [out] (NULL: 1). */
static void cut(const folding *f, const nas_slice *slice, const double *scale, float *to) {
    for (size_t r = 0; r < nas_slice_rows(slice); r++, to += slice->columns) {
        const nas_real *from = f->weights + nas_slice_row(slice, r);
        for (size_t o = 0; o < slice->columns; o++)
            to[o] = (float)((double)from[o] * (scale ? scale[o] : 1));
    }
}

/* The same of a kernel that matrices make. */
static int cut_chain(const folding *f, const nas_kernel_chain *chain, const nas_layer *layer,
                     const double *scale, float *to) {
    nas_real *kernel = nas_kernel_chain_make(chain, f->weights);
    if (!kernel)
        return nas_fail(f->err, NAS_ERR_MEMORY, "out of memory for a kernel of layer \"%s\"",
                        layer->name);
    for (uint64_t i = 0; i < layer->weights; i++)
        to[i] = (float)((double)kernel[i] * scale[i % layer->out.c]);
    free(kernel);
    return NAS_OK;
}

/* Fills scale [out] of the layer's batch norm and its bias. */
static int fold_bn(folding *f, const nas_layer *layer, double *scale, float *bias) {
    const nas_parameter *gamma = find(f, layer, ".bn.gamma"), *beta = find(f, layer, ".bn.beta");
    if (!gamma || !beta) return NAS_ERR_INPUT;
    if (f->stats->n < f->bn + layer->out.c)
        return nas_fail(f->err, NAS_ERR_INPUT,
                        "layer \"%s\": expected batch norm statistics of at least %zu channels, "
                        "found %zu; calibrate this subnet",
                        layer->name, f->bn + layer->out.c, f->stats->n);
    for (size_t c = 0; c < layer->out.c; c++) {
        double mean = (double)f->stats->mean[f->bn + c], var = (double)f->stats->var[f->bn + c];
        scale[c] = (double)f->weights[gamma->offset + c] /
                   sqrt(var + f->supernet->space.batch_norm_epsilon);
        bias[c] = (float)((double)f->weights[beta->offset + c] - mean * scale[c]);
    }
    f->bn += layer->out.c;
    return NAS_OK;
}

static int copy_bias(const folding *f, const nas_layer *layer, float *bias) {
    if (!nas_layer_has_bias(&f->supernet->space, layer)) return NAS_OK; /* the memory is zeroed */
    const nas_parameter *p = find(f, layer, ".bias");
    if (!p) return NAS_ERR_INPUT;
    for (size_t c = 0; c < layer->out.c; c++) bias[c] = (float)f->weights[p->offset + c];
    return NAS_OK;
}

static int fold_layer(folding *f, nas_layer *layer, double *scale) {
    nas_slice slice;
    bool bn = nas_layer_has_norm(layer);
    int rc = nas_slice_find(f->supernet, layer, &slice, f->err);
    if (rc) return rc;
    float *weight = take(f, layer->weights), *bias = take(f, layer->biases);
    rc = bn ? fold_bn(f, layer, scale, bias) : copy_bias(f, layer, bias);
    if (rc) return rc;
    const nas_kernel_chain chain = nas_kernel_chain_find(f->supernet, layer, &slice);
    if (chain.n) rc = cut_chain(f, &chain, layer, scale, weight);
    if (rc) return rc;
    if (!chain.n) cut(f, &slice, bn ? scale : NULL, weight);
    layer->weight = weight;
    layer->bias = bias;
    return NAS_OK;
}

static int fold_layers(folding *f, nas_lowered *lowered, double *scale) {
    for (uint32_t i = 0; i < lowered->network.n_layers; i++) {
        if (!lowered->layers[i].weights) continue;
        int rc = fold_layer(f, &lowered->layers[i], scale);
        if (rc) return rc;
    }
    if (f->stats->n == f->bn) return NAS_OK;
    return nas_fail(f->err, NAS_ERR_INPUT,
                    "expected batch norm statistics of %zu channels, found %zu; calibrate this "
                    "subnet",
                    f->bn, f->stats->n);
}

int nas_fold(const nas_supernet *supernet, const nas_real *weights, const nas_bn_stats *stats,
             nas_lowered *lowered, float **memory, nas_error *err) {
    size_t values = 0, widest = 0;
    for (uint32_t i = 0; i < lowered->network.n_layers; i++) {
        const nas_layer *layer = &lowered->layers[i];
        values += layer->weights + layer->biases;
        if (layer->out.c > widest) widest = layer->out.c;
    }
    *memory = nas_alloc(values, sizeof **memory);
    double *scale = nas_alloc(widest, sizeof *scale);
    folding f = {supernet, weights, stats, 0, *memory, err};
    int rc = *memory && scale ? fold_layers(&f, lowered, scale)
                              : nas_fail(err, NAS_ERR_MEMORY,
                                         "out of memory for %zu weights of a subnet", values);
    free(scale);
    if (rc == NAS_OK) return NAS_OK;
    for (uint32_t i = 0; i < lowered->network.n_layers; i++)
        lowered->layers[i].weight = lowered->layers[i].bias = NULL;
    free(*memory);
    *memory = NULL;
    return rc;
}
