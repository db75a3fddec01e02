/* Plugin cifar: what it reads, and what it says of files that are wrong. */
#include "../plugins/datasets/cifar.c"

#include "dataset_harness.h"
#include "recognise.h"

#include <unistd.h>

enum { A_BATCH = 4, A_TEST = 3, A_TRAIN = 100 }; /* records of the files below */
enum { REC10 = 1 + PIXELS, REC100 = 2 + PIXELS };

static uint8_t pixel(int file, int record, int channel, int place) {
    return (uint8_t)(file * 50 + record * 7 + channel * 80 + place * 3);
}

/* Writes n records with the labels first + i, of which CIFAR-100 has two. */
static void write_file(const char *name, int file, int n, int n_labels, int first) {
    size_t bytes = (size_t)n_labels + PIXELS;
    uint8_t *records = malloc((size_t)n * bytes);
    assert_non_null(records);
    for (int i = 0; i < n; i++) {
        uint8_t *record = records + (size_t)i * bytes;
        record[0] = (uint8_t)((first + i) % (n_labels == 1 ? 10 : 20));
        if (n_labels == 2) record[1] = (uint8_t)((first + i) % 100);
        for (int c = 0; c < 3; c++)
            for (int p = 0; p < PLANE; p++) record[n_labels + c * PLANE + p] = pixel(file, i, c, p);
    }
    assert_int_equal(fixture_write(folder_path, name, records, (size_t)n * bytes, false), 0);
    free(records);
}

static void write_text(const char *name, const char *text) {
    assert_int_equal(fixture_write(folder_path, name, text, strlen(text), false), 0);
}

static int make_cifar_10(void **state) {
    if (make_folder(state)) return -1;
    for (int f = 0; f < 5; f++) write_file(variants[0].files[f], f, A_BATCH, 1, f * A_BATCH);
    write_file("test_batch.bin", 5, A_TEST, 1, 7);
    write_text("batches.meta.txt", "airplane\nautomobile\r\nbird\ncat\ndeer\ndog\nfrog\nhorse\n"
                                   "ship\ntruck\n\n");
    return 0;
}

static int make_cifar_100(void **state) {
    if (make_folder(state)) return -1;
    write_file("train.bin", 0, A_TRAIN, 2, 0);
    write_file("test.bin", 1, A_TEST, 2, 37);
    return 0;
}

static void check_image(const uint8_t *image, int file, int record) {
    for (int p = 0; p < PLANE; p++)
        for (int c = 0; c < 3; c++) assert_int_equal(image[3 * p + c], pixel(file, record, c, p));
}

static void test_cifar_10(void **state) {
    (void)state;
    instance in;
    open_good(&in, "{'folder': '.'}");
    nas_dataset_info info = info_of(&in);
    assert_int_equal(info.height, 32);
    assert_int_equal(info.width, 32);
    assert_int_equal(info.channels, 3);
    assert_int_equal(info.classes, 10);
    assert_int_equal(info.count[NAS_SPLIT_TRAIN], 5 * A_BATCH);
    assert_int_equal(info.count[NAS_SPLIT_TEST], A_TEST);
    assert_int_equal(info.count[NAS_SPLIT_EXTRA], 0);
    assert_string_equal(info.class_names[1], "automobile");
    assert_string_equal(info.class_names[9], "truck");
    assert_true(info.flip);
    static uint8_t images[4 * PIXELS];
    int32_t labels[4];
    const uint64_t order[4] = {3, 19, 4, 4}; /* over files' borders, backwards, again */
    assert_int_equal(api.read(in.self, NAS_SPLIT_TRAIN, order, 4, images, labels, NULL), 0);
    for (int i = 0; i < 4; i++) {
        check_image(images + i * PIXELS, (int)order[i] / A_BATCH, (int)order[i] % A_BATCH);
        assert_int_equal(labels[i], (int)order[i] % 10);
    }
    assert_int_equal(api.read(in.self, NAS_SPLIT_TEST, (uint64_t[]){2}, 1, images, labels, NULL),
                     0);
    check_image(images, 5, 2);
    assert_int_equal(labels[0], 9);
    assert_int_equal(api.read(in.self, NAS_SPLIT_TRAIN, order, 1, images, NULL, NULL), 0);
    close_instance(&in);
}

