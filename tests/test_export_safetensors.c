/* The export plugin `safetensors`: its file read back with the host's strict reader. */
#include "../plugins/export/safetensors.c"

#include "base/json.h"
#include "base/safetensors.h"

#include <setjmp.h>

#include <cmocka.h>

#include "deploy_net.h"

static void check_shape(const nas_tensor *tensor, uint32_t ndim, const uint64_t *shape) {
    assert_int_equal(tensor->ndim, ndim);
    for (uint32_t d = 0; d < ndim; d++) assert_int_equal(tensor->shape[d], shape[d]);
}

/* Compares element by element, each side indexed in its own layout. */
static void check_layer(const nas_layer *layer, const nas_tensor *weight, const nas_tensor *bias) {
    uint64_t k = layer->kernel, in = layer->in.c, out = layer->out.c;
    if (layer->op == NAS_OP_LINEAR) {
        check_shape(weight, 2, (uint64_t[]){out, in});
        for (uint64_t o = 0; o < out; o++) {
            for (uint64_t i = 0; i < in; i++) {
                assert_true(weight->data[o * in + i] == layer->weight[i * out + o]);
            }
        }
    } else {
        if (layer->op == NAS_OP_DEPTHWISE) in = 1;
        check_shape(weight, 4, (uint64_t[]){out, in, k, k});
        for (uint64_t at = 0, o = 0; o < out; o++) {
            for (uint64_t i = 0; i < in; i++) {
                for (uint64_t y = 0; y < k; y++) {
                    for (uint64_t x = 0; x < k; x++) {
                        const float *tap = layer->weight + (y * k + x) * in * out;
                        assert_true(weight->data[at++] == tap[i * out + o]);
                    }
                }
            }
        }
    }
    check_shape(bias, 1, &out);
    assert_memory_equal(bias->data, layer->bias, out * sizeof(float));
}

static json_t *metadata_json(const json_t *metadata, const char *key) {
    const char *text = json_string_value(json_object_get(metadata, key));
    json_t *json = text ? json_loads(text, 0, NULL) : NULL;
    if (!json) fail_msg("metadata %s: %s", key, text ? text : "missing");
    return json;
}

static void check_metadata(const char *text, const nas_lowered *lowered) {
    json_t *metadata = json_loads(text, 0, NULL);
    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value) assert_true(json_is_string(value));
    assert_string_equal(json_string_value(json_object_get(metadata, "format")), "pt");
    assert_string_equal(json_string_value(json_object_get(metadata, "genome")), lowered->genome);
    json_t *image = metadata_json(metadata, "image"), *expected = json_pack("[iii]", 8, 8, 3);
    assert_true(json_equal(image, expected));
    json_t *names = metadata_json(metadata, "classes");
    assert_string_equal(json_string_value(json_array_get(names, 0)), deploy_classes[0]);
    assert_string_equal(json_string_value(json_array_get(names, 1)), deploy_classes[1]);
    json_t *means = metadata_json(metadata, "mean"), *stds = metadata_json(metadata, "std");
    for (size_t i = 0; i < 3; i++) {
        assert_true((float)json_number_value(json_array_get(means, i)) == deploy_mean[i]);
        assert_true((float)json_number_value(json_array_get(stds, i)) == deploy_std[i]);
    }
    json_t *layers = metadata_json(metadata, "layers");
    assert_int_equal(json_array_size(layers), lowered->network.n_layers);
    char *stem = json_dumps(json_array_get(layers, 0), JSON_COMPACT);
    assert_string_equal(stem, "{\"name\":\"stem\",\"op\":\"conv\",\"activation\":\"h-swish\","
                              "\"inputs\":[-1],\"kernel\":3,\"stride\":2}");
    /* stem, expand, depthwise, squeeze, reduce, excite, scale, project, add */
    char *scale = json_dumps(json_array_get(layers, 6), JSON_COMPACT);
    assert_string_equal(scale, "{\"name\":\"stage0.block0.scale\",\"op\":\"scale\","
                               "\"activation\":\"none\",\"inputs\":[2,5],\"kernel\":1,"
                               "\"stride\":1}");
    free(stem);
    free(scale);
    json_decref(layers);
    json_decref(means);
    json_decref(stds);
    json_decref(names);
    json_decref(image);
    json_decref(expected);
    json_decref(metadata);
}

