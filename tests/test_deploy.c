/* `export` and `infer` on a finished run: which subnet, which images, what is written. */
#include "toy_plugins/toy_dataset.c"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/commands.h"
#include "cli/render.h"
#include "data/npy.h"
#include "toy_run.h"

#include <nashost/kit/logits.h>

static int setup(void **state) {
    toys *t = calloc(1, sizeof *t);
    assert_non_null(t);
    toys_open(t);
    *state = t;
    return 0;
}

static int teardown(void **state) {
    toys_close(*state);
    free(*state);
    return 0;
}

/* What the next call is asked for. */
static nas_infer_request wanted;
static nas_export_request to_export;

static int call_infer(const nas_run_request *request, json_t **result, nas_error *err) {
    return nas_infer(request, &wanted, result, err);
}

static int call_export(const nas_run_request *request, json_t **result, nas_error *err) {
    return nas_export(request, &to_export, result, err);
}

/* With the pipeline that stands in the run directory. */
static int call(toys *t, const char *out, toys_how how) {
    char inside[128], path[TOY_PATH];
    nas_pipeline pipeline;
    snprintf(inside, sizeof inside, "%s/pipeline.json", out);
    toys_path(t, inside, path);
    t->err = (nas_error){0};
    toys_good(t, nas_pipeline_load(path, NULL, 0, t->registry, &pipeline, &t->err));
    int rc = toys_run_pipeline(t, &pipeline, out, how);
    nas_pipeline_free(&pipeline);
    return rc;
}

/* infer DIR --input x.npy --logits y.npy in the scratch folder. */
static int infer(toys *t, const char *genome, const char *platform) {
    static char input[TOY_PATH], logits[TOY_PATH];
    toys_path(t, "x.npy", input);
    toys_path(t, "y.npy", logits);
    wanted = (nas_infer_request){
        .genome = genome, .platform = platform, .input = input, .logits = logits};
    return call(t, "a", (toys_how){.call = call_infer, .print = nas_infer_print});
}

static void refused(toys *t, int rc, const char *message) {
    assert_int_equal(rc, NAS_ERR_INPUT);
    if (!strstr(t->err.message, message))
        fail_msg("expected \"%s\" in \"%s\"", message, t->err.message);
}

