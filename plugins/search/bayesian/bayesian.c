/* Bayesian optimisation: a Gaussian process of the first objective (gaussian.h, posterior.h), and
 * the expected improvement on the best one or, where objectives are to be traded, of the volume
 * that their front covers (front.h), among subnets that meet the constraints. Costs are known
 * beforehand.
 *
 * Snoek, Larochelle and Adams, arXiv 1206.2944 (expected improvement); Gardner et al., ICML 2014
 * (constraints); Ginsbourger, Le Riche and Carraro, 2010 (what is not told yet is taken to be as
 * good as the best, or, on a front, as expected); Ament et al., arXiv 2310.20708 (why logarithms);
 * Minoux, 1978 (the best of many by bounds that are narrowed as far as needed). */
#include "bayesian.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KNOWN_PER_CHOICE = 3 }; /* results, for each subnet that is proposed at once */
enum { LENGTHS_KIND = 0, LENGTHS_GENE = 1, LENGTHS_ONE = 2 };

static const char *const lengths[] = {"kind", "gene", "one", NULL};

static const nas_option options[] = {
    NAS_INT("initial", bayesian_config, initial, "5", 2, 1e6, "subnets",
            "number of random subnets to begin with; at most a quarter of the evaluations, or 4"),
    NAS_INT("candidates", bayesian_config, candidates, "500", 1, 1e5, "subnets",
            "number of random subnets that each proposal is chosen from, besides neighbours of the "
            "best and of the most promising ones"),
    NAS_ENUM("lengths", bayesian_config, lengths, "\"kind\"", lengths,
             "how many length scales the Gaussian process has: one for each kind of gene (the last "
             "part of "
             "its name), one for each gene, or one for all"),
    NAS_INT("points", bayesian_config, points, "400", 10, 5000, "subnets",
            "most results that the Gaussian process is fitted to: half of them the best, half the "
            "newest"),
    NAS_INT("tries", bayesian_config, tries, "1000", 1, 1e9, "draws",
            "most draws for a random subnet until one meets the constraints"),
    {0},
};

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    bayesian *me = calloc(1, sizeof *me);
    if (!me) return nas_bayesian_no_memory(err);
    me->config = *(const bayesian_config *)config;
    me->base = (nas_strategy){.id = "bayesian",
                              .host = host,
                              .tries = (uint64_t)me->config.tries,
                              .version = 2,
                              .loaded = nas_bayesian_forget,
                              .own = &me->own,
                              .own_bytes = sizeof me->own};
    *self = me;
    return NAS_OK;
}

static void destroy(void *self) {
    bayesian *me = self;
    if (!me) return;
    nas_bayesian_forget(me);
    nas_pool_free(&me->pool);
    nas_strategy_finish(&me->base);
    free(me->list);
    free(me->front);
    free(me->gene);
    free(me->group);
    free(me);
}

