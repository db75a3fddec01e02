/* Plugin idx: what it reads, and what it says of files that are wrong. */
#include "../plugins/datasets/idx.c"

#include "data/source.h"
#include "fixture.h"
#include "host/options.h"
#include "recognise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "failing.h"

#define FASHION "/usr/share/datasets/fashion-mnist"

enum { N_TRAIN = 20, N_TEST = 10, SIDE = 6, CLASSES = 5 };

static const char *const file_names[FILES] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                              "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};
static char folder[FIXTURE_PATH];

static int setup(void **state) {
    (void)state;
    return fixture_idx_folder(folder, N_TRAIN, N_TEST, SIDE, CLASSES);
}

static int teardown(void **state) {
    (void)state;
    fixture_remove(folder);
    return 0;
}

/* An instance, as the host makes it from the options of a pipeline. */
typedef struct instance {
    idx_config config;
    json_t *resolved;
    void *self;
    nas_error err;
} instance;

/* more: further options as JSON text, after a comma; "" for none. Returns create's result. */
static int open_with(instance *in, const char *more) {
    char text[2 * FIXTURE_PATH];
    snprintf(text, sizeof text, "{\"folder\": \"%s\"%s}", folder, more);
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    *in = (instance){0};
    nas_place place = {"pipeline.json", "data.options", "/"};
    if (nas_options_parse(plugin.options, plugin.option_size, json, NULL, &place, &in->config,
                          &in->resolved, &in->err))
        fail_msg("%s", in->err.message);
    json_decref(json);
    return plugin.create(NULL, &in->config, &in->self, &in->err);
}

static void open_good(instance *in, const char *more) {
    if (open_with(in, more)) fail_msg("%s", in->err.message);
}

static void close_instance(instance *in) {
    plugin.destroy(in->self);
    json_decref(in->resolved);
}

static void path_of(int which, const char *suffix, char path[2 * FIXTURE_PATH]) {
    snprintf(path, 2 * FIXTURE_PATH, "%s/%s%s", folder, file_names[which], suffix);
}

/* Reads a file of the folder; returns its length. */
static size_t load_raw(int which, uint8_t *bytes, size_t limit) {
    char path[2 * FIXTURE_PATH];
    path_of(which, "", path);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t n = fread(bytes, 1, limit, file);
    fclose(file);
    return n;
}

/* Writes a file anew, plain or as .gz, in place of what was there. */
static void store(int which, const uint8_t *bytes, size_t n, bool gzip) {
    char path[2 * FIXTURE_PATH], name[64];
    path_of(which, "", path);
    remove(path);
    snprintf(name, sizeof name, "%s%s", file_names[which], gzip ? ".gz" : "");
    assert_int_equal(fixture_write(folder, name, bytes, n, gzip), 0);
}

static void pack(int which) {
    uint8_t bytes[2048];
    store(which, bytes, load_raw(which, bytes, sizeof bytes), true);
}

static void test_table_is_sound(void **state) {
    (void)state;
    nas_error err = {0};
    if (nas_options_check(plugin.options, plugin.option_size, plugin.config_size, "idx", &err))
        fail_msg("%s", err.message);
    for (int i = 0; i < FILES; i++) /* the order that messages rely on */
        assert_int_equal(options[1 + i].offset, offsetof(idx_config, names[i]));
}

static void check_content(const instance *in) {
    nas_dataset_info info = {.size = sizeof info};
    assert_int_equal(api.info(in->self, &info, NULL), NAS_OK);
    assert_int_equal(info.height, SIDE);
    assert_int_equal(info.width, SIDE);
    assert_int_equal(info.channels, 1);
    assert_int_equal(info.classes, CLASSES);
    assert_int_equal(info.count[NAS_SPLIT_TRAIN], N_TRAIN);
    assert_int_equal(info.count[NAS_SPLIT_TEST], N_TEST);
    assert_int_equal(info.count[NAS_SPLIT_EXTRA], 0);
    const uint64_t order[4] = {7, 0, 9, 7};
    for (int split = NAS_SPLIT_TRAIN; split <= NAS_SPLIT_TEST; split++) {
        uint8_t images[4 * SIDE * SIDE];
        int32_t labels[4];
        assert_int_equal(api.read(in->self, (nas_split)split, order, 4, images, labels, NULL), 0);
        for (uint64_t i = 0; i < 4; i++) {
            uint8_t expected[SIDE * SIDE];
            nas_rng rng = nas_rng_open(1, NAS_RNG_TEST, (uint64_t)split, order[i]);
            fixture_blob(expected, SIDE, (uint32_t)order[i] % CLASSES, CLASSES, &rng);
            assert_memory_equal(images + i * SIDE * SIDE, expected, SIDE * SIDE);
            assert_int_equal(labels[i], (int)order[i] % CLASSES);
        }
    }
}

