/* The search plugin `nsga2`: fronts, crowding and hypervolume against brute force, and a front that
 * is better than random search's. */
#include "../plugins/search/nsga2/nsga2.c"

enum { EVALUATIONS = 200, OPTIMUM = 150 };
#include "search_checks.h"

/* An instance whose members are the points, two objectives and a violation each. */
static nsga2 *open_points(search *s, fake_problem *fake, uint16_t n, double (*point)[3]) {
    *fake = (fake_problem){0};
    add_gene(fake, n, "a");
    close_problem(fake, 2, 0);
    prepare(s, fake, 1);
    set_option(s, "population", "50");
    begin(s, true);
    nsga2 *me = s->self;
    nas_error err;
    for (uint16_t v = 0; v < n; v++) {
        assert_int_equal(s->api->tell(me, 1, &v, point[v], &point[v][2], &err), NAS_OK);
        me->members[me->n_members++].number = v;
    }
    return me;
}

/* By the definition, written another way. */
static bool better(const double *a, const double *b) {
    if (a[2] > 0 || b[2] > 0) return a[2] < b[2];
    return a[0] <= b[0] && a[1] <= b[1] && (a[0] < b[0] || a[1] < b[1]);
}

static void test_fronts(void **state) {
    (void)state;
    enum { N = 60 };
    for (uint64_t trial = 0; trial < 30; trial++) {
        double point[N][3];
        size_t front[N], left = N;
        for (uint64_t i = 0; i < N; i++) {
            for (uint64_t m = 0; m < 2; m++) /* few values: many ties */
                point[i][m] = (double)(scramble(trial * 1000 + i * 3 + m) % 12);
            point[i][2] = trial % 3 ? 0 : (double)(scramble(trial * 999 + i) % 4);
        }
        for (size_t i = 0; i < N; i++) front[i] = SIZE_MAX;
        for (size_t k = 0; left; k++) { /* peel off what none of the rest beats */
            bool peeled[N] = {false};
            for (size_t i = 0; i < N; i++) {
                bool beaten = front[i] != SIZE_MAX;
                for (size_t j = 0; j < N && !beaten; j++)
                    beaten = front[j] == SIZE_MAX && better(point[j], point[i]);
                peeled[i] = !beaten;
            }
            for (size_t i = 0; i < N; i++)
                if (peeled[i]) front[i] = k, left--;
        }
        fake_problem fake;
        search s;
        nsga2 *me = open_points(&s, &fake, N, point);
        rank(me);
        for (size_t i = 0; i < N; i++) assert_int_equal(me->members[i].rank, front[i]);
        finish(&s);
    }
}

/* Two fronts and two that break a constraint. */
static double points[9][3] = {
    {6, 1, 0}, {0, 10, 0}, {3, 3, 0}, {10, 0, 0}, {1, 5, 0},
    {4, 6, 0}, {12, 2, 0}, {0, 0, 2}, {0, 0, 1},
};

static void test_crowding(void **state) {
    (void)state;
    fake_problem fake;
    search s;
    nsga2 *me = open_points(&s, &fake, 9, points);
    rank(me);
    measure_crowding(me);
    const size_t ranks[9] = {0, 0, 0, 0, 0, 1, 1, 3, 2};
    const double crowding[9] = {7 / 10. + 3 / 10.,
                                INFINITY,
                                5 / 10. + 4 / 10.,
                                INFINITY,
                                3 / 10. + 7 / 10.,
                                INFINITY,
                                INFINITY,
                                0,
                                0};
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(me->members[i].rank, ranks[i]);
        if (isinf(crowding[i]))
            assert_true(isinf(me->members[i].crowding));
        else
            assert_true(fabs(me->members[i].crowding - crowding[i]) < 1e-12);
    }
    finish(&s);
}

/* Fronts in turn; of the last one that has room the least crowded. */
static void test_selection(void **state) {
    (void)state;
    fake_problem fake;
    search s;
    nsga2 *me = open_points(&s, &fake, 9, points);
    me->size = 4;
    select_members(me);
    assert_int_equal(me->n_members, 4);
    const size_t first[4] = {1, 3, 0, 4}; /* the ends, then those with 1.0; not (3, 3) */
    for (size_t i = 0; i < 4; i++) assert_int_equal(me->members[i].number, first[i]);
    finish(&s);
    me = open_points(&s, &fake, 9, points);
    me->size = 8;
    select_members(me);
    assert_int_equal(me->n_members, 8);
    assert_int_equal(me->members[7].number, 8); /* the smaller violation */
    finish(&s);
}

