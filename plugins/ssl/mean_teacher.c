/* Mean Teacher (Tarvainen and Valpola, arXiv 1703.01780): the student's softmax on one weak view
 * follows that of a teacher, the moving average of its weights, on another. */
#include <nashost/kit/logits.h>
#include <stdlib.h>

typedef struct mean_teacher {
    double weight, ramp;
} mean_teacher;

static const nas_option options[] = {
    NAS_FLOAT("weight", mean_teacher, weight, "50", 0, 1e6, NULL,
              "weight of the unlabelled images' term in the loss (lambda_u)"),
    NAS_FLOAT(
        "ramp", mean_teacher, ramp, "0.4", 0, 1, NULL,
        "share of the training over which the unlabelled images' term grows linearly from 0 to its "
        "weight"),
    {0},
};

enum { TEACHER, STUDENT };

static int plan(void *self, nas_ssl_plan *out, nas_error *err) {
    (void)self, (void)err;
    out->n_views = 2;
    out->views[TEACHER] = (nas_ssl_view){.augment = NAS_AUGMENT_WEAK, .teacher = 1};
    out->views[STUDENT] = (nas_ssl_view){.augment = NAS_AUGMENT_WEAK, .student = 1};
    out->mu = 7;
    out->teacher = "ema";
    return NAS_OK;
}

static int loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    const mean_teacher *me = self;
    int rc = nas_labelled_term(batch, result, err);
    if (rc) return rc;
    size_t n = batch->classes, rows = batch->unlabelled;
    float *target = malloc(n * sizeof *target);
    if (!target) return nas_fail(err, NAS_ERR_MEMORY, "mean_teacher: out of memory");
    double weight = me->weight * nas_ramp(batch, me->ramp), sum = 0;
    for (size_t i = 0; i < rows; i++) {
        nas_softmax(batch->teacher[TEACHER] + i * n, n, 1, target);
        sum += nas_softmax_mse(batch->student[STUDENT] + i * n, n, target, weight / (double)rows,
                               result->student_grad[STUDENT] + i * n);
        result->pseudo_labels[i] = (int32_t)nas_argmax(target, n);
        result->weights[i] = 1;
    }
    free(target);
    return nas_total_loss(result, weight, rows ? sum / (double)rows : 0, err);
}

static const nas_ssl_api api = {sizeof api, plan, loss};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SSL,
    .id = "mean_teacher",
    .version = "0.1.0",
    .summary = "the student's softmax follows an averaged teacher's on another weak view",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/1703.01780",
    .options = options,
    .config_size = sizeof(mean_teacher),
    .create = nas_plain_create,
    .destroy = nas_plain_destroy,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
