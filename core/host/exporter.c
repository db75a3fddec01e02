#include "host/exporter.h"

#include "base/file.h"
#include "base/rng.h"
#include "host/call.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct nas_exporter {
    nas_instance instance;
};

int nas_exporter_open(nas_registry *registry, const char *id, const char *dtype,
                      nas_exporter **exporter, nas_error *err) {
    const nas_place place = {"export", "", "."};
    *exporter = calloc(1, sizeof **exporter);
    if (!*exporter) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    json_t *options = dtype ? json_pack("{s: s}", "dtype", dtype) : NULL;
    int rc = nas_instance_create(registry, NAS_KIND_EXPORT, id, options, &place,
                                 &(*exporter)->instance, err);
    json_decref(options);
    if (!rc) return NAS_OK;
    free(*exporter);
    *exporter = NULL;
    return rc;
}

void nas_exporter_close(nas_exporter *exporter) {
    if (!exporter) return;
    nas_instance_destroy(&exporter->instance);
    free(exporter);
}

const char *nas_exporter_extension(const nas_exporter *exporter) {
    return ((const nas_export_api *)exporter->instance.plugin->vtable)->extension;
}

/* A network that has everything: what it was given, and what stands for the rest. */
typedef struct filled {
    nas_network network;
    nas_layer *layers; /* copies */
    float *weights;    /* drawn weights, then zero biases */
    nas_range *ranges; /* [n_layers] */
    float mean[4], std[4];
} filled;

static void free_filled(filled *f) {
    free(f->layers);
    free(f->weights);
    free(f->ranges);
}

/* Draws a layer's weights with the variance that keeps activations from growing or vanishing (He et
 * al., arXiv 1502.01852). */
static void draw_weights(nas_layer *layer, uint32_t index, float *to) {
    nas_rng rng = nas_rng_open(0, NAS_RNG_INIT, 0, index);
    uint64_t fan_in = layer->weights / layer->out.c;
    double deviation = sqrt(2 / (double)(fan_in ? fan_in : 1));
    for (uint64_t i = 0; i < layer->weights; i++) to[i] = (float)(deviation * nas_rng_normal(&rng));
    layer->weight = to;
}

/* Numbers that layers lack; with `to`, gives it to them. */
static uint64_t fill_layers(filled *f, float *to) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < f->network.n_layers; i++) {
        nas_layer *layer = &f->layers[i];
        uint64_t weights = layer->weight ? 0 : layer->weights;
        uint64_t biases = layer->bias ? 0 : layer->biases;
        if (to && weights) draw_weights(layer, i, to + n);
        if (to && biases) layer->bias = to + n + weights;
        n += weights + biases;
    }
    return n;
}

static void fill_ranges(filled *f) {
    for (uint32_t i = 0; i < f->network.n_layers; i++) f->ranges[i] = (nas_range){-4, 4};
    if (!f->network.sums) f->network.sums = f->ranges;
    if (!f->network.results) f->network.results = f->ranges;
}

static int fill(const nas_network *network, filled *f, nas_error *err) {
    *f = (filled){.network = *network, .std = {1, 1, 1, 1}};
    f->layers = calloc((size_t)network->n_layers + 1, sizeof *f->layers);
    for (uint32_t i = 0; f->layers && i < network->n_layers; i++)
        f->layers[i] = *nas_network_layer(network, i);
    f->network.layers = f->layers;
    f->network.layer_size = sizeof *f->layers;
    if (!network->mean) f->network.mean = f->mean;
    if (!network->std) f->network.std = f->std;
    f->ranges = calloc((size_t)network->n_layers + 1, sizeof *f->ranges);
    if (f->layers) f->weights = calloc(fill_layers(f, NULL) + 1, sizeof *f->weights);
    if (f->weights && f->ranges) {
        fill_layers(f, f->weights);
        fill_ranges(f);
        return NAS_OK;
    }
    free_filled(f);
    return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
}

static const nas_export_api *api_of(const nas_instance *plugin) {
    return plugin->plugin->vtable;
}

static bool has_two(const nas_instance *plugin) {
    const nas_export_api *api = api_of(plugin);
    return NAS_HAS(api, write_two) && api->second_extension && api->write_two;
}

