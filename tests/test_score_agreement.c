/* The score plugin `agreement`. */
#include "../plugins/score/agreement.c"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

enum { IMAGES = 4, CLASSES = 3 };

static int copy_logits(const nas_subnet *subnet, float *logits, nas_error *err) {
    if (!subnet->impl) return nas_fail(err, NAS_ERR_IO, "no images");
    memcpy(logits, subnet->impl, subnet->heldout * subnet->classes * sizeof *logits);
    return NAS_OK;
}

static nas_subnet subnet_of(float logits[IMAGES][CLASSES]) {
    return (nas_subnet){.size = sizeof(nas_subnet),
                        .classes = CLASSES,
                        .impl = logits,
                        .heldout = IMAGES,
                        .heldout_logits = copy_logits};
}

static float largest[IMAGES][CLASSES] = {{1, 2, 3}, {5, 1, 1}, {-3, -1, -2}, {0, 0, 0}};

static void *open_score(void) {
    void *self = NULL;
    nas_error err = {0};
    assert_int_equal(nas_plugin_entry()->create(NULL, NULL, &self, &err), NAS_OK);
    nas_subnet subnet = subnet_of(largest);
    if (api.start(self, &subnet, &err)) fail_msg("%s", err.message);
    return self;
}

static double score_of(void *self, float logits[IMAGES][CLASSES]) {
    nas_subnet subnet = subnet_of(logits);
    nas_error err = {0};
    double value = -1;
    if (api.score(self, &subnet, &value, &err)) fail_msg("%s", err.message);
    return value;
}

static void test_shares(void **state) {
    (void)state;
    void *self = open_score();
    assert_true(score_of(self, largest) == 1);
    float half[IMAGES][CLASSES] = {{0, 0, 1}, {0, 1, 0}, {0, 1, 0}, {0, 0, 1}};
    assert_true(score_of(self, half) == 0.5);
    float none[IMAGES][CLASSES] = {{9, 0, 0}, {0, 0, 1}, {1, 0, 0}, {0, 1, 0}};
    assert_true(score_of(self, none) == 0);
    /* The reference is the one of the start, whatever was scored since. */
    assert_true(score_of(self, largest) == 1);
    destroy(self);
}

static void test_restart(void **state) {
    (void)state;
    void *self = open_score();
    float other[IMAGES][CLASSES] = {{1, 0, 0}, {1, 0, 0}, {1, 0, 0}, {1, 0, 0}};
    nas_subnet subnet = subnet_of(other);
    nas_error err = {0};
    assert_int_equal(api.start(self, &subnet, &err), NAS_OK);
    assert_true(score_of(self, largest) == 0.5); /* images 1 and, by the tie, 3 */
    destroy(self);
}

static void test_errors(void **state) {
    (void)state;
    void *self = open_score();
    nas_error err = {0};
    double value;
    float bad[IMAGES][CLASSES] = {{0, 0, 1}, {0, 1, 0}, {0, NAN, 0}, {0, 0, 1}};
    nas_subnet subnet = subnet_of(bad);
    assert_int_equal(api.score(self, &subnet, &value, &err), NAS_ERR_NUMERIC);
    assert_non_null(strstr(err.message, "found nan for held-out image 2"));
    subnet = subnet_of(largest);
    subnet.heldout = IMAGES - 1;
    assert_int_equal(api.score(self, &subnet, &value, &err), NAS_ERR_PLUGIN);
    subnet = subnet_of(NULL);
    assert_int_equal(api.score(self, &subnet, &value, &err), NAS_ERR_IO);
    assert_int_equal(api.start(self, &subnet, &err), NAS_ERR_IO);
    subnet.heldout = 0;
    assert_int_equal(api.start(self, &subnet, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "found none"));
    destroy(self);
    destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