/* Of two drawn with replacement the better one has a child: of four members the best with
 * probability 7 / 16, the worst with 1 / 16. */
static void test_tournament(void **state) {
    (void)state;
    enum { DRAWS = 4000 };
    double line[4][3] = {{3, 3, 0}, {1, 1, 0}, {2, 2, 0}, {0, 0, 1}};
    fake_problem fake;
    search s;
    nsga2 *me = open_points(&s, &fake, 4, line);
    select_members(me);
    double share[4] = {0};
    for (int i = 0; i < DRAWS; i++) share[tournament(me)[0]] += 1.0 / DRAWS;
    const double expected[4] = {3 / 16., 7 / 16., 5 / 16., 1 / 16.};
    for (int i = 0; i < 4; i++)
        assert_true(fabs(share[i] - expected[i]) < 5 * sqrt(expected[i] / DRAWS));
    finish(&s);
}

/* Points on a grid: counts the unit cells that some point dominates. */
static void test_hypervolume(void **state) {
    (void)state;
    enum { SIDE = 7, POINTS = 9 };
    for (uint32_t m = 1; m <= 4; m++)
        for (uint64_t trial = 0; trial < 20; trial++) {
            double value[POINTS][4], reference[4] = {SIDE, SIDE, SIDE, SIDE};
            const double *at[POINTS], *work[POINTS * 4];
            for (uint64_t i = 0; i < POINTS; i++) {
                at[i] = value[i];
                for (uint64_t k = 0; k < m; k++) /* some lie beyond the reference */
                    value[i][k] = (double)(scramble(trial * 500 + i * 5 + k + m * 77) % (SIDE + 2));
            }
            int cells = 0, all = 1;
            for (uint32_t k = 0; k < m; k++) all *= SIDE;
            for (int cell = 0; cell < all; cell++) {
                bool covered = false;
                for (int i = 0; i < POINTS && !covered; i++) {
                    covered = true;
                    for (uint32_t k = 0, rest = (uint32_t)cell; k < m; k++, rest /= SIDE)
                        covered = covered && value[i][k] <= rest % SIDE;
                }
                cells += covered;
            }
            double volume = nas_hypervolume(at, POINTS, m, reference, work);
            assert_true(fabs(volume - cells) < 1e-9);
            assert_true(nas_hypervolume(at, 0, m, reference, work) == 0);
        }
}

/* The hypervolume of what a search found, against the family's extremes. */
static double covered(const nas_genomes *found, const double *reference) {
    const double **at = malloc(3 * found->n * sizeof *at);
    assert_non_null(at);
    size_t n = 0;
    for (size_t i = 0; i < found->n; i++)
        if (found->violation[i] <= 0) at[n++] = nas_genomes_objectives(found, i);
    double volume = nas_hypervolume(at, n, 2, reference, at + found->n);
    free(at);
    return volume;
}

static void test_front_beats_random(void **state) {
    (void)state;
    double ours[SEEDS], random[SEEDS];
    const double reference[2] = {0, 94};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        fake_problem fake;
        nas_genomes found;
        open_family(&fake, 2, EVALUATIONS);
        best_of_random(&fake, seed + 100, EVALUATIONS, &found);
        random[seed] = covered(&found, reference);
        nas_genomes_free(&found);
        search s;
        prepare(&s, &fake, seed);
        begin(&s, true);
        run_until(&s, EVALUATIONS, 8);
        ours[seed] = covered(&s.all, reference);
        finish(&s);
    }
    double best = median(ours, SEEDS), base = median(random, SEEDS);
    if (!(best > base)) fail_msg("median %g, random %g", best, base);
}

static void keep(fake_problem *fake, const uint16_t *genes, void *all) {
    double objectives[3];
    size_t number;
    assert_int_equal(nas_genomes_add(all, genes, &number, NULL), NAS_OK);
    evaluate(fake, genes, objectives);
    nas_genomes_tell(all, number, objectives, 0);
}

