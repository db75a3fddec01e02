/* NSGA-II (Deb, Pratap, Agarwal and Meyarivan, IEEE Trans. Evolutionary Computation 6(2), 2002):
 * fast non-dominated sort under constraint domination, crowding distance, binary tournaments. */
#include "pareto.h"

#include <nashost/kit/strategy.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { UNIFORM = 0, TWO_POINT = 1 };

/* Chosen on the tables of docs/search.md. */
enum {
    GENERATIONS = 15, /* that a short search has at least */
    MUTATION = 3,     /* one active gene in so many children changes, if nothing else is said */
};

typedef struct nsga2_config {
    int64_t population, tries;
    double crossover, mutation;
    int points;
} nsga2_config;

/* A genome among those that compete for a place in the population. */
typedef struct member {
    size_t number; /* of the genome */
    size_t rank;   /* of its front, from 0 */
    double crowding;
} member;

typedef struct nsga2 {
    nas_strategy base;
    nsga2_config config;
    size_t size; /* of the population */
    /* From here on: a function of what was told, hence in no state. */
    member *members; /* [2 size], the first n_members are the population */
    size_t n_members;
    size_t settled;         /* told genomes that the population comes from */
    size_t *front, n_front; /* the best of all that were told */
    double *reference;      /* [n_objectives]: the worst that the first feasible generation had */
    bool has_reference;
    /* Scratch of the sorting, each [2 size] or as noted. */
    size_t *beaten_by, *order;
    double *key;
} nsga2;

static const char *const crossovers[] = {"uniform", "two_point", NULL};

static const nas_option options[] = {
    NAS_INT("population", nsga2_config, population, "100", 2, 1e5, "subnets",
            "number of subnets that are kept, and of children in a generation; at most a "
            "fifteenth of the evaluations, or 4"),
    NAS_FLOAT("crossover", nsga2_config, crossover, "1", 0, 1, NULL,
              "probability that a child has two parents"),
    NAS_ENUM("points", nsga2_config, points, "\"uniform\"", crossovers,
             "how two parents mix: gene by gene, or with a stretch of genes from one of them"),
    NAS_FLOAT("mutation", nsga2_config, mutation, "null", 0, 1, NULL,
              "probability with which each gene of a child changes after the crossover; if it is "
              "left out, "
              "1 / (3 active genes)"),
    NAS_INT("tries", nsga2_config, tries, "1000", 1, 1e9, "draws",
            "most children that are drawn for a proposal until one meets the constraints; if none "
            "does, "
            "the one that comes closest is proposed"),
    {0},
};

static void forget(void *self) {
    nsga2 *me = self;
    me->n_members = me->settled = me->n_front = 0;
    me->has_reference = false;
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    nsga2 *me = calloc(1, sizeof *me);
    if (!me) return nas_fail(err, NAS_ERR_MEMORY, "nsga2: out of memory");
    me->config = *(const nsga2_config *)config;
    me->base = (nas_strategy){.id = "nsga2",
                              .host = host,
                              .tries = (uint64_t)me->config.tries,
                              .version = 1,
                              .loaded = forget};
    *self = me;
    return NAS_OK;
}

static void free_scratch(nsga2 *me) {
    free(me->members);
    free(me->reference);
    free(me->beaten_by);
    free(me->order);
    free(me->key);
    free(me->front);
    me->front = NULL;
}

static void destroy(void *self) {
    nsga2 *me = self;
    if (!me) return;
    nas_strategy_finish(&me->base);
    free_scratch(me);
    free(me);
}

static int start(void *self, const nas_search_problem *problem, nas_error *err) {
    nsga2 *me = self;
    uint32_t n_objectives = problem->n_objectives > 1 ? problem->n_objectives : 1;
    int rc = nas_strategy_start(&me->base, problem, n_objectives, err);
    if (rc) return rc;
    free_scratch(me);
    forget(me);
    size_t size = nas_strategy_round(&me->base, me->config.population, GENERATIONS), n = 2 * size;
    me->size = size;
    me->members = calloc(n, sizeof *me->members);
    me->reference = calloc(n_objectives, sizeof *me->reference);
    me->beaten_by = calloc(n, sizeof *me->beaten_by);
    me->order = calloc(n, sizeof *me->order);
    me->key = calloc(n, sizeof *me->key);
    return me->members && me->reference && me->beaten_by && me->order && me->key
               ? NAS_OK
               : nas_fail(err, NAS_ERR_MEMORY, "nsga2: out of memory for %zu subnets", n);
}

/* ---- Who is better ---- */

/* Feasible first, then the smaller violation, then Pareto dominance. */
static bool dominates(const nas_genomes *known, size_t a, size_t b) {
    if (known->violation[a] < known->violation[b]) return true;
    return known->violation[a] <= 0 && known->violation[b] <= 0 &&
           nas_dominates(nas_genomes_objectives(known, a), nas_genomes_objectives(known, b),
                         known->n_objectives);
}

