/* The search plugin `bayesian`: the process against hand-computed cases, the likelihood's gradient
 * against finite differences, the expected improvement against an integral. */
#include "../plugins/search/bayesian/bayesian.c"

enum { EVALUATIONS = 50, OPTIMUM = 80 };
/* How well it finds is the same under the thread sanitizer, only after ten times as long. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SEEDS 6
#define FRONT_OBJECTIVES 2
#endif
#endif
#ifndef FRONT_OBJECTIVES
#define FRONT_OBJECTIVES 3
#endif

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
static void observe_line(nas_posterior *p, const bayesian *me, size_t n, const double *x,
                         const double *y, double length, double noise) {
    const double hyper[2] = {log(length), log(noise)};
    assert_int_equal(nas_posterior_open(p, 8, me->n_dims, me->n_groups, me->group, hyper, NULL),
                     NAS_OK);
    for (size_t i = 0; i < n; i++) nas_posterior_add(p, &x[i], y[i]);
    nas_posterior_settle(p);
}

/* What it says of x; `most` observations at a time. */
static nas_place_known place_at(const nas_posterior *p, double *x, size_t most, double *mean) {
    nas_place_known place = {.x = x};
    assert_true(nas_posterior_mean(p, &place, mean));
    for (size_t i = most; i < p->n + most; i += most) nas_posterior_narrow(p, &place, i);
    assert_int_equal(place.solved, p->n);
    return place;
}

static void test_posterior(void **state) {
    (void)state;
    fake_problem fake;
    search s;
    bayesian *me = open_line(&s, &fake);
    const double x[2] = {0, 1}, y[2] = {-1, 1}, noise = 0.1, length = 0.5;
    nas_posterior p;
    observe_line(&p, me, 2, x, y, length, noise);
    assert_true(fabs(correlation(1) - 0.523994) < 1e-6);
    double d = 1 + noise, k = correlation(1 / length), det = d * d - k * k;
    for (int v = 0; v < 5; v++) {
        double at = v * 0.25, found;
        double a = correlation(at / length), b = correlation((1 - at) / length);
        double mean = ((d * a - k * b) * y[0] + (d * b - k * a) * y[1]) / det;
        double variance = 1 - (d * a * a - 2 * k * a * b + d * b * b) / det;
        nas_place_known place = place_at(&p, &at, 1, &found);
        assert_true(fabs(found - mean) < 1e-12);
        assert_true(fabs(place.variance - variance) < 1e-12);
        nas_place_free(&place);
    }
    double fit_of_y = (d * y[0] * y[0] - 2 * k * y[0] * y[1] + d * y[1] * y[1]) / det;
    assert_true(fabs(p.signal - (1 + fit_of_y) / 3) < 1e-12);
    nas_posterior_close(&p);
    finish(&s);
}

/* The bits are the same whether a place is asked about after each observation or at the end, and
 * after observations that were cut off again. A variance never grows. */
static void test_growth(void **state) {
    (void)state;
    fake_problem fake;
    search s;
    bayesian *me = open_line(&s, &fake);
    const double x[6] = {0, 1, 0.25, 0.75, 0.6, 0.1}, y[6] = {-1, 1, 0.3, -0.2, 2, 0.7};
    double at = 0.4, late_mean, mean;
    nas_posterior p, all;
    observe_line(&p, me, 1, x, y, 0.4, 0.05);
    observe_line(&all, me, 6, x, y, 0.4, 0.05);
    nas_place_known grown = place_at(&p, &at, 1, &mean);
    for (size_t n = 1; n < 6; n++) {
        double before = grown.variance, unused;
        nas_posterior_add(&p, &x[0], 5); /* a guess */
        nas_posterior_settle(&p);
        assert_true(nas_posterior_mean(&p, &grown, &unused));
        nas_posterior_narrow(&p, &grown, SIZE_MAX);
        nas_posterior_cut(&p, n);
        nas_place_cut(&grown, &p);
        assert_true(grown.variance == before);
        nas_posterior_add(&p, &x[n], y[n]);
        nas_posterior_settle(&p);
        assert_true(nas_posterior_mean(&p, &grown, &mean));
        nas_posterior_narrow(&p, &grown, SIZE_MAX);
        assert_true(grown.variance <= before);
    }
    nas_place_known late = place_at(&all, &at, 4, &late_mean);
    assert_true(grown.variance == late.variance && mean == late_mean && p.signal == all.signal);
    nas_place_free(&grown);
    nas_place_free(&late);
    nas_posterior_close(&p);
    nas_posterior_close(&all);
    finish(&s);
}

