#include "stages/train.h"

#include "base/file.h"
#include "base/memory.h"
#include "nn/optimizer.h"
#include "stages/checkpoint.h"
#include "stages/progress.h"
#include "stages/rundir.h"
#include "stages/step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long long ull;

typedef struct training {
    const nas_context *context;
    const nas_train_config *config;
    nas_train_state state; /* weights are the supernet's */
    nas_real *gradient;
    nas_span *spans;
    nas_step step;
    nas_loader *loader;
    nas_jsonl jsonl;
    nas_metrics metrics; /* since the last line */
    nas_progress progress;
    double opened, earlier; /* this process's start, and seconds of those before it */
    double logged;          /* seconds at the last line */
    double lr;
    char checkpoint[NAS_RUNDIR_PATH], log_path[NAS_RUNDIR_PATH];
} training;

/* ---- Opening ---- */

static int allocate(training *t, nas_error *err) {
    const nas_supernet *supernet = t->context->supernet;
    nas_train_state *state = &t->state;
    state->size = supernet->size;
    state->weights = supernet->weights;
    state->ssl = &t->context->ssl;
    state->velocity = nas_alloc(state->size, sizeof *state->velocity);
    t->gradient = nas_alloc(state->size, sizeof *t->gradient);
    t->spans = nas_alloc(supernet->n_parameters, sizeof *t->spans);
    bool average = t->config->ema > 0;
    if (average) state->average = nas_alloc(state->size, sizeof *state->average);
    if (!state->velocity || !t->gradient || !t->spans || (average && !state->average))
        return nas_fail(err, NAS_ERR_MEMORY, "out of memory for training %zu weights", state->size);
    if (average) memcpy(state->average, state->weights, state->size * sizeof *state->average);
    for (uint32_t i = 0; i < supernet->n_parameters; i++) {
        const nas_parameter *p = &supernet->parameters[i];
        t->spans[i] = (nas_span){p->offset, p->count, p->decay};
    }
    return NAS_OK;
}

static int resume(training *t, nas_error *err) {
    if (!nas_file_exists(t->checkpoint)) return NAS_OK;
    int rc = nas_checkpoint_load(t->checkpoint, &t->state, err);
    if (rc) return rc;
    if (t->state.step > (uint64_t)t->config->steps)
        return nas_fail(err, NAS_ERR_INPUT, "%s: step: expected at most %lld, found %llu",
                        t->checkpoint, (long long)t->config->steps, (ull)t->state.step);
    nas_log_line(t->context->request->log, NAS_INFO, "the training goes on from step %llu of %lld",
                 (ull)t->state.step, (long long)t->config->steps);
    return NAS_OK;
}

static int open_loader(training *t, nas_error *err) {
    const nas_context *context = t->context;
    nas_loader_config config = {.seed = context->seed,
                                .batch = (uint32_t)t->config->batch,
                                .unlabelled = nas_step_unlabelled(context),
                                .n_views = context->plan.n_views,
                                .augment = context->augment};
    for (uint32_t v = 0; v < config.n_views; v++)
        config.view[v] = (nas_augment)context->plan.views[v].augment;
    return nas_loader_open(&context->source, &context->split, &config, t->state.step, &t->loader,
                           err);
}

static int open_training(training *t, nas_error *err) {
    const nas_run_request *request = t->context->request;
    int rc = nas_rundir_path(request->out, NAS_CHECKPOINT, t->checkpoint, NAS_RUNDIR_PATH, err);
    if (!rc) rc = nas_rundir_path(request->out, "metrics.jsonl", t->log_path, NAS_RUNDIR_PATH, err);
    if (!rc) rc = allocate(t, err);
    if (!rc) rc = resume(t, err);
    if (!rc) rc = open_loader(t, err);
    if (!rc) rc = nas_step_open(t->context, nas_loader_pool(t->loader), &t->step, err);
    if (!rc) rc = nas_jsonl_open(t->log_path, t->state.step, &t->jsonl, err);
    t->earlier = t->logged = t->state.seconds;
    t->opened = nas_seconds();
    t->progress = nas_progress_open(request->log, "train", t->state.step,
                                    (uint64_t)t->config->steps, request->quiet);
    return rc;
}

static void close_training(training *t) {
    nas_progress_clear(&t->progress);
    nas_jsonl_close(&t->jsonl);
    nas_step_close(&t->step);
    nas_loader_close(t->loader);
    free(t->spans);
    free(t->gradient);
    free(t->state.velocity);
    free(t->state.average);
}

/* ---- Steps ---- */

static int diverged(const training *t, const char *why, nas_error *err) {
    return nas_fail(err, NAS_ERR_NUMERIC,
                    "the training diverged at step %llu with learning rate %.3g: %.400s; lower "
                    "train.lr, or set train.clip_norm",
                    (ull)t->state.step, t->lr, why);
}

