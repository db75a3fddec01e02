/* Stages alone, by what a run directory holds, and finished runs side by side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/safetensors.h"
#include "cli/commands.h"
#include "toy_run.h"

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

/* The first stage of the next call. */
static nas_from first;

static int call(const nas_run_request *given, json_t **result, nas_error *err) {
    nas_run_request request = *given;
    request.from = first;
    return nas_run(&request, result, err);
}

/* One stage by the pipeline in the run directory, changed by an override unless that is NULL. */
static int alone(toys *t, const char *out, nas_from from, nas_until until, const char *override) {
    char inside[128], path[TOY_PATH];
    nas_pipeline pipeline;
    const toys_how how = {.until = until, .json = true, .call = call};
    snprintf(inside, sizeof inside, "%s/pipeline.json", out);
    toys_path(t, inside, path);
    t->err = (nas_error){0};
    first = from;
    toys_good(
        t, nas_pipeline_load(path, &override, override ? 1 : 0, t->registry, &pipeline, &t->err));
    t->services.seed = (uint64_t)pipeline.seed;
    int rc = toys_run_pipeline(t, &pipeline, out, how);
    nas_pipeline_free(&pipeline);
    return rc;
}

static int train(toys *t, const char *out) {
    return alone(t, out, NAS_FROM_TRAIN, NAS_UNTIL_TRAIN, NULL);
}

static int search(toys *t, const char *out, const char *override) {
    return alone(t, out, NAS_FROM_SEARCH, NAS_UNTIL_SEARCH, override);
}

static int report(toys *t, const char *out) {
    return alone(t, out, NAS_FROM_REPORT, NAS_UNTIL_REPORT, NULL);
}

static json_t *printed(const toys *t) {
    json_t *json = json_loads(t->output, 0, NULL);
    assert_non_null(json);
    return json;
}

static void removes(const toys *t, const char *name) {
    char path[TOY_PATH];
    toys_path(t, name, path);
    assert_int_equal(unlink(path), 0);
}

static void refused(const toys *t, int rc, const char *what, const char *command) {
    assert_int_equal(rc, NAS_ERR_INPUT);
    if (!strstr(t->err.message, what) || !strstr(t->err.message, command))
        fail_msg("expected \"%s\" and \"%s\" in \"%s\"", what, command, t->err.message);
}

/* Stage by stage, what a whole run makes. */
static void test_same_results(void **state) {
    toys *t = *state;
    toys_good(t, toys_run_plain(t, "a", (toys_how){0}));
    toys_good(t, toys_run_plain(t, "b", (toys_how){.until = NAS_UNTIL_TRAIN}));
    assert_non_null(strstr(t->output, "supernet.safetensors: 12 steps with toy-ssl\n"));
    removes(t, "b/supernet.safetensors");
    toys_good(t, train(t, "b"));
    json_t *json = printed(t);
    assert_true(json_is_true(json_object_get(json, "trained_now")));
    json_decref(json);
    toys_same(t, "a/supernet.safetensors", "b/supernet.safetensors");
    toys_good(t, train(t, "b"));
    json = printed(t);
    assert_true(json_is_false(json_object_get(json, "trained_now")));
    json_decref(json);
    assert_false(toys_exist(t, "b/search"));
    toys_good(t, search(t, "b", NULL));
    toys_same(t, "a/search/small.jsonl", "b/search/small.jsonl");
    assert_false(toys_exist(t, "b/family.json"));
    json = printed(t);
    json_t *family = toys_json(t, "a/family.json");
    const json_t *chosen = json_array_get(json_object_get(json, "platforms"), 1);
    json_t *expected = json_array_get(json_object_get(family, "platforms"), 1);
    json_object_del(expected, "files");
    json_object_del(expected, "test_top1");
    assert_true(json_equal(chosen, expected));
    json_decref(family);
    json_decref(json);
    toys_good(t, report(t, "b"));
    toys_same(t, "a/family.json", "b/family.json");
}

/* What is not there is named, with the command that makes it; and nothing is made. */
static void test_missing(void **state) {
    toys *t = *state;
    toys_good(t, toys_run_plain(t, "a", (toys_how){0}));
    removes(t, "a/search/big.jsonl");
    refused(t, report(t, "a"), "holds no search/big.jsonl", "`nashost search ");
    assert_false(toys_exist(t, "a/search/big.jsonl"));
    removes(t, "a/supernet.safetensors");
    refused(t, search(t, "a", NULL), "holds no supernet.safetensors", "`nashost train ");
    refused(t, report(t, "a"), "holds no supernet.safetensors", "`nashost train ");
    assert_false(toys_exist(t, "a/supernet.safetensors"));
}

/* A changed platform is searched again, and the directory keeps the change. */
static void test_changed_search(void **state) {
    toys *t = *state;
    toys_good(t, toys_run_plain(t, "a", (toys_how){0}));
    toys_good(t, toys_run_plain(t, "b", (toys_how){0}));
    toys_good(t, search(t, "b", "platforms.1.constraints.latency_ms=0.009"));
    toys_same(t, "a/search/big.jsonl", "b/search/big.jsonl");
    assert_false(toys_exist(t, "b/family.json"));
    toys_good(t, report(t, "b"));
    json_t *family = printed(t);
    const json_t *small = json_array_get(json_object_get(family, "platforms"), 1);
    const json_t *limits = json_object_get(small, "constraints");
    assert_true(json_real_value(json_object_get(limits, "latency_ms")) == 0.009);
    json_decref(family);
    int rc = search(t, "b", "train.steps=13");
    refused(t, rc, "train.steps was 12 there and is 13 now", "--out");
}

