/* The runner of folded networks against plain programs: in single precision tests/interpreter.h, in
 * 8 bits the one below, which does whole numbers layer by layer as nashost/kit/int8.h tells. */
#include "supernet/runner.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "interpreter.h"
#include "small_net.h"

#include <nashost/kit/int8.h>

enum { IMAGES = 20 };

static const float mean[3] = {0.4f, 0.5f, 0.3f}, std[3] = {0.3f, 0.25f, 0.5f};

/* Subnet `which` with weights of its own drawing. */
typedef struct folded {
    nas_lowered *lowered;
    nas_network *net;
    float *memory;
    nas_range *ranges; /* [2 * n_layers]: widest of all images */
    uint8_t *pixels;   /* IMAGES of them */
    size_t area;
} folded;

static void draw_weights(folded *f) {
    size_t total = 0, at = 0;
    for (uint32_t i = 0; i < f->net->n_layers; i++)
        total += f->lowered->layers[i].weights + f->lowered->layers[i].biases;
    f->memory = malloc(total * sizeof *f->memory);
    assert_non_null(f->memory);
    for (uint32_t i = 0; i < f->net->n_layers; i++) {
        nas_layer *layer = &f->lowered->layers[i];
        if (!layer->weights) continue;
        nas_rng rng = nas_rng_open(5, NAS_RNG_TEST, 2, i);
        double deviation = sqrt(2.0 * layer->out.c / (double)layer->weights);
        layer->weight = f->memory + at;
        for (uint64_t k = 0; k < layer->weights; k++)
            f->memory[at++] = (float)(deviation * nas_rng_normal(&rng));
        layer->bias = f->memory + at;
        for (uint64_t k = 0; k < layer->biases; k++)
            f->memory[at++] = (float)(0.2 * nas_rng_normal(&rng));
    }
}

static void open_folded(const nas_space *space, uint32_t which, folded *f) {
    nas_error err = {0};
    nas_genome genome = small_genome(space, which);
    if (nas_lower(space, &genome, &f->lowered, &err)) fail_msg("%s", err.message);
    f->net = &f->lowered->network;
    f->net->mean = mean;
    f->net->std = std;
    draw_weights(f);
    f->area = interpret_elements(f->net->image);
    f->pixels = malloc(IMAGES * f->area);
    f->ranges = malloc(2 * f->net->n_layers * sizeof *f->ranges);
    assert_true(f->pixels && f->ranges);
    nas_rng rng = nas_rng_open(5, NAS_RNG_TEST, 3, which);
    for (size_t i = 0; i < IMAGES * f->area; i++) f->pixels[i] = (uint8_t)nas_rng_below(&rng, 256);
}

static void close_folded(folded *f) {
    free(f->ranges);
    free(f->pixels);
    free(f->memory);
    nas_lowered_free(f->lowered);
}

static nas_pool *pool_of(int threads) {
    nas_pool *pool;
    nas_error err = {0};
    if (nas_pool_create(threads, &pool, &err)) fail_msg("%s", err.message);
    return pool;
}

static void widest(const folded *f, nas_runner *runner) {
    size_t n = 2 * (size_t)f->net->n_layers;
    nas_range *each = malloc(IMAGES * n * sizeof *each);
    assert_non_null(each);
    nas_runner_measure(runner, f->pixels, IMAGES, each);
    for (size_t i = 0; i < IMAGES * n; i++) {
        nas_range *all = &f->ranges[i % n];
        if (i < n) *all = each[i];
        all->min = fminf(all->min, each[i].min);
        all->max = fmaxf(all->max, each[i].max);
    }
    free(each);
}

/* Logits of all images; fills the ranges when asked to. */
static float *run(folded *f, bool int8, bool measure, int threads) {
    nas_pool *pool = pool_of(threads);
    nas_runner *runner;
    nas_error err = {0};
    float *logits = malloc(IMAGES * f->net->classes * sizeof *logits);
    assert_non_null(logits);
    if (nas_runner_create(f->net, int8, pool, threads, &runner, &err)) fail_msg("%s", err.message);
    nas_runner_logits(runner, f->pixels, IMAGES, logits);
    if (measure) widest(f, runner);
    nas_runner_destroy(runner);
    nas_pool_destroy(pool);
    return logits;
}

static void normalise(const folded *f, uint32_t image, float *to) {
    for (size_t i = 0; i < f->area; i++) {
        size_t c = i % f->net->image.c;
        to[i] = ((float)f->pixels[image * f->area + i] / 255 - mean[c]) / std[c];
    }
}

