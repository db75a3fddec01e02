/* Supernets of small spaces with weights that hide nothing, for tests of the engine in float or
 * double. Include after <cmocka.h>: what goes wrong here fails the test. */
#ifndef NAS_TESTS_SMALL_NET_H
#define NAS_TESTS_SMALL_NET_H

#include "base/json.h"
#include "base/rng.h"
#include "supernet/engine.h"

#include <stdlib.h>
#include <string.h>

/* Every elastic choice, odd widths, strides 1 and 2, blocks with and without residual, expansion
 * and squeeze-excite, on images of 12 x 12 x 3 with 5 classes. "%s": the sizes of hidden layers. */
#define SMALL_SIDE 12
#define SMALL_CHANNELS 3
#define SMALL_CLASSES 5
#define SMALL_SPACE                                                                                \
    "{\"name\": \"small\", \"resolution\": [9, 12],"                                               \
    " \"stem\": {\"kernel\": 3, \"stride\": 1, \"width\": 7, \"activation\": \"h-swish\"},"        \
    " \"stages\": ["                                                                               \
    "  {\"width\": [7], \"stride\": 1, \"depth\": [1, 2], \"kernel\": [3], \"expand\": [1],"       \
    "   \"squeeze_excite\": false, \"activation\": \"relu\"},"                                     \
    "  {\"width\": [8, 11], \"stride\": 2, \"depth\": [1, 2, 3], \"kernel\": [3, 5, 7],"           \
    "   \"expand\": [1, 2, 3], \"squeeze_excite\": false, \"activation\": \"relu\"},"              \
    "  {\"width\": [8, 11], \"stride\": 1, \"depth\": [1, 2, 3], \"kernel\": [1, 3, 5],"           \
    "   \"expand\": [1, 2, 3], \"squeeze_excite\": true, \"activation\": \"h-swish\"}],"           \
    " \"head\": {\"width\": 13, \"activation\": \"h-swish\", \"hidden\": [%s],"                    \
    "            \"hidden_activation\": \"h-swish\"}}"

/* What published mobile networks have besides: TensorFlow's padding of even and odd sides, another
 * epsilon, relu6 and swish, kernels by matrices, other rules of squeeze-excite, choices and
 * fractions of each block's own, a hidden layer without bias. */
#define MOBILE_SPACE                                                                               \
    "{\"name\": \"mobile\", \"resolution\": [11, 12], \"padding\": \"same\","                      \
    " \"batch_norm_epsilon\": 0.001, \"kernel_transform\": true,"                                  \
    " \"stem\": {\"kernel\": 3, \"stride\": 2, \"width\": 7, \"activation\": \"relu6\"},"          \
    " \"stages\": ["                                                                               \
    "  {\"width\": [8, 11], \"stride\": 2, \"depth\": [1, 2], \"kernel\": [1, 3, 5, 7],"           \
    "   \"expand\": [1, 2, 2.6], \"activation\": \"swish\","                                       \
    "   \"squeeze_excite\": {\"divisor\": 2, \"minimum\": 1, \"of\": \"input\","                   \
    "                      \"activation\": \"swish\", \"gate\": \"sigmoid\"}},"                    \
    "  {\"width\": [8, 11], \"stride\": 2, \"depth\": [1, 2], \"kernel\": [[3, 5], [3]],"          \
    "   \"expand\": [[1, 2.4], [1.7]], \"squeeze_excite\": {\"round_to\": 3}, \"activation\": "    \
    "\"relu6\"}],"                                                                                 \
    " \"head\": {\"width\": 13, \"activation\": \"swish\", \"hidden\": [9],"                       \
    "          \"hidden_activation\": \"sigmoid\", \"hidden_bias\": false}}"

/* Channels that are many for their pixels, which are 2 x 2 and then one: of projections with
 * squeeze-excite and without, of a wide expansion and the head. */
