/* MixMatch against hand-computed cases. */
#include "../plugins/ssl/mixmatch.c" // NOLINT(bugprone-suspicious-include): one plugin, one program

#include "ssl_harness.h"

/* Two views of (.8, .05 x 4) and (.4, .15 x 4): mean (.6, .1 x 4), at T = .5 squared:
 * (.36, .01 x 4) / .4. */
static void test_guess(void **state) {
    (void)state;
    step *s = step_open(1);
    for (int i = 0; i < UNLABELLED; i++) {
        set_row(s->teacher[0], i, 2, 0.8);
        set_row(s->teacher[1], i, 2, 0.4);
    }
    float out[CLASSES];
    guess(s->self, &s->batch, 3, out);
    for (int c = 0; c < CLASSES; c++) assert_near(out[c], c == 2 ? 0.9 : 0.025, 1e-6);
    step_run(s);
    assert_int_equal(s->pseudo[5], 2);
    step_close(s);
}

/* Every row is mixed with another by a permutation, each staying nearer to itself, and every
 * target is the same mixture of the unmixed ones. */
static void test_mix(void **state) {
    (void)state;
    step *s = step_open(1);
    assert_int_equal(step_mix(s), NAS_OK);
    uint32_t rows = mix_rows(s), moved = 0;
    assert_int_equal(rows, LABELLED + 2 * UNLABELLED);
    int seen[ROWS] = {0};
    float base[ROWS][CLASSES] = {{0}};
    for (int i = 0; i < LABELLED; i++) base[i][s->labels[i]] = 1;
    for (size_t i = 0; i < UNLABELLED; i++) {
        guess(s->self, &s->batch, i, base[LABELLED + i]);
        guess(s->self, &s->batch, i, base[LABELLED + UNLABELLED + i]);
    }
    for (uint32_t r = 0; r < rows; r++) {
        uint32_t other = s->partner[r];
        assert_true(other < rows && !seen[other]++);
        moved += other != r;
        double l = (double)s->lambda[r];
        assert_true(l >= 0.5 && l <= 1);
        for (int c = 0; c < CLASSES; c++)
            assert_near(s->targets[r * CLASSES + (uint32_t)c],
                        l * (double)base[r][c] + (1 - l) * (double)base[other][c], 1e-6);
    }
    assert_true(moved > rows / 2);
    step_close(s);
}

/* lambda = max(B, 1 - B) of B ~ Beta(a, a): E (lambda - 1/2)^2 = var B = 1 / (4 (2 a + 1)), which
 * is .1 of a = .75 and 1 / 12 of a = 1 (uniform). */
static void test_lambda_is_beta(void **state) {
    (void)state;
    static const double alpha[] = {0.75, 1, 0.3};
    for (size_t k = 0; k < 3; k++) {
        step *s = step_open(1);
        set_option(s, "alpha", alpha[k]);
        step_create(s);
        double square = 0;
        size_t n = 0;
        for (uint64_t t = 0; t < 2000; t++) {
            s->batch.step = t;
            assert_int_equal(step_mix(s), NAS_OK);
            for (uint32_t r = 0; r < mix_rows(s); r++, n++)
                square += ((double)s->lambda[r] - 0.5) * ((double)s->lambda[r] - 0.5);
        }
        assert_near(square / (double)n, 1 / (4 * (2 * alpha[k] + 1)), 0.002); /* five deviations */
        step_close(s);
    }
}

/* The same (step, subnet) mixes alike, another one otherwise: nothing is kept between calls. */
static void test_mix_is_a_function_of_the_step(void **state) {
    (void)state;
    step *a = step_open(1), *b = step_open(1);
    step_run(a);
    a->batch.step = 7;
    step_run(a);
    assert_memory_not_equal(a->partner, b->partner, sizeof a->partner);
    b->batch.step = 7;
    step_run(b);
    assert_memory_equal(a->partner, b->partner, sizeof a->partner);
    assert_memory_equal(a->targets, b->targets, sizeof a->targets);
    b->batch.subnet = 1;
    step_run(b);
    assert_memory_not_equal(a->partner, b->partner, sizeof a->partner);
    step_close(a);
    step_close(b);
}

/* Level logits and one-hot targets: labelled log 5, unlabelled (.8^2 + 4 * .2^2) / 5 = .16, ramped
 * over the first 1.5625 of 100 steps. */
static void test_loss(void **state) {
    (void)state;
    step *s = step_open(1);
    memset(s->labelled, 0, sizeof s->labelled);
    level(s->student[0]);
    level(s->student[1]);
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < CLASSES; c++) s->targets[r * CLASSES + c] = c == r % CLASSES ? 1 : 0;
    s->batch.targets = s->targets;
    assert_int_equal(step_loss(s), NAS_OK);
    assert_near(s->result.labelled_loss, log(5), 1e-6);
    assert_near(s->result.unlabelled_loss, 0.16, 1e-6);
    assert_near(s->result.loss, log(5) + 100 * 0.16, 1e-5);
    s->batch.step = 1;
    assert_int_equal(step_loss(s), NAS_OK);
    assert_near(s->result.loss, log(5) + 100 * 0.16 / 1.5625, 1e-5);
    step_close(s);
}

/* A host that does not know the extension, or miscounts, is told so. */
static void test_wrong_host(void **state) {
    (void)state;
    step *s = step_open(1);
    assert_int_equal(step_loss(s), NAS_ERR_PLUGIN);
    assert_non_null(strstr(s->err.message, NAS_EXT_MIX));
    nas_mix wrong = {sizeof wrong, mix_rows(s) - 1, s->partner, s->lambda, s->targets};
    assert_int_equal(s->mix->mix(s->self, &s->batch, &wrong, &s->err), NAS_ERR_PLUGIN);
    assert_non_null(strstr(s->err.message, "16 rows to mix, found 15"));
    step_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SSL_TESTS,
        cmocka_unit_test(test_unlabelled_term_counts),
        cmocka_unit_test(test_guess),
        cmocka_unit_test(test_mix),
        cmocka_unit_test(test_lambda_is_beta),
        cmocka_unit_test(test_mix_is_a_function_of_the_step),
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_wrong_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
