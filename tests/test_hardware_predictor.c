/* The hardware plugin `predictor`: laws and trees on times that are known, and what lies outside.
 */
#include "../plugins/hardware/predictor.c"

#include "fixture.h"

#include <setjmp.h>

#include <cmocka.h>

static char folder[FIXTURE_PATH], path[FIXTURE_PATH + 16];
static const predictor_config plain = {path, .trees = 200, .depth = 4, .folds = 5, .rate = 0.1};

static int make_folder(void **state) {
    (void)state;
    int rc = fixture_folder(folder);
    snprintf(path, sizeof path, "%s/samples.json", folder);
    return rc;
}

static int remove_folder(void **state) {
    (void)state;
    fixture_remove(folder);
    return 0;
}

/* ---- Tables of layers whose time is a function ---- */

typedef double (*time_fn)(const nas_layer *layer);

/* 1 us and 1 ns for each MAC and 3 ns for each element moved. */
static double linear_time(const nas_layer *layer) {
    double macs, elements;
    nas_layer_work(layer, &macs, &elements);
    return 1e-3 + 1e-6 * macs + 3e-6 * elements;
}

/* The same, but h-swish costs half as much again, and above 64 channels all is twice as slow. */
static double stepped_time(const nas_layer *layer) {
    return linear_time(layer) * (layer->activation == NAS_ACT_HSWISH ? 1.5 : 1) *
           (layer->out.c > 64 ? 2 : 1);
}

/* Layer i of an endless list: 1x1 convolutions of 8 to 128 channels; every fifth one depthwise. */
static nas_layer make_layer(uint32_t i) {
    nas_rng rng = nas_rng_open(1, NAS_RNG_TEST, 0, i);
    uint32_t side = 4 + nas_rng_below(&rng, 25), width = 8 * (1 + nas_rng_below(&rng, 16));
    nas_layer layer = {.op = NAS_OP_CONV,
                       .activation = nas_rng_below(&rng, 3),
                       .in = {side, side, 8 * (1 + nas_rng_below(&rng, 16))},
                       .out = {side, side, width},
                       .kernel = 1,
                       .stride = 1};
    if (i % 5 == 4) {
        layer.op = NAS_OP_DEPTHWISE;
        layer.in.c = width;
        layer.kernel = 3 + 2 * nas_rng_below(&rng, 2);
    }
    return layer;
}

/* Samples first to last - 1, and after `more` (JSON, or "") the end. */
static void write_table(uint32_t first, uint32_t last, time_fn time_of, const char *more) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "{\"format\": \"nashost latency table\", \"version\": 1, \"device\": \"toy\", "
                  "\"runtime\": \"toy\", \"dtype\": \"float32\", \"threads\": 1, \"batch\": 1, "
                  "\"entries\": {");
    json_t *seen = json_object();
    for (uint32_t i = first; i < last; i++) {
        char key[NAS_LAYER_KEY];
        nas_layer layer = make_layer(i);
        nas_layer_key(&layer, key);
        if (json_object_get(seen, key)) continue;
        fprintf(file, "%s\"%s\": {\"count\": 5, \"median_ms\": %.17g, \"spread_ms\": 0}",
                json_object_size(seen) ? ",\n" : "", key, time_of(&layer));
        json_object_set_new(seen, key, json_true());
    }
    fprintf(file, "}%s}", more);
    fclose(file);
    json_decref(seen);
}

/* ---- A host that keeps what is logged ---- */

static char logged[2][2000]; /* infos, warnings */

static void keep_line(const nas_host *host, nas_level level, const char *message) {
    (void)host;
    if (level == NAS_DEBUG) return;
    char *to = logged[level - NAS_INFO];
    snprintf(to + strlen(to), sizeof logged[0] - strlen(to), "%s\n", message);
}

static const nas_host host = {.size = sizeof host, .log = keep_line};

static predictor *open_with(const predictor_config *config) {
    nas_error err = {0};
    void *self = NULL;
    logged[0][0] = logged[1][0] = 0;
    if (nas_plugin_entry()->create(&host, config, &self, &err)) fail_msg("%s", err.message);
    return self;
}

static int cost_of(predictor *p, const nas_layer *layers, uint32_t n, nas_cost *result,
                   nas_error *err) {
    const nas_network network = {.size = sizeof network,
                                 .layer_size = sizeof *layers,
                                 .n_layers = n,
                                 .layers = layers,
                                 .peak_elements = 700};
    *result = (nas_cost){.size = sizeof *result};
    return api.cost(p, &network, result, err);
}

static double one_ms(predictor *p, const nas_layer *layer) {
    nas_cost result;
    nas_error err = {0};
    if (cost_of(p, layer, 1, &result, &err)) fail_msg("%s", err.message);
    return result.latency_ms;
}

static void assert_near(double found, double expected, double tolerance) {
    if (!(fabs(found / expected - 1) <= tolerance))
        fail_msg("expected %.9g, found %.9g", expected, found);
}

