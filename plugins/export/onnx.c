/* Writes a subnet as an ONNX model: input "image" [batch][c][h][w] in 0..1, output "logits"
 * [batch][classes]; normalisation is part of the graph, batch norm is folded. In 8 bits every
 * tensor passes a QuantizeLinear and a DequantizeLinear, which runtimes fuse with the operators
 * between them. Format and operators: https://onnx.ai/onnx/intro/ */
#include <nashost/kit/deploy.h>
#include <nashost/kit/int8.h>
#include <nashost/kit/layers.h>

#include <onnx.pb-c.h>
#include <stdlib.h>
#include <string.h>

/* The oldest that has HardSwish, so that as many runtimes as possible take it. */
enum { OPSET = 14, IR_VERSION = 7 };

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "ONNX's raw data are little-endian; this writer copies floats as they lie in memory"
#endif

typedef struct onnx_config {
    int dtype; /* 0: float32, 1: int8 */
} onnx_config;

static const char *const dtypes[] = {"float32", "int8", NULL};

static const nas_option options[] = {
    NAS_ENUM(
        "dtype", onnx_config, dtype, "\"float32\"", dtypes,
        "type of the numbers that weights and activations are stored in; int8 is quantised after "
        "training"),
    {0},
};

/* ---- Memory: everything of one model, freed at once ---- */

typedef struct chunk {
    struct chunk *next;
    max_align_t data[];
} chunk;

typedef struct builder {
    const nas_network *network;
    chunk *chunks;
    bool failed; /* out of memory; everything after it does nothing */
    Onnx__GraphProto *graph;
    char **outputs;       /* [n_layers]: the name of each layer's result */
    bool *flat;           /* [n_layers]: the result is [batch][c], not [batch][c][h][w] */
    nas_int8_layer *int8; /* [n_layers]; NULL: float32 */
} builder;

/* n zeroed items; NULL after a failure. */
static void *take(builder *b, size_t n, size_t size) {
    chunk *c = b->failed || n > SIZE_MAX / 2 / size ? NULL : calloc(1, sizeof *c + n * size);
    if (!c) {
        b->failed = true;
        return NULL;
    }
    c->next = b->chunks;
    b->chunks = c;
    return c->data;
}

/* Room for n pointers of any kind. */
static void *take_list(builder *b, size_t n) {
    return take(b, n, sizeof(void *));
}

static void release(builder *b) {
    while (b->chunks) {
        chunk *next = b->chunks->next;
        free(b->chunks);
        b->chunks = next;
    }
}

/* The concatenation of two texts. */
static char *text(builder *b, const char *first, const char *second) {
    size_t n = strlen(first), m = strlen(second);
    char *copy = take(b, n + m + 1, 1);
    if (!copy) return NULL;
    memcpy(copy, first, n);
    memcpy(copy + n, second, m);
    return copy;
}

/* A text that outlives the model; protobuf-c asks for no const, but does not write. */
static char *as_is(const char *lasting) {
    return (char *)(uintptr_t)lasting;
}

/* ---- Parts of a graph ---- */

static Onnx__NodeProto *add_node(builder *b, const char *op, char *name, char *output, char *first,
                                 char *second, char *third) {
    Onnx__NodeProto *node = take(b, 1, sizeof *node);
    char **inputs = take_list(b, 3), **outputs = take_list(b, 1);
    Onnx__AttributeProto **attributes = take_list(b, 4);
    if (b->failed) return NULL;
    inputs[0] = first;
    inputs[1] = second;
    inputs[2] = third;
    outputs[0] = output;
    onnx__node_proto__init(node);
    node->op_type = as_is(op);
    node->name = name;
    node->input = inputs;
    node->n_input = third ? 3 : second ? 2 : 1;
    node->output = outputs;
    node->n_output = 1;
    node->attribute = attributes;
    b->graph->node[b->graph->n_node++] = node;
    return node;
}

static Onnx__AttributeProto *add_attribute(builder *b, Onnx__NodeProto *node, const char *name,
                                           Onnx__AttributeProto__AttributeType type) {
    Onnx__AttributeProto *a = take(b, 1, sizeof *a);
    if (b->failed) return NULL;
    onnx__attribute_proto__init(a);
    a->name = as_is(name);
    a->has_type = 1;
    a->type = type;
    node->attribute[node->n_attribute++] = a;
    return a;
}

