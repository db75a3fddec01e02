/* nashost plugin SDK: data sets (NAS_KIND_DATASET). */
#ifndef NASHOST_DATASET_H
#define NASHOST_DATASET_H

#include <nashost/plugin.h>

typedef enum nas_split {
    NAS_SPLIT_TRAIN = 0,
    NAS_SPLIT_TEST = 1,
    NAS_SPLIT_EXTRA = 2, /* further images without labels; often empty */
    NAS_SPLITS = 3,
} nas_split;

typedef struct nas_dataset_info {
    uint32_t size;
    uint32_t height, width, channels; /* channels is 1 or 3 */
    uint32_t classes;
    uint64_t count[NAS_SPLITS];     /* images in each split */
    const char *const *class_names; /* [classes], owned by the plugin until destroy; or NULL */
    bool flip; /* a mirrored image keeps its class (clothes and animals: yes; digits: no) */
} nas_dataset_info;

typedef struct nas_dataset_api {
    uint32_t size;
    /* Describes the data set. The caller sets info->size. [main] */
    int (*info)(void *self, nas_dataset_info *info, nas_error *err);
    /* Copies n images of a split, in the order of indices, to images [n][h][w][c] uint8, and their
     * classes to labels [n] (-1 where there is none; labels may be NULL). [worker] */
    int (*read)(void *self, nas_split split, const uint64_t *indices, size_t n, uint8_t *images,
                int32_t *labels, nas_error *err);
} nas_dataset_api;

#endif
