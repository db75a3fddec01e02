/* The kernels against plain loops in double, for test_kernels.c (float) and test_grad_kernels.c
 * (double). Buffers have exactly the size they need, so that the address sanitizer sees a step
 * beyond. Include after <cmocka.h>. */
#ifndef NAS_TESTS_KERNEL_CHECKS_H
#define NAS_TESTS_KERNEL_CHECKS_H

#include "base/rng.h"
#include "nn/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Allowed difference, as a share of 1 + |value|; sums here have at most a few hundred terms. */
#define KERNEL_TOLERANCE (sizeof(nas_real) == sizeof(float) ? 3e-5 : 1e-12)

enum { KERNEL_ACTIVATIONS = NAS_ACT_SIGMOID + 1 };

static inline double plain_act(double t, nas_activation act) {
    double gate = fmin(fmax(t + 3, 0), 6) / 6, sigmoid = 1 / (1 + exp(-t));
    if (act == NAS_ACT_RELU) return fmax(t, 0);
    if (act == NAS_ACT_RELU6) return fmin(fmax(t, 0), 6);
    if (act == NAS_ACT_SWISH) return t * sigmoid;
    if (act == NAS_ACT_SIGMOID) return sigmoid;
    if (act == NAS_ACT_HSWISH) return t * gate;
    return act == NAS_ACT_HSIGMOID ? gate : t;
}

static inline double plain_slope(double t, nas_activation act) {
    bool inside = t > -3 && t < 3;
    double sigmoid = 1 / (1 + exp(-t));
    if (act == NAS_ACT_RELU) return t > 0;
    if (act == NAS_ACT_RELU6) return t > 0 && t < 6;
    if (act == NAS_ACT_SWISH) return sigmoid + t * sigmoid * (1 - sigmoid);
    if (act == NAS_ACT_SIGMOID) return sigmoid * (1 - sigmoid);
    if (act == NAS_ACT_HSWISH) return inside ? t / 3 + 0.5 : t >= 3;
    return act == NAS_ACT_HSIGMOID ? inside / 6.0 : 1;
}

static inline nas_real *kernel_alloc(size_t n) {
    nas_real *values = calloc(n ? n : 1, sizeof *values);
    assert_non_null(values);
    return values;
}

static inline nas_real *kernel_random(nas_rng *rng, size_t n) {
    nas_real *values = kernel_alloc(n);
    for (size_t i = 0; i < n; i++) values[i] = (nas_real)(4 * nas_rng_uniform(rng) - 2);
    return values;
}

static inline nas_real *kernel_copy(const nas_real *from, size_t n) {
    nas_real *values = kernel_alloc(n);
    memcpy(values, from, n * sizeof *values);
    return values;
}

/* A unit's output y [rows][c] with a and b, where no activation is near a kink: there a rounding
 * decides which slope is right. */
static inline nas_affine affine_random(nas_rng *rng, size_t rows, size_t c, nas_activation act) {
    nas_real *y = kernel_random(rng, rows * c), *a = kernel_random(rng, c);
    nas_real *b = kernel_random(rng, c);
    for (size_t i = 0; i < c; i++) a[i] = a[i] < 0 ? a[i] - 1 : a[i] + 1;
    for (size_t i = 0; i < rows * c; i++)
        for (int kink = -3; kink <= 6; kink += 3) {
            double t = (double)y[i] * (double)a[i % c] + (double)b[i % c];
            if (fabs(t - kink) < 1e-3) y[i] += (nas_real)0.01;
        }
    return (nas_affine){y, a, b, act};
}

static inline void affine_free(nas_affine *from) {
    free((void *)(uintptr_t)from->y);
    free((void *)(uintptr_t)from->a);
    free((void *)(uintptr_t)from->b);
}

static inline double plain_affine(const nas_affine *from, size_t i, size_t c) {
    return (double)from->a[i % c] * (double)from->y[i] + (double)from->b[i % c];
}

/* Where a check stands, for messages. */
typedef struct kernel_check {
    const nas_kernels *kernels;
    size_t rows, c;
    nas_activation act;
    char shape[80];
} kernel_check;

