/* nashost plugin SDK: search strategies (NAS_KIND_SEARCH), ask / tell, minimising. */
#ifndef NASHOST_SEARCH_H
#define NASHOST_SEARCH_H

#include <nashost/plugin.h>

/* The problem. A genome is [n_genes] small integers; gene g lies in 0 .. arity[g] - 1, ordered from
 * the smallest choice to the largest. Genes of blocks that a shallower depth switches off are
 * inactive: canonical() sets them to 0, and two genomes are the same subnet if and only if their
 * canonical forms are equal. */
typedef struct nas_search_problem {
    uint32_t size;
    uint32_t n_genes;
    const uint16_t *arity;         /* [n_genes] */
    const char *const *gene_names; /* [n_genes], such as "stage2.block1.kernel" */
    uint32_t n_objectives;
    const char *const *objective_names; /* [n_objectives]; the first is 1 - score or the like */
    uint64_t budget;                    /* evaluations that the host intends to pay for */
    void *impl;                         /* the host's own */
    /* Brings a genome to canonical form, in place. [any] */
    void (*canonical)(const struct nas_search_problem *problem, uint16_t *genes);
    /* How far a genome is from meeting the constraints: the sum over them of max(0, cost / limit -
     * 1), 0 if feasible. Costs no evaluation: use it to filter. Infinity if the cost model fails.
     * [main] */
    double (*violation)(const struct nas_search_problem *problem, const uint16_t *genes);
    /* Since ABI 1.1; ask NAS_HAS. */
    /* How many of the objectives, from the first, are to be traded against each other: the search
     * is for their front. 1: the first is what counts, any others break ties. */
    uint32_t n_traded;
    /* What is known of a genome's objectives before it is evaluated, into objectives
     * [n_objectives]: the exact value of a cost, NaN for what only an evaluation tells. False if
     * the cost model fails. Costs no evaluation, as violation() does not. [main] */
    bool (*costs)(const struct nas_search_problem *problem, const uint16_t *genes,
                  double *objectives);
} nas_search_problem;

typedef struct nas_search_api {
    uint32_t size;
    /* Called once, before the first ask. problem lives until destroy. [main] */
    int (*start)(void *self, const nas_search_problem *problem, nas_error *err);
    /* Proposes up to n genomes into genomes [n][n_genes] and sets *count. *count = 0 means that the
     * strategy has nothing left to propose. [main] */
    int (*ask)(void *self, size_t n, uint16_t *genomes, size_t *count, nas_error *err);
    /* Reports n results, in any order: objectives [n][n_objectives] (infinity where an infeasible
     * genome was not scored) and violation [n]. A plugin of ABI 1.1 or later is also told of
     * genomes that it did not ask for: before the first ask, of the smallest and the largest
     * subnet, which the host judges in any case. [main] */
    int (*tell)(void *self, size_t n, const uint16_t *genomes, const double *objectives,
                const double *violation, nas_error *err);
} nas_search_api;

#endif
