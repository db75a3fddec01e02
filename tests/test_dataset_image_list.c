/* Plugin image_list: lists of files and labels, and what it says of lists that are wrong. */
#include "../plugins/datasets/image_list/image_list.c"

#include "dataset_harness.h"
#include "image_files.h"
#include "recognise.h"

static const png_kind rgb8 = {PNG_COLOR_TYPE_RGB, 8, 0, -1};
static uint32_t shade;

static uint32_t plain(uint32_t y, uint32_t x, uint32_t c) {
    (void)y, (void)x, (void)c;
    return shade;
}

/* Images of one grey level each: a.png 10, b.png 20, ... f.png 60. */
static int make_images(void **state) {
    if (make_folder(state)) return -1;
    for (char name[] = "photos/a.png"; name[7] < 'g'; name[7]++) {
        shade = 10 * (uint32_t)(name[7] - 'a' + 1);
        write_png(folder_path, name, rgb8, 9, 9, plain);
    }
    return 0;
}

static void list(const char *name, const char *text) {
    assert_int_equal(fixture_write(folder_path, name, text, strlen(text), false), 0);
}

#define LISTS "{'train': 'photos/train.csv', 'test': 'photos/test.csv', 'side': 8, 'channels': 1}"

static void assert_images(const instance *in, nas_split split, size_t n, const uint8_t *shades,
                          const int32_t *expected) {
    uint64_t indices[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    uint8_t images[8 * 64];
    int32_t labels[8];
    nas_error err;
    assert_int_equal(info_of(in).count[split], n);
    if (api.read(in->self, split, indices, n, images, labels, &err)) fail_msg("%s", err.message);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(images[i * 64 + 9], shades[i]);
        assert_int_equal(labels[i], expected[i]);
    }
}

/* With a heading, quotes, blanks, both kinds of line ends, a mark, and files without a label. */
static void test_lists(void **state) {
    (void)state;
    list("photos/train.csv",
         "\xEF\xBB\xBF"
         "file,label\r\n\"a.png\",\"big \"\"dog\"\"\"\r\nb.png , cat\n\nc.png,\n"
         "d.png,cat");
    list("photos/test.csv", "e.png,cat\n");
    instance in;
    open_good(&in, LISTS);
    nas_dataset_info info = info_of(&in);
    assert_int_equal(info.classes, 2);
    assert_string_equal(info.class_names[0], "big \"dog\"");
    assert_string_equal(info.class_names[1], "cat");
    assert_images(&in, NAS_SPLIT_TRAIN, 3, (uint8_t[]){10, 20, 40}, (int32_t[]){0, 1, 1});
    assert_images(&in, NAS_SPLIT_TEST, 1, (uint8_t[]){50}, (int32_t[]){1});
    assert_images(&in, NAS_SPLIT_EXTRA, 1, (uint8_t[]){30}, (int32_t[]){-1});
    uint64_t before = api.fingerprint(in.self, NAS_SPLIT_TRAIN);
    close_instance(&in);
    list("photos/train.csv", "a.png,cat\nb.png,cat\nd.png,big \"dog\"\n");
    open_good(&in, LISTS);
    assert_true(api.fingerprint(in.self, NAS_SPLIT_TRAIN) != before);
    close_instance(&in);
}

/* Numbers are classes in their order; names are relative to a folder of one's own. */
static void test_numbers_and_root(void **state) {
    (void)state;
    list("list.csv", "a.png,10\nb.png,2\nc.png,2\nd.png,0\n");
    list("more.csv", "e.png\nf.png\n");
    instance in;
    open_good(&in, "{'train': 'list.csv', 'test': 'list.csv', 'unlabelled': 'more.csv', 'root': "
                   "'photos', 'side': 8, 'channels': 1}");
    nas_dataset_info info = info_of(&in);
    assert_string_equal(info.class_names[1], "2");
    assert_string_equal(info.class_names[2], "10");
    assert_images(&in, NAS_SPLIT_TRAIN, 4, (uint8_t[]){10, 20, 30, 40}, (int32_t[]){2, 1, 1, 0});
    assert_images(&in, NAS_SPLIT_EXTRA, 2, (uint8_t[]){50, 60}, (int32_t[]){-1, -1});
    close_instance(&in);
    open_good(&in, "{'train': 'list.csv', 'test': 'list.csv', 'unlabelled': 'photos', 'root': "
                   "'photos', 'side': 8}");
    assert_int_equal(info_of(&in).count[NAS_SPLIT_EXTRA], 6);
    close_instance(&in);
}

/* Numbers are numbers, however they are written. */
static void test_zeros_before_numbers(void **state) {
    (void)state;
    list("photos/train.csv", "a.png,01\nb.png,1\nc.png,000000000012\nd.png,2\n");
    list("photos/test.csv", "e.png,12\nf.png,0001\n");
    instance in;
    open_good(&in, LISTS);
    nas_dataset_info info = info_of(&in);
    assert_int_equal(info.classes, 3);
    assert_string_equal(info.class_names[0], "1");
    assert_images(&in, NAS_SPLIT_TRAIN, 4, (uint8_t[]){10, 20, 30, 40}, (int32_t[]){0, 0, 2, 1});
    assert_images(&in, NAS_SPLIT_TEST, 2, (uint8_t[]){50, 60}, (int32_t[]){2, 0});
    close_instance(&in);
}

