/* A small EfficientNet-Lite with random weights under PyTorch's names, and a plain version of what
 * it computes, straight from these tensors. */
#ifndef NAS_TESTS_TORCH_NET_H
#define NAS_TESTS_TORCH_NET_H

#include "base/rng.h"
#include "base/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TORCH_BLOCKS = 9, TORCH_CLASSES = 5, TORCH_MAX_TENSORS = 160 };

typedef struct torch_block {
    uint32_t in, inner, out, kernel, stride;
} torch_block;

/* Seven stages, of which two have a second block with a residual connection. */
static const torch_block torch_blocks[TORCH_BLOCKS] = {
    {8, 8, 4, 3, 1},    {4, 24, 6, 3, 2},   {6, 36, 6, 3, 1},
    {6, 36, 8, 5, 2},   {8, 48, 10, 3, 2},  {10, 60, 12, 5, 1},
    {12, 72, 12, 5, 1}, {12, 72, 14, 5, 2}, {14, 84, 16, 3, 1},
};

typedef struct torch_net {
    size_t n;
    nas_tensor tensors[TORCH_MAX_TENSORS];
    nas_rng rng;
} torch_net;

static inline void torch_add(torch_net *net, const char *name, const char *end, uint32_t ndim,
                             const uint64_t *shape, double scale, double offset) {
    nas_tensor *t = &net->tensors[net->n++];
    size_t n = 1;
    *t = (nas_tensor){.ndim = ndim};
    snprintf(t->name, sizeof t->name, "%s%s", name, end);
    for (uint32_t d = 0; d < ndim; d++) n *= t->shape[d] = shape[d];
    float *data = malloc(n * sizeof *data);
    for (size_t i = 0; data && i < n; i++)
        data[i] = (float)(offset + scale * (2 * nas_rng_uniform(&net->rng) - 1));
    t->data = data;
}

static inline void torch_add_conv(torch_net *net, const char *conv, const char *norm, uint64_t out,
                                  uint64_t in, uint64_t k) {
    const uint64_t shape[] = {out, in, k, k};
    torch_add(net, conv, ".weight", 4, shape, 1.7 / sqrt((double)(in * k * k)), 0);
    torch_add(net, norm, ".weight", 1, shape, 0.4, 1);
    torch_add(net, norm, ".bias", 1, shape, 0.5, 0.3);
    torch_add(net, norm, ".running_mean", 1, shape, 0.2, 0);
    torch_add(net, norm, ".running_var", 1, shape, 0.3, 0.5);
}

static inline void torch_make(torch_net *net, uint64_t seed) {
    char conv[64], norm[64];
    *net = (torch_net){.rng = nas_rng_open(seed, NAS_RNG_INIT, 0, 0)};
    torch_add_conv(net, "_conv_stem", "_bn0", 8, 3, 3);
    for (uint32_t b = 0; b < TORCH_BLOCKS; b++) {
        const torch_block *k = &torch_blocks[b];
        const struct {
            const char *conv, *norm;
            uint32_t out, in, kernel;
        } parts[] = {{"_expand_conv", "_bn0", k->inner, k->in, 1},
                     {"_depthwise_conv", "_bn1", k->inner, 1, k->kernel},
                     {"_project_conv", "_bn2", k->out, k->inner, 1}};
        for (int i = k->inner == k->in; i < 3; i++) {
            snprintf(conv, sizeof conv, "_blocks.%u.%s", b, parts[i].conv);
            snprintf(norm, sizeof norm, "_blocks.%u.%s", b, parts[i].norm);
            torch_add_conv(net, conv, norm, parts[i].out, parts[i].in, parts[i].kernel);
        }
    }
    torch_add_conv(net, "_conv_head", "_bn1", 20, 16, 1);
    const uint64_t shape[] = {TORCH_CLASSES, 20};
    torch_add(net, "_fc", ".weight", 2, shape, 0.5, 0);
    torch_add(net, "_fc", ".bias", 1, shape, 0.5, 0);
}

static inline void torch_free(torch_net *net) {
    for (size_t i = 0; i < net->n; i++) free((void *)(uintptr_t)net->tensors[i].data);
    net->n = 0;
}

static inline nas_tensor *torch_find(torch_net *net, const char *name, const char *end) {
    char whole[128];
    snprintf(whole, sizeof whole, "%s%s", name, end);
    for (size_t i = 0; i < net->n; i++)
        if (strcmp(net->tensors[i].name, whole) == 0) return &net->tensors[i];
    return NULL;
}

