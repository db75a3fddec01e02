/* Latency tables: which layers they hold, and how they are built, resumed and refused. */
#include "cli/commands.h"

#include "base/file.h"
#include "fixture.h"
#include "space/cover.h"
#include "space/lower.h"

#include <nashost/hardware.h>
#include <nashost/kit/layers.h>
#include <nashost/lut.h>
#include <setjmp.h>
#include <unistd.h>

#include <cmocka.h>

#include "small_net.h"

static char folder[FIXTURE_PATH], path[FIXTURE_PATH + 16];

static int make_folder(void **state) {
    (void)state;
    int rc = fixture_folder(folder);
    snprintf(path, sizeof path, "%s/table.json", folder);
    return rc;
}

static int remove_folder(void **state) {
    (void)state;
    fixture_remove(folder);
    return 0;
}

static int remove_table(void **state) {
    (void)state;
    unlink(path);
    return 0;
}

/* ---- A plugin that measures: a layer's MACs + 1, in ns ---- */

typedef struct fake {
    size_t calls, most; /* calls of layer(); after `most` it fails */
    double scale;
    const char *device;
    bool networks_fail, no_layers;
} fake;

static int fake_target(void *self, nas_target *target, nas_error *err) {
    (void)err;
    const fake *f = self;
    *target = (nas_target){target->size, 2, 1, f->device, "Fake", "float32"};
    return NAS_OK;
}

static int fake_layer(void *self, const nas_layer *layer, nas_measurement *m, nas_error *err) {
    fake *f = self;
    if (f->calls == f->most) return nas_fail(err, NAS_ERR_IO, "the board is gone");
    f->calls++;
    m->count = 7;
    m->median_ms = f->scale * (double)(layer->macs + 1) / 1e6;
    m->spread_ms = 0.5;
    return NAS_OK;
}

static const void *fake_extension(void *self, const char *id) {
    static const nas_measure_api measure = {sizeof measure, fake_target, fake_layer};
    static const nas_measure_api whole = {sizeof whole, fake_target, NULL};
    const fake *f = self;
    if (strcmp(id, NAS_EXT_MEASURE) != 0) return NULL;
    return f->no_layers ? &whole : &measure;
}

/* A network takes as long as its MACs, in ns. */
static int fake_cost(void *self, const nas_network *network, nas_cost *cost, nas_error *err) {
    const fake *f = self;
    if (f->networks_fail) return nas_fail(err, NAS_ERR_IO, "the board is hot");
    cost->latency_ms = f->scale * (double)network->macs / 1e6;
    return NAS_OK;
}

static const nas_hardware_api fake_api = {sizeof fake_api, fake_cost};
static const nas_plugin plugin = {
    .id = "fake", .version = "1.2", .extension = fake_extension, .vtable = &fake_api};
static const nas_plugin mute = {.id = "mute", .version = "1"};

static int build_rounds(fake *f, const nas_space *space, size_t limit, size_t networks,
                        uint32_t rounds, nas_lut_result *result, nas_error *err) {
    nas_instance hardware = {.plugin = &plugin, .self = f};
    const nas_lut_request request = {.space = space,
                                     .hardware = &hardware,
                                     .out = path,
                                     .seed = 5,
                                     .limit = limit,
                                     .networks = networks,
                                     .rounds = rounds,
                                     .quiet = true};
    return nas_lut_build(&request, result, err);
}

static int build_with(fake *f, const nas_space *space, size_t limit, size_t networks,
                      nas_lut_result *result, nas_error *err) {
    return build_rounds(f, space, limit, networks, 1, result, err);
}

static int build(fake *f, const nas_space *space, size_t limit, nas_lut_result *result,
                 nas_error *err) {
    return build_with(f, space, limit, 0, result, err);
}

/* ---- Which layers ---- */

/* The keys of a subnet's layers, into a set. */
static void add_keys(const nas_space *space, const nas_genome *genome, json_t *keys) {
    nas_lowered *lowered;
    nas_error err = {0};
    char key[NAS_LAYER_KEY];
    if (nas_lower(space, genome, &lowered, &err)) fail_msg("%s", err.message);
    for (uint32_t i = 0; i < lowered->network.n_layers; i++)
        json_object_set_new(keys, nas_layer_key(&lowered->layers[i], key), json_true());
    nas_lowered_free(lowered);
}

static json_t *cover_keys(const nas_space *space) {
    json_t *keys = json_object();
    for (size_t i = 0; i < nas_cover_count(space); i++) {
        nas_genome genome = nas_cover_genome(space, i), canonical = genome;
        nas_genome_canonical(space, &canonical);
        assert_memory_equal(&canonical, &genome, sizeof genome);
        add_keys(space, &genome, keys);
    }
    return keys;
}

