/* The latency of a network as the sum of its layers' latencies in a table of measurements, as in
 * FBNet (arXiv 1812.03443, section 3.3) and ProxylessNAS (arXiv 1812.00332). A layer that the table
 * lacks never counts as nothing: it is an error, or, if that is allowed, an estimate. Where the
 * table has whole networks too, these correct the sum. */
#include <nashost/hardware.h>
#include <nashost/kit/layers.h>
#include <nashost/kit/lut_file.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct lut_config {
    const char *table;
    bool allow_missing;
} lut_config;

static const nas_option options[] = {
    NAS_PATH("table", lut_config, table, NULL,
             "latency table: a JSON file that `nashost lut build` made"),
    NAS_BOOL("allow_missing", lut_config, allow_missing, "false",
             "whether a layer that the table lacks is estimated from the table's nearest layer of "
             "the same "
             "operation; if not, it is an error"),
    {0},
};

typedef struct table {
    nas_lut lut;
    bool allow_missing;
    nas_lut_chain chain;
} table;

static double work_of(const nas_layer *layer) {
    double macs, elements;
    nas_layer_work(layer, &macs, &elements);
    return macs + elements;
}

/* The time of the entry whose operation is the same and whose work is nearest by its ratio, scaled
 * by that ratio; NaN if the table has none. */
static double estimate(const nas_lut *t, const nas_layer *layer) {
    double work = work_of(layer), nearest = INFINITY, ms = NAN;
    for (size_t i = 0; i < t->n; i++) {
        const nas_lut_entry *entry = &t->list[i];
        double ratio = work / work_of(&entry->layer);
        if (entry->layer.op != layer->op || !(fabs(log(ratio)) < nearest)) continue;
        nearest = fabs(log(ratio));
        ms = entry->ms * ratio;
    }
    return ms;
}

/* NaN: not in the table. */
static double find(void *context, const char *key) {
    const nas_lut *t = context;
    const json_t *entry = json_object_get(t->entries, key);
    return entry ? json_number_value(json_object_get(entry, "median_ms")) : (double)NAN;
}

/* The sum over the layers; *missing is how many are not in the table, *first the first of them. */
static double sum_layers(table *t, const nas_network *network, uint32_t *missing,
                         const nas_layer **first) {
    double sum = 0;
    *missing = 0;
    for (uint32_t i = 0; i < network->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(network, i);
        char key[NAS_LAYER_KEY];
        double ms = find(&t->lut, nas_layer_key(layer, key));
        if (isnan(ms) && !(*missing)++) *first = layer;
        sum += isnan(ms) ? estimate(&t->lut, layer) : ms;
    }
    return sum;
}

static int cost(void *self, const nas_network *network, nas_cost *result, nas_error *err) {
    table *t = self;
    const nas_layer *first = NULL;
    uint32_t missing;
    char key[NAS_LAYER_KEY];
    double sum = sum_layers(t, network, &missing, &first);
    result->latency_ms = nas_lut_chain_ms(&t->chain, network, sum);
    if (missing && !t->allow_missing)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: %u of %u layers are missing, first %.39s, \"%s\"; add them with "
                        "`nashost lut build`, or set allow_missing to have them estimated",
                        t->lut.file, missing, network->n_layers, first->name,
                        nas_layer_key(first, key));
    result->energy_mj = NAN;
    result->peak_bytes = network->peak_elements * t->lut.element_bytes;
    result->flash_bytes = nas_network_stored_bytes(network, t->lut.element_bytes);
    result->known_share = network->n_layers ? 1 - (double)missing / (double)network->n_layers : 0;
    return NAS_OK;
}

static bool known_network(void *self, uint32_t i, double *predicted_ms, double *measured_ms) {
    table *t = self;
    return nas_lut_known(&t->lut, &t->chain, i, find, &t->lut, predicted_ms, measured_ms);
}

static const void *extension(void *self, const char *id) {
    static const nas_validation_api validation = {sizeof validation, known_network};
    (void)self;
    return strcmp(id, NAS_EXT_VALIDATION) == 0 ? &validation : NULL;
}

static void destroy(void *self) {
    table *t = self;
    if (t) nas_lut_free(&t->lut);
    free(t);
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    const lut_config *given = config;
    table *t = calloc(1, sizeof *t);
    if (!t) return nas_fail(err, NAS_ERR_MEMORY, "lut: out of memory");
    t->allow_missing = given->allow_missing;
    int rc = nas_lut_load(given->table, &t->lut, err);
    if (!rc) rc = nas_lut_fit_chain(&t->lut, find, &t->lut, &t->chain, err);
    if (rc) {
        destroy(t);
        return rc;
    }
    char line[160];
    nas_lut_chain_text(&t->chain, line, sizeof line);
    if (host) host->log(host, NAS_DEBUG, line);
    *self = t;
    return NAS_OK;
}

static const nas_hardware_api api = {sizeof api, cost};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_HARDWARE,
    .id = "lut",
    .version = "0.1.0",
    .summary = "latency as the sum of the layers' measured latencies in a table",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/1812.03443",
    .options = options,
    .config_size = sizeof(lut_config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
    .extension = extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