/* A picture [c][side][side]. */
typedef struct torch_planes {
    uint32_t c, side;
    double *at;
} torch_planes;

/* Convolution padded as TensorFlow's SAME, batch norm, relu6; x is freed. */
static inline torch_planes torch_conv(torch_net *net, torch_planes x, const char *conv,
                                      const char *norm, uint32_t stride, bool activate) {
    const nas_tensor *w = torch_find(net, conv, ".weight");
    const float *gamma = torch_find(net, norm, ".weight")->data;
    const float *beta = torch_find(net, norm, ".bias")->data;
    const float *mean = torch_find(net, norm, ".running_mean")->data;
    const float *var = torch_find(net, norm, ".running_var")->data;
    int k = (int)w->shape[2], in = (int)w->shape[1], side = (int)((x.side + stride - 1) / stride);
    int s = (int)stride, total = (side - 1) * s + k - (int)x.side;
    int before = total > 0 ? total / 2 : 0, from = (int)x.side;
    torch_planes y = {(uint32_t)w->shape[0], (uint32_t)side,
                      calloc((size_t)w->shape[0] * (size_t)(side * side), sizeof(double))};
    for (int o = 0; o < (int)y.c; o++)
        for (int p = 0; p < side * side; p++) {
            double sum = 0;
            for (int i = 0; i < in; i++)
                for (int t = 0; t < k * k; t++) {
                    int r = p / side * s + t / k - before, q = p % side * s + t % k - before;
                    int plane = in == 1 && x.c > 1 ? o : i;
                    if (r >= 0 && r < from && q >= 0 && q < from)
                        sum += (double)w->data[(o * in + i) * k * k + t] *
                               x.at[(plane * from + r) * from + q];
                }
            sum = (sum - (double)mean[o]) / sqrt((double)var[o] + 1e-3) * (double)gamma[o] +
                  (double)beta[o];
            y.at[o * side * side + p] = activate ? fmin(fmax(sum, 0), 6) : sum;
        }
    free(x.at);
    return y;
}

static inline torch_planes torch_block_run(torch_net *net, torch_planes x, uint32_t b) {
    const torch_block *k = &torch_blocks[b];
    char conv[64], norm[64];
    size_t n = (size_t)x.c * x.side * x.side;
    double *kept = malloc(n * sizeof *kept);
    memcpy(kept, x.at, n * sizeof *kept);
    static const char *const parts[][2] = {
        {"_expand_conv", "_bn0"}, {"_depthwise_conv", "_bn1"}, {"_project_conv", "_bn2"}};
    for (int i = k->inner == k->in; i < 3; i++) {
        snprintf(conv, sizeof conv, "_blocks.%u.%s", b, parts[i][0]);
        snprintf(norm, sizeof norm, "_blocks.%u.%s", b, parts[i][1]);
        x = torch_conv(net, x, conv, norm, i == 1 ? k->stride : 1, i < 2);
    }
    for (size_t i = 0; k->stride == 1 && k->in == k->out && i < n; i++) x.at[i] += kept[i];
    free(kept);
    return x;
}

/* Logits of an image [side][side][3] of 0 to 255. */
static inline void torch_run(torch_net *net, const uint8_t *image, uint32_t side, double *logits) {
    torch_planes x = {3, side, malloc((size_t)3 * side * side * sizeof(double))};
    for (uint32_t i = 0; i < 3 * side * side; i++)
        x.at[i % 3 * side * side + i / 3] = (image[i] - 127.0) / 128.0;
    x = torch_conv(net, x, "_conv_stem", "_bn0", 2, true);
    for (uint32_t b = 0; b < TORCH_BLOCKS; b++) x = torch_block_run(net, x, b);
    x = torch_conv(net, x, "_conv_head", "_bn1", 1, true);
    const float *w = torch_find(net, "_fc", ".weight")->data;
    const float *bias = torch_find(net, "_fc", ".bias")->data;
    size_t area = (size_t)x.side * x.side;
    for (uint32_t o = 0; o < TORCH_CLASSES; o++) {
        logits[o] = (double)bias[o];
        for (size_t i = 0; i < x.c * area; i++)
            logits[o] += (double)w[o * x.c + i / area] * x.at[i] / (double)area;
    }
    free(x.at);
}

#endif
