/* The real program, $NASHOST or ../nashost beside this one: what it prints, and its exit codes. */
#include "samples.h"

#include <nashost/plugin.h>

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static const char pipeline_text[] =
    "{\"dataset\": {\"plugin\": \"t-dataset\"},"
    " \"space\": {\"name\": \"tiny\", \"resolution\": [8],"
    "  \"stem\": {\"kernel\": 3, \"stride\": 1, \"width\": 4, \"activation\": \"relu\"},"
    "  \"stages\": [{\"width\": [4], \"stride\": 1, \"depth\": [1, 2], \"kernel\": [3],"
    "    \"expand\": [1, 2], \"squeeze_excite\": false, \"activation\": \"relu\"}],"
    "  \"head\": {\"width\": 8, \"activation\": \"relu\"}},"
    " \"train\": {\"ssl\": {\"plugin\": \"sample\"}},"
    " \"search\": {\"plugin\": \"t-search\", \"score\": {\"plugin\": \"t-score\"}},"
    " \"platforms\": [{\"name\": \"phone\", \"hardware\": {\"plugin\": \"t-hardware\"}}]}";

typedef struct fixture {
    char folder[FIXTURE_PATH], program[FIXTURE_PATH + 16];
    char out[32768], err[8192]; /* of the last command */
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    char here[FIXTURE_PATH];
    const char *given = getenv("NASHOST");
    if (!f || samples_here(here) || fixture_folder(f->folder)) return -1;
    if (given && *given)
        snprintf(f->program, sizeof f->program, "%s", given);
    else
        snprintf(f->program, sizeof f->program, "%s/../nashost", here);
    if (samples_manifest(f->folder) || samples_write(f->folder, "p.json", pipeline_text)) return -1;
    setenv("NASHOST_HOME", f->folder, 1);
    unsetenv("NASHOST_PLUGINS");
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    fixture_remove(f->folder);
    free(f);
    return 0;
}

static void read_text(const char *folder, const char *name, char *text, size_t size) {
    char path[FIXTURE_PATH + 16];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    text[fread(text, 1, size - 1, file)] = 0;
    fclose(file);
}

