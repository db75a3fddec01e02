/* A subnet's trainable parameters. Looks at no weight and no image: a baseline. */
#include <nashost/kit/proxy.h>

static int score(void *self, const nas_subnet *subnet, double *value, nas_error *err) {
    (void)self, (void)err;
    *value = (double)subnet->network->params;
    return NAS_OK;
}

static const nas_plugin plugin = {
    NAS_PROXY(score),
    .id = "params",
    .version = "0.1.0",
    .summary = "number of trainable parameters: the baseline that every score must beat",
    .license = "Apache-2.0",
    .source = "baseline in zero-cost proxies, https://arxiv.org/abs/2101.08134",
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
