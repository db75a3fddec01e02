/* The hardware plugin `lut`: sums by hand, missing layers, tables with mistakes. */
#include "../plugins/hardware/lut.c"

#include "fixture.h"

#include <setjmp.h>

#include <cmocka.h>

static char folder[FIXTURE_PATH];

static int make_folder(void **state) {
    (void)state;
    return fixture_folder(folder);
}

static int remove_folder(void **state) {
    (void)state;
    fixture_remove(folder);
    return 0;
}

#define CONV "conv in=10x10x4 out=5x5x8 kernel=3 stride=2 expand=0 act=relu se=0"
#define BLOCK "depthwise in=5x5x8 out=5x5x8 kernel=3 stride=1 expand=4 act=h-swish se=1"
#define ADD "add in=5x5x8 out=5x5x8 kernel=1 stride=1 expand=4 act=none se=1"
#define ENTRY(key, ms) "\"" key "\": {\"count\": 9, \"median_ms\": " ms ", \"spread_ms\": 0.01}"

static const char plain[] =
    "{\"format\": \"nashost latency table\", \"version\": 1, \"device\": \"toy\", "
    "\"runtime\": \"toy\", \"dtype\": \"float32\", \"threads\": 1, \"batch\": 1, \"entries\": "
    "{" ENTRY(CONV, "0.5") ", " ENTRY(BLOCK, "0.25") ", " ENTRY(ADD, "2") "}}";

static nas_layer layer_of(const char *key, const char *name) {
    nas_layer layer;
    assert_true(nas_layer_from_key(key, &layer));
    snprintf(layer.name, sizeof layer.name, "%s", name);
    if (layer.op == NAS_OP_CONV) layer.weights = 288, layer.biases = 8;
    if (layer.op == NAS_OP_DEPTHWISE) layer.weights = 72, layer.biases = 8;
    return layer;
}

static nas_network network_of(const nas_layer *layers, uint32_t n) {
    return (nas_network){.size = sizeof(nas_network),
                         .layer_size = sizeof *layers,
                         .n_layers = n,
                         .layers = layers,
                         .peak_elements = 700};
}

static int open_text(const char *text, bool allow_missing, void **self, nas_error *err) {
    static char path[FIXTURE_PATH + 16];
    assert_int_equal(fixture_write(folder, "t.json", text, strlen(text), false), 0);
    snprintf(path, sizeof path, "%s/t.json", folder);
    lut_config config = {path, allow_missing};
    *self = NULL;
    return nas_plugin_entry()->create(NULL, &config, self, err);
}

static void *open_plain(bool allow_missing) {
    nas_error err = {0};
    void *self;
    if (open_text(plain, allow_missing, &self, &err)) fail_msg("%s", err.message);
    return self;
}

static void assert_near(double found, double expected) {
    if (!(fabs(found - expected) <= 1e-9 * fabs(expected)))
        fail_msg("expected %.12g, found %.12g", expected, found);
}

static void test_sum(void **state) {
    (void)state;
    nas_error err = {0};
    const nas_layer layers[] = {layer_of(CONV, "a"), layer_of(BLOCK, "b"), layer_of(BLOCK, "c"),
                                layer_of(ADD, "d")};
    nas_network net = network_of(layers, 4);
    nas_cost result = {.size = sizeof result};
    void *self = open_plain(false);
    if (api.cost(self, &net, &result, &err)) fail_msg("%s", err.message);
    assert_near(result.latency_ms, 0.5 + 2 * 0.25 + 2);
    assert_near(result.known_share, 1);
    assert_true(isnan(result.energy_mj));
    assert_int_equal(result.peak_bytes, 2800);
    assert_int_equal(result.flash_bytes, 4 * (288 + 2 * 72 + 3 * 8));
    nas_plugin_entry()->destroy(self);
}

