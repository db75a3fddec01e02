/* The export plugin `tflite`: its file read back by the format's rules.
 * tests/export_engines.sh runs such files. */
#include "../plugins/export/tflite/tflite.c"

#include "../plugins/export/tflite/half.h"
#include "base/file.h"

#include <math.h>
#include <setjmp.h>
#include <zlib.h>

#include <cmocka.h>

#include "deploy_net.h"
#include "flat_reader.h"

/* ---- Reading models ---- */

static file write_and_read(const nas_network *network, int dtype, int scale) {
    tflite_config config = {.dtype = dtype, .fully_connected = scale};
    char path[FIXTURE_PATH + 16];
    file f;
    nas_error err = {0};
    snprintf(path, sizeof path, "%s/net", deploy_folder);
    if (api.write(&config, network, path, &err)) fail_msg("%s", err.message);
    if (nas_file_read(path, 1 << 20, &f.data, &f.bytes, &err)) fail_msg("%s", err.message);
    return f;
}

static size_t subgraph(const file *f) {
    size_t list = child(f, root(f, "TFL3"), MODEL_SUBGRAPHS);
    assert_int_equal(length(f, list), 1);
    return item(f, list, 0);
}

static size_t tensor_at(const file *f, int32_t index) {
    return item(f, child(f, subgraph(f), SUBGRAPH_TENSORS), (size_t)index);
}

static int32_t find(const file *f, const char *name) {
    size_t list = child(f, subgraph(f), SUBGRAPH_TENSORS);
    for (size_t i = 0; i < length(f, list); i++)
        if (strcmp(text(f, item(f, list, i), TENSOR_NAME), name) == 0) return (int32_t)i;
    fail_msg("no tensor \"%s\"", name);
    return -1;
}

/* A constant's data, which must be of a type and as long as its shape says; NULL: it is computed.
 */
static const void *data_of(const file *f, int32_t index, int type, size_t bytes) {
    size_t at = tensor_at(f, index), buffers = child(f, root(f, "TFL3"), MODEL_BUFFERS);
    int64_t which = value(f, at, TENSOR_BUFFER, 4);
    if (!which) return NULL;
    size_t shape = child(f, at, TENSOR_SHAPE), n = 1, data;
    for (size_t i = 0; i < length(f, shape); i++) n *= (size_t)number(f, shape + 4 * (i + 1), 4);
    data = child(f, item(f, buffers, (size_t)which), BUFFER_DATA);
    if (type >= 0) assert_int_equal(value(f, at, TENSOR_TYPE, 1), type);
    if (bytes) assert_int_equal(length(f, data), n * bytes);
    assert_int_equal((data + 4) % 16, 0);
    return items(f, data, 1);
}

static const void *constant(const file *f, const char *layer, const char *part, int type,
                            size_t bytes) {
    char name[64];
    snprintf(name, sizeof name, "%s.%s", layer, part);
    const void *data = data_of(f, find(f, name), type, bytes);
    assert_non_null(data);
    return data;
}

static const float *scales_of(const file *f, int32_t index, size_t *n, int64_t *zero,
                              int64_t *dimension) {
    size_t q = child(f, tensor_at(f, index), TENSOR_QUANTIZATION);
    size_t factors = child(f, q, QUANTIZATION_SCALE), zeros = child(f, q, QUANTIZATION_ZERO_POINT);
    *n = length(f, factors);
    assert_int_equal(length(f, zeros), *n);
    *zero = *(const int64_t *)items(f, zeros, 8);
    *dimension = value(f, q, QUANTIZATION_DIMENSION, 4);
    return items(f, factors, 4);
}

static size_t operations(const file *f) {
    return child(f, subgraph(f), SUBGRAPH_OPERATORS);
}

static int builtin_of(const file *f, size_t op) {
    size_t codes = child(f, root(f, "TFL3"), MODEL_OPERATOR_CODES);
    size_t code = item(f, codes, (size_t)value(f, op, OPERATOR_CODE, 4));
    int64_t builtin = value(f, code, CODE_BUILTIN, 4);
    assert_int_equal(value(f, code, CODE_OLD_BUILTIN, 1), builtin);
    assert_true(value(f, code, CODE_VERSION, 4) >= 1);
    return (int)builtin;
}

