/* Batch norm: from the chunks' sums to a cohort's statistics, and to their gradients. */
#ifndef NAS_SUPERNET_NORM_H
#define NAS_SUPERNET_NORM_H

#include "supernet/engine_pass.h"

/* Adds the first n sums of a cohort's chunks to those of its first chunk, which it returns. */
double *nas_norm_add_sums(const nas_engine_memory *memory, const nas_cohort *cohort, size_t n);

/* Forward: mean and variance of a unit's output, from sums as in moments(). */
void nas_norm_moments(const nas_engine_memory *memory, const nas_engine_pass *pass, int cohort,
                      const nas_unit *u);

/* a and b from mean and variance. */
void nas_norm_affine(const nas_unit *u, double epsilon, const nas_real *weights,
                     const nas_cohort_memory *norm);

/* Backward: adds gamma's and beta's gradients, and leaves grad_terms, from the sums of g and g y.
 */
void nas_norm_grad(const nas_engine_memory *memory, const nas_engine_pass *pass, int cohort,
                   const nas_unit *u, double epsilon);

#endif
