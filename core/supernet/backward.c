#include "supernet/engine_impl.h"

#include <math.h>
#include <string.h>

/* What the sweep over a unit needs to know of the unit below it. */
typedef struct below {
    const unit *u;
    bool residual; /* the unit's input is also added to its block's output */
    int block_end; /* then: the unit whose g is that output's gradient */
} below;

static below look_below(const nas_engine *e, int index) {
    const unit *u = &e->units[index];
    below b = {&e->units[u->source], false, -1};
    if (u->node < 0) return b;
    int next = u->node + 1; /* the output of the block that u begins */
    if (next < e->n_nodes && e->units[e->nodes[next].unit + 1].residual == u->node)
        b = (below){b.u, true, e->nodes[next].unit};
    return b;
}

/* From a cohort's sums of g and g y to batch norm's parameter gradients, and to k of bn_grad(). */
static void finish_bn(nas_engine *e, const unit *u, const cohort *own) {
    double rows = (double)own->images * u->oh * u->ow;
    const double *sums = nas_engine_add_sums(e, own, 2 * (size_t)u->oc);
    for (size_t c = 0; c < u->oc; c++) {
        double g = sums[c], gy = sums[u->oc + c];
        double mean = (double)own->mean[u->bn + c];
        double inverse = 1 / sqrt((double)own->var[u->bn + c] + NAS_BN_EPSILON);
        double gamma_grad = inverse * (gy - mean * g);
        double k0 = (double)e->weights[u->gamma + c] * inverse;
        double k1 = -k0 * inverse * gamma_grad / rows;
        e->gradient[u->gamma + c] += (nas_real)gamma_grad;
        e->gradient[u->beta + c] += (nas_real)g;
        own->bn_k[c] = (nas_real)k0;
        own->bn_k[u->oc + c] = (nas_real)k1;
        own->bn_k[2 * u->oc + c] = (nas_real)(-k0 * g / rows - k1 * mean);
        own->bn_k[3 * u->oc + c] = (nas_real)(g / rows);
    }
}

typedef struct sweep {
    nas_engine *e;
    int unit;
    below under;
    const unit *done; /* has had its sweep, but its weights no gradient yet; NULL: none */
} sweep;

static const nas_real *residual_grad(const sweep *s, uint32_t image) {
    if (!s->under.residual) return NULL;
    const unit *end = &s->e->units[s->under.block_end];
    return end->g + image * end->values;
}

/* Squeeze-excite's part of the tile: its own gradients, then g of the depthwise unit. */
static void backward_gated(const sweep *s, const group *at, uint32_t image, uint32_t count,
                           const tile *t, double *sums) {
    nas_engine *e = s->e;
    const unit *u = &e->units[s->unit];
    size_t rows = (size_t)u->h * u->w, c = u->c;
    nas_affine from = nas_engine_affine(e, u->source, at, image);
    for (uint32_t i = 0; i < count; i++, from.y += rows * c)
        e->kernels->column_dots(u->se.gate_grad + (image + i) * c, t->dx + i * rows * c, &from,
                                rows, c);
    nas_squeeze_backward(e, &u->se, image, count, e->cohorts->turned + c * u->oc, t->pool_grad);
    nas_real share = (nas_real)1 / (nas_real)rows;
    for (size_t i = 0; i < count * c; i++) t->pool_grad[i] *= share;
    from = nas_engine_affine(e, u->source, at, image);
    for (uint32_t i = 0; i < count; i++, from.y += rows * c)
        e->kernels->act_grad(s->under.u->g + (image + i) * rows * c, t->dx + i * rows * c, &from,
                             t->gate + i * c, t->pool_grad + i * c, NULL, sums, rows, c);
}

/* What the next tile reads, and before it what this one writes. */
static void look_ahead(const sweep *s, const group *at, uint32_t image, uint32_t count,
                       uint32_t most, nas_ahead *ahead) {
    const unit *u = &s->e->units[s->unit], *under = s->under.u;
    span next = nas_engine_next(at, image + count, most);
    nas_engine_soon(ahead, u->g, u->values, next);
    nas_engine_soon(ahead, u->y, u->values, next);
    if (!under) return;
    nas_engine_soon(ahead, under->y, under->values, next);
    nas_engine_soon(ahead, under->g, under->values, (span){image, count});
}

