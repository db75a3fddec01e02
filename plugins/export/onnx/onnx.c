/* Writes a subnet as an ONNX model: input "image" [batch][c][h][w] in 0..1, output "logits"
 * [batch][classes]; normalisation is part of the graph, batch norm is folded. In 8 bits every
 * tensor passes a QuantizeLinear and a DequantizeLinear, which runtimes fuse with the operators
 * between them. Format and operators: https://onnx.ai/onnx/intro/ */
#include "graph.h"

#include <nashost/kit/deploy.h>
#include <nashost/kit/json_file.h>
#include <nashost/kit/layers.h>

#include <stdlib.h>
#include <string.h>

/* The oldest that has HardSwish, so that as many runtimes as possible take it. */
enum { OPSET = 14, IR_VERSION = 7 };

typedef struct onnx_config {
    int dtype;           /* 0: float32, 1: int8 */
    int64_t weight_bits; /* of int8 */
} onnx_config;

static const char *const dtypes[] = {"float32", "int8", NULL};

static const nas_option options[] = {
    NAS_ENUM(
        "dtype", onnx_config, dtype, "\"float32\"", dtypes,
        "type of the numbers that weights and activations are stored in; int8 is quantised after "
        "training"),
    NAS_INT("weight_bits", onnx_config, weight_bits, "8", 7, 8, "bits",
            "of weights in int8; with 7 onnxruntime's sums cannot saturate on x86-64 without VNNI"),
    {0},
};

/* ---- 8 bits ---- */

/* Rounds a tensor to a format, for give_back; as unsigned bytes, 128 above ours, which onnxruntime
 * wants of activations on x86-64. */
static void round_to(builder *b, char *name, nas_int8_format format) {
    char *scale = nas_onnx_text(b, name, ".scale"), *zero = nas_onnx_text(b, name, ".zero");
    float *scales = nas_onnx_add_tensor(b, scale, 0, NULL);
    uint8_t *zeros = nas_onnx_add_constant(b, zero, ONNX__TENSOR_PROTO__DATA_TYPE__UINT8,
                                           sizeof(uint8_t), 0, NULL);
    if (b->failed) return;
    *scales = format.scale;
    *zeros = (uint8_t)(format.zero + 128);
    nas_onnx_add_node(b, "QuantizeLinear", nas_onnx_text(b, name, ".quantize"),
                      nas_onnx_text(b, name, ".q"), name, scale, zero);
}

/* What was rounded, as numbers for a reader; each reader has a node of its own, since only such are
 * fused by onnxruntime. which: tells a layer's inputs apart. */
static char *give_back(builder *b, const nas_layer *reader, const char *which, char *name) {
    char *output = nas_onnx_text(b, reader->name, which);
    if (b->failed) return NULL;
    nas_onnx_add_node(b, "DequantizeLinear", nas_onnx_text(b, output, ".dequantize"), output,
                      nas_onnx_text(b, name, ".q"), nas_onnx_text(b, name, ".scale"),
                      nas_onnx_text(b, name, ".zero"));
    return output;
}

/* A constant of whole numbers as `name`, with a scale for each of its first size, both to be filled
 * in. type, bytes: of a number. */
static void *add_rounded(builder *b, char *name, int32_t type, size_t bytes, size_t n_dims,
                         const int64_t *sizes, float **scales) {
    char *rounded = nas_onnx_text(b, name, ".q"), *scale = nas_onnx_text(b, name, ".scale");
    char *zero = nas_onnx_text(b, name, ".zero");
    void *data = nas_onnx_add_constant(b, rounded, type, bytes, n_dims, sizes);
    *scales = nas_onnx_add_tensor(b, scale, 1, sizes);
    nas_onnx_add_constant(b, zero, type, bytes, 1, sizes);
    Onnx__NodeProto *node = nas_onnx_add_node(
        b, "DequantizeLinear", nas_onnx_text(b, name, ".dequantize"), name, rounded, scale, zero);
    if (node) nas_onnx_add_int(b, node, "axis", 0);
    return b->failed ? NULL : data;
}

