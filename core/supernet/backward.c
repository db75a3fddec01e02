/* Backward through a subnet, from the last unit to the first. A unit's sweep takes g, the gradient
 * of its batch norm's output, and leaves each chunk's part of the weights' gradient and g of the
 * unit below with its sums; before the next sweep these parts are added up, and the sums give batch
 * norm's gradients. Weights are transposed for the sweep to come in the same loop. */
#include "supernet/backward.h"

#include "supernet/engine_profile.h"
#include "supernet/expand.h"
#include "supernet/head.h"
#include "supernet/input.h"
#include "supernet/norm.h"
#include "supernet/share.h"
#include "supernet/squeeze.h"

#include <string.h>

/* What all threads of a sweep know. With ranks, parts of the weights' gradient are on their way
 * while the next unit has its sweep, and are added up after it. */
typedef struct backward_sweep {
    const nas_engine_plan *plan;
    const nas_engine_memory *memory;
    const nas_engine_pass *pass;
    int unit;      /* -1: none is left */
    int block_end; /* the unit whose block's output the input of this one is also added to: its g is
                      the residual's gradient; -1: none */
    int done;      /* has had its sweep, but its weights no gradient yet; -1: none */
    int expansion; /* the same, of one whose depthwise unit had that sweep */
    nas_parts parts, coming; /* what the weights' gradient is added up from; of `sent` */
    int sent, received;      /* units: their parts are on their way; have come. -1: none */
    int room;                /* of those on their way */
} backward_sweep;

/* The last unit of the block that begins with unit `index`, if it has a residual connection. */
static int find_block_end(const nas_engine_plan *plan, int index) {
    int node = plan->units[index].node, next = node + 1; /* the block's output */
    if (node < 0 || next >= plan->n_nodes) return -1;
    int end = plan->nodes[next].unit;
    return plan->units[end + 1].residual == node ? end : -1;
}

/* ---- One unit's sweep, for the images of a chunk ---- */

static nas_tile cut_tile(const backward_sweep *s, const nas_unit *u, int thread) {
    return nas_tile_cut(u, s->memory->scratch + (size_t)thread * s->memory->sizes.scratch);
}

static const nas_real *residual_grad(const backward_sweep *s, uint32_t image) {
    if (s->block_end < 0) return NULL;
    return s->memory->units[s->block_end].g + image * s->plan->units[s->block_end].values;
}

/* Squeeze-excite's part of the tile: its own gradients, then g of the depthwise unit. */
static void backward_gated(const backward_sweep *s, const nas_microbatch *micro, uint32_t image,
                           uint32_t count, const nas_tile *t, double *sums) {
    const nas_kernels *kernels = s->pass->kernels;
    const nas_unit *u = &s->plan->units[s->unit];
    const nas_unit_memory *um = &s->memory->units[s->unit];
    const nas_real *transposed = s->memory->cohorts->transposed + nas_unit_weights(u);
    size_t rows = (size_t)u->h * u->w, c = u->c;
    const nas_affine first = nas_unit_affine(s->plan, s->memory, u->source, micro, image);
    nas_affine from = first;
    for (uint32_t i = 0; i < count; i++, from.y += rows * c)
        kernels->column_dots(um->squeeze.gate_grad + (image + i) * c, t->dx + i * rows * c, &from,
                             rows, c);
    nas_squeeze_backward(s->memory, s->pass, &u->squeeze, &um->squeeze, image, count, transposed,
                         t->pool_grad);
    nas_real share = (nas_real)1 / (nas_real)rows;
    for (size_t i = 0; i < count * c; i++) t->pool_grad[i] *= share;
    from = first;
    for (uint32_t i = 0; i < count; i++, from.y += rows * c)
        kernels->act_grad(um[-1].g + (image + i) * rows * c, t->dx + i * rows * c, &from,
                          t->gate + i * c, t->pool_grad + i * c, NULL, sums, rows, c);
}

/* What the next tile reads, and before it what this one writes. */
static nas_ahead look_ahead(const backward_sweep *s, const nas_microbatch *micro, uint32_t image,
                            uint32_t count, uint32_t most) {
    const nas_unit *u = &s->plan->units[s->unit];
    const nas_unit_memory *um = &s->memory->units[s->unit];
    nas_image_range next = nas_microbatch_next(micro, image + count, most);
    nas_ahead ahead = {.n = 0};
    nas_ahead_images(&ahead, um->g, u->values, next);
    nas_ahead_images(&ahead, um->y.values, u->values, next);
    if (u->source < 0) return ahead;
    nas_ahead_images(&ahead, um[-1].y.values, u[-1].values, next);
    nas_ahead_images(&ahead, um[-1].g, u[-1].values, (nas_image_range){image, count});
    return ahead;
}

