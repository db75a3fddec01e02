/* Writes a subnet for ncnn: NET.param, the graph as text, and NET.bin, the weights. Input "image":
 * pixels 0 to 255 as ncnn::Mat::from_pixels gives them; output "logits". In 8 bits as ncnn has
 * them: each layer with weights rounds its input to -127 to 127, without a zero, and gives floats.
 * Formats: https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure */
#include <nashost/kit/deploy.h>
#include <nashost/kit/int8.h>
#include <nashost/kit/layers.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "ncnn's weights are little-endian; this writer copies floats as they lie in memory"
#endif

enum { FLOAT32, INT8 };

typedef struct ncnn_config {
    int dtype;
} ncnn_config;

static const char *const dtypes[] = {"float32", "int8", NULL};

static const nas_option options[] = {
    NAS_ENUM("dtype", ncnn_config, dtype, "\"float32\"", dtypes,
             "type of the weights; with int8, which is quantised after training, the sums of "
             "convolutions and linear layers are whole numbers, and all between them is in floats"),
    {0},
};

/* ---- 8 bits ---- */

/* ncnn may compute a convolution of 3x3 with stride 1 by a transform (Winograd's) for which weights
 * of 8 bits are too large. Here that can only be a stem: it stays in floats. */
static bool is_int8(const nas_layer *layer, bool int8) {
    bool transformed = layer->op == NAS_OP_CONV && layer->kernel == 3 && layer->stride == 1;
    return int8 && nas_layer_weighs(layer) && !transformed;
}

/* What makes 127 of the largest of values; 1 if all are 0. */
static float scale_of(float largest) {
    return largest > 0 ? 127 / largest : 1;
}

/* The largest magnitude of what a layer reads. */
static float largest_input(const nas_network *net, const nas_layer *layer) {
    float largest = 0;
    if (layer->input[0] != NAS_INPUT_IMAGE) {
        nas_range range = net->results[layer->input[0]];
        return fmaxf(fabsf(range.min), fabsf(range.max));
    }
    for (uint32_t c = 0; c < net->image.c; c++)
        largest = fmaxf(largest, fmaxf(net->mean[c], 1 - net->mean[c]) / net->std[c]);
    return largest;
}

/* ---- The graph ---- */

/* ncnn's layers and blobs; a blob is read by one layer, so what several read is split first. */
typedef struct graph {
    const nas_network *net;
    bool int8;
    FILE *file; /* NULL: only count */
    uint32_t layers, blobs;
    uint32_t *readers; /* [n_layers + 1]: of the normalised image, and of each layer's result */
    uint32_t *served;  /* likewise: those that have their copy already */
} graph;

static void count_readers(graph *g) {
    for (uint32_t i = 0; i < g->net->n_layers; i++)
        for (int k = 0; k < 2; k++) {
            int32_t input = nas_network_layer(g->net, i)->input[k];
            if (input >= NAS_INPUT_IMAGE) g->readers[input + 1]++;
        }
}

static const char *name_of(const graph *g, int32_t index) {
    return index == NAS_INPUT_IMAGE ? "normalised"
                                    : nas_network_layer(g->net, (uint32_t)index)->name;
}

/* The blob of a result for its next reader: the blob itself, or one of its copies. */
static void print_input(graph *g, int32_t index) {
    uint32_t which = g->served[index + 1]++;
    if (!g->file) return;
    fprintf(g->file, " %s", name_of(g, index));
    if (g->readers[index + 1] > 1) fprintf(g->file, ".%u", which);
}

/* The beginning of a layer's line, up to its input blobs. */
static void begin_layer(graph *g, const char *type, const char *name, const char *suffix,
                        unsigned inputs, unsigned outputs) {
    g->layers++;
    g->blobs += outputs;
    if (g->file) fprintf(g->file, "%s %s%s %u %u", type, name, suffix, inputs, outputs);
}

