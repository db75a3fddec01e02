/* FixMatch (Sohn et al., arXiv 2001.07685): the teacher's class on the weak view, where it is sure
 * enough, is the student's label on the strong view. */
#include <nashost/logits.h>
#include <stdlib.h>

typedef struct fixmatch {
    double threshold, weight;
} fixmatch;

static const nas_option options[] = {
    {"threshold", NAS_TYPE_FLOAT, "0.95", offsetof(fixmatch, threshold), 0, 1, NULL,
     "least probability at which a pseudo-label counts (tau)", NULL},
    {"weight", NAS_TYPE_FLOAT, "1", offsetof(fixmatch, weight), 0, 1e6, NULL,
     "weight of the unlabelled term (lambda_u)", NULL},
    {0},
};

enum { WEAK, STRONG };

static int plan(void *self, nas_ssl_plan *out, nas_error *err) {
    (void)self, (void)err;
    out->n_views = 2;
    out->views[WEAK] = (nas_ssl_view){.augment = NAS_AUGMENT_WEAK, .teacher = 1};
    out->views[STRONG] = (nas_ssl_view){.augment = NAS_AUGMENT_STRONG, .student = 1};
    out->mu = 7;
    out->teacher = "self";
    return NAS_OK;
}

static int loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    const fixmatch *me = self;
    int rc = nas_labelled_term(batch, result, err);
    if (rc) return rc;
    size_t n = batch->classes, rows = batch->unlabelled;
    double sum = 0;
    for (size_t i = 0; i < rows; i++) {
        int32_t label;
        double sure = nas_confidence(batch->teacher[WEAK] + i * n, n, &label);
        result->pseudo_labels[i] = label;
        result->weights[i] = sure >= me->threshold ? 1 : 0;
        if (sure < me->threshold) continue;
        sum += nas_cross_entropy(batch->student[STRONG] + i * n, n, label, 0,
                                 me->weight / (double)rows, result->student_grad[STRONG] + i * n);
    }
    /* Masked images count in the mean: the term grows as the teacher gets surer. */
    return nas_total_loss(result, me->weight, rows ? sum / (double)rows : 0, err);
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)host;
    fixmatch *me = malloc(sizeof *me);
    if (!me) return nas_fail(err, NAS_ERR_MEMORY, "fixmatch: out of memory");
    *me = *(const fixmatch *)config;
    *self = me;
    return NAS_OK;
}

static const nas_ssl_api api = {sizeof api, plan, loss};

static const nas_plugin plugin = {
    .magic = NAS_MAGIC,
    .size = sizeof(nas_plugin),
    .abi_major = NAS_ABI_MAJOR,
    .abi_minor = NAS_ABI_MINOR,
    .kind = NAS_KIND_SSL,
    .id = "fixmatch",
    .version = "0.1.0",
    .summary = "hard pseudo-labels of the weak view, above a threshold, teach the strong view",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/2001.07685",
    .options = options,
    .option_size = sizeof(nas_option),
    .config_size = sizeof(fixmatch),
    .create = create,
    .destroy = free,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