/* Where a unit's dy, and its x if that is no node, wait for the weights' gradient at once. */
static nas_tile keep_tile(const backward_sweep *s, const nas_unit *u, uint32_t image, nas_tile t) {
    t.dy = s->memory->at_once + image * u->values;
    t.x = s->memory->at_once + nas_whole_lines(s->pass->n_images * u->values) +
          image * nas_unit_inputs(u);
    return t;
}

static void backward_product(const backward_sweep *s, const nas_microbatch *micro,
                             nas_real *partial, double *sums) {
    const nas_kernels *kernels = s->pass->kernels;
    const nas_unit *u = &s->plan->units[s->unit];
    const nas_unit_memory *um = &s->memory->units[s->unit];
    nas_tile t = cut_tile(s, u, micro->thread);
    size_t k = nas_unit_rows(u), n = u->oc;
    uint32_t most = nas_tile_images(u);
    for (uint32_t i = micro->first; i < micro->end; i += most) {
        uint32_t count = nas_microbatch_count(micro, i, most);
        size_t rows = (size_t)count * u->oh * u->ow;
        if (u->at_once) t = keep_tile(s, u, i, t);
        kernels->bn_grad(t.dy, um->g + i * u->values, nas_image_at(&um->y, micro, i),
                         s->memory->cohorts[micro->cohort].grad_terms, rows, n);
        const nas_real *x =
            nas_unit_input(s->plan, s->memory, s->pass, s->unit, micro, i, count, false, &t);
        nas_ahead ahead = look_ahead(s, micro, i, count, most);
        if (!u->at_once)
            nas_multiply_transposed(kernels, x, k, t.dy, rows, n, i > micro->first, partial,
                                    &ahead);
        if (u->kind == NAS_UNIT_STEM) continue; /* the images need no gradient */
        nas_multiply_packed(kernels, t.dy, n, s->memory->cohorts->transposed, rows, k, false, t.dx,
                            &ahead);
        if (u->squeeze.c) {
            backward_gated(s, micro, i, count, &t, sums);
            continue;
        }
        nas_affine from = nas_unit_affine(s->plan, s->memory, u->source, micro, i);
        kernels->act_grad(um[-1].g + i * u[-1].values, t.dx, &from, NULL, NULL, residual_grad(s, i),
                          sums, rows, k);
    }
}

static void backward_depthwise(const backward_sweep *s, const nas_microbatch *micro,
                               nas_real *partial, double *sums) {
    const nas_unit *u = &s->plan->units[s->unit];
    const nas_unit_memory *um = &s->memory->units[s->unit];
    nas_depthwise shape = nas_unit_shape(u);
    nas_real *scratch = s->memory->scratch + (size_t)micro->thread * s->memory->sizes.scratch;
    for (uint32_t i = micro->first; i < micro->end; i++) {
        nas_affine below = nas_unit_affine(s->plan, s->memory, u->source, micro, i), from = below;
        if (u->node >= 0)
            from = nas_plain(s->memory, nas_image_at(&s->memory->nodes[u->node], micro, i),
                             NAS_ACT_NONE);
        s->pass->kernels->depthwise_grad(
            &shape, um->g + i * u->values, nas_image_at(&um->y, micro, i),
            s->memory->cohorts[micro->cohort].grad_terms, &from, um->packed, partial, &below,
            residual_grad(s, i), um[-1].g + i * u[-1].values, sums, scratch);
    }
}

/* What the tile of a depthwise unit behind an expansion writes, and what the next one reads. */
static nas_ahead look_ahead_expanded(const backward_sweep *s, const nas_microbatch *micro,
                                     uint32_t image, uint32_t count, uint32_t most) {
    const nas_unit *u = &s->plan->units[s->unit], *narrow = u - 2;
    const nas_unit_memory *um = &s->memory->units[s->unit];
    nas_image_range next = nas_microbatch_next(micro, image + count, most);
    nas_ahead ahead = {.n = 0};
    nas_ahead_images(&ahead, um->g, u->values, next);
    nas_ahead_images(&ahead, um->y.values, u->values, next);
    nas_ahead_images(&ahead, um[-2].g, narrow->values, (nas_image_range){image, count});
    return ahead;
}

