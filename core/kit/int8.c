#include <nashost/kit/int8.h>

#include <nashost/kit/layers.h>

#include <math.h>
#include <stdlib.h>

static int32_t clamp(double value, int32_t low, int32_t high) {
    return value < low ? low : value > high ? high : (int32_t)value;
}

nas_int8_format nas_int8_span(double low, double high) {
    if (low > 0) low = 0;
    if (high < 0) high = 0;
    nas_int8_format f = {.scale = (float)((high - low) / 255)};
    if (f.scale < NAS_INT8_LEAST_SCALE) f.scale = NAS_INT8_LEAST_SCALE;
    f.zero = clamp(rint(-128 - low / (double)f.scale), -128, 127);
    return f;
}

int8_t nas_int8_of(nas_int8_format f, double value) {
    return (int8_t)clamp(rint(value / (double)f.scale) + f.zero, -128, 127);
}

double nas_int8_value(nas_int8_format f, int8_t q) {
    return (double)f.scale * (q - f.zero);
}

/* ---- Activations ---- */

bool nas_int8_has_table(const nas_layer *layer) {
    switch (layer->activation) {
    case NAS_ACT_HSWISH:
    case NAS_ACT_HSIGMOID:
    case NAS_ACT_SWISH:
    case NAS_ACT_SIGMOID:
        return true;
    default: /* the result's range cuts off what relu and relu6 do */
        return false;
    }
}

nas_int8_format nas_int8_image(const nas_network *net) {
    double low = 0, high = 0;
    for (uint32_t c = 0; c < net->image.c; c++) {
        double least = -(double)net->mean[c] / (double)net->std[c];
        double most = (1 - (double)net->mean[c]) / (double)net->std[c];
        if (least < low) low = least;
        if (most > high) high = most;
    }
    return nas_int8_span(low, high);
}

int8_t nas_int8_pixel(const nas_network *net, uint32_t c, uint8_t pixel) {
    double x = (pixel / 255.0 - (double)net->mean[c]) / (double)net->std[c];
    return nas_int8_of(nas_int8_image(net), x);
}

/* The format of a layer's result, or of the image (NAS_INPUT_IMAGE). */
static nas_int8_format result_format(const nas_network *net, int32_t index) {
    if (index < 0) return nas_int8_image(net);
    return nas_int8_span((double)net->results[index].min, (double)net->results[index].max);
}

/* That of what goes into a layer's activation, without what all give the same answer. */
static nas_int8_format sum_format(const nas_network *net, uint32_t index) {
    const nas_layer *layer = nas_network_layer(net, index);
    if (!nas_int8_has_table(layer)) return result_format(net, (int32_t)index);
    double low = (double)net->sums[index].min, high = (double)net->sums[index].max;
    bool hard = layer->activation == NAS_ACT_HSWISH || layer->activation == NAS_ACT_HSIGMOID;
    bool gate = layer->activation == NAS_ACT_HSIGMOID || layer->activation == NAS_ACT_SIGMOID;
    double flat = hard ? 3 : 8; /* exp(-8) is less than a step of 8 bits */
    if (low < -flat) low = -flat;
    if (high > flat && gate) high = flat;
    return nas_int8_span(low, high);
}

/* ---- Weights ---- */

int32_t nas_int8_largest_weight(const nas_network *net) {
    return NAS_HAS(net, weight_bits) && net->weight_bits == 7 ? 63 : 127;
}

/* A filter's scale: its largest weight becomes `most`, and its bias, in units of in * scale, stays
 * below 2^29. */
static float filter_scale(double largest, int32_t most, double bias, float in) {
    double scale = largest / most, least = fabs(bias) / ((double)in * 0x1p29);
    if (scale < least) scale = least;
    return scale < NAS_INT8_LEAST_SCALE ? NAS_INT8_LEAST_SCALE : (float)scale;
}

static void quantise_weights(const nas_layer *layer, int32_t most, nas_int8_layer *to) {
    size_t n = layer->out.c;
    for (size_t o = 0; o < n; o++) {
        double largest = 0;
        for (size_t i = o; i < layer->weights; i += n)
            if (fabs((double)layer->weight[i]) > largest) largest = fabs((double)layer->weight[i]);
        double bias = (double)layer->bias[o];
        float scale = to->scale[o] = filter_scale(largest, most, bias, to->in[0].scale);
        for (size_t i = o; i < layer->weights; i += n)
            to->weight[i] =
                (int8_t)clamp(rint((double)layer->weight[i] / (double)scale), -most, most);
        to->bias[o] = (int32_t)rint(bias / ((double)to->in[0].scale * (double)scale));
    }
}

double nas_int8_real_factor(const nas_layer *layer, const nas_int8_layer *to, uint32_t which) {
    double in = (double)to->in[0].scale, other = (double)to->in[1].scale;
    double out = (double)to->sum.scale;
    if (to->scale) return in * (double)to->scale[which] / out;
    if (layer->op == NAS_OP_POOL) return in / (out * layer->in.h * layer->in.w);
    if (layer->op == NAS_OP_SCALE) return in * other / out;
    return (which ? other : in) / out;
}

