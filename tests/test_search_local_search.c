/* The search plugin `local_search`: every neighbour, the best move, and starts that cost nothing
 * more than they must. */
#include "../plugins/search/local_search.c"

enum { EVALUATIONS = 400, OPTIMUM = 200 };
#include "search_checks.h"

/* The neighbours are the subnets that one changed gene gives, each once, if they are feasible. */
static void test_neighbours(void **state) {
    (void)state;
    fake_problem fake;
    open_small(&fake, SMALL_GENES, 1, 0);
    fake.limit = 9;
    search s;
    prepare(&s, &fake, 1);
    begin(&s, true);
    local_search *me = s.self;
    const uint16_t middle[SMALL_GENES] = {1, 1, 2, 0, 3, 1};
    tell_about(&s, 1, middle);
    me->own.current = 0;
    surround(me);
    /* Costs 8. Genes 0, 1, 2, 4, 5 have 2 + 2 + 3 + 3 + 2 other values; a second block does not
     * change gene 3. All cost at most 9. */
    assert_int_equal(me->n_around, 12);
    for (size_t i = 0; i < 12; i++) {
        const uint16_t *genes = neighbour_at(me, i);
        int n = 0;
        for (int g = 0; g < SMALL_GENES; g++)
            n += genes[g] != middle[g] && !(genes[1] == 0 && g == 2);
        assert_int_equal(n, 1);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(genes, neighbour_at(me, j), sizeof middle);
    }
    fake.limit = 8; /* without the four that cost 9 */
    me->around = NOWHERE;
    surround(me);
    assert_int_equal(me->n_around, 8);
    finish(&s);
}

/* Follows climbs: every neighbour of where it stands is told before it goes elsewhere: to the best
 * of them, or further, or, if none is better, to a new start. */
static void test_best_move(void **state) {
    (void)state;
    fake_problem fake;
    open_family(&fake, 1, 0);
    search s;
    prepare(&s, &fake, 3);
    begin(&s, true);
    local_search *me = s.self;
    uint16_t genes[MOST_GENES], next[MOST_GENES];
    int climbed = 0, restarted = 0;
    for (int i = 0; i < 3000; i++) {
        size_t before = (size_t)me->own.current;
        assert_int_equal(ask_for(&s, 1, genes), 1);
        if (before != NAS_NO_GENOME && me->own.current != before) {
            const nas_genomes *known = &me->base.known;
            size_t best = before;
            for (uint32_t g = 0; g < known->n_genes; g++)
                for (uint16_t v = 0; v < fake.arity[g]; v++) {
                    nas_neighbour(&fake.problem, nas_genomes_at(known, before), g, v, next);
                    size_t number = nas_genomes_find(known, next);
                    assert_true(number != NAS_NO_GENOME && nas_genomes_is_told(known, number));
                    if (nas_genomes_better(known, number, best)) best = number;
                }
            if (me->own.current == NOWHERE)
                restarted++;
            else if (++climbed)
                assert_false(nas_genomes_better(known, best, (size_t)me->own.current));
            if (best == before) assert_true(me->own.current == NOWHERE);
        }
        tell_about(&s, 1, genes);
    }
    assert_true(climbed > 10 && restarted >= 1);
    finish(&s);
}

/* Starts from the best of the first ten. */
static void test_start(void **state) {
    (void)state;
    fake_problem fake;
    open_family(&fake, 1, 0);
    search s;
    prepare(&s, &fake, 3);
    begin(&s, true);
    local_search *me = s.self;
    uint16_t genomes[16 * MOST_GENES];
    assert_int_equal(ask_for(&s, 16, genomes), 10);
    tell_about(&s, 10, genomes);
    size_t best = 0;
    for (size_t i = 1; i < 10; i++)
        if (nas_genomes_better(&s.all, i, best)) best = i;
    assert_int_equal(ask_for(&s, 16, genomes), 16);
    assert_int_equal(me->own.current, best);
    finish(&s);
}

/* One subnet in thousands is feasible: one draw, then downhill without an evaluation. */
static void test_approach(void **state) {
    (void)state;
    fake_problem fake;
    open_family(&fake, 1, 40);
    fake.limit = 24;
    search s;
    prepare(&s, &fake, 3);
    set_option(&s, "tries", "60");
    begin(&s, true);
    run_until(&s, 40, 8);
    assert_int_equal(s.scored, 40);
    assert_int_equal(s.all.n, 40);
    finish(&s);
}

/* The other way to move: at the first better neighbour that is told. */
static void test_first_move(void **state) {
    (void)state;
    double best[SEEDS], first[SEEDS];
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        for (int i = 0; i < 2; i++) {
            fake_problem fake;
            open_family(&fake, 1, 200);
            search s;
            prepare(&s, &fake, seed);
            set_option(&s, "move", i ? "\"first\"" : "\"best\"");
            begin(&s, true);
            run_until(&s, 200, 1);
            (i ? first : best)[seed] = s.best;
            finish(&s);
        }
    assert_true(median(first, SEEDS) < median(best, SEEDS));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SEARCH_CHECKS,
        cmocka_unit_test(test_neighbours),
        cmocka_unit_test(test_best_move),
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_approach),
        cmocka_unit_test(test_first_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