/* Weights [out][in][k][k] with a scale for each output channel. */
static void add_int8_weight(builder *b, const nas_layer *layer, const nas_int8_layer *q, char *name,
                            size_t dims, const int64_t *sizes) {
    size_t out = layer->out.c, in = nas_layer_depth(layer);
    size_t taps = (size_t)layer->kernel * layer->kernel;
    float *scales;
    int8_t *to = add_rounded(b, name, ONNX__TENSOR_PROTO__DATA_TYPE__INT8, 1, dims, sizes, &scales);
    if (!to) return;
    memcpy(scales, q->scale, out * sizeof *scales);
    for (size_t o = 0; o < out; o++)
        for (size_t i = 0; i < in; i++)
            for (size_t t = 0; t < taps; t++) *to++ = q->weight[(t * in + i) * out + o];
}

/* Biases in units of their sums. */
static void add_int8_bias(builder *b, const nas_int8_layer *q, char *name, int64_t out) {
    float *scales;
    int32_t *to =
        add_rounded(b, name, ONNX__TENSOR_PROTO__DATA_TYPE__INT32, sizeof *to, 1, &out, &scales);
    if (!to) return;
    for (int64_t o = 0; o < out; o++) {
        to[o] = q->bias[o];
        scales[o] = q->in[0].scale * q->scale[o];
    }
}

/* ---- Layers ---- */

/* (image - mean) / std, in 8 bits rounded; the name of the result. */
static char *add_normalisation(builder *b) {
    const nas_network *net = b->network;
    const int64_t sizes[] = {1, net->image.c, 1, 1};
    char *mean = nas_onnx_as_is("mean"), *std = nas_onnx_as_is("std");
    char *centred = nas_onnx_as_is("centred"), *normalised = nas_onnx_as_is("normalised");
    float *means = nas_onnx_add_tensor(b, mean, 4, sizes),
          *stds = nas_onnx_add_tensor(b, std, 4, sizes);
    if (b->failed) return NULL;
    memcpy(means, net->mean, net->image.c * sizeof *means);
    memcpy(stds, net->std, net->image.c * sizeof *stds);
    nas_onnx_add_node(b, "Sub", nas_onnx_as_is("centre"), centred, nas_onnx_as_is("image"), mean,
                      NULL);
    nas_onnx_add_node(b, "Div", nas_onnx_as_is("normalise"), normalised, centred, std, NULL);
    if (b->int8) round_to(b, normalised, nas_int8_image(net));
    return normalised;
}

/* A layer's input, and its second one or NULL. */
static char *input_of(builder *b, const nas_layer *layer, int which, char *normalised) {
    int32_t index = layer->input[which];
    if (index == NAS_INPUT_NONE) return NULL;
    char *name = index == NAS_INPUT_IMAGE ? normalised : b->outputs[index];
    return b->int8 ? give_back(b, layer, which ? ".in1" : ".in0", name) : name;
}

/* Layer i's weights and biases; dims: of the weight, 2 or 4. */
static void add_weights(builder *b, uint32_t i, char *weight, char *bias, size_t dims) {
    const nas_layer *layer = nas_network_layer(b->network, i);
    const int64_t k = layer->kernel, out = layer->out.c;
    const int64_t sizes[] = {out, (int64_t)nas_layer_depth(layer), k, k};
    if (b->int8) {
        add_int8_weight(b, layer, &b->int8[i], weight, dims, sizes);
        add_int8_bias(b, &b->int8[i], bias, out);
        return;
    }
    float *weights = nas_onnx_add_tensor(b, weight, dims, sizes),
          *biases = nas_onnx_add_tensor(b, bias, 1, &out);
    if (!weights || !biases) return;
    nas_deploy_transpose(layer, weights);
    memcpy(biases, layer->bias, layer->biases * sizeof *biases);
}

