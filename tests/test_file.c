/* Whole files, folders, paths, and JSON files. */
#include "base/file.h"
#include "base/json.h"
#include "fixture.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

/* Stands in for the C library's write, to fail as a disk or a signal can. */
static struct {
    size_t most;    /* bytes that one call takes; 0: all */
    size_t room;    /* bytes until the disk is full, if limited */
    bool limited;   /* by room */
    int interrupts; /* calls that a signal interrupts first */
} disk;

ssize_t write(int fd, const void *data, size_t bytes) {
    if (disk.interrupts) {
        disk.interrupts--;
        errno = EINTR;
        return -1;
    }
    if (disk.most && bytes > disk.most) bytes = disk.most;
    if (disk.limited) {
        if (bytes > disk.room) bytes = disk.room;
        disk.room -= bytes;
        if (!bytes) {
            errno = ENOSPC;
            return -1;
        }
    }
    return syscall(SYS_write, fd, data, bytes);
}

static char folder[FIXTURE_PATH];
static char path[FIXTURE_PATH + 128];

static const char *in_folder(const char *name) {
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int setup(void **state) {
    (void)state;
    memset(&disk, 0, sizeof disk);
    return fixture_folder(folder);
}

static int teardown(void **state) {
    (void)state;
    memset(&disk, 0, sizeof disk);
    fixture_remove(folder);
    return 0;
}

static int entries(void) {
    DIR *open = opendir(folder);
    int n = -2; /* "." and ".." */
    while (readdir(open)) n++;
    closedir(open);
    return n;
}

static void assert_holds(const char *name, const char *expected) {
    char *data;
    size_t bytes;
    nas_error err;
    assert_int_equal(nas_file_read(in_folder(name), 1 << 20, &data, &bytes, &err), NAS_OK);
    assert_int_equal(bytes, strlen(expected));
    assert_string_equal(data, expected); /* and so NUL-terminated */
    free(data);
}

static void assert_says(const nas_error *err, const char *part) {
    if (!strstr(err->message, part)) fail_msg("'%s' does not say '%s'", err->message, part);
    for (const char *c = err->message; *c; c++) assert_true((unsigned char)*c >= ' ');
}

/* Fails to read path with that code, saying path and part. */
static void assert_unreadable(size_t limit, int code, const char *part) {
    char *data = (char *)1;
    size_t bytes = 1;
    nas_error err;
    assert_int_equal(nas_file_read(path, limit, &data, &bytes, &err), code);
    assert_null(data);
    assert_int_equal(bytes, 0);
    assert_says(&err, part);
    assert_says(&err, path);
}

static void test_write_and_read(void **state) {
    (void)state;
    nas_error err;
    assert_int_equal(nas_file_write(in_folder("a"), "old text", 8, &err), NAS_OK);
    assert_int_equal(nas_file_write(in_folder("a"), "new", 3, &err), NAS_OK);
    assert_holds("a", "new");
    assert_int_equal(nas_file_write(in_folder("empty"), NULL, 0, &err), NAS_OK);
    assert_holds("empty", "");
    assert_int_equal(entries(), 2);
    nas_piece pieces[] = {{"one ", 4}, {NULL, 0}, {"two", 3}};
    assert_int_equal(nas_file_write_pieces(in_folder("a"), pieces, 3, &err), NAS_OK);
    assert_holds("a", "one two");
}

static void test_new_file_has_usual_permissions(void **state) {
    (void)state;
    nas_error err;
    struct stat status;
    mode_t before = umask(027);
    int rc = nas_file_write(in_folder("a"), "x", 1, &err);
    umask(before);
    assert_int_equal(rc, NAS_OK);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
}

static void test_read_refuses(void **state) {
    (void)state;
    nas_error err;
    in_folder("missing");
    assert_unreadable(100, NAS_ERR_IO, "no such file");
    assert_int_equal(nas_file_write(in_folder("ten"), "0123456789", 10, &err), NAS_OK);
    assert_unreadable(9, NAS_ERR_INPUT, "10 bytes");
    char *data;
    size_t bytes;
    assert_int_equal(nas_file_read(path, 10, &data, &bytes, &err), NAS_OK);
    free(data);
    in_folder("ten/below");
    assert_unreadable(100, NAS_ERR_IO, "Not a directory");
    in_folder("");
    assert_unreadable(100, NAS_ERR_IO, "folder");
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    assert_unreadable(100, NAS_ERR_IO, "not a regular file"); /* and does not wait for a writer */
}

static void test_short_and_interrupted_writes_go_on(void **state) {
    (void)state;
    nas_error err;
    disk.most = 3;
    disk.interrupts = 2;
    assert_int_equal(nas_file_write(in_folder("a"), "0123456789", 10, &err), NAS_OK);
    assert_int_equal(disk.interrupts, 0);
    assert_holds("a", "0123456789");
}

static void test_full_disk_keeps_the_old_file(void **state) {
    (void)state;
    nas_error err;
    assert_int_equal(nas_file_write(in_folder("a"), "old", 3, &err), NAS_OK);
    disk.limited = true;
    disk.room = 5;
    assert_int_equal(nas_file_write(path, "0123456789", 10, &err), NAS_ERR_IO);
    assert_int_equal(err.code, NAS_ERR_IO);
    assert_says(&err, path);
    assert_says(&err, strerror(ENOSPC));
    disk.limited = false;
    assert_holds("a", "old");
    assert_int_equal(entries(), 1);
}

static void test_write_refuses(void **state) {
    (void)state;
    nas_error err;
    assert_int_equal(nas_file_write(in_folder("none/a"), "x", 1, &err), NAS_ERR_IO);
    assert_says(&err, path);
    assert_says(&err, "folder exists");
    assert_int_equal(nas_folder_make(in_folder("sub"), &err), NAS_OK);
    assert_int_equal(nas_file_write(path, "x", 1, &err), NAS_ERR_IO);
    assert_says(&err, "it is a folder");
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    assert_int_equal(nas_file_write(path, "x", 1, &err), NAS_ERR_IO);
    assert_says(&err, "not a regular file");
    assert_int_equal(nas_file_write(path, "x", 1, NULL), NAS_ERR_IO);
    assert_int_equal(entries(), 2);
}

/* What a killed run of the same process number left behind is neither used nor in the way. */
static void test_left_over_temporary_file(void **state) {
    (void)state;
    nas_error err;
    char name[64];
    snprintf(name, sizeof name, "a.%ld-0.tmp", (long)getpid());
    assert_int_equal(nas_file_write(in_folder(name), "left", 4, &err), NAS_OK);
    assert_int_equal(nas_file_write(in_folder("a"), "new", 3, &err), NAS_OK);
    assert_holds("a", "new");
    assert_holds(name, "left");
}

static int half_then_fail(void *context, const char *temporary, nas_error *err) {
    FILE *out = fopen(temporary, "w");
    fputs("half", out);
    fclose(out);
    *(int *)context += 1;
    return nas_fail(err, NAS_ERR_NUMERIC, "not today");
}

static int write_done(void *context, const char *temporary, nas_error *err) {
    FILE *out = fopen(temporary, "w");
    if (!out) return nas_fail(err, NAS_ERR_IO, "cannot open");
    fputs(context, out);
    return fclose(out) ? nas_fail(err, NAS_ERR_IO, "cannot close") : NAS_OK;
}

static void test_replace(void **state) {
    (void)state;
    nas_error err;
    int calls = 0;
    assert_int_equal(nas_file_replace(in_folder("a"), write_done, "first", &err), NAS_OK);
    assert_int_equal(nas_file_replace(path, half_then_fail, &calls, &err), NAS_ERR_NUMERIC);
    assert_string_equal(err.message, "not today");
    assert_int_equal(calls, 1);
    assert_holds("a", "first");
    assert_int_equal(entries(), 1);
}

static void test_folders(void **state) {
    (void)state;
    nas_error err;
    assert_int_equal(nas_folder_make(in_folder("x//y/z/"), &err), NAS_OK);
    assert_true(nas_file_exists(in_folder("x/y/z")));
    assert_int_equal(nas_folder_make(path, &err), NAS_OK);
    assert_int_equal(nas_file_write(in_folder("x/file"), "x", 1, &err), NAS_OK);
    assert_true(nas_file_exists(path));
    assert_int_equal(nas_folder_make(path, &err), NAS_ERR_IO);
    assert_says(&err, "a file has that name");
    assert_int_equal(nas_folder_make(in_folder("x/file/below"), &err), NAS_ERR_IO);
    assert_says(&err, "x/file:");
    assert_int_equal(nas_folder_make("", &err), NAS_ERR_IO);
    assert_false(nas_file_exists(in_folder("x/none")));
}

static void test_paths(void **state) {
    (void)state;
    static const char *const joins[][3] = {
        {"", "b", "b"},    {"a", "b", "a/b"}, {"a/", "b", "a/b"},
        {"a", "/b", "/b"}, {"/", "b", "/b"},  {".", "../b", "./../b"},
    };
    for (size_t i = 0; i < sizeof joins / sizeof *joins; i++) {
        char *joined = nas_path_join(joins[i][0], joins[i][1]);
        assert_string_equal(joined, joins[i][2]);
        free(joined);
    }
    static const char *const folders[][2] = {
        {"a/b", "a"}, {"/a", "/"}, {"a", "."}, {"a/b/c", "a/b"}, {"", "."}, {"a//b", "a"},
    };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *found = nas_path_folder(folders[i][0]);
        assert_string_equal(found, folders[i][1]);
        free(found);
    }
}

