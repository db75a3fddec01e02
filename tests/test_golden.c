/* The quickstart supernet against PyTorch: golden/supernet.py. */
#include "golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *const subnets[] = {"largest", "smallest", "mixed"};

static int setup(void **state) {
    golden *g = malloc(sizeof *g);
    if (!g) return -1;
    nas_error err;
    *state = g;
    if (golden_open(GOLDEN_FILE, g, &err) == NAS_OK) return 0;
    print_error("%s\n", err.message);
    return -1;
}

static int teardown(void **state) {
    if (*state) golden_close(*state);
    free(*state);
    return 0;
}

static void weights_are_those_of_numpy(void **state) {
    const golden *g = *state;
    for (size_t t = 0; t < g->n_tensors; t++) {
        const golden_tensor *tensor = &g->tensors[t];
        float *values = malloc(tensor->count * sizeof *values);
        assert_non_null(values);
        golden_fill(g, t, values);
        uint64_t check = golden_checksum(values, tensor->count);
        free(values);
        if (check != tensor->check)
            fail_msg("%s: expected checksum %016llx, found %016llx", tensor->name,
                     (unsigned long long)tensor->check, (unsigned long long)check);
    }
}

/* Each gradient belongs to a weight and is no larger; the largest subnet has them all, whole. */
static void gradients_fit_the_weights(void **state) {
    const golden *g = *state;
    for (size_t s = 0; s < 3; s++) {
        size_t n = 0;
        for (size_t t = 0; t < g->n_tensors; t++) {
            char part[128];
            snprintf(part, sizeof part, "grad/%s", g->tensors[t].name);
            const nas_tensor *grad = golden_part(g, subnets[s], part);
            if (!grad) continue;
            n++;
            assert_int_equal(grad->ndim, g->tensors[t].ndim);
            for (uint32_t d = 0; d < grad->ndim; d++) {
                assert_in_range(grad->shape[d], 1, g->tensors[t].shape[d]);
                if (s == 0) assert_int_equal(grad->shape[d], g->tensors[t].shape[d]);
            }
        }
        if (s == 0) assert_int_equal(n, g->n_tensors);
        assert_in_range(n, 1, g->n_tensors);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_those_of_numpy),
        cmocka_unit_test(gradients_fit_the_weights),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
