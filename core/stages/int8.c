#include "stages/int8.h"

#include "base/memory.h"
#include "stages/figures.h"
#include "supernet/runner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 256 }; /* images resized at once */

/* Images [n] at the network's resolution into to. */
static void resize(const nas_pixels *images, uint32_t c, uint32_t side, float *room, uint8_t *to) {
    size_t from = (size_t)images->h * images->w * c, area = (size_t)side * side * c;
    float *resized = room + from;
    for (uint64_t i = 0; i < images->n; i++, to += area) {
        for (size_t j = 0; j < from; j++) room[j] = images->data[i * from + j];
        nas_engine_resize(resized, side, room, images->h, images->w, c);
        for (size_t j = 0; j < area; j++) to[j] = (uint8_t)lroundf(fminf(resized[j], 255));
    }
}

/* ---- Batches of images at the network's resolution ---- */

/* What to do with images [n], of which `first` were there before. */
typedef int (*use_fn)(void *context, const nas_pixels *images, uint64_t first, nas_error *err);

static int each_batch(const nas_network *net, const nas_pixels *images, use_fn use, void *context,
                      nas_error *err) {
    uint32_t side = net->image.h, c = net->image.c;
    size_t from = (size_t)images->h * images->w * c, area = (size_t)side * side * c;
    uint8_t *batch = nas_alloc(BATCH, area);
    float *room = nas_alloc(from + area, sizeof *room);
    int rc = batch && room ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory for images");
    for (uint64_t first = 0; first < images->n && !rc; first += BATCH) {
        uint64_t n = images->n - first < BATCH ? images->n - first : BATCH;
        nas_pixels part = {images->data + first * from, n, images->h, images->w};
        if (images->h != side || images->w != side) {
            resize(&part, c, side, room, batch);
            part.data = batch;
        }
        rc = use(context, &part, first, err);
    }
    free(batch);
    free(room);
    return rc;
}

/* ---- Ranges ---- */

static int open_runner(nas_evaluator *evaluator, const nas_network *net, bool int8,
                       nas_runner **runner, nas_error *err) {
    nas_pool *pool;
    int rc = nas_evaluator_pool(evaluator, &pool, err);
    if (rc) return rc;
    return nas_runner_create(net, int8, pool, evaluator->context->request->threads, runner, err);
}

typedef struct measuring {
    nas_runner *runner;
    uint32_t tensors;  /* two a layer */
    nas_range *ranges; /* [images][tensors] */
} measuring;

