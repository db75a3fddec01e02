/* Manifests, and what the loader refuses: every refusal names the file and the reason. */
#include "host/instance.h"
#include "host/options.h"
#include "samples.h"

#include <locale.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

typedef struct fixture {
    char folder[FIXTURE_PATH];
    char manifest[FIXTURE_PATH + 32];
    char log[200]; /* the last line */
    nas_services services;
} fixture;

static void keep_line(void *context, nas_level level, const char *message) {
    fixture *f = context;
    snprintf(f->log, sizeof f->log, "%d %s", (int)level, message);
}

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (!f || fixture_folder(f->folder)) return -1;
    snprintf(f->manifest, sizeof f->manifest, "%s/plugins.json", f->folder);
    f->services = (nas_services){.seed = 7, .log = keep_line, .context = f};
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    fixture_remove(f->folder);
    free(f);
    return 0;
}

static nas_registry *open_text(fixture *f, const char *text, nas_error *err) {
    nas_registry *registry;
    const char *manifests[] = {f->manifest};
    assert_int_equal(samples_write(f->folder, "plugins.json", text), 0);
    nas_registry_open(manifests, 1, &f->services, &registry, err);
    return registry;
}

/* A registry whose only line is id, kind and a variant of the sample plugin. */
static nas_registry *open_one(fixture *f, const char *id, const char *kind, const char *variant) {
    char line[2 * SAMPLES_PATH], text[3 * SAMPLES_PATH];
    samples_line(line, sizeof line, id, kind, variant);
    snprintf(text, sizeof text, "{\"plugins\": [%s]}", line);
    nas_error err;
    nas_registry *registry = open_text(f, text, &err);
    assert_non_null(registry);
    return registry;
}

static void contains(const nas_error *err, const char *part) {
    if (!strstr(err->message, part)) fail_msg("expected \"%s\" in \"%s\"", part, err->message);
}

/* Loading a variant as ssl plugin "sample" is refused for the reason given, naming the file. */
static void refuses(fixture *f, const char *variant, const char *reason) {
    char path[SAMPLES_PATH];
    nas_registry *registry = open_one(f, "sample", "ssl", variant);
    const nas_plugin *plugin;
    nas_error err = {0};
    assert_int_equal(nas_registry_load(registry, NAS_KIND_SSL, "sample", &plugin, &err),
                     NAS_ERR_PLUGIN);
    assert_null(plugin);
    contains(&err, reason);
    assert_ptr_equal(strstr(err.message, samples_file(variant, path)), err.message);
    contains(&err, ": plugin \"sample\": ");
    nas_registry_close(registry);
}

static void test_good(void **state) {
    fixture *f = *state;
    nas_registry *registry = open_one(f, "sample", "ssl", "good");
    assert_int_equal(nas_registry_count(registry), 1);
    assert_string_equal(nas_registry_entry(registry, 0)->id, "sample");
    assert_null(nas_registry_entry(registry, 1));
    assert_non_null(strstr(f->folder, strrchr(nas_registry_folder(registry, 0), '/')));
    const nas_plugin *plugin, *again;
    assert_int_equal(nas_registry_load(registry, NAS_KIND_SSL, "sample", &plugin, NULL), NAS_OK);
    assert_string_equal(plugin->version, "1.2.3");
    assert_int_equal(nas_registry_load(registry, NAS_KIND_SSL, "sample", &again, NULL), NAS_OK);
    assert_ptr_equal(plugin, again);
    nas_registry_close(registry);
}

