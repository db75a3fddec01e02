/* What subcommands compute, apart from the command line; each is in the file of its subcommand.
 * A result is JSON, which the caller owns and the subcommand prints, as it is or, by the function
 * nas_..._print, as text on stdout. A function that takes a request works on the run directory
 * request->out of a finished training, which request->pipeline made. */
#ifndef NAS_CLI_COMMANDS_H
#define NAS_CLI_COMMANDS_H

#include "host/instance.h"
#include "run/request.h"
#include "run/subnets.h"

#include <jansson.h>
#include <nashost/dataset.h>

/* ---- import ---- */

/* Prints what nas_import (stages/import.h) gave. [main] */
int nas_import_print(const json_t *result, nas_error *err);

/* ---- run, train, search, report ---- */

/* Prints what nas_run (stages/run.h) gave for a request. [main] */
int nas_run_print(const nas_run_request *request, const json_t *result, nas_error *err);

/* ---- eval ---- */

/* Judges subnets: a report, so it reads the test split.
 *
 *   {"seed", "dataset", "space", "labelled",
 *    "subnets": [{"name", "genome", "macs", "params", "validation_top1", "test_top1"}, ...]}
 *
 * A top1 is a share, 0 to 1; null: there are no such images. Writes nothing to the directory.
 * files [n]: JSON files, as nas_subnets_read takes them. n 0: the largest and the smallest subnet.
 * [main] */
int nas_eval(const nas_run_request *request, const char *const *files, size_t n, json_t **result,
             nas_error *err);
int nas_eval_print(const json_t *result, nas_error *err);

/* ---- score ---- */

/* Which subnets; strings are borrowed. With neither, the largest and the smallest. */
typedef struct nas_scores_request {
    const char *const *files; /* [n_files], see nas_subnets_read */
    size_t n_files;
    size_t random; /* so many random ones, by the pipeline's seed */
} nas_scores_request;

/* Scores subnets by the pipeline's search.score:
 *
 *   {"score", "options", "seed", "space",
 *    "subnets": [{"name", "genome", "macs", "params", "score", "seconds"}, ...]}
 *
 * seconds: of wall time for this score; what is done once for all is not in it. Reads no test image
 * and writes nothing to the directory. [main] */
int nas_scores(const nas_run_request *request, const nas_scores_request *what, json_t **result,
               nas_error *err);
int nas_scores_print(const json_t *result, nas_error *err);

/* ---- cost ---- */

/* A device; everything is borrowed. */
typedef struct nas_device {
    const char *name;
    const nas_instance *hardware;
} nas_device;

/* Asks each device [n_devices] for each subnet's costs, in the order of subnets:
 *
 *   {"space", "subnets": [{"name", "genome", "macs", "params",
 *                          "costs": {DEVICE: {"latency_ms", "energy_mj", "peak_bytes",
 *                                             "flash_bytes", "known_share", "expected_error"},
 * ...}}, ...]}
 *
 * where null is not known, and so are all costs of a subnet that a device cannot run; log tells
 * why. [main] */
int nas_costs(const nas_space *space, const nas_subnets *subnets, const nas_device *devices,
              size_t n_devices, const nas_log *log, json_t **result, nas_error *err);
int nas_costs_print(const json_t *result, nas_error *err);

/* ---- compare ---- */

/* Compares finished runs by their pipeline.json and family.json alone:
 *
 *   {"runs": [{"run", "seed", "dataset", "space", "labelled", "loss", "sampling", "steps",
 *              "search", "score", "reference": {...}}, ...],
 *    "platforms": [{"name", "runs": [as in family.json, or null: not in this run, ...]}, ...],
 *    "differences": [{"key": "train.lr", "values": [0.03, 0.01, ...]}, ...]}
 *
 * with lists in the order of dirs [n]. Platforms are matched by name; a key that a run does not
 * have is null. A directory without one of the two files is NAS_ERR_INPUT. [main] */
int nas_compare(const char *const *dirs, size_t n, json_t **result, nas_error *err);
int nas_compare_print(const json_t *result, nas_error *err);

/* ---- infer ---- */

/* Strings are borrowed. */
typedef struct nas_infer_request {
    const char *genome;   /* which subnet: see nas_subnets_one; NULL: not given */
    const char *platform; /* likewise */
    const char *input; /* an image file, a folder of them, or .npy: uint8 [n][h][w][c], at the data
                          set's size, which is then resized as in training, or at the subnet's
                          resolution, as its exports take it */
    bool int8;         /* answer as exports in 8 bits do */
    uint32_t weight_bits; /* of these, 7 or 8; 0: 8 */
    const char *weights;  /* a file of weights that is run without a run directory; NULL: none */
    const char *logits;   /* .npy to write: float32 [n][classes]; NULL: none */
} nas_infer_request;

