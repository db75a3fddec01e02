/* A network of PyTorch's names becomes a supernet's weights: the largest subnet computes what it
 * did, and what is wrong with a file is told before anything is written. */
#include "stages/import.h"

#include "base/file.h"
#include "base/threads.h"
#include "cli/weights.h"
#include "host/space_file.h"
#include "samples.h"
#include "supernet/fold.h"
#include "supernet/pretrained.h"
#include "supernet/runner.h"
#include "torch_net.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIDE = 64 };

typedef struct fixture {
    char folder[FIXTURE_PATH], weights[FIXTURE_PATH + 32], out[FIXTURE_PATH + 32];
    nas_services services;
    nas_registry *registry;
    torch_net net;
    nas_import_request request;
} fixture;

static const char *plugin_folder(void) {
    const char *folder = getenv("NASHOST_PLUGIN_DIR");
    return folder ? folder : "build/plugins";
}

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    char text[4 * SAMPLES_PATH], manifest[FIXTURE_PATH + 32], cwd[SAMPLES_PATH];
    nas_error err = {0};
    if (!f || fixture_folder(f->folder) || !getcwd(cwd, sizeof cwd)) return -1;
    const char *folder = plugin_folder();
    snprintf(text, sizeof text,
             "{\"plugins\": [{\"id\": \"mobilenetv2\", \"kind\": \"import\", \"path\": "
             "\"%s%s%s/import/mobilenetv2.so\"}, {\"id\": \"efficientnet_lite\", \"kind\": "
             "\"import\", \"path\": \"%s%s%s/import/efficientnet_lite.so\"}]}",
             folder[0] == '/' ? "" : cwd, folder[0] == '/' ? "" : "/", folder,
             folder[0] == '/' ? "" : cwd, folder[0] == '/' ? "" : "/", folder);
    snprintf(manifest, sizeof manifest, "%s/plugins.json", f->folder);
    snprintf(f->weights, sizeof f->weights, "%s/net.safetensors", f->folder);
    snprintf(f->out, sizeof f->out, "%s/cloud.safetensors", f->folder);
    const char *manifests[] = {manifest};
    if (samples_write(f->folder, "plugins.json", text) ||
        nas_registry_open(manifests, 1, &f->services, &f->registry, &err))
        return -1;
    torch_make(&f->net, 7);
    f->request = (nas_import_request){
        .registry = f->registry, .weights = f->weights, .name = f->weights, .out = f->out};
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    nas_registry_close(f->registry);
    torch_free(&f->net);
    fixture_remove(f->folder);
    free(f);
    return 0;
}

static void save(const fixture *f) {
    nas_error err = {0};
    if (nas_tensors_save(f->weights, f->net.tensors, f->net.n, NULL, &err))
        fail_msg("%s", err.message);
}

static void import_it(const fixture *f) {
    nas_error err = {0};
    json_t *result;
    save(f);
    if (nas_import(&f->request, &result, &err)) fail_msg("%s", err.message);
    assert_string_equal(json_string_value(json_object_get(result, "format")), "efficientnet_lite");
    assert_int_equal(json_integer_value(json_object_get(result, "classes")), TORCH_CLASSES);
    json_decref(result);
}

/* ---- What the largest subnet computes ---- */

typedef struct cloud {
    nas_weights weights;
    nas_supernet *supernet;
} cloud;

static void open_cloud(const fixture *f, cloud *c) {
    nas_error err = {0};
    if (nas_weights_open(f->out, &c->weights, &err) ||
        nas_supernet_create(&c->weights.space, 0, false, &c->supernet, &err) ||
        nas_pretrained_fill(&c->weights.file, f->out, false, c->supernet, NULL, &err))
        fail_msg("%s", err.message);
}

static void close_cloud(cloud *c) {
    nas_supernet_destroy(c->supernet);
    nas_weights_close(&c->weights);
}

static void run_cloud(const fixture *f, const cloud *c, const nas_genome *genome,
                      const uint8_t *image, float *logits) {
    nas_error err = {0};
    nas_bn_stats stats;
    nas_lowered *lowered = NULL;
    nas_runner *runner;
    nas_pool *pool;
    float *memory = NULL;
    const nas_space *space = &c->weights.space;
    if (nas_pretrained_stats(&c->weights.file, f->out, space, genome, &stats, &err) ||
        nas_lower(space, genome, &lowered, &err) ||
        nas_fold(c->supernet, c->supernet->weights, &stats, lowered, &memory, &err))
        fail_msg("%s", err.message);
    lowered->network.mean = space->input.mean;
    lowered->network.std = space->input.std;
    assert_int_equal(nas_pool_create(1, &pool, &err), 0);
    assert_int_equal(nas_runner_create(&lowered->network, false, pool, 1, &runner, &err), 0);
    nas_runner_logits(runner, image, 1, logits);
    nas_runner_destroy(runner);
    nas_pool_destroy(pool);
    nas_lowered_free(lowered);
    free(memory);
    free(stats.mean);
    free(stats.var);
}

