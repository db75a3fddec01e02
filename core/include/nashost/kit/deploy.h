/* nashost plugin kit: what exporters have in common, for plugins that use Jansson. */
#ifndef NASHOST_KIT_DEPLOY_H
#define NASHOST_KIT_DEPLOY_H

#include <nashost/export.h>

#include <jansson.h>

/* Fails unless the host has filled in what it takes to run the network: genome, mean, deviation,
 * layers, weights, and operations and activations of this header's time. who: the plugin's id, for
 * messages. [any] */
int nas_deploy_check(const char *who, const nas_network *network, nas_error *err);

/* Fails unless all weights are finite numbers. [any] */
int nas_deploy_check_finite(const char *who, const nas_network *net, nas_error *err);

/* A layer's weights in PyTorch's and ONNX's order, [out][in][k][k], into to [layer->weights]; a
 * depthwise filter has in = 1, a linear layer k = 1. [any] */
void nas_deploy_transpose(const nas_layer *layer, float *to);

/* The weights of the layer that has most: the room that nas_deploy_transpose takes. [any] */
uint64_t nas_deploy_most_weights(const nas_network *network);

/* The class names as a JSON array; NULL: there are none, or out of memory. The caller owns it.
 * [any] */
json_t *nas_deploy_classes(const nas_network *network);

/* Opens path, has print write its content, and closes it; print returns false where writing failed.
 * [any] */
int nas_deploy_write(const char *who, const char *path, bool (*print)(void *context, FILE *file),
                     void *context, nas_error *err);

#endif