/* x.npy of a header and bytes of data. */
static void write_npy(const toys *t, const char *dictionary, const void *data, size_t bytes) {
    char path[TOY_PATH];
    toys_path(t, "x.npy", path);
    FILE *file = fopen(path, "wb");
    size_t length = strlen(dictionary);
    assert_non_null(file);
    fprintf(file, "\x93NUMPY\x01%c%c%c%s", 0, (int)(length & 255), (int)(length >> 8), dictionary);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static void write_images(const toys *t, const char *shape, const void *data, size_t bytes) {
    char text[200];
    snprintf(text, sizeof text, "{'descr': '|u1', 'fortran_order': False, 'shape': %s, }\n", shape);
    write_npy(t, text, data, bytes);
}

/* The logits [rows][CLASSES] of y.npy; the caller frees. */
static float *read_logits(const toys *t, size_t rows) {
    size_t bytes, wide = CLASSES * sizeof(float);
    char expected[128], *data = toys_read(t, "y.npy", &bytes);
    snprintf(expected, sizeof expected,
             "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %d), }", rows, CLASSES);
    assert_int_equal(bytes, 128 + rows * wide);
    assert_memory_equal(data, "\x93NUMPY\x01\x00v\x00", 10);
    assert_memory_equal(data + 10, expected, strlen(expected));
    assert_int_equal(data[127], '\n');
    float *logits = malloc(rows * wide);
    assert_non_null(logits);
    memcpy(logits, data + 128, rows * wide);
    free(data);
    return logits;
}

enum { TEST_IMAGES = 60, AREA = SIDE * SIDE };

static void test_images(uint8_t pixels[TEST_IMAGES * AREA]) {
    for (uint32_t i = 0; i < TEST_IMAGES; i++)
        draw(pixels + i * AREA, i % CLASSES, i + 1000000 * (uint32_t)NAS_SPLIT_TEST);
}

/* The test images, as a file, are answered as the report judged them, in any order. */
static void test_agrees_with_report(void **state) {
    toys *t = *state;
    uint8_t pixels[TEST_IMAGES * AREA];
    size_t right = 0;
    toys_good(t, toys_run_plain(t, "a", (toys_how){0}));
    test_images(pixels);
    write_images(t, "(60, 8, 8)", pixels, sizeof pixels);
    toys_good(t, infer(t, NULL, NULL));
    assert_non_null(strstr(t->output, "y.npy: logits of 60 images in 3 classes, subnet r8 "));
    float *logits = read_logits(t, TEST_IMAGES);
    for (size_t i = 0; i < TEST_IMAGES; i++)
        right += nas_argmax(logits + i * CLASSES, CLASSES) == i % CLASSES;
    json_t *family = toys_json(t, "a/family.json");
    const json_t *reference = json_object_get(family, "reference");
    const json_t *largest = json_object_get(reference, "largest");
    double top1 = json_real_value(json_object_get(largest, "test_top1"));
    assert_true(fabs((double)right / TEST_IMAGES - top1) < 1e-12);
    json_decref(family);
    write_images(t, "(1, 8, 8, 1)", pixels + 7 * AREA, AREA);
    toys_good(t, infer(t, NULL, NULL));
    float *alone = read_logits(t, 1);
    assert_memory_equal(alone, logits + 7 * CLASSES, CLASSES * sizeof *alone);
    free(alone);
    free(logits);
}

/* A subnet of a smaller resolution takes images of that size too; resizing them before is the same.
 */
static void test_sizes(void **state) {
    toys *t = *state;
    char genome[TOY_PATH];
    uint8_t pixels[2 * AREA], grey[2 * AREA];
    toys_good(t, toys_run_plain(t, "a", (toys_how){.until = NAS_UNTIL_TRAIN}));
    toys_path(t, "g.json", genome);
    samples_write(t->folder, "g.json",
                  "{\"genome\": {\"resolution\": 6, \"stages\": ["
                  "{\"width\": 4, \"blocks\": [{\"kernel\": 3, \"expand\": 1}]},"
                  "{\"width\": 6, \"blocks\": [{\"kernel\": 5, \"expand\": 2}]}]}}");
    memset(grey, 100, sizeof grey); /* is grey at any size */
    write_images(t, "(2, 8, 8, 1)", grey, sizeof grey);
    toys_good(t, infer(t, genome, NULL));
    float *whole = read_logits(t, 2);
    write_images(t, "(2, 6, 6, 1)", grey, 2 * 36);
    toys_good(t, infer(t, genome, NULL));
    float *small = read_logits(t, 2);
    for (size_t i = 0; i < CLASSES; i++) assert_true(fabsf(whole[i] - small[i]) < 1e-5f);
    free(whole);
    free(small);
    refused(t, infer(t, NULL, NULL),
            "x.npy: expected images of 8 x 8 x 1 as in the data set; found 6 x 6 x 1");
    memset(pixels, 0, sizeof pixels);
    write_images(t, "(2, 7, 7, 1)", pixels, 2 * 49);
    refused(t, infer(t, genome, NULL),
            "8 x 8 x 1 as in the data set, or 6 x 6 x 1 as the subnet takes them; found 7 x 7 x 1");
    write_images(t, "(1, 6, 6, 3)", pixels, 108);
    refused(t, infer(t, genome, NULL), "found 6 x 6 x 3");
}

static void test_wrong_images(void **state) {
    toys *t = *state;
    uint8_t pixels[8 * AREA] = {0};
    char path[TOY_PATH];
    toys_good(t, toys_run_plain(t, "a", (toys_how){.until = NAS_UNTIL_TRAIN}));
    refused(t, infer(t, NULL, NULL), "x.npy");
    assert_non_null(strstr(t->err.message, "no such file"));
    write_npy(t, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 8, 8, 1), }", pixels, 256);
    refused(t, infer(t, NULL, NULL), "expected images of unsigned bytes ('|u1'), found type '<f4'");
    write_npy(t, "{'descr': '|u1', 'fortran_order': True, 'shape': (1, 8, 8, 1), }", pixels, 64);
    refused(t, infer(t, NULL, NULL), "Fortran order; expected C order");
    write_images(t, "(8, 8)", pixels, 64);
    refused(t, infer(t, NULL, NULL), "shape [8, 8]; expected [n, height, width, channels]");
    write_images(t, "(0, 8, 8)", pixels, 0);
    refused(t, infer(t, NULL, NULL), "at least one image");
    write_images(t, "(2, 8, 8)", pixels, 127);
    refused(t, infer(t, NULL, NULL), "expected as many bytes as shape [2, 8, 8] says, found 127");
    write_images(t, "(2, 8, 8)", pixels, 129);
    refused(t, infer(t, NULL, NULL), "found 129");
    write_images(t, "(2147483647, 65536, 65536, 65536)", pixels, 0);
    refused(t, infer(t, NULL, NULL), "found 0");
    samples_write(t->folder, "x.npy", "PK\003\004 and so on, an archive");
    refused(t, infer(t, NULL, NULL), "not an array in .npy format but an archive (.npz)");
    samples_write(t->folder, "x.npy", "");
    refused(t, infer(t, NULL, NULL), "expected an array in .npy format, found 0 bytes");
    write_npy(t, "{'descr': '|u1', 'fort", pixels, 0);
    refused(t, infer(t, NULL, NULL), "the header is damaged");
    toys_path(t, "y.npy", path);
    assert_false(nas_file_exists(path));
}

