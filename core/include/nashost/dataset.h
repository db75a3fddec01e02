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
    bool flip;        /* a mirrored image keeps its class (clothes and animals: yes; digits: no) */
    uint64_t skipped; /* images that were left out, since they cannot be read */
} nas_dataset_info;

typedef struct nas_dataset_api {
    uint32_t size;
    /* Describes the data set. The caller sets info->size. [main] */
    int (*info)(void *self, nas_dataset_info *info, nas_error *err);
    /* Copies n images of a split, in the order of indices, to images [n][h][w][c] uint8, and their
     * classes to labels [n] (-1 where there is none; labels may be NULL). [worker] */
    int (*read)(void *self, nas_split split, const uint64_t *indices, size_t n, uint8_t *images,
                int32_t *labels, nas_error *err);
    /* A hash of which images a split has, in their order, such as one of their files' names and
     * labels: a run refuses to go on with another data set than it began with. NULL: the plugin
     * tells none, and the host compares numbers, classes and labels alone. [main] */
    uint64_t (*fingerprint)(void *self, nas_split split);
    /* Copies the classes of images first .. first + n - 1 of a split to labels [n] (-1 where there
     * is none), without decoding one. NULL: the host decodes every image for its label, where they
     * do not all fit into memory (the pipeline's dataset.memory). [main] */
    int (*labels)(void *self, nas_split split, uint64_t first, size_t n, int32_t *labels,
                  nas_error *err);
    /* read may be called on several threads at a time, and while other functions of the plugin are
     * called on the main thread. false: the host reads on one thread at a time, which is another
     * one than before. */
    bool parallel;
} nas_dataset_api;

/* Extension "nas.recognise/1", for `nashost init`: which folders a data set plugin can read. It
 * needs no instance: the plugin's extension() is asked for it with self NULL. */
#define NAS_EXT_RECOGNISE "nas.recognise/1"

#define NAS_RECOGNISED_TEXT 16384

typedef struct nas_recognised {
    uint32_t size;
    bool yes; /* the plugin would read the folder; false, as the host set it: it is not its own */
    char options[NAS_RECOGNISED_TEXT]; /* then: the options to read it by, a JSON object */
    char note[240];                    /* and, perhaps, what the user should check; "": nothing */
} nas_recognised;

typedef struct nas_recognise_api {
    uint32_t size;
    /* Looks at the names in a folder, an absolute path, and at as little of the files as it takes.
     * Paths in options are absolute. A folder of something else is no error. [main] */
    int (*look)(const char *folder, nas_recognised *found, nas_error *err);
} nas_recognise_api;

#endif