/* The operator of a layer with weights, after them. */
static Onnx__NodeProto *add_weighted(builder *b, uint32_t i, const char *op, size_t dims,
                                     char *input, char *output) {
    const nas_layer *layer = nas_network_layer(b->network, i);
    char *weight = nas_onnx_text(b, layer->name, ".weight"),
         *bias = nas_onnx_text(b, layer->name, ".bias");
    add_weights(b, i, weight, bias, dims);
    return nas_onnx_add_node(b, op, nas_onnx_as_is(layer->name), output, input, weight, bias);
}

static void add_conv(builder *b, uint32_t i, char *input, char *output) {
    const nas_layer *layer = nas_network_layer(b->network, i);
    Onnx__NodeProto *node = add_weighted(b, i, "Conv", 4, input, output);
    if (!node) return;
    const int64_t kernel[] = {layer->kernel, layer->kernel};
    const int64_t strides[] = {layer->stride, layer->stride};
    const int64_t before = layer->pad_before, after = nas_layer_pad_after(layer);
    nas_onnx_add_ints(b, node, "kernel_shape", kernel, 2);
    nas_onnx_add_ints(b, node, "pads", (const int64_t[]){before, before, after, after}, 4);
    nas_onnx_add_ints(b, node, "strides", strides, 2);
    nas_onnx_add_int(b, node, "group", layer->op == NAS_OP_DEPTHWISE ? layer->in.c : 1);
}

/* [batch][c][1][1] to [batch][c]; in 8 bits rounded once more, as runtimes look for it. */
static char *flatten(builder *b, uint32_t i, char *input) {
    const nas_layer *layer = nas_network_layer(b->network, i);
    char *output = nas_onnx_text(b, layer->name, ".flat");
    nas_onnx_add_node(b, "Flatten", nas_onnx_text(b, layer->name, ".flatten"), output, input, NULL,
                      NULL);
    if (!b->int8) return output;
    round_to(b, output, b->int8[i].in[0]);
    return give_back(b, layer, ".flat.in", output);
}

static void add_gemm(builder *b, uint32_t i, char *input, bool flat, char *output) {
    if (!flat) input = flatten(b, i, input);
    Onnx__NodeProto *node = add_weighted(b, i, "Gemm", 2, input, output);
    if (node) nas_onnx_add_int(b, node, "transB", 1);
}

/* A constant. */
static char *add_number(builder *b, const nas_layer *layer, const char *which, float value) {
    char *name = nas_onnx_text(b, layer->name, which);
    float *number = nas_onnx_add_tensor(b, name, 0, NULL);
    if (number) *number = value;
    return name;
}

static void add_activation(builder *b, const nas_layer *layer, char *input, char *output) {
    static const char *const ops[] = {"",     "Relu",    "HardSwish", "HardSigmoid",
                                      "Clip", "Sigmoid", "Sigmoid"};
    bool clip = layer->activation == NAS_ACT_RELU6, swish = layer->activation == NAS_ACT_SWISH;
    char *low = clip ? add_number(b, layer, ".low", 0) : NULL;
    char *high = clip ? add_number(b, layer, ".high", 6) : NULL;
    char *result = swish ? nas_onnx_text(b, layer->name, ".gate") : output;
    Onnx__NodeProto *node =
        nas_onnx_add_node(b, ops[layer->activation], nas_onnx_text(b, layer->name, ".activation"),
                          result, input, low, high);
    if (swish)
        nas_onnx_add_node(b, "Mul", nas_onnx_text(b, layer->name, ".swish"), output, input, result,
                          NULL);
    if (!node || layer->activation != NAS_ACT_HSIGMOID) return;
    nas_onnx_add_float(b, node, "alpha", 1.0f / 6);
    nas_onnx_add_float(b, node, "beta", 0.5f);
}

