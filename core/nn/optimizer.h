/* SGD with Nesterov momentum, over the flat array of weights. */
#ifndef NAS_NN_OPTIMIZER_H
#define NAS_NN_OPTIMIZER_H

#include "nn/real.h"

#include <stdbool.h>
#include <stddef.h>

/* A run of weights that learn alike. */
typedef struct nas_span {
    size_t offset, count;
    double rate;   /* times the optimiser's lr; 0: these weights and their velocity stay */
    double decay;  /* weight decay */
    bool anchored; /* it pulls towards the anchor instead of 0 */
} nas_span;

typedef struct nas_sgd {
    double lr, momentum;
    const nas_real *anchor; /* weights that anchored spans are pulled to; NULL: there are none */
} nas_sgd;

/* Sutskever's momentum as in PyTorch: v = m v + (g + wd w); w -= lr (g + wd w + m v), with
 * wd (w - anchor) instead of wd w in anchored spans (L2-SP: Li et al., arXiv 1802.01483). In place
 * on weights and velocity; gradient is set to zero. The same at any thread count. [main] */
void nas_sgd_step(const nas_sgd *sgd, const nas_span *spans, size_t n_spans, nas_real *weights,
                  nas_real *velocity, nas_real *gradient);

/* average += (1 - decay) (weights - average). [main] */
void nas_ema_step(double decay, const nas_real *weights, nas_real *average, size_t n);

/* Euclidean norm, summed in double. */
double nas_norm(const nas_real *values, size_t n);

/* Scales gradient so that its norm is at most limit; returns the norm before. */
double nas_clip(nas_real *gradient, size_t n, double limit);

/* Learning rate at a step: linear warm-up over the first `warmup` steps, times
 * cos(pi * cycles * step / steps) (cycles = 0: constant). */
double nas_learning_rate(double base, size_t step, size_t steps, size_t warmup, double cycles);

#endif
