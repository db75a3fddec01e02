#include "c_layers.h"

#include <nashost/network.h>
#include <stddef.h>

/* ---- Single precision ---- */

/* C++ has no such word, but its compilers have one of their own. */
const char nas_c_float_restrict[] = "#ifdef __cplusplus\n"
                                    "#define @_restrict __restrict\n"
                                    "#else\n"
                                    "#define @_restrict restrict\n"
                                    "#endif\n";

const char nas_c_float_activation[] =
    "static void @_activate(float *x, int n, int activation) {\n"
    "    int i;\n"
    "    for (i = 0; i < n && activation; i++) {\n"
    "        float gate = x[i] + 3 < 0 ? 0 : x[i] + 3 > 6 ? 1 : (x[i] + 3) / 6;\n"
    "        if (activation == 1) x[i] = x[i] > 0 ? x[i] : 0;\n"
    "        if (activation == 2) x[i] *= gate; /* h-swish */\n"
    "        if (activation == 3) x[i] = gate;  /* h-sigmoid */\n";

const char nas_c_float_activation_end[] = "    }\n"
                                          "}\n";

const char nas_c_float_exp[] =
    "/* 2^n times Taylor's series of what is left of x, for x within 80 of 0. */\n"
    "static float @_exp(float x) {\n"
    "    float rest, sum = 1;\n"
    "    int n, i;\n"
    "    x = x < -80 ? -80 : x > 80 ? 80 : x;\n"
    "    n = (int)(x * 1.44269504f + (x < 0 ? -0.5f : 0.5f));\n"
    "    rest = x - (float)n * 0.693145752f - (float)n * 1.42860677e-6f;\n"
    "    for (i = 7; i > 0; i--) sum = 1 + sum * rest / (float)i;\n"
    "    for (i = 0; i < n; i++) sum *= 2;\n"
    "    for (i = 0; i > n; i--) sum /= 2;\n"
    "    return sum;\n"
    "}\n";

const char *nas_c_float_activation_more(uint32_t activation) {
    switch (activation) {
    case NAS_ACT_RELU6:
        return "        if (activation == 4) x[i] = x[i] < 0 ? 0 : x[i] > 6 ? 6 : x[i]; /* relu6 "
               "*/\n";
    case NAS_ACT_SWISH:
        return "        if (activation == 5) x[i] /= 1 + @_exp(-x[i]); /* swish */\n";
    case NAS_ACT_SIGMOID:
        return "        if (activation == 6) x[i] = 1 / (1 + @_exp(-x[i])); /* sigmoid */\n";
    default:
        return NULL;
    }
}

static const char float_conv[] =
    "/* [h][w][c] by weight [k][k][c][oc] to [oh][ow][oc], zeros outside. */\n"
    "static void @_conv(const float *in, int h, int w, int c, const float *weight,\n"
    "                   const float *bias, int k, int stride, int pad, int activation,\n"
    "                   float *@_restrict out, int oh, int ow, int oc) {\n"
    "    int y, x, ky, kx, i, o;\n"
    "    for (y = 0; y < oh; y++)\n"
    "        for (x = 0; x < ow; x++, out += oc) {\n"
    "            for (o = 0; o < oc; o++) out[o] = bias[o];\n"
    "            for (ky = 0; ky < k; ky++)\n"
    "                for (kx = 0; kx < k; kx++) {\n"
    "                    int iy = y * stride + ky - pad, ix = x * stride + kx - pad;\n"
    "                    const float *pixel = in + (iy * w + ix) * c;\n"
    "                    const float *row = weight + (ky * k + kx) * c * oc;\n"
    "                    if (iy < 0 || iy >= h || ix < 0 || ix >= w) continue;\n"
    "                    for (i = 0; i < c; i++, row += oc)\n"
    "                        for (o = 0; o < oc; o++) out[o] += pixel[i] * row[o];\n"
    "                }\n"
    "            @_activate(out, oc, activation);\n"
    "        }\n"
    "}\n";