/* Squeeze-excite's linear layers keep h and w, so that they can scale; the head's do not. */
static void add_operation(builder *b, uint32_t i, char *normalised, char *result) {
    const nas_layer *layer = nas_network_layer(b->network, i);
    bool flat = layer->input[0] >= 0 && b->flat[layer->input[0]];
    char *first = input_of(b, layer, 0, normalised);
    char *second = input_of(b, layer, 1, normalised);
    char *name = nas_onnx_as_is(layer->name);
    b->flat[i] = flat;
    if (layer->op == NAS_OP_LINEAR && !layer->expand) {
        b->flat[i] = true;
        add_gemm(b, i, first, flat, result);
    } else if (nas_layer_weighs(layer)) {
        add_conv(b, i, first, result);
    } else if (layer->op == NAS_OP_POOL) {
        nas_onnx_add_node(b, "GlobalAveragePool", name, result, first, NULL, NULL);
    } else {
        nas_onnx_add_node(b, layer->op == NAS_OP_ADD ? "Add" : "Mul", name, result, first, second,
                          NULL);
    }
}

/* In 8 bits a sum is rounded before an activation that is a table there, and each result but the
 * last one's. */
static void add_layer(builder *b, uint32_t i, char *normalised, char *output) {
    const nas_layer *layer = nas_network_layer(b->network, i);
    const nas_int8_layer *q = b->int8 && i + 1 < b->network->n_layers ? &b->int8[i] : NULL;
    char *sum = layer->activation ? nas_onnx_text(b, layer->name, ".sum") : output;
    add_operation(b, i, normalised, sum);
    if (b->failed) return;
    if (q && q->has_table) {
        round_to(b, sum, q->sum);
        sum = give_back(b, layer, ".sum.in", sum);
    }
    if (layer->activation) add_activation(b, layer, sum, output);
    if (q && !b->failed) round_to(b, output, q->result);
    b->outputs[i] = output;
}

/* ---- The model ---- */

static void add_layers(builder *b) {
    const nas_network *net = b->network;
    char *normalised = add_normalisation(b);
    for (uint32_t i = 0; i < net->n_layers && !b->failed; i++) {
        const nas_layer *layer = nas_network_layer(net, i);
        bool last = i + 1 == net->n_layers;
        bool gemm = layer->op == NAS_OP_LINEAR && !layer->expand;
        char *output =
            last && gemm ? nas_onnx_as_is("logits") : nas_onnx_text(b, layer->name, ".out");
        if (!b->failed) add_layer(b, i, normalised, output);
        if (last && !gemm) /* a network that is cut off before its classifier */
            nas_onnx_add_node(b, "Flatten", nas_onnx_as_is("flatten"), nas_onnx_as_is("logits"),
                              output, NULL, NULL);
    }
}

static void make_graph(builder *b) {
    const nas_network *net = b->network;
    const int64_t image[] = {net->image.c, net->image.h, net->image.w};
    const nas_layer *last = nas_network_layer(net, net->n_layers - 1);
    const int64_t logits = (int64_t)last->out.c * last->out.h * last->out.w;
    size_t n = net->n_layers + 2u;
    Onnx__GraphProto *graph = b->graph = nas_onnx_take(b, 1, sizeof *graph);
    Onnx__NodeProto **nodes = nas_onnx_take_list(b, 12 * n);
    Onnx__TensorProto **tensors = nas_onnx_take_list(b, 12 * n);
    Onnx__ValueInfoProto **in = nas_onnx_make_value(b, "image", 3, image),
                         **out = nas_onnx_make_value(b, "logits", 1, &logits);
    b->outputs = nas_onnx_take_list(b, n);
    b->flat = nas_onnx_take(b, n, sizeof *b->flat);
    if (b->failed || !graph) return;
    onnx__graph_proto__init(graph);
    graph->name = nas_onnx_as_is("subnet");
    graph->node = nodes;
    graph->initializer = tensors;
    graph->input = in;
    graph->output = out;
    graph->n_input = graph->n_output = 1;
    add_layers(b);
}

static void add_metadata(builder *b, Onnx__ModelProto *model, const char *key, const char *value) {
    Onnx__StringStringEntryProto *entry = nas_onnx_take(b, 1, sizeof *entry);
    char *copy = nas_onnx_text(b, value, "");
    if (b->failed) return;
    onnx__string_string_entry_proto__init(entry);
    entry->key = nas_onnx_as_is(key);
    entry->value = copy;
    model->metadata_props[model->n_metadata_props++] = entry;
}

