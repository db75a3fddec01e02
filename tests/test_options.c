/* Option tables: what they accept, what they refuse, and what the messages say. */
#include "base/json.h"
#include "host/options.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct sample {
    bool mirror;
    int64_t steps;
    double rate, limit;
    const char *label, *note, *folder;
    int mode, maybe;
} sample;

static const char *const modes[] = {"cosine", "constant", NULL};

static const nas_option table[] = {
    NAS_BOOL("mirror", sample, mirror, "true", "h"),
    NAS_INT("steps", sample, steps, "5", 1, 100, "steps", "h"),
    NAS_FLOAT("rate", sample, rate, "0.5", 0, 1, NULL, "h"),
    NAS_FLOAT("limit", sample, limit, "null", 1, INFINITY, "ms", "h"),
    NAS_STRING("label", sample, label, NULL, "h"),
    NAS_STRING("note", sample, note, "null", "h"),
    NAS_PATH("folder", sample, folder, "\"data\"", "h"),
    NAS_ENUM("mode", sample, mode, "\"constant\"", modes, "h"),
    NAS_ENUM("maybe", sample, maybe, "null", modes, "h"),
    {0},
};

static const char *const nested[] = {"inner", NULL};
static const nas_place place = {.file = "p.json", .path = "train", .folder = "/base"};

static int parse(const char *text, sample *config, json_t **resolved, nas_error *err) {
    json_t *object = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(object);
    int rc = nas_options_parse(table, sizeof *table, object, nested, &place, config, resolved, err);
    json_decref(object);
    return rc;
}

static void refused(const char *text, const char *message) {
    sample config;
    nas_error err = {0};
    json_t *resolved = NULL;
    assert_int_equal(parse(text, &config, &resolved, &err), NAS_ERR_INPUT);
    assert_int_equal(err.code, NAS_ERR_INPUT);
    assert_string_equal(err.message, message);
    assert_null(resolved);
}

static void test_defaults(void **state) {
    (void)state;
    sample config;
    memset(&config, 0x5a, sizeof config);
    json_t *resolved;
    assert_int_equal(parse("{\"label\": \"x\"}", &config, &resolved, NULL), NAS_OK);
    assert_true(config.mirror);
    assert_int_equal(config.steps, 5);
    assert_true(config.rate == 0.5);
    assert_true(isnan(config.limit));
    assert_string_equal(config.label, "x");
    assert_null(config.note);
    assert_string_equal(config.folder, "/base/data");
    assert_int_equal(config.mode, 1);
    assert_int_equal(config.maybe, -1);
    json_t *expected =
        json_loads("{\"mirror\": true, \"steps\": 5, \"rate\": 0.5, \"label\": \"x\", "
                   "\"folder\": \"/base/data\", \"mode\": \"constant\"}",
                   0, NULL);
    assert_true(json_equal(resolved, expected));
    json_decref(expected);
    json_decref(resolved);
}

static void test_given(void **state) {
    (void)state;
    sample config;
    json_t *resolved;
    assert_int_equal(parse("{\"label\": \"\", \"mirror\": false, \"steps\": 100, \"rate\": 1, "
                           "\"limit\": 2, \"note\": null, \"folder\": \"/abs\", "
                           "\"mode\": \"cosine\", \"maybe\": \"cosine\", \"inner\": 3}",
                           &config, &resolved, NULL),
                     NAS_OK);
    assert_false(config.mirror);
    assert_int_equal(config.steps, 100);
    assert_true(config.rate == 1.0 && config.limit == 2.0);
    assert_string_equal(config.label, "");
    assert_string_equal(config.folder, "/abs");
    assert_int_equal(config.mode, 0);
    assert_int_equal(config.maybe, 0);
    assert_true(json_is_real(json_object_get(resolved, "rate")));
    assert_null(json_object_get(resolved, "inner"));
    json_decref(resolved);
}

/* What was resolved is accepted again and resolves to itself. */
static void test_resolved_is_stable(void **state) {
    (void)state;
    sample config;
    json_t *first, *second;
    assert_int_equal(
        parse("{\"label\": \"x\", \"rate\": 1, \"folder\": \"a/b\"}", &config, &first, NULL),
        NAS_OK);
    char *text = json_dumps(first, JSON_REAL_PRECISION(17));
    assert_int_equal(parse(text, &config, &second, NULL), NAS_OK);
    assert_true(json_equal(first, second));
    free(text);
    json_decref(first);
    json_decref(second);
}

