/* A subnet's multiply-accumulates for one image. Looks at no weight and no image: a baseline. */
#include <nashost/kit/proxy.h>

static int score(void *self, const nas_subnet *subnet, double *value, nas_error *err) {
    (void)self, (void)err;
    *value = (double)subnet->network->macs;
    return NAS_OK;
}

static const nas_plugin plugin = {
    NAS_PROXY(score),
    .id = "macs",
    .version = "0.1.0",
    .summary = "multiply-accumulates for one image: the baseline that every score must beat",
    .license = "Apache-2.0",
    .source = "baseline in zero-cost proxies, https://arxiv.org/abs/2101.08134",
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
