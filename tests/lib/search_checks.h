/* The properties that every search strategy must have. A test program includes one plugin's .c
 * file, says
 *     enum { EVALUATIONS = ..., OPTIMUM = ... };
 * how many it needs to beat as many random subnets, and to find the best of SMALL_SUBNETS, then
 * includes this and lists SEARCH_CHECKS among its tests. */
#ifndef TESTS_SEARCH_CHECKS_H
#define TESTS_SEARCH_CHECKS_H

#include "search_harness.h"

#ifndef SEEDS
#define SEEDS 20 /* searches of a check */
#endif

/* Proposes all there is, nothing twice (ask_for() checks that), and then nothing. */
static void check_every_subnet_once(void **state) {
    (void)state;
    fake_problem fake;
    open_small(&fake, TINY_GENES, 1, TINY_SUBNETS);
    search s;
    prepare(&s, &fake, 1);
    begin(&s, true);
    run_until(&s, 10 * TINY_SUBNETS, 10);
    assert_int_equal(s.all.n, TINY_SUBNETS);
    uint16_t genes[10 * MOST_GENES];
    assert_int_equal(ask_for(&s, 10, genes), 0);
    finish(&s);
}

static void check_nothing_to_ask_for(void **state) {
    (void)state;
    fake_problem fake;
    open_small(&fake, TINY_GENES, 1, 5);
    search s;
    prepare(&s, &fake, 1);
    begin(&s, true);
    uint16_t genes[MOST_GENES];
    assert_int_equal(ask_for(&s, 0, genes), 0);
    assert_int_equal(ask_for(&s, 1, genes), 1);
    finish(&s);
}

/* Under a constraint that the optimum without it breaks. */
static void check_finds_the_optimum(void **state) {
    (void)state;
    int found = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        fake_problem fake;
        open_small(&fake, SMALL_GENES, 1, OPTIMUM);
        fake.limit = 6;
        double least = INFINITY;
        enumerate(&fake, lower, &least);
        search s;
        prepare(&s, &fake, seed);
        begin(&s, true);
        run_until(&s, OPTIMUM, 8);
        found += s.best <= least;
        finish(&s);
    }
    if (found < SEEDS * 8 / 10) fail_msg("found the optimum %d times of %d", found, SEEDS);
}

static void against_random(double limit) {
    double ours[SEEDS], random[SEEDS];
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        fake_problem fake;
        open_family(&fake, 1, EVALUATIONS);
        fake.limit = limit;
        random[seed] = best_of_random(&fake, seed + 100, EVALUATIONS, NULL);
        search s;
        prepare(&s, &fake, seed);
        begin(&s, true);
        run_until(&s, EVALUATIONS, 8);
        assert_int_equal(s.scored, EVALUATIONS);
        ours[seed] = s.best;
        finish(&s);
    }
    double best = median(ours, SEEDS), base = median(random, SEEDS);
    if (!(best < base)) fail_msg("median %g, random %g, limit %g", best, base, limit);
}

static void check_beats_random(void **state) {
    (void)state;
    against_random(INFINITY);
    against_random(FAMILY_TIGHT);
}

/* One random subnet in thirty meets the constraint; every proposal does. */
static void check_asks_for_feasible_ones(void **state) {
    (void)state;
    fake_problem fake;
    open_family(&fake, 1, 60);
    fake.limit = FAMILY_TIGHT;
    search s;
    prepare(&s, &fake, 3);
    begin(&s, true);
    run_until(&s, 60, 8);
    assert_int_equal(s.all.n, 60);
    for (size_t i = 0; i < 60; i++) assert_true(s.all.violation[i] <= 0);
    finish(&s);
}

static void check_nothing_is_feasible(void **state) {
    (void)state;
    fake_problem fake;
    open_family(&fake, 1, 20);
    fake.limit = 0.001;
    search s;
    prepare(&s, &fake, 1);
    set_option(&s, "tries", "20");
    begin(&s, true);
    run_until(&s, 20, 8);
    assert_int_equal(s.scored, 0);
    assert_int_equal(s.all.n, 80);
    /* 80 proposals and results; a start of local search looks at some neighbours 20 times. */
    if (fake.asked > 80 * 20 * 60) fail_msg("%d costs", (int)fake.asked);
    finish(&s);
}