static void compare_float(const nas_space *space, uint32_t which) {
    folded f;
    open_folded(space, which, &f);
    float *ours = run(&f, false, false, 2), theirs[16], image[SMALL_SIDE * SMALL_SIDE * 3];
    for (uint32_t i = 0; i < IMAGES; i++) {
        normalise(&f, i, image);
        interpret(f.net, image, theirs);
        for (uint32_t c = 0; c < f.net->classes; c++) {
            float found = ours[i * f.net->classes + c];
            if (!(fabsf(theirs[c] - found) < 1e-4f * (1 + fabsf(theirs[c]))))
                fail_msg("subnet %u, image %u, class %u: expected %.7g, found %.7g", which, i, c,
                         (double)theirs[c], (double)found);
        }
    }
    free(ours);
    close_folded(&f);
}

static void test_float(void **state) {
    (void)state;
    nas_space space = small_space("9");
    for (uint32_t which = 0; which < 12; which++) compare_float(&space, which);
    space = small_mobile();
    for (uint32_t which = 0; which < 12; which++) compare_float(&space, which);
}

/* ---- 8 bits, the plain way ---- */

static int64_t plain_sum(const nas_layer *l, const nas_int8_layer *q, const int8_t *in, size_t o) {
    int64_t sum = q->bias[o % l->out.c];
    size_t y = o / l->out.c / l->out.w, x = o / l->out.c % l->out.w;
    for (uint32_t t = 0; t < l->kernel * l->kernel; t++) {
        int iy = (int)(y * l->stride + t / l->kernel) - (int)l->pad_before;
        int ix = (int)(x * l->stride + t % l->kernel) - (int)l->pad_before;
        if (iy < 0 || ix < 0 || iy >= (int)l->in.h || ix >= (int)l->in.w) continue;
        const int8_t *pixel = in + ((size_t)iy * l->in.w + (size_t)ix) * l->in.c;
        size_t c = o % l->out.c;
        if (l->op == NAS_OP_DEPTHWISE)
            sum += (pixel[c] - q->in[0].zero) * q->weight[t * l->out.c + c];
        else
            for (uint32_t i = 0; i < l->in.c; i++)
                sum += (pixel[i] - q->in[0].zero) * q->weight[(t * l->in.c + i) * l->out.c + c];
    }
    return sum;
}

/* The product of element o of a layer's result. */
static int64_t plain_product(const nas_layer *l, const nas_int8_layer *q, const int8_t *a,
                             const int8_t *b, size_t o) {
    size_t c = o % l->out.c;
    if (l->weights) return plain_sum(l, q, a, o) * q->factor[c];
    if (l->op == NAS_OP_ADD)
        return (int64_t)q->factor[0] * (a[o] - q->in[0].zero) +
               (int64_t)q->factor[1] * (b[o] - q->in[1].zero);
    if (l->op == NAS_OP_SCALE)
        return (int64_t)q->factor[0] * ((a[o] - q->in[0].zero) * (b[c] - q->in[1].zero));
    int64_t sum = 0;
    for (size_t p = 0; p < (size_t)l->in.h * l->in.w; p++)
        sum += a[p * l->in.c + c] - q->in[0].zero;
    return sum * q->factor[0];
}

static void plain_layer(const nas_layer *l, const nas_int8_layer *q, const int8_t *a,
                        const int8_t *b, int8_t *out) {
    for (size_t o = 0; o < interpret_elements(l->out); o++) {
        int8_t narrow = nas_int8_narrow(plain_product(l, q, a, b, o), q->shift, q->sum.zero);
        out[o] = q->has_table ? q->table[narrow + 128] : narrow;
    }
}

static void plain_int8(const folded *f, uint32_t image, float *logits) {
    int8_t *results[NAS_MAX_LAYERS + 1];
    const nas_network *net = f->net;
    results[0] = malloc(f->area);
    assert_non_null(results[0]);
    for (size_t i = 0; i < f->area; i++)
        results[0][i] =
            nas_int8_pixel(net, (uint32_t)i % net->image.c, f->pixels[image * f->area + i]);
    for (uint32_t i = 0; i < net->n_layers; i++) {
        const nas_layer *l = nas_network_layer(net, i);
        nas_int8_layer q;
        assert_int_equal(nas_int8_make(net, i, &q, NULL), NAS_OK);
        results[i + 1] = malloc(interpret_elements(l->out));
        assert_non_null(results[i + 1]);
        const int8_t *a = results[l->input[0] + 1];
        const int8_t *b = l->input[1] == NAS_INPUT_NONE ? NULL : results[l->input[1] + 1];
        if (i + 1 < net->n_layers)
            plain_layer(l, &q, a, b, results[i + 1]);
        else
            for (uint32_t o = 0; o < net->classes; o++)
                logits[o] = (float)plain_sum(l, &q, a, o) * (q.in[0].scale * q.scale[o]);
        nas_int8_free(&q);
    }
    for (uint32_t i = 0; i <= net->n_layers; i++) free(results[i]);
}

