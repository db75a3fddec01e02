#include "prepare.h"

#include <nashost/kit/int8.h>
#include <nashost/kit/layers.h>

#include <stdlib.h>
#include <string.h>

/* Hosts may be older or newer than this plugin. */
static void copy_layer(const nas_network *net, uint32_t i, nas_layer *to) {
    size_t known = net->layer_size < sizeof *to ? net->layer_size : sizeof *to;
    memcpy(to, nas_network_layer(net, i), known);
}

/* Whether pixels in the network's format of 8 bits are what they were, less 128. */
static bool is_plain(const nas_network *net) {
    for (uint32_t c = 0; c < net->image.c; c++)
        for (int pixel = 0; pixel < 256; pixel++)
            if (nas_int8_pixel(net, c, (uint8_t)pixel) != pixel - 128) return false;
    return true;
}

/* (x - mean) / std of each channel as a depthwise convolution of one pixel. */
static void normalise(const nas_network *net, nas_layer *layer, float *weight) {
    size_t c = net->image.c;
    float *bias = weight + c;
    for (size_t i = 0; i < c; i++) {
        weight[i] = (float)(1 / (double)net->std[i]);
        bias[i] = (float)(-(double)net->mean[i] / (double)net->std[i]);
    }
    *layer = (nas_layer){.op = NAS_OP_DEPTHWISE,
                         .name = "normalise",
                         .input = {NAS_INPUT_IMAGE, NAS_INPUT_NONE},
                         .in = net->image,
                         .out = net->image,
                         .kernel = 1,
                         .stride = 1,
                         .weights = c,
                         .biases = c,
                         .weight = weight,
                         .bias = bias};
}

/* h-sigmoid is x / 6 + 1/2 between 0 and 1. */
static void fold(nas_layer *layer, float *weight) {
    float *bias = weight + layer->weights;
    for (uint64_t k = 0; k < layer->weights; k++) weight[k] = layer->weight[k] / 6;
    for (uint64_t k = 0; k < layer->biases; k++) bias[k] = layer->bias[k] / 6 + 0.5f;
    layer->weight = weight;
    layer->bias = bias;
    layer->activation = ACT_CLAMP;
}

static bool is_folded(const nas_layer *layer) {
    return layer->activation == NAS_ACT_HSIGMOID && nas_layer_weighs(layer);
}

static uint64_t count_numbers(const nas_network *net) {
    uint64_t n = 4 * (uint64_t)net->image.c;
    for (uint32_t i = 0; i < net->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(net, i);
        if (is_folded(layer)) n += layer->weights + layer->biases;
    }
    return n;
}

static int allocate(const nas_network *net, bool int8, prepared *p, nas_error *err) {
    p->layers = calloc(net->n_layers + 1u, sizeof *p->layers);
    p->numbers = calloc(count_numbers(net), sizeof *p->numbers);
    if (int8) p->ranges = calloc(2 * (net->n_layers + 1u), sizeof *p->ranges);
    if (p->layers && p->numbers && (p->ranges || !int8)) return NAS_OK;
    return nas_fail(err, NAS_ERR_MEMORY, "tflite: out of memory");
}

/* The images that go in are 0 to 1, and a layer before all others normalises them. */
static void add_normalisation(const nas_network *net, prepared *p) {
    uint32_t c = net->image.c;
    float *mean = p->numbers + 2 * (size_t)c, *std = mean + c;
    for (uint32_t i = 0; i < c; i++) std[i] = 1;
    normalise(net, &p->layers[0], p->numbers);
    p->network.mean = mean;
    p->network.std = std;
    p->in_mean = 0;
    p->in_std = 255;
    p->network.n_layers++;
}

/* The only range that LiteRT's LOGISTIC has in 8 bits. */
static const nas_range logistic = {0, 255.0f / 256};

/* The format of normalised images is that of nashost/kit/int8.h. */
static void add_ranges(const nas_network *net, uint32_t added, prepared *p) {
    nas_range *sums = p->ranges, *results = sums + p->network.n_layers;
    nas_int8_format image = nas_int8_image(net);
    sums[0].min = results[0].min = (float)nas_int8_value(image, -128);
    sums[0].max = results[0].max = (float)nas_int8_value(image, 127);
    memcpy(sums + added, net->sums, net->n_layers * sizeof *sums);
    memcpy(results + added, net->results, net->n_layers * sizeof *results);
    for (uint32_t i = 0; i < net->n_layers; i++)
        if (nas_network_layer(net, i)->activation == NAS_ACT_SIGMOID) results[i + added] = logistic;
    p->network.sums = sums;
    p->network.results = results;
}

static int add_layers(const nas_network *net, uint32_t added, prepared *p, nas_error *err) {
    float *numbers = p->numbers + 4 * (size_t)net->image.c;
    for (uint32_t i = 0; i < net->n_layers; i++) {
        nas_layer *layer = &p->layers[i + added];
        copy_layer(net, i, layer);
        for (int k = 0; k < 2; k++)
            if (layer->input[k] != NAS_INPUT_NONE) layer->input[k] += (int32_t)added;
        if (is_folded(layer)) {
            fold(layer, numbers);
            numbers += layer->weights + layer->biases;
        } else if (layer->activation == NAS_ACT_HSIGMOID) {
            return nas_fail(err, NAS_ERR_PLUGIN,
                            "tflite: layer %.39s: expected h-sigmoid after a layer with weights, "
                            "found it after '%s'",
                            layer->name, nas_op_name(layer->op));
        }
    }
    return NAS_OK;
}

int nas_tflite_prepare(const nas_network *net, bool int8, prepared *p, nas_error *err) {
    *p = (prepared){0};
    int rc = allocate(net, int8, p, err);
    if (rc) return rc;
    memcpy(&p->network, net, net->size < sizeof *net ? net->size : sizeof *net);
    uint32_t added = int8 && is_plain(net) ? 0 : 1;
    p->network.layers = p->layers;
    p->network.layer_size = sizeof *p->layers;
    p->in_mean = 255 * net->mean[0];
    p->in_std = 255 * net->std[0];
    if (added) add_normalisation(net, p);
    if (int8) add_ranges(net, added, p);
    return add_layers(net, added, p, err);
}

void nas_tflite_free_prepared(prepared *p) {
    free(p->layers);
    free(p->ranges);
    free(p->numbers);
    *p = (prepared){0};
}
