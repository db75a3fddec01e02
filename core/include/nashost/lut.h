/* nashost plugin SDK: latency tables, which `nashost lut build` makes and hardware models read.
 *
 *   {"format": "nashost latency table", "version": 1,
 *    "device": "AMD EPYC", "runtime": "XNNPACK", "dtype": "float32", "threads": 1, "batch": 1,
 *    "measured_with": "PLUGIN 0.1.0",
 *    "entries": {"conv in=28x28x1 out=28x28x16 kernel=3 stride=1 expand=0 act=h-swish se=0":
 *                    {"count": 49, "median_ms": 0.0123, "spread_ms": 0.0001, "rounds": 5},
 *                ...},
 *    "networks": [{"median_ms": 0.61, "layers": {"conv in=28x28x1 ...": 1, ...}, "genome": {...},
 *                  "rounds": 5}, ...]}
 *
 * device to batch are a nas_target, an entry's value is a nas_measurement, its key a layer: shapes
 * are height x width x channels, in is that of the first input, act is the activation, se is 1 in a
 * block with squeeze-excite. networks are whole subnets: what cost() measured, and how often each
 * layer occurs. Each was measured `rounds` times (left out: once), and the lowest median is here.
 * entries are empty where a device can time whole networks alone. Layers are timed alone, with
 * their weights still in the cache from the run before; the networks tell by how much a sum of
 * layers falls short (nashost/lut_file.h). There may be none of them. */
#ifndef NASHOST_LUT_H
#define NASHOST_LUT_H

#include <nashost/network.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NAS_LUT_FORMAT "nashost latency table"
#define NAS_LUT_VERSION 1

/* Bytes of a number of a table's or a profile's dtype; 0: unknown. [any] */
static inline uint32_t nas_dtype_bytes(const char *dtype) {
    return strcmp(dtype, "float32") == 0 ? 4 : strcmp(dtype, "int8") == 0 ? 1 : 0;
}

#define NAS_LAYER_KEY 200 /* bytes that hold any key */

/* Writes a layer's key; returns buffer. [any] */
static inline char *nas_layer_key(const nas_layer *layer, char buffer[NAS_LAYER_KEY]) {
    snprintf(buffer, NAS_LAYER_KEY,
             "%s in=%ux%ux%u out=%ux%ux%u kernel=%u stride=%u expand=%u act=%s se=%u",
             nas_op_name(layer->op), layer->in.h, layer->in.w, layer->in.c, layer->out.h,
             layer->out.w, layer->out.c, layer->kernel, layer->stride, layer->expand,
             nas_activation_name(layer->activation), layer->squeeze_excite);
    return buffer;
}

/* The inverse: fills op, activation, shapes, kernel, stride, expand and squeeze_excite, and zeroes
 * the rest. False if key is not exactly what nas_layer_key writes for a known layer. [any] */
static inline bool nas_layer_from_key(const char *key, nas_layer *l) {
    char op[16], activation[16], again[NAS_LAYER_KEY];
    *l = (nas_layer){.op = 0};
    /* Overflow is caught below: the key is written again and compared. */
    int n = sscanf(/* NOLINT(cert-err34-c) */ key,
                   "%15s in=%ux%ux%u out=%ux%ux%u kernel=%u stride=%u expand=%u act=%15s se=%u", op,
                   &l->in.h, &l->in.w, &l->in.c, &l->out.h, &l->out.w, &l->out.c, &l->kernel,
                   &l->stride, &l->expand, activation, &l->squeeze_excite);
    if (n != 12) return false;
    for (uint32_t i = NAS_OP_CONV; i <= NAS_OP_ADD; i++)
        if (strcmp(op, nas_op_name(i)) == 0) l->op = i;
    for (uint32_t i = NAS_ACT_NONE; i <= NAS_ACT_HSIGMOID; i++)
        if (strcmp(activation, nas_activation_name(i)) == 0) l->activation = i;
    bool full = l->in.h && l->in.w && l->in.c && l->out.h && l->out.w && l->out.c && l->kernel;
    return l->op && l->stride && full && strcmp(key, nas_layer_key(l, again)) == 0;
}

/* How many weights a layer has, counted from its shapes, so also for one that came from a key.
 * [any] */
static inline double nas_layer_weights(const nas_layer *layer) {
    double taps = (double)layer->kernel * layer->kernel;
    return nas_layer_weighs(layer) ? taps * nas_layer_depth(layer) * layer->out.c : 0;
}

/* What a layer computes and moves: multiply-accumulates, and elements read and written. Counted
 * likewise. [any] */
static inline void nas_layer_work(const nas_layer *layer, double *macs, double *elements) {
    double in = (double)nas_shape_elements(layer->in), out = (double)nas_shape_elements(layer->out);
    double weights = nas_layer_weights(layer);
    double second = layer->op == NAS_OP_ADD ? out : layer->op == NAS_OP_SCALE ? layer->in.c : 0;
    *macs = weights * layer->out.h * layer->out.w;
    *elements = in + second + out + weights + (weights > 0 ? layer->out.c : 0);
}

#endif
