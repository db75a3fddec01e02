/* safetensors: round trips, and every way in which a file can be wrong. */
#include "base/file.h"
#include "base/safetensors.h"
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char folder[FIXTURE_PATH];
static char path[FIXTURE_PATH + 32];

static int setup(void **state) {
    (void)state;
    int rc = fixture_folder(folder);
    snprintf(path, sizeof path, "%s/t.safetensors", folder);
    return rc;
}

static int teardown(void **state) {
    (void)state;
    fixture_remove(folder);
    return 0;
}

static void assert_says(const nas_error *err, const char *part) {
    if (!strstr(err->message, part)) fail_msg("'%s' does not say '%s'", err->message, part);
    assert_null(strchr(err->message, '\n'));
}

/* A file as malloc'd bytes: header, then n_data bytes that count up. */
static char *make_file(const char *header, size_t header_bytes, size_t n_data, size_t *bytes) {
    uint64_t length = header_bytes;
    *bytes = 8 + header_bytes + n_data;
    char *file = malloc(*bytes);
    assert_non_null(file);
    memcpy(file, &length, 8);
    memcpy(file + 8, header, header_bytes);
    for (size_t i = 0; i < n_data; i++) file[8 + header_bytes + i] = (char)i;
    return file;
}

static int parse(const char *header, size_t n_data, nas_tensor_file *file, nas_error *err) {
    size_t bytes;
    char *memory = make_file(header, strlen(header), n_data, &bytes);
    return nas_tensors_parse(memory, bytes, "here", file, err);
}

static const float numbers[] = {1.5f, -0.0f, 3e-45f, INFINITY, NAN, 6, 7};
static const nas_tensor sample[] = {
    {.name = "stem.weight", .ndim = 2, .shape = {2, 3}, .data = numbers},
    {.name = "scalar", .data = numbers + 6},
    {.name = "none", .ndim = 3, .shape = {2, 0, 5}, .data = NULL},
    {.name = "four \"\\\xc3\xa9", .ndim = 4, .shape = {1, 2, 1, 2}, .data = numbers + 1},
};
enum { SAMPLES = sizeof sample / sizeof *sample };

static void assert_same(const nas_tensor *a, const nas_tensor *b) {
    uint64_t n = 1;
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->ndim, b->ndim);
    assert_memory_equal(a->shape, b->shape, sizeof a->shape);
    for (uint32_t i = 0; i < a->ndim; i++) n *= a->shape[i];
    assert_int_equal((uintptr_t)a->data % _Alignof(float), 0);
    if (n) assert_memory_equal(a->data, b->data, n * sizeof(float));
}

static void test_round_trip(void **state) {
    (void)state;
    nas_error err;
    nas_tensor_file file;
    const char *metadata = "{\"z\":\"one\",\"a\":\"\"}";
    assert_int_equal(nas_tensors_save(path, sample, SAMPLES, metadata, &err), NAS_OK);
    assert_int_equal(nas_tensors_load(path, &file, &err), NAS_OK);
    assert_memory_equal(file.metadata, metadata, strlen(metadata) - 1); /* then the checksum */
    assert_int_equal(file.n_tensors, SAMPLES);
    for (size_t i = 0; i < SAMPLES; i++) {
        assert_same(&file.tensors[i], &sample[i]);
        assert_ptr_equal(nas_tensors_find(&file, sample[i].name), &file.tensors[i]);
    }
    assert_null(nas_tensors_find(&file, "stem"));
    nas_tensors_free(&file);
    nas_tensors_free(&file); /* emptied by the first */
    nas_tensors_free(NULL);
}