static const char float_depthwise[] =
    "/* The same with one filter a channel: weight [k][k][c]. */\n"
    "static void @_depthwise(const float *in, int h, int w, int c, const float *weight,\n"
    "                        const float *bias, int k, int stride, int pad, int activation,\n"
    "                        float *@_restrict out, int oh, int ow) {\n"
    "    int y, x, ky, kx, i;\n"
    "    for (y = 0; y < oh; y++)\n"
    "        for (x = 0; x < ow; x++, out += c) {\n"
    "            for (i = 0; i < c; i++) out[i] = bias[i];\n"
    "            for (ky = 0; ky < k; ky++)\n"
    "                for (kx = 0; kx < k; kx++) {\n"
    "                    int iy = y * stride + ky - pad, ix = x * stride + kx - pad;\n"
    "                    const float *pixel = in + (iy * w + ix) * c;\n"
    "                    const float *row = weight + (ky * k + kx) * c;\n"
    "                    if (iy < 0 || iy >= h || ix < 0 || ix >= w) continue;\n"
    "                    for (i = 0; i < c; i++) out[i] += pixel[i] * row[i];\n"
    "                }\n"
    "            @_activate(out, c, activation);\n"
    "        }\n"
    "}\n";

static const char float_pool[] = "/* The average over n pixels. */\n"
                                 "static void @_pool(const float *in, int n, int c, float *out) {\n"
                                 "    int i, p;\n"
                                 "    for (i = 0; i < c; i++) {\n"
                                 "        float sum = 0;\n"
                                 "        for (p = 0; p < n; p++) sum += in[p * c + i];\n"
                                 "        out[i] = sum / (float)n;\n"
                                 "    }\n"
                                 "}\n";

static const char float_scale[] =
    "/* Each of n pixels times by [c]; out may be in. */\n"
    "static void @_scale(const float *in, const float *by, int n, int c, float *out) {\n"
    "    int i, p;\n"
    "    for (p = 0; p < n; p++)\n"
    "        for (i = 0; i < c; i++) out[p * c + i] = in[p * c + i] * by[i];\n"
    "}\n";

static const char float_add[] =
    "/* out may be in. */\n"
    "static void @_add(const float *in, const float *more, int n, float *out) {\n"
    "    int i;\n"
    "    for (i = 0; i < n; i++) out[i] = in[i] + more[i];\n"
    "}\n";

const char *nas_c_float_code(uint32_t op) {
    static const char *const code[] = {
        [NAS_OP_CONV] = float_conv,   [NAS_OP_DEPTHWISE] = float_depthwise,
        [NAS_OP_LINEAR] = float_conv, [NAS_OP_POOL] = float_pool,
        [NAS_OP_SCALE] = float_scale, [NAS_OP_ADD] = float_add};
    return op < sizeof code / sizeof *code ? code[op] : NULL;
}

/* ---- 8 bits ---- */

const char nas_c_int8_layer[] =
    "typedef struct @_layer {\n"
    "    int h, w, c, oh, ow, oc, k, stride;\n"
    "    int pad;                    /* zeros above and left of the input */\n"
    "    int depth;                  /* channels that a filter reads: c, or depthwise 1 */\n"
    "    int zero, other_zero;       /* of the inputs: q stands for scale * (q - zero) */\n"
    "    int shift, sum_zero;        /* sum * factor / 2^shift + sum_zero is q of the sum */\n"
    "    const signed char *weight;  /* [oc][k][k][depth] */\n"
    "    const int *bias, *factor;   /* [oc]; a factor for all, or two of an addition */\n"
    "    const signed char *table;   /* of the activation, [256]; 0: none, or relu */\n"
    "} @_layer;\n";

const char nas_c_int8_narrow[] =
    "static signed char @_narrow(const @_layer *l, long long product) {\n"
    "    long long q = ((product + (1LL << (l->shift - 1))) >> l->shift) + l->sum_zero;\n"
    "    q = q < -128 ? -128 : q > 127 ? 127 : q;\n"
    "    return l->table ? l->table[q + 128] : (signed char)q;\n"
    "}\n";

