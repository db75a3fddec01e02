/* One training step against the same step put together by hand from the engine's calls: which
 * subnets, which images in which order, whose teacher, distillation, mixing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "stages/distil.h"
#include "stages/step.h"
#include "toy_run.h"

#include <nashost/kit/logits.h>

enum { SIDE = 8, AREA = SIDE * SIDE, CLASSES = 3, LABELLED = 4, UNLABELLED = 6, SUBNETS = 4 };
enum { ROWS = LABELLED + 2 * UNLABELLED, TUTORED = 2 * UNLABELLED, POOL = 50 };

/* A loss that keeps what it is given, and whose gradients are any numbers. */
typedef struct fake_loss {
    bool mixes;
    unsigned calls;
    double logit_adjustment, class_priors[CLASSES];
    float student[SUBNETS][ROWS * CLASSES], teacher[SUBNETS][TUTORED * CLASSES];
    float targets[ROWS * CLASSES];
} fake_loss;

static int plan(void *self, nas_ssl_plan *out, nas_error *err) {
    (void)self, (void)out, (void)err;
    return NAS_OK;
}

static float any_gradient(uint32_t subnet, size_t i) {
    return (float)sin(1.0 + 7.0 * subnet + (double)i) / 10;
}

static int loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    fake_loss *me = self;
    (void)err;
    const size_t block = UNLABELLED * CLASSES;
    float *student = me->student[batch->subnet], *teacher = me->teacher[batch->subnet];
    assert_int_equal(batch->subnet, me->calls++);
    assert_int_equal(batch->step, 5);
    assert_int_equal(batch->labelled, LABELLED);
    assert_int_equal(batch->unlabelled, UNLABELLED);
    assert_int_equal(batch->pool, POOL);
    assert_null(batch->student[0]);
    assert_null(batch->teacher[1]);
    memcpy(student, batch->labelled_logits, LABELLED * CLASSES * sizeof *student);
    memcpy(student + LABELLED * CLASSES, batch->student[1], block * sizeof *student);
    memcpy(student + LABELLED * CLASSES + block, batch->student[2], block * sizeof *student);
    memcpy(teacher, batch->teacher[0], block * sizeof *teacher);
    memcpy(teacher + block, batch->teacher[2], block * sizeof *teacher);
    me->logit_adjustment = batch->logit_adjustment;
    memcpy(me->class_priors, batch->class_priors, sizeof me->class_priors);
    if (me->mixes) memcpy(me->targets, batch->targets, sizeof me->targets);
    for (size_t i = 0; i < LABELLED * CLASSES; i++)
        result->labelled_grad[i] += any_gradient(batch->subnet, i);
    for (size_t i = 0; i < block; i++) {
        result->student_grad[1][i] += any_gradient(batch->subnet, LABELLED * CLASSES + i);
        result->student_grad[2][i] += any_gradient(batch->subnet, LABELLED * CLASSES + block + i);
    }
    result->weights[1] = 1;
    result->pseudo_labels[1] = 2;
    result->loss = result->labelled_loss = 1;
    return NAS_OK;
}

static int mix(void *self, const nas_ssl_batch *batch, nas_mix *out, nas_error *err) {
    (void)self, (void)err;
    assert_int_equal(out->rows, ROWS);
    assert_null(batch->labelled_logits);
    for (uint32_t r = 0; r < ROWS; r++) {
        out->partner[r] = ROWS - 1 - r;
        out->lambda[r] = 0.75f;
        for (size_t c = 0; c < CLASSES; c++) out->targets[r * CLASSES + c] = (float)(r + c);
    }
    return NAS_OK;
}

static const void *extension(void *self, const char *id) {
    static const nas_mix_api mixer = {sizeof mixer, mix};
    const fake_loss *me = self;
    return me->mixes && strcmp(id, NAS_EXT_MIX) == 0 ? &mixer : NULL;
}

static const nas_ssl_api api = {sizeof api, plan, loss};
static const nas_plugin plugin = {.magic = NAS_MAGIC,
                                  .size = sizeof(nas_plugin),
                                  .kind = NAS_KIND_SSL,
                                  .id = "fake",
                                  .vtable = &api,
                                  .extension = extension};

/* ---- A context without files ---- */

typedef struct fixture {
    fake_loss fake;
    nas_pipeline pipeline;
    nas_run_request request;
    nas_context context;
    float images[LABELLED + 3 * UNLABELLED][AREA];
    int32_t labels[LABELLED], hidden[UNLABELLED];
    uint64_t indices[UNLABELLED];
    nas_batch batch;
    nas_real *average, *gradient, *expected;
} fixture;

