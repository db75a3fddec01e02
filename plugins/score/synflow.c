/* How much flows through a subnet: the sum over all kernels of abs(w dR/dw), where R is the sum of
 * the logits of an image of ones in a network of absolute weights without batch norm. Its
 * logarithm, since it grows by orders of magnitude with each layer. Looks at no image. */
#include <nashost/score.h>

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

static int start(void *self, const nas_subnet *largest, nas_error *err) {
    (void)self, (void)largest, (void)err;
    return NAS_OK;
}

/* There is nothing to keep but the options. */
static int create(const nas_host *host, const void *given, void **self, nas_error *err) {
    (void)host, (void)err;
    *self = (void *)(uintptr_t)given;
    return NAS_OK;
}

static void destroy(void *self) {
    (void)self;
}

static const nas_score_api api = {sizeof api, start, score};

static const char *const weights[] = {NAS_PROBE_WEIGHTS_CHOICES, NULL};

static const nas_option options[] = {
    {.name = "weights",
     .type = NAS_TYPE_ENUM,
     .fallback = "\"initial\"",
     .offset = offsetof(config, weights),
     .help = "of the subnet: a new network's, the supernet's, or N(0, 1)",
     .choices = weights},
    {0},
};

static const nas_plugin plugin = {
    .magic = NAS_MAGIC,
    .size = sizeof(nas_plugin),
    .abi_major = NAS_ABI_MAJOR,
    .abi_minor = NAS_ABI_MINOR,
    .kind = NAS_KIND_SCORE,
    .id = "synflow",
    .version = "0.1.0",
    .summary = "log of the flow through absolute weights, without images",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/2006.05467; as a score: https://arxiv.org/abs/2101.08134",
    .options = options,
    .option_size = sizeof(nas_option),
    .config_size = sizeof(config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
