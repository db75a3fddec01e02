/* SoftMatch (Chen et al., arXiv 2301.10921): every pseudo-label counts, by a Gaussian of how far
 * the teacher's confidence lies below its running mean; the confidence is that of probabilities
 * aligned to uniform classes, the label is not. */
#include <nashost/kit/logits.h>
#include <nashost/kit/state.h>

#include <math.h>

typedef struct softmatch_config {
    double momentum, sigmas, weight;
} softmatch_config;

typedef struct softmatch {
    double seen;         /* 1 after the first batch */
    double mu, variance; /* running, of the largest aligned probability */
    double p[];          /* [classes] running mean of the teacher's probabilities */
} softmatch;

static const nas_state_layout layout = {.id = "softmatch",
                                        .version = 1,
                                        .bytes = sizeof(softmatch),
                                        .each = {sizeof(double)},
                                        .counted = {"classes"}};

static const nas_option options[] = {
    NAS_FLOAT("momentum", softmatch_config, momentum, "0.999", 0, 1, NULL,
              "share of the running mean and variance of confidence, and of the mean "
              "probabilities, that is "
              "kept in each step (m)"),
    NAS_FLOAT(
        "sigmas", softmatch_config, sigmas, "2", 0.01, 100, NULL,
        "how many times narrower than the running standard deviation the Gaussian is that weights "
        "images (n)"),
    NAS_FLOAT("weight", softmatch_config, weight, "1", 0, 1e6, NULL,
              "weight of the unlabelled images' term in the loss (lambda_u)"),
    {0},
};

static int plan(void *self, nas_ssl_plan *out, nas_error *err) {
    (void)self, (void)err;
    nas_plan_weak_strong(out);
    return NAS_OK;
}

static int reserve(nas_state *state, size_t classes, nas_error *err) {
    bool fresh = !state->block;
    int rc = nas_state_reserve(state, classes, 0, err);
    if (rc || !fresh) return rc;
    softmatch *me = state->block;
    me->mu = 1 / (double)classes;
    me->variance = 1;
    for (size_t c = 0; c < classes; c++) me->p[c] = 1 / (double)classes;
    return NAS_OK;
}

/* p: the first batch's mean probabilities, then the running mean of the batches'. */
static void update_classes(softmatch *me, const nas_ssl_batch *batch, double momentum) {
    double keep = me->seen > 0 ? momentum : 0;
    nas_running_mean(batch->teacher[NAS_VIEW_WEAK], batch->unlabelled, batch->classes, keep, me->p);
    me->seen = 1;
}

static double aligned_confidence(const softmatch *me, const nas_ssl_batch *batch, size_t row) {
    size_t n = batch->classes;
    return nas_aligned_confidence(batch->teacher[NAS_VIEW_WEAK] + row * n, n, me->p, NULL);
}

/* Mean and unbiased variance of the batch's confidence (0 of one row), into the running ones. */
static void update_confidence(softmatch *me, const nas_ssl_batch *batch, double momentum) {
    size_t rows = batch->unlabelled;
    double mean = 0, variance = 0;
    for (size_t i = 0; i < rows; i++) mean += aligned_confidence(me, batch, i) / (double)rows;
    for (size_t i = 0; rows > 1 && i < rows; i++) {
        double d = aligned_confidence(me, batch, i) - mean;
        variance += d * d / (double)(rows - 1);
    }
    me->mu = momentum * me->mu + (1 - momentum) * mean;
    me->variance = momentum * me->variance + (1 - momentum) * variance;
}

/* exp(-d^2 / (2 sigma^2 / n^2)) of the distance d below mu; 1 above. */
static double weight_of(const softmatch *me, double confidence, double n) {
    double below = me->mu - confidence;
    if (below <= 0) return 1;
    return exp(-below * below * n * n / (2 * me->variance));
}

static int loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    nas_state *state = self;
    const softmatch_config *config = state->config;
    int rc = nas_labelled_term(batch, result, err);
    if (!rc) rc = reserve(state, batch->classes, err);
    if (rc) return rc;
    softmatch *me = state->block;
    if (batch->unlabelled && batch->subnet == 0) {
        update_classes(me, batch, config->momentum);
        update_confidence(me, batch, config->momentum);
    }
    for (size_t i = 0, n = batch->classes; i < batch->unlabelled; i++) {
        double sure = aligned_confidence(me, batch, i);
        result->pseudo_labels[i] = (int32_t)nas_argmax(batch->teacher[NAS_VIEW_WEAK] + i * n, n);
        result->weights[i] = (float)weight_of(me, sure, config->sigmas);
    }
    result->n_metrics = 2;
    result->metrics[0].name = "confidence_mean";
    result->metrics[0].value = me->mu;
    result->metrics[1].name = "confidence_deviation";
    result->metrics[1].value = sqrt(me->variance);
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
    .id = "softmatch",
    .version = "0.1.0",
    .summary = "pseudo-labels weighted by a Gaussian of confidence, aligned to uniform classes",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/2301.10921",
    .options = options,
    .config_size = sizeof(softmatch_config),
    .create = create,
    .destroy = nas_state_destroy,
    .vtable = &api,
    .extension = nas_state_extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
