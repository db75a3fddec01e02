#include "supernet/expand.h"

#include "supernet/norm.h"

#include <string.h>

/* A row of the weights. */
static const nas_real *weight_row(const nas_engine_pass *pass, const nas_unit *u, size_t row) {
    return pass->weights + nas_slice_row(&u->weight, row);
}

/* Of a cohort: means of its inputs, and their covariance times the weights. */
static nas_real *input_means(const nas_unit *u, const nas_unit_memory *um, int cohort) {
    return um->in_mean + (size_t)cohort * u->c;
}

static nas_real *covariance_weights(const nas_unit *u, const nas_unit_memory *um, int cohort) {
    return um->cov_weights + (size_t)cohort * u->c * u->oc;
}

void nas_expand_moments(const nas_engine_pass *pass, const nas_unit *u, const nas_real *x,
                        size_t rows, bool add, nas_real *partial, double *sums, nas_ahead *ahead) {
    size_t c = u->c;
    nas_multiply_transposed(pass->kernels, x, c, x, rows, c, add, partial, ahead);
    pass->kernels->moments(sums, x, rows, c);
}

/* The chunks' second moments of a cohort's inputs to their covariance [c][c]; row is work memory
 * [c]. */
static void finish_covariance(const nas_engine_memory *memory, const nas_cohort *cohort, double n,
                              const nas_real *means, size_t c, double *row, nas_real *covariance) {
    for (size_t i = 0; i < c; i++) {
        memset(row, 0, c * sizeof *row);
        for (int chunk = cohort->chunk; chunk < cohort->chunk + cohort->chunks; chunk++) {
            const nas_real *partial = nas_chunk_partial(memory, chunk) + i * c;
            for (size_t j = 0; j < c; j++) row[j] += (double)partial[j];
        }
        for (size_t j = 0; j < c; j++)
            covariance[i * c + j] = (nas_real)(row[j] / n - (double)means[i] * (double)means[j]);
    }
}

/* m W, and the sums w_j' C w_j, for a cohort. */
static void output_moments(const nas_engine_pass *pass, const nas_unit *u, const nas_real *means,
                           const nas_real *cov_weights, double *mean, double *var) {
    size_t oc = u->oc;
    memset(mean, 0, oc * sizeof *mean);
    memset(var, 0, oc * sizeof *var);
    for (size_t i = 0; i < u->c; i++) {
        const nas_real *w = weight_row(pass, u, i);
        double m = (double)means[i];
        for (size_t j = 0; j < oc; j++) {
            mean[j] += m * (double)w[j];
            var[j] += (double)w[j] * (double)cov_weights[i * oc + j];
        }
    }
}

void nas_expand_finish(const nas_engine_plan *plan, const nas_engine_memory *memory,
                       const nas_engine_pass *pass, int index, int cohort) {
    const nas_unit *u = &plan->units[index];
    const nas_unit_memory *um = &memory->units[index];
    const nas_cohort_memory *norm = &memory->cohorts[cohort];
    const nas_cohort *images = &pass->cohorts[cohort];
    nas_real *means = input_means(u, um, cohort);
    nas_real *cov_weights = covariance_weights(u, um, cohort);
    size_t c = u->c, oc = u->oc;
    double n = nas_cohort_rows(pass, cohort, u), *sums = nas_norm_add_sums(memory, images, c);
    for (size_t i = 0; i < c; i++) means[i] = (nas_real)(sums[i] / n);
    double *mean = sums, *var = mean + oc; /* the chunks' sums are no longer needed */
    finish_covariance(memory, images, n, means, c, mean, norm->square);
    nas_multiply_packed(pass->kernels, norm->square, c, um->packed, c, oc, false, cov_weights,
                        NULL);
    output_moments(pass, u, means, cov_weights, mean, var);
    for (size_t j = 0; j < oc; j++) {
        norm->mean[u->bn + j] = (nas_real)mean[j];
        norm->var[u->bn + j] = (nas_real)(var[j] > 0 ? var[j] : 0);
    }
}

