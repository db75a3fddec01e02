#include "stages/figures.h"

#include "base/json.h"
#include "base/memory.h"
#include "space/lower.h"

#include <math.h>
#include <nashost/kit/logits.h>
#include <stdlib.h>

double nas_top1(const float *logits, const int32_t *labels, const uint64_t *indices, uint64_t n,
                size_t classes) {
    uint64_t judged = 0, right = 0;
    for (uint64_t i = 0; i < n; i++) {
        int32_t label = labels[indices ? indices[i] : i];
        if (label < 0) continue;
        judged++;
        right += (int32_t)nas_argmax(logits + i * classes, classes) == label;
    }
    return judged ? (double)right / (double)judged : (double)NAN;
}

int nas_evaluator_top1(nas_evaluator *evaluator, const nas_images *images, const uint64_t *indices,
                       uint64_t n, double *top1, nas_error *err) {
    size_t classes = evaluator->context->source.info.classes;
    *top1 = NAN;
    if (!n) return NAS_OK;
    float *logits = nas_alloc(n, classes * sizeof *logits);
    if (!logits)
        return nas_fail(err, NAS_ERR_MEMORY, "out of memory for %llu logits",
                        (unsigned long long)n);
    int rc = nas_evaluator_logits(evaluator, images, indices, n, logits, err);
    if (!rc) *top1 = nas_top1(logits, images->labels, indices, n, classes);
    free(logits);
    return rc;
}

int nas_figures_measure(nas_evaluator *evaluator, const nas_genome *genome, const nas_images *test,
                        nas_figures *figures, nas_error *err) {
    const nas_context *context = evaluator->context;
    const nas_split_sets *split = &context->split;
    nas_lowered *lowered;
    int rc = nas_lower(&context->space, genome, &lowered, err);
    if (rc) return rc;
    *figures = (nas_figures){.macs = lowered->network.macs, .params = lowered->network.params};
    nas_lowered_free(lowered);
    nas_evaluator_select(evaluator, genome);
    rc = nas_evaluator_top1(evaluator, &context->source.train, split->validation,
                            split->n_validation, &figures->validation_top1, err);
    if (rc) return rc;
    return nas_evaluator_top1(evaluator, test, NULL, test->n, &figures->test_top1, err);
}

json_t *nas_figures_json(const nas_space *space, const nas_genome *genome,
                         const nas_figures *figures) {
    json_t *json = json_object();
    nas_json_put(&json, "genome", nas_genome_to_json(space, genome));
    nas_json_put(&json, "macs", nas_count_json(figures->macs));
    nas_json_put(&json, "params", nas_count_json(figures->params));
    nas_json_put(&json, "validation_top1", nas_number_json(figures->validation_top1));
    nas_json_put(&json, "test_top1", nas_number_json(figures->test_top1));
    return json;
}
