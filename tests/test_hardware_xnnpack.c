/* The hardware plugin `xnnpack`: its results against a plain interpreter, its statistics by hand.
 */
#include "../plugins/hardware/xnnpack.c"

#include <setjmp.h>

#include <cmocka.h>

#include "interpreter.h"
#include "small_net.h"

static const xnnpack_config quick = {
    .threads = 1, .warmup = 1, .samples = 5, .sample_us = 20, .outliers = 3};

static void *open_runner(const xnnpack_config *config) {
    nas_error err = {0};
    void *self = NULL;
    if (nas_plugin_entry()->create(NULL, config, &self, &err)) fail_msg("%s", err.message);
    return self;
}

/* A subnet of a space with random weights, which *memory holds. */
static nas_lowered *lower(const nas_space *space, uint32_t which, nas_real **memory) {
    nas_error err = {0};
    nas_lowered *lowered;
    nas_genome genome = small_genome(space, which);
    if (nas_lower(space, &genome, &lowered, &err)) fail_msg("%s", err.message);
    size_t n = 0;
    for (uint32_t i = 0; i < lowered->network.n_layers; i++)
        n += lowered->layers[i].weights + lowered->layers[i].biases;
    nas_real *values = *memory = small_random(n, 50 + which);
    for (uint32_t i = 0; i < lowered->network.n_layers; i++) {
        nas_layer *l = &lowered->layers[i];
        if (!l->weights) continue;
        nas_real scale = sqrtf(2 * (float)l->out.c / (float)l->weights);
        for (size_t j = 0; j < l->weights; j++) values[j] *= scale;
        l->weight = values;
        l->bias = values + l->weights;
        values += l->weights + l->biases;
    }
    return lowered;
}

static void compare(void *self, const nas_network *net, uint32_t stream) {
    enum { IMAGES = 2 };
    const nas_execute_api *api_of = nas_plugin_entry()->extension(self, NAS_EXT_EXECUTE);
    size_t image = interpret_elements(net->image);
    nas_real *images = small_random(IMAGES * image, stream);
    float ours[IMAGES * 16], theirs[16];
    nas_error err = {0};
    if (api_of->run(self, net, images, IMAGES, ours, &err)) fail_msg("%s", err.message);
    for (uint32_t i = 0; i < IMAGES; i++) {
        interpret(net, images + i * image, theirs);
        for (uint32_t c = 0; c < net->classes; c++) {
            float want = theirs[c], got = ours[i * net->classes + c];
            if (!(fabsf(want - got) < 1e-4f * fmaxf(1, fabsf(want))))
                fail_msg("network %u, image %u, class %u: expected %.7g, found %.7g", stream, i, c,
                         (double)want, (double)got);
        }
    }
    free(images);
}

/* Hidden layers that feed more than 16 outputs have inputs by the four: with others, the kernel
 * that Debian's XNNPACK takes for one row on the first Zen (1x16s4) reads its inputs from a wrong
 * place. The time that the plugin measures is the same. */
static void test_same_results(void **state) {
    (void)state;
    static const char *const hidden[] = {"", "12, 17"};
    xnnpack_config config = quick;
    for (config.threads = 1; config.threads <= 2; config.threads++) {
        void *self = open_runner(&config);
        for (size_t h = 0; h < 2; h++) {
            nas_space space = small_space(hidden[h]);
            for (uint32_t which = 0; which < 12; which++) {
                nas_real *memory;
                nas_lowered *lowered = lower(&space, which, &memory);
                compare(self, &lowered->network, which);
                nas_lowered_free(lowered);
                free(memory);
            }
        }
        nas_space mobile = small_mobile();
        for (uint32_t which = 0; which < 6; which++) {
            nas_real *memory;
            nas_lowered *lowered = lower(&mobile, which, &memory);
            compare(self, &lowered->network, which);
            nas_lowered_free(lowered);
            free(memory);
        }
        nas_plugin_entry()->destroy(self);
    }
}