/* One subnet, of a file or a platform. */
static void test_which(void **state) {
    toys *t = *state;
    char genome[TOY_PATH];
    uint8_t pixels[AREA] = {0};
    toys_good(t, toys_run_plain(t, "a", (toys_how){.until = NAS_UNTIL_TRAIN}));
    write_images(t, "(1, 8, 8)", pixels, sizeof pixels);
    refused(t, infer(t, NULL, "big"), "holds no family.json");
    toys_good(t, toys_run_plain(t, "a", (toys_how){0}));
    toys_good(t, infer(t, NULL, "small"));
    float *by_name = read_logits(t, 1);
    refused(t, infer(t, NULL, "smal"), "no platform \"smal\" in it; did you mean \"small\"?");
    json_t *family = toys_json(t, "a/family.json");
    const json_t *platforms = json_object_get(family, "platforms");
    toys_path(t, "g.json", genome);
    assert_int_equal(json_dump_file(json_array_get(platforms, 1), genome, 0), 0);
    toys_good(t, infer(t, genome, NULL));
    float *by_file = read_logits(t, 1);
    assert_memory_equal(by_name, by_file, CLASSES * sizeof(float));
    assert_int_equal(json_dump_file(platforms, genome, 0), 0);
    refused(t, infer(t, genome, NULL), "expected one subnet, found an array of 2");
    json_decref(family);
    free(by_name);
    free(by_file);
}

/* The file is the one that the run itself wrote for this platform. */
static void test_export(void **state) {
    toys *t = *state;
    char out[TOY_PATH];
    toys_good(t, toys_run_plain(t, "a", (toys_how){0}));
    toys_path(t, "net.txt", out);
    to_export = (nas_export_request){.platform = "small", .format = "toy-export", .out = out};
    toys_good(t, call(t, "a", (toys_how){.call = call_export, .print = nas_export_print}));
    toys_same(t, "net.txt", "a/family/small.txt");
    assert_non_null(strstr(t->output, "net.txt: "));
    toys_good(
        t, call(t, "a", (toys_how){.call = call_export, .print = nas_export_print, .json = true}));
    json_t *printed = json_loads(t->output, 0, NULL);
    const json_t *files = json_object_get(printed, "files");
    assert_int_equal(json_array_size(files), 1);
    assert_string_equal(json_string_value(json_array_get(files, 0)), out);
    assert_string_equal(json_string_value(json_object_get(printed, "subnet")), "small");
    json_decref(printed);
    to_export.format = "toy-exprot";
    refused(t, call(t, "a", (toys_how){.call = call_export, .print = nas_export_print}),
            "did you mean \"toy-export\"?");
    json_t *unknown = json_pack("{s:i}", "colour", 3);
    to_export.format = "toy-export";
    to_export.options = unknown;
    refused(t, call(t, "a", (toys_how){.call = call_export, .print = nas_export_print}), "colour");
    json_decref(unknown);
    toys_path(t, "no/such/folder", out);
    to_export = (nas_export_request){.format = "toy-export", .out = out};
    assert_int_equal(call(t, "a", (toys_how){.call = call_export, .print = nas_export_print}),
                     NAS_ERR_IO);
}

/* ---- 8 bits ---- */

#define FLOAT_FILE "{\"plugin\": \"toy-export\"}"
#define INT8_FILE "{\"plugin\": \"toy-export\", \"options\": {\"int8\": true}}"
#define INT8W7_FILE                                                                                \
    "{\"plugin\": \"toy-export\", \"options\": {\"int8\": true, \"weight_bits\": 7}}"

