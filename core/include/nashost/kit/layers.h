/* nashost plugin kit: the names of operations and activations, the keys of layers in latency tables
 * (nashost/lut.h), and what a layer or a network holds, moves and computes. */
#ifndef NASHOST_KIT_LAYERS_H
#define NASHOST_KIT_LAYERS_H

#include <nashost/network.h>

/* "conv", "depthwise", "linear", "pool", "scale", "add"; "unknown" for any other number. [any] */
const char *nas_op_name(uint32_t op);

/* "none", "relu", "h-swish", "h-sigmoid", "relu6", "swish", "sigmoid"; "unknown" for any other
 * number. [any] */
const char *nas_activation_name(uint32_t activation);

/* What an activation makes of x, and its derivative there; at the kinks that of the flat side, or,
 * h-swish's at 3, of the line. An unknown number is none. [any] */
double nas_activation_value(uint32_t activation, double x);
double nas_activation_slope(uint32_t activation, double x);

/* Whether a layer has weights: a convolution, depthwise or linear. [any] */
bool nas_layer_weighs(const nas_layer *layer);

/* Input channels of each filter of a layer that has weights. [any] */
uint32_t nas_layer_depth(const nas_layer *layer);

/* The expansion of a layer's block as its genome has it; 0 outside blocks. [any] */
double nas_layer_expand(const nas_layer *layer);

/* Rows of zeros below a layer's input, and columns right of it, beside pad_before: kernel / 2 where
 * that is pad_before, else as many as the last output reads. [any] */
uint32_t nas_layer_pad_after(const nas_layer *layer);

/* What the constants of a network take on a device whose elements have so many bytes: 4: weights
 * and biases; 1: nas_int8_constant_bytes (nashost/kit/int8.h). [any] */
uint64_t nas_network_stored_bytes(const nas_network *net, uint32_t element_bytes);

/* Bytes of a number of a table's or a profile's dtype; 0: unknown. [any] */
uint32_t nas_dtype_bytes(const char *dtype);

#define NAS_LAYER_KEY 200 /* bytes that hold any key */

/* Writes a layer's key; returns buffer. [any] */
char *nas_layer_key(const nas_layer *layer, char buffer[NAS_LAYER_KEY]);

/* The inverse: fills op, activation, shapes, kernel, stride, expand, ratio and squeeze_excite,
 * takes the padding to be kernel / 2, and zeroes the rest. False if key is not exactly what
 * nas_layer_key writes for a known layer. [any] */
bool nas_layer_from_key(const char *key, nas_layer *l);

/* How many weights a layer has, counted from its shapes, so also for one that came from a key.
 * [any] */
double nas_layer_weights(const nas_layer *layer);

/* What a layer computes and moves: multiply-accumulates, and elements read and written. Counted
 * likewise. [any] */
void nas_layer_work(const nas_layer *layer, double *macs, double *elements);

#endif
