/* FlexMatch against hand-computed cases. */
#include "../plugins/ssl/flexmatch.c" // NOLINT(bugprone-suspicious-include): one plugin, one program

#include "ssl_state.h"

/* Makes all six images the given ones, of one class and one confidence. */
static void teach(step *s, uint64_t first, int label, double sure) {
    for (int i = 0; i < UNLABELLED; i++) {
        set_row(s->teacher[0], i, label, sure);
        s->indices[i] = first + (uint64_t)i;
    }
    step_run(s);
}

static double recorded(const step *s) {
    return s->result.metrics[1].value * POOL;
}

/* Six of twenty images recorded as class 0, fourteen not: beta_0 = 6 / 14 and threshold
 * .95 * beta / (2 - beta) = .95 * 6 / 22 = .2591; the others' is 0. */
static void test_threshold_while_most_are_unused(void **state) {
    (void)state;
    step *s = step_open(1);
    teach(s, 0, 0, 0.96);
    for (int i = 0; i < UNLABELLED; i++) assert_true(s->weights[i] == 1); /* all thresholds are 0 */
    assert_near(recorded(s), 6, 1e-9);
    teach(s, 6, 0, 0.2592);
    assert_true(s->weights[0] == 1);
    assert_near(recorded(s), 6, 1e-9); /* below .95 is not recorded */
    teach(s, 6, 0, 0.2590);
    assert_true(s->weights[0] == 0);
    assert_near(s->result.metrics[0].value, 0.95 * 6 / 22 / CLASSES, 1e-9);
    teach(s, 6, 1, 0.21);
    assert_true(s->weights[0] == 1);
    step_close(s);
}

/* Twelve of class 0, six of class 1, two unused: beta_0 = 1 (threshold .95), beta_1 = 6 / 12
 * (threshold .95 / 3 = .3167). */
static void test_threshold_when_most_are_used(void **state) {
    (void)state;
    step *s = step_open(1);
    teach(s, 0, 0, 0.96);
    teach(s, 6, 0, 0.96);
    teach(s, 12, 1, 0.96);
    assert_near(recorded(s), 18, 1e-9);
    teach(s, 0, 0, 0.9499);
    assert_true(s->weights[0] == 0);
    teach(s, 0, 1, 0.3166);
    assert_true(s->weights[0] == 0);
    teach(s, 0, 1, 0.3168);
    assert_true(s->weights[0] == 1);
    step_close(s);
}

/* An image that is surely of another class now moves its record: 6 of class 1, none of class 0. */
static void test_record_moves(void **state) {
    (void)state;
    step *s = step_open(1);
    teach(s, 0, 0, 0.96);
    teach(s, 0, 1, 0.96);
    assert_near(recorded(s), 6, 1e-9);
    teach(s, 0, 0, 0.21);
    assert_true(s->weights[0] == 1);
    teach(s, 0, 1, 0.2590);
    assert_true(s->weights[0] == 0);
    step_close(s);
}

/* A step's thresholds come from the steps before it, for all of its subnets. */
static void test_subnets_of_a_step_share_thresholds(void **state) {
    (void)state;
    step *s = step_open(1);
    teach(s, 0, 0, 0.96);
    s->batch.subnet = 1;
    teach(s, 6, 0, 0.21);
    assert_true(s->weights[0] == 1);
    s->batch.subnet = 0;
    teach(s, 6, 0, 0.21);
    assert_true(s->weights[0] == 0);
    step_close(s);
}

static void test_image_beyond_the_pool(void **state) {
    (void)state;
    step *s = step_open(1);
    s->indices[3] = POOL;
    assert_int_equal(step_loss(s), NAS_ERR_INPUT);
    assert_non_null(strstr(s->err.message, "row 3 is image 20 of a pool of 20"));
    s->indices[3] = 0;
    step_run(s);
    s->batch.pool = POOL + 1;
    assert_int_equal(step_loss(s), NAS_ERR_INPUT);
    assert_non_null(strstr(s->err.message, "20 images, the run has 21"));
    step_close(s);
}

/* A record of a class that does not exist must not be followed. */
static void test_state_with_a_bad_record(void **state) {
    (void)state;
    step *s = step_open(1);
    teach(s, 0, 0, 0.96);
    size_t bytes;
    char *buffer = saved(s, &bytes);
    int32_t label = CLASSES;
    memcpy(buffer + bytes - sizeof label, &label, sizeof label);
    refused(s, buffer, bytes, "image 19 has class 5 of 5");
    label = -2;
    memcpy(buffer + bytes - sizeof label, &label, sizeof label);
    refused(s, buffer, bytes, "image 19 has class -2 of 5");
    teach(s, 0, 0, 0.25); /* what was refused changes nothing: the threshold is .2591 */
    assert_true(s->weights[0] == 0);
    free(buffer);
    step_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SSL_TESTS,
        STATE_TESTS,
        cmocka_unit_test(test_unlabelled_term_counts),
        cmocka_unit_test(test_threshold_while_most_are_unused),
        cmocka_unit_test(test_threshold_when_most_are_used),
        cmocka_unit_test(test_record_moves),
        cmocka_unit_test(test_subnets_of_a_step_share_thresholds),
        cmocka_unit_test(test_image_beyond_the_pool),
        cmocka_unit_test(test_state_with_a_bad_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
