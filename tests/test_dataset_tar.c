/* Plugin tar: shards in WebDataset's layout, plain and compressed, and what it says of shards that
 * are wrong. */
#include "../plugins/datasets/tar/tar.c"

#include "dataset_harness.h"
#include "image_files.h"
#include "recognise.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PLAIN, GZIP, ZSTD };

static uint32_t shade;

static uint32_t plain_shade(uint32_t y, uint32_t x, uint32_t c) {
    (void)y, (void)x, (void)c;
    return shade;
}

/* ---- Writing shards ---- */

static struct archive *begin(const char *name, int filter) {
    char path[FIXTURE_PATH + 100];
    snprintf(path, sizeof path, "%s/%s", folder_path, name);
    struct archive *a = archive_write_new();
    assert_non_null(a);
    if (filter == GZIP) archive_write_add_filter_gzip(a);
    if (filter == ZSTD) archive_write_add_filter_zstd(a);
    archive_write_set_format_pax_restricted(a);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    return a;
}

static void put(struct archive *a, const char *name, const void *data, size_t n) {
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (la_int64_t)n);
    assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
    assert_int_equal(archive_write_data(a, data, n), n);
    archive_entry_free(entry);
}

static void put_text(struct archive *a, const char *name, const char *text) {
    put(a, name, text, strlen(text));
}

/* An image of one grey level, as PNG or JPEG by the name. */
static void put_image(struct archive *a, const char *name, uint32_t level) {
    static const png_kind rgb8 = {PNG_COLOR_TYPE_RGB, 8, 0, -1};
    uint8_t data[4096];
    char path[FIXTURE_PATH + 20];
    shade = level;
    if (strstr(name, ".png"))
        write_png(folder_path, "one", rgb8, 9, 9, plain_shade);
    else
        write_jpeg(folder_path, "one", JPEG_PLAIN, 3, 9, 9, plain_shade);
    snprintf(path, sizeof path, "%s/one", folder_path);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    put(a, name, data, fread(data, 1, sizeof data, file));
    fclose(file);
}

static void end(struct archive *a) {
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
}

/* Samples first .. first + n - 1: image 10 * number, class number % 3. */
static void shard(const char *name, int filter, uint32_t first, uint32_t n) {
    struct archive *a = begin(name, filter);
    for (uint32_t i = first; i < first + n; i++) {
        char member[400], text[80];
        static const char longest[] = "a-folder-of-a-long-name/";
        int folders = i % 2 ? 8 : 0; /* a name that takes a header of its own */
        size_t used = 0;
        for (int f = 0; f < folders; f++)
            used += (size_t)snprintf(member + used, sizeof member - used, "%s", longest);
        snprintf(member + used, sizeof member - used, "%04u.%s", i, i % 3 ? "cls" : "json");
        snprintf(text, sizeof text, i % 3 ? "%u\n" : "{\"label\": %u, \"other\": [1]}", i % 3);
        put_text(a, member, text);
        snprintf(member + used, sizeof member - used, "%04u.%s", i, i % 2 ? "JPG" : "png");
        put_image(a, member, 10 * i);
        snprintf(member + used, sizeof member - used, "%04u.mask.png", i);
        put_text(a, member, "no image");
    }
    put_text(a, "README", "no dot");
    put_text(a, "._0001.png", "a file system's own");
    end(a);
}

/* ---- Reading them ---- */

static void assert_images(const instance *in, nas_split split, uint32_t first, size_t n) {
    uint64_t indices[32];
    uint8_t images[32 * 64];
    int32_t labels[32], again[32];
    nas_error err;
    assert_int_equal(info_of(in).count[split], n);
    for (size_t i = 0; i < n; i++) indices[i] = n - 1 - i; /* backwards */
    if (api.read(in->self, split, indices, n, images, labels, &err)) fail_msg("%s", err.message);
    assert_int_equal(api.labels(in->self, split, 0, n, again, &err), NAS_OK);
    for (size_t i = 0; i < n; i++) {
        uint32_t number = first + (uint32_t)(n - 1 - i);
        assert_in_range(images[i * 64 + 9] + 2, 10 * number, 10 * number + 4);
        assert_int_equal(labels[i], split == NAS_SPLIT_EXTRA ? -1 : (int32_t)(number % 3));
        assert_int_equal(labels[i], again[n - 1 - i]);
    }
}

