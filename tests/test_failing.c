/* Readers and writers of a run's files, of which each allocation and each call of input and output
 * fails once: they end well and with the same content, or say why, and leave nothing half done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/safetensors.h"
#include "data/loader.h"
#include "data/npy.h"
#include "failing.h"
#include "fake_data.h"
#include "host/space_file.h"
#include "nn/kernels.h"
#include "run/checkpoint.h"
#include "run/search_file.h"
#include "toy_run.h"

#include <nashost/kit/lut_file.h>

#include <sys/stat.h>

enum { MOST = 400, NUMBERS = 8, TRAIN = 120 };

static int setup(void **state) {
    char path[TOY_PATH];
    toys *t = calloc(1, sizeof *t);
    assert_non_null(t);
    toys_open(t);
    toys_path(t, "spaces", path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(samples_write(t->folder, "spaces/preset.json", TOY_SPACE), 0);
    toys_good(t, toys_run(t, "run", (toys_how){0}, "train.steps=2", "train.log_every=1"));
    *state = t;
    return 0;
}

static int teardown(void **state) {
    toys_close(*state);
    free(*state);
    return 0;
}

/* ---- Pipelines ---- */

typedef struct loading {
    toys *t;
    const char *overrides[6];
    size_t n;
    json_t *resolved; /* what an undisturbed one becomes */
} loading;

static int load_pipeline(void *context, nas_error *err) {
    loading *l = context;
    char path[TOY_PATH];
    nas_pipeline pipeline;
    toys_path(l->t, "p.json", path);
    int rc = nas_pipeline_load(path, l->overrides, l->n, l->t->registry, &pipeline, err);
    if (rc) return rc;
    if (!l->resolved) l->resolved = json_incref(pipeline.resolved);
    assert_true(json_equal(l->resolved, pipeline.resolved));
    nas_pipeline_free(&pipeline);
    return NAS_OK;
}

static void test_pipelines(void **state) {
    toys *t = *state;
    char weights[TOY_PATH + 30], path[TOY_PATH];
    toys_path(t, "run/supernet.safetensors", path);
    snprintf(weights, sizeof weights, "init.weights=%s", path);
    loading plain = {.t = t,
                     .overrides = {"space=preset", "search.objectives=[\"score\", \"macs\"]",
                                   "platforms.0.export=[]", "seed=18446744073709551615x"},
                     .n = 3},
            weighed = {.t = t, .overrides = {weights, "space=null"}, .n = 1};
    failing_all("a pipeline", load_pipeline, &plain, MOST);
    failing_all("one with weights", load_pipeline, &weighed, MOST);
    json_decref(plain.resolved);
    json_decref(weighed.resolved);
}

/* ---- Checkpoints ---- */

typedef struct training {
    const char *out;
    nas_train_state state;
    nas_real arrays[4][NUMBERS];
} training;

static void restore(const training *from, uint64_t step) {
    training copy = *from;
    nas_error err = {0};
    bool found = false;
    copy.state.weights = copy.arrays[0], copy.state.velocity = copy.arrays[1];
    copy.state.average = copy.arrays[2], copy.state.initial = copy.arrays[3];
    memset(copy.arrays, 0, sizeof copy.arrays);
    if (nas_checkpoint_load(from->out, 100, NULL, &copy.state, &found, &err))
        fail_msg("%s", err.message);
    assert_true(found && (copy.state.step == step || copy.state.step == step + 1));
    assert_memory_equal(copy.arrays, from->arrays, sizeof copy.arrays);
}

static int save_checkpoint(void *context, nas_error *err) {
    training *t = context;
    t->state.step = 6;
    return nas_checkpoint_save(t->out, &t->state, err);
}

static int load_checkpoint(void *context, nas_error *err) {
    training *t = context;
    bool found;
    memset(t->arrays, 0, sizeof t->arrays);
    int rc = nas_checkpoint_load(t->out, 100, NULL, &t->state, &found, err);
    if (!rc) assert_true(found && t->state.step == 6 && t->arrays[3][0] == 4);
    return rc;
}

