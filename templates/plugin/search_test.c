/* On a problem whose answer is known: no proposal comes twice, each is in range and feasible, and
 * the best is found with far fewer evaluations than there are genomes. */
#include "@ID@.c"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { GENES = 6, CHOICES = 4, BUDGET = 120 };

static uint64_t draw(const nas_host *host, uint64_t stream, uint64_t counter) {
    uint64_t z = (stream << 32) + counter * 0x9e3779b97f4a7c15u;
    (void)host;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void canonical(const nas_search_problem *problem, uint16_t *genes) {
    (void)problem, (void)genes; /* every gene is active */
}

/* The first gene may not be 0. */
static double violation(const nas_search_problem *problem, const uint16_t *genes) {
    (void)problem;
    return genes[0] ? 0 : 1;
}

static double objective(const uint16_t *genes) {
    double sum = 0;
    for (int g = 0; g < GENES; g++) sum += fabs(genes[g] - 2.0);
    return sum;
}

int main(void) {
    const config given = {.random = 8, .tries = 1000, .rate = 0.2};
    const nas_host host = {.size = sizeof host, .random = draw};
    uint16_t arity[GENES], genes[GENES], all[BUDGET][GENES];
    const nas_search_problem problem = {.size = sizeof problem,
                                        .n_genes = GENES,
                                        .arity = arity,
                                        .n_objectives = 1,
                                        .budget = BUDGET,
                                        .canonical = canonical,
                                        .violation = violation};
    double best = INFINITY;
    void *self = NULL;
    nas_error err = {0};
    for (int g = 0; g < GENES; g++) arity[g] = CHOICES;
    assert(create(&host, &given, &self, &err) == NAS_OK);
    assert(start(self, &problem, &err) == NAS_OK);
    for (size_t i = 0, count; i < BUDGET; i++) {
        assert(ask(self, 1, genes, &count, &err) == NAS_OK && count == 1);
        for (int g = 0; g < GENES; g++) assert(genes[g] < CHOICES);
        assert(violation(&problem, genes) <= 0);
        for (size_t j = 0; j < i; j++) assert(memcmp(all[j], genes, sizeof genes) != 0);
        memcpy(all[i], genes, sizeof genes);
        double value = objective(genes), none = 0;
        best = fmin(best, value);
        assert(nas_strategy_tell(self, 1, genes, &value, &none, &err) == NAS_OK);
    }
    assert(best <= 0);
    destroy(self);
    destroy(NULL);
    return 0;
}
