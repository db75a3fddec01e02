/* Files of a run that are damaged, or of another form: checkpoints, arrays, texts that are not
 * UTF-8. Each is refused with file and key, or the one before it is used. */
#include "base/file.h"
#include "base/json.h"
#include "base/safetensors.h"
#include "data/npy.h"
#include "fixture.h"
#include "run/checkpoint.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>
#include <nashost/kit/dataset_files.h>
#include <unistd.h>

enum { NUMBERS = 3, STEPS = 50 };

static char folder[FIXTURE_PATH];

static int make_folder(void **state) {
    (void)state;
    return fixture_folder(folder);
}

static int remove_folder(void **state) {
    (void)state;
    fixture_remove(folder);
    return 0;
}

static const char *in_folder(const char *name) {
    static char path[FIXTURE_PATH + 128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* ---- Checkpoints ---- */

/* Writes a checkpoint of a tensor of each name, by what is given. */
typedef struct made {
    const char *metadata;
    uint64_t size; /* of the weights */
    uint32_t ndim;
    float number;
    const char *velocity; /* its name */
} made;

static void write_checkpoint(const char *name, const made *m) {
    float numbers[4] = {1, 2, m->number, 3};
    nas_error err = {0};
    nas_tensor tensors[2] = {
        {.name = "weights", .ndim = m->ndim, .shape = {m->size, m->ndim > 1}, .data = numbers},
        {.ndim = 1, .shape = {NUMBERS}, .data = numbers}};
    snprintf(tensors[1].name, sizeof tensors[1].name, "%s", m->velocity);
    assert_int_equal(nas_folder_make(in_folder("checkpoint"), &err), NAS_OK);
    if (nas_tensors_save(in_folder(name), tensors, 2, m->metadata, &err))
        fail_msg("%s", err.message);
}

static int load(bool *found, nas_error *err) {
    static nas_real arrays[2][NUMBERS];
    nas_train_state state = {.size = NUMBERS, .weights = arrays[0], .velocity = arrays[1]};
    *err = (nas_error){0};
    return nas_checkpoint_load(folder, STEPS, NULL, &state, found, err);
}

/* The metrics' text as the program writes it, which the cases' metadata hold. */
static char *metadata_of(const char *step, const char *seconds, const char *logged,
                         const char *metrics) {
    static char text[2000];
    json_t *json = json_object(), *state = NULL;
    const nas_metrics none = {0};
    char *sums = NULL;
    if (!metrics) state = nas_metrics_state(&none);
    if (state) sums = nas_json_text(state, JSON_COMPACT, NULL);
    if (step) nas_json_put(&json, "step", json_string(step));
    if (seconds) nas_json_put(&json, "seconds", json_string(seconds));
    if (logged) nas_json_put(&json, "logged", json_string(logged));
    nas_json_put(&json, "metrics", json_string(sums ? sums : metrics));
    char *all = nas_json_text(json, JSON_COMPACT, NULL);
    snprintf(text, sizeof text, "%s", all);
    free(all);
    free(sums);
    json_decref(state);
    json_decref(json);
    return text;
}

static void test_checkpoints(void **state) {
    (void)state;
    static const struct {
        const char *step, *seconds, *logged, *metrics;
        made as;
        const char *says;
    } cases[] = {
        {"7", "1.5", "0.5", NULL, {NULL, 3, 1, 1, "velocity"}, NULL},
        {"50", "0", "0", NULL, {NULL, 3, 1, 1, "velocity"}, NULL},
        {NULL, "1", "0", NULL, {NULL, 3, 1, 1, "velocity"}, "step: expected a whole number from 0"},
        {"51", "1", "0", NULL, {NULL, 3, 1, 1, "velocity"}, "0 to 50 as a string, found \"51\""},
        {"inf", "1", "0", NULL, {NULL, 3, 1, 1, "velocity"}, "found \"inf\""},
        {"7x", "1", "0", NULL, {NULL, 3, 1, 1, "velocity"}, "found \"7x\""},
        {"00000000000000000007", "1", "0", NULL, {NULL, 3, 1, 1, "velocity"}, "found \"0000"},
        {"7", NULL, "0", NULL, {NULL, 3, 1, 1, "velocity"}, "__metadata__.seconds: expected"},
        {"7", "", "0", NULL, {NULL, 3, 1, 1, "velocity"}, "__metadata__.seconds: expected"},
        {"7", "1s", "0", NULL, {NULL, 3, 1, 1, "velocity"}, "__metadata__.seconds: expected"},
        {"7", "-1", "0", NULL, {NULL, 3, 1, 1, "velocity"}, "__metadata__.seconds: expected"},
        {"7", "1e999", "0", NULL, {NULL, 3, 1, 1, "velocity"}, "__metadata__.seconds: expected"},
        {"7", "1", "nan", NULL, {NULL, 3, 1, 1, "velocity"}, "__metadata__.logged: expected"},
        {"7", "1", "0", "{}", {NULL, 3, 1, 1, "velocity"}, "metrics: expected the sums of a"},
        {"7", "1", "0", "{", {NULL, 3, 1, 1, "velocity"}, "not valid JSON"},
        {"7", "1", "0", NULL, {NULL, 3, 1, INFINITY, "velocity"}, "weights"},
        {"7", "1", "0", NULL, {NULL, 4, 1, 1, "velocity"}, "a tensor 'weights' of 3 numbers"},
        {"7", "1", "0", NULL, {NULL, 3, 2, 1, "velocity"}, "a tensor 'weights' of 3 numbers"},
        {"7", "1", "0", NULL, {NULL, 3, 1, 1, "speed"}, "a tensor 'velocity' of 3 numbers"},
    };
    const made good = {metadata_of("6", "1", "1", NULL), 3, 1, 1, "velocity"};
    nas_error err;
    bool found;
    assert_int_equal(load(&found, &err), NAS_OK);
    assert_false(found);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        made m = cases[i].as;
        m.metadata =
            metadata_of(cases[i].step, cases[i].seconds, cases[i].logged, cases[i].metrics);
        write_checkpoint("checkpoint/state.safetensors", &m);
        int rc = load(&found, &err);
        assert_true(found);
        if (!cases[i].says ? rc != 0 : !rc || !strstr(err.message, cases[i].says))
            fail_msg("case %zu: %d, %s", i, rc, err.message);
        if (!rc) continue;
        m = good; /* the one before it */
        m.metadata = metadata_of("6", "1", "1", NULL);
        write_checkpoint("checkpoint/previous.safetensors", &m);
        if (load(&found, &err)) fail_msg("case %zu: %s", i, err.message);
        assert_int_equal(remove(in_folder("checkpoint/state.safetensors")), 0);
        if (load(&found, &err)) fail_msg("case %zu: %s", i, err.message);
        assert_int_equal(remove(in_folder("checkpoint/previous.safetensors")), 0);
    }
    nas_checkpoint_remove(folder);
    assert_false(nas_file_exists(in_folder("checkpoint")));
}

static void test_origins(void **state) {
    (void)state;
    nas_error err;
    bool found;
    char text[2400];
    const char *plain = metadata_of("6", "1", "1", NULL);
    snprintf(text, sizeof text, "{\"program\":\"another\",%s", plain + 1);
    const made foreign = {text, 3, 1, 1, "velocity"};
    write_checkpoint("checkpoint/state.safetensors", &foreign);
    write_checkpoint("checkpoint/previous.safetensors", &foreign);
    assert_int_equal(load(&found, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "its program is \"another\", and here it is"));
    assert_non_null(strstr(err.message, "state.safetensors"));
    /* A path that is too long is said so by each that makes one. */
    char *deep = malloc(5000);
    assert_non_null(deep);
    memset(deep, 'a', 4999);
    deep[4999] = 0;
    nas_real arrays[2][NUMBERS] = {{0}};
    nas_train_state none = {.size = NUMBERS, .weights = arrays[0], .velocity = arrays[1]};
    assert_int_equal(nas_checkpoint_load(deep, STEPS, NULL, &none, &found, &err), NAS_ERR_INPUT);
    assert_int_equal(nas_checkpoint_save(deep, &none, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "path is too long"));
    nas_checkpoint_remove(deep);
    free(deep);
    /* Without a pipeline, a loss and an average it is saved and loaded, too. */
    nas_checkpoint_remove(folder);
    none.step = 9;
    assert_int_equal(nas_checkpoint_save(folder, &none, &err), NAS_OK);
    none.step = 0;
    assert_int_equal(nas_checkpoint_load(folder, STEPS, NULL, &none, &found, &err), NAS_OK);
    assert_int_equal(none.step, 9);
}

/* A file that is no checkpoint at all. */
static void test_no_checkpoint(void **state) {
    (void)state;
    nas_error err;
    bool found;
    const float numbers[NUMBERS] = {1, 2, 3};
    const nas_tensor tensor = {.name = "weights", .ndim = 1, .shape = {NUMBERS}, .data = numbers};
    unsigned char bare[8 + 64 + 12] = {64};
    memset(bare + 8, ' ', 64);
    static const char header[] =
        "{\"weights\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}}";
    memcpy(bare + 8, header, sizeof header - 1);
    assert_int_equal(nas_folder_make(in_folder("checkpoint"), &err), NAS_OK);
    assert_int_equal(
        nas_file_write(in_folder("checkpoint/state.safetensors"), bare, sizeof bare, &err), NAS_OK);
    assert_int_equal(load(&found, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "__metadata__.checksum: missing"));
    assert_int_equal(
        nas_tensors_save(in_folder("checkpoint/state.safetensors"), &tensor, 1, "{}", &err),
        NAS_OK);
    assert_int_equal(load(&found, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "__metadata__.step: expected"));
}

/* ---- Arrays ---- */

static void write_array(const char *text, size_t length, size_t bytes) {
    unsigned char data[600] = "\x93NUMPY\x01";
    data[8] = (unsigned char)length;
    memcpy(data + 10, text, strlen(text));
    nas_error err;
    assert_int_equal(nas_file_write(in_folder("a.npy"), data, 10 + strlen(text) + bytes, &err),
                     NAS_OK);
}

static void test_arrays(void **state) {
    (void)state;
#define ARRAY(type, order, shape)                                                                  \
    "{'descr': '" type "', 'fortran_order': " order ", 'shape': " shape ", }"
    static const struct {
        const char *text;
        int more; /* than the header's bytes */
        size_t bytes;
        const char *says;
    } cases[] = {
        {ARRAY("|u1", "False", "(2, 3, 4, 1)"), 0, 24, NULL},
        {ARRAY("|u1", "False", "(2, 3, 4)"), 0, 24, NULL},
        {ARRAY("|u1", "False", "(2, 3, 4)"), 0, 23, "as many bytes as shape"},
        {ARRAY("|u1", "False", "(2, 65536, 65536, 65536)"), 0, 24, "as many bytes as shape"},
        {ARRAY("|u1", "False", "(2, 3)"), 0, 6, "expected [n, height, width, channels]"},
        {ARRAY("|u1", "False", "(2, 3, 1, 1, 1)"), 0, 6, "expected a shape of 1 to 4 sizes"},
        {ARRAY("|u1", "False", "(0, 3, 4)"), 0, 0, "at least one image"},
        {ARRAY("|u1", "False", "(2, 65537, 1)"), 0, 6, "expected [n, height"},
        {ARRAY("<f4", "False", "(2, 3, 4)"), 0, 96, "unsigned bytes ('|u1'), found type '<f4'"},
        {ARRAY("|u1", "True", "(2, 3, 4)"), 0, 24, "Fortran order"},
        {ARRAY("|u1", "False", "(2, 3, 4)"), 90, 24, "truncated: expected a header of"},
        {"", 0, 0, "expected an array in .npy format, found 10 bytes"},
    };
    nas_npy_images images;
    nas_error err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_array(cases[i].text, strlen(cases[i].text) + (size_t)cases[i].more, cases[i].bytes);
        err = (nas_error){0};
        int rc = nas_npy_read(in_folder("a.npy"), &images, &err);
        if (!cases[i].says ? rc != 0 : rc != NAS_ERR_INPUT || !strstr(err.message, cases[i].says))
            fail_msg("case %zu: %d, %s", i, rc, err.message);
        if (!rc) assert_true(images.n == 2 && images.h == 3 && images.w == 4 && images.c == 1);
        nas_npy_free(&images);
    }
    assert_int_equal(nas_file_write(in_folder("a.npy"), "\x93NUMPX\x01\0\0\0\0\0\0", 14, &err),
                     NAS_OK);
    assert_int_equal(nas_npy_read(in_folder("a.npy"), &images, &err), NAS_ERR_INPUT);
    assert_int_equal(nas_npy_read(in_folder("none.npy"), &images, &err), NAS_ERR_INPUT);
    assert_int_equal(nas_npy_read(in_folder("none.npy"), &images, NULL), NAS_ERR_INPUT);
    nas_npy_free(NULL);
    static const struct {
        unsigned char head[12];
        const char *says;
    } heads[] = {{"\x93NUMPY\0\0\2\0{}", "format version 0.0"},
                 {"\x93NUMPY\4\0\2\0{}", "format version 4.0"},
                 {"\x93NUMPY\1\1\2\0{}", "format version 1.1"},
                 {"\x93NUMPY\2\0\0\0\0\7", "a header of 117440512 bytes"},
                 {"PK\3\4\0\0\0\0\0\0\0\0", "but an archive (.npz)"}};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        assert_int_equal(nas_file_write(in_folder("a.npy"), heads[i].head, 12, &err), NAS_OK);
        assert_int_equal(nas_npy_read(in_folder("a.npy"), &images, &err), NAS_ERR_INPUT);
        if (!strstr(err.message, heads[i].says)) fail_msg("head %zu: %s", i, err.message);
    }
}

