/* The layers of a subnet, with their roles. What a block consists of is said here alone: the
 * lowered network, the supernet's tensors and the engine's plan are all made from this list. */
#ifndef NAS_SPACE_LAYOUT_H
#define NAS_SPACE_LAYOUT_H

#include "space/genome.h"

#define NAS_MAX_LAYERS (8 + NAS_MAX_STAGES * NAS_MAX_DEPTH * 8)
#define NAS_TENSOR_NAME 64 /* characters of a tensor's name, with the 0 */

/* What a layer is to the network. A block is EXPAND to ADD, in this order. */
typedef enum nas_role {
    NAS_ROLE_STEM,
    NAS_ROLE_EXPAND, /* 1x1 to the inner width; absent where that is the input's */
    NAS_ROLE_DEPTHWISE,
    NAS_ROLE_SQUEEZE, /* squeeze-excite, in the stages that have it: average, two linear layers, */
    NAS_ROLE_REDUCE,
    NAS_ROLE_EXCITE,
    NAS_ROLE_SCALE,   /* and the depthwise layer's result times what they make */
    NAS_ROLE_PROJECT, /* 1x1 to the output width */
    NAS_ROLE_ADD,     /* the block's input, where there is a residual connection */
    NAS_ROLE_HEAD,
    NAS_ROLE_POOL,
    NAS_ROLE_HIDDEN,
    NAS_ROLE_CLASSIFIER,
} nas_role;

/* Lists a subnet's layers in execution order, complete but for weight and bias, which are NULL, and
 * their roles: both [NAS_MAX_LAYERS]. Returns their number. [any] */
uint32_t nas_layout(const nas_space *space, const nas_arch *arch, nas_layer *layers,
                    nas_role *roles);

/* True if batch norm follows the layer, in training. [any] */
static inline bool nas_layer_has_norm(const nas_layer *layer) {
    return layer->op == NAS_OP_CONV || layer->op == NAS_OP_DEPTHWISE;
}

/* True if the layer has a bias of its own, in training: a linear layer, but not a hidden one where
 * the space says so. Folded, all layers with weights have one, which is 0 here. [any] */
bool nas_layer_has_bias(const nas_space *space, const nas_layer *layer);

/* The name of a layer's tensor in the supernet: part is ".conv", ".weight", ".bias", ".bn.gamma" or
 * ".bn.beta". [any] */
void nas_layer_tensor_name(const nas_layer *layer, const char *part, char name[NAS_TENSOR_NAME]);

#endif
