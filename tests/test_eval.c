/* Chosen subnets of a finished run: their figures, the files that name them, what is refused. */
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

/* What the next call is asked for; ended by NULL. */
static const char *files[4];

static int call(const nas_run_request *request, json_t **result, nas_error *err) {
    size_t n = 0;
    while (n < 3 && files[n]) n++;
    return nas_eval(request, files, n, result, err);
}

/* nas_eval with the pipeline that stands in the run directory, and the file `name` of the scratch
 * folder (NULL: none). */
static int eval(toys *t, const char *out, const char *name, bool json) {
    char inside[128], path[TOY_PATH], file[TOY_PATH];
    nas_pipeline pipeline;
    snprintf(inside, sizeof inside, "%s/pipeline.json", out);
    toys_path(t, inside, path);
    toys_path(t, name ? name : "", file);
    files[0] = name ? file : NULL;
    t->err = (nas_error){0};
    toys_good(t, nas_pipeline_load(path, NULL, 0, t->registry, &pipeline, &t->err));
    int rc = toys_run_pipeline(t, &pipeline, out,
                               (toys_how){.json = json, .call = call, .print = nas_eval_print});
    nas_pipeline_free(&pipeline);
    return rc;
}

static json_t *printed(const toys *t) {
    json_t *json = json_loads(t->output, 0, NULL);
    assert_non_null(json);
    return json;
}

static const char *name_of(const json_t *subnet) {
    return json_string_value(json_object_get(subnet, "name"));
}

static void write_json(const toys *t, const char *name, json_t *json) {
    char path[TOY_PATH];
    toys_path(t, name, path);
    assert_int_equal(json_dump_file(json, path, 0), 0);
    json_decref(json);
}

static void refused(toys *t, const char *text, const char *message) {
    assert_int_equal(samples_write(t->folder, "g.json", text), 0);
    assert_int_equal(eval(t, "a", "g.json", false), NAS_ERR_INPUT);
    if (!strstr(t->err.message, message))
        fail_msg("expected \"%s\" in \"%s\"", message, t->err.message);
    assert_string_equal(t->output, "");
}

/* The two that are judged by default have the figures that the report gave them. */
static void test_default(void **state) {
    toys *t = *state;
    toys_good(t, toys_run_plain(t, "a", (toys_how){0}));
    toys_good(t, eval(t, "a", NULL, true));
    json_t *found = printed(t), *family = toys_json(t, "a/family.json");
    const json_t *subnets = json_object_get(found, "subnets");
    assert_int_equal(json_integer_value(json_object_get(found, "labelled")), 12);
    assert_int_equal(json_array_size(subnets), 2);
    for (size_t i = 0; i < 2; i++) {
        static const char *const names[] = {"largest", "smallest"};
        json_t *subnet = json_array_get(subnets, i);
        assert_string_equal(name_of(subnet), names[i]);
        double validation = json_real_value(json_object_get(subnet, "validation_top1"));
        assert_true(fabs(validation * 6 - round(validation * 6)) < 1e-9); /* of 6 images */
        assert_true(json_integer_value(json_object_get(subnet, "macs")) > 0);
        json_object_del(subnet, "name");
        assert_true(
            json_equal(subnet, json_object_get(json_object_get(family, "reference"), names[i])));
    }
    json_decref(found);
    json_decref(family);
}

/* Entries of family.json, without a name and with one, and a genome alone. */
static void test_files(void **state) {
    toys *t = *state;
    toys_good(t, toys_run_plain(t, "a", (toys_how){0}));
    json_t *family = toys_json(t, "a/family.json");
    const json_t *platforms = json_object_get(family, "platforms");
    const json_t *small = json_array_get(platforms, 1);
    json_t *largest = json_object_get(json_object_get(family, "reference"), "largest");
    write_json(t, "two.json", json_pack("[O, O]", largest, small));
    write_json(t, "one.json", json_deep_copy(json_object_get(small, "genome")));
    char one[TOY_PATH];
    toys_path(t, "one.json", one);
    files[1] = one;
    int rc = eval(t, "a", "two.json", true);
    files[1] = NULL;
    toys_good(t, rc);
    json_t *found = printed(t);
    const json_t *subnets = json_object_get(found, "subnets");
    const char *const names[] = {"two[0]", "small", "one"};
    const json_t *expected[] = {largest, small, small};
    assert_int_equal(json_array_size(subnets), 3);
    for (size_t i = 0; i < 3; i++) {
        const json_t *subnet = json_array_get(subnets, i);
        assert_string_equal(name_of(subnet), names[i]);
        assert_true(json_equal(json_object_get(subnet, "test_top1"),
                               json_object_get(expected[i], "test_top1")));
        assert_true(
            json_equal(json_object_get(subnet, "genome"), json_object_get(expected[i], "genome")));
    }
    json_decref(found);
    json_decref(family);
}