/* Runs `nashost ARGUMENTS` by the shell in the scratch folder; its exit code. */
NAS_PRINTF(2, 3)
static int run(fixture *f, const char *arguments, ...) {
    char words[2 * FIXTURE_PATH], command[6 * FIXTURE_PATH];
    va_list args;
    va_start(args, arguments);
    vsnprintf(words, sizeof words, arguments, args);
    va_end(args);
    snprintf(command, sizeof command, "cd '%s' && { '%s' %s; } >out.txt 2>err.txt", f->folder,
             f->program, words);
    int status = system(command); /* NOLINT(cert-env33-c): the shell is wanted */
    read_text(f->folder, "out.txt", f->out, sizeof f->out);
    read_text(f->folder, "err.txt", f->err, sizeof f->err);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void contains(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("expected \"%s\" in \"%s\"", part, text);
}

/* Nothing on stdout, and one line on stderr. */
static void fails(fixture *f, int code, const char *message, const char *arguments) {
    assert_int_equal(run(f, "%s", arguments), code);
    contains(f->err, message);
    assert_int_equal(strncmp(f->err, "nashost: error: ", 16), 0);
    assert_ptr_equal(strchr(f->err, '\n'), f->err + strlen(f->err) - 1);
    assert_string_equal(f->out, "");
}

static void test_help(void **state) {
    fixture *f = *state;
    static const char *const commands[] = {"",
                                           "run",
                                           "train",
                                           "search",
                                           "report",
                                           "eval",
                                           "compare",
                                           "validate",
                                           "schema",
                                           "export",
                                           "infer",
                                           "version",
                                           "lut",
                                           "cost",
                                           "calibrate",
                                           "lut build",
                                           "plugins",
                                           "plugins list",
                                           "plugins describe",
                                           "plugins check",
                                           "plugins new"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        assert_int_equal(run(f, "%s --help", commands[i]), 0);
        contains(f->out, "usage: nashost");
        assert_string_equal(f->err, "");
    }
    assert_int_equal(run(f, "--help"), 0);
    contains(f->out, "exit codes:");
    assert_int_equal(run(f, " "), 2);
    contains(f->err, "usage: nashost");
    assert_int_equal(run(f, "--version"), 0);
    contains(f->out, "nashost ");
    contains(f->out, "plugin ABI 1.");
}

static void test_wrong_usage(void **state) {
    fixture *f = *state;
    fails(f, 2, "unknown command \"rnu\"; did you mean \"nashost run\"?", "rnu");
    fails(f, 2, "unknown command \"lst\"; did you mean \"nashost plugins list\"?", "plugins lst");
    fails(f, 2, "run: unknown option \"--thraeds\"; did you mean \"--threads\"?",
          "run p.json --thraeds 2");
    fails(f, 2, "validate: unknown option \"--threads\"", "validate p.json --threads 2");
    fails(f, 2, "run: PIPELINE is missing", "run");
    fails(f, 2, "run: unexpected \"q.json\"", "run p.json q.json");
    fails(f, 2, "option \"--out\" needs a value", "run p.json --out");
    fails(f, 2, "--out: expected the name of a folder", "run p.json --out ''");
    fails(f, 2, "--threads: expected an integer from 1 to 1024, found \"0\"",
          "run p.json --threads 0");
    fails(f, 2, "--threads: expected an integer from 1 to 1024, found \"2x\"",
          "run p.json --threads 2x");
    fails(f, 2, "--until: expected train or search, found \"trian\"", "run p.json --until trian");
    fails(f, 2, "eval: DIR is missing", "eval --genome g.json");
    fails(f, 2,
          "nowhere holds no pipeline.json: expected a run directory in which `nashost run "
          "PIPELINE --out nowhere` has ended",
          "search nowhere");
    fails(f, 2, "compare: DIR is missing", "compare");
    fails(f, 2, "plugins new: NAME is missing", "plugins new ssl");
    fails(f, 2,
          "KIND: expected dataset, ssl, search, hardware, score, export, import or cluster, found "
          "\"loss\"",
          "plugins new loss mine");
    fails(f, 2, "NAME: expected [a-z][a-z0-9_-]*", "plugins new ssl Mine");
    fails(f, 2, "NAME: \"sample\" is a plugin of ", "plugins new ssl sample");
    fails(f, 2, "p.json is there already", "plugins new ssl mine --out p.json");
    fails(f, 2, "report: unexpected \"b\"", "report a b");
    fails(f, 2, "nowhere holds no pipeline.json", "compare nowhere elsewhere");
    fails(f, 2, "nowhere holds no pipeline.json: expected a run directory", "eval nowhere");
    fails(f, 2, "export: --format is missing", "export nowhere --out n");
    fails(f, 2, "export: --out is missing", "export nowhere --format t-export");
    fails(f, 2, "nowhere holds no pipeline.json", "export nowhere --format t-export --out n");
    fails(f, 2, "infer: --input is missing", "infer nowhere --logits y.npy");
    fails(f, 2, "infer: --logits is missing", "infer --weights w --input x.npy");
    fails(f, 2, "give one --genome, or one --platform",
          "infer nowhere --input x.npy --logits y.npy --genome g.json --platform phone");
    fails(f, 2, "unknown command \"biuld\"; did you mean \"nashost lut build\"?", "lut biuld");
    fails(f, 2, "lut build: --hardware is missing", "lut build p.json --out t.json");
    fails(f, 2, "lut build: --out is missing", "lut build p.json --hardware t-hardware");
    fails(f, 2, "--limit: expected an integer from 1 to 1000000, found \"0\"",
          "lut build p.json --limit 0");
    fails(f, 2, "--kind: expected dataset, ssl", "plugins check x.so --kind loss");
}

static void test_validate(void **state) {
    fixture *f = *state;
    assert_int_equal(run(f, "validate p.json"), 0);
    assert_string_equal(f->out, "p.json: valid\n");
    assert_int_equal(run(f, "validate --set seed=4 train.steps=7 p.json --json"), 0);
    json_t *json = json_loads(f->out, 0, NULL);
    assert_non_null(json);
    assert_int_equal(json_integer_value(json_object_get(json, "seed")), 4);
    const json_t *train = json_object_get(json, "train");
    assert_int_equal(json_integer_value(json_object_get(train, "steps")), 7);
    json_decref(json);
}

/* `run` refuses before it starts what `validate` refuses. */
static void test_wrong_pipelines(void **state) {
    fixture *f = *state;
    static const char *const commands[] = {"run", "validate"};
    for (size_t i = 0; i < 2; i++) {
        char line[200];
        snprintf(line, sizeof line, "%s p.json --set train.stpes=5", commands[i]);
        fails(f, 2, "p.json: train.stpes: unknown key; did you mean \"steps\"?", line);
        snprintf(line, sizeof line, "%s p.json --set train.steps=many", commands[i]);
        fails(f, 2,
              "train.steps: expected an integer from 1 to 10000000 steps, found \"many\" (a "
              "string)",
              line);
        snprintf(line, sizeof line, "%s no-such.json", commands[i]);
        fails(f, 2, "cannot read no-such.json: there is no such file", line);
        snprintf(line, sizeof line, "%s p.json --plugins none.json", commands[i]);
        fails(f, 2, "cannot read none.json", line);
        snprintf(line, sizeof line, "%s p.json --set train.ssl.plugin=smaple", commands[i]);
        fails(f, 2, "did you mean \"sample\"?", line);
    }
}

static void test_errors_as_json(void **state) {
    fixture *f = *state;
    assert_int_equal(run(f, "run no-such.json --json"), 2);
    contains(f->err, "nashost: error: cannot read no-such.json");
    json_t *json = json_loads(f->out, 0, NULL);
    const json_t *error = json_object_get(json, "error");
    assert_string_equal(json_string_value(json_object_get(error, "code")), "input");
    assert_int_equal(json_integer_value(json_object_get(error, "exit")), 2);
    assert_string_equal(json_string_value(json_object_get(error, "message")),
                        "cannot read no-such.json: there is no such file");
    json_decref(json);
    /* A name that is not UTF-8, and one that would colour the terminal. */
    assert_int_equal(run(f, "validate \"$(printf 'a\\377\\033b')\" --json"), 2);
    json = json_loads(f->out, 0, NULL);
    assert_non_null(json);
    json_decref(json);
    assert_null(strchr(f->err, '\033'));
}

static void test_lost_output(void **state) {
    fixture *f = *state;
    assert_int_equal(run(f, "version >/dev/full"), 1);
    contains(f->err, "cannot write to the standard output: No space left on device");
    assert_int_equal(run(f, "version >&-"), 1);
    contains(f->err, "cannot write to the standard output");
    /* A reader that is gone: an error that is told, no signal. */
    char code[16];
    run(f, "version; { sleep 0.3; '%s' version; echo $? >code.txt; } | true", f->program);
    read_text(f->folder, "code.txt", code, sizeof code);
    assert_string_equal(code, "1\n");
    contains(f->err, "cannot write to the standard output: Broken pipe");
}

static void test_plugins_list(void **state) {
    fixture *f = *state;
    char path[SAMPLES_PATH], text[2 * SAMPLES_PATH];
    assert_int_equal(run(f, "plugins"), 0);
    contains(f->out, "hardware  t-hardware       1.2.3    a plugin for tests");
    snprintf(text, sizeof text,
             "{\"plugins\": [{\"id\": \"bad\", \"kind\": \"score\", \"path\": \"%s\"}]}",
             samples_file("magic", path));
    assert_int_equal(samples_write(f->folder, "more.json", text), 0);
    assert_int_equal(run(f, "plugins list --plugins more.json"), 4);
    contains(f->out, "score     bad              BROKEN   ");
    contains(f->out, "magic: expected 0x4853414e, got 0x12345678");
    contains(f->err, "1 of 7 plugins cannot be used");
    assert_int_equal(setenv("NASHOST_PLUGINS", "more.json:", 1), 0);
    assert_int_equal(run(f, "plugins list --json"), 4);
    json_t *json = json_loads(f->out, 0, NULL);
    const json_t *last = json_array_get(json_object_get(json, "plugins"), 6);
    assert_true(json_is_false(json_object_get(last, "ok")));
    assert_string_equal(json_string_value(json_object_get(last, "id")), "bad");
    json_decref(json);
    assert_int_equal(setenv("NASHOST_HOME", "nowhere", 1), 0);
    fails(f, 2, "cannot read nowhere/plugins.json", "plugins list");
}

static void test_plugins_describe(void **state) {
    fixture *f = *state;
    assert_int_equal(run(f, "plugins describe sample"), 0);
    contains(f->out, "level (int, default 3)");
    contains(f->out, "expects an integer from 1 to 9");
    contains(f->out, "file (path, may be left out)");
    assert_int_equal(run(f, "plugins describe t-score --json"), 0);
    json_t *json = json_loads(f->out, 0, NULL);
    const json_t *level = json_array_get(json_object_get(json, "options"), 0);
    assert_string_equal(json_string_value(json_object_get(json, "kind")), "score");
    assert_int_equal(json_integer_value(json_object_get(level, "default")), 3);
    assert_true(json_number_value(json_object_get(level, "max")) == 9);
    json_decref(json);
    fails(f, 2, "unknown plugin \"samples\"; did you mean \"sample\"?", "plugins describe samples");
    fails(f, 2, "plugins describe: ID is missing", "plugins describe");
}

static void test_plugins_check(void **state) {
    fixture *f = *state;
    static const struct {
        const char *variant, *options, *reason;
    } cases[] = {
        {"no_entry", "", "no symbol \"nas_plugin_entry\""},
        {"magic", "", "magic: expected"},
        {"older", "", "ABI: expected major 1, got 0"},
        {"newer", "", "ABI: expected major 1, got 2"},
        {"small", "", "size: expected at least"},
        {"kind", "--kind ssl", "kind: expected ssl (by the command line), got search"},
        {"id", "--id sample", "id: expected \"sample\" (by the command line), got \"other\""},
        {"fail", "", "create failed: the level 3 is not to my liking"},
        {"undefined", "", "undefined symbol: nas_test_no_such_function"},
        {"rounding", "", "changed the floating-point mode"},
    };
    char path[SAMPLES_PATH];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        samples_file(cases[i].variant, path);
        assert_int_equal(run(f, "plugins check '%s' %s", path, cases[i].options), 4);
        contains(f->err, cases[i].reason);
        contains(f->err, path);
    }
    fails(f, 4, "p.json: expected an ELF shared object", "plugins check p.json");
    samples_file("good", path);
    assert_int_equal(run(f, "plugins check '%s'", path), 0);
    contains(f->out, "ok: ssl plugin \"sample\" 1.2.3, ABI 1.");
    assert_int_equal(run(f, "plugins check '%s' --options '{\"level\": 10}'", path), 2);
    contains(f->err, "--options: level: expected an integer from 1 to 9, found 10");
    assert_int_equal(run(f, "plugins check '%s' --options '{'", path), 2);
    contains(f->err, "--options:1:1: not valid JSON");
}