/* A depthwise unit and the expansion below it: y of the latter is made, and becomes its g. */
static void backward_expanded(const backward_sweep *s, const nas_microbatch *micro,
                              nas_real *partial, double *sums) {
    const nas_unit *u = &s->plan->units[s->unit], *wide = u - 1, *narrow = u - 2;
    const nas_unit_memory *um = &s->memory->units[s->unit];
    const nas_cohort_memory *norm = &s->memory->cohorts[micro->cohort];
    nas_depthwise shape = nas_unit_shape(u);
    nas_tile t = cut_tile(s, u, micro->thread);
    uint32_t most = nas_tile_images(u);
    for (uint32_t i = micro->first; i < micro->end; i += most) {
        uint32_t count = nas_microbatch_count(micro, i, most);
        nas_expand_rows(s->plan, s->memory, s->pass, u->source, micro, i, count, t.x, NULL);
        nas_affine from = {t.x, norm->a + wide->bn, norm->b + wide->bn, wide->act};
        for (uint32_t j = 0; j < count; j++, from.y += wide->values)
            s->pass->kernels->depthwise_grad(&shape, um->g + (i + j) * u->values,
                                             nas_image_at(&um->y, micro, i + j), norm->grad_terms,
                                             &from, um->packed, partial, &from, NULL,
                                             t.x + j * wide->values, sums, t.ring);
        nas_ahead ahead = look_ahead_expanded(s, micro, i, count, most);
        nas_expand_grad(s->plan, s->memory, s->pass, u->source, micro, i, count, t.x,
                        partial + nas_unit_weights(u), um[-2].g + i * narrow->values, &ahead);
    }
}

/* What dx of an expansion lacks, and the residual's gradient. */
static void backward_expand(const backward_sweep *s, const nas_microbatch *micro, double *sums) {
    const nas_kernels *kernels = s->pass->kernels;
    const nas_unit *u = &s->plan->units[s->unit], *narrow = u - 1;
    const nas_unit_memory *um = &s->memory->units[s->unit];
    const nas_image_values *node = &s->memory->nodes[u->node];
    const nas_real *square = s->memory->cohorts[micro->cohort].square;
    uint32_t most = nas_tile_images(u);
    size_t c = u->c;
    for (uint32_t i = micro->first; i < micro->end; i += most) {
        uint32_t count = nas_microbatch_count(micro, i, most);
        size_t rows = (size_t)count * u->h * u->w;
        nas_real *g = um[-1].g + i * narrow->values;
        nas_image_range next = nas_microbatch_next(micro, i + count, most);
        nas_ahead ahead = {.n = 0};
        nas_ahead_images(&ahead, um[-1].g, narrow->values, next);
        nas_ahead_images(&ahead, node->values, narrow->values, next);
        nas_ahead_images(&ahead, um[-1].y.values, narrow->values, (nas_image_range){i, count});
        nas_multiply_packed(kernels, nas_image_at(node, micro, i), c, square, rows, c, true, g,
                            &ahead);
        nas_affine from = nas_unit_affine(s->plan, s->memory, u->source, micro, i);
        kernels->act_grad(g, g, &from, s->memory->ones, square + 2 * c * c, residual_grad(s, i),
                          sums, rows, c);
    }
}

static void sweep_chunk(void *context, int chunk, int thread) {
    const backward_sweep *s = context;
    const nas_unit *u = &s->plan->units[s->unit];
    nas_real *partial = nas_chunk_partial(s->memory, chunk);
    nas_microbatch micro = nas_microbatch_of_chunk(s->pass, chunk, s->unit % 2, thread);
    /* A product's first tile writes, its others add; taps are always added to. */
    if (u->kind == NAS_UNIT_DEPTHWISE) memset(partial, 0, nas_unit_weights(u) * sizeof *partial);
    double *sums = nas_chunk_sums(s->memory, chunk);
    if (u->source >= 0) memset(sums, 0, 2 * (size_t)u->c * sizeof *sums);
    if (u->expands)
        backward_expand(s, &micro, sums);
    else if (nas_unit_expansion(u))
        backward_expanded(s, &micro, partial, sums);
    else if (u->kind == NAS_UNIT_DEPTHWISE)
        backward_depthwise(s, &micro, partial, sums);
    else
        backward_product(s, &micro, partial, sums);
}

