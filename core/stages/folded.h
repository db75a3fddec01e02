/* A subnet with its weights, as exporters take it. */
#ifndef NAS_STAGES_FOLDED_H
#define NAS_STAGES_FOLDED_H

#include "space/lower.h"
#include "stages/evaluate.h"

typedef struct nas_folded {
    nas_lowered *lowered; /* its network has weights, mean, std and class names */
    float *memory;        /* the weights */
    nas_range *ranges;    /* of stages/int8.h, which the network points to; NULL: none */
} nas_folded;

/* Calibrates a subnet's batch norm and folds it into the weights. The evaluator's context must
 * outlive the result; the caller frees it with nas_folded_free. [main] */
int nas_folded_make(nas_evaluator *evaluator, const nas_genome *genome, nas_folded *folded,
                    nas_error *err);
void nas_folded_free(nas_folded *folded); /* zeroed is fine */

#endif
