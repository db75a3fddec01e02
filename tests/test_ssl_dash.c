/* Dash against hand-computed cases. */
#include "../plugins/ssl/dash.c" // NOLINT(bugprone-suspicious-include): one plugin, one program

#include "ssl_harness.h"

/* The state moves in the warm-up alone. */
static step *open_warm(uint64_t seed) {
    step *s = step_open(seed);
    set_option(s, "warmup", 1);
    step_create(s);
    return s;
}

#define STATE_OPEN open_warm
#include "ssl_state.h"

/* Every labelled row gives its label the probability p: a loss of -log p. */
static void label_loss(step *s, double p) {
    for (int i = 0; i < LABELLED; i++) set_row(s->labelled, i, s->labels[i], p);
}

static double threshold_at(step *s, uint64_t t) {
    s->batch.step = t;
    step_run(s);
    assert_string_equal(s->result.metrics[0].name, "threshold");
    return s->result.metrics[0].value;
}

/* Of 100 steps two are the warm-up, which follows the labelled loss; then each step is an interval.
 */
static void test_threshold_falls(void **state) {
    (void)state;
    step *s = step_open(1);
    static const double p[] = {0.1, 0.2};
    for (uint64_t t = 0; t < 2; t++) {
        s->batch.step = t;
        label_loss(s, p[t]);
        step_run(s);
        assert_true(s->result.unlabelled_loss == 0 && s->result.n_metrics == 0);
        assert_true(s->pseudo[0] == -1 && largest(s->grad[1], UNLABELLED * CLASSES) == 0);
    }
    double rho = 1.0001 * -(0.9 * log(0.1) + 0.1 * log(0.2));
    label_loss(s, 0.9);
    assert_near(threshold_at(s, 2), rho, 1e-6);
    assert_near(threshold_at(s, 3), rho / 1.27, 1e-6);
    assert_near(threshold_at(s, 7), rho / pow(1.27, 5), 1e-6);
    assert_near(threshold_at(s, 99), 0.05, 0);
    set_option(s, "interval", 0.1);
    s->batch.subnet = 1;
    assert_near(threshold_at(s, 11), rho, 1e-6);
    assert_near(threshold_at(s, 12), rho / 1.27, 1e-6);
    step_close(s);
}

/* A threshold of log 2: (.6, .1 x 4) sharpens to (.9, .025 x 4), whose cross-entropy with it is
 * -.9 log .6 - .1 log .1 = .690; (.55, .1125 x 4) has .825. */
static void test_sharpened_targets(void **state) {
    (void)state;
    step *s = step_open(1);
    set_option(s, "warmup", 0);
    step_create(s);
    label_loss(s, 0.5);
    for (int i = 0; i < UNLABELLED; i++) set_row(s->teacher[0], i, 0, i < 2 ? 0.6 : 0.55);
    level(s->student[1]);
    assert_near(threshold_at(s, 0), 1.0001 * log(2), 1e-6);
    for (int i = 0; i < UNLABELLED; i++) {
        assert_true(s->weights[i] == (i < 2 ? 1 : 0));
        assert_int_equal(s->pseudo[i], 0);
    }
    assert_near(s->result.unlabelled_loss, 2.0 / 6 * log(5), 1e-6);
    assert_near(s->grad[1][0], (0.2 - 0.9) / 6, 1e-6);
    assert_near(s->grad[1][1], (0.2 - 0.025) / 6, 1e-6);
    check_gradient(s, s->student[1], s->grad[1], UNLABELLED * CLASSES);
    step_close(s);
}

/* At the lowest threshold it is FixMatch: exp(-.05) is .9512. */
static void test_hard_labels_at_last(void **state) {
    (void)state;
    step *s = step_open(1);
    for (int i = 0; i < UNLABELLED; i++) set_row(s->teacher[0], i, 0, i < 2 ? 0.952 : 0.95);
    level(s->student[1]);
    step_run(s);
    for (int i = 0; i < UNLABELLED; i++) assert_true(s->weights[i] == (i < 2 ? 1 : 0));
    assert_near(s->grad[1][0], (0.2 - 1) / 6, 1e-6);
    step_close(s);
}

/* Saved after the warm-up, while the threshold falls, it goes on to the last bit. */
static void test_state_while_it_falls(void **state) {
    (void)state;
    step *whole = step_open(1), *resumed = step_open(1);
    run_steps(whole, 0, 6);
    size_t bytes;
    char *buffer = saved(whole, &bytes);
    assert_int_equal(resumed->state->load(resumed->self, buffer, bytes, &resumed->err), NAS_OK);
    for (uint64_t t = 6; t < 12; t++) {
        run_steps(whole, t, t + 1);
        run_steps(resumed, t, t + 1);
        assert_true(whole->result.metrics[0].value > 0.05);
        assert_true(whole->result.metrics[0].value == resumed->result.metrics[0].value);
        assert_true(whole->result.loss == resumed->result.loss);
        assert_memory_equal(whole->grad, resumed->grad, sizeof whole->grad);
    }
    free(buffer);
    step_close(whole);
    step_close(resumed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SSL_TESTS,
        cmocka_unit_test(test_state_of_no_classes),
        cmocka_unit_test(test_state_round_trip),
        cmocka_unit_test(test_state_of_a_fresh_instance),
        cmocka_unit_test(test_state_changes_once_a_step),
        cmocka_unit_test(test_state_refuses_damage),
        cmocka_unit_test(test_unlabelled_term_counts),
        cmocka_unit_test(test_threshold_falls),
        cmocka_unit_test(test_sharpened_targets),
        cmocka_unit_test(test_hard_labels_at_last),
        cmocka_unit_test(test_state_while_it_falls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