char *nas_export_second(const nas_instance *plugin, const char *path) {
    const nas_export_api *api = api_of(plugin);
    char *name = NULL;
    if (!has_two(plugin)) return NULL;
    size_t n = strlen(path), end = strlen(api->extension);
    bool cut = n > end && path[n - end - 1] == '.' && strcmp(path + n - end, api->extension) == 0;
    if (asprintf(&name, "%.*s.%s", (int)(cut ? n - end - 1 : n), path, api->second_extension) < 0)
        return NULL;
    return name;
}

uint32_t nas_export_int8(const nas_instance *plugin) {
    const nas_int8_api *int8 = nas_instance_extension(plugin, NAS_EXT_INT8);
    if (!int8) return 0;
    return NAS_HAS(int8, weight_bits) && int8->weight_bits == 7 ? 7 : 8;
}

bool nas_export_own_arithmetic(const nas_instance *plugin) {
    const nas_int8_api *int8 = nas_instance_extension(plugin, NAS_EXT_INT8);
    return int8 && NAS_HAS(int8, own_arithmetic) && int8->own_arithmetic;
}

void nas_export_name(const nas_instance *plugin, const char *platform, char *name, size_t size) {
    uint32_t bits = nas_export_int8(plugin);
    const char *dtype = json_string_value(json_object_get(plugin->resolved, "dtype"));
    if (!dtype || strcmp(dtype, "float32") == 0 || strchr(dtype, '/')) dtype = "";
    if (bits) dtype = bits == 7 ? "int8w7" : "int8";
    snprintf(name, size, "%.32s%s%.16s.%.32s", platform, *dtype ? "." : "", dtype,
             api_of(plugin)->extension);
}

typedef struct writing {
    const nas_instance *plugin;
    const nas_network *network;
    const char *first, *second; /* where to write them; second NULL: there is but one */
} writing;

static int write_both(const writing *w, nas_error *err) {
    const nas_export_api *api = api_of(w->plugin);
    bool two = has_two(w->plugin);
    if (two && !w->second) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for %s", w->first);
    nas_call call;
    nas_call_begin(&call, w->plugin, two ? "write_two" : "write");
    int rc = two ? api->write_two(w->plugin->self, w->network, w->first, w->second, &call.err)
                 : api->write(w->plugin->self, w->network, w->first, &call.err);
    return nas_call_end(&call, rc, err);
}

static int with_second(void *context, const char *temporary, nas_error *err) {
    writing *w = context;
    w->second = temporary;
    return write_both(w, err);
}

/* The second file takes its place before the first one does. */
static int with_first(void *context, const char *temporary, nas_error *err) {
    writing *w = context;
    const char *second = w->second;
    w->first = temporary;
    return second ? nas_file_replace(second, with_second, w, err) : write_both(w, err);
}

int nas_export_file(const nas_instance *plugin, const nas_network *network, const char *path,
                    nas_error *err) {
    char *second = nas_export_second(plugin, path);
    writing w = {plugin, network, path, second};
    int rc = nas_file_replace(path, with_first, &w, err);
    free(second);
    return rc;
}

int nas_exporter_write(nas_exporter *exporter, const nas_network *network, const char *path,
                       nas_error *err) {
    filled f;
    int rc = fill(network, &f, err);
    if (rc) return rc;
    char *second = nas_export_second(&exporter->instance, path);
    rc = write_both(&(writing){&exporter->instance, &f.network, path, second}, err);
    free(second);
    free_filled(&f);
    return rc;
}

/* ---- For other plugins ---- */

static int export_open_as(const nas_host *host, const char *id, const char *dtype, void **exporter,
                          nas_error *err) {
    nas_exporter *opened;
    int rc = nas_exporter_open(nas_host_registry(host), id, dtype, &opened, err);
    *exporter = opened;
    return rc;
}

static int export_open(const nas_host *host, const char *id, void **exporter, nas_error *err) {
    return export_open_as(host, id, NULL, exporter, err);
}

static const char *export_extension(void *exporter) {
    return nas_exporter_extension(exporter);
}

static int export_write(void *exporter, const nas_network *network, const char *path,
                        nas_error *err) {
    return nas_exporter_write(exporter, network, path, err);
}

static void export_close(void *exporter) {
    nas_exporter_close(exporter);
}

const void *nas_exporter_service(const char *id) {
    static const nas_export_service service = {sizeof service, export_open,  export_extension,
                                               export_write,   export_close, export_open_as};
    return strcmp(id, NAS_EXT_EXPORT) == 0 ? &service : NULL;
}
