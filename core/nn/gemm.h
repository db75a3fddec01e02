/* Matrix products, by BLIS, one thread each. */
#ifndef NAS_NN_GEMM_H
#define NAS_NN_GEMM_H

#include "nn/real.h"

#include <nashost/plugin.h>
#include <stdbool.h>
#include <stddef.h>

/* A row-major matrix, or its transpose, with a leading dimension (distance of rows). */
typedef struct nas_matrix {
    const nas_real *data;
    size_t ld;
    bool transposed;
} nas_matrix;

/* c [m][n] (leading dimension ldc) = a [m][k] b [k][n] + beta c. [any] */
void nas_gemm(size_t m, size_t n, size_t k, nas_matrix a, nas_matrix b, nas_real beta, nas_real *c,
              size_t ldc);

/* The same in double precision whatever nas_real is, of matrices without gaps: a is [m][k], or
 * [k][m] where it is transposed; b likewise. [any] */
void nas_gemm_double(size_t m, size_t n, size_t k, const double *a, bool a_transposed,
                     const double *b, bool b_transposed, double beta, double *c);

/* Makes the library ready, which it does at its first product, and where it can only abort: fails
 * with NAS_ERR_MEMORY if there is no room for the buffers of so many threads. [main] */
int nas_gemm_reserve(int threads, nas_error *err);

/* Call before the first product and before there are threads: where BLIS does not know this
 * processor, as 0.9 does not know AMD's of family 26, it would take kernels for any machine, which
 * are several times slower; then $BLIS_ARCH_TYPE is set to the family whose instructions the
 * processor has. What the user set there stays. [main] */
void nas_gemm_prepare(void);

/* The number of the family for a processor with these instructions, as $BLIS_ARCH_TYPE has it; -1:
 * none fits. [any] */
int nas_gemm_family(bool avx512, bool avx2);

/* The name of the family whose kernels BLIS uses, such as "skx" or "generic". [any] */
const char *nas_gemm_kernels(void);

#endif
