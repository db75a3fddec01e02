/* TensorBoard's event files. tests/tensorboard.sh reads them with TensorBoard itself. */
#include "fixture.h"
#include "run/events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#define FILE_OF(run) "tensorboard/" run "/events.out.tfevents.nashost"

/* RFC 3720, B.4. */
static void test_crc32c(void **state) {
    (void)state;
    uint8_t bytes[32] = {0};
    assert_int_equal(nas_crc32c(bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(nas_crc32c(bytes, 32), 0x62a8ab43);
    assert_int_equal(nas_crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(nas_crc32c("", 0), 0);
}

static size_t read_events(const char *folder, uint8_t *data, size_t room) {
    char path[FIXTURE_PATH + 64];
    snprintf(path, sizeof path, "%s/" FILE_OF("train"), folder);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t n = fread(data, 1, room, file);
    fclose(file);
    return n;
}

static void write_events(const char *folder, const void *data, size_t n) {
    assert_int_equal(fixture_write(folder, FILE_OF("train"), data, n, false), 0);
}

/* The number of whole records; the last one's data goes to *last. */
static size_t records(const uint8_t *data, size_t bytes, const uint8_t **last, size_t *length) {
    size_t n = 0;
    for (size_t at = 0; at < bytes; n++) {
        *last = data + at + 12;
        *length = data[at]; /* the test's records are short */
        at += 16 + *length;
        assert_true(at <= bytes);
    }
    return n;
}

static void add(const char *folder, uint64_t last_step, uint64_t first, uint64_t end) {
    nas_events events;
    assert_int_equal(nas_events_open(folder, "train", last_step, &events, NULL), NAS_OK);
    for (uint64_t step = first; step < end; step++) {
        json_t *json = json_pack("{s:i, s:f, s:n, s:{s:f}}", "step", 7, "loss", 0.5, "gone", "ssl",
                                 "tau", 2.0);
        assert_int_equal(nas_events_write(&events, step, json, NULL), NAS_OK);
        json_decref(json);
    }
    nas_events_close(&events);
}

static void test_content(void **state) {
    /* step 300, then a summary of "loss" = 0.5f and "ssl/tau" = 2.0f */
    static const uint8_t expected[] = "\x10\xac\x02"
                                      "\x2a\x1d"
                                      "\x0a\x0b\x0a\x04loss\x15\x00\x00\x00\x3f"
                                      "\x0a\x0e\x0a\x07ssl/tau\x15\x00\x00\x00\x40";
    const char *folder = *state;
    uint8_t data[1000];
    const uint8_t *event = data;
    size_t length;
    add(folder, 0, 300, 301);
    size_t n = read_events(folder, data, sizeof data);
    assert_int_equal(records(data, n, &event, &length), 2);
    assert_memory_equal(data + 12 + 9,
                        "\x1a\x0d"
                        "brain.Event:2",
                        15);
    assert_int_equal(length, 9 + sizeof expected - 1);
    assert_memory_equal(event + 9, expected, sizeof expected - 1);
}

/* What is beyond the step at which a run goes on is cut, whole or not, and so is what is broken. */
static void test_resume(void **state) {
    const char *folder = *state;
    uint8_t data[4000];
    const uint8_t *event = data;
    size_t length;
    add(folder, 0, 1, 11);
    size_t n = read_events(folder, data, sizeof data);
    assert_int_equal(records(data, n, &event, &length), 11);
    add(folder, 6, 7, 9);
    assert_int_equal(records(data, read_events(folder, data, sizeof data), &event, &length), 9);
    assert_int_equal(event[10], 8);
    n = read_events(folder, data, sizeof data);
    write_events(folder, data, n - 1); /* the last record is torn */
    add(folder, 100, 0, 0);
    assert_int_equal(records(data, read_events(folder, data, sizeof data), &event, &length), 8);
    n = read_events(folder, data, sizeof data);
    data[n - 10] ^= 1; /* a bit of the last record */
    write_events(folder, data, n);
    add(folder, 100, 50, 51);
    assert_int_equal(records(data, read_events(folder, data, sizeof data), &event, &length), 8);
    assert_int_equal(event[10], 50);
    memset(data, 0xff, 100); /* not a record at all: begun anew */
    write_events(folder, data, 100);
    add(folder, 100, 1, 2);
    assert_int_equal(records(data, read_events(folder, data, sizeof data), &event, &length), 2);
}

static void test_remove_and_refuse(void **state) {
    const char *folder = *state;
    nas_events events;
    nas_error err = {0};
    char inside[FIXTURE_PATH + 64];
    add(folder, 0, 1, 2);
    snprintf(inside, sizeof inside, "%s/" FILE_OF("train"), folder);
    assert_int_equal(nas_events_open(inside, "train", 0, &events, &err), NAS_ERR_IO);
    assert_int_equal(events.file, 0);
    nas_events_remove(folder, "train");
    nas_events_remove(folder, "train");
    snprintf(inside, sizeof inside, "%s/tensorboard/train", folder);
    assert_int_not_equal(access(inside, F_OK), 0);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_crc32c), TEST(test_content),
                                       TEST(test_resume), TEST(test_remove_and_refuse)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
