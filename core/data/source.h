/* A data set plugin with what the engine needs around it: its images, mean and deviation. */
#ifndef NAS_DATA_SOURCE_H
#define NAS_DATA_SOURCE_H

#include "data/images.h"

/* How a data set is read. */
typedef struct nas_source_request {
    const nas_dataset_api *api; /* for the main thread */
    void *self;
    nas_read_fn read; /* as api->read, for any thread; NULL: that one */
    int (*labels)(void *self, nas_split split, uint64_t first, size_t n, int32_t *labels,
                  nas_error *err); /* nas_dataset_api's [main]; NULL: it has none */
    bool parallel;                 /* read may be called on several threads at a time */
    uint64_t memory;               /* bytes that images may take; 0: as many as they need */
    int threads;                   /* that decode what does not fit; 0: one */
} nas_source_request;

typedef struct nas_source {
    nas_dataset_info info;
    nas_images train, extra;    /* extra: appended to the unlabelled pool */
    float mean[3], std[3];      /* of train's pixels / 255, per channel */
    uint8_t fill[3];            /* the mean colour, for what augmentation uncovers */
    const nas_dataset_api *api; /* borrowed */
    void *self;                 /* borrowed */
    nas_source_request how;
    nas_store *store; /* NULL: images may take any memory */
} nas_source;

/* Opens train and extra through the plugin, and checks its contract: sizes, channel count, labels
 * in range. Where all of a split fits into what memory is left, it is read; else its labels are,
 * and of its images so many as the mean takes: of more than 65536 training images these are 16384,
 * evenly spread. The test split is not touched. The plugin must outlive the source. [main] */
int nas_source_open_by(const nas_source_request *how, nas_source *source, nas_error *err);

/* The same with every image in memory. [main] */
int nas_source_open(const nas_dataset_api *api, void *self, nas_source *source, nas_error *err);

/* The part of the contract that needs no image: sizes, channels, classes and their names, which are
 * UTF-8. [any] */
int nas_source_check(const nas_dataset_info *info, nas_error *err);

/* The numbers of an image: height * width * channels. [any] */
size_t nas_source_area(const nas_source *source);

/* Bytes of memory that images take at most: of train and extra; and how many more than now, once
 * a split is open as well that has n images. [any] */
uint64_t nas_source_bytes(const nas_source *source);
uint64_t nas_source_more_bytes(const nas_source *source, uint64_t n);

/* Reads every image of every split, the test's too, whatever fails: the error holds what each of
 * the splits had. *untested gets how many classes have no test image. [main] */
int nas_source_check_images(const nas_source_request *how, uint32_t *untested, nas_error *err);

/* Opens a whole split, to be freed before the source is closed; only the final report asks for
 * NAS_SPLIT_TEST. [main] */
int nas_source_read(const nas_source *source, nas_split split, nas_images *images, nas_error *err);
void nas_source_close(nas_source *source);

#endif