static void test_activations(void **state) {
    (void)state;
    static const float weight[12] = {1, -2, 0.5f, 3, 0, 1, 2, -1, -4, 0.25f, 2, 5};
    static const float bias[4] = {0.5f, -1, 2, 0};
    void *self = open_runner(&quick);
    for (uint32_t activation = NAS_ACT_NONE; activation <= NAS_ACT_SIGMOID; activation++) {
        nas_layer layer = {.op = NAS_OP_LINEAR,
                           .activation = activation,
                           .input = {NAS_INPUT_IMAGE, NAS_INPUT_NONE},
                           .in = {1, 1, 3},
                           .out = {1, 1, 4},
                           .kernel = 1,
                           .stride = 1,
                           .weights = 12,
                           .biases = 4,
                           .weight = weight,
                           .bias = bias};
        nas_network net = {.size = sizeof net,
                           .layer_size = sizeof layer,
                           .n_layers = 1,
                           .classes = 4,
                           .layers = &layer,
                           .image = {1, 1, 3}};
        compare(self, &net, activation);
    }
    nas_plugin_entry()->destroy(self);
}

static void test_costs(void **state) {
    (void)state;
    nas_error err = {0};
    nas_space space = small_quickstart();
    void *self = open_runner(&quick);
    double latency[2];
    for (uint32_t which = 0; which < 2; which++) {
        nas_lowered *lowered;
        nas_genome genome = small_genome(&space, which);
        assert_int_equal(nas_lower(&space, &genome, &lowered, &err), NAS_OK);
        nas_cost result = {.size = sizeof result};
        if (api.cost(self, &lowered->network, &result, &err)) fail_msg("%s", err.message);
        latency[which] = result.latency_ms;
        assert_true(isnan(result.energy_mj));
        assert_true(result.known_share == 1.0);
        assert_int_equal(result.peak_bytes, 4 * lowered->network.peak_elements);
        uint64_t stored = 0;
        for (uint32_t i = 0; i < lowered->network.n_layers; i++)
            stored += lowered->layers[i].weights + lowered->layers[i].biases;
        assert_int_equal(result.flash_bytes, 4 * stored);
        nas_lowered_free(lowered);
    }
    /* The largest has ten times the work of the smallest. */
    assert_true(latency[1] > 0 && latency[0] > 1.5 * latency[1]);
    nas_plugin_entry()->destroy(self);
}

/* Every layer of a subnet with squeeze-excite and residuals can be timed alone. */
static void test_single_layers(void **state) {
    (void)state;
    nas_error err = {0};
    nas_space space = small_quickstart();
    xnnpack_config config = quick;
    config.device = "bench-7";
    void *self = open_runner(&config);
    const nas_measure_api *measure = nas_plugin_entry()->extension(self, NAS_EXT_MEASURE);
    nas_lowered *lowered;
    nas_genome genome = nas_genome_largest(&space);
    assert_int_equal(nas_lower(&space, &genome, &lowered, &err), NAS_OK);
    for (uint32_t i = 0; i < lowered->network.n_layers; i++) {
        nas_measurement m = {.size = sizeof m};
        if (measure->layer(self, &lowered->layers[i], &m, &err)) fail_msg("%s", err.message);
        assert_true(m.median_ms > 0 && m.spread_ms >= 0);
        assert_in_range(m.count, 2, 5);
    }
    nas_target where = {.size = sizeof where};
    assert_int_equal(measure->target(self, &where, &err), NAS_OK);
    assert_string_equal(where.device, "bench-7");
    assert_string_equal(where.dtype, "float32");
    assert_int_equal(where.threads, 1);
    assert_int_equal(where.batch, 1);
    assert_null(nas_plugin_entry()->extension(self, "nas.unknown/1"));
    nas_lowered_free(lowered);
    nas_plugin_entry()->destroy(self);
}

static void assert_near(double found, double expected) {
    if (!(fabs(found - expected) <= 1e-12))
        fail_msg("expected %.12g, found %.12g", expected, found);
}

static void test_statistics(void **state) {
    (void)state;
    double scratch[8];
    nas_measurement m;
    /* The median is 12, distances 2 1 0 1 988: a spread of 1.4826. */
    double odd[] = {1000, 12, 11, 10, 13};
    nas_summarise(odd, scratch, 5, 3, &m);
    assert_int_equal(m.count, 4);
    assert_near(m.median_ms, 0.0115);
    assert_near(m.spread_ms, 1.4826 * 0.001);
    /* All equal but one: the spread is 0, and so is what is allowed. */
    double equal[] = {5, 5, 5, 6};
    nas_summarise(equal, scratch, 4, 3, &m);
    assert_int_equal(m.count, 3);
    assert_near(m.median_ms, 0.005);
    assert_near(m.spread_ms, 0);
    /* No sample within 0 spreads of a middle that lies between two. */
    double pair[] = {1, 2, 3, 4};
    nas_summarise(pair, scratch, 4, 0, &m);
    assert_int_equal(m.count, 1);
    assert_near(m.median_ms, 0.0025);
    /* Nothing is left out if everything is allowed. */
    double all[] = {1, 2, 900};
    nas_summarise(all, scratch, 3, INFINITY, &m);
    assert_int_equal(m.count, 3);
    assert_near(m.median_ms, 0.002);
}

