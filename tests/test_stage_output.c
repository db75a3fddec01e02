/* What the stages show: metrics.jsonl, tables, numbers, progress. */
#include "cli/table.h"
#include "fixture.h"
#include "run/metrics.h"
#include "run/progress.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

static double number(const json_t *json, const char *key) {
    return json_number_value(json_object_get(json, key));
}

/* Two subnets of three unlabelled images: weights 1 and 0.5 count, 0 does not. */
static void test_metrics(void **state) {
    (void)state;
    const int32_t hidden[] = {0, 1, -1}, guesses[] = {0, 2, 1};
    float weights[] = {1, 0.5f, 0.25f};
    nas_ssl_batch batch = {.unlabelled = 3};
    nas_ssl_result result = {.pseudo_labels = (int32_t[]){0, 0, 0}, .weights = weights};
    memcpy(result.pseudo_labels, guesses, sizeof guesses);
    result.loss = 3;
    result.labelled_loss = 2;
    result.unlabelled_loss = 1;
    result.n_metrics = 1;
    result.metrics[0].name = "tau";
    result.metrics[0].value = 0.5;
    nas_metrics metrics = {.images = 50};
    nas_metrics_add(&metrics, &batch, &result, hidden);
    weights[2] = 0;
    result.loss = 5;
    result.metrics[0].value = 0.7;
    nas_metrics_add(&metrics, &batch, &result, hidden);
    json_t *json = nas_metrics_json(&metrics, 20, 8, 2, 0.01);
    assert_true(number(json, "step") == 20 && number(json, "seconds") == 8);
    assert_true(number(json, "loss") == 4 && number(json, "labelled_loss") == 2);
    assert_true(number(json, "unlabelled_loss") == 1 && number(json, "lr") == 0.01);
    assert_true(fabs(number(json, "mask_rate") - 5.0 / 6) < 1e-12);
    assert_true(number(json, "pseudo_label_accuracy") == 0.5); /* image 2's class is not known */
    assert_true(number(json, "images_per_s") == 25);
    assert_true(fabs(number(json_object_get(json, "ssl"), "tau") - 0.6) < 1e-12);
    json_decref(json);
}

/* Labels alone: no pseudo-labels to speak of. */
static void test_metrics_without_views(void **state) {
    (void)state;
    nas_metrics metrics = {0};
    nas_ssl_batch batch = {0};
    nas_ssl_result result = {.loss = 1};
    nas_metrics_add(&metrics, &batch, &result, NULL);
    json_t *json = nas_metrics_json(&metrics, 1, 1, 1, 0.1);
    assert_true(json_is_null(json_object_get(json, "mask_rate")));
    assert_true(json_is_null(json_object_get(json, "pseudo_label_accuracy")));
    assert_null(json_object_get(json, "ssl"));
    json_decref(json);
}

static void check_file(const char *path, const char *expected) {
    char text[256] = "";
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof text - 1, file) < sizeof text - 1);
    fclose(file);
    assert_string_equal(text, expected);
}

/* Lines beyond the step at which a run goes on are cut, whole or not. */
static void test_jsonl(void **state) {
    (void)state;
    char folder[FIXTURE_PATH], path[FIXTURE_PATH + 16];
    assert_int_equal(fixture_folder(folder), 0);
    snprintf(path, sizeof path, "%s/m.jsonl", folder);
    nas_jsonl jsonl;
    assert_int_equal(nas_jsonl_open(path, 0, &jsonl, NULL), NAS_OK);
    for (int step = 1; step <= 4; step++)
        assert_int_equal(nas_jsonl_write(&jsonl, json_pack("{s:i}", "step", step), NULL), NAS_OK);
    check_file(path, "{\"step\": 1}\n{\"step\": 2}\n{\"step\": 3}\n{\"step\": 4}\n"); /* flushed */
    nas_jsonl_close(&jsonl);
    assert_int_equal(nas_jsonl_open(path, 2, &jsonl, NULL), NAS_OK);
    assert_int_equal(nas_jsonl_write(&jsonl, json_pack("{s:i}", "step", 3), NULL), NAS_OK);
    assert_int_equal(write(jsonl.file, "{\"step\": 4", 10), 10);
    nas_jsonl_close(&jsonl);
    assert_int_equal(nas_jsonl_open(path, 9, &jsonl, NULL), NAS_OK);
    nas_jsonl_close(&jsonl);
    check_file(path, "{\"step\": 1}\n{\"step\": 2}\n{\"step\": 3}\n");
    nas_error err = {0};
    snprintf(path, sizeof path, "%s/none/m.jsonl", folder);
    assert_int_equal(nas_jsonl_open(path, 9, &jsonl, &err), NAS_ERR_IO);
    fixture_remove(folder);
}

static void test_numbers(void **state) {
    (void)state;
    assert_string_equal(nas_text_count(999).text, "999");
    assert_string_equal(nas_text_count(340634).text, "340.6 k");
    assert_string_equal(nas_text_count(12607040).text, "12.6 M");
    assert_string_equal(nas_text_count(UINT64_MAX).text, "-");
    assert_string_equal(nas_text_bytes(100).text, "100 B");
    assert_string_equal(nas_text_bytes(196608).text, "192 KiB");
    assert_string_equal(nas_text_bytes(169344).text, "165.4 KiB");
    assert_string_equal(nas_text_value(0.61548, "ms").text, "0.615 ms");
    assert_string_equal(nas_text_value(12345.6, "ms").text, "12346 ms");
    assert_string_equal(nas_text_value(NAN, "ms").text, "-");
    assert_string_equal(nas_text_percent(0.7479).text, "74.79 %");
    assert_string_equal(nas_text_percent(NAN).text, "-");
}