/* ---- Between two sweeps ---- */

/* Adds the chunks' partial gradients of n values in chunk order. */
static void add_partials(const backward_sweep *s, size_t from, size_t n, nas_real *gradient) {
    for (int chunk = 0; chunk < s->pass->n_chunks; chunk++) {
        const nas_real *partial = s->parts.first + (size_t)chunk * s->parts.stride + from;
        for (size_t i = 0; i < n; i++) gradient[i] += partial[i];
    }
}

/* The whole gradient of a kernel that matrices make, and theirs. */
static void add_chain(const backward_sweep *s, int index) {
    const nas_unit *u = &s->plan->units[index];
    nas_real *room = s->memory->units[index].chain;
    nas_real *sum = nas_kernel_chain_result(&u->chain, room);
    memset(sum, 0, nas_unit_weights(u) * sizeof *sum);
    add_partials(s, 0, nas_unit_weights(u), sum);
    nas_kernel_chain_backward(&u->chain, s->pass->weights, room, s->pass->gradient);
}

/* A share of the rows of x' dy, of all images. */
static void add_at_once(const backward_sweep *s, int index, int share) {
    enum { ROWS = 24, PIXELS = 512 }; /* whole blocks of a product; what stays in cache of dy */
    const nas_unit *u = &s->plan->units[index];
    size_t c = u->c, pixels = (size_t)s->pass->n_images * u->oh * u->ow;
    nas_tile t = keep_tile(s, u, 0, (nas_tile){0});
    const nas_real *x = u->node >= 0 ? s->memory->nodes[u->node].values : t.x;
    for (size_t row = (size_t)share * ROWS; row < c; row += NAS_CHUNKS * ROWS)
        for (size_t at = 0; at < pixels; at += PIXELS) {
            nas_product p = {.m = c - row < ROWS ? c - row : ROWS,
                             .n = u->oc,
                             .k = pixels - at < PIXELS ? pixels - at : PIXELS,
                             .a = x + at * c + row,
                             .a_row = 1,
                             .a_column = c,
                             .b = t.dy + at * u->oc,
                             .ldb = u->oc,
                             .c = s->pass->gradient + nas_slice_row(&u->weight, row),
                             .ldc = u->weight.out,
                             .add = true};
            nas_multiply(s->pass->kernels, &p);
        }
}

/* A share of the rows of a unit's weight gradient, after its sweep. */
static void add_weights(const backward_sweep *s, int index, int share) {
    const nas_unit *u = &s->plan->units[index];
    size_t rows = nas_unit_rows(u), n = u->oc;
    if (u->chain.n) {
        if (share == 0) add_chain(s, index);
        return;
    }
    if (u->at_once) add_at_once(s, index, share);
    for (size_t row = (size_t)share; row < rows && !u->at_once; row += NAS_CHUNKS)
        add_partials(s, row * n, n, s->pass->gradient + nas_slice_row(&u->weight, row));
    if (u->squeeze.c)
        nas_squeeze_weights_grad(s->pass, &u->squeeze, &s->memory->units[index].squeeze, share);
}

/* An expansion's grad_terms for a cohort: with ranks a copy, as other units have theirs meanwhile.
 */
static nas_real *expansion_terms(const backward_sweep *s, int cohort) {
    if (!s->pass->share) return s->memory->cohorts[cohort].grad_terms;
    return s->pass->share_terms + (size_t)cohort * 4 * s->memory->sizes.widest;
}

/* The same of an expansion; the partial sums of x' g come after the depthwise weights'. */
static void add_expansion(const backward_sweep *s, int index, int share) {
    const nas_unit *u = &s->plan->units[index];
    size_t n = u->oc, stride = s->parts.stride;
    for (int c = 0; c < s->pass->n_cohorts; c++) {
        const nas_cohort *cohort = &s->pass->cohorts[c];
        const nas_real *terms = expansion_terms(s, c);
        nas_real *first = s->parts.first + (size_t)cohort->chunk * stride + nas_unit_weights(u + 1);
        for (size_t row = (size_t)share; row < nas_unit_rows(u); row += NAS_CHUNKS) {
            nas_real *sum = first + row * n;
            for (int chunk = 1; chunk < cohort->chunks; chunk++)
                for (size_t i = 0; i < n; i++) sum[i] += sum[(size_t)chunk * stride + i];
            nas_expand_weight_row(s->plan, s->memory, s->pass, index, c, row, terms, sum);
        }
    }
}

