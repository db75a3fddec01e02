/* The page of a report: whatever stands in its data stays data. tests/report_html.sh has the rest.
 */
#include "base/file.h"
#include "fixture.h"
#include "run/machine.h"
#include "stages/page.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char opening[] = "<script type=\"application/json\" id=\"data\">";

static size_t count(const char *text, const char *what) {
    size_t n = 0;
    for (; (text = strstr(text, what)) != NULL; text++) n++;
    return n;
}

static void test_hostile_data(void **state) {
    char *text, path[FIXTURE_PATH + 16];
    size_t bytes;
    const char *folder = *state;
    json_t *data =
        json_pack("{s:s, s:s, s:f}", "name", "</script><script>alert(1)</script><!-- & {{style}}",
                  "</key>", "\xe2\x80\xa8 \xc3\xa9 \"quoted\" \\", "x", 0.1);
    assert_non_null(data);
    snprintf(path, sizeof path, "%s/a.html", folder);
    json_t *empty = json_object();
    assert_int_equal(nas_page_write(path, empty, NULL), NAS_OK);
    json_decref(empty);
    assert_int_equal(nas_file_read(path, 1 << 24, &text, &bytes, NULL), NAS_OK);
    size_t tags = count(text, "<script"), ends = count(text, "</script");
    assert_int_equal(tags, ends);
    assert_int_equal(count(text, "{{"), 0);
    free(text);
    assert_int_equal(nas_page_write(path, data, NULL), NAS_OK);
    assert_int_equal(nas_file_read(path, 1 << 24, &text, &bytes, NULL), NAS_OK);
    assert_int_equal(count(text, "<script"), tags);
    assert_int_equal(count(text, "</script"), ends);
    assert_int_equal(count(text, "<!--"), 1); /* the template's own */
    const char *start = strstr(text, opening);
    assert_non_null(start);
    start += sizeof opening - 1;
    json_t *back = json_loadb(start, (size_t)(strstr(start, "</script>") - start), 0, NULL);
    if (!json_equal(back, data)) fail_msg("%.200s", start);
    json_decref(back);
    json_decref(data);
    free(text);
}

static void test_refused(void **state) {
    char path[FIXTURE_PATH + 16];
    nas_error err = {0};
    snprintf(path, sizeof path, "%s/none/a.html", (const char *)*state);
    json_t *data = json_object();
    assert_int_equal(nas_page_write(path, data, &err), NAS_ERR_IO);
    assert_non_null(strstr(err.message, "none/"));
    json_decref(data);
}

static void test_machine(void **state) {
    (void)state;
    json_t *json = nas_machine_json(3);
    const json_t *command = json_object_get(json, "command");
    assert_non_null(strstr(json_string_value(json_array_get(command, 0)), "test_page"));
    assert_int_equal(json_array_size(command), 1);
    assert_int_equal(json_integer_value(json_object_get(json, "threads")), 3);
    assert_true(json_integer_value(json_object_get(json, "processors")) >= 1);
    assert_true(json_string_length(json_object_get(json, "instructions")) > 0);
    json_decref(json);
}

static int setup(void **state) {
    char *folder = malloc(FIXTURE_PATH);
    *state = folder;
    return folder ? fixture_folder(folder) : -1;
}

static int teardown(void **state) {
    fixture_remove(*state);
    free(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hostile_data, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test(test_machine)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
