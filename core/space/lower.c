#include "space/lower.h"

#include <stdlib.h>
#include <string.h>

/* Lowering in progress: the network so far, and the tensor that the next layer reads. */
typedef struct builder {
    nas_lowered *lowered;
    int32_t last; /* index of its layer */
    nas_shape shape;
    uint32_t expand, squeeze_excite; /* of the current block */
    char prefix[24];                 /* "stage1.block0." or "" */
} builder;

/* Appends a layer that reads the last tensor; its counts are filled in by finish_layer. */
static nas_layer *add_layer(builder *b, nas_op op, const char *name, nas_activation activation) {
    nas_network *net = &b->lowered->network;
    nas_layer *layer = &b->lowered->layers[net->n_layers];
    *layer = (nas_layer){.op = op,
                         .activation = activation,
                         .input = {b->last, NAS_INPUT_NONE},
                         .in = b->shape,
                         .out = b->shape,
                         .kernel = 1,
                         .stride = 1,
                         .expand = b->expand,
                         .squeeze_excite = b->squeeze_excite};
    size_t prefix = strlen(b->prefix), length = strlen(name); /* some 10 each; the room is ample */
    memcpy(layer->name, b->prefix, prefix);
    memcpy(layer->name + prefix, name, length + 1);
    return layer;
}

/* Counts the layer's work and makes it the last one; returns its index. */
static int32_t finish_layer(builder *b, nas_layer *layer) {
    nas_network *net = &b->lowered->network;
    uint64_t window = (uint64_t)layer->kernel * layer->kernel, norms = 0;
    if (layer->op == NAS_OP_CONV || layer->op == NAS_OP_LINEAR) {
        layer->weights = window * layer->in.c * layer->out.c;
    } else if (layer->op == NAS_OP_DEPTHWISE) {
        layer->weights = window * layer->out.c;
    }
    if (layer->weights) {
        layer->biases = layer->out.c;
        layer->macs = layer->weights * layer->out.h * layer->out.w;
        /* A convolution has batch norm's gamma and beta, which fold into one bias. */
        norms = layer->op == NAS_OP_LINEAR ? 0 : layer->out.c;
    }
    net->macs += layer->macs;
    net->params += layer->weights + layer->biases + norms;
    b->shape = layer->out;
    b->last = (int32_t)net->n_layers++;
    return b->last;
}

static int32_t add_conv(builder *b, nas_op op, const char *name, uint32_t kernel, uint32_t stride,
                        uint32_t width, nas_activation activation) {
    nas_layer *layer = add_layer(b, op, name, activation);
    layer->kernel = kernel;
    layer->stride = stride;
    layer->out.h = (layer->in.h + stride - 1) / stride;
    layer->out.w = (layer->in.w + stride - 1) / stride;
    layer->out.c = width;
    return finish_layer(b, layer);
}

static int32_t add_pool(builder *b, const char *name) {
    nas_layer *layer = add_layer(b, NAS_OP_POOL, name, NAS_ACT_NONE);
    layer->out.h = layer->out.w = 1;
    return finish_layer(b, layer);
}

static int32_t add_linear(builder *b, const char *name, uint32_t width, nas_activation activation) {
    nas_layer *layer = add_layer(b, NAS_OP_LINEAR, name, activation);
    layer->out.c = width;
    return finish_layer(b, layer);
}

/* first op second, in the shape of first. */
static int32_t add_pair(builder *b, nas_op op, const char *name, int32_t first, int32_t second) {
    b->last = first;
    b->shape = b->lowered->layers[first].out;
    nas_layer *layer = add_layer(b, op, name, NAS_ACT_NONE);
    layer->input[1] = second;
    return finish_layer(b, layer);
}

static void add_squeeze_excite(builder *b) {
    int32_t trunk = b->last;
    uint32_t inner = b->shape.c;
    add_pool(b, "squeeze");
    add_linear(b, "reduce", nas_squeeze_width(inner), NAS_ACT_RELU);
    int32_t gate = add_linear(b, "excite", inner, NAS_ACT_HSIGMOID);
    add_pair(b, NAS_OP_SCALE, "scale", trunk, gate);
}