static void test_reads_plain_and_gzip(void **state) {
    (void)state;
    for (int gzip = 0; gzip < 2; gzip++) {
        for (int i = 0; i < FILES && gzip; i++) pack(i);
        instance in;
        open_good(&in, "");
        check_content(&in);
        close_instance(&in);
    }
}

static void test_other_names(void **state) {
    (void)state;
    char from[2 * FIXTURE_PATH], to[2 * FIXTURE_PATH];
    path_of(TRAIN_LABELS, "", from);
    snprintf(to, sizeof to, "%s/mine.idx", folder);
    assert_int_equal(rename(from, to), 0);
    instance in;
    open_good(&in, ", \"train_labels\": \"mine.idx\", \"flip\": false");
    check_content(&in);
    nas_dataset_info info = {.size = sizeof info};
    assert_int_equal(api.info(in.self, &info, NULL), NAS_OK);
    assert_false(info.flip);
    assert_null(info.class_names);
    close_instance(&in);
}

static void test_class_names(void **state) {
    (void)state;
    instance in;
    open_good(&in, ", \"class_names\": \"T-shirt/top, b ,c,Ankle boot,e\"");
    nas_dataset_info info = {.size = sizeof info};
    assert_int_equal(api.info(in.self, &info, NULL), NAS_OK);
    assert_string_equal(info.class_names[0], "T-shirt/top");
    assert_string_equal(info.class_names[1], "b");
    assert_string_equal(info.class_names[3], "Ankle boot");
    assert_true(info.flip);
    close_instance(&in);
    static const char *const bad[][2] = {
        {", \"class_names\": \"a,b,c,d\"", "expected 5 names"},
        {", \"class_names\": \"a,b,c,d,e,f\"", "found 6"},
        {", \"class_names\": \"a,b,,d,e\"", "name 2 is empty"},
    };
    for (int i = 0; i < 3; i++) {
        assert_int_equal(open_with(&in, bad[i][0]), NAS_ERR_INPUT);
        assert_non_null(strstr(in.err.message, bad[i][1]));
        assert_null(in.self);
        close_instance(&in);
    }
}

static void test_read_checks_what_is_asked(void **state) {
    (void)state;
    instance in;
    open_good(&in, "");
    uint8_t image[SIDE * SIDE];
    uint64_t beyond = N_TEST;
    nas_error err = {0};
    assert_int_equal(api.read(in.self, NAS_SPLIT_TRAIN, &beyond, 1, image, NULL, &err), NAS_OK);
    assert_int_not_equal(api.read(in.self, NAS_SPLIT_TEST, &beyond, 1, image, NULL, &err), NAS_OK);
    assert_non_null(strstr(err.message, "image 10 was asked for, of a split of 10"));
    beyond = 0;
    assert_int_not_equal(api.read(in.self, NAS_SPLIT_EXTRA, &beyond, 1, image, NULL, &err), NAS_OK);
    assert_int_equal(api.read(in.self, NAS_SPLIT_EXTRA, NULL, 0, NULL, NULL, &err), NAS_OK);
    close_instance(&in);
}

/* Writes a file's numbers anew in another type, big-endian; the last one plus `more`. */
static void retype(int which, uint32_t type, uint32_t width, double more, bool gzip) {
    static uint8_t bytes[2048], wide[8 * 2048];
    size_t n = load_raw(which, bytes, sizeof bytes), head = which % 2 ? 8 : 16;
    memcpy(wide, bytes, head);
    wide[2] = (uint8_t)type;
    for (size_t i = head; i < n; i++) {
        double x = bytes[i] + (i + 1 == n ? more : 0);
        float single = (float)x;
        uint64_t bits = type == F32 || type == F64 ? 0 : (uint64_t)(int64_t)x;
        uint32_t low;
        memcpy(&low, &single, sizeof low);
        if (type == F32) bits = low;
        if (type == F64) memcpy(&bits, &x, sizeof bits);
        for (uint32_t k = 0; k < width; k++)
            wide[head + (i - head) * width + k] = (uint8_t)(bits >> 8 * (width - 1 - k));
    }
    store(which, wide, head + (n - head) * width, gzip);
}