static bool beats(const nsga2 *me, size_t i, size_t j) {
    return dominates(&me->base.known, me->members[i].number, me->members[j].number);
}

/* Gives each member the number of its front. */
static void rank(nsga2 *me) {
    size_t n = me->n_members, left = n;
    for (size_t j = 0; j < n; j++) {
        me->members[j].rank = SIZE_MAX;
        me->beaten_by[j] = 0;
        for (size_t i = 0; i < n; i++) me->beaten_by[j] += beats(me, i, j);
    }
    for (size_t front = 0; left; front++) {
        for (size_t i = 0; i < n; i++)
            if (me->members[i].rank == SIZE_MAX && !me->beaten_by[i]) me->members[i].rank = front;
        for (size_t i = 0; i < n; i++) {
            if (me->members[i].rank != front) continue;
            left--;
            for (size_t j = 0; j < n; j++) me->beaten_by[j] -= beats(me, i, j);
        }
    }
}

static void sort_by_key(size_t *order, size_t n, const double *key) {
    for (size_t i = 1; i < n; i++) { /* stable */
        size_t one = order[i], k = i;
        for (; k && key[order[k - 1]] > key[one]; k--) order[k] = order[k - 1];
        order[k] = one;
    }
}

/* Adds each member's share of the crowding distance in one objective: the gap between its two
 * neighbours in the front, relative to the front's extent; those at the ends get infinity. */
static void crowd(nsga2 *me, size_t n, uint32_t objective) {
    const nas_genomes *known = &me->base.known;
    for (size_t i = 0; i < n; i++) {
        size_t one = me->order[i];
        me->key[one] = nas_genomes_objectives(known, me->members[one].number)[objective];
    }
    sort_by_key(me->order, n, me->key);
    double extent = me->key[me->order[n - 1]] - me->key[me->order[0]];
    if (!(extent > 0)) return;
    me->members[me->order[0]].crowding = me->members[me->order[n - 1]].crowding = INFINITY;
    for (size_t i = 1; i + 1 < n; i++)
        me->members[me->order[i]].crowding +=
            (me->key[me->order[i + 1]] - me->key[me->order[i - 1]]) / extent;
}

static void measure_crowding(nsga2 *me) {
    size_t done = 0;
    for (size_t i = 0; i < me->n_members; i++) me->members[i].crowding = 0;
    for (size_t front = 0; done < me->n_members; front++) {
        size_t n = 0;
        for (size_t i = 0; i < me->n_members; i++)
            if (me->members[i].rank == front) me->order[n++] = i;
        done += n;
        /* Genomes that break a constraint were not scored. */
        if (me->base.known.violation[me->members[me->order[0]].number] > 0) continue;
        for (uint32_t m = 0; m < me->base.known.n_objectives; m++) crowd(me, n, m);
    }
}

/* The lower rank, then the larger crowding, then the one that came first. */
static bool before(const member *a, const member *b) {
    if (a->rank != b->rank) return a->rank < b->rank;
    return a->crowding > b->crowding;
}

/* Ranks the members and keeps the best of them. */
static void select_members(nsga2 *me) {
    rank(me);
    measure_crowding(me);
    for (size_t i = 1; i < me->n_members; i++) {
        member one = me->members[i];
        size_t k = i;
        for (; k && before(&one, &me->members[k - 1]); k--) me->members[k] = me->members[k - 1];
        me->members[k] = one;
    }
    if (me->n_members > me->size) me->n_members = me->size;
}

/* ---- Reporting ---- */

/* Adds a told genome to the front of all that were, unless another dominates it. */
static void join_front(nsga2 *me, size_t number) {
    const nas_genomes *known = &me->base.known;
    size_t n = 0;
    if (known->violation[number] > 0) return;
    for (size_t i = 0; i < me->n_front; i++)
        if (dominates(known, me->front[i], number)) return;
    for (size_t i = 0; i < me->n_front; i++)
        if (!dominates(known, number, me->front[i])) me->front[n++] = me->front[i];
    me->front[n++] = number;
    me->n_front = n;
}

/* Takes the worst of a generation's feasible ones. */
static void set_reference(nsga2 *me, const size_t *generation) {
    const nas_genomes *known = &me->base.known;
    for (size_t i = 0; i < me->size; i++) {
        if (known->violation[generation[i]] > 0) continue;
        const double *objectives = nas_genomes_objectives(known, generation[i]);
        for (uint32_t m = 0; m < known->n_objectives; m++)
            me->reference[m] =
                me->has_reference ? fmax(me->reference[m], objectives[m]) : objectives[m];
        me->has_reference = true;
    }
}

