/* The operations of a network as C99 source, for exporters that write it with
 * nas_c_template, where "@" stands for what names begin with.
 *
 * Images and tensors are [h][w][c], weights as in nas_layer. In single precision each function
 * takes the layer's numbers one by one; in 8 bits they stand in a structure, and the functions
 * compute as nashost/kit/int8.h does. */
#ifndef NASHOST_C_LAYERS_H
#define NASHOST_C_LAYERS_H

#include <stdint.h>

/* ---- Single precision ---- */

/* Stands before all: what conv and depthwise call restrict. */
extern const char nas_c_float_restrict[];

/* Stands before the others: conv and depthwise call it, and other operations' callers do. Relu,
 * h-swish and h-sigmoid, lines for what more there is, and the end. */
extern const char nas_c_float_activation[];
const char *nas_c_float_activation_more(uint32_t activation); /* NULL: no line */
extern const char nas_c_float_activation_end[];

/* Stands before that where there is swish or sigmoid. */
extern const char nas_c_float_exp[];

/* The function of an operation; conv also serves linear, as a convolution of one pixel. */
const char *nas_c_float_code(uint32_t op);

/* ---- 8 bits ---- */

/* Stands before the others. A factor is 31 bits wide and its product is rounded in 64: exact on any
 * machine, and on a Cortex-M as fast as single precision, without an FPU too. */
extern const char nas_c_int8_layer[];

/* Called by all but the last layer. */
extern const char nas_c_int8_narrow[];

/* The last layer, linear, whose result is in single precision. */
extern const char nas_c_int8_last[];

/* The function of an operation, the last layer apart; conv serves all that have weights. */
const char *nas_c_int8_code(uint32_t op);

#endif
