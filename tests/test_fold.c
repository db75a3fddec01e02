/* Folded layers, run by a plain interpreter, against the engine. */
#include "supernet/fold.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "interpreter.h"
#include "small_net.h"

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
    nas_space mobile = small_mobile();
    nas_supernet *net = small_net(&mobile);
    for (uint32_t which = 0; which < 12; which++) compare(net, which);
    nas_supernet_destroy(net);
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
