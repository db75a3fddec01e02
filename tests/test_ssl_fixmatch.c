/* FixMatch against hand-computed cases. */
#include "../plugins/ssl/fixmatch.c" // NOLINT(bugprone-suspicious-include): one plugin, one program

#include "ssl_harness.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        SSL_TESTS,
        cmocka_unit_test(test_unlabelled_term_counts),
        cmocka_unit_test(test_threshold_and_mean),
        cmocka_unit_test(test_weight_scales_loss_and_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
