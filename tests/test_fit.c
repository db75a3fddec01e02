/* Least squares: minima that are known. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "../plugins/hardware/roofline/fit.h"

#include <math.h>

static void assert_near(double found, double expected, double tolerance) {
    if (!(fabs(found - expected) <= tolerance))
        fail_msg("expected %.12g, found %.12g", expected, found);
}

/* y = a + b x through (0, 1), (1, 3), (2, 4): b = 1.5, a = 7 / 6; squares left: 1 / 6. */
static double line(const void *context, size_t i, const double *x, double *slope) {
    static const double y[] = {1, 3, 4};
    (void)context;
    slope[0] = 1;
    slope[1] = (double)i;
    return x[0] + x[1] * (double)i - y[i];
}

static void test_line(void **state) {
    (void)state;
    double x[] = {100, -100};
    assert_near(nas_fit(&(nas_fit_problem){line, NULL, 3, 2}, x), 1.0 / 6, 1e-9);
    assert_near(x[0], 7.0 / 6, 1e-6);
    assert_near(x[1], 1.5, 1e-6);
}

/* Rosenbrock's bent valley, from its usual start. */
static double valley(const void *context, size_t i, const double *x, double *slope) {
    (void)context;
    slope[0] = i ? -1 : -20 * x[0];
    slope[1] = i ? 0 : 10;
    return i ? 1 - x[0] : 10 * (x[1] - x[0] * x[0]);
}

static void test_valley(void **state) {
    (void)state;
    double x[] = {-1.2, 1};
    assert_near(nas_fit(&(nas_fit_problem){valley, NULL, 2, 2}, x), 0, 1e-12);
    assert_near(x[0], 1, 1e-6);
    assert_near(x[1], 1, 1e-6);
}

/* A parameter that nothing depends on makes the equations singular: the start is kept. */
static double flat(const void *context, size_t i, const double *x, double *slope) {
    (void)context, (void)i;
    slope[0] = 1;
    slope[1] = 0;
    return x[0] - 5;
}

static void test_singular(void **state) {
    (void)state;
    double x[] = {7, 3};
    assert_near(nas_fit(&(nas_fit_problem){flat, NULL, 1, 2}, x), 4, 0);
    assert_near(x[0], 7, 0);
    assert_near(x[1], 3, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_valley),
        cmocka_unit_test(test_singular),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
