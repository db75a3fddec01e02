/* What the tests of plugin npy share: a folder with a small data set of arrays. A test program
 * includes the plugin's .c file, then this. */
#ifndef TESTS_NPY_ARRAYS_H
#define TESTS_NPY_ARRAYS_H

#include "dataset_harness.h"
#include "recognise.h"

#include <unistd.h>

enum { N = 9, N_TEST = 5, H = 4, W = 6, C = 3, IMAGE = H * W * C };

static inline uint8_t pixel(int set, int image, int y, int x, int c) {
    return (uint8_t)(set * 100 + image * 11 + y * 40 + x * 5 + c);
}

/* Pixels of n images as the array holds them. */
static inline void fill(uint8_t *out, int set, int n, int channels, bool planes) {
    for (int i = 0; i < n; i++)
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                for (int c = 0; c < channels; c++)
                    out[planes ? ((i * channels + c) * H + y) * W + x
                               : ((i * H + y) * W + x) * channels + c] = pixel(set, i, y, x, c);
}

/* Writes a header as numpy does (64-byte steps, a newline at the end); returns its length. */
static inline size_t header(uint8_t *out, int version, const char *type, const char *shape) {
    char text[200];
    size_t before = version == 1 ? 10 : 12;
    int length = snprintf(text, sizeof text,
                          "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", type, shape);
    size_t padded = ((before + (size_t)length + 1 + 63) / 64) * 64 - before;
    memset(out, ' ', before + padded);
    memcpy(out, "\x93NUMPY", 6);
    out[6] = (uint8_t)version;
    out[7] = 0;
    for (size_t i = 8; i < before; i++) out[i] = (uint8_t)(padded >> (8 * (i - 8)));
    memcpy(out + before, text, (size_t)length);
    out[before + padded - 1] = '\n';
    return before + padded;
}

typedef struct content {
    uint8_t bytes[4096];
    size_t n;
} content;

static inline content images(int set, int n, const char *shape, int channels, bool planes) {
    content a;
    size_t begin = header(a.bytes, 1, "|u1", shape);
    fill(a.bytes + begin, set, n, channels, planes);
    a.n = begin + (size_t)(n * H * W * channels);
    return a;
}

/* Labels i % 3 of a type of any width and byte order. */
static inline content labels_of(int n, const char *type, const char *shape) {
    content a;
    size_t width = (size_t)(type[2] - '0'), begin = header(a.bytes, 1, type, shape);
    memset(a.bytes + begin, 0, (size_t)n * width);
    for (int i = 0; i < n; i++)
        a.bytes[begin + (size_t)i * width + (type[0] == '>' ? width - 1 : 0)] = (uint8_t)(i % 3);
    a.n = begin + (size_t)n * width;
    return a;
}

static inline void store(const char *name, content a) {
    assert_int_equal(fixture_write(folder_path, name, a.bytes, a.n, false), 0);
}

/* The path of a file of the folder; the last two given stay. */
static inline const char *in_folder(const char *name) {
    static char paths[2][2 * FIXTURE_PATH];
    static int turn;
    turn = !turn;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder_path, name);
    return paths[turn];
}

static inline void move(const char *from, const char *to) {
    assert_int_equal(rename(in_folder(from), in_folder(to)), 0);
}

static inline int make_arrays(void **state) {
    if (make_folder(state)) return -1;
    store("x.npy", images(0, N, "(9, 4, 6, 3)", C, false));
    store("y.npy", labels_of(N, "<i8", "(9,)"));
    store("tx.npy", images(1, N_TEST, "(5, 4, 6, 3)", C, false));
    store("ty.npy", labels_of(N_TEST, "|u1", "(5,)"));
    store("extra.npy", images(2, 2, "(2, 4, 6, 3)", C, false));
    return 0;
}

#define REST "'train_labels': 'y.npy', 'test_images': 'tx.npy', 'test_labels': 'ty.npy'"
#define PLAIN "{'train_images': 'x.npy', " REST "}"

static inline void check_image(const uint8_t *image, int set, int index, int channels) {
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            for (int c = 0; c < channels; c++)
                assert_int_equal(image[(y * W + x) * channels + c], pixel(set, index, y, x, c));
}

/* Reads forwards, backwards and an image twice. */
static inline void check_content(const instance *in, int channels) {
    static const struct {
        nas_split split;
        uint64_t n;
    } sets[] = {{NAS_SPLIT_TRAIN, N}, {NAS_SPLIT_TEST, N_TEST}};
    for (int s = 0; s < 2; s++) {
        const uint64_t order[5] = {1, 2, sets[s].n - 1, sets[s].n - 1, 0};
        uint8_t out[5 * IMAGE];
        int32_t labels[5];
        nas_error err = {0};
        if (api.read(in->self, sets[s].split, order, 5, out, labels, &err))
            fail_msg("%s", err.message);
        for (int i = 0; i < 5; i++) {
            check_image(out + i * H * W * channels, s, (int)order[i], channels);
            assert_int_equal(labels[i], (int)order[i] % 3);
        }
    }
}

#define WITH_ARRAYS(test) cmocka_unit_test_setup_teardown(test, make_arrays, remove_folder)

#endif
