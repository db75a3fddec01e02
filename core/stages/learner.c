#include "stages/learner.h"

#include "base/clock.h"
#include "base/memory.h"
#include "nn/optimizer.h"
#include "stages/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull;

static const nas_train_config *config_of(const nas_learner *t) {
    return &t->context->pipeline->train;
}

static nas_real *copy_weights(const nas_train_state *state, bool *good) {
    nas_real *copy = nas_alloc(state->size, sizeof *copy);
    if (copy) memcpy(copy, state->weights, state->size * sizeof *copy);
    *good = *good && copy;
    return copy;
}

static int allocate(nas_learner *t, nas_error *err) {
    const nas_supernet *supernet = t->context->supernet;
    nas_train_state *state = &t->state;
    state->size = supernet->size;
    state->weights = supernet->weights;
    state->ssl = &t->context->ssl;
    state->pipeline = t->context->pipeline->resolved;
    state->velocity = nas_alloc(state->size, sizeof *state->velocity);
    t->gradient = nas_alloc(state->size, sizeof *t->gradient);
    t->spans = nas_alloc(supernet->n_parameters, sizeof *t->spans);
    bool good = state->velocity && t->gradient && t->spans;
    if (config_of(t)->ema > 0) state->average = copy_weights(state, &good);
    if (config_of(t)->anchor > 0) state->initial = copy_weights(state, &good);
    if (good) return NAS_OK;
    return nas_fail(err, NAS_ERR_MEMORY, "out of memory for training %zu weights", state->size);
}

static int resume(nas_learner *t, const char *out, nas_error *err) {
    bool found;
    int rc = nas_checkpoint_load(out, (uint64_t)config_of(t)->steps, t->context->request->log,
                                 &t->state, &found, err);
    if (rc || !found) return rc;
    nas_log_line(t->context->request->log, NAS_INFO, "the training goes on from step %llu of %lld",
                 (ull)t->state.step, (long long)config_of(t)->steps);
    return NAS_OK;
}

/* ---- One state on all ranks ---- */

static int share_array(nas_cluster *cluster, nas_real *array, size_t n, nas_error *err) {
    return array ? nas_cluster_broadcast(cluster, array, n * sizeof *array, err) : NAS_OK;
}

/* What the loss keeps. */
static int share_loss(nas_train_state *state, nas_cluster *cluster, nas_error *err) {
    unsigned char *bytes = NULL;
    size_t size = 0;
    int rc = nas_cluster_agree(cluster, nas_train_state_pack(state, &bytes, &size, err), err);
    uint64_t n = size;
    if (!rc) rc = nas_cluster_broadcast(cluster, &n, sizeof n, err);
    if (!rc && n != size) { /* this rank's is as it was made, and may have another length */
        free(bytes);
        bytes = nas_alloc(n, 1);
        if (!bytes) rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory for a loss's state");
    }
    rc = nas_cluster_agree(cluster, rc, err);
    if (!rc && n) rc = nas_cluster_broadcast(cluster, bytes, n, err);
    if (!rc && n) rc = nas_train_state_unpack(state, bytes, n, err);
    free(bytes);
    return nas_cluster_agree(cluster, rc, err);
}

static int share_state(nas_train_state *state, nas_cluster *cluster, nas_error *err) {
    int rc = nas_cluster_broadcast(cluster, &state->step, sizeof state->step, err);
    if (!rc) rc = share_array(cluster, state->weights, state->size, err);
    if (!rc) rc = share_array(cluster, state->velocity, state->size, err);
    if (!rc) rc = share_array(cluster, state->average, state->size, err);
    if (!rc) rc = share_array(cluster, state->initial, state->size, err);
    return rc ? rc : share_loss(state, cluster, err);
}

/* ---- Opening ---- */

int nas_learner_loader(const nas_context *context, const bool *needed, uint64_t first_step,
                       nas_loader **loader, nas_error *err) {
    nas_loader_config config = {.seed = context->seed,
                                .batch = (uint32_t)context->pipeline->train.batch,
                                .unlabelled = nas_step_unlabelled(context),
                                .n_views = context->plan.n_views,
                                .augment = context->augment,
                                .threads = context->request->threads,
                                .needed = needed};
    for (uint32_t v = 0; v < config.n_views; v++)
        config.view[v] = (nas_augment)context->plan.views[v].augment;
    return nas_loader_open(&context->source, &context->split, &config, first_step, loader, err);
}

int nas_learner_open(const nas_context *context, const char *out, nas_learner *t, nas_error *err) {
    nas_cluster *cluster = nas_context_cluster(context);
    *t = (nas_learner){.context = context};
    int rc = allocate(t, err);
    if (!rc && out) rc = resume(t, out, err);
    rc = nas_cluster_agree(cluster, rc, err);
    if (!rc && cluster) rc = share_state(&t->state, cluster, err);
    if (rc) {
        nas_learner_close(t);
        return rc;
    }
    rc = nas_step_needed(context, &t->needed, err);
    if (!rc) rc = nas_learner_loader(context, t->needed, t->state.step, &t->loader, err);
    if (!rc) rc = nas_step_open(context, nas_loader_pool(t->loader), &t->step, err);
    rc = nas_cluster_agree(cluster, rc, err);
    t->earlier = t->state.seconds;
    t->opened = nas_seconds();
    if (rc) nas_learner_close(t);
    return rc;
}

void nas_learner_close(nas_learner *t) {
    nas_step_close(&t->step);
    nas_loader_close(t->loader);
    free(t->needed);
    free(t->spans);
    free(t->gradient);
    free(t->state.velocity);
    free(t->state.average);
    free(t->state.initial);
    *t = (nas_learner){0};
}

static int diverged(const nas_learner *t, const char *why, nas_error *err) {
    return nas_fail(err, NAS_ERR_NUMERIC,
                    "the training diverged at step %llu with learning rate %.3g: %.400s; lower "
                    "train.lr, or set train.clip_norm",
                    (ull)t->state.step, t->lr, why);
}

/* What does not learn has no part in the gradient's length either. */
static void rest(nas_learner *t) {
    for (uint32_t i = 0; i < t->context->supernet->n_parameters; i++) {
        const nas_span *span = &t->spans[i];
        if (span->rate <= 0)
            memset(t->gradient + span->offset, 0, span->count * sizeof *t->gradient);
    }
}

int nas_learner_step(nas_learner *t, nas_error *err) {
    const nas_train_config *config = config_of(t);
    nas_train_state *state = &t->state;
    const nas_batch *batch = NULL;
    int rc = nas_cluster_agree(nas_context_cluster(t->context),
                               nas_loader_next(t->loader, &batch, err), err);
    if (rc) return rc;
    t->lr =
        nas_learning_rate(config->lr, state->step, (size_t)config->steps, (size_t)config->warmup,
                          config->schedule == NAS_SCHEDULE_COSINE ? config->cosine_cycles : 0);
    nas_error inner = {0};
    rc = nas_step_run(&t->step, batch, state->weights, state->average, t->gradient, &state->metrics,
                      &inner);
    if (rc == NAS_ERR_NUMERIC) return diverged(t, inner.message, err);
    if (rc) return nas_fail(err, rc, "step %llu: %s", (ull)state->step, inner.message);
    nas_parts_spans(t->context->supernet, config, state->step, t->spans);
    rest(t);
    double norm = config->clip_norm > 0 ? nas_clip(t->gradient, state->size, config->clip_norm)
                                        : nas_norm(t->gradient, state->size);
    if (!isfinite(norm)) return diverged(t, "the gradient is not finite", err);
    nas_sgd sgd = {t->lr, config->momentum, state->initial};
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
