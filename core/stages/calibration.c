#include "stages/calibration.h"

#include "base/memory.h"
#include "base/rng.h"
#include "data/loader.h"
#include "stages/step.h"

#include <stdlib.h>

typedef unsigned long long ull;

enum { STREAM_WHICH, STREAM_AUGMENT }; /* of NAS_RNG_CALIBRATE */

/* The unlabelled pool's training images in random order. */
static int draw(const nas_context *context, uint64_t wanted, uint64_t **order, nas_error *err) {
    uint64_t n = nas_split_pool_size(&context->split);
    int rc = nas_split_pool(&context->split, order, err);
    if (rc) return rc;
    nas_rng rng = nas_rng_open(context->seed, NAS_RNG_CALIBRATE, STREAM_WHICH, 0);
    nas_rng_shuffle(&rng, *order, n);
    if (wanted <= n) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: search.calibration_images: %llu are asked for, but only %llu training "
                    "images are neither held out nor for validation",
                    context->pipeline->file, (ull)wanted, (ull)n);
}

/* How the student sees image i in training: a step's labelled images, then its views. */
static nas_augment augmentation(const nas_context *context, uint64_t i) {
    const nas_train_config *train = &context->pipeline->train;
    if (train->batch_statistics == NAS_STATISTICS_SEPARATE) return NAS_AUGMENT_WEAK;
    uint64_t labelled = (uint64_t)train->batch;
    uint64_t unlabelled = nas_step_unlabelled(context), rows = labelled;
    for (uint32_t v = 0; v < context->plan.n_views; v++)
        if (context->plan.views[v].student) rows += unlabelled;
    i %= rows;
    if (i < labelled) return NAS_AUGMENT_WEAK;
    i -= labelled;
    for (uint32_t v = 0; v < context->plan.n_views; v++) {
        if (!context->plan.views[v].student) continue;
        if (i < unlabelled) return (nas_augment)context->plan.views[v].augment;
        i -= unlabelled;
    }
    return NAS_AUGMENT_WEAK;
}

static void augment(const nas_context *context, uint64_t i, const uint8_t *image, uint8_t *out,
                    uint8_t *scratch) {
    const nas_dataset_info *info = &context->source.info;
    nas_rng rng = nas_rng_open(context->seed, NAS_RNG_CALIBRATE, STREAM_AUGMENT, i);
    if (augmentation(context, i) == NAS_AUGMENT_WEAK)
        nas_augment_weak(&context->augment, &rng, image, out, info->height, info->width,
                         info->channels);
    else
        nas_augment_strong(&context->augment, &rng, image, out, scratch, info->height, info->width,
                           info->channels, context->source.fill);
}

/* room [3][area]: of one image. */
static int fill(const nas_context *context, nas_calibration *calibration, uint8_t *room,
                nas_error *err) {
    size_t area = nas_source_area(&context->source);
    int rc = draw(context, calibration->n, &calibration->drawn, err);
    for (uint64_t i = 0; i < calibration->n && !rc; i++) {
        const uint8_t *image;
        rc = nas_images_at(&context->source.train, area, calibration->drawn[i], room + 2 * area,
                           &image, err);
        if (rc) break;
        augment(context, i, image, room, room + area);
        nas_normalise(&context->source, room, area, calibration->images + i * area);
    }
    return rc;
}

int nas_calibration_open(const nas_context *context, nas_calibration *calibration, nas_error *err) {
    size_t area = nas_source_area(&context->source);
    uint8_t *room = nas_alloc(3, area);
    *calibration =
        (nas_calibration){.n = (uint64_t)context->pipeline->search_config.calibration_images};
    calibration->images = nas_alloc(calibration->n, area * sizeof(nas_real));
    int rc = room && calibration->images
                 ? fill(context, calibration, room, err)
                 : nas_fail(err, NAS_ERR_MEMORY, "out of memory for %llu calibration images",
                            (ull)calibration->n);
    free(room);
    if (rc) nas_calibration_close(calibration);
    return rc;
}

void nas_calibration_close(nas_calibration *calibration) {
    free(calibration->drawn);
    free(calibration->images);
    *calibration = (nas_calibration){0};
}
