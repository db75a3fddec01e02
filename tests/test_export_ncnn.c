/* The export plugin `ncnn`: its two files read back. tests/export_engines.sh runs such files. */
#include "../plugins/export/ncnn.c"

#include "base/file.h"

#include <setjmp.h>

#include <cmocka.h>

#include "deploy_net.h"

typedef struct files {
    char *param;
    float *bin;
    size_t floats;
} files;

static ncnn_config config; /* of every call */

static files write_and_read(const nas_network *network) {
    char param[FIXTURE_PATH + 16], bin[FIXTURE_PATH + 16], *weights;
    size_t bytes;
    files f;
    nas_error err = {0};
    snprintf(param, sizeof param, "%s/net.param", deploy_folder);
    snprintf(bin, sizeof bin, "%s/net.bin", deploy_folder);
    if (api.write_two(&config, network, param, bin, &err)) fail_msg("%s", err.message);
    if (nas_file_read(param, 1 << 20, &f.param, &bytes, &err)) fail_msg("%s", err.message);
    if (nas_file_read(bin, 1 << 20, &weights, &bytes, &err)) fail_msg("%s", err.message);
    f.bin = (float *)(void *)weights;
    f.floats = bytes / sizeof *f.bin;
    return f;
}

/* A blob that was made and not read yet. */
typedef struct blobs {
    unsigned made;
    char open[200][64];
    unsigned n;
} blobs;

static void take_blob(blobs *b, const char *name) {
    for (unsigned i = 0; i < b->n; i++) {
        if (strcmp(b->open[i], name) != 0) continue;
        b->n--;
        if (i < b->n) memcpy(b->open[i], b->open[b->n], sizeof b->open[i]);
        return;
    }
    fail_msg("blob \"%s\" is read before it was made, or twice", name);
}

/* Each blob is made once and read once; only the logits are left; the counts are right. */
static void check_graph(const char *param) {
    blobs b = {0};
    unsigned layers, count, seen = 0, used = 0;
    char *copy = strdup(param), *rest, *line = strtok_r(copy, "\n", &rest);
    assert_string_equal(line, "7767517");
    assert_int_equal(sscanf(strtok_r(NULL, "\n", &rest), "%u %u", &layers, &count), 2);
    while ((line = strtok_r(NULL, "\n", &rest))) {
        char type[64], name[64], blob[64];
        unsigned in, out;
        int skip;
        assert_int_equal(sscanf(line, "%63s %63s %u %u%n", type, name, &in, &out, &skip), 4);
        for (unsigned i = 0; i < in + out; i++) {
            line += skip;
            assert_int_equal(sscanf(line, " %63s%n", blob, &skip), 1);
            if (i < in) take_blob(&b, blob);
            if (i >= in) memcpy(b.open[b.n++], blob, sizeof blob), used++;
        }
        seen++;
    }
    assert_int_equal(seen, layers);
    assert_int_equal(used, count);
    assert_int_equal(b.n, 1);
    assert_string_equal(b.open[0], "logits");
    free(copy);
}

static void contains(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("expected \"%s\" in \"%s\"", part, text);
}

static void test_graph(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    files f = write_and_read(&lowered->network);
    check_graph(f.param);
    contains(f.param, "Input image 0 1 image 0=8 1=8 2=3\n");
    contains(f.param, "Convolution stem 1 1 normalised stem 0=4 1=3 3=2 4=1 5=1 6=108 9=6 -23310=2,"
                      "1.66666672e-01,5.0e-01\n");
    contains(f.param, " 0=8 1=5 3=1 4=2 5=1 6=200 7=8 9=1\n");
    contains(f.param, "\nHardSigmoid stage0.block0.excite.activation 1 1 ");
    contains(f.param, "\nSplit stem.split 1 2 stem stem.0 stem.1\n");
    free(f.param);
    free(f.bin);
    free(weights);
    nas_lowered_free(lowered);
}

static void test_mobile(void **state) {
    (void)state;
    static const char *const stems[][2] = {{"4=0 5=1 6=108 15=1 16=1 9=3 -23310=2,0.0,6.0\n", NULL},
                                           {"stem.sum 0=4 1=3 3=2 4=0 5=1 6=108 15=1 16=1\n",
                                            "Swish stem.activation 1 1 stem.sum stem\n"},
                                           {"4=0 5=1 6=108 15=1 16=1 9=4\n", NULL}};
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    for (size_t i = 0; i < sizeof stems / sizeof *stems; i++) {
        deploy_make_mobile(lowered, NAS_ACT_RELU6 + (uint32_t)i);
        files f = write_and_read(&lowered->network);
        check_graph(f.param);
        contains(f.param, stems[i][0]);
        if (stems[i][1]) contains(f.param, stems[i][1]);
        free(f.param);
        free(f.bin);
    }
    free(weights);
    nas_lowered_free(lowered);
}

