/* Plugin npy: what it reads from archives, and what it says of damaged ones. */
#include "../plugins/datasets/npy/npy.c"

#include "npy_arrays.h"

/* Makes an archive of x, y, tx and ty. */
static void make_archive(const char *name, bool deflate) {
    static const char *const members[] = {"x.npy", "y.npy", "tx.npy", "ty.npy"};
    zip_t *zip = zip_open(in_folder(name), ZIP_CREATE | ZIP_TRUNCATE, NULL);
    assert_non_null(zip);
    for (zip_uint64_t i = 0; i < 4; i++) {
        zip_source_t *source = zip_source_file(zip, in_folder(members[i]), 0, -1);
        assert_int_equal(zip_file_add(zip, members[i], source, 0), i);
        zip_set_file_compression(zip, i, deflate ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 9);
    }
    assert_int_equal(zip_close(zip), 0);
}

#define PACKED                                                                                     \
    "{'train_images': 'd.npz:x', 'train_labels': 'd.npz:y', 'test_images': 'd.npz:tx', "           \
    "'test_labels': 'd.npz:ty'}"

static void test_archives(void **state) {
    (void)state;
    for (int deflate = 0; deflate < 2; deflate++) {
        make_archive("d.npz", deflate);
        instance in;
        open_good(&in, PACKED);
        check_content(&in, C);
        close_instance(&in);
    }
    assert_refused("{'train_images': 'd.npz:z', " REST "}", "d.npz: it has no array \"z\"",
                   "\"train_images\", as in \"FILE.npz:NAME\"; it holds x.npy, y.npy, tx.npy, ty");
    assert_refused("{'train_images': 'd.npz', " REST "}", "which array of it is meant",
                   "it holds x.npy");
}

static void test_an_archive_of_one(void **state) {
    (void)state;
    zip_t *zip = zip_open(in_folder("one.npz"), ZIP_CREATE, NULL);
    zip_source_t *source = zip_source_file(zip, in_folder("x.npy"), 0, -1);
    assert_int_equal(zip_file_add(zip, "arr_0.npy", source, 0), 0);
    assert_int_equal(zip_close(zip), 0);
    instance in;
    open_good(&in, "{'train_images': 'one.npz', " REST "}");
    check_content(&in, C);
    close_instance(&in);
}

static void test_an_archive_for_an_array(void **state) {
    (void)state;
    make_archive("d.npz", true);
    move("d.npz", "wrong.npy");
    assert_refused("{'train_images': 'wrong.npy', " REST "}",
                   "wrong.npy: offset 0: ", "an archive (.npz)");
}

/* Changes a byte of the archive, or changes it back. */
static void flip(long at) {
    FILE *file = fopen(in_folder("d.npz"), "r+b");
    assert_non_null(file);
    fseek(file, at, SEEK_SET);
    int byte = getc(file);
    fseek(file, at, SEEK_SET);
    fputc(byte ^ 0x21, file);
    fclose(file);
}

/* Every kind of damage to an archive, a byte at a time: an error or the right content, never other
 * content. */
static void test_damaged_archives(void **state) {
    (void)state;
    int refused = 0, unread = 0;
    make_archive("d.npz", true);
    struct stat status;
    assert_int_equal(stat(in_folder("d.npz"), &status), 0);
    for (long at = 0; at < status.st_size; at += 3) {
        flip(at);
        instance in;
        uint64_t all[N] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
        uint8_t out[N * IMAGE];
        int32_t labels[N];
        if (open_with(&in, PACKED)) {
            assert_non_null(strstr(in.err.message, "d.npz"));
            refused++;
        } else {
            int rc = api.read(in.self, NAS_SPLIT_TRAIN, all, N, out, labels, &in.err);
            for (int i = 0; i < N && !rc; i++) {
                check_image(out + i * IMAGE, 0, i, C);
                assert_int_equal(labels[i], i % 3);
            }
            unread += rc != 0;
            close_instance(&in);
        }
        flip(at);
    }
    assert_true(refused > 10);
    assert_true(unread > 10);
}

static void test_truncated_archives(void **state) {
    (void)state;
    make_archive("d.npz", true);
    assert_int_equal(truncate(in_folder("d.npz"), 300), 0);
    assert_refused(PACKED, "d.npz: not a sound .npz archive", "");
    assert_int_equal(truncate(in_folder("d.npz"), 0), 0);
    assert_refused(PACKED, "d.npz: not a sound .npz archive", "");
}

/* An archive whose directory claims a terabyte must not make the plugin ask for memory. */
static void test_an_archive_that_lies(void **state) {
    (void)state;
    make_archive("d.npz", true);
    FILE *file = fopen(in_folder("d.npz"), "r+b");
    assert_non_null(file);
    uint8_t bytes[8192];
    size_t n = fread(bytes, 1, sizeof bytes, file);
    uint8_t *entry = memmem(bytes, n, "PK\1\2", 4); /* the directory's first entry: x.npy */
    assert_non_null(entry);
    memset(entry + 24, 0xfe, 4); /* its size */
    rewind(file);
    fwrite(bytes, 1, n, file);
    fclose(file);
    assert_refused(PACKED, "d.npz:x: the archive of ", "claims 4278124286 bytes for it");
}

static void test_recognises_archives(void **state) {
    (void)state;
    static const char *const members[] = {"val_images.npy", "train_images.npy", "train_labels.npy",
                                          "test_images.npy", "test_labels.npy"};
    zip_t *zip = zip_open(in_folder("medical.npz"), ZIP_CREATE, NULL);
    assert_non_null(zip);
    for (zip_uint64_t i = 0; i < 5; i++)
        assert_int_equal(zip_file_add(zip, members[i], zip_source_buffer(zip, "x", 1, 0), 0), i);
    assert_int_equal(zip_close(zip), 0);
    assert_int_equal(unlink(in_folder("extra.npy")), 0);
    recognised(folder_path,
               "{'train_images': '@/medical.npz:train_images', 'train_labels': "
               "'@/medical.npz:train_labels', 'test_images': '@/medical.npz:test_images', "
               "'test_labels': '@/medical.npz:test_labels'}");
    store("medical.npz", (content){{0}, 9}); /* no archive: no data set, and no error either */
    assert_null(recognise(folder_path));
}

static void test_failing_calls(void **state) {
    (void)state;
    make_archive("d.npz", true);
    assert_survives(PACKED, NULL);
}

int main(void) {
    failing_start();
    const struct CMUnitTest tests[] = {
        WITH_ARRAYS(test_failing_calls),        WITH_ARRAYS(test_archives),
        WITH_ARRAYS(test_an_archive_of_one),    WITH_ARRAYS(test_an_archive_for_an_array),
        WITH_ARRAYS(test_damaged_archives),     WITH_ARRAYS(test_truncated_archives),
        WITH_ARRAYS(test_an_archive_that_lies), WITH_ARRAYS(test_recognises_archives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