void nas_expand_rows(const nas_engine_plan *plan, const nas_engine_memory *memory,
                     const nas_engine_pass *pass, int index, const nas_microbatch *micro,
                     uint32_t image, uint32_t count, nas_real *y, nas_ahead *ahead) {
    const nas_unit *u = &plan->units[index];
    const nas_real *x = nas_image_at(&memory->nodes[u->node], micro, image);
    nas_multiply_packed(pass->kernels, x, u->c, memory->units[index].packed,
                        (size_t)count * u->oh * u->ow, u->oc, false, y, ahead);
}

void nas_expand_grad(const nas_engine_plan *plan, const nas_engine_memory *memory,
                     const nas_engine_pass *pass, int index, const nas_microbatch *micro,
                     uint32_t image, uint32_t count, const nas_real *g, nas_real *partial,
                     nas_real *dx, nas_ahead *ahead) {
    const nas_unit *u = &plan->units[index];
    const nas_real *x = nas_image_at(&memory->nodes[u->node], micro, image);
    const nas_real *transposed = memory->cohorts[micro->cohort].transposed;
    size_t rows = (size_t)count * u->oh * u->ow, c = u->c, oc = u->oc;
    nas_multiply_transposed(pass->kernels, x, c, g, rows, oc, image > micro->first, partial, ahead);
    nas_multiply_packed(pass->kernels, g, oc, transposed, rows, c, false, dx, ahead);
}

void nas_expand_weight_row(const nas_engine_plan *plan, const nas_engine_memory *memory,
                           const nas_engine_pass *pass, int index, int cohort, size_t row,
                           const nas_real *terms, const nas_real *sum) {
    const nas_unit *u = &plan->units[index];
    const nas_unit_memory *um = &memory->units[index];
    size_t oc = u->oc;
    double n = nas_cohort_rows(pass, cohort, u), m = (double)input_means(u, um, cohort)[row];
    const nas_real *k0 = terms, *k1 = k0 + oc, *mean_g = k0 + 3 * oc;
    const nas_real *cov_weights = covariance_weights(u, um, cohort) + row * oc;
    nas_real *gradient = pass->gradient + nas_slice_row(&u->weight, row);
    for (size_t j = 0; j < oc; j++)
        gradient[j] += (nas_real)((double)k0[j] * ((double)sum[j] - n * m * (double)mean_g[j]) +
                                  n * (double)k1[j] * (double)cov_weights[j]);
}

void nas_expand_finish_grad(const nas_engine_plan *plan, const nas_engine_memory *memory,
                            const nas_engine_pass *pass, int index, int cohort) {
    const nas_unit *u = &plan->units[index];
    const nas_cohort_memory *norm = &memory->cohorts[cohort];
    size_t c = u->c, oc = u->oc;
    const nas_real *k0 = norm->grad_terms, *k1 = k0 + oc, *mean_g = k0 + 3 * oc;
    nas_real *scaled = norm->transposed, *square = norm->square + c * c, *constant = square + c * c;
    for (size_t i = 0; i < c; i++) {
        const nas_real *w = weight_row(pass, u, i);
        double sum = 0;
        for (size_t j = 0; j < oc; j++) {
            scaled[i * oc + j] = w[j] * k1[j];
            sum += (double)w[j] * (double)k0[j] * (double)mean_g[j];
        }
        constant[i] = (nas_real)-sum;
    }
    nas_matrix weights = {pass->weights + u->weight.offset, u->weight.out, true};
    nas_gemm(c, c, oc, (nas_matrix){scaled, oc, false}, weights, 0, square, c);
    nas_product_pack(pass->kernels, norm->square, (nas_matrix){square, c, false}, NULL, c, c);
    const nas_real *means = input_means(u, &memory->units[index], cohort);
    for (size_t i = 0; i < c; i++) {
        double sum = 0;
        for (size_t j = 0; j < c; j++) sum += (double)means[j] * (double)square[j * c + i];
        constant[i] -= (nas_real)sum;
    }
}
