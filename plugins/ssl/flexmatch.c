/* FlexMatch (Zhang et al., arXiv 2110.08263): FixMatch with a threshold for each class that grows
 * with how many images of the pool were last surely taken for that class. */
#include <nashost/kit/logits.h>
#include <nashost/kit/state.h>

#include <string.h>

typedef struct flexmatch_config {
    double threshold, weight;
} flexmatch_config;

static const nas_option options[] = {
    NAS_FLOAT("threshold", flexmatch_config, threshold, "0.95", 0, 1, NULL,
              "least probability for a pseudo-label of a class that is wholly learned, and for an "
              "image to "
              "count as learned (tau)"),
    NAS_FLOAT("weight", flexmatch_config, weight, "1", 0, 1e6, NULL,
              "weight of the unlabelled images' term in the loss (lambda_u)"),
    {0},
};

static int plan(void *self, nas_ssl_plan *out, nas_error *err) {
    (void)self, (void)err;
    nas_plan_weak_strong(out);
    return NAS_OK;
}

/* State: beta [classes] of this step, in [0, 1]; record [pool]: the class that an image was last
 * sure of, or -1. */
static int32_t *record_of(const nas_state *state) {
    return (int32_t *)(void *)((double *)state->block + state->lengths[0]);
}

static int check(const nas_state *loaded, nas_error *err) {
    for (size_t i = 0; i < loaded->lengths[1]; i++) {
        int32_t label = record_of(loaded)[i];
        if (label < -1 || label >= (int64_t)loaded->lengths[0])
            return nas_fail(err, NAS_ERR_INPUT,
                            "flexmatch: the saved state is damaged: image %zu has class %d of %llu",
                            i, (int)label, (unsigned long long)loaded->lengths[0]);
    }
    return NAS_OK;
}

static const nas_state_layout layout = {.id = "flexmatch",
                                        .version = 1,
                                        .each = {sizeof(double), sizeof(int32_t)},
                                        .counted = {"classes", "images"},
                                        .check = check};

static int prepare(nas_state *state, const nas_ssl_batch *batch, nas_error *err) {
    bool fresh = !state->block;
    int rc = nas_state_reserve(state, batch->classes, batch->pool, err);
    for (size_t i = 0; fresh && !rc && i < batch->pool; i++) record_of(state)[i] = -1;
    for (size_t i = 0; !rc && i < batch->unlabelled; i++)
        if (batch->indices[i] >= batch->pool)
            rc = nas_fail(err, NAS_ERR_INPUT,
                          "flexmatch: unlabelled row %zu is image %llu of a pool of %llu", i,
                          (unsigned long long)batch->indices[i], (unsigned long long)batch->pool);
    return rc;
}

/* beta_c = n_c / max(max n, images without a record): while most of the pool is unrecorded, that
 * share holds every threshold down. */
static void update_beta(nas_state *state) {
    const int32_t *record = record_of(state);
    double *beta = state->block, most = 0;
    size_t classes = state->lengths[0], pool = state->lengths[1];
    memset(beta, 0, classes * sizeof *beta);
    for (size_t i = 0; i < pool; i++) {
        if (record[i] < 0)
            most++;
        else
            beta[record[i]]++;
    }
    for (size_t c = 0; c < classes; c++) most = beta[c] > most ? beta[c] : most;
    for (size_t c = 0; c < classes; c++) beta[c] /= most > 0 ? most : 1;
}

static void report(const nas_state *state, double tau, nas_ssl_result *result) {
    const double *beta = state->block;
    size_t classes = state->lengths[0], pool = state->lengths[1];
    double sum = 0, recorded = 0;
    for (size_t c = 0; c < classes; c++) sum += beta[c] / (2 - beta[c]);
    for (size_t i = 0; i < pool; i++) recorded += record_of(state)[i] >= 0;
    result->n_metrics = 2;
    result->metrics[0].name = "threshold_mean";
    result->metrics[0].value = tau * sum / (double)classes;
    result->metrics[1].name = "recorded_share";
    result->metrics[1].value = pool ? recorded / (double)pool : 0;
}

static int loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    nas_state *state = self;
    const flexmatch_config *config = state->config;
    int rc = nas_labelled_term(batch, result, err);
    if (!rc) rc = prepare(state, batch, err);
    if (rc) return rc;
    bool first = batch->subnet == 0;
    if (first) update_beta(state); /* from the steps before: a step's subnets share thresholds */
    const double *beta = state->block;
    double tau = config->threshold;
    for (size_t i = 0, n = batch->classes; i < batch->unlabelled; i++) {
        int32_t label;
        double sure = nas_confidence(batch->teacher[NAS_VIEW_WEAK] + i * n, n, &label);
        result->pseudo_labels[i] = label;
        result->weights[i] = sure >= tau * beta[label] / (2 - beta[label]) ? 1 : 0;
        if (first && sure >= tau) record_of(state)[batch->indices[i]] = label;
    }
    report(state, tau, result);
    double term = nas_pseudo_label_term(batch, result, NAS_VIEW_STRONG, config->weight);
    return nas_total_loss(result, config->weight, term, err);
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)host;
    return nas_state_create(&layout, config, self, err);
}

static const nas_ssl_api api = {sizeof api, plan, loss};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SSL,
    .id = "flexmatch",
    .version = "0.1.0",
    .summary = "FixMatch with a threshold for each class that follows how well it is learned",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/2110.08263",
    .options = options,
    .config_size = sizeof(flexmatch_config),
    .create = create,
    .destroy = nas_state_destroy,
    .vtable = &api,
    .extension = nas_state_extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
