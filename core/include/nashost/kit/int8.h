/* nashost plugin kit: networks in 8 bits, after training, by the ranges in nas_network. What the
 * host runs to tell the accuracy and what exporters with NAS_EXT_INT8 write compute alike. Every
 * function here: [any].
 *
 * An element q, -128 to 127, stands for scale * (q - zero) (Jacob et al., arXiv 1712.05877).
 * Weights have a scale for each output channel, no zero, and -127 to 127, or -63 to 63 where the
 * network's weight_bits are 7. A layer sums up in 32 bits, exactly:
 *
 * - conv, depthwise, linear: sum = bias[o] + sum of (q - zero) * weight; product = sum * factor[o]
 * - pool: product = (sum of q - zero) * factor[0]
 * - scale: product = (q0 - zero0) * (q1 - zero1) * factor[0]
 * - add: product = (q0 - zero0) * factor[0] + (q1 - zero1) * factor[1]
 *
 * and brings the product, in 64 bits, to 8 by nas_int8_narrow. Relu and relu6 need no more, since
 * -128 stands for 0 then and 127 for 6 at most; the other activations are a table of 256. The last
 * layer's result stays sum * in.scale * scale[o] in single precision. */
#ifndef NASHOST_KIT_INT8_H
#define NASHOST_KIT_INT8_H

#include <nashost/network.h>
#include <nashost/plugin.h>

typedef struct nas_int8_format {
    float scale;
    int32_t zero; /* -128 to 127 */
} nas_int8_format;

/* A layer in 8 bits. What its operation has no use for is NULL or 0. */
typedef struct nas_int8_layer {
    nas_int8_format in[2], result;
    nas_int8_format sum; /* before the activation; result's if that is no table */
    float *scale;        /* [out.c] of weights */
    int8_t *weight;      /* [layer->weights], in the layer's order */
    int32_t *bias;       /* [out.c], in units of in[0].scale * scale[o] */
    int32_t *factor;     /* [factors], each times 2^-shift */
    uint32_t factors;    /* out.c, 1 (pool, scale) or 2 (add); 0: the last layer */
    int shift;           /* 1 to 62 */
    bool has_table;
    int8_t table[256]; /* activation of sum: table[q + 128] */
} nas_int8_layer;

/* Below this a scale says that all is 0, and its inverse would be too large. */
#define NAS_INT8_LEAST_SCALE 0x1p-24f

/* Elements of the longest filter whose sum cannot leave 32 bits, the bias taking up to 2^29. */
#define NAS_INT8_LONGEST_FILTER 32768u

/* The format whose 256 values span low to high and 0. */
nas_int8_format nas_int8_span(double low, double high);

/* A number in a format: rounded to the nearest, halves to even. */
int8_t nas_int8_of(nas_int8_format f, double value);

/* What q stands for in a format. */
double nas_int8_value(nas_int8_format f, int8_t q);

/* A product in 8 bits: times 2^-shift, rounded to the nearest, halves up. Shifting right is to
 * divide and round down here, as every compiler does it. Inline because it is called for each
 * element of each layer: called in the kit, it makes an evaluation in 8 bits 13 % longer. */
static inline int8_t nas_int8_narrow(int64_t product, int shift, int32_t zero) {
    int64_t q = ((product + ((int64_t)1 << (shift - 1))) >> shift) + zero;
    q = q > -128 ? q : -128; /* two steps, for which compilers need no jump */
    q = q < 127 ? q : 127;
    return (int8_t)q;
}

/* The largest weight of a network in 8 bits: 127 or 63. */
int32_t nas_int8_largest_weight(const nas_network *net);

/* The normalised image's format: all that pixels can be. */
nas_int8_format nas_int8_image(const nas_network *net);

/* A pixel of channel c in it. */
int8_t nas_int8_pixel(const nas_network *net, uint32_t c, uint8_t pixel);

/* What sums are multiplied with to come into the format of to->sum. */
double nas_int8_real_factor(const nas_layer *layer, const nas_int8_layer *to, uint32_t which);

/* Whether a layer's activation is a table in 8 bits: it is no relu, and not none. */
bool nas_int8_has_table(const nas_layer *layer);

/* Bytes of all constants of a network in 8 bits as the exporter `c` stores them on a machine of 32
 * bits: weights, biases, factors, tables, the layers' numbers, pixels' values and the logits'
 * scales; of a network without weights or ranges too. */
uint64_t nas_int8_constant_bytes(const nas_network *net);

/* Leaves it zeroed; a zeroed one is fine. */
void nas_int8_free(nas_int8_layer *layer);

/* Whether a network can be run in 8 bits. who: whom the message names. */
int nas_int8_check(const char *who, const nas_network *net, nas_error *err);

/* Layer i of a network that nas_int8_check accepts; the caller frees with nas_int8_free. */
int nas_int8_make(const nas_network *net, uint32_t i, nas_int8_layer *to, nas_error *err);

/* Frees all layers of a network; NULL is fine. */
void nas_int8_free_all(const nas_network *net, nas_int8_layer *layers);

/* All layers of a network, after nas_int8_check; the caller frees with nas_int8_free_all. */
int nas_int8_make_all(const char *who, const nas_network *net, nas_int8_layer **layers,
                      nas_error *err);

#endif
