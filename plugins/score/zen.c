/* How much a network without training answers to a small change of its input: the logarithm of the
 * mean distance (sum of absolute differences) of its features before pooling for noise x and for
 * x + .01 e; plus, for each batch norm, which hides how much the layers before it amplify, the
 * logarithm of the root of the mean variance that it divides by. Residual additions and
 * squeeze-excite are left out, weights are N(0, 1). The mean of several draws. */
#include <nashost/kit/proxy.h>

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct config {
    int64_t images, repeats;
    double strength;
    int weights; /* nas_probe_weights */
} config;

typedef struct features {
    uint32_t layer; /* whose output the last pooling reads */
    size_t n;       /* values in all */
    uint32_t images;
    double *first; /* [n] without the change */
    double distance, log_deviation;
    bool changed; /* this is the second run */
    bool failed;  /* out of memory */
} features;

static double log_of(double x) {
    return log(fmax(x, DBL_MIN)); /* a dead network is the worst, and finite */
}

static void look(void *context, const nas_probe_layer *at) {
    features *f = context;
    nas_shape out = at->layer->out;
    double mean = 0;
    if (at->index > f->layer || f->failed) return;
    for (size_t c = 0; at->variance && !f->changed && c < out.c; c++)
        mean += at->variance[c] / out.c;
    if (at->variance && !f->changed) f->log_deviation += log_of(mean) / 2;
    if (at->index != f->layer) return;
    f->images = at->images;
    f->n = (size_t)at->images * out.h * out.w * out.c;
    if (!f->changed) {
        f->first = calloc(f->n + 1, sizeof *f->first);
        f->failed = !f->first;
        if (f->first) memcpy(f->first, at->output, f->n * sizeof *f->first);
        return;
    }
    for (size_t i = 0; i < f->n; i++) f->distance += fabs(f->first[i] - at->output[i]);
}

/* The layer before the last pooling, which is the one over all features. */
static bool find_features(const nas_network *network, uint32_t *layer) {
    for (uint32_t i = network->n_layers; i-- > 0;) {
        const nas_layer *at = nas_network_layer(network, i);
        if (at->op != NAS_OP_POOL || at->input[0] < 0) continue;
        *layer = (uint32_t)at->input[0];
        return true;
    }
    return false;
}

static int one_draw(const config *me, const nas_subnet *subnet, uint32_t layer, uint32_t draw,
                    double *value, nas_error *err) {
    features f = {.layer = layer};
    nas_probe probe = {.size = sizeof probe,
                       .images = NAS_PROBE_NORMAL,
                       .count = (uint32_t)me->images,
                       .weights = (uint32_t)me->weights,
                       .plain = true,
                       .draw = draw,
                       .context = &f,
                       .forward = look};
    int rc = nas_probe_run(subnet, &probe, err);
    f.changed = true;
    probe.noise = me->strength;
    if (!rc && !f.failed) rc = nas_probe_run(subnet, &probe, err);
    if (!rc && f.failed) rc = nas_fail(err, NAS_ERR_MEMORY, "zen: out of memory");
    free(f.first);
    if (!rc) *value += log_of(f.distance / f.images) + f.log_deviation;
    return rc;
}

static int check(void *self, const nas_subnet *subnet, nas_error *err) {
    uint32_t layer;
    (void)self;
    if (find_features(subnet->network, &layer)) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "zen: expected a pooling over the features, found none in the subnet");
}

static int score(void *self, const nas_subnet *subnet, double *value, nas_error *err) {
    const config *me = self;
    uint32_t layer = 0, repeats = (uint32_t)me->repeats;
    *value = 0;
    int rc = check(self, subnet, err);
    if (!rc) find_features(subnet->network, &layer);
    for (uint32_t i = 0; i < repeats && !rc; i++) rc = one_draw(me, subnet, layer, i, value, err);
    *value /= repeats;
    return rc;
}

static const nas_option options[] = {
    NAS_PROXY_IMAGES(config, "16", 1, "random images in a batch"),
    NAS_INT("repeats", config, repeats, "4", 1, 1024, "draws",
            "how many times weights and images are drawn; the score is the mean"),
    NAS_FLOAT("strength", config, strength, "0.01", 1e-6, 1, NULL,
              "size of the change of the input, as a factor of standard normal noise"),
    NAS_PROXY_WEIGHTS(config, "normal"),
    {0},
};

static const nas_plugin plugin = {
    NAS_PROXY_CHECKED(score, check),
    .id = "zen",
    .version = "0.1.0",
    .summary = "how much an untrained network answers to a small change of its input",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/2102.01063",
    .options = options,
    .config_size = sizeof(config),
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
