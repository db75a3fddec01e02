/* The sum over all kernels of abs(w dL/dw): how much the cross-entropy L of a batch of labelled
 * images hangs on single weights. */
#include <nashost/kit/proxy.h>

#include <math.h>

static void add(void *context, const nas_probe_layer *at) {
    double *total = context;
    for (uint64_t i = 0; at->weight_grad && i < at->layer->weights; i++)
        *total += fabs(at->weight[i] * at->weight_grad[i]);
}

static int score(void *self, const nas_subnet *subnet, double *value, nas_error *err) {
    return nas_proxy_gradients(self, subnet, add, value, err);
}

static const nas_option options[] = {NAS_PROXY_LABELLED_OPTIONS, {0}};

static const nas_plugin plugin = {
    NAS_PROXY(score),
    .id = "snip",
    .version = "0.1.0",
    .summary = "how much the loss hangs on single weights",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/1810.02340; as a score: https://arxiv.org/abs/2101.08134",
    .options = options,
    .config_size = sizeof(nas_proxy_labelled),
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
