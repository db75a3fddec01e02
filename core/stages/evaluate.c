#include "stages/evaluate.h"

#include "base/memory.h"
#include "data/loader.h"
#include "space/lower.h"
#include "stages/candidate.h"
#include "stages/metrics.h"
#include "stages/probing.h"
#include "stages/step.h"

#include <math.h>
#include <nashost/kit/logits.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull;

enum { BATCH = 250 };                  /* images run at once */
enum { STREAM_WHICH, STREAM_AUGMENT }; /* of NAS_RNG_CALIBRATE */

static size_t area_of(const nas_context *context) {
    const nas_dataset_info *info = &context->source.info;
    return (size_t)info->height * info->width * info->channels;
}

/* ---- Opening ---- */

/* The training images that are neither in validation nor held out, in random order. */
static int draw(const nas_context *context, uint64_t wanted, uint64_t **order, nas_error *err) {
    const nas_split_sets *split = &context->split;
    uint64_t n = 0, total = split->n_train;
    bool *out = nas_alloc(total, sizeof *out);
    *order = nas_alloc(total, sizeof **order);
    if (!out || !*order) {
        free(out);
        return nas_fail(err, NAS_ERR_MEMORY, "out of memory for %llu indices", (ull)total);
    }
    for (uint64_t i = 0; i < split->n_validation; i++) out[split->validation[i]] = true;
    for (uint64_t i = 0; i < split->n_heldout; i++) out[split->heldout[i]] = true;
    for (uint64_t i = 0; i < total; i++)
        if (!out[i]) (*order)[n++] = i;
    free(out);
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
    uint8_t fill[3];
    for (int c = 0; c < 3; c++) fill[c] = (uint8_t)lroundf(255 * context->source.mean[c]);
    nas_rng rng = nas_rng_open(context->seed, NAS_RNG_CALIBRATE, STREAM_AUGMENT, i);
    if (augmentation(context, i) == NAS_AUGMENT_WEAK)
        nas_augment_weak(&context->augment, &rng, image, out, info->height, info->width,
                         info->channels);
    else
        nas_augment_strong(&context->augment, &rng, image, out, scratch, info->height, info->width,
                           info->channels, fill);
}

/* Augmented in the shares of training, since the weights are used to the statistics of that. */
static int calibration_images(nas_evaluator *evaluator, nas_error *err) {
    const nas_context *context = evaluator->context;
    size_t area = area_of(context);
    uint64_t n = evaluator->n_calibration;
    int rc = draw(context, n, &evaluator->drawn, err);
    for (uint64_t i = 0; i < n && !rc; i++) {
        uint8_t *pixels = evaluator->pixels, *scratch = pixels + area;
        augment(context, i, context->source.train.pixels + evaluator->drawn[i] * area, pixels,
                scratch);
        nas_normalise(&context->source, pixels, area, evaluator->calibration + i * area);
    }
    return rc;
}

int nas_evaluator_open(const nas_context *context, nas_evaluator *evaluator, nas_error *err) {
    const nas_dataset_info *info = &context->source.info;
    size_t area = area_of(context);
    *evaluator = (nas_evaluator){.context = context};
    evaluator->n_calibration = (uint64_t)context->pipeline->search_config.calibration_images;
    evaluator->calibration = nas_alloc(evaluator->n_calibration, area * sizeof(nas_real));
    evaluator->pixels = nas_alloc(BATCH, area);
    evaluator->images = nas_alloc(BATCH, area * sizeof(nas_real));
    int rc = NAS_OK;
    if (!evaluator->calibration || !evaluator->pixels || !evaluator->images)
        rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory for %llu calibration images",
                      (ull)evaluator->n_calibration);
    if (!rc) rc = calibration_images(evaluator, err);
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
    free(evaluator->drawn);
    free(evaluator->calibration);
    free(evaluator->pixels);
    free(evaluator->images);
    *evaluator = (nas_evaluator){0};
}

/* ---- Running ---- */

void nas_evaluator_select(nas_evaluator *evaluator, const nas_genome *genome) {
    const nas_context *context = evaluator->context;
    if (evaluator->ready && nas_genome_equal(&context->space, genome, &evaluator->calibrated))
        return;
    nas_arch arch = nas_genome_decode(&context->space, genome);
    nas_engine_select(evaluator->engine, &arch);
    nas_engine_calibrate(evaluator->engine, context->supernet->weights, evaluator->calibration,
                         evaluator->n_calibration, &evaluator->stats);
    evaluator->calibrated = *genome;
    evaluator->ready = true;
}

void nas_evaluator_logits(nas_evaluator *evaluator, const nas_images *images,
                          const uint64_t *indices, uint64_t n, float *logits) {
    const nas_context *context = evaluator->context;
    size_t area = area_of(context), classes = context->source.info.classes;
    for (uint64_t first = 0; first < n; first += BATCH) {
        uint64_t count = n - first < BATCH ? n - first : BATCH;
        for (uint64_t i = 0; i < count; i++) {
            uint64_t index = indices ? indices[first + i] : first + i;
            memcpy(evaluator->pixels + i * area, images->pixels + index * area, area);
        }
        nas_normalise(&context->source, evaluator->pixels, count * area, evaluator->images);
        nas_engine_infer(evaluator->engine, context->supernet->weights, &evaluator->stats,
                         evaluator->images, count, logits + first * classes);
    }
}