/* The operation whose output has a name. */
static size_t maker(const file *f, const char *name) {
    size_t list = operations(f);
    int32_t wanted = find(f, name);
    for (size_t i = 0; i < length(f, list); i++)
        if (*(const int32_t *)items(f, child(f, item(f, list, i), OPERATOR_OUTPUTS), 4) == wanted)
            return item(f, list, i);
    fail_msg("nobody makes \"%s\"", name);
    return 0;
}

/* ---- Checks ---- */

static void check_builtins(const file *f, const int *expected, size_t n) {
    size_t list = operations(f);
    assert_int_equal(length(f, list), n);
    for (size_t i = 0; i < n; i++) assert_int_equal(builtin_of(f, item(f, list, i)), expected[i]);
}

/* Every input of an operation is the image, a constant, or made by an operation before it. */
static void check_order(const file *f) {
    size_t list = operations(f);
    bool known[256] = {false};
    known[find(f, "image")] = true;
    for (size_t i = 0; i < length(f, list); i++) {
        size_t inputs = child(f, item(f, list, i), OPERATOR_INPUTS);
        size_t outputs = child(f, item(f, list, i), OPERATOR_OUTPUTS);
        for (size_t k = 0; k < length(f, inputs); k++) {
            int32_t index = ((const int32_t *)items(f, inputs, 4))[k];
            assert_true(known[index] || data_of(f, index, -1, 0));
        }
        known[*(const int32_t *)items(f, outputs, 4)] = true;
    }
    assert_true(known[find(f, "logits")]);
}

/* A weight of the layer at an index of LiteRT's order, [out][k][k][in], or [1][k][k][c]. */
static float weight_at(const nas_layer *layer, uint64_t i) {
    uint64_t k = layer->kernel, in = layer->in.c, out = layer->out.c;
    if (layer->op == NAS_OP_DEPTHWISE) return layer->weight[i];
    uint64_t c = i % in, x = i / in % k, y = i / in / k % k, o = i / in / k / k;
    return layer->weight[((y * k + x) * in + c) * out + o];
}

static void check_float_layer(const file *f, const nas_layer *layer) {
    const float *weight = constant(f, layer->name, "weight", TYPE_FLOAT32, 4);
    const float *bias = constant(f, layer->name, "bias", TYPE_FLOAT32, 4);
    bool folded = layer->activation == NAS_ACT_HSIGMOID;
    for (uint64_t i = 0; i < layer->weights; i++)
        assert_true(weight[i] == (folded ? weight_at(layer, i) / 6 : weight_at(layer, i)));
    for (uint64_t o = 0; o < layer->biases; o++)
        assert_true(bias[o] == (folded ? layer->bias[o] / 6 + 0.5f : layer->bias[o]));
}

static void check_conv(const file *f, const char *name, int64_t padding, int64_t stride,
                       int64_t activation) {
    size_t op = maker(f, name), table = child(f, op, OPERATOR_OPTIONS);
    bool depthwise = builtin_of(f, op) == BUILTIN_DEPTHWISE_CONV_2D;
    unsigned fused = depthwise ? DEPTHWISE_ACTIVATION : CONV_ACTIVATION;
    assert_int_equal(value(f, op, OPERATOR_OPTIONS_TYPE, 1),
                     depthwise ? OPTIONS_DEPTHWISE_CONV_2D : OPTIONS_CONV_2D);
    assert_int_equal(value(f, table, CONV_PADDING, 1), padding);
    assert_int_equal(value(f, table, CONV_STRIDE_W, 4), stride);
    assert_int_equal(value(f, table, CONV_STRIDE_H, 4), stride);
    assert_int_equal(value(f, table, fused, 1), activation);
    if (depthwise) assert_int_equal(value(f, table, DEPTHWISE_MULTIPLIER, 4), 1);
}

static void check_shape(const file *f, const char *name, size_t n, const int32_t *expected) {
    size_t shape = child(f, tensor_at(f, find(f, name)), TENSOR_SHAPE);
    assert_int_equal(length(f, shape), n);
    assert_memory_equal(items(f, shape, 4), expected, n * sizeof *expected);
}

