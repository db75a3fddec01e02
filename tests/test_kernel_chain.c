/* Kernels by matrices, against the formula: of a larger kernel's centre, row by row as a vector for
 * each channel, y_i = sum_j M_ij x_j. */
#include "supernet/kernel_chain.h"

#include "space/lower.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "small_net.h"

#define SPACE(kernels, transform)                                                                  \
    "{\"name\": \"chain\", \"resolution\": 8, \"kernel_transform\": " transform ","                \
    " \"stem\": {\"kernel\": 3, \"stride\": 1, \"width\": 6, \"activation\": \"relu\"},"           \
    " \"stages\": [{\"width\": 6, \"stride\": 1, \"depth\": 1, \"kernel\": " kernels ","           \
    "               \"expand\": [1, 2], \"activation\": \"relu\"}],"                               \
    " \"head\": {\"width\": 7, \"activation\": \"relu\"}}"

/* The depthwise kernel of the subnet with choice `kernel` and `expand` of the only block. */
typedef struct depthwise {
    nas_space space;
    nas_supernet *net;
    nas_lowered *lowered;
    const nas_layer *layer;
    nas_slice slice;
    nas_kernel_chain chain;
} depthwise;

static void open_depthwise(const char *text, uint16_t kernel, uint16_t expand, depthwise *d) {
    nas_error err = {0};
    d->space = small_parse(text, SMALL_CHANNELS, SMALL_CLASSES);
    d->net = small_net(&d->space);
    nas_genome genome = {{0, 0, 0, kernel, expand}};
    if (nas_lower(&d->space, &genome, &d->lowered, &err)) fail_msg("%s", err.message);
    d->layer = &d->lowered->layers[expand ? 2 : 1];
    assert_int_equal(d->layer->op, NAS_OP_DEPTHWISE);
    assert_int_equal(nas_slice_find(d->net, d->layer, &d->slice, &err), NAS_OK);
    d->chain = nas_kernel_chain_find(d->net, d->layer, &d->slice);
}

static void close_depthwise(depthwise *d) {
    nas_lowered_free(d->lowered);
    nas_supernet_destroy(d->net);
}

static const nas_real *tensor(const depthwise *d, const char *part) {
    char name[NAS_TENSOR_NAME];
    nas_layer_tensor_name(d->layer, part, name);
    const nas_parameter *p = nas_supernet_find(d->net, name);
    if (!p) fail_msg("there is no tensor %s", name);
    return d->net->weights + p->offset;
}

/* One channel's kernel [to][to] from its kernel [from][from]. */
static void step(const double *x, uint32_t from, const nas_real *matrix, uint32_t to, double *y) {
    uint32_t skip = (from - to) / 2, n = to * to;
    for (uint32_t i = 0; i < n; i++) {
        y[i] = 0;
        for (uint32_t j = 0; j < n; j++)
            y[i] += (double)matrix[i * n + j] * x[(j / to + skip) * from + j % to + skip];
    }
}

static void check_kernel(const depthwise *d, const uint32_t *sides, int steps) {
    nas_real *kernel = nas_kernel_chain_make(&d->chain, d->net->weights);
    const nas_real *whole = tensor(d, ".conv");
    uint32_t c = d->layer->out.c, all = (uint32_t)d->slice.out;
    assert_non_null(kernel);
    assert_int_equal(d->chain.n, steps);
    for (uint32_t o = 0; o < c; o++) {
        double x[49], y[49];
        for (uint32_t i = 0; i < sides[0] * sides[0]; i++) x[i] = (double)whole[i * all + o];
        for (int s = 0; s < steps; s++) {
            char part[24];
            snprintf(part, sizeof part, ".matrix%uto%u", sides[s], sides[s + 1]);
            step(x, sides[s], tensor(d, part), sides[s + 1], y);
            memcpy(x, y, sizeof x);
        }
        for (uint32_t i = 0; i < sides[steps] * sides[steps]; i++)
            if (!(fabs((double)kernel[i * c + o] - y[i]) < 1e-5 * (1 + fabs(y[i]))))
                fail_msg("tap %u of channel %u: expected %g, found %g", i, o, y[i],
                         (double)kernel[i * c + o]);
    }
    free(kernel);
}

static void matrices_make_smaller_kernels(void **state) {
    (void)state;
    static const uint32_t sides[] = {7, 5, 3, 1}, skipping[] = {7, 3};
    depthwise d;
    for (uint16_t expand = 0; expand < 2; expand++) { /* of all channels, and of the first half */
        for (uint16_t kernel = 0; kernel < 3; kernel++) {
            open_depthwise(SPACE("[1, 3, 5, 7]", "true"), kernel, expand, &d);
            check_kernel(&d, sides, 3 - kernel);
            close_depthwise(&d);
        }
        open_depthwise(SPACE("[3, 7]", "true"), 0, expand, &d);
        check_kernel(&d, skipping, 1);
        close_depthwise(&d);
    }
}

static void largest_and_plain_kernels_have_none(void **state) {
    (void)state;
    depthwise d;
    open_depthwise(SPACE("[3, 5]", "true"), 1, 0, &d);
    assert_int_equal(d.chain.n, 0);
    close_depthwise(&d);
    open_depthwise(SPACE("[3, 5]", "false"), 0, 0, &d);
    assert_int_equal(d.chain.n, 0);
    assert_null(nas_supernet_find(d.net, "stage0.block0.depthwise.matrix5to3"));
    close_depthwise(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matrices_make_smaller_kernels),
        cmocka_unit_test(largest_and_plain_kernels_have_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
