/* Parts of an ONNX graph, in memory that is freed with the whole model. Once a builder has failed,
 * its functions do nothing and return NULL. */
#ifndef NASHOST_ONNX_GRAPH_H
#define NASHOST_ONNX_GRAPH_H

#include <nashost/kit/int8.h>

#include <onnx.pb-c.h>

typedef struct builder {
    const nas_network *network;
    struct chunk *chunks; /* everything of one model, freed at once */
    bool failed;          /* out of memory */
    Onnx__GraphProto *graph;
    char **outputs;       /* [n_layers]: the name of each layer's result */
    bool *flat;           /* [n_layers]: the result is [batch][c], not [batch][c][h][w] */
    nas_int8_layer *int8; /* [n_layers]; NULL: float32 */
} builder;

/* n zeroed items; NULL after a failure. */
void *nas_onnx_take(builder *b, size_t n, size_t size);

/* Room for n pointers of any kind. */
void *nas_onnx_take_list(builder *b, size_t n);

/* Frees all that was taken. */
void nas_onnx_release(builder *b);

/* The concatenation of two texts. */
char *nas_onnx_text(builder *b, const char *first, const char *second);

/* A text that outlives the model; protobuf-c asks for no const, but does not write. */
char *nas_onnx_as_is(const char *lasting);

/* A node of one output, and of one to three inputs; NULL: none. */
Onnx__NodeProto *nas_onnx_add_node(builder *b, const char *op, char *name, char *output,
                                   char *first, char *second, char *third);

/* Attributes of a node. */
void nas_onnx_add_int(builder *b, Onnx__NodeProto *node, const char *name, int64_t value);
void nas_onnx_add_float(builder *b, Onnx__NodeProto *node, const char *name, float value);

void nas_onnx_add_ints(builder *b, Onnx__NodeProto *node, const char *name, const int64_t *values,
                       size_t n);

/* A constant of n_dims sizes with fresh data to be filled in. */
void *nas_onnx_add_constant(builder *b, char *name, int32_t type, size_t bytes, size_t n_dims,
                            const int64_t *sizes);

/* The same of floats. */
float *nas_onnx_add_tensor(builder *b, char *name, size_t n_dims, const int64_t *sizes);

/* A tensor [batch][sizes...] that goes in or comes out. */
Onnx__ValueInfoProto **nas_onnx_make_value(builder *b, const char *name, size_t n,
                                           const int64_t *sizes);

#endif
