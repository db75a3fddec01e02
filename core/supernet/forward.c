#include "supernet/engine_impl.h"

#include <math.h>
#include <string.h>

#define GROUP_IMAGES 4 /* of inference */

nas_affine nas_engine_affine(const nas_engine *e, int source, const group *at, uint32_t image) {
    const unit *u = &e->units[source];
    const cohort *own = &e->cohorts[at->cohort];
    return (nas_affine){nas_engine_y(e, source, at, image), own->a + u->bn, own->b + u->bn, u->act};
}

static const nas_real *image_pixels(const nas_engine *e, uint32_t image) {
    const nas_input *input = e->inputs;
    while (image >= input->n) image -= (input++)->n;
    return input->images + (size_t)image * e->height * e->width * e->supernet->space.channels;
}

void nas_engine_resize(nas_real *to, uint32_t side, const nas_real *from, uint32_t h, uint32_t w,
                       uint32_t c) {
    for (uint32_t y = 0; y < side; y++) {
        double fy = fmin(fmax((y + 0.5) * h / side - 0.5, 0), h - 1);
        uint32_t y0 = (uint32_t)fy, y1 = y0 + 1 < h ? y0 + 1 : y0;
        for (uint32_t x = 0; x < side; x++) {
            double fx = fmin(fmax((x + 0.5) * w / side - 0.5, 0), w - 1);
            uint32_t x0 = (uint32_t)fx, x1 = x0 + 1 < w ? x0 + 1 : x0;
            nas_real ty = (nas_real)(fy - y0), tx = (nas_real)(fx - x0);
            for (uint32_t i = 0; i < c; i++) {
                nas_real top =
                    from[(y0 * w + x0) * c + i] * (1 - tx) + from[(y0 * w + x1) * c + i] * tx;
                nas_real low =
                    from[(y1 * w + x0) * c + i] * (1 - tx) + from[(y1 * w + x1) * c + i] * tx;
                to[(y * side + x) * c + i] = top * (1 - ty) + low * ty;
            }
        }
    }
}

/* The k pixels from column `left` on of one row of an image, zero outside; row NULL: all zero. */
static void take_edge(const unit *u, const nas_real *row, int left, nas_real *to) {
    int n = (int)(u->k * u->c), c = (int)u->c;
    for (int i = 0; i < n; i++) {
        int column = left + i / c;
        to[i] = row && column >= 0 && column < (int)u->w ? row[left * c + i] : 0;
    }
}

/* The same where all of them are inside. */
static void take_inside(const nas_real *from, size_t n, nas_real *to) {
    if (n == 3)
        memcpy(to, from, 3 * sizeof *to); /* a constant size, so no call */
    else
        memcpy(to, from, n * sizeof *to);
}

/* Of a row of patches, which are `size` values apart, the pixels in one row of the image. */
static void take_row(const unit *u, const nas_real *row, size_t size, nas_real *to) {
    int pad = (int)u->k / 2;
    for (uint32_t x = 0; x < u->ow; x++, to += size) {
        int left = (int)(x * u->stride) - pad;
        if (row && left >= 0 && left + (int)u->k <= (int)u->w)
            take_inside(row + (uint32_t)left * u->c, u->k * u->c, to);
        else
            take_edge(u, row, left, to);
    }
}

/* Patches [oh * ow][k * k * c] of one image, zero outside. */
static void take_patches(const unit *u, const nas_real *image, nas_real *patches) {
    int pad = (int)u->k / 2;
    size_t segment = u->k * u->c, size = u->k * segment;
    for (uint32_t y = 0; y < u->oh; y++, patches += u->ow * size)
        for (uint32_t ky = 0; ky < u->k; ky++) {
            int iy = (int)(y * u->stride + ky) - pad;
            bool inside = iy >= 0 && iy < (int)u->h;
            take_row(u, inside ? image + (uint32_t)iy * u->w * u->c : NULL, size,
                     patches + ky * segment);
        }
}

static const nas_real *stem_input(nas_engine *e, const unit *u, uint32_t image, uint32_t count,
                                  const tile *t) {
    size_t patch = (size_t)u->oh * u->ow * u->weight.rows;
    for (uint32_t i = 0; i < count; i++) {
        const nas_real *pixels = image_pixels(e, image + i);
        if (u->h != e->height || u->w != e->width) {
            nas_engine_resize(t->dx, u->h, pixels, e->height, e->width, u->c);
            pixels = t->dx;
        }
        take_patches(u, pixels, t->x + i * patch);
    }
    return t->x;
}