static const char *kind_of(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

static bool same_group(const bayesian *me, const char *a, const char *b) {
    if (me->config.lengths == LENGTHS_KIND) return !strcmp(kind_of(a), kind_of(b));
    return me->config.lengths == LENGTHS_ONE;
}

/* Each gene that has a choice is a dimension. */
static void set_groups(bayesian *me, const nas_search_problem *problem) {
    me->n_dims = me->n_groups = 0;
    for (uint32_t g = 0; g < problem->n_genes; g++) {
        if (problem->arity[g] < 2) continue;
        size_t d = 0;
        while (d < me->n_dims &&
               !same_group(me, problem->gene_names[g], problem->gene_names[me->gene[d]]))
            d++;
        size_t group = d < me->n_dims ? me->group[d] : me->n_groups;
        if (group == NAS_GAUSSIAN_GROUPS) group--;
        if (group == me->n_groups) me->n_groups++;
        me->group[me->n_dims] = group;
        me->gene[me->n_dims++] = g;
    }
}

/* A host that knows nothing of costs has the first objective improved. */
static int set_costs(bayesian *me, const nas_search_problem *problem, nas_error *err) {
    me->n_costs = 0;
    if (!NAS_HAS(problem, costs) || problem->n_traded < 2) return NAS_OK;
    if (problem->n_objectives > MOST_OBJECTIVES)
        return nas_fail(err, NAS_ERR_INPUT,
                        "bayesian: expected at most %d objectives to trade, found %u; use nsga2",
                        MOST_OBJECTIVES, (unsigned)problem->n_objectives);
    me->n_costs = problem->n_traded - 1;
    return NAS_OK;
}

static int start(void *self, const nas_search_problem *problem, nas_error *err) {
    bayesian *me = self;
    int rc = set_costs(me, problem, err);
    if (!rc) rc = nas_strategy_start(&me->base, problem, 1, err);
    if (rc) return rc;
    free(me->gene);
    free(me->group);
    nas_pool_free(&me->pool);
    nas_bayesian_forget(me);
    size_t draws = DRAWS * (size_t)me->config.candidates;
    me->gene = calloc(problem->n_genes, sizeof *me->gene);
    me->group = calloc(problem->n_genes, sizeof *me->group);
    me->pool.drawn = calloc(draws, sizeof *me->pool.drawn);
    me->pool.draw = calloc(draws, sizeof *me->pool.draw);
    if (!me->gene || !me->group || !me->pool.drawn || !me->pool.draw)
        return nas_bayesian_no_memory(err);
    set_groups(me, problem);
    return NAS_OK;
}

/* ---- A choice ---- */

/* The most promising candidate, or NAS_NO_GENOME. Bounds of gains are narrowed until the highest is
 * exact; its neighbours join until it is one whose neighbours have. */
static int most_promising(bayesian *me, goal *to, size_t *chosen, nas_error *err) {
    const nas_posterior *p = &me->process;
    for (;;) {
        candidate *top = NULL;
        *chosen = NAS_NO_GENOME;
        for (size_t i = 0; i < me->n_list; i++) {
            candidate *one = &me->pool.each[me->list[i]];
            if (top && !(one->gain > top->gain)) continue;
            top = one;
            *chosen = me->list[i];
        }
        if (!top || (top->exact && top->expanded)) return NAS_OK;
        if (!top->exact) {
            nas_posterior_narrow(p, &top->place, 2 * top->place.solved);
            top->exact = top->place.solved == p->n;
            top->gain = nas_goal_gain(to, top, p->signal);
            continue;
        }
        size_t from = me->n_list;
        top->expanded = true;
        int rc = nas_pool_consider_neighbours(me, nas_genomes_at(&me->pool.genomes, *chosen), err);
        if (!rc) rc = nas_goal_estimate(me, to, from, err);
        if (rc) return rc;
    }
}

/* Neighbours of the best genomes, or of some along the front. */
static int consider_best(bayesian *me, const goal *to, nas_error *err) {
    const nas_genomes *known = &me->base.known;
    const nas_front *front = &to->front;
    size_t best[CENTRES], n = 0;
    int rc = NAS_OK;
    for (size_t i = 0; i < FRONT_CENTRES && i < front->n && !rc; i++) {
        size_t all = front->n, some = all < FRONT_CENTRES ? all : FRONT_CENTRES;
        rc = nas_pool_consider_neighbours(
            me, nas_genomes_at(known, front->points[i * all / some].number), err);
    }
    for (size_t i = 0; i < me->process.n && !front->n_costs; i++) {
        size_t k = n < CENTRES ? n++ : CENTRES;
        for (; k && me->process.y[i] < me->process.y[best[k - 1]]; k--)
            if (k < CENTRES) best[k] = best[k - 1];
        if (k < CENTRES) best[k] = i;
    }
    for (size_t i = 0; i < n && !rc; i++)
        rc = nas_pool_consider_neighbours(me, nas_genomes_at(known, me->observed[best[i]]), err);
    return rc;
}

/* ---- Ask and tell ---- */

static void leave(bayesian *me, size_t chosen) {
    size_t n = 0;
    for (size_t i = 0; i < me->n_list; i++)
        if (me->list[i] != chosen) me->list[n++] = me->list[i];
    me->n_list = n;
}

/* Proposes up to n genomes; fewer if no candidate is left that meets the constraints. */
static int choose(bayesian *me, goal *to, size_t n, uint16_t *genomes, size_t *count,
                  nas_error *err) {
    size_t n_genes = me->base.known.n_genes, chosen;
    int rc = nas_goal_suppose_pending(me, to, err);
    if (!rc) rc = nas_goal_estimate(me, to, 0, err);
    while (*count < n && !rc) {
        rc = most_promising(me, to, &chosen, err);
        if (rc || chosen == NAS_NO_GENOME) break;
        const uint16_t *genes = nas_genomes_at(&me->pool.genomes, chosen);
        rc = nas_genomes_add(&me->base.known, genes, NULL, err);
        if (rc) break;
        memcpy(genomes + *count * n_genes, genes, n_genes * sizeof *genes);
        leave(me, chosen);
        if (++*count == n) break;
        rc = nas_goal_suppose(me, to, chosen, err);
        if (!rc) rc = nas_goal_estimate(me, to, 0, err);
    }
    return rc;
}

/* Choices that are made without each other's results are worth less the less is known. */
static size_t at_once(const bayesian *me, size_t n) {
    size_t most = me->base.known.n_told / KNOWN_PER_CHOICE;
    if (most < 2) most = 2;
    return n < most ? n : most;
}

static int ask_process(bayesian *me, size_t n, uint16_t *genomes, size_t *count, nas_error *err) {
    goal to = {0};
    int rc = nas_bayesian_follow(me, err);
    if (me->pool.genomes.n > DRAWS * (size_t)me->config.candidates) nas_pool_drop(me);
    me->asks++;
    me->n_list = 0;
    size_t observed = me->process.n;
    n = at_once(me, n);
    if (!rc) rc = nas_pool_consider_random(me, err);
    if (!rc) rc = nas_goal_open(me, &to, err);
    if (!rc) rc = consider_best(me, &to, err);
    if (!rc) rc = choose(me, &to, n, genomes, count, err);
    nas_front_free(&to.front);
    if (me->process.n > observed) {
        nas_posterior_cut(&me->process, observed);
        for (size_t i = 0; i < me->pool.genomes.n; i++)
            nas_place_cut(&me->pool.each[i].place, &me->process);
    }
    return rc;
}

/* Whether there are results to learn from. */
static bool has_results(const bayesian *me) {
    const nas_genomes *known = &me->base.known;
    size_t n = 0;
    for (size_t i = 0; i < known->n_told && n < 2; i++) n += known->violation[known->told[i]] <= 0;
    return n > 1 && me->n_dims;
}

/* Random ones to begin with, and one where the process has nothing to say. */
static int ask(void *self, size_t n, uint16_t *genomes, size_t *count, nas_error *err) {
    bayesian *me = self;
    int rc = nas_strategy_ready(&me->base, count, err);
    if (rc) return rc;
    size_t initial = nas_strategy_round(&me->base, me->config.initial, 4);
    size_t known = me->base.known.n, wanted = known < initial ? initial - known : 1;
    if (n > MOST_AT_ONCE) n = MOST_AT_ONCE;
    if (known >= initial && has_results(me)) rc = ask_process(me, n, genomes, count, err);
    if (rc || *count) return rc;
    return nas_strategy_fill(&me->base, nas_draw_genome, me, n < wanted ? n : wanted, genomes,
                             count, err);
}

static const nas_search_api api = {sizeof api, start, ask, nas_strategy_tell};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SEARCH,
    .id = "bayesian",
    .version = "0.1.0",
    .summary = "Gaussian process and expected improvement among subnets that meet the constraints",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/1206.2944",
    .options = options,
    .config_size = sizeof(bayesian_config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
    .extension = nas_strategy_extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
