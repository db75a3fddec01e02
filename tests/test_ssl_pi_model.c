/* The Pi-model against hand-computed cases. */
#include "../plugins/ssl/pi_model.c" // NOLINT(bugprone-suspicious-include): one plugin, one program

#include "ssl_harness.h"

/* Softmax (.6, .1 x 4) against (.2 x 5) differs by (.4, .1 x 4): mean square .04. */
static void test_squared_difference(void **state) {
    (void)state;
    step *s = step_open(1);
    assert_null(s->plan.teacher);
    for (int i = 0; i < UNLABELLED; i++) set_row(s->student[0], i, 1, 0.6);
    level(s->student[1]);
    step_run(s);
    assert_near(s->result.unlabelled_loss, 0.04, 1e-7);
    assert_near(s->result.loss - s->result.labelled_loss, 10 * 0.04, 1e-6);
    for (int i = 0; i < UNLABELLED; i++) assert_true(s->pseudo[i] == -1 && s->weights[i] == 0);
    step_close(s);
}

/* Equal views: no loss, no gradient. Swapped views: the same loss, swapped gradients. */
static void test_symmetry(void **state) {
    (void)state;
    step *s = step_open(1), *swapped = step_open(1);
    memcpy(swapped->student[0], s->student[1], sizeof s->student[1]);
    memcpy(swapped->student[1], s->student[0], sizeof s->student[0]);
    assert_near(step_run(s), step_run(swapped), 1e-6);
    for (int i = 0; i < UNLABELLED * CLASSES; i++)
        assert_near(s->grad[0][i], swapped->grad[1][i], 1e-6);
    memcpy(s->student[0], s->student[1], sizeof s->student[1]);
    step_run(s);
    assert_near(s->result.unlabelled_loss, 0, 1e-12);
    assert_near(largest(s->grad[0], UNLABELLED * CLASSES), 0, 1e-6);
    step_close(s);
    step_close(swapped);
}

static void test_ramp(void **state) {
    (void)state;
    step *s = step_open(1);
    s->batch.step = 10;
    double term = step_run(s) - s->result.labelled_loss;
    assert_near(term, 10 * 0.25 * s->result.unlabelled_loss, 1e-9);
    step_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SSL_TESTS,
        cmocka_unit_test(test_unlabelled_term_counts),
        cmocka_unit_test(test_squared_difference),
        cmocka_unit_test(test_symmetry),
        cmocka_unit_test(test_ramp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
