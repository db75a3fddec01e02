/* The problem that a search plugin is given for a platform, and the costs of all subnets that were
 * looked at for it. */
#ifndef NAS_STAGES_PROBLEM_H
#define NAS_STAGES_PROBLEM_H

#include "run/context.h"
#include "run/memo.h"

#include <nashost/search.h>

typedef struct nas_problem {
    const nas_context *context;
    const nas_platform *platform;
    const nas_instance *hardware;
    nas_search_problem seen_by_plugin; /* after nas_problem_describe() */
    const char *gene_names[NAS_MAX_GENES];
    const char *names[1 + NAS_MAX_LIMITS]; /* of the objectives */
    int cost[1 + NAS_MAX_LIMITS];          /* a nas_limit_id; of objective 0: none */
    nas_memo known;                        /* genomes whose cost is known */
    uint64_t looked_at;                    /* costs that were asked for */
    double cost_seconds;                   /* that they took */
    double lowest[NAS_MAX_LIMITS];         /* cost of each constraint of the platform */
    nas_error refusal;                     /* the device's first reason for not running a subnet */
    nas_error failure;                     /* the first failure of the hardware plugin */
    nas_genome next;                       /* the first that nas_problem_exhausted() has not seen */
    bool swept;                            /* it has seen all */
} nas_problem;

/* What a search plugin asks is answered on the main thread. *problem must not move after
 * nas_problem_describe(). [main] */
nas_problem nas_problem_open(const nas_context *context, size_t platform);
void nas_problem_free(nas_problem *problem);

/* Fills what the plugin sees. The objectives are the pipeline's; where it names none, "1 - score",
 * and "latency_ms", which breaks ties, if the smallest subnet has one. budget: evaluations. */
void nas_problem_describe(nas_problem *problem, const nas_candidate *smallest, uint64_t budget);

/* False: the platform's hardware plugin does not tell a cost that is an objective. *name: which. */
bool nas_problem_tells(const nas_pipeline *pipeline, const nas_candidate *smallest,
                       const char **name);

/* Whether each gene [n_genes] has a value that its arity allows. */
bool nas_problem_in_range(const nas_problem *problem, const uint16_t *genes);

/* The canonical genome of genes that are in range. */
nas_genome nas_problem_genome(const nas_problem *problem, const uint16_t *genes);

/* Fills a candidate with its costs, from what is known if it is. keep: remember it at any rate.
 * False: a failure, which is in problem->failure. [main] */
bool nas_problem_look(nas_problem *problem, const nas_genome *genome, bool keep,
                      nas_candidate *candidate);

/* A candidate's objectives [n_objectives]; infinity where it was not scored. */
void nas_problem_objectives(const nas_problem *problem, const nas_candidate *candidate,
                            double *objectives);

/* True if it is known that every subnet that meets the constraints was scored. Each call looks at
 * some more subnets of a space that is small enough to see all of. [main] */
bool nas_problem_exhausted(nas_problem *problem);

/* The error that says what stands in the way: every constraint that no candidate met, with the
 * lowest cost. */
int nas_problem_infeasible(const nas_problem *problem, nas_error *err);

#endif