#define SHARDS "{'train': 'train', 'test': 'test.tar', 'side': 8, 'channels': 1}"

static void test_plain_and_compressed(void **state) {
    (void)state;
    static const char *const names[] = {"train/a.tar", "train/a.tar.gz", "train/a.tar.zst"};
    char path[FIXTURE_PATH + 20];
    snprintf(path, sizeof path, "%s/train", folder_path);
    assert_int_equal(mkdir(path, 0700), 0);
    shard("test.tar", PLAIN, 20, 4);
    shard("more.tzst", ZSTD, 5, 3);
    uint64_t before = 0;
    for (int filter = PLAIN; filter <= ZSTD; filter++) {
        shard(names[filter], filter, 0, 7);
        shard("train/b.tar", PLAIN, 7, 5);
        instance in;
        open_good(&in, "{'train': 'train', 'test': 'test.tar', 'unlabelled': 'more.tzst', "
                       "'side': 8, 'channels': 1}");
        nas_dataset_info info = info_of(&in);
        assert_int_equal(info.classes, 3);
        assert_string_equal(info.class_names[2], "2");
        assert_images(&in, NAS_SPLIT_TRAIN, 0, 12);
        assert_images(&in, NAS_SPLIT_TEST, 20, 4);
        assert_images(&in, NAS_SPLIT_EXTRA, 5, 3);
        uint64_t print = api.fingerprint(in.self, NAS_SPLIT_TRAIN);
        assert_int_not_equal(print, before);
        before = print;
        close_instance(&in);
        snprintf(path, sizeof path, "%s/%s", folder_path, names[filter]);
        assert_int_equal(unlink(path), 0);
    }
}

static void test_which_shards(void **state) {
    (void)state;
    static const char *const texts[] = {"s-{08..10}.tar", "s-*.tar", "s-0[89].tar"};
    shard("s-08.tar", PLAIN, 0, 4);
    shard("s-09.tar", PLAIN, 4, 5);
    shard("s-10.tar", PLAIN, 9, 3);
    shard("test.tar", PLAIN, 20, 4);
    for (size_t i = 0; i < 3; i++) {
        char options_text[200];
        snprintf(options_text, sizeof options_text,
                 "{'train': '%s', 'test': 'test.tar', 'side': 8, 'channels': 1}", texts[i]);
        instance in;
        open_good(&in, options_text);
        assert_images(&in, NAS_SPLIT_TRAIN, 0, i < 2 ? 12 : 9);
        close_instance(&in);
    }
}

/* The same images whichever others there are; every class keeps one. */
static void test_share(void **state) {
    (void)state;
    shard("train.tar", PLAIN, 0, 24);
    instance in;
    open_good(&in, "{'train': 'train.tar', 'test_share': 0.4, 'side': 8}");
    nas_dataset_info info = info_of(&in);
    assert_int_equal(info.count[NAS_SPLIT_TRAIN] + info.count[NAS_SPLIT_TEST], 24);
    assert_in_range(info.count[NAS_SPLIT_TEST], 4, 16);
    close_instance(&in);
    open_good(&in, "{'train': 'train.tar', 'test_share': 0.9, 'class_names': 'x, y,z', 'side': 8}");
    int32_t labels[24];
    bool seen[3] = {false};
    info = info_of(&in);
    assert_string_equal(info.class_names[1], "y");
    assert_int_equal(
        api.labels(in.self, NAS_SPLIT_TRAIN, 0, info.count[NAS_SPLIT_TRAIN], labels, NULL), NAS_OK);
    for (uint64_t i = 0; i < info.count[NAS_SPLIT_TRAIN]; i++) seen[labels[i]] = true;
    assert_true(seen[0] && seen[1] && seen[2]);
    close_instance(&in);
}