static void test_refusals(void **state) {
    (void)state;
    refused("[]", "p.json: train: expected an object, found an array");
    refused("{}", "p.json: train.label: missing; expected a string");
    refused("{\"label\": 3}", "p.json: train.label: expected a string, found 3 (an integer)");
    refused("{\"label\": null}", "p.json: train.label: expected a string, found null");
    refused("{\"steps\": \"many\"}",
            "p.json: train.steps: expected an integer from 1 to 100 steps, "
            "found \"many\" (a string)");
    refused("{\"steps\": 5.0}", "p.json: train.steps: expected an integer from 1 to 100 steps, "
                                "found 5.0 (a number)");
    refused("{\"steps\": 0}", "p.json: train.steps: expected an integer from 1 to 100 steps, found "
                              "0 (an integer)");
    refused("{\"steps\": 101}", "p.json: train.steps: expected an integer from 1 to 100 steps, "
                                "found 101 (an integer)");
    refused("{\"rate\": 1.5}",
            "p.json: train.rate: expected a number from 0 to 1, found 1.5 (a number)");
    refused("{\"limit\": 0.5}",
            "p.json: train.limit: expected a number of at least 1 ms, found 0.5 (a number)");
    refused("{\"mirror\": 1}",
            "p.json: train.mirror: expected true or false, found 1 (an integer)");
    refused("{\"label\": \"\", \"folder\": {}}",
            "p.json: train.folder: expected a path (a string), found an object");
    refused("{\"label\": \"\", \"mode\": \"cosin\"}",
            "p.json: train.mode: expected one of \"cosine\", \"constant\", found \"cosin\" (a "
            "string); did you mean \"cosine\"?");
    refused("{\"label\": \"\", \"mode\": 3}", "p.json: train.mode: expected one of \"cosine\", "
                                              "\"constant\", found 3 (an integer)");
    refused("{\"mirror\": \"0123456789012345678901234567890123456789012345678901234567890123\"}",
            "p.json: train.mirror: expected true or false, found "
            "\"01234567890123456789012345678901234567890123456789012345678... (a string)");
    refused("{\"rate\": true}", "p.json: train.rate: expected a number from 0 to 1, found true (a "
                                "boolean)");
    refused("{\"rate\": -0.5}",
            "p.json: train.rate: expected a number from 0 to 1, found -0.5 (a number)");
}

/* Words that stand for a number: the first is -1, the next -2. */
static void test_words_for_numbers(void **state) {
    (void)state;
    static const char *const words[] = {"all", "half", NULL};
    static const nas_option counts[] = {
        NAS_COUNT("steps", sample, steps, "\"half\"", 1, 100, "steps", words, "h"), {0}};
    static const struct {
        const char *text;
        int64_t steps;
    } good[] = {{"{}", -2}, {"{\"steps\": \"all\"}", -1}, {"{\"steps\": 7}", 7}};
    sample config;
    json_t *resolved, *object;
    nas_error err;
    if (nas_options_check(counts, sizeof *counts, sizeof(sample), "p", &err))
        fail_msg("%s", err.message);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        object = json_loads(good[i].text, 0, NULL);
        assert_int_equal(nas_options_parse(counts, sizeof *counts, object, NULL, &place, &config,
                                           &resolved, NULL),
                         NAS_OK);
        assert_int_equal(config.steps, good[i].steps);
        json_decref(resolved);
        json_decref(object);
    }
    object = json_pack("{s:s}", "steps", "al");
    assert_int_equal(
        nas_options_parse(counts, sizeof *counts, object, NULL, &place, &config, &resolved, &err),
        NAS_ERR_INPUT);
    assert_string_equal(err.message,
                        "p.json: train.steps: expected an integer from 1 to 100 steps or \"all\" "
                        "or \"half\", found \"al\" (a string); did you mean \"all\"?");
    json_decref(object);
}

/* JSON holds no path whose folder is not UTF-8. */
static void test_folder_that_is_not_utf8(void **state) {
    (void)state;
    const nas_place latin = {.file = "p.json", .path = "", .folder = "/k\xe4se"};
    sample config;
    json_t *resolved, *object = json_pack("{s:s}", "label", "x");
    nas_error err;
    assert_int_equal(
        nas_options_parse(table, sizeof *table, object, nested, &latin, &config, &resolved, &err),
        NAS_ERR_INPUT);
    assert_string_equal(err.message, "p.json: folder: the pipeline's folder is not UTF-8: "
                                     "/k\\xe4se; rename it");
    json_decref(object);
}