static inline void same_value(const kernel_check *k, const char *what, size_t i, double got,
                              double want) {
    if (!(fabs(got - want) <= KERNEL_TOLERANCE * (1 + fabs(want))))
        fail_msg("%s, %s, %zu rows of %zu, activation %d%s: value %zu: expected %.9g, found %.9g",
                 k->kernels->isa, what, k->rows, k->c, (int)k->act, k->shape, i, want, got);
}

static inline void same_values(const kernel_check *k, const char *what, const nas_real *got,
                               const double *want, size_t n) {
    for (size_t i = 0; i < n; i++) same_value(k, what, i, (double)got[i], want[i]);
}

/* sums [2][c], which began at 1, of x and x times y, each [rows][c]. */
static inline void same_sums(const kernel_check *k, const char *what, const double *sums,
                             const double *x, const double *y) {
    for (size_t c = 0; c < k->c; c++) {
        double sum = 1, dot = 1;
        for (size_t i = c; i < k->rows * k->c; i += k->c) {
            sum += x[i];
            dot += x[i] * y[i];
        }
        same_value(k, what, c, sums[c], sum);
        same_value(k, what, k->c + c, sums[k->c + c], dot);
    }
}

static inline double *sums_at_one(size_t c) {
    double *sums = malloc(2 * c * sizeof *sums);
    assert_non_null(sums);
    for (size_t i = 0; i < 2 * c; i++) sums[i] = 1;
    return sums;
}

static inline double *doubles(size_t n) {
    double *values = calloc(n ? n : 1, sizeof *values);
    assert_non_null(values);
    return values;
}

static inline void check_affine(const kernel_check *k, nas_rng *rng) {
    size_t n = k->rows * k->c;
    nas_affine from = affine_random(rng, k->rows, k->c, k->act), in_place = from;
    nas_real *residual = kernel_random(rng, n), *z = kernel_alloc(n), *y = kernel_copy(from.y, n);
    double *want = doubles(n);
    for (size_t i = 0; i < n; i++) want[i] = plain_act(plain_affine(&from, i, k->c), k->act);
    k->kernels->affine(z, &from, NULL, k->rows, k->c);
    same_values(k, "affine", z, want, n);
    in_place.y = y;
    k->kernels->affine(y, &in_place, NULL, k->rows, k->c);
    same_values(k, "affine in place", y, want, n);
    for (size_t i = 0; i < n; i++) want[i] += (double)residual[i];
    k->kernels->affine(z, &from, residual, k->rows, k->c);
    same_values(k, "affine with residual", z, want, n);
    affine_free(&from);
    free(residual), free(z), free(y), free(want);
}

static inline void check_columns(const kernel_check *k, nas_rng *rng) {
    size_t n = k->rows * k->c, c = k->c;
    nas_affine from = affine_random(rng, k->rows, c, k->act);
    nas_real *d = kernel_random(rng, n), *factors = kernel_random(rng, c), *out = kernel_alloc(c);
    double *sum = doubles(c), *acts = doubles(c), *dots = doubles(c), *y = doubles(n);
    double *scaled = doubles(n), *moments = sums_at_one(c);
    for (size_t i = 0; i < n; i++) {
        double x = plain_act(plain_affine(&from, i, c), k->act);
        y[i] = (double)from.y[i];
        sum[i % c] += (double)d[i];
        acts[i % c] += x;
        dots[i % c] += x * (double)d[i];
        scaled[i] = (double)d[i] * (double)factors[i % c];
    }
    k->kernels->column_sums(out, d, k->rows, c);
    same_values(k, "column_sums", out, sum, c);
    k->kernels->column_dots(out, NULL, &from, k->rows, c);
    same_values(k, "column_dots without d", out, acts, c);
    k->kernels->column_dots(out, d, &from, k->rows, c);
    same_values(k, "column_dots", out, dots, c);
    k->kernels->moments(moments, from.y, k->rows, c);
    same_sums(k, "moments", moments, y, y);
    k->kernels->scale(d, factors, k->rows, c);
    same_values(k, "scale", d, scaled, n);
    affine_free(&from);
    free(d), free(factors), free(out), free(sum), free(acts), free(dots), free(y);
    free(scaled), free(moments);
}

static inline double plain_bn_grad(const nas_real *g, const nas_real *y, const nas_real *k,
                                   size_t i, size_t c) {
    size_t j = i % c;
    return (double)k[j] * (double)g[i] + (double)k[c + j] * (double)y[i] + (double)k[2 * c + j];
}

