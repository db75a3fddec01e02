/* Splits: balance, independence of the lists, and split.json there and back. */
#include "data/split.h"
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define N 1000
#define CLASSES 10

static int32_t labels[N];
static char folder[FIXTURE_PATH];

static int setup(void **state) {
    (void)state;
    for (int i = 0; i < N; i++) labels[i] = i * 7 % CLASSES;
    return fixture_folder(folder);
}

static int teardown(void **state) {
    (void)state;
    fixture_remove(folder);
    return 0;
}

static nas_split_request request_of(uint64_t labelled, uint64_t validation, uint64_t heldout,
                                    uint64_t seed) {
    return (nas_split_request){.labels = labels,
                               .n_train = N,
                               .classes = CLASSES,
                               .labelled = (int64_t)labelled,
                               .validation = (int64_t)validation,
                               .heldout = (int64_t)heldout,
                               .seed = seed};
}

static nas_split_sets split_of(uint64_t labelled, uint64_t validation, uint64_t heldout,
                               uint64_t seed) {
    nas_split_sets sets;
    nas_error err = {0};
    nas_split_request request = request_of(labelled, validation, heldout, seed);
    if (nas_split_draw(&request, &sets, &err)) fail_msg("%s", err.message);
    return sets;
}

static void assert_balanced(const uint64_t *list, uint64_t n) {
    uint64_t counts[CLASSES] = {0};
    for (uint64_t i = 0; i < n; i++) counts[labels[list[i]]]++;
    for (int c = 0; c < CLASSES; c++)
        assert_in_range(counts[c], n / CLASSES, (n + CLASSES - 1) / CLASSES);
}

static void mark(const uint64_t *list, uint64_t n, bool *seen) {
    for (uint64_t i = 0; i < n; i++) {
        assert_true(list[i] < N && !seen[list[i]]);
        assert_true(!i || list[i - 1] < list[i]);
        seen[list[i]] = true;
    }
}

static void test_balanced_and_disjoint(void **state) {
    (void)state;
    static const uint64_t sizes[][3] = {
        {10, 0, 0}, {250, 100, 200}, {37, 43, 5}, {500, 500, 0}, {11, 0, 989}, {999, 1, 0},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        nas_split_sets s = split_of(sizes[i][0], sizes[i][1], sizes[i][2], i);
        assert_int_equal(s.n_labelled, sizes[i][0]);
        assert_int_equal(s.n_validation, sizes[i][1]);
        assert_int_equal(s.n_heldout, sizes[i][2]);
        bool seen[N] = {false};
        mark(s.labelled, s.n_labelled, seen);
        mark(s.validation, s.n_validation, seen);
        mark(s.heldout, s.n_heldout, seen);
        assert_balanced(s.labelled, s.n_labelled);
        assert_balanced(s.validation, s.n_validation);
        nas_split_free(&s);
    }
}

/* Which classes give one more is drawn too; labelled and validation images make up for each other.
 */
static void test_remainders(void **state) {
    (void)state;
    bool met[CLASSES] = {false};
    int classes = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        nas_split_sets s = split_of(15, 5, 0, seed);
        unsigned labelled[CLASSES] = {0}, both[CLASSES] = {0};
        for (int i = 0; i < 15; i++) labelled[labels[s.labelled[i]]]++;
        for (int i = 0; i < 5; i++) both[labels[s.validation[i]]]++;
        for (int c = 0; c < CLASSES; c++) {
            assert_int_equal(labelled[c] + both[c], 2);
            if (labelled[c] == 2) met[c] = true;
        }
        nas_split_free(&s);
    }
    for (int c = 0; c < CLASSES; c++) classes += met[c];
    assert_int_equal(classes, CLASSES);
}

static void test_labelled_depend_on_the_seed_alone(void **state) {
    (void)state;
    nas_split_sets a = split_of(53, 0, 0, 7), b = split_of(53, 111, 300, 7);
    nas_split_sets other = split_of(53, 0, 0, 8);
    assert_memory_equal(a.labelled, b.labelled, 53 * sizeof *a.labelled);
    assert_memory_not_equal(a.labelled, other.labelled, 53 * sizeof *a.labelled);
    nas_split_free(&a);
    nas_split_free(&b);
    nas_split_free(&other);
}

/* More labels keep the ones that a smaller set has, so that curves over label counts compare. */
static void test_larger_sets_hold_smaller_ones(void **state) {
    (void)state;
    nas_split_sets few = split_of(20, 0, 0, 7), many = split_of(200, 0, 0, 7);
    bool in[N] = {false};
    for (int i = 0; i < 200; i++) in[many.labelled[i]] = true;
    for (int i = 0; i < 20; i++) assert_true(in[few.labelled[i]]);
    nas_split_free(&few);
    nas_split_free(&many);
}