int nas_evaluator_top1(nas_evaluator *evaluator, const nas_images *images, const uint64_t *indices,
                       uint64_t n, double *top1, nas_error *err) {
    size_t classes = evaluator->context->source.info.classes;
    uint64_t judged = 0, right = 0;
    *top1 = NAN;
    if (!n) return NAS_OK;
    float *logits = nas_alloc(n, classes * sizeof *logits);
    if (!logits) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for %llu logits", (ull)n);
    nas_evaluator_logits(evaluator, images, indices, n, logits);
    for (uint64_t i = 0; i < n; i++) {
        int32_t label = images->labels[indices ? indices[i] : i];
        if (label < 0) continue;
        judged++;
        right += (int32_t)nas_argmax(logits + i * classes, classes) == label;
    }
    free(logits);
    if (judged) *top1 = (double)right / (double)judged;
    return NAS_OK;
}

/* ---- For reports ---- */

int nas_evaluator_figures(nas_evaluator *evaluator, const nas_genome *genome,
                          const nas_images *test, nas_figures *figures, nas_error *err) {
    const nas_context *context = evaluator->context;
    const nas_split_sets *split = &context->split;
    nas_lowered *lowered;
    int rc = nas_lower(&context->space, genome, &lowered, err);
    if (rc) return rc;
    *figures = (nas_figures){.macs = lowered->network.macs, .params = lowered->network.params};
    nas_lowered_free(lowered);
    nas_evaluator_select(evaluator, genome);
    rc = nas_evaluator_top1(evaluator, &context->source.train, split->validation,
                            split->n_validation, &figures->validation_top1, err);
    if (rc) return rc;
    return nas_evaluator_top1(evaluator, test, NULL, test->n, &figures->test_top1, err);
}

json_t *nas_figures_json(const nas_space *space, const nas_genome *genome,
                         const nas_figures *figures) {
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "genome", nas_genome_to_json(space, genome),
                     "macs", nas_count_json(figures->macs), "params",
                     nas_count_json(figures->params), "validation_top1",
                     nas_number_json(figures->validation_top1), "test_top1",
                     nas_number_json(figures->test_top1));
}

/* ---- For score plugins ---- */

int nas_evaluator_pool(nas_evaluator *evaluator, nas_pool **pool, nas_error *err) {
    int rc = NAS_OK;
    if (!evaluator->pool)
        rc = nas_pool_create(evaluator->context->request->threads, &evaluator->pool, err);
    *pool = evaluator->pool;
    return rc;
}

static int heldout_logits(const nas_subnet *subnet, float *logits, nas_error *err) {
    (void)err;
    const nas_subnet_handle *handle = subnet->impl;
    const nas_context *context = handle->evaluator->context;
    nas_evaluator_select(handle->evaluator, handle->genome);
    nas_evaluator_logits(handle->evaluator, &context->source.train, context->split.heldout,
                         context->split.n_heldout, logits);
    return NAS_OK;
}

static int probe(const nas_subnet *subnet, const nas_probe *how, nas_error *err) {
    const nas_subnet_handle *handle = subnet->impl;
    nas_evaluator *evaluator = handle->evaluator;
    nas_pool *pool;
    int rc = nas_evaluator_pool(evaluator, &pool, err);
    return rc ? rc : nas_probing_run(evaluator->context, subnet->network, how, pool, err);
}

void nas_evaluator_subnet(nas_subnet_handle *handle, const nas_network *network,
                          nas_subnet *subnet) {
    const nas_context *context = handle->evaluator->context;
    *subnet = (nas_subnet){.size = sizeof *subnet,
                           .classes = context->source.info.classes,
                           .impl = handle,
                           .network = network,
                           .heldout = context->split.n_heldout,
                           .heldout_logits = heldout_logits,
                           .labelled = context->split.n_labelled,
                           .probe = probe};
}

/* ---- Validation ---- */

int nas_evaluator_validate(nas_evaluator *evaluator, const char *metrics_path, nas_error *err) {
    const nas_context *context = evaluator->context;
    const nas_split_sets *split = &context->split;
    uint64_t steps = (uint64_t)context->pipeline->train.steps;
    if (!split->n_validation) return NAS_OK;
    nas_genome genomes[2] = {nas_genome_largest(&context->space),
                             nas_genome_smallest(&context->space)};
    double top1[2];
    for (int i = 0; i < 2; i++) {
        nas_evaluator_select(evaluator, &genomes[i]);
        int rc = nas_evaluator_top1(evaluator, &context->source.train, split->validation,
                                    split->n_validation, &top1[i], err);
        if (rc) return rc;
    }
    nas_log_line(context->request->log, NAS_INFO,
                 "validation top-1 on %llu images: largest %.2f %%, smallest %.2f %%",
                 (ull)split->n_validation, 100 * top1[0], 100 * top1[1]);
    nas_jsonl jsonl;
    int rc = nas_jsonl_open(metrics_path, steps, &jsonl, err);
    if (!rc)
        rc = nas_jsonl_write(&jsonl,
                             json_pack("{s:I, s:{s:o, s:o}}", "step", (json_int_t)steps,
                                       "validation_top1", "largest", nas_number_json(top1[0]),
                                       "smallest", nas_number_json(top1[1])),
                             err);
    nas_jsonl_close(&jsonl);
    return rc;
}
