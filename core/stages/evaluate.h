/* Running subnets with inherited weights, their batch norm calibrated. */
#ifndef NAS_STAGES_EVALUATE_H
#define NAS_STAGES_EVALUATE_H

#include "base/threads.h"
#include "stages/calibration.h"
#include "supernet/engine.h"

/* The context and its weights must outlive it and not change. */
typedef struct nas_evaluator {
    const nas_context *context;
    nas_engine *engine;
    nas_bn_stats stats; /* of the subnet that was calibrated last */
    nas_calibration calibration;
    uint32_t batch;        /* images run at once */
    uint8_t *pixels;       /* room for a batch, and two images */
    nas_real *images;      /* room for a batch */
    nas_genome calibrated; /* the subnet that stats belong to, if ready */
    bool ready;
    nas_pool *pool; /* NULL until it is asked for */
} nas_evaluator;

/* Makes the calibration images; the context must have its split. On failure nothing is left.
 * [main] */
int nas_evaluator_open(const nas_context *context, nas_evaluator *evaluator, nas_error *err);
/* Bytes of memory that it takes. [any] */
size_t nas_evaluator_bytes(const nas_evaluator *evaluator);
void nas_evaluator_close(nas_evaluator *evaluator); /* zeroed is fine */

/* Makes this subnet the one that the calls below run, its batch norm calibrated. [main] */
void nas_evaluator_select(nas_evaluator *evaluator, const nas_genome *genome);

/* Logits [n][classes] of images indices [n] (NULL: the first n), unaugmented. An image that cannot
 * be decoded is an error. [main] */
int nas_evaluator_logits(nas_evaluator *evaluator, const nas_images *images,
                         const uint64_t *indices, uint64_t n, float *logits, nas_error *err);

/* The same with each image augmented, weakly or strongly, by (seed, NAS_RNG_LOOK, draw, its index).
 * [main] */
int nas_evaluator_augmented(nas_evaluator *evaluator, const nas_images *images,
                            const uint64_t *indices, uint64_t n, nas_augment how, uint64_t draw,
                            float *logits, nas_error *err);

/* The threads of the run, for what has no engine; the evaluator owns them. [main] */
int nas_evaluator_pool(nas_evaluator *evaluator, nas_pool **pool, nas_error *err);

#endif