static void make_image(uint8_t *image, uint64_t seed) {
    nas_rng rng = nas_rng_open(seed, NAS_RNG_INIT, 1, 0);
    for (int i = 0; i < SIDE * SIDE * 3; i++) image[i] = (uint8_t)(255 * nas_rng_uniform(&rng));
}

static nas_genome largest_at(const nas_space *space, uint32_t side) {
    nas_genome genome = nas_genome_largest(space);
    for (uint32_t i = 0; i < space->resolution.n; i++)
        if (space->resolution.value[i] == side) genome.gene[0] = (uint16_t)i;
    return genome;
}

static void test_same_function(void **state) {
    fixture *f = *state;
    static uint8_t image[SIDE * SIDE * 3];
    double expected[TORCH_CLASSES];
    float found[TORCH_CLASSES];
    cloud c;
    import_it(f);
    open_cloud(f, &c);
    nas_genome genome = largest_at(&c.weights.space, SIDE);
    for (uint64_t seed = 0; seed < 3; seed++) {
        make_image(image, seed);
        torch_run(&f->net, image, SIDE, expected);
        run_cloud(f, &c, &genome, image, found);
        for (int i = 0; i < TORCH_CLASSES; i++)
            assert_true(fabs((double)found[i] - expected[i]) < 1e-4 * (1 + fabs(expected[i])));
    }
    close_cloud(&c);
}

/* ---- The order of inner channels ---- */

static void test_important_first(void **state) {
    const fixture *f = *state;
    cloud c;
    import_it(f);
    open_cloud(f, &c);
    const nas_parameter *p = nas_supernet_find(c.supernet, "stage1.block0.project.conv");
    assert_int_equal(p->shape[0], 24);
    double last = INFINITY;
    for (uint32_t r = 0; r < p->shape[0]; r++) {
        double norm = 0;
        for (uint32_t o = 0; o < p->shape[1]; o++)
            norm += fabs((double)c.supernet->weights[p->offset + r * p->shape[1] + o]);
        assert_true(norm <= last);
        last = norm;
    }
    close_cloud(&c);
}

/* ---- Other spaces than the file's ---- */

/* The file's space with something changed, for a data set of that many channels and classes. */
static nas_supernet *narrowed(const fixture *f, const char *change, uint32_t channels,
                              uint32_t classes) {
    nas_error err = {0};
    nas_space space;
    nas_supernet *supernet = NULL;
    char source[1024];
    json_t *json, *changes = json_loads(change, 0, NULL);
    assert_int_equal(nas_space_of_weights(f->out, &json, source, sizeof source, &err), 0);
    for (size_t s = 0; s < json_array_size(json_object_get(json, "stages")); s++)
        json_object_update(json_array_get(json_object_get(json, "stages"), s), changes);
    json_decref(changes);
    if (nas_space_parse(json, source, channels, classes, &space, &err) ||
        nas_supernet_create(&space, 3, false, &supernet, &err))
        fail_msg("%s", err.message);
    json_decref(json);
    return supernet;
}

static double weight(const nas_supernet *supernet, const char *name, size_t i) {
    return (double)supernet->weights[nas_supernet_find(supernet, name)->offset + i];
}

static void test_narrower(void **state) {
    const fixture *f = *state;
    nas_error err = {0};
    cloud c;
    import_it(f);
    open_cloud(f, &c);
    nas_supernet *small = narrowed(f, "{\"kernel\": 3, \"depth\": 1}", 3, 2);
    double random = weight(small, "classifier.weight", 1);
    assert_int_equal(nas_pretrained_fill(&c.weights.file, f->out, true, small, NULL, &err), 0);
    /* The centre of 5 x 5, [k][k][c] of 36 channels. */
    assert_true(weight(small, "stage2.block0.depthwise.conv", 5) ==
                weight(c.supernet, "stage2.block0.depthwise.conv", 6 * 36 + 5));
    assert_true(weight(small, "classifier.weight", 1) == random);
    nas_supernet_destroy(small);
    close_cloud(&c);
}

