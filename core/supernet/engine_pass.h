/* One pass over a batch: the call's weights, images and gradient, how the images are cut into
 * cohorts and chunks, and what reads memory by these.
 *
 * One parallel sweep over the images runs one unit; between sweeps batch norm's sums are added up.
 * Backward does the same in reverse: a sweep turns g, the gradient with respect to batch norm's
 * output, into the unit's weight gradient and into g of the unit below. */
#ifndef NAS_SUPERNET_ENGINE_PASS_H
#define NAS_SUPERNET_ENGINE_PASS_H

#include "base/threads.h"
#include "nn/product.h"
#include "supernet/engine_memory.h"
#include "supernet/profile.h"

/* Images that batch norm normalises together. */
typedef struct nas_cohort {
    uint32_t first, images;
    int chunk, chunks; /* the first of its chunks, and how many */
} nas_cohort;

/* Where a chunk begins. */
typedef struct nas_chunk_start {
    uint32_t first; /* image */
    int cohort;
} nas_chunk_start;

typedef struct nas_engine_pass {
    /* What the engine lends to every call. */
    const nas_kernels *kernels;
    nas_pool *pool;
    nas_profile *profile;   /* NULL: none */
    const nas_share *share; /* NULL: this process runs all chunks */
    uint64_t *share_ends;   /* [ranks] work memory, as is */
    char *share_room;
    nas_real *share_parts[2]; /* [chunks][partial]: on their way, and those that came before */
    nas_real *share_terms;    /* [cohorts][4 * widest] */
    uint32_t height, width, channels; /* of the images */
    /* The call. */
    const nas_real *weights;
    const nas_input *inputs;
    nas_forward how;
    nas_real *gradient; /* backward */
    /* Its images, cut by their number alone; no chunk is empty. */
    uint32_t n_images;
    int n_cohorts, n_chunks;
    nas_cohort cohorts[NAS_MAX_COHORTS];
    nas_chunk_start chunks[NAS_MAX_CHUNKS + 1]; /* the last: where the images end */
} nas_engine_pass;

/* Sets the call's images and cuts them. [main] */
void nas_engine_pass_cut(nas_engine_pass *pass, const nas_input *inputs, uint32_t n_inputs,
                         const nas_forward *how);

/* Pixels of a unit's output in a cohort. */
static inline double nas_cohort_rows(const nas_engine_pass *pass, int cohort, const nas_unit *u) {
    return (double)pass->cohorts[cohort].images * u->oh * u->ow;
}

typedef struct nas_image_range {
    uint32_t first, count;
} nas_image_range;

/* Images first .. end - 1 of one chunk, run by one thread. Their place in a buffer is base * room +
 * (image - origin) * size: with base = origin = 0 all images of a batch stand in order; inference
 * lets each chunk use the place of its first image again and again, so that data stays in cache. */
typedef struct nas_microbatch {
    uint32_t first, end, base, origin;
    int chunk, cohort, thread;
    nas_image_range after; /* that the thread probably runs next; count 0: none */
} nas_microbatch;

/* All images of a chunk, in a sweep over the chunks in either direction. */
nas_microbatch nas_microbatch_of_chunk(const nas_engine_pass *pass, int chunk, bool reverse,
                                       int thread);

/* The tile of at most `most` images that comes after those before `done`. */
nas_image_range nas_microbatch_next(const nas_microbatch *micro, uint32_t done, uint32_t most);

/* Images of the tile that begins at image i. */
static inline uint32_t nas_microbatch_count(const nas_microbatch *micro, uint32_t i,
                                            uint32_t most) {
    return micro->end - i < most ? micro->end - i : most;
}

static inline nas_real *nas_image_at(const nas_image_values *v, const nas_microbatch *micro,
                                     uint32_t image) {
    return v->values + micro->base * v->room + (image - micro->origin) * v->size;
}

/* Batch norm and activation of unit `source`, seen from an image of a micro-batch on. */
static inline nas_affine nas_unit_affine(const nas_engine_plan *plan,
                                         const nas_engine_memory *memory, int source,
                                         const nas_microbatch *micro, uint32_t image) {
    const nas_unit *u = &plan->units[source];
    const nas_cohort_memory *norm = &memory->cohorts[micro->cohort];
    return (nas_affine){nas_image_at(&memory->units[source].y, micro, image), norm->a + u->bn,
                        norm->b + u->bn, u->act};
}

/* act(values), without batch norm. */
static inline nas_affine nas_plain(const nas_engine_memory *memory, const nas_real *values,
                                   nas_activation act) {
    return (nas_affine){values, memory->ones, memory->zeros, act};
}

/* Some images of an array [images][size] are needed soon. */
static inline void nas_ahead_images(nas_ahead *ahead, const nas_real *array, size_t size,
                                    nas_image_range images) {
    nas_ahead_add(ahead, array + images.first * size, images.count * size);
}

/* x [rows][k] times b [k][n], packed, to y or onto it. [worker] */
static inline void nas_multiply_packed(const nas_kernels *kernels, const nas_real *x, size_t k,
                                       const nas_real *b, size_t rows, size_t n, bool add,
                                       nas_real *y, nas_ahead *ahead) {
    nas_product p = {rows, n, k, x, k, 1, b, 0, y, n, add, ahead};
    nas_multiply(kernels, &p);
}

/* x' d to sum [k][n] or onto it, for x [rows][k] and d [rows][n]. [worker] */
static inline void nas_multiply_transposed(const nas_kernels *kernels, const nas_real *x, size_t k,
                                           const nas_real *d, size_t rows, size_t n, bool add,
                                           nas_real *sum, nas_ahead *ahead) {
    nas_product p = {k, n, rows, x, 1, k, d, n, sum, n, add, ahead};
    nas_multiply(kernels, &p);
}

#endif