/* ---- What files are called and hold ---- */

static void test_labels_and_roles(void **state) {
    (void)state;
    static const char *const numbers[] = {"1", "01", "7"};
    static nas_roles roles;
    static nas_recognised found;
    long value;
    assert_false(nas_label_number("", &value));
    assert_false(nas_label_number("1234567890", &value));
    assert_false(nas_label_number("001234567890", NULL));
    assert_true(nas_label_number("000000000000", &value) && value == 0);
    assert_int_equal(nas_label_class(numbers, 3, "001"), 0); /* the first of two */
    assert_int_equal(nas_label_class(numbers, 3, "01"), 1);
    assert_int_equal(nas_label_class(numbers, 3, "8"), -1);
    nas_roles_add(&roles, "extra_labels.npy", "x"); /* of which nobody knows what they are */
    for (int i = 0; i < NAS_ROLES; i++) assert_string_equal(roles.values[i], "");
    nas_roles_add(&roles, "unlabelled.npy", "y");
    assert_string_equal(roles.values[NAS_ROLE_EXTRA_IMAGES], "y");
    nas_recognised_text(&found, "k", "a\"b\\c\n");
    assert_string_equal(found.options, "{\"k\": \"a\\u0022b\\u005cc\\u000a\"}");
    assert_true(found.yes);
    char *large = calloc(1, NAS_RECOGNISED_TEXT + 1);
    assert_non_null(large);
    memset(large, '1', NAS_RECOGNISED_TEXT);
    nas_recognised_json(&found, "n", large);
    assert_false(found.yes);
    free(large);
}

