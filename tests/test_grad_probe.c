/* The probe, in double, against the engine and against finite differences. */
#include "supernet/probe.h"

#include "space/lower.h"
#include "supernet/kernel_chain.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "small_net.h"

enum { IMAGES = 18, SUBNETS = 6, AREA = SMALL_SIDE * SMALL_SIDE * SMALL_CHANNELS };

typedef struct trial {
    nas_space space;
    nas_supernet *net;
    nas_lowered *lowered;
    nas_pool *pool;
    nas_real *images; /* [IMAGES][AREA] */
    double *resized;  /* at the subnet's resolution */
    nas_probe_batch batch;
    int32_t labels[IMAGES];
    /* What the calls leave. */
    double logits[IMAGES * SMALL_CLASSES];
    nas_real *gradient; /* [net->size] */
    double image_grad[IMAGES * AREA];
    uint32_t layers_seen;
} trial;

static void resize_all(trial *t) {
    uint32_t side = t->lowered->network.image.h;
    size_t area = (size_t)side * side * SMALL_CHANNELS;
    for (size_t i = 0; i < IMAGES; i++) {
        if (side == SMALL_SIDE)
            memcpy(t->resized + i * area, t->images + i * AREA, AREA * sizeof(double));
        else
            nas_engine_resize(t->resized + i * area, side, t->images + i * AREA, SMALL_SIDE,
                              SMALL_SIDE, SMALL_CHANNELS);
    }
}

static void open_trial(trial *t, nas_space space, uint32_t which) {
    nas_error err = {0};
    *t = (trial){.space = space};
    t->net = small_net(&t->space);
    t->images = small_random(IMAGES * AREA, which);
    t->resized = small_random(IMAGES * AREA, which);
    t->gradient = calloc(t->net->size, sizeof *t->gradient);
    assert_non_null(t->gradient);
    nas_genome genome = small_genome(&t->space, which);
    if (nas_lower(&t->space, &genome, &t->lowered, &err) || nas_pool_create(2, &t->pool, &err))
        fail_msg("%s", err.message);
    for (uint32_t i = 0; i < IMAGES; i++) t->labels[i] = (int32_t)(i % SMALL_CLASSES);
    resize_all(t);
    t->batch = (nas_probe_batch){IMAGES, t->resized, t->labels};
}

static void close_trial(trial *t) {
    nas_pool_destroy(t->pool);
    nas_lowered_free(t->lowered);
    nas_supernet_destroy(t->net);
    free(t->images);
    free(t->resized);
    free(t->gradient);
}

static void keep_forward(void *context, const nas_probe_layer *at) {
    trial *t = context;
    assert_int_equal(at->index, t->layers_seen);
    assert_true(at->images == IMAGES && !at->sum_grad && !at->weight_grad);
    t->layers_seen++;
    if (t->layers_seen == t->lowered->network.n_layers)
        memcpy(t->logits, at->output, sizeof t->logits);
}

/* Of a kernel that matrices make, the gradients of what it is made of. */
static void keep_chain(trial *t, const nas_probe_layer *at, const nas_kernel_chain *chain) {
    size_t n = at->layer->weights;
    double *kernel = calloc(n, sizeof *kernel);
    double *room = calloc(nas_kernel_room(&chain->source), sizeof *room);
    assert_true(kernel && room);
    nas_kernel_chain_forward(chain, t->net->weights, room, kernel);
    assert_memory_equal(kernel, at->weight, n * sizeof *kernel);
    memcpy(nas_kernel_chain_result(chain, room), at->weight_grad, n * sizeof *kernel);
    nas_kernel_chain_backward(chain, t->net->weights, room, t->gradient);
    free(kernel);
    free(room);
}

static void keep_backward(void *context, const nas_probe_layer *at) {
    trial *t = context;
    t->layers_seen--;
    assert_int_equal(at->index, t->layers_seen);
    assert_non_null(at->sum_grad);
    if (!at->weight) return;
    nas_slice slice;
    assert_int_equal(nas_slice_find(t->net, at->layer, &slice, NULL), NAS_OK);
    const double *grad = at->weight_grad, *weight = at->weight;
    nas_kernel_chain chain = nas_kernel_chain_find(t->net, at->layer, &slice);
    if (chain.n) {
        keep_chain(t, at, &chain);
        return;
    }
    for (size_t r = 0; r < nas_slice_rows(&slice); r++)
        for (size_t c = 0; c < slice.columns; c++) {
            assert_true(*weight++ == t->net->weights[nas_slice_row(&slice, r) + c]);
            t->gradient[nas_slice_row(&slice, r) + c] = *grad++;
        }
}

static void keep_input(void *context, uint32_t n, nas_shape image, const double *images,
                       const double *gradient) {
    trial *t = context;
    assert_ptr_equal(images, t->resized);
    memcpy(t->image_grad, gradient, (size_t)n * image.h * image.w * image.c * sizeof *gradient);
}

static void probe(trial *t, nas_probe how) {
    nas_error err = {0};
    how.size = sizeof how;
    how.weights = NAS_PROBE_INHERITED;
    how.context = t;
    how.forward = keep_forward;
    how.backward = how.objective ? keep_backward : NULL;
    how.input = how.objective ? keep_input : NULL;
    t->layers_seen = 0;
    if (nas_supernet_probe(t->net, &t->lowered->network, &how, 1, &t->batch, t->pool, &err))
        fail_msg("%s", err.message);
    assert_int_equal(t->layers_seen, how.objective ? 0 : t->lowered->network.n_layers);
}

