/* The loss of labelled images alone. */
#include "../plugins/ssl/supervised.c" // NOLINT(bugprone-suspicious-include): one plugin, one program

#include "ssl_harness.h"

/* Probabilities 1/2, 1/8 ...: cross-entropy log 2 with the first class, log 8 with another. */
static void test_mean_cross_entropy(void **state) {
    (void)state;
    step *s = step_open(1);
    assert_int_equal(s->plan.n_views, 0);
    assert_null(s->plan.teacher);
    for (int i = 0; i < LABELLED; i++) set_row(s->labelled, i, 0, 0.5), s->labels[i] = i ? 1 : 0;
    double loss = step_run(s);
    assert_near(loss, (log(2) + 3 * log(8)) / 4, 1e-6);
    assert_true(loss == s->result.labelled_loss && s->result.unlabelled_loss == 0);
    assert_near(s->labelled_grad[0], (0.5 - 1) / 4, 1e-6);
    assert_near(s->labelled_grad[1], 0.125 / 4, 1e-6);
    step_close(s);
}

/* Smoothing of .2 over 5 classes: the target is .84 and four of .04. */
static void test_label_smoothing(void **state) {
    (void)state;
    step *s = step_open(1);
    s->batch.label_smoothing = 0.2;
    for (int i = 0; i < LABELLED; i++) set_row(s->labelled, i, 0, 0.5), s->labels[i] = 0;
    assert_near(step_run(s), 0.84 * log(2) + 0.16 * log(8), 1e-6);
    assert_near(s->labelled_grad[0], (0.5 - 0.84) / 4, 1e-6);
    step_close(s);
}

/* Logits of (.5, .125 x 4) with shares 1 to 5 of 15 and tau 1: .5 beside .25, .375, .5, .625. An
 * older host, whose batch ends before that field, asks for none. */
static void test_logit_adjustment(void **state) {
    (void)state;
    step *s = step_open(1);
    s->batch.logit_adjustment = 1;
    for (int i = 0; i < LABELLED; i++) set_row(s->labelled, i, 0, 0.5), s->labels[i] = 0;
    assert_near(step_run(s), -log(0.5 / 2.25), 1e-6);
    assert_near(s->labelled_grad[0], (0.5 / 2.25 - 1) / 4, 1e-6);
    s->batch.size = offsetof(nas_ssl_batch, logit_adjustment);
    assert_near(step_run(s), log(2), 1e-6);
    step_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SSL_TESTS,
        cmocka_unit_test(test_mean_cross_entropy),
        cmocka_unit_test(test_label_smoothing),
        cmocka_unit_test(test_logit_adjustment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
