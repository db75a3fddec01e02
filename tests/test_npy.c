/* Plugin npy: what it reads, and what it says of arrays and archives that are wrong. */
#include "../plugins/datasets/npy.c"

#include "dataset_harness.h"
#include "recognise.h"

#include <unistd.h>

enum { N = 9, N_TEST = 5, H = 4, W = 6, C = 3, IMAGE = H * W * C };

static uint8_t pixel(int set, int image, int y, int x, int c) {
    return (uint8_t)(set * 100 + image * 11 + y * 40 + x * 5 + c);
}

/* Pixels of n images as the array holds them. */
static void fill(uint8_t *out, int set, int n, int channels, bool planes) {
    for (int i = 0; i < n; i++)
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                for (int c = 0; c < channels; c++)
                    out[planes ? ((i * channels + c) * H + y) * W + x
                               : ((i * H + y) * W + x) * channels + c] = pixel(set, i, y, x, c);
}

/* Writes a header as numpy does (64-byte steps, a newline at the end); returns its length. */
static size_t header(uint8_t *out, int version, const char *type, const char *shape) {
    char text[200];
    size_t before = version == 1 ? 10 : 12;
    int length = snprintf(text, sizeof text,
                          "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", type, shape);
    size_t padded = ((before + (size_t)length + 1 + 63) / 64) * 64 - before;
    memset(out, ' ', before + padded);
    memcpy(out, "\x93NUMPY", 6);
    out[6] = (uint8_t)version;
    out[7] = 0;
    for (size_t i = 8; i < before; i++) out[i] = (uint8_t)(padded >> (8 * (i - 8)));
    memcpy(out + before, text, (size_t)length);
    out[before + padded - 1] = '\n';
    return before + padded;
}

typedef struct content {
    uint8_t bytes[4096];
    size_t n;
} content;

static content images(int set, int n, const char *shape, int channels, bool planes) {
    content a;
    size_t begin = header(a.bytes, 1, "|u1", shape);
    fill(a.bytes + begin, set, n, channels, planes);
    a.n = begin + (size_t)(n * H * W * channels);
    return a;
}

/* Labels i % 3 of a type of any width and byte order. */
static content labels_of(int n, const char *type, const char *shape) {
    content a;
    size_t width = (size_t)(type[2] - '0'), begin = header(a.bytes, 1, type, shape);
    memset(a.bytes + begin, 0, (size_t)n * width);
    for (int i = 0; i < n; i++)
        a.bytes[begin + (size_t)i * width + (type[0] == '>' ? width - 1 : 0)] = (uint8_t)(i % 3);
    a.n = begin + (size_t)n * width;
    return a;
}

static void store(const char *name, content a) {
    assert_int_equal(fixture_write(folder_path, name, a.bytes, a.n, false), 0);
}

/* The path of a file of the folder; the last two given stay. */
static const char *in_folder(const char *name) {
    static char paths[2][2 * FIXTURE_PATH];
    static int turn;
    turn = !turn;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder_path, name);
    return paths[turn];
}

static void move(const char *from, const char *to) {
    assert_int_equal(rename(in_folder(from), in_folder(to)), 0);
}

static int make_arrays(void **state) {
    if (make_folder(state)) return -1;
    store("x.npy", images(0, N, "(9, 4, 6, 3)", C, false));
    store("y.npy", labels_of(N, "<i8", "(9,)"));
    store("tx.npy", images(1, N_TEST, "(5, 4, 6, 3)", C, false));
    store("ty.npy", labels_of(N_TEST, "|u1", "(5,)"));
    store("extra.npy", images(2, 2, "(2, 4, 6, 3)", C, false));
    return 0;
}

#define REST "'train_labels': 'y.npy', 'test_images': 'tx.npy', 'test_labels': 'ty.npy'"
#define PLAIN "{'train_images': 'x.npy', " REST "}"

static void check_image(const uint8_t *image, int set, int index, int channels) {
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            for (int c = 0; c < channels; c++)
                assert_int_equal(image[(y * W + x) * channels + c], pixel(set, index, y, x, c));
}