static void fill(nas_real *values, size_t n, uint64_t sample) {
    nas_rng rng = nas_rng_open(1, NAS_RNG_TEST, 3, sample);
    for (size_t i = 0; i < n; i++) values[i] = (nas_real)(0.3 * nas_rng_normal(&rng));
}

static void set_plan(fixture *f) {
    f->context.plan = (nas_ssl_plan){.size = sizeof(nas_ssl_plan), .n_views = 3, .teacher = "self"};
    f->context.plan.views[0].teacher = 1;
    f->context.plan.views[1].student = 1;
    f->context.plan.views[2] = (nas_ssl_view){.student = 1, .teacher = 1};
}

static void set_batch(fixture *f) {
    fill(f->images[0], sizeof f->images / sizeof(float), 0);
    for (size_t i = 0; i < LABELLED; i++) f->labels[i] = (int32_t)i % CLASSES;
    for (size_t i = 0; i < UNLABELLED; i++) f->hidden[i] = 2;
    f->batch = (nas_batch){.step = 5,
                           .labelled = LABELLED,
                           .unlabelled = UNLABELLED,
                           .n_views = 3,
                           .labelled_images = f->images[0],
                           .labels = f->labels,
                           .indices = f->indices,
                           .hidden_labels = f->hidden};
    for (size_t v = 0; v < 3; v++) f->batch.views[v] = f->images[LABELLED + v * UNLABELLED];
}

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    nas_context *context = &f->context;
    json_t *json = json_loads(TOY_SPACE, 0, NULL);
    /* one resolution: the subnets begin alike, and may share that */
    json_object_set_new(json, "resolution", json_pack("[i]", SIDE));
    assert_int_equal(nas_space_parse(json, "toy", 1, CLASSES, &context->space, NULL), NAS_OK);
    json_decref(json);
    assert_int_equal(nas_supernet_create(&context->space, 1, false, &context->supernet, NULL),
                     NAS_OK);
    f->pipeline.train = (nas_train_config){.steps = 9,
                                           .batch = LABELLED,
                                           .mu = (double)UNLABELLED / LABELLED,
                                           .subnets = SUBNETS,
                                           .teacher = NAS_TEACHER_SELF,
                                           .ema = 0.9};
    f->pipeline.file = "pipeline";
    f->request = (nas_run_request){.pipeline = &f->pipeline, .threads = 2};
    context->request = &f->request;
    context->pipeline = &f->pipeline;
    context->seed = 8;
    context->source.info =
        (nas_dataset_info){.height = SIDE, .width = SIDE, .channels = 1, .classes = CLASSES};
    context->ssl = (nas_instance){.plugin = &plugin, .self = &f->fake};
    context->fixed = nas_genome_largest(&context->space);
    set_plan(f);
    set_batch(f);
    size_t n = context->supernet->size;
    f->average = calloc(n, sizeof *f->average);
    f->gradient = calloc(n, sizeof *f->gradient);
    f->expected = calloc(n, sizeof *f->expected);
    assert_true(f->average && f->gradient && f->expected);
    fill(f->average, n, 1);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    nas_supernet_destroy(f->context.supernet);
    free(f->average);
    free(f->gradient);
    free(f->expected);
    free(f);
    return 0;
}

static nas_metrics run(fixture *f) {
    nas_step step;
    nas_error err = {0};
    nas_metrics metrics = {0};
    if (nas_step_open(&f->context, POOL, &step, &err)) fail_msg("%s", err.message);
    if (nas_step_run(&step, &f->batch, f->context.supernet->weights, f->average, f->gradient,
                     &metrics, &err))
        fail_msg("%s", err.message);
    nas_step_close(&step);
    return metrics;
}

/* Runs a subnet on inputs; with grad, adds its gradient to f->expected. */
static void by_hand(fixture *f, const nas_genome *genome, const nas_real *weights,
                    const nas_input *inputs, uint32_t n_inputs, uint32_t rows, nas_real *logits,
                    const nas_real *grad) {
    nas_engine *engine;
    nas_arch arch = nas_genome_decode(&f->context.space, genome);
    assert_int_equal(nas_engine_create(f->context.supernet,
                                       grad ? NAS_ENGINE_TRAIN : NAS_ENGINE_FORWARD, rows, 1, SIDE,
                                       SIDE, 1, &engine, NULL),
                     NAS_OK);
    nas_engine_select(engine, &arch);
    nas_engine_forward(engine, weights, inputs, n_inputs, &(nas_forward){0}, logits);
    if (grad) nas_engine_backward(engine, weights, grad, f->expected);
    nas_engine_destroy(engine);
}

