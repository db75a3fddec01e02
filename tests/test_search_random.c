/* The search plugin `random`: distinct, feasible, bounded, resumable. */
#include "../plugins/search/random.c"

#include "base/rng.h"

#include <math.h>
#include <nashost/kit/state.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

enum { GENES = 4 };

/* Genes 2 and 3 are inactive unless gene 1 says so: 3 * (1 + 4 + 4 * 4) = 63 subnets. */
static const uint16_t arity[GENES] = {3, 3, 4, 4};
enum { SUBNETS = 3 * (1 + 4 + 16) };

typedef struct fake_problem {
    nas_search_problem problem;
    double limit; /* of the sum of genes */
    uint64_t asked;
} fake_problem;

static void fake_canonical(const nas_search_problem *problem, uint16_t *genes) {
    (void)problem;
    if (genes[1] < 2) genes[3] = 0;
    if (genes[1] < 1) genes[2] = 0;
}

static double fake_violation(const nas_search_problem *problem, const uint16_t *genes) {
    fake_problem *fake = problem->impl;
    double sum = 0;
    fake->asked++;
    for (int g = 0; g < GENES; g++) sum += genes[g];
    return fmax(0, sum - fake->limit);
}

static uint64_t fake_random(const nas_host *host, uint64_t stream, uint64_t counter) {
    (void)host;
    nas_rng rng = nas_rng_open(7, NAS_RNG_TEST, stream, counter);
    return nas_rng_u64(&rng);
}

static const nas_host host = {.size = sizeof host, .random = fake_random};

static void open_problem(fake_problem *fake, double limit) {
    *fake = (fake_problem){.limit = limit};
    fake->problem = (nas_search_problem){.size = sizeof fake->problem,
                                         .n_genes = GENES,
                                         .arity = arity,
                                         .impl = fake,
                                         .canonical = fake_canonical,
                                         .violation = fake_violation};
}

static void *open_search(int64_t tries, const nas_search_problem *problem) {
    const nas_plugin *entry = nas_plugin_entry();
    const random_config config = {tries};
    void *self = NULL;
    nas_error err = {0};
    if (entry->create(&host, &config, &self, &err)) fail_msg("%s", err.message);
    const nas_search_api *search = entry->vtable;
    if (problem && search->start(self, problem, &err)) fail_msg("%s", err.message);
    return self;
}

static size_t ask_for(void *self, size_t n, uint16_t *genomes) {
    size_t count = 99;
    nas_error err = {0};
    if (api.ask(self, n, genomes, &count, &err)) fail_msg("%s", err.message);
    assert_true(count <= n);
    return count;
}

static uint32_t code(const uint16_t *genes) {
    return ((genes[0] * 3u + genes[1]) * 4u + genes[2]) * 4u + genes[3];
}

static void test_every_subnet_once(void **state) {
    (void)state;
    fake_problem fake;
    open_problem(&fake, 1e9);
    void *self = open_search(5000, &fake.problem);
    uint16_t genomes[10 * GENES];
    bool seen[3 * 3 * 4 * 4] = {false};
    size_t total = 0, count;
    while ((count = ask_for(self, 10, genomes)) > 0) {
        for (size_t i = 0; i < count; i++) {
            uint16_t *genes = genomes + i * GENES, canonical[GENES];
            memcpy(canonical, genes, sizeof canonical);
            fake_canonical(&fake.problem, canonical);
            assert_memory_equal(genes, canonical, sizeof canonical);
            for (int g = 0; g < GENES; g++) assert_true(genes[g] < arity[g]);
            assert_false(seen[code(genes)]);
            seen[code(genes)] = true;
        }
        total += count;
        assert_true(total <= SUBNETS);
    }
    assert_int_equal(total, SUBNETS);
    /* Exhausted: it stays so, and returns at once. */
    assert_int_equal(ask_for(self, 1, genomes), 0);
    destroy(self);
}