static inline void check_bn_grad(const kernel_check *k, nas_rng *rng) {
    size_t n = k->rows * k->c;
    nas_real *g = kernel_random(rng, n), *y = kernel_random(rng, n), *dy = kernel_alloc(n);
    nas_real *factors = kernel_random(rng, 3 * k->c);
    double *want = doubles(n);
    for (size_t i = 0; i < n; i++) want[i] = plain_bn_grad(g, y, factors, i, k->c);
    k->kernels->bn_grad(dy, g, y, factors, k->rows, k->c);
    same_values(k, "bn_grad", dy, want, n);
    k->kernels->bn_grad(g, g, y, factors, k->rows, k->c);
    same_values(k, "bn_grad in place", g, want, n);
    free(g), free(y), free(dy), free(factors), free(want);
}

/* Every combination of what may be NULL; a shift comes with a scale. */
static inline void check_act_grad(const kernel_check *k, nas_rng *rng, bool scaled, bool shifted,
                                  bool added, bool in_place) {
    size_t n = k->rows * k->c, c = k->c;
    nas_affine from = affine_random(rng, k->rows, c, k->act);
    nas_real *d = kernel_random(rng, n), *g = in_place ? d : kernel_alloc(n);
    nas_real *scale = kernel_random(rng, c), *shift = kernel_random(rng, c);
    nas_real *residual = kernel_random(rng, n);
    double *want = doubles(n), *y = doubles(n), *sums = sums_at_one(c);
    for (size_t i = 0; i < n; i++) {
        double t = (double)d[i] * (scaled ? (double)scale[i % c] : 1);
        t += (shifted ? (double)shift[i % c] : 0) + (added ? (double)residual[i] : 0);
        want[i] = t * plain_slope(plain_affine(&from, i, c), k->act);
        y[i] = (double)from.y[i];
    }
    k->kernels->act_grad(g, d, &from, scaled ? scale : NULL, shifted ? shift : NULL,
                         added ? residual : NULL, sums, k->rows, c);
    char what[96];
    snprintf(what, sizeof what, "act_grad%s%s%s%s", scaled ? " scaled" : "",
             shifted ? " shifted" : "", added ? " with residual" : "", in_place ? " in place" : "");
    same_values(k, what, g, want, n);
    same_sums(k, what, sums, want, y);
    affine_free(&from);
    if (!in_place) free(g);
    free(d), free(scale), free(shift), free(residual), free(want), free(y), free(sums);
}

/* Every kernel on rows, for every instruction set. */
static inline void check_rows(size_t rows, size_t c) {
    for (int i = 0; nas_kernels_get(i); i++)
        for (uint32_t a = 0; a < KERNEL_ACTIVATIONS; a++) {
            kernel_check k = {nas_kernels_get(i), rows, c, (nas_activation)a, ""};
            nas_rng rng = nas_rng_open(1, NAS_RNG_TEST, rows, KERNEL_ACTIVATIONS * c + a);
            check_affine(&k, &rng);
            check_columns(&k, &rng);
            check_bn_grad(&k, &rng);
            for (int how = 0; how < 16; how++)
                if (!(how & 2) || how & 1)
                    check_act_grad(&k, &rng, how & 1, how & 2, how & 4, how & 8);
        }
}

/* ---- depthwise convolution ---- */

static inline size_t in_pixels(const nas_depthwise *s) {
    return s->h * s->w;
}

static inline size_t out_pixels(const nas_depthwise *s) {
    return s->oh * s->ow;
}

static inline nas_depthwise depthwise_shape(size_t h, size_t w, size_t c, size_t k, size_t stride,
                                            size_t pad) {
    size_t oh = (h + stride - 1) / stride, ow = (w + stride - 1) / stride;
    return (nas_depthwise){h, w, oh, ow, c, k, stride, pad};
}

/* Calls visit for every pair of an output and an input value that a tap joins. */
typedef void (*tap_fn)(void *context, size_t out, size_t tap, size_t in);
static inline void for_taps(const nas_depthwise *s, tap_fn visit, void *context) {
    for (size_t o = 0; o < out_pixels(s); o++)
        for (size_t tap = 0; tap < s->k * s->k; tap++) {
            size_t y = o / s->ow * s->stride + tap / s->k, x = o % s->ow * s->stride + tap % s->k;
            /* y and x count from the padding's edge */
            if (y < s->pad || x < s->pad || y - s->pad >= s->h || x - s->pad >= s->w) continue;
            for (size_t c = 0; c < s->c; c++)
                visit(context, o * s->c + c, tap * s->c + c,
                      ((y - s->pad) * s->w + x - s->pad) * s->c + c);
        }
}

