#include "model.h"

#include <stdlib.h>

static uint32_t put_ints(flat *f, const int32_t *values, size_t n) {
    return nas_flat_list(f, values, n, sizeof *values, sizeof *values);
}

/* ---- Operators ---- */

/* Which kinds a graph uses, in their order; returns their number. */
static uint32_t used_kinds(const graph *g, op_kind kinds[OP_KINDS]) {
    uint32_t n = 0;
    for (int kind = 0; kind < OP_KINDS; kind++)
        for (uint32_t i = 0; i < g->n_operations; i++)
            if ((int)g->operations[i].kind == kind) {
                kinds[n++] = (op_kind)kind;
                break;
            }
    return n;
}

static uint32_t put_codes(flat *f, const graph *g) {
    op_kind kinds[OP_KINDS];
    uint32_t n = used_kinds(g, kinds), list = nas_flat_links(f, n);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t builtin = nas_tflite_ops[kinds[i]].builtin;
        flat_field fields[] = {{CODE_OLD_BUILTIN, FLAT_BYTE, builtin},
                               {CODE_VERSION, FLAT_INT, nas_tflite_version(g, kinds[i])},
                               {CODE_BUILTIN, FLAT_INT, builtin}};
        nas_flat_point_item(f, list, i, nas_flat_table(f, fields, 3));
    }
    return list;
}

static uint32_t put_options(flat *f, const operation *o) {
    flat_field conv[] = {{CONV_PADDING, FLAT_BYTE, o->padding},
                         {CONV_STRIDE_W, FLAT_INT, o->stride},
                         {CONV_STRIDE_H, FLAT_INT, o->stride},
                         {CONV_ACTIVATION, FLAT_BYTE, o->activation}};
    flat_field depthwise[] = {conv[0],
                              conv[1],
                              conv[2],
                              {DEPTHWISE_MULTIPLIER, FLAT_INT, 1},
                              {DEPTHWISE_ACTIVATION, FLAT_BYTE, o->activation}};
    flat_field plain[] = {{PLAIN_ACTIVATION, FLAT_BYTE, o->activation}};
    flat_field reducer[] = {{REDUCER_KEEP_DIMS, FLAT_BYTE, 1}};
    switch (o->kind) {
    case OP_CONV:
        return nas_flat_table(f, conv, 4);
    case OP_DEPTHWISE:
        return nas_flat_table(f, depthwise, 5);
    case OP_FULLY_CONNECTED:
    case OP_ADD:
    case OP_MUL:
        return nas_flat_table(f, plain, 1);
    case OP_MEAN:
        return nas_flat_table(f, reducer, 1);
    default:
        return nas_flat_table(f, NULL, 0);
    }
}

static uint32_t code_of(const graph *g, op_kind kind) {
    op_kind kinds[OP_KINDS] = {0};
    uint32_t n = used_kinds(g, kinds), i = 0;
    while (i < n && kinds[i] != kind) i++;
    return i;
}

static uint32_t put_operation(flat *f, const graph *g, const operation *o) {
    uint32_t options = nas_tflite_ops[o->kind].options;
    flat_field fields[] = {{OPERATOR_CODE, FLAT_INT, code_of(g, o->kind)},
                           {OPERATOR_INPUTS, FLAT_LINK, 0},
                           {OPERATOR_OUTPUTS, FLAT_LINK, 0},
                           {OPERATOR_OPTIONS_TYPE, FLAT_BYTE, options},
                           {OPERATOR_OPTIONS, FLAT_LINK, 0}};
    uint32_t table = nas_flat_table(f, fields, options ? 5 : 3);
    nas_flat_point(f, table, OPERATOR_INPUTS, put_ints(f, o->input, o->inputs));
    nas_flat_point(f, table, OPERATOR_OUTPUTS, put_ints(f, &o->output, 1));
    if (options) nas_flat_point(f, table, OPERATOR_OPTIONS, put_options(f, o));
    return table;
}

static uint32_t put_operations(flat *f, const graph *g) {
    uint32_t list = nas_flat_links(f, g->n_operations);
    for (uint32_t i = 0; i < g->n_operations; i++)
        nas_flat_point_item(f, list, i, put_operation(f, g, &g->operations[i]));
    return list;
}

/* ---- Tensors ---- */