static int measure(void *context, const nas_pixels *images, uint64_t first, nas_error *err) {
    (void)err;
    const measuring *m = context;
    nas_runner_measure(m->runner, images->data, images->n, m->ranges + first * m->tensors);
    return NAS_OK;
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* What to keep of a tensor's ranges in n images; room [n]. */
static nas_range keep(const measuring *m, uint32_t tensor, uint64_t n, float *room) {
    uint64_t last = (uint64_t)lround(NAS_INT8_KEPT * (double)(n - 1));
    nas_range kept;
    for (uint64_t i = 0; i < n; i++) room[i] = m->ranges[i * m->tensors + tensor].min;
    qsort(room, n, sizeof *room, ascending);
    kept.min = room[n - 1 - last];
    for (uint64_t i = 0; i < n; i++) room[i] = m->ranges[i * m->tensors + tensor].max;
    qsort(room, n, sizeof *room, ascending);
    kept.max = room[last];
    return kept;
}

uint64_t nas_int8_images(const nas_evaluator *evaluator) {
    return evaluator->calibration.n < NAS_INT8_IMAGES ? evaluator->calibration.n : NAS_INT8_IMAGES;
}

/* The training images that make the ranges; *pixels is for the caller to free, whatever comes. */
static int choose(const nas_evaluator *evaluator, nas_pixels *images, uint8_t **pixels,
                  nas_error *err) {
    const nas_source *source = &evaluator->context->source;
    const nas_dataset_info *info = &source->info;
    size_t area = (size_t)info->height * info->width * info->channels;
    uint64_t n = nas_int8_images(evaluator);
    *pixels = nas_alloc(n, area);
    *images = (nas_pixels){*pixels, n, info->height, info->width};
    if (!*pixels) return nas_fail(err, NAS_ERR_MEMORY, "out of memory to measure activations");
    return nas_images_gather(&source->train, area, evaluator->calibration.drawn, 0, n, *pixels,
                             err);
}

int nas_int8_calibrate(nas_evaluator *evaluator, nas_folded *folded, nas_error *err) {
    nas_network *net = &folded->lowered->network;
    nas_pixels images;
    uint8_t *pixels;
    int rc = choose(evaluator, &images, &pixels, err);
    measuring m = {.tensors = 2 * net->n_layers};
    m.ranges = nas_alloc(images.n, m.tensors * sizeof *m.ranges);
    float *room = nas_alloc(images.n, sizeof *room);
    folded->ranges = nas_alloc(m.tensors, sizeof *folded->ranges);
    if (!rc && (!m.ranges || !room || !folded->ranges))
        rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory to measure activations");
    if (!rc) rc = open_runner(evaluator, net, false, &m.runner, err);
    if (!rc) rc = each_batch(net, &images, measure, &m, err);
    for (uint32_t t = 0; t < m.tensors && !rc; t++) folded->ranges[t] = keep(&m, t, images.n, room);
    if (!rc) net->sums = folded->ranges;
    if (!rc) net->results = folded->ranges + net->n_layers;
    nas_runner_destroy(m.runner);
    free(pixels);
    free(m.ranges);
    free(room);
    return rc;
}

/* ---- Answers ---- */

typedef struct answering {
    nas_runner *runner;
    uint32_t classes;
    float *logits;
} answering;

static int answer(void *context, const nas_pixels *images, uint64_t first, nas_error *err) {
    (void)err;
    const answering *a = context;
    nas_runner_logits(a->runner, images->data, images->n, a->logits + first * a->classes);
    return NAS_OK;
}

int nas_deployed_logits(nas_evaluator *evaluator, const nas_folded *folded, bool int8,
                        const nas_pixels *images, float *logits, nas_error *err) {
    const nas_network *net = &folded->lowered->network;
    answering a = {NULL, net->classes, logits};
    int rc = open_runner(evaluator, net, int8, &a.runner, err);
    if (!rc) rc = each_batch(net, images, answer, &a, err);
    nas_runner_destroy(a.runner);
    return rc;
}

int nas_int8_logits(nas_evaluator *evaluator, const nas_folded *folded, const nas_pixels *images,
                    float *logits, nas_error *err) {
    return nas_deployed_logits(evaluator, folded, true, images, logits, err);
}

typedef struct copying {
    size_t area;
    uint8_t *to;
} copying;

static int copy(void *context, const nas_pixels *images, uint64_t first, nas_error *err) {
    (void)err;
    const copying *c = context;
    memcpy(c->to + first * c->area, images->data, images->n * c->area);
    return NAS_OK;
}

int nas_deployed_pixels(const nas_network *network, const nas_pixels *images, uint8_t *to,
                        nas_error *err) {
    copying c = {nas_shape_elements(network->image), to};
    return each_batch(network, images, copy, &c, err);
}

/* Logits of images that may not be in memory. */
static int all_logits(nas_evaluator *evaluator, const nas_folded *folded, const nas_images *images,
                      float *logits, nas_error *err) {
    const nas_source *source = &evaluator->context->source;
    const nas_network *net = &folded->lowered->network;
    size_t area = nas_source_area(source);
    answering a = {NULL, net->classes, logits};
    uint8_t *room = nas_alloc(BATCH, area);
    int rc = room ? open_runner(evaluator, net, true, &a.runner, err)
                  : nas_fail(err, NAS_ERR_MEMORY, "out of memory for images");
    for (uint64_t first = 0; first < images->n && !rc; first += BATCH) {
        uint64_t n = images->n - first < BATCH ? images->n - first : BATCH;
        const nas_pixels part = {room, n, source->info.height, source->info.width};
        rc = nas_images_gather(images, area, NULL, first, n, room, err);
        if (!rc) rc = each_batch(net, &part, answer, &a, err);
        a.logits += n * net->classes;
    }
    nas_runner_destroy(a.runner);
    free(room);
    return rc;
}

int nas_int8_top1(nas_evaluator *evaluator, const nas_folded *folded, const nas_images *images,
                  double *top1, nas_error *err) {
    const nas_dataset_info *info = &evaluator->context->source.info;
    *top1 = NAN;
    float *logits = nas_alloc(images->n + 1, info->classes * sizeof *logits);
    if (!logits)
        return nas_fail(err, NAS_ERR_MEMORY, "out of memory for the logits of %llu images",
                        (unsigned long long)images->n);
    int rc = all_logits(evaluator, folded, images, logits, err);
    if (!rc) *top1 = nas_top1(logits, images->labels, NULL, images->n, info->classes);
    free(logits);
    return rc;
}