static void test_names_as_labels(void **state) {
    (void)state;
    struct archive *a = begin("train.tar", PLAIN);
    put_image(a, "a/1.png", 0);
    put_text(a, "a/1.cls", " dog ");
    put_text(a, "a/1.json", "{\"label\": \"overruled\"}");
    put_text(a, "a/2.json", "\"cat\"");
    put_image(a, "a/2.png", 10);
    put_image(a, "b/2.png", 20); /* another key */
    put_text(a, "b/2.json", "{\"kind\": 3, \"label\": \"dog\"}");
    end(a);
    instance in;
    open_good(&in, "{'train': 'train.tar', 'test': 'train.tar', 'side': 8}");
    nas_dataset_info info = info_of(&in);
    assert_int_equal(info.count[NAS_SPLIT_TRAIN], 3);
    assert_int_equal(info.classes, 2);
    assert_string_equal(info.class_names[0], "cat");
    int32_t labels[3];
    assert_int_equal(api.labels(in.self, NAS_SPLIT_TEST, 0, 3, labels, NULL), NAS_OK);
    assert_memory_equal(labels, ((int32_t[]){1, 0, 1}), sizeof labels);
    close_instance(&in);
}

/* Of one digit or of two, a number is the same class; beside a name it is a name. */
static void test_numbers_as_labels(void **state) {
    (void)state;
    static const char *const cases[][6] = {{"01", "1", "10", "0002", "1", "2"},
                                           {"01", "1", "x", "01", "1", "x"}};
    static const char *const names[][3] = {{"1", "2", "10"}, {"01", "1", "x"}};
    static const int32_t expected[][6] = {{0, 0, 2, 1, 0, 1}, {0, 1, 2, 0, 1, 2}};
    for (size_t k = 0; k < 2; k++) {
        struct archive *a = begin("train.tar", PLAIN);
        for (int i = 0; i < 6; i++) {
            char name[20];
            snprintf(name, sizeof name, "%d.cls", i);
            put_text(a, name, cases[k][i]);
            snprintf(name, sizeof name, "%d.png", i);
            put_image(a, name, 10);
        }
        end(a);
        instance in;
        int32_t labels[6];
        open_good(&in, "{'train': 'train.tar', 'test': 'train.tar', 'side': 8}");
        nas_dataset_info info = info_of(&in);
        assert_int_equal(info.classes, 3);
        for (int c = 0; c < 3; c++) assert_string_equal(info.class_names[c], names[k][c]);
        for (int split = NAS_SPLIT_TRAIN; split <= NAS_SPLIT_TEST; split++) {
            assert_int_equal(api.labels(in.self, (nas_split)split, 0, 6, labels, NULL), NAS_OK);
            assert_memory_equal(labels, expected[k], sizeof labels);
        }
        close_instance(&in);
    }
}

/* What tools write beside an image is often JSON that knows nothing of a label. */
static void test_json_of_other_things(void **state) {
    (void)state;
    static const char *const names[] = {"train.tar", "more.tar"};
    for (int unlabelled = 0; unlabelled < 2; unlabelled++) {
        struct archive *a = begin(names[unlabelled], PLAIN);
        for (int i = 0; i < 4; i++) {
            char name[20];
            snprintf(name, sizeof name, "%d.png", i);
            put_image(a, name, 10);
            snprintf(name, sizeof name, "%d.json", i);
            put_text(a, name, i == 2 ? "{" : "{\"url\": \"x\", \"width\": 9}");
            snprintf(name, sizeof name, "%d.%s", i, unlabelled ? "txt" : "cls");
            put_text(a, name, i % 2 ? "1" : "0");
        }
        end(a);
    }
    instance in;
    open_good(&in,
              "{'train': 'train.tar', 'test': 'train.tar', 'unlabelled': 'more.tar', 'side': 8}");
    assert_int_equal(info_of(&in).count[NAS_SPLIT_TRAIN], 4);
    assert_int_equal(info_of(&in).count[NAS_SPLIT_EXTRA], 4);
    assert_int_equal(info_of(&in).classes, 2);
    close_instance(&in);
}

