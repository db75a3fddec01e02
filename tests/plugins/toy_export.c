/* A text file: the genome, the class names, and the sum of all weights and biases. */
#include <nashost/export.h>
#include <stdlib.h>

static double sum(const float *values, uint64_t n) {
    double total = 0;
    for (uint64_t i = 0; values && i < n; i++) total += (double)values[i];
    return total;
}

static int write_file(void *self, const nas_network *network, const char *path, nas_error *err) {
    (void)self;
    FILE *file = fopen(path, "w");
    if (!file) return nas_fail(err, NAS_ERR_IO, "%s: cannot be opened", path);
    double total = 0;
    for (uint32_t i = 0; i < network->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(network, i);
        total += sum(layer->weight, layer->weights) + sum(layer->bias, layer->biases);
    }
    fprintf(file, "%s\n%s\n%.9g\n", network->genome, network->class_names[0], total);
    return fclose(file) ? nas_fail(err, NAS_ERR_IO, "%s: cannot be written", path) : NAS_OK;
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)host, (void)config;
    *self = malloc(1);
    return *self ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory");
}

static const nas_export_api api = {.size = sizeof api, .extension = "txt", .write = write_file};

static const nas_plugin plugin = {
    .magic = NAS_MAGIC,
    .size = sizeof(nas_plugin),
    .abi_major = NAS_ABI_MAJOR,
    .abi_minor = NAS_ABI_MINOR,
    .kind = NAS_KIND_EXPORT,
    .id = "toy-export",
    .version = "1.0.0",
    .summary = "text, for tests",
    .license = "Apache-2.0",
    .source = "tests/plugins/toy_export.c",
    .option_size = sizeof(nas_option),
    .create = create,
    .destroy = free,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
