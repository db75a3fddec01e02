#include "supernet/probe.h"

#include "base/memory.h"
#include "supernet/probe_ops.h"
#include "supernet/probe_weights.h"

#include <math.h>
#include <nashost/kit/layers.h>
#include <stdlib.h>
#include <string.h>

/* ---- Loops over the images ---- */

typedef struct loop {
    nas_probe_pass *p;
    nas_probed *at;
    void (*body)(nas_probe_pass *p, nas_probed *at, nas_probe_chunk s);
} loop;

static void run_chunk(void *context, int chunk, int thread) {
    const loop *l = context;
    uint64_t n = l->p->batch->n;
    nas_probe_chunk s = {(uint32_t)(n * (uint64_t)chunk / NAS_CHUNKS),
                         (uint32_t)(n * ((uint64_t)chunk + 1) / NAS_CHUNKS), chunk, thread};
    l->body(l->p, l->at, s);
}

static void each_chunk(nas_probe_pass *p, nas_probed *at,
                       void (*body)(nas_probe_pass *p, nas_probed *at, nas_probe_chunk s)) {
    loop l = {.p = p, .at = at, .body = body};
    nas_parallel(p->pool, NAS_CHUNKS, false, run_chunk, &l);
}

/* out [n] = the chunks' rows [n] added up, in order. */
static void add_chunks(const double *rows, size_t room, double *out, size_t n) {
    memcpy(out, rows, n * sizeof *out);
    for (size_t chunk = 1; chunk < NAS_CHUNKS; chunk++)
        for (size_t i = 0; i < n; i++) out[i] += rows[chunk * room + i];
}

static void run_op(nas_probe_pass *p, nas_probed *at, nas_probe_chunk s) {
    nas_probe_op(p, (uint32_t)(at - p->layers), s);
}

static void run_op_grad(nas_probe_pass *p, nas_probed *at, nas_probe_chunk s) {
    nas_probe_op_grad(p, (uint32_t)(at - p->layers), s);
}

static double *chunk_sums(const nas_probe_pass *p, nas_probe_chunk s) {
    return p->sums + (size_t)s.chunk * 2 * p->widest;
}

/* ---- Batch norm and activation ---- */

/* sums [2][c]: of the op's result minus mean, and of its square. */
static void moments(nas_probe_pass *p, nas_probed *at, nas_probe_chunk s) {
    size_t c = at->layer->out.c;
    double *sums = chunk_sums(p, s);
    memset(sums, 0, 2 * c * sizeof *sums);
    for (size_t i = s.first * at->values; i < s.end * at->values; i += c)
        for (size_t j = 0; j < c; j++) {
            double centred = at->sum[i + j] - at->mean[j];
            sums[j] += centred;
            sums[c + j] += centred * centred;
        }
}

/* Mean and variance over batch and pixels, in two passes; then scale and shift. */
static void normalise(nas_probe_pass *p, nas_probed *at) {
    size_t c = at->layer->out.c;
    size_t pixels = at->values / c;
    double rows = (double)p->batch->n * (double)pixels, *total = p->weight_grad;
    each_chunk(p, at, moments);
    add_chunks(p->sums, 2 * p->widest, total, c);
    for (size_t j = 0; j < c; j++) at->mean[j] = total[j] / rows;
    each_chunk(p, at, moments);
    add_chunks(p->sums, 2 * p->widest, total, 2 * c);
    for (size_t j = 0; j < c; j++) {
        at->var[j] = total[c + j] / rows;
        at->scale[j] /= sqrt(at->var[j] + p->supernet->space.batch_norm_epsilon);
        at->shift[j] -= at->mean[j] * at->scale[j];
    }
}

static void fill_before(nas_probe_pass *p, nas_probed *at, nas_probe_chunk s) {
    size_t c = at->layer->out.c;
    for (size_t i = s.first * at->values; i < s.end * at->values; i += c)
        for (size_t j = 0; j < c; j++)
            p->before[i + j] = at->sum[i + j] * at->scale[j] + at->shift[j];
}

static void fill_output(nas_probe_pass *p, nas_probed *at, nas_probe_chunk s) {
    for (size_t i = s.first * at->values; i < s.end * at->values; i++)
        at->output[i] = nas_activation_value(at->layer->activation, p->before[i]);
}

/* From the output's gradient to that of `before`; sums [2][c] of it, and of it times the sum's
 * distance from its mean. */
static void activation_grad(nas_probe_pass *p, nas_probed *at, nas_probe_chunk s) {
    size_t c = at->layer->out.c;
    double *sums = chunk_sums(p, s);
    memset(sums, 0, 2 * c * sizeof *sums);
    for (size_t i = s.first * at->values; i < s.end * at->values; i += c)
        for (size_t j = 0; j < c; j++) {
            double d = at->grad[i + j] *=
                nas_activation_slope(at->layer->activation, p->before[i + j]);
            sums[j] += d;
            sums[c + j] += d * (at->sum[i + j] - at->mean[j]);
        }
}

