/* A microsecond for every 1,000 multiply-accumulates; memory for float32; energy is not known.
 * Networks of more than "most_macs" are refused. */
#include <nashost/hardware.h>
#include <stdlib.h>
#include <string.h>

typedef struct toy_config {
    int64_t most_macs;
    double known;
} toy_config;

static const nas_option options[] = {
    NAS_INT("most_macs", toy_config, most_macs, "0", 0, 1e15, NULL,
            "of a network that runs at all; 0: any number"),
    NAS_FLOAT(
        "known", toy_config, known, "1", 0, 1, NULL,
        "share of layers that it says it knows; where it is not 1 it expects an error of 5 %"),
    {0},
};

static int cost(void *self, const nas_network *network, nas_cost *out, nas_error *err) {
    const toy_config *me = self;
    out->latency_ms = 1e-6 * (double)network->macs;
    out->peak_bytes = 4 * network->peak_elements;
    out->known_share = me->known;
    if (me->known < 1) out->expected_error = 0.05;
    if (me->most_macs && network->macs > (uint64_t)me->most_macs)
        return nas_fail(err, NAS_ERR_INFEASIBLE, "toy-hardware runs nothing that big");
    return NAS_OK;
}

static int target(void *self, nas_target *out, nas_error *err) {
    (void)self, (void)err;
    *out = (nas_target){out->size, 1, 1, "toy board", "toy", "float32"};
    return NAS_OK;
}

static int layer(void *self, const nas_layer *one, nas_measurement *out, nas_error *err) {
    (void)self, (void)err;
    out->count = 9;
    out->median_ms = 1e-6 * (double)(one->macs + 1);
    out->spread_ms = 0;
    return NAS_OK;
}

/* Writes which table it was given, then fails if that is called "bad.json". */
static int calibrate(void *self, const char *table, const char *out, nas_error *err) {
    (void)self;
    FILE *file = fopen(out, "w");
    if (!file) return nas_fail(err, NAS_ERR_IO, "cannot write %s", out);
    fprintf(file, "{\"most_macs\": 5, \"table\": \"%s\"}", table);
    fclose(file);
    return strcmp(table, "bad.json") ? NAS_OK : nas_fail(err, NAS_ERR_INPUT, "a bad table");
}

static const void *extension(void *self, const char *id) {
    static const nas_measure_api measure = {sizeof measure, target, layer};
    static const nas_calibrate_api fit = {sizeof fit, calibrate};
    (void)self;
    if (strcmp(id, NAS_EXT_CALIBRATE) == 0) return &fit;
    return strcmp(id, NAS_EXT_MEASURE) == 0 ? &measure : NULL;
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)host;
    toy_config *me = malloc(sizeof *me);
    if (!me) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    *me = *(const toy_config *)config;
    *self = me;
    return NAS_OK;
}

static const nas_hardware_api api = {sizeof api, cost};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_HARDWARE,
    .id = "toy-hardware",
    .version = "1.0.0",
    .summary = "time by multiply-accumulates, for tests",
    .license = "Apache-2.0",
    .source = "tests/toy_plugins/toy_hardware.c",
    .options = options,
    .config_size = sizeof(toy_config),
    .create = create,
    .destroy = free,
    .vtable = &api,
    .extension = extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
