/* SoftMatch against hand-computed cases. */
#include "../plugins/ssl/softmatch.c"

#include "ssl_state.h"

/* Rows that are sure of every class alike have aligned probabilities equal to their own: six rows
 * cannot be, so five classes take one row each of .8, and the sixth is taken away. Momentum .9:
 * mu = .9 * .2 + .1 * .8 = .26, variance = .9 * 1 + .1 * 0. */
static void test_weights(void **state) {
    (void)state;
    step *s = step_open(1);
    set_option(s, "momentum", 0.9);
    step_create(s);
    s->batch.unlabelled = CLASSES;
    for (int i = 0; i < CLASSES; i++) set_row(s->teacher[0], i, i, 0.8);
    step_run(s);
    assert_near(s->result.metrics[0].value, 0.26, 1e-6);
    assert_near(s->result.metrics[1].value, sqrt(0.9), 1e-6);
    for (int i = 0; i < CLASSES; i++) assert_true(s->weights[i] == 1 && s->pseudo[i] == i);
    s->batch.subnet = 1;
    set_row(s->teacher[0], 0, 0, 0.21);
    step_run(s);
    assert_near(s->weights[0], exp(-0.05 * 0.05 / (2 * 0.9 / 4)), 1e-6);
    step_close(s);
}

/* Confidence .9 and .5, one row each: mean .7, unbiased variance .08, as the first p is the batch's
 * mean. Two classes of probability only, so that alignment is by hand: rows (.9, .1) and (.5, .5)
 * have p = (.7, .3), aligned (.9 / .7, .1 / .3) and (.5 / .7, .5 / .3), scaled .7941 and .7. */
static void test_alignment(void **state) {
    (void)state;
    step *s = step_open(1);
    set_option(s, "momentum", 0);
    step_create(s);
    s->batch.classes = 2, s->batch.unlabelled = 2;
    for (int i = 0; i < LABELLED; i++) s->labels[i] = i % 2;
    const double p[2][2] = {{0.9, 0.1}, {0.5, 0.5}};
    for (int i = 0; i < 4; i++) s->teacher[0][i] = (float)log(p[i / 2][i % 2]);
    step_run(s);
    double a = (0.9 / 0.7) / (0.9 / 0.7 + 0.1 / 0.3), b = 0.7;
    assert_near(s->result.metrics[0].value, (a + b) / 2, 1e-5);
    double variance = (a - b) * (a - b) / 2;
    assert_near(s->result.metrics[1].value, sqrt(variance), 1e-5);
    assert_true(s->weights[0] == 1);
    double below = (a - b) / 2;
    assert_near(s->weights[1], exp(-below * below * 4 / (2 * variance)), 1e-4);
    assert_int_equal(s->pseudo[1], 0); /* the unaligned label: the first of equals */
    step_close(s);
}

/* The second batch is averaged into p, the first one is p. */
static void test_first_batch_sets_the_class_means(void **state) {
    (void)state;
    step *s = step_open(1);
    for (int i = 0; i < UNLABELLED; i++) set_row(s->teacher[0], i, 0, 0.6);
    step_run(s);
    /* p is every row's own distribution, so every row aligns to level: confidence 1 / 5. */
    assert_near(s->result.metrics[0].value, 0.2, 1e-5);
    s->batch.subnet = 1;
    set_row(s->teacher[0], 0, 1, 0.6);
    step_run(s);
    /* Aligned (.1 / .6, .6 / .1, 1, 1, 1) / sum: above mu. */
    assert_true(s->weights[0] == 1);
    step_close(s);
}

/* The loss weights each row's cross-entropy and averages over all. */
static void test_weighted_mean(void **state) {
    (void)state;
    step *s = step_open(2);
    set_option(s, "momentum", 0);
    step_create(s);
    level(s->student[1]);
    step_run(s);
    double sum = 0;
    for (int i = 0; i < UNLABELLED; i++) sum += (double)s->weights[i];
    assert_true(sum < UNLABELLED && sum > 0);
    assert_near(s->result.unlabelled_loss, sum / 6 * log(5), 1e-6);
    step_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SSL_TESTS,
        STATE_TESTS,
        cmocka_unit_test(test_unlabelled_term_counts),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_first_batch_sets_the_class_means),
        cmocka_unit_test(test_weighted_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
