/* What a subnet loses by answering otherwise than its teacher on labelled images. */
#ifndef NAS_STAGES_DISTIL_H
#define NAS_STAGES_DISTIL_H

#include <stddef.h>

/* AlphaNet's adaptive alpha-divergence (arXiv 2102.07954) of q = softmax(logits), logits [n], from
 * a teacher's distribution p = target [n], which is a constant: the larger of alpha = -1:  sum q
 * (min(q / p, 5) - 1) / 2   large where q has classes that p has not alpha = 1:   sum p log(p / q)
 * large where q lacks classes that p has Returns it unscaled, and adds scale times its gradient
 * with respect to the logits to grad [n]; NULL asks for the value alone. The gradient is the
 * paper's, that of -1/alpha sum q min((p / q)^alpha, 5) log q with log q alone variable: where
 * nothing is clipped, the divergence's own. Any finite logits are safe. [any] */
double nas_alpha_divergence(const float *logits, size_t n, const float *target, double scale,
                            float *grad);

#endif