/* ---- What is wrong ---- */

static void refuses(const char *text, const char *file, const char *says) {
    instance in;
    char path[FIXTURE_PATH + 100];
    snprintf(path, sizeof path, "%s/%s", folder_path, file);
    assert_int_equal(open_with(&in, text), NAS_ERR_INPUT);
    if (!strstr(in.err.message, says) || strncmp(in.err.message, path, strlen(path)) != 0)
        fail_msg("expected \"%s: ... %s\", found: %s", path, says, in.err.message);
}

#define TRAIN "{'train': 'train.tar', 'side': 8}"

static void cut_to(const char *name, off_t bytes) {
    char path[FIXTURE_PATH + 20];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", folder_path, name);
    assert_int_equal(stat(path, &status), 0);
    assert_true(bytes < status.st_size);
    assert_int_equal(truncate(path, bytes), 0);
}

/* Wherever a shard ends too early: in a header, an image, its padding, and between two members. */
static void test_cut_off(void **state) {
    (void)state;
    for (off_t bytes = 512 * 20; bytes > 400; bytes -= 333) {
        shard("train.tar", PLAIN, 0, 12);
        cut_to("train.tar", bytes);
        refuses(TRAIN, "train.tar: key \"", "cut off or damaged");
    }
    for (off_t bytes = 512 * 10; bytes > 1000; bytes -= 512) {
        shard("train.tar", PLAIN, 0, 12);
        cut_to("train.tar", bytes);
        refuses(TRAIN, "train.tar: key \"", "cut off or damaged");
    }
    for (int filter = GZIP; filter <= ZSTD; filter++)
        for (off_t bytes = 600; bytes > 100; bytes -= 90) {
            shard("train.tar", filter, 0, 12);
            cut_to("train.tar", bytes);
            refuses(TRAIN, "train.tar: ", "cut off or damaged");
        }
    shard("train.tar", PLAIN, 0, 12);
    cut_to("train.tar", 0);
    refuses(TRAIN, "train.tar", "it is no tar archive");
}

static void test_two_with_one_key(void **state) {
    (void)state;
    for (int apart = 0; apart < 2; apart++) {
        struct archive *a = begin("train.tar", PLAIN);
        put_image(a, "x/7.png", 1);
        put_text(a, "x/7.cls", "0");
        if (apart) put_image(a, "8.png", 1);
        if (apart) put_text(a, "8.cls", "1");
        put_image(a, "x/7.jpg", 1);
        put_text(a, "x/7.cls", "0");
        end(a);
        refuses(TRAIN, "train.tar", "two samples with the key \"x/7\"");
    }
    struct archive *a = begin("train.tar", PLAIN);
    put_text(a, "9.cls", "0");
    put_text(a, "9.cls", "1");
    end(a);
    refuses(TRAIN, "train.tar", "two samples with the key \"9\"");
}

