/* What a subnet is to the engine: a list of units (convolution + batch norm + activation), and the
 * linear layers behind them. A pure function of the supernet and the architecture.
 *
 * A unit stores y, its convolution's output before batch norm; who reads it applies batch norm and
 * activation on the fly. Outputs of the stem and of blocks, which residuals need too, are stored as
 * nodes by their first reader. */
#ifndef NAS_SUPERNET_ENGINE_PLAN_H
#define NAS_SUPERNET_ENGINE_PLAN_H

#include "nn/kernels.h"
#include "supernet/kernel_chain.h"

/* Each chunk of a batch has sums and weight gradients of its own, which cost as much for one image
 * as for many: it has at least so many in training. */
#define NAS_CHUNK_IMAGES 4

#define NAS_MAX_UNITS (2 + NAS_MAX_STAGES * NAS_MAX_DEPTH * 3)
#define NAS_MAX_NODES (1 + NAS_MAX_STAGES * NAS_MAX_DEPTH)
#define NAS_MAX_LINEARS (NAS_MAX_HIDDEN + 1)

typedef enum nas_unit_kind { NAS_UNIT_STEM, NAS_UNIT_POINTWISE, NAS_UNIT_DEPTHWISE } nas_unit_kind;

/* Squeeze-excite between a depthwise unit and its projection. */
typedef struct nas_squeeze {
    size_t c, r;                     /* inner and reduced width; 0: none */
    nas_slice reduce, excite;        /* weights [c][r], [r][c] */
    size_t reduce_bias, excite_bias; /* offsets in the flat array */
    nas_activation act, gate_act;    /* behind reduce, and behind excite */
} nas_squeeze;

typedef struct nas_unit {
    nas_unit_kind kind;
    nas_activation act;
    uint32_t h, w, c, oh, ow, oc, k, stride, pad; /* pad: zeros before the input */
    int source;                                   /* the unit whose y it reads; -1: the images */
    int node;            /* the node that holds its input, stored by this unit; -1: none */
    int residual;        /* node added to this unit's input when it is stored as a node; -1: none */
    nas_squeeze squeeze; /* on the input; c = 0: none */
    nas_slice weight;    /* stem [k * k * c][oc], pointwise [c][oc], depthwise [k * k][c] */
    nas_kernel_chain chain; /* of a depthwise unit whose kernel matrices make */
    size_t chain_room;      /* work memory of any of its kernels */
    size_t gamma, beta;     /* offsets in the flat array */
    size_t bn;              /* of its channels in arrays of all channels, such as nas_bn_stats */
    size_t values;          /* oh * ow * oc */
    bool expands;           /* expand.c's: an expansion of few inputs */
    bool at_once; /* its weights' gradient is one product over all images, not one a chunk */
} nas_unit;

typedef struct nas_node {
    size_t values;
    int unit; /* that makes it */
} nas_node;

typedef struct nas_linear {
    size_t in, out, weight, bias; /* widths; offsets in the flat array */
    bool biased;                  /* else bias is nothing */
    nas_activation act;
} nas_linear;

typedef struct nas_engine_plan {
    int n_units, n_nodes, n_linears;
    int trunk; /* units at the start that all subnets share */
    double bn_epsilon;
    nas_unit units[NAS_MAX_UNITS];
    nas_node nodes[NAS_MAX_NODES];
    nas_linear linears[NAS_MAX_LINEARS];
} nas_engine_plan;

/* [any] */
void nas_engine_plan_make(const nas_supernet *supernet, const nas_arch *arch,
                          nas_engine_plan *plan);

/* Rows and values of a unit's weight matrix. */
static inline size_t nas_unit_rows(const nas_unit *u) {
    return nas_slice_rows(&u->weight);
}

static inline size_t nas_unit_weights(const nas_unit *u) {
    return nas_slice_rows(&u->weight) * u->weight.columns;
}

/* Values of its input for one image. */
static inline size_t nas_unit_inputs(const nas_unit *u) {
    return (size_t)u->h * u->w * u->c;
}

/* Of a depthwise unit. */
static inline nas_depthwise nas_unit_shape(const nas_unit *u) {
    return (nas_depthwise){u->h, u->w, u->oh, u->ow, u->c, u->k, u->stride, u->pad};
}

/* The expansion whose product is computed by the sweeps of unit u, or NULL. */
static inline const nas_unit *nas_unit_expansion(const nas_unit *u) {
    return u->source >= 0 && u[-1].expands ? u - 1 : NULL;
}

#endif
