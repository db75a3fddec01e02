/* The score plugins `params` and `macs`. */
#define nas_plugin_entry entry_params
#define nothing nothing_params
#define create create_params
#define destroy destroy_params
#define start start_params
#define score score_params
#define api api_params
#define plugin plugin_params
#include "../plugins/score/params.c"
#undef nas_plugin_entry
#undef nothing
#undef create
#undef destroy
#undef start
#undef score
#undef api
#undef plugin
#include "../plugins/score/macs.c"

#include <setjmp.h>

#include <cmocka.h>

static void test_scores(void **state) {
    (void)state;
    const nas_network network = {.macs = 12607040, .params = 340634};
    const nas_subnet subnet = {.size = sizeof subnet, .network = &network};
    const nas_plugin *const plugins[] = {entry_params(), nas_plugin_entry()};
    const double expected[] = {340634, 12607040};
    for (int i = 0; i < 2; i++) {
        const nas_score_api *scorer = plugins[i]->vtable;
        void *self = NULL;
        nas_error err = {0};
        double value = 0;
        assert_int_equal(plugins[i]->create(NULL, NULL, &self, &err), NAS_OK);
        assert_non_null(self);
        assert_int_equal(scorer->start(self, &subnet, &err), NAS_OK);
        assert_int_equal(scorer->score(self, &subnet, &value, &err), NAS_OK);
        assert_true(value == expected[i]);
        plugins[i]->destroy(self);
        plugins[i]->destroy(NULL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_scores)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
