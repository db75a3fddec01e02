/* How good a training was, by images that it did not see. */
#ifndef NAS_STAGES_VALIDATE_H
#define NAS_STAGES_VALIDATE_H

#include "stages/evaluate.h"

/* Top-1 of the largest and the smallest subnet on the validation images: to the log, and as the
 * last line of the file metrics_path. Nothing where there are no validation images. [main] */
int nas_validate(nas_evaluator *evaluator, const char *metrics_path, nas_error *err);

#endif
