#include "supernet/engine_memory.h"

#include "base/memory.h"
#include "base/threads.h"
#include "supernet/tile.h"

#include <stdlib.h>

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* ---- The arena, cut up for a plan ---- */

/* Takes count values, in whole cache lines, from the arena; with no arena it only counts. */
static nas_real *take(nas_engine_memory *m, size_t count) {
    nas_real *values = m->arena ? m->arena + m->arena_used : NULL;
    m->arena_used += nas_whole_lines(count);
    return values;
}

/* What a unit needs of its own besides y and g. */
static void take_small(nas_engine_memory *m, const nas_unit *u, nas_unit_memory *um) {
    const nas_squeeze *s = &u->squeeze;
    size_t images = m->limits.max_images;
    um->packed = take(m, nas_unit_weights(u));
    if (u->chain_room) um->chain = take(m, u->chain_room);
    if (u->expands) um->in_mean = take(m, m->limits.max_cohorts * u->c);
    if (!s->c) return;
    um->squeeze.pool = take(m, images * s->c);
    um->squeeze.hidden = take(m, images * s->r);
    um->squeeze.gate = take(m, images * s->c);
    um->squeeze.before = um->squeeze.hidden;
    if (!m->limits.train) return;
    um->squeeze.before = take(m, images * s->r);
    um->squeeze.hidden_grad = take(m, images * s->r);
    um->squeeze.gate_grad = take(m, images * s->c);
}

/* Forward only: a unit needs the one below it, a node the one before it. */
static void share_buffers(nas_engine_memory *m, const nas_engine_plan *plan) {
    size_t images = m->limits.max_images;
    nas_real *y[2], *z[2], *cov_weights = take(m, m->sizes.cov_weights);
    for (int i = 0; i < 2; i++) y[i] = take(m, images * m->sizes.y);
    for (int i = 0; i < 2; i++) z[i] = take(m, images * m->sizes.node);
    for (int i = 0, stored = 0; i < plan->n_units; i++) {
        const nas_unit *u = &plan->units[i];
        if (u->expands)
            m->units[i].cov_weights = cov_weights;
        else
            m->units[i].y = (nas_image_values){y[stored++ % 2], u->values, m->sizes.y};
    }
    for (int i = 0; i < plan->n_nodes; i++)
        m->nodes[i] = (nas_image_values){z[i % 2], plan->nodes[i].values, m->sizes.node};
    for (int i = 0; i < plan->n_units; i++) take_small(m, &plan->units[i], &m->units[i]);
}

/* Units first .. end - 1, with the nodes that their outputs become. */
static void keep_units(nas_engine_memory *m, const nas_engine_plan *plan, int first, int end) {
    size_t images = m->limits.max_images;
    for (int i = first; i < end; i++) {
        const nas_unit *u = &plan->units[i];
        nas_unit_memory *um = &m->units[i];
        if (u->expands)
            um->cov_weights = take(m, m->limits.max_cohorts * nas_unit_weights(u));
        else
            um->y = (nas_image_values){take(m, images * u->values), u->values, u->values};
        take_small(m, u, um);
    }
    for (int i = 0; i < plan->n_nodes; i++) {
        const nas_node *node = &plan->nodes[i];
        if (node->unit < first || node->unit >= end) continue;
        m->nodes[i] =
            (nas_image_values){take(m, images * node->values), node->values, node->values};
    }
}

/* g: units use two buffers in turn, those of nodes (which residuals need until the block's first
 * unit) apart from those inside a block. */
static void share_gradients(nas_engine_memory *m, const nas_engine_plan *plan) {
    size_t images = m->limits.max_images, inner[2] = {0, 0}, outer = 0;
    for (int i = 0; i < plan->n_nodes; i++) /* which buffer it is depends on the depths */
        outer = larger(outer, plan->nodes[i].values);
    for (int i = 0; i < plan->n_units; i++) {
        int which = plan->units[i].kind == NAS_UNIT_DEPTHWISE;
        if (!plan->units[i].expands) inner[which] = larger(inner[which], plan->units[i].values);
    }
    nas_real *in[2], *out[2];
    for (int i = 0; i < 2; i++) in[i] = take(m, images * inner[i]);
    for (int i = 0; i < 2; i++) out[i] = take(m, images * outer);
    for (int i = 0; i < plan->n_units; i++)
        m->units[i].g = in[plan->units[i].kind == NAS_UNIT_DEPTHWISE];
    for (int i = 0; i < plan->n_nodes; i++) m->units[plan->nodes[i].unit].g = out[i % 2];
}

