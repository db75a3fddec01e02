/* The search plugin `evolution`: the oldest dies, the best of a sample has a child, one gene
 * changes; with survival "rank" the best of parents and children survive. */
#include "../plugins/search/evolution.c"

enum { EVALUATIONS = 200, OPTIMUM = 150 };
#include "search_checks.h"

/* A problem of one gene with the values 0 .. n - 1, told in that order with the given worth. */
static void tell_line(search *s, fake_problem *fake, uint16_t n, const double *objective) {
    const double violation = 0;
    nas_error err;
    assert_int_equal(n, fake->arity[0]);
    for (uint16_t v = 0; v < n; v++)
        assert_int_equal(s->api->tell(s->self, 1, &v, &objective[v], &violation, &err), NAS_OK);
}

static void open_line(search *s, fake_problem *fake, uint16_t n) {
    *fake = (fake_problem){0};
    add_gene(fake, n, "a");
    close_problem(fake, 1, 0);
    prepare(s, fake, 1);
}

/* The first is the best by far, but only the youngest four are alive. */
static void test_the_oldest_dies(void **state) {
    (void)state;
    fake_problem fake;
    search s;
    const double objective[7] = {0, 1, 9, 8, 5, 7, 6};
    open_line(&s, &fake, 7);
    set_option(&s, "population", "4");
    set_option(&s, "sample", "60");
    begin(&s, true);
    tell_line(&s, &fake, 7, objective);
    for (int i = 0; i < 50; i++) assert_int_equal(parent_by_age(s.self), 4);
    finish(&s);
}

/* It proposes no more at once than can be parents. */
static void test_no_more_than_live(void **state) {
    (void)state;
    fake_problem fake;
    search s;
    uint16_t genomes[16 * MOST_GENES];
    open_family(&fake, 1, 50);
    prepare(&s, &fake, 1);
    begin(&s, true);
    assert_int_equal(ask_for(&s, 16, genomes), 5);
    finish(&s);
}

/* Of k draws from n, with replacement, the best is one with probability 1 - (1 - 1 / n)^k. */
static void test_sample(void **state) {
    (void)state;
    enum { DRAWS = 4000, ALIVE = 8 };
    const double objective[ALIVE] = {5, 4, 7, 1, 8, 2, 6, 3};
    for (int sample = 1; sample <= 9; sample += 4) {
        fake_problem fake;
        search s;
        char text[16];
        snprintf(text, sizeof text, "%d", sample);
        open_line(&s, &fake, ALIVE);
        set_option(&s, "population", "8");
        set_option(&s, "sample", text);
        begin(&s, true);
        tell_line(&s, &fake, ALIVE, objective);
        double best = 0, worst = 0;
        for (int i = 0; i < DRAWS; i++) {
            size_t chosen = parent_by_age(s.self);
            best += (chosen == 3) / (double)DRAWS;
            worst += (chosen == 4) / (double)DRAWS;
        }
        double expected = 1 - pow(1 - 1.0 / ALIVE, sample), least = pow(1.0 / ALIVE, sample);
        assert_true(fabs(best - expected) < 5 * sqrt(expected * (1 - expected) / DRAWS));
        assert_true(fabs(worst - least) < 5 * sqrt(least / DRAWS) + 1e-9);
        finish(&s);
    }
}

/* Every active gene changes as often, to every other value as often; a block that is switched on
 * is the smallest. */
static void test_one_gene_changes(void **state) {
    (void)state;
    enum { CHILDREN = 6000 };
    fake_problem fake;
    open_small(&fake, SMALL_GENES, 1, 0);
    search s;
    prepare(&s, &fake, 2);
    begin(&s, true);
    nas_strategy *base = s.self;
    const uint16_t parent_genes[SMALL_GENES] = {1, 1, 2, 0, 3, 0}; /* gene 3 is inactive */
    double changed[SMALL_GENES] = {0}, value[4] = {0};
    for (int i = 0; i < CHILDREN; i++) {
        uint16_t genes[SMALL_GENES];
        memcpy(genes, parent_genes, sizeof genes);
        nas_mutate(base, 0, genes);
        fake_canonical(&fake.problem, genes);
        int n = 0, which = -1;
        for (int g = 0; g < SMALL_GENES; g++) {
            bool switched = genes[1] != 1 && (g == 2 || g == 3);
            if (!switched && genes[g] != parent_genes[g]) n++, which = g;
        }
        assert_int_equal(n, 1);
        changed[which]++;
        if (which == 4) value[genes[4]]++;
        if (genes[1] == 2) assert_int_equal(genes[3], 0);
    }
    for (int g = 0; g < SMALL_GENES; g++) {
        double p = g == 3 ? 0 : 0.2;
        assert_true(fabs(changed[g] / CHILDREN - p) <= 5 * sqrt(p * (1 - p) / CHILDREN));
    }
    for (int v = 0; v < 4; v++) {
        double p = v == 3 ? 0 : 1.0 / 3;
        assert_true(fabs(value[v] / changed[4] - p) <= 5 * sqrt(p / changed[4]));
    }
    finish(&s);
}

