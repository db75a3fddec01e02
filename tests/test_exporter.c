/* Export plugins as a service to other plugins: what is missing is filled in, what is there is
 * kept. */
#include "host/exporter.h"

#include "base/file.h"
#include "host/options.h"
#include "samples.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

typedef struct fixture {
    char folder[FIXTURE_PATH], file[FIXTURE_PATH + 32];
    nas_services services;
    nas_registry *registry;
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    char one[2 * SAMPLES_PATH], two[2 * SAMPLES_PATH], text[5 * SAMPLES_PATH];
    char manifest[FIXTURE_PATH + 32];
    nas_error err = {0};
    if (!f || fixture_folder(f->folder)) return -1;
    samples_line(one, sizeof one, "toy-export", "export", "toy_export");
    samples_line(two, sizeof two, "sample", "ssl", "good");
    snprintf(text, sizeof text, "{\"plugins\": [%s, %s]}", one, two);
    snprintf(manifest, sizeof manifest, "%s/plugins.json", f->folder);
    snprintf(f->file, sizeof f->file, "%s/network.txt", f->folder);
    const char *manifests[] = {manifest};
    f->services.extension = nas_exporter_service;
    if (samples_write(f->folder, "plugins.json", text) ||
        nas_registry_open(manifests, 1, &f->services, &f->registry, &err))
        return -1;
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    nas_registry_close(f->registry);
    fixture_remove(f->folder);
    free(f);
    return 0;
}

/* The sum of all weights and biases, which the toy writes on the third line. */
static double exported_sum(const fixture *f, nas_exporter *exporter, const nas_network *network) {
    nas_error err = {0};
    char *text;
    size_t bytes;
    if (nas_exporter_write(exporter, network, f->file, &err)) fail_msg("%s", err.message);
    if (nas_file_read(f->file, 1000, &text, &bytes, &err)) fail_msg("%s", err.message);
    double sum = 0;
    assert_int_equal(sscanf(text, "{}\na\n%lf\n", &sum), 1);
    free(text);
    return sum;
}

/* The range of the logits, on the fourth line in 8 bits. */
static void check_range(const fixture *f, nas_exporter *exporter, const nas_network *network,
                        double low, double high) {
    nas_error err = {0};
    char *text;
    size_t bytes;
    double least, most;
    if (nas_exporter_write(exporter, network, f->file, &err)) fail_msg("%s", err.message);
    if (nas_file_read(f->file, 1000, &text, &bytes, &err)) fail_msg("%s", err.message);
    assert_int_equal(sscanf(text, "{}\na\n%*f\n%lf %lf\n", &least, &most), 2);
    assert_true(least == low && most == high);
    free(text);
}

static void test_fills(void **state) {
    const fixture *f = *state;
    static const char *const names[] = {"a", "b"};
    static const float given[6] = {1, 2, 3, 4, 5, 6}, bias[2] = {10, 20};
    nas_error err = {0};
    nas_exporter *exporter;
    nas_layer layers[3] = {{.op = NAS_OP_LINEAR,
                            .in = {1, 1, 3},
                            .out = {1, 1, 2},
                            .kernel = 1,
                            .weights = 6,
                            .biases = 2},
                           {.op = NAS_OP_POOL, .in = {1, 1, 2}, .out = {1, 1, 2}, .kernel = 1}};
    layers[2] = layers[0];
    nas_network network = {.size = sizeof network,
                           .layer_size = sizeof *layers,
                           .n_layers = 3,
                           .classes = 2,
                           .layers = layers,
                           .image = {1, 1, 3},
                           .genome = "{}",
                           .class_names = names};
    if (nas_exporter_open(f->registry, "toy-export", NULL, &exporter, &err))
        fail_msg("%s", err.message);
    assert_string_equal(nas_exporter_extension(exporter), "txt");
    double sum = exported_sum(f, exporter, &network);
    assert_true(sum != 0.0 && fabs(sum) < 100);
    assert_true(sum == exported_sum(f, exporter, &network));
    layers[0].weight = layers[2].weight = given;
    assert_true(exported_sum(f, exporter, &network) == 42.0); /* missing biases are 0 */
    layers[0].bias = layers[2].bias = bias;
    assert_true(exported_sum(f, exporter, &network) == 102.0);
    layers[2].weight = NULL;
    double half = exported_sum(f, exporter, &network) - 81;
    assert_true(half != 0.0 && fabs(half) < 100);
    nas_exporter_close(exporter);
    nas_exporter_close(NULL);
    if (nas_exporter_open(f->registry, "toy-export", "int8", &exporter, &err))
        fail_msg("%s", err.message);
    check_range(f, exporter, &network, -4, 4);
    const nas_range known[3] = {{0, 1}, {0, 2}, {0, 3}};
    network.results = known;
    check_range(f, exporter, &network, 0, 3);
    nas_exporter_close(exporter);
}

