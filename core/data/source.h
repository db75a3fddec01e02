/* A data set plugin with what the engine needs around it: all images in memory, mean and deviation.
 */
#ifndef NAS_DATA_SOURCE_H
#define NAS_DATA_SOURCE_H

#include <nashost/dataset.h>

/* Images and labels of one split. */
typedef struct nas_images {
    uint64_t n;
    uint8_t *pixels; /* [n][h][w][c] */
    int32_t *labels; /* [n]; -1: none */
} nas_images;

typedef struct nas_source {
    nas_dataset_info info;
    nas_images train, extra;    /* extra: appended to the unlabelled pool */
    float mean[3], std[3];      /* of train's pixels / 255, per channel */
    uint8_t fill[3];            /* the mean colour, for what augmentation uncovers */
    const nas_dataset_api *api; /* borrowed */
    void *self;                 /* borrowed */
} nas_source;

/* Reads train and extra through the plugin, and checks its contract: sizes, channel count, labels
 * in range. The test split is not touched. The plugin must outlive the source. [main] */
int nas_source_open(const nas_dataset_api *api, void *self, nas_source *source, nas_error *err);

/* The part of the contract that needs no image: sizes, channels, classes and their names, which are
 * UTF-8. [any] */
int nas_source_check(const nas_dataset_info *info, nas_error *err);

/* The numbers of an image: height * width * channels. [any] */
size_t nas_source_area(const nas_source *source);

/* Reads every image of every split, the test's too, whatever fails: the error holds what each of
 * the splits had. *untested gets how many classes have no test image. [main] */
int nas_source_check_images(const nas_dataset_api *api, void *self, uint32_t *untested,
                            nas_error *err);

/* Reads a whole split into memory; only the final report asks for NAS_SPLIT_TEST. [main] */
int nas_source_read(const nas_source *source, nas_split split, nas_images *images, nas_error *err);
void nas_images_free(nas_images *images);
void nas_source_close(nas_source *source);

#endif