/* The format allows any number; who takes weights asks. */
static void test_numbers_that_are_not_finite(void **state) {
    (void)state;
    const float bad[] = {1, 2, -INFINITY};
    nas_tensor tensors[] = {{.name = "good", .ndim = 1, .shape = {2}, .data = bad},
                            {.name = "bad", .ndim = 2, .shape = {1, 3}, .data = bad}};
    nas_tensor_file file;
    nas_error err = {0};
    for (size_t n = 1; n <= 2; n++) {
        assert_int_equal(nas_tensors_save(path, tensors, n, NULL, &err), NAS_OK);
        assert_int_equal(nas_tensors_load(path, &file, &err), NAS_OK);
        assert_int_equal(nas_tensors_finite(&file, path, &err), n == 1 ? NAS_OK : NAS_ERR_NUMERIC);
        nas_tensors_free(&file);
    }
    assert_says(&err, "t.safetensors: tensor \"bad\": number 2 is not finite (-inf)");
}

static void test_no_tensors(void **state) {
    (void)state;
    nas_error err;
    nas_tensor_file file;
    assert_int_equal(nas_tensors_save(path, NULL, 0, NULL, &err), NAS_OK);
    assert_int_equal(nas_tensors_load(path, &file, &err), NAS_OK);
    assert_int_equal(file.n_tensors, 0);
    assert_null(file.metadata);
    assert_null(nas_tensors_find(&file, ""));
    nas_tensors_free(&file);
}

/* Byte for byte what the format's description asks for. */
static void test_written_bytes(void **state) {
    (void)state;
    nas_error err;
    const float data[] = {1, 2};
    const nas_tensor one = {.name = "w", .ndim = 1, .shape = {2}, .data = data};
    const char *header = "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}";
    size_t padded = (strlen(header) + 7) / 8 * 8, bytes;
    char *file;
    assert_int_equal(nas_tensors_save(path, &one, 1, NULL, &err), NAS_OK);
    assert_int_equal(nas_file_read(path, 1000, &file, &bytes, &err), NAS_OK);
    assert_int_equal(bytes, 8 + padded + 8);
    assert_int_equal(file[0], padded);
    for (int i = 1; i < 8; i++) assert_int_equal(file[i], 0);
    assert_memory_equal(file + 8, header, strlen(header));
    for (size_t i = strlen(header); i < padded; i++) assert_int_equal(file[8 + i], ' ');
    assert_memory_equal(file + 8 + padded, "\0\0\x80?\0\0\0@", 8);
    free(file);
}

#define ENTRY(dtype, shape, offsets)                                                               \
    "{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define F32(shape, offsets) ENTRY("\"F32\"", shape, offsets)

/* Other writers pad differently: data at any address is read. */
static void test_any_header_length_is_aligned(void **state) {
    (void)state;
    char header[100];
    for (int pad = 0; pad < 9; pad++) {
        nas_error err;
        nas_tensor_file file;
        snprintf(header, sizeof header, "{\"a\":" F32("[2]", "[0,8]") "%*s}", pad, "");
        assert_int_equal(parse(header, 8, &file, &err), NAS_OK);
        assert_int_equal((uintptr_t)file.tensors[0].data % _Alignof(float), 0);
        assert_memory_equal(file.tensors[0].data, "\0\1\2\3\4\5\6\7", 8);
        nas_tensors_free(&file);
    }
}

