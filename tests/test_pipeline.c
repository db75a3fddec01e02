/* Pipelines: defaults, overrides, what is refused, and that a resolved one resolves to itself. */
#include "base/json.h"
#include "base/safetensors.h"
#include "host/overrides.h"
#include "host/pipeline.h"
#include "samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

static const char space_text[] =
    "{\"name\": \"tiny\", \"resolution\": [8],"
    " \"stem\": {\"kernel\": 3, \"stride\": 1, \"width\": 4, \"activation\": \"relu\"},"
    " \"stages\": [{\"width\": [4], \"stride\": 1, \"depth\": [1, 2], \"kernel\": [3],"
    "   \"expand\": [1, 2], \"squeeze_excite\": false, \"activation\": \"relu\"}],"
    " \"head\": {\"width\": 8, \"activation\": \"relu\"}}";

static const char minimal[] =
    "{\"$schema\": \"x\", \"dataset\": {\"plugin\": \"t-dataset\"}, \"space\": \"tiny\","
    " \"train\": {\"ssl\": {\"plugin\": \"sample\"}},"
    " \"search\": {\"plugin\": \"t-search\", \"score\": {\"plugin\": \"t-score\"}},"
    " \"platforms\": [{\"name\": \"phone\", \"hardware\": {\"plugin\": \"t-hardware\"}}]}";

static const char genome_override[] =
    "train.genome={\"resolution\": 8, \"stages\": [{\"width\": 4, \"blocks\": ["
    "{\"kernel\": 3, \"expand\": 2}]}]}";

typedef struct fixture {
    char folder[FIXTURE_PATH];
    char file[FIXTURE_PATH + 32];
    nas_services services;
    nas_registry *registry;
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    char manifest[FIXTURE_PATH + 32], spaces[FIXTURE_PATH + 32];
    if (!f || fixture_folder(f->folder) || samples_manifest(f->folder)) return -1;
    snprintf(f->file, sizeof f->file, "%s/p.json", f->folder);
    snprintf(manifest, sizeof manifest, "%s/plugins.json", f->folder);
    snprintf(spaces, sizeof spaces, "%s/spaces", f->folder);
    if (mkdir(spaces, 0700) || samples_write(spaces, "tiny.json", space_text)) return -1;
    const char *manifests[] = {manifest};
    if (nas_registry_open(manifests, 1, &f->services, &f->registry, NULL)) return -1;
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    nas_registry_close(f->registry);
    fixture_remove(f->folder);
    free(f);
    return 0;
}

static int load(fixture *f, const char *text, const char *const *overrides, size_t n,
                nas_pipeline *pipeline, nas_error *err) {
    assert_int_equal(samples_write(f->folder, "p.json", text), 0);
    return nas_pipeline_load(f->file, overrides, n, f->registry, pipeline, err);
}

/* The minimal pipeline with overrides (NULL: none) is refused with this message, the file's name
 * left out. */
static void refuses(fixture *f, const char *first, const char *second, const char *message) {
    const char *overrides[] = {first, second};
    nas_pipeline pipeline;
    nas_error err = {0};
    size_t n = second ? 2 : 1;
    assert_int_equal(load(f, minimal, overrides, n, &pipeline, &err), NAS_ERR_INPUT);
    const char *found = err.message;
    if (strncmp(found, f->file, strlen(f->file)) == 0) found += strlen(f->file) + 2;
    assert_string_equal(found, message);
    assert_null(pipeline.resolved);
}

