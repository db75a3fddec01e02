/* Expanding 1x1 convolutions, y = x W with x [rows][c] narrow and y [rows][oc] wide. y is computed
 * for a few images at a time, in cache, where the depthwise convolution behind it or its gradient
 * needs it, and so is g: neither is stored. (Expansions of more inputs are units like others.)
 * Batch norm's sums over the whole batch come from x instead: with m the mean of x, C its
 * covariance, n rows,
 *
 *     mean = m W,   var_j = w_j' C w_j,
 *
 * and with dy = k0 g + k1 (y - mean) - k0 mean(g), its backward in bn_grad()'s terms,
 *
 *     dW = (x' g - n m mean(g)') diag(k0) + n C W diag(k1)
 *     dx = g (W diag(k0))' + (x - m) W diag(k1) W' - W (k0 mean(g)).
 *
 * The wide terms, x' g and g (W diag(k0))', need no sum over the batch.
 *
 * `index` is the expansion's among the units. */
#ifndef NAS_SUPERNET_EXPAND_H
#define NAS_SUPERNET_EXPAND_H

#include "supernet/engine_pass.h"

/* Forward: a chunk's second moments of the input rows x to partial or onto it, and sums as in
 * moments(). [worker] */
void nas_expand_moments(const nas_engine_pass *pass, const nas_unit *u, const nas_real *x,
                        size_t rows, bool add, nas_real *partial, double *sums, nas_ahead *ahead);

/* Then a cohort's mean and variance of the output, in_mean and cov_weights. [worker] */
void nas_expand_finish(const nas_engine_plan *plan, const nas_engine_memory *memory,
                       const nas_engine_pass *pass, int index, int cohort);

/* y of `count` images from `image` on. [worker] */
void nas_expand_rows(const nas_engine_plan *plan, const nas_engine_memory *memory,
                     const nas_engine_pass *pass, int index, const nas_microbatch *micro,
                     uint32_t image, uint32_t count, nas_real *y, nas_ahead *ahead);

/* Backward, from g of a tile: x' g to partial [c][oc] or, unless it is the chunk's first tile, onto
 * it, and the part of dx that needs no sum over the batch. The cohort's `transposed` holds (W
 * diag(a))'. [worker] */
void nas_expand_grad(const nas_engine_plan *plan, const nas_engine_memory *memory,
                     const nas_engine_pass *pass, int index, const nas_microbatch *micro,
                     uint32_t image, uint32_t count, const nas_real *g, nas_real *partial,
                     nas_real *dx, nas_ahead *ahead);

/* With a cohort's grad_terms, of which `terms` may be a copy: adds a row of the weights' gradient,
 * for sum = that row of x' g; and computes the rest of dx, x times what is packed in square plus
 * the constant [c] at its end. [worker] */
void nas_expand_weight_row(const nas_engine_plan *plan, const nas_engine_memory *memory,
                           const nas_engine_pass *pass, int index, int cohort, size_t row,
                           const nas_real *terms, const nas_real *sum);
void nas_expand_finish_grad(const nas_engine_plan *plan, const nas_engine_memory *memory,
                            const nas_engine_pass *pass, int index, int cohort);

#endif