/* Training: all of y and of the nodes stay, the trunk's at the same place for every subnet. */
static void keep_buffers(nas_engine_memory *m, const nas_engine_plan *plan) {
    int trunk = plan->trunk;
    keep_units(m, plan, 0, trunk);
    m->at_once = take(m, m->limits.max_images * m->sizes.at_once);
    if (trunk) m->trunk_grad = take(m, m->limits.max_images * plan->units[trunk - 1].values);
    keep_units(m, plan, trunk, plan->n_units);
    share_gradients(m, plan);
}

static void take_linears(nas_engine_memory *m, const nas_engine_plan *plan) {
    size_t images = m->limits.max_images;
    for (int i = 0; i < plan->n_linears; i++) {
        const nas_linear *l = &plan->linears[i];
        nas_linear_memory *lm = &m->linears[i];
        lm->x = take(m, images * l->in);
        lm->y = take(m, images * l->out);
        if (m->limits.train) lm->dx = take(m, images * l->in);
    }
    m->dropout_mask = take(m, images * plan->linears[plan->n_linears - 1].in);
}

void nas_engine_memory_lay_out(nas_engine_memory *m, const nas_engine_plan *plan) {
    m->arena_used = 0;
    for (int i = 0; i < plan->n_units; i++) m->units[i] = (nas_unit_memory){0};
    if (m->limits.train)
        keep_buffers(m, plan);
    else
        share_buffers(m, plan);
    take_linears(m, plan);
}

/* ---- Allocation ---- */

/* Of an image, what a unit takes in the weights' gradient at once, at any resolution: see
 * has_few_pixels(). */
static size_t measure_at_once(const nas_unit *u) {
    size_t values = nas_unit_inputs(u) + u->values, bound = nas_unit_weights(u) / NAS_CHUNK_IMAGES;
    if (u->kind != NAS_UNIT_POINTWISE || u->expands) return 0;
    return 2 * NAS_LINE + (values < bound ? values : bound);
}

static void measure_unit(const nas_engine_plan *plan, int index, nas_memory_sizes *s) {
    const nas_unit *u = &plan->units[index];
    size_t weights = nas_unit_weights(u);
    s->channels += u->oc;
    s->widest = larger(s->widest, larger(larger(u->oc, u->c), u->squeeze.r));
    if (!u->at_once) s->partial = larger(s->partial, weights);
    s->at_once = larger(s->at_once, measure_at_once(u));
    s->transposed = larger(s->transposed, weights + 2 * u->squeeze.c * u->squeeze.r);
    s->scratch = larger(s->scratch, nas_tile_memory(u));
    if (!u->expands) {
        s->y = larger(s->y, u->values);
        return;
    }
    size_t taps = nas_unit_rows(u + 1) * u->oc; /* of the depthwise unit: one partial holds both */
    s->square = larger(s->square, 2 * (size_t)u->c * u->c + u->c);
    s->partial = larger(s->partial, taps + weights);
    s->cov_weights = larger(s->cov_weights, weights);
}

static nas_memory_sizes measure(const nas_engine_plan *largest, bool train) {
    nas_memory_sizes s = {0};
    for (int i = 0; i < largest->n_units; i++) measure_unit(largest, i, &s);
    for (int i = 0; i < largest->n_nodes; i++) s.node = larger(s.node, largest->nodes[i].values);
    for (int i = 0; i < largest->n_linears; i++)
        s.widest = larger(s.widest, largest->linears[i].out);
    if (train) return s;
    s.partial = s.square / 2; /* second moments of an expansion's inputs */
    s.transposed = 0;
    return s;
}

/* Values of a cohort's arrays. */
static size_t cohort_size(const nas_memory_sizes *s) {
    return 4 * nas_whole_lines(s->channels) + nas_whole_lines(4 * s->widest) +
           nas_whole_lines(s->transposed) + nas_whole_lines(s->square);
}