static void test_defaults(void **state) {
    fixture *f = *state;
    nas_pipeline p;
    nas_error err = {0};
    assert_int_equal(load(f, minimal, NULL, 0, &p, &err), NAS_OK);
    assert_string_equal(p.folder, f->folder);
    assert_string_equal(p.dataset.id, "t-dataset");
    assert_string_equal(p.ssl.id, "sample");
    assert_string_equal(p.ssl.path, "train.ssl");
    assert_string_equal(p.score.path, "search.score");
    assert_string_equal(p.platforms[0].hardware.path, "platforms[0].hardware");
    assert_int_equal(json_integer_value(json_object_get(p.ssl.options, "level")), 3);
    assert_int_equal(p.split.labelled, 250);
    assert_int_equal(p.split.heldout, 2000);
    assert_int_equal(p.train.steps, 1500);
    assert_int_equal(p.train.shape, NAS_STEP_SANDWICH);
    assert_int_equal(p.train.teacher, NAS_TEACHER_AUTO);
    assert_true(p.train.mu == 2.0 && p.train.lr == 0.03 && p.train.cosine_cycles == 7.0 / 16);
    assert_true(p.augment.flip && p.augment.strong_ops == 2);
    assert_int_equal(p.search_config.evaluations, 200);
    assert_int_equal(p.search_config.batch, 1);
    assert_false(p.search_config.named);
    assert_int_equal(p.n_platforms, 1);
    assert_int_equal(p.n_exports, 0);
    assert_true(isnan(p.platforms[0].constraints.latency_ms));
    assert_int_equal(p.platforms[0].constraints.peak_bytes, 0);
    assert_string_equal(json_string_value(json_object_get(p.space, "name")), "tiny");
    assert_null(p.genome);
    nas_pipeline_free(&p);
    nas_pipeline_free(&p);
}

static void test_overrides(void **state) {
    fixture *f = *state;
    nas_pipeline p;
    nas_error err = {0};
    const char *overrides[] = {
        "seed=9",
        "train.mu=7",
        "train.teacher=ema",
        "platforms.0.constraints.latency_ms=2.5",
        "platforms[0].constraints.peak_bytes=524288",
        "platforms.1={\"name\": \"old\", \"hardware\": {\"plugin\": \"t-hardware\"}}",
        "train.ssl.options.file=some/file",
        "export=[{\"plugin\": \"t-export\"}]",
        "train.mu=5",
    };
    size_t n = sizeof overrides / sizeof *overrides;
    assert_int_equal(load(f, minimal, overrides, n, &p, &err), NAS_OK);
    assert_int_equal(p.seed, 9);
    assert_true(p.train.mu == 5.0);
    assert_int_equal(p.train.teacher, NAS_TEACHER_EMA);
    assert_int_equal(p.n_platforms, 2);
    assert_string_equal(p.platforms[1].name, "old");
    assert_true(p.platforms[0].constraints.latency_ms == 2.5);
    assert_int_equal(p.platforms[0].constraints.peak_bytes, 524288);
    assert_int_equal(p.n_exports, 1);
    char path[FIXTURE_PATH + 32];
    snprintf(path, sizeof path, "%s/some/file", f->folder);
    assert_string_equal(json_string_value(json_object_get(p.ssl.options, "file")), path);
    nas_pipeline_free(&p);
}

/* A platform without a list has the pipeline's, also after others were read; an empty list is one.
 */
static void test_exports(void **state) {
    fixture *f = *state;
    nas_pipeline p;
    nas_error err = {0};
    const char *overrides[] = {
        "export=[{\"plugin\": \"t-export\", \"verify\": true}]",
        "platforms.0.export=[{\"plugin\": \"t-export\", \"options\": {\"level\": 7}}, "
        "{\"plugin\": \"t-export\"}]",
        "platforms.1={\"name\": \"b\", \"hardware\": {\"plugin\": \"t-hardware\"}}",
        "platforms.2={\"name\": \"c\", \"hardware\": {\"plugin\": \"t-hardware\"}, \"export\": "
        "[]}",
    };
    assert_int_equal(load(f, minimal, overrides, 4, &p, &err), NAS_OK);
    assert_int_equal(p.n_exports, 3);
    assert_int_equal(p.platforms[0].exports.n, 2);
    assert_int_equal(p.platforms[1].exports.n, 1);
    assert_int_equal(p.platforms[2].exports.n, 0);
    const nas_export_use *own = &p.exports[p.platforms[0].exports.first];
    const nas_export_use *common = &p.exports[p.platforms[1].exports.first];
    assert_string_equal(own[1].use.path, "platforms[0].export[1]");
    assert_string_equal(common->use.path, "export[0]");
    assert_int_equal(json_integer_value(json_object_get(own->use.options, "level")), 7);
    assert_true(common->verify && !own->verify);
    const json_t *platforms = json_object_get(p.resolved, "platforms");
    assert_null(json_object_get(json_array_get(platforms, 1), "export"));
    assert_non_null(json_object_get(json_array_get(platforms, 2), "export"));
    nas_pipeline_free(&p);
    refuses(f, "platforms.0.export=3", NULL,
            "platforms[0].export: expected an array of 0 to 8 objects, found 3 (an integer)");
    refuses(f, "platforms.0.export=[{\"plugin\": \"t-exprot\"}]", NULL,
            "platforms[0].export[0].plugin: unknown export plugin \"t-exprot\"; did you mean "
            "\"t-export\"?");
    refuses(f, "export=[{\"plugin\": \"t-export\", \"verfy\": true}]", NULL,
            "export[0].verfy: unknown key; did you mean \"verify\"?");
}