static void print_text(const graph *g, const char *first, const char *second) {
    if (g->file) fprintf(g->file, "%s%s", first, second);
}

/* Copies a result that several layers read. */
static void split(graph *g, int32_t index) {
    uint32_t n = g->readers[index + 1];
    if (n < 2) return;
    begin_layer(g, "Split", name_of(g, index), ".split", 1, n);
    print_text(g, " ", name_of(g, index));
    for (uint32_t k = 0; k < n && g->file; k++) fprintf(g->file, " %s.%u", name_of(g, index), k);
    print_text(g, "\n", "");
}

/* ---- Layers ---- */

static void add_input(graph *g) {
    nas_shape image = g->net->image;
    begin_layer(g, "Input", "image", "", 0, 1);
    if (g->file) fprintf(g->file, " image 0=%u 1=%u 2=%u\n", image.w, image.h, image.c);
    begin_layer(g, "Scale", "normalise", "", 1, 1);
    if (g->file) fprintf(g->file, " image normalised 0=%u 1=1\n", image.c);
    split(g, NAS_INPUT_IMAGE);
}

/* What says that an activation is part of a convolution or product; NULL: it cannot be. */
static const char *fused_text(const nas_layer *layer) {
    switch (nas_layer_weighs(layer) ? layer->activation : NAS_ACT_NONE) {
    case NAS_ACT_RELU:
        return " 9=1";
    case NAS_ACT_HSWISH: /* x * min(max(x * alpha + beta, 0), 1) */
        return " 9=6 -23310=2,1.66666672e-01,5.0e-01";
    case NAS_ACT_RELU6:
        return " 9=3 -23310=2,0.0,6.0";
    case NAS_ACT_SIGMOID:
        return " 9=4";
    default:
        return NULL;
    }
}

/* The layer of an activation that stands apart, and its parameters. */
static const char *const activation_types[] = {"",     "ReLU",  "HardSwish", "HardSigmoid",
                                               "Clip", "Swish", "Sigmoid"};
static const char *const activation_texts[] = {
    "", "", " 0=1.66666672e-01 1=5.0e-01", " 0=1.66666672e-01 1=5.0e-01", " 0=0.0 1=6.0", "", ""};

/* The layer's own line; result: the blob it makes. */
static void add_operation(graph *g, const nas_layer *layer, const char *result,
                          const char *suffix) {
    static const char *const types[] = {
        "",         "Convolution", "ConvolutionDepthWise", "InnerProduct", "Pooling",
        "BinaryOp", "BinaryOp"};
    bool pair = layer->input[1] != NAS_INPUT_NONE;
    begin_layer(g, types[layer->op], layer->name, "", pair ? 2 : 1, 1);
    print_input(g, layer->input[0]);
    if (pair && layer->op == NAS_OP_SCALE)
        print_text(g, " ", layer->name), print_text(g, ".gate", "");
    else if (pair)
        print_input(g, layer->input[1]);
    print_text(g, " ", result);
    print_text(g, suffix, "");
    if (!g->file) return;
    unsigned long long weights = layer->weights;
    if (layer->op == NAS_OP_LINEAR)
        fprintf(g->file, " 0=%u 1=1 2=%llu", layer->out.c, weights);
    else if (nas_layer_weighs(layer))
        fprintf(g->file, " 0=%u 1=%u 3=%u 4=%u 5=1 6=%llu", layer->out.c, layer->kernel,
                layer->stride, layer->pad_before, weights);
    uint32_t after = nas_layer_pad_after(layer);
    if (after != layer->pad_before) fprintf(g->file, " 15=%u 16=%u", after, after);
    if (layer->op == NAS_OP_DEPTHWISE) fprintf(g->file, " 7=%u", layer->out.c);
    if (is_int8(layer, g->int8)) fputs(" 8=1", g->file);      /* scales stand behind the weights */
    if (layer->op == NAS_OP_POOL) fputs(" 0=1 4=1", g->file); /* average, global */
    if (layer->op == NAS_OP_SCALE) fputs(" 0=2", g->file);    /* product */
    if (layer->op == NAS_OP_ADD) fputs(" 0=0", g->file);
    if (fused_text(layer)) fputs(fused_text(layer), g->file);
    fputc('\n', g->file);
}

