#include <nashost/kit/lut_file.h>

#include <nashost/kit/json_file.h>
#include <nashost/kit/layers.h>
#include <nashost/kit/statistics.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int read_header(nas_lut *t, nas_error *err) {
    static const char *const texts[] = {"device", "runtime", "dtype"};
    const json_t *format = json_object_get(t->root, "format");
    const json_t *version = json_object_get(t->root, "version");
    const json_t *threads = json_object_get(t->root, "threads");
    const json_t *batch = json_object_get(t->root, "batch");
    if (!json_is_string(format) || strcmp(json_string_value(format), NAS_LUT_FORMAT) != 0)
        return nas_json_fail(t->file, "format", format, "\"" NAS_LUT_FORMAT "\"", err);
    if (json_integer_value(version) != NAS_LUT_VERSION)
        return nas_json_fail(t->file, "version", version, "1, the one that is read here", err);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const json_t *text = json_object_get(t->root, texts[i]);
        if (!json_string_length(text))
            return nas_json_fail(t->file, texts[i], text, "a string", err);
    }
    if (json_integer_value(threads) < 1)
        return nas_json_fail(t->file, "threads", threads, "1 or more", err);
    if (json_integer_value(batch) != 1)
        return nas_json_fail(t->file, "batch", batch, "1, as costs are those of one image", err);
    const json_t *dtype = json_object_get(t->root, "dtype");
    t->element_bytes = nas_dtype_bytes(json_string_value(dtype));
    if (t->element_bytes) return NAS_OK;
    return nas_json_fail(t->file, "dtype", dtype, "\"float32\" or \"int8\"", err);
}

static int read_entry(nas_lut *t, const char *key, const json_t *value, nas_error *err) {
    char where[NAS_LAYER_KEY + 32];
    nas_lut_entry *entry = &t->list[t->n];
    snprintf(where, sizeof where, "entries: %.199s", key);
    if (!nas_layer_from_key(key, &entry->layer))
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: entries: expected keys such as \"conv in=28x28x1 out=28x28x16 "
                        "kernel=3 stride=1 expand=0 act=relu se=0\", found \"%.199s\"",
                        t->file, key);
    entry->ms = json_number_value(json_object_get(value, "median_ms"));
    if (!(entry->ms > 0))
        return nas_json_fail(t->file, where, value, "a \"median_ms\" above 0", err);
    if (json_integer_value(json_object_get(value, "count")) < 1)
        return nas_json_fail(t->file, where, value, "a \"count\" of at least 1", err);
    const json_t *spread = json_object_get(value, "spread_ms");
    if (!json_is_number(spread) || json_number_value(spread) < 0)
        return nas_json_fail(t->file, where, value, "a \"spread_ms\" of at least 0", err);
    t->n++;
    return NAS_OK;
}

static int read_entries(nas_lut *t, nas_error *err) {
    const char *key;
    json_t *value;
    t->entries = json_object_get(t->root, "entries");
    bool needed = !json_array_size(json_object_get(t->root, "networks"));
    if (!json_is_object(t->entries) || (needed && !json_object_size(t->entries)))
        return nas_json_fail(t->file, "entries", t->entries, "an object with entries", err);
    t->list = malloc((json_object_size(t->entries) + 1) * sizeof *t->list);
    if (!t->list) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", t->file);
    json_object_foreach(t->entries, key, value) {
        int rc = read_entry(t, key, value, err);
        if (rc) return rc;
    }
    return NAS_OK;
}

static int read_networks(nas_lut *t, nas_error *err) {
    t->networks = json_object_get(t->root, "networks");
    if (t->networks && !json_is_array(t->networks))
        return nas_json_fail(t->file, "networks", t->networks, "an array", err);
    for (size_t i = 0; i < json_array_size(t->networks); i++) {
        const json_t *network = json_array_get(t->networks, i);
        json_t *layers = json_object_get(network, "layers"), *value;
        const char *key;
        char where[48];
        snprintf(where, sizeof where, "networks[%zu]", i);
        if (!(json_number_value(json_object_get(network, "median_ms")) > 0))
            return nas_json_fail(t->file, where, network, "a \"median_ms\" above 0", err);
        if (!json_object_size(layers))
            return nas_json_fail(t->file, where, network, "an object \"layers\"", err);
        json_object_foreach(layers, key, value) {
            if (json_integer_value(value) < 1)
                return nas_json_fail(t->file, where, value, "layers with counts of at least 1",
                                     err);
        }
    }
    return NAS_OK;
}