/* Without validation images there is nothing to say of them; nothing is written. */
static void test_table(void **state) {
    toys *t = *state;
    toys_good(t, toys_run(t, "a", ((toys_how){.until = NAS_UNTIL_TRAIN}), "split.validation=0"));
    toys_good(t, eval(t, "a", NULL, true));
    json_t *found = printed(t);
    const json_t *first = json_array_get(json_object_get(found, "subnets"), 0);
    assert_true(json_is_null(json_object_get(first, "validation_top1")));
    json_decref(found);
    toys_good(t, eval(t, "a", NULL, false));
    assert_int_equal(strncmp(t->output, "subnet ", 7), 0);
    assert_non_null(strstr(t->output, "test top-1"));
    assert_non_null(strstr(t->output, "\nlargest "));
    assert_non_null(strstr(t->output, "\nsmallest "));
    assert_non_null(strstr(t->output, " -  "));
    assert_non_null(strstr(t->output, " r8 4:3x1 6:5x2,5x2\n"));
    assert_false(toys_exist(t, "a/family.json"));
}

static void test_wrong_files(void **state) {
    toys *t = *state;
    toys_good(t, toys_run_plain(t, "a", (toys_how){.until = NAS_UNTIL_TRAIN}));
    refused(t, "[]", "g.json: expected at least one subnet, found");
    refused(t, "[7]", "g.json: [0]: expected an object");
    refused(t, "[{\"genome\": {\"resolution\": 7}}]",
            "g.json: [0].genome: resolution: expected 6 or 8, found 7");
    refused(t, "{\"resolution\": 8, \"stages\": [], \"name\": \"x\"}", "name");
    json_t *family = json_pack("{s:i}", "resolution", 8);
    write_json(t, "g.json", family);
    assert_int_equal(eval(t, "a", "g.json", false), NAS_ERR_INPUT);
    assert_non_null(strstr(t->err.message, "stages"));
    assert_int_equal(eval(t, "a", "none.json", false), NAS_ERR_INPUT);
    assert_non_null(strstr(t->err.message, "none.json"));
}

/* A name that would not fit its place is told, not cut. */
static void test_wrong_names(void **state) {
    toys *t = *state;
    toys_good(t, toys_run_plain(t, "a", (toys_how){0}));
    json_t *family = toys_json(t, "a/family.json");
    json_t *largest = json_object_get(json_object_get(family, "reference"), "largest");
    json_object_set_new(largest, "name", json_integer(3));
    write_json(t, "g.json", json_incref(largest));
    assert_int_equal(eval(t, "a", "g.json", false), NAS_ERR_INPUT);
    assert_non_null(strstr(t->err.message, "name: expected a string of 1 to 63 bytes, found 3"));
    json_object_set_new(largest, "name",
                        json_pack("s%",
                                  "0123456789012345678901234567890123456789"
                                  "0123456789012345678901234",
                                  (size_t)64));
    write_json(t, "g.json", json_incref(largest));
    assert_int_equal(eval(t, "a", "g.json", false), NAS_ERR_INPUT);
    assert_non_null(strstr(t->err.message, "name: expected a string of 1 to 63 bytes"));
    json_decref(family);
}

/* Weights or a split that are not there are told, not made. */
static void test_unfinished(void **state) {
    toys *t = *state;
    char path[TOY_PATH];
    toys_good(t, toys_run_plain(t, "a", (toys_how){.until = NAS_UNTIL_TRAIN}));
    toys_path(t, "a/split.json", path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(eval(t, "a", NULL, false), NAS_ERR_INPUT);
    assert_non_null(strstr(t->err.message, "a holds no split.json"));
    assert_false(toys_exist(t, "a/split.json"));
    toys_path(t, "a/supernet.safetensors", path);
    assert_int_equal(unlink(path), 0);
    toys_good(t, toys_run_plain(t, "a", (toys_how){.until = NAS_UNTIL_TRAIN}));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(eval(t, "a", NULL, false), NAS_ERR_INPUT);
    assert_non_null(strstr(t->err.message, "a holds no supernet.safetensors"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_default, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_table, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unfinished, setup, teardown),
    };
    return cmocka_run_group_tests_name("eval", tests, NULL, NULL);
}