/* Another plugin does not get the options of the one before. */
static void test_another_plugin(void **state) {
    (void)state;
    static const struct {
        const char *overrides[2], *options;
    } cases[] = {{{"a.plugin=p", "b=1"}, "{\"x\": 1}"},
                 {{"a.plugin=q", "b=1"}, NULL},
                 {{"a.plugin=q", "a.options.y=2"}, "{\"y\": 2}"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *root = json_pack("{s:{s:s, s:{s:i}}}", "a", "plugin", "p", "options", "x", 1);
        assert_int_equal(nas_overrides_apply(root, cases[i].overrides, 2, NULL), NAS_OK);
        const json_t *found = json_object_get(json_object_get(root, "a"), "options");
        json_t *expected = cases[i].options ? json_loads(cases[i].options, 0, NULL) : NULL;
        assert_true(expected ? json_equal(found, expected) : !found);
        json_decref(expected);
        json_decref(root);
    }
}

static void test_resolved_is_stable(void **state) {
    fixture *f = *state;
    nas_pipeline first, second;
    nas_error err = {0};
    char other[FIXTURE_PATH + 64];
    const char *overrides[] = {
        "train.subnet_sampling=fixed",
        genome_override,
        "train.lr=0.1",
        "train.ssl.options.file=x",
        "platforms.0.constraints.latency_ms=3",
        "export=[{\"plugin\": \"t-export\", \"options\": {\"level\": 7}}]",
        "space_restrict.depth=1",
    };
    assert_int_equal(load(f, minimal, overrides, 7, &first, &err), NAS_OK);
    assert_non_null(first.genome);
    snprintf(other, sizeof other, "%s/spaces/resolved.json", f->folder); /* another folder */
    assert_int_equal(nas_json_save(other, first.resolved, &err), NAS_OK);
    assert_int_equal(nas_pipeline_load(other, NULL, 0, f->registry, &second, &err), NAS_OK);
    assert_true(json_equal(first.resolved, second.resolved));
    assert_null(json_object_get(second.resolved, "$schema"));
    assert_true(second.train.lr == 0.1);
    nas_pipeline_free(&first);
    nas_pipeline_free(&second);
}

static void test_objectives(void **state) {
    fixture *f = *state;
    nas_pipeline p;
    nas_error err = {0};
    const char *set = "search.objectives=[\"score\", \"peak_bytes\", \"latency_ms\"]";
    assert_int_equal(load(f, minimal, &set, 1, &p, &err), NAS_OK);
    assert_true(p.search_config.named);
    assert_int_equal(p.search_config.n_objectives, 2);
    assert_int_equal(p.search_config.objectives[0], NAS_LIMIT_PEAK);
    assert_int_equal(p.search_config.objectives[1], NAS_LIMIT_LATENCY);
    nas_pipeline_free(&p);
}

static void test_wrong_keys(void **state) {
    fixture *f = *state;
    refuses(f, "train.stpes=5", NULL, "train.stpes: unknown key; did you mean \"steps\"?");
    refuses(f, "trian.steps=5", NULL, "trian: unknown key; did you mean \"train\"?");
    refuses(f, "train.steps=many", NULL,
            "train.steps: expected an integer from 1 to 10000000 steps, found \"many\" (a string)");
    refuses(f, "train=3", NULL, "train: expected an object, found 3 (an integer)");
    refuses(f, "train.ssl.options.levle=3", NULL,
            "train.ssl.options.levle: unknown key; did you mean \"level\"?");
    refuses(f, "search.objectives=[\"macs\"]", NULL,
            "search.objectives: expected \"score\" first, which is what subnets are evaluated for, "
            "found \"macs\"");
    refuses(f, "search.objectives=[\"score\", \"latency\"]", NULL,
            "search.objectives: expected names of constraints after \"score\", found \"latency\"; "
            "did you mean \"latency_ms\"?");
    refuses(f, "search.objectives=[\"score\", \"xxxxxxxxxxxxxxx\"]", NULL,
            "search.objectives: expected names of constraints after \"score\", found "
            "\"xxxxxxxxxxxxxxx\"; did you mean \"latency_ms\"?");
    refuses(f, "search.objectives=[\"score\", \"macs\", \"macs\"]", NULL,
            "search.objectives: \"macs\" stands there twice");
    refuses(f, "search.evaluations=0", NULL,
            "search.evaluations: expected an integer from 1 to 10000000 subnets, found 0 (an "
            "integer)");
    refuses(f, "platforms.0.constraints.latency_ms=0", NULL,
            "platforms[0].constraints.latency_ms: expected a number of at least 1e-09 ms, found 0 "
            "(an integer)");
    refuses(f, "platforms.0.constraints.latencyms=1", NULL,
            "platforms[0].constraints.latencyms: unknown key; did you mean \"latency_ms\"?");
    refuses(f, "split.labeled=100", NULL, "split.labeled: unknown key; did you mean \"labelled\"?");
}

static void test_wrong_plugins(void **state) {
    fixture *f = *state;
    refuses(f, "train.ssl.plugin=smaple", NULL,
            "train.ssl.plugin: unknown ssl plugin \"smaple\"; did you mean \"sample\"?");
    refuses(f, "train.ssl={}", NULL, "train.ssl.plugin: missing; expected a string");
    refuses(f, "search.plugin=t-score", NULL,
            "search.plugin: \"t-score\" is a score plugin; expected a search plugin");
    refuses(f, "search.score={}", NULL, "search.score.plugin: missing; expected a string");
    refuses(f, "dataset=null", NULL, "dataset: expected an object, found null");
    refuses(f, "export=[{\"plugin\": \"t-exprot\"}]", NULL,
            "export[0].plugin: unknown export plugin \"t-exprot\"; did you mean \"t-export\"?");
}

static void test_wrong_platforms(void **state) {
    fixture *f = *state;
    refuses(f, "platforms=[]", NULL, "platforms: expected an array of 1 to 32 objects, found 0");
    refuses(f, "platforms=null", NULL,
            "platforms: expected an array of 1 to 32 objects, found null");
    refuses(f, "platforms=[3]", NULL, "platforms[0]: expected an object, found 3 (an integer)");
    refuses(f, "platforms.0.name=", NULL,
            "platforms[0].name: expected 1 to 31 of the characters A-Z a-z 0-9 . _ -, the first a "
            "letter, a digit or _, found \"\"");
    refuses(f, "platforms.0.name=.x", NULL,
            "platforms[0].name: expected 1 to 31 of the characters A-Z a-z 0-9 . _ -, the first a "
            "letter, a digit or _, found \".x\"");
    refuses(f, "platforms.0.name=abcdefghijklmnopqrstuvwxyz123456", NULL,
            "platforms[0].name: expected 1 to 31 of the characters A-Z a-z 0-9 . _ -, the first a "
            "letter, a digit or _, found \"abcdefghijklmnopqrstuvwxyz123456\"");
    refuses(f, "platforms={}", NULL,
            "platforms: expected an array of 1 to 32 objects, found an object");
    refuses(f, "platforms.0.name=../x", NULL,
            "platforms[0].name: expected 1 to 31 of the characters A-Z a-z 0-9 . _ -, the first a "
            "letter, a digit or _, found \"../x\"");
    refuses(f, "platforms.1={\"name\": \"phone\", \"hardware\": {\"plugin\": \"t-hardware\"}}",
            NULL,
            "platforms[1].name: \"phone\" names platforms[0] already; give each its own name");
}

static void test_wrong_spaces(void **state) {
    fixture *f = *state;
    char message[2 * FIXTURE_PATH];
    refuses(f, "space=tinny", NULL, "space: unknown preset \"tinny\"; did you mean \"tiny\"?");
    refuses(f, "space=quite-another", NULL,
            "space: unknown preset \"quite-another\"; expected the name of a file in the folder "
            "spaces beside plugins.json, a path, or an object");
    refuses(f, "space=3", NULL,
            "space: expected the name of a preset, a path, or an object, found 3 (an integer)");
    snprintf(message, sizeof message, "space: cannot read %s/no/such.json: there is no such file",
             f->folder);
    refuses(f, "space=no/such.json", NULL, message);
    refuses(f, "space={\"nmae\": 1}", NULL, "space: nmae: unknown key; did you mean \"name\"?");
    refuses(f, "train.subnet_sampling=fixed", NULL,
            "train.genome: missing; subnet_sampling \"fixed\" trains the one subnet that it "
            "describes");
    refuses(f, "train.subnet_sampling=fixed", "train.genome={\"resolution\": 9, \"stages\": []}",
            "train.genome: resolution: expected 8, found 9");
}

/* The genome and every later reader of the space see what is left of it. */
static void test_narrowed_space(void **state) {
    fixture *f = *state;
    nas_pipeline p;
    nas_space space;
    nas_error err = {0};
    const char *overrides[] = {"space_restrict={\"stages\": [{\"depth\": [2], \"expand\": 1}]}"};
    assert_int_equal(load(f, minimal, NULL, 0, &p, &err), NAS_OK);
    assert_null(p.space_restrict);
    assert_null(json_object_get(p.resolved, "space_restrict"));
    nas_pipeline_free(&p);
    assert_int_equal(load(f, minimal, overrides, 1, &p, &err), NAS_OK);
    assert_int_equal(nas_pipeline_space(&p, 3, 10, &space, &err), NAS_OK);
    assert_true(nas_space_size(&space) == 1 && space.channels == 3 && space.classes == 10);
    assert_int_equal(space.stages[0].depth.value[0], 2);
    nas_pipeline_free(&p);
    refuses(f, "space_restrict.depth=3", NULL,
            "space_restrict: depth: expected choices of the space, found 3, which no stage has");
    refuses(f, "space_restrict.expand=1", genome_override,
            "train.genome: stages[0].blocks[0].expand: expected 1, found 2");
}

/* Weights that know their space bring it, where the pipeline has none. */
static void test_space_of_weights(void **state) {
    fixture *f = *state;
    static const float number = 1;
    const nas_tensor tensor = {.name = "x", .ndim = 1, .shape = {1}, .data = &number};
    const char *spaces[] = {space_text, "{\"name\": 3}", "[]", "{", NULL};
    static const char *const says[] = {NULL, "its space: name: expected", "tells no space",
                                       "not valid JSON", "tells no space"};
    char path[FIXTURE_PATH + 32], text[2000], override[FIXTURE_PATH + 64];
    nas_pipeline p;
    nas_error err = {0};
    json_t *json = json_loads(minimal, 0, NULL);
    json_object_del(json, "space");
    char *bare = json_dumps(json, 0);
    json_decref(json);
    snprintf(path, sizeof path, "%s/w.safetensors", f->folder);
    snprintf(override, sizeof override, "init.weights=%s", path);
    const char *overrides[] = {override};
    assert_int_equal(load(f, bare, overrides, 1, &p, &err), NAS_ERR_IO);
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
        json_t *metadata = json_object();
        if (spaces[i]) json_object_set_new(metadata, "space_json", json_string(spaces[i]));
        char *dumped = json_dumps(metadata, 0);
        snprintf(text, sizeof text, "%s", dumped);
        free(dumped);
        json_decref(metadata);
        assert_int_equal(nas_tensors_save(path, &tensor, 1, text, &err), NAS_OK);
        int rc = load(f, bare, overrides, 1, &p, &err);
        if (!says[i] ? rc : !rc || !strstr(err.message, says[i]))
            fail_msg("case %zu: %d, %s", i, rc, err.message);
        if (!rc) assert_string_equal(json_string_value(json_object_get(p.space, "name")), "tiny");
        if (!rc) nas_pipeline_free(&p);
    }
    static const char bytes[] = "\x44\0\0\0\0\0\0\0{\"x\":{\"dtype\":\"U8\",\"shape\":[1],"
                                "\"data_offsets\":[0,1]}}               !"; /* another program's */
    assert_int_equal(fixture_write(f->folder, "w.safetensors", bytes, sizeof bytes - 1, false), 0);
    int rc = load(f, bare, overrides, 1, &p, &err);
    if (!rc || !strstr(err.message, "tells no space")) fail_msg("%d, %s", rc, err.message);
    assert_int_equal(load(f, bare, NULL, 0, &p, &err), NAS_ERR_INPUT);
    nas_pipeline_free(NULL);
    free(bare);
}

