/* The engine's inner loops and matrix products in double: against plain loops, and their gradients
 * against central finite differences of what they are the gradients of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gemm_checks.h"
#include "kernel_checks.h"

#define STEP 2e-6
#define TOLERANCE 1e-7 /* of 1 + |derivative|; the differences' own error is near 1e-9 */
#define EPSILON 1e-5   /* of batch norm here */

static void rows_are_those_of_plain_loops(void **state) {
    (void)state;
    check_all_rows();
}

static void depthwise_is_that_of_plain_loops(void **state) {
    (void)state;
    check_all_shapes();
}

static void products_are_those_of_plain_loops(void **state) {
    (void)state;
    check_all_products();
    check_all_multiplies();
}

/* Batch norm of y [rows][c] by its own statistics, as bn_grad's k: dy = k0 g + k1 y + k2. */
static void bn_factors(const double *y, const double *g, const double *gamma, size_t rows, size_t c,
                       double *k) {
    for (size_t j = 0; j < c; j++) {
        double mean = 0, var = 0, sum = 0, dot = 0, n = (double)rows;
        for (size_t i = j; i < rows * c; i += c) mean += y[i] / n;
        for (size_t i = j; i < rows * c; i += c) var += (y[i] - mean) * (y[i] - mean) / n;
        double inverse = 1 / sqrt(var + EPSILON);
        for (size_t i = j; i < rows * c; i += c) {
            sum += g[i];
            dot += g[i] * (y[i] - mean) * inverse;
        }
        k[j] = gamma[j] * inverse;
        k[c + j] = -k[j] * inverse * dot / n;
        k[2 * c + j] = -k[j] * sum / n - k[c + j] * mean;
    }
}

/* sum over g times batch norm of y. */
static double bn_loss(const double *y, const double *g, const double *gamma, size_t rows,
                      size_t c) {
    double loss = 0;
    for (size_t j = 0; j < c; j++) {
        double mean = 0, var = 0, n = (double)rows;
        for (size_t i = j; i < rows * c; i += c) mean += y[i] / n;
        for (size_t i = j; i < rows * c; i += c) var += (y[i] - mean) * (y[i] - mean) / n;
        for (size_t i = j; i < rows * c; i += c)
            loss += g[i] * gamma[j] * (y[i] - mean) / sqrt(var + EPSILON);
    }
    return loss;
}

typedef double (*loss_fn)(const void *context);

/* Compares gradient [n] with central differences of loss in values [n], at most 40 of them. */
static void compare(const char *what, loss_fn loss, const void *context, double *values,
                    const double *gradient, size_t n) {
    for (size_t i = 0; i < n; i += n / 40 + 1) {
        double kept = values[i];
        values[i] = kept + STEP;
        double up = loss(context);
        values[i] = kept - STEP;
        double slope = (up - loss(context)) / (2 * STEP);
        values[i] = kept;
        if (!(fabs(slope - gradient[i]) <= TOLERANCE * (1 + fabs(slope))))
            fail_msg("%s: value %zu of %zu: finite difference %.10g, gradient %.10g", what, i, n,
                     slope, gradient[i]);
    }
}

typedef struct bn_case {
    double *y, *g, *gamma;
    size_t rows, c;
} bn_case;

static double bn_case_loss(const void *context) {
    const bn_case *b = context;
    return bn_loss(b->y, b->g, b->gamma, b->rows, b->c);
}

static void bn_grad_is_the_slope(void **state) {
    (void)state;
    for (int set = 0; nas_kernels_get(set); set++)
        for (size_t i = 0; i < 7; i++) {
            nas_rng rng = nas_rng_open(4, NAS_RNG_TEST, 0, i);
            size_t c = kernel_channels[i], n = 21 * c;
            bn_case b = {kernel_random(&rng, n), kernel_random(&rng, n), kernel_random(&rng, c), 21,
                         c};
            double *k = doubles(3 * c), *dy = doubles(n);
            bn_factors(b.y, b.g, b.gamma, b.rows, c, k);
            nas_kernels_get(set)->bn_grad(dy, b.g, b.y, k, b.rows, c);
            compare("bn_grad", bn_case_loss, &b, b.y, dy, n);
            free(b.y), free(b.g), free(b.gamma), free(k), free(dy);
        }
}

/* sum over (d scale + shift + residual) act(a y + b). */
typedef struct act_case {
    nas_affine from;
    double *d, *scale, *shift, *residual;
    size_t rows, c;
} act_case;

static double act_loss(const void *context) {
    const act_case *a = context;
    double loss = 0;
    for (size_t i = 0; i < a->rows * a->c; i++)
        loss += (a->d[i] * a->scale[i % a->c] + a->shift[i % a->c] + a->residual[i]) *
                plain_act(plain_affine(&a->from, i, a->c), a->from.act);
    return loss;
}

/* From the gradient at a y + b to that at y. */
static void through_affine(double *g, const nas_affine *from, size_t n, size_t c) {
    for (size_t i = 0; i < n; i++) g[i] *= from->a[i % c];
}

