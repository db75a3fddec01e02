#include "stages/gallery.h"

#include "base/json.h"
#include "base/memory.h"
#include "base/rng.h"
#include "data/augment.h"

#include <math.h>
#include <nashost/kit/logits.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 12, LEAST = 2, MOST_BYTES = 1 << 20, BINS = 10 };
enum { STREAM_WHICH, STREAM_AUGMENT }; /* of NAS_RNG_REPORT */

/* The images shown. */
typedef struct gallery {
    const nas_context *context;
    size_t area;
    uint64_t n, index[MOST];
    uint8_t *weak, *strong, *scratch; /* [n][area], [n][area], [2][area] */
    float *logits;                    /* [n][classes] */
} gallery;

/* ---- Which images, and how they look ---- */

/* Notes that the images of a list are none of those looked for; first: the number of its image 0.
 */
static void strike(bool *out, uint64_t first, const uint64_t *list, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) out[first + list[i]] = true;
}

/* Images that the training sees without a label: training images, then unlabelled ones. */
static int draw(gallery *g, nas_error *err) {
    const nas_split_sets *split = &g->context->split;
    uint64_t all = split->n_train + split->n_extra, n = 0, most = MOST_BYTES / g->area;
    most = most > MOST ? MOST : most < LEAST ? LEAST : most;
    bool *out = nas_alloc(all, sizeof *out);
    uint64_t *order = nas_alloc(all, sizeof *order);
    int rc =
        out && order ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory for sample images");
    if (!rc) {
        strike(out, 0, split->labelled, split->n_labelled);
        strike(out, 0, split->validation, split->n_validation);
        strike(out, split->heldout_extra ? split->n_train : 0, split->heldout, split->n_heldout);
        for (uint64_t i = 0; i < all; i++)
            if (!out[i]) order[n++] = i;
        nas_rng rng = nas_rng_open(g->context->seed, NAS_RNG_REPORT, STREAM_WHICH, 0);
        nas_rng_shuffle(&rng, order, n);
        g->n = n < most ? n : most;
        memcpy(g->index, order, g->n * sizeof *order);
    }
    free(order);
    free(out);
    return rc;
}

static int pixels_of(const gallery *g, uint64_t i, const uint8_t **pixels, nas_error *err) {
    const nas_source *source = &g->context->source;
    uint64_t n = source->train.n, index = g->index[i];
    bool train = index < n;
    return nas_images_at(train ? &source->train : &source->extra, g->area,
                         train ? index : index - n, g->scratch + g->area, pixels, err);
}

static int32_t label_of(const gallery *g, uint64_t i) {
    const nas_source *source = &g->context->source;
    uint64_t n = source->train.n, index = g->index[i];
    return index < n ? source->train.labels[index] : source->extra.labels[index - n];
}

static int augment(gallery *g, nas_error *err) {
    const nas_source *source = &g->context->source;
    const nas_dataset_info *info = &source->info;
    for (uint64_t i = 0; i < g->n; i++) {
        const uint8_t *image;
        int rc = pixels_of(g, i, &image, err);
        if (rc) return rc;
        nas_rng rng = nas_rng_open(g->context->seed, NAS_RNG_REPORT, STREAM_AUGMENT, i);
        nas_augment_weak(&g->context->augment, &rng, image, g->weak + i * g->area, info->height,
                         info->width, info->channels);
        nas_augment_strong(&g->context->augment, &rng, image, g->strong + i * g->area, g->scratch,
                           info->height, info->width, info->channels, source->fill);
    }
    return NAS_OK;
}

/* ---- As JSON ---- */

static json_t *class_json(int32_t label) {
    return label < 0 ? json_null() : json_integer(label);
}

