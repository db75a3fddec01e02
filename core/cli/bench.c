#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/rng.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/render.h"
#include "nn/gemm.h"
#include "nn/kernels.h"
#include "nn/limits.h"
#include "run/context.h"
#include "space/lower.h"
#include "stages/learner.h"
#include "stages/scorer.h"
#include "stages/search.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static const char help[] =
    "usage: nashost bench train|eval|score|gemm|augment|search [PIPELINE] [options]\n"
    "\n"
    "Times the work of a run on this machine. Without a PIPELINE it is that of\n"
    "pipelines/bench.json beside plugins.json, which makes its own images. Nothing is written\n"
    "without --out.\n"
    "\n"
    "  train     steps of the training: images, teacher, every subnet, update; started by\n"
    "            mpirun, on all ranks, with what rank 0 exchanges in a step\n"
    "  eval      calibrating and evaluating the largest subnet\n"
    "  score     scores of random subnets\n"
    "  gemm      the matrix products of the largest subnet, by the engine and by BLIS\n"
    "  augment   making batches, which is one thread\n"
    "  search    the first platform's search, and its own share in that\n"
    "\n"
    "  --rounds N           steps to time (train 20, augment 200, search 100, else 5)\n"
    "  --out FILE           of train and eval: time nothing, but write weights, images, subnets\n"
    "                       and what comes out as safetensors, for other programs to compare\n"
    "  --set KEY=VALUE ...  change a key of the pipeline first\n"
    "  --threads N          threads (2)\n"
    "  --plugins FILE       a further manifest of plugins; may be given again\n"
    "  --cluster ID         of train: run on all ranks of this cluster plugin\n"
    "  --json               print the result as JSON\n"
    "\n"
    "Other work on the machine spoils the figures.\n";

enum { WARM_UP = 4 }; /* steps: by then the batches made beforehand are used up */

typedef struct bench {
    nas_context context;
    size_t rounds;
    double *ms; /* [rounds] */
    json_t *result;
} bench;

const char *nas_bench_name(nas_bench kind) {
    static const char *const names[NAS_BENCHES] = {"train", "eval",    "score",
                                                   "gemm",  "augment", "search"};
    return names[kind];
}

/* ---- What every bench says ---- */

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the times; a quantile is the nearest one. */
static double quantile(double *ms, size_t n, double share) {
    qsort(ms, n, sizeof *ms, ascending);
    return ms[(size_t)(share * (double)(n - 1) + 0.5)];
}

/* Of all threads; on a busy machine it says more than the time that passed. */
static double cpu_seconds(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + 1e-9 * (double)used.tv_nsec;
}

static double peak_bytes(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? 1024 * (double)usage.ru_maxrss : 0;
}

static void put(json_t **json, const char *key, double value) {
    nas_json_put(json, key, json_real(value));
}

static void put_count(json_t **json, const char *key, uint64_t value) {
    nas_json_put(json, key, json_integer((json_int_t)value));
}

/* images: of one step. */
static void put_times(bench *b, double images) {
    double median = quantile(b->ms, b->rounds, 0.5);
    put(&b->result, "ms_per_step", median);
    put(&b->result, "ms_min", b->ms[0]);
    put(&b->result, "ms_q1", quantile(b->ms, b->rounds, 0.25));
    put(&b->result, "ms_q3", quantile(b->ms, b->rounds, 0.75));
    put(&b->result, "ms_max", b->ms[b->rounds - 1]);
    put(&b->result, "images_per_s", median > 0 ? images / median * 1e3 : 0);
    put_count(&b->result, "peak_rss_bytes", (uint64_t)peak_bytes());
}

static double rate(double amount, double seconds) {
    return seconds > 0 ? amount / seconds * 1e-9 : 0;
}

static void put_limits(bench *b) {
    nas_machine_limits limits = nas_machine_measure(b->context.request->threads);
    nas_json_put(&b->result, "limits",
                 json_pack("{s:f, s:f, s:f}", "gflops", limits.gflops, "own_gflops",
                           limits.own_gflops, "gbyte_per_s", limits.gbyte_per_s));
}

/* ---- train ---- */

