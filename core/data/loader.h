/* Training batches, made by threads of their own while the engine trains on the one before. */
#ifndef NAS_DATA_LOADER_H
#define NAS_DATA_LOADER_H

#include "data/augment.h"
#include "data/source.h"
#include "data/split.h"

#include <nashost/ssl.h>

/* One step's images. */
typedef struct nas_batch {
    uint64_t step;
    uint32_t labelled, unlabelled, n_views;
    float *labelled_images; /* [labelled][h][w][c], (x / 255 - mean) / std, weakly augmented */
    int32_t *labels;        /* [labelled] */
    float *views[NAS_SSL_MAX_VIEWS]; /* [unlabelled][h][w][c] each */
    uint64_t *indices;               /* [unlabelled], into the unlabelled pool */
    int32_t *hidden_labels; /* [unlabelled]; only for the metric "pseudo-label accuracy"; -1: there
                               is none, or the training sees it */
} nas_batch;

enum { NAS_LOADER_THREADS = 64 };

typedef struct nas_loader_config {
    uint64_t seed;
    uint32_t batch;      /* labelled images a step */
    uint32_t unlabelled; /* unlabelled images a step; 0: none */
    uint32_t n_views;
    nas_augment view[NAS_SSL_MAX_VIEWS];
    const bool *needed; /* [batch + n_views * unlabelled] which images are made: the labelled ones,
                           then each view's; borrowed; NULL: all */
    nas_augment_config augment;
    int threads; /* that decode and augment, at most NAS_LOADER_THREADS; 0: one */
} nas_loader_config;

typedef struct nas_loader nas_loader;

/* Starts the threads. Each pass over the labelled (and the unlabelled) images is a new permutation,
 * so every image is seen equally often. A batch is a pure function of (seed, step), whatever the
 * number of threads. The source and the split must outlive the loader. first_step: where a resumed
 * run goes on. [main] */
int nas_loader_open(const nas_source *source, const nas_split_sets *split,
                    const nas_loader_config *config, uint64_t first_step, nas_loader **loader,
                    nas_error *err);

/* Waits for the next step's batch; it is valid until the next call. An image that cannot be decoded
 * is an error, once its step is reached. [main] */
int nas_loader_next(nas_loader *loader, const nas_batch **batch, nas_error *err);

/* Images in the unlabelled pool, and how many of them have a hidden label. */
uint64_t nas_loader_pool(const nas_loader *loader);
uint64_t nas_loader_judged(const nas_loader *loader);

/* Bytes of memory that it takes. [any] */
size_t nas_loader_bytes(const nas_loader *loader);

/* Stops the threads; NULL is allowed. [main] */
void nas_loader_close(nas_loader *loader);

/* Normalises n values, as the loader does: those of images [...][c] of any size, n a multiple of c,
 * to (x / 255 - mean) / std. [any] */
void nas_normalise(const nas_source *source, const uint8_t *pixels, size_t n, float *images);

#endif
