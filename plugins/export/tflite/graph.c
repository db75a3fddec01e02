#include "graph.h"

#include "half.h"
#include "prepare.h"

#include <nashost/kit/layers.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const op_row nas_tflite_ops[OP_KINDS] = {
    [OP_CONV] = {BUILTIN_CONV_2D, 1, 3, OPTIONS_CONV_2D},
    [OP_DEPTHWISE] = {BUILTIN_DEPTHWISE_CONV_2D, 1, 3, OPTIONS_DEPTHWISE_CONV_2D},
    [OP_FULLY_CONNECTED] = {BUILTIN_FULLY_CONNECTED, 1, 4, OPTIONS_FULLY_CONNECTED},
    [OP_ADD] = {BUILTIN_ADD, 1, 2, OPTIONS_ADD},
    [OP_MUL] = {BUILTIN_MUL, 1, 2, OPTIONS_MUL},
    [OP_MEAN] = {BUILTIN_MEAN, 1, 2, OPTIONS_REDUCER},
    [OP_PAD] = {BUILTIN_PAD, 1, 2, OPTIONS_PAD},
    [OP_RELU] = {BUILTIN_RELU, 1, 2, OPTIONS_NONE},
    [OP_RELU6] = {BUILTIN_RELU6, 1, 2, OPTIONS_NONE},
    [OP_MINIMUM] = {BUILTIN_MINIMUM, 1, 2, OPTIONS_MINIMUM},
    [OP_HARD_SWISH] = {BUILTIN_HARD_SWISH, 1, 1, OPTIONS_HARD_SWISH},
    [OP_LOGISTIC] = {BUILTIN_LOGISTIC, 1, 2, OPTIONS_NONE},
    [OP_DEQUANTIZE] = {BUILTIN_DEQUANTIZE, 3, 3, OPTIONS_DEQUANTIZE},
};

/* No layer makes more of them. */
enum { TENSORS_A_LAYER = 10, OPERATIONS_A_LAYER = 5 };

uint32_t nas_tflite_version(const graph *g, op_kind kind) {
    return g->int8 ? nas_tflite_ops[kind].int8_version : nas_tflite_ops[kind].float_version;
}

/* ---- Tensors ---- */

static int32_t add_tensor(graph *g, const char *name, const char *suffix, uint32_t type,
                          uint32_t rank, const int32_t *shape) {
    tensor *t = &g->tensors[g->n_tensors];
    *t = (tensor){.type = type, .rank = rank};
    snprintf(t->name, sizeof t->name, "%s%s", name, suffix);
    memcpy(t->shape, shape, rank * sizeof *shape);
    return (int32_t)g->n_tensors++;
}

/* Gives a tensor a scale for each of n, with 0 as zero; NULL after a failure. */
static float *add_scales(graph *g, int32_t index, uint32_t n, uint32_t dimension) {
    tensor *t = &g->tensors[index];
    t->scale = calloc(n, sizeof *t->scale);
    if (!t->scale) g->failed = true;
    t->scales = t->scale ? n : 0;
    t->dimension = dimension;
    return t->scale;
}

/* A tensor that is computed: [1][h][w][c] (rank 4) or [1][c] (2), in 8 bits in a format. */
static int32_t add_result(graph *g, const char *name, const char *suffix, nas_shape shape,
                          uint32_t rank, nas_int8_format format) {
    const int32_t whole[] = {1, (int32_t)shape.h, (int32_t)shape.w, (int32_t)shape.c};
    const int32_t flat[] = {1, (int32_t)shape.c};
    int32_t index = add_tensor(g, name, suffix, g->int8 ? TYPE_INT8 : TYPE_FLOAT32, rank,
                               rank == 4 ? whole : flat);
    float *scale = g->int8 ? add_scales(g, index, 1, 0) : NULL;
    if (!scale) return index;
    *scale = format.scale;
    g->tensors[index].zero = format.zero;
    return index;
}