/* What this rank exchanged in a step, and how long it waited for that. */
static void put_traffic(bench *b, const nas_traffic *before) {
    static const char *const names[NAS_EXCHANGES] = {[NAS_EXCHANGE_GATHER] = "sums",
                                                     [NAS_EXCHANGE_BESIDE] = "gradients",
                                                     [NAS_EXCHANGE_AGREE] = "meetings",
                                                     [NAS_EXCHANGE_BROADCAST] = "broadcast"};
    const nas_cluster *cluster = b->context.request->cluster;
    double steps = (double)b->rounds;
    json_t *traffic = json_object();
    for (int i = 0; i < NAS_EXCHANGES; i++) {
        nas_traffic t = nas_cluster_traffic(cluster, (nas_exchange)i);
        nas_json_put(&traffic, names[i],
                     json_pack("{s:f, s:f, s:f}", "exchanges",
                               (double)(t.exchanges - before[i].exchanges) / steps, "bytes",
                               (double)(t.bytes - before[i].bytes) / steps, "ms",
                               (t.seconds - before[i].seconds) * 1e3 / steps));
    }
    put_count(&b->result, "ranks", nas_cluster_ranks(cluster));
    nas_json_put(&b->result, "traffic", traffic);
}

static void put_work(json_t **layers, const char *pass, nas_part part, const nas_work *work,
                     double steps, double step_ms) {
    double ms = work->seconds * 1e3 / steps;
    if (work->seconds <= 0) return;
    nas_json_add(layers, json_pack("{s:s, s:s, s:f, s:f, s:f, s:f}", "layer", nas_part_name(part),
                                   "pass", pass, "ms", ms, "share", ms / step_ms, "gflops",
                                   rate(work->flops, work->seconds), "gbyte_per_s",
                                   rate(work->bytes, work->seconds)));
}

static void put_profile(bench *b, const nas_profile *profile) {
    double steps = (double)b->rounds, sum = 0, flops = 0, bytes = 0, all = 0;
    double median = quantile(b->ms, b->rounds, 0.5);
    for (size_t i = 0; i < b->rounds; i++) all += b->ms[i] / steps;
    json_t *layers = json_array();
    for (int backward = 0; backward < 2; backward++)
        for (int part = 0; part < NAS_PARTS; part++) {
            const nas_work *work = (backward ? profile->backward : profile->forward) + part;
            put_work(&layers, backward ? "backward" : "forward", (nas_part)part, work, steps, all);
            sum += work->seconds * 1e3 / steps;
            flops += work->flops / steps;
            bytes += work->bytes / steps;
        }
    put(&b->result, "gflop_per_step", flops * 1e-9);
    put(&b->result, "gbyte_per_step", bytes * 1e-9);
    put(&b->result, "gflops", rate(flops, median * 1e-3));
    put(&b->result, "gbyte_per_s", rate(bytes, median * 1e-3));
    nas_json_put(&b->result, "layers", layers);
    put(&b->result, "other_ms", all - sum);
}

static int bench_train(bench *b, nas_error *err) {
    nas_learner learner;
    nas_profile profile = {0};
    nas_traffic traffic[NAS_EXCHANGES] = {0};
    const nas_cluster *cluster = b->context.request->cluster;
    double used = 0;
    int rc = nas_learner_open(&b->context, NULL, &learner, err);
    if (rc) return rc;
    for (size_t i = 0; i < WARM_UP + b->rounds && !rc; i++) {
        if (i == WARM_UP) {
            nas_step_profile(&learner.step, &profile);
            used = cpu_seconds();
            for (int k = 0; k < NAS_EXCHANGES; k++)
                traffic[k] = nas_cluster_traffic(cluster, (nas_exchange)k);
        }
        double start = nas_seconds();
        learner.state.metrics = (nas_metrics){0};
        rc = nas_learner_step(&learner, err);
        if (i >= WARM_UP) b->ms[i - WARM_UP] = (nas_seconds() - start) * 1e3;
    }
    if (!rc) {
        const nas_train_config *train = &b->context.pipeline->train;
        put_count(&b->result, "batch", (uint64_t)train->batch);
        put_count(&b->result, "mu", (uint64_t)train->mu);
        put_count(&b->result, "subnets", learner.step.subnets);
        nas_json_put(&b->result, "isa", json_string(nas_kernels_pick()->isa));
        put_times(b, (double)learner.state.metrics.images);
        put(&b->result, "cpu_ms_per_step", (cpu_seconds() - used) * 1e3 / (double)b->rounds);
        put_profile(b, &profile);
        if (cluster) put_traffic(b, traffic);
    }
    nas_learner_close(&learner);
    if (!rc && !nas_cluster_rank(cluster)) put_limits(b);
    return rc;
}

/* ---- eval ---- */

