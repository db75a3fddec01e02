/* Latency, energy and memory of a network by the roofline model (Williams, Waterman and Patterson,
 * "Roofline: an insightful visual performance model", CACM 52(4), 2009), from a device profile:
 *
 *   layer's seconds = max(operations / (peak * efficiency of its kind), bytes / bandwidth) +
 * overhead
 *
 * A multiply-accumulate is two operations. bytes are what the layer reads and writes once: inputs,
 * output, weights, biases; caches and fusion across layers are not modelled. */
#include <nashost/hardware.h>

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

typedef struct roofline_config {
    const char *profile;
} roofline_config;

/* A device, in the units of its file. An energy of NaN: not known. A size of 0: no limit. */
typedef struct profile {
    double peak_gops, bandwidth_gbs, overhead_us;
    double conv, depthwise, linear, other; /* attainable shares of peak_gops */
    double pj_per_mac, pj_per_byte, static_power_mw;
    double memory_bytes, flash_bytes;
    uint32_t element_bytes;
    char name[64];
} profile;

static const nas_option options[] = {
    {"profile", NAS_TYPE_PATH, NULL, offsetof(roofline_config, profile), 0, 0, NULL,
     "JSON file that describes the device", NULL},
    {0},
};

/* Where a value of the profile stands. */
typedef struct place {
    const char *file, *object; /* object: "efficiency." or "" */
} place;

static int fail(const place *at, const char *key, const json_t *found, const char *expected,
                nas_error *err) {
    char *text = found ? json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    int rc = nas_fail(err, NAS_ERR_INPUT, "%s: %s%s: expected %s, found %.60s", at->file,
                      at->object, key, expected, found ? text ? text : "?" : "nothing");
    free(text);
    return rc;
}

/* A number in (0, max], or [0, max] if it may be zero. */
static int read_number(const place *at, const json_t *object, const char *key, bool zero,
                       double max, double *value, nas_error *err) {
    const json_t *json = json_object_get(object, key);
    double number = json_number_value(json);
    if (json_is_number(json) && (zero ? number >= 0 : number > 0) && number <= max) {
        *value = number;
        return NAS_OK;
    }
    char expected[80];
    snprintf(expected, sizeof expected, "a number %s and at most %g",
             zero ? "of at least 0" : "above 0", max);
    return fail(at, key, json, expected, err);
}

/* The same for a key that may be left out; *value then stays as it was. */
static int read_optional(const place *at, const json_t *object, const char *key, double max,
                         double *value, nas_error *err) {
    return json_object_get(object, key) ? read_number(at, object, key, true, max, value, err)
                                        : NAS_OK;
}

static int read_text(const place *at, const json_t *object, const char *key, const char **text,
                     nas_error *err) {
    const json_t *json = json_object_get(object, key);
    *text = json_string_value(json);
    return json_string_length(json) ? NAS_OK : fail(at, key, json, "a string", err);
}

static int check_keys(const place *at, const json_t *object, const char *const *names, size_t n,
                      nas_error *err) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        bool known = false;
        for (size_t i = 0; i < n; i++) known = known || strcmp(key, names[i]) == 0;
        if (known) continue;
        char list[400] = "";
        for (size_t i = 0, used = 0; i < n && used < sizeof list; i++) {
            used +=
                (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
        }
        return nas_fail(err, NAS_ERR_INPUT, "%s: %s%.60s: unknown key; the keys here are %s",
                        at->file, at->object, key, list);
    }
    return NAS_OK;
}

static int read_efficiency(const char *file, const json_t *json, profile *device, nas_error *err) {
    static const char *const names[] = {"conv", "depthwise", "linear", "other"};
    double *const values[] = {&device->conv, &device->depthwise, &device->linear, &device->other};
    const json_t *object = json_object_get(json, "efficiency");
    place root = {file, ""}, at = {file, "efficiency."};
    if (!json_is_object(object)) return fail(&root, "efficiency", object, "an object", err);
    int rc = check_keys(&at, object, names, COUNT(names), err);
    for (size_t i = 0; i < COUNT(names) && !rc; i++) {
        rc = read_number(&at, object, names[i], false, 1, values[i], err);
    }
    return rc;
}

/* The words that say what the file is, and that it is not a measurement. */
static int read_identity(const place *at, const json_t *json, profile *device, nas_error *err) {
    const char *name, *kind, *source, *dtype;
    int rc = read_text(at, json, "name", &name, err);
    if (!rc) rc = read_text(at, json, "kind", &kind, err);
    if (!rc) rc = read_text(at, json, "source", &source, err);
    if (!rc) rc = read_text(at, json, "dtype", &dtype, err);
    if (rc) return rc;
    if (!json_is_true(json_object_get(json, "model"))) {
        return fail(at, "model", json_object_get(json, "model"),
                    "true (a profile describes a model, not measurements)", err);
    }
    device->element_bytes = strcmp(dtype, "float32") == 0 ? 4 : strcmp(dtype, "int8") == 0 ? 1 : 0;
    if (!device->element_bytes) {
        return fail(at, "dtype", json_object_get(json, "dtype"), "\"float32\" or \"int8\"", err);
    }
    snprintf(device->name, sizeof device->name, "%s", name);
    return NAS_OK;
}

