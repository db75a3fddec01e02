/* A network in operations that LiteRT has: normalisation becomes a layer, and an h-sigmoid, which
 * LiteRT does not know, part of the layer before it. */
#ifndef NASHOST_TFLITE_PREPARE_H
#define NASHOST_TFLITE_PREPARE_H

#include <nashost/network.h>
#include <nashost/plugin.h>

/* An activation of prepared networks alone: min(max(x, 0), 1). */
enum { ACT_CLAMP = 1000 };

typedef struct prepared {
    nas_network network;
    float in_mean, in_std; /* the model's input is (pixel - in_mean) / in_std */
    nas_layer *layers;
    nas_range *ranges;
    float *numbers; /* weights that differ from the network's, and mean and std */
} prepared;

/* In 8 bits an input byte is always the pixel less 128. The network must outlive p, which the
 * caller frees with nas_tflite_free_prepared, also after a failure. */
int nas_tflite_prepare(const nas_network *net, bool int8, prepared *p, nas_error *err);
void nas_tflite_free_prepared(prepared *p);

#endif
