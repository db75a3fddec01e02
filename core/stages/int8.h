/* A folded subnet in 8 bits: the ranges that exporters ask for, and what it answers. */
#ifndef NAS_STAGES_INT8_H
#define NAS_STAGES_INT8_H

#include "stages/folded.h"

/* Training images whose activations make the ranges: the first ones of those that calibrate batch
 * norm, without augmentation and without their labels; all where there are fewer. Of the images'
 * least and largest values, the 5 % that reach furthest are not kept: one odd image would cost all
 * others their precision. docs/export.md has what other shares cost. */
#define NAS_INT8_IMAGES 512
#define NAS_INT8_KEPT 0.95

/* How many images nas_int8_calibrate takes. [any] */
uint64_t nas_int8_images(const nas_evaluator *evaluator);

/* Fills the ranges of the folded network. [main] */
int nas_int8_calibrate(nas_evaluator *evaluator, nas_folded *folded, nas_error *err);

/* Images of unsigned bytes, [n][h][w][c]. */
typedef struct nas_pixels {
    const uint8_t *data;
    uint64_t n;
    uint32_t h, w;
} nas_pixels;

/* Logits [n][classes] of the calibrated network in 8 bits, as its exports answer; images of another
 * size are resized first, as the engine does, and rounded to whole pixels. [main] */
int nas_int8_logits(nas_evaluator *evaluator, const nas_folded *folded, const nas_pixels *images,
                    float *logits, nas_error *err);

/* The same in single precision or in 8 bits: what a deployment answers to whole pixels. [main] */
int nas_deployed_logits(nas_evaluator *evaluator, const nas_folded *folded, bool int8,
                        const nas_pixels *images, float *logits, nas_error *err);

/* The images as the network takes them: whole pixels at its resolution, into to [n][h][w][c]. [any]
 */
int nas_deployed_pixels(const nas_network *network, const nas_pixels *images, uint8_t *to,
                        nas_error *err);

/* The share of right answers in 8 bits among the images with a label; NaN where there are none.
 * [main] */
int nas_int8_top1(nas_evaluator *evaluator, const nas_folded *folded, const nas_images *images,
                  double *top1, nas_error *err);

#endif