static void renew(void) {
    fixture_remove(folder);
    assert_int_equal(fixture_idx_folder(folder, N_TRAIN, N_TEST, SIDE, CLASSES), 0);
}

static void test_other_types(void **state) {
    (void)state;
    static const uint32_t kinds[][2] = {{I16, 2}, {I32, 4}, {F32, 4}, {F64, 8}};
    for (size_t t = 0; t < sizeof kinds / sizeof *kinds; t++)
        for (int gzip = 0; gzip < 2; gzip++) {
            renew();
            for (int i = 0; i < FILES; i++) retype(i, kinds[t][0], kinds[t][1], 0, gzip);
            instance in;
            open_good(&in, "");
            check_content(&in);
            close_instance(&in);
        }
    renew();
    retype(TRAIN_LABELS, I8, 1, 0, false);
    instance in;
    open_good(&in, "");
    check_content(&in);
    close_instance(&in);
}

static void assert_not_whole(uint32_t type, uint32_t width, double more) {
    instance in;
    renew();
    retype(TRAIN_IMAGES, type, width, more, false);
    assert_int_equal(open_with(&in, ""), NAS_ERR_INPUT);
    assert_non_null(strstr(in.err.message, "expected whole numbers of 0 to 255"));
    json_decref(in.resolved);
}

static void test_numbers_that_are_no_bytes(void **state) {
    (void)state;
    assert_not_whole(I16, 2, 256);
    assert_not_whole(I32, 4, -300);
    assert_not_whole(F32, 4, 0.5);
    assert_not_whole(F32, 4, NAN);
    assert_not_whole(F64, 8, INFINITY);
}

/* One fault: a 32-bit word written into the file, its length changed, then perhaps packed and cut.
 */
typedef struct fault {
    int file;
    int offset; /* -1: no word */
    uint32_t word;
    int grow; /* bytes more (or fewer, negative) */
    bool gzip;
    int cut; /* bytes off the .gz file's end */
    const char *says;
} fault;

static void make(const fault *f) {
    uint8_t bytes[2048] = {0};
    size_t n = load_raw(f->file, bytes, sizeof bytes - 64);
    for (int i = 0; i < 4 && f->offset >= 0; i++)
        bytes[f->offset + i] = (uint8_t)(f->word >> (24 - 8 * i));
    store(f->file, bytes, (size_t)((int)n + f->grow), f->gzip);
    if (!f->cut) return;
    char path[2 * FIXTURE_PATH];
    struct stat status;
    path_of(f->file, ".gz", path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(truncate(path, status.st_size - f->cut), 0);
}

/* Header 16 or 8 bytes; 20 * 36 and 20 bytes follow in training, half as many in test files. */
static const fault faults[] = {
    {TRAIN_IMAGES, 0, 0x801, 0, false, 0,
     "offset 0: expected images, found labels; are the options \"train_images\" and "
     "\"train_labels\" swapped?"},
    {TRAIN_LABELS, 0, 0x803, 0, false, 0, "\"train_labels\" and \"train_images\" swapped?"},
    {TEST_LABELS, 0, 0x803, 0, true, 0, "\"test_labels\" and \"test_images\" swapped?"},
    {TRAIN_IMAGES, 0, 0x3c68746d, 0, false, 0,
     "offset 0: expected magic number 0x00000803, found 0x3c68746d"},
    {TRAIN_IMAGES, 4, 0, 0, false, 0, "offset 4: it holds no items"},
    {TRAIN_IMAGES, 8, 0, 0, false, 0, "offset 8: images of 0 x 6"},
    {TRAIN_IMAGES, 12, 4097, 0, false, 0, "offset 8: images of 6 x 4097"},
    {TRAIN_IMAGES, 4, 0xffffffff, 0, false, 0, "truncated: expected 154618822636 bytes, found 736"},
    {TRAIN_IMAGES, 4, 0xffffffff, 0, true, 0, "truncated: expected 154618822636 bytes"},
    {TRAIN_IMAGES, -1, 0, -1, false, 0, "truncated: expected 736 bytes, found 735"},
    {TRAIN_IMAGES, -1, 0, -1, true, 0, "truncated: expected 736 bytes, found 735"},
    {TRAIN_IMAGES, -1, 0, 3, false, 0, "offset 736: expected the end of the file, found 3 more"},
    {TRAIN_IMAGES, -1, 0, 3, true, 0, "offset 736: expected the end of the file, found more"},
    {TRAIN_IMAGES, -1, 0, 0, true, 100, "truncated: expected 736 bytes, found "},
    {TRAIN_IMAGES, -1, 0, 0, true, 3, "offset 736: the end of the gzip data is missing"},
    {TRAIN_IMAGES, -1, 0, -724, false, 0, "truncated: expected 16 bytes, found 12"},
    {TRAIN_IMAGES, -1, 0, -736, false, 0, "truncated: expected 8 bytes, found 0"},
    {TRAIN_LABELS, 4, 21, 1, false, 0, "offset 4: expected as many labels as "},
    {TRAIN_LABELS, -1, 0, -1, true, 0, "truncated: expected 28 bytes, found 27"},
    {TEST_IMAGES, 8, 5, -60, false, 0, "offset 8: expected test images of 6 x 6"},
    {TEST_IMAGES, -1, 0, -9, false, 0, "truncated: expected 376 bytes, found 367"},
    {TEST_LABELS, 4, 9, -1, false, 0, "offset 4: expected as many labels as "},
};

static void test_faults_are_named(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        assert_int_equal(fixture_idx_folder(folder, N_TRAIN, N_TEST, SIDE, CLASSES), 0);
        make(&faults[i]);
        instance in;
        if (open_with(&in, "") != NAS_ERR_INPUT || !strstr(in.err.message, faults[i].says) ||
            !strstr(in.err.message, file_names[faults[i].file]))
            fail_msg("fault %zu: %s", i, in.err.message);
        assert_null(in.self);
        close_instance(&in);
        fixture_remove(folder);
    }
    assert_int_equal(fixture_idx_folder(folder, N_TRAIN, N_TEST, SIDE, CLASSES), 0);
}

