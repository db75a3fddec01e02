/* Where a training starts and what of it learns: given weights, frozen parts, an anchor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/safetensors.h"
#include "toy_run.h"

#include <math.h>

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

/* Whether the tensors of two runs that are, or are not, named with `part` are the same. */
static bool same_tensors(const toys *t, const char *a, const char *b, const char *part, bool with) {
    nas_tensor_file left, right;
    char path[TOY_PATH];
    bool same = true;
    toys_path(t, a, path);
    assert_int_equal(nas_tensors_load(path, &left, NULL), NAS_OK);
    toys_path(t, b, path);
    assert_int_equal(nas_tensors_load(path, &right, NULL), NAS_OK);
    for (size_t i = 0; i < left.n_tensors; i++) {
        const nas_tensor *one = &left.tensors[i], *other = nas_tensors_find(&right, one->name);
        size_t n = 1;
        if ((strstr(one->name, part) != NULL) != with) continue;
        for (uint32_t d = 0; d < one->ndim; d++) n *= one->shape[d];
        same = same && memcmp(one->data, other->data, n * sizeof *one->data) == 0;
    }
    nas_tensors_free(&left);
    nas_tensors_free(&right);
    return same;
}

/* What is frozen keeps its initial weights, as with a learning rate of 0, and the rest learns. */
static void test_frozen(void **state) {
    toys *t = *state;
    const toys_how train = {.until = NAS_UNTIL_TRAIN};
    const char *const a = "a/supernet.safetensors", *const b = "b/supernet.safetensors";
    const char *const c = "c/supernet.safetensors";
    toys_good(t, toys_run(t, "a", train, "train.lr=0"));
    toys_good(t, toys_run(t, "b", train, "train.freeze_trunk_steps=12"));
    toys_good(t, toys_run(t, "c", train, "train.freeze_batch_norm=true"));
    assert_true(same_tensors(t, a, b, "classifier.", false));
    assert_false(same_tensors(t, a, b, "classifier.", true));
    assert_true(same_tensors(t, a, c, ".bn.", true));
    assert_false(same_tensors(t, a, c, ".bn.", false));
}

/* A training starts from the weights that it is given, also where the space is left to the file. */
static void test_init(void **state) {
    toys *t = *state;
    const toys_how train = {.until = NAS_UNTIL_TRAIN};
    const char *const a = "a/supernet.safetensors", *const b = "b/supernet.safetensors";
    const char *const c = "c/supernet.safetensors";
    toys_good(t, toys_run(t, "a", train, "seed=5"));
    toys_good(t, toys_run(t, "b", train, "init.weights=a/supernet.safetensors",
                          "init.classifier=keep", "train.lr=0", "train.ema=0"));
    toys_good(t, toys_run(t, "c", train, "init.weights=a/supernet.safetensors", "train.lr=0",
                          "train.ema=0"));
    assert_true(same_tensors(t, a, b, "", true));
    assert_true(same_tensors(t, a, c, "classifier.", false));
    assert_false(same_tensors(t, a, c, "classifier.", true));
}

/* Weights of another network are refused before the training, and by a dry run. */
static void test_init_of_another(void **state) {
    toys *t = *state;
    const toys_how train = {.until = NAS_UNTIL_TRAIN}, dry = {.dry_run = true};
    toys_good(t, toys_run(t, "a", train, "space.head.width=5"));
    const char *const from = "init.weights=a/supernet.safetensors";
    assert_int_equal(toys_run(t, "b", train, from), NAS_ERR_INPUT);
    assert_non_null(strstr(t->err.message, "tensors are missing or do not fit the space \"toy\""));
    assert_false(toys_exist(t, "b/supernet.safetensors"));
    assert_int_equal(toys_run(t, "c", dry, from), NAS_ERR_INPUT);
    assert_int_equal(toys_run(t, "d", train, "init.weights=no/such.safetensors"), NAS_ERR_IO);
}

/* A strong anchor holds the trunk where it began, closer than weight decay towards 0 does. */
static void test_anchor(void **state) {
    toys *t = *state;
    const toys_how train = {.until = NAS_UNTIL_TRAIN};
    static const char *const files[] = {"a/supernet.safetensors", "b/supernet.safetensors",
                                        "c/supernet.safetensors"};
    double stem[3][36], far = 0, near = 0;
    toys_good(t, toys_run(t, "a", train, "train.lr=0"));
    toys_good(t, toys_run(t, "b", train, "train.anchor=1", "train.weight_decay=1"));
    toys_good(t, toys_run(t, "c", train, "train.weight_decay=1"));
    for (size_t i = 0; i < 3; i++) {
        nas_tensor_file file;
        char path[TOY_PATH];
        toys_path(t, files[i], path);
        assert_int_equal(nas_tensors_load(path, &file, NULL), NAS_OK);
        const nas_tensor *conv = nas_tensors_find(&file, "stem.conv");
        for (size_t j = 0; j < 36; j++) stem[i][j] = (double)conv->data[j];
        nas_tensors_free(&file);
    }
    for (size_t j = 0; j < 36; j++) near += fabs(stem[1][j] - stem[0][j]);
    for (size_t j = 0; j < 36; j++) far += fabs(stem[2][j] - stem[0][j]);
    assert_true(near > 0 && near < far / 2);
}
int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_frozen, setup, teardown),
        cmocka_unit_test_setup_teardown(test_anchor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_init, setup, teardown),
        cmocka_unit_test_setup_teardown(test_init_of_another, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
