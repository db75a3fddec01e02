/* Narrowed spaces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "small_net.h"
#include "space/restrict.h"

/* Stages of depth {1, 2}, {1, 2, 3}, {1, 2, 3}; kernel {3}, {3, 5, 7}, {1, 3, 5}; expand {1},
 * {1, 2, 3}, {1, 2, 3}; resolution {9, 12}. */
static int narrow(nas_space *space, const char *text, nas_error *err) {
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    *space = small_space("9");
    int rc = nas_space_restrict(space, json, "p.json: space_restrict", err);
    json_decref(json);
    return rc;
}

static nas_space narrowed(const char *text) {
    nas_space space;
    nas_error err = {0};
    if (narrow(&space, text, &err)) fail_msg("%s", err.message);
    return space;
}

/* found is n numbers. */
static void check_choices(nas_choices found, uint32_t n, uint32_t first, uint32_t last) {
    assert_int_equal(found.n, n);
    assert_int_equal(found.value[0], first);
    assert_int_equal(found.value[n - 1], last);
}

static void check_ratios(nas_ratios found, uint32_t n, double first, double last) {
    assert_int_equal(found.n, n);
    assert_true(found.value[0] == first && found.value[n - 1] == last);
}

static void test_nothing(void **state) {
    (void)state;
    nas_space whole = small_space("9"), same = narrowed("{}");
    assert_memory_equal(&whole, &same, sizeof whole);
    assert_int_equal(nas_space_restrict(&same, NULL, "p.json", NULL), NAS_OK);
    assert_memory_equal(&whole, &same, sizeof whole);
    same = narrowed("{\"stages\": [{}, {}, {}]}");
    assert_memory_equal(&whole, &same, sizeof whole);
}

/* Every stage that has a choice keeps what it has of the list; one that has none stays. */
static void test_every_stage(void **state) {
    (void)state;
    nas_space space = narrowed("{\"resolution\": 9, \"depth\": [2, 3], \"kernel\": [5, 7],"
                               " \"expand\": [2]}");
    check_choices(space.resolution, 1, 9, 9);
    check_choices(space.stages[0].depth, 1, 2, 2);
    check_choices(space.stages[1].depth, 2, 2, 3);
    check_choices(space.stages[0].kernel.of[0], 1, 3, 3);
    check_choices(space.stages[1].kernel.of[0], 2, 5, 7);
    check_choices(space.stages[2].kernel.of[0], 1, 5, 5);
    check_ratios(space.stages[0].expand.of[0], 1, 1, 1);
    check_ratios(space.stages[2].expand.of[0], 1, 2, 2);
    check_choices(space.stages[1].width, 2, 8, 11);
}

/* A stage's own list goes before the one for every stage. */
static void test_stages(void **state) {
    (void)state;
    nas_space space = narrowed("{\"kernel\": [3], \"stages\": [{}, {\"width\": [8], \"kernel\":"
                               " [3, 7]}, {\"depth\": 1, \"expand\": [1, 3]}]}");
    check_choices(space.stages[1].width, 1, 8, 8);
    check_choices(space.stages[1].kernel.of[0], 2, 3, 7);
    check_choices(space.stages[2].kernel.of[0], 1, 3, 3);
    check_choices(space.stages[2].depth, 1, 1, 1);
    check_ratios(space.stages[2].expand.of[0], 2, 1, 3);
    check_choices(space.stages[2].width, 2, 8, 11);
}

/* The space is the one whose description has the narrower lists from the start. */
static void test_genes(void **state) {
    (void)state;
    nas_space space = narrowed("{\"resolution\": 9, \"stages\": [{\"depth\": 1}, {\"depth\": 1,"
                               " \"kernel\": 3, \"expand\": 1}, {\"depth\": [1, 2]}]}");
    json_t *json = json_loads("{\"name\": \"small\", \"resolution\": 9,"
                              " \"stem\": {\"kernel\": 3, \"stride\": 1, \"width\": 7,"
                              "   \"activation\": \"h-swish\"},"
                              " \"stages\": [{\"width\": 7, \"stride\": 1, \"depth\": 1,"
                              "   \"kernel\": 3, \"expand\": 1, \"activation\": \"relu\"},"
                              "  {\"width\": [8, 11], \"stride\": 2, \"depth\": 1, \"kernel\": 3,"
                              "   \"expand\": 1, \"activation\": \"relu\"},"
                              "  {\"width\": [8, 11], \"stride\": 1, \"depth\": [1, 2],"
                              "   \"kernel\": [1, 3, 5], \"expand\": [1, 2, 3],"
                              "   \"squeeze_excite\": true, \"activation\": \"h-swish\"}],"
                              " \"head\": {\"width\": 13, \"activation\": \"h-swish\","
                              "   \"hidden\": [9], \"hidden_activation\": \"h-swish\"}}",
                              0, NULL);
    nas_space expected;
    assert_int_equal(nas_space_parse(json, "test", SMALL_CHANNELS, SMALL_CLASSES, &expected, NULL),
                     NAS_OK);
    json_decref(json);
    assert_memory_equal(&space, &expected, sizeof space);
}

/* A narrowed space can be described, and is then the same without what narrowed it. */
static void test_description(void **state) {
    (void)state;
    char text[2048];
    nas_space space = narrowed("{\"resolution\": 12, \"depth\": 2, \"stages\": [{}, {\"kernel\":"
                               " [3, 7], \"width\": 11}, {\"expand\": 3}]}");
    nas_space again;
    snprintf(text, sizeof text, SMALL_SPACE, "9");
    json_t *whole = json_loads(text, 0, NULL), *copy = json_deep_copy(whole);
    json_t *json = nas_space_narrowed_json(whole, &space);
    assert_non_null(json);
    assert_int_equal(nas_space_parse(json, "test", SMALL_CHANNELS, SMALL_CLASSES, &again, NULL),
                     NAS_OK);
    assert_memory_equal(&space, &again, sizeof space);
    assert_true(json_equal(whole, copy));
    json_decref(json);
    json_decref(copy);
    json_decref(whole);
}