/* Observations at the same place, without noise: the correlations are singular. */
static void test_singular(void **state) {
    (void)state;
    fake_problem fake;
    search s;
    bayesian *me = open_line(&s, &fake);
    const double x[4] = {0.5, 0.5, 0.5, 1}, y[4] = {-1, -1, -1, 1};
    nas_posterior p;
    observe_line(&p, me, 4, x, y, 0.5, exp(-800)); /* a noise of 0 */
    for (int v = 0; v < 5; v++) {
        double at = v * 0.25, mean;
        nas_place_known place = place_at(&p, &at, 4, &mean);
        assert_true(isfinite(mean) && place.variance > -1e-9);
        if (v == 2) assert_true(fabs(mean + 1) < 1e-3);
        if (v == 4) assert_true(fabs(mean - 1) < 1e-3);
        nas_place_free(&place);
    }
    nas_posterior_close(&p);
    finish(&s);
}

/* ---- Fronts ---- */

/* The volume that some points cover up to the reference, by counting cells of a grid of halves. */
static double covered(const nas_front_point *points, size_t n, size_t n_costs, double value,
                      const double *cost) {
    enum { SIDE = 24 };
    size_t cells = 0, layers = n_costs > 1 ? SIDE : 1;
    for (size_t cell = 0; cell < SIDE * SIDE * layers; cell++) {
        const double at[3] = {(double)(cell % SIDE) / 2, (double)(cell / SIDE % SIDE) / 2,
                              (double)(cell / SIDE / SIDE) / 2};
        bool in = value <= at[0] && cost[0] <= at[1] && (n_costs < 2 || cost[1] <= at[2]);
        for (size_t i = 0; i < n && !in; i++)
            in = points[i].value <= at[0] && points[i].cost[0] <= at[1] &&
                 (n_costs < 2 || points[i].cost[1] <= at[2]);
        cells += in;
    }
    return (double)cells / (n_costs > 1 ? 8 : 4);
}

/* A nearly certain value adds the volume that it covers alone; an uncertain one, the mean of that
 * over its distribution, by the trapezium rule. Up to 12 in each. */
static void test_front_gain(void **state) {
    (void)state;
    for (uint64_t trial = 0; trial < 40; trial++) {
        const size_t n_costs = 1 + trial % 2;
        nas_front front = {.n_costs = n_costs, .reference = {12, {12, 12}, 0}};
        nas_front_point points[12];
        for (uint64_t i = 0; i < 12; i++) {
            double of[3];
            for (uint64_t m = 0; m < 3; m++)
                of[m] = (double)(scramble(trial * 99 + i * 3 + m) % 14);
            points[i] = (nas_front_point){of[0], {of[1], of[2]}, i};
            assert_true(nas_front_add(&front, points[i]));
        }
        double cost[2], mean = (double)(scramble(trial + 7) % 12), sum = 0, deviation = 1.5;
        for (uint64_t k = 0; k < 2; k++) cost[k] = (double)(scramble(trial * 3 + k + 1) % 12);
        double none = covered(points, 12, n_costs, 99, cost);
        double certain = covered(points, 12, n_costs, mean, cost) - none;
        double found = exp(nas_front_gain(&front, cost, mean, 1e-9));
        if (!(fabs(found - certain) < 1e-6)) fail_msg("%g, not %g", found, certain);
        for (int i = -16; i < 24; i++) { /* the volume is linear between halves */
            double y = i / 2.0 + 0.25, u = (y - mean) / deviation;
            double left = covered(points, 12, n_costs, i / 2.0, cost) - none;
            double right = covered(points, 12, n_costs, (i + 1) / 2.0, cost) - none;
            sum += 0.5 * (left + right) / 2 * exp(-u * u / 2) / (deviation * sqrt(2 * acos(-1)));
        }
        found = exp(nas_front_gain(&front, cost, mean, deviation));
        /* The grid has no values below 0. */
        if (mean > 5 && !(fabs(found - sum) < 0.02 * sum + 0.02))
            fail_msg("%g, not %g", found, sum);
        nas_front_free(&front);
    }
}

