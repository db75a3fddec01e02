/* The export plugin `onnx`: its file read back. tests/export_engines.sh runs such files. */
#include "../plugins/export/onnx/onnx.c"

#include "base/file.h"
#include "base/json.h"

#include <setjmp.h>

#include <cmocka.h>

#include "deploy_net.h"

static Onnx__ModelProto *write_and_read(const nas_network *network, int dtype) {
    onnx_config config = {.dtype = dtype};
    char path[FIXTURE_PATH + 16], *data;
    size_t bytes;
    nas_error err = {0};
    snprintf(path, sizeof path, "%s/net", deploy_folder);
    if (api.write(&config, network, path, &err)) fail_msg("%s", err.message);
    if (nas_file_read(path, 1 << 20, &data, &bytes, &err)) fail_msg("%s", err.message);
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, bytes, (const uint8_t *)data);
    assert_non_null(model);
    free(data);
    return model;
}

static const Onnx__NodeProto *find_node(const Onnx__GraphProto *graph, const char *name) {
    for (size_t i = 0; i < graph->n_node; i++)
        if (strcmp(graph->node[i]->name, name) == 0) return graph->node[i];
    fail_msg("no node \"%s\"", name);
    return NULL;
}

static const Onnx__AttributeProto *find_attribute(const Onnx__NodeProto *node, const char *name) {
    for (size_t i = 0; i < node->n_attribute; i++)
        if (strcmp(node->attribute[i]->name, name) == 0) return node->attribute[i];
    fail_msg("%s has no attribute \"%s\"", node->name, name);
    return NULL;
}

static const Onnx__TensorProto *find_tensor(const Onnx__GraphProto *graph, const char *name) {
    for (size_t i = 0; i < graph->n_initializer; i++)
        if (strcmp(graph->initializer[i]->name, name) == 0) return graph->initializer[i];
    return NULL;
}

/* [batch][sizes...] of floats. */
static void check_value(const Onnx__ValueInfoProto *value, const char *name, size_t n,
                        const int64_t *sizes) {
    const Onnx__TypeProto__Tensor *tensor = value->type->tensor_type;
    assert_string_equal(value->name, name);
    assert_int_equal(value->type->value_case, ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE);
    assert_int_equal(tensor->elem_type, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
    assert_int_equal(tensor->shape->n_dim, n + 1);
    assert_string_equal(tensor->shape->dim[0]->dim_param, "batch");
    for (size_t i = 0; i < n; i++) assert_int_equal(tensor->shape->dim[i + 1]->dim_value, sizes[i]);
}

/* Every input of a node is the image, a constant, or made by a node before it; names are unique. */
static void check_order(const Onnx__GraphProto *graph) {
    for (size_t i = 0; i < graph->n_node; i++) {
        const Onnx__NodeProto *node = graph->node[i];
        for (size_t j = 0; j < node->n_input; j++) {
            bool known = strcmp(node->input[j], "image") == 0 || find_tensor(graph, node->input[j]);
            for (size_t k = 0; k < i; k++)
                known = known || strcmp(graph->node[k]->output[0], node->input[j]) == 0;
            if (!known) fail_msg("%s reads \"%s\", which nobody made", node->name, node->input[j]);
        }
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(graph->node[k]->output[0], node->output[0]);
            assert_string_not_equal(graph->node[k]->name, node->name);
        }
    }
}

static void check_ops(const Onnx__GraphProto *graph, const char *expected) {
    char text[512] = "";
    for (size_t i = 0; i < graph->n_node; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s", i ? " " : "", graph->node[i]->op_type);
    }
    assert_string_equal(text, expected);
}

