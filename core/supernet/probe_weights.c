#include "supernet/probe_weights.h"

#include "base/memory.h"
#include "base/rng.h"
#include "supernet/kernel_chain.h"

#include <math.h>
#include <stdlib.h>

/* Memory for every layer's weights and values of channels; one block. */
static double *hand_out(nas_probe_pass *p, double *free_memory) {
    size_t used = 0;
    for (uint32_t i = 0; i < p->network->n_layers; i++) {
        nas_probed *at = &p->layers[i];
        const size_t counts[] = {at->layer->weights, at->layer->out.c, at->layer->out.c,
                                 at->layer->out.c, at->layer->out.c};
        double **places[] = {&at->weight, &at->scale, &at->shift, &at->mean, &at->var};
        for (size_t j = 0; j < sizeof counts / sizeof *counts; j++) {
            if (free_memory) *places[j] = free_memory + used;
            used += counts[j];
        }
    }
    return free_memory ? free_memory : nas_alloc(used, sizeof(double));
}

/* The whole tensor as random numbers, N(0, 1). */
static void draw(const nas_probe_pass *p, const nas_parameter *tensor, double *values) {
    uint64_t step = (uint64_t)p->probe->draw * NAS_PROBE_STREAMS + NAS_PROBE_STREAM_WEIGHTS;
    uint64_t index = (uint64_t)(tensor - p->supernet->parameters);
    nas_rng rng = nas_rng_open(p->seed, NAS_RNG_PROBE, step, index);
    for (size_t i = 0; i < tensor->count; i++) values[i] = nas_rng_normal(&rng);
}

/* A kernel that matrices make. */
static int fill_chain(const nas_probe_pass *p, nas_probed *at, const nas_kernel_chain *chain,
                      nas_error *err) {
    nas_real *kernel = nas_kernel_chain_make(chain, p->supernet->weights);
    if (!kernel) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for a kernel");
    for (uint64_t i = 0; i < at->layer->weights; i++)
        at->weight[i] = p->probe->absolute ? fabs((double)kernel[i]) : (double)kernel[i];
    free(kernel);
    return NAS_OK;
}

static int fill_kernel(const nas_probe_pass *p, nas_probed *at, double *random, nas_error *err) {
    nas_slice slice;
    bool inherited = p->probe->weights == NAS_PROBE_INHERITED;
    double factor = 1;
    int rc = nas_slice_find(p->supernet, at->layer, &slice, err);
    if (rc) return rc;
    const nas_kernel_chain chain = nas_kernel_chain_find(p->supernet, at->layer, &slice);
    if (inherited && chain.n) return fill_chain(p, at, &chain, err);
    if (!inherited) draw(p, slice.tensor, random);
    if (p->probe->weights == NAS_PROBE_INITIAL) factor = sqrt(2.0 / (double)nas_slice_rows(&slice));
    for (size_t r = 0, i = 0; r < nas_slice_rows(&slice); r++) {
        size_t from = nas_slice_row(&slice, r);
        for (size_t o = 0; o < slice.columns; o++, i++) {
            double w = inherited ? (double)p->supernet->weights[from + o]
                                 : factor * random[from - slice.offset + o];
            at->weight[i] = p->probe->absolute ? fabs(w) : w;
        }
    }
    return NAS_OK;
}

/* Fills values [out.c] from a tensor of the layer, or with what a new network has there. */
static int fill_channels(const nas_probe_pass *p, const nas_probed *at, const char *part,
                         double fresh, double *values, nas_error *err) {
    const nas_parameter *tensor = nas_slice_parameter(p->supernet, at->layer, part, err);
    if (!tensor) return NAS_ERR_INPUT;
    bool inherited = p->probe->weights == NAS_PROBE_INHERITED;
    for (size_t c = 0; c < at->layer->out.c; c++) {
        double w = inherited ? (double)p->supernet->weights[tensor->offset + c] : fresh;
        values[c] = p->probe->absolute ? fabs(w) : w;
    }
    return NAS_OK;
}

static int fill_layer(const nas_probe_pass *p, nas_probed *at, double *random, nas_error *err) {
    for (size_t c = 0; c < at->layer->out.c; c++) at->scale[c] = 1; /* shift is 0 */
    if (!at->layer->weights) return NAS_OK;
    int rc = fill_kernel(p, at, random, err);
    if (rc) return rc;
    if (nas_layer_has_bias(&p->supernet->space, at->layer))
        return fill_channels(p, at, ".bias", 0, at->shift, err);
    if (!at->norm) return NAS_OK;
    rc = fill_channels(p, at, ".bn.gamma", 1, at->scale, err);
    return rc ? rc : fill_channels(p, at, ".bn.beta", 0, at->shift, err);
}

int nas_probe_fill_weights(nas_probe_pass *p, nas_error *err) {
    size_t most = 0;
    for (uint32_t i = 0; i < p->supernet->n_parameters; i++)
        most = p->supernet->parameters[i].count > most ? p->supernet->parameters[i].count : most;
    double *random = nas_alloc(most, sizeof *random);
    p->memory = hand_out(p, NULL);
    int rc = random && p->memory ? NAS_OK
                                 : nas_fail(err, NAS_ERR_MEMORY,
                                            "out of memory for the weights of a score's subnet");
    if (!rc) hand_out(p, p->memory);
    for (uint32_t i = 0; i < p->network->n_layers && !rc; i++)
        rc = fill_layer(p, &p->layers[i], random, err);
    free(random);
    return rc;
}