/* Reads forwards, backwards and an image twice. */
static void check_content(const instance *in, int channels) {
    static const struct {
        nas_split split;
        uint64_t n;
    } sets[] = {{NAS_SPLIT_TRAIN, N}, {NAS_SPLIT_TEST, N_TEST}};
    for (int s = 0; s < 2; s++) {
        const uint64_t order[5] = {1, 2, sets[s].n - 1, sets[s].n - 1, 0};
        uint8_t out[5 * IMAGE];
        int32_t labels[5];
        nas_error err = {0};
        if (api.read(in->self, sets[s].split, order, 5, out, labels, &err))
            fail_msg("%s", err.message);
        for (int i = 0; i < 5; i++) {
            check_image(out + i * H * W * channels, s, (int)order[i], channels);
            assert_int_equal(labels[i], (int)order[i] % 3);
        }
    }
}

static void test_plain_arrays(void **state) {
    (void)state;
    instance in;
    open_good(&in,
              "{'train_images': 'x.npy', 'extra_images': 'extra.npy', 'class_names': 'a, b,c', "
              "'flip': false, " REST "}");
    nas_dataset_info info = info_of(&in);
    assert_int_equal(info.height, H);
    assert_int_equal(info.width, W);
    assert_int_equal(info.channels, C);
    assert_int_equal(info.classes, 3);
    assert_int_equal(info.count[NAS_SPLIT_TRAIN], N);
    assert_int_equal(info.count[NAS_SPLIT_TEST], N_TEST);
    assert_int_equal(info.count[NAS_SPLIT_EXTRA], 2);
    assert_string_equal(info.class_names[1], "b");
    assert_false(info.flip);
    check_content(&in, C);
    nas_source source;
    if (nas_source_open(&api, in.self, &source, &in.err)) fail_msg("%s", in.err.message);
    check_image(source.extra.pixels + IMAGE, 2, 1, C);
    assert_int_equal(source.extra.labels[1], -1);
    nas_source_close(&source);
    close_instance(&in);
}

