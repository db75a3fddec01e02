/* A subnet that a search has looked at: its costs, its score, whether it fits a platform. */
#ifndef NAS_RUN_CANDIDATE_H
#define NAS_RUN_CANDIDATE_H

#include "host/pipeline.h"
#include "space/genome.h"

#include <nashost/hardware.h>

typedef struct nas_candidate {
    nas_genome genome; /* canonical */
    uint64_t hash;     /* of it */
    nas_cost cost;
    uint64_t macs, params;
    double violation; /* of the platform's constraints; infinity if the cost is not known */
    double score;     /* higher is better; NaN: not scored */
    size_t asked;     /* 1, 2, ... in the order in which the search asked; 0: only looked at */
} nas_candidate;

/* A constraint with what a candidate costs there; NaN: the hardware plugin cannot tell. */
typedef struct nas_limit {
    const char *name; /* such as "latency_ms" */
    double limit, cost;
    bool whole; /* bytes and counts */
} nas_limit;

#define NAS_MAX_LIMITS 6

/* The constraints that a platform has, in the order of nas_constraints, into limits
 * [NAS_MAX_LIMITS]; returns how many. [any] */
size_t nas_candidate_limits(const nas_constraints *constraints, const nas_candidate *candidate,
                            nas_limit *limits);

/* Fills a candidate from a genome: canonical form, costs by the hardware plugin, violation, no
 * score. NAS_ERR_INFEASIBLE: the device cannot run it, for the reason in err; the candidate is
 * filled all the same, its violation above 0 (infinity if it breaks none of the constraints).
 * [main] */
int nas_candidate_cost(const nas_space *space, const nas_genome *genome,
                       const nas_hardware_api *hardware, void *self,
                       const nas_constraints *constraints, nas_candidate *candidate,
                       nas_error *err);

/* The same without asking for costs: none of them is known. [main] */
int nas_candidate_unknown(const nas_space *space, const nas_genome *genome,
                          nas_candidate *candidate, nas_error *err);

/* True if a is the better answer: feasible before infeasible, then the higher score, then the lower
 * latency, then the lower hash. */
bool nas_candidate_better(const nas_candidate *a, const nas_candidate *b);

/* {"genome": {...}, "score", "violation", "latency_ms", "energy_mj", "peak_bytes", "flash_bytes",
 * "known_share", "macs", "params"}; null where a value is not known (a violation: infinite). The
 * caller owns the result; NULL: out of memory. */
json_t *nas_candidate_json(const nas_space *space, const nas_candidate *candidate);

/* The inverse. where: file and line, for messages. */
int nas_candidate_read(const nas_space *space, const json_t *json, const char *where,
                       nas_candidate *candidate, nas_error *err);

/* The predicted costs alone: {"latency_ms", "energy_mj", "peak_bytes", "flash_bytes",
 * "known_share"}. */
json_t *nas_cost_json(const nas_cost *cost);

/* {"latency_ms": 2, ...}: the constraints that a platform has. The caller owns it; NULL: out of
 * memory. */
json_t *nas_constraints_json(const nas_constraints *constraints);

/* {"name", "genome", "score", "constraints", "predicted", "macs", "params"} of a platform's chosen
 * subnet. The caller owns it; NULL: out of memory. */
json_t *nas_chosen_json(const nas_space *space, const nas_platform *platform,
                        const nas_candidate *candidate);

#endif
