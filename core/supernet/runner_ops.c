#include "supernet/runner_ops.h"

#include "nn/gemm.h"

#include <string.h>

/* In 8 bits the terms of a sum that is exact in nas_real: 512 * 255 * 127 < 2^24. Longer sums are
 * added up in 32 bits. */
#define EXACT 512

/* Layer i of the image that a lane is at. */
typedef struct step {
    const nas_runner *r;
    const nas_runner_lane *l;
    uint32_t i;
    const nas_layer *layer;
    const nas_int8_layer *q; /* NULL: single precision */
    const nas_real *in[2];
    nas_real *out;
    size_t pixels, values; /* of the result */
} step;

static nas_real *tensor(const step *s, int32_t index) {
    return s->l->tensors + s->r->place[index < 0 ? s->r->network->n_layers : (uint32_t)index];
}

/* ---- op(input), into sums; in 8 bits with the bias into whole ---- */

/* Patches [pixels][k * k][in.c], zero outside. */
static const nas_real *patches(const step *s) {
    const nas_layer *layer = s->layer;
    size_t c = layer->in.c, bytes = c * sizeof(nas_real);
    int k = (int)layer->kernel, stride = (int)layer->stride, pad = (int)layer->pad_before;
    int h = (int)layer->in.h, w = (int)layer->in.w;
    if (nas_runner_direct(layer)) return s->in[0];
    nas_real *to = s->l->columns;
    for (int o = 0; o < (int)s->pixels; o++) {
        int top = o / (int)layer->out.w * stride - pad;
        int left = o % (int)layer->out.w * stride - pad;
        for (int tap = 0; tap < k * k; tap++, to += c) {
            int y = top + tap / k, x = left + tap % k;
            if (y >= 0 && y < h && x >= 0 && x < w)
                memcpy(to, s->in[0] + (size_t)(y * w + x) * c, bytes);
            else
                memset(to, 0, bytes);
        }
    }
    return s->l->columns;
}

static void start_whole(const step *s) {
    size_t c = s->layer->out.c;
    for (size_t p = 0; s->q && p < s->pixels; p++)
        memcpy(s->l->whole + p * c, s->q->bias, c * sizeof *s->l->whole);
}

static void add_whole(const step *s) {
    for (size_t j = 0; s->q && j < s->values; j++) s->l->whole[j] += (int32_t)s->l->sums[j];
}

static void product(const step *s) {
    size_t depth = s->layer->weights / s->layer->out.c, n = s->layer->out.c;
    size_t most = s->q ? EXACT : depth;
    const nas_real *x = patches(s);
    start_whole(s);
    for (size_t k = 0; k < depth; k += most) {
        nas_matrix a = {x + k, depth, false}, b = {s->r->weight[s->i] + k * n, n, false};
        nas_gemm(s->pixels, n, depth - k < most ? depth - k : most, a, b, 0, s->l->sums, n);
        add_whole(s);
    }
}

static void depthwise(const step *s) {
    const nas_depthwise shape = nas_runner_shape(s->layer);
    const nas_affine from = {s->in[0], s->r->ones, s->r->zeros, NAS_ACT_NONE};
    s->r->kernels->depthwise(&shape, &from, NULL, NULL, s->r->weight[s->i], s->l->sums, NULL,
                             s->l->scratch);
    start_whole(s);
    add_whole(s);
}

static void pool(const step *s) {
    size_t c = s->layer->in.c, n = (size_t)s->layer->in.h * s->layer->in.w;
    if (s->q) {
        memset(s->l->whole, 0, c * sizeof *s->l->whole);
        for (size_t p = 0; p < n; p++)
            for (size_t j = 0; j < c; j++) s->l->whole[j] += (int32_t)s->in[0][p * c + j];
        return;
    }
    s->r->kernels->column_sums(s->l->sums, s->in[0], n, c);
    for (size_t j = 0; j < c; j++) s->l->sums[j] /= (nas_real)n;
}

static void scale(const step *s) {
    for (size_t p = 0, j = 0; p < s->pixels; p++)
        for (size_t o = 0; o < s->layer->out.c; o++, j++) s->l->sums[j] = s->in[0][j] * s->in[1][o];
    for (size_t j = 0; s->q && j < s->values; j++) s->l->whole[j] = (int32_t)s->l->sums[j];
}

/* In 8 bits the addends keep their own factors: see narrow_add. */
static void add(const step *s) {
    for (size_t j = 0; !s->q && j < s->values; j++) s->l->sums[j] = s->in[0][j] + s->in[1][j];
}

