#include "stages/problem.h"

#include "base/clock.h"
#include "host/guarded.h"
#include "host/sections.h"

#include <math.h>
#include <string.h>

typedef unsigned long long ull;

enum {
    MOST_CACHED = 1 << 17, /* genomes that were only looked at: 60 MB */
    LOOKS = 1000,          /* of one nas_problem_exhausted(), as many as strategies try */
};

nas_problem nas_problem_open(const nas_context *context, size_t platform) {
    return (nas_problem){.context = context,
                         .platform = &context->pipeline->platforms[platform],
                         .hardware = &context->hardware[platform],
                         .known = {.space = &context->space}};
}

void nas_problem_free(nas_problem *problem) {
    nas_memo_free(&problem->known);
}

/* ---- Costs ---- */

static void note(nas_problem *p, const nas_candidate *candidate) {
    nas_limit limits[NAS_MAX_LIMITS];
    size_t n = nas_candidate_limits(&p->platform->constraints, candidate, limits);
    for (size_t i = 0; i < n; i++)
        p->lowest[i] = p->looked_at ? fmin(p->lowest[i], limits[i].cost) : limits[i].cost;
    p->looked_at++;
}

bool nas_problem_look(nas_problem *p, const nas_genome *genome, bool keep,
                      nas_candidate *candidate) {
    const nas_candidate *known = nas_memo_find(&p->known, genome);
    if (known) {
        *candidate = *known;
        return true;
    }
    nas_error err = {0};
    double start = nas_seconds();
    int rc =
        nas_candidate_cost(&p->context->space, genome, &nas_guarded_hardware,
                           nas_guarded(p->hardware), &p->platform->constraints, candidate, &err);
    p->cost_seconds += nas_seconds() - start;
    if (rc == NAS_ERR_INFEASIBLE) {
        if (!p->refusal.code) p->refusal = err;
        rc = NAS_OK;
    }
    if (!rc) note(p, candidate);
    if (!rc && (keep || p->known.n < MOST_CACHED)) rc = nas_memo_add(&p->known, candidate, &err);
    if (rc && !p->failure.code) p->failure = err;
    return !rc;
}

/* ---- What plugins see ---- */

bool nas_problem_in_range(const nas_problem *p, const uint16_t *genes) {
    const nas_space *space = &p->context->space;
    for (uint32_t g = 0; g < space->n_genes; g++)
        if (genes[g] >= space->arity[g]) return false;
    return true;
}

nas_genome nas_problem_genome(const nas_problem *p, const uint16_t *genes) {
    const nas_space *space = &p->context->space;
    nas_genome genome = {0};
    memcpy(genome.gene, genes, space->n_genes * sizeof *genes);
    nas_genome_canonical(space, &genome);
    return genome;
}

static void canonical(const nas_search_problem *problem, uint16_t *genes) {
    const nas_problem *p = problem->impl;
    if (!nas_problem_in_range(p, genes)) return;
    nas_genome genome = nas_problem_genome(p, genes);
    memcpy(genes, genome.gene, p->context->space.n_genes * sizeof *genes);
}

static bool look_at(const nas_search_problem *problem, const uint16_t *genes,
                    nas_candidate *candidate) {
    nas_problem *p = problem->impl;
    if (!nas_problem_in_range(p, genes)) return false;
    nas_genome genome = nas_problem_genome(p, genes);
    return nas_problem_look(p, &genome, false, candidate);
}

static double violation(const nas_search_problem *problem, const uint16_t *genes) {
    nas_candidate candidate;
    return look_at(problem, genes, &candidate) ? candidate.violation : (double)INFINITY;
}

static bool costs(const nas_search_problem *problem, const uint16_t *genes, double *objectives) {
    nas_candidate candidate;
    if (!look_at(problem, genes, &candidate)) return false;
    nas_problem_objectives(problem->impl, &candidate, objectives);
    objectives[0] = NAN;
    return true;
}

void nas_problem_objectives(const nas_problem *p, const nas_candidate *candidate,
                            double *objectives) {
    double cost[NAS_MAX_LIMITS];
    nas_candidate_costs(candidate, cost);
    objectives[0] = isnan(candidate->score) ? (double)INFINITY : 1 - candidate->score;
    for (uint32_t m = 1; m < p->seen_by_plugin.n_objectives; m++) objectives[m] = cost[p->cost[m]];
}

