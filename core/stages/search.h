/* The search stage: for each platform the best subnet under its constraints, without training.
 * Reads the trained weights, writes search/PLATFORM.jsonl, a line for each candidate that was
 * judged, as in run/candidate.h. */
#ifndef NAS_STAGES_SEARCH_H
#define NAS_STAGES_SEARCH_H

#include "run/candidate.h"
#include "stages/evaluate.h"

/* Asks each platform's hardware plugin, before anything long is done, for the costs of the smallest
 * subnet: an error if it cannot tell what a constraint is about, a warning if not even that subnet
 * fits. [main] */
int nas_search_check(const nas_context *context, nas_error *err);

/* Fills chosen [n_platforms] with the feasible candidate of the highest score (then the lower
 * latency, then the lower hash).
 *
 * The largest and the smallest subnet are judged first, beside the evaluations, so that the answer
 * is never worse than one of these that fits; the search plugin is told of them. It is then asked
 * until search.evaluations feasible subnets have been scored for the platform, or all that there
 * are, or it has nothing left to propose, or it has proposed 100 times as many, or 4 times as many
 * in a row without a new feasible one; the log says why a search ends early. Objectives, to
 * minimise: "1 - score", then what the pipeline names, or "latency_ms" where the hardware plugin
 * tells it. Infeasible subnets are told with infinity and not scored; none is scored twice, not for
 * two platforms either.
 *
 * A platform whose file is there already is not searched again. One for which nothing fits is
 * NAS_ERR_INFEASIBLE, after the others have been searched; the message says which constraint, and
 * the lowest cost that was reached. [main] */
int nas_search(nas_context *context, nas_evaluator *evaluator, nas_candidate *chosen,
               nas_error *err);

/* Where the time of a search goes. */
typedef struct nas_search_times {
    double *ms;      /* [evaluations] of each, with the search's own work since the one before it */
    uint64_t scored; /* evaluations that took place */
    uint64_t costs;  /* of subnets, by the hardware plugin */
    double seconds, score_seconds, cost_seconds; /* all; in scores; in costs */
} nas_search_times;

/* Searches for the first platform as nas_search does, at most `evaluations` subnets, but writes
 * nothing; fills times, whose ms the caller owns. The context's search plugin is used up. At least
 * one subnet must fit, else NAS_ERR_INFEASIBLE. [main] */
int nas_search_time(nas_context *context, nas_evaluator *evaluator, size_t evaluations,
                    nas_search_times *times, nas_error *err);

#endif