static int macs_of(const nas_space *space, const nas_genome *genome, double *macs, nas_error *err) {
    nas_lowered *lowered;
    int rc = nas_lower(space, genome, &lowered, err);
    if (!rc) *macs = (double)lowered->network.macs;
    nas_lowered_free(lowered);
    return rc;
}

static int time_eval(bench *b, nas_evaluator *evaluator, uint64_t n, float *logits,
                     nas_error *err) {
    const nas_context *context = &b->context;
    nas_genome largest = nas_genome_largest(&context->space);
    double *calibrate = nas_alloc(b->rounds, sizeof *calibrate), macs = 0, used = 0;
    int rc = calibrate ? macs_of(&context->space, &largest, &macs, err)
                       : nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < 1 + b->rounds && !rc; i++) {
        size_t at = i ? i - 1 : 0; /* the first one warms up */
        if (i == 1) used = cpu_seconds();
        double start = nas_seconds();
        evaluator->ready = false; /* else a subnet is calibrated once */
        nas_evaluator_select(evaluator, &largest);
        calibrate[at] = (nas_seconds() - start) * 1e3;
        rc = nas_evaluator_logits(evaluator, &context->source.train, NULL, n, logits, err);
        b->ms[at] = (nas_seconds() - start) * 1e3;
    }
    if (!rc) {
        put_times(b, (double)n);
        put(&b->result, "cpu_ms_per_step", (cpu_seconds() - used) * 1e3 / (double)b->rounds);
        double all = quantile(b->ms, b->rounds, 0.5);
        double first = quantile(calibrate, b->rounds, 0.5);
        double images = (double)n + (double)evaluator->calibration.n;
        put_count(&b->result, "images", n);
        put(&b->result, "ms_calibrate", first);
        put(&b->result, "ms_evaluate", all - first);
        put(&b->result, "gflops", rate(2 * macs * images, all * 1e-3));
    }
    free(calibrate);
    return rc;
}

static int bench_eval(bench *b, nas_error *err) {
    const nas_images *images = &b->context.source.train;
    uint64_t n = images->n < NAS_BENCH_IMAGES ? images->n : NAS_BENCH_IMAGES;
    float *logits = nas_alloc(n, b->context.source.info.classes * sizeof *logits);
    if (!logits) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    nas_evaluator evaluator;
    int rc = nas_evaluator_open(&b->context, &evaluator, err);
    if (!rc) {
        rc = time_eval(b, &evaluator, n, logits, err);
        nas_evaluator_close(&evaluator);
    }
    free(logits);
    return rc;
}

/* ---- score ---- */

static uint32_t below(void *rng, uint32_t n) {
    return nas_rng_below(rng, n);
}

static int bench_score(bench *b, nas_error *err) {
    const nas_context *context = &b->context;
    nas_evaluator evaluator;
    int rc = nas_evaluator_open(context, &evaluator, err);
    if (rc) return rc;
    nas_scorer scorer = nas_scorer_open(&evaluator);
    for (size_t i = 0; i < 1 + b->rounds && !rc; i++) { /* the first one starts the plugin */
        nas_rng rng = nas_rng_open(context->seed, NAS_RNG_SUBNETS, 2, i);
        nas_candidate candidate = {.genome = nas_genome_random(&context->space, below, &rng)};
        candidate.hash = nas_genome_hash(&context->space, &candidate.genome);
        double start = nas_seconds();
        rc = nas_scorer_score(&scorer, &candidate, err);
        b->ms[i ? i - 1 : 0] = (nas_seconds() - start) * 1e3;
    }
    nas_scorer_close(&scorer);
    nas_evaluator_close(&evaluator);
    if (rc) return rc;
    nas_json_put(&b->result, "score", json_string(context->pipeline->score.id));
    put_times(b, 0);
    return NAS_OK;
}

/* ---- search ---- */

static int bench_search(bench *b, nas_error *err) {
    const nas_pipeline *pipeline = b->context.pipeline;
    nas_search_times times = {.ms = b->ms};
    nas_evaluator evaluator;
    int rc = nas_evaluator_open(&b->context, &evaluator, err);
    if (rc) return rc;
    rc = nas_search_time(&b->context, &evaluator, b->rounds, &times, err);
    nas_evaluator_close(&evaluator);
    if (rc) return rc;
    b->rounds = (size_t)times.scored;
    put_count(&b->result, "rounds", times.scored);
    nas_json_put(&b->result, "search", json_string(pipeline->search.id));
    nas_json_put(&b->result, "score", json_string(pipeline->score.id));
    nas_json_put(&b->result, "hardware", json_string(pipeline->platforms[0].hardware.id));
    put_count(&b->result, "costs", times.costs);
    put_times(b, 0);
    double each = 1e3 / (double)times.scored;
    put(&b->result, "ms_score", times.score_seconds * each);
    put(&b->result, "ms_cost", times.cost_seconds * each);
    put(&b->result, "ms_strategy",
        (times.seconds - times.score_seconds - times.cost_seconds) * each);
    put(&b->result, "overhead", (times.seconds - times.score_seconds) / times.score_seconds);
    return NAS_OK;
}

