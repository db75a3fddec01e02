/* The sum over kernels of the Euclidean norm of their gradient, for the cross-entropy of a batch of
 * labelled images. */
#include <nashost/kit/proxy.h>

#include <math.h>

static void add(void *context, const nas_probe_layer *at) {
    double *total = context, squares = 0;
    for (uint64_t i = 0; at->weight_grad && i < at->layer->weights; i++)
        squares += at->weight_grad[i] * at->weight_grad[i];
    *total += sqrt(squares);
}

static int score(void *self, const nas_subnet *subnet, double *value, nas_error *err) {
    return nas_proxy_gradients(self, subnet, add, value, err);
}

static const nas_option options[] = {NAS_PROXY_LABELLED_OPTIONS, {0}};

static const nas_plugin plugin = {
    NAS_PROXY(score),        .id = "grad_norm",
    .version = "0.1.0",      .summary = "sum of the norms of the kernels' gradients",
    .license = "Apache-2.0", .source = "https://arxiv.org/abs/2101.08134",
    .options = options,      .config_size = sizeof(nas_proxy_labelled),
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
