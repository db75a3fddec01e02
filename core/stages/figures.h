/* What a report says of a subnet. */
#ifndef NAS_STAGES_FIGURES_H
#define NAS_STAGES_FIGURES_H

#include "stages/evaluate.h"

#include <jansson.h>

/* The share of images indices [n] (NULL: the first n) whose label has the largest of their logits
 * [n][classes]; images without a label do not count; NaN where none is left. labels are those of
 * all images. [any] */
double nas_top1(const float *logits, const int32_t *labels, const uint64_t *indices, uint64_t n,
                size_t classes);

/* The selected subnet's top-1 on images indices [n], as above. [main] */
int nas_evaluator_top1(nas_evaluator *evaluator, const nas_images *images, const uint64_t *indices,
                       uint64_t n, double *top1, nas_error *err);

typedef struct nas_figures {
    uint64_t macs, params;
    double validation_top1, test_top1; /* NaN: no such images */
} nas_figures;

/* Selects a subnet and fills its figures; test: the test split's images, which reports alone read.
 * [main] */
int nas_figures_measure(nas_evaluator *evaluator, const nas_genome *genome, const nas_images *test,
                        nas_figures *figures, nas_error *err);

/* {"genome", "macs", "params", "validation_top1", "test_top1"}; null: not known. The caller owns
 * the result; NULL: out of memory. [any] */
json_t *nas_figures_json(const nas_space *space, const nas_genome *genome,
                         const nas_figures *figures);

#endif
