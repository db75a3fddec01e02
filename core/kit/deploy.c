#include <nashost/kit/deploy.h>

#include <nashost/kit/json_file.h>
#include <nashost/kit/layers.h>

#include <errno.h>
#include <math.h>
#include <string.h>

static int check_layer(const char *who, const nas_layer *layer, nas_error *err) {
    bool weighs = nas_layer_weighs(layer), known = layer->op >= 1 && layer->op <= NAS_OP_ADD;
    uint64_t taps = (uint64_t)layer->kernel * layer->kernel;
    uint64_t count = weighs ? taps * nas_layer_depth(layer) * layer->out.c : 0;
    if (!known || layer->weights != count || layer->biases != (weighs ? layer->out.c : 0))
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "%s: layer %.39s: expected %llu weights, found %llu of an operation "
                        "numbered %u",
                        who, layer->name, (unsigned long long)count,
                        (unsigned long long)layer->weights, layer->op);
    if (layer->activation > NAS_ACT_SIGMOID)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "%s: layer %.39s: expected an activation numbered 0 to %d, found %u", who,
                        layer->name, NAS_ACT_SIGMOID, layer->activation);
    if (weighs && (!layer->weight || !layer->bias))
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "%s: layer %.39s: expected weights, found only their number", who,
                        layer->name);
    return NAS_OK;
}

int nas_deploy_check(const char *who, const nas_network *network, nas_error *err) {
    if (!NAS_HAS(network, std) || !network->mean || !network->std || !network->genome)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "%s: expected a network with genome, mean and std, found none", who);
    if (!network->n_layers)
        return nas_fail(err, NAS_ERR_PLUGIN, "%s: expected a network with layers, found none", who);
    for (uint32_t i = 0; i < network->n_layers; i++) {
        int rc = check_layer(who, nas_network_layer(network, i), err);
        if (rc) return rc;
    }
    return NAS_OK;
}

int nas_deploy_check_finite(const char *who, const nas_network *net, nas_error *err) {
    for (uint32_t i = 0; i < net->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(net, i);
        bool good = true;
        for (uint64_t k = 0; k < layer->weights; k++) good = good && isfinite(layer->weight[k]);
        for (uint64_t k = 0; k < layer->biases; k++) good = good && isfinite(layer->bias[k]);
        if (!good)
            return nas_fail(err, NAS_ERR_NUMERIC, "%s: layer %.39s: a weight is not finite", who,
                            layer->name);
    }
    return NAS_OK;
}

void nas_deploy_transpose(const nas_layer *layer, float *to) {
    size_t taps = (size_t)layer->kernel * layer->kernel, out = layer->out.c;
    size_t in = nas_layer_depth(layer);
    for (size_t o = 0; o < out; o++)
        for (size_t i = 0; i < in; i++)
            for (size_t t = 0; t < taps; t++) *to++ = layer->weight[(t * in + i) * out + o];
}

uint64_t nas_deploy_most_weights(const nas_network *network) {
    uint64_t most = 0;
    for (uint32_t i = 0; i < network->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(network, i);
        if (layer->weights > most) most = layer->weights;
    }
    return most;
}

json_t *nas_deploy_classes(const nas_network *network) {
    if (!NAS_HAS(network, class_names) || !network->class_names) return NULL;
    json_t *list = json_array();
    for (uint32_t i = 0; i < network->classes; i++)
        nas_json_add(&list, nas_text_json(network->class_names[i]));
    return list;
}

int nas_deploy_write(const char *who, const char *path, bool (*print)(void *context, FILE *file),
                     void *context, nas_error *err) {
    errno = 0;
    FILE *file = fopen(path, "wb");
    bool good = file && print(context, file) && fflush(file) == 0;
    /* A print whose result was not looked at, and a flush that went well since, lose text. */
    good = good && !ferror(file);
    int reason = errno;
    if (file && fclose(file) != 0) {
        if (good) reason = errno;
        good = false;
    }
    if (good) return NAS_OK;
    return nas_fail(err, reason == ENOMEM ? NAS_ERR_MEMORY : NAS_ERR_IO, "%s: cannot write %s: %s",
                    who, path, reason ? strerror(reason) : "a part of it was lost");
}