/* From the gradient of `before` to that of sum (arXiv 1502.03167). */
static void norm_grad(nas_probe_pass *p, nas_probed *at, nas_probe_chunk s) {
    size_t c = at->layer->out.c;
    const double *offset = p->weight_grad, *along = offset + c;
    for (size_t i = s.first * at->values; i < s.end * at->values; i += c)
        for (size_t j = 0; j < c; j++) {
            double centred = at->sum[i + j] - at->mean[j];
            at->grad[i + j] = at->scale[j] * (at->grad[i + j] - offset[j] - along[j] * centred);
        }
}

static void affine_grad(nas_probe_pass *p, nas_probed *at) {
    size_t c = at->layer->out.c;
    size_t pixels = at->values / c;
    double rows = (double)p->batch->n * (double)pixels, *total = p->weight_grad;
    each_chunk(p, at, fill_before);
    each_chunk(p, at, activation_grad);
    if (!at->norm) return; /* the scale is 1 */
    add_chunks(p->sums, 2 * p->widest, total, 2 * c);
    for (size_t j = 0; j < c; j++) {
        total[j] /= rows;
        total[c + j] /= rows * (at->var[j] + p->supernet->space.batch_norm_epsilon);
    }
    each_chunk(p, at, norm_grad);
}

/* ---- Forward and backward ---- */

static int no_memory(const nas_probe_pass *p, nas_error *err) {
    return nas_fail(err, NAS_ERR_MEMORY,
                    "out of memory: a score looks at %u images at once; use fewer", p->batch->n);
}

static double *batch_values(const nas_probe_pass *p, const nas_probed *at) {
    return nas_alloc((size_t)p->batch->n * at->values, sizeof(double));
}

static void forget(nas_probed *at) {
    if (at->output != at->sum) free(at->output);
    free(at->sum);
    free(at->grad);
    at->sum = at->output = at->grad = NULL;
}

static nas_probe_layer view(const nas_probe_pass *p, const nas_probed *at, bool backward) {
    return (nas_probe_layer){.size = sizeof(nas_probe_layer),
                             .index = (uint32_t)(at - p->layers),
                             .layer = at->layer,
                             .images = p->batch->n,
                             .weight = at->layer->weights ? at->weight : NULL,
                             .sum = at->sum,
                             .before = p->before,
                             .output = at->output,
                             .variance = at->norm ? at->var : NULL,
                             .sum_grad = backward ? at->grad : NULL,
                             .weight_grad = backward && at->layer->weights ? p->weight_grad : NULL};
}

static int forward_layer(nas_probe_pass *p, uint32_t index, nas_error *err) {
    nas_probed *at = &p->layers[index];
    at->sum = batch_values(p, at);
    if (!at->sum) return no_memory(p, err);
    each_chunk(p, at, run_op);
    if (at->norm) normalise(p, at);
    each_chunk(p, at, fill_before);
    at->output = at->layer->weights ? batch_values(p, at) : at->sum;
    if (!at->output) return no_memory(p, err);
    if (at->layer->weights) each_chunk(p, at, fill_output);
    nas_probe_layer seen = view(p, at, false);
    if (p->probe->forward) p->probe->forward(p->probe->context, &seen);
    for (uint32_t i = 0; i <= index && p->probe->objective == NAS_PROBE_FORWARD; i++)
        if (p->layers[i].last_read <= index) forget(&p->layers[i]);
    return NAS_OK;
}

/* Makes room for the gradients that the layer adds to. */
static bool open_inputs(const nas_probe_pass *p, const nas_probed *at) {
    bool good = true;
    for (int i = 0; i < 2; i++) {
        if (at->layer->input[i] < 0) continue;
        nas_probed *from = &p->layers[at->layer->input[i]];
        if (!from->grad) from->grad = batch_values(p, from);
        good = good && from->grad;
    }
    return good;
}

static int backward_layer(nas_probe_pass *p, uint32_t index, nas_error *err) {
    nas_probed *at = &p->layers[index];
    if (!at->grad) at->grad = batch_values(p, at); /* nothing reads it: 0 */
    if (!at->grad || !open_inputs(p, at)) return no_memory(p, err);
    affine_grad(p, at);
    each_chunk(p, at, run_op_grad);
    add_chunks(p->partial, p->most_weights, p->weight_grad, at->layer->weights);
    nas_probe_layer seen = view(p, at, true);
    if (p->probe->backward) p->probe->backward(p->probe->context, &seen);
    forget(at);
    return NAS_OK;
}

