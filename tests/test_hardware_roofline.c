/* The hardware plugin `roofline`: costs worked out by hand, and profiles with mistakes. */
#include "../plugins/hardware/roofline/roofline.c"

#include "base/json.h"
#include "fixture.h"
#include "space/lower.h"

#include <setjmp.h>

#include <cmocka.h>

#include "small_net.h"

#include <nashost/files.h>
#include <nashost/lut.h>

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

/* 1 Gop/s at full efficiency and 1 GB/s: a thousand operations or bytes are a microsecond. */
static const char plain[] =
    "{\"name\": \"toy\", \"kind\": \"toy\", \"source\": \"a test\", \"model\": true,"
    "\"dtype\": \"float32\", \"peak_gops\": 1, \"bandwidth_gbs\": 1, \"overhead_us\": 3,"
    "\"efficiency\": {\"conv\": 1, \"depthwise\": 0.5, \"linear\": 0.25, \"other\": 0.125},"
    "\"energy_pj_per_mac\": 2, \"energy_pj_per_byte\": 10, \"static_power_mw\": 5}";

static int open_text(const char *text, void **self, nas_error *err) {
    char path[FIXTURE_PATH + 16];
    assert_int_equal(fixture_write(folder, "p.json", text, strlen(text), false), 0);
    snprintf(path, sizeof path, "%s/p.json", folder);
    roofline_config config = {path};
    *self = NULL;
    return nas_plugin_entry()->create(NULL, &config, self, err);
}

/* Sets key to a JSON value (NULL: deletes it) in the plain profile, "efficiency.conv" included. */
static int open_edited(const char *key, const char *value, void **self, nas_error *err) {
    json_t *json = json_loads(plain, 0, NULL), *at = json;
    const char *dot = strchr(key, '.');
    if (dot) at = json_object_get(json, "efficiency");
    if (dot) key = dot + 1;
    if (value) json_object_set_new(at, key, json_loads(value, JSON_DECODE_ANY, NULL));
    if (!value) json_object_del(at, key);
    char *text = json_dumps(json, 0);
    int rc = open_text(text, self, err);
    free(text);
    json_decref(json);
    return rc;
}

static nas_network network_of(const nas_layer *layers, uint32_t n) {
    nas_network net = {.size = sizeof net,
                       .layer_size = sizeof *layers,
                       .n_layers = n,
                       .layers = layers,
                       .peak_elements = 700};
    for (uint32_t i = 0; i < n; i++) net.macs += layers[i].macs;
    return net;
}

static nas_cost cost_of(void *self, const nas_network *net) {
    nas_cost result = {.size = sizeof result};
    nas_error err = {0};
    if (api.cost(self, net, &result, &err)) fail_msg("%s", err.message);
    return result;
}

static void assert_near(double found, double expected) {
    if (!(fabs(found - expected) <= 1e-9 * fabs(expected))) {
        fail_msg("expected %.12g, found %.12g", expected, found);
    }
}

/* 10x10x4 -> 3x3 -> 5x5x8: 288 weights, 8 biases, 7200 MACs. */
static const nas_layer conv = {.op = NAS_OP_CONV,
                               .input = {-1, -2},
                               .in = {10, 10, 4},
                               .out = {5, 5, 8},
                               .kernel = 3,
                               .stride = 2,
                               .macs = 7200,
                               .weights = 288,
                               .biases = 8};
static const nas_layer linear = {.op = NAS_OP_LINEAR,
                                 .input = {0, -2},
                                 .in = {1, 1, 200},
                                 .out = {1, 1, 10},
                                 .kernel = 1,
                                 .stride = 1,
                                 .macs = 2000,
                                 .weights = 2000,
                                 .biases = 10};
static const nas_layer add = {
    .op = NAS_OP_ADD, .input = {0, 0}, .in = {5, 5, 8}, .out = {5, 5, 8}, .kernel = 1, .stride = 1};