static uint32_t put_quantisation(flat *f, const tensor *t) {
    flat_field fields[] = {{QUANTIZATION_SCALE, FLAT_LINK, 0},
                           {QUANTIZATION_ZERO_POINT, FLAT_LINK, 0},
                           {QUANTIZATION_DIMENSION, FLAT_INT, t->dimension}};
    uint32_t table = nas_flat_table(f, fields, 3);
    nas_flat_point(f, table, QUANTIZATION_SCALE,
                   nas_flat_list(f, t->scale, t->scales, sizeof *t->scale, sizeof *t->scale));
    return table;
}

/* *quantisation: its table, whose zeros are still to be written; 0: none. */
static uint32_t put_tensor(flat *f, const tensor *t, uint32_t buffer, uint32_t *quantisation) {
    flat_field fields[] = {{TENSOR_SHAPE, FLAT_LINK, 0},
                           {TENSOR_TYPE, FLAT_BYTE, t->type},
                           {TENSOR_BUFFER, FLAT_INT, buffer},
                           {TENSOR_NAME, FLAT_LINK, 0},
                           {TENSOR_QUANTIZATION, FLAT_LINK, 0}};
    uint32_t table = nas_flat_table(f, fields, t->scale ? 5 : 4);
    nas_flat_point(f, table, TENSOR_SHAPE, put_ints(f, t->shape, t->rank));
    nas_flat_point(f, table, TENSOR_NAME, nas_flat_string(f, t->name));
    *quantisation = t->scale ? put_quantisation(f, t) : 0;
    if (t->scale) nas_flat_point(f, table, TENSOR_QUANTIZATION, *quantisation);
    return table;
}

/* LiteRT wants a zero of 8 bytes beside each scale; tensors with as many scales share theirs, which
 * saves an eighth of a small model. quantisation [n_tensors]. */
static void put_zeros(flat *f, const graph *g, const uint32_t *quantisation) {
    for (uint32_t i = 0; i < g->n_tensors; i++) {
        const tensor *t = &g->tensors[i];
        int64_t zero = t->zero;
        bool first = t->scales > 0;
        for (uint32_t k = 0; k < i && t->scales > 1; k++)
            first = first && g->tensors[k].scales != t->scales;
        if (!first) continue;
        uint32_t list =
            nas_flat_list(f, t->scales == 1 ? &zero : NULL, t->scales, sizeof zero, sizeof zero);
        for (uint32_t k = i; k < g->n_tensors; k++)
            if (k == i || (t->scales > 1 && g->tensors[k].scales == t->scales))
                nas_flat_point(f, quantisation[k], QUANTIZATION_ZERO_POINT, list);
    }
}

/* Buffer 0 is empty, for what is computed; constants follow in the tensors' order. */
static uint32_t put_tensors(flat *f, const graph *g) {
    uint32_t list = nas_flat_links(f, g->n_tensors), buffer = 0;
    uint32_t *quantisation = calloc(g->n_tensors, sizeof *quantisation);
    if (!quantisation) f->failed = true;
    for (uint32_t i = 0; i < g->n_tensors && quantisation; i++) {
        const tensor *t = &g->tensors[i];
        uint32_t table = put_tensor(f, t, t->data ? ++buffer : 0, &quantisation[i]);
        nas_flat_point_item(f, list, i, table);
    }
    if (quantisation) put_zeros(f, g, quantisation);
    free(quantisation);
    return list;
}

/* ---- Buffers ---- */

static uint32_t put_buffer(flat *f, const void *data, size_t bytes) {
    flat_field fields[] = {{BUFFER_DATA, FLAT_LINK, 0}};
    uint32_t table = nas_flat_table(f, fields, bytes ? 1 : 0);
    if (bytes) nas_flat_point(f, table, BUFFER_DATA, nas_flat_list(f, data, bytes, 1, 16));
    return table;
}

static uint32_t count_constants(const graph *g) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->n_tensors; i++) n += g->tensors[i].data != NULL;
    return n;
}

static uint32_t put_buffers(flat *f, const graph *g, const flat *metadata) {
    uint32_t list = nas_flat_links(f, count_constants(g) + 2), n = 0;
    nas_flat_point_item(f, list, n++, put_buffer(f, NULL, 0));
    for (uint32_t i = 0; i < g->n_tensors; i++) {
        const tensor *t = &g->tensors[i];
        if (t->data) nas_flat_point_item(f, list, n++, put_buffer(f, t->data, t->bytes));
    }
    nas_flat_point_item(f, list, n, put_buffer(f, metadata->data, metadata->used));
    return list;
}

/* ---- The model ---- */

