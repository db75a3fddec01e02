/* The images and weights with which score plugins run subnets. */
#include "stages/probing.h"

#include "space/lower.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "small_net.h"

enum { TRAIN = 40, AREA = SMALL_SIDE * SMALL_SIDE * SMALL_CHANNELS, LABELLED = 13, KEPT = 5 };

typedef struct trial {
    nas_pipeline pipeline;
    char name[16]; /* of the pipeline */
    nas_plugin plugin;
    nas_context context;
    nas_lowered *lowered;
    nas_error err;
    uint8_t pixels[TRAIN * AREA];
    int32_t labels[TRAIN];
    uint64_t labelled[LABELLED], kept[KEPT];
    /* What the calls leave. */
    uint32_t n;
    nas_shape shape;
    double images[TRAIN * AREA], gradient[TRAIN * AREA], logits[TRAIN * SMALL_CLASSES];
    double weights[1024]; /* of the layer `watched` */
    uint32_t watched;
} trial;

/* Image i has label i % 5 and pixels i; labelled are 0, 3, 6, ...; validation 1, 10, 19, ... */
static int setup(void **state) {
    trial *t = calloc(1, sizeof *t);
    assert_non_null(t);
    *state = t;
    nas_context *c = &t->context;
    t->plugin.id = "tested";
    t->pipeline.file = t->name;
    snprintf(t->name, sizeof t->name, "p.json");
    *c = (nas_context){.pipeline = &t->pipeline, .seed = 9, .space = small_space("6")};
    c->score.plugin = &t->plugin;
    c->supernet = small_net(&c->space);
    c->source.info.height = c->source.info.width = SMALL_SIDE;
    c->source.info.channels = SMALL_CHANNELS;
    c->source.info.classes = SMALL_CLASSES;
    for (int i = 0; i < 3; i++) c->source.mean[i] = 0, c->source.std[i] = 1.0f / 255;
    for (int i = 0; i < TRAIN; i++) {
        t->labels[i] = i % SMALL_CLASSES;
        memset(t->pixels + i * AREA, i, AREA);
    }
    for (uint64_t i = 0; i < LABELLED; i++) t->labelled[i] = 3 * i;
    for (uint64_t i = 0; i < KEPT; i++) t->kept[i] = 1 + 9 * i;
    c->source.train = (nas_images){.n = TRAIN, .pixels = t->pixels, .labels = t->labels};
    c->split = (nas_split_sets){.n_train = TRAIN,
                                .labelled = t->labelled,
                                .n_labelled = LABELLED,
                                .validation = t->kept,
                                .n_validation = KEPT};
    nas_genome genome = nas_genome_largest(&c->space);
    if (nas_lower(&c->space, &genome, &t->lowered, &t->err)) fail_msg("%s", t->err.message);
    return 0;
}

static int teardown(void **state) {
    trial *t = *state;
    nas_supernet_destroy(t->context.supernet);
    nas_lowered_free(t->lowered);
    free(t);
    return 0;
}

static void keep_layer(void *context, const nas_probe_layer *at) {
    trial *t = context;
    t->n = at->images;
    if (at->index == t->watched)
        memcpy(t->weights, at->weight, at->layer->weights * sizeof(double));
    if (at->index + 1 == t->lowered->network.n_layers)
        memcpy(t->logits, at->output, at->images * SMALL_CLASSES * sizeof(double));
}

static void keep_input(void *context, uint32_t n, nas_shape shape, const double *images,
                       const double *gradient) {
    trial *t = context;
    size_t size = (size_t)n * shape.h * shape.w * shape.c;
    t->shape = shape;
    memcpy(t->images, images, size * sizeof *images);
    memcpy(t->gradient, gradient, size * sizeof *gradient);
}

static int try_probe(trial *t, nas_probe how, int threads) {
    nas_pool *pool;
    assert_int_equal(nas_pool_create(threads, &pool, &t->err), NAS_OK);
    how.size = sizeof how;
    how.context = t;
    how.forward = keep_layer;
    how.input = keep_input;
    int rc = nas_probing_run(&t->context, &t->lowered->network, &how, pool, &t->err);
    nas_pool_destroy(pool);
    return rc;
}

