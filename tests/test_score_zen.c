/* The score plugin `zen`. */
#include "../plugins/score/zen.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "score_harness.h"

static const nas_layer layers[] = {
    {.op = NAS_OP_CONV, .input = {-1, -2}, .out = {1, 1, 2}},
    {.op = NAS_OP_POOL, .input = {0, -2}, .out = {1, 1, 2}}, /* of squeeze-excite */
    {.op = NAS_OP_CONV, .input = {0, -2}, .out = {1, 2, 1}}, /* the features */
    {.op = NAS_OP_POOL, .input = {2, -2}, .out = {1, 1, 1}},
    {.op = NAS_OP_LINEAR, .input = {3, -2}, .out = {1, 1, 1}},
};
static const nas_network network = {
    .size = sizeof network, .layer_size = sizeof(nas_layer), .n_layers = 5, .layers = layers};

static play make_play(const double *values, const double *var0, const double *var2) {
    static const double other[] = {9, 9, 9, 9};
    play made = {.n = 5};
    for (uint32_t i = 0; i < 5; i++)
        made.layers[i] = (nas_probe_layer){
            .index = i, .layer = &layers[i], .images = 2, .output = i == 2 ? values : other};
    made.layers[0].variance = var0;
    made.layers[2].variance = var2;
    return made;
}

/* Two draws, each with and without noise; two images with features of two values. */
static void test_formula(void **state) {
    (void)state;
    const double a[] = {1, 2, /**/ 3, 4}, b[] = {1.5, 2, /**/ 2, 8};
    const double c[] = {0, 0, /**/ 0, 0}, d[] = {1, -1, /**/ 0, 4};
    const double v[] = {4, 12}, w[] = {0.25}, big[] = {100, 100};
    player p = {.n_plays = 4,
                .network = &network,
                .plays = {make_play(a, v, w), make_play(b, big, big), make_play(c, w, w),
                          make_play(d, big, big)}};
    p.plays[2].layers[0].variance = v;
    config how = {
        .images = 2, .repeats = 2, .strength = 0.125, .weights = NAS_PROBE_NORMAL_WEIGHTS};
    double norms = log(sqrt(8.0)) + log(sqrt(0.25));
    double first = log((0.5 + 0 + 1 + 4) / 2) + norms, second = log((1 + 1 + 0 + 4) / 2.0) + norms;
    player_near(&p, &how, (first + second) / 2);
    assert_int_equal(p.n_probes, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(p.seen[i].images, NAS_PROBE_NORMAL);
        assert_int_equal(p.seen[i].weights, NAS_PROBE_NORMAL_WEIGHTS);
        assert_int_equal(p.seen[i].norm, NAS_PROBE_BATCH_NORM);
        assert_int_equal(p.seen[i].objective, NAS_PROBE_FORWARD);
        assert_int_equal(p.seen[i].draw, i / 2);
        assert_true(p.seen[i].noise == (i % 2 ? 0.125 : 0));
        assert_true(p.seen[i].plain && p.seen[i].count == 2);
    }
    player_refusals(&p, &how);
}

/* Twice the weights of a layer are twice its deviation. */
static void test_real(void **state) {
    (void)state;
    real_subnet r;
    config c = {.images = 12, .repeats = 1, .strength = 0.01, .weights = NAS_PROBE_INHERITED};
    real_open(&r);
    /* The harness gives the same images to both runs, so there is no distance, only deviations. */
    double alive = player_value(&r.player, &c);
    const nas_parameter *head = nas_supernet_find(r.net, "head.conv");
    for (size_t i = 0; i < head->count; i++) r.net->weights[head->offset + i] *= 2;
    player_near(&r.player, &c, alive + log(2));
    real_kill(&r);
    assert_true(player_value(&r.player, &c) < alive - 100);
    real_close(&r);
}

static void test_no_pool(void **state) {
    (void)state;
    nas_network chain = network;
    chain.n_layers = 1;
    player p = {.n_plays = 1, .network = &chain};
    config c = {.images = 1, .repeats = 1, .strength = 0.01};
    nas_error err = {0};
    double value;
    assert_int_equal(player_score(&p, &c, &value, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "found none in the subnet"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_formula), cmocka_unit_test(test_real),
                                       cmocka_unit_test(test_no_pool)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