static json_t *image_json(const gallery *g, uint64_t i) {
    const nas_source *source = &g->context->source;
    int32_t answer;
    double confidence =
        nas_confidence(g->logits + i * source->info.classes, source->info.classes, &answer);
    return json_pack("{s:I, s:o, s:o, s:o, s:i, s:f}", "index", (json_int_t)g->index[i], "weak",
                     nas_base64_json(g->weak + i * g->area, g->area), "strong",
                     nas_base64_json(g->strong + i * g->area, g->area), "label",
                     class_json(label_of(g, i)), "answer", (int)answer, "confidence", confidence);
}

static json_t *gallery_json(const gallery *g) {
    const nas_dataset_info *info = &g->context->source.info;
    json_t *images = json_array();
    for (uint64_t i = 0; i < g->n; i++) nas_json_add(&images, image_json(g, i));
    return json_pack("{s:i, s:i, s:i, s:o}", "height", (int)info->height, "width", (int)info->width,
                     "channels", (int)info->channels, "images", images);
}

static void select_largest(nas_evaluator *evaluator) {
    nas_genome largest = nas_genome_largest(&evaluator->context->space);
    nas_evaluator_select(evaluator, &largest);
}

static int out_of_memory(nas_error *err) {
    return nas_fail(err, NAS_ERR_MEMORY, "out of memory for sample images");
}

int nas_gallery(nas_evaluator *evaluator, json_t **json, nas_error *err) {
    const nas_dataset_info *info = &evaluator->context->source.info;
    gallery g = {.context = evaluator->context};
    g.area = nas_source_area(&evaluator->context->source);
    *json = NULL;
    int rc = draw(&g, err);
    if (rc) return rc;
    g.weak = nas_alloc(MOST, g.area);
    g.strong = nas_alloc(MOST, g.area);
    g.scratch = nas_alloc(2, g.area);
    g.logits = nas_alloc(MOST, info->classes * sizeof *g.logits);
    rc = g.weak && g.strong && g.scratch && g.logits ? augment(&g, err) : out_of_memory(err);
    if (!rc) {
        select_largest(evaluator);
        const nas_images weak = {.n = g.n, .pixels = g.weak};
        rc = nas_evaluator_logits(evaluator, &weak, NULL, g.n, g.logits, err);
    }
    if (!rc && !(*json = gallery_json(&g))) rc = out_of_memory(err);
    free(g.weak);
    free(g.strong);
    free(g.scratch);
    free(g.logits);
    return rc;
}

/* ---- Confidence ---- */

static json_t *bins_json(const nas_evaluator *evaluator, const float *logits) {
    const nas_context *context = evaluator->context;
    const nas_split_sets *split = &context->split;
    size_t classes = context->source.info.classes;
    uint64_t images[BINS] = {0}, right[BINS] = {0}, judged = 0;
    for (uint64_t i = 0; i < split->n_heldout; i++) {
        int32_t answer, label = nas_context_heldout(context)->labels[split->heldout[i]];
        double confidence = nas_confidence(logits + i * classes, classes, &answer);
        int bin = (int)fmin(BINS * confidence, BINS - 1);
        if (label < 0 || isnan(confidence)) continue;
        judged++;
        images[bin]++;
        right[bin] += answer == label;
    }
    if (!judged) return json_null();
    json_t *bins = json_array();
    for (int b = 0; b < BINS; b++)
        nas_json_add(&bins, json_pack("[I, I]", (json_int_t)images[b], (json_int_t)right[b]));
    return bins;
}

int nas_confidence_bins(nas_evaluator *evaluator, json_t **json, nas_error *err) {
    const nas_context *context = evaluator->context;
    const nas_split_sets *split = &context->split;
    float *logits = nas_alloc(split->n_heldout + 1, context->source.info.classes * sizeof *logits);
    int rc = logits ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory for confidences");
    *json = NULL;
    if (!rc) {
        select_largest(evaluator);
        rc = nas_evaluator_logits(evaluator, nas_context_heldout(context), split->heldout,
                                  split->n_heldout, logits, err);
    }
    if (!rc && !(*json = bins_json(evaluator, logits)))
        rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory for confidences");
    free(logits);
    return rc;
}