static void test_feasible_first(void **state) {
    (void)state;
    fake_problem fake;
    open_problem(&fake, 2);
    void *self = open_search(5000, &fake.problem);
    uint16_t genomes[8 * GENES];
    /* Sums of at most 2: (0..2, 0, -, -), (0..1, 1, 0..1, -) but (1, 1, 1), (0, 2, 0, 0). */
    assert_int_equal(ask_for(self, 7, genomes), 7);
    for (size_t i = 0; i < 7; i++) {
        assert_true(fake_violation(&fake.problem, genomes + i * GENES) <= 0);
    }
    /* Then those that come closest: a sum of 3. */
    assert_int_equal(ask_for(self, 1, genomes), 1);
    assert_true(fake_violation(&fake.problem, genomes) == 1);
    destroy(self);
}

static void test_bounded_tries(void **state) {
    (void)state;
    fake_problem fake;
    open_problem(&fake, -1); /* nothing is feasible */
    void *self = open_search(20, &fake.problem);
    uint16_t genomes[3 * GENES];
    assert_int_equal(ask_for(self, 3, genomes), 3);
    assert_true(fake.asked <= 60);
    destroy(self);
}

/* A cost model that fails says infinity, or by mistake NaN; one subnet it knows. */
static double broken_violation(const nas_search_problem *problem, const uint16_t *genes) {
    (void)problem;
    if (!genes[0] && !genes[1]) return 0;
    return genes[0] ? NAN : INFINITY;
}

static void test_broken_cost(void **state) {
    (void)state;
    fake_problem fake;
    open_problem(&fake, 0);
    fake.problem.violation = broken_violation;
    void *self = open_search(500, &fake.problem);
    uint16_t genomes[2 * GENES];
    assert_int_equal(ask_for(self, 2, genomes), 2);
    assert_true(!genomes[0] && !genomes[1]);
    assert_int_not_equal(code(genomes), code(genomes + GENES));
    destroy(self);
}

static void test_uniform(void **state) {
    (void)state;
    enum { RUNS = 3000 };
    fake_problem fake;
    open_problem(&fake, 1e9);
    void *self = open_search(1, &fake.problem);
    double share[3] = {0};
    uint16_t genes[GENES];
    for (int i = 0; i < RUNS; i++) {
        nas_draw_genome(self, genes);
        share[genes[1]] += 1.0 / RUNS;
    }
    for (int i = 0; i < 3; i++) assert_true(fabs(share[i] - 1.0 / 3) < 5 * sqrt(2.0 / 9 / RUNS));
    destroy(self);
}

static void test_told_is_not_proposed(void **state) {
    (void)state;
    fake_problem fake;
    open_problem(&fake, 1e9);
    void *self = open_search(5000, &fake.problem);
    const uint16_t told[2][GENES] = {{0, 0, 0, 0}, {2, 2, 3, 3}};
    const double objectives[2] = {0}, violation[2] = {0};
    nas_error err = {0};
    assert_int_equal(api.tell(self, 2, told[0], objectives, violation, &err), NAS_OK);
    static uint16_t genomes[SUBNETS * GENES];
    size_t count = ask_for(self, SUBNETS, genomes);
    assert_int_equal(count, SUBNETS - 2);
    for (size_t i = 0; i < count; i++) {
        assert_int_not_equal(code(genomes + i * GENES), code(told[0]));
        assert_int_not_equal(code(genomes + i * GENES), code(told[1]));
    }
    destroy(self);
}

