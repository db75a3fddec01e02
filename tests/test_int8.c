/* The arithmetic of networks in 8 bits. */
#include <nashost/kit/int8.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check_format(double low, double high, double scale, int32_t zero) {
    nas_int8_format f = nas_int8_span(low, high);
    if (f.scale != (float)scale || f.zero != zero)
        fail_msg("%g to %g: expected %.9g and %d, found %.9g and %d", low, high, scale, zero,
                 (double)f.scale, f.zero);
}

/* 0 is always one of the 256 values, and a whole q stands for it. */
static void test_formats(void **state) {
    (void)state;
    check_format(0, 255, 1, -128);
    check_format(-255, 0, 1, 127);
    check_format(-2.5, 252.5, 1, -126); /* -125.5, and the even whole */
    check_format(-1, 7, 8.0 / 255, -96);
    check_format(5, 10.2, 0.04, -128); /* from 0 on */
    check_format(-51, -3, 0.2, 127);
    check_format(0, 0, 0x1p-24, -128); /* constant 0, and next to it */
    check_format(0, 1e-30, 0x1p-24, -128);
    check_format(-1e30, 0, 1e30 / 255, 127);
}

static void test_rounding(void **state) {
    (void)state;
    const nas_int8_format f = {.scale = 0.5f, .zero = 10};
    static const struct {
        double value;
        int8_t q;
    } of[] = {{0, 10},     {0.25, 10},  {0.75, 12},  {-0.25, 10}, {-0.75, 8},   {1.24, 12},
              {58.5, 127}, {58.6, 127}, {1e30, 127}, {-69, -128}, {-1e30, -128}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        assert_int_equal(nas_int8_of(f, of[i].value), of[i].q);
    assert_true(nas_int8_value(f, 12) == 1 && nas_int8_value(f, -128) == -69);
    /* Halves go up, also below 0; then the zero is added and the end held. */
    static const struct {
        int64_t product;
        int shift;
        int32_t zero;
        int8_t q;
    } narrow[] = {{5, 1, 0, 3},
                  {-5, 1, 0, -2},
                  {7, 2, 0, 2},
                  {-7, 2, 0, -2},
                  {-6, 2, 0, -1},
                  {5, 1, -128, -125},
                  {1000, 1, 0, 127},
                  {-1000, 1, 0, -128},
                  {1000, 2, -128, 122},
                  {INT64_MAX / 4, 1, 0, 127},
                  {INT64_MIN / 4, 62, 3, 3},
                  {INT64_C(3) << 60, 62, 0, 1}};
    for (size_t i = 0; i < sizeof narrow / sizeof *narrow; i++)
        assert_int_equal(nas_int8_narrow(narrow[i].product, narrow[i].shift, narrow[i].zero),
                         narrow[i].q);
}

/* ---- One layer ---- */

enum { IN = 3, OUT = 4 };
static const float weights[IN * OUT] = {0, -1,     1e-9f, 0.5f,  0, 0.5f,
                                        0, -0.25f, 0,     0.25f, 0, 0.126f};
static const float biases[OUT] = {0, 0.1f, 100, -3};
static const float mean[1] = {0}, std[1] = {1};

typedef struct linear {
    nas_layer layer;
    nas_range sum, result;
    nas_network net;
} linear;

/* A layer without activation on the pixels of an image, in steps of 1 / 255. */
static void make_linear(linear *l) {
    l->layer = (nas_layer){.op = NAS_OP_LINEAR,
                           .name = "only",
                           .input = {NAS_INPUT_IMAGE, NAS_INPUT_NONE},
                           .in = {1, 1, IN},
                           .out = {1, 1, OUT},
                           .kernel = 1,
                           .stride = 1,
                           .weights = IN * OUT,
                           .biases = OUT,
                           .weight = weights,
                           .bias = biases};
    l->sum = l->result = (nas_range){-4, 4};
    l->net = (nas_network){.size = sizeof l->net,
                           .layer_size = sizeof l->layer,
                           .n_layers = 1,
                           .classes = OUT,
                           .layers = &l->layer,
                           .image = {1, 1, 1},
                           .mean = mean,
                           .std = std,
                           .sums = &l->sum,
                           .results = &l->result};
}

static void make(const linear *l, uint32_t i, nas_int8_layer *q) {
    nas_error err = {0};
    if (nas_int8_make(&l->net, i, q, &err)) fail_msg("%s", err.message);
}

static void test_weights(void **state) {
    (void)state;
    linear l;
    nas_int8_layer q;
    make_linear(&l);
    make(&l, 0, &q);
    assert_true(q.in[0].scale == (float)(1 / 255.0) && q.in[0].zero == -128);
    assert_int_equal(q.factors, 0); /* the last layer */
    /* All 0: any scale will do that is no trouble. */
    assert_true(q.scale[0] == NAS_INT8_LEAST_SCALE && q.bias[0] == 0);
    /* Each channel has its own scale; halves of a step go to the even whole, as far as a scale in
     * single precision leaves them halves. */
    assert_true(q.scale[1] == (float)(1 / 127.0));
    assert_int_equal(q.weight[1], -127);
    assert_int_equal(q.weight[OUT + 1], 64);
    assert_int_equal(q.weight[2 * OUT + 1], 32);
    assert_int_equal(q.bias[1], (int)rint(0.1 * 255 * 127));
    /* A bias that dwarfs its weights takes 2^29, not more than 32 bits. */
    assert_int_equal(q.weight[2], 0);
    assert_true(abs(q.bias[2] - (1 << 29)) < 100);
    assert_int_equal(q.weight[3], 127);
    assert_int_equal(q.weight[OUT + 3], -64); /* -63.5 */
    assert_int_equal(q.weight[2 * OUT + 3], 32);
    for (size_t o = 0; o < OUT; o++) {
        double bias = q.bias[o] * (double)q.in[0].scale * (double)q.scale[o];
        assert_true(fabs(bias - (double)biases[o]) < 1e-4 * (1 + fabs((double)biases[o])));
    }
    nas_int8_free(&q);
}

/* Two products of a byte and a weight of 7 bits fit into 16 bits. */
static void test_weights_of_7_bits(void **state) {
    (void)state;
    linear l;
    nas_int8_layer q;
    make_linear(&l);
    assert_int_equal(nas_int8_largest_weight(&l.net), 127);
    l.net.weight_bits = 7;
    assert_int_equal(nas_int8_largest_weight(&l.net), 63);
    make(&l, 0, &q);
    for (size_t i = 0; i < IN * OUT; i++) assert_true(abs(q.weight[i]) <= 63);
    assert_true(q.scale[1] == (float)(1 / 63.0));
    assert_int_equal(q.weight[1], -63);
    assert_int_equal(q.weight[2 * OUT + 1], 16); /* 15.75 */
    assert_int_equal(q.bias[1], (int)rint(0.1 * 255 * 63));
    nas_int8_free(&q);
    l.net.size = offsetof(nas_network, weight_bits); /* a host that does not know of it */
    assert_int_equal(nas_int8_largest_weight(&l.net), 127);
}

/* The factors' largest has 31 bits, and each is right to what one bit of that is. */
static void check_factors(const nas_layer *layer, const nas_int8_layer *q) {
    int32_t largest = 0;
    for (uint32_t i = 0; i < q->factors; i++) {
        double real = nas_int8_real_factor(layer, q, i);
        assert_true(fabs(ldexp(q->factor[i], -q->shift) - real) <= ldexp(0.5, -q->shift));
        if (q->factor[i] > largest) largest = q->factor[i];
    }
    assert_true(largest >= 1 << 30);
    assert_in_range(q->shift, 1, 62);
}

static void test_factors(void **state) {
    (void)state;
    linear l;
    nas_int8_layer q;
    nas_layer layers[2];
    make_linear(&l);
    layers[0] = layers[1] = l.layer;
    nas_range ranges[2] = {{-4, 4}, {0, 1}};
    l.net.layers = layers;
    l.net.n_layers = 2;
    l.net.sums = l.net.results = ranges;
    make(&l, 0, &q);
    assert_int_equal(q.factors, OUT);
    check_factors(&layers[0], &q);
    nas_int8_free(&q);
    layers[0].weights = layers[0].biases = 0;
    layers[0].op = NAS_OP_ADD;
    layers[0].input[1] = NAS_INPUT_IMAGE;
    make(&l, 0, &q);
    assert_int_equal(q.factors, 2);
    assert_int_equal(q.factor[0], q.factor[1]);
    check_factors(&layers[0], &q);
    nas_int8_free(&q);
    layers[0].op = NAS_OP_POOL;
    layers[0].input[1] = NAS_INPUT_NONE;
    layers[0].in = (nas_shape){3, 7, OUT};
    make(&l, 0, &q);
    assert_int_equal(q.factors, 1);
    assert_true(fabs(ldexp(*q.factor, -q.shift) - 1 / (255.0 * 21) / (8.0 / 255)) < 1e-8);
    nas_int8_free(&q);
    /* Nothing came out of the layer when it was watched: all that it sums up is beyond the end. */
    layers[0].op = NAS_OP_SCALE;
    layers[0].input[1] = NAS_INPUT_IMAGE;
    ranges[0] = (nas_range){0, 0};
    make(&l, 0, &q);
    check_factors(&layers[0], &q);
    nas_int8_free(&q);
}

/* A table follows its activation, at both ends too; what is beyond them makes no difference. */
static void test_activations(void **state) {
    (void)state;
    static const struct {
        uint32_t activation;
        nas_range result;
        double low, high; /* of the sums that the table tells apart */
    } tables[] = {{NAS_ACT_HSWISH, {-0.375f, 5}, -3, 5},
                  {NAS_ACT_HSIGMOID, {0, 1}, -3, 3},
                  {NAS_ACT_SWISH, {-0.2785f, 5}, -8, 5},
                  {NAS_ACT_SIGMOID, {0, 1}, -8, 5}};
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        linear l;
        nas_int8_layer q;
        make_linear(&l);
        l.layer.activation = tables[t].activation;
        l.sum = (nas_range){-40, 5};
        l.result = tables[t].result;
        make(&l, 0, &q);
        assert_true(q.has_table);
        assert_true(q.sum.scale == (float)((tables[t].high - tables[t].low) / 255));
        for (int i = -128; i < 128; i++) {
            double x = nas_int8_value(q.sum, (int8_t)i);
            double found = nas_int8_value(q.result, q.table[i + 128]);
            double hard = fmin(fmax(x + 3, 0), 6) / 6, soft = 1 / (1 + exp(-x));
            double gate = tables[t].low < -3 ? soft : hard;
            double want = tables[t].result.min < 0 ? x * gate : gate;
            assert_true(fabs(found - want) <= 0.501 * (double)q.result.scale);
        }
        assert_int_equal(q.table[0], q.result.zero);
        nas_int8_free(&q);
    }
    linear l;
    nas_int8_layer q;
    make_linear(&l);
    l.layer.activation = NAS_ACT_RELU;
    l.sum = (nas_range){-40, 5};
    l.result = (nas_range){0, 5};
    make(&l, 0, &q);
    assert_false(q.has_table);
    assert_int_equal(q.sum.zero, -128); /* so that what is below 0 becomes 0 */
    nas_int8_free(&q);
    l.layer.activation = NAS_ACT_RELU6;
    l.sum = (nas_range){-40, 50};
    l.result = (nas_range){0, 6};
    make(&l, 0, &q);
    assert_false(q.has_table);
    assert_int_equal(q.sum.zero, -128);
    assert_true(fabs(nas_int8_value(q.result, 127) - 6) < 1e-6); /* what is above 6 becomes 6 */
    nas_int8_free(&q);
}

