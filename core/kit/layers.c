#include <nashost/kit/int8.h>
#include <nashost/kit/layers.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *nas_op_name(uint32_t op) {
    static const char *const names[] = {"unknown", "conv",  "depthwise", "linear",
                                        "pool",    "scale", "add"};
    return op < sizeof names / sizeof *names ? names[op] : names[0];
}

const char *nas_activation_name(uint32_t activation) {
    static const char *const names[] = {"none",  "relu",  "h-swish", "h-sigmoid",
                                        "relu6", "swish", "sigmoid"};
    return activation < sizeof names / sizeof *names ? names[activation] : "unknown";
}

double nas_activation_value(uint32_t activation, double x) {
    switch (activation) {
    case NAS_ACT_RELU:
        return x > 0 ? x : 0;
    case NAS_ACT_HSWISH:
        return x * fmin(fmax(x + 3, 0), 6) / 6;
    case NAS_ACT_HSIGMOID:
        return fmin(fmax(x + 3, 0), 6) / 6;
    case NAS_ACT_RELU6:
        return x > 6 ? 6 : x > 0 ? x : 0;
    case NAS_ACT_SWISH:
        return x / (1 + exp(-x));
    case NAS_ACT_SIGMOID:
        return 1 / (1 + exp(-x));
    default:
        return x;
    }
}

double nas_activation_slope(uint32_t activation, double x) {
    double gate = 1 / (1 + exp(-x));
    switch (activation) {
    case NAS_ACT_RELU:
        return x > 0;
    case NAS_ACT_HSWISH:
        return x <= -3 ? 0 : x >= 3 ? 1 : (2 * x + 3) / 6;
    case NAS_ACT_HSIGMOID:
        return x > -3 && x < 3 ? 1.0 / 6 : 0;
    case NAS_ACT_RELU6:
        return x > 0 && x < 6;
    case NAS_ACT_SWISH:
        return gate * (1 + x * (1 - gate));
    case NAS_ACT_SIGMOID:
        return gate * (1 - gate);
    default:
        return 1;
    }
}

bool nas_layer_weighs(const nas_layer *layer) {
    return layer->op == NAS_OP_CONV || layer->op == NAS_OP_DEPTHWISE || layer->op == NAS_OP_LINEAR;
}

uint32_t nas_layer_depth(const nas_layer *layer) {
    return layer->op == NAS_OP_DEPTHWISE ? 1 : layer->in.c;
}

double nas_layer_expand(const nas_layer *layer) {
    char text[24];
    if (layer->expand_ratio == floorf(layer->expand_ratio)) return layer->expand;
    snprintf(text, sizeof text, "%.6g", (double)layer->expand_ratio);
    return strtod(text, NULL);
}

uint32_t nas_layer_pad_after(const nas_layer *layer) {
    uint32_t half = layer->kernel / 2, there = layer->in.h + layer->pad_before;
    uint32_t read = (layer->out.h - 1) * layer->stride + layer->kernel;
    return layer->pad_before == half ? half : read > there ? read - there : 0;
}

uint64_t nas_network_stored_bytes(const nas_network *net, uint32_t element_bytes) {
    uint64_t bytes = 0;
    if (element_bytes == 1) return nas_int8_constant_bytes(net);
    for (uint32_t i = 0; i < net->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(net, i);
        bytes += layer->weights * element_bytes + 4 * layer->biases;
    }
    return bytes;
}

uint32_t nas_dtype_bytes(const char *dtype) {
    return strcmp(dtype, "float32") == 0 ? 4 : strcmp(dtype, "int8") == 0 ? 1 : 0;
}

char *nas_layer_key(const nas_layer *layer, char buffer[NAS_LAYER_KEY]) {
    snprintf(buffer, NAS_LAYER_KEY,
             "%s in=%ux%ux%u out=%ux%ux%u kernel=%u stride=%u expand=%.10g act=%s se=%u",
             nas_op_name(layer->op), layer->in.h, layer->in.w, layer->in.c, layer->out.h,
             layer->out.w, layer->out.c, layer->kernel, layer->stride, nas_layer_expand(layer),
             nas_activation_name(layer->activation), layer->squeeze_excite);
    return buffer;
}

bool nas_layer_from_key(const char *key, nas_layer *l) {
    char op[16], activation[16], again[NAS_LAYER_KEY];
    double expand;
    *l = (nas_layer){.op = 0};
    /* Overflow is caught below: the key is written again and compared. */
    int n = sscanf(/* NOLINT(cert-err34-c) */ key,
                   "%15s in=%ux%ux%u out=%ux%ux%u kernel=%u stride=%u expand=%lf act=%15s se=%u",
                   op, &l->in.h, &l->in.w, &l->in.c, &l->out.h, &l->out.w, &l->out.c, &l->kernel,
                   &l->stride, &expand, activation, &l->squeeze_excite);
    if (n != 12 || !(expand >= 0 && expand <= UINT32_MAX)) return false;
    l->expand = (uint32_t)llround(expand);
    l->expand_ratio = (float)expand;
    for (uint32_t i = NAS_OP_CONV; i <= NAS_OP_ADD; i++)
        if (strcmp(op, nas_op_name(i)) == 0) l->op = i;
    for (uint32_t i = NAS_ACT_NONE; i <= NAS_ACT_SIGMOID; i++)
        if (strcmp(activation, nas_activation_name(i)) == 0) l->activation = i;
    l->pad_before = l->kernel / 2;
    bool full = l->in.h && l->in.w && l->in.c && l->out.h && l->out.w && l->out.c && l->kernel;
    return l->op && l->stride && full && strcmp(key, nas_layer_key(l, again)) == 0;
}

double nas_layer_weights(const nas_layer *layer) {
    double taps = (double)layer->kernel * layer->kernel;
    return nas_layer_weighs(layer) ? taps * nas_layer_depth(layer) * layer->out.c : 0;
}

void nas_layer_work(const nas_layer *layer, double *macs, double *elements) {
    double in = (double)nas_shape_elements(layer->in), out = (double)nas_shape_elements(layer->out);
    double weights = nas_layer_weights(layer);
    double second = layer->op == NAS_OP_ADD ? out : layer->op == NAS_OP_SCALE ? layer->in.c : 0;
    *macs = weights * layer->out.h * layer->out.w;
    *elements = in + second + out + weights + (weights > 0 ? layer->out.c : 0);
}
