#include "stages/run.h"

#include "base/memory.h"
#include "stages/chosen.h"
#include "stages/context.h"
#include "stages/evaluate.h"
#include "stages/plan.h"
#include "stages/report.h"
#include "stages/rundir.h"
#include "stages/search.h"
#include "stages/train.h"

#include <stdlib.h>
#include <unistd.h>

static int search_and_report(nas_context *context, nas_evaluator *evaluator, nas_error *err) {
    size_t n = context->pipeline->n_platforms;
    nas_candidate *chosen = nas_alloc(n, sizeof *chosen);
    if (!chosen) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for %zu platforms", n);
    int rc = nas_search(context, evaluator, chosen, err);
    if (!rc && context->request->until == NAS_UNTIL_SEARCH)
        rc = nas_chosen_print(context, chosen, err);
    else if (!rc)
        rc = nas_report(context, evaluator, chosen, err);
    free(chosen);
    return rc;
}

/* Says where the weights are, and whether they were trained now. */
static int print_trained(const nas_context *context, bool trained, nas_error *err) {
    const nas_run_request *request = context->request;
    const nas_pipeline *pipeline = context->pipeline;
    long long steps = (long long)pipeline->train.steps;
    if (!request->json) {
        printf("%s/supernet.safetensors: %lld steps with %s%s\n", request->out, steps,
               pipeline->ssl.id, trained ? "" : ", trained before");
        return NAS_OK;
    }
    json_t *json =
        json_pack("{s:s, s:s, s:I, s:b}", "out", request->out, "supernet", "supernet.safetensors",
                  "steps", (json_int_t)steps, "trained_now", trained);
    if (!json) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    json_dumpf(json, stdout, JSON_INDENT(2));
    fputc('\n', stdout);
    json_decref(json);
    return NAS_OK;
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
    if (!rc && context->request->until == NAS_UNTIL_TRAIN)
        rc = print_trained(context, trained, err);
    else if (!rc)
        rc = search_and_report(context, &evaluator, err);
    nas_evaluator_close(&evaluator);
    return rc;
}

static int run_in_directory(nas_context *context, nas_error *err) {
    const nas_run_request *request = context->request;
    int lock = -1;
    int rc = nas_rundir_lock(request->out, &lock, err);
    if (!rc) rc = nas_rundir_open(request->out, request->pipeline->resolved, request->log, err);
    if (!rc) rc = run_stages(context, err);
    if (lock >= 0) close(lock);
    return rc;
}

int nas_run(const nas_run_request *request, nas_error *err) {
    nas_context *context = nas_alloc(1, sizeof *context);
    if (!context) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for a run");
    int rc = nas_rundir_ready(request, err);
    if (!rc) rc = nas_context_open(request, context, err);
    if (!rc) rc = nas_search_check(context, err);
    if (!rc && request->dry_run) {
        rc = nas_context_split(context, NULL, err);
        if (!rc) rc = nas_plan(context, err);
    } else if (!rc) {
        rc = run_in_directory(context, err);
    }
    nas_context_close(context);
    free(context);
    return rc;
}
