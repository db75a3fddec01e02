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

static int plan(void *self, nas_ssl_plan *out, nas_error *err) {
    (void)self, (void)err;
    nas_plan_weak_strong(out);
    return NAS_OK;
}

static int loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    const fixmatch *me = self;
    int rc = nas_labelled_term(batch, result, err);
    if (rc) return rc;
    const float *teacher = batch->teacher[NAS_VIEW_WEAK];
    for (size_t i = 0, n = batch->classes; i < batch->unlabelled; i++) {
        double sure = nas_confidence(teacher + i * n, n, &result->pseudo_labels[i]);
        result->weights[i] = sure >= me->threshold ? 1 : 0;
    }
    double term = nas_pseudo_label_term(batch, result, NAS_VIEW_STRONG, me->weight);
    return nas_total_loss(result, me->weight, term, err);
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