static void backward_product(const sweep *s, const group *at, nas_real *partial, double *sums) {
    nas_engine *e = s->e;
    const unit *u = &e->units[s->unit];
    tile t = nas_engine_cut_tile(e, u, at->thread);
    size_t k = u->weight.rows, n = u->oc;
    uint32_t most = nas_engine_tile(u);
    for (uint32_t i = at->first; i < at->end; i += most) {
        uint32_t count = at->end - i < most ? at->end - i : most;
        size_t rows = (size_t)count * u->oh * u->ow;
        e->kernels->bn_grad(t.dy, u->g + i * u->values, nas_engine_y(e, s->unit, at, i),
                            e->cohorts[at->cohort].bn_k, rows, n);
        const nas_real *x = nas_engine_input(e, u, at, i, count, false, &t);
        nas_ahead ahead = {.n = 0};
        look_ahead(s, at, i, count, most, &ahead);
        nas_engine_multiply_turned(e, x, k, t.dy, rows, n, i > at->first, partial, &ahead);
        if (u->kind == UNIT_STEM) continue;
        nas_engine_multiply(e, t.dy, n, e->cohorts->turned, rows, k, false, t.dx, &ahead);
        if (u->se.c) {
            backward_gated(s, at, i, count, &t, sums);
            continue;
        }
        nas_affine from = nas_engine_affine(e, u->source, at, i);
        e->kernels->act_grad(s->under.u->g + i * s->under.u->values, t.dx, &from, NULL, NULL,
                             residual_grad(s, i), sums, rows, k);
    }
}

static void backward_depthwise(const sweep *s, const group *at, nas_real *partial, double *sums) {
    nas_engine *e = s->e;
    const unit *u = &e->units[s->unit];
    nas_depthwise shape = {u->h, u->w, u->oh, u->ow, u->c, u->k, u->stride};
    nas_real *memory = e->scratch + (size_t)at->thread * e->scratch_size;
    for (uint32_t i = at->first; i < at->end; i++) {
        nas_affine below_at = nas_engine_affine(e, u->source, at, i), from = below_at;
        if (u->node >= 0)
            from = (nas_affine){nas_engine_z(e, u->node, at, i), e->ones, e->zeros, NAS_ACT_NONE};
        e->kernels->depthwise_grad(&shape, u->g + i * u->values, nas_engine_y(e, s->unit, at, i),
                                   e->cohorts[at->cohort].bn_k, &from, u->packed, partial,
                                   &below_at, residual_grad(s, i),
                                   s->under.u->g + i * s->under.u->values, sums, memory);
    }
}

/* A depthwise unit and the expansion below it: y of the latter is made, and becomes its g. */
static void backward_expanded(const sweep *s, const group *at, nas_real *partial, double *sums) {
    nas_engine *e = s->e;
    const unit *u = &e->units[s->unit], *wide = &e->units[u->source];
    const unit *narrow = &e->units[wide->source];
    nas_depthwise shape = {u->h, u->w, u->oh, u->ow, u->c, u->k, u->stride};
    const cohort *own = &e->cohorts[at->cohort];
    tile t = nas_engine_cut_tile(e, u, at->thread);
    uint32_t most = nas_engine_tile(u);
    for (uint32_t i = at->first; i < at->end; i += most) {
        uint32_t count = at->end - i < most ? at->end - i : most;
        nas_affine from = {nas_expand_rows(e, wide, at, i, count, true, t.x, NULL),
                           own->a + wide->bn, own->b + wide->bn, wide->act};
        for (uint32_t j = 0; j < count; j++, from.y += wide->values)
            e->kernels->depthwise_grad(
                &shape, u->g + (i + j) * u->values, nas_engine_y(e, s->unit, at, i + j), own->bn_k,
                &from, u->packed, partial, &from, NULL, t.x + j * wide->values, sums, t.ring);
        nas_ahead ahead = {.n = 0};
        span next = nas_engine_next(at, i + count, most);
        nas_engine_soon(&ahead, u->g, u->values, next);
        nas_engine_soon(&ahead, u->y, u->values, next);
        if (wide->y) nas_engine_soon(&ahead, wide->y, wide->values, next);
        nas_engine_soon(&ahead, narrow->g, narrow->values, (span){i, count});
        nas_expand_grad(e, wide, at, i, count, t.x, partial + u->weight.rows * u->oc,
                        narrow->g + i * narrow->values, &ahead);
    }
}