static uint32_t put_subgraph(flat *f, const graph *g) {
    flat_field fields[] = {{SUBGRAPH_TENSORS, FLAT_LINK, 0},
                           {SUBGRAPH_INPUTS, FLAT_LINK, 0},
                           {SUBGRAPH_OUTPUTS, FLAT_LINK, 0},
                           {SUBGRAPH_OPERATORS, FLAT_LINK, 0},
                           {SUBGRAPH_NAME, FLAT_LINK, 0}};
    uint32_t list = nas_flat_links(f, 1), table = nas_flat_table(f, fields, 5);
    nas_flat_point_item(f, list, 0, table);
    nas_flat_point(f, table, SUBGRAPH_TENSORS, put_tensors(f, g));
    nas_flat_point(f, table, SUBGRAPH_INPUTS, put_ints(f, &g->image, 1));
    nas_flat_point(f, table, SUBGRAPH_OUTPUTS, put_ints(f, &g->logits, 1));
    nas_flat_point(f, table, SUBGRAPH_OPERATORS, put_operations(f, g));
    nas_flat_point(f, table, SUBGRAPH_NAME, nas_flat_string(f, "main"));
    return list;
}

/* A tensor's name in the signature. */
static uint32_t put_map(flat *f, const char *name, int32_t index) {
    flat_field fields[] = {{TENSOR_MAP_NAME, FLAT_LINK, 0},
                           {TENSOR_MAP_INDEX, FLAT_INT, (uint32_t)index}};
    uint32_t list = nas_flat_links(f, 1), table = nas_flat_table(f, fields, 2);
    nas_flat_point_item(f, list, 0, table);
    nas_flat_point(f, table, TENSOR_MAP_NAME, nas_flat_string(f, name));
    return list;
}

static uint32_t put_signature(flat *f, const graph *g) {
    flat_field fields[] = {{SIGNATURE_INPUTS, FLAT_LINK, 0},
                           {SIGNATURE_OUTPUTS, FLAT_LINK, 0},
                           {SIGNATURE_KEY, FLAT_LINK, 0}};
    uint32_t list = nas_flat_links(f, 1), table = nas_flat_table(f, fields, 3);
    nas_flat_point_item(f, list, 0, table);
    nas_flat_point(f, table, SIGNATURE_INPUTS, put_map(f, "image", g->image));
    nas_flat_point(f, table, SIGNATURE_OUTPUTS, put_map(f, "logits", g->logits));
    nas_flat_point(f, table, SIGNATURE_KEY, nas_flat_string(f, "serving_default"));
    return list;
}

static uint32_t put_metadata(flat *f, const graph *g) {
    flat_field fields[] = {{NAMED_BUFFER_NAME, FLAT_LINK, 0},
                           {NAMED_BUFFER_BUFFER, FLAT_INT, count_constants(g) + 1}};
    uint32_t list = nas_flat_links(f, 1), table = nas_flat_table(f, fields, 2);
    nas_flat_point_item(f, list, 0, table);
    nas_flat_point(f, table, NAMED_BUFFER_NAME, nas_flat_string(f, "TFLITE_METADATA"));
    return list;
}

void nas_tflite_put_model(flat *f, const graph *g, const flat *metadata) {
    flat_field fields[] = {{MODEL_VERSION, FLAT_INT, TFLITE_VERSION},
                           {MODEL_OPERATOR_CODES, FLAT_LINK, 0},
                           {MODEL_SUBGRAPHS, FLAT_LINK, 0},
                           {MODEL_DESCRIPTION, FLAT_LINK, 0},
                           {MODEL_BUFFERS, FLAT_LINK, 0},
                           {MODEL_METADATA, FLAT_LINK, 0},
                           {MODEL_SIGNATURES, FLAT_LINK, 0}};
    nas_flat_begin(f, TFLITE_IDENTIFIER);
    uint32_t model = nas_flat_table(f, fields, 7);
    nas_flat_root(f, model);
    nas_flat_point(f, model, MODEL_DESCRIPTION, nas_flat_string(f, "nashost"));
    nas_flat_point(f, model, MODEL_OPERATOR_CODES, put_codes(f, g));
    nas_flat_point(f, model, MODEL_SUBGRAPHS, put_subgraph(f, g));
    nas_flat_point(f, model, MODEL_BUFFERS, put_buffers(f, g, metadata));
    nas_flat_point(f, model, MODEL_METADATA, put_metadata(f, g));
    nas_flat_point(f, model, MODEL_SIGNATURES, put_signature(f, g));
}
