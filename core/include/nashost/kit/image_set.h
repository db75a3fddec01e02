/* nashost plugin kit: sets of image files that are decoded, cut to a square and resized when they
 * are asked for, for data sets of PNG, JPEG and WebP files. What uses it is linked with libpng,
 * libjpeg and libwebp. A data set may do without it. */
#ifndef NASHOST_KIT_IMAGE_SET_H
#define NASHOST_KIT_IMAGE_SET_H

#include <nashost/dataset.h>
#include <nashost/photo.h>

typedef struct nas_image_item {
    char *path;
    int32_t label; /* -1: none */
    /* The data set's own, such as where in a file the image lies; 0. */
    uint32_t from;
    uint64_t at, bytes;
} nas_image_item;

/* The images of one split; zeroed is empty. */
typedef struct nas_image_set {
    nas_image_item *items;
    size_t n;
} nas_image_set;

/* How images are read. */
typedef struct nas_image_how {
    uint32_t side, channels, max_side;
    /* Opens an image that is no file of its own; it is closed with fclose. NULL: path is opened.
     * [any] */
    int (*open)(const void *context, const nas_image_item *item, FILE **file, nas_error *err);
    const void *context;
} nas_image_how;

/* Whether a file's name ends as one of an image: .png, .jpg, .jpeg or .webp, in any case. [any] */
bool nas_named_as_image(const char *name);

/* Appends a copy of path, and of an item's own fields as well. [any] */
int nas_image_set_add(nas_image_set *set, const char *path, int32_t label, nas_error *err);
int nas_image_set_add_item(nas_image_set *set, const nas_image_item *item, nas_error *err);
void nas_image_set_free(nas_image_set *set); /* empty is fine [any] */

/* nas_dataset_api's read. Every image that cannot be read is told in the host's log, and then the
 * error says how many they are; advice: what else than repairing them helps. It may run on several
 * threads at a time. [worker] */
int nas_image_set_read(const nas_image_set *set, const nas_image_how *how, const nas_host *host,
                       const char *advice, const uint64_t *indices, size_t n, uint8_t *images,
                       int32_t *labels, nas_error *err);

/* nas_dataset_api's labels. [main] */
int nas_image_set_labels(const nas_image_set *set, uint64_t first, size_t n, int32_t *labels,
                         nas_error *err);

/* Reads every image, and takes those out of the set that cannot be read; each is told in the host's
 * log, and counted in *skipped. Other failures, such as a lack of memory, are errors. [main] */
int nas_image_set_sift(nas_image_set *set, const nas_image_how *how, const nas_host *host,
                       uint64_t *skipped, nas_error *err);

/* A hash of the paths, each without its first `folder` bytes. [any] */
uint64_t nas_image_set_hash(const nas_image_set *set, size_t folder);

/* For NAS_EXT_PHOTO of a plugin that reads such files. */
extern const nas_photo_api nas_image_photos;

/* ---- Options: rows of a table ---- */

enum { NAS_BAD_IMAGE_ERROR, NAS_BAD_IMAGE_SKIP }; /* the choices of "on_bad_image" */

/* Rows for fields `int64_t side, channels, max_side; bool flip; int on_bad_image` of config. */
#define NAS_IMAGE_OPTIONS(config)                                                                  \
    NAS_INT("side", config, side, NULL, 4, 1024, "pixels",                                         \
            "height and width to which images are resized, after the largest square in their "     \
            "middle is cut out"),                                                                  \
        NAS_INT("channels", config, channels, "3", 1, 3, NULL,                                     \
                "number of channels: 3 (colour) or 1 (grey); files of the other kind are "         \
                "converted"),                                                                      \
        NAS_INT("max_side", config, max_side, "8192", 4, 65500, "pixels",                          \
                "largest width or height of a file that is read; a larger one is refused, since "  \
                "decoding may take 8 bytes a pixel"),                                              \
        NAS_BOOL(                                                                                  \
            "flip", config, flip, "true",                                                          \
            "whether a mirrored image keeps its class; set it to false for digits and letters"),   \
        NAS_ENUM("on_bad_image", config, on_bad_image, "\"error\"",                                \
                 ((const char *const[]){"error", "skip", NULL}),                                   \
                 "what becomes of a file that cannot be read: error, the run ends and names all "  \
                 "of them; skip, it is left out, which takes decoding each file once more")

#endif