static void test_read_back(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    char path[FIXTURE_PATH + 16];
    snprintf(path, sizeof path, "%s/net", deploy_folder);
    nas_error err = {0};
    if (api.write(NULL, &lowered->network, path, &err)) fail_msg("%s", err.message);
    nas_tensor_file file;
    if (nas_tensors_load(path, &file, &err)) fail_msg("%s", err.message);
    size_t found = 0;
    for (uint32_t i = 0; i < lowered->network.n_layers; i++) {
        const nas_layer *layer = &lowered->layers[i];
        char name[64];
        snprintf(name, sizeof name, "%s.weight", layer->name);
        const nas_tensor *weight = nas_tensors_find(&file, name);
        snprintf(name, sizeof name, "%s.bias", layer->name);
        const nas_tensor *bias = nas_tensors_find(&file, name);
        assert_int_equal(weight != NULL, layer->weights > 0);
        assert_int_equal(bias != NULL, layer->weights > 0);
        if (!weight) continue;
        check_layer(layer, weight, bias);
        found += 2;
    }
    assert_int_equal(found, 2 * 8);
    assert_int_equal(file.n_tensors, found);
    check_metadata(file.metadata, lowered);
    /* The header's length leaves the tensors aligned. */
    uint64_t length;
    FILE *raw = fopen(path, "rb");
    assert_int_equal(fread(&length, sizeof length, 1, raw), 1);
    fclose(raw);
    assert_int_equal(length % 8, 0);
    nas_tensors_free(&file);
    free(weights);
    nas_lowered_free(lowered);
}

static void test_padding(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    deploy_make_mobile(lowered, NAS_ACT_SWISH);
    char path[FIXTURE_PATH + 16];
    snprintf(path, sizeof path, "%s/net", deploy_folder);
    nas_error err = {0};
    assert_int_equal(api.write(NULL, &lowered->network, path, &err), NAS_OK);
    nas_tensor_file file;
    assert_int_equal(nas_tensors_load(path, &file, &err), NAS_OK);
    json_t *metadata = json_loads(file.metadata, 0, NULL);
    json_t *layers = metadata_json(metadata, "layers");
    char *stem = json_dumps(json_array_get(layers, 0), JSON_COMPACT);
    assert_string_equal(stem, "{\"name\":\"stem\",\"op\":\"conv\",\"activation\":\"swish\","
                              "\"inputs\":[-1],\"kernel\":3,\"stride\":2,\"padding\":[0,1]}");
    free(stem);
    json_decref(layers);
    json_decref(metadata);
    nas_tensors_free(&file);
    free(weights);
    nas_lowered_free(lowered);
}

static void test_no_class_names(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    lowered->network.class_names = NULL;
    char path[FIXTURE_PATH + 16];
    snprintf(path, sizeof path, "%s/net", deploy_folder);
    nas_error err = {0};
    assert_int_equal(api.write(NULL, &lowered->network, path, &err), NAS_OK);
    nas_tensor_file file;
    assert_int_equal(nas_tensors_load(path, &file, &err), NAS_OK);
    assert_null(strstr(file.metadata, "\"classes\""));
    nas_tensors_free(&file);
    free(weights);
    nas_lowered_free(lowered);
}

static void test_errors(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    char path[FIXTURE_PATH + 16];
    snprintf(path, sizeof path, "%s/no/such/net", deploy_folder);
    nas_error err = {0};
    assert_int_equal(api.write(NULL, &lowered->network, path, &err), NAS_ERR_IO);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(api.write(NULL, &lowered->network, "/dev/full", &err), NAS_ERR_IO);
    assert_non_null(strstr(err.message, "No space left"));
    lowered->layers[1].weight = NULL;
    assert_int_equal(api.write(NULL, &lowered->network, path, &err), NAS_ERR_PLUGIN);
    assert_non_null(strstr(err.message, "stage0.block0.expand: expected weights"));
    lowered->layers[1].weights--;
    assert_int_equal(api.write(NULL, &lowered->network, path, &err), NAS_ERR_PLUGIN);
    assert_non_null(strstr(err.message, "expected 32 weights, found 31"));
    lowered->layers[0].op = 9;
    assert_int_equal(api.write(NULL, &lowered->network, path, &err), NAS_ERR_PLUGIN);
    lowered->network.n_layers = 0;
    assert_int_equal(api.write(NULL, &lowered->network, path, &err), NAS_ERR_PLUGIN);
    assert_non_null(strstr(err.message, "expected a network with layers"));
    lowered->network.mean = NULL;
    assert_int_equal(api.write(NULL, &lowered->network, path, &err), NAS_ERR_PLUGIN);
    assert_non_null(strstr(err.message, "mean"));
    free(weights);
    nas_lowered_free(lowered);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_back),
        cmocka_unit_test(test_padding),
        cmocka_unit_test(test_no_class_names),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, deploy_make_folder, deploy_remove_folder);
}