static const int float_builtins[] = {BUILTIN_DEPTHWISE_CONV_2D,
                                     BUILTIN_PAD,
                                     BUILTIN_CONV_2D,
                                     BUILTIN_HARD_SWISH,
                                     BUILTIN_CONV_2D,
                                     BUILTIN_DEPTHWISE_CONV_2D,
                                     BUILTIN_MEAN,
                                     BUILTIN_CONV_2D,
                                     BUILTIN_CONV_2D,
                                     BUILTIN_MINIMUM,
                                     BUILTIN_MUL,
                                     BUILTIN_CONV_2D,
                                     BUILTIN_ADD,
                                     BUILTIN_CONV_2D,
                                     BUILTIN_MEAN,
                                     BUILTIN_FULLY_CONNECTED};
enum { FLOAT_BUILTINS = sizeof float_builtins / sizeof *float_builtins };

static void test_model(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    file f = write_and_read(&lowered->network, FLOAT32, PER_CHANNEL);
    assert_int_equal(value(&f, root(&f, "TFL3"), MODEL_VERSION, 4), 3);
    check_builtins(&f, float_builtins, FLOAT_BUILTINS);
    check_order(&f);
    check_shape(&f, "image", 4, (int32_t[]){1, 8, 8, 3});
    check_shape(&f, "logits", 2, (int32_t[]){1, 2});
    /* 8 rows at stride 2 begin with a zero here; TensorFlow's SAME would end with one. */
    check_shape(&f, "stem.padded", 4, (int32_t[]){1, 9, 9, 3});
    const int32_t margins[] = {0, 0, 1, 0, 1, 0, 0, 0};
    assert_memory_equal(constant(&f, "stem", "margins", TYPE_INT32, 4), margins, sizeof margins);
    check_conv(&f, "stem.sum", PADDING_VALID, 2, FUSED_NONE);
    check_conv(&f, "stage0.block0.depthwise", PADDING_SAME, 1, FUSED_RELU);
    check_conv(&f, "stage0.block0.excite.sum", PADDING_SAME, 1, FUSED_RELU);
    for (uint32_t i = 0; i < lowered->network.n_layers; i++)
        if (lowered->layers[i].weights) check_float_layer(&f, &lowered->layers[i]);
    const float *scale = constant(&f, "normalise", "weight", TYPE_FLOAT32, 4);
    const float *shift = constant(&f, "normalise", "bias", TYPE_FLOAT32, 4);
    for (int c = 0; c < 3; c++) {
        assert_true(scale[c] == 1 / deploy_std[c]);
        assert_true(shift[c] == -deploy_mean[c] / deploy_std[c]);
    }
    free(f.data);
    free(weights);
    nas_lowered_free(lowered);
}

static void test_signature(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    file f = write_and_read(&lowered->network, FLOAT32, PER_CHANNEL);
    size_t signature = item(&f, child(&f, root(&f, "TFL3"), MODEL_SIGNATURES), 0);
    assert_string_equal(text(&f, signature, SIGNATURE_KEY), "serving_default");
    size_t in = item(&f, child(&f, signature, SIGNATURE_INPUTS), 0);
    size_t out = item(&f, child(&f, signature, SIGNATURE_OUTPUTS), 0);
    assert_string_equal(text(&f, in, TENSOR_MAP_NAME), "image");
    assert_string_equal(text(&f, out, TENSOR_MAP_NAME), "logits");
    assert_int_equal(value(&f, in, TENSOR_MAP_INDEX, 4), find(&f, "image"));
    assert_int_equal(value(&f, out, TENSOR_MAP_INDEX, 4), find(&f, "logits"));
    const int32_t *ins = items(&f, child(&f, subgraph(&f), SUBGRAPH_INPUTS), 4);
    const int32_t *outs = items(&f, child(&f, subgraph(&f), SUBGRAPH_OUTPUTS), 4);
    assert_int_equal(*ins, find(&f, "image"));
    assert_int_equal(*outs, find(&f, "logits"));
    free(f.data);
    free(weights);
    nas_lowered_free(lowered);
}

/* The metadata's own FlatBuffer, which lies within the model's. */
static file metadata_of(const file *f) {
    size_t named = item(f, child(f, root(f, "TFL3"), MODEL_METADATA), 0);
    assert_string_equal(text(f, named, NAMED_BUFFER_NAME), "TFLITE_METADATA");
    size_t buffers = child(f, root(f, "TFL3"), MODEL_BUFFERS);
    size_t buffer = item(f, buffers, (size_t)value(f, named, NAMED_BUFFER_BUFFER, 4));
    size_t data = child(f, buffer, BUFFER_DATA);
    assert_int_equal((data + 4) % 16, 0);
    return (file){f->data + data + 4, length(f, data)};
}