static void test_shapes_and_layouts(void **state) {
    (void)state;
    static const struct {
        const char *shape, *test_shape, *layout;
        int channels;
        bool planes;
    } cases[] = {
        {"(9, 4, 6)", "(5, 4, 6)", "nhwc", 1, false},
        {"(9, 4, 6)", "(5, 4, 6)", "nchw", 1, false},
        {"(9, 4, 6, 1)", "(5, 4, 6)", "nhwc", 1, false},
        {"(9, 1, 4, 6)", "(5, 1, 4, 6)", "nchw", 1, true},
        {"(9, 3, 4, 6)", "(5, 3, 4, 6)", "nchw", 3, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[300];
        store("x.npy", images(0, N, cases[i].shape, cases[i].channels, cases[i].planes));
        store("tx.npy", images(1, N_TEST, cases[i].test_shape, cases[i].channels, cases[i].planes));
        snprintf(text, sizeof text, "{'train_images': 'x.npy', 'layout': '%s', " REST "}",
                 cases[i].layout);
        instance in;
        open_good(&in, text);
        nas_dataset_info info = info_of(&in);
        assert_int_equal(info.height, H);
        assert_int_equal(info.width, W);
        assert_int_equal(info.channels, cases[i].channels);
        check_content(&in, cases[i].channels);
        close_instance(&in);
    }
}

static void test_labels_of_any_integer(void **state) {
    (void)state;
    static const char *const types[] = {"|u1", "|i1", "<u1", "<u2", ">i2", "<i4",
                                        ">u4", "<i8", ">i8", "<u8", ">u8"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        store("y.npy", labels_of(N, types[i], "(9,)"));
        store("ty.npy", labels_of(N_TEST, types[i], "(5, 1)")); /* a column, as MedMNIST has it */
        instance in;
        open_good(&in, PLAIN);
        check_content(&in, C);
        close_instance(&in);
    }
}

/* Headers that numpy or its like may write, of versions 1 to 3. */
static void test_headers_may_vary(void **state) {
    (void)state;
    static const char *const texts[] = {
        "{'descr': '|u1', 'fortran_order': False, 'shape': (9, 4, 6, 3), }",
        "{\"shape\":(9,4,6,3),\"fortran_order\":False,\"descr\":\"|u1\"}",
        " { 'shape' : ( 9 , 4 , 6 , 3 , ) , 'descr' : '<u1' , 'fortran_order' : False } \n",
    };
    for (int version = 1; version <= 3; version++) {
        content a = {.n = version == 1 ? 10 : 12};
        memcpy(a.bytes, "\x93NUMPY", 6);
        a.bytes[6] = (uint8_t)version;
        a.bytes[8] = (uint8_t)strlen(texts[version - 1]);
        strcpy((char *)a.bytes + a.n, texts[version - 1]);
        a.n += a.bytes[8];
        fill(a.bytes + a.n, 0, N, C, false);
        a.n += N * IMAGE;
        store("x.npy", a);
        instance in;
        open_good(&in, PLAIN);
        check_content(&in, C);
        close_instance(&in);
    }
}

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

/* ---- What is refused ---- */

/* One fault in x.npy (header of 128 bytes, 648 of data): text replaced in its header, a byte
 * changed, its length. */
typedef struct fault {
    const char *from, *to;
    int offset, byte; /* 0: none is changed */
    int grow;
    const char *says;
} fault;

static const fault faults[] = {
    {"'descr': '|u1'", "'descr': '<f4'", 0, 0, 0, "found type '<f4'; save them as a.astype"},
    {"'descr': '|u1'", "'descr': '<u2'", 0, 0, 0, "expected images of unsigned bytes ('|u1')"},
    {"'descr': '|u1'", "'descr': '|i1'", 0, 0, 0, "expected images of unsigned bytes"},
    {"'descr': '|u1'", "'descr': '|O' ", 0, 0, 0, "found type '|O'"},
    {"'descr': '|u1'", "'descr': [(1)]", 0, 0, 0,
     "expected a header of descr (one type of number)"},
    {"'descr': '|u1'", "'descn': '|u1'", 0, 0, 0, "expected a header of descr"},
    {"False", "True ", 0, 0, 0, "Fortran order; expected C order: save numpy.ascontiguousarray(a)"},
    {"False", "Falsy", 0, 0, 0, "the header is damaged"},
    {"False", "'no' ", 0, 0, 0, "expected a header of descr"},
    {"'fortran_order': False", "'descr': 'fortran_ord'", 0, 0, 0,
     "the header is damaged: duplicate"},
    {"(9, 4, 6, 3), }", "(9, 4, 6, 3), 'a': 1}", 0, 0, 0, "expected a header of descr"},
    {"(9, 4, 6, 3)", "(9, 4, 18)  ", 0, 0, 0, NULL}, /* another shape of as many bytes */
    {"(9, 4, 6, 3)", "(9, 4, 3, 6)", 0, 0, 0,
     "shape [9, 4, 3, 6]; expected [n, h, w] or [n, h, w, c] with 1 or 3 channels; see the option "
     "\"layout\", now \"nhwc\""},
    {"(9, 4, 6, 3)", "(648,)      ", 0, 0, 0, "shape [648]; expected [n, h, w]"},
    {"(9, 4, 6, 3)", "()          ", 0, 0, 0, "shape []; expected [n, h, w]"},
    {"(9, 4, 6, 3)", "(9,4,3,2,3) ", 0, 0, 0, "expected a shape of 1 to 4 sizes"},
    {"(9, 4, 6, 3)", "(9, 4, -6)  ", 0, 0, 0, "size 2 of the shape is no count"},
    {"(9, 4, 6, 3)", "(9, 4, 6.0) ", 0, 0, 0, "size 2 of the shape is no count"},
    {"(9, 4, 6, 3)", "(0, 4, 6)   ", 0, 0, 0, "shape [0, 4, 6]; expected 1 to 2147483647 items"},
    {"(9, 4, 6, 3)", "(9, 5000, 6)", 0, 0, 0, "items of sides 1 to 4096"},
    {"(9, 4, 6, 3)", "(9, 4, 0, 3)", 0, 0, 0, "items of sides 1 to 4096"},
    {"(9, 4, 6, 3), }", "(9999999, 4, 6),}", 0, 0, 0,
     "truncated: expected 240000104 bytes, found 776"},
    {"(9, 4, 6, 3), }", "(9, 4, 99999999999999999999)}", 0, 0, 0, "the header is damaged: too big"},
    {"(9, 4, 6, 3)", "(9, 4, 6, 3 ", 0, 0, 0, "the header is damaged"},
    {NULL, NULL, 0, 0, -1, "truncated: expected 776 bytes, found 775"},
    {NULL, NULL, 0, 0, 2, "offset 776: expected the end of the array, found 2 more bytes"},
    {NULL, NULL, 0, 0, -700, "truncated: expected 52 bytes more at offset 76"},
    {NULL, NULL, 0, 0, -770, "truncated: expected 4 bytes more at offset 6"},
    {NULL, NULL, 0, 0, -776, "truncated: expected 10 bytes more at offset 0"},
    {NULL, NULL, 1, 'M', 0, "offset 0: this is not an array in .npy format"},
    {NULL, NULL, 6, 4, 0, "offset 6: format version 4.0; expected 1.0, 2.0 or 3.0"},
    {NULL, NULL, 7, 1, 0, "offset 6: format version 1.1"},
    {NULL, NULL, 9, 2, 0, "the header is damaged"},
    {NULL, NULL, 70, 1, 0, "the header is damaged"},
};

static content spoil(content a, const fault *f) {
    if (f->from) {
        char *at = memmem(a.bytes, 128, f->from, strlen(f->from));
        assert_non_null(at);
        memcpy(at, f->to, strlen(f->to));
    }
    if (f->offset) a.bytes[f->offset] = (uint8_t)f->byte;
    a.n = (size_t)((long)a.n + f->grow);
    return a;
}

static void test_faults_are_named(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        store("x.npy", spoil(images(0, N, "(9, 4, 6, 3)", C, false), &faults[i]));
        if (faults[i].says)
            assert_refused(PLAIN, "x.npy: ", faults[i].says);
        else
            assert_refused(PLAIN, "tx.npy: expected images of 4 x 18 x 1, as in ",
                           "x.npy; found 4 x 6 x 3");
    }
}

