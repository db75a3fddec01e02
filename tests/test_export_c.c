/* The export plugin `c`: where its tensors lie, and its text. tests/export_engines.sh compiles and
 * runs such files. */
#include "../plugins/export/c.c"

#include "base/file.h"

#include <setjmp.h>

#include <cmocka.h>

#include "deploy_net.h"
#include "small_net.h"

static char *write_and_read(const nas_network *network, const char *prefix) {
    char path[FIXTURE_PATH + 16], *text;
    size_t bytes;
    nas_error err = {0};
    c_config config = {.prefix = prefix};
    snprintf(path, sizeof path, "%s/net.c", deploy_folder);
    if (api.write(&config, network, path, &err)) fail_msg("%s", err.message);
    if (nas_file_read(path, 1 << 20, &text, &bytes, &err)) fail_msg("%s", err.message);
    return text;
}

static void contains(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("expected \"%s\"", part);
}

/* The place of a tensor, and whether one is still to be read after a layer has run. */
static const tensor *place_of(const plan *p, uint32_t index) {
    return &p->tensors[p->tensors[index].placed_as];
}

static bool needed_after(const nas_network *net, uint32_t index, uint32_t layer) {
    for (uint32_t i = layer + 1; i < net->n_layers; i++)
        for (int k = 0; k < 2; k++)
            if (nas_network_layer(net, i)->input[k] + 1 == (int32_t)index) return true;
    return false;
}

/* What a layer writes may lie on nothing that it or a later layer reads, but for the first input of
 * an addition or a scaling, which lies there exactly. */
static void check_layer(const nas_network *net, const plan *p, uint32_t i) {
    const nas_layer *layer = nas_network_layer(net, i);
    const tensor *out = place_of(p, i + 1);
    uint64_t n = elements_of(layer->out);
    bool pair = layer->op == NAS_OP_ADD || layer->op == NAS_OP_SCALE;
    assert_true(out->offset + n <= p->elements);
    for (uint32_t t = 0; t <= i; t++) {
        bool read = layer->input[0] + 1 == (int32_t)t || layer->input[1] + 1 == (int32_t)t;
        bool later = needed_after(net, t, i);
        if (!read && !later) continue;
        const tensor *other = place_of(p, t);
        uint64_t m = elements_of(t ? nas_network_layer(net, t - 1)->out : net->image);
        bool apart = out->offset + n <= other->offset || other->offset + m <= out->offset;
        bool in_place = pair && !later && layer->input[0] + 1 == (int32_t)t && out == other;
        if (!apart && !in_place)
            fail_msg("layer %s overwrites tensor %u, which is needed", layer->name, t);
    }
}

/* The plan is right for any subnet, and takes no more than what the hardware models reckon with. */
static void check_space(const nas_space *space, uint32_t subnets) {
    nas_error err = {0};
    for (uint32_t which = 0; which < subnets; which++) {
        nas_genome genome = small_genome(space, which);
        nas_lowered *lowered;
        plan p;
        if (nas_lower(space, &genome, &lowered, &err)) fail_msg("%s", err.message);
        const nas_network *net = &lowered->network;
        assert_int_equal(make_plan(net, &p, &err), NAS_OK);
        for (uint32_t i = 0; i + 1 < net->n_layers; i++) check_layer(net, &p, i);
        if (p.elements > net->peak_elements)
            fail_msg("%s: subnet %u: the arena has %llu elements, the peak is %llu", space->name,
                     which, (ull)p.elements, (ull)net->peak_elements);
        free_plan(&p);
        nas_lowered_free(lowered);
    }
}

static void test_plan(void **state) {
    (void)state;
    nas_space small = small_space("16"), quickstart = small_quickstart();
    check_space(&small, 200);
    check_space(&quickstart, 200);
}

static void test_published_spaces(void **state) {
    (void)state;
    static const char *const files[] = {"spaces/ofa-mbv3.json", "spaces/ofa-proxyless.json"};
    for (int i = 0; i < 2; i++) {
        nas_error err = {0};
        nas_space space;
        json_t *json;
        if (nas_json_load(files[i], &json, &err)) fail_msg("%s", err.message);
        if (nas_space_parse(json, files[i], 3, 1000, &space, &err)) fail_msg("%s", err.message);
        json_decref(json);
        check_space(&space, 20);
    }
}

static void test_text(void **state) {
    (void)state;
    float *weights;
    nas_lowered *lowered = deploy_net(&weights);
    char *text = write_and_read(&lowered->network, "my_net");
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
    text = write_and_read(&lowered->network, "net");
    assert_null(strstr(text, "net_pool"));
    assert_null(strstr(text, "net_depthwise"));
    assert_null(strstr(text, "class_names"));
    free(text);
    free(weights);
    nas_lowered_free(lowered);
}

static void test_floats(void **state) {
    (void)state;
    static const float values[] = {0, -1, 3e20f, 1e-9f, 0.1f, 16777216, -2.5e-39f};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[64] = "", *end;
        FILE *file = fmemopen(text, sizeof text, "w");
        print_float(file, values[i]);
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
        cmocka_unit_test(test_plan),     cmocka_unit_test(test_published_spaces),
        cmocka_unit_test(test_text),     cmocka_unit_test(test_floats),
        cmocka_unit_test(test_prefixes), cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, deploy_make_folder, deploy_remove_folder);
}
