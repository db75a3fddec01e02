/* Plugin image_folder: which files it lists, how it decodes and resizes, and what it says of files
 * that are wrong. */
#include "../plugins/datasets/image_folder.c"

#include "dataset_harness.h"
#include "image_files.h"
#include "recognise.h"

#include <unistd.h>

static const png_kind rgb8 = {PNG_COLOR_TYPE_RGB, 8, 0, -1};

/* The picture of most tests; gradients that differ by channel. */
static uint32_t gradient(uint32_t y, uint32_t x, uint32_t c) {
    return c == 3 ? 255 : 10 + 9 * x + 5 * y + 30 * c;
}

static void png_at(const char *name) {
    write_png(folder_path, name, rgb8, 8, 8, gradient);
}

static void touch(const char *name) {
    fclose(create_file(folder_path, name));
}

static void path_of(const char *name, char path[2 * FIXTURE_PATH]) {
    snprintf(path, 2 * FIXTURE_PATH, "%s/%s", folder_path, name);
}

/* Reads the first n images of a split. */
static void read_first(const instance *in, nas_split split, size_t n, uint8_t *images,
                       int32_t *labels) {
    uint64_t indices[64];
    nas_error err = {0};
    for (size_t i = 0; i < n; i++) indices[i] = i;
    if (api.read(in->self, split, indices, n, images, labels, &err)) fail_msg("%s", err.message);
}

/* ---- Listing ---- */

static int make_pets(void **state) {
    if (make_folder(state)) return -1;
    png_at("train/dog/2.png");
    png_at("train/dog/10.PNG");
    png_at("train/cat/b.png");
    write_jpeg(folder_path, "train/cat/a.jpeg", JPEG_PLAIN, 3, 8, 8, gradient);
    write_jpeg(folder_path, "train/Ant/x.JPG", JPEG_PLAIN, 3, 8, 8, gradient);
    png_at("test/dog/1.png");
    png_at("more/1.png");
    png_at("more/0.png");
    return 0;
}

#define PETS "{'train': 'train', 'test': 'test', 'unlabelled': 'more', 'side': 8}"

static const char *name_of(const instance *in, nas_split split, size_t i) {
    const image_folder *self = in->self;
    return self->lists[split].items[i].path + strlen(folder_path) + 1;
}

static void test_order_and_labels(void **state) {
    (void)state;
    touch("train/dog/.DS_Store");
    instance in;
    open_good(&in, PETS);
    assert_string_equal(in.logged,
                        "2 of 3 classes have no test image, first \"Ant\": the test says "
                        "nothing of them");
    nas_dataset_info info = info_of(&in);
    assert_int_equal(info.height, 8);
    assert_int_equal(info.width, 8);
    assert_int_equal(info.channels, 3);
    assert_int_equal(info.classes, 3);
    assert_string_equal(info.class_names[0], "Ant");
    assert_string_equal(info.class_names[1], "cat");
    assert_string_equal(info.class_names[2], "dog");
    assert_true(info.flip);
    static const char *const names[] = {"train/Ant/x.JPG", "train/cat/a.jpeg", "train/cat/b.png",
                                        "train/dog/10.PNG", "train/dog/2.png"};
    static const int32_t expected[] = {0, 1, 1, 2, 2};
    uint8_t images[5 * 192];
    int32_t labels[5];
    assert_int_equal(info.count[NAS_SPLIT_TRAIN], 5);
    read_first(&in, NAS_SPLIT_TRAIN, 5, images, labels);
    assert_memory_equal(labels, expected, sizeof expected);
    for (size_t i = 0; i < 5; i++) assert_string_equal(name_of(&in, NAS_SPLIT_TRAIN, i), names[i]);
    assert_int_equal(info.count[NAS_SPLIT_TEST], 1);
    read_first(&in, NAS_SPLIT_TEST, 1, images, labels);
    assert_int_equal(labels[0], 2);
    assert_int_equal(info.count[NAS_SPLIT_EXTRA], 2);
    assert_string_equal(name_of(&in, NAS_SPLIT_EXTRA, 0), "more/0.png");
    nas_source source;
    if (nas_source_open(&api, in.self, &source, &in.err)) fail_msg("%s", in.err.message);
    assert_int_equal(source.extra.labels[1], -1);
    nas_source_close(&source);
    close_instance(&in);
}

static void test_other_files_are_told(void **state) {
    (void)state;
    touch("train/README");
    touch("train/cat/c.gif");
    touch("train/cat/more/d.png");
    instance in;
    open_good(&in, PETS);
    assert_int_equal(info_of(&in).count[NAS_SPLIT_TRAIN], 5);
    assert_non_null(
        strstr(in.logged, "3 files that are no .png, .jpg, .jpeg or .webp are left out"));
    assert_non_null(strstr(in.logged, "/train/README"));
    close_instance(&in);
}