/* Without a test list some are set apart, by their names alone, and each class keeps an image. */
static void test_share_for_test(void **state) {
    (void)state;
    list("photos/train.csv", "a.png,x\nb.png,x\nc.png,y\nd.png,y\ne.png,z\nf.png,z\n");
    instance in;
    open_good(&in, "{'train': 'photos/train.csv', 'test_share': 0.5, 'side': 8}");
    nas_dataset_info info = info_of(&in);
    assert_int_equal(info.count[NAS_SPLIT_TRAIN] + info.count[NAS_SPLIT_TEST], 6);
    assert_in_range(info.count[NAS_SPLIT_TRAIN], 3, 5);
    close_instance(&in);
}

static void test_wrong_lists(void **state) {
    (void)state;
    static const struct {
        const char *train, *test, *says;
    } cases[] = {
        {"a.png,x\nb.png,y\n", "c.png,z\n", "test.csv: line 1: label \"z\": expected one of"},
        {"a.png,x\nb.png,y\n", "c.png\n", "test.csv: line 1: label \"\": expected one of"},
        {"a.png,x\nnone.png,y\n", "c.png,x\n", "train.csv: line 2: there is no file /"},
        {"a.png,x\nb.png,x\n", "c.png,x\n", "expected labels of at least two classes, found 1"},
        {"", "c.png,x\n", "expected labels of at least two classes, found 0"},
        {"a.png,x,1\nb.png,y\n", "c.png,x\n", "train.csv: line 1: more than two fields"},
        {"a.png,x\n\"b.png,y\n", "c.png,x\n", "train.csv: line 2: a quote that is not closed"},
        {"a.png,x\n\"b.png\"z,y\n", "c.png,x\n", "train.csv: line 2: expected a comma after"},
        {"a.png,x\n,y\n", "c.png,x\n", "train.csv: line 2: no file"},
        {"a.png,x\nb.png,y\n", "file,label\n", "test.csv: no test image"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        list("photos/train.csv", cases[i].train);
        list("photos/test.csv", cases[i].test);
        assert_refused(LISTS, cases[i].says, "");
    }
    static const char good[] = "a.png,x\nb.png,y\n";
    char text[2 * FIXTURE_PATH];
    list("photos/test.csv", "c.png,x\n");
    list("photos/train.csv", good);
    assert_refused("{'train': 'photos/train.csv', 'side': 8, 'channels': 2}", "option \"channels\"",
                   "expected 1 or 3, found 2");
    assert_refused("{'train': 'photos/train.csv', 'test': 'photos/test.csv', 'unlabelled': "
                   "'none.csv', 'side': 8}",
                   "none.csv: no such file", "");
    assert_refused("{'train': 'photos/train.csv', 'test_share': 0.001, 'side': 8}",
                   "train.csv: no test image", "test_share");
    list("photos/more.csv", "");
    assert_refused("{'train': 'photos/train.csv', 'test': 'photos/test.csv', 'unlabelled': "
                   "'photos/more.csv', 'side': 8}",
                   "more.csv: no .png, .jpg, .jpeg or .webp file in it", "");
    list("photos/train.csv", "a.png,x\n.,y\n");
    assert_refused(LISTS, "train.csv: line 2: there is no file", "");
    snprintf(text, sizeof text, "%s/photos/a.png,x\nb.png,y\n", folder_path);
    list("photos/train.csv", text); /* an absolute name */
    instance in;
    open_good(&in, "{'train': 'photos/train.csv', 'test': 'photos/test.csv', 'side': 8, "
                   "'on_bad_image': 'skip'}");
    assert_int_equal(info_of(&in).count[NAS_SPLIT_TRAIN], 2);
    assert_ptr_equal(plugin.extension(in.self, NAS_EXT_PHOTO), &nas_image_photos);
    close_instance(&in);
    assert_refused("{'train': 'no.csv', 'side': 8}", "no.csv: no such file",
                   "expected a CSV file of FILE,LABEL");
}

static void test_recognises(void **state) {
    (void)state;
    char path[2 * FIXTURE_PATH];
    snprintf(path, sizeof path, "%s/photos", folder_path);
    assert_null(recognise(path));
    list("photos/train.csv", "name,price\nx,3\n");
    assert_null(recognise(path));
    list("photos/train.csv", "file,label\na.png,x\nb.png,y\n");
    list("photos/valid.csv", "c.png,x\n");
    recognised(path, "{'train': '@/train.csv', 'test': '@/valid.csv', 'side': 8}");
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_images, remove_folder)

static void test_failing_calls(void **state) {
    (void)state;
    list("photos/train.csv", "a.png,x\nb.png,y\nc.png,x\nd.png,y\n");
    list("photos/test.csv", "e.png,x\nf.png,y\n");
    assert_survives("{'train': 'photos/train.csv', 'test': 'photos/test.csv', 'unlabelled': "
                    "'photos', 'side': 8, 'channels': 1}",
                    NULL);
}

int main(void) {
    failing_start();
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_failing_calls),
        cmocka_unit_test(test_table_is_sound),
        IN_FOLDER(test_lists),
        IN_FOLDER(test_zeros_before_numbers),
        IN_FOLDER(test_numbers_and_root),
        IN_FOLDER(test_share_for_test),
        IN_FOLDER(test_wrong_lists),
        IN_FOLDER(test_recognises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
