/* An elastic dimension of a space. */
#ifndef NAS_SPACE_CHOICES_H
#define NAS_SPACE_CHOICES_H

#include <stdint.h>

#define NAS_MAX_CHOICES 8

/* An elastic dimension: its choices, ascending. */
typedef struct nas_choices {
    uint32_t n;
    uint32_t value[NAS_MAX_CHOICES];
} nas_choices;

#endif
