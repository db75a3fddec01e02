#include "stages/evaluate.h"

#include "base/memory.h"
#include "base/rng.h"
#include "data/augment.h"
#include "data/loader.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 250 }; /* images run at once */

int nas_evaluator_open(const nas_context *context, nas_evaluator *evaluator, nas_error *err) {
    const nas_dataset_info *info = &context->source.info;
    size_t area = nas_source_area(&context->source);
    *evaluator = (nas_evaluator){.context = context};
    evaluator->pixels = nas_alloc(BATCH + 1, area);
    evaluator->images = nas_alloc(BATCH, area * sizeof(nas_real));
    int rc = NAS_OK;
    if (!evaluator->pixels || !evaluator->images)
        rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory for %d images", BATCH);
    if (!rc) rc = nas_calibration_open(context, &evaluator->calibration, err);
    if (!rc)
        rc = nas_engine_create(context->supernet, NAS_ENGINE_FORWARD, BATCH, 1, info->height,
                               info->width, context->request->threads, &evaluator->engine, err);
    if (!rc) rc = nas_bn_stats_create(evaluator->engine, &evaluator->stats, err);
    if (rc) nas_evaluator_close(evaluator);
    return rc;
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
    bool any; /* else they are not */
    nas_augment how;
    uint64_t draw;
} alteration;

static void take(nas_evaluator *evaluator, const alteration *change, const uint8_t *image,
                 uint64_t index, uint8_t *out) {
    const nas_context *context = evaluator->context;
    const nas_dataset_info *info = &context->source.info;
    size_t area = nas_source_area(&context->source);
    nas_rng rng = nas_rng_open(context->seed, NAS_RNG_LOOK, change->draw, index);
    if (!change->any)
        memcpy(out, image, area);
    else if (change->how == NAS_AUGMENT_WEAK)
        nas_augment_weak(&context->augment, &rng, image, out, info->height, info->width,
                         info->channels);
    else
        nas_augment_strong(&context->augment, &rng, image, out, evaluator->pixels + BATCH * area,
                           info->height, info->width, info->channels, context->source.fill);
}

static void run(nas_evaluator *evaluator, const nas_images *images, const uint64_t *indices,
                uint64_t n, const alteration *change, float *logits) {
    const nas_context *context = evaluator->context;
    size_t area = nas_source_area(&context->source), classes = context->source.info.classes;
    for (uint64_t first = 0; first < n; first += BATCH) {
        uint64_t count = n - first < BATCH ? n - first : BATCH;
        for (uint64_t i = 0; i < count; i++) {
            uint64_t index = indices ? indices[first + i] : first + i;
            take(evaluator, change, images->pixels + index * area, index,
                 evaluator->pixels + i * area);
        }
        nas_normalise(&context->source, evaluator->pixels, count * area, evaluator->images);
        nas_engine_infer(evaluator->engine, context->supernet->weights, &evaluator->stats,
                         evaluator->images, count, logits + first * classes);
    }
}

void nas_evaluator_logits(nas_evaluator *evaluator, const nas_images *images,
                          const uint64_t *indices, uint64_t n, float *logits) {
    run(evaluator, images, indices, n, &(alteration){0}, logits);
}

void nas_evaluator_augmented(nas_evaluator *evaluator, const nas_images *images,
                             const uint64_t *indices, uint64_t n, nas_augment how, uint64_t draw,
                             float *logits) {
    run(evaluator, images, indices, n, &(alteration){true, how, draw}, logits);
}

int nas_evaluator_pool(nas_evaluator *evaluator, nas_pool **pool, nas_error *err) {
    int rc = NAS_OK;
    if (!evaluator->pool)
        rc = nas_pool_create(evaluator->context->request->threads, &evaluator->pool, err);
    *pool = evaluator->pool;
    return rc;
}