/* Which images are set apart depends on names alone; listing does not decode. */
static void test_share_for_test(void **state) {
    (void)state;
    char name[64];
    for (int i = 0; i < 600; i++) {
        snprintf(name, sizeof name, "train/%s/img_%04d.jpg", i % 2 ? "a" : "b", i);
        touch(name);
    }
    instance in, later;
    open_good(&in, "{'train': 'train', 'side': 8}");
    uint64_t n = info_of(&in).count[NAS_SPLIT_TEST];
    if (n < 90 || n > 150) fail_msg("%d of 600 set apart", (int)n); /* 120, 3 deviations of 10 */
    assert_int_equal(info_of(&in).count[NAS_SPLIT_TRAIN], 600 - n);
    for (int i = 0; i < 600; i += 2) { /* the images of b are gone, and new ones come */
        char path[2 * FIXTURE_PATH];
        snprintf(name, sizeof name, "train/b/img_%04d.jpg", i);
        path_of(name, path);
        remove(path);
        snprintf(name, sizeof name, "train/b/new_%04d.jpg", i);
        touch(name);
    }
    open_good(&later, "{'train': './train/', 'side': 8}");
    const nas_image_set *old = &((image_folder *)in.self)->lists[NAS_SPLIT_TEST];
    const nas_image_set *new = &((image_folder *)later.self)->lists[NAS_SPLIT_TEST];
    size_t of_a = 0;
    for (; of_a < old->n && old->items[of_a].label == 0; of_a++) {
        const char *here = strstr(new->items[of_a].path, "/img");
        assert_string_equal(strstr(old->items[of_a].path, "/img"), here ? here : "");
    }
    assert_true(of_a > 30);
    assert_int_equal(new->items[of_a].label, 1);
    close_instance(&in);
    close_instance(&later);
    open_good(&in, "{'train': 'train', 'side': 8, 'test_share': 0.6}");
    n = info_of(&in).count[NAS_SPLIT_TEST];
    if (n < 320 || n > 400) fail_msg("%d of 600 set apart", (int)n);
    close_instance(&in);
}

static void test_wrong_folders(void **state) {
    (void)state;
    assert_refused("{'train': 'none', 'side': 8}", "/none: No such file",
                   "expected a folder; see the option \"train\"");
    assert_refused("{'train': 'train/cat/b.png', 'side': 8}", "b.png: Not a directory",
                   "\"train\"");
    assert_refused("{'train': 'train', 'test': 'none', 'side': 8}", "/none: ", "\"test\"");
    assert_refused("{'train': 'train', 'test': 'test', 'unlabelled': 'none', 'side': 8}",
                   "/none: ", "\"unlabelled\"");
    assert_refused("{'train': 'more', 'side': 8}", "/more: ", "at least two classes, found 0");
    assert_refused("{'train': 'train', 'test': 'more', 'side': 8}", "/more: no test image",
                   "see the options \"test\" and \"test_share\"");
    assert_refused("{'train': 'train', 'test': 'test', 'unlabelled': 'test', 'side': 8}",
                   "/test: no .png, .jpg, .jpeg or .webp file in it", "");
    assert_refused("{'train': 'train', 'test': 'test', 'side': 8, 'channels': 2}",
                   "\"channels\": expected 1 or 3", "found 2");
    const uint64_t beyond = 5;
    instance in;
    uint8_t image[192];
    open_good(&in, PETS);
    assert_int_equal(api.read(in.self, NAS_SPLIT_TRAIN, &beyond, 1, image, NULL, &in.err),
                     NAS_ERR_PLUGIN);
    assert_says(&in.err, "image 5 was asked for, of a split of 5", "");
    close_instance(&in);
    png_at("test/mouse/1.png");
    assert_refused(PETS, "/test/mouse: expected the name of a class folder of ", "/train");
    touch("train/empty/notes.txt");
    assert_refused(PETS, "/train/empty: no .png, .jpg, .jpeg or .webp file; fill", "");
}

