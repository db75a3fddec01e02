#include "nn/product.h"

static bool own(const nas_kernels *kernels, size_t n) {
    return kernels->product && n % 8 == 0;
}

void nas_product_pack(const nas_kernels *kernels, nas_real *b, nas_matrix matrix,
                      const nas_real *scale, size_t k, size_t n) {
    size_t row = matrix.transposed ? 1 : matrix.ld, column = matrix.transposed ? matrix.ld : 1;
    for (size_t at = 0, width; at < n; at += width) {
        width = own(kernels, n) ? nas_product_width(n, at) : n;
        for (size_t p = 0; p < k; p++, b += width) {
            const nas_real *from = matrix.data + p * row + at * column;
            nas_real factor = scale ? scale[p] : 1;
            for (size_t i = 0; i < width; i++) b[i] = from[i * column] * factor;
        }
    }
}

void nas_multiply(const nas_kernels *kernels, const nas_product *p) {
    if (own(kernels, p->n)) {
        kernels->product(p);
        return;
    }
    bool turned = p->a_column != 1;
    nas_gemm(p->m, p->n, p->k, (nas_matrix){p->a, turned ? p->a_column : p->a_row, turned},
             (nas_matrix){p->b, p->ldb ? p->ldb : p->n, false}, p->add ? 1 : 0, p->c, p->ldc);
}
