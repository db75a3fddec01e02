/* A first pipeline for a data set. */
#ifndef NAS_STAGES_START_H
#define NAS_STAGES_START_H

#include "host/registry.h"

#include <nashost/dataset.h>

/* Everything is borrowed. */
typedef struct nas_start {
    nas_registry *registry;
    const char *file;      /* the pipeline that is to be, for messages */
    const char *folder;    /* its absolute folder; a path in it is written relative to it */
    const char *id;        /* of the data set plugin */
    const json_t *options; /* its options, with absolute paths */
} nas_start;

/* Fills a pipeline, of which a template tells all that does not depend on the data:
 *  - dataset, with the options that are given;
 *  - split: 25 labels a class, at most a quarter of the images; 2000 images held out, at most a
 * tenth;
 *  - space: the template's, at the images' size if it does not have that; a stem of stride 2 from
 * 48 pixels on;
 *  - search.calibration_images: at most half of the images;
 *  - for each platform latency_ms, the geometric mean of the smallest and the largest subnet's,
 * where the hardware plugin tells both;
 *  - "@HOME@" in strings: the folder of the first manifest.
 * Opens the data set; *info gets what it says (class_names NULL). [main] */
int nas_start_fill(const nas_start *start, json_t *pipeline, nas_dataset_info *info,
                   nas_error *err);

#endif
