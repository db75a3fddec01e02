#include "gaussian.h"

#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

double nas_gaussian_distance(const nas_gaussian *p, const double *a, const double *b) {
    double sum = 0;
    for (size_t d = 0; d < p->dims; d++) {
        double step = (a[d] - b[d]) * p->scale[d];
        sum += step * step;
    }
    return sum;
}

double nas_matern(double squared) {
    double s = sqrt(5 * squared);
    return (1 + s + s * s / 3) * exp(-s);
}

/* nas_matern(), and minus twice its derivative. */
static double matern_slope(double squared, double *slope) {
    double s = sqrt(5 * squared), fall = exp(-s);
    *slope = 5.0 / 3 * (1 + s) * fall;
    return (1 + s + s * s / 3) * fall;
}

/* Factorises the correlations plus noise; if they are singular to rounding, adds to the diagonal
 * until they are not. False: even 1 % does not help. */
static bool factorise(nas_gaussian *p) {
    size_t n = p->n;
    for (int attempt = 0; attempt < 10; attempt++) {
        double jitter = attempt ? pow(10, attempt - 11) : 0;
        for (size_t j = 0; j < n; j++) {
            p->factor[j * n + j] = 1 + p->noise + jitter;
            for (size_t i = j + 1; i < n; i++) {
                double squared = nas_gaussian_distance(p, p->x + i * p->dims, p->x + j * p->dims);
                p->factor[j * n + i] = matern_slope(squared, &p->factor[i * n + j]);
            }
        }
        if (!LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', (lapack_int)n, p->factor, (lapack_int)n))
            return true;
    }
    return false;
}

void nas_gaussian_solve(const nas_gaussian *p, char transposed, size_t columns, double *v,
                        size_t height) {
    LAPACKE_dtrtrs_work(LAPACK_COL_MAJOR, 'L', transposed, 'N', (lapack_int)p->n,
                        (lapack_int)columns, p->factor, (lapack_int)p->n, v, (lapack_int)height);
}

bool nas_gaussian_condition(nas_gaussian *p, const double *hyper) {
    for (size_t d = 0; d < p->dims; d++) p->scale[d] = exp(-hyper[p->group[d]]);
    p->noise = exp(hyper[p->groups]);
    if (!factorise(p)) return false;
    double sum = 1;
    memcpy(p->z, p->y, p->n * sizeof *p->z);
    nas_gaussian_solve(p, 'N', 1, p->z, p->n);
    for (size_t i = 0; i < p->n; i++) sum += p->z[i] * p->z[i];
    memcpy(p->alpha, p->z, p->n * sizeof *p->alpha);
    nas_gaussian_solve(p, 'T', 1, p->alpha, p->n);
    p->signal = sum / (double)(p->n + 1);
    return true;
}

double nas_gaussian_centre(const nas_gaussian *p, size_t k) {
    return k < p->groups ? sqrt(2) + log((double)p->dims) / 2 : -6;
}

static double prior_spread(const nas_gaussian *p, size_t k) {
    return k < p->groups ? 3 : 4;
}

double nas_gaussian_likelihood(nas_gaussian *p, const double *hyper, double *gradient) {
    size_t n = p->n;
    if (!nas_gaussian_condition(p, hyper)) return -INFINITY;
    double value = -0.5 * (double)(n + 1) * log(p->signal);
    for (size_t i = 0; i < n; i++) value -= log(p->factor[i * n + i]);
    for (size_t k = 0; k <= p->groups; k++) {
        double off = hyper[k] - nas_gaussian_centre(p, k);
        value -= off * off / (2 * prior_spread(p, k));
        gradient[k] = -off / prior_spread(p, k);
    }
    memcpy(p->inverse, p->factor, n * n * sizeof *p->inverse);
    if (LAPACKE_dpotri_work(LAPACK_COL_MAJOR, 'L', (lapack_int)n, p->inverse, (lapack_int)n))
        return -INFINITY;
    memset(p->slope, 0, p->dims * sizeof *p->slope);
    for (size_t j = 0; j < n; j++) {
        const double *b = p->x + j * p->dims;
        gradient[p->groups] +=
            0.5 * p->noise * (p->alpha[j] * p->alpha[j] / p->signal - p->inverse[j * n + j]);
        for (size_t i = j + 1; i < n; i++) {
            const double *a = p->x + i * p->dims;
            double slope = p->factor[i * n + j] *
                           (p->alpha[i] * p->alpha[j] / p->signal - p->inverse[j * n + i]);
            for (size_t d = 0; d < p->dims; d++) {
                double step = (a[d] - b[d]) * p->scale[d];
                p->slope[d] += slope * step * step;
            }
        }
    }
    for (size_t d = 0; d < p->dims; d++) gradient[p->group[d]] += p->slope[d];
    return value;
}

/* Climbs by Rprop (Riedmiller and Braun, 1993) from hyper, which becomes the best point met.
 * Returns its value. */
static double climb(nas_gaussian *p, double *hyper) {
    double at[NAS_GAUSSIAN_HYPER], gradient[NAS_GAUSSIAN_HYPER] = {0}, best = -INFINITY;
    double last[NAS_GAUSSIAN_HYPER] = {0}, step[NAS_GAUSSIAN_HYPER] = {0};
    size_t n = p->groups + 1;
    memcpy(at, hyper, n * sizeof *at);
    for (int i = 0; i < NAS_GAUSSIAN_CLIMB; i++) {
        double value = nas_gaussian_likelihood(p, at, gradient);
        if (!isfinite(value)) break;
        if (value > best) {
            best = value;
            memcpy(hyper, at, n * sizeof *at);
        }
        double longest = 0;
        for (size_t k = 0; k < n; k++) {
            double agree = gradient[k] * last[k];
            step[k] = !i          ? 0.3
                      : agree > 0 ? fmin(1, 1.2 * step[k])
                      : agree < 0 ? 0.5 * step[k]
                                  : step[k];
            last[k] = agree < 0 ? 0 : gradient[k];
            at[k] += last[k] > 0 ? step[k] : last[k] < 0 ? -step[k] : 0;
            at[k] = fmax(nas_gaussian_centre(p, k) - 8, fmin(nas_gaussian_centre(p, k) + 8, at[k]));
            longest = fmax(longest, step[k]);
        }
        if (longest < NAS_GAUSSIAN_NEAR) break;
    }
    return best;
}

bool nas_gaussian_fit(nas_gaussian *p, double *hyper, bool fitted) {
    double best = -INFINITY, from[2][NAS_GAUSSIAN_HYPER];
    for (size_t k = 0; k <= p->groups; k++) {
        from[0][k] = nas_gaussian_centre(p, k);
        from[1][k] = fitted ? hyper[k] : nas_gaussian_centre(p, k) - 1.5;
    }
    for (int i = 0; i < 2; i++) {
        double value = climb(p, from[i]);
        if (!(value > best)) continue;
        best = value;
        memcpy(hyper, from[i], (p->groups + 1) * sizeof **from);
    }
    return isfinite(best);
}

int nas_gaussian_open(nas_gaussian *p, size_t n, size_t dims, size_t n_groups, const size_t *group,
                      nas_error *err) {
    *p = (nas_gaussian){.n = n, .dims = dims, .groups = n_groups, .group = group};
    p->x = calloc(n * (dims + 3 + 2 * n) + 2 * dims, sizeof *p->x);
    if (!p->x) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for %zu observations", n);
    p->y = p->x + n * dims;
    p->z = p->y + n;
    p->alpha = p->z + n;
    p->factor = p->alpha + n;
    p->inverse = p->factor + n * n;
    p->scale = p->inverse + n * n;
    p->slope = p->scale + dims;
    return NAS_OK;
}

void nas_gaussian_close(nas_gaussian *p) {
    free(p->x);
    p->x = NULL;
}