static void probe(trial *t, nas_probe how) {
    if (!how.objective) how.objective = NAS_PROBE_LOGIT_SUM;
    if (try_probe(t, how, 2)) fail_msg("%s", t->err.message);
}

/* The image whose pixels number i of the batch has. */
static int image_of(const trial *t, uint32_t i) {
    size_t area = (size_t)t->shape.h * t->shape.w * t->shape.c;
    for (size_t j = 1; j < area; j++)
        assert_true(fabs(t->images[i * area + j] - t->images[i * area]) < 1e-4);
    return (int)lround(t->images[i * area]);
}

static void test_images(void **state) {
    trial *t = *state;
    bool seen[TRAIN] = {false};
    probe(t, (nas_probe){.images = NAS_PROBE_UNLABELLED, .count = 1000});
    assert_int_equal(t->n, TRAIN - KEPT);
    for (uint32_t i = 0; i < t->n; i++) {
        int image = image_of(t, i);
        assert_true(image % 9 != 1 && !seen[image]);
        seen[image] = true;
    }
    /* Batches of one order: 6 + 6 + the last with the first five again. */
    int order[18], turns = 0;
    for (uint32_t b = 0; b < 3; b++) {
        probe(t, (nas_probe){.images = NAS_PROBE_LABELLED, .count = 6, .batch = b});
        assert_int_equal(t->n, 6);
        for (uint32_t i = 0; i < 6; i++) order[6 * b + i] = image_of(t, i);
    }
    for (int i = 0; i < LABELLED; i++) {
        assert_int_equal(order[i] % 3, 0);
        for (int j = 0; j < i; j++) assert_int_not_equal(order[i], order[j]);
        turns += order[i] != 3 * i;
    }
    assert_true(turns > 5);
    for (int i = LABELLED; i < 18; i++) assert_int_equal(order[i], order[i - LABELLED]);
    probe(t, (nas_probe){.images = NAS_PROBE_LABELLED, .count = 6, .draw = 1});
    turns = 0;
    for (uint32_t i = 0; i < 6; i++) turns += image_of(t, i) != order[i];
    assert_true(turns > 2);
    probe(t, (nas_probe){.images = NAS_PROBE_BALANCED, .count = 10});
    for (uint32_t i = 0; i < 10; i++) assert_int_equal(image_of(t, i) % SMALL_CLASSES, i % 5);
}

static void test_no_images(void **state) {
    trial *t = *state;
    probe(t, (nas_probe){.images = NAS_PROBE_ONES, .count = 2});
    assert_int_equal(t->n, 2);
    assert_int_equal(image_of(t, 0), 1);
    probe(t, (nas_probe){.images = NAS_PROBE_NORMAL, .count = 20});
    double sum = 0, squares = 0, first[AREA];
    const int n = 20 * AREA;
    for (int i = 0; i < n; i++) sum += t->images[i], squares += t->images[i] * t->images[i];
    assert_true(fabs(sum / n) < 0.05 && fabs(squares / n - 1) < 0.05);
    memcpy(first, t->images, sizeof first);
    probe(t, (nas_probe){.images = NAS_PROBE_NORMAL, .count = 1, .noise = 0.5});
    squares = 0;
    for (int i = 0; i < AREA; i++) squares += pow((t->images[i] - first[i]) / 0.5, 2);
    assert_true(fabs(squares / AREA - 1) < 0.3);
    probe(t, (nas_probe){.images = NAS_PROBE_NORMAL, .count = 1, .draw = 1});
    assert_true(t->images[0] != first[0]);
}

/* A subnet of another resolution gets resized images. */
static void test_resolution(void **state) {
    trial *t = *state;
    nas_genome genome = nas_genome_smallest(&t->context.space);
    nas_lowered_free(t->lowered);
    assert_int_equal(nas_lower(&t->context.space, &genome, &t->lowered, &t->err), NAS_OK);
    probe(t, (nas_probe){.images = NAS_PROBE_LABELLED, .count = 3});
    assert_int_equal(t->shape.h, 9);
    for (uint32_t i = 0; i < 3; i++) assert_int_equal(image_of(t, i) % 3, 0);
}

