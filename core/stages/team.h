/* The ranks of a cluster in a run: rank 0 runs it as a single process does, and orders the others
 * to take part where there is work for all. They write nothing, and know of the run directory what
 * they are told. Without a cluster nothing happens here. */
#ifndef NAS_STAGES_TEAM_H
#define NAS_STAGES_TEAM_H

#include "stages/evaluate.h"
#include "stages/scorer.h"

/* All ranks: tells what became of opening the context (rc, err), and compares what they run with
 * rank 0's (stages/fingerprint.h). Returns the same on all. [main] */
int nas_team_meet(const nas_context *context, const nas_run_request *request, int rc,
                  nas_error *err);

/* Rank 0, before each thing that all do together. The split, which it has, comes first. [main] */
int nas_team_begin(nas_context *context, nas_error *err);
int nas_team_begin_training(const nas_context *context, nas_error *err);
int nas_team_begin_search(const nas_context *context, nas_error *err); /* with its weights */

/* All ranks, the evaluator being open or rc what failed. [main] */
int nas_team_ready(const nas_evaluator *evaluator, nas_cluster *cluster, int rc, nas_error *err);

/* Rank 0: the scores of n genomes, which the scorer knows then, by all ranks side by side. [main]
 */
int nas_team_score(nas_scorer *scorer, const nas_genome *genomes, size_t n, nas_error *err);

/* Rank 0: the run is at its end with rc; returns it. [main] */
int nas_team_dismiss(nas_cluster *cluster, int rc, nas_error *err);

/* The other ranks: does what is ordered, up to the end, and returns how rank 0's run ended. [main]
 */
int nas_team_follow(nas_context *context, nas_error *err);

#endif
