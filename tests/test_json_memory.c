/* An allocation of Jansson's fails in a report: it says that memory ended, or it ends well, and
 * then every file is as it should be. A value that is built or read must not lose a key or a letter
 * without a word. $JSON_TRIES of them (40), spread evenly over the report; each is tried for a
 * text. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "toy_run.h"

/* Jansson's allocation functions are told nothing but by globals. */
static long calls, failing_call;

static void *allocate(size_t size) {
    if (++calls != failing_call) return malloc(size);
    errno = ENOMEM;
    return NULL;
}

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

static const char *const files[] = {"pipeline.json",
                                    "split.json",
                                    "data.json",
                                    ".nashost",
                                    "search/big.jsonl",
                                    "search/small.jsonl",
                                    "family.json",
                                    "family/big.toy.json",
                                    "family/big.int8.toy.json",
                                    "family/small.int8.toy.json"};

static void load(toys *t, nas_pipeline *pipeline) {
    static const char *const overrides[] = {
        ("export=[{\"plugin\":\"toy-export\"},{\"plugin\":\"toy-"
         "export\",\"options\":{\"int8\":true}}]"),
        "train.steps=2", "train.log_every=1"};
    char path[TOY_PATH];
    toys_path(t, "p.json", path);
    if (nas_pipeline_load(path, overrides, sizeof overrides / sizeof *overrides, t->registry,
                          pipeline, &t->err))
        fail_msg("%s", t->err.message);
    t->services.seed = (uint64_t)pipeline->seed;
}

static int say_nothing(const json_t *result, nas_error *err) {
    (void)result, (void)err;
    return NAS_OK;
}

/* Runs with the nth allocation failing, and compares; false: there were fewer. */
static bool attempt(toys *t, const nas_pipeline *pipeline, const char *out, long n) {
    const toys_how how = {.threads = 1, .call = nas_run, .print = say_nothing};
    char a[TOY_PATH], b[TOY_PATH];
    t->err = (nas_error){0};
    calls = 0;
    failing_call = n;
    int rc = toys_run_pipeline(t, pipeline, out, how);
    bool failed = calls >= n;
    failing_call = 0;
    if (failed && rc && (rc != NAS_ERR_MEMORY || !strstr(t->err.message, "memory")))
        fail_msg("allocation %ld: status %d: %s", n, rc, t->err.message);
    if (!failed || rc) return failed;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(a, sizeof a, "whole/%s", files[i]);
        snprintf(b, sizeof b, "%s/%s", out, files[i]);
        size_t bytes[2];
        char *text[2] = {toys_read(t, a, &bytes[0]), toys_read(t, b, &bytes[1])};
        if (bytes[0] != bytes[1] || memcmp(text[0], text[1], bytes[0]) != 0)
            fail_msg("allocation %ld: exit 0, and another %s", n, files[i]);
        free(text[0]);
        free(text[1]);
    }
    return true;
}

static void remove_report(const toys *t, const char *out) {
    char name[64], path[TOY_PATH];
    snprintf(name, sizeof name, "%s/family.json", out);
    toys_path(t, name, path);
    unlink(path);
}

static void test_report(void **state) {
    toys *t = *state;
    nas_pipeline pipeline;
    load(t, &pipeline);
    json_set_alloc_funcs(allocate, free);
    assert_false(attempt(t, &pipeline, "whole", 1000000));
    assert_false(attempt(t, &pipeline, "again", 1000000));
    remove_report(t, "again");
    assert_false(attempt(t, &pipeline, "again", 1000000));
    const char *text = getenv("JSON_TRIES");
    long total = calls, tries = text ? atol(text) : 40,
         step = total / tries > 1 ? total / tries : 1;
    assert_true(total > 1000);
    for (long n = 1 + total % step; n <= total; n += step) {
        remove_report(t, "again");
        assert_true(attempt(t, &pipeline, "again", n));
    }
    json_set_alloc_funcs(malloc, free);
    print_message("%ld of %ld allocations failed\n", (total - total % step) / step, total);
    nas_pipeline_free(&pipeline);
}

/* Jansson alone reads another value here, or runs past a string's end. */
static void test_parse(void **state) {
    char text[600], word[200];
    (void)state;
    for (size_t length = 1; length < sizeof word; length++) {
        nas_error err;
        json_t *value = NULL, *whole;
        memset(word, 'w', length);
        word[length] = 0;
        int n = snprintf(text, sizeof text, "{\"%s\": [\"\\u00e9%s\", 0.12345678901234567]}", word,
                         word);
        json_set_alloc_funcs(malloc, free);
        assert_int_equal(nas_json_parse(text, (size_t)n, 0, "x", &whole, &err), NAS_OK);
        json_set_alloc_funcs(allocate, free);
        failing_call = 0;
        do {
            calls = 0;
            failing_call++;
            int rc = nas_json_parse(text, (size_t)n, 0, "x", &value, &err);
            assert_true(rc == NAS_ERR_MEMORY || json_equal(value, whole));
            assert_true(rc == NAS_OK || !value);
            json_decref(value);
        } while (calls >= failing_call); /* else there were fewer */
        json_set_alloc_funcs(malloc, free);
        json_decref(whole);
    }
    failing_call = 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_report, setup, teardown),
        cmocka_unit_test(test_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