static void test_cifar_100(void **state) {
    (void)state;
    static uint8_t image[PIXELS];
    int32_t label;
    const uint64_t at = 45;
    instance in;
    open_good(&in, "{'folder': '.', 'classes': '100-fine'}");
    assert_int_equal(info_of(&in).classes, 100);
    assert_null(info_of(&in).class_names);
    assert_int_equal(api.read(in.self, NAS_SPLIT_TRAIN, &at, 1, image, &label, NULL), NAS_OK);
    assert_int_equal(label, 45);
    check_image(image, 0, 45);
    close_instance(&in);
    open_good(&in, "{'folder': '.', 'classes': '100-coarse'}");
    assert_int_equal(info_of(&in).classes, 20);
    assert_int_equal(info_of(&in).count[NAS_SPLIT_TRAIN], A_TRAIN);
    assert_int_equal(api.read(in.self, NAS_SPLIT_TRAIN, &at, 1, image, &label, NULL), NAS_OK);
    assert_int_equal(label, 5);
    close_instance(&in);
}

static void test_the_host_accepts_it(void **state) {
    (void)state;
    instance in;
    nas_source source;
    open_good(&in, "{'folder': '.'}");
    if (nas_source_open(&api, in.self, &source, &in.err)) fail_msg("%s", in.err.message);
    nas_source_close(&source);
    close_instance(&in);
}

static void test_read_checks_what_is_asked(void **state) {
    (void)state;
    static uint8_t image[PIXELS];
    instance in;
    open_good(&in, "{'folder': '.'}");
    const uint64_t beyond[NAS_SPLITS] = {5 * A_BATCH, A_TEST, 0};
    for (int s = 0; s < NAS_SPLITS; s++) {
        assert_int_equal(api.read(in.self, (nas_split)s, &beyond[s], 1, image, NULL, &in.err),
                         NAS_ERR_PLUGIN);
        assert_says(&in.err, "was asked for, of a split of", "");
    }
    close_instance(&in);
}

/* Changes one byte of a file, then its length. */
static void damage(const char *name, long offset, int byte, long grow) {
    char path[2 * FIXTURE_PATH];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", folder_path, name);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    if (byte >= 0) {
        fseek(file, offset, SEEK_SET);
        fputc(byte, file);
    }
    fclose(file);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(truncate(path, status.st_size + grow), 0);
}

/* A copy that was cut between two records looks like a smaller data set. */
static void test_a_subset_is_told(void **state) {
    (void)state;
    instance in;
    damage("data_batch_4.bin", 0, -1, -REC10);
    open_good(&in, "{'folder': '.'}");
    assert_int_equal(info_of(&in).count[NAS_SPLIT_TRAIN], 19);
    assert_non_null(
        strstr(in.logged, "19 training images, where the published data set has 50000"));
    close_instance(&in);
}

typedef struct fault {
    const char *classes, *file;
    long offset;
    int byte; /* -1: none is changed */
    long grow;
    const char *says;
} fault;

static const fault faults[] = {
    {"10", "data_batch_3.bin", 0, -1, -1,
     "expected a whole number of records of 3073 bytes; found 12291 bytes: 3 records and 3072 "},
    {"10", "data_batch_3.bin", 0, -1, 1, "4 records and 1 bytes more"},
    {"10", "data_batch_1.bin", 0, -1, -A_BATCH *REC10, "found 0 bytes"},
    {"10", "test_batch.bin", 0, -1, -7, "found 9212 bytes"},
    {"10", "data_batch_5.bin", 2 * REC10, 10, 0,
     "offset 6146: expected a label of 0 to 9, found 10; is this the file of CIFAR-10"},
    {"100-fine", "train.bin", 5 * REC100 + 1, 100, 0,
     "offset 15371: expected a fine label of 0 to 99, found 100"},
    {"100-fine", "train.bin", 5 * REC100, 20, 0,
     "offset 15370: expected a coarse label of 0 to 19"},
    {"100-coarse", "train.bin", 0, -1, -1, "records of 3074 bytes; found 307399 bytes"},
};

static void test_faults_are_named(void **state) {
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        const fault *f = &faults[i];
        char text[100];
        if (f->classes[2] ? make_cifar_100(state) : make_cifar_10(state)) fail();
        damage(f->file, f->offset, f->byte, f->grow);
        snprintf(text, sizeof text, "{'folder': '.', 'classes': '%s'}", f->classes);
        assert_refused(text, f->file, f->says);
        remove_folder(state);
    }
    make_folder(state);
}

