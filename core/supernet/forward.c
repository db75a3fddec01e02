/* Forward through a subnet. With batch statistics (training, calibration) every unit is one sweep
 * over all images, chunk by chunk in parallel; then each cohort's sums become mean and variance,
 * and the next unit's sweep applies them as it reads. With given statistics (inference) there is
 * nothing to wait for, and a few images at a time go through all units. */
#include "supernet/forward.h"

#include "supernet/engine_profile.h"
#include "supernet/expand.h"
#include "supernet/head.h"
#include "supernet/input.h"
#include "supernet/norm.h"
#include "supernet/share.h"

#include <string.h>

#define INFERENCE_IMAGES 4 /* of a micro-batch, since products of few rows leave odd ends */

/* What all threads of a sweep know. */
typedef struct forward_sweep {
    const nas_engine_plan *plan;
    const nas_engine_memory *memory;
    const nas_engine_pass *pass;
    int unit;
} forward_sweep;

/* ---- One unit, for the images of a micro-batch ---- */

static nas_tile cut_tile(const nas_engine_memory *memory, const nas_unit *u, int thread) {
    return nas_tile_cut(u, memory->scratch + (size_t)thread * memory->sizes.scratch);
}

/* A node's values for images from `image` on; node -1: NULL. */
static nas_real *node_at(const nas_engine_memory *memory, int node, const nas_microbatch *micro,
                         uint32_t image) {
    return node >= 0 ? nas_image_at(&memory->nodes[node], micro, image) : NULL;
}

static void forward_product(const nas_engine_plan *plan, const nas_engine_memory *memory,
                            const nas_engine_pass *pass, int index, const nas_microbatch *micro,
                            double *sums) {
    const nas_unit *u = &plan->units[index];
    const nas_unit_memory *um = &memory->units[index];
    nas_tile t = cut_tile(memory, u, micro->thread);
    uint32_t most = nas_tile_images(u);
    for (uint32_t i = micro->first; i < micro->end; i += most) {
        uint32_t count = nas_microbatch_count(micro, i, most);
        size_t rows = (size_t)count * u->oh * u->ow;
        const nas_real *x = nas_unit_input(plan, memory, pass, index, micro, i, count, true, &t);
        nas_real *y = nas_image_at(&um->y, micro, i);
        nas_ahead ahead = {.n = 0};
        if (u->source >= 0)
            nas_ahead_images(&ahead, nas_image_at(&um[-1].y, micro, micro->origin), u[-1].values,
                             nas_microbatch_next(micro, i + count, most));
        nas_multiply_packed(pass->kernels, x, nas_unit_rows(u), um->packed, rows, u->oc, false, y,
                            &ahead);
        if (sums) pass->kernels->moments(sums, y, rows, u->oc);
    }
}

/* Makes the rows of expansion `wide`, for the tile of the depthwise unit behind it that begins at
 * image i. */
static void expand_tile(const nas_engine_plan *plan, const nas_engine_memory *memory,
                        const nas_engine_pass *pass, int wide, const nas_microbatch *micro,
                        uint32_t i, uint32_t most, nas_real *rows) {
    const nas_unit *u = &plan->units[wide];
    const nas_image_values *node = &memory->nodes[u->node];
    uint32_t count = nas_microbatch_count(micro, i, most);
    nas_ahead ahead = {.n = 0};
    nas_ahead_images(&ahead, nas_image_at(node, micro, micro->origin), node->size,
                     nas_microbatch_next(micro, i + count, most));
    nas_ahead_add(&ahead, nas_image_at(&memory->units[wide + 1].y, micro, i), count * u[1].values);
    nas_expand_rows(plan, memory, pass, wide, micro, i, count, rows, &ahead);
}

static void forward_depthwise(const nas_engine_plan *plan, const nas_engine_memory *memory,
                              const nas_engine_pass *pass, int index, const nas_microbatch *micro,
                              double *sums) {
    const nas_unit *u = &plan->units[index], *wide = nas_unit_expansion(u);
    const nas_unit_memory *um = &memory->units[index];
    nas_tile t = cut_tile(memory, u, micro->thread);
    uint32_t most = nas_tile_images(u);
    nas_depthwise shape = nas_unit_shape(u);
    for (uint32_t i = micro->first; i < micro->end; i++) {
        nas_affine from = nas_unit_affine(plan, memory, u->source, micro, i);
        uint32_t place = (i - micro->first) % most;
        if (wide) {
            if (place == 0) expand_tile(plan, memory, pass, u->source, micro, i, most, t.x);
            from.y = t.x + place * wide->values;
        }
        nas_real *z = node_at(memory, u->node, micro, i);
        const nas_real *residual = node_at(memory, u->residual, micro, i);
        pass->kernels->depthwise(&shape, &from, residual, z, um->packed,
                                 nas_image_at(&um->y, micro, i), sums, t.ring);
    }
}