/* The mean relative error on layers that are not in the table. */
static double error_of(predictor *p, time_fn time_of) {
    double error = 0;
    for (uint32_t i = 5000; i < 5200; i++) {
        nas_layer layer = make_layer(i);
        error += fabs(one_ms(p, &layer) / time_of(&layer) - 1) / 200;
    }
    return error;
}

/* ---- Tests ---- */

/* What follows the law is found exactly, also far outside the samples. */
static void test_law(void **state) {
    (void)state;
    predictor_config config = plain;
    config.trees = 0;
    write_table(0, 60, linear_time, "");
    predictor *p = open_with(&config);
    assert_near(p->ops[NAS_OP_CONV].law[0], 1e-3, 1e-6);
    assert_near(p->ops[NAS_OP_CONV].law[1], 1e-6, 1e-6);
    assert_near(p->ops[NAS_OP_CONV].law[2], 3e-6, 1e-6);
    nas_layer large = make_layer(0);
    large.out.c = 100000;
    assert_near(one_ms(p, &large), linear_time(&large), 1e-6);
    nas_plugin_entry()->destroy(p);
}

/* No term may be negative: time that falls with work is a constant in relative least squares. */
static void test_law_is_not_negative(void **state) {
    (void)state;
    sample samples[4];
    double law[LAW], sums[2] = {0};
    for (int i = 0; i < 4; i++) {
        samples[i] = (sample){.ms = 4 - i};
        samples[i].x[MACS] = samples[i].x[ELEMENTS] = 10 * (i + 1);
        sums[0] += 1 / samples[i].ms;
        sums[1] += 1 / samples[i].ms / samples[i].ms;
    }
    fit_law(samples, 4, law);
    assert_near(law[0], sums[0] / sums[1], 1e-9);
    assert_true(law[1] == 0.0 && law[2] == 0.0);
    /* One sample. */
    fit_law(samples, 1, law);
    assert_near(law_of(law, samples), 4, 1e-9);
}

static void test_trees_learn_steps(void **state) {
    (void)state;
    predictor_config config = plain;
    write_table(0, 800, stepped_time, "");
    predictor *p = open_with(&config);
    double with = error_of(p, stepped_time);
    nas_plugin_entry()->destroy(p);
    config.trees = 0;
    p = open_with(&config);
    double without = error_of(p, stepped_time);
    nas_plugin_entry()->destroy(p);
    if (!(with < 0.03 && without > 5 * with))
        fail_msg("errors: %g with trees, %g without", with, without);
}

/* A tree by hand: the best cut of 1 1 1 5 5 5 5 is between the third and the fourth. */
static void test_one_tree(void **state) {
    (void)state;
    sample samples[7];
    const double rest[7] = {1, 1, 1, 5, 5, 5, 5};
    fit f = {.samples = samples,
             .n = 7,
             .rest = malloc(7 * sizeof(double)),
             .at = malloc(7 * sizeof(size_t))};
    for (size_t i = 0; i < 7; i++) {
        samples[i] = (sample){.ms = 1};
        samples[i].x[OUT_C] = (double)i;
        samples[i].x[AREA] = (double)(i % 2);
    }
    memcpy(f.rest, rest, sizeof rest);
    for (int i = 0; i < FEATURES; i++) assert_true(sort_feature(&f, i));
    node nodes[7];
    grow_tree(&f, 2, 0.5, nodes);
    assert_int_equal(nodes[0].feature, OUT_C);
    assert_near(nodes[0].threshold, 2.5, 1e-12);
    assert_int_equal(nodes[1].feature, -1); /* three samples, and equal ones */
    assert_int_equal(nodes[2].feature, -1);
    assert_near(tree_value(nodes, samples[0].x), 1, 1e-12);
    assert_near(tree_value(nodes, samples[6].x), 5, 1e-12);
    assert_near(f.rest[0], 0.5, 1e-12);
    assert_near(f.rest[6], 2.5, 1e-12);
    free_fit(&f);
}

static void test_cross_validation(void **state) {
    (void)state;
    double error;
    write_table(0, 400, stepped_time, "");
    predictor *p = open_with(&plain);
    double real = error_of(p, stepped_time);
    nas_layer layer = make_layer(0);
    nas_cost result;
    nas_error err = {0};
    if (cost_of(p, &layer, 1, &result, &err)) fail_msg("%s", err.message);
    assert_int_equal(layer.op, NAS_OP_CONV);
    nas_plugin_entry()->destroy(p);
    const char *line = strstr(logged[0], "conv: ");
    assert_non_null(line);
    assert_int_equal(sscanf(line, "conv: %*d samples, cross-validated error %lf %%", &error), 1);
    assert_near(result.expected_error, error / 100, 0.1); /* the log has two digits */
    /* It is measured on samples that were left out, so it tells the error on new layers. */
    if (!(error / 100 > real / 4 && error / 100 < real * 4))
        fail_msg("said %g %%, is %g %%", error, 100 * real);
    predictor_config config = plain;
    config.folds = 0;
    p = open_with(&config);
    assert_non_null(strstr(logged[0], "depthwise: 80 samples\n"));
    if (cost_of(p, &layer, 1, &result, &err)) fail_msg("%s", err.message);
    assert_true(isnan(result.expected_error));
    nas_plugin_entry()->destroy(p);
}

