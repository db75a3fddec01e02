#include "space/lower.h"

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
    result->network.peak_elements = nas_peak_elements(&result->network);
    *lowered = result;
    return NAS_OK;
}

void nas_lowered_free(nas_lowered *lowered) {
    if (!lowered) return;
    free(lowered->genome);
    free(lowered);
}

static bool reads(const nas_layer *layer, int32_t tensor) {
    return layer->input[0] == tensor || layer->input[1] == tensor;
}

/* Whether a layer from first on reads the tensor. */
static bool read_from(const nas_network *network, uint32_t first, int32_t tensor) {
    for (uint32_t i = first; i < network->n_layers; i++) {
        if (reads(nas_network_layer(network, i), tensor)) return true;
    }
    return false;
}

static uint64_t tensor_elements(const nas_network *network, int32_t tensor) {
    return nas_shape_elements(tensor < 0 ? network->image
                                         : nas_network_layer(network, (uint32_t)tensor)->out);
}

uint64_t nas_peak_elements(const nas_network *network) {
    uint64_t peak = 0, alive = 0;
    if (read_from(network, 0, NAS_INPUT_IMAGE)) alive = nas_shape_elements(network->image);
    for (uint32_t i = 0; i < network->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(network, i);
        int32_t first = layer->input[0], second = layer->input[1];
        bool in_place = (layer->op == NAS_OP_ADD || layer->op == NAS_OP_SCALE) && first >= 0 &&
                        !read_from(network, i + 1, first);
        if (!in_place) alive += nas_shape_elements(layer->out);
        if (alive > peak) peak = alive;
        if (!in_place && first != NAS_INPUT_NONE && !read_from(network, i + 1, first)) {
            alive -= tensor_elements(network, first);
        }
        if (second != NAS_INPUT_NONE && second != first && !read_from(network, i + 1, second)) {
            alive -= tensor_elements(network, second);
        }
        if (!read_from(network, i + 1, (int32_t)i)) alive -= nas_shape_elements(layer->out);
    }
    return peak;
}
