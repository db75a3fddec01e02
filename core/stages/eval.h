/* A table of chosen subnets of a finished training: a report, so it reads the test split. */
#ifndef NAS_STAGES_EVAL_H
#define NAS_STAGES_EVAL_H

#include "stages/run.h"

/* Judges subnets with the weights of the run directory request->out, which request->pipeline made,
 * and prints them to stdout as a table, or with the request's json as
 *
 *   {"seed", "dataset", "space", "labelled",
 *    "subnets": [{"name", "genome", "macs", "params", "validation_top1", "test_top1"}, ...]}
 *
 * A top1 is a share, 0 to 1; null: there are no such images. Writes nothing to the directory.
 *
 * files [n]: JSON files, as nas_subnets_read takes them. n 0: the largest and the smallest subnet.
 * [main] */
int nas_eval(const nas_run_request *request, const char *const *files, size_t n, nas_error *err);

#endif