void nas_problem_describe(nas_problem *p, const nas_candidate *smallest, uint64_t budget) {
    const nas_space *space = &p->context->space;
    const nas_search_config *config = &p->context->pipeline->search_config;
    uint32_t n = 1, traded = 1 + (uint32_t)config->n_objectives;
    for (uint32_t g = 0; g < space->n_genes; g++) p->gene_names[g] = space->gene_names[g];
    p->names[0] = "1 - score";
    for (; n < traded; n++) p->cost[n] = config->objectives[n - 1];
    if (!config->named && isfinite(smallest->cost.latency_ms)) p->cost[n++] = NAS_LIMIT_LATENCY;
    for (uint32_t m = 1; m < n; m++) p->names[m] = nas_limit_names[p->cost[m]];
    p->seen_by_plugin = (nas_search_problem){
        .size = sizeof p->seen_by_plugin,
        .n_genes = space->n_genes,
        .arity = space->arity,
        .gene_names = p->gene_names,
        .n_objectives = n,
        .objective_names = p->names,
        .budget = budget,
        .impl = p,
        .canonical = canonical,
        .violation = violation,
        .n_traded = traded,
        .costs = costs,
    };
}

bool nas_problem_tells(const nas_pipeline *pipeline, const nas_candidate *smallest,
                       const char **name) {
    const nas_search_config *config = &pipeline->search_config;
    double cost[NAS_MAX_LIMITS];
    nas_candidate_costs(smallest, cost);
    for (size_t i = 0; i < config->n_objectives; i++) {
        *name = nas_limit_names[config->objectives[i]];
        if (isnan(cost[config->objectives[i]])) return false;
    }
    return true;
}

/* ---- The end of a space ---- */

/* Goes on to the next canonical genome, the first gene fastest; false after the last. */
static bool step(const nas_space *space, nas_genome *genome) {
    nas_genome canonical;
    do {
        uint32_t g = 0;
        for (; g < space->n_genes && ++genome->gene[g] == space->arity[g]; g++) genome->gene[g] = 0;
        if (g == space->n_genes) return false;
        canonical = *genome;
        nas_genome_canonical(space, &canonical);
    } while (memcmp(genome, &canonical, sizeof canonical) != 0);
    return true;
}

bool nas_problem_exhausted(nas_problem *p) {
    const nas_space *space = &p->context->space;
    nas_candidate candidate;
    if (nas_space_size(space) > MOST_CACHED) return false;
    for (int i = 0; i < LOOKS && !p->swept; i++) {
        if (!nas_problem_look(p, &p->next, true, &candidate)) return false;
        p->swept = !step(space, &p->next);
    }
    if (!p->swept) return false;
    for (size_t i = 0; i < p->known.n; i++)
        if (p->known.items[i].violation <= 0 && !p->known.items[i].asked) return false;
    return true;
}

int nas_problem_infeasible(const nas_problem *p, nas_error *err) {
    char why[700] = "";
    nas_limit limits[NAS_MAX_LIMITS];
    size_t used = 0, n = nas_candidate_limits(&p->platform->constraints, p->known.items, limits);
    for (size_t l = 0; l < n && used < sizeof why; l++)
        if (!(p->lowest[l] <= limits[l].limit))
            used +=
                (size_t)snprintf(why + used, sizeof why - used,
                                 "%s%s is to be at most %.9g, the lowest found is %.9g",
                                 used ? "; " : "", limits[l].name, limits[l].limit, p->lowest[l]);
    if (!used && p->refusal.code)
        snprintf(why, sizeof why, "the device refuses them (%.600s)", p->refusal.message);
    else if (!used)
        snprintf(why, sizeof why, "each constraint is met by some, but all by none");
    return nas_fail(
        err, NAS_ERR_INFEASIBLE,
        "platform '%s': none of %llu subnets that were looked at meets its constraints: "
        "%s; loosen them, or widen the space",
        p->platform->name, (ull)p->looked_at, why);
}
