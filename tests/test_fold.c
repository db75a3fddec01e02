/* Folded layers, run by a plain interpreter, against the engine. */
#include "supernet/fold.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "small_net.h"

static float activate(float x, uint32_t activation) {
    float gate = fminf(fmaxf(x + 3, 0), 6) / 6;
    if (activation == NAS_ACT_RELU) return fmaxf(x, 0);
    if (activation == NAS_ACT_HSWISH) return x * gate;
    return activation == NAS_ACT_HSIGMOID ? gate : x;
}

/* One output pixel of a convolution, dense or depthwise. */
static void convolve_pixel(const nas_layer *l, const float *in, uint32_t y, uint32_t x,
                           float *out) {
    int pad = (int)l->kernel / 2;
    for (uint32_t tap = 0; tap < l->kernel * l->kernel; tap++) {
        int iy = (int)(y * l->stride + tap / l->kernel) - pad;
        int ix = (int)(x * l->stride + tap % l->kernel) - pad;
        if (iy < 0 || ix < 0 || iy >= (int)l->in.h || ix >= (int)l->in.w) continue;
        const float *pixel = in + ((size_t)iy * l->in.w + (size_t)ix) * l->in.c;
        for (uint32_t o = 0; o < l->out.c; o++) {
            if (l->op == NAS_OP_DEPTHWISE)
                out[o] += pixel[o] * l->weight[tap * l->out.c + o];
            else
                for (uint32_t i = 0; i < l->in.c; i++)
                    out[o] += pixel[i] * l->weight[(tap * l->in.c + i) * l->out.c + o];
        }
    }
}

static size_t elements(nas_shape shape) {
    return (size_t)shape.h * shape.w * shape.c;
}

/* op(input) + bias, before the activation. */
static void run_layer(const nas_layer *l, const float *a, const float *b, float *out) {
    size_t pixels = (size_t)l->in.h * l->in.w;
    for (size_t i = 0; i < elements(l->out); i++) out[i] = l->bias ? l->bias[i % l->out.c] : 0;
    if (l->op == NAS_OP_CONV || l->op == NAS_OP_DEPTHWISE)
        for (uint32_t i = 0; i < l->out.h * l->out.w; i++)
            convolve_pixel(l, a, i / l->out.w, i % l->out.w, out + i * l->out.c);
    for (size_t i = 0; l->op == NAS_OP_LINEAR && i < l->weights; i++)
        out[i % l->out.c] += a[i / l->out.c] * l->weight[i];
    for (size_t i = 0; l->op == NAS_OP_POOL && i < elements(l->in); i++)
        out[i % l->in.c] += a[i] / (float)pixels;
    for (size_t i = 0; l->op == NAS_OP_SCALE && i < elements(l->out); i++)
        out[i] = a[i] * b[i % l->out.c];
    for (size_t i = 0; l->op == NAS_OP_ADD && i < elements(l->out); i++) out[i] = a[i] + b[i];
}

static void interpret(const nas_network *net, const float *image, float *logits) {
    float *results[NAS_MAX_LAYERS];
    for (uint32_t i = 0; i < net->n_layers; i++) {
        const nas_layer *l = nas_network_layer(net, i);
        const float *read[2] = {NULL, NULL};
        for (int j = 0; j < 2; j++)
            if (l->input[j] != NAS_INPUT_NONE)
                read[j] = l->input[j] == NAS_INPUT_IMAGE ? image : results[l->input[j]];
        results[i] = malloc(elements(l->out) * sizeof(float));
        assert_non_null(results[i]);
        run_layer(l, read[0], read[1], results[i]);
        for (size_t j = 0; j < elements(l->out); j++)
            results[i][j] = activate(results[i][j], l->activation);
    }
    memcpy(logits, results[net->n_layers - 1], net->classes * sizeof(float));
    for (uint32_t i = 0; i < net->n_layers; i++) free(results[i]);
}

static nas_lowered *lower(const nas_space *space, uint32_t which) {
    nas_error err = {0};
    nas_lowered *lowered;
    nas_genome genome = small_genome(space, which);
    if (nas_lower(space, &genome, &lowered, &err)) fail_msg("%s", err.message);
    return lowered;
}

static nas_bn_stats make_stats(const nas_engine *engine) {
    nas_error err = {0};
    nas_bn_stats stats;
    if (nas_bn_stats_create(engine, &stats, &err)) fail_msg("%s", err.message);
    return stats;
}