static void add_block(builder *b, const nas_stage *stage, const nas_block *block, uint32_t stride,
                      uint32_t width) {
    int32_t input = b->last;
    uint32_t inner = b->shape.c * block->expand;
    bool residual = stride == 1 && b->shape.c == width;
    b->expand = block->expand;
    b->squeeze_excite = stage->squeeze_excite;
    if (block->expand > 1) add_conv(b, NAS_OP_CONV, "expand", 1, 1, inner, stage->activation);
    add_conv(b, NAS_OP_DEPTHWISE, "depthwise", block->kernel, stride, inner, stage->activation);
    if (stage->squeeze_excite) add_squeeze_excite(b);
    int32_t project = add_conv(b, NAS_OP_CONV, "project", 1, 1, width, NAS_ACT_NONE);
    if (residual) add_pair(b, NAS_OP_ADD, "add", project, input);
}

static void add_layers(builder *b, const nas_space *space, const nas_arch *arch) {
    add_conv(b, NAS_OP_CONV, "stem", space->stem.kernel, space->stem.stride, space->stem.width,
             space->stem.activation);
    for (uint32_t s = 0; s < space->n_stages; s++) {
        for (uint32_t i = 0; i < arch->depth[s]; i++) {
            const nas_stage *stage = &space->stages[s];
            snprintf(b->prefix, sizeof b->prefix, "stage%u.block%u.", s & 0xff, i & 0xff);
            add_block(b, stage, &arch->block[s][i], i ? 1 : stage->stride, arch->width[s]);
        }
    }
    b->prefix[0] = '\0';
    b->expand = b->squeeze_excite = 0;
    add_conv(b, NAS_OP_CONV, "head", 1, 1, space->head.width, space->head.activation);
    add_pool(b, "pool");
    for (uint32_t i = 0; i < space->head.n_hidden; i++) {
        char name[24];
        snprintf(name, sizeof name, "hidden%u", i);
        add_linear(b, name, space->head.hidden[i], space->head.hidden_activation);
    }
    add_linear(b, "classifier", space->classes, NAS_ACT_NONE);
}

int nas_lower(const nas_space *space, const nas_genome *genome, nas_lowered **lowered,
              nas_error *err) {
    *lowered = NULL;
    nas_lowered *result = calloc(1, sizeof *result);
    if (result) result->genome = nas_genome_text(space, genome);
    if (!result || !result->genome) {
        nas_lowered_free(result);
        return nas_fail(err, NAS_ERR_MEMORY, "out of memory while listing a subnet's layers");
    }
    nas_arch arch = nas_genome_decode(space, genome);
    nas_shape image = {arch.resolution, arch.resolution, space->channels};
    result->network = (nas_network){.size = sizeof result->network,
                                    .layer_size = sizeof result->layers[0],
                                    .classes = space->classes,
                                    .layers = result->layers,
                                    .image = image,
                                    .genome = result->genome};
    builder b = {.lowered = result, .last = NAS_INPUT_IMAGE, .shape = image};
    add_layers(&b, space, &arch);
    result->network.peak_elements = nas_peak_elements(&result->network);
    *lowered = result;
    return NAS_OK;
}

void nas_lowered_free(nas_lowered *lowered) {
    if (!lowered) return;
    free(lowered->genome);
    free(lowered);
}

static bool reads(const nas_layer *layer, int32_t tensor) {
    return layer->input[0] == tensor || layer->input[1] == tensor;
}

/* Whether a layer from first on reads the tensor. */
static bool read_from(const nas_network *network, uint32_t first, int32_t tensor) {
    for (uint32_t i = first; i < network->n_layers; i++) {
        if (reads(nas_network_layer(network, i), tensor)) return true;
    }
    return false;
}

static uint64_t tensor_elements(const nas_network *network, int32_t tensor) {
    return nas_shape_elements(tensor < 0 ? network->image
                                         : nas_network_layer(network, (uint32_t)tensor)->out);
}

uint64_t nas_peak_elements(const nas_network *network) {
    uint64_t peak = 0, alive = 0;
    if (read_from(network, 0, NAS_INPUT_IMAGE)) alive = nas_shape_elements(network->image);
    for (uint32_t i = 0; i < network->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(network, i);
        int32_t first = layer->input[0], second = layer->input[1];
        bool in_place = (layer->op == NAS_OP_ADD || layer->op == NAS_OP_SCALE) && first >= 0 &&
                        !read_from(network, i + 1, first);
        if (!in_place) alive += nas_shape_elements(layer->out);
        if (alive > peak) peak = alive;
        if (!in_place && first != NAS_INPUT_NONE && !read_from(network, i + 1, first)) {
            alive -= tensor_elements(network, first);
        }
        if (second != NAS_INPUT_NONE && second != first && !read_from(network, i + 1, second)) {
            alive -= tensor_elements(network, second);
        }
        if (!read_from(network, i + 1, (int32_t)i)) alive -= nas_shape_elements(layer->out);
    }
    return peak;
}