/* A plugin with a required option and a choice. */
static void test_needy_plugin(void **state) {
    fixture *f = *state;
    char path[SAMPLES_PATH], line[2 * SAMPLES_PATH], text[3 * SAMPLES_PATH];
    samples_file("needy", path);
    assert_int_equal(run(f, "plugins check '%s'", path), 0);
    contains(f->out, "no instance was created: the option \"name\" is required");
    assert_int_equal(run(f, "plugins check '%s' --options '{\"name\": \"x\"}'", path), 0);
    assert_null(strstr(f->out, "no instance"));
    samples_line(line, sizeof line, "sample", "ssl", "needy");
    snprintf(text, sizeof text, "{\"plugins\": [%s]}", line);
    assert_int_equal(samples_write(f->folder, "plugins.json", text), 0);
    assert_int_equal(run(f, "plugins describe sample"), 0);
    contains(f->out, "name (string, required)");
    contains(f->out, "mode (enum, default \"slow\")");
    assert_int_equal(run(f, "plugins describe sample --json"), 0);
    json_t *json = json_loads(f->out, 0, NULL);
    const json_t *options = json_object_get(json, "options");
    const json_t *choices = json_object_get(json_array_get(options, 2), "choices");
    assert_string_equal(json_string_value(json_array_get(choices, 1)), "slow");
    assert_true(json_is_true(json_object_get(json_array_get(options, 3), "required")));
    json_decref(json);
}

