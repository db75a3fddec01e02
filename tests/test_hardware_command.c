/* The hardware plugin `command`: small scripts that answer well, badly, late or never. */
#include "../plugins/hardware/command/command.c"

#include "fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static char folder[FIXTURE_PATH], script[FIXTURE_PATH + 16];

/* The plugin's own files go to a folder in ours, so that it can be seen that they are gone. */
static int make_folder(void **state) {
    (void)state;
    char scratch_base[FIXTURE_PATH + 16];
    if (fixture_folder(folder)) return -1;
    snprintf(script, sizeof script, "%s/measure.sh", folder);
    snprintf(scratch_base, sizeof scratch_base, "%s/tmp", folder);
    return mkdir(scratch_base, 0700) || setenv("TMPDIR", scratch_base, 1);
}

static int remove_folder(void **state) {
    (void)state;
    fixture_remove(folder);
    return 0;
}

static void write_script(const char *text) {
    char whole[2048];
    int n = snprintf(whole, sizeof whole, "#!/bin/sh\ncd '%s'\n%s\n", folder, text);
    unlink(script); /* a program that still runs cannot be written to */
    assert_int_equal(fixture_write(folder, "measure.sh", whole, (size_t)n, false), 0);
    assert_int_equal(chmod(script, 0700), 0);
}

static const nas_layer layers[] = {
    {.op = NAS_OP_CONV,
     .activation = NAS_ACT_HSWISH,
     .name = "stem",
     .input = {-1, -2},
     .in = {10, 10, 4},
     .out = {5, 5, 8},
     .kernel = 3,
     .stride = 2,
     .macs = 7200,
     .weights = 288,
     .biases = 8},
    {.op = NAS_OP_ADD, .name = "add", .input = {0, 0}, .in = {5, 5, 8}, .out = {5, 5, 8}}};
static const nas_network network = {.size = sizeof network,
                                    .layer_size = sizeof *layers,
                                    .n_layers = 2,
                                    .classes = 10,
                                    .layers = layers,
                                    .image = {10, 10, 4},
                                    .peak_elements = 700,
                                    .genome = "{\"resolution\": 10}"};

static int measure(const command_config *config, nas_cost *result, nas_error *err) {
    void *self = NULL;
    if (nas_plugin_entry()->create(NULL, config, &self, err)) fail_msg("%s", err->message);
    *result = (nas_cost){.size = sizeof *result};
    int rc = api.cost(self, &network, result, err);
    nas_plugin_entry()->destroy(self);
    char left[FIXTURE_PATH + 16];
    snprintf(left, sizeof left, "%s/tmp", folder);
    if (rmdir(left)) fail_msg("files are left in %s", left);
    assert_int_equal(mkdir(left, 0700), 0);
    return rc;
}

static int run_script(const char *text, nas_cost *result, nas_error *err) {
    const char *words[] = {script, NULL};
    const command_config config = {.command = words, .timeout_s = 60};
    write_script(text);
    return measure(&config, result, err);
}

/* The content of folder/name; the caller frees. */
static char *read_text(const char *name) {
    char path[FIXTURE_PATH + 32], *text = calloc(1, 8192);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    assert_non_null(text);
    assert_non_null(file);
    assert_true(fread(text, 1, 8191, file) < 8191);
    fclose(file);
    return text;
}

static void test_answer(void **state) {
    (void)state;
    nas_cost result;
    nas_error err = {0};
    if (run_script("echo starting; echo; echo '{\"latency_ms\": 1.5, \"energy_mj\": 0, "
                   "\"peak_bytes\": 7, \"flash_bytes\": 8, \"board\": \"b\"}'; echo",
                   &result, &err))
        fail_msg("%s", err.message);
    assert_true(result.latency_ms == 1.5 && result.energy_mj == 0.0);
    assert_int_equal(result.peak_bytes, 7);
    assert_int_equal(result.flash_bytes, 8);
    assert_true(result.known_share == 1.0);
    if (run_script("printf '{\"latency_ms\": 2, \"energy_mj\": null}'", &result, &err))
        fail_msg("%s", err.message);
    assert_true(result.latency_ms == 2.0 && isnan(result.energy_mj));
    assert_true(result.peak_bytes == UINT64_MAX && result.flash_bytes == UINT64_MAX);
}

