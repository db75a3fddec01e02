/* How image files become squares: JPEGs that are decoded at a part of their size, Exif's
 * orientations, WebP; and what becomes of files that cannot be read. */
#include "../plugins/datasets/image_folder.c"

#include "dataset_harness.h"
#include "image_files.h"

#include <webp/encode.h>

static const png_kind rgb8 = {PNG_COLOR_TYPE_RGB, 8, 0, -1};

static void path_of(const char *name, char *path) {
    snprintf(path, 2 * FIXTURE_PATH, "%s/%s", folder_path, name);
}

static int make_classes(void **state) {
    if (make_folder(state)) return -1;
    fclose(create_file(folder_path, "train/b/z.png"));
    return 0;
}

/* The first training image at this side. */
static void read_one(uint32_t side, uint8_t *image) {
    char text[200];
    instance in;
    const uint64_t first = 0;
    snprintf(text, sizeof text, "{'train': 'train', 'test': 'train', 'side': %u}", side);
    open_good(&in, text);
    if (api.read(in.self, NAS_SPLIT_TRAIN, &first, 1, image, NULL, &in.err))
        fail_msg("%s", in.err.message);
    close_instance(&in);
}

static int edge_at;
static bool across;

/* Black, and white from edge_at on. */
static uint32_t edge(uint32_t y, uint32_t x, uint32_t c) {
    (void)c;
    return (int)(across ? x : y) >= edge_at ? 255 : 0;
}

/* Whatever a side's remainder: as if the whole picture had been decoded. */
static void test_jpegs_of_any_size(void **state) {
    (void)state;
    static const uint32_t sides[][2] = {{257, 257}, {263, 263},   {519, 700}, {700, 519},
                                        {512, 513}, {1031, 1024}, {400, 300}};
    static uint8_t of_png[16 * 16 * 3], of_jpeg[16 * 16 * 3];
    char path[2 * FIXTURE_PATH];
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        uint32_t h = sides[i][0], w = sides[i][1];
        for (int k = 0; k < 6; k++) {
            across = k % 2;
            int length = (int)(across ? w : h);
            edge_at = k < 2 ? length - 5 : k < 4 ? length / 2 + 3 : length / 3;
            write_png(folder_path, "train/a/1.png", rgb8, h, w, edge);
            read_one(16, of_png);
            path_of("train/a/1.png", path);
            remove(path);
            write_jpeg(folder_path, "train/a/1.jpg", JPEG_PLAIN, 3, h, w, edge);
            read_one(16, of_jpeg);
            path_of("train/a/1.jpg", path);
            remove(path);
            for (int p = 0; p < 16 * 16 * 3; p++)
                if (abs(of_png[p] - of_jpeg[p]) > 8)
                    fail_msg("%u x %u, edge %d: byte %d: %u and %u", w, h, edge_at, p, of_png[p],
                             of_jpeg[p]);
        }
    }
}

/* The quarters of an upright picture of 20 x 12: red, green / blue, black. */
static uint32_t quarters(uint32_t y, uint32_t x, uint32_t c) {
    uint32_t quarter = (y >= 6 ? 2u : 0u) + (x >= 10 ? 1u : 0u);
    return quarter == c ? 240 : 10;
}

enum { HIGH = 12, WIDE = 20 };
static int turn; /* an orientation */

/* The pixel that a file of this orientation has at (y, x), by what Exif says of its first row and
 * column. */
static uint32_t stored(uint32_t y, uint32_t x, uint32_t c) {
    const uint32_t high = HIGH - 1, wide = WIDE - 1;
    const uint32_t places[9][2] = {{0, 0},        {y, x}, {y, wide - x}, {high - y, wide - x},
                                   {high - y, x}, {x, y}, {x, wide - y}, {high - x, wide - y},
                                   {high - x, y}};
    return quarters(places[turn][0], places[turn][1], c);
}

/* Puts an Exif segment after the first two bytes of a JPEG. */
static void add_orientation(const char *name, int orientation, bool little) {
    uint8_t data[8192], segment[] = "\xff\xe1\0\x22"
                                    "Exif\0\0"
                                    "MM\0*\0\0\0\x08"
                                    "\0\1"
                                    "\x01\x12\0\x03\0\0\0\1\0\0\0\0"
                                    "\0\0\0\0";
    char path[2 * FIXTURE_PATH];
    path_of(name, path);
    segment[29] = (uint8_t)orientation;
    if (little) memcpy(segment + 10, "II*\0\x08\0\0\0\1\0\x12\x01\x03\0\1\0\0\0", 18);
    if (little) memcpy(segment + 28, (uint8_t[4]){(uint8_t)orientation}, 4);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t n = fread(data, 1, sizeof data, file);
    fclose(file);
    file = fopen(path, "wb");
    assert_non_null(file);
    fwrite(data, 1, 2, file);
    fwrite(segment, 1, sizeof segment - 1, file);
    fwrite(data + 2, 1, n - 2, file);
    assert_int_equal(fclose(file), 0);
}

