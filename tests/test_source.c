/* A data set in memory: what is measured, and a plugin that breaks its contract. */
#include "data/source.h"
#include "fake_data.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_class_names_are_utf8(void **state) {
    (void)state;
    static const char *const names[] = {"a", "b\xc3\xa4", "k\xe4tzchen", "d", "e"};
    fake_data data = fake_make(20, 0, 1);
    nas_source source;
    nas_error err = {0};
    data.info.class_names = names;
    assert_int_equal(nas_source_open(&fake_api, &data, &source, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "class 2 is not UTF-8: k\\xe4tzchen"));
    assert_int_equal(data.reads[NAS_SPLIT_TRAIN], 0);
}

static void test_reads_train_and_extra_alone(void **state) {
    (void)state;
    fake_data d = fake_make(20, 7, 3);
    nas_source source;
    nas_error err = {0};
    if (nas_source_open(&fake_api, &d, &source, &err)) fail_msg("%s", err.message);
    assert_int_equal(source.train.n, 20);
    assert_int_equal(source.extra.n, 7);
    assert_int_equal(d.reads[NAS_SPLIT_TEST], 0);
    assert_int_equal(source.train.pixels[19 * 90 + 2], fake_pixel(NAS_SPLIT_TRAIN, 19, 2));
    assert_int_equal(source.extra.pixels[6 * 90], fake_pixel(NAS_SPLIT_EXTRA, 6, 0));
    assert_int_equal(source.train.labels[13], 3);
    assert_int_equal(source.extra.labels[0], -1);
    nas_images test;
    assert_int_equal(nas_source_read(&source, NAS_SPLIT_TEST, &test, &err), NAS_OK);
    assert_int_equal(test.n, 10);
    assert_int_equal(test.pixels[9 * 90 + 1], fake_pixel(NAS_SPLIT_TEST, 9, 1));
    nas_images_free(&test);
    nas_source_close(&source);
}

static void test_mean_and_deviation(void **state) {
    (void)state;
    for (uint32_t channels = 1; channels <= 3; channels += 2) {
        fake_data d = fake_make(20, 0, channels);
        nas_source source;
        assert_int_equal(nas_source_open(&fake_api, &d, &source, NULL), NAS_OK);
        assert_null(source.extra.pixels);
        for (uint32_t c = 0; c < channels; c++) {
            double sum = 0, squares = 0, n = 20 * 30;
            for (uint32_t i = 0; i < 20 * 30; i++) {
                double x = source.train.pixels[i * channels + c] / 255.0;
                sum += x;
                squares += x * x;
            }
            assert_float_equal(source.mean[c], (float)(sum / n), 1e-6);
            assert_float_equal(source.std[c], sqrt(squares / n - sum / n * (sum / n)), 1e-6);
        }
        nas_source_close(&source);
    }
}

static void test_one_grey_level_stays_finite(void **state) {
    (void)state;
    fake_data d = fake_make(1, 0, 1);
    d.info.height = d.info.width = 1;
    nas_source source;
    assert_int_equal(nas_source_open(&fake_api, &d, &source, NULL), NAS_OK);
    assert_true(source.std[0] > 0);
    nas_source_close(&source);
}

static void assert_refused(fake_data d, int code, const char *says) {
    nas_source source;
    nas_error err = {0};
    assert_int_equal(nas_source_open(&fake_api, &d, &source, &err), code);
    if (!strstr(err.message, says)) fail_msg("expected \"%s\", found: %s", says, err.message);
    assert_null(source.train.pixels);
}

static void test_broken_contracts(void **state) {
    (void)state;
    const fake_data good = fake_make(20, 5, 1);
    fake_data d = good;
    d.info_code = NAS_ERR_IO;
    assert_refused(d, NAS_ERR_IO, "fake: no info");
    d = good;
    d.info.channels = 2;
    assert_refused(d, NAS_ERR_PLUGIN, "2 channels; expected 1 or 3");
    d = good;
    d.info.height = 0;
    assert_refused(d, NAS_ERR_PLUGIN, "images of 0 x 5");
    d = good;
    d.info.width = 5000;
    assert_refused(d, NAS_ERR_PLUGIN, "images of 6 x 5000");
    d = good;
    d.info.classes = 1;
    assert_refused(d, NAS_ERR_PLUGIN, "1 classes");
    d = good;
    d.info.count[NAS_SPLIT_TRAIN] = 0;
    assert_refused(d, NAS_ERR_INPUT, "no training images");
    d = good;
    d.info.count[NAS_SPLIT_EXTRA] = UINT64_MAX;
    assert_refused(d, NAS_ERR_INPUT, "split \"extra\" has 18446744073709551615 images");
    d = good;
    d.wrong_label = 5;
    assert_refused(d, NAS_ERR_PLUGIN, "label 5 for image 3 of split \"train\"; expected 0 to 4");
    d = good;
    d.wrong_label = -1;
    assert_refused(d, NAS_ERR_PLUGIN, "label -1 for image 3 of split \"train\"");
    d = good;
    d.forgets_labels = true;
    assert_refused(d, NAS_ERR_PLUGIN, "for image 0 of split \"train\"");
}

static void test_read_errors_surface(void **state) {
    (void)state;
    for (int split = NAS_SPLIT_TRAIN; split <= NAS_SPLIT_EXTRA; split += 2) {
        fake_data d = fake_make(20, 5, 1);
        d.read_code = NAS_ERR_IO;
        d.fails_on = (nas_split)split;
        assert_refused(d, NAS_ERR_IO, "cannot be read");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_class_names_are_utf8),
        cmocka_unit_test(test_reads_train_and_extra_alone),
        cmocka_unit_test(test_mean_and_deviation),
        cmocka_unit_test(test_one_grey_level_stays_finite),
        cmocka_unit_test(test_broken_contracts),
        cmocka_unit_test(test_read_errors_surface),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
