/* Images are where their labels say, the same at every read, and none is beyond the end. */
#include "@ID@.c"

#include <stdarg.h>
#include <stdio.h>

/* Ends the test with what was expected of the plugin, and what it said, if it did. */
__attribute__((format(printf, 3, 4))) static void expect(bool good, const nas_error *err,
                                                         const char *what, ...) {
    if (good) return;
    va_list args;
    va_start(args, what);
    fprintf(stderr, "data set plugin \"@ID@\": expected ");
    vfprintf(stderr, what, args);
    va_end(args);
    fprintf(stderr, "%s%s\n", err->message[0] ? "; it said: " : "", err->message);
    exit(1);
}

int main(void) {
    const config given = {.train = 40, .test = 8, .noise = 0.3};
    const uint64_t indices[] = {0, 1, 2, 3, 39}, beyond = 40;
    uint8_t images[5][SIDE][SIDE], again[5][SIDE][SIDE];
    int32_t labels[5];
    void *self = NULL;
    nas_error err = {0};
    nas_dataset_info about = {.size = sizeof about};
    expect(create(NULL, &given, &self, &err) == NAS_OK, &err, "create() to succeed");
    expect(info(self, &about, &err) == NAS_OK, &err, "info() to succeed");
    expect(about.classes == CLASSES, &err, "%d classes, found %u", CLASSES, about.classes);
    expect(about.count[NAS_SPLIT_TRAIN] == 40, &err, "40 training images, found %llu",
           (unsigned long long)about.count[NAS_SPLIT_TRAIN]);
    expect(read_images(self, NAS_SPLIT_TRAIN, indices, 5, &images[0][0][0], labels, &err) == NAS_OK,
           &err, "read() of 5 images to succeed");
    expect(read_images(self, NAS_SPLIT_TRAIN, indices, 5, &again[0][0][0], NULL, &err) == NAS_OK,
           &err, "read() without labels to succeed");
    expect(memcmp(images, again, sizeof images) == 0, &err, "the same pixels at the second read()");
    for (int i = 0; i < 5; i++) {
        int y = labels[i] / 2 * (SIDE / 2), x = labels[i] % 2 * (SIDE / 2);
        int here = images[i][y][x], opposite = images[i][SIDE - 1 - y][SIDE - 1 - x];
        expect(here > opposite, &err,
               "image %d of label %d to be brighter in corner %d, found %d and %d", i, labels[i],
               labels[i], here, opposite);
    }
    expect(read_images(self, NAS_SPLIT_TRAIN, &beyond, 1, &images[0][0][0], NULL, &err) != NAS_OK,
           &err, "read() of image 40 of 40 to fail");
    destroy(self);
    destroy(NULL);
    return 0;
}