/* The space of the tests, its last stage with choices of each block, some of them not whole. */
static void narrow_blocks(nas_space *space, const char *text, int expected, nas_error *err) {
    char whole[2048];
    snprintf(whole, sizeof whole, SMALL_SPACE, "9");
    json_t *description = json_loads(whole, 0, NULL), *json = json_loads(text, 0, NULL);
    json_t *last = json_array_get(json_object_get(description, "stages"), 2);
    json_object_set_new(last, "kernel", json_loads("[[3], [3, 5], [5, 7]]", 0, NULL));
    json_object_set_new(last, "expand", json_loads("[[1, 2.5], [2.5, 4], [4]]", 0, NULL));
    assert_int_equal(nas_space_parse(description, "test", 3, 5, space, NULL), NAS_OK);
    assert_int_equal(nas_space_restrict(space, json, "p.json: space_restrict", err), expected);
    if (!expected) { /* described, it is the same again */
        json_t *again = nas_space_narrowed_json(description, space);
        nas_space read;
        nas_error why = {0};
        if (nas_space_parse(again, "test", 3, 5, &read, &why)) fail_msg("%s", why.message);
        assert_memory_equal(space, &read, sizeof read);
        json_decref(again);
    }
    json_decref(description);
    json_decref(json);
}

static void test_blocks(void **state) {
    (void)state;
    nas_space space;
    nas_error err = {0};
    /* what each block has of it; a block without a choice stays */
    narrow_blocks(&space, "{\"kernel\": [5], \"expand\": [2.5, 3]}", NAS_OK, &err);
    check_choices(space.stages[2].kernel.of[0], 1, 3, 3);
    check_choices(space.stages[2].kernel.of[1], 1, 5, 5);
    check_choices(space.stages[2].kernel.of[2], 1, 5, 5);
    check_ratios(space.stages[2].expand.of[0], 1, 2.5, 2.5);
    check_ratios(space.stages[2].expand.of[2], 1, 4, 4);
    check_ratios(space.stages[1].expand.of[0], 1, 3, 3);
    /* lists, for the blocks that the depth leaves */
    narrow_blocks(&space,
                  "{\"stages\": [{}, {\"expand\": [[1], [2, 3], [3]]},"
                  " {\"depth\": [1, 2], \"kernel\": [[3], [5]], \"expand\": 2.5}]}",
                  NAS_OK, &err);
    check_choices(space.stages[2].kernel.of[1], 1, 5, 5);
    check_ratios(space.stages[2].expand.of[1], 1, 2.5, 2.5);
    check_ratios(space.stages[1].expand.of[1], 2, 2, 3);
    check_choices(space.stages[1].kernel.of[1], 3, 3, 7);
}

static void test_refused_blocks(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"stages\": [{}, {}, {\"kernel\": [[3], [7], [5]]}]}",
         "p.json: space_restrict: stages[2].kernel: expected some of the space's choices 3, 5, "
         "found 7"},
        {"{\"stages\": [{}, {}, {\"kernel\": [[3], [5]]}]}",
         "p.json: space_restrict: stages[2].kernel: expected the choices of 3 blocks, as many as "
         "the stage can have, found those of 2"},
        {"{\"stages\": [{}, {}, {\"expand\": 3}]}",
         "p.json: space_restrict: stages[2].expand: expected choices of the space, found 3, which "
         "no block has"},
        {"{\"expand\": [[1], [2]]}",
         "p.json: space_restrict: expand: expected choices for all blocks, found lists; those of "
         "each block stand in \"stages\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nas_space space;
        nas_error err = {0};
        narrow_blocks(&space, cases[i].text, NAS_ERR_INPUT, &err);
        assert_string_equal(err.message, cases[i].message);
    }
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"resolution\": [9, 10]}", "p.json: space_restrict: resolution: expected some of the "
                                      "space's choices 9, 12, found 10"},
        {"{\"depth\": 4}", "p.json: space_restrict: depth: expected choices of the space, found 4, "
                           "which no stage has"},
        {"{\"kernel\": [7]}", "p.json: space_restrict: kernel: leaves stage 2 nothing of its "
                              "choices 1, 3, 5; say in \"stages\" what each stage keeps"},
        {"{\"stages\": [{}, {}, {\"kernel\": [3, 7]}]}",
         "p.json: space_restrict: stages[2].kernel: expected choices of the space, found 7, which "
         "no block has"},
        {"{\"stages\": [{}, {}]}",
         "p.json: space_restrict: stages: expected an array of 3, one for each stage of the space, "
         "found array of 2"},
        {"{\"width\": 8}", "p.json: space_restrict: width: unknown key"},
        {"{\"stages\": [{\"kernl\": 3}, {}, {}]}",
         "p.json: space_restrict: stages[0].kernl: unknown key; did you mean \"kernel\"?"},
        {"{\"depth\": []}",
         "p.json: space_restrict: depth: expected an integer or an array of 1 to 8 integers, found "
         "array of 0"},
        {"[]", "p.json: space_restrict: expected an object, found array of 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nas_space space;
        nas_error err = {0};
        assert_int_equal(narrow(&space, cases[i].text, &err), NAS_ERR_INPUT);
        assert_string_equal(err.message, cases[i].message);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing), cmocka_unit_test(test_every_stage),
        cmocka_unit_test(test_stages),  cmocka_unit_test(test_description),
        cmocka_unit_test(test_genes),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_blocks),  cmocka_unit_test(test_refused_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