/* Subnet `which`, calibrated on 24 images at its own resolution: the logits of 3 images by both. */
static void compare(const nas_supernet *net, uint32_t which) {
    enum { IMAGES = 24, JUDGED = 3 };
    const nas_space *space = &net->space;
    nas_lowered *lowered = lower(space, which);
    uint32_t side = lowered->network.image.h;
    size_t image = (size_t)side * side * space->channels;
    nas_real *images = small_random(IMAGES * image, which);
    nas_engine *engine = small_engine(net, NAS_ENGINE_FORWARD, IMAGES, side, 1);
    nas_bn_stats stats = make_stats(engine);
    small_select(engine, space, which);
    nas_engine_calibrate(engine, net->weights, images, IMAGES, &stats);
    float ours[JUDGED * 16], theirs[16], *memory;
    nas_engine_infer(engine, net->weights, &stats, images, JUDGED, ours);
    nas_error err = {0};
    if (nas_fold(net, net->weights, &stats, lowered, &memory, &err)) fail_msg("%s", err.message);
    for (uint32_t i = 0; i < JUDGED; i++) {
        interpret(&lowered->network, images + i * image, theirs);
        for (uint32_t c = 0; c < space->classes; c++) {
            float want = theirs[c], got = ours[i * space->classes + c];
            if (!(fabsf(want - got) < 1e-4f))
                fail_msg("subnet %u, image %u, class %u: expected %.7g, found %.7g", which, i, c,
                         (double)want, (double)got);
        }
    }
    free(memory);
    free(images);
    nas_bn_stats_free(&stats);
    nas_engine_destroy(engine);
    nas_lowered_free(lowered);
}

static void small_subnets_fold(void **state) {
    (void)state;
    static const char *const hidden[] = {"", "9", "9, 17"};
    for (size_t h = 0; h < 3; h++) {
        nas_space space = small_space(hidden[h]);
        nas_supernet *net = small_net(&space);
        for (uint32_t which = 0; which < 12; which++) compare(net, which);
        nas_supernet_destroy(net);
    }
}

static void quickstart_subnets_fold(void **state) {
    (void)state;
    nas_space space = small_quickstart();
    nas_supernet *net = small_net(&space);
    for (uint32_t which = 0; which < 5; which++) compare(net, which);
    nas_supernet_destroy(net);
}

/* Folds a subnet of `of` with statistics for n channels into net's tensors, which must fail. */
static void refuse(const nas_supernet *net, const nas_space *of, size_t n, const char *message) {
    nas_lowered *lowered = lower(of, 0);
    nas_real *ones = malloc(4096 * sizeof *ones);
    assert_non_null(ones);
    for (size_t i = 0; i < 4096; i++) ones[i] = 1;
    nas_bn_stats stats = {n, ones, ones};
    nas_error err = {0};
    float *memory = ones;
    assert_int_equal(nas_fold(net, net->weights, &stats, lowered, &memory, &err), NAS_ERR_INPUT);
    assert_null(memory);
    for (uint32_t i = 0; i < lowered->network.n_layers; i++) {
        assert_null(lowered->layers[i].weight);
        assert_null(lowered->layers[i].bias);
    }
    if (!strstr(err.message, message)) fail_msg("expected \"%s\", found: %s", message, err.message);
    free(ones);
    nas_lowered_free(lowered);
}

static void strangers_are_refused(void **state) {
    (void)state;
    nas_space space = small_space("9"), deeper = small_space("9, 17"), other = small_quickstart();
    nas_supernet *net = small_net(&space);
    nas_engine *engine = small_engine(net, NAS_ENGINE_FORWARD, 1, SMALL_SIDE, 1);
    size_t channels = nas_engine_channels(engine);
    nas_engine_destroy(engine);
    char found[64];
    snprintf(found, sizeof found, "found %zu; calibrate this subnet", channels + 1);
    refuse(net, &space, channels + 1, found);
    refuse(net, &space, channels - 1, "layer \"head\": expected batch norm statistics");
    refuse(net, &space, 0, "layer \"stem\": expected batch norm statistics of at least 7 channels");
    refuse(net, &deeper, channels, "no tensor \"hidden1.weight\"");
    refuse(net, &other, 4096, "layer \"stem\": expected a kernel of at most 3x3");
    nas_supernet_destroy(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_subnets_fold),
        cmocka_unit_test(quickstart_subnets_fold),
        cmocka_unit_test(strangers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
