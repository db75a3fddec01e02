/* Scores of subnets by the score plugin, each asked for once. */
#ifndef NAS_STAGES_SCORER_H
#define NAS_STAGES_SCORER_H

#include "run/memo.h"
#include "stages/evaluate.h"

typedef struct nas_scorer {
    nas_evaluator *evaluator; /* borrowed */
    nas_memo known;
    bool started; /* the plugin */
} nas_scorer;

nas_scorer nas_scorer_open(nas_evaluator *evaluator);
void nas_scorer_close(nas_scorer *scorer);

/* Starts the plugin with the largest subnet, if that was not done yet. [main] */
int nas_scorer_start(nas_scorer *scorer, nas_error *err);

/* Before the training: refuses what the plugin knows that it will not be able to score. [main] */
int nas_scorer_check(nas_evaluator *evaluator, nas_error *err);

/* Fills candidate->score. The plugin is started, with the largest subnet, when the first score is
 * needed. [main] */
int nas_scorer_score(nas_scorer *scorer, nas_candidate *candidate, nas_error *err);

/* Takes over the scores that candidates of an earlier search have. [main] */
int nas_scorer_learn(nas_scorer *scorer, const nas_memo *candidates, nas_error *err);

#endif
