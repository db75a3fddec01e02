/* Writes a subnet as a safetensors file with PyTorch's names and layouts. Batch norm is folded, so
 * that each layer is a `NAME.weight` and a `NAME.bias`; "__metadata__" holds what it takes to run
 * them. Format: https://github.com/huggingface/safetensors#format */
#include <nashost/export.h>

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors files are little-endian; this writer copies floats as they lie in memory"
#endif

/* Adds value to object, and takes it over; false: out of memory. */
static bool put(json_t *object, const char *key, json_t *value) {
    return json_object_set_new(object, key, value) == 0;
}

/* The metadata's values must be strings: compound ones are JSON text. */
static bool put_text(json_t *object, const char *key, json_t *value) {
    char *text = value ? json_dumps(value, JSON_REAL_PRECISION(9)) : NULL;
    bool good = text && put(object, key, json_string(text));
    free(text);
    json_decref(value);
    return good;
}

static const char *op_name(uint32_t op) {
    static const char *const names[] = {"", "conv", "depthwise", "linear", "pool", "scale", "add"};
    return op < sizeof names / sizeof *names ? names[op] : "";
}

static const char *activation_name(uint32_t activation) {
    static const char *const names[] = {"none", "relu", "h-swish", "h-sigmoid"};
    return activation < sizeof names / sizeof *names ? names[activation] : "";
}

/* The graph: each layer's inputs are indices of earlier ones, -1 being the image. */
static json_t *describe_layers(const nas_network *network) {
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < network->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(network, i);
        json_t *inputs = layer->input[1] == NAS_INPUT_NONE
                             ? json_pack("[i]", layer->input[0])
                             : json_pack("[ii]", layer->input[0], layer->input[1]);
        json_t *entry =
            json_pack("{s:s, s:s, s:s, s:o, s:i, s:i}", "name", layer->name, "op",
                      op_name(layer->op), "activation", activation_name(layer->activation),
                      "inputs", inputs, "kernel", (int)layer->kernel, "stride", (int)layer->stride);
        if (json_array_append_new(list, entry) == 0) continue;
        json_decref(list);
        list = NULL;
    }
    return list;
}

static json_t *list_floats(const float *values, uint32_t n) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < n; i++) json_array_append_new(list, json_real((double)values[i]));
    if (json_array_size(list) == n) return list;
    json_decref(list);
    return NULL;
}

static json_t *list_classes(const nas_network *network) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < network->classes; i++) {
        json_array_append_new(list, json_string(network->class_names[i]));
    }
    if (json_array_size(list) == network->classes) return list;
    json_decref(list);
    return NULL;
}

static json_t *describe(const nas_network *network) {
    nas_shape image = network->image;
    json_t *meta = json_pack("{s:s}", "format", "pt");
    bool good =
        meta && put(meta, "genome", json_string(network->genome)) &&
        put_text(meta, "image", json_pack("[iii]", (int)image.h, (int)image.w, (int)image.c)) &&
        put_text(meta, "mean", list_floats(network->mean, image.c)) &&
        put_text(meta, "std", list_floats(network->std, image.c)) &&
        put_text(meta, "layers", describe_layers(network)) &&
        (!network->class_names || put_text(meta, "classes", list_classes(network)));
    if (good) return meta;
    json_decref(meta);
    return NULL;
}

/* PyTorch's shape of a layer's weight. */
static json_t *weight_shape(const nas_layer *layer) {
    int k = (int)layer->kernel, in = (int)layer->in.c, out = (int)layer->out.c;
    if (layer->op == NAS_OP_CONV) return json_pack("[iiii]", out, in, k, k);
    if (layer->op == NAS_OP_DEPTHWISE) return json_pack("[iiii]", out, 1, k, k);
    return json_pack("[ii]", out, in);
}

/* Adds one tensor's entry and moves *offset behind it. */
static bool put_tensor(json_t *header, const nas_layer *layer, const char *part, json_t *shape,
                       uint64_t count, uint64_t *offset) {
    char name[sizeof layer->name + 8];
    snprintf(name, sizeof name, "%.39s.%s", layer->name, part);
    uint64_t end = *offset + count * sizeof(float);
    json_t *entry = json_pack("{s:s, s:o, s:[II]}", "dtype", "F32", "shape", shape, "data_offsets",
                              (json_int_t)*offset, (json_int_t)end);
    *offset = end;
    return put(header, name, entry);
}

