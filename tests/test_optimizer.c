/* SGD, average, clipping and schedule against their formulas. */
#include "base/rng.h"
#include "nn/optimizer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_close(double want, double got, double tolerance) {
    if (!(fabs(want - got) <= tolerance * (1 + fabs(want))))
        fail_msg("expected %.9g, found %.9g", want, got);
}

/* One weight, worked out by hand: w = 1, g = 0.5, lr 0.1, momentum 0.9, decay 0.2.
 * Step 1: d = 0.5 + 0.2 = 0.7; v = 0.7; w -= 0.1 (0.7 + 0.9 0.7), so w = 0.867.
 * Step 2: d = 0.5 + 0.2 0.867 = 0.6734; v = 0.63 + 0.6734 = 1.3034;
 *         w -= 0.1 (0.6734 + 0.9 1.3034), so w = 0.682354. */
static void sgd_takes_the_steps_worked_out_by_hand(void **state) {
    (void)state;
    nas_sgd sgd = {0.1, 0.9, NULL};
    nas_span span = {0, 1, 1, 0.2, false};
    nas_real w = 1, v = 0, g = 0.5f;
    nas_sgd_step(&sgd, &span, 1, &w, &v, &g);
    assert_close(0.867, (double)w, 1e-6);
    assert_close(0.7, (double)v, 1e-6);
    assert_true(g == 0);
    g = 0.5f;
    nas_sgd_step(&sgd, &span, 1, &w, &v, &g);
    assert_close(0.682354, (double)w, 1e-6);
    assert_close(1.3034, (double)v, 1e-6);
}

/* PyTorch's form: d = g + decay w; buffer = m buffer + d (at first d); w -= lr (d + m buffer). Two
 * spans decay and one does not; what lies between the spans is left alone. */
static void sgd_is_that_of_pytorch(void **state) {
    (void)state;
    enum { N = 100, STEPS = 6 };
    const nas_span spans[] = {
        {0, 37, 1, 0.05, false}, {40, 13, 1, 0, false}, {60, 40, 1, 0.05, false}};
    nas_real weights[N], velocity[N] = {0}, gradient[N];
    double w[N], buffer[N] = {0};
    nas_rng rng = nas_rng_open(1, NAS_RNG_TEST, 0, 0);
    for (size_t i = 0; i < N; i++) w[i] = (double)(weights[i] = (nas_real)nas_rng_normal(&rng));
    for (int step = 0; step < STEPS; step++) {
        nas_sgd sgd = {0.1 / (step + 1), 0.9, NULL};
        for (size_t i = 0; i < N; i++) {
            gradient[i] = (nas_real)nas_rng_normal(&rng);
            double decay = i < 37 || i >= 60 ? 0.05 : 0;
            if ((i >= 37 && i < 40) || (i >= 53 && i < 60)) continue;
            double d = (double)gradient[i] + decay * w[i];
            buffer[i] = step ? sgd.momentum * buffer[i] + d : d;
            w[i] -= sgd.lr * (d + sgd.momentum * buffer[i]);
        }
        nas_real outside = gradient[38];
        nas_sgd_step(&sgd, spans, 3, weights, velocity, gradient);
        for (size_t i = 0; i < N; i++) assert_close(w[i], (double)weights[i], 2e-6);
        for (size_t s = 0; s < 3; s++)
            for (size_t i = 0; i < spans[s].count; i++)
                assert_true(gradient[spans[s].offset + i] == 0);
        assert_true(gradient[38] == outside);
    }
}

/* An anchored weight decays by its distance from the anchor, so at the anchor only the gradient
 * counts; a rate multiplies lr. d = 0.5 + 0.2 (1 - 3) = 0.1; v = 0.1; w -= 2 0.1 (0.1 + 0.9 0.1).
 */
static void anchor_pulls(void **state) {
    (void)state;
    const nas_span spans[] = {{0, 1, 2, 0.2, true}, {1, 1, 1, 0.2, true}, {2, 1, 1, 0.2, false}};
    nas_real anchor[] = {3, 1, 3}, w[] = {1, 1, 1}, v[3] = {0}, g[] = {0.5f, 0.5f, 0.5f};
    nas_sgd sgd = {0.1, 0.9, anchor};
    nas_sgd_step(&sgd, spans, 3, w, v, g);
    assert_close(1 - 0.038, (double)w[0], 1e-6);
    assert_close(0.1, (double)v[0], 1e-6);
    assert_close(1 - 0.1 * 0.5 * 1.9, (double)w[1], 1e-6);
    assert_close(1 - 0.1 * 0.7 * 1.9, (double)w[2], 1e-6);
    assert_true(g[0] == 0 && g[1] == 0 && g[2] == 0);
}

