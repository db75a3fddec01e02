/* The score plugin `snip`. */
#include "../plugins/score/snip.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "score_harness.h"

static void test_formula(void **state) {
    (void)state;
    const nas_layer conv = {.op = NAS_OP_CONV, .weights = 2}, pool = {.op = NAS_OP_POOL};
    const nas_layer linear = {.op = NAS_OP_LINEAR, .weights = 3};
    const double w[] = {2, -0.5, 10}, g[] = {3, -4}, h[] = {2, -3, 6};
    player p = {.n_plays = 1,
                .plays = {{.n = 3,
                           .layers = {{.layer = &conv, .weight = w, .weight_grad = g},
                                      {.layer = &pool},
                                      {.layer = &linear, .weight = w, .weight_grad = h}}}}};
    nas_proxy_labelled c = {.images = 7, .weights = NAS_PROBE_INHERITED};
    player_near(&p, &c, 6 + 2 + 4 + 1.5 + 60);
    assert_int_equal(p.n_probes, 1);
    assert_int_equal(p.seen[0].count, 7);
    assert_int_equal(p.seen[0].images, NAS_PROBE_LABELLED);
    assert_int_equal(p.seen[0].weights, NAS_PROBE_INHERITED);
    assert_int_equal(p.seen[0].objective, NAS_PROBE_CROSS_ENTROPY);
    assert_int_equal(p.seen[0].norm, NAS_PROBE_BATCH_NORM);
    c.batch = 1;
    player_near(&p, &c, 73.5);
    assert_int_equal(p.seen[0].images, NAS_PROBE_BALANCED);
    player_refusals(&p, &c);
}

static void test_real(void **state) {
    (void)state;
    real_subnet r;
    nas_proxy_labelled c = {.images = 12, .weights = NAS_PROBE_INHERITED};
    real_open(&r);
    assert_true(player_value(&r.player, &c) > 0.1);
    real_kill(&r);
    assert_true(player_value(&r.player, &c) == 0);
    real_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_formula), cmocka_unit_test(test_real)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
