/* nashost plugin SDK: one subnet as a list of layers, as hardware models and exporters see it. */
#ifndef NASHOST_NETWORK_H
#define NASHOST_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum nas_op {
    NAS_OP_CONV = 1,      /* dense convolution, also 1x1; weight [k][k][in.c][out.c] */
    NAS_OP_DEPTHWISE = 2, /* one filter a channel; weight [k][k][c] */
    NAS_OP_LINEAR = 3,    /* fully connected; weight [in.c][out.c] */
    NAS_OP_POOL = 4,      /* global average over h and w */
    NAS_OP_SCALE = 5,     /* input[0] [h][w][c] times input[1] [c] (squeeze-excite) */
    NAS_OP_ADD = 6,       /* input[0] + input[1], same shape (residual) */
} nas_op;

typedef enum nas_activation {
    NAS_ACT_NONE = 0,
    NAS_ACT_RELU = 1,
    NAS_ACT_HSWISH = 2,   /* x * min(max(x + 3, 0), 6) / 6, arXiv 1905.02244 */
    NAS_ACT_HSIGMOID = 3, /* min(max(x + 3, 0), 6) / 6 */
    NAS_ACT_RELU6 = 4,    /* min(max(x, 0), 6) */
    NAS_ACT_SWISH = 5,    /* x / (1 + exp(-x)), arXiv 1710.05941 */
    NAS_ACT_SIGMOID = 6,  /* 1 / (1 + exp(-x)) */
} nas_activation;

typedef struct nas_shape {
    uint32_t h, w, c;
} nas_shape;

/* A layer computes activation(op(input) + bias). Batch norm is folded into weight and bias.
 * out = ceil(in / stride); around the input are as many zeros as it takes, pad_before of them in
 * front. */
typedef struct nas_layer {
    uint32_t op;         /* nas_op */
    uint32_t activation; /* nas_activation */
    char name[40];       /* such as "stage2.block0.depthwise" */
    int32_t input[2];    /* indices of the layers it reads; -1: the image; unused: -2 */
    nas_shape in, out;   /* of input[0], and of the result */
    uint32_t kernel, stride;
    uint32_t expand;            /* of its block, rounded; 0 outside blocks */
    uint32_t squeeze_excite;    /* 1 if its block has squeeze-excite */
    uint64_t macs;              /* multiply-accumulates for one image */
    uint64_t weights, biases;   /* how many, after folding */
    const float *weight, *bias; /* NULL when only the shape of the network matters */
    uint32_t pad_before; /* rows of zeros above the input, and columns left of it; kernel / 2, or
                            fewer at stride 2 where padding is TensorFlow's SAME */
    float expand_ratio;  /* expand, not rounded; 0: expand is right */
} nas_layer;

/* The values that a tensor took. */
typedef struct nas_range {
    float min, max;
} nas_range;

#define NAS_INPUT_IMAGE (-1)
#define NAS_INPUT_NONE (-2)

/* A subnet. Layers stand in execution order. All pointers are the host's and live as long as the
 * structure. */
typedef struct nas_network {
    uint32_t size;
    uint32_t layer_size; /* the host's sizeof(nas_layer): find layers by nas_network_layer */
    uint32_t n_layers;
    uint32_t classes;
    const void *layers;
    nas_shape image; /* uint8 input [h][w][c] at the subnet's resolution */
    uint64_t macs;   /* sum over layers */
    uint64_t params; /* trainable parameters before folding: weights, biases, BN's gamma and beta */
    uint64_t peak_elements; /* of the block that the image and all results but the last one take as
                               nashost/kit/arena.h plans it */
    const char *genome;     /* JSON text */
    /* The network reads (image / 255 - mean[c]) / std[c]. */
    const float *mean, *std;        /* [image.c] */
    const char *const *class_names; /* [classes], or NULL */
    /* What to keep in 8 bits, for exporters with NAS_EXT_INT8: of each layer's op(input) + bias
     * before the activation, and of its result. [n_layers], or NULL where nobody asked. */
    const nas_range *sums, *results;
    uint32_t weight_bits; /* of weights in 8 bits: 7 for -63 to 63; 8 or 0 for -127 to 127 */
} nas_network;

/* The numbers that a tensor of a shape holds. [any] */
static inline uint64_t nas_shape_elements(nas_shape shape) {
    return (uint64_t)shape.h * shape.w * shape.c;
}

/* Layer i of a network. [any] */
static inline const nas_layer *nas_network_layer(const nas_network *net, uint32_t i) {
    return (const nas_layer *)(const void *)((const char *)net->layers +
                                             (size_t)i * net->layer_size);
}

#endif
