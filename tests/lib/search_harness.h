/* What the tests of every search strategy share: problems whose answer is known, a host, and the
 * properties that all strategies must have. A test program includes one plugin's .c file, then
 * this. */
#ifndef TESTS_SEARCH_HARNESS_H
#define TESTS_SEARCH_HARNESS_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <math.h>
#include <nashost/kit/state.h>
#include <nashost/kit/strategy.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_GENES = 32, MOST_CHOICES = 4, MOST_LINES = 32 };

/* ---- The host ---- */

typedef struct fake_host {
    nas_host host;
    uint64_t seed;
    size_t n_lines;
    char line[MOST_LINES][200]; /* the first that were logged */
} fake_host;

static inline uint64_t scramble(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline uint64_t fake_random(const nas_host *host, uint64_t stream, uint64_t counter) {
    const fake_host *fake = host->impl;
    return scramble(scramble(fake->seed * 0x9e3779b97f4a7c15u + stream) +
                    counter * 0xd1342543de82ef95u);
}

static inline void fake_log(const nas_host *host, nas_level level, const char *message) {
    fake_host *fake = host->impl;
    (void)level;
    if (fake->n_lines < MOST_LINES)
        snprintf(fake->line[fake->n_lines++], sizeof *fake->line, "%s", message);
}

static inline void open_host(fake_host *fake, uint64_t seed) {
    *fake = (fake_host){.seed = seed};
    fake->host =
        (nas_host){.size = sizeof fake->host, .impl = fake, .log = fake_log, .random = fake_random};
}

/* ---- Problems ---- */

/* A subnet is worth the sum of what its active genes are worth, and costs the sum of what they
 * cost. Objectives, to be traded: minus the worth; the cost; the sum of the genes. Feasible: cost
 * at most limit. */
typedef struct fake_problem {
    nas_search_problem problem;
    uint16_t arity[MOST_GENES];
    uint16_t depth_gene[MOST_GENES], level[MOST_GENES]; /* active: genes[depth_gene] >= level */
    char name[MOST_GENES][28];
    const char *names[MOST_GENES];
    double worth[MOST_GENES][MOST_CHOICES], cost[MOST_GENES][MOST_CHOICES];
    double limit;
    uint64_t asked; /* violations */
} fake_problem;

static inline bool is_active(const fake_problem *fake, const uint16_t *genes, uint32_t g) {
    return !fake->level[g] || genes[fake->depth_gene[g]] >= fake->level[g];
}

static inline void fake_canonical(const nas_search_problem *problem, uint16_t *genes) {
    for (uint32_t g = 0; g < problem->n_genes; g++)
        if (!is_active(problem->impl, genes, g)) genes[g] = 0;
}

static inline double sum_of(fake_problem *fake, double (*table)[MOST_CHOICES],
                            const uint16_t *genes) {
    double sum = 0;
    for (uint32_t g = 0; g < fake->problem.n_genes; g++)
        if (is_active(fake, genes, g)) sum += table[g][genes[g]];
    return sum;
}

static inline double fake_violation(const nas_search_problem *problem, const uint16_t *genes) {
    fake_problem *fake = problem->impl;
    fake->asked++;
    return fmax(0, sum_of(fake, fake->cost, genes) / fake->limit - 1);
}

static inline void evaluate(fake_problem *fake, const uint16_t *genes, double *objectives) {
    objectives[0] = -sum_of(fake, fake->worth, genes);
    if (fake->problem.n_objectives > 1) objectives[1] = sum_of(fake, fake->cost, genes);
    if (fake->problem.n_objectives < 3) return;
    objectives[2] = 0;
    for (uint32_t g = 0; g < fake->problem.n_genes; g++)
        if (is_active(fake, genes, g)) objectives[2] += genes[g];
}

static inline bool fake_costs(const nas_search_problem *problem, const uint16_t *genes,
                              double *objectives) {
    evaluate(problem->impl, genes, objectives);
    objectives[0] = NAN;
    return true;
}

static inline uint32_t add_gene(fake_problem *fake, uint16_t arity, const char *name) {
    uint32_t g = fake->problem.n_genes++;
    fake->arity[g] = arity;
    snprintf(fake->name[g], sizeof *fake->name, "%s", name);
    fake->names[g] = fake->name[g];
    return g;
}

static inline void close_problem(fake_problem *fake, uint32_t n_objectives, uint64_t budget) {
    static const char *const objectives[] = {"worth", "cost", "sum"};
    fake->limit = INFINITY;
    fake->problem.objective_names = objectives;
    fake->problem.size = sizeof fake->problem;
    fake->problem.arity = fake->arity;
    fake->problem.gene_names = fake->names;
    fake->problem.n_objectives = n_objectives;
    fake->problem.budget = budget;
    fake->problem.impl = fake;
    fake->problem.canonical = fake_canonical;
    fake->problem.violation = fake_violation;
    fake->problem.costs = fake_costs;
    fake->problem.n_traded = n_objectives;
}

/* One random subnet of the family in thirty costs at most this. */
#define FAMILY_TIGHT 33.4

/* A network family: three stages of up to three blocks. What a choice is worth differs from place
 * to place and is not always more for the larger one; it always costs more. 25 genes. */
static inline void open_family(fake_problem *fake, uint32_t n_objectives, uint64_t budget) {
    *fake = (fake_problem){0};
    char name[28];
    add_gene(fake, 3, "resolution");
    for (int s = 0; s < 3; s++) {
        snprintf(name, sizeof name, "stage%d.width", s);
        add_gene(fake, 2, name);
        snprintf(name, sizeof name, "stage%d.depth", s);
        uint32_t depth = add_gene(fake, 3, name);
        for (uint16_t b = 0; b < 3; b++) {
            const char *kinds[] = {"kernel", "expand"};
            for (int k = 0; k < 2; k++) {
                snprintf(name, sizeof name, "stage%d.block%d.%s", s, b, kinds[k]);
                uint32_t g = add_gene(fake, k ? 4 : 3, name);
                fake->depth_gene[g] = (uint16_t)depth;
                fake->level[g] = b;
            }
        }
    }
    for (uint32_t g = 0; g < fake->problem.n_genes; g++)
        for (uint16_t v = 0; v < fake->arity[g]; v++) {
            double unit = (double)(scramble(1000 + 10 * g + v) >> 11) * 0x1p-53;
            double weight = (double)(scramble(5000 + g) >> 11) * 0x1p-53;
            fake->worth[g][v] = weight * (sqrt(v + 1.0) + unit);
            fake->cost[g][v] = (v + 1.0) * (1 + weight);
        }
    close_problem(fake, n_objectives, budget);
}

/* The first four genes: 3 * (1 + 4 + 4 * 4) = 63 subnets; all six: 756. */
enum { TINY_GENES = 4, TINY_SUBNETS = 63, SMALL_GENES = 6, SMALL_SUBNETS = 756 };

static inline void open_small(fake_problem *fake, uint32_t n_genes, uint32_t n_objectives,
                              uint64_t budget) {
    const uint16_t arity[SMALL_GENES] = {3, 3, 4, 4, 4, 3};
    const char *names[SMALL_GENES] = {"a.width",     "a.depth", "a.b0.kernel",
                                      "a.b1.kernel", "b.width", "c.width"};
    const double worth[SMALL_GENES][MOST_CHOICES] = {{0, 3, 1},    {0, 1, 2},    {1, 0, 4, 2},
                                                     {0, 2, 5, 1}, {2, 7, 4, 3}, {0, 1.5, 1}};
    *fake = (fake_problem){0};
    for (uint32_t g = 0; g < n_genes; g++) {
        add_gene(fake, arity[g], names[g]);
        memcpy(fake->worth[g], worth[g], sizeof worth[g]);
        for (int v = 0; v < arity[g]; v++) fake->cost[g][v] = v;
    }
    fake->depth_gene[2] = fake->depth_gene[3] = 1;
    fake->level[2] = 1, fake->level[3] = 2;
    close_problem(fake, n_objectives, budget);
}

/* Calls visit for every subnet. */
static inline void enumerate(fake_problem *fake,
                             void (*visit)(fake_problem *, const uint16_t *, void *),
                             void *context) {
    uint16_t genes[MOST_GENES] = {0}, canonical[MOST_GENES];
    uint32_t n = fake->problem.n_genes, g = 0;
    while (g < n) {
        memcpy(canonical, genes, n * sizeof *genes);
        fake_canonical(&fake->problem, canonical);
        if (!memcmp(canonical, genes, n * sizeof *genes)) visit(fake, genes, context);
        for (g = 0; g < n && ++genes[g] == fake->arity[g]; g++) genes[g] = 0;
    }
}

static inline void lower(fake_problem *fake, const uint16_t *genes, void *least) {
    double objectives[3];
    evaluate(fake, genes, objectives);
    if (sum_of(fake, fake->cost, genes) <= fake->limit)
        *(double *)least = fmin(*(double *)least, objectives[0]);
}

/* ---- One search ---- */

typedef struct search {
    fake_host host;
    fake_problem *fake;
    const nas_plugin *plugin;
    const nas_search_api *api;
    const nas_state_api *state;
    double config[16]; /* aligned for any configuration */
    void *self;
    nas_genomes all; /* every genome that was asked for, and its result */
    uint64_t scored;
    double best; /* first objective */
} search;

static inline void set_option(search *s, const char *name, const char *text) {
    const nas_option *o = s->plugin->options;
    while (o->name && strcmp(o->name, name) != 0) o++;
    assert_non_null(o->name);
    char *at = (char *)s->config + o->offset;
    double number = strtod(text, NULL);
    int64_t whole = (int64_t)number;
    int choice = 0;
    bool flag = !strcmp(text, "true");
    if (o->type == NAS_TYPE_ENUM) {
        while (o->choices[choice] &&
               strncmp(text + 1, o->choices[choice], strlen(o->choices[choice])) != 0)
            choice++;
        assert_non_null(o->choices[choice]);
        memcpy(at, &choice, sizeof choice);
    } else if (o->type == NAS_TYPE_INT) {
        memcpy(at, &whole, sizeof whole);
    } else if (o->type == NAS_TYPE_BOOL) {
        memcpy(at, &flag, sizeof flag);
    } else {
        assert_int_equal(o->type, NAS_TYPE_FLOAT);
        if (!strcmp(text, "null")) number = NAN;
        memcpy(at, &number, sizeof number);
    }
}

/* With every option at its default; begin() makes the instance. */
static inline void prepare(search *s, fake_problem *fake, uint64_t seed) {
    *s = (search){.fake = fake, .plugin = nas_plugin_entry(), .best = INFINITY};
    open_host(&s->host, seed);
    s->api = s->plugin->vtable;
    assert_true(s->plugin->config_size <= sizeof s->config);
    for (const nas_option *o = s->plugin->options; o->name; o++)
        set_option(s, o->name, o->fallback);
}

static inline void begin(search *s, bool start) {
    nas_error err = {0};
    if (s->plugin->create(&s->host.host, s->config, &s->self, &err)) fail_msg("%s", err.message);
    s->state = s->plugin->extension(s->self, NAS_EXT_STATE);
    assert_non_null(s->state);
    if (start && s->api->start(s->self, &s->fake->problem, &err)) fail_msg("%s", err.message);
    s->all.n_genes = s->fake->problem.n_genes;
    s->all.n_objectives = s->fake->problem.n_objectives;
}

static inline void finish(search *s) {
    s->plugin->destroy(s->self);
    nas_genomes_free(&s->all);
}

/* Asks, and checks that what it gets is canonical, in range and new. */
static inline size_t ask_for(search *s, size_t n, uint16_t *genomes) {
    size_t count = n + 1;
    nas_error err = {0};
    uint32_t n_genes = s->fake->problem.n_genes;
    if (s->api->ask(s->self, n, genomes, &count, &err)) fail_msg("%s", err.message);
    assert_true(count <= n);
    for (size_t i = 0; i < count; i++) {
        uint16_t *genes = genomes + i * n_genes, canonical[MOST_GENES];
        for (uint32_t g = 0; g < n_genes; g++) assert_true(genes[g] < s->fake->arity[g]);
        memcpy(canonical, genes, n_genes * sizeof *genes);
        fake_canonical(&s->fake->problem, canonical);
        assert_memory_equal(genes, canonical, n_genes * sizeof *genes);
        assert_true(nas_genomes_find(&s->all, genes) == NAS_NO_GENOME);
        assert_int_equal(nas_genomes_add(&s->all, genes, NULL, &err), NAS_OK);
    }
    return count;
}

static inline void tell_about(search *s, size_t n, const uint16_t *genomes) {
    nas_error err = {0};
    uint32_t n_objectives = s->fake->problem.n_objectives;
    double *objectives = malloc(n * n_objectives * sizeof *objectives + 1);
    double *violation = malloc(n * sizeof *violation + 1);
    assert_true(objectives && violation);
    for (size_t i = 0; i < n; i++) {
        const uint16_t *genes = genomes + i * s->fake->problem.n_genes;
        double *of = objectives + i * n_objectives;
        violation[i] = s->fake->problem.violation(&s->fake->problem, genes);
        evaluate(s->fake, genes, of);
        if (!(violation[i] <= 0))
            for (uint32_t m = 0; m < n_objectives; m++) of[m] = INFINITY;
        else
            s->scored++;
        s->best = fmin(s->best, of[0]);
        size_t number = NAS_NO_GENOME;
        assert_int_equal(nas_genomes_add(&s->all, genes, &number, &err), NAS_OK);
        nas_genomes_tell(&s->all, number, of, violation[i]);
    }
    if (s->api->tell(s->self, n, genomes, objectives, violation, &err)) fail_msg("%s", err.message);
    free(objectives);
    free(violation);
}

/* Asks and tells until budget subnets were scored, or nothing is left, or too many in a row are
 * infeasible, as the host does. */
static inline void run_until(search *s, uint64_t budget, size_t batch) {
    uint16_t *genomes = malloc(batch * s->fake->problem.n_genes * sizeof *genomes);
    assert_non_null(genomes);
    for (size_t misses = 0; s->scored < budget && misses < 4 * budget;) {
        size_t wanted = budget - s->scored < batch ? (size_t)(budget - s->scored) : batch;
        uint64_t before = s->scored;
        size_t n = ask_for(s, wanted, genomes);
        if (!n) break;
        tell_about(s, n, genomes);
        misses = s->scored > before ? 0 : misses + n;
    }
    free(genomes);
}

/* The best of as many distinct random subnets that meet the constraints. */
static inline double best_of_random(fake_problem *fake, uint64_t seed, uint64_t budget,
                                    nas_genomes *found) {
    fake_host host;
    open_host(&host, seed);
    nas_strategy s = {.id = "test", .host = &host.host, .tries = 1000};
    nas_error err;
    double best = INFINITY, objectives[3];
    uint16_t genes[MOST_GENES];
    assert_int_equal(nas_strategy_start(&s, &fake->problem, fake->problem.n_objectives, &err), 0);
    for (uint64_t i = 0; i < budget; i++) {
        bool new;
        assert_int_equal(nas_strategy_add(&s, nas_draw_genome, &s, genes, &new, &err), 0);
        if (!new) break;
        evaluate(fake, genes, objectives);
        best = fmin(best, objectives[0]);
        nas_genomes_tell(&s.known, s.known.n - 1, objectives, 0);
    }
    if (found) {
        *found = s.known;
        s.known = (nas_genomes){0};
    }
    nas_strategy_finish(&s);
    return best;
}

static inline int by_number(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts v [n]. */
static inline double median(double *v, size_t n) {
    qsort(v, n, sizeof *v, by_number);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

#endif
