/* AdaMatch against hand-computed cases. */
#include "../plugins/ssl/adamatch.c" // NOLINT(bugprone-suspicious-include): one plugin, one program

#include "ssl_state.h"

/* Row r of logits [..][2] gives the first of two classes the probability p. */
static void set_pair(float *logits, int r, double p) {
    logits[2 * r] = (float)log(p), logits[2 * r + 1] = (float)log(1 - p);
}

/* Two classes, two labelled and two unlabelled images, with these probabilities of class 0. */
static step *open_pairs(const double labelled[2], const double teacher[2]) {
    step *s = step_open(1);
    s->batch.classes = 2, s->batch.labelled = 2, s->batch.unlabelled = 2;
    for (int i = 0; i < 2; i++) {
        s->labels[i] = i;
        set_pair(s->labelled, i, labelled[i]);
        set_pair(s->teacher[0], i, teacher[i]);
    }
    level(s->student[1]);
    return s;
}

/* Both means are level, so nothing is scaled; the cutoff is .9 of a confidence of .8, and stands
 * for the step's other subnets, whose own confidence does not move it. */
static void test_threshold_is_relative(void **state) {
    (void)state;
    step *s = open_pairs((const double[]){0.8, 0.2}, (const double[]){0.75, 0.25});
    step_run(s);
    assert_string_equal(s->result.metrics[0].name, "threshold");
    assert_near(s->result.metrics[0].value, 0.72, 1e-6);
    assert_true(s->weights[0] == 1 && s->weights[1] == 1);
    assert_true(s->pseudo[0] == 0 && s->pseudo[1] == 1);
    assert_near(s->result.unlabelled_loss, log(2), 1e-6);
    assert_near(s->grad[1][0], (0.5 - 1) / 2, 1e-6);
    s->batch.subnet = 1;
    set_pair(s->labelled, 0, 0.99);
    set_pair(s->teacher[0], 0, 0.73);
    set_pair(s->teacher[0], 1, 0.29);
    step_run(s);
    assert_near(s->result.metrics[0].value, 0.72, 1e-6);
    assert_true(s->weights[0] == 1 && s->weights[1] == 0);
    step_close(s);
}

/* Labelled images have the mean (.8, .2), unlabelled ones (.7, .3), so (.9, .1) is scaled by
 * (.8 / .7, .2 / .3) to .939 of class 0, and (.5, .5) to .632 of it. */
static void test_alignment(void **state) {
    (void)state;
    step *s = open_pairs((const double[]){0.9, 0.7}, (const double[]){0.9, 0.5});
    step_run(s);
    double a = (0.9 * 0.8 / 0.7) / (0.9 * 0.8 / 0.7 + 0.1 * 0.2 / 0.3);
    assert_near(s->result.metrics[0].value, 0.72, 1e-6);
    assert_true(s->weights[0] == 1 && s->weights[1] == 0);
    assert_true(s->pseudo[0] == 0 && s->pseudo[1] == 0);
    set_option(s, "soft", 1);
    step_create(s);
    step_run(s);
    assert_near(s->grad[1][0], (0.5 - a) / 2, 1e-5);
    assert_near(s->result.unlabelled_loss, log(2) / 2, 1e-6);
    step_close(s);
}

/* At momentum .5 the second batch's means (.5, .5) and (.7, .3) make (.65, .35) of (.8, .2) and
 * (.6, .4) of (.5, .5): (.5, .5) becomes .65 / .6 against .35 / .4. */
static void test_running_means(void **state) {
    (void)state;
    step *s = open_pairs((const double[]){0.9, 0.7}, (const double[]){0.4, 0.6});
    set_option(s, "momentum", 0.5);
    set_option(s, "soft", 1);
    set_option(s, "threshold", 0);
    step_create(s);
    step_run(s);
    set_pair(s->labelled, 0, 0.4), set_pair(s->labelled, 1, 0.6);
    set_pair(s->teacher[0], 0, 0.9), set_pair(s->teacher[0], 1, 0.5);
    step_run(s);
    double a = (0.65 / 0.6) / (0.65 / 0.6 + 0.35 / 0.4);
    assert_near(s->grad[1][2], (0.5 - a) / 2, 1e-5);
    step_close(s);
}

static void test_gradients_of_soft_targets(void **state) {
    (void)state;
    step *s = step_open(2);
    set_option(s, "soft", 1);
    set_option(s, "weight", 3);
    step_create(s);
    step_run(s);
    s->batch.subnet = 1;
    step_run(s);
    check_gradient(s, s->student[1], s->grad[1], UNLABELLED * CLASSES);
    step_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SSL_TESTS,
        STATE_TESTS,
        cmocka_unit_test(test_unlabelled_term_counts),
        cmocka_unit_test(test_threshold_is_relative),
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_running_means),
        cmocka_unit_test(test_gradients_of_soft_targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
