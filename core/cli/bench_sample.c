/* What `nashost bench train|eval --out` writes: the work that is timed, and what comes out, so that
 * other programs can show that they compute the same. */
#include "base/json.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/safetensors.h"
#include "cli/commands.h"
#include "data/loader.h"
#include "space/restrict.h"
#include "stages/evaluate.h"
#include "stages/learner.h"

#include <stdlib.h>
#include <string.h>

enum { STEPS = 32, SUBNETS = 4, IMAGES = 64 };

typedef struct sample {
    nas_context context;
    const char *path;
    nas_tensor *tensors; /* [n], whose data is borrowed */
    size_t n;
    json_t *metadata;
} sample;

static uint64_t classes_of(const sample *s) {
    return s->context.source.info.classes;
}

/* ---- What is written ---- */

static void add(sample *s, const char *prefix, const char *name, const float *data, uint32_t ndim,
                const uint64_t *shape) {
    nas_tensor *tensor = &s->tensors[s->n++];
    *tensor = (nas_tensor){.ndim = ndim, .data = data};
    snprintf(tensor->name, sizeof tensor->name, "%s%s", prefix, name);
    memcpy(tensor->shape, shape, ndim * sizeof *shape);
}

/* An array of the supernet's shape. */
static void add_parameters(sample *s, const char *prefix, const float *values) {
    const nas_supernet *supernet = s->context.supernet;
    for (uint32_t i = 0; i < supernet->n_parameters; i++) {
        const nas_parameter *p = &supernet->parameters[i];
        uint64_t shape[4] = {p->shape[0], p->shape[1], p->shape[2], p->shape[3]};
        add(s, prefix, p->name, values + p->offset, p->ndim, shape);
    }
}

static void add_images(sample *s, const char *name, const float *images, uint64_t n) {
    const nas_dataset_info *info = &s->context.source.info;
    const uint64_t shape[] = {n, info->height, info->width, info->channels};
    add(s, "images.", name, images, 4, shape);
}

static void put_text(sample *s, const char *key, json_t *json) {
    char *text = nas_json_text(json, JSON_COMPACT | JSON_ENCODE_ANY, NULL);
    nas_json_put(&s->metadata, key, text ? json_string(text) : NULL);
    json_decref(json);
    free(text);
}

/* Those of the first steps. */
static json_t *genomes_json(const sample *s, uint32_t subnets) {
    const nas_context *context = &s->context;
    json_t *steps = json_array();
    for (uint64_t t = 0; t < STEPS; t++) {
        json_t *list = json_array();
        for (uint32_t i = 0; i < subnets; i++) {
            nas_genome genome = nas_step_genome(context, t, i);
            nas_json_add(&list, nas_genome_to_json(&context->space, &genome));
        }
        nas_json_add(&steps, list);
    }
    return steps;
}

static int save(sample *s, uint32_t subnets, nas_error *err) {
    const nas_pipeline *pipeline = s->context.pipeline;
    put_text(s, "space", nas_space_narrowed_json(pipeline->space, &s->context.space));
    put_text(s, "train", json_incref(json_object_get(pipeline->resolved, "train")));
    put_text(s, "genomes", genomes_json(s, subnets));
    char *text = nas_json_text(s->metadata, JSON_COMPACT, NULL);
    int rc = text ? nas_tensors_save(s->path, s->tensors, s->n, text, err)
                  : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", s->path);
    free(text);
    return rc;
}

/* ---- train ---- */

static int save_step(sample *s, const nas_learner *learner, const nas_batch *batch,
                     const nas_metrics *metrics, nas_error *err) {
    const uint64_t n = batch->labelled;
    float *labels = nas_alloc(n, sizeof *labels);
    if (!labels) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", s->path);
    for (uint64_t i = 0; i < n; i++) labels[i] = (float)batch->labels[i];
    add_parameters(s, "weights.", learner->state.weights);
    add_parameters(s, "gradient.", learner->gradient);
    add_images(s, "labelled", batch->labelled_images, batch->labelled);
    for (uint32_t v = 0; v < batch->n_views; v++)
        add_images(s, (char[]){'v', 'i', 'e', 'w', (char)('0' + v), 0}, batch->views[v],
                   batch->unlabelled);
    add(s, "", "labels", labels, 1, &n);
    put_text(s, "loss", nas_number_json(metrics->loss / (double)metrics->subnets));
    put_text(s, "mask_rate", nas_number_json(nas_metrics_mask_rate(metrics)));
    int rc = save(s, learner->step.subnets, err);
    free(labels);
    return rc;
}

static int sample_train(sample *s, nas_error *err) {
    nas_learner learner;
    nas_metrics metrics = {0};
    const nas_batch *batch;
    int rc = nas_learner_open(&s->context, NULL, &learner, err);
    if (rc) return rc;
    rc = nas_loader_next(learner.loader, &batch, err);
    if (!rc)
        rc = nas_step_run(&learner.step, batch, learner.state.weights, learner.state.average,
                          learner.gradient, &metrics, err);
    if (!rc) rc = save_step(s, &learner, batch, &metrics, err);
    nas_learner_close(&learner);
    return rc;
}

