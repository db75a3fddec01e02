/* Shared weights: their table, how they begin, and their file. */
#include "base/file.h"
#include "supernet/supernet.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"
#include "small_net.h"

static nas_supernet *create(const nas_space *space, uint64_t seed, bool zero_init) {
    nas_error err = {0};
    nas_supernet *net;
    if (nas_supernet_create(space, seed, zero_init, &net, &err)) fail_msg("%s", err.message);
    return net;
}

static void table_names_every_weight_once(void **state) {
    (void)state;
    nas_space space = small_space("9, 6");
    nas_supernet *net = create(&space, 1, false);
    size_t at = 0;
    for (uint32_t i = 0; i < net->n_parameters; i++) {
        const nas_parameter *p = &net->parameters[i];
        size_t count = 1;
        for (uint32_t d = 0; d < p->ndim; d++) count *= p->shape[d];
        assert_int_equal(p->offset, at);
        assert_int_equal(p->count, count);
        assert_int_equal(p->decay, p->ndim > 1); /* kernels only */
        assert_ptr_equal(nas_supernet_find(net, p->name), p);
        at += count;
    }
    assert_int_equal(at, net->size);
    const nas_parameter *p = nas_supernet_find(net, "stage1.block2.depthwise.conv");
    assert_non_null(p);
    assert_int_equal(p->shape[0], 7);
    assert_int_equal(p->shape[2], 33); /* the widest input, 11, thrice */
    assert_null(nas_supernet_find(net, "stage0.block0.expand.conv")); /* expand is always 1 */
    assert_null(nas_supernet_find(net, "stage3.block0.project.conv"));
    nas_supernet_destroy(net);
    nas_supernet_destroy(NULL);
    space = small_mobile();
    net = create(&space, 1, false);
    assert_non_null(nas_supernet_find(net, "hidden0.weight"));
    assert_null(nas_supernet_find(net, "hidden0.bias"));
    /* One matrix between each two choices of each block, which begins as the identity. */
    assert_null(nas_supernet_find(net, "stage1.block1.depthwise.matrix5to3"));
    assert_non_null(nas_supernet_find(net, "stage1.block0.depthwise.matrix5to3"));
    assert_non_null(nas_supernet_find(net, "stage0.block1.depthwise.matrix3to1"));
    p = nas_supernet_find(net, "stage0.block0.depthwise.matrix7to5");
    assert_non_null(p);
    assert_true(p->decay && p->ndim == 2 && p->shape[0] == 25 && p->shape[1] == 25);
    for (size_t j = 0; j < p->count; j++)
        assert_true(net->weights[p->offset + j] == (j % 26 == 0 ? 1 : 0));
    assert_non_null(nas_supernet_find(net, "classifier.bias"));
    nas_supernet_destroy(net);
}

/* Four standard errors of the mean and of the variance of n normal numbers. */
static void assert_normal(const nas_parameter *p, const float *w) {
    double n = (double)p->count, want = 2.0 / p->fan_in, mean = 0, var = 0;
    for (size_t i = 0; i < p->count; i++) mean += (double)w[i] / n;
    for (size_t i = 0; i < p->count; i++) var += ((double)w[i] - mean) * ((double)w[i] - mean) / n;
    if (fabs(mean) > 4 * sqrt(want / n) || fabs(var - want) > 4 * want * sqrt(2 / n) + want / n)
        fail_msg("%s: mean %g, variance %g, expected 0 and %g", p->name, mean, var, want);
}

static void weights_begin_as_he_et_al(void **state) {
    (void)state;
    nas_space space = small_quickstart();
    nas_supernet *net = create(&space, 5, false), *zero = create(&space, 5, true);
    assert_int_equal(nas_supernet_find(net, "stem.conv")->fan_in, 9);
    assert_int_equal(nas_supernet_find(net, "stage1.block0.depthwise.conv")->fan_in, 25);
    assert_int_equal(nas_supernet_find(net, "stage1.block1.expand.conv")->fan_in, 24);
    for (uint32_t i = 0; i < net->n_parameters; i++) {
        const nas_parameter *p = &net->parameters[i];
        const float *w = net->weights + p->offset;
        if (p->fan_in) assert_normal(p, w);
        bool gamma = strstr(p->name, ".gamma"), last = strstr(p->name, "project.bn.gamma");
        bool first = strstr(p->name, ".block0."); /* of a stage: may have no residual */
        for (size_t j = 0; j < p->count; j++) {
            float other = zero->weights[p->offset + j];
            if (!p->fan_in) assert_true(w[j] == (gamma ? 1 : 0));
            assert_true(other == (last && !first ? 0 : w[j]));
        }
    }
    nas_supernet_destroy(net);
    nas_supernet_destroy(zero);
}

