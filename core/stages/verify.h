/* An exported file in the engine that such files are for, compared with the host. */
#ifndef NAS_STAGES_VERIFY_H
#define NAS_STAGES_VERIFY_H

#include "stages/folded.h"

/* Held-out images that it is tried with; fewer where there are fewer, training images where there
 * are none. */
#define NAS_VERIFY_IMAGES 100

typedef struct nas_verify {
    nas_evaluator *evaluator;
    const nas_folded *folded; /* with ranges and weight_bits, if the export is in 8 bits */
    const nas_instance *plugin;
    const char *path; /* the exported file, which is there with its description */
    const char *file; /* its name in the run directory */
} nas_verify;

/* Runs tools/check-engine.py with $NASHOST_PYTHON or python3 in a folder of $TMPDIR. *json becomes,
 * for the caller to release,
 *
 *   {"file", "engine", "images", "same_answers", "largest_difference", "largest_logit", "agrees"},
 *   {"file", "skipped"} with the reason: no engine, or programs may not start here, or
 *   {"file", "failed", "agrees": false}.
 *
 * It agrees if no logit in floats is off by more than a hundredth of the largest one, and in 8 bits
 * if nine of ten answers are the same. Only what the host itself lacks is an error. [main] */
int nas_verify_file(const nas_verify *verify, json_t **json, nas_error *err);

#endif