/* Where the program looks for its manifest: beside itself, then in the library folder. */
static void test_default_manifest(void **state) {
    fixture *f = *state;
    assert_int_equal(unsetenv("NASHOST_HOME"), 0);
    run(f, "version; mkdir -p bin lib/nashost; cp '%s' bin/; cp plugins.json lib/nashost/",
        f->program);
    snprintf(f->program, sizeof f->program, "%s/bin/nashost", f->folder);
    assert_int_equal(run(f, "plugins list"), 0);
    contains(f->out, "t-hardware");
    assert_int_equal(run(f, "version; echo '{\"plugins\": []}' >bin/plugins.json"), 0);
    assert_int_equal(run(f, "plugins list"), 0);
    assert_null(strstr(f->out, "t-hardware"));
    run(f, "version; rm bin/plugins.json lib/nashost/plugins.json");
    fails(f, 2, "no plugins.json found beside this program; set NASHOST_HOME", "plugins list");
    assert_int_equal(run(f, "plugins list --plugins plugins.json"), 0);
}

/* A manifest with plugins that work, "toys.json". */
static void write_toys(const fixture *f) {
    char one[2 * SAMPLES_PATH], two[2 * SAMPLES_PATH], text[5 * SAMPLES_PATH];
    samples_line(one, sizeof one, "toy-dataset", "dataset", "toy_dataset");
    samples_line(two, sizeof two, "toy-hardware", "hardware", "toy_hardware");
    snprintf(text, sizeof text, "{\"plugins\": [%s, %s]}", one, two);
    assert_int_equal(samples_write(f->folder, "toys.json", text), 0);
}

