/* The latency of a network as the sum of its layers' latencies in a table of measurements, as in
 * FBNet (arXiv 1812.03443, section 3.3) and ProxylessNAS (arXiv 1812.00332). A layer that the table
 * lacks never counts as nothing: it is an error, or, if that is allowed, an estimate. */
#include <nashost/hardware.h>
#include <nashost/lut.h>

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

typedef struct lut_config {
    const char *table;
    bool allow_missing;
} lut_config;

static const nas_option options[] = {
    {"table", NAS_TYPE_PATH, NULL, offsetof(lut_config, table), 0, 0, NULL,
     "JSON file that `nashost lut build` made", NULL},
    {"allow_missing", NAS_TYPE_BOOL, "false", offsetof(lut_config, allow_missing), 0, 0, NULL,
     "estimate layers that the table lacks from its nearest layer of the same operation", NULL},
    {0},
};

typedef struct entry {
    uint32_t op;
    double work, ms;
} entry;

typedef struct table {
    const char *file;
    bool allow_missing;
    uint32_t element_bytes;
    json_t *root, *entries; /* entries is borrowed from root */
    size_t n;
    entry *list; /* [n], in no order */
} table;

/* ---- Reading ---- */

static int fail(const char *file, const char *key, const json_t *found, const char *expected,
                nas_error *err) {
    char *text = found ? json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    int rc = nas_fail(err, NAS_ERR_INPUT, "%s: %.200s: expected %s, found %.60s", file, key,
                      expected, found ? text ? text : "?" : "nothing");
    free(text);
    return rc;
}

static int read_header(table *t, nas_error *err) {
    static const char *const texts[] = {"device", "runtime", "dtype"};
    const json_t *format = json_object_get(t->root, "format");
    const json_t *version = json_object_get(t->root, "version");
    const json_t *batch = json_object_get(t->root, "batch");
    if (!json_is_string(format) || strcmp(json_string_value(format), NAS_LUT_FORMAT) != 0)
        return fail(t->file, "format", format, "\"" NAS_LUT_FORMAT "\"", err);
    if (json_integer_value(version) != NAS_LUT_VERSION)
        return fail(t->file, "version", version, "1, the one that this plugin reads", err);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const json_t *text = json_object_get(t->root, texts[i]);
        if (!json_string_length(text)) return fail(t->file, texts[i], text, "a string", err);
    }
    if (json_integer_value(json_object_get(t->root, "threads")) < 1)
        return fail(t->file, "threads", json_object_get(t->root, "threads"), "1 or more", err);
    if (json_integer_value(batch) != 1)
        return fail(t->file, "batch", batch, "1, as costs are those of one image", err);
    const json_t *dtype = json_object_get(t->root, "dtype");
    const char *name = json_string_value(dtype);
    t->element_bytes = strcmp(name, "float32") == 0 ? 4 : strcmp(name, "int8") == 0 ? 1 : 0;
    return t->element_bytes ? NAS_OK
                            : fail(t->file, "dtype", dtype, "\"float32\" or \"int8\"", err);
}

static double work_of(const nas_layer *layer) {
    double macs, elements;
    nas_layer_work(layer, &macs, &elements);
    return macs + elements;
}

static int read_entry(table *t, const char *key, const json_t *value, nas_error *err) {
    char where[NAS_LAYER_KEY + 32];
    nas_layer layer;
    snprintf(where, sizeof where, "entries: %.199s", key);
    if (!nas_layer_from_key(key, &layer))
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: entries: expected keys such as \"conv in=28x28x1 out=28x28x16 "
                        "kernel=3 stride=1 expand=0 act=relu se=0\", found \"%.199s\"",
                        t->file, key);
    double ms = json_number_value(json_object_get(value, "median_ms"));
    if (!(ms > 0)) return fail(t->file, where, value, "a \"median_ms\" above 0", err);
    if (json_integer_value(json_object_get(value, "count")) < 1)
        return fail(t->file, where, value, "a \"count\" of at least 1", err);
    const json_t *spread = json_object_get(value, "spread_ms");
    if (!json_is_number(spread) || json_number_value(spread) < 0)
        return fail(t->file, where, value, "a \"spread_ms\" of at least 0", err);
    t->list[t->n++] = (entry){layer.op, work_of(&layer), ms};
    return NAS_OK;
}