static void test_descriptor_refusals(void **state) {
    fixture *f = *state;
    refuses(f, "no_entry", "no symbol \"nas_plugin_entry\"");
    refuses(f, "null", "nas_plugin_entry() returned NULL");
    refuses(f, "magic", "magic: expected 0x4853414e, got 0x12345678");
    refuses(f, "small", "size: expected at least ");
    refuses(f, "small", "the field \"vtable\" is missing");
    refuses(f, "newer", "ABI: expected major 1, got 2: it is for a newer host");
    refuses(f, "older", "ABI: expected major 1, got 0: it is for an older host");
    refuses(f, "kind", "kind: expected ssl (by ");
    refuses(f, "kind", "plugins.json), got search");
    refuses(f, "no_kind", "kind: expected 1 to 8, got 99");
    refuses(f, "id", "id: expected \"sample\" (by ");
    refuses(f, "id", "got \"other\"");
    refuses(f, "bad_id", "id: expected [a-z][a-z0-9_-]* of at most 31 characters, got \"Sample\"");
    refuses(f, "offset", "option \"level\": offset: expected a multiple of 8 for type int, got 3");
    refuses(f, "default", "option \"level\": default: expected an integer from 1 to 9, got 30");
    refuses(f, "vtable", "vtable: size: expected at least 16 bytes, got 8: the field \"plan\"");
    refuses(f, "function", "vtable: loss: expected a pointer, got NULL");
    refuses(f, "version", "version: expected a pointer, got NULL");
    refuses(f, "undefined", "undefined symbol: nas_test_no_such_function; link the library");
}

/* A plugin built against a later minor version has a longer descriptor. */
static void test_longer_descriptor(void **state) {
    nas_registry *registry = open_one(*state, "sample", "ssl", "large");
    const nas_plugin *plugin;
    assert_int_equal(nas_registry_load(registry, NAS_KIND_SSL, "sample", &plugin, NULL), NAS_OK);
    nas_registry_close(registry);
}

/* gcc from 13 on and clang from 19 on no longer link the start-up code that sets flush-to-zero. */
static bool fast_math_flushes(void) {
#if defined(__clang__)
    return __clang_major__ < 19;
#else
    return __GNUC__ < 13;
#endif
}

