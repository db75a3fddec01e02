/* What a run would do, without doing it. */
#ifndef NAS_STAGES_PLAN_H
#define NAS_STAGES_PLAN_H

#include "stages/context.h"

/* Prints to stdout, as a table or with the request's json as an object: data, space with the costs
 * of its largest and smallest subnet on each platform, training, search, memory. The context must
 * have its split. Opens what training and search would open, so what they would refuse is refused
 * here; writes nothing. [main] */
int nas_plan(const nas_context *context, nas_error *err);

#endif