static void test_wrong_overrides(void **state) {
    fixture *f = *state;
    refuses(f, "train.steps", NULL,
            "--set train.steps: expected KEY=VALUE, such as train.steps=100");
    refuses(f, "=3", NULL, "--set =3: expected KEY=VALUE, such as train.steps=100");
    refuses(f, ".=3", NULL, "--set .=3: expected KEY=VALUE");
    refuses(f, "space.name=3", NULL,
            "--set space.name=3: \"name\" would be a key of \"tiny\" (a string); expected an "
            "object or an array");
    refuses(f, "platforms.2.name=x", NULL,
            "--set platforms.2.name=x: expected an index from 0 to 1 (which appends), found \"2\"");
    refuses(f, "platforms.first.name=x", NULL,
            "--set platforms.first.name=x: expected an index from 0 to 1 (which appends), found "
            "\"first\"");
    refuses(f, "platforms.0x=1", NULL,
            "--set platforms.0x=1: expected an index from 0 to 1 (which appends), found \"0x\"");
    refuses(f, "platforms.1234567890=1", NULL,
            "--set platforms.1234567890=1: expected an index from 0 to 1 (which appends), found "
            "\"1234567890\"");
    refuses(f, "platforms[0].constraints.macs.most=3", "platforms[0].constraints.macs=x",
            "platforms[0].constraints.macs: expected an integer from 1 to 9.00719925474099e+15, "
            "found \"x\" (a "
            "string)");
    refuses(f, "seed=\xff", NULL, "--set seed=\xff: the value is not UTF-8");
}