static void test_an_empty_class_is_named(void **state) {
    (void)state;
    for (int f = 0; f < 5; f++) {
        write_file(variants[0].files[f], f, A_BATCH, 1, 0);
        damage(variants[0].files[f], 3 * REC10, 5, 0);
    }
    assert_refused("{'folder': '.'}", folder_path,
                   "no training image has label 3; expected all of 0 to 9");
}

/* Test labels are looked at when test images are asked for, and not before. */
static void test_wrong_test_label(void **state) {
    (void)state;
    damage("test_batch.bin", REC10, 77, 0);
    assert_unreadable("{'folder': '.'}", NAS_SPLIT_TEST, 2, "test_batch.bin",
                      "offset 3073: expected a label of 0 to 9, found 77");
}

static void test_a_file_that_shrinks(void **state) {
    (void)state;
    static uint8_t image[PIXELS];
    instance in;
    open_good(&in, "{'folder': '.'}");
    damage("test_batch.bin", 0, -1, -REC10);
    const uint64_t last = A_TEST - 1;
    assert_int_equal(api.read(in.self, NAS_SPLIT_TEST, &last, 1, image, NULL, &in.err), NAS_ERR_IO);
    assert_says(&in.err, "test_batch.bin: offset 6146", "became shorter during the run");
    close_instance(&in);
}

static void test_missing_and_strange_files(void **state) {
    (void)state;
    char path[2 * FIXTURE_PATH];
    assert_refused("{'folder': '.', 'classes': '100-fine'}", "train.bin: no such file",
                   "\"classes\", now \"100-fine\"");
    snprintf(path, sizeof path, "%s/./data_batch_2.bin", folder_path);
    remove(path);
    assert_refused("{'folder': '.'}", path, "no such file; check the options \"folder\"");
    mkdir(path, 0700);
    assert_refused("{'folder': '.'}", path, "expected a file");
    rmdir(path);
    mkfifo(path, 0600); /* opening it would wait for ever */
    assert_refused("{'folder': '.'}", path, "expected a file");
}

static void test_wrong_names(void **state) {
    (void)state;
    write_text("batches.meta.txt", "a\nb\nc\n");
    assert_refused("{'folder': '.'}", "batches.meta.txt",
                   "expected 10 lines, a class name each; found 3");
    write_text("batches.meta.txt", "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11");
    assert_refused("{'folder': '.'}", "batches.meta.txt", "found 11");
    assert_int_equal(fixture_write(folder_path, "batches.meta.txt", "a\0b", 3, false), 0);
    assert_refused("{'folder': '.'}", "batches.meta.txt", "expected a short text");
}

#define WITH_10(test) cmocka_unit_test_setup_teardown(test, make_cifar_10, remove_folder)
static void test_recognises_10(void **state) {
    (void)state;
    recognised(folder_path, "{'folder': '@', 'classes': '10'}");
    damage("test_batch.bin", 0, -1, 1);
    assert_null(recognise(folder_path));
}

static void test_recognises_100(void **state) {
    (void)state;
    recognised(folder_path, "{'folder': '@', 'classes': '100-fine'}");
    char path[2 * FIXTURE_PATH];
    snprintf(path, sizeof path, "%s/train.bin", folder_path);
    assert_int_equal(unlink(path), 0);
    assert_null(recognise(folder_path));
}

#define WITH_100(test) cmocka_unit_test_setup_teardown(test, make_cifar_100, remove_folder)

static void test_failing_calls(void **state) {
    (void)state;
    assert_survives("{'folder': '.'}", NULL);
}

int main(void) {
    failing_start();
    const struct CMUnitTest tests[] = {
        WITH_10(test_failing_calls),
        cmocka_unit_test(test_table_is_sound),
        WITH_10(test_recognises_10),
        WITH_100(test_recognises_100),
        WITH_10(test_cifar_10),
        WITH_100(test_cifar_100),
        WITH_10(test_the_host_accepts_it),
        WITH_10(test_a_subset_is_told),
        WITH_10(test_read_checks_what_is_asked),
        cmocka_unit_test_teardown(test_faults_are_named, remove_folder),
        WITH_10(test_an_empty_class_is_named),
        WITH_10(test_wrong_test_label),
        WITH_10(test_a_file_that_shrinks),
        WITH_10(test_missing_and_strange_files),
        WITH_10(test_wrong_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
