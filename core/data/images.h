/* Images of a data set: all of a split in memory, or, where they do not fit, decoded when they are
 * asked for. */
#ifndef NAS_DATA_IMAGES_H
#define NAS_DATA_IMAGES_H

#include <nashost/dataset.h>

typedef int (*nas_read_fn)(void *self, nas_split split, const uint64_t *indices, size_t n,
                           uint8_t *images, int32_t *labels, nas_error *err);

/* What the splits of a data set that do not fit share: how they are read, and the memory that is
 * left. */
typedef struct nas_store nas_store;

/* What a split has of its own if it does not fit: the images that are in memory all the same. */
typedef struct nas_stream nas_stream;

/* Images and labels of one split. */
typedef struct nas_images {
    uint64_t n;
    uint8_t *pixels;    /* [n][h][w][c]; NULL: see stream */
    int32_t *labels;    /* [n]; -1: none */
    nas_stream *stream; /* NULL: all are in pixels */
} nas_images;

/* read is called with self on any thread, and on several at a time only if parallel. area: bytes of
 * an image; bytes: of memory that images may take; threads: that read in nas_images_gather, at
 * least 1. self must outlive the store. [main] */
int nas_store_create(nas_read_fn read, void *self, bool parallel, size_t area, uint64_t bytes,
                     int threads, nas_store **store, nas_error *err);
void nas_store_destroy(nas_store *store); /* NULL-safe; after what is read from it [main] */

/* Takes bytes from the store's memory; false: so many are not left. [any] */
bool nas_store_take(nas_store *store, uint64_t bytes);

/* Bytes that are left. [any] */
uint64_t nas_store_left(nas_store *store);

/* Makes images->stream for a split of images->n images. [main] */
int nas_images_stream(nas_store *store, nas_split split, nas_images *images, nas_error *err);
void nas_images_free(nas_images *images); /* NULL-safe [main] */

/* Image `index`, of area bytes: *pixels is where it lies until images are freed, or room [area],
 * where it was decoded to. Images are kept as long as there is memory left; a quarter of it is
 * left to nas_images_gather. [any] */
int nas_images_at(const nas_images *images, size_t area, uint64_t index, uint8_t *room,
                  const uint8_t **pixels, nas_error *err);

/* Copies images indices [n] (NULL: first and those that follow) to out [n][area], decoding on the
 * store's threads. What it decodes is kept while any memory is left: it is for images that are
 * looked at again and again, those that subnets are judged by. Of several that cannot be read, the
 * error names one. [main] */
int nas_images_gather(const nas_images *images, size_t area, const uint64_t *indices,
                      uint64_t first, size_t n, uint8_t *out, nas_error *err);

/* The same for images that are looked at once: the quarter of the memory is left. [main] */
int nas_images_scan(const nas_images *images, size_t area, const uint64_t *indices, uint64_t first,
                    size_t n, uint8_t *out, nas_error *err);

#endif
