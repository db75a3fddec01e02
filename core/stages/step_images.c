/* Which images a step has, and which of them a rank reads. */
#include "base/memory.h"
#include "stages/step.h"
#include "supernet/share.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

uint32_t nas_step_unlabelled(const nas_context *context) {
    const nas_train_config *train = &context->pipeline->train;
    double images = (double)train->batch * train->mu;
    return context->plan.n_views ? (uint32_t)lround(images) : 0;
}

uint32_t nas_step_parts(const nas_context *context) {
    int64_t parts = context->pipeline->train.accumulate;
    return parts > 1 ? (uint32_t)parts : 1;
}

/* Marks in needed the images of inputs that this rank runs; where [n] are the inputs' places in it,
 * own is work memory. */
static void mark(const nas_share *share, const nas_input *inputs, const size_t *where, uint32_t n,
                 bool apart, bool *own, bool *needed) {
    size_t at = 0, images = 0;
    for (uint32_t i = 0; i < n; i++) images += inputs[i].n;
    memset(own, 0, images * sizeof *own);
    nas_share_mark(share, inputs, n, apart, own);
    for (uint32_t i = 0; i < n; at += inputs[i++].n)
        for (size_t j = 0; j < inputs[i].n; j++)
            needed[where[i] + j] = needed[where[i] + j] || own[at + j];
}

static void mark_part(const nas_context *context, const nas_share *share, uint32_t part, bool *own,
                      bool *needed) {
    const nas_train_config *train = &context->pipeline->train;
    const nas_ssl_plan *plan = &context->plan;
    uint32_t parts = nas_step_parts(context), all = nas_step_unlabelled(context);
    uint32_t labelled = (uint32_t)train->batch / parts, unlabelled = all / parts;
    nas_input student[1 + NAS_SSL_MAX_VIEWS] = {{NULL, labelled}}, tutor[NAS_SSL_MAX_VIEWS];
    size_t seen[1 + NAS_SSL_MAX_VIEWS] = {(size_t)part * labelled}, taught[NAS_SSL_MAX_VIEWS];
    uint32_t n = 1, m = 0;
    for (uint32_t v = 0; v < plan->n_views; v++) {
        size_t place = (size_t)train->batch + (size_t)v * all + (size_t)part * unlabelled;
        if (plan->views[v].student) seen[n] = place, student[n++] = (nas_input){NULL, unlabelled};
        if (plan->views[v].teacher) taught[m] = place, tutor[m++] = (nas_input){NULL, unlabelled};
    }
    bool apart = train->batch_statistics == NAS_STATISTICS_SEPARATE;
    mark(share, student, seen, n, apart, own, needed);
    if (m) mark(share, tutor, taught, m, false, own, needed);
}

int nas_step_needed(const nas_context *context, bool **needed, nas_error *err) {
    const nas_cluster *cluster = nas_context_cluster(context);
    size_t n = (size_t)context->pipeline->train.batch +
               (size_t)context->plan.n_views * nas_step_unlabelled(context);
    *needed = NULL;
    if (!cluster || nas_instance_extension(&context->ssl, NAS_EXT_MIX)) return NAS_OK;
    const nas_share share = {.rank = nas_cluster_rank(cluster),
                             .ranks = nas_cluster_ranks(cluster)};
    bool *own = nas_alloc(n, sizeof *own);
    *needed = nas_alloc(n, sizeof **needed);
    bool good = own && *needed;
    for (uint32_t p = 0; good && p < nas_step_parts(context); p++)
        mark_part(context, &share, p, own, *needed);
    free(own);
    return good ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory for a step");
}
