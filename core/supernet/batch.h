/* What an engine runs on: images in, statistics, and how. */
#ifndef NAS_SUPERNET_BATCH_H
#define NAS_SUPERNET_BATCH_H

#include "nn/real.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAS_MAX_COHORTS 15 /* of a batch */

/* Part of a batch: n images [n][h][w][c], normalised, at the data set's size. */
typedef struct nas_input {
    const nas_real *images;
    uint32_t n;
} nas_input;

/* Batch norm's means and variances for one subnet, in the engine's order. */
typedef struct nas_bn_stats {
    size_t n; /* channels in all; 0: none yet */
    nas_real *mean, *var;
} nas_bn_stats;

/* That several processes, the ranks, run the batches of an engine together: each calls the same
 * functions with the same numbers of images, in the same order, and reads those of its own chunks
 * alone. */
typedef struct nas_share {
    uint32_t rank, ranks;
    /* Of data, each rank r has the bytes from ends[r - 1] (0 for r = 0) to ends[r]; afterwards each
     * has all. What fails is kept in context, and what it leaves in data is then of no use. */
    void (*gather)(void *context, void *data, const uint64_t *ends);
    void *context;
    /* The same, begun and ended: other exchanges take place in between, but no second one that is
     * begun, and ends may change. */
    void (*begin)(void *context, void *data, const uint64_t *ends);
    void (*end)(void *context);
} nas_share;

/* How to run a batch.
 *
 * Several subnets on the same images with the same weights, in turn (mode TRAIN, batch statistics),
 * need their trunk only once: the layers at the start that every subnet of the space has. The first
 * runs it forward, the last one backward, for the sum of what all of them pass down to it. Every
 * subnet but the first `follows`, every one but the last is `followed`; between them the engine
 * (and its memory, if lent) must do nothing else but these subnets' select, forward and backward.
 */
typedef struct nas_forward {
    const nas_bn_stats *stats; /* normalise with these (inference); NULL: with the batch's own */
    double dropout;            /* before the classifier; 0: none */
    uint64_t seed, step;       /* of dropout's random stream, with the row */
    uint64_t stream;           /* tells apart the subnets of one step */
    bool follows, followed;    /* as above; neither: the subnet stands alone */
    bool apart; /* every input is a cohort, with batch statistics of its own; none is empty */
} nas_forward;

#endif