/* ---- Hyper-parameters ---- */

static void observe_results(bayesian *me, const result *results, size_t n, nas_gaussian *p) {
    double mean, deviation;
    assert_int_equal(nas_gaussian_open(p, n, me->n_dims, me->n_groups, me->group, NULL), NAS_OK);
    for (size_t i = 0; i < n; i++) {
        p->y[i] = results[i].value;
        nas_bayesian_encode(me, nas_genomes_at(&me->base.known, results[i].number),
                            p->x + i * p->dims);
    }
    nas_bayesian_moments(p->y, n, &mean, &deviation);
    for (size_t i = 0; i < n; i++) p->y[i] = (p->y[i] - mean) / deviation;
}

/* Two observations: against the determinant by hand. */
static void test_likelihood(void **state) {
    (void)state;
    fake_problem fake;
    search s;
    bayesian *me = open_line(&s, &fake);
    const double x[2] = {0, 1}, y[2] = {-1, 1}, noise = 0.1, length = 0.5;
    const double hyper[2] = {log(length), log(noise)};
    double d = 1 + noise, k = correlation(1 / length), det = d * d - k * k, gradient[2];
    double signal = (1 + (d * y[0] * y[0] - 2 * k * y[0] * y[1] + d * y[1] * y[1]) / det) / 3;
    double off = hyper[0] - sqrt(2);
    double expected =
        -1.5 * log(signal) - 0.5 * log(det) - off * off / 6 - (hyper[1] + 6) * (hyper[1] + 6) / 8;
    nas_gaussian p;
    assert_int_equal(nas_gaussian_open(&p, 2, me->n_dims, me->n_groups, me->group, NULL), NAS_OK);
    memcpy(p.x, x, sizeof x);
    memcpy(p.y, y, sizeof y);
    assert_true(fabs(nas_gaussian_likelihood(&p, hyper, gradient) - expected) < 1e-12);
    nas_gaussian_close(&p);
    finish(&s);
}

/* Random members of the family with their objective, under the given grouping. */
static void observe_family(search *s, fake_problem *fake, const char *lengths_option, size_t n,
                           nas_gaussian *p) {
    result results[50];
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
    assert_int_equal(nas_bayesian_gather(me, n, n, results), n);
    observe_results(me, results, n, p);
}

