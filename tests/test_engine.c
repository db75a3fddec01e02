/* The engine's promises besides its arithmetic: the same bits whatever the threads and the cutting
 * of batches, calibration, inference, other resolutions, every shape of subnet. */
#include "space/lower.h"
#include "supernet/engine.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "small_net.h"

#define IMAGES 37 /* of a batch: no multiple of the engine's chunks */
#define IMAGE ((size_t)SMALL_SIDE * SMALL_SIDE * SMALL_CHANNELS)
#define LOGITS (IMAGES * SMALL_CLASSES)

typedef struct bench {
    nas_space space;
    nas_supernet *net;
    float *images; /* [IMAGES] */
} bench;

static int setup(void **state) {
    static bench b;
    b.space = small_space("9");
    b.net = small_net(&b.space);
    b.images = small_random(IMAGES * IMAGE, 1);
    *state = &b;
    return 0;
}

static int teardown(void **state) {
    bench *b = *state;
    nas_supernet_destroy(b->net);
    free(b->images);
    return 0;
}

static nas_engine *open_engine(const bench *b, nas_engine_mode mode, uint32_t max_images,
                               int threads) {
    return small_engine(b->net, mode, max_images, SMALL_SIDE, threads);
}

static nas_bn_stats make_stats(const nas_engine *engine) {
    nas_error err = {0};
    nas_bn_stats stats;
    if (nas_bn_stats_create(engine, &stats, &err)) fail_msg("%s", err.message);
    return stats;
}

static void assert_same(const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i])
            fail_msg("value %zu: expected %.9g, found %.9g", i, (double)a[i], (double)b[i]);
}

static void assert_near(const float *want, const float *got, size_t n, double tolerance) {
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)want[i] - (double)got[i]) <= tolerance * (1 + fabs((double)want[i]))))
            fail_msg("value %zu: expected %.9g, found %.9g", i, (double)want[i], (double)got[i]);
}

/* Logits and gradient of a subnet on all images, cut into segments of sizes [n_sizes]. */
typedef struct result {
    float logits[LOGITS], *gradient;
} result;

static result train_on(nas_engine *engine, const bench *b, uint32_t which, const uint32_t *sizes,
                       uint32_t n_sizes) {
    result r = {.gradient = calloc(b->net->size, sizeof(float))};
    assert_non_null(r.gradient);
    nas_input inputs[8];
    float logits_grad[LOGITS];
    const float *at = b->images;
    for (uint32_t i = 0; i < n_sizes; at += sizes[i++] * IMAGE)
        inputs[i] = (nas_input){at, sizes[i]};
    small_select(engine, &b->space, which);
    small_fill(logits_grad, LOGITS, 2);
    nas_forward how = {.dropout = 0.2, .seed = 1, .step = 2, .stream = 3};
    nas_engine_forward(engine, b->net->weights, inputs, n_sizes, &how, r.logits);
    nas_engine_backward(engine, b->net->weights, logits_grad, r.gradient);
    return r;
}

static result train(nas_engine *engine, const bench *b, uint32_t which) {
    return train_on(engine, b, which, (uint32_t[]){IMAGES}, 1);
}

static void assert_same_result(const bench *b, result want, result got) {
    assert_same(want.logits, got.logits, LOGITS);
    assert_same(want.gradient, got.gradient, b->net->size);
    free(got.gradient);
}

static void threads_change_no_bit(void **state) {
    const bench *b = *state;
    static const int threads[] = {2, 3, 16};
    nas_engine *one = open_engine(b, NAS_ENGINE_TRAIN, IMAGES, 1);
    for (int t = 0; t < 3; t++) {
        nas_engine *more = open_engine(b, NAS_ENGINE_TRAIN, IMAGES, threads[t]);
        for (uint32_t which = 0; which < 4; which++) {
            result want = train(one, b, which);
            assert_same_result(b, want, train(more, b, which));
            free(want.gradient);
        }
        nas_engine_destroy(more);
    }
    nas_engine_destroy(one);
}

