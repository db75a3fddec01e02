/* Pseudo-Label (Lee, 2013): the network's own class on a weak view is its label on that same view,
 * with a weight that grows; later practice keeps only those above a threshold. */
#include <nashost/kit/logits.h>

typedef struct pseudo_label {
    double threshold, weight, ramp;
} pseudo_label;

static const nas_option options[] = {
    NAS_FLOAT("threshold", pseudo_label, threshold, "0.95", 0, 1, NULL,
              "least probability that a class must have for it to count as an image's pseudo-label "
              "(tau)"),
    NAS_FLOAT("weight", pseudo_label, weight, "1", 0, 1e6, NULL,
              "weight of the unlabelled images' term in the loss (lambda_u)"),
    NAS_FLOAT(
        "ramp", pseudo_label, ramp, "0.4", 0, 1, NULL,
        "share of the training over which the unlabelled images' term grows linearly from 0 to its "
        "weight"),
    {0},
};

static int plan(void *self, nas_ssl_plan *out, nas_error *err) {
    (void)self, (void)err;
    out->n_views = 1;
    out->views[0] = (nas_ssl_view){.augment = NAS_AUGMENT_WEAK, .student = 1, .teacher = 1};
    out->mu = 7;
    out->teacher = "self";
    return NAS_OK;
}

static int loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    const pseudo_label *me = self;
    int rc = nas_labelled_term(batch, result, err);
    if (rc) return rc;
    double weight = me->weight * nas_ramp(batch, me->ramp);
    for (size_t i = 0, n = batch->classes; i < batch->unlabelled; i++) {
        double sure = nas_confidence(batch->teacher[0] + i * n, n, &result->pseudo_labels[i]);
        result->weights[i] = sure >= me->threshold ? 1 : 0;
    }
    return nas_total_loss(result, weight, nas_pseudo_label_term(batch, result, 0, weight), err);
}

static const nas_ssl_api api = {sizeof api, plan, loss};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SSL,
    .id = "pseudo_label",
    .version = "0.1.0",
    .summary = "the own class on a weak view, above a threshold, is its label there",
    .license = "Apache-2.0",
    .source = "Lee, Pseudo-Label, ICML 2013 Workshop on Challenges in Representation Learning",
    .options = options,
    .config_size = sizeof(pseudo_label),
    .create = nas_plain_create,
    .destroy = nas_plain_destroy,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
