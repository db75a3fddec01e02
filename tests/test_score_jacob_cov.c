/* The score plugin `jacob_cov`. */
#include "../plugins/score/jacob_cov.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "score_harness.h"

/* What an eigenvalue adds to the score. */
static double of(double e) {
    return -(log(e + 1e-5) + 1 / (e + 1e-5));
}

/* Two images: eigenvalues of [[1, r], [r, 1]] are 1 - r and 1 + r. */
static void test_formula(void **state) {
    (void)state;
    /* Without their means 2 and 3: (-1, 1, 0, 0), (1, 0, -1, 0): r = -1 / 2. */
    const double images[8] = {0}, gradient[] = {1, 3, 2, 2, /**/ 4, 3, 2, 3};
    const nas_layer layer = {.op = NAS_OP_LINEAR};
    player p = {.n_plays = 1,
                .plays = {{.n = 1,
                           .layers = {{.layer = &layer, .images = 2}},
                           .images = images,
                           .image_grad = gradient,
                           .shape = {2, 1, 2}}}};
    config c = {.images = 2, .weights = NAS_PROBE_INHERITED};
    player_near(&p, &c, of(0.5) + of(1.5));
    assert_int_equal(p.seen[0].images, NAS_PROBE_UNLABELLED);
    assert_int_equal(p.seen[0].objective, NAS_PROBE_LOGIT_SUM);
    assert_int_equal(p.seen[0].weights, NAS_PROBE_INHERITED);
    assert_int_equal(p.seen[0].count, 2);
    player_refusals(&p, &c);
}

/* Images whose gradients are equal are the worst; so are gradients that do not vary. */
static void test_singular(void **state) {
    (void)state;
    const double images[6] = {0}, equal[] = {1, 3, 5, 2, 6, 10};
    const double one_flat[] = {7, 7, 7, 2, 6, 10}, flat[] = {7, 7, 7, 0, 0, 0};
    const nas_layer layer = {.op = NAS_OP_LINEAR};
    player p = {.n_plays = 1,
                .plays = {{.n = 1,
                           .layers = {{.layer = &layer, .images = 2}},
                           .images = images,
                           .shape = {1, 3, 1}}}};
    config c = {.images = 2};
    const double *const cases[] = {equal, one_flat, flat};
    for (int i = 0; i < 3; i++) {
        p.plays[0].image_grad = cases[i];
        double value = player_value(&p, &c), worst = of(0) + of(2);
        assert_true(fabs(value - worst) < 1e-5 * fabs(worst));
    }
}

static void test_real(void **state) {
    (void)state;
    real_subnet r;
    config c = {.images = 12, .weights = NAS_PROBE_INHERITED};
    real_open(&r);
    double alive = player_value(&r.player, &c);
    assert_true(alive < 12 * of(1)); /* independent images are the best there is */
    real_kill(&r);
    assert_true(player_value(&r.player, &c) < alive);
    real_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_formula),
                                       cmocka_unit_test(test_singular),
                                       cmocka_unit_test(test_real)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