/* A gate [c] must be [c][1][1], so that it is clear along what it scales. */
static void add_gate(graph *g, const nas_layer *layer) {
    begin_layer(g, "Reshape", layer->name, ".reshape", 1, 1);
    print_input(g, layer->input[1]);
    print_text(g, " ", layer->name);
    if (g->file) fprintf(g->file, ".gate 0=1 1=1 2=%u\n", layer->in.c);
}

static void add_layer(graph *g, uint32_t i) {
    const nas_layer *layer = nas_network_layer(g->net, i);
    const char *result = i + 1 == g->net->n_layers ? "logits" : layer->name;
    bool apart = layer->activation && !fused_text(layer);
    if (layer->op == NAS_OP_SCALE) add_gate(g, layer);
    add_operation(g, layer, result, apart ? ".sum" : "");
    if (apart) {
        begin_layer(g, activation_types[layer->activation], layer->name, ".activation", 1, 1);
        print_text(g, " ", result);
        print_text(g, ".sum ", result);
        print_text(g, activation_texts[layer->activation], "\n");
    }
    split(g, (int32_t)i);
}

static void add_layers(graph *g) {
    g->layers = g->blobs = 0;
    memset(g->served, 0, (g->net->n_layers + 1u) * sizeof *g->served);
    add_input(g);
    for (uint32_t i = 0; i < g->net->n_layers; i++) add_layer(g, i);
}

/* ---- The files ---- */

static bool print_graph(void *context, FILE *file) {
    graph *g = context;
    g->file = NULL;
    add_layers(g);
    g->file = file;
    fprintf(file, "7767517\n%u %u\n", g->layers, g->blobs);
    add_layers(g);
    return !ferror(file);
}

typedef struct content {
    const nas_network *net;
    bool int8;
    float *scratch; /* room for the largest weight, and for the image's channels */
} content;

static bool put(FILE *file, const float *values, size_t n) {
    return fwrite(values, sizeof *values, n, file) == n;
}

/* scale = 1 / (255 std), shift = -mean / std. */
static bool print_normalisation(const content *c, FILE *file) {
    const nas_network *net = c->net;
    size_t n = net->image.c;
    for (size_t i = 0; i < n; i++) c->scratch[i] = (float)(1 / (255 * (double)net->std[i]));
    if (!put(file, c->scratch, n)) return false;
    for (size_t i = 0; i < n; i++)
        c->scratch[i] = (float)(-(double)net->mean[i] / (double)net->std[i]);
    return put(file, c->scratch, n);
}

/* What makes 127 of the largest of an output's weights [n]. */
static float weight_scale(const float *weights, uint64_t n) {
    float largest = 0;
    for (uint64_t i = 0; i < n; i++) largest = fmaxf(largest, fabsf(weights[i]));
    return scale_of(largest);
}

/* Weights as bytes, to a multiple of four; bias; each output's scale; the input's. */
static bool print_int8(const content *c, const nas_layer *layer, FILE *file) {
    static const uint32_t whole_numbers = 0x000D4B38; /* stands before each weight */
    const uint64_t n = layer->weights / layer->out.c;
    bool good = fwrite(&whole_numbers, sizeof whole_numbers, 1, file) == 1;
    for (uint64_t i = 0; i < layer->weights && good; i++) {
        float scale = weight_scale(c->scratch + i / n * n, n);
        good = fputc((uint8_t)(int8_t)lroundf(c->scratch[i] * scale), file) != EOF;
    }
    for (uint64_t i = layer->weights; i % 4 && good; i++) good = fputc(0, file) != EOF;
    good = good && put(file, layer->bias, layer->biases);
    for (uint32_t o = 0; o < layer->out.c && good; o++) {
        float scale = weight_scale(c->scratch + o * n, n);
        good = put(file, &scale, 1);
    }
    const float input = scale_of(largest_input(c->net, layer));
    return good && put(file, &input, 1);
}

