#include "stages/validate.h"

#include "base/json.h"
#include "run/metrics.h"
#include "stages/figures.h"

typedef unsigned long long ull;

int nas_validate(nas_evaluator *evaluator, const char *metrics_path, nas_error *err) {
    const nas_context *context = evaluator->context;
    const nas_split_sets *split = &context->split;
    uint64_t steps = (uint64_t)context->pipeline->train.steps;
    if (!split->n_validation) return NAS_OK;
    nas_genome genomes[2] = {nas_genome_largest(&context->space),
                             nas_genome_smallest(&context->space)};
    double top1[2];
    for (int i = 0; i < 2; i++) {
        nas_evaluator_select(evaluator, &genomes[i]);
        int rc = nas_evaluator_top1(evaluator, &context->source.train, split->validation,
                                    split->n_validation, &top1[i], err);
        if (rc) return rc;
    }
    nas_log_line(context->request->log, NAS_INFO,
                 "validation top-1 on %llu images: largest %.2f %%, smallest %.2f %%",
                 (ull)split->n_validation, 100 * top1[0], 100 * top1[1]);
    nas_jsonl jsonl;
    int rc = nas_jsonl_open(metrics_path, steps, &jsonl, err);
    if (!rc)
        rc = nas_jsonl_write(&jsonl,
                             json_pack("{s:I, s:{s:o, s:o}}", "step", (json_int_t)steps,
                                       "validation_top1", "largest", nas_number_json(top1[0]),
                                       "smallest", nas_number_json(top1[1])),
                             err);
    nas_jsonl_close(&jsonl);
    return rc;
}