static void test_by_hand(void **state) {
    (void)state;
    nas_error err = {0};
    void *self;
    if (open_text(plain, &self, &err)) fail_msg("%s", err.message);
    /* 14400 operations, 14.4 us, against 4 * (400 + 200 + 296) = 3584 bytes, 3.584 us. */
    nas_network net = network_of(&conv, 1);
    nas_cost cost_conv = cost_of(self, &net);
    assert_near(cost_conv.latency_ms, (14.4 + 3) / 1000);
    assert_near(cost_conv.energy_mj, 7200 * 2e-9 + 3584 * 1e-8 + 5 * 17.4e-6);
    assert_int_equal(cost_conv.peak_bytes, 2800);
    assert_int_equal(cost_conv.flash_bytes, 4 * 296);
    assert_near(cost_conv.known_share, 1);
    /* 4000 operations at a quarter, 16 us, against 4 * (200 + 10 + 2010) = 8880 bytes. */
    net = network_of(&linear, 1);
    assert_near(cost_of(self, &net).latency_ms, (16 + 3) / 1000.0);
    /* Both, and an addition: 200 operations at an eighth, 1.6 us, against 2400 bytes, 2.4 us. */
    const nas_layer all[] = {conv, linear, add};
    net = network_of(all, 3);
    nas_cost cost_all = cost_of(self, &net);
    assert_near(cost_all.latency_ms, (17.4 + 19 + 5.4) / 1000);
    assert_int_equal(cost_all.flash_bytes, 4 * (296 + 2010));
    nas_plugin_entry()->destroy(self);
}

/* 800 operations for a kernel of 1x1, 49 times that for 7x7, which has an efficiency of its own. */
/* ---- Profiles by name ---- */

static const char *folder_of(const nas_host *host, uint32_t i) {
    (void)host;
    return i == 0 ? "/nowhere" : i == 1 ? "." : NULL;
}

static const void *offer(const nas_host *host, const char *id) {
    static const nas_files_service files = {sizeof files, folder_of};
    (void)host;
    return strcmp(id, NAS_EXT_FILES) == 0 ? &files : NULL;
}

static void test_names(void **state) {
    (void)state;
    const nas_host host = {.size = sizeof host, .extension = offer};
    nas_error err = {0};
    void *self = NULL;
    /* As the host gives it: absolute. */
    roofline_config config = {"/home/me/mcu-int8"};
    if (nas_plugin_entry()->create(&host, &config, &self, &err)) fail_msg("%s", err.message);
    assert_string_equal(((model *)self)->device.name, "mcu-int8");
    assert_int_equal(((model *)self)->device.element_bytes, 1);
    nas_plugin_entry()->destroy(self);
    config.profile = "/home/me/phone-litle";
    self = NULL;
    assert_int_equal(nas_plugin_entry()->create(&host, &config, &self, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "/home/me/phone-litle: there is no such profile; did you "
                                        "mean \"phone-little\"?"));
    assert_non_null(strstr(err.message,
                           ": ethos-u55-128, mcu-int8, mcu-m55-int8, mcu, phone-a55-int8, "
                           "phone-big-int8, phone-big, phone-little"));
    assert_int_equal(nas_plugin_entry()->create(NULL, &config, &self, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "there are none beside the manifests"));
}

static void test_large_depthwise(void **state) {
    (void)state;
    nas_error err = {0};
    nas_layer layer = {.op = NAS_OP_DEPTHWISE,
                       .input = {-1, -2},
                       .in = {10, 10, 4},
                       .out = {10, 10, 4},
                       .kernel = 7,
                       .macs = 49 * 400};
    nas_network net = network_of(&layer, 1);
    void *self;
    if (open_text(plain, &self, &err)) fail_msg("%s", err.message);
    assert_near(cost_of(self, &net).latency_ms, (49 * 0.8 / 0.5 + 3) / 1000);
    destroy(self);
    if (open_edited("efficiency.depthwise_large", "0.1", &self, &err)) fail_msg("%s", err.message);
    assert_near(cost_of(self, &net).latency_ms, (49 * 0.8 / 0.1 + 3) / 1000);
    layer.kernel = 5;
    layer.macs = 25 * 400;
    assert_near(cost_of(self, &net).latency_ms, (25 * 0.8 / 0.5 + 3) / 1000);
    destroy(self);
}

static void test_memory_bound(void **state) {
    (void)state;
    nas_error err = {0};
    void *self;
    if (open_edited("bandwidth_gbs", "0.1", &self, &err)) fail_msg("%s", err.message);
    nas_network net = network_of(&linear, 1);
    assert_near(cost_of(self, &net).latency_ms, (88.8 + 3) / 1000);
    nas_plugin_entry()->destroy(self);
}

