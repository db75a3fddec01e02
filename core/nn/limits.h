/* What this machine can do at best, to compare with. */
#ifndef NAS_NN_LIMITS_H
#define NAS_NN_LIMITS_H

#include "nn/kernels.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct nas_machine_limits {
    double gflops;      /* BLIS's float32 products of 512 x 512 by 512 x 512, all threads */
    double own_gflops;  /* the engine's own, of 128 x 256 by 256 x 64; 0: it has none here */
    double gbyte_per_s; /* copying 64 MiB, all threads: bytes read and bytes written */
} nas_machine_limits;

/* The best of a few tries, in about half a second; 0 where there is no memory. [main] */
nas_machine_limits nas_machine_measure(int threads);

/* GFLOP/s of the three products of a 1x1 convolution from `in` to `out` channels, one thread. */
typedef struct nas_product_rates {
    double forward, weight_gradient, input_gradient;
} nas_product_rates;

/* The best of a few tries, in cache, weights packed before: as the engine computes them with these
 * kernels, or, NULL, BLIS's. False: no memory. [main] */
bool nas_machine_products(const nas_kernels *kernels, size_t rows, size_t in, size_t out,
                          nas_product_rates *rates);

#endif