/* What dx of an expansion lacks, and the residual's gradient. */
static void backward_expand(const sweep *s, const group *at, double *sums) {
    nas_engine *e = s->e;
    const unit *u = &e->units[s->unit], *narrow = s->under.u;
    const cohort *own = &e->cohorts[at->cohort];
    uint32_t most = nas_engine_tile(u);
    size_t c = u->c;
    const nas_real *constant = own->square + 2 * c * c;
    for (uint32_t i = at->first; i < at->end; i += most) {
        uint32_t count = at->end - i < most ? at->end - i : most;
        size_t rows = (size_t)count * u->h * u->w;
        nas_real *g = narrow->g + i * narrow->values;
        span next = nas_engine_next(at, i + count, most);
        nas_ahead ahead = {.n = 0};
        nas_engine_soon(&ahead, narrow->g, narrow->values, next);
        nas_engine_soon(&ahead, e->nodes[u->node].z, narrow->values, next);
        nas_engine_soon(&ahead, narrow->y, narrow->values, (span){i, count});
        nas_engine_multiply(e, nas_engine_z(e, u->node, at, i), c, own->square, rows, c, true, g,
                            &ahead);
        nas_affine from = nas_engine_affine(e, u->source, at, i);
        e->kernels->act_grad(g, g, &from, e->ones, constant, residual_grad(s, i), sums, rows, c);
    }
}

static void sweep_chunk(void *context, int chunk, int thread) {
    const sweep *s = context;
    nas_engine *e = s->e;
    const unit *u = &e->units[s->unit];
    nas_real *partial = e->partial + (size_t)chunk * e->partial_size;
    bool expanded = u->source >= 0 && e->units[u->source].expands;
    group at = nas_engine_group(e, chunk, s->unit % 2, thread);
    /* A product's first tile writes, its others add; taps are always added to. */
    if (u->kind == UNIT_DEPTHWISE)
        memset(partial, 0, u->weight.rows * u->weight.columns * sizeof *partial);
    double *sums = nas_engine_sums(e, chunk);
    if (u->source >= 0) memset(sums, 0, 2 * (size_t)u->c * sizeof *sums);
    if (u->expands)
        backward_expand(s, &at, sums);
    else if (expanded)
        backward_expanded(s, &at, partial, sums);
    else if (u->kind == UNIT_DEPTHWISE)
        backward_depthwise(s, &at, partial, sums);
    else
        backward_product(s, &at, partial, sums);
}

/* Adds the chunks' partial gradients of n values in chunk order to the gradient array. */
static void add_partials(nas_engine *e, size_t from, size_t n, size_t to) {
    nas_real *gradient = e->gradient + to;
    for (int chunk = 0; chunk < e->chunks; chunk++) {
        const nas_real *partial = e->partial + (size_t)chunk * e->partial_size + from;
        for (size_t i = 0; i < n; i++) gradient[i] += partial[i];
    }
}

static size_t gradient_row(const unit *u, size_t row) {
    if (u->kind != UNIT_DEPTHWISE) return u->weight.offset + row * u->weight.ld;
    size_t skip = (u->full_k - u->k) / 2, y = row / u->k + skip, x = row % u->k + skip;
    return u->weight.offset + (y * u->full_k + x) * u->weight.ld;
}

/* A share of the rows of a unit's weight gradient, after its sweep. */
static void add_weights(nas_engine *e, const unit *u, int share) {
    size_t rows = u->weight.rows, n = u->weight.columns;
    for (size_t row = (size_t)share; row < rows; row += NAS_CHUNKS)
        add_partials(e, row * n, n, gradient_row(u, row));
    if (u->se.c) nas_squeeze_add(e, &u->se, share);
}

/* The same of an expanding unit; the partial sums of x' g come after the depthwise weights'. */
static void add_expansion(nas_engine *e, const unit *u, int share) {
    const unit *depthwise = u + 1;
    size_t n = u->oc, skip = depthwise->weight.rows * n;
    for (int c = 0; c < e->n_cohorts; c++) {
        const cohort *own = &e->cohorts[c];
        nas_real *first = e->partial + (size_t)own->chunk * e->partial_size + skip;
        for (size_t row = (size_t)share; row < u->weight.rows; row += NAS_CHUNKS) {
            nas_real *sum = first + row * n;
            for (int chunk = 1; chunk < own->chunks; chunk++)
                for (size_t i = 0; i < n; i++) sum[i] += sum[(size_t)chunk * e->partial_size + i];
            nas_expand_weight_row(e, u, c, row, sum);
        }
    }
}