/* Each part of a key tells layers apart. */
static void test_missing(void **state) {
    (void)state;
    static const char *const others[] = {
        "conv in=10x10x4 out=5x5x8 kernel=3 stride=2 expand=0 act=relu se=1",
        "conv in=10x10x4 out=5x5x8 kernel=3 stride=2 expand=0 act=none se=0",
        "conv in=10x10x4 out=5x5x8 kernel=3 stride=2 expand=1 act=relu se=0",
        "conv in=10x10x4 out=5x5x8 kernel=3 stride=1 expand=0 act=relu se=0",
        "conv in=10x10x4 out=5x5x8 kernel=1 stride=2 expand=0 act=relu se=0",
        "conv in=10x10x4 out=5x5x9 kernel=3 stride=2 expand=0 act=relu se=0",
        "conv in=10x10x5 out=5x5x8 kernel=3 stride=2 expand=0 act=relu se=0",
        "conv in=10x9x4 out=5x5x8 kernel=3 stride=2 expand=0 act=relu se=0",
        "depthwise in=10x10x4 out=5x5x8 kernel=3 stride=2 expand=0 act=relu se=0",
    };
    void *self = open_plain(false);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const nas_layer layers[] = {layer_of(CONV, "a"), layer_of(others[i], "stage1.block0.x")};
        nas_network net = network_of(layers, 2);
        nas_cost result = {.size = sizeof result};
        nas_error err = {0};
        assert_int_equal(api.cost(self, &net, &result, &err), NAS_ERR_INPUT);
        char expected[400];
        snprintf(expected, sizeof expected,
                 "1 of 2 layers are missing, first stage1.block0.x, \"%s\"", others[i]);
        if (!strstr(err.message, expected)) fail_msg("not %s: %s", expected, err.message);
    }
    nas_plugin_entry()->destroy(self);
}

static void test_estimates(void **state) {
    (void)state;
    nas_error err = {0};
    nas_cost result = {.size = sizeof result};
    void *self = open_plain(true);
    /* Depthwise, 10x10: 7200 MACs and 800 + 800 + 72 + 8 elements for 1800 and 200 + 200 + 80. */
    const nas_layer layers[] = {
        layer_of(CONV, "a"),
        layer_of("depthwise in=10x10x8 out=10x10x8 kernel=3 stride=1 expand=4 act=relu se=0", "b")};
    nas_network net = network_of(layers, 2);
    if (api.cost(self, &net, &result, &err)) fail_msg("%s", err.message);
    assert_near(result.latency_ms, 0.5 + 0.25 * (7200 + 1680) / (1800 + 480));
    assert_near(result.known_share, 0.5);
    /* Nothing in the table is like a linear layer. */
    const nas_layer linear =
        layer_of("linear in=1x1x8 out=1x1x8 kernel=1 stride=1 expand=0 act=none se=0", "l");
    net = network_of(&linear, 1);
    if (api.cost(self, &net, &result, &err)) fail_msg("%s", err.message);
    assert_true(isnan(result.latency_ms));
    assert_near(result.known_share + 1, 1);
    nas_plugin_entry()->destroy(self);
}

/* The nearest entry is the one whose work has the smallest ratio. */
static void test_nearest(void **state) {
    (void)state;
    /* Works of 100, 1000 and 300. */
    nas_lut_entry list[] = {{{.op = NAS_OP_POOL, .in = {1, 1, 99}, .out = {1, 1, 1}}, 1},
                            {{.op = NAS_OP_POOL, .in = {1, 1, 999}, .out = {1, 1, 1}}, 2},
                            {{.op = NAS_OP_ADD, .in = {1, 1, 100}, .out = {1, 1, 100}}, 50}};
    const nas_lut t = {.n = 3, .list = list};
    nas_layer layer = {.op = NAS_OP_POOL, .in = {1, 1, 299}, .out = {1, 1, 1}, .kernel = 1};
    assert_near(estimate(&t, &layer), 3);
    layer.in.c = 399;
    assert_near(estimate(&t, &layer), 0.8);
}

/* The plain table with `from` replaced by `to`. */
static int open_changed(const char *from, const char *to, nas_error *err) {
    char text[4096];
    const char *at = strstr(plain, from);
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - plain), plain, to, at + strlen(from));
    void *self;
    int rc = open_text(text, false, &self, err);
    if (!rc) fail_msg("accepted: %s", text);
    assert_null(self);
    return rc;
}

