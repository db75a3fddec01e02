/* Kernels of depthwise convolutions by learned matrices, as in once-for-all (arXiv 1908.09791,
 * section 3.3): of a larger kernel's centre, taken as a vector for each channel, a matrix makes the
 * next smaller one. The matrices are tensors [to * to][to * to] of the supernet, one for each two
 * neighbouring choices of a block's kernel, shared by its channels. */
#ifndef NAS_SUPERNET_KERNEL_CHAIN_H
#define NAS_SUPERNET_KERNEL_CHAIN_H

#include "supernet/slice.h"

#define NAS_KERNEL_STEPS 3 /* 7 to 5 to 3 to 1 */

typedef struct nas_kernel_step {
    size_t to,
        matrix; /* side of the kernel that it makes; offset of its matrix in the flat array */
} nas_kernel_step;

/* From a tensor's kernel to a layer's. */
typedef struct nas_kernel_chain {
    int n;            /* steps; 0: the layer's kernel is the tensor's centre */
    nas_slice source; /* that the first step reads */
    nas_kernel_step step[NAS_KERNEL_STEPS];
} nas_kernel_chain;

/* The chain of a layer whose slice was found. [any] */
nas_kernel_chain nas_kernel_chain_find(const nas_supernet *supernet, const nas_layer *layer,
                                       const nas_slice *slice);

/* Values of work memory that suffice for any chain from a slice's tensor. [any] */
size_t nas_kernel_room(const nas_slice *slice);

/* Makes the layer's kernel [k * k][c]; in room stays what backward needs. [worker] */
void nas_kernel_chain_forward(const nas_kernel_chain *chain, const nas_real *weights,
                              nas_real *room, nas_real *kernel);

/* Where in room backward wants the kernel's gradient [k * k][c]. [any] */
nas_real *nas_kernel_chain_result(const nas_kernel_chain *chain, nas_real *room);

/* Adds the gradients of the tensor and of the matrices to gradient (as weights), after forward with
 * the same weights. [worker] */
void nas_kernel_chain_backward(const nas_kernel_chain *chain, const nas_real *weights,
                               nas_real *room, nas_real *gradient);

/* The kernel alone, in memory of its own that the caller frees; NULL: out of memory. [any] */
nas_real *nas_kernel_chain_make(const nas_kernel_chain *chain, const nas_real *weights);

#endif
