/* The search plugin `bayesian`: the process against hand-computed cases, the likelihood's gradient
 * against finite differences, the expected improvement against an integral. */
#include "../plugins/search/bayesian/bayesian.c"

enum { EVALUATIONS = 50, OPTIMUM = 80 };
#include "search_checks.h"

static double correlation(double r) {
    return (1 + sqrt(5) * r + 5 * r * r / 3) * exp(-sqrt(5) * r);
}

/* One gene with the values 0, .25, .. 1. */
static bayesian *open_line(search *s, fake_problem *fake) {
    *fake = (fake_problem){0};
    fake->limit = INFINITY;
    add_gene(fake, 5, "a.kernel");
    close_problem(fake, 1, 0);
    prepare(s, fake, 1);
    begin(s, true);
    return s->self;
}

/* A process with observations at x, under length and noise. */
static void observe_line(nas_gaussian *p, const bayesian *me, size_t n, const double *x,
                         const double *y, double length, double noise) {
    const double hyper[2] = {log(length), log(noise)};
    assert_int_equal(nas_gaussian_open(p, n, me->n_dims, me->n_groups, me->group, NULL), NAS_OK);
    memcpy(p->x, x, n * sizeof *x);
    memcpy(p->y, y, n * sizeof *y);
    assert_true(nas_gaussian_condition(p, hyper));
}

/* All five values as candidates. */
static void look_at_line(bayesian *me, const nas_gaussian *p, pool *c) {
    assert_int_equal(open_pool(c, me, 5, p->n + 3, NULL), NAS_OK);
    for (uint16_t v = 0; v < 5; v++)
        assert_int_equal(nas_genomes_add(&c->genomes, &v, NULL, NULL), NAS_OK);
    look(me, p, c);
}

static void test_posterior(void **state) {
    (void)state;
    fake_problem fake;
    search s;
    bayesian *me = open_line(&s, &fake);
    const double x[2] = {0, 1}, y[2] = {-1, 1}, noise = 0.1, length = 0.5;
    nas_gaussian p;
    pool c;
    observe_line(&p, me, 2, x, y, length, noise);
    look_at_line(me, &p, &c);
    assert_true(fabs(correlation(1) - 0.523994) < 1e-6);
    double d = 1 + noise, k = correlation(1 / length), det = d * d - k * k;
    for (int v = 0; v < 5; v++) {
        double a = correlation(v * 0.25 / length), b = correlation((1 - v * 0.25) / length);
        double mean = ((d * a - k * b) * y[0] + (d * b - k * a) * y[1]) / det;
        double variance = 1 - (d * a * a - 2 * k * a * b + d * b * b) / det;
        assert_true(fabs(c.each[v].mean - mean) < 1e-12);
        assert_true(fabs(c.each[v].variance - variance) < 1e-12);
    }
    double fit_of_y = (d * y[0] * y[0] - 2 * k * y[0] * y[1] + d * y[1] * y[1]) / det;
    assert_true(fabs(p.signal - (1 + fit_of_y) / 3) < 1e-12);
    double gradient[2], hyper[2] = {log(length), log(noise)};
    double centre = sqrt(2);
    double expected = -1.5 * log(p.signal) - 0.5 * log(det) -
                      (hyper[0] - centre) * (hyper[0] - centre) / 6 -
                      (hyper[1] + 6) * (hyper[1] + 6) / 8;
    assert_true(fabs(nas_gaussian_likelihood(&p, hyper, gradient) - expected) < 1e-12);
    close_pool(&c);
    free(p.x);
    finish(&s);
}

/* A lie has the same effect as an observation of the best value; two of them, and a candidate that
 * comes later, too. */
static void test_lies(void **state) {
    (void)state;
    fake_problem fake;
    search s;
    bayesian *me = open_line(&s, &fake);
    const double x[4] = {0, 1, 0.25, 0.75}, y[4] = {-1, 1, -1, -1};
    nas_gaussian few, all;
    pool told, lied;
    observe_line(&few, me, 2, x, y, 0.4, 0.05);
    observe_line(&all, me, 4, x, y, 0.4, 0.05);
    look_at_line(me, &all, &told);
    assert_int_equal(open_pool(&lied, me, 5, 4, NULL), NAS_OK);
    const uint16_t order[5] = {1, 0, 3, 2, 4};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(nas_genomes_add(&lied.genomes, &order[i], NULL, NULL), NAS_OK);
        if (i == 3) {
            look(me, &few, &lied);
            lie_about(&few, &lied, 0);
            lie_about(&few, &lied, 2);
        }
    }
    look(me, &few, &lied);
    for (int i = 0; i < 5; i++) {
        assert_true(fabs(lied.each[i].mean - told.each[order[i]].mean) < 1e-12);
        assert_true(fabs(lied.each[i].variance - told.each[order[i]].variance) < 1e-12);
        assert_true(lied.each[i].taken == (i == 0 || i == 2));
    }
    close_pool(&told);
    close_pool(&lied);
    free(few.x);
    free(all.x);
    finish(&s);
}