static void assert_quarters(const uint8_t *image, const char *what) {
    static const int at[4][2] = {{1, 1}, {1, 6}, {6, 1}, {6, 6}};
    for (int q = 0; q < 4; q++)
        for (int c = 0; c < 3; c++) {
            int found = image[(at[q][0] * 8 + at[q][1]) * 3 + c];
            if (abs(found - (q == c ? 240 : 10)) > 12)
                fail_msg("%s, orientation %d: quarter %d, channel %d: %d", what, turn, q, c, found);
        }
}

static void test_orientations(void **state) {
    (void)state;
    uint8_t image[8 * 8 * 3];
    for (turn = 1; turn <= 8; turn++) {
        uint32_t h = turn > 4 ? WIDE : HIGH, w = turn > 4 ? HIGH : WIDE;
        for (int little = 0; little < 2; little++) {
            write_jpeg(folder_path, "train/a/1.jpg", JPEG_PLAIN, 3, h, w, stored);
            add_orientation("train/a/1.jpg", turn, little);
            read_one(8, image);
            assert_quarters(image, little ? "II" : "MM");
        }
    }
    turn = 1; /* what is no orientation turns nothing */
    for (int wrong = 0; wrong <= 9; wrong += 9) {
        write_jpeg(folder_path, "train/a/1.jpg", JPEG_PLAIN, 3, HIGH, WIDE, stored);
        add_orientation("train/a/1.jpg", wrong, false);
        read_one(8, image);
        assert_quarters(image, "wrong");
    }
}

static void write_webp(const char *name, size_t cut) {
    uint8_t pixels[HIGH * WIDE * 3], *data = NULL;
    for (uint32_t i = 0; i < HIGH * WIDE * 3; i++)
        pixels[i] = (uint8_t)stored(i / 3 / WIDE, i / 3 % WIDE, i % 3);
    size_t n = WebPEncodeLosslessRGB(pixels, WIDE, HIGH, WIDE * 3, &data);
    FILE *file = create_file(folder_path, name);
    assert_true(n > cut && fwrite(data, 1, n - cut, file) == n - cut);
    assert_int_equal(fclose(file), 0);
    WebPFree(data);
}

/* Appends a chunk EXIF to a WebP file: TIFF data of n bytes, perhaps behind JPEG's mark. */
static void add_exif(const char *name, const uint8_t *tiff, uint32_t n, bool marked) {
    char path[FIXTURE_PATH + 40];
    uint8_t chunk[64] = "EXIF", size[4];
    uint32_t head = marked ? 6 : 0, bytes = n + head;
    memcpy(chunk + 8, "Exif\0", head);
    memcpy(chunk + 8 + head, tiff, n);
    for (int i = 0; i < 4; i++) chunk[4 + i] = (uint8_t)(bytes >> 8 * i);
    snprintf(path, sizeof path, "%s/%s", folder_path, name);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    assert_int_equal(fwrite(chunk, 8 + bytes + bytes % 2, 1, file), 1);
    uint32_t all = (uint32_t)ftell(file) - 8;
    for (int i = 0; i < 4; i++) size[i] = (uint8_t)(all >> 8 * i);
    fseek(file, 4, SEEK_SET);
    assert_int_equal(fwrite(size, 4, 1, file), 1);
    fclose(file);
}

/* Segments of a JPEG that are not Exif, and too short for it, turn nothing. */
static void test_other_segments(void **state) {
    (void)state;
    static const char *const segments[] = {"\xff\xe1\0\x0ahttp:/xy", "\xff\xe1\0\5abc"};
    static const size_t sizes[] = {12, 7};
    uint8_t data[8192], image[8 * 8 * 3];
    char path[2 * FIXTURE_PATH];
    turn = 1;
    path_of("train/a/1.jpg", path);
    for (int i = 0; i < 2; i++) {
        write_jpeg(folder_path, "train/a/1.jpg", JPEG_PLAIN, 3, HIGH, WIDE, stored);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        size_t n = fread(data, 1, sizeof data, file);
        fclose(file);
        file = fopen(path, "wb");
        assert_non_null(file);
        fwrite(data, 1, 2, file);
        fwrite(segments[i], 1, sizes[i], file);
        fwrite(data + 2, 1, n - 2, file);
        fclose(file);
        read_one(8, image);
        assert_quarters(image, "another segment");
    }
}

