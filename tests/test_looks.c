/* What a score plugin is shown: held-out and validation images, as they are and augmented. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "stages/scorer.h"
#include "toy_run.h"

enum { HELDOUT = 20, VALIDATION = 6, CLASSES = 3, MOST = HELDOUT * CLASSES };

/* A score that looks once and keeps what it sees. */
typedef struct spy {
    nas_look look;
    bool wanted; /* labels */
    uint64_t n;
    float logits[MOST];
    int32_t labels[VALIDATION];
} spy;

static int start(void *self, const nas_subnet *largest, nas_error *err) {
    (void)self, (void)largest, (void)err;
    return NAS_OK;
}

static int score(void *self, const nas_subnet *subnet, double *value, nas_error *err) {
    spy *me = self;
    *value = 0;
    assert_int_equal(subnet->heldout, HELDOUT);
    assert_int_equal(subnet->validation, VALIDATION);
    me->n = me->look.images == NAS_LOOK_VALIDATION ? VALIDATION : HELDOUT;
    return nas_look_run(subnet, &me->look, me->logits, me->wanted ? me->labels : NULL, err);
}

static const nas_score_api api = {.size = sizeof api, .start = start, .score = score};
static const nas_plugin plugin = {NAS_DESCRIPTOR, .kind = NAS_KIND_SCORE, .id = "spy",
                                  .vtable = &api};

typedef struct fixture {
    toys toys;
    nas_pipeline pipeline;
    nas_run_request request;
    nas_context *context;
    nas_instance real; /* what the spy stands in for */
    nas_evaluator evaluator;
    spy spy;
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    char path[TOY_PATH];
    nas_error err = {0};
    assert_non_null(f);
    toys_open(&f->toys);
    toys_path(&f->toys, "p.json", path);
    f->context = calloc(1, sizeof *f->context);
    assert_non_null(f->context);
    if (nas_pipeline_load(path, NULL, 0, f->toys.registry, &f->pipeline, &err))
        fail_msg("%s", err.message);
    f->request = (nas_run_request){.pipeline = &f->pipeline,
                                   .registry = f->toys.registry,
                                   .out = f->toys.folder,
                                   .threads = 2};
    if (nas_context_open(&f->request, f->context, &err) ||
        nas_context_split(f->context, NULL, &err) ||
        nas_evaluator_open(f->context, &f->evaluator, &err))
        fail_msg("%s", err.message);
    f->real = f->context->score;
    f->context->score.plugin = &plugin;
    f->context->score.self = &f->spy;
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    f->context->score = f->real;
    nas_evaluator_close(&f->evaluator);
    nas_context_close(f->context);
    free(f->context);
    nas_pipeline_free(&f->pipeline);
    toys_close(&f->toys);
    free(f);
    return 0;
}

static int try_look(fixture *f, nas_look how, bool labels, nas_error *err) {
    nas_scorer scorer = nas_scorer_open(&f->evaluator);
    nas_candidate candidate = {.genome = nas_genome_smallest(&f->context->space)};
    candidate.hash = nas_genome_hash(&f->context->space, &candidate.genome);
    how.size = sizeof how;
    f->spy = (spy){.look = how, .wanted = labels};
    int rc = nas_scorer_score(&scorer, &candidate, err);
    nas_scorer_close(&scorer);
    return rc;
}

static void look(fixture *f, nas_look how) {
    nas_error err = {0};
    if (try_look(f, how, how.images == NAS_LOOK_VALIDATION, &err)) fail_msg("%s", err.message);
}

/* The logits must be those of these pixels [n][area]. */
static void check(fixture *f, uint8_t *pixels) {
    float logits[MOST];
    const nas_images images = {.n = f->spy.n, .pixels = pixels};
    assert_int_equal(nas_evaluator_logits(&f->evaluator, &images, NULL, images.n, logits, NULL),
                     NAS_OK);
    assert_memory_equal(logits, f->spy.logits, images.n * CLASSES * sizeof *logits);
}

