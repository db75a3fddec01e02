/* From a genome to the list of layers that hardware models and exporters read. */
#ifndef NAS_SPACE_LOWER_H
#define NAS_SPACE_LOWER_H

#include "space/layout.h"

/* A network that owns its layers. network.layers points into layers: do not copy the structure. */
typedef struct nas_lowered {
    nas_network network;
    nas_layer layers[NAS_MAX_LAYERS];
    char *genome; /* JSON text */
} nas_lowered;

/* Layers in execution order: "stem"; for each block "stageS.blockB." with expand, depthwise,
 * squeeze (pool), reduce, excite, scale, project, add; "head", "pool", "hiddenH", "classifier".
 * Activations are fused; the two linear layers of squeeze-excite are NAS_OP_LINEAR. Weights are
 * NULL. The caller frees with nas_lowered_free. [any] */
int nas_lower(const nas_space *space, const nas_genome *genome, nas_lowered **lowered,
              nas_error *err);
void nas_lowered_free(nas_lowered *lowered);

/* The elements of the block of memory in which the layers can run in order, as exporters plan it
 * (nashost/kit/arena.h): the last layer's result lies outside. NAS_ERR_MEMORY alone can fail.
 * [any] */
int nas_peak_elements(const nas_network *network, uint64_t *peak, nas_error *err);

#endif
