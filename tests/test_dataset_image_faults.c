/* Plugin image_folder on files that are damaged, or made to do damage: every one is an error that
 * names the file, and nothing is printed. */
#include "../plugins/datasets/image_folder.c"

#include "dataset_harness.h"
#include "image_files.h"

#include <fcntl.h>
#include <unistd.h>

enum { MOST = 16384 }; /* bytes of the files here */

#define OPTIONS "{'train': 'train', 'test': 'train', 'side': 8, 'max_side': 600}"

static uint32_t gradient(uint32_t y, uint32_t x, uint32_t c) {
    return (10 + 9 * x + 5 * y + 30 * c) & 255;
}

typedef struct bytes {
    uint8_t at[MOST];
    size_t n;
} bytes;

static bytes load(const char *name) {
    bytes b;
    char path[2 * FIXTURE_PATH];
    snprintf(path, sizeof path, "%s/%s", folder_path, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    b.n = fread(b.at, 1, sizeof b.at, file);
    fclose(file);
    return b;
}

static void store(const bytes *b) {
    fclose(create_file(folder_path, "train/a/1.png"));
    assert_int_equal(fixture_write(folder_path, "train/a/1.png", b->at, b->n, false), 0);
}

typedef enum source { PNG, PNG_INTERLACED, JPEG, JPEG_PROGRESSIVE_, JPEG_CMYK, JPEG_SCANS } source;

/* A sound file of 20 x 12 pixels. */
static bytes sound(source from) {
    const png_kind png = {PNG_COLOR_TYPE_RGB, 8, from == PNG_INTERLACED, -1};
    const char *name = "train/a/1.png"; /* the name is no matter */
    fclose(create_file(folder_path, "train/b/z.png"));
    if (from <= PNG_INTERLACED)
        write_png(folder_path, name, png, 20, 12, gradient);
    else
        write_jpeg(folder_path, name,
                   from == JPEG_PROGRESSIVE_ ? JPEG_PROGRESSIVE
                   : from == JPEG_SCANS      ? JPEG_MANY_SCANS
                                             : JPEG_PLAIN,
                   from == JPEG_CMYK    ? 4
                   : from == JPEG_SCANS ? 1
                                        : 3,
                   20, 12, gradient);
    return load(name);
}

/* One fault: bytes changed, found by what stands before them; then the file's length. */
typedef struct fault {
    source from;
    const char *after; /* NULL: the file's beginning */
    int skip;          /* further bytes before those that change */
    int n;             /* how many change */
    const char *to;
    bool checksum; /* make the PNG header's checksum right again */
    int length;    /* 0: as it was; negative: so many less */
    const char *says;
} fault;

static const fault faults[] = {
    {PNG, NULL, 0, 0, "", false, 3, "offset 0, row 0: neither a PNG nor a JPEG or WebP file"},
    {PNG, NULL, 0, 1, "x", false, 0, "neither a PNG nor a JPEG or WebP file"},
    {PNG, NULL, 0, 0, "", false, 20, "offset 20, row 0: Read Error"},
    {PNG, NULL, 0, 0, "", false, -40, "Read Error"},
    {PNG, NULL, 0, 0, "", false, -12, "row 20: Read Error"}, /* only its end is missing */
    {PNG, "IHDR", 0, 4, "\0\0\0\x0d", false, 0, "IHDR: CRC error"},
    {PNG, "IHDR", 0, 4, "\0\0\0\0", true, 0, "Invalid IHDR data"},
    {PNG, "IHDR", 4, 4, "\x7f\xff\xff\xff", true, 0, "Invalid IHDR data"},
    {PNG, "IHDR", 4, 4, "\0\0\x02\x59", true, 0,
     "12 x 601 pixels; expected sides of 1 to 600, the option \"max_side\""},
    {PNG, "IHDR", 4, 4, "\0\0\x02\x58", true, 0, "Not enough image data"},
    {PNG, "IHDR", 0, 4, "\0\0\0\x40", true, 0, "bad adaptive filter value"},
    {PNG, "IHDR", 8, 1, "\x07", true, 0, "Invalid IHDR data"},
    {PNG, "IHDR", 9, 1, "\x05", true, 0, "Invalid IHDR data"},
    {PNG, "IHDR", 9, 1, "\x03", true, 0, "Missing PLTE before IDAT"},
    {PNG, "IHDR", 12, 1, "\x02", true, 0, "Invalid IHDR data"},
    {PNG, "IDAT", 10, 1, "\xee", false, 0, "row "},
    {PNG, "IDAT", -4, 4, "JDAT", false, 0, "JDAT: CRC error"},
    {PNG_INTERLACED, NULL, 0, 0, "", false, -30, "Read Error"},
    {JPEG, NULL, 0, 0, "", false, 2, "neither a PNG nor a JPEG or WebP file"},
    {JPEG, NULL, 0, 0, "", false, 20, "Premature end of JPEG file"},
    {JPEG, NULL, 0, 0, "", false, -60, "Premature end of JPEG file"},
    {JPEG, NULL, 0, 0, "", false, -2, "Premature end of JPEG file"}, /* its last mark */
    {JPEG, "\xff\xc0", 3, 2, "\0\0", false, 0, "Empty JPEG image (DNL not supported)"},
    {JPEG, "\xff\xc0", 3, 2, "\xff\xff", false, 0, "Maximum supported image dimension is 65500"},
    {JPEG, "\xff\xc0", 3, 2, "\x02\x59", false, 0, "12 x 601 pixels; expected sides of 1 to 600"},
    {JPEG, "\xff\xc0", 3, 2, "\x02\x58", false, 0, "row "},
    {JPEG, "\xff\xc0", 2, 1, "\x0c", false, 0, "Unsupported JPEG data precision 12"},
    {JPEG, "\xff\xc0", 7, 1, "\x04", false, 0, "Bogus marker length"},
    {JPEG, "\xff\xc0", -1, 1, "\xc3", false, 0, "Unsupported JPEG process: SOF type 0xc3"},
    {JPEG, "\xff\xda", 10, 9, "\xff\xd9\xff\xd9\xff\xd9\xff\xd9\xff", false, 0, "row 0"},
    {JPEG_PROGRESSIVE_, NULL, 0, 0, "", false, -30, "Premature end of JPEG file"},
    {JPEG_CMYK, NULL, 0, 0, "", false, 0, "CMYK colours; convert the file to RGB"},
    {JPEG_SCANS, NULL, 0, 0, "", false, 0, "more than 100 scans"},
};

static bytes spoil(const fault *f) {
    bytes b = sound(f->from);
    uint8_t *at = f->after ? memmem(b.at, b.n, f->after, strlen(f->after)) : b.at;
    assert_non_null(at);
    at += (f->after ? (int)strlen(f->after) : 0) + f->skip;
    memcpy(at, f->to, (size_t)f->n);
    if (f->checksum) { /* of "IHDR" and its 13 bytes */
        uint32_t sum = (uint32_t)crc32(0, b.at + 12, 17);
        for (int i = 0; i < 4; i++) b.at[29 + i] = (uint8_t)(sum >> (24 - 8 * i));
    }
    if (f->length) b.n = f->length > 0 ? (size_t)f->length : b.n - (size_t)-f->length;
    return b;
}

static void test_faults_are_named(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        bytes b = spoil(&faults[i]);
        store(&b);
        assert_unreadable(OPTIONS, NAS_SPLIT_TRAIN, 1, "/train/a/1.png: offset ", faults[i].says);
    }
}

