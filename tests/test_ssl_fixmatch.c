/* FixMatch against hand-computed cases. */
#include "../plugins/ssl/fixmatch.c" // NOLINT(bugprone-suspicious-include): one plugin, one program

#include "ssl_harness.h"

static step *open_aligned(uint64_t seed) {
    step *s = step_open(seed);
    set_option(s, "align", 1);
    step_create(s);
    return s;
}

#define STATE_OPEN open_aligned
#include "ssl_state.h"

/* Two of six images are above .95; the mean is over all six. */
static void test_threshold_and_mean(void **state) {
    (void)state;
    static const double sure[UNLABELLED] = {0.951, 0.949, 0.5, 0.999, 0.3, 0.94};
    step *s = step_open(1);
    assert_string_equal(s->plan.teacher, "self");
    for (int i = 0; i < UNLABELLED; i++) set_row(s->teacher[0], i, i % CLASSES, sure[i]);
    level(s->student[1]);
    step_run(s);
    for (int i = 0; i < UNLABELLED; i++) {
        assert_int_equal(s->pseudo[i], i % CLASSES);
        assert_true(s->weights[i] == (i == 0 || i == 3 ? 1 : 0));
    }
    assert_near(s->result.unlabelled_loss, 2.0 / 6 * log(5), 1e-9);
    assert_near(s->grad[1][0], (0.2 - 1) / 6, 1e-7);
    assert_near(s->grad[1][1], 0.2 / 6, 1e-7);
    assert_true(largest(s->grad[1] + CLASSES, 2 * CLASSES) == 0);
    step_close(s);
}

static void test_weight_scales_loss_and_gradient(void **state) {
    (void)state;
    step *s = step_open(1);
    double one = step_run(s) - s->result.labelled_loss;
    float grad = s->grad[1][0];
    set_option(s, "weight", 3);
    step_create(s);
    assert_near(step_run(s) - s->result.labelled_loss, 3 * one, 1e-9);
    assert_near(s->grad[1][0], 3 * grad, 1e-6);
    set_option(s, "threshold", 0);
    step_create(s);
    step_run(s);
    for (int i = 0; i < UNLABELLED; i++) assert_true(s->weights[i] == 1);
    step_close(s);
}

/* Two classes: rows (.9, .1) and (.5, .5) have the mean (.7, .3), so the first aligns to .9 / .7
 * against .1 / .3, .79 of it, and the second to .5 / .7 against .5 / .3: class 1 of .7. */
static void test_alignment(void **state) {
    (void)state;
    step *s = open_aligned(1);
    set_option(s, "threshold", 0.75);
    step_create(s);
    s->batch.classes = 2, s->batch.unlabelled = 2;
    for (int i = 0; i < LABELLED; i++) s->labels[i] = i % 2;
    const double p[2][2] = {{0.9, 0.1}, {0.5, 0.5}};
    for (int i = 0; i < 4; i++) s->teacher[0][i] = (float)log(p[i / 2][i % 2]);
    step_run(s);
    assert_int_equal(s->pseudo[0], 0);
    assert_int_equal(s->pseudo[1], 1);
    assert_true(s->weights[0] == 1 && s->weights[1] == 0);
    set_option(s, "threshold", 0.8); /* unaligned, the first row's .9 is above it */
    step_create(s);
    step_run(s);
    assert_true(s->weights[0] == 0 && s->weights[1] == 0);
    step_close(s);
}

/* Rows (.6, .1 x 4) of class 0, then of class 1, at momentum .9: the mean is (.55, .15, .1 x 3), so
 * the second batch aligns to (.1 / .55, .6 / .15, 1 x 3): .557 of class 1. */
static void test_running_mean(void **state) {
    (void)state;
    step *s = open_aligned(1);
    set_option(s, "momentum", 0.9);
    set_option(s, "threshold", 0.55);
    step_create(s);
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < UNLABELLED; i++) set_row(s->teacher[0], i, k, 0.6);
        step_run(s);
        for (int i = 0; i < UNLABELLED; i++) assert_true(s->weights[i] == (float)k);
    }
    double sure = 4 / (0.1 / 0.55 + 4 + 3);
    assert_true(sure > 0.55 && sure < 0.56 && s->pseudo[0] == 1);
    s->batch.subnet = 1; /* its answers are not averaged in */
    for (int i = 0; i < UNLABELLED; i++) set_row(s->teacher[0], i, 2, 0.6);
    step_run(s);
    assert_true(s->weights[0] == 1 && s->pseudo[0] == 2);
    step_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SSL_TESTS,
        STATE_TESTS,
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_running_mean),
        cmocka_unit_test(test_unlabelled_term_counts),
        cmocka_unit_test(test_threshold_and_mean),
        cmocka_unit_test(test_weight_scales_loss_and_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