static void test_int8(void **state) {
    (void)state;
    nas_error err = {0};
    void *self;
    if (open_edited("dtype", "\"int8\"", &self, &err)) fail_msg("%s", err.message);
    nas_network net = network_of(&linear, 1);
    nas_cost result = cost_of(self, &net);
    assert_int_equal(result.peak_bytes, 700);
    /* Weights, biases, the layer's 18 numbers, and the scales of the logits. */
    assert_int_equal(result.flash_bytes, 2000 + 4 * 10 + 4 * 18 + 4 * 10);
    assert_near(result.energy_mj, 2000 * 2e-9 + (210 + 2040) * 1e-8 + 5 * 19e-6);
    nas_plugin_entry()->destroy(self);
}

static void test_unknowns(void **state) {
    (void)state;
    nas_error err = {0};
    void *self;
    if (open_edited("energy_pj_per_mac", NULL, &self, &err)) fail_msg("%s", err.message);
    nas_layer layers[] = {conv, linear};
    layers[1].op = 77;
    nas_network net = network_of(layers, 2);
    nas_cost result = cost_of(self, &net);
    assert_true(isnan(result.energy_mj));
    assert_near(result.known_share, 0.5);
    nas_plugin_entry()->destroy(self);
}

static void test_does_not_fit(void **state) {
    (void)state;
    nas_error err = {0};
    void *self;
    nas_network net = network_of(&conv, 1);
    nas_cost result = {.size = sizeof result};
    if (open_edited("memory_bytes", "2800", &self, &err)) fail_msg("%s", err.message);
    assert_int_equal(api.cost(self, &net, &result, &err), NAS_OK);
    net.peak_elements++;
    assert_int_equal(api.cost(self, &net, &result, &err), NAS_ERR_INFEASIBLE);
    assert_string_equal(err.message, "toy: expected at most 2800 bytes of activations, found 2804");
    nas_plugin_entry()->destroy(self);
    if (open_edited("flash_bytes", "1000", &self, &err)) fail_msg("%s", err.message);
    assert_int_equal(api.cost(self, &net, &result, &err), NAS_ERR_INFEASIBLE);
    assert_non_null(strstr(err.message, "1000 bytes of weights, found 1184"));
    nas_plugin_entry()->destroy(self);
}