static void test_table(void **state) {
    (void)state;
    static const char *const texts[3][3] = {
        {"name", "cost", "note"}, {"a", "-", "x"}, {"longer", "12 ms", ""}};
    nas_table table;
    assert_int_equal(nas_table_create(3, 3, &table, NULL), NAS_OK);
    for (size_t i = 0; i < 9; i++)
        strcpy(nas_table_at(&table, i / 3, i % 3)->text, texts[i / 3][i % 3]);
    char *text = NULL;
    size_t bytes;
    FILE *stream = open_memstream(&text, &bytes);
    assert_non_null(stream);
    nas_table_print(&table, stream);
    fclose(stream);
    assert_string_equal(text, "name     cost  note\n"
                              "-------------------\n"
                              "a           -  x\n"
                              "longer  12 ms  \n");
    free(text);
    nas_table_free(&table);
}

/* Not a terminal: nothing for a minute, then plain lines. */
static void test_progress(void **state) {
    (void)state;
    char text[256] = "";
    FILE *stream = tmpfile();
    assert_non_null(stream);
    const nas_log log = {stream, NAS_INFO};
    nas_progress progress = nas_progress_open(&log, "train", 100, 400, false);
    assert_false(nas_progress_due(&progress, 100));
    progress.shown -= 61;
    assert_true(nas_progress_due(&progress, 100));
    progress.opened = nas_seconds() - 60;
    nas_progress_show(&progress, 200, "loss 1");
    assert_false(nas_progress_due(&progress, 200));
    nas_progress_clear(&progress);
    rewind(stream);
    assert_true(fread(text, 1, sizeof text - 1, stream) > 0);
    assert_string_equal(text, "train 200/400  loss 1  2:00 left\n");
    nas_progress silent = nas_progress_open(&log, "train", 0, 10, true);
    silent.shown -= 100;
    assert_false(nas_progress_due(&silent, 0));
    fclose(stream);
}

/* The first step takes as long as 40 others: what is left is reckoned without it. */
static void test_time_left_without_the_first(void **state) {
    (void)state;
    char text[256] = "";
    FILE *stream = tmpfile();
    assert_non_null(stream);
    const nas_log log = {stream, NAS_INFO};
    nas_progress progress = nas_progress_open(&log, "train", 0, 401, false);
    assert_false(nas_progress_due(&progress, 1));
    progress.opened = nas_seconds() - 80;
    progress.warmed = nas_seconds() - 40;
    nas_progress_show(&progress, 41, "loss 1");
    rewind(stream);
    assert_true(fread(text, 1, sizeof text - 1, stream) > 0);
    assert_string_equal(text, "train 41/401  loss 1  6:00 left\n");
    fclose(stream);
}

/* A terminal's two ends; false where the system has none to give, as in a root without /dev/pts. */
static bool open_terminal(int *master, FILE **stream) {
    *stream = NULL;
    *master = posix_openpt(O_RDWR | O_NOCTTY);
    if (*master < 0) return false;
    if (grantpt(*master) == 0 && unlockpt(*master) == 0) *stream = fopen(ptsname(*master), "r+");
    if (!*stream) close(*master);
    return *stream;
}

/* A terminal may give what was written to it in pieces. Reads until the text ends as given. */
static void read_to(int master, const char *end, char *text, size_t size) {
    size_t used = 0, n = strlen(end);
    while (used < n || strcmp(text + used - n, end) != 0) {
        ssize_t got = read(master, text + used, size - 1 - used);
        assert_true(got > 0);
        used += (size_t)got;
        text[used] = 0;
    }
}

/* On a terminal: one line, rewritten, never wider than the window, and wiped at the end. */
static void test_progress_terminal(void **state) {
    (void)state;
    char text[256] = "";
    int master;
    FILE *stream;
    if (!open_terminal(&master, &stream)) {
        print_message("no pseudo-terminal can be opened here\n");
        skip();
    }
    const struct winsize size = {.ws_row = 10, .ws_col = 31};
    assert_int_equal(ioctl(master, TIOCSWINSZ, &size), 0);
    const nas_log log = {stream, NAS_INFO};
    nas_progress progress = nas_progress_open(&log, "train", 0, 400, false);
    assert_false(nas_progress_due(&progress, 0));
    progress.shown -= 1;
    assert_true(nas_progress_due(&progress, 0));
    progress.opened = nas_seconds() - 60;
    nas_progress_show(&progress, 200, "loss 1");
    nas_progress_show(&progress, 400, "loss 1  1900 images/s");
    nas_progress_clear(&progress);
    nas_progress_clear(&progress);
    read_to(master, "\r\033[K", text, sizeof text);
    assert_string_equal(text, "\rtrain 200/400  loss 1  1:00 le\033[K"
                              "\rtrain 400/400  loss 1  1900 im\033[K"
                              "\r\033[K");
    fclose(stream);
    close(master);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_metrics_without_views),
        cmocka_unit_test(test_jsonl),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_time_left_without_the_first),
        cmocka_unit_test(test_progress_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