static void test_labels_without_a_class(void **state) {
    (void)state;
    shard("train.tar", PLAIN, 0, 12);
    struct archive *a = begin("test.tar", PLAIN);
    put_image(a, "k.png", 1);
    put_text(a, "k.cls", "3");
    end(a);
    refuses("{'train': 'train.tar', 'test': 'test.tar', 'side': 8}", "test.tar:k.png",
            "key \"k\": label \"3\" has no class; expected one of the 3 labels of the");
    refuses("{'train': 'train.tar', 'class_names': 'a,b', 'side': 8}",
            "train.tar:", "label \"2\" has no class; expected one of the 2 \"class_names\"");
    static const struct {
        const char *file, *text, *says;
    } cases[] = {{"k.cls", " \n", "key \"k\": .cls holds no label"},
                 {"k.json", "{\"label\": \"\"}", "key \"k\": .json holds no label"},
                 {"k.json", "{\"caption\": 1}", "key \"k\": no label; expected .cls beside it, or"},
                 {"k.json", "{", "key \"k\": no label"},
                 {"other.cls", "1", "key \"k\": no label"},
                 {"k.txt", "1", "key \"k\": no label"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        a = begin("train.tar", PLAIN);
        put_image(a, "k.png", 1);
        put_text(a, cases[i].file, cases[i].text);
        if (cases[i].file[0] == 'o') put_image(a, "other.png", 1);
        end(a);
        refuses(TRAIN, "train.tar", cases[i].says);
    }
    a = begin("train.tar", PLAIN); /* eight bytes of a number are no text of it */
    put_image(a, "k.png", 1);
    put(a, "k.cls", "1\0\0\0\0\0\0\0", 8);
    end(a);
    refuses(TRAIN, "train.tar", "key \"k\": .cls holds no label; expected a number or a name");
    a = begin("train.tar", PLAIN);
    put_text(a, "alone.cls", "1");
    end(a);
    refuses(TRAIN, "train.tar", "key \"alone\": a label without an image");
}

static void put_special(struct archive *a, const char *name, unsigned type, const char *soft,
                        const char *hard) {
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, type);
    archive_entry_set_perm(entry, 0644);
    if (soft) archive_entry_set_symlink(entry, soft);
    if (hard) archive_entry_set_hardlink(entry, hard);
    assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
    archive_entry_free(entry);
}

/* A link is told as one, wherever its image or label would be missed; other links do not matter. */
static void test_links(void **state) {
    (void)state;
    static const struct {
        const char *name;
        unsigned type;
        const char *soft, *hard, *says;
    } cases[] = {
        {"2.png", AE_IFLNK, "../0.png", NULL, "key \"2\": 2.png is a link to ../0.png, which is"},
        {"2.cls", AE_IFREG, NULL, "0.cls", "key \"2\": 2.cls is a link to 0.cls, which is not"},
        {"2.json", AE_IFLNK, "0.json", NULL, "(GNU tar: --dereference --hard-dereference)"},
        {"2.jpg", AE_IFIFO, NULL, NULL, "key \"2\": 2.jpg is no file; write the shard anew"},
        {"2.txt", AE_IFLNK, "0.txt", NULL, NULL},
        {"2.png", AE_IFDIR, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct archive *a = begin("train.tar", PLAIN);
        for (int k = 0; k < 2; k++) {
            put_image(a, k ? "1.png" : "0.png", 10);
            put_text(a, k ? "1.cls" : "0.cls", k ? "b" : "a");
        }
        put_special(a, cases[i].name, cases[i].type, cases[i].soft, cases[i].hard);
        end(a);
        if (cases[i].says) {
            refuses(TRAIN, "train.tar", cases[i].says);
            continue;
        }
        instance in;
        open_good(&in, "{'train': 'train.tar', 'test': 'train.tar', 'side': 8}");
        assert_int_equal(info_of(&in).count[NAS_SPLIT_TRAIN], 2);
        close_instance(&in);
    }
}

static void test_other_files(void **state) {
    (void)state;
    char path[FIXTURE_PATH + 20];
    assert_int_equal(fixture_write(folder_path, "train.tar", "no archive, but text", 20, false), 0);
    refuses(TRAIN, "train.tar", "it is no tar archive");
    refuses("{'train': 'none.tar', 'side': 8}", "none.tar", "No such file");
    refuses("{'train': 'a{1.tar', 'side': 8}", "a{1.tar", "expected one range");
    static const char *const ranges[] = {"{..3}",        "{1..}",           "{1-3}",
                                         "{1..3",        "{3..1}",          "{1..2x}",
                                         "{1..2}{3..4}", "{0000000001..2}", "{1..0000000002}"};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        char options_text[100];
        snprintf(options_text, sizeof options_text, "{'train': 's%s.tar', 'side': 8}", ranges[i]);
        refuses(options_text, "s{", "expected one range such as {000..099} between braces");
    }
    refuses("{'train': 'x*.tar', 'side': 8}", "x*.tar", "no image in it");
    refuses("{'train': 'x?.tar', 'side': 8}", "x?.tar", "no image in it");
    assert_refused("{'train': 'train.tar', 'side': 8, 'channels': 2}", "option \"channels\"",
                   "expected 1 or 3, found 2");
    snprintf(path, sizeof path, "%s/empty", folder_path);
    assert_int_equal(mkdir(path, 0700), 0);
    refuses("{'train': 'empty', 'side': 8}", "empty", "no image in it");
}

