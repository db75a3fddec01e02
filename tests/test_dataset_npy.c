/* Plugin npy: what it reads, and what it says of arrays that are wrong; archives are in
 * test_dataset_npz.c. */
#include "../plugins/datasets/npy/npy.c"

#include "npy_arrays.h"

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

/* An array with numbers of another type, and perhaps in Fortran order: first index fastest. */
static content retyped(content from, const char *type, const uint64_t shape[4], bool fortran) {
    content a = {{0}, 0};
    char text[60];
    size_t width = (size_t)(type[2] - '0'), n = 1, old = from.n;
    for (int d = 0; d < 4; d++) n *= (size_t)shape[d];
    snprintf(text, sizeof text, "(%d, %d, %d, %d)", (int)shape[0], (int)shape[1], (int)shape[2],
             (int)shape[3]);
    a.n = header(a.bytes, 1, type, text) + n * width;
    if (fortran) memcpy(memmem(a.bytes, 128, "False", 5), "True ", 5);
    for (size_t i = 0; i < n; i++) {
        uint64_t rest = i, at[4];
        for (int d = 3; d >= 0; rest /= shape[d--]) at[d] = rest % shape[d];
        size_t to =
            fortran ? at[0] + shape[0] * (at[1] + shape[1] * (at[2] + shape[2] * at[3])) : i;
        a.bytes[a.n - n * width + to * width + (type[0] == '>' ? width - 1 : 0)] =
            from.bytes[old - n + i];
    }
    return a;
}

static void test_images_of_other_types_and_orders(void **state) {
    (void)state;
    static const char *const types[] = {"|u1", "<u2", ">u2", "<i4", ">i4"};
    static const uint64_t train[2][4] = {{N, H, W, C}, {N, C, H, W}},
                          test[2][4] = {{N_TEST, H, W, C}, {N_TEST, C, H, W}};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (int planes = 0; planes < 2; planes++)
            for (int fortran = 0; fortran < 2; fortran++) {
                char text[300];
                store("x.npy", retyped(images(0, N, "(9, 4, 6, 3)", C, planes), types[t],
                                       train[planes], fortran));
                store("tx.npy", retyped(images(1, N_TEST, "(5, 4, 6, 3)", C, planes), types[t],
                                        test[planes], fortran));
                snprintf(text, sizeof text, "{'train_images': 'x.npy', 'layout': '%s', " REST "}",
                         planes ? "nchw" : "nhwc");
                instance in;
                open_good(&in, text);
                check_content(&in, C);
                close_instance(&in);
            }
}

static void test_booleans(void **state) {
    (void)state;
    content a = images(0, N, "(9, 4, 6, 3)", C, false), y = labels_of(N, "|b1", "(9,)");
    memcpy(memmem(a.bytes, 128, "|u1", 3), "|b1", 3);
    for (size_t i = a.n - N * IMAGE; i < a.n; i++) a.bytes[i] &= 1;
    store("x.npy", a);
    store("y.npy", y);
    store("ty.npy", labels_of(N_TEST, "|b1", "(5,)"));
    uint8_t out[IMAGE];
    int32_t labels[N];
    instance in;
    open_good(&in, PLAIN);
    assert_int_equal(info_of(&in).classes, 2);
    assert_int_equal(api.read(in.self, NAS_SPLIT_TRAIN, (uint64_t[]){4}, 1, out, labels, NULL), 0);
    for (int i = 0; i < IMAGE; i++)
        assert_int_equal(out[i], a.bytes[a.n - N * IMAGE + 4 * IMAGE + (size_t)i] ? 255 : 0);
    assert_int_equal(api.labels(in.self, NAS_SPLIT_TRAIN, 0, N, labels, NULL), NAS_OK);
    for (int i = 0; i < N; i++) assert_int_equal(labels[i], i % 3 > 0);
    close_instance(&in);
}

static void test_pixels_beyond_a_byte(void **state) {
    (void)state;
    static const uint64_t shape[4] = {N, H, W, C};
    content a = retyped(images(0, N, "(9, 4, 6, 3)", C, false), "<u2", shape, false);
    uint8_t out[IMAGE];
    a.bytes[a.n - 1] = 3;
    store("x.npy", a);
    instance in;
    open_good(&in, PLAIN);
    assert_int_equal(api.read(in.self, NAS_SPLIT_TRAIN, (uint64_t[]){8}, 1, out, NULL, &in.err),
                     NAS_ERR_INPUT);
    assert_non_null(strstr(in.err.message, "offset 1422: expected pixels of 0 to 255, found "));
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
    {"'descr': '|u1'", "'descr': '<u2'", 0, 0, 0, "truncated: expected 1424 bytes, found 776"},
    {"'descr': '|u1'", "'descr': '<f2'", 0, 0, 0, "expected images of integers such as '|u1'"},
    {"'descr': '|u1'", "'descr': '|O' ", 0, 0, 0, "found type '|O'"},
    {"'descr': '|u1'", "'descr': [(1)]", 0, 0, 0,
     "expected a header of descr (one type of number)"},
    {"'descr': '|u1'", "'descn': '|u1'", 0, 0, 0, "expected a header of descr"},
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
        {"<c8", "(9,)", -1, 0, 0, "found type '<c8'; save them as a.astype(numpy.int64)"},
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

static void test_failing_calls(void **state) {
    (void)state;
    assert_survives("{'train_images': 'x.npy', 'train_labels': 'y.npy', 'test_images': 'tx.npy', "
                    "'test_labels': 'ty.npy', 'class_names': ''}",
                    NULL);
}

int main(void) {
    failing_start();
    const struct CMUnitTest tests[] = {
        WITH_ARRAYS(test_failing_calls),
        cmocka_unit_test(test_table_is_sound),
        WITH_ARRAYS(test_recognises),
        WITH_ARRAYS(test_plain_arrays),
        WITH_ARRAYS(test_shapes_and_layouts),
        WITH_ARRAYS(test_images_of_other_types_and_orders),
        WITH_ARRAYS(test_booleans),
        WITH_ARRAYS(test_pixels_beyond_a_byte),
        WITH_ARRAYS(test_labels_of_any_integer),
        WITH_ARRAYS(test_headers_may_vary),
        WITH_ARRAYS(test_faults_are_named),
        WITH_ARRAYS(test_wrong_labels),
        WITH_ARRAYS(test_wrong_test_label),
        WITH_ARRAYS(test_names_and_files),
        WITH_ARRAYS(test_read_checks_what_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
