#include "supernet/norm.h"

#include <math.h>

double *nas_norm_add_sums(const nas_engine_memory *memory, const nas_cohort *cohort, size_t n) {
    double *sums = nas_chunk_sums(memory, cohort->chunk);
    for (int chunk = 1; chunk < cohort->chunks; chunk++) {
        const double *more = nas_chunk_sums(memory, cohort->chunk + chunk);
        for (size_t i = 0; i < n; i++) sums[i] += more[i];
    }
    return sums;
}

void nas_norm_moments(const nas_engine_memory *memory, const nas_engine_pass *pass, int cohort,
                      const nas_unit *u) {
    const nas_cohort_memory *norm = &memory->cohorts[cohort];
    double rows = nas_cohort_rows(pass, cohort, u);
    const double *sum = nas_norm_add_sums(memory, &pass->cohorts[cohort], 2 * (size_t)u->oc);
    const double *square = sum + u->oc;
    for (size_t c = 0; c < u->oc; c++) {
        double mean = sum[c] / rows, var = square[c] / rows - mean * mean;
        norm->mean[u->bn + c] = (nas_real)mean;
        norm->var[u->bn + c] = (nas_real)(var > 0 ? var : 0);
    }
}

void nas_norm_affine(const nas_unit *u, double epsilon, const nas_real *weights,
                     const nas_cohort_memory *norm) {
    for (size_t c = 0; c < u->oc; c++) {
        double scale = (double)weights[u->gamma + c] / sqrt((double)norm->var[u->bn + c] + epsilon);
        norm->a[u->bn + c] = (nas_real)scale;
        norm->b[u->bn + c] =
            (nas_real)((double)weights[u->beta + c] - (double)norm->mean[u->bn + c] * scale);
    }
}

void nas_norm_grad(const nas_engine_memory *memory, const nas_engine_pass *pass, int cohort,
                   const nas_unit *u, double epsilon) {
    const nas_cohort_memory *norm = &memory->cohorts[cohort];
    nas_real *k = norm->grad_terms;
    double rows = nas_cohort_rows(pass, cohort, u);
    const double *sums = nas_norm_add_sums(memory, &pass->cohorts[cohort], 2 * (size_t)u->oc);
    for (size_t c = 0; c < u->oc; c++) {
        double g = sums[c], gy = sums[u->oc + c];
        double mean = (double)norm->mean[u->bn + c];
        double inverse = 1 / sqrt((double)norm->var[u->bn + c] + epsilon);
        double gamma_grad = inverse * (gy - mean * g);
        double k0 = (double)pass->weights[u->gamma + c] * inverse;
        double k1 = -k0 * inverse * gamma_grad / rows;
        pass->gradient[u->gamma + c] += (nas_real)gamma_grad;
        pass->gradient[u->beta + c] += (nas_real)g;
        k[c] = (nas_real)k0;
        k[u->oc + c] = (nas_real)k1;
        k[2 * u->oc + c] = (nas_real)(-k0 * g / rows - k1 * mean);
        k[3 * u->oc + c] = (nas_real)(g / rows);
    }
}