static void test_mutation_rate(void **state) {
    (void)state;
    enum { CHILDREN = 4000 };
    fake_problem fake;
    open_small(&fake, SMALL_GENES, 1, 0);
    search s;
    prepare(&s, &fake, 2);
    begin(&s, true);
    double changed = 0;
    for (int i = 0; i < CHILDREN; i++) {
        uint16_t genes[SMALL_GENES] = {1, 2, 2, 1, 3, 0};
        const uint16_t before[SMALL_GENES] = {1, 2, 2, 1, 3, 0};
        nas_mutate(s.self, 0.3, genes);
        for (int g = 0; g < SMALL_GENES; g++) changed += genes[g] != before[g];
    }
    double n = CHILDREN * (double)SMALL_GENES;
    assert_true(fabs(changed / n - 0.3) < 5 * sqrt(0.3 * 0.7 / n));
    finish(&s);
}

/* Each gene comes from a parent that has it. */
static void test_crossover(void **state) {
    (void)state;
    fake_problem fake;
    open_small(&fake, SMALL_GENES, 1, 0);
    search s;
    prepare(&s, &fake, 2);
    begin(&s, true);
    const uint16_t a[SMALL_GENES] = {0, 1, 2, 0, 0, 1}, b[SMALL_GENES] = {2, 2, 3, 1, 3, 1};
    int from_a[SMALL_GENES] = {0};
    for (int i = 0; i < 2000; i++) {
        uint16_t genes[SMALL_GENES];
        mix(s.self, a, b, genes);
        for (int g = 0; g < SMALL_GENES; g++) {
            assert_true(genes[g] == a[g] || genes[g] == b[g]);
            from_a[g] += genes[g] == a[g];
        }
        assert_int_equal(genes[3], 1); /* inactive in a */
    }
    for (int g = 0; g < 5; g++)
        if (g != 3) assert_in_range(from_a[g], 1000 - 112, 1000 + 112);
    finish(&s);
}

/* Generations of 8 that leave 2: the best two of parents and children, whenever they came. */
static void test_rank(void **state) {
    (void)state;
    enum { N = 24 };
    fake_problem fake;
    search s;
    const double objective[N] = {9, 3, 7, 5, 8, 6, 4, 2, 2, 9, 8, 7,
                                 6, 5, 3, 4, 1, 7, 0, 9, 8, 6, 5, 3};
    open_line(&s, &fake, N);
    set_option(&s, "population", "8");
    set_option(&s, "survival", "\"rank\"");
    begin(&s, true);
    evolution *me = s.self;
    nas_error err;
    const double violation = 0;
    const size_t expected[3][2] = {{7, 1}, {7, 8}, {18, 16}};
    for (int i = 0; i < N; i++) {
        uint16_t v = (uint16_t)i;
        assert_int_equal(s.api->tell(s.self, 1, &v, &objective[v], &violation, &err), NAS_OK);
        settle(me);
        if (v < 7) {
            assert_false(has_parents(me));
            continue;
        }
        assert_int_equal(me->n_members, 2);
        assert_memory_equal(me->members, expected[(v + 1) / 8 - 1], sizeof *expected);
    }
    finish(&s);
}

/* The settings of Once-for-All. */
static void test_rank_beats_random(void **state) {
    (void)state;
    double ours[SEEDS], random[SEEDS];
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        fake_problem fake;
        open_family(&fake, 1, EVALUATIONS);
        random[seed] = best_of_random(&fake, seed + 100, EVALUATIONS, NULL);
        search s;
        prepare(&s, &fake, seed);
        set_option(&s, "survival", "\"rank\"");
        set_option(&s, "crossover", "0.5");
        set_option(&s, "mutation", "0.1");
        begin(&s, true);
        run_until(&s, EVALUATIONS, 8);
        ours[seed] = s.best;
        finish(&s);
    }
    assert_true(median(ours, SEEDS) < median(random, SEEDS));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SEARCH_CHECKS,
        cmocka_unit_test(test_the_oldest_dies),
        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_no_more_than_live),
        cmocka_unit_test(test_one_gene_changes),
        cmocka_unit_test(test_mutation_rate),
        cmocka_unit_test(test_crossover),
        cmocka_unit_test(test_rank),
        cmocka_unit_test(test_rank_beats_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
