/* An elastic dimension of a space. */
#ifndef NAS_SPACE_CHOICES_H
#define NAS_SPACE_CHOICES_H

#include <stdint.h>

#define NAS_MAX_CHOICES 8
#define NAS_MAX_DEPTH 8 /* blocks in a stage */

/* An elastic dimension: its choices, ascending. */
typedef struct nas_choices {
    uint32_t n;
    uint32_t value[NAS_MAX_CHOICES];
} nas_choices;

/* The same of numbers that need not be whole. */
typedef struct nas_ratios {
    uint32_t n;
    double value[NAS_MAX_CHOICES];
} nas_ratios;

/* A dimension of each block of a stage: of `listed` blocks, or, 0, one for all. Either way all are
 * filled once a space was read. */
typedef struct nas_block_choices {
    uint32_t listed;
    nas_choices of[NAS_MAX_DEPTH];
} nas_block_choices;

typedef struct nas_block_ratios {
    uint32_t listed;
    nas_ratios of[NAS_MAX_DEPTH];
} nas_block_ratios;

#endif
