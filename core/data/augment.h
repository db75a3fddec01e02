/* Weak and strong augmentation of uint8 images [h][w][c], c = 1 or 3. */
#ifndef NAS_DATA_AUGMENT_H
#define NAS_DATA_AUGMENT_H

#include "base/rng.h"

#include <nashost/plugin.h>

#define NAS_RANDAUGMENT_OPS 14

/* What geometric operations put where they uncover something. */
typedef enum nas_augment_fill {
    NAS_FILL_MEAN = 0, /* the data set's mean colour */
    NAS_FILL_EDGE = 1, /* the nearest pixel of the image's edge */
    NAS_FILL_ZERO = 2,
} nas_augment_fill;

/* Settings, filled by the pipeline's "augment" section. */
typedef struct nas_augment_config {
    bool flip;          /* mirror with probability 1/2 (weak and strong) */
    double crop;        /* reflect-pad by this share of the side, crop back at random; 0: none */
    int64_t strong_ops; /* RandAugment operations on a strong view */
    double strong_magnitude; /* largest magnitude, 0..1; each op draws uniformly up to it */
    double cutout;           /* side of the cutout square as a share of the image's; 0: none */
    int fill;                /* nas_augment_fill, of rotate, shear and translate */
} nas_augment_config;

/* The 14 operations of RandAugment (arXiv 1909.13719) with FixMatch's ranges (arXiv 2001.07685,
 * table 12). On one channel Color is the identity. */
typedef enum nas_augment_op {
    NAS_AUG_AUTOCONTRAST,
    NAS_AUG_BRIGHTNESS,
    NAS_AUG_COLOR,
    NAS_AUG_CONTRAST,
    NAS_AUG_EQUALIZE,
    NAS_AUG_IDENTITY,
    NAS_AUG_POSTERIZE,
    NAS_AUG_ROTATE,
    NAS_AUG_SHARPNESS,
    NAS_AUG_SHEAR_X,
    NAS_AUG_SHEAR_Y,
    NAS_AUG_SOLARIZE,
    NAS_AUG_TRANSLATE_X,
    NAS_AUG_TRANSLATE_Y,
} nas_augment_op;

extern const char *const nas_augment_op_names[NAS_RANDAUGMENT_OPS];

/* Applies one operation as Pillow does, at level in [0, 1]; for rotate, shear and translate
 * `negative` picks the direction. Level 0 changes least, level 1 is the far end of FixMatch's
 * range: brightness, color, contrast, sharpness: factor 0.95 - 0.9 level; posterize: 8 bits down to
 * 4; solarize: threshold 256 down to 0; rotate: 30 degrees counter-clockwise; shear: 0.3, about the
 * top left corner; translate: the content moves left or up by 0.3 of the side; autocontrast,
 * equalize, identity: no level. Geometric operations sample bilinearly and fill with fill [c];
 * NULL: with the nearest pixel of the edge.
 * scratch holds h * w * c bytes. [any] */
void nas_augment_apply(nas_augment_op op, double level, bool negative, uint8_t *image,
                       uint8_t *scratch, uint32_t h, uint32_t w, uint32_t c, const uint8_t *fill);

/* Flip, and a crop after padding by (int)(crop * side) mirrored pixels on each side: image
 * [h][w][c] to out. [any] */
void nas_augment_weak(const nas_augment_config *config, nas_rng *rng, const uint8_t *image,
                      uint8_t *out, uint32_t h, uint32_t w, uint32_t c);

/* Weak, then strong_ops operations drawn with replacement, each at a level uniform up to
 * strong_magnitude, then cutout: a rectangle of a share, uniform up to `cutout`, of both sides,
 * around a uniform centre, cut at the edges and filled with fill [c], the data set's mean colour,
 * as geometric operations fill with unless config->fill is another.
 * scratch holds h * w * c bytes. [any] */
void nas_augment_strong(const nas_augment_config *config, nas_rng *rng, const uint8_t *image,
                        uint8_t *out, uint8_t *scratch, uint32_t h, uint32_t w, uint32_t c,
                        const uint8_t *fill);

#endif