static nas_real *take_lines(nas_real **block, size_t count) {
    nas_real *values = *block;
    *block += nas_whole_lines(count);
    return values;
}

static void cut_cohorts(nas_engine_memory *m) {
    nas_real *left = m->cohort_block;
    for (nas_cohort_memory *c = m->cohorts; c < m->cohorts + m->limits.max_cohorts; c++) {
        nas_real **const channels[] = {&c->mean, &c->var, &c->a, &c->b};
        for (int i = 0; i < 4; i++) *channels[i] = take_lines(&left, m->sizes.channels);
        c->grad_terms = take_lines(&left, 4 * m->sizes.widest);
        c->transposed = take_lines(&left, m->sizes.transposed);
        c->square = take_lines(&left, m->sizes.square);
    }
}

/* The most chunks that max_images in max_cohorts are cut into. */
static int most_chunks(const nas_memory_limits *limits) {
    size_t few = limits->max_images / NAS_CHUNK_IMAGES + limits->max_cohorts;
    size_t most = (size_t)NAS_CHUNKS * limits->max_cohorts;
    return (int)(few < NAS_CHUNKS ? NAS_CHUNKS : few < most ? few : most);
}

static bool allocate(nas_engine_memory *m, const nas_engine_memory *lender, size_t arena) {
    const nas_memory_sizes *s = &m->sizes;
    size_t chunks = (size_t)m->max_chunks;
    bool fits = lender && lender->arena_size >= arena;
    m->arena_size = fits ? 0 : arena;
    m->arena = fits ? lender->arena : nas_alloc(arena, sizeof *m->arena);
    m->ones = nas_alloc(s->widest, sizeof *m->ones);
    m->zeros = nas_alloc(s->widest, sizeof *m->zeros);
    m->sums = nas_alloc(chunks * 2 * s->widest, sizeof *m->sums);
    m->trunk_sums = nas_alloc(chunks * 2 * s->widest, sizeof *m->trunk_sums);
    m->scratch = nas_alloc((size_t)m->limits.threads * s->scratch, sizeof *m->scratch);
    m->partial = nas_alloc(chunks * s->partial + 1, sizeof *m->partial);
    m->cohort_block = nas_alloc(m->limits.max_cohorts * cohort_size(s), sizeof *m->cohort_block);
    return m->arena && m->ones && m->zeros && m->sums && m->trunk_sums && m->scratch &&
           m->partial && m->cohort_block;
}

int nas_engine_memory_create(const nas_memory_limits *limits, const nas_engine_plan *largest,
                             const nas_engine_memory *lender, nas_engine_memory *m,
                             nas_error *err) {
    *m = (nas_engine_memory){.limits = *limits,
                             .sizes = measure(largest, limits->train),
                             .max_chunks = most_chunks(limits)};
    nas_engine_memory_lay_out(m, largest); /* there is no arena yet: this counts */
    size_t arena = m->arena_used;
    if (!allocate(m, lender, arena)) {
        nas_engine_memory_free(m);
        return nas_fail(
            err, NAS_ERR_MEMORY,
            "out of memory: running %u images at once needs %.0f MiB; use a smaller batch",
            limits->max_images, (double)(arena * sizeof(nas_real)) / 1048576);
    }
    for (size_t i = 0; i < m->sizes.widest; i++) m->ones[i] = 1;
    cut_cohorts(m);
    nas_engine_memory_lay_out(m, largest);
    return NAS_OK;
}

void nas_engine_memory_free(nas_engine_memory *m) {
    if (m->arena_size) free(m->arena);
    free(m->ones);
    free(m->zeros);
    free(m->sums);
    free(m->trunk_sums);
    free(m->scratch);
    free(m->partial);
    free(m->cohort_block);
    *m = (nas_engine_memory){0};
}

size_t nas_engine_memory_bytes(const nas_engine_memory *m) {
    const nas_memory_sizes *s = &m->sizes;
    size_t chunks = (size_t)m->max_chunks;
    size_t reals = m->arena_size + 2 * s->widest + (size_t)m->limits.threads * s->scratch;
    reals += chunks * s->partial + m->limits.max_cohorts * cohort_size(s);
    return reals * sizeof(nas_real) + chunks * 4 * s->widest * sizeof(double);
}