/* The weights transposed to [oc][c] and packed, an expanding unit's times k0. */
static void turn_weights(const nas_engine *e, const unit *u, const cohort *own) {
    nas_matrix weights = {e->weights + u->weight.offset, u->weight.ld, true};
    nas_product_pack(e->kernels, own->turned, weights, u->expands ? own->a + u->bn : NULL, u->oc,
                     u->c);
}

/* Between two sweeps: weight gradients of the one that is done, weights for the one to come. */
static void between(void *context, int share, int thread) {
    (void)thread;
    const sweep *s = context;
    nas_engine *e = s->e;
    if (s->done) add_weights(e, s->done, share);
    if (s->unit < 0) return;
    const unit *u = &e->units[s->unit];
    if (u->expands)
        add_expansion(e, u, share);
    else if (u->kind == UNIT_POINTWISE && share == 0)
        turn_weights(e, u, e->cohorts);
    else if (u->kind == UNIT_DEPTHWISE && s->under.u->expands && share < e->n_cohorts)
        turn_weights(e, s->under.u, &e->cohorts[share]);
    if (u->se.c && share == NAS_CHUNKS / 2) /* behind the unit's own, by another thread */
        nas_squeeze_turn(e, &u->se, e->cohorts->turned + u->c * u->oc);
}

static void finish_expansion(void *context, int index, int thread) {
    (void)thread;
    const sweep *s = context;
    nas_expand_finish_grad(s->e, &s->e->units[s->unit], index);
}

static void add_trunk(void *context, int chunk, int thread) {
    (void)thread;
    nas_engine *e = context;
    const unit *u = &e->units[e->trunk - 1];
    uint32_t first = e->cuts[chunk].first, end = e->cuts[chunk + 1].first;
    nas_real *sum = e->trunk_grad + first * u->values;
    const nas_affine here = {u->g + first * u->values, e->ones, e->zeros, NAS_ACT_NONE};
    size_t rows = (size_t)(end - first) * u->oh * u->ow;
    e->kernels->affine(sum, &here, sum, rows, u->oc);
    double *all = e->trunk_sums + (size_t)chunk * 2 * e->widest;
    const double *own = nas_engine_sums(e, chunk);
    for (size_t i = 0; i < 2 * (size_t)u->oc; i++) all[i] += own[i];
}

/* Where the sweeps have come down to the trunk: adds what this subnet passes to it to what the
 * subnets before it did, or is the first to do so. The last one then has the sum of all. */
static void gather_trunk(nas_engine *e) {
    size_t bytes = (size_t)e->chunks * 2 * e->widest * sizeof *e->sums;
    if (e->follows) {
        nas_parallel(e->pool, e->chunks, false, add_trunk, e);
        e->units[e->trunk - 1].g = e->trunk_grad;
        memcpy(e->sums, e->trunk_sums, bytes);
    } else {
        memcpy(e->trunk_sums, e->sums, bytes);
    }
}

void nas_engine_backward(nas_engine *e, const nas_real *weights, const nas_real *logits_grad,
                         nas_real *gradient) {
    e->weights = weights;
    e->gradient = gradient;
    double start = nas_profile_start(e);
    nas_head_backward(e, logits_grad);
    nas_profile_head(e, true, start);
    if (e->trunk && !e->follows) e->units[e->trunk - 1].g = e->trunk_grad;
    sweep s = {.e = e, .unit = e->n_units - 1};
    for (int i = s.unit; i >= 0; i--) {
        if (i == e->trunk - 1) gather_trunk(e);
        if (i == e->trunk - 1 && e->followed) break;
        start = nas_profile_start(e);
        const unit *u = &e->units[i];
        s.unit = i;
        s.under = i > 0 ? look_below(e, i) : (below){0};
        for (int c = 0; c < e->n_cohorts; c++) finish_bn(e, u, &e->cohorts[c]);
        nas_parallel(e->pool, NAS_CHUNKS, false, between, &s);
        if (u->expands) nas_parallel(e->pool, e->n_cohorts, false, finish_expansion, &s);
        nas_parallel(e->pool, e->chunks, i % 2, sweep_chunk, &s);
        s.done = u->expands ? NULL : u;
        nas_profile_unit(e, i, true, start);
    }
    s.unit = -1;
    nas_parallel(e->pool, NAS_CHUNKS, false, between, &s);
}
