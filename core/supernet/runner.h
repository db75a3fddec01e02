/* Runs a folded network as a device does, layer by layer from pixels: in single precision, or in 8
 * bits by the arithmetic of nashost/kit/int8.h. It is not the engine, which runs supernets in
 * training; this one tells what a network's exports answer. */
#ifndef NAS_SUPERNET_RUNNER_H
#define NAS_SUPERNET_RUNNER_H

#include "base/threads.h"

#include <nashost/network.h>

typedef struct nas_runner nas_runner;

/* The network, with weights, mean and std, must outlive the runner; so must the pool, which has
 * `threads` threads. With int8 it needs ranges, and to end in a linear layer. [main] */
int nas_runner_create(const nas_network *network, bool int8, nas_pool *pool, int threads,
                      nas_runner **runner, nas_error *err);
void nas_runner_destroy(nas_runner *runner); /* NULL-safe */

/* Logits [n][classes] of pixels [n][h][w][c] at the network's resolution. In 8 bits they are the
 * same on every machine. [main] */
void nas_runner_logits(nas_runner *runner, const uint8_t *pixels, uint64_t n, float *logits);

/* The values that each of n images makes tensors take, ranges [n][2 * n_layers]: of every layer's
 * op(input) + bias, then of every layer's result; of a runner in single precision alone. [main] */
void nas_runner_measure(nas_runner *runner, const uint8_t *pixels, uint64_t n, nas_range *ranges);

#endif
