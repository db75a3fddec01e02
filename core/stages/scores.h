/* Scores of chosen subnets of a finished training, by a score plugin. */
#ifndef NAS_STAGES_SCORES_H
#define NAS_STAGES_SCORES_H

#include "stages/run.h"

/* Which subnets; strings are borrowed. With neither, the largest and the smallest. */
typedef struct nas_scores_request {
    const char *const *files; /* [n_files], see nas_subnets_read */
    size_t n_files;
    size_t random; /* so many random ones, by the pipeline's seed */
} nas_scores_request;

/* Scores subnets by the pipeline's search.score with the weights of the run directory request->out,
 * and prints them to stdout as a table, or with the request's json as
 *
 *   {"score", "options", "seed", "space",
 *    "subnets": [{"name", "genome", "macs", "params", "score", "seconds"}, ...]}
 *
 * seconds: of wall time for this score; what is done once for all is not in it. Reads no test image
 * and writes nothing to the directory. [main] */
int nas_scores(const nas_run_request *request, const nas_scores_request *what, nas_error *err);

#endif