/* Nearly the whole front of a small space, from a third of its subnets. */
static void test_finds_the_front(void **state) {
    (void)state;
    double share[SEEDS];
    const double reference[2] = {0, 20};
    fake_problem fake;
    open_small(&fake, SMALL_GENES, 2, SMALL_SUBNETS / 3);
    nas_genomes all = {.n_genes = SMALL_GENES, .n_objectives = 2};
    enumerate(&fake, keep, &all);
    assert_int_equal(all.n, SMALL_SUBNETS);
    double whole = covered(&all, reference);
    nas_genomes_free(&all);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        search s;
        prepare(&s, &fake, seed);
        begin(&s, true);
        run_until(&s, SMALL_SUBNETS / 3, 8);
        share[seed] = covered(&s.all, reference) / whole;
        finish(&s);
    }
    double middle = median(share, SEEDS);
    if (!(middle > 0.99)) fail_msg("%g of the hypervolume", middle);
}

/* Each generation says what its front covers, up to the worst of the first one. */
static void test_report(void **state) {
    (void)state;
    fake_problem fake;
    open_family(&fake, 2, 8 * GENERATIONS);
    search s;
    prepare(&s, &fake, 3);
    begin(&s, true);
    run_until(&s, 16, 8);
    uint16_t genomes[8 * MOST_GENES];
    tell_about(&s, ask_for(&s, 8, genomes), genomes);
    ask_for(&s, 8, genomes);
    assert_int_equal(s.host.n_lines, 3);
    double reference[2] = {-INFINITY, -INFINITY}, before = 0;
    for (size_t i = 0; i < 8; i++)
        for (int m = 0; m < 2; m++)
            reference[m] = fmax(reference[m], nas_genomes_objectives(&s.all, i)[m]);
    for (size_t generation = 1; generation <= 3; generation++) {
        nas_genomes so_far = s.all;
        so_far.n = 8 * generation;
        char expected[200];
        double volume = covered(&so_far, reference);
        const char *line = s.host.line[generation - 1];
        snprintf(expected, sizeof expected, "hypervolume %.6g up to worth %.6g, cost %.6g", volume,
                 reference[0], reference[1]);
        if (!strstr(line, expected)) fail_msg("expected '%s', found '%s'", expected, line);
        assert_true(volume > before);
        before = volume;
    }
    finish(&s);
}

/* Under a stretch of genes from the other parent the child changes sides at most twice. */
static void test_crossover(void **state) {
    (void)state;
    fake_problem fake;
    fake = (fake_problem){0};
    for (int g = 0; g < 20; g++) add_gene(&fake, 2, "a");
    close_problem(&fake, 1, 0);
    uint16_t a[20] = {0}, b[20], genes[20];
    for (int g = 0; g < 20; g++) b[g] = 1;
    for (int two_point = 0; two_point < 2; two_point++) {
        search s;
        prepare(&s, &fake, 1);
        set_option(&s, "points", two_point ? "\"two_point\"" : "\"uniform\"");
        begin(&s, true);
        int from_b[20] = {0}, most = 0;
        for (int i = 0; i < 2000; i++) {
            mix(s.self, a, b, genes);
            int changes = 0;
            for (int g = 0; g < 20; g++) {
                from_b[g] += genes[g];
                changes += genes[g] != genes[(g + 1) % 20];
            }
            most = changes > most ? changes : most;
        }
        if (two_point)
            assert_int_equal(most, 2);
        else
            assert_true(most > 10);
        for (int g = 0; g < 20; g++) assert_in_range(from_b[g], 850, 1200);
        finish(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SEARCH_CHECKS,
        cmocka_unit_test(test_fronts),
        cmocka_unit_test(test_crowding),
        cmocka_unit_test(test_selection),
        cmocka_unit_test(test_tournament),
        cmocka_unit_test(test_hypervolume),
        cmocka_unit_test(test_front_beats_random),
        cmocka_unit_test(test_finds_the_front),
        cmocka_unit_test(test_report),
        cmocka_unit_test(test_crossover),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
