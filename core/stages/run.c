#include "stages/run.h"

#include "base/memory.h"
#include "stages/context.h"
#include "stages/evaluate.h"
#include "stages/plan.h"
#include "stages/report.h"
#include "stages/rundir.h"
#include "stages/search.h"
#include "stages/train.h"

#include <stdlib.h>

static int search_and_report(nas_context *context, nas_evaluator *evaluator, nas_error *err) {
    size_t n = context->pipeline->n_platforms;
    nas_candidate *chosen = nas_alloc(n, sizeof *chosen);
    if (!chosen) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for %zu platforms", n);
    int rc = nas_search(context, evaluator, chosen, err);
    if (!rc && context->request->until != NAS_UNTIL_SEARCH)
        rc = nas_report(context, evaluator, chosen, err);
    free(chosen);
    return rc;
}

/* The stages, in a run directory that fits. */
static int run_stages(nas_context *context, nas_error *err) {
    const char *out = context->request->out;
    char path[NAS_RUNDIR_PATH];
    nas_evaluator evaluator;
    bool trained = false;
    int rc = nas_rundir_path(out, "split.json", path, sizeof path, err);
    if (!rc) rc = nas_context_split(context, path, err);
    if (rc) return rc;
    /* Opened first, since what it refuses should not be learnt after the training. */
    rc = nas_evaluator_open(context, &evaluator, err);
    if (rc) return rc;
    rc = nas_train(context, &trained, err);
    if (!rc) rc = nas_rundir_path(out, "metrics.jsonl", path, sizeof path, err);
    if (!rc && trained) rc = nas_evaluator_validate(&evaluator, path, err);
    if (!rc && context->request->until != NAS_UNTIL_TRAIN)
        rc = search_and_report(context, &evaluator, err);
    nas_evaluator_close(&evaluator);
    return rc;
}

int nas_run(const nas_run_request *request, nas_error *err) {
    nas_context *context = nas_alloc(1, sizeof *context);
    if (!context) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for a run");
    int rc = nas_context_open(request, context, err);
    if (!rc) rc = nas_search_check(context, err);
    if (!rc && request->dry_run) {
        rc = nas_context_split(context, NULL, err);
        if (!rc) rc = nas_plan(context, err);
    } else if (!rc) {
        rc = nas_rundir_open(request->out, request->pipeline->resolved, request->log, err);
        if (!rc) rc = run_stages(context, err);
    }
    nas_context_close(context);
    free(context);
    return rc;
}