static void test_gradient(void **state) {
    (void)state;
    const char *const groupings[3] = {"\"kind\"", "\"gene\"", "\"one\""};
    const size_t n_groups[3] = {5, 25, 1};
    for (int i = 0; i < 3; i++) {
        fake_problem fake;
        search s;
        nas_gaussian p;
        double hyper[NAS_GAUSSIAN_HYPER], gradient[NAS_GAUSSIAN_HYPER], unused[NAS_GAUSSIAN_HYPER];
        observe_family(&s, &fake, groupings[i], 20, &p);
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
    double unused[NAS_GAUSSIAN_HYPER], hyper[NAS_GAUSSIAN_HYPER];
    observe_family(&s, &fake, "\"kind\"", 40, &p);
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
    assert_int_equal(nas_bayesian_gather(me, 40, 40, results), 40);
    observe_results(me, results, 40, &p);
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
    nas_bayesian_encode(s.self, genes, x);
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
    assert_int_equal(nas_bayesian_gather(s.self, 30, 10, results), 10);
    const size_t expected[10] = {3, 4, 5, 6, 7, 28, 27, 26, 24, 23};
    for (int i = 0; i < 10; i++) assert_int_equal(results[i].number, expected[i]);
    /* With that few it still goes on. */
    uint16_t more[8 * SMALL_GENES];
    ((bayesian *)s.self)->config.initial = 2;
    assert_int_equal(ask_for(&s, 8, more), 8);
    finish(&s);
}

/* The less is known, the fewer subnets are chosen without each other's results. */
static void test_at_once(void **state) {
    (void)state;
    fake_problem fake;
    search s;
    open_small(&fake, SMALL_GENES, 1, 0);
    prepare(&s, &fake, 1);
    set_option(&s, "initial", "6");
    begin(&s, true);
    uint16_t genomes[16 * SMALL_GENES];
    nas_error err;
    for (size_t told = 0, n; told < 20; told += n) {
        n = ask_for(&s, 16, genomes);
        if (told) assert_int_equal(n, told < 8 ? 2 : told / 3);
        for (size_t i = 0; i < n; i++) {
            double objective = (double)i, violation = 0;
            const uint16_t *genes = genomes + i * SMALL_GENES;
            assert_int_equal(s.api->tell(s.self, 1, genes, &objective, &violation, &err), NAS_OK);
        }
    }
    finish(&s);
}

/* ---- Choices ---- */

/* Bounds save work, not quality: no candidate has a larger improvement than the one chosen. */
static void test_most_promising(void **state) {
    (void)state;
    for (uint32_t n_objectives = 1; n_objectives <= 3; n_objectives++) {
        fake_problem fake;
        search s;
        open_family(&fake, n_objectives, 200);
        prepare(&s, &fake, 9);
        begin(&s, true);
        run_until(&s, 60, 1);
        bayesian *me = s.self;
        goal to = {0};
        size_t chosen;
        nas_error err;
        assert_int_equal(nas_bayesian_follow(me, &err), NAS_OK);
        me->asks++, me->n_list = 0;
        assert_int_equal(nas_pool_consider_random(me, &err), NAS_OK);
        assert_int_equal(nas_goal_open(me, &to, &err), NAS_OK);
        assert_int_equal(nas_goal_estimate(me, &to, 0, &err), NAS_OK);
        assert_int_equal(most_promising(me, &to, &chosen, &err), NAS_OK);
        double best = me->pool.each[chosen].gain;
        size_t narrowed = 0;
        for (size_t i = 0; i < me->n_list; i++) {
            candidate *one = &me->pool.each[me->list[i]];
            narrowed += one->exact;
            nas_posterior_narrow(&me->process, &one->place, SIZE_MAX);
            assert_true(nas_goal_gain(&to, one, me->process.signal) <= best + 1e-12);
        }
        assert_true(me->n_list >= 500 && narrowed < me->n_list / 2);
        nas_front_free(&to.front);
        finish(&s);
    }
}

static void keep(fake_problem *fake, const uint16_t *genes, void *all) {
    double objectives[3];
    size_t number;
    evaluate(fake, genes, objectives);
    assert_int_equal(nas_genomes_add(all, genes, &number, NULL), NAS_OK);
    nas_genomes_tell(all, number, objectives, 0);
}

/* The share of the small space's front that was found within n evaluations. */
static double front_found(uint32_t n_objectives, uint64_t seed, size_t n, size_t batch) {
    fake_problem fake;
    open_small(&fake, SMALL_GENES, n_objectives, n);
    nas_genomes all = {.n_genes = SMALL_GENES, .n_objectives = n_objectives};
    enumerate(&fake, keep, &all);
    search s;
    prepare(&s, &fake, seed);
    begin(&s, true);
    const uint16_t ends[2 * SMALL_GENES] = {0, 0, 0, 0, 0, 0, 2, 2, 3, 3, 3, 2};
    tell_about(&s, 2, ends);
    run_until(&s, n, batch);
    size_t front = 0, found = 0;
    for (size_t i = 0; i < all.n; i++) {
        bool beaten = false;
        const double *a = nas_genomes_objectives(&all, i);
        for (size_t k = 0; k < all.n && !beaten; k++) {
            const double *b = nas_genomes_objectives(&all, k);
            bool better = false, worse = false;
            for (uint32_t m = 0; m < n_objectives; m++)
                better = better || b[m] < a[m], worse = worse || b[m] > a[m];
            beaten = better && !worse;
        }
        front += !beaten;
        found += !beaten && nas_genomes_find(&s.all, nas_genomes_at(&all, i)) != NAS_NO_GENOME;
    }
    nas_genomes_free(&all);
    finish(&s);
    return (double)found / (double)front;
}

/* Most of the front, from a sixth of the subnets. */
static void test_finds_the_front(void **state) {
    (void)state;
    for (uint32_t n_objectives = 2; n_objectives <= FRONT_OBJECTIVES; n_objectives++)
        for (size_t batch = 1; batch <= 8; batch += 7) {
            double share[3];
            for (uint64_t seed = 0; seed < 3; seed++)
                share[seed] = front_found(n_objectives, seed, SMALL_SUBNETS / 6, batch);
            double middle = median(share, 3);
            if (!(middle > 0.5))
                fail_msg("%u objectives, batch %zu: %g", n_objectives, batch, middle);
        }
}

/* Of four objectives it says that it cannot, of a host that knows no costs it takes the first. */
static void test_objectives(void **state) {
    (void)state;
    fake_problem fake;
    search s;
    nas_error err;
    open_small(&fake, SMALL_GENES, 3, 40);
    prepare(&s, &fake, 1);
    begin(&s, false);
    fake.problem.n_objectives = fake.problem.n_traded = 4;
    assert_int_equal(s.api->start(s.self, &fake.problem, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "at most 3 objectives to trade, found 4; use nsga2"));
    fake.problem.n_objectives = fake.problem.n_traded = 2;
    s.all.n_objectives = 2;
    fake.problem.size = offsetof(nas_search_problem, n_traded);
    assert_int_equal(s.api->start(s.self, &fake.problem, &err), NAS_OK);
    run_until(&s, 40, 1);
    assert_int_equal(((bayesian *)s.self)->n_costs, 0);
    finish(&s);
}

/* Hyper-parameters are fitted ever more rarely, and the process stays within its room. */
static void test_many_results(void **state) {
    (void)state;
    fake_problem fake;
    search s;
    open_family(&fake, 1, 400);
    prepare(&s, &fake, 3);
    set_option(&s, "points", "64");
    set_option(&s, "candidates", "50");
    begin(&s, true);
    bayesian *me = s.self;
    size_t fits = 0, makes = 0, most = 0;
    for (int i = 0; i < 300; i++) {
        uint64_t fitted = me->own.fitted, made = me->made;
        uint16_t genes[MOST_GENES];
        assert_int_equal(ask_for(&s, 1, genes), 1);
        tell_about(&s, 1, genes);
        fits += me->own.fitted != fitted;
        makes += me->made != made;
        most = me->process.n > most ? me->process.n : most;
    }
    assert_in_range(fits, 10, 30);
    assert_in_range(makes, fits, 45);
    assert_in_range(most, 60, 64);
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
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_singular),
        cmocka_unit_test(test_likelihood),
        cmocka_unit_test(test_gradient),
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_relevance),
        cmocka_unit_test(test_expected_improvement),
        cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_points),
        cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_flat),
        cmocka_unit_test(test_front_gain),
        cmocka_unit_test(test_most_promising),
        cmocka_unit_test(test_finds_the_front),
        cmocka_unit_test(test_objectives),
        cmocka_unit_test(test_many_results),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
