#include "space/layout.h"

#include <math.h>
#include <nashost/kit/layers.h>
#include <stdio.h>
#include <string.h>

/* The list so far, and the tensor that the next layer reads. */
typedef struct builder {
    nas_layer *layers;
    nas_role *roles;
    uint32_t n;
    int32_t last; /* index of its layer */
    nas_shape shape;
    uint32_t padding; /* nas_padding */
    double expand;    /* of the current block */
    uint32_t squeeze_excite;
    char prefix[24]; /* "stage1.block0." or "" */
} builder;

/* Appends a layer that reads the last tensor; its counts are filled in by finish_layer. */
static nas_layer *add_layer(builder *b, nas_role role, nas_op op, const char *name,
                            uint32_t activation) {
    nas_layer *layer = &b->layers[b->n];
    b->roles[b->n] = role;
    *layer = (nas_layer){.op = op,
                         .activation = activation,
                         .input = {b->last, NAS_INPUT_NONE},
                         .in = b->shape,
                         .out = b->shape,
                         .kernel = 1,
                         .stride = 1,
                         .expand = (uint32_t)lround(b->expand),
                         .expand_ratio = (float)b->expand,
                         .squeeze_excite = b->squeeze_excite};
    size_t prefix = strlen(b->prefix), length = strlen(name); /* some 10 each; the room is ample */
    memcpy(layer->name, b->prefix, prefix);
    memcpy(layer->name + prefix, name, length + 1);
    return layer;
}

/* Counts the layer's work and makes it the last one; returns its index. */
static int32_t finish_layer(builder *b, nas_layer *layer) {
    uint64_t window = (uint64_t)layer->kernel * layer->kernel;
    if (nas_layer_weighs(layer)) {
        layer->weights = window * nas_layer_depth(layer) * layer->out.c;
        layer->biases = layer->out.c;
        layer->macs = layer->weights * layer->out.h * layer->out.w;
    }
    b->shape = layer->out;
    b->last = (int32_t)b->n++;
    return b->last;
}

/* Half of what TensorFlow's SAME pads in all, rounded down. */
static uint32_t same_before(const nas_layer *layer) {
    uint32_t read = (layer->out.h - 1) * layer->stride + layer->kernel;
    return read > layer->in.h ? (read - layer->in.h) / 2 : 0;
}

static int32_t add_conv(builder *b, nas_role role, nas_op op, const char *name, uint32_t kernel,
                        uint32_t stride, uint32_t width, uint32_t activation) {
    nas_layer *layer = add_layer(b, role, op, name, activation);
    layer->kernel = kernel;
    layer->stride = stride;
    layer->out.h = (layer->in.h + stride - 1) / stride;
    layer->out.w = (layer->in.w + stride - 1) / stride;
    layer->out.c = width;
    layer->pad_before = b->padding == NAS_PADDING_SAME ? same_before(layer) : kernel / 2;
    return finish_layer(b, layer);
}

static int32_t add_pool(builder *b, nas_role role, const char *name) {
    nas_layer *layer = add_layer(b, role, NAS_OP_POOL, name, NAS_ACT_NONE);
    layer->out.h = layer->out.w = 1;
    return finish_layer(b, layer);
}

static int32_t add_linear(builder *b, nas_role role, const char *name, uint32_t width,
                          uint32_t activation) {
    nas_layer *layer = add_layer(b, role, NAS_OP_LINEAR, name, activation);
    layer->out.c = width;
    return finish_layer(b, layer);
}

/* first op second, in the shape of first. */
static int32_t add_pair(builder *b, nas_role role, nas_op op, const char *name, int32_t first,
                        int32_t second) {
    b->last = first;
    b->shape = b->layers[first].out;
    nas_layer *layer = add_layer(b, role, op, name, NAS_ACT_NONE);
    layer->input[1] = second;
    return finish_layer(b, layer);
}

