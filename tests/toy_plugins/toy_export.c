/* A text file: the genome, the class names, and the sum of all weights and biases; with the option
 * "int8" also the range of the logits and the bits of weights. */
#include <nashost/export.h>
#include <stdlib.h>
#include <string.h>

typedef struct toy_config {
    bool int8;
    const char *dtype;
    int64_t weight_bits; /* of int8 */
} toy_config;

static const nas_option options[] = {
    NAS_BOOL("int8", toy_config, int8, "false", "ask for ranges"),
    NAS_STRING("dtype", toy_config, dtype, "null", "\"int8\" asks for them too"),
    NAS_INT("weight_bits", toy_config, weight_bits, "8", 7, 8, "bits", "of int8"),
    {0},
};

static bool wants_ranges(const toy_config *config) {
    return config->int8 || (config->dtype && strcmp(config->dtype, "int8") == 0);
}

static double sum(const float *values, uint64_t n) {
    double total = 0;
    for (uint64_t i = 0; values && i < n; i++) total += (double)values[i];
    return total;
}

static int write_file(void *self, const nas_network *network, const char *path, nas_error *err) {
    const toy_config *config = self;
    FILE *file = fopen(path, "w");
    if (!file) return nas_fail(err, NAS_ERR_IO, "%s: cannot be opened", path);
    double total = 0;
    for (uint32_t i = 0; i < network->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(network, i);
        total += sum(layer->weight, layer->weights) + sum(layer->bias, layer->biases);
    }
    fprintf(file, "%s\n%s\n%.9g\n", network->genome, network->class_names[0], total);
    const nas_range *last = network->results ? &network->results[network->n_layers - 1] : NULL;
    if (wants_ranges(config) && last)
        fprintf(file, "%.9g %.9g %u\n", (double)last->min, (double)last->max, network->weight_bits);
    return fclose(file) ? nas_fail(err, NAS_ERR_IO, "%s: cannot be written", path) : NAS_OK;
}

static const void *extension(void *self, const char *id) {
    static const nas_int8_api int8 = {.size = sizeof int8},
                              int8w7 = {.size = sizeof int8w7, .weight_bits = 7};
    const toy_config *config = self;
    if (!config || !wants_ranges(config) || strcmp(id, NAS_EXT_INT8) != 0) return NULL;
    return config->weight_bits == 7 ? &int8w7 : &int8;
}

static const nas_export_api api = {.size = sizeof api, .extension = "txt", .write = write_file};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_EXPORT,
    .id = "toy-export",
    .version = "1.0.0",
    .summary = "text, for tests",
    .license = "Apache-2.0",
    .source = "tests/toy_plugins/toy_export.c",
    .options = options,
    .config_size = sizeof(toy_config),
    .create = nas_plain_create,
    .destroy = nas_plain_destroy,
    .vtable = &api,
    .extension = extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