static const float *data_of(const Onnx__TensorProto *tensor, uint64_t count) {
    assert_non_null(tensor);
    assert_int_equal(tensor->data_type, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
    assert_int_equal(tensor->raw_data.len, count * sizeof(float));
    return (const float *)(const void *)tensor->raw_data.data;
}

/* Compares element by element, each side indexed in its own layout. */
static void check_layer(const Onnx__GraphProto *graph, const nas_layer *layer) {
    char name[64];
    snprintf(name, sizeof name, "%s.weight", layer->name);
    const Onnx__TensorProto *tensor = find_tensor(graph, name);
    const float *weight = data_of(tensor, layer->weights);
    uint64_t k = layer->kernel, in = layer->op == NAS_OP_DEPTHWISE ? 1 : layer->in.c;
    uint64_t out = layer->out.c, sizes[] = {out, in, k, k};
    assert_int_equal(tensor->n_dims, strcmp(layer->name, "classifier") ? 4 : 2);
    for (size_t i = 0; i < tensor->n_dims; i++) assert_int_equal(tensor->dims[i], sizes[i]);
    for (uint64_t i = 0; i < layer->weights; i++) {
        uint64_t x = i % k, y = i / k % k, c = i / k / k % in, o = i / k / k / in;
        assert_true(weight[i] == layer->weight[((y * k + x) * in + c) * out + o]);
    }
    snprintf(name, sizeof name, "%s.bias", layer->name);
    const float *bias = data_of(find_tensor(graph, name), out);
    assert_memory_equal(bias, layer->bias, out * sizeof *bias);
}

static void check_conv(const Onnx__GraphProto *graph, const char *name, int64_t kernel,
                       int64_t stride, int64_t group) {
    const Onnx__NodeProto *node = find_node(graph, name);
    const Onnx__AttributeProto *pads = find_attribute(node, "pads");
    const Onnx__AttributeProto *strides = find_attribute(node, "strides");
    const Onnx__AttributeProto *shape = find_attribute(node, "kernel_shape");
    assert_int_equal(pads->n_ints, 4);
    for (size_t i = 0; i < 4; i++) assert_int_equal(pads->ints[i], kernel / 2);
    for (size_t i = 0; i < 2; i++) assert_int_equal(strides->ints[i], stride);
    for (size_t i = 0; i < 2; i++) assert_int_equal(shape->ints[i], kernel);
    assert_int_equal(find_attribute(node, "group")->i, group);
}

static void test_model(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    Onnx__ModelProto *model = write_and_read(&lowered->network, 0);
    const Onnx__GraphProto *graph = model->graph;
    assert_int_equal(model->n_opset_import, 1);
    assert_int_equal(model->opset_import[0]->version, 14);
    check_value(graph->input[0], "image", 3, (int64_t[]){3, 8, 8});
    check_value(graph->output[0], "logits", 1, (int64_t[]){2});
    check_ops(graph, "Sub Div Conv HardSwish Conv Relu Conv Relu GlobalAveragePool Conv Relu Conv "
                     "HardSigmoid Mul Conv Add Conv GlobalAveragePool Flatten Gemm");
    check_order(graph);
    assert_string_equal(graph->node[graph->n_node - 1]->output[0], "logits");
    check_conv(graph, "stem", 3, 2, 1);
    check_conv(graph, "stage0.block0.depthwise", 5, 1, 8);
    check_conv(graph, "stage0.block0.reduce", 1, 1, 1);
    for (uint32_t i = 0; i < lowered->network.n_layers; i++)
        if (lowered->layers[i].weights) check_layer(graph, &lowered->layers[i]);
    assert_memory_equal(data_of(find_tensor(graph, "mean"), 3), deploy_mean, sizeof deploy_mean);
    assert_memory_equal(data_of(find_tensor(graph, "std"), 3), deploy_std, sizeof deploy_std);
    assert_int_equal(model->n_metadata_props, 2);
    assert_string_equal(model->metadata_props[0]->key, "genome");
    assert_string_equal(model->metadata_props[0]->value, lowered->network.genome);
    json_t *names = json_loads(model->metadata_props[1]->value, 0, NULL);
    assert_string_equal(json_string_value(json_array_get(names, 1)), deploy_classes[1]);
    json_decref(names);
    onnx__model_proto__free_unpacked(model, NULL);
    free(weights);
    nas_lowered_free(lowered);
}

static void test_mobile(void **state) {
    (void)state;
    static const char *const ops[] = {"Clip", "Sigmoid Mul", "Sigmoid"};
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    lowered->network.n_layers = 1;
    for (uint32_t i = 0; i < 3; i++) {
        char expected[64];
        deploy_make_mobile(lowered, NAS_ACT_RELU6 + i);
        Onnx__ModelProto *model = write_and_read(&lowered->network, 0);
        snprintf(expected, sizeof expected, "Sub Div Conv %s Flatten", ops[i]);
        check_ops(model->graph, expected);
        check_order(model->graph);
        const Onnx__AttributeProto *pads = find_attribute(find_node(model->graph, "stem"), "pads");
        for (size_t k = 0; k < 4; k++) assert_int_equal(pads->ints[k], k / 2);
        const Onnx__TensorProto *high = find_tensor(model->graph, "stem.high");
        assert_int_equal(high != NULL, i == 0);
        if (high) assert_true(*data_of(high, 1) == 6);
        onnx__model_proto__free_unpacked(model, NULL);
    }
    free(weights);
    nas_lowered_free(lowered);
}

static const void *bytes_of(const Onnx__TensorProto *tensor, int32_t type, size_t bytes) {
    assert_non_null(tensor);
    assert_int_equal(tensor->data_type, type);
    assert_int_equal(tensor->raw_data.len, bytes);
    return tensor->raw_data.data;
}

/* A layer's constants are those of nashost/kit/int8.h, in ONNX's order. */
static void check_int8_layer(const Onnx__GraphProto *graph, const nas_network *net, uint32_t i) {
    const nas_layer *layer = nas_network_layer(net, i);
    nas_int8_layer q;
    nas_error err = {0};
    char name[64];
    if (nas_int8_make(net, i, &q, &err)) fail_msg("%s", err.message);
    uint64_t k = layer->kernel, in = layer->op == NAS_OP_DEPTHWISE ? 1 : layer->in.c;
    uint64_t out = layer->out.c;
    snprintf(name, sizeof name, "%s.weight.q", layer->name);
    const int8_t *weight =
        bytes_of(find_tensor(graph, name), ONNX__TENSOR_PROTO__DATA_TYPE__INT8, layer->weights);
    for (uint64_t w = 0; w < layer->weights; w++) {
        uint64_t x = w % k, y = w / k % k, c = w / k / k % in, o = w / k / k / in;
        assert_int_equal(weight[w], q.weight[((y * k + x) * in + c) * out + o]);
    }
    snprintf(name, sizeof name, "%s.bias.q", layer->name);
    const void *bias = bytes_of(find_tensor(graph, name), ONNX__TENSOR_PROTO__DATA_TYPE__INT32,
                                out * sizeof(int32_t));
    assert_memory_equal(bias, q.bias, out * sizeof(int32_t));
    snprintf(name, sizeof name, "%s.weight.scale", layer->name);
    assert_memory_equal(data_of(find_tensor(graph, name), out), q.scale, out * sizeof(float));
    snprintf(name, sizeof name, "%s.bias.scale", layer->name);
    const float *scale = data_of(find_tensor(graph, name), out);
    for (uint64_t o = 0; o < out; o++) assert_true(scale[o] == q.in[0].scale * q.scale[o]);
    nas_int8_free(&q);
}

static void test_int8(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    deploy_set_ranges(lowered, -1, 7);
    Onnx__ModelProto *model = write_and_read(&lowered->network, 1);
    const Onnx__GraphProto *graph = model->graph;
    check_order(graph);
    for (uint32_t i = 0; i < lowered->network.n_layers; i++)
        if (lowered->layers[i].weights) check_int8_layer(graph, &lowered->network, i);
    /* Every operation reads what was rounded, each input by a node of its own. */
    for (size_t i = 2; i < graph->n_node; i++) {
        const Onnx__NodeProto *node = graph->node[i];
        if (strstr(node->op_type, "Linear") || strcmp(node->op_type, "Relu") == 0) continue;
        for (size_t j = 0; j < node->n_input; j++) {
            size_t readers = 0, from = 0;
            while (strcmp(graph->node[from]->output[0], node->input[j]) != 0) from++;
            assert_string_equal(graph->node[from]->op_type, "DequantizeLinear");
            for (size_t k = 0; k < graph->n_node; k++)
                for (size_t l = 0; l < graph->node[k]->n_input; l++)
                    readers += strcmp(graph->node[k]->input[l], node->input[j]) == 0;
            assert_int_equal(readers, 1);
        }
    }
    /* -1 to 7 in 255 steps: 0 is -96, which is 32 of unsigned bytes. */
    const uint8_t *zero = bytes_of(find_tensor(graph, "stage0.block0.add.out.zero"),
                                   ONNX__TENSOR_PROTO__DATA_TYPE__UINT8, 1);
    assert_int_equal(*zero, 32);
    assert_string_equal(graph->node[graph->n_node - 1]->op_type, "Gemm");
    assert_string_equal(graph->node[graph->n_node - 1]->output[0], "logits");
    onnx__model_proto__free_unpacked(model, NULL);
    free(weights);
    nas_lowered_free(lowered);
}

static void test_weight_bits(void **state) {
    (void)state;
    nas_error err = {0};
    void *self = NULL;
    onnx_config config = {.dtype = 1, .weight_bits = 8};
    const nas_int8_api *int8 = plugin.extension(&config, NAS_EXT_INT8);
    assert_int_equal(int8->weight_bits, 8);
    config.weight_bits = 7;
    int8 = plugin.extension(&config, NAS_EXT_INT8);
    assert_int_equal(int8->weight_bits, 7);
    assert_int_equal(plugin.create(NULL, &config, &self, &err), NAS_OK);
    config.dtype = 0;
    assert_null(plugin.extension(&config, NAS_EXT_INT8));
    assert_int_equal(plugin.create(NULL, &config, &self, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "\"weight_bits\""));
}

/* Hardware models may ask for a part of a network. */
static void test_part(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    lowered->network.n_layers = 3;
    lowered->network.class_names = NULL;
    Onnx__ModelProto *model = write_and_read(&lowered->network, 0);
    check_ops(model->graph, "Sub Div Conv HardSwish Conv Relu Conv Relu Flatten");
    check_order(model->graph);
    check_value(model->graph->output[0], "logits", 1, (int64_t[]){8 * 4 * 4});
    assert_int_equal(model->n_metadata_props, 1);
    onnx__model_proto__free_unpacked(model, NULL);
    free(weights);
    nas_lowered_free(lowered);
}

static void test_errors(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    nas_error err = {0};
    onnx_config config = {0};
    assert_int_equal(api.write(&config, &lowered->network, "/no/such/net", &err), NAS_ERR_IO);
    assert_non_null(strstr(err.message, "onnx: cannot write /no/such/net"));
    assert_int_equal(api.write(&config, &lowered->network, "/dev/full", &err), NAS_ERR_IO);
    assert_non_null(strstr(err.message, "No space left"));
    lowered->layers[0].activation = 9;
    assert_int_equal(api.write(&config, &lowered->network, "/dev/null", &err), NAS_ERR_PLUGIN);
    assert_non_null(strstr(err.message, "stem: expected an activation"));
    lowered->layers[0].weight = NULL;
    lowered->layers[0].activation = 0;
    assert_int_equal(api.write(&config, &lowered->network, "/dev/null", &err), NAS_ERR_PLUGIN);
    assert_non_null(strstr(err.message, "stem: expected weights"));
    free(weights);
    nas_lowered_free(lowered);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model), cmocka_unit_test(test_mobile),
        cmocka_unit_test(test_int8),  cmocka_unit_test(test_weight_bits),
        cmocka_unit_test(test_part),  cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, deploy_make_folder, deploy_remove_folder);
}
