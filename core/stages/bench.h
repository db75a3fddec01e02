/* Benches: how long the work of a run takes on this machine, for people and for scripts. */
#ifndef NAS_STAGES_BENCH_H
#define NAS_STAGES_BENCH_H

#include "stages/run.h"

/* What a bench does. The pipeline's images, space, train and search sections say how much work;
 * nothing is written. Every result is an object with at least
 *
 *   "bench", "space", "threads", "rounds"   what was timed, and how often
 *   "ms_per_step"                 median; "ms_min", "ms_q1", "ms_q3", "ms_max"
 *   "images_per_s"                at the median; 0 where there are no images
 *   "peak_rss_bytes"              most memory that the process has held so far
 *
 * train: a step is batches, teacher, every subnet's gradient, the weights' update. Further "batch",
 *   "mu", "subnets", "isa", "cpu_ms_per_step" (mean, all threads), "gflop_per_step",
 *   "gbyte_per_step" (an estimate: see profile.h),
 *   "gflops" and "gbyte_per_s" of them at the median; "layers": for each kind of layer and
 *   direction "layer", "pass", "ms", "share", "gflops", "gbyte_per_s"; "other_ms": the step's
 *   remainder (loss, update, waiting for images); "limits": what the machine reaches with the same
 *   threads, "gflops" on big matrix products and "gbyte_per_s" copying memory.
 * eval: a step is calibrating and evaluating the largest subnet on at most 10,000 training images.
 *   "images", "ms_calibrate" and "ms_evaluate" (medians), "gflops", "cpu_ms_per_step".
 * score: a step is the score of one random subnet by the pipeline's plugin. "score".
 * search: a step is an evaluation of the first platform's search, with the search's own work since
 *   the one before it; rounds is how many were found to evaluate. "search", "score", "hardware",
 *   "costs" (subnets whose cost was computed), "ms_score", "ms_cost", "ms_strategy" (means for an
 *   evaluation: the score, all costs, the rest), "overhead" (time outside of scores as a share of
 *   theirs).
 * augment: a step is a batch of the loader, which is one thread. "images".
 * gemm: a step is one product of each shape below. "products": on one thread, for each 1x1
 *   convolution of the largest subnet "rows", "in", "out" and GFLOP/s of "forward",
 *   "weight_gradient", "input_gradient"; and "limits".
 *
 * rounds: steps to time, after a few more to warm up; at least 1. The caller owns *result. [main]
 */
typedef enum nas_bench {
    NAS_BENCH_TRAIN,
    NAS_BENCH_EVAL,
    NAS_BENCH_SCORE,
    NAS_BENCH_GEMM,
    NAS_BENCH_AUGMENT,
    NAS_BENCH_SEARCH,
    NAS_BENCHES
} nas_bench;

/* "train", ... */
const char *nas_bench_name(nas_bench bench);

int nas_bench_run(nas_bench bench, const nas_run_request *request, size_t rounds, json_t **result,
                  nas_error *err);

#endif
