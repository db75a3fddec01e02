/* FreeMatch against hand-computed cases. */
#include "../plugins/ssl/freematch.c" // NOLINT(bugprone-suspicious-include): one plugin, one program

#include "ssl_state.h"

static void teach(step *s, int label, double sure) {
    for (int i = 0; i < UNLABELLED; i++) set_row(s->teacher[0], i, label, sure);
}

/* Momentum .9, mean confidence .6 of class 0: tau = .9 * .2 + .1 * .6 = .24, p_0 = .24,
 * p_1 = .9 * .2 + .1 * .1 = .19: threshold of class 0 .24, of the others .24 * .19 / .24 = .19. */
static void test_thresholds(void **state) {
    (void)state;
    step *s = step_open(1);
    set_option(s, "momentum", 0.9);
    step_create(s);
    teach(s, 0, 0.6);
    step_run(s);
    assert_string_equal(s->result.metrics[0].name, "threshold");
    assert_near(s->result.metrics[0].value, 0.24, 1e-7);
    s->batch.subnet = 1;
    set_row(s->teacher[0], 0, 0, 0.241);
    set_row(s->teacher[0], 1, 0, 0.239);
    set_row(s->teacher[0], 2, 1, 0.21); /* below class 0's threshold, above its own */
    step_run(s);
    assert_true(s->weights[0] == 1 && s->weights[1] == 0 && s->weights[2] == 1);
    step_close(s);
}

/* Without the fairness term it is FixMatch with those thresholds. */
static void test_pseudo_label_term(void **state) {
    (void)state;
    step *s = step_open(1);
    set_option(s, "fairness", 0);
    step_create(s);
    teach(s, 0, 0.9);
    level(s->student[1]);
    step_run(s);
    assert_near(s->result.unlabelled_loss, log(5), 1e-6);
    assert_near(s->grad[1][0], (0.2 - 1) / 6, 1e-6);
    step_close(s);
}

/* Momentum 0: p and h are the batch's own. Teacher: three rows of class 0 and three of class 1,
 * each with .9: p = (.4625, .4625, .025 x 3), h = (.5, .5, 0 ...), so t = (.5, .5). Student: four
 * rows (.6, .1 ...) of class 0, two rows (.1, .6, .1 ...) of class 1, so m_0 = 26 / 60,
 * m_1 = 16 / 60, k = (2 / 3, 1 / 3), m / k = (.65, .8), q = (.65, .8) / 1.45. */
static void test_fairness(void **state) {
    (void)state;
    step *s = step_open(1);
    set_option(s, "momentum", 0);
    set_option(s, "fairness", 2);
    set_option(s, "weight", 0);
    step_create(s);
    for (int i = 0; i < UNLABELLED; i++) {
        set_row(s->teacher[0], i, i % 2, 0.9);
        set_row(s->student[1], i, i < 4 ? 0 : 1, 0.6);
    }
    step_run(s);
    s->batch.subnet = 1; /* the statistics stand; surer rows are clear of the threshold of .9 */
    for (int i = 0; i < UNLABELLED; i++) set_row(s->teacher[0], i, i % 2, 0.95);
    step_run(s);
    double expected = 0.5 * log(0.65 / 1.45) + 0.5 * log(0.8 / 1.45);
    assert_string_equal(s->result.metrics[1].name, "fairness");
    assert_near(s->result.metrics[1].value, expected, 1e-6);
    assert_near(s->result.loss - s->result.labelled_loss, 2 * expected, 1e-6);
    check_gradient(s, s->student[1], s->grad[1], UNLABELLED * CLASSES);
    step_close(s);
}

/* With every row masked there is neither term. */
static void test_all_masked(void **state) {
    (void)state;
    step *s = step_open(1);
    set_option(s, "momentum", 0);
    step_create(s);
    teach(s, 0, 0.9);
    step_run(s);
    s->batch.subnet = 1;
    teach(s, 0, 0.8);
    step_run(s);
    assert_true(s->result.unlabelled_loss == 0);
    assert_true(largest(s->grad[1], UNLABELLED * CLASSES) == 0);
    step_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SSL_TESTS,
        STATE_TESTS,
        cmocka_unit_test(test_unlabelled_term_counts),
        cmocka_unit_test(test_thresholds),
        cmocka_unit_test(test_pseudo_label_term),
        cmocka_unit_test(test_fairness),
        cmocka_unit_test(test_all_masked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
