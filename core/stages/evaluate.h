/* Judging subnets with inherited weights: batch norm calibration, logits, top-1. */
#ifndef NAS_STAGES_EVALUATE_H
#define NAS_STAGES_EVALUATE_H

#include "base/threads.h"
#include "stages/context.h"
#include "supernet/engine.h"

#include <nashost/score.h>

/* The context and its weights must outlive it and not change. */
typedef struct nas_evaluator {
    const nas_context *context;
    nas_engine *engine;
    nas_bn_stats stats;     /* of the subnet that was calibrated last */
    uint64_t n_calibration; /* images */
    uint64_t *drawn;        /* which training images: the first n_calibration of these */
    nas_real *calibration;  /* [n_calibration][h][w][c], normalised, augmented as in training */
    uint8_t *pixels;        /* room for a batch */
    nas_real *images;       /* room for a batch */
    nas_genome calibrated;  /* the subnet that stats belong to, if ready */
    bool ready;
    nas_pool *pool; /* NULL until it is asked for */
} nas_evaluator;

/* Draws search.calibration_images training images (not from validation or heldout) by (seed,
 * NAS_RNG_CALIBRATE), augments them as the student sees images in training, and keeps them: where
 * batch statistics are joint, labelled images and views in the same shares; where they are
 * separate, as labelled images, which are the ones most like those to judge. The context must have
 * its split. On failure nothing is left. [main] */
int nas_evaluator_open(const nas_context *context, nas_evaluator *evaluator, nas_error *err);
void nas_evaluator_close(nas_evaluator *evaluator); /* zeroed is fine */

/* Makes this subnet the one that the calls below run, its batch norm calibrated. [main] */
void nas_evaluator_select(nas_evaluator *evaluator, const nas_genome *genome);

/* Logits [n][classes] of images indices [n] (NULL: the first n), unaugmented. [main] */
void nas_evaluator_logits(nas_evaluator *evaluator, const nas_images *images,
                          const uint64_t *indices, uint64_t n, float *logits);

/* The share of images indices [n] (NULL: the first n) whose class is the selected subnet's answer;
 * images without a label do not count; NaN where none is left. [main] */
int nas_evaluator_top1(nas_evaluator *evaluator, const nas_images *images, const uint64_t *indices,
                       uint64_t n, double *top1, nas_error *err);

/* What a report says of a subnet. */
typedef struct nas_figures {
    uint64_t macs, params;
    double validation_top1, test_top1; /* NaN: no such images */
} nas_figures;

/* Selects a subnet and fills its figures; test: the test split's images, which reports alone read.
 * [main] */
int nas_evaluator_figures(nas_evaluator *evaluator, const nas_genome *genome,
                          const nas_images *test, nas_figures *figures, nas_error *err);

/* {"genome", "macs", "params", "validation_top1", "test_top1"}; null: not known. The caller owns
 * the result; NULL: out of memory. [any] */
json_t *nas_figures_json(const nas_space *space, const nas_genome *genome,
                         const nas_figures *figures);

/* The threads of the run, for what has no engine; the evaluator owns them. [main] */
int nas_evaluator_pool(nas_evaluator *evaluator, nas_pool **pool, nas_error *err);

/* A subnet as score plugins see it. handle must outlive *subnet. */
typedef struct nas_subnet_handle {
    nas_evaluator *evaluator;
    const nas_genome *genome;
} nas_subnet_handle;
void nas_evaluator_subnet(nas_subnet_handle *handle, const nas_network *network,
                          nas_subnet *subnet);

/* Top-1 of the largest and the smallest subnet on the validation images: to the log, and as the
 * last line of the file metrics_path. Nothing where there are no validation images. [main] */
int nas_evaluator_validate(nas_evaluator *evaluator, const char *metrics_path, nas_error *err);

#endif