/* Adds the gradient of subnet i, of the images in inputs, to f->expected. */
static void expect_subnet(fixture *f, uint32_t i, const nas_input *inputs, uint32_t n_inputs,
                          const nas_real *extra) {
    nas_real logits[ROWS * CLASSES], grad[ROWS * CLASSES];
    nas_genome genome = nas_step_genome(&f->context, 5, i);
    for (size_t k = 0; k < ROWS * CLASSES; k++)
        grad[k] = any_gradient(i, k) + (extra && k < LABELLED * CLASSES ? extra[k] : 0);
    by_hand(f, &genome, f->context.supernet->weights, inputs, n_inputs, ROWS, logits, grad);
    assert_memory_equal(f->fake.student[i], logits, sizeof logits);
}

static void student_inputs(const fixture *f, nas_input *inputs) {
    inputs[0] = (nas_input){f->images[0], LABELLED};
    inputs[1] = (nas_input){f->batch.views[1], UNLABELLED};
    inputs[2] = (nas_input){f->batch.views[2], UNLABELLED};
}

static void check_gradient(const fixture *f) {
    for (size_t i = 0; i < f->context.supernet->size; i++)
        assert_float_equal(f->gradient[i], f->expected[i], 1e-6);
    assert_true(f->fake.calls > 0);
}

static void check_teacher(fixture *f, uint32_t i, const nas_genome *genome,
                          const nas_real *weights) {
    nas_real logits[TUTORED * CLASSES];
    const nas_input inputs[] = {{f->batch.views[0], UNLABELLED}, {f->batch.views[2], UNLABELLED}};
    by_hand(f, genome, weights, inputs, 2, TUTORED, logits, NULL);
    assert_memory_equal(f->fake.teacher[i], logits, sizeof logits);
}

/* ---- Tests ---- */

static void test_sandwich(void **state) {
    fixture *f = *state;
    const nas_space *space = &f->context.space;
    nas_metrics metrics = run(f);
    nas_genome largest = nas_genome_largest(space), smallest = nas_genome_smallest(space);
    nas_genome genomes[SUBNETS];
    nas_input inputs[3];
    student_inputs(f, inputs);
    for (uint32_t i = 0; i < SUBNETS; i++) {
        expect_subnet(f, i, inputs, 3, NULL);
        genomes[i] = nas_step_genome(&f->context, 5, i);
        check_teacher(f, i, &genomes[i], f->context.supernet->weights);
    }
    check_gradient(f);
    assert_true(nas_genome_equal(space, &genomes[0], &largest));
    assert_true(nas_genome_equal(space, &genomes[1], &smallest));
    nas_genome other_step = nas_step_genome(&f->context, 6, 2);
    assert_false(nas_genome_equal(space, &genomes[2], &genomes[3]) &&
                 nas_genome_equal(space, &genomes[2], &other_step));
    assert_int_equal(metrics.subnets, SUBNETS);
    assert_int_equal(metrics.images, SUBNETS * (ROWS + TUTORED));
    assert_int_equal(metrics.used, SUBNETS);
    assert_int_equal(metrics.right, SUBNETS);
    assert_int_equal(metrics.rows, SUBNETS * UNLABELLED);
}

/* The labelled images and each view by themselves, as if they were all there is. */
static void test_separate_statistics(void **state) {
    fixture *f = *state;
    f->pipeline.train.batch_statistics = NAS_STATISTICS_SEPARATE;
    run(f);
    nas_input inputs[3];
    student_inputs(f, inputs);
    for (uint32_t i = 0; i < SUBNETS; i++) {
        nas_real logits[ROWS * CLASSES], grad[ROWS * CLASSES];
        nas_genome genome = nas_step_genome(&f->context, 5, i);
        for (size_t k = 0; k < ROWS * CLASSES; k++) grad[k] = any_gradient(i, k);
        size_t at = 0;
        for (uint32_t p = 0; p < 3; p++) {
            by_hand(f, &genome, f->context.supernet->weights, &inputs[p], 1, inputs[p].n,
                    logits + at, grad + at);
            at += (size_t)inputs[p].n * CLASSES;
        }
        assert_memory_equal(f->fake.student[i], logits, sizeof logits);
    }
    check_gradient(f);
}

