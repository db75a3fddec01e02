/* A whole run: train, search, report, as a pipeline says. */
#ifndef NAS_STAGES_RUN_H
#define NAS_STAGES_RUN_H

#include "run/request.h"

#include <jansson.h>

/* Runs the stages in order. What the run directory holds already is kept and used: a finished
 * supernet is not trained again, an interrupted training goes on from its checkpoint and ends with
 * the same bits as an uninterrupted one, finished searches are read back. A directory that holds
 * the results of another pipeline is refused, unless only keys differ that came after what is kept
 * (search, score, platforms, export) or that do not change a result; so is one in which another run
 * is at work. Progress goes to the log. In a cluster all ranks call this; rank 0 alone uses the run
 * directory.
 *
 * *result, which the caller owns, tells what the last stage made:
 *   dry run           as nas_plan
 *   NAS_UNTIL_TRAIN   {"out", "supernet", "steps", "ssl", "trained_now"}
 *   NAS_UNTIL_SEARCH  {"platforms": [as nas_chosen_json, ...]}
 *   NAS_UNTIL_REPORT  as family.json
 *   on any rank but the first: NULL
 * NAS_ERR_INTERRUPTED: stopped by *stop, and saved; NAS_ERR_INFEASIBLE: a platform's constraints
 * cannot be met. [main] */
int nas_run(const nas_run_request *request, json_t **result, nas_error *err);

#endif
