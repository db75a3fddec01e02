#include "supernet/engine_impl.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(NAS_CHUNKS <= NAS_MAX_CHUNKS / NAS_MAX_COHORTS, "chunks of a loop");

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

/* The next `count` values of a block of memory, in whole cache lines. */
static nas_real *take(nas_real *block, size_t *used, size_t count) {
    nas_real *memory = block + *used;
    *used += nas_engine_lines(count);
    return memory;
}

/* Values of a cohort's arrays. */
static size_t cohort_size(const nas_engine *e) {
    return 4 * nas_engine_lines(e->channels) + nas_engine_lines(4 * e->widest) +
           nas_engine_lines(e->turned_size) + nas_engine_lines(e->square_size);
}

static bool allocate_cohorts(nas_engine *e) {
    size_t used = 0;
    e->cohorts = nas_alloc(e->max_cohorts, sizeof *e->cohorts);
    e->cohort_memory = nas_alloc(e->max_cohorts * cohort_size(e), sizeof *e->cohort_memory);
    e->cuts = nas_alloc((size_t)e->max_chunks + 1, sizeof *e->cuts);
    if (!e->cohorts || !e->cohort_memory || !e->cuts) return false;
    for (cohort *c = e->cohorts; c < e->cohorts + e->max_cohorts; c++) {
        nas_real **const channels[] = {&c->mean, &c->var, &c->a, &c->b};
        for (int i = 0; i < 4; i++) *channels[i] = take(e->cohort_memory, &used, e->channels);
        c->bn_k = take(e->cohort_memory, &used, 4 * e->widest);
        c->turned = take(e->cohort_memory, &used, e->turned_size);
        c->square = take(e->cohort_memory, &used, e->square_size);
    }
    return true;
}

static bool allocate(nas_engine *e, size_t arena) {
    size_t chunks = (size_t)e->max_chunks;
    bool fits = e->lender && e->lender->arena_size >= arena;
    e->arena = fits ? e->lender->arena : nas_alloc(arena, sizeof *e->arena);
    e->ones = nas_alloc(e->widest, sizeof *e->ones);
    e->zeros = nas_alloc(e->widest, sizeof *e->zeros);
    e->sums = nas_alloc(chunks * 2 * e->widest, sizeof *e->sums);
    e->trunk_sums = nas_alloc(chunks * 2 * e->widest, sizeof *e->trunk_sums);
    e->scratch = nas_alloc((size_t)e->threads * e->scratch_size, sizeof *e->scratch);
    if (e->mode != NAS_ENGINE_TRAIN) {
        e->partial_size = e->square_size / 2;
        e->turned_size = 0;
    }
    e->partial = nas_alloc(chunks * e->partial_size + 1, sizeof *e->partial);
    e->arena_size = fits ? 0 : arena;
    return allocate_cohorts(e) && e->arena && e->ones && e->zeros && e->sums && e->trunk_sums &&
           e->scratch && e->partial;
}

/* The most chunks that max_images in max_cohorts are cut into. */
static int most_chunks(const nas_engine *e) {
    size_t few = e->max_images / CHUNK_IMAGES + e->max_cohorts;
    size_t most = (size_t)NAS_CHUNKS * e->max_cohorts;
    return (int)(few < NAS_CHUNKS ? NAS_CHUNKS : few < most ? few : most);
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
    e->max_chunks = most_chunks(e);
    if (e->lender) {
        e->pool = e->lender->pool;
    } else if (nas_pool_create(e->threads, &e->pool, err) != NAS_OK) {
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
                      uint32_t max_cohorts, uint32_t height, uint32_t width, int threads,
                      nas_engine **engine, nas_error *err) {
    const nas_engine like = {
        .supernet = supernet,
        .mode = mode,
        .max_images = max_images,
        .max_cohorts = max_cohorts,
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
        .max_cohorts = 1,
        .height = lender->height,
        .width = lender->width,
        .threads = lender->threads,
        .lender = lender,
    };
    return create(&like, engine, err);
}

void nas_engine_destroy(nas_engine *e) {
    if (!e) return;
    if (!e->lender) nas_pool_destroy(e->pool);
    if (!e->lender || e->arena != e->lender->arena) free(e->arena);
    free(e->cohorts);
    free(e->cohort_memory);
    free(e->cuts);
    free(e->ones);
    free(e->zeros);
    free(e->sums);
    free(e->trunk_sums);
    free(e->scratch);
    free(e->partial);
    free(e);
}

size_t nas_engine_bytes(const nas_engine *e) {
    size_t chunks = (size_t)e->max_chunks;
    size_t reals = e->arena_size + 2 * e->widest + (size_t)e->threads * e->scratch_size;
    reals += chunks * e->partial_size + e->max_cohorts * cohort_size(e);
    return sizeof *e + reals * sizeof(nas_real) + chunks * 4 * e->widest * sizeof(double);
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
                stats->mean[c] += share * e->cohorts->mean[c];
                stats->var[c] += share * unbiased * e->cohorts->var[c];
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