void nas_lut_free(nas_lut *t) {
    if (!t) return;
    json_decref(t->root);
    free(t->list);
    *t = (nas_lut){0};
}

int nas_lut_load(const char *file, nas_lut *t, nas_error *err) {
    *t = (nas_lut){.file = file};
    int rc = nas_json_read(file, &t->root, err);
    if (!rc) rc = read_header(t, err);
    if (!rc) rc = read_entries(t, err);
    if (!rc) rc = read_networks(t, err);
    if (rc) nas_lut_free(t);
    return rc;
}

#define CHAIN_LEAST 5 /* networks from which on weights are told apart from the factor */

/* A measured network. */
typedef struct lut_sum {
    double ms, sum, weights;
} lut_sum;

static lut_sum sum_of(const json_t *network, double (*layer_ms)(void *context, const char *key),
                      void *context) {
    lut_sum s = {.ms = json_number_value(json_object_get(network, "median_ms"))};
    const char *key;
    json_t *count;
    json_object_foreach(json_object_get(network, "layers"), key, count) {
        nas_layer layer;
        double n = json_number_value(count);
        s.sum += n * layer_ms(context, key);
        s.weights += nas_layer_from_key(key, &layer) ? n * nas_layer_weights(&layer) : 0;
    }
    return s;
}

/* The time per weight with the least sum of squared relative errors; 0 if that is not above 0 and
 * below every network's own time, or if the sums do not tell. */
static double per_weight(const lut_sum *sums, size_t n) {
    double ss = 0, sw = 0, ww = 0, s1 = 0, w1 = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        double s = sums[i].sum / sums[i].ms, w = sums[i].weights / sums[i].ms;
        ss += s * s, sw += s * w, ww += w * w, s1 += s, w1 += w;
        most = fmax(most, w);
    }
    double determinant = ss * ww - sw * sw, found = (ss * w1 - sw * s1) / determinant;
    bool told = n >= CHAIN_LEAST && determinant > 1e-9 * ss * ww;
    return told && found > 0 && found * most < 1 ? found : 0;
}

int nas_lut_fit_chain(const nas_lut *t, double (*layer_ms)(void *context, const char *key),
                      void *context, nas_lut_chain *chain, nas_error *err) {
    size_t n = json_array_size(t->networks);
    lut_sum *sums = calloc(n + 1, sizeof *sums);
    double *ratios = malloc((n + 1) * sizeof *ratios);
    *chain = (nas_lut_chain){.factor = 1};
    for (size_t i = 0; sums && ratios && i < n; i++) {
        lut_sum s = sum_of(json_array_get(t->networks, i), layer_ms, context);
        if (s.sum > 0) sums[chain->networks++] = s;
    }
    if (sums && ratios && chain->networks) {
        chain->ms_per_weight = per_weight(sums, chain->networks);
        for (size_t i = 0; i < chain->networks; i++)
            ratios[i] = (sums[i].ms - chain->ms_per_weight * sums[i].weights) / sums[i].sum;
        chain->factor = nas_median(ratios, chain->networks);
    }
    bool good = sums && ratios;
    free(sums);
    free(ratios);
    return good ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", t->file);
}

double nas_lut_chain_ms(const nas_lut_chain *chain, const nas_network *network, double sum) {
    double weights = 0;
    for (uint32_t i = 0; i < network->n_layers; i++)
        weights += (double)nas_network_layer(network, i)->weights;
    return chain->factor * sum + chain->ms_per_weight * weights;
}

bool nas_lut_known(const nas_lut *t, const nas_lut_chain *chain, uint32_t i,
                   double (*layer_ms)(void *context, const char *key), void *context,
                   double *predicted_ms, double *measured_ms) {
    const json_t *network = json_array_get(t->networks, i);
    if (!network) return false;
    lut_sum s = sum_of(network, layer_ms, context);
    *predicted_ms = chain->factor * s.sum + chain->ms_per_weight * s.weights;
    *measured_ms = s.ms;
    return true;
}

void nas_lut_chain_text(const nas_lut_chain *chain, char *line, size_t size) {
    snprintf(line, size,
             "a network takes %.4g times the sum of its layers, and %.3g ns for each weight "
             "(%zu networks)",
             chain->factor, 1e6 * chain->ms_per_weight, chain->networks);
}