typedef struct convolution {
    const double *x;
    const nas_real *weight;
    double *out;
} convolution;

static inline void convolve_tap(void *context, size_t out, size_t tap, size_t in) {
    const convolution *v = context;
    v->out[out] += v->x[in] * (double)v->weight[tap];
}

typedef struct convolution_grad {
    const double *x, *dy;
    const nas_real *weight;
    double *dx, *dw;
} convolution_grad;

static inline void grad_tap(void *context, size_t out, size_t tap, size_t in) {
    const convolution_grad *v = context;
    v->dx[in] += v->dy[out] * (double)v->weight[tap];
    v->dw[tap] += v->dy[out] * v->x[in];
}

static inline void check_depthwise(const kernel_check *k, const nas_depthwise *s, nas_rng *rng,
                                   bool added, bool stored, bool summed) {
    size_t n = in_pixels(s) * s->c, m = out_pixels(s) * s->c, taps = s->k * s->k * s->c;
    nas_affine from = affine_random(rng, in_pixels(s), s->c, k->act);
    nas_real *residual = kernel_random(rng, n), *weight = kernel_random(rng, taps);
    nas_real *z = kernel_alloc(n), *out = kernel_alloc(m);
    nas_real *scratch = kernel_random(rng, nas_depthwise_scratch(s));
    double *x = doubles(n), *want = doubles(m), *sums = sums_at_one(s->c);
    for (size_t i = 0; i < n; i++)
        x[i] = plain_act(plain_affine(&from, i, s->c), k->act) + (added ? (double)residual[i] : 0);
    for_taps(s, convolve_tap, &(convolution){x, weight, want});
    k->kernels->depthwise(s, &from, added ? residual : NULL, stored ? z : NULL, weight, out,
                          summed ? sums : NULL, scratch);
    same_values(k, "depthwise", out, want, m);
    if (stored) same_values(k, "depthwise: z", z, x, n);
    if (summed) same_sums(k, "depthwise: sums", sums, want, want);
    affine_free(&from);
    free(residual), free(weight), free(z), free(out), free(scratch);
    free(x), free(want), free(sums);
}

/* What depthwise_grad reads and writes. from is below, or a node: the stored x. */
typedef struct depthwise_data {
    nas_affine below, from;
    nas_real *g, *y, *k, *weight, *weight_grad, *residual, *g_in, *node, *scratch;
    double *sums;
} depthwise_data;

static inline depthwise_data depthwise_random(const nas_depthwise *s, nas_activation act,
                                              nas_rng *rng, bool node) {
    size_t n = in_pixels(s) * s->c, m = out_pixels(s) * s->c, taps = s->k * s->k * s->c;
    depthwise_data d = {.below = affine_random(rng, in_pixels(s), s->c, act),
                        .g = kernel_random(rng, m),
                        .y = kernel_random(rng, m),
                        .k = kernel_random(rng, 3 * s->c),
                        .weight = kernel_random(rng, taps),
                        .weight_grad = kernel_random(rng, taps),
                        .residual = kernel_random(rng, n),
                        .g_in = kernel_alloc(n),
                        .node = kernel_alloc(n + 2 * s->c),
                        .scratch = kernel_random(rng, nas_depthwise_scratch(s)),
                        .sums = sums_at_one(s->c)};
    d.from = d.below;
    if (!node) return d;
    for (size_t i = 0; i < n; i++)
        d.node[i] = (nas_real)plain_act(plain_affine(&d.below, i, s->c), act) +
                    (nas_real)(0.1 * (double)(i % 7));
    for (size_t c = 0; c < s->c; c++) d.node[n + c] = 1; /* a and b of the identity */
    d.from = (nas_affine){d.node, d.node + n, d.node + n + s->c, NAS_ACT_NONE};
    return d;
}

static inline void depthwise_free(depthwise_data *d) {
    affine_free(&d->below);
    free(d->g), free(d->y), free(d->k), free(d->weight), free(d->weight_grad), free(d->residual);
    free(d->g_in), free(d->node), free(d->scratch), free(d->sums);
}

