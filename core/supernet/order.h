/* The order of inner channels: a subnet takes a block's first ones, so the important stand first.
 */
#ifndef NAS_SUPERNET_ORDER_H
#define NAS_SUPERNET_ORDER_H

#include "supernet/supernet.h"

/* Sorts the inner channels of every block that has an expanding convolution by the L1 norm of their
 * weights in the projection, largest first (arXiv 1908.09791, section 3.3): expansion, depthwise
 * kernel, batch norms, squeeze-excite and projection are permuted together, so that the largest
 * subnet computes the same function. statistics [size], permuted along, holds each batch norm's
 * running mean where weights have its gamma, and the variance where they have its beta. On failure
 * blocks may be permuted or not, each as a whole. [any] */
int nas_order_channels(nas_supernet *supernet, nas_real *statistics, nas_error *err);

#endif