/* All factors have one shift, by which the largest has 31 bits. */
static void set_factors(const nas_layer *layer, nas_int8_layer *to) {
    double largest = 0;
    int exponent;
    for (uint32_t i = 0; i < to->factors; i++) {
        double factor = nas_int8_real_factor(layer, to, i);
        if (factor > largest) largest = factor; /* fmax crashes gcc 12 for AArch64 */
    }
    frexp(largest, &exponent);
    to->shift = exponent > 30 ? 1 : exponent < -31 ? 62 : 31 - exponent;
    for (uint32_t i = 0; i < to->factors; i++)
        to->factor[i] =
            clamp(rint(ldexp(nas_int8_real_factor(layer, to, i), to->shift)), 0, INT32_MAX);
}

/* ---- Layers ---- */

static uint32_t count_factors(const nas_network *net, uint32_t i) {
    const nas_layer *layer = nas_network_layer(net, i);
    if (i + 1 == net->n_layers) return 0;
    return layer->weights ? layer->out.c : layer->op == NAS_OP_ADD ? 2 : 1;
}

uint64_t nas_int8_constant_bytes(const nas_network *net) {
    enum { NUMBERS = 18 };                         /* of a layer, four of them pointers */
    uint64_t bytes = 256 * (uint64_t)net->image.c; /* what pixels become */
    if (net->n_layers) bytes += 4 * (uint64_t)nas_network_layer(net, net->n_layers - 1)->out.c;
    for (uint32_t i = 0; i < net->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(net, i);
        uint64_t numbers = layer->biases + count_factors(net, i) + NUMBERS;
        bytes += layer->weights + 4 * numbers + (nas_int8_has_table(layer) ? 256 : 0);
    }
    return bytes;
}

void nas_int8_free(nas_int8_layer *layer) {
    free(layer->scale);
    free(layer->weight);
    free(layer->bias);
    free(layer->factor);
    *layer = (nas_int8_layer){0};
}

int nas_int8_check(const char *who, const nas_network *net, nas_error *err) {
    if (!NAS_HAS(net, results) || !net->sums || !net->results)
        return nas_fail(err, NAS_ERR_PLUGIN, "%s: expected ranges of activations, found none", who);
    const nas_layer *last = net->n_layers ? nas_network_layer(net, net->n_layers - 1) : NULL;
    if (!last || !last->weights || last->activation || last->out.h * last->out.w != 1)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "%s: expected a network that ends in a linear layer without activation",
                        who);
    for (uint32_t i = 0; i < net->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(net, i);
        const nas_range *sum = &net->sums[i], *result = &net->results[i];
        bool good = isfinite(sum->min) && isfinite(sum->max) && isfinite(result->min) &&
                    isfinite(result->max);
        for (uint64_t k = 0; k < layer->weights; k++) good = good && isfinite(layer->weight[k]);
        for (uint64_t k = 0; k < layer->biases; k++) good = good && isfinite(layer->bias[k]);
        if (!good)
            return nas_fail(err, NAS_ERR_NUMERIC,
                            "%s: layer %.39s: a weight or activation is not finite", who,
                            layer->name);
        if (layer->weights > (uint64_t)NAS_INT8_LONGEST_FILTER * layer->out.c)
            return nas_fail(err, NAS_ERR_PLUGIN,
                            "%s: layer %.39s: expected filters of at most %u weights for 8 bits",
                            who, layer->name, NAS_INT8_LONGEST_FILTER);
    }
    return NAS_OK;
}

int nas_int8_make(const nas_network *net, uint32_t i, nas_int8_layer *to, nas_error *err) {
    const nas_layer *layer = nas_network_layer(net, i);
    size_t n = layer->out.c, weights = layer->weights;
    *to = (nas_int8_layer){.sum = sum_format(net, i),
                           .result = result_format(net, (int32_t)i),
                           .has_table = nas_int8_has_table(layer)};
    for (int k = 0; k < 2; k++)
        if (layer->input[k] != NAS_INPUT_NONE) to->in[k] = result_format(net, layer->input[k]);
    to->factors = count_factors(net, i);
    to->factor = calloc(to->factors + 1u, sizeof *to->factor);
    if (weights) to->scale = malloc(n * sizeof *to->scale);
    if (weights) to->weight = malloc(weights * sizeof *to->weight);
    if (weights) to->bias = malloc(n * sizeof *to->bias);
    if (!to->factor || (weights && (!to->scale || !to->weight || !to->bias))) {
        nas_int8_free(to);
        return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    }
    if (weights) quantise_weights(layer, nas_int8_largest_weight(net), to);
    set_factors(layer, to);
    for (int q = -128; to->has_table && q < 128; q++)
        to->table[q + 128] =
            nas_int8_of(to->result, nas_activation_value(layer->activation,
                                                         nas_int8_value(to->sum, (int8_t)q)));
    return NAS_OK;
}

void nas_int8_free_all(const nas_network *net, nas_int8_layer *layers) {
    for (uint32_t i = 0; layers && i < net->n_layers; i++) nas_int8_free(&layers[i]);
    free(layers);
}

int nas_int8_make_all(const char *who, const nas_network *net, nas_int8_layer **layers,
                      nas_error *err) {
    *layers = NULL;
    int rc = nas_int8_check(who, net, err);
    if (rc) return rc;
    nas_int8_layer *made = calloc(net->n_layers, sizeof *made);
    if (!made) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", who);
    for (uint32_t i = 0; i < net->n_layers && !rc; i++) rc = nas_int8_make(net, i, &made[i], err);
    if (rc) nas_int8_free_all(net, made);
    if (!rc) *layers = made;
    return rc;
}