/* A cost model that fails says infinity, or by mistake NaN; some subnets it knows. */
static double broken_violation(const nas_search_problem *problem, const uint16_t *genes) {
    (void)problem;
    if (!genes[0] && !genes[1]) return 0;
    return genes[0] ? (double)NAN : (double)INFINITY;
}

static void check_broken_cost(void **state) {
    (void)state;
    fake_problem fake;
    open_small(&fake, SMALL_GENES, 1, 40);
    fake.problem.violation = broken_violation;
    search s;
    prepare(&s, &fake, 5);
    begin(&s, true);
    run_until(&s, 40, 4);
    assert_int_equal(s.scored, 12); /* all with genes 0 and 1 at 0: 4 * 3 */
    finish(&s);
}

/* Results that are no numbers are no results, and no harm. */
static void check_no_numbers(void **state) {
    (void)state;
    fake_problem fake;
    open_small(&fake, SMALL_GENES, 1, 100);
    search s;
    prepare(&s, &fake, 5);
    begin(&s, true);
    uint16_t genomes[5 * MOST_GENES];
    const double objectives[5] = {NAN, INFINITY, -INFINITY, 1, 2};
    const double violation[5] = {0, 0, 0, NAN, 0};
    nas_error err;
    for (int i = 0; i < 15; i++) {
        size_t n = ask_for(&s, 5, genomes);
        assert_int_equal(s.api->tell(s.self, n, genomes, objectives, violation, &err), NAS_OK);
    }
    run_until(&s, 20, 5);
    assert_int_equal(s.scored, 20);
    finish(&s);
}

/* Nor is a subnet that the host found by itself, or that was told in another form. */
static void check_told_is_not_proposed(void **state) {
    (void)state;
    fake_problem fake;
    open_small(&fake, TINY_GENES, 1, TINY_SUBNETS);
    search s;
    prepare(&s, &fake, 1);
    begin(&s, true);
    const uint16_t told[2 * TINY_GENES] = {0, 0, 3, 2, 2, 2, 3, 3}; /* the first: 0, 0, 0, 0 */
    const uint16_t canonical[TINY_GENES] = {0};
    tell_about(&s, 2, told);
    assert_int_equal(nas_genomes_add(&s.all, canonical, NULL, NULL), NAS_OK);
    run_until(&s, 10 * TINY_SUBNETS, 10);
    assert_int_equal(s.all.n, TINY_SUBNETS + 1); /* with the form that is not canonical */
    finish(&s);
}

/* Results may come late, and in another order. */
static void check_late_results(void **state) {
    (void)state;
    fake_problem fake;
    open_family(&fake, 1, 60);
    search s;
    prepare(&s, &fake, 1);
    begin(&s, true);
    uint16_t genomes[6][10 * MOST_GENES];
    for (int i = 0; i < 6; i++) {
        for (size_t n = 0; n < 10;) { /* in pieces, if it likes */
            size_t more = ask_for(&s, 10 - n, genomes[i] + n * fake.problem.n_genes);
            assert_true(more > 0);
            n += more;
        }
        if (i >= 3) tell_about(&s, 10, genomes[i - 3]);
    }
    for (int i = 5; i >= 3; i--) tell_about(&s, 10, genomes[i]);
    assert_true(ask_for(&s, 10, genomes[0]) > 0);
    finish(&s);
}

static void check_small_budgets(void **state) {
    (void)state;
    for (uint64_t budget = 1; budget < 12; budget++) {
        fake_problem fake;
        open_family(&fake, 1, budget);
        search s;
        prepare(&s, &fake, budget);
        begin(&s, true);
        run_until(&s, budget, 4);
        assert_int_equal(s.scored, budget);
        finish(&s);
    }
}

static void check_seeds(void **state) {
    (void)state;
    fake_problem fake;
    open_family(&fake, 1, 60);
    search s[3];
    for (int i = 0; i < 3; i++) {
        prepare(&s[i], &fake, i == 2 ? 8 : 7);
        begin(&s[i], true);
        run_until(&s[i], 60, 8);
    }
    size_t bytes = 60 * fake.problem.n_genes * sizeof(uint16_t);
    assert_memory_equal(s[0].all.genes, s[1].all.genes, bytes);
    assert_memory_not_equal(s[0].all.genes, s[2].all.genes, bytes);
    for (int i = 0; i < 3; i++) finish(&s[i]);
}

/* ---- State ---- */

