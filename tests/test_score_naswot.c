/* The score plugin `naswot`. */
#include "../plugins/score/naswot.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "score_harness.h"

/* Three images; signs of 3 + 1 activations, and a layer without activation that does not count.
 * What the sign of 0 is matters: it is not > 0. */
static void test_formula(void **state) {
    (void)state;
    const nas_layer relu = {.activation = NAS_ACT_RELU, .out = {1, 1, 3}};
    const nas_layer gate = {.activation = NAS_ACT_HSIGMOID, .out = {1, 1, 1}};
    const nas_layer swish = {.activation = NAS_ACT_HSWISH, .out = {1, 2, 1}};
    const nas_layer none = {.activation = NAS_ACT_NONE, .out = {1, 1, 1}};
    const double a[] = {1, -1, 2, /**/ 1, 1, -3, /**/ -1, 0, -1}, b[] = {0.1, -4, 5};
    const double s[] = {1, 2, /**/ 3, -4, /**/ -5, 6}, n[] = {1, 2, -3};
    player p = {.n_plays = 1,
                .plays = {{.n = 4,
                           .layers = {{.layer = &relu, .images = 3, .before = a},
                                      {.layer = &gate, .images = 3, .before = b},
                                      {.layer = &none, .images = 3, .before = n},
                                      {.layer = &swish, .images = 3, .before = s}}}}};
    /* Agreements: images 0, 1: 1 + 0 + 1; 0, 2: 1 + 1 + 1; 1, 2: 1 + 0 + 0; of 6 with oneself. */
    double k01 = 2, k02 = 3, k12 = 1;
    double det = 6 * (36 - k12 * k12) - k01 * (6 * k01 - k12 * k02) + k02 * (k01 * k12 - 6 * k02);
    config c = {.images = 3, .weights = NAS_PROBE_INHERITED};
    player_near(&p, &c, log(det));
    assert_int_equal(p.seen[0].images, NAS_PROBE_UNLABELLED);
    assert_int_equal(p.seen[0].objective, NAS_PROBE_FORWARD);
    assert_int_equal(p.seen[0].count, 3);
    assert_int_equal(p.seen[0].weights, NAS_PROBE_INHERITED);
    player_refusals(&p, &c);
}

/* More than a word of signs, compared one by one. */
static void test_many(void **state) {
    (void)state;
    enum { UNITS = 150, N = 2 };
    double before[N][UNITS];
    int same = 0;
    for (int i = 0; i < UNITS; i++) {
        before[0][i] = i % 3 - 0.5;
        before[1][i] = i % 7 - 2.5;
        same += (before[0][i] > 0) == (before[1][i] > 0);
    }
    const nas_layer relu = {.activation = NAS_ACT_RELU, .out = {5, 5, 6}};
    player p = {
        .n_plays = 1,
        .plays = {{.n = 1, .layers = {{.layer = &relu, .images = N, .before = before[0]}}}}};
    config c = {.images = N};
    player_near(&p, &c, log((double)(UNITS * UNITS - same * same)));
}

/* Two images that no activation tells apart make the kernel singular: finite, and worse than any
 * that is not. */
static void test_singular(void **state) {
    (void)state;
    const nas_layer relu = {.activation = NAS_ACT_RELU, .out = {1, 1, 4}};
    const double apart[] = {1, 1, 1, 1, 1, 1, 1, -1}, alike[] = {1, 1, 1, 1, 2, 2, 2, 2};
    player p = {.n_plays = 1,
                .plays = {{.n = 1, .layers = {{.layer = &relu, .images = 2, .before = apart}}}}};
    config c = {.images = 2};
    player_near(&p, &c, log(16 - 9));
    p.plays[0].layers[0].before = alike;
    player_near(&p, &c, log(8) + log(8 * 2 * DBL_EPSILON));
}

static void test_real(void **state) {
    (void)state;
    real_subnet r;
    config c = {.images = 12, .weights = NAS_PROBE_INHERITED};
    real_open(&r);
    double alive = player_value(&r.player, &c);
    real_kill(&r);
    double dead = player_value(&r.player, &c);
    assert_true(alive > 0 && dead < 0);
    real_close(&r);
}

static void test_nothing(void **state) {
    (void)state;
    const nas_layer none = {.activation = NAS_ACT_NONE, .out = {1, 1, 1}};
    player p = {.n_plays = 1, .plays = {{.n = 1, .layers = {{.layer = &none, .images = 2}}}}};
    config c = {.images = 2};
    nas_error err = {0};
    double value;
    assert_int_equal(player_score(&p, &c, &value, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "no activation"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formula),  cmocka_unit_test(test_many),
        cmocka_unit_test(test_singular), cmocka_unit_test(test_real),
        cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