static void segments_change_no_bit(void **state) {
    const bench *b = *state;
    nas_engine *engine = open_engine(b, NAS_ENGINE_TRAIN, IMAGES, 2);
    for (uint32_t which = 0; which < 4; which++) {
        result want = train(engine, b, which);
        assert_same_result(b, want, train_on(engine, b, which, (uint32_t[]){1, 30, 0, 6}, 4));
        free(want.gradient);
    }
    nas_engine_destroy(engine);
}

/* A subnet gives the same after others have used the engine's memory. */
static void subnets_leave_nothing_behind(void **state) {
    const bench *b = *state;
    nas_engine *engine = open_engine(b, NAS_ENGINE_TRAIN, IMAGES, 1);
    result want[6];
    for (uint32_t which = 0; which < 6; which++) want[which] = train(engine, b, which);
    for (uint32_t which = 6; which-- > 0;) {
        assert_same_result(b, want[which], train(engine, b, which));
        free(want[which].gradient);
    }
    nas_engine_destroy(engine);
}

static void run(nas_engine *engine, const bench *b, const nas_forward *how, float *logits) {
    nas_input input = {b->images, IMAGES};
    nas_engine_forward(engine, b->net->weights, &input, 1, how, logits);
}

static void modes_give_the_same_logits(void **state) {
    const bench *b = *state;
    nas_engine *train_engine = open_engine(b, NAS_ENGINE_TRAIN, IMAGES, 1);
    nas_engine *forward = open_engine(b, NAS_ENGINE_FORWARD, IMAGES, 2);
    assert_true(nas_engine_bytes(forward) < nas_engine_bytes(train_engine));
    nas_bn_stats stats = make_stats(forward);
    for (uint32_t which = 0; which < 6; which++) {
        float want[LOGITS], got[LOGITS];
        small_select(train_engine, &b->space, which);
        small_select(forward, &b->space, which);
        run(train_engine, b, &(nas_forward){0}, want);
        run(forward, b, &(nas_forward){0}, got);
        assert_same(want, got, LOGITS);
        nas_engine_calibrate(forward, b->net->weights, b->images, IMAGES, &stats);
        nas_engine_infer(train_engine, b->net->weights, &stats, b->images, IMAGES, want);
        nas_engine_infer(forward, b->net->weights, &stats, b->images, IMAGES, got);
        assert_same(want, got, LOGITS);
    }
    nas_bn_stats_free(&stats);
    nas_engine_destroy(train_engine);
    nas_engine_destroy(forward);
}

/* Dropout's mask depends on each part of its name, and on nothing else; 0 is none. */
static void dropout_is_named(void **state) {
    const bench *b = *state;
    nas_engine *engine = open_engine(b, NAS_ENGINE_TRAIN, IMAGES, 2);
    static const nas_forward named = {.dropout = 0.5, .seed = 1, .step = 1, .stream = 1},
                             others[] = {{.dropout = 0.5, .seed = 2, .step = 1, .stream = 1},
                                         {.dropout = 0.5, .seed = 1, .step = 2, .stream = 1},
                                         {.dropout = 0.5, .seed = 1, .step = 1, .stream = 2},
                                         {.dropout = 0, .seed = 1, .step = 1, .stream = 1}};
    float plain[LOGITS], want[LOGITS], got[LOGITS];
    run(engine, b, &(nas_forward){0}, plain);
    run(engine, b, &named, want);
    for (size_t i = 0; i < 4; i++) {
        run(engine, b, &others[i], got);
        assert_memory_not_equal(want, got, sizeof got);
    }
    assert_same(plain, got, LOGITS);
    run(engine, b, &named, got);
    assert_same(want, got, LOGITS);
    nas_engine_destroy(engine);
}

/* Calibrating keeps the unbiased variance, n / (n - 1) times the one that a batch is normalised
 * with, n counting pixels. With that factor undone, inference of the calibration batch gives its
 * batch-statistics logits, to rounding. */