/* Labels of other kinds, and what no data set can be made of. */
static void test_strange_labels(void **state) {
    (void)state;
    static char large[(1 << 20) + 2];
    memset(large, 'x', sizeof large - 1);
    static const struct {
        const char *file, *text, *says;
    } cases[] = {
        {"k.cls", large, "key \"k\": a label of 1048577 bytes"},
        {"k.json", "{\"label\": 1.5}", "key \"k\": no label"},
        {"k.json", "[3]", "key \"k\": no label"},
        {"k.json", "3", "expected labels of at least two classes, found 1"},
        {"k.cls", "x", "expected labels of at least two classes, found 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct archive *a = begin("train.tar", PLAIN);
        put_image(a, "k.png", 1);
        put_text(a, cases[i].file, cases[i].text);
        end(a);
        refuses(TRAIN, "train.tar", cases[i].says);
    }
    struct archive *a = begin("train.tar", PLAIN);
    put_image(a, "k.png", 1);
    put_text(a, "k.cls", "x");
    put_image(a, "l.png", 1);
    put_text(a, "l.cls", "y");
    end(a);
    a = begin("empty.tar", PLAIN);
    put_text(a, "k.txt", "no image");
    end(a);
    refuses("{'train': 'train.tar', 'test': 'empty.tar', 'side': 8}", "empty.tar",
            "no image in it");
    refuses("{'train': 'train.tar', 'test_share': 0.001, 'side': 8}", "train.tar", "no test image");
    assert_refused("{'train': 'train.tar', 'class_names': 'x,,y', 'side': 8}", "name 1 is empty",
                   "");
}

/* Compressed shards need a folder to unpack into. */
static void test_where_to_unpack(void **state) {
    (void)state;
    char *before = getenv("TMPDIR") ? strdup(getenv("TMPDIR")) : NULL;
    shard("train.tgz", GZIP, 0, 6);
    instance in;
    assert_int_equal(setenv("TMPDIR", "/nonexistent", 1), 0);
    assert_refused("{'train': 'train.tgz', 'side': 8}", "/nonexistent/nashost-shard-",
                   "TMPDIR names another folder");
    setenv("TMPDIR", "", 1);
    open_good(&in, "{'train': 'train.tgz', 'test_share': 0.5, 'side': 8}");
    close_instance(&in);
    unsetenv("TMPDIR");
    open_good(&in, "{'train': 'train.tgz', 'test_share': 0.5, 'side': 8}");
    close_instance(&in);
    if (before) setenv("TMPDIR", before, 1);
    free(before);
}

/* An image that cannot be decoded is named, or left out. */
static void test_bad_images(void **state) {
    (void)state;
    for (int filter = PLAIN; filter <= ZSTD; filter += ZSTD) {
        struct archive *a = begin("train.tar", filter);
        for (int i = 0; i < 4; i++) {
            char name[20];
            snprintf(name, sizeof name, "%d.cls", i);
            put_text(a, name, i % 2 ? "1" : "0");
            snprintf(name, sizeof name, "%d.png", i);
            if (i == 2)
                put_text(a, name, "no image");
            else
                put_image(a, name, 10);
        }
        end(a);
        instance in;
        uint8_t images[4 * 192];
        open_good(&in, "{'train': 'train.tar', 'test': 'train.tar', 'side': 8}");
        assert_int_equal(
            api.read(in.self, NAS_SPLIT_TRAIN, (uint64_t[]){0, 1, 2, 3}, 4, images, NULL, &in.err),
            NAS_ERR_INPUT);
        assert_non_null(strstr(in.err.message, "train.tar:2.png: offset 0, row 0: neither"));
        close_instance(&in);
        open_good(&in, "{'train': 'train.tar', 'test': 'train.tar', 'side': 8, "
                       "'on_bad_image': 'skip'}");
        assert_int_equal(info_of(&in).count[NAS_SPLIT_TRAIN], 3);
        assert_int_equal(info_of(&in).skipped, 2);
        close_instance(&in);
    }
}

static void test_recognises(void **state) {
    (void)state;
    assert_null(recognise(folder_path));
    shard("photos.tar", PLAIN, 0, 4);
    assert_null(recognise(folder_path));
    shard("train-0.tar", PLAIN, 0, 4);
    shard("train-1.tar", PLAIN, 4, 8);
    shard("val-0.tar.zst", ZSTD, 0, 4);
    shard("extra-0.tar", PLAIN, 0, 4);
    recognised(
        folder_path,
        "{'train': '@/*train*.t*', 'test': '@/*val*.t*', 'unlabelled': '@/*extra*.t*', 'side': 8}");
    instance in;
    open_good(&in, "{'train': '*train*.t*', 'test': '*val*.t*', 'side': 8, 'channels': 1}");
    assert_images(&in, NAS_SPLIT_TRAIN, 0, 12);
    close_instance(&in);
}

/* Where memory ends, libarchive itself ends the process. */
static void test_failing_calls(void **state) {
    (void)state;
    shard("train-0.tar", PLAIN, 0, 4);
    shard("train-1.tar", PLAIN, 4, 4);
    shard("test.tzst", ZSTD, 0, 3);
    shard("more.tgz", GZIP, 5, 3);
    assert_survives("{'train': 'train-{0..1}.tar', 'test': 'test.tzst', 'unlabelled': 'more.tgz', "
                    "'side': 8, 'on_bad_image': 'skip'}",
                    "io");
    assert_survives("{'train': 'train-*.tar', 'class_names': 'a, b, c', 'side': 8}", "io");
}

static void test_recognises_folders(void **state) {
    (void)state;
    static const char *const names[] = {"train", "test", "unlabelled"};
    for (int i = 0; i < 3; i++) {
        char path[FIXTURE_PATH + 20];
        snprintf(path, sizeof path, "%s/%s", folder_path, names[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    assert_null(recognise(folder_path));
    shard("train/a.tar", PLAIN, 0, 4);
    shard("train/b.tar", PLAIN, 4, 4);
    recognised(folder_path, "{'train': '@/train', 'side': 8}");
    shard("test/a.tar", PLAIN, 0, 4);
    recognised(folder_path, "{'train': '@/train', 'test': '@/test', 'side': 8}");
}

int main(void) {
    failing_start();
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_failing_calls),
        WITH_FOLDER(test_plain_and_compressed),
        WITH_FOLDER(test_which_shards),
        WITH_FOLDER(test_share),
        WITH_FOLDER(test_names_as_labels),
        WITH_FOLDER(test_numbers_as_labels),
        WITH_FOLDER(test_links),
        WITH_FOLDER(test_json_of_other_things),
        WITH_FOLDER(test_cut_off),
        WITH_FOLDER(test_two_with_one_key),
        WITH_FOLDER(test_labels_without_a_class),
        WITH_FOLDER(test_other_files),
        WITH_FOLDER(test_strange_labels),
        WITH_FOLDER(test_where_to_unpack),
        WITH_FOLDER(test_bad_images),
        WITH_FOLDER(test_recognises),
        WITH_FOLDER(test_recognises_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
