/* A loss: the teacher's class on the weak view is the student's label on the strong view, weighted
 * by how sure the teacher is: w = max(q)^power. */
#include <nashost/kit/logits.h>

#include <math.h>
#include <stdlib.h>

/* Filled by the table below before create() is called. */
typedef struct config {
    double power, weight;
} config;

static const nas_option options[] = {
    NAS_FLOAT("power", config, power, "4", 0, 100, NULL,
              "power of the teacher's confidence that weights a pseudo-label; 0: every "
              "pseudo-label counts "
              "alike"),
    NAS_FLOAT("weight", config, weight, "1", 0, 1e6, NULL,
              "weight of the unlabelled images' term in the loss"),
    {0},
};

/* Which views of the unlabelled images the host must make, and for whom. */
static int plan(void *self, nas_ssl_plan *out, nas_error *err) {
    (void)self, (void)err;
    nas_plan_weak_strong(out);
    return NAS_OK;
}

/* The loss of one subnet, and its gradient with respect to the student's logits. */
static int loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    const config *me = self;
    int rc = nas_labelled_term(batch, result, err);
    if (rc) return rc;
    const float *teacher = batch->teacher[NAS_VIEW_WEAK];
    for (size_t i = 0, n = batch->classes; i < batch->unlabelled; i++) {
        double sure = nas_confidence(teacher + i * n, n, &result->pseudo_labels[i]);
        result->weights[i] = (float)pow(sure, me->power);
    }
    double term = nas_pseudo_label_term(batch, result, NAS_VIEW_STRONG, me->weight);
    return nas_total_loss(result, me->weight, term, err);
}

static int create(const nas_host *host, const void *options_given, void **self, nas_error *err) {
    (void)host;
    config *me = malloc(sizeof *me);
    if (!me) return nas_fail(err, NAS_ERR_MEMORY, "@ID@: out of memory");
    *me = *(const config *)options_given;
    *self = me;
    return NAS_OK;
}

static void destroy(void *self) {
    free(self);
}

static const nas_ssl_api api = {.size = sizeof api, .plan = plan, .loss = loss};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SSL,
    .id = "@ID@",
    .version = "0.1.0",
    .summary = "pseudo-labels weighted by a power of the teacher's confidence",
    .license = "Apache-2.0",
    .source = "where the method is described",
    .options = options,
    .config_size = sizeof(config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