static void test_share_leaves_each_class_an_image(void **state) {
    (void)state;
    for (int c = 'a'; c < 'e'; c++) {
        char name[] = "train/?/1.png";
        for (name[6] = (char)c; name[8] < '4'; name[8]++) touch(name);
    }
    instance in;
    open_good(&in, "{'train': 'train', 'side': 8, 'test_share': 0.9}");
    const image_folder *self = in.self;
    const nas_image_set *train = &self->lists[NAS_SPLIT_TRAIN];
    assert_int_equal(train->n + self->lists[NAS_SPLIT_TEST].n, 12);
    for (size_t i = 0, c = 0; c < 4; c++) {
        while (i < train->n && train->items[i].label < (int32_t)c) i++;
        assert_true(i < train->n && train->items[i].label == (int32_t)c);
    }
    close_instance(&in);
    assert_refused("{'train': 'train', 'side': 8, 'test_share': 0.001}", "/train: no test image",
                   "");
}

/* ---- Decoding ---- */

static void open_one(instance *in, int channels, int side) {
    char text[200];
    snprintf(text, sizeof text,
             "{'train': 'train', 'test': 'train', 'side': %d, 'channels': %d, 'max_side': 600}",
             side, channels);
    open_good(in, text);
}

/* The image train/a/1.png or .jpg; train/b/z.png is there as well, as classes are at least two. */
static void read_one(int channels, int side, uint8_t *image) {
    instance in;
    touch("train/b/z.png");
    open_one(&in, channels, side);
    read_first(&in, NAS_SPLIT_TRAIN, 1, image, NULL);
    close_instance(&in);
}

static uint32_t coarse(uint32_t y, uint32_t x, uint32_t c) {
    return (x + 3 * y + c) & 1;
}

static uint32_t nibble(uint32_t y, uint32_t x, uint32_t c) {
    return (x + 3 * y + c) & 15;
}

static uint32_t deep(uint32_t y, uint32_t x, uint32_t c) {
    return gradient(y, x, c) * 257;
}

static uint32_t sheer(uint32_t y, uint32_t x, uint32_t c) {
    return c == 3 || c == 1 ? 30 * x : gradient(y, x, c);
}

static uint32_t on_white(uint32_t value, uint32_t alpha) {
    return (uint32_t)lround(255 + ((double)value - 255) * alpha / 255);
}

/* What a pixel of an 8 x 8 file must come out as, in colour c. */
static uint32_t expected(png_kind kind, pixel_fn pixel, uint32_t y, uint32_t x, uint32_t c) {
    uint32_t top = (1u << kind.depth) - 1, first = pixel(y, x, 0) & top;
    const uint32_t entry[3] = {first, 255 - first, first * 7 & 255};
    switch (kind.color) {
    case PNG_COLOR_TYPE_PALETTE:
        return on_white(entry[c], first == 1 && kind.alpha_of >= 0 ? (uint32_t)kind.alpha_of : 255);
    case PNG_COLOR_TYPE_GRAY:
        return first * 255 / top;
    case PNG_COLOR_TYPE_GRAY_ALPHA:
        return on_white(first * 255 / top, (pixel(y, x, 1) & top) * 255 / top);
    case PNG_COLOR_TYPE_RGB:
        return (pixel(y, x, c) & top) * 255 / top;
    default:
        return on_white((pixel(y, x, c) & top) * 255 / top, (pixel(y, x, 3) & top) * 255 / top);
    }
}

static const struct {
    png_kind kind;
    pixel_fn pixel;
} kinds[] = {
    {{PNG_COLOR_TYPE_GRAY, 1, 0, -1}, coarse},      {{PNG_COLOR_TYPE_GRAY, 4, 0, -1}, nibble},
    {{PNG_COLOR_TYPE_GRAY, 8, 0, -1}, gradient},    {{PNG_COLOR_TYPE_GRAY, 16, 0, -1}, deep},
    {{PNG_COLOR_TYPE_PALETTE, 1, 0, -1}, coarse},   {{PNG_COLOR_TYPE_PALETTE, 4, 0, 77}, nibble},
    {{PNG_COLOR_TYPE_PALETTE, 8, 0, 0}, gradient},  {{PNG_COLOR_TYPE_RGB, 8, 0, -1}, gradient},
    {{PNG_COLOR_TYPE_RGB, 16, 0, -1}, deep},        {{PNG_COLOR_TYPE_RGB_ALPHA, 8, 0, -1}, sheer},
    {{PNG_COLOR_TYPE_RGB_ALPHA, 16, 0, -1}, deep},  {{PNG_COLOR_TYPE_GRAY_ALPHA, 8, 0, -1}, sheer},
    {{PNG_COLOR_TYPE_GRAY_ALPHA, 16, 0, -1}, deep},
};