/* By what the metadata want pixels normalised. */
static void check_normalisation(const file *f, float mean, float std) {
    file m = metadata_of(f);
    size_t about = item(&m, child(&m, root(&m, "M001"), METADATA_SUBGRAPHS), 0);
    size_t image = item(&m, child(&m, about, ABOUT_SUBGRAPH_INPUTS), 0);
    size_t unit = item(&m, child(&m, image, ABOUT_TENSOR_PROCESS_UNITS), 0);
    assert_int_equal(value(&m, unit, UNIT_TYPE, 1), UNIT_NORMALIZATION);
    size_t table = child(&m, unit, UNIT_OPTIONS);
    const float *means = items(&m, child(&m, table, NORMALIZATION_MEAN), 4);
    const float *stds = items(&m, child(&m, table, NORMALIZATION_STD), 4);
    assert_true(*means == mean && *stds == std);
}

static size_t le(const char *at, size_t bytes) {
    size_t n = 0;
    while (bytes--) n = n << 8 | (unsigned char)at[bytes];
    return n;
}

/* The file ends with an archive that holds one file, labels.txt, as it is. */
static void check_archive(const file *f, const char *content) {
    const char *end = f->data + f->bytes - 22;
    assert_int_equal(le(end, 4), 0x06054b50);
    assert_int_equal(le(end + 10, 2), 1);
    const char *central = f->data + le(end + 16, 4);
    assert_ptr_equal(central + le(end + 12, 4), end);
    assert_int_equal(le(central, 4), 0x02014b50);
    const char *local = f->data + le(central + 42, 4);
    assert_int_equal(le(local, 4), 0x04034b50);
    assert_memory_equal(local + 6, central + 8, 22); /* what both say alike */
    assert_int_equal(le(local + 26, 2), 10);
    assert_memory_equal(local + 30, "labels.txt", 10);
    assert_memory_equal(central + 46, "labels.txt", 10);
    size_t bytes = strlen(content);
    assert_int_equal(le(local + 22, 4), bytes);
    assert_memory_equal(local + 40, content, bytes);
    assert_int_equal(le(local + 14, 4), crc32(0, (const unsigned char *)content, (uInt)bytes));
    assert_ptr_equal(local + 40 + bytes, central);
}

static void test_metadata(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    file f = write_and_read(&lowered->network, FLOAT32, PER_CHANNEL), m = metadata_of(&f);
    assert_string_equal(text(&m, root(&m, "M001"), METADATA_DESCRIPTION), lowered->network.genome);
    check_normalisation(&f, 0, 255);
    size_t about = item(&m, child(&m, root(&m, "M001"), METADATA_SUBGRAPHS), 0);
    size_t logits = item(&m, child(&m, about, ABOUT_SUBGRAPH_OUTPUTS), 0);
    size_t labels = item(&m, child(&m, logits, ABOUT_TENSOR_FILES), 0);
    assert_string_equal(text(&m, labels, FILE_NAME), "labels.txt");
    assert_int_equal(value(&m, labels, FILE_TYPE, 1), FILE_TENSOR_AXIS_LABELS);
    check_archive(&f, "a \"quoted\" cat\ncaf\xc3\xa9\n");
    free(f.data);
    free(weights);
    nas_lowered_free(lowered);
}

/* The weights are whole numbers below 2048, which float16 holds as they are. */
static void test_float16(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    file f = write_and_read(&lowered->network, FLOAT16, PER_CHANNEL);
    check_order(&f);
    const nas_layer *stem = &lowered->layers[0];
    const uint16_t *half = constant(&f, "stem", "weight.half", TYPE_FLOAT16, 2);
    for (uint64_t i = 0; i < stem->weights; i++) {
        double mantissa = 1024 + (half[i] & 0x3ff), found = ldexp(mantissa, (half[i] >> 10) - 25);
        assert_true(half[i] ? found == (double)weight_at(stem, i) : weight_at(stem, i) == 0);
    }
    size_t dequantize = maker(&f, "stem.weight");
    assert_int_equal(builtin_of(&f, dequantize), BUILTIN_DEQUANTIZE);
    assert_null(data_of(&f, find(&f, "stem.weight"), TYPE_FLOAT32, 4));
    constant(&f, "stem", "bias", TYPE_FLOAT32, 4);
    free(f.data);
    free(weights);
    nas_lowered_free(lowered);
}