#define TINY                                                                                       \
    "{\"name\": \"tiny\", \"resolution\": [8, 9, 12],"                                             \
    " \"stem\": {\"kernel\": 3, \"stride\": 1, \"width\": 4, \"activation\": \"relu\"},"           \
    " \"stages\": ["                                                                               \
    "  {\"width\": [4, 6], \"stride\": 1, \"depth\": [1, 2], \"kernel\": [3, 5], \"expand\": [1]," \
    "   \"squeeze_excite\": false, \"activation\": \"relu\"},"                                     \
    "  {\"width\": [6], \"stride\": 2, \"depth\": [1], \"kernel\": [3], \"expand\": [1, 3],"       \
    "   \"squeeze_excite\": true, \"activation\": \"h-swish\"},"                                   \
    "  {\"width\": [4, 6, 8], \"stride\": 1, \"depth\": [1], \"kernel\": [1, 5], \"expand\": [2]," \
    "   \"squeeze_excite\": false, \"activation\": \"relu\"}],"                                    \
    " \"head\": {\"width\": 8, \"activation\": \"relu\", \"hidden\": []}}"

/* Against every subnet of a space that is small enough. */
static void test_cover_is_exact(void **state) {
    (void)state;
    nas_space space = small_parse(TINY, 3, 5);
    json_t *all = json_object(), *cover = cover_keys(&space);
    nas_genome genome = {0};
    uint32_t g;
    do {
        add_keys(&space, &genome, all);
        for (g = 0; g < space.n_genes && ++genome.gene[g] == space.arity[g]; g++)
            genome.gene[g] = 0;
    } while (g < space.n_genes);
    assert_true(json_object_size(all) > 60);
    assert_true(json_equal(all, cover));
    json_decref(all);
    json_decref(cover);
}

/* No random subnet of a large space has a layer beyond them. */
static void test_cover_of_larger_spaces(void **state) {
    (void)state;
    nas_space spaces[] = {small_space("9, 17"), small_quickstart(), small_mobile()};
    for (size_t s = 0; s < 3; s++) {
        json_t *cover = cover_keys(&spaces[s]);
        size_t n = json_object_size(cover);
        for (uint32_t which = 0; which < 100; which++) {
            nas_genome genome = small_genome(&spaces[s], which);
            add_keys(&spaces[s], &genome, cover);
        }
        assert_int_equal(json_object_size(cover), n);
        json_decref(cover);
    }
}

static void test_keys(void **state) {
    (void)state;
    char key[NAS_LAYER_KEY];
    nas_layer layer = {.op = NAS_OP_DEPTHWISE,
                       .activation = NAS_ACT_HSIGMOID,
                       .in = {UINT32_MAX, UINT32_MAX, UINT32_MAX},
                       .out = {UINT32_MAX, UINT32_MAX, UINT32_MAX},
                       .kernel = UINT32_MAX,
                       .stride = UINT32_MAX,
                       .expand = UINT32_MAX,
                       .squeeze_excite = UINT32_MAX,
                       .pad_before = UINT32_MAX / 2,
                       .expand_ratio = (float)UINT32_MAX},
              back;
    assert_true(nas_layer_from_key(nas_layer_key(&layer, key), &back));
    assert_memory_equal(&layer, &back, sizeof layer);
    layer = (nas_layer){.op = 9, .in = {1, 1, 1}, .out = {1, 1, 1}, .kernel = 1, .stride = 1};
    assert_false(nas_layer_from_key(nas_layer_key(&layer, key), &back));
    layer.op = NAS_OP_CONV;
    assert_true(nas_layer_from_key(nas_layer_key(&layer, key), &back));
    layer.activation = NAS_ACT_SIGMOID + 1;
    assert_false(nas_layer_from_key(nas_layer_key(&layer, key), &back));
    assert_false(nas_layer_from_key("", &back));
    /* A ratio has all its digits; without one, or with a whole one, the key is what it ever was. */
    layer = (nas_layer){.op = NAS_OP_POOL,
                        .in = {1, 1, 1},
                        .out = {1, 1, 1},
                        .kernel = 1,
                        .stride = 1,
                        .expand = 2,
                        .expand_ratio = 2.3f};
    assert_non_null(strstr(nas_layer_key(&layer, key), " expand=2.3 "));
    assert_true(nas_layer_from_key(key, &back) && nas_layer_expand(&back) == 2.3);
    assert_int_equal(back.expand, 2);
    layer.expand_ratio = 2;
    assert_non_null(strstr(nas_layer_key(&layer, key), " expand=2 "));
    layer.expand_ratio = 0;
    assert_non_null(strstr(nas_layer_key(&layer, key), " expand=2 "));
    assert_false(nas_layer_from_key("pool in=1x1x1 out=1x1x1 kernel=1 stride=1 expand=2.30 act=none"
                                    " se=0",
                                    &back));
    assert_false(nas_layer_from_key("pool in=1x1x1 out=1x1x1 kernel=1 stride=1 expand=1e30 act=none"
                                    " se=0",
                                    &back));
}

