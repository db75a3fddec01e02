/* A folded subnet for tests of exporters, and a scratch folder. Include after <cmocka.h>: what goes
 * wrong here fails the test. */
#ifndef NAS_TESTS_DEPLOY_NET_H
#define NAS_TESTS_DEPLOY_NET_H

#include "base/memory.h"
#include "fixture.h"
#include "space/lower.h"

static char deploy_folder[FIXTURE_PATH];

static inline int deploy_make_folder(void **state) {
    (void)state;
    return fixture_folder(deploy_folder);
}

static inline int deploy_remove_folder(void **state) {
    (void)state;
    fixture_remove(deploy_folder);
    return 0;
}

static const float deploy_mean[3] = {0.25f, 0.5f, 0.1f}, deploy_std[3] = {0.125f, 1, 2};
static const char *const deploy_classes[2] = {"a \"quoted\" cat", "caf\xc3\xa9"};

/* A subnet with every kind of layer, its weights numbered 0, 1, 2, ... through the network. */
static inline nas_lowered *deploy_net(float **weights) {
    static const char json_text[] =
        "{\"name\": \"t\", \"resolution\": 8,"
        "\"stem\": {\"kernel\": 3, \"stride\": 2, \"width\": 4, \"activation\": \"h-swish\"},"
        "\"stages\": [{\"width\": 4, \"stride\": 1, \"depth\": 1, \"kernel\": 5, \"expand\": 2,"
        "\"squeeze_excite\": true, \"activation\": \"relu\"}],"
        "\"head\": {\"width\": 6, \"activation\": \"none\"}}";
    json_t *json = json_loads(json_text, 0, NULL);
    nas_space space;
    nas_lowered *lowered;
    nas_error err = {0};
    if (nas_space_parse(json, "t", 3, 2, &space, &err)) fail_msg("%s", err.message);
    json_decref(json);
    nas_genome genome = nas_genome_largest(&space);
    assert_int_equal(nas_lower(&space, &genome, &lowered, &err), NAS_OK);
    size_t total = 0;
    for (uint32_t i = 0; i < lowered->network.n_layers; i++) {
        total += lowered->layers[i].weights + lowered->layers[i].biases;
    }
    float *memory = nas_alloc(total, sizeof *memory), *next = memory;
    for (size_t i = 0; i < total; i++) memory[i] = (float)i;
    for (uint32_t i = 0; i < lowered->network.n_layers; i++) {
        nas_layer *layer = &lowered->layers[i];
        if (!layer->weights) continue;
        layer->weight = next;
        layer->bias = next + layer->weights;
        next += layer->weights + layer->biases;
    }
    lowered->network.mean = deploy_mean;
    lowered->network.std = deploy_std;
    lowered->network.class_names = deploy_classes;
    *weights = memory;
    return lowered;
}

/* Has the stem padded as TensorFlow's SAME does, and end in an activation. */
static inline void deploy_make_mobile(nas_lowered *lowered, uint32_t activation) {
    lowered->layers[0].pad_before = 0;
    lowered->layers[0].activation = activation;
}

/* All activations of the network lie between low and high. */
static inline void deploy_set_ranges(nas_lowered *lowered, float low, float high) {
    static nas_range ranges[NAS_MAX_LAYERS];
    for (size_t i = 0; i < NAS_MAX_LAYERS; i++) ranges[i] = (nas_range){low, high};
    lowered->network.sums = lowered->network.results = ranges;
}

#endif
