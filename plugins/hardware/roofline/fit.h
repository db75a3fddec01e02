/* Fitting a few numbers to measurements. */
#ifndef NASHOST_FIT_H
#define NASHOST_FIT_H

#include <stddef.h>

#define NAS_FIT_MOST 8 /* parameters */

/* The residual of sample i at parameters x [n]; its derivatives go to slope [n]. */
typedef double (*nas_residual)(const void *context, size_t i, const double *x, double *slope);

typedef struct nas_fit_problem {
    nas_residual residual;
    const void *context;
    size_t samples, n; /* n: parameters, at most NAS_FIT_MOST */
} nas_fit_problem;

/* Nonlinear least squares: moves x [n] to where the sum of squared residuals is at a minimum near
 * it (Levenberg, 1944; Marquardt, doi 10.1137/0111030), and returns that sum. The sum at the x that
 * is given must be finite; then it never grows. */
double nas_fit(const nas_fit_problem *p, double *x);

#endif
