#include "stages/train.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "run/events.h"
#include "run/progress.h"
#include "run/rundir.h"
#include "space/restrict.h"
#include "stages/learner.h"
#include "stages/team.h"
#include "stages/validate.h"
#include "supernet/pretrained.h"

#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull;

typedef struct training {
    const nas_context *context;
    const nas_train_config *config;
    nas_learner learner;
    nas_jsonl jsonl;
    nas_events events;
    nas_progress progress;
    double saved;  /* when, on nas_seconds' clock */
    bool together; /* the other ranks take steps, too */
    char log_path[NAS_RUNDIR_PATH];
} training;

/* ---- Opening ---- */

static int open_training(training *t, nas_error *err) {
    const nas_run_request *request = t->context->request;
    int rc = nas_rundir_path(request->out, "metrics.jsonl", t->log_path, NAS_RUNDIR_PATH, err);
    if (!rc) rc = nas_team_begin_training(t->context, err);
    if (!rc) rc = nas_cluster_agree(request->cluster, NAS_OK, err);
    if (!rc) rc = nas_learner_open(t->context, request->out, &t->learner, err);
    t->together = !rc && request->cluster;
    if (!rc) rc = nas_jsonl_open(t->log_path, t->learner.state.step, &t->jsonl, err);
    if (!rc) rc = nas_events_open(request->out, "train", t->learner.state.step, &t->events, err);
    if (!rc && t->context->plan.n_views && !nas_loader_judged(t->learner.loader))
        nas_log_line(request->log, NAS_INFO,
                     "no unlabelled image has a label that the training does not read: how many "
                     "pseudo-labels are right is not known");
    t->saved = nas_seconds();
    t->progress = nas_progress_open(request->log, "train", t->learner.state.step,
                                    (uint64_t)t->config->steps, request->quiet);
    return rc;
}

static void close_training(training *t) {
    nas_progress_clear(&t->progress);
    nas_events_close(&t->events);
    nas_jsonl_close(&t->jsonl);
    nas_learner_close(&t->learner);
}

/* ---- Steps ---- */

static bool every(const training *t, int64_t steps) {
    return steps > 0 && t->learner.state.step % (uint64_t)steps == 0;
}

static int log_step(training *t, nas_error *err) {
    nas_train_state *state = &t->learner.state;
    const nas_metrics *m = &state->metrics;
    double interval = state->seconds - state->logged;
    if (nas_progress_due(&t->progress, state->step)) {
        char text[128];
        int n = snprintf(text, sizeof text, "loss %.4f", m->loss / (double)m->subnets);
        if (m->rows)
            n += snprintf(text + n, sizeof text - (size_t)n, "  mask %.0f %%",
                          100 * nas_metrics_mask_rate(m));
        snprintf(text + n, sizeof text - (size_t)n, "  %.0f images/s",
                 (double)m->images / interval);
        nas_progress_show(&t->progress, state->step, text);
    }
    if (!every(t, t->config->log_every) && state->step != (uint64_t)t->config->steps) return NAS_OK;
    json_t *line = nas_metrics_json(m, state->step, state->seconds, interval, t->learner.lr);
    int rc = nas_events_write(&t->events, state->step, line, err);
    if (rc)
        json_decref(line);
    else
        rc = nas_jsonl_write(&t->jsonl, line, err);
    state->metrics = (nas_metrics){0};
    state->logged = state->seconds;
    return rc;
}

static int save_checkpoint(training *t, nas_error *err) {
    t->saved = nas_seconds();
    return nas_checkpoint_save(t->context->request->out, &t->learner.state, err);
}

static int interrupted(training *t, nas_error *err) {
    char doing[96];
    snprintf(doing, sizeof doing, "at training step %llu of %lld", (ull)t->learner.state.step,
             (long long)t->config->steps);
    int stopped = nas_context_stopped(t->context, doing, err);
    if (!stopped) return NAS_OK;
    nas_progress_clear(&t->progress);
    int rc = save_checkpoint(t, err);
    return rc ? rc : stopped;
}

