/* nashost plugin SDK: Gaussian processes, for code that uses LAPACKE: observations of mean 0 under
 * a Matern 5/2 kernel with a length scale for each group of dimensions, and the hyper-parameters
 * that fit them best. Header only. Every function here: [any].
 *
 * Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006; Snoek, Larochelle and
 * Adams, arXiv 1206.2944 (kernel, likelihood); Hvarfner, Hellsten and Nardi, arXiv 2402.02229
 * (length scales that grow with the number of dimensions). */
#ifndef NASHOST_GAUSSIAN_H
#define NASHOST_GAUSSIAN_H

#include <nashost/plugin.h>

#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAS_GAUSSIAN_GROUPS = 255,                    /* the most length scales */
    NAS_GAUSSIAN_HYPER = NAS_GAUSSIAN_GROUPS + 1, /* the most hyper-parameters: log length scale of
                                                   each group, then log noise */
    NAS_GAUSSIAN_CLIMB = 40,                      /* the most steps of Rprop from one start */
};

#define NAS_GAUSSIAN_NEAR 0.03 /* the longest of its steps, in logs, when it has arrived */

/* The process, given n observations. Matrices are column-major and symmetric ones have their lower
 * triangle only. */
typedef struct nas_gaussian {
    size_t n, dims, groups;
    const size_t *group; /* [dims]: which length scale */
    double *x, *y;       /* [n][dims]; [n], of mean 0 and variance 1; x owns every array */
    double *scale;       /* [dims]: 1 / length scale */
    double *slope;       /* [dims]: of the likelihood by the log of a dimension's scale */
    double *factor;      /* [n][n]: Cholesky's of the correlations plus noise; above the diagonal
                            nas_matern_slope() of each pair */
    double *inverse;     /* [n][n]: of the same */
    double *z, *alpha;   /* [n]: factor^-1 y; (factor factor')^-1 y */
    double noise;        /* variance, relative to the signal's */
    double signal;       /* variance */
} nas_gaussian;

/* The square of the distance in length scales. */
static inline double nas_gaussian_distance(const nas_gaussian *p, const double *a,
                                           const double *b) {
    double sum = 0;
    for (size_t d = 0; d < p->dims; d++) {
        double step = (a[d] - b[d]) * p->scale[d];
        sum += step * step;
    }
    return sum;
}

/* Matern 5/2 of a squared distance in length scales. */
static inline double nas_matern(double squared) {
    double s = sqrt(5 * squared);
    return (1 + s + s * s / 3) * exp(-s);
}

/* nas_matern(), and minus twice its derivative. */
static inline double nas_matern_slope(double squared, double *slope) {
    double s = sqrt(5 * squared), fall = exp(-s);
    *slope = 5.0 / 3 * (1 + s) * fall;
    return (1 + s + s * s / 3) * fall;
}

/* Factorises the correlations plus noise; if they are singular to rounding, adds to the diagonal
 * until they are not. False: even 1 % does not help. */
