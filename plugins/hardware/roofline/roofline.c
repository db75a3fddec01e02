/* Latency, energy and memory of a network by the roofline model (Williams, Waterman and Patterson,
 * "Roofline: an insightful visual performance model", CACM 52(4), 2009), from a device profile:
 *
 *   layer's seconds =
 *       max(operations / (peak * efficiency of its kind), bytes / bandwidth) + overhead
 *
 * A multiply-accumulate is two operations. bytes are what the layer reads and writes once: inputs,
 * output, weights, biases; caches and fusion across layers are not modelled.
 */
#include "roofline.h"
#include "named.h"

#include <nashost/kit/json_file.h>
#include <nashost/kit/layers.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct roofline_config {
    const char *profile;
} roofline_config;

const char *const nas_roofline_kinds[KINDS] = {"conv", "depthwise", "depthwise_large", "linear",
                                               "other"};

static const nas_option options[] = {
    NAS_PATH(
        "profile", roofline_config, profile, NULL,
        "device profile: a JSON file of the device's peak rate, bandwidth, overheads and energies, "
        "or the name of one that comes with nashost, such as \"phone-little\""),
    {0},
};

static int read_efficiency(const char *file, const json_t *json, profile *device, nas_error *err) {
    const json_t *object = json_object_get(json, "efficiency");
    if (!json_is_object(object)) return nas_json_fail(file, "efficiency", object, "an object", err);
    int rc = nas_json_keys(file, "efficiency.", object, nas_roofline_kinds, KINDS, err);
    for (size_t i = 0; i < KINDS && !rc; i++) {
        const json_t *found = json_object_get(object, nas_roofline_kinds[i]);
        if (!found && i == DEPTHWISE_LARGE) {
            device->efficiency[i] = device->efficiency[DEPTHWISE];
            continue;
        }
        char where[40];
        snprintf(where, sizeof where, "efficiency.%s", nas_roofline_kinds[i]);
        rc = nas_json_number(file, where, found, false, 1, &device->efficiency[i], err);
    }
    return rc;
}

/* The words that say what the file is, and that it is not a measurement. */
static int read_identity(const char *file, const json_t *json, profile *device, nas_error *err) {
    static const char *const texts[] = {"name", "kind", "source", "dtype"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        const json_t *text = json_object_get(json, texts[i]);
        if (!json_string_length(text)) return nas_json_fail(file, texts[i], text, "a string", err);
    }
    if (!json_is_true(json_object_get(json, "model")))
        return nas_json_fail(file, "model", json_object_get(json, "model"),
                             "true (a profile describes a model, not measurements)", err);
    const char *dtype = json_string_value(json_object_get(json, "dtype"));
    device->element_bytes = nas_dtype_bytes(dtype);
    if (!device->element_bytes)
        return nas_json_fail(file, "dtype", json_object_get(json, "dtype"),
                             "\"float32\" or \"int8\"", err);
    snprintf(device->name, sizeof device->name, "%s",
             json_string_value(json_object_get(json, "name")));
    return NAS_OK;
}

/* The numbers of a profile. */
static const struct number {
    const char *key;
    size_t offset;
    bool zero, needed;
    double max;
} numbers[] = {
    {"peak_gops", offsetof(profile, peak_gops), false, true, 1e9},
    {"bandwidth_gbs", offsetof(profile, bandwidth_gbs), false, true, 1e9},
    {"overhead_us", offsetof(profile, overhead_us), true, true, 1e9},
    {"energy_pj_per_mac", offsetof(profile, pj_per_mac), true, false, 1e9},
    {"energy_pj_per_byte", offsetof(profile, pj_per_byte), true, false, 1e9},
    {"static_power_mw", offsetof(profile, static_power_mw), true, false, 1e9},
    {"memory_bytes", offsetof(profile, memory_bytes), true, false, 1e15},
    {"flash_bytes", offsetof(profile, flash_bytes), true, false, 1e15},
};

static int read_profile(const char *file, const json_t *json, profile *device, nas_error *err) {
    const char *names[COUNT(numbers) + 6] = {"name",   "kind",  "model",
                                             "source", "dtype", "efficiency"};
    for (size_t i = 0; i < COUNT(numbers); i++) names[6 + i] = numbers[i].key;
    *device = (profile){.pj_per_mac = NAN, .pj_per_byte = NAN};
    int rc = nas_json_keys(file, "", json, names, COUNT(names), err);
    if (!rc) rc = read_identity(file, json, device, err);
    for (size_t i = 0; i < COUNT(numbers) && !rc; i++) {
        const struct number *n = &numbers[i];
        double *value = (double *)(void *)((char *)device + n->offset);
        const json_t *found = json_object_get(json, n->key);
        if (n->needed || found)
            rc = nas_json_number(file, n->key, found, n->zero, n->max, value, err);
    }
    return rc ? rc : read_efficiency(file, json, device, err);
}