/* The weights transposed to [oc][c] and packed, an expansion's times k0. */
static void transpose_weights(const backward_sweep *s, const nas_unit *u, int cohort) {
    const nas_cohort_memory *norm = &s->memory->cohorts[cohort];
    nas_matrix weights = {s->pass->weights + u->weight.offset, u->weight.out, true};
    nas_product_pack(s->pass->kernels, norm->transposed, weights,
                     u->expands ? norm->a + u->bn : NULL, u->oc, u->c);
}

/* A share of the weight gradients of what is done, and of the transposed weights of the unit to
 * come. */
static void finish_and_prepare(void *context, int share, int thread) {
    (void)thread;
    const backward_sweep *s = context;
    if (s->done >= 0) add_weights(s, s->done, share);
    if (s->received >= 0) add_weights(s, s->received, share);
    if (s->expansion >= 0) add_expansion(s, s->expansion, share);
    if (s->unit < 0) return;
    const nas_unit *u = &s->plan->units[s->unit], *wide = nas_unit_expansion(u);
    if (u->kind == NAS_UNIT_POINTWISE && !u->expands && share == 0)
        transpose_weights(s, u, 0);
    else if (wide && share < s->pass->n_cohorts)
        transpose_weights(s, wide, share);
    if (u->squeeze.c && share == NAS_CHUNKS / 2) /* behind the unit's own, by another thread */
        nas_squeeze_transpose(s->pass, &u->squeeze,
                              s->memory->cohorts->transposed + nas_unit_weights(u));
}

static void finish_expansion(void *context, int cohort, int thread) {
    (void)thread;
    const backward_sweep *s = context;
    nas_expand_finish_grad(s->plan, s->memory, s->pass, s->unit, cohort);
}

/* ---- The trunk, which several subnets share ---- */

static void add_trunk(void *context, int chunk, int thread) {
    (void)thread;
    const backward_sweep *s = context;
    const nas_engine_memory *memory = s->memory;
    const nas_unit *u = &s->plan->units[s->plan->trunk - 1];
    uint32_t first = s->pass->chunks[chunk].first, end = s->pass->chunks[chunk + 1].first;
    size_t rows = (size_t)(end - first) * u->oh * u->ow;
    nas_real *sum = memory->trunk_grad + first * u->values;
    const nas_real *g = memory->units[s->plan->trunk - 1].g + first * u->values;
    const nas_affine from = nas_plain(memory, g, NAS_ACT_NONE);
    if (nas_share_owns(s->pass, chunk)) s->pass->kernels->affine(sum, &from, sum, rows, u->oc);
    double *all = memory->trunk_sums + (size_t)chunk * 2 * memory->sizes.widest;
    const double *sums = nas_chunk_sums(memory, chunk);
    for (size_t i = 0; i < 2 * (size_t)u->oc; i++) all[i] += sums[i];
}

/* Where the sweeps have come down to the trunk: adds what this subnet passes to it to what the
 * subnets before it did, or is the first to do so. The last one then has the sum of all. */
static void gather_trunk(backward_sweep *s, nas_engine_memory *memory) {
    size_t bytes = (size_t)s->pass->n_chunks * 2 * memory->sizes.widest * sizeof *memory->sums;
    if (s->pass->how.follows) {
        nas_parallel(s->pass->pool, s->pass->n_chunks, false, add_trunk, s);
        memory->units[s->plan->trunk - 1].g = memory->trunk_grad;
        memcpy(memory->sums, memory->trunk_sums, bytes);
    } else {
        memcpy(memory->trunk_sums, memory->sums, bytes);
    }
}

/* ---- All units ---- */

/* All images' part in the weights' gradient, where that is made at once. */
static void share_at_once(const backward_sweep *s, const nas_unit *u) {
    nas_tile t = keep_tile(s, u, 0, (nas_tile){0});
    nas_real *x = u->node >= 0 ? s->memory->nodes[u->node].values : t.x;
    nas_share_images(s->pass, t.dy, u->values);
    nas_share_images(s->pass, x, nas_unit_inputs(u));
}