static int read_table(table *t, nas_error *err) {
    json_error_t where;
    t->root = json_load_file(t->file, JSON_REJECT_DUPLICATES, &where);
    if (!t->root)
        return nas_fail(err, NAS_ERR_INPUT, "%s: line %d, column %d: %s", t->file, where.line,
                        where.column, where.text);
    if (!json_is_object(t->root))
        return nas_fail(err, NAS_ERR_INPUT, "%s: expected an object", t->file);
    int rc = read_header(t, err);
    if (rc) return rc;
    t->entries = json_object_get(t->root, "entries");
    if (!json_object_size(t->entries))
        return fail(t->file, "entries", t->entries, "an object with entries", err);
    t->list = malloc(json_object_size(t->entries) * sizeof *t->list);
    if (!t->list) return nas_fail(err, NAS_ERR_MEMORY, "lut: out of memory");
    const char *key;
    json_t *value;
    json_object_foreach(t->entries, key, value) {
        rc = read_entry(t, key, value, err);
        if (rc) break;
    }
    return rc;
}

/* ---- Costs ---- */

/* The time of the entry whose operation is the same and whose work is nearest by its ratio, scaled
 * by that ratio; NaN if the table has none. */
static double estimate(const table *t, const nas_layer *layer) {
    double work = work_of(layer), nearest = INFINITY, ms = NAN;
    for (size_t i = 0; i < t->n; i++) {
        double distance = fabs(log(work / t->list[i].work));
        if (t->list[i].op != layer->op || !(distance < nearest)) continue;
        nearest = distance;
        ms = t->list[i].ms * work / t->list[i].work;
    }
    return ms;
}

/* The sum over the layers; *missing is how many are not in the table, *first the first of them. */
static double sum_layers(const table *t, const nas_network *network, uint32_t *missing,
                         const nas_layer **first) {
    double sum = 0;
    *missing = 0;
    for (uint32_t i = 0; i < network->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(network, i);
        char key[NAS_LAYER_KEY];
        const json_t *found = json_object_get(t->entries, nas_layer_key(layer, key));
        if (!found && !(*missing)++) *first = layer;
        sum += found ? json_number_value(json_object_get(found, "median_ms")) : estimate(t, layer);
    }
    return sum;
}

static int cost(void *self, const nas_network *network, nas_cost *result, nas_error *err) {
    const table *t = self;
    const nas_layer *first = NULL;
    uint32_t missing;
    char key[NAS_LAYER_KEY];
    result->latency_ms = sum_layers(t, network, &missing, &first);
    if (missing && !t->allow_missing)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: %u of %u layers are missing, first %.39s, \"%s\"; add them with "
                        "`nashost lut build`, or set allow_missing to have them estimated",
                        t->file, missing, network->n_layers, first->name,
                        nas_layer_key(first, key));
    result->energy_mj = NAN;
    result->peak_bytes = network->peak_elements * t->element_bytes;
    result->flash_bytes = 0;
    for (uint32_t i = 0; i < network->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(network, i);
        /* Biases stay 32 bits wide in int8 networks. */
        result->flash_bytes += layer->weights * t->element_bytes + 4 * layer->biases;
    }
    result->known_share = network->n_layers ? 1 - (double)missing / (double)network->n_layers : 0;
    return NAS_OK;
}

/* ---- Life ---- */

static void destroy(void *self) {
    table *t = self;
    if (!t) return;
    json_decref(t->root);
    free(t->list);
    free(t);
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)host;
    const lut_config *given = config;
    table *t = calloc(1, sizeof *t);
    if (!t) return nas_fail(err, NAS_ERR_MEMORY, "lut: out of memory");
    t->file = given->table;
    t->allow_missing = given->allow_missing;
    int rc = read_table(t, err);
    if (rc)
        destroy(t);
    else
        *self = t;
    return rc;
}

static const nas_hardware_api api = {sizeof api, cost};

static const nas_plugin plugin = {
    .magic = NAS_MAGIC,
    .size = sizeof(nas_plugin),
    .abi_major = NAS_ABI_MAJOR,
    .abi_minor = NAS_ABI_MINOR,
    .kind = NAS_KIND_HARDWARE,
    .id = "lut",
    .version = "0.1.0",
    .summary = "latency as the sum of the layers' measured latencies in a table",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/1812.03443",
    .options = options,
    .option_size = sizeof(nas_option),
    .config_size = sizeof(lut_config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
