/* What an engine says of its own work, against the layers' multiply-accumulates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "small_net.h"

#include "space/lower.h"
#include "supernet/engine.h"

enum { IMAGES = 18, AREA = SMALL_SIDE * SMALL_SIDE * SMALL_CHANNELS };

static void sum(const nas_work *work, nas_work *all) {
    *all = (nas_work){0};
    for (int i = 0; i < NAS_PARTS; i++) {
        all->seconds += work[i].seconds;
        all->flops += work[i].flops;
        all->bytes += work[i].bytes;
    }
}

static void arithmetic_is_that_of_the_layers(void **state) {
    (void)state;
    static nas_real images[IMAGES * AREA], logits[IMAGES * SMALL_CLASSES];
    nas_space space = small_space("9");
    nas_supernet *net;
    nas_engine *engine;
    nas_lowered *lowered;
    nas_profile profile = {0};
    nas_work forward, backward;
    nas_error err;
    assert_int_equal(nas_supernet_create(&space, 1, false, &net, &err), 0);
    assert_int_equal(nas_engine_create(net, NAS_ENGINE_TRAIN, IMAGES, 1, SMALL_SIDE, SMALL_SIDE, 1,
                                       &engine, &err),
                     0);
    nas_genome largest = nas_genome_largest(&space);
    assert_int_equal(nas_lower(&space, &largest, &lowered, &err), 0);
    nas_real *gradient = calloc(net->size, sizeof *gradient);
    assert_non_null(gradient);
    small_fill(images, IMAGES * AREA, 1);
    nas_input input = {images, IMAGES};
    nas_engine_profile(engine, &profile);
    nas_engine_forward(engine, net->weights, &input, 1, &(nas_forward){0}, logits);
    nas_engine_backward(engine, net->weights, logits, gradient);

    sum(profile.forward, &forward);
    sum(profile.backward, &backward);
    double wanted = 2.0 * IMAGES * (double)lowered->network.macs;
    assert_true(forward.flops == wanted);
    /* Twice as much, but for the images, which need no gradient. */
    assert_true(backward.flops == 2 * wanted - profile.forward[NAS_PART_STEM].flops);
    assert_true(forward.seconds > 0 && backward.seconds > 0);
    assert_true(backward.bytes > forward.bytes && forward.bytes > sizeof images);
    for (int i = 0; i < NAS_PARTS; i++) /* an expansion's products are the depthwise sweep's */
        assert_true((profile.forward[i].flops > 0) == (i != NAS_PART_EXPAND));

    nas_engine_profile(engine, NULL);
    nas_engine_forward(engine, net->weights, &input, 1, &(nas_forward){0}, logits);
    nas_work after;
    sum(profile.forward, &after);
    assert_true(after.flops == forward.flops);
    free(gradient);
    nas_lowered_free(lowered);
    nas_engine_destroy(engine);
    nas_supernet_destroy(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(arithmetic_is_that_of_the_layers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
