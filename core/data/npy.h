/* Arrays in NumPy's .npy files: images in, logits out. */
#ifndef NAS_DATA_NPY_H
#define NAS_DATA_NPY_H

#include <nashost/plugin.h>

/* Images [n][h][w][c] of unsigned bytes. */
typedef struct nas_npy_images {
    uint64_t n;
    uint32_t h, w, c;
    const uint8_t *pixels;
    char *memory; /* the file, which pixels points into */
} nas_npy_images;

/* Reads an array of type uint8 in C order and of shape [n][h][w][c], or [n][h][w] where c is 1,
 * with at least one image. Another type, order or shape, and a file of another length than its
 * header says, are NAS_ERR_INPUT. The caller frees. [any] */
int nas_npy_read(const char *path, nas_npy_images *images, nas_error *err);
void nas_npy_free(nas_npy_images *images); /* NULL-safe, zeroed is fine */

/* Writes images [n][h][w][c] as an array of type uint8, whole or not at all. [any] */
int nas_npy_write_images(const char *path, const nas_npy_images *images, nas_error *err);

/* Writes values [rows][columns] as an array of type float32, whole or not at all. [any] */
int nas_npy_write(const char *path, const float *values, uint64_t rows, uint64_t columns,
                  nas_error *err);

#endif