/* Observations at the same place, without noise: the correlations are singular. */
static void test_singular(void **state) {
    (void)state;
    fake_problem fake;
    search s;
    bayesian *me = open_line(&s, &fake);
    const double x[4] = {0.5, 0.5, 0.5, 1}, y[4] = {-1, -1, -1, 1};
    nas_gaussian p;
    pool c;
    observe_line(&p, me, 4, x, y, 0.5, exp(-800)); /* a noise of 0 */
    look_at_line(me, &p, &c);
    assert_true(fabs(c.each[2].mean + 1) < 1e-3);
    assert_true(fabs(c.each[4].mean - 1) < 1e-3);
    for (int v = 0; v < 5; v++) assert_true(isfinite(c.each[v].mean) && c.each[v].variance > -1e-9);
    close_pool(&c);
    free(p.x);
    finish(&s);
}

/* Random members of the family with their objective, under the given grouping. */
static void observe_family(search *s, fake_problem *fake, const char *lengths_option, size_t n,
                           result *results, nas_gaussian *p) {
    open_family(fake, 1, 0);
    prepare(s, fake, 5);
    set_option(s, "lengths", lengths_option);
    set_option(s, "initial", "1000");
    begin(s, true);
    uint16_t genomes[50 * MOST_GENES];
    assert_true(n <= 50);
    assert_int_equal(ask_for(s, n, genomes), n);
    tell_about(s, n, genomes);
    bayesian *me = s->self;
    assert_int_equal(gather(me, results), n);
    assert_int_equal(nas_gaussian_open(p, n, me->n_dims, me->n_groups, me->group, NULL), NAS_OK);
    observe(me, results, p);
}

static void test_gradient(void **state) {
    (void)state;
    const char *const groupings[3] = {"\"kind\"", "\"gene\"", "\"one\""};
    const size_t n_groups[3] = {5, 25, 1};
    for (int i = 0; i < 3; i++) {
        fake_problem fake;
        search s;
        nas_gaussian p;
        result results[20];
        double hyper[NAS_GAUSSIAN_HYPER], gradient[NAS_GAUSSIAN_HYPER], unused[NAS_GAUSSIAN_HYPER];
        observe_family(&s, &fake, groupings[i], 20, results, &p);
        assert_int_equal(p.groups, n_groups[i]);
        for (size_t k = 0; k <= p.groups; k++) hyper[k] = 0.3 * sin((double)k + 1);
        nas_gaussian_likelihood(&p, hyper, gradient);
        for (size_t k = 0; k <= p.groups; k++) {
            double at = hyper[k], step = 1e-5;
            hyper[k] = at + step;
            double above = nas_gaussian_likelihood(&p, hyper, unused);
            hyper[k] = at - step;
            double below = nas_gaussian_likelihood(&p, hyper, unused);
            hyper[k] = at;
            double expected = (above - below) / (2 * step);
            assert_true(fabs(gradient[k] - expected) < 1e-6 * (1 + fabs(expected)));
        }
        free(p.x);
        finish(&s);
    }
}

/* No random point is likelier than the one that was found. */
static void test_fit(void **state) {
    (void)state;
    fake_problem fake;
    search s;
    nas_gaussian p;
    result results[40];
    double unused[NAS_GAUSSIAN_HYPER], hyper[NAS_GAUSSIAN_HYPER];
    observe_family(&s, &fake, "\"kind\"", 40, results, &p);
    bayesian *me = s.self;
    assert_true(nas_gaussian_fit(&p, me->own.hyper, false));
    double found = nas_gaussian_likelihood(&p, me->own.hyper, unused);
    for (uint64_t i = 0; i < 500; i++) {
        for (size_t k = 0; k <= p.groups; k++)
            hyper[k] = nas_gaussian_centre(&p, k) +
                       6 * ((double)(scramble(i * 100 + k) >> 11) * 0x1p-53 - 0.5);
        assert_true(nas_gaussian_likelihood(&p, hyper, unused) < found + 1e-6);
    }
    for (size_t k = 0; k <= p.groups; k++) { /* nor one nearby */
        memcpy(hyper, me->own.hyper, sizeof hyper);
        for (int side = -1; side <= 1; side += 2) {
            hyper[k] = me->own.hyper[k] + 0.05 * side;
            assert_true(nas_gaussian_likelihood(&p, hyper, unused) < found + 1e-3);
        }
    }
    free(p.x);
    finish(&s);
}

