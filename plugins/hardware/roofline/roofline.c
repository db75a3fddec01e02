/* Latency, energy and memory of a network by the roofline model (Williams, Waterman and Patterson,
 * "Roofline: an insightful visual performance model", CACM 52(4), 2009), from a device profile:
 *
 *   layer's seconds =
 *       max(operations / (peak * efficiency of its kind), bytes / bandwidth) + overhead
 *
 * A multiply-accumulate is two operations. bytes are what the layer reads and writes once: inputs,
 * output, weights, biases; caches and fusion across layers are not modelled.
 *
 * Calibration finds the rates and the overhead that predict measured networks best. */
#include "fit.h"

#include <nashost/hardware.h>
#include <nashost/kit/json_file.h>
#include <nashost/kit/layers.h>
#include <nashost/kit/lut_file.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

typedef struct roofline_config {
    const char *profile;
} roofline_config;

/* Kinds of layers that differ in the share of the peak that they attain. Runtimes have special code
 * for depthwise kernels of up to 5x5. */
enum { CONV, DEPTHWISE, DEPTHWISE_LARGE, LINEAR, OTHER, KINDS };
static const char *const kind_names[KINDS] = {"conv", "depthwise", "depthwise_large", "linear",
                                              "other"};

/* A device, in the units of its file. An energy of NaN: not known. A size of 0: no limit. */
typedef struct profile {
    double peak_gops, bandwidth_gbs, overhead_us;
    double efficiency[KINDS]; /* attainable shares of peak_gops */
    double pj_per_mac, pj_per_byte, static_power_mw;
    double memory_bytes, flash_bytes;
    uint32_t element_bytes;
    char name[64];
} profile;

typedef struct model {
    const nas_host *host;
    const char *file;
    json_t *json; /* the file's content */
    profile device;
} model;

static const nas_option options[] = {
    NAS_PATH(
        "profile", roofline_config, profile, NULL,
        "device profile: a JSON file of the device's peak rate, bandwidth, overheads and energies"),
    {0},
};