static void calibration_is_of_the_batch(void **state) {
    const bench *b = *state;
    nas_engine *engine = open_engine(b, NAS_ENGINE_FORWARD, IMAGES, 1);
    nas_bn_stats stats = make_stats(engine);
    for (uint32_t which = 0; which < 6; which++) {
        nas_genome genome = small_genome(&b->space, which);
        nas_lowered *lowered;
        nas_error err = {0};
        if (nas_lower(&b->space, &genome, &lowered, &err)) fail_msg("%s", err.message);
        float want[LOGITS], got[LOGITS];
        small_select(engine, &b->space, which);
        run(engine, b, &(nas_forward){0}, want);
        nas_engine_calibrate(engine, b->net->weights, b->images, IMAGES, &stats);
        size_t at = 0;
        for (uint32_t i = 0; i < lowered->network.n_layers; i++) {
            const nas_layer *l = &lowered->layers[i];
            double rows = (double)(IMAGES * l->out.h * l->out.w);
            if (l->op != NAS_OP_CONV && l->op != NAS_OP_DEPTHWISE) continue;
            for (uint32_t c = 0; c < l->out.c; c++, at++)
                stats.var[at] = (float)((double)stats.var[at] * (rows - 1) / rows);
        }
        assert_int_equal(at, stats.n);
        nas_engine_infer(engine, b->net->weights, &stats, b->images, IMAGES, got);
        assert_near(want, got, LOGITS, 2e-5);
        nas_lowered_free(lowered);
    }
    nas_bn_stats_free(&stats);
    nas_engine_destroy(engine);
}

/* Calibration on several batches: each counts by its images. */
static void calibration_weighs_by_images(void **state) {
    const bench *b = *state;
    nas_engine *engine = open_engine(b, NAS_ENGINE_FORWARD, 16, 1);
    nas_bn_stats all = make_stats(engine), part = make_stats(engine), sum = make_stats(engine);
    nas_engine_calibrate(engine, b->net->weights, b->images, IMAGES, &all);
    for (uint32_t first = 0; first < IMAGES; first += 16) {
        uint32_t n = IMAGES - first < 16 ? IMAGES - first : 16;
        nas_engine_calibrate(engine, b->net->weights, b->images + first * IMAGE, n, &part);
        assert_int_equal(part.n, nas_engine_channels(engine)); /* the largest is selected */
        for (size_t i = 0; i < part.n; i++) {
            sum.mean[i] += part.mean[i] * (float)n / IMAGES;
            sum.var[i] += part.var[i] * (float)n / IMAGES;
        }
    }
    assert_near(sum.mean, all.mean, all.n, 1e-6);
    assert_near(sum.var, all.var, all.n, 1e-6);
    nas_bn_stats_free(&all), nas_bn_stats_free(&part), nas_bn_stats_free(&sum);
    nas_engine_destroy(engine);
}

/* An image's logits depend neither on the engine's size nor on the other images. */
static void inference_is_image_by_image(void **state) {
    const bench *b = *state;
    static const uint32_t sizes[] = {1, 5, 16, 64};
    nas_engine *engine = open_engine(b, NAS_ENGINE_FORWARD, IMAGES, 2);
    nas_bn_stats stats = make_stats(engine);
    for (uint32_t which = 0; which < 4; which++) {
        float want[LOGITS], got[LOGITS];
        small_select(engine, &b->space, which);
        nas_engine_calibrate(engine, b->net->weights, b->images, IMAGES, &stats);
        nas_engine_infer(engine, b->net->weights, &stats, b->images, IMAGES, want);
        for (size_t s = 0; s < 4; s++) {
            nas_engine *other = open_engine(b, NAS_ENGINE_FORWARD, sizes[s], 1);
            small_select(other, &b->space, which);
            nas_engine_infer(other, b->net->weights, &stats, b->images, IMAGES, got);
            assert_same(want, got, LOGITS);
            nas_engine_infer(other, b->net->weights, &stats, b->images + 7 * IMAGE, 9, got);
            assert_same(want + 7 * SMALL_CLASSES, got, 9 * SMALL_CLASSES);
            nas_engine_destroy(other);
        }
    }
    nas_bn_stats_free(&stats);
    nas_engine_destroy(engine);
}

/* Bilinear with half-pixel centres: the value at a place is the mean of the four around it,
 * weighted by how near they are; places outside take the edge's. */