/* ---- augment ---- */

static int bench_augment(bench *b, nas_error *err) {
    nas_loader *loader;
    const nas_batch *batch = NULL;
    uint64_t images = 0;
    int rc = nas_learner_loader(&b->context, NULL, 0, &loader, err);
    if (rc) return rc;
    for (size_t i = 0; i < WARM_UP + b->rounds && !rc; i++) {
        double start = nas_seconds();
        rc = nas_loader_next(loader, &batch, err);
        if (i >= WARM_UP) b->ms[i - WARM_UP] = (nas_seconds() - start) * 1e3;
        if (!rc) images = batch->labelled + (uint64_t)batch->n_views * batch->unlabelled;
    }
    nas_loader_close(loader);
    if (rc) return rc;
    put_count(&b->result, "images", images);
    put_times(b, (double)images);
    return NAS_OK;
}

/* ---- gemm ---- */

static bool is_product(const nas_layer *layer) {
    return layer->op == NAS_OP_CONV && layer->kernel == 1;
}

static bool same_product(const nas_layer *a, const nas_layer *b) {
    return is_product(a) && a->in.c == b->in.c && a->out.c == b->out.c && a->in.h == b->in.h &&
           a->in.w == b->in.w;
}

/* By the engine, and by BLIS. */
static json_t *product_json(size_t rows, size_t in, size_t out) {
    nas_product_rates own = {0}, blis = {0};
    nas_machine_products(nas_kernels_pick(), rows, in, out, &own);
    nas_machine_products(NULL, rows, in, out, &blis);
    return json_pack("{s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "rows", (json_int_t)rows,
                     "in", (json_int_t)in, "out", (json_int_t)out, "forward", own.forward,
                     "weight_gradient", own.weight_gradient, "input_gradient", own.input_gradient,
                     "blis_forward", blis.forward, "blis_weights", blis.weight_gradient,
                     "blis_inputs", blis.input_gradient);
}

static void put_products(json_t *list, const nas_network *network) {
    for (uint32_t i = 0; i < network->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(network, i);
        bool seen = !is_product(layer);
        for (uint32_t j = 0; j < i && !seen; j++)
            seen = same_product(nas_network_layer(network, j), layer);
        if (seen) continue;
        size_t rows = (size_t)layer->in.h * layer->in.w;
        rows *= 1 + 256 / rows; /* as many images as the engine takes at once, roughly */
        nas_json_add(&list, product_json(rows, layer->in.c, layer->out.c));
    }
}

static int bench_gemm(bench *b, nas_error *err) {
    nas_genome largest = nas_genome_largest(&b->context.space);
    nas_lowered *lowered;
    int rc = nas_lower(&b->context.space, &largest, &lowered, err);
    if (rc) return rc;
    json_t *products = NULL;
    for (size_t i = 0; i < b->rounds; i++) {
        json_decref(products);
        products = json_array();
        double start = nas_seconds();
        put_products(products, &lowered->network);
        b->ms[i] = (nas_seconds() - start) * 1e3;
    }
    nas_lowered_free(lowered);
    put_times(b, 0);
    nas_json_put(&b->result, "blis", json_string(nas_gemm_kernels()));
    nas_json_put(&b->result, "products", products);
    put_limits(b);
    return NAS_OK;
}

/* ---- All of it ---- */

static int run_kind(nas_bench kind, bench *b, nas_error *err) {
    static int (*const runs[NAS_BENCHES])(bench *, nas_error *) = {
        bench_train, bench_eval, bench_score, bench_gemm, bench_augment, bench_search};
    const nas_context *context = &b->context;
    b->ms = nas_alloc(b->rounds, sizeof *b->ms);
    b->result = json_pack("{s:s, s:s, s:i, s:I}", "bench", nas_bench_name(kind), "space",
                          context->space.name, "threads", context->request->threads, "rounds",
                          (json_int_t)b->rounds);
    if (!b->ms || !b->result) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    return runs[kind](b, err);
}

