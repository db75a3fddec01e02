#include "stages/distil.h"

#include <math.h>
#include <nashost/kit/logits.h>

#define MOST_RATIO 5.0 /* where the paper clips the importance ratio (p / q)^alpha */

/* A class's (p / q)^-1, clipped; no division by a p of 0. */
static double inverse_ratio(double p, double q) {
    return q < MOST_RATIO * p ? q / p : MOST_RATIO;
}

/* Both divergences, and the mean of the clipped inverse ratio under q. */
typedef struct divergences {
    double backward, forward, mean_ratio;
} divergences;

static divergences compare(const float *logits, size_t n, const float *target, double lse) {
    divergences d = {0};
    for (size_t i = 0; i < n; i++) {
        double log_q = (double)logits[i] - lse, q = exp(log_q), p = (double)target[i];
        double ratio = inverse_ratio(p, q);
        d.backward += q * (ratio - 1) / 2;
        if (p > 0) d.forward += p * (log(p) - log_q);
        d.mean_ratio += q * ratio;
    }
    return d;
}

double nas_alpha_divergence(const float *logits, size_t n, const float *target, double scale,
                            float *grad) {
    double lse = nas_log_sum_exp(logits, n);
    divergences d = compare(logits, n, target, lse);
    bool backward = d.backward > d.forward;
    for (size_t i = 0; grad && i < n; i++) {
        double q = exp((double)logits[i] - lse), p = (double)target[i];
        double slope = backward ? q * (inverse_ratio(p, q) - d.mean_ratio) : q - p;
        grad[i] += (float)(scale * slope);
    }
    return backward ? d.backward : d.forward;
}
