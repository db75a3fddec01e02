#include "stages/evaluate.h"

#include "base/memory.h"
#include "base/rng.h"
#include "data/augment.h"
#include "data/loader.h"

#include <stdlib.h>
#include <string.h>

/* Images run at once, unless their tensors need more than this: then so many fewer. */
enum { BATCH = 250 };
static const size_t MOST_BYTES = (size_t)4 << 30;

static int create_engine(nas_evaluator *evaluator, uint32_t batch, nas_error *err) {
    const nas_context *context = evaluator->context;
    const nas_dataset_info *info = &context->source.info;
    evaluator->batch = batch;
    return nas_engine_create(context->supernet, NAS_ENGINE_FORWARD, batch, 1, info->height,
                             info->width, context->request->threads, &evaluator->engine, err);
}

/* The same batch on every machine, as batch norm's statistics are of a batch; only where there is
 * no memory for it, a smaller one. */
static int open_engine(nas_evaluator *evaluator, nas_error *err) {
    uint32_t batch = BATCH;
    int rc = create_engine(evaluator, batch, err);
    while (batch > 1 &&
           (rc == NAS_ERR_MEMORY || (!rc && nas_engine_bytes(evaluator->engine) > MOST_BYTES))) {
        nas_engine_destroy(evaluator->engine);
        evaluator->engine = NULL;
        batch /= 2;
        rc = create_engine(evaluator, batch, err);
    }
    if (!rc && evaluator->batch < BATCH)
        nas_log_line(evaluator->context->request->log, NAS_WARNING,
                     "subnets are evaluated on %u images at once, for want of memory for %d",
                     evaluator->batch, BATCH);
    return rc;
}

int nas_evaluator_open(const nas_context *context, nas_evaluator *evaluator, nas_error *err) {
    size_t area = nas_source_area(&context->source);
    *evaluator = (nas_evaluator){.context = context};
    int rc = nas_calibration_open(context, &evaluator->calibration, err);
    if (!rc) rc = open_engine(evaluator, err);
    evaluator->pixels = nas_alloc(evaluator->batch + 2, area);
    evaluator->images = nas_alloc(evaluator->batch, area * sizeof(nas_real));
    if (!rc && (!evaluator->pixels || !evaluator->images))
        rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory for %u images", evaluator->batch);
    if (!rc) rc = nas_bn_stats_create(evaluator->engine, &evaluator->stats, err);
    if (rc) nas_evaluator_close(evaluator);
    return rc;
}

size_t nas_evaluator_bytes(const nas_evaluator *evaluator) {
    size_t area = nas_source_area(&evaluator->context->source);
    return nas_engine_bytes(evaluator->engine) + BATCH * area * (1 + sizeof(nas_real)) +
           evaluator->calibration.n * area * sizeof(nas_real) +
           nas_split_pool_size(&evaluator->context->split) * sizeof(uint64_t);
}

void nas_evaluator_close(nas_evaluator *evaluator) {
    nas_bn_stats_free(&evaluator->stats);
    nas_engine_destroy(evaluator->engine);
    nas_pool_destroy(evaluator->pool);
    nas_calibration_close(&evaluator->calibration);
    free(evaluator->pixels);
    free(evaluator->images);
    *evaluator = (nas_evaluator){0};
}

void nas_evaluator_select(nas_evaluator *evaluator, const nas_genome *genome) {
    const nas_context *context = evaluator->context;
    if (evaluator->ready && nas_genome_equal(&context->space, genome, &evaluator->calibrated))
        return;
    nas_arch arch = nas_genome_decode(&context->space, genome);
    nas_engine_select(evaluator->engine, &arch);
    nas_engine_calibrate(evaluator->engine, context->supernet->weights,
                         evaluator->calibration.images, evaluator->calibration.n,
                         &evaluator->stats);
    evaluator->calibrated = *genome;
    evaluator->ready = true;
}

/* How images are changed before they are run. */
typedef struct alteration {
    nas_augment how;
    uint64_t draw;
} alteration;

/* image: number `index`, which becomes its view. */
static void alter(nas_evaluator *evaluator, const alteration *change, uint64_t index,
                  uint8_t *image) {
    const nas_context *context = evaluator->context;
    const nas_dataset_info *info = &context->source.info;
    size_t area = nas_source_area(&context->source);
    uint8_t *before = evaluator->pixels + evaluator->batch * area, *scratch = before + area;
    nas_rng rng = nas_rng_open(context->seed, NAS_RNG_LOOK, change->draw, index);
    memcpy(before, image, area);
    if (change->how == NAS_AUGMENT_WEAK)
        nas_augment_weak(&context->augment, &rng, before, image, info->height, info->width,
                         info->channels);
    else
        nas_augment_strong(&context->augment, &rng, before, image, scratch, info->height,
                           info->width, info->channels, context->source.fill);
}

/* change NULL: none. */
static int run(nas_evaluator *evaluator, const nas_images *images, const uint64_t *indices,
               uint64_t n, const alteration *change, float *logits, nas_error *err) {
    const nas_context *context = evaluator->context;
    size_t area = nas_source_area(&context->source), classes = context->source.info.classes;
    for (uint64_t first = 0; first < n; first += evaluator->batch) {
        uint64_t count = n - first < evaluator->batch ? n - first : evaluator->batch;
        const uint64_t *part = indices ? indices + first : NULL;
        int rc = nas_images_gather(images, area, part, first, count, evaluator->pixels, err);
        if (rc) return rc;
        for (uint64_t i = 0; i < count && change; i++)
            alter(evaluator, change, part ? part[i] : first + i, evaluator->pixels + i * area);
        nas_normalise(&context->source, evaluator->pixels, count * area, evaluator->images);
        nas_engine_infer(evaluator->engine, context->supernet->weights, &evaluator->stats,
                         evaluator->images, count, logits + first * classes);
    }
    return NAS_OK;
}

int nas_evaluator_logits(nas_evaluator *evaluator, const nas_images *images,
                         const uint64_t *indices, uint64_t n, float *logits, nas_error *err) {
    return run(evaluator, images, indices, n, NULL, logits, err);
}

int nas_evaluator_augmented(nas_evaluator *evaluator, const nas_images *images,
                            const uint64_t *indices, uint64_t n, nas_augment how, uint64_t draw,
                            float *logits, nas_error *err) {
    return run(evaluator, images, indices, n, &(alteration){how, draw}, logits, err);
}

int nas_evaluator_pool(nas_evaluator *evaluator, nas_pool **pool, nas_error *err) {
    int rc = NAS_OK;
    if (!evaluator->pool)
        rc = nas_pool_create(evaluator->context->request->threads, &evaluator->pool, err);
    *pool = evaluator->pool;
    return rc;
}
