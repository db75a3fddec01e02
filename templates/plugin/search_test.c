/* On a problem whose answer is known: no proposal comes twice, each is in range and feasible, and
 * the best is found with far fewer evaluations than there are genomes. */
#include "@ID@.c"

#include <math.h>
#include <stdio.h>
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

/* Ends the test with what was expected of the plugin, and what it said, if it did. */
static void expect(bool good, const char *what, const nas_error *err) {
    if (good) return;
    fprintf(stderr, "search plugin \"@ID@\": expected %s%s%s\n", what,
            err->message[0] ? "; it said: " : "", err->message);
    exit(1);
}

static void check_proposal(const uint16_t *genes, const uint16_t (*before)[GENES], size_t n,
                           const nas_search_problem *problem, const nas_error *err) {
    char what[120];
    for (int g = 0; g < GENES; g++) {
        snprintf(what, sizeof what, "proposal %zu to have 0 to %d for gene %d, found %u", n,
                 CHOICES - 1, g, genes[g]);
        expect(genes[g] < CHOICES, what, err);
    }
    snprintf(what, sizeof what, "proposal %zu to meet the constraints", n);
    expect(violation(problem, genes) <= 0, what, err);
    for (size_t j = 0; j < n; j++) {
        snprintf(what, sizeof what, "proposal %zu to be new, found proposal %zu again", n, j);
        expect(memcmp(before[j], genes, GENES * sizeof *genes) != 0, what, err);
    }
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
    char what[120];
    expect(create(&host, &given, &self, &err) == NAS_OK, "create() to succeed", &err);
    expect(start(self, &problem, &err) == NAS_OK, "start() to succeed", &err);
    for (size_t i = 0, count; i < BUDGET; i++) {
        expect(ask(self, 1, genes, &count, &err) == NAS_OK, "ask() to succeed", &err);
        snprintf(what, sizeof what, "proposal %zu of a budget of %d, found none", i, BUDGET);
        expect(count == 1, what, &err);
        check_proposal(genes, (const uint16_t(*)[GENES])all, i, &problem, &err);
        memcpy(all[i], genes, sizeof genes);
        double value = objective(genes), none = 0;
        best = fmin(best, value);
        expect(api.tell(self, 1, genes, &value, &none, &err) == NAS_OK, "tell() to succeed", &err);
    }
    snprintf(what, sizeof what, "the best genome, of value 0, within %d evaluations, found %g",
             BUDGET, best);
    expect(best <= 0, what, &err);
    destroy(self);
    destroy(NULL);
    return 0;
}
