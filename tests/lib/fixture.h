/* Scratch folders, and a small data set that a network can learn, for tests. */
#ifndef NAS_TESTS_FIXTURE_H
#define NAS_TESTS_FIXTURE_H

#include "base/rng.h"

#include <ftw.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define FIXTURE_PATH 512

/* Makes an empty folder under $TMPDIR or /tmp; its path goes to folder [FIXTURE_PATH]. 0 or -1. */
static inline int fixture_folder(char *folder) {
    const char *base = getenv("TMPDIR");
    int n = snprintf(folder, FIXTURE_PATH, "%s/nashost-test-XXXXXX", base && *base ? base : "/tmp");
    return n > 0 && n < FIXTURE_PATH && mkdtemp(folder) ? 0 : -1;
}

static inline int fixture_unlink(const char *path, const struct stat *s, int type, struct FTW *f) {
    (void)s, (void)type, (void)f;
    return remove(path);
}

/* Removes a folder that fixture_folder made, with all that is in it. */
static inline void fixture_remove(const char *folder) {
    if (strstr(folder, "/nashost-test-")) nftw(folder, fixture_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

/* Writes folder/name, through gzip if asked. 0 or -1. */
static inline int fixture_write(const char *folder, const char *name, const void *data,
                                size_t bytes, bool gzip) {
    char path[FIXTURE_PATH + 128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    gzFile file = gzopen(path, gzip ? "wb" : "wbT"); /* T: no compression, no gzip frame */
    if (!file) return -1;
    bool done = !bytes || gzwrite(file, data, (unsigned)bytes) == (int)bytes;
    return gzclose(file) == Z_OK && done ? 0 : -1;
}

/* An IDX header of n_dims big-endian sizes for unsigned bytes; returns its length. */
static inline size_t fixture_idx_header(uint8_t *out, const uint32_t *dims, uint32_t n_dims) {
    uint32_t words[5] = {0x800 | n_dims};
    memcpy(words + 1, dims, n_dims * sizeof *dims);
    for (size_t i = 0; i < 4 * (n_dims + 1u); i++)
        out[i] = (uint8_t)(words[i / 4] >> (24 - 8 * (i % 4)));
    return 4 * (n_dims + 1u);
}

/* One or two (second half of the classes) long blobs whose angle tells the class, at a random place
 * near the centre, with noise. */
static inline void fixture_blob(uint8_t *image, uint32_t side, uint32_t label, uint32_t classes,
                                nas_rng *rng) {
    uint32_t angles = (classes + 1) / 2;
    double angle = 3.14159265358979 * (label % angles) / angles, half = side / 2.0;
    double cx = half - 0.5 + (nas_rng_uniform(rng) - 0.5) * side * 0.15;
    double cy = half - 0.5 + (nas_rng_uniform(rng) - 0.5) * side * 0.15;
    double apart = label < angles ? 0 : half * 0.5;
    for (uint32_t i = 0; i < side * side; i++) {
        uint32_t x = i % side, y = i / side;
        double dx = x - cx, dy = y - cy;
        double along = (cos(angle) * dx + sin(angle) * dy) / (half * 0.6);
        double across = fabs(cos(angle) * dy - sin(angle) * dx) - apart;
        double value = 200 * exp(-along * along - pow(across / (half * 0.22), 2)) + 20 +
                       24 * (nas_rng_uniform(rng) - 0.5);
        image[i] = (uint8_t)value;
    }
}

/* Writes n images and labels (i % classes) as a pair of IDX files. 0 or -1. */
static inline int fixture_idx_pair(const char *folder, const char *images, const char *labels,
                                   uint32_t n, uint32_t side, uint32_t classes, uint64_t stream) {
    size_t area = (size_t)side * side;
    uint8_t *pixels = malloc(16 + n * area), *classes_of = malloc(8 + (size_t)n);
    int rc = pixels && classes_of ? 0 : -1;
    if (!rc) {
        fixture_idx_header(pixels, (uint32_t[]){n, side, side}, 3);
        fixture_idx_header(classes_of, &n, 1);
        for (uint32_t i = 0; i < n; i++) {
            nas_rng rng = nas_rng_open(1, NAS_RNG_TEST, stream, i);
            fixture_blob(pixels + 16 + i * area, side, i % classes, classes, &rng);
            classes_of[8 + i] = (uint8_t)(i % classes);
        }
        rc = fixture_write(folder, images, pixels, 16 + n * area, false);
        if (!rc) rc = fixture_write(folder, labels, classes_of, 8 + (size_t)n, false);
    }
    free(pixels);
    free(classes_of);
    return rc;
}

/* Makes a folder (see fixture_folder) with the four plain IDX files of plugin idx: images of side x
 * side x 1, label i % classes. The classes are angles, so mirroring must be off ("flip": false).
 * 0 or -1. */
static inline int fixture_idx_folder(char *folder, uint32_t n_train, uint32_t n_test, uint32_t side,
                                     uint32_t classes) {
    if (fixture_folder(folder)) return -1;
    if (fixture_idx_pair(folder, "train-images-idx3-ubyte", "train-labels-idx1-ubyte", n_train,
                         side, classes, 0) ||
        fixture_idx_pair(folder, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", n_test, side,
                         classes, 1)) {
        fixture_remove(folder);
        return -1;
    }
    return 0;
}

#endif
