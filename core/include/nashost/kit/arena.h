/* nashost plugin kit: where a network's tensors lie in one block of memory, for exporters that
 * allocate nothing. Every function here: [any].
 *
 * The block is as large as what lives at once where a plan for that is found, else tensors are
 * placed by falling size (arXiv 2001.03288). */
#ifndef NASHOST_KIT_ARENA_H
#define NASHOST_KIT_ARENA_H

#include <nashost/network.h>
#include <nashost/plugin.h>

typedef struct nas_tensor {
    uint64_t elements, offset;
    uint32_t from, to;  /* layers: the one that makes it and the last that reads it */
    uint32_t placed_as; /* the tensor whose place it takes, by its index: itself, or an input */
} nas_tensor;

/* tensors[0] is the image, tensors[i + 1] the result of layer i. */
typedef struct nas_arena {
    nas_tensor *tensors;
    uint32_t *order; /* in which they are placed */
    uint32_t n;
    uint64_t elements; /* of the whole */
} nas_arena;

/* The place of tensor i (0: the image, i + 1: layer i's result), in elements. */
uint64_t nas_arena_place(const nas_arena *p, uint32_t i);

/* Leaves it zeroed; a zeroed one is fine. */
void nas_arena_free(nas_arena *p);

/* Plans; NAS_ERR_MEMORY alone can fail. The caller frees with nas_arena_free. */
int nas_arena_make(const nas_network *net, nas_arena *p, nas_error *err);

#endif