/* The depthwise unit's activations times squeeze-excite's gates. */
static void gated_input(nas_engine *e, const unit *u, const nas_affine *from, uint32_t image,
                        uint32_t count, bool store, const tile *t) {
    size_t rows = (size_t)u->h * u->w, c = u->c;
    e->kernels->affine(t->x, from, NULL, count * rows, c);
    if (store) {
        nas_real *pool = u->se.pool + image * c, share = (nas_real)1 / (nas_real)rows;
        for (uint32_t i = 0; i < count; i++)
            e->kernels->column_sums(pool + i * c, t->x + i * rows * c, rows, c);
        for (size_t i = 0; i < count * c; i++) pool[i] *= share;
        nas_squeeze_forward(e, &u->se, image, count, t->gate);
    } else {
        nas_squeeze_gates(e, &u->se, image, count, t->gate);
    }
    for (uint32_t i = 0; i < count; i++)
        e->kernels->scale(t->x + i * rows * c, t->gate + i * c, rows, c);
}

const nas_real *nas_engine_input(nas_engine *e, const unit *u, const group *at, uint32_t image,
                                 uint32_t count, bool store, const tile *t) {
    if (u->kind == UNIT_STEM) return stem_input(e, u, image, count, t);
    size_t rows = (size_t)u->h * u->w;
    nas_affine from = nas_engine_affine(e, u->source, at, image);
    if (u->node >= 0) {
        nas_real *z = nas_engine_z(e, u->node, at, image);
        const nas_real *residual =
            u->residual >= 0 ? nas_engine_z(e, u->residual, at, image) : NULL;
        if (store) e->kernels->affine(z, &from, residual, count * rows, u->c);
        return z;
    }
    if (u->se.c)
        gated_input(e, u, &from, image, count, store, t);
    else
        e->kernels->affine(t->x, &from, NULL, count * rows, u->c);
    return t->x;
}

static void forward_product(nas_engine *e, int index, const group *at, double *sums) {
    const unit *u = &e->units[index];
    tile t = nas_engine_cut_tile(e, u, at->thread);
    uint32_t most = nas_engine_tile(u);
    for (uint32_t i = at->first; i < at->end; i += most) {
        uint32_t count = at->end - i < most ? at->end - i : most;
        size_t rows = (size_t)count * u->oh * u->ow;
        const nas_real *x = nas_engine_input(e, u, at, i, count, true, &t);
        nas_real *y = nas_engine_y(e, index, at, i);
        nas_ahead ahead = {.n = 0};
        if (u->source >= 0)
            nas_engine_soon(&ahead, nas_engine_y(e, u->source, at, at->origin), u[-1].values,
                            nas_engine_next(at, i + count, most));
        nas_engine_multiply(e, x, u->weight.rows, u->packed, rows, u->oc, false, y, &ahead);
        if (sums) e->kernels->moments(sums, y, rows, u->oc);
    }
}

/* The expanded rows of the tile that begins at image i, for depthwise unit `index`. */
static const nas_real *expand_tile(nas_engine *e, int index, const group *at, uint32_t i,
                                   uint32_t most, nas_real *memory) {
    const unit *u = &e->units[index], *source = u - 1;
    nas_ahead ahead = {.n = 0};
    uint32_t count = at->end - i < most ? at->end - i : most;
    span next = nas_engine_next(at, i + count, most);
    const nas_real *z = nas_engine_z(e, source->node, at, at->origin);
    nas_engine_soon(&ahead, z, e->nodes[source->node].values, next);
    if (source->y) nas_engine_soon(&ahead, source->y, source->values, next);
    nas_ahead_add(&ahead, nas_engine_y(e, index, at, i), count * u->values);
    return nas_expand_rows(e, source, at, i, count, false, memory, &ahead);
}

static void forward_depthwise(nas_engine *e, int index, const group *at, double *sums) {
    const unit *u = &e->units[index], *source = &e->units[u->source];
    tile t = nas_engine_cut_tile(e, u, at->thread);
    uint32_t most = nas_engine_tile(u);
    nas_depthwise shape = {u->h, u->w, u->oh, u->ow, u->c, u->k, u->stride};
    const nas_real *rows = NULL;
    for (uint32_t i = at->first; i < at->end; i++) {
        nas_affine from = nas_engine_affine(e, u->source, at, i);
        uint32_t place = (i - at->first) % most;
        if (source->expands) {
            if (place == 0) rows = expand_tile(e, index, at, i, most, t.x);
            from.y = rows + place * source->values;
        }
        nas_real *z = u->node >= 0 ? nas_engine_z(e, u->node, at, i) : NULL;
        const nas_real *residual = u->residual >= 0 ? nas_engine_z(e, u->residual, at, i) : NULL;
        e->kernels->depthwise(&shape, &from, residual, z, u->packed, nas_engine_y(e, index, at, i),
                              sums, t.ring);
    }
}

