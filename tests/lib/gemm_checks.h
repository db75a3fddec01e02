/* nas_gemm and nas_multiply against plain loops in double, for float and double. Include after
 * <cmocka.h>. */
#ifndef NAS_TESTS_GEMM_CHECKS_H
#define NAS_TESTS_GEMM_CHECKS_H

#include "base/rng.h"
#include "nn/product.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* rows x columns within a wider array of random numbers; the last row ends with the matrix. */
typedef struct gemm_matrix {
    nas_real *data;
    size_t rows, columns, ld;
} gemm_matrix;

static inline gemm_matrix gemm_random(nas_rng *rng, size_t rows, size_t columns, size_t margin) {
    gemm_matrix x = {NULL, rows, columns, columns + margin};
    size_t n = (rows - 1) * x.ld + columns;
    x.data = malloc(n * sizeof *x.data);
    assert_non_null(x.data);
    for (size_t i = 0; i < n; i++) x.data[i] = (nas_real)nas_rng_normal(rng);
    return x;
}

static inline double gemm_at(const gemm_matrix *x, bool transposed, size_t row, size_t column) {
    return (double)(transposed ? x->data[column * x->ld + row] : x->data[row * x->ld + column]);
}

/* One product; c's margin must stay as it was, and with beta 0 what was in c must not matter. */
static inline void check_product(nas_rng *rng, size_t m, size_t n, size_t k, int how,
                                 size_t margin) {
    bool ta = how & 1, tb = how & 2;
    double beta = how & 4 ? 1 : 0, tolerance = sizeof(nas_real) == sizeof(float) ? 3e-5 : 1e-12;
    gemm_matrix a = gemm_random(rng, ta ? k : m, ta ? m : k, margin);
    gemm_matrix b = gemm_random(rng, tb ? n : k, tb ? k : n, 2 * margin);
    gemm_matrix c = gemm_random(rng, m, n, margin);
    size_t size = (m - 1) * c.ld + n;
    nas_real *before = malloc(size * sizeof *before);
    assert_non_null(before);
    memcpy(before, c.data, size * sizeof *before);
    for (size_t i = 0; beta == 0 && i < m * n; i++) c.data[i / n * c.ld + i % n] = (nas_real)NAN;
    nas_gemm(m, n, k, (nas_matrix){a.data, a.ld, ta}, (nas_matrix){b.data, b.ld, tb},
             (nas_real)beta, c.data, c.ld);
    for (size_t i = 0; i < size; i++) {
        size_t row = i / c.ld, column = i % c.ld;
        double want = column < n ? 0 : (double)before[i];
        if (column < n && beta > 0) want = (double)before[i];
        for (size_t j = 0; column < n && j < k; j++)
            want += gemm_at(&a, ta, row, j) * gemm_at(&b, tb, j, column);
        if (!(fabs((double)c.data[i] - want) <= tolerance * (1 + fabs(want))))
            fail_msg("%zu x %zu x %zu, a%s, b%s, beta %g, margin %zu: [%zu][%zu]: expected %.9g, "
                     "found %.9g",
                     m, n, k, ta ? "'" : "", tb ? "'" : "", beta, margin, row, column, want,
                     (double)c.data[i]);
    }
    free(a.data), free(b.data), free(c.data), free(before);
}

/* One product by a set of kernels: a transposed (1), b packed (2) from its transpose (4) and with
 * its rows scaled (8), added to c (16). What it fetches ahead is taken off, and changes nothing. */
static inline void check_multiply(const nas_kernels *kernels, nas_rng *rng, size_t m, size_t n,
                                  size_t k, int how, size_t margin) {
    bool ta = how & 1, packed = how & 2, tb = packed && how & 4, add = how & 16;
    double tolerance = sizeof(nas_real) == sizeof(float) ? 3e-5 : 1e-12;
    gemm_matrix a = gemm_random(rng, ta ? k : m, ta ? m : k, margin);
    gemm_matrix b = gemm_random(rng, tb ? n : k, tb ? k : n, margin);
    gemm_matrix c = gemm_random(rng, m, n, margin), scale = gemm_random(rng, 1, k, 0);
    size_t size = (m - 1) * c.ld + n;
    nas_real *before = malloc(size * sizeof *before), *pack = malloc(n * k * sizeof *pack);
    assert_true(before && pack);
    bool scaled = packed && how & 8;
    nas_product_pack(kernels, pack, (nas_matrix){b.data, b.ld, tb}, scaled ? scale.data : NULL, k,
                     n);
    for (size_t i = 0; !add && i < m * n; i++) c.data[i / n * c.ld + i % n] = (nas_real)NAN;
    memcpy(before, c.data, size * sizeof *before);
    nas_ahead ahead = {.n = 0};
    nas_ahead_add(&ahead, a.data, margin * 7), nas_ahead_add(&ahead, b.data, margin);
    nas_product p = {m,      n,    k,      a.data, ta ? 1 : a.ld, ta ? a.ld : 1,
                     b.data, b.ld, c.data, c.ld,   add,           how & 1 ? &ahead : NULL};
    if (packed) p.b = pack, p.ldb = 0;
    nas_multiply(kernels, &p);
    for (size_t i = 0; i < size; i++) {
        size_t row = i / c.ld, column = i % c.ld;
        double want = column < n && !add ? 0 : (double)before[i];
        for (size_t j = 0; column < n && j < k; j++)
            want += gemm_at(&a, ta, row, j) * gemm_at(&b, tb, j, column) *
                    (scaled ? (double)scale.data[j] : 1);
        if (!(fabs((double)c.data[i] - want) <= tolerance * (1 + fabs(want))))
            fail_msg("%s: %zu x %zu x %zu, how %d, margin %zu: [%zu][%zu]: expected %.9g, found "
                     "%.9g",
                     kernels->isa, m, n, k, how, margin, row, column, want, (double)c.data[i]);
    }
    free(a.data), free(b.data), free(c.data), free(scale.data), free(before), free(pack);
}

/* Every width of a block and some of several, rows that fill no block, by every set of kernels. */
static inline void check_all_multiplies(void) {
    static const size_t rows[] = {1, 4, 7, 12, 31}, columns[] = {1, 9, 72, 120, 136};
    for (int set = 0; nas_kernels_get(set); set++)
        for (size_t n = 1; n <= 13; n++)
            for (size_t m = 0; m < 5; m++)
                for (int how = 0; how < 32; how++) {
                    nas_rng rng = nas_rng_open(4, NAS_RNG_TEST, n * 5 + m, (uint64_t)how);
                    check_multiply(nas_kernels_get(set), &rng, rows[m],
                                   n <= 8 ? 8 * n : columns[n - 9], 1 + nas_rng_below(&rng, 40),
                                   how, (size_t)(how % 3) * 8);
                }
}

static inline void check_all_products(void) {
    static const size_t sizes[][3] = {{1, 1, 1},    {1, 10, 33}, {17, 1, 5},    {3, 7, 1},
                                      {49, 24, 16}, {5, 40, 96}, {33, 129, 65}, {128, 15, 9}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int how = 0; how < 8; how++)
            for (size_t margin = 0; margin < 6; margin += 5) {
                nas_rng rng = nas_rng_open(3, NAS_RNG_TEST, s, (uint64_t)how * 8 + margin);
                check_product(&rng, sizes[s][0], sizes[s][1], sizes[s][2], how, margin);
            }
}

#endif