static void test_bad_profiles(void **state) {
    (void)state;
    static const struct {
        const char *key, *value, *message;
    } cases[] = {
        {"peak_gpos", "1", "p.json: peak_gpos: unknown key; the keys here are name, kind"},
        {"peak_gops", NULL, "p.json: peak_gops: expected a number above 0"},
        {"peak_gops", "0", "peak_gops: expected a number above 0 and at most 1e+09, found 0"},
        {"peak_gops", "\"96\"", "found \"96\""},
        {"bandwidth_gbs", "-1", "bandwidth_gbs: expected a number above 0"},
        {"overhead_us", "-1", "overhead_us: expected a number of at least 0"},
        {"efficiency", "1", "efficiency: expected an object, found 1"},
        {"efficiency.conv", "1.5", "efficiency.conv: expected a number above 0 and at most 1"},
        {"efficiency.linear", NULL, "efficiency.linear: expected a number above 0"},
        {"efficiency.dephtwise", "1", "efficiency.dephtwise: unknown key; the keys here are conv"},
        {"energy_pj_per_mac", "null", "energy_pj_per_mac: expected a number of at least 0"},
        {"static_power_mw", "[]", "static_power_mw: expected a number"},
        {"memory_bytes", "\"512K\"", "memory_bytes: expected a number"},
        {"dtype", "\"float16\"", "dtype: expected \"float32\" or \"int8\", found \"float16\""},
        {"model", "false", "model: expected true"},
        {"model", NULL, "model: expected true"},
        {"source", "\"\"", "source: expected a string, found \"\""},
        {"name", "5", "name: expected a string, found 5"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nas_error err = {0};
        void *self;
        assert_int_equal(open_edited(cases[i].key, cases[i].value, &self, &err), NAS_ERR_INPUT);
        assert_null(self);
        if (!strstr(err.message, cases[i].message)) {
            fail_msg("said: %s\n  not: %s", err.message, cases[i].message);
        }
    }
}

static void test_bad_files(void **state) {
    (void)state;
    nas_error err = {0};
    void *self;
    assert_int_equal(open_text("", &self, &err), NAS_ERR_INPUT);
    assert_int_equal(open_text("[]", &self, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "expected an object"));
    assert_int_equal(open_text("{\"name\": \"a\",\n \"name\": \"b\"}", &self, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "p.json:2:"));
    roofline_config config = {"/nonexistent/p.json"};
    assert_int_equal(nas_plugin_entry()->create(NULL, &config, &self, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "/nonexistent/p.json"));
}

/* ---- Calibration ---- */

static void *open_good(const char *key, const char *value) {
    void *self;
    nas_error err = {0};
    if (open_edited(key, value, &self, &err)) fail_msg("%s", err.message);
    return self;
}

/* The cost of a random subnet of the quickstart space; its layers into counts, unless NULL. */
static double random_ms(void *self, uint32_t which, json_t *counts) {
    nas_space space = small_quickstart();
    nas_genome genome = small_genome(&space, which);
    nas_lowered *lowered;
    nas_error err = {0};
    char key[NAS_LAYER_KEY];
    if (nas_lower(&space, &genome, &lowered, &err)) fail_msg("%s", err.message);
    for (uint32_t i = 0; counts && i < lowered->network.n_layers; i++) {
        nas_layer_key(&lowered->layers[i], key);
        json_int_t n = json_integer_value(json_object_get(counts, key));
        json_object_set_new(counts, key, json_integer(n + 1));
    }
    double ms = cost_of(self, &lowered->network).latency_ms;
    nas_lowered_free(lowered);
    return ms;
}

/* A table of n networks as the model `self` times them. */
static const char *write_table(void *self, uint32_t n, const char *dtype) {
    static char path[FIXTURE_PATH + 16];
    json_t *networks = json_array();
    for (uint32_t i = 0; i < n; i++) {
        json_t *counts = json_object();
        double ms = random_ms(self, i, counts);
        json_array_append_new(networks, json_pack("{s:f, s:o}", "median_ms", ms, "layers", counts));
    }
    json_t *table =
        json_pack("{s:s, s:i, s:s, s:s, s:s, s:i, s:i, s:{}, s:o}", "format", NAS_LUT_FORMAT,
                  "version", NAS_LUT_VERSION, "device", "board", "runtime", "engine", "dtype",
                  dtype, "threads", 1, "batch", 1, "entries", "networks", networks);
    snprintf(path, sizeof path, "%s/table.json", folder);
    assert_int_equal(json_dump_file(table, path, 0), 0);
    json_decref(table);
    return path;
}

/* From another device's profile to that of the device that the table was measured on. */
static void test_calibrate(void **state) {
    (void)state;
    nas_error err = {0};
    char out[FIXTURE_PATH + 16];
    snprintf(out, sizeof out, "%s/fitted.json", folder);
    void *board = open_good("efficiency.depthwise", "0.05");
    void *start = open_good("peak_gops", "40"), *fitted = NULL;
    double away = 0, error = 0;
    if (nas_roofline_calibrate(start, write_table(board, 30, "float32"), out, &err))
        fail_msg("%s", err.message);
    roofline_config config = {out};
    if (create(NULL, &config, &fitted, &err)) fail_msg("%s", err.message);
    for (uint32_t i = 100; i < 120; i++) {
        double ms = random_ms(board, i, NULL);
        error = fmax(error, fabs(random_ms(fitted, i, NULL) / ms - 1));
        away = fmax(away, fabs(random_ms(start, i, NULL) / ms - 1));
    }
    if (error > 0.01 || away < 0.5) fail_msg("error %g, of the start %g", error, away);
    const profile *found = &((const model *)fitted)->device;
    assert_string_equal(found->name, "board");
    assert_near(found->pj_per_mac, 2);
    double ratio = found->efficiency[DEPTHWISE] / found->efficiency[CONV];
    if (fabs(ratio - 0.05) > 0.003) fail_msg("expected a ratio of 0.05, found %g", ratio);
    destroy(board);
    destroy(start);
    destroy(fitted);
}

static void test_calibrate_refusals(void **state) {
    (void)state;
    nas_error err = {0};
    char out[FIXTURE_PATH + 16];
    snprintf(out, sizeof out, "%s/fitted.json", folder);
    void *self = open_good("peak_gops", "2");
    assert_int_equal(nas_roofline_calibrate(self, write_table(self, 9, "float32"), out, &err),
                     NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "table.json: networks: expected at least 10, found 9"));
    assert_int_equal(nas_roofline_calibrate(self, write_table(self, 10, "int8"), out, &err),
                     NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "table.json: dtype: expected that of"));
    assert_int_equal(nas_roofline_calibrate(self, "/nonexistent", out, &err), NAS_ERR_INPUT);
    const char *table = write_table(self, 10, "float32");
    assert_int_equal(nas_roofline_calibrate(self, table, "/nonexistent/out.json", &err),
                     NAS_ERR_IO);
    destroy(self);
}