static void check_png(png_kind kind, pixel_fn pixel) {
    uint8_t colour[192], grey[64];
    write_png(folder_path, "train/a/1.png", kind, 8, 8, pixel);
    read_one(3, 8, colour);
    read_one(1, 8, grey);
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t rgb[3];
        for (uint32_t c = 0; c < 3; c++) {
            rgb[c] = expected(kind, pixel, i / 8, i % 8, c);
            if (colour[3 * i + c] != rgb[c])
                fail_msg("colour %d, depth %d, interlace %d, pixel %u, channel %u: expected %u, "
                         "found %u",
                         kind.color, kind.depth, kind.interlace, i, c, rgb[c], colour[3 * i + c]);
        }
        double luma = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
        if (fabs(grey[i] - luma) > 1) fail_msg("grey %u: %u, luma %g", i, grey[i], luma);
    }
}

static void test_every_kind_of_png(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (int interlace = 0; interlace < 2; interlace++) {
            png_kind kind = kinds[i].kind;
            kind.interlace = interlace;
            check_png(kind, kinds[i].pixel);
        }
}

static void check_jpeg(jpeg_kind kind, uint32_t channels) {
    uint8_t colour[192], grey[64];
    write_jpeg(folder_path, "train/a/1.jpg", kind, channels, 8, 8, gradient);
    read_one(3, 8, colour);
    read_one(1, 8, grey);
    for (uint32_t i = 0; i < 64; i++) {
        double rgb[3];
        for (uint32_t c = 0; c < 3; c++) {
            rgb[c] = gradient(i / 8, i % 8, channels == 3 ? c : 0);
            if (fabs(colour[3 * i + c] - rgb[c]) > 4)
                fail_msg("kind %d, %u channels, pixel %u, channel %u: expected %g, found %u", kind,
                         channels, i, c, rgb[c], colour[3 * i + c]);
        }
        double luma = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
        if (fabs(grey[i] - luma) > 4) fail_msg("grey %u: %u, luma %g", i, grey[i], luma);
    }
}

static void test_every_kind_of_jpeg(void **state) {
    (void)state;
    for (jpeg_kind kind = JPEG_PLAIN; kind <= JPEG_PROGRESSIVE; kind++) {
        check_jpeg(kind, 1);
        check_jpeg(kind, 3);
    }
}

/* ---- Resizing ---- */

static uint32_t checkers(uint32_t y, uint32_t x, uint32_t c) {
    (void)c;
    return (x + y) % 2 * 255;
}

static uint32_t ramp(uint32_t y, uint32_t x, uint32_t c) {
    (void)y, (void)c;
    return 4 * x;
}

/* Blue in the middle 16 of 48 places along one side, red elsewhere. */
static uint32_t wide_bands(uint32_t y, uint32_t x, uint32_t c) {
    (void)y;
    return c == (x >= 16 && x < 32 ? 2u : 0u) ? 255 : 0;
}

static uint32_t high_bands(uint32_t y, uint32_t x, uint32_t c) {
    return wide_bands(x, y, c);
}

/* Points halve the checkers to black or white; a filter without aliasing, to grey. */
static void test_shrinking_does_not_alias(void **state) {
    (void)state;
    uint8_t image[192];
    write_png(folder_path, "train/a/1.png", rgb8, 64, 64, checkers);
    read_one(3, 8, image);
    for (int i = 0; i < 192; i++) assert_in_range(image[i], 126, 129);
}

/* A ramp stays a ramp: place x of 64 has value 4 x, so place i of `side` has 4 ((i + .5) step -
 * .5).
 */
static void check_ramp(int side) {
    static uint8_t image[128 * 128];
    read_one(1, side, image);
    double step = 64.0 / side;
    for (int i = (int)(2 / step) + 1; i < side - (int)(2 / step) - 1; i++) {
        double value = 4 * ((i + 0.5) * step - 0.5);
        for (int y = 0; y < side; y += side - 1)
            if (fabs(image[y * side + i] - value) > 1)
                fail_msg("side %d, place %d: expected %g, found %u", side, i, value,
                         image[y * side + i]);
    }
}

static void test_a_ramp_stays_a_ramp(void **state) {
    (void)state;
    write_png(folder_path, "train/a/1.png", rgb8, 64, 64, ramp);
    check_ramp(16);
    check_ramp(23);
    check_ramp(64);
    check_ramp(65);
    check_ramp(128);
}

static void test_the_middle_is_cut_out(void **state) {
    (void)state;
    for (int high = 0; high < 2; high++) {
        uint8_t image[16 * 16 * 3];
        write_png(folder_path, "train/a/1.png", rgb8, high ? 48 : 16, high ? 16 : 48,
                  high ? high_bands : wide_bands);
        read_one(3, 16, image);
        for (int p = 0; p < 16 * 16; p++)
            if (image[3 * p] || image[3 * p + 2] != 255)
                fail_msg("high %d, pixel %d: %u %u", high, p, image[3 * p], image[3 * p + 2]);
    }
}

