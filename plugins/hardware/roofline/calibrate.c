/* Calibration: finds the rates and the overhead that predict measured networks best. */
#include "fit.h"
#include "roofline.h"

#include <nashost/kit/json_file.h>
#include <nashost/kit/layers.h>
#include <nashost/kit/lut_file.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

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
    nas_roofline_count_operations(&layer, &l);
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
        us += s->terms[t].count * nas_roofline_layer_us(device, &s->terms[t].load);
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
        double all = part->count * nas_roofline_layer_us(&device, &part->load);
        double overhead = part->count * device.overhead_us;
        bool compute = nas_roofline_compute_us(&device, &part->load) >
                       nas_roofline_memory_us(&device, &part->load);
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
    json_t *json = nas_json_copy(start->json), *shares = json_object();
    for (int k = 0; k < KINDS; k++)
        nas_json_put(&shares, nas_roofline_kinds[k], json_real(fitted->efficiency[k]));
    json_t *changes =
        json_pack("{s:s#, s:s, s:s, s:f, s:f, s:f, s:o}", "name", device, (int)strnlen(device, 60),
                  "kind", kind, "source", source, "peak_gops", fitted->peak_gops, "bandwidth_gbs",
                  fitted->bandwidth_gbs, "overhead_us", fitted->overhead_us, "efficiency", shares);
    nas_json_merge(&json, changes);
    return json;
}

static int write_profile(json_t *json, const char *out, nas_error *err) {
    if (!json) return nas_fail(err, NAS_ERR_MEMORY, "roofline: out of memory");
    nas_error why = {0};
    int rc = nas_json_write(out, json, JSON_INDENT(2) | JSON_REAL_PRECISION(5), &why);
    json_decref(json);
    return rc ? nas_fail(err, rc, "roofline: %.1000s", why.message) : NAS_OK;
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

int nas_roofline_calibrate(void *self, const char *file, const char *out, nas_error *err) {
    nas_lut table;
    samples s = {0};
    int rc = nas_lut_load(file, &table, err);
    if (rc) return rc;
    rc = fit(self, &table, out, &s, err);
    free_samples(&s);
    nas_lut_free(&table);
    return rc;
}