static const char int8_conv[] =
    "static void @_conv(const @_layer *l, const signed char *in, signed char *out) {\n"
    "    int y, x, ky, kx, i, o;\n"
    "    for (y = 0; y < l->oh; y++)\n"
    "        for (x = 0; x < l->ow; x++)\n"
    "            for (o = 0; o < l->oc; o++) {\n"
    "                const signed char *weight = l->weight + o * l->k * l->k * l->depth;\n"
    "                int sum = l->bias[o], first = l->depth < l->c ? o : 0;\n"
    "                for (ky = 0; ky < l->k; ky++)\n"
    "                    for (kx = 0; kx < l->k; kx++, weight += l->depth) {\n"
    "                        int iy = y * l->stride + ky - l->pad;\n"
    "                        int ix = x * l->stride + kx - l->pad;\n"
    "                        const signed char *pixel = in + (iy * l->w + ix) * l->c + first;\n"
    "                        if (iy < 0 || iy >= l->h || ix < 0 || ix >= l->w) continue;\n"
    "                        for (i = 0; i < l->depth; i++)\n"
    "                            sum += (pixel[i] - l->zero) * weight[i];\n"
    "                    }\n"
    "                *out++ = @_narrow(l, (long long)sum * l->factor[o]);\n"
    "            }\n"
    "}\n";

static const char int8_pool[] =
    "static void @_pool(const @_layer *l, const signed char *in, signed char *out) {\n"
    "    int i, p;\n"
    "    for (i = 0; i < l->c; i++) {\n"
    "        int sum = 0;\n"
    "        for (p = 0; p < l->h * l->w; p++) sum += in[p * l->c + i] - l->zero;\n"
    "        out[i] = @_narrow(l, (long long)sum * *l->factor);\n"
    "    }\n"
    "}\n";

static const char int8_scale[] =
    "/* Each pixel times by [c]; out may be in. */\n"
    "static void @_scale(const @_layer *l, const signed char *in, const signed char *by,\n"
    "                    signed char *out) {\n"
    "    int i, p;\n"
    "    for (p = 0; p < l->h * l->w; p++)\n"
    "        for (i = 0; i < l->c; i++) {\n"
    "            int product = (*in++ - l->zero) * (by[i] - l->other_zero);\n"
    "            *out++ = @_narrow(l, (long long)product * *l->factor);\n"
    "        }\n"
    "}\n";

static const char int8_add[] =
    "/* out may be in. */\n"
    "static void @_add(const @_layer *l, const signed char *in, const signed char *more,\n"
    "                  signed char *out) {\n"
    "    int i;\n"
    "    for (i = 0; i < l->h * l->w * l->c; i++)\n"
    "        out[i] = @_narrow(l, (long long)l->factor[0] * (in[i] - l->zero) +\n"
    "                                 (long long)l->factor[1] * (more[i] - l->other_zero));\n"
    "}\n";

const char nas_c_int8_last[] =
    "static void @_last(const @_layer *l, const signed char *in, const float *scale,\n"
    "                   float *logits) {\n"
    "    int i, o;\n"
    "    for (o = 0; o < l->oc; o++) {\n"
    "        int sum = l->bias[o];\n"
    "        for (i = 0; i < l->c; i++) sum += (in[i] - l->zero) * l->weight[o * l->c + i];\n"
    "        logits[o] = (float)sum * scale[o];\n"
    "    }\n"
    "}\n";

const char *nas_c_int8_code(uint32_t op) {
    static const char *const code[] = {
        [NAS_OP_CONV] = int8_conv, [NAS_OP_DEPTHWISE] = int8_conv, [NAS_OP_LINEAR] = int8_conv,
        [NAS_OP_POOL] = int8_pool, [NAS_OP_SCALE] = int8_scale,    [NAS_OP_ADD] = int8_add};
    return op < sizeof code / sizeof *code ? code[op] : NULL;
}
