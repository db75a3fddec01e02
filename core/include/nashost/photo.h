/* nashost plugin SDK: image files one at a time, for `nashost infer` and the files that tell a
 * deployment how to make a network's input. */
#ifndef NASHOST_PHOTO_H
#define NASHOST_PHOTO_H

#include <nashost/plugin.h>

#include <stdint.h>

/* Extension "nas.photo/1" of a data set plugin that reads image files. It needs no instance: the
 * plugin's extension() is asked for it with self NULL. */
#define NAS_EXT_PHOTO "nas.photo/1"
typedef struct nas_photo_api {
    uint32_t size;
    /* What read() does to a picture, in words: which part it keeps, how that is resized, and how
     * colours become grey or transparent ones opaque. */
    const char *crop, *resize, *colour;
    /* Whether a file's name is that of an image. [any] */
    bool (*named)(const char *name);
    /* Decodes a file as the plugin's data sets do, to image [side][side][channels]. channels: 1 or
     * 3. [worker] */
    int (*read)(const char *path, uint32_t side, uint32_t channels, uint8_t *image, nas_error *err);
} nas_photo_api;

#endif