static void test_checkpoints(void **state) {
    toys *t = *state;
    char out[TOY_PATH];
    nas_instance ssl;
    nas_error err = {0};
    const nas_place place = {"p.json", "train.ssl", t->folder};
    toys_path(t, "checkpoints", out);
    if (nas_instance_create(t->registry, NAS_KIND_SSL, "toy-ssl", NULL, &place, &ssl, &err))
        fail_msg("%s", err.message);
    json_t *pipeline = toys_json(t, "run/pipeline.json");
    training *a = calloc(1, sizeof *a);
    assert_non_null(a);
    a->out = out;
    a->state = (nas_train_state){.step = 5,
                                 .size = NUMBERS,
                                 .weights = a->arrays[0],
                                 .velocity = a->arrays[1],
                                 .average = a->arrays[2],
                                 .initial = a->arrays[3],
                                 .ssl = &ssl,
                                 .pipeline = pipeline};
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < NUMBERS; k++) a->arrays[i][k] = (nas_real)(i + 1);
    assert_int_equal(nas_checkpoint_save(out, &a->state, &err), NAS_OK);
    restore(a, 5);
    failing_all("saving", save_checkpoint, a, MOST);
    restore(a, 5); /* whatever failed, it is whole */
    failing_all("loading", load_checkpoint, a, MOST);
    nas_checkpoint_remove(out);
    free(a);
    json_decref(pipeline);
    nas_instance_destroy(&ssl);
}

/* ---- Other files ---- */

static int copy_split(void *context, nas_error *err) {
    toys *t = context;
    char from[TOY_PATH], to[TOY_PATH];
    nas_split_sets sets;
    toys_path(t, "run/split.json", from);
    toys_path(t, "copy.json", to);
    int rc = nas_split_load(from, TRAIN, 0, &sets, err);
    if (!rc) rc = nas_split_save(to, &sets, err);
    nas_split_free(&sets);
    return rc;
}

static int copy_search(void *context, nas_error *err) {
    toys *t = context;
    char from[TOY_PATH], to[TOY_PATH];
    nas_space space;
    nas_memo memo = {.space = &space};
    json_t *json = NULL;
    toys_path(t, "run/search/big.jsonl", from);
    toys_path(t, "copies/big.jsonl", to);
    int rc = nas_json_parse(TOY_SPACE, strlen(TOY_SPACE), 0, "space", &json, err);
    if (!rc) rc = nas_space_parse(json, "space", 1, 3, &space, err);
    if (!rc) rc = nas_search_file_read(from, &space, &memo, err);
    if (!rc) rc = nas_search_file_write(to, &space, &memo, err);
    json_decref(json);
    nas_memo_free(&memo);
    return rc;
}

static int copy_tensors(void *context, nas_error *err) {
    toys *t = context;
    char from[TOY_PATH], to[TOY_PATH];
    nas_tensor_file file = {0};
    toys_path(t, "run/supernet.safetensors", from);
    toys_path(t, "copy.safetensors", to);
    int rc = nas_tensors_load(from, &file, err);
    if (!rc) rc = nas_tensors_finite(&file, from, err);
    if (!rc) rc = nas_tensors_save(to, file.tensors, file.n_tensors, file.metadata, err);
    nas_tensors_free(&file);
    return rc;
}

static int copy_images(void *context, nas_error *err) {
    static const uint8_t pixels[24] = {1, 2, 3};
    const nas_npy_images images = {.n = 2, .h = 2, .w = 2, .c = 3, .pixels = pixels};
    char path[TOY_PATH];
    nas_npy_images back = {0};
    toys_path(context, "images.npy", path);
    int rc = nas_npy_write_images(path, &images, err);
    if (!rc) rc = nas_npy_read(path, &back, err);
    if (!rc) assert_memory_equal(back.pixels, pixels, sizeof pixels);
    nas_npy_free(&back);
    return rc;
}

static const char table[] =
    "{\"format\": \"nashost latency table\", \"version\": 1, \"device\": \"toy\", "
    "\"runtime\": \"toy\", \"dtype\": \"int8\", \"threads\": 1, \"batch\": 1, \"entries\": {"
    "\"conv in=10x10x4 out=5x5x8 kernel=3 stride=2 expand=0 act=relu se=0\": {\"count\": 9, "
    "\"median_ms\": 0.5, \"spread_ms\": 0.01}}, \"networks\": [{\"median_ms\": 1, \"layers\": "
    "{\"conv in=10x10x4 out=5x5x8 kernel=3 stride=2 expand=0 act=relu se=0\": 2}}]}";

static double one_ms(void *context, const char *key) {
    (void)context, (void)key;
    return 1;
}