/* ---- Sums to results ---- */

static nas_range range_of(const nas_real *values, size_t n) {
    nas_real low = values[0], high = values[0];
    for (size_t j = 0; j < n; j++) {
        low = values[j] < low ? values[j] : low;
        high = values[j] > high ? values[j] : high;
    }
    return (nas_range){(float)low, (float)high};
}

static void finish(const step *s, nas_range *ranges) {
    const nas_layer *layer = s->layer;
    for (size_t p = 0, j = 0; p < s->pixels; p++)
        for (size_t o = 0; o < layer->out.c; o++, j++)
            s->out[j] = s->l->sums[j] + (layer->biases ? (nas_real)layer->bias[o] : 0);
    if (ranges) ranges[s->i] = range_of(s->out, s->values);
    const nas_affine from = {s->out, s->r->ones, s->r->zeros, (nas_activation)layer->activation};
    if (layer->activation) s->r->kernels->affine(s->out, &from, NULL, s->pixels, layer->out.c);
    if (ranges) ranges[s->r->network->n_layers + s->i] = range_of(s->out, s->values);
}

/* What each of the 256 sums becomes: its activation less the result's zero. */
static void fill_settled(const nas_int8_layer *q, nas_real settled[256]) {
    for (int i = 0; i < 256; i++)
        settled[i] = (nas_real)((q->has_table ? q->table[i] : i - 128) - q->result.zero);
}

static void narrow_add(const step *s, const nas_real settled[256]) {
    const int64_t first = s->q->factor[0], second = s->q->factor[1];
    const int32_t zero = s->q->sum.zero;
    const int shift = s->q->shift;
    for (size_t j = 0; j < s->values; j++) {
        int64_t product = first * (int32_t)s->in[0][j] + second * (int32_t)s->in[1][j];
        s->out[j] = settled[nas_int8_narrow(product, shift, zero) + 128];
    }
}

/* each: 1 where every channel has a factor of its own, 0 where all have one. */
static void narrow_sums(const step *s, size_t each, const nas_real settled[256]) {
    const int32_t *factor = s->q->factor, *whole = s->l->whole, zero = s->q->sum.zero;
    const size_t channels = s->layer->out.c;
    const int shift = s->q->shift;
    nas_real *out = s->out;
    for (size_t p = 0; p < s->pixels; p++, whole += channels, out += channels)
        for (size_t o = 0; o < channels; o++) {
            int64_t product = (int64_t)whole[o] * factor[o * each];
            out[o] = settled[nas_int8_narrow(product, shift, zero) + 128];
        }
}

static void finish_int8(const step *s) {
    nas_real settled[256];
    fill_settled(s->q, settled);
    if (s->layer->op == NAS_OP_ADD)
        narrow_add(s, settled);
    else
        narrow_sums(s, s->layer->weights ? 1 : 0, settled);
}

static void finish_last(const step *s, float *logits) {
    for (size_t o = 0; o < s->values; o++)
        logits[o] = (float)s->l->whole[o] * (s->q->in[0].scale * s->q->scale[o]);
}

void nas_runner_layer(const nas_runner *r, uint32_t i, const nas_runner_lane *l, nas_range *ranges,
                      float *logits) {
    static void (*const ops[])(const step *) = {
        [NAS_OP_CONV] = product, [NAS_OP_DEPTHWISE] = depthwise, [NAS_OP_LINEAR] = product,
        [NAS_OP_POOL] = pool,    [NAS_OP_SCALE] = scale,         [NAS_OP_ADD] = add};
    const nas_layer *layer = nas_network_layer(r->network, i);
    bool last = i + 1 == r->network->n_layers;
    step s = {.r = r,
              .l = l,
              .i = i,
              .layer = layer,
              .q = r->int8 ? &r->layers[i] : NULL,
              .pixels = (size_t)layer->out.h * layer->out.w,
              .values = nas_shape_elements(layer->out)};
    for (int k = 0; k < 2; k++)
        if (layer->input[k] != NAS_INPUT_NONE) s.in[k] = tensor(&s, layer->input[k]);
    s.out = tensor(&s, (int32_t)i);
    ops[layer->op](&s);
    if (s.q && last)
        finish_last(&s, logits);
    else if (s.q)
        finish_int8(&s);
    else
        finish(&s, ranges);
    for (size_t o = 0; !s.q && last && logits && o < s.values; o++) logits[o] = (float)s.out[o];
}