static void test_lut_build(void **state) {
    fixture *f = *state;
    write_toys(f);
#define BUILD "lut build p.json --set dataset.plugin=toy-dataset --plugins toys.json --out t.json "
    assert_int_equal(run(f, BUILD "--hardware toy-hardware --limit 5 --networks 0"), 0);
    contains(f->out, "5 measured now, 0 before; 0 networks");
    assert_int_equal(run(f, BUILD "--hardware toy-hardware --json"), 0);
    json_t *json = json_loads(f->out, 0, NULL), *table;
    /* Stem; depthwise and projection at expansion 1 and 2, one to expand, one addition for each;
     * head, pool, classifier. */
    json_t *expected = json_pack("{s:s, s:i, s:i, s:i, s:i}", "file", "t.json", "layers", 11,
                                 "kept", 5, "measured", 6, "networks", 20);
    if (!json_equal(json, expected)) fail_msg("%s", f->out);
    read_text(f->folder, "t.json", f->out, sizeof f->out);
    table = json_loads(f->out, 0, NULL);
    assert_int_equal(json_object_size(json_object_get(table, "entries")), 11);
    assert_string_equal(json_string_value(json_object_get(table, "device")), "toy board");
    json_decref(table);
    json_decref(expected);
    json_decref(json);
    fails(f, 2, "plugin 't-hardware' cannot measure", BUILD "--hardware t-hardware --quiet");
    fails(f, 2, "--options: no_macs: unknown key",
          BUILD "--hardware toy-hardware --options '{\"no_macs\": 1}'");
    fails(f, 2, "--options:1:1: not valid JSON", BUILD "--hardware toy-hardware --options '{'");
#undef BUILD
}

