/* One look inside a subnet for a score: a plain forward and backward pass in double precision.
 *
 * It is not the engine: that one is fast since it neither stores what activations are applied to
 * nor gradients of sums, which are what scores ask for. Tests compare the two. */
#ifndef NAS_SUPERNET_PROBE_H
#define NAS_SUPERNET_PROBE_H

#include "base/threads.h"
#include "supernet/probe_batch.h"
#include "supernet/supernet.h"

#include <nashost/probe.h>

/* Runs the batch through a network made by nas_lower from a genome of the supernet's space, as the
 * probe says but for its images, and makes its calls. seed: of random weights. [main] */
int nas_supernet_probe(const nas_supernet *supernet, const nas_network *network,
                       const nas_probe *probe, uint64_t seed, const nas_probe_batch *batch,
                       nas_pool *pool, nas_error *err);

#endif
