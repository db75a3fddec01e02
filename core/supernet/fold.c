#include "supernet/fold.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct folding {
    const nas_supernet *supernet;
    const nas_real *weights;
    const nas_bn_stats *stats;
    size_t bn;   /* channels of batch norms so far: the next one's place in stats */
    float *free; /* memory not yet handed out */
    nas_error *err;
} folding;

static bool has_batch_norm(const nas_layer *layer) {
    return layer->op == NAS_OP_CONV || layer->op == NAS_OP_DEPTHWISE;
}

/* The tensor of a layer; the linear layers of squeeze-excite stand under "se." in their block. */
static const nas_parameter *find(const folding *f, const nas_layer *layer, const char *part) {
    char name[64];
    const char *dot = strrchr(layer->name, '.');
    size_t block = layer->op == NAS_OP_LINEAR && dot ? (size_t)(dot + 1 - layer->name) : 0;
    snprintf(name, sizeof name, "%.*s%s%s%s", (int)block, layer->name, block ? "se." : "",
             layer->name + block, part);
    const nas_parameter *p = nas_supernet_find(f->supernet, name);
    if (!p)
        nas_fail(f->err, NAS_ERR_INPUT,
                 "layer \"%s\": the supernet has no tensor \"%s\"; the layers belong to another "
                 "space",
                 layer->name, name);
    return p;
}

/* A kernel's sizes as [k][k][in][out], whatever its tensor's. */
typedef struct kernel {
    const nas_real *values;
    size_t k, in, out;
} kernel;

static int find_kernel(const folding *f, const nas_layer *layer, kernel *full) {
    const nas_parameter *p = find(f, layer, has_batch_norm(layer) ? ".conv" : ".weight");
    if (!p) return NAS_ERR_INPUT;
    const uint32_t *shape = p->shape;
    *full = (kernel){f->weights + p->offset, p->ndim > 2 ? shape[0] : 1,
                     p->ndim == 3 ? 1 : shape[p->ndim - 2], shape[p->ndim - 1]};
    size_t in = layer->op == NAS_OP_DEPTHWISE ? 1 : layer->in.c;
    if (layer->kernel <= full->k && in <= full->in && layer->out.c <= full->out) return NAS_OK;
    return nas_fail(f->err, NAS_ERR_INPUT,
                    "layer \"%s\": expected a kernel of at most %zux%zu, %zu inputs and %zu "
                    "outputs, found %ux%u, %zu and %u; the layers belong to another space",
                    layer->name, full->k, full->k, full->in, full->out, layer->kernel,
                    layer->kernel, in, layer->out.c);
}

static float *take(folding *f, size_t n) {
    float *values = f->free;
    f->free += n;
    return values;
}

/* The kernel's centre, first inputs and outputs, times scale [out] (NULL: 1). */
static void cut(const nas_layer *layer, const kernel *full, const double *scale, float *to) {
    size_t in = layer->op == NAS_OP_DEPTHWISE ? 1 : layer->in.c,
           skip = (full->k - layer->kernel) / 2;
    for (size_t y = 0; y < layer->kernel; y++)
        for (size_t x = 0; x < layer->kernel; x++)
            for (size_t i = 0; i < in; i++, to += layer->out.c) {
                size_t tap = (y + skip) * full->k + x + skip;
                const nas_real *from = full->values + (tap * full->in + i) * full->out;
                for (size_t o = 0; o < layer->out.c; o++)
                    to[o] = (float)((double)from[o] * (scale ? scale[o] : 1));
            }
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
        scale[c] = (double)f->weights[gamma->offset + c] / sqrt(var + NAS_BN_EPSILON);
        bias[c] = (float)((double)f->weights[beta->offset + c] - mean * scale[c]);
    }
    f->bn += layer->out.c;
    return NAS_OK;
}

static int copy_bias(const folding *f, const nas_layer *layer, float *bias) {
    const nas_parameter *p = find(f, layer, ".bias");
    if (!p) return NAS_ERR_INPUT;
    for (size_t c = 0; c < layer->out.c; c++) bias[c] = (float)f->weights[p->offset + c];
    return NAS_OK;
}

static int fold_layer(folding *f, nas_layer *layer, double *scale) {
    kernel full;
    bool bn = has_batch_norm(layer);
    int rc = find_kernel(f, layer, &full);
    if (rc) return rc;
    float *weight = take(f, layer->weights), *bias = take(f, layer->biases);
    rc = bn ? fold_bn(f, layer, scale, bias) : copy_bias(f, layer, bias);
    if (rc) return rc;
    cut(layer, &full, bn ? scale : NULL, weight);
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
