/* nashost plugin kit: the header of NumPy's .npy files (format:
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html), for code that uses
 * Jansson. A file is NAS_NPY_PREFIX bytes, in versions 2 and 3 two more, the header's text, and the
 * numbers. */
#ifndef NASHOST_KIT_NPY_H
#define NASHOST_KIT_NPY_H

#include <nashost/plugin.h>

enum { NAS_NPY_PREFIX = 10, NAS_NPY_MAX_HEADER = 65535, NAS_NPY_MAX_DIMS = 4 };

typedef struct nas_npy {
    char type[16]; /* such as "|u1" or "<f4" */
    uint32_t ndim;
    uint64_t shape[NAS_NPY_MAX_DIMS];
    char shape_text[96]; /* for messages: "[2, 28, 28]" */
    bool fortran;        /* the first index varies fastest */
} nas_npy;

/* Checks the prefix of a file, which messages call name; *begin: where the header's text begins, 10
 * or 12. [any] */
int nas_npy_begin(const uint8_t *prefix, const char *name, uint32_t *begin, nas_error *err);

/* The length of the header's text; bytes: the file's first *begin ones. [any] */
int nas_npy_length(const uint8_t *bytes, const char *name, uint32_t *length, nas_error *err);

/* Reads the header's text, of length bytes, which is changed; begin: where it stands in the file.
 * [any] */
int nas_npy_parse(char *text, size_t length, uint32_t begin, const char *name, nas_npy *npy,
                  nas_error *err);

#endif
