#include "supernet/engine_impl.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Sizes that hold for every subnet, from the largest one, which is laid out. */
static void measure(nas_engine *e) {
    for (int i = 0; i < e->n_units; i++) {
        const unit *u = &e->units[i];
        e->channels += u->oc;
        e->widest = larger(e->widest, larger(larger(u->oc, u->c), u->se.r));
        size_t weights = u->weight.rows * u->weight.columns;
        e->partial_size = larger(e->partial_size, weights);
        e->turned_size = larger(e->turned_size, weights + 2 * u->se.c * u->se.r);
        e->scratch_size = larger(e->scratch_size, nas_engine_tile_memory(u));
        if (!u->expands) continue;
        size_t square = 2 * (size_t)u->c * u->c, whole = e->units[i + 1].weight.rows * u->oc;
        e->square_size = larger(e->square_size, square + u->c);
        e->partial_size = larger(e->partial_size, whole + u->weight.rows * u->oc);
    }
    for (int i = 0; i < e->n_linear; i++) e->widest = larger(e->widest, e->linears[i].out);
}

static bool allocate(nas_engine *e, size_t arena) {
    if (e->lender && e->lender->arena_size < arena) e->lender = NULL;
    e->arena = e->lender ? e->lender->arena : nas_alloc(arena, sizeof *e->arena);
    e->mean = nas_alloc(e->channels, sizeof *e->mean);
    e->var = nas_alloc(e->channels, sizeof *e->var);
    e->a = nas_alloc(e->channels, sizeof *e->a);
    e->b = nas_alloc(e->channels, sizeof *e->b);
    e->ones = nas_alloc(e->widest, sizeof *e->ones);
    e->zeros = nas_alloc(e->widest, sizeof *e->zeros);
    e->bn_k = nas_alloc(4 * e->widest, sizeof *e->bn_k);
    e->sums = nas_alloc(NAS_CHUNKS * 2 * e->widest, sizeof *e->sums);
    e->trunk_sums = nas_alloc(NAS_CHUNKS * 2 * e->widest, sizeof *e->trunk_sums);
    e->scratch = nas_alloc((size_t)e->threads * e->scratch_size, sizeof *e->scratch);
    if (e->mode != NAS_ENGINE_TRAIN) {
        e->partial_size = e->square_size / 2;
        e->turned_size = 1;
    }
    e->partial = nas_alloc(NAS_CHUNKS * e->partial_size + 1, sizeof *e->partial);
    e->turned = nas_alloc(e->turned_size, sizeof *e->turned);
    e->square = nas_alloc(e->square_size + 1, sizeof *e->square);
    e->arena_size = e->lender ? 0 : arena;
    return e->arena && e->mean && e->var && e->a && e->b && e->ones && e->zeros && e->bn_k &&
           e->sums && e->trunk_sums && e->scratch && e->partial && e->turned && e->square;
}

/* A new engine of what `like` says: supernet, mode, sizes, threads, lender. */
static int create(const nas_engine *like, nas_engine **engine, nas_error *err) {
    *engine = NULL;
    nas_engine *e = nas_alloc(1, sizeof *e);
    if (!e) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for an engine");
    *e = *like;
    e->kernels = nas_kernels_pick();
    nas_genome largest = nas_genome_largest(&e->supernet->space);
    nas_arch arch = nas_genome_decode(&e->supernet->space, &largest);
    uint32_t max_images = e->max_images;
    size_t arena = nas_engine_lay_out(e, &arch, max_images);
    measure(e);
    if (nas_pool_create(e->threads, &e->pool, err) != NAS_OK) {
        nas_engine_destroy(e);
        return NAS_ERR_MEMORY;
    }
    if (!allocate(e, arena)) {
        nas_engine_destroy(e);
        return nas_fail(
            err, NAS_ERR_MEMORY,
            "out of memory: running %u images at once needs %.0f MiB; use a smaller batch",
            max_images, (double)(arena * sizeof(nas_real)) / 1048576);
    }
    for (size_t i = 0; i < e->widest; i++) e->ones[i] = 1;
    nas_engine_select(e, &arch);
    *engine = e;
    return NAS_OK;
}