/* Interrupted after some asks, a fresh instance goes on as the old one would have. */
static void resume(bool start_first) {
    fake_problem fake;
    open_problem(&fake, 5);
    void *whole = open_search(50, &fake.problem);
    uint16_t before[12 * GENES], expected[12 * GENES], found[12 * GENES];
    assert_int_equal(ask_for(whole, 12, before), 12);
    const nas_state_api *saver = nas_plugin_entry()->extension(whole, NAS_EXT_STATE);
    size_t bytes = saver->bytes(whole);
    char *buffer = malloc(bytes);
    nas_error err = {0};
    assert_int_equal(saver->save(whole, buffer, &err), NAS_OK);
    size_t n = ask_for(whole, 12, expected);

    void *resumed = open_search(50, start_first ? &fake.problem : NULL);
    if (saver->load(resumed, buffer, bytes, &err)) fail_msg("%s", err.message);
    if (!start_first) assert_int_equal(api.start(resumed, &fake.problem, &err), NAS_OK);
    char *again = malloc(bytes);
    assert_int_equal(saver->bytes(resumed), bytes);
    assert_int_equal(saver->save(resumed, again, &err), NAS_OK);
    assert_memory_equal(again, buffer, bytes);
    free(again);
    assert_int_equal(ask_for(resumed, 12, found), n);
    assert_memory_equal(found, expected, n * GENES * sizeof *found);
    free(buffer);
    destroy(whole);
    destroy(resumed);
}

static void test_resume(void **state) {
    (void)state;
    resume(true);
    resume(false);
}

static void test_bad_state(void **state) {
    (void)state;
    fake_problem fake;
    open_problem(&fake, 1e9);
    void *self = open_search(50, &fake.problem);
    uint16_t genomes[5 * GENES];
    ask_for(self, 5, genomes);
    const nas_state_api *saver = nas_plugin_entry()->extension(self, NAS_EXT_STATE);
    size_t bytes = saver->bytes(self);
    char *buffer = malloc(bytes + 1);
    nas_error err = {0};
    saver->save(self, buffer, &err);
    assert_int_equal(saver->load(self, buffer, bytes - 1, &err), NAS_ERR_INPUT);
    assert_int_equal(saver->load(self, buffer, bytes + 1, &err), NAS_ERR_INPUT);
    assert_int_equal(saver->load(self, buffer, 3, &err), NAS_ERR_INPUT);
    nas_state_header *header = (nas_state_header *)(void *)buffer;
    header->lengths[0] = 6, header->lengths[1] = 4; /* as many bytes, another space */
    assert_int_equal(saver->load(self, buffer, bytes, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "expected genomes of 4 genes and 0 objectives, found 6"));
    header->lengths[0] = 0, header->lengths[1] = 5;
    assert_int_equal(saver->load(self, buffer, bytes, &err), NAS_ERR_INPUT);
    header->lengths[0] = bytes, header->lengths[1] = bytes;
    assert_int_equal(saver->load(self, buffer, bytes, &err), NAS_ERR_INPUT);
    /* Refused states leave the search as it was. */
    uint16_t more[GENES];
    assert_int_equal(ask_for(self, 1, more), 1);
    for (size_t i = 0; i < 5; i++) assert_int_not_equal(code(genomes + i * GENES), code(more));
    free(buffer);
    destroy(self);
}

static void test_misuse(void **state) {
    (void)state;
    void *self = open_search(50, NULL);
    uint16_t genes[GENES];
    size_t count = 7;
    nas_error err = {0};
    assert_int_equal(api.ask(self, 1, genes, &count, &err), NAS_ERR_PLUGIN);
    assert_int_equal(count, 0);
    fake_problem fake;
    open_problem(&fake, 0);
    fake.problem.n_genes = 0;
    assert_int_equal(api.start(self, &fake.problem, &err), NAS_ERR_INPUT);
    assert_null(nas_strategy_extension(self, "nas.other/1"));
    destroy(self);
    destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_subnet_once),
        cmocka_unit_test(test_feasible_first),
        cmocka_unit_test(test_bounded_tries),
        cmocka_unit_test(test_broken_cost),
        cmocka_unit_test(test_uniform),
        cmocka_unit_test(test_told_is_not_proposed),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_bad_state),
        cmocka_unit_test(test_misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