static void test_json_round_trip(void **state) {
    (void)state;
    nas_error err;
    static const double reals[] = {0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, -0.0, 1e22, 3.0};
    json_t *object = json_object(), *array = json_array(), *back = NULL;
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        json_array_append_new(array, json_real(reals[i]));
    json_object_set_new(object, "z", array);
    json_object_set_new(object, "a", json_string("\xc3\xa9\n"));
    assert_int_equal(nas_json_save(in_folder("a.json"), object, &err), NAS_OK);
    assert_int_equal(nas_json_load(path, &back, &err), NAS_OK);
    assert_true(json_equal(object, back));
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
        double real = json_real_value(json_array_get(json_object_get(back, "z"), i));
        assert_memory_equal(&real, &reals[i], sizeof real);
    }
    json_decref(object);
    json_decref(back);
    object = json_pack("{s:i, s:b}", "z", 1, "a", 1);
    assert_int_equal(nas_json_save(path, object, &err), NAS_OK);
    assert_holds("a.json", "{\n  \"z\": 1,\n  \"a\": true\n}\n");
    json_decref(object);
}

/* As few digits as give a number back, and texts that look like numbers as they are. */
static void test_json_digits(void **state) {
    (void)state;
    json_t *json = json_pack("{s:f, s:f, s:[f, f, f, i], s:s}", "a", 0.8, "b", 1.0 / 3, "c", -0.1,
                             1e-7, 2.0, -5, "0.80000000000000004", "\"0.80000000000000004\\");
    size_t bytes;
    char *text = nas_json_text(json, JSON_COMPACT, &bytes);
    assert_string_equal(text, "{\"a\":0.8,\"b\":0.3333333333333333,\"c\":[-0.1,1e-07,2.0,-5],"
                              "\"0.80000000000000004\":\"\\\"0.80000000000000004\\\\\"}");
    assert_int_equal(bytes, strlen(text));
    free(text);
    json_decref(json);
}