/* What lowering counts is what is counted from the shapes. */
static void test_work(void **state) {
    (void)state;
    nas_error err = {0};
    nas_space space = small_space("9");
    nas_genome genome = nas_genome_largest(&space);
    nas_lowered *lowered;
    assert_int_equal(nas_lower(&space, &genome, &lowered, &err), NAS_OK);
    for (uint32_t i = 0; i < lowered->network.n_layers; i++) {
        const nas_layer *l = &lowered->layers[i];
        double macs, elements, expected = (double)(l->weights + l->biases);
        nas_layer_work(l, &macs, &elements);
        const nas_shape shapes[] = {l->in, l->out};
        for (int s = 0; s < 2; s++) expected += (double)shapes[s].h * shapes[s].w * shapes[s].c;
        if (l->input[1] >= 0) {
            nas_shape second = lowered->layers[l->input[1]].out;
            expected += (double)second.h * second.w * second.c;
        }
        assert_true(macs == (double)l->macs);
        assert_true(elements == expected);
    }
    nas_lowered_free(lowered);
}

/* ---- Building ---- */

static json_t *read_table(void) {
    json_t *table;
    nas_error err = {0};
    if (nas_json_load(path, &table, &err)) fail_msg("%s", err.message);
    return table;
}

static void test_build(void **state) {
    (void)state;
    nas_error err = {0};
    nas_lut_result result;
    nas_space space = small_quickstart();
    fake f = {.most = SIZE_MAX, .scale = 1, .device = "toy"};
    if (build(&f, &space, 0, &result, &err)) fail_msg("%s", err.message);
    json_t *table = read_table(), *cover = cover_keys(&space), *value;
    json_t *entries = json_object_get(table, "entries");
    const char *key;
    assert_int_equal(result.layers, json_object_size(cover));
    assert_int_equal(result.measured, result.layers);
    assert_int_equal(f.calls, result.layers);
    assert_int_equal(result.kept, 0);
    assert_int_equal(json_object_size(entries), result.layers);
    json_object_foreach(entries, key, value) {
        nas_layer layer;
        double macs, elements;
        assert_non_null(json_object_get(cover, key));
        assert_true(nas_layer_from_key(key, &layer));
        nas_layer_work(&layer, &macs, &elements);
        assert_true(json_real_value(json_object_get(value, "median_ms")) == (macs + 1) / 1e6);
        assert_true(json_real_value(json_object_get(value, "spread_ms")) == 0.5);
        assert_int_equal(json_integer_value(json_object_get(value, "count")), 7);
    }
    assert_int_equal(json_array_size(json_object_get(table, "networks")), 0);
    json_object_del(table, "entries");
    json_object_del(table, "networks");
    json_t *header =
        json_loads("{\"format\": \"nashost latency table\", \"version\": 1, "
                   "\"device\": \"toy\", \"runtime\": \"Fake\", \"dtype\": \"float32\","
                   "\"threads\": 2, \"batch\": 1, \"measured_with\": \"fake 1.2\"}",
                   0, NULL);
    assert_true(json_equal(header, table));
    json_decref(header);
    json_decref(table);
    json_decref(cover);
}

/* A build that broke off keeps what it measured, and the next one measures the rest alone. */
static void test_resume(void **state) {
    (void)state;
    nas_error err = {0};
    nas_lut_result result;
    nas_space space = small_quickstart();
    fake f = {.most = 10, .scale = 1, .device = "toy"};
    assert_int_equal(build(&f, &space, 0, &result, &err), NAS_ERR_IO);
    assert_string_equal(err.message, "the board is gone");
    assert_int_equal(result.measured, 10);
    f = (fake){.most = SIZE_MAX, .scale = 1, .device = "toy"};
    if (build(&f, &space, 0, &result, &err)) fail_msg("%s", err.message);
    assert_int_equal(result.kept, 10);
    assert_int_equal(f.calls, result.layers - 10);
    /* Another space adds its layers to the same table. */
    nas_space other = small_space("");
    size_t n = result.layers;
    if (build(&f, &other, 0, &result, &err)) fail_msg("%s", err.message);
    json_t *table = read_table();
    assert_int_equal(json_object_size(json_object_get(table, "entries")),
                     n + result.layers - result.kept);
    json_decref(table);
}

