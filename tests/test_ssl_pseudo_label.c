/* Pseudo-Label against hand-computed cases. */
#include "../plugins/ssl/pseudo_label.c" // NOLINT(bugprone-suspicious-include): one plugin, one program

#include "ssl_harness.h"

static void test_threshold_and_mean(void **state) {
    (void)state;
    step *s = step_open(1);
    assert_int_equal(s->plan.n_views, 1);
    for (int i = 0; i < UNLABELLED; i++) set_row(s->teacher[0], i, 2, i < 3 ? 0.96 : 0.94);
    level(s->student[0]);
    step_run(s);
    for (int i = 0; i < UNLABELLED; i++) {
        assert_int_equal(s->pseudo[i], 2);
        assert_true(s->weights[i] == (i < 3 ? 1 : 0));
    }
    assert_near(s->result.unlabelled_loss, 0.5 * log(5), 1e-9);
    step_close(s);
}

/* Of 100 steps the first 40 ramp: nothing at step 0, half at 20, all from 40 on. */
static void test_ramp(void **state) {
    (void)state;
    static const struct {
        uint64_t step;
        double factor;
    } at[] = {{0, 0}, {1, 0.025}, {20, 0.5}, {40, 1}, {99, 1}};
    step *s = step_open(1);
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        s->batch.step = at[i].step;
        double term = step_run(s) - s->result.labelled_loss;
        assert_true(s->result.unlabelled_loss > 0);
        assert_near(term, at[i].factor * s->result.unlabelled_loss, 1e-12);
        assert_true((largest(s->grad[0], UNLABELLED * CLASSES) > 0) == (at[i].step > 0));
    }
    set_option(s, "ramp", 0);
    step_create(s);
    s->batch.step = 0;
    assert_true(step_run(s) > s->result.labelled_loss);
    step_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SSL_TESTS,
        cmocka_unit_test(test_unlabelled_term_counts),
        cmocka_unit_test(test_threshold_and_mean),
        cmocka_unit_test(test_ramp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