static void same(double found, double expected, const char *what, size_t at) {
    if (fabs(found - expected) <= 1e-9 * (1 + fabs(expected))) return;
    fail_msg("%s %zu: expected %.12g, found %.12g", what, at, expected, found);
}

/* Logits and the gradient of every kernel, with batch norm over the batch. */
static void compare_with_engine(nas_space space, uint32_t which) {
    trial t;
    open_trial(&t, space, which);
    nas_engine *engine = small_engine(t.net, NAS_ENGINE_TRAIN, IMAGES, SMALL_SIDE, 1);
    small_select(engine, &t.space, which);
    nas_input input = {t.images, IMAGES};
    nas_real logits[IMAGES * SMALL_CLASSES], grad[IMAGES * SMALL_CLASSES];
    nas_real *gradient = calloc(t.net->size, sizeof *gradient);
    assert_non_null(gradient);
    nas_engine_forward(engine, t.net->weights, &input, 1, &(nas_forward){0}, logits);
    for (size_t i = 0; i < IMAGES; i++) {
        double total = 0;
        for (size_t c = 0; c < SMALL_CLASSES; c++) total += exp(logits[i * SMALL_CLASSES + c]);
        for (size_t c = 0; c < SMALL_CLASSES; c++)
            grad[i * SMALL_CLASSES + c] =
                (exp(logits[i * SMALL_CLASSES + c]) / total - (t.labels[i] == (int)c)) / IMAGES;
    }
    nas_engine_backward(engine, t.net->weights, grad, gradient);
    probe(&t, (nas_probe){.objective = NAS_PROBE_CROSS_ENTROPY});
    for (size_t i = 0; i < IMAGES * SMALL_CLASSES; i++) same(t.logits[i], logits[i], "logit", i);
    for (uint32_t i = 0; i < t.net->n_parameters; i++) {
        const nas_parameter *p = &t.net->parameters[i];
        bool compared = p->fan_in || strstr(p->name, ".matrix");
        for (size_t j = 0; compared && j < p->count; j++)
            same(t.gradient[p->offset + j], gradient[p->offset + j], p->name, j);
    }
    free(gradient);
    nas_engine_destroy(engine);
    close_trial(&t);
}

static void test_engine(void **state) {
    (void)state;
    for (uint32_t which = 0; which < SUBNETS; which++)
        compare_with_engine(small_space(which % 2 ? "" : "6"), which);
    for (uint32_t which = 0; which < SUBNETS; which++) compare_with_engine(small_mobile(), which);
}

static double logit_sum(trial *t, nas_probe how) {
    double total = 0;
    how.objective = NAS_PROBE_FORWARD;
    probe(t, how);
    for (size_t i = 0; i < IMAGES * SMALL_CLASSES; i++) total += t->logits[i];
    return total;
}

/* Gradients of images and of some weights by central differences, in every mode. */
static void compare_with_differences(nas_space space, uint32_t which, nas_probe how) {
    trial t;
    open_trial(&t, space, which);
    how.objective = NAS_PROBE_LOGIT_SUM;
    probe(&t, how);
    const double step = 1e-6;
    nas_shape image = t.lowered->network.image;
    size_t n = (size_t)IMAGES * image.h * image.w * image.c;
    for (size_t i = 5; i < n; i += n / 7) {
        double kept = t.resized[i], expected = t.image_grad[i];
        t.resized[i] = kept + step;
        double more = logit_sum(&t, how);
        t.resized[i] = kept - step;
        double less = logit_sum(&t, how);
        t.resized[i] = kept;
        if (fabs((more - less) / (2 * step) - expected) > 1e-4 * (1 + fabs(expected)))
            fail_msg("image value %zu: expected %g, found %g", i, (more - less) / (2 * step),
                     expected);
    }
    for (uint32_t i = 0; i < t.net->n_parameters; i++) {
        const nas_parameter *p = &t.net->parameters[i];
        if (!p->fan_in) continue;
        /* The centre of a kernel's first channel is in every subnet that has the layer. */
        size_t taps = p->ndim > 2 ? (size_t)p->shape[0] * p->shape[1] : 1;
        nas_real *w = t.net->weights + p->offset + taps / 2 * (p->count / taps), kept = *w;
        double expected = t.gradient[w - t.net->weights];
        *w = kept + step;
        double more = logit_sum(&t, how);
        *w = kept - step;
        double less = logit_sum(&t, how);
        *w = kept;
        if (fabs((more - less) / (2 * step) - expected) > 1e-4 * (1 + fabs(expected)))
            fail_msg("%s: expected %g, found %g", p->name, (more - less) / (2 * step), expected);
    }
    close_trial(&t);
}

static void test_differences(void **state) {
    (void)state;
    for (uint32_t which = 0; which < 2; which++) {
        nas_space space = small_space("6");
        compare_with_differences(space, which, (nas_probe){0});
        compare_with_differences(space, which, (nas_probe){.norm = NAS_PROBE_IDENTITY});
        compare_with_differences(space, which, (nas_probe){.plain = true});
        compare_with_differences(small_mobile(), which, (nas_probe){0});
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_engine),
        cmocka_unit_test(test_differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