static void add_class_names(builder *b, Onnx__ModelProto *model) {
    if (!b->network->class_names) return;
    json_t *list = nas_deploy_classes(b->network);
    char *names = list ? nas_json_text(list, 0, NULL) : NULL;
    if (names)
        add_metadata(b, model, "classes", names);
    else
        b->failed = true;
    free(names);
    json_decref(list);
}

static Onnx__ModelProto *make_model(builder *b) {
    Onnx__ModelProto *model = nas_onnx_take(b, 1, sizeof *model);
    Onnx__OperatorSetIdProto **list = nas_onnx_take_list(b, 1),
                             *opset = nas_onnx_take(b, 1, sizeof *opset);
    Onnx__StringStringEntryProto **metadata = nas_onnx_take_list(b, 4);
    make_graph(b);
    if (b->failed) return NULL;
    onnx__operator_set_id_proto__init(opset);
    opset->domain = nas_onnx_as_is("");
    opset->has_version = 1;
    opset->version = OPSET;
    list[0] = opset;
    onnx__model_proto__init(model);
    model->has_ir_version = 1;
    model->ir_version = IR_VERSION;
    model->opset_import = list;
    model->n_opset_import = 1;
    model->producer_name = nas_onnx_as_is("nashost");
    model->graph = b->graph;
    model->metadata_props = metadata;
    add_metadata(b, model, "genome", b->network->genome);
    add_class_names(b, model);
    return b->failed ? NULL : model;
}

/* ---- The plugin ---- */

typedef struct sink {
    ProtobufCBuffer buffer; /* first: what protobuf-c appends to */
    FILE *file;
    bool good;
} sink;

static void append(ProtobufCBuffer *buffer, size_t bytes, const uint8_t *data) {
    sink *s = (sink *)(void *)buffer;
    s->good = s->good && fwrite(data, 1, bytes, s->file) == bytes;
}

static bool print(void *model, FILE *file) {
    sink s = {.buffer = {append}, .file = file, .good = true};
    onnx__model_proto__pack_to_buffer(model, &s.buffer);
    return s.good;
}

static int write_network(void *self, const nas_network *network, const char *path, nas_error *err) {
    const onnx_config *config = self;
    builder b = {.network = network};
    int rc = nas_deploy_check("onnx", network, err);
    if (!rc && config->dtype) rc = nas_int8_make_all("onnx", network, &b.int8, err);
    Onnx__ModelProto *model = rc ? NULL : make_model(&b);
    if (model) rc = nas_deploy_write("onnx", path, print, model, err);
    if (!rc && !model) rc = nas_fail(err, NAS_ERR_MEMORY, "onnx: out of memory for %s", path);
    nas_int8_free_all(network, b.int8);
    nas_onnx_release(&b);
    return rc;
}

static const void *extension(void *self, const char *id) {
    static const nas_int8_api int8[] = {{.size = sizeof *int8, .weight_bits = 7},
                                        {.size = sizeof *int8, .weight_bits = 8}};
    const onnx_config *config = self;
    if (!config || !config->dtype || strcmp(id, NAS_EXT_INT8) != 0) return NULL;
    return &int8[config->weight_bits != 7];
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    const onnx_config *c = config;
    if (c->weight_bits != 8 && !c->dtype)
        return nas_fail(err, NAS_ERR_INPUT,
                        "option \"weight_bits\": 7 bits are of \"dtype\": \"int8\", found "
                        "\"float32\"; give both or neither");
    return nas_plain_create(host, config, self, err);
}

static const nas_export_api api = {.size = sizeof api, .extension = "onnx", .write = write_network};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_EXPORT,
    .id = "onnx",
    .version = "0.1.0",
    .summary = "one subnet as an ONNX model that takes images in 0..1, [batch][c][h][w]",
    .license = "Apache-2.0",
    .source = "https://onnx.ai/onnx/intro/",
    .options = options,
    .config_size = sizeof(onnx_config),
    .create = create,
    .destroy = nas_plain_destroy,
    .vtable = &api,
    .extension = extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
