/* The score plugin `macs`. */
#include "../plugins/score/macs.c"

#include <setjmp.h>

#include <cmocka.h>

static void test_score(void **state) {
    (void)state;
    const nas_network network = {.macs = 12607040, .params = 340634};
    const nas_subnet subnet = {.size = sizeof subnet, .network = &network};
    void *self = NULL;
    nas_error err = {0};
    double value = 0;
    assert_int_equal(create(NULL, NULL, &self, &err), NAS_OK);
    assert_non_null(self);
    assert_int_equal(start(self, &subnet, &err), NAS_OK);
    assert_int_equal(score(self, &subnet, &value, &err), NAS_OK);
    assert_true(value == 12607040);
    destroy(self);
    destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_score)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
