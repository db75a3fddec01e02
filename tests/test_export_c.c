/* The export plugin `c`: its text. tests/export_engines.sh compiles and
 * runs such files. */
#include "../plugins/export/c/c.c"

#include "base/file.h"

#include <setjmp.h>

#include <cmocka.h>

#include "deploy_net.h"
#include "small_net.h"

static char *write_and_read(const nas_network *network, const char *prefix, int dtype) {
    char path[FIXTURE_PATH + 16], *text;
    size_t bytes;
    nas_error err = {0};
    c_config config = {.prefix = prefix, .dtype = dtype};
    snprintf(path, sizeof path, "%s/net.c", deploy_folder);
    if (api.write(&config, network, path, &err)) fail_msg("%s", err.message);
    if (nas_file_read(path, 1 << 27, &text, &bytes, &err)) fail_msg("%s", err.message);
    return text;
}

static void contains(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("expected \"%s\"", part);
}

static void test_text(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    char *text = write_and_read(&lowered->network, "my_net", 0);
    contains(text, "void my_net_run(const unsigned char *image, float *logits);");
    contains(text, "my_net_height = 8,");
    contains(text, "my_net_classes = 2,");
    contains(text, "= {\"a \\042quoted\\042 cat\", \"caf\\303\\251\"};");
    contains(text, "static const float my_net_stem_weight[108] = {\n    0.0f, 1.0f, 2.0f,");
    contains(text, "my_net_conv(my_net_arena + ");
    contains(text, "extern \"C\" {\n#endif\n\n/* image");
    contains(text,
             "[my_net_classes];\n\n#ifdef __cplusplus\n}\n#endif\n\n#ifndef my_net_declarations\n");
    assert_null(strstr(text, "*restrict"));
    assert_null(strstr(text, "#include"));
    assert_null(strchr(text, '@'));
    free(text);
    /* What is not used would be a warning. */
    lowered->network.n_layers = 1;
    lowered->network.class_names = NULL;
    text = write_and_read(&lowered->network, "net", 0);
    assert_null(strstr(text, "net_pool"));
    assert_null(strstr(text, "net_depthwise"));
    assert_null(strstr(text, "class_names"));
    free(text);
    free(weights);
    nas_lowered_free(lowered);
}

static void test_mobile(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    deploy_make_mobile(lowered, NAS_ACT_RELU6);
    char *text = write_and_read(&lowered->network, "net", 0);
    contains(text, "_stem_bias, 3, 2, 0, 4, net_arena + ");
    contains(text, "if (activation == 4) x[i] = x[i] < 0 ? 0");
    assert_null(strstr(text, "net_exp(")); /* which would be a warning, and not in the next one */
    free(text);
    deploy_make_mobile(lowered, NAS_ACT_SWISH);
    text = write_and_read(&lowered->network, "net", 0);
    contains(text, "static float net_exp(float x)");
    contains(text, "if (activation == 5) x[i] /= 1 + net_exp(-x[i]);");
    free(text);
    deploy_set_ranges(lowered, -4, 4);
    text = write_and_read(&lowered->network, "net", 1);
    contains(text, "net_layer net_stem_layer = {\n    8, 8, 3, 4, 4, 4, 3, 2, 0, 3, ");
    free(text);
    free(weights);
    nas_lowered_free(lowered);
}

/* In 8 bits: bytes for the arena, each filter's weights side by side, the last layer in floats. */
static void test_int8(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    deploy_set_ranges(lowered, -4, 4);
    char *text = write_and_read(&lowered->network, "net", 1);
    contains(text, "    net_arena_bytes = ");
    contains(text, "static signed char net_arena[net_arena_bytes];");
    contains(text, "static const signed char net_stem_weight[108] = {");
    /* The first filter's largest weight is its last, 26 * 4: 127; the others in proportion. */
    contains(text, "{\n    0, 5, 10, 15, 20, 24, 29, 34, 39, 44, 49, 54, 59, 63, 68, 73,\n"
                   "    78, 83, 88, 93, 98, 103, 107, 112, 117, 122, 127, ");
    contains(text, "static const signed char net_stem_table[256] = {");
    contains(text, "static const signed char pixel[768] = {");
    contains(text, "    net_last(&net_classifier_layer, net_arena + ");
    assert_null(strchr(text, '@'));
    assert_null(strstr(text, "net_classifier_factor"));
    free(text);
    /* One that asks for 8 bits says so, and cannot do without ranges. */
    c_config config = {.prefix = "net", .dtype = 1};
    nas_error err = {0};
    assert_non_null(plugin.extension(&config, NAS_EXT_INT8));
    lowered->network.results = NULL;
    assert_int_equal(api.write(&config, &lowered->network, "/dev/null", &err), NAS_ERR_PLUGIN);
    contains(err.message, "c: expected ranges of activations, found none");
    config.dtype = 0;
    assert_null(plugin.extension(&config, NAS_EXT_INT8));
    assert_null(plugin.extension(NULL, NAS_EXT_INT8));
    free(weights);
    nas_lowered_free(lowered);
}

/* ---- Sizes ---- */

