#include "fit.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* The sum of squares at x; half its second derivatives, by Gauss and Newton, go to a [n][n], half
 * its first ones to b [n]. */
static double fit_sum(const nas_fit_problem *p, const double *x,
                      double a[NAS_FIT_MOST][NAS_FIT_MOST], double *b) {
    double sum = 0, slope[NAS_FIT_MOST];
    memset(a, 0, NAS_FIT_MOST * sizeof *a);
    memset(b, 0, NAS_FIT_MOST * sizeof *b);
    for (size_t i = 0; i < p->samples; i++) {
        double r = p->residual(p->context, i, x, slope);
        sum += r * r;
        for (size_t j = 0; j < p->n; j++) {
            b[j] += r * slope[j];
            for (size_t k = 0; k < p->n; k++) a[j][k] += slope[j] * slope[k];
        }
    }
    return sum;
}

/* Solves (a + damping * diagonal of a) step = -b by elimination; false: singular. Overwrites. */
static bool fit_step(double a[NAS_FIT_MOST][NAS_FIT_MOST], double *b, size_t n, double damping,
                     double *step) {
    for (size_t j = 0; j < n; j++) a[j][j] *= 1 + damping;
    for (size_t j = 0; j < n; j++) {
        if (!(a[j][j] > 0)) return false;
        for (size_t i = j + 1; i < n; i++) {
            double f = a[i][j] / a[j][j];
            for (size_t k = j; k < n; k++) a[i][k] -= f * a[j][k];
            b[i] -= f * b[j];
        }
    }
    for (size_t j = n; j-- > 0;) {
        double rest = -b[j];
        for (size_t k = j + 1; k < n; k++) rest -= a[j][k] * step[k];
        step[j] = rest / a[j][j];
    }
    return true;
}

double nas_fit(const nas_fit_problem *p, double *x) {
    double a[NAS_FIT_MOST][NAS_FIT_MOST], b[NAS_FIT_MOST], damping = 1e-2;
    double least = fit_sum(p, x, a, b);
    for (int turn = 0; turn < 500 && damping < 1e12; turn++) {
        double trial[NAS_FIT_MOST], step[NAS_FIT_MOST] = {0};
        bool good = fit_step(a, b, p->n, damping, step);
        for (size_t j = 0; j < p->n; j++) trial[j] = x[j] + step[j];
        double sum = good ? fit_sum(p, trial, a, b) : INFINITY;
        if (sum < least) {
            bool done = sum > least * (1 - 1e-12);
            least = sum;
            memcpy(x, trial, p->n * sizeof *x);
            damping = fmax(damping / 5, 1e-12);
            if (done) break;
        } else {
            damping *= 4;
            fit_sum(p, x, a, b);
        }
    }
    return least;
}