static void test_half(void **state) {
    (void)state;
    static const struct {
        float value;
        uint16_t half;
    } pairs[] = {{0, 0},          {1, 0x3c00},    {-2, 0xc000},         {0.1f, 0x2e66},
                 {65504, 0x7bff}, {1e9f, 0x7bff}, {-1e9f, 0xfbff},      {0x1p-14f, 0x0400},
                 {0x1p-24f, 1},   {0x1p-25f, 0},  {0x1.8p-24f, 2},      {0x1.ff8p-15f, 0x03ff},
                 {2049, 0x6800},  {2051, 0x6802}, {0x1.ffep0f, 0x4000}, {0x1.ffcp0f, 0x3fff}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        assert_int_equal(nas_tflite_half(pairs[i].value), pairs[i].half);
}

/* The constants of a layer are those of nashost/kit/int8.h, in LiteRT's order. */
static void check_int8_layer(const file *f, const nas_network *net, uint32_t i) {
    const nas_layer *layer = nas_network_layer(net, i);
    bool folded = layer->activation == NAS_ACT_HSIGMOID; /* whose biases are others */
    nas_int8_layer q;
    nas_error err = {0};
    if (nas_int8_make(net, i, &q, &err)) fail_msg("%s", err.message);
    const int8_t *weight = constant(f, layer->name, "weight", TYPE_INT8, 1);
    const int32_t *bias = constant(f, layer->name, "bias", TYPE_INT32, 4);
    uint64_t out = layer->out.c, each = layer->weights / out;
    bool depthwise = layer->op == NAS_OP_DEPTHWISE;
    for (uint64_t k = 0; k < layer->weights && !folded; k++)
        assert_int_equal(weight[k], q.weight[depthwise ? k : k % each * out + k / each]);
    if (!folded) assert_memory_equal(bias, q.bias, out * sizeof *bias);
    char name[64];
    snprintf(name, sizeof name, "%s.weight", layer->name);
    size_t n;
    int64_t zero, dimension;
    const float *scale = scales_of(f, find(f, name), &n, &zero, &dimension);
    assert_int_equal(n, out);
    assert_int_equal(zero, 0);
    assert_int_equal(dimension, depthwise ? 3 : 0);
    if (!folded) assert_memory_equal(scale, q.scale, out * sizeof *scale);
    nas_int8_free(&q);
}

static const int int8_builtins[] = {BUILTIN_DEPTHWISE_CONV_2D,
                                    BUILTIN_PAD,
                                    BUILTIN_CONV_2D,
                                    BUILTIN_HARD_SWISH,
                                    BUILTIN_CONV_2D,
                                    BUILTIN_DEPTHWISE_CONV_2D,
                                    BUILTIN_MEAN,
                                    BUILTIN_CONV_2D,
                                    BUILTIN_CONV_2D,
                                    BUILTIN_MUL,
                                    BUILTIN_CONV_2D,
                                    BUILTIN_ADD,
                                    BUILTIN_CONV_2D,
                                    BUILTIN_MEAN,
                                    BUILTIN_FULLY_CONNECTED};
enum { INT8_BUILTINS = sizeof int8_builtins / sizeof *int8_builtins };

static void check_format(const file *f, const char *name, float scale, int64_t zero) {
    size_t n;
    int64_t found, dimension;
    int32_t index = find(f, name);
    const float *factors = scales_of(f, index, &n, &found, &dimension);
    assert_int_equal(value(f, tensor_at(f, index), TENSOR_TYPE, 1), TYPE_INT8);
    assert_int_equal(n, 1);
    assert_int_equal(found, zero);
    assert_true(factors[0] < scale * 1.00001f && factors[0] > scale * 0.99999f);
}

static void test_int8(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    deploy_set_ranges(lowered, -1, 7);
    file f = write_and_read(&lowered->network, INT8, PER_CHANNEL);
    check_builtins(&f, int8_builtins, INT8_BUILTINS);
    check_order(&f);
    for (uint32_t i = 0; i < lowered->network.n_layers; i++)
        if (lowered->layers[i].weights) check_int8_layer(&f, &lowered->network, i);
    check_format(&f, "image", 1.0f / 255, -128); /* a pixel less 128 */
    check_normalisation(&f, 0, 255);
    check_format(&f, "logits", 8.0f / 255, -96);
    check_format(&f, "stem.padded", nas_int8_image(&lowered->network).scale,
                 nas_int8_image(&lowered->network).zero);
    tflite_config config = {.dtype = INT8};
    assert_non_null(plugin.extension(&config, NAS_EXT_INT8));
    config.dtype = FLOAT16;
    assert_null(plugin.extension(&config, NAS_EXT_INT8));
    free(f.data);
    free(weights);
    nas_lowered_free(lowered);
}

/* Where all channels have one normalisation, it is the image's scale and zero alone. */
static void test_int8_plain(void **state) {
    (void)state;
    static const float mean[3] = {0.375f, 0.375f, 0.375f}, std[3] = {0.25f, 0.25f, 0.25f};
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    deploy_set_ranges(lowered, -1, 7);
    lowered->network.mean = mean;
    lowered->network.std = std;
    file f = write_and_read(&lowered->network, INT8, PER_CHANNEL);
    check_builtins(&f, int8_builtins + 1, INT8_BUILTINS - 1);
    check_order(&f);
    check_format(&f, "image", 4.0f / 255, -32);
    check_normalisation(&f, 255 * 0.375f, 255 * 0.25f);
    free(f.data);
    free(weights);
    nas_lowered_free(lowered);
}

static void test_per_tensor(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    deploy_set_ranges(lowered, -1, 7);
    file f = write_and_read(&lowered->network, INT8, PER_TENSOR);
    const nas_layer *last = &lowered->layers[lowered->network.n_layers - 1];
    const int8_t *weight = constant(&f, last->name, "weight", TYPE_INT8, 1);
    const int32_t *bias = constant(&f, last->name, "bias", TYPE_INT32, 4);
    char name[64];
    size_t n;
    int64_t zero, dimension;
    snprintf(name, sizeof name, "%s.weight", last->name);
    const float scale = *scales_of(&f, find(&f, name), &n, &zero, &dimension);
    assert_int_equal(n, 1);
    int most = 0;
    for (uint64_t i = 0; i < last->weights; i++) {
        float off = (float)weight[i] * scale - weight_at(last, i);
        assert_true(off <= scale * 0.5001f && off >= scale * -0.5001f);
        if (weight[i] > most) most = weight[i];
    }
    assert_int_equal(most, 127);
    snprintf(name, sizeof name, "%s.bias", last->name);
    const float unit = *scales_of(&f, find(&f, name), &n, &zero, &dimension);
    for (uint64_t o = 0; o < last->biases; o++) {
        float off = (float)bias[o] * unit - last->bias[o];
        assert_true(off <= unit && off >= -unit);
    }
    check_int8_layer(&f, &lowered->network, 0); /* convolutions keep theirs */
    free(f.data);
    free(weights);
    nas_lowered_free(lowered);
}

static const nas_layer *layer_named(const nas_lowered *lowered, const char *name) {
    for (uint32_t i = 0; i < lowered->network.n_layers; i++)
        if (strcmp(lowered->layers[i].name, name) == 0) return &lowered->layers[i];
    fail_msg("no layer \"%s\"", name);
    return NULL;
}

static void activate(nas_lowered *lowered, const char *name, uint32_t activation) {
    lowered->layers[layer_named(lowered, name) - lowered->layers].activation = activation;
}

/* Padding as TensorFlow has it needs no PAD; swish is two operators, and LOGISTIC has one format.
 */
static void test_other_activations(void **state) {
    (void)state;
    static const int expected[] = {BUILTIN_DEPTHWISE_CONV_2D,
                                   BUILTIN_CONV_2D,
                                   BUILTIN_LOGISTIC,
                                   BUILTIN_MUL,
                                   BUILTIN_CONV_2D,
                                   BUILTIN_DEPTHWISE_CONV_2D,
                                   BUILTIN_MEAN,
                                   BUILTIN_CONV_2D,
                                   BUILTIN_CONV_2D,
                                   BUILTIN_LOGISTIC,
                                   BUILTIN_MUL,
                                   BUILTIN_CONV_2D,
                                   BUILTIN_ADD,
                                   BUILTIN_CONV_2D,
                                   BUILTIN_MEAN,
                                   BUILTIN_RELU6,
                                   BUILTIN_FULLY_CONNECTED};
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    deploy_set_ranges(lowered, -1, 7);
    lowered->layers[0].pad_before = 0;
    activate(lowered, "stem", NAS_ACT_SWISH);
    activate(lowered, "stage0.block0.depthwise", NAS_ACT_RELU6);
    activate(lowered, "stage0.block0.excite", NAS_ACT_SIGMOID);
    activate(lowered, "pool", NAS_ACT_RELU6);
    for (int dtype = FLOAT32; dtype <= INT8; dtype += INT8 - FLOAT32) {
        file f = write_and_read(&lowered->network, dtype, PER_CHANNEL);
        check_builtins(&f, expected, sizeof expected / sizeof *expected);
        check_order(&f);
        check_conv(&f, "stem.sum", PADDING_SAME, 2, FUSED_NONE);
        check_conv(&f, "stage0.block0.depthwise", PADDING_SAME, 1, FUSED_RELU6);
        if (dtype == INT8) check_format(&f, "stem.gate", 1.0f / 256, -128);
        if (dtype == INT8) check_format(&f, "stage0.block0.excite", 1.0f / 256, -128);
        free(f.data);
    }
    free(weights);
    nas_lowered_free(lowered);
}

/* Hardware models may ask for a part of a network. */
static void test_part(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    lowered->network.n_layers = 3;
    lowered->network.class_names = NULL;
    file f = write_and_read(&lowered->network, FLOAT32, PER_CHANNEL), m = metadata_of(&f);
    check_builtins(&f, float_builtins, 6);
    check_order(&f);
    check_shape(&f, "logits", 4, (int32_t[]){1, 4, 4, 8});
    size_t about = item(&m, child(&m, root(&m, "M001"), METADATA_SUBGRAPHS), 0);
    size_t logits = item(&m, child(&m, about, ABOUT_SUBGRAPH_OUTPUTS), 0);
    assert_int_equal(field(&m, logits, ABOUT_TENSOR_FILES), 0);
    free(f.data);
    free(weights);
    nas_lowered_free(lowered);
}

static void test_errors(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    const nas_network *net = &lowered->network;
    nas_error err = {0};
    tflite_config config = {0};
    assert_int_equal(api.write(&config, net, "/no/such/net", &err), NAS_ERR_IO);
    assert_non_null(strstr(err.message, "tflite: cannot write /no/such/net"));
    assert_int_equal(api.write(&config, net, "/dev/full", &err), NAS_ERR_IO);
    config.dtype = INT8;
    assert_int_equal(api.write(&config, net, "/dev/null", &err), NAS_ERR_PLUGIN);
    assert_non_null(strstr(err.message, "tflite: expected ranges of activations"));
    config.dtype = FLOAT32;
    for (uint32_t i = 0; i < net->n_layers; i++)
        if (lowered->layers[i].op == NAS_OP_ADD) lowered->layers[i].activation = NAS_ACT_HSIGMOID;
    assert_int_equal(api.write(&config, net, "/dev/null", &err), NAS_ERR_PLUGIN);
    assert_non_null(strstr(err.message, "expected h-sigmoid after a layer with weights"));
    weights[5] = NAN;
    assert_int_equal(api.write(&config, net, "/dev/null", &err), NAS_ERR_NUMERIC);
    lowered->layers[0].weight = NULL;
    assert_int_equal(api.write(&config, net, "/dev/null", &err), NAS_ERR_PLUGIN);
    assert_non_null(strstr(err.message, "stem: expected weights"));
    free(weights);
    nas_lowered_free(lowered);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_signature),
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_float16),
        cmocka_unit_test(test_half),
        cmocka_unit_test(test_int8),
        cmocka_unit_test(test_int8_plain),
        cmocka_unit_test(test_per_tensor),
        cmocka_unit_test(test_other_activations),
        cmocka_unit_test(test_part),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, deploy_make_folder, deploy_remove_folder);
}