/* One channel's pixels lose nothing. */
static void test_pixels(void **state) {
    (void)state;
    static const float grey_mean[1] = {0.286f}, grey_std[1] = {0.353f};
    static const float colour_mean[3] = {0.5f, 0.4f, 0.2f}, colour_std[3] = {0.25f, 0.5f, 0.125f};
    nas_network net = {.image = {2, 2, 1}, .mean = grey_mean, .std = grey_std};
    for (int p = 0; p < 256; p++) assert_int_equal(nas_int8_pixel(&net, 0, (uint8_t)p), p - 128);
    net = (nas_network){.image = {2, 2, 3}, .mean = colour_mean, .std = colour_std};
    nas_int8_format f = nas_int8_image(&net); /* -2 to 6.4 */
    assert_true(f.scale == (float)(8.4 / 255));
    for (uint32_t c = 0; c < 3; c++)
        for (int p = 0; p < 256; p++) {
            double x = (p / 255.0 - (double)net.mean[c]) / (double)net.std[c];
            double found = nas_int8_value(f, nas_int8_pixel(&net, c, (uint8_t)p));
            assert_true(fabs(found - x) < 1.001 * (double)f.scale);
        }
}

static void refused(const nas_network *net, int code, const char *message) {
    nas_error err = {0};
    assert_int_equal(nas_int8_check("me", net, &err), code);
    if (!strstr(err.message, message)) fail_msg("expected \"%s\" in \"%s\"", message, err.message);
}

