/* The plainest program that runs a lowered network, to compare engines with. Include after
 * <cmocka.h>: running out of memory fails the test. */
#ifndef NAS_TESTS_INTERPRETER_H
#define NAS_TESTS_INTERPRETER_H

#include "space/lower.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static inline float interpret_activation(float x, uint32_t activation) {
    float gate = fminf(fmaxf(x + 3, 0), 6) / 6, sigmoid = 1 / (1 + expf(-x));
    if (activation == NAS_ACT_RELU6) return fminf(fmaxf(x, 0), 6);
    if (activation == NAS_ACT_SWISH) return x * sigmoid;
    if (activation == NAS_ACT_SIGMOID) return sigmoid;
    if (activation == NAS_ACT_RELU) return fmaxf(x, 0);
    if (activation == NAS_ACT_HSWISH) return x * gate;
    return activation == NAS_ACT_HSIGMOID ? gate : x;
}

/* One output pixel of a convolution, dense or depthwise. */
static inline void interpret_pixel(const nas_layer *l, const float *in, uint32_t y, uint32_t x,
                                   float *out) {
    int pad = (int)l->pad_before;
    for (uint32_t tap = 0; tap < l->kernel * l->kernel; tap++) {
        int iy = (int)(y * l->stride + tap / l->kernel) - pad;
        int ix = (int)(x * l->stride + tap % l->kernel) - pad;
        if (iy < 0 || ix < 0 || iy >= (int)l->in.h || ix >= (int)l->in.w) continue;
        const float *pixel = in + ((size_t)iy * l->in.w + (size_t)ix) * l->in.c;
        for (uint32_t o = 0; o < l->out.c; o++) {
            if (l->op == NAS_OP_DEPTHWISE)
                out[o] += pixel[o] * l->weight[tap * l->out.c + o];
            else
                for (uint32_t i = 0; i < l->in.c; i++)
                    out[o] += pixel[i] * l->weight[(tap * l->in.c + i) * l->out.c + o];
        }
    }
}

static inline size_t interpret_elements(nas_shape shape) {
    return (size_t)shape.h * shape.w * shape.c;
}

/* op(input) + bias, before the activation. */
static inline void interpret_layer(const nas_layer *l, const float *a, const float *b, float *out) {
    size_t pixels = (size_t)l->in.h * l->in.w;
    for (size_t i = 0; i < interpret_elements(l->out); i++)
        out[i] = l->bias ? l->bias[i % l->out.c] : 0;
    if (l->op == NAS_OP_CONV || l->op == NAS_OP_DEPTHWISE)
        for (uint32_t i = 0; i < l->out.h * l->out.w; i++)
            interpret_pixel(l, a, i / l->out.w, i % l->out.w, out + i * l->out.c);
    for (size_t i = 0; l->op == NAS_OP_LINEAR && i < l->weights; i++)
        out[i % l->out.c] += a[i / l->out.c] * l->weight[i];
    for (size_t i = 0; l->op == NAS_OP_POOL && i < interpret_elements(l->in); i++)
        out[i % l->in.c] += a[i] / (float)pixels;
    for (size_t i = 0; l->op == NAS_OP_SCALE && i < interpret_elements(l->out); i++)
        out[i] = a[i] * b[i % l->out.c];
    for (size_t i = 0; l->op == NAS_OP_ADD && i < interpret_elements(l->out); i++)
        out[i] = a[i] + b[i];
}

/* The logits [classes] of one normalised image [h][w][c]. */
static inline void interpret(const nas_network *net, const float *image, float *logits) {
    float *results[NAS_MAX_LAYERS];
    for (uint32_t i = 0; i < net->n_layers; i++) {
        const nas_layer *l = nas_network_layer(net, i);
        const float *read[2] = {NULL, NULL};
        for (int j = 0; j < 2; j++)
            if (l->input[j] != NAS_INPUT_NONE)
                read[j] = l->input[j] == NAS_INPUT_IMAGE ? image : results[l->input[j]];
        results[i] = malloc(interpret_elements(l->out) * sizeof(float));
        assert_non_null(results[i]);
        interpret_layer(l, read[0], read[1], results[i]);
        for (size_t j = 0; j < interpret_elements(l->out); j++)
            results[i][j] = interpret_activation(results[i][j], l->activation);
    }
    memcpy(logits, results[net->n_layers - 1], net->classes * sizeof(float));
    for (uint32_t i = 0; i < net->n_layers; i++) free(results[i]);
}

#endif