static void test_wrong_labels(void **state) {
    (void)state;
    static const struct {
        const char *type, *shape;
        int item, byte, value; /* a byte of the data is changed; item -1: none */
        const char *says;
    } cases[] = {
        {"<i8", "(9,)", 4, 7, 0xff, "offset 160: label 4: expected 0 to 65535, found -"},
        {"<u8", "(9,)", 4, 7, 0xff, "offset 160: label 4: expected 0 to 65535, found 9223372036"},
        {"|i1", "(9,)", 8, 0, 0x80, "offset 136: label 8: expected 0 to 65535, found -128; images"},
        {">i4", "(9,)", 0, 1, 1, "offset 128: label 0: expected 0 to 65535, found 65536"},
        {"|u1", "(9,)", 8, 0, 4, "no label is 3, but the largest is 4; number the classes from 0"},
        {"<f8", "(9,)", -1, 0, 0, "expected integer labels such as '<i8', found type '<f8'"},
        {"|b1", "(9,)", -1, 0, 0, "found type '|b1'; save them as a.astype(numpy.int64)"},
        {"|i2", "(9,)", -1, 0, 0, "found type '|i2'"},
        {"|u1", "(3, 3)", -1, 0, 0, "if a row is a one-hot label, save a.argmax(axis=1)"},
        {"|u1", "()", -1, 0, 0, "shape []; expected labels of shape [n]"},
        {"|u1", "(8,)", -1, 0, 0, "offset 136: expected the end of the array, found 1 more"},
        {"|u1", "(10,)", -1, 0, 0, "truncated: expected 138 bytes, found 137"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        content a = labels_of(N, cases[i].type, cases[i].shape);
        size_t width = (size_t)(cases[i].type[2] - '0');
        if (cases[i].item >= 0)
            a.bytes[128 + (size_t)cases[i].item * width + (size_t)cases[i].byte] =
                (uint8_t)cases[i].value;
        store("y.npy", a);
        assert_refused(PLAIN, "y.npy: ", cases[i].says);
    }
    content zeros = labels_of(N, "|u1", "(9,)");
    memset(zeros.bytes + 128, 0, N);
    store("y.npy", zeros);
    assert_refused(PLAIN, "y.npy: offset 128", "every label is 0; expected at least two classes");
    store("y.npy", labels_of(8, "|u1", "(8,)"));
    assert_refused(PLAIN, "y.npy: expected as many labels as ", "x.npy has images, 9; found 8");
}

static void test_wrong_test_label(void **state) {
    (void)state;
    content a = labels_of(N_TEST, "|u1", "(5,)");
    a.bytes[128 + 2] = 3;
    store("ty.npy", a);
    assert_unreadable(PLAIN, NAS_SPLIT_TEST, 1,
                      "ty.npy: ", "offset 130: label 2: expected 0 to 2, found 3");
}

static void test_names_and_files(void **state) {
    (void)state;
    assert_refused("{'train_images': 'none.npy', " REST "}", "none.npy: no such file",
                   "check the option \"train_images\"");
    assert_refused("{'train_images': 'none.npz:x', " REST "}", "none.npz: no such file", "");
    assert_refused("{'train_images': '.', " REST "}", ": expected a file", "");
    assert_refused("{'train_images': 'x.npy', 'class_names': 'a,b', " REST "}",
                   "\"class_names\": expected 3 names", "found 2");
    assert_refused("{'train_images': 'x.npy', 'class_names': 'a,b,c,d', " REST "}", "found 4", "");
    mkfifo(in_folder("fifo.npy"), 0600); /* opening it would wait for ever */
    assert_refused("{'train_images': 'fifo.npy', " REST "}", "fifo.npy: expected a file", "");
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

static void test_read_checks_what_is_asked(void **state) {
    (void)state;
    uint8_t image[IMAGE];
    instance in;
    open_good(&in, PLAIN);
    const uint64_t beyond[NAS_SPLITS] = {N, N_TEST, 0};
    for (int s = 0; s < NAS_SPLITS; s++) {
        assert_int_equal(api.read(in.self, (nas_split)s, &beyond[s], 1, image, NULL, &in.err),
                         NAS_ERR_PLUGIN);
        assert_says(&in.err, "was asked for, of a split of", "");
    }
    close_instance(&in);
}

/* Files by their names, then an archive's arrays by theirs. */
static void test_recognises(void **state) {
    (void)state;
    assert_null(recognise(folder_path)); /* x.npy and y.npy do not say of which split they are */
    move("x.npy", "x_train.npy");
    move("y.npy", "y_train.npy");
    move("tx.npy", "test_images.npy");
    assert_null(recognise(folder_path));
    move("ty.npy", "test_labels.npy");
    recognised(folder_path,
               "{'train_images': '@/x_train.npy', 'train_labels': '@/y_train.npy', 'test_images': "
               "'@/test_images.npy', 'test_labels': '@/test_labels.npy', 'extra_images': "
               "'@/extra.npy'}");
    store("train_images.npy", images(0, 1, "(1, 4, 6, 3)", C, false));
    assert_null(recognise(folder_path)); /* which one? */
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

#define WITH_ARRAYS(test) cmocka_unit_test_setup_teardown(test, make_arrays, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_sound),
        WITH_ARRAYS(test_recognises),
        WITH_ARRAYS(test_recognises_archives),
        WITH_ARRAYS(test_plain_arrays),
        WITH_ARRAYS(test_shapes_and_layouts),
        WITH_ARRAYS(test_labels_of_any_integer),
        WITH_ARRAYS(test_headers_may_vary),
        WITH_ARRAYS(test_archives),
        WITH_ARRAYS(test_an_archive_of_one),
        WITH_ARRAYS(test_faults_are_named),
        WITH_ARRAYS(test_wrong_labels),
        WITH_ARRAYS(test_wrong_test_label),
        WITH_ARRAYS(test_names_and_files),
        WITH_ARRAYS(test_damaged_archives),
        WITH_ARRAYS(test_truncated_archives),
        WITH_ARRAYS(test_an_archive_that_lies),
        WITH_ARRAYS(test_read_checks_what_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