/* The share of the test images, in x.npy, that infer answers rightly in 8 bits. */
static double int8_top1(toys *t, const char *platform, uint32_t weight_bits) {
    static char input[TOY_PATH], logits_path[TOY_PATH];
    size_t right = 0;
    toys_path(t, "x.npy", input);
    toys_path(t, "y.npy", logits_path);
    wanted = (nas_infer_request){.platform = platform,
                                 .input = input,
                                 .logits = logits_path,
                                 .int8 = true,
                                 .weight_bits = weight_bits};
    toys_good(t, call(t, "a", (toys_how){.call = call_infer, .print = nas_infer_print}));
    float *logits = read_logits(t, TEST_IMAGES);
    for (size_t i = 0; i < TEST_IMAGES; i++)
        right += nas_argmax(logits + i * CLASSES, CLASSES) == i % CLASSES;
    free(logits);
    return (double)right / TEST_IMAGES;
}

static void check_entry(toys *t, const json_t *entry) {
    const json_t *int8 = json_object_get(entry, "int8"), *files = json_object_get(entry, "files");
    const char *name = json_string_value(json_object_get(entry, "name"));
    char expected[64];
    double top1 = json_real_value(json_object_get(int8, "test_top1"));
    double loss = json_real_value(json_object_get(int8, "top1_loss"));
    assert_true(fabs(int8_top1(t, name, 0) - top1) < 1e-12);
    assert_true(fabs(json_real_value(json_object_get(entry, "test_top1")) - top1 - loss) < 1e-12);
    assert_int_equal(json_integer_value(json_object_get(int8, "calibration_images")), 24);
    assert_int_equal(json_array_size(files), 2);
    snprintf(expected, sizeof expected, "family/%s.txt", name);
    assert_string_equal(json_string_value(json_array_get(files, 0)), expected);
    snprintf(expected, sizeof expected, "family/%s.int8.txt", name);
    assert_string_equal(json_string_value(json_array_get(files, 1)), expected);
}

/* Both files side by side, what 8 bits cost, and the same file from `export`. */
static void test_int8(void **state) {
    toys *t = *state;
    uint8_t pixels[TEST_IMAGES * AREA];
    char out[TOY_PATH];
    float low, high;
    toys_good(t, toys_run(t, "a", (toys_how){0}, "export=[" FLOAT_FILE ", " INT8_FILE "]"));
    assert_non_null(strstr(t->output, "in int8"));
    test_images(pixels);
    write_images(t, "(60, 8, 8)", pixels, sizeof pixels);
    json_t *family = toys_json(t, "a/family.json");
    const json_t *platforms = json_object_get(family, "platforms");
    for (size_t i = 0; i < 2; i++) check_entry(t, json_array_get(platforms, i));
    json_decref(family);
    char *text = toys_read(t, "a/family/small.int8.txt", NULL);
    /* The genome's line, a name, a sum, and the range. */
    assert_int_equal(sscanf(text, "%*[^\n]\n%*s\n%*f\n%f %f\n", &low, &high), 2);
    assert_true(low < high);
    free(text);
    toys_path(t, "net.txt", out);
    json_t *asked = json_pack("{s:b}", "int8", 1);
    to_export = (nas_export_request){
        .platform = "small", .format = "toy-export", .options = asked, .out = out};
    toys_good(t, call(t, "a", (toys_how){.call = call_export, .print = nas_export_print}));
    toys_same(t, "net.txt", "a/family/small.int8.txt");
    json_decref(asked);
}