/* Bytes as NumPy and ml_dtypes write them, and the numbers that they stand for. */
static void test_other_types(void **state) {
    (void)state;
    static const struct {
        const char *type, *bytes;
        size_t n, width;
        float expected[6];
    } cases[] = {
        {"F16",
         "\x00\x3c\x00\xc0\xff\x7b\x01\x00\xff\x83\x00\x80",
         6,
         2,
         {1, -2, 65504, 0x1p-24f, -1023 * 0x1p-24f, -0.0f}},
        {"F16", "\x00\x7c\x00\xfc\x55\x35", 3, 2, {INFINITY, -INFINITY, 0.333251953125f}},
        {"BF16", "\x80\x3f\x40\xc0\xab\x3e", 3, 2, {1, -3, 0.333984375f}},
        {"F64", "\x9a\x99\x99\x99\x99\x99\xb9\x3f\0\0\0\0\0\0\x04\xc0", 2, 8, {0.1f, -2.5f}},
        {"I64",
         "\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00\x00\x01\0\0\0",
         2,
         8,
         {-1, 4294967296.0f}},
        {"I32", "\x00\x00\x00\x80\x07\0\0\0", 2, 4, {-2147483648.0f, 7}},
        {"I16", "\xfe\xff\x00\x01", 2, 2, {-2, 256}},
        {"I8", "\x80\x7f", 2, 1, {-128, 127}},
        {"U64", "\0\0\0\0\0\0\0\x80", 1, 8, {0x1p63f}},
        {"U32", "\xff\xff\xff\xff", 1, 4, {4294967296.0f}},
        {"U16", "\xff\xff\x01\x00", 2, 2, {65535, 1}},
        {"U8", "\xff\x00\x03", 3, 1, {255, 0, 3}},
        {"BOOL", "\x01\x00", 2, 1, {1, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char header[300];
        nas_error err;
        nas_tensor_file file;
        size_t bytes, n = cases[i].n * cases[i].width;
        snprintf(header, sizeof header,
                 "{\"__metadata__\":{\"checksum\":\"of-before\"},"
                 "\"z\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[%zu,%zu]},"
                 "\"a\":{\"dtype\":\"%s\",\"shape\":[%zu],\"data_offsets\":[0,%zu]}}",
                 n, n + 4, cases[i].type, cases[i].n, n);
        char *memory = make_file(header, strlen(header), n + 4, &bytes);
        memcpy(memory + bytes - n - 4, cases[i].bytes, n);
        memcpy(memory + bytes - 4, "\0\0\x80?", 4);
        if (nas_tensors_parse(memory, bytes, "here", &file, &err)) fail_msg("%s", err.message);
        assert_int_equal(file.n_tensors, 2);
        const nas_tensor *t = nas_tensors_find(&file, "a"), *z = nas_tensors_find(&file, "z");
        for (size_t k = 0; k < cases[i].n; k++)
            assert_memory_equal(&t->data[k], &cases[i].expected[k], sizeof(float));
        assert_int_equal((uintptr_t)z->data % _Alignof(float), 0);
        assert_true(z->data[0] == 1);
        nas_tensors_free(&file);
    }
}

/* Each row: a header over 16 bytes of data, and what the message must say. */
static void test_wrong_headers(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"{\"a\":" ENTRY("\"F8_E4M3\"", "[16]", "[0,16]") "}", "F8_E4M3"},
        {"{\"a\":" ENTRY("\"F16\"", "[4]", "[0,16]") "}", "but its shape needs 8"},
        {"{\"a\":" ENTRY("\"f32\"", "[4]", "[0,16]") "}", "f32"},
        {"{\"a\":" ENTRY("7", "[4]", "[0,16]") "}", "dtype"},
        {"{\"a\":{\"shape\":[4],\"data_offsets\":[0,16]}}", "dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,16]}}", "shape: expected"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4]}}", "data_offsets: expected"},
        {"{\"a\":3}", "expected an object"},
        {"{\"a\":" F32("{}", "[0,16]") "}", "shape: expected"},
        {"{\"a\":" F32("[-4]", "[0,16]") "}", "shape: expected"},
        {"{\"a\":" F32("[4.0]", "[0,16]") "}", "shape: expected"},
        {"{\"a\":" F32("[\"4\"]", "[0,16]") "}", "shape: expected"},
        {"{\"a\":" F32("[1,1,1,1,4]", "[0,16]") "}", "5 dimensions"},
        {"{\"a\":" F32("[5]", "[0,16]") "}", "16 bytes, but its shape needs 20"},
        {"{\"a\":" F32("[4611686018427387905]", "[0,4]") "}", "2^63"}, /* 4 modulo 2^64 */
        {"{\"a\":" F32("[4294967296,4294967296]", "[0,0]") "}", "2^63"},
        {"{\"a\":" F32("[4]", "[16,0]") "}", "begin <= end"},
        {"{\"a\":" F32("[4]", "[-16,0]") "}", "data_offsets: expected"},
        {"{\"a\":" F32("[4]", "[0,16,16]") "}", "data_offsets: expected"},
        {"{\"a\":" F32("[4]", "16") "}", "data_offsets: expected"},
        {"{\"a\":" F32("[4]", "[0,16.0]") "}", "data_offsets: expected"},
        {"{\"a\":" F32("[8]", "[0,32]") "}", "only 16"},
        {"{\"a\":" F32("[1]", "[9223372036854775800,9223372036854775804]") "}", "expected 0"},
        {"{\"a\":" F32("[3]", "[0,12]") "}", "4 bytes of data belong to no tensor"},
        {"{}", "16 bytes of data belong to no tensor"},
        {"{\"a\":" F32("[3]", "[4,16]") "}", "expected 0"},
        {"{\"a\":" F32("[1]", "[0,4]") ",\"b\":" F32("[2]", "[8,16]") "}", "expected 4"},
        {"{\"a\":" F32("[3]", "[0,12]") ",\"b\":" F32("[2]", "[8,16]") "}", "expected 12"},
        {"{\"a\":" F32("[2]", "[0,8]") ",\"a\":" F32("[2]", "[8,16]") "}", "JSON"},
        {"{\"a\":" F32("[4]", "[0,16]"), "JSON"},
        {"{\"a\":" F32("[4]", "[0,16]") "} x", "JSON"},
        {" {\"a\":" F32("[4]", "[0,16]") "}", "start with '{'"},
        {"[]", "start with '{'"},
        {"", "start with '{'"},
        {"{\"a\\u0000b\":" F32("[4]", "[0,16]") "}", "JSON"},
        {"{\"a\\nb\":" F32("[4]", "[0,16]") "}", "control character"},
        {"{\"\xff\":" F32("[4]", "[0,16]") "}", "JSON"},
        {"{\"__metadata__\":{\"k\":1},\"a\":" F32("[4]", "[0,16]") "}", "object of strings"},
        {"{\"__metadata__\":[],\"a\":" F32("[4]", "[0,16]") "}", "object of strings"},
        {"{\"a\":" F32("[4]", "[0,16]") ",\"__metadata__\":null}", "object of strings"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        nas_error err;
        nas_tensor_file file;
        assert_int_equal(parse(rows[i][0], 16, &file, &err), NAS_ERR_INPUT);
        assert_says(&err, rows[i][1]);
        assert_says(&err, "here: ");
        assert_null(file.memory);
        assert_null(file.tensors);
        assert_null(file.metadata);
    }
    nas_error err;
    nas_tensor_file file;
    assert_int_equal(parse("{\"a\":" F32("[4]", "[0,16]") "} \n", 16, &file, &err), NAS_OK);
    nas_tensors_free(&file);
}