int nas_engine_create(const nas_supernet *supernet, nas_engine_mode mode, uint32_t max_images,
                      uint32_t height, uint32_t width, int threads, nas_engine **engine,
                      nas_error *err) {
    const nas_engine like = {
        .supernet = supernet,
        .mode = mode,
        .max_images = max_images,
        .height = height,
        .width = width,
        .threads = threads < 1            ? 1
                   : threads > NAS_CHUNKS ? NAS_CHUNKS
                                          : threads,
    };
    return create(&like, engine, err);
}

int nas_engine_create_within(const nas_engine *lender, uint32_t max_images, nas_engine **engine,
                             nas_error *err) {
    const nas_engine like = {
        .supernet = lender->supernet,
        .mode = NAS_ENGINE_FORWARD,
        .max_images = max_images,
        .height = lender->height,
        .width = lender->width,
        .threads = lender->threads,
        .lender = lender,
    };
    return create(&like, engine, err);
}

void nas_engine_destroy(nas_engine *e) {
    if (!e) return;
    nas_pool_destroy(e->pool);
    if (!e->lender) free(e->arena);
    free(e->mean);
    free(e->var);
    free(e->a);
    free(e->b);
    free(e->ones);
    free(e->zeros);
    free(e->bn_k);
    free(e->sums);
    free(e->trunk_sums);
    free(e->scratch);
    free(e->partial);
    free(e->turned);
    free(e->square);
    free(e);
}

size_t nas_engine_bytes(const nas_engine *e) {
    size_t reals =
        e->arena_size + 4 * e->channels + 6 * e->widest + (size_t)e->threads * e->scratch_size;
    reals += NAS_CHUNKS * e->partial_size + e->turned_size + e->square_size;
    return sizeof *e + reals * sizeof(nas_real) + NAS_CHUNKS * 4 * e->widest * sizeof(double);
}

void nas_engine_select(nas_engine *e, const nas_arch *arch) {
    nas_engine_lay_out(e, arch, e->max_images);
}

size_t nas_engine_channels(const nas_engine *e) {
    return e->channels;
}

int nas_bn_stats_create(const nas_engine *engine, nas_bn_stats *stats, nas_error *err) {
    *stats = (nas_bn_stats){.mean = nas_alloc(engine->channels, sizeof(nas_real)),
                            .var = nas_alloc(engine->channels, sizeof(nas_real))};
    if (stats->mean && stats->var) return NAS_OK;
    nas_bn_stats_free(stats);
    return nas_fail(err, NAS_ERR_MEMORY, "out of memory for batch norm's statistics");
}

void nas_bn_stats_free(nas_bn_stats *stats) {
    free(stats->mean);
    free(stats->var);
    *stats = (nas_bn_stats){0};
}

void nas_engine_calibrate(nas_engine *e, const nas_real *weights, const nas_real *images,
                          uint64_t n, nas_bn_stats *stats) {
    size_t image = (size_t)e->height * e->width * e->supernet->space.channels;
    const unit *last = &e->units[e->n_units - 1];
    stats->n = last->bn + last->oc;
    memset(stats->mean, 0, stats->n * sizeof *stats->mean);
    memset(stats->var, 0, stats->n * sizeof *stats->var);
    for (uint64_t done = 0; done < n;) {
        uint32_t count = (uint32_t)(n - done < e->max_images ? n - done : e->max_images);
        nas_input input = {images + done * image, count};
        nas_engine_forward(e, weights, &input, 1, &(nas_forward){0}, NULL);
        nas_real share = (nas_real)((double)count / (double)n);
        for (int i = 0; i < e->n_units; i++) {
            const unit *u = &e->units[i];
            double rows = (double)count * u->oh * u->ow;
            nas_real unbiased = rows > 1 ? (nas_real)(rows / (rows - 1)) : 1;
            for (size_t c = u->bn; c < u->bn + u->oc; c++) {
                stats->mean[c] += share * e->mean[c];
                stats->var[c] += share * unbiased * e->var[c];
            }
        }
        done += count;
    }
}

void nas_engine_infer(nas_engine *e, const nas_real *weights, const nas_bn_stats *stats,
                      const nas_real *images, uint64_t n, nas_real *logits) {
    size_t image = (size_t)e->height * e->width * e->supernet->space.channels;
    nas_forward how = {.stats = stats};
    for (uint64_t done = 0; done < n;) {
        uint32_t count = (uint32_t)(n - done < e->max_images ? n - done : e->max_images);
        nas_input input = {images + done * image, count};
        nas_engine_forward(e, weights, &input, 1, &how, logits + done * e->supernet->space.classes);
        done += count;
    }
}