static void add_int(builder *b, Onnx__NodeProto *node, const char *name, int64_t value) {
    Onnx__AttributeProto *a =
        add_attribute(b, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    if (!a) return;
    a->has_i = 1;
    a->i = value;
}

static void add_float(builder *b, Onnx__NodeProto *node, const char *name, float value) {
    Onnx__AttributeProto *a =
        add_attribute(b, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    if (!a) return;
    a->has_f = 1;
    a->f = value;
}

/* The same number n times. */
static void add_ints(builder *b, Onnx__NodeProto *node, const char *name, int64_t value, size_t n) {
    Onnx__AttributeProto *a =
        add_attribute(b, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    int64_t *values = take(b, n, sizeof *values);
    if (b->failed) return;
    for (size_t i = 0; i < n; i++) values[i] = value;
    a->ints = values;
    a->n_ints = n;
}

/* A constant of n_dims sizes with fresh data to be filled in. */
static void *add_constant(builder *b, char *name, int32_t type, size_t bytes, size_t n_dims,
                          const int64_t *sizes) {
    size_t n = 1;
    for (size_t i = 0; i < n_dims; i++) n *= (size_t)sizes[i];
    Onnx__TensorProto *tensor = take(b, 1, sizeof *tensor);
    int64_t *dims = take(b, n_dims, sizeof *dims);
    void *data = take(b, n, bytes);
    if (b->failed) return NULL;
    if (n_dims) memcpy(dims, sizes, n_dims * sizeof *dims);
    onnx__tensor_proto__init(tensor);
    tensor->name = name;
    tensor->dims = dims;
    tensor->n_dims = n_dims;
    tensor->has_data_type = 1;
    tensor->data_type = type;
    tensor->has_raw_data = 1;
    tensor->raw_data = (ProtobufCBinaryData){n * bytes, data};
    b->graph->initializer[b->graph->n_initializer++] = tensor;
    return data;
}

static float *add_tensor(builder *b, char *name, size_t n_dims, const int64_t *sizes) {
    return add_constant(b, name, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, sizeof(float), n_dims,
                        sizes);
}

/* A tensor [batch][sizes...] that goes in or comes out. */
static Onnx__ValueInfoProto **make_value(builder *b, const char *name, size_t n,
                                         const int64_t *sizes) {
    Onnx__ValueInfoProto **list = take_list(b, 1), *value = take(b, 1, sizeof *value);
    Onnx__TypeProto *type = take(b, 1, sizeof *type);
    Onnx__TypeProto__Tensor *tensor = take(b, 1, sizeof *tensor);
    Onnx__TensorShapeProto *shape = take(b, 1, sizeof *shape);
    Onnx__TensorShapeProto__Dimension **dims = take_list(b, n + 1),
                                      *each = take(b, n + 1, sizeof *each);
    if (b->failed) return NULL;
    for (size_t i = 0; i <= n; i++) {
        dims[i] = &each[i];
        onnx__tensor_shape_proto__dimension__init(dims[i]);
        dims[i]->value_case = i ? ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE
                                : ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
        if (i)
            dims[i]->dim_value = sizes[i - 1];
        else
            dims[i]->dim_param = as_is("batch");
    }
    onnx__tensor_shape_proto__init(shape);
    shape->n_dim = n + 1;
    shape->dim = dims;
    onnx__type_proto__tensor__init(tensor);
    tensor->has_elem_type = 1;
    tensor->elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    tensor->shape = shape;
    onnx__type_proto__init(type);
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    onnx__value_info_proto__init(value);
    value->name = as_is(name);
    value->type = type;
    list[0] = value;
    return list;
}

/* ---- 8 bits ---- */

/* Rounds a tensor to a format, for give_back; as unsigned bytes, 128 above ours, which onnxruntime
 * wants of activations on x86-64. */
static void round_to(builder *b, char *name, nas_int8_format format) {
    char *scale = text(b, name, ".scale"), *zero = text(b, name, ".zero");
    float *scales = add_tensor(b, scale, 0, NULL);
    uint8_t *zeros =
        add_constant(b, zero, ONNX__TENSOR_PROTO__DATA_TYPE__UINT8, sizeof(uint8_t), 0, NULL);
    if (b->failed) return;
    *scales = format.scale;
    *zeros = (uint8_t)(format.zero + 128);
    add_node(b, "QuantizeLinear", text(b, name, ".quantize"), text(b, name, ".q"), name, scale,
             zero);
}

/* What was rounded, as numbers for a reader; each reader has a node of its own, since only such are
 * fused by onnxruntime. which: tells a layer's inputs apart. */
static char *give_back(builder *b, const nas_layer *reader, const char *which, char *name) {
    char *output = text(b, reader->name, which);
    if (b->failed) return NULL;
    add_node(b, "DequantizeLinear", text(b, output, ".dequantize"), output, text(b, name, ".q"),
             text(b, name, ".scale"), text(b, name, ".zero"));
    return output;
}

/* A constant of whole numbers as `name`, with a scale for each of its first size, both to be filled
 * in. type, bytes: of a number. */
static void *add_rounded(builder *b, char *name, int32_t type, size_t bytes, size_t n_dims,
                         const int64_t *sizes, float **scales) {
    char *rounded = text(b, name, ".q"), *scale = text(b, name, ".scale");
    char *zero = text(b, name, ".zero");
    void *data = add_constant(b, rounded, type, bytes, n_dims, sizes);
    *scales = add_tensor(b, scale, 1, sizes);
    add_constant(b, zero, type, bytes, 1, sizes);
    Onnx__NodeProto *node =
        add_node(b, "DequantizeLinear", text(b, name, ".dequantize"), name, rounded, scale, zero);
    if (node) add_int(b, node, "axis", 0);
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
    char *mean = as_is("mean"), *std = as_is("std");
    char *centred = as_is("centred"), *normalised = as_is("normalised");
    float *means = add_tensor(b, mean, 4, sizes), *stds = add_tensor(b, std, 4, sizes);
    if (b->failed) return NULL;
    memcpy(means, net->mean, net->image.c * sizeof *means);
    memcpy(stds, net->std, net->image.c * sizeof *stds);
    add_node(b, "Sub", as_is("centre"), centred, as_is("image"), mean, NULL);
    add_node(b, "Div", as_is("normalise"), normalised, centred, std, NULL);
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
    float *weights = add_tensor(b, weight, dims, sizes), *biases = add_tensor(b, bias, 1, &out);
    if (!weights || !biases) return;
    nas_deploy_transpose(layer, weights);
    memcpy(biases, layer->bias, layer->biases * sizeof *biases);
}

/* The operator of a layer with weights, after them. */
static Onnx__NodeProto *add_weighted(builder *b, uint32_t i, const char *op, size_t dims,
                                     char *input, char *output) {
    const nas_layer *layer = nas_network_layer(b->network, i);
    char *weight = text(b, layer->name, ".weight"), *bias = text(b, layer->name, ".bias");
    add_weights(b, i, weight, bias, dims);
    return add_node(b, op, as_is(layer->name), output, input, weight, bias);
}

static void add_conv(builder *b, uint32_t i, char *input, char *output) {
    const nas_layer *layer = nas_network_layer(b->network, i);
    Onnx__NodeProto *node = add_weighted(b, i, "Conv", 4, input, output);
    if (!node) return;
    add_ints(b, node, "kernel_shape", layer->kernel, 2);
    add_ints(b, node, "pads", layer->kernel / 2, 4);
    add_ints(b, node, "strides", layer->stride, 2);
    add_int(b, node, "group", layer->op == NAS_OP_DEPTHWISE ? layer->in.c : 1);
}

/* [batch][c][1][1] to [batch][c]; in 8 bits rounded once more, as runtimes look for it. */
static char *flatten(builder *b, uint32_t i, char *input) {
    const nas_layer *layer = nas_network_layer(b->network, i);
    char *output = text(b, layer->name, ".flat");
    add_node(b, "Flatten", text(b, layer->name, ".flatten"), output, input, NULL, NULL);
    if (!b->int8) return output;
    round_to(b, output, b->int8[i].in[0]);
    return give_back(b, layer, ".flat.in", output);
}

static void add_gemm(builder *b, uint32_t i, char *input, bool flat, char *output) {
    if (!flat) input = flatten(b, i, input);
    Onnx__NodeProto *node = add_weighted(b, i, "Gemm", 2, input, output);
    if (node) add_int(b, node, "transB", 1);
}

static void add_activation(builder *b, const nas_layer *layer, char *input, char *output) {
    static const char *const ops[] = {"", "Relu", "HardSwish", "HardSigmoid"};
    const char *op = ops[layer->activation];
    Onnx__NodeProto *node =
        add_node(b, op, text(b, layer->name, ".activation"), output, input, NULL, NULL);
    if (!node || layer->activation != NAS_ACT_HSIGMOID) return;
    add_float(b, node, "alpha", 1.0f / 6);
    add_float(b, node, "beta", 0.5f);
}

/* Squeeze-excite's linear layers keep h and w, so that they can scale; the head's do not. */
static void add_operation(builder *b, uint32_t i, char *normalised, char *result) {
    const nas_layer *layer = nas_network_layer(b->network, i);
    bool flat = layer->input[0] >= 0 && b->flat[layer->input[0]];
    char *first = input_of(b, layer, 0, normalised);
    char *second = input_of(b, layer, 1, normalised);
    char *name = as_is(layer->name);
    b->flat[i] = flat;
    if (layer->op == NAS_OP_LINEAR && !layer->expand) {
        b->flat[i] = true;
        add_gemm(b, i, first, flat, result);
    } else if (nas_layer_weighs(layer)) {
        add_conv(b, i, first, result);
    } else if (layer->op == NAS_OP_POOL) {
        add_node(b, "GlobalAveragePool", name, result, first, NULL, NULL);
    } else {
        add_node(b, layer->op == NAS_OP_ADD ? "Add" : "Mul", name, result, first, second, NULL);
    }
}

/* In 8 bits a sum is rounded before an activation that is a table there, and each result but the
 * last one's. */
static void add_layer(builder *b, uint32_t i, char *normalised, char *output) {
    const nas_layer *layer = nas_network_layer(b->network, i);
    const nas_int8_layer *q = b->int8 && i + 1 < b->network->n_layers ? &b->int8[i] : NULL;
    char *sum = layer->activation ? text(b, layer->name, ".sum") : output;
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
        char *output = last && gemm ? as_is("logits") : text(b, layer->name, ".out");
        if (!b->failed) add_layer(b, i, normalised, output);
        if (last && !gemm) /* a network that is cut off before its classifier */
            add_node(b, "Flatten", as_is("flatten"), as_is("logits"), output, NULL, NULL);
    }
}

static void make_graph(builder *b) {
    const nas_network *net = b->network;
    const int64_t image[] = {net->image.c, net->image.h, net->image.w};
    const nas_layer *last = nas_network_layer(net, net->n_layers - 1);
    const int64_t logits = (int64_t)last->out.c * last->out.h * last->out.w;
    size_t n = net->n_layers + 2u;
    Onnx__GraphProto *graph = b->graph = take(b, 1, sizeof *graph);
    Onnx__NodeProto **nodes = take_list(b, 11 * n);
    Onnx__TensorProto **tensors = take_list(b, 12 * n);
    Onnx__ValueInfoProto **in = make_value(b, "image", 3, image),
                         **out = make_value(b, "logits", 1, &logits);
    b->outputs = take_list(b, n);
    b->flat = take(b, n, sizeof *b->flat);
    if (b->failed || !graph) return;
    onnx__graph_proto__init(graph);
    graph->name = as_is("subnet");
    graph->node = nodes;
    graph->initializer = tensors;
    graph->input = in;
    graph->output = out;
    graph->n_input = graph->n_output = 1;
    add_layers(b);
}

static void add_metadata(builder *b, Onnx__ModelProto *model, const char *key, const char *value) {
    Onnx__StringStringEntryProto *entry = take(b, 1, sizeof *entry);
    char *copy = text(b, value, "");
    if (b->failed) return;
    onnx__string_string_entry_proto__init(entry);
    entry->key = as_is(key);
    entry->value = copy;
    model->metadata_props[model->n_metadata_props++] = entry;
}

static void add_class_names(builder *b, Onnx__ModelProto *model) {
    if (!b->network->class_names) return;
    json_t *list = nas_deploy_classes(b->network);
    char *names = list ? json_dumps(list, 0) : NULL;
    if (names)
        add_metadata(b, model, "classes", names);
    else
        b->failed = true;
    free(names);
    json_decref(list);
}

static Onnx__ModelProto *make_model(builder *b) {
    Onnx__ModelProto *model = take(b, 1, sizeof *model);
    Onnx__OperatorSetIdProto **list = take_list(b, 1), *opset = take(b, 1, sizeof *opset);
    Onnx__StringStringEntryProto **metadata = take_list(b, 4);
    make_graph(b);
    if (b->failed) return NULL;
    onnx__operator_set_id_proto__init(opset);
    opset->domain = as_is("");
    opset->has_version = 1;
    opset->version = OPSET;
    list[0] = opset;
    onnx__model_proto__init(model);
    model->has_ir_version = 1;
    model->ir_version = IR_VERSION;
    model->opset_import = list;
    model->n_opset_import = 1;
    model->producer_name = as_is("nashost");
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
    release(&b);
    return rc;
}

static const void *extension(void *self, const char *id) {
    static const nas_int8_api int8 = {sizeof int8};
    const onnx_config *config = self;
    return config && config->dtype && strcmp(id, NAS_EXT_INT8) == 0 ? &int8 : NULL;
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
    .create = nas_plain_create,
    .destroy = nas_plain_destroy,
    .vtable = &api,
    .extension = extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
