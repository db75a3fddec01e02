/* Mean Teacher against hand-computed cases. */
#include "../plugins/ssl/mean_teacher.c" // NOLINT(bugprone-suspicious-include): one plugin, one program

#include "ssl_harness.h"

/* Softmax (.6, .1 x 4) against (.2 x 5) differs by (.4, .1 x 4): mean square .04, times 50. The
 * gradient at level logits: p (e - sum p e), e = 2 d / 5 of d = (-.4, .1 x 4), sum p e = 0. */
static void test_squared_difference(void **state) {
    (void)state;
    step *s = step_open(1);
    assert_string_equal(s->plan.teacher, "ema");
    for (int i = 0; i < UNLABELLED; i++) set_row(s->teacher[0], i, 1, 0.6);
    level(s->student[1]);
    step_run(s);
    assert_near(s->result.unlabelled_loss, 0.04, 1e-7);
    assert_near(s->result.loss - s->result.labelled_loss, 50 * 0.04, 1e-5);
    assert_near(s->grad[1][1], 50 * 0.2 * (-0.8 / 5) / 6, 1e-5);
    assert_near(s->grad[1][0], 50 * 0.2 * (0.2 / 5) / 6, 1e-5);
    assert_int_equal(s->pseudo[4], 1);
    step_close(s);
}

static void test_ramp(void **state) {
    (void)state;
    step *s = step_open(1);
    s->batch.step = 30;
    double term = step_run(s) - s->result.labelled_loss;
    assert_near(term, 50 * 0.75 * s->result.unlabelled_loss, 1e-9);
    step_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SSL_TESTS,
        cmocka_unit_test(test_unlabelled_term_counts),
        cmocka_unit_test(test_squared_difference),
        cmocka_unit_test(test_ramp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