static void test_teacher_largest(void **state) {
    fixture *f = *state;
    f->pipeline.train.teacher = NAS_TEACHER_LARGEST;
    nas_metrics metrics = run(f);
    nas_genome largest = nas_genome_largest(&f->context.space);
    for (uint32_t i = 0; i < SUBNETS; i++)
        check_teacher(f, i, &largest, f->context.supernet->weights);
    nas_input inputs[3];
    student_inputs(f, inputs);
    for (uint32_t i = 0; i < SUBNETS; i++) expect_subnet(f, i, inputs, 3, NULL);
    check_gradient(f);
    assert_int_equal(metrics.images, SUBNETS * ROWS + TUTORED);
}

/* The averaged weights, in the shape of the step's first subnet. */
static void test_teacher_ema(void **state) {
    fixture *f = *state;
    f->pipeline.train.teacher = NAS_TEACHER_EMA;
    f->pipeline.train.shape = NAS_STEP_FIXED;
    f->context.fixed = nas_genome_smallest(&f->context.space);
    run(f);
    assert_int_equal(f->fake.calls, 1);
    check_teacher(f, 0, &f->context.fixed, f->average);
    nas_input inputs[3];
    student_inputs(f, inputs);
    expect_subnet(f, 0, inputs, 3, NULL);
    check_gradient(f);
}

/* Of six labelled images three are of class 0, three of class 2, and class 1 counts as one. */
static void test_class_priors(void **state) {
    fixture *f = *state;
    int32_t labels[] = {0, 1, 2, 0, 2, 0, 2};
    uint64_t labelled[] = {0, 2, 3, 4, 5, 6};
    f->context.source.train.labels = labels;
    f->context.split = (nas_split_sets){.n_train = 7, .labelled = labelled, .n_labelled = 6};
    f->pipeline.train.logit_adjustment = 1.5;
    run(f);
    assert_float_equal(f->fake.class_priors[0], 3.0 / 7, 1e-12);
    assert_float_equal(f->fake.class_priors[1], 1.0 / 7, 1e-12);
    assert_float_equal(f->fake.class_priors[2], 3.0 / 7, 1e-12);
    assert_float_equal(f->fake.logit_adjustment, 1.5, 0);
    nas_step step;
    nas_error err = {0};
    f->fake.mixes = true;
    assert_int_equal(nas_step_open(&f->context, POOL, &step, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "train.logit_adjustment"));
}

static void test_suggested_teacher(void **state) {
    fixture *f = *state;
    nas_step step;
    f->pipeline.train.teacher = NAS_TEACHER_AUTO;
    f->context.plan.teacher = "ema";
    assert_int_equal(nas_step_open(&f->context, POOL, &step, NULL), NAS_OK);
    assert_int_equal(step.teacher, NAS_TEACHER_EMA);
    nas_step_close(&step);
    nas_error err = {0};
    f->context.plan.teacher = "nobody";
    assert_int_equal(nas_step_open(&f->context, POOL, &step, &err), NAS_ERR_PLUGIN);
    assert_non_null(strstr(err.message, "'nobody'"));
}

static void test_largest_alone(void **state) {
    fixture *f = *state;
    f->pipeline.train.shape = NAS_STEP_LARGEST;
    run(f);
    assert_int_equal(f->fake.calls, 1);
    nas_input inputs[3];
    student_inputs(f, inputs);
    expect_subnet(f, 0, inputs, 3, NULL);
    check_gradient(f);
}

/* The others learn the largest subnet's softmax on the labelled images. */
static void test_distillation(void **state) {
    fixture *f = *state;
    const double weight = 0.5;
    f->pipeline.train.distill = weight;
    nas_metrics metrics = run(f);
    nas_input inputs[3];
    student_inputs(f, inputs);
    expect_subnet(f, 0, inputs, 3, NULL);
    double sum = 0;
    for (uint32_t i = 1; i < SUBNETS; i++) {
        nas_real extra[LABELLED * CLASSES];
        float p[CLASSES], q[CLASSES];
        for (size_t r = 0; r < LABELLED; r++) {
            nas_softmax(f->fake.student[i] + r * CLASSES, CLASSES, 1, p);
            nas_softmax(f->fake.student[0] + r * CLASSES, CLASSES, 1, q);
            for (size_t c = 0; c < CLASSES; c++) {
                extra[r * CLASSES + c] = (nas_real)(weight / LABELLED) * (p[c] - q[c]);
                sum -= weight / LABELLED * (double)q[c] * log((double)p[c]);
            }
        }
        expect_subnet(f, i, inputs, 3, extra);
    }
    check_gradient(f);
    assert_true(fabs(metrics.loss - (SUBNETS + sum)) < 1e-5);
}