/* Stores the node that an expanding unit reads, and sums up its moments. */
static void forward_expand(const nas_engine_plan *plan, const nas_engine_memory *memory,
                           const nas_engine_pass *pass, int index, const nas_microbatch *micro,
                           double *sums) {
    const nas_unit *u = &plan->units[index];
    const nas_image_values *node = &memory->nodes[u->node];
    nas_tile t = cut_tile(memory, u, micro->thread);
    uint32_t most = nas_tile_images(u), origin = micro->origin;
    nas_real *partial = nas_chunk_partial(memory, micro->chunk);
    for (uint32_t i = micro->first; i < micro->end; i += most) {
        uint32_t count = nas_microbatch_count(micro, i, most);
        const nas_real *x = nas_unit_input(plan, memory, pass, index, micro, i, count, true, &t);
        if (!sums) continue;
        nas_ahead ahead = {.n = 0};
        nas_image_range next = nas_microbatch_next(micro, i + count, most);
        nas_ahead_images(&ahead, nas_image_at(&memory->units[u->source].y, micro, origin),
                         node->size, next);
        nas_ahead_images(&ahead, nas_image_at(node, micro, origin), node->size, next);
        if (u->residual >= 0)
            nas_ahead_images(&ahead, node_at(memory, u->residual, micro, origin), node->size, next);
        nas_expand_moments(pass, u, x, (size_t)count * u->h * u->w, i > micro->first, partial, sums,
                           &ahead);
    }
}

/* sums: of the chunk; NULL: no batch statistics. */
static void forward_unit(const nas_engine_plan *plan, const nas_engine_memory *memory,
                         const nas_engine_pass *pass, int index, const nas_microbatch *micro,
                         double *sums) {
    if (plan->units[index].kind == NAS_UNIT_DEPTHWISE)
        forward_depthwise(plan, memory, pass, index, micro, sums);
    else if (plan->units[index].expands)
        forward_expand(plan, memory, pass, index, micro, sums);
    else
        forward_product(plan, memory, pass, index, micro, sums);
}

/* ---- Before the sweeps: weights as the kernels want them ---- */

static void pack_weights(const nas_engine_pass *pass, const nas_unit *u,
                         const nas_unit_memory *um) {
    nas_real *packed = um->packed;
    size_t rows = nas_unit_rows(u), columns = u->oc;
    if (u->kind != NAS_UNIT_DEPTHWISE) {
        nas_matrix weights = {pass->weights + u->weight.offset, u->weight.out, false};
        nas_product_pack(pass->kernels, packed, weights, NULL, rows, columns);
        return;
    }
    if (u->chain.n) {
        nas_kernel_chain_forward(&u->chain, pass->weights, um->chain, packed);
        return;
    }
    for (size_t tap = 0; tap < rows; tap++)
        memcpy(packed + tap * columns, pass->weights + nas_slice_row(&u->weight, tap),
               columns * sizeof *packed);
}

/* The first unit to be run: what an earlier subnet left of the trunk is still there. */
static int first_unit(const nas_engine_plan *plan, const nas_engine_pass *pass) {
    return pass->how.follows ? plan->trunk : 0;
}

static void pack_share(void *context, int share, int thread) {
    const forward_sweep *s = context;
    (void)thread;
    for (int i = first_unit(s->plan, s->pass) + share; i < s->plan->n_units; i += NAS_CHUNKS)
        pack_weights(s->pass, &s->plan->units[i], &s->memory->units[i]);
}

/* ---- Batch statistics: unit by unit ---- */

static void sweep_chunk(void *context, int chunk, int thread) {
    const forward_sweep *s = context;
    nas_microbatch micro = nas_microbatch_of_chunk(s->pass, chunk, s->unit % 2, thread);
    double *sums = nas_chunk_sums(s->memory, chunk);
    memset(sums, 0, 2 * s->plan->units[s->unit].oc * sizeof *sums);
    forward_unit(s->plan, s->memory, s->pass, s->unit, &micro, sums);
}