static int take_step(training *t, nas_error *err) {
    const nas_train_config *config = t->config;
    nas_train_state *state = &t->state;
    const nas_batch *batch = NULL;
    int rc = nas_loader_next(t->loader, &batch, err);
    if (rc) return rc;
    t->lr =
        nas_learning_rate(config->lr, state->step, (size_t)config->steps, (size_t)config->warmup,
                          config->schedule == NAS_SCHEDULE_COSINE ? config->cosine_cycles : 0);
    nas_error inner = {0};
    rc = nas_step_run(&t->step, batch, state->weights, state->average, t->gradient, &t->metrics,
                      &inner);
    if (rc == NAS_ERR_NUMERIC) return diverged(t, inner.message, err);
    if (rc) return nas_fail(err, rc, "step %llu: %s", (ull)state->step, inner.message);
    double norm = config->clip_norm > 0 ? nas_clip(t->gradient, state->size, config->clip_norm)
                                        : nas_norm(t->gradient, state->size);
    if (!isfinite(norm)) return diverged(t, "the gradient is not finite", err);
    nas_sgd sgd = {t->lr, config->momentum, config->weight_decay};
    nas_sgd_step(&sgd, t->spans, t->context->supernet->n_parameters, state->weights,
                 state->velocity, t->gradient);
    /* A short memory at first, so that the initial weights are forgotten. */
    double age = (1.0 + (double)state->step) / (10.0 + (double)state->step);
    if (state->average)
        nas_ema_step(fmin(config->ema, age), state->weights, state->average, state->size);
    state->step++;
    state->seconds = t->earlier + nas_seconds() - t->opened;
    return NAS_OK;
}

static bool every(const training *t, int64_t steps) {
    return steps > 0 && t->state.step % (uint64_t)steps == 0;
}

static int log_step(training *t, nas_error *err) {
    const nas_train_state *state = &t->state;
    const nas_metrics *m = &t->metrics;
    double interval = state->seconds - t->logged;
    if (nas_progress_due(&t->progress)) {
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
    int rc = nas_jsonl_write(
        &t->jsonl, nas_metrics_json(m, state->step, state->seconds, interval, t->lr), err);
    t->metrics = (nas_metrics){0};
    t->logged = state->seconds;
    return rc;
}

static int save_checkpoint(training *t, nas_error *err) {
    char *folder = nas_path_folder(t->checkpoint);
    int rc = folder ? nas_folder_make(folder, err)
                    : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", t->checkpoint);
    free(folder);
    return rc ? rc : nas_checkpoint_save(t->checkpoint, &t->state, err);
}

static int interrupted(training *t, nas_error *err) {
    char doing[96];
    snprintf(doing, sizeof doing, "at training step %llu of %lld", (ull)t->state.step,
             (long long)t->config->steps);
    int stopped = nas_context_stopped(t->context, doing, err);
    if (!stopped) return NAS_OK;
    nas_progress_clear(&t->progress);
    int rc = save_checkpoint(t, err);
    return rc ? rc : stopped;
}

static int run_steps(training *t, nas_error *err) {
    int rc = NAS_OK;
    while (!rc && t->state.step < (uint64_t)t->config->steps) {
        rc = interrupted(t, err);
        if (!rc) rc = take_step(t, err);
        if (!rc) rc = log_step(t, err);
        if (!rc && every(t, t->config->checkpoint_every)) rc = save_checkpoint(t, err);
    }
    return rc;
}

/* ---- The stage ---- */

/* What the file says of itself. The caller frees; NULL: out of memory. */
static char *metadata(const nas_context *context) {
    char seed[24], steps[24];
    snprintf(seed, sizeof seed, "%lld", (long long)context->pipeline->seed);
    snprintf(steps, sizeof steps, "%lld", (long long)context->pipeline->train.steps);
    json_t *json = json_pack("{s:s, s:s, s:s, s:s}", "format", "nashost supernet", "space",
                             context->space.name, "seed", seed, "steps", steps);
    char *text = json ? json_dumps(json, 0) : NULL;
    json_decref(json);
    return text;
}

static int finish(training *t, const char *path, nas_error *err) {
    const nas_supernet *supernet = t->context->supernet;
    char *text = metadata(t->context);
    if (!text) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", path);
    if (t->state.average)
        memcpy(supernet->weights, t->state.average, t->state.size * sizeof *supernet->weights);
    int rc = nas_supernet_save(supernet, NULL, path, text, err);
    free(text);
    if (rc) return rc;
    /* From here on the checkpoint is of no use; one that cannot be removed does no harm. */
    unlink(t->checkpoint);
    char *folder = nas_path_folder(t->checkpoint);
    if (folder) rmdir(folder);
    free(folder);
    nas_progress_clear(&t->progress);
    nas_log_line(t->context->request->log, NAS_INFO, "trained %lld steps in %.0f s",
                 (long long)t->config->steps, t->state.seconds);
    return NAS_OK;
}

int nas_train(nas_context *context, bool *trained, nas_error *err) {
    char path[NAS_RUNDIR_PATH];
    *trained = false;
    int rc = nas_rundir_path(context->request->out, "supernet.safetensors", path, sizeof path, err);
    if (rc) return rc;
    if (nas_file_exists(path)) {
        if (context->request->from == NAS_FROM_TRAIN)
            nas_log_line(context->request->log, NAS_INFO,
                         "%s is there already: its weights are used, nothing is trained", path);
        return nas_supernet_load(context->supernet, path, err);
    }
    training *t = nas_alloc(1, sizeof *t);
    if (!t) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    t->context = context;
    t->config = &context->pipeline->train;
    rc = open_training(t, err);
    if (!rc) rc = run_steps(t, err);
    if (!rc) rc = finish(t, path, err);
    *trained = !rc;
    close_training(t);
    free(t);
    return rc;
}