/* It measures whole networks: tables can be made of these. */
static void test_target(void **state) {
    (void)state;
    const char *words[] = {"./on-board.sh", NULL};
    command_config config = {.command = words, .timeout_s = 1};
    nas_target found = {.size = sizeof found};
    nas_error err = {0};
    void *self;
    for (int i = 0; i < 2; i++) {
        config.device = i ? "my board" : NULL;
        config.dtype = i;
        if (create(NULL, &config, &self, &err)) fail_msg("%s", err.message);
        const nas_measure_api *measuring = nas_plugin_entry()->extension(self, NAS_EXT_MEASURE);
        assert_null(measuring->layer);
        assert_int_equal(measuring->target(self, &found, &err), NAS_OK);
        assert_string_equal(found.device, i ? "my board" : "./on-board.sh");
        assert_string_equal(found.dtype, i ? "int8" : "float32");
        assert_int_equal(found.batch, 1);
        destroy(self);
    }
}

/* Words reach the program as they are: no shell reads them. */
static void test_words(void **state) {
    (void)state;
    const char *words[] = {script, "a  b", "$HOME `id` *", "", "--n={network},{network}",
                           "{net", NULL};
    const command_config config = {.command = words, .timeout_s = 60};
    nas_cost result;
    nas_error err = {0};
    write_script("for w in \"$@\"; do echo \"[$w]\"; done >words; n=${4#*,}; cp \"$n\" copy.json\n"
                 "cat >stdin; echo '{\"latency_ms\": 1}'");
    if (measure(&config, &result, &err)) fail_msg("%s", err.message);
    char *text = read_text("words"), *rest = strstr(text, "[--n=");
    assert_non_null(rest);
    assert_int_equal(strncmp(text, "[a  b]\n[$HOME `id` *]\n[]\n", (size_t)(rest - text)), 0);
    assert_non_null(strstr(rest, "/network.json,/"));
    assert_non_null(strstr(rest, "/network.json]\n[{net]\n"));
    free(text);
    text = read_text("copy.json");
    json_t *found = json_loads(text, 0, NULL);
    json_t *expected = json_loads(
        "{\"genome\": {\"resolution\": 10}, \"image\": [10, 10, 4], \"classes\": 10, \"macs\": 0,"
        " \"params\": 0, \"peak_elements\": 700, \"layers\": ["
        "{\"name\": \"stem\", \"op\": \"conv\", \"activation\": \"h-swish\", \"inputs\": [-1],"
        " \"in\": [10, 10, 4], \"out\": [5, 5, 8], \"kernel\": 3, \"stride\": 2, \"expand\": 0,"
        " \"squeeze_excite\": false, \"macs\": 7200, \"weights\": 288, \"biases\": 8,"
        " \"padding\": [0, 1]},"
        "{\"name\": \"add\", \"op\": \"add\", \"activation\": \"none\", \"inputs\": [0, 0],"
        " \"in\": [5, 5, 8], \"out\": [5, 5, 8], \"kernel\": 0, \"stride\": 0, \"expand\": 0,"
        " \"squeeze_excite\": false, \"macs\": 0, \"weights\": 0, \"biases\": 0}]}",
        0, NULL);
    assert_non_null(expected);
    if (!json_equal(found, expected)) fail_msg("found %s", text);
    json_decref(found);
    json_decref(expected);
    free(text);
}

