/* Plugin synthetic: the same bytes from the same seed, and classes that can be learned. */
#include "../plugins/datasets/synthetic.c"

#include "dataset_harness.h"

enum { TRAIN = 200, TEST = 100, PIXELS = 16 * 16 * 3 };

#define SMALL "{'classes': 10, 'side': 16, 'channels': 3, 'train': 200, 'test': 100, 'extra': 7"

static uint8_t train[TRAIN * PIXELS], test[TEST * PIXELS];
static int32_t train_labels[TRAIN], test_labels[TEST];

static void read_split(const instance *in, nas_split split, size_t n, uint8_t *images,
                       int32_t *labels) {
    uint64_t indices[TRAIN];
    for (size_t i = 0; i < n; i++) indices[i] = i;
    assert_int_equal(api.read(in->self, split, indices, n, images, labels, NULL), NAS_OK);
}

static void load(const char *text) {
    instance in;
    open_good(&in, text);
    read_split(&in, NAS_SPLIT_TRAIN, TRAIN, train, train_labels);
    read_split(&in, NAS_SPLIT_TEST, TEST, test, test_labels);
    close_instance(&in);
}

static void test_sizes_and_labels(void **state) {
    (void)state;
    instance in;
    open_good(&in, SMALL "}");
    nas_dataset_info info = info_of(&in);
    assert_int_equal(info.height, 16);
    assert_int_equal(info.width, 16);
    assert_int_equal(info.channels, 3);
    assert_int_equal(info.classes, 10);
    assert_int_equal(info.count[NAS_SPLIT_TRAIN], TRAIN);
    assert_int_equal(info.count[NAS_SPLIT_TEST], TEST);
    assert_int_equal(info.count[NAS_SPLIT_EXTRA], 7);
    nas_source source;
    if (nas_source_open(&api, in.self, &source, &in.err)) fail_msg("%s", in.err.message);
    for (int i = 0; i < TRAIN; i++) assert_int_equal(source.train.labels[i], i % 10);
    assert_int_equal(source.extra.labels[6], -1);
    for (int c = 0; c < 3; c++) { /* neither nearly black nor white, and not flat */
        assert_true(source.mean[c] > 0.25 && source.mean[c] < 0.75);
        assert_true(source.std[c] > 0.1);
    }
    nas_source_close(&source);
    const uint64_t beyond = 7;
    assert_int_equal(api.read(in.self, NAS_SPLIT_EXTRA, &beyond, 1, train, NULL, &in.err),
                     NAS_ERR_PLUGIN);
    assert_says(&in.err, "image 7 was asked for", "");
    close_instance(&in);
}

static uint64_t fingerprint(const uint8_t *bytes, size_t n) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

/* Another machine, compiler or version of the plugin must make these bytes too. */
static void test_bytes_are_pinned(void **state) {
    (void)state;
    load(SMALL "}");
    assert_int_equal(fingerprint(train, sizeof train), 0x50f6159eb905acf8u);
    uint8_t first[PIXELS];
    memcpy(first, train, PIXELS);
    assert_memory_not_equal(train, test, PIXELS);                /* image 0 of the splits */
    assert_memory_not_equal(train, train + 10 * PIXELS, PIXELS); /* two of one class */
    load(SMALL ", 'seed': 2}");
    assert_memory_not_equal(train, first, PIXELS);
    instance in; /* an image is the same whatever is read before it */
    const uint64_t backwards[2] = {5, 0};
    open_good(&in, SMALL "}");
    assert_int_equal(api.read(in.self, NAS_SPLIT_TRAIN, backwards, 2, train, NULL, NULL), NAS_OK);
    assert_memory_equal(train + PIXELS, first, PIXELS);
    close_instance(&in);
}

/* Share of test images that are nearest to the mean training image of their class. */
static double nearest_mean(void) {
    static double mean[10][PIXELS];
    memset(mean, 0, sizeof mean);
    for (int i = 0; i < TRAIN; i++)
        for (int k = 0; k < PIXELS; k++)
            mean[train_labels[i]][k] += train[i * PIXELS + k] * 10.0 / TRAIN;
    int right = 0;
    for (int i = 0; i < TEST; i++) {
        double least = INFINITY;
        int best = -1;
        for (int c = 0; c < 10; c++) {
            double sum = 0;
            for (int k = 0; k < PIXELS; k++) sum += pow(test[i * PIXELS + k] - mean[c][k], 2);
            if (sum < least) {
                least = sum;
                best = c;
            }
        }
        right += best == test_labels[i];
    }
    return (double)right / TEST;
}

static void test_noise_makes_it_harder(void **state) {
    (void)state;
    load(SMALL "}");
    double plain = nearest_mean();
    load(SMALL ", 'noise': 0.9}");
    double noisy = nearest_mean();
    load(SMALL ", 'noise': 1}");
    double nothing = nearest_mean();
    if (plain < 0.9 || noisy >= plain || nothing > 0.25)
        fail_msg("%g %g %g", plain, noisy, nothing);
}

static void test_the_smallest_and_one_channel(void **state) {
    (void)state;
    instance in;
    open_good(&in, "{'classes': 2, 'side': 4, 'channels': 1, 'train': 2, 'test': 1}");
    read_split(&in, NAS_SPLIT_TRAIN, 2, train, train_labels);
    assert_int_equal(train_labels[1], 1);
    assert_memory_not_equal(train, train + 16, 16);
    close_instance(&in);
}

static void test_impossible_options(void **state) {
    (void)state;
    assert_refused("{'channels': 2}", "\"channels\"", "expected 1 or 3, found 2");
    assert_refused("{'classes': 9, 'train': 8}", "\"train\"",
                   "at least one image for each of 9 classes, found 8");
}

static void test_failing_calls(void **state) {
    (void)state;
    assert_survives("{'train': 20, 'test': 10, 'side': 8}", NULL);
}

int main(void) {
    failing_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failing_calls),
        cmocka_unit_test(test_table_is_sound),
        cmocka_unit_test(test_sizes_and_labels),
        cmocka_unit_test(test_bytes_are_pinned),
        cmocka_unit_test(test_noise_makes_it_harder),
        cmocka_unit_test(test_the_smallest_and_one_channel),
        cmocka_unit_test(test_impossible_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