static void test_alpha_divergence(void **state) {
    fixture *f = *state;
    f->pipeline.train.distill = 0.5;
    f->pipeline.train.distill_loss = NAS_DISTIL_ALPHA;
    nas_metrics metrics = run(f);
    nas_input inputs[3];
    student_inputs(f, inputs);
    expect_subnet(f, 0, inputs, 3, NULL);
    double sum = 0;
    for (uint32_t i = 1; i < SUBNETS; i++) {
        nas_real extra[LABELLED * CLASSES] = {0};
        for (size_t r = 0; r < LABELLED; r++) {
            float target[CLASSES];
            nas_softmax(f->fake.student[0] + r * CLASSES, CLASSES, 1, target);
            sum += 0.5 / LABELLED *
                   nas_alpha_divergence(f->fake.student[i] + r * CLASSES, CLASSES, target,
                                        0.5 / LABELLED, extra + r * CLASSES);
        }
        expect_subnet(f, i, inputs, 3, extra);
    }
    check_gradient(f);
    assert_true(sum > 0);
    assert_true(fabs(metrics.loss - (SUBNETS + sum)) < 1e-5);
}

static void test_mixing(void **state) {
    fixture *f = *state;
    f->fake.mixes = true;
    run(f);
    static nas_real mixed[ROWS][AREA], plain[ROWS][AREA];
    memcpy(plain[0], f->images[0], LABELLED * sizeof plain[0]);
    memcpy(plain[LABELLED], f->batch.views[1], 2 * UNLABELLED * sizeof plain[0]);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < AREA; i++)
            mixed[r][i] = 0.75f * plain[r][i] + 0.25f * plain[ROWS - 1 - r][i];
    for (uint32_t i = 0; i < SUBNETS; i++)
        expect_subnet(f, i, &(nas_input){mixed[0], ROWS}, 1, NULL);
    check_gradient(f);
    assert_float_equal(f->fake.targets[2 * CLASSES + 1], 3, 0);
}

/* ---- Parts ---- */

/* A loss as real ones are: the mean over images of the logits' squares. */
static int mean_loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result,
                     nas_error *err) {
    (void)self, (void)err;
    double sum = 0;
    for (size_t i = 0; i < batch->labelled * CLASSES; i++) {
        float x = batch->labelled_logits[i];
        result->labelled_grad[i] = x / (float)batch->labelled;
        sum += (double)(x * x) / 2 / (double)batch->labelled;
    }
    for (size_t v = 1; v < 3; v++)
        for (size_t i = 0; i < batch->unlabelled * CLASSES; i++)
            result->student_grad[v][i] = batch->student[v][i] / (float)batch->unlabelled;
    result->loss = result->labelled_loss = sum;
    return NAS_OK;
}

static const nas_ssl_api mean_api = {sizeof mean_api, plan, mean_loss};
static const nas_plugin mean_plugin = {.magic = NAS_MAGIC,
                                       .size = sizeof(nas_plugin),
                                       .kind = NAS_KIND_SSL,
                                       .id = "mean",
                                       .vtable = &mean_api};

/* The gradient of a step in so many parts, which the caller frees. */
static nas_real *gradient_of(fixture *f, int64_t parts, nas_metrics *metrics) {
    f->pipeline.train.accumulate = parts;
    memset(f->gradient, 0, f->context.supernet->size * sizeof *f->gradient);
    *metrics = run(f);
    nas_real *copy = calloc(f->context.supernet->size, sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, f->gradient, f->context.supernet->size * sizeof *copy);
    return copy;
}

/* The batch's first or second half is all that a step has. */
static void halve(fixture *f, size_t half) {
    size_t labelled = LABELLED / 2, unlabelled = UNLABELLED / 2;
    f->pipeline.train.batch = (int64_t)labelled;
    f->batch.labelled = (uint32_t)labelled;
    f->batch.unlabelled = (uint32_t)unlabelled;
    f->batch.labelled_images = f->images[half * labelled];
    f->batch.labels = f->labels + half * labelled;
    f->batch.indices = f->indices + half * unlabelled;
    f->batch.hidden_labels = f->hidden + half * unlabelled;
    for (size_t v = 0; v < 3; v++)
        f->batch.views[v] = f->images[LABELLED + v * UNLABELLED + half * unlabelled];
}