/* A kind of gene that makes no difference gets a length scale that says so. */
static void test_relevance(void **state) {
    (void)state;
    fake_problem fake = {0};
    const char *const names[4] = {"a.kernel", "b.kernel", "a.width", "b.width"};
    for (int g = 0; g < 4; g++) {
        add_gene(&fake, 4, names[g]);
        for (int v = 0; v < 4; v++) fake.worth[g][v] = g < 2 ? sin(2.0 * v + g) : 0;
    }
    close_problem(&fake, 1, 0);
    search s;
    nas_gaussian p;
    result results[40];
    prepare(&s, &fake, 1);
    set_option(&s, "initial", "1000");
    begin(&s, true);
    bayesian *me = s.self;
    uint16_t genomes[40 * 4];
    assert_int_equal(ask_for(&s, 40, genomes), 40);
    tell_about(&s, 40, genomes);
    gather(me, results);
    assert_int_equal(nas_gaussian_open(&p, 40, me->n_dims, me->n_groups, me->group, NULL), NAS_OK);
    observe(me, results, &p);
    assert_int_equal(p.groups, 2);
    assert_true(nas_gaussian_fit(&p, me->own.hyper, false));
    assert_true(exp(me->own.hyper[1]) > 5 * exp(me->own.hyper[0]));
    assert_true(exp(me->own.hyper[2]) < 0.01); /* no noise either */
    free(p.x);
    finish(&s);
}

/* log of the integral over t > 0 of t phi(t - u), by Simpson's rule; phi(u) is taken out. */
static double integral(double u) {
    enum { N = 40000 };
    double end = u > 0 ? u + 12 : 40 / (1 - u), sum = 0;
    for (int i = 0; i <= N; i++) {
        double t = end * i / N, weight = i == 0 || i == N ? 1 : i % 2 ? 4 : 2;
        sum += weight * t * exp(u * t - t * t / 2);
    }
    return log(sum * end / (3 * N)) - u * u / 2 - 0.5 * log(2 * acos(-1));
}

static void test_expected_improvement(void **state) {
    (void)state;
    for (double u = -60; u <= 6; u += 0.37) {
        double best = 0.7, deviation = 0.2, mean = best - u * deviation;
        double expected = integral(u) + log(deviation);
        double found = nas_log_improvement(best, mean, deviation);
        if (!(fabs(found - expected) < 1e-5)) fail_msg("%g: %.9g, not %.9g", u, found, expected);
    }
    assert_true(isfinite(nas_log_improvement(0, 1e6, 1)));
}

/* Inactive genes are one value, which no active one has. */
static void test_encoding(void **state) {
    (void)state;
    fake_problem fake;
    search s;
    open_small(&fake, SMALL_GENES, 1, 0);
    prepare(&s, &fake, 1);
    begin(&s, true);
    const uint16_t genes[SMALL_GENES] = {2, 1, 0, 0, 1, 0};
    const double expected[SMALL_GENES] = {1, 0.5, 0, -1 / 3., 1 / 3., 0};
    double x[SMALL_GENES];
    encode(s.self, genes, x);
    for (int g = 0; g < SMALL_GENES; g++) assert_true(fabs(x[g] - expected[g]) < 1e-12);
    finish(&s);
}

/* Of too many results the best half and the newest stay. */
static void test_points(void **state) {
    (void)state;
    fake_problem fake;
    search s;
    open_small(&fake, SMALL_GENES, 1, 0);
    prepare(&s, &fake, 1);
    set_option(&s, "points", "10");
    set_option(&s, "initial", "1000");
    begin(&s, true);
    uint16_t genomes[30 * SMALL_GENES];
    assert_int_equal(ask_for(&s, 30, genomes), 30);
    result results[30];
    nas_error err;
    for (size_t i = 0; i < 30; i++) { /* the best are 3 .. 7, the newest 28, 27, 26, 24, 23 */
        double objective = i >= 3 && i < 8 ? (double)i : 100 + (double)(i * 7 % 30);
        double violation = i == 25 || i == 29 ? 1 : 0;
        assert_int_equal(
            s.api->tell(s.self, 1, genomes + i * SMALL_GENES, &objective, &violation, &err),
            NAS_OK);
    }
    assert_int_equal(gather(s.self, results), 10);
    const size_t expected[10] = {3, 4, 5, 6, 7, 28, 27, 26, 24, 23};
    for (int i = 0; i < 10; i++) assert_int_equal(results[i].number, expected[i]);
    /* With that few it still goes on. */
    uint16_t more[8 * SMALL_GENES];
    ((bayesian *)s.self)->config.initial = 2;
    assert_int_equal(ask_for(&s, 8, more), 8);
    finish(&s);
}

/* Nothing to learn from: every subnet is worth the same. */
static void test_flat(void **state) {
    (void)state;
    fake_problem fake;
    search s;
    open_small(&fake, SMALL_GENES, 1, 40);
    memset(fake.worth, 0, sizeof fake.worth);
    prepare(&s, &fake, 1);
    begin(&s, true);
    run_until(&s, 40, 8);
    assert_int_equal(s.scored, 40);
    finish(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SEARCH_CHECKS,
        cmocka_unit_test(test_posterior),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_singular),
        cmocka_unit_test(test_gradient),
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_relevance),
        cmocka_unit_test(test_expected_improvement),
        cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_points),
        cmocka_unit_test(test_flat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