static void seeds_name_the_weights(void **state) {
    (void)state;
    nas_space space = small_space("9");
    nas_supernet *a = create(&space, 5, false), *b = create(&space, 5, false);
    nas_supernet *c = create(&space, 6, false);
    assert_memory_equal(a->weights, b->weights, a->size * sizeof *a->weights);
    for (uint32_t i = 0; i < a->n_parameters; i++) {
        const nas_parameter *p = &a->parameters[i];
        if (p->fan_in)
            assert_memory_not_equal(a->weights + p->offset, c->weights + p->offset,
                                    p->count * sizeof *a->weights);
    }
    nas_supernet_destroy(a), nas_supernet_destroy(b), nas_supernet_destroy(c);
}

static void files_bring_weights_back(void **state) {
    nas_error err = {0};
    char *path = nas_path_join(*state, "net.safetensors");
    nas_space space = small_space("9");
    nas_supernet *saved = small_net(&space), *read = create(&space, 6, false);
    assert_int_equal(nas_supernet_save(saved, NULL, path, "{\"kind\": \"test\"}", &err), NAS_OK);
    assert_int_equal(nas_supernet_load(read, path, &err), NAS_OK);
    assert_memory_equal(read->weights, saved->weights, saved->size * sizeof *saved->weights);
    float *others = small_random(saved->size, 1); /* such as an average of weights */
    assert_int_equal(nas_supernet_save(saved, others, path, NULL, &err), NAS_OK);
    assert_int_equal(nas_supernet_load(read, path, &err), NAS_OK);
    assert_memory_equal(read->weights, others, saved->size * sizeof *others);
    free(others);
    free(path);
    nas_supernet_destroy(saved), nas_supernet_destroy(read);
}

/* Saves the first space's weights; the second's must not take them, and says why. */
static void refuse(const char *folder, const nas_space *saved, const nas_space *asked,
                   const char *message) {
    nas_error err = {0};
    char *path = nas_path_join(folder, "other.safetensors");
    nas_supernet *from = create(saved, 1, false), *to = create(asked, 2, false);
    assert_int_equal(nas_supernet_save(from, NULL, path, NULL, &err), NAS_OK);
    assert_int_equal(nas_supernet_load(to, path, &err), NAS_ERR_INPUT);
    if (!strstr(err.message, message) || !strstr(err.message, path))
        fail_msg("expected \"%s\" and the file, found: %s", message, err.message);
    free(path);
    nas_supernet_destroy(from), nas_supernet_destroy(to);
}

static void other_files_are_refused(void **state) {
    nas_space a = small_space("9"), deeper = small_space("9, 6"), wider = small_space("10");
    nas_space renamed = a;
    refuse(*state, &deeper, &a, "expected ");
    refuse(*state, &a, &deeper, "expected ");
    refuse(*state, &wider, &a, "tensor \"hidden0.weight\" has another shape");
    /* As many tensors, but under other names: a block moves from one stage to the next. */
    renamed.stages[2].squeeze_excite = false;
    renamed.stages[1].squeeze_excite = true;
    refuse(*state, &renamed, &a, "tensor \"stage2.block0.se.reduce.weight\" is missing");

    nas_error err = {0};
    char *path = nas_path_join(*state, "nothing.safetensors");
    nas_supernet *net = create(&a, 1, false);
    assert_int_equal(nas_supernet_load(net, path, &err), NAS_ERR_IO);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(fixture_write(*state, "nothing.safetensors", "12345", 5, false), 0);
    assert_int_equal(nas_supernet_load(net, path, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, path));
    free(path);
    nas_supernet_destroy(net);
}

static int setup(void **state) {
    static char folder[FIXTURE_PATH];
    *state = folder;
    return fixture_folder(folder);
}

static int teardown(void **state) {
    fixture_remove(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_names_every_weight_once),
        cmocka_unit_test(weights_begin_as_he_et_al),
        cmocka_unit_test(seeds_name_the_weights),
        cmocka_unit_test(files_bring_weights_back),
        cmocka_unit_test(other_files_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
