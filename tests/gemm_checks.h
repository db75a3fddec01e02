/* nas_gemm against plain loops in double, for float and double. Include after <cmocka.h>. */
#ifndef NAS_TESTS_GEMM_CHECKS_H
#define NAS_TESTS_GEMM_CHECKS_H

#include "base/rng.h"
#include "nn/gemm.h"

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