static int read_profile(const char *file, const json_t *json, profile *device, nas_error *err) {
    static const char *const names[] = {"name",
                                        "kind",
                                        "model",
                                        "source",
                                        "dtype",
                                        "peak_gops",
                                        "bandwidth_gbs",
                                        "overhead_us",
                                        "efficiency",
                                        "energy_pj_per_mac",
                                        "energy_pj_per_byte",
                                        "static_power_mw",
                                        "memory_bytes",
                                        "flash_bytes"};
    place at = {file, ""};
    if (!json_is_object(json)) {
        return nas_fail(err, NAS_ERR_INPUT, "%s: expected an object", file);
    }
    *device = (profile){.pj_per_mac = NAN, .pj_per_byte = NAN};
    int rc = check_keys(&at, json, names, COUNT(names), err);
    if (!rc) rc = read_identity(&at, json, device, err);
    if (!rc) rc = read_number(&at, json, "peak_gops", false, 1e9, &device->peak_gops, err);
    if (!rc) rc = read_number(&at, json, "bandwidth_gbs", false, 1e9, &device->bandwidth_gbs, err);
    if (!rc) rc = read_number(&at, json, "overhead_us", true, 1e9, &device->overhead_us, err);
    if (!rc) rc = read_efficiency(file, json, device, err);
    if (!rc) rc = read_optional(&at, json, "energy_pj_per_mac", 1e9, &device->pj_per_mac, err);
    if (!rc) rc = read_optional(&at, json, "energy_pj_per_byte", 1e9, &device->pj_per_byte, err);
    if (!rc) rc = read_optional(&at, json, "static_power_mw", 1e9, &device->static_power_mw, err);
    if (!rc) rc = read_optional(&at, json, "memory_bytes", 1e15, &device->memory_bytes, err);
    if (!rc) rc = read_optional(&at, json, "flash_bytes", 1e15, &device->flash_bytes, err);
    return rc;
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)host;
    const char *file = ((const roofline_config *)config)->profile;
    profile *device = malloc(sizeof *device);
    if (!device) return nas_fail(err, NAS_ERR_MEMORY, "roofline: out of memory");
    json_error_t where;
    json_t *json = json_load_file(file, JSON_REJECT_DUPLICATES, &where);
    int rc = json ? read_profile(file, json, device, err)
                  : nas_fail(err, NAS_ERR_INPUT, "%s: line %d, column %d: %s", file, where.line,
                             where.column, where.text);
    json_decref(json);
    if (rc) {
        free(device);
        return rc;
    }
    *self = device;
    return NAS_OK;
}

static double elements(nas_shape shape) {
    return (double)shape.h * shape.w * shape.c;
}

/* A layer's operations and the share of the peak that its kind attains; false: unknown kind. */
static bool work(const profile *device, const nas_layer *layer, double *operations, double *share) {
    *operations = 2 * (double)layer->macs;
    *share = device->other;
    switch (layer->op) {
    case NAS_OP_CONV:
        *share = device->conv;
        return true;
    case NAS_OP_DEPTHWISE:
        *share = device->depthwise;
        return true;
    case NAS_OP_LINEAR:
        *share = device->linear;
        return true;
    case NAS_OP_POOL:
        *operations = elements(layer->in);
        return true;
    case NAS_OP_SCALE:
    case NAS_OP_ADD:
        *operations = elements(layer->out);
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
    double count = elements(layer->in) + elements(layer->out);
    if (layer->input[1] >= 0) {
        count += elements(nas_network_layer(network, (uint32_t)layer->input[1])->out);
    }
    return count * device->element_bytes + stored_bytes(device, layer);
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
    const profile *device = self;
    double us = 0, bytes = 0, stored = 0, known = 0;
    for (uint32_t i = 0; i < network->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(network, i);
        double operations, share, moved = moved_bytes(device, network, layer);
        known += work(device, layer, &operations, &share);
        /* 1e9 a second is 1e3 a microsecond. */
        double compute_us = operations / (device->peak_gops * share * 1e3);
        double memory_us = moved / (device->bandwidth_gbs * 1e3);
        us += fmax(compute_us, memory_us) + device->overhead_us;
        bytes += moved;
        stored += stored_bytes(device, layer);
    }
    result->latency_ms = us / 1e3;
    /* 1 pJ is 1e-9 mJ; 1 mW for 1 us is 1e-6 mJ. */
    result->energy_mj = (double)network->macs * device->pj_per_mac * 1e-9 +
                        bytes * device->pj_per_byte * 1e-9 + device->static_power_mw * us * 1e-6;
    result->peak_bytes = network->peak_elements * device->element_bytes;
    result->flash_bytes = (uint64_t)stored;
    result->known_share = network->n_layers ? known / network->n_layers : 0;
    return check_fit(device, result, err);
}

static const nas_hardware_api api = {sizeof api, cost};

static const nas_plugin plugin = {
    .magic = NAS_MAGIC,
    .size = sizeof(nas_plugin),
    .abi_major = NAS_ABI_MAJOR,
    .abi_minor = NAS_ABI_MINOR,
    .kind = NAS_KIND_HARDWARE,
    .id = "roofline",
    .version = "0.1.0",
    .summary = "latency, energy and memory from a device's peak rate, bandwidth and overhead",
    .license = "Apache-2.0",
    .source = "https://doi.org/10.1145/1498765.1498785",
    .options = options,
    .option_size = sizeof(nas_option),
    .config_size = sizeof(roofline_config),
    .create = create,
    .destroy = free,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
