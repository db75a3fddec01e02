/* The sum over all kernels of abs(w dL/dw): how much the cross-entropy L of a batch of labelled
 * images hangs on single weights. */
#include <nashost/score.h>

#include <math.h>

typedef struct config {
    int64_t images;
    int kind;    /* 0: random labelled images; 1: the classes take turns */
    int weights; /* nas_probe_weights */
} config;

static void add(void *context, const nas_probe_layer *at) {
    double *total = context;
    for (uint64_t i = 0; at->weight_grad && i < at->layer->weights; i++)
        *total += fabs(at->weight[i] * at->weight_grad[i]);
}

static int score(void *self, const nas_subnet *subnet, double *value, nas_error *err) {
    const config *me = self;
    nas_probe probe = {.size = sizeof probe,
                       .images = me->kind ? NAS_PROBE_BALANCED : NAS_PROBE_LABELLED,
                       .count = (uint32_t)me->images,
                       .weights = (uint32_t)me->weights,
                       .objective = NAS_PROBE_CROSS_ENTROPY,
                       .context = value,
                       .backward = add};
    *value = 0;
    return nas_probe_run(subnet, &probe, err);
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
static const char *const batches[] = {"random", "balanced", NULL};

static const nas_option options[] = {
    {.name = "images",
     .type = NAS_TYPE_INT,
     .fallback = "64",
     .offset = offsetof(config, images),
     .min = 1,
     .max = 4096,
     .unit = "images",
     .help = "images in a batch"},
    {.name = "batch",
     .type = NAS_TYPE_ENUM,
     .fallback = "\"random\"",
     .offset = offsetof(config, kind),
     .help = "labelled images at random, or the classes in turns",
     .choices = batches},
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
    .id = "snip",
    .version = "0.1.0",
    .summary = "how much the loss hangs on single weights",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/1810.02340; as a score: https://arxiv.org/abs/2101.08134",
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
