/* What a run would do, without doing it. */
#ifndef NAS_STAGES_PLAN_H
#define NAS_STAGES_PLAN_H

#include "run/context.h"

/* Fills *result with
 *
 *   {"out", "threads",
 *    "data": {"dataset", "image": [h, w, c], "classes", "train", "labelled", "validation",
 *             "heldout", "unlabelled", "test", "skipped"},
 *    "space": {"name", "subnets", "of"},
 *    "train": {"steps", "labelled", "unlabelled", "subnets", "ssl", "teacher"},
 *    "search": {"plugin", "score", "evaluations"},
 *    "platforms": [{"name", "constraints", "largest": {"macs", "params", "predicted", "fits"},
 *                   "smallest": {...}}, ...],
 *    "memory": {"train_bytes", "evaluate_bytes", "image_bytes", "peak_bytes"}}
 *
 * where labelled, unlabelled and subnets of "train" are those of one step, and "of" counts the
 * space before space_restrict narrows it. The context must have its split. Opens what training and
 * search would open, so what they would refuse is refused here; writes nothing. The caller owns
 * *result. [main] */
int nas_plan(const nas_context *context, json_t **result, nas_error *err);

#endif