/* A wrong byte in the middle of the packed data. */
static void test_damaged_gzip(void **state) {
    (void)state;
    pack(TRAIN_IMAGES);
    char path[2 * FIXTURE_PATH];
    path_of(TRAIN_IMAGES, ".gz", path);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, 200, SEEK_SET);
    int byte = getc(file);
    fseek(file, 200, SEEK_SET);
    putc(byte ^ 0x55, file);
    fclose(file);
    instance in;
    assert_int_equal(open_with(&in, ""), NAS_ERR_INPUT);
    assert_non_null(strstr(in.err.message, path));
    close_instance(&in);
}

static void test_missing_file(void **state) {
    (void)state;
    for (int i = 0; i < FILES; i++) {
        instance in;
        char path[2 * FIXTURE_PATH], aside[2 * FIXTURE_PATH];
        path_of(i, "", path);
        path_of(i, ".aside", aside);
        rename(path, aside);
        assert_int_equal(open_with(&in, ""), NAS_ERR_INPUT);
        assert_non_null(strstr(in.err.message, path));
        assert_non_null(strstr(in.err.message, "no such file, with or without .gz"));
        assert_non_null(strstr(in.err.message, options[1 + i].name));
        close_instance(&in);
        mkdir(path, 0700);
        assert_int_equal(open_with(&in, ""), NAS_ERR_INPUT);
        assert_non_null(strstr(in.err.message, "expected a file"));
        close_instance(&in);
        rmdir(path);
        rename(aside, path);
    }
}

static void test_one_class_is_too_few(void **state) {
    (void)state;
    uint8_t labels[8 + N_TRAIN] = {0, 0, 8, 1, 0, 0, 0, N_TRAIN};
    store(TRAIN_LABELS, labels, sizeof labels, false);
    instance in;
    assert_int_equal(open_with(&in, ""), NAS_ERR_INPUT);
    assert_non_null(strstr(in.err.message, "every label is 0"));
    close_instance(&in);
}

/* The content of the test files is not looked at before it is asked for. */
static void test_test_split_is_read_late(void **state) {
    (void)state;
    uint8_t labels[8 + N_TEST] = {0, 0, 8, 1, 0, 0, 0, N_TEST, 0, 1, 2, CLASSES};
    store(TEST_LABELS, labels, sizeof labels, true);
    instance in;
    open_good(&in, "");
    uint8_t image[SIDE * SIDE];
    const uint64_t first = 0;
    nas_error err = {0};
    assert_int_equal(api.read(in.self, NAS_SPLIT_TRAIN, &first, 1, image, NULL, &err), NAS_OK);
    for (int i = 0; i < 2; i++) { /* and again: the failure leaves nothing behind */
        assert_int_equal(api.read(in.self, NAS_SPLIT_TEST, &first, 1, image, NULL, &err),
                         NAS_ERR_INPUT);
        assert_non_null(strstr(err.message, "offset 11: expected a label of 0 to 4"));
        assert_non_null(strstr(err.message, "found 5"));
    }
    close_instance(&in);
}