/* The images of a list, each changed as training would change it, by a stream of its own. */
static uint8_t *pixels_of(const fixture *f, const uint64_t *indices, size_t n, uint32_t how,
                          uint32_t number) {
    const nas_context *context = f->context;
    const nas_dataset_info *info = &context->source.info;
    size_t area = nas_source_area(&context->source);
    uint8_t *pixels = calloc(n + 1, area);
    assert_non_null(pixels);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *image = context->source.train.pixels + indices[i] * area;
        nas_rng rng = nas_rng_open(context->seed, NAS_RNG_LOOK, number, indices[i]);
        if (how == NAS_LOOK_PLAIN)
            memcpy(pixels + i * area, image, area);
        else if (how == NAS_LOOK_WEAK)
            nas_augment_weak(&context->augment, &rng, image, pixels + i * area, info->height,
                             info->width, info->channels);
        else
            nas_augment_strong(&context->augment, &rng, image, pixels + i * area, pixels + n * area,
                               info->height, info->width, info->channels, context->source.fill);
    }
    return pixels;
}

static void test_images(void **state) {
    fixture *f = *state;
    const nas_split_sets *split = &f->context->split;
    for (uint32_t images = NAS_LOOK_HELDOUT; images <= NAS_LOOK_VALIDATION; images++) {
        bool heldout = images == NAS_LOOK_HELDOUT;
        for (uint32_t how = NAS_LOOK_PLAIN; how <= NAS_LOOK_STRONG; how++) {
            look(f, (nas_look){.images = images, .augment = how, .draw = 4});
            uint8_t *pixels = pixels_of(f, heldout ? split->heldout : split->validation,
                                        heldout ? HELDOUT : VALIDATION, how, 4);
            check(f, pixels);
            free(pixels);
        }
    }
}

/* Held-out images may be of those without labels. */
static void test_unlabelled(void **state) {
    fixture *f = *state;
    nas_source *source = &f->context->source;
    const nas_images before = source->extra;
    size_t area = nas_source_area(source);
    uint8_t *inverse = calloc(source->train.n, area), *pixels = calloc(HELDOUT, area);
    assert_true(inverse && pixels);
    for (size_t i = 0; i < source->train.n * area; i++)
        inverse[i] = (uint8_t)(255 - source->train.pixels[i]);
    source->extra = (nas_images){.n = source->train.n, .pixels = inverse};
    f->context->split.heldout_extra = true;
    for (size_t i = 0; i < HELDOUT; i++)
        memcpy(pixels + i * area, inverse + f->context->split.heldout[i] * area, area);
    look(f, (nas_look){.images = NAS_LOOK_HELDOUT});
    check(f, pixels);
    source->extra = before;
    free(inverse);
    free(pixels);
}

/* Each draw is another change, and the same one again. */
static void test_draws(void **state) {
    fixture *f = *state;
    float first[MOST], strong[MOST];
    look(f, (nas_look){.augment = NAS_LOOK_WEAK});
    memcpy(first, f->spy.logits, sizeof first);
    look(f, (nas_look){.augment = NAS_LOOK_STRONG});
    memcpy(strong, f->spy.logits, sizeof strong);
    assert_memory_not_equal(strong, first, sizeof first);
    look(f, (nas_look){.augment = NAS_LOOK_WEAK, .draw = 1});
    assert_memory_not_equal(f->spy.logits, first, sizeof first);
    look(f, (nas_look){.augment = NAS_LOOK_WEAK});
    assert_memory_equal(f->spy.logits, first, sizeof first);
}

static void test_labels(void **state) {
    fixture *f = *state;
    look(f, (nas_look){.images = NAS_LOOK_VALIDATION});
    for (size_t i = 0; i < VALIDATION; i++)
        assert_int_equal(f->spy.labels[i],
                         f->context->source.train.labels[f->context->split.validation[i]]);
}

static void test_refused(void **state) {
    fixture *f = *state;
    nas_error err = {0};
    assert_int_equal(try_look(f, (nas_look){.images = 2}, false, &err), NAS_ERR_PLUGIN);
    assert_string_equal(err.message,
                        "plugin 'spy' looks at images 2 with augmentation 0; expected at most 1 "
                        "and 2");
    assert_int_equal(try_look(f, (nas_look){0}, true, &err), NAS_ERR_PLUGIN);
    assert_non_null(strstr(err.message, "asks for labels of held-out images"));
    assert_int_equal(try_look(f, (nas_look){.augment = 3}, false, &err), NAS_ERR_PLUGIN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_images, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unlabelled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_draws, setup, teardown),
        cmocka_unit_test_setup_teardown(test_labels, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
