/* DeFixMatch (Schmutz et al., arXiv 2203.07512): FixMatch minus the same term of the labelled
 * images, as if their labels were not known, so that on average pseudo-labels add nothing but what
 * they know of unlabelled images. The paper's term is the cross-entropy of a strong view with the
 * weak view's class on both sides; a loss here gets labelled images on their weak view alone, and
 * by the student alone, so what is subtracted is the cross-entropy of that view with its own class.
 */
#include <nashost/kit/logits.h>

typedef struct defixmatch {
    double threshold, weight;
} defixmatch;

static const nas_option options[] = {
    NAS_FLOAT("threshold", defixmatch, threshold, "0.95", 0, 1, NULL,
              "least probability that a class must have for it to count as an image's pseudo-label "
              "(tau)"),
    NAS_FLOAT("weight", defixmatch, weight, "0.5", 0, 1e6, NULL,
              "weight of the unlabelled images' term, and of the labelled images' that is "
              "subtracted (lambda); above 1, sure labelled images are unlearned"),
    {0},
};

static int plan(void *self, nas_ssl_plan *out, nas_error *err) {
    (void)self, (void)err;
    nas_plan_weak_strong(out);
    return NAS_OK;
}

/* The mean of the labelled rows' cross-entropies with their own pseudo-labels, masked ones being 0:
 * none is above -log threshold, so that subtracting them cannot run away. Adds -weight times its
 * gradient. */
static double debias(const defixmatch *me, const nas_ssl_batch *batch, nas_ssl_result *result) {
    size_t n = batch->classes, rows = batch->labelled;
    double sum = 0;
    for (size_t i = 0; i < rows; i++) {
        const float *logits = batch->labelled_logits + i * n;
        int32_t label;
        if (nas_confidence(logits, n, &label) < me->threshold) continue;
        sum += nas_cross_entropy(logits, n, label, 0, -me->weight / (double)rows,
                                 result->labelled_grad + i * n);
    }
    return rows ? sum / (double)rows : 0;
}

static int loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    const defixmatch *me = self;
    int rc = nas_labelled_term(batch, result, err);
    if (rc) return rc;
    for (size_t i = 0, n = batch->classes; i < batch->unlabelled; i++) {
        const float *teacher = batch->teacher[NAS_VIEW_WEAK] + i * n;
        bool sure = nas_confidence(teacher, n, &result->pseudo_labels[i]) >= me->threshold;
        result->weights[i] = sure ? 1 : 0;
    }
    double term = nas_pseudo_label_term(batch, result, NAS_VIEW_STRONG, me->weight);
    double bias = batch->unlabelled ? debias(me, batch, result) : 0;
    result->n_metrics = 1;
    result->metrics[0].name = "debias";
    result->metrics[0].value = bias;
    return nas_total_loss(result, me->weight, term - bias, err);
}

static const nas_ssl_api api = {sizeof api, plan, loss};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SSL,
    .id = "defixmatch",
    .version = "0.1.0",
    .summary = "FixMatch minus the same term of labelled images, which removes its bias",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/2203.07512",
    .options = options,
    .config_size = sizeof(defixmatch),
    .create = nas_plain_create,
    .destroy = nas_plain_destroy,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