static void test_limit(void **state) {
    (void)state;
    nas_error err = {0};
    nas_lut_result result;
    nas_space space = small_quickstart();
    fake f = {.most = SIZE_MAX, .scale = 1, .device = "toy"};
    if (build(&f, &space, 12, &result, &err)) fail_msg("%s", err.message);
    assert_int_equal(f.calls, 12);
    if (build(&f, &space, 20, &result, &err)) fail_msg("%s", err.message);
    assert_int_equal(f.calls, 20);
    assert_int_equal(result.kept, 12);
    if (build(&f, &space, 100000, &result, &err)) fail_msg("%s", err.message);
    assert_int_equal(f.calls, result.layers);
}

/* Networks come last, differ, and are those that a longer build begins with. */
static void test_networks(void **state) {
    (void)state;
    nas_error err = {0};
    nas_lut_result result;
    nas_space space = small_quickstart();
    fake f = {.most = SIZE_MAX, .scale = 1, .device = "toy", .networks_fail = true};
    assert_int_equal(build_with(&f, &space, 5, 3, &result, &err), NAS_ERR_IO);
    assert_string_equal(err.message, "the board is hot");
    f.networks_fail = false;
    if (build_with(&f, &space, 5, 3, &result, &err)) fail_msg("%s", err.message);
    assert_int_equal(result.kept, 5);
    assert_int_equal(result.networks, 3);
    if (build_with(&f, &space, 5, 8, &result, &err)) fail_msg("%s", err.message);
    assert_int_equal(result.networks, 5);
    json_t *table = read_table(), *cover = cover_keys(&space), *count;
    const json_t *networks = json_object_get(table, "networks");
    assert_int_equal(json_array_size(networks), 8);
    for (size_t i = 0; i < 8; i++) {
        const json_t *network = json_array_get(networks, i);
        double total = 0;
        const char *key;
        assert_false(i && json_equal(network, json_array_get(networks, i - 1)));
        nas_genome genome;
        if (nas_genome_from_json(&space, json_object_get(network, "genome"), "g", &genome, &err))
            fail_msg("%s", err.message);
        json_object_foreach(json_object_get(network, "layers"), key, count) {
            nas_layer layer;
            double macs, elements;
            assert_non_null(json_object_get(cover, key));
            assert_true(nas_layer_from_key(key, &layer));
            nas_layer_work(&layer, &macs, &elements);
            total += (double)json_integer_value(count) * macs;
        }
        assert_true(fabs(json_number_value(json_object_get(network, "median_ms")) - total / 1e6) <
                    1e-9);
    }
    json_decref(table);
    json_decref(cover);
}

/* Checks that every entry's rounds are these, and that the first network takes scale * MACs. */
static void check_rounds(int rounds, double scale) {
    json_t *table = read_table(), *value;
    const json_t *networks = json_object_get(table, "networks");
    const char *key;
    json_object_foreach(json_object_get(table, "entries"), key, value) {
        nas_layer layer;
        double macs, elements, ms = json_number_value(json_object_get(value, "median_ms"));
        assert_true(nas_layer_from_key(key, &layer));
        nas_layer_work(&layer, &macs, &elements);
        assert_true(fabs(ms - scale * (macs + 1) / 1e6) < 1e-12);
        assert_int_equal(json_integer_value(json_object_get(value, "rounds")), rounds);
    }
    for (size_t i = 0; i < json_array_size(networks); i++) {
        const json_t *network = json_array_get(networks, i);
        assert_int_equal(json_integer_value(json_object_get(network, "rounds")), rounds);
        assert_true(json_number_value(json_object_get(network, "median_ms")) < 20 * scale);
        assert_true(json_number_value(json_object_get(network, "median_ms")) > scale);
    }
    json_decref(table);
}