static int report(nsga2 *me, nas_error *err) {
    const nas_search_problem *problem = me->base.problem;
    const nas_genomes *known = &me->base.known;
    size_t n = me->n_front;
    const double **points = malloc((n + 1) * (known->n_objectives + 1) * sizeof *points);
    if (!points) return nas_fail(err, NAS_ERR_MEMORY, "nsga2: out of memory");
    for (size_t i = 0; i < n; i++) points[i] = nas_genomes_objectives(known, me->front[i]);
    double volume = nas_hypervolume(points, n, known->n_objectives, me->reference, points + n);
    free(points);
    char line[512];
    size_t used = (size_t)snprintf(
        line, sizeof line, "nsga2: generation %zu: %zu on the front, hypervolume %.6g up to",
        me->size ? me->settled / me->size : 0, n, volume);
    for (uint32_t m = 0; m < known->n_objectives && used < sizeof line; m++)
        used += (size_t)snprintf(line + used, sizeof line - used, "%s %s %.6g", m ? "," : "",
                                 problem->objective_names[m], me->reference[m]);
    me->base.host->log(me->base.host, NAS_INFO, line);
    return NAS_OK;
}

/* Closes every generation that is complete. */
static int settle(nsga2 *me, nas_error *err) {
    const nas_genomes *known = &me->base.known;
    bool closed = false;
    while (me->settled + me->size <= known->n_told) {
        const size_t *generation = known->told + me->settled;
        if (!nas_genomes_resize(&me->front, me->n_front + me->size, sizeof *me->front))
            return nas_fail(err, NAS_ERR_MEMORY, "nsga2: out of memory");
        if (!me->has_reference) set_reference(me, generation);
        for (size_t i = 0; i < me->size; i++) {
            me->members[me->n_members++].number = generation[i];
            join_front(me, generation[i]);
        }
        me->settled += me->size;
        select_members(me);
        closed = true;
    }
    return closed && me->has_reference && known->n_objectives < 4 ? report(me, err) : NAS_OK;
}

/* ---- Children ---- */

static const uint16_t *tournament(nsga2 *me) {
    const member *a = &me->members[nas_draw_below(&me->base, (uint32_t)me->n_members)];
    const member *b = &me->members[nas_draw_below(&me->base, (uint32_t)me->n_members)];
    return nas_genomes_at(&me->base.known, (before(b, a) ? b : a)->number);
}

/* Genes from either parent; one that is inactive there is 0. */
static void mix(nsga2 *me, const uint16_t *a, const uint16_t *b, uint16_t *genes) {
    uint32_t n = me->base.known.n_genes, from = 0, to = 0;
    if (me->config.points == TWO_POINT) {
        from = nas_draw_below(&me->base, n);
        to = from + nas_draw_below(&me->base, n); /* around the end */
    }
    for (uint32_t g = 0; g < n; g++) {
        bool second = me->config.points == TWO_POINT ? (g >= from && g <= to) || g + n <= to
                                                     : nas_draw_below(&me->base, 2);
        genes[g] = second ? b[g] : a[g];
    }
}

static void make_child(void *self, uint16_t *genes) {
    nsga2 *me = self;
    const nas_search_problem *problem = me->base.problem;
    const uint16_t *first = tournament(me);
    memcpy(genes, first, problem->n_genes * sizeof *genes);
    if (nas_draw_unit(&me->base) < me->config.crossover) mix(me, first, tournament(me), genes);
    problem->canonical(problem, genes);
    double probability = me->config.mutation;
    if (isnan(probability)) {
        uint32_t active = 0;
        for (uint32_t g = 0; g < problem->n_genes; g++)
            active += nas_gene_matters(&me->base, genes, g);
        probability = active ? 1.0 / (MUTATION * active) : 0;
    }
    if (probability > 0) nas_mutate(&me->base, probability, genes);
}

/* ---- Ask and tell ---- */

static int ask(void *self, size_t n, uint16_t *genomes, size_t *count, nas_error *err) {
    nsga2 *me = self;
    int rc = nas_strategy_ready(&me->base, count, err);
    if (rc) return rc;
    rc = settle(me, err);
    if (rc) return rc;
    /* No further than to the end of a generation, whose parents are all of the one before. */
    size_t left = me->size - me->base.known.n % me->size;
    if (n > left) n = left;
    return nas_strategy_fill(&me->base, me->n_members ? make_child : nas_draw_genome, me, n,
                             genomes, count, err);
}

static const nas_search_api api = {sizeof api, start, ask, nas_strategy_tell};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SEARCH,
    .id = "nsga2",
    .version = "0.1.0",
    .summary = "NSGA-II: a front of subnets over several objectives, under constraints",
    .license = "Apache-2.0",
    .source = "Deb, Pratap, Agarwal and Meyarivan, A fast and elitist multiobjective genetic "
              "algorithm: NSGA-II, IEEE Trans. Evolutionary Computation 6(2), 2002",
    .options = options,
    .config_size = sizeof(nsga2_config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
    .extension = nas_strategy_extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
