/* The engine's inner loops and matrix products in float, against plain loops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gemm_checks.h"
#include "kernel_checks.h"

static void rows_are_those_of_plain_loops(void **state) {
    (void)state;
    check_all_rows();
}

static void depthwise_is_that_of_plain_loops(void **state) {
    (void)state;
    check_all_shapes();
}

static void products_are_those_of_plain_loops(void **state) {
    (void)state;
    check_all_products();
    check_all_multiplies();
}

/* Whole vectors but for the first block's end, blocks alike, nothing left out. */
static void products_are_cut_into_whole_vectors(void **state) {
    (void)state;
    for (size_t n = 8; n <= 2048; n += 8) {
        size_t at = 0, least = 64, most = 0;
        for (size_t width; at < n; at += width) {
            width = nas_product_width(n, at);
            assert_true(width <= 64 && width % 16 == (at ? 0 : n % 16));
            least = width < least ? width : least;
            most = width > most ? width : most;
        }
        assert_int_equal(at, n);
        assert_true(most - least < 32);
    }
}

static void environment_picks_the_set(void **state) {
    (void)state;
    int n = 0;
    while (nas_kernels_get(n)) n++;
    assert_in_range(n, 1, 8);
    for (int i = 0; i < n; i++) {
        assert_int_equal(setenv("NASHOST_ISA", nas_kernels_get(i)->isa, 1), 0);
        assert_ptr_equal(nas_kernels_pick(), nas_kernels_get(i));
    }
    assert_int_equal(setenv("NASHOST_ISA", "no such set", 1), 0);
    assert_ptr_equal(nas_kernels_pick(), nas_kernels_get(n - 1));
    assert_int_equal(unsetenv("NASHOST_ISA"), 0);
    assert_ptr_equal(nas_kernels_pick(), nas_kernels_get(n - 1));
    assert_null(nas_kernels_get(-1));
}

/* Where BLIS does not know the processor: by its instructions, which every family of BLIS has. */
static void products_find_their_kernels(void **state) {
    (void)state;
    assert_int_equal(nas_gemm_family(false, false), -1);
    assert_true(nas_gemm_family(true, true) >= 0);
    assert_true(nas_gemm_family(false, true) >= 0);
    assert_int_not_equal(nas_gemm_family(true, true), nas_gemm_family(false, true));
    assert_int_equal(setenv("BLIS_ARCH_TYPE", "77", 1), 0);
    nas_gemm_prepare(); /* a user's word stays, even a wrong one */
    assert_string_equal(getenv("BLIS_ARCH_TYPE"), "77");
    assert_int_equal(unsetenv("BLIS_ARCH_TYPE"), 0);
#ifdef __x86_64__
    __builtin_cpu_init();
    bool vectors = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    nas_gemm_prepare();
    if (vectors) assert_string_not_equal(nas_gemm_kernels(), "generic");
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_find_their_kernels), /* before the first product */
        cmocka_unit_test(rows_are_those_of_plain_loops),
        cmocka_unit_test(depthwise_is_that_of_plain_loops),
        cmocka_unit_test(products_are_those_of_plain_loops),
        cmocka_unit_test(products_are_cut_into_whole_vectors),
        cmocka_unit_test(environment_picks_the_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
