#include "stages/folded.h"

#include "supernet/fold.h"

#include <stdlib.h>

int nas_folded_make(nas_evaluator *evaluator, const nas_genome *genome, nas_folded *folded,
                    nas_error *err) {
    const nas_context *context = evaluator->context;
    const nas_supernet *supernet = context->supernet;
    *folded = (nas_folded){0};
    nas_evaluator_select(evaluator, genome);
    int rc = nas_lower(&context->space, genome, &folded->lowered, err);
    if (!rc)
        rc = nas_fold(supernet, supernet->weights, &evaluator->stats, folded->lowered,
                      &folded->memory, err);
    if (rc) {
        nas_folded_free(folded);
        return rc;
    }
    nas_network *network = &folded->lowered->network;
    network->mean = context->source.mean;
    network->std = context->source.std;
    network->class_names = context->source.info.class_names;
    return NAS_OK;
}

void nas_folded_free(nas_folded *folded) {
    nas_lowered_free(folded->lowered);
    free(folded->memory);
    free(folded->ranges);
    *folded = (nas_folded){0};
}