/* Stores the node that an expanding unit reads. */
static void forward_expand(nas_engine *e, int index, const group *at, double *sums) {
    const unit *u = &e->units[index];
    tile t = nas_engine_cut_tile(e, u, at->thread);
    uint32_t most = nas_engine_tile(u);
    nas_real *partial = e->partial + (size_t)at->chunk * e->partial_size;
    for (uint32_t i = at->first; i < at->end; i += most) {
        uint32_t count = at->end - i < most ? at->end - i : most;
        const nas_real *x = nas_engine_input(e, u, at, i, count, true, &t);
        nas_ahead ahead = {.n = 0};
        span next = nas_engine_next(at, i + count, most);
        size_t values = e->nodes[u->node].values;
        nas_engine_soon(&ahead, nas_engine_y(e, u->source, at, at->origin), values, next);
        nas_engine_soon(&ahead, nas_engine_z(e, u->node, at, at->origin), values, next);
        if (u->residual >= 0)
            nas_engine_soon(&ahead, nas_engine_z(e, u->residual, at, at->origin), values, next);
        if (sums)
            nas_expand_moments(e, u, x, (size_t)count * u->h * u->w, i > at->first, partial, sums,
                               &ahead);
    }
}

static void forward_unit(nas_engine *e, int index, const group *at, double *sums) {
    if (e->units[index].kind == UNIT_DEPTHWISE)
        forward_depthwise(e, index, at, sums);
    else if (e->units[index].expands)
        forward_expand(e, index, at, sums);
    else
        forward_product(e, index, at, sums);
}

/* Packs the weights: of a depthwise kernel its centre's first channels. */
static void pack(const nas_engine *e, const unit *u) {
    if (u->kind != UNIT_DEPTHWISE) {
        nas_matrix weights = {e->weights + u->weight.offset, u->weight.ld, false};
        nas_product_pack(e->kernels, u->packed, weights, NULL, u->weight.rows, u->oc);
        return;
    }
    uint32_t skip = (u->full_k - u->k) / 2;
    for (uint32_t y = 0; y < u->k; y++)
        for (uint32_t x = 0; x < u->k; x++) {
            size_t tap = (size_t)(y + skip) * u->full_k + x + skip;
            memcpy(u->packed + (y * u->k + x) * u->c,
                   e->weights + u->weight.offset + tap * u->weight.ld, u->c * sizeof(nas_real));
        }
}

/* a and b of batch norm from its mean and variance. */
static void set_affine(nas_engine *e, const unit *u, const cohort *own) {
    for (size_t c = 0; c < u->oc; c++) {
        double scale =
            (double)e->weights[u->gamma + c] / sqrt((double)own->var[u->bn + c] + NAS_BN_EPSILON);
        own->a[u->bn + c] = (nas_real)scale;
        own->b[u->bn + c] =
            (nas_real)((double)e->weights[u->beta + c] - (double)own->mean[u->bn + c] * scale);
    }
}

double *nas_engine_add_sums(nas_engine *e, const cohort *own, size_t n) {
    double *sums = nas_engine_sums(e, own->chunk);
    for (int chunk = 1; chunk < own->chunks; chunk++) {
        const double *more = nas_engine_sums(e, own->chunk + chunk);
        for (size_t i = 0; i < n; i++) sums[i] += more[i];
    }
    return sums;
}

/* Mean and variance from the chunks' sums. */
static void finish_moments(nas_engine *e, const unit *u, const cohort *own) {
    double rows = (double)own->images * u->oh * u->ow;
    const double *sum = nas_engine_add_sums(e, own, 2 * (size_t)u->oc), *square = sum + u->oc;
    for (size_t c = 0; c < u->oc; c++) {
        double mean = sum[c] / rows, var = square[c] / rows - mean * mean;
        own->mean[u->bn + c] = (nas_real)mean;
        own->var[u->bn + c] = (nas_real)(var > 0 ? var : 0);
    }
}

typedef struct sweep {
    nas_engine *e;
    int unit;
} sweep;

/* The first unit to be run: what an earlier subnet left of the trunk is still there. */
static int first_unit(const nas_engine *e) {
    return e->follows ? e->trunk : 0;
}

static void pack_chunk(void *context, int chunk, int thread) {
    const sweep *s = context;
    (void)thread;
    for (int i = first_unit(s->e) + chunk; i < s->e->n_units; i += NAS_CHUNKS)
        pack(s->e, &s->e->units[i]);
}

static void sweep_chunk(void *context, int chunk, int thread) {
    const sweep *s = context;
    nas_engine *e = s->e;
    group at = nas_engine_group(e, chunk, s->unit % 2, thread);
    double *sums = nas_engine_sums(e, chunk);
    memset(sums, 0, 2 * e->units[s->unit].oc * sizeof *sums);
    forward_unit(e, s->unit, &at, sums);
}