static void test_bad_tables(void **state) {
    (void)state;
    static const struct {
        const char *from, *to, *message;
    } cases[] = {
        {"\"nashost latency table\"", "3", "format: expected \"nashost latency table\", found 3"},
        {"\"spread_ms\": 0.01", "\"spread_ms\": -0.01", "expected a \"spread_ms\" of at least 0"},
        {"\"entries\": ", "\"networks\": {}, \"entries\": ", "networks: expected an array, found"},
        {"\"entries\": ", "\"networks\": [3], \"entries\": ",
         "networks[0]: expected a \"median_ms\""},
        {"\"entries\": ", "\"networks\": [{\"median_ms\": 1}], \"entries\": ",
         "networks[0]: expected an object \"layers\""},
        {"\"entries\": ",
         "\"networks\": [{\"median_ms\": 1, \"layers\": {\"x\": 0}}], \"entries\": ",
         "networks[0]: expected layers with counts of at least 1"},
        {"nashost latency table", "x", "format: expected \"nashost latency table\", found \"x\""},
        {"\"version\": 1", "\"version\": 2", "version: expected 1, the one that is read here"},
        {"\"version\": 1", "\"version\": \"1\"", "version: expected 1"},
        {"\"device\": \"toy\"", "\"device\": 3", "device: expected a string, found 3"},
        {"\"runtime\"", "\"runtmie\"", "runtime: expected a string, found nothing"},
        {"float32", "float16", "dtype: expected \"float32\" or \"int8\", found \"float16\""},
        {"\"threads\": 1", "\"threads\": 0", "threads: expected 1 or more, found 0"},
        {"\"batch\": 1", "\"batch\": 8", "batch: expected 1, as costs are those of one image"},
        {"\"entries\"", "\"enties\"", "entries: expected an object with entries, found nothing"},
        {"conv in", "conf in", "entries: expected keys such as \"conv in=28x28x1"},
        {"stride=2", "stride=02", "found \"conv in=10x10x4 out=5x5x8 kernel=3 stride=02 "},
        {"out=5x5x8", "out=5x5x0", "entries: expected keys"},
        {"act=relu se=0", "act=relu se=0 ", "entries: expected keys"},
        {"\"median_ms\": 0.5", "\"median_ms\": 0",
         "act=relu se=0: expected a \"median_ms\" above 0"},
        {"\"median_ms\": 0.5", "\"median_ms\": \"1\"", "expected a \"median_ms\" above 0"},
        {"\"count\": 9", "\"count\": 0", "expected a \"count\" of at least 1"},
        {"\"spread_ms\": 0.01", "\"spread\": 0.01", "expected a \"spread_ms\" of at least 0"},
        {"depthwise in=5x5x8 out=5x5x8 kernel=3 stride=1 expand=4 act=h-swish se=1", CONV,
         "t.json:1:"},
        {"}}", "}", "t.json:1:"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nas_error err = {0};
        assert_int_equal(open_changed(cases[i].from, cases[i].to, &err), NAS_ERR_INPUT);
        if (!strstr(err.message, cases[i].message) || !strstr(err.message, "/t.json:"))
            fail_msg("said: %s\n  not: %s", err.message, cases[i].message);
    }
    nas_error err = {0};
    void *self;
    assert_int_equal(open_text("", false, &self, &err), NAS_ERR_INPUT);
    assert_int_equal(open_text("[]", false, &self, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "t.json: expected an object"));
    lut_config config = {"/nonexistent/t.json", false};
    assert_int_equal(nas_plugin_entry()->create(NULL, &config, &self, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "/nonexistent/t.json"));
    nas_plugin_entry()->destroy(NULL);
}

#define NETWORK "{\"median_ms\": %.17g, \"layers\": {\"%s\": %d, \"%s\": %d}}"

/* 1.1 times the sum and 1 us for each weight, as ten networks tell. */
static void test_weights_cost_extra(void **state) {
    (void)state;
    char text[8192];
    nas_error err = {0};
    void *self;
    int n = snprintf(text, sizeof text, "%.*s, \"networks\": [", (int)strlen(plain) - 1, plain);
    for (int i = 0; i < 10; i++) {
        int convs = 1 + i % 4, adds = 1 + i / 2;
        double ms = 1.1 * (0.5 * convs + 2 * adds) + 1e-3 * 288 * convs;
        n += snprintf(text + n, sizeof text - (size_t)n, "%s" NETWORK, i ? ", " : "", ms, CONV,
                      convs, ADD, adds);
    }
    snprintf(text + n, sizeof text - (size_t)n, "]}");
    if (open_text(text, false, &self, &err)) fail_msg("%s", err.message);
    const nas_layer layers[] = {layer_of(CONV, "a"), layer_of(BLOCK, "b"), layer_of(BLOCK, "c")};
    nas_network net = network_of(layers, 3);
    nas_cost result = {.size = sizeof result};
    if (api.cost(self, &net, &result, &err)) fail_msg("%s", err.message);
    if (!(fabs(result.latency_ms - (1.1 * (0.5 + 2 * 0.25) + 1e-3 * (288 + 2 * 72))) < 1e-6))
        fail_msg("found %g", result.latency_ms);
    destroy(self);
}

/* A table that is not there is told with the file that may be meant. */
static void test_no_table(void **state) {
    (void)state;
    char path[FIXTURE_PATH + 16];
    nas_error err = {0};
    void *self = NULL;
    lut_config config = {path, false};
    assert_int_equal(fixture_write(folder, "phone.json", plain, strlen(plain), false), 0);
    snprintf(path, sizeof path, "%s/phome.json", folder);
    assert_int_equal(nas_plugin_entry()->create(NULL, &config, &self, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "phome.json: there is no such file; did you mean "
                                        "\"phone.json\"?"));
    snprintf(path, sizeof path, "%s/another", folder);
    assert_int_equal(nas_plugin_entry()->create(NULL, &config, &self, &err), NAS_ERR_INPUT);
    assert_string_equal(err.message + strlen(path), ": there is no such file");
    snprintf(path, sizeof path, "%s/none/phone.json", folder);
    assert_int_equal(nas_plugin_entry()->create(NULL, &config, &self, &err), NAS_ERR_INPUT);
    assert_string_equal(err.message + strlen(path), ": there is no such file");
}

/* Measured networks correct the sums: ratios 2, 1.1 and 4, and one that cannot be summed. */
static void test_networks(void **state) {
    (void)state;
    static const char networks[] =
        ", \"networks\": ["
        "{\"median_ms\": 1.0, \"layers\": {\"" CONV "\": 1}},"
        "{\"median_ms\": 1.1, \"layers\": {\"" CONV "\": 1, \"" BLOCK "\": 2}},"
        "{\"median_ms\": 8, \"layers\": {\"" ADD "\": 1}},"
        "{\"median_ms\": 1, \"layers\": {\"" CONV "\": 1, \"other\": 1}}]}";
    char text[4096];
    nas_error err = {0};
    nas_cost result = {.size = sizeof result};
    void *self;
    snprintf(text, sizeof text, "%.*s%s", (int)strlen(plain) - 1, plain, networks);
    if (open_text(text, false, &self, &err)) fail_msg("%s", err.message);
    const nas_layer layer = layer_of(BLOCK, "a");
    nas_network net = network_of(&layer, 1);
    if (api.cost(self, &net, &result, &err)) fail_msg("%s", err.message);
    assert_near(result.latency_ms, 2 * 0.25);
    const nas_validation_api *known = nas_plugin_entry()->extension(self, NAS_EXT_VALIDATION);
    double predicted, measured;
    assert_true(known->network(self, 1, &predicted, &measured));
    assert_near(predicted, 2 * (0.5 + 2 * 0.25));
    assert_near(measured, 1.1);
    assert_true(known->network(self, 3, &predicted, &measured) && isnan(predicted));
    assert_false(known->network(self, 4, &predicted, &measured));
    assert_null(nas_plugin_entry()->extension(self, NAS_EXT_MEASURE));
    nas_plugin_entry()->destroy(self);
    static const struct {
        const char *networks, *message;
    } cases[] = {
        {"{}", "networks: expected an array, found {}"},
        {"[1]", "networks[0]: expected a \"median_ms\" above 0, found 1"},
        {"[{\"median_ms\": 1}]", "networks[0]: expected an object \"layers\""},
        {"[{\"median_ms\": 1, \"layers\": {\"x\": 0}}]",
         "layers with counts of at least 1, found 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "%.*s, \"networks\": %s}", (int)strlen(plain) - 1, plain,
                 cases[i].networks);
        assert_int_equal(open_text(text, false, &self, &err), NAS_ERR_INPUT);
        if (!strstr(err.message, cases[i].message))
            fail_msg("said: %s\n  not: %s", err.message, cases[i].message);
    }
}

static void test_int8(void **state) {
    (void)state;
    char text[4096];
    nas_error err = {0};
    void *self;
    const char *at = strstr(plain, "float32");
    snprintf(text, sizeof text, "%.*sint8%s", (int)(at - plain), plain, at + 7);
    if (open_text(text, false, &self, &err)) fail_msg("%s", err.message);
    const nas_layer layer = layer_of(CONV, "a");
    nas_network net = network_of(&layer, 1);
    nas_cost result = {.size = sizeof result};
    if (api.cost(self, &net, &result, &err)) fail_msg("%s", err.message);
    assert_int_equal(result.peak_bytes, 700);
    assert_int_equal(result.flash_bytes, 288 + 4 * 8 + 4 * 18 + 4 * 8);
    nas_plugin_entry()->destroy(self);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sum),        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_estimates),  cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_bad_tables), cmocka_unit_test(test_no_table),
        cmocka_unit_test(test_networks),   cmocka_unit_test(test_weights_cost_extra),
        cmocka_unit_test(test_int8),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
