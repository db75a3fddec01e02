/* nashost plugin kit: images of any kind made opaque, square and of one size. Every function here:
 * [any]. */
#ifndef NASHOST_KIT_RESIZE_H
#define NASHOST_KIT_RESIZE_H

#include <nashost/plugin.h>

/* Puts n RGBA pixels on white, and leaves them with 1 or 3 channels, in place. */
void nas_flatten(uint8_t *pixels, size_t n, uint32_t channels);

/* A square of pixels [h][w][channels], resized to out [side][side][channels]. left, top and square
 * are in pixels, not necessarily whole ones, and lie within the image. */
int nas_resize_box(const uint8_t *pixels, uint32_t h, uint32_t w, uint32_t channels, double left,
                   double top, double square, uint32_t side, uint8_t *out, nas_error *err);

/* The largest square in the middle of pixels [h][w][channels], resized to out
 * [side][side][channels]. */
int nas_resize_square(const uint8_t *pixels, uint32_t h, uint32_t w, uint32_t channels,
                      uint32_t side, uint8_t *out, nas_error *err);

#endif
