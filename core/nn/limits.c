#include "nn/limits.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/threads.h"
#include "nn/gemm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 512, TRIES = 5 };

static const size_t copied = (size_t)64 << 20; /* more than caches hold */

typedef struct limits {
    nas_real *a, *b, *c; /* [SIDE][SIDE], c once a thread */
    char *from, *to;     /* [copied] */
} limits;

static void multiply_chunk(void *context, int chunk, int thread) {
    (void)chunk;
    const limits *l = context;
    nas_gemm(SIDE, SIDE, SIDE, (nas_matrix){l->a, SIDE, false}, (nas_matrix){l->b, SIDE, false}, 0,
             l->c + (size_t)thread * SIDE * SIDE, SIDE);
}

static void copy_chunk(void *context, int chunk, int thread) {
    (void)thread;
    const limits *l = context;
    size_t part = copied / NAS_CHUNKS;
    memcpy(l->to + (size_t)chunk * part, l->from + (size_t)chunk * part, part);
}

/* Seconds of the fastest of a few loops. */
static double fastest(nas_pool *pool, nas_chunk_fn fn, limits *l) {
    double best = INFINITY;
    for (int i = 0; i < TRIES; i++) {
        double start = nas_seconds();
        nas_parallel(pool, NAS_CHUNKS, false, fn, l);
        best = fmin(best, nas_seconds() - start);
    }
    return best;
}

nas_machine_limits nas_machine_measure(int threads) {
    nas_machine_limits result = {0, 0};
    nas_error ignored;
    nas_pool *pool = NULL;
    size_t square = (size_t)SIDE * SIDE;
    limits l = {.a = nas_alloc(square, sizeof(nas_real)), .b = nas_alloc(square, sizeof(nas_real))};
    l.c = nas_alloc(NAS_CHUNKS * square, sizeof(nas_real));
    l.from = nas_alloc(copied, 1);
    l.to = nas_alloc(copied, 1);
    bool good = l.a && l.b && l.c && l.from && l.to;
    if (good && nas_pool_create(threads, &pool, &ignored) == NAS_OK) {
        double flops = 2.0 * NAS_CHUNKS * (double)square * SIDE;
        result.gflops = flops / fastest(pool, multiply_chunk, &l) * 1e-9;
        result.gbyte_per_s = 2 * (double)copied / fastest(pool, copy_chunk, &l) * 1e-9;
    }
    nas_pool_destroy(pool);
    free(l.a), free(l.b), free(l.c), free(l.from), free(l.to);
    return result;
}

/* c [m][n] = a b, GFLOP/s of the fastest of a few loops of about 20 MFLOP. */
static double product_rate(size_t m, size_t n, size_t k, nas_matrix a, nas_matrix b, nas_real *c) {
    double flops = 2 * (double)m * (double)n * (double)k, best = INFINITY;
    int repeat = 1 + (int)(2e7 / flops);
    for (int i = 0; i < TRIES; i++) {
        double start = nas_seconds();
        for (int r = 0; r < repeat; r++) nas_gemm(m, n, k, a, b, 0, c, n);
        best = fmin(best, (nas_seconds() - start) / repeat);
    }
    return flops / best * 1e-9;
}

bool nas_machine_products(size_t rows, size_t in, size_t out, nas_product_rates *rates) {
    nas_real *x = nas_alloc(rows * in, sizeof *x), *y = nas_alloc(rows * out, sizeof *y);
    nas_real *w = nas_alloc(in * out, sizeof *w), *turned = nas_alloc(in * out, sizeof *w);
    bool good = x && y && w && turned;
    if (good) {
        rates->forward =
            product_rate(rows, out, in, (nas_matrix){x, in, false}, (nas_matrix){w, out, false}, y);
        rates->weight_gradient =
            product_rate(in, out, rows, (nas_matrix){x, in, true}, (nas_matrix){y, out, false}, w);
        rates->input_gradient = product_rate(rows, in, out, (nas_matrix){y, out, false},
                                             (nas_matrix){turned, in, false}, x);
    }
    free(x), free(y), free(w), free(turned);
    return good;
}