/* The same bits at any number of threads. */
static void test_threads(void **state) {
    trial *t = *state;
    static double logits[TRAIN * SMALL_CLASSES], gradient[TRAIN * AREA];
    const nas_probe how = {.images = NAS_PROBE_LABELLED,
                           .count = 11,
                           .weights = NAS_PROBE_INHERITED,
                           .objective = NAS_PROBE_CROSS_ENTROPY};
    assert_int_equal(try_probe(t, how, 1), NAS_OK);
    memcpy(logits, t->logits, sizeof logits);
    memcpy(gradient, t->gradient, sizeof gradient);
    assert_int_equal(try_probe(t, how, 3), NAS_OK);
    assert_memory_equal(logits, t->logits, sizeof logits);
    assert_memory_equal(gradient, t->gradient, sizeof gradient);
    assert_true(gradient[0] != 0);
}

static uint32_t find_layer(const trial *t, const char *name) {
    for (uint32_t i = 0; i < t->lowered->network.n_layers; i++)
        if (!strcmp(t->lowered->layers[i].name, name)) return i;
    fail_msg("no layer %s", name);
    return 0;
}

static void test_weights(void **state) {
    trial *t = *state;
    double normal[1024];
    t->watched = find_layer(t, "head");
    uint64_t n = t->lowered->layers[t->watched].weights;
    double inputs = t->lowered->layers[t->watched].in.c, squares = 0;
    nas_probe how = {.images = NAS_PROBE_ONES, .count = 1, .weights = NAS_PROBE_NORMAL_WEIGHTS};
    probe(t, how);
    memcpy(normal, t->weights, sizeof normal);
    for (uint64_t i = 0; i < n; i++) squares += normal[i] * normal[i];
    assert_true(fabs(squares / (double)n - 1) < 0.3);
    how.weights = NAS_PROBE_INITIAL;
    probe(t, how);
    for (uint64_t i = 0; i < n; i++)
        assert_true(fabs(t->weights[i] - sqrt(2 / inputs) * normal[i]) < 1e-12);
    how.draw = 1;
    probe(t, how);
    assert_true(fabs(t->weights[0] - sqrt(2 / inputs) * normal[0]) > 1e-6);
    how.weights = NAS_PROBE_INHERITED;
    probe(t, how);
    const nas_parameter *head = nas_supernet_find(t->context.supernet, "head.conv");
    const nas_real *shared = t->context.supernet->weights + head->offset;
    bool negative = false;
    for (uint64_t i = 0; i < n; i++) assert_true((double)shared[i] == t->weights[i]);
    how.absolute = true;
    probe(t, how);
    for (uint64_t i = 0; i < n; i++) {
        assert_true(fabs((double)shared[i]) == t->weights[i]);
        negative = negative || shared[i] < 0;
    }
    assert_true(negative);
}

static void refused(trial *t, nas_probe how, int code, const char *part) {
    assert_int_equal(try_probe(t, how, 1), code);
    if (!strstr(t->err.message, part)) fail_msg("no \"%s\" in: %s", part, t->err.message);
}

static void test_refusals(void **state) {
    trial *t = *state;
    refused(t, (nas_probe){.count = 0}, NAS_ERR_PLUGIN, "'tested' probes 0 images");
    refused(t, (nas_probe){.count = 1, .noise = NAN}, NAS_ERR_PLUGIN, "noise nan");
    refused(t, (nas_probe){.count = 1, .images = 5}, NAS_ERR_PLUGIN, "images 5; expected 0 to 4");
    refused(t, (nas_probe){.count = 1, .weights = 3}, NAS_ERR_PLUGIN, "weights 3");
    refused(t, (nas_probe){.count = 1, .norm = 2}, NAS_ERR_PLUGIN, "norm 2");
    refused(t, (nas_probe){.count = 1, .objective = 3}, NAS_ERR_PLUGIN, "objective 3");
    refused(t, (nas_probe){.count = 1, .objective = NAS_PROBE_CROSS_ENTROPY}, NAS_ERR_PLUGIN,
            "without labels");
    t->context.split.n_labelled = 0;
    refused(t, (nas_probe){.count = 1, .images = NAS_PROBE_LABELLED}, NAS_ERR_INPUT,
            "p.json: a score asks for labelled images, and the split has none");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_images, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_images, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resolution, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_weights, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
