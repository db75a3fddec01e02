#include "nn/limits.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/threads.h"
#include "nn/product.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 512, TRIES = 5 };
enum { ROWS = 128, DEPTH = 256, COLUMNS = 64, REPEAT = 64 }; /* of an own product; as much work */

static const size_t copied = (size_t)64 << 20; /* more than caches hold */

typedef struct limits {
    const nas_kernels *kernels;
    nas_real *a, *b, *c; /* [SIDE][SIDE], c once a thread */
    char *from, *to;     /* [copied] */
} limits;

static void multiply_chunk(void *context, int chunk, int thread) {
    (void)chunk;
    const limits *l = context;
    nas_gemm(SIDE, SIDE, SIDE, (nas_matrix){l->a, SIDE, false}, (nas_matrix){l->b, SIDE, false}, 0,
             l->c + (size_t)thread * SIDE * SIDE, SIDE);
}

static void multiply_own_chunk(void *context, int chunk, int thread) {
    (void)chunk;
    const limits *l = context;
    nas_real *c = l->c + (size_t)thread * SIDE * SIDE;
    const nas_product p = {.m = ROWS,
                           .n = COLUMNS,
                           .k = DEPTH,
                           .a = l->a,
                           .a_row = DEPTH,
                           .a_column = 1,
                           .b = l->b,
                           .c = c,
                           .ldc = COLUMNS};
    for (int i = 0; i < REPEAT; i++) l->kernels->product(&p);
}

/* Touched memory: pages that were never written are all the same one, which is always in cache. */
static nas_real *ones(size_t n) {
    nas_real *values = nas_alloc(n, sizeof *values);
    for (size_t i = 0; values && i < n; i++) values[i] = 1;
    return values;
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
    nas_machine_limits result = {0};
    nas_error ignored;
    nas_pool *pool = NULL;
    size_t square = (size_t)SIDE * SIDE;
    limits l = {.kernels = nas_kernels_pick(), .a = ones(square), .b = ones(square)};
    l.c = nas_alloc(NAS_CHUNKS * square, sizeof(nas_real));
    l.from = nas_alloc(copied, 1);
    l.to = nas_alloc(copied, 1);
    bool good = l.a && l.b && l.c && l.from && l.to;
    if (good && nas_pool_create(threads, &pool, &ignored) == NAS_OK) {
        double flops = 2.0 * NAS_CHUNKS * (double)square * SIDE;
        result.gflops = flops / fastest(pool, multiply_chunk, &l) * 1e-9;
        double own = 2.0 * NAS_CHUNKS * REPEAT * (double)ROWS * DEPTH * COLUMNS;
        if (l.kernels->product)
            result.own_gflops = own / fastest(pool, multiply_own_chunk, &l) * 1e-9;
        result.gbyte_per_s = 2 * (double)copied / fastest(pool, copy_chunk, &l) * 1e-9;
    }
    nas_pool_destroy(pool);
    free(l.a), free(l.b), free(l.c), free(l.from), free(l.to);
    return result;
}

/* GFLOP/s of the fastest of a few loops of about 20 MFLOP. */
static double product_rate(const nas_kernels *kernels, const nas_product *p) {
    double flops = 2 * (double)p->m * (double)p->n * (double)p->k, best = INFINITY;
    int repeat = 1 + (int)(2e7 / flops);
    for (int i = 0; i < TRIES; i++) {
        double start = nas_seconds();
        for (int r = 0; r < repeat; r++) nas_multiply(kernels, p);
        best = fmin(best, (nas_seconds() - start) / repeat);
    }
    return flops / best * 1e-9;
}

bool nas_machine_products(const nas_kernels *kernels, size_t rows, size_t in, size_t out,
                          nas_product_rates *rates) {
    nas_real *x = ones(rows * in), *y = ones(rows * out);
    nas_real *w = ones(in * out), *packed = ones(in * out);
    static const nas_kernels none;
    if (!kernels) kernels = &none;
    bool good = x && y && w && packed;
    if (good) {
        nas_product_pack(kernels, packed, (nas_matrix){w, out, false}, NULL, in, out);
        rates->forward = product_rate(
            kernels, &(nas_product){rows, out, in, x, in, 1, packed, 0, y, out, false, NULL});
        rates->weight_gradient = product_rate(
            kernels, &(nas_product){in, out, rows, x, 1, in, y, out, w, out, false, NULL});
        nas_product_pack(kernels, packed, (nas_matrix){w, out, true}, NULL, out, in);
        rates->input_gradient = product_rate(
            kernels, &(nas_product){rows, in, out, y, out, 1, packed, 0, x, in, false, NULL});
    }
    free(x), free(y), free(w), free(packed);
    return good;
}
