/* A prepared network as LiteRT's tensors and operators. */
#ifndef NASHOST_TFLITE_GRAPH_H
#define NASHOST_TFLITE_GRAPH_H

#include "schema.h"

#include <nashost/kit/int8.h>

/* The operators that are used, in any order; op_rows has their numbers. */
typedef enum op_kind {
    OP_CONV,
    OP_DEPTHWISE,
    OP_FULLY_CONNECTED,
    OP_ADD,
    OP_MUL,
    OP_MEAN,
    OP_PAD,
    OP_RELU,
    OP_RELU6,
    OP_MINIMUM,
    OP_HARD_SWISH,
    OP_LOGISTIC,
    OP_DEQUANTIZE,
    OP_KINDS
} op_kind;

/* What a schema says of an operator: its number, the version that takes floats (or float16), the
 * one that takes 8 bits, and the table of its options. */
typedef struct op_row {
    uint32_t builtin, float_version, int8_version, options;
} op_row;
extern const op_row nas_tflite_ops[OP_KINDS];

typedef struct tensor {
    char name[56];
    uint32_t type, rank;
    int32_t shape[4];
    void *data; /* a constant's; NULL: computed */
    size_t bytes;
    float *scale; /* [scales]; NULL: not quantised */
    uint32_t scales, dimension;
    int32_t zero;
} tensor;

typedef struct operation {
    op_kind kind;
    uint32_t inputs;
    int32_t input[3], output; /* tensors */
    uint32_t padding, stride; /* of convolutions */
    uint32_t activation;      /* fused */
} operation;

typedef struct graph {
    const nas_network *net;     /* prepared */
    const nas_int8_layer *int8; /* [n_layers]; NULL: float */
    bool half;                  /* weights in float16 */
    bool per_tensor;            /* one scale for all weights of a FULLY_CONNECTED */
    tensor *tensors;
    operation *operations;
    uint32_t n_tensors, n_operations;
    int32_t image, logits; /* tensors */
    int32_t *results;      /* [n_layers]: tensors */
    bool failed;           /* out of memory */
} graph;

/* Fills tensors and operations of a graph whose first four fields are set; the caller frees, also
 * after a failure. */
int nas_tflite_build(graph *g, nas_error *err);
void nas_tflite_free_graph(graph *g);

/* The version of an operator that takes a graph's numbers. */
uint32_t nas_tflite_version(const graph *g, op_kind kind);

#endif
