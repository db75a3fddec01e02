/* Gaussian processes: observations of mean 0 under
 * a Matern 5/2 kernel with a length scale for each group of dimensions, and the hyper-parameters
 * that fit them best.
 *
 * Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006; Snoek, Larochelle and
 * Adams, arXiv 1206.2944 (kernel, likelihood); Hvarfner, Hellsten and Nardi, arXiv 2402.02229
 * (length scales that grow with the number of dimensions). */
#ifndef NASHOST_GAUSSIAN_H
#define NASHOST_GAUSSIAN_H

#include <nashost/plugin.h>

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
                            matern_slope() of each pair */
    double *inverse;     /* [n][n]: of the same */
    double *z, *alpha;   /* [n]: factor^-1 y; (factor factor')^-1 y */
    double noise;        /* variance, relative to the signal's */
    double signal;       /* variance */
} nas_gaussian;

/* The square of the distance in length scales. */
double nas_gaussian_distance(const nas_gaussian *p, const double *a, const double *b);

/* Matern 5/2 of a squared distance in length scales. */
double nas_matern(double squared);

/* v [columns][height] = factor^-1 v, or factor'^-1 v. */
void nas_gaussian_solve(const nas_gaussian *p, char transposed, size_t columns, double *v,
                        size_t height);

/* Conditions the process on its observations under the hyper-parameters. The signal's variance is
 * the likeliest one; one more observation, of variance 1, keeps it from 0. */
bool nas_gaussian_condition(nas_gaussian *p, const double *hyper);

/* Priors: log length ~ N(sqrt 2 + log(dims) / 2, 3), log noise ~ N(-6, 4). */
double nas_gaussian_centre(const nas_gaussian *p, size_t k);

/* The log of likelihood times prior, up to a constant, and its gradient [groups + 1]; -infinity if
 * the correlations cannot be factorised. (Rasmussen and Williams, Gaussian Processes for Machine
 * Learning, 2006, equations 2.30 and 5.9.) */
double nas_gaussian_likelihood(nas_gaussian *p, const double *hyper, double *gradient);

/* Fits hyper [groups + 1]: from the centre of the priors, and from where it was or, if it was not
 * fitted before, from shorter lengths. False: the correlations cannot be factorised. The process
 * still has to be conditioned. */
bool nas_gaussian_fit(nas_gaussian *p, double *hyper, bool fitted);

/* Makes room for n observations, which the caller writes to x and y. group [dims], borrowed: which
 * of n_groups length scales a dimension has. */
int nas_gaussian_open(nas_gaussian *p, size_t n, size_t dims, size_t n_groups, const size_t *group,
                      nas_error *err);

/* A zeroed one is fine. */
void nas_gaussian_close(nas_gaussian *p);

#endif
