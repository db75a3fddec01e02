/* The score plugin `macs`. */
#include "../plugins/score/macs.c"

#include <setjmp.h>

#include <cmocka.h>

static void test_score(void **state) {
    (void)state;
    const nas_network network = {.macs = 12607040, .params = 340634};
    const nas_subnet subnet = {.size = sizeof subnet, .network = &network};
    const nas_score_api *api = nas_plugin_entry()->vtable;
    const char config = 0; /* the host gives a place even if there is no option */
    void *self = NULL;
    nas_error err = {0};
    double value = 0;
    assert_int_equal(nas_plugin_entry()->create(NULL, &config, &self, &err), NAS_OK);
    assert_non_null(self);
    assert_int_equal(api->start(self, &subnet, &err), NAS_OK);
    assert_int_equal(api->score(self, &subnet, &value, &err), NAS_OK);
    assert_true(value == 12607040);
    nas_plugin_entry()->destroy(self);
    nas_plugin_entry()->destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_score)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
