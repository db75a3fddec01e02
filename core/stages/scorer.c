#include "stages/scorer.h"

#include "host/call.h"
#include "space/lower.h"
#include "stages/probing.h"

#include <math.h>
#include <string.h>

/* ---- A subnet as score plugins see it ---- */

/* What stands behind a nas_subnet. */
typedef struct handle {
    nas_evaluator *evaluator;
    const nas_genome *genome;
} handle;

static int heldout_logits(const nas_subnet *subnet, float *logits, nas_error *err) {
    const handle *h = subnet->impl;
    const nas_context *context = h->evaluator->context;
    nas_evaluator_select(h->evaluator, h->genome);
    return nas_evaluator_logits(h->evaluator, nas_context_heldout(context), context->split.heldout,
                                context->split.n_heldout, logits, err);
}

static int check_look(const nas_context *context, const nas_look *how, const int32_t *labels,
                      nas_error *err) {
    const char *id = context->score.plugin->id;
    if (labels && how->images != NAS_LOOK_VALIDATION)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "plugin '%s' asks for labels of held-out images; expected validation ones",
                        id);
    if (how->images > NAS_LOOK_VALIDATION || how->augment > NAS_LOOK_STRONG)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "plugin '%s' looks at images %u with augmentation %u; expected at most %d "
                        "and %d",
                        id, how->images, how->augment, NAS_LOOK_VALIDATION, NAS_LOOK_STRONG);
    return NAS_OK;
}

static int look(const nas_subnet *subnet, const nas_look *given, float *logits, int32_t *labels,
                nas_error *err) {
    const handle *h = subnet->impl;
    const nas_context *context = h->evaluator->context;
    const nas_split_sets *split = &context->split;
    nas_look how = {0}; /* fields that the plugin does not know are 0 */
    memcpy(&how, given, given->size < sizeof how ? given->size : sizeof how);
    int rc = check_look(context, &how, labels, err);
    if (rc) return rc;
    bool heldout = how.images == NAS_LOOK_HELDOUT;
    const uint64_t *indices = heldout ? split->heldout : split->validation;
    uint64_t n = heldout ? split->n_heldout : split->n_validation;
    const nas_images *images = heldout ? nas_context_heldout(context) : &context->source.train;
    for (uint64_t i = 0; i < n && labels; i++) labels[i] = context->source.train.labels[indices[i]];
    nas_evaluator_select(h->evaluator, h->genome);
    if (how.augment == NAS_LOOK_PLAIN)
        return nas_evaluator_logits(h->evaluator, images, indices, n, logits, err);
    return nas_evaluator_augmented(h->evaluator, images, indices, n,
                                   how.augment == NAS_LOOK_WEAK ? NAS_AUGMENT_WEAK
                                                                : NAS_AUGMENT_STRONG,
                                   how.draw, logits, err);
}

static int probe(const nas_subnet *subnet, const nas_probe *how, nas_error *err) {
    const handle *h = subnet->impl;
    nas_evaluator *evaluator = h->evaluator;
    nas_pool *pool;
    int rc = nas_evaluator_pool(evaluator, &pool, err);
    return rc ? rc : nas_probing_run(evaluator->context, subnet->network, how, pool, err);
}

static void open_subnet(handle *h, const nas_network *network, nas_subnet *subnet) {
    const nas_context *context = h->evaluator->context;
    *subnet = (nas_subnet){.size = sizeof *subnet,
                           .classes = context->source.info.classes,
                           .impl = h,
                           .network = network,
                           .heldout = context->split.n_heldout,
                           .heldout_logits = heldout_logits,
                           .labelled = context->split.n_labelled,
                           .probe = probe,
                           .validation = context->split.n_validation,
                           .look = look};
}

/* ---- Asking ---- */

nas_scorer nas_scorer_open(nas_evaluator *evaluator) {
    return (nas_scorer){.evaluator = evaluator, .known = {.space = &evaluator->context->space}};
}

void nas_scorer_close(nas_scorer *scorer) {
    nas_memo_free(&scorer->known);
}

enum { CHECK, START, SCORE };

/* Asks the plugin one of these of a subnet; value: for SCORE alone. */
static int ask_plugin(nas_evaluator *evaluator, const nas_genome *genome, int what, double *value,
                      nas_error *err) {
    const nas_context *context = evaluator->context;
    const nas_score_api *api = context->score.plugin->vtable;
    nas_lowered *lowered = NULL;
    int rc = nas_lower(&context->space, genome, &lowered, err);
    if (rc) return rc;
    handle h = {evaluator, genome};
    nas_subnet subnet;
    open_subnet(&h, &lowered->network, &subnet);
    nas_call call;
    nas_call_begin(&call, &context->score,
                   what == SCORE   ? "score"
                   : what == START ? "start"
                                   : "check");
    if (what == SCORE)
        rc = api->score(context->score.self, &subnet, value, &call.err);
    else if (what == START)
        rc = api->start(context->score.self, &subnet, &call.err);
    else if (NAS_HAS(api, check) && api->check)
        rc = api->check(context->score.self, &subnet, &call.err);
    rc = nas_call_end(&call, rc, err);
    nas_lowered_free(lowered);
    return rc;
}

int nas_scorer_start(nas_scorer *scorer, nas_error *err) {
    if (scorer->started) return NAS_OK;
    nas_genome largest = nas_genome_largest(scorer->known.space);
    scorer->started = true;
    return ask_plugin(scorer->evaluator, &largest, START, NULL, err);
}

int nas_scorer_check(nas_evaluator *evaluator, nas_error *err) {
    const nas_pipeline *pipeline = evaluator->context->pipeline;
    nas_genome largest = nas_genome_largest(&evaluator->context->space);
    nas_error why = {0};
    int rc = ask_plugin(evaluator, &largest, CHECK, NULL, &why);
    return rc ? nas_fail(err, rc, "%s: search.score: %.900s", pipeline->file, why.message) : NAS_OK;
}

int nas_scorer_score(nas_scorer *scorer, nas_candidate *candidate, nas_error *err) {
    const nas_candidate *known = nas_memo_find(&scorer->known, &candidate->genome);
    if (known) {
        candidate->score = known->score;
        return NAS_OK;
    }
    int rc = nas_scorer_start(scorer, err);
    if (!rc) rc = ask_plugin(scorer->evaluator, &candidate->genome, SCORE, &candidate->score, err);
    if (!rc && !isfinite(candidate->score))
        rc = nas_fail(err, NAS_ERR_PLUGIN, "plugin '%s' gives the score %g; expected a finite one",
                      scorer->evaluator->context->pipeline->score.id, candidate->score);
    return rc ? rc : nas_memo_add(&scorer->known, candidate, err);
}

int nas_scorer_learn(nas_scorer *scorer, const nas_memo *candidates, nas_error *err) {
    for (size_t i = 0; i < candidates->n; i++) {
        const nas_candidate *item = &candidates->items[i];
        if (isnan(item->score) || nas_memo_find(&scorer->known, &item->genome)) continue;
        int rc = nas_memo_add(&scorer->known, item, err);
        if (rc) return rc;
    }
    return NAS_OK;
}