static void test_bad_answers(void **state) {
    (void)state;
    static const struct {
        const char *script, *message;
    } cases[] = {
        {"true", "it printed nothing"},
        {"printf '\\n \\n'", "it printed nothing"},
        {"echo 3", "expected a JSON object as the last line, such as {\"latency_ms\": 1.5}, found "
                   "\"3\""},
        {"echo '{\"latency_ms\": 1}'; echo done", "found \"done\""},
        {"echo '{\"latency_ms\": 1'", "found \"{\"latency_ms\": 1\""},
        {"echo '{\"latency_ms\": 1, \"latency_ms\": 2}'", "expected a JSON object"},
        {"echo '{\"latency\": 1}'", "latency_ms: expected a number above 0"},
        {"echo '{\"latency_ms\": 0}'", "latency_ms: expected a number above 0"},
        {"echo '{\"latency_ms\": -1}'", "latency_ms: expected a number of at least 0, found -1"},
        {"echo '{\"latency_ms\": \"1\"}'",
         "latency_ms: expected a number of at least 0, found \"1\""},
        {"echo '{\"latency_ms\": 1, \"peak_bytes\": 1.5}'",
         "peak_bytes: expected an integer of at least 0, found 1.5"},
        {"echo '{\"latency_ms\": 1, \"flash_bytes\": -5}'", "flash_bytes: expected an integer"},
        {"echo oh no >&2; echo; exit 3",
         "it ended with exit status 3; its standard error ends with: oh no"},
        {"kill -9 $$", "signal 9 ended it"},
        {"head -c 3000000 /dev/zero | tr '\\0' x", "it printed more than 1048575 bytes"},
        {"yes", "it printed more than 1048575 bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nas_cost result;
        nas_error err = {0};
        int rc = run_script(cases[i].script, &result, &err);
        if (rc != NAS_ERR_INPUT && rc != NAS_ERR_IO) fail_msg("%s: %d", cases[i].script, rc);
        if (!strstr(err.message, cases[i].message) || strncmp(err.message, "command: \"/", 11) != 0)
            fail_msg("said: %s\n  not: %s", err.message, cases[i].message);
    }
}

static void test_errors_are_quoted(void **state) {
    (void)state;
    nas_cost result;
    nas_error err = {0};
    /* Much of it neither blocks the program nor grows the message; its end is what counts. */
    assert_int_equal(
        run_script("head -c 3000000 /dev/zero | tr '\\0' x >&2; printf 'a\\nb\\tc' >&2; exit 1",
                   &result, &err),
        NAS_ERR_IO);
    assert_non_null(strstr(err.message, "xxxxa b c"));
    assert_true(strlen(err.message) < 900);
    assert_int_equal(
        run_script("head -c 3000000 /dev/zero >&2; echo '{\"latency_ms\": 4}'", &result, &err),
        NAS_OK);
    assert_true(result.latency_ms == 4.0);
}

static void test_infeasible(void **state) {
    (void)state;
    const char *words[] = {script, NULL};
    const command_config config = {.command = words, .timeout_s = 60, .retries = 5};
    nas_cost result;
    nas_error err = {0};
    write_script("echo x >>tries; echo '{\"infeasible\": \"no memory left\"}'");
    assert_int_equal(measure(&config, &result, &err), NAS_ERR_INFEASIBLE);
    assert_non_null(strstr(err.message, "the device cannot run it: no memory left"));
    char *tries = read_text("tries");
    assert_string_equal(tries, "x\n");
    free(tries);
}

static void test_retries(void **state) {
    (void)state;
    const char *words[] = {script, NULL};
    command_config config = {.command = words, .timeout_s = 60, .retries = 2};
    nas_cost result;
    nas_error err = {0};
    write_script("echo x >>again; [ $(wc -l <again) -ge 3 ] || exit 1; echo '{\"latency_ms\": 3}'");
    if (measure(&config, &result, &err)) fail_msg("%s", err.message);
    assert_true(result.latency_ms == 3.0);
    write_script("echo x >>more; exit 1");
    assert_int_equal(measure(&config, &result, &err), NAS_ERR_IO);
    char *tries = read_text("more");
    assert_string_equal(tries, "x\nx\nx\n");
    free(tries);
}

/* True if the process is gone, or dead and only waits for its new parent. */
static bool is_gone(int pid) {
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) return true;
    bool read = fscanf(file, "%*d (%*[^)]) %c", &state) == 1;
    fclose(file);
    return !read || state == 'Z' || state == 'X';
}

static void test_timeout(void **state) {
    (void)state;
    const char *words[] = {script, NULL};
    const command_config config = {.command = words, .timeout_s = 2};
    nas_cost result;
    nas_error err = {0};
    write_script("sleep 1000 & echo $! >pid; echo late >&2; wait");
    double start_s = nas_child_seconds();
    assert_int_equal(measure(&config, &result, &err), NAS_ERR_IO);
    assert_true(nas_child_seconds() - start_s < 500);
    assert_non_null(strstr(err.message, "it took longer than 2 s"));
    char *text = read_text("pid");
    int pid = atoi(text);
    free(text);
    assert_true(pid > 1);
    for (int i = 0; i < 1000 && !is_gone(pid); i++) usleep(10000);
    assert_true(is_gone(pid));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
    assert_int_equal(errno, ECHILD);
}

/* A helper in the background that keeps the output open is not waited for. */
static void test_background(void **state) {
    (void)state;
    nas_cost result;
    nas_error err = {0};
    double start_s = nas_child_seconds();
    if (run_script("sleep 1000 & echo $! >pid; echo '{\"latency_ms\": 1}'", &result, &err))
        fail_msg("%s", err.message);
    assert_true(nas_child_seconds() - start_s < 500);
    char *text = read_text("pid");
    kill(atoi(text), SIGKILL);
    free(text);
}

