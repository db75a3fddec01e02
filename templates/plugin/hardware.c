/* A hardware model: a device with a rate of multiply-accumulates and an overhead for each layer. */
#include <nashost/hardware.h>

#include <math.h>
#include <stdlib.h>

/* Filled by the table below before create() is called. */
typedef struct config {
    double gmacs, overhead_us;
} config;

static const nas_option options[] = {
    NAS_FLOAT("gmacs", config, gmacs, "0.1", 1e-6, 1e6, "1e9/s",
              "multiply-accumulates that the device does in a second"),
    NAS_FLOAT("overhead_us", config, overhead_us, "10", 0, 1e6, "us",
              "time that every layer takes besides its multiply-accumulates"),
    {0},
};

/* The cost of one image through one subnet. What the model cannot tell is NaN, never 0. */
static int cost(void *self, const nas_network *network, nas_cost *out, nas_error *err) {
    const config *me = self;
    double us = 0, weights = 0;
    (void)err;
    for (uint32_t i = 0; i < network->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(network, i);
        us += (double)layer->macs / (me->gmacs * 1e3) + me->overhead_us;
        weights += (double)(layer->weights + layer->biases);
    }
    out->latency_ms = us / 1e3;
    out->energy_mj = NAN;
    out->peak_bytes = network->peak_elements * sizeof(float);
    out->flash_bytes = (uint64_t)(weights * sizeof(float));
    out->known_share = 1;
    return NAS_OK;
}

static int create(const nas_host *host, const void *options_given, void **self, nas_error *err) {
    (void)host;
    config *me = malloc(sizeof *me);
    if (!me) return nas_fail(err, NAS_ERR_MEMORY, "@ID@: out of memory");
    *me = *(const config *)options_given;
    *self = me;
    return NAS_OK;
}

static void destroy(void *self) {
    free(self);
}

static const nas_hardware_api api = {.size = sizeof api, .cost = cost};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_HARDWARE,
    .id = "@ID@",
    .version = "0.1.0",
    .summary = "a rate of multiply-accumulates and an overhead for each layer",
    .license = "Apache-2.0",
    .source = "where the method is described",
    .options = options,
    .config_size = sizeof(config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