int nas_bench_run(nas_bench kind, const nas_run_request *request, size_t rounds, json_t **result,
                  nas_error *err) {
    bench *b = nas_alloc(1, sizeof *b);
    *result = NULL;
    if (!b) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    b->rounds = rounds;
    int rc = nas_context_open(request, &b->context, err);
    if (!rc) rc = nas_context_split(&b->context, NULL, err);
    if (!rc) rc = run_kind(kind, b, err);
    nas_context_close(&b->context);
    if (rc)
        json_decref(b->result);
    else
        *result = b->result;
    free(b->ms);
    free(b);
    return rc;
}

/* ---- The subcommand ---- */

/* The default pipeline; the caller frees. */
static int find_pipeline(const nas_registry *registry, char **path, nas_error *err) {
    const char *folder;
    for (size_t i = 0; (folder = nas_registry_folder(registry, i)) != NULL; i++) {
        *path = nas_path_join(folder, "pipelines/bench.json");
        if (*path && nas_file_exists(*path)) return NAS_OK;
        free(*path);
    }
    *path = NULL;
    return nas_fail(err, NAS_ERR_INPUT,
                    "bench: no pipelines/bench.json beside plugins.json; name a PIPELINE");
}

static int print_text(const json_t *result, nas_error *err) {
    (void)err;
    nas_render_object(result);
    return NAS_OK;
}

static int run_bench(nas_bench kind, const nas_args *args, nas_session *session,
                     const nas_pipeline *pipeline, nas_error *err) {
    const nas_run_request request = {.pipeline = pipeline,
                                     .registry = session->registry,
                                     .threads = args->threads ? args->threads : 2,
                                     .quiet = true,
                                     .cluster = session->cluster,
                                     .log = &session->log};
    static const size_t usual[NAS_BENCHES] = {
        [NAS_BENCH_TRAIN] = 20, [NAS_BENCH_EVAL] = 5,      [NAS_BENCH_SCORE] = 5,
        [NAS_BENCH_GEMM] = 5,   [NAS_BENCH_AUGMENT] = 200, [NAS_BENCH_SEARCH] = 100};
    json_t *result;
    size_t rounds = args->rounds ? (size_t)args->rounds : usual[kind];
    int rc = args->out ? nas_bench_sample(kind, &request, args->out, &result, err)
                       : nas_bench_run(kind, &request, rounds, &result, err);
    if (rc) return rc;
    if (!nas_cluster_rank(session->cluster)) return nas_cli_result(args, result, print_text, err);
    json_decref(result);
    return NAS_OK;
}

static int check_out(const nas_args *args, nas_bench kind, nas_error *err) {
    if (!args->out || kind == NAS_BENCH_TRAIN || kind == NAS_BENCH_EVAL) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT, "bench %s: --out is of train and eval; leave it out",
                    nas_bench_name(kind));
}

static int run_subcommand(const nas_args *args, nas_error *err) {
    nas_session session = {0};
    nas_pipeline pipeline = {0};
    const char *names[NAS_BENCHES], *file = args->n_operands > 1 ? args->operands[1] : NULL;
    char *path = NULL;
    for (int i = 0; i < NAS_BENCHES; i++) names[i] = nas_bench_name((nas_bench)i);
    int kind = nas_args_command(args->positional, names, NAS_BENCHES, "nashost bench", err);
    int rc = kind < 0 ? err->code : check_out(args, (nas_bench)kind, err);
    if (!rc) rc = nas_session_open(args, true, &session, err);
    if (!rc && kind == NAS_BENCH_TRAIN && !args->out)
        rc = nas_session_join(&session, args, NULL, err);
    if (!rc && !file) rc = find_pipeline(session.registry, &path, err);
    if (!rc) rc = nas_session_pipeline(&session, file ? file : path, args, &pipeline, err);
    if (!rc) rc = run_bench((nas_bench)kind, args, &session, &pipeline, err);
    rc = nas_session_leave(&session, args, rc, err);
    nas_pipeline_free(&pipeline);
    nas_session_close(&session);
    free(path);
    return rc;
}

int nas_cli_bench(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "bench",
        .operands = "KIND [PIPELINE]",
        .flags = NAS_FLAG_ROUNDS | NAS_FLAG_OUT | NAS_FLAG_SET | NAS_FLAG_THREADS |
                 NAS_FLAG_PLUGINS | NAS_FLAG_CLUSTER,
        .help = help,
        .run = run_subcommand,
    };
    return nas_cli_subcommand(&command, argc, argv);
}
