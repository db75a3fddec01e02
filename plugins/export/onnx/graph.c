#include "graph.h"

#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "ONNX's raw data are little-endian; this writer copies floats as they lie in memory"
#endif

/* ---- Memory: everything of one model, freed at once ---- */

typedef struct chunk {
    struct chunk *next;
    max_align_t data[];
} chunk;

void *nas_onnx_take(builder *b, size_t n, size_t size) {
    chunk *c = b->failed || n > SIZE_MAX / 2 / size ? NULL : calloc(1, sizeof *c + n * size);
    if (!c) {
        b->failed = true;
        return NULL;
    }
    c->next = b->chunks;
    b->chunks = c;
    return c->data;
}

void *nas_onnx_take_list(builder *b, size_t n) {
    return nas_onnx_take(b, n, sizeof(void *));
}

void nas_onnx_release(builder *b) {
    while (b->chunks) {
        chunk *next = b->chunks->next;
        free(b->chunks);
        b->chunks = next;
    }
}

char *nas_onnx_text(builder *b, const char *first, const char *second) {
    size_t n = strlen(first), m = strlen(second);
    char *copy = nas_onnx_take(b, n + m + 1, 1);
    if (!copy) return NULL;
    memcpy(copy, first, n);
    memcpy(copy + n, second, m);
    return copy;
}

char *nas_onnx_as_is(const char *lasting) {
    return (char *)(uintptr_t)lasting;
}

/* ---- Parts of a graph ---- */

Onnx__NodeProto *nas_onnx_add_node(builder *b, const char *op, char *name, char *output,
                                   char *first, char *second, char *third) {
    Onnx__NodeProto *node = nas_onnx_take(b, 1, sizeof *node);
    char **inputs = nas_onnx_take_list(b, 3), **outputs = nas_onnx_take_list(b, 1);
    Onnx__AttributeProto **attributes = nas_onnx_take_list(b, 4);
    if (b->failed) return NULL;
    inputs[0] = first;
    inputs[1] = second;
    inputs[2] = third;
    outputs[0] = output;
    onnx__node_proto__init(node);
    node->op_type = nas_onnx_as_is(op);
    node->name = name;
    node->input = inputs;
    node->n_input = third ? 3 : second ? 2 : 1;
    node->output = outputs;
    node->n_output = 1;
    node->attribute = attributes;
    b->graph->node[b->graph->n_node++] = node;
    return node;
}

static Onnx__AttributeProto *add_attribute(builder *b, Onnx__NodeProto *node, const char *name,
                                           Onnx__AttributeProto__AttributeType type) {
    Onnx__AttributeProto *a = nas_onnx_take(b, 1, sizeof *a);
    if (b->failed) return NULL;
    onnx__attribute_proto__init(a);
    a->name = nas_onnx_as_is(name);
    a->has_type = 1;
    a->type = type;
    node->attribute[node->n_attribute++] = a;
    return a;
}

void nas_onnx_add_int(builder *b, Onnx__NodeProto *node, const char *name, int64_t value) {
    Onnx__AttributeProto *a =
        add_attribute(b, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    if (!a) return;
    a->has_i = 1;
    a->i = value;
}

void nas_onnx_add_float(builder *b, Onnx__NodeProto *node, const char *name, float value) {
    Onnx__AttributeProto *a =
        add_attribute(b, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    if (!a) return;
    a->has_f = 1;
    a->f = value;
}

void nas_onnx_add_ints(builder *b, Onnx__NodeProto *node, const char *name, const int64_t *values,
                       size_t n) {
    Onnx__AttributeProto *a =
        add_attribute(b, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    int64_t *copy = nas_onnx_take(b, n, sizeof *copy);
    if (b->failed) return;
    memcpy(copy, values, n * sizeof *copy);
    a->ints = copy;
    a->n_ints = n;
}

void *nas_onnx_add_constant(builder *b, char *name, int32_t type, size_t bytes, size_t n_dims,
                            const int64_t *sizes) {
    size_t n = 1;
    for (size_t i = 0; i < n_dims; i++) n *= (size_t)sizes[i];
    Onnx__TensorProto *tensor = nas_onnx_take(b, 1, sizeof *tensor);
    int64_t *dims = nas_onnx_take(b, n_dims, sizeof *dims);
    void *data = nas_onnx_take(b, n, bytes);
    if (b->failed) return NULL;
    if (n_dims) memcpy(dims, sizes, n_dims * sizeof *dims);
    onnx__tensor_proto__init(tensor);
    tensor->name = name;
    tensor->dims = dims;
    tensor->n_dims = n_dims;
    tensor->has_data_type = 1;
    tensor->data_type = type;
    tensor->has_raw_data = 1;
    tensor->raw_data = (ProtobufCBinaryData){n * bytes, data};
    b->graph->initializer[b->graph->n_initializer++] = tensor;
    return data;
}

float *nas_onnx_add_tensor(builder *b, char *name, size_t n_dims, const int64_t *sizes) {
    return nas_onnx_add_constant(b, name, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, sizeof(float),
                                 n_dims, sizes);
}

Onnx__ValueInfoProto **nas_onnx_make_value(builder *b, const char *name, size_t n,
                                           const int64_t *sizes) {
    Onnx__ValueInfoProto **list = nas_onnx_take_list(b, 1),
                         *value = nas_onnx_take(b, 1, sizeof *value);
    Onnx__TypeProto *type = nas_onnx_take(b, 1, sizeof *type);
    Onnx__TypeProto__Tensor *tensor = nas_onnx_take(b, 1, sizeof *tensor);
    Onnx__TensorShapeProto *shape = nas_onnx_take(b, 1, sizeof *shape);
    Onnx__TensorShapeProto__Dimension **dims = nas_onnx_take_list(b, n + 1),
                                      *each = nas_onnx_take(b, n + 1, sizeof *each);
    if (b->failed) return NULL;
    for (size_t i = 0; i <= n; i++) {
        dims[i] = &each[i];
        onnx__tensor_shape_proto__dimension__init(dims[i]);
        dims[i]->value_case = i ? ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE
                                : ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
        if (i)
            dims[i]->dim_value = sizes[i - 1];
        else
            dims[i]->dim_param = nas_onnx_as_is("batch");
    }
    onnx__tensor_shape_proto__init(shape);
    shape->n_dim = n + 1;
    shape->dim = dims;
    onnx__type_proto__tensor__init(tensor);
    tensor->has_elem_type = 1;
    tensor->elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    tensor->shape = shape;
    onnx__type_proto__init(type);
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    onnx__value_info_proto__init(value);
    value->name = nas_onnx_as_is(name);
    value->type = type;
    list[0] = value;
    return list;
}
