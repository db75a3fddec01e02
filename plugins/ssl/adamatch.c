/* AdaMatch (Berthelot et al., arXiv 2106.04732) without its domains: FixMatch whose threshold is
 * relative to how sure the network is of labelled images, and whose teacher's probabilities are
 * first scaled so that, on average, they are those of the labelled images. */
#include <nashost/kit/logits.h>
#include <nashost/kit/state.h>

#include <stdlib.h>

typedef struct adamatch_config {
    double threshold, momentum, weight;
    bool soft;
} adamatch_config;

typedef struct adamatch {
    double seen;    /* 1 after the first batch */
    double cutoff;  /* least probability of a pseudo-label, of this step */
    double means[]; /* [classes] running mean of the probabilities of labelled images; then
                       [classes] of the teacher's on unlabelled ones */
} adamatch;

static const nas_state_layout layout = {.id = "adamatch",
                                        .version = 1,
                                        .bytes = sizeof(adamatch),
                                        .each = {2 * sizeof(double)},
                                        .counted = {"classes"}};

static const nas_option options[] = {
    NAS_FLOAT("threshold", adamatch_config, threshold, "0.9", 0, 1, NULL,
              "least probability that a class must have for it to count as an image's "
              "pseudo-label, as a share of the mean confidence in labelled images (tau)"),
    NAS_FLOAT("momentum", adamatch_config, momentum, "0.999", 0, 1, NULL,
              "share of the running means of probabilities that is kept in each step"),
    NAS_BOOL("soft", adamatch_config, soft, "false",
             "whether the scaled probabilities are the student's target, instead of their class"),
    NAS_FLOAT("weight", adamatch_config, weight, "1", 0, 1e6, NULL,
              "weight of the unlabelled images' term in the loss (mu)"),
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
    adamatch *me = state->block;
    for (size_t i = 0; i < 2 * classes; i++) me->means[i] = 1 / (double)classes;
    return NAS_OK;
}

/* The first batch's means, then running ones; the cutoff is of this batch alone. */
static void update(adamatch *me, const nas_ssl_batch *batch, const adamatch_config *config) {
    size_t n = batch->classes, rows = batch->labelled;
    double keep = me->seen > 0 ? config->momentum : 0, sure = rows ? 0 : 1;
    nas_running_mean(batch->labelled_logits, rows, n, keep, me->means);
    nas_running_mean(batch->teacher[NAS_VIEW_WEAK], batch->unlabelled, n, keep, me->means + n);
    for (size_t i = 0; i < rows; i++)
        sure += nas_confidence(batch->labelled_logits + i * n, n, NULL) / (double)rows;
    me->cutoff = config->threshold * sure;
    me->seen = 1;
}

/* q [n] = softmax(logits) times labelled / unlabelled mean, scaled to sum 1; returns its largest's
 * class. The 1e-6 keeps a class that is never predicted finite. */
static size_t align(const adamatch *me, const float *logits, size_t n, float *q) {
    const double *labelled = me->means, *unlabelled = me->means + n;
    double sum = 0;
    nas_softmax(logits, n, 1, q);
    for (size_t c = 0; c < n; c++) {
        double a = (double)q[c] * (labelled[c] + 1e-6) / (unlabelled[c] + 1e-6);
        sum += a;
        q[c] = (float)a;
    }
    for (size_t c = 0; c < n; c++) q[c] = (float)((double)q[c] / sum);
    return nas_argmax(q, n);
}

/* The mean of the unlabelled rows' cross-entropies, masked ones being 0. q: room for [classes]. */
static double unlabelled_term(const adamatch *me, const adamatch_config *config,
                              const nas_ssl_batch *batch, nas_ssl_result *result, float *q) {
    size_t n = batch->classes, rows = batch->unlabelled;
    double each = rows ? 1 / (double)rows : 0, scale = config->weight * each, sum = 0;
    for (size_t i = 0; i < rows; i++) {
        const float *student = batch->student[NAS_VIEW_STRONG] + i * n;
        float *grad = result->student_grad[NAS_VIEW_STRONG] + i * n;
        size_t label = align(me, batch->teacher[NAS_VIEW_WEAK] + i * n, n, q);
        bool sure = (double)q[label] >= me->cutoff;
        result->pseudo_labels[i] = (int32_t)label;
        result->weights[i] = sure ? 1 : 0;
        if (!sure) continue;
        sum +=
            each * (config->soft ? nas_soft_cross_entropy(student, n, q, scale, grad)
                                 : nas_cross_entropy(student, n, (int32_t)label, 0, scale, grad));
    }
    return sum;
}

static int loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    nas_state *state = self;
    const adamatch_config *config = state->config;
    int rc = nas_labelled_term(batch, result, err);
    if (!rc) rc = reserve(state, batch->classes, err);
    if (rc) return rc;
    adamatch *me = state->block;
    if (batch->subnet == 0 || me->seen == 0) update(me, batch, config);
    float *q = malloc(batch->classes * sizeof *q);
    if (!q) return nas_fail(err, NAS_ERR_MEMORY, "adamatch: out of memory");
    double term = unlabelled_term(me, config, batch, result, q);
    free(q);
    result->n_metrics = 1;
    result->metrics[0].name = "threshold";
    result->metrics[0].value = me->cutoff;
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
    .id = "adamatch",
    .version = "0.1.0",
    .summary = "FixMatch with a threshold relative to the confidence in labelled images, and with "
               "their distribution",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/2106.04732",
    .options = options,
    .config_size = sizeof(adamatch_config),
    .create = create,
    .destroy = nas_state_destroy,
    .vtable = &api,
    .extension = nas_state_extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