/* A constant with fresh data to be filled in, which are returned; NULL after a failure. */
static void *add_constant(graph *g, const char *name, const char *suffix, uint32_t type,
                          uint32_t rank, const int32_t *shape, int32_t *index) {
    static const size_t sizes[] = {
        [TYPE_FLOAT32] = 4, [TYPE_FLOAT16] = 2, [TYPE_INT32] = 4, [TYPE_INT8] = 1};
    *index = add_tensor(g, name, suffix, type, rank, shape);
    tensor *t = &g->tensors[*index];
    t->bytes = sizes[type];
    for (uint32_t i = 0; i < rank; i++) t->bytes *= (size_t)shape[i];
    t->data = calloc(t->bytes, 1);
    if (!t->data) g->failed = true;
    return t->data;
}

/* ---- Operators ---- */

static operation *add_operation(graph *g, op_kind kind, int32_t output, uint32_t inputs,
                                int32_t first, int32_t second, int32_t third) {
    operation *o = &g->operations[g->n_operations++];
    *o = (operation){.kind = kind,
                     .inputs = inputs,
                     .input = {first, second, third},
                     .output = output,
                     .stride = 1};
    return o;
}

static int32_t input_of(const graph *g, const nas_layer *layer, int which) {
    int32_t index = layer->input[which];
    return index < 0 ? g->image : g->results[index];
}

static nas_int8_format sum_format(const graph *g, uint32_t i) {
    return g->int8 ? g->int8[i].sum : (nas_int8_format){0};
}

static nas_int8_format result_format(const graph *g, uint32_t i) {
    return g->int8 ? g->int8[i].result : (nas_int8_format){0};
}

/* ---- Weights ---- */

/* Where weight k of LiteRT's order [out][k][k][in] stands in the layer's, [k][k][in][out]; a
 * depthwise filter's order is the same in both. */
static uint64_t place_of(const nas_layer *layer, uint64_t k) {
    uint64_t out = layer->out.c, each = layer->weights / out;
    return layer->op == NAS_OP_DEPTHWISE ? k : k % each * out + k / each;
}

/* The sizes of a weight; returns their number. */
static uint32_t weight_shape(const nas_layer *layer, op_kind kind, int32_t shape[4]) {
    const int32_t k = (int32_t)layer->kernel, out = (int32_t)layer->out.c;
    const int32_t in = (int32_t)layer->in.c;
    if (kind == OP_FULLY_CONNECTED) {
        shape[0] = out;
        shape[1] = in;
        return 2;
    }
    shape[0] = kind == OP_CONV ? out : 1;
    shape[1] = shape[2] = k;
    shape[3] = kind == OP_CONV ? in : out;
    return 4;
}

static int32_t add_float_weight(graph *g, const nas_layer *layer, uint32_t rank,
                                const int32_t *shape) {
    int32_t weight;
    float *to = add_constant(g, layer->name, ".weight", TYPE_FLOAT32, rank, shape, &weight);
    for (uint64_t k = 0; to && k < layer->weights; k++) to[k] = layer->weight[place_of(layer, k)];
    return weight;
}

/* Runtimes give float16 back as float32 before they start, or compute in float16 where they can. */
static int32_t add_half_weight(graph *g, const nas_layer *layer, uint32_t rank,
                               const int32_t *shape) {
    int32_t half;
    uint16_t *to = add_constant(g, layer->name, ".weight.half", TYPE_FLOAT16, rank, shape, &half);
    for (uint64_t k = 0; to && k < layer->weights; k++)
        to[k] = nas_tflite_half(layer->weight[place_of(layer, k)]);
    int32_t weight = add_tensor(g, layer->name, ".weight", TYPE_FLOAT32, rank, shape);
    add_operation(g, OP_DEQUANTIZE, weight, 1, half, 0, 0);
    return weight;
}