/* With weights of 7 bits: a file and figures beside those of 8 bits. */
static void test_weight_bits(void **state) {
    toys *t = *state;
    uint8_t pixels[TEST_IMAGES * AREA];
    unsigned bits = 0;
    toys_good(t, toys_run(t, "a", (toys_how){0}, "export=[" INT8_FILE ", " INT8W7_FILE "]"));
    assert_non_null(strstr(t->output, "in int8w7"));
    test_images(pixels);
    write_images(t, "(60, 8, 8)", pixels, sizeof pixels);
    json_t *family = toys_json(t, "a/family.json");
    const json_t *entry = json_array_get(json_object_get(family, "platforms"), 0);
    double eight = json_real_value(nas_json_at(entry, "int8.test_top1"));
    double seven = json_real_value(nas_json_at(entry, "int8w7.test_top1"));
    const char *name = json_string_value(json_object_get(entry, "name"));
    assert_true(fabs(int8_top1(t, name, 8) - eight) < 1e-12);
    char *text = toys_read(t, "y.npy", NULL);
    assert_true(fabs(int8_top1(t, name, 7) - seven) < 1e-12);
    char *other = toys_read(t, "y.npy", NULL);
    assert_true(memcmp(text, other, 128 + TEST_IMAGES * CLASSES * sizeof(float)) != 0);
    free(text);
    free(other);
    json_decref(family);
    text = toys_read(t, "a/family/small.int8w7.txt", NULL);
    assert_int_equal(sscanf(text, "%*[^\n]\n%*s\n%*f\n%*f %*f %u\n", &bits), 1);
    assert_int_equal(bits, 7);
    free(text);
    refused(t, toys_run(t, "b", (toys_how){0}, "export=[" INT8W7_FILE ", " INT8W7_FILE "]"),
            "export[1]: 'toy-export' writes family/big.int8w7.txt for platform 'big', as export[0] "
            "does already; keep one of them");
}

/* ---- What describes an exported file ---- */

/* The bytes of a Base64 text, which says how many they are; the caller frees. */
static uint8_t *decode(const char *text, size_t *bytes) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t *data = malloc(strlen(text));
    uint32_t bits = 0, n = 0;
    assert_non_null(data);
    for (*bytes = 0; *text && *text != '='; text++) {
        bits = bits << 6 | (uint32_t)(strchr(digits, *text) - digits);
        if (++n % 4 != 1) data[(*bytes)++] = (uint8_t)(bits >> (6 - 2 * ((n - 1) % 4)));
    }
    return data;
}

/* Its sample is answered by `infer` as it says. */
static void check_sample(toys *t, const json_t *described, bool int8) {
    static char input[TOY_PATH], logits_path[TOY_PATH];
    const char *text = json_string_value(nas_json_at(described, "sample.pixels"));
    long long side = json_integer_value(nas_json_at(described, "image.height"));
    const json_t *logits = nas_json_at(described, "sample.logits");
    char shape[64];
    size_t bytes;
    uint8_t *pixels = decode(text, &bytes);
    assert_int_equal(bytes, side * side);
    snprintf(shape, sizeof shape, "(1, %lld, %lld)", side, side);
    write_images(t, shape, pixels, bytes);
    free(pixels);
    toys_path(t, "x.npy", input);
    toys_path(t, "y.npy", logits_path);
    wanted = (nas_infer_request){
        .platform = "small", .input = input, .logits = logits_path, .int8 = int8};
    toys_good(t, call(t, "a", (toys_how){.call = call_infer, .print = nas_infer_print}));
    float *found = read_logits(t, 1);
    assert_int_equal(json_array_size(logits), CLASSES);
    for (size_t c = 0; c < CLASSES; c++)
        assert_true(fabs(json_real_value(json_array_get(logits, c)) - (double)found[c]) < 1e-4);
    assert_int_equal(json_integer_value(nas_json_at(described, "sample.answer")),
                     nas_argmax(found, CLASSES));
    free(found);
}

static void test_description(void **state) {
    toys *t = *state;
    toys_good(t, toys_run(t, "a", (toys_how){0}, "export=[" FLOAT_FILE ", " INT8_FILE "]"));
    json_t *family = toys_json(t, "a/family.json");
    const json_t *entry = NULL, *platforms = json_object_get(family, "platforms");
    for (size_t i = 0; i < json_array_size(platforms); i++) {
        const json_t *name = nas_json_at(json_array_get(platforms, i), "name");
        if (strcmp(json_string_value(name), "small") == 0) entry = json_array_get(platforms, i);
    }
    for (int int8 = 0; int8 < 2; int8++) {
        json_t *described =
            toys_json(t, int8 ? "a/family/small.int8.txt.json" : "a/family/small.txt.json");
        assert_string_equal(json_string_value(nas_json_at(described, "files.0.name")),
                            int8 ? "small.int8.txt" : "small.txt");
        assert_int_equal(json_array_size(nas_json_at(described, "classes")), CLASSES);
        assert_true(json_equal(nas_json_at(described, "genome"), nas_json_at(entry, "genome")));
        assert_true(json_is_null(nas_json_at(described, "image.from_pictures")));
        assert_true(json_equal(nas_json_at(described, "tested.top1"),
                               nas_json_at(entry, int8 ? "int8.test_top1" : "test_top1")));
        assert_int_equal(json_integer_value(nas_json_at(described, "tested.images")), TEST_IMAGES);
        const json_t *layers = nas_json_at(described, "int8.layers");
        if (int8) assert_non_null(nas_json_at(json_array_get(layers, 0), "weight_scales.0"));
        assert_true(int8 == (layers != NULL));
        check_sample(t, described, int8);
        json_decref(described);
    }
    json_decref(family);
    /* An array without an output is answered on the screen. */
    wanted.logits = NULL;
    toys_good(t, call(t, "a", (toys_how){.call = call_infer, .print = nas_infer_print}));
    assert_non_null(strstr(t->output, "image 0: "));
    assert_non_null(strstr(t->output, " %\n"));
    /* Nothing here reads pictures. */
    wanted.input = "x.png";
    refused(t, call(t, "a", (toys_how){.call = call_infer, .print = nas_infer_print}),
            "no data set plugin of the manifests reads image files");
}