/* A file of weights says which space they span: one of so many subnets. */
static void check_spanned(const toys *t, const char *name, double subnets) {
    nas_tensor_file file;
    nas_space space;
    char path[TOY_PATH];
    toys_path(t, name, path);
    assert_int_equal(nas_tensors_load(path, &file, NULL), NAS_OK);
    json_t *metadata = json_loads(file.metadata, 0, NULL);
    json_t *json = json_loads(json_string_value(json_object_get(metadata, "space_json")), 0, NULL);
    assert_int_equal(nas_space_parse(json, "file", 1, 3, &space, NULL), NAS_OK);
    assert_true(nas_space_size(&space) == subnets);
    json_decref(json);
    json_decref(metadata);
    nas_tensors_free(&file);
}

/* A stage alone sees the space as the training did. */
static void test_narrowed_space(void **state) {
    toys *t = *state;
    static const char *const narrow[] = {
        "space_restrict={\"resolution\": 8, \"stages\": [{}, {\"depth\": 2, \"kernel\": 3}]}",
        NULL};
    toys_good(t, toys_run_with(t, "a", (toys_how){.dry_run = true}, narrow));
    assert_non_null(strstr(t->output, "toy: 8 subnets, narrowed from 80\n"));
    toys_good(t, toys_run_with(t, "a", (toys_how){.until = NAS_UNTIL_TRAIN}, narrow));
    toys_good(t, search(t, "a", NULL));
    toys_good(t, report(t, "a"));
    char *text = toys_read(t, "a/search/big.jsonl", NULL);
    assert_non_null(strstr(text, "\"kernel\":3"));
    assert_null(strstr(text, "\"kernel\":5"));
    assert_null(strstr(text, "\"resolution\":6"));
    free(text);
    check_spanned(t, "a/supernet.safetensors", 8);
    int rc = search(t, "a", "space_restrict.resolution=6");
    refused(t, rc, "space_restrict.resolution was 8 there and is 6 now", "--out");
}

/* ---- Runs side by side ---- */

static const char *dirs[3];

static int compare(const nas_run_request *request, json_t **result, nas_error *err) {
    (void)request;
    return nas_compare(dirs, 2, result, err);
}

static json_t *difference(const json_t *found, const char *key) {
    const json_t *list = json_object_get(found, "differences");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        if (strcmp(json_string_value(json_object_get(item, "key")), key) == 0)
            return json_object_get(item, "values");
    }
    return NULL;
}

static void check_json(const toys *t, const json_t *found) {
    const json_t *platforms = json_object_get(found, "platforms");
    json_t *family = toys_json(t, "b/family.json");
    assert_int_equal(json_array_size(json_object_get(found, "runs")), 2);
    assert_int_equal(json_array_size(platforms), 3); /* big, small, tiny */
    const json_t *tiny = json_object_get(json_array_get(platforms, 2), "runs");
    assert_true(json_is_null(json_array_get(tiny, 0)));
    assert_true(json_equal(json_array_get(tiny, 1),
                           json_array_get(json_object_get(family, "platforms"), 1)));
    const json_t *seeds = difference(found, "seed");
    assert_int_equal(json_integer_value(json_array_get(seeds, 0)), 3);
    assert_int_equal(json_integer_value(json_array_get(seeds, 1)), 4);
    const json_t *lr = difference(found, "train.lr");
    assert_true(json_real_value(json_array_get(lr, 1)) == 0.04);
    assert_non_null(difference(found, "platforms.small"));
    assert_null(difference(found, "train.steps"));
    assert_null(difference(found, "platforms.big"));
    json_decref(family);
}

static void test_compare(void **state) {
    toys *t = *state;
    char a[TOY_PATH], b[TOY_PATH];
    toys_path(t, "a", a);
    toys_path(t, "b", b);
    dirs[0] = a;
    dirs[1] = b;
    toys_good(t, toys_run_plain(t, "a", (toys_how){0}));
    toys_good(t,
              toys_run(t, "b", (toys_how){0}, "seed=4", "train.lr=0.04", "platforms.1.name=tiny"));
    toys_good(t, toys_run_plain(t, "c", (toys_how){.call = compare, .json = true}));
    json_t *found = printed(t);
    check_json(t, found);
    json_decref(found);
    toys_good(t, toys_run_plain(t, "c", (toys_how){.call = compare, .print = nas_compare_print}));
    assert_non_null(strstr(t->output, "seed*"));
    assert_null(strstr(t->output, "steps*"));
    assert_non_null(strstr(t->output, "not in this run"));
    assert_non_null(strstr(t->output, "\ntrain.lr "));
    removes(t, "b/family.json");
    int rc = toys_run_plain(t, "c", (toys_how){.call = compare, .print = nas_compare_print});
    refused(t, rc, "holds no family.json", "`nashost report ");
    dirs[1] = a;
    toys_good(t, toys_run_plain(t, "c", (toys_how){.call = compare, .print = nas_compare_print}));
    assert_non_null(strstr(t->output, "the pipelines are equal"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_same_results, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changed_search, setup, teardown),
        cmocka_unit_test_setup_teardown(test_narrowed_space, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compare, setup, teardown),
    };
    return cmocka_run_group_tests_name("alone", tests, NULL, NULL);
}
