#include "supernet/probe_ops.h"

#include "nn/gemm.h"

#include <string.h>

/* What input `which` of a layer holds, from an image on. */
static const double *input_values(const nas_probe_pass *p, const nas_layer *layer, int which,
                                  uint32_t image) {
    int32_t from = layer->input[which];
    if (from < 0) return p->batch->images + image * nas_shape_elements(p->network->image);
    return p->layers[from].output + image * p->layers[from].values;
}

/* Its gradient, or NULL where nobody asks. */
static double *input_grad(const nas_probe_pass *p, const nas_layer *layer, int which,
                          uint32_t image) {
    int32_t from = layer->input[which];
    if (from >= 0) return p->layers[from].grad + image * p->layers[from].values;
    return p->image_grad ? p->image_grad + image * nas_shape_elements(p->network->image) : NULL;
}

/* ---- Convolutions as products ---- */

static size_t out_pixels(const nas_layer *layer) {
    return (size_t)layer->out.h * layer->out.w;
}

static size_t taps(const nas_layer *layer) {
    return (size_t)layer->kernel * layer->kernel;
}

/* The input pixel that output pixel o reads by tap t; false if it lies outside. */
static bool find_tap(const nas_layer *layer, size_t o, size_t t, size_t *i) {
    int k = (int)layer->kernel, w = (int)layer->out.w, stride = (int)layer->stride;
    int pad = (int)layer->pad_before;
    int y = (int)o / w * stride + (int)t / k - pad, x = (int)o % w * stride + (int)t % k - pad;
    *i = (size_t)(y * (int)layer->in.w + x);
    return y >= 0 && x >= 0 && y < (int)layer->in.h && x < (int)layer->in.w;
}

/* Patches [out.h * out.w][k * k][in.c] of one image, zero outside. */
static void take_patches(const nas_layer *layer, const double *image, double *patches) {
    size_t c = layer->in.c, i;
    for (size_t o = 0; o < out_pixels(layer); o++)
        for (size_t t = 0; t < taps(layer); t++, patches += c)
            if (find_tap(layer, o, t, &i))
                memcpy(patches, image + i * c, c * sizeof *patches);
            else
                memset(patches, 0, c * sizeof *patches);
}

static void add_patches(const nas_layer *layer, const double *patches, double *image) {
    size_t c = layer->in.c, i;
    for (size_t o = 0; o < out_pixels(layer); o++)
        for (size_t t = 0; t < taps(layer); t++, patches += c)
            for (size_t j = 0; find_tap(layer, o, t, &i) && j < c; j++)
                image[i * c + j] += patches[j];
}

static void product(const nas_probe_pass *p, const nas_probed *at, nas_probe_chunk s) {
    const nas_layer *layer = at->layer;
    size_t pixels = out_pixels(layer), in = layer->weights / layer->out.c;
    double *patches = p->patches + (size_t)s.thread * 2 * p->patch_room;
    uint32_t step = nas_probe_is_direct(layer) ? s.end - s.first : 1;
    for (uint32_t n = s.first; n < s.end; n += step) {
        const double *x = input_values(p, layer, 0, n);
        if (!nas_probe_is_direct(layer)) {
            take_patches(layer, x, patches);
            x = patches;
        }
        nas_gemm_double(step * pixels, layer->out.c, in, x, false, at->weight, false, 0,
                        at->sum + n * at->values);
    }
}

static void product_grad(const nas_probe_pass *p, const nas_probed *at, nas_probe_chunk s) {
    const nas_layer *layer = at->layer;
    size_t pixels = out_pixels(layer), in = layer->weights / layer->out.c;
    double *patches = p->patches + (size_t)s.thread * 2 * p->patch_room;
    double *patches_grad = patches + p->patch_room;
    double *partial = p->partial + (size_t)s.chunk * p->most_weights;
    uint32_t step = nas_probe_is_direct(layer) ? s.end - s.first : 1;
    for (uint32_t n = s.first; n < s.end; n += step) {
        const double *x = input_values(p, layer, 0, n), *d = at->grad + n * at->values;
        double *dx = input_grad(p, layer, 0, n);
        if (!nas_probe_is_direct(layer)) {
            take_patches(layer, x, patches);
            x = patches;
        }
        nas_gemm_double(in, layer->out.c, step * pixels, x, true, d, false, 1, partial);
        if (!dx) continue;
        bool here = nas_probe_is_direct(layer);
        nas_gemm_double(step * pixels, in, layer->out.c, d, false, at->weight, true, here,
                        here ? dx : patches_grad);
        if (!here) add_patches(layer, patches_grad, dx);
    }
}

/* ---- Depthwise convolutions ---- */

/* y += x * w */
static void add_products(double *restrict y, const double *restrict x, const double *restrict w,
                         size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += x[i] * w[i];
}

static void depthwise(const nas_probe_pass *p, const nas_probed *at, nas_probe_chunk s) {
    size_t c = at->layer->out.c, i;
    for (uint32_t n = s.first; n < s.end; n++) {
        const double *x = input_values(p, at->layer, 0, n);
        double *y = at->sum + n * at->values;
        memset(y, 0, at->values * sizeof *y);
        for (size_t o = 0; o < out_pixels(at->layer); o++)
            for (size_t t = 0; t < taps(at->layer); t++)
                if (find_tap(at->layer, o, t, &i))
                    add_products(y + o * c, x + i * c, at->weight + t * c, c);
    }
}

