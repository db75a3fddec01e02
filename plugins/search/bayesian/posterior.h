/* What a Gaussian process says of places, given observations that come one after another:
 * Cholesky's factor grows by a row for each, and so does what is known of every place, which is
 * computed no further than it is asked for. The same bits come out in whatever order that happens.
 *
 * Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, algorithm 2.1. */
#ifndef NASHOST_POSTERIOR_H
#define NASHOST_POSTERIOR_H

#include "gaussian.h"

typedef struct nas_posterior {
    size_t dims, n, room;  /* observations now, at most */
    double *x, *y, *scale; /* [room][dims]; [room]; [dims]: 1 / length scale; x owns every array */
    double *factor;        /* [room][room]: row by row, the lower triangle */
    double *z, *alpha;     /* [room]: factor^-1 y; (factor factor')^-1 y */
    double noise, signal;  /* variances; the noise's is relative to the signal's */
} nas_posterior;

/* A place. Zeroed but for x: nothing was asked of it. */
typedef struct nas_place_known {
    double *x;           /* [dims]; borrowed */
    double *rows;        /* [2][room]: correlations with the observations; factor^-1 of these */
    size_t near, solved; /* how many of each are there */
    double variance;     /* relative to the signal's, given the first `solved`: never too small */
} nas_place_known;

/* Makes room for observations, under hyper-parameters as in gaussian.h. */
int nas_posterior_open(nas_posterior *p, size_t room, size_t dims, size_t groups,
                       const size_t *group, const double *hyper, nas_error *err);
void nas_posterior_close(nas_posterior *p); /* zeroed is fine */

/* Adds an observation at x [dims], n < room; its value goes into y[n - 1]. Takes n^2 steps. */
void nas_posterior_add(nas_posterior *p, const double *x, double y);

/* After y or n changed. The signal's variance is the likeliest one, as in nas_gaussian_condition().
 */
void nas_posterior_settle(nas_posterior *p);

/* The mean of a place. False: out of memory. */
bool nas_posterior_mean(const nas_posterior *p, nas_place_known *place, double *mean);

/* Narrows place->variance by the first `most` observations; it is exact once all are in. The mean
 * must have been asked for. */
void nas_posterior_narrow(const nas_posterior *p, nas_place_known *place, size_t most);

/* Forgets the observations from n on, at a place too. */
void nas_posterior_cut(nas_posterior *p, size_t n);
void nas_place_cut(nas_place_known *place, const nas_posterior *p);
void nas_place_free(nas_place_known *place);

#endif