static int32_t add_float_bias(graph *g, const nas_layer *layer) {
    const int32_t n = (int32_t)layer->out.c;
    int32_t bias;
    float *to = add_constant(g, layer->name, ".bias", TYPE_FLOAT32, 1, &n, &bias);
    if (to) memcpy(to, layer->bias, layer->out.c * sizeof *to);
    return bias;
}

/* Weights and biases of a layer in 8 bits, as nashost/kit/int8.h has them. */
static void add_int8_weights(graph *g, uint32_t i, uint32_t rank, const int32_t *shape,
                             int32_t *weight, int32_t *bias) {
    const nas_layer *layer = nas_network_layer(g->net, i);
    const nas_int8_layer *q = &g->int8[i];
    uint32_t out = layer->out.c, dimension = layer->op == NAS_OP_DEPTHWISE ? 3 : 0;
    const int32_t n = (int32_t)out;
    int8_t *to = add_constant(g, layer->name, ".weight", TYPE_INT8, rank, shape, weight);
    int32_t *biases = add_constant(g, layer->name, ".bias", TYPE_INT32, 1, &n, bias);
    float *scales = add_scales(g, *weight, out, dimension);
    float *units = add_scales(g, *bias, out, 0);
    if (g->failed) return;
    for (uint64_t k = 0; k < layer->weights; k++) to[k] = q->weight[place_of(layer, k)];
    memcpy(biases, q->bias, out * sizeof *biases);
    memcpy(scales, q->scale, out * sizeof *scales);
    for (uint32_t o = 0; o < out; o++) units[o] = q->in[0].scale * q->scale[o];
}

/* The same with one scale for all: the largest, by which no filter leaves its 8 bits. */
static void add_per_tensor_weights(graph *g, uint32_t i, uint32_t rank, const int32_t *shape,
                                   int32_t *weight, int32_t *bias) {
    const nas_layer *layer = nas_network_layer(g->net, i);
    const nas_int8_layer *q = &g->int8[i];
    const int32_t n = (int32_t)layer->out.c;
    int8_t *to = add_constant(g, layer->name, ".weight", TYPE_INT8, rank, shape, weight);
    int32_t *biases = add_constant(g, layer->name, ".bias", TYPE_INT32, 1, &n, bias);
    float *scale = add_scales(g, *weight, 1, 0), *unit = add_scales(g, *bias, 1, 0);
    if (g->failed) return;
    for (int32_t o = 0; o < n; o++) *scale = fmaxf(*scale, q->scale[o]);
    *unit = q->in[0].scale * *scale;
    for (uint64_t k = 0; k < layer->weights; k++)
        to[k] = (int8_t)lrintf(layer->weight[place_of(layer, k)] / *scale);
    for (int32_t o = 0; o < n; o++)
        biases[o] = (int32_t)lrint((double)layer->bias[o] / (double)*unit);
}

static void add_weights(graph *g, uint32_t i, op_kind kind, int32_t *weight, int32_t *bias) {
    const nas_layer *layer = nas_network_layer(g->net, i);
    int32_t shape[4];
    uint32_t rank = weight_shape(layer, kind, shape);
    if (g->int8 && g->per_tensor && kind == OP_FULLY_CONNECTED) {
        add_per_tensor_weights(g, i, rank, shape, weight, bias);
    } else if (g->int8) {
        add_int8_weights(g, i, rank, shape, weight, bias);
    } else {
        *weight = g->half ? add_half_weight(g, layer, rank, shape)
                          : add_float_weight(g, layer, rank, shape);
        *bias = add_float_bias(g, layer);
    }
}

/* ---- Padding ---- */

/* Zeros before and after the rows or columns of a layer's input, n of them, as far as they are
 * read. */
typedef struct margins {
    uint32_t before, after;
} margins;

static margins margins_of(const nas_layer *layer, uint32_t n, uint32_t results) {
    uint32_t reach = (results - 1) * layer->stride + layer->kernel, there = n + layer->pad_before;
    return (margins){layer->pad_before, reach > there ? reach - there : 0};
}

/* TensorFlow's SAME puts the odd zero behind; ours may stand before, and then a PAD of its own has
 * to make it. */
