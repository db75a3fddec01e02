/* DeFixMatch against hand-computed cases. */
#include "../plugins/ssl/defixmatch.c" // NOLINT(bugprone-suspicious-include): one plugin, one program

#include "ssl_harness.h"

/* Rows 0 and 1 are sure of class 0, which is right and wrong; the others are not sure enough. */
static void test_sure_labelled_images_are_subtracted(void **state) {
    (void)state;
    step *s = step_open(1);
    for (int i = 0; i < LABELLED; i++) set_row(s->labelled, i, 0, i < 2 ? 0.96 : 0.94);
    s->labels[0] = 0, s->labels[1] = 1;
    for (int i = 0; i < UNLABELLED; i++) set_row(s->teacher[0], i, 0, i < 3 ? 0.96 : 0.94);
    level(s->student[1]);
    step_run(s);
    double bias = -2 * log(0.96) / 4, term = 3 * log(5) / 6;
    assert_string_equal(s->result.metrics[0].name, "debias");
    assert_near(s->result.metrics[0].value, bias, 1e-6);
    assert_near(s->result.unlabelled_loss, term - bias, 1e-6);
    assert_near(s->result.loss, s->result.labelled_loss + 0.5 * (term - bias), 1e-6);
    assert_near(s->labelled_grad[0], (1 - 0.5) * (0.96 - 1) / 4, 1e-6);
    assert_near(s->labelled_grad[CLASSES], (0.96 - 0.5 * (0.96 - 1)) / 4, 1e-6);
    assert_near(s->labelled_grad[2 * CLASSES], 0.94 / 4, 1e-6);
    assert_near(s->grad[1][0], 0.5 * (0.2 - 1) / 6, 1e-6);
    step_close(s);
}

/* With a threshold of 0 every row counts on both sides, and gradients reach both. */
static void test_gradients_of_what_is_subtracted(void **state) {
    (void)state;
    step *s = step_open(3);
    set_option(s, "threshold", 0);
    set_option(s, "weight", 0.7);
    step_create(s);
    step_run(s);
    assert_true(s->result.metrics[0].value > 0.1);
    check_gradient(s, s->labelled, s->labelled_grad, LABELLED * CLASSES);
    step_run(s);
    check_gradient(s, s->student[1], s->grad[1], UNLABELLED * CLASSES);
    step_close(s);
}

/* Its purpose: where labelled and unlabelled images are the same, wrong pseudo-labels add nothing.
 */
static void test_no_bias_on_the_same_images(void **state) {
    (void)state;
    step *s = step_open(4);
    set_option(s, "threshold", 0);
    step_create(s);
    s->batch.unlabelled = LABELLED;
    memcpy(s->teacher[0], s->labelled, sizeof s->labelled);
    memcpy(s->student[1], s->labelled, sizeof s->labelled);
    step_run(s);
    assert_near(s->result.unlabelled_loss, 0, 1e-6);
    assert_true(s->result.metrics[0].value > 0.1);
    step_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SSL_TESTS,
        cmocka_unit_test(test_unlabelled_term_counts),
        cmocka_unit_test(test_sure_labelled_images_are_subtracted),
        cmocka_unit_test(test_gradients_of_what_is_subtracted),
        cmocka_unit_test(test_no_bias_on_the_same_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