static inline void check_depthwise_grad(const kernel_check *k, const nas_depthwise *s, nas_rng *rng,
                                        bool node, bool added) {
    size_t n = in_pixels(s) * s->c, m = out_pixels(s) * s->c, taps = s->k * s->k * s->c;
    depthwise_data d = depthwise_random(s, k->act, rng, node);
    double *x = doubles(n), *dx = doubles(n), *dy = doubles(m), *dw = doubles(taps);
    double *below = doubles(n);
    for (size_t i = 0; i < n; i++) {
        x[i] = plain_act(plain_affine(&d.from, i, s->c), d.from.act);
        dx[i] = added ? (double)d.residual[i] : 0;
        below[i] = (double)d.below.y[i];
    }
    for (size_t i = 0; i < m; i++) dy[i] = plain_bn_grad(d.g, d.y, d.k, i, s->c);
    for (size_t i = 0; i < taps; i++)
        dw[i] = (double)d.weight_grad[i]; /* it adds to what is there */
    for_taps(s, grad_tap, &(convolution_grad){x, dy, d.weight, dx, dw});
    for (size_t i = 0; i < n; i++) dx[i] *= plain_slope(plain_affine(&d.below, i, s->c), k->act);
    k->kernels->depthwise_grad(s, d.g, d.y, d.k, &d.from, d.weight, d.weight_grad, &d.below,
                               added ? d.residual : NULL, d.g_in, d.sums, d.scratch);
    same_values(k, "depthwise_grad: weight_grad", d.weight_grad, dw, taps);
    same_values(k, "depthwise_grad: g_in", d.g_in, dx, n);
    same_sums(k, "depthwise_grad: sums", d.sums, dx, below);
    depthwise_free(&d);
    free(x), free(dx), free(dy), free(dw), free(below);
}

/* Both depthwise kernels on a shape, for every instruction set: the activation and what may be
 * NULL are drawn, twice. */
static inline void check_shape(const nas_depthwise *s) {
    for (int i = 0; nas_kernels_get(i); i++)
        for (uint64_t round = 0; round < 2; round++) {
            nas_rng rng = nas_rng_open(2 + (uint64_t)i, NAS_RNG_TEST, s->h * 64 + s->c,
                                       ((s->k * 16 + s->stride) * 8 + s->pad) * 2 + round);
            uint32_t how = nas_rng_u32(&rng);
            nas_activation act = (nas_activation)nas_rng_below(&rng, KERNEL_ACTIVATIONS);
            kernel_check k = {nas_kernels_get(i), in_pixels(s), s->c, act, ""};
            snprintf(k.shape, sizeof k.shape, ", %zux%zu, kernel %zu, stride %zu, padding %zu",
                     s->h, s->w, s->k, s->stride, s->pad);
            check_depthwise_grad(&k, s, &rng, how & 4, how & 8);
            k.rows = out_pixels(s);
            check_depthwise(&k, s, &rng, how & 16, how & 32, how & 64);
        }
}

static const size_t kernel_channels[] = {1, 3, 7, 8, 15, 24, 40};

static inline void check_all_rows(void) {
    static const size_t rows[] = {1, 2, 35, 64};
    for (size_t r = 0; r < 4; r++)
        for (size_t c = 0; c < 7; c++) check_rows(rows[r], kernel_channels[c]);
}

static inline void check_all_shapes(void) {
    static const size_t sides[][2] = {{1, 1}, {2, 3}, {7, 5}, {4, 6}, {3, 19}};
    for (size_t side = 0; side < 5; side++)
        for (size_t c = 0; c < 7; c++)
            for (size_t k = 1; k <= 7; k += 2)
                for (size_t stride = 1; stride <= 3; stride++)
                    for (size_t less = 0; less < 2 && less <= k / 2; less++) {
                        nas_depthwise s =
                            depthwise_shape(sides[side][0], sides[side][1], kernel_channels[c], k,
                                            stride, k / 2 - less);
                        check_shape(&s);
                    }
    nas_depthwise wide = depthwise_shape(5, 12, 300, 5, 2, 2); /* more than a group of channels */
    check_shape(&wide);
    wide.pad = 1;
    check_shape(&wide);
}

#endif
