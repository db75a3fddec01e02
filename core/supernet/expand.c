/* Expanding 1x1 convolutions, y = x W with x [rows][c] narrow and y [rows][oc] wide. y is computed
 * for a few images at a time, in cache, where the depthwise convolution behind it or its gradient
 * needs it (once, and stored, where it is dear to compute), and so is g. Batch norm's sums over the
 * whole batch come from x instead: with m the mean of x, C its covariance, n rows,
 *
 *     mean = m W,   var_j = w_j' C w_j,
 *
 * and with dy = k0 g + k1 (y - mean) - k0 mean(g), its backward in bn_grad()'s terms,
 *
 *     dW = (x' g - n m mean(g)') diag(k0) + n C W diag(k1)
 *     dx = g (W diag(k0))' + (x - m) W diag(k1) W' - W (k0 mean(g)).
 *
 * The wide terms, x' g and g (W diag(k0))', need no sum over the batch. */
#include "supernet/engine_impl.h"

#include <string.h>

static nas_matrix weights(const nas_engine *e, const unit *u, bool transposed) {
    return (nas_matrix){e->weights + u->weight.offset, u->weight.ld, transposed};
}

void nas_expand_moments(nas_engine *e, const unit *u, const nas_real *x, size_t rows, bool add,
                        nas_real *partial, double *sums, nas_ahead *ahead) {
    size_t c = u->c;
    nas_engine_multiply_turned(e, x, c, x, rows, c, add, partial, ahead);
    e->kernels->moments(sums, x, rows, c);
}

/* Of a cohort: means of its inputs, and their covariance times the weights. */
static nas_real *in_mean(const unit *u, int index) {
    return u->in_mean + (size_t)index * u->c;
}

static nas_real *spread(const unit *u, int index) {
    return u->spread + (size_t)index * u->c * u->oc;
}

/* Pixels of a cohort. */
static double pixels(const nas_engine *e, const unit *u, int index) {
    return (double)e->cohorts[index].images * u->oh * u->ow;
}

/* The chunks' second moments to the covariance, in square; row is work memory [c]. */
static void finish_covariance(nas_engine *e, const unit *u, int index, double *row) {
    const cohort *own = &e->cohorts[index];
    const nas_real *means = in_mean(u, index);
    size_t c = u->c;
    double n = pixels(e, u, index);
    for (size_t i = 0; i < c; i++) {
        memset(row, 0, c * sizeof *row);
        for (int chunk = own->chunk; chunk < own->chunk + own->chunks; chunk++) {
            const nas_real *partial = e->partial + (size_t)chunk * e->partial_size + i * c;
            for (size_t j = 0; j < c; j++) row[j] += (double)partial[j];
        }
        for (size_t j = 0; j < c; j++)
            own->square[i * c + j] = (nas_real)(row[j] / n - (double)means[i] * (double)means[j]);
    }
}

void nas_expand_finish(nas_engine *e, const unit *u, int index) {
    const cohort *own = &e->cohorts[index];
    nas_real *means = in_mean(u, index), *spreads = spread(u, index);
    size_t c = u->c, oc = u->oc;
    double n = pixels(e, u, index), *sums = nas_engine_add_sums(e, own, c);
    for (size_t i = 0; i < c; i++) means[i] = (nas_real)(sums[i] / n);
    double *mean = sums, *var = mean + oc; /* the chunks' sums are no longer needed */
    finish_covariance(e, u, index, mean);
    nas_engine_multiply(e, own->square, c, u->packed, c, oc, false, spreads, NULL);
    memset(mean, 0, 2 * oc * sizeof *mean);
    for (size_t i = 0; i < c; i++) {
        const nas_real *w = e->weights + u->weight.offset + i * u->weight.ld;
        double at = (double)means[i];
        for (size_t j = 0; j < oc; j++) {
            mean[j] += at * (double)w[j];
            var[j] += (double)w[j] * (double)spreads[i * oc + j];
        }
    }
    for (size_t j = 0; j < oc; j++) {
        own->mean[u->bn + j] = (nas_real)mean[j];
        own->var[u->bn + j] = (nas_real)(var[j] > 0 ? var[j] : 0);
    }
}

const nas_real *nas_expand_rows(nas_engine *e, const unit *u, const group *at, uint32_t image,
                                uint32_t count, bool again, nas_real *memory, nas_ahead *ahead) {
    const nas_real *x = nas_engine_z(e, u->node, at, image);
    size_t rows = (size_t)count * u->oh * u->ow;
    nas_real *y = u->y ? u->y + image * u->values : memory;
    if (!u->y || !again) nas_engine_multiply(e, x, u->c, u->packed, rows, u->oc, false, y, ahead);
    return y;
}

void nas_expand_grad(nas_engine *e, const unit *u, const group *at, uint32_t image, uint32_t count,
                     const nas_real *g, nas_real *partial, nas_real *dx, nas_ahead *ahead) {
    const nas_real *x = nas_engine_z(e, u->node, at, image);
    size_t rows = (size_t)count * u->oh * u->ow, c = u->c, oc = u->oc;
    nas_engine_multiply_turned(e, x, c, g, rows, oc, image > at->first, partial, ahead);
    nas_engine_multiply(e, g, oc, e->cohorts[at->cohort].turned, rows, c, false, dx, ahead);
}

void nas_expand_weight_row(nas_engine *e, const unit *u, int index, size_t row,
                           const nas_real *sum) {
    double n = pixels(e, u, index), at = (double)in_mean(u, index)[row];
    const nas_real *k0 = e->cohorts[index].bn_k, *k1 = k0 + u->oc, *mean_g = k0 + 3 * u->oc;
    const nas_real *spreads = spread(u, index) + row * u->oc;
    nas_real *gradient = e->gradient + u->weight.offset + row * u->weight.ld;
    for (size_t j = 0; j < u->oc; j++)
        gradient[j] += (nas_real)((double)k0[j] * ((double)sum[j] - n * at * (double)mean_g[j]) +
                                  n * (double)k1[j] * (double)spreads[j]);
}

void nas_expand_finish_grad(nas_engine *e, const unit *u, int index) {
    const cohort *own = &e->cohorts[index];
    size_t c = u->c, oc = u->oc;
    const nas_real *k0 = own->bn_k, *k1 = k0 + oc, *mean_g = k0 + 3 * oc;
    nas_real *scaled = own->turned, *square = own->square + c * c, *constant = square + c * c;
    for (size_t i = 0; i < c; i++) {
        const nas_real *w = e->weights + u->weight.offset + i * u->weight.ld;
        double sum = 0;
        for (size_t j = 0; j < oc; j++) {
            scaled[i * oc + j] = w[j] * k1[j];
            sum += (double)w[j] * (double)k0[j] * (double)mean_g[j];
        }
        constant[i] = (nas_real)-sum;
    }
    nas_gemm(c, c, oc, (nas_matrix){scaled, oc, false}, weights(e, u, true), 0, square, c);
    nas_product_pack(e->kernels, own->square, (nas_matrix){square, c, false}, NULL, c, c);
    const nas_real *means = in_mean(u, index);
    for (size_t i = 0; i < c; i++) {
        double sum = 0;
        for (size_t j = 0; j < c; j++) sum += (double)means[j] * (double)square[j * c + i];
        constant[i] -= (nas_real)sum;
    }
}
