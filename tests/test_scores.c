/* Scores of chosen subnets of a finished run. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

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

/* What the next call is asked for. */
static nas_scores_request what;

static int call(const nas_run_request *request, json_t **result, nas_error *err) {
    return nas_scores(request, &what, result, err);
}

/* nas_scores with the pipeline that stands in the run directory. */
static int score(toys *t, bool json, nas_scores_request asked) {
    char path[TOY_PATH];
    nas_pipeline pipeline;
    what = asked;
    toys_path(t, "a/pipeline.json", path);
    t->err = (nas_error){0};
    toys_good(t, nas_pipeline_load(path, NULL, 0, t->registry, &pipeline, &t->err));
    int rc = toys_run_pipeline(t, &pipeline, "a",
                               (toys_how){.json = json, .call = call, .print = nas_scores_print});
    nas_pipeline_free(&pipeline);
    return rc;
}

static const json_t *subnet(const json_t *printed, size_t i) {
    return json_array_get(json_object_get(printed, "subnets"), i);
}

/* The subnets that the search found get the scores that it saw. */
static void test_as_in_search(void **state) {
    toys *t = *state;
    char file[TOY_PATH];
    toys_good(t, toys_run_plain(t, "a", (toys_how){0}));
    json_t *family = toys_json(t, "a/family.json");
    const json_t *platforms = json_object_get(family, "platforms");
    toys_path(t, "found.json", file);
    assert_int_equal(json_dump_file(platforms, file, 0), 0);
    const char *const files[] = {file};
    toys_good(t, score(t, true, (nas_scores_request){.files = files, .n_files = 1}));
    json_t *printed = json_loads(t->output, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(printed, "score")), "toy-score");
    assert_int_equal(json_array_size(json_object_get(printed, "subnets")), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *expected = json_array_get(platforms, i), *found = subnet(printed, i);
        static const char *const same[] = {"name", "genome", "macs", "params", "score"};
        for (size_t k = 0; k < sizeof same / sizeof *same; k++) {
            const json_t *value = json_object_get(expected, same[k]);
            assert_non_null(value);
            if (!json_equal(value, json_object_get(found, same[k]))) fail_msg("%s", same[k]);
        }
        assert_true(json_number_value(json_object_get(found, "seconds")) > 0);
    }
    json_decref(printed);
    json_decref(family);
}

static void test_defaults(void **state) {
    toys *t = *state;
    toys_good(t, toys_run_plain(t, "a", (toys_how){.until = NAS_UNTIL_TRAIN}));
    toys_good(t, score(t, false, (nas_scores_request){0}));
    assert_int_equal(strncmp(t->output, "subnet ", 7), 0);
    assert_non_null(strstr(t->output, "toy-score"));
    assert_non_null(strstr(t->output, "\nlargest "));
    assert_non_null(strstr(t->output, "\nsmallest "));
    toys_good(t, score(t, true, (nas_scores_request){.random = 3}));
    json_t *printed = json_loads(t->output, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(printed, "subnets")), 3);
    assert_string_equal(json_string_value(json_object_get(subnet(printed, 2), "name")), "random2");
    json_decref(printed);
}

/* A plugin that fails, and files that do not serve, are told. */
static void test_refusals(void **state) {
    toys *t = *state;
    const char *const files[] = {"nowhere.json"};
    toys_good(t, toys_run_plain(t, "a", (toys_how){.until = NAS_UNTIL_TRAIN}));
    assert_int_equal(score(t, true, (nas_scores_request){.files = files, .n_files = 1}),
                     NAS_ERR_INPUT);
    assert_non_null(strstr(t->err.message, "nowhere.json"));
    setenv("TOY_NO_SCORES", "1", 1);
    int rc = score(t, true, (nas_scores_request){0});
    unsetenv("TOY_NO_SCORES");
    assert_int_equal(rc, NAS_ERR_PLUGIN);
    assert_string_equal(t->output, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_as_in_search, setup, teardown),
        cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
