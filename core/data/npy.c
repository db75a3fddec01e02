#include "data/npy.h"

#include "base/file.h"

#include <nashost/kit/npy.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull;

enum { MAX_SIDE = 1 << 16 };

/* ---- Reading ---- */

/* Reads the header; *begin: where the numbers are. */
static int read_header(const char *path, char *data, size_t bytes, nas_npy *npy, size_t *begin,
                       nas_error *err) {
    uint32_t text = 0, length = 0;
    if (bytes < NAS_NPY_PREFIX + 2)
        return nas_fail(err, NAS_ERR_INPUT, "%s: expected an array in .npy format, found %zu bytes",
                        path, bytes);
    int rc = nas_npy_begin((const uint8_t *)data, path, &text, err);
    if (!rc) rc = nas_npy_length((const uint8_t *)data, path, &length, err);
    if (rc) return rc;
    if (length > bytes - text)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: truncated: expected a header of %u bytes, found %zu", path, length,
                        bytes - text);
    *begin = text + length;
    return nas_npy_parse(data + text, length, text, path, npy, err);
}

static int check_shape(const char *path, const nas_npy *npy, nas_npy_images *images,
                       nas_error *err) {
    bool good = npy->ndim == 3 || npy->ndim == 4;
    for (uint32_t i = 0; i < npy->ndim && good; i++)
        good = npy->shape[i] >= 1 && npy->shape[i] <= (i ? MAX_SIDE : INT32_MAX);
    if (!good)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: shape %s; expected [n, height, width, channels], or "
                        "[n, height, width] of grey images, and at least one image",
                        path, npy->shape_text);
    images->n = npy->shape[0];
    images->h = (uint32_t)npy->shape[1];
    images->w = (uint32_t)npy->shape[2];
    images->c = npy->ndim == 4 ? (uint32_t)npy->shape[3] : 1;
    return NAS_OK;
}

static int check(const char *path, const nas_npy *npy, size_t bytes, nas_npy_images *images,
                 nas_error *err) {
    if (strcmp(npy->type, "|u1") != 0)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: expected images of unsigned bytes ('|u1'), found type '%s'; save them "
                        "as a.astype(numpy.uint8), scaled to 0..255",
                        path, npy->type);
    if (npy->fortran)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: it is in Fortran order; expected C order: save "
                        "numpy.ascontiguousarray(a)",
                        path);
    int rc = check_shape(path, npy, images, err);
    if (rc) return rc;
    const uint64_t sizes[] = {images->h, images->w, images->c};
    uint64_t expected = images->n;
    for (int i = 0; i < 3 && expected <= bytes; i++)
        expected *= sizes[i]; /* no file has 2^47 bytes */
    if (expected == bytes) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: expected as many bytes as shape %s says, found %zu; save the array again",
                    path, npy->shape_text, bytes);
}

int nas_npy_read(const char *path, nas_npy_images *images, nas_error *err) {
    nas_npy npy;
    size_t bytes = 0, begin = 0;
    *images = (nas_npy_images){0};
    int rc = nas_file_read(path, SIZE_MAX / 2, &images->memory, &bytes, err);
    if (rc == NAS_ERR_IO) /* a name that the user mistyped, most likely */
        return err ? err->code = NAS_ERR_INPUT : NAS_ERR_INPUT;
    if (!rc) rc = read_header(path, images->memory, bytes, &npy, &begin, err);
    if (!rc) rc = check(path, &npy, bytes - begin, images, err);
    if (rc)
        nas_npy_free(images);
    else
        images->pixels = (const uint8_t *)images->memory + begin;
    return rc;
}

void nas_npy_free(nas_npy_images *images) {
    if (!images) return;
    free(images->memory);
    *images = (nas_npy_images){0};
}

/* ---- Writing ---- */

/* Type and shape as in Python's source; then the numbers. */
static int write_array(const char *path, const char *type, const char *shape, const void *values,
                       size_t bytes, nas_error *err) {
    char header[128]; /* a multiple of 64, so that the numbers are aligned */
    static const char magic[] = "\x93NUMPY\x01\x00\x76"; /* version 1.0, 118 bytes of text */
    memset(header, ' ', sizeof header);
    memcpy(header, magic, sizeof magic); /* the 0 at its end is the length's high byte */
    char *text = header + NAS_NPY_PREFIX;
    int used = snprintf(text, sizeof header - NAS_NPY_PREFIX,
                        "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", type, shape);
    text[used] = ' ';
    header[sizeof header - 1] = '\n';
    const nas_piece pieces[] = {{header, sizeof header}, {values, bytes}};
    return nas_file_write_pieces(path, pieces, 2, err);
}

int nas_npy_write(const char *path, const float *values, uint64_t rows, uint64_t columns,
                  nas_error *err) {
    char shape[48];
    snprintf(shape, sizeof shape, "%llu, %llu", (ull)rows, (ull)columns);
    return write_array(path, __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? "<f4" : ">f4", shape,
                       values, rows * columns * sizeof *values, err);
}

int nas_npy_write_images(const char *path, const nas_npy_images *images, nas_error *err) {
    char shape[64];
    snprintf(shape, sizeof shape, "%llu, %u, %u, %u", (ull)images->n, images->h, images->w,
             images->c);
    return write_array(path, "|u1", shape, images->pixels,
                       images->n * images->h * images->w * images->c, err);
}