static void compare_int8(const nas_space *space, uint32_t which) {
    folded f;
    open_folded(space, which, &f);
    float *real = run(&f, false, true, 2), theirs[16];
    f.net->sums = f.ranges;
    f.net->results = f.ranges + f.net->n_layers;
    float *ours = run(&f, true, false, 2), *alone = run(&f, true, false, 1);
    uint32_t n = f.net->classes;
    double error = 0, size = 0;
    assert_memory_equal(ours, alone, IMAGES * n * sizeof *ours);
    for (uint32_t i = 0; i < IMAGES; i++) {
        plain_int8(&f, i, theirs);
        assert_memory_equal(ours + i * n, theirs, n * sizeof *theirs);
    }
    for (uint32_t i = 0; i < IMAGES * n; i++) {
        error += pow((double)(ours[i] - real[i]), 2);
        size += pow((double)real[i], 2);
    }
    /* Noise of 8 bits: a few hundredths of the logits. */
    if (!(sqrt(error / size) < 0.1) || !(error > 0))
        fail_msg("subnet %u: 8 bits differ by %g of the logits", which, sqrt(error / size));
    free(alone);
    free(ours);
    free(real);
    close_folded(&f);
}

static void test_int8(void **state) {
    (void)state;
    nas_space space = small_space("9");
    for (uint32_t which = 0; which < 12; which++) compare_int8(&space, which);
}

/* Filters of more than 512 weights are added up in parts. */
static void test_long_filters(void **state) {
    (void)state;
    nas_space space = small_space("700, 600");
    compare_int8(&space, 1);
}

/* The ranges are those of the plain program's values. */
static void test_ranges(void **state) {
    (void)state;
    nas_space space = small_space("9");
    folded f;
    open_folded(&space, 0, &f);
    free(run(&f, false, true, 2));
    uint32_t n = f.net->n_layers;
    float low = 0, high = 0, image[SMALL_SIDE * SMALL_SIDE * 3], logits[16];
    for (uint32_t i = 0; i < IMAGES; i++) {
        normalise(&f, i, image);
        interpret(f.net, image, logits);
        for (uint32_t c = 0; c < f.net->classes; c++) {
            low = i + c == 0 || logits[c] < low ? logits[c] : low;
            high = i + c == 0 || logits[c] > high ? logits[c] : high;
        }
    }
    assert_true(fabsf(f.ranges[2 * n - 1].min - low) < 1e-4f);
    assert_true(fabsf(f.ranges[2 * n - 1].max - high) < 1e-4f);
    for (uint32_t i = 0; i < n; i++) {
        const nas_layer *l = &f.lowered->layers[i];
        const nas_range sum = f.ranges[i], result = f.ranges[n + i];
        assert_true(sum.min <= sum.max && result.min <= result.max);
        if (l->activation == NAS_ACT_NONE) assert_memory_equal(&sum, &result, sizeof sum);
        if (l->activation == NAS_ACT_RELU) assert_true(result.max == fmaxf(sum.max, 0));
        if (l->activation == NAS_ACT_HSIGMOID) assert_true(result.min >= 0 && result.max <= 1);
    }
    close_folded(&f);
}

static void test_refusals(void **state) {
    (void)state;
    nas_space space = small_space("9");
    folded f;
    nas_runner *runner;
    nas_error err = {0};
    nas_pool *pool = pool_of(1);
    open_folded(&space, 1, &f);
    assert_int_equal(nas_runner_create(f.net, true, pool, 1, &runner, &err), NAS_ERR_PLUGIN);
    assert_null(runner);
    assert_non_null(strstr(err.message, "expected ranges of activations"));
    nas_runner_destroy(NULL);
    nas_pool_destroy(pool);
    close_folded(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_float),        cmocka_unit_test(test_int8),
        cmocka_unit_test(test_long_filters), cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