static char *saved(search *s, size_t *bytes) {
    nas_error err;
    *bytes = s->state->bytes(s->self);
    char *buffer = malloc(*bytes + 1);
    assert_non_null(buffer);
    assert_int_equal(s->state->save(s->self, buffer, &err), NAS_OK);
    return buffer;
}

/* Interrupted after some evaluations, and with some proposals not told yet, a fresh instance goes
 * on as the old one does. */
static void resume(uint64_t evaluations, bool start_first) {
    enum { PENDING = 3, MORE = 24 };
    fake_problem fake;
    open_family(&fake, 1, 80);
    fake.limit = 45;
    search whole, resumed;
    uint16_t pending[PENDING * MOST_GENES];
    nas_error err;
    size_t bytes, again_bytes;
    prepare(&whole, &fake, 4);
    prepare(&resumed, &fake, 4);
    begin(&whole, true);
    begin(&resumed, start_first);
    run_until(&whole, evaluations, 8);
    size_t n_pending = ask_for(&whole, PENDING, pending);
    char *buffer = saved(&whole, &bytes);
    if (resumed.state->load(resumed.self, buffer, bytes, &err)) fail_msg("%s", err.message);
    if (!start_first)
        assert_int_equal(resumed.api->start(resumed.self, &fake.problem, &err), NAS_OK);
    char *again = saved(&resumed, &again_bytes);
    assert_int_equal(bytes, again_bytes);
    assert_memory_equal(buffer, again, bytes);
    search *both[2] = {&whole, &resumed};
    for (int i = 0; i < 2; i++) {
        both[i]->scored = 0;
        tell_about(both[i], n_pending, pending);
        run_until(both[i], PENDING + MORE, 8);
    }
    size_t values = MORE * fake.problem.n_genes;
    assert_memory_equal(whole.all.genes + whole.all.n * fake.problem.n_genes - values,
                        resumed.all.genes + resumed.all.n * fake.problem.n_genes - values,
                        values * sizeof(uint16_t));
    free(buffer);
    free(again);
    finish(&whole);
    finish(&resumed);
}

static void check_resume(void **state) {
    (void)state;
    const uint64_t evaluations[] = {0, 5, 30, 49};
    for (int i = 0; i < 4; i++) {
        resume(evaluations[i], true);
        resume(evaluations[i], false);
    }
}

/* Before the first start nothing is known of the space. */
static void check_fresh_state(void **state) {
    (void)state;
    fake_problem fake;
    open_family(&fake, 1, 20);
    search fresh, used;
    nas_error err;
    size_t bytes;
    prepare(&fresh, &fake, 1);
    prepare(&used, &fake, 1);
    begin(&fresh, false);
    begin(&used, true);
    run_until(&used, 10, 4);
    char *buffer = saved(&fresh, &bytes);
    assert_int_equal(used.state->load(used.self, buffer, bytes, &err), NAS_OK);
    assert_int_equal(fresh.api->start(fresh.self, &fake.problem, &err), NAS_OK);
    uint16_t a[8 * MOST_GENES], b[8 * MOST_GENES];
    nas_genomes_free(&used.all);
    used.all.n_genes = fake.problem.n_genes, used.all.n_objectives = 1;
    size_t n = ask_for(&fresh, 8, a);
    assert_true(n > 0);
    assert_int_equal(ask_for(&used, 8, b), n);
    assert_memory_equal(a, b, n * fake.problem.n_genes * sizeof *a);
    free(buffer);
    finish(&fresh);
    finish(&used);
}

static void refuse(search *s, const char *buffer, size_t bytes, const char *why) {
    nas_error err;
    assert_int_equal(s->state->load(s->self, buffer, bytes, &err), NAS_ERR_INPUT);
    if (!strstr(err.message, why)) fail_msg("expected '%s', found '%s'", why, err.message);
}