static void destroy(void *self) {
    model *m = self;
    if (!m) return;
    json_decref(m->json);
    free(m->file);
    free(m);
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    char file[PATH_MAX];
    model *m = calloc(1, sizeof *m);
    if (!m) return nas_fail(err, NAS_ERR_MEMORY, "roofline: out of memory");
    m->host = host;
    int rc = nas_roofline_find(host, ((const roofline_config *)config)->profile, file, err);
    if (!rc && !(m->file = strdup(file)))
        rc = nas_fail(err, NAS_ERR_MEMORY, "roofline: out of memory");
    if (!rc) rc = nas_json_read(file, &m->json, err);
    if (!rc) rc = read_profile(file, m->json, &m->device, err);
    if (rc)
        destroy(m);
    else
        *self = m;
    return rc;
}

bool nas_roofline_count_operations(const nas_layer *layer, load *l) {
    l->operations = 2 * (double)layer->macs;
    l->kind = OTHER;
    switch (layer->op) {
    case NAS_OP_CONV:
        l->kind = CONV;
        return true;
    case NAS_OP_DEPTHWISE:
        l->kind = layer->kernel > 5 ? DEPTHWISE_LARGE : DEPTHWISE;
        return true;
    case NAS_OP_LINEAR:
        l->kind = LINEAR;
        return true;
    case NAS_OP_POOL:
        l->operations = (double)nas_shape_elements(layer->in);
        return true;
    case NAS_OP_SCALE:
    case NAS_OP_ADD:
        l->operations = (double)nas_shape_elements(layer->out);
        return true;
    default:
        return false;
    }
}

/* Biases stay 32 bits wide in int8 networks. */
static double stored_bytes(const profile *device, const nas_layer *layer) {
    return (double)layer->weights * device->element_bytes + 4 * (double)layer->biases;
}

/* What a layer moves: its inputs, its output and its weights, each once. */
static double moved_bytes(const profile *device, const nas_network *network,
                          const nas_layer *layer) {
    uint64_t count = nas_shape_elements(layer->in) + nas_shape_elements(layer->out);
    if (layer->input[1] >= 0)
        count += nas_shape_elements(nas_network_layer(network, (uint32_t)layer->input[1])->out);
    return (double)count * device->element_bytes + stored_bytes(device, layer);
}

/* 1e9 a second is 1e3 a microsecond. */
double nas_roofline_compute_us(const profile *device, const load *l) {
    return l->operations / (device->peak_gops * device->efficiency[l->kind] * 1e3);
}

double nas_roofline_memory_us(const profile *device, const load *l) {
    return l->bytes / (device->bandwidth_gbs * 1e3);
}

double nas_roofline_layer_us(const profile *device, const load *l) {
    return fmax(nas_roofline_compute_us(device, l), nas_roofline_memory_us(device, l)) +
           device->overhead_us;
}

/* A network that the device cannot hold has no latency on it. */
static int check_fit(const profile *device, const nas_cost *cost, nas_error *err) {
    if (device->memory_bytes > 0 && (double)cost->peak_bytes > device->memory_bytes) {
        return nas_fail(err, NAS_ERR_INFEASIBLE,
                        "%s: expected at most %.0f bytes of activations, found %llu", device->name,
                        device->memory_bytes, (unsigned long long)cost->peak_bytes);
    }
    if (device->flash_bytes > 0 && (double)cost->flash_bytes > device->flash_bytes) {
        return nas_fail(err, NAS_ERR_INFEASIBLE,
                        "%s: expected at most %.0f bytes of weights, found %llu", device->name,
                        device->flash_bytes, (unsigned long long)cost->flash_bytes);
    }
    return NAS_OK;
}

static int cost(void *self, const nas_network *network, nas_cost *result, nas_error *err) {
    const profile *device = &((const model *)self)->device;
    double us = 0, bytes = 0, known = 0;
    for (uint32_t i = 0; i < network->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(network, i);
        load l = {.bytes = moved_bytes(device, network, layer)};
        known += nas_roofline_count_operations(layer, &l);
        us += nas_roofline_layer_us(device, &l);
        bytes += l.bytes;
    }
    result->latency_ms = us / 1e3;
    /* 1 pJ is 1e-9 mJ; 1 mW for 1 us is 1e-6 mJ. */
    result->energy_mj = (double)network->macs * device->pj_per_mac * 1e-9 +
                        bytes * device->pj_per_byte * 1e-9 + device->static_power_mw * us * 1e-6;
    result->peak_bytes = network->peak_elements * device->element_bytes;
    result->flash_bytes = nas_network_stored_bytes(network, device->element_bytes);
    result->known_share = network->n_layers ? known / network->n_layers : 0;
    return check_fit(device, result, err);
}

static const void *extension(void *self, const char *id) {
    static const nas_calibrate_api calibrate_api = {sizeof calibrate_api, nas_roofline_calibrate};
    (void)self;
    return strcmp(id, NAS_EXT_CALIBRATE) == 0 ? &calibrate_api : NULL;
}

static const nas_hardware_api api = {sizeof api, cost};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_HARDWARE,
    .id = "roofline",
    .version = "0.1.0",
    .summary = "latency, energy and memory from a device's peak rate, bandwidth and overhead",
    .license = "Apache-2.0",
    .source = "https://doi.org/10.1145/1498765.1498785",
    .options = options,
    .config_size = sizeof(roofline_config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
    .extension = extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