static void add_squeeze_excite(builder *b, const nas_squeeze_rule *rule, uint32_t input) {
    int32_t trunk = b->last;
    uint32_t inner = b->shape.c, reduced = nas_squeeze_width(rule, inner, input);
    add_pool(b, NAS_ROLE_SQUEEZE, "squeeze");
    add_linear(b, NAS_ROLE_REDUCE, "reduce", reduced, rule->activation);
    int32_t gate = add_linear(b, NAS_ROLE_EXCITE, "excite", inner, rule->gate);
    add_pair(b, NAS_ROLE_SCALE, NAS_OP_SCALE, "scale", trunk, gate);
}

static void add_block(builder *b, const nas_stage *stage, const nas_block *block, uint32_t stride,
                      uint32_t width) {
    int32_t input = b->last;
    uint32_t narrow = b->shape.c, inner = nas_inner_width(narrow, block->expand);
    bool residual = stride == 1 && narrow == width;
    b->expand = block->expand;
    b->squeeze_excite = stage->squeeze_excite;
    if (inner != narrow)
        add_conv(b, NAS_ROLE_EXPAND, NAS_OP_CONV, "expand", 1, 1, inner, stage->activation);
    add_conv(b, NAS_ROLE_DEPTHWISE, NAS_OP_DEPTHWISE, "depthwise", block->kernel, stride, inner,
             stage->activation);
    if (stage->squeeze_excite) add_squeeze_excite(b, &stage->squeeze, narrow);
    int32_t project =
        add_conv(b, NAS_ROLE_PROJECT, NAS_OP_CONV, "project", 1, 1, width, NAS_ACT_NONE);
    if (residual) add_pair(b, NAS_ROLE_ADD, NAS_OP_ADD, "add", project, input);
}

static void add_head(builder *b, const nas_space *space) {
    add_conv(b, NAS_ROLE_HEAD, NAS_OP_CONV, "head", 1, 1, space->head.width,
             space->head.activation);
    add_pool(b, NAS_ROLE_POOL, "pool");
    for (uint32_t i = 0; i < space->head.n_hidden; i++) {
        char name[24];
        snprintf(name, sizeof name, "hidden%u", i);
        add_linear(b, NAS_ROLE_HIDDEN, name, space->head.hidden[i], space->head.hidden_activation);
    }
    add_linear(b, NAS_ROLE_CLASSIFIER, "classifier", space->classes, NAS_ACT_NONE);
}

uint32_t nas_layout(const nas_space *space, const nas_arch *arch, nas_layer *layers,
                    nas_role *roles) {
    builder b = {.layers = layers,
                 .roles = roles,
                 .last = NAS_INPUT_IMAGE,
                 .padding = space->padding,
                 .shape = {arch->resolution, arch->resolution, space->channels}};
    add_conv(&b, NAS_ROLE_STEM, NAS_OP_CONV, "stem", space->stem.kernel, space->stem.stride,
             space->stem.width, space->stem.activation);
    for (uint32_t s = 0; s < space->n_stages; s++) {
        for (uint32_t i = 0; i < arch->depth[s]; i++) {
            const nas_stage *stage = &space->stages[s];
            snprintf(b.prefix, sizeof b.prefix, "stage%u.block%u.", s & 0xff, i & 0xff);
            add_block(&b, stage, &arch->block[s][i], i ? 1 : stage->stride, arch->width[s]);
        }
    }
    b.prefix[0] = '\0';
    b.expand = 0;
    b.squeeze_excite = 0;
    add_head(&b, space);
    return b.n;
}

bool nas_layer_has_bias(const nas_space *space, const nas_layer *layer) {
    return layer->op == NAS_OP_LINEAR &&
           (space->head.hidden_bias || strncmp(layer->name, "hidden", 6) != 0);
}

/* The linear layers of squeeze-excite stand under "se." in their block. */
void nas_layer_tensor_name(const nas_layer *layer, const char *part, char name[NAS_TENSOR_NAME]) {
    const char *dot = strrchr(layer->name, '.');
    size_t block = layer->op == NAS_OP_LINEAR && dot ? (size_t)(dot + 1 - layer->name) : 0;
    snprintf(name, NAS_TENSOR_NAME, "%.*s%s%s%s", (int)block, layer->name, block ? "se." : "",
             layer->name + block, part);
}