static void test_webp_orientations(void **state) {
    (void)state;
    /* One entry: another tag, then the orientation, a short. */
    uint8_t tiff[34] = {'I', 'I', '*', 0, 8, 0, 0, 0,    2, 0, 0x10, 1, 3, 0, 1,
                        0,   0,   0,   5, 0, 0, 0, 0x12, 1, 3, 0,    1, 0, 0, 0};
    uint8_t image[8 * 8 * 3];
    for (int marked = 0; marked < 2; marked++)
        for (turn = 1; turn <= 4; turn++) {
            tiff[30] = (uint8_t)turn;
            write_webp("train/a/1.webp", 0);
            add_exif("train/a/1.webp", tiff, sizeof tiff, marked);
            read_one(8, image);
            assert_quarters(image, "WebP with Exif");
        }
    turn = 1; /* what is damaged turns nothing */
    tiff[30] = 3;
    static const struct {
        int at;
        uint8_t value;
        uint32_t n;
    } cases[] = {{0, 'X', 34}, {1, 'M', 34}, {4, 200, 34}, {24, 4, 34},
                 {23, 2, 34},  {8, 0, 34},   {0, 'I', 30}, {0, 'I', 7}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t copy[sizeof tiff];
        memcpy(copy, tiff, sizeof tiff);
        copy[cases[i].at] = cases[i].value;
        write_webp("train/a/1.webp", 0);
        add_exif("train/a/1.webp", copy, cases[i].n, false);
        read_one(8, image);
        assert_quarters(image, "WebP with damaged Exif");
    }
}

static void test_webp(void **state) {
    (void)state;
    uint8_t image[8 * 8 * 3];
    turn = 1;
    write_webp("train/a/1.webp", 0);
    read_one(8, image);
    assert_quarters(image, "WebP");
    static const char *const heads[] = {"RIFF\4\0\0\0WEBPx", "RIFF\4\0\0\0WAVEx"};
    static const char *const says[] = {"no WebP image, or a damaged one",
                                       "neither a PNG nor a JPEG"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fixture_write(folder_path, "train/a/1.webp", heads[i], 13, false), 0);
        assert_unreadable("{'train': 'train', 'test': 'train', 'side': 8}", NAS_SPLIT_TRAIN, 1,
                          "1.webp", says[i]);
    }
    write_webp("train/a/1.webp", 5);
    assert_unreadable("{'train': 'train', 'test': 'train', 'side': 8}", NAS_SPLIT_TRAIN, 1,
                      "1.webp", "the WebP image is damaged");
    write_webp("train/a/1.webp", 0);
    assert_unreadable("{'train': 'train', 'test': 'train', 'side': 8, 'max_side': 15}",
                      NAS_SPLIT_TRAIN, 1, "1.webp", "20 x 12 pixels; expected sides of 1 to 15");
}

/* All bad files are told, or left out. */
static void test_bad_images(void **state) {
    (void)state;
    turn = 1;
    for (int i = 1; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "train/a/%d.png", i);
        write_png(folder_path, name, rgb8, HIGH, WIDE, quarters);
        snprintf(name, sizeof name, "train/a/bad%d.png", i);
        fclose(create_file(folder_path, name));
    }
    write_png(folder_path, "train/b/z.png", rgb8, HIGH, WIDE, quarters);
    assert_unreadable(
        "{'train': 'train', 'test': 'train', 'side': 8}", NAS_SPLIT_TRAIN, 7,
        "3 of 7 images cannot be read: ", "bad1.png: offset 0, row 0: the file is empty");
    instance in;
    uint64_t indices[7] = {0, 1, 2, 3, 4, 5, 6};
    uint8_t images[7 * 8 * 8 * 3];
    int32_t labels[7];
    open_good(&in, "{'train': 'train', 'test': 'train', 'side': 8}");
    assert_int_equal(api.read(in.self, NAS_SPLIT_TRAIN, indices, 7, images, NULL, &in.err),
                     NAS_ERR_INPUT);
    assert_non_null(strstr(in.logged, "bad3.png: "));
    assert_non_null(strstr(in.err.message, "set the option \"on_bad_image\" to \"skip\""));
    close_instance(&in);
    open_good(&in, "{'train': 'train', 'test': 'train', 'side': 8, 'on_bad_image': 'skip'}");
    nas_dataset_info info = info_of(&in);
    assert_int_equal(info.count[NAS_SPLIT_TRAIN], 4);
    assert_int_equal(info.skipped, 6); /* train and test */
    if (api.read(in.self, NAS_SPLIT_TRAIN, indices, 4, images, labels, &in.err))
        fail_msg("%s", in.err.message);
    assert_true(labels[2] == 0 && labels[3] == 1);
    assert_quarters(images + 3 * 8 * 8 * 3, "kept");
    close_instance(&in);
}

#define IN_CLASSES(test) cmocka_unit_test_setup_teardown(test, make_classes, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_CLASSES(test_jpegs_of_any_size),
        IN_CLASSES(test_orientations),
        IN_CLASSES(test_webp),
        IN_CLASSES(test_webp_orientations),
        IN_CLASSES(test_other_segments),
        IN_CLASSES(test_bad_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