/* The processor's time is that of the runs: it grows with the work, and needs one thread. */
static void test_cpu_clock(void **state) {
    (void)state;
    xnnpack_config config = quick;
    config.clock = 1;
    nas_error err = {0};
    nas_layer layer = {.op = NAS_OP_CONV,
                       .in = {16, 16, 64},
                       .out = {16, 16, 64},
                       .kernel = 3,
                       .pad_before = 1,
                       .stride = 1,
                       .weights = 9 * 64 * 64,
                       .biases = 64};
    nas_measurement large = {.size = sizeof large}, small = large;
    void *self = open_runner(&config);
    const nas_measure_api *measure = nas_plugin_entry()->extension(self, NAS_EXT_MEASURE);
    assert_int_equal(measure->layer(self, &layer, &large, &err), NAS_OK);
    layer.in.h = layer.in.w = layer.out.h = layer.out.w = 2;
    assert_int_equal(measure->layer(self, &layer, &small, &err), NAS_OK);
    assert_true(small.median_ms > 0 && large.median_ms > 4 * small.median_ms);
    nas_target where = {.size = sizeof where};
    assert_int_equal(measure->target(self, &where, &err), NAS_OK);
    assert_string_equal(where.runtime, "XNNPACK, CPU time");
    nas_plugin_entry()->destroy(self);
    config.threads = 2;
    self = NULL;
    assert_int_equal(nas_plugin_entry()->create(NULL, &config, &self, &err), NAS_ERR_INPUT);
    assert_null(self);
    assert_non_null(strstr(err.message, "expected threads 1, found 2"));
}

static void refuse(void *self, const nas_network *net, const char *message) {
    nas_error err = {0};
    nas_cost result = {.size = sizeof result};
    assert_int_equal(api.cost(self, net, &result, &err), NAS_ERR_INPUT);
    if (!strstr(err.message, message)) fail_msg("expected \"%s\", found: %s", message, err.message);
}

static void test_refusals(void **state) {
    (void)state;
    nas_error err = {0};
    float image = 0, logits[16];
    nas_space space = small_space("");
    nas_genome genome = nas_genome_largest(&space);
    nas_lowered *lowered;
    assert_int_equal(nas_lower(&space, &genome, &lowered, &err), NAS_OK);
    nas_network *net = &lowered->network;
    void *self = open_runner(&quick);
    const nas_execute_api *execute_api = nas_plugin_entry()->extension(self, NAS_EXT_EXECUTE);
    assert_int_equal(execute_api->run(self, net, &image, 1, logits, &err), NAS_ERR_INPUT);
    assert_string_equal(err.message, "xnnpack: layer stem: expected weights, found none");
    net->classes++;
    for (uint32_t i = 0; i < net->n_layers; i++) lowered->layers[i].weight = &image;
    for (uint32_t i = 0; i < net->n_layers; i++) lowered->layers[i].bias = &image;
    assert_int_equal(execute_api->run(self, net, &image, 1, logits, &err), NAS_ERR_INPUT);
    assert_string_equal(err.message, "xnnpack: expected a last layer of 6 values");
    for (uint32_t i = 0; i < net->n_layers; i++) lowered->layers[i].weight = NULL;
    for (uint32_t i = 0; i < net->n_layers; i++) lowered->layers[i].bias = NULL;
    lowered->layers[1].op = 7;
    refuse(self, net, "stage0.block0.depthwise: expected a known operation");
    lowered->layers[1].op = NAS_OP_DEPTHWISE;
    lowered->layers[1].weights++;
    refuse(self, net, "stage0.block0.depthwise: its shapes do not fit: expected 63 weights");
    lowered->layers[1].weights--;
    lowered->layers[1].input[0] = 1;
    refuse(self, net, "expected inputs from earlier layers, found 1 and -2");
    net->n_layers = 0;
    refuse(self, net, "expected layers, found none");
    nas_lowered_free(lowered);
    nas_plugin_entry()->destroy(self);
    nas_plugin_entry()->destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_results), cmocka_unit_test(test_activations),
        cmocka_unit_test(test_costs),        cmocka_unit_test(test_single_layers),
        cmocka_unit_test(test_cpu_clock),    cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