static void test_refusals(void **state) {
    const fixture *f = *state;
    nas_error err = {0};
    nas_exporter *exporter;
    assert_int_equal(nas_exporter_open(f->registry, "toy-exprt", NULL, &exporter, &err),
                     NAS_ERR_INPUT);
    assert_non_null(strstr(err.message, "toy-export"));
    assert_null(exporter);
    assert_int_equal(nas_exporter_open(f->registry, "sample", NULL, &exporter, &err),
                     NAS_ERR_INPUT);
}

/* A plugin that came from a manifest may export; one that was loaded by its file alone may not. */
static void test_service(void **state) {
    const fixture *f = *state;
    nas_error err = {0};
    nas_instance instance;
    const nas_place place = {"p.json", "", "/"};
    if (nas_instance_create(f->registry, NAS_KIND_SSL, "sample", NULL, &place, &instance, &err))
        fail_msg("%s", err.message);
    const nas_host *host = (const nas_host *)(const void *)instance.host;
    const nas_export_service *service = host->extension(host, NAS_EXT_EXPORT);
    assert_non_null(service);
    assert_null(host->extension(host, "nas.export/2"));
    void *exporter;
    assert_int_equal(service->open(host, "toy-export", &exporter, &err), NAS_OK);
    assert_string_equal(service->extension(exporter), "txt");
    service->close(exporter);
    assert_int_equal(service->open(host, "none", &exporter, &err), NAS_ERR_INPUT);
    const nas_plugin *plugin = instance.plugin;
    nas_instance_destroy(&instance);
    assert_int_equal(
        nas_instance_start(&f->services, plugin, "x.so", NULL, &place, &instance, &err), NAS_OK);
    host = (const nas_host *)(const void *)instance.host;
    assert_null(host->extension(host, NAS_EXT_EXPORT));
    nas_instance_destroy(&instance);
}

/* ---- A format of two files ---- */

static int write_text(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    if (!file) return NAS_ERR_IO;
    fputs(text, file);
    return fclose(file) ? NAS_ERR_IO : NAS_OK;
}

/* A network without layers cannot be written: the second file is, the first one is not. */
static int write_two(void *self, const nas_network *network, const char *path, const char *second,
                     nas_error *err) {
    (void)self;
    int rc = write_text(second, "weights");
    if (!rc && !network->n_layers) return nas_fail(err, NAS_ERR_INPUT, "no layers");
    return rc ? rc : write_text(path, "graph");
}

static int write_one(void *self, const nas_network *network, const char *path, nas_error *err) {
    (void)self, (void)network, (void)path;
    return nas_fail(err, NAS_ERR_PLUGIN, "write() is not for formats of two files");
}

static void check_text(const char *path, const char *expected) {
    char *text;
    size_t bytes;
    nas_error err = {0};
    if (nas_file_read(path, 100, &text, &bytes, &err)) fail_msg("%s", err.message);
    assert_string_equal(text, expected);
    free(text);
}

static void check_second(const nas_instance *plugin, const char *path, const char *expected) {
    char *second = nas_export_second(plugin, path);
    if (expected)
        assert_string_equal(second, expected);
    else
        assert_null(second);
    free(second);
}

static void test_two_files(void **state) {
    const fixture *f = *state;
    nas_export_api api = {.size = sizeof api,
                          .extension = "param",
                          .write = write_one,
                          .second_extension = "bin",
                          .write_two = write_two};
    const nas_plugin plugin = {.vtable = &api};
    const nas_instance instance = {.plugin = &plugin};
    nas_network network = {.size = sizeof network};
    char first[FIXTURE_PATH + 32], second[FIXTURE_PATH + 32];
    nas_error err = {0};
    check_second(&instance, "a.b/net.param", "a.b/net.bin");
    check_second(&instance, "net", "net.bin");
    check_second(&instance, "netparam", "netparam.bin");
    snprintf(first, sizeof first, "%s/net.param", f->folder);
    snprintf(second, sizeof second, "%s/net.bin", f->folder);
    assert_int_equal(nas_export_file(&instance, &network, first, &err), NAS_ERR_INPUT);
    assert_false(nas_file_exists(first) || nas_file_exists(second));
    network.n_layers = 1;
    assert_int_equal(nas_export_file(&instance, &network, first, &err), NAS_OK);
    check_text(first, "graph");
    check_text(second, "weights");
    api.size = offsetof(nas_export_api, second_extension); /* a plugin of before */
    check_second(&instance, "net.param", NULL);
    assert_int_equal(nas_export_file(&instance, &network, first, &err), NAS_ERR_PLUGIN);
    check_text(first, "graph");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fills, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_service, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_files, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
