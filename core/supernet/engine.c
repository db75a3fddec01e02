/* The engine: it owns a plan of the selected subnet, the memory that any subnet of the space needs,
 * and the last call's pass, which backward goes on with. */
#include "supernet/engine.h"

#include "base/memory.h"
#include "supernet/backward.h"
#include "supernet/engine_state.h"
#include "supernet/forward.h"
#include "supernet/share.h"

#include <stdlib.h>
#include <string.h>

/* A new engine for images of a size, with its own pool unless there is a lender. */
static int create(const nas_supernet *supernet, const nas_memory_limits *limits, uint32_t height,
                  uint32_t width, const nas_engine *lender, nas_engine **engine, nas_error *err) {
    *engine = NULL;
    nas_engine *e = nas_alloc(1, sizeof *e);
    if (!e) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for an engine");
    e->supernet = supernet;
    e->lender = lender;
    nas_genome largest = nas_genome_largest(&supernet->space);
    nas_arch arch = nas_genome_decode(&supernet->space, &largest);
    nas_engine_plan_make(supernet, &arch, &e->plan);
    int rc = nas_engine_memory_create(limits, &e->plan, lender ? &lender->memory : NULL, &e->memory,
                                      err);
    if (!rc && lender)
        e->pool = lender->pool;
    else if (!rc)
        rc = nas_pool_create(limits->threads, &e->pool, err);
    if (rc) {
        nas_engine_destroy(e);
        return NAS_ERR_MEMORY;
    }
    e->pass.kernels = nas_kernels_pick();
    e->pass.pool = e->pool;
    e->pass.height = height;
    e->pass.width = width;
    e->pass.channels = supernet->space.channels;
    *engine = e;
    return NAS_OK;
}

int nas_engine_create(const nas_supernet *supernet, nas_engine_mode mode, uint32_t max_images,
                      uint32_t max_cohorts, uint32_t height, uint32_t width, int threads,
                      nas_engine **engine, nas_error *err) {
    const nas_memory_limits limits = {
        .train = mode == NAS_ENGINE_TRAIN,
        .max_images = max_images,
        .max_cohorts = max_cohorts,
        .threads = threads < 1            ? 1
                   : threads > NAS_CHUNKS ? NAS_CHUNKS
                                          : threads,
    };
    return create(supernet, &limits, height, width, NULL, engine, err);
}

int nas_engine_create_within(const nas_engine *lender, uint32_t max_images, nas_engine **engine,
                             nas_error *err) {
    const nas_memory_limits limits = {
        .max_images = max_images, .max_cohorts = 1, .threads = lender->memory.limits.threads};
    return create(lender->supernet, &limits, lender->pass.height, lender->pass.width, lender,
                  engine, err);
}

void nas_engine_destroy(nas_engine *e) {
    if (!e) return;
    if (!e->lender) nas_pool_destroy(e->pool);
    nas_share_close(&e->pass);
    nas_engine_memory_free(&e->memory);
    free(e);
}

size_t nas_engine_bytes(const nas_engine *e) {
    return sizeof *e + nas_engine_memory_bytes(&e->memory);
}

void nas_engine_profile(nas_engine *e, nas_profile *profile) {
    e->pass.profile = profile;
}

int nas_engine_share(nas_engine *e, const nas_share *share, nas_error *err) {
    return nas_share_open(&e->memory, share, &e->pass, err);
}

void nas_engine_select(nas_engine *e, const nas_arch *arch) {
    nas_engine_plan_make(e->supernet, arch, &e->plan);
    nas_engine_memory_lay_out(&e->memory, &e->plan);
}

void nas_engine_forward(nas_engine *e, const nas_real *weights, const nas_input *inputs,
                        uint32_t n_inputs, const nas_forward *how, nas_real *logits) {
    e->pass.weights = weights;
    nas_engine_pass_cut(&e->pass, inputs, n_inputs, how);
    nas_pass_forward(&e->plan, &e->memory, &e->pass, logits);
}

void nas_engine_backward(nas_engine *e, const nas_real *weights, const nas_real *logits_grad,
                         nas_real *gradient) {
    e->pass.weights = weights;
    e->pass.gradient = gradient;
    nas_pass_backward(&e->plan, &e->memory, &e->pass, logits_grad);
}

/* ---- Batch norm's statistics, and inference with them ---- */

size_t nas_engine_channels(const nas_engine *e) {
    return e->memory.sizes.channels;
}

int nas_bn_stats_create(const nas_engine *engine, nas_bn_stats *stats, nas_error *err) {
    size_t channels = nas_engine_channels(engine);
    *stats = (nas_bn_stats){.mean = nas_alloc(channels, sizeof(nas_real)),
                            .var = nas_alloc(channels, sizeof(nas_real))};
    if (stats->mean && stats->var) return NAS_OK;
    nas_bn_stats_free(stats);
    return nas_fail(err, NAS_ERR_MEMORY, "out of memory for batch norm's statistics");
}

void nas_bn_stats_free(nas_bn_stats *stats) {
    free(stats->mean);
    free(stats->var);
    *stats = (nas_bn_stats){0};
}

/* The next images of n, as many as fit. */
static nas_input next_input(const nas_engine *e, const nas_real *images, uint64_t n,
                            uint64_t done) {
    size_t image = (size_t)e->pass.height * e->pass.width * e->pass.channels;
    uint32_t most = e->memory.limits.max_images;
    return (nas_input){images + done * image, (uint32_t)(n - done < most ? n - done : most)};
}

/* Adds a batch's share of the statistics. */
static void add_stats(const nas_engine *e, uint32_t images, nas_real share, nas_bn_stats *stats) {
    const nas_cohort_memory *norm = e->memory.cohorts;
    for (int i = 0; i < e->plan.n_units; i++) {
        const nas_unit *u = &e->plan.units[i];
        double rows = (double)images * u->oh * u->ow;
        nas_real unbiased = rows > 1 ? (nas_real)(rows / (rows - 1)) : 1;
        for (size_t c = u->bn; c < u->bn + u->oc; c++) {
            stats->mean[c] += share * norm->mean[c];
            stats->var[c] += share * unbiased * norm->var[c];
        }
    }
}

void nas_engine_calibrate(nas_engine *e, const nas_real *weights, const nas_real *images,
                          uint64_t n, nas_bn_stats *stats) {
    const nas_unit *last = &e->plan.units[e->plan.n_units - 1];
    stats->n = last->bn + last->oc;
    memset(stats->mean, 0, stats->n * sizeof *stats->mean);
    memset(stats->var, 0, stats->n * sizeof *stats->var);
    for (uint64_t done = 0; done < n;) {
        nas_input input = next_input(e, images, n, done);
        nas_engine_forward(e, weights, &input, 1, &(nas_forward){0}, NULL);
        add_stats(e, input.n, (nas_real)((double)input.n / (double)n), stats);
        done += input.n;
    }
}

void nas_engine_infer(nas_engine *e, const nas_real *weights, const nas_bn_stats *stats,
                      const nas_real *images, uint64_t n, nas_real *logits) {
    nas_forward how = {.stats = stats};
    for (uint64_t done = 0; done < n;) {
        nas_input input = next_input(e, images, n, done);
        nas_engine_forward(e, weights, &input, 1, &how, logits + done * e->supernet->space.classes);
        done += input.n;
    }
}