/* The header's text, padded with spaces so that the tensors start at a multiple of 8. */
static char *make_header(const nas_network *network, size_t *length) {
    uint64_t offset = 0;
    json_t *header = json_object(), *meta = describe(network);
    bool good = header && meta && put(header, "__metadata__", json_incref(meta));
    for (uint32_t i = 0; good && i < network->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(network, i);
        if (!layer->weights) continue;
        good = put_tensor(header, layer, "weight", weight_shape(layer), layer->weights, &offset) &&
               put_tensor(header, layer, "bias", json_pack("[i]", (int)layer->out.c), layer->biases,
                          &offset);
    }
    char *text = good ? json_dumps(header, JSON_COMPACT) : NULL;
    json_decref(header);
    json_decref(meta);
    if (!text) return NULL;
    size_t used = strlen(text);
    *length = (used + 7) / 8 * 8;
    char *padded = realloc(text, *length + 1);
    if (!padded) free(text);
    if (padded) memset(padded + used, ' ', *length - used);
    return padded;
}

/* [k][k][in][out] to [out][in][k][k]; a depthwise filter has in = 1, a linear layer k = 1. */
static bool write_weight(FILE *file, const nas_layer *layer) {
    size_t taps = (size_t)layer->kernel * layer->kernel, out = layer->out.c;
    size_t in = layer->op == NAS_OP_DEPTHWISE ? 1 : layer->in.c;
    float *filter = malloc(in * taps * sizeof *filter);
    bool good = filter != NULL;
    for (size_t o = 0; good && o < out; o++) {
        for (size_t i = 0; i < in; i++) {
            for (size_t t = 0; t < taps; t++) {
                filter[i * taps + t] = layer->weight[(t * in + i) * out + o];
            }
        }
        good = fwrite(filter, sizeof *filter, in * taps, file) == in * taps;
    }
    free(filter);
    return good;
}

static bool write_content(FILE *file, const nas_network *network, const char *header,
                          size_t length) {
    uint64_t size = length;
    bool good =
        fwrite(&size, sizeof size, 1, file) == 1 && fwrite(header, 1, length, file) == length;
    for (uint32_t i = 0; good && i < network->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(network, i);
        if (!layer->weights) continue;
        good = write_weight(file, layer) &&
               fwrite(layer->bias, sizeof *layer->bias, layer->biases, file) == layer->biases;
    }
    return good;
}

/* What the host must have filled in for a file that can be run. */
static int check(const nas_network *network, nas_error *err) {
    if (!NAS_HAS(network, std) || !network->mean || !network->std || !network->genome) {
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "safetensors: expected a network with genome, mean and std, found none");
    }
    for (uint32_t i = 0; i < network->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(network, i);
        bool holds =
            layer->op == NAS_OP_CONV || layer->op == NAS_OP_DEPTHWISE || layer->op == NAS_OP_LINEAR;
        uint64_t in = layer->op == NAS_OP_DEPTHWISE ? 1 : layer->in.c;
        uint64_t count = holds ? in * layer->out.c * layer->kernel * layer->kernel : 0;
        if (!*op_name(layer->op) || layer->weights != count ||
            layer->biases != (holds ? layer->out.c : 0)) {
            return nas_fail(err, NAS_ERR_PLUGIN,
                            "safetensors: layer %.39s: expected %llu weights, found %llu of an "
                            "operation numbered %u",
                            layer->name, (unsigned long long)count,
                            (unsigned long long)layer->weights, layer->op);
        }
        if (holds && (!layer->weight || !layer->bias)) {
            return nas_fail(err, NAS_ERR_PLUGIN,
                            "safetensors: layer %.39s: expected weights, found only their number",
                            layer->name);
        }
    }
    return NAS_OK;
}

static int write_network(void *self, const nas_network *network, const char *path, nas_error *err) {
    (void)self;
    int rc = check(network, err);
    if (rc) return rc;
    size_t length = 0;
    char *header = make_header(network, &length);
    if (!header) return nas_fail(err, NAS_ERR_MEMORY, "safetensors: out of memory for %s", path);
    FILE *file = fopen(path, "wb");
    bool good = file && write_content(file, network, header, length);
    int reason = errno;
    if (file && fclose(file) != 0) {
        if (good) reason = errno;
        good = false;
    }
    free(header);
    return good ? NAS_OK
                : nas_fail(err, NAS_ERR_IO, "safetensors: cannot write %s: %s", path,
                           strerror(reason));
}

/* Without options an instance has nothing to hold. */
static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)config, (void)err;
    *self = (void *)(uintptr_t)host;
    return NAS_OK;
}

static void destroy(void *self) {
    (void)self;
}

static const nas_export_api api = {sizeof api, "safetensors", write_network};

static const nas_plugin plugin = {
    .magic = NAS_MAGIC,
    .size = sizeof(nas_plugin),
    .abi_major = NAS_ABI_MAJOR,
    .abi_minor = NAS_ABI_MINOR,
    .kind = NAS_KIND_EXPORT,
    .id = "safetensors",
    .version = "0.1.0",
    .summary = "one subnet, batch norm folded, with PyTorch's names and layouts",
    .license = "Apache-2.0",
    .source = "https://github.com/huggingface/safetensors",
    .option_size = sizeof(nas_option),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