static void test_grey(void **state) {
    const fixture *f = *state;
    nas_error err = {0};
    cloud c;
    import_it(f);
    open_cloud(f, &c);
    nas_supernet *grey = narrowed(f, "{}", 1, TORCH_CLASSES);
    assert_int_equal(nas_pretrained_fill(&c.weights.file, f->out, false, grey, NULL, &err), 0);
    double sum = 0; /* [k][k][3][8] */
    for (size_t i = 0; i < 3; i++) sum += weight(c.supernet, "stem.conv", i * 8 + 2);
    assert_true(fabs(weight(grey, "stem.conv", 2) - sum) < 1e-6);
    nas_supernet_destroy(grey);
    close_cloud(&c);
}

static void test_does_not_fit(void **state) {
    const fixture *f = *state;
    nas_error err = {0};
    cloud c;
    import_it(f);
    open_cloud(f, &c);
    nas_supernet *wide = narrowed(f, "{\"width\": 40}", 3, TORCH_CLASSES);
    double before = weight(wide, "stem.conv", 0);
    assert_int_equal(nas_pretrained_fill(&c.weights.file, f->out, false, wide, NULL, &err),
                     NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "tensors are missing or do not fit"));
    assert_true(weight(wide, "stem.conv", 0) == before);
    nas_supernet_destroy(wide);
    /* Classes are kept as a whole or not at all. */
    nas_supernet *two = narrowed(f, "{}", 3, 2);
    assert_int_equal(nas_pretrained_fill(&c.weights.file, f->out, false, two, NULL, &err),
                     NAS_ERR_INPUT);
    nas_supernet_destroy(two);
    close_cloud(&c);
}

/* ---- What is wrong with a file ---- */

static void refuses(const fixture *f, const char *words) {
    nas_error err = {0};
    json_t *result;
    save(f);
    assert_int_not_equal(nas_import(&f->request, &result, &err), NAS_OK);
    if (!strstr(err.message, words)) fail_msg("expected \"%s\" in \"%s\"", words, err.message);
    assert_null(result);
    assert_false(nas_file_exists(f->out));
}

static void test_missing(void **state) {
    fixture *f = *state;
    strcpy(torch_find(&f->net, "_blocks.2._bn1", ".running_var")->name, "_blocks.2._bn1.other");
    refuses(f, "2 tensors that are missing, left over or of another shape");
}

static void test_shape(void **state) {
    fixture *f = *state;
    nas_tensor *t = torch_find(&f->net, "_fc", ".bias");
    t->shape[0] = TORCH_CLASSES - 1;
    refuses(f, "1 tensors");
    t->shape[0] = TORCH_CLASSES;
}

static void test_not_finite(void **state) {
    fixture *f = *state;
    const nas_tensor *t = torch_find(&f->net, "_blocks.3._project_conv", ".weight");
    ((float *)(uintptr_t)t->data)[4] = NAN;
    refuses(f, "\"_blocks.3._project_conv.weight\" holds a number that is not finite");
}

static void test_stranger(void **state) {
    fixture *f = *state;
    strcpy(torch_find(&f->net, "_conv_stem", ".weight")->name, "conv1.weight");
    refuses(f, "are of no network that the import plugins know (mobilenetv2, efficientnet_lite)");
}

static void test_truncated(void **state) {
    const fixture *f = *state;
    nas_error err = {0};
    json_t *result;
    char *data;
    size_t bytes;
    save(f);
    assert_int_equal(nas_file_read(f->weights, SIZE_MAX / 2, &data, &bytes, &err), 0);
    assert_int_equal(nas_file_write(f->weights, data, bytes - 400, &err), 0);
    free(data);
    assert_int_equal(nas_import(&f->request, &result, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "cut off"));
    assert_false(nas_file_exists(f->out));
}

/* What was imported once is named by a pipeline, not imported again. */
static void test_again(void **state) {
    fixture *f = *state;
    nas_error err = {0};
    json_t *result;
    import_it(f);
    f->request.weights = f->request.name = f->out;
    assert_int_equal(nas_import(&f->request, &result, &err), NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "cloud.safetensors: holds a supernet already"));
}

/* Counters of batches are no loss. */
static void test_spare(void **state) {
    fixture *f = *state;
    const uint64_t shape[] = {1};
    torch_add(&f->net, "_bn0", ".num_batches_tracked", 1, shape, 0, 3);
    import_it(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_same_function), TEST(test_important_first), TEST(test_narrower),
        TEST(test_grey),          TEST(test_does_not_fit),    TEST(test_missing),
        TEST(test_shape),         TEST(test_not_finite),      TEST(test_stranger),
        TEST(test_truncated),     TEST(test_spare),           TEST(test_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