static int read_efficiency(const char *file, const json_t *json, profile *device, nas_error *err) {
    const json_t *object = json_object_get(json, "efficiency");
    if (!json_is_object(object)) return nas_json_fail(file, "efficiency", object, "an object", err);
    int rc = nas_json_keys(file, "efficiency.", object, kind_names, KINDS, err);
    for (size_t i = 0; i < KINDS && !rc; i++) {
        const json_t *found = json_object_get(object, kind_names[i]);
        if (!found && i == DEPTHWISE_LARGE) {
            device->efficiency[i] = device->efficiency[DEPTHWISE];
            continue;
        }
        char where[40];
        snprintf(where, sizeof where, "efficiency.%s", kind_names[i]);
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
    if (m) json_decref(m->json);
    free(m);
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    const char *file = ((const roofline_config *)config)->profile;
    model *m = calloc(1, sizeof *m);
    if (!m) return nas_fail(err, NAS_ERR_MEMORY, "roofline: out of memory");
    m->host = host;
    m->file = file;
    int rc = nas_json_read(file, &m->json, err);
    if (!rc) rc = read_profile(file, m->json, &m->device, err);
    if (rc)
        destroy(m);
    else
        *self = m;
    return rc;
}

/* What a layer asks of a device. */
typedef struct load {
    int kind;
    double operations, bytes;
} load;

/* False: unknown kind of layer. */
static bool count_operations(const nas_layer *layer, load *l) {
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
static double compute_us(const profile *device, const load *l) {
    return l->operations / (device->peak_gops * device->efficiency[l->kind] * 1e3);
}

static double memory_us(const profile *device, const load *l) {
    return l->bytes / (device->bandwidth_gbs * 1e3);
}

static double layer_us(const profile *device, const load *l) {
    return fmax(compute_us(device, l), memory_us(device, l)) + device->overhead_us;
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
        known += count_operations(layer, &l);
        us += layer_us(device, &l);
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

/* ---- Calibration ---- */

#define MIN_NETWORKS 10
#define PULL 1e-6 /* towards the start, per squared logarithm; errors of a percent are 1e-4 */
enum { BANDWIDTH = KINDS, OVERHEAD, RATES };

/* Layers of a network. */
typedef struct term {
    load load;
    double count;
} term;

/* Measured networks. */
typedef struct samples {
    size_t n, n_terms;
    double *ms;   /* [n] */
    size_t *ends; /* [n]: the terms of network i are those from ends[i - 1] on */
    term *terms;  /* [n_terms] */
} samples;

static void free_samples(samples *s) {
    free(s->ms);
    free(s->ends);
    free(s->terms);
}

/* The layer that a key of a table stands for. */
static load load_of(const profile *device, nas_layer layer) {
    load l;
    double macs, moved;
    nas_layer_work(&layer, &macs, &moved);
    layer.macs = (uint64_t)macs;
    count_operations(&layer, &l);
    double biases = l.kind == OTHER ? 0 : layer.out.c;
    l.bytes = moved * device->element_bytes + biases * (4 - (double)device->element_bytes);
    return l;
}

static int add_network(const nas_lut *table, const profile *device, const json_t *network,
                       samples *s, nas_error *err) {
    const char *key;
    json_t *count;
    json_object_foreach(json_object_get(network, "layers"), key, count) {
        nas_layer layer;
        if (!nas_layer_from_key(key, &layer))
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s: networks: expected keys of layers, found \"%.199s\"", table->file,
                            key);
        s->terms[s->n_terms++] = (term){load_of(device, layer), json_number_value(count)};
    }
    s->ms[s->n] = json_number_value(json_object_get(network, "median_ms"));
    s->ends[s->n++] = s->n_terms;
    return NAS_OK;
}

static int read_samples(const nas_lut *table, const profile *device, samples *s, nas_error *err) {
    size_t n = json_array_size(table->networks), terms = 0, i;
    const json_t *network;
    if (n < MIN_NETWORKS)
        return nas_fail(err, NAS_ERR_INPUT, "%s: networks: expected at least %d, found %zu",
                        table->file, MIN_NETWORKS, n);
    json_array_foreach(table->networks, i, network) {
        terms += json_object_size(json_object_get(network, "layers"));
    }
    s->ms = malloc(n * sizeof *s->ms);
    s->ends = malloc(n * sizeof *s->ends);
    s->terms = malloc((terms + 1) * sizeof *s->terms);
    if (!s->ms || !s->ends || !s->terms)
        return nas_fail(err, NAS_ERR_MEMORY, "roofline: out of memory");
    int rc = NAS_OK;
    for (i = 0; i < n && !rc; i++)
        rc = add_network(table, device, json_array_get(table->networks, i), s, err);
    return rc;
}

static double predict_ms(const profile *device, const samples *s, size_t i) {
    double us = 0;
    for (size_t t = i ? s->ends[i - 1] : 0; t < s->ends[i]; t++)
        us += s->terms[t].count * layer_us(device, &s->terms[t].load);
    return us / 1e3;
}

/* The mean of squared relative errors. */
static double error_of(const profile *device, const samples *s) {
    double sum = 0;
    for (size_t i = 0; i < s->n; i++) sum += pow(predict_ms(device, s, i) / s->ms[i] - 1, 2);
    return sum / (double)s->n;
}

/* The rates as they are searched for: absolute, and as logarithms. */
static void take_rates(const profile *device, double rates[RATES]) {
    for (int k = 0; k < KINDS; k++) rates[k] = log(device->peak_gops * device->efficiency[k]);
    rates[BANDWIDTH] = log(device->bandwidth_gbs);
    rates[OVERHEAD] = log(fmax(device->overhead_us, 1e-6));
}

/* The inverse; the fastest kind of layer gets an efficiency of 1. */
static void put_rates(const double rates[RATES], profile *device) {
    double peak = rates[0];
    for (int k = 1; k < KINDS; k++) peak = fmax(peak, rates[k]);
    device->peak_gops = exp(peak);
    for (int k = 0; k < KINDS; k++) device->efficiency[k] = exp(rates[k] - peak);
    device->bandwidth_gbs = exp(rates[BANDWIDTH]);
    device->overhead_us = exp(rates[OVERHEAD]);
}

/* Makes the device as fast as the networks on the whole. */
static void match_speed(profile *device, const samples *s) {
    double measured = 0, predicted = 0;
    for (size_t i = 0; i < s->n; i++) {
        measured += s->ms[i];
        predicted += predict_ms(device, s, i);
    }
    device->peak_gops *= predicted / measured;
    device->bandwidth_gbs *= predicted / measured;
    device->overhead_us *= measured / predicted;
}

/* What is fitted: a device's rates to samples, from a start. */
typedef struct fitting {
    const samples *samples;
    double start[RATES];
} fitting;

/* The logarithm of predicted over measured; beyond the samples, what pulls a rate to its start. */
static double residual(const void *context, size_t i, const double *rates, double *slope) {
    const fitting *f = context;
    const samples *s = f->samples;
    for (int k = 0; k < RATES; k++) slope[k] = 0;
    if (i >= s->n) {
        double pull = sqrt(PULL * (double)s->n);
        slope[i - s->n] = pull;
        return pull * (rates[i - s->n] - f->start[i - s->n]);
    }
    profile device;
    double us = 0;
    put_rates(rates, &device);
    for (size_t t = i ? s->ends[i - 1] : 0; t < s->ends[i]; t++) {
        const term *part = &s->terms[t];
        double all = part->count * layer_us(&device, &part->load);
        double overhead = part->count * device.overhead_us;
        bool compute = compute_us(&device, &part->load) > memory_us(&device, &part->load);
        slope[part->load.kind] -= compute ? all - overhead : 0;
        slope[BANDWIDTH] -= compute ? 0 : all - overhead;
        slope[OVERHEAD] += overhead;
        us += all;
    }
    for (int k = 0; k < RATES; k++) slope[k] /= us;
    return log(us / 1e3 / s->ms[i]);
}

/* Fits the rates and the overhead, from several starts that share the work differently between
 * rates, bandwidth and overhead. What the samples do not tell stays near its start. */
static void fit_rates(profile *device, const samples *s) {
    static const double factors[] = {1, 0.1, 10};
    double best[RATES], least = INFINITY;
    for (size_t i = 0; i < COUNT(factors) * COUNT(factors); i++) {
        fitting f = {.samples = s};
        const nas_fit_problem problem = {residual, &f, s->n + RATES, RATES};
        profile trial = *device;
        double rates[RATES];
        trial.bandwidth_gbs *= factors[i % COUNT(factors)];
        trial.overhead_us *= factors[i / COUNT(factors)];
        match_speed(&trial, s);
        take_rates(&trial, f.start);
        memcpy(rates, f.start, sizeof rates);
        double sum = nas_fit(&problem, rates);
        if (!(sum < least)) continue;
        least = sum;
        memcpy(best, rates, sizeof best);
    }
    if (isfinite(least)) put_rates(best, device);
}

/* NULL: out of memory. */
static json_t *profile_json(const model *start, const nas_lut *table, const samples *s,
                            const profile *fitted) {
    const char *device = json_string_value(json_object_get(table->root, "device"));
    const char *runtime = json_string_value(json_object_get(table->root, "runtime"));
    char source[400], kind[240];
    snprintf(kind, sizeof kind, "%.100s, %.100s, threads: %d", device, runtime,
             (int)json_integer_value(json_object_get(table->root, "threads")));
    snprintf(source, sizeof source,
             "A model, not a measurement. Peak, efficiencies, bandwidth and overhead are fitted to "
             "%zu measured networks, with a typical error of %.2g %% on these; the rest is from "
             "the profile %.63s.",
             s->n, 100 * sqrt(error_of(fitted, s)), start->device.name);
    json_t *json = json_deep_copy(start->json), *shares = json_object();
    for (int k = 0; k < KINDS; k++)
        json_object_set_new(shares, kind_names[k], json_real(fitted->efficiency[k]));
    bool whole = json_object_size(shares) == KINDS;
    json_t *changes =
        json_pack("{s:s#, s:s, s:s, s:f, s:f, s:f, s:o}", "name", device, (int)strnlen(device, 60),
                  "kind", kind, "source", source, "peak_gops", fitted->peak_gops, "bandwidth_gbs",
                  fitted->bandwidth_gbs, "overhead_us", fitted->overhead_us, "efficiency", shares);
    if (json_object_update_new(json, changes) == 0 && whole) return json;
    json_decref(json);
    return NULL;
}

static int write_profile(json_t *json, const char *out, nas_error *err) {
    if (!json) return nas_fail(err, NAS_ERR_MEMORY, "roofline: out of memory");
    FILE *file = fopen(out, "w");
    int failed = !file || json_dumpf(json, file, JSON_INDENT(2) | JSON_REAL_PRECISION(5));
    if (file) failed |= fputc('\n', file) == EOF;
    if (file) failed |= fclose(file);
    json_decref(json);
    return failed ? nas_fail(err, NAS_ERR_IO, "roofline: cannot write %s", out) : NAS_OK;
}

static int fit(const model *m, const nas_lut *table, const char *out, samples *s, nas_error *err) {
    profile fitted = m->device;
    if (table->element_bytes != m->device.element_bytes)
        return nas_fail(err, NAS_ERR_INPUT, "%s: dtype: expected that of %s, found another",
                        table->file, m->file);
    int rc = read_samples(table, &m->device, s, err);
    if (rc) return rc;
    fit_rates(&fitted, s);
    char line[160];
    snprintf(line, sizeof line, "fitted to %zu networks: typical error %.3g %%, before %.3g %%",
             s->n, 100 * sqrt(error_of(&fitted, s)), 100 * sqrt(error_of(&m->device, s)));
    if (m->host) m->host->log(m->host, NAS_INFO, line);
    return write_profile(profile_json(m, table, s, &fitted), out, err);
}

static int calibrate(void *self, const char *file, const char *out, nas_error *err) {
    nas_lut table;
    samples s = {0};
    int rc = nas_lut_load(file, &table, err);
    if (rc) return rc;
    rc = fit(self, &table, out, &s, err);
    free_samples(&s);
    nas_lut_free(&table);
    return rc;
}

static const void *extension(void *self, const char *id) {
    static const nas_calibrate_api calibrate_api = {sizeof calibrate_api, calibrate};
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
