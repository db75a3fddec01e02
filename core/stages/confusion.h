/* Which classes a subnet takes for which. */
#ifndef NAS_STAGES_CONFUSION_H
#define NAS_STAGES_CONFUSION_H

#include "stages/evaluate.h"

/* Runs the selected subnet on the images that have a label: *top1 is the share of right answers
 * (NaN: there are none); *json, which the caller releases, lists [class, answer, images] wherever
 * images is above 0, by class and answer. [main] */
int nas_confusion(nas_evaluator *evaluator, const nas_images *images, double *top1, json_t **json,
                  nas_error *err);

#endif