/* When it is saved changes nothing in what is trained. */
static bool is_time(const training *t) {
    double seconds = t->config->checkpoint_seconds;
    return seconds > 0 && nas_seconds() - t->saved >= seconds;
}

static int run_steps(training *t, nas_error *err) {
    int rc = NAS_OK;
    while (!rc && t->learner.state.step < (uint64_t)t->config->steps) {
        rc = interrupted(t, err);
        if (!rc) rc = nas_learner_step(&t->learner, err);
        if (!rc) rc = log_step(t, err);
        if (!rc && (every(t, t->config->checkpoint_every) || is_time(t)))
            rc = save_checkpoint(t, err);
    }
    return rc;
}

/* ---- The stage ---- */

/* The space that the weights span. The caller frees; NULL: out of memory. */
static char *space_text(const nas_context *context) {
    const nas_pipeline *pipeline = context->pipeline;
    if (!pipeline->space_restrict) return nas_json_text(pipeline->space, JSON_COMPACT, NULL);
    json_t *narrowed = nas_space_narrowed_json(pipeline->space, &context->space);
    char *text = nas_json_text(narrowed, JSON_COMPACT, NULL);
    json_decref(narrowed);
    return text;
}

/* What the file says of itself. The caller frees; NULL: out of memory. */
static char *metadata(const nas_context *context) {
    char seed[24], steps[24];
    snprintf(seed, sizeof seed, "%lld", (long long)context->pipeline->seed);
    snprintf(steps, sizeof steps, "%lld", (long long)context->pipeline->train.steps);
    char *space = space_text(context);
    json_t *json = json_pack("{s:s, s:s, s:s, s:s}", "format", NAS_PRETRAINED_FORMAT, "space",
                             context->space.name, "seed", seed, "steps", steps);
    nas_json_put(&json, "space_json", space ? nas_text_json(space) : NULL);
    char *text = nas_json_text(json, 0, NULL);
    free(space);
    json_decref(json);
    return text;
}

static int finish(training *t, nas_evaluator *evaluator, const char *path, nas_error *err) {
    const nas_supernet *supernet = t->context->supernet;
    char *text = metadata(t->context);
    if (!text) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", path);
    if (t->learner.state.average)
        memcpy(supernet->weights, t->learner.state.average,
               t->learner.state.size * sizeof *supernet->weights);
    nas_progress_clear(&t->progress);
    nas_log_line(t->context->request->log, NAS_INFO, "trained %lld steps in %.0f s",
                 (long long)t->config->steps, t->learner.state.seconds);
    /* Before the weights, whose being there says that the training is at its end. */
    int rc = nas_validate(evaluator, t->log_path, err);
    if (!rc) rc = nas_supernet_save(supernet, NULL, path, text, err);
    free(text);
    if (!rc) nas_checkpoint_remove(t->context->request->out);
    return rc;
}

int nas_train(nas_context *context, nas_evaluator *evaluator, bool *trained, nas_error *err) {
    char path[NAS_RUNDIR_PATH];
    *trained = false;
    int rc = nas_rundir_path(context->request->out, "supernet.safetensors", path, sizeof path, err);
    if (rc) return rc;
    if (nas_file_exists(path)) {
        if (context->request->from == NAS_FROM_TRAIN)
            nas_log_line(context->request->log, NAS_INFO,
                         "%s is there already: its weights are used, nothing is trained", path);
        rc = nas_supernet_load(context->supernet, path, err);
        if (!rc) nas_checkpoint_remove(context->request->out); /* one that a kill left */
        return rc;
    }
    training *t = nas_alloc(1, sizeof *t);
    if (!t) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    t->context = context;
    t->config = &context->pipeline->train;
    rc = nas_context_init_weights(context, err);
    if (!rc) rc = open_training(t, err);
    if (!rc) rc = run_steps(t, err);
    if (rc && t->together && !nas_cluster_told(context->request->cluster, rc))
        rc = nas_cluster_agree(context->request->cluster, rc, err);
    if (!rc) rc = finish(t, evaluator, path, err);
    *trained = !rc;
    close_training(t);
    free(t);
    return rc;
}