static void test_unknown_keys(void **state) {
    (void)state;
    refused("{\"stpes\": 5}", "p.json: train.stpes: unknown key; did you mean \"steps\"?");
    refused("{\"iner\": 5}", "p.json: train.iner: unknown key; did you mean \"inner\"?");
    refused("{\"completely_other\": 5}",
            "p.json: train.completely_other: unknown key; known here: mirror, steps, rate, limit, "
            "label, note, folder, mode, maybe, inner");
}

static void test_root_place_and_no_table(void **state) {
    (void)state;
    const nas_place root = {.file = "p.json", .path = "", .folder = "/"};
    nas_error err;
    json_t *resolved, *object = json_pack("{s:i}", "x", 1);
    assert_int_equal(nas_options_parse(NULL, 0, object, NULL, &root, NULL, &resolved, &err),
                     NAS_ERR_INPUT);
    assert_string_equal(err.message, "p.json: x: unknown key; none is known here");
    json_decref(object);
    assert_int_equal(nas_options_parse(NULL, 0, NULL, NULL, &root, NULL, &resolved, &err), NAS_OK);
    assert_int_equal(json_object_size(resolved), 0);
    json_decref(resolved);
}

/* A table from a later SDK has longer entries. */
static void test_longer_entries(void **state) {
    (void)state;
    struct {
        nas_option option;
        const char *later;
    } longer[3] = {{table[1], "x"}, {table[2], "y"}, {{0}, NULL}};
    sample config;
    json_t *resolved, *object = json_pack("{s:i}", "rate", 1);
    assert_int_equal(nas_options_check(&longer[0].option, sizeof *longer, sizeof config, "w", NULL),
                     NAS_OK);
    assert_int_equal(nas_options_parse(&longer[0].option, sizeof *longer, object, NULL, &place,
                                       &config, &resolved, NULL),
                     NAS_OK);
    assert_int_equal(config.steps, 5);
    assert_true(config.rate == 1.0);
    json_decref(object);
    json_decref(resolved);
}

typedef struct lists {
    const char *const *words, *const *more;
} lists;

static const nas_option list_table[] = {
    NAS_STRINGS("words", lists, words, "[\"a\", \"\"]", "h"),
    NAS_STRINGS("more", lists, more, "null", "h"),
    {0},
};

static int parse_lists(const char *text, lists *config, json_t **resolved, nas_error *err) {
    json_t *object = json_loads(text, 0, NULL);
    int rc = nas_options_parse(list_table, sizeof *list_table, object, NULL, &place, config,
                               resolved, err);
    json_decref(object);
    return rc;
}

static void test_lists(void **state) {
    (void)state;
    lists config;
    json_t *resolved;
    nas_error err;
    assert_int_equal(nas_options_check(list_table, sizeof *list_table, sizeof config, "w", NULL),
                     NAS_OK);
    assert_int_equal(parse_lists("{}", &config, &resolved, NULL), NAS_OK);
    assert_string_equal(config.words[0], "a");
    assert_string_equal(config.words[1], "");
    assert_null(config.words[2]);
    assert_null(config.more);
    nas_options_free(list_table, sizeof *list_table, &config);
    assert_null(config.words);
    json_decref(resolved);
    assert_int_equal(parse_lists("{\"words\": [], \"more\": [\"x y\"]}", &config, &resolved, NULL),
                     NAS_OK);
    assert_null(config.words[0]);
    assert_string_equal(config.more[0], "x y");
    assert_null(config.more[1]);
    nas_options_free(list_table, sizeof *list_table, &config);
    json_decref(resolved);
    assert_int_equal(parse_lists("{\"more\": [\"x\", 3]}", &config, &resolved, &err),
                     NAS_ERR_INPUT);
    assert_string_equal(err.message,
                        "p.json: train.more: expected a list of strings, found an array");
    assert_null(config.words);
    assert_int_equal(parse_lists("{\"words\": \"a b\"}", &config, &resolved, &err), NAS_ERR_INPUT);
    assert_string_equal(
        err.message, "p.json: train.words: expected a list of strings, found \"a b\" (a string)");
}

static void bad_table(nas_option option, size_t option_size, const char *message) {
    const nas_option options[] = {option, {0}};
    nas_error err = {0};
    assert_int_equal(nas_options_check(options, option_size, sizeof(sample), "x.so", &err),
                     NAS_ERR_PLUGIN);
    assert_non_null(strstr(err.message, message));
    assert_int_equal(strncmp(err.message, "x.so: ", 6), 0);
}

