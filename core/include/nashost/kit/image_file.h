/* nashost plugin kit: decoding PNG, JPEG and WebP files, for data sets of image files. What uses it
 * is linked with libpng, libjpeg and libwebp. */
#ifndef NASHOST_KIT_IMAGE_FILE_H
#define NASHOST_KIT_IMAGE_FILE_H

#include <nashost/plugin.h>

/* What is wanted, and the decoded image. Zero pixels and room at first; then the memory is used
 * again for the next image, and the caller frees pixels in the end. */
typedef struct nas_picture {
    uint32_t channels; /* wanted: 3 (colour) or 1 (grey) */
    uint32_t side;     /* a JPEG is decoded smaller as long as four times as many pixels are left */
    uint32_t max_side; /* larger images are refused; decoding may take 8 bytes a pixel */
    uint32_t h, w;
    size_t room;     /* bytes */
    uint8_t *pixels; /* [h][w][channels] */
    /* The largest square in the middle of the upright image, in pixels of this one, which may be
     * smaller than the file's; and how it is turned upright: 1 to 8, as in Exif. */
    double left, top, square;
    int orientation;
} nas_picture;

/* Decodes an open file, which messages call name, into a picture. Its pixels are kept on failure
 * too, and used again. NAS_ERR_INPUT: the file is damaged or too large. [any] */
int nas_image_decode(FILE *file, const char *name, nas_picture *p, nas_error *err);

/* The decoded image's square, upright, resized to out [side][side][channels]. [any] */
int nas_image_square(const nas_picture *p, uint32_t side, uint8_t *out, nas_error *err);

#endif