/* Scale and shift of the image, then a flag, weight and bias of each layer. */
static void test_weights(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    files f = write_and_read(&lowered->network);
    const float *at = f.bin;
    for (int i = 0; i < 3; i++) {
        double x = 200, want = (x / 255 - (double)deploy_mean[i]) / (double)deploy_std[i];
        double found = x * (double)at[i] + (double)at[3 + i];
        assert_true(found - want < 1e-5 && want - found < 1e-5);
    }
    at += 6;
    for (uint32_t i = 0; i < lowered->network.n_layers; i++) {
        const nas_layer *layer = &lowered->layers[i];
        if (!layer->weights) continue;
        uint32_t flag;
        memcpy(&flag, at++, sizeof flag);
        assert_int_equal(flag, 0);
        uint64_t taps = layer->weights / layer->out.c / nas_layer_depth(layer);
        uint64_t in = nas_layer_depth(layer), out = layer->out.c;
        for (uint64_t k = 0; k < layer->weights; k++) {
            uint64_t t = k % taps, c = k / taps % in, o = k / taps / in;
            assert_true(at[k] == layer->weight[(t * in + c) * out + o]);
        }
        at += layer->weights;
        assert_memory_equal(at, layer->bias, layer->biases * sizeof *at);
        at += layer->biases;
    }
    assert_int_equal(at - f.bin, f.floats);
    free(f.param);
    free(f.bin);
    free(weights);
    nas_lowered_free(lowered);
}

/* Bytes, whole numbers of the weights by the scales that stand behind them; the stem has stride 2.
 */
static void test_int8(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    nas_error err = {0};
    deploy_set_ranges(lowered, -3, 2);
    config.dtype = INT8;
    files f = write_and_read(&lowered->network);
    check_graph(f.param);
    contains(f.param, " 0=4 1=3 3=2 4=1 5=1 6=108 8=1 9=6");
    contains(f.param, " 0=8 1=5 3=1 4=2 5=1 6=200 7=8 8=1 9=1\n");
    const nas_layer *stem = &lowered->layers[0], *next = &lowered->layers[1];
    const char *at = (const char *)(f.bin + 6);
    uint32_t flag;
    memcpy(&flag, at, sizeof flag);
    assert_int_equal(flag, 0x000D4B38);
    const int8_t *q = (const int8_t *)at + 4;
    const float *bias = (const float *)(const void *)(at + 4 + 108), *scales = bias + 4;
    assert_memory_equal(bias, stem->bias, 4 * sizeof *bias);
    for (uint64_t k = 0; k < 108; k++) {
        uint64_t t = k % 9, c = k / 9 % 3, o = k / 27;
        float want = stem->weight[(t * 3 + c) * 4 + o];
        assert_true(fabsf((float)q[k] / scales[o] - want) <= 0.5001f / scales[o]);
    }
    float most = 0;
    for (int i = 0; i < 3; i++)
        most = fmaxf(most, fmaxf(deploy_mean[i], 1 - deploy_mean[i]) / deploy_std[i]);
    assert_true(fabsf(scales[4] * most - 127) < 1e-3f);
    /* The next one's bytes fill up to four, and its input reaches 3. */
    at = (const char *)(scales + 5);
    size_t bytes = (next->weights + 3) / 4 * 4;
    scales = (const float *)(const void *)(at + 4 + bytes) + next->biases;
    assert_true(fabsf(scales[next->out.c] * 3 - 127) < 1e-3f);
    free(f.param);
    free(f.bin);
    /* A transformed convolution would be off: it stays in floats. */
    lowered->layers[0].stride = 1;
    assert_false(is_int8(&lowered->layers[0], true));
    assert_true(is_int8(&lowered->layers[1], true) && !is_int8(&lowered->layers[1], false));
    lowered->layers[0].stride = 2;
    lowered->network.results = NULL;
    assert_int_equal(api.write_two(&config, &lowered->network, "/dev/null", "/dev/null", &err),
                     NAS_ERR_PLUGIN);
    contains(err.message, "ncnn");
    assert_non_null(extension(&config, NAS_EXT_INT8));
    config.dtype = FLOAT32;
    assert_null(extension(&config, NAS_EXT_INT8));
    free(weights);
    nas_lowered_free(lowered);
}

static void test_errors(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    const nas_network *net = &lowered->network;
    nas_error err = {0};
    assert_int_equal(api.write_two(&config, net, "/dev/null", "/no/such", &err), NAS_ERR_IO);
    contains(err.message, "ncnn: cannot write /no/such");
    assert_int_equal(api.write_two(&config, net, "/dev/full", "/dev/null", &err), NAS_ERR_IO);
    contains(err.message, "No space left");
    assert_int_equal(api.write(NULL, net, "/dev/null", &err), NAS_ERR_PLUGIN);
    contains(err.message, "use a newer nashost");
    lowered->network.n_layers = 0;
    assert_int_equal(api.write_two(&config, net, "/dev/null", "/dev/null", &err), NAS_ERR_PLUGIN);
    contains(err.message, "ncnn: expected a network with layers");
    lowered->network.genome = NULL;
    assert_int_equal(api.write_two(&config, net, "/dev/null", "/dev/null", &err), NAS_ERR_PLUGIN);
    free(weights);
    nas_lowered_free(lowered);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graph), cmocka_unit_test(test_mobile), cmocka_unit_test(test_weights),
        cmocka_unit_test(test_int8),  cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, deploy_make_folder, deploy_remove_folder);
}