static void resize_plainly(const float *from, uint32_t h, uint32_t w, float *to, uint32_t side) {
    for (uint32_t i = 0; i < side * side * SMALL_CHANNELS; i++) {
        double y = (i / SMALL_CHANNELS / side + 0.5) * h / side - 0.5, sum = 0;
        double x = (i / SMALL_CHANNELS % side + 0.5) * w / side - 0.5;
        for (int corner = 0; corner < 4; corner++) {
            double cy = floor(y) + corner / 2, cx = floor(x) + corner % 2;
            double weight = (1 - fabs(y - cy)) * (1 - fabs(x - cx));
            size_t iy = (size_t)fmin(fmax(cy, 0), h - 1), ix = (size_t)fmin(fmax(cx, 0), w - 1);
            sum += weight * (double)from[(iy * w + ix) * SMALL_CHANNELS + i % SMALL_CHANNELS];
        }
        to[i] = (float)sum;
    }
}

/* Images of h x w through an engine against images resized here through an engine of that size. */
static void check_resolution(const bench *b, uint32_t h, uint32_t w, uint32_t side) {
    enum { N = 5 };
    nas_error err = {0};
    nas_genome genome = nas_genome_largest(&b->space);
    nas_arch arch = nas_genome_decode(&b->space, &genome);
    arch.resolution = side;
    nas_engine *given, *resized = small_engine(b->net, NAS_ENGINE_FORWARD, N, side, 1);
    if (nas_engine_create(b->net, NAS_ENGINE_FORWARD, N, 1, h, w, 1, &given, &err))
        fail_msg("%s", err.message);
    size_t image = (size_t)h * w * SMALL_CHANNELS, small = (size_t)side * side * SMALL_CHANNELS;
    float *images = small_random(N * image, h), *ours = small_random(N * small, 1);
    float want[N * SMALL_CLASSES], got[N * SMALL_CLASSES];
    for (size_t i = 0; i < N; i++) resize_plainly(images + i * image, h, w, ours + i * small, side);
    nas_input in = {images, N}, plain = {ours, N};
    nas_engine_select(given, &arch);
    nas_engine_select(resized, &arch);
    nas_engine_forward(given, b->net->weights, &in, 1, &(nas_forward){0}, got);
    nas_engine_forward(resized, b->net->weights, &plain, 1, &(nas_forward){0}, want);
    assert_near(want, got, N * SMALL_CLASSES, 1e-5);
    nas_engine_destroy(given), nas_engine_destroy(resized);
    free(images), free(ours);
}

static void images_are_resized(void **state) {
    static const uint32_t sizes[][3] = {{12, 12, 9}, {9, 9, 12}, {10, 31, 12}, {24, 1, 9}};
    for (size_t i = 0; i < 4; i++) check_resolution(*state, sizes[i][0], sizes[i][1], sizes[i][2]);
}

/* Runs every subnet of a list forward and back in one engine; what they need must fit in it. */
static void run_all(const char *text, uint32_t classes) {
    nas_space space = small_parse(text, 1, classes);
    nas_supernet *net = small_net(&space);
    nas_engine *engine = small_engine(net, NAS_ENGINE_TRAIN, 3, 8, 2);
    float *images = small_random(3 * 64, 1), *logits = small_random(3 * classes, 2);
    float *gradient = calloc(net->size, sizeof *gradient);
    assert_non_null(gradient);
    nas_input input = {images, 3};
    for (uint32_t which = 0; which < 12; which++) {
        small_select(engine, &space, which);
        nas_engine_forward(engine, net->weights, &input, 1, &(nas_forward){0}, logits);
        nas_engine_backward(engine, net->weights, logits, gradient);
        for (size_t i = 0; i < 3 * classes; i++) assert_true(isfinite(logits[i]));
    }
    for (size_t i = 0; i < net->size; i++) assert_true(isfinite(gradient[i]));
    nas_engine_destroy(engine);
    nas_supernet_destroy(net);
    free(images), free(logits), free(gradient);
}

#define STAGE(width, depth)                                                                        \
    "{\"width\": [" width "], \"stride\": 1, \"depth\": [" depth "], \"kernel\": [1],"             \
    " \"expand\": [1], \"squeeze_excite\": true, \"activation\": \"relu\"}"