/* ---- eval ---- */

/* Some training images, and what subnets answer. */
typedef struct answers {
    uint64_t n;
    uint8_t *pixels; /* [n][h][w][c] */
    float *images, *logits;
} answers;

static int answer(sample *s, nas_evaluator *evaluator, answers *a, nas_error *err) {
    const nas_images *images = &s->context.source.train;
    size_t area = nas_source_area(&s->context.source);
    int rc = nas_images_gather(images, area, NULL, 0, a->n, a->pixels, err);
    if (rc) return rc;
    nas_normalise(&s->context.source, a->pixels, a->n * area, a->images);
    for (uint32_t i = 0; i < SUBNETS && !rc; i++) {
        nas_genome genome = nas_step_genome(&s->context, 0, i);
        nas_evaluator_select(evaluator, &genome);
        rc = nas_evaluator_logits(evaluator, images, NULL, a->n,
                                  a->logits + i * a->n * classes_of(s), err);
    }
    return rc;
}

static int save_answers(sample *s, const nas_evaluator *evaluator, const answers *a,
                        nas_error *err) {
    add_parameters(s, "weights.", s->context.supernet->weights);
    add_images(s, "calibration", evaluator->calibration.images, evaluator->calibration.n);
    add_images(s, "judged", a->images, a->n);
    const uint64_t shape[] = {SUBNETS, a->n, classes_of(s)};
    add(s, "", "logits", a->logits, 3, shape);
    put_text(s, "calibration_batch", nas_count_json(evaluator->batch));
    uint64_t all = s->context.source.train.n;
    put_text(s, "images", nas_count_json(all < NAS_BENCH_IMAGES ? all : NAS_BENCH_IMAGES));
    return save(s, SUBNETS, err);
}

static int sample_eval(sample *s, nas_error *err) {
    const nas_images *images = &s->context.source.train;
    size_t area = nas_source_area(&s->context.source);
    nas_evaluator evaluator;
    int rc = nas_evaluator_open(&s->context, &evaluator, err);
    if (rc) return rc;
    answers a = {.n = images->n < IMAGES ? images->n : IMAGES};
    a.pixels = nas_alloc(a.n, area);
    a.images = nas_alloc(a.n, area * sizeof *a.images);
    a.logits = nas_alloc(a.n, SUBNETS * classes_of(s) * sizeof *a.logits);
    if (!a.pixels || !a.images || !a.logits)
        rc = nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", s->path);
    if (!rc) rc = answer(s, &evaluator, &a, err);
    if (!rc) rc = save_answers(s, &evaluator, &a, err);
    free(a.pixels);
    free(a.images);
    free(a.logits);
    nas_evaluator_close(&evaluator);
    return rc;
}

/* ---- All of it ---- */

/* Batch norm, biases and matrices become what they are in the midst of a training: a gamma of 0
 * would hide whatever stands before it. */
static void stir(const nas_context *context) {
    const nas_supernet *supernet = context->supernet;
    for (uint32_t i = 0; i < supernet->n_parameters; i++) {
        const nas_parameter *p = &supernet->parameters[i];
        nas_rng rng = nas_rng_open(context->seed, NAS_RNG_INIT, 1, i);
        for (size_t j = 0; j < p->count && !p->fan_in; j++)
            supernet->weights[p->offset + j] += (float)(0.4 * nas_rng_uniform(&rng) - 0.2);
    }
}

static int run(sample *s, nas_bench kind, nas_error *err) {
    int rc = nas_context_split(&s->context, NULL, err);
    if (rc) return rc;
    stir(&s->context);
    s->metadata = json_object();
    s->tensors = nas_alloc(2 * s->context.supernet->n_parameters + 16, sizeof *s->tensors);
    if (!s->tensors) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", s->path);
    return kind == NAS_BENCH_TRAIN ? sample_train(s, err) : sample_eval(s, err);
}

int nas_bench_sample(nas_bench kind, const nas_run_request *request, const char *path,
                     json_t **result, nas_error *err) {
    sample *s = nas_alloc(1, sizeof *s);
    *result = NULL;
    if (!s) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    s->path = path;
    int rc = nas_context_open(request, &s->context, err);
    if (!rc) rc = run(s, kind, err);
    if (!rc)
        *result = json_pack("{s:s, s:s, s:s, s:I}", "bench", nas_bench_name(kind), "space",
                            s->context.space.name, "out", path, "tensors", (json_int_t)s->n);
    if (!rc && !*result) rc = nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", path);
    nas_context_close(&s->context);
    json_decref(s->metadata);
    free(s->tensors);
    free(s);
    return rc;
}