static void test_outside(void **state) {
    (void)state;
    write_table(0, 400, linear_time, "");
    predictor *p = open_with(&plain);
    nas_layer layers[2] = {make_layer(0), make_layer(1)};
    nas_cost result;
    nas_error err = {0};
    if (cost_of(p, layers, 2, &result, &err)) fail_msg("%s", err.message);
    assert_true(result.known_share == 1.0);
    assert_string_equal(logged[1], "");
    snprintf(layers[1].name, sizeof layers[1].name, "head");
    layers[1].kernel = 7; /* 8 / 2 */
    layers[1].in.h = layers[1].in.w = layers[1].out.h = layers[1].out.w = 4;
    layers[1].in.c = layers[1].out.c = 8;
    if (cost_of(p, layers, 2, &result, &err)) fail_msg("%s", err.message);
    assert_true(result.known_share == 0.5);
    assert_string_equal(logged[1], "layer head lies outside the samples of its operation: kernel "
                                   "by a factor of 4\n");
    layers[0].activation = NAS_ACT_HSIGMOID;
    if (cost_of(p, layers, 2, &result, &err)) fail_msg("%s", err.message);
    assert_true(result.known_share == 0.0);
    assert_non_null(strstr(logged[1], "factor of 4\n")); /* one warning is enough */
    assert_null(strstr(logged[1], "activation"));
    layers[0].op = NAS_OP_POOL;
    snprintf(layers[0].name, sizeof layers[0].name, "pool");
    assert_int_equal(cost_of(p, layers, 2, &result, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "/samples.json: layer pool: expected samples of operation "
                                        "\"pool\", found none"));
    nas_plugin_entry()->destroy(p);
}

/* The sum, the correction by networks, and the sizes. */
static void test_network(void **state) {
    (void)state;
    predictor_config config = plain;
    config.trees = 0;
    nas_layer layers[2] = {make_layer(0), make_layer(4)};
    char more[2 * NAS_LAYER_KEY + 200], key[2][NAS_LAYER_KEY];
    double sum = linear_time(&layers[0]) + linear_time(&layers[1]);
    snprintf(more, sizeof more,
             ", \"networks\": [{\"median_ms\": %.17g, \"layers\": {\"%s\": 1, \"%s\": 1}}]",
             1.25 * sum, nas_layer_key(&layers[0], key[0]), nas_layer_key(&layers[1], key[1]));
    write_table(0, 100, linear_time, more);
    predictor *p = open_with(&config);
    nas_cost result;
    nas_error err = {0};
    layers[0].weights = 100;
    layers[0].biases = 10;
    if (cost_of(p, layers, 2, &result, &err)) fail_msg("%s", err.message);
    assert_near(result.latency_ms, 1.25 * sum, 1e-6);
    assert_true(isnan(result.energy_mj));
    assert_int_equal(result.peak_bytes, 2800);
    assert_int_equal(result.flash_bytes, 440);
    const nas_validation_api *known = nas_plugin_entry()->extension(p, NAS_EXT_VALIDATION);
    double predicted, measured;
    assert_true(known->network(p, 0, &predicted, &measured));
    assert_near(predicted, 1.25 * sum, 1e-6);
    assert_near(measured, 1.25 * sum, 1e-12);
    assert_false(known->network(p, 1, &predicted, &measured));
    nas_plugin_entry()->destroy(p);
}

static void test_same_each_time(void **state) {
    (void)state;
    write_table(0, 300, stepped_time, "");
    predictor *a = open_with(&plain), *b = open_with(&plain);
    for (uint32_t i = 5000; i < 5050; i++) {
        nas_layer layer = make_layer(i);
        assert_true(one_ms(a, &layer) == one_ms(b, &layer));
    }
    nas_plugin_entry()->destroy(a);
    nas_plugin_entry()->destroy(b);
}

static void test_bad_samples(void **state) {
    (void)state;
    nas_error err = {0};
    void *self = NULL;
    predictor_config config = plain;
    config.samples = "/nonexistent/s.json";
    assert_int_equal(nas_plugin_entry()->create(NULL, &config, &self, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "/nonexistent/s.json"));
    write_table(0, 0, linear_time, "");
    assert_int_equal(nas_plugin_entry()->create(NULL, &plain, &self, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "entries: expected an object with entries"));
    /* A single sample is a constant. */
    write_table(0, 1, linear_time, "");
    predictor *p = open_with(&plain);
    nas_layer layer = make_layer(0);
    assert_near(one_ms(p, &layer), linear_time(&layer), 1e-9);
    nas_plugin_entry()->destroy(p);
    nas_plugin_entry()->destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_law),
        cmocka_unit_test(test_law_is_not_negative),
        cmocka_unit_test(test_trees_learn_steps),
        cmocka_unit_test(test_one_tree),
        cmocka_unit_test(test_cross_validation),
        cmocka_unit_test(test_outside),
        cmocka_unit_test(test_network),
        cmocka_unit_test(test_same_each_time),
        cmocka_unit_test(test_bad_samples),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
