/* The score plugin `zico`. */
#include "../plugins/score/zico.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "score_harness.h"

static const nas_layer layers[] = {
    {.op = NAS_OP_CONV, .weights = 3}, {.op = NAS_OP_POOL}, {.op = NAS_OP_LINEAR, .weights = 2}};
static const nas_network network = {
    .size = sizeof network, .layer_size = sizeof(nas_layer), .n_layers = 3, .layers = layers};

static play make_play(const double *conv, const double *linear) {
    return (play){.n = 3,
                  .layers = {{.layer = &layers[0], .weight_grad = conv},
                             {.layer = &layers[1]},
                             {.layer = &layers[2], .weight_grad = linear}}};
}

static void test_formula(void **state) {
    (void)state;
    /* Weight 1 of the convolution is skipped: std 0. */
    const double a[] = {1, 5, -2}, b[] = {3, 5, 2}, h[] = {0.5, -1}, i[] = {-0.5, -3};
    player p = {.n_plays = 2, .network = &network, .plays = {make_play(a, h), make_play(b, i)}};
    config c = {.images = 64, .batches = 2, .weights = NAS_PROBE_INHERITED};
    /* mean abs / std: 2 / 1, -, 2 / 2; 0.5 / 0.5, 2 / 1. */
    player_near(&p, &c, log(2 + 1.0) + log(1 + 2.0));
    assert_int_equal(p.n_probes, 2);
    for (uint32_t n = 0; n < 2; n++) {
        assert_int_equal(p.seen[n].images, NAS_PROBE_LABELLED);
        assert_int_equal(p.seen[n].objective, NAS_PROBE_CROSS_ENTROPY);
        assert_int_equal(p.seen[n].batch, n);
        assert_int_equal(p.seen[n].draw, 0);
        assert_int_equal(p.seen[n].count, 20); /* of 40 labelled images */
        assert_int_equal(p.seen[n].weights, NAS_PROBE_INHERITED);
    }
    c.images = 7;
    player_value(&p, &c);
    assert_int_equal(p.seen[0].count, 7);
    player_refusals(&p, &c);
}

/* Three batches, of which the last is played again and again. */
static void test_more(void **state) {
    (void)state;
    const double a[] = {1, 0, 0}, b[] = {2, 0, 0}, d[] = {6, 0, 0}, h[] = {0, 0};
    player p = {.n_plays = 3,
                .network = &network,
                .plays = {make_play(a, h), make_play(b, h), make_play(d, h)}};
    config c = {.images = 64, .batches = 3};
    /* The linear layer has no gradient and adds nothing. */
    player_near(&p, &c, log(3 / sqrt((4 + 1 + 9) / 3.0)));
}

/* The same batch again and again has no spread at all. */
static void test_same(void **state) {
    (void)state;
    real_subnet r;
    config c = {.images = 12, .batches = 3, .weights = NAS_PROBE_INHERITED};
    real_open(&r);
    assert_true(player_value(&r.player, &c) == 0);
    real_kill(&r);
    assert_true(player_value(&r.player, &c) == 0);
    real_close(&r);
}

static void test_few(void **state) {
    (void)state;
    player p = {.n_plays = 1, .network = &network};
    config c = {.images = 1, .batches = 41};
    nas_error err = {0};
    double value;
    assert_int_equal(player_score(&p, &c, &value, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "expected at least 41 labelled images"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_formula), cmocka_unit_test(test_more),
                                       cmocka_unit_test(test_same), cmocka_unit_test(test_few)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
