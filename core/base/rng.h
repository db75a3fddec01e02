/* Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as
 * 1, 2, 3", SC 2011). A stream is named, not advanced: the same (seed, purpose, step, sample) gives
 * the same numbers on every thread, and after a resume. */
#ifndef NAS_BASE_RNG_H
#define NAS_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

typedef enum nas_purpose {
    NAS_RNG_INIT = 1,     /* initial weights */
    NAS_RNG_SPLIT = 2,    /* which images are labelled */
    NAS_RNG_LABELLED = 3, /* order of labelled images */
    NAS_RNG_UNLABELLED = 4,
    NAS_RNG_AUGMENT = 5,
    NAS_RNG_SUBNETS = 6, /* which subnets a step samples */
    NAS_RNG_DROPOUT = 7,
    NAS_RNG_CALIBRATE = 8, /* which images calibrate batch norm, and which score */
    NAS_RNG_PLUGIN = 9,
    NAS_RNG_TEST = 10,
    NAS_RNG_PROBE = 11,  /* images, weights and noise of scores; see nashost/probe.h */
    NAS_RNG_REPORT = 12, /* which images the report shows, and how they are augmented */
    NAS_RNG_LOOK = 13,   /* how images are augmented that scores look at */
} nas_purpose;

typedef struct nas_rng {
    uint32_t key[2];
    uint32_t counter[4]; /* draw, sample, step, purpose */
    uint32_t block[4];   /* the current four outputs */
    uint32_t used;       /* of block */
} nas_rng;

/* The raw generator: out = Philox4x32-10(counter, key). [any] */
void nas_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* Opens the stream named by the arguments; sample and step use their low 32 bits. [any] */
nas_rng nas_rng_open(uint64_t seed, nas_purpose purpose, uint64_t step, uint64_t sample);

uint32_t nas_rng_u32(nas_rng *rng);
uint64_t nas_rng_u64(nas_rng *rng);
/* Uniform in [0, 1). */
double nas_rng_uniform(nas_rng *rng);
/* Uniform in 0 .. n - 1, without bias; n > 0. */
uint32_t nas_rng_below(nas_rng *rng, uint32_t n);
/* Standard normal (Box and Muller, 1958). */
double nas_rng_normal(nas_rng *rng);
/* Shuffles order [n] (Fisher and Yates). */
void nas_rng_shuffle(nas_rng *rng, uint64_t *order, size_t n);

#endif