static void test_bad_sizes(void **state) {
    (void)state;
    static const struct {
        uint64_t labelled, validation, heldout;
        const char *says;
    } cases[] = {
        {9, 0, 0, "at least one a class"},
        {1001, 0, 0, "1001 labelled images, but only 1000 of 1000"},
        {900, 101, 0, "101 validation images, but only 100 of 1000"},
        {100, 100, 801, "801 heldout images, but only 800 of 1000"},
        {INT64_MAX, INT64_MAX, 3, "labelled images"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nas_split_sets sets;
        nas_error err = {0};
        nas_split_request request =
            request_of(cases[i].labelled, cases[i].validation, cases[i].heldout, 1);
        assert_int_equal(nas_split_draw(&request, &sets, &err), NAS_ERR_INPUT);
        assert_non_null(strstr(err.message, cases[i].says));
        assert_null(sets.labelled);
    }
}

static void test_rare_class_is_named(void **state) {
    (void)state;
    int32_t skewed[60];
    for (int i = 0; i < 60; i++) skewed[i] = i < 57 ? i % 2 : 2;
    nas_split_sets sets;
    nas_error err = {0};
    static const char *const names[] = {"cat", "dog", "face"};
    nas_split_request request = {
        .labels = skewed, .n_train = 60, .classes = 3, .labelled = 9, .validation = 3, .seed = 1};
    assert_int_equal(nas_split_draw(&request, &sets, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "class 2 has 3 training images"));
    assert_non_null(strstr(err.message, "needs 4"));
    request.class_names = names;
    assert_int_equal(nas_split_draw(&request, &sets, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "class \"face\" has 3 training images"));
    request.labelled = NAS_SPLIT_ALL;
    request.classes = 4; /* of which the last has no image */
    request.class_names = NULL;
    assert_int_equal(nas_split_draw(&request, &sets, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "class 3 has no training image"));
}

static void path_of(char path[FIXTURE_PATH + 32]) {
    snprintf(path, FIXTURE_PATH + 32, "%s/split.json", folder);
}

/* 30, 120 and 120 images of three classes. */
enum { FEW = 30, MANY = 120, SKEWED = FEW + 2 * MANY };

static nas_split_request skewed_request(int32_t *of) {
    for (int i = 0; i < SKEWED; i++) of[i] = i < FEW ? 0 : 1 + i % 2;
    return (nas_split_request){.labels = of, .n_train = SKEWED, .classes = 3, .seed = 5};
}

static void count_classes(const int32_t *of, const uint64_t *list, uint64_t n, uint64_t counts[3]) {
    for (int c = 0; c < 3; c++) counts[c] = 0;
    for (uint64_t i = 0; i < n; i++) counts[of[list[i]]]++;
}

static void draw_good(const nas_split_request *request, nas_split_sets *sets) {
    nas_error err = {0};
    if (nas_split_draw(request, sets, &err)) fail_msg("%s", err.message);
}

static void test_all_labels(void **state) {
    (void)state;
    int32_t of[SKEWED];
    uint64_t counts[3];
    nas_split_request request = skewed_request(of);
    nas_split_sets s;
    request.labelled = NAS_SPLIT_ALL;
    draw_good(&request, &s);
    assert_int_equal(s.n_labelled, SKEWED);
    nas_split_free(&s);
    request.validation = 27; /* a tenth */
    request.heldout = 54;
    draw_good(&request, &s);
    assert_int_equal(s.n_labelled, SKEWED - 27 - 54);
    count_classes(of, s.validation, s.n_validation, counts);
    assert_true(counts[0] == 3 && counts[1] == 12 && counts[2] == 12);
    count_classes(of, s.heldout, s.n_heldout, counts);
    assert_true(counts[0] == 6 && counts[1] == 24 && counts[2] == 24);
    count_classes(of, s.labelled, s.n_labelled, counts);
    assert_true(counts[0] == 21 && counts[1] == 84 && counts[2] == 84);
    bool seen[N] = {false};
    mark(s.labelled, s.n_labelled, seen);
    mark(s.validation, s.n_validation, seen);
    mark(s.heldout, s.n_heldout, seen);
    nas_split_free(&s);
    request.validation = 200;
    request.heldout = SKEWED - 200 - 3; /* each class keeps its last label */
    draw_good(&request, &s);
    count_classes(of, s.labelled, s.n_labelled, counts);
    assert_true(counts[0] == 1 && counts[1] == 1 && counts[2] == 1);
    nas_split_free(&s);
}

static void test_shares(void **state) {
    (void)state;
    int32_t of[SKEWED];
    uint64_t counts[3];
    nas_split_request request = skewed_request(of);
    nas_split_sets s;
    request.balance = NAS_BALANCE_SHARES;
    request.labelled = 150;
    request.validation = 20;
    draw_good(&request, &s);
    count_classes(of, s.labelled, s.n_labelled, counts);
    assert_in_range(counts[0], 16, 18);
    assert_true(counts[0] + counts[1] + counts[2] == 150 && counts[1] + 1 >= counts[2]);
    count_classes(of, s.validation, s.n_validation, counts);
    assert_in_range(counts[0], 2, 3);
    nas_split_free(&s);
    request.labelled = 3;
    request.validation = 0;
    draw_good(&request, &s);
    count_classes(of, s.labelled, s.n_labelled, counts);
    assert_true(counts[0] == 1 && counts[1] == 1 && counts[2] == 1);
    nas_split_free(&s);
    request.labelled = SKEWED;
    draw_good(&request, &s);
    nas_split_free(&s);
}

/* Held-out images come from the unlabelled ones where there are enough. */
static void test_heldout_of_the_unlabelled(void **state) {
    (void)state;
    int32_t of[SKEWED];
    nas_split_request request = skewed_request(of);
    nas_split_sets s, again;
    nas_error err = {0};
    uint64_t *extra;
    char path[FIXTURE_PATH + 32];
    request.labelled = NAS_SPLIT_ALL;
    request.n_extra = 500;
    request.heldout = 300;
    draw_good(&request, &s);
    assert_true(s.heldout_extra && s.n_labelled == SKEWED);
    assert_int_equal(nas_split_pool_size(&s), SKEWED);
    assert_int_equal(nas_split_extra_size(&s), 200);
    assert_int_equal(nas_split_extra(&s, &extra, NULL), NAS_OK);
    bool held[500] = {false};
    for (int i = 0; i < 300; i++) held[s.heldout[i]] = true;
    for (int i = 0; i < 200; i++) assert_true(!held[extra[i]] && (!i || extra[i - 1] < extra[i]));
    free(extra);
    path_of(path);
    assert_int_equal(nas_split_save(path, &s, NULL), NAS_OK);
    if (nas_split_load(path, SKEWED, 500, &again, &err)) fail_msg("%s", err.message);
    assert_true(again.heldout_extra && again.n_extra == 500);
    assert_memory_equal(again.heldout, s.heldout, 300 * sizeof *s.heldout);
    nas_split_free(&again);
    assert_int_equal(nas_split_load(path, SKEWED, 501, &again, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "n_extra: the split is of 500 unlabelled images"));
    nas_split_free(&s);
    request.labelled = 3;
    request.heldout = 200;
    request.n_extra = 199;
    draw_good(&request, &s);
    assert_false(s.heldout_extra);
    nas_split_free(&s);
    request.heldout_from = NAS_HELDOUT_UNLABELLED;
    assert_int_equal(nas_split_draw(&request, &s, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "200 heldout images, but the data set has 199 unlabelled"));
}

static void test_round_trip(void **state) {
    (void)state;
    char path[FIXTURE_PATH + 32];
    path_of(path);
    static const uint64_t seeds[] = {0, 12345, UINT64_MAX};
    for (int i = 0; i < 3; i++) {
        nas_split_sets a = split_of(30, 10, i == 1 ? 0 : 50, seeds[i]), b;
        nas_error err = {0};
        assert_int_equal(nas_split_save(path, &a, &err), NAS_OK);
        if (nas_split_load(path, N, 0, &b, &err)) fail_msg("%s", err.message);
        assert_true(a.seed == b.seed && b.n_train == N);
        assert_true(b.n_labelled == 30 && b.n_validation == 10 && b.n_heldout == a.n_heldout);
        assert_memory_equal(a.labelled, b.labelled, 30 * sizeof *a.labelled);
        assert_memory_equal(a.validation, b.validation, 10 * sizeof *a.validation);
        assert_memory_equal(a.heldout, b.heldout, a.n_heldout * sizeof *a.heldout);
        nas_split_free(&a);
        nas_split_free(&b);
    }
}

#define SPLIT(n_train, n, labelled, validation, heldout)                                           \
    "{\"seed\": 1, \"n_train\": " n_train ", \"n_labelled\": " n                                   \
    ", \"n_validation\": 1, \"n_heldout\": 0, \"labelled\": " labelled                             \
    ", \"validation\": " validation ", \"heldout\": " heldout "}"

static void test_corrupt_files(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "split.json"},
        {"[]", "expected an object, found array"},
        {"{}", "key \"seed\" is missing"},
        {"{\"seed\": \"1\"}", "seed: expected an integer, found string"},
        {SPLIT("999", "2", "[1, 2]", "[3]", "[]"),
         "999 training images, but the data set has 1000"},
        {SPLIT("1000", "3", "[1, 2]", "[3]", "[]"), "labelled: expected 3 indices, found 2"},
        {SPLIT("1000", "2", "[1, 2]", "null", "[]"), "validation: expected an array, found null"},
        {SPLIT("1000", "2", "[2, 1]", "[3]", "[]"), "labelled[1]: expected ascending"},
        {SPLIT("1000", "2", "[1, 1]", "[3]", "[]"), "labelled[1]: expected ascending"},
        {SPLIT("1000", "2", "[1, 2]", "[2]", "[]"), "validation[0]: image 2 is in an earlier list"},
        {SPLIT("1000", "2", "[-1, 2]", "[3]", "[]"), "labelled[0]: expected 0 to 999, found -1"},
        {SPLIT("1000", "2", "[1, 1000]", "[3]", "[]"),
         "labelled[1]: expected 0 to 999, found 1000"},
        {SPLIT("1000", "2", "[1, 2.5]", "[3]", "[]"), "labelled[1]: expected an integer"},
        {SPLIT("1000", "2", "[1, 2", "[3]", "[]"), "split.json"},
        {SPLIT("-1", "2", "[1, 2]", "[3]", "[]"), "the split is of -1 training images"},
        {SPLIT("null", "2", "[1, 2]", "[3]", "[]"), "n_train: expected an integer, found null"},
        {SPLIT("1000", "-2", "[1, 2]", "[3]", "[]"), "labelled: expected -2 indices, found 2"},
        {SPLIT("1000", "\"2\"", "[1, 2]", "[3]", "[]"), "n_labelled: expected an integer"},
        {"{\"seed\": 1, \"n_train\": 1000, \"n_labelled\": 2}",
         "labelled: expected an array, found nothing"},
        {"{\"heldout_from\": \"test\"}", "heldout_from: expected \"train\" or \"unlabelled\", "
                                         "found test"},
        {"{\"heldout_from\": 3}",
         "heldout_from: expected \"train\" or \"unlabelled\", found integer"},
        {"{\"heldout_from\": \"unlabelled\"}", "key \"n_extra\" is missing"},
        {"{\"n_extra\": -1}", "n_extra: the split is of -1 unlabelled images"},
        {"{\"n_extra\": 5}", "n_extra: the split is of 5 unlabelled images"},
    };
    char path[FIXTURE_PATH + 32];
    path_of(path);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nas_split_sets sets;
        nas_error err = {0};
        size_t bytes = strlen(cases[i].text);
        assert_int_equal(fixture_write(folder, "split.json", cases[i].text, bytes, false), 0);
        assert_int_equal(nas_split_load(path, N, 0, &sets, &err), NAS_ERR_INPUT);
        if (!strstr(err.message, cases[i].says) || !strstr(err.message, path))
            fail_msg("case %zu: %s", i, err.message);
        assert_null(sets.labelled);
    }
    /* The form of the cases is right: one without a fault loads. */
    nas_split_sets sets;
    const char *good = SPLIT("1000", "2", "[1, 2]", "[3]", "[]");
    assert_int_equal(fixture_write(folder, "split.json", good, strlen(good), false), 0);
    assert_int_equal(nas_split_load(path, N, 0, &sets, NULL), NAS_OK);
    nas_split_free(&sets);
}

static void test_missing_file(void **state) {
    (void)state;
    char path[FIXTURE_PATH + 32];
    path_of(path);
    remove(path);
    nas_split_sets sets;
    nas_error err = {0};
    assert_int_not_equal(nas_split_load(path, N, 0, &sets, &err), NAS_OK);
    assert_non_null(strstr(err.message, path));
    nas_split_free(&sets);
    nas_split_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_balanced_and_disjoint),
        cmocka_unit_test(test_remainders),
        cmocka_unit_test(test_labelled_depend_on_the_seed_alone),
        cmocka_unit_test(test_larger_sets_hold_smaller_ones),
        cmocka_unit_test(test_bad_sizes),
        cmocka_unit_test(test_rare_class_is_named),
        cmocka_unit_test(test_all_labels),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_heldout_of_the_unlabelled),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_corrupt_files),
        cmocka_unit_test(test_missing_file),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