static void test_cost(void **state) {
    fixture *f = *state;
    write_toys(f);
#define COST "cost p.json --set dataset.plugin=toy-dataset --plugins toys.json "
#define TOY "--set platforms.0.hardware.plugin=toy-hardware "
    assert_int_equal(run(f, COST TOY "--json"), 0);
    json_t *json = json_loads(f->out, 0, NULL);
    const json_t *list = json_object_get(json, "subnets");
    static const char *const names[] = {"largest", "smallest"};
    assert_int_equal(json_array_size(list), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *subnet = json_array_get(list, i);
        const json_t *costs = json_object_get(json_object_get(subnet, "costs"), "phone");
        double macs = json_number_value(json_object_get(subnet, "macs"));
        assert_string_equal(json_string_value(json_object_get(subnet, "name")), names[i]);
        assert_true(macs > 0);
        assert_true(fabs(json_number_value(json_object_get(costs, "latency_ms")) - macs / 1e6) <
                    1e-12);
        assert_true(json_is_null(json_object_get(costs, "energy_mj")));
    }
    json_decref(json);
    /* Another device than the platform's, and subnets by file and by lot. */
    samples_write(f->folder, "g.json",
                  "{\"name\": \"mine\", \"genome\": {\"resolution\": 8, \"stages\": "
                  "[{\"width\": 4, \"blocks\": [{\"kernel\": 3, \"expand\": 2}]}]}}");
    assert_int_equal(run(f, COST "--hardware toy-hardware --genome g.json --random 3"), 0);
    contains(f->out, "mine     toy-hardware");
    contains(f->out, "random2  toy-hardware");
    assert_null(strstr(f->out, "largest"));
    assert_int_equal(run(f, COST "--hardware toy-hardware --options '{\"most_macs\": 1}' --json"),
                     0);
    contains(f->err, "largest on toy-hardware: toy-hardware runs nothing that big");
    contains(f->out, "\"latency_ms\": null");
    fails(f, 2, "cost: --options needs --hardware", COST "--options '{}'");
    fails(f, 2, "nowhere.json", COST "--genome nowhere.json");
#undef COST
#undef TOY
}

static void test_score(void **state) {
    fixture *f = *state;
    fails(f, 2, "score: --options needs --score", "score nowhere --options '{}'");
    fails(f, 2, "nowhere", "score nowhere --score macs");
    fails(f, 2, "unknown option \"--set\"", "score nowhere --set seed=1");
}

static void test_calibrate(void **state) {
    fixture *f = *state;
    write_toys(f);
#define FIT "calibrate --plugins toys.json --hardware "
    assert_int_equal(run(f, FIT "toy-hardware --table t.json --out new.json"), 0);
    read_text(f->folder, "new.json", f->out, sizeof f->out);
    assert_string_equal(f->out, "{\"most_macs\": 5, \"table\": \"t.json\"}");
    fails(f, 2, "a bad table", FIT "toy-hardware --table bad.json --out new.json");
    read_text(f->folder, "new.json", f->out, sizeof f->out);
    contains(f->out, "t.json");
    fails(f, 2, "calibrate: --table is missing", FIT "toy-hardware --out new.json");
    fails(f, 2, "plugin 't-hardware' cannot be calibrated: it has no extension nas.calibrate/1",
          FIT "t-hardware --table t.json --out new.json --quiet");
#undef FIT
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_help),           TEST(test_wrong_usage),
        TEST(test_validate),       TEST(test_wrong_pipelines),
        TEST(test_errors_as_json), TEST(test_lost_output),
        TEST(test_plugins_list),   TEST(test_plugins_describe),
        TEST(test_plugins_check),  TEST(test_needy_plugin),
        TEST(test_lut_build),      TEST(test_default_manifest),
        TEST(test_cost),           TEST(test_score),
        TEST(test_calibrate),
    };
    return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
