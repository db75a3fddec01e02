/* SoftMatch against hand-computed cases. */
#include "../plugins/ssl/softmatch.c" // NOLINT(bugprone-suspicious-include): one plugin, one program

#include "ssl_state.h"

/* One row for each of five classes: their mean is level, so alignment changes nothing. Momentum .9:
 * mu = .9 * .2 + .1 * .8 = .26, variance = .9 * 1 + .1 * 0; a row .05 below mu then weighs
 * exp(-.05^2 / (2 * .9 / 2^2)). */
static void test_weights(void **state) {
    (void)state;
    step *s = step_open(1);
    set_option(s, "momentum", 0.9);
    step_create(s);
    s->batch.unlabelled = CLASSES;
    for (int i = 0; i < CLASSES; i++) set_row(s->teacher[0], i, i, 0.8);
    step_run(s);
    assert_near(s->result.metrics[0].value, 0.26, 1e-6);
    assert_near(s->result.metrics[1].value, sqrt(0.9), 1e-6);
    for (int i = 0; i < CLASSES; i++) assert_true(s->weights[i] == 1 && s->pseudo[i] == i);
    s->batch.subnet = 1;
    set_row(s->teacher[0], 0, 0, 0.21);
    step_run(s);
    assert_near(s->weights[0], exp(-0.05 * 0.05 / (2 * 0.9 / 4)), 1e-6);
    step_close(s);
}

/* Two classes: rows (.9, .1) and (.5, .5) have p = (.7, .3), so they align to (.9 / .7, .1 / .3)
 * and
 * (.5 / .7, .5 / .3), scaled to sum 1. Momentum 0: mean and unbiased variance are this batch's. */
static void test_alignment(void **state) {
    (void)state;
    step *s = step_open(1);
    set_option(s, "momentum", 0);
    step_create(s);
    s->batch.classes = 2, s->batch.unlabelled = 2;
    for (int i = 0; i < LABELLED; i++) s->labels[i] = i % 2;
    const double p[2][2] = {{0.9, 0.1}, {0.5, 0.5}};
    for (int i = 0; i < 4; i++) s->teacher[0][i] = (float)log(p[i / 2][i % 2]);
    step_run(s);
    double a = (0.9 / 0.7) / (0.9 / 0.7 + 0.1 / 0.3), b = 0.7;
    assert_near(s->result.metrics[0].value, (a + b) / 2, 1e-5);
    double variance = (a - b) * (a - b) / 2;
    assert_near(s->result.metrics[1].value, sqrt(variance), 1e-5);
    assert_true(s->weights[0] == 1);
    double below = (a - b) / 2;
    assert_near(s->weights[1], exp(-below * below * 4 / (2 * variance)), 1e-4);
    assert_int_equal(s->pseudo[1], 0); /* the unaligned label: the first of equals */
    step_close(s);
}

/* The first batch's mean is p; with momentum .9 the second is averaged into it. Rows (.6, .1 x 4)
 * of class 0, then of class 1: p = (.55, .15, .1 x 3), each row aligned (.1 / .55, .6 / .15, 1 x
 * 3). */
static void test_class_means(void **state) {
    (void)state;
    step *s = step_open(1);
    set_option(s, "momentum", 0.9);
    step_create(s);
    for (int i = 0; i < UNLABELLED; i++) set_row(s->teacher[0], i, 0, 0.6);
    step_run(s);
    assert_near(s->result.metrics[0].value, 0.2, 1e-5); /* every row aligns to level */
    for (int i = 0; i < UNLABELLED; i++) set_row(s->teacher[0], i, 1, 0.6);
    step_run(s);
    double aligned = 4 / (0.1 / 0.55 + 4 + 3);
    assert_near(s->result.metrics[0].value, 0.9 * 0.2 + 0.1 * aligned, 1e-5);
    step_close(s);
}

/* The loss weights each row's cross-entropy and averages over all. */
static void test_weighted_mean(void **state) {
    (void)state;
    step *s = step_open(2);
    set_option(s, "momentum", 0);
    step_create(s);
    level(s->student[1]);
    step_run(s);
    double sum = 0;
    for (int i = 0; i < UNLABELLED; i++) sum += (double)s->weights[i];
    assert_true(sum < UNLABELLED && sum > 0);
    assert_near(s->result.unlabelled_loss, sum / 6 * log(5), 1e-6);
    step_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SSL_TESTS,
        STATE_TESTS,
        cmocka_unit_test(test_unlabelled_term_counts),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_class_means),
        cmocka_unit_test(test_weighted_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