static void test_json_mistakes_are_located(void **state) {
    (void)state;
    static const struct {
        const char *text, *at, *why;
    } cases[] = {
        {"{\n  \"a\": 1,\n  \"a\": 2\n}\n", ":3:5:", "duplicate"},
        {"{\n  \"a\": 1,\n}\n", ":3:1:", "expected"},
        {"{\"a\": \"x\ny\"}", ":1:8:", ""},
        {"{\x1b", ":1:2:", ""}, /* the parser quotes it */
        {"", ":1:0:", "expected"},
        {"{} {}", ":1:4:", "end of file"},
        {"3", ":1:1:", "expected"},
        {"{\"a\": \"\xff\"}", ":1:7:", "0xff"},
        {"{\"a\": 1e999}", ":1:11:", "overflow"},
        {"\xEF\xBB\xBF{}", ":1:1:", "byte order mark"},
        {"[1, 2", ":1:5:", "expected"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nas_error err;
        json_t *json = (json_t *)1;
        const char *text = cases[i].text;
        assert_int_equal(nas_file_write(in_folder("bad.json"), text, strlen(text), &err), NAS_OK);
        assert_int_equal(nas_json_load(path, &json, &err), NAS_ERR_INPUT);
        assert_null(json);
        strcat(path, cases[i].at);
        assert_says(&err, path);
        assert_says(&err, cases[i].why);
    }
}

static void test_json_refuses(void **state) {
    (void)state;
    nas_error err;
    json_t *json, *number = json_integer(3);
    assert_int_equal(nas_json_load(in_folder("none.json"), &json, &err), NAS_ERR_IO);
    assert_says(&err, "none.json");
    assert_int_equal(nas_json_save(in_folder("a.json"), number, &err), NAS_ERR_INPUT);
    assert_says(&err, "found integer");
    assert_int_equal(nas_json_save(path, NULL, &err), NAS_ERR_INPUT);
    assert_false(nas_file_exists(path));
    json_decref(number);
}

static void test_json_kinds(void **state) {
    (void)state;
    static const char *const kinds[] = {"object", "array",   "string",  "integer",
                                        "number", "boolean", "boolean", "null"};
    json_t *all = json_loads("[{}, [], \"\", 1, 1.0, true, false, null]", 0, NULL);
    assert_int_equal(json_array_size(all), 8);
    for (size_t i = 0; i < 8; i++)
        assert_string_equal(nas_json_kind(json_array_get(all, i)), kinds[i]);
    assert_string_equal(nas_json_kind(NULL), "nothing");
    json_decref(all);
}

#define UNIT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        UNIT(test_write_and_read),
        UNIT(test_new_file_has_usual_permissions),
        UNIT(test_read_refuses),
        UNIT(test_short_and_interrupted_writes_go_on),
        UNIT(test_full_disk_keeps_the_old_file),
        UNIT(test_write_refuses),
        UNIT(test_left_over_temporary_file),
        UNIT(test_replace),
        UNIT(test_folders),
        UNIT(test_paths),
        UNIT(test_json_round_trip),
        UNIT(test_json_digits),
        UNIT(test_json_mistakes_are_located),
        UNIT(test_json_refuses),
        UNIT(test_json_kinds),
    };
    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