/* Calibrates a subnet and runs it on a user's images: what its deployment should answer.
 *
 *   {"logits", "images", "classes", "subnet", "genome",
 *    "answers": [{"image", "label", "class", "confidence"}, ...]}
 *
 * answers: of image files, and of arrays where no logits are written; image is a file's name or an
 * index, label the class's number, class its name or null, confidence softmax's share. Reads no
 * test image. [main] */
int nas_infer(const nas_run_request *request, const nas_infer_request *what, json_t **result,
              nas_error *err);

/* The same for a subnet of what->weights with the batch norm statistics that the file holds, as
 * those of imported networks do; images at the subnet's resolution. [main] */
int nas_infer_weights(const nas_infer_request *what, int threads, json_t **result, nas_error *err);
int nas_infer_print(const json_t *result, nas_error *err);

/* ---- export ---- */

/* Strings are borrowed. */
typedef struct nas_export_request {
    const char *genome;    /* which subnet: see nas_subnets_one; NULL: not given */
    const char *platform;  /* likewise */
    const char *format;    /* the id of an export plugin */
    const json_t *options; /* its options; NULL: the defaults */
    const char *out;       /* the file to write; a second one of the format is put beside it */
} nas_export_request;

/* Calibrates a subnet, folds its batch norm, and writes it for deployment:
 * {"files": [...], "description", "format", "bytes", "subnet", "genome"}. Reads no test image.
 * [main] */
int nas_export(const nas_run_request *request, const nas_export_request *what, json_t **result,
               nas_error *err);
int nas_export_print(const json_t *result, nas_error *err);

/* ---- lut build ---- */

/* Everything is borrowed and must outlive the call. */
typedef struct nas_lut_request {
    const nas_space *space;
    const nas_instance *hardware; /* must have the extension NAS_EXT_MEASURE */
    const char *out;              /* the table's file (nashost/lut.h) */
    uint64_t seed;                /* of the order in which layers are timed */
    size_t limit;                 /* the table gets the first so many of that order; 0: all */
    size_t networks;              /* random subnets to time as a whole */
    uint32_t rounds;              /* 1 or more: how often each is timed */
    const nas_log *log;
    bool quiet; /* no progress lines */
} nas_lut_request;

typedef struct nas_lut_result {
    size_t layers;   /* of the space, not counting layers with equal keys twice */
    size_t kept;     /* of those asked for, complete in the file before */
    size_t measured; /* now, those completed */
    size_t networks; /* measured now */
} nas_lut_result;

/* Times the layers and the networks that the file does not hold yet, in `rounds` rounds, each in a
 * random order of its own; of an entry's times the table keeps the lowest, since what else the
 * machine does can only add to it, and may last longer than one measurement. Writes the file every
 * few seconds and at the end: an interrupted build goes on where it stopped, and a second space's
 * layers go to the same file. Where the plugin cannot time layers, the networks alone are timed. A
 * file that was measured on another target or with another plugin is NAS_ERR_INPUT. [main] */
int nas_lut_build(const nas_lut_request *request, nas_lut_result *result, nas_error *err);

/* ---- bench ---- */

/* What a bench does. The pipeline's images, space, train and search sections say how much work.
 * Every result is an object with at least
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
 *   threads, "gflops" on big matrix products by BLIS, "own_gflops" on the engine's own in cache (0:
 *   it has none here) and "gbyte_per_s" copying memory.
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
 *   "weight_gradient", "input_gradient" as the engine computes them, by BLIS
 *   "blis_forward", "blis_weights", "blis_inputs"; and "limits".
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

enum { NAS_BENCH_IMAGES = 10000 }; /* that eval judges at most */

/* "train", ... */
const char *nas_bench_name(nas_bench bench);

/* rounds: steps to time, after a few more to warm up; at least 1. [main] */
int nas_bench_run(nas_bench bench, const nas_run_request *request, size_t rounds, json_t **result,
                  nas_error *err);

/* Writes the work of train or eval to a safetensors file, with what it comes to, and fills *result
 * with {"bench", "space", "out", "tensors"}. Gamma, beta, biases and kernel matrices are changed at
 * random first. Images are float32 [n][h][w][c], as the network reads them; metadata are JSON
 * texts.
 *
 * Both: "weights.NAME" as in supernet.h; metadata "space" (narrowed), "train" (the resolved
 *   section), "genomes" [steps][subnets] of the first steps.
 * train, of step 0: "images.labelled", "images.viewV", "labels"; "gradient.NAME" of the step's sum
 *   over subnets; metadata "loss", the subnets' mean, and "mask_rate".
 * eval: "images.calibration", "images.judged"; "logits" [subnets][images][classes] of step 0's
 *   first four subnets, each calibrated in batches of metadata "calibration_batch"; metadata
 *   "images": how many are judged when it is timed. [main] */
int nas_bench_sample(nas_bench bench, const nas_run_request *request, const char *path,
                     json_t **result, nas_error *err);

#endif
