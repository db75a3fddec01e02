/* What a probe looks at, and which random numbers it draws. */
#ifndef NAS_SUPERNET_PROBE_BATCH_H
#define NAS_SUPERNET_PROBE_BATCH_H

#include <stdint.h>

/* n images [n][h][w][c] of the network's image shape; labels [n], NULL: none. */
typedef struct nas_probe_batch {
    uint32_t n;
    const double *images;
    const int32_t *labels;
} nas_probe_batch;

/* Streams of NAS_RNG_PROBE: the generator's step is draw * NAS_PROBE_STREAMS + stream. */
enum {
    NAS_PROBE_STREAM_WEIGHTS, /* sample: index of the tensor */
    NAS_PROBE_STREAM_ORDER,
    NAS_PROBE_STREAM_IMAGES, /* sample: number of the image */
    NAS_PROBE_STREAM_NOISE,  /* likewise */
    NAS_PROBE_STREAMS,
};

#endif