static void test_fashion_mnist(void **state) {
    (void)state;
    if (access(FASHION, R_OK)) skip();
    char before[FIXTURE_PATH];
    memcpy(before, folder, sizeof before);
    strcpy(folder, FASHION);
    instance in;
    open_good(&in, "");
    memcpy(folder, before, sizeof before);
    nas_source source;
    if (nas_source_open(&api, in.self, &source, &in.err)) fail_msg("%s", in.err.message);
    assert_int_equal(source.train.n, 60000);
    assert_int_equal(source.info.count[NAS_SPLIT_TEST], 10000);
    assert_int_equal(source.info.height, 28);
    assert_int_equal(source.info.width, 28);
    uint32_t counts[10] = {0};
    for (int i = 0; i < 60000; i++) counts[source.train.labels[i]]++;
    for (int c = 0; c < 10; c++) assert_int_equal(counts[c], 6000);
    /* The mean and deviation that are published for it. */
    assert_float_equal(source.mean[0], 0.2860, 5e-5);
    assert_float_equal(source.std[0], 0.3530, 5e-5);
    nas_images test;
    if (nas_source_read(&source, NAS_SPLIT_TEST, &test, &in.err)) fail_msg("%s", in.err.message);
    const int32_t first[5] = {9, 2, 1, 1, 6};
    assert_memory_equal(test.labels, first, sizeof first);
    nas_images_free(&test);
    nas_source_close(&source);
    close_instance(&in);
}

/* As published, under other names, packed; not if one is missing or there are two of a kind. */
static void test_recognises(void **state) {
    (void)state;
    char from[2 * FIXTURE_PATH], to[2 * FIXTURE_PATH];
    recognised(folder, "{'folder': '@'}");
    for (int i = 0; i < FILES; i++) pack(i);
    recognised(folder, "{'folder': '@'}");
    path_of(TEST_IMAGES, ".gz", from);
    snprintf(to, sizeof to, "%s/letters-test-images-idx3-ubyte.gz", folder);
    assert_int_equal(rename(from, to), 0);
    recognised(folder, "{'folder': '@', 'test_images': 'letters-test-images-idx3-ubyte'}");
    assert_int_equal(fixture_write(folder, "digits-test-images-idx3-ubyte", "", 0, false), 0);
    assert_null(recognise(folder));
    snprintf(from, sizeof from, "%s/digits-test-images-idx3-ubyte", folder);
    assert_int_equal(unlink(from) | unlink(to), 0);
    assert_null(recognise(folder));
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static int use_once(void *context, nas_error *err) {
    static uint8_t images[1 << 16];
    static nas_recognised found;
    const idx_config *config = context;
    const nas_recognise_api *recogniser = plugin.extension(NULL, NAS_EXT_RECOGNISE);
    int32_t labels[2];
    void *self;
    found = (nas_recognised){.size = sizeof found};
    int rc = recogniser->look(folder, &found, err);
    if (!rc) rc = plugin.create(NULL, config, &self, err);
    if (rc) return rc;
    for (int split = NAS_SPLIT_TRAIN; split <= NAS_SPLIT_TEST && !rc; split++) {
        rc = api.read(self, (nas_split)split, (const uint64_t[]){1, 0}, 2, images, labels, err);
        if (!rc) rc = api.labels(self, (nas_split)split, 0, 2, labels, err);
    }
    plugin.destroy(self);
    return rc;
}

static void test_failing_calls(void **state) {
    (void)state;
    instance in;
    open_good(&in, ", \"class_names\": \"\"");
    failing_all("idx", use_once, &in.config, 300);
    close_instance(&in);
}

int main(void) {
    failing_start();
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_failing_calls),
        cmocka_unit_test(test_table_is_sound),
        WITH_FOLDER(test_recognises),
        WITH_FOLDER(test_reads_plain_and_gzip),
        WITH_FOLDER(test_other_types),
        WITH_FOLDER(test_numbers_that_are_no_bytes),
        WITH_FOLDER(test_other_names),
        WITH_FOLDER(test_class_names),
        WITH_FOLDER(test_read_checks_what_is_asked),
        cmocka_unit_test_teardown(test_faults_are_named, teardown),
        WITH_FOLDER(test_damaged_gzip),
        WITH_FOLDER(test_missing_file),
        WITH_FOLDER(test_one_class_is_too_few),
        WITH_FOLDER(test_test_split_is_read_late),
        WITH_FOLDER(test_fashion_mnist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