/* What the unit below waits for, and what is small. */
static void share_unit(const backward_sweep *s) {
    const nas_unit *u = &s->plan->units[s->unit];
    const nas_squeeze_memory *sm = &s->memory->units[s->unit].squeeze;
    size_t sums = u->source >= 0 ? 2 * (size_t)u->c : 0;
    nas_share_chunks(s->memory, s->pass, sums, 0);
    if (u->at_once) share_at_once(s, u);
    if (!u->squeeze.c) return;
    nas_share_images(s->pass, sm->pool, u->squeeze.c);
    nas_share_images(s->pass, sm->hidden, u->squeeze.r);
    nas_share_images(s->pass, sm->hidden_grad, u->squeeze.r);
    nas_share_images(s->pass, sm->gate_grad, u->squeeze.c);
}

/* Waits for the parts that are on their way. */
static void receive(backward_sweep *s) {
    s->received = s->sent;
    s->expansion = -1;
    s->sent = -1;
    if (s->received < 0) return;
    nas_share_end(s->pass);
    s->parts = s->coming;
    if (nas_unit_expansion(&s->plan->units[s->received])) s->expansion = s->received - 1;
}

static void send(backward_sweep *s) {
    const nas_unit *u = &s->plan->units[s->unit], *wide = nas_unit_expansion(u);
    if (u->expands || u->at_once) return;
    s->room = !s->room;
    s->coming = nas_share_begin(s->memory, s->pass, s->room,
                                nas_unit_weights(u) + (wide ? nas_unit_weights(wide) : 0));
    s->sent = s->unit;
}

static void keep_terms(const backward_sweep *s) {
    for (int c = 0; c < s->pass->n_cohorts; c++)
        memcpy(expansion_terms(s, c), s->memory->cohorts[c].grad_terms,
               4 * s->memory->sizes.widest * sizeof(nas_real));
}

/* What is added up before the next sweep. */
static void hand_on(backward_sweep *s) {
    const nas_unit *u = &s->plan->units[s->unit];
    s->done = u->expands || (s->pass->share && !u->at_once) ? -1 : s->unit;
    if (!s->pass->share) return;
    share_unit(s);
    receive(s);
    send(s);
}

static void backward_unit(backward_sweep *s) {
    const nas_engine_pass *pass = s->pass;
    const nas_unit *u = &s->plan->units[s->unit];
    double start = nas_profile_start(pass);
    s->block_end = find_block_end(s->plan, s->unit);
    for (int c = 0; c < pass->n_cohorts; c++)
        nas_norm_grad(s->memory, pass, c, u, s->plan->bn_epsilon);
    if (!pass->share)
        s->expansion = u->expands ? s->unit : -1;
    else if (u->expands)
        keep_terms(s);
    nas_parallel(pass->pool, NAS_CHUNKS, false, finish_and_prepare, s);
    if (u->expands) nas_parallel(pass->pool, pass->n_cohorts, false, finish_expansion, s);
    nas_share_sweep(pass, s->unit % 2, sweep_chunk, s);
    hand_on(s);
    nas_profile_unit(s->plan, pass, s->unit, true, start);
}

/* The weights' gradients that are left. */
static void finish(backward_sweep *s) {
    if (!s->pass->share) s->expansion = -1;
    nas_parallel(s->pass->pool, NAS_CHUNKS, false, finish_and_prepare, s);
    if (s->sent < 0) return;
    s->done = -1;
    receive(s);
    nas_parallel(s->pass->pool, NAS_CHUNKS, false, finish_and_prepare, s);
}

void nas_pass_backward(const nas_engine_plan *plan, nas_engine_memory *memory,
                       const nas_engine_pass *pass, const nas_real *logits_grad) {
    int top = plan->trunk - 1; /* the trunk's last unit */
    double start = nas_profile_start(pass);
    nas_head_backward(plan, memory, pass, logits_grad);
    nas_profile_head(plan, pass, true, start);
    if (top >= 0 && !pass->how.follows) memory->units[top].g = memory->trunk_grad;
    backward_sweep s = {.plan = plan,
                        .memory = memory,
                        .pass = pass,
                        .done = -1,
                        .expansion = -1,
                        .parts = {memory->partial, memory->sizes.partial},
                        .sent = -1,
                        .received = -1};
    for (s.unit = plan->n_units - 1; s.unit >= 0; s.unit--) {
        if (s.unit == top) gather_trunk(&s, memory);
        if (s.unit == top && pass->how.followed) break;
        backward_unit(&s);
    }
    s.unit = -1;
    finish(&s);
}
