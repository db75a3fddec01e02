/* FixMatch (Sohn et al., arXiv 2001.07685): the teacher's class on the weak view, where it is sure
 * enough, is the student's label on the strong view. With distribution alignment (ReMixMatch,
 * Berthelot et al., arXiv 1911.09785), which the paper tries too, the teacher's probabilities are
 * first scaled so that, on average, all classes are equally likely. */
#include <nashost/logits.h>
#include <nashost/state.h>
#include <stdlib.h>

typedef struct fixmatch_config {
    double threshold, weight, momentum;
    bool align;
} fixmatch_config;

typedef struct fixmatch {
    fixmatch_config config;
    size_t classes; /* 0 before the first aligned step */
    double *p;      /* [classes] running mean of the teacher's probabilities */
} fixmatch;

static const nas_option options[] = {
    {"threshold", NAS_TYPE_FLOAT, "0.95", offsetof(fixmatch_config, threshold), 0, 1, NULL,
     "least probability at which a pseudo-label counts (tau)", NULL},
    {"weight", NAS_TYPE_FLOAT, "1", offsetof(fixmatch_config, weight), 0, 1e6, NULL,
     "weight of the unlabelled term (lambda_u)", NULL},
    {"align", NAS_TYPE_BOOL, "false", offsetof(fixmatch_config, align), 0, 0, NULL,
     "align the teacher's probabilities to equally likely classes first", NULL},
    {"momentum", NAS_TYPE_FLOAT, "0.99", offsetof(fixmatch_config, momentum), 0, 1, NULL,
     "of the running mean that align uses, per step", NULL},
    {0},
};

static int plan(void *self, nas_ssl_plan *out, nas_error *err) {
    (void)self, (void)err;
    nas_plan_weak_strong(out);
    return NAS_OK;
}

static int reserve(fixmatch *me, size_t classes, nas_error *err) {
    if (me->classes == classes) return NAS_OK;
    if (me->classes)
        return nas_fail(err, NAS_ERR_INPUT,
                        "fixmatch: its state is of %zu classes, the run has %zu: start the run "
                        "again",
                        me->classes, classes);
    me->p = calloc(classes ? classes : 1, sizeof *me->p);
    if (!me->p) return nas_fail(err, NAS_ERR_MEMORY, "fixmatch: out of memory");
    me->classes = classes;
    return NAS_OK;
}

/* The first batch's mean, then the running one. */
static int update_mean(fixmatch *me, const nas_ssl_batch *batch, nas_error *err) {
    double keep = me->classes ? me->config.momentum : 0;
    int rc = reserve(me, batch->classes, err);
    if (!rc)
        nas_running_mean(batch->teacher[NAS_VIEW_WEAK], batch->unlabelled, batch->classes, keep,
                         me->p);
    return rc;
}

static int loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    fixmatch *me = self;
    int rc = nas_labelled_term(batch, result, err);
    bool align = me->config.align && batch->unlabelled;
    if (!rc && align && (batch->subnet == 0 || !me->classes)) rc = update_mean(me, batch, err);
    if (rc) return rc;
    const float *teacher = batch->teacher[NAS_VIEW_WEAK];
    for (size_t i = 0, n = batch->classes; i < batch->unlabelled; i++, teacher += n) {
        int32_t *label = &result->pseudo_labels[i];
        double sure = align ? nas_aligned_confidence(teacher, n, me->p, label)
                            : nas_confidence(teacher, n, label);
        result->weights[i] = sure >= me->config.threshold ? 1 : 0;
    }
    double weight = me->config.weight;
    double term = nas_pseudo_label_term(batch, result, NAS_VIEW_STRONG, weight);
    return nas_total_loss(result, weight, term, err);
}

/* State: header with the number of classes, then p [classes]. */
enum { STATE_VERSION = 1 };

static size_t state_bytes(void *self) {
    const fixmatch *me = self;
    return sizeof(nas_state_header) + me->classes * sizeof(double);
}

static int state_save(void *self, void *buffer, nas_error *err) {
    (void)err;
    const fixmatch *me = self;
    void *at = nas_state_put_header(buffer, "fixmatch", STATE_VERSION, me->classes, 0);
    if (me->classes) memcpy(at, me->p, me->classes * sizeof *me->p);
    return NAS_OK;
}

static int state_load(void *self, const void *buffer, size_t bytes, nas_error *err) {
    fixmatch *me = self;
    nas_state_header header = {0};
    int rc = nas_state_get_header(buffer, bytes, "fixmatch", STATE_VERSION, &header, err);
    if (rc) return rc;
    size_t classes = (size_t)header.lengths[0];
    rc = nas_state_check_bytes(sizeof header + classes * sizeof *me->p, bytes, "fixmatch", err);
    if (rc) return rc;
    free(me->p);
    me->p = NULL, me->classes = 0;
    if (!classes) return NAS_OK;
    rc = reserve(me, classes, err);
    if (rc) return rc;
    memcpy(me->p, (const char *)buffer + sizeof header, classes * sizeof *me->p);
    return NAS_OK;
}

static const nas_state_api state_api = {sizeof state_api, state_bytes, state_save, state_load};

static const void *extension(void *self, const char *id) {
    (void)self;
    return strcmp(id, NAS_EXT_STATE) == 0 ? &state_api : NULL;
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)host;
    fixmatch *me = calloc(1, sizeof *me);
    if (!me) return nas_fail(err, NAS_ERR_MEMORY, "fixmatch: out of memory");
    me->config = *(const fixmatch_config *)config;
    *self = me;
    return NAS_OK;
}

static void destroy(void *self) {
    fixmatch *me = self;
    if (!me) return;
    free(me->p);
    free(me);
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
    .config_size = sizeof(fixmatch_config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
    .extension = extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
