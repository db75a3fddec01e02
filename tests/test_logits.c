/* The arithmetic that losses share. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <math.h>
#include <nashost/kit/logits.h>
#include <string.h>

#define assert_near(a, b, tolerance) assert_true(fabs((double)(a) - (double)(b)) <= (tolerance))

/* log of 1, 2, 5: probabilities .125, .25, .625. */
static const float row[3] = {0, 0.69314718f, 1.60943791f};

static void test_softmax(void **state) {
    (void)state;
    float p[3], log_p[3];
    nas_softmax(row, 3, 1, p);
    nas_log_softmax(row, 3, log_p);
    static const double expected[] = {0.125, 0.25, 0.625};
    for (int i = 0; i < 3; i++) {
        assert_near(p[i], expected[i], 1e-7);
        assert_near(log_p[i], log(expected[i]), 1e-6);
    }
    nas_softmax(row, 3, 0.5, p); /* squares: 1, 4, 25 of 30 */
    assert_near(p[0], 1.0 / 30, 1e-7);
    assert_near(p[2], 25.0 / 30, 1e-7);
    assert_near(nas_log_sum_exp(row, 3), log(8), 1e-7);
    int32_t label = -1;
    assert_near(nas_confidence(row, 3, &label), 0.625, 1e-7);
    assert_int_equal(label, 2);
}

static void test_argmax_takes_the_first_of_equals(void **state) {
    (void)state;
    assert_int_equal(nas_argmax((const float[]){1, 3, 3, 2}, 4), 1);
    assert_int_equal(nas_argmax((const float[]){-5}, 1), 0);
}

/* Where a plain exp overflows, or all logits are far below zero. */
static void test_extremes(void **state) {
    (void)state;
    const float huge[] = {1e4f, -1e4f, 1e4f}, low[] = {-1e4f, -1e4f, -1e4f};
    float p[3];
    nas_softmax(huge, 3, 0.01, p);
    assert_near(p[0], 0.5, 1e-7);
    assert_true(p[1] == 0);
    assert_near(nas_log_sum_exp(low, 3), -1e4 + log(3), 1e-9);
    float grad[3] = {0};
    assert_near(nas_cross_entropy(huge, 3, 1, 0, 1, grad), 2e4 + log(2), 1e-9);
    assert_near(grad[1], -1, 1e-7);
}

static void test_losses_add_scaled_gradients(void **state) {
    (void)state;
    float grad[3] = {1, 1, 1};
    assert_near(nas_cross_entropy(row, 3, 0, 0, 2, grad), log(8), 1e-6);
    assert_near(grad[0], 1 + 2 * (0.125 - 1), 1e-6);
    assert_near(grad[2], 1 + 2 * 0.625, 1e-6);
    /* A target of mass 1/2: loss and gradient halve. */
    const float half[] = {0.5f, 0, 0};
    float half_grad[3] = {0};
    assert_near(nas_soft_cross_entropy(row, 3, half, 1, half_grad), 0.5 * log(8), 1e-6);
    assert_near(half_grad[0], 0.5 * (0.125 - 1), 1e-6);
    /* Against (1, 0, 0): (.875^2 + .25^2 + .625^2) / 3. */
    const float one[] = {1, 0, 0};
    assert_near(nas_softmax_mse(row, 3, one, 1, NULL), (0.765625 + 0.0625 + 0.390625) / 3, 1e-6);
    assert_near(nas_soft_cross_entropy(row, 3, one, 1, NULL), log(8), 1e-6);
}

/* Smoothing spreads over all classes, its own too: the same as the soft target by hand. */
static void test_label_smoothing(void **state) {
    (void)state;
    const float target[] = {0.1f, 0.8f, 0.1f};
    float hard[3] = {0}, soft[3] = {0};
    double a = nas_cross_entropy(row, 3, 1, 0.3, 1, hard);
    double b = nas_soft_cross_entropy(row, 3, target, 1, soft);
    assert_near(a, b, 1e-6);
    for (int i = 0; i < 3; i++) assert_near(hard[i], soft[i], 1e-6);
}

/* Doubling a logit's exponential, by a prior of 2 / 4 beside 1 / 4: 1, 4, 5 of 10; tau 2 makes it
 * 1, 8, 5 of 14. */
static void test_logit_adjustment(void **state) {
    (void)state;
    const double priors[] = {0.25, 0.5, 0.25}, level[] = {1.0 / 3, 1.0 / 3, 1.0 / 3};
    float grad[3] = {0}, plain[3] = {0}, same[3] = {0};
    assert_near(nas_adjusted_cross_entropy(row, 3, 1, 0, 1, priors, 1, grad), -log(0.4), 1e-6);
    assert_near(grad[0], 0.1, 1e-6);
    assert_near(grad[1], 0.4 - 1, 1e-6);
    assert_near(nas_adjusted_cross_entropy(row, 3, 2, 0, 2, priors, 1, NULL), -log(5.0 / 14), 1e-6);
    double a = nas_cross_entropy(row, 3, 1, 0.3, 2, plain);
    double b = nas_adjusted_cross_entropy(row, 3, 1, 0.3, 5, level, 2, same);
    assert_near(a, b, 1e-6);
    for (int i = 0; i < 3; i++) assert_near(plain[i], same[i], 1e-6);
}

static void test_ramp(void **state) {
    (void)state;
    nas_ssl_batch batch = {.step = 5, .steps = 50};
    assert_near(nas_ramp(&batch, 0.4), 0.25, 1e-12);
    assert_near(nas_ramp(&batch, 0.1), 1, 0);
    assert_near(nas_ramp(&batch, 0), 1, 0);
    batch.steps = 0;
    assert_near(nas_ramp(&batch, 0.4), 1, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_argmax_takes_the_first_of_equals),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_losses_add_scaled_gradients),
        cmocka_unit_test(test_label_smoothing),
        cmocka_unit_test(test_logit_adjustment),
        cmocka_unit_test(test_ramp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