static void act_grad_is_the_slope(void **state) {
    (void)state;
    for (int set = 0; nas_kernels_get(set); set++)
        for (size_t i = 0; i < 49; i++) {
            nas_rng rng = nas_rng_open(5, NAS_RNG_TEST, 0, i);
            size_t c = kernel_channels[i / 7], n = 15 * c;
            act_case a = {affine_random(&rng, 15, c, (nas_activation)(i % KERNEL_ACTIVATIONS)),
                          kernel_random(&rng, n),
                          kernel_random(&rng, c),
                          kernel_random(&rng, c),
                          kernel_random(&rng, n),
                          15,
                          c};
            double *g = doubles(n), *sums = doubles(2 * c);
            nas_kernels_get(set)->act_grad(g, a.d, &a.from, a.scale, a.shift, a.residual, sums,
                                           a.rows, c);
            through_affine(g, &a.from, n, c);
            compare("act_grad", act_loss, &a, (double *)(uintptr_t)a.from.y, g, n);
            affine_free(&a.from);
            free(a.d), free(a.scale), free(a.shift), free(a.residual), free(g), free(sums);
        }
}

/* x = act(a y + b) of the unit below (+ a residual: then x is a node), convolved, batch-normalised:
 * sum over g times that, plus sum over residual times x where a later layer reads x too. */
typedef struct depthwise_case {
    const nas_depthwise *s;
    depthwise_data *d;
    const double *gamma, *node; /* what is added to x, or NULL */
    bool added;
    double *x, *out; /* work memory */
} depthwise_case;

static double depthwise_loss(const void *context) {
    const depthwise_case *v = context;
    size_t n = in_pixels(v->s) * v->s->c, m = out_pixels(v->s) * v->s->c;
    double loss = 0;
    for (size_t i = 0; i < n; i++) {
        v->x[i] = plain_act(plain_affine(&v->d->below, i, v->s->c), v->d->below.act);
        if (v->node) v->x[i] += v->node[i];
        if (v->added) loss += v->d->residual[i] * v->x[i];
    }
    memset(v->out, 0, m * sizeof *v->out);
    for_taps(v->s, convolve_tap, &(convolution){v->x, v->d->weight, v->out});
    return loss + bn_loss(v->out, v->d->g, v->gamma, out_pixels(v->s), v->s->c);
}

static void check_depthwise_slopes(const nas_kernels *kernels, const nas_depthwise *s,
                                   nas_activation act, bool node, bool added) {
    nas_rng rng = nas_rng_open(6, NAS_RNG_TEST, s->k * 16 + s->stride, s->c * 4 + act);
    size_t n = in_pixels(s) * s->c, m = out_pixels(s) * s->c, taps = s->k * s->k * s->c;
    depthwise_data d = depthwise_random(s, act, &rng, node);
    double *gamma = kernel_random(&rng, s->c), *more = doubles(n);
    depthwise_case v = {s, &d, gamma, node ? more : NULL, added, doubles(n), doubles(m)};
    for (size_t i = 0; node && i < n; i++)
        more[i] = d.node[i] - plain_act(plain_affine(&d.below, i, s->c), act);
    depthwise_loss(&v);
    memcpy(d.y, v.out, m * sizeof *d.y);
    bn_factors(d.y, d.g, gamma, out_pixels(s), s->c, d.k);
    memset(d.weight_grad, 0, taps * sizeof *d.weight_grad);
    kernels->depthwise_grad(s, d.g, d.y, d.k, &d.from, d.weight, d.weight_grad, &d.below,
                            added ? d.residual : NULL, d.g_in, d.sums, d.scratch);
    through_affine(d.g_in, &d.below, n, s->c);
    compare("depthwise_grad: weights", depthwise_loss, &v, d.weight, d.weight_grad, taps);
    compare("depthwise_grad: input", depthwise_loss, &v, (double *)(uintptr_t)d.below.y, d.g_in, n);
    depthwise_free(&d);
    free(gamma), free(more), free(v.x), free(v.out);
}

static void depthwise_grad_is_the_slope(void **state) {
    (void)state;
    for (int set = 0; nas_kernels_get(set); set++)
        for (size_t c = 0; c < 7; c++)
            for (size_t k = 1; k <= 7; k += 2)
                for (size_t stride = 1; stride <= 3; stride++) {
                    size_t how = c + k / 2 + stride, pad = k / 2 - (k > 1 && how & 2);
                    nas_depthwise s = depthwise_shape(7, 5, kernel_channels[c], k, stride, pad);
                    nas_activation act = (nas_activation)(how % KERNEL_ACTIVATIONS);
                    check_depthwise_slopes(nas_kernels_get(set), &s, act, how & 4,
                                           stride == 1 || how & 1);
                }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_those_of_plain_loops),
        cmocka_unit_test(depthwise_is_that_of_plain_loops),
        cmocka_unit_test(products_are_those_of_plain_loops),
        cmocka_unit_test(bn_grad_is_the_slope),
        cmocka_unit_test(act_grad_is_the_slope),
        cmocka_unit_test(depthwise_grad_is_the_slope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