#define ODD_SPACE(stages, hidden)                                                                  \
    "{\"name\": \"odd\", \"resolution\": [8],"                                                     \
    " \"stem\": {\"kernel\": 1, \"stride\": 2, \"width\": 1, \"activation\": \"none\"},"           \
    " \"stages\": [" stages "],"                                                                   \
    " \"head\": {\"width\": 1, \"activation\": \"relu\", \"hidden\": [" hidden "],"                \
    "            \"hidden_activation\": \"relu\"}}"

/* Wide and narrow stages in turn: which of the two buffers a wide one falls into depends on the
 * depths before it. */
static void any_depths_fit(void **state) {
    (void)state;
    run_all(ODD_SPACE(STAGE("64", "1") "," STAGE("1", "2, 3") "," STAGE("64", "1"), ""), 2);
    run_all(ODD_SPACE(STAGE("1", "1, 2") "," STAGE("64", "1") "," STAGE("1", "2, 3"), ""), 2);
}

/* A head wider than every convolution; squeeze-excite's 8 where the block has one channel. */
static void any_head_fits(void **state) {
    (void)state;
    run_all(ODD_SPACE(STAGE("1", "1"), "300, 200"), 1000);
    run_all(ODD_SPACE(STAGE("3", "1, 2"), ""), 700);
}

static void borrowed_memory_gives_the_same_logits(void **state) {
    (void)state;
    enum { N = 12, AREA = SMALL_SIDE * SMALL_SIDE * SMALL_CHANNELS };
    static nas_real images[N * AREA], own[N * SMALL_CLASSES], borrowed[N * SMALL_CLASSES];
    nas_space space = small_space("9");
    nas_supernet *net;
    nas_engine *lender, *alone, *within, *greedy;
    nas_error err;
    assert_int_equal(nas_supernet_create(&space, 1, false, &net, &err), 0);
    assert_int_equal(
        nas_engine_create(net, NAS_ENGINE_TRAIN, N, 1, SMALL_SIDE, SMALL_SIDE, 1, &lender, &err),
        0);
    assert_int_equal(
        nas_engine_create(net, NAS_ENGINE_FORWARD, N, 1, SMALL_SIDE, SMALL_SIDE, 1, &alone, &err),
        0);
    assert_int_equal(nas_engine_create_within(lender, N, &within, &err), 0);
    assert_int_equal(nas_engine_create_within(lender, 40 * N, &greedy, &err), 0);
    small_fill(images, N * AREA, 1);
    nas_input input = {images, N};
    nas_engine_forward(lender, net->weights, &input, 1, &(nas_forward){0}, borrowed);
    nas_engine_forward(alone, net->weights, &input, 1, &(nas_forward){0}, own);
    nas_engine_forward(within, net->weights, &input, 1, &(nas_forward){0}, borrowed);
    assert_memory_equal(own, borrowed, sizeof own);
    nas_engine_forward(greedy, net->weights, &input, 1, &(nas_forward){0}, borrowed);
    assert_memory_equal(own, borrowed, sizeof own);
    assert_true(nas_engine_bytes(within) < nas_engine_bytes(alone));
    assert_true(nas_engine_bytes(greedy) > nas_engine_bytes(alone)); /* it needs its own */
    nas_engine_destroy(greedy);
    nas_engine_destroy(within);
    nas_engine_destroy(alone);
    nas_engine_destroy(lender);
    nas_supernet_destroy(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(borrowed_memory_gives_the_same_logits),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(segments_change_no_bit),
        cmocka_unit_test(subnets_leave_nothing_behind),
        cmocka_unit_test(modes_give_the_same_logits),
        cmocka_unit_test(dropout_is_named),
        cmocka_unit_test(calibration_is_of_the_batch),
        cmocka_unit_test(calibration_weighs_by_images),
        cmocka_unit_test(inference_is_image_by_image),
        cmocka_unit_test(images_are_resized),
        cmocka_unit_test(any_depths_fit),
        cmocka_unit_test(any_head_fits),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