static inline bool nas_gaussian_factorise(nas_gaussian *p) {
    size_t n = p->n;
    for (int attempt = 0; attempt < 10; attempt++) {
        double jitter = attempt ? pow(10, attempt - 11) : 0;
        for (size_t j = 0; j < n; j++) {
            p->factor[j * n + j] = 1 + p->noise + jitter;
            for (size_t i = j + 1; i < n; i++) {
                double squared = nas_gaussian_distance(p, p->x + i * p->dims, p->x + j * p->dims);
                p->factor[j * n + i] = nas_matern_slope(squared, &p->factor[i * n + j]);
            }
        }
        if (!LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', (lapack_int)n, p->factor, (lapack_int)n))
            return true;
    }
    return false;
}

/* v [columns][height] = factor^-1 v, or factor'^-1 v. */
static inline void nas_gaussian_solve(const nas_gaussian *p, char transposed, size_t columns,
                                      double *v, size_t height) {
    LAPACKE_dtrtrs_work(LAPACK_COL_MAJOR, 'L', transposed, 'N', (lapack_int)p->n,
                        (lapack_int)columns, p->factor, (lapack_int)p->n, v, (lapack_int)height);
}

/* Conditions the process on its observations under the hyper-parameters. The signal's variance is
 * the likeliest one; one more observation, of variance 1, keeps it from 0. */
static inline bool nas_gaussian_condition(nas_gaussian *p, const double *hyper) {
    for (size_t d = 0; d < p->dims; d++) p->scale[d] = exp(-hyper[p->group[d]]);
    p->noise = exp(hyper[p->groups]);
    if (!nas_gaussian_factorise(p)) return false;
    double sum = 1;
    memcpy(p->z, p->y, p->n * sizeof *p->z);
    nas_gaussian_solve(p, 'N', 1, p->z, p->n);
    for (size_t i = 0; i < p->n; i++) sum += p->z[i] * p->z[i];
    memcpy(p->alpha, p->z, p->n * sizeof *p->alpha);
    nas_gaussian_solve(p, 'T', 1, p->alpha, p->n);
    p->signal = sum / (double)(p->n + 1);
    return true;
}

/* Priors: log length ~ N(sqrt 2 + log(dims) / 2, 3), log noise ~ N(-6, 4). */
static inline double nas_gaussian_centre(const nas_gaussian *p, size_t k) {
    return k < p->groups ? sqrt(2) + log((double)p->dims) / 2 : -6;
}

static inline double nas_gaussian_spread(const nas_gaussian *p, size_t k) {
    return k < p->groups ? 3 : 4;
}

/* The log of likelihood times prior, up to a constant, and its gradient [groups + 1]; -infinity if
 * the correlations cannot be factorised. (Rasmussen and Williams, Gaussian Processes for Machine
 * Learning, 2006, equations 2.30 and 5.9.) */
static inline double nas_gaussian_likelihood(nas_gaussian *p, const double *hyper,
                                             double *gradient) {
    size_t n = p->n;
    if (!nas_gaussian_condition(p, hyper)) return -INFINITY;
    double value = -0.5 * (double)(n + 1) * log(p->signal);
    for (size_t i = 0; i < n; i++) value -= log(p->factor[i * n + i]);
    for (size_t k = 0; k <= p->groups; k++) {
        double off = hyper[k] - nas_gaussian_centre(p, k);
        value -= off * off / (2 * nas_gaussian_spread(p, k));
        gradient[k] = -off / nas_gaussian_spread(p, k);
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
static inline double nas_gaussian_climb(nas_gaussian *p, double *hyper) {
    double at[NAS_GAUSSIAN_HYPER], gradient[NAS_GAUSSIAN_HYPER], best = -INFINITY;
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

/* Fits hyper [groups + 1]: from the centre of the priors, and from where it was or, if it was not
 * fitted before, from shorter lengths. False: the correlations cannot be factorised. The process
 * still has to be conditioned. */
static inline bool nas_gaussian_fit(nas_gaussian *p, double *hyper, bool fitted) {
    double best = -INFINITY, from[2][NAS_GAUSSIAN_HYPER];
    for (size_t k = 0; k <= p->groups; k++) {
        from[0][k] = nas_gaussian_centre(p, k);
        from[1][k] = fitted ? hyper[k] : nas_gaussian_centre(p, k) - 1.5;
    }
    for (int i = 0; i < 2; i++) {
        double value = nas_gaussian_climb(p, from[i]);
        if (!(value > best)) continue;
        best = value;
        memcpy(hyper, from[i], (p->groups + 1) * sizeof **from);
    }
    return isfinite(best);
}

/* Makes room for n observations, which the caller writes to x and y. group [dims], borrowed: which
 * of n_groups length scales a dimension has. */
static inline int nas_gaussian_open(nas_gaussian *p, size_t n, size_t dims, size_t n_groups,
                                    const size_t *group, nas_error *err) {
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

/* A zeroed one is fine. */
static inline void nas_gaussian_close(nas_gaussian *p) {
    free(p->x);
    p->x = NULL;
}

#endif