/* The file is damaged, but what is needed of it is sound. */
static void test_what_is_forgiven(void **state) {
    (void)state;
    uint8_t image[192];
    instance in;
    bytes b = sound(JPEG);
    memcpy(b.at + b.n - 2, "\0\0\0\xff\xd9", 5); /* bytes before the last mark */
    b.n += 3;
    store(&b);
    open_good(&in, OPTIONS);
    const uint64_t first = 0;
    if (api.read(in.self, NAS_SPLIT_TRAIN, &first, 1, image, NULL, &in.err))
        fail_msg("%s", in.err.message);
    b = sound(PNG);
    memcpy(b.at + b.n, "after the end", 13);
    b.n += 13;
    store(&b);
    if (api.read(in.self, NAS_SPLIT_TRAIN, &first, 1, image, NULL, &in.err))
        fail_msg("%s", in.err.message);
    close_instance(&in);
}

static void test_strange_files(void **state) {
    (void)state;
    char path[2 * FIXTURE_PATH];
    sound(PNG);
    snprintf(path, sizeof path, "%s/train/a/1.png", folder_path);
    fclose(create_file(folder_path, "train/a/1.png"));
    assert_unreadable(OPTIONS, NAS_SPLIT_TRAIN, 1, path + strlen(folder_path), "the file is empty");
    remove(path);
    mkdir(path, 0700);
    assert_unreadable(OPTIONS, NAS_SPLIT_TRAIN, 1, "1.png", "expected a file");
    rmdir(path);
    mkfifo(path, 0600); /* opening it would wait for ever */
    assert_unreadable(OPTIONS, NAS_SPLIT_TRAIN, 1, "1.png", "expected a file");
    remove(path);
    assert_int_equal(symlink("nowhere", path), 0);
    assert_unreadable(OPTIONS, NAS_SPLIT_TRAIN, 1, "1.png", "no such file");
}