/* The objective's gradient with respect to the logits. */
static void objective_grad(const nas_probe_pass *p, nas_probed *last) {
    size_t classes = last->values;
    for (size_t n = 0; n < p->batch->n; n++) {
        const double *logits = last->output + n * classes;
        double *grad = last->grad + n * classes, most = logits[0], total = 0;
        bool sum = p->probe->objective == NAS_PROBE_LOGIT_SUM;
        for (size_t c = 1; c < classes; c++) most = fmax(most, logits[c]);
        for (size_t c = 0; c < classes; c++) total += exp(logits[c] - most);
        for (size_t c = 0; c < classes; c++) {
            double target = !sum && (size_t)p->batch->labels[n] == c;
            grad[c] = sum ? 1 : (exp(logits[c] - most) / total - target) / p->batch->n;
        }
    }
}

static int run(nas_probe_pass *p, nas_error *err) {
    uint32_t n = p->network->n_layers;
    int rc = NAS_OK;
    for (uint32_t i = 0; i < n && !rc; i++) rc = forward_layer(p, i, err);
    if (rc || p->probe->objective == NAS_PROBE_FORWARD) return rc;
    nas_probed *last = &p->layers[n - 1];
    last->grad = batch_values(p, last);
    if (!last->grad) return no_memory(p, err);
    objective_grad(p, last);
    for (uint32_t i = n; i-- > 0 && !rc;) rc = backward_layer(p, i, err);
    if (!rc && p->probe->input)
        p->probe->input(p->probe->context, p->batch->n, p->network->image, p->batch->images,
                        p->image_grad);
    return rc;
}

/* ---- Opening ---- */

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Describes the layers; returns the most values that one has for an image. */
static size_t open_layers(nas_probe_pass *p) {
    size_t most = 0;
    for (uint32_t i = 0; i < p->network->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(p->network, i);
        size_t pixels = (size_t)layer->out.h * layer->out.w;
        p->layers[i] = (nas_probed){.layer = layer,
                                    .values = pixels * layer->out.c,
                                    .last_read = i,
                                    .norm = nas_layer_has_norm(layer) &&
                                            p->probe->norm == NAS_PROBE_BATCH_NORM};
        for (int j = 0; j < 2; j++)
            if (layer->input[j] >= 0) p->layers[layer->input[j]].last_read = i;
        most = larger(most, p->layers[i].values);
        p->widest = larger(p->widest, layer->out.c);
        p->most_weights = larger(p->most_weights, layer->weights);
        if (layer->op == NAS_OP_CONV && !nas_probe_is_direct(layer))
            p->patch_room = larger(p->patch_room, pixels * (layer->weights / layer->out.c));
    }
    return most;
}

static int open_pass(nas_probe_pass *p, nas_error *err) {
    nas_shape image = p->network->image;
    p->layers = nas_alloc(p->network->n_layers, sizeof *p->layers);
    if (!p->layers) return no_memory(p, err);
    size_t most = open_layers(p), n = p->batch->n;
    p->before = nas_alloc(n * most, sizeof(double));
    p->patches = nas_alloc(NAS_CHUNKS * 2 * p->patch_room, sizeof(double));
    p->sums = nas_alloc(NAS_CHUNKS * 2 * p->widest, sizeof(double));
    p->partial = nas_alloc(NAS_CHUNKS * p->most_weights, sizeof(double));
    p->weight_grad = nas_alloc(larger(p->most_weights, 2 * p->widest), sizeof(double));
    if (p->probe->input && p->probe->objective != NAS_PROBE_FORWARD) {
        p->image_grad = nas_alloc(n * image.h * image.w * image.c, sizeof(double));
        if (!p->image_grad) return no_memory(p, err);
    }
    if (!p->before || !p->patches || !p->sums || !p->partial || !p->weight_grad)
        return no_memory(p, err);
    return nas_probe_fill_weights(p, err);
}

static void close_pass(nas_probe_pass *p) {
    for (uint32_t i = 0; p->layers && i < p->network->n_layers; i++) forget(&p->layers[i]);
    free(p->layers);
    free(p->memory);
    free(p->before);
    free(p->patches);
    free(p->sums);
    free(p->partial);
    free(p->weight_grad);
    free(p->image_grad);
}

int nas_supernet_probe(const nas_supernet *supernet, const nas_network *network,
                       const nas_probe *probe, uint64_t seed, const nas_probe_batch *batch,
                       nas_pool *pool, nas_error *err) {
    nas_probe_pass p = {.supernet = supernet,
                        .network = network,
                        .probe = probe,
                        .batch = batch,
                        .pool = pool,
                        .seed = seed};
    int rc = open_pass(&p, err);
    if (!rc) rc = run(&p, err);
    close_pass(&p);
    return rc;
}
