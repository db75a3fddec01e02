/* AlphaNet's divergence: values by hand, which side wins, clipping, gradients. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "stages/distil.h"

#include <math.h>
#include <nashost/kit/logits.h>

#define assert_near(a, b, tolerance) assert_true(fabs((double)(a) - (double)(b)) <= (tolerance))

/* log of 1, 2, 5: q = .125, .25, .625. */
static const float row[3] = {0, 0.69314718f, 1.60943791f};

static double value(const float *logits, const float *target) {
    return nas_alpha_divergence(logits, 3, target, 1, NULL);
}

static void test_same_distribution(void **state) {
    (void)state;
    const float q[] = {0.125f, 0.25f, 0.625f};
    float grad[3] = {0};
    assert_near(nas_alpha_divergence(row, 3, q, 1, grad), 0, 1e-7);
    for (int i = 0; i < 3; i++) assert_near(grad[i], 0, 1e-7);
}

/* p = (.5, .25, .25): sum p log(p/q) = .5 log 4 + .25 log .4 = .464; the other side is
 * (.125 * .25 + .25 * 1 + .625 * 2.5 - 1) / 2 = .422. */
static void test_the_student_lacks_a_class(void **state) {
    (void)state;
    const float p[] = {0.5f, 0.25f, 0.25f};
    float grad[3] = {1, 1, 1};
    double expected = 0.5 * log(4) + 0.25 * log(0.4);
    assert_near(nas_alpha_divergence(row, 3, p, 2, grad), expected, 1e-6);
    assert_near(grad[0], 1 + 2 * (0.125 - 0.5), 1e-6);
    assert_near(grad[1], 1, 1e-6);
    assert_near(grad[2], 1 + 2 * (0.625 - 0.25), 1e-6);
}

/* p = (.03125, .34375, .625): q / p = 4, 8/11, 1. Alpha = -1 gives
 * (.125 * 4 + .25 * 8/11 + .625 - 1) / 2 = .1534, alpha = 1 gives .0661. */
static void test_the_student_has_too_much_of_a_class(void **state) {
    (void)state;
    const float p[] = {0.03125f, 0.34375f, 0.625f};
    const double ratio[] = {4, 8.0 / 11, 1}, q[] = {0.125, 0.25, 0.625};
    float grad[3] = {0};
    double mean = 0;
    for (int i = 0; i < 3; i++) mean += q[i] * ratio[i];
    assert_near(nas_alpha_divergence(row, 3, p, 1, grad), (mean - 1) / 2, 1e-6);
    for (int i = 0; i < 3; i++) assert_near(grad[i], q[i] * (ratio[i] - mean), 1e-6);
}

/* q / p = 1e9 counts as 5: (.125 * 5 + .25 * 2 + .625 * .7143 - 1) / 2 = .2857. */
static void test_the_ratio_is_clipped(void **state) {
    (void)state;
    const float p[] = {1.25e-10f, 0.125f, 0.875f};
    const double ratio[] = {5, 2, 0.625 / 0.875}, q[] = {0.125, 0.25, 0.625};
    float grad[3] = {0};
    double mean = 0;
    for (int i = 0; i < 3; i++) mean += q[i] * ratio[i];
    double forward = 0.125 * log(0.5) + 0.875 * log(1.4);
    assert_true((mean - 1) / 2 > forward);
    assert_near(nas_alpha_divergence(row, 3, p, 1, grad), (mean - 1) / 2, 1e-6);
    for (int i = 0; i < 3; i++) assert_near(grad[i], q[i] * (ratio[i] - mean), 1e-6);
}

/* Central differences of the value, on both sides of the choice and where nothing is clipped. */
static void test_gradient(void **state) {
    (void)state;
    static const float targets[][3] = {{0.5f, 0.25f, 0.25f},
                                       {0.03125f, 0.34375f, 0.625f},
                                       {0.9f, 0.05f, 0.05f},
                                       {0.02f, 0.2f, 0.78f}};
    static const float points[][3] = {{0, 0.7f, 1.6f}, {0, 0.8f, 1.5f}, {3, 0.5f, 0}, {0, 1, 4}};
    const float h = 1.0f / 128;
    for (size_t k = 0; k < sizeof points / sizeof *points; k++) {
        float grad[3] = {0}, at[3];
        nas_alpha_divergence(points[k], 3, targets[k], 1, grad);
        for (int i = 0; i < 3; i++) {
            for (int j = 0; j < 3; j++) at[j] = points[k][j];
            at[i] = points[k][i] + h;
            double above = value(at, targets[k]), width = (double)at[i];
            at[i] = points[k][i] - h;
            double below = value(at, targets[k]);
            width -= (double)at[i];
            assert_near(grad[i], (above - below) / width, 1e-4);
        }
    }
}

/* Probabilities of 0 on either side. */
static void test_extremes(void **state) {
    (void)state;
    const float huge[] = {200, -200, -2000}, sure[] = {0, 1, 0};
    float grad[3] = {0};
    /* q = (1, 0, 0), p = (0, 1, 0): alpha = 1 gives log(p/q) = 400. */
    assert_near(nas_alpha_divergence(huge, 3, sure, 1, grad), 400, 1e-9);
    assert_near(grad[0], 1, 1e-7);
    assert_near(grad[1], -1, 1e-7);
    const float none[] = {0, 0, 0};
    assert_true(isfinite(nas_alpha_divergence(huge, 3, none, 1, grad)));
    for (int i = 0; i < 3; i++) assert_true(isfinite(grad[i]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_distribution),
        cmocka_unit_test(test_the_student_lacks_a_class),
        cmocka_unit_test(test_the_student_has_too_much_of_a_class),
        cmocka_unit_test(test_the_ratio_is_clipped),
        cmocka_unit_test(test_gradient),
        cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