#define DEEP_SPACE                                                                                 \
    "{\"name\": \"deep\", \"resolution\": [6],"                                                    \
    " \"stem\": {\"kernel\": 3, \"stride\": 2, \"width\": 6, \"activation\": \"relu\"},"           \
    " \"stages\": ["                                                                               \
    "  {\"width\": [66, 70], \"stride\": 2, \"depth\": [1], \"kernel\": [3], \"expand\": [5],"     \
    "   \"squeeze_excite\": true, \"activation\": \"h-swish\"},"                                   \
    "  {\"width\": [20], \"stride\": 2, \"depth\": [1, 2], \"kernel\": [3], \"expand\": [1, 2],"   \
    "   \"squeeze_excite\": false, \"activation\": \"h-swish\"}],"                                 \
    " \"head\": {\"width\": 31, \"activation\": \"h-swish\", \"hidden\": [],"                      \
    "            \"hidden_activation\": \"h-swish\"}}"

static inline nas_space small_parse(const char *text, uint32_t channels, uint32_t classes) {
    nas_error err = {0};
    nas_space space;
    json_error_t where;
    json_t *json = json_loads(text, 0, &where);
    if (!json) fail_msg("the test's own JSON is wrong: %s: %s", where.text, text);
    if (nas_space_parse(json, "test", channels, classes, &space, &err)) fail_msg("%s", err.message);
    json_decref(json);
    return space;
}

static inline nas_space small_space(const char *hidden) {
    char text[2048];
    snprintf(text, sizeof text, SMALL_SPACE, hidden);
    return small_parse(text, SMALL_CHANNELS, SMALL_CLASSES);
}

static inline nas_space small_mobile(void) {
    return small_parse(MOBILE_SPACE, SMALL_CHANNELS, SMALL_CLASSES);
}

static inline nas_space small_quickstart(void) {
    nas_error err = {0};
    nas_space space = {0};
    json_t *json = NULL;
    if (nas_json_load("spaces/quickstart.json", &json, &err) ||
        nas_space_parse(json, "quickstart", 1, 10, &space, &err))
        fail_msg("%s", err.message);
    json_decref(json);
    return space;
}

/* n standard normal numbers of a stream. */
static inline void small_fill(nas_real *values, size_t n, uint64_t stream) {
    nas_rng rng = nas_rng_open(7, NAS_RNG_TEST, 0, stream);
    for (size_t i = 0; i < n; i++) values[i] = (nas_real)nas_rng_normal(&rng);
}

/* The same in fresh memory, which the caller frees. */
static inline nas_real *small_random(size_t n, uint64_t stream) {
    nas_real *values = malloc((n ? n : 1) * sizeof *values);
    assert_non_null(values);
    small_fill(values, n, stream);
    return values;
}

/* Kernels as initialised; gamma, beta and biases drawn too, so that none of them is 0 or 1. */
static inline nas_supernet *small_net(const nas_space *space) {
    nas_error err = {0};
    nas_supernet *net;
    if (nas_supernet_create(space, 3, false, &net, &err)) fail_msg("%s", err.message);
    for (uint32_t i = 0; i < net->n_parameters; i++) {
        const nas_parameter *p = &net->parameters[i];
        if (p->fan_in) continue;
        nas_real *w = net->weights + p->offset;
        nas_real middle = strstr(p->name, ".gamma") ? 1 : 0;
        small_fill(w, p->count, 1000 + i);
        for (size_t j = 0; j < p->count; j++) w[j] = middle + (nas_real)0.25 * w[j];
    }
    return net;
}

static inline uint32_t small_below(void *rng, uint32_t n) {
    return nas_rng_below(rng, n);
}

/* 0: the largest subnet; 1: the smallest; others: random ones. */
static inline nas_genome small_genome(const nas_space *space, uint32_t which) {
    nas_rng rng = nas_rng_open(11, NAS_RNG_TEST, 1, which);
    if (which == 0) return nas_genome_largest(space);
    if (which == 1) return nas_genome_smallest(space);
    return nas_genome_random(space, small_below, &rng);
}

static inline nas_engine *small_engine(const nas_supernet *net, nas_engine_mode mode,
                                       uint32_t max_images, uint32_t side, int threads) {
    nas_error err = {0};
    nas_engine *engine;
    if (nas_engine_create(net, mode, max_images, 1, side, side, threads, &engine, &err))
        fail_msg("%s", err.message);
    return engine;
}

static inline void small_select(nas_engine *engine, const nas_space *space, uint32_t which) {
    nas_genome genome = small_genome(space, which);
    nas_arch arch = nas_genome_decode(space, &genome);
    nas_engine_select(engine, &arch);
}

#endif
