/* The score plugin `validation`. */
#include "../plugins/score/validation.c"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

enum { IMAGES = 4, CLASSES = 3 };

/* Images 0 and 2 are right; image 3 is so by the first of equals. */
static float answers[IMAGES][CLASSES] = {{1, 2, 3}, {5, 1, 1}, {-3, -1, -2}, {0, 0, 0}};
static const int32_t right[IMAGES] = {2, 1, 1, 0};

static int look(const nas_subnet *subnet, const nas_look *how, float *logits, int32_t *labels,
                nas_error *err) {
    if (!subnet->impl) return nas_fail(err, NAS_ERR_IO, "no images");
    assert_int_equal(how->images, NAS_LOOK_VALIDATION);
    assert_int_equal(how->augment, NAS_LOOK_PLAIN);
    memcpy(logits, subnet->impl, sizeof answers);
    memcpy(labels, right, sizeof right);
    return NAS_OK;
}

static nas_subnet subnet_of(float logits[IMAGES][CLASSES]) {
    return (nas_subnet){.size = sizeof(nas_subnet),
                        .classes = CLASSES,
                        .impl = logits,
                        .validation = IMAGES,
                        .look = look};
}

static int try_score(int how, const nas_subnet *subnet, double *value, nas_error *err) {
    const validation_config config = {how};
    void *self = NULL;
    assert_int_equal(nas_plugin_entry()->create(NULL, &config, &self, err), NAS_OK);
    int rc = api.start(self, subnet, err);
    if (!rc) rc = api.score(self, subnet, value, err);
    nas_plugin_entry()->destroy(self);
    return rc;
}

static double score_of(int how, float logits[IMAGES][CLASSES]) {
    nas_subnet subnet = subnet_of(logits);
    nas_error err = {0};
    double value = -1;
    if (try_score(how, &subnet, &value, &err)) fail_msg("%s", err.message);
    return value;
}

static void test_top1(void **state) {
    (void)state;
    assert_true(score_of(TOP1, answers) == 0.75);
    float none[IMAGES][CLASSES] = {{9, 0, 0}, {0, 0, 1}, {1, 0, 0}, {0, 1, 0}};
    assert_true(score_of(TOP1, none) == 0);
}

static void test_log_likelihood(void **state) {
    (void)state;
    double sum = 0;
    for (size_t i = 0; i < IMAGES; i++) {
        double all = 0;
        for (size_t c = 0; c < CLASSES; c++) all += exp((double)answers[i][c]);
        sum += log(exp((double)answers[i][right[i]]) / all);
    }
    assert_true(fabs(score_of(LOG_LIKELIHOOD, answers) - sum / IMAGES) < 1e-6);
}

static void test_errors(void **state) {
    (void)state;
    nas_error err = {0};
    double value;
    float bad[IMAGES][CLASSES] = {{0, 0, 1}, {0, NAN, 0}, {0, 1, 0}, {0, 0, 1}};
    nas_subnet subnet = subnet_of(bad);
    for (int how = 0; how < 2; how++)
        assert_int_equal(try_score(how, &subnet, &value, &err), NAS_ERR_NUMERIC);
    assert_non_null(strstr(err.message, "validation image 1 "));
    subnet = subnet_of(NULL);
    assert_int_equal(try_score(TOP1, &subnet, &value, &err), NAS_ERR_IO);
    subnet.validation = 0;
    assert_int_equal(try_score(TOP1, &subnet, &value, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "set split.validation"));
    subnet = subnet_of(answers);
    subnet.size = offsetof(nas_subnet, validation); /* an older host */
    assert_int_equal(try_score(TOP1, &subnet, &value, &err), NAS_ERR_INPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_top1),
        cmocka_unit_test(test_log_likelihood),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
