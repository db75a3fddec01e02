/* Whole runs on the toy plugins of tests/toy_plugins, a second each. Include after <cmocka.h>: what
 * goes wrong here fails the test. */
#ifndef NAS_TESTS_TOY_RUN_H
#define NAS_TESTS_TOY_RUN_H

#include "base/file.h"
#include "base/json.h"
#include "cli/commands.h"
#include "samples.h"
#include "stages/run.h"

#include <unistd.h>

#define TOY_PATH (FIXTURE_PATH + 128)
#define TOY_STEPS 12

#define TOY_SPACE                                                                                  \
    "{\"name\": \"toy\", \"resolution\": [6, 8],"                                                  \
    " \"stem\": {\"kernel\": 3, \"stride\": 1, \"width\": 4, \"activation\": \"h-swish\"},"        \
    " \"stages\": [{\"width\": [4], \"stride\": 1, \"depth\": [1], \"kernel\": [3],"               \
    "   \"expand\": [1], \"squeeze_excite\": false, \"activation\": \"relu\"},"                    \
    "  {\"width\": [4, 6], \"stride\": 2, \"depth\": [1, 2], \"kernel\": [3, 5],"                  \
    "   \"expand\": [1, 2], \"squeeze_excite\": true, \"activation\": \"h-swish\"}],"              \
    " \"head\": {\"width\": 8, \"activation\": \"relu\"}}"

/* The whole pipeline: two platforms, the second with room for the smaller subnets alone. */
#define TOY_PIPELINE                                                                               \
    "{\"seed\": 3,"                                                                                \
    " \"dataset\": {\"plugin\": \"toy-dataset\", \"options\": {\"log\": \"reads.txt\"}},"          \
    " \"split\": {\"labelled\": 12, \"validation\": 6, \"heldout\": 20},"                          \
    " \"space\": " TOY_SPACE ","                                                                   \
    " \"augment\": {\"strong_ops\": 1, \"cutout\": 0.25},"                                         \
    " \"train\": {\"steps\": 12, \"batch\": 6, \"mu\": 2, \"subnets\": 3, \"lr\": 0.05,"           \
    "   \"ema\": 0.9, \"dropout\": 0.1, \"log_every\": 4, \"teacher\": \"largest\","               \
    "   \"ssl\": {\"plugin\": \"toy-ssl\"}},"                                                      \
    " \"search\": {\"plugin\": \"toy-search\", \"evaluations\": 6, \"batch\": 4,"                  \
    "   \"calibration_images\": 24, \"score\": {\"plugin\": \"toy-score\"}},"                      \
    " \"platforms\": [{\"name\": \"big\", \"hardware\": {\"plugin\": \"toy-hardware\"}},"          \
    "   {\"name\": \"small\", \"hardware\": {\"plugin\": \"toy-hardware\"},"                       \
    "    \"constraints\": {\"latency_ms\": 0.01}}],"                                               \
    " \"export\": [{\"plugin\": \"toy-export\"}]}"

typedef struct toys {
    char folder[FIXTURE_PATH];
    nas_services services;
    nas_registry *registry;
    FILE *log;
    volatile sig_atomic_t stop;
    char *output; /* stdout of the last run */
    nas_error err;
} toys;

static inline void toys_path(const toys *t, const char *name, char *path) {
    assert_true(snprintf(path, TOY_PATH, "%s/%s", t->folder, name) < TOY_PATH);
}

/* A whole file, NUL-terminated; the caller frees. */
static inline char *toys_read(const toys *t, const char *name, size_t *bytes) {
    char path[TOY_PATH], *data = NULL;
    size_t n = 0;
    nas_error err = {0};
    toys_path(t, name, path);
    if (nas_file_read(path, 1 << 24, &data, &n, &err)) fail_msg("%s", err.message);
    if (bytes) *bytes = n;
    return data;
}

static inline json_t *toys_json(const toys *t, const char *name) {
    char path[TOY_PATH];
    json_t *json = NULL;
    nas_error err = {0};
    toys_path(t, name, path);
    if (nas_json_load(path, &json, &err)) fail_msg("%s", err.message);
    return json;
}

static inline bool toys_exist(const toys *t, const char *name) {
    char path[TOY_PATH];
    toys_path(t, name, path);
    return nas_file_exists(path);
}

