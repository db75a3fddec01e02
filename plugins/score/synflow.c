/* How much flows through a subnet: the sum over all kernels of abs(w dR/dw), where R is the sum of
 * the logits of an image of ones in a network of absolute weights without batch norm. Its
 * logarithm, since it grows by orders of magnitude with each layer. Looks at no image. */
#include <nashost/kit/proxy.h>

#include <float.h>
#include <math.h>

typedef struct config {
    int weights; /* nas_probe_weights */
} config;

static void add(void *context, const nas_probe_layer *at) {
    double *total = context;
    for (uint64_t i = 0; at->weight_grad && i < at->layer->weights; i++)
        *total += fabs(at->weight[i] * at->weight_grad[i]);
}

static int score(void *self, const nas_subnet *subnet, double *value, nas_error *err) {
    const config *me = self;
    double total = 0;
    nas_probe probe = {.size = sizeof probe,
                       .images = NAS_PROBE_ONES,
                       .count = 1,
                       .weights = (uint32_t)me->weights,
                       .norm = NAS_PROBE_IDENTITY,
                       .objective = NAS_PROBE_LOGIT_SUM,
                       .absolute = true,
                       .context = &total,
                       .backward = add};
    int rc = nas_probe_run(subnet, &probe, err);
    if (rc) return rc;
    if (!isfinite(total))
        return nas_fail(err, NAS_ERR_NUMERIC,
                        "synflow: the flow exceeds double precision; choose smaller weights");
    *value = log(fmax(total, DBL_MIN)); /* a subnet through which nothing flows is the worst */
    return NAS_OK;
}

static const nas_option options[] = {
    NAS_PROXY_WEIGHTS(config, "initial"),
    {0},
};

static const nas_plugin plugin = {
    NAS_PROXY(score),
    .id = "synflow",
    .version = "0.1.0",
    .summary = "log of the flow through absolute weights, without images",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/2006.05467; as a score: https://arxiv.org/abs/2101.08134",
    .options = options,
    .config_size = sizeof(config),
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
