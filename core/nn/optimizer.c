#include "nn/optimizer.h"

#include <math.h>
#include <string.h>

static void update(nas_real lr, nas_real momentum, nas_real decay, nas_real *restrict w,
                   nas_real *restrict v, const nas_real *restrict g, size_t n) {
    for (size_t i = 0; i < n; i++) {
        nas_real slope = g[i] + decay * w[i];
        v[i] = momentum * v[i] + slope;
        w[i] -= lr * (slope + momentum * v[i]);
    }
}

/* Adds the anchor's pull to the gradient. */
static void pull(nas_real decay, const nas_real *restrict w, const nas_real *restrict anchor,
                 nas_real *restrict g, size_t n) {
    for (size_t i = 0; i < n; i++) g[i] += decay * (w[i] - anchor[i]);
}

void nas_sgd_step(const nas_sgd *sgd, const nas_span *spans, size_t n_spans, nas_real *weights,
                  nas_real *velocity, nas_real *gradient) {
    for (size_t s = 0; s < n_spans; s++) {
        size_t at = spans[s].offset, n = spans[s].count;
        nas_real lr = (nas_real)(sgd->lr * spans[s].rate), decay = (nas_real)spans[s].decay;
        if (spans[s].anchored) pull(decay, weights + at, sgd->anchor + at, gradient + at, n);
        if (spans[s].rate > 0)
            update(lr, (nas_real)sgd->momentum, spans[s].anchored ? 0 : decay, weights + at,
                   velocity + at, gradient + at, n);
        memset(gradient + at, 0, n * sizeof *gradient);
    }
}

void nas_ema_step(double decay, const nas_real *weights, nas_real *average, size_t n) {
    nas_real rate = (nas_real)(1 - decay);
    for (size_t i = 0; i < n; i++) average[i] += rate * (weights[i] - average[i]);
}

double nas_norm(const nas_real *values, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)values[i] * (double)values[i];
    return sqrt(sum);
}

double nas_clip(nas_real *gradient, size_t n, double limit) {
    double norm = nas_norm(gradient, n);
    if (norm > limit) {
        nas_real factor = (nas_real)(limit / norm);
        for (size_t i = 0; i < n; i++) gradient[i] *= factor;
    }
    return norm;
}

double nas_learning_rate(double base, size_t step, size_t steps, size_t warmup, double cycles) {
    double rate = base;
    if (step < warmup) rate *= (double)(step + 1) / (double)warmup;
    if (steps > 0) rate *= cos(3.141592653589793 * cycles * (double)step / (double)steps);
    return rate;
}