/* Cut, of another space, or damaged: refused, and the search goes on as if nothing had been. */
static void check_bad_state(void **state) {
    (void)state;
    fake_problem fake, other;
    open_family(&fake, 1, 40);
    open_small(&other, SMALL_GENES, 1, 40);
    search s, of_other;
    prepare(&s, &fake, 1);
    prepare(&of_other, &other, 1);
    begin(&s, true);
    begin(&of_other, true);
    run_until(&s, 12, 4);
    run_until(&of_other, 12, 4);
    size_t bytes, other_bytes;
    char *buffer = saved(&s, &bytes), *elsewhere = saved(&of_other, &other_bytes);
    for (size_t cut = 0; cut < bytes; cut++) refuse(&s, buffer, cut, s.plugin->id);
    refuse(&s, buffer, bytes + 1, "bytes");
    refuse(&s, elsewhere, other_bytes, "expected genomes of 25 genes");
    nas_state_header *header = (nas_state_header *)(void *)buffer;
    header->version++;
    refuse(&s, buffer, bytes, "version");
    header->version--;
    header->lengths[0] = bytes, header->lengths[1] = bytes;
    refuse(&s, buffer, bytes, "damaged");
    header->lengths[0] = fake.problem.n_genes, header->lengths[1] = 12;
    /* After the header: two counts, an objective and a violation each, order of telling, genes. */
    const size_t told = sizeof *header + (2 + 2 * 12) * sizeof(uint64_t);
    const size_t genes = told + 12 * sizeof(uint64_t);
    const size_t each = fake.problem.n_genes * sizeof(uint16_t);
    uint64_t numbers[2];
    memcpy(numbers, buffer + told, sizeof numbers);
    const uint64_t unknown = 12;
    memcpy(buffer + told, &unknown, sizeof unknown);
    refuse(&s, buffer, bytes, "damaged"); /* no such genome */
    memcpy(buffer + told, &numbers[1], sizeof *numbers);
    refuse(&s, buffer, bytes, "damaged"); /* told twice */
    memcpy(buffer + told, numbers, sizeof numbers);
    const uint16_t beyond = 7;
    memcpy(buffer + genes, &beyond, sizeof beyond);
    refuse(&s, buffer, bytes, "below 3, found 7");
    memcpy(buffer + genes, buffer + genes + each, each);
    refuse(&s, buffer, bytes, "damaged"); /* a genome twice */
    run_until(&s, 20, 4);
    assert_int_equal(s.all.n, 20);
    free(buffer);
    free(elsewhere);
    finish(&s);
    finish(&of_other);
}

static void check_misuse(void **state) {
    (void)state;
    fake_problem fake;
    open_small(&fake, SMALL_GENES, 1, 40);
    search s;
    prepare(&s, &fake, 1);
    begin(&s, false);
    uint16_t genes[MOST_GENES] = {9};
    size_t count = 7;
    const double zero = 0;
    nas_error err;
    assert_int_equal(s.api->ask(s.self, 1, genes, &count, &err), NAS_ERR_PLUGIN);
    assert_int_equal(count, 0);
    assert_int_equal(s.api->tell(s.self, 1, genes, &zero, &zero, &err), NAS_ERR_PLUGIN);
    uint32_t n_genes = fake.problem.n_genes;
    fake.problem.n_genes = 0;
    assert_int_equal(s.api->start(s.self, &fake.problem, &err), NAS_ERR_INPUT);
    fake.problem.n_genes = n_genes;
    assert_int_equal(s.api->start(s.self, &fake.problem, &err), NAS_OK);
    assert_int_equal(s.api->start(s.self, &fake.problem, &err), NAS_OK);
    assert_int_equal(s.api->tell(s.self, 1, genes, &zero, &zero, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "gene 0 is 9; expected less than 3"));
    assert_null(s.plugin->extension(s.self, "nas.other/1"));
    finish(&s);
    s.plugin->destroy(NULL);
}

#define SEARCH_CHECKS                                                                              \
    cmocka_unit_test(check_every_subnet_once), cmocka_unit_test(check_nothing_to_ask_for),         \
        cmocka_unit_test(check_finds_the_optimum), cmocka_unit_test(check_beats_random),           \
        cmocka_unit_test(check_asks_for_feasible_ones),                                            \
        cmocka_unit_test(check_nothing_is_feasible), cmocka_unit_test(check_broken_cost),          \
        cmocka_unit_test(check_no_numbers), cmocka_unit_test(check_told_is_not_proposed),          \
        cmocka_unit_test(check_late_results), cmocka_unit_test(check_small_budgets),               \
        cmocka_unit_test(check_seeds), cmocka_unit_test(check_resume),                             \
        cmocka_unit_test(check_fresh_state), cmocka_unit_test(check_bad_state),                    \
        cmocka_unit_test(check_misuse)

#endif
