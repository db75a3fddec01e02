/* A score: how sure the subnet is, on average, of its answers to held-out images. It uses no label.
 * With nashost/kit/proxy.h, a score that keeps nothing but its options is shorter than this one. */
#include <nashost/kit/logits.h>
#include <nashost/score.h>

#include <stdlib.h>

/* Filled by the table below before create() is called. */
typedef struct config {
    double temperature;
} config;

static const nas_option options[] = {
    NAS_FLOAT("temperature", config, temperature, "1", 0.01, 100, NULL,
              "temperature that logits are divided by before their softmax is taken"),
    {0},
};

/* Called once, with the largest subnet: the place to keep what others are compared with. */
static int start(void *self, const nas_subnet *largest, nas_error *err) {
    (void)self, (void)largest, (void)err;
    return NAS_OK;
}

/* Scores a subnet; higher is better. */
static int score(void *self, const nas_subnet *subnet, double *value, nas_error *err) {
    const config *me = self;
    size_t n = subnet->classes;
    float *logits = malloc(subnet->heldout * n * sizeof *logits);
    if (!logits) return nas_fail(err, NAS_ERR_MEMORY, "@ID@: out of memory");
    int rc = subnet->heldout_logits(subnet, logits, err);
    double sum = 0;
    for (uint64_t i = 0; i < subnet->heldout && !rc; i++) {
        float *row = logits + i * n;
        for (size_t c = 0; c < n; c++) row[c] = (float)((double)row[c] / me->temperature);
        sum += nas_confidence(row, n, NULL);
    }
    free(logits);
    *value = sum / (double)subnet->heldout;
    return rc;
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

static const nas_score_api api = {.size = sizeof api, .start = start, .score = score};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SCORE,
    .id = "@ID@",
    .version = "0.1.0",
    .summary = "mean confidence on held-out images",
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
