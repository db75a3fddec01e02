/* Pi-model (Laine and Aila, arXiv 1610.02242): one network, two weak views of an image, and the
 * squared difference of their softmax. Both views carry a gradient; nobody teaches. */
#include <nashost/kit/logits.h>
#include <stdlib.h>

typedef struct pi_model {
    double weight, ramp;
} pi_model;

static const nas_option options[] = {
    NAS_FLOAT("weight", pi_model, weight, "10", 0, 1e6, NULL,
              "weight of the unlabelled images' term in the loss (lambda_u)"),
    NAS_FLOAT(
        "ramp", pi_model, ramp, "0.4", 0, 1, NULL,
        "share of the training over which the unlabelled images' term grows linearly from 0 to its "
        "weight"),
    {0},
};

static int plan(void *self, nas_ssl_plan *out, nas_error *err) {
    (void)self, (void)err;
    out->n_views = 2;
    for (int v = 0; v < 2; v++)
        out->views[v] = (nas_ssl_view){.augment = NAS_AUGMENT_WEAK, .student = 1};
    out->mu = 7;
    out->teacher = NULL;
    return NAS_OK;
}

static int loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    const pi_model *me = self;
    int rc = nas_labelled_term(batch, result, err);
    if (rc) return rc;
    size_t n = batch->classes, rows = batch->unlabelled;
    float *other = malloc(n * sizeof *other);
    if (!other) return nas_fail(err, NAS_ERR_MEMORY, "pi_model: out of memory");
    double weight = me->weight * nas_ramp(batch, me->ramp), sum = 0;
    for (size_t i = 0; i < rows; i++) {
        double scale = weight / (double)rows;
        const float *a = batch->student[0] + i * n, *b = batch->student[1] + i * n;
        nas_softmax(b, n, 1, other);
        sum += nas_softmax_mse(a, n, other, scale, result->student_grad[0] + i * n);
        nas_softmax(a, n, 1, other);
        nas_softmax_mse(b, n, other, scale, result->student_grad[1] + i * n);
    }
    free(other);
    return nas_total_loss(result, weight, rows ? sum / (double)rows : 0, err);
}

static const nas_ssl_api api = {sizeof api, plan, loss};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SSL,
    .id = "pi_model",
    .version = "0.1.0",
    .summary = "squared difference of the softmax of two weak views",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/1610.02242",
    .options = options,
    .config_size = sizeof(pi_model),
    .create = nas_plain_create,
    .destroy = nas_plain_destroy,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
