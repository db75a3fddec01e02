/* FixMatch (Sohn et al., arXiv 2001.07685): the teacher's class on the weak view, where it is sure
 * enough, is the student's label on the strong view. With distribution alignment (ReMixMatch,
 * Berthelot et al., arXiv 1911.09785), which the paper tries too, the teacher's probabilities are
 * first scaled so that, on average, all classes are equally likely. */
#include <nashost/kit/logits.h>
#include <nashost/kit/state.h>

typedef struct fixmatch_config {
    double threshold, weight, momentum;
    bool align;
} fixmatch_config;

/* State: the running mean [classes] of the teacher's probabilities, from the first aligned step on.
 */
static const nas_state_layout layout = {
    .id = "fixmatch", .version = 1, .each = {sizeof(double)}, .counted = {"classes"}};

static const nas_option options[] = {
    NAS_FLOAT("threshold", fixmatch_config, threshold, "0.95", 0, 1, NULL,
              "least probability that a class must have for it to count as an image's pseudo-label "
              "(tau)"),
    NAS_FLOAT("weight", fixmatch_config, weight, "1", 0, 1e6, NULL,
              "weight of the unlabelled images' term in the loss (lambda_u)"),
    NAS_BOOL(
        "align", fixmatch_config, align, "false",
        "whether the teacher's probabilities are first scaled so that, on average, all classes are "
        "equally likely"),
    NAS_FLOAT(
        "momentum", fixmatch_config, momentum, "0.99", 0, 1, NULL,
        "share of the running mean of the teacher's probabilities that is kept in each step; only "
        "\"align\" uses that mean"),
    {0},
};

static int plan(void *self, nas_ssl_plan *out, nas_error *err) {
    (void)self, (void)err;
    nas_plan_weak_strong(out);
    return NAS_OK;
}

/* The first batch's mean, then the running one. */
static int update_mean(nas_state *state, const nas_ssl_batch *batch, nas_error *err) {
    const fixmatch_config *config = state->config;
    double keep = state->block ? config->momentum : 0;
    int rc = nas_state_reserve(state, batch->classes, 0, err);
    if (!rc)
        nas_running_mean(batch->teacher[NAS_VIEW_WEAK], batch->unlabelled, batch->classes, keep,
                         state->block);
    return rc;
}

static int loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    nas_state *state = self;
    const fixmatch_config *config = state->config;
    int rc = nas_labelled_term(batch, result, err);
    bool align = config->align && batch->unlabelled;
    if (!rc && align && (batch->subnet == 0 || !state->block)) rc = update_mean(state, batch, err);
    if (rc) return rc;
    const float *teacher = batch->teacher[NAS_VIEW_WEAK];
    for (size_t i = 0, n = batch->classes; i < batch->unlabelled; i++, teacher += n) {
        int32_t *label = &result->pseudo_labels[i];
        double sure = align ? nas_aligned_confidence(teacher, n, state->block, label)
                            : nas_confidence(teacher, n, label);
        result->weights[i] = sure >= config->threshold ? 1 : 0;
    }
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
    .id = "fixmatch",
    .version = "0.1.0",
    .summary = "hard pseudo-labels of the weak view, above a threshold, teach the strong view",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/2001.07685",
    .options = options,
    .config_size = sizeof(fixmatch_config),
    .create = create,
    .destroy = nas_state_destroy,
    .vtable = &api,
    .extension = nas_state_extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
