/* What the largest subnet makes of unlabelled images: examples and its confidence. */
#ifndef NAS_STAGES_GALLERY_H
#define NAS_STAGES_GALLERY_H

#include "stages/evaluate.h"

/* {"height", "width", "channels", "images": [{"index", "weak", "strong", "label", "answer",
 * "confidence"}]}: training images without a label, drawn by (seed, NAS_RNG_REPORT), each augmented
 * weakly and strongly (pixels [h][w][c] in base64), with their class (null: not known) and what the
 * largest subnet says of the weak one. Fewer where images are large, or few. The caller releases
 * *json. [main] */
int nas_gallery(nas_evaluator *evaluator, json_t **json, nas_error *err);

/* [[images, right] x 10]: held-out images by the confidence of the largest subnet, 0 to 0.1 first,
 * and how many of them it answers rightly, by labels that the training does not see; null where
 * there are none. The caller releases *json. [main] */
int nas_confidence_bins(nas_evaluator *evaluator, json_t **json, nas_error *err);

#endif