static void test_table_check(void **state) {
    (void)state;
    const size_t size = sizeof(nas_option);
    const nas_option good = table[1];
    nas_option o;
    assert_int_equal(nas_options_check(table, size, sizeof(sample), "x.so", NULL), NAS_OK);
    assert_string_equal(nas_type_name((nas_type)99), "unknown");
    bad_table(good, 8, "option_size: expected sizeof(nas_option)");
    o = good, o.name = "Steps";
    bad_table(o, size, "got \"Steps\"");
    o = good, o.name = "";
    bad_table(o, size, "got \"\"");
    o = good, o.name = "1st";
    bad_table(o, size, "got \"1st\"");
    o = good, o.name = "a23456789012345678901234567890123456789012345678901234567890123x";
    bad_table(o, size, "of at most 63 characters, got \"a234");
    o = table[7], o.choices = (const char *const[]){NULL};
    bad_table(o, size, "choices: expected a list of words, got none");
    bad_table(good, size + 1, "option_size: expected sizeof(nas_option)");
    o = good, o.type = (nas_type)8;
    bad_table(o, size, "type: expected 1 to 7, got 8");
    o = good, o.help = NULL;
    bad_table(o, size, "help: expected a line, got NULL");
    o = good, o.min = 2, o.max = 1;
    bad_table(o, size, "expected min <= max, got 2 and 1");
    o = good, o.offset = sizeof(sample);
    bad_table(o, size, "offset: expected a field of 8 bytes within");
    o = good, o.offset = SIZE_MAX - 7;
    bad_table(o, size, "offset: expected a field of 8 bytes within");
    o = good, o.offset = 4;
    bad_table(o, size, "offset: expected a multiple of 8 for type int, got 4");
    o = good, o.fallback = "0";
    bad_table(o, size, "default: expected an integer from 1 to 100 steps, got 0 (an integer)");
    o = good, o.fallback = "five";
    bad_table(o, size, "default: expected JSON text, got five");
    o = table[7], o.choices = NULL;
    bad_table(o, size, "choices: expected a list of words, got none");
    o = table[7], o.fallback = "\"linear\"";
    bad_table(o, size, "default: expected one of \"cosine\", \"constant\", got \"linear\"");
    o = table[0], o.type = NAS_TYPE_STRINGS, o.fallback = "[1]";
    bad_table(o, size, "default: expected a list of strings, got an array");
}

static void test_table_clashes(void **state) {
    (void)state;
    nas_error err;
    nas_option options[NAS_MAX_OPTIONS] = {table[1], table[1]};
    assert_int_equal(nas_options_check(options, sizeof *options, sizeof(sample), "x.so", &err),
                     NAS_ERR_PLUGIN);
    assert_string_equal(err.message, "x.so: option \"steps\" stands twice in the table");
    options[1].name = "more";
    assert_int_equal(nas_options_check(options, sizeof *options, sizeof(sample), "x.so", &err),
                     NAS_ERR_PLUGIN);
    assert_non_null(strstr(err.message, "which overlap"));
}

static void test_table_without_end(void **state) {
    (void)state;
    static char names[NAS_MAX_OPTIONS][8];
    static nas_option options[NAS_MAX_OPTIONS];
    for (size_t i = 0; i < NAS_MAX_OPTIONS; i++) {
        snprintf(names[i], sizeof names[i], "o%zu", i);
        options[i] = (nas_option){names[i], NAS_TYPE_BOOL, "true", i, 0, 0, NULL, "h", NULL};
    }
    nas_error err;
    assert_int_equal(nas_options_check(options, sizeof *options, sizeof options, "x.so", &err),
                     NAS_ERR_PLUGIN);
    assert_non_null(strstr(err.message, "got no end"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),           cmocka_unit_test(test_given),
        cmocka_unit_test(test_resolved_is_stable), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_words_for_numbers),  cmocka_unit_test(test_folder_that_is_not_utf8),
        cmocka_unit_test(test_unknown_keys),       cmocka_unit_test(test_root_place_and_no_table),
        cmocka_unit_test(test_longer_entries),     cmocka_unit_test(test_lists),
        cmocka_unit_test(test_table_check),        cmocka_unit_test(test_table_clashes),
        cmocka_unit_test(test_table_without_end),
    };
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