static void a_rate_of_0_freezes(void **state) {
    (void)state;
    const nas_span spans[] = {{0, 1, 0, 0.2, false}, {1, 1, 0, 0.2, true}};
    nas_real anchor[] = {3, 3}, w[] = {1, 1}, v[] = {0.25f, 0.25f}, g[] = {0.5f, 0.5f};
    nas_sgd_step(&(nas_sgd){0.1, 0.9, anchor}, spans, 2, w, v, g);
    for (size_t i = 0; i < 2; i++) assert_true(w[i] == 1 && v[i] == 0.25f && g[i] == 0);
}

static void average_follows(void **state) {
    (void)state;
    nas_real weights[] = {1, -2, 4}, average[] = {1, 0, 2};
    nas_ema_step(0.75, weights, average, 3);
    assert_true(average[0] == 1 && average[1] == -0.5f && average[2] == 2.5f);
    nas_ema_step(1, weights, average, 3);
    assert_true(average[1] == -0.5f);
    nas_ema_step(0, weights, average, 3);
    assert_memory_equal(weights, average, sizeof weights);
}

static void clipping_keeps_the_direction(void **state) {
    (void)state;
    nas_real g[] = {3, -4, 12};
    assert_close(13, nas_norm(g, 3), 1e-12);
    assert_close(0, nas_norm(g, 0), 0);
    assert_close(13, nas_clip(g, 3, 13), 1e-12); /* at the limit: left alone */
    assert_true(g[0] == 3 && g[1] == -4 && g[2] == 12);
    assert_close(13, nas_clip(g, 3, 6.5), 1e-12);
    assert_true(g[0] == 1.5f && g[1] == -2 && g[2] == 6);
    nas_real zero[] = {0, 0};
    assert_close(0, nas_clip(zero, 2, 1), 0);
    assert_true(zero[0] == 0);
    nas_real tiny[] = {1e-30f, 0}, huge[] = {1e30f, 0}; /* their squares are no floats */
    assert_close(1, nas_norm(tiny, 2) * 1e30, 1e-6);
    assert_close(1, nas_norm(huge, 2) * 1e-30, 1e-6);
}

static void learning_rate_passes_its_points(void **state) {
    (void)state;
    /* FixMatch: cos(7 pi t / 16 T). */
    assert_close(0.03, nas_learning_rate(0.03, 0, 1600, 0, 7.0 / 16), 1e-12);
    assert_close(0.03 * cos(M_PI * 7 / 32), nas_learning_rate(0.03, 800, 1600, 0, 7.0 / 16), 1e-12);
    assert_close(0.03 * cos(M_PI * 7 / 16), nas_learning_rate(0.03, 1600, 1600, 0, 7.0 / 16),
                 1e-12);
    assert_close(0.5, nas_learning_rate(1, 200, 300, 0, 0.5), 1e-12); /* cos(60 degrees) */
    assert_close(0.2, nas_learning_rate(0.2, 77, 100, 0, 0), 0);      /* constant */
    assert_close(0.2, nas_learning_rate(0.2, 5, 0, 0, 0.5), 0);       /* no end known */
    /* Linear warm-up: from 1/10 to the whole at the tenth step, then nothing. */
    assert_close(0.1, nas_learning_rate(1, 0, 100, 10, 0), 1e-12);
    assert_close(0.5, nas_learning_rate(1, 4, 100, 10, 0), 1e-12);
    assert_close(1, nas_learning_rate(1, 9, 100, 10, 0), 1e-12);
    assert_close(1, nas_learning_rate(1, 10, 100, 10, 0), 1e-12);
    assert_close(0.5 * cos(M_PI * 0.02), nas_learning_rate(1, 4, 100, 10, 0.5), 1e-12);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd_takes_the_steps_worked_out_by_hand),
        cmocka_unit_test(sgd_is_that_of_pytorch),
        cmocka_unit_test(anchor_pulls),
        cmocka_unit_test(a_rate_of_0_freezes),
        cmocka_unit_test(average_follows),
        cmocka_unit_test(clipping_keeps_the_direction),
        cmocka_unit_test(learning_rate_passes_its_points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