/* What cannot be read or written as a file. */
static void test_no_files(void **state) {
    (void)state;
    nas_error err;
    int file;
    bool got;
    char *data;
    size_t bytes;
    assert_int_equal(nas_file_open_append("/dev/null", &file, &err), NAS_ERR_IO);
    assert_non_null(strstr(err.message, "it is not a regular file"));
    assert_int_equal(nas_file_open_append(folder, &file, &err), NAS_ERR_IO);
    assert_int_equal(nas_folder_lock(in_folder("none"), &file, &got, &err), NAS_ERR_IO);
    assert_int_equal(nas_file_read("/proc/self/status", 1 << 20, &data, &bytes, &err), NAS_ERR_IO);
    assert_non_null(strstr(err.message, "changed its size while it was read"));
    assert_int_equal(nas_file_keep(in_folder("none"), in_folder("kept"), &err), NAS_OK);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (full < 0) return;
    assert_int_equal(nas_file_append(full, "/dev/full", "x", 1, &err), NAS_ERR_IO);
    assert_non_null(strstr(err.message, "free some space there"));
    close(full);
}

/* ---- Texts ---- */

/* By the table of RFC 3629: overlong forms, surrogates, what is beyond U+10FFFF, and ends. */
static void test_utf8(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"a", true},
        {"\xc2\x80", true},
        {"\xdf\xbf", true},
        {"\xe0\xa0\x80", true},
        {"\xed\x9f\xbf", true},
        {"\xee\x80\x80", true},
        {"\xf0\x90\x80\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\x80", false},
        {"\xc1\xbf", false},
        {"\xc2", false},
        {"\xc2y", false},
        {"\xe0\x9f\xbf", false},
        {"\xed\xa0\x80", false},
        {"\xe1\x80", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xf4\x90\x80\x80", false},
        {"\xf5\x80\x80\x80", false},
        {"\xf1\x80\x80", false},
    };
    char shown[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text = cases[i].text;
        if (nas_text_valid(text) != cases[i].good) fail_msg("case %zu", i);
        json_t *json = nas_text_json(text), *direct = json_string(text);
        assert_int_equal(direct != NULL, cases[i].good); /* as Jansson judges */
        assert_non_null(json);
        if (cases[i].good) assert_string_equal(json_string_value(json), text);
        if (!cases[i].good) assert_non_null(strstr(json_string_value(json), "\xef\xbf\xbd"));
        nas_text_escaped(text, shown, sizeof shown);
        assert_int_equal(strstr(shown, "\\x") != NULL, !cases[i].good);
        json_decref(json);
        json_decref(direct);
    }
    char brief[12];
    assert_true(strlen(nas_text_escaped("abcdefghijklmnopq", brief, sizeof brief)) < sizeof brief);
    json_t *none = nas_text_json(NULL);
    assert_true(json_is_null(none));
    json_decref(none);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_checkpoints),   IN_FOLDER(test_origins),
        IN_FOLDER(test_no_checkpoint), IN_FOLDER(test_arrays),
        cmocka_unit_test(test_utf8),   cmocka_unit_test(test_labels_and_roles),
        IN_FOLDER(test_no_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