static void test_wrong_header_lengths(void **state) {
    (void)state;
    static const struct {
        uint64_t length;
        const char *says;
    } rows[] = {
        {3, "cut off"}, {100000000, "cut off"}, {100000001, "more than"}, {UINT64_MAX, "more than"},
        {1, "JSON"},    {0, "start with"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t bytes;
        nas_error err;
        nas_tensor_file file;
        char *memory = make_file("{}", 2, 0, &bytes);
        memcpy(memory, &rows[i].length, 8);
        assert_int_equal(nas_tensors_parse(memory, bytes, "here", &file, &err), NAS_ERR_INPUT);
        assert_says(&err, rows[i].says);
    }
}

static void test_name_lengths(void **state) {
    (void)state;
    nas_error err;
    nas_tensor_file file;
    char header[300], name[97];
    memset(name, 'n', sizeof name);
    name[96] = '\0';
    snprintf(header, sizeof header, "{\"%s\":" F32("[4]", "[0,16]") "}", name);
    assert_int_equal(parse(header, 16, &file, &err), NAS_ERR_INPUT);
    assert_says(&err, "longer than 95");
    snprintf(header, sizeof header, "{\"%s\":" F32("[4]", "[0,16]") "}", name + 1);
    assert_int_equal(parse(header, 16, &file, &err), NAS_OK);
    assert_string_equal(file.tensors[0].name, name + 1);
    nas_tensors_free(&file);
}

/* A file that was cut anywhere, or that something was added to, is refused. */
static void test_every_truncation(void **state) {
    (void)state;
    nas_error err;
    nas_tensor_file file;
    char *whole;
    size_t bytes;
    assert_int_equal(nas_tensors_save(path, sample, SAMPLES, "{\"k\":\"v\"}", &err), NAS_OK);
    assert_int_equal(nas_file_read(path, 1 << 20, &whole, &bytes, &err), NAS_OK);
    for (size_t n = 0; n <= bytes + 1; n++) {
        char *part = calloc(n ? n : 1, 1);
        memcpy(part, whole, n < bytes ? n : bytes);
        int rc = nas_tensors_parse(part, n, "here", &file, &err);
        assert_int_equal(rc, n == bytes ? NAS_OK : NAS_ERR_INPUT);
        nas_tensors_free(&file);
    }
    free(whole);
}

static void test_load_names_the_file(void **state) {
    (void)state;
    nas_error err;
    nas_tensor_file file;
    assert_int_equal(nas_tensors_load(path, &file, &err), NAS_ERR_IO);
    assert_says(&err, path);
    assert_int_equal(nas_file_write(path, "short", 5, &err), NAS_OK);
    assert_int_equal(nas_tensors_load(path, &file, &err), NAS_ERR_INPUT);
    assert_says(&err, path);
    assert_null(file.memory);
}

/* What could not be read back is not written, and the old file stays. */
static void test_save_refuses(void **state) {
    (void)state;
    nas_error err;
    nas_tensor_file file;
    const float x = 1;
    const nas_tensor good = {.name = "a", .data = &x};
    nas_tensor endless = good;
    memset(endless.name, 'n', sizeof endless.name);
    const struct {
        nas_tensor second;
        const char *metadata, *says;
    } rows[] = {
        {good, NULL, "'a' is taken"},
        {{.name = "__metadata__", .data = &x}, NULL, "taken"},
        {{.name = "b", .ndim = 5, .data = &x}, NULL, "dimensions"},
        {{.name = "b", .ndim = 1, .shape = {SIZE_MAX / 2}, .data = &x}, NULL, "bytes"},
        {{.name = "b", .ndim = 2, .shape = {0, 1ull << 63}}, NULL, "bytes"},
        {{.name = "b", .ndim = 1, .shape = {(1ull << 61) - 1}, .data = &x}, NULL, "large"},
        {{.name = "b"}, NULL, "no data"},
        {{.name = "\xff", .data = &x}, NULL, "UTF-8"},
        {{.name = "b\n", .data = &x}, NULL, "control character"},
        {endless, NULL, "longer than 95"},
        {{.name = "b", .data = &x}, "{\"k\":1}", "object of strings"},
        {{.name = "b", .data = &x}, "{\"k\":", "object of strings"},
        {{.name = "b", .data = &x}, "[]", "object of strings"},
    };
    assert_int_equal(nas_tensors_save(path, &good, 1, NULL, &err), NAS_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        nas_tensor pair[] = {good, rows[i].second};
        assert_int_equal(nas_tensors_save(path, pair, 2, rows[i].metadata, &err), NAS_ERR_INPUT);
        assert_says(&err, rows[i].says);
        assert_says(&err, path);
    }
    assert_int_equal(nas_tensors_load(path, &file, &err), NAS_OK);
    assert_int_equal(file.n_tensors, 1);
    nas_tensors_free(&file);
}

#define UNIT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        UNIT(test_round_trip),
        UNIT(test_numbers_that_are_not_finite),
        UNIT(test_no_tensors),
        UNIT(test_written_bytes),
        cmocka_unit_test(test_any_header_length_is_aligned),
        cmocka_unit_test(test_other_types),
        cmocka_unit_test(test_wrong_headers),
        cmocka_unit_test(test_wrong_header_lengths),
        cmocka_unit_test(test_name_lengths),
        UNIT(test_every_truncation),
        UNIT(test_load_names_the_file),
        UNIT(test_save_refuses),
    };
    return cmocka_run_group_tests_name("safetensors", tests, NULL, NULL);
}
