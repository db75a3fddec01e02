#include "space/lower.h"

#include <nashost/kit/arena.h>

#include <stdlib.h>

static void add_up(const nas_space *space, nas_lowered *lowered) {
    nas_network *net = &lowered->network;
    for (uint32_t i = 0; i < net->n_layers; i++) {
        const nas_layer *layer = &lowered->layers[i];
        net->macs += layer->macs;
        net->params += layer->weights;
        if (nas_layer_has_norm(layer)) net->params += 2 * layer->biases; /* gamma and beta */
        if (nas_layer_has_bias(space, layer)) net->params += layer->biases;
    }
}

int nas_lower(const nas_space *space, const nas_genome *genome, nas_lowered **lowered,
              nas_error *err) {
    *lowered = NULL;
    nas_lowered *result = calloc(1, sizeof *result);
    if (result) result->genome = nas_genome_text(space, genome);
    if (!result || !result->genome) {
        nas_lowered_free(result);
        return nas_fail(err, NAS_ERR_MEMORY, "out of memory while listing a subnet's layers");
    }
    nas_arch arch = nas_genome_decode(space, genome);
    nas_role roles[NAS_MAX_LAYERS];
    result->network = (nas_network){.size = sizeof result->network,
                                    .layer_size = sizeof result->layers[0],
                                    .n_layers = nas_layout(space, &arch, result->layers, roles),
                                    .classes = space->classes,
                                    .layers = result->layers,
                                    .image = result->layers[0].in,
                                    .genome = result->genome};
    add_up(space, result);
    int rc = nas_peak_elements(&result->network, &result->network.peak_elements, err);
    if (rc)
        nas_lowered_free(result);
    else
        *lowered = result;
    return rc;
}

void nas_lowered_free(nas_lowered *lowered) {
    if (!lowered) return;
    free(lowered->genome);
    free(lowered);
}

int nas_peak_elements(const nas_network *network, uint64_t *peak, nas_error *err) {
    nas_arena plan;
    int rc = nas_arena_make(network, &plan, err);
    *peak = plan.elements;
    nas_arena_free(&plan);
    return rc;
}