/* The lowest of all rounds stays; a round that was taken before is not taken again. */
static void test_rounds(void **state) {
    (void)state;
    nas_error err = {0};
    nas_lut_result result;
    nas_space space = small_quickstart();
    fake f = {.most = SIZE_MAX, .scale = 50, .device = "toy"};
    if (build_rounds(&f, &space, 6, 2, 1, &result, &err)) fail_msg("%s", err.message);
    check_rounds(1, 50);
    f.scale = 1;
    if (build_rounds(&f, &space, 6, 2, 3, &result, &err)) fail_msg("%s", err.message);
    assert_int_equal(f.calls, 3 * 6);
    assert_int_equal(result.measured, 6);
    assert_int_equal(result.networks, 2);
    check_rounds(3, 1);
    f.scale = 0.001;
    if (build_rounds(&f, &space, 6, 2, 3, &result, &err)) fail_msg("%s", err.message);
    assert_int_equal(f.calls, 3 * 6);
    assert_int_equal(result.kept, 6);
    assert_int_equal(result.networks, 0);
    f.scale = 30;
    if (build_rounds(&f, &space, 6, 2, 4, &result, &err)) fail_msg("%s", err.message);
    check_rounds(4, 1);
}

static void test_whole_networks_alone(void **state) {
    (void)state;
    nas_error err = {0};
    nas_lut_result result;
    nas_space space = small_quickstart();
    fake f = {.scale = 1, .device = "toy", .no_layers = true};
    if (build_with(&f, &space, 0, 3, &result, &err)) fail_msg("%s", err.message);
    json_t *table = read_table();
    assert_int_equal(json_object_size(json_object_get(table, "entries")), 0);
    assert_int_equal(json_array_size(json_object_get(table, "networks")), 3);
    json_decref(table);
}

static void refuse(fake *f, const char *message, int code) {
    nas_error err = {0};
    nas_lut_result result;
    nas_space space = small_space("");
    assert_int_equal(build(f, &space, 3, &result, &err), code);
    if (!strstr(err.message, message)) fail_msg("expected \"%s\", found: %s", message, err.message);
}

#define HEADER                                                                                     \
    "{\"format\": \"nashost latency table\", \"version\": 1, \"device\": \"toy\", "                \
    "\"runtime\": \"Fake\", \"dtype\": \"float32\", \"threads\": 2, \"batch\": 1, "                \
    "\"measured_with\": \"fake 1.2\""

static int write_table(const char *text) {
    return fixture_write(folder, "table.json", text, strlen(text), false);
}

static void test_refusals(void **state) {
    (void)state;
    nas_error err = {0};
    nas_lut_result result;
    fake f = {.most = SIZE_MAX, .scale = 0, .device = "toy"};
    refuse(&f, "plugin 'fake' measured 0 ms", NAS_ERR_PLUGIN);
    assert_false(nas_file_exists(path));
    f.scale = NAN;
    refuse(&f, "plugin 'fake' measured nan ms", NAS_ERR_PLUGIN);
    f.scale = 1;
    nas_space space = small_space("");
    if (build(&f, &space, 3, &result, &err)) fail_msg("%s", err.message);
    f.device = "another";
    refuse(&f, "table.json: device: expected \"another\", as it is measured now, found \"toy\"",
           NAS_ERR_INPUT);
    f.device = "toy";
    assert_int_equal(write_table(HEADER ", \"entries\": []}"), 0);
    refuse(&f, "table.json: entries: expected an object, found array", NAS_ERR_INPUT);
    assert_int_equal(write_table(HEADER ", \"entries\": {}}"), 0);
    refuse(&f, "table.json: networks: expected an array, found nothing", NAS_ERR_INPUT);
    assert_int_equal(write_table("{"), 0);
    refuse(&f, "table.json", NAS_ERR_INPUT);
    assert_int_equal(write_table("{}"), 0);
    refuse(&f, "table.json: format: expected \"nashost latency table\"", NAS_ERR_INPUT);
    nas_instance hardware = {.plugin = &mute};
    const nas_lut_request request = {
        .space = &space, .hardware = &hardware, .out = path, .rounds = 1};
    assert_int_equal(nas_lut_build(&request, &result, &err), NAS_ERR_INPUT);
    assert_string_equal(err.message,
                        "plugin 'mute' cannot measure: it has no extension nas.measure/1");
    f = (fake){.scale = 1, .device = "toy", .no_layers = true};
    refuse(&f, "plugin 'fake' times whole subnets alone; expected some, found 0", NAS_ERR_INPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cover_is_exact),
        cmocka_unit_test(test_cover_of_larger_spaces),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_work),
        cmocka_unit_test_teardown(test_build, remove_table),
        cmocka_unit_test_teardown(test_resume, remove_table),
        cmocka_unit_test_teardown(test_limit, remove_table),
        cmocka_unit_test_teardown(test_networks, remove_table),
        cmocka_unit_test_teardown(test_rounds, remove_table),
        cmocka_unit_test_teardown(test_whole_networks_alone, remove_table),
        cmocka_unit_test_teardown(test_refusals, remove_table),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