/* After a unit's sweep: a cohort's statistics. */
static void finish_cohort(void *context, int cohort, int thread) {
    (void)thread;
    const forward_sweep *s = context;
    const nas_unit *u = &s->plan->units[s->unit];
    if (u->expands)
        nas_expand_finish(s->plan, s->memory, s->pass, s->unit, cohort);
    else
        nas_norm_moments(s->memory, s->pass, cohort, u);
    nas_norm_affine(u, s->plan->bn_epsilon, s->pass->weights, &s->memory->cohorts[cohort]);
}

static void pool_chunk(void *context, int chunk, int thread) {
    const forward_sweep *s = context;
    nas_microbatch micro = nas_microbatch_of_chunk(s->pass, chunk, false, thread);
    nas_head_pool(s->plan, s->memory, s->pass, &micro);
}

/* What the unit's statistics are made from: moments of its output, or of an expansion's input. */
static void share_unit(const forward_sweep *s) {
    const nas_unit *u = &s->plan->units[s->unit];
    size_t c = u->c;
    if (u->expands)
        nas_share_chunks(s->memory, s->pass, 2 * c, c * c);
    else
        nas_share_chunks(s->memory, s->pass, 2 * (size_t)u->oc, 0);
}

static void forward_statistics(forward_sweep *s, bool pool) {
    const nas_engine_pass *pass = s->pass;
    for (s->unit = first_unit(s->plan, pass); s->unit < s->plan->n_units; s->unit++) {
        double start = nas_profile_start(pass);
        /* The direction alternates: a sweep starts with what the one before left in cache. */
        nas_share_sweep(pass, s->unit % 2, sweep_chunk, s);
        share_unit(s);
        nas_parallel(pass->pool, pass->n_cohorts, false, finish_cohort, s);
        nas_profile_unit(s->plan, pass, s->unit, false, start);
    }
    if (!pool) return;
    nas_share_sweep(pass, false, pool_chunk, s);
    nas_share_images(pass, s->memory->linears[0].x, s->plan->units[s->plan->n_units - 1].oc);
}

/* ---- Given statistics: images go through all units while they are in cache ---- */

static void infer_chunk(void *context, int chunk, int thread) {
    const forward_sweep *s = context;
    uint32_t first = s->pass->chunks[chunk].first, end = s->pass->chunks[chunk + 1].first;
    for (uint32_t i = first; i < end; i += INFERENCE_IMAGES) {
        uint32_t last = end - i < INFERENCE_IMAGES ? end : i + INFERENCE_IMAGES;
        nas_microbatch micro = {
            .first = i, .end = last, .base = first, .origin = i, .chunk = chunk, .thread = thread};
        for (int u = 0; u < s->plan->n_units; u++)
            forward_unit(s->plan, s->memory, s->pass, u, &micro, NULL);
        nas_head_pool(s->plan, s->memory, s->pass, &micro);
    }
}

static void forward_inference(forward_sweep *s) {
    const nas_bn_stats *stats = s->pass->how.stats;
    const nas_cohort_memory *norm = s->memory->cohorts;
    memcpy(norm->mean, stats->mean, stats->n * sizeof *norm->mean);
    memcpy(norm->var, stats->var, stats->n * sizeof *norm->var);
    for (int i = 0; i < s->plan->n_units; i++)
        nas_norm_affine(&s->plan->units[i], s->plan->bn_epsilon, s->pass->weights, norm);
    nas_parallel(s->pass->pool, s->pass->n_chunks, false, infer_chunk, s);
}

void nas_pass_forward(const nas_engine_plan *plan, const nas_engine_memory *memory,
                      const nas_engine_pass *pass, nas_real *logits) {
    forward_sweep s = {plan, memory, pass, 0};
    nas_parallel(pass->pool, NAS_CHUNKS, false, pack_share, &s);
    if (pass->how.stats)
        forward_inference(&s);
    else
        forward_statistics(&s, logits);
    if (!logits) return;
    double start = nas_profile_start(pass);
    nas_head_forward(plan, memory, pass, logits);
    if (!pass->how.stats) nas_profile_head(plan, pass, false, start);
}