static void test_refusals(void **state) {
    (void)state;
    linear l;
    make_linear(&l);
    assert_int_equal(nas_int8_check("me", &l.net, NULL), NAS_OK);
    l.net.size = offsetof(nas_network, sums); /* a host of before */
    refused(&l.net, NAS_ERR_PLUGIN, "me: expected ranges of activations, found none");
    l.net.size = sizeof l.net;
    l.result.max = NAN;
    refused(&l.net, NAS_ERR_NUMERIC, "layer only: a weight or activation is not finite");
    l.result.max = INFINITY;
    refused(&l.net, NAS_ERR_NUMERIC, "is not finite");
    l.result.max = 1;
    l.layer.activation = NAS_ACT_RELU;
    refused(&l.net, NAS_ERR_PLUGIN, "ends in a linear layer without activation");
    l.layer.activation = NAS_ACT_NONE;
    l.net.n_layers = 0;
    refused(&l.net, NAS_ERR_PLUGIN, "ends in a linear layer");
    l.net.n_layers = 1;
    float *many = calloc(NAS_INT8_LONGEST_FILTER + 1u, sizeof *many);
    assert_non_null(many);
    l.layer.out.c = 1;
    l.layer.biases = 1;
    l.layer.weight = many;
    l.layer.weights = NAS_INT8_LONGEST_FILTER;
    assert_int_equal(nas_int8_check("me", &l.net, NULL), NAS_OK);
    l.layer.weights++;
    refused(&l.net, NAS_ERR_PLUGIN, "expected filters of at most 32768 weights");
    free(many);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),     cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_weights),     cmocka_unit_test(test_factors),
        cmocka_unit_test(test_activations), cmocka_unit_test(test_pixels),
        cmocka_unit_test(test_refusals),    cmocka_unit_test(test_weights_of_7_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
