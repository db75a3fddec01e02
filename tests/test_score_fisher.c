/* The score plugin `fisher`. */
#include "../plugins/score/fisher.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "score_harness.h"

/* Two images; a convolution of two channels on two pixels, and a linear layer. */
static void test_formula(void **state) {
    (void)state;
    const nas_layer conv = {.op = NAS_OP_CONV, .weights = 2, .out = {1, 2, 2}};
    const nas_layer add_layer = {.op = NAS_OP_ADD, .out = {1, 2, 2}};
    const nas_layer linear = {.op = NAS_OP_LINEAR, .weights = 1, .out = {1, 1, 1}};
    const double w[] = {1, 1};
    const double a[] = {1, 2, 3, 4, /**/ 5, 6, 7, 8}, g[] = {1, 0, -2, 1, /**/ 0, 1, 1, -1};
    const double b[] = {3, -2}, h[] = {1, 2};
    player p = {
        .n_plays = 1,
        .plays = {
            {.n = 3,
             .layers = {{.layer = &conv, .images = 2, .weight = w, .sum = a, .sum_grad = g},
                        {.layer = &add_layer, .images = 2, .sum = a, .sum_grad = g},
                        {.layer = &linear, .images = 2, .weight = w, .sum = b, .sum_grad = h}}}}};
    /* Image 0: channels 1 - 6 and 0 + 4; image 1: 0 + 7 and 6 - 8; linear: 3 and -4. */
    double expected = 0.5 * ((25 + 49) / 2.0 + (16 + 4) / 2.0 + (9 + 16) / 2.0);
    nas_proxy_labelled c = {.images = 2};
    player_near(&p, &c, expected);
    assert_int_equal(p.seen[0].images, NAS_PROBE_LABELLED);
    assert_int_equal(p.seen[0].objective, NAS_PROBE_CROSS_ENTROPY);
    assert_int_equal(p.seen[0].weights, NAS_PROBE_INITIAL);
    c.batch = 1;
    player_near(&p, &c, expected);
    assert_int_equal(p.seen[0].images, NAS_PROBE_BALANCED);
    player_refusals(&p, &c);
}

static void test_real(void **state) {
    (void)state;
    real_subnet r;
    nas_proxy_labelled c = {.images = 12, .weights = NAS_PROBE_INHERITED};
    real_open(&r);
    assert_true(player_value(&r.player, &c) > 0);
    real_kill(&r);
    assert_true(player_value(&r.player, &c) == 0);
    real_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_formula), cmocka_unit_test(test_real)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
