#include "data/images.h"

#include "base/memory.h"
#include "base/threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 64 }; /* shares that the images of one call are read in */

struct nas_store {
    nas_read_fn read;
    void *self;
    bool parallel;
    size_t area;
    _Atomic uint64_t left; /* bytes */
    uint64_t reserved;     /* of these, for nas_images_gather */
    pthread_mutex_t mutex; /* around read, unless it is parallel */
    nas_pool *pool;
};

struct nas_stream {
    nas_store *store;
    nas_split split;
    uint64_t n;
    _Atomic(uint8_t *) *kept; /* [n], NULL: that image is not in memory */
};

/* ---- The store ---- */

int nas_store_create(nas_read_fn read, void *self, bool parallel, size_t area, uint64_t bytes,
                     int threads, nas_store **store, nas_error *err) {
    nas_store *s = nas_alloc(1, sizeof *s);
    *store = NULL;
    if (!s) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    s->read = read;
    s->self = self;
    s->parallel = parallel;
    s->area = area;
    s->reserved = bytes / 4;
    atomic_init(&s->left, bytes);
    pthread_mutex_init(&s->mutex, NULL);
    int rc = nas_pool_create(threads, &s->pool, err);
    if (rc)
        nas_store_destroy(s);
    else
        *store = s;
    return rc;
}

void nas_store_destroy(nas_store *store) {
    if (!store) return;
    nas_pool_destroy(store->pool);
    pthread_mutex_destroy(&store->mutex);
    free(store);
}

/* Takes bytes if `least` are left behind. */
static bool take(nas_store *store, uint64_t bytes, uint64_t least) {
    uint64_t left = atomic_load(&store->left);
    while (left >= least && left - least >= bytes)
        if (atomic_compare_exchange_weak(&store->left, &left, left - bytes)) return true;
    return false;
}

bool nas_store_take(nas_store *store, uint64_t bytes) {
    return take(store, bytes, 0);
}

uint64_t nas_store_left(nas_store *store) {
    return atomic_load(&store->left);
}

static int read_one(nas_store *store, nas_split split, uint64_t index, uint8_t *out,
                    nas_error *err) {
    if (!store->parallel) pthread_mutex_lock(&store->mutex);
    int rc = store->read(store->self, split, &index, 1, out, NULL, err);
    if (!store->parallel) pthread_mutex_unlock(&store->mutex);
    return rc;
}

/* ---- One image ---- */

int nas_images_stream(nas_store *store, nas_split split, nas_images *images, nas_error *err) {
    nas_stream *stream = nas_alloc(1, sizeof *stream);
    if (stream) stream->kept = nas_alloc(images->n, sizeof *stream->kept);
    if (!stream || !stream->kept) {
        free(stream);
        return nas_fail(err, NAS_ERR_MEMORY, "out of memory for a list of %llu images",
                        (unsigned long long)images->n);
    }
    stream->store = store;
    stream->split = split;
    stream->n = images->n;
    images->stream = stream;
    return NAS_OK;
}

void nas_images_free(nas_images *images) {
    if (!images) return;
    nas_stream *stream = images->stream;
    for (uint64_t i = 0; stream && i < stream->n; i++) {
        uint8_t *image = atomic_load(&stream->kept[i]);
        if (image) atomic_fetch_add(&stream->store->left, stream->store->area);
        free(image);
    }
    if (stream) free(stream->kept);
    free(stream);
    free(images->pixels);
    free(images->labels);
    *images = (nas_images){0};
}

/* Keeps a copy of an image that was decoded, where there is memory. Two threads may decode the
 * same image; one copy stays. */
static void keep(nas_stream *stream, uint64_t index, const uint8_t *image, uint64_t least) {
    nas_store *store = stream->store;
    uint8_t *none = NULL, *copy;
    if (!take(store, store->area, least)) return;
    copy = malloc(store->area);
    if (copy) memcpy(copy, image, store->area);
    if (copy && atomic_compare_exchange_strong(&stream->kept[index], &none, copy)) return;
    free(copy);
    atomic_fetch_add(&store->left, store->area);
}

static int at(const nas_images *images, size_t area, uint64_t index, uint64_t least, uint8_t *room,
              const uint8_t **pixels, nas_error *err) {
    nas_stream *stream = images->stream;
    if (!stream) {
        *pixels = images->pixels + index * area;
        return NAS_OK;
    }
    *pixels = atomic_load(&stream->kept[index]);
    if (*pixels) return NAS_OK;
    int rc = read_one(stream->store, stream->split, index, room, err);
    if (rc) return rc;
    keep(stream, index, room, least);
    *pixels = room;
    return NAS_OK;
}

int nas_images_at(const nas_images *images, size_t area, uint64_t index, uint8_t *room,
                  const uint8_t **pixels, nas_error *err) {
    uint64_t least = images->stream ? images->stream->store->reserved : 0;
    return at(images, area, index, least, room, pixels, err);
}

/* ---- Many at a time ---- */

typedef struct gathering {
    const nas_images *images;
    size_t area, n;
    const uint64_t *indices;
    uint64_t first, least; /* least: bytes of memory that are not for these images */
    uint8_t *out;
    nas_error *why; /* [BLOCKS], code NAS_OK: none */
} gathering;

static int gather_one(const gathering *g, size_t i, nas_error *err) {
    uint64_t index = g->indices ? g->indices[i] : g->first + i;
    uint8_t *to = g->out + i * g->area;
    const uint8_t *pixels;
    int rc = at(g->images, g->area, index, g->least, to, &pixels, err);
    if (!rc && pixels != to) memcpy(to, pixels, g->area);
    return rc;
}

static void gather_block(void *context, int block, int thread) {
    const gathering *g = context;
    size_t i = g->n * (size_t)block / BLOCKS, end = g->n * ((size_t)block + 1) / BLOCKS;
    nas_error *why = &g->why[block];
    int rc = NAS_OK;
    (void)thread;
    for (; i < end && !rc; i++) rc = gather_one(g, i, why);
    why->code = rc;
}

static int gather(gathering *g, nas_error *err) {
    int rc = NAS_OK;
    if (!g->images->stream) {
        for (size_t i = 0; i < g->n; i++)
            gather_one(g, i, NULL); /* what is in memory never fails */
        return NAS_OK;
    }
    g->why = nas_alloc(BLOCKS, sizeof *g->why);
    if (!g->why) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    nas_parallel(g->images->stream->store->pool, BLOCKS, false, gather_block, g);
    for (int block = 0; block < BLOCKS && !rc; block++)
        if (g->why[block].code) rc = nas_fail(err, g->why[block].code, "%s", g->why[block].message);
    free(g->why);
    return rc;
}

int nas_images_gather(const nas_images *images, size_t area, const uint64_t *indices,
                      uint64_t first, size_t n, uint8_t *out, nas_error *err) {
    gathering g = {
        .images = images, .area = area, .n = n, .indices = indices, .first = first, .out = out};
    return gather(&g, err);
}

int nas_images_scan(const nas_images *images, size_t area, const uint64_t *indices, uint64_t first,
                    size_t n, uint8_t *out, nas_error *err) {
    gathering g = {
        .images = images, .area = area, .n = n, .indices = indices, .first = first, .out = out};
    if (images->stream) g.least = images->stream->store->reserved;
    return gather(&g, err);
}