static void depthwise_grad(const nas_probe_pass *p, const nas_probed *at, nas_probe_chunk s) {
    size_t c = at->layer->out.c, i;
    double *partial = p->partial + (size_t)s.chunk * p->most_weights;
    for (uint32_t n = s.first; n < s.end; n++) {
        const double *x = input_values(p, at->layer, 0, n), *d = at->grad + n * at->values;
        double *dx = input_grad(p, at->layer, 0, n);
        for (size_t o = 0; o < out_pixels(at->layer); o++)
            for (size_t t = 0; t < taps(at->layer); t++) {
                if (!find_tap(at->layer, o, t, &i)) continue;
                add_products(partial + t * c, x + i * c, d + o * c, c);
                if (dx) add_products(dx + i * c, at->weight + t * c, d + o * c, c);
            }
    }
}

/* ---- Layers without weights ---- */

static void pool(const nas_probe_pass *p, const nas_probed *at, nas_probe_chunk s) {
    size_t c = at->layer->out.c, pixels = (size_t)at->layer->in.h * at->layer->in.w;
    for (uint32_t n = s.first; n < s.end; n++) {
        const double *x = input_values(p, at->layer, 0, n);
        double *y = at->sum + n * c;
        memset(y, 0, c * sizeof *y);
        for (size_t i = 0; i < pixels * c; i++) y[i % c] += x[i];
        for (size_t j = 0; j < c; j++) y[j] /= (double)pixels;
    }
}

static void pool_grad(const nas_probe_pass *p, const nas_probed *at, nas_probe_chunk s) {
    size_t c = at->layer->out.c, pixels = (size_t)at->layer->in.h * at->layer->in.w;
    for (uint32_t n = s.first; n < s.end; n++) {
        double *dx = input_grad(p, at->layer, 0, n);
        const double *d = at->grad + n * c;
        for (size_t i = 0; dx && i < pixels * c; i++) dx[i] += d[i % c] / (double)pixels;
    }
}

/* Additions and scalings; with `plain` the first input as it is. */
static void pair(const nas_probe_pass *p, const nas_probed *at, nas_probe_chunk s) {
    size_t c = at->layer->out.c;
    bool add = at->layer->op == NAS_OP_ADD;
    for (uint32_t n = s.first; n < s.end; n++) {
        const double *a = input_values(p, at->layer, 0, n), *b = input_values(p, at->layer, 1, n);
        double *y = at->sum + n * at->values;
        for (size_t i = 0; i < at->values; i++)
            y[i] = p->probe->plain ? a[i] : add ? a[i] + b[i] : a[i] * b[i % c];
    }
}

static void pair_grad(const nas_probe_pass *p, const nas_probed *at, nas_probe_chunk s) {
    size_t c = at->layer->out.c;
    bool add = at->layer->op == NAS_OP_ADD || p->probe->plain;
    for (uint32_t n = s.first; n < s.end; n++) {
        const double *a = input_values(p, at->layer, 0, n), *b = input_values(p, at->layer, 1, n);
        const double *d = at->grad + n * at->values;
        double *da = input_grad(p, at->layer, 0, n), *db = input_grad(p, at->layer, 1, n);
        for (size_t i = 0; i < at->values; i++) da[i] += add ? d[i] : d[i] * b[i % c];
        if (p->probe->plain) continue;
        for (size_t i = 0; i < at->values; i++) db[add ? i : i % c] += add ? d[i] : d[i] * a[i];
    }
}

/* ---- Any layer ---- */

typedef void (*op_fn)(const nas_probe_pass *p, const nas_probed *at, nas_probe_chunk s);

void nas_probe_op(const nas_probe_pass *p, uint32_t index, nas_probe_chunk at) {
    static const op_fn ops[] = {
        [NAS_OP_CONV] = product, [NAS_OP_DEPTHWISE] = depthwise, [NAS_OP_LINEAR] = product,
        [NAS_OP_POOL] = pool,    [NAS_OP_SCALE] = pair,          [NAS_OP_ADD] = pair};
    const nas_probed *layer = &p->layers[index];
    if (at.first < at.end) ops[layer->layer->op](p, layer, at);
}

void nas_probe_op_grad(const nas_probe_pass *p, uint32_t index, nas_probe_chunk at) {
    static const op_fn ops[] = {[NAS_OP_CONV] = product_grad,   [NAS_OP_DEPTHWISE] = depthwise_grad,
                                [NAS_OP_LINEAR] = product_grad, [NAS_OP_POOL] = pool_grad,
                                [NAS_OP_SCALE] = pair_grad,     [NAS_OP_ADD] = pair_grad};
    const nas_probed *layer = &p->layers[index];
    double *partial = p->partial + (size_t)at.chunk * p->most_weights;
    memset(partial, 0, layer->layer->weights * sizeof *partial);
    if (at.first < at.end) ops[layer->layer->op](p, layer, at);
}
