#include "stages/run.h"

#include "base/json.h"
#include "base/memory.h"
#include "run/context.h"
#include "run/leftovers.h"
#include "run/rundir.h"
#include "stages/evaluate.h"
#include "stages/plan.h"
#include "stages/report.h"
#include "stages/scorer.h"
#include "stages/search.h"
#include "stages/team.h"
#include "stages/train.h"

#include <stdlib.h>
#include <unistd.h>

static json_t *chosen_json(const nas_context *context, const nas_candidate *chosen) {
    const nas_pipeline *pipeline = context->pipeline;
    json_t *json = json_object(), *list = json_array();
    for (size_t i = 0; i < pipeline->n_platforms; i++)
        nas_json_add(&list, nas_chosen_json(&context->space, &pipeline->platforms[i], &chosen[i]));
    nas_json_put(&json, "platforms", list);
    return json;
}

static int search_and_report(nas_context *context, nas_evaluator *evaluator, json_t **result,
                             nas_error *err) {
    size_t n = context->pipeline->n_platforms;
    nas_candidate *chosen = nas_alloc(n, sizeof *chosen);
    if (!chosen) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for %zu platforms", n);
    int rc = nas_search(context, evaluator, chosen, err);
    if (!rc && context->request->until == NAS_UNTIL_SEARCH)
        *result = chosen_json(context, chosen);
    else if (!rc)
        rc = nas_report(context, evaluator, chosen, result, err);
    free(chosen);
    return rc;
}

/* Where the weights are, and whether they were trained now. */
static json_t *trained_json(const nas_context *context, bool trained) {
    json_t *json = json_object();
    nas_json_put(&json, "out", nas_text_json(context->request->out));
    nas_json_put(&json, "supernet", json_string("supernet.safetensors"));
    nas_json_put(&json, "steps", json_integer(context->pipeline->train.steps));
    nas_json_put(&json, "ssl", nas_text_json(context->pipeline->ssl.id));
    nas_json_put(&json, "trained_now", json_boolean(trained));
    return json;
}

/* The data set must be what the run began with, if it did. *anew: there are no weights of another
 * one, so that the run begins anew with this one. */
static int settle_data(const nas_context *context, bool *anew, nas_error *err) {
    int rc = nas_context_check_data(context, err);
    *anew = rc == NAS_ERR_INPUT && !nas_rundir_begun(context->request->out);
    return *anew ? NAS_OK : rc;
}

static int settle_split(nas_context *context, nas_error *err) {
    const char *out = context->request->out;
    char path[NAS_RUNDIR_PATH];
    bool anew = false;
    int rc = settle_data(context, &anew, err);
    if (!rc && anew) rc = nas_rundir_forget(out, err);
    if (!rc) rc = nas_rundir_path(out, "split.json", path, sizeof path, err);
    if (!rc) rc = nas_context_split(context, path, err);
    return rc ? rc : nas_context_keep_data(context, err);
}

/* The stages, in a run directory that fits. */
static int run_stages(nas_context *context, json_t **result, nas_error *err) {
    nas_evaluator evaluator;
    bool trained = false;
    int rc = settle_split(context, err);
    if (!rc) rc = nas_team_begin(context, err);
    if (rc) return rc;
    /* Opened first, since what it refuses should not be learnt after the training. */
    rc = nas_evaluator_open(context, &evaluator, err);
    if (!rc) rc = nas_scorer_check(&evaluator, err);
    rc = nas_team_ready(&evaluator, context->request->cluster, rc, err);
    if (!rc) rc = nas_train(context, &evaluator, &trained, err);
    if (!rc && context->request->until == NAS_UNTIL_TRAIN)
        *result = trained_json(context, trained);
    else if (!rc)
        rc = search_and_report(context, &evaluator, result, err);
    nas_evaluator_close(&evaluator);
    return rc;
}

static int run_in_directory(nas_context *context, json_t **result, nas_error *err) {
    const nas_run_request *request = context->request;
    int lock = -1;
    int rc = nas_rundir_lock(request->out, &lock, err);
    if (!rc) rc = nas_leftovers_settle(request->out, request->log, err);
    if (!rc) rc = nas_staging_open(request, &context->staging, err);
    if (!rc) {
        rc = run_stages(context, result, err);
        rc = nas_staging_close(&context->staging, request, rc, err);
    }
    if (lock >= 0) close(lock);
    return rc;
}

/* Refuses what a run in the directory as it stands would refuse before its first step. */
static int dry_run(nas_context *context, json_t **result, nas_error *err) {
    const nas_run_request *request = context->request;
    char path[NAS_RUNDIR_PATH];
    nas_rundir_change change;
    int rc = nas_leftovers_check_owner(request->out, request->log, err);
    if (!rc) rc = nas_rundir_path(request->out, "split.json", path, sizeof path, err);
    if (!rc) rc = nas_rundir_compare(request->out, request->pipeline->resolved, &change, err);
    if (rc) return rc;
    bool anew = change.kind == NAS_RUNDIR_UNTRAINED, other_data = false;
    nas_rundir_change_free(&change);
    if (!anew) rc = settle_data(context, &other_data, err);
    bool stays = nas_rundir_split_stays(request->out, anew || other_data);
    if (!rc) rc = nas_context_split(context, stays ? path : NULL, err);
    if (!rc) rc = nas_context_init_weights(context, err);
    return rc ? rc : nas_plan(context, result, err);
}

/* The run of rank 0. */
static int lead(nas_context *context, const nas_run_request *request, json_t **result,
                nas_error *err) {
    int rc = nas_rundir_ready(request, err);
    if (!rc) rc = nas_context_open(request, context, err);
    if (!rc) rc = nas_search_check(context, err);
    rc = nas_team_meet(context, request, rc, err);
    if (rc) return rc;
    rc = request->dry_run ? dry_run(context, result, err) : run_in_directory(context, result, err);
    return nas_team_dismiss(request->cluster, rc, err);
}

static int follow(nas_context *context, const nas_run_request *request, nas_error *err) {
    int rc = nas_context_open(request, context, err);
    rc = nas_team_meet(context, request, rc, err);
    return rc ? rc : nas_team_follow(context, err);
}

int nas_run(const nas_run_request *request, json_t **result, nas_error *err) {
    bool leads = nas_cluster_rank(request->cluster) == 0;
    *result = NULL;
    nas_context *context = nas_alloc(1, sizeof *context);
    if (!context) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for a run");
    int rc = leads ? lead(context, request, result, err) : follow(context, request, err);
    nas_context_close(context);
    free(context);
    if (!leads) return rc;
    if (!rc && !*result) rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory for the result");
    if (!rc) return NAS_OK;
    json_decref(*result);
    *result = NULL;
    return rc;
}