/* A step in two parts is the mean of two steps with half of the images each: the same bits, since
 * halving is exact, at any number of threads. */
static void test_parts(void **state) {
    fixture *f = *state;
    size_t size = f->context.supernet->size;
    nas_metrics metrics, other;
    f->context.ssl.plugin = &mean_plugin;
    for (f->request.threads = 1; f->request.threads <= 2; f->request.threads++)
        for (int joint = 0; joint < 2; joint++) {
            f->pipeline.train.batch = LABELLED;
            set_batch(f);
            f->pipeline.train.batch_statistics =
                joint ? NAS_STATISTICS_JOINT : NAS_STATISTICS_SEPARATE;
            nas_real *parts = gradient_of(f, 2, &metrics);
            halve(f, 0);
            nas_real *first = gradient_of(f, 1, &other);
            double loss = other.loss;
            halve(f, 1);
            memcpy(f->gradient, first, size * sizeof *first);
            other = run(f); /* onto the first half's */
            for (size_t i = 0; i < size; i++) parts[i] *= 2;
            assert_memory_equal(parts, f->gradient, size * sizeof *parts);
            assert_int_equal(metrics.subnets, 2 * SUBNETS);
            assert_int_equal(metrics.rows, SUBNETS * UNLABELLED);
            assert_true(fabs(metrics.loss - loss - other.loss) < 1e-9);
            free(parts);
            free(first);
        }
}

/* The length of a - b as a share of a's. */
static double difference(const fixture *f, const nas_real *a, const nas_real *b) {
    double off = 0, length = 0;
    for (size_t i = 0; i < f->context.supernet->size; i++) {
        off += pow((double)(a[i] - b[i]), 2);
        length += pow((double)a[i], 2);
    }
    assert_true(length > 0);
    return sqrt(off / length);
}

/* Parts with the same images have the undivided batch's statistics, and then its gradient. */
static void test_equal_parts(void **state) {
    fixture *f = *state;
    nas_metrics metrics;
    f->context.ssl.plugin = &mean_plugin;
    f->pipeline.train.batch_statistics = NAS_STATISTICS_SEPARATE;
    memcpy(f->images[LABELLED / 2], f->images[0], LABELLED / 2 * sizeof f->images[0]);
    for (size_t v = 0; v < 3; v++) {
        float(*view)[AREA] = f->images + LABELLED + v * UNLABELLED;
        memcpy(view[UNLABELLED / 2], view[0], UNLABELLED / 2 * sizeof view[0]);
    }
    nas_real *whole = gradient_of(f, 1, &metrics), *parts = gradient_of(f, 2, &metrics);
    assert_true(difference(f, whole, parts) < 1e-5);
    free(parts);
    /* Dropout draws anew for each part: else these would have the gradient of either. */
    f->pipeline.train.dropout = 0.5;
    parts = gradient_of(f, 2, &metrics);
    halve(f, 0);
    nas_real *half = gradient_of(f, 1, &metrics);
    assert_true(difference(f, half, parts) > 1e-2);
    free(whole);
    free(parts);
    free(half);
}

static size_t bytes_of(fixture *f, int64_t parts) {
    nas_step step;
    f->pipeline.train.accumulate = parts;
    assert_int_equal(nas_step_open(&f->context, POOL, &step, NULL), NAS_OK);
    size_t bytes = nas_step_bytes(&step);
    nas_step_close(&step);
    return bytes;
}

static void test_parts_refused(void **state) {
    fixture *f = *state;
    nas_step step;
    nas_error err = {0};
    assert_true(bytes_of(f, 2) < bytes_of(f, 1));
    f->pipeline.train.accumulate = 4; /* which divides the labelled images alone */
    assert_int_equal(nas_step_open(&f->context, POOL, &step, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "train.accumulate"));
    assert_non_null(strstr(err.message, "4 labelled and 6 unlabelled"));
    assert_non_null(strstr(err.message, "such as 2"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sandwich, setup, teardown),
        cmocka_unit_test_setup_teardown(test_separate_statistics, setup, teardown),
        cmocka_unit_test_setup_teardown(test_teacher_largest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_teacher_ema, setup, teardown),
        cmocka_unit_test_setup_teardown(test_suggested_teacher, setup, teardown),
        cmocka_unit_test_setup_teardown(test_class_priors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_largest_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_distillation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_alpha_divergence, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mixing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_equal_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
