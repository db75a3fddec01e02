/* nashost plugin kit: decoding PNG and JPEG files, for data sets of image files that use libpng and
 * libjpeg. */
#ifndef NASHOST_KIT_IMAGE_FILE_H
#define NASHOST_KIT_IMAGE_FILE_H

#include <nashost/plugin.h>

/* What is wanted, and the decoded image. Zero pixels and room at first; then the memory is used
 * again for the next image, and the caller frees pixels in the end. */
typedef struct nas_picture {
    uint32_t channels; /* wanted: 3 (colour) or 1 (grey) */
    uint32_t side;     /* a JPEG is decoded smaller as long as twice this many pixels are left */
    uint32_t max_side; /* larger images are refused; decoding may take 8 bytes a pixel */
    uint32_t h, w;
    size_t room;     /* bytes */
    uint8_t *pixels; /* [h][w][channels] */
} nas_picture;

/* Decodes an open file, which messages call name, into a picture. Its pixels are kept on failure
 * too, and used again. NAS_ERR_INPUT: the file is damaged or too large. [any] */
int nas_image_decode(FILE *file, const char *name, nas_picture *p, nas_error *err);

#endif