static bool is_same(margins m) {
    return m.before == m.after || m.before + 1 == m.after;
}

/* A layer's input with zeros around. */
static int32_t add_padded(graph *g, const nas_layer *layer, int32_t input, margins y, margins x) {
    static const int32_t pairs[] = {4, 2};
    nas_shape shape = {layer->in.h + y.before + y.after, layer->in.w + x.before + x.after,
                       layer->in.c};
    const tensor *in = &g->tensors[input];
    nas_int8_format format = {in->scale ? *in->scale : 0, in->zero};
    int32_t amount;
    int32_t *to = add_constant(g, layer->name, ".margins", TYPE_INT32, 2, pairs, &amount);
    if (to)
        memcpy(to,
               (int32_t[]){0, 0, (int32_t)y.before, (int32_t)y.after, (int32_t)x.before,
                           (int32_t)x.after, 0, 0},
               8 * sizeof *to);
    int32_t padded = add_result(g, layer->name, ".padded", shape, 4, format);
    add_operation(g, OP_PAD, padded, 2, input, amount, 0);
    return padded;
}

/* ---- Layers ---- */

static op_kind kind_of(const nas_layer *layer) {
    switch (layer->op) {
    case NAS_OP_DEPTHWISE:
        return OP_DEPTHWISE;
    case NAS_OP_POOL:
        return OP_MEAN;
    case NAS_OP_SCALE:
        return OP_MUL;
    case NAS_OP_ADD:
        return OP_ADD;
    /* Squeeze-excite's products keep h and w, so that they can scale. */
    case NAS_OP_LINEAR:
        return layer->expand ? OP_CONV : OP_FULLY_CONNECTED;
    default:
        return OP_CONV;
    }
}

static operation *add_weighted(graph *g, uint32_t i, op_kind kind, int32_t output) {
    const nas_layer *layer = nas_network_layer(g->net, i);
    int32_t input = input_of(g, layer, 0), weight, bias;
    margins y = margins_of(layer, layer->in.h, layer->out.h);
    margins x = margins_of(layer, layer->in.w, layer->out.w);
    bool same = kind == OP_FULLY_CONNECTED || (is_same(y) && is_same(x));
    if (!same) input = add_padded(g, layer, input, y, x);
    add_weights(g, i, kind, &weight, &bias);
    operation *o = add_operation(g, kind, output, 3, input, weight, bias);
    o->padding = same ? PADDING_SAME : PADDING_VALID;
    o->stride = layer->stride;
    return o;
}

static operation *add_mean(graph *g, const nas_layer *layer, int32_t output) {
    const int32_t two = 2;
    int32_t axes;
    int32_t *to = add_constant(g, layer->name, ".axes", TYPE_INT32, 1, &two, &axes);
    if (to) memcpy(to, (int32_t[]){1, 2}, 2 * sizeof *to);
    return add_operation(g, OP_MEAN, output, 2, input_of(g, layer, 0), axes, 0);
}

static operation *add_layer_operation(graph *g, uint32_t i, int32_t output) {
    const nas_layer *layer = nas_network_layer(g->net, i);
    op_kind kind = kind_of(layer);
    if (nas_layer_weighs(layer)) return add_weighted(g, i, kind, output);
    if (kind == OP_MEAN) return add_mean(g, layer, output);
    return add_operation(g, kind, output, 2, input_of(g, layer, 0), input_of(g, layer, 1), 0);
}

/* What of an activation a layer's own operator does; *rest: what is left to do after it. */
static uint32_t fused_part(const graph *g, const nas_layer *layer, uint32_t *rest) {
    *rest = NAS_ACT_NONE;
    if (layer->activation == ACT_CLAMP) { /* in 8 bits the range ends at 1 */
        *rest = g->int8 ? NAS_ACT_NONE : ACT_CLAMP;
        return FUSED_RELU;
    }
    if (layer->op != NAS_OP_POOL) { /* MEAN has none */
        if (layer->activation == NAS_ACT_RELU) return FUSED_RELU;
        if (layer->activation == NAS_ACT_RELU6) return FUSED_RELU6;
    }
    *rest = layer->activation;
    return FUSED_NONE;
}