static inline void toys_open(toys *t) {
    static const char *const kinds[] = {"dataset", "ssl", "search", "hardware", "score", "export"};
    char text[8 * SAMPLES_PATH], id[32], variant[32], path[TOY_PATH];
    size_t used = (size_t)snprintf(text, sizeof text, "{\"plugins\": [");
    *t = (toys){0};
    assert_int_equal(fixture_folder(t->folder), 0);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        snprintf(id, sizeof id, "toy-%s", kinds[i]);
        snprintf(variant, sizeof variant, "toy_%s", kinds[i]);
        if (i) text[used++] = ',';
        used += (size_t)samples_line(text + used, sizeof text - used, id, kinds[i], variant);
    }
    text[used++] = ',';
    used += (size_t)samples_line(text + used, sizeof text - used, "toy-old-search", "search",
                                 "toy_old_search");
    snprintf(text + used, sizeof text - used, "]}\n");
    assert_int_equal(samples_write(t->folder, "plugins.json", text), 0);
    assert_int_equal(samples_write(t->folder, "p.json", TOY_PIPELINE), 0);
    toys_path(t, "plugins.json", path);
    const char *manifests[] = {path};
    if (nas_registry_open(manifests, 1, &t->services, &t->registry, &t->err))
        fail_msg("%s", t->err.message);
    toys_path(t, "log.txt", path);
    t->log = fopen(path, "w");
    assert_non_null(t->log);
}

static inline void toys_close(toys *t) {
    nas_registry_close(t->registry);
    fclose(t->log);
    free(t->output);
    fixture_remove(t->folder);
}

/* What a run may be told besides its overrides. */
typedef struct toys_how {
    int threads;
    nas_until until;
    bool dry_run, json;
    int (*call)(const nas_run_request *, json_t **, nas_error *); /* instead of nas_run */
    int (*print)(const json_t *, nas_error *);                    /* what it gave, unless json */
} toys_how;

static inline int toys_print(const nas_run_request *request, toys_how how, const json_t *result,
                             nas_error *err) {
    if (how.json) return json_dumpf(result, stdout, 0);
    return how.print ? how.print(result, err) : nas_run_print(request, result, err);
}

static inline int toys_run_pipeline(toys *t, const nas_pipeline *pipeline, const char *out,
                                    toys_how how) {
    char path[TOY_PATH], printed[TOY_PATH];
    const nas_log log = {t->log, NAS_INFO};
    toys_path(t, out, path);
    toys_path(t, "stdout.txt", printed);
    const nas_run_request request = {.pipeline = pipeline,
                                     .registry = t->registry,
                                     .out = path,
                                     .threads = how.threads ? how.threads : 2,
                                     .until = how.until,
                                     .dry_run = how.dry_run,
                                     .quiet = true,
                                     .log = &log,
                                     .stop = &t->stop};
    fflush(stdout);
    int terminal = dup(STDOUT_FILENO);
    FILE *file = fopen(printed, "w");
    assert_true(terminal >= 0 && file && dup2(fileno(file), STDOUT_FILENO) >= 0);
    json_t *result = NULL;
    int rc = how.call ? how.call(&request, &result, &t->err) : nas_run(&request, &result, &t->err);
    if (!rc) rc = toys_print(&request, how, result, &t->err);
    json_decref(result);
    fflush(stdout);
    dup2(terminal, STDOUT_FILENO);
    close(terminal);
    fclose(file);
    free(t->output);
    t->output = toys_read(t, "stdout.txt", NULL);
    return rc;
}

/* Runs the toy pipeline with overrides (ended by NULL) into the folder out; the result, with
 * t->err, and t->output: what it printed. */
static inline int toys_run_with(toys *t, const char *out, toys_how how,
                                const char *const *overrides) {
    char path[TOY_PATH];
    nas_pipeline pipeline;
    size_t n = 0;
    while (overrides[n]) n++;
    toys_path(t, "p.json", path);
    t->err = (nas_error){0};
    t->stop = 0;
    int rc = nas_pipeline_load(path, overrides, n, t->registry, &pipeline, &t->err);
    if (rc) fail_msg("%s", t->err.message);
    t->services.seed = (uint64_t)pipeline.seed;
    rc = toys_run_pipeline(t, &pipeline, out, how);
    nas_pipeline_free(&pipeline);
    return rc;
}

#define toys_run(t, out, how, ...)                                                                 \
    toys_run_with(t, out, how, (const char *const[]){__VA_ARGS__, NULL})

static inline int toys_run_plain(toys *t, const char *out, toys_how how) {
    return toys_run_with(t, out, how, (const char *const[]){NULL});
}

/* The run must succeed. */
static inline void toys_good(const toys *t, int rc) {
    if (rc) fail_msg("%s", t->err.message);
}

/* Two files must hold the same bytes. */
static inline void toys_same(const toys *t, const char *a, const char *b) {
    size_t n, m;
    char *left = toys_read(t, a, &n), *right = toys_read(t, b, &m);
    if (n != m || memcmp(left, right, n) != 0) fail_msg("%s and %s differ", a, b);
    free(left);
    free(right);
}

#endif