/* Without such a format nothing is said of 8 bits; twice the same one would be one file. */
static void test_int8_alone(void **state) {
    toys *t = *state;
    toys_good(t, toys_run_plain(t, "a", (toys_how){0}));
    assert_null(strstr(t->output, "int8"));
    json_t *family = toys_json(t, "a/family.json");
    const json_t *platforms = json_object_get(family, "platforms");
    assert_null(json_object_get(json_array_get(platforms, 0), "int8"));
    json_decref(family);
    refused(t, toys_run(t, "b", (toys_how){0}, "export=[" INT8_FILE ", " INT8_FILE "]"),
            "export[1]: 'toy-export' writes family/big.int8.txt for platform 'big', as export[0] "
            "does already");
}

/* A platform with a list of its own gets what stands there, the other what all get. */
static void test_own_exports(void **state) {
    toys *t = *state;
    toys_good(t, toys_run(t, "a", (toys_how){0}, "platforms.1.export=[" INT8_FILE "]"));
    assert_non_null(strstr(t->output, "in int8"));
    json_t *family = toys_json(t, "a/family.json");
    const json_t *platforms = json_object_get(family, "platforms");
    assert_null(nas_json_at(platforms, "0.int8"));
    assert_non_null(nas_json_at(platforms, "1.int8.test_top1"));
    assert_int_equal(json_array_size(nas_json_at(platforms, "1.files")), 1);
    assert_string_equal(json_string_value(nas_json_at(platforms, "0.files.0")), "family/big.txt");
    assert_string_equal(json_string_value(nas_json_at(platforms, "1.files.0")),
                        "family/small.int8.txt");
    assert_false(toys_exist(t, "a/family/small.txt"));
    json_decref(family);
    /* Other files of the same subnets: nothing is searched again. */
    char *before = toys_read(t, "a/search/small.jsonl", NULL);
    toys_good(t, toys_run(t, "a", (toys_how){0}, "platforms.1.export=[" INT8W7_FILE "]"));
    char *after = toys_read(t, "a/search/small.jsonl", NULL);
    assert_string_equal(before, after);
    free(before);
    free(after);
    char *log = toys_read(t, "a/family.json", NULL);
    assert_non_null(strstr(log, "family/small.int8w7.txt"));
    free(log);
    /* Another platform's name may be this one's with the type. */
    refused(t,
            toys_run(t, "b", (toys_how){0},
                     "platforms.1={\"name\": \"big.int8\", \"hardware\": {\"plugin\": "
                     "\"toy-hardware\"}, \"export\": [" FLOAT_FILE "]}",
                     "platforms.0.export=[" INT8_FILE "]"),
            "platforms[1].export[0]: 'toy-export' writes family/big.int8.txt for platform "
            "'big.int8', as platforms[0].export[0] does already for platform 'big'; keep one of "
            "them, or give the platform another name");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_agrees_with_report, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_images, setup, teardown),
        cmocka_unit_test_setup_teardown(test_which, setup, teardown),
        cmocka_unit_test_setup_teardown(test_export, setup, teardown),
        cmocka_unit_test_setup_teardown(test_int8, setup, teardown),
        cmocka_unit_test_setup_teardown(test_weight_bits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_description, setup, teardown),
        cmocka_unit_test_setup_teardown(test_int8_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_exports, setup, teardown),
    };
    return cmocka_run_group_tests_name("deploy", tests, NULL, NULL);
}
