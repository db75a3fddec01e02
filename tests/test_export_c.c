/* The export plugin `c`: its text. tests/export_engines.sh compiles and
 * runs such files. */
#include "../plugins/export/c/c.c"

#include "base/file.h"

#include <setjmp.h>

#include <cmocka.h>

#include "deploy_net.h"

static char *write_and_read(const nas_network *network, const char *prefix, int dtype) {
    char path[FIXTURE_PATH + 16], *text;
    size_t bytes;
    nas_error err = {0};
    c_config config = {.prefix = prefix, .dtype = dtype};
    snprintf(path, sizeof path, "%s/net.c", deploy_folder);
    if (api.write(&config, network, path, &err)) fail_msg("%s", err.message);
    if (nas_file_read(path, 1 << 20, &text, &bytes, &err)) fail_msg("%s", err.message);
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
    contains(text, "#ifndef my_net_declarations\n");
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
    };
    return cmocka_run_group_tests(tests, deploy_make_folder, deploy_remove_folder);
}
