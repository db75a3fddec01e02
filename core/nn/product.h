/* Products of the engine's tiles: by the kernels where they have one for the shape, else by BLIS.
 */
#ifndef NAS_NN_PRODUCT_H
#define NAS_NN_PRODUCT_H

#include "nn/gemm.h"
#include "nn/kernels.h"

/* b [k][n] = matrix, row p times scale[p] (NULL: 1), as nas_multiply() wants it when ldb is 0; it
 * takes k * n values. [any] */
void nas_product_pack(const nas_kernels *kernels, nas_real *b, nas_matrix matrix,
                      const nas_real *scale, size_t k, size_t n);

/* [any] */
void nas_multiply(const nas_kernels *kernels, const nas_product *product);

#endif