/* After a unit's sweep: a cohort's statistics. */
static void finish_cohort(void *context, int index, int thread) {
    (void)thread;
    const sweep *s = context;
    const unit *u = &s->e->units[s->unit];
    const cohort *own = &s->e->cohorts[index];
    if (u->expands)
        nas_expand_finish(s->e, u, index);
    else
        finish_moments(s->e, u, own);
    set_affine(s->e, u, own);
}

static void pool_chunk(void *context, int chunk, int thread) {
    const sweep *s = context;
    group at = nas_engine_group(s->e, chunk, false, thread);
    nas_head_pool(s->e, &at);
}

/* Inference has no sums to wait for: images go through all units while they are in cache, some at a
 * time, since products of few rows leave odd ends. */
static void infer_chunk(void *context, int chunk, int thread) {
    const sweep *s = context;
    nas_engine *e = s->e;
    uint32_t first = e->cuts[chunk].first, end = e->cuts[chunk + 1].first;
    for (uint32_t i = first; i < end; i += GROUP_IMAGES) {
        uint32_t last = end - i < GROUP_IMAGES ? end : i + GROUP_IMAGES;
        group at = {i, last, first, i, chunk, 0, thread, 0, 0};
        for (int u = 0; u < e->n_units; u++) forward_unit(e, u, &at, NULL);
        nas_head_pool(e, &at);
    }
}

static void use_fixed_stats(nas_engine *e, const nas_bn_stats *stats) {
    const cohort *all = e->cohorts;
    memcpy(all->mean, stats->mean, stats->n * sizeof *all->mean);
    memcpy(all->var, stats->var, stats->n * sizeof *all->var);
    for (int i = 0; i < e->n_units; i++) set_affine(e, &e->units[i], all);
}

/* As many chunks as have at least `least` images each, if there are that many. */
static int count_chunks(uint32_t images, uint32_t least) {
    uint32_t chunks = images / least;
    return chunks < 1 ? 1 : chunks > NAS_CHUNKS ? NAS_CHUNKS : (int)chunks;
}

/* Adds a cohort of the images that follow, and its chunks. */
static void add_cohort(nas_engine *e, uint32_t images, uint32_t least) {
    int index = e->n_cohorts++, chunks = count_chunks(images, least);
    cohort *own = &e->cohorts[index];
    own->first = e->n_images;
    own->images = images;
    own->chunk = e->chunks;
    own->chunks = chunks;
    for (int i = 0; i <= chunks; i++) {
        uint32_t skip = (uint32_t)((uint64_t)images * (uint64_t)i / (uint64_t)chunks);
        e->cuts[e->chunks + i].first = e->n_images + skip;
        e->cuts[e->chunks + i].cohort = index;
    }
    e->chunks += chunks;
    e->n_images += images;
}

static void cut_batch(nas_engine *e, const nas_forward *how) {
    uint32_t least = how->stats ? 1 : CHUNK_IMAGES, images = 0;
    e->n_images = 0;
    e->n_cohorts = e->chunks = 0;
    for (uint32_t i = 0; i < e->n_inputs; i++) {
        images += e->inputs[i].n;
        if (!how->apart && i + 1 < e->n_inputs) continue;
        add_cohort(e, images, least);
        images = 0;
    }
}

void nas_engine_forward(nas_engine *e, const nas_real *weights, const nas_input *inputs,
                        uint32_t n_inputs, const nas_forward *how, nas_real *logits) {
    e->weights = weights;
    e->inputs = inputs;
    e->n_inputs = n_inputs;
    e->fixed = how->stats;
    e->follows = how->follows;
    e->followed = how->followed;
    cut_batch(e, how);
    /* The direction alternates: a sweep starts with what the one before left in cache. */
    sweep s = {e, 0};
    nas_parallel(e->pool, NAS_CHUNKS, false, pack_chunk, &s);
    if (how->stats) {
        use_fixed_stats(e, how->stats);
        nas_parallel(e->pool, e->chunks, false, infer_chunk, &s);
    } else {
        for (s.unit = first_unit(e); s.unit < e->n_units; s.unit++) {
            double start = nas_profile_start(e);
            nas_parallel(e->pool, e->chunks, s.unit % 2, sweep_chunk, &s);
            nas_parallel(e->pool, e->n_cohorts, false, finish_cohort, &s);
            nas_profile_unit(e, s.unit, false, start);
        }
        if (logits) nas_parallel(e->pool, e->chunks, false, pool_chunk, &s);
    }
    double start = nas_profile_start(e);
    if (logits) nas_head_forward(e, how, logits);
    if (logits && !how->stats) nas_profile_head(e, false, start);
}
