/* The images that batch norm is calibrated with, before a subnet is judged or exported. */
#ifndef NAS_STAGES_CALIBRATION_H
#define NAS_STAGES_CALIBRATION_H

#include "nn/real.h"
#include "run/context.h"

typedef struct nas_calibration {
    uint64_t n;       /* search.calibration_images */
    uint64_t *drawn;  /* which training images: the first n of these */
    nas_real *images; /* [n][h][w][c], normalised, augmented as in training */
} nas_calibration;

/* Draws training images of the unlabelled pool by (seed, NAS_RNG_CALIBRATE), and augments them as
 * the student sees images in training, since the weights are used to the statistics of that: where
 * batch statistics are joint, labelled images and views in the same shares; where they are
 * separate, as labelled images, which are the ones most like those to judge. The context must have
 * its split. On failure nothing is left. [main] */
int nas_calibration_open(const nas_context *context, nas_calibration *calibration, nas_error *err);
void nas_calibration_close(nas_calibration *calibration); /* zeroed is fine */

#endif
