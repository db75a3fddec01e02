/* The score plugin `synflow`. */
#include "../plugins/score/synflow.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "score_harness.h"

static void test_formula(void **state) {
    (void)state;
    const nas_layer conv = {.op = NAS_OP_CONV, .weights = 3}, pool = {.op = NAS_OP_POOL};
    const nas_layer linear = {.op = NAS_OP_LINEAR, .weights = 2};
    const double w[] = {1, -2, 3}, g[] = {0.5, 2, 0}, v[] = {4, 5}, h[] = {-1, 0.1};
    player p = {.n_plays = 1,
                .plays = {{.n = 3,
                           .layers = {{.layer = &conv, .weight = w, .weight_grad = g},
                                      {.layer = &pool},
                                      {.layer = &linear, .weight = v, .weight_grad = h}}}}};
    config c = {.weights = NAS_PROBE_INHERITED};
    player_near(&p, &c, log(0.5 + 4 + 0 + 4 + 0.5));
    const nas_probe *seen = &p.seen[0];
    assert_int_equal(p.n_probes, 1);
    assert_int_equal(seen->images, NAS_PROBE_ONES);
    assert_int_equal(seen->norm, NAS_PROBE_IDENTITY);
    assert_int_equal(seen->objective, NAS_PROBE_LOGIT_SUM);
    assert_int_equal(seen->weights, NAS_PROBE_INHERITED);
    assert_true(seen->absolute && !seen->plain && seen->noise == 0);
    player_refusals(&p, &c);
}

/* R is linear in each kernel of a network of products and relu without biases, so every layer's sum
 * is R, and the score is log(layers * R). R is computed here by hand for a network whose kernels
 * are all 1 x 1 or 3 x 3. */
static void test_real(void **state) {
    (void)state;
    nas_space space = small_parse(
        "{\"name\": \"t\", \"resolution\": [4],"
        " \"stem\": {\"kernel\": 1, \"stride\": 1, \"width\": 1, \"activation\": \"relu\"},"
        " \"stages\": [{\"width\": [2], \"stride\": 1, \"depth\": [1], \"kernel\": [3],"
        "  \"expand\": [1], \"squeeze_excite\": false, \"activation\": \"relu\"}],"
        " \"head\": {\"width\": 1, \"activation\": \"relu\"}}",
        1, 2);
    real_subnet r = {.space = space, .net = small_net(&space)};
    nas_error err = {0};
    nas_genome genome = nas_genome_largest(&space);
    if (nas_lower(&space, &genome, &r.lowered, &err)) fail_msg("%s", err.message);
    double ones[16];
    for (int i = 0; i < 16; i++) ones[i] = 1;
    const struct {
        const char *name;
        float values[9];
    } kernels[] = {{"stem.conv", {-2}},
                   {"stage0.block0.depthwise.conv", {1, -2, 3, 0, -5, 1, 2, 0.5f, 4}},
                   {"stage0.block0.project.conv", {3, -1}},
                   {"head.conv", {0.5f, -2}},
                   {"classifier.weight", {1, -7}}};
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        const nas_parameter *k = nas_supernet_find(r.net, kernels[i].name);
        assert_non_null(k);
        memcpy(r.net->weights + k->offset, kernels[i].values, k->count * sizeof(float));
    }
    const nas_parameter *bias = nas_supernet_find(r.net, "classifier.bias");
    memset(r.net->weights + bias->offset, 0, 2 * sizeof(float));
    r.player = (player){.network = &r.lowered->network, .real = r.net, .batch = {1, ones, NULL}};
    /* On 4 x 4 pixels a kernel's centre meets 16 of them, its sides 12, its corners 9. */
    double depthwise = 2 * (16 * 5 + 12 * (2 + 0 + 1 + 0.5) + 9 * (1 + 3 + 2 + 4)) / 16;
    double flow = depthwise * (3 * 0.5 + 1 * 2) * (1 + 7);
    config c = {.weights = NAS_PROBE_INHERITED};
    player_near(&r.player, &c, log(5 * flow));
    real_close(&r);
}

static void test_dead(void **state) {
    (void)state;
    real_subnet r;
    config c = {.weights = NAS_PROBE_INHERITED};
    real_open(&r);
    double alive = player_value(&r.player, &c);
    real_kill(&r);
    player_near(&r.player, &c, log(DBL_MIN));
    assert_true(player_value(&r.player, &c) < alive);
    c.weights = NAS_PROBE_INITIAL; /* does not look at the dead ones */
    assert_true(player_value(&r.player, &c) > 0);
    real_close(&r);
}

static void test_overflow(void **state) {
    (void)state;
    const nas_layer linear = {.op = NAS_OP_LINEAR, .weights = 1};
    const double w[] = {1e200}, g[] = {1e200};
    player p = {.n_plays = 1,
                .plays = {{.n = 1, .layers = {{.layer = &linear, .weight = w, .weight_grad = g}}}}};
    config c = {0};
    nas_error err = {0};
    double value;
    assert_int_equal(player_score(&p, &c, &value, &err), NAS_ERR_NUMERIC);
    assert_non_null(strstr(err.message, "exceeds double precision"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formula),
        cmocka_unit_test(test_real),
        cmocka_unit_test(test_dead),
        cmocka_unit_test(test_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