static void test_wrong_files(void **state) {
    fixture *f = *state;
    nas_pipeline p;
    nas_error err = {0};
    assert_int_equal(nas_pipeline_load("no/such.json", NULL, 0, f->registry, &p, &err),
                     NAS_ERR_INPUT);
    assert_int_equal(err.code, NAS_ERR_INPUT);
    assert_string_equal(err.message, "cannot read no/such.json: there is no such file");
    assert_int_equal(load(f, "", NULL, 0, &p, &err), NAS_ERR_INPUT);
    assert_int_equal(load(f, "[]", NULL, 0, &p, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "p.json: expected an object, found an array"));
    assert_int_equal(load(f, "{\"seed\": 1, \"seed\": 2}", NULL, 0, &p, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "duplicate"));
    assert_int_equal(load(f, "{}", NULL, 0, &p, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "p.json: dataset.plugin: missing; expected a string"));
}

/* A space beside the pipeline, and one written into it. */
static void test_space_by_path_and_inline(void **state) {
    fixture *f = *state;
    nas_pipeline p;
    nas_error err = {0};
    const char *by_path[] = {"space=spaces/tiny.json"};
    assert_int_equal(load(f, minimal, by_path, 1, &p, &err), NAS_OK);
    json_t *resolved = json_deep_copy(p.resolved);
    nas_pipeline_free(&p);
    char text[sizeof space_text + 8];
    snprintf(text, sizeof text, "space=%s", space_text);
    const char *inlined[] = {text};
    assert_int_equal(load(f, minimal, inlined, 1, &p, &err), NAS_OK);
    assert_true(json_equal(resolved, p.resolved));
    json_decref(resolved);
    nas_pipeline_free(&p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_defaults),
        TEST(test_overrides),
        TEST(test_exports),
        TEST(test_another_plugin),
        TEST(test_resolved_is_stable),
        TEST(test_objectives),
        TEST(test_wrong_keys),
        TEST(test_wrong_plugins),
        TEST(test_wrong_platforms),
        TEST(test_wrong_spaces),
        TEST(test_narrowed_space),
        TEST(test_space_of_weights),
        TEST(test_wrong_overrides),
        TEST(test_wrong_files),
        TEST(test_space_by_path_and_inline),
    };
    return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