static uint32_t wide_ramp(uint32_t y, uint32_t x, uint32_t c) {
    return (x + y + 20 * c) * 255 / 1100;
}

/* A JPEG that libjpeg decodes at a part of its size is as good as a PNG of the same picture. */
static void test_large_jpegs(void **state) {
    (void)state;
    static const uint32_t sizes[] = {64, 130, 259, 520}; /* decoded whole, and 2, 4, 8 times less */
    for (int i = 0; i < 4; i++) {
        static uint8_t from_png[32 * 32 * 3], from_jpeg[32 * 32 * 3];
        write_png(folder_path, "train/a/1.png", rgb8, sizes[i] + 40, sizes[i], wide_ramp);
        read_one(3, 32, from_png);
        char path[2 * FIXTURE_PATH];
        path_of("train/a/1.png", path);
        remove(path);
        write_jpeg(folder_path, "train/a/1.jpg", JPEG_PLAIN, 3, sizes[i] + 40, sizes[i], wide_ramp);
        read_one(3, 32, from_jpeg);
        path_of("train/a/1.jpg", path);
        remove(path);
        for (int k = 0; k < 32 * 32 * 3; k++)
            if (abs(from_png[k] - from_jpeg[k]) > 4)
                fail_msg("%u: byte %d: %u %u", sizes[i], k, from_png[k], from_jpeg[k]);
    }
}

static void test_the_smallest_image(void **state) {
    (void)state;
    uint8_t image[16];
    write_png(folder_path, "train/a/1.png", rgb8, 1, 1, ramp);
    read_one(1, 4, image);
    for (int i = 0; i < 16; i++) assert_int_equal(image[i], 0);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
static uint32_t grey(uint32_t y, uint32_t x, uint32_t c) {
    (void)c;
    return x + y;
}

/* Split folders, or the class folders themselves; sizes and colours by the first images. */
static void test_recognises(void **state) {
    (void)state;
    char path[2 * FIXTURE_PATH];
    recognised(folder_path, "{'train': '@/train', 'test': '@/test', 'side': 8, 'channels': 3}");
    png_at("unlabeled/1.png");
    recognised(folder_path, "{'train': '@/train', 'test': '@/test', 'unlabelled': '@/unlabeled', "
                            "'side': 8, 'channels': 3}");
    path_of("train", path);
    recognised(path, "{'train': '@', 'side': 8, 'channels': 3}");
    path_of("unlabeled", path);
    assert_null(recognise(path));
    write_png(folder_path, "grey/a/1.png", rgb8, 31, 90, grey);
    write_png(folder_path, "grey/b/1.png", rgb8, 90, 90, grey);
    path_of("grey", path);
    recognised(path, "{'train': '@', 'side': 28, 'channels': 1}");
}

/* A picture that cannot be decoded is told, and where it stands. */
static void test_recognises_damage(void **state) {
    (void)state;
    nas_recognised found = {.size = sizeof found};
    nas_error err = {0};
    touch("a/1.png");
    touch("b/1.png");
    assert_int_equal(folder_look(folder_path, &found, &err), NAS_ERR_INPUT);
    assert_says(&err, "a/1.png", "the file is empty");
}

#define WITH_PETS(test) cmocka_unit_test_setup_teardown(test, make_pets, remove_folder)

static void test_failing_calls(void **state) {
    (void)state;
    assert_survives(PETS, NULL);
    assert_survives("{'train': 'train', 'test': 'test', 'unlabelled': 'more', 'side': 8, "
                    "'on_bad_image': 'skip'}",
                    "malloc");
}

int main(void) {
    failing_start();
    const struct CMUnitTest tests[] = {
        WITH_PETS(test_failing_calls),
        cmocka_unit_test(test_table_is_sound),
        WITH_PETS(test_recognises),
        IN_FOLDER(test_recognises_damage),
        WITH_PETS(test_order_and_labels),
        WITH_PETS(test_other_files_are_told),
        IN_FOLDER(test_share_for_test),
        WITH_PETS(test_wrong_folders),
        IN_FOLDER(test_share_leaves_each_class_an_image),
        IN_FOLDER(test_every_kind_of_png),
        IN_FOLDER(test_every_kind_of_jpeg),
        IN_FOLDER(test_shrinking_does_not_alias),
        IN_FOLDER(test_a_ramp_stays_a_ramp),
        IN_FOLDER(test_the_middle_is_cut_out),
        IN_FOLDER(test_large_jpegs),
        IN_FOLDER(test_the_smallest_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