static bool print_float(const content *c, const nas_layer *layer, FILE *file) {
    static const uint32_t single_precision = 0; /* stands before each weight, but no bias */
    return fwrite(&single_precision, sizeof single_precision, 1, file) == 1 &&
           put(file, c->scratch, layer->weights) && put(file, layer->bias, layer->biases);
}

static bool print_weights(void *context, FILE *file) {
    const content *c = context;
    bool good = print_normalisation(c, file);
    for (uint32_t i = 0; i < c->net->n_layers && good; i++) {
        const nas_layer *layer = nas_network_layer(c->net, i);
        if (!layer->weights) continue;
        nas_deploy_transpose(layer, c->scratch);
        good = is_int8(layer, c->int8) ? print_int8(c, layer, file) : print_float(c, layer, file);
    }
    return good;
}

/* ---- The plugin ---- */

static int write_one(void *self, const nas_network *network, const char *path, nas_error *err) {
    (void)self, (void)network;
    return nas_fail(err, NAS_ERR_PLUGIN,
                    "ncnn: %s: this host writes formats of one file alone; use a newer nashost",
                    path);
}

static int write_files(const nas_network *network, graph *g, content *c, const char *param,
                       const char *bin, nas_error *err) {
    uint64_t most = nas_deploy_most_weights(network);
    g->readers = calloc(network->n_layers + 1u, sizeof *g->readers);
    g->served = calloc(network->n_layers + 1u, sizeof *g->served);
    c->scratch = calloc(most + network->image.c, sizeof *c->scratch);
    if (!g->readers || !g->served || !c->scratch)
        return nas_fail(err, NAS_ERR_MEMORY, "ncnn: out of memory for %s", param);
    count_readers(g);
    int rc = nas_deploy_write("ncnn", bin, print_weights, c, err);
    return rc ? rc : nas_deploy_write("ncnn", param, print_graph, g, err);
}

static int write_two(void *self, const nas_network *network, const char *path, const char *second,
                     nas_error *err) {
    const ncnn_config *config = self;
    bool int8 = config->dtype == INT8;
    graph g = {.net = network, .int8 = int8};
    content c = {.net = network, .int8 = int8};
    int rc = nas_deploy_check("ncnn", network, err);
    if (!rc && int8) rc = nas_deploy_check_finite("ncnn", network, err);
    if (!rc && int8) rc = nas_int8_check("ncnn", network, err);
    if (!rc) rc = write_files(network, &g, &c, path, second, err);
    free(g.readers);
    free(g.served);
    free(c.scratch);
    return rc;
}

static const void *extension(void *self, const char *id) {
    static const nas_int8_api int8 = {.size = sizeof int8, .own_arithmetic = 1};
    const ncnn_config *config = self;
    return config && config->dtype == INT8 && strcmp(id, NAS_EXT_INT8) == 0 ? &int8 : NULL;
}

static const nas_export_api api = {.size = sizeof api,
                                   .extension = "param",
                                   .write = write_one,
                                   .second_extension = "bin",
                                   .write_two = write_two};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_EXPORT,
    .id = "ncnn",
    .version = "0.1.0",
    .summary = "one subnet for ncnn, as NET.param and NET.bin, that takes pixels of 0 to 255",
    .license = "Apache-2.0",
    .source = "https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure",
    .options = options,
    .config_size = sizeof(ncnn_config),
    .create = nas_plain_create,
    .destroy = nas_plain_destroy,
    .vtable = &api,
    .extension = extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