static int read_table(void *context, nas_error *err) {
    char path[TOY_PATH];
    nas_lut lut;
    toys_path(context, "table.json", path);
    int rc = nas_lut_load(path, &lut, err);
    if (!rc) assert_int_equal(lut.n, 1);
    nas_lut_chain chain;
    if (!rc) rc = nas_lut_fit_chain(&lut, one_ms, NULL, &chain, err);
    if (!rc) assert_true(chain.networks == 1 && chain.factor == 0.5);
    nas_lut_free(&lut);
    return rc;
}

static int load_batches(void *context, nas_error *err) {
    fake_data *data = context;
    nas_source source;
    nas_split_sets split = {0};
    nas_loader *loader = NULL;
    const nas_batch *batch;
    int rc = nas_source_open(&fake_api, data, &source, err);
    if (rc) return rc;
    const nas_split_request request = {.labels = source.train.labels,
                                       .n_train = 90,
                                       .n_extra = 13,
                                       .classes = 5,
                                       .labelled = 20,
                                       .validation = 10,
                                       .heldout = 15,
                                       .heldout_from = NAS_HELDOUT_TRAIN,
                                       .seed = 3};
    const nas_loader_config config = {.batch = 8,
                                      .unlabelled = 7,
                                      .n_views = 2,
                                      .view = {NAS_AUGMENT_WEAK, NAS_AUGMENT_STRONG},
                                      .augment = {.strong_ops = 2, .strong_magnitude = 1}};
    rc = nas_split_draw(&request, &split, err);
    if (!rc) rc = nas_loader_open(&source, &split, &config, 0, &loader, err);
    for (int i = 0; i < 3 && !rc; i++) rc = nas_loader_next(loader, &batch, err);
    nas_loader_close(loader);
    nas_split_free(&split);
    nas_source_close(&source);
    return rc;
}

static void test_files(void **state) {
    toys *t = *state;
    fake_data data = fake_make(90, 13, 1);
    assert_int_equal(samples_write(t->folder, "table.json", table), 0);
    failing_all("a split", copy_split, t, MOST);
    toys_same(t, "run/split.json", "copy.json");
    failing_all("a search", copy_search, t, MOST);
    toys_same(t, "run/search/big.jsonl", "copies/big.jsonl");
    failing_all("tensors", copy_tensors, t, MOST);
    failing_all("images", copy_images, t, MOST);
    failing_all("a latency table", read_table, t, MOST);
    failing_all("a loader", load_batches, &data, MOST);
    failing_interrupts("a split", copy_split, t);
    failing_interrupts("tensors", copy_tensors, t);
    failing_interrupts("a latency table", read_table, t);
}

/* ---- A whole run ---- */

typedef struct whole {
    toys *t;
    nas_pipeline pipeline;
} whole;

static void remove_run(const char *out) {
    nftw(out, fixture_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

/* A run that failed is begun again by the next one; one that ends well has the reference's files.
 */
static int run_whole(void *context, nas_error *err) {
    static const char *const files[] = {"split.json", "supernet.safetensors", "search/big.jsonl",
                                        "search/small.jsonl", "family.json"};
    whole *w = context;
    const nas_log log = {w->t->log, NAS_WARNING};
    char out[TOY_PATH], a[64], b[64];
    json_t *result = NULL;
    toys_path(w->t, "whole", out);
    const nas_run_request request = {.pipeline = &w->pipeline,
                                     .registry = w->t->registry,
                                     .out = out,
                                     .threads = 1,
                                     .quiet = true,
                                     .log = &log,
                                     .stop = &w->t->stop};
    int rc = nas_run(&request, &result, err);
    json_decref(result);
    failing_pause();
    if (rc) return rc;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(a, sizeof a, "run/%s", files[i]);
        snprintf(b, sizeof b, "whole/%s", files[i]);
        toys_same(w->t, a, b);
    }
    remove_run(out);
    return NAS_OK;
}

static void test_run(void **state) {
    toys *t = *state;
    static const char *const overrides[] = {"train.steps=2", "train.log_every=1"};
    whole w = {.t = t};
    char path[TOY_PATH];
    toys_path(t, "p.json", path);
    if (nas_pipeline_load(path, overrides, 2, t->registry, &w.pipeline, &t->err))
        fail_msg("%s", t->err.message);
    t->services.seed = (uint64_t)w.pipeline.seed;
    failing_kind("a run", "io", run_whole, &w, 40); /* libgomp, of BLIS, ends the process */
    nas_pipeline_free(&w.pipeline);
}

int main(void) {
    failing_start();
    nas_kernels_pick();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pipelines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_checkpoints, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_run, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
