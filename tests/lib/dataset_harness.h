/* Runs the data set plugin whose source a test includes before this header. */
#ifndef NAS_TESTS_DATASET_HARNESS_H
#define NAS_TESTS_DATASET_HARNESS_H

#include "data/source.h"
#include "fixture.h"
#include "host/options.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "failing.h"

static char folder_path[FIXTURE_PATH]; /* of the running test */

static inline int make_folder(void **state) {
    (void)state;
    return fixture_folder(folder_path);
}

static inline int remove_folder(void **state) {
    (void)state;
    fixture_remove(folder_path);
    return 0;
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

/* An instance, as the host makes it from the options of a pipeline in the test's folder. */
typedef struct instance {
    void *config;
    json_t *resolved;
    void *self;
    nas_error err;
    nas_host host;
    char logged[1000]; /* the last line */
    uint64_t images;   /* of all splits, where use_instance found them; 0: not yet */
    bool may_skip;     /* what cannot be read, which it then tells */
} instance;

static void keep_line(const nas_host *host, nas_level level, const char *message) {
    instance *in = host->impl;
    assert_int_equal(level, NAS_WARNING);
    snprintf(in->logged, sizeof in->logged, "%s", message);
}

/* Parses options: JSON text with ' for ". */
static inline void prepare(instance *in, const char *text) {
    char quoted[2000];
    snprintf(quoted, sizeof quoted, "%s", text);
    for (char *at = quoted; *at; at++)
        if (*at == '\'') *at = '"';
    json_t *json = json_loads(quoted, 0, NULL);
    assert_non_null(json);
    memset(in, 0, sizeof *in);
    in->host = (nas_host){.size = sizeof in->host, .impl = in, .log = keep_line};
    in->config = calloc(1, plugin.config_size);
    assert_non_null(in->config);
    nas_place place = {"pipeline.json", "dataset.options", folder_path};
    if (nas_options_parse(plugin.options, plugin.option_size, json, NULL, &place, in->config,
                          &in->resolved, &in->err))
        fail_msg("%s", in->err.message);
    json_decref(json);
}

/* Returns create's result; on failure nothing is left but err. */
static int open_with(instance *in, const char *text) {
    prepare(in, text);
    int rc = plugin.create(&in->host, in->config, &in->self, &in->err);
    assert_int_equal(rc, rc ? in->err.code : 0);
    if (!rc) return rc;
    assert_null(in->self);
    json_decref(in->resolved);
    free(in->config);
    return rc;
}

static void open_good(instance *in, const char *text) {
    if (open_with(in, text)) fail_msg("%s", in->err.message);
}

static void close_instance(instance *in) {
    plugin.destroy(in->self);
    json_decref(in->resolved);
    free(in->config);
}

static nas_dataset_info info_of(const instance *in) {
    nas_dataset_info info = {.size = sizeof info};
    assert_int_equal(api.info(in->self, &info, NULL), NAS_OK);
    return info;
}

/* Fails unless the message is one line that holds each of two texts. */
static inline void assert_says(const nas_error *err, const char *first, const char *second) {
    if (!strstr(err->message, first) || !strstr(err->message, second) || strchr(err->message, '\n'))
        fail_msg("\"%s\"\ndoes not say \"%s\" and \"%s\"", err->message, first, second);
}

/* create must fail and name both. */
static inline void assert_refused(const char *text, const char *first, const char *second) {
    instance in;
    if (!open_with(&in, text)) fail_msg("accepted, though: %s", second);
    assert_says(&in.err, first, second);
}

/* create works, but reading the first images of a split must fail and name both. */
static inline void assert_unreadable(const char *text, nas_split split, size_t n, const char *first,
                                     const char *second) {
    instance in;
    open_good(&in, text);
    nas_dataset_info info = info_of(&in);
    uint64_t indices[64];
    for (size_t i = 0; i < n; i++) indices[i] = i;
    uint8_t *images = malloc(n * info.height * info.width * info.channels);
    int32_t labels[64];
    assert_non_null(images);
    for (int twice = 0; twice < 2; twice++) { /* again: a failure leaves nothing behind */
        int rc = api.read(in.self, split, indices, n, images, labels, &in.err);
        if (!rc) fail_msg("read, though: %s", second);
        assert_int_equal(rc, in.err.code);
        assert_says(&in.err, first, second);
    }
    free(images);
    close_instance(&in);
}

static inline int read_two(instance *in, nas_split split, uint8_t *images, nas_error *err) {
    static const uint64_t indices[] = {1, 0};
    int32_t labels[2] = {-1, -1}, again[2] = {-1, -1};
    nas_dataset_info info = info_of(in);
    size_t n = info.count[split] < 2 ? 0 : 2;
    int rc = n ? api.read(in->self, split, indices, n, images, labels, err) : NAS_OK;
    if (!rc && n && api.labels) {
        rc = api.labels(in->self, split, 0, n, again, err);
        if (!rc) assert_true(again[0] == labels[1] && again[1] == labels[0]);
    }
    if (!rc && api.fingerprint) api.fingerprint(in->self, split);
    return rc;
}

/* Opens, looks, and reads two images of each split. */
static inline int use_instance(void *context, nas_error *err) {
    static uint8_t images[1 << 16];
    static nas_recognised found;
    instance *in = context;
    const nas_recognise_api *recogniser =
        plugin.extension ? plugin.extension(NULL, NAS_EXT_RECOGNISE) : NULL;
    found = (nas_recognised){.size = sizeof found};
    int rc = recogniser ? recogniser->look(folder_path, &found, err) : NAS_OK;
    if (!rc) rc = plugin.create(&in->host, in->config, &in->self, err);
    if (rc) return rc;
    nas_dataset_info info = info_of(in);
    uint64_t images_now = info.count[0] + info.count[1] + info.count[2];
    if (in->may_skip) images_now += info.skipped;
    if (!in->images) in->images = images_now;
    assert_int_equal(images_now, in->images); /* none is left out without a word */
    for (int split = 0; split < NAS_SPLITS && !rc; split++)
        rc = read_two(in, (nas_split)split, images, err);
    plugin.destroy(in->self);
    in->self = NULL;
    return rc;
}

/* Each allocation and each call (kinds: as in failing_kind; NULL: both) fails once while a data set
 * is opened and read. */
static inline void assert_survives(const char *options_text, const char *kind) {
    instance in;
    prepare(&in, options_text);
    in.may_skip = kind && strcmp(kind, "io") == 0;
    if (kind)
        failing_kind(options_text, kind, use_instance, &in, 300);
    else
        failing_all(options_text, use_instance, &in, 300);
    json_decref(in.resolved);
    free(in.config);
}

static inline void test_table_is_sound(void **state) {
    (void)state;
    nas_error err = {0};
    if (nas_options_check(plugin.options, plugin.option_size, plugin.config_size, plugin.id, &err))
        fail_msg("%s", err.message);
    plugin.destroy(NULL);
}

#endif