/* The shipped profiles: they load, differ in kind, and only the microcontroller has a limit, which
 * the quickstart space keeps and an ImageNet network does not. */
static void test_shipped_profiles(void **state) {
    (void)state;
    static const char *const files[] = {"plugins/hardware/profiles/phone-big.json",
                                        "plugins/hardware/profiles/phone-little.json",
                                        "plugins/hardware/profiles/mcu.json"};
    static const char *const spaces[] = {"spaces/quickstart.json", "spaces/ofa-mbv3.json"};
    nas_error err = {0};
    nas_lowered *lowered[2];
    for (uint32_t i = 0; i < 2; i++) {
        json_t *json;
        nas_space space;
        assert_int_equal(nas_json_load(spaces[i], &json, &err), NAS_OK);
        assert_int_equal(nas_space_parse(json, spaces[i], 1 + 2 * i, 10, &space, &err), NAS_OK);
        nas_genome genome = nas_genome_largest(&space);
        assert_int_equal(nas_lower(&space, &genome, &lowered[i], &err), NAS_OK);
        json_decref(json);
    }
    double last = 0;
    for (size_t i = 0; i < 3; i++) {
        roofline_config config = {files[i]};
        void *self = NULL;
        if (nas_plugin_entry()->create(NULL, &config, &self, &err)) fail_msg("%s", err.message);
        nas_cost result = cost_of(self, &lowered[0]->network);
        assert_true(result.latency_ms > 3 * last);
        assert_int_equal(result.peak_bytes, 4 * 28 * 28 * 80);
        assert_true(result.energy_mj > 0);
        last = result.latency_ms;
        assert_int_equal(api.cost(self, &lowered[1]->network, &result, &err),
                         i == 2 ? NAS_ERR_INFEASIBLE : NAS_OK);
        nas_plugin_entry()->destroy(self);
    }
    nas_lowered_free(lowered[0]);
    nas_lowered_free(lowered[1]);
}

/* Those in 8 bits, from the slowest to the fastest; what they say of a layer of 9 million
 * operations at the peak that their makers' multiply-accumulates a cycle and clock make. */
static void test_shipped_int8(void **state) {
    (void)state;
    static const struct {
        const char *file;
        double macs_a_cycle, ghz;
    } known[] = {{"mcu-int8", 2, 0.48},
                 {"mcu-m55-int8", 8, 0.4},
                 {"phone-a55-int8", 16, 1.8},
                 {"ethos-u55-128", 128, 0.5},
                 {"phone-big-int8", 64, 3}};
    const nas_layer layer = {.op = NAS_OP_CONV,
                             .in = {16, 16, 32},
                             .out = {16, 16, 32},
                             .kernel = 3,
                             .stride = 1,
                             .macs = 16 * 16 * 32 * 9 * 32,
                             .weights = 9 * 32 * 32,
                             .biases = 32};
    double last = 1e9;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char path[100];
        snprintf(path, sizeof path, "plugins/hardware/profiles/%s.json", known[i].file);
        roofline_config config = {path};
        const nas_network net = network_of(&layer, 1);
        nas_error err = {0};
        void *self = NULL;
        if (nas_plugin_entry()->create(NULL, &config, &self, &err)) fail_msg("%s", err.message);
        const profile *device = &((model *)self)->device;
        assert_int_equal(device->element_bytes, 1);
        assert_true(fabs(device->peak_gops - 2 * known[i].macs_a_cycle * known[i].ghz) < 1e-9);
        double ms = cost_of(self, &net).latency_ms;
        assert_true(ms > 0 && ms < last);
        last = ms;
        nas_plugin_entry()->destroy(self);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_memory_bound),
        cmocka_unit_test(test_int8),
        cmocka_unit_test(test_unknowns),
        cmocka_unit_test(test_does_not_fit),
        cmocka_unit_test(test_bad_profiles),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_shipped_profiles),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_large_depthwise),
        cmocka_unit_test(test_shipped_int8),
        cmocka_unit_test(test_calibrate),
        cmocka_unit_test(test_calibrate_refusals),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