static void add_minimum(graph *g, const nas_layer *layer, int32_t input, int32_t output) {
    const int32_t one = 1;
    int32_t most;
    float *limit = add_constant(g, layer->name, ".one", TYPE_FLOAT32, 1, &one, &most);
    if (limit) *limit = 1;
    add_operation(g, OP_MINIMUM, output, 2, input, most, 0);
}

/* LOGISTIC in 8 bits has one format for its results. */
static const nas_int8_format logistic = {1.0f / 256, -128};

static void add_swish(graph *g, const nas_layer *layer, int32_t input, int32_t output) {
    int32_t gate =
        add_result(g, layer->name, ".gate", layer->out, g->tensors[output].rank, logistic);
    add_operation(g, OP_LOGISTIC, gate, 1, input, 0, 0);
    add_operation(g, OP_MUL, output, 2, input, gate, 0);
}

static void add_activation(graph *g, const nas_layer *layer, uint32_t activation, int32_t input,
                           int32_t output) {
    switch (activation) {
    case NAS_ACT_RELU:
        add_operation(g, OP_RELU, output, 1, input, 0, 0);
        break;
    case NAS_ACT_RELU6:
        add_operation(g, OP_RELU6, output, 1, input, 0, 0);
        break;
    case NAS_ACT_HSWISH:
        add_operation(g, OP_HARD_SWISH, output, 1, input, 0, 0);
        break;
    case NAS_ACT_SIGMOID:
        add_operation(g, OP_LOGISTIC, output, 1, input, 0, 0);
        break;
    case NAS_ACT_SWISH:
        add_swish(g, layer, input, output);
        break;
    default:
        add_minimum(g, layer, input, output);
        break;
    }
}

static void add_layer(graph *g, uint32_t i) {
    const nas_layer *layer = nas_network_layer(g->net, i);
    uint32_t rest, fused = fused_part(g, layer, &rest);
    uint32_t rank = kind_of(layer) == OP_FULLY_CONNECTED ? 2 : 4;
    bool last = i + 1 == g->net->n_layers;
    int32_t sum = -1;
    if (rest) sum = add_result(g, layer->name, ".sum", layer->out, rank, sum_format(g, i));
    int32_t output = g->results[i] =
        add_result(g, last ? "logits" : layer->name, "", layer->out, rank, result_format(g, i));
    add_layer_operation(g, i, rest ? sum : output)->activation = fused;
    if (rest) add_activation(g, layer, rest, sum, output);
}

int nas_tflite_build(graph *g, nas_error *err) {
    uint32_t n = g->net->n_layers;
    g->tensors = calloc(TENSORS_A_LAYER * (n + 1u), sizeof *g->tensors);
    g->operations = calloc(OPERATIONS_A_LAYER * (n + 1u), sizeof *g->operations);
    g->results = calloc(n, sizeof *g->results);
    if (!g->tensors || !g->operations || !g->results)
        return nas_fail(err, NAS_ERR_MEMORY, "tflite: out of memory");
    nas_int8_format none = {0};
    g->image =
        add_result(g, "image", "", g->net->image, 4, g->int8 ? nas_int8_image(g->net) : none);
    for (uint32_t i = 0; i < n && !g->failed; i++) add_layer(g, i);
    g->logits = g->results[n - 1];
    return g->failed ? nas_fail(err, NAS_ERR_MEMORY, "tflite: out of memory") : NAS_OK;
}

void nas_tflite_free_graph(graph *g) {
    for (uint32_t i = 0; i < g->n_tensors; i++) {
        free(g->tensors[i].data);
        free(g->tensors[i].scale);
    }
    free(g->tensors);
    free(g->operations);
    free(g->results);
    *g = (graph){0};
}