/* The host ignores SIGPIPE, which a program must not inherit. */
static void test_signals(void **state) {
    (void)state;
    nas_cost result;
    nas_error err = {0};
    if (run_script("grep SigIgn /proc/self/status >signals; echo '{\"latency_ms\": 1}'", &result,
                   &err))
        fail_msg("%s", err.message);
    char *text = read_text("signals");
    unsigned long long ignored = strtoull(strchr(text, ':') + 1, NULL, 16);
    assert_false(ignored >> (SIGPIPE - 1) & 1);
    free(text);
}

/* ---- Export ---- */

static const char *fake_extension(void *exporter) {
    (void)exporter;
    return "onnx";
}

static int fake_open(const nas_host *host, const char *id, void **exporter, nas_error *err) {
    *exporter = (void *)(uintptr_t)host;
    return strcmp(id, "some") == 0 ? NAS_OK : nas_fail(err, NAS_ERR_INPUT, "no %s", id);
}

static int fake_write(void *exporter, const nas_network *net, const char *path, nas_error *err) {
    (void)exporter, (void)err;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "%u layers", net->n_layers);
    return fclose(file);
}

static void fake_close(void *exporter) {
    assert_non_null(exporter);
}

static int fake_open_as(const nas_host *host, const char *id, const char *dtype, void **exporter,
                        nas_error *err) {
    assert_string_equal(dtype, "int8");
    return fake_open(host, strcmp(id, "quantised") == 0 ? "some" : id, exporter, err);
}

static const void *fake_service(const nas_host *host, const char *id) {
    static const nas_export_service service = {sizeof service, fake_open,  fake_extension,
                                               fake_write,     fake_close, fake_open_as};
    (void)host;
    return strcmp(id, NAS_EXT_EXPORT) == 0 ? &service : NULL;
}

static void test_export(void **state) {
    (void)state;
    const nas_host host = {.size = sizeof host, .extension = fake_service};
    const char *words[] = {script, "{file}", NULL};
    command_config config = {.command = words, .export = "some", .timeout_s = 60};
    nas_cost result = {.size = sizeof result};
    nas_error err = {0};
    void *self = NULL;
    write_script("cat \"$1\" >exported; echo \" $1\" >>exported; echo '{\"latency_ms\": 1}'");
    if (nas_plugin_entry()->create(&host, &config, &self, &err)) fail_msg("%s", err.message);
    if (api.cost(self, &network, &result, &err)) fail_msg("%s", err.message);
    nas_plugin_entry()->destroy(self);
    char *text = read_text("exported");
    assert_int_equal(strncmp(text, "2 layers /", 10), 0);
    assert_non_null(strstr(text, "/network.onnx\n"));
    free(text);
    config.export = "other";
    assert_int_equal(nas_plugin_entry()->create(&host, &config, &self, &err), NAS_ERR_INPUT);
    assert_string_equal(err.message, "no other");
    config.export = "quantised";
    config.export_dtype = "int8";
    if (nas_plugin_entry()->create(&host, &config, &self, &err)) fail_msg("%s", err.message);
    nas_plugin_entry()->destroy(self);
}

static void refuse(const char *const *words, const char *export, const char *message) {
    const command_config config = {.command = words, .export = export, .timeout_s = 1};
    nas_error err = {0};
    void *self = NULL;
    assert_int_equal(nas_plugin_entry()->create(NULL, &config, &self, &err), NAS_ERR_INPUT);
    assert_null(self);
    if (!strstr(err.message, message)) fail_msg("said: %s\n  not: %s", err.message, message);
}

static void test_refusals(void **state) {
    (void)state;
    refuse((const char *[]){NULL}, NULL, "command: expected a program, found none");
    refuse((const char *[]){"", NULL}, NULL, "command: expected a program, found none");
    refuse((const char *[]){"x", "{file}", NULL}, NULL, "together, found {file} alone");
    refuse((const char *[]){"x", NULL}, "some", "together, found export alone");
    refuse((const char *[]){"x", "{file}", NULL}, "some", "this host cannot export from here");
    const char *words[] = {"/nonexistent/program", NULL};
    const command_config config = {.command = words, .timeout_s = 60, .retries = 3};
    nas_cost result;
    nas_error err = {0};
    assert_int_equal(measure(&config, &result, &err), NAS_ERR_INPUT);
    assert_string_equal(err.message, "command: cannot start \"/nonexistent/program\": No such file "
                                     "or directory");
}

int main(void) {
    signal(SIGPIPE, SIG_IGN); /* as the host does */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_target),
        cmocka_unit_test(test_bad_answers),
        cmocka_unit_test(test_errors_are_quoted),
        cmocka_unit_test(test_infeasible),
        cmocka_unit_test(test_retries),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_background),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_export),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