static uint64_t number_after(const char *text, const char *name) {
    const char *at = strstr(text, name);
    if (!at) fail_msg("expected \"%s\"", name);
    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* The items of a list that begins at text. */
static uint64_t count_items(const char *text) {
    uint64_t n = 1;
    for (; *text != '}'; text++) n += *text == ',';
    return n;
}

/* The bytes of what the file declares constant, but for the classes' names. */
static uint64_t count_constants(const char *text, uint32_t classes) {
    static const struct {
        const char *type;
        uint64_t bytes;
    } types[] = {{"signed char", 1}, {"int", 4}, {"float", 4}};
    static const char prefix[] = "static const ";
    uint64_t sum = 0;
    for (const char *at = text; (at = strstr(at, prefix));) {
        at += sizeof prefix - 1;
        const char *size = at + strcspn(at, "[{") + 1;
        uint64_t n = *size == 'n' ? classes : strtoull(size, NULL, 10);
        if (strncmp(at, "net_layer ", 10) == 0) sum += 4 * count_items(size);
        for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
            size_t length = strlen(types[i].type);
            if (strncmp(at, types[i].type, length) == 0 && at[length] == ' ')
                sum += n * types[i].bytes;
        }
    }
    return sum;
}

/* A subnet whose weights are all the same: what hardware models say it takes is what its file in 8
 * bits declares, and what stands in it. */
static void check_sizes(const nas_space *space, const nas_genome *genome) {
    static const float std[4] = {1, 1, 1, 1};
    nas_lowered *lowered;
    nas_error err = {0};
    if (nas_lower(space, genome, &lowered, &err)) fail_msg("%s", err.message);
    nas_network *net = &lowered->network;
    float *ones = NULL;
    size_t most = 0;
    for (uint32_t i = 0; i < net->n_layers; i++)
        if (lowered->layers[i].weights > most) most = lowered->layers[i].weights;
    assert_non_null(ones = malloc(most * sizeof *ones));
    for (size_t i = 0; i < most; i++) ones[i] = 1;
    for (uint32_t i = 0; i < net->n_layers; i++)
        if (lowered->layers[i].weights) lowered->layers[i].weight = lowered->layers[i].bias = ones;
    net->mean = net->std = std;
    deploy_set_ranges(lowered, -4, 4);
    char *text = write_and_read(net, "net", 1);
    assert_int_equal(number_after(text, "net_arena_bytes = "), net->peak_elements);
    uint64_t constants = number_after(text, "net_constant_bytes = ");
    assert_int_equal(constants, nas_network_stored_bytes(net, 1));
    assert_int_equal(constants, count_constants(text, net->classes));
    free(text);
    text = write_and_read(net, "net", 0);
    assert_int_equal(number_after(text, "net_arena_floats = "), net->peak_elements);
    assert_int_equal(number_after(text, "net_constant_bytes = "), nas_network_stored_bytes(net, 4));
    free(text);
    free(ones);
    nas_lowered_free(lowered);
}

/* A network whose largest step is that from its hidden layer to its many logits. */
#define WIDE_END                                                                                   \
    "{\"name\": \"w\", \"resolution\": 5,"                                                         \
    " \"stem\": {\"kernel\": 3, \"stride\": 2, \"width\": 3, \"activation\": \"relu\"},"           \
    " \"stages\": [{\"width\": 3, \"stride\": 1, \"depth\": 1, \"kernel\": 3, \"expand\": 1,"      \
    "  \"squeeze_excite\": false, \"activation\": \"h-swish\"}],"                                  \
    " \"head\": {\"width\": 9, \"activation\": \"none\"}}"

static void test_sizes(void **state) {
    (void)state;
    const nas_space spaces[] = {small_space("16"), small_quickstart(), small_space(""),
                                small_parse(WIDE_END, 4, 500)};
    for (size_t s = 0; s < sizeof spaces / sizeof *spaces; s++)
        for (uint32_t which = 0; which < 10; which++) {
            nas_genome genome = small_genome(&spaces[s], which);
            check_sizes(&spaces[s], &genome);
        }
    nas_space published = {0};
    nas_error err = {0};
    json_t *json;
    if (nas_json_load("spaces/ofa-mbv3.json", &json, &err) ||
        nas_space_parse(json, "ofa-mbv3", 3, 1000, &published, &err))
        fail_msg("%s", err.message);
    json_decref(json);
    nas_genome smallest = nas_genome_smallest(&published);
    check_sizes(&published, &smallest);
}

static void test_floats(void **state) {
    (void)state;
    static const float values[] = {0, -1, 3e20f, 1e-9f, 0.1f, 16777216, -2.5e-39f};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[64] = "", *end;
        FILE *file = fmemopen(text, sizeof text, "w");
        nas_c_float(file, values[i]);
        fclose(file);
        assert_true(strpbrk(text, ".e") != NULL);
        assert_true(strtof(text, &end) == values[i]);
        assert_string_equal(end, "f");
    }
}

static void test_prefixes(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "", "2net", "_net", "my-net", "a b", "n\xc3\xa9t", "abcdefghijklmnopqrstuvwxyzabcdef"};
    nas_error err = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        c_config config = {.prefix = wrong[i]};
        void *self = NULL;
        assert_int_equal(plugin.create(NULL, &config, &self, &err), NAS_ERR_INPUT);
        contains(err.message, "option \"prefix\": expected a C identifier");
    }
}

static void test_errors(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    c_config config = {.prefix = "net"};
    nas_error err = {0};
    assert_int_equal(api.write(&config, &lowered->network, "/no/such/net", &err), NAS_ERR_IO);
    assert_int_equal(api.write(&config, &lowered->network, "/dev/full", &err), NAS_ERR_IO);
    contains(err.message, "No space left");
    weights[3] = NAN;
    assert_int_equal(api.write(&config, &lowered->network, "/dev/null", &err), NAS_ERR_NUMERIC);
    contains(err.message, "stem: a weight is not finite");
    free(weights);
    nas_lowered_free(lowered);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),   cmocka_unit_test(test_int8),
        cmocka_unit_test(test_floats), cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_errors), cmocka_unit_test(test_mobile),
        cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, deploy_make_folder, deploy_remove_folder);
}
