/* The engine's inner loops besides matrix products, compiled once for each instruction set and
 * picked at run time. Arrays are row-major [rows][c], channels last; "rows" are pixels.
 *
 * Per channel, batch norm is y * a + b with a = gamma / std, b = beta - mean * a.
 * All functions: [any], no allocation, pointers must not overlap unless said. */
#ifndef NAS_NN_KERNELS_H
#define NAS_NN_KERNELS_H

#include "nn/real.h"

#include <nashost/network.h>
#include <stdbool.h>
#include <stddef.h>

/* act(y * a + b) of a unit's output, [rows][c]. */
typedef struct nas_affine {
    const nas_real *y, *a, *b;
    nas_activation act;
} nas_affine;

/* Shape of a depthwise convolution of one image with `pad` zeros before it, at most k / 2, and out
 * = ceil(in / stride). */
typedef struct nas_depthwise {
    size_t h, w, oh, ow, c, k, stride, pad;
} nas_depthwise;

/* Memory that is needed soon, which a product fetches while it computes. */
typedef struct nas_ahead {
    struct {
        const char *at, *end;
    } part[4];
    size_t n; /* parts left, the last of them first */
} nas_ahead;

static inline void nas_ahead_add(nas_ahead *ahead, const nas_real *values, size_t n) {
    const char *at = (const char *)values;
    if (ahead->n == sizeof ahead->part / sizeof *ahead->part || n == 0) return;
    ahead->part[ahead->n].at = at;
    ahead->part[ahead->n++].end = at + n * sizeof *values;
}

/* c [m][n] = a [m][k] b [k][n], added to what is there if `add`. One of a's strides is 1. ldb = 0:
 * b is packed, its columns in blocks of nas_product_width() columns, each block [k][width]. */
typedef struct nas_product {
    size_t m, n, k;
    const nas_real *a;
    size_t a_row, a_column; /* distances of its rows and columns */
    const nas_real *b;
    size_t ldb;
    nas_real *c;
    size_t ldc;
    bool add;
    nas_ahead *ahead; /* NULL: nothing; what was fetched is taken from it */
} nas_product;

/* Columns of the block that begins at column `at`, of n columns, a multiple of 8: at most 64, all
 * blocks about the same, and all but the first whole vectors of 16. */
static inline size_t nas_product_width(size_t n, size_t at) {
    size_t blocks = (n + 63) / 64, vectors = n / 16, odd = n % 16, i = 0;
    if (at)
        while (16 * (vectors * i / blocks) + odd < at) i++;
    return 16 * (vectors * (i + 1) / blocks) + odd - at;
}

typedef struct nas_kernels {
    const char *isa;

    /* z = act(a y + b) + residual (NULL: none). z may be y, or residual. */
    void (*affine)(nas_real *z, const nas_affine *from, const nas_real *residual, size_t rows,
                   size_t c);

    /* x[row] *= scale, in place. */
    void (*scale)(nas_real *x, const nas_real *scale, size_t rows, size_t c);

    /* sums[0..c) += sum over rows of y; sums[c..2c) += sum of y^2. */
    void (*moments)(double *sums, const nas_real *y, size_t rows, size_t c);

    /* out[c] = sum over rows of x. */
    void (*column_sums)(nas_real *out, const nas_real *x, size_t rows, size_t c);

    /* out[c] = sum over rows of d * act(a y + b); d = NULL: of act(a y + b). */
    void (*column_dots)(nas_real *out, const nas_real *d, const nas_affine *from, size_t rows,
                        size_t c);

    /* Batch norm's backward: dy = k[0] g + k[1] y + k[2], k [3][c]. dy may be g. */
    void (*bn_grad)(nas_real *dy, const nas_real *g, const nas_real *y, const nas_real *k,
                    size_t rows, size_t c);

    /* g = (d * scale + shift + residual) * act'(a y + b), where residual [rows][c] may be NULL, and
     * so may scale [c] and shift [c] together; sums[0..c) += sum of g, sums[c..2c) += sum of g y,
     * NULL: none. g may be d. */
    void (*act_grad)(nas_real *g, const nas_real *d, const nas_affine *at, const nas_real *scale,
                     const nas_real *shift, const nas_real *residual, double *sums, size_t rows,
                     size_t c);

    /* Depthwise convolution of x = act(a y + b) + residual: out [oh * ow][c], weight [k * k][c].
     * x is stored to z if z is not NULL. sums as in moments(), NULL: none. */
    void (*depthwise)(const nas_depthwise *shape, const nas_affine *from, const nas_real *residual,
                      nas_real *z, const nas_real *weight, nas_real *out, double *sums,
                      nas_real *scratch);

    /* Its backward. dy = bn_grad(g, y, k) of the unit's own batch norm; x = act(a y + b) of `from`;
     * weight_grad [k * k][c] += ...; then as act_grad with d = dx and `at`. */
    void (*depthwise_grad)(const nas_depthwise *shape, const nas_real *g, const nas_real *y,
                           const nas_real *k, const nas_affine *from, const nas_real *weight,
                           nas_real *weight_grad, const nas_affine *at, const nas_real *residual,
                           nas_real *g_in, double *sums, nas_real *scratch);

    /* n is a multiple of 8; NULL: none, BLIS is as good. */
    void (*product)(const nas_product *product);
} nas_kernels;

/* nas_real values of scratch that the depthwise kernels need. */
size_t nas_depthwise_scratch(const nas_depthwise *shape);

/* The fastest set that this processor runs. NASHOST_ISA=base|avx2|avx512 in the environment asks
 * for another; one that cannot run here is ignored. [any] */
const nas_kernels *nas_kernels_pick(void);

/* Set i of those that this processor runs, slowest first; NULL beyond the last. For tests. [any] */
const nas_kernels *nas_kernels_get(int i);

#endif
