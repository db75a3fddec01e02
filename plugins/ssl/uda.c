/* Unsupervised Data Augmentation (Xie et al., arXiv 1904.12848): the teacher's sharpened softmax on
 * the weak view is the student's soft target on the strong view, where the unsharpened one is sure
 * enough. Cross-entropy stands for the paper's divergence: the target is a constant, so the
 * gradients are equal. */
#include <nashost/kit/logits.h>
#include <stdlib.h>

typedef struct uda {
    double temperature, threshold, weight;
} uda;

static const nas_option options[] = {
    NAS_FLOAT(
        "temperature", uda, temperature, "0.4", 0.01, 100, NULL,
        "temperature that the teacher's logits are divided by; below 1 it sharpens the target (T)"),
    NAS_FLOAT("threshold", uda, threshold, "0.8", 0, 1, NULL,
              "least probability that the teacher's surest class must have, before sharpening, for "
              "an image "
              "to count (beta)"),
    NAS_FLOAT("weight", uda, weight, "1", 0, 1e6, NULL,
              "weight of the unlabelled images' term in the loss (lambda_u)"),
    {0},
};

static int plan(void *self, nas_ssl_plan *out, nas_error *err) {
    (void)self, (void)err;
    nas_plan_weak_strong(out);
    return NAS_OK;
}

static int loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    const uda *me = self;
    int rc = nas_labelled_term(batch, result, err);
    if (rc) return rc;
    size_t n = batch->classes, rows = batch->unlabelled;
    float *target = malloc(n * sizeof *target);
    if (!target) return nas_fail(err, NAS_ERR_MEMORY, "uda: out of memory");
    double sum = 0;
    for (size_t i = 0; i < rows; i++) {
        const float *teacher = batch->teacher[NAS_VIEW_WEAK] + i * n;
        bool sure = nas_confidence(teacher, n, &result->pseudo_labels[i]) >= me->threshold;
        result->weights[i] = sure ? 1 : 0;
        if (!sure) continue;
        nas_softmax(teacher, n, me->temperature, target);
        sum += nas_soft_cross_entropy(batch->student[NAS_VIEW_STRONG] + i * n, n, target,
                                      me->weight / (double)rows,
                                      result->student_grad[NAS_VIEW_STRONG] + i * n);
    }
    free(target);
    return nas_total_loss(result, me->weight, rows ? sum / (double)rows : 0, err);
}

static const nas_ssl_api api = {sizeof api, plan, loss};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SSL,
    .id = "uda",
    .version = "0.1.0",
    .summary = "sharpened soft targets of the weak view, above a threshold, teach the strong view",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/1904.12848",
    .options = options,
    .config_size = sizeof(uda),
    .create = nas_plain_create,
    .destroy = nas_plain_destroy,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