/* Points the program's standard output and error to a file, or back. */
static int divert(int kept[2], const char *path) {
    for (int i = 0; i < 2; i++) kept[i] = dup(1 + i);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    return fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0 || close(fd) ? -1 : 0;
}

static void restore(const int kept[2]) {
    fflush(stdout);
    for (int i = 0; i < 2; i++) {
        dup2(kept[i], 1 + i);
        close(kept[i]);
    }
}

/* Decodes many variants of a file; counts those that are refused, and keeps whoever prints from
 * the screen. */
static int decode_all(const bytes *whole, bool cut) {
    nas_picture p = {.channels = 3, .side = 8, .max_side = 600};
    int refused = 0, kept[2];
    char path[2 * FIXTURE_PATH];
    snprintf(path, sizeof path, "%s/printed", folder_path);
    fflush(stdout);
    assert_int_equal(divert(kept, path), 0);
    for (size_t i = 1; i < whole->n; i++) {
        bytes b = *whole;
        if (cut)
            b.n = i;
        else
            b.at[i] ^= (uint8_t)(1 + i * 37 % 255);
        FILE *file = fmemopen(b.at, b.n, "rb");
        nas_error err = {0};
        int rc = file ? nas_image_decode(file, "a.png", &p, &err) : -1;
        if (file) fclose(file);
        refused += rc == NAS_ERR_INPUT && strstr(err.message, "a.png: offset ");
    }
    restore(kept);
    free(p.pixels);
    bytes printed = load("printed");
    if (printed.n) fail_msg("printed: %.*s", (int)printed.n, (char *)printed.at);
    return refused;
}

static const source sources[] = {PNG, PNG_INTERLACED, JPEG, JPEG_PROGRESSIVE_};

static void test_cut_anywhere(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        bytes b = sound(sources[i]);
        assert_int_equal(decode_all(&b, true), b.n - 1); /* each one is noticed */
    }
}

static void test_changed_anywhere(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        bytes b = sound(sources[i]);
        int refused = decode_all(&b, false);
        if (refused < 60) fail_msg("source %d: only %d of %zu refused", i, refused, b.n);
    }
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_faults_are_named), IN_FOLDER(test_what_is_forgiven),
        IN_FOLDER(test_strange_files),    IN_FOLDER(test_cut_anywhere),
        IN_FOLDER(test_changed_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
