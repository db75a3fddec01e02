/* Unsupervised Data Augmentation against hand-computed cases. */
#include "../plugins/ssl/uda.c" // NOLINT(bugprone-suspicious-include): one plugin, one program

#include "ssl_harness.h"

/* The mask looks at the probability before sharpening: .79 sharpens to well above .8, and is out.
 */
static void test_threshold_is_on_the_unsharpened(void **state) {
    (void)state;
    static const double sure[UNLABELLED] = {0.81, 0.79, 0.5, 0.95, 0.3, 0.7};
    step *s = step_open(1);
    for (int i = 0; i < UNLABELLED; i++) set_row(s->teacher[0], i, 3, sure[i]);
    level(s->student[1]);
    step_run(s);
    for (int i = 0; i < UNLABELLED; i++) assert_true(s->weights[i] == (i == 0 || i == 3 ? 1 : 0));
    assert_near(s->result.unlabelled_loss, 2.0 / 6 * log(5), 1e-6);
    step_close(s);
}

/* T = .5 squares: (.8, .05 x 4) becomes (.64, .0025 x 4) / .65; the gradient at level logits is
 * (.2 - target) / 6. */
static void test_sharpening(void **state) {
    (void)state;
    step *s = step_open(1);
    set_option(s, "temperature", 0.5);
    set_option(s, "threshold", 0.5);
    step_create(s);
    for (int i = 0; i < UNLABELLED; i++) set_row(s->teacher[0], i, 0, 0.8);
    level(s->student[1]);
    step_run(s);
    assert_near(s->grad[1][0], (0.2 - 0.64 / 0.65) / 6, 1e-6);
    assert_near(s->grad[1][1], (0.2 - 0.0025 / 0.65) / 6, 1e-6);
    step_close(s);
}

/* Where the student already gives the target, the gradient is zero but the entropy remains. */
static void test_soft_target_is_the_minimum(void **state) {
    (void)state;
    step *s = step_open(1);
    for (int i = 0; i < UNLABELLED; i++) {
        set_row(s->teacher[0], i, 0, 0.9);
        for (int c = 0; c < CLASSES; c++)
            s->student[1][i * CLASSES + c] = s->teacher[0][i * CLASSES + c] / 0.4f;
    }
    step_run(s);
    assert_true(s->result.unlabelled_loss > 1e-3);
    assert_near(largest(s->grad[1], UNLABELLED * CLASSES), 0, 1e-6);
    step_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SSL_TESTS,
        cmocka_unit_test(test_unlabelled_term_counts),
        cmocka_unit_test(test_threshold_is_on_the_unsharpened),
        cmocka_unit_test(test_sharpening),
        cmocka_unit_test(test_soft_target_is_the_minimum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
