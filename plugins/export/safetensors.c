/* Writes a subnet as a safetensors file with PyTorch's names and layouts. Batch norm is folded, so
 * that each layer is a `NAME.weight` and a `NAME.bias`; "__metadata__" holds what it takes to run
 * them. Format: https://github.com/huggingface/safetensors#format */
#include <nashost/kit/deploy.h>
#include <nashost/kit/json_file.h>
#include <nashost/kit/layers.h>

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
    char *text = value ? nas_json_text(value, JSON_REAL_PRECISION(9), NULL) : NULL;
    bool good = text && put(object, key, json_string(text));
    free(text);
    json_decref(value);
    return good;
}

/* The graph: each layer's inputs are indices of earlier ones, -1 being the image. */
static json_t *describe_layers(const nas_network *network) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < network->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(network, i);
        json_t *inputs = layer->input[1] == NAS_INPUT_NONE
                             ? json_pack("[i]", layer->input[0])
                             : json_pack("[ii]", layer->input[0], layer->input[1]);
        json_t *entry =
            json_pack("{s:s, s:s, s:s, s:o, s:i, s:i}", "name", layer->name, "op",
                      nas_op_name(layer->op), "activation", nas_activation_name(layer->activation),
                      "inputs", inputs, "kernel", (int)layer->kernel, "stride", (int)layer->stride);
        int before = (int)layer->pad_before, after = (int)nas_layer_pad_after(layer);
        if (before != (int)layer->kernel / 2)
            nas_json_put(&entry, "padding", json_pack("[ii]", before, after));
        nas_json_add(&list, entry);
    }
    return list;
}

static json_t *list_floats(const float *values, uint32_t n) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < n; i++) nas_json_add(&list, json_real((double)values[i]));
    return list;
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
        (!network->class_names || put_text(meta, "classes", nas_deploy_classes(network)));
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
    char *text = good ? nas_json_text(header, JSON_COMPACT, NULL) : NULL;
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

typedef struct content {
    const nas_network *network;
    const char *header;
    size_t length;  /* of header */
    float *scratch; /* room for the largest weight */
} content;

static bool write_content(void *context, FILE *file) {
    const content *c = context;
    uint64_t size = c->length;
    bool good = fwrite(&size, sizeof size, 1, file) == 1 &&
                fwrite(c->header, 1, c->length, file) == c->length;
    for (uint32_t i = 0; good && i < c->network->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(c->network, i);
        if (!layer->weights) continue;
        nas_deploy_transpose(layer, c->scratch);
        good = fwrite(c->scratch, sizeof(float), layer->weights, file) == layer->weights &&
               fwrite(layer->bias, sizeof(float), layer->biases, file) == layer->biases;
    }
    return good;
}

static int write_network(void *self, const nas_network *network, const char *path, nas_error *err) {
    (void)self;
    int rc = nas_deploy_check("safetensors", network, err);
    if (rc) return rc;
    uint64_t most = nas_deploy_most_weights(network);
    content c = {.network = network, .scratch = malloc((most + 1) * sizeof(float))};
    char *header = make_header(network, &c.length);
    c.header = header;
    rc = header && c.scratch
             ? nas_deploy_write("safetensors", path, write_content, &c, err)
             : nas_fail(err, NAS_ERR_MEMORY, "safetensors: out of memory for %s", path);
    free(header);
    free(c.scratch);
    return rc;
}

static const nas_export_api api = {
    .size = sizeof api, .extension = "safetensors", .write = write_network};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_EXPORT,
    .id = "safetensors",
    .version = "0.1.0",
    .summary = "one subnet, batch norm folded, with PyTorch's names and layouts",
    .license = "Apache-2.0",
    .source = "https://github.com/huggingface/safetensors",
    .create = nas_plain_create,
    .destroy = nas_plain_destroy,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