static void test_process_is_guarded(void **state) {
    fixture *f = *state;
    if (fast_math_flushes()) {
        refuses(f, "fast_math", "loading it changed the floating-point mode");
        refuses(f, "fast_math", "build it without -ffast-math");
        volatile double tiny = 0x1p-1022;
        assert_true(tiny / 2 > 0); /* the mode is put back */
    }
    refuses(f, "rounding", "loading it changed the floating-point mode");
    volatile double one = 1;
    assert_true(one + 0x1p-60 == 1);
    refuses(f, "signal", "loading it changed the handler of signal 10");
    struct sigaction action;
    assert_int_equal(sigaction(SIGUSR1, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_DFL);
}

/* Writes variant good, cut to its first bytes (or a text), to folder/cut.so. */
static void write_cut(fixture *f, size_t bytes, const char *text) {
    char path[SAMPLES_PATH], *data = NULL;
    FILE *in = fopen(samples_file("good", path), "rb");
    assert_non_null(in);
    data = malloc(bytes + 1);
    assert_non_null(data);
    size_t got = fread(data, 1, bytes, in);
    fclose(in);
    if (text) got = (size_t)snprintf(data, bytes + 1, "%s", text);
    assert_int_equal(fixture_write(f->folder, "cut.so", data, got, false), 0);
    free(data);
}

static void refuses_path(fixture *f, const char *name, const char *reason) {
    char text[200];
    snprintf(text, sizeof text,
             "{\"plugins\": [{\"id\": \"sample\", \"kind\": \"ssl\", \"path\": \"%s\"}]}", name);
    nas_error err;
    nas_registry *registry = open_text(f, text, &err);
    const nas_plugin *plugin;
    assert_int_equal(nas_registry_load(registry, NAS_KIND_SSL, "sample", &plugin, &err),
                     NAS_ERR_PLUGIN);
    contains(&err, reason);
    contains(&err, name);
    nas_registry_close(registry);
}

static void test_bad_files(void **state) {
    fixture *f = *state;
    char folder[FIXTURE_PATH + 32];
    refuses_path(f, "missing.so", "cannot open it: No such file or directory; build it");
    write_cut(f, 4096, "#!/bin/sh\n");
    refuses_path(f, "cut.so", "expected an ELF shared object, found another kind of file");
    write_cut(f, 0, NULL);
    refuses_path(f, "cut.so", "found an empty file");
    write_cut(f, 20, NULL);
    refuses_path(f, "cut.so", "the file is cut short");
    write_cut(f, 5000, NULL);
    refuses_path(f, "cut.so", "the file is cut short: expected at least ");
    snprintf(folder, sizeof folder, "%s/dir.so", f->folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    refuses_path(f, "dir.so", "found a folder");
}

static void test_same_file_twice(void **state) {
    fixture *f = *state;
    char first[2 * SAMPLES_PATH], text[4 * SAMPLES_PATH], link_path[FIXTURE_PATH + 32];
    char good[SAMPLES_PATH];
    snprintf(link_path, sizeof link_path, "%s/again.so", f->folder);
    assert_int_equal(symlink(samples_file("good", good), link_path), 0);
    samples_line(first, sizeof first, "sample", "ssl", "good");
    snprintf(text, sizeof text,
             "{\"plugins\": [%s, {\"id\": \"second\", \"kind\": \"ssl\", \"path\": \"again.so\"}]}",
             first);
    nas_error err;
    nas_registry *registry = open_text(f, text, &err);
    const nas_plugin *plugin;
    assert_int_equal(nas_registry_load(registry, NAS_KIND_SSL, "sample", &plugin, &err), NAS_OK);
    assert_int_equal(nas_registry_load(registry, NAS_KIND_SSL, "second", &plugin, &err),
                     NAS_ERR_PLUGIN);
    contains(&err, "again.so: plugin \"second\": this file is loaded already as plugin \"sample\"");
    nas_registry_close(registry);
}

static void refuses_manifest(fixture *f, const char *text, const char *reason) {
    nas_error err = {0};
    assert_null(open_text(f, text, &err));
    assert_int_equal(err.code, NAS_ERR_INPUT);
    contains(&err, reason);
    assert_ptr_equal(strstr(err.message, f->manifest), err.message);
}

static void test_bad_manifests(void **state) {
    fixture *f = *state;
    refuses_manifest(f, "{", "not valid JSON");
    refuses_manifest(f, "{\"plugins\": [], \"plugins\": []}", "duplicate");
    refuses_manifest(f, "[]", "expected an object, found an array");
    refuses_manifest(f, "{}", "plugins: expected an array, found nothing");
    refuses_manifest(f, "{\"plugin\": []}", "plugin: unknown key; did you mean \"plugins\"?");
    refuses_manifest(f, "{\"plugins\": [3]}", "plugins[0]: expected an object, found 3");
    refuses_manifest(f, "{\"plugins\": [{\"id\": \"a\", \"kind\": \"ssl\"}]}",
                     "plugins[0].path: missing; expected a path");
    refuses_manifest(f, "{\"plugins\": [{\"id\": \"a\", \"kind\": \"sll\", \"path\": \"a\"}]}",
                     "plugins[0].kind: expected one of");
    refuses_manifest(f, "{\"plugins\": [{\"id\": \"A b\", \"kind\": \"ssl\", \"path\": \"a\"}]}",
                     "plugins[0].id: expected [a-z]");
    refuses_manifest(f,
                     "{\"plugins\": [{\"id\": \"a\", \"kind\": \"ssl\", \"path\": \"a\"}, "
                     "{\"id\": \"a\", \"kind\": \"score\", \"path\": \"b\"}]}",
                     "plugins[1].id: \"a\" is named by ");
}

static void test_optional_lines(void **state) {
    nas_error err = {0};
    nas_registry *registry =
        open_text(*state,
                  "{\"plugins\": ["
                  "{\"id\": \"a\", \"kind\": \"ssl\", \"path\": \"none.so\", \"optional\": true}, "
                  "{\"id\": \"b\", \"kind\": \"ssl\", \"path\": \"none.so\"}, "
                  "{\"id\": \"c\", \"kind\": \"ssl\", \"path\": \".\", \"optional\": true}]}",
                  &err);
    assert_non_null(registry);
    assert_int_equal(nas_registry_count(registry), 2);
    assert_string_equal(nas_registry_entry(registry, 0)->id, "b");
    assert_string_equal(nas_registry_entry(registry, 1)->id, "c");
    nas_registry_close(registry);
}

static void test_two_manifests(void **state) {
    fixture *f = *state;
    nas_registry *registry;
    nas_error err;
    char other[FIXTURE_PATH + 32];
    snprintf(other, sizeof other, "%s/more.json", f->folder);
    assert_int_equal(samples_manifest(f->folder), 0);
    const char *twice[] = {f->manifest, f->manifest};
    assert_int_equal(nas_registry_open(twice, 2, &f->services, &registry, &err), NAS_OK);
    assert_int_equal(nas_registry_count(registry), 6);
    nas_registry_close(registry);
    assert_int_equal(samples_write(f->folder, "more.json",
                                   "{\"plugins\": [{\"id\": \"sample\", \"kind\": \"ssl\", "
                                   "\"path\": \"x.so\"}]}"),
                     0);
    const char *both[] = {f->manifest, other};
    assert_int_equal(nas_registry_open(both, 2, &f->services, &registry, &err), NAS_ERR_INPUT);
    contains(&err, f->manifest);
    contains(&err, other);
    const char *missing[] = {"no/such/plugins.json"};
    assert_int_equal(nas_registry_open(missing, 1, &f->services, &registry, &err), NAS_ERR_INPUT);
    contains(&err, "no/such/plugins.json");
}

static void test_unknown_ids(void **state) {
    fixture *f = *state;
    nas_registry *registry = open_one(f, "sample", "ssl", "good");
    const nas_plugin *plugin;
    nas_error err;
    assert_int_equal(nas_registry_load(registry, NAS_KIND_SSL, "smaple", &plugin, &err),
                     NAS_ERR_INPUT);
    assert_string_equal(err.message, "unknown ssl plugin \"smaple\"; did you mean \"sample\"?");
    assert_int_equal(nas_registry_load(registry, NAS_KIND_SCORE, "sample", &plugin, &err),
                     NAS_ERR_INPUT);
    assert_string_equal(err.message, "\"sample\" is a ssl plugin; expected a score plugin");
    assert_int_equal(nas_registry_load(registry, NAS_KIND_SCORE, "samples", &plugin, &err),
                     NAS_ERR_INPUT);
    contains(&err, "unknown score plugin \"samples\"; `nashost plugins list` shows");
    nas_registry_close(registry);
}

static const nas_place place = {"p.json", "train.ssl.options", "/base"};

static int create(nas_registry *registry, const char *options, nas_instance *instance,
                  nas_error *err) {
    json_t *json = options ? json_loads(options, 0, NULL) : NULL;
    int rc = nas_instance_create(registry, NAS_KIND_SSL, "sample", json, &place, instance, err);
    json_decref(json);
    return rc;
}

static void test_instance(void **state) {
    fixture *f = *state;
    nas_registry *registry = open_one(f, "sample", "ssl", "good");
    nas_instance a, b, none;
    nas_error err;
    assert_int_equal(create(registry, NULL, &a, &err), NAS_OK);
    assert_string_equal(f->log, "1 sample: made");
    assert_int_equal(create(registry, "{\"level\": 4, \"file\": \"x\"}", &b, &err), NAS_OK);
    assert_int_equal(json_integer_value(json_object_get(b.resolved, "level")), 4);
    assert_string_equal(json_string_value(json_object_get(b.resolved, "file")), "/base/x");
    assert_null(nas_instance_extension(&a, "nas.state/1"));
    assert_int_equal(create(registry, "{\"levle\": 4}", &none, &err), NAS_ERR_INPUT);
    assert_string_equal(err.message,
                        "p.json: train.ssl.options.levle: unknown key; did you mean \"level\"?");
    assert_null(none.plugin);
    json_t *resolved;
    assert_int_equal(
        nas_instance_validate(registry, NAS_KIND_SSL, "sample", NULL, &place, &resolved, &err),
        NAS_OK);
    assert_int_equal(json_integer_value(json_object_get(resolved, "level")), 3);
    json_decref(resolved);
    nas_instance_destroy(&b);
    nas_instance_destroy(&a);
    nas_instance_destroy(&a);
    nas_instance_destroy(NULL);
    nas_registry_close(registry);
}

/* A plugin's numbers depend on the seed, its stream and its counter, and on nothing else. */
static void test_random(void **state) {
    fixture *f = *state;
    nas_registry *registry = open_one(f, "sample", "ssl", "good");
    nas_instance instance;
    uint64_t numbers[3][2];
    for (int i = 0; i < 3; i++) {
        f->services.seed = i == 2 ? 8 : 7;
        assert_int_equal(create(registry, NULL, &instance, NULL), NAS_OK);
        memcpy(numbers[i], nas_instance_extension(&instance, "sample.random/1"), 16);
        nas_instance_destroy(&instance);
    }
    assert_memory_equal(numbers[0], numbers[1], 16);
    assert_true(numbers[0][0] != numbers[0][1]);
    assert_true(numbers[0][0] != numbers[2][0]);
    nas_registry_close(registry);
}

static void test_create_refusals(void **state) {
    fixture *f = *state;
    static const struct {
        const char *variant, *reason;
        int code;
    } cases[] = {
        {"fail", "plugin \"sample\": create failed: the level 3 is not to my liking", NAS_ERR_IO},
        {"silent", "plugin \"sample\": create failed: it gave no reason", NAS_ERR_PLUGIN},
        {"locale", "plugin \"sample\": create changed the locale: expected \"C\", got \"C.UTF-8\"",
         NAS_ERR_PLUGIN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[SAMPLES_PATH];
        nas_registry *registry = open_one(f, "sample", "ssl", cases[i].variant);
        nas_instance instance;
        nas_error err = {0};
        assert_int_equal(create(registry, NULL, &instance, &err), cases[i].code);
        contains(&err, cases[i].reason);
        assert_ptr_equal(strstr(err.message, samples_file(cases[i].variant, path)), err.message);
        assert_null(instance.plugin);
        nas_registry_close(registry);
    }
    assert_string_equal(setlocale(LC_ALL, NULL), "C");
}

static void test_check_file(void **state) {
    fixture *f = *state;
    nas_registry *registry = open_one(f, "sample", "ssl", "good");
    char path[SAMPLES_PATH];
    const nas_plugin *plugin;
    nas_error err;
    assert_int_equal(
        nas_plugin_check_file(registry, samples_file("id", path), 0, NULL, &plugin, &err), NAS_OK);
    assert_string_equal(plugin->id, "other");
    assert_int_equal(nas_plugin_check_file(registry, path, 0, "sample", &plugin, &err),
                     NAS_ERR_PLUGIN);
    contains(&err, "id: expected \"sample\" (by the command line), got \"other\"");
    assert_int_equal(nas_plugin_check_file(registry, path, NAS_KIND_SCORE, NULL, &plugin, &err),
                     NAS_ERR_PLUGIN);
    contains(&err, "kind: expected score (by the command line), got ssl");
    nas_registry_close(registry);
    registry = open_one(f, "sample", "ssl", "id");
    assert_int_equal(nas_plugin_check_file(registry, path, 0, NULL, &plugin, &err), NAS_ERR_PLUGIN);
    contains(&err, "plugins.json), got \"other\"");
    nas_registry_close(registry);
}

static void test_kind_names(void **state) {
    (void)state;
    for (int kind = NAS_KIND_DATASET; kind <= NAS_KIND_CLUSTER; kind++)
        assert_int_equal(nas_kind_from_name(nas_kind_name((nas_kind)kind)), kind);
    assert_null(nas_kind_name((nas_kind)0));
    assert_null(nas_kind_name((nas_kind)9));
    assert_int_equal(nas_kind_from_name("losses"), 0);
    assert_int_equal(nas_kind_from_name(NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_good),
        TEST(test_descriptor_refusals),
        TEST(test_longer_descriptor),
        TEST(test_process_is_guarded),
        TEST(test_bad_files),
        TEST(test_same_file_twice),
        TEST(test_bad_manifests),
        TEST(test_optional_lines),
        TEST(test_two_manifests),
        TEST(test_unknown_ids),
        TEST(test_instance),
        TEST(test_random),
        TEST(test_create_refusals),
        TEST(test_check_file),
        TEST(test_kind_names),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
